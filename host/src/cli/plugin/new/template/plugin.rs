//! Acme for ccproxy.
//!
//! `schemas` is what people write and Acme answers, `storage` what is kept, `manager` which token
//! and how it is renewed, `login` how a person gets one, `routes` what this plugin answers itself.

mod login;
mod manager;
mod routes;
mod schemas;
mod storage;

use ccproxy_plugin_sdk::{
    Account, CommandOutput, Connection, Description, Error, Flow, HandledPath, Host, LoginInput,
    LoginRequest, Manifest, Provider, Request, Response, Secret, Step, export_provider, serde_json,
};

use manager::Manager;
use routes::Own;
use schemas::Settings;
use storage::Record;

/// The provider.
pub struct AcmeProvider {
    manager: Manager,
    own: Own,
}

impl Provider for AcmeProvider {
    // The host reads this before any code runs. What is not declared here does not happen.
    const MANIFEST: Manifest = Manifest {
        description: "Acme: its API with a token that renews itself",
        flows: &[Flow::Device, Flow::Token],
        upstream: schemas::UPSTREAM,
        // `{authority}` is the host of that setting; requests to any other host are refused.
        hosts: &["id.acme.example", "{authority}"],
        commands: &["get", "heard"],
        paths: &[
            // For whoever may use the proxy.
            HandledPath {
                path: "heard",
                public: false,
            },
            // For anybody who can reach it: a webhook.
            HandledPath {
                path: "webhook",
                public: true,
            },
        ],
        events: &["oauth.refresh.response", "connection.reauth_required"],
        registration_url: "https://id.acme.example/applications",
        ..Manifest::new("acme", "Acme")
    };
    type Settings = Settings;
    type Manager = Manager;

    fn create(host: Host) -> Result<Self, Error> {
        Ok(Self {
            manager: Manager,
            own: Own::new(host),
        })
    }

    fn manager(&self) -> &Manager {
        &self.manager
    }

    fn describe(&self, connection: &Connection<Settings>) -> Result<Description, Error> {
        let base = connection.settings.upstream.clone();
        Ok(Description {
            upstream: Some(base),
            flows: Self::MANIFEST.flows.to_vec(),
            // What `ccproxy env` prints, and `ccproxy run` gives to a tool.
            env: vec![
                ("ACME_BASE_URL".into(), "{base}".into()),
                ("ACME_API_KEY".into(), "{key}".into()),
            ],
            ..Description::default()
        })
    }

    async fn login_begin(
        &self,
        connection: &Connection<Settings>,
        request: LoginRequest,
    ) -> Result<Step<Record>, Error> {
        login::begin(connection, request).await
    }

    async fn login_continue(
        &self,
        connection: &Connection<Settings>,
        state: Secret,
        input: LoginInput,
    ) -> Result<Step<Record>, Error> {
        login::go_on(connection, state, input).await
    }

    // Whose token this is. A login is saved only if this succeeds.
    async fn probe(
        &self,
        connection: &Connection<Settings>,
        record: Option<&Record>,
    ) -> Result<Account, Error> {
        login::probe(connection, record).await
    }

    async fn handle(&self, request: Request) -> Result<Response, Error> {
        Ok(self.own.handle(&request))
    }

    async fn command(&self, arguments: Vec<String>) -> Result<CommandOutput, Error> {
        self.own.command(&arguments).await
    }

    async fn on_event(&self, event: serde_json::Value) {
        self.own.hear(&event);
    }
}

export_provider!(AcmeProvider);
