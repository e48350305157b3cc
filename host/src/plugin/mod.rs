//! Plugins: found, trusted, loaded, and called, each behind its own cell.
//!
//! The only room that sees the types of the plugin ABI, and `loader` is the only unsafe code of the
//! host. What a plugin is lent is in `services`; what others call is [`Plugin`], which speaks the
//! host's types, and [`Registry`], which knows them all. One broken plugin is one missing provider.

mod answers;
mod budget;
mod cell;
mod codes;
mod credential;
mod discover;
mod exchange;
mod grant;
mod health;
mod hosts;
mod image;
mod images;
mod issuer;
mod layout;
mod lending;
mod listen;
mod listing;
mod loader;
mod log;
mod manifest;
mod outbound;
mod paths;
mod provider;
mod refusal;
mod registry;
mod report;
mod rescan;
mod safety;
mod said;
mod services;
mod signature;
mod start;
mod steps;
mod trust;
mod watch;

pub use ccproxy_plugin_abi::ABI_VERSION;

pub use answers::{Answer, CommandOutput, Description, Message, Revocation, Route};

pub use health::{Condition, Limits, Trouble};
pub use images::Images;
pub use listing::{Entry, PluginState};
pub use manifest::{HandledPath, Manifest};
pub use outbound::{Outbound, Outlets};
pub use provider::{Deadlines, LoginSteps, Plugin};
pub use refusal::Refusal;
pub use registry::{Registry, RegistryConfig};
pub use rescan::Changed;
pub use safety::check_directory as check_place;
pub use services::{Authenticated, Connections, Secrets, Services};
pub use steps::NewGrant;
pub use trust::{Pin, Trust};
pub use watch::PluginWatch;

#[cfg(test)]
mod tests;
