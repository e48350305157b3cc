//! A login as the host sees it: what the plugin wants next, and what the host has for it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::fault::Fault;
use crate::model::UnixMillis;
use crate::secret::Secret;

use super::Flow;

/// What a login starts from.
#[derive(Clone)]
pub struct Request {
    /// Which way.
    pub flow: Flow,
    /// Where the browser comes back to; empty for flows without one.
    pub redirect_uri: String,
    /// The `state` parameter: 256 random bits, bound to this login.
    pub state: String,
    /// Scopes asked for on the command line; empty for those of the settings.
    pub scopes: Vec<String>,
    /// Ask again even where a session or consent exists.
    pub force: bool,
}

/// What the host has for a login under way.
#[derive(Clone)]
pub enum Input {
    /// The query of the redirect.
    Redirect(Secret),
    /// The wait is over.
    Poll,
    /// What the person typed.
    Answer(Secret),
}

/// What to do next. `state` is the plugin's own, opaque, kept in memory only.
pub enum Step<D> {
    /// Open or print a URL and wait for the redirect.
    OpenUrl {
        /// The authorization URL.
        url: String,
        /// Wanted back with the redirect.
        state: Secret,
    },
    /// Show a code and poll.
    UserCode {
        /// What to show.
        code: UserCode,
        /// When to poll first.
        poll_after: Duration,
        /// Wanted back with the poll.
        state: Secret,
    },
    /// Ask the person.
    Ask {
        /// What for.
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
    /// The login succeeded; nothing is stored yet.
    Done(D),
}

/// What a person needs for a device login (RFC 8628 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCode {
    /// Where to enter the code.
    pub verification_uri: String,
    /// The same with the code filled in.
    pub verification_uri_complete: Option<String>,
    /// The code.
    pub user_code: String,
    /// When it is void.
    pub expires_at: Option<UnixMillis>,
}

/// A boxed answer of the provider.
pub type Answer<'a, D> = Pin<Box<dyn Future<Output = Result<Step<D>, Fault>> + Send + 'a>>;

/// The provider's side of a login: a plugin, or a script in a test.
pub trait Steps: Send + Sync {
    /// What a finished login yields.
    type Done: Send;

    /// Starts.
    fn begin(&self, request: Request) -> Answer<'_, Self::Done>;

    /// Goes on. `state` is what the step before asked to get back.
    fn go_on(&self, state: Secret, input: Input) -> Answer<'_, Self::Done>;
}
