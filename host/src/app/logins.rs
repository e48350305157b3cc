//! Logins that were started through the API: each is driven here, shown to whoever polls it, and fed with
//! what a person pastes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::admin::Control;
use crate::fault::{Code, Fault};
use crate::login::{LoginError, LoginOptions, Notice, Person};
use crate::model::ConnectionId;
use crate::refusal::{ApiRefusal, Why};
use crate::secret::Secret;

use super::callback::HostCallback;
use super::login::{Beginning, Client, LoginFailure};
use super::serve::Serving;

/// Logins that may wait for a person at once.
const MOST_WAITING: usize = 16;
/// How long one that has ended can be asked about.
const KEPT: Duration = Duration::from_secs(600);

/// The logins of this host.
#[derive(Default)]
pub(super) struct Logins(Mutex<BTreeMap<String, Arc<Login>>>);

struct Login {
    id: String,
    /// What it was asked to log in, so that one login at a time does.
    subject: String,
    typed: mpsc::Sender<Secret>,
    shown: Mutex<Shown>,
    driving: Mutex<Option<AbortHandle>>,
}

/// The document as it is now.
struct Shown {
    document: Value,
    ended: Option<Instant>,
}

impl Logins {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Login>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str) -> Result<Arc<Login>, ApiRefusal> {
        let found = self.all().get(id).cloned();
        found.ok_or_else(|| ApiRefusal::of(Why::NotFound, "there is no such login, or it ended long ago"))
    }

    /// Room for one more. Those that ended long ago are forgotten.
    fn admit(&self, login: Arc<Login>) -> Result<(), ApiRefusal> {
        let mut all = self.all();
        all.retain(|_, login| login.shown().ended.is_none_or(|at| at.elapsed() < KEPT));
        let waiting = || all.values().filter(|login| login.shown().ended.is_none());
        if waiting().any(|other| other.subject == login.subject) {
            let what = format!("a login of `{}` is under way", login.subject);
            return Err(ApiRefusal::of(Why::Conflict, what));
        }
        if waiting().count() >= MOST_WAITING {
            return Err(ApiRefusal::of(
                Why::Conflict,
                format!("{MOST_WAITING} logins are under way already"),
            ));
        }
        all.insert(login.id.clone(), login);
        Ok(())
    }

    /// How a login stands.
    pub(super) fn document(&self, id: &str) -> Result<Value, ApiRefusal> {
        Ok(self.find(id)?.shown().document.clone())
    }

    /// What a person copied out of the browser, or the answer to a question.
    pub(super) fn paste(&self, id: &str, text: String) -> Result<Value, ApiRefusal> {
        let login = self.find(id)?;
        if login.shown().ended.is_some() || login.typed.try_send(Secret::from(text)).is_err() {
            return Err(ApiRefusal::of(Why::Conflict, "this login takes nothing more"));
        }
        self.document(id)
    }

    /// Ends a login. Nothing is saved.
    pub(super) fn cancel(&self, id: &str) -> Result<Value, ApiRefusal> {
        let login = self.find(id)?;
        login.cancel();
        self.document(id)
    }

    /// Ends the login of a connection that is under way, if one is.
    pub(super) fn cancel_of(&self, connection: &ConnectionId) -> Option<Value> {
        let subject = connection.to_string();
        let waiting = |login: &&Arc<Login>| login.subject == subject && login.shown().ended.is_none();
        let login = self.all().values().find(waiting).cloned()?;
        login.cancel();
        Some(login.shown().document.clone())
    }
}

impl Login {
    fn cancel(&self) {
        if let Some(driving) = self.driving.lock().unwrap_or_else(PoisonError::into_inner).take() {
            driving.abort();
        }
        self.end(|document| document["step"] = "cancelled".into());
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another step: what the one before showed is gone.
    fn step(&self, step: &str, members: Value) {
        let mut shown = self.shown();
        let kept = ["schema", "id", "connection", "provider", "flow"];
        if let (Value::Object(document), Value::Object(members)) = (&mut shown.document, members) {
            document.retain(|key, _| kept.contains(&key.as_str()));
            document.extend(members);
            document.insert("step".into(), step.into());
        }
    }

    /// The last step, unless there was one.
    fn end(&self, fill: impl FnOnce(&mut Value)) {
        if self.shown().ended.is_none() {
            self.step("failed", json!({}));
            let mut shown = self.shown();
            fill(&mut shown.document);
            shown.ended = Some(Instant::now());
        }
    }
}

impl Serving {
    /// Starts a login. Its steps are polled.
    pub(super) fn begin_login(self: Arc<Self>, options: LoginOptions) -> Result<Value, ApiRefusal> {
        let subject = options.connection.as_ref().map_or_else(|| options.target.clone(), ToString::to_string);
        let id = random_id()?;
        let (typed, lines) = mpsc::channel(4);
        let document = json!({ "schema": "ccproxy.login/1", "id": id, "step": "starting" });
        let login = Arc::new(Login {
            id: id.clone(),
            subject,
            typed,
            shown: Mutex::new(Shown { document, ended: None }),
            driving: Mutex::default(),
        });
        self.logins.admit(Arc::clone(&login))?;
        let (serving, driven) = (Arc::clone(&self), Arc::clone(&login));
        let driving = tokio::spawn(async move { serving.drive_login(options, &driven, lines).await });
        *login.driving.lock().unwrap_or_else(PoisonError::into_inner) = Some(driving.abort_handle());
        self.logins.document(&id)
    }

