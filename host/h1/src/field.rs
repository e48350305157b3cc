//! Field lines.

use std::fmt;

use smallvec::SmallVec;

use crate::bytes::trim;

/// One field line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, case as sent.
    pub name: &'a [u8],
    /// The value without surrounding white space.
    pub value: &'a [u8],
}

/// The fields of a head in order. Most heads need no allocation.
pub type Fields<'a> = SmallVec<[Field<'a>; 24]>;

impl Field<'_> {
    /// Whether this is the field `name` (written in lower case).
    #[inline]
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
    value.split(|byte| *byte == b',').map(trim).filter(|token| !token.is_empty())
}

/// The values of every field of this name (lower case).
pub(crate) fn values<'f, 'a>(
    fields: &'f [Field<'a>],
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> + use<'f, 'a> {
    fields.iter().filter(move |field| field.is(name)).map(|field| field.value)
}
