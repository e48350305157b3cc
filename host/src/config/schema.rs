//! Every key there is: its type, its default and a line of why. The one table that checking, typing of the
//! environment, defaults and nearest names are read from.

use super::kind::Kind;

/// A key of a table.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// As TOML; a key without one is absent unless written.
    pub(super) default: Option<&'static str>,
    /// What it is for, as the annotated default file says it.
    pub(super) why: &'static str,
}

/// Whether any table of ours has a key of this name.
pub(super) fn is_known_name(name: &str) -> bool {
    fn among(keys: &'static [Key], name: &str) -> bool {
        keys.iter().any(|key| {
            key.name == name
                || match key.shape {
                    Shape::Value(_) => false,
                    Shape::Table(keys) | Shape::Named { keys, .. } => among(keys, name),
                }
        })
    }
    among(&ROOT, name)
}

/// What a key holds.
pub(super) enum Shape {
    /// A single value.
    Value(Kind),
    /// A table with these keys and no others.
    Table(&'static [Key]),
    /// Named tables, each with these keys.
    Named {
        /// What the names must be.
        names: Names,
        /// The keys we know in each.
        keys: &'static [Key],
        /// Whether other keys are somebody else's to judge: a provider's settings.
        open: bool,
    },
}

/// What names a named table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// `[ORG/]NAME`.
    Connections,
    /// `NAME`.
    Routes,
}

const fn key(name: &'static str, kind: Kind, default: &'static str, why: &'static str) -> Key {
    Key { name, shape: Shape::Value(kind), default: Some(default), why }
}

const fn optional(name: &'static str, kind: Kind, why: &'static str) -> Key {
    Key { name, shape: Shape::Value(kind), default: None, why }
}

const fn table(name: &'static str, keys: &'static [Key], why: &'static str) -> Key {
    Key { name, shape: Shape::Table(keys), default: None, why }
}

/// The file.
pub(super) static ROOT: [Key; 9] = [
    table("server", &SERVER, "the listeners that tools talk to"),
    table("admin", &ADMIN, "metrics and the API over TCP; the Unix socket is always there"),
    table("upstream", &UPSTREAM, "how upstreams and token endpoints are reached"),
    table("plugins", &PLUGINS, "where providers come from"),
    table("storage", &STORAGE, "where grants are kept"),
    table("refresh", &REFRESH, "when tokens are renewed ahead of their end"),
    table("logging", &LOGGING, "what is written to stderr"),
    Key {
        name: "connections",
        shape: Shape::Named { names: Names::Connections, keys: &CONNECTION, open: true },
        default: None,
        why: "named logins: a provider and its settings",
    },
    Key {
        name: "routes",
        shape: Shape::Named { names: Names::Routes, keys: &ROUTE, open: false },
        default: None,
        why: "names of paths: an upstream and a connection",
    },
];

