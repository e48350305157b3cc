//! Device authorization (RFC 8628), polled one step at a time: the host does the waiting, so the
//! loop of the oauth2 crate is of no use here.

use std::time::Duration;

use ccproxy_plugin_sdk::{Connection, Error, ErrorCode, Purpose, Secret, UnixMillis};
use oauth2::basic::BasicClient;
use oauth2::{ClientId, DeviceAuthorizationUrl, StandardDeviceAuthorizationResponse};
use serde::{Deserialize, Serialize};

use crate::answer::{self, Answer, Members};
use crate::client::OAuthClient;
use crate::endpoint::Endpoint;
use crate::exchange::{Adapter, Place};
use crate::grants::{TokenRequest, TokenSet, tokens_from, unexpected};
use crate::refusal::Refusal;
use crate::text;

/// RFC 8628 section 3.5: what `slow_down` adds.
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// A longer interval would sleep over the code's lifetime.
const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// How often in a row the server may be unreachable before the login gives up.
const MAX_FAILURES: u32 = 5;

/// What a person is shown, and what is polled for.
pub(crate) struct DeviceAuthorization {
    pub verification_uri: String,
    pub verification_uri_complete: Option<String>,
    pub user_code: String,
    pub polling: Polling,
}

/// A device code being polled for. Travels between steps as part of the login's state.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Polling {
    #[serde(with = "ccproxy_plugin_sdk::stored")]
    device_code: Secret,
    /// Seconds between polls.
    interval: u64,
    pub expires_at: UnixMillis,
    #[serde(default)]
    failures: u32,
}

/// What one poll found.
pub(crate) enum Poll {
    Pending(Polling),
    Granted(TokenSet),
}

impl Polling {
    /// When to poll next.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(self.interval)
    }

    fn slower(self, interval: Duration) -> Self {
        Self { interval: interval.min(MAX_INTERVAL).as_secs(), ..self }
    }

    /// What a refusal means for the polling.
    fn refused(self, refusal: &Refusal, client: &OAuthClient) -> Result<Poll, Error> {
        match refusal.error.as_str() {
            "authorization_pending" => Ok(Poll::Pending(Self { failures: 0, ..self })),
            // GitHub says the new interval in the body; the RFC adds five seconds.
            "slow_down" => {
                let told = answer::seconds(refusal.members.get("interval"));
                let interval = self.interval() + SLOW_DOWN;
                Ok(Poll::Pending(self.slower(told.unwrap_or(interval))))
            }
            "" if matches!(refusal.status, 429 | 500..) => self.unreachable(refusal.to_error()),
            "expired_token" | "token_expired" => Err(expired()),
            _ => Err(client.refused(refusal)),
        }
    }

    /// RFC 8628 section 3.5: back off when the server cannot be reached, twice as long each time.
    fn unreachable(self, error: Error) -> Result<Poll, Error> {
        let passing = matches!(
            error.code,
            ErrorCode::Network | ErrorCode::Timeout | ErrorCode::ProviderUnavailable | ErrorCode::RateLimited
        );
        if !passing || self.failures >= MAX_FAILURES {
            return Err(error);
        }
        let interval = (self.interval() * 2).max(error.retry_after.unwrap_or_default());
        let failures = self.failures + 1;
        Ok(Poll::Pending(Self { failures, ..self }.slower(interval)))
    }
}

impl OAuthClient {
    /// Asks for a device code.
    pub(crate) async fn authorize_device<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        ask: &TokenRequest,
    ) -> Result<DeviceAuthorization, Error> {
        let endpoint = self.server.device_authorization_endpoint()?;
        self.server.token_endpoint()?;
        let place = Place::new("device authorization endpoint", endpoint);
        let now = connection.host.now();
        let canonical = |members: &Members| Ok(answer::device_authorization(members));
        let adapter = Adapter { client: self, connection, place, purpose: Purpose::General, canonical };
        let (auth_type, secret) = self.oauth2_proof();
        let mut client = BasicClient::new(ClientId::new(self.client_id.clone()))
            .set_device_authorization_url(DeviceAuthorizationUrl::from_url(endpoint.url().clone()))
            .set_auth_type(auth_type);
        if let Some(secret) = secret {
            client = client.set_client_secret(secret);
        }
        let mut request = client.exchange_device_code().add_scopes(ask.oauth2_scopes());
        for (name, value) in &ask.parameters {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
        let answer: StandardDeviceAuthorizationResponse =
            request.request_async(&adapter).await.map_err(unexpected)?;
        shown(&answer, now)
    }

    /// Asks once whether the person is done (RFC 8628 section 3.4).
    pub(crate) async fn poll_device<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        polling: Polling,
        parameters: &[(String, String)],
    ) -> Result<Poll, Error> {
        let now = connection.host.now();
        if now >= polling.expires_at {
            return Err(expired());
        }
        let place = Place::token(self.server.token_endpoint()?);
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", polling.device_code.expose()),
        ];
        form.extend(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        match self.post(connection, place, Purpose::Token, &form).await {
            Ok(Answer::Granted(members)) => Ok(Poll::Granted(tokens_from(&members, now)?)),
            Ok(Answer::Refused(refusal)) => polling.refused(&refusal, self),
            Err(error) => polling.unreachable(error),
        }
    }
}

