//! The table of the API: what there is, what it takes, and what answers it.

use std::pin::Pin;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::exposition;
use super::handlers::{
    self as handle, Authorize, Logout, NewConnection, NewLogin, Paste, Rename, Replacement, Run, Stop, Trust,
};
use super::reply::Reply;
use super::request::Call;
use crate::refusal::{ApiRefusal, Why};

/// The answer of a handler, in the making.
pub(super) type Handling<'a> = Pin<Box<dyn Future<Output = Result<Reply, ApiRefusal>> + Send + 'a>>;

type Handler = for<'a> fn(Call<'a>) -> Handling<'a>;

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// Segments in `{}` stand for any one segment.
    pub(super) path: &'static str,
    pub(super) handler: Handler,
    /// What it does, for whoever reads the table or the document made from it.
    pub(super) does: &'static str,
    /// Parameters of the query.
    pub(super) asks: &'static [Ask],
    /// The schema of the body.
    pub(super) takes: Option<fn() -> Value>,
    pub(super) gives: Gives,
    /// The status of what it gives.
    pub(super) status: u16,
    pub(super) access: Access,
}

/// A parameter of the query.
pub(super) struct Ask {
    pub(super) name: &'static str,
    /// What it means.
    pub(super) what: &'static str,
    /// What its value matches, if not any will do.
    pub(super) pattern: Option<&'static str>,
}

const fn ask(name: &'static str, what: &'static str) -> Ask {
    Ask { name, what, pattern: None }
}

const fn ask_for(name: &'static str, pattern: &'static str, what: &'static str) -> Ask {
    Ask { name, what, pattern: Some(pattern) }
}

/// What an operation answers when all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// A JSON document with this `schema` member, if it has one.
    Document(Option<&'static str>),
    /// Text of this media type.
    Text(&'static str),
}

/// Who may ask for an operation, where not only our own user gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody: it tells nothing.
    Open,
    /// Who has a key that is not limited to routes.
    Known,
    /// Who has a key that may administer, or a session.
    Admin,
    /// Our own user, at the Unix socket: nobody over TCP, whatever they have.
    Local,
}

const fn get(path: &'static str, handler: Handler, does: &'static str) -> Operation {
    Operation {
        method: "GET",
        path,
        handler,
        does,
        asks: &[],
        takes: None,
        gives: Gives::Document(None),
        status: 200,
        access: Access::Admin,
    }
}

const fn post(path: &'static str, handler: Handler, does: &'static str, takes: fn() -> Value) -> Operation {
    Operation { method: "POST", takes: Some(takes), ..get(path, handler, does) }
}

const fn put(path: &'static str, handler: Handler, does: &'static str, takes: fn() -> Value) -> Operation {
    Operation { method: "PUT", ..post(path, handler, does, takes) }
}

const fn delete(path: &'static str, handler: Handler, does: &'static str) -> Operation {
    Operation { method: "DELETE", ..get(path, handler, does) }
}

impl Operation {
    const fn gives(self, schema: &'static str) -> Self {
        Self { gives: Gives::Document(Some(schema)), ..self }
    }

    const fn text(self, media: &'static str) -> Self {
        Self { gives: Gives::Text(media), ..self }
    }

    const fn asks(self, asks: &'static [Ask]) -> Self {
        Self { asks, ..self }
    }

    const fn open(self) -> Self {
        Self { access: Access::Open, ..self }
    }

    const fn known(self) -> Self {
        Self { access: Access::Known, ..self }
    }

    const fn local(self) -> Self {
        Self { access: Access::Local, ..self }
    }

    const fn creates(self) -> Self {
        Self { status: 201, ..self }
    }
}

