//! The request target: taken apart without decoding, and refused where two servers might read it in
//! two ways.

use crate::refusal::Refusal;

/// The parts of a request target, borrowed.
pub(super) struct Target<'a> {
    /// The authority of an absolute-form target.
    pub(super) authority: Option<&'a [u8]>,
    pub(super) path: &'a [u8],
    pub(super) query: Option<&'a [u8]>,
    whole: &'a [u8],
}

/// Takes origin-form and absolute-form apart (RFC 9112 section 3.2). Other forms are left for
/// [`Target::check`], since the method may be what is wrong.
pub(super) fn split(target: &[u8]) -> Result<Target<'_>, Refusal> {
    let scheme = b"http://";
    let absolute = target.len() >= scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme);
    let (authority, rest) = if absolute {
        let after = &target[scheme.len()..];
        let end = after.iter().position(|byte| b"/?#\\".contains(byte)).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        (Some(authority), if rest.is_empty() { b"/".as_slice() } else { rest })
    } else {
        (None, target)
    };
    let (path, query) = match rest.iter().position(|byte| *byte == b'?') {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    Ok(Target { authority, path, query, whole: target })
}

impl Target<'_> {
    /// Refuses what is not a plain path and query.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let odd = |byte: &u8| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'#');
        if self.whole.iter().any(odd) {
            return Err(Refusal::Malformed("the request target holds a byte that no URL has"));
        }
        if !self.path.starts_with(b"/") {
            return Err(Refusal::Malformed("the request target is not a path"));
        }
        if has_dot_segment(self.path) {
            return Err(Refusal::Malformed("the request target has a dot segment"));
        }
        Ok(())
    }
}

/// Whether some server would see a `.` or `..` segment: percent-decoded once, split at `/` and `\`,
/// path parameters (`;x`) cut off. Envoy CVE-2026-73511 and Traefik GHSA-6jwx-7vp4-9847 are what a
/// laxer reading costs.
fn has_dot_segment(path: &[u8]) -> bool {
    if !path.iter().any(|byte| matches!(byte, b'.' | b'%')) {
        return false;
    }
    let is_dots = |dots: usize, others: bool| !others && (dots == 1 || dots == 2);
    let (mut dots, mut others, mut parameters) = (0, false, false);
    for byte in decoded(path) {
        match byte {
            b'/' | b'\\' => {
                if is_dots(dots, others) {
                    return true;
                }
                (dots, others, parameters) = (0, false, false);
            }
            b';' => parameters = true,
            _ if parameters => {}
            b'.' => dots += 1,
            _ => others = true,
        }
    }
    is_dots(dots, others)
}

fn decoded(path: &[u8]) -> impl Iterator<Item = u8> {
    percent_encoding::percent_decode(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_dot_segment_is_seen_in_every_spelling() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/..",
            "/.",
            "/a/..",
            "/%2e%2e/b",
            "/%2E./b",
            "/a/.%2e",
            "/..;x/b",
            "/..;/b",
            "/a/..%2fb",
            "/a%2f..%2fb",
            "/a/..%5cb",
            "/a%5C..",
            "/.;jsessionid=1/b",
            "/%2e%2e;x",
            "/a/%2e",
        ] {
            assert!(has_dot_segment(path.as_bytes()), "{path} passed");
        }
    }

    #[test]
    fn dots_inside_a_name_are_not_a_segment() {
        for path in [
            "/v1.0/me",
            "/...",
            "/a..b",
            "/.hidden",
            "/a.",
            "/a;..",
            "/a;x=../b",
            "/%2e%2e%2e",
            "/x%2e",
            "/",
            "//a",
            "/%252e%252e/b",
            "/a%20b",
        ] {
            assert!(!has_dot_segment(path.as_bytes()), "{path} was refused");
        }
    }

    #[test]
    fn a_target_is_split_and_not_decoded() {
        let parts = |text: &'static str| {
            let target = split(text.as_bytes()).ok().unwrap();
            let text = |bytes: &'static [u8]| std::str::from_utf8(bytes).unwrap();
            (target.authority.map(text), text(target.path), target.query.map(text))
        };
        assert_eq!(parts("/a%2Fb?c=d?e"), (None, "/a%2Fb", Some("c=d?e")));
        assert_eq!(parts("/a?"), (None, "/a", Some("")));
        assert_eq!(parts("HTTP://h:1/a"), (Some("h:1"), "/a", None));
        assert_eq!(parts("http://h:1"), (Some("h:1"), "/", None));
        assert_eq!(parts("//evil/x"), (None, "//evil/x", None));
    }
}
