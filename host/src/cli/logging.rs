//! The log: lines on standard error, as text or JSON.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;

use super::Global;
use crate::config::{LogFormat, LogLevel, Logging};

/// Starts the log of this process; once. Commands log what may break only, unless `-v` asks for more:
/// what they have to say they say themselves.
pub(super) fn start(global: &Global, logging: Option<&Logging>) {
    let level = level(global, logging.map(|logging| logging.level));
    let terminal = std::io::stderr().is_terminal();
    let json = match logging.map(|logging| logging.format) {
        Some(LogFormat::Json) => true,
        Some(LogFormat::Auto) => !terminal,
        Some(LogFormat::Text) | None => false,
    };
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(terminal && !no_colour);
    // A second start would be a mistake of ours that costs nobody a log line.
    let _ = if json { log.json().flatten_event(true).try_init() } else { log.try_init() };
}

fn level(global: &Global, configured: Option<LogLevel>) -> LevelFilter {
    match (global.quiet, global.verbose, configured) {
        (true, ..) => LevelFilter::ERROR,
        (_, 1, _) => LevelFilter::DEBUG,
        (_, 2.., _) => LevelFilter::TRACE,
        (_, _, None) => LevelFilter::WARN,
        (_, _, Some(level)) => match level {
            LogLevel::Off => LevelFilter::OFF,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        },
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
        let quiet = Global { quiet: true, ..Global::default() };
        assert_eq!(level(&quiet, Some(LogLevel::Trace)), LevelFilter::ERROR);
        let verbose = Global { verbose: 1, ..Global::default() };
        assert_eq!(level(&verbose, Some(LogLevel::Off)), LevelFilter::DEBUG);
        let more = Global { verbose: 3, ..Global::default() };
        assert_eq!(level(&more, None), LevelFilter::TRACE);
    }
}
