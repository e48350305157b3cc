//! What the host lends to a plugin: log, clock, timers, tasks, events, secrets and HTTP.

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use abi_stable::erased_types::TD_Opaque;
use abi_stable::std_types::RResult::{RErr, ROk};
use abi_stable::std_types::{RArc, ROption, RStr, RString, RVec};
use async_ffi::{FfiFuture, FutureExt as _};
use ccproxy_plugin_abi::{self as abi, ApiFuture, ApiResult, HostApi, HostApiBox};
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::budget::Budget;
use super::cell::Way;
use super::codes::plugin_error;
use super::exchange::Outgoing;
use super::hosts;
use super::lending::Lendings;
use super::manifest::Manifest;
use super::outbound::Outbound;
use super::report::{Call, custom_event};
use super::{credential, log, signature};
use crate::credential::Prepared;
use crate::fault::{Code, Fault};
use crate::hook::HookSink;
use crate::model::{Connection, ConnectionId, Name, Target, UnixMillis};
use crate::secret::Secret;
use crate::upstream::Base;

/// Tasks of its own that a plugin may have at once.
const MAX_TASKS: usize = 256;
/// Longest timer: longer ones are a mistake in units.
const MAX_SLEEP: Duration = Duration::from_secs(24 * 3600);

/// What an upstream says of a credential that it does not take.
const UNAUTHORIZED: u16 = 401;

/// Resolves secret references.
pub trait Secrets: Send + Sync {
    /// The secret in the setting `name` of a connection. May block: it runs beside the cell.
    fn resolve(&self, connection: &Connection, name: &str) -> Result<Secret, Fault>;

    /// `CCPROXY_TOKEN__<CONNECTION>`: the token to use instead of the stored one.
    fn token_override(&self, connection: &ConnectionId) -> Option<Secret>;
}

/// The connection's own credential, for requests that a plugin makes with it.
pub trait Authenticated: Send + Sync {
    /// Where credentials of this connection may go.
    fn upstreams(&self, connection: &ConnectionId) -> Vec<Base>;

    /// A live credential, through the same single flight as requests; another than the one of the generation
    /// that an upstream has just rejected.
    fn credential(
        &self,
        connection: &ConnectionId,
        target: &Target,
        rejected: Option<u64>,
    ) -> BoxFuture<'static, Result<Arc<Prepared>, Fault>>;
}

/// Which connections there are, for calls that are about none.
pub trait Connections: Send + Sync {
    /// Those of a provider, their settings typed by its schema.
    fn of(&self, provider: &Name, schema: &Value) -> Vec<Connection>;
}

/// What the application gives for all plugins.
pub struct Services {
    /// Where events go.
    pub hooks: Arc<dyn HookSink>,
    /// Who resolves secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Who knows the connections.
    pub connections: Arc<dyn Connections>,
    /// How token calls leave.
    pub outbound: Outbound,
    /// Set once serving: a command without a host has none. Weak, because it knows the plugins.
    pub authenticated: OnceLock<Weak<dyn Authenticated>>,
}

/// The services of one plugin.
#[derive(Clone)]
pub(super) struct Lent(Arc<Inner>);

struct Inner {
    manifest: Arc<Manifest>,
    cell: Way,
    services: Arc<Services>,
    lendings: Arc<Lendings>,
    /// No exchange takes longer.
    longest: Duration,
    /// Of its settings. Known before the provider is made.
    schema: OnceLock<Value>,
    tasks: Arc<Semaphore>,
    /// A plugin in a loop must not fill the disk ...
    records: Mutex<Budget>,
    /// ... nor drown other observers.
    events: Mutex<Budget>,
}

