//! What the user stories in `it/` stand on.
//!
//! [`sandbox`] is an authorization server that speaks OpenID Connect and the dialects of GitHub and Google, with
//! rotation, chosen lifetimes and scripted faults. [`upstream`] is the API behind the proxy: it records every
//! request and knows from the authorization server whether the token in it was good. Both run on loopback,
//! in the test process or as the program `ccproxy-sandbox`.
//!
//! [`home`] is a machine of one's own, [`program`] runs `ccproxy` on it. The programs of others are
//! [`oidc_provider`], [`browser`] and [`clients`]; `scripts/test-deps` installs them. [`corp`] is the scene of
//! most stories, [`login`] and [`crowd`] are who acts in it, and [`strace`] sees what nobody can see. [`keyed`],
//! [`octo`], [`goog`] and [`contoso`] are the scenes of real clients and single providers, [`author`] writes a
//! plugin.

pub mod api;
pub mod author;
pub mod bridge;
pub mod browser;
pub mod clients;
pub mod contoso;
pub mod corp;
pub mod crowd;
pub mod goog;
pub mod home;
pub mod http_client;
pub mod keyed;
pub mod login;
pub mod octo;
pub mod oidc_provider;
mod params;
pub mod parts;
pub mod program;
pub mod sandbox;
mod server;
pub mod strace;
mod time;
pub mod upstream;

pub use time::parse_duration;
