//! Which bytes may stand where.

/// `tchar` (RFC 9110 section 5.6.2): methods and field names.
#[inline]
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    // The last eight may overlap those before.
    if let Some(last) = bytes.last_chunk()
        && bytes.as_chunks().0.iter().chain([last]).all(is_usual)
    {
        return true;
    }
    !bytes.is_empty() && token_length(bytes) == bytes.len()
}

/// How many bytes there are in front of the first that no token has.
#[inline]
pub(crate) fn token_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(bytes.len())
}

/// Whether all of eight bytes are what the names of fields are usually made of: letters, digits and `-`.
#[inline]
fn is_usual(bytes: &[u8; 8]) -> bool {
    let word = u64::from_le_bytes(*bytes);
    // No sum carries into the next byte: all are below 0x80, and what is added is below 0x80.
    let within =
        |low: u64, first: u8, last: u8| (low + repeated(0x80 - first)) & !(low + repeated(0x80 - (last + 1)));
    let low = word & repeated(0x7f);
    let letter = within(low | repeated(0x20), b'a', b'z');
    // Between `-` and the digits are `.`, which is in a token, too, and `/`, which is not.
    let digit = within(low, b'-', b'9') & !zeros(low ^ repeated(b'/'));
    (letter | digit) & !word & repeated(0x80) == repeated(0x80)
}

/// `field-vchar`, `obs-text`, space and tab (RFC 9110 section 5.5): no other control byte, no line break.
#[inline]
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    value_length(bytes) == bytes.len()
}

/// How many bytes there are in front of the first that no field value has: the end of its line, usually.
#[inline]
pub(crate) fn value_length(bytes: &[u8]) -> usize {
    let mut seen = 0;
    for word in bytes.as_chunks().0 {
        let found = controls(u64::from_le_bytes(*word));
        if found != 0 {
            seen += (found.trailing_zeros() / 8) as usize;
            if bytes[seen] != b'\t' {
                return seen;
            }
            break;
        }
        seen += 8;
    }
    // A tab may be in a value, and is rare enough for every byte behind it to be looked at alone.
    let no_value = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    bytes[seen..].iter().position(no_value).map_or(bytes.len(), |more| seen + more)
}

/// Where a byte comes first. For lines and names, which are short: over many bytes `memchr` is faster.
#[inline]
pub(crate) fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = zeros(u64::from_le_bytes(*word) ^ repeated(byte));
        if found != 0 {
            return Some(8 * index + (found.trailing_zeros() / 8) as usize);
        }
    }
    rest.iter().position(|one| *one == byte).map(|at| 8 * words.len() + at)
}

/// The top bit of each of eight bytes that is below the space or DEL. Of those above the first such byte some may be set
/// for no reason: taking away borrows.
#[inline]
fn controls(word: u64) -> u64 {
    (word.wrapping_sub(repeated(b' ')) & !word & repeated(0x80)) | zeros(word ^ repeated(0x7f))
}

/// The top bit of each of eight bytes that is 0, and of some above the first.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(repeated(1)) & !word & repeated(0x80)
}

/// This byte eight times.
pub(crate) const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// What a request target may be made of: visible ASCII but for what no URI has and servers read in two ways. A
/// fragment never belongs to a request (RFC 9112 section 3.2).
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().fold(true, |valid, byte| {
            valid & (*byte > b' ') & (*byte < 0x7f) & (*byte != b'#') & (*byte != b'\\')
        })
}

/// Without spaces and tabs around it.
#[inline]
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    // As nearly every value comes: one space in front.
    match bytes {
        [b' ', value @ ..] if value.first() > Some(&b' ') && value.last() > Some(&b' ') => value,
        _ => trim_any(bytes),
    }
}

fn trim_any(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let this = byte as u8;
        table[byte] = this.is_ascii_alphanumeric()
            || matches!(
                this,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_where_it_may_be() {
        for byte in 0..=255_u8 {
            let one = [byte];
            let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token(&one), token, "{byte:#x}");
            let value = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
            assert_eq!(is_value(&one), value, "{byte:#x}");
            let target = byte.is_ascii_graphic() && !b"#\\".contains(&byte);
            assert_eq!(is_target(&one), target, "{byte:#x}");
        }
        assert!(!is_token(b"") && is_value(b"") && !is_target(b""));
    }

    #[test]
    fn a_token_is_one_wherever_its_bytes_stand() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=255_u8 {
                    for around in b"aZ09-.!" {
                        let mut token = vec![*around; length];
                        token[at] = byte;
                        let expected = is_token_byte(byte);
                        assert_eq!(is_token(&token), expected, "{byte:#x} at {at} of {length}, {around:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn spaces_and_tabs_around_a_value_are_none_of_it() {
        for (bytes, value) in [
            ("", ""),
            (" ", ""),
            ("  ", ""),
            (" a", "a"),
            ("a", "a"),
            ("a ", "a"),
            (" a ", "a"),
            ("  a", "a"),
            ("\ta", "a"),
            (" a b\t", "a b"),
            (" \t", ""),
            (" a\tb", "a\tb"),
        ] {
            assert_eq!(trim(bytes.as_bytes()), value.as_bytes(), "{bytes:?}");
        }
    }

    #[test]
    fn a_value_is_one_wherever_its_bytes_stand() {
        for length in 1..40 {
            for at in 0..length {
                for byte in 0..=255_u8 {
                    for around in [b'a', b' ', b'\t', 0x80, 0xff] {
                        let mut value = vec![around; length];
                        value[at] = byte;
                        let valid = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
                        assert_eq!(is_value(&value), valid, "{byte:#x} at {at} of {length}, {around:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_byte_of_a_kind_is_found_wherever_it_is() {
        for byte in 0..=255_u8 {
            for length in 0..20 {
                for at in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let ends = if is_value(&[byte]) { length } else { at };
                    assert_eq!(value_length(&bytes), ends, "{byte:#x} at {at} of {length}");
                    assert_eq!(find(byte, &bytes), bytes.iter().position(|one| *one == byte));
                    // Others behind it, the neighbours that a borrow would reach among them.
                    for other in [0, 1, b'\t', b'\r', b' ', b'!', 0x7e, 0x7f, 0x80, 0xff, byte ^ 1] {
                        bytes[at + 1..].fill(other);
                        let ends = bytes.iter().position(|one| !is_value(&[*one])).unwrap_or(length);
                        assert_eq!(value_length(&bytes), ends, "{byte:#x}, {other:#x} at {at} of {length}");
                        assert_eq!(find(byte, &bytes), bytes.iter().position(|one| *one == byte));
                    }
                }
            }
        }
    }
}
