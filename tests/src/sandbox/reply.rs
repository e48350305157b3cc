//! Answers before they are bytes, so that a fault can still change their members.

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::server::{Body, full};

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) content: Content,
    outcome: Option<String>,
}

pub(crate) enum Content {
    Empty,
    Html(String),
    Json(Value),
    /// A form, or JSON for a client that says it accepts it: GitHub's way.
    Negotiated(Map<String, Value>),
    Raw {
        media_type: String,
        body: String,
    },
}

/// An error answer of RFC 6749 section 5.2.
#[derive(Debug)]
pub(crate) struct OAuthError {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: String,
}

impl OAuthError {
    pub(crate) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    pub(crate) fn into_reply(self) -> Reply {
        let reply = Reply::json(json!({ "error": self.error, "error_description": self.description }));
        let reply = reply.with_status(self.status).with_outcome(self.error);
        if self.status == StatusCode::UNAUTHORIZED {
            return reply.with_header(WWW_AUTHENTICATE, "Basic realm=\"sandbox\"");
        }
        reply
    }
}

impl Reply {
    pub(crate) fn json(value: Value) -> Self {
        Self::ok(Content::Json(value))
    }

    pub(crate) fn negotiated(value: Map<String, Value>) -> Self {
        Self::ok(Content::Negotiated(value))
    }

    pub(crate) fn html(page: String) -> Self {
        Self::ok(Content::Html(page))
    }

    pub(crate) fn raw(media_type: String, body: String) -> Self {
        Self::ok(Content::Raw { media_type, body })
    }

    pub(crate) fn empty() -> Self {
        Self::ok(Content::Empty)
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::empty().with_status(StatusCode::SEE_OTHER).with_header(LOCATION, to)
    }

    pub(crate) fn error(status: StatusCode, error: &str) -> Self {
        Self::json(json!({ "error": error })).with_status(status).with_outcome(error)
    }

    fn ok(content: Content) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), content, outcome: None }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a field; a value that no field can hold is left out.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    pub(crate) fn with_outcome(mut self, outcome: &str) -> Self {
        self.outcome = Some(outcome.to_owned());
        self
    }

    /// What the log says came of the request: the error code, or `ok`.
    pub(crate) fn outcome(&self) -> &str {
        self.outcome.as_deref().unwrap_or("ok")
    }

    /// The members of a JSON or form answer, for faults to change.
    pub(crate) fn members(&mut self) -> Option<&mut Map<String, Value>> {
        match &mut self.content {
            Content::Json(value) => value.as_object_mut(),
            Content::Negotiated(members) => Some(members),
            Content::Empty | Content::Html(_) | Content::Raw { .. } => None,
        }
    }

    pub(crate) fn into_response(self, request: &HeaderMap) -> Response<Body> {
        let (media_type, body) = match self.content {
            Content::Empty => (None, String::new()),
            Content::Html(page) => (Some("text/html; charset=utf-8".to_owned()), page),
            Content::Raw { media_type, body } => (Some(media_type), body),
            Content::Json(value) => (Some("application/json; charset=utf-8".to_owned()), value.to_string()),
            Content::Negotiated(members) if accepts_json(request) => {
                (Some("application/json; charset=utf-8".to_owned()), Value::Object(members).to_string())
            }
            Content::Negotiated(members) => {
                (Some("application/x-www-form-urlencoded; charset=utf-8".to_owned()), to_form(&members))
            }
        };
        let mut response = Response::new(full(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        let fields = response.headers_mut();
        // RFC 6749 section 5.1: no cache keeps a token answer.
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(media_type) = media_type.and_then(|text| HeaderValue::try_from(text).ok()) {
            fields.insert(CONTENT_TYPE, media_type);
        }
        response
    }
}

fn accepts_json(request: &HeaderMap) -> bool {
    let accepted = request.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        matches!(
            range.split(';').next().map(str::trim),
            Some("application/json" | "application/vnd.github+json")
        )
    })
}

fn to_form(members: &Map<String, Value>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in members {
        match value {
            Value::String(text) => form.append_pair(name, text),
            other => form.append_pair(name, &other.to_string()),
        };
    }
    form.finish()
}
