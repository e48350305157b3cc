//! OAuth 2.0 and OpenID Connect for ccproxy plugins: every grant once, so that a provider brings its
//! quirks and nothing else.
//!
//! - [`AuthorizationServer`]: endpoints, from [`Discovery`], from [`EndpointSettings`], or built in.
//! - [`OAuthClient`]: who we are there; begins and resumes logins, refreshes, revokes.
//! - [`OAuthRecord`]: what a login leaves behind.
//! - [`Acquire`]: from a record to a credential; [`log_out`]: the way back.
//! - [`id_token`] and [`account`]: whose grant it is.
//!
//! Requests go through the HTTP client that the host lends: there is no client, no TLS and no
//! runtime in here. The `oauth2` crate builds ordinary requests and reads canonical answers; an
//! adapter of ours makes them canonical, because servers answer in many ways and mean few things.

#![warn(missing_docs)]

pub mod account;
mod acquire;
mod advice;
mod answer;
mod client;
mod device;
mod discovery;
mod endpoint;
mod exchange;
mod grants;
pub mod id_token;
mod keys;
mod login;
mod logout;
mod pkce;
mod record;
mod redirect;
mod refusal;
mod retry_after;
mod server;
mod text;

pub use acquire::{Acquire, Injection, ask_to_log_in};
pub use advice::{entered_token, login_command};
pub use client::{ClientAuth, OAuthClient};
pub use discovery::Discovery;
pub use endpoint::{BadUrl, Endpoint};
pub use grants::{TokenRequest, TokenSet};
pub use keys::KeyCache;
pub use login::{AuthorizationRequest, LoginTokens, Progress, check_extra_parameters};
pub use logout::log_out;
pub use pkce::Pkce;
pub use record::{DEFAULT_TOKEN, GrantType, OAuthRecord, StoredAccessToken};
pub use refusal::{Refusal, RefusalMapper};
pub use server::{AuthorizationServer, EndpointSettings};
pub use text::line as shown_line;
