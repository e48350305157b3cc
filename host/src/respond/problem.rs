//! The one table from refusals to statuses, and the body they share (RFC 9457).

use std::time::Duration;

use serde::Serialize;

use super::{ERROR_FIELD, Reply};
use crate::fault::{Code, Fault};
use crate::model::{ConnectionId, Name};
use crate::refusal::Refusal;

/// What a refusal is about, as far as it was known by then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// The route.
    pub route: Option<&'a Name>,
    /// Its connection.
    pub connection: Option<&'a ConnectionId>,
}

/// Section 7 of the interface: status, code and title of everything that can go wrong.
pub(super) fn classify(refusal: &Refusal) -> (u16, &'static str, &'static str) {
    match refusal {
        Refusal::Malformed(_) => (400, "malformed_request", "The request is malformed"),
        Refusal::TargetTooLong => (414, "target_too_long", "The request target is too long"),
        Refusal::HeadTooLarge => (431, "head_too_large", "The request fields are too large"),
        Refusal::BodyTooLarge => (413, "body_too_large", "The body is too large"),
        Refusal::ExpectationFailed => (417, "expectation_failed", "The expectation cannot be met"),
        Refusal::TransferCoding => (501, "unsupported", "The transfer coding is not supported"),
        Refusal::Version => (505, "unsupported_version", "The HTTP version is not supported"),
        Refusal::HostNotAllowed => (403, "host_not_allowed", "The host name is not ours"),
        Refusal::OriginNotAllowed => (403, "origin_not_allowed", "The web origin is not allowed"),
        Refusal::KeyRequired => (401, "key_required", "A local key is required"),
        Refusal::KeyInvalid => (401, "key_invalid", "The local key is not valid"),
        Refusal::RouteNotAllowed { .. } => (403, "route_not_allowed", "The local key is for other routes"),
        Refusal::MethodNotAllowed { .. } => (405, "method_not_allowed", "The method is not allowed"),
        Refusal::NoSuchRoute { .. } => (404, "no_such_route", "There is no such route"),
        Refusal::RequestTimeout => (408, "request_timeout", "The request did not arrive in time"),
        Refusal::Draining => (503, "draining", "The proxy is shutting down"),
        Refusal::Credential(fault) => classify_fault(fault.code),
        Refusal::CredentialTimeout => (504, "credential_timeout", "The credential did not arrive in time"),
        Refusal::UpstreamConnect => (502, "upstream_connect", "The upstream cannot be reached"),
        Refusal::UpstreamTls => (502, "upstream_tls", "TLS with the upstream failed"),
        Refusal::UpstreamProtocol => (502, "upstream_protocol", "The upstream broke the protocol"),
        Refusal::UpstreamTimeout => (504, "upstream_timeout", "The upstream did not answer in time"),
        Refusal::Internal => (500, "internal", "Something went wrong here"),
    }
}

/// What replies, events and metrics call a refusal.
pub fn code(refusal: &Refusal) -> &'static str {
    classify(refusal).1
}

