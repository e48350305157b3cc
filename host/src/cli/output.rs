//! The only place that writes standard output. Data goes there; all talk goes to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::error::CliError;
use crate::config::Env;

/// How this process talks.
#[derive(Debug)]
pub struct Output {
    /// Documents instead of prose.
    pub json: bool,
    colour_out: bool,
    colour_err: bool,
    /// Whether the last thing on standard output was left to be drawn over.
    drawn: AtomicBool,
}

/// How good or bad a thing is, as colour and as sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// It works, but look at it.
    Warn,
    /// It does not work.
    Bad,
}

impl Tone {
    /// The sign that carries the meaning where there is no colour.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Warn => "!",
            Self::Bad => "✗",
        }
    }

    fn escape(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

impl Output {
    /// Talks as the process was started: colour only to a terminal, none with `NO_COLOR`.
    pub fn from_environment(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            json,
            colour_out: !plain && io::stdout().is_terminal(),
            colour_err: !plain && io::stderr().is_terminal(),
            drawn: AtomicBool::new(false),
        }
    }

    /// Writes one document as one line.
    pub fn document(&self, document: &impl Serialize) -> Result<(), CliError> {
        let line = serde_json::to_string(document).expect("our documents have string keys only");
        self.line(&line)
    }

    /// Writes a line of data.
    pub fn line(&self, line: &str) -> Result<(), CliError> {
        self.write(format!("{line}\n").as_bytes())
    }

    /// Writes text that brings its own line ends.
    pub fn text(&self, text: &str) -> Result<(), CliError> {
        self.write(text.as_bytes())
    }

    /// Writes bytes that are shown nowhere else, such as a token.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        self.write(bytes)
    }

    /// Shows text in the place of what was shown before; appends it where nothing can be drawn over.
    pub fn redraw(&self, text: &str) -> Result<(), CliError> {
        let again = self.drawn.swap(true, Ordering::Relaxed);
        // Home, then clear to the end: less flicker than clearing first.
        let home = if io::stdout().is_terminal() {
            if again { "\x1b[H\x1b[J" } else { "\x1b[2J\x1b[H" }
        } else {
            ""
        };
        self.write(format!("{home}{text}").as_bytes())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// Says something to the person, on standard error. Nobody listening is not a failure.
    pub fn say(&self, line: &str) {
        say(line);
    }

    /// The same, but nothing under `--json`: standard error is then empty or one error document.
    pub fn remark(&self, line: &str) {
        if !self.json {
            say(line);
        }
    }

    /// Colours a part of standard output.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if self.colour_out { format!("{}{text}\x1b[0m", tone.escape()) } else { text.to_owned() }
    }

    /// Reports the failure of the command, on standard error.
    pub fn report(&self, error: &CliError) {
        if error.is_silent() {
            return;
        }
        let text = if self.json { error_document(error) } else { error_text(error, self.colour_err) };
        self.say(&text);
    }
}

/// Whether the terminal shows more than ASCII (locale(7): the first of these that is set counts).
pub fn signs_are_readable(env: &Env) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| env.text(name));
    set.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// A line on standard error, from where there is no [`Output`] at hand.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn error_document(error: &CliError) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: &'static str,
        code: &'static str,
        message: &'a str,
        hint: Option<&'a str>,
    }
    let document = Document {
        schema: "ccproxy.error/1",
        code: error.code,
        message: &error.message,
        hint: error.hint.as_deref(),
    };
    serde_json::to_string(&document).expect("text is always JSON")
}

fn error_text(error: &CliError, colour: bool) -> String {
    if let Some(transcript) = &error.transcript {
        return transcript.trim_end().to_owned();
    }
    let (on, off) = if colour { (Tone::Bad.escape(), "\x1b[0m") } else { ("", "") };
    let mut text = format!("{on}error:{off} {}", error.message);
    if let Some(hint) = &error.hint {
        // Further lines stand below the first.
        text.push_str(&format!("\nhint: {}", hint.replace('\n', "\n      ")));
    }
    text
}

/// Lines up columns with two spaces between them; the last column is left ragged.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let line: String = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}  ", " ".repeat(width - cell.chars().count())))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::json;

    #[test]
    fn an_error_is_prose_or_a_document() {
        let error = CliError::not_found("no provider named `githb`").hint("did you mean `github`?");
        assert_eq!(
            error_text(&error, false),
            "error: no provider named `githb`\nhint: did you mean `github`?"
        );
        let document: serde_json::Value = serde_json::from_str(&error_document(&error)).unwrap();
        assert_eq!(
            document,
            json!({
                "schema": "ccproxy.error/1",
                "code": "not_found",
                "message": "no provider named `githb`",
                "hint": "did you mean `github`?",
            })
        );
    }

    #[test]
    fn the_steps_of_a_hint_stand_below_each_other() {
        let error = CliError::usage("no client").hint("1. register\n2. repeat");
        assert_eq!(error_text(&error, false), "error: no client\nhint: 1. register\n      2. repeat");
    }

    #[test]
    fn an_error_without_a_hint_says_null() {
        let document: serde_json::Value =
            serde_json::from_str(&error_document(&CliError::failed("disk on fire"))).unwrap();
        assert_eq!(document["hint"], serde_json::Value::Null);
    }

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let rows = [
            vec!["NAME".into(), "STATE".into()],
            vec!["github-work".into(), "ok".into()],
            vec!["é".into(), String::new()],
        ];
        assert_eq!(table(&rows), "NAME         STATE\ngithub-work  ok\né\n");
    }

    #[test]
    fn signs_are_for_terminals_that_have_them() {
        let readable = |vars: &[(&str, &str)]| signs_are_readable(&Env::from_vars(vars.iter().copied()));
        assert!(readable(&[("LANG", "en_US.UTF-8")]));
        assert!(readable(&[("LANG", "C"), ("LC_CTYPE", "C.utf8")]));
        assert!(!readable(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")]));
        assert!(!readable(&[]));
    }
}
