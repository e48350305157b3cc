//! The configuration: layers of files, environment and flags, and what the host runs on.
//!
//! [`Config::load`] reads every source, checks each by itself against the schema, merges them and parses the
//! values once. Whatever is wrong is told together, with its place ([`ConfigError`]). Section 3 of the interface.

mod accept;
mod anchor;
mod annotated;
mod changes;
mod check;
mod diagnostic;
mod duration;
mod environment;
mod exposure;
mod foreign;
mod json_schema;
mod kind;
mod layers;
mod load;
mod named;
mod origin;
mod overlay;
mod paths;
mod plugin_schema;
mod resolve;
mod schema;
mod secret_ref;
mod secret_variables;
mod settings;
mod show;
mod store;
mod supported;
mod tree;
mod typed;
mod watched;

pub use annotated::write_annotated;
pub use changes::{Changes, Difference, few};
pub use diagnostic::{ConfigError, Diagnostic};
pub use duration::parse as parse_duration;
pub use environment::Env;
pub use json_schema::json_schema;
pub use load::{Config, Sources};
pub use named::{ConnectionConfig, Cookies, RouteConfig};
pub use origin::Origin;
pub use paths::Paths;
pub use secret_ref::{SecretRef, is_secret_name};
pub use settings::{Given, setting_of_text};
pub use show::{Schemas, Shown};
pub use store::StoredConnection;
pub use typed::{
    Access, Admin, Backend, InvalidListenAddress, ListenAddress, LogFormat, LogLevel, Logging, OutboundProxy,
    Plugins, Resolved, Server, Storage, Tls, Trust, Upstream,
};

#[cfg(test)]
mod tests;
