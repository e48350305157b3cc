//! What is wrong with a configuration, said so that a person finds the place.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::ops::Range;

use super::origin::{Excerpt, Origin, Position};
use crate::fault::{Code, Fault};

/// One mistake and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub origin: Origin,
    /// What, naming the key and the value unless that may be secret.
    pub message: String,
    /// The cure, if known.
    pub hint: Option<String>,
    excerpt: Option<Box<Excerpt>>,
}

impl Diagnostic {
    /// A mistake at a place without an excerpt.
    pub fn new(origin: Origin, message: impl Into<String>) -> Self {
        Self { origin, message: message.into(), hint: None, excerpt: None }
    }

    /// The same with a cure.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// A mistake in the key at a position.
    pub(super) fn at_key(position: &Position, message: impl Into<String>) -> Self {
        Self::at_span(position, &position.key, message)
    }

    /// A mistake in the value at a position.
    pub(super) fn at_value(position: &Position, message: impl Into<String>) -> Self {
        Self::at_span(position, &position.value, message)
    }

    pub(super) fn at_span(position: &Position, span: &Range<usize>, message: impl Into<String>) -> Self {
        let excerpt = position.excerpt_of(span).map(Box::new);
        Self { origin: position.origin_of(span), message: message.into(), hint: None, excerpt }
    }

    /// A mistake in the key at a position whose value may be a secret, for all we know.
    pub(super) fn at_key_alone(position: &Position, message: impl Into<String>) -> Self {
        let excerpt = position.excerpt_of(&position.key).map(Excerpt::marked_only).map(Box::new);
        Self { origin: position.origin(), message: message.into(), hint: None, excerpt }
    }
}

impl fmt::Display for Diagnostic {
    /// The transcript of `config check`: the message, the place, and the line with its mark.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.excerpt.as_ref().map(|excerpt| excerpt.number.to_string()).unwrap_or_default();
        let gutter = " ".repeat(number.len().max(2));
        writeln!(f, "error: {}", self.message)?;
        write!(f, "{gutter}┌ {}", self.origin)?;
        match (&self.excerpt, &self.hint) {
            (Some(excerpt), hint) => {
                let (indent, mark) = (" ".repeat(excerpt.column - 1), "^".repeat(excerpt.width));
                writeln!(f, "\n{number:>width$}│ {}", excerpt.line, width = gutter.len())?;
                write!(f, "{gutter}│ {indent}{mark}")?;
                hint.as_ref().map_or(Ok(()), |hint| write!(f, " {hint}"))
            }
            (None, Some(hint)) => write!(f, "\n{gutter}│ {hint}"),
            (None, None) => Ok(()),
        }
    }
}

/// Everything that is wrong, in the order the sources are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    code: Code,
    diagnostics: Vec<Diagnostic>,
}

impl ConfigError {
    /// Mistakes, as `Err` if there are any.
    pub fn check(diagnostics: Vec<Diagnostic>) -> Result<(), Self> {
        if diagnostics.is_empty() { Ok(()) } else { Err(Self { code: Code::InvalidConfig, diagnostics }) }
    }

    /// Things that are understood but not built, as `Err` if there are any.
    pub(super) fn check_unsupported(diagnostics: Vec<Diagnostic>) -> Result<(), Self> {
        Self::check(diagnostics).map_err(|error| Self { code: Code::Unsupported, ..error })
    }

    /// `invalid_config`, or `unsupported` for what is not built.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The mistakes; never empty.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The whole transcript, ending with the count when there is more than one.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            let _ = writeln!(text, "{diagnostic}");
        }
        let count = self.diagnostics.len();
        if count > 1 {
            let place = |diagnostic: &Diagnostic| match &diagnostic.origin {
                Origin::File { path, .. } => path.display().to_string(),
                other => other.to_string(),
            };
            let sources = self.diagnostics.iter().map(place).collect::<BTreeSet<_>>().len();
            let plural = if sources == 1 { "" } else { "s" };
            let _ = writeln!(text, "{count} errors in {sources} source{plural}");
        }
        text
    }
}

impl From<Diagnostic> for ConfigError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { code: Code::InvalidConfig, diagnostics: vec![diagnostic] }
    }
}

impl fmt::Display for ConfigError {
    /// One line: every mistake with its place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} ({})", diagnostic.message, diagnostic.origin)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        let hint = error.diagnostics.iter().find_map(|diagnostic| diagnostic.hint.clone());
        Self { hint, transcript: Some(error.render()), ..Self::new(error.code, error.to_string()) }
    }
}

/// `did you mean `x`?` for the nearest of the known names, if one is near.
pub(super) fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, known).map(|name| format!("did you mean `{name}`?"))
}

/// The known name most like this one, if it is alike at all.
pub(super) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // 0.7 as clap has it: `time_out` finds `timeout`, `colour` does not find `count`.
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
