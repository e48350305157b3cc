//! How a body ends (RFC 9112 section 6), decided once from the head. What could be read in two ways is refused: it is
//! how one request is made to look like two.

use crate::field::{Lines, token_list};
use crate::head::Version;
use crate::known::Known;

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFraming {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// How the body of a response is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// There is none, whatever the fields say.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// Why a body has no one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Lengths and codings that contradict each other, or are no such thing.
    #[error("{0}")]
    Ambiguous(&'static str),
    /// Well framed, in a coding that we do not read (RFC 9112 section 6.1: 501).
    #[error("the transfer coding is not supported")]
    Coding,
}

/// The framing of a request.
pub fn of_request(version: Version, fields: &Lines<'_>) -> Result<RequestFraming, FramingError> {
    let length = length(fields)?;
    if !is_coded(version, fields)? {
        return Ok(length.map_or(RequestFraming::None, RequestFraming::Length));
    }
    match length {
        Some(_) => Err(FramingError::Ambiguous("the body is framed twice")),
        None => Ok(RequestFraming::Chunked),
    }
}

/// The framing of a response to a request with this method. Chunks win over a length beside them, as RFC 9112 section
/// 6.3 has it for responses; the connection must not be used again then: see [`is_framed_twice`].
pub fn of_response(
    method: &[u8],
    version: Version,
    status: u16,
    fields: &Lines<'_>,
) -> Result<ResponseFraming, FramingError> {
    if status < 200 || status == 204 {
        return Ok(ResponseFraming::None);
    }
    if method == b"HEAD" || status == 304 {
        // It says how long a body would be, and is passed on: only as a number (RFC 9110 section 8.6).
        return length(fields).map(|_| ResponseFraming::None);
    }
    if is_coded(version, fields)? {
        return Ok(ResponseFraming::Chunked);
    }
    Ok(length(fields)?.map_or(ResponseFraming::UntilClose, ResponseFraming::Length))
}

/// Whether a head has both a length and a transfer coding.
pub fn is_framed_twice(fields: &Lines<'_>) -> bool {
    fields.has(Known::ContentLength) && fields.has(Known::TransferEncoding)
}

/// Whether the sender means to use the connection again (RFC 9112 section 9.3).
pub fn keeps_alive(version: Version, fields: &Lines<'_>) -> bool {
    let mut keep_alive = version == Version::Http11;
    for option in fields.values(Known::Connection).flat_map(token_list) {
        if option.eq_ignore_ascii_case(b"close") {
            return false;
        }
        keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    keep_alive
}

/// Whether the body is in chunks. In HTTP/1.0 there are none, and who sends some means something else by them.
fn is_coded(version: Version, fields: &Lines<'_>) -> Result<bool, FramingError> {
    let mut codings = fields.values(Known::TransferEncoding);
    let Some(coding) = codings.next() else { return Ok(false) };
    if version == Version::Http10 {
        return Err(FramingError::Ambiguous("HTTP/1.0 has no transfer codings"));
    }
    if codings.next().is_some() {
        return Err(FramingError::Ambiguous("the body is framed twice"));
    }
    if is_chunked(coding) {
        return Ok(true);
    }
    let not_chunked = FramingError::Ambiguous("the transfer coding is not chunked");
    let (others, last) = match coding.iter().rposition(|byte| *byte == b',') {
        Some(comma) => (&coding[..comma], crate::bytes::trim(&coding[comma + 1..])),
        None => return Err(not_chunked),
    };
    let is_plain = |token: &[u8]| !token.is_empty() && !is_chunked(token);
    match is_chunked(last) && others.split(|byte| *byte == b',').map(crate::bytes::trim).all(is_plain) {
        true => Err(FramingError::Coding),
        false => Err(not_chunked),
    }
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"chunked")
}

/// One `Content-Length` of digits alone (RFC 9110 section 8.6): no list, no sign, no second field, even of equal value.
fn length(fields: &Lines<'_>) -> Result<Option<u64>, FramingError> {
    let mut lengths = fields.values(Known::ContentLength);
    let Some(length) = lengths.next() else { return Ok(None) };
    if lengths.next().is_some() {
        return Err(FramingError::Ambiguous("more than one Content-Length"));
    }
    let not_a_number = FramingError::Ambiguous("the Content-Length is not a number");
    if length.is_empty() {
        return Err(not_a_number);
    }
    length
        .iter()
        .try_fold(0_u64, |number, digit| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        })
        .map(Some)
        .ok_or(not_a_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Field;
    use pretty_assertions::assert_eq;

    fn fields<'a>(lines: &[(&'a str, &'a str)]) -> Vec<Field<'a>> {
        lines.iter().map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes())).collect()
    }

    const CL: &str = "Content-Length";
    const TE: &str = "Transfer-Encoding";

    #[test]
    fn a_request_has_a_length_or_chunks_or_no_body() {
        let framing = |lines: &[_]| of_request(Version::Http11, &Lines::of(&fields(lines)));
        assert_eq!(framing(&[]), Ok(RequestFraming::None));
        assert_eq!(framing(&[(CL, "0")]), Ok(RequestFraming::Length(0)));
        assert_eq!(framing(&[("content-length", "007")]), Ok(RequestFraming::Length(7)));
        assert_eq!(framing(&[(CL, "18446744073709551615")]), Ok(RequestFraming::Length(u64::MAX)));
        assert_eq!(framing(&[(TE, "chunked")]), Ok(RequestFraming::Chunked));
        assert_eq!(framing(&[("transfer-encoding", "Chunked")]), Ok(RequestFraming::Chunked));
        assert_eq!(framing(&[(TE, "gzip, chunked")]), Err(FramingError::Coding));
    }

    #[test]
    fn what_could_end_in_two_places_is_refused() {
        for lines in [
            &[(CL, "5"), (TE, "chunked")][..],
            &[(TE, "chunked"), (CL, "5")],
            &[(CL, "5"), (CL, "6")],
            &[(CL, "5"), (CL, "5")],
            &[(CL, "5, 5")],
            &[(CL, "5,")],
            &[(CL, "+5")],
            &[(CL, "-1")],
            &[(CL, "0x5")],
            &[(CL, "5 5")],
            &[(CL, "")],
            &[(CL, "18446744073709551616")],
            &[(CL, "\u{661}")],
            &[(TE, "chunked"), (TE, "chunked")],
            &[(TE, "chunked, chunked")],
            &[(TE, ",chunked")],
            &[(TE, "chunked,")],
            &[(TE, "chunked, identity")],
            &[(TE, "identity")],
            &[(TE, "xchunked")],
            &[(TE, "")],
            &[(TE, "\u{b}chunked")],
            &[(TE, "chunked;q=1")],
        ] {
            let framing = of_request(Version::Http11, &Lines::of(&fields(lines)));
            assert!(matches!(framing, Err(FramingError::Ambiguous(_))), "{lines:?}: {framing:?}");
        }
        let old = of_request(Version::Http10, &Lines::of(&fields(&[(TE, "chunked")])));
        assert!(matches!(old, Err(FramingError::Ambiguous(_))));
    }

    #[test]
    fn a_response_ends_as_its_request_and_status_say_first() {
        let framing = |method: &str, status, lines: &[_]| {
            of_response(method.as_bytes(), Version::Http11, status, &Lines::of(&fields(lines)))
        };
        assert_eq!(framing("GET", 200, &[(CL, "5")]), Ok(ResponseFraming::Length(5)));
        assert_eq!(framing("GET", 200, &[(TE, "chunked")]), Ok(ResponseFraming::Chunked));
        assert_eq!(framing("GET", 200, &[(CL, "1"), (TE, "chunked")]), Ok(ResponseFraming::Chunked));
        assert_eq!(framing("GET", 200, &[]), Ok(ResponseFraming::UntilClose));
        for status in [100, 101, 103, 204, 304] {
            assert_eq!(framing("GET", status, &[(CL, "5")]), Ok(ResponseFraming::None), "{status}");
        }
        assert_eq!(framing("HEAD", 200, &[(CL, "5")]), Ok(ResponseFraming::None));
        assert!(framing("HEAD", 200, &[(CL, "5"), (CL, "6")]).is_err());
        assert!(framing("GET", 304, &[(CL, "+5")]).is_err());
        assert!(framing("GET", 200, &[(CL, "5"), (CL, "6")]).is_err());
        assert!(framing("GET", 200, &[(TE, "gzip")]).is_err());
        assert!(is_framed_twice(&Lines::of(&fields(&[(CL, "1"), (TE, "chunked")]))));
    }

    #[test]
    fn a_connection_is_kept_unless_somebody_says_otherwise() {
        let keeps = |version, value| keeps_alive(version, &Lines::of(&fields(&[("Connection", value)])));
        assert!(keeps_alive(Version::Http11, &Lines::of(&[])));
        assert!(!keeps_alive(Version::Http10, &Lines::of(&[])));
        assert!(keeps(Version::Http10, "x, Keep-Alive"));
        assert!(!keeps(Version::Http11, "keep-alive, Close"));
        assert!(!keeps(Version::Http10, "close, keep-alive"));
        assert!(keeps(Version::Http11, "closed"));
    }
}
