//! What is kept of a login: the key.

use ccproxy_plugin_sdk::serde_json::{Map, Value};
use ccproxy_plugin_sdk::{Error, ErrorCode, JsonTokenStorage, Secret};
use serde::{Deserialize, Serialize};

/// The stored key.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key, without a final line break.
    #[serde(with = "ccproxy_plugin_sdk::stored")]
    pub key: Secret,
}

/// Records of this plugin.
pub struct KeyStorage;

impl JsonTokenStorage for KeyStorage {
    type Record = KeyRecord;
    const SCHEMA_VERSION: u32 = 2;

    /// Version 1 called the key `token` and kept the line break of a piped one.
    fn migrate(from: u32, mut record: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let token = match (from, record.remove("token")) {
            (1, Some(Value::String(token))) => token,
            _ => return Err(Error::new(ErrorCode::Storage, format!("record schema {from} is not known"))),
        };
        record.insert("key".into(), without_final_newline(&token).into());
        Ok(record)
    }
}

/// A key from a file, a pipe or a terminal often ends in a line break that is not part of it.
pub(crate) fn without_final_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn one_final_newline_goes_and_nothing_else() {
        assert_eq!(without_final_newline("k\n"), "k");
        assert_eq!(without_final_newline("k\r\n"), "k");
        assert_eq!(without_final_newline("k\n\n"), "k\n");
        assert_eq!(without_final_newline(" k"), " k");
    }

    #[test]
    fn a_version_1_record_without_its_token_is_refused() {
        let error = KeyStorage::decode(br#"{"schema_version":1}"#).err().unwrap();
        assert_eq!(error.message, "record schema 1 is not known");
    }
}
