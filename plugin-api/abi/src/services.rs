//! What the host lends, and what a plugin is.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RArc, ROption, RStr, RString, RVec};
use async_ffi::FfiFuture;

use crate::data::*;
use crate::{ApiFuture, ApiResult};

/// Services the host lends to a plugin. Nothing global crosses: clock, log, HTTP and secrets come
/// from here, so that TLS, proxies, limits and test doubles exist once.
#[sabi_trait]
pub trait HostApi: Send + Sync + 'static {
    /// Whether anybody wants records of this level and target.
    fn log_enabled(&self, level: u8, target: RStr<'_>) -> bool;
    /// Logs one record.
    fn log(&self, record: &LogRecord<'_>);
    /// The wall clock in milliseconds since 1970.
    fn now_unix_ms(&self) -> i64;
    /// Completes after `ms` milliseconds.
    fn sleep(&self, ms: u64) -> FfiFuture<()>;
    /// Runs a task on the plugin's cell.
    fn spawn(&self, task: FfiFuture<()>);
    /// Emits a `custom.event`.
    fn emit(&self, event: PluginEvent);
    /// Resolves the secret reference in the setting `name` of a connection, at use.
    fn secret(&self, connection: ConnectionRef, name: RString) -> ApiFuture<RVec<u8>>;
    /// Makes a request. The connection's CA, proxy and declared hosts apply; redirects are not followed.
    fn http(&self, connection: ROption<ConnectionRef>, request: HttpRequest) -> ApiFuture<HttpResponse>;
    /// Makes a request with the connection's own credential, to its declared upstreams only.
    fn http_as(
        &self,
        connection: ConnectionRef,
        target: Target,
        request: HttpRequest,
    ) -> ApiFuture<HttpResponse>;
    /// The connections of this plugin's provider, for calls that are about none: commands, paths, events.
    fn connections(&self) -> ApiResult<RVec<ConnectionRef>>;
    /// Whether a signature is good. Public-key cryptography is large, and the host has it for TLS.
    #[sabi(last_prefix_field)]
    fn is_signed(&self, check: SignatureCheck) -> ApiResult<bool>;
}

/// The record of one connection under its lock, lent for one call.
#[sabi_trait]
pub trait VaultTxn: Send + Sync + 'static {
    /// The stored record; none before the first login.
    fn record(&self) -> ROption<RVec<u8>>;
    /// The generation of that record; 0 if there is none.
    fn generation(&self) -> u64;
    /// The generation the next [`put`](VaultTxn::put) will have: higher than any this connection ever had, also
    /// after a deletion.
    fn next_generation(&self) -> u64;
    /// Stores a record, durably once the future completes. Returns its generation.
    fn put(&self, record: RVec<u8>, view: GrantView) -> ApiFuture<u64>;
    /// Removes the record.
    #[sabi(last_prefix_field)]
    fn delete(&self) -> ApiFuture<()>;
}

/// What a plugin is.
#[sabi_trait]
pub trait ProviderAbi: Send + Sync + 'static {
    /// Called once before the first use.
    fn start(&self) -> ApiFuture<()>;
    /// The last call; the image stays mapped.
    fn shutdown(&self, deadline_ms: u64) -> ApiFuture<()>;
    /// Says where a connection leads and how it can log in. No I/O.
    fn describe(&self, connection: ConnectionRef) -> ApiResult<Description>;
    /// Starts a login.
    fn login_begin(&self, connection: ConnectionRef, request: LoginRequest) -> ApiFuture<Step>;
    /// Goes on with a login.
    fn login_continue(
        &self,
        connection: ConnectionRef,
        state: RVec<u8>,
        input: LoginInput,
    ) -> ApiFuture<Step>;
    /// One call for first use, refresh and the 401 path.
    fn acquire(
        &self,
        txn: VaultTxnBox,
        connection: ConnectionRef,
        request: AcquireRequest,
    ) -> ApiFuture<Credential>;
    /// What a record says. No I/O.
    fn snapshot(&self, connection: ConnectionRef, record: RVec<u8>) -> ApiResult<GrantView>;
    /// Asks the provider whose grant this is; `record` is absent where settings alone suffice.
    fn probe(&self, connection: ConnectionRef, record: ROption<RVec<u8>>) -> ApiFuture<Account>;
    /// Revokes if asked to, and deletes the record.
    fn logout(&self, txn: VaultTxnBox, connection: ConnectionRef, revoke: bool) -> ApiFuture<Revocation>;
    /// Answers a path of its own.
    fn handle(&self, request: HttpRequest) -> ApiFuture<HttpResponse>;
    /// Runs a command of its own.
    fn command(&self, arguments: RVec<RString>) -> ApiFuture<CommandOutput>;
    /// Hears an event it subscribed to, as its JSON document.
    #[sabi(last_prefix_field)]
    fn on_event(&self, event_json: RString) -> ApiFuture<()>;
}

/// The host's services as a plugin holds them.
pub type HostApiBox = HostApi_TO<RArc<()>>;
/// A transaction as a plugin holds it.
pub type VaultTxnBox = VaultTxn_TO<RArc<()>>;
/// A plugin as the host holds it.
pub type ProviderBox = ProviderAbi_TO<RArc<()>>;
