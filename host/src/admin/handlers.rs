//! What answers each operation: the request's part read, the host asked, the answer worded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::control::Answer;
use super::entrance::Visitor;
use super::exposition;
use super::openapi;
use super::reply::Reply;
use super::request::{Call, Visiting, invalid, invalid_query};
use super::routes::Handling;
use super::sessions::Alive;
use crate::config::parse_duration;
use crate::fault::{Code, Fault};
use crate::hook::Kind;
use crate::keys::LocalKey;
use crate::login::{Flow, LoginOptions, nearest};
use crate::model::{ConnectionId, GLOBAL_ORG, InvalidName, Name, UnixMillis};
use crate::refusal::{ApiRefusal, Why};
use crate::respond;

/// What a [`Name`] is, for the document.
pub(super) const NAME: &str = "^[a-z0-9][a-z0-9-]{0,39}$";
/// What a [`ConnectionId`] is.
const CONNECTION: &str = "^([a-z0-9][a-z0-9-]{0,39}/)?[a-z0-9][a-z0-9-]{0,39}$";
/// What a [`Flow`] is.
const FLOW: &str = "^(browser|device|paste|client-credentials|token)$";

pub(super) fn live(_: Call<'_>) -> Handling<'_> {
    at_once(Ok(Reply::Made(respond::live())))
}

pub(super) fn readiness(call: Call<'_>) -> Handling<'_> {
    let checks = call.asked("verbose").map(|_| call.control.checks());
    at_once(Ok(Reply::Made(respond::readiness(call.control.is_ready(), checks.as_deref()))))
}

pub(super) fn metrics(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move { Ok(Reply::Text(exposition::MEDIA_TYPE, call.control.metrics().await?)) })
}

pub(super) fn openapi(call: Call<'_>) -> Handling<'_> {
    document(openapi::document(call.visit.map(|here| here.visit.local.port())))
}

pub(super) fn status(call: Call<'_>) -> Handling<'_> {
    document(call.control.status())
}

pub(super) fn routes(call: Call<'_>) -> Handling<'_> {
    document(call.control.routes())
}

pub(super) fn providers(call: Call<'_>) -> Handling<'_> {
    document(call.control.providers())
}

pub(super) fn schema(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move {
        let provider = call.name(0)?;
        call.control.find_provider(&provider).map_err(|fault| ApiRefusal::new(Why::NotFound, fault))?;
        Ok(Reply::Document(call.control.schema(&provider).await?))
    })
}

pub(super) fn plugins(call: Call<'_>) -> Handling<'_> {
    document(call.control.plugins())
}

pub(super) fn reload_configuration(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move { Ok(Reply::Document(call.control.reload_configuration().await?)) })
}

pub(super) fn reload_keys(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move { Ok(Reply::Document(call.control.reload_keys()?)) })
}

pub(super) fn session(call: Call<'_>) -> Handling<'_> {
    at_once(visiting(&call).and_then(|here| match here.visitor {
        Visitor::Session(Alive { key, left }) => Ok(Reply::Document(session_document(key, *left))),
        Visitor::Key(_) | Visitor::Unknown => Err(ApiRefusal::of(Why::NotFound, "there is no session")),
    }))
}

pub(super) fn begin_session(call: Call<'_>) -> Handling<'_> {
    at_once(visiting(&call).and_then(|here| match here.visitor {
        Visitor::Key(key) => {
            let (cookie, life) = here.visit.begin_session(key)?;
            Ok(Reply::Session { status: 201, document: session_document(key, life), cookie })
        }
        Visitor::Session(_) | Visitor::Unknown => {
            Err(ApiRefusal::of(Why::Conflict, "a session begins with a key, and this one has begun"))
        }
    }))
}

pub(super) fn end_session(call: Call<'_>) -> Handling<'_> {
    at_once(visiting(&call).map(|here| {
        let cookie = here.visit.end_session(here.parts);
        let document = json!({ "schema": "ccproxy.session-ended/1" });
        Reply::Session { status: 200, document, cookie }
    }))
}

fn visiting<'c, 'a>(call: &'c Call<'a>) -> Result<&'c Visiting<'a>, ApiRefusal> {
    let none = || ApiRefusal::of(Why::NotFound, "there are no sessions on the Unix socket: none is needed");
    call.visit.as_ref().ok_or_else(none)
}

fn session_document(key: &LocalKey, left: Duration) -> Value {
    let left = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
    let expires_at = UnixMillis(UnixMillis::now().0.saturating_add(left));
    json!({ "schema": "ccproxy.session/1", "key": key.name, "expires_at": expires_at.rfc3339() })
}

/// How to stop.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stop {
    /// Without waiting for requests under way.
    #[serde(default)]
    now: bool,
}

pub(super) fn stop(call: Call<'_>) -> Handling<'_> {
    at_once(call.take().map(|Stop { now }| Reply::Document(call.control.stop(now))))
}

/// A login to start.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["provider"] }, { "required": ["connection"] }]))]
pub(super) struct NewLogin {
    /// A provider or a preset; absent for a connection that there is.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "String")]
    provider: Option<String>,
    /// `name` or `org/name`: the connection to log in, or to make.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "String", regex(pattern = CONNECTION))]
    connection: Option<String>,
    /// `browser`, `device`, `paste`, `client-credentials` or `token`; chosen by the host if absent.
    #[schemars(regex(pattern = FLOW))]
    flow: Option<String>,
    /// Scopes to ask for; those of the connection if empty.
    #[serde(default)]
    scopes: Vec<String>,
    /// The OAuth client to log in as, stored with the connection.
    client_id: Option<String>,
    /// Settings of the provider, stored with the connection. A secret is a reference.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// Log in even if the connection is usable.
    #[serde(default)]
    force: bool,
    /// Who receives the browser.
    #[serde(default)]
    redirect: Receiver,
}

/// Who receives the browser when it comes back.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Receiver {
    /// The host, at `/_ccproxy/callback` of its listener, where it has one that can.
    #[default]
    Host,
    /// A listener of the login's own, as for a login on the command line.
    Listener,
}

/// A member that may be left out, but is no null.
fn present<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    String::deserialize(source).map(Some)
}

pub(super) fn begin_login(call: Call<'_>) -> Handling<'_> {
    let begun = || {
        let options = call.take::<NewLogin>()?.options()?;
        Ok(Reply::Document(Arc::clone(call.control).begin_login(options)?))
    };
    at_once(begun())
}

impl NewLogin {
    fn options(self) -> Result<LoginOptions, ApiRefusal> {
        let connection = self.connection.as_deref().map(str::parse::<ConnectionId>).transpose();
        let connection = connection.map_err(|error| invalid(error.to_string()))?;
        let (target, connection) = match (self.provider, connection) {
            (Some(provider), connection) => (provider, connection),
            (None, Some(connection)) => (connection.to_string(), None),
            (None, None) => return Err(invalid("`provider` or `connection` is missing".into())),
        };
        Ok(LoginOptions {
            connection,
            flow: known_flow(self.flow)?,
            scopes: self.scopes,
            client_id: self.client_id,
            settings: self.settings.into_iter().collect(),
            force: self.force,
            own_listener: self.redirect == Receiver::Listener,
            ..LoginOptions::new(target)
        })
    }
}

fn known_flow(flow: Option<String>) -> Result<Option<String>, ApiRefusal> {
    match flow.as_deref().filter(|flow| Flow::parse(flow).is_none()) {
        Some(unknown) => Err(invalid(format!("`{unknown}` is no flow"))),
        None => Ok(flow),
    }
}

pub(super) fn login(call: Call<'_>) -> Handling<'_> {
    at_once(call.control.login(call.parameters[0]).map(Reply::Document))
}

/// What a person copied.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Paste {
    /// The address that the browser ended at, or the answer to the question of the step `ask`.
    text: String,
}

pub(super) fn paste(call: Call<'_>) -> Handling<'_> {
    let pasted = call.take().and_then(|Paste { text }| call.control.paste(call.parameters[0], text));
    at_once(pasted.map(Reply::Document))
}

pub(super) fn cancel_login(call: Call<'_>) -> Handling<'_> {
    at_once(call.control.cancel_login(call.parameters[0]).map(Reply::Document))
}

/// A command of a plugin's own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    /// Its name, then what it takes.
    arguments: Vec<String>,
}

pub(super) fn run(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move {
        let plugin = call.name(0)?;
        let Run { arguments } = call.take()?;
        call.control.find_provider(&plugin).map_err(|fault| ApiRefusal::new(Why::Unfit, fault))?;
        let ran = call.control.run(&plugin, arguments).await;
        Ok(Reply::Document(ran.map_err(|fault| unfit(fault, Code::Unsupported))?))
    })
}

/// A plugin file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trust {
    /// The path of the file.
    file: String,
}

pub(super) fn trust(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move {
        let Trust { file } = call.take()?;
        let trusted = call.control.trust(&file).await;
        Ok(Reply::Document(trusted.map_err(|fault| unfit(fault, Code::PluginFailed))?))
    })
}

pub(super) fn events(call: Call<'_>) -> Handling<'_> {
    at_once(kinds(call.asked("kinds")).map(|kinds| Reply::Events(call.control.events(kinds))))
}

/// The kinds that `?kinds=a,b` names; all of them if it is not there.
fn kinds(asked: Option<String>) -> Result<u64, ApiRefusal> {
    let Some(asked) = asked else {
        return Ok(Kind::ALL.iter().fold(0, |mask, kind| mask | kind.bit()));
    };
    asked.split(',').map(str::trim).try_fold(0, |mask, word| match Kind::parse(word) {
        Some(kind) => Ok(mask | kind.bit()),
        None => {
            let mut fault = Fault::new(Code::InvalidConfig, format!("there are no events of kind `{word}`"));
            let near = nearest(word, Kind::ALL.iter().map(|kind| kind.as_str()));
            fault.hint = near.map(|near| format!("did you mean `{near}`?"));
            Err(ApiRefusal::new(Why::Invalid, fault))
        }
    })
}

pub(super) fn connections(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move { Ok(Reply::Document(call.control.connections().await?)) })
}

pub(super) fn connection(call: Call<'_>) -> Handling<'_> {
    with_connection(call, |call, id| call.control.connection(id))
}

/// A connection to make.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewConnection {
    /// The organisation; `global` if absent.
    #[schemars(regex(pattern = NAME))]
    org: Option<String>,
    /// Unique within it.
    #[schemars(regex(pattern = NAME))]
    name: String,
    /// The plugin that logs it in.
    #[schemars(regex(pattern = NAME))]
    provider: String,
    /// Settings of the provider. A secret is a reference.
    #[serde(default)]
    settings: Map<String, Value>,
}

pub(super) fn create(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move {
        let NewConnection { org, name, provider, settings } = call.take()?;
        let org = org.as_deref().unwrap_or(GLOBAL_ORG);
        let id = ConnectionId { org: name_of(org)?, name: name_of(&name)? };
        let provider = name_of(&provider)?;
        let location = format!("/api/v1/connections/{}/{}", id.org, id.name);
        let control = Arc::clone(call.control);
        let made = to_its_end(async move { control.create(&id, provider, settings).await }).await?;
        Ok(Reply::Created(location, made))
    })
}

/// A connection's settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Replacement {
    /// Its provider, which cannot be changed.
    #[schemars(regex(pattern = NAME))]
    provider: Option<String>,
    /// All its settings; what is not there is gone. A secret is a reference.
    settings: Map<String, Value>,
}

pub(super) fn replace(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move {
        let id = call.connection()?;
        let Replacement { provider, settings } = call.take()?;
        let provider = provider.as_deref().map(name_of).transpose()?;
        let control = Arc::clone(call.control);
        let made = to_its_end(async move { control.replace(&id, provider, settings).await }).await?;
        Ok(Reply::Document(made))
    })
}

