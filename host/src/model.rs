//! The words everything else is written in: names, connections, targets, times.
//!
//! Parsed once at the edge; a value of these types is valid by construction.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A provider id, organisation, connection or route name: `[a-z0-9][a-z0-9-]{0,39}`.
///
/// The pattern keeps names usable as one path segment, one file name and one host label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// A text that is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: use 1 to 40 of a-z, 0-9 and `-`, not starting with `-`")]
pub struct InvalidName(pub String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let valid = matches!(text.len(), 1..=40) && text.bytes().all(|b| plain(&b)) && !text.starts_with('-');
        if valid { Ok(Self(text.into())) } else { Err(InvalidName(text.into())) }
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// The organisation a connection belongs to when none is written.
pub const GLOBAL_ORG: &str = "global";

/// The identity of a connection, written `[ORG/]NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectionId {
    /// `global` unless written.
    pub org: Name,
    /// Unique within its organisation.
    pub name: Name,
}

impl ConnectionId {
    /// The connection `name` of the organisation `global`.
    pub fn global(name: Name) -> Self {
        Self { org: Name(GLOBAL_ORG.into()), name }
    }

    /// Whether this connection gets a route of its own name: only `global` ones do, others are
    /// reached by explicit routes.
    pub fn is_global(&self) -> bool {
        self.org.as_str() == GLOBAL_ORG
    }
}

impl FromStr for ConnectionId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.split_once('/') {
            Some((org, name)) => Ok(Self { org: org.parse()?, name: name.parse()? }),
            None => Ok(Self::global(text.parse()?)),
        }
    }
}

impl TryFrom<String> for ConnectionId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ConnectionId> for String {
    fn from(id: ConnectionId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_global() { self.name.fmt(f) } else { write!(f, "{}/{}", self.org, self.name) }
    }
}

/// A named login: provider and settings, no secret. The grant is in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its identity.
    pub id: ConnectionId,
    /// The provider that logs it in.
    pub provider: Name,
    /// The provider's settings as one JSON object, secret references included (`{"env":"X"}`).
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// Rises when the settings change, so that what was derived from them can be told stale.
    pub settings_generation: u64,
}

/// For what a credential is meant. Belongs to a route: one login may serve several targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// Scopes of the token, in the order written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The `audience` parameter some servers want.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The resource indicator of RFC 8707.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The injection form, such as `bearer` or `basic`; the provider's default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inject: Option<String>,
}

impl fmt::Display for Target {
    /// `default`, or what distinguishes this target from it: `scopes=a b audience=x inject=basic`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.scopes.is_empty() {
            parts.push(format!("scopes={}", self.scopes.join(" ")));
        }
        for (key, value) in
            [("audience", &self.audience), ("resource", &self.resource), ("inject", &self.inject)]
        {
            if let Some(value) = value {
                parts.push(format!("{key}={value}"));
            }
        }
        if parts.is_empty() { f.write_str("default") } else { f.write_str(&parts.join(" ")) }
    }
}

/// What a cached credential is found by: never less than connection and target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialKey {
    /// Whose credential.
    pub connection: ConnectionId,
    /// What for.
    pub target: Target,
}

impl fmt::Display for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.connection, self.target)
    }
}

/// A wall-clock time in milliseconds since 1970. Wall clock, because it survives a suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The wall clock now. Reads the vDSO: no system call.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// This time moved later, saturating.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time moved earlier, saturating.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// From `self` until `later`; zero if that is past.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with whole seconds, as every JSON document of ours writes times.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_second(self.0.div_euclid(1000))
            .map_or_else(|_| "invalid".into(), |at| at.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_name_is_one_path_segment() {
        for good in ["a", "github-work", "0", &"x".repeat(40)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a_b", "a/b", "..", &"x".repeat(41)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn a_connection_without_an_organisation_is_global() {
        let id: ConnectionId = "github".parse().unwrap();
        assert!(id.is_global());
        assert_eq!(id.to_string(), "github");
        let id: ConnectionId = "acme/github".parse().unwrap();
        assert_eq!((id.org.as_str(), id.to_string().as_str()), ("acme", "acme/github"));
        assert_eq!("global/github".parse::<ConnectionId>().unwrap().to_string(), "github");
    }

    #[test]
    fn a_target_says_what_sets_it_apart() {
        assert_eq!(Target::default().to_string(), "default");
        let target = Target {
            scopes: vec!["a".into(), "b".into()],
            inject: Some("basic".into()),
            ..Target::default()
        };
        assert_eq!(target.to_string(), "scopes=a b inject=basic");
    }

    #[test]
    fn times_are_written_in_utc_seconds() {
        assert_eq!(UnixMillis(1_795_233_187_999).rfc3339(), "2026-11-21T03:53:07Z");
    }
}
