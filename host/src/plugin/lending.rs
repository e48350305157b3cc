//! Connections as plugins see them, and which ones a plugin has seen.
//!
//! A plugin names the connection it acts for by handing back what it was lent. The host goes by its
//! own copy: settings that a plugin changed mean nothing, and a connection that was never lent to it
//! does not exist.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use abi_stable::std_types::RVec;
use ccproxy_plugin_abi as abi;

use crate::fault::{Code, Fault};
use crate::model::{Connection, ConnectionId, Name};
use crate::secret::Secret;

/// Settings generations remembered per connection: calls with old settings may still be under way.
const MAX_GENERATIONS: usize = 4;

/// What one plugin was lent.
pub(super) struct Lendings {
    plugin: Name,
    lent: Mutex<BTreeMap<(ConnectionId, u64), Arc<Connection>>>,
}

impl Lendings {
    pub(super) fn new(plugin: Name) -> Self {
        Self { plugin, lent: Mutex::default() }
    }

    /// The connection for a call, with the token that stands for the stored one, if any.
    pub(super) fn lend(&self, connection: &Connection, token: Option<Secret>) -> abi::ConnectionRef {
        self.remember(connection);
        let ext = token
            .map(|token| abi::Field { name: "token-override".into(), value: RVec::from(token.expose()) });
        let settings = serde_json::Value::Object(connection.settings.clone());
        abi::ConnectionRef {
            org: connection.id.org.as_str().into(),
            name: connection.id.name.as_str().into(),
            settings_json: settings.to_string().into(),
            settings_generation: connection.settings_generation,
            ext: ext.into_iter().collect(),
        }
    }

    /// The host's copy of what the plugin hands back.
    pub(super) fn returned(&self, reference: &abi::ConnectionRef) -> Result<Arc<Connection>, Fault> {
        let id =
            reference.org.parse().and_then(|org| Ok(ConnectionId { org, name: reference.name.parse()? }));
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let found = id.ok().and_then(|id| lent.get(&(id, reference.settings_generation)).cloned());
        found.ok_or_else(|| {
            let what = format!("plugin `{}` names a connection that it was not lent", self.plugin);
            Fault::new(Code::InvalidConfig, what)
        })
    }

    fn remember(&self, connection: &Connection) {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (connection.id.clone(), connection.settings_generation);
        if lent.get(&key).is_some_and(|known| **known == *connection) {
            return;
        }
        lent.insert(key, Arc::new(connection.clone()));
        let of_this = (connection.id.clone(), 0)..=(connection.id.clone(), u64::MAX);
        let old: Vec<_> =
            lent.range(of_this).map(|(key, _)| key.clone()).rev().skip(MAX_GENERATIONS).collect();
        for key in old {
            lent.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn connection(name: &str, generation: u64) -> Connection {
        Connection {
            id: name.parse().unwrap(),
            provider: "acme".parse().unwrap(),
            settings: serde_json::from_str(r#"{"key":{"env":"K"}}"#).unwrap(),
            settings_generation: generation,
        }
    }

    #[test]
    fn settings_that_a_plugin_changed_are_not_believed() {
        let lendings = Lendings::new("acme".parse().unwrap());
        let lent = connection("work", 1);
        let mut reference = lendings.lend(&lent, None);
        reference.settings_json = r#"{"key":{"command":["evil"]}}"#.into();
        assert_eq!(*lendings.returned(&reference).unwrap(), lent);
    }

    #[test]
    fn a_connection_that_was_not_lent_does_not_exist() {
        let lendings = Lendings::new("acme".parse().unwrap());
        let mut reference = lendings.lend(&connection("work", 1), None);
        reference.name = "other".into();
        let refused = lendings.returned(&reference).unwrap_err();
        assert_eq!(refused.message, "plugin `acme` names a connection that it was not lent");
    }

    #[test]
    fn old_settings_are_remembered_for_a_while_but_not_for_ever() {
        let lendings = Lendings::new("acme".parse().unwrap());
        let references: Vec<_> = (0..10).map(|at| lendings.lend(&connection("work", at), None)).collect();
        let known = references.iter().filter(|reference| lendings.returned(reference).is_ok()).count();
        assert_eq!(known, MAX_GENERATIONS);
        assert!(lendings.returned(&references[9]).is_ok());
    }
}