pub(super) fn delete(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move {
        let id = call.connection()?;
        let revoke = match call.asked("revoke").as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(invalid_query("`revoke` is neither `true` nor `false`".into())),
        };
        let control = Arc::clone(call.control);
        let gone = to_its_end(async move { control.delete(&id, revoke).await }).await?;
        Ok(Reply::Document(gone))
    })
}

fn name_of(text: &str) -> Result<Name, ApiRefusal> {
    text.parse().map_err(|error: InvalidName| invalid(error.to_string()))
}

/// Whoever asked may hang up: what changes files is not left halfway.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiRefusal>> + Send + 'static,
) -> Result<T, ApiRefusal> {
    let ended = tokio::spawn(work).await;
    ended.map_err(|gone| Fault::new(Code::Internal, format!("the change broke off: {gone}")))?
}

/// How to log a connection in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Authorize {
    /// `browser`, `device`, `paste`, `client-credentials` or `token`; chosen by the host if absent.
    #[schemars(regex(pattern = FLOW))]
    flow: Option<String>,
    /// Scopes to ask for; those of the connection if empty.
    #[serde(default)]
    scopes: Vec<String>,
    /// Log in even if the connection is usable.
    #[serde(default)]
    force: bool,
    /// Who receives the browser.
    #[serde(default)]
    redirect: Receiver,
}

