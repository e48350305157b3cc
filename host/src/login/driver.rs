//! Drives a login to its end: shows, waits, listens, polls. The provider decides what comes next.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use crate::fault::{Code, Fault};
use crate::model::UnixMillis;
use crate::secret::Secret;

use super::callback::Callbacks;
use super::page::Outcome;
use super::redirect::{Redirect, RedirectError, Tab};
use super::step::{Input, Request, Step, Steps, UserCode};
use super::{Flow, NoFlow};

/// The longest pause between two polls while the network is down.
const MAX_POLL_PAUSE: Duration = Duration::from_secs(30);

/// Who is logging in: a terminal, a page, a test.
pub trait Person: Send {
    /// Shows what there is to do.
    fn show(&mut self, notice: Notice<'_>);

    /// Asks for a value.
    fn ask<'a>(
        &'a mut self,
        prompt: &'a str,
        secret: bool,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, Fault>> + Send + 'a>>;

    /// The next line typed while waiting; `None` when no more can come.
    fn line(&mut self) -> Pin<Box<dyn Future<Output = Option<String>> + Send + '_>>;
}

/// What a person is shown.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// Open this; the browser comes back to `redirect_uri`.
    OpenUrl {
        /// The authorization URL.
        url: &'a str,
        /// Where the browser comes back to.
        redirect_uri: &'a str,
        /// The browser waits after an earlier page of this login, and is sent there.
        sent: bool,
    },
    /// Enter this code there.
    UserCode(&'a UserCode),
    /// A pasted line was not the address of this login's redirect.
    NotTheRedirect,
    /// The browser came back, or an address was pasted: tokens are being exchanged.
    Returned,
    /// A poll failed on the way; it goes on.
    Retrying(&'a Fault),
}

/// What a login needs besides the provider.
pub struct Terms<'a> {
    /// Which way.
    pub flow: Flow,
    /// Where the browser comes back to.
    pub return_to: ReturnTo<'a>,
    /// Scopes asked for on the command line.
    pub scopes: Vec<String>,
    /// Ask again even where a session exists.
    pub force: bool,
    /// How long to wait in all.
    pub timeout: Duration,
}

/// Where the browser of a login comes back to.
#[derive(Clone)]
pub enum ReturnTo<'a> {
    /// A listener of the login's own, at this address if it is fixed.
    Listener(Option<&'a str>),
    /// The host, at this address of [`super::CALLBACK_PATH`].
    Callback(Arc<Callbacks>, Url),
}

impl ReturnTo<'_> {
    async fn expect(self, state: &str) -> Result<Redirect, RedirectError> {
        match self {
            Self::Listener(fixed) => Redirect::listen(fixed, state).await,
            Self::Callback(callbacks, uri) => Ok(callbacks.expect(uri, state)),
        }
    }
}

/// A login that succeeded at the provider; nothing is stored yet.
pub struct Finished<D> {
    /// What to store.
    pub done: D,
    /// The browser tab that waits for the truth, and the listener that serves it.
    pub tab: Option<(Tab, Redirect)>,
}

/// Shows a waiting tab how it ended.
pub async fn show(tab: Option<(Tab, Redirect)>, outcome: Outcome) {
    if let Some((tab, _listener)) = tab {
        tab.show(outcome).await;
    }
}

/// Why a login did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The provider or the person said no, or something broke.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Nobody finished it in time.
    #[error("nobody finished the login within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// Nobody entered the code while it was good.
    #[error("nobody entered the code before it expired")]
    CodeExpired,
    /// No flow can work.
    #[error(transparent)]
    NoFlow(#[from] NoFlow),
    /// The redirect cannot be received here.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
}

/// Runs a login.
pub async fn drive<S: Steps>(
    steps: &S,
    terms: Terms<'_>,
    person: &mut dyn Person,
) -> Result<Finished<S::Done>, LoginError> {
    let deadline = Instant::now() + terms.timeout;
    let state = random_text()?;
    // Bound before anything is shown: nobody else can take the port in between.
    let redirect = match terms.flow {
        Flow::Browser | Flow::Paste => Some(terms.return_to.expect(&state).await?),
        Flow::Device | Flow::ClientCredentials | Flow::Token => None,
    };
    let request = Request {
        flow: terms.flow,
        redirect_uri: redirect.as_ref().map(|redirect| redirect.uri().to_owned()).unwrap_or_default(),
        state,
        scopes: terms.scopes,
        force: terms.force,
    };
    let mut run = Run { steps, person, redirect, tab: None, poll_until: None };
    let outcome = timeout_at(deadline, run.finish(request)).await;
    let tab = run.tab.take().zip(run.redirect.take());
    match outcome {
        Ok(Ok(done)) => Ok(Finished { done, tab }),
        // The server or our clock says that the code is void: nobody entered it.
        Ok(Err(fault)) if fault.code == Code::TokenExpired && run.poll_until.is_some() => {
            Err(LoginError::CodeExpired)
        }
        Ok(Err(fault)) => {
            show(tab, Outcome::Failed { message: fault.message.clone() }).await;
            Err(fault.into())
        }
        Err(_) => {
            show(tab, Outcome::Failed { message: "the login timed out".into() }).await;
            Err(LoginError::TimedOut(terms.timeout))
        }
    }
}

