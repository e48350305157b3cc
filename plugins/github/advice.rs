//! What a person is told to do when something only they can give is missing.

use ccproxy_plugin_oauth::login_command;
use ccproxy_plugin_sdk::{Connection, Error};

use crate::routes::Site;
use crate::schemas::Settings;

/// No application of our own is shipped, so a first login needs one. This says all that the second
/// try needs.
pub(crate) fn no_client_id(connection: &Connection<Settings>, site: &Site) -> Error {
    let login = login(connection);
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
            login = login(connection)
        ),
    )
}

/// The command that logs this connection in, also before it exists.
fn login(connection: &Connection<Settings>) -> String {
    let settings = &connection.settings;
    let flags = [("client-id", &settings.client_id), ("host", &settings.host)];
    login_command("github", &connection.label(), flags)
}
