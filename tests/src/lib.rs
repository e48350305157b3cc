//! What the user stories in `it/` stand on.
//!
//! [`sandbox`] is an authorization server that speaks OpenID Connect and GitHub's dialect of OAuth, with
//! rotation, chosen lifetimes and scripted faults. [`upstream`] is the API behind the proxy: it records every
//! request and knows from the authorization server whether the token in it was good. Both run on loopback,
//! in the test process or as the program `ccproxy-sandbox`.

pub mod http_client;
mod params;
pub mod sandbox;
mod server;
mod time;
pub mod upstream;

pub use time::parse_duration;
