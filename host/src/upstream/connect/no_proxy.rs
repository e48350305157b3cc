//! `NO_PROXY`: the hosts reached directly, by curl's and Go's common rules.

use std::net::IpAddr;

use url::Host;

use crate::upstream::Origin;

/// The entries of `NO_PROXY`.
#[derive(Default)]
pub(super) struct NoProxy(Vec<Entry>);

enum Entry {
    Everything,
    /// The name and every name below it.
    Domain {
        name: String,
        port: Option<u16>,
    },
    /// Addresses that share `bits` leading bits.
    Network {
        address: IpAddr,
        bits: u8,
        port: Option<u16>,
    },
}

impl NoProxy {
    /// Entries separated by commas or spaces; what is not an entry matches nothing.
    pub(super) fn parse(text: &str) -> Self {
        Self(
            text.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty()).map(Entry::parse).collect(),
        )
    }

    pub(super) fn matches(&self, origin: &Origin) -> bool {
        self.0.iter().any(|entry| entry.matches(origin))
    }
}

impl Entry {
    fn parse(word: &str) -> Self {
        if word == "*" {
            return Self::Everything;
        }
        if let Some((address, bits)) = word.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse(), bits.parse())
        {
            return Self::Network { address, bits, port: None };
        }
        if let Ok(address) = word.trim_matches(['[', ']']).parse() {
            return Self::Network { address, bits: 128, port: None };
        }
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (word, None),
        };
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => Self::Network { address, bits: 128, port },
            Err(_) => Self::Domain { name: host.trim_start_matches(['*', '.']).to_ascii_lowercase(), port },
        }
    }

    fn matches(&self, origin: &Origin) -> bool {
        let here = |port: &Option<u16>| port.is_none_or(|port| port == origin.port());
        match (self, origin.host()) {
            (Self::Everything, _) => true,
            (Self::Domain { name, port }, Host::Domain(host)) => {
                let below = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && here(port)
            }
            (Self::Network { address, bits, port }, _) => {
                origin.ip().is_some_and(|ip| shares(ip, *address, *bits)) && here(port)
            }
            (Self::Domain { .. }, _) => false,
        }
    }
}

/// Whether two addresses of one family share their first `bits` bits.
fn shares(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let (one, other, width) = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits()), u128::from(other.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    let dropped = width - u32::from(bits).min(width);
    one.checked_shr(dropped) == other.checked_shr(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(no_proxy: &str, url: &str) -> bool {
        NoProxy::parse(no_proxy).matches(&Origin::of(&url::Url::parse(url).unwrap()).unwrap())
    }

    #[test]
    fn a_domain_covers_itself_and_what_is_below_it_but_not_its_lookalikes() {
        for entry in ["example.com", ".example.com", "*.example.com", "other, example.com"] {
            assert!(matches(entry, "https://example.com"), "{entry}");
            assert!(matches(entry, "https://api.example.com"), "{entry}");
            assert!(!matches(entry, "https://badexample.com"), "{entry}");
        }
        assert!(matches("example.com:8443", "https://example.com:8443"));
        assert!(!matches("example.com:8443", "https://example.com"));
    }

    #[test]
    fn addresses_match_by_value_or_network() {
        assert!(matches("10.0.0.0/8", "https://10.9.8.7"));
        assert!(!matches("10.0.0.0/8", "https://11.0.0.1"));
        assert!(matches("10.1.2.3", "https://10.1.2.3"));
        assert!(matches("fd00::/8", "https://[fd12::1]"));
        assert!(matches("0.0.0.0/0", "https://8.8.8.8"));
        assert!(!matches("10.0.0.0/8", "https://api.example.com"));
    }

    #[test]
    fn a_star_is_everything_and_nothing_is_nothing() {
        assert!(matches("*", "https://example.com"));
        assert!(!matches("", "https://example.com"));
    }
}
