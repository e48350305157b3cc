//! Which files may load: `plugins.lock`, the SHA-256 of each plugin a person or the first use trusted.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::digest::Digest;
use crate::model::{Name, UnixMillis};
use crate::private_file;

const SCHEMA: &str = "ccproxy.plugins-lock/1";

/// The `plugins.trust` setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// The first file seen for an id is pinned; another is refused until a person trusts it.
    #[default]
    Tofu,
    /// Nothing loads that no person has trusted.
    Pinned,
    /// Whatever lies in a safe directory.
    Any,
}

/// One trusted file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Of its bytes.
    pub sha256: Digest,
    /// Where it was; for people, the hash decides.
    pub path: PathBuf,
    /// When, RFC 3339.
    pub pinned_at: String,
}

#[derive(Serialize, Deserialize)]
struct Document {
    schema: String,
    plugins: BTreeMap<Name, Pin>,
}

/// The pins of this user. Read anew at each decision: another process may have changed them.
#[derive(Clone)]
pub(super) struct Pins {
    path: PathBuf,
    /// Whether what is trusted at first sight is remembered.
    remembers: bool,
}

impl Pins {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, remembers: true }
    }

    /// The same for who only looks.
    pub(super) fn forgetful(self) -> Self {
        Self { remembers: false, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether these bytes may load as `id`. Under [`Trust::Tofu`] the first ones are pinned here.
    pub(super) fn decide(&self, trust: Trust, id: &Name, path: &Path, found: Digest) -> Result<(), Refusal> {
        let pins = if trust == Trust::Any { BTreeMap::new() } else { self.read()? };
        verdict(pins.get(id), trust, id, path, found)?;
        match trust {
            Trust::Tofu if self.remembers && !pins.contains_key(id) => self.pin_first(id, path, found),
            Trust::Tofu | Trust::Pinned | Trust::Any => Ok(()),
        }
    }

    /// Trusts these bytes as `id` from now on.
    pub(super) fn pin(&self, id: &Name, path: &Path, sha256: Digest) -> Result<Pin, Refusal> {
        let pin = pin_of(path, sha256);
        let written = self.change(|plugins| {
            plugins.insert(id.clone(), pin.clone());
        });
        written.map_err(|error| self.unusable(error.to_string()))??;
        Ok(pin)
    }

    /// All pins. No file means none.
    pub(super) fn read(&self) -> Result<BTreeMap<Name, Pin>, Refusal> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(self.unusable(error.to_string())),
        };
        super::safety::check(&self.path)?;
        let document: Document =
            serde_json::from_slice(&text).map_err(|error| self.unusable(error.to_string()))?;
        if document.schema != SCHEMA {
            return Err(self.unusable(format!("its schema `{}` is not `{SCHEMA}`", document.schema)));
        }
        Ok(document.plugins)
    }

    fn pin_first(&self, id: &Name, path: &Path, found: Digest) -> Result<(), Refusal> {
        let mut other = None;
        let written = self.change(|plugins| {
            let pin = plugins.entry(id.clone()).or_insert_with(|| pin_of(path, found));
            other = (pin.sha256 != found).then_some(pin.sha256);
        });
        match written {
            Ok(read) => read?,
            // A state directory that cannot be written (a read-only container) has seen nothing yet.
            Err(error) => {
                tracing::warn!(plugin = %id, file = %self.path.display(), %error, "the plugin cannot be pinned");
            }
        }
        match other {
            None => Ok(()),
            Some(pinned) => Err(Refusal::Changed { id: id.clone(), pinned, found, path: path.to_owned() }),
        }
    }

    /// Reads, changes and replaces the list while other processes wait. The outer error is the
    /// medium's, the inner one the content's.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<Name, Pin>)) -> io::Result<Result<(), Refusal>> {
        let _turn = private_file::turn(&self.path)?;
        let mut plugins = match self.read() {
            Ok(plugins) => plugins,
            Err(refusal) => return Ok(Err(refusal)),
        };
        change(&mut plugins);
        let document = Document { schema: SCHEMA.into(), plugins };
        private_file::replace(&self.path, &serde_json::to_vec_pretty(&document).map_err(io::Error::other)?)?;
        Ok(Ok(()))
    }

    fn unusable(&self, reason: String) -> Refusal {
        Refusal::Pins { path: self.path.clone(), reason }
    }
}

