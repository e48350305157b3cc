//! Google's dialect: a refresh token only with `access_type=offline` and, after the first consent, only with
//! `prompt=consent`; the client secret from everybody, in the body; pending with 428; `verification_url`; the
//! code of a quota in `error_code`; scopes in an order of its own and written in full; revocation that says
//! when a token is gone already. ID tokens are issued by the base that all its endpoints are below.

mod apps;
mod login;
mod people;
mod tokens;

pub(crate) use login::{authorize, device_code, token};
pub(crate) use tokens::{revoke, userinfo};

/// The path below which it lives.
pub(crate) const BASE: &str = "/google";
