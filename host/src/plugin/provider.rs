//! A loaded plugin in the host's types: every call on its cell, each with a deadline.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use abi_stable::std_types::{RResult, RVec};
use ccproxy_plugin_abi::{self as abi, ApiFuture, ApiResult, ProviderBox};
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::answers::{self, Answer, CommandOutput, Description, Message, Revocation};
use super::cell::Cell;
use super::health::{Condition, Limits, Trouble};
use super::images::Images;
use super::lending::Lendings;
use super::loader::Candidate;
use super::manifest::Manifest;
use super::refusal::Refusal;
use super::services::{Lent, Services};
use super::steps::{self, NewGrant};
use super::{codes, credential, grant, start};
use crate::credential::{Issuer, Prepared, Want};
use crate::digest::Digest;
use crate::fault::{Code, Fault};
use crate::login::step::{self, Input, Request, Steps};
use crate::model::{Connection, Name};
use crate::secret::Secret;
use crate::vault::{Account, GrantView, Transaction};

/// How long callers wait.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// To map the image, create the provider and start it.
    pub load: Duration,
    /// `describe` and `snapshot`: no I/O.
    pub quick: Duration,
    /// Everything with I/O: room for three exchanges of 20 s each.
    pub call: Duration,
    /// One HTTP exchange that a plugin asks for, whatever it asks for.
    pub exchange: Duration,
    /// `on_event`: an observer must not pile up.
    pub event: Duration,
    /// The last call.
    pub shutdown: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            load: seconds(10),
            quick: seconds(5),
            call: seconds(65),
            exchange: seconds(60),
            event: seconds(5),
            shutdown: seconds(5),
        }
    }
}

/// A plugin that serves. The last handle dropped shuts it down; its image stays mapped.
pub struct Plugin {
    manifest: Arc<Manifest>,
    path: PathBuf,
    sha256: Digest,
    schema: Value,
    lendings: Arc<Lendings>,
    services: Arc<Services>,
    deadlines: Deadlines,
    cell: Cell,
    /// Used and dropped on the cell only.
    provider: Option<Arc<ProviderBox>>,
}

