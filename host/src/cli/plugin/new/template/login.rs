//! How a person gets a token: by a code that is entered elsewhere (RFC 8628), or by pasting one.

use std::time::Duration;

use ccproxy_plugin_sdk::{
    Account, Connection, Error, ErrorCode, Flow, LoginInput, LoginRequest, Purpose, Request,
    Response, Secret, Step, serde_json,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::manager::refused;
use crate::schemas::{DeviceAuthorization, Refused, Settings, Tokens, UserInfo};
use crate::storage::Record;

/// RFC 8628 section 3.4.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// RFC 8628 section 3.5: when the server does not say, and what `slow_down` adds.
const PAUSE: u64 = 5;

/// The first step.
pub async fn begin(
    connection: &Connection<Settings>,
    request: LoginRequest,
) -> Result<Step<Record>, Error> {
    match request.flow {
        Flow::Device => device(connection, &request.scopes).await,
        Flow::Token => Ok(Step::Ask {
            prompt: "Acme token".into(),
            secret: true,
            state: Secret::new(""),
        }),
        other => Err(Error::unsupported(format!(
            "Acme has no login flow `{}`",
            other.as_str()
        ))),
    }
}

/// Every further step.
pub async fn go_on(
    connection: &Connection<Settings>,
    state: Secret,
    input: LoginInput,
) -> Result<Step<Record>, Error> {
    match input {
        LoginInput::Answer(access_token) if access_token.is_field_value() => {
            Ok(Step::Done(Record {
                access_token,
                refresh_token: None,
                expires_at: None,
            }))
        }
        LoginInput::Answer(_) => Err(Error::invalid_config("what was entered cannot be a token")),
        LoginInput::Poll => poll(connection, &state).await,
        LoginInput::Redirect(_) => Err(Error::unsupported("Acme sends nobody back")),
    }
}

/// Whose token it is.
pub async fn probe(
    connection: &Connection<Settings>,
    record: Option<&Record>,
) -> Result<Account, Error> {
    let record = record.ok_or_else(Error::not_logged_in)?;
    let request = Request::get(url(connection, "/userinfo")).header(
        "authorization",
        format!("Bearer {}", record.access_token.expose()),
    );
    let answer = connection.http(request).await?;
    if answer.status == 401 {
        return Err(Error::new(
            ErrorCode::CredentialsRejected,
            "Acme refused the token",
        ));
    }
    let who: UserInfo = parse(&answer)?;
    Ok(Account {
        subject: who.sub,
        display_name: who.email,
        ..Account::default()
    })
}

/// What a token endpoint says.
pub enum Answer {
    /// Tokens.
    Tokens(Tokens),
    /// No, by its code.
    Refused(String),
}

/// A request to the token endpoint.
pub async fn token(
    connection: &Connection<Settings>,
    fields: &[(&str, &str)],
    purpose: Purpose,
) -> Result<Answer, Error> {
    let answer = post(connection, "/token", fields, purpose).await?;
    if matches!(answer.status, 400 | 401) {
        return parse_any::<Refused>(&answer).map(|refused| Answer::Refused(refused.error));
    }
    let tokens: Tokens = parse(&answer)?;
    if !tokens.access_token.is_field_value() {
        return Err(Error::invalid_response(
            "Acme sent a token that cannot be sent on",
        ));
    }
    Ok(Answer::Tokens(tokens))
}

/// A form, posted to the authorization server.
pub async fn post(
    connection: &Connection<Settings>,
    path: &str,
    fields: &[(&str, &str)],
    purpose: Purpose,
) -> Result<Response, Error> {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let request = Request::post(url(connection, path), form)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json");
    connection.http(Request { purpose, ..request }).await
}

async fn device(
    connection: &Connection<Settings>,
    scopes: &[String],
) -> Result<Step<Record>, Error> {
    let client_id = connection.settings.client_id.as_deref().ok_or_else(|| {
        let name = connection.label();
        Error::invalid_config(format!("`client_id` of `{name}` is missing"))
            .with_hint(format!("ccproxy auth login {name} --client-id ID"))
    })?;
    let scopes = if scopes.is_empty() {
        &connection.settings.scopes
    } else {
        scopes
    };
    let scope = scopes.join(" ");
    let mut fields = vec![("client_id", client_id)];
    if !scope.is_empty() {
        fields.push(("scope", &scope));
    }
    let answer = post(
        connection,
        "/device_authorization",
        &fields,
        Purpose::General,
    )
    .await?;
    if matches!(answer.status, 400 | 401) {
        return Err(refused(&parse_any::<Refused>(&answer)?.error));
    }
    let begun: DeviceAuthorization = parse(&answer)?;
    let interval = begun.interval.unwrap_or(PAUSE);
    Ok(Step::UserCode {
        verification_uri: begun.verification_uri,
        verification_uri_complete: begun.verification_uri_complete,
        user_code: begun.user_code,
        poll_after: Duration::from_secs(interval),
        expires_at: connection
            .host
            .now()
            .plus(Duration::from_secs(begun.expires_in)),
        state: waiting(&begun.device_code, interval),
    })
}

async fn poll(connection: &Connection<Settings>, state: &Secret) -> Result<Step<Record>, Error> {
    // The host hands back what `waiting` made.
    let state: serde_json::Value = serde_json::from_str(state.expose()).unwrap_or_default();
    let device_code = Secret::new(state["device_code"].as_str().unwrap_or_default());
    let interval = state["interval"].as_u64().unwrap_or(PAUSE);
    let fields = [
        ("grant_type", DEVICE_CODE),
        ("device_code", device_code.expose()),
        (
            "client_id",
            connection.settings.client_id.as_deref().unwrap_or_default(),
        ),
    ];
    let wait = |interval: u64| {
        let poll_after = Duration::from_secs(interval);
        Ok(Step::Wait {
            poll_after,
            state: waiting(&device_code, interval),
        })
    };
    match token(connection, &fields, Purpose::Token).await? {
        Answer::Tokens(tokens) => Ok(Step::Done(Record::of(tokens, None, connection.host.now()))),
        Answer::Refused(error) if error == "authorization_pending" => wait(interval),
        Answer::Refused(error) if error == "slow_down" => wait(interval + PAUSE),
        Answer::Refused(error) => Err(refused(&error)),
    }
}

fn waiting(device_code: &Secret, interval: u64) -> Secret {
    Secret::new(json!({ "device_code": device_code.expose(), "interval": interval }).to_string())
}

fn url(connection: &Connection<Settings>, path: &str) -> String {
    format!(
        "{}{path}",
        connection.settings.authority.trim_end_matches('/')
    )
}

/// A good answer's body; anything else as the failure it is.
fn parse<T: DeserializeOwned>(answer: &Response) -> Result<T, Error> {
    match answer.status {
        200 => parse_any(answer),
        429 => Err(Error::new(ErrorCode::RateLimited, "Acme asks to slow down")
            .with_retry_after(retry_after(answer))),
        status @ 500.. => {
            let what = format!("Acme answered {status}");
            Err(Error::new(ErrorCode::ProviderUnavailable, what)
                .with_retry_after(retry_after(answer)))
        }
        status => Err(Error::invalid_response(format!("Acme answered {status}"))),
    }
}

/// The body, whatever the status. What is wrong with it is not quoted: it may hold a token.
fn parse_any<T: DeserializeOwned>(answer: &Response) -> Result<T, Error> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| Error::invalid_response("Acme's answer makes no sense"))
}

/// RFC 9110 section 10.2.3, in seconds.
fn retry_after(answer: &Response) -> Option<Duration> {
    answer
        .header("retry-after")?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}
