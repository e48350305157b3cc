//! Connections made, changed and removed through the API: the same file that `auth create` writes, under the
//! same lock, and in force before anybody is told.

use serde_json::{Map, Value, json};

use crate::config::{ConnectionConfig, Given, StoredConnection};
use crate::fault::{Code, Fault};
use crate::hint::listed;
use crate::model::{Connection, ConnectionId, Name};
use crate::refusal::{ApiRefusal, Why};
use crate::vault::{Lease, Purpose, forget_secrets};

use super::login::owner;
use super::reload::Cause;
use super::rename::routes_of;
use super::serve::Serving;

impl Serving {
    /// Makes a connection on which nobody has logged in yet.
    pub(super) async fn create_connection(
        &self,
        id: &ConnectionId,
        provider: Name,
        settings: Map<String, Value>,
    ) -> Result<Value, ApiRefusal> {
        self.in_force().await?;
        self.absent(id)?;
        let stored = StoredConnection { id: id.clone(), provider, settings };
        let lease = self.checked(&stored).await?;
        // Again under the lock: another process may have made it meanwhile.
        self.in_force().await?;
        self.absent(id)?;
        if lease.transaction().envelope().is_some() {
            let grants = self.app.paths.credentials_dir();
            let file = grants.join(id.org.as_str()).join(format!("{}.json", id.name));
            let what = format!("`{id}` has a grant already, left by a connection that was removed by hand");
            return Err(conflict(what, format!("take another name, or remove {}", file.display())));
        }
        self.store(&stored).await?;
        lease.close();
        self.app.credentials.changed(id).await;
        Ok(self.connection_document(id).await?)
    }

    /// Gives a connection other settings; its grant stays.
    pub(super) async fn replace_connection(
        &self,
        id: &ConnectionId,
        provider: Option<Name>,
        settings: Map<String, Value>,
    ) -> Result<Value, ApiRefusal> {
        self.in_force().await?;
        let known = self.writable(id)?;
        if let Some(other) = provider.filter(|provider| *provider != known.provider) {
            let what =
                format!("the connection `{id}` is of the provider `{}`, not `{other}`", known.provider);
            return Err(conflict(what, format!("make another connection of `{other}`")));
        }
        let stored = StoredConnection { id: id.clone(), provider: known.provider, settings };
        let lease = self.checked(&stored).await?;
        self.in_force().await?;
        self.writable(id)?;
        self.store(&stored).await?;
        lease.close();
        self.app.credentials.reset(id);
        self.app.credentials.changed(id).await;
        Ok(self.connection_document(id).await?)
    }

    /// Logs out and removes the connection. What the provider says about it keeps nobody from going.
    pub(super) async fn delete_connection(
        &self,
        id: &ConnectionId,
        revoke: bool,
    ) -> Result<Value, ApiRefusal> {
        self.in_force().await?;
        self.writable(id)?;
        self.unused(id)?;
        // It would bring the connection back.
        self.logins.cancel_of(id);
        let (lease, outcome) = self.app.give_up(id, revoke).await?;
        StoredConnection::remove(&self.app.paths, id)?;
        forget_secrets(&self.app.paths.state_dir, id)?;
        self.reload(Cause::Watch).await?;
        lease.close();
        self.app.credentials.changed(id).await;
        let mut document = json!({ "schema": "ccproxy.connection-deleted/1", "connection": id });
        outcome.describe(&mut document);
        Ok(document)
    }

    /// What is written is what is served: a mistake that is in the files already is told before anything is
    /// changed, and is not taken for one of this change.
    async fn in_force(&self) -> Result<(), ApiRefusal> {
        self.reload(Cause::Watch).await?;
        Ok(())
    }

    /// Refuses settings that `auth create` would refuse, and takes the lock of the connection.
    async fn checked(&self, stored: &StoredConnection) -> Result<Lease, ApiRefusal> {
        let invalid = |fault| ApiRefusal::new(Why::Invalid, fault);
        let registry = self.app.registry();
        if !registry.manifests().contains_key(&stored.provider) {
            return Err(ApiRefusal::new(Why::Unfit, registry.missing(&stored.provider)));
        }
        let plugin = registry.load(&stored.provider).await?;
        let checked = stored.check(Given::Members, Some(plugin.settings_schema())).map_err(Fault::from);
        // Members have no lines that an excerpt could show.
        checked.map_err(|fault| invalid(Fault { transcript: None, ..fault }))?;
        let connection = Connection {
            id: stored.id.clone(),
            provider: stored.provider.clone(),
            settings: stored.settings.clone(),
            settings_generation: 0,
        };
        plugin.describe(&connection).await.map_err(|fault| match fault.code {
            Code::InvalidConfig => invalid(fault),
            _ => fault.into(),
        })?;
        Ok(self.app.vault.begin(&stored.id, owner(&connection, &plugin), Purpose::Login).await?)
    }

    /// Writes the file and puts it in force; if that cannot be, the file is as it was.
    async fn store(&self, stored: &StoredConnection) -> Result<(), ApiRefusal> {
        let (paths, id) = (&self.app.paths, &stored.id);
        let before = StoredConnection::text(paths, id)?;
        stored.write(paths)?;
        let Err(fault) = self.reload(Cause::Watch).await else { return Ok(()) };
        StoredConnection::put_back(paths, id, before.as_deref())?;
        self.reload(Cause::Watch).await?;
        Err(match fault.code {
            Code::InvalidConfig | Code::Unsupported => ApiRefusal::new(Why::Invalid, fault),
            _ => fault.into(),
        })
    }

    fn absent(&self, id: &ConnectionId) -> Result<(), ApiRefusal> {
        match self.app.config().resolved.connections.get(id) {
            None => Ok(()),
            Some(known) => {
                let what =
                    format!("there is a connection `{id}` already, of the provider `{}`", known.provider);
                Err(conflict(what, format!("PUT /api/v1/connections/{}/{} changes it", id.org, id.name)))
            }
        }
    }

    /// A connection that only the store has. One that a file, the environment or a flag has is changed there.
    fn writable(&self, id: &ConnectionId) -> Result<ConnectionConfig, ApiRefusal> {
        let config = self.app.config();
        let known = config.resolved.connections.get(id).cloned();
        let known =
            known.ok_or_else(|| ApiRefusal::new(Why::NotFound, super::unknown_connection(id, &config)))?;
        if known.stored {
            return Ok(known);
        }
        let what = format!("the connection `{id}` is written in {}, which wins over the store", known.origin);
        Err(conflict(what, "change it there".into()))
    }

    /// Routes that are written for it would lead nowhere, and no configuration would be good any more.
    fn unused(&self, id: &ConnectionId) -> Result<(), ApiRefusal> {
        let routes = routes_of(&self.app.config(), id);
        let Some((_, place)) = routes.first() else { return Ok(()) };
        let names = listed(routes.iter().map(|(name, _)| name.as_str()));
        let what = format!("routes are written for the connection `{id}`: {names}");
        Err(conflict(what, format!("remove the route at {place} first")))
    }
}

fn conflict(what: String, hint: String) -> ApiRefusal {
    ApiRefusal::new(Why::Conflict, Fault::new(Code::InvalidConfig, what).hint(hint))
}
