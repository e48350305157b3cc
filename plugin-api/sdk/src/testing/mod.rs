//! Drive a provider in-process: fake clock, fake vault, scripted or live HTTP.
//!
//! The provider runs behind the same glue as in a shared object, so what a test sees is what the
//! host sees. Futures complete without a runtime, except that live HTTP blocks its thread.

mod services;

use std::sync::Arc;
use std::time::Duration;

use ccproxy_plugin_abi as abi;
use ccproxy_plugin_abi::abi_stable::erased_types::TD_Opaque;
use ccproxy_plugin_abi::abi_stable::std_types::{RArc, ROption, RVec};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connection::Connection;
use crate::error::Error;
use crate::host::Host;
use crate::http::{Request, Response};
use crate::login::{Flow, LoginRequest};
use crate::manager::{Account, Credential, Reason, Revocation, Target, TokenSnapshot};
use crate::provider::{CommandOutput, Provider};
use crate::secret::Secret;
use crate::time::UnixMillis;

use services::{FakeHost, FakeTxn, Shared};

/// A provider on the bench, with one connection `test` and its record.
pub struct Bench {
    provider: abi::ProviderBox,
    shared: Arc<Shared>,
    settings: Value,
    token_override: Option<Secret>,
}

/// A step of a login, as the host receives it.
#[derive(Clone)]
pub struct BenchStep {
    /// One of `abi::code::step`, by name: `open_url`, `user_code`, `ask`, `wait`, `done`.
    pub kind: &'static str,
    /// What to show.
    pub data: Value,
    /// When to poll.
    pub poll_after: Duration,
    /// With `done`: what the record says.
    pub view: Option<TokenSnapshot>,
    state: RVec<u8>,
    record: RVec<u8>,
}

impl Bench {
    /// A provider with these settings (a JSON object). The clock stands at 2026-01-01T00:00:00Z.
    ///
    /// # Panics
    /// If the provider refuses to be created.
    pub fn new<P: Provider>(settings: Value) -> Self {
        let shared = Arc::new(Shared::default());
        let host = abi::HostApi_TO::from_ptr(RArc::new(FakeHost(Arc::clone(&shared))), TD_Opaque);
        let provider = crate::glue::wrap::<P>(Host(Arc::new(host))).expect("the provider can be created");
        shared.state().connection = Some(reference(&settings, None));
        Self { provider, shared, settings, token_override: None }
    }

