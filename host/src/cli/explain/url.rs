//! Which listener a URL leads to. The URL is taken apart by bytes: a library would fold its dot segments, which
//! the proxy refuses.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::app::Asked;
use crate::cli::error::CliError;
use crate::message::Local;
use crate::model::Name;

/// A URL as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed<'a> {
    /// `http://127.0.0.1:8462/graph/me`
    Web { scheme: &'a str, authority: &'a str, target: &'a str },
    /// `/graph/me`, at the first listener.
    Path(&'a str),
    /// `unix:/run/ccproxy.sock:/graph/me`
    Socket(&'a str),
}

/// The listeners of the proxy, as URLs.
#[derive(Debug)]
pub(super) struct Listeners {
    /// Those that lead to every route.
    pub(super) shared: Vec<String>,
    /// Those that routes have to themselves.
    pub(super) own: BTreeMap<Name, String>,
}

/// Where a request comes in, and what it says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Incoming {
    /// The listener.
    pub(super) listener: String,
    pub(super) dedicated: Option<Name>,
    local: Local,
    pub(super) authority: String,
    pub(super) target: String,
    /// Whether a client that has this URL would come here at all.
    pub(super) certain: bool,
}

impl<'a> Typed<'a> {
    pub(super) fn parse(url: &'a str) -> Result<Self, CliError> {
        // Clients keep the fragment to themselves.
        let url = url.split('#').next().unwrap_or_default();
        if url.starts_with('/') {
            return Ok(Self::Path(url));
        }
        if let Some(rest) = url.strip_prefix("unix:") {
            return Ok(Self::Socket(rest));
        }
        // As curl reads it.
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(CliError::usage(format!("`{scheme}` is not the scheme of a URL of ccproxy"))
                .hint("ccproxy explain GET http://127.0.0.1:8462/ROUTE/"));
        }
        if authority.contains('@') {
            return Err(CliError::usage("a URL of ccproxy has no user name or password")
                .hint("leave out what stands before the `@`"));
        }
        if authority.is_empty() {
            return Err(CliError::usage("the URL names no host")
                .hint("ccproxy explain GET http://127.0.0.1:8462/ROUTE/"));
        }
        Ok(Self::Web { scheme, authority, target })
    }
}

impl Listeners {
    /// Where a request of this URL comes in.
    pub(super) fn choose(&self, typed: Typed<'_>) -> Result<Incoming, CliError> {
        match typed {
            Typed::Path(target) => Ok(self.first(None, target)),
            Typed::Socket(rest) => self.socket(rest),
            Typed::Web { scheme, authority, target } => self.web(scheme, authority, target),
        }
    }

    /// All of them, the shared ones first.
    fn all(&self) -> impl Iterator<Item = (&str, Option<&Name>)> {
        let shared = self.shared.iter().map(|url| (url.as_str(), None));
        shared.chain(self.own.iter().map(|(name, url)| (url.as_str(), Some(name))))
    }

    fn first(&self, authority: Option<&str>, target: &str) -> Incoming {
        // All are descriptors that only the running host can look at.
        let listener = self.shared.first().map_or("http://127.0.0.1:8462", String::as_str);
        let host = address(listener).map_or_else(|| "localhost".to_owned(), |address| address.to_string());
        let authority = authority.map_or(host, str::to_owned);
        incoming((listener, None), authority, target)
    }

    fn socket(&self, rest: &str) -> Result<Incoming, CliError> {
        let below = |url: &str| {
            let target = rest.strip_prefix(url.strip_prefix("unix:")?)?;
            let target = target.strip_prefix(':').unwrap_or(target);
            (target.is_empty() || target.starts_with('/')).then(|| target.to_owned())
        };
        let mut found: Vec<_> =
            self.all().filter_map(|listener| Some((listener, below(listener.0)?))).collect();
        found.sort_by_key(|(_, target)| target.len());
        match found.into_iter().next() {
            Some((listener, target)) => Ok(incoming(listener, "localhost".into(), &target)),
            None => Err(CliError::not_found(format!("no listener has the socket `{rest}`"))
                .hint(self.places("ccproxy listens on"))),
        }
    }

    fn web(&self, scheme: &str, authority: &str, target: &str) -> Result<Incoming, CliError> {
        let (host, port) = split(authority);
        let default = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
        let reached = |url: &str| {
            let own = address(url)?;
            let same = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(ip) => own.ip() == ip || own.ip().is_unspecified(),
                Err(_) => true,
            };
            (port.unwrap_or(default) == own.port() && same).then_some(())
        };
        if let Some(listener) = self.all().find(|(url, _)| reached(url).is_some()) {
            let speaks = listener.0.split(':').next().unwrap_or_default();
            if !speaks.eq_ignore_ascii_case(scheme) {
                let path = target.split('?').next().unwrap_or_default();
                return Err(CliError::usage(format!("{} speaks {speaks}, not {scheme}", listener.0))
                    .hint(format!("ccproxy explain GET {speaks}://{authority}{path}")));
            }
            return Ok(incoming(listener, authority.to_owned(), target));
        }
        // A client of a route's socket calls any name; ours for it is the route's.
        let label = host.strip_suffix(".localhost").unwrap_or(host);
        let socket = self.own.iter().find(|(name, url)| name.as_str() == label && url.starts_with("unix:"));
        if let Some((name, url)) = socket.filter(|_| port.is_none()) {
            return Ok(incoming((url, Some(name)), authority.to_owned(), target));
        }
        // `server.allowed_hosts` may name a door in front of ours, of any port.
        Ok(Incoming { certain: false, ..self.first(Some(authority), target) })
    }

    /// Where there would be something.
    pub(super) fn places(&self, intro: &str) -> String {
        let places: Vec<&str> = self.all().map(|(url, _)| url).collect();
        format!("{intro} {}", crate::hint::listed(places))
    }
}

