//! What `ccproxy auth login` takes, and what it means.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::error::CliError;
use crate::cli::time::parse_duration;
use crate::config::is_secret_name;
use crate::login::{LoginOptions, SecretSource};
use crate::model::ConnectionId;

/// Log in to a provider and keep the grant
///
/// TARGET is a connection, else a provider, else a preset of one. Every setting of the provider is a
/// flag as well: `ccproxy auth login PROVIDER --help` lists them.
#[derive(Args, Debug)]
pub(in crate::cli) struct LoginArgs {
    /// What to log in: a connection, a provider or a preset
    #[arg(value_name = "TARGET")]
    target: String,
    /// Call the connection NAME, to have a second account beside the first
    #[arg(long, value_name = "[ORG/]NAME")]
    connection: Option<ConnectionId>,
    #[command(flatten)]
    how: HowArgs,
}

/// Make a connection and log in to it
///
/// The same as `ccproxy auth login PROVIDER --connection NAME`. Every setting of the provider is a flag
/// as well: `ccproxy auth create NAME --provider PROVIDER --help` lists them.
#[derive(Args, Debug)]
pub(in crate::cli) struct CreateArgs {
    /// How to call the connection
    #[arg(value_name = "[ORG/]NAME")]
    name: ConnectionId,
    /// Its provider, or a preset of one
    #[arg(long, value_name = "PROVIDER")]
    provider: String,
    #[command(flatten)]
    how: HowArgs,
}

/// What every spelling of a login takes.
#[derive(Args, Debug)]
struct HowArgs {
    #[command(flatten)]
    flow: FlowArgs,
    /// Print the URL, open no browser
    #[arg(long)]
    no_browser: bool,
    /// Ask for these scopes
    #[arg(long, value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Log in as this OAuth client
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Set any setting of the provider
    #[arg(long, value_name = "SETTING=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
    /// Log in even if the connection is usable, replacing its grant
    #[arg(long)]
    force: bool,
    /// Give up after this time
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    timeout: Duration,
    /// Show a QR code of the address to open
    #[arg(long, overrides_with = "no_qr")]
    qr: bool,
    /// Show none
    #[arg(long)]
    no_qr: bool,
}

impl LoginArgs {
    /// The options of the login. `flags` are settings given as flags of their own.
    pub(super) fn options(
        self,
        flags: Vec<(String, String)>,
        interactive: bool,
    ) -> Result<LoginOptions, CliError> {
        let plain = LoginOptions { connection: self.connection, ..LoginOptions::new(self.target) };
        self.how.options(plain, flags, interactive)
    }
}

impl CreateArgs {
    /// The same for a connection that is named first.
    pub(super) fn options(
        self,
        flags: Vec<(String, String)>,
        interactive: bool,
    ) -> Result<LoginOptions, CliError> {
        let plain = LoginOptions { connection: Some(self.name), ..LoginOptions::new(self.provider) };
        self.how.options(plain, flags, interactive)
    }
}

impl HowArgs {
    fn options(
        self,
        plain: LoginOptions,
        flags: Vec<(String, String)>,
        interactive: bool,
    ) -> Result<LoginOptions, CliError> {
        refuse_secrets(&self.set)?;
        Ok(LoginOptions {
            flow: self.flow.chosen(),
            client_secret: self.secret.source(),
            no_browser: self.no_browser,
            scopes: split_scopes(&self.scopes),
            client_id: self.client_id,
            settings: flags.into_iter().chain(self.set).collect(),
            force: self.force,
            timeout: self.timeout,
            qr: if self.qr { Some(true) } else { self.no_qr.then_some(false) },
            interactive,
            ..plain
        })
    }
}

#[derive(Args, Debug)]
#[group(multiple = false)]
struct FlowArgs {
    /// Use this flow instead of the one that suits the place
    #[arg(long, value_parser = PossibleValuesParser::new(["browser", "device", "paste", "client-credentials", "token"]))]
    flow: Option<String>,
    /// Use the browser: --flow browser
    #[arg(long)]
    web: bool,
    /// Use a code entered on any device: --flow device
    #[arg(long)]
    device: bool,
    /// Read a token or key from standard input: --flow token
    #[arg(long)]
    with_token: bool,
}

impl FlowArgs {
    fn chosen(&self) -> Option<String> {
        let spelled = [(self.web, "browser"), (self.device, "device"), (self.with_token, "token")];
        let spelled = spelled.into_iter().find_map(|(given, flow)| given.then(|| flow.to_owned()));
        self.flow.clone().or(spelled)
    }
}

