//! Links into the upstream become links to us, so that a client that follows them stays with its
//! credential.

use super::relay::Client;
use crate::route::Mount;
use crate::upstream::{Base, Origin};

/// What links are rewritten between.
pub(super) struct Links<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) base: &'a Base,
}

/// Where a reference points, taken apart without decoding.
enum Reference<'a> {
    /// A scheme and authority, or an authority alone; then a path with everything behind it.
    Absolute { scheme: Option<&'a [u8]>, authority: &'a [u8], path: &'a [u8] },
    /// A path from the root of the upstream.
    Rooted(&'a [u8]),
    /// Relative to the request: below the route it means the same to the client as to the upstream.
    Relative,
}

impl Links<'_> {
    /// The URI reference as the client must see it; `None` if it can stay as it is.
    pub(super) fn reference(&self, value: &[u8]) -> Option<Vec<u8>> {
        match parse(value) {
            Reference::Relative => None,
            Reference::Absolute { scheme, authority, path } => {
                let ours = is_origin(self.base.origin(), scheme, authority);
                ours.then(|| self.below_base(path)).flatten().map(|rest| self.to_us(rest))
            }
            Reference::Rooted(path) => Some(match self.below_base(path) {
                Some(rest) => self.to_us(rest),
                // Outside the route: the reference means the upstream's root, not ours.
                None => [self.base.origin().to_string().as_bytes(), path].concat(),
            }),
        }
    }

    fn to_us(&self, rest: &[u8]) -> Vec<u8> {
        let mut link = match self.client.mount {
            // Whatever name it calls, it calls us: the upstream's own stays right, but for the base path, which
            // we add again.
            Mount::Upstream => self.base.origin().to_string().into_bytes(),
            Mount::Root | Mount::Path => [b"http://", self.client.authority].concat(),
        };
        if self.client.mount == Mount::Path {
            link.push(b'/');
            link.extend_from_slice(self.client.path.as_bytes());
        }
        if !rest.starts_with(b"/") {
            link.push(b'/');
        }
        link.extend_from_slice(rest);
        link
    }

    /// What follows the base path, if `path` is at or below it.
    fn below_base<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let rest = path.strip_prefix(self.base.path().as_bytes())?;
        (rest.is_empty() || b"/?#".contains(&rest[0])).then_some(rest)
    }
}

/// Rewrites the targets of a `Link` field (RFC 8288 section 3): `<URI>; rel="next", <URI>; ...`.
/// `None` if none of them changes.
pub(super) fn link(links: &Links<'_>, value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let mut changed = false;
    let (mut rest, mut quoted) = (value, false);
    while let Some((&byte, after)) = rest.split_first() {
        let target = (byte == b'<' && !quoted)
            .then(|| after.iter().position(|byte| *byte == b'>').map(|end| &after[..end]))
            .flatten();
        out.push(byte);
        rest = after;
        if let Some(target) = target {
            let rewritten = links.reference(target);
            changed |= rewritten.is_some();
            out.extend_from_slice(rewritten.as_deref().unwrap_or(target));
            rest = &after[target.len()..];
        } else if byte == b'\\' && quoted {
            out.extend_from_slice(&after[..after.len().min(1)]);
            rest = &after[after.len().min(1)..];
        } else if byte == b'"' {
            quoted = !quoted;
        }
    }
    changed.then_some(out)
}

fn parse(value: &[u8]) -> Reference<'_> {
    if let Some(after) = value.strip_prefix(b"//") {
        let (authority, path) = split_authority(after);
        return Reference::Absolute { scheme: None, authority, path };
    }
    if value.starts_with(b"/") {
        return Reference::Rooted(value);
    }
    let colon = value.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte));
    match colon.map(|at| (&value[..at], &value[at..])) {
        Some((scheme, after)) if after.starts_with(b"://") => {
            let (authority, path) = split_authority(&after[3..]);
            Reference::Absolute { scheme: Some(scheme), authority, path }
        }
        _ => Reference::Relative,
    }
}

fn split_authority(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(text.len()))
}