/// What a pin, or its absence, means for these bytes.
pub(super) fn verdict(
    pin: Option<&Pin>,
    trust: Trust,
    id: &Name,
    path: &Path,
    found: Digest,
) -> Result<(), Refusal> {
    match (pin, trust) {
        (_, Trust::Any) | (None, Trust::Tofu) => Ok(()),
        (Some(pin), _) if pin.sha256 == found => Ok(()),
        (Some(pin), _) => {
            Err(Refusal::Changed { id: id.clone(), pinned: pin.sha256, found, path: path.to_owned() })
        }
        (None, Trust::Pinned) => Err(Refusal::NotPinned { id: id.clone(), path: path.to_owned() }),
    }
}

fn pin_of(path: &Path, sha256: Digest) -> Pin {
    Pin { sha256, path: path.to_owned(), pinned_at: UnixMillis::now().rfc3339() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use tempfile::{TempDir, tempdir};

    const FILE: &str = "/plugins/acme.so";

    fn pins() -> (TempDir, Pins) {
        let home = tempdir().unwrap();
        let pins = Pins::new(home.path().join("state/plugins.lock"));
        (home, pins)
    }

    fn decide(pins: &Pins, trust: Trust, bytes: &[u8]) -> Result<(), Refusal> {
        pins.decide(trust, &"acme".parse().unwrap(), Path::new(FILE), Digest::of(bytes))
    }

    #[test]
    fn tofu_pins_the_first_file_and_refuses_a_changed_one_until_it_is_trusted() {
        let (_home, pins) = pins();
        decide(&pins, Trust::Tofu, b"first").unwrap();
        decide(&pins, Trust::Tofu, b"first").unwrap();
        let refusal = decide(&pins, Trust::Tofu, b"second").unwrap_err();
        assert!(matches!(refusal, Refusal::Changed { .. }), "{refusal}");
        assert_eq!(refusal.hint(), Some(format!("ccproxy plugin trust {FILE}")));

        pins.pin(&"acme".parse().unwrap(), Path::new(FILE), Digest::of(b"second")).unwrap();
        decide(&pins, Trust::Tofu, b"second").unwrap();
        assert!(decide(&pins, Trust::Tofu, b"first").is_err());
    }

    #[test]
    fn who_only_looks_pins_nothing() {
        let (home, pins) = pins();
        decide(&pins.clone().forgetful(), Trust::Tofu, b"first").unwrap();
        assert!(!home.path().join("state").exists());
        decide(&pins, Trust::Tofu, b"first").unwrap();
        assert!(decide(&pins.forgetful(), Trust::Tofu, b"second").is_err());
    }

    #[test]
    fn pinned_loads_nothing_by_itself_and_any_loads_everything() {
        let (_home, pins) = pins();
        assert!(matches!(decide(&pins, Trust::Pinned, b"x"), Err(Refusal::NotPinned { .. })));
        decide(&pins, Trust::Any, b"x").unwrap();
        assert!(pins.read().unwrap().is_empty(), "neither wrote anything");
    }

    #[test]
    fn the_list_is_private_and_a_damaged_one_trusts_nobody() {
        let (_home, pins) = pins();
        decide(&pins, Trust::Tofu, b"x").unwrap();
        assert_eq!(fs::metadata(pins.path()).unwrap().mode() & 0o777, 0o600);
        fs::write(pins.path(), "{").unwrap();
        assert!(matches!(decide(&pins, Trust::Tofu, b"x"), Err(Refusal::Pins { .. })));
        assert_eq!(fs::read(pins.path()).unwrap(), b"{", "and it is kept for a person to look at");
    }

    #[test]
    fn a_list_that_others_could_write_is_not_believed() {
        let (_home, pins) = pins();
        decide(&pins, Trust::Tofu, b"x").unwrap();
        fs::set_permissions(pins.path(), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(decide(&pins, Trust::Tofu, b"x"), Err(Refusal::Unsafe { .. })));
    }

    #[test]
    fn processes_that_pin_at_once_lose_nothing() {
        let (_home, pins) = pins();
        std::thread::scope(|scope| {
            for at in 0..8_u8 {
                let pins = &pins;
                scope.spawn(move || {
                    let id = format!("acme-{at}").parse().unwrap();
                    pins.decide(Trust::Tofu, &id, Path::new(FILE), Digest::of(&[at])).unwrap();
                });
            }
        });
        assert_eq!(pins.read().unwrap().len(), 8);
    }
}
