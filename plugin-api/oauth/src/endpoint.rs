//! URLs of an authorization server: what may be spoken to, and what a browser may be sent to.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ccproxy_plugin_sdk::Error;
use url::{Host, Url};

/// Longer ones break browsers and launchers, and nobody registers one.
const MAX_LEN: usize = 8 * 1024;

/// An endpoint: `https`, or `http` on loopback; no user name, no fragment (RFC 6749 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is not a URL to use. Reads on after "`the_key`".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// No scheme, no host, or too long.
    #[error("is not an absolute URL")]
    NotAbsolute,
    /// RFC 6749 section 3.2: endpoints use TLS.
    #[error("must be https (http only for loopback)")]
    Insecure,
    /// Credentials in a URL end up in logs.
    #[error("must not hold a user name or password")]
    UserInfo,
    /// A fragment is never sent.
    #[error("must not have a fragment")]
    Fragment,
}

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// One that breaks a rule above.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let endpoint = Self::parse_for_browser(text)?;
        if endpoint.0.fragment().is_some() { Err(BadUrl::Fragment) } else { Ok(endpoint) }
    }

    /// Reads the setting `name`.
    ///
    /// # Errors
    /// `invalid_config`, naming the key; the value too, unless it may hold a password.
    pub fn setting(name: &str, text: &str) -> Result<Self, Error> {
        Self::parse(text).map_err(|bad| match bad {
            BadUrl::UserInfo => Error::invalid_config(format!("`{name}` {bad}")),
            _ => Error::invalid_config(format!("`{name}` {bad}: {text}")),
        })
    }

    /// A page that a browser is sent to: as [`parse`](Self::parse), but it may have a fragment.
    pub(crate) fn parse_for_browser(text: &str) -> Result<Self, BadUrl> {
        if text.len() > MAX_LEN {
            return Err(BadUrl::NotAbsolute);
        }
        let url = Url::parse(text).map_err(|_| BadUrl::NotAbsolute)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadUrl::UserInfo);
        }
        match url.scheme() {
            "https" if url.host().is_some() => Ok(Self(url)),
            "http" if is_loopback(&url) => Ok(Self(url)),
            "http" => Err(BadUrl::Insecure),
            _ => Err(BadUrl::NotAbsolute),
        }
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Host, without the port.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `127.0.0.0/8`, `::1` and `localhost`: the only places where cleartext is nobody else's to read.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => Ipv4Addr::is_loopback(&address),
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn https_anywhere_and_http_on_loopback() {
        for good in [
            "https://id.example.com/token",
            "https://id.example.com//double/slash?p=policy",
            "http://127.0.0.1:9000/token",
            "http://127.8.8.8/token",
            "http://[::1]:9000/token",
            "http://localhost:9000/token",
        ] {
            assert_eq!(Endpoint::parse(good).map(|url| url.as_str().to_owned()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused_by_name() {
        for (bad, why) in [
            ("http://id.example.com/token", BadUrl::Insecure),
            ("http://127.0.0.1.example.com/", BadUrl::Insecure),
            ("http://localhost.example.com/", BadUrl::Insecure),
            ("ftp://id.example.com/", BadUrl::NotAbsolute),
            ("javascript:alert(1)", BadUrl::NotAbsolute),
            ("/token", BadUrl::NotAbsolute),
            ("https://user@id.example.com/", BadUrl::UserInfo),
            ("https://:pw@id.example.com/", BadUrl::UserInfo),
            ("https://id.example.com/#top", BadUrl::Fragment),
        ] {
            assert_eq!(Endpoint::parse(bad), Err(why), "{bad}");
        }
        let error = Endpoint::setting("token_endpoint", "https://me:canary@id.example.com").unwrap_err();
        assert_eq!(error.message, "`token_endpoint` must not hold a user name or password");
    }
}