impl Plugin {
    /// Loads a trusted candidate: map, check, create, start; all of it on the new cell.
    pub(super) async fn load(
        candidate: Candidate,
        services: Arc<Services>,
        scratch: PathBuf,
        images: Arc<Images>,
        limits: Limits,
        deadlines: Deadlines,
    ) -> Result<Self, Refusal> {
        let manifest = Arc::new(candidate.manifest.clone());
        let (path, sha256) = (candidate.path.clone(), candidate.sha256);
        let cell = Cell::start(&manifest.id, limits).map_err(|error| Refusal::Io {
            action: "start a thread for",
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let lendings = Arc::new(Lendings::new(manifest.id.clone()));
        let lent =
            Lent::new(manifest.clone(), cell.way(), services.clone(), lendings.clone(), deadlines.exchange);
        let started = cell.call("load", deadlines.load, move || async move {
            // A refusal is a result here: the fault of this call is the cell's own.
            Ok(start::start(candidate, lent, &images, &scratch).await)
        });
        let (provider, schema) = match started.await {
            Ok(started) => started?,
            Err(fault) if fault.code == Code::Timeout => return Err(Refusal::TooSlow(deadlines.load)),
            Err(fault) => return Err(Refusal::Start(fault)),
        };
        let provider = Some(Arc::new(provider));
        Ok(Self { manifest, path, sha256, schema, lendings, services, deadlines, cell, provider })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Its provider id.
    pub fn id(&self) -> &Name {
        &self.manifest.id
    }

    /// The file it was loaded from, symbolic links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hash of what was loaded.
    pub fn sha256(&self) -> Digest {
        self.sha256
    }

    /// The JSON Schema of its connection settings.
    pub fn settings_schema(&self) -> &Value {
        &self.schema
    }

    /// How its cell is doing.
    pub fn condition(&self) -> Condition {
        self.cell.condition()
    }

    /// Why it is not called, if it is not.
    pub fn trouble(&self) -> Option<Trouble> {
        self.cell.trouble()
    }

    /// Where a connection leads and how it can log in. No I/O.
    pub async fn describe(&self, connection: &Connection) -> Result<Description, Fault> {
        let reference = self.lend(connection);
        let said = self.quick("describe", move |provider| provider.describe(reference)).await?;
        Ok(answers::description(said))
    }

    /// A login on this connection, to drive with [`crate::login::drive`].
    pub fn login(self: &Arc<Self>, connection: Connection) -> LoginSteps {
        LoginSteps { plugin: self.clone(), connection }
    }

    /// Starts a login.
    pub async fn login_begin(
        &self,
        connection: &Connection,
        request: Request,
    ) -> Result<step::Step<NewGrant>, Fault> {
        let (reference, request) = (self.lend(connection), steps::request(request));
        let said = self.call("login", move |provider| provider.login_begin(reference, request)).await?;
        steps::step(self.id(), said)
    }

    /// Goes on with one.
    pub async fn login_continue(
        &self,
        connection: &Connection,
        state: Secret,
        input: Input,
    ) -> Result<step::Step<NewGrant>, Fault> {
        let (reference, input) = (self.lend(connection), steps::input(input));
        let state = RVec::from(state.expose());
        let said =
            self.call("login", move |provider| provider.login_continue(reference, state, input)).await?;
        steps::step(self.id(), said)
    }

    /// A credential as wanted; a new one is put through `txn` before it is answered.
    pub async fn acquire(
        &self,
        connection: &Connection,
        txn: Transaction,
        want: &Want,
    ) -> Result<Prepared, Fault> {
        let (reference, request) = (self.lend(connection), credential::request(want));
        let txn = grant::lend(txn, self.cell.handle().clone());
        let said = self.call("acquire", move |provider| provider.acquire(txn, reference, request)).await?;
        credential::prepared(self.id(), said)
    }

    /// What a record says, and the scopes it was asked for with. No I/O.
    pub async fn snapshot(
        &self,
        connection: &Connection,
        record: &Secret,
    ) -> Result<(GrantView, Vec<String>), Fault> {
        let (reference, record) = (self.lend(connection), RVec::from(record.expose()));
        let said = self.quick("snapshot", move |provider| provider.snapshot(reference, record)).await?;
        Ok(grant::grant_view(said))
    }

    /// Asks the provider whose grant this is; `record` is absent where settings alone suffice.
    pub async fn probe(&self, connection: &Connection, record: Option<&Secret>) -> Result<Account, Fault> {
        let (reference, record) = (self.lend(connection), record.map(|record| RVec::from(record.expose())));
        let said = self.call("probe", move |provider| provider.probe(reference, record.into())).await?;
        Ok(grant::account(said))
    }

    /// Revokes if asked to, and deletes the record.
    pub async fn logout(
        &self,
        connection: &Connection,
        txn: Transaction,
        revoke: bool,
    ) -> Result<Revocation, Fault> {
        let reference = self.lend(connection);
        let txn = grant::lend(txn, self.cell.handle().clone());
        let said = self.call("logout", move |provider| provider.logout(txn, reference, revoke)).await?;
        Ok(answers::revocation(said))
    }

    /// Answers a path of its own, as the manifest declares.
    pub async fn handle(&self, message: Message) -> Result<Answer, Fault> {
        let request = answers::request(message);
        let (provider, id) = (self.provider(), self.manifest.id.clone());
        let said = self.cell.call_of_a_stranger("handle", self.deadlines.call, move || {
            let said = provider.handle(request);
            async move { flat(said.await).map_err(|error| codes::fault(&id, error)) }
        });
        let said = said.await.inspect_err(|fault| {
            if fault.code == Code::PluginFailed && self.condition() == Condition::Serving {
                self.report("handle", fault);
            }
        });
        // It was asked for no credential: a provider that is away or slow is this plugin's own trouble.
        let said = said.map_err(|fault| match fault.code.is_transient() {
            true => Fault { code: Code::PluginFailed, ..fault },
            false => fault,
        })?;
        answers::answer(self.id(), said)
    }

    /// Runs a command of its own: the name, then its arguments.
    pub async fn command(&self, arguments: Vec<String>) -> Result<CommandOutput, Fault> {
        let arguments = arguments.into_iter().map(Into::into).collect();
        let said = self.call("command", move |provider| provider.command(arguments)).await?;
        answers::command_output(self.id(), said)
    }

    /// Tells it an event, as its JSON document.
    pub async fn on_event(&self, document: &str) -> Result<(), Fault> {
        let document = document.into();
        let limit = self.deadlines.event;
        self.on_cell(
            "on_event",
            limit,
            move |provider| async move { flat(provider.on_event(document).await) },
        )
        .await
    }

    /// Runs a task of the host on the plugin's cell.
    pub(super) fn beside(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.cell.handle().spawn(task);
    }

    /// Completes when its thread has ended.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        self.cell.ended()
    }

    fn lend(&self, connection: &Connection) -> abi::ConnectionRef {
        self.lendings.lend(connection, self.services.secrets.token_override(&connection.id))
    }

    /// A call without I/O. It still runs on the cell: plugin code never runs on another thread.
    async fn quick<T: Send + 'static>(
        &self,
        what: &'static str,
        call: impl FnOnce(&ProviderBox) -> ApiResult<T> + Send + 'static,
    ) -> Result<T, Fault> {
        self.on_cell(what, self.deadlines.quick, move |provider| async move { flat(call(&provider)) }).await
    }

    async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        call: impl FnOnce(&ProviderBox) -> ApiFuture<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let limit = self.deadlines.call;
        self.on_cell(what, limit, move |provider| async move {
            let said = call(&provider);
            flat(said.await)
        })
        .await
    }

