//! A plugin that only listens: whatever event it hears it repeats by name.

use ccproxy_plugin_sdk::*;

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub struct Settings {}
type Conn = Connection<Settings>;

pub struct Listener {
    host: Host,
}

impl JsonTokenStorage for Listener {
    type Record = StoredToken;
    const SCHEMA_VERSION: u32 = 1;
}

impl TokenManager for Listener {
    type Settings = Settings;
    type Storage = Self;

    async fn acquire(&self, _: &Conn, _: &mut Grant<Self>, _: &Want) -> Result<Credential> {
        Err(Error::not_logged_in())
    }
}

impl Provider for Listener {
    const MANIFEST: Manifest = Manifest { events: &["*"], ..Manifest::new("listener", "Listener") };
    type Settings = Settings;
    type Manager = Self;

    fn create(host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn manager(&self) -> &Self {
        self
    }

    fn describe(&self, _: &Conn) -> Result<Description> {
        Ok(Description::default())
    }

    async fn login_begin(&self, _: &Conn, _: LoginRequest) -> Result<Step<StoredToken>> {
        Err(Error::not_logged_in())
    }

    async fn login_continue(&self, _: &Conn, _: Secret, _: LoginInput) -> Result<Step<StoredToken>> {
        Err(Error::not_logged_in())
    }

    async fn on_event(&self, event: serde_json::Value) {
        let fields = serde_json::json!({ "heard": event["event"], "of": event["connection"] });
        if let Some(fields) = fields.as_object() {
            self.host.emit("repeated", fields);
        }
    }
}

export_provider!(Listener);
