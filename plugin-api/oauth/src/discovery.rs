//! Discovery: what an issuer says about itself (OpenID Connect Discovery 1.0, RFC 8414).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ccproxy_plugin_sdk::{Connection, Error, ErrorCode, Request, Response, UnixMillis};
use serde_json::Value;
use url::Url;

use crate::answer::Members;
use crate::endpoint::Endpoint;
use crate::refusal::Refusal;
use crate::server::AuthorizationServer;
use crate::text;

/// How long a document is believed. Endpoints move rarely, and a refused one says so.
const TTL: Duration = Duration::from_secs(60 * 60);

/// How long an old one is kept for the case that no new one can be had.
const KEEP_STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a cache entry is for: the document of one issuer, fetched over one connection's trust (its
/// CA and proxy), so that no connection can plant a document for another.
type Key = (String, String, u64, String);

/// Documents by issuer, in memory. One per plugin.
#[derive(Default)]
pub struct Discovery(Mutex<HashMap<Key, (UnixMillis, AuthorizationServer)>>);

impl Discovery {
    /// What `issuer` says about itself.
    ///
    /// # Errors
    /// `invalid_config` for an issuer that is not a URL or has no document, `invalid_response` for a
    /// document of somebody else or with endpoints that break the rules, and what the network says.
    pub async fn find<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        issuer: &str,
    ) -> Result<AuthorizationServer, Error> {
        let key = (
            connection.org.clone(),
            connection.name.clone(),
            connection.settings_generation,
            issuer.to_owned(),
        );
        let now = connection.host.now();
        let known = self.entries().get(&key).cloned();
        let (found, stale) = match known {
            Some((at, server)) if now < at.plus(TTL) => return Ok(server),
            known => (fetch(connection, issuer).await, known),
        };
        match (found, stale) {
            (Ok(server), _) => {
                let mut entries = self.entries();
                entries.retain(|_, (at, _)| now < at.plus(KEEP_STALE));
                entries.insert(key, (now, server.clone()));
                Ok(server)
            }
            // The token endpoint may well be up: an old address is better than none.
            (Err(error), Some((_, server))) if is_outage(&error) => {
                tracing::warn!(%error, issuer, "the discovery document is stale");
                Ok(server)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, (UnixMillis, AuthorizationServer)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch<S: Send + Sync>(
    connection: &Connection<S>,
    issuer: &str,
) -> Result<AuthorizationServer, Error> {
    let mut missing = None;
    for url in document_urls(issuer)? {
        tracing::debug!(url = %url, "asking for the discovery document");
        let request = Request::get(url.as_str()).header("accept", "application/json");
        let response = connection.http(request).await?;
        match response.status {
            200 => return read(issuer, &response),
            429 | 500.. => return Err(Refusal::bare(&response, connection.host.now()).to_error()),
            status => missing = Some((url, status)),
        }
    }
    let (url, status) = missing.map_or((String::new(), 0), |(url, status)| (url.as_str().to_owned(), status));
    Err(Error::invalid_config(format!(
        "`issuer` {issuer} has no discovery document: {url} answered {status}"
    ))
    .with_hint("correct `issuer`, or set `authorization_endpoint` and `token_endpoint` by hand"))
}

/// Where the document may be: OpenID Connect appends to the issuer, RFC 8414 puts its path behind.
/// Joined as text: a double slash belongs to the issuer, and only one final slash is removed.
fn document_urls(issuer: &str) -> Result<Vec<Endpoint>, Error> {
    let base = Endpoint::setting("issuer", issuer)?;
    if base.url().query().is_some() {
        return Err(Error::invalid_config(format!("`issuer` must not have a query: {issuer}")));
    }
    let openid = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
    let path = base.url().path();
    let mut oauth: Url = base.url().clone();
    oauth.set_path(&format!(
        "/.well-known/oauth-authorization-server{}",
        path.strip_suffix('/').unwrap_or(path)
    ));
    [openid.as_str(), oauth.as_str()].into_iter().map(|url| Endpoint::setting("issuer", url)).collect()
}

fn is_outage(error: &Error) -> bool {
    matches!(
        error.code,
        ErrorCode::Network | ErrorCode::Timeout | ErrorCode::ProviderUnavailable | ErrorCode::RateLimited
    )
}

fn read(issuer: &str, response: &Response) -> Result<AuthorizationServer, Error> {
    let body = response.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&response.body);
    let document: Members = serde_json::from_slice(body)
        .map_err(|_| Error::invalid_response("the discovery document is not a JSON object"))?;
    check_issuer(issuer, document.get("issuer"))?;
    let at_home = Endpoint::parse(issuer).is_ok_and(|issuer| issuer.is_loopback());
    let endpoint = |name: &str| {
        let lies = |why: &str| Error::invalid_response(format!("the discovery document's `{name}` {why}"));
        match document.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(url)) => {
                let endpoint = Endpoint::parse(url).map_err(|bad| lies(&bad.to_string()))?;
                // A stranger's document must not make us talk to what listens on this machine.
                if endpoint.is_loopback() && !at_home {
                    Err(lies("is on this machine"))
                } else {
                    Ok(Some(endpoint))
                }
            }
            Some(_) => Err(lies("is not a text")),
        }
    };
    Ok(AuthorizationServer {
        issuer: Some(issuer.to_owned()),
        authorization_endpoint: endpoint("authorization_endpoint")?,
        token_endpoint: endpoint("token_endpoint")?,
        device_authorization_endpoint: endpoint("device_authorization_endpoint")?,
        revocation_endpoint: endpoint("revocation_endpoint")?,
        introspection_endpoint: endpoint("introspection_endpoint")?,
        userinfo_endpoint: endpoint("userinfo_endpoint")?,
        jwks_uri: endpoint("jwks_uri")?,
        token_endpoint_auth_methods_supported: texts(&document, "token_endpoint_auth_methods_supported"),
        scopes_supported: texts(&document, "scopes_supported"),
        code_challenge_methods_supported: texts(&document, "code_challenge_methods_supported"),
        authorization_response_iss_parameter_supported: document
            .get("authorization_response_iss_parameter_supported")
            == Some(&Value::Bool(true)),
    })
}

/// RFC 8414 section 3.3: identical, byte for byte; else the document may be an attacker's.
fn check_issuer(issuer: &str, found: Option<&Value>) -> Result<(), Error> {
    match found.and_then(Value::as_str) {
        Some(found) if found == issuer => Ok(()),
        Some(found) => {
            let found = text::line(found);
            Err(Error::invalid_response(format!("`issuer` is {issuer}, but its document says {found}"))
                .with_hint(format!("if that is the server you mean: issuer = \"{found}\"")))
        }
        None => Err(Error::invalid_response("the discovery document names no `issuer`")),
    }
}

fn texts(document: &Members, name: &str) -> Option<Vec<String>> {
    let list = document.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
