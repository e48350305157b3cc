//! What an OAuth login leaves behind: the record that every OAuth provider stores.

use std::collections::BTreeMap;
use std::time::Duration;

use ccproxy_plugin_sdk::{Account, Secret, TokenSnapshot, TokenView, UnixMillis, fingerprint};
use serde::{Deserialize, Serialize};

use crate::grants::TokenSet;
use crate::login::LoginTokens;

/// The key of the token that a login itself yields: that of a target without wishes.
pub const DEFAULT_TOKEN: &str = "default";

/// A dead token is of no use; for a day it still says in `auth status` what was there.
const KEEP_DEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// The stored grant of an OAuth connection. A provider with more to remember flattens it into its
/// own record and implements `AsRef`, `AsMut` and `From`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OAuthRecord {
    /// By which grant it came.
    pub grant_type: GrantType,
    /// The refresh token; a rotated one is stored before its access token is used.
    #[serde(with = "ccproxy_plugin_sdk::stored_option", skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// When the refresh token dies, where the server says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_expires_at: Option<UnixMillis>,
    /// Access tokens by [`Target::token_key`](ccproxy_plugin_sdk::Target::token_key).
    pub tokens: BTreeMap<String, StoredAccessToken>,
    /// Whose grant it is.
    pub account: Option<Account>,
    /// Scopes asked for at login.
    pub scopes_requested: Vec<String>,
    /// Scopes granted; `None` if the server did not say.
    pub scopes_granted: Option<Vec<String>>,
    /// `sub` of the login's ID token: that of a later one must be the same.
    pub id_token_sub: Option<String>,
    /// `iss` of that ID token, where `issuer` does not say it: it is that of one of many tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_iss: Option<String>,
    /// The client the grant was made to: a refresh token is of no use to another.
    pub client_id: String,
    /// The issuer that made it: its tokens go to no other.
    pub issuer: Option<String>,
}

/// By which grant a record came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// A browser login.
    #[default]
    AuthorizationCode,
    /// A device login.
    DeviceCode,
    /// No person: renewed by asking again.
    ClientCredentials,
    /// A token that a person had already.
    Token,
}

/// One access token.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredAccessToken {
    /// The token.
    #[serde(with = "ccproxy_plugin_sdk::stored")]
    pub access_token: Secret,
    /// When it dies; `None` if the server does not say: a 401 will.
    #[serde(default)]
    pub expires_at: Option<UnixMillis>,
    /// The generation of the record it was stored with; 0 for that of the login, whose generation
    /// is known only after it is stored.
    #[serde(default)]
    pub generation: u64,
    /// Scopes granted to it.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// Its type, as the server writes it.
    #[serde(default = "bearer")]
    pub token_type: String,
}

fn bearer() -> String {
    "bearer".into()
}

impl StoredAccessToken {
    /// The generation that a refusal of this token names, in a record of generation `record`.
    pub fn generation_in(&self, record: u64) -> u64 {
        if self.generation == 0 { record } else { self.generation }
    }
}

impl OAuthRecord {
    /// The record of a login.
    pub fn of_login(login: &LoginTokens, client_id: &str, issuer: Option<&str>) -> Self {
        let mut record = Self {
            grant_type: login.grant_type,
            scopes_requested: login.scopes_requested.clone(),
            client_id: client_id.to_owned(),
            issuer: issuer.map(str::to_owned),
            ..Self::default()
        };
        record.take_over(DEFAULT_TOKEN, &login.tokens, 0);
        record.scopes_granted = login.tokens.scopes.clone();
        record
    }

    /// The record of a token that a person had already.
    pub fn of_token(token: Secret) -> Self {
        let mut record = Self { grant_type: GrantType::Token, ..Self::default() };
        let tokens = TokenSet {
            access_token: token,
            expires_at: None,
            refresh_token: None,
            refresh_expires_at: None,
            scopes: None,
            id_token: None,
        };
        record.take_over(DEFAULT_TOKEN, &tokens, 0);
        record
    }

