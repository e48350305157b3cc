//! What a person is told to do when something only they can give is missing.

use ccproxy_plugin_sdk::{Connection, Error};

use crate::routes::Site;
use crate::schemas::Settings;

/// No application of our own is shipped, so a first login needs one. This says all that the second
/// try needs.
pub(crate) fn no_client_id(connection: &Connection<Settings>, site: &Site) -> Error {
    let login = login_command(&connection.label(), &connection.settings);
    Error::invalid_config("setting `client_id` is missing: a login needs an OAuth app or GitHub App of yours")
        .with_hint(format!(
            "1. register an app at {registration}\n   \
               homepage URL: anything; authorization callback URL: http://127.0.0.1/callback\n   \
               tick \"Enable Device Flow\"\n\
             2. {login} --client-id ID\n   \
               the device flow needs no client secret; the browser flow does: add --prompt-secret\n\
             or without an app, with a personal access token from {tokens}:\n   \
               {login} --with-token",
            registration = site.registration(),
            tokens = site.personal_tokens(),
        ))
}

/// GitHub wants the secret for a code even when the code is bound by PKCE.
pub(crate) fn no_client_secret(connection: &Connection<Settings>) -> Error {
    Error::invalid_config("setting `client_secret` is missing: GitHub's browser flow needs it").with_hint(
        format!(
            "the device flow needs none: {login} --flow device\n\
         or give the secret: {login} --prompt-secret",
            login = login_command(&connection.label(), &connection.settings)
        ),
    )
}

/// The command that logs this connection in, also before it exists: a failed login stores nothing,
/// so what was said the first time must be said again.
fn login_command(label: &str, settings: &Settings) -> String {
    let mut command = "ccproxy auth login github".to_owned();
    if label != "github" {
        command.push_str(&format!(" --connection {label}"));
    }
    for (flag, value) in [("client-id", &settings.client_id), ("host", &settings.host)] {
        if let Some(value) = value {
            command.push_str(&format!(" --{flag} {value}"));
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccproxy_plugin_sdk::serde_json::{from_value, json};
    use pretty_assertions::assert_eq;

    #[test]
    fn the_command_says_again_what_was_said_and_no_more() {
        let command = |label, settings| login_command(label, &from_value(settings).unwrap());
        assert_eq!(command("github", json!({})), "ccproxy auth login github");
        assert_eq!(
            command("acme/work", json!({ "host": "ghe.example.com", "client_id": "Iv1.x" })),
            "ccproxy auth login github --connection acme/work --client-id Iv1.x --host ghe.example.com"
        );
    }
}
