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
    fn a_set_knows_what_is_in_it() {
        let mut set = FieldSet::default();
        set.insert(0);
        set.insert(127);
        set.remove(0);
        assert!(!set.contains(0) && set.contains(127) && !set.contains(128));
    }
}
