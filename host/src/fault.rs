//! The one taxonomy of failures: command line, HTTP replies, hooks and the plugin ABI share it.
//!
//! `respond/` maps a code to an HTTP status, [`Code::exit`] to an exit code, `plugin/` to and from
//! the numbers that cross the plugin boundary. Nothing else decides such a thing.

use std::fmt;
use std::time::Duration;

/// What went wrong, as scripts and programs see it. Section 7 of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Settings or configuration that cannot work.
    InvalidConfig,
    /// Nobody has logged in yet.
    NotLoggedIn,
    /// The grant is gone; a person must log in again.
    ReauthRequired,
    /// The person or an administrator has to agree first.
    ConsentRequired,
    /// The provider refused what we presented (client secret, key, code).
    CredentialsRejected,
    /// The person or the provider said no.
    AccessDenied,
    /// Expired, and nothing is there to refresh it with.
    TokenExpired,
    /// The provider asks us to slow down.
    RateLimited,
    /// The provider answers, but not now.
    ProviderUnavailable,
    /// The provider cannot be reached.
    Network,
    /// The provider did not answer in time.
    Timeout,
    /// The provider's answer makes no sense, or lies.
    InvalidResponse,
    /// The store cannot be read or written.
    Storage,
    /// Not built, or not offered by this provider.
    Unsupported,
    /// The plugin broke: panic, stall, nonsense.
    PluginFailed,
    /// No loaded plugin has this provider.
    PluginMissing,
    /// A person stopped it.
    Cancelled,
    /// A bug of ours.
    Internal,
}

impl Code {
    /// All codes, in the order of the interface's table.
    pub const ALL: [Self; 18] = [
        Self::InvalidConfig,
        Self::NotLoggedIn,
        Self::ReauthRequired,
        Self::ConsentRequired,
        Self::CredentialsRejected,
        Self::AccessDenied,
        Self::TokenExpired,
        Self::RateLimited,
        Self::ProviderUnavailable,
        Self::Network,
        Self::Timeout,
        Self::InvalidResponse,
        Self::Storage,
        Self::Unsupported,
        Self::PluginFailed,
        Self::PluginMissing,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The code as written in JSON, replies and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidConfig => "invalid_config",
            Self::NotLoggedIn => "not_logged_in",
            Self::ReauthRequired => "reauth_required",
            Self::ConsentRequired => "consent_required",
            Self::CredentialsRejected => "credentials_rejected",
            Self::AccessDenied => "access_denied",
            Self::TokenExpired => "token_expired",
            Self::RateLimited => "rate_limited",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::InvalidResponse => "invalid_response",
            Self::Storage => "storage",
            Self::Unsupported => "unsupported",
            Self::PluginFailed => "plugin_failed",
            Self::PluginMissing => "plugin_missing",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// The code of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The process exit code. Section 7 of the interface.
    pub fn exit(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::InvalidConfig | Self::Unsupported => 2,
            Self::NotLoggedIn
            | Self::ReauthRequired
            | Self::ConsentRequired
            | Self::CredentialsRejected
            | Self::AccessDenied
            | Self::TokenExpired => 4,
            Self::RateLimited
            | Self::ProviderUnavailable
            | Self::Network
            | Self::Timeout
            | Self::InvalidResponse => 5,
            Self::PluginFailed | Self::PluginMissing => 6,
            Self::Storage => 7,
            Self::Cancelled => 130,
        }
    }

    /// Whether trying again later may help without a person doing anything.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::RateLimited | Self::ProviderUnavailable | Self::Network | Self::Timeout)
    }

    /// Whether the grant is known to be dead: only a login brings it back.
    pub fn needs_login(self) -> bool {
        matches!(
            self,
            Self::NotLoggedIn
                | Self::ReauthRequired
                | Self::ConsentRequired
                | Self::AccessDenied
                | Self::TokenExpired
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure with its code. Cloneable: one failed refresh is every waiting request's answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Which kind.
    pub code: Code,
    /// What happened, naming the thing; lower case, no period, nothing secret.
    pub message: String,
    /// What to type or change, if known.
    pub hint: Option<String>,
    /// When the other side said to come back.
    pub retry_after: Option<Duration>,
    /// What people see instead of message and hint where those would lose the excerpt of a file.
    pub transcript: Option<String>,
}

impl Fault {
    /// A failure without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, retry_after: None, transcript: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with the time to wait.
    #[must_use]
    pub fn retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