/// Whether scheme and authority are the upstream's. One with user information is not.
fn is_origin(origin: &Origin, scheme: Option<&[u8]>, authority: &[u8]) -> bool {
    let same_scheme =
        scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case(origin.scheme().as_str().as_bytes()));
    let named = |text: String| authority.eq_ignore_ascii_case(text.as_bytes());
    same_scheme && (named(origin.authority()) || named(format!("{}:{}", origin.host(), origin.port())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn rewritten(base: &str, mount: Mount, value: &str) -> Option<String> {
        let client =
            Client { authority: b"localhost:8462", path: "graph", mount, cors: None, websocket: false };
        let base = base.parse().unwrap();
        Links { client: &client, base: &base }
            .reference(value.as_bytes())
            .map(|link| String::from_utf8(link).unwrap())
    }

    #[test]
    fn a_link_below_the_base_leads_back_to_us() {
        for (link, expected) in [
            ("https://up.example/v1.0/me?page=2", "http://localhost:8462/graph/me?page=2"),
            ("HTTPS://UP.example:443/v1.0/me#x", "http://localhost:8462/graph/me#x"),
            ("//up.example/v1.0/a%2Fb", "http://localhost:8462/graph/a%2Fb"),
            ("https://up.example/v1.0", "http://localhost:8462/graph/"),
            ("https://up.example/v1.0?x", "http://localhost:8462/graph/?x"),
            ("/v1.0/me", "http://localhost:8462/graph/me"),
        ] {
            assert_eq!(
                rewritten("https://up.example/v1.0", Mount::Path, link).as_deref(),
                Some(expected),
                "{link}"
            );
        }
        let at_root = rewritten("https://up.example", Mount::Root, "https://up.example/upload/x");
        assert_eq!(at_root.unwrap(), "http://localhost:8462/upload/x");
    }

    #[test]
    fn a_client_that_takes_us_for_the_upstream_keeps_the_upstreams_name() {
        for (base, link, expected) in [
            ("https://up.example", "https://up.example/r?page=2", "https://up.example/r?page=2"),
            (
                "https://up.example/api/v3",
                "https://up.example/api/v3/r?page=2",
                "https://up.example/r?page=2",
            ),
            ("https://up.example/api/v3", "/api/v3/r", "https://up.example/r"),
        ] {
            assert_eq!(rewritten(base, Mount::Upstream, link).as_deref(), Some(expected), "{base} {link}");
        }
    }

    #[test]
    fn a_link_to_anywhere_else_stays_what_it_is() {
        for link in [
            "https://other.example/v1.0/me",
            "http://up.example/v1.0/me",
            "https://up.example:8443/v1.0/me",
            "https://up.example/v1.0x/me",
            "https://up.example/v2.0/me",
            "https://up.example@evil.example/v1.0/me",
            "https://user@up.example/v1.0/me",
            "next?page=2",
            "?page=2",
            "mailto:a@b",
            "",
        ] {
            assert_eq!(rewritten("https://up.example/v1.0", Mount::Path, link), None, "{link}");
        }
    }

    #[test]
    fn a_rooted_link_outside_the_base_means_the_upstream() {
        let link = rewritten("https://up.example/v1.0", Mount::Path, "/login?next=/v1.0");
        assert_eq!(link.unwrap(), "https://up.example/login?next=/v1.0");
    }

    #[test]
    fn every_target_of_a_link_field_is_rewritten_and_nothing_else() {
        let client = Client {
            authority: b"localhost:8462",
            path: "gh",
            mount: Mount::Path,
            cors: None,
            websocket: false,
        };
        let base = "https://api.example".parse().unwrap();
        let links = Links { client: &client, base: &base };
        let value = br#"<https://api.example/r?page=2>; rel="next"; title="a, <https://api.example/x> \" b", <https://else.example/>; rel=last"#;
        assert_eq!(
            String::from_utf8(link(&links, value).unwrap()).unwrap(),
            r#"<http://localhost:8462/gh/r?page=2>; rel="next"; title="a, <https://api.example/x> \" b", <https://else.example/>; rel=last"#
        );
        assert_eq!(link(&links, b"<https://else.example/>; rel=next"), None);
        assert_eq!(link(&links, b"<https://api.example/unclosed"), None);
        assert_eq!(link(&links, b"\"\\"), None);
    }
}
