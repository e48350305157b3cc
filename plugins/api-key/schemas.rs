//! What people write in settings and what a service answers, parsed once.

use ccproxy_plugin_sdk::SecretRef;
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of a connection. The doc comments are the help texts of their flags.
#[derive(Deserialize, JsonSchema)]
pub struct Settings {
    /// Which service the key is for
    #[serde(default)]
    pub preset: Preset,
    /// The key, as a secret reference; without it `auth login` asks for one and stores it
    pub key: Option<SecretRef>,
    /// Environment variable to read when no key is configured or stored
    pub fallback_env: Option<String>,
    /// Base URL of the service; required for `generic`
    pub upstream: Option<String>,
    /// Header field that carries the key
    #[schemars(with = "Option<String>")]
    pub header: Option<FieldName>,
    /// How the field is written; `{key}` stands for the key [default: "Bearer {key}"]
    #[schemars(with = "Option<String>")]
    pub format: Option<KeyFormat>,
    /// Query parameter that carries the key, instead of a header field
    pub query: Option<String>,
    /// User name of Basic authentication, with the key as password
    pub basic_user: Option<String>,
    /// OpenAI: the organization that pays
    #[schemars(with = "Option<String>")]
    pub organization: Option<FieldText>,
    /// OpenAI: the project that pays
    #[schemars(with = "Option<String>")]
    pub project: Option<FieldText>,
    /// Anthropic: the workspace, for keys that are not bound to one
    #[schemars(with = "Option<String>")]
    pub workspace_id: Option<FieldText>,
    /// Where the service runs: `eu` for OpenAI's data residency, `us-west-2` for Claude on AWS
    #[schemars(with = "Option<String>")]
    pub region: Option<Region>,
    /// Anthropic: the API version to send instead of the client's
    #[schemars(with = "Option<String>")]
    pub version: Option<FieldText>,
    /// The request that tells a good key, such as "GET /v1/models"; empty for none
    #[schemars(with = "Option<String>")]
    pub probe: Option<ProbeSetting>,
}

/// The services this plugin knows by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// api.openai.com
    OpenAi,
    /// api.anthropic.com, or Claude Platform on AWS with `region`
    Anthropic,
    /// huggingface.co
    HuggingFace,
    /// Whatever `upstream` says
    #[default]
    Generic,
}

/// A header field's name, lower case.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FieldName(String);

impl FieldName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        // RFC 9110 section 5.6.2: token.
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let lower = name.to_ascii_lowercase();
        if lower.is_empty() || !lower.bytes().all(is_token) {
            Err(format!("`{name}` is not the name of a header field"))
        } else if FRAMING.contains(&lower.as_str()) {
            Err(format!("`{name}` belongs to the connection and cannot carry a key"))
        } else {
            Ok(Self(lower))
        }
    }
}

/// Fields that say where a message goes and where it ends. RFC 9110 section 7.6.1.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How a field value is made of a key: `Bearer {key}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyFormat {
    before: String,
    after: String,
}

impl KeyFormat {
    /// The key as it is.
    pub(crate) fn bare() -> Self {
        Self { before: String::new(), after: String::new() }
    }

    /// RFC 6750.
    pub(crate) fn bearer() -> Self {
        Self { before: "Bearer ".into(), after: String::new() }
    }

    pub(crate) fn render(&self, key: &str) -> String {
        [self.before.as_str(), key, &self.after].concat()
    }
}

impl TryFrom<String> for KeyFormat {
    type Error = String;

    fn try_from(format: String) -> Result<Self, String> {
        let (before, after) =
            format.split_once("{key}").ok_or_else(|| format!("`{format}` has no `{{key}}`"))?;
        let is_text = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if after.contains("{key}") || !is_text(before) || !is_text(after) || format.trim() != format {
            return Err(format!("`{}` cannot be the value of a header field", format.escape_debug()));
        }
        Ok(Self { before: before.into(), after: after.into() })
    }
}

