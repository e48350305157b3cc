//! An administrator's consent for the whole tenant, as the first page of a login.

use ccproxy_plugin_oauth::{OAuthClient, Refusal};
use ccproxy_plugin_sdk::serde_json::{self, Map, Value};
use ccproxy_plugin_sdk::{Error, ErrorCode, Flow, LoginRequest, Secret, Step};
use serde::{Deserialize, Serialize};

use crate::routes::Directory;
use crate::schemas::Conn;
use crate::storage::AzureRecord;

/// The login that goes on after the consent. The host keeps it in memory meanwhile.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    state_of_consent: String,
    redirect_uri: String,
    force: bool,
    /// What the login asks for then.
    pub(crate) scopes: Vec<String>,
}

/// Sends an administrator to the page of consent.
pub(crate) fn begin(
    directory: &Directory,
    client_id: &str,
    login: &LoginRequest,
    scopes: &[String],
) -> Result<Step<AzureRecord>, Error> {
    let mut url = directory.admin_consent_of_scopes(client_id)?;
    url.query_pairs_mut()
        .append_pair("scope", &scopes.join(" "))
        .append_pair("redirect_uri", &login.redirect_uri)
        .append_pair("state", &login.state);
    let asked = Asked {
        state_of_consent: login.state.clone(),
        redirect_uri: login.redirect_uri.clone(),
        force: login.force,
        scopes: scopes.to_vec(),
    };
    let state = serde_json::to_string(&asked)
        .map_err(|_| Error::new(ErrorCode::Internal, "the login's state cannot be kept"))?;
    Ok(Step::OpenUrl { url: url.into(), state: Secret::new(state) })
}

impl Asked {
    /// The consent that a login waits for; `None` where it waits for something else.
    pub(crate) fn load(state: &Secret) -> Option<Self> {
        serde_json::from_str(state.expose()).ok()
    }

    /// The login that comes next.
    pub(crate) fn login(&self) -> LoginRequest {
        LoginRequest {
            flow: Flow::Browser,
            redirect_uri: self.redirect_uri.clone(),
            state: self.state_of_consent.clone(),
            scopes: self.scopes.clone(),
            force: self.force,
        }
    }

    /// Reads the redirect of the page.
    ///
    /// # Errors
    /// An administrator who said no, or anything that is not a consent.
    pub(crate) fn read(
        &self,
        query: &Secret,
        client: &OAuthClient,
        connection: &Conn,
        directory: &Directory,
    ) -> Result<(), Error> {
        let members: Map<String, Value> =
            url::form_urlencoded::parse(query.expose().trim_start_matches('?').as_bytes())
                .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
                .collect();
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        if text("state") != Some(&self.state_of_consent) {
            return Err(Error::invalid_response("the redirect's `state` is not that of this login")
                .with_hint("use the link of this login, once"));
        }
        if let Some(error) = text("error") {
            let error = error.to_owned();
            let refused = client.refused(&Refusal { status: 0, error, retry_after: None, members });
            return Err(if refused.hint.is_some() { refused } else { refused.with_hint(remedy(connection)) });
        }
        match (text("admin_consent"), text("tenant")) {
            (Some(given), Some(tenant))
                if given.eq_ignore_ascii_case("true") && directory.tenant.admits(tenant) =>
            {
                Ok(())
            }
            (Some(given), Some(tenant)) if given.eq_ignore_ascii_case("true") => {
                let tenant = ccproxy_plugin_oauth::shown_line(tenant);
                Err(Error::new(
                    ErrorCode::AccessDenied,
                    format!("the consent is of another tenant, `{tenant}`"),
                )
                .with_hint("let an administrator of the tenant in `tenant` agree"))
            }
            _ => Err(Error::invalid_response(
                "the redirect of the consent has neither `admin_consent` nor `error`",
            )),
        }
    }
}

fn remedy(connection: &Conn) -> String {
    format!(
        "an administrator has to agree; without `admin_consent` of `{}` a login asks for your own consent only",
        connection.label()
    )
}
