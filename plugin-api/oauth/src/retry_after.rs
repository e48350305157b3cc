//! When a server said to come back: `Retry-After` (RFC 9110 section 10.2.3).

use std::time::{Duration, UNIX_EPOCH};

use ccproxy_plugin_sdk::{Response, UnixMillis};

/// Nobody means more, and a peer must not put us to sleep for a year.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Seconds or a date, from now.
pub(crate) fn of(response: &Response, now: UnixMillis) -> Option<Duration> {
    let value = response.header("retry-after")?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds).min(MAX));
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(now.until(UnixMillis(0).plus(at)).min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn after(value: &str) -> Option<Duration> {
        let headers = vec![("Retry-After".to_owned(), value.into())];
        let now = UnixMillis(784_111_777_000 - 90_000); // 90 s before the date of RFC 9110
        of(&Response { status: 503, headers, body: Vec::new() }, now)
    }

    #[test]
    fn seconds_or_a_date_and_never_more_than_a_day() {
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(after("Sun, 06 Nov 1983 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(after("99999999"), Some(MAX));
        assert_eq!(after("soon"), None);
    }
}