impl Lent {
    pub(super) fn new(
        manifest: Arc<Manifest>,
        cell: Way,
        services: Arc<Services>,
        lendings: Arc<Lendings>,
        longest: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            manifest,
            cell,
            services,
            lendings,
            longest,
            schema: OnceLock::new(),
            tasks: Arc::new(Semaphore::new(MAX_TASKS)),
            records: Mutex::new(Budget::new(1000, 200)),
            events: Mutex::new(Budget::new(100, 20)),
        }))
    }

    pub(super) fn into_box(self) -> HostApiBox {
        abi::HostApi_TO::from_ptr(RArc::new(self), TD_Opaque)
    }

    /// Says what its settings look like; once.
    pub(super) fn knows(&self, schema: &Value) {
        let _ = self.0.schema.set(schema.clone());
    }

    fn id(&self) -> &Name {
        &self.0.manifest.id
    }

    /// Runs a service on the cell, wherever the plugin polls it. Dropping the future drops the work.
    fn serve<T, W>(&self, work: impl FnOnce(Self) -> W) -> ApiFuture<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let task = self.0.cell.open().map(|cell| Task(cell.spawn(work(self.clone()))));
        async move {
            let done = match task {
                Some(mut task) => (&mut task.0).await.ok(),
                None => None,
            };
            match done {
                Some(Ok(value)) => ROk(value),
                Some(Err(fault)) => RErr(plugin_error(fault)),
                None => RErr(plugin_error(Fault::new(Code::Cancelled, "the plugin is being stopped"))),
            }
        }
        .into_ffi()
    }

    async fn call(
        self,
        reference: Option<abi::ConnectionRef>,
        request: abi::HttpRequest,
    ) -> Result<abi::HttpResponse, Fault> {
        let connection = reference.map(|reference| self.0.lendings.returned(&reference)).transpose()?;
        let connection = connection.as_deref();
        let purpose = request.purpose.to_string();
        let outgoing = Outgoing::parse(request, |url| hosts::permit(&self.0.manifest, connection, url))?;
        self.send(connection, &purpose, outgoing).await
    }

    async fn call_as(
        self,
        reference: abi::ConnectionRef,
        target: Target,
        request: abi::HttpRequest,
    ) -> Result<abi::HttpResponse, Fault> {
        let connection = self.0.lendings.returned(&reference)?;
        let authenticated = self.0.services.authenticated.get().and_then(Weak::upgrade);
        let authenticated = authenticated.ok_or_else(|| {
            Fault::new(Code::Unsupported, "authenticated requests need a running host").hint("ccproxy serve")
        })?;
        let upstreams = authenticated.upstreams(&connection.id);
        let outgoing = Outgoing::parse(request, |url| {
            let origin = crate::upstream::Origin::of(url)
                .map_err(|error| Fault::new(Code::InvalidConfig, error.to_string()))?;
            if upstreams.iter().any(|base| *base.origin() == origin) {
                return Ok(origin);
            }
            let what =
                format!("{origin} is no upstream of `{}`: its credential does not go there", connection.id);
            Err(Fault::new(Code::InvalidConfig, what))
        })?;
        let credential = authenticated.credential(&connection.id, &target, None).await?;
        let answer = self.send(Some(&connection), "", outgoing.clone().with(&credential)).await?;
        if answer.status != UNAUTHORIZED {
            return Ok(answer);
        }
        // As a request through the proxy: one renewal, and once more.
        let rejected = Some(credential.generation);
        match authenticated.credential(&connection.id, &target, rejected).await {
            Ok(renewed) => self.send(Some(&connection), "", outgoing.with(&renewed)).await,
            Err(_) => Ok(answer),
        }
    }

    async fn send(
        &self,
        connection: Option<&Connection>,
        purpose: &str,
        outgoing: Outgoing,
    ) -> Result<abi::HttpResponse, Fault> {
        let services = &self.0.services;
        let call = Call::begin(&*services.hooks, self.id(), connection.map(|c| &c.id), purpose, &outgoing);
        // Reading a CA file is for the few of a kind; the next call finds the connector made.
        let answer = match services.outbound.connector(connection) {
            Ok(connector) => outgoing.send(&connector, self.0.longest).await,
            Err(fault) => Err(fault),
        };
        call.end(&answer);
        answer
    }
}

