//! Heads as views into the bytes they came in. One spelling is read, every other is refused.

use crate::bytes::{find, is_target, is_token, is_value, token_length, trim, value_length};
use crate::field::{Field, Fields, Lines};
use crate::known::Known;

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of the start line.
    pub start_line: usize,
    /// The fields.
    pub fields: usize,
    /// The bytes of the whole head.
    pub bytes: usize,
}

impl Limits {
    pub(crate) fn start_line(&self, bytes: usize) -> Result<(), HeadError> {
        if bytes > self.start_line { Err(HeadError::TargetTooLong) } else { Ok(()) }
    }

    pub(crate) fn head(&self, bytes: usize) -> Result<(), HeadError> {
        if bytes > self.bytes { Err(HeadError::TooLarge) } else { Ok(()) }
    }
}

/// Why bytes are no head. Holds none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// They break the grammar, or two servers might read them in two ways.
    #[error("{0}")]
    Malformed(&'static str),
    /// The start line is too long.
    #[error("the start line is too long")]
    TargetTooLong,
    /// All fields together, or one of them, or their number.
    #[error("the head is too large")]
    TooLarge,
    /// Another version of HTTP.
    #[error("the version is neither HTTP/1.1 nor HTTP/1.0")]
    Version,
}

/// The version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunks, no interim responses, and a connection for each request unless both say otherwise.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The method, case as sent.
    pub method: &'a [u8],
    /// The target in whatever form was sent.
    pub target: &'a [u8],
    /// The version.
    pub version: Version,
    /// The fields in order.
    pub fields: Lines<'a>,
}

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead<'a> {
    /// The version.
    pub version: Version,
    /// The status code: three digits.
    pub status: u16,
    /// The reason phrase, often empty.
    pub reason: &'a [u8],
    /// The fields in order.
    pub fields: Lines<'a>,
}

/// Reads a request head, from its first byte to the end that [`crate::HeadEnd`] found. The fields are kept in `room`,
/// which its owner need not move.
pub fn request<'f, 'a: 'f>(
    head: &'a [u8],
    limits: &Limits,
    room: &'f mut Fields<'a>,
) -> Result<RequestHead<'f>, HeadError> {
    let mut lines = Reader { head, rest: head.strip_prefix(b"\r\n").unwrap_or(head) };
    let line = lines.next()?;
    limits.start_line(line.len() + 1)?;
    let (method, target, version) = request_line(line)?;
    lines.fields(limits, room)?;
    Ok(RequestHead { method, target, version, fields: Lines::read_from(head, room) })
}

/// Reads a response head, from its first byte to the end that [`crate::HeadEnd`] found; see [`request`].
pub fn response<'f, 'a: 'f>(
    head: &'a [u8],
    limits: &Limits,
    room: &'f mut Fields<'a>,
) -> Result<ResponseHead<'f>, HeadError> {
    let mut lines = Reader { head, rest: head };
    let (version, status, reason) = status_line(lines.next()?)?;
    lines.fields(limits, room)?;
    Ok(ResponseHead { version, status, reason, fields: Lines::read_from(head, room) })
}

/// The status of a response head whose end was found, before all of it is read.
pub fn status(head: &[u8]) -> Result<u16, HeadError> {
    Ok(status_line(Reader { head, rest: head }.next()?)?.1)
}

/// `method SP request-target SP HTTP-version` (RFC 9112 section 3): single spaces, nothing around them. HTTP/0.9 has
/// no version and is no request.
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), HeadError> {
    let malformed = HeadError::Malformed("the request line is not `METHOD target HTTP/1.1`");
    let (method, rest) = line.split_at(token_length(line));
    let target = rest.strip_prefix(b" ").filter(|_| !method.is_empty()).ok_or(malformed)?;
    let (target, rest) = target.split_at(find(b' ', target).ok_or(malformed)?);
    // A further space makes it no version.
    let version = version(&rest[1..]).map_err(|error| error.unwrap_or(malformed))?;
    if target.is_empty() {
        return Err(malformed);
    }
    if !is_target(target) {
        return Err(HeadError::Malformed("the request target holds a byte that no URL has"));
    }
    Ok((method, target, version))
}