/// Everything.
#[rustfmt::skip]
pub(super) static TABLE: &[Operation] = &[
    get("/livez", handle::live, "Whether this process answers").open(),
    get("/readyz", handle::readiness, "Whether new requests are welcome").open()
        .asks(&[ask("verbose", "tell what was looked at, too")]),
    get("/metrics", handle::metrics, "Metrics in the Prometheus text format").text(exposition::MEDIA_TYPE).known(),
    get("/api/v1/openapi.json", handle::openapi, "This API, as OpenAPI 3.1").known(),
    get("/api/v1/status", handle::status, "The host: its process, directories and listeners")
        .gives("ccproxy.status/1"),
    post("/api/v1/reload", handle::reload_configuration, "Read the configuration again", nothing)
        .gives("ccproxy.reload/1"),
    post("/api/v1/stop", handle::stop, "Stop, once requests under way have ended", schema_of::<Stop>)
        .gives("ccproxy.stop/1"),
    get("/api/v1/routes", handle::routes, "The route table").gives("ccproxy.routes/1"),
    get("/api/v1/providers", handle::providers, "The providers whose plugins are there")
        .gives("ccproxy.providers/1"),
    get("/api/v1/providers/{id}/schema", handle::schema, "The JSON Schema of a provider's settings"),
    get("/api/v1/plugins", handle::plugins, "Every plugin file, and what became of it")
        .gives("ccproxy.plugins/1"),
    post("/api/v1/plugins/trust", handle::trust, "Trust a plugin file and load it: Unix socket only", schema_of::<Trust>).local(),
    post("/api/v1/plugins/{id}/run", handle::run, "Run a command that a plugin brings", schema_of::<Run>)
        .gives("ccproxy.plugin-run/1"),
    post("/api/v1/keys/reload", handle::reload_keys, "Read the local keys again that a command has changed", nothing)
        .gives("ccproxy.keys-reload/1").local(),
    get("/api/v1/session", handle::session, "The session at `admin.listen`, and when it ends").gives("ccproxy.session/1"),
    post("/api/v1/session", handle::begin_session, "Begin a session with the key that this is asked with", nothing)
        .gives("ccproxy.session/1").creates(),
    delete("/api/v1/session", handle::end_session, "End the session").gives("ccproxy.session-ended/1"),
    get("/api/v1/events", handle::events, "Hook events as they happen, each a `ccproxy.event/1`")
        .text("text/event-stream").asks(&[ask("kinds", "the events to send, with commas between; all if absent")]),
    get("/api/v1/connections", handle::connections, "Every connection and how it stands")
        .gives("ccproxy.auth-status/1"),
    get("/api/v1/connections/{org}/{name}", handle::connection, "One connection, its settings included")
        .gives("ccproxy.connection/1"),
    post("/api/v1/connections", handle::create, "Make a connection on which nobody has logged in yet", schema_of::<NewConnection>)
        .gives("ccproxy.connection/1").creates(),
    put("/api/v1/connections/{org}/{name}", handle::replace, "Give a connection other settings; its grant stays", schema_of::<Replacement>)
        .gives("ccproxy.connection/1"),
    delete("/api/v1/connections/{org}/{name}", handle::delete, "Revoke the grant, forget it, and remove the connection")
        .gives("ccproxy.connection-deleted/1")
        .asks(&[ask_for("revoke", "^(true|false)$", "`false`: the provider is not told")]),
    post("/api/v1/connections/{org}/{name}/authorize", handle::authorize, "Start a login of a connection", schema_of::<Authorize>)
        .gives("ccproxy.login/1"),
    post("/api/v1/connections/{org}/{name}/cancel", handle::cancel, "End the login of a connection; nothing is saved", nothing)
        .gives("ccproxy.login/1"),
    get("/api/v1/connections/{org}/{name}/credential", handle::credential, "The token, where `admin.credentials` allows it: Unix socket only")
        .gives("ccproxy.auth-token/1").local()
        .asks(&[ask("scopes", "of the token, where they differ from the login's"), ask_for("min_ttl", "^[0-9]{1,3}(ms|s|m|h)$", "refresh unless the token lives this much longer; `30s` if absent")]),
    post("/api/v1/connections/{org}/{name}/refresh", handle::refresh, "Acquire new tokens now", nothing)
        .gives("ccproxy.auth-refresh/1"),
    post("/api/v1/connections/{org}/{name}/test", handle::test, "Acquire, and ask the provider whose account it is", nothing)
        .gives("ccproxy.auth-test/1"),
    post("/api/v1/connections/{org}/{name}/logout", handle::logout, "Revoke the grant and forget it", schema_of::<Logout>)
        .gives("ccproxy.auth-logout/1"),
    post("/api/v1/connections/{org}/{name}/rename", handle::rename, "Give a connection another name, its grant with it", schema_of::<Rename>)
        .gives("ccproxy.auth-rename/1"),
    post("/api/v1/connections/{org}/{name}/reload", handle::reload, "Read a connection again that a command has stored", nothing),
    post("/api/v1/logins", handle::begin_login, "Start a login", schema_of::<NewLogin>).gives("ccproxy.login/1"),
    get("/api/v1/logins/{id}", handle::login, "How a login stands: its step, and what that needs").gives("ccproxy.login/1"),
    post("/api/v1/logins/{id}/paste", handle::paste, "What a person copied, or the answer to a question", schema_of::<Paste>)
        .gives("ccproxy.login/1"),
    post("/api/v1/logins/{id}/cancel", handle::cancel_login, "End a login; nothing is saved", nothing).gives("ccproxy.login/1"),
];

