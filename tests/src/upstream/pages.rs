//! APIs that answer in pages, or take an upload, in the shapes that their clients parse: Microsoft Graph, Google
//! Drive, the Python package index.

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{json_answer, unauthorized, with_status};
use crate::params::Params;
use crate::sandbox::TokenState;
use crate::server::{Body, Cut, full};

/// Messages in Alice's mailbox, two a page.
const MESSAGES: u64 = 5;
const PER_PAGE: u64 = 2;

pub(super) async fn answer(
    base: &str,
    request: Request<Incoming>,
    state: TokenState,
) -> Result<Response<Body>, Cut> {
    if state != TokenState::Valid {
        return Ok(unauthorized());
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let query = Params::parse(head.uri.query().unwrap_or_default().as_bytes());
    Ok(match (&head.method, head.uri.path()) {
        (&Method::GET, "/graph/v1.0/me") => json_answer(&json!({ "id": "1", "displayName": "Alice" })),
        (&Method::GET, path @ "/graph/v1.0/me/messages") => json_answer(&messages(base, path, &query)),
        (&Method::GET, "/drive/v3/files") => json_answer(&files(query.get("pageToken"))),
        (&Method::POST, "/pypi/legacy/") if is_upload(&body) => Response::new(full("OK".to_owned())),
        _ => with_status(StatusCode::NOT_FOUND, json_answer(&json!({ "error": { "code": "NotFound" } }))),
    })
}

/// The next page is an absolute URL in the body (OData JSON 4.01 section 4.6.5).
fn messages(base: &str, path: &str, query: &Params) -> Value {
    let skip = query.number("$skip").unwrap_or(0);
    let ids = skip..MESSAGES.min(skip + PER_PAGE);
    let value: Vec<_> =
        ids.map(|id| json!({ "id": id.to_string(), "subject": format!("message {id}") })).collect();
    let mut page =
        json!({ "@odata.context": format!("{base}/graph/v1.0/$metadata#messages"), "value": value });
    if skip + PER_PAGE < MESSAGES {
        page["@odata.nextLink"] = json!(format!("{base}{path}?%24skip={}", skip + PER_PAGE));
    }
    page
}

/// The next page is a token that the client sends back.
fn files(token: Option<&str>) -> Value {
    let file = |name: &str| json!({ "kind": "drive#file", "id": name, "name": name });
    match token {
        None => json!({ "kind": "drive#fileList", "files": [file("a"), file("b")], "nextPageToken": "2" }),
        Some(_) => json!({ "kind": "drive#fileList", "files": [file("c")] }),
    }
}

/// What twine sends: a form with the action and the file.
fn is_upload(body: &[u8]) -> bool {
    let has = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    has(b"file_upload") && has(b"filename=")
}