/// `HTTP-version SP 3DIGIT SP [ reason-phrase ]` (RFC 9112 section 4). Many servers leave the second space out with
/// the reason.
fn status_line(line: &[u8]) -> Result<(Version, u16, &[u8]), HeadError> {
    let malformed = HeadError::Malformed("the status line is not `HTTP/1.1 200 reason`");
    let (name, rest) = line.split_at_checked(8).ok_or(malformed)?;
    let version = version(name).map_err(|error| error.unwrap_or(malformed))?;
    let (status, reason) = match rest {
        [b' ', a, b, c, b' ', reason @ ..] => ([*a, *b, *c], reason),
        [b' ', a, b, c] => ([*a, *b, *c], &[][..]),
        _ => return Err(malformed),
    };
    if !status.iter().all(u8::is_ascii_digit) || status[0] == b'0' || !is_value(reason) {
        return Err(malformed);
    }
    let status = status.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    Ok((version, status, reason))
}

/// `HTTP/` DIGIT `.` DIGIT, in capitals (RFC 9112 section 2.3); `None` if it is no version at all.
fn version(word: &[u8]) -> Result<Version, Option<HeadError>> {
    match word {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Some(HeadError::Version))
        }
        _ => Err(None),
    }
}

/// The lines of a complete head. That each line feed follows a carriage return is checked again: this reader does not
/// depend on who found the end.
struct Reader<'a> {
    head: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<&'a [u8], HeadError> {
        let end = find(b'\n', self.rest).ok_or(NO_END)?;
        let (line, rest) = self.rest.split_at(end + 1);
        self.rest = rest;
        line.strip_suffix(b"\r\n").ok_or(NO_RETURN)
    }

    fn fields(&mut self, limits: &Limits, room: &mut Fields<'a>) -> Result<(), HeadError> {
        room.clear();
        while !self.rest.starts_with(b"\r\n") {
            if room.len() == limits.fields {
                return Err(HeadError::TooLarge);
            }
            room.push(self.field()?);
        }
        match self.rest {
            b"\r\n" => Ok(()),
            _ => Err(HeadError::Malformed("the head goes on after its end")),
        }
    }

    /// `field-name ":" OWS field-value OWS CRLF` (RFC 9112 section 5). White space in front would be a folded line,
    /// white space behind the name is how a field is hidden from one of two servers.
    fn field(&mut self) -> Result<Field<'a>, HeadError> {
        let at = self.head.len() - self.rest.len();
        let (name, rest) = self.rest.split_at(find(b':', self.rest).unwrap_or(self.rest.len()));
        let known = Known::look_up(name);
        // A name that is known as a whole is a token.
        let is_whole = known.0 != Known::Other && !known.0.is_family();
        if rest.is_empty() || !(is_whole || is_token(name)) {
            return Err(self.why_no_field());
        }
        let value = &rest[1..];
        let (value, rest) = value.split_at(value_length(value));
        self.rest = match rest {
            [b'\r', b'\n', rest @ ..] => rest,
            [b'\n', ..] => return Err(NO_RETURN),
            [] => return Err(NO_END),
            _ => return Err(HeadError::Malformed("a field value holds a control byte")),
        };
        let trimmed = trim(value);
        let as_written = value.len() == trimmed.len() + 1 && value[0] == b' ';
        Ok(Field::of(name, trimmed, known, (at, as_written)))
    }

    /// What is wrong with a line that does not begin as a field's.
    fn why_no_field(&mut self) -> HeadError {
        match self.next() {
            Err(error) => error,
            Ok([b' ' | b'\t', ..]) => HeadError::Malformed("a field line is folded"),
            Ok(line) if line.contains(&b':') => HeadError::Malformed("a field name is not a token"),
            Ok(_) => HeadError::Malformed("a field line has no colon"),
        }
    }
}

