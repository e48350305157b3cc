//! Where a head ends. Bytes may come one at a time; none is looked at again, so that a slow sender costs no more
//! than a fast one.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::bytes::find;
use crate::head::{HeadError, Limits};

/// The search for the end of one head.
#[derive(Clone, Debug, Default)]
pub struct HeadEnd {
    /// How far it has come.
    seen: usize,
    /// Where the line under way begins.
    line: usize,
    /// Whether the start line is complete.
    started: bool,
}

impl HeadEnd {
    /// Looks at what has come in so far, from the first byte of the head on: where the head ends, or `None` if not
    /// all of it is there. What is not whole and cannot become a head is refused as soon as that shows.
    pub fn find(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, HeadError> {
        if self.seen == 0 && self.line == 0 {
            if let Some(end) = whole(bytes, limits) {
                return Ok(Some(end));
            }
            // An empty line before the start line is an old client's slip (RFC 9112 section 2.2). One.
            match bytes {
                [b'\r', b'\n', ..] => (self.seen, self.line) = (2, 2),
                [b'\r'] => return Ok(None),
                _ => {}
            }
        }
        while let Some(at) = bytes.get(self.seen..).and_then(|rest| find(b'\n', rest)) {
            let end = self.seen + at;
            if end == self.line || bytes[end - 1] != b'\r' {
                return Err(HeadError::Malformed("a line ends without a carriage return"));
            }
            let is_empty = end - 1 == self.line;
            if !self.started {
                limits.start_line(end - self.line)?;
                plain(&bytes[self.line..end - 1])?;
                if is_empty {
                    return Err(HeadError::Malformed("there is no start line"));
                }
                self.started = true;
            }
            (self.seen, self.line) = (end + 1, end + 1);
            limits.head(self.seen)?;
            if is_empty {
                return Ok(Some(self.seen));
            }
        }
        self.look_ahead(bytes, limits)?;
        // A carriage return at the end is looked at again with what follows it.
        self.seen = bytes.len() - usize::from(bytes.ends_with(b"\r"));
        Ok(None)
    }

    /// What has begun and cannot end well: a start line that is none, as TLS to a port that speaks in the clear.
    fn look_ahead(&self, bytes: &[u8], limits: &Limits) -> Result<(), HeadError> {
        if !self.started {
            limits.start_line(bytes.len().saturating_sub(self.line))?;
            let new = bytes.get(self.seen..).unwrap_or_default();
            // The carriage return of a line whose end has not come yet.
            plain(new.strip_suffix(b"\r").unwrap_or(new))?;
        }
        limits.head(bytes.len())
    }
}

/// The end of a head that has come at once, as most do, without a look at its lines: whoever reads it looks at each.
fn whole(bytes: &[u8], limits: &Limits) -> Option<usize> {
    static EMPTY_LINE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));
    let may_be = bytes.len() <= limits.start_line.min(limits.bytes) && bytes.first()? > &b' ';
    if may_be { EMPTY_LINE.find(bytes).map(|at| at + 4) } else { None }
}

/// Refuses what no start line holds, folded so that many bytes are looked at together.
fn plain(line: &[u8]) -> Result<(), HeadError> {
    let plain =
        line.iter().fold(true, |plain, byte| plain & (*byte >= b' ' || *byte == b'\t') & (*byte != 0x7f));
    if plain { Ok(()) } else { Err(HeadError::Malformed("the start line holds a control byte")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    const LIMITS: Limits = Limits { start_line: 32, fields: 8, bytes: 64 };

    /// The same at once and in two pieces, wherever they are split, and byte by byte.
    fn find(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        let at_once = HeadEnd::default().find(bytes, &LIMITS);
        for split in 0..=bytes.len() {
            let mut search = HeadEnd::default();
            let in_two = search.find(&bytes[..split], &LIMITS).and_then(|found| match found {
                None => search.find(bytes, &LIMITS),
                found => Ok(found),
            });
            assert_eq!(in_two, at_once, "split at {split} of {}", bytes.escape_ascii());
        }
        let mut search = HeadEnd::default();
        let bytewise = (1..=bytes.len()).map(|count| search.find(&bytes[..count], &LIMITS));
        let bytewise = bytewise.into_iter().find(|found| *found != Ok(None)).unwrap_or(Ok(None));
        assert_eq!(bytewise, at_once, "byte by byte: {}", bytes.escape_ascii());
        at_once
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(find(b"GET / HTTP/1.1\r\n\r\nbody"), Ok(Some(18)));
        assert_eq!(find(b"GET / HTTP/1.1\r\na: b\r\n\r\n"), Ok(Some(24)));
        assert_eq!(find(b"\r\nGET / HTTP/1.1\r\n\r\n"), Ok(Some(20)));
        for partial in ["", "G", "GET / HTTP/1.1", "GET / HTTP/1.1\r", "GET / HTTP/1.1\r\n", "\r", "\r\n"] {
            assert_eq!(find(partial.as_bytes()), Ok(None), "{partial:?}");
        }
    }

    #[test]
    fn a_line_that_ends_in_a_bare_line_feed_is_refused_at_once() {
        for bytes in ["GET / HTTP/1.1\n", "GET / HTTP/1.1\r\na: b\n", "\n", "GET / HTTP/1.1\r\na: b\r\n\n"] {
            assert!(matches!(find(bytes.as_bytes()), Err(HeadError::Malformed(_))), "{bytes:?}");
        }
        assert!(matches!(find(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Err(HeadError::Malformed(_))));
    }

    #[test]
    fn what_is_no_http_is_refused_before_its_first_line_ends() {
        for bytes in [b"\x16\x03\x01\x02\0".as_slice(), b"GET /\0", b"GET /\ra", b"\x7f"] {
            assert!(matches!(find(bytes), Err(HeadError::Malformed(_))), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_head_without_an_end_is_refused_at_the_limit() {
        assert_eq!(find(&[b'a'; 33]), Err(HeadError::TargetTooLong));
        let long = [b"GET / HTTP/1.1\r\n".as_slice(), &[b'a'; 49]].concat();
        assert_eq!(find(&long), Err(HeadError::TooLarge));
        assert_eq!(find(&long[..64]), Ok(None));
    }
}
