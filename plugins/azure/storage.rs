//! What is kept of a login: one refresh token for every resource, an access token for each, and who the
//! directory says it was.

use ccproxy_plugin_oauth::OAuthRecord;
use ccproxy_plugin_sdk::serde_json::{Map, Value};
use ccproxy_plugin_sdk::{Error, ErrorCode, JsonTokenStorage};
use serde::{Deserialize, Serialize};

/// The stored grant.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct AzureRecord {
    /// Tokens by target, scopes, and the client they were given to.
    #[serde(flatten)]
    pub grant: OAuthRecord,
    /// The tenant that the login turned out to be of.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// The roles that the application gave this account.
    #[serde(default)]
    pub roles: Vec<String>,
}

impl From<OAuthRecord> for AzureRecord {
    fn from(grant: OAuthRecord) -> Self {
        Self { grant, ..Self::default() }
    }
}

impl AsRef<OAuthRecord> for AzureRecord {
    fn as_ref(&self) -> &OAuthRecord {
        &self.grant
    }
}

impl AsMut<OAuthRecord> for AzureRecord {
    fn as_mut(&mut self) -> &mut OAuthRecord {
        &mut self.grant
    }
}

/// Records of this plugin.
pub struct AzureStorage;

impl JsonTokenStorage for AzureStorage {
    type Record = AzureRecord;
    const SCHEMA_VERSION: u32 = 1;

    fn migrate(from: u32, _: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        Err(Error::new(ErrorCode::Storage, format!("record schema {from} is not known")))
    }
}