    /// The same with a resolved secret for the setting `name`.
    #[must_use]
    pub fn with_secret(self, name: &str, value: &str) -> Self {
        self.shared.state().secrets.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same with every request answered by `answer` instead of the network.
    #[must_use]
    pub fn with_http(self, answer: impl FnMut(Request) -> Result<Response, Error> + Send + 'static) -> Self {
        self.shared.state().http = Some(Box::new(answer));
        self
    }

    /// The same with a token override, as `CCPROXY_TOKEN__TEST` makes it.
    #[must_use]
    pub fn with_token_override(mut self, token: &str) -> Self {
        self.token_override = Some(Secret::new(token));
        self.shared.state().connection = Some(self.connection());
        self
    }

    /// Replaces the settings, as an edited file would.
    pub fn set_settings(&mut self, settings: Value) {
        self.settings = settings;
        self.shared.state().connection = Some(self.connection());
    }

    /// The bench's clock.
    pub fn now(&self) -> UnixMillis {
        UnixMillis(self.shared.state().now)
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        let mut state = self.shared.state();
        state.now = UnixMillis(state.now).plus(by).0;
    }

    /// Every wait the provider asked for, in order. Waits complete at once and move the clock.
    pub fn waits(&self) -> Vec<Duration> {
        self.shared.state().waits.clone()
    }

    /// The stored record as JSON.
    pub fn record(&self) -> Option<Value> {
        self.record_bytes().map(|bytes| serde_json::from_slice(&bytes).expect("records are JSON"))
    }

    /// The stored record's bytes.
    pub fn record_bytes(&self) -> Option<Vec<u8>> {
        self.shared.state().record.clone()
    }

    /// Puts a record into the vault, as an earlier version or another process left it.
    pub fn set_record(&self, bytes: &[u8]) {
        let mut state = self.shared.state();
        state.record = Some(bytes.to_vec());
        state.generation += 1;
    }

    /// The record's generation.
    pub fn generation(&self) -> u64 {
        self.shared.state().generation
    }

    /// Lets every write fail from now on, as a full disk does.
    pub fn fail_writes(&self, fail: bool) {
        self.shared.state().fail_writes = fail;
    }

    /// Where the connection leads and how it can log in.
    pub fn describe(&self) -> Result<Described, Error> {
        let description = self.provider.describe(self.connection()).into_result()?;
        let route = description.routes.first();
        Ok(Described {
            upstream: route.map(|route| route.upstream.to_string()).filter(|url| !url.is_empty()),
            flows: description.flows.iter().map(ToString::to_string).collect(),
            needs_login: description.needs_login,
            env: route.map_or_else(Vec::new, |route| {
                route.env.iter().map(|var| (var.name.to_string(), var.template.to_string())).collect()
            }),
        })
    }

    /// Starts a login.
    pub async fn login_begin(&self, flow: Flow, redirect_uri: &str, state: &str) -> Result<BenchStep, Error> {
        let (redirect_uri, state) = (redirect_uri.to_owned(), state.to_owned());
        self.login(LoginRequest { flow, redirect_uri, state, scopes: Vec::new(), force: false }).await
    }

    /// Starts a login with wishes of the command line.
    pub async fn login(&self, login: LoginRequest) -> Result<BenchStep, Error> {
        let request = abi::LoginRequest {
            flow: login.flow.as_str().into(),
            redirect_uri: login.redirect_uri.into(),
            state: login.state.into(),
            scopes: login.scopes.into_iter().map(Into::into).collect(),
            force: login.force,
            ext: RVec::new(),
        };
        self.provider
            .login_begin(self.connection(), request)
            .await
            .into_result()
            .map_err(Error::from)
            .map(BenchStep::from)
    }

    /// Goes on with the redirect's query.
    pub async fn login_redirect(&self, step: &BenchStep, query: &str) -> Result<BenchStep, Error> {
        self.login_continue(step, abi::code::input::REDIRECT, query).await
    }

    /// Goes on after the wait.
    pub async fn login_poll(&self, step: &BenchStep) -> Result<BenchStep, Error> {
        self.login_continue(step, abi::code::input::POLL, "").await
    }

    /// Goes on with what the person typed.
    pub async fn login_answer(&self, step: &BenchStep, answer: &str) -> Result<BenchStep, Error> {
        self.login_continue(step, abi::code::input::ANSWER, answer).await
    }

    /// Stores what a finished login yielded, as the host does after its probe.
    ///
    /// # Panics
    /// If the step is not `done`.
    pub fn commit(&self, step: &BenchStep) {
        assert_eq!(step.kind, "done", "only a finished login is stored");
        self.set_record(&step.record);
    }

    /// Asks for a credential of the default target.
    pub async fn acquire(&self) -> Result<Credential, Error> {
        self.acquire_with(&Target::default(), Reason::Missing, None).await
    }

    /// Asks for a credential.
    pub async fn acquire_with(
        &self,
        target: &Target,
        reason: Reason,
        rejected_generation: Option<u64>,
    ) -> Result<Credential, Error> {
        let request = abi::AcquireRequest {
            target: target.to_abi(),
            min_ttl_ms: 10_000,
            rejected_generation: rejected_generation.into(),
            reason: match reason {
                Reason::Missing => "missing",
                Reason::Rejected => "rejected",
                Reason::Scheduled => "scheduled",
                Reason::Forced => "forced",
            }
            .into(),
            ext: RVec::new(),
        };
        let acquired = self.provider.acquire(self.txn(), self.connection(), request).await;
        Ok(Credential::from_abi(acquired.into_result()?))
    }

    /// What the stored record says.
    pub fn snapshot(&self) -> Result<TokenSnapshot, Error> {
        let record = self.record_bytes().unwrap_or_default();
        let view = self.provider.snapshot(self.connection(), record.into()).into_result()?;
        Ok(TokenSnapshot::from_abi(view))
    }

    /// Asks whose grant the stored record is.
    pub async fn probe(&self) -> Result<Account, Error> {
        let record = self.record_bytes().map(RVec::from);
        let account = self.provider.probe(self.connection(), record.into()).await;
        Ok(Account::from_abi(account.into_result()?))
    }

    /// Logs out.
    pub async fn logout(&self, revoke: bool) -> Result<Revocation, Error> {
        let outcome = self.provider.logout(self.txn(), self.connection(), revoke).await.into_result()?;
        Ok(Revocation { revoked: outcome.revoked, message: outcome.message.into() })
    }

    /// Asks a path of the provider's own: path and query in the request's `url`, as the manifest writes it.
    pub async fn handle(&self, request: Request) -> Result<Response, Error> {
        let response = self.provider.handle(request.into_abi()).await;
        Ok(Response::from_abi(response.into_result()?))
    }

    /// Runs a command of the provider's own: its name, then its arguments.
    pub async fn command(&self, arguments: &[&str]) -> Result<CommandOutput, Error> {
        let arguments = arguments.iter().map(|argument| (*argument).into()).collect();
        let output = self.provider.command(arguments).await.into_result()?;
        Ok(CommandOutput { stdout: output.stdout.into(), exit_code: output.exit_code })
    }

    /// Tells the provider an event.
    pub async fn hear(&self, event: &Value) -> Result<(), Error> {
        self.provider.on_event(event.to_string().into()).await.into_result().map_err(Error::from)
    }

    /// What the provider emitted: the name of each event, and its fields.
    pub fn emitted(&self) -> Vec<(String, Value)> {
        let emitted = &self.shared.state().emitted;
        emitted
            .iter()
            .map(|(name, fields)| (name.clone(), serde_json::from_str(fields).unwrap_or_default()))
            .collect()
    }

    async fn login_continue(&self, step: &BenchStep, kind: u32, data: &str) -> Result<BenchStep, Error> {
        let input = abi::LoginInput { kind, data: data.as_bytes().into(), ext: RVec::new() };
        let next = self.provider.login_continue(self.connection(), step.state.clone(), input).await;
        next.into_result().map_err(Error::from).map(BenchStep::from)
    }

    fn connection(&self) -> abi::ConnectionRef {
        reference(&self.settings, self.token_override.as_ref())
    }

    fn txn(&self) -> abi::VaultTxnBox {
        abi::VaultTxn_TO::from_ptr(RArc::new(FakeTxn(Arc::clone(&self.shared))), TD_Opaque)
    }
}

/// A connection without a provider, for tests of what providers are built on. Every request is
/// answered by `answer`; the clock moves with [`Host::sleep`], which completes at once.
///
/// # Panics
/// If the settings do not parse.
pub fn connection<S: DeserializeOwned>(
    settings: Value,
    answer: impl FnMut(Request) -> Result<Response, Error> + Send + 'static,
) -> Connection<S> {
    let shared = Arc::new(Shared::default());
    shared.state().http = Some(Box::new(answer));
    let host = abi::HostApi_TO::from_ptr(RArc::new(FakeHost(shared)), TD_Opaque);
    Connection::parse(Host(Arc::new(host)), reference(&settings, None)).expect("the settings parse")
}

fn reference(settings: &Value, token_override: Option<&Secret>) -> abi::ConnectionRef {
    let token = token_override
        .into_iter()
        .map(|token| abi::Field { name: "token-override".into(), value: token.expose().as_bytes().into() });
    abi::ConnectionRef {
        org: "global".into(),
        name: "test".into(),
        settings_json: settings.to_string().into(),
        settings_generation: 1,
        ext: token.collect(),
    }
}

/// What [`Bench::describe`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Base URL of the connection's own route.
    pub upstream: Option<String>,
    /// Flows, best first.
    pub flows: Vec<String>,
    /// Whether a person must log in before the first use.
    pub needs_login: bool,
    /// Environment mapping.
    pub env: Vec<(String, String)>,
}

impl From<abi::Step> for BenchStep {
    fn from(step: abi::Step) -> Self {
        use ccproxy_plugin_abi::code::step as kind;
        Self {
            kind: match step.kind {
                kind::OPEN_URL => "open_url",
                kind::USER_CODE => "user_code",
                kind::ASK => "ask",
                kind::WAIT => "wait",
                kind::DONE => "done",
                _ => "unknown",
            },
            data: serde_json::from_str(&step.data).unwrap_or_default(),
            poll_after: Duration::from_millis(step.poll_after_ms),
            view: match step.view {
                ROption::RSome(view) => Some(TokenSnapshot::from_abi(view)),
                ROption::RNone => None,
            },
            state: step.state,
            record: step.record,
        }
    }
}
