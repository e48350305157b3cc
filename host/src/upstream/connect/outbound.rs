//! Which outbound proxy, if any, leads to an origin.
//!
//! Only `https` ever meets one: cleartext upstreams are on loopback, and loopback is always direct.
//! So `HTTP_PROXY` has nothing to say here.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::no_proxy::NoProxy;
use crate::secret::Secret;
use crate::upstream::Origin;

/// The `outbound_proxy` setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum OutboundProxy {
    /// What `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    #[default]
    Env,
    /// Always this one, but for loopback.
    Url(ProxyUrl),
    /// Never one.
    None,
}

impl FromStr for OutboundProxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        match text {
            "env" => Ok(Self::Env),
            "none" => Ok(Self::None),
            url => url.parse().map(Self::Url),
        }
    }
}

/// The URL of an outbound proxy. Shown without its password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyUrl {
    url: Url,
    host: Host<String>,
    port: u16,
}

/// Why a text is not the URL of a proxy we can use. The text may hold a password: it is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    /// Not a URL.
    #[error("the outbound proxy is not a URL: {0}")]
    NotAUrl(#[from] url::ParseError),
    /// SOCKS, or TLS to the proxy itself.
    #[error("an outbound proxy of scheme `{0}` is not supported, only http")]
    Scheme(String),
}

impl ProxyUrl {
    pub(super) fn host(&self) -> &Host<String> {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The value of `Proxy-Authorization`, if the URL carries a user name.
    pub(super) fn authorization(&self) -> Option<Secret> {
        if self.url.username().is_empty() {
            return None;
        }
        let mut pair: Vec<u8> = percent_decode_str(self.url.username()).collect();
        pair.push(b':');
        pair.extend(percent_decode_str(self.url.password().unwrap_or_default()));
        Some(format!("Basic {}", BASE64_STANDARD.encode(pair)).into())
    }
}

impl FromStr for ProxyUrl {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        // curl and Go take `host:port` without a scheme, and so do the variables people have set.
        let url =
            if text.contains("://") { Url::parse(text)? } else { Url::parse(&format!("http://{text}"))? };
        match (url.scheme(), url.host()) {
            ("http", Some(host)) => {
                let (host, port) = (host.to_owned(), url.port().unwrap_or(80));
                Ok(Self { url, host, port })
            }
            (scheme, _) => Err(InvalidProxy::Scheme(scheme.to_owned())),
        }
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The setting with the environment read.
pub(super) struct Rules {
    proxy: Option<ProxyUrl>,
    no_proxy: NoProxy,
}

impl Rules {
    /// Reads the environment through `variable`, so that tests need not change the process's.
    pub(super) fn resolve(setting: &OutboundProxy, variable: impl Fn(&str) -> Option<String>) -> Self {
        match setting {
            OutboundProxy::None => Self { proxy: None, no_proxy: NoProxy::default() },
            OutboundProxy::Url(url) => Self { proxy: Some(url.clone()), no_proxy: NoProxy::default() },
            OutboundProxy::Env => {
                let first = |names: [&str; 2]| {
                    names.into_iter().filter_map(&variable).find(|value| !value.is_empty())
                };
                let written =
                    first(["https_proxy", "HTTPS_PROXY"]).or_else(|| first(["all_proxy", "ALL_PROXY"]));
                Self {
                    proxy: written.and_then(|text| usable(&text)),
                    no_proxy: NoProxy::parse(&first(["no_proxy", "NO_PROXY"]).unwrap_or_default()),
                }
            }
        }
    }

    /// The proxy on the way to `origin`; none for loopback.
    pub(super) fn proxy_for(&self, origin: &Origin) -> Option<&ProxyUrl> {
        self.proxy.as_ref().filter(|_| !origin.is_loopback() && !self.no_proxy.matches(origin))
    }
}

fn usable(text: &str) -> Option<ProxyUrl> {
    text.parse().inspect_err(|error| tracing::warn!(%error, "the proxy in the environment is not used")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn through(setting: &str, environment: &[(&str, &str)], url: &str) -> Option<String> {
        let variable = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let rules = Rules::resolve(&setting.parse().unwrap(), variable);
        let origin = Origin::of(&Url::parse(url).unwrap()).unwrap();
        rules.proxy_for(&origin).map(ToString::to_string)
    }

    #[test]
    fn the_environment_decides_unless_the_setting_does() {
        let environment = [("HTTPS_PROXY", "http://corp:3128"), ("NO_PROXY", "internal.example")];
        let to = "https://api.example.com";
        assert_eq!(through("env", &environment, to), Some("http://corp:3128".into()));
        assert_eq!(through("env", &environment, "https://git.internal.example"), None);
        assert_eq!(through("none", &environment, to), None);
        assert_eq!(through("http://other:1", &environment, to), Some("http://other:1".into()));
        assert_eq!(through("env", &[("all_proxy", "corp:8080")], to), Some("http://corp:8080".into()));
        assert_eq!(through("env", &[], to), None);
    }

    #[test]
    fn loopback_is_never_proxied() {
        let environment = [("HTTPS_PROXY", "http://corp:3128")];
        for here in ["https://localhost:9443", "https://127.0.0.1", "https://[::1]:1"] {
            assert_eq!(through("env", &environment, here), None);
            assert_eq!(through("http://corp:1", &environment, here), None);
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let proxy: ProxyUrl = "http://ann:hunter2@corp:3128".parse().unwrap();
        assert_eq!(format!("{proxy} {proxy:?}"), "http://corp:3128 http://corp:3128");
        let refused = "socks5://ann:hunter2@corp".parse::<ProxyUrl>().unwrap_err();
        assert!(!refused.to_string().contains("hunter2"));
    }
}
