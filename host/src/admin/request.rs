//! What is read of a request.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::control::Control;
use super::entrance::{Visit, Visitor};
use crate::fault::{Code, Fault};
use crate::model::{ConnectionId, Name};
use crate::refusal::{ApiRefusal, Why};

/// A request body larger than this has nothing to say to us.
const MAX_BODY: usize = 64 * 1024;

/// A request that was matched with an operation, its body read.
pub(super) struct Call<'a> {
    pub(super) control: &'a Arc<dyn Control>,
    /// What stands for the `{...}` of the path, in order.
    pub(super) parameters: Vec<&'a str>,
    pub(super) query: Option<&'a str>,
    pub(super) body: Value,
    /// How it came in, if not by the Unix socket.
    pub(super) visit: Option<Visiting<'a>>,
}

/// A request that came in over TCP.
pub(super) struct Visiting<'a> {
    pub(super) visit: &'a Visit,
    pub(super) visitor: &'a Visitor,
    pub(super) parts: &'a Parts,
}

impl Call<'_> {
    /// The name at this place of the path.
    pub(super) fn name(&self, at: usize) -> Result<Name, ApiRefusal> {
        let text = self.parameters.get(at).copied().unwrap_or_default();
        text.parse().map_err(|error: crate::model::InvalidName| {
            ApiRefusal::new(Why::NotFound, Fault::new(Code::InvalidConfig, error.to_string()))
        })
    }

    /// The connection that `{org}/{name}` names; one that there is.
    pub(super) fn connection(&self) -> Result<ConnectionId, ApiRefusal> {
        let id = ConnectionId { org: self.name(0)?, name: self.name(1)? };
        self.control.find(&id).map_err(|fault| ApiRefusal::new(Why::NotFound, fault))?;
        Ok(id)
    }

    /// The body as what the operation takes.
    pub(super) fn take<T: DeserializeOwned>(&self) -> Result<T, ApiRefusal> {
        T::deserialize(&self.body).map_err(|error| invalid(error.to_string()))
    }

    /// A parameter of the query; empty if it has no value.
    pub(super) fn asked(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.unwrap_or_default().as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// Mutations take JSON and nothing else: a form that a web page can send is not JSON.
pub(super) async fn body(fields: &HeaderMap, body: Incoming) -> Result<Value, ApiRefusal> {
    if !is_json(fields) {
        return Err(ApiRefusal::of(Why::MediaType, "the content-type is not application/json"));
    }
    let body = Limited::new(body, MAX_BODY).collect().await;
    let bytes = match body {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(ApiRefusal::of(Why::TooLarge, format!("the body is larger than {MAX_BODY} bytes")));
        }
        Err(_) => return Err(invalid("it broke off".into())),
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok(members.into()),
        Ok(_) => Err(invalid("it is not an object".into())),
        // The parser's words may repeat what was sent, and that may be a secret: only the place is told.
        Err(error) => {
            Err(invalid(format!("it is not JSON: line {}, column {}", error.line(), error.column())))
        }
    }
}

pub(super) fn invalid_query(why: String) -> ApiRefusal {
    ApiRefusal::of(Why::Invalid, format!("the query: {why}"))
}

pub(super) fn invalid(why: String) -> ApiRefusal {
    ApiRefusal::of(Why::Invalid, format!("the request body: {why}"))
}

fn is_json(fields: &HeaderMap) -> bool {
    let value = fields.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let media = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    media.eq_ignore_ascii_case(b"application/json")
}
