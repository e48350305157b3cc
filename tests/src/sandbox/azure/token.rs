//! The token endpoint. Every answer has a new refresh token, and the old one lives on.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::device::holder;
use super::directory::{App, Tenant, check_tenant, object_id};
use super::named;
use super::problem::Problem;
use super::scope::Asked;
use crate::sandbox::authority::State;
use crate::sandbox::authorize::Personality;
use crate::sandbox::device::{self, Poll};
use crate::sandbox::endpoint::Context;
use crate::sandbox::id_token;
use crate::sandbox::reply::Reply;
use crate::sandbox::store::{Family, Fingerprint, Grant, RefreshState};
use crate::sandbox::token::{DEVICE_GRANT, check_verifier};

pub(super) fn token(state: &mut State, mut context: Context<'_>) -> Reply {
    match exchange(state, &mut context) {
        Ok(answer) => Reply::json(Value::Object(answer)),
        Err(problem) => problem.into_reply(),
    }
}

type Tokens = Result<Map<String, Value>, Problem>;

fn exchange(state: &mut State, context: &mut Context<'_>) -> Tokens {
    let form = &context.call.form;
    check_tenant(named(context))?;
    if form.get("resource").is_some() {
        return Err(Problem::resource_parameter());
    }
    let app = App::find(form.get("client_id"))?;
    app.authenticate(form.get("client_secret"))?;
    context.entry.client_auth = Some(if app.is_public() { "none" } else { "post" }.to_owned());
    match form.get("grant_type") {
        Some("authorization_code") => by_code(state, context, app),
        Some(DEVICE_GRANT) => by_device_code(state, context, app),
        Some("refresh_token") => by_refresh_token(state, context, app),
        Some("client_credentials") => by_client_credentials(state, context, app),
        _ => Err(Problem::unsupported_grant_type()),
    }
}

fn by_code(state: &mut State, context: &mut Context<'_>, app: App) -> Tokens {
    let form = &context.call.form;
    let given = form.get("code").ok_or_else(|| Problem::missing("code"))?;
    let code = state.store.codes.get(given).cloned().ok_or_else(Problem::bad_code)?;
    let is_its_own = code.request.personality == Personality::Azure && code.request.client == app.client_id;
    if !is_its_own || code.redeemed.is_some() || code.expires_at <= SystemTime::now() {
        return Err(Problem::bad_code());
    }
    if form.get("redirect_uri") != Some(&code.request.redirect_uri) {
        return Err(Problem::redirect_mismatch(form.get("redirect_uri").unwrap_or_default()));
    }
    check_verifier(code.request.challenge.as_deref(), form.get("code_verifier"))
        .map_err(|_| Problem::bad_code())?;
    let asked = Asked::parse(&code.request.scope)?;
    let family = grant(state, app, code.subject, asked.resource.uri, code.request.nonce);
    if let Some(code) = state.store.codes.get_mut(given) {
        code.redeemed = Some(family);
    }
    issue(state, context, app, family, &asked)
}

fn by_device_code(state: &mut State, context: &mut Context<'_>, app: App) -> Tokens {
    let given = context.call.form.get("device_code").ok_or_else(|| Problem::missing("device_code"))?;
    match device::poll(state, &holder(app, named(context)), given) {
        Poll::Unknown => Err(Problem::bad_device_code()),
        Poll::Pending => Err(Problem::pending()),
        Poll::TooFast { .. } => Err(Problem::slow_down()),
        Poll::Denied => Err(Problem::declined()),
        Poll::Expired => Err(Problem::device_code_expired()),
        Poll::Approved { subject, scope } => {
            let asked = Asked::parse(&scope)?;
            let family = grant(state, app, subject, asked.resource.uri, None);
            issue(state, context, app, family, &asked)
        }
    }
}

/// For whichever resource is asked for: the refresh token is the login's, not the resource's.
fn by_refresh_token(state: &mut State, context: &mut Context<'_>, app: App) -> Tokens {
    let form = &context.call.form;
    let given = form.get("refresh_token").ok_or_else(|| Problem::missing("refresh_token"))?;
    let family = match state.store.refresh_state(given) {
        RefreshState::Live(family) | RefreshState::Spent(family) => family,
        RefreshState::Dead(family) => {
            context.entry.on_family(family);
            return Err(Problem::dead_refresh_token());
        }
        RefreshState::Unknown => return Err(Problem::bad_refresh_token()),
    };
    context.entry.on_family(family);
    let granted = state.store.grant(family).clone();
    if granted.client != app.client_id {
        return Err(Problem::bad_refresh_token());
    }
    let asked = Asked::parse(form.get("scope").ok_or_else(|| Problem::missing("scope"))?)?;
    let tenant = Tenant::of_user(named(context), &granted.subject)?;
    let by_admin = state.admin_consents.contains(&(app.client_id.to_owned(), tenant.id.to_owned()));
    asked.check_consent(&granted.scope, by_admin)?;
    issue(state, context, app, family, &asked)
}

