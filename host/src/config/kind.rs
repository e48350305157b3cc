//! The types of values: what each accepts, what to say when it does not, and how it is read from plain text.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::accept::{
    check_method, check_outbound_proxy, check_redirect, check_segment, check_url, is_authority, is_origin,
};
use super::origin::Source;
use super::secret_ref::{CURE, SecretRef};
use super::tree::{Node, Value, parse_value};
use super::{duration, typed};
use crate::model::{ConnectionId, Name};

/// The type of a value.
pub(super) enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number from 0.
    Count {
        /// The largest that makes sense.
        most: i64,
    },
    /// Any text.
    Text,
    /// A scope: text, but as RFC 6749 section 3.3 has it, a space begins another one.
    Scope,
    /// A file or directory; relative to the file that says it.
    Path,
    /// `30s`.
    Duration {
        /// Whether it may be 0.
        zero: bool,
    },
    /// `50%`.
    Share,
    /// A share or a duration.
    Ahead,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Where to listen.
    Listen,
    /// Where to listen, or `off`.
    AdminListen,
    /// A host name with or without a port.
    Authority,
    /// A web origin.
    Origin,
    /// An absolute URL that paths are appended to.
    BaseUrl,
    /// An absolute URL, used as it is.
    Endpoint,
    /// As an endpoint; a scheme of the application's own is fine too.
    RedirectUri,
    /// `env`, `none` or a URL.
    OutboundProxy,
    /// A request method.
    Method,
    /// A field name.
    FieldName,
    /// One path segment.
    Segment,
    /// A provider id and the like.
    Name,
    /// `[ORG/]NAME`.
    ConnectionId,
    /// A reference to a secret.
    Secret,
    /// A list of these.
    List(&'static Kind),
}

/// Why a value is refused: what was expected, or more exactly why not.
pub(super) struct Refusal {
    /// The rest of the sentence "`key` = value ...".
    pub(super) reason: String,
    /// The cure.
    pub(super) hint: Option<String>,
    /// Whether the value must not be shown.
    pub(super) secret: bool,
}

impl Refusal {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: None, secret: false }
    }
}

