//! The pages that a person sees. Plain HTML without scripts: a browser clicks them, a test reads them.

use http::StatusCode;

use super::authorize::AuthorizationRequest;
use super::reply::Reply;

/// Asks whether a client may have what it asks for.
pub(crate) fn approval(id: &str, request: &AuthorizationRequest, user: &str) -> String {
    let form = format!(
        r#"<form method="post" action="/decision">
<p><b>{client}</b> asks for <code>{scope}</code></p>
<input type="hidden" name="request" value="{id}">
<label>User <input name="user" value="{user}"></label>
<button id="approve" name="decision" value="approve">Approve</button>
<button id="deny" name="decision" value="deny">Deny</button>
</form>"#,
        client = escape(&request.client),
        scope = escape(&request.scope),
        user = escape(user),
    );
    document("Sign in", &form)
}

/// Asks for the code that a device shows.
pub(crate) fn device(decide_at: &str, user_code: &str) -> String {
    let form = format!(
        r#"<form method="post" action="{decide_at}">
<label>Code <input name="user_code" value="{code}"></label>
<label>User <input name="user" value="alice"></label>
<button id="approve" name="decision" value="approve">Approve</button>
<button id="deny" name="decision" value="deny">Deny</button>
</form>"#,
        code = escape(user_code),
    );
    document("Connect a device", &form)
}

pub(crate) fn done(outcome: &str) -> String {
    document(
        "Done",
        &format!("<p id=\"done\">The login is {}. You may close this window.</p>", escape(outcome)),
    )
}

/// What is told the person because it cannot be told the client.
pub(crate) fn refusal(error: &str, why: &str) -> Reply {
    let body = format!("<p id=\"error\"><code>{}</code>: {}</p>", escape(error), escape(why));
    Reply::html(document("This cannot be done", &body))
        .with_status(StatusCode::BAD_REQUEST)
        .with_outcome(error)
}

fn document(title: &str, body: &str) -> String {
    format!("<!doctype html>\n<html lang=\"en\"><title>{title}</title>\n<h1>{title}</h1>\n{body}\n</html>\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
