//! ccproxy: a reverse proxy that carries credentials, so that the tools behind it need none.
//!
//! Modules in the order a request meets them; `docs/architecture.md` tells the whole life of one.

pub mod access_log;
pub mod admin;
pub mod app;
mod carrier;
pub mod cli;
pub mod config;
pub mod credential;
pub mod digest;
pub mod fault;
pub mod guard;
mod hint;
pub mod hook;
pub mod keys;
mod listen;
pub mod login;
pub mod message;
pub mod meter;
pub mod model;
#[cfg(test)]
mod pipe;
pub mod plugin;
mod private_file;
pub mod proxy;
pub mod refusal;
pub mod respond;
pub mod route;
pub mod secret;
pub mod trial;
pub mod upstream;
pub mod vault;
pub mod watch;
