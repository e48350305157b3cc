//! The credential stage: which token, is it fresh enough.
//!
//! A request reads one [`Cell`] by one atomic load. Only when that has nothing usable does it ask
//! [`Acquire`], which runs off the request path, once for all who wait.

mod cell;
mod policy;

pub use cell::{Acquire, Cell, Prepared, Reason};
pub use policy::{Ahead, Policy};
