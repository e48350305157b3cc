//! The local key that `env` and `run` hand to a tool.

use clap::Args;

use super::context::Context;
use super::error::CliError;
use crate::config::{Access, Config};
use crate::guard::PLACEHOLDER;
use crate::keys::{KeyFile, KeyRing, looks_like_key};
use crate::model::Name;

/// Where a key is looked for unless another variable is named.
const VARIABLE: &str = "CCPROXY_KEY";

/// Where the key comes from.
#[derive(Args, Debug)]
pub(super) struct KeyArgs {
    /// Hand over the local key that this variable holds; CCPROXY_KEY where a key is needed
    #[arg(long, value_name = "VAR")]
    key_env: Option<String>,
}

impl KeyArgs {
    /// What a tool gets as its key for these routes: a local key where one is needed or was named, else the
    /// placeholder; nothing if one is needed and none was given.
    pub(super) fn key<'a>(
        &self,
        needed: bool,
        context: &Context,
        routes: impl IntoIterator<Item = &'a Name>,
    ) -> Result<Option<String>, CliError> {
        let variable = match &self.key_env {
            Some(variable) => variable,
            None if needed => VARIABLE,
            None => return Ok(Some(PLACEHOLDER.into())),
        };
        match std::env::var(variable) {
            Ok(text) if !text.is_empty() => {
                check(&text, variable, &KeyFile::at(context.paths()?.local_keys()), routes)?;
                Ok(Some(text))
            }
            Ok(_) | Err(_) if self.key_env.is_some() => {
                Err(CliError::usage(format!("there is no key in the variable `{variable}`")))
            }
            Ok(_) | Err(_) => Ok(None),
        }
    }
}

/// Whether tools need a key, as the running host says or else the configuration.
pub(super) async fn is_needed(context: &Context, config: &Config) -> Result<bool, CliError> {
    let key = Access::Key.as_str();
    let running = context.host().await?.and_then(|host| host.status.access);
    Ok(running.as_deref().unwrap_or(config.resolved.server.access.as_str()) == key)
}

/// There is none, and a key that nobody asked for is not made.
pub(super) fn missing(route: &Name) -> CliError {
    let message = format!("`server.access` is \"key\", and there is no key in the variable `{VARIABLE}`");
    CliError::usage(message)
        .hint(format!("export {VARIABLE}=\"$(ccproxy key create NAME --routes {route})\""))
}

/// Refuses a key that would be refused by the host.
fn check<'a>(
    text: &str,
    variable: &str,
    file: &KeyFile,
    routes: impl IntoIterator<Item = &'a Name>,
) -> Result<(), CliError> {
    // Not even part of what was found is told: it may be the key of something else.
    if !looks_like_key(text.as_bytes()) {
        return Err(CliError::usage(format!("what the variable `{variable}` holds is not a local key"))
            .hint("ccproxy key create NAME"));
    }
    let ring = KeyRing::new(file.read()?.into_iter().map(Into::into));
    let Some(key) = ring.find(text.as_bytes()) else {
        return Err(CliError::usage(format!("the key in the variable `{variable}` is not valid (any more)"))
            .hint("ccproxy key list"));
    };
    match routes.into_iter().find(|route| !key.opens(route)) {
        Some(route) => Err(CliError::usage(format!("the key `{}` is not for the route `{route}`", key.name))
            .hint(format!("ccproxy key create NAME --routes {route}"))),
        None => Ok(()),
    }
}