impl HostApi for Lent {
    fn log_enabled(&self, level: u8, _target: RStr<'_>) -> bool {
        log::enabled(level)
    }

    fn log(&self, record: &abi::LogRecord<'_>) {
        let mut budget = self.0.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(dropped) = budget.spend() else { return };
        drop(budget);
        if dropped > 0 {
            tracing::warn!(provider = %self.id(), dropped, "the plugin logs too much; records were dropped");
        }
        log::forward(self.id(), record);
    }

    fn now_unix_ms(&self) -> i64 {
        UnixMillis::now().0
    }

    fn sleep(&self, ms: u64) -> FfiFuture<()> {
        // A timer belongs to the runtime it is made in; the plugin has none.
        let Some(cell) = self.0.cell.open() else { return std::future::pending().into_ffi() };
        let _entered = cell.enter();
        tokio::time::sleep(Duration::from_millis(ms).min(MAX_SLEEP)).into_ffi()
    }

    fn spawn(&self, task: FfiFuture<()>) {
        let Ok(permit) = self.0.tasks.clone().try_acquire_owned() else {
            tracing::warn!(provider = %self.id(), "the plugin has {MAX_TASKS} tasks; one more was dropped");
            return;
        };
        // A plugin that has ended has nobody who would run it.
        let Some(cell) = self.0.cell.open() else { return };
        cell.spawn(async move {
            task.await;
            drop(permit);
        });
    }

    fn emit(&self, event: abi::PluginEvent) {
        let mut budget = self.0.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(dropped) = budget.spend() else { return };
        drop(budget);
        if dropped > 0 {
            tracing::warn!(provider = %self.id(), dropped, "the plugin emits too many events; some were dropped");
        }
        let about = event.connection.into_option();
        let about = about.and_then(|reference| self.0.lendings.returned(&reference).ok());
        let hooks = &self.0.services.hooks;
        custom_event(&**hooks, self.id(), about.as_ref().map(|c| &c.id), &event.name, &event.fields_json);
    }

    fn secret(&self, connection: abi::ConnectionRef, name: RString) -> ApiFuture<RVec<u8>> {
        self.serve(|lent| async move {
            let connection = lent.0.lendings.returned(&connection)?;
            let secrets = lent.0.services.secrets.clone();
            // A reference may be a command: the cell must not wait for it.
            let resolved = tokio::task::spawn_blocking(move || secrets.resolve(&connection, &name)).await;
            let secret = resolved
                .map_err(|gone| Fault::new(Code::Internal, format!("resolving a secret ended: {gone}")))??;
            Ok(RVec::from(secret.expose()))
        })
    }

    fn http(
        &self,
        connection: ROption<abi::ConnectionRef>,
        request: abi::HttpRequest,
    ) -> ApiFuture<abi::HttpResponse> {
        self.serve(|lent| lent.call(connection.into_option(), request))
    }

    fn http_as(
        &self,
        connection: abi::ConnectionRef,
        target: abi::Target,
        request: abi::HttpRequest,
    ) -> ApiFuture<abi::HttpResponse> {
        self.serve(|lent| lent.call_as(connection, credential::target_of(target), request))
    }

    fn connections(&self) -> ApiResult<RVec<abi::ConnectionRef>> {
        let services = &self.0.services;
        let known = services.connections.of(self.id(), self.0.schema.get().unwrap_or(&Value::Null));
        let lend = |connection: Connection| {
            self.0.lendings.lend(&connection, services.secrets.token_override(&connection.id))
        };
        ROk(known.into_iter().map(lend).collect())
    }

    fn is_signed(&self, check: abi::SignatureCheck) -> ApiResult<bool> {
        signature::is_signed(&check).map_err(plugin_error).into()
    }
}

struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
