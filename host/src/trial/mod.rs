//! A plugin on trial: what its author runs against the built file, `ccproxy plugin test`.
//!
//! The plugin is loaded into a house of its own (`house`): another host's directories, all temporary, and a
//! short patience. It logs in at the sandbox (`sandbox`), a program that is an authorization server and an
//! upstream and can misbehave on request. Each check is one line of the [`Report`]; what is said anywhere
//! meanwhile is kept by the [`Ear`], and searched for secrets at the end.

mod call;
mod ear;
mod file;
mod grant;
mod house;
mod login;
mod outage;
mod own;
mod person;
mod report;
mod sandbox;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fault::Fault;
use crate::plugin::{Condition, Plugin};

pub use ear::Ear;
pub use report::{Check, Report, Verdict};
pub use sandbox::{NoSandbox, find as find_sandbox};

use house::House;
use report::{Finding, Objection};
use sandbox::Sandbox;
use settings::Wishes;

/// What to try, and with what.
pub struct Terms {
    /// The plugin.
    pub file: PathBuf,
    /// Settings that the author gives, as typed.
    pub settings: Vec<(String, String)>,
    /// The program `ccproxy-sandbox`.
    pub sandbox: PathBuf,
    /// What hears the log of this process.
    pub ear: Ear,
}

/// Runs all checks; each is told as soon as it is done. Fails where nothing could be tried: no sandbox, no
/// temporary directory, settings that the plugin does not have.
pub async fn run(terms: Terms, told: &mut (dyn FnMut(&Check) + Send)) -> Result<Report, Fault> {
    let Terms { file, settings, sandbox, ear } = terms;
    let house = House::build(&file, ear.clone())?;
    let report = Report::new(file);
    let mut trial = Trial { house, ear, report, told, broken: Vec::new() };
    let Some(plugin) = trial.load().await else {
        return Ok(trial.report);
    };
    let wishes = Wishes::new(&plugin, settings)?;
    let sandbox = Sandbox::start(&sandbox).await?;
    trial.hold(plugin, &wishes, &sandbox).await?;
    Ok(trial.report)
}

struct Trial<'a> {
    house: House,
    ear: Ear,
    report: Report,
    told: &'a mut (dyn FnMut(&Check) + Send),
    /// The checks after which the plugin was broken, and why.
    broken: Vec<String>,
}

impl Trial<'_> {
    async fn hold(&mut self, plugin: Arc<Plugin>, wishes: &Wishes, sandbox: &Sandbox) -> Result<(), Fault> {
        let schema = file::schema(plugin.settings_schema());
        self.enter("settings", schema);
        let finding = self.wrong_settings(&plugin).await;
        self.note("wrong-setting", finding).await?;
        let finding = self.description(&plugin, wishes, sandbox).await;
        self.note("describe", finding).await?;
        let finding = self.own_paths(&plugin).await;
        self.note("paths", finding).await?;
        let finding = self.own_events(&plugin).await;
        self.note("events", finding).await?;
        // From here on it is the house's: another image may take its place.
        drop(plugin);
        if let Some(login) = self.logins(wishes, sandbox).await? {
            self.grant(&login, sandbox).await?;
        }
        self.cell();
        self.secrets(wishes, sandbox).await
    }

    /// Enters what was found. A plugin that broke over it is loaded anew, so that what follows says something of
    /// its own.
    async fn note(&mut self, check: &str, finding: Finding) -> Result<bool, Fault> {
        let passed = self.enter(check, finding);
        let serving = self.house.plugin().await.map(|plugin| plugin.condition());
        if let Ok(Condition::Serving) = serving {
            return Ok(passed);
        }
        let how = match serving {
            Ok(Condition::Stalled { .. }) => "it blocks its thread",
            _ => "it cannot be called any more",
        };
        self.broken.push(format!("{how} after `{check}`"));
        self.house.reopen().await?;
        Ok(passed)
    }

    /// The same for a check that calls no plugin.
    fn enter(&mut self, check: &str, finding: Finding) -> bool {
        let check = Check::new(check, finding);
        self.ear.hear_report(&check);
        (self.told)(&check);
        let passed = check.verdict == Verdict::Passed;
        self.report.checks.push(check);
        passed
    }

    /// Whether it still answers, and never panicked.
    fn cell(&mut self) {
        let mut troubles = std::mem::take(&mut self.broken);
        troubles.extend(self.ear.failures());
        troubles.dedup();
        let finding = match troubles.as_slice() {
            [] => Ok("no call panicked, blocked or outlasted its deadline".to_owned()),
            [first, more @ ..] => {
                let more = if more.is_empty() { String::new() } else { format!(", and {} more", more.len()) };
                Err(Objection::failed(format!("{first}{more}"))
                    .hint("a panic or a blocked thread fails every connection of the plugin"))
            }
        };
        self.enter("cell", finding);
    }

    /// Whether a secret of the sandbox was said anywhere.
    async fn secrets(&mut self, wishes: &Wishes, sandbox: &Sandbox) -> Result<(), Fault> {
        self.house.close().await;
        let secrets = [sandbox.secrets().await?, wishes.secrets(sandbox)].concat();
        let leaks = self.ear.leaks(&secrets);
        let finding = match leaks.as_slice() {
            [] => Ok(format!(
                "{} secrets were handed out, none of them is in its log, events or errors",
                secrets.len()
            )),
            [first, more @ ..] => {
                let more = if more.is_empty() { String::new() } else { format!(", and {} more", more.len()) };
                Err(Objection::failed(format!("a secret is {first}{more}"))
                    .hint("never format a `Secret`; `expose` it into requests and records only"))
            }
        };
        self.enter("secrets", finding);
        Ok(())
    }
}

/// A file as people read it.
fn shown(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
