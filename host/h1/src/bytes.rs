//! Which bytes may stand where.

/// `tchar` (RFC 9110 section 5.6.2): methods and field names.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// `field-vchar`, `obs-text`, space and tab (RFC 9110 section 5.5): no other control byte, no line break.
///
/// Folded instead of `all`: without an early end the compiler looks at sixteen bytes at a time.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |valid, byte| valid & ((*byte >= b' ' && *byte != 0x7f) | (*byte == b'\t')))
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
}
