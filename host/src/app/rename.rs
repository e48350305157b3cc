//! A connection under another name: its settings and its grant move together, or neither does.

use serde_json::{Value, json};

use crate::config::{Config, Origin, StoredConnection};
use crate::fault::{Code, Fault};
use crate::hint::listed;
use crate::model::{ConnectionId, Name};

use super::App;

impl App {
    /// Renames a connection of the store. One that a file, the environment or a flag has is renamed there.
    pub async fn rename(&self, from: &ConnectionId, to: &ConnectionId) -> Result<Value, Fault> {
        self.reload_settings()?;
        renameable(&self.config(), from, to)?;
        let moving = self.vault.relocate(from, to).await.map_err(|fault| self.left_over(fault, to))?;
        // Again under the locks: another process may have made or renamed one of the two meanwhile.
        self.reload_settings()?;
        let config = self.config();
        renameable(&config, from, to)?;

        // At every moment at least one name has all: copy, move the grant, remove.
        StoredConnection::copy(&self.paths, &config, from, to)?;
        let moved = moving.carry().and_then(|()| {
            StoredConnection::remove(&self.paths, from).inspect_err(|_| {
                if let Err(fault) = moving.undo() {
                    tracing::error!(connection = %to, error = %fault, "the grant stays under the new name");
                }
            })
        });
        if let Err(fault) = moved {
            if let Err(left) = StoredConnection::remove(&self.paths, to) {
                tracing::warn!(connection = %to, error = %left, "the settings under the new name stay behind");
            }
            return Err(fault);
        }
        self.reload_settings()?;
        Ok(json!({ "schema": "ccproxy.auth-rename/1", "from": from, "to": to }))
    }

    /// A grant under a name that no connection has was left by somebody who removed the settings by hand.
    fn left_over(&self, fault: Fault, to: &ConnectionId) -> Fault {
        if fault.code != Code::InvalidConfig {
            return fault;
        }
        let file = self.paths.credentials_dir().join(to.org.as_str()).join(format!("{}.json", to.name));
        fault.hint(format!("no connection uses it: take another name, or remove {}", file.display()))
    }
}

fn renameable(config: &Config, from: &ConnectionId, to: &ConnectionId) -> Result<(), Fault> {
    let connections = &config.resolved.connections;
    let known = connections.get(from).ok_or_else(|| super::unknown_connection(from, config))?;
    if !known.stored {
        let what = format!("the connection `{from}` is written in {}", known.origin);
        let hint = format!("change its name there to `{to}`, then `ccproxy auth login {to}`");
        return Err(Fault::new(Code::InvalidConfig, what).hint(hint));
    }
    let routes = routes_of(config, from);
    if let Some((_, place)) = routes.first() {
        // No configuration would be good any more until somebody has changed them. The other way round a host
        // that runs keeps the old one for so long.
        let names = listed(routes.iter().map(|(name, _)| name.as_str()));
        let what = format!("routes are written for the connection `{from}`: {names}");
        let hint = format!("write `connection = \"{to}\"` at {place} first, then rename");
        return Err(Fault::new(Code::InvalidConfig, what).hint(hint));
    }
    match connections.get(to) {
        None => Ok(()),
        Some(other) => {
            let what = format!("there is a connection `{to}` already, of the provider `{}`", other.provider);
            Err(Fault::new(Code::InvalidConfig, what)
                .hint(format!("ccproxy auth rename {from} ANOTHER-NAME")))
        }
    }
}

/// The written routes that name a connection, and where.
pub(super) fn routes_of(config: &Config, id: &ConnectionId) -> Vec<(Name, Origin)> {
    let routes = config.resolved.routes.iter().filter(|(_, route)| route.connection == *id);
    routes.map(|(name, route)| (name.clone(), route.origin.clone())).collect()
}
