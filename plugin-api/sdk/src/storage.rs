//! Token storage: the provider's own record, its versions, and the transaction it is written in.
//!
//! The bytes travel through the host's vault, so modes, locks, atomic replacement and encryption
//! exist once, and a plugin is handed no other plugin's records.

use std::sync::Arc;

use ccproxy_plugin_abi::{GrantView, VaultTxnBox};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorCode};
use crate::manager::TokenSnapshot;
use crate::secret::Secret;

/// The member of a record that says its version.
const VERSION: &str = "schema_version";

/// A provider's record: a JSON object with a schema version.
pub trait JsonTokenStorage: Send + Sync + 'static {
    /// The record of the current version.
    type Record: Serialize + DeserializeOwned + Send + Sync;

    /// The current version; the first is 1. Raise it with every change of the record's shape.
    const SCHEMA_VERSION: u32;

    /// Brings a record from version `from` to `from + 1`. Called step by step.
    ///
    /// # Errors
    /// Anything it cannot bring forward; the stored bytes then stay as they are.
    fn migrate(from: u32, record: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let _ = record;
        Err(storage(format!("no migration from record schema {from}")))
    }

    /// Reads a record of the current or an older version.
    ///
    /// # Errors
    /// A newer version is refused: this plugin would lose what it does not know.
    fn decode(bytes: &[u8]) -> Result<Self::Record, Error> {
        // serde_json's messages may quote the input, so they are not passed on.
        let mut record: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|_| storage("the stored record is not a JSON object"))?;
        let version = record
            .remove(VERSION)
            .and_then(|version| version.as_u64())
            .ok_or_else(|| storage(format!("the stored record has no `{VERSION}`")))?;
        let current = u64::from(Self::SCHEMA_VERSION);
        if version > current {
            return Err(storage(format!(
                "the stored record has schema {version}, this plugin knows up to {current}"
            ))
            .with_hint("update the plugin, or log in again with `--force`"));
        }
        for from in version..current {
            record = Self::migrate(u32::try_from(from).unwrap_or(u32::MAX), record)?;
        }
        serde_path_to_error::deserialize(Value::Object(record))
            .map_err(|error| storage(format!("the stored record's `{}` cannot be read", error.path())))
    }

    /// Writes a record with the current version.
    ///
    /// # Errors
    /// A record that is not a JSON object.
    fn encode(record: &Self::Record) -> Result<Vec<u8>, Error> {
        match serde_json::to_value(record) {
            Ok(Value::Object(mut object)) => {
                object.insert(VERSION.to_owned(), Self::SCHEMA_VERSION.into());
                serde_json::to_vec(&object).map_err(|_| storage("the record cannot be written as JSON"))
            }
            _ => Err(storage("the record is not a JSON object")),
        }
    }
}

/// A record that is one token: enough for a provider whose tokens never expire.
#[derive(Clone, Serialize, serde::Deserialize)]
pub struct StoredToken {
    /// The token.
    #[serde(with = "crate::stored")]
    pub token: Secret,
}

fn storage(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Storage, message)
}

/// How a record is shown in its envelope.
pub(crate) type View<R> = Arc<dyn Fn(&R) -> TokenSnapshot + Send + Sync>;

/// The record of one connection under its lock: read, changed and saved in one call.
pub struct Grant<S: JsonTokenStorage> {
    record: Option<S::Record>,
    generation: u64,
    txn: VaultTxnBox,
    view: View<S::Record>,
}

impl<S: JsonTokenStorage> Grant<S> {
    /// The record as stored, or as last saved here.
    pub fn record(&self) -> Option<&S::Record> {
        self.record.as_ref()
    }

    /// The generation of the stored record; 0 if there is none.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The generation the next [`save`](Self::save) will have: store it with a new token, so that a
    /// refused one can be told from its successor.
    pub fn next_generation(&self) -> u64 {
        self.txn.next_generation()
    }

    /// Stores the record, durably once this returns. Save a rotated refresh token before its access
    /// token is used: the old one is already dead at the server.
    pub async fn save(&mut self, record: S::Record) -> Result<(), Error> {
        let bytes = S::encode(&record)?;
        let view: GrantView = (self.view)(&record).into_abi();
        let put = self.txn.put(bytes.into(), view);
        self.generation = put.await.into_result()?;
        self.record = Some(record);
        Ok(())
    }

    /// Removes the record.
    pub async fn delete(&mut self) -> Result<(), Error> {
        let delete = self.txn.delete();
        delete.await.into_result()?;
        self.record = None;
        Ok(())
    }

    pub(crate) fn open(txn: VaultTxnBox, view: View<S::Record>) -> Result<Self, Error> {
        let record = match txn.record().into_option() {
            Some(bytes) => Some(S::decode(&bytes)?),
            None => None,
        };
        Ok(Self { record, generation: txn.generation(), txn, view })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    struct Storage;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Record {
        token: String,
        hosts: Vec<String>,
    }

    impl JsonTokenStorage for Storage {
        type Record = Record;
        const SCHEMA_VERSION: u32 = 2;

        fn migrate(from: u32, mut record: Map<String, Value>) -> Result<Map<String, Value>, Error> {
            assert_eq!(from, 1);
            let host = record.remove("host").unwrap_or_default();
            record.insert("hosts".into(), Value::Array(vec![host]));
            Ok(record)
        }
    }

    #[test]
    fn an_older_record_is_brought_forward() {
        let record = Storage::decode(br#"{"schema_version":1,"token":"t","host":"h"}"#).unwrap();
        assert_eq!(record, Record { token: "t".into(), hosts: vec!["h".into()] });
        assert_eq!(
            String::from_utf8(Storage::encode(&record).unwrap()).unwrap(),
            r#"{"hosts":["h"],"schema_version":2,"token":"t"}"#
        );
    }

    #[test]
    fn a_newer_record_is_refused_and_nothing_of_it_is_quoted() {
        let error = Storage::decode(br#"{"schema_version":3,"token":"canary"}"#).unwrap_err();
        assert_eq!(error.code, ErrorCode::Storage);
        assert_eq!(error.message, "the stored record has schema 3, this plugin knows up to 2");
        let error = Storage::decode(br#"{"schema_version":2,"token":17,"hosts":[]}"#).unwrap_err();
        assert_eq!(error.message, "the stored record's `token` cannot be read");
        let error = Storage::decode(b"canary").unwrap_err();
        assert!(!error.message.contains("canary"));
    }
}