/// 256 random bits, as text for a URL.
pub(super) fn random_text() -> Result<String, Fault> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::new(Code::Internal, format!("the system has no random numbers: {error}")))?;
    use base64::Engine as _;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

struct Run<'a, S: Steps> {
    steps: &'a S,
    person: &'a mut dyn Person,
    redirect: Option<Redirect>,
    tab: Option<Tab>,
    /// Until when a failed poll is worth another.
    poll_until: Option<UnixMillis>,
}

impl<S: Steps> Run<'_, S> {
    async fn finish(&mut self, request: Request) -> Result<S::Done, Fault> {
        let mut step = self.steps.begin(request).await?;
        loop {
            step = match step {
                Step::Done(done) => return Ok(done),
                Step::OpenUrl { url, state } => {
                    let query = self.redirected(&url).await?;
                    self.person.show(Notice::Returned);
                    self.steps.go_on(state, Input::Redirect(query)).await?
                }
                Step::UserCode { code, poll_after, state } => {
                    self.person.show(Notice::UserCode(&code));
                    self.poll_until = code.expires_at;
                    self.poll(poll_after, state).await?
                }
                Step::Wait { poll_after, state } => self.poll(poll_after, state).await?,
                Step::Ask { prompt, secret, state } => {
                    let answer = self.person.ask(&prompt, secret).await?;
                    self.steps.go_on(state, Input::Answer(answer)).await?
                }
            };
        }
    }

    /// Waits for the browser or for a pasted address, whichever is first.
    async fn redirected(&mut self, url: &str) -> Result<Secret, Fault> {
        let Some(redirect) = &mut self.redirect else {
            return Err(Fault::new(Code::PluginFailed, "the plugin wants a browser in a flow without one"));
        };
        let waiting = self.tab.take();
        redirect.arm();
        self.person.show(Notice::OpenUrl { url, redirect_uri: redirect.uri(), sent: waiting.is_some() });
        if let Some(tab) = waiting {
            tab.show(Outcome::GoOn { url: url.to_owned() }).await;
        }
        let mut typing = true;
        loop {
            tokio::select! {
                arrival = redirect.arrival() => {
                    self.tab = Some(arrival.tab);
                    return Ok(arrival.query);
                }
                line = self.person.line(), if typing => match line {
                    None => typing = false,
                    Some(line) if line.trim().is_empty() => {}
                    Some(line) => match redirect.pasted(&line) {
                        Some(query) => return Ok(query),
                        None => self.person.show(Notice::NotTheRedirect),
                    },
                },
            }
        }
    }

    /// One poll. On the way to the server it may fail and be tried again, slower each time
    /// (RFC 8628 section 3.5), for as long as the code lives.
    async fn poll(&mut self, mut pause: Duration, state: Secret) -> Result<Step<S::Done>, Fault> {
        loop {
            sleep(pause).await;
            match self.steps.go_on(state.clone(), Input::Poll).await {
                Err(fault) if fault.code.is_transient() && self.code_lives() => {
                    self.person.show(Notice::Retrying(&fault));
                    pause = fault
                        .retry_after
                        .unwrap_or(pause * 2)
                        .clamp(Duration::from_millis(100), MAX_POLL_PAUSE);
                }
                other => return other,
            }
        }
    }

    fn code_lives(&self) -> bool {
        self.poll_until.is_some_and(|until| UnixMillis::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use pretty_assertions::assert_eq;

    use super::*;
    use crate::login::step::Answer;

    /// A provider that plays a list of steps and keeps what it was given.
    struct Script {
        steps: Mutex<Vec<Result<Step<String>, Fault>>>,
        inputs: Mutex<Vec<String>>,
    }

    impl Script {
        fn new(steps: Vec<Result<Step<String>, Fault>>) -> Self {
            Self { steps: Mutex::new(steps), inputs: Mutex::default() }
        }

        fn next(&self, input: String) -> Answer<'_, String> {
            self.inputs.lock().unwrap().push(input);
            let step = self.steps.lock().unwrap().remove(0);
            Box::pin(std::future::ready(step))
        }
    }

    impl Steps for Script {
        type Done = String;

        fn begin(&self, request: Request) -> Answer<'_, String> {
            self.next(format!("begin {}", request.flow))
        }

        fn go_on(&self, state: Secret, input: Input) -> Answer<'_, String> {
            let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
            let input = match &input {
                Input::Redirect(query) => format!("redirect {}", text(query)),
                Input::Poll => "poll".into(),
                Input::Answer(answer) => format!("answer {}", text(answer)),
            };
            self.next(format!("{} {input}", text(&state)))
        }
    }

    #[derive(Default)]
    struct Terminal {
        shown: Vec<String>,
        lines: Vec<String>,
    }

    impl Person for Terminal {
        fn show(&mut self, notice: Notice<'_>) {
            self.shown.push(match notice {
                Notice::OpenUrl { url, .. } => format!("open {url}"),
                Notice::UserCode(code) => format!("code {}", code.user_code),
                Notice::NotTheRedirect => "not the redirect".into(),
                Notice::Returned => "returned".into(),
                Notice::Retrying(fault) => format!("retrying {}", fault.code),
            });
        }

        fn ask<'a>(
            &'a mut self,
            prompt: &'a str,
            _: bool,
        ) -> Pin<Box<dyn Future<Output = Result<Secret, Fault>> + Send + 'a>> {
            Box::pin(std::future::ready(Ok(Secret::from(format!("my {prompt}")))))
        }

        fn line(&mut self) -> Pin<Box<dyn Future<Output = Option<String>> + Send + '_>> {
            let line = if self.lines.is_empty() { None } else { Some(self.lines.remove(0)) };
            Box::pin(std::future::ready(line))
        }
    }

    fn terms(flow: Flow) -> Terms<'static> {
        Terms {
            flow,
            return_to: ReturnTo::Listener(None),
            scopes: Vec::new(),
            force: false,
            timeout: Duration::from_secs(60),
        }
    }

    fn state() -> Secret {
        Secret::from("S".to_owned())
    }

    #[tokio::test]
    async fn an_address_pasted_while_waiting_finishes_a_browser_login() {
        let script = Script::new(vec![
            Ok(Step::OpenUrl { url: "https://id.example/a".into(), state: state() }),
            Ok(Step::Done("record".into())),
        ]);
        let lines = vec!["what?".into(), "http://127.0.0.1:1/callback?code=c&state=x".into()];
        let mut terminal = Terminal { lines, ..Terminal::default() };
        let finished = drive(&script, terms(Flow::Browser), &mut terminal).await.unwrap();
        assert_eq!(finished.done, "record");
        assert_eq!(terminal.shown, ["open https://id.example/a", "not the redirect", "returned"]);
        assert_eq!(*script.inputs.lock().unwrap(), ["begin browser", "S redirect code=c&state=x"]);
    }

    #[tokio::test]
    async fn a_login_of_two_pages_shows_the_second_to_whoever_pastes() {
        let script = Script::new(vec![
            Ok(Step::OpenUrl { url: "https://id.example/a".into(), state: state() }),
            Ok(Step::OpenUrl { url: "https://id.example/b".into(), state: state() }),
            Ok(Step::Done("record".into())),
        ]);
        let line = |query: &str| format!("http://127.0.0.1:1/callback?{query}&state=x");
        let mut terminal = Terminal { lines: vec![line("page=1"), line("code=c")], ..Terminal::default() };
        drive(&script, terms(Flow::Paste), &mut terminal).await.unwrap();
        let pages = ["open https://id.example/a", "returned", "open https://id.example/b", "returned"];
        assert_eq!(terminal.shown, pages);
        let inputs = ["begin paste", "S redirect page=1&state=x", "S redirect code=c&state=x"];
        assert_eq!(*script.inputs.lock().unwrap(), inputs);
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_login_polls_on_through_a_network_that_comes_and_goes() {
        let code = UserCode {
            verification_uri: "https://id.example/device".into(),
            verification_uri_complete: None,
            user_code: "WDJB-MJHT".into(),
            expires_at: Some(UnixMillis::now().plus(Duration::from_secs(900))),
        };
        let second = Duration::from_secs(1);
        let script = Script::new(vec![
            Ok(Step::UserCode { code, poll_after: second, state: state() }),
            Err(Fault::new(Code::Network, "connection refused")),
            Ok(Step::Wait { poll_after: second, state: state() }),
            Ok(Step::Done("record".into())),
        ]);
        let mut terminal = Terminal::default();
        let finished = drive(&script, terms(Flow::Device), &mut terminal).await.unwrap();
        assert_eq!(finished.done, "record");
        assert_eq!(terminal.shown, ["code WDJB-MJHT", "retrying network"]);
    }

    #[tokio::test]
    async fn a_token_is_asked_for_and_a_refusal_ends_the_login() {
        let script = Script::new(vec![
            Ok(Step::Ask { prompt: "token".into(), secret: true, state: state() }),
            Err(Fault::new(Code::CredentialsRejected, "bad token")),
        ]);
        let error = drive(&script, terms(Flow::Token), &mut Terminal::default()).await.err().unwrap();
        assert!(matches!(error, LoginError::Fault(fault) if fault.code == Code::CredentialsRejected));
        assert_eq!(*script.inputs.lock().unwrap(), ["begin token", "S answer my token"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_nobody_finishes_times_out() {
        let script =
            Script::new(vec![Ok(Step::OpenUrl { url: "https://id.example/a".into(), state: state() })]);
        let error = drive(&script, terms(Flow::Browser), &mut Terminal::default()).await.err().unwrap();
        assert!(matches!(error, LoginError::TimedOut(after) if after == Duration::from_secs(60)));
    }
}
