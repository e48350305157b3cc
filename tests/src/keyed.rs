//! An API behind the proxy that takes one static key, and a machine that knows it: the scene of the stories
//! about clients, which need a credential on the way and do not care where it comes from.

use crate::home::Home;
use crate::sandbox::{Fingerprint, Sandbox, SandboxConfig, TokenState};

/// The key that the API takes. Only a file on the machine has it.
pub const KEY: &str = "sbx-key-0123456789abcdef";

pub struct KeyedApi {
    pub sandbox: Sandbox,
    pub home: Home,
}

impl KeyedApi {
    /// Everything the upstream answers, behind the connection `api`.
    pub async fn new() -> Self {
        Self::with_config(false, |_| String::new()).await
    }

    /// The same with more in `config.toml`, in front of the connection, made from what the sandbox says;
    /// with `tls` the sandbox serves over TLS, too.
    pub async fn with_config(tls: bool, more: impl FnOnce(&Self) -> String) -> Self {
        let api = Self::start(tls).await;
        let connection = api.connection("api", api.sandbox.upstream(), "");
        api.home.write_config(&format!("{}{connection}", more(&api)));
        api
    }

    /// A vendor's endpoints behind a connection of the vendor's preset, which is also its name.
    pub async fn vendor(preset: &str, path: &str) -> Self {
        let api = Self::start(false).await;
        let upstream = format!("{}/{path}", api.sandbox.upstream());
        let connection = api.connection(preset, &upstream, &format!("preset = \"{preset}\"\n"));
        api.home.write_config(&connection);
        api
    }

    async fn start(tls: bool) -> Self {
        let config = SandboxConfig { tls, ..SandboxConfig::default() };
        let sandbox = Sandbox::start(config).await.expect("loopback has free ports");
        sandbox.accept_key(KEY);
        let home = Home::new();
        home.write(&home.config_dir().join("key"), KEY);
        Self { sandbox, home }
    }

    /// A connection that injects the key.
    pub fn connection(&self, name: &str, upstream: &str, more: &str) -> String {
        let key = self.home.config_dir().join("key");
        format!(
            "[connections.{name}]\nprovider = \"api-key\"\nupstream = \"{upstream}\"\nkey = {{ file = \"{}\" }}\n{more}\n",
            key.display()
        )
    }

    /// Every request that reached the API had our key in this one field, and no other credential.
    #[track_caller]
    pub fn assert_only_our_key(&self, field: &str) {
        let seen = self.sandbox.requests();
        assert!(seen.total > 0, "nothing reached the upstream");
        for request in &seen.requests {
            assert_eq!(request.credential_fields, [field], "{request:?}");
            assert_eq!(request.token.as_ref(), Some(&Fingerprint::of(KEY)), "{request:?}");
        }
        assert_eq!(seen.with_state(TokenState::Valid), seen.total);
    }
}
