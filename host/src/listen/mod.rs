//! The listen stage: sockets, per-core workers, whose socket a peer's is, draining. Knows no provider.

mod accept;
mod bind;
mod doors;
mod inherited;
mod owner;
mod peer;
mod place;
mod unix;
mod work;

pub use bind::BindError;
pub(crate) use bind::open_tcp;
pub use doors::Doors;
pub use owner::Owner;
pub use place::{Address, ListenerSpec, ListenerUrl, Place, Terms};
pub(crate) use work::{Phase, work};
