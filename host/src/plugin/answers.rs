//! What plugins answer, in the host's types.

use abi_stable::std_types::RVec;
use ccproxy_plugin_abi as abi;

use super::codes::one_line;
use super::credential;
use crate::fault::{Code, Fault};
use crate::login::Flow;
use crate::model::Name;

/// What a plugin may answer on a path of its own. Section 2 of the interface.
const MAX_ANSWER: usize = 1 << 20;

/// What a command may print: it travels in one answer of the admin socket.
const MAX_OUTPUT: usize = 8 << 20;

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

pub(super) fn request(message: Message) -> abi::HttpRequest {
    let headers = message
        .headers
        .iter()
        .map(|(name, value)| abi::Field { name: name.as_str().into(), value: RVec::from(value.as_bytes()) });
    abi::HttpRequest {
        method: message.method.as_str().into(),
        url: message.path_and_query.into(),
        headers: headers.collect(),
        body: message.body.into(),
        timeout_ms: 0,
        purpose: Default::default(),
        ext: RVec::new(),
    }
}

pub(super) fn revocation(said: abi::Revocation) -> Revocation {
    let message = one_line(&said.message);
    Revocation { revoked: said.revoked, message: (!message.is_empty()).then_some(message) }
}

pub(super) fn description(said: abi::Description) -> Description {
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

pub(super) fn command_output(plugin: &Name, said: abi::CommandOutput) -> Result<CommandOutput, Fault> {
    if said.stdout.len() > MAX_OUTPUT {
        let what = format!("plugin `{plugin}` printed more than 8 MiB");
        return Err(Fault::new(Code::InvalidResponse, what));
    }
    Ok(CommandOutput { stdout: said.stdout.into(), exit_code: said.exit_code })
}

pub(super) fn answer(plugin: &Name, said: abi::HttpResponse) -> Result<Answer, Fault> {
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
