//! What was said while a plugin was tried: its log, the events about it, its errors.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{filter, fmt};

use super::report::Check;
use crate::fault::Fault;

/// A plugin in a loop must not fill the memory. What is beyond was said a thousand times before.
const MOST: usize = 16 << 20;
/// So much of a line is shown.
const EXCERPT: usize = 160;
/// Every secret of the sandbox that is its own begins like this, a part of one too.
const CANARIES: [&str; 4] = ["sbxat_", "sbxrt_", "sbxac_", "sbxdc_"];
/// The letters of such a secret.
const LETTERS: [char; 3] = ['-', '_', '.'];

/// Hears everything. All clones are one ear.
#[derive(Clone, Default)]
pub struct Ear(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    size: usize,
    lines: Vec<(Channel, String)>,
    /// What `plugin.error` events told.
    failures: Vec<String>,
}

/// Where something was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Log,
    Event,
    Error,
}

impl Channel {
    fn shown(self) -> &'static str {
        match self {
            Self::Log => "in the log",
            Self::Event => "in an event",
            Self::Error => "in an error",
        }
    }
}

impl Ear {
    /// Hears our log and the plugin's, each level of it.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let ours = filter::filter_fn(|metadata| metadata.target().starts_with("ccproxy"));
        fmt::layer().with_writer(self.clone()).with_ansi(false).with_filter(ours)
    }

    pub(super) fn hear_event(&self, document: &str) {
        self.hear(Channel::Event, document);
        let event: Value = serde_json::from_str(document).unwrap_or_default();
        if event["event"] == "plugin.error" {
            let told = event["message"].as_str().unwrap_or("it failed").to_owned();
            let mut heard = self.heard();
            if heard.failures.len() < 100 {
                heard.failures.push(told);
            }
        }
    }

    pub(super) fn hear_fault(&self, fault: &Fault) {
        self.hear(Channel::Error, &fault.message);
        if let Some(hint) = &fault.hint {
            self.hear(Channel::Error, hint);
        }
    }

    pub(super) fn hear_report(&self, check: &Check) {
        self.hear(Channel::Error, &check.detail);
    }

    /// What broke in the plugin so far.
    pub(super) fn failures(&self) -> Vec<String> {
        self.heard().failures.clone()
    }

    /// Where one of these secrets was said, or a part of one that tells itself.
    pub(super) fn leaks(&self, secrets: &[String]) -> Vec<String> {
        let heard = self.heard();
        let told = |(channel, line): &(Channel, String)| {
            let leaks =
                secrets.iter().map(String::as_str).chain(CANARIES).any(|secret| line.contains(secret));
            leaks.then(|| format!("{}: {}", channel.shown(), masked(line, secrets)))
        };
        heard.lines.iter().filter_map(told).collect()
    }

    fn hear(&self, channel: Channel, text: &str) {
        let mut heard = self.heard();
        if heard.size < MOST {
            heard.size += text.len();
            heard.lines.push((channel, text.trim_end().to_owned()));
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One record of the log is one write.
impl io::Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hear(Channel::Log, &String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Ear {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// An excerpt in which no secret can be read.
fn masked(line: &str, secrets: &[String]) -> String {
    let mut text = line.to_owned();
    for canary in CANARIES {
        text = text.split(canary).enumerate().fold(String::new(), |text, (at, part)| match at {
            0 => part.to_owned(),
            _ => {
                let rest =
                    part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || LETTERS.contains(&c));
                format!("{text}{canary}***{rest}")
            }
        });
    }
    let text = secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(text, |text, secret| text.replace(secret, "***"));
    // The secret itself should be in sight.
    let at = text.find("***").unwrap_or(0);
    let before = text[..at].char_indices().rev().nth(EXCERPT / 2).map_or(0, |(start, _)| start);
    text[before..].chars().take(EXCERPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn what_is_logged_is_heard_at_every_level_and_of_us_alone() {
        let ear = Ear::default();
        let subscriber = tracing_subscriber::registry().with(ear.layer());
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "ccproxy::plugin", token = "sbxat_abc", "refreshed");
            tracing::error!(target: "hyper", "sbxat_abc");
        });
        let leaks = ear.leaks(&[]);
        assert_eq!(leaks.len(), 1, "{leaks:?}");
        assert!(leaks[0].starts_with("in the log: ") && leaks[0].contains("sbxat_***"), "{leaks:?}");
        assert!(!leaks[0].contains("abc"), "{leaks:?}");
    }

    #[test]
    fn a_secret_is_found_wherever_it_was_said_and_shown_nowhere() {
        let ear = Ear::default();
        ear.hear_event(r#"{"event":"custom.event","fields":{"a":"hush-hush"}}"#);
        ear.hear_fault(&Fault::new(crate::fault::Code::Network, "no answer to hush-hush"));
        ear.hear_fault(&Fault::new(crate::fault::Code::Network, "no answer").hint("quiet"));
        assert_eq!(
            ear.leaks(&["hush-hush".into()]),
            [
                r#"in an event: {"event":"custom.event","fields":{"a":"***"}}"#,
                "in an error: no answer to ***",
            ]
        );
        assert!(ear.failures().is_empty());
        ear.hear_event(r#"{"event":"plugin.error","message":"it panicked at a.rs:1"}"#);
        assert_eq!(ear.failures(), ["it panicked at a.rs:1"]);
    }

    #[test]
    fn an_excerpt_shows_the_place_of_a_long_line() {
        let line = format!("{}sbxrt_secret{}", "é".repeat(500), "z".repeat(500));
        let shown = masked(&line, &[]);
        assert!(shown.contains("sbxrt_***") && shown.chars().count() <= EXCERPT, "{shown}");
    }
}
