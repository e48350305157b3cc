//! A chunked body, followed byte by byte (RFC 9112 section 7.1): what of it is framing, what is data, what is not
//! passed on.

use crate::bytes::is_token_byte;

/// Extensions mean nothing to anybody and cost memory and time (CVE-2023-39326): this much of them, all chunks of a
/// body together.
const MAX_EXTENSIONS: usize = 4 * 1024;
/// Trailers are dropped; this much of them is read.
const MAX_TRAILERS: usize = 16 * 1024;

/// Why bytes are no chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunked body is broken: {0}")]
pub struct ChunkError(&'static str);

/// What a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Of a size, or of a line end.
    Framing,
    /// Content.
    Data,
    /// Of an extension or a trailer, which end here.
    Dropped,
}

/// How far one body has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunked {
    at: At,
    /// What is left of the chunk, or its size as far as its digits have come.
    left: u64,
    digits: u8,
    extensions: usize,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    /// At the begin of a line behind the last chunk.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    LastEnd,
    Done,
}

impl Chunked {
    pub(crate) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// What the next byte will be, if it can stand there at all.
    pub(crate) fn part(&self, next: u8) -> Part {
        let dropped = match self.at {
            At::Data => return Part::Data,
            At::Size => next == b';',
            At::Extension | At::Trailer => next != b'\r',
            At::TrailerName | At::TrailerValue | At::TrailerEnd => true,
            At::SizeEnd | At::DataReturn | At::DataEnd | At::LastEnd | At::Done => false,
        };
        if dropped { Part::Dropped } else { Part::Framing }
    }

    /// How many of the first bytes of `input` are one and the same part, which [`Self::part`] names.
    pub(crate) fn advance(&mut self, input: &[u8]) -> Result<usize, ChunkError> {
        let Some(first) = input.first() else { return Ok(0) };
        let part = self.part(*first);
        if part == Part::Data {
            let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
            self.left -= count as u64;
            if self.left == 0 {
                self.at = At::DataReturn;
            }
            return Ok(count);
        }
        let mut count = 0;
        for byte in input {
            if self.at == At::Done || self.part(*byte) != part {
                break;
            }
            self.byte(*byte)?;
            count += 1;
        }
        Ok(count)
    }

