//! `ccproxy doctor`: everything that a request depends on, looked at from outside. Changes nothing, asks nobody
//! beyond this machine, and waits for nothing long.

mod check;
mod configuration;
mod connections;
mod environment;
mod host;
mod listeners;
mod plugins;
mod program;
mod storage;

use clap::Args;
use serde_json::json;

use super::client::Host;
use super::context::Context;
use super::error::{CliError, Exit};
use super::output::{Output, Tone, signs_are_readable};
use crate::app::App;
use crate::config::{Config, Env, Paths};
use check::{Check, Finding, bounded, looked};

/// Check the installation: what is wrong, and what to type
///
/// Looks at the program, configuration, storage, plugins, connections, the running host, listeners and the
/// environment. Changes nothing and never uses the network. Exits with 1 if anything does not work.
#[derive(Args, Debug)]
pub(super) struct DoctorArgs {}

pub(super) async fn run(_: DoctorArgs, context: Context) -> Result<Exit, CliError> {
    let checks = examine(&context).await;
    let failures = count(&checks, Finding::Fail);
    if context.out.json {
        context.out.document(&json!({
            "schema": "ccproxy.doctor/1",
            "failures": failures,
            "warnings": count(&checks, Finding::Warn),
            "checks": checks,
        }))?;
    } else {
        context.out.text(&report(&checks, signs_are_readable(&Env::of_process()), &context.out))?;
    }
    Ok(if failures == 0 { Exit::OK } else { Exit::FAILED })
}

fn count(checks: &[Check], finding: Finding) -> usize {
    checks.iter().filter(|check| check.result == finding).count()
}

/// All checks, in the order in which things depend on each other.
async fn examine(context: &Context) -> Vec<Check> {
    let env = Env::of_process();
    let mut checks = look_or_tell("program", program::checks).await;
    let Ok(paths) = Paths::from_env(&env) else {
        checks.push(
            Check::fail("configuration", "directories", "the home directory is not known")
                .hint("set HOME, or CCPROXY_CONFIG_DIR, CCPROXY_STATE_DIR and CCPROXY_DATA_DIR"),
        );
        return checks;
    };
    let sources = match context.sources() {
        Ok(sources) => sources,
        Err(error) => {
            checks.push(Check::fail("configuration", "directories", error.message));
            return checks;
        }
    };
    let loaded = looked("configuration", move || (Config::load(&sources), sources)).await;
    let config = match loaded {
        Ok((config, sources)) => {
            checks.extend(
                look_or_tell("configuration", {
                    let found = configuration::Found::of(&config, &sources);
                    move || configuration::checks(found)
                })
                .await,
            );
            config.ok()
        }
        Err(silent) => {
            checks.push(silent);
            None
        }
    };
    let storage = look_or_tell("storage", {
        let (paths, backend) = (paths.clone(), config.as_ref().map(|config| config.resolved.storage.backend));
        move || storage::checks(paths, backend)
    })
    .await;
    // Opening the store closes what is open to others, and here nothing is to be changed.
    let store_is_sound = storage.iter().all(|check| check.result == Finding::Ok);
    checks.extend(storage);
    checks.push(storage::local_keys(&paths));

    let found = context.host().await;
    let host = found.as_ref().ok().and_then(Option::as_ref);
    let listen = config.as_ref().map(listeners::Wanted::of);
    let app = config.filter(|_| store_is_sound).map(App::open_to_look);
    let app = match app {
        Some(Err(fault)) => {
            checks.push(Check::fault("storage", "store", &fault));
            None
        }
        Some(Ok(app)) => Some(app),
        None => None,
    };
    checks.extend(bounded("plugins", plugins::checks(host, app.as_ref())).await);
    checks.extend(bounded("connections", connections::checks(host, app.as_ref())).await);
    checks.extend(bounded("host", host::checks(&found, &paths)).await);
    checks.extend(bounded("listeners", listeners::checks(host, listen)).await);
    checks.extend(look_or_tell("environment", move || environment::checks(&env, &paths)).await);
    checks
}

async fn look_or_tell(group: &'static str, look: impl FnOnce() -> Vec<Check> + Send + 'static) -> Vec<Check> {
    looked(group, look).await.unwrap_or_else(|silent| vec![silent])
}

/// The host that answers, if one does.
type Answering = Result<Option<Host>, CliError>;

fn report(checks: &[Check], signs: bool, out: &Output) -> String {
    let mut text = String::new();
    let mut group = "";
    for check in checks {
        if check.group != group {
            group = check.group;
            let mut letters = group.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            text.push_str(&format!("{}{}\n", first.unwrap_or_default(), letters.as_str()));
        }
        let tone = check.result.tone();
        let (sign, width): (_, usize) = if signs { (tone.sign(), 1) } else { (check.result.word(), 4) };
        let padding = " ".repeat(width.saturating_sub(sign.chars().count()));
        let indent = format!("\n  {} ", " ".repeat(width));
        let sign = out.paint(tone, sign);
        let detail = check.detail.replace('\n', &indent);
        text.push_str(&format!("  {sign}{padding} {}: {detail}\n", check.check));
        if let Some(hint) = check.hint.as_ref().filter(|_| check.result != Finding::Ok) {
            let hint = hint.replace('\n', &format!("{indent}      "));
            text.push_str(&format!("  {} hint: {hint}\n", " ".repeat(width)));
        }
    }
    text.push_str(&summary(count(checks, Finding::Fail), count(checks, Finding::Warn), out));
    text
}

fn summary(failures: usize, warnings: usize, out: &Output) -> String {
    let many = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let line = format!("{}, {}", many(failures, "problem"), many(warnings, "warning"));
    let tone = match (failures, warnings) {
        (0, 0) => Tone::Good,
        (0, _) => Tone::Warn,
        _ => Tone::Bad,
    };
    format!("{}\n", out.paint(tone, &line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn checks() -> Vec<Check> {
        vec![
            Check::ok("program", "version", "ccproxy 1.0.0"),
            Check::warn("program", "PATH", "another one is earlier").hint("reorder PATH"),
            Check::fail("storage", "state directory", "belongs to uid 7").hint("chown 0 /s\nchmod 700 /s"),
        ]
    }

    #[test]
    fn a_report_has_a_heading_a_group_a_line_a_check_and_a_cure_below_each_problem() {
        let out = Output::from_environment(false);
        assert_eq!(
            report(&checks(), true, &out),
            "Program\n  ✓ version: ccproxy 1.0.0\n  ! PATH: another one is earlier\n    hint: reorder PATH\n\
             Storage\n  ✗ state directory: belongs to uid 7\n    hint: chown 0 /s\n          chmod 700 /s\n\
             1 problem, 1 warning\n"
        );
        assert!(report(&checks(), false, &out).contains("  ok   version: ccproxy 1.0.0\n  warn PATH"));
    }
}