pub(super) fn authorize(call: Call<'_>) -> Handling<'_> {
    let begun = || {
        let id = call.connection()?;
        let Authorize { flow, scopes, force, redirect } = call.take()?;
        let options = LoginOptions {
            flow: known_flow(flow)?,
            scopes,
            force,
            own_listener: redirect == Receiver::Listener,
            ..LoginOptions::new(id.to_string())
        };
        Ok(Reply::Document(Arc::clone(call.control).begin_login(options)?))
    };
    at_once(begun())
}

pub(super) fn cancel(call: Call<'_>) -> Handling<'_> {
    let cancelled = call.connection().and_then(|id| call.control.cancel_login_of(&id));
    at_once(cancelled.map(Reply::Document))
}

/// The least life of a token unless `?min_ttl` says otherwise; as `auth token` has it.
const MIN_TTL: Duration = Duration::from_secs(30);

pub(super) fn credential(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move {
        let id = call.connection()?;
        let scopes = call.asked("scopes").unwrap_or_default();
        let scopes = scopes.split([' ', ',']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        let min_ttl = match call.asked("min_ttl") {
            None => MIN_TTL,
            Some(text) => parse_duration(&text)
                .ok_or_else(|| invalid_query("`min_ttl` is no duration such as `5m`".into()))?,
        };
        Ok(Reply::Secret(call.control.credential(&id, scopes, min_ttl).await?))
    })
}

pub(super) fn refresh(call: Call<'_>) -> Handling<'_> {
    with_connection(call, |call, id| call.control.refresh(id))
}

pub(super) fn test(call: Call<'_>) -> Handling<'_> {
    with_connection(call, |call, id| call.control.test(id))
}

/// How to log out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Logout {
    /// Whether the provider is told.
    #[serde(default = "yes")]
    revoke: bool,
}

fn yes() -> bool {
    true
}

pub(super) fn logout(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move {
        let Logout { revoke } = call.take()?;
        let id = call.connection()?;
        Ok(Reply::Document(call.control.logout(&id, revoke).await?))
    })
}

/// Another name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    /// `name` or `org/name`.
    #[schemars(regex(pattern = CONNECTION))]
    to: String,
}

pub(super) fn rename(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move {
        let Rename { to } = call.take()?;
        let to = to.parse().map_err(|error: InvalidName| invalid(error.to_string()))?;
        let id = call.connection()?;
        let renamed = call.control.rename(&id, &to).await;
        Ok(Reply::Document(renamed.map_err(|fault| unfit(fault, Code::InvalidConfig))?))
    })
}

