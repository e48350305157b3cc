//! One exchange with an authorization server over the HTTP client that the host lends.
//!
//! The oauth2 crate builds the ordinary requests; this adapter sets `Authorization` itself (the
//! crate has no raw Basic), reads the answer before the crate does, and hands it a canonical one.

use std::future::Future;
use std::pin::Pin;

use ccproxy_plugin_sdk::{Connection, Error, Purpose, Request};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use url::form_urlencoded;

use crate::answer::{self, Answer, Members};
use crate::client::OAuthClient;
use crate::endpoint::Endpoint;

/// An endpoint with the name that messages give it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub name: &'static str,
    pub endpoint: &'a Endpoint,
    /// Whether a success says all by its status (RFC 7009 section 2.2).
    pub status_only: bool,
}

impl<'a> Place<'a> {
    pub(crate) fn new(name: &'static str, endpoint: &'a Endpoint) -> Self {
        Self { name, endpoint, status_only: false }
    }

    pub(crate) fn token(endpoint: &'a Endpoint) -> Self {
        Self::new("token endpoint", endpoint)
    }
}

/// Makes an answer canonical before the oauth2 crate parses it.
pub(crate) type Canonical = fn(&Members) -> Result<Members, Error>;

/// Our HTTP client as the oauth2 crate wants one.
pub(crate) struct Adapter<'a, S> {
    pub client: &'a OAuthClient,
    pub connection: &'a Connection<S>,
    pub place: Place<'a>,
    pub purpose: Purpose,
    pub canonical: Canonical,
}

impl<'c, S: Send + Sync> AsyncHttpClient<'c> for Adapter<'_, S> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let body = request.into_body();
            match self.client.exchange(self.connection, self.place, self.purpose, body).await? {
                Answer::Granted(members) => Ok(as_http(&(self.canonical)(&members)?)),
                Answer::Refused(refusal) => Err(self.client.refused(&refusal)),
            }
        })
    }
}

impl OAuthClient {
    /// A request that the oauth2 crate does not make for us.
    pub(crate) async fn post<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        place: Place<'_>,
        purpose: Purpose,
        parameters: &[(&str, &str)],
    ) -> Result<Answer, Error> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .extend_pairs(self.identification())
            .finish();
        self.exchange(connection, place, purpose, body.into_bytes()).await
    }

    async fn exchange<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        place: Place<'_>,
        purpose: Purpose,
        body: Vec<u8>,
    ) -> Result<Answer, Error> {
        let secrets = Secrets::of(&body);
        let mut request = Request::post(place.endpoint.as_str(), body)
            .header("content-type", "application/x-www-form-urlencoded")
            // GitHub answers with a form unless asked.
            .header("accept", "application/json");
        if let Some(authorization) = self.authorization() {
            request = request.header("authorization", authorization);
        }
        request.purpose = purpose;
        let response = connection.http(request).await?;
        match answer::read(place.name, &response, connection.host.now()) {
            Ok(Answer::Refused(mut refusal)) => {
                // Some servers quote what they refuse.
                secrets.mask(&mut refusal.members);
                Ok(Answer::Refused(refusal))
            }
            Err(_) if place.status_only && (200..300).contains(&response.status) => {
                Ok(Answer::Granted(Members::new()))
            }
            answer => answer,
        }
    }
}

/// The secrets of a request, to be kept out of what is shown of its answer.
struct Secrets(Vec<String>);

impl Secrets {
    fn of(body: &[u8]) -> Self {
        const NAMES: [&str; 7] = [
            "client_secret",
            "code",
            "code_verifier",
            "refresh_token",
            "device_code",
            "token",
            "client_assertion",
        ];
        let secrets = form_urlencoded::parse(body)
            .filter(|(name, value)| NAMES.contains(&name.as_ref()) && !value.is_empty())
            .map(|(_, value)| value.into_owned());
        Self(secrets.collect())
    }

    fn mask(&self, members: &mut Members) {
        for value in members.values_mut() {
            if let serde_json::Value::String(text) = value {
                for secret in &self.0 {
                    *text = text.replace(secret.as_str(), "***");
                }
            }
        }
    }
}

fn as_http(members: &Members) -> HttpResponse {
    let body = serde_json::to_vec(members).unwrap_or_default();
    let mut response = HttpResponse::new(body);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests;
