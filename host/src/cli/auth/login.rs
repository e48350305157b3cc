//! `ccproxy auth login`

mod args;
pub(in crate::cli) mod flags;
mod terminal;

use serde_json::json;

pub(super) use args::split_scopes;
pub(in crate::cli) use args::{CreateArgs, LoginArgs};
use terminal::Terminal;

use crate::app::{LoggedIn, LoginFailure};
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit, chain};
use crate::cli::time::roughly;
use crate::fault::Code;
use crate::login::{LoginError, LoginOptions, NoFlow, TargetError};
use crate::model::UnixMillis;

pub(in crate::cli) async fn run(
    args: LoginArgs,
    settings: Vec<(String, String)>,
    context: Context,
) -> Result<Exit, CliError> {
    let options = args.options(settings, context.interactive())?;
    log_in(options, context).await
}

pub(super) async fn create(
    args: CreateArgs,
    settings: Vec<(String, String)>,
    context: Context,
) -> Result<Exit, CliError> {
    let options = args.options(settings, context.interactive())?;
    log_in(options, context).await
}

async fn log_in(options: LoginOptions, context: Context) -> Result<Exit, CliError> {
    let app = context.app()?;
    let mut terminal = Terminal::new(&context.out, &options);
    let done = app.login(&options, &mut terminal).await.map_err(|failure| failed(failure, &options))?;
    if !done.unchanged
        && let Some(host) = context.host().await?
    {
        host.post_to(&done.id, "reload", json!({})).await?;
    }
    let listen = context.base_url().await?;
    if context.out.json {
        let mut step = json!({
            "schema": "ccproxy.login/1",
            "step": "done",
            "connection": done.id.to_string(),
        });
        if done.unchanged {
            step["unchanged"] = true.into();
        }
        context.out.document(&step)?;
    } else {
        for line in summary(&done, &listen, UnixMillis::now()) {
            context.out.say(&line);
        }
    }
    Ok(Exit::OK)
}

/// What is said at the end, the last line being the one to try.
fn summary(done: &LoggedIn, base: &str, now: UnixMillis) -> Vec<String> {
    let account = crate::app::shown_account(&done.account);
    let mut lines = Vec::new();
    let mut life = match done.expires_at {
        Some(at) => format!("expires in {}", roughly(now.until(at))),
        None => "does not expire".to_owned(),
    };
    if done.refreshable && done.expires_at.is_some() {
        life.push_str(", refreshes automatically");
    }
    if done.unchanged {
        let who = if account.is_empty() { String::new() } else { format!(" as {account}") };
        lines.push(format!("`{}` is already logged in{who}", done.id));
        lines.push(format!(
            "hint: `ccproxy auth login {} --force` to replace it, `--connection NAME` to add another account",
            done.id
        ));
        return lines;
    }
    let who = if account.is_empty() { String::new() } else { format!("{account}, ") };
    lines.push(format!("✓ Logged in: {who}{life}"));
    lines.push(format!("✓ Saved as `{}` ({})", done.id, done.storage));
    lines.push(String::new());
    lines.push("Use it:".into());
    lines.push(match &done.route {
        Some(route) => format!("  curl {base}/{route}/"),
        None => format!("  ccproxy auth token {}", done.id),
    });
    lines
}

fn failed(failure: LoginFailure, options: &LoginOptions) -> CliError {
    let again = |rest: &str| format!("{}{rest}", options.command());
    match failure {
        LoginFailure::Target(error) => error.into(),
        LoginFailure::Login(LoginError::Fault(fault)) if fault.code == Code::Cancelled => {
            CliError::cancelled("cancelled: nothing was saved")
        }
        LoginFailure::Login(LoginError::Fault(fault)) => fault.into(),
        LoginFailure::Login(error @ LoginError::TimedOut(_)) => {
            CliError::try_again(error.to_string()).hint(again(" --timeout 30m"))
        }
        LoginFailure::Login(error @ LoginError::CodeExpired) => {
            CliError::try_again(error.to_string()).hint(again(""))
        }
        LoginFailure::Login(LoginError::NoFlow(error)) => {
            let hint = match &error {
                NoFlow::NotOffered { offered, .. } => {
                    offered.first().map(|flow| again(&format!(" --flow {flow}")))
                }
                NoFlow::Nothing => None,
            };
            CliError { hint, ..CliError::usage(error.to_string()) }
        }
        LoginFailure::Login(LoginError::Redirect(error)) => {
            CliError::failed(chain(&error)).hint(again(" --flow device"))
        }
    }
}

impl From<TargetError> for CliError {
    fn from(error: TargetError) -> Self {
        let message = error.to_string();
        match error {
            TargetError::Unknown { nearest: Some(near), .. } => {
                Self::not_found(message).hint(format!("did you mean `{near}`?"))
            }
            TargetError::Unknown { providers, .. } if providers.is_empty() => Self::not_found(message)
                .hint("no plugin is installed: `ccproxy plugin list` says where they are looked for"),
            TargetError::Unknown { providers, .. } => {
                Self::not_found(message).hint(format!("installed: {}", providers.join(", ")))
            }
            TargetError::OtherProvider { wanted, .. } => {
                Self::usage(message).hint(format!("ccproxy auth login {wanted} --connection ANOTHER-NAME"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pretty_assertions::assert_eq;

    use super::*;
    use crate::vault::Account;

    #[test]
    fn the_last_line_is_the_one_to_try() {
        let mut done = LoggedIn {
            id: "corp".parse().unwrap(),
            provider: "oidc".parse().unwrap(),
            account: Account { subject: "ada".into(), ..Account::default() },
            storage: "file".into(),
            expires_at: Some(UnixMillis(28_800_000)),
            refreshable: true,
            route: Some("corp".into()),
            unchanged: false,
        };
        let lines = |done: &LoggedIn| summary(done, "http://127.0.0.1:8462", UnixMillis(0)).join("\n");
        insta::assert_snapshot!(lines(&done), @r"
        ✓ Logged in: ada, expires in 8 h, refreshes automatically
        ✓ Saved as `corp` (file)

        Use it:
          curl http://127.0.0.1:8462/corp/
        ");
        done.route = None;
        assert!(lines(&done).ends_with("ccproxy auth token corp"));
        done.unchanged = true;
        assert!(lines(&done).starts_with("`corp` is already logged in as ada\n"));
    }

    #[test]
    fn each_way_a_login_fails_has_its_exit_code() {
        let options = LoginOptions::new("corp");
        let exit = |failure: LoginFailure| failed(failure, &options).exit;
        let fault = |code| LoginFailure::Login(LoginError::Fault(crate::fault::Fault::new(code, "no")));
        assert_eq!(exit(LoginFailure::Login(LoginError::TimedOut(Duration::from_secs(1)))), Exit::TRY_AGAIN);
        assert_eq!(exit(fault(Code::AccessDenied)), Exit::LOGIN);
        assert_eq!(exit(fault(Code::Cancelled)), Exit::CANCELLED);
        let unknown = |nearest: Option<&str>| {
            let providers = vec!["github".to_owned()];
            TargetError::Unknown { name: "x".into(), nearest: nearest.map(str::to_owned), providers }
        };
        let error = CliError::from(unknown(Some("github")));
        assert_eq!((error.exit, error.hint.as_deref()), (Exit::NOT_FOUND, Some("did you mean `github`?")));
        assert_eq!(CliError::from(unknown(None)).hint.as_deref(), Some("installed: github"));
    }
}
