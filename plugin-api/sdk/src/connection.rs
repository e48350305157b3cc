//! The connection a call is about.

use std::future::Future;

use ccproxy_plugin_abi::ConnectionRef;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorCode};
use crate::host::Host;
use crate::http::{Request, Response};
use crate::manager::Target;
use crate::secret::Secret;

/// A connection with its parsed settings and the host's services on its behalf.
pub struct Connection<S> {
    /// Organisation, `global` by default.
    pub org: String,
    /// Name within the organisation.
    pub name: String,
    /// The settings, parsed.
    pub settings: S,
    /// Rises with every change of the settings: what was derived from them is stale after it.
    pub settings_generation: u64,
    /// The host's services.
    pub host: Host,
    reference: ConnectionRef,
}

impl<S> Connection<S> {
    /// Makes a request: the connection's CA and proxy apply, only declared hosts are reached,
    /// redirects are not followed.
    pub fn http(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Response, Error>> + Send + use<'_, S> {
        self.host.http_for(self.reference.clone(), request)
    }

    /// Makes a request with this connection's own credential, to its upstreams only.
    pub async fn http_as(&self, target: &Target, request: Request) -> Result<Response, Error>
    where
        S: Sync,
    {
        self.host.http_as(self.reference.clone(), target, request).await
    }

    /// Resolves the secret reference in the setting `name`, at use.
    pub fn secret(&self, name: &str) -> impl Future<Output = Result<Secret, Error>> + Send + use<'_, S> {
        let resolved = self.host.0.secret(self.reference.clone(), name.into());
        let name = name.to_owned();
        async move {
            let bytes = resolved.await.into_result()?;
            Secret::from_utf8(bytes.into())
                .ok_or_else(|| Error::invalid_config(format!("the secret `{name}` is not UTF-8 text")))
        }
    }

    /// As a person writes it: `name`, or `org/name` outside the org `global`.
    pub fn label(&self) -> String {
        label(&self.reference)
    }

    /// The token to use instead of the stored one (`CCPROXY_TOKEN__<CONNECTION>`).
    pub fn token_override(&self) -> Option<Secret> {
        let field = self.reference.ext.iter().find(|field| field.name == "token-override")?;
        Secret::from_utf8(field.value.to_vec())
    }

    pub(crate) fn parse(host: Host, reference: ConnectionRef) -> Result<Self, Error>
    where
        S: DeserializeOwned,
    {
        let mut parser = serde_json::Deserializer::from_str(&reference.settings_json);
        let settings = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
            // serde_json's position is that of JSON the user never saw; the path is what helps.
            let text = error.inner().to_string();
            let text = text.split(" at line ").next().unwrap_or_default().to_owned();
            match error.path().to_string().as_str() {
                "." | "?" => Error::invalid_config(format!("settings of `{}`: {text}", reference.name)),
                path => Error::invalid_config(format!("setting `{path}` of `{}`: {text}", reference.name)),
            }
        })?;
        Ok(Self {
            org: reference.org.to_string(),
            name: reference.name.to_string(),
            settings,
            settings_generation: reference.settings_generation,
            host,
            reference,
        })
    }
}

pub(crate) fn label(reference: &ConnectionRef) -> String {
    match reference.org.as_str() {
        "global" => reference.name.to_string(),
        org => format!("{org}/{}", reference.name),
    }
}

impl Error {
    /// Replaces "not logged in" by a line that names the connection and the command.
    #[must_use]
    pub fn for_connection<S>(self, connection: &Connection<S>) -> Self {
        if self.code != ErrorCode::NotLoggedIn || self.hint.is_some() {
            return self;
        }
        let name = connection.label();
        Self { message: format!("`{name}` is not logged in"), ..self }
            .with_hint(format!("ccproxy auth login {name}"))
    }
}
