//! Plain data that crosses the boundary by value. Frozen within a major version.

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec};

/// A named value. In headers: field name and value. In `ext`: an extension of a later minor.
/// Values may be secret, so there is no `Debug`.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct Field {
    /// Field or extension name.
    pub name: RString,
    /// Its value; bytes, because header values are.
    pub value: RVec<u8>,
}

/// A failure.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct PluginError {
    /// One of [`code::error`](crate::code::error).
    pub code: u32,
    /// What happened; lower case, no period, nothing secret.
    pub message: RString,
    /// What to type or change; empty if unknown.
    pub hint: RString,
    /// When to come back, in milliseconds; 0 if the other side did not say.
    pub retry_after_ms: u64,
    /// More as JSON; empty if nothing.
    pub detail: RString,
}

/// The connection a call is about. Settings travel with every call: nothing global can stand for them.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct ConnectionRef {
    /// Organisation, `global` by default.
    pub org: RString,
    /// Name within the organisation.
    pub name: RString,
    /// The provider's settings as a JSON object; secrets are references in it.
    pub settings_json: RString,
    /// Rises with every change of the settings.
    pub settings_generation: u64,
    /// Extensions. `token-override`: the token to use instead of the stored one.
    pub ext: RVec<Field>,
}

/// For what a credential is meant.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct Target {
    /// Scopes, in the order written; empty for those of the login.
    pub scopes: RVec<RString>,
    /// The `audience` parameter; empty if none.
    pub audience: RString,
    /// The RFC 8707 resource indicator; empty if none.
    pub resource: RString,
    /// The injection form; empty for the provider's default.
    pub inject: RString,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// A signature, what it is said to sign, and the public key that is said to have made it.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct SignatureCheck {
    /// As RFC 7518 and RFC 8037 name it: `RS256`, `RS384`, `RS512`, `PS256`, `ES256`, `ES384`, `EdDSA` (Ed25519).
    pub algorithm: RString,
    /// The modulus of an RSA key; the point of an elliptic curve, not compressed; an Ed25519 key.
    pub key: RVec<u8>,
    /// The public exponent of an RSA key; else empty.
    pub exponent: RVec<u8>,
    /// What was signed.
    pub message: RVec<u8>,
    /// Bytes, in the form that RFC 7518 gives them.
    pub signature: RVec<u8>,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// A request that a plugin makes through the host, or that the host hands to a plugin.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct HttpRequest {
    /// Method.
    pub method: RString,
    /// Absolute URL; for a handled path, path and query.
    pub url: RString,
    /// Header fields.
    pub headers: RVec<Field>,
    /// Body.
    pub body: RVec<u8>,
    /// Time for the whole exchange; 0 for the host's default of 20 s.
    pub timeout_ms: u64,
    /// What the call is for, so that the host can name its event: `oauth.token`, `oauth.refresh`,
    /// or empty.
    pub purpose: RString,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// An answer, whole: bodies over 1 MiB are refused by the host.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: RVec<Field>,
    /// Body.
    pub body: RVec<u8>,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// What a login starts from. The host makes `state` and the redirect URI and owns the listener.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct LoginRequest {
    /// `browser`, `device`, `paste`, `client-credentials` or `token`.
    pub flow: RString,
    /// Where the browser comes back to; empty for flows without one.
    pub redirect_uri: RString,
    /// The `state` parameter of this login.
    pub state: RString,
    /// Scopes asked for on the command line; empty for those of the settings.
    pub scopes: RVec<RString>,
    /// Ask again even where a session or consent exists.
    pub force: bool,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// What the host has for a login under way.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct LoginInput {
    /// One of [`code::input`](crate::code::input).
    pub kind: u32,
    /// What came, by kind.
    pub data: RVec<u8>,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// What to do next in a login. Plain data: the same plugin code serves a terminal, a page, an API.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct Step {
    /// One of [`code::step`](crate::code::step).
    pub kind: u32,
    /// What to show, JSON by kind. Never a secret.
    pub data: RString,
    /// What the plugin wants back with the input. Secret, opaque, never stored.
    pub state: RVec<u8>,
    /// When to continue with a poll, in milliseconds.
    pub poll_after_ms: u64,
    /// When the step is void, in milliseconds since 1970; 0 if it does not say.
    pub expires_at_unix_ms: i64,
    /// With `DONE`: the record to store.
    pub record: RVec<u8>,
    /// With `DONE`: what the record says.
    pub view: ROption<GrantView>,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// The identity a login yields.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Account {
    /// Stable identifier at the provider.
    pub subject: RString,
    /// What a person recognises; may be empty.
    pub display_name: RString,
    /// Tenant or host; may be empty.
    pub host: RString,
}