    /// Takes new tokens over under `key`. A missing refresh token keeps the old one (RFC 6749
    /// section 6). Scopes granted are the login's: those of another target are its token's.
    pub fn take_over(&mut self, key: &str, tokens: &TokenSet, generation: u64) {
        if tokens.refresh_token.is_some() {
            self.refresh_token.clone_from(&tokens.refresh_token);
            self.refresh_expires_at = tokens.refresh_expires_at;
        }
        if key == DEFAULT_TOKEN && tokens.scopes.is_some() {
            self.scopes_granted.clone_from(&tokens.scopes);
        }
        let token = StoredAccessToken {
            access_token: tokens.access_token.clone(),
            expires_at: tokens.expires_at,
            generation,
            scopes: tokens.scopes.clone(),
            token_type: bearer(),
        };
        self.tokens.insert(key.to_owned(), token);
    }

    /// Before a save: tokens of the login get the generation it was stored with, and the long dead go.
    pub fn settle(&mut self, generation: u64, now: UnixMillis) {
        for token in self.tokens.values_mut() {
            token.generation = token.generation_in(generation);
        }
        self.tokens.retain(|_, token| token.expires_at.is_none_or(|at| now < at.plus(KEEP_DEAD)));
    }

    /// What may be shown of it.
    pub fn snapshot(&self) -> TokenSnapshot {
        let view = |(target, token): (&String, &StoredAccessToken)| TokenView {
            target: target.clone(),
            expires_at: token.expires_at,
            fingerprint: fingerprint(&token.access_token),
        };
        TokenSnapshot {
            account: self.account.clone(),
            tokens: self.tokens.iter().map(view).collect(),
            scopes_requested: self.scopes_requested.clone(),
            scopes_granted: self.scopes_granted.clone(),
            refreshable: self.refresh_token.is_some() || self.grant_type == GrantType::ClientCredentials,
        }
    }
}

impl AsRef<Self> for OAuthRecord {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsMut<Self> for OAuthRecord {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn tokens(access: &str, refresh: Option<&str>, scopes: Option<&[&str]>) -> TokenSet {
        TokenSet {
            access_token: Secret::new(access),
            expires_at: Some(UnixMillis(1_000)),
            refresh_token: refresh.map(Secret::new),
            refresh_expires_at: None,
            scopes: scopes.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            id_token: None,
        }
    }

    #[test]
    fn a_missing_refresh_token_keeps_the_old_one() {
        let mut record = OAuthRecord::default();
        record.take_over(DEFAULT_TOKEN, &tokens("at1", Some("rt1"), None), 1);
        record.take_over(DEFAULT_TOKEN, &tokens("at2", None, None), 2);
        assert_eq!(record.refresh_token.as_ref().map(Secret::expose), Some("rt1"));
        record.take_over(DEFAULT_TOKEN, &tokens("at3", Some("rt3"), None), 3);
        assert_eq!(record.refresh_token.as_ref().map(Secret::expose), Some("rt3"));
    }

    #[test]
    fn scopes_of_another_target_are_not_those_of_the_login() {
        let mut record = OAuthRecord::default();
        record.take_over(DEFAULT_TOKEN, &tokens("at", None, Some(&["a", "b"])), 1);
        record.take_over("scopes=c", &tokens("at", None, Some(&["c"])), 2);
        assert_eq!(record.scopes_granted, Some(vec!["a".into(), "b".into()]));
        assert_eq!(record.tokens["scopes=c"].scopes, Some(vec!["c".into()]));
    }

    #[test]
    fn settling_dates_the_tokens_of_the_login_and_drops_the_long_dead() {
        let mut record = OAuthRecord::default();
        record.take_over("login", &tokens("at", None, None), 0);
        record.take_over("later", &tokens("at", None, None), 7);
        record.settle(5, UnixMillis(2_000));
        let generations: Vec<_> = record.tokens.values().map(|token| token.generation).collect();
        assert_eq!(generations, [7, 5]);
        record.settle(8, UnixMillis(1_000).plus(KEEP_DEAD));
        assert!(record.tokens.is_empty());
    }
}
