//! Each flow that needs no screen, from the first step to the saved grant.

use std::time::Duration;

use super::Trial;
use super::person::Agreeable;
use super::report::{Finding, Objection};
use super::sandbox::Sandbox;
use super::settings::Wishes;
use crate::app::{LoggedIn, LoginFailure, shown_account};
use crate::config::StoredConnection;
use crate::fault::{Code, Fault};
use crate::login::{Flow, LoginError, LoginOptions};
use crate::model::{Connection, ConnectionId};

/// A login of a person who does not think: a few exchanges and a pause between two polls.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who it is at every server of the sandbox.
const USER: &str = "alice";
/// In the order of what they are worth for the checks of the grant. A pasted redirect is a browser's.
const FLOWS: [Flow; 4] = [Flow::Browser, Flow::Device, Flow::ClientCredentials, Flow::Token];

/// A login that succeeded.
pub(super) struct Login {
    pub(super) id: ConnectionId,
    pub(super) flow: Flow,
    pub(super) refreshable: bool,
}

impl Trial<'_> {
    /// Logs in by every flow that the plugin has; answers the login whose grant is worth looking at.
    pub(super) async fn logins(
        &mut self,
        wishes: &Wishes,
        sandbox: &Sandbox,
    ) -> Result<Option<Login>, Fault> {
        let manifest = self.house.plugin().await?.manifest().clone();
        let offered = |flow: &Flow| manifest.flows.iter().any(|offered| offered == flow.as_str());
        let mut best: Option<Login> = None;
        for flow in FLOWS.into_iter().filter(offered) {
            let id = ConnectionId::global(format!("trial-{flow}").parse().expect("a flow is a word"));
            let connection = wishes.connection(id.name.as_str(), Some(flow), sandbox, &self.house)?;
            let (finding, login) = match self.log_in(connection, flow, sandbox).await? {
                Ok(done) => {
                    let login = Login { id, flow, refreshable: done.refreshable };
                    (account(&done), Some(login))
                }
                Err(objection) => (Err(objection), None),
            };
            self.note(&format!("login.{flow}"), finding).await?;
            let better =
                |login: &Login| best.as_ref().is_none_or(|best| login.refreshable && !best.refreshable);
            best = login.filter(better).or(best);
        }
        if best.is_none() {
            let none = Err(Objection::skipped("no login succeeded, so there is no grant to look at"));
            self.note("acquire", none).await?;
        }
        Ok(best)
    }

    /// One login; the connection is stored before it, as a configured one is.
    async fn log_in(
        &self,
        connection: StoredConnection,
        flow: Flow,
        sandbox: &Sandbox,
    ) -> Result<Result<LoggedIn, Objection>, Fault> {
        let app = self.house.app();
        if let Err(fault) = connection.write(self.house.paths()).and_then(|()| app.reload_settings()) {
            return Ok(Err(Objection::fault("its settings cannot be stored", &fault)));
        }
        let lent = Connection {
            id: connection.id.clone(),
            provider: connection.provider,
            settings: connection.settings,
            settings_generation: 0,
        };
        let described = self.house.plugin().await?.describe(&lent).await;
        let described = match described {
            Ok(described) => described,
            Err(fault) => {
                self.ear.hear_fault(&fault);
                return Ok(Err(Objection::fault("`describe`", &fault)));
            }
        };
        // Who needs no login is asked for a credential at once; no flow is named then.
        let machine = flow == Flow::ClientCredentials && !described.needs_login;
        if !machine && !described.flows.contains(&flow) {
            return Ok(Err(Objection::skipped("`describe` does not offer it with these settings")
                .hint("give what it lacks with --set SETTING=VALUE")));
        }
        self.log_in_again(&lent.id, (!machine).then_some(flow), sandbox).await
    }

    /// Logs in to a connection that is stored.
    pub(super) async fn log_in_again(
        &self,
        id: &ConnectionId,
        flow: Option<Flow>,
        sandbox: &Sandbox,
    ) -> Result<Result<LoggedIn, Objection>, Fault> {
        let token = sandbox.keeper().personal_token().await?;
        let (mut person, mut stuck) = Agreeable::new(sandbox.keeper(), USER, token);
        let options = LoginOptions {
            flow: flow.map(|flow| flow.as_str().to_owned()),
            force: true,
            timeout: PATIENCE,
            ..LoginOptions::new(id.to_string())
        };
        let app = self.house.app();
        let done = tokio::select! {
            done = app.login(&options, &mut person) => done.map_err(fault_of),
            Some(fault) = stuck.recv() => Err(fault),
        };
        // What was obtained for an earlier login is not this one's.
        app.credentials().reset(id);
        Ok(done.map_err(|fault| {
            self.ear.hear_fault(&fault);
            Objection::fault("the login failed", &fault)
        }))
    }
}

/// Whose account the login says it is.
fn account(done: &LoggedIn) -> Finding {
    if done.account.subject.is_empty() {
        return Err(Objection::failed(
            "`probe` names no subject: `auth status` could not tell whose login it is",
        )
        .hint("set `Account::subject` to what the provider calls the person or the client"));
    }
    let renewed = if done.refreshable { "renewed by itself" } else { "not renewed" };
    Ok(format!("logged in as {}; {renewed}", shown_account(&done.account)))
}

fn fault_of(failure: LoginFailure) -> Fault {
    match failure {
        LoginFailure::Login(LoginError::Fault(fault)) => fault,
        LoginFailure::Login(error @ (LoginError::TimedOut(_) | LoginError::CodeExpired)) => {
            Fault::new(Code::Timeout, error.to_string())
        }
        LoginFailure::Login(error) => Fault::new(Code::InvalidConfig, error.to_string()),
        LoginFailure::Target(error) => Fault::new(Code::InvalidConfig, error.to_string()),
    }
}
