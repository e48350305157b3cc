//! HTTP/1.1 on bytes (RFC 9110, RFC 9112): strict by construction, because whatever two parsers read in two ways is
//! how a request is smuggled past one of them.
//!
//! In layers, each usable without the next: [`HeadEnd`] finds where a head ends, [`request`] and [`response`] read
//! it as views into the bytes, [`framing`] says how its body ends, [`Body`] follows the body piece by piece, [`mod@write`]
//! puts heads and chunks together, and [`Inbox`] and [`Outbox`] are the two directions of a socket. Nothing here knows a provider, a route or a
//! status of its own.

mod body;
mod bytes;
mod chunked;
mod field;
pub mod framing;
mod head;
mod head_end;
mod inbox;
mod known;
mod outbox;
pub mod write;

pub use body::{Body, Form, Piece};
pub use chunked::ChunkError;
pub use field::{Field, Fields, Lines, token_list};
pub use framing::{FramingError, RequestFraming, ResponseFraming};
pub use head::{HeadError, Limits, RequestHead, ResponseHead, Version, request, response, status};
pub use head_end::HeadEnd;
pub use inbox::{Buffers, Inbox};
pub use known::{Known, NameSet, same_name};
pub use outbox::Outbox;