#[derive(Args, Debug)]
struct SecretArgs {
    /// Read the client secret from this environment variable, whenever it is needed
    #[arg(long, value_name = "VAR", conflicts_with_all = ["secret_backend", "prompt_secret"])]
    client_secret_env: Option<String>,
    /// Read the client secret from a store, whenever it is needed
    #[arg(long, value_name = "KIND", requires = "secret_ref", conflicts_with = "prompt_secret")]
    secret_backend: Option<SecretBackend>,
    /// Where it is in that store: a name, a path, or a command line
    #[arg(long, value_name = "REF", requires = "secret_backend")]
    secret_ref: Option<String>,
    /// Ask for the client secret and keep it with the grant
    #[arg(long)]
    prompt_secret: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum SecretBackend {
    Env,
    File,
    Keyring,
    Command,
}

impl SecretArgs {
    fn source(&self) -> Option<SecretSource> {
        if self.prompt_secret {
            return Some(SecretSource::Prompt);
        }
        if let Some(variable) = &self.client_secret_env {
            return Some(SecretSource::Reference(json!({ "env": variable })));
        }
        let reference = self.secret_ref.as_deref()?;
        Some(SecretSource::Reference(match self.secret_backend? {
            SecretBackend::Env => json!({ "env": reference }),
            SecretBackend::File => {
                // The reference is stored; the directory it was typed in is not.
                let absolute = std::path::absolute(reference).unwrap_or_else(|_| reference.into());
                json!({ "file": absolute })
            }
            SecretBackend::Keyring => json!({ "keyring": reference }),
            SecretBackend::Command => json!({ "command": words(reference) }),
        }))
    }
}

/// Scopes as people type them: one flag each, or several in one, apart by spaces or commas.
pub(in crate::cli::auth) fn split_scopes(typed: &[String]) -> Vec<String> {
    let words = typed.iter().flat_map(|words| words.split([' ', ',']));
    words.filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}

/// A command line as a list: JSON as written, else cut at spaces. No shell ever sees it.
fn words(command: &str) -> Value {
    match serde_json::from_str::<Vec<String>>(command) {
        Ok(words) => json!(words),
        Err(_) => json!(command.split_whitespace().collect::<Vec<_>>()),
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (setting, value) = text.split_once('=').ok_or("write it as SETTING=VALUE")?;
    Ok((setting.replace('-', "_"), value.to_owned()))
}

/// A secret typed as a value is refused, without repeating it; `{"env": "NAME"}` is only a reference.
fn refuse_secrets(settings: &[(String, String)]) -> Result<(), CliError> {
    match settings.iter().find(|(setting, value)| is_secret_name(setting) && !value.starts_with('{')) {
        None => Ok(()),
        Some((setting, _)) => Err(CliError::usage(format!(
            "the setting `{setting}` is secret, and others can read a command line"
        ))
        .hint("use --with-token, --client-secret-env or --prompt-secret")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use pretty_assertions::assert_eq;

    use super::*;
    use crate::cli::error::Exit;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        login: LoginArgs,
    }

    fn typed(line: &[&str]) -> LoginOptions {
        let line = ["login", "corp"].iter().chain(line);
        let line = Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
        line.login.options(Vec::new(), false).unwrap()
    }

    #[test]
    fn every_spelling_of_a_flow_is_that_flow() {
        for (line, flow) in [
            (&["--flow", "paste"][..], Some("paste")),
            (&["--web"], Some("browser")),
            (&["--device"], Some("device")),
            (&["--with-token"], Some("token")),
            (&[], None),
        ] {
            assert_eq!(typed(line).flow.as_deref(), flow, "{line:?}");
        }
    }

    #[test]
    fn scopes_may_be_written_apart_or_together() {
        assert_eq!(typed(&["--scopes", "a b", "--scopes", "c,d"]).scopes, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_client_secret_is_a_reference_or_a_question() {
        let source = |line: &[&str]| typed(line).client_secret;
        let reference = |value: Value| Some(SecretSource::Reference(value));
        assert_eq!(source(&["--client-secret-env", "X"]), reference(json!({"env": "X"})));
        assert_eq!(source(&["--prompt-secret"]), Some(SecretSource::Prompt));
        let backend = |kind, what| source(&["--secret-backend", kind, "--secret-ref", what]);
        assert_eq!(backend("env", "X"), reference(json!({"env": "X"})));
        assert_eq!(backend("file", "/run/secret"), reference(json!({"file": "/run/secret"})));
        assert_eq!(backend("keyring", "corp"), reference(json!({"keyring": "corp"})));
        assert_eq!(
            backend("command", "pass show corp"),
            reference(json!({"command": ["pass", "show", "corp"]}))
        );
        let quoted = r#"["pass", "show", "my corp"]"#;
        assert_eq!(backend("command", quoted), reference(json!({"command": ["pass", "show", "my corp"]})));
        assert!(Line::try_parse_from(["login", "corp", "--secret-ref", "x"]).is_err());
    }

    #[test]
    fn a_secret_as_a_setting_is_refused_without_repeating_it() {
        let given = |value: &str| refuse_secrets(&[("client_secret".to_owned(), value.to_owned())]);
        let error = given("canary").unwrap_err();
        assert_eq!(error.exit, Exit::USAGE);
        assert!(!error.message.contains("canary"));
        assert_eq!(given(r#"{"env":"X"}"#), Ok(()));
    }
}
