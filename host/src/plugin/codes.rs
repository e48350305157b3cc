//! The taxonomy at the boundary: numbers to codes and back.

use std::time::Duration;

use ccproxy_plugin_abi::PluginError;
use ccproxy_plugin_abi::code::error;

use crate::fault::{Code, Fault};
use crate::model::Name;

/// Longest message taken from a plugin; more is a dump, not a message.
const MAX_MESSAGE: usize = 1024;
/// Longest wait a provider may impose through a plugin: a nonsensical date must not end a connection.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Every code that crosses, with its number. `plugin_missing` is the host's own and does not cross.
const TABLE: &[(Code, u32)] = &[
    (Code::Internal, error::INTERNAL),
    (Code::InvalidConfig, error::INVALID_CONFIG),
    (Code::NotLoggedIn, error::NOT_LOGGED_IN),
    (Code::ReauthRequired, error::REAUTH_REQUIRED),
    (Code::ConsentRequired, error::CONSENT_REQUIRED),
    (Code::CredentialsRejected, error::CREDENTIALS_REJECTED),
    (Code::AccessDenied, error::ACCESS_DENIED),
    (Code::TokenExpired, error::TOKEN_EXPIRED),
    (Code::RateLimited, error::RATE_LIMITED),
    (Code::ProviderUnavailable, error::PROVIDER_UNAVAILABLE),
    (Code::Network, error::NETWORK),
    (Code::Timeout, error::TIMEOUT),
    (Code::InvalidResponse, error::INVALID_RESPONSE),
    (Code::Storage, error::STORAGE),
    (Code::Unsupported, error::UNSUPPORTED),
    (Code::PluginFailed, error::PLUGIN_FAILED),
    (Code::Cancelled, error::CANCELLED),
];

/// A plugin's failure in the host's words. An unknown number is a bug of the plugin: `internal`.
pub(super) fn fault(plugin: &Name, error: PluginError) -> Fault {
    let known = TABLE.iter().find(|(_, number)| *number == error.code);
    let code = known.map_or(Code::Internal, |(code, _)| *code);
    let text = one_line(&error.message);
    let message = match code {
        // The guard's text names a place in the plugin's source, so say whose.
        Code::PluginFailed | Code::Internal => format!("plugin `{plugin}`: {text}"),
        _ if text.is_empty() => format!("plugin `{plugin}` failed with `{code}`"),
        _ => text,
    };
    let after = Duration::from_millis(error.retry_after_ms).min(MAX_RETRY_AFTER);
    let fault = Fault::new(code, message).retry_after((!after.is_zero()).then_some(after));
    if error.hint.is_empty() { fault } else { fault.hint(lines(&error.hint)) }
}

/// A failure of a host service in the words of the boundary.
pub(super) fn plugin_error(fault: Fault) -> PluginError {
    let code = match fault.code {
        Code::PluginMissing => Code::PluginFailed,
        code => code,
    };
    let known = TABLE.iter().find(|(known, _)| *known == code);
    let after = fault.retry_after.unwrap_or_default();
    PluginError {
        code: known.map_or(error::INTERNAL, |(_, number)| *number),
        message: fault.message.into(),
        hint: fault.hint.unwrap_or_default().into(),
        retry_after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        detail: Default::default(),
    }
}

/// A plugin's text as one bounded line: it reaches terminals, logs and replies, and may quote a
/// server. Control characters, bidirectional overrides among them, become spaces.
pub(super) fn one_line(text: &str) -> String {
    bounded(text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect())
}

/// The same for a hint, which may be steps one below the other.
fn lines(text: &str) -> String {
    bounded(text.chars().map(|c| if is_hidden(c) && c != '\n' { ' ' } else { c }).collect())
}

fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_MESSAGE {
        let end = text.floor_char_boundary(MAX_MESSAGE);
        text.truncate(end);
        text.push('…');
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn github() -> Name {
        "github".parse().unwrap()
    }

    #[test]
    fn every_code_survives_the_way_out_and_back() {
        for (code, _) in TABLE {
            let sent = Fault::new(*code, "what").hint("do").retry_after(Some(Duration::from_secs(3)));
            let back = fault(&github(), plugin_error(sent.clone()));
            assert_eq!((back.code, back.hint, back.retry_after), (*code, sent.hint, sent.retry_after));
        }
    }

    #[test]
    fn an_unknown_number_is_a_bug_of_the_plugin() {
        let mut error = plugin_error(Fault::new(Code::Network, "odd"));
        error.code = 4711;
        assert_eq!(fault(&github(), error), Fault::new(Code::Internal, "plugin `github`: odd"));
    }

    #[test]
    fn a_message_is_one_line_without_terminal_tricks_and_of_bounded_length() {
        let mut error = plugin_error(Fault::new(Code::Network, "a\x1b[2Jb\r\nc\u{202e}d"));
        assert_eq!(fault(&github(), error.clone()).message, "a [2Jb  c d");
        error.message = "ä".repeat(5000).into();
        assert!(fault(&github(), error).message.len() < 1100);
    }

    #[test]
    fn a_hint_may_be_steps_one_below_the_other() {
        let mut error = plugin_error(Fault::new(Code::InvalidConfig, "what").hint("1. a\n   b\n2. c"));
        assert_eq!(fault(&github(), error.clone()).hint.as_deref(), Some("1. a\n   b\n2. c"));
        error.hint = "a\r\n\x1b[2Jb\u{202e}".into();
        assert_eq!(fault(&github(), error).hint.as_deref(), Some("a \n [2Jb"));
    }
}
