//! What is kept of a login.

use std::time::Duration;

use ccproxy_plugin_sdk::{
    JsonTokenStorage, Secret, Target, TokenSnapshot, TokenView, UnixMillis, fingerprint, stored,
    stored_option,
};
use serde::{Deserialize, Serialize};

use crate::schemas::Tokens;

/// The record. Change its shape only together with [`JsonTokenStorage::SCHEMA_VERSION`], and write
/// a `migrate` that brings the old one forward.
#[derive(Clone, Serialize, Deserialize)]
pub struct Record {
    #[serde(with = "stored")]
    pub access_token: Secret,
    /// Absent for a token that somebody pasted.
    #[serde(with = "stored_option", default)]
    pub refresh_token: Option<Secret>,
    pub expires_at: Option<UnixMillis>,
}

impl Record {
    /// What a token endpoint answered at `now`. One that sends no new refresh token lets the old one
    /// stay good (RFC 6749 section 6).
    pub fn of(tokens: Tokens, before: Option<Secret>, now: UnixMillis) -> Self {
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token.or(before),
            expires_at: tokens
                .expires_in
                .map(|seconds| now.plus(Duration::from_secs(seconds))),
        }
    }

    /// As far as it may be shown: `auth status` prints it.
    pub fn snapshot(&self) -> TokenSnapshot {
        TokenSnapshot {
            tokens: vec![TokenView {
                target: Target::default().token_key(),
                expires_at: self.expires_at,
                fingerprint: fingerprint(&self.access_token),
            }],
            refreshable: self.refresh_token.is_some(),
            ..TokenSnapshot::default()
        }
    }
}

/// Where records go: the host's vault.
pub struct Storage;

impl JsonTokenStorage for Storage {
    type Record = Record;
    const SCHEMA_VERSION: u32 = 1;
}
