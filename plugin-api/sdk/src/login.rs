//! A login as a resumable state machine of plain data.
//!
//! The plugin says what comes next; the host shows it, waits, listens and polls. So the same plugin
//! code serves a terminal, a page and an API, and a login survives being driven from another place.

use std::time::Duration;

use ccproxy_plugin_abi as abi;
use ccproxy_plugin_abi::abi_stable::std_types::{ROption, RVec};
use ccproxy_plugin_abi::code::{input, step};
use serde_json::json;

use crate::error::Error;
use crate::manager::TokenSnapshot;
use crate::secret::Secret;
use crate::time::UnixMillis;

/// The ways to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// Authorization code, with a loopback redirect.
    Browser,
    /// RFC 8628.
    Device,
    /// Authorization code, with the redirect URL pasted by hand.
    Paste,
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// A token or key that the person already has.
    Token,
}

impl Flow {
    /// As settings and flags write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Device => "device",
            Self::Paste => "paste",
            Self::ClientCredentials => "client-credentials",
            Self::Token => "token",
        }
    }

    /// The flow of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Browser, Self::Device, Self::Paste, Self::ClientCredentials, Self::Token]
            .into_iter()
            .find(|flow| flow.as_str() == text)
    }
}

/// What a login starts from.
#[derive(Clone)]
pub struct LoginRequest {
    /// Which way.
    pub flow: Flow,
    /// Where the browser comes back to; empty for flows without one.
    pub redirect_uri: String,
    /// The `state` parameter: made and checked by the host.
    pub state: String,
    /// Scopes asked for on the command line; empty for those of the settings.
    pub scopes: Vec<String>,
    /// Ask again even where a session or consent exists.
    pub force: bool,
}

impl LoginRequest {
    pub(crate) fn from_abi(request: abi::LoginRequest) -> Result<Self, Error> {
        let flow = Flow::parse(&request.flow)
            .ok_or_else(|| Error::unsupported(format!("login flow `{}` is not known", request.flow)))?;
        Ok(Self {
            flow,
            redirect_uri: request.redirect_uri.into(),
            state: request.state.into(),
            scopes: request.scopes.into_iter().map(Into::into).collect(),
            force: request.force,
        })
    }
}

/// What the host has for a login under way.
#[derive(Clone)]
pub enum LoginInput {
    /// The query of the redirect, as received or pasted: `code=...&state=...`.
    Redirect(Secret),
    /// The wait is over.
    Poll,
    /// What the person typed.
    Answer(Secret),
}

impl LoginInput {
    /// What the person typed.
    ///
    /// # Errors
    /// Any other input: the login asked for an answer.
    pub fn into_answer(self) -> Result<Secret, Error> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Redirect(_) | Self::Poll => Err(Error::unsupported("this login wants an answer")),
        }
    }

    /// The query of the redirect.
    ///
    /// # Errors
    /// Any other input: the login waits for a redirect.
    pub fn into_redirect(self) -> Result<Secret, Error> {
        match self {
            Self::Redirect(query) => Ok(query),
            Self::Answer(_) | Self::Poll => Err(Error::unsupported("this login waits for a redirect")),
        }
    }

    pub(crate) fn from_abi(input: abi::LoginInput) -> Result<Self, Error> {
        let text = || {
            Secret::from_utf8(input.data.to_vec())
                .ok_or_else(|| Error::invalid_response("the login input is not UTF-8 text"))
        };
        match input.kind {
            input::REDIRECT => Ok(Self::Redirect(text()?)),
            input::POLL => Ok(Self::Poll),
            input::ANSWER => Ok(Self::Answer(text()?)),
            kind => Err(Error::unsupported(format!("login input of kind {kind} is not known"))),
        }
    }
}

/// What to do next. `state` is what the plugin wants back; the host keeps it in memory only.
pub enum Step<R> {
    /// Open or print a URL and wait for the redirect.
    OpenUrl {
        /// The authorization URL.
        url: String,
        /// Wanted back with the redirect.
        state: Secret,
    },
    /// Show a code and poll.
    UserCode {
        /// Where to enter it.
        verification_uri: String,
        /// The same with the code filled in, if the server offers one.
        verification_uri_complete: Option<String>,
        /// The code.
        user_code: String,
        /// When to poll first.
        poll_after: Duration,
        /// When the code is void.
        expires_at: UnixMillis,
        /// Wanted back with the poll.
        state: Secret,
    },
    /// Ask the person.
    Ask {
        /// What for, in a few words.
        prompt: String,
        /// Whether to hide what is typed.
        secret: bool,
        /// Wanted back with the answer.
        state: Secret,
    },
    /// Poll again later.
    Wait {
        /// When.
        poll_after: Duration,
        /// Wanted back with the poll.
        state: Secret,
    },
    /// The login succeeded; nothing is stored until the host has probed the account.
    Done(R),
}

impl<R> Step<R> {
    pub(crate) fn into_abi(
        self,
        encode: impl FnOnce(&R) -> Result<(Vec<u8>, TokenSnapshot), Error>,
    ) -> Result<abi::Step, Error> {
        let mut out = abi::Step {
            kind: step::DONE,
            data: Default::default(),
            state: RVec::new(),
            poll_after_ms: 0,
            expires_at_unix_ms: 0,
            record: RVec::new(),
            view: ROption::RNone,
            ext: RVec::new(),
        };
        let keep = |state: Secret| RVec::from(state.expose().as_bytes());
        match self {
            Self::OpenUrl { url, state } => {
                out.kind = step::OPEN_URL;
                out.data = json!({ "url": url }).to_string().into();
                out.state = keep(state);
            }
            Self::UserCode {
                verification_uri,
                verification_uri_complete,
                user_code,
                poll_after,
                expires_at,
                state,
            } => {
                out.kind = step::USER_CODE;
                out.data = json!({
                    "verification_uri": verification_uri,
                    "verification_uri_complete": verification_uri_complete,
                    "user_code": user_code,
                })
                .to_string()
                .into();
                out.poll_after_ms = crate::time::millis(poll_after);
                out.expires_at_unix_ms = expires_at.0;
                out.state = keep(state);
            }
            Self::Ask { prompt, secret, state } => {
                out.kind = step::ASK;
                out.data = json!({ "prompt": prompt, "secret": secret }).to_string().into();
                out.state = keep(state);
            }
            Self::Wait { poll_after, state } => {
                out.kind = step::WAIT;
                out.poll_after_ms = crate::time::millis(poll_after);
                out.state = keep(state);
            }
            Self::Done(record) => {
                let (bytes, snapshot) = encode(&record)?;
                out.record = bytes.into();
                out.view = ROption::RSome(snapshot.into_abi());
            }
        }
        Ok(out)
    }
}
