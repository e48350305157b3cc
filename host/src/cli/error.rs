//! How a command fails: what to print, and the exit code that scripts see.

use std::io;

pub(super) use crate::fault::chain;
use crate::fault::{Code, Fault};
use crate::hint::listed;

/// A process exit code. Section 4 of the interface; the codes of the taxonomy come from [`Code::exit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Done.
    pub const OK: Self = Self(0);
    /// Something else went wrong.
    pub const FAILED: Self = Self(1);
    /// The command line or the configuration is wrong.
    pub const USAGE: Self = Self(2);
    /// Nothing has that name, or nothing is running.
    pub const NOT_FOUND: Self = Self(3);
    /// Somebody has to log in.
    pub const LOGIN: Self = Self(4);
    /// A plugin may not load.
    pub const REFUSED: Self = Self(6);
    /// The store cannot be read.
    pub const STORE: Self = Self(7);
    /// It may work in a moment.
    pub const TRY_AGAIN: Self = Self(75);
    /// A person stopped it.
    pub const CANCELLED: Self = Self(130);
}

/// The failure of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    /// What the process exits with.
    pub exit: Exit,
    /// A word of the taxonomy, or `usage`, `not_found`, `try_again`, `failed`.
    pub code: &'static str,
    /// What happened; lower case, no period.
    pub message: String,
    /// What to type.
    pub hint: Option<String>,
    /// What people see instead of message and hint where those would lose the excerpt of a file.
    pub transcript: Option<String>,
}

impl CliError {
    fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), hint: None, transcript: None }
    }

    /// The command line makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::USAGE, "usage", message)
    }

    /// Nothing has that name, or nothing is running.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NOT_FOUND, "not_found", message)
    }

    /// It may work in a moment.
    pub fn try_again(message: impl Into<String>) -> Self {
        Self::new(Exit::TRY_AGAIN, "try_again", message)
    }

    /// Anything else.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::FAILED, "failed", message)
    }

    /// A person stopped it.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(Exit::CANCELLED, Code::Cancelled.as_str(), message)
    }

    /// Nothing of this kind is called `name`; names the nearest of those that are, or all of them.
    pub fn no_such<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let error = Self::not_found(format!("no {kind} named `{name}`"));
        match (crate::login::nearest(name, known.iter().copied()), known.as_slice()) {
            (Some(near), _) => error.hint(format!("did you mean `{near}`?")),
            (None, []) => error.hint(format!("there is no {kind} yet")),
            (None, _) => error.hint(format!("known: {}", listed(known))),
        }
    }

    /// The same with what to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether there is nobody left to tell: the reader of our output went away, as `head` does.
    pub fn is_silent(&self) -> bool {
        self.exit == Exit::OK
    }
}

impl From<Fault> for CliError {
    fn from(fault: Fault) -> Self {
        let error = Self::new(Exit(fault.code.exit()), fault.code.as_str(), fault.message);
        Self { hint: fault.hint, transcript: fault.transcript, ..error }
    }
}

/// Failures of writing our own output; everything else that does I/O has words of its own.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::OK, "broken_pipe", ""),
            _ => Self::failed(format!("cannot write the output: {error}")),
        }
    }
}

impl From<clap::Error> for CliError {
    fn from(error: clap::Error) -> Self {
        use clap::error::{ContextKind, ContextValue, ErrorKind};

        let rendered = error.to_string();
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            // clap has the help text in the place of a message.
            return Self { transcript: Some(rendered), ..Self::usage("a command is missing") }
                .hint("ccproxy --help");
        }
        let what: Vec<&str> = rendered.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let what = what.join(" ");
        let suggestion =
            [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
                .into_iter()
                .find_map(|kind| match error.get(kind)? {
                    ContextValue::String(one) => Some(one.clone()),
                    // The likeliest is the last.
                    ContextValue::Strings(many) => many.last().cloned(),
                    _ => None,
                });
        let usage = error.get(ContextKind::Usage).map(|usage| usage.to_string());
        let usage = usage.and_then(|usage| usage.lines().next().map(|line| line.trim().to_owned()));
        let usage = match error.kind() {
            // The usage says that a command is to be written, and not which there are.
            ErrorKind::InvalidSubcommand => {
                usage.map(|usage| format!("{}--help", usage.split(['[', '<']).next().unwrap_or_default()))
            }
            // The other way to write it.
            _ => usage
                .map(|usage| usage.replace("logout <[ORG/]CONNECTION>", "logout <[ORG/]CONNECTION>|--all")),
        };
        let hint = suggestion
            .map(|near| format!("did you mean `{near}`?"))
            .or_else(|| usage.map(|usage| usage.trim_start_matches("Usage: ").trim().to_owned()));
        Self { hint, ..Self::usage(what.trim_start_matches("error: ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_fault_keeps_its_code_and_its_exit() {
        let fault = Fault::new(Code::ReauthRequired, "the grant of `github` is gone")
            .hint("ccproxy auth login github");
        let error = CliError::from(fault);
        assert_eq!((error.exit, error.code), (Exit::LOGIN, "reauth_required"));
        assert_eq!(error.hint.as_deref(), Some("ccproxy auth login github"));
    }

    #[test]
    fn an_unknown_name_finds_the_nearest() {
        let known = ["azure", "github", "openai"];
        let error = CliError::no_such("provider", "githb", known);
        assert_eq!(error.exit, Exit::NOT_FOUND);
        assert_eq!(error.message, "no provider named `githb`");
        assert_eq!(error.hint.as_deref(), Some("did you mean `github`?"));
        let far = CliError::no_such("provider", "zzz", known);
        assert_eq!(far.hint.as_deref(), Some("known: azure, github, openai"));
        let none = CliError::no_such("connection", "zzz", []);
        assert_eq!(none.hint.as_deref(), Some("there is no connection yet"));
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let error = CliError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(error.is_silent());
        let full = CliError::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit, Exit::FAILED);
    }
}
