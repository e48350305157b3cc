//! The log: lines on standard error, as text or JSON.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

use super::Global;
use crate::config::{LogFormat, LogLevel, Logging};

/// The log of this process, to say how much of it is wanted.
pub(super) struct Log {
    global: Global,
    level: reload::Handle<LevelFilter, Registry>,
}

impl Log {
    /// Logs as much as this configuration says from now on.
    pub(super) fn follow(&self, logging: &Logging) {
        // Fails only where no log was started.
        let _ = self.level.reload(level(&self.global, Some(logging.level)));
    }
}

/// Starts the log of this process; once. Commands log what may break only, unless `-v` asks for more:
/// what they have to say they say themselves.
pub(super) fn start(global: &Global, logging: Option<&Logging>) -> Log {
    let level = level(global, logging.map(|logging| logging.level));
    let terminal = std::io::stderr().is_terminal();
    let json = match logging.map(|logging| logging.format) {
        Some(LogFormat::Json) => true,
        Some(LogFormat::Auto) => !terminal,
        Some(LogFormat::Text) | None => false,
    };
    let (filter, level) = reload::Layer::new(level);
    // Plain everywhere: what reads a log and what reads the words of a peer must not see escapes.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    // A second start would be a mistake of ours that costs nobody a log line.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Log { global: global.clone(), level }
}

/// The same for a command that looks at the log itself: `heard` hears all of it, a person only what `-v` asks for.
pub(super) fn start_heard(global: &Global, heard: impl tracing_subscriber::Layer<Heard> + Send + Sync) {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let shown = if global.verbose > 0 { level(global, None) } else { LevelFilter::OFF };
    let lines = lines.with_filter(shown).boxed();
    let _ = tracing_subscriber::registry().with(lines).with(heard).try_init();
}

/// What a second listener hears.
type Heard =
    tracing_subscriber::layer::Layered<Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>, Registry>;

fn level(global: &Global, configured: Option<LogLevel>) -> LevelFilter {
    let wanted = match configured {
        Some(LogLevel::Off) => LevelFilter::OFF,
        Some(LogLevel::Error) => LevelFilter::ERROR,
        Some(LogLevel::Warn) => LevelFilter::WARN,
        Some(LogLevel::Info) => LevelFilter::INFO,
        Some(LogLevel::Debug) => LevelFilter::DEBUG,
        Some(LogLevel::Trace) => LevelFilter::TRACE,
        // Standard error of such a command is empty or one error document.
        None if global.json => LevelFilter::OFF,
        None => LevelFilter::WARN,
    };
    match (global.quiet, global.verbose) {
        (true, _) => wanted.min(LevelFilter::ERROR),
        (false, 0) => wanted,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn flags_beat_the_configuration() {
        let plain = Global::default();
        assert_eq!(level(&plain, None), LevelFilter::WARN);
        assert_eq!(level(&plain, Some(LogLevel::Info)), LevelFilter::INFO);
        let json = Global { json: true, ..Global::default() };
        assert_eq!(level(&json, None), LevelFilter::OFF);
        assert_eq!(level(&json, Some(LogLevel::Info)), LevelFilter::INFO);
        let quiet = Global { quiet: true, ..Global::default() };
        assert_eq!(level(&quiet, Some(LogLevel::Trace)), LevelFilter::ERROR);
        let verbose = Global { verbose: 1, ..Global::default() };
        assert_eq!(level(&verbose, Some(LogLevel::Off)), LevelFilter::DEBUG);
        let more = Global { verbose: 3, ..Global::default() };
        assert_eq!(level(&more, None), LevelFilter::TRACE);
    }
}
