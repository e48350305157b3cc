//! What plugins said of connections, for when one cannot say it now.
//!
//! A plugin in quarantine, or a replacement that panics when it is asked, must not take the routes of
//! connections whose tokens are good: they stay as they were described the last time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::answers::Description;
use super::provider::Plugin;
use super::registry::Registry;
use crate::fault::{Code, Fault};
use crate::model::{Connection, ConnectionId};

/// The last description of each connection.
#[derive(Default)]
pub(super) struct Said(Mutex<BTreeMap<ConnectionId, Last>>);

struct Last {
    settings: Map<String, Value>,
    description: Description,
}

impl Said {
    fn remember(&self, connection: &Connection, said: &Description) {
        let last = Last { settings: connection.settings.clone(), description: said.clone() };
        self.all().insert(connection.id.clone(), last);
    }

    fn last(&self, connection: &Connection) -> Option<Description> {
        let all = self.all();
        let last = all.get(&connection.id).filter(|last| last.settings == connection.settings);
        last.map(|last| last.description.clone())
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Last>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Forgets what was said of a connection that is gone or has other settings.
    pub fn forget(&self, id: &ConnectionId) {
        self.said.all().remove(id);
    }

    /// What a plugin says of a connection; what it, or the one before it, said of the same settings where
    /// it is broken. No I/O.
    pub async fn describe(&self, plugin: &Plugin, connection: &Connection) -> Result<Description, Fault> {
        let said = plugin.describe(connection).await;
        match said {
            Ok(said) => {
                self.said.remember(connection, &said);
                Ok(said)
            }
            Err(fault) if matches!(fault.code, Code::PluginFailed | Code::Timeout) => {
                self.said.last(connection).ok_or(fault)
            }
            Err(fault) => Err(fault),
        }
    }
}