    fn byte(&mut self, byte: u8) -> Result<(), ChunkError> {
        match (self.at, byte) {
            (At::Size, _) if byte.is_ascii_hexdigit() => {
                // 15 digits: a size that fits with room for every sum.
                if self.digits == 15 {
                    return Err(ChunkError("a size is too large"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                (self.left, self.digits) = (self.left << 4 | u64::from(digit), self.digits + 1);
            }
            (At::Size, b'\r') if self.digits > 0 => self.at = At::SizeEnd,
            (At::Size, b';') if self.digits > 0 => return self.extension(),
            (At::Size, _) => return Err(ChunkError("a size is not a hexadecimal number")),
            (At::Extension, b'\r') => self.at = At::SizeEnd,
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => return self.extension(),
            (At::SizeEnd, b'\n') => {
                self.at = if self.left == 0 { At::Trailer } else { At::Data };
                self.digits = 0;
            }
            (At::DataReturn, b'\r') => self.at = At::DataEnd,
            (At::DataEnd, b'\n') => self.at = At::Size,
            (At::DataReturn | At::DataEnd, _) => return Err(ChunkError("a chunk is longer than its size")),
            (At::Trailer, b'\r') => self.at = At::LastEnd,
            (At::LastEnd, b'\n') => self.at = At::Done,
            (At::Trailer | At::TrailerName, _) if is_token_byte(byte) => {
                return self.trailer(At::TrailerName);
            }
            (At::TrailerName, b':') => return self.trailer(At::TrailerValue),
            (At::TrailerValue, b'\r') => return self.trailer(At::TrailerEnd),
            (At::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => return self.trailer(At::TrailerValue),
            (At::TrailerEnd, b'\n') => return self.trailer(At::Trailer),
            (At::Trailer | At::TrailerName | At::TrailerValue, _) => {
                return Err(ChunkError("a trailer is not a field line"));
            }
            (At::Extension, _) => return Err(ChunkError("an extension holds a control byte")),
            (At::SizeEnd | At::TrailerEnd | At::LastEnd, _) => {
                return Err(ChunkError("a carriage return stands alone"));
            }
            (At::Data | At::Done, _) => return Err(ChunkError("it goes on after its end")),
        }
        Ok(())
    }

    fn extension(&mut self) -> Result<(), ChunkError> {
        self.at = At::Extension;
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS { Err(ChunkError("too many extensions")) } else { Ok(()) }
    }

    fn trailer(&mut self, next: At) -> Result<(), ChunkError> {
        self.at = next;
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS { Err(ChunkError("too many trailers")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Body, Form};
    use crate::framing::RequestFraming;
    use pretty_assertions::assert_eq;

    /// What of a body is used, and how many bytes belong to it; `None` as a length if its end is missing.
    type Read = Result<(String, Option<usize>), ChunkError>;

    /// Reads `input` cut into pieces.
    fn read(pieces: &[&[u8]], form: Form) -> Read {
        let mut body = Body::of_request(RequestFraming::Chunked);
        let (mut used, mut length) = (Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() && !body.is_done() {
                let next = body.next(rest, form)?;
                assert_ne!(next.skip + next.take, 0, "no progress in {}", rest.escape_ascii());
                used.extend_from_slice(&rest[next.skip..next.skip + next.take]);
                rest = &rest[next.skip + next.take..];
                length += next.skip + next.take;
            }
        }
        Ok((String::from_utf8(used).unwrap(), body.is_done().then_some(length)))
    }

    /// The same at once, split anywhere, and byte by byte.
    fn both(input: &str) -> (Read, Read) {
        let input = input.as_bytes();
        let of = |form| {
            let at_once = read(&[input], form);
            for split in 0..=input.len() {
                let in_two = read(&[&input[..split], &input[split..]], form);
                assert_eq!(in_two, at_once, "split at {split}: {}", input.escape_ascii());
            }
            let bytes: Vec<_> = input.chunks(1).collect();
            assert_eq!(read(&bytes, form), at_once, "byte by byte: {}", input.escape_ascii());
            at_once
        };
        (of(Form::Data), of(Form::Wire))
    }

    fn ok(text: &str, length: Option<usize>) -> Read {
        Ok((text.to_owned(), length))
    }

    #[test]
    fn content_and_framing_are_told_apart() {
        let body = "5\r\nhello\r\n0A\r\n, world!!!\r\n0\r\n\r\n";
        assert_eq!(both(body), (ok("hello, world!!!", Some(body.len())), ok(body, Some(body.len()))));
        assert_eq!(both("0\r\n\r\n"), (ok("", Some(5)), ok("0\r\n\r\n", Some(5))));
        assert_eq!(both("3\r\nab"), (ok("ab", None), ok("3\r\nab", None)));
    }

    #[test]
    fn what_follows_the_end_is_not_of_the_body() {
        let (data, wire) = both("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
        assert_eq!((data, wire), (ok("a", Some(11)), ok("1\r\na\r\n0\r\n\r\n", Some(11))));
    }

    #[test]
    fn extensions_and_trailers_go_no_further() {
        let body = "3;name=\"v\";x\r\nabc\r\n0;last\r\nAuthorization: x\r\nX:\r\n\r\n";
        let (data, wire) = both(body);
        assert_eq!(data, ok("abc", Some(body.len())));
        assert_eq!(wire, ok("3\r\nabc\r\n0\r\n\r\n", Some(body.len())));
    }

    #[test]
    fn a_size_that_two_parsers_could_read_in_two_ways_is_refused() {
        for body in [
            "\r\n",
            "0x2\r\nab\r\n",
            "-1\r\n",
            "+1\r\na\r\n",
            " 1\r\na\r\n",
            "1 \r\na\r\n",
            "1 ;x\r\na\r\n",
            "g\r\n",
            ";x\r\n",
            "1\na\r\n",
            "1\r\na\n0\r\n\r\n",
            "1\r\nab\r\n",
            "1\ra\r\n",
            "1;a\nb\r\na\r\n",
            "1;a\rb\r\na\r\n",
            "1;\0\r\na\r\n",
            "0\r\n\n",
            "0\r\na: b\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\n: empty\r\n\r\n",
            "0\r\na : b\r\n\r\n",
            "0\r\na: \0\r\n\r\n",
            "1000000000000000\r\n",
            "0000000000000001\r\na\r\n",
            "ffffffffffffffffff\r\n",
        ] {
            let (data, wire) = both(body);
            assert!(data.is_err() && wire.is_err(), "{body:?}: {data:?} {wire:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_not_read_without_end() {
        let fits = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(MAX_EXTENSIONS - 1));
        assert!(read(&[fits.as_bytes()], Form::Data).is_ok());
        let many = "1;x\r\na\r\n".repeat(MAX_EXTENSIONS / 2 + 1);
        assert!(read(&[many.as_bytes()], Form::Data).is_err());
        let trailers = format!("0\r\na: {}\r\n\r\n", "x".repeat(MAX_TRAILERS));
        assert!(read(&[trailers.as_bytes()], Form::Data).is_err());
    }
}
