//! Heads and chunks, put together in one buffer: one write each.

use crate::bytes::is_value;

/// Begins a request. `target` writes what it is for.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(method);
    out.push(b' ');
    target(out);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Begins a response.
pub fn status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    let digits = [status / 100 % 10, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
    for part in [&digits, b" ".as_slice(), reason, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Adds a field whose name and value have been a field's before, or are checked words of ours.
#[inline]
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Adds a field whose value nobody has looked at: only if it can be one.
pub fn checked_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
    let is_valid = is_value(value);
    if is_valid {
        field(out, name, value);
    }
    is_valid
}

/// Adds `content-length`.
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = length;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    field(out, b"content-length", &digits[at..]);
}

/// Ends a head.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// What stands in front of a chunk of this length, which is not 0: that would be the last.
pub fn chunk_size(out: &mut Vec<u8>, length: usize) {
    debug_assert_ne!(length, 0);
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[length >> (4 * place) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Adds a whole chunk.
pub fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    chunk_size(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// What ends a chunked body, no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_head_is_written_line_by_line() {
        let request = written(|out| {
            request_line(out, b"GET", |out| out.extend_from_slice(b"/a?b"));
            field(out, b"host", b"h");
            end(out);
        });
        assert_eq!(request, "GET /a?b HTTP/1.1\r\nhost: h\r\n\r\n");
        assert_eq!(written(|out| status_line(out, 404, b"Not Found")), "HTTP/1.1 404 Not Found\r\n");
        for length in [0, 7, 10, 12_345, u64::MAX] {
            assert_eq!(written(|out| content_length(out, length)), format!("content-length: {length}\r\n"));
        }
    }

    #[test]
    fn a_value_cannot_become_a_line_of_its_own() {
        let mut out = Vec::new();
        assert!(!checked_field(&mut out, b"location", b"/a\r\nset-cookie: b"));
        assert!(!checked_field(&mut out, b"location", b"/a\nb"));
        assert_eq!(out, b"");
        assert!(checked_field(&mut out, b"location", b"/a"));
    }

    #[test]
    fn a_chunk_says_its_size_in_hexadecimal_digits() {
        for length in [1, 9, 15, 16, 255, 256, 4096, 65_537, usize::MAX] {
            assert_eq!(written(|out| chunk_size(out, length)), format!("{length:x}\r\n"));
        }
        assert_eq!(written(|out| chunk(out, b"hello")), "5\r\nhello\r\n");
    }
}
