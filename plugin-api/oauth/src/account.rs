//! Whose grant it is: claims, userinfo, introspection.

use ccproxy_plugin_sdk::{Account, Connection, Error, ErrorCode, Request, Secret};
use serde_json::{Map, Value};

use crate::client::OAuthClient;
use crate::refusal::Refusal;
use crate::text;

/// The account in a set of claims: its display name is the first of `names` that is there.
///
/// # Errors
/// `invalid_response` if there is no subject.
pub fn from_claims(claims: &Map<String, Value>, names: &[&str], host: &str) -> Result<Account, Error> {
    let subject = claim(claims, "sub").ok_or_else(|| Error::invalid_response("the account has no `sub`"))?;
    let display_name = names.iter().find_map(|name| claim(claims, name)).unwrap_or_default();
    Ok(Account { subject, display_name, host: host.to_owned() })
}

/// A claim as text that may be shown.
pub fn claim(claims: &Map<String, Value>, name: &str) -> Option<String> {
    match claims.get(name)? {
        Value::String(claim) => Some(text::line(claim)).filter(|claim| !claim.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl OAuthClient {
    /// Asks the userinfo endpoint (OpenID Connect Core section 5.3).
    ///
    /// # Errors
    /// `reauth_required` for a token it refuses, `invalid_response` for another subject than
    /// `subject` (section 5.3.2: such an answer must not be used), `unsupported` if it tells nothing.
    pub async fn userinfo<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        access_token: &Secret,
        subject: Option<&str>,
    ) -> Result<Map<String, Value>, Error> {
        let endpoint = self.server.userinfo_endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| Error::unsupported("there is no userinfo endpoint"))?;
        let request = Request::get(endpoint.as_str())
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {}", access_token.expose()));
        let response = connection.http(request).await?;
        match response.status {
            200 => {}
            401 => {
                let message = "the userinfo endpoint refused the token";
                return Err(Error::new(ErrorCode::ReauthRequired, message));
            }
            403 | 429 | 500.. => return Err(Refusal::bare(&response, connection.host.now()).to_error()),
            status => return Err(Error::unsupported(format!("the userinfo endpoint answered {status}"))),
        }
        // A signed answer (section 5.3.2) is asked for at registration only; it tells us nothing.
        let claims: Map<String, Value> = serde_json::from_slice(&response.body)
            .map_err(|_| Error::unsupported("the userinfo endpoint answered no JSON object"))?;
        match (subject, claim(&claims, "sub")) {
            (Some(subject), Some(found)) if found != subject => {
                Err(Error::invalid_response("the userinfo endpoint answered for another `sub`"))
            }
            (_, None) => Err(Error::invalid_response("the userinfo endpoint answered without `sub`")),
            _ => Ok(claims),
        }
    }
}
