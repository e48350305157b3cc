//! One key: its text when it is made, what is kept of it afterwards.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::Choice;

use crate::digest::Digest;
use crate::fault::{Code, Fault};
use crate::model::{Name, UnixMillis};
use crate::secret::Secret;

/// What every key begins with: people and scanners for leaked secrets recognise one by it.
const PREFIX: &[u8] = b"ccp_";
/// 256 random bits in base64url.
const LENGTH: usize = PREFIX.len() + 43;

/// What is known of a key that was made: everything but the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
// A member that a later version means something by, such as an end, must not be overlooked by this one.
#[serde(deny_unknown_fields)]
pub struct LocalKey {
    /// What people call it.
    pub name: Name,
    /// Of the whole text. A fast hash will do: what was drawn from 256 random bits cannot be found by
    /// trying, whatever one try costs, and a slow hash would be paid by every request.
    sha256: Digest,
    /// The routes it opens; `None` for all.
    pub routes: Option<Vec<Name>>,
    /// Whether it opens the admin API over TCP, too.
    pub admin: bool,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

/// A key that was just made, with its text.
pub struct NewKey {
    /// What is kept.
    pub kept: LocalKey,
    /// What its owner gets, now or never.
    pub text: Secret,
}

impl NewKey {
    /// Draws a key.
    pub fn draw(name: Name, routes: Option<Vec<Name>>, admin: bool) -> Result<Self, Fault> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| {
            Fault::new(Code::Internal, format!("the system gives no randomness: {error}"))
        })?;
        let mut text = PREFIX.to_vec();
        text.extend_from_slice(URL_SAFE_NO_PAD.encode(random).as_bytes());
        let sha256 = Digest::of(&text);
        let created_at = UnixMillis::now().rfc3339();
        Ok(Self { kept: LocalKey { name, sha256, routes, admin, created_at }, text: Secret::new(text) })
    }
}

impl LocalKey {
    /// Whether it opens this route.
    pub fn opens(&self, route: &Name) -> bool {
        self.routes.as_ref().is_none_or(|routes| routes.contains(route))
    }

    /// The start of the hash, by which an owner finds the entry of the key in their hand.
    pub fn fingerprint(&self) -> String {
        self.sha256.fingerprint()
    }

    /// Whether the text of this hash is the key.
    pub(super) fn has(&self, presented: &Digest) -> Choice {
        self.sha256.is_same_in_constant_time(presented)
    }
}

/// Its name: the hash is nobody's business.
impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key {}", self.name)
    }
}

/// Whether this is the text of a key, ours or another host's.
pub fn looks_like_key(text: &[u8]) -> bool {
    text.len() == LENGTH && text.starts_with(PREFIX)
}
