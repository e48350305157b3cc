//! GitHub's dialect: a form unless JSON is accepted, errors with status 200, scopes with commas, credentials
//! only in the body, no discovery and no ID token. OAuth apps get tokens for ever, GitHub Apps expiring ones
//! whose refresh is single use and kills the access token before it at once.

mod api;
mod apps;
mod login;

pub(crate) use api::{emails, repos, user};
pub(crate) use login::{access_token, authorize, device_code};
