//! The certified OpenID provider `oidc-provider` (npm) as a process of its own: proof that does not come from us.

use serde_json::Value;
use tokio::process::Command;

use crate::http_client::Call;
use crate::parts;
use crate::program::Program;

/// How it is started.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Seconds.
    pub access_token_ttl: u32,
    /// Seconds.
    pub refresh_token_ttl: u32,
    /// Rotates refresh tokens, and revokes the grant of a spent one that comes back.
    pub rotate: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { access_token_ttl: 60, refresh_token_ttl: 3600, rotate: true }
    }
}

/// A running provider. The clients are those of the sandbox: `native`, `web`, `webpost`, `svc`, `rs`.
pub struct OidcProvider {
    program: Program,
    issuer: String,
}

impl OidcProvider {
    pub async fn start(options: Options) -> Self {
        let mut command = Command::new(parts::system_program("node"));
        command.arg(parts::script("op.mjs"));
        command.env("AT_TTL", options.access_token_ttl.to_string());
        command.env("RT_TTL", options.refresh_token_ttl.to_string());
        command.env("ROTATE", if options.rotate { "1" } else { "0" });
        let mut program = Program::spawn(command);
        let ready = program.json_line_with("ready", true).await;
        eprintln!("oidc-provider {} on node {}", ready["version"], ready["node"]);
        let issuer = ready["issuer"].as_str().expect("the ready line names the issuer").to_owned();
        Self { program, issuer }
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What the provider knows of a token (RFC 7662), asked as a resource server asks.
    pub async fn introspect(&self, token: &str) -> Value {
        introspect(&self.issuer, token).await
    }

    /// Everything that happened: `{"event","at_ms","grant_type","client","error","detail"}`.
    pub fn events(&self) -> Vec<Value> {
        let said = self.program.stdout_so_far();
        let parsed = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line.get("event").is_some()).collect()
    }

    /// How many grants of a type succeeded.
    pub fn granted(&self, grant_type: &str) -> usize {
        self.count("grant.success", grant_type)
    }

    /// How many token requests of a grant type failed.
    pub fn refused(&self, grant_type: &str) -> usize {
        self.count("grant.error", grant_type)
    }

    /// How many grants were revoked, as reuse of a code or of a refresh token does.
    pub fn revoked(&self) -> usize {
        self.events().iter().filter(|event| event["event"] == "grant.revoked").count()
    }

    fn count(&self, event: &str, grant_type: &str) -> usize {
        let events = self.events();
        events.iter().filter(|line| line["event"] == event && line["grant_type"] == grant_type).count()
    }
}

/// What the provider at an issuer knows of a token.
pub async fn introspect(issuer: &str, token: &str) -> Value {
    let fields = [("client_id", "rs"), ("client_secret", "rs-secret"), ("token", token)];
    Call::form(&format!("{issuer}/token/introspection"), &fields).send().await.json()
}
