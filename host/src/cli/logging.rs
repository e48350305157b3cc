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
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        // Plain everywhere: what reads a log and what reads the words of a peer must not see escapes.
        .with_ansi(false);
    // A second start would be a mistake of ours that costs nobody a log line.
    let _ = if json { log.json().flatten_event(true).try_init() } else { log.try_init() };
}

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
