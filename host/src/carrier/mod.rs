//! The hyper carrier: moves heads and bodies as the plans say, HTTP/1.1 and HTTP/2 on either side.
//!
//! Everything here lives on one worker thread: pools, bodies and counters are not shared, so nothing
//! on the request path waits for another core.

mod body;
mod exchange;
pub(crate) mod head;
mod hearing;
mod observe;
mod own;
mod pool;
mod request_id;
mod send;
mod serve;
mod source;
mod tunnel;
mod unparsed;
mod worker;

pub use own::{BufferedReply, BufferedRequest, OwnPaths};
pub(crate) use serve::{ClientStream, serve};
pub(crate) use worker::{Shared, Worker};
