//! How a request came in: through which listener, from whom.

use std::net::SocketAddr;

use crate::model::Name;

/// What the listener found out about a peer, once per connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The peer's socket belongs to our user.
    SameUser,
    /// Another user's, or it cannot be told whose: a key is needed.
    Stranger,
}

/// The end of a connection that is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// The address it was accepted on; its port is part of our authority.
    Tcp(SocketAddr),
    /// A Unix socket: it has no port, and no web page can reach it.
    Unix,
}

/// The way in of every request on one connection.
#[derive(Clone, Debug)]
pub struct Via {
    /// Where it was accepted.
    pub local: Local,
    /// The route that has this listener to itself, mounted at `/`.
    pub dedicated: Option<Name>,
    /// Whether HTTP/2 in the clear is welcome here, even where it is not elsewhere.
    pub http2: bool,
    /// Whether other machines reach this listener.
    pub exposed: bool,
    /// Whether the peer enters without a key.
    pub entry: Entry,
}