const NO_END: HeadError = HeadError::Malformed("the head has no end");
const NO_RETURN: HeadError = HeadError::Malformed("a line ends without a carriage return");

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    const LIMITS: Limits = Limits { start_line: 256, fields: 4, bytes: 1024 };

    fn line(line: &str) -> Result<(String, String, Version), HeadError> {
        let head = format!("{line}\r\n\r\n");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        request(head.as_bytes(), &LIMITS, &mut Fields::new())
            .map(|head| (text(head.method), text(head.target), head.version))
    }

    fn one_field(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), HeadError> {
        let head = [b"GET / HTTP/1.1\r\n", line, b"\r\n\r\n"].concat();
        let mut fields = Fields::new();
        let head = request(&head, &LIMITS, &mut fields)?;
        assert_eq!(head.fields.len(), 1);
        Ok((head.fields[0].name.to_vec(), head.fields[0].value.to_vec()))
    }

    #[test]
    fn a_request_line_has_three_words() {
        let read = |method: &str, target: &str, version| Ok((method.into(), target.into(), version));
        assert_eq!(line("GET / HTTP/1.1"), read("GET", "/", Version::Http11));
        assert_eq!(line("M-SEARCH * HTTP/1.0"), read("M-SEARCH", "*", Version::Http10));
        assert_eq!(line("GET /a?b=%20{c|d} HTTP/1.1"), read("GET", "/a?b=%20{c|d}", Version::Http11));
        assert_eq!(line("GET http://h:1/a HTTP/1.1"), read("GET", "http://h:1/a", Version::Http11));
        for refused in [
            "GET  / HTTP/1.1",
            " GET / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/1.1 x",
            "GET /",
            "GET",
            "",
            "GET / http/1.1",
            "GET / HTTP/1",
            "GET / HTTP/1.10",
            "GET / HTTP/+1.1",
            "GET /\tHTTP/1.1",
            "G@T / HTTP/1.1",
            "GET: / HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET /a\\b HTTP/1.1",
            "GET /ä HTTP/1.1",
            "GET /\u{7f} HTTP/1.1",
        ] {
            assert!(
                matches!(line(refused), Err(HeadError::Malformed(_))),
                "{refused:?}: {:?}",
                line(refused)
            );
        }
    }

    #[test]
    fn another_version_is_told_apart_from_nonsense() {
        for other in ["GET / HTTP/1.2", "GET / HTTP/0.9", "GET / HTTP/3.0", "PRI * HTTP/2.0"] {
            assert_eq!(line(other), Err(HeadError::Version), "{other}");
        }
    }

    #[test]
    fn a_field_is_a_name_a_colon_and_a_value_without_white_space_around() {
        let read = |name: &str, value: &[u8]| Ok((name.into(), value.to_vec()));
        assert_eq!(one_field(b"Accept: */*"), read("Accept", b"*/*"));
        assert_eq!(one_field(b"a:b"), read("a", b"b"));
        assert_eq!(one_field(b"a: \t b\tc \t"), read("a", b"b\tc"));
        assert_eq!(one_field(b"a:"), read("a", b""));
        assert_eq!(one_field(b"a: \x80\xff:"), read("a", b"\x80\xff:"));
        for refused in [
            b" a: b".as_slice(),
            b"\ta: b",
            b"a : b",
            b"a\t: b",
            b": b",
            b"no colon",
            b"a b: c",
            b"a\x80: b",
            b"a: b\0",
            b"a: b\rc",
            b"a: \x0b",
            b"a: \x7f",
            b"a: b\r",
        ] {
            let read = one_field(refused);
            assert!(matches!(read, Err(HeadError::Malformed(_))), "{}: {read:?}", refused.escape_ascii());
        }
    }

    #[test]
    fn a_status_line_has_three_digits_and_perhaps_a_reason() {
        let read = |line: &str| {
            let head = format!("{line}\r\n\r\n");
            response(head.as_bytes(), &LIMITS, &mut Fields::new())
                .map(|head| (head.status, head.reason.to_vec(), head.version))
        };
        assert_eq!(read("HTTP/1.1 200 OK"), Ok((200, b"OK".to_vec(), Version::Http11)));
        assert_eq!(read("HTTP/1.0 404 Not  Found "), Ok((404, b"Not  Found ".to_vec(), Version::Http10)));
        assert_eq!(read("HTTP/1.1 204 "), Ok((204, vec![], Version::Http11)));
        assert_eq!(read("HTTP/1.1 204"), Ok((204, vec![], Version::Http11)));
        for refused in [
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1  200 OK",
            "HTTP/1.1 099 x",
            "HTTP/1.1 2x0 OK",
            "HTTP/1.1 -20 OK",
            "HTTP/1.1 200\tOK",
            "HTTP/1.1 200 a\u{1}",
            "HTTP/1.1",
            "ICY 200 OK",
            "",
        ] {
            assert!(matches!(read(refused), Err(HeadError::Malformed(_))), "{refused:?}");
        }
        assert_eq!(read("HTTP/2.0 200 OK"), Err(HeadError::Version));
    }

    #[test]
    fn more_fields_than_allowed_are_too_large_not_malformed() {
        let head = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        let read =
            |head: &str| request(head.as_bytes(), &LIMITS, &mut Fields::new()).map(|head| head.fields.len());
        assert_eq!(read(&head(4)), Ok(4));
        assert_eq!(read(&head(5)), Err(HeadError::TooLarge));
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(256));
        assert_eq!(read(&long), Err(HeadError::TargetTooLong));
    }

    #[test]
    fn an_error_message_holds_nothing_of_the_head() {
        let error = one_field(b"secret-token value").unwrap_err();
        assert_eq!(error.to_string(), "a field line has no colon");
    }
}
