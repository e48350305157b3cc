//! The request path as a whole: decisions joined, workers started, listeners served.

mod decide;
mod start;

pub use crate::carrier::{BufferedReply, BufferedRequest, OwnPaths};
pub(crate) use crate::listen::open_tcp;
pub use crate::listen::{Address, BindError, Doors, ListenerSpec, ListenerUrl, Owner, Place, Terms};
pub use decide::{Decision, Own, RequestPlan, Rules, subject};
pub use start::{Proxy, ProxyConfig, Running, worker_count};

#[cfg(test)]
mod tests;
