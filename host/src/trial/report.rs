//! What was found: one line for each check.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use crate::fault::{Code, Fault};
use crate::model::Name;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// Something to mend.
    Failed,
    /// It could not be tried, or does not apply.
    Skipped,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, which stays the same from version to version.
    pub check: String,
    /// What came of it.
    #[serde(rename = "result")]
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What to change.
    pub hint: Option<String>,
}

/// All checks.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was tried.
    pub file: PathBuf,
    /// Its id and version, if it has a manifest.
    pub plugin: Option<(Name, String)>,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
    /// Whether a host would not load it.
    pub refused: bool,
}

/// What a check comes to: what was seen if it is well.
pub(super) type Finding = Result<String, Objection>;

/// Why a check did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Objection {
    verdict: Verdict,
    what: String,
    hint: Option<String>,
}

impl Objection {
    pub(super) fn failed(what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, what: what.into(), hint: None }
    }

    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, what: why.into(), hint: None }
    }

    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A failure of the plugin where none is welcome.
    pub(super) fn fault(during: &str, fault: &Fault) -> Self {
        let failed = Self::failed(format!("{during}: `{}`: {}", fault.code, fault.message));
        match (&fault.hint, fault.code) {
            (Some(hint), _) => failed.hint(hint.clone()),
            (None, Code::InvalidConfig) => failed.hint("give what it lacks with --set SETTING=VALUE"),
            (None, _) => failed,
        }
    }
}

impl Check {
    pub(super) fn new(check: &str, finding: Finding) -> Self {
        let (verdict, detail, hint) = match finding {
            Ok(seen) => (Verdict::Passed, seen, None),
            Err(Objection { verdict, what, hint }) => (verdict, what, hint),
        };
        Self { check: check.to_owned(), verdict, detail, hint }
    }
}

impl Report {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, plugin: None, checks: Vec::new(), refused: false }
    }

    /// How many checks came to this.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    /// As a document.
    pub fn document(&self) -> Value {
        let plugin = self.plugin.as_ref().map(|(id, version)| json!({ "id": id, "version": version }));
        json!({
            "schema": "ccproxy.plugin-test/1",
            "file": self.file,
            "plugin": plugin,
            "refused": self.refused,
            "passed": self.count(Verdict::Passed),
            "failed": self.count(Verdict::Failed),
            "skipped": self.count(Verdict::Skipped),
            "checks": self.checks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn the_document_counts_and_lists() {
        let mut report = Report::new("libacme.so".into());
        report.plugin = Some(("acme".parse().unwrap(), "0.1.0".into()));
        report.checks.push(Check::new("file", Ok("it is safe".into())));
        report.checks.push(Check::new("refresh", Err(Objection::skipped("it has none"))));
        let fault = Fault::new(Code::InvalidConfig, "`tenant` is missing");
        report.checks.push(Check::new("login.device", Err(Objection::fault("the login failed", &fault))));
        assert_eq!(
            report.document(),
            json!({
                "schema": "ccproxy.plugin-test/1", "file": "libacme.so",
                "plugin": { "id": "acme", "version": "0.1.0" }, "refused": false,
                "passed": 1, "failed": 1, "skipped": 1,
                "checks": [
                    { "check": "file", "result": "passed", "detail": "it is safe", "hint": null },
                    { "check": "refresh", "result": "skipped", "detail": "it has none", "hint": null },
                    {
                        "check": "login.device", "result": "failed",
                        "detail": "the login failed: `invalid_config`: `tenant` is missing",
                        "hint": "give what it lacks with --set SETTING=VALUE",
                    },
                ],
            })
        );
    }
}
