//! Which bytes may stand where.

/// `tchar` (RFC 9110 section 5.6.2): methods and field names.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && token_length(bytes) == bytes.len()
}

/// How many bytes there are in front of the first that no token has.
#[inline]
pub(crate) fn token_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(bytes.len())
}

/// `field-vchar`, `obs-text`, space and tab (RFC 9110 section 5.5): no other control byte, no line break.
#[inline]
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    let (words, rest) = words(bytes);
    // A tab is rare enough to be looked at again, with everything around it.
    !(words.fold(false, |found, word| found | has_control(word)) || rest.iter().any(u8::is_ascii_control))
        || bytes.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t')
}

/// Bytes as words of eight, the last of which may overlap the one before; if there are fewer than eight, those.
#[inline]
pub(crate) fn words(bytes: &[u8]) -> (impl Iterator<Item = u64>, &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    let last = bytes.last_chunk::<8>();
    let words = whole.iter().chain(last).map(|word| u64::from_le_bytes(*word));
    (words, if last.is_some() { &[] } else { rest })
}

/// Whether any of eight bytes is below the space or DEL.
#[inline]
fn has_control(word: u64) -> bool {
    let del = word ^ repeated(0x7f);
    // Taking away borrows into the top bit of a byte that was too small, which must not have been set before.
    let below = word.wrapping_sub(repeated(b' ')) & !word;
    let is_del = del.wrapping_sub(repeated(1)) & !del;
    (below | is_del) & repeated(0x80) != 0
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
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
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
}
