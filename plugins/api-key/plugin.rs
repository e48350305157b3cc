//! Static keys for ccproxy: OpenAI, Anthropic, Hugging Face and whatever takes a key in a header
//! field, in a query parameter or as a Basic password.
//!
//! `schemas` is what people write and services answer, `storage` what is kept, `routes` where a
//! connection leads and where its key goes, `manager` which key that is.

mod manager;
mod routes;
mod schemas;
mod storage;

#[cfg(test)]
#[path = "tests/it/main.rs"]
mod tests;

use std::time::Duration;

use ccproxy_plugin_sdk::{
    Account, Connection, Description, Error, ErrorCode, Flow, Host, LoginInput, LoginRequest, Manifest,
    Provider, Response, Secret, Step, export_provider, fingerprint, serde_json,
};

use manager::{KeyManager, usable};
use routes::Route;
use schemas::{Preset, Probe, Settings, WhoAmI};
use storage::KeyRecord;

/// The provider of static keys.
pub struct ApiKey {
    manager: KeyManager,
}

impl Provider for ApiKey {
    const MANIFEST: Manifest = Manifest {
        description: "static keys: OpenAI, Anthropic, Hugging Face, any header, query or Basic key",
        flows: &[Flow::Token],
        injected_fields: &["authorization", "x-api-key"],
        presets: &["openai", "anthropic", "huggingface"],
        hosts: &[
            "api.openai.com",
            "*.api.openai.com",
            "api.anthropic.com",
            "*.api.aws",
            "huggingface.co",
            "{upstream}",
        ],
        ..Manifest::new("api-key", "API key")
    };
    type Settings = Settings;
    type Manager = KeyManager;

    fn create(_: Host) -> Result<Self, Error> {
        Ok(Self { manager: KeyManager::default() })
    }

    fn manager(&self) -> &KeyManager {
        &self.manager
    }

    fn describe(&self, connection: &Connection<Settings>) -> Result<Description, Error> {
        let settings = &connection.settings;
        let route = Route::of(settings)?;
        Ok(Description {
            upstream: Some(route.base().to_owned()),
            flows: vec![Flow::Token],
            needs_login: settings.key.is_none() && settings.fallback_env.is_none(),
            env: settings.preset.env(),
            credential_fields: route.credential_fields(),
        })
    }

    async fn login_begin(
        &self,
        connection: &Connection<Settings>,
        request: LoginRequest,
    ) -> Result<Step<KeyRecord>, Error> {
        Route::of(&connection.settings)?;
        if request.flow != Flow::Token {
            let flow = request.flow.as_str();
            return Err(
                Error::unsupported(format!("a key has no login flow `{flow}`")).with_hint("--flow token")
            );
        }
        if connection.settings.key.is_some() {
            let name = &connection.name;
            return Err(Error::invalid_config(format!("`{name}` takes its key from the setting `key`"))
                .with_hint("a stored key would not be used: remove the setting to store one"));
        }
        let prompt = connection.settings.preset.prompt().into();
        Ok(Step::Ask { prompt, secret: true, state: Secret::new("") })
    }

    async fn login_continue(
        &self,
        _: &Connection<Settings>,
        _: Secret,
        input: LoginInput,
    ) -> Result<Step<KeyRecord>, Error> {
        Ok(Step::Done(KeyRecord { key: usable(&input.into_answer()?, "the key")? }))
    }

    async fn probe(
        &self,
        connection: &Connection<Settings>,
        record: Option<&KeyRecord>,
    ) -> Result<Account, Error> {
        let route = Route::of(&connection.settings)?;
        let key = self.manager.key_of(connection, record).await?;
        let by_fingerprint = Account {
            subject: fingerprint(&key),
            display_name: format!("key {}", fingerprint(&key)),
            host: route.host().to_owned(),
        };
        let Some(probe) = &route.probe else { return Ok(by_fingerprint) };
        let response = connection.http(route.probe_request(probe, &key)?).await?;
        accepted(&route, probe, &response)?;
        Ok(match route.preset {
            Preset::HuggingFace => whoami(&route, &response).unwrap_or(by_fingerprint),
            _ => by_fingerprint,
        })
    }
}

/// What the service said of the key. Its own words are not quoted: some echo parts of the key.
fn accepted(route: &Route, probe: &Probe, response: &Response) -> Result<(), Error> {
    let host = route.host();
    let status = response.status;
    let at = format!("`{} {}`", probe.method, probe.path);
    match status {
        200..=299 => Ok(()),
        401 | 403 => {
            Err(Error::new(ErrorCode::CredentialsRejected, format!("`{host}` refused the key with {status}"))
                .with_hint(format!("check the key, and that it may be used for {at}")))
        }
        429 => Err(Error::new(ErrorCode::RateLimited, format!("`{host}` answered {at} with 429"))
            .with_retry_after(retry_after(response))),
        500..=599 => {
            Err(Error::new(ErrorCode::ProviderUnavailable, format!("`{host}` answered {at} with {status}"))
                .with_retry_after(retry_after(response)))
        }
        _ => Err(Error::invalid_response(format!("`{host}` answered {at} with {status}")).with_hint(
            "set `upstream`, or set `probe` to a request that a good key may make (\"\" for none)",
        )),
    }
}

/// RFC 9110 section 10.2.3, in seconds; these services do not send dates.
fn retry_after(response: &Response) -> Option<Duration> {
    response.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

/// The account of a Hugging Face token. An answer of another shape still proves the token good.
fn whoami(route: &Route, response: &Response) -> Option<Account> {
    let who: WhoAmI = serde_json::from_slice(&response.body).ok()?;
    let display_name = who.fullname.filter(|name| !name.is_empty()).unwrap_or_else(|| who.name.clone());
    Some(Account { subject: who.name, display_name, host: route.host().to_owned() })
}

export_provider!(ApiKey);
