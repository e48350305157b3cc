//! Contoso, a tenant of Entra with alice in it, and a machine whose connection `azure` leads there.

use std::time::Duration;

use crate::home::Home;
use crate::http_client::Call;
use crate::login::BrowserLogin;
use crate::program::Finished;
use crate::sandbox::{Change, Sandbox, SandboxConfig, Settings};

pub struct Contoso {
    pub sandbox: Sandbox,
    pub home: Home,
}

/// The secret of the app `az-confidential`: every character that form-urlencoding changes.
pub const AZURE_SECRET: &str = "az:se+cr/et &= %";

/// Resources of the tenant, by the route that leads to each.
pub const RESOURCES: [(&str, &str); 3] = [
    ("graph", "https://graph.microsoft.com"),
    ("arm", "https://management.azure.com"),
    ("dataverse", "https://contoso.crm4.dynamics.com"),
];

impl Contoso {
    /// With the public app in `config.toml`, and more settings of the connection.
    pub async fn new(settings: &str) -> Self {
        let contoso = Self::fresh_machine().await;
        contoso.configure(&format!("client_id = \"az-public\"\n{settings}"), "");
        contoso
    }

    /// With the app that has a secret, in this variable of the environment.
    pub async fn confidential(secret: &str, settings: &str) -> Self {
        let mut contoso = Self::fresh_machine().await;
        contoso.home.set_env("AZURE_CLIENT_SECRET", secret);
        let app = "client_id = \"az-confidential\"\nclient_secret = { env = \"AZURE_CLIENT_SECRET\" }\n";
        contoso.configure(&format!("{app}{settings}"), "");
        contoso
    }

    /// Without any configuration.
    pub async fn fresh_machine() -> Self {
        let settings = Settings { device_interval: Duration::from_secs(1), ..Settings::default() };
        let config = SandboxConfig { settings, ..SandboxConfig::default() };
        let sandbox = Sandbox::start(config).await.expect("loopback has free ports");
        Self { sandbox, home: Home::new() }
    }

    /// Writes `config.toml`: the connection, with more settings, and what else there is to be.
    pub fn configure(&self, settings: &str, more: &str) {
        self.home.write_config(&format!(
            "[connections.azure]\nprovider = \"azure\"\nauthority = \"{}\"\nupstream = \"{}\"\n\
             {settings}\n{more}",
            self.sandbox.azure(),
            self.sandbox.upstream(),
        ));
    }

    /// The scopes of Graph, and a route to every resource.
    pub fn configure_routes(&self) {
        let route = |(name, resource): (&str, &str)| {
            format!(
                "[routes.{name}]\nconnection = \"azure\"\nupstream = \"{}\"\nscopes = [\"{resource}/.default\"]\n",
                self.sandbox.upstream()
            )
        };
        self.configure(
            "client_id = \"az-public\"\nscopes = [\"https://graph.microsoft.com/.default\"]",
            &RESOURCES.map(route).concat(),
        );
    }

    /// Somebody logs in by the browser flow.
    pub async fn login(&self, user: &str, args: &[&str]) -> Finished {
        let login = BrowserLogin::start(&self.home, &[&["azure"], args].concat()).await;
        let back = self.sandbox.approve(&login.url, user).await;
        Call::get(back.as_str()).send().await;
        login.finish().await
    }

    /// Lets tokens live for this long from now on.
    pub fn token_life(&self, life: Duration) {
        self.sandbox.change_settings(Change { access_token_ttl: Some(life), ..Change::default() });
    }
}
