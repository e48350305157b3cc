//! What a plugin wants injected, checked and made ready for requests.

use std::time::Duration;

use abi_stable::std_types::{ROption, RString, RVec};
use ccproxy_plugin_abi as abi;
use http::{HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::credential::{Prepared, Reason, Want};
use crate::fault::{Code, Fault};
use crate::model::{Name, Target, UnixMillis};

/// More than any token: Kerberos-laden Azure tokens reach 8 KiB, and servers refuse heads over 16.
const MAX_CREDENTIAL: usize = 32 * 1024;
/// How long a credential that may not be reused serves those who waited for it.
const ONE_USE: Duration = Duration::from_secs(1);
/// RFC 3986 section 2.3: everything but the unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn target(target: &Target) -> abi::Target {
    let text = |text: &Option<String>| RString::from(text.as_deref().unwrap_or_default());
    abi::Target {
        scopes: target.scopes.iter().map(|scope| scope.as_str().into()).collect(),
        audience: text(&target.audience),
        resource: text(&target.resource),
        inject: text(&target.inject),
        ext: RVec::new(),
    }
}

pub(super) fn target_of(target: abi::Target) -> Target {
    let text = |text: RString| (!text.is_empty()).then(|| text.into_string());
    Target {
        scopes: target.scopes.into_iter().map(RString::into_string).collect(),
        audience: text(target.audience),
        resource: text(target.resource),
        inject: text(target.inject),
    }
}

pub(super) fn request(want: &Want) -> abi::AcquireRequest {
    let reason = match want.reason {
        Reason::Missing => "missing",
        Reason::Rejected { .. } => "rejected",
        Reason::Scheduled => "scheduled",
        Reason::Forced => "forced",
    };
    abi::AcquireRequest {
        target: target(&want.target),
        min_ttl_ms: u64::try_from(want.min_ttl.as_millis()).unwrap_or(u64::MAX),
        rejected_generation: ROption::from(want.rejected_generation),
        reason: reason.into(),
        ext: RVec::new(),
    }
}

/// Checks everything that will become bytes of a request. A fault names the field, never its value.
pub(super) fn prepared(plugin: &Name, credential: abi::Credential) -> Result<Prepared, Fault> {
    let refuse =
        |why: String| Fault::new(Code::InvalidResponse, format!("the credential of plugin `{plugin}` {why}"));
    let size = |fields: &RVec<abi::Field>| {
        fields.iter().map(|field| field.name.len() + field.value.len()).sum::<usize>()
    };
    let total: usize = [&credential.fields, &credential.query].into_iter().map(size).sum();
    if total > MAX_CREDENTIAL {
        return Err(refuse(format!("has {total} bytes")));
    }
    let fields = credential.fields.iter().map(|field| header_field(field).map_err(&refuse));
    let query = credential.query.iter().map(|field| query_parameter(field).map_err(&refuse));
    let (fields, query): (Vec<_>, Vec<_>) =
        (fields.collect::<Result<_, _>>()?, query.collect::<Result<_, _>>()?);
    if fields.is_empty() && query.is_empty() {
        return Err(refuse("is empty".into()));
    }
    let acquired_at = UnixMillis::now();
    let said = (credential.expires_at_unix_ms > 0).then_some(UnixMillis(credential.expires_at_unix_ms));
    let once = (!credential.reuse).then(|| acquired_at.plus(ONE_USE));
    let expires_at = [said, once].into_iter().flatten().min();
    Ok(Prepared { fields, query, expires_at, generation: credential.generation, acquired_at })
}

fn header_field(field: &abi::Field) -> Result<(HeaderName, HeaderValue), String> {
    let shown = super::codes::one_line(&field.name);
    let name =
        HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| format!("names the field `{shown}`"))?;
    if is_framing(&name) {
        return Err(format!("sets the field `{name}`, which is not a credential"));
    }
    // Leading and trailing blanks would be lost on the way; a line break would inject a field.
    let plain = field.value.iter().all(|byte| matches!(byte, 0x20..=0x7e));
    let trimmed = field.value.trim_ascii().len() == field.value.len() && !field.value.is_empty();
    let value = HeaderValue::from_bytes(&field.value).ok().filter(|_| plain && trimmed);
    let mut value = value.ok_or_else(|| format!("has a value for `{name}` that cannot be sent"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn query_parameter(field: &abi::Field) -> Result<(String, String), String> {
    let value = std::str::from_utf8(&field.value);
    let value =
        value.map_err(|_| format!("has a value for the parameter `{}` that is not UTF-8", field.name))?;
    let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    if field.name.is_empty() {
        return Err("has a query parameter without a name".into());
    }
    Ok((encode(&field.name), encode(value)))
}

/// Fields that say where a message goes and where it ends (RFC 9110 section 7, RFC 9112 section 6).
pub(super) fn is_framing(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
    ]
    .contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn credential(name: &str, value: &[u8]) -> abi::Credential {
        abi::Credential {
            fields: RVec::from(vec![abi::Field { name: name.into(), value: RVec::from(value) }]),
            query: RVec::new(),
            expires_at_unix_ms: 0,
            generation: 7,
            reuse: true,
            ext: RVec::new(),
        }
    }

    fn ready(credential: abi::Credential) -> Result<Prepared, String> {
        prepared(&"acme".parse().unwrap(), credential).map_err(|fault| fault.message)
    }

    #[test]
    fn a_field_is_ready_to_send_and_marked_sensitive() {
        let prepared = ready(credential("Authorization", b"Bearer abc")).unwrap();
        let (name, value) = &prepared.fields[0];
        assert_eq!((name.as_str(), value.as_bytes()), ("authorization", &b"Bearer abc"[..]));
        assert!(value.is_sensitive());
        assert_eq!((prepared.generation, prepared.expires_at), (7, None));
    }

    #[test]
    fn what_could_inject_a_field_or_change_the_framing_is_refused_without_its_value() {
        for value in [&b"canary\r\nx: y"[..], b"canary\0", b"canary ", b"can\xe4ry", b""] {
            let text = ready(credential("authorization", value)).err().unwrap();
            assert!(text.ends_with("has a value for `authorization` that cannot be sent"), "{text}");
        }
        for name in ["host", "Content-Length", "transfer-encoding", "connection", "a b", ""] {
            assert!(ready(credential(name, b"x")).is_err(), "{name}");
        }
        assert!(ready(credential("x", &[b'a'; MAX_CREDENTIAL])).is_err());
    }

    #[test]
    fn a_query_parameter_is_encoded_whole() {
        let mut both = credential("x", b"y");
        both.query = std::mem::take(&mut both.fields);
        both.query[0] = abi::Field { name: "api key".into(), value: RVec::from(&b"a&b=c/\xc3\xa4"[..]) };
        let prepared = ready(both).unwrap();
        assert_eq!(prepared.query, [("api%20key".to_owned(), "a%26b%3Dc%2F%C3%A4".to_owned())]);
    }

    #[test]
    fn a_credential_not_to_be_reused_lives_for_a_moment() {
        let once = ready(abi::Credential { reuse: false, ..credential("x", b"y") }).unwrap();
        assert_eq!(once.expires_at, Some(once.acquired_at.plus(ONE_USE)));
    }

    #[test]
    fn a_target_survives_the_way_there_and_back() {
        let wanted = Target { scopes: vec!["a".into()], resource: Some("r".into()), ..Target::default() };
        assert_eq!(target_of(target(&wanted)), wanted);
    }
}
