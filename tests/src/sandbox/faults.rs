//! Faults that a test scripts: what the next requests to an endpoint meet instead of, or after, the truth.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::endpoint::{Call, Endpoint};
use super::id_token::Mutation;
use super::log::Entry;
use super::reply::{OAuthError, Reply};
use crate::server::Cut;

/// A fault and the requests that meet it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    pub endpoint: Endpoint,
    /// How many requests meet it.
    #[serde(default = "once")]
    pub times: u32,
    /// Only requests with this grant type.
    #[serde(default)]
    pub grant_type: Option<String>,
    /// Only requests of this client.
    #[serde(default)]
    pub client: Option<String>,
    pub fault: Fault,
}

fn once() -> u32 {
    1
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An error status instead of an answer.
    Status {
        status: u16,
        #[serde(default)]
        retry_after: Option<u64>,
        /// The `error` member of the body.
        #[serde(default)]
        error: Option<String>,
    },
    /// The truth, late.
    Delay { ms: u64 },
    /// Any answer at all.
    Body {
        #[serde(default = "ok")]
        status: u16,
        #[serde(default = "json_type")]
        content_type: String,
        body: String,
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// A JSON document of this size that is no answer.
    Large { bytes: usize },
    /// An error that repeats the token or code it was sent.
    Echo,
    /// The connection closes and nothing is done.
    Close,
    /// The request is carried out and then the connection closes: a rotation whose answer is lost.
    LoseAnswer,
    /// The truth without some members.
    Omit { fields: Vec<String> },
    /// The truth with some members changed or added.
    Set { fields: Map<String, Value> },
    /// An ID token that must be refused.
    IdToken { mutation: Mutation },
}

/// More than anybody takes for a token.
const MOST_FILLER: usize = 64 << 20;

fn ok() -> u16 {
    200
}

fn json_type() -> String {
    "application/json".to_owned()
}

/// What is left of a fault to do while or after the request is carried out.
#[derive(Debug, Default)]
pub(crate) struct Late {
    omit: Vec<String>,
    set: Map<String, Value>,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) lose_answer: bool,
}

impl Late {
    pub(crate) fn distort(&self, reply: &mut Reply) {
        let Some(members) = reply.members() else { return };
        for name in &self.omit {
            members.remove(name);
        }
        members.extend(self.set.clone());
    }
}

impl Fault {
    /// The name in the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Delay { .. } => "delay",
            Self::Body { .. } => "body",
            Self::Large { .. } => "large",
            Self::Echo => "echo",
            Self::Close => "close",
            Self::LoseAnswer => "lose_answer",
            Self::Omit { .. } => "omit",
            Self::Set { .. } => "set",
            Self::IdToken { .. } => "id_token",
        }
    }

    /// The part of the fault that comes before the request is carried out: go on, or this is the answer.
    pub(crate) async fn meet(self, call: &Call) -> Result<Late, Result<Reply, Cut>> {
        let late = Late::default();
        match self {
            Self::Status { status, retry_after, error } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let reply = Reply::error(status, error.as_deref().unwrap_or("temporarily_unavailable"));
                Err(Ok(match retry_after {
                    Some(seconds) => reply.with_header(RETRY_AFTER, &seconds.to_string()),
                    None => reply,
                }))
            }
            Self::Body { status, content_type, body, headers } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut reply = Reply::raw(content_type, body).with_status(status);
                for (name, value) in headers {
                    if let Ok(name) = HeaderName::try_from(name) {
                        reply = reply.with_header(name, &value);
                    }
                }
                Err(Ok(reply))
            }
            Self::Large { bytes } => {
                let body = format!("{{\"filler\":\"{}\"}}", "x".repeat(bytes.min(MOST_FILLER)));
                Err(Ok(Reply::raw(json_type(), body)))
            }
            Self::Echo => {
                let sent = ["refresh_token", "code", "device_code"].map(|name| call.form.get(name));
                let sent = sent.into_iter().flatten().next().unwrap_or_default();
                let error = OAuthError::new("invalid_request", format!("{sent} is malformed"));
                Err(Ok(error.into_reply()))
            }
            Self::Close => Err(Err(Cut)),
            Self::Delay { ms } => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(late)
            }
            Self::LoseAnswer => Ok(Late { lose_answer: true, ..late }),
            Self::Omit { fields } => Ok(Late { omit: fields, ..late }),
            Self::Set { fields } => Ok(Late { set: fields, ..late }),
            Self::IdToken { mutation } => Ok(Late { mutation: Some(mutation), ..late }),
        }
    }
}

/// The faults that wait, in the order they were scripted.
#[derive(Default)]
pub(crate) struct Faults(Vec<FaultRule>);

impl Faults {
    pub(crate) fn add(&mut self, rule: FaultRule) {
        self.0.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn waiting(&self) -> &[FaultRule] {
        &self.0
    }

    /// The first fault meant for a request, which uses up one of its times.
    pub(crate) fn take(&mut self, entry: &Entry) -> Option<Fault> {
        let matches = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        let rule = self.0.iter_mut().find(|rule| {
            rule.times > 0
                && rule.endpoint == entry.endpoint
                && matches(&rule.grant_type, &entry.grant_type)
                && matches(&rule.client, &entry.client)
        })?;
        rule.times -= 1;
        let fault = rule.fault.clone();
        self.0.retain(|rule| rule.times > 0);
        Some(fault)
    }
}
