//! Local keys: how a tool gets in where its socket does not say that it is ours.
//!
//! A key is 256 random bits, shown once, when it is made. What is kept is its SHA-256 (`file`), in the
//! state directory; requests read a snapshot of the list (`ring`), which follows the file.

mod file;
mod key;
mod ring;

pub use file::KeyFile;
pub use key::{LocalKey, NewKey, looks_like_key};
pub use ring::{KeyRing, Keys};

#[cfg(test)]
mod tests;
