//! A login's steps in the host's types.

use std::time::Duration;

use abi_stable::std_types::{ROption, RVec};
use ccproxy_plugin_abi::{self as abi, code};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::codes::one_line;
use super::grant;
use crate::fault::{Code, Fault};
use crate::login::step::{Input, Request, Step, UserCode};
use crate::model::{Name, UnixMillis};
use crate::secret::Secret;
use crate::vault::GrantView;

/// Pauses between polls. A plugin that says 0 would spin, one that says a day would hang the login.
const POLL_PAUSE: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);

/// What a finished login yields; not stored yet.
pub struct NewGrant {
    /// The plugin's record.
    pub record: Secret,
    /// What it says.
    pub view: GrantView,
    /// The scopes that were asked for.
    pub scopes_requested: Vec<String>,
}

pub(super) fn request(request: Request) -> abi::LoginRequest {
    abi::LoginRequest {
        flow: request.flow.as_str().into(),
        redirect_uri: request.redirect_uri.into(),
        state: request.state.into(),
        scopes: request.scopes.into_iter().map(Into::into).collect(),
        force: request.force,
        ext: RVec::new(),
    }
}

pub(super) fn input(input: Input) -> abi::LoginInput {
    let (kind, data) = match input {
        Input::Redirect(query) => (code::input::REDIRECT, RVec::from(query.expose())),
        Input::Poll => (code::input::POLL, RVec::new()),
        Input::Answer(answer) => (code::input::ANSWER, RVec::from(answer.expose())),
    };
    abi::LoginInput { kind, data, ext: RVec::new() }
}

#[derive(Deserialize)]
struct OpenUrl {
    url: String,
}

#[derive(Deserialize)]
struct Shown {
    verification_uri: String,
    verification_uri_complete: Option<String>,
    user_code: String,
}

#[derive(Deserialize)]
struct Ask {
    prompt: String,
    #[serde(default)]
    secret: bool,
}

pub(super) fn step(plugin: &Name, step: abi::Step) -> Result<Step<NewGrant>, Fault> {
    let state = Secret::new(step.state.into());
    let poll_after = Duration::from_millis(step.poll_after_ms).clamp(*POLL_PAUSE.start(), *POLL_PAUSE.end());
    let expires_at = (step.expires_at_unix_ms > 0).then_some(UnixMillis(step.expires_at_unix_ms));
    match step.kind {
        code::step::OPEN_URL => {
            let OpenUrl { url } = data(plugin, &step.data)?;
            Ok(Step::OpenUrl { url: web_url(plugin, &url)?, state })
        }
        code::step::USER_CODE => {
            let shown: Shown = data(plugin, &step.data)?;
            let complete = shown.verification_uri_complete.map(|url| web_url(plugin, &url)).transpose()?;
            let code = UserCode {
                verification_uri: web_url(plugin, &shown.verification_uri)?,
                verification_uri_complete: complete,
                user_code: one_line(&shown.user_code),
                expires_at,
            };
            Ok(Step::UserCode { code, poll_after, state })
        }
        code::step::ASK => {
            let ask: Ask = data(plugin, &step.data)?;
            Ok(Step::Ask { prompt: one_line(&ask.prompt), secret: ask.secret, state })
        }
        code::step::WAIT => Ok(Step::Wait { poll_after, state }),
        code::step::DONE => {
            let view = match step.view {
                ROption::RSome(view) => view,
                ROption::RNone => {
                    return Err(nonsense(plugin, "ended a login without saying what was granted"));
                }
            };
            let (view, scopes_requested) = grant::grant_view(view);
            Ok(Step::Done(NewGrant { record: Secret::new(step.record.into()), view, scopes_requested }))
        }
        kind => {
            let what =
                format!("plugin `{plugin}` wants a login step of kind {kind}, which this host does not know");
            Err(Fault::new(Code::Unsupported, what).hint("update ccproxy"))
        }
    }
}

fn data<T: DeserializeOwned>(plugin: &Name, json: &str) -> Result<T, Fault> {
    // The text is not repeated: it may be anything.
    serde_json::from_str(json).map_err(|_| nonsense(plugin, "sent a login step that makes no sense"))
}

/// A URL that may be handed to a browser: https, or http to this machine, without a password in it.
fn web_url(plugin: &Name, text: &str) -> Result<String, Fault> {
    let url = url::Url::parse(text).map_err(|_| nonsense(plugin, "wants something opened that is no URL"))?;
    crate::upstream::Origin::of(&url)
        .map_err(|error| nonsense(plugin, &format!("wants a URL opened, but {error}")))?;
    Ok(url.into())
}

fn nonsense(plugin: &Name, why: &str) -> Fault {
    Fault::new(Code::InvalidResponse, format!("plugin `{plugin}` {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn sent(kind: u32, data: &str) -> Result<Step<NewGrant>, Fault> {
        let raw = abi::Step {
            kind,
            data: data.into(),
            state: RVec::new(),
            poll_after_ms: 0,
            expires_at_unix_ms: 0,
            record: RVec::new(),
            view: ROption::RNone,
            ext: RVec::new(),
        };
        step(&"acme".parse().unwrap(), raw)
    }

    #[test]
    fn a_browser_is_only_sent_to_the_web() {
        assert!(sent(code::step::OPEN_URL, r#"{"url":"https://id.example/authorize?x=y"}"#).is_ok());
        assert!(sent(code::step::OPEN_URL, r#"{"url":"http://127.0.0.1:9/authorize"}"#).is_ok());
        for url in
            ["http://id.example/", "file:///etc/passwd", "javascript:alert(1)", "https://a:b@id.example/"]
        {
            let refused = sent(code::step::OPEN_URL, &format!(r#"{{"url":"{url}"}}"#)).err().unwrap();
            assert_eq!(refused.code, Code::InvalidResponse, "{url}");
        }
    }

    #[test]
    fn a_code_is_shown_without_terminal_tricks_and_polled_without_spinning() {
        let data = r#"{"verification_uri":"https://id.example/","user_code":"AB\u001b[2J"}"#;
        let Ok(Step::UserCode { code, poll_after, .. }) = sent(code::step::USER_CODE, data) else { panic!() };
        assert_eq!(code.user_code, "AB [2J");
        assert_eq!(poll_after, *POLL_PAUSE.start());
    }

    #[test]
    fn an_unknown_step_and_a_grantless_end_end_the_login() {
        assert_eq!(sent(99, "{}").err().unwrap().code, Code::Unsupported);
        assert_eq!(sent(code::step::DONE, "").err().unwrap().code, Code::InvalidResponse);
        assert_eq!(sent(code::step::ASK, "[]").err().unwrap().code, Code::InvalidResponse);
    }
}
