//! Durations and shares as people write them: `1500ms`, `30s`, `10m`, `1h30m`, `2d`; `10%`.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::credential::Ahead;

/// Longer than this is a slip of the pen, and far from any overflow.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Parses one or more numbers, each with a unit of `ms`, `s`, `m`, `h` or `d`.
pub fn parse(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let millis = match &rest[digits..digits + letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = &rest[digits + letters..];
    }
    (total <= LONGEST).then_some(total)
}

/// Parses `10%` into 0.1; from 0 to 100.
pub(super) fn parse_share(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('%')?.trim_end().parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number / 100.0)
}

/// Parses a share of the lifetime or a duration.
pub(super) fn parse_ahead(text: &str) -> Option<Ahead> {
    parse_share(text).map(Ahead::Share).or_else(|| parse(text).map(Ahead::Fixed))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(source)?;
    parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a duration")))
}

pub(super) fn deserialize_optional<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<Duration>, D::Error> {
    deserialize(source).map(Some)
}

pub(super) fn deserialize_share<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    let text = String::deserialize(source)?;
    parse_share(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a share")))
}

pub(super) fn deserialize_ahead<'de, D: Deserializer<'de>>(source: D) -> Result<Ahead, D::Error> {
    let text = String::deserialize(source)?;
    parse_ahead(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is neither share nor duration")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, millis) in [
            ("1500ms", 1500),
            ("30s", 30_000),
            ("10m", 600_000),
            ("4h", 14_400_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in [
            "",
            "30",
            "s",
            "30 s",
            "30S",
            "-1s",
            "1.5s",
            "30sec",
            "s30",
            "99999999999999999999h",
            "9999d",
            "3ü",
        ] {
            assert_eq!(parse(bad), None, "{bad:?} passed");
        }
    }

    #[test]
    fn shares_are_percentages() {
        assert_eq!(parse_share("10%"), Some(0.1));
        assert_eq!(parse_share("0%"), Some(0.0));
        for bad in ["10", "%", "-1%", "101%", "NaN%", "inf%"] {
            assert_eq!(parse_share(bad), None, "{bad:?} passed");
        }
    }

    #[test]
    fn ahead_is_either() {
        assert_eq!(parse_ahead("10%"), Some(Ahead::Share(0.1)));
        assert_eq!(parse_ahead("4h"), Some(Ahead::Fixed(Duration::from_secs(14_400))));
        assert_eq!(parse_ahead("soon"), None);
    }
}