impl Incoming {
    pub(super) fn asked<'a>(&'a self, method: &'a str) -> Asked<'a> {
        Asked {
            method,
            authority: &self.authority,
            target: &self.target,
            local: self.local,
            dedicated: self.dedicated.clone(),
        }
    }

    /// The path, without what may be private.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

fn incoming((url, dedicated): (&str, Option<&Name>), authority: String, target: &str) -> Incoming {
    Incoming {
        listener: url.to_owned(),
        dedicated: dedicated.cloned(),
        local: address(url).map_or(Local::Unix, Local::Tcp),
        authority,
        target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") },
        certain: true,
    }
}

/// The address of a listener that has one.
fn address(listener: &str) -> Option<SocketAddr> {
    listener.split_once("://")?.1.trim_end_matches('/').parse().ok()
}

/// Host and port of an authority; what is no port belongs to the host.
fn split(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn listeners() -> Listeners {
        let own = [("rpc", "http://127.0.0.1:8471"), ("gh", "unix:/run/gh.sock")];
        Listeners {
            shared: vec!["http://127.0.0.1:8462".into(), "http://[::1]:8462".into(), "unix:/run/all".into()],
            own: own.into_iter().map(|(name, url)| (name.parse().unwrap(), url.to_owned())).collect(),
        }
    }

    fn chosen(url: &str) -> (String, String, String) {
        let incoming = Typed::parse(url).and_then(|typed| listeners().choose(typed)).unwrap();
        let listener = if incoming.certain { incoming.listener } else { "?".into() };
        (listener, incoming.authority, incoming.target)
    }

    #[test]
    fn the_authority_of_a_url_chooses_the_listener() {
        for (url, listener, authority, target) in [
            ("http://127.0.0.1:8462/graph/me", "http://127.0.0.1:8462", "127.0.0.1:8462", "/graph/me"),
            ("http://[::1]:8462/a", "http://[::1]:8462", "[::1]:8462", "/a"),
            ("HTTP://localhost:8462", "http://127.0.0.1:8462", "localhost:8462", "/"),
            ("localhost:8462?a=b", "http://127.0.0.1:8462", "localhost:8462", "/?a=b"),
            ("http://graph.localhost:8462/me#top", "http://127.0.0.1:8462", "graph.localhost:8462", "/me"),
            ("http://127.0.0.1:8471/x", "http://127.0.0.1:8471", "127.0.0.1:8471", "/x"),
            ("http://gh.localhost/user", "unix:/run/gh.sock", "gh.localhost", "/user"),
            ("http://gh/user", "unix:/run/gh.sock", "gh", "/user"),
            ("unix:/run/gh.sock:/user", "unix:/run/gh.sock", "localhost", "/user"),
            ("unix:/run/gh.sock", "unix:/run/gh.sock", "localhost", "/"),
            ("unix:/run/all/graph/me", "unix:/run/all", "localhost", "/graph/me"),
            ("/graph/me", "http://127.0.0.1:8462", "127.0.0.1:8462", "/graph/me"),
            ("https://graph.example/v1.0/me", "?", "graph.example", "/v1.0/me"),
            ("http://127.0.0.5:8462/", "?", "127.0.0.5:8462", "/"),
            ("http://127.0.0.1:9/", "?", "127.0.0.1:9", "/"),
        ] {
            let expected = (listener.to_owned(), authority.to_owned(), target.to_owned());
            assert_eq!(chosen(url), expected, "{url}");
        }
    }

    #[test]
    fn the_path_stays_as_it_was_typed() {
        assert_eq!(chosen("http://127.0.0.1:8462/a/../%2e%2E//b c").2, "/a/../%2e%2E//b c");
    }

    #[test]
    fn what_is_no_url_of_a_proxy_is_told() {
        let refused =
            |url: &str| Typed::parse(url).and_then(|typed| listeners().choose(typed)).unwrap_err().message;
        assert_eq!(refused("ftp://x/"), "`ftp` is not the scheme of a URL of ccproxy");
        assert_eq!(refused("http:///x"), "the URL names no host");
        assert_eq!(
            refused("http://me:hunter2@localhost:8462/"),
            "a URL of ccproxy has no user name or password"
        );
        assert_eq!(refused("https://localhost:8462/"), "http://127.0.0.1:8462 speaks http, not https");
        assert_eq!(refused("unix:/run/other"), "no listener has the socket `/run/other`");
    }
}
