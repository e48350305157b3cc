//! The trait an author implements.

use std::future::Future;

use ccproxy_plugin_abi as abi;
use ccproxy_plugin_abi::abi_stable::std_types::RVec;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::connection::Connection;
use crate::error::Error;
use crate::host::Host;
use crate::http::{Request, Response};
use crate::login::{Flow, LoginInput, LoginRequest, Step};
use crate::manager::{Account, TokenManager};
use crate::manifest::Manifest;
use crate::secret::Secret;
use crate::storage::JsonTokenStorage;

/// The record type of a provider.
pub type RecordOf<P> = <<<P as Provider>::Manager as TokenManager>::Storage as JsonTokenStorage>::Record;

/// A provider: how to log in, what to store, how to renew, where it leads.
pub trait Provider: Sized + Send + Sync + 'static {
    /// What the host may know before any code of the plugin runs.
    const MANIFEST: Manifest;

    /// Connection settings. `#[serde(deny_unknown_fields)]` is not needed: the host checks keys
    /// against the schema and names the nearest.
    type Settings: DeserializeOwned + JsonSchema + Send + Sync + 'static;

    /// The token manager.
    type Manager: TokenManager<Settings = Self::Settings>;

    /// Makes the provider. Called once per loaded image.
    ///
    /// # Errors
    /// Whatever keeps it from working at all; the plugin is then refused with this message.
    fn create(host: Host) -> Result<Self, Error>;

    /// The token manager.
    fn manager(&self) -> &Self::Manager;

    /// Where a connection leads and how it can log in. No I/O.
    ///
    /// # Errors
    /// Settings that cannot work, naming the key.
    fn describe(&self, connection: &Connection<Self::Settings>) -> Result<Description, Error>;

    /// Starts a login.
    fn login_begin(
        &self,
        connection: &Connection<Self::Settings>,
        request: LoginRequest,
    ) -> impl Future<Output = Result<Step<RecordOf<Self>>, Error>> + Send;

    /// Goes on with a login. `state` is what the step before asked to get back.
    fn login_continue(
        &self,
        connection: &Connection<Self::Settings>,
        state: Secret,
        input: LoginInput,
    ) -> impl Future<Output = Result<Step<RecordOf<Self>>, Error>> + Send {
        let _ = (connection, state, input);
        async { Err(Error::unsupported("this login has one step")) }
    }

    /// Asks the provider whose grant this is. `record` is absent where settings alone suffice.
    fn probe(
        &self,
        connection: &Connection<Self::Settings>,
        record: Option<&RecordOf<Self>>,
    ) -> impl Future<Output = Result<Account, Error>> + Send {
        let snapshot = record.map(|record| self.manager().snapshot(record));
        let name = connection.name.clone();
        async move {
            Ok(snapshot
                .and_then(|snapshot| snapshot.account)
                .unwrap_or(Account { subject: name, ..Account::default() }))
        }
    }

    /// Answers a path declared in the manifest.
    fn handle(&self, request: Request) -> impl Future<Output = Result<Response, Error>> + Send {
        let _ = request;
        async { Ok(Response { status: 404, ..Response::default() }) }
    }

    /// Runs a command declared in the manifest.
    fn command(&self, arguments: Vec<String>) -> impl Future<Output = Result<CommandOutput, Error>> + Send {
        let name = arguments.into_iter().next().unwrap_or_default();
        async move { Err(Error::unsupported(format!("this plugin has no command `{name}`"))) }
    }

    /// Hears an event it subscribed to in the manifest, as its JSON document.
    fn on_event(&self, event: serde_json::Value) -> impl Future<Output = ()> + Send {
        let _ = event;
        async {}
    }

    /// Called once before the first use.
    fn start(&self) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// The last call. The image stays mapped; tasks of its own should end.
    fn shutdown(&self) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }
}

/// What a provider says of a connection before anything is acquired. By default a person must log
/// in, no flow is offered and it leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Base URL behind `/<connection>/`; none if the connection only yields tokens.
    pub upstream: Option<String>,
    /// Flows that can work with these settings, best first.
    pub flows: Vec<Flow>,
    /// Whether a person must log in before the first use.
    pub needs_login: bool,
    /// Environment variables that point a tool at the route: name, and template with `{base}` (the
    /// route's URL without a final slash) and `{key}` (the local key).
    pub env: Vec<(String, String)>,
    /// Request fields in which clients of this upstream carry credentials of their own, besides
    /// `Authorization`. They are removed from every request.
    pub credential_fields: Vec<String>,
}

impl Default for Description {
    fn default() -> Self {
        Self {
            upstream: None,
            flows: Vec::new(),
            needs_login: true,
            env: Vec::new(),
            credential_fields: Vec::new(),
        }
    }
}

impl Description {
    pub(crate) fn into_abi(self) -> abi::Description {
        let route = abi::RouteSpec {
            upstream: self.upstream.unwrap_or_default().into(),
            env: self
                .env
                .into_iter()
                .map(|(name, template)| abi::EnvVar { name: name.into(), template: template.into() })
                .collect(),
            credential_fields: self.credential_fields.into_iter().map(Into::into).collect(),
        };
        abi::Description {
            routes: RVec::from(vec![route]),
            flows: self.flows.into_iter().map(|flow| flow.as_str().into()).collect(),
            needs_login: self.needs_login,
            ext: RVec::new(),
        }
    }
}

/// What a plugin command prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandOutput {
    /// For standard output.
    pub stdout: Vec<u8>,
    /// Exit code.
    pub exit_code: u8,
}
