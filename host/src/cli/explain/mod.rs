//! `ccproxy explain`

mod url;

use clap::Args;
use serde_json::json;

use super::client::Host;
use super::context::Context;
use super::error::{CliError, Exit};
use super::output::{Output, Tone, table};
use super::time::{parse_rfc3339, roughly};
use crate::app::{
    App, ConnectionStatus, Explainer, Explanation, Outcome, dedicated_urls, expected_listeners, rewritten,
    shared_urls,
};
use crate::fault::Fault;
use crate::model::{ConnectionId, UnixMillis};
use crate::refusal::Refusal;
use url::{Incoming, Listeners, Typed};

/// Tell what the proxy would do with a request
///
/// Nothing is sent and no credential is acquired. Exits with 0 for what would be forwarded or answered, 2 for a
/// URL or a method that is refused, 3 where there is no route, 4 where a login is needed.
#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// The method, such as GET
    #[arg(value_name = "METHOD", value_parser = method)]
    method: String,
    /// A URL of ccproxy, or its path
    #[arg(value_name = "URL")]
    url: String,
}

/// `get` is a slip of the pen; other words are methods as they are written (RFC 9110 section 9.1).
fn method(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    match http::Method::from_bytes(text.as_bytes()) {
        Ok(_) if known.contains(&upper.as_str()) => Ok(upper),
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("a method is a word such as GET".into()),
    }
}

pub(super) async fn run(args: ExplainArgs, context: Context) -> Result<Exit, CliError> {
    let typed = Typed::parse(&args.url)?;
    let app = App::open_to_look(context.config()?)?;
    // A host that is stuck does not keep a person from seeing what is configured.
    let host = context.host().await.unwrap_or_else(|error| {
        context.out.remark(&error.message);
        None
    });
    let listeners = listeners(&app, host.as_ref());
    let incoming = listeners.choose(typed)?;
    let explainer = app.explainer().await?;
    let mut explanation = explainer.explain(&incoming.asked(&args.method));
    if !incoming.certain && matches!(explanation.refusal(), Some(Refusal::HostNotAllowed)) {
        return Err(elsewhere(&args.method, typed, &incoming, &listeners, &explainer));
    }
    if let Some(id) = explanation.connection() {
        let status = standing(&app, host.as_ref(), id).await?;
        explanation = explanation.standing(status);
    }
    print(&args.method, &incoming, &explanation, &context.out)?;
    Ok(explanation.refusal().map_or(Exit::OK, exit))
}

/// The listeners of the host that runs, or else of one that would.
fn listeners(app: &App, host: Option<&Host>) -> Listeners {
    match host {
        Some(host) => {
            Listeners { shared: host.status.listen.clone(), own: host.status.route_listeners.clone() }
        }
        None => {
            let expected = expected_listeners(&app.config());
            Listeners { shared: shared_urls(&expected), own: dedicated_urls(&expected) }
        }
    }
}

/// How a connection stands: as the running host sees it, else as it is stored.
async fn standing(app: &App, host: Option<&Host>, id: &ConnectionId) -> Result<ConnectionStatus, Fault> {
    if let Some(host) = host
        && let Ok(status) = host.connection(id).await
    {
        return Ok(status);
    }
    app.status_of_one(id).await
}

/// A URL that no client would reach us by; often it is that of an upstream.
fn elsewhere(
    method: &str,
    typed: Typed<'_>,
    incoming: &Incoming,
    listeners: &Listeners,
    explainer: &Explainer<'_>,
) -> CliError {
    let Typed::Web { scheme, authority, .. } = typed else {
        return CliError::not_found("ccproxy listens nowhere")
            .hint("add \"127.0.0.1:8462\" to `server.listen`");
    };
    let around = explainer.around(scheme, authority, &incoming.target);
    let lines: Vec<String> = around
        .iter()
        .map(|around| format!("ccproxy explain {method} {}/{}{}", base(listeners), around.path, around.rest))
        .collect();
    if let Some(first) = around.first() {
        let message = format!("{scheme}://{authority} is the upstream of the route `{}`", first.path);
        return CliError::not_found(message).hint(lines.join("\n"));
    }
    CliError::not_found(format!("ccproxy does not listen at {scheme}://{authority}"))
        .hint(listeners.places("it listens on"))
}

/// The URL in front of every route.
fn base(listeners: &Listeners) -> &str {
    let web = listeners.shared.iter().find(|url| url.starts_with("http"));
    web.map_or("", |url| url.trim_end_matches('/'))
}