pub(super) fn classify_fault(code: Code) -> (u16, &'static str, &'static str) {
    match code {
        Code::InvalidConfig => (500, "invalid_config", "The configuration cannot work"),
        Code::NotLoggedIn => (401, "not_logged_in", "Nobody has logged in yet"),
        Code::ReauthRequired | Code::TokenExpired => (401, "reauth_required", "A new login is required"),
        Code::ConsentRequired => (401, "consent_required", "Consent is required first"),
        Code::CredentialsRejected => (401, "credentials_rejected", "The provider rejected the credentials"),
        Code::AccessDenied => (401, "access_denied", "Access was denied"),
        Code::RateLimited | Code::ProviderUnavailable | Code::Network | Code::Timeout => {
            (503, "credential_unavailable", "No credential can be had right now")
        }
        Code::InvalidResponse => (502, "credential_provider", "The provider's answer makes no sense"),
        Code::Storage => (503, "store_unavailable", "The credential store is not available"),
        Code::Unsupported => (501, "unsupported", "This is not supported"),
        Code::PluginFailed => (503, "plugin_failed", "The provider's plugin failed"),
        Code::PluginMissing => (503, "plugin_missing", "The provider's plugin is missing"),
        Code::Cancelled | Code::Internal => (500, "internal", "Something went wrong here"),
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    route: Option<&'a Name>,
    connection: Option<String>,
    hint: Option<String>,
    request_id: &'a str,
}

/// The reply to a refused request. Nothing of the request is in it.
pub fn problem(refusal: &Refusal, subject: Subject<'_>, request_id: &str) -> Reply {
    let (status, code, title) = classify(refusal);
    let body = Body {
        r#type: format!("urn:ccproxy:error:{code}"),
        title,
        status,
        code,
        route: subject.route,
        connection: subject.connection.map(ToString::to_string),
        hint: hint(refusal, subject),
        request_id,
    };
    let body = serde_json::to_vec(&body).expect("text and numbers are JSON");
    let mut fields = vec![
        ("content-type", b"application/problem+json".to_vec()),
        ("cache-control", b"no-store".to_vec()),
        (ERROR_FIELD, code.as_bytes().to_vec()),
    ];
    if let Refusal::MethodNotAllowed { allow } = refusal {
        fields.push(("allow", allow.clone().into_bytes()));
    }
    if status == 401 {
        fields
            .extend(challenges(refusal, code).map(|challenge| ("www-authenticate", challenge.into_bytes())));
    }
    if let Some(after) = retry_after(refusal, status) {
        fields.push(("retry-after", after.as_secs().max(1).to_string().into_bytes()));
    }
    Reply { status, error: Some(code), fields, body: body.into() }
}

/// RFC 9110 section 15.5.2 wants a challenge. A gateway speaks as an origin server: never 407.
fn challenges(refusal: &Refusal, code: &str) -> impl Iterator<Item = String> + use<> {
    let (ours, basic) = match refusal {
        // RFC 6750 section 3.1: who sent nothing is told of no error.
        Refusal::KeyRequired => (String::new(), true),
        Refusal::KeyInvalid => (", error=\"invalid_token\"".to_owned(), true),
        _ => (format!(", error=\"{code}\""), false),
    };
    // git and its like send the key that they have only to who asks for Basic.
    let basic = basic.then(|| "Basic realm=\"ccproxy\", charset=\"UTF-8\"".to_owned());
    [format!("Bearer realm=\"ccproxy\"{ours}")].into_iter().chain(basic)
}

/// How long to wait before the same request may succeed.
pub(super) fn retry_after(refusal: &Refusal, status: u16) -> Option<Duration> {
    match refusal {
        Refusal::Credential(Fault { retry_after: Some(after), .. }) => Some(*after),
        Refusal::Credential(fault) if fault.code.is_transient() => Some(Duration::from_secs(5)),
        Refusal::CredentialTimeout => Some(Duration::from_secs(5)),
        _ if status == 503 => Some(Duration::from_secs(1)),
        _ => None,
    }
}

/// What to type or change.
pub(super) fn hint(refusal: &Refusal, subject: Subject<'_>) -> Option<String> {
    match refusal {
        Refusal::Malformed(what) => Some((*what).to_owned()),
        Refusal::NoSuchRoute { hint } => Some(hint.clone()),
        Refusal::HostNotAllowed => {
            Some("use a loopback name, or list the host in `server.allowed_hosts`".into())
        }
        Refusal::OriginNotAllowed => Some("list the page's origin in `server.allowed_origins`".into()),
        Refusal::KeyRequired => {
            Some("send a local key in the place of the tool's own: ccproxy key create NAME".into())
        }
        Refusal::KeyInvalid => Some("ccproxy key list; a lost key is replaced by a new one".into()),
        Refusal::RouteNotAllowed { key } => {
            Some(format!("`ccproxy key list` tells the routes of the key `{key}`; make another for this one"))
        }
        Refusal::Credential(fault) => fault.hint.clone().or_else(|| {
            let connection = subject.connection?;
            fault.code.needs_login().then(|| format!("ccproxy auth login {connection}"))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::{Value, json};

    fn reply(refusal: &Refusal) -> Reply {
        problem(refusal, Subject::default(), "0011223344556677")
    }

    fn field(reply: &Reply, name: &str) -> Option<String> {
        let value = reply.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
        value.map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn every_code_of_the_taxonomy_has_its_status() {
        let of = |code| {
            let reply = reply(&Refusal::Credential(Fault::new(code, "x")));
            (reply.status, reply.error.unwrap())
        };
        for (code, expected) in [
            (Code::InvalidConfig, (500, "invalid_config")),
            (Code::NotLoggedIn, (401, "not_logged_in")),
            (Code::ReauthRequired, (401, "reauth_required")),
            (Code::ConsentRequired, (401, "consent_required")),
            (Code::CredentialsRejected, (401, "credentials_rejected")),
            (Code::AccessDenied, (401, "access_denied")),
            (Code::TokenExpired, (401, "reauth_required")),
            (Code::RateLimited, (503, "credential_unavailable")),
            (Code::ProviderUnavailable, (503, "credential_unavailable")),
            (Code::Network, (503, "credential_unavailable")),
            (Code::Timeout, (503, "credential_unavailable")),
            (Code::InvalidResponse, (502, "credential_provider")),
            (Code::Storage, (503, "store_unavailable")),
            (Code::Unsupported, (501, "unsupported")),
            (Code::PluginFailed, (503, "plugin_failed")),
            (Code::PluginMissing, (503, "plugin_missing")),
            (Code::Cancelled, (500, "internal")),
            (Code::Internal, (500, "internal")),
        ] {
            assert_eq!(of(code), expected, "{code}");
        }
    }

    #[test]
    fn a_body_has_the_members_of_the_interface() {
        let (route, connection) = ("work".parse().unwrap(), "acme/github".parse().unwrap());
        let subject = Subject { route: Some(&route), connection: Some(&connection) };
        let refusal = Refusal::Credential(Fault::new(Code::ReauthRequired, "invalid_grant"));
        let reply = problem(&refusal, subject, "0011223344556677");
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "urn:ccproxy:error:reauth_required",
                "title": "A new login is required",
                "status": 401,
                "code": "reauth_required",
                "route": "work",
                "connection": "acme/github",
                "hint": "ccproxy auth login acme/github",
                "request_id": "0011223344556677",
            })
        );
        assert_eq!(field(&reply, "content-type").unwrap(), "application/problem+json");
        assert_eq!(field(&reply, "ccproxy-error").unwrap(), "reauth_required");
    }

    #[test]
    fn what_may_pass_says_when_to_come_back() {
        let limited = Fault::new(Code::RateLimited, "x").retry_after(Some(Duration::from_secs(42)));
        assert_eq!(field(&reply(&Refusal::Credential(limited)), "retry-after").unwrap(), "42");
        let down = Fault::new(Code::Network, "x");
        assert_eq!(field(&reply(&Refusal::Credential(down)), "retry-after").unwrap(), "5");
        assert_eq!(field(&reply(&Refusal::UpstreamConnect), "retry-after"), None);
    }

    #[test]
    fn a_missing_key_is_asked_for_in_the_ways_that_tools_know() {
        let challenges = |refusal| {
            let fields = reply(&refusal).fields;
            let challenges = fields.into_iter().filter(|(name, _)| *name == "www-authenticate");
            challenges.map(|(_, value)| String::from_utf8(value).unwrap()).collect::<Vec<_>>()
        };
        let basic = r#"Basic realm="ccproxy", charset="UTF-8""#;
        assert_eq!(challenges(Refusal::KeyRequired), [r#"Bearer realm="ccproxy""#, basic]);
        let invalid = r#"Bearer realm="ccproxy", error="invalid_token""#;
        assert_eq!(challenges(Refusal::KeyInvalid), [invalid, basic]);
        let login = Refusal::Credential(Fault::new(Code::NotLoggedIn, "x"));
        assert_eq!(challenges(login), [r#"Bearer realm="ccproxy", error="not_logged_in""#]);
    }

    #[test]
    fn a_refused_method_comes_with_those_allowed() {
        let refused = reply(&Refusal::MethodNotAllowed { allow: "GET".into() });
        assert_eq!((refused.status, field(&refused, "allow").unwrap().as_str()), (405, "GET"));
    }
}
