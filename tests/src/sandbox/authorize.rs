//! The authorization endpoint: a request is checked, a person decides on a page, a code goes back.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use url::Url;

use super::authority::State;
use super::endpoint::Context;
use super::page;
use super::reply::{OAuthError, Reply};
use super::store::{Family, random};
use crate::params::Params;

/// What a client asked a person for.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) scope: String,
    pub(crate) challenge: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) audience: Option<String>,
    /// Which server's code it becomes; each redeems only its own.
    pub(crate) personality: Personality,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Personality {
    OpenId,
    GitHub,
    Azure,
    Google(GoogleAccess),
}

/// For how long a client of Google's asks; a refresh token hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GoogleAccess {
    Online,
    /// A refresh token with the first consent only.
    Offline,
    /// `prompt=consent`: a refresh token every time.
    OfflineWithConsent,
}

/// An authorization code and what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) request: AuthorizationRequest,
    pub(crate) subject: String,
    pub(crate) auth_time: SystemTime,
    pub(crate) expires_at: SystemTime,
    /// The grant it was redeemed for: a code that comes twice takes that grant along (RFC 6749 section 4.1.2).
    pub(crate) redeemed: Option<Family>,
}

/// RFC 6749 section 4.1.2 recommends at most ten minutes, which is also GitHub's lifetime of a code.
const CODE_TTL: Duration = Duration::from_secs(600);

pub(crate) fn authorize(state: &mut State, context: Context<'_>) -> Reply {
    let call = context.call;
    let params = if call.method == "POST" { &call.form } else { &call.query };
    // Until the client and its redirect URI are known to be good, nothing may be sent there.
    let client = params.get("client_id").and_then(|id| state.client(id)).filter(|client| client.is_login);
    let Some(client) = client else { return page::refusal("invalid_client", "no such client") };
    let Some(redirect_uri) = params.get("redirect_uri").filter(|uri| client.may_redirect_to(uri)) else {
        return page::refusal("redirect_uri_mismatch", "the redirect URI is not registered");
    };
    let request = AuthorizationRequest {
        client: client.id.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        state: params.get("state").map(str::to_owned),
        scope: known_scopes(params.get("scope").unwrap_or("openid")),
        challenge: params.get("code_challenge").map(str::to_owned),
        nonce: params.get("nonce").map(str::to_owned),
        audience: params.get("audience").or_else(|| params.get("resource")).map(str::to_owned),
        personality: Personality::OpenId,
    };
    let needs_pkce = client.auth == super::clients::ClientAuth::None;
    if let Err(error) = check(params, needs_pkce) {
        return request.redirect_error(context.issuer, error.error, &error.description);
    }
    ask(state, context, request)
}

fn check(params: &Params, needs_pkce: bool) -> Result<(), OAuthError> {
    if let Some(name) = params.repeated() {
        return Err(OAuthError::new("invalid_request", format!("{name} comes twice")));
    }
    if params.get("response_type") != Some("code") {
        return Err(OAuthError::new("unsupported_response_type", "only code"));
    }
    match (params.get("code_challenge"), params.get("code_challenge_method")) {
        (None, None) if needs_pkce => Err(OAuthError::new("invalid_request", "a public client needs PKCE")),
        (None, None) => Ok(()),
        (Some(challenge), Some("S256")) if challenge.len() == 43 => Ok(()),
        (Some(_), Some("S256")) => Err(OAuthError::new("invalid_request", "code_challenge is not a SHA-256")),
        _ => Err(OAuthError::new("invalid_request", "code_challenge_method must be S256")),
    }
}

/// Approves at once where that is asked for; else the person decides on a page.
pub(crate) fn ask(state: &mut State, context: Context<'_>, request: AuthorizationRequest) -> Reply {
    let query = &context.call.query;
    let auto =
        query.get("sandbox_approve").map(str::to_owned).or_else(|| state.settings.auto_approve.clone());
    if let Some(user) = auto {
        context.entry.subject = Some(user.clone());
        return approve(state, context.issuer, request, &user);
    }
    if query.get("sandbox_deny").is_some() {
        return deny(context.issuer, &request);
    }
    if query.get("prompt") == Some("none") {
        return request.redirect_error(context.issuer, "login_required", "nobody is logged in");
    }
    let id = random("");
    let page = page::approval(&id, &request, query.get("login_hint").unwrap_or("alice"));
    state.waiting.insert(id, request);
    Reply::html(page).with_outcome("asked")
}

/// What the buttons of the approval page send.
pub(crate) fn decision(state: &mut State, context: Context<'_>) -> Reply {
    let form = &context.call.form;
    let Some(request) = form.get("request").and_then(|id| state.waiting.remove(id)) else {
        return page::refusal("invalid_request", "no such authorization request is waiting");
    };
    context.entry.client = Some(request.client.clone());
    match (form.get("decision"), form.get("user")) {
        (Some("approve"), Some(user)) => {
            context.entry.subject = Some(user.to_owned());
            approve(state, context.issuer, request, user)
        }
        _ => deny(context.issuer, &request),
    }
}

fn approve(state: &mut State, issuer: &str, request: AuthorizationRequest, user: &str) -> Reply {
    let code = random(match request.personality {
        Personality::GitHub => "",
        Personality::Google(_) => "4/0",
        Personality::OpenId | Personality::Azure => "sbxac_",
    });
    let now = SystemTime::now();
    let redirect = request.redirect(issuer, &[("code", &code)]);
    let subject = user.to_owned();
    let code_record = Code { request, subject, auth_time: now, expires_at: now + CODE_TTL, redeemed: None };
    state.store.codes.insert(code, code_record);
    redirect
}

fn deny(issuer: &str, request: &AuthorizationRequest) -> Reply {
    request.redirect_error(issuer, "access_denied", "The user has denied your application access.")
}

impl AuthorizationRequest {
    fn redirect(&self, issuer: &str, parameters: &[(&str, &str)]) -> Reply {
        let Ok(mut url) = Url::parse(&self.redirect_uri) else {
            return Reply::error(StatusCode::BAD_REQUEST, "invalid_request");
        };
        url.query_pairs_mut().extend_pairs(parameters);
        if let Some(state) = &self.state {
            url.query_pairs_mut().append_pair("state", state);
        }
        match self.personality {
            // RFC 9207; GitHub has no issuer, Google and Entra do not say it here.
            Personality::OpenId => _ = url.query_pairs_mut().append_pair("iss", issuer),
            Personality::Azure => _ = url.query_pairs_mut().append_pair("session_state", &random("")),
            Personality::GitHub | Personality::Google(_) => {}
        }
        Reply::redirect(url.as_str())
    }

    pub(crate) fn redirect_error(&self, issuer: &str, error: &str, description: &str) -> Reply {
        self.redirect(issuer, &[("error", error), ("error_description", description)]).with_outcome(error)
    }
}

pub(crate) const SCOPES: &[&str] = &["openid", "profile", "email", "offline_access", "api:read", "api:write"];

/// The scopes that this server knows out of those asked for (RFC 6749 section 3.3 lets it ignore the rest).
pub(crate) fn known_scopes(asked: &str) -> String {
    asked.split(' ').filter(|scope| SCOPES.contains(scope)).collect::<Vec<_>>().join(" ")
}
