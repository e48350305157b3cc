//! The running host's own interface: the Unix socket that the command line talks to.
//!
//! Only this user reaches it: the socket is 0600 in a directory that is 0700, and each peer's uid is
//! compared. No answer holds a token.

mod api;
mod socket;

pub use api::{Answer, Control, Events, serve};
pub use socket::{AdminSocket, SocketError};