fn by_client_credentials(state: &mut State, context: &mut Context<'_>, app: App) -> Tokens {
    let scope = context.call.form.get("scope").ok_or_else(|| Problem::missing("scope"))?;
    if app.is_public() {
        return Err(Problem::secret_missing());
    }
    let tenant = Tenant::single(named(context)).ok_or_else(|| Problem::no_such_tenant(named(context)))?;
    let asked = Asked::parse(scope)?;
    if !asked.is_default() {
        return Err(Problem::not_default(scope));
    }
    let family = grant(state, app, app.client_id.to_owned(), asked.resource.uri, None);
    let mut answer = access_token(state, context, app, family, &asked);
    answer.remove("scope");
    context.entry.subject = Some(format!("{} of {}", app.client_id, tenant.id));
    Ok(answer)
}

/// `scope` of the grant holds the resources that the person was asked about.
fn grant(state: &mut State, app: App, subject: String, resource: &str, nonce: Option<String>) -> Family {
    state.store.add_grant(Grant {
        client: app.client_id.to_owned(),
        subject,
        scope: resource.to_owned(),
        nonce,
        auth_time: SystemTime::now(),
        by_device: false,
        revoked: false,
    })
}

fn issue(state: &mut State, context: &mut Context<'_>, app: App, family: Family, asked: &Asked) -> Tokens {
    let grant = state.store.grant(family).clone();
    let tenant = Tenant::of_user(named(context), &grant.subject)?;
    let mut answer = access_token(state, context, app, family, asked);
    if asked.offline {
        let ttl = state.settings.refresh_ttl(app.client_id);
        let refresh_token = state.store.add_refresh("sbxrt_", family, ttl);
        context.entry.issued_refresh_token = Some(Fingerprint::of(&refresh_token));
        answer.insert("refresh_token".to_owned(), json!(refresh_token));
    }
    if asked.openid {
        let issuer = format!("{}/azure/{}/v2.0", context.issuer, tenant.id);
        let mut claims = id_token::claims(&issuer, &grant, "");
        let own = json!({
            "ver": "2.0",
            "tid": tenant.id,
            "oid": object_id(&grant.subject),
            // For this app only.
            "sub": format!("{}-for-{}", grant.subject, app.client_id),
            "preferred_username": id_token::email(&grant.subject),
        });
        if let (Some(claims), Value::Object(own)) = (claims.as_object_mut(), own) {
            claims.remove("at_hash");
            claims.remove("email_verified");
            claims.extend(own);
            if !app.roles.is_empty() {
                claims.insert("roles".to_owned(), json!(app.roles));
            }
        }
        let algorithm = jsonwebtoken::Algorithm::RS256;
        let token = id_token::sign_claims(&state.keys, algorithm, claims, context.late.mutation);
        answer.insert("id_token".to_owned(), json!(token));
    }
    Ok(answer)
}

/// Lifetimes are texts, and there is a second one, of outages, that is no expiry.
fn access_token(
    state: &mut State,
    context: &mut Context<'_>,
    app: App,
    family: Family,
    asked: &Asked,
) -> Map<String, Value> {
    let ttl = state.settings.access_ttl(app.client_id);
    let scope = asked.of_resource.join(" ");
    let audience = Some(asked.resource.uri.to_owned());
    let token = state.store.add_access("sbxat_", family, scope.clone(), audience.clone(), Some(ttl));
    let entry = &mut *context.entry;
    entry.on_family(family);
    entry.subject = Some(state.store.grant(family).subject.clone());
    entry.audience = audience;
    entry.issued_access_token = Some(Fingerprint::of(&token));
    let answer = json!({
        "token_type": "Bearer",
        "scope": scope,
        "expires_in": ttl.as_secs().to_string(),
        "ext_expires_in": 86_400,
        "access_token": token,
    });
    match answer {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
