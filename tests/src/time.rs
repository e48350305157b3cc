//! Durations as people type them (`500ms`, `60s`, `5m`, `8h`, `0`), and times as JSON has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Parses `500ms`, `60s`, `5m`, `8h`; a bare number counts seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("not a duration: {text:?}"))?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => return Err(format!("unknown unit {unit:?} in duration {text:?}")),
    };
    milliseconds.map(Duration::from_millis).ok_or_else(|| format!("duration too long: {text:?}"))
}

/// Reads an optional duration from JSON, as text or as a number of seconds.
pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Typed {
        Seconds(u64),
        Text(String),
    }
    match Option::<Typed>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Typed::Seconds(seconds)) => Ok(Some(Duration::from_secs(seconds))),
        Some(Typed::Text(text)) => parse_duration(&text).map(Some).map_err(D::Error::custom),
    }
}

/// Milliseconds since the epoch.
pub(crate) fn epoch_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn reads_what_people_type() {
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_duration("8h"), Ok(Duration::from_secs(28_800)));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in ["", "s", "-1s", "5 s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_duration(text).is_err(), "{text:?} was accepted");
        }
    }
}
