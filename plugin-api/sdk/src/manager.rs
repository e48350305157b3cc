//! The token manager: which token, is it fresh enough, how is it renewed.

use std::future::Future;
use std::time::Duration;

use ccproxy_plugin_abi as abi;
use ccproxy_plugin_abi::abi_stable::std_types::{ROption, RVec};

use crate::connection::Connection;
use crate::error::Error;
#[cfg(feature = "testing")]
use crate::http::fields_from_abi;
use crate::http::fields_to_abi;
use crate::storage::{Grant, JsonTokenStorage};
use crate::time::UnixMillis;

/// How a provider turns a stored grant into what is injected. The host owns *when* (timers, single
/// flight, backoff); the manager owns *how*.
pub trait TokenManager: Send + Sync + 'static {
    /// The provider's settings.
    type Settings: Send + Sync + 'static;
    /// The provider's record.
    type Storage: JsonTokenStorage;

    /// Yields a credential for `want`: a stored token where one is fresh enough
    /// ([`Want::accepts`]), else a new one, saved through `grant` before it is returned.
    ///
    /// The connection's lock is held and the record was re-read under it: what another process
    /// renewed meanwhile is already here.
    fn acquire(
        &self,
        connection: &Connection<Self::Settings>,
        grant: &mut Grant<Self::Storage>,
        want: &Want,
    ) -> impl Future<Output = Result<Credential, Error>> + Send;

    /// What a record says, as far as it may be shown. No I/O. By default nothing.
    fn snapshot(&self, record: &<Self::Storage as JsonTokenStorage>::Record) -> TokenSnapshot {
        let _ = record;
        TokenSnapshot::default()
    }

    /// Revokes at the provider if asked to, and deletes the record. By default nothing is revoked.
    fn logout(
        &self,
        connection: &Connection<Self::Settings>,
        grant: &mut Grant<Self::Storage>,
        revoke: bool,
    ) -> impl Future<Output = Result<Revocation, Error>> + Send {
        let _ = (connection, revoke);
        async move {
            grant.delete().await?;
            Ok(Revocation { revoked: false, message: "this provider has no revocation".into() })
        }
    }
}

/// For what a credential is meant. One login may serve several targets.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(default)]
pub struct Target {
    /// Scopes, in the order written; empty for those of the login.
    pub scopes: Vec<String>,
    /// The `audience` parameter; empty if none.
    pub audience: String,
    /// The RFC 8707 resource indicator; empty if none.
    pub resource: String,
    /// The injection form; empty for the provider's default. Not part of the token's identity.
    pub inject: String,
}

impl Target {
    /// The key of this target's token in a record: everything but the injection form, because
    /// Bearer and Basic carry the same token.
    pub fn token_key(&self) -> String {
        let mut parts = Vec::new();
        if !self.scopes.is_empty() {
            parts.push(format!("scopes={}", self.scopes.join(" ")));
        }
        if !self.audience.is_empty() {
            parts.push(format!("audience={}", self.audience));
        }
        if !self.resource.is_empty() {
            parts.push(format!("resource={}", self.resource));
        }
        if parts.is_empty() { "default".into() } else { parts.join(" ") }
    }

    pub(crate) fn to_abi(&self) -> abi::Target {
        abi::Target {
            scopes: self.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            audience: self.audience.as_str().into(),
            resource: self.resource.as_str().into(),
            inject: self.inject.as_str().into(),
            ext: RVec::new(),
        }
    }

    pub(crate) fn from_abi(target: abi::Target) -> Self {
        Self {
            scopes: target.scopes.into_iter().map(Into::into).collect(),
            audience: target.audience.into(),
            resource: target.resource.into(),
            inject: target.inject.into(),
        }
    }
}

/// Why a credential is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing usable is cached.
    Missing,
    /// The upstream refused the token of [`Want::rejected_generation`].
    Rejected,
    /// Ahead of expiry.
    Scheduled,
    /// Somebody asked for a new one now, however fresh the stored one is.
    Forced,
}