/// One token of a grant, as far as it may be shown.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct TokenView {
    /// What it is for.
    pub target: RString,
    /// When it dies, in milliseconds since 1970; 0 if it does not say.
    pub expires_at_unix_ms: i64,
    /// 8 hex digits of SHA-256.
    pub fingerprint: RString,
}

/// What a stored record says, readable without the plugin once it is in the envelope.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct GrantView {
    /// The account, where the record knows it.
    pub account: ROption<Account>,
    /// Its tokens.
    pub tokens: RVec<TokenView>,
    /// Scopes asked for.
    pub scopes_requested: RVec<RString>,
    /// Scopes the provider says it granted.
    pub scopes_granted: ROption<RVec<RString>>,
    /// Whether an expired token can be renewed without a person.
    pub refreshable: bool,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// What an acquire must yield.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AcquireRequest {
    /// What for.
    pub target: Target,
    /// The least life the credential must have left, in milliseconds.
    pub min_ttl_ms: u64,
    /// The generation an upstream refused: a stored token newer than it is simply returned.
    pub rejected_generation: ROption<u64>,
    /// `missing`, `rejected`, `scheduled` or `forced`.
    pub reason: RString,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// What is injected into a request.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct Credential {
    /// Header fields to set.
    pub fields: RVec<Field>,
    /// Query parameters to set, not yet percent-encoded.
    pub query: RVec<Field>,
    /// When it dies, in milliseconds since 1970; 0 if it does not say.
    pub expires_at_unix_ms: i64,
    /// The record generation this token was stored with.
    pub generation: u64,
    /// Whether the host may reuse it until it expires.
    pub reuse: bool,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// An upstream a connection leads to.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RouteSpec {
    /// Base URL; empty if the connection has none.
    pub upstream: RString,
    /// Environment variables that point a tool here: name and template with `{base}` and `{key}`.
    pub env: RVec<EnvVar>,
    /// Request fields in which clients of this upstream carry credentials of their own.
    pub credential_fields: RVec<RString>,
}

/// One variable of `ccproxy env`.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct EnvVar {
    /// Variable name.
    pub name: RString,
    /// Template: `{base}` is the route's URL without a final slash, `{key}` the local key.
    pub template: RString,
}

/// What a provider says of a connection before anything is acquired.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct Description {
    /// Where it leads; the first is the connection's own route.
    pub routes: RVec<RouteSpec>,
    /// Flows that can work with these settings, best first.
    pub flows: RVec<RString>,
    /// Whether a person must log in before the first use.
    pub needs_login: bool,
    /// Extensions.
    pub ext: RVec<Field>,
}

/// What a logout did at the provider.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Revocation {
    /// Whether the provider confirmed the revocation.
    pub revoked: bool,
    /// What a person should know, such as "no revocation endpoint"; may be empty.
    pub message: RString,
}

/// What a plugin command prints.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct CommandOutput {
    /// For standard output.
    pub stdout: RVec<u8>,
    /// Exit code.
    pub exit_code: u8,
}

/// An event a plugin emits: becomes `custom.event`.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct PluginEvent {
    /// The connection it is about, if any.
    pub connection: ROption<ConnectionRef>,
    /// The plugin's own name for it.
    pub name: RString,
    /// Its fields as a JSON object.
    pub fields_json: RString,
}

/// One field or span of a log record.
#[repr(C)]
#[derive(StableAbi)]
pub struct LogField<'a> {
    /// Field or span name.
    pub name: RStr<'a>,
    /// Value, rendered.
    pub value: RStr<'a>,
}

/// A log record, borrowed for the call.
#[repr(C)]
#[derive(StableAbi)]
pub struct LogRecord<'a> {
    /// One of [`code::level`](crate::code::level).
    pub level: u8,
    /// Module path.
    pub target: RStr<'a>,
    /// Source file; may be empty.
    pub file: RStr<'a>,
    /// Line in it; 0 if unknown.
    pub line: u32,
    /// The message.
    pub message: RStr<'a>,
    /// Its fields.
    pub fields: RSlice<'a, LogField<'a>>,
    /// The spans it lies in, outermost first, with their fields rendered.
    pub spans: RSlice<'a, LogField<'a>>,
}
