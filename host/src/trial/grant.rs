//! A grant from its first credential to its end: used, renewed, rotated, refused, revoked.

use std::sync::Arc;
use std::time::Duration;

use super::Trial;
use super::login::Login;
use super::report::{Finding, Objection};
use super::sandbox::{Sandbox, Seen};
use crate::credential::Prepared;
use crate::fault::{Code, Fault};
use crate::login::Flow;
use crate::model::{ConnectionId, Target};
use crate::vault::State;

/// A credential that is about to be used.
const LASTING: Duration = Duration::from_secs(10);
/// RFC 6749 section 6.
const REFRESH: &str = "refresh_token";

/// How the plugin renews a credential: the request that it sends.
#[derive(Clone, Debug)]
pub(super) struct Renewal {
    pub(super) endpoint: String,
    pub(super) grant_type: String,
}

/// What a check found, and what the next ones need of it.
type Found<T> = Result<(String, T), Objection>;

impl Trial<'_> {
    /// All checks of the grant that a login left.
    pub(super) async fn grant(&mut self, login: &Login, sandbox: &Sandbox) -> Result<(), Fault> {
        let id = &login.id;
        let finding = self.acquired(id, sandbox).await?;
        self.note("acquire", finding).await?;
        let (finding, renewal) = split(self.refreshed(login, sandbox).await?);
        self.note("refresh", finding).await?;
        let unknown = "it was not seen to renew a token at the sandbox";
        let by_token = renewal.clone().filter(|renewal| renewal.grant_type == REFRESH);
        let finding = match &by_token {
            Some(_) => self.rotated(id, sandbox).await?,
            None if renewal.is_some() => Err(Objection::skipped("it renews without a refresh token")),
            None => Err(Objection::skipped(unknown)),
        };
        self.note("rotation", finding).await?;
        match &renewal {
            Some(renewal) => self.outages(id, renewal, sandbox).await?,
            None => drop(self.note("outage", Err(Objection::skipped(unknown))).await?),
        }
        let finding = match &by_token {
            Some(_) => self.refused(id, sandbox).await?,
            None if renewal.is_some() => Err(Objection::skipped("it renews without a refresh token")),
            None => Err(Objection::skipped(unknown)),
        };
        self.note("refused-refresh", finding).await?;
        let finding = self.logged_out(login, sandbox).await?;
        self.note("logout", finding).await?;
        Ok(())
    }

    /// A credential that the upstream takes.
    async fn acquired(&self, id: &ConnectionId, sandbox: &Sandbox) -> Result<Finding, Fault> {
        let prepared = match self.credential(id).await {
            Ok(prepared) => prepared,
            Err(fault) => return Ok(Err(self.objection("no credential", &fault))),
        };
        let fields = prepared.fields.iter().map(|(name, _)| name.as_str().to_owned());
        let parameters = prepared.query.iter().map(|(name, _)| format!("?{name}"));
        let injected = fields.chain(parameters).collect::<Vec<_>>().join(", ");
        let manifest = self.house.plugin().await?.manifest().clone();
        let declared = &manifest.injected_fields;
        let undeclared = prepared.fields.iter().map(|(name, _)| name.as_str());
        let undeclared =
            undeclared.filter(|name| !declared.iter().any(|known| known.eq_ignore_ascii_case(name)));
        let undeclared: Vec<&str> = undeclared.collect();
        if !sandbox.accepts(&prepared).await? {
            return Ok(Err(Objection::failed(format!("the upstream refuses the credential in {injected}"))
                .hint(
                    "compare it with what the login yielded: is it the access token, and in the right form?",
                )));
        }
        let told = if undeclared.is_empty() { "" } else { "; the manifest does not list it" };
        Ok(Ok(format!("the upstream takes the credential in {injected}{told}")))
    }

    /// Another credential on demand, and how it was got.
    async fn refreshed(&self, login: &Login, sandbox: &Sandbox) -> Result<Found<Renewal>, Fault> {
        let id = &login.id;
        if !login.refreshable {
            return Ok(Err(Objection::skipped(format!(
                "what a login by {} yields is not renewed",
                login.flow
            ))));
        }
        let before = self.credential(id).await.ok();
        let known = sandbox.seen().await?;
        if let Err(fault) = self.house.app().refresh(id).await {
            return Ok(Err(self.objection("the refresh failed", &fault)));
        }
        let seen = sandbox.seen_after(known).await?;
        let Some(request) = seen.into_iter().find(Seen::issued) else {
            return Ok(Err(Objection::failed("a refresh that was asked for did not ask the provider")
                .hint("`Want::accepts` says whether the stored token will do")));
        };
        let after = match self.credential(id).await {
            Ok(after) => after,
            Err(fault) => return Ok(Err(self.objection("no credential after the refresh", &fault))),
        };
        if before.is_some_and(|before| same(&before, &after)) {
            return Ok(Err(Objection::failed("after the refresh the old credential is used")));
        }
        if !sandbox.accepts(&after).await? {
            return Ok(Err(Objection::failed("the upstream refuses the renewed credential")));
        }
        let renewal =
            Renewal { endpoint: request.endpoint().to_owned(), grant_type: request.grant_type().to_owned() };
        let told = format!("renewed by `{}`, and the upstream takes the new credential", renewal.grant_type);
        Ok(Ok((told, renewal)))
    }

    /// The new refresh token is stored before the new access token is given away: it outlives this process.
    async fn rotated(&mut self, id: &ConnectionId, sandbox: &Sandbox) -> Result<Finding, Fault> {
        sandbox.rotate().await?;
        let known = sandbox.seen().await?;
        if let Err(fault) = self.house.app().refresh(id).await {
            return Ok(Err(self.objection("the refresh failed", &fault)));
        }
        if !sandbox.seen_after(known).await?.iter().any(Seen::rotated) {
            return Ok(Err(Objection::skipped("this provider's server does not rotate refresh tokens")));
        }
        // What is not in the store by now is lost with the image.
        self.house.reopen().await?;
        let outcome = self.house.app().refresh(id).await;
        if sandbox.seen_after(known).await?.iter().any(Seen::reused) {
            return Ok(Err(Objection::failed(
                "after a restart the spent refresh token came back: the new one was not stored",
            )
            .hint("`grant.save(...)` the answer before `acquire` returns")));
        }
        match outcome {
            Ok(_) => Ok(Ok("the new refresh token was stored before its access token was used".into())),
            Err(fault) => Ok(Err(self.objection("after a restart the refresh failed", &fault))),
        }
    }

    /// A refresh token that the provider no longer knows asks for a login, and for nothing else.
    async fn refused(&self, id: &ConnectionId, sandbox: &Sandbox) -> Result<Finding, Fault> {
        sandbox.revoke_refresh_tokens().await?;
        let fault = match self.house.app().refresh(id).await {
            Ok(_) => {
                return Ok(Err(Objection::failed("a refresh succeeded whose refresh token is dead")));
            }
            Err(fault) => fault,
        };
        self.ear.hear_fault(&fault);
        if fault.code != Code::ReauthRequired {
            let what = format!(
                "a dead refresh token is told as `{}`, not `reauth_required`: {}",
                fault.code, fault.message
            );
            return Ok(Err(
                Objection::failed(what).hint("turn `invalid_grant` into `ErrorCode::ReauthRequired`")
            ));
        }
        let state = self.house.app().vault.read(id)?.map(|record| record.state);
        if state != Some(State::ReauthRequired) {
            return Ok(Err(Objection::failed(
                "the record of a dead grant does not say that a login is needed",
            )));
        }
        Ok(Ok(format!("`reauth_required`: {}", fault.message)))
    }

    /// After another login, nothing is left of the grant, and what is said of the revocation is true.
    async fn logged_out(&self, login: &Login, sandbox: &Sandbox) -> Result<Finding, Fault> {
        let id = &login.id;
        let flow = (login.flow != Flow::ClientCredentials).then_some(login.flow);
        if let Err(objection) = self.log_in_again(id, flow, sandbox).await? {
            return Ok(Err(objection));
        }
        let credential = self.credential(id).await.ok();
        let told = match self.house.app().logout(id, true).await {
            Ok(told) => told,
            Err(fault) => return Ok(Err(self.objection("the logout failed", &fault))),
        };
        if self.house.app().vault.read(id)?.is_some() {
            return Ok(Err(Objection::failed("the grant is still stored")));
        }
        let message = told["message"].as_str().unwrap_or_default().to_owned();
        if told["revoked"] != true {
            let why = if message.is_empty() { "the plugin does not say why".to_owned() } else { message };
            return Ok(Ok(format!("the grant is gone here; not revoked at the provider: {why}")));
        }
        match credential {
            Some(credential) if sandbox.accepts(&credential).await? => Ok(Err(Objection::failed(
                "it says that the provider revoked the grant, and its token is still good",
            )
            .hint("read the answer of the revocation endpoint before you say `revoked`"))),
            _ => Ok(Ok("revoked at the provider, and gone here".into())),
        }
    }

    async fn credential(&self, id: &ConnectionId) -> Result<Arc<Prepared>, Fault> {
        self.house.app().credential(id, Target::default(), LASTING).await
    }

    /// A failure where none is welcome.
    pub(super) fn objection(&self, during: &str, fault: &Fault) -> Objection {
        self.ear.hear_fault(fault);
        Objection::fault(during, fault)
    }
}

fn split<T>(found: Found<T>) -> (Finding, Option<T>) {
    match found {
        Ok((seen, thing)) => (Ok(seen), Some(thing)),
        Err(objection) => (Err(objection), None),
    }
}

fn same(one: &Prepared, other: &Prepared) -> bool {
    one.fields == other.fields && one.query == other.query
}
