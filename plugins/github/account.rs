//! Whose token it is.

use ccproxy_plugin_oauth::shown_line;
use ccproxy_plugin_sdk::{Account, Connection, Error, Request, Response, Secret, serde_json};

use crate::refusals;
use crate::routes::Site;
use crate::schemas::{Email, Settings, User};

/// The account behind a token: the login, and the address where one is to be had.
pub(crate) async fn of(
    connection: &Connection<Settings>,
    site: &Site,
    token: &Secret,
) -> Result<Account, Error> {
    let response = get(connection, site.user(), token).await?;
    if response.status != 200 {
        return Err(refusals::api(site.api_host(), &response, connection.host.now()));
    }
    let user: User = serde_json::from_slice(&response.body)
        .map_err(|_| Error::invalid_response(format!("`{}` did not answer with a user", site.api_host())))?;
    let email = match user.email.filter(|email| !email.is_empty()) {
        Some(email) => Some(email),
        None => primary_email(connection, site, token).await,
    };
    let login = shown_line(&user.login);
    Ok(Account {
        display_name: email.map_or_else(|| login.clone(), |email| shown_line(&email)),
        subject: login,
        host: site.host().to_owned(),
    })
}

/// The address of a person who publishes none. Needs the scope `user:email`, and an account is one
/// without it, so nothing here fails a login.
async fn primary_email(connection: &Connection<Settings>, site: &Site, token: &Secret) -> Option<String> {
    let response = match get(connection, site.emails(), token).await {
        Ok(response) if response.status == 200 => response,
        Ok(response) => {
            tracing::debug!(status = response.status, "no address: the token may lack the scope user:email");
            return None;
        }
        Err(error) => {
            tracing::debug!(error = %error.message, "no address");
            return None;
        }
    };
    let emails: Vec<Email> = serde_json::from_slice(&response.body).ok()?;
    emails.into_iter().find(|email| email.primary && email.verified).map(|email| email.email)
}

async fn get(connection: &Connection<Settings>, url: String, token: &Secret) -> Result<Response, Error> {
    let headers = api_fields(format!("Bearer {}", token.expose()));
    connection.http(Request { headers, ..Request::get(url) }).await
}

/// The fields of a call to the API.
pub(crate) fn api_fields(authorization: String) -> Vec<(String, Vec<u8>)> {
    vec![
        ("authorization".into(), authorization.into_bytes()),
        ("accept".into(), b"application/vnd.github+json".to_vec()),
        // GitHub's API answers 403 to a client that does not say what it is.
        ("user-agent".into(), concat!("ccproxy/", env!("CARGO_PKG_VERSION")).into()),
    ]
}
