//! The clients that are registered, and how they prove who they are (RFC 6749 section 2.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::AUTHORIZATION;
use jsonwebtoken::Algorithm;
use url::Url;

use super::endpoint::Call;
use super::reply::OAuthError;

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: &'static str,
    secret: &'static str,
    pub(crate) auth: ClientAuth,
    /// May act for itself (client credentials).
    pub(crate) is_service: bool,
    /// May log people in (code, device, refresh).
    pub(crate) is_login: bool,
    pub(crate) id_token_algorithm: Algorithm,
    redirect_paths: &'static [&'static str],
}

/// The one way in which a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    /// A public client: PKCE or nothing.
    None,
    /// Id and secret form-urlencoded inside Basic, as RFC 6749 section 2.3.1 has it.
    Basic,
    /// Id and secret as they are inside Basic, as some servers want it against the RFC.
    RawBasic,
    Post,
}

impl ClientAuth {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::RawBasic => "basic-raw",
            Self::Post => "post",
        }
    }
}

const CALLBACKS: &[&str] = &["/callback", "/_ccproxy/callback", "/"];

impl Client {
    pub(crate) fn baked_in() -> Vec<Self> {
        let public = Self {
            id: "native",
            secret: "",
            auth: ClientAuth::None,
            is_service: false,
            is_login: true,
            id_token_algorithm: Algorithm::RS256,
            redirect_paths: CALLBACKS,
        };
        let web = Self {
            id: "web",
            secret: "web-secret",
            auth: ClientAuth::Basic,
            is_service: true,
            ..public.clone()
        };
        let service = Self { is_login: false, redirect_paths: &[], ..web.clone() };
        vec![
            Self { id: "native-es256", id_token_algorithm: Algorithm::ES256, ..public.clone() },
            Self { id: "webpost", secret: "webpost-secret", auth: ClientAuth::Post, ..web.clone() },
            // Every character that form-urlencoding changes, so a client that forgets it is found out.
            Self { id: "svc", secret: "svc:se+cr/et %", ..service.clone() },
            Self { id: "raw", secret: "raw:se+cret", auth: ClientAuth::RawBasic, ..service.clone() },
            Self { id: "rs", secret: "rs-secret", is_service: false, ..service },
            public,
            web,
        ]
    }

    /// RFC 8252 section 7.3: any port of a registered loopback redirect.
    pub(crate) fn may_redirect_to(&self, uri: &str) -> bool {
        is_loopback_redirect(uri, self.redirect_paths)
    }
}

/// Whether a redirect URI is cleartext loopback, of any port, at one of the paths.
pub(crate) fn is_loopback_redirect(uri: &str, paths: &[&str]) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.scheme() == "http" && loopback && url.fragment().is_none() && paths.contains(&url.path())
}

/// Who sent a request to a token endpoint, proven in the way that client is registered for.
pub(crate) fn authenticate<'a>(clients: &'a [Client], call: &Call) -> Result<&'a Client, OAuthError> {
    let basic = basic_pair(call)?;
    let body_id = call.form.get("client_id");
    let body_secret = call.form.get("client_secret");
    if basic.is_some() && body_secret.is_some() {
        return Err(OAuthError::new("invalid_request", "more than one client authentication"));
    }
    // Which spelling of the pair counts depends on the client, whose id is the same in both.
    let raw_id = basic.as_ref().map(|(id, _)| id.as_str());
    let decoded_id = raw_id.and_then(form_decoded);
    let is_named = |client: &&Client| match raw_id {
        Some(raw) if client.auth == ClientAuth::RawBasic => client.id == raw,
        Some(_) => Some(client.id) == decoded_id.as_deref(),
        None => Some(client.id) == body_id,
    };
    let Some(client) = clients.iter().find(is_named) else {
        let described =
            if raw_id.is_none() && body_id.is_none() { "no client named" } else { "unknown client" };
        return Err(invalid_client(described));
    };
    if raw_id.is_some() && body_id.is_some_and(|id| id != client.id) {
        return Err(OAuthError::new("invalid_request", "client_id differs from the authenticated client"));
    }
    let proven = match (client.auth, &basic, body_secret) {
        (ClientAuth::None, None, None) => true,
        (ClientAuth::RawBasic, Some((_, secret)), None) => secret == client.secret,
        (ClientAuth::Basic, Some((_, secret)), None) => {
            let Some(secret) = form_decoded(secret) else {
                let why = "client_id and client_secret in the authorization header are not form-urlencoded";
                return Err(OAuthError::new("invalid_request", why));
            };
            secret == client.secret
        }
        (ClientAuth::Post, None, Some(secret)) => secret == client.secret,
        _ => return Err(invalid_client("not the authentication method this client is registered for")),
    };
    if proven { Ok(client) } else { Err(invalid_client("wrong client secret")) }
}

fn invalid_client(described: &str) -> OAuthError {
    OAuthError { status: StatusCode::UNAUTHORIZED, ..OAuthError::new("invalid_client", described) }
}

/// The two halves of a Basic credential, as they were sent.
fn basic_pair(call: &Call) -> Result<Option<(String, String)>, OAuthError> {
    let malformed = || OAuthError::new("invalid_request", "malformed Authorization field");
    let Some(value) = call.headers.get(AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().map_err(|_| malformed())?;
    let (scheme, encoded) = value.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| malformed())?;
    let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
    let (id, secret) = decoded.split_once(':').ok_or_else(malformed)?;
    Ok(Some((id.to_owned(), secret.to_owned())))
}

/// Decodes application/x-www-form-urlencoded strictly: None where the text holds what encoding never leaves.
fn form_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                let (hex, tail) = tail.split_at_checked(2)?;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                decoded.push(u8::try_from(digit(hex[0])? * 16 + digit(hex[1])?).ok()?);
                rest = tail;
            }
            b'*' | b'-' | b'.' | b'_' | b'~' => decoded.push(byte),
            _ if byte.is_ascii_alphanumeric() => decoded.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn form_decoding_takes_what_encoding_leaves_and_nothing_else() {
        assert_eq!(form_decoded("svc%3Ase%2Bcr%2Fet+%25").as_deref(), Some("svc:se+cr/et %"));
        assert_eq!(form_decoded("svc%3Ase%2Bcr%2Fet%20%25").as_deref(), Some("svc:se+cr/et %"));
        for raw in ["svc:secret", "a/b", "a b", "%", "%2", "%zz", "%+1", "ü"] {
            assert_eq!(form_decoded(raw), None, "{raw:?} was accepted");
        }
    }

    #[test]
    fn a_redirect_goes_to_loopback_at_a_registered_path_and_any_port() {
        for uri in ["http://127.0.0.1:5555/callback", "http://localhost/callback", "http://[::1]:1/callback"]
        {
            assert!(is_loopback_redirect(uri, &["/callback"]), "{uri} was refused");
        }
        for uri in [
            "https://127.0.0.1/callback",
            "http://127.0.0.2/callback",
            "http://127.0.0.1/other",
            "http://evil.test/callback",
            "http://127.0.0.1/callback#x",
            "callback",
        ] {
            assert!(!is_loopback_redirect(uri, &["/callback"]), "{uri} was accepted");
        }
    }
}