/// A command has just stored, changed or removed it: it need not be there.
pub(super) fn reload(call: Call<'_>) -> Handling<'_> {
    Box::pin(async move {
        let id = ConnectionId { org: call.name(0)?, name: call.name(1)? };
        Ok(Reply::Document(call.control.reload(&id).await?))
    })
}

/// Has something done with a connection that there is.
fn with_connection<'a>(
    call: Call<'a>,
    ask: for<'b> fn(&'b Call<'a>, &'b ConnectionId) -> Answer<'b>,
) -> Handling<'a> {
    Box::pin(async move {
        let id = call.connection()?;
        Ok(Reply::Document(ask(&call, &id).await?))
    })
}

/// Where a failure of this code says that what was asked for cannot be, it is not one of the host's.
fn unfit(fault: Fault, code: Code) -> ApiRefusal {
    match fault.code == code {
        true => ApiRefusal::new(Why::Unfit, fault),
        false => fault.into(),
    }
}

fn document<'a>(document: Value) -> Handling<'a> {
    at_once(Ok(Reply::Document(document)))
}

fn at_once<'a>(reply: Result<Reply, ApiRefusal>) -> Handling<'a> {
    Box::pin(std::future::ready(reply))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn kinds_are_named_or_all_of_them() {
        let bits = |asked: &str| kinds(Some(asked.into())).map_err(|refused| refused.fault.hint);
        assert_eq!(bits("app.ready, plugin.error"), Ok(Kind::AppReady.bit() | Kind::PluginError.bit()));
        assert_eq!(bits("plugin.eror"), Err(Some("did you mean `plugin.error`?".into())));
        assert_eq!(kinds(None).unwrap().count_ones() as usize, Kind::ALL.len());
    }
}
