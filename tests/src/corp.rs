//! A company, the scene of most stories: an OpenID provider, an API behind it, and a machine whose
//! connection `corp` knows both.

use std::time::Duration;

use serde_json::json;

use crate::home::Home;
use crate::http_client::Call;
use crate::login::{BrowserLogin, wait_for_state};
use crate::sandbox::{Endpoint, Fault, FaultRule, Sandbox, SandboxConfig, Settings};

pub struct Corp {
    pub sandbox: Sandbox,
    pub home: Home,
}

impl Corp {
    /// The company with a machine on which nobody has logged in.
    pub async fn new(settings: Settings) -> Self {
        Self::with_config(settings, |_| String::new()).await
    }

    /// The same with more in `config.toml`, made from the address of the API.
    pub async fn with_config(settings: Settings, more: impl FnOnce(&Sandbox) -> String) -> Self {
        let config = SandboxConfig { settings, ..SandboxConfig::default() };
        let sandbox = Sandbox::start(config).await.expect("loopback has free ports");
        let corp = connection("corp", sandbox.issuer(), sandbox.upstream(), "native");
        let home = Home::with_config(&format!("{corp}{}", more(&sandbox)));
        Self { sandbox, home }
    }

    /// Rotates refresh tokens, and revokes the grant whose spent one comes back.
    pub fn rotating() -> Settings {
        Settings {
            access_token_ttl: Duration::from_secs(3600),
            rotate: true,
            reuse_detection: true,
            ..Settings::default()
        }
    }

    /// Alice logs in.
    pub async fn login(&self) {
        self.login_with(&[]).await;
    }

    /// Alice logs in, with more on the command line.
    pub async fn login_with(&self, args: &[&str]) {
        let login = BrowserLogin::start(&self.home, &[&["corp"], args].concat()).await;
        let redirect = self.sandbox.approve(&login.url, "alice").await;
        let page = Call::get(redirect.as_str()).send().await;
        assert_eq!(page.status, 200, "{}", page.text());
        login.succeed().await;
    }

    /// Alice logs in while no host runs, and goes away until her token has expired.
    pub async fn login_and_let_expire(&self) {
        self.shorten("authorization_code", 1);
        self.login().await;
        self.wait_for_state("corp", "expired").await;
        self.sandbox.expire_access_tokens(None);
    }

    /// Lets the next answers to a grant type say that the token lives for a second.
    pub fn shorten(&self, grant_type: &str, times: u32) {
        let fields = json!({ "expires_in": 1 }).as_object().cloned().unwrap_or_default();
        self.sandbox.add_fault(FaultRule {
            endpoint: Endpoint::Token,
            times,
            grant_type: Some(grant_type.to_owned()),
            client: None,
            fault: Fault::Set { fields },
        });
    }

    /// Waits until `auth status` says so of a connection.
    pub async fn wait_for_state(&self, connection: &str, state: &str) {
        wait_for_state(&self.home, connection, state).await;
    }

    /// How many refreshes have arrived.
    pub fn refreshes(&self) -> u64 {
        self.sandbox.counts().refreshes()
    }
}

/// A connection of the service `svc`, whose secret is in the variable `SVC_SECRET`.
pub fn service(name: &str, issuer: &str, upstream: &str) -> String {
    format!(
        "[connections.{name}]\n\
         provider = \"oidc\"\n\
         issuer = \"{issuer}\"\n\
         client_id = \"svc\"\n\
         client_secret = {{ env = \"SVC_SECRET\" }}\n\
         flow = \"client-credentials\"\n\
         upstream = \"{upstream}\"\n\n"
    )
}

/// The secret of `svc`: every character that form-urlencoding changes.
pub const SVC_SECRET: &str = "svc:se+cr/et %";

/// The shortest OpenID connection of a person, with an upstream.
pub fn connection(name: &str, issuer: &str, upstream: &str, client_id: &str) -> String {
    format!(
        "[connections.{name}]\n\
         provider = \"oidc\"\n\
         issuer = \"{issuer}\"\n\
         client_id = \"{client_id}\"\n\
         scopes = [\"openid\", \"email\", \"offline_access\"]\n\
         upstream = \"{upstream}\"\n\n"
    )
}