fn exit(refusal: &Refusal) -> Exit {
    match refusal {
        Refusal::NoSuchRoute { .. } => Exit::NOT_FOUND,
        Refusal::Credential(fault) => Exit(fault.code.exit()),
        Refusal::KeyRequired | Refusal::KeyInvalid => Exit::LOGIN,
        Refusal::Malformed(_)
        | Refusal::TargetTooLong
        | Refusal::HeadTooLarge
        | Refusal::HostNotAllowed
        | Refusal::MethodNotAllowed { .. } => Exit::USAGE,
        _ => Exit::FAILED,
    }
}

fn print(method: &str, incoming: &Incoming, explained: &Explanation, out: &Output) -> Result<(), CliError> {
    if out.json {
        let mut document = explained.document();
        document["method"] = json!(method);
        document["listener"] = json!({ "url": incoming.listener, "route": incoming.dedicated });
        return out.document(&document);
    }
    let tone = if explained.refusal().is_some() { Tone::Bad } else { Tone::Good };
    let sign = out.paint(tone, tone.sign());
    let document = explained.document();
    out.line(&format!("{sign} {method} {} is {}", incoming.path(), headline(explained, &document)))?;
    let mut rows = Vec::new();
    let mut row = |what: &str, text: String| rows.push(vec![format!("  {what}"), text]);
    for what in ["reason", "hint"] {
        if let Some(text) = document["problem"][what].as_str() {
            row(what, text.to_owned());
        }
    }
    if let Some(near) = &explained.nearest {
        row("nearest", format!("did you mean /{near}/?"));
    }
    row("listener", listener(incoming));
    if explained.asks_for_key {
        row("key", "one is needed: ccproxy key create NAME".into());
    }
    facts(explained, UnixMillis::now(), &mut row);
    out.text(&table(&rows))
}

fn headline(explained: &Explanation, document: &serde_json::Value) -> String {
    match &explained.outcome {
        Outcome::Forward => "forwarded".into(),
        Outcome::Own(what) => format!("answered by ccproxy: {what}"),
        Outcome::Refuse(_) => {
            let problem = &document["problem"];
            let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
            format!("refused: {} {}, {}", problem["status"], text("code"), text("title"))
        }
    }
}

fn listener(incoming: &Incoming) -> String {
    match &incoming.dedicated {
        Some(route) => format!("{}, which the route `{route}` has to itself", incoming.listener),
        None => incoming.listener.clone(),
    }
}

/// What is known of a request that takes a route.
fn facts(explained: &Explanation, now: UnixMillis, row: &mut impl FnMut(&str, String)) {
    let Some(route) = explained.route.as_deref() else { return };
    let onward = explained.onward.as_ref();
    let why = match onward.map(|onward| onward.matched_by) {
        Some("host") => format!("{}, by the name {}.localhost", route.name, route.name),
        Some("listener") => format!("{}, by its listener", route.name),
        Some(_) => format!("{}, by the path /{}/", route.name, route.path),
        None => route.name.to_string(),
    };
    let place = match &route.written_at {
        Some(place) => format!(" ({place})"),
        None => " (the connection's own)".into(),
    };
    row("route", why + &place);
    if let Some(onward) = onward {
        row("upstream", onward.upstream.clone());
    }
    if let (Some(connection), Some(provider)) = (&route.connection, &route.provider) {
        row("connection", format!("{connection} ({provider})"));
    }
    if let Some(onward) = onward {
        row("target", onward.target.clone());
        if let Some(status) = &explained.standing {
            row("credential", credential(status, explained.expires_at(), now));
        }
        row("removed", onward.removed.join(", "));
        row("added", onward.added.join(" or "));
    }
    let mut rewritten = rewritten(route);
    rewritten.extend(route.policy.rewrite_json.iter().map(String::as_str));
    if !rewritten.is_empty() {
        row("rewritten", rewritten.join(", "));
    }
    row("timeout", roughly(route.policy.timeout));
}

fn credential(status: &ConnectionStatus, expires_at: Option<&str>, now: UnixMillis) -> String {
    let state = status.state.as_str().replace('_', " ");
    let care = if status.refreshable { "renewed by itself" } else { "cannot be renewed" };
    match expires_at.and_then(parse_rfc3339) {
        Some(at) if at > now => format!("{state}, expires in {}, {care}", roughly(now.until(at))),
        Some(_) => format!("{state}, {care}"),
        None if !status.is_usable() => state,
        None if status.credentials.is_empty() => format!("{state}, acquired when first used"),
        None => format!("{state}, none for this target yet or one without an end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_method_may_be_typed_in_lower_case_and_must_be_a_word() {
        assert_eq!(method("get").as_deref(), Ok("GET"));
        assert_eq!(method("Purge").as_deref(), Ok("Purge"));
        assert!(method("GET /").is_err());
        assert!(method("").is_err());
    }
}
