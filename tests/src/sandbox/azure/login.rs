//! Pages: signing in, and an administrator's consent for everybody.

use super::directory::{App, Tenant, check_tenant};
use super::named;
use super::problem::Problem;
use super::scope::Asked;
use crate::sandbox::authority::State;
use crate::sandbox::authorize::{self, AuthorizationRequest, Personality};
use crate::sandbox::clients::is_loopback_redirect;
use crate::sandbox::endpoint::Context;
use crate::sandbox::page;
use crate::sandbox::reply::Reply;

pub(super) fn authorize(state: &mut State, context: Context<'_>) -> Reply {
    match request(&context) {
        Ok(request) => authorize::ask(state, context, request),
        Err(problem) => problem.into_page(),
    }
}

fn request(context: &Context<'_>) -> Result<AuthorizationRequest, Problem> {
    let query = &context.call.query;
    check_tenant(named(context))?;
    let app = App::find(query.get("client_id"))?;
    let redirect_uri = redirect_uri(context)?;
    let scope = query.get("scope").ok_or_else(|| Problem::missing("scope"))?;
    Asked::parse(scope)?;
    if query.get("code_challenge").is_some() && query.get("code_challenge_method") != Some("S256") {
        return Err(Problem::missing("code_challenge_method"));
    }
    Ok(AuthorizationRequest {
        client: app.client_id.to_owned(),
        redirect_uri,
        state: query.get("state").map(str::to_owned),
        scope: scope.to_owned(),
        challenge: query.get("code_challenge").map(str::to_owned),
        nonce: query.get("nonce").map(str::to_owned),
        audience: None,
        personality: Personality::Azure,
    })
}

/// Registered is `http://localhost`, of which the port may differ and the path may not.
fn redirect_uri(context: &Context<'_>) -> Result<String, Problem> {
    let uri = context.call.query.get("redirect_uri").unwrap_or_default();
    let registered = uri.starts_with("http://localhost") && is_loopback_redirect(uri, &["/"]);
    if registered { Ok(uri.to_owned()) } else { Err(Problem::redirect_mismatch(uri)) }
}

/// `sandbox_approve` is the administrator, and `sandbox_deny` is one, too.
pub(super) fn admin_consent(state: &mut State, context: &Context<'_>) -> Reply {
    let query = &context.call.query;
    let checked = App::find(query.get("client_id")).and_then(|app| Ok((app, redirect_uri(context)?)));
    let (app, redirect_uri) = match checked {
        Ok(checked) => checked,
        Err(problem) => return problem.into_page(),
    };
    let tenant = match Tenant::of_user(named(context), "admin") {
        Ok(tenant) => tenant,
        Err(problem) => return problem.into_page(),
    };
    let state_parameter = query.get("state").unwrap_or_default();
    let answer = if query.get("sandbox_deny").is_some() {
        vec![
            ("error", "access_denied"),
            ("error_description", "AADSTS65004: User declined to consent.\r\nTrace ID: x"),
        ]
    } else if query.get("sandbox_approve").is_some() || state.settings.auto_approve.is_some() {
        state.admin_consents.insert((app.client_id.to_owned(), tenant.id.to_owned()));
        vec![("admin_consent", "True"), ("tenant", tenant.id)]
    } else {
        return Reply::html(page::done("waiting for an administrator")).with_outcome("asked");
    };
    let Ok(mut back) = url::Url::parse(&redirect_uri) else {
        return Problem::redirect_mismatch(&redirect_uri).into_page();
    };
    back.query_pairs_mut().extend_pairs(answer).append_pair("state", state_parameter);
    Reply::redirect(back.as_str())
}
