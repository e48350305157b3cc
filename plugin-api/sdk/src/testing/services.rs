//! The bench's side of the boundary: what a host lends, faked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ccproxy_plugin_abi as abi;
use ccproxy_plugin_abi::abi_stable::std_types::RResult::{RErr, ROk};
use ccproxy_plugin_abi::abi_stable::std_types::{ROption, RStr, RString, RVec};
use ccproxy_plugin_abi::async_ffi::{FfiFuture, FutureExt as _};
use ccproxy_plugin_abi::{ApiFuture, ApiResult, ConnectionRef, HostApi, VaultTxn};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use crate::error::{Error, ErrorCode};
use crate::http::{Request, Response};

type Answer = Box<dyn FnMut(Request) -> Result<Response, Error> + Send>;

/// What bench, fake host and fake transactions share.
#[derive(Default)]
pub(super) struct Shared(Mutex<State>);

pub(super) struct State {
    pub now: i64,
    pub waits: Vec<Duration>,
    pub secrets: HashMap<String, String>,
    pub record: Option<Vec<u8>>,
    pub generation: u64,
    pub fail_writes: bool,
    pub http: Option<Answer>,
    /// What [`crate::Host::connections`] tells.
    pub connection: Option<ConnectionRef>,
    /// What the provider emitted: name and fields.
    pub emitted: Vec<(String, String)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            now: 1_767_225_600_000,
            waits: Vec::new(),
            secrets: HashMap::new(),
            record: None,
            generation: 0,
            fail_writes: false,
            http: None,
            connection: None,
            emitted: Vec::new(),
        }
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready<T: Send + 'static>(result: Result<T, Error>) -> ApiFuture<T> {
    std::future::ready(to_abi(result)).into_ffi()
}

fn to_abi<T>(result: Result<T, Error>) -> ApiResult<T> {
    match result {
        Ok(value) => ROk(value),
        Err(error) => RErr(error.into()),
    }
}

pub(super) struct FakeHost(pub Arc<Shared>);

impl HostApi for FakeHost {
    fn log_enabled(&self, _: u8, _: RStr<'_>) -> bool {
        false
    }

    fn log(&self, _: &abi::LogRecord<'_>) {}

    fn now_unix_ms(&self) -> i64 {
        self.0.state().now
    }

    fn sleep(&self, ms: u64) -> FfiFuture<()> {
        let mut state = self.0.state();
        state.waits.push(Duration::from_millis(ms));
        state.now = state.now.saturating_add_unsigned(ms);
        std::future::ready(()).into_ffi()
    }

    fn spawn(&self, task: FfiFuture<()>) {
        // Without a runtime a task gets one poll; what it waits for beyond that never comes.
        let mut task = Box::pin(task);
        let _ = task.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    }

    fn emit(&self, event: abi::PluginEvent) {
        self.0.state().emitted.push((event.name.into(), event.fields_json.into()));
    }

    fn secret(&self, _: ConnectionRef, name: RString) -> ApiFuture<RVec<u8>> {
        let secret = self.0.state().secrets.get(name.as_str()).cloned();
        ready(
            secret
                .map(|secret| secret.into_bytes().into())
                .ok_or_else(|| Error::invalid_config(format!("setting `{name}` is missing"))),
        )
    }

    fn http(&self, _: ROption<ConnectionRef>, request: abi::HttpRequest) -> ApiFuture<abi::HttpResponse> {
        let request = Request::from_abi(request);
        // Taken out for the call, so that an answer may look at the bench.
        let scripted = self.0.state().http.take();
        let result = match scripted {
            Some(mut answer) => {
                let result = answer(request);
                self.0.state().http = Some(answer);
                result
            }
            None => live(request),
        };
        ready(result.map(Response::into_abi))
    }

    fn http_as(
        &self,
        _: ConnectionRef,
        _: abi::Target,
        request: abi::HttpRequest,
    ) -> ApiFuture<abi::HttpResponse> {
        self.http(ROption::RNone, request)
    }

    fn connections(&self) -> ApiResult<RVec<ConnectionRef>> {
        ROk(self.0.state().connection.iter().cloned().collect())
    }

    fn is_signed(&self, check: abi::SignatureCheck) -> ApiResult<bool> {
        to_abi(is_signed(&check))
    }
}

fn is_signed(check: &abi::SignatureCheck) -> Result<bool, Error> {
    let unsupported = || Error::unsupported(format!("no signatures of `{}` are checked", check.algorithm));
    let algorithm: Algorithm = check.algorithm.parse().map_err(|_| unsupported())?;
    let key = match algorithm.family() {
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_raw_components(&check.key, &check.exponent),
        AlgorithmFamily::Ec => DecodingKey::from_ec_der(&check.key),
        AlgorithmFamily::Ed => DecodingKey::from_ed_der(&check.key),
        AlgorithmFamily::Hmac => return Err(unsupported()),
    };
    let signature = URL_SAFE_NO_PAD.encode(&check.signature);
    Ok(jsonwebtoken::crypto::verify(&signature, &check.message, &key, algorithm).unwrap_or(false))
}

/// A real request over plain HTTP: for mock servers on loopback. No redirects, as in the host.
fn live(request: Request) -> Result<Response, Error> {
    let failed = |what: String| Error::new(ErrorCode::Network, what);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(request.timeout.unwrap_or(Duration::from_secs(20))))
        .build()
        .into();
    let mut builder = ureq::http::Request::builder().method(request.method.as_str()).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value.as_slice());
    }
    let request = builder.body(request.body).map_err(|error| failed(error.to_string()))?;
    let mut response = agent.run(request).map_err(|error| failed(error.to_string()))?;
    let headers =
        response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec())).collect();
    let body = response.body_mut().read_to_vec().map_err(|error| failed(error.to_string()))?;
    Ok(Response { status: response.status().as_u16(), headers, body })
}

pub(super) struct FakeTxn(pub Arc<Shared>);

impl VaultTxn for FakeTxn {
    fn record(&self) -> ROption<RVec<u8>> {
        self.0.state().record.clone().map(RVec::from).into()
    }

    fn generation(&self) -> u64 {
        self.0.state().generation
    }

    fn next_generation(&self) -> u64 {
        self.0.state().generation + 1
    }

    fn put(&self, record: RVec<u8>, _: abi::GrantView) -> ApiFuture<u64> {
        let mut state = self.0.state();
        if state.fail_writes {
            return ready(Err(Error::new(ErrorCode::Storage, "no space left on device")));
        }
        state.record = Some(record.into());
        state.generation += 1;
        ready(Ok(state.generation))
    }

    fn delete(&self) -> ApiFuture<()> {
        let mut state = self.0.state();
        state.record = None;
        state.generation += 1;
        ready(Ok(()))
    }
}
