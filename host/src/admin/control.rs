//! What the admin API asks of the host behind it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::fault::Fault;
use crate::login::LoginOptions;
use crate::model::{ConnectionId, Name};
use crate::refusal::ApiRefusal;
pub use crate::respond::Check;

/// Rendered event documents, as they happen.
pub type Events = BoxStream<'static, Arc<str>>;

/// An answer in the making.
pub type Answer<'a, T = Value, E = Fault> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Settings as a connection has them: by their name in the schema, secrets as references.
pub type Settings = Map<String, Value>;

/// What the running host can tell and do. Implemented by `app`.
pub trait Control: Send + Sync + 'static {
    /// pid, directories, listeners.
    fn status(&self) -> Value;
    /// Whether new requests are welcome.
    fn is_ready(&self) -> bool;
    /// What there is to know about its health.
    fn checks(&self) -> Vec<Check>;
    /// The page of metrics.
    fn metrics(&self) -> Answer<'_, String>;
    /// The route table.
    fn routes(&self) -> Value;
    /// Every plugin file and what became of it.
    fn plugins(&self) -> Value;
    /// The providers there are.
    fn providers(&self) -> Value;
    /// Whether a provider's plugin is there; else what to say of it.
    fn find_provider(&self, provider: &Name) -> Result<(), Fault>;
    /// The schema of a provider's settings; its plugin is loaded if it was not.
    fn schema<'a>(&'a self, provider: &'a Name) -> Answer<'a>;
    /// Whether a connection is configured, stored or being made; else what to say of it.
    fn find(&self, id: &ConnectionId) -> Result<(), Fault>;
    /// Every connection, as `auth status` shows it.
    fn connections(&self) -> Answer<'_>;
    /// One of them, with its settings.
    fn connection<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a>;
    /// Makes a connection, checked as a login would.
    fn create<'a>(
        &'a self,
        id: &'a ConnectionId,
        provider: Name,
        settings: Settings,
    ) -> Answer<'a, Value, ApiRefusal>;
    /// Gives a connection other settings. Another provider is refused.
    fn replace<'a>(
        &'a self,
        id: &'a ConnectionId,
        provider: Option<Name>,
        settings: Settings,
    ) -> Answer<'a, Value, ApiRefusal>;
    /// Logs out, revoking if asked to, and removes the connection.
    fn delete<'a>(&'a self, id: &'a ConnectionId, revoke: bool) -> Answer<'a, Value, ApiRefusal>;
    /// The token of a connection as a document, where the configuration allows to hand it out.
    fn credential<'a>(
        &'a self,
        id: &'a ConnectionId,
        scopes: Vec<String>,
        min_ttl: Duration,
    ) -> Answer<'a, Zeroizing<Vec<u8>>, ApiRefusal>;
    /// Hook events of these kinds (bits of [`crate::hook::Kind`]) from now on.
    fn events(&self, kinds: u64) -> Events;
    /// Acquires a new token now.
    fn refresh<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a>;
    /// Revokes if asked to, and forgets the grant.
    fn logout<'a>(&'a self, id: &'a ConnectionId, revoke: bool) -> Answer<'a>;
    /// Reads what a command has just stored, and answers once it is served.
    fn reload<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a>;
    /// Gives a connection another name, its grant with it.
    fn rename<'a>(&'a self, from: &'a ConnectionId, to: &'a ConnectionId) -> Answer<'a>;
    /// Reads the configuration again and puts it in force, if it is good.
    fn reload_configuration(&self) -> Answer<'_>;
    /// Reads the local keys again; how many there are.
    fn reload_keys(&self) -> Result<Value, Fault>;
    /// Begins the end, without waiting for requests under way if `now`.
    fn stop(&self, now: bool) -> Value;
    /// Acquires and asks the provider whose account it is.
    fn test<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a>;
    /// Starts a login.
    fn begin_login(self: Arc<Self>, options: LoginOptions) -> Result<Value, ApiRefusal>;
    /// How a login stands.
    fn login(&self, id: &str) -> Result<Value, ApiRefusal>;
    /// Gives a login what a person copied, or the answer to its question.
    fn paste(&self, id: &str, text: String) -> Result<Value, ApiRefusal>;
    /// Ends a login.
    fn cancel_login(&self, id: &str) -> Result<Value, ApiRefusal>;
    /// Ends the login of a connection that is under way.
    fn cancel_login_of(&self, id: &ConnectionId) -> Result<Value, ApiRefusal>;
    /// Runs a command of a plugin's own: its name, then its arguments.
    fn run<'a>(&'a self, plugin: &'a Name, arguments: Vec<String>) -> Answer<'a>;
    /// Pins a plugin file and loads it.
    fn trust<'a>(&'a self, file: &'a str) -> Answer<'a>;
}
