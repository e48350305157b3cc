//! What is kept of a login: one token, whatever kind it is, and which GitHub it belongs to.
//!
//! A personal token (`ghp_`, `github_pat_`) and an OAuth app's (`gho_`) have no expiry and no
//! refresh token; a GitHub App's (`ghu_`) has both, unless its owner opted out. Prefixes are not
//! looked at: what else the record holds says all.

use ccproxy_plugin_oauth::{DEFAULT_TOKEN, OAuthRecord};
use ccproxy_plugin_sdk::serde_json::{Map, Value, json};
use ccproxy_plugin_sdk::{Error, ErrorCode, JsonTokenStorage, Secret};
use serde::{Deserialize, Serialize};

/// The stored grant.
#[derive(Clone, Serialize, Deserialize)]
pub struct GitHubRecord {
    /// Tokens, scopes, and the client they were given to.
    #[serde(flatten)]
    pub grant: OAuthRecord,
    /// The host that gave them: they go to no other.
    pub host: String,
}

impl GitHubRecord {
    /// The one token.
    pub(crate) fn token(&self) -> Option<&Secret> {
        self.grant.tokens.get(DEFAULT_TOKEN).map(|token| &token.access_token)
    }
}

impl AsRef<OAuthRecord> for GitHubRecord {
    fn as_ref(&self) -> &OAuthRecord {
        &self.grant
    }
}

impl AsMut<OAuthRecord> for GitHubRecord {
    fn as_mut(&mut self) -> &mut OAuthRecord {
        &mut self.grant
    }
}

/// Records of this plugin.
pub struct GitHubStorage;

impl JsonTokenStorage for GitHubStorage {
    type Record = GitHubRecord;
    const SCHEMA_VERSION: u32 = 2;

    /// Version 1 kept the answer as GitHub wrote it: one token at the top, its scopes in one text
    /// with commas, times in seconds.
    fn migrate(from: u32, mut record: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        if from != 1 {
            return Err(Error::new(ErrorCode::Storage, format!("record schema {from} is not known")));
        }
        let millis = |seconds: Option<Value>| {
            seconds.and_then(|seconds| seconds.as_i64()).map(|seconds| seconds.saturating_mul(1000))
        };
        let scopes = record.remove("scope").and_then(|scope| {
            let scope = scope.as_str()?;
            Some(scope.split(',').filter(|scope| !scope.is_empty()).map(str::to_owned).collect::<Vec<_>>())
        });
        let mut token = Map::new();
        token.extend(record.remove("access_token").map(|token| ("access_token".to_owned(), token)));
        token.insert("expires_at".into(), millis(record.remove("expires_at")).into());
        token.insert("scopes".into(), scopes.clone().into());
        record.insert("tokens".into(), json!({ DEFAULT_TOKEN: token }));
        record.insert("scopes_granted".into(), scopes.into());
        let refresh_expires_at = millis(record.remove("refresh_expires_at"));
        record.insert("refresh_expires_at".into(), refresh_expires_at.into());
        record.remove("token_type");
        Ok(record)
    }
}
