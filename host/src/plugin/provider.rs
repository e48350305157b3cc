//! A loaded plugin in the host's types: every call on its cell, each with a deadline.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use abi_stable::std_types::{RResult, RVec};
use ccproxy_plugin_abi::{self as abi, ApiFuture, ApiResult, ProviderBox};
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::cell::{Cell, Condition, Limits};
use super::lending::Lendings;
use super::loader::Candidate;
use super::manifest::Manifest;
use super::refusal::Refusal;
use super::services::{Lent, Services};
use super::steps::{self, NewGrant};
use super::trust::Digest;
use super::{codes, credential, grant};
use crate::credential::{Issuer, Prepared, Want};
use crate::fault::{Code, Fault};
use crate::login::Flow;
use crate::login::step::{self, Input, Request, Steps};
use crate::model::{Connection, Name};
use crate::secret::Secret;
use crate::vault::{Account, GrantView, Transaction};

/// What a plugin may answer on a path of its own. Section 2 of the interface.
const MAX_ANSWER: usize = 1 << 20;
/// Settings schemas are some KiB.
const MAX_SCHEMA: usize = 1 << 20;

/// How long callers wait.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// To map the image, create the provider and start it.
    pub load: Duration,
    /// `describe` and `snapshot`: no I/O.
    pub quick: Duration,
    /// Everything with I/O: room for three exchanges of 20 s each.
    pub call: Duration,
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
            event: seconds(5),
            shutdown: seconds(5),
        }
    }
}

/// What a provider says of a connection before anything is acquired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Where it leads; the first is the connection's own route.
    pub routes: Vec<Route>,
    /// Flows that can work with these settings, best first.
    pub flows: Vec<Flow>,
    /// Whether a person must log in before the first use.
    pub needs_login: bool,
}

/// One upstream of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Base URL; `None` if the connection only yields tokens.
    pub upstream: Option<String>,
    /// Environment of `ccproxy env`: name, and template with `{base}` and `{key}`.
    pub env: Vec<(String, String)>,
    /// Request fields in which clients of this upstream carry credentials of their own.
    pub credential_fields: Vec<String>,
}

/// What a logout did at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whether the provider confirmed it.
    pub revoked: bool,
    /// What a person should know.
    pub message: Option<String>,
}

/// What a plugin's command prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutput {
    /// For standard output.
    pub stdout: Vec<u8>,
    /// Exit code.
    pub exit_code: u8,
}

/// A request for a path that a plugin answers itself. Whole: 1 MiB at most, which the server sees to.
pub struct Message {
    /// Method.
    pub method: http::Method,
    /// Path below `/_ccproxy/plugins/<id>/`, and query.
    pub path_and_query: String,
    /// Header fields, those of credentials for the proxy removed.
    pub headers: http::HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

/// The answer to a [`Message`].
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: http::StatusCode,
    /// Header fields.
    pub headers: http::HeaderMap,
    /// Body.
    pub body: Vec<u8>,
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
        let lent = Lent::new(manifest.clone(), cell.handle().clone(), services.clone(), lendings.clone());
        let started = cell.call("load", deadlines.load, move || async move {
            // A refusal is a result here: the fault of this call is the cell's own.
            Ok(start(candidate, lent, &scratch).await)
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

    /// The file it was loaded from.
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

    /// Where a connection leads and how it can log in. No I/O.
    pub async fn describe(&self, connection: &Connection) -> Result<Description, Fault> {
        let reference = self.lend(connection);
        let said = self.quick("describe", move |provider| provider.describe(reference)).await?;
        Ok(description(said))
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
        let message = codes::one_line(&said.message);
        Ok(Revocation { revoked: said.revoked, message: (!message.is_empty()).then_some(message) })
    }

    /// Answers a path of its own, as the manifest declares.
    pub async fn handle(&self, message: Message) -> Result<Answer, Fault> {
        let headers = message.headers.iter().map(|(name, value)| abi::Field {
            name: name.as_str().into(),
            value: RVec::from(value.as_bytes()),
        });
        let request = abi::HttpRequest {
            method: message.method.as_str().into(),
            url: message.path_and_query.into(),
            headers: headers.collect(),
            body: message.body.into(),
            timeout_ms: 0,
            purpose: Default::default(),
            ext: RVec::new(),
        };
        let said = self.call("handle", move |provider| provider.handle(request)).await?;
        answer(self.id(), said)
    }

    /// Runs a command of its own: the name, then its arguments.
    pub async fn command(&self, arguments: Vec<String>) -> Result<CommandOutput, Fault> {
        let arguments = arguments.into_iter().map(Into::into).collect();
        let said = self.call("command", move |provider| provider.command(arguments)).await?;
        Ok(CommandOutput { stdout: said.stdout.into(), exit_code: said.exit_code })
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
        let provider = self.provider.clone().expect("the provider is taken only in drop");
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

async fn start(candidate: Candidate, lent: Lent, scratch: &Path) -> Result<(ProviderBox, Value), Refusal> {
    let id = candidate.manifest.id.clone();
    let failed = |error| Refusal::Start(codes::fault(&id, error));
    let module = candidate.map(scratch)?;
    drop(candidate);
    let schema = flat(module.settings_schema()()).map_err(failed)?;
    let schema = settings_schema(&schema)?;
    let provider = flat(module.create()(lent.into_box())).map_err(failed)?;
    flat(provider.start().await).map_err(failed)?;
    Ok((provider, schema))
}

fn settings_schema(text: &str) -> Result<Value, Refusal> {
    let unusable = |why: String| Refusal::Manifest(format!("its settings schema {why}"));
    if text.len() > MAX_SCHEMA {
        return Err(unusable(format!("has {} bytes", text.len())));
    }
    match serde_json::from_str(text) {
        Ok(schema @ Value::Object(_)) => Ok(schema),
        Ok(_) => Err(unusable("is no object".into())),
        Err(error) => Err(unusable(format!("is no JSON: {error}"))),
    }
}

fn flat<T>(result: ApiResult<T>) -> Result<T, abi::PluginError> {
    match result {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(error) => Err(error),
    }
}

fn description(said: abi::Description) -> Description {
    let route = |route: abi::RouteSpec| Route {
        upstream: (!route.upstream.is_empty()).then(|| route.upstream.into()),
        env: route.env.into_iter().map(|var| (var.name.into(), var.template.into())).collect(),
        credential_fields: route.credential_fields.into_iter().map(Into::into).collect(),
    };
    Description {
        routes: said.routes.into_iter().map(route).collect(),
        flows: said.flows.iter().filter_map(|flow| Flow::parse(flow)).collect(),
        needs_login: said.needs_login,
    }
}

fn answer(plugin: &Name, said: abi::HttpResponse) -> Result<Answer, Fault> {
    let odd =
        |what: &str| Fault::new(Code::InvalidResponse, format!("plugin `{plugin}` answered with {what}"));
    let status = http::StatusCode::from_u16(said.status).ok().filter(|status| status.as_u16() >= 200);
    let status = status.ok_or_else(|| odd("a status that cannot be sent"))?;
    if said.body.len() > MAX_ANSWER {
        return Err(odd("more than 1 MiB"));
    }
    let mut headers = http::HeaderMap::new();
    for field in said.headers {
        let name =
            http::HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| odd("an odd field name"))?;
        let value = http::HeaderValue::from_bytes(&field.value).map_err(|_| odd("an odd field value"))?;
        if !credential::is_framing(&name) {
            headers.append(name, value);
        }
    }
    Ok(Answer { status, headers, body: said.body.into() })
}