fn shown(
    answer: &StandardDeviceAuthorizationResponse,
    now: UnixMillis,
) -> Result<DeviceAuthorization, Error> {
    let page = |url: &str| match Endpoint::parse_for_browser(url) {
        Ok(url) => Ok(url.as_str().to_owned()),
        Err(bad) => Err(Error::invalid_response(format!("the device answer's `verification_uri` {bad}"))),
    };
    let complete = answer.verification_uri_complete().map(|url| page(url.secret())).transpose()?;
    let user_code = text::line(answer.user_code().secret());
    if user_code.is_empty() || answer.device_code().secret().is_empty() {
        return Err(Error::invalid_response("the device answer has no code"));
    }
    Ok(DeviceAuthorization {
        verification_uri: page(answer.verification_uri().as_str())?,
        verification_uri_complete: complete,
        user_code,
        polling: Polling {
            device_code: Secret::new(answer.device_code().secret().as_str()),
            interval: answer.interval().min(MAX_INTERVAL).as_secs(),
            expires_at: now.plus(answer.expires_in()),
            failures: 0,
        },
    })
}

fn expired() -> Error {
    Error::new(ErrorCode::TokenExpired, "the code expired before the login was approved")
        .with_hint("log in again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuthorizationServer, ClientAuth};
    use ccproxy_plugin_sdk::serde_json::{Value, json};
    use pretty_assertions::assert_eq;

    fn polling() -> Polling {
        Polling { device_code: Secret::new("dc"), interval: 5, expires_at: UnixMillis(600_000), failures: 0 }
    }

    fn after(status: u16, members: Value) -> Result<u64, Error> {
        let client = OAuthClient::new("id", None, ClientAuth::Auto, AuthorizationServer::default()).unwrap();
        let Value::Object(members) = members else { panic!("an object") };
        let error = members.get("error").and_then(Value::as_str).unwrap_or_default().to_owned();
        let refusal = Refusal { status, error, retry_after: None, members };
        match polling().refused(&refusal, &client) {
            Ok(Poll::Pending(next)) => Ok(next.interval),
            Ok(Poll::Granted(_)) => panic!("a refusal grants nothing"),
            Err(error) => Err(error),
        }
    }

    #[test]
    fn pending_keeps_the_interval_at_any_status() {
        for status in [200, 400, 428] {
            assert_eq!(after(status, json!({"error": "authorization_pending"})), Ok(5));
        }
    }

    #[test]
    fn slow_down_adds_five_seconds_unless_the_body_says_how_many() {
        assert_eq!(after(400, json!({"error": "slow_down"})), Ok(10));
        assert_eq!(after(403, json!({"error": "slow_down"})), Ok(10));
        assert_eq!(after(200, json!({"error": "slow_down", "interval": 17})), Ok(17));
        assert_eq!(after(200, json!({"error": "slow_down", "interval": "18"})), Ok(18));
        assert_eq!(after(200, json!({"error": "slow_down", "interval": 86_400})), Ok(60));
    }

    #[test]
    fn the_ends_of_a_polling_and_their_aliases() {
        for (error, code) in [
            ("access_denied", ErrorCode::AccessDenied),
            ("authorization_declined", ErrorCode::AccessDenied),
            ("bad_verification_code", ErrorCode::ReauthRequired),
            ("invalid_grant", ErrorCode::ReauthRequired),
            ("invalid_client", ErrorCode::CredentialsRejected),
        ] {
            assert_eq!(after(400, json!({"error": error})).map_err(|error| error.code), Err(code), "{error}");
        }
        for alias in ["expired_token", "token_expired"] {
            assert_eq!(after(400, json!({"error": alias})).unwrap_err(), expired(), "{alias}");
        }
    }

    #[test]
    fn an_unreachable_server_is_polled_ever_slower_and_not_for_ever() {
        let mut polling = polling();
        for interval in [10, 20, 40, 60, 60] {
            match polling.unreachable(Error::new(ErrorCode::Network, "refused")) {
                Ok(Poll::Pending(next)) => polling = next,
                _ => panic!("still waiting"),
            }
            assert_eq!(polling.interval, interval);
        }
        assert!(polling.unreachable(Error::new(ErrorCode::Network, "refused")).is_err());
        assert_eq!(after(503, json!({})), Ok(10));
    }
}
