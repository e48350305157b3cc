//! The listen stage: sockets, per-core workers, whose socket a peer's is, draining. Knows no provider.

mod bind;
mod owner;
mod peer;
mod work;

pub use bind::{BindError, ListenerSpec, ListenerUrl};
pub(crate) use bind::{Bound, bind};
pub use owner::Owner;
pub(crate) use work::{Phase, work};