/// A text that is sent as a field value of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FieldText(String);

impl FieldText {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FieldText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
            Ok(Self(text))
        } else {
            Err(format!("`{}` cannot be the value of a header field", text.escape_debug()))
        }
    }
}

/// A region: one label of a host name, so that it cannot name another host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Region(String);

impl Region {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Region {
    type Error = String;

    fn try_from(region: String) -> Result<Self, String> {
        let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let ends_well = !region.starts_with('-') && !region.ends_with('-');
        if (1..=63).contains(&region.len()) && ends_well && region.bytes().all(is_label) {
            Ok(Self(region))
        } else {
            Err(format!("`{}` is not a region", region.escape_debug()))
        }
    }
}

/// The setting `probe`: a request, or explicitly none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ProbeSetting(pub(crate) Option<Probe>);

/// The request that tells a good key from a bad one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub(crate) method: String,
    pub(crate) path: String,
}

impl Probe {
    pub(crate) fn get(path: &str) -> Self {
        Self { method: "GET".into(), path: path.into() }
    }
}

impl TryFrom<String> for ProbeSetting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let wrong = || format!("`{}` is not written as `GET /path`", text.escape_debug());
        let (method, path) = text.split_once(' ').ok_or_else(wrong)?;
        let known = ["GET", "HEAD", "POST"].contains(&method);
        if !known || !path.starts_with('/') || !path.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
            return Err(wrong());
        }
        Ok(Self(Some(Probe { method: method.into(), path: path.into() })))
    }
}

/// The answer of Hugging Face's `GET /api/whoami-v2`, as far as it matters.
#[derive(Deserialize)]
pub(crate) struct WhoAmI {
    pub(crate) name: String,
    /// Absent for an app's token.
    #[serde(default)]
    pub(crate) fullname: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn parsed<T: TryFrom<String, Error = String>>(text: &str) -> Result<T, String> {
        T::try_from(text.to_owned())
    }

    #[test]
    fn a_format_is_what_stands_before_and_after_the_key() {
        assert_eq!(parsed::<KeyFormat>("Token {key}!").unwrap().render("k"), "Token k!");
        assert_eq!(parsed::<KeyFormat>("{key}").unwrap(), KeyFormat::bare());
        assert_eq!(parsed::<KeyFormat>("Bearer").unwrap_err(), "`Bearer` has no `{key}`");
        assert_eq!(
            parsed::<KeyFormat>("{key}\r\nx: y").unwrap_err(),
            "`{key}\\r\\nx: y` cannot be the value of a header field"
        );
    }

    #[test]
    fn a_field_that_frames_the_message_cannot_carry_a_key() {
        assert_eq!(parsed::<FieldName>("X-Api-Key").unwrap().as_str(), "x-api-key");
        assert_eq!(
            parsed::<FieldName>("Host").unwrap_err(),
            "`Host` belongs to the connection and cannot carry a key"
        );
        assert_eq!(parsed::<FieldName>("a b").unwrap_err(), "`a b` is not the name of a header field");
    }

    #[test]
    fn a_region_cannot_name_another_host() {
        assert_eq!(parsed::<Region>("us-west-2").unwrap().as_str(), "us-west-2");
        for wrong in ["", "eu.evil.example/", "-", "EU"] {
            assert_eq!(parsed::<Region>(wrong).unwrap_err(), format!("`{wrong}` is not a region"));
        }
    }

    #[test]
    fn a_probe_is_a_method_and_a_path_or_explicitly_nothing() {
        assert_eq!(parsed("GET /v1/models"), Ok(ProbeSetting(Some(Probe::get("/v1/models")))));
        assert_eq!(parsed(""), Ok(ProbeSetting(None)));
        for wrong in ["/v1/models", "GET v1", "get /v1", "GET /a b"] {
            assert_eq!(
                parsed::<ProbeSetting>(wrong).unwrap_err(),
                format!("`{wrong}` is not written as `GET /path`")
            );
        }
    }
}