impl Kind {
    /// What it accepts, to follow "is not".
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Count { most } => format!("a whole number from 0 to {most}"),
            Self::Text | Self::Scope | Self::Path => "text".into(),
            Self::Duration { zero: true } => "a duration such as \"30s\", \"10m\" or \"1500ms\"".into(),
            Self::Duration { zero: false } => {
                "a duration above 0 such as \"30s\", \"10m\" or \"1500ms\"".into()
            }
            Self::Share => "a share from \"0%\" to \"100%\"".into(),
            Self::Ahead => "a share such as \"10%\" or a duration such as \"15m\"".into(),
            Self::OneOf(words) => {
                format!(
                    "one of {}",
                    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
                )
            }
            Self::Listen => "an address with a port from 0 to 65535, such as \"127.0.0.1:8462\"".into(),
            Self::AdminListen => "\"off\" or an address with a port from 0 to 65535".into(),
            Self::Authority => "a host name with or without a port, such as \"proxy.internal:8462\"".into(),
            Self::Origin => "an origin such as \"https://app.example.com\"".into(),
            Self::BaseUrl | Self::Endpoint | Self::RedirectUri => "an absolute URL".into(),
            Self::OutboundProxy => "\"env\", \"none\" or a URL such as \"http://proxy.internal:3128\"".into(),
            Self::Method => "a request method in capitals such as \"GET\"".into(),
            Self::FieldName => "a field name in small letters such as \"location\"".into(),
            Self::Segment => "one path segment of letters, digits and any of - . _ ~".into(),
            Self::Name => "a name: 1 to 40 of a-z, 0-9 and -".into(),
            Self::ConnectionId => "a connection: a name, or organisation/name".into(),
            Self::Secret => "a reference to a secret".into(),
            Self::List(of) => format!("a list, each {}", of.expected()),
        }
    }

    /// Checks one value; the elements of a list are checked one by one with [`Kind::each`].
    pub(super) fn check(&self, value: &Value) -> Result<(), Refusal> {
        if let Self::Secret = self {
            return check_secret(value);
        }
        let accepted = match (self, value) {
            (Self::Bool, Value::Bool(_)) | (Self::List(_), Value::Array(_)) => true,
            (Self::Count { most }, Value::Integer(number)) => (0..=*most).contains(number),
            (_, Value::Text(text)) => return self.check_text(text),
            _ => false,
        };
        if accepted { Ok(()) } else { Err(Refusal::new(format!("is not {}", self.expected()))) }
    }

    fn check_text(&self, text: &str) -> Result<(), Refusal> {
        let accepted = match self {
            Self::Bool | Self::Count { .. } | Self::List(_) | Self::Secret => false,
            Self::Text | Self::Scope => true,
            Self::Path => !text.is_empty(),
            Self::Duration { zero } => duration::parse(text).is_some_and(|it| *zero || !it.is_zero()),
            Self::Share => duration::parse_share(text).is_some(),
            Self::Ahead => duration::parse_ahead(text).is_some(),
            Self::OneOf(words) => return one_of(text, words),
            Self::Listen => typed::ListenAddress::from_str(text).is_ok(),
            Self::AdminListen => text == "off" || text.parse::<SocketAddr>().is_ok(),
            Self::Authority => is_authority(text),
            Self::Origin => is_origin(text),
            Self::BaseUrl => return check_url(text, false),
            Self::Endpoint => return check_url(text, true),
            Self::RedirectUri => return check_redirect(text),
            Self::OutboundProxy => return check_outbound_proxy(text),
            Self::Method => return check_method(text),
            Self::FieldName => http::HeaderName::from_lowercase(text.as_bytes()).is_ok(),
            Self::Segment => return check_segment(text),
            Self::Name => text.parse::<Name>().is_ok(),
            Self::ConnectionId => text.parse::<ConnectionId>().is_ok(),
        };
        if accepted { Ok(()) } else { Err(Refusal::new(format!("is not {}", self.expected()))) }
    }

    /// The kind of the elements, if this is a list.
    pub(super) fn each(&self) -> Option<&'static Kind> {
        match self {
            Self::List(of) => Some(of),
            _ => None,
        }
    }

    /// Reads the text of a variable or flag: TOML where it is written as such, else as this kind has it.
    pub(super) fn read(&self, text: &str, source: &Arc<Source>) -> Value {
        let toml = |starts: &[char]| {
            text.trim_start().starts_with(starts).then(|| parse_value(text.trim(), source)).flatten()
        };
        match self {
            Self::Bool => match text.trim() {
                "true" | "1" => Value::Bool(true),
                "false" | "0" => Value::Bool(false),
                _ => Value::Text(text.into()),
            },
            Self::Count { .. } => {
                text.trim().parse().map_or_else(|_| Value::Text(text.into()), Value::Integer)
            }
            Self::List(of) => toml(&['[']).map_or_else(|| commas(text, of, source), |node| node.value),
            Self::Secret => toml(&['{']).map_or_else(|| Value::Text(text.into()), |node| node.value),
            Self::OneOf(words) => {
                // Levels are written in capitals elsewhere (`LOGGING__LEVEL=DEBUG`).
                let small = text.trim().to_ascii_lowercase();
                Value::Text(if words.contains(&small.as_str()) { small } else { text.into() })
            }
            _ => match toml(&['"', '\'']).map(|node| node.value) {
                Some(Value::Text(unquoted)) => Value::Text(unquoted),
                _ => Value::Text(text.into()),
            },
        }
    }
}

fn commas(text: &str, of: &'static Kind, source: &Arc<Source>) -> Value {
    let item = |part: &str| Node {
        value: of.read(part, source),
        at: super::origin::Position::whole(source.clone()),
    };
    let spaces = matches!(of, Kind::Scope);
    let parts = text.split(|c: char| c == ',' || spaces && c.is_whitespace()).map(str::trim);
    Value::Array(parts.filter(|part| !part.is_empty()).map(item).collect())
}

