//! The running host's own interface: what the command line, scripts and monitoring talk to.
//!
//! One table (`routes`) says which paths there are and what answers each; it is what requests are
//! matched with and what the OpenAPI document is made from. Over the Unix socket only this user gets
//! in: it is 0600 in a directory that is 0700, and each peer's uid is compared. No answer holds a token, but
//! that of the one operation which is there to hand it out, off unless configured.

mod control;
mod exposition;
mod handlers;
mod openapi;
mod reply;
mod request;
mod routes;
mod serve;
mod socket;

pub use control::{Answer, Check, Control, Events, Settings};
pub use exposition::{Exposition, Label, Metric};
pub use serve::serve;
pub use socket::{AdminSocket, SocketError};
