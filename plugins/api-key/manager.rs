//! Which key, and what to do when a service refused it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ccproxy_plugin_sdk::{
    Connection, Credential, Error, ErrorCode, Grant, Revocation, Secret, Target, TokenManager, TokenSnapshot,
    TokenView, Want, fingerprint,
};

use crate::routes::Route;
use crate::schemas::{Preset, Settings};
use crate::storage::{KeyRecord, KeyStorage, without_final_newline};

/// Hands out keys. A key has no expiry, so the host keeps what it got until a service refuses it.
#[derive(Default)]
pub struct KeyManager {
    /// Generations of keys that no record counts, by connection: only with these can a key that was
    /// replaced behind its reference be told from the one that was refused.
    issued: Mutex<HashMap<(String, String), Issued>>,
}

struct Issued {
    fingerprint: String,
    generation: u64,
}

/// A key and where it came from.
struct Found {
    key: Secret,
    source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Override,
    Setting,
    Stored,
    Fallback,
}

impl TokenManager for KeyManager {
    type Settings = Settings;
    type Storage = KeyStorage;

    async fn acquire(
        &self,
        connection: &Connection<Settings>,
        grant: &mut Grant<KeyStorage>,
        want: &Want,
    ) -> Result<Credential, Error> {
        let route = Route::of(&connection.settings)?;
        let found = find(connection, grant.record()).await?;
        let generation = match found.source {
            Source::Stored => grant.generation(),
            _ => self.generation(connection, &found.key, want.rejected_generation),
        };
        if want.rejected_generation.is_some_and(|rejected| rejected >= generation) {
            return Err(refused(connection, &route, found.source));
        }
        Ok(route.credential(&found.key, generation))
    }

    fn snapshot(&self, record: &KeyRecord) -> TokenSnapshot {
        TokenSnapshot {
            tokens: vec![TokenView {
                target: Target::default().token_key(),
                expires_at: None,
                fingerprint: fingerprint(&record.key),
            }],
            ..TokenSnapshot::default()
        }
    }

    async fn logout(
        &self,
        connection: &Connection<Settings>,
        grant: &mut Grant<KeyStorage>,
        _revoke: bool,
    ) -> Result<Revocation, Error> {
        grant.delete().await?;
        let message = match connection.settings {
            Settings { key: Some(_), .. } => "the key stays where the setting `key` points",
            Settings { preset: Preset::OpenAi, .. } => {
                "the key itself lives on: delete it at https://platform.openai.com/api-keys"
            }
            Settings { preset: Preset::Anthropic, .. } => {
                "the key itself lives on: delete it at https://platform.claude.com/settings/keys"
            }
            Settings { preset: Preset::HuggingFace, .. } => {
                "the token itself lives on: delete it at https://huggingface.co/settings/tokens"
            }
            _ => "the key itself lives on: delete it at the service",
        };
        Ok(Revocation { revoked: false, message: message.into() })
    }
}

impl KeyManager {
    /// The key that a probe is about: the one at hand unless the settings name another.
    pub(crate) async fn key_of(
        &self,
        connection: &Connection<Settings>,
        record: Option<&KeyRecord>,
    ) -> Result<Secret, Error> {
        match record {
            Some(record) if connection.settings.key.is_none() => usable(&record.key, "the stored key"),
            _ => Ok(find(connection, record).await?.key),
        }
    }

    fn generation(&self, connection: &Connection<Settings>, key: &Secret, rejected: Option<u64>) -> u64 {
        let fingerprint = fingerprint(key);
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let last = issued
            .entry((connection.org.clone(), connection.name.clone()))
            .or_insert_with(|| Issued { fingerprint: String::new(), generation: rejected.unwrap_or(0) });
        if last.fingerprint != fingerprint {
            *last = Issued { fingerprint, generation: last.generation.saturating_add(1) };
        }
        last.generation
    }
}

/// The override beats the settings, they beat the record, and the fallback is last.
async fn find(connection: &Connection<Settings>, record: Option<&KeyRecord>) -> Result<Found, Error> {
    let settings = &connection.settings;
    let (key, source) = if let Some(key) = connection.token_override() {
        (usable(&key, "the key in the environment")?, Source::Override)
    } else if settings.key.is_some() {
        (usable(&connection.secret("key").await?, "setting `key`")?, Source::Setting)
    } else if let Some(record) = record {
        (usable(&record.key, "the stored key")?, Source::Stored)
    } else {
        (fallback(connection).await?, Source::Fallback)
    };
    Ok(Found { key, source })
}

/// The variable that the setting `fallback_env` names. The host reads it; a plugin sees no
/// environment.
async fn fallback(connection: &Connection<Settings>) -> Result<Secret, Error> {
    let Some(variable) = &connection.settings.fallback_env else { return Err(Error::not_logged_in()) };
    match connection.secret("fallback_env").await {
        Ok(key) => usable(&key, &format!("environment variable `{variable}`")),
        // How the host says that it is not set.
        Err(error) if error.code == ErrorCode::InvalidConfig => {
            let name = connection.label();
            let message = format!("`{name}` has no key: nothing is stored, and {variable} is not set");
            Err(Error::new(ErrorCode::NotLoggedIn, message)
                .with_hint(format!("ccproxy auth login {name} --with-token, or export {variable}")))
        }
        Err(error) => Err(error),
    }
}

/// The key without a final line break, if it can stand in a header field.
pub(crate) fn usable(key: &Secret, origin: &str) -> Result<Secret, Error> {
    let key = Secret::new(without_final_newline(key.expose()));
    if key.expose().is_empty() {
        return Err(Error::invalid_config(format!("{origin} is empty")));
    }
    if !key.is_field_value() {
        return Err(Error::invalid_config(format!(
            "{origin} holds a character that no header field may carry"
        ))
        .with_hint("a key is one line without spaces: look for a second line or a quotation mark"));
    }
    Ok(key)
}

fn refused(connection: &Connection<Settings>, route: &Route, source: Source) -> Error {
    let name = connection.label();
    let hint = match source {
        Source::Override => "replace the key in the environment variable `CCPROXY_TOKEN__...`".into(),
        Source::Setting => "replace the key that the setting `key` points to".into(),
        Source::Stored => format!("ccproxy auth login {name} --force --with-token"),
        Source::Fallback => "replace the key in the variable that `fallback_env` names".into(),
    };
    Error::new(ErrorCode::CredentialsRejected, format!("`{}` refused the key of `{name}`", route.host()))
        .with_hint(hint)
}