    async fn on_cell<T, F>(
        &self,
        what: &'static str,
        limit: Duration,
        call: impl FnOnce(Arc<ProviderBox>) -> F + Send + 'static,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, abi::PluginError>> + Send + 'static,
    {
        let provider = self.provider();
        let id = self.manifest.id.clone();
        let before = self.condition();
        let outcome = self
            .cell
            .call(what, limit, move || {
                let said = call(provider);
                async move { said.await.map_err(|error| codes::fault(&id, error)) }
            })
            .await;
        if let Err(fault) = &outcome
            && matches!(fault.code, Code::PluginFailed)
            && before == Condition::Serving
        {
            self.report(what, fault);
        }
        outcome
    }

    fn provider(&self) -> Arc<ProviderBox> {
        self.provider.clone().expect("the provider is taken only in drop")
    }

    fn report(&self, what: &str, fault: &Fault) {
        tracing::error!(provider = %self.id(), call = what, error = %fault.message, "a plugin failed");
        let fields = [("call", what), ("code", fault.code.as_str()), ("message", &fault.message)];
        super::report::plugin_event(
            &*self.services.hooks,
            crate::hook::Kind::PluginError,
            self.id().as_str(),
            &fields,
        );
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let (provider, limit) = (self.provider.take(), self.deadlines.shutdown);
        let deadline_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.cell.stop(async move {
            if let Some(provider) = provider {
                // Its last call; whatever comes of it, this is the end.
                let last = provider.shutdown(deadline_ms);
                let _ = tokio::time::timeout(limit, last).await;
                drop(provider);
            }
        });
        super::report::plugin_event(
            &*self.services.hooks,
            crate::hook::Kind::PluginUnloaded,
            self.manifest.id.as_str(),
            &[("version", &self.manifest.version)],
        );
    }
}

impl Issuer for Plugin {
    fn plugin(&self) -> String {
        self.manifest.writer()
    }

    fn acquire<'a>(
        &'a self,
        connection: &'a Connection,
        txn: Transaction,
        want: Want,
    ) -> BoxFuture<'a, Result<Prepared, Fault>> {
        Box::pin(async move { Self::acquire(self, connection, txn, &want).await })
    }
}

/// One login on one connection.
pub struct LoginSteps {
    plugin: Arc<Plugin>,
    connection: Connection,
}

impl Steps for LoginSteps {
    type Done = NewGrant;

    fn begin(&self, request: Request) -> step::Answer<'_, NewGrant> {
        Box::pin(self.plugin.login_begin(&self.connection, request))
    }

    fn go_on(&self, state: Secret, input: Input) -> step::Answer<'_, NewGrant> {
        Box::pin(self.plugin.login_continue(&self.connection, state, input))
    }
}

pub(super) fn flat<T>(result: ApiResult<T>) -> Result<T, abi::PluginError> {
    match result {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(error) => Err(error),
    }
}
