//! Numbers that cross the boundary. An unknown number is read as the documented fallback.

/// Failure codes of [`PluginError`](crate::PluginError); an unknown one means [`INTERNAL`](error::INTERNAL).
pub mod error {
    /// A bug: in the plugin, or in the host.
    pub const INTERNAL: u32 = 1;
    /// Settings that cannot work.
    pub const INVALID_CONFIG: u32 = 2;
    /// Nobody has logged in yet.
    pub const NOT_LOGGED_IN: u32 = 3;
    /// The grant is gone; a person must log in again.
    pub const REAUTH_REQUIRED: u32 = 4;
    /// A person or administrator has to agree first.
    pub const CONSENT_REQUIRED: u32 = 5;
    /// The provider refused what was presented.
    pub const CREDENTIALS_REJECTED: u32 = 6;
    /// The person or the provider said no.
    pub const ACCESS_DENIED: u32 = 7;
    /// Expired, and nothing to refresh it with.
    pub const TOKEN_EXPIRED: u32 = 8;
    /// The provider asks to slow down.
    pub const RATE_LIMITED: u32 = 9;
    /// The provider answers, but not now.
    pub const PROVIDER_UNAVAILABLE: u32 = 10;
    /// The provider cannot be reached.
    pub const NETWORK: u32 = 11;
    /// The provider did not answer in time.
    pub const TIMEOUT: u32 = 12;
    /// The provider's answer makes no sense, or lies.
    pub const INVALID_RESPONSE: u32 = 13;
    /// The store cannot be read or written.
    pub const STORAGE: u32 = 14;
    /// Not offered.
    pub const UNSUPPORTED: u32 = 15;
    /// The plugin panicked or stalled; set by the guard and the cell.
    pub const PLUGIN_FAILED: u32 = 16;
    /// A person stopped it.
    pub const CANCELLED: u32 = 17;
}

/// Kinds of login [`Step`](crate::Step); an unknown one ends the login as unsupported.
pub mod step {
    /// `data`: `{"url"}`. The host opens or prints it and waits for the redirect.
    pub const OPEN_URL: u32 = 1;
    /// `data`: `{"verification_uri","verification_uri_complete","user_code"}`. The host shows it
    /// and continues with [`POLL`](super::input::POLL) after `poll_after_ms`.
    pub const USER_CODE: u32 = 2;
    /// `data`: `{"name","prompt","secret"}`. The host asks and continues with the answer.
    pub const ASK: u32 = 3;
    /// Nothing new: continue with a poll after `poll_after_ms`.
    pub const WAIT: u32 = 4;
    /// The login succeeded: `record` is what to store.
    pub const DONE: u32 = 5;
}

/// Kinds of [`LoginInput`](crate::LoginInput).
pub mod input {
    /// `data` is the query of the redirect (`code=...&state=...`), as received or pasted.
    pub const REDIRECT: u32 = 1;
    /// The wait is over.
    pub const POLL: u32 = 2;
    /// `data` is what the person typed.
    pub const ANSWER: u32 = 3;
}

/// Log levels of [`LogRecord`](crate::LogRecord).
pub mod level {
    /// Something is broken.
    pub const ERROR: u8 = 1;
    /// Something may break.
    pub const WARN: u8 = 2;
    /// A change of state.
    pub const INFO: u8 = 3;
    /// A decision with its reason.
    pub const DEBUG: u8 = 4;
    /// Everything.
    pub const TRACE: u8 = 5;
}
