//! Failures a plugin reports: the taxonomy that the command line, replies and events share.

use std::fmt;
use std::time::Duration;

use ccproxy_plugin_abi::PluginError;
use ccproxy_plugin_abi::code::error;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:ident,)*) => {
        /// Which kind of failure; each says what the host does next.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[$doc])* $variant,)* }

        impl ErrorCode {
            pub(crate) fn number(self) -> u32 {
                match self { $(Self::$variant => error::$number,)* }
            }

            pub(crate) fn from_number(number: u32) -> Self {
                match number { $(error::$number => Self::$variant,)* _ => Self::Internal }
            }
        }
    };
}

codes! {
    /// A bug. The host logs it and answers 500.
    Internal = INTERNAL,
    /// Settings that cannot work. The host names the key and exits with 2.
    InvalidConfig = INVALID_CONFIG,
    /// Nobody has logged in yet. The host says how.
    NotLoggedIn = NOT_LOGGED_IN,
    /// The grant is dead. The host stops asking until somebody logs in.
    ReauthRequired = REAUTH_REQUIRED,
    /// Consent is missing. As above.
    ConsentRequired = CONSENT_REQUIRED,
    /// The provider refused the client secret, key or code.
    CredentialsRejected = CREDENTIALS_REJECTED,
    /// The person or the provider said no.
    AccessDenied = ACCESS_DENIED,
    /// Expired, and nothing to refresh it with.
    TokenExpired = TOKEN_EXPIRED,
    /// Slow down. The host waits for `retry_after`.
    RateLimited = RATE_LIMITED,
    /// Not now. The host backs off and serves a live token meanwhile.
    ProviderUnavailable = PROVIDER_UNAVAILABLE,
    /// Unreachable. As above.
    Network = NETWORK,
    /// No answer in time. As above.
    Timeout = TIMEOUT,
    /// An answer that makes no sense, or lies.
    InvalidResponse = INVALID_RESPONSE,
    /// The store failed.
    Storage = STORAGE,
    /// Not offered by this provider.
    Unsupported = UNSUPPORTED,
    /// The plugin panicked or stalled.
    PluginFailed = PLUGIN_FAILED,
    /// A person stopped it.
    Cancelled = CANCELLED,
}

/// A failure with its code. The message is lower case, has no period, names the thing, and holds
/// no secret; the hint says what to type or change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which kind.
    pub code: ErrorCode,
    /// What happened.
    pub message: String,
    /// The cure, if known.
    pub hint: Option<String>,
    /// When the other side said to come back.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// A failure without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, retry_after: None }
    }

    /// Settings that cannot work.
    pub fn invalid_config(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidConfig, message)
    }

    /// Nobody has logged in yet.
    pub fn not_logged_in() -> Self {
        Self::new(ErrorCode::NotLoggedIn, "not logged in")
    }

    /// This provider does not do that.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unsupported, message)
    }

    /// An answer that makes no sense.
    pub fn invalid_response(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidResponse, message)
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with the time to wait.
    #[must_use]
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<PluginError> for Error {
    fn from(error: PluginError) -> Self {
        Self {
            code: ErrorCode::from_number(error.code),
            message: error.message.into(),
            hint: (!error.hint.is_empty()).then(|| error.hint.into()),
            retry_after: (error.retry_after_ms > 0).then(|| Duration::from_millis(error.retry_after_ms)),
        }
    }
}

impl From<Error> for PluginError {
    fn from(error: Error) -> Self {
        Self {
            code: error.code.number(),
            message: error.message.into(),
            hint: error.hint.unwrap_or_default().into(),
            retry_after_ms: error.retry_after.map_or(0, crate::time::millis),
            detail: Default::default(),
        }
    }
}