    async fn drive_login(&self, options: LoginOptions, login: &Arc<Login>, lines: mpsc::Receiver<Secret>) {
        let callback =
            (!options.own_listener).then(|| HostCallback::new(&self.app.callbacks, &self.listen_urls()));
        let mut client = Polled { login: Arc::clone(login), lines, callback };
        let outcome = match self.app.login(&options, &mut client).await {
            // It is served before anybody is told that it is saved.
            Ok(done) => Control::reload(self, &done.id).await.map(|_| done).map_err(LoginFailure::from),
            Err(failure) => Err(failure),
        };
        login.end(|document| match outcome {
            Ok(done) => {
                document["step"] = "done".into();
                document["connection"] = done.id.to_string().into();
                document["provider"] = done.provider.as_str().into();
                document["unchanged"] = done.unchanged.into();
            }
            Err(failure) => {
                let fault = fault_of(failure);
                document["problem"] =
                    json!({ "code": fault.code.as_str(), "message": fault.message, "hint": fault.hint });
            }
        });
    }
}

fn fault_of(failure: LoginFailure) -> Fault {
    let text = failure.to_string();
    match failure {
        LoginFailure::Login(LoginError::Fault(fault)) => fault,
        LoginFailure::Login(LoginError::TimedOut(_) | LoginError::CodeExpired) => {
            Fault::new(Code::Timeout, text)
        }
        LoginFailure::Login(LoginError::NoFlow(_) | LoginError::Redirect(_)) | LoginFailure::Target(_) => {
            Fault::new(Code::InvalidConfig, text)
        }
    }
}

/// 128 random bits: who does not know the id cannot follow the login.
fn random_id() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::new(Code::Internal, format!("the system has no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A person who polls.
struct Polled {
    login: Arc<Login>,
    lines: mpsc::Receiver<Secret>,
    callback: Option<HostCallback>,
}

impl Client for Polled {
    fn begin(&mut self, beginning: &Beginning<'_>) {
        self.login.step("starting", json!({}));
        let mut shown = self.login.shown();
        shown.document["connection"] = beginning.id.to_string().into();
        shown.document["flow"] = beginning.choice.flow.to_string().into();
    }

    fn probing(&mut self) {
        self.login.step("probing", json!({}));
    }

    fn callback(&self) -> Option<&HostCallback> {
        self.callback.as_ref()
    }
}

impl Person for Polled {
    fn show(&mut self, notice: Notice<'_>) {
        match notice {
            Notice::OpenUrl { url, redirect_uri, .. } => {
                self.login.step("open_url", json!({ "url": url, "redirect_uri": redirect_uri }));
            }
            Notice::UserCode(code) => self.login.step(
                "user_code",
                json!({
                    "verification_uri": code.verification_uri,
                    "verification_uri_complete": code.verification_uri_complete,
                    "user_code": code.user_code,
                    "expires_at": code.expires_at.map(crate::model::UnixMillis::rfc3339),
                }),
            ),
            Notice::NotTheRedirect => {
                let notice = "what was pasted is not the address of this login's redirect";
                self.login.shown().document["notice"] = notice.into();
            }
            Notice::Returned => self.login.step("exchanging", json!({})),
            Notice::Retrying(fault) => {
                self.login.shown().document["notice"] = fault.message.clone().into();
            }
        }
    }

    fn ask<'a>(
        &'a mut self,
        prompt: &'a str,
        secret: bool,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, Fault>> + Send + 'a>> {
        self.login.step("ask", json!({ "prompt": prompt, "secret": secret }));
        Box::pin(async move {
            let answer = self.lines.recv().await;
            answer.ok_or_else(|| Fault::new(Code::Cancelled, "the login was cancelled"))
        })
    }

    fn line(&mut self) -> Pin<Box<dyn Future<Output = Option<String>> + Send + '_>> {
        Box::pin(async move {
            let line = self.lines.recv().await?;
            Some(String::from_utf8_lossy(line.expose()).into_owned())
        })
    }
}
