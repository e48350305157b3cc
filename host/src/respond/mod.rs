//! The respond stage: upstream reply or refusal to client reply. Only here is a status chosen.

mod api;
mod own;
mod problem;
mod rejection;
mod relay;
mod rewrite;
mod rewrite_json;

use bytes::Bytes;

pub use api::api_problem;
pub use own::{Check, index, live, missing_slash, preflight, readiness, ready};
pub use problem::{Subject, code, problem};
pub use rejection::{Rejection, rejection};
pub use relay::{Client, Relay, ResponsePlan, relay};
pub use rewrite_json::JsonLinks;

/// A reply of ours, ready for any carrier. `ccproxy-request-id` is the carrier's to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The value of `ccproxy-error`, if this is one.
    pub error: Option<&'static str>,
    /// Fields besides those for framing.
    pub fields: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// Says that a reply is ours, and why.
pub const ERROR_FIELD: &str = "ccproxy-error";
/// The request's id, on every reply.
pub const REQUEST_ID_FIELD: &str = "ccproxy-request-id";
