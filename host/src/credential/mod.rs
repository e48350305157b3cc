//! The credential stage: which token, is it fresh enough.
//!
//! A request reads one [`Cell`] by one atomic load. Only when that has nothing usable does it ask
//! [`Acquire`], which runs off the request path, once for all who wait. [`Credentials`] is that: the
//! book (`book`) decides, a flight (`flight`) makes the call under the lock of the grant, the timer
//! (`timer`) does what no request asks for, and the standing (`standing`) is what is written down.

mod backoff;
mod book;
mod cell;
mod flight;
mod issuer;
mod keeper;
mod landing;
mod policy;
mod revealed;
mod schedule;
mod standing;
mod timer;

pub use book::Turnover;
pub use cell::{Acquire, Cell, Prepared, Reason};
pub use flight::ended;
pub use issuer::{Issuer, Providers, Want};
pub use keeper::{Clock, Credentials, Live, SystemClock};
pub use policy::{Ahead, Policy};
pub use revealed::{revealed, token};
pub use standing::step;

#[cfg(test)]
mod tests;
