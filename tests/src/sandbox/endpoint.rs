//! The way of every request to the authorization server: read, count, meet a fault, be answered, be logged.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::authority::{Authority, State};
use super::faults::{Fault, Late};
use super::log::{Entry, Open};
use super::reply::Reply;
use super::{authorize, azure, control, device, discovery, github, google, inspect, token};
use crate::params::Params;
use crate::server::{Body, Cut};

/// A request of the size that this server takes, whole.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Params,
    pub(crate) headers: HeaderMap,
    pub(crate) form: Params,
    pub(crate) body: Bytes,
}

const MAX_BODY: usize = 1 << 20;

impl Call {
    async fn read(request: Request<Incoming>) -> Result<Self, Cut> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| Cut)?.to_bytes();
        let media_type = parts.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let form = match media_type.split(';').next().map(str::trim) {
            Some("application/x-www-form-urlencoded") => Params::parse(&body),
            Some("application/json") => Params::from_json(&body),
            _ => Params::default(),
        };
        Ok(Self {
            path: parts.uri.path().to_owned(),
            query: Params::parse(parts.uri.query().unwrap_or_default().as_bytes()),
            method: parts.method,
            headers: parts.headers,
            form,
            body,
        })
    }
}

/// What a request can be for; the name in faults and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    Discovery,
    Jwks,
    Authorize,
    Decision,
    Token,
    DeviceAuthorization,
    DevicePage,
    DeviceDecision,
    Revoke,
    Introspect,
    Userinfo,
    GithubAuthorize,
    GithubToken,
    GithubDeviceCode,
    GithubDevicePage,
    GithubUser,
    GithubEmails,
    GithubRepos,
    GoogleAuthorize,
    GoogleToken,
    GoogleDeviceCode,
    GoogleDevicePage,
    GoogleRevoke,
    GoogleCerts,
    GoogleUserinfo,
    AzureAuthorize,
    AzureToken,
    AzureDeviceCode,
    AzureDevicePage,
    AzureKeys,
    AzureAdminConsent,
}

impl Endpoint {
    fn of(method: &Method, path: &str) -> Option<Self> {
        Some(match (method.as_str(), path) {
            ("GET", "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server") => {
                Self::Discovery
            }
            ("GET", "/jwks") => Self::Jwks,
            ("GET" | "POST", "/authorize") => Self::Authorize,
            ("POST", "/decision") => Self::Decision,
            ("POST", "/token") => Self::Token,
            ("POST", "/device_authorization") => Self::DeviceAuthorization,
            ("GET", "/device") => Self::DevicePage,
            ("POST", "/device/approve" | "/github/login/device" | "/google/device") => Self::DeviceDecision,
            ("POST", "/revoke") => Self::Revoke,
            ("POST", "/introspect") => Self::Introspect,
            ("GET" | "POST", "/userinfo") => Self::Userinfo,
            ("GET", "/github/login/oauth/authorize") => Self::GithubAuthorize,
            ("POST", "/github/login/oauth/access_token") => Self::GithubToken,
            ("POST", "/github/login/device/code") => Self::GithubDeviceCode,
            ("GET", "/github/login/device") => Self::GithubDevicePage,
            ("GET", "/github/api/v3/user") => Self::GithubUser,
            ("GET", "/github/api/v3/user/emails") => Self::GithubEmails,
            ("GET", "/github/api/v3/user/repos") => Self::GithubRepos,
            ("GET", "/google/o/oauth2/v2/auth") => Self::GoogleAuthorize,
            ("POST", "/google/token") => Self::GoogleToken,
            ("POST", "/google/device/code") => Self::GoogleDeviceCode,
            ("GET", "/google/device") => Self::GoogleDevicePage,
            ("POST", "/google/revoke") => Self::GoogleRevoke,
            ("GET", "/google/oauth2/v3/certs") => Self::GoogleCerts,
            ("GET" | "POST", "/google/oauth2/v3/userinfo") => Self::GoogleUserinfo,
            _ => return azure::endpoint(method, path),
        })
    }

    pub(crate) fn is_token(self) -> bool {
        matches!(self, Self::Token | Self::GithubToken | Self::GoogleToken | Self::AzureToken)
    }
}

