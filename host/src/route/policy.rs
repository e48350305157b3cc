//! How the requests on one route are treated.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a route that are not about where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// From the end of the request to the head of the response.
    pub timeout: Duration,
    /// Which methods pass.
    pub methods: Methods,
    /// What becomes of cookies, in both directions.
    pub cookies: Cookies,
    /// Which response fields are rewritten to lead back here.
    pub rewrite: Rewrite,
    /// Members of JSON bodies whose links are rewritten, too; normally none.
    pub rewrite_json: Arc<[String]>,
    /// Cleartext HTTP/2 by prior knowledge, for a loopback upstream. Over TLS ALPN decides.
    pub http2: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            methods: Methods::default(),
            cookies: Cookies::Drop,
            rewrite: Rewrite::default(),
            rewrite_json: Arc::default(),
            http2: false,
        }
    }
}

impl Policy {
    /// Whether response bodies are looked into, which takes bodies that are not compressed.
    pub fn reads_bodies(&self) -> bool {
        !self.rewrite_json.is_empty()
    }
}

/// What becomes of `Cookie` and `Set-Cookie`. Loopback cookies are shared by every port (RFC 6265
/// section 8.5), so they are dropped unless a route asks for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cookies {
    /// Removed.
    #[default]
    Drop,
    /// Passed both ways.
    Pass,
}

/// Which response fields lead back to the proxy's own URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// `Location` and `Content-Location`.
    pub location: bool,
    /// `Link` (RFC 8288): paging.
    pub link: bool,
}

impl Default for Rewrite {
    fn default() -> Self {
        Self { location: true, link: true }
    }
}

/// The methods a route lets pass; empty means all but TRACE and CONNECT, which never do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods(Vec<String>);

/// A text that is no method, or one that never passes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a method that can be proxied")]
pub struct InvalidMethod(pub String);

impl Methods {
    /// These methods, in upper case.
    pub fn new<I: IntoIterator<Item: AsRef<str>>>(methods: I) -> Result<Self, InvalidMethod> {
        let checked = |method: I::Item| {
            let method = method.as_ref().to_ascii_uppercase();
            let token = http::Method::from_str(&method).is_ok();
            let passes = token && !matches!(method.as_str(), "TRACE" | "CONNECT");
            if passes { Ok(method) } else { Err(InvalidMethod(method)) }
        };
        methods.into_iter().map(checked).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `method` passes.
    pub fn allow(&self, method: &[u8]) -> bool {
        self.0.is_empty() || self.0.iter().any(|one| one.as_bytes() == method)
    }

    /// The value of `Allow`.
    pub fn list(&self) -> String {
        self.0.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn no_list_lets_every_method_pass() {
        assert!(Methods::default().allow(b"PROPFIND"));
        let listed = Methods::new(["get", "HEAD"]).unwrap();
        assert!(listed.allow(b"GET") && !listed.allow(b"POST") && !listed.allow(b"get"));
        assert_eq!(listed.list(), "GET, HEAD");
    }

    #[test]
    fn trace_cannot_be_allowed() {
        for method in ["TRACE", "connect", "no method", ""] {
            assert!(Methods::new([method]).is_err(), "{method}");
        }
    }
}
