//! Scheme, host and port: what a credential is bound to, and what a connection is opened to.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// How an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Cleartext: loopback only.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The scheme as in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port a URL of this scheme means when it names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// One scheme, host and port. `http` exists for loopback only: a token never crosses a network in
/// the clear, and no configuration can say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: Host<String>,
    port: u16,
}

/// Why a URL cannot be an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// Not a URL at all.
    #[error("`{0}` is not a URL: {1}")]
    NotAUrl(String, url::ParseError),
    /// Neither http nor https.
    #[error("`{0}` is neither https nor http")]
    Scheme(String),
    /// Cleartext to another machine.
    #[error("`{0}` would cross the network in the clear: use https, http is for loopback only")]
    Cleartext(String),
    /// User name or password in the URL.
    #[error("the URL of {0} carries a user name or password")]
    Userinfo(String),
    /// A query or fragment where only scheme, host, port and path make sense.
    #[error("`{0}` has a query or a fragment")]
    Trailing(String),
}

impl Origin {
    /// The origin of a URL, if a credential may be sent there.
    pub fn of(url: &Url) -> Result<Self, InvalidOrigin> {
        let (scheme, host) = match (url.scheme(), url.host()) {
            ("https", Some(host)) => (Scheme::Https, host.to_owned()),
            ("http", Some(host)) => (Scheme::Http, host.to_owned()),
            (scheme, _) => return Err(InvalidOrigin::Scheme(scheme.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidOrigin::Userinfo(host.to_string()));
        }
        let port = url.port().unwrap_or(scheme.default_port());
        let origin = Self { scheme, host, port };
        if scheme == Scheme::Http && !origin.is_loopback() {
            return Err(InvalidOrigin::Cleartext(origin.to_string()));
        }
        Ok(origin)
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, IP literals recognised.
    pub fn host(&self) -> &Host<String> {
        &self.host
    }

    /// The port, the scheme's default filled in.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.0/8`, `::1` and `localhost`: this machine, whatever name service says.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        }
    }

    /// The address, if the host is written as one.
    pub fn ip(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some((*address).into()),
            Host::Ipv6(address) => Some((*address).into()),
        }
    }

    /// `host` or `host:port`, as a `Host` field carries it: the default port is left out.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn origin(text: &str) -> Result<String, InvalidOrigin> {
        Origin::of(&Url::parse(text).unwrap()).map(|origin| origin.to_string())
    }

    #[test]
    fn the_default_port_is_implied_and_another_is_kept() {
        assert_eq!(origin("https://api.example.com/v1").unwrap(), "https://api.example.com");
        assert_eq!(origin("https://api.example.com:8443").unwrap(), "https://api.example.com:8443");
        assert_eq!(origin("http://[::1]:9000/").unwrap(), "http://[::1]:9000");
    }

    #[test]
    fn cleartext_is_for_this_machine_only() {
        for here in ["http://127.0.0.1", "http://127.9.9.9:1", "http://localhost:1", "http://[::1]"] {
            assert!(origin(here).is_ok(), "{here}");
        }
        for elsewhere in
            ["http://example.com", "http://10.0.0.1", "http://localhost.example", "http://0.0.0.0"]
        {
            assert!(matches!(origin(elsewhere), Err(InvalidOrigin::Cleartext(_))), "{elsewhere}");
        }
    }

    #[test]
    fn a_url_with_a_password_is_refused_without_repeating_it() {
        let refused = origin("https://user:hunter2@example.com").unwrap_err();
        assert_eq!(refused.to_string(), "the URL of example.com carries a user name or password");
    }
}