/// What a handler is given besides the state: the request, its log entry, and what to get wrong on purpose.
pub(crate) struct Context<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) call: &'a Call,
    pub(crate) entry: &'a mut Entry,
    pub(crate) late: &'a Late,
}

/// Answers as the issuer that the listener is known by.
pub(crate) async fn answer(
    authority: Arc<Authority>,
    issuer: Arc<str>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Cut> {
    let call = Call::read(request).await?;
    if call.path.starts_with("/_sandbox/") {
        return Ok(control::answer(&authority, &call).into_response(&call.headers));
    }
    let Some(endpoint) = Endpoint::of(&call.method, &call.path) else {
        return Ok(Reply::error(StatusCode::NOT_FOUND, "not_found").into_response(&call.headers));
    };
    let (mut open, fault, delay) = arrive(&authority, endpoint, &call);
    tokio::time::sleep(delay).await;
    let late = match fault {
        None => Late::default(),
        Some(fault) => match fault.meet(&call).await {
            Ok(late) => late,
            Err(reply) => {
                let reply = reply.inspect_err(|Cut| open.finish(None, "cut"))?;
                open.finish(Some(reply.status), "fault");
                return Ok(reply.into_response(&call.headers));
            }
        },
    };
    let mut reply = {
        let mut state = authority.lock();
        let context = Context { issuer: &issuer, call: &call, entry: &mut open.entry, late: &late };
        dispatch(endpoint, &mut state, context)
    };
    late.distort(&mut reply);
    open.finish(Some(reply.status), reply.outcome());
    if late.lose_answer {
        return Err(Cut);
    }
    Ok(reply.into_response(&call.headers))
}

/// Logs the arrival and takes what is scripted for this request.
fn arrive(
    authority: &Arc<Authority>,
    endpoint: Endpoint,
    call: &Call,
) -> (Open, Option<Fault>, std::time::Duration) {
    let mut state = authority.lock();
    let mut entry = Entry::new(endpoint, call);
    let fault = state.faults.take(&entry);
    entry.fault = fault.as_ref().map(|fault| fault.name().to_owned());
    let delay = if endpoint.is_token() { state.settings.token_delay } else { std::time::Duration::ZERO };
    (state.log.open(Arc::clone(authority), entry), fault, delay)
}

fn dispatch(endpoint: Endpoint, state: &mut State, context: Context<'_>) -> Reply {
    match endpoint {
        Endpoint::Discovery => discovery::metadata(context.issuer),
        Endpoint::Jwks => discovery::jwks(state),
        Endpoint::Authorize => authorize::authorize(state, context),
        Endpoint::Decision => authorize::decision(state, context),
        Endpoint::Token => token::token(state, context),
        Endpoint::DeviceAuthorization => device::device_authorization(state, context),
        Endpoint::DevicePage => device::page(context.call, "/device/approve"),
        Endpoint::GithubDevicePage => device::page(context.call, "/github/login/device"),
        Endpoint::DeviceDecision => device::decision(state, context),
        Endpoint::Revoke => inspect::revoke(state, context),
        Endpoint::Introspect => inspect::introspect(state, context),
        Endpoint::Userinfo => inspect::userinfo(state, context),
        Endpoint::GithubAuthorize => github::authorize(state, context),
        Endpoint::GithubToken => github::access_token(state, context),
        Endpoint::GithubDeviceCode => github::device_code(state, context),
        Endpoint::GithubUser => github::user(state, context),
        Endpoint::GithubEmails => github::emails(state, context),
        Endpoint::GithubRepos => github::repos(state, context),
        Endpoint::GoogleAuthorize => google::authorize(state, context),
        Endpoint::GoogleToken => google::token(state, context),
        Endpoint::GoogleDeviceCode => google::device_code(state, context),
        Endpoint::GoogleDevicePage => device::page(context.call, "/google/device"),
        Endpoint::GoogleRevoke => google::revoke(state, context),
        Endpoint::GoogleCerts => discovery::jwks(state),
        Endpoint::GoogleUserinfo => google::userinfo(state, context),
        Endpoint::AzureAuthorize
        | Endpoint::AzureToken
        | Endpoint::AzureDeviceCode
        | Endpoint::AzureDevicePage
        | Endpoint::AzureKeys
        | Endpoint::AzureAdminConsent => azure::answer(endpoint, state, context),
    }
}
