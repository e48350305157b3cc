//! Write a provider plugin for ccproxy.
//!
//! A provider says what it is ([`Manifest`]), how to log in ([`Provider::login_begin`]), what it
//! stores ([`JsonTokenStorage`]) and how a stored grant becomes a credential ([`TokenManager`]).
//! Everything else is the host's: the browser, the loopback listener, timers, locks, files, TLS,
//! HTTP. `docs/plugin-authors.md` walks through a real one; this is a whole one:
//!
//! ```
#![doc = include_str!("../examples/hello.rs")]
//! ```

#![warn(missing_docs)]

mod connection;
mod error;
#[doc(hidden)]
pub mod export;
mod glue;
mod guard;
mod host;
mod http;
mod logfwd;
mod login;
mod manager;
mod manifest;
mod provider;
mod secret;
mod signature;
mod storage;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

pub use connection::Connection;
pub use error::{Error, ErrorCode};
pub use host::Host;
pub use http::{Purpose, Request, Response};
pub use login::{Flow, LoginInput, LoginRequest, Step};
pub use manager::{
    Account, Credential, Reason, Revocation, Target, TokenManager, TokenSnapshot, TokenView, Want,
};
pub use manifest::{HandledPath, Manifest};
pub use provider::{CommandOutput, Description, Provider, RecordOf};
pub use secret::{Secret, SecretRef, stored, stored_option};
pub use signature::PublicKey;
pub use storage::{Grant, JsonTokenStorage, StoredToken};
pub use time::UnixMillis;

pub use schemars;
pub use serde;
pub use serde_json;
pub use tracing;

/// What calls of a plugin return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The first 8 hex digits of SHA-256: enough to tell two tokens apart, useless to anybody else.
pub fn fingerprint(secret: &Secret) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(secret.expose().as_bytes())
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
