//! The keys that are good now, as requests read them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use subtle::{Choice, ConditionallySelectable as _};

use super::file::KeyFile;
use super::key::{LocalKey, NewKey};
use crate::digest::Digest;
use crate::fault::Fault;
use crate::secret::Secret;

/// One state of the list.
#[derive(Default)]
pub struct KeyRing {
    keys: Vec<Arc<LocalKey>>,
}

/// The keys of a host: a snapshot that requests read by one atomic load, and the file that it follows.
pub struct Keys {
    file: KeyFile,
    ring: ArcSwap<KeyRing>,
    /// A key that is in no file: of a host that serves a single command.
    lent: Option<Arc<LocalKey>>,
}

impl KeyRing {
    /// These keys.
    pub fn new(keys: impl IntoIterator<Item = Arc<LocalKey>>) -> Self {
        Self { keys: keys.into_iter().collect() }
    }

    /// The key whose text this is. Every key is compared with, and each in constant time.
    pub fn find(&self, presented: &[u8]) -> Option<&Arc<LocalKey>> {
        let presented = Digest::of(presented);
        let (mut found, mut at) = (Choice::from(0), 0);
        for (index, key) in (0_u64..).zip(&self.keys) {
            let same = key.has(&presented);
            at.conditional_assign(&index, same);
            found |= same;
        }
        bool::from(found).then(|| usize::try_from(at).ok().and_then(|at| self.keys.get(at))).flatten()
    }

    /// Whether this very key is still good.
    pub fn holds(&self, key: &LocalKey) -> bool {
        self.keys.iter().any(|one| **one == *key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Keys {
    /// The keys of this file, none until [`Self::reload`].
    pub fn of(file: KeyFile) -> Self {
        Self { file, ring: ArcSwap::default(), lent: None }
    }

    /// The same with this key besides, for as long as this process lives.
    #[must_use]
    pub fn lending(self, key: NewKey) -> (Self, Secret) {
        (Self { lent: Some(Arc::new(key.kept)), ..self }, key.text)
    }

    /// The keys that are good now.
    pub fn now(&self) -> arc_swap::Guard<Arc<KeyRing>> {
        self.ring.load()
    }

    /// Takes over what the file says; how many keys that are. One that cannot be read changes nothing.
    pub fn reload(&self) -> Result<usize, Fault> {
        let kept = self.file.read()?.into_iter().map(Arc::new);
        let ring = KeyRing::new(kept.chain(self.lent.clone()));
        let count = ring.len();
        self.ring.store(Arc::new(ring));
        Ok(count)
    }

    /// The file to be watched.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

impl Default for Keys {
    /// No keys, and no file that could bring some.
    fn default() -> Self {
        Self::of(KeyFile::at("/nonexistent/keys.json".into()))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.now().len())
    }
}
