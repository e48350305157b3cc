//! The upstream stage: the only room that opens an upstream connection.
//!
//! Where a credential may go is a value of type [`Base`]: one scheme, host and port, from
//! configuration only. Nothing a client sends becomes part of it.

mod base;
pub mod connect;
mod origin;
mod outgoing;

pub use base::Base;
pub use origin::{InvalidOrigin, Origin, Scheme};
pub use outgoing::{Outgoing, outgoing};
