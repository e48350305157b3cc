//! Field names: how they are compared, and the groups that every stage means the same by.

/// Whether a name means `canonical` (lower case, `-`) to any server: case does not count, and many
/// servers read `_` as `-` (CGI, WSGI; CVE-2025-64484).
pub fn folded_eq(name: &[u8], canonical: &[u8]) -> bool {
    name.len() == canonical.len() && name.iter().zip(canonical).all(|(one, other)| fold(*one) == *other)
}

/// A name in the form that [`folded_eq`] compares with.
pub fn canonical(name: &[u8]) -> Vec<u8> {
    name.iter().copied().map(fold).collect()
}

/// Whether a field ends at this hop, in requests and responses alike.
pub fn is_connection_specific(name: &[u8]) -> bool {
    is_one_of(name, &CONNECTION_SPECIFIC) || has_prefix(name, b"proxy-")
}

/// Whether a field is where clients put credentials of their own.
pub fn is_client_credential(name: &[u8]) -> bool {
    is_one_of(name, &CLIENT_CREDENTIALS)
}

/// Whether a name means one of these.
pub fn is_one_of(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|one| folded_eq(name, one))
}

/// Whether a name begins like this.
pub fn has_prefix(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| folded_eq(start, prefix))
}

fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

/// Fields that end at this hop (RFC 9110 section 7.6.1) or that we write ourselves (`Host`, framing).
const CONNECTION_SPECIFIC: [&[u8]; 11] = [
    b"connection",
    b"content-length",
    b"expect",
    b"host",
    b"http2-settings",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// Where clients put the dummy key their SDK demands.
pub const CLIENT_CREDENTIALS: [&[u8]; 6] =
    [b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"private-token", b"proxy-authorization"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_any_case_and_with_underscores() {
        for alias in ["x-api-key", "X-Api-Key", "X_API_KEY", "x_api-key"] {
            assert!(folded_eq(alias.as_bytes(), b"x-api-key"), "{alias}");
            assert_eq!(canonical(alias.as_bytes()), b"x-api-key");
        }
        for other in ["x-api-keys", "xapikey", "x.api.key"] {
            assert!(!folded_eq(other.as_bytes(), b"x-api-key"), "{other}");
        }
    }
}
