//! What a person asked of a login, parsed but not yet matched with connections and providers.

use std::time::Duration;

use serde_json::Value;

use crate::model::ConnectionId;

/// The options of `ccproxy auth login`, or of a login through the API.
#[derive(Clone, Debug)]
pub struct LoginOptions {
    /// What was named: a connection, a provider or a preset, in this order.
    pub target: String,
    /// The connection to make, if it shall not be called like the target.
    pub connection: Option<ConnectionId>,
    /// `browser`, `device`, `paste`, `client-credentials` or `token`; chosen by the host if absent.
    pub flow: Option<String>,
    /// Print the URL only: the browser is somewhere else.
    pub no_browser: bool,
    /// Scopes to ask for; those of the connection if empty.
    pub scopes: Vec<String>,
    /// The OAuth client to log in as, stored with the connection.
    pub client_id: Option<String>,
    /// Where the OAuth client's secret is, stored with the connection.
    pub client_secret: Option<SecretSource>,
    /// Settings of the provider by their name in the schema, as typed.
    pub settings: Vec<(String, String)>,
    /// Log in even if the connection is usable.
    pub force: bool,
    /// How long to wait for the person.
    pub timeout: Duration,
    /// Whether to show a QR code; where it can be read if absent.
    pub qr: Option<bool>,
    /// Receive the browser at a listener of the login's own, even where the host could.
    pub own_listener: bool,
    /// Whether questions may be asked: a terminal, no `--no-input`, no `CI`.
    pub interactive: bool,
}

/// Where a client secret comes from. Never the secret itself: argv is public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A reference as the settings hold it: `{"env": "NAME"}`.
    Reference(Value),
    /// Ask for it, and keep it with the grant.
    Prompt,
}

impl LoginOptions {
    /// A login of `target` that asks for nothing in particular.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            connection: None,
            flow: None,
            no_browser: false,
            scopes: Vec::new(),
            client_id: None,
            client_secret: None,
            settings: Vec::new(),
            force: false,
            timeout: Duration::from_secs(600),
            qr: None,
            own_listener: false,
            interactive: false,
        }
    }

    /// The command that asks for the same: hints add to it. Flow and patience are left to them.
    pub fn command(&self) -> String {
        let connection = self.connection.iter().map(|id| ("--connection", id.to_string()));
        let client_id = self.client_id.iter().map(|id| ("--client-id", id.clone()));
        let scopes = self.scopes.iter().map(|scope| ("--scopes", scope.clone()));
        let settings = self.settings.iter().map(|(setting, value)| ("--set", format!("{setting}={value}")));
        let secret = self.client_secret.iter().map(|source| match source {
            SecretSource::Reference(reference) => ("--set", format!("client_secret={reference}")),
            SecretSource::Prompt => ("--prompt-secret", String::new()),
        });
        let mut command = format!("ccproxy auth login {}", self.target);
        for (flag, value) in connection.chain(client_id).chain(scopes).chain(settings).chain(secret) {
            command.push_str(&format!(" {flag}"));
            if !value.is_empty() {
                command.push_str(&format!(" {}", quoted(&value)));
            }
        }
        command
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_command_to_repeat_says_all_that_was_typed() {
        let plain = LoginOptions::new("github");
        assert_eq!(plain.command(), "ccproxy auth login github");
        let full = LoginOptions {
            connection: Some("acme/x".parse().unwrap()),
            scopes: vec!["openid".into()],
            client_id: Some("cli".into()),
            client_secret: Some(SecretSource::Reference(json!({ "env": "X" }))),
            settings: vec![("issuer".into(), "https://id.example".into()), ("prompt".into(), "it's".into())],
            ..LoginOptions::new("oidc")
        };
        assert_eq!(
            full.command(),
            "ccproxy auth login oidc --connection acme/x --client-id cli --scopes openid \
             --set issuer=https://id.example --set 'prompt=it'\\''s' --set 'client_secret={\"env\":\"X\"}'"
        );
    }
}
