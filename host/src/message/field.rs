//! Field lines as the HTTP/1.1 engine reads them, and sets of them by index.

pub use ccproxy_h1::{Field, Known, Lines, NameSet, same_name, token_list};

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

    /// Takes out what `Connection` nominates, in any spelling.
    pub fn remove_nominated(&mut self, all: Lines<'_>) {
        for nominated in all.values(Known::Connection).flat_map(token_list) {
            self.remove_named(&all, nominated);
        }
    }

    /// Takes every field out that some server would read as `name`.
    pub fn remove_named(&mut self, all: &[Field<'_>], name: &[u8]) {
        for (index, field) in all.iter().enumerate() {
            if self.contains(index) && same_name(field.name, name) {
                self.remove(index);
            }
        }
    }

    /// Takes every field out that some server would read as one of `names`.
    pub fn remove_meaning(&mut self, all: Lines<'_>, names: NameSet) {
        if all.mean(names) {
            let gone = all.iter().enumerate().filter(|(_, field)| names.contains(field.means()));
            gone.for_each(|(index, _)| self.remove(index));
        }
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
