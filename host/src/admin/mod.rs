//! The running host's own interface: what the command line, scripts and monitoring talk to.
//!
//! One table (`routes`) says which paths there are and what answers each; it is what requests are
//! matched with and what the OpenAPI document is made from. Over the Unix socket only this user gets
//! in: it is 0600 in a directory that is 0700, and each peer's uid is compared. Over TCP (`port`,
//! `entrance`) a key or a session is asked for. No answer holds a token, but
//! that of the one operation which is there to hand it out, off unless configured.

mod control;
mod entrance;
mod exposition;
mod handlers;
mod openapi;
mod port;
mod reply;
mod request;
mod routes;
mod serve;
mod sessions;
mod socket;
mod throttle;

pub use control::{Answer, Check, Control, Events, Settings};
pub use entrance::Entrance;
pub use exposition::{Exposition, Label, Metric};
pub use port::serve_port;
pub use serve::serve;
pub use socket::{AdminSocket, SocketError};
