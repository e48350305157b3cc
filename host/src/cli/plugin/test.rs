//! `ccproxy plugin test`

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::existing;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::logging;
use crate::cli::output::{Output, Tone, signs_are_readable};
use crate::config::Env;
use crate::trial::{self, Check, Ear, Report, Terms, Verdict};

/// Try a plugin file against a sandbox
///
/// Loads the file into a host of its own, on temporary directories, and logs in at `ccproxy-sandbox`, a server on
/// this machine: each flow that needs no screen, then refresh, rotation, refusals, outages and logout. At the end
/// its log, events and errors are searched for the sandbox's secrets. No account, no network and no file of yours
/// is touched. Exit code 0: all is well; 1: a check failed; 6: no host would load it.
#[derive(Args, Debug)]
pub(in crate::cli) struct TestArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A setting of the tried connections, above those that lead to the sandbox
    #[arg(long, value_name = "SETTING=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as SETTING=VALUE")?;
    let key = key.trim().replace('-', "_");
    if key.is_empty() { Err("write it as SETTING=VALUE".into()) } else { Ok((key, value.to_owned())) }
}

pub(in crate::cli) async fn run(args: TestArgs, context: Context) -> Result<Exit, CliError> {
    let file = existing(&args.file)?;
    let executable = std::env::current_exe().ok();
    let sandbox = trial::find_sandbox(executable.as_deref(), std::env::var_os("PATH").as_deref());
    let sandbox = sandbox.map_err(|none| {
        CliError::not_found(none.to_string())
            .hint("install it beside ccproxy: scripts/install PREFIX of its source")
    })?;
    let ear = Ear::default();
    logging::start_heard(&context.global, ear.layer());
    let Context { out, .. } = context;
    let mut told = Told { out: &out, signs: signs_are_readable(&Env::of_process()), broken: None };
    let terms = Terms { file, settings: args.set, sandbox, ear };
    let report = {
        let mut tell = |check: &Check| told.tell(check);
        tokio::select! {
            report = trial::run(terms, &mut tell) => report?,
            // Dropped, it leaves nothing behind.
            () = interrupted() => return Err(CliError::cancelled("cancelled")),
        }
    };
    told.end(&report)?;
    Ok(match (report.refused, report.count(Verdict::Failed)) {
        (true, _) => Exit::REFUSED,
        (false, 0) => Exit::OK,
        (false, _) => Exit::FAILED,
    })
}

/// Completes when a person or the system wants it to end.
async fn interrupted() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut arrived) => drop(arrived.recv().await),
            // It then ends the process as it would any other.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

/// Tells checks as they are made.
struct Told<'a> {
    out: &'a Output,
    /// Whether it has more letters than ASCII's.
    signs: bool,
    /// Nobody reads any more.
    broken: Option<CliError>,
}

impl Told<'_> {
    fn tell(&mut self, check: &Check) {
        if !self.out.json && self.broken.is_none() {
            let (sign, plain) = self.sign(check.verdict);
            self.broken = self.out.text(&prose(check, &sign, plain)).err();
        }
    }

    fn end(self, report: &Report) -> Result<(), CliError> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        if self.out.json {
            return self.out.document(&report.document());
        }
        let count = |verdict| report.count(verdict);
        let (passed, failed, skipped) =
            (count(Verdict::Passed), count(Verdict::Failed), count(Verdict::Skipped));
        self.out.line(&format!("{passed} passed, {failed} failed, {skipped} skipped"))
    }

    /// How well a check went, coloured; and how wide that is.
    fn sign(&self, verdict: Verdict) -> (String, usize) {
        let (tone, word) = match verdict {
            Verdict::Passed => (Tone::Good, "passed "),
            Verdict::Failed => (Tone::Bad, "FAILED "),
            Verdict::Skipped => (Tone::Warn, "skipped"),
        };
        let sign = if self.signs { tone.sign() } else { word };
        (self.out.paint(tone, sign), sign.chars().count())
    }
}

/// One line, and what to change below it.
fn prose(check: &Check, sign: &str, width: usize) -> String {
    const NAME: usize = 25;
    let mut text = format!("{sign} {:NAME$} {}\n", check.check, check.detail);
    if let Some(hint) = &check.hint {
        let indent = " ".repeat(width + NAME + 2);
        text.push_str(&format!("{indent}hint: {}\n", hint.replace('\n', &format!("\n{indent}      "))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_setting_is_written_as_in_a_file_or_as_its_flag() {
        assert_eq!(
            setting("token-endpoint=https://a/?b=c"),
            Ok(("token_endpoint".into(), "https://a/?b=c".into()))
        );
        assert_eq!(setting("tenant="), Ok(("tenant".into(), String::new())));
        assert!(setting("tenant").is_err() && setting("=x").is_err());
    }

    #[test]
    fn a_check_is_a_line_with_its_hint_below() {
        let check = Check {
            check: "login.device".into(),
            verdict: Verdict::Failed,
            detail: "the login failed".into(),
            hint: Some("do this\nthen that".into()),
        };
        insta::assert_snapshot!(prose(&check, "✗", 1), @r"
        ✗ login.device              the login failed
                                    hint: do this
                                          then that
        ");
    }
}
