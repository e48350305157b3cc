//! Field lines, and sets of them by index.

use std::fmt;

/// One field line.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// The name, case as sent.
    pub name: &'a [u8],
    /// The value without surrounding white space.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether this is the field `name` (written in lower case).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Names only: a value may be a credential.
impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name.escape_ascii())
    }
}

/// Whether a name means `canonical` (lower case, `-`) to any server: case does not count, and many
/// servers read `_` as `-` (CGI, WSGI; CVE-2025-64484).
pub fn folded_eq(name: &[u8], canonical: &[u8]) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == canonical.len() && name.iter().zip(canonical).all(|(one, other)| fold(*one) == *other)
}

/// The members of a comma-separated list such as `Connection` (RFC 9110 section 5.6.1), empty ones left out.
pub fn token_list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Which fields of a head, by index. A plan names what survives; the bytes stay where they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FieldSet(u128);

impl FieldSet {
    /// How many fields a set can tell apart.
    pub const CAPACITY: usize = 128;

    /// Adds the field of this index.
    pub fn insert(&mut self, index: usize) {
        debug_assert!(index < Self::CAPACITY);
        self.0 |= 1 << index;
    }

    /// Takes the field of this index out.
    pub fn remove(&mut self, index: usize) {
        debug_assert!(index < Self::CAPACITY);
        self.0 &= !(1 << index);
    }

    /// Whether the field of this index is in.
    pub fn contains(self, index: usize) -> bool {
        index < Self::CAPACITY && self.0 >> index & 1 == 1
    }

    /// The fields of `all` that are in the set.
    pub fn of<'f, 'a>(self, all: &'f [Field<'a>]) -> impl Iterator<Item = (usize, &'f Field<'a>)> {
        all.iter().enumerate().filter(move |(index, _)| self.contains(*index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_any_case_and_with_underscores() {
        for alias in ["x-api-key", "X-Api-Key", "X_API_KEY", "x_api-key"] {
            assert!(folded_eq(alias.as_bytes(), b"x-api-key"), "{alias}");
        }
        for other in ["x-api-keys", "xapikey", "x.api.key"] {
            assert!(!folded_eq(other.as_bytes(), b"x-api-key"), "{other}");
        }
    }

    #[test]
    fn a_set_knows_what_is_in_it() {
        let mut set = FieldSet::default();
        set.insert(0);
        set.insert(127);
        set.remove(0);
        assert!(!set.contains(0) && set.contains(127) && !set.contains(128));
    }
}