/// What an acquire must yield.
#[derive(Clone, Debug)]
pub struct Want {
    /// What for.
    pub target: Target,
    /// The least life the credential must have left.
    pub min_ttl: Duration,
    /// The generation an upstream refused.
    pub rejected_generation: Option<u64>,
    /// Why.
    pub reason: Reason,
}

impl Want {
    /// Whether a stored token will do: it lives long enough, and is newer than what was refused.
    ///
    /// `Forced` never accepts one: somebody said "now".
    pub fn accepts(&self, generation: u64, expires_at: Option<UnixMillis>, now: UnixMillis) -> bool {
        self.reason != Reason::Forced
            && self.rejected_generation.is_none_or(|rejected| generation > rejected)
            && expires_at.is_none_or(|at| now.plus(self.min_ttl) < at)
    }

    pub(crate) fn from_abi(request: abi::AcquireRequest) -> Self {
        Self {
            target: Target::from_abi(request.target),
            min_ttl: Duration::from_millis(request.min_ttl_ms),
            rejected_generation: request.rejected_generation.into_option(),
            reason: match request.reason.as_str() {
                "rejected" => Reason::Rejected,
                "scheduled" => Reason::Scheduled,
                "forced" => Reason::Forced,
                _ => Reason::Missing,
            },
        }
    }
}

/// What is injected into a request. Holds secrets, so there is no `Debug`.
#[derive(Clone)]
pub struct Credential {
    /// Header fields to set.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Query parameters to set, not percent-encoded.
    pub query: Vec<(String, String)>,
    /// When it dies; `None` if it does not say.
    pub expires_at: Option<UnixMillis>,
    /// The record generation the token was stored with.
    pub generation: u64,
    /// Whether the host may reuse it until it expires.
    pub reuse: bool,
}

impl Credential {
    /// `Authorization: Bearer <token>` (RFC 6750).
    pub fn bearer(token: &crate::Secret, expires_at: Option<UnixMillis>, generation: u64) -> Self {
        Self::header("authorization", format!("Bearer {}", token.expose()), expires_at, generation)
    }

    /// One header field.
    pub fn header(
        name: &str,
        value: impl Into<Vec<u8>>,
        expires_at: Option<UnixMillis>,
        generation: u64,
    ) -> Self {
        let fields = vec![(name.to_owned(), value.into())];
        Self { fields, query: Vec::new(), expires_at, generation, reuse: true }
    }

    pub(crate) fn into_abi(self) -> abi::Credential {
        let query = self.query.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        abi::Credential {
            fields: fields_to_abi(self.fields),
            query: fields_to_abi(query),
            expires_at_unix_ms: UnixMillis::to_abi(self.expires_at),
            generation: self.generation,
            reuse: self.reuse,
            ext: RVec::new(),
        }
    }

    /// The credential as the host receives it; for tests of a provider.
    #[cfg(feature = "testing")]
    pub(crate) fn from_abi(credential: abi::Credential) -> Self {
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        Self {
            fields: fields_from_abi(credential.fields),
            query: fields_from_abi(credential.query).into_iter().map(|(n, v)| (n, text(v))).collect(),
            expires_at: UnixMillis::from_abi(credential.expires_at_unix_ms),
            generation: credential.generation,
            reuse: credential.reuse,
        }
    }
}

/// The identity a login yields.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Account {
    /// Stable identifier at the provider.
    pub subject: String,
    /// What a person recognises.
    #[serde(default)]
    pub display_name: String,
    /// Tenant or host.
    #[serde(default)]
    pub host: String,
}

