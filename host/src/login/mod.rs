//! A login, from what a person asked for to the saved grant.

mod options;

pub use options::{LoginOptions, SecretSource};
