//! Field lines.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use crate::bytes::trim;
use crate::known::{Known, NameSet};

/// One field line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, case as sent.
    pub name: &'a [u8],
    /// The value without surrounding white space.
    pub value: &'a [u8],
    known: Known,
    /// Whether `known` is spelled as it is, case aside, and not with `_` for `-`.
    exact: bool,
}

/// Room for the fields of a head. Most heads need no allocation.
pub type Fields<'a> = SmallVec<[Field<'a>; 24]>;

impl<'a> Field<'a> {
    /// A field of this name and value.
    #[inline]
    pub fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        Self::of(name, value, Known::look_up(name))
    }

    /// One whose name was looked up.
    #[inline]
    pub(crate) fn of(name: &'a [u8], value: &'a [u8], (known, exact): (Known, bool)) -> Self {
        Self { name, value, known, exact }
    }

    /// Whether this is the field of that name. An alias of it, which some servers take for it, is not: `content_length`
    /// frames nothing.
    #[inline]
    pub fn is(&self, name: Known) -> bool {
        self.known == name && self.exact
    }

    /// Whether this is a field of one of those names, by [`Self::is`].
    #[inline]
    pub fn is_of(&self, names: NameSet) -> bool {
        self.exact && names.contains(self.known)
    }

    /// What some server may take it for: see [`Known::of`].
    #[inline]
    pub fn means(&self) -> Known {
        self.known
    }
}

/// Names only: a value may be a credential.
impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name.escape_ascii())
    }
}

/// The fields of a head in order, and which names are among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines<'a> {
    all: &'a [Field<'a>],
    exact: NameSet,
    meant: NameSet,
}

impl<'a> Lines<'a> {
    /// These fields.
    pub fn of(all: &'a [Field<'a>]) -> Self {
        let (mut exact, mut meant) = (NameSet::default(), NameSet::default());
        for field in all {
            meant.insert(field.known);
            if field.exact {
                exact.insert(field.known);
            }
        }
        Self { all, exact, meant }
    }

    /// All of them.
    pub fn all(self) -> &'a [Field<'a>] {
        self.all
    }

    /// Whether a field of this name is there, by [`Field::is`].
    #[inline]
    pub fn has(self, name: Known) -> bool {
        self.exact.contains(name)
    }

    /// Whether there is one that some server may take for one of these names.
    #[inline]
    pub fn mean(self, names: NameSet) -> bool {
        self.meant.meets(names)
    }

    /// The fields of this name and where they are, by [`Field::is`].
    #[inline]
    pub fn named(self, name: Known) -> impl Iterator<Item = (usize, &'a Field<'a>)> {
        let all = if self.has(name) { self.all } else { &[] };
        all.iter().enumerate().filter(move |(_, field)| field.is(name))
    }

    /// Their values.
    #[inline]
    pub fn values(self, name: Known) -> impl Iterator<Item = &'a [u8]> {
        self.named(name).map(|(_, field)| field.value)
    }
}

impl<'a> Deref for Lines<'a> {
    type Target = [Field<'a>];

    fn deref(&self) -> &[Field<'a>] {
        self.all
    }
}

/// The members of a comma-separated list such as `Connection` (RFC 9110 section 5.6.1), empty ones left out.
pub fn token_list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|token| !token.is_empty())
}