/// The schema of what a handler reads.
fn schema_of<T: JsonSchema>() -> Value {
    // Without references: they would lead into this schema, and it ends up within a document.
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    // What the document says as a whole.
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        members.remove("title");
    }
    schema
}

/// An empty object.
fn nothing() -> Value {
    json!({ "type": "object" })
}

/// The operation at a path, and what stands for the `{...}` of it.
pub(super) fn find<'a>(
    method: &str,
    path: &'a str,
) -> Result<(&'static Operation, Vec<&'a str>), ApiRefusal> {
    // RFC 9110 section 9.3.2: HEAD is GET without the body, which hyper leaves away.
    let method = if method == "HEAD" { "GET" } else { method };
    let here = || TABLE.iter().filter_map(|operation| Some((operation, matched(operation.path, path)?)));
    if let Some(found) = here().find(|(operation, _)| operation.method == method) {
        return Ok(found);
    }
    let mut allow: Vec<_> = here().map(|(operation, _)| operation.method).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    match allow.is_empty() {
        true => Err(ApiRefusal::of(Why::NotFound, format!("the admin API has no `{path}`"))),
        false => Err(ApiRefusal::of(
            Why::MethodNotAllowed { allow: allow.join(", ") },
            format!("`{path}` takes {}", allow.join(", ")),
        )),
    }
}

/// What the `{...}` of a pattern stand for, if the path is one of it.
fn matched<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut parameters = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {
                parameters.push(given);
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn found(method: &str, path: &str) -> Result<(&'static str, String), Why> {
        let found = find(method, path).map_err(|refused| refused.why)?;
        Ok((found.0.path, found.1.join(" ")))
    }

    #[test]
    fn a_path_is_matched_segment_by_segment() {
        let one = "/api/v1/connections/{org}/{name}";
        assert_eq!(found("GET", "/api/v1/connections/acme/x"), Ok((one, "acme x".into())));
        assert_eq!(found("HEAD", "/api/v1/status"), Ok(("/api/v1/status", String::new())));
        for path in ["/", "/api/v1", "/api/v1/status/", "/api/v1/connections/acme/", "//api/v1/status"] {
            assert_eq!(found("GET", path), Err(Why::NotFound), "{path}");
        }
    }

    #[test]
    fn another_method_is_told_which_there_are() {
        let allow = |allow: &str| Err(Why::MethodNotAllowed { allow: allow.into() });
        assert_eq!(found("DELETE", "/api/v1/status"), allow("GET, HEAD"));
        assert_eq!(found("GET", "/api/v1/plugins/trust"), allow("POST"));
    }

    #[test]
    fn no_operation_hides_another() {
        for (at, operation) in TABLE.iter().enumerate() {
            let first =
                find(operation.method, operation.path).unwrap_or_else(|_| panic!("{}", operation.path));
            assert!(std::ptr::eq(first.0, &TABLE[at]), "{} {}", operation.method, operation.path);
        }
    }
}
