//! What is kept of a login: one token for every Google API, and whose Workspace it is.

use ccproxy_plugin_oauth::OAuthRecord;
use ccproxy_plugin_sdk::JsonTokenStorage;
use serde::{Deserialize, Serialize};

/// The stored grant.
#[derive(Clone, Serialize, Deserialize)]
pub struct GoogleRecord {
    /// Tokens, scopes, account.
    #[serde(flatten)]
    pub grant: OAuthRecord,
    /// The Workspace domain of the account; none for a private one.
    #[serde(default)]
    pub hosted_domain: Option<String>,
}

impl AsRef<OAuthRecord> for GoogleRecord {
    fn as_ref(&self) -> &OAuthRecord {
        &self.grant
    }
}

impl AsMut<OAuthRecord> for GoogleRecord {
    fn as_mut(&mut self) -> &mut OAuthRecord {
        &mut self.grant
    }
}

/// Records of this plugin.
pub struct GoogleStorage;

impl JsonTokenStorage for GoogleStorage {
    type Record = GoogleRecord;
    const SCHEMA_VERSION: u32 = 1;
}
