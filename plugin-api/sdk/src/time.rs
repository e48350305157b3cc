//! Times as the boundary writes them: milliseconds since 1970, 0 for none.

use std::time::Duration;

/// A wall-clock time in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// This time moved later, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(millis(by)))
    }

    /// From `self` until `later`; zero if that is past.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    pub(crate) fn to_abi(at: Option<Self>) -> i64 {
        at.map_or(0, |at| at.0)
    }

    #[cfg(feature = "testing")]
    pub(crate) fn from_abi(at: i64) -> Option<Self> {
        (at != 0).then_some(Self(at))
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
