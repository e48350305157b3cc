//! The device flow: no `verification_uri_complete`, a `message` for the person, numbers as texts.

use serde_json::json;

use super::directory::{App, check_tenant};
use super::named;
use super::problem::Problem;
use super::scope::Asked;
use crate::sandbox::authority::State;
use crate::sandbox::device;
use crate::sandbox::endpoint::Context;
use crate::sandbox::reply::Reply;
use crate::sandbox::store::random;

pub(super) fn begin(state: &mut State, context: &Context<'_>) -> Reply {
    let form = &context.call.form;
    let checked = check_tenant(named(context))
        .and_then(|()| App::find(form.get("client_id")))
        .and_then(|app| Asked::parse(form.get("scope").unwrap_or_default()).map(|_| app));
    let app = match checked {
        Ok(app) if app.is_public() => app,
        Ok(_) => return Problem::secret_missing().into_reply(),
        Err(problem) => return problem.into_reply(),
    };
    let scope = form.get("scope").unwrap_or_default().to_owned();
    let login = device::begin(state, &holder(app, named(context)), scope, random("sbxdc_"));
    let page = format!("{}/azure/devicelogin", context.issuer);
    Reply::json(json!({
        "user_code": login.user_code,
        "device_code": login.device_code,
        "verification_uri": page,
        "expires_in": state.settings.device_code_ttl.as_secs().to_string(),
        "interval": state.settings.device_interval.as_secs(),
        "message": format!("Abra a página {page} e digite o código {}.", login.user_code),
    }))
}

/// A code is polled for by the app that got it, at the tenant where it got it.
pub(super) fn holder(app: App, named: &str) -> String {
    format!("{} at {named}", app.client_id)
}
