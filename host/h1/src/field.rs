//! Field lines.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use crate::bytes::trim;
use crate::known::{Known, NameSet};
use crate::write;

/// One field line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, case as sent.
    pub name: &'a [u8],
    /// The value without surrounding white space.
    pub value: &'a [u8],
    /// Where its line begins in the head that it was read from.
    at: usize,
    known: Known,
    /// Whether `known` is spelled as it is, case aside, and not with `_` for `-`.
    exact: bool,
    /// Whether its line is what we would write: `name: value` and no other white space.
    as_written: bool,
}

/// Room for the fields of a head. Most heads need no allocation.
pub type Fields<'a> = SmallVec<[Field<'a>; 24]>;

impl<'a> Field<'a> {
    /// A field of this name and value.
    #[inline]
    pub fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        Self::of(name, value, Known::look_up(name), (0, false))
    }

    /// One whose name was looked up, and whose line begins there and is, or is not, as we would write it.
    #[inline]
    pub(crate) fn of(
        name: &'a [u8],
        value: &'a [u8],
        (known, exact): (Known, bool),
        (at, as_written): (usize, bool),
    ) -> Self {
        Self { name, value, at, known, exact, as_written }
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
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Lines<'a> {
    /// What they were read from, if that was bytes.
    head: &'a [u8],
    all: &'a [Field<'a>],
    exact: NameSet,
    meant: NameSet,
}

impl<'a> Lines<'a> {
    /// These fields, wherever they are from.
    pub fn of(all: &'a [Field<'a>]) -> Self {
        Self::read_from(b"", all)
    }

    /// These fields of that head.
    pub(crate) fn read_from(head: &'a [u8], all: &'a [Field<'a>]) -> Self {
        let (mut exact, mut meant) = (NameSet::default(), NameSet::default());
        for field in all {
            meant.insert(field.known);
            if field.exact {
                exact.insert(field.known);
            }
        }
        Self { head, all, exact, meant }
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

    /// Writes those that pass, by their index. Neighbours whose lines are as we would write them go by one copy: most fields
    /// pass, and most lines are.
    pub fn write(self, passes: impl Fn(usize) -> bool, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for (_, field) in self.all.iter().enumerate().filter(|(index, _)| passes(*index)) {
            let line = field.at..field.at + field.name.len() + field.value.len() + 4;
            // Fields that were read may be looked at without their head, too.
            let is_there = field.as_written && line.end <= self.head.len();
            if is_there && line.start == run.end {
                run.end = line.end;
                continue;
            }
            out.extend_from_slice(self.head.get(run).unwrap_or_default());
            run = if is_there { line } else { 0..0 };
            if !is_there {
                write::field(out, field.name, field.value);
            }
        }
        out.extend_from_slice(self.head.get(run).unwrap_or_default());
    }

    /// Their values.
    #[inline]
    pub fn values(self, name: Known) -> impl Iterator<Item = &'a [u8]> {
        self.named(name).map(|(_, field)| field.value)
    }
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all).finish()
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

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    use crate::head::Limits;

    /// Whichever pass, and however they were spelled, they are written one by one in one way.
    #[test]
    fn fields_are_written_alike_however_they_came() {
        const HEAD: &[u8] = b"\r\nGET / HTTP/1.1\r\na: b\r\nEmpty: \r\ntight:c\r\nwide:  d\r\nbehind: e \r\nonly-behind:f \r\n\
            tab:\tg\r\nnone:\r\nblank:  \r\nlast: h\r\n\r\n";
        let limits = Limits { start_line: 256, fields: 16, bytes: 1024 };
        let mut room = Fields::new();
        let fields = crate::request(HEAD, &limits, &mut room).unwrap().fields;
        assert_eq!(fields.len(), 10);
        let known: Vec<_> = fields.iter().map(|field| Field::new(field.name, field.value)).collect();
        for passing in 0_u32..1 << fields.len() {
            let passes = |index: usize| passing >> index & 1 == 1;
            let (mut copied, mut from_elsewhere, mut without_head, mut expected) =
                (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            fields.write(passes, &mut copied);
            Lines::of(&known).write(passes, &mut from_elsewhere);
            Lines::of(fields.all()).write(passes, &mut without_head);
            for (index, field) in fields.iter().enumerate() {
                if passes(index) {
                    write::field(&mut expected, field.name, field.value);
                }
            }
            assert_eq!(copied.escape_ascii().to_string(), expected.escape_ascii().to_string());
            assert_eq!(from_elsewhere, expected);
            assert_eq!(without_head, expected);
        }
    }

    #[test]
    fn what_is_printed_of_fields_is_no_value() {
        let fields = [Field::new(b"authorization", b"Bearer secret")];
        assert_eq!(format!("{:?}", Lines::of(&fields)), "[authorization]");
    }
}
