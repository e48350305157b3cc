//! Where a connection leads, and how it can log in.

use ccproxy_plugin_sdk::{Description, Error, Flow};

use crate::schemas::{self, Conn, Settings};

/// Describes a connection from its settings alone. Without `upstream` it has no route and only
/// yields tokens.
///
/// # Errors
/// `invalid_config` for settings that cannot work.
pub fn describe(connection: &Conn) -> Result<Description, Error> {
    schemas::check(connection)?;
    let settings = &connection.settings;
    Ok(Description {
        upstream: settings.upstream.clone(),
        flows: flows(settings),
        needs_login: !settings.is_client_credentials(),
        ..Description::default()
    })
}

/// Flows that these settings allow, that of the settings first. Whether a discovered server has a
/// device endpoint shows when it is tried.
fn flows(settings: &Settings) -> Vec<Flow> {
    let discovers = settings.issuer.is_some();
    let browser = discovers || settings.endpoints.authorization_endpoint.is_some();
    let device = discovers || settings.endpoints.device_authorization_endpoint.is_some();
    let mut flows = Vec::from_iter(settings.flow);
    for (flow, offered) in [
        (Flow::Browser, browser),
        (Flow::Device, device),
        (Flow::Paste, browser),
        (Flow::ClientCredentials, settings.client_secret.is_some()),
        (Flow::Token, true),
    ] {
        if offered && !flows.contains(&flow) {
            flows.push(flow);
        }
    }
    flows
}
