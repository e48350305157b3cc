//! The rules of texts that have some: URLs, methods, path segments, authorities.

use std::str::FromStr;

use url::{Host, Url};

use super::kind::{Kind, Refusal};
use super::tree::has_userinfo;

/// `https`, or `http` on loopback; a host; nobody's password; no fragment, and no query unless the URL is used
/// as it is (RFC 6749, section 3.1).
pub(super) fn check_url(text: &str, query: bool) -> Result<(), Refusal> {
    if has_userinfo(text) {
        return Err(Refusal { secret: true, ..Refusal::new("carries a user name or password") });
    }
    let refuse = |reason: &str| Err(Refusal::new(reason));
    let Ok(url) = Url::parse(text) else { return refuse("is not an absolute URL") };
    match url.scheme() {
        _ if url.host().is_none() => refuse("is not an absolute URL with a host"),
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err(Refusal {
            hint: Some("use https: http is for loopback addresses only".into()),
            ..Refusal::new("would send credentials in the clear")
        }),
        _ => refuse("is not an https URL"),
    }?;
    if url.fragment().is_some() {
        return refuse("has a fragment");
    }
    if url.query().is_some() && !query {
        return refuse("has a query");
    }
    Ok(())
}

/// `127.0.0.0/8`, `::1` or `localhost`, as written: a name that merely resolves there does not count.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

pub(super) fn check_redirect(text: &str) -> Result<(), Refusal> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => check_url(text, true),
        // RFC 8252, section 7.1: a private-use scheme.
        Ok(url) if url.fragment().is_none() && url.scheme().contains('.') => Ok(()),
        _ => Err(Refusal::new("is not an absolute URL")),
    }
}

pub(super) fn check_outbound_proxy(text: &str) -> Result<(), Refusal> {
    if matches!(text, "env" | "none") {
        return Ok(());
    }
    if has_userinfo(text) {
        return Err(Refusal {
            reason: "carries a user name or password".into(),
            hint: Some("leave \"env\" here and put it in HTTPS_PROXY".into()),
            secret: true,
        });
    }
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        _ => Err(Refusal::new(format!("is not {}", Kind::OutboundProxy.expected()))),
    }
}

pub(super) fn check_method(text: &str) -> Result<(), Refusal> {
    match text {
        "TRACE" | "CONNECT" => Err(Refusal::new("is never passed on")),
        _ if text.bytes().any(|byte| byte.is_ascii_lowercase()) || http::Method::from_str(text).is_err() => {
            Err(Refusal::new(format!("is not {}", Kind::Method.expected())))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_segment(text: &str) -> Result<(), Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match text {
        "." | ".." => Err(Refusal::new("is a dot segment")),
        "_ccproxy" => Err(Refusal::new("is a path of our own")),
        _ if !text.is_empty() && text.bytes().all(plain) => Ok(()),
        _ => Err(Refusal::new(format!("is not {}", Kind::Segment.expected()))),
    }
}

pub(super) fn is_authority(text: &str) -> bool {
    let bare = !text.is_empty() && !text.contains(['/', '@', '?', '#', '*', ' ', '\\']);
    bare && Url::parse(&format!("http://{text}/")).is_ok_and(|url| url.has_host())
}

pub(super) fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    use super::super::tree::Value;
    use super::*;
    use pretty_assertions::assert_eq;

    fn verdict(kind: &Kind, text: &str) -> String {
        match kind.check(&Value::Text(text.into())) {
            Ok(()) => "ok".into(),
            Err(refusal) => refusal.reason,
        }
    }

    #[test]
    fn a_base_url_is_https_or_loopback_and_nothing_but_a_base() {
        for good in [
            "https://api.example.com",
            "https://api.example.com:8443/v1/",
            "http://127.0.0.1:9000",
            "http://127.8.8.8",
            "http://[::1]:9000/x",
            "http://localhost:1",
        ] {
            assert_eq!(verdict(&Kind::BaseUrl, good), "ok", "{good}");
        }
        for (bad, reason) in [
            ("http://api.example.com", "would send credentials in the clear"),
            ("http://localhost.evil.example", "would send credentials in the clear"),
            ("http://128.0.0.1", "would send credentials in the clear"),
            ("ftp://example.com", "is not an https URL"),
            ("https://u:p@example.com", "carries a user name or password"),
            ("https://example.com/?a=b", "has a query"),
            ("https://example.com/#a", "has a fragment"),
            ("example.com", "is not an absolute URL"),
            ("/v1", "is not an absolute URL"),
        ] {
            assert_eq!(verdict(&Kind::BaseUrl, bad), reason, "{bad}");
        }
        assert_eq!(verdict(&Kind::Endpoint, "https://example.com/authorize?p=B2C_1"), "ok");
        assert_eq!(verdict(&Kind::RedirectUri, "com.example.app:/callback"), "ok");
        assert_eq!(verdict(&Kind::RedirectUri, "javascript:alert(1)"), "is not an absolute URL");
    }
}
