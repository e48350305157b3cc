//! One thing that was looked at, and how it was found.

use std::time::Duration;

use serde::Serialize;

use crate::cli::output::Tone;
use crate::fault::Fault;

/// A directory on a server that is gone, or a plugin that does not answer, must not keep the report.
const PATIENCE: Duration = Duration::from_secs(10);

/// How good what was found is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Finding {
    Ok,
    Warn,
    Fail,
}

impl Finding {
    pub(super) fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Warn,
            Self::Fail => Tone::Bad,
        }
    }

    /// As documents say it, and terminals that have no signs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// A line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What it belongs to: `storage`.
    pub(super) group: &'static str,
    /// What was looked at: `state directory`.
    pub(super) check: String,
    pub(super) result: Finding,
    /// What was found.
    pub(super) detail: String,
    /// What to type, or to change.
    pub(super) hint: Option<String>,
}

impl Check {
    pub(super) fn ok(group: &'static str, check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { group, check: check.into(), result: Finding::Ok, detail: detail.into(), hint: None }
    }

    pub(super) fn warn(group: &'static str, check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { result: Finding::Warn, ..Self::ok(group, check, detail) }
    }

    pub(super) fn fail(group: &'static str, check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { result: Finding::Fail, ..Self::ok(group, check, detail) }
    }

    pub(super) fn fault(group: &'static str, check: impl Into<String>, fault: &Fault) -> Self {
        Self { hint: fault.hint.clone(), ..Self::fail(group, check, &fault.message) }
    }

    /// The same with a cure.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn silent(group: &'static str) -> Self {
        let seconds = PATIENCE.as_secs();
        Self::fail(group, "answer", format!("could not be looked at within {seconds} s"))
            .hint("is a directory on a server that is gone?")
    }
}

/// What depends on something that has to be mended first.
pub(super) fn unseen(group: &'static str, check: &str) -> Check {
    Check::warn(group, check, "not looked at until the above is mended").hint("ccproxy doctor, when it is")
}

/// Looks at something that may block, and not for long.
pub(super) async fn looked<T: Send + 'static>(
    group: &'static str,
    look: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Check> {
    let looking = tokio::task::spawn_blocking(look);
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) | Err(_) => Err(Check::silent(group)),
    }
}

/// Waits for checks, and not for long.
pub(super) async fn bounded(group: &'static str, checks: impl Future<Output = Vec<Check>>) -> Vec<Check> {
    match tokio::time::timeout(PATIENCE, checks).await {
        Ok(checks) => checks,
        Err(_) => vec![Check::silent(group)],
    }
}
