//! Logging in: which flow and why, the loopback redirect, waiting and polling.
//!
//! The provider's plugin decides each next step; this room shows it and does the waiting, so the
//! same plugin serves a terminal, a page and an API. What a login yields is stored by `app`, after
//! the account was probed.

mod callback;
mod driver;
mod flow;
mod options;
pub mod page;
mod redirect;
pub mod step;
mod target;

pub use callback::{CALLBACK_PATH, Callbacks, Visit};
pub use driver::{Finished, LoginError, Notice, Person, ReturnTo, Terms, drive, show};
pub use flow::{Choice, Flow, NoFlow, Situation, choose};
pub use options::{LoginOptions, SecretSource};
pub use redirect::RedirectError;
pub use target::{Known, Target, TargetError, nearest, resolve};