impl Account {
    pub(crate) fn into_abi(self) -> abi::Account {
        abi::Account {
            subject: self.subject.into(),
            display_name: self.display_name.into(),
            host: self.host.into(),
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn from_abi(account: abi::Account) -> Self {
        Self {
            subject: account.subject.into(),
            display_name: account.display_name.into(),
            host: account.host.into(),
        }
    }
}

/// One token of a grant, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenView {
    /// What it is for: [`Target::token_key`].
    pub target: String,
    /// When it dies; `None` if it does not say.
    pub expires_at: Option<UnixMillis>,
    /// 8 hex digits of SHA-256: see [`fingerprint`](crate::fingerprint).
    pub fingerprint: String,
}

/// What a record says, as far as it may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSnapshot {
    /// The account, where the record knows it.
    pub account: Option<Account>,
    /// Its tokens.
    pub tokens: Vec<TokenView>,
    /// Scopes asked for.
    pub scopes_requested: Vec<String>,
    /// Scopes the provider says it granted.
    pub scopes_granted: Option<Vec<String>>,
    /// Whether an expired token can be renewed without a person.
    pub refreshable: bool,
}

impl TokenSnapshot {
    pub(crate) fn into_abi(self) -> abi::GrantView {
        let texts = |texts: Vec<String>| texts.into_iter().map(Into::into).collect::<RVec<_>>();
        abi::GrantView {
            account: self.account.map(Account::into_abi).into(),
            tokens: self
                .tokens
                .into_iter()
                .map(|token| abi::TokenView {
                    target: token.target.into(),
                    expires_at_unix_ms: UnixMillis::to_abi(token.expires_at),
                    fingerprint: token.fingerprint.into(),
                })
                .collect(),
            scopes_requested: texts(self.scopes_requested),
            scopes_granted: self.scopes_granted.map(texts).into(),
            refreshable: self.refreshable,
            ext: RVec::new(),
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn from_abi(view: abi::GrantView) -> Self {
        let texts = |texts: RVec<_>| texts.into_iter().map(String::from).collect::<Vec<_>>();
        Self {
            account: view.account.into_option().map(Account::from_abi),
            tokens: view
                .tokens
                .into_iter()
                .map(|token| TokenView {
                    target: token.target.into(),
                    expires_at: UnixMillis::from_abi(token.expires_at_unix_ms),
                    fingerprint: token.fingerprint.into(),
                })
                .collect(),
            scopes_requested: texts(view.scopes_requested),
            scopes_granted: view.scopes_granted.into_option().map(texts),
            refreshable: view.refreshable,
        }
    }
}

/// What a logout did at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whether the provider confirmed it.
    pub revoked: bool,
    /// What a person should know; may be empty.
    pub message: String,
}

pub(crate) fn option<T>(value: ROption<T>) -> Option<T> {
    value.into_option()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn want(reason: Reason, rejected_generation: Option<u64>) -> Want {
        Want { target: Target::default(), min_ttl: Duration::from_secs(10), rejected_generation, reason }
    }

    #[test]
    fn a_stored_token_will_do_if_it_lives_long_enough() {
        let now = UnixMillis(1_000_000);
        let want = want(Reason::Missing, None);
        assert!(want.accepts(1, None, now));
        assert!(want.accepts(1, Some(now.plus(Duration::from_secs(11))), now));
        assert!(!want.accepts(1, Some(now.plus(Duration::from_secs(10))), now));
    }

    #[test]
    fn after_a_401_only_a_newer_token_will_do() {
        let want = want(Reason::Rejected, Some(3));
        assert!(!want.accepts(3, None, UnixMillis(0)));
        assert!(want.accepts(4, None, UnixMillis(0)));
    }

    #[test]
    fn a_forced_refresh_accepts_nothing_stored() {
        assert!(!want(Reason::Forced, None).accepts(9, None, UnixMillis(0)));
    }

    #[test]
    fn bearer_and_basic_share_one_token() {
        let bearer = Target { inject: "bearer".into(), ..Target::default() };
        let basic = Target { inject: "basic".into(), ..Target::default() };
        assert_eq!(bearer.token_key(), basic.token_key());
        let other = Target { scopes: vec!["a".into(), "b".into()], ..Target::default() };
        assert_eq!(other.token_key(), "scopes=a b");
    }
}
