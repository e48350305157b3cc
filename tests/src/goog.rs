//! A Google, and a machine whose connection `google` leads there and to the recording upstream.

use std::time::Duration;

use serde_json::Value;

use crate::home::Home;
use crate::http_client::Call;
use crate::login::{self, BrowserLogin};
use crate::program::Finished;
use crate::sandbox::{Change, Endpoint, Entry, Sandbox};

/// The OAuth client of type "Desktop app", and its secret.
pub const DESKTOP: (&str, &str) = ("desktop.apps.test", "GOCSPX-desktop");
/// That of type "TVs and Limited Input devices".
pub const TV: (&str, &str) = ("tv.apps.test", "GOCSPX-tv");
/// That of the Workspace corp.test, for its own accounts.
pub const INTERNAL: (&str, &str) = ("internal.apps.test", "GOCSPX-internal");

pub struct Goog {
    pub sandbox: Sandbox,
    pub home: Home,
}

impl Goog {
    /// With a client in `config.toml`, and more settings of the connection.
    pub async fn new((client_id, secret): (&str, &str), settings: &str) -> Self {
        let sandbox = Sandbox::start_default().await.expect("loopback has free ports");
        // Google asks for 5 s between polls, and its tokens live for an hour.
        sandbox.change_settings(Change {
            device_interval: Some(Duration::from_secs(1)),
            access_token_ttl: Some(Duration::from_secs(3599)),
            ..Change::default()
        });
        let mut home = Home::with_config(&format!(
            "[connections.google]\nprovider = \"google\"\nclient_id = \"{client_id}\"\n\
             client_secret = {{ env = \"GOOGLE_CLIENT_SECRET\" }}\n\
             authority = \"{}\"\nupstream = \"{}\"\n{settings}\n",
            sandbox.google(),
            sandbox.upstream(),
        ));
        home.set_env("GOOGLE_CLIENT_SECRET", secret);
        Self { sandbox, home }
    }

    /// A browser login with more on the command line, in which this account is chosen.
    pub async fn browser_login_with(&self, args: &[&str], user: &str) -> Finished {
        let login = BrowserLogin::start(&self.home, &[&["google"], args].concat()).await;
        let back = self.sandbox.approve(&login.url, user).await;
        Call::get(back.as_str()).send().await;
        login.finish().await
    }

    /// A browser login in which this account is chosen.
    pub async fn browser_login(&self, user: &str) -> Finished {
        self.browser_login_with(&[], user).await
    }

    /// What `ccproxy auth status --json` says of it.
    pub async fn status(&self) -> Value {
        login::status(&self.home, "google").await
    }

    /// What arrived at an endpoint.
    pub fn seen(&self, endpoint: Endpoint) -> Vec<Entry> {
        self.sandbox.log().into_iter().filter(|entry| entry.endpoint == endpoint).collect()
    }
}
