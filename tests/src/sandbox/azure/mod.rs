//! Entra's dialect, below `/azure/{tenant}/`: errors with an AADSTS line and `suberror`, lifetimes as texts, an
//! issuer that names the account's own tenant, a device flow with words of its own, one refresh token for every
//! resource and one resource a request. No discovery, no revocation.

mod device;
mod directory;
mod login;
mod problem;
mod scope;
mod token;

use http::Method;

use super::authority::State;
use super::device::page as device_page;
use super::discovery;
use super::endpoint::{Context, Endpoint};
use super::reply::Reply;

/// What a path below `/azure/` is for.
pub(crate) fn endpoint(method: &Method, path: &str) -> Option<Endpoint> {
    let below = path.strip_prefix("/azure/")?;
    if below == "devicelogin" {
        return match method.as_str() {
            "GET" => Some(Endpoint::AzureDevicePage),
            "POST" => Some(Endpoint::DeviceDecision),
            _ => None,
        };
    }
    let (_, place) = below.split_once('/')?;
    match (method.as_str(), place) {
        ("GET", "oauth2/v2.0/authorize") => Some(Endpoint::AzureAuthorize),
        ("POST", "oauth2/v2.0/token") => Some(Endpoint::AzureToken),
        ("POST", "oauth2/v2.0/devicecode") => Some(Endpoint::AzureDeviceCode),
        ("GET", "discovery/v2.0/keys") => Some(Endpoint::AzureKeys),
        ("GET", "adminconsent" | "v2.0/adminconsent") => Some(Endpoint::AzureAdminConsent),
        _ => None,
    }
}

pub(crate) fn answer(endpoint: Endpoint, state: &mut State, context: Context<'_>) -> Reply {
    match endpoint {
        Endpoint::AzureAuthorize => login::authorize(state, context),
        Endpoint::AzureAdminConsent => login::admin_consent(state, &context),
        Endpoint::AzureDeviceCode => device::begin(state, &context),
        Endpoint::AzureDevicePage => device_page(context.call, "/azure/devicelogin"),
        Endpoint::AzureKeys => discovery::jwks(state),
        _ => token::token(state, context),
    }
}

/// The tenant as the path of a request names it.
fn named<'a>(context: &Context<'a>) -> &'a str {
    let below = context.call.path.strip_prefix("/azure/").unwrap_or_default();
    below.split('/').next().unwrap_or_default()
}
