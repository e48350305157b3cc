//! Answers that name other places: what a proxy has to rewrite, and what it must leave alone.

use http::header::{CONTENT_LOCATION, LINK, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::{json_answer, with_status};
use crate::params::Params;
use crate::server::Body;

pub(super) fn redirect(query: &Params) -> Response<Body> {
    let code = query.get("code").and_then(|code| code.parse().ok()).unwrap_or(StatusCode::FOUND);
    let mut response = with_status(code, json_answer(&json!({ "redirect": true })));
    if let Ok(to) = HeaderValue::from_str(query.get("to").unwrap_or("/")) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

/// Two pages, linked by `Link`, by `Content-Location` and in the body; `location` chooses a `Location`, too.
pub(super) fn links(base: &str, path: &str, query: &Params) -> Response<Body> {
    let page = query.number("page").unwrap_or(1);
    let here = format!("{base}{path}");
    let mut body = json!({ "value": [page] });
    if page < 2 {
        body["@odata.nextLink"] = json!(format!("{here}?page=2"));
    }
    let mut response = json_answer(&body);
    let fields = response.headers_mut();
    let mut set = |name, value: String| {
        HeaderValue::try_from(value).map(|value| fields.append(name, value)).ok();
    };
    if page < 2 {
        set(LINK, format!("<{here}?page=2>; rel=\"next\", <{here}?page=2>; rel=\"last\""));
        set(LINK, "<https://elsewhere.invalid/terms>; rel=\"license\"".to_owned());
    }
    set(CONTENT_LOCATION, format!("{here}?page={page}"));
    match query.get("location") {
        Some("absolute") => set(LOCATION, format!("{base}/made/1?x=1#part")),
        Some("relative") => set(LOCATION, "/made/1".to_owned()),
        Some("foreign") => set(LOCATION, "https://elsewhere.invalid/made/1".to_owned()),
        Some("scheme-relative") => set(LOCATION, format!("{}/made/1", base.trim_start_matches("http:"))),
        _ => return response,
    }
    with_status(StatusCode::CREATED, response)
}
