//! The carriers: move heads and bodies as the plans say. HTTP/1.1, on either side, is carried by `ccproxy-h1`, HTTP/2 by
//! hyper; any of the one meets any of the other.
//!
//! Everything here lives on one worker thread: pools, bodies and counters are not shared, so nothing
//! on the request path waits for another core.

mod alarm;
mod body;
mod call;
mod clock;
mod conn;
mod connection;
mod exchange;
mod frames;
pub(crate) mod head;
mod http1;
mod http2;
mod inflow;
mod leave;
mod observe;
mod own;
mod pool;
mod pour;
mod request_id;
mod send;
mod serve;
mod source;
mod stream;
mod tunnel;
mod wire;
mod worker;

pub(crate) use leave::{Leave, Welcome};
pub use own::{BufferedReply, BufferedRequest, OwnPaths};
pub(crate) use serve::serve;
pub(crate) use stream::ClientStream;
pub(crate) use worker::{Shared, Worker};