static SERVER: [Key; 9] = [
    key(
        "listen",
        Kind::List(&Kind::Listen),
        r#"["127.0.0.1:8462", "[::1]:8462"]"#,
        "a missing IPv6 loopback only warns",
    ),
    key("workers", Kind::Count { most: 1024 }, "0", "threads; 0 means one per core"),
    key("access", Kind::OneOf(&["same-user", "key", "open"]), r#""same-user""#, "who may enter"),
    key("allowed_hosts", Kind::List(&Kind::Authority), "[]", "besides loopback names with our port"),
    key("allowed_origins", Kind::List(&Kind::Origin), "[]", "web pages that may call us"),
    key("http2", Kind::Bool, "false", "cleartext HTTP/2 from clients; gRPC needs it"),
    key(
        "drain_timeout",
        Kind::Duration { zero: true },
        r#""30s""#,
        "how long a stop waits for requests to end",
    ),
    key("insecure_cleartext", Kind::Bool, "false", "allows a listener that is not loopback without TLS"),
    table("tls", &TLS, "for https:// listeners"),
];

static TLS: [Key; 3] = [
    optional("cert", Kind::Path, "PEM file of the certificate chain"),
    optional("key", Kind::Path, "PEM file of the private key"),
    key("local_ca", Kind::Bool, "false", "makes certificates with a CA of our own instead"),
];

static ADMIN: [Key; 2] = [
    key("listen", Kind::AdminListen, r#""off""#, "an address for metrics and API over TCP"),
    key("credentials", Kind::Bool, "false", "whether the API hands out tokens, on the Unix socket only"),
];

static UPSTREAM: [Key; 2] = [
    key(
        "outbound_proxy",
        Kind::OutboundProxy,
        r#""env""#,
        "env: HTTPS_PROXY and NO_PROXY; or a URL, or none",
    ),
    optional("extra_ca", Kind::Path, "PEM file of CAs trusted besides the system's"),
];

static PLUGINS: [Key; 3] = [
    key("dirs", Kind::List(&Kind::Path), "[]", "searched before the built-in directories"),
    key("trust", Kind::OneOf(&["tofu", "pinned", "any"]), r#""tofu""#, "which plugin files may be loaded"),
    key("disabled", Kind::List(&Kind::Name), "[]", "provider ids that are not loaded"),
];

static STORAGE: [Key; 1] = [key(
    "backend",
    Kind::OneOf(&["auto", "keyring", "file", "memory", "postgres"]),
    r#""auto""#,
    "where grants are kept; auto means file",
)];

static REFRESH: [Key; 4] = [
    key(
        "ahead",
        Kind::Ahead,
        r#""10%""#,
        "a share of the lifetime, at least 60 s, at most max_ahead; or a duration",
    ),
    key("max_ahead", Kind::Duration { zero: false }, r#""15m""#, "upper bound of a share"),
    key("jitter", Kind::Share, r#""50%""#, "of ahead, so that tokens are not renewed all at once"),
    key("sweep", Kind::Duration { zero: false }, r#""30m""#, "full re-check, besides the per-token timers"),
];

static LOGGING: [Key; 3] = [
    key(
        "level",
        Kind::OneOf(&["off", "error", "warn", "info", "debug", "trace"]),
        r#""info""#,
        "how much is logged",
    ),
    key("format", Kind::OneOf(&["auto", "text", "json"]), r#""auto""#, "auto: text on a terminal, else json"),
    key("access_log", Kind::Bool, "false", "a line per request"),
];

/// What every connection may have; the rest is its provider's.
pub(super) static CONNECTION: [Key; 18] = [
    optional("provider", Kind::Name, "the plugin that logs it in"),
    optional(
        "flow",
        Kind::OneOf(&["browser", "device", "paste", "client-credentials", "token"]),
        "how to log in",
    ),
    optional("client_id", Kind::Text, "the registered application"),
    optional("client_secret", Kind::Secret, "its secret, as a reference"),
    optional("scopes", Kind::List(&Kind::Scope), "asked for at login"),
    optional("upstream", Kind::BaseUrl, "base URL behind /<connection>/"),
    optional("redirect_uri", Kind::RedirectUri, "where a browser login comes back, if it must be fixed"),
    optional("extra_ca", Kind::Path, "PEM file of CAs trusted for this connection"),
    optional("outbound_proxy", Kind::OutboundProxy, "instead of upstream.outbound_proxy"),
    optional("timeout", Kind::Duration { zero: false }, "to the response head"),
    optional("issuer", Kind::BaseUrl, "where discovery starts"),
    optional("authorization_endpoint", Kind::Endpoint, "instead of the discovered one"),
    optional("token_endpoint", Kind::Endpoint, "instead of the discovered one"),
    optional("device_authorization_endpoint", Kind::Endpoint, "instead of the discovered one"),
    optional("revocation_endpoint", Kind::Endpoint, "instead of the discovered one"),
    optional("introspection_endpoint", Kind::Endpoint, "instead of the discovered one"),
    optional("userinfo_endpoint", Kind::Endpoint, "instead of the discovered one"),
    optional("jwks_uri", Kind::Endpoint, "instead of the discovered one"),
];

static ROUTE: [Key; 15] = [
    optional("path", Kind::Segment, "the first path segment; the route's name unless written"),
    optional("upstream", Kind::BaseUrl, "base URL; the connection's unless written"),
    optional("connection", Kind::ConnectionId, "whose credential is injected"),
    optional("scopes", Kind::List(&Kind::Scope), "of the token for this route"),
    optional("audience", Kind::Text, "of the token for this route"),
    optional("resource", Kind::Text, "of the token for this route (RFC 8707)"),
    optional("inject", Kind::Name, "the injection form, such as bearer or basic"),
    key(
        "timeout",
        Kind::Duration { zero: false },
        r#""60s""#,
        "to the response head; bodies have an idle timeout instead",
    ),
    key("methods", Kind::List(&Kind::Method), "[]", "that may pass; empty means all but TRACE and CONNECT"),
    key("cookies", Kind::OneOf(&["drop", "pass"]), r#""drop""#, "what happens to cookies, both ways"),
    key(
        "rewrite",
        Kind::List(&Kind::FieldName),
        r#"["location", "link"]"#,
        "response fields rewritten to our own URL",
    ),
    key("rewrite_json", Kind::List(&Kind::Text), "[]", "JSON members rewritten likewise"),
    optional("listen", Kind::Listen, "a listener of its own, with the upstream at /"),
    optional("host", Kind::Authority, "the Host that the upstream is sent instead of its own"),
    optional("http2", Kind::Bool, "to the upstream; negotiated unless written"),
];