fn one_of(text: &str, words: &'static [&'static str]) -> Result<(), Refusal> {
    if words.contains(&text) {
        return Ok(());
    }
    let hint = super::diagnostic::did_you_mean(text, words.iter().copied());
    Err(Refusal { hint, ..Refusal::new(format!("is not {}", Kind::OneOf(words).expected())) })
}

fn check_secret(value: &Value) -> Result<(), Refusal> {
    if !matches!(value, Value::Table(_)) {
        return Err(Refusal {
            reason: "is a secret written out".into(),
            hint: Some(CURE.into()),
            secret: true,
        });
    }
    SecretRef::parse(&value.to_json()).map(drop).map_err(|reason| Refusal {
        reason: format!("is no reference: {reason}"),
        hint: Some(CURE.into()),
        secret: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn verdict(kind: &Kind, text: &str) -> String {
        match kind.check(&Value::Text(text.into())) {
            Ok(()) => "ok".into(),
            Err(refusal) => refusal.reason,
        }
    }

    #[test]
    fn each_kind_has_its_bounds() {
        for (kind, good, bad) in [
            (Kind::Listen, "127.0.0.1:0", "127.0.0.1:80800"),
            (Kind::Listen, "unix:/run/x.sock", "unix:"),
            (Kind::Listen, "fd:3", "fd:x"),
            (Kind::AdminListen, "off", "on"),
            (Kind::Authority, "proxy.internal:8462", "https://proxy"),
            (Kind::Authority, "[fd00::1]:8462", "a b"),
            (Kind::Origin, "https://app.example.com", "https://app.example.com/"),
            (Kind::OutboundProxy, "none", "proxy:3128"),
            (Kind::OutboundProxy, "http://proxy:3128", "socks5://proxy:1080"),
            (Kind::Method, "PROPFIND", "get"),
            (Kind::Method, "GET", "TRACE"),
            (Kind::FieldName, "x-next", "X Next"),
            (Kind::Segment, "graph", "a/b"),
            (Kind::Segment, "v1.0", ".."),
            (Kind::Segment, "_x", "_ccproxy"),
            (Kind::Duration { zero: false }, "1s", "0s"),
            (Kind::Share, "50%", "50"),
            (Kind::ConnectionId, "acme/github", "acme/github/x"),
            (Kind::OneOf(&["a", "b"]), "a", "c"),
        ] {
            assert_eq!(verdict(&kind, good), "ok", "{good}");
            assert_ne!(verdict(&kind, bad), "ok", "{bad}");
        }
    }

    #[test]
    fn plain_text_is_read_by_its_kind() {
        let source = Arc::new(Source::Environment("X".into()));
        for (kind, text, json) in [
            (Kind::Bool, "true", "true"),
            (Kind::Bool, "0", "false"),
            (Kind::Bool, "yes", r#""yes""#),
            (Kind::Count { most: 9 }, "4", "4"),
            (Kind::Text, "4", r#""4""#),
            (Kind::Text, r#""quoted""#, r#""quoted""#),
            (Kind::List(&Kind::Text), "a, b,", r#"["a","b"]"#),
            (Kind::List(&Kind::Text), r#"["a,b"]"#, r#"["a,b"]"#),
            (Kind::List(&Kind::Text), "", "[]"),
            (Kind::List(&Kind::Text), "a b", r#"["a b"]"#),
            (Kind::List(&Kind::Scope), "a b,c,  d", r#"["a","b","c","d"]"#),
            (Kind::OneOf(&["debug"]), "DEBUG", r#""debug""#),
            (Kind::Secret, r#"{ env = "X" }"#, r#"{"env":"X"}"#),
        ] {
            assert_eq!(kind.read(text, &source).to_json().to_string(), json, "{text}");
        }
    }
}
