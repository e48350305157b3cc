//! The host-owned envelope around a plugin's record: readable without the plugin.
//!
//! State, account and expiries are the host's; the payload is the plugin's own versioned record and
//! travels byte for byte.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::{Zeroize, Zeroizing};

use crate::fault::Fault;
use crate::model::{Name, UnixMillis};

/// The schema this build reads and writes.
pub const SCHEMA: &str = "ccproxy.credential/1";
const SCHEMA_FAMILY: &str = "ccproxy.credential/";

/// One stored grant. No Debug: the payload holds tokens.
#[derive(Clone, Serialize, Deserialize)]
pub struct Envelope {
    schema: String,
    /// Which provider's record the payload is.
    pub provider: Name,
    /// Name and version of the plugin that wrote it.
    pub plugin: String,
    /// Rises with every payload written. A note of the host (state, last refresh) leaves it alone.
    pub generation: u64,
    /// The persisted part of the state machine.
    pub state: State,
    /// Who is logged in.
    pub account: Option<Account>,
    /// One entry per target that has a token.
    #[serde(default)]
    pub credentials: Vec<CredentialView>,
    /// What the login asked for.
    #[serde(default)]
    pub scopes_requested: Vec<String>,
    /// What it got, where the provider says.
    #[serde(default)]
    pub scopes_granted: Option<Vec<String>>,
    /// Whether the plugin can renew this grant without a person.
    #[serde(default)]
    pub refreshable: bool,
    /// The last attempt to renew.
    #[serde(default)]
    pub last_refresh: Option<LastRefresh>,
    /// What stands in the way, if anything does.
    #[serde(default)]
    pub problem: Option<Problem>,
    /// The plugin's record; `null` while nothing but a login under way is known.
    pub payload: Payload,
}

/// The state of a connection. The first four are persisted, the others are how things look from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Usable.
    Ok,
    /// A login is under way.
    LoginPending,
    /// Near its end, and not renewed yet.
    Expiring,
    /// Only a person can bring it back.
    ReauthRequired,
    /// Past its end.
    Expired,
    /// A refresh is under way.
    Refreshing,
    /// Nobody has logged in.
    NotLoggedIn,
    /// No loaded plugin has this provider.
    PluginMissing,
    /// The store cannot be read.
    StoreLocked,
}

impl State {
    /// The word of the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::LoginPending => "login_pending",
            Self::Expiring => "expiring",
            Self::ReauthRequired => "reauth_required",
            Self::Expired => "expired",
            Self::Refreshing => "refreshing",
            Self::NotLoggedIn => "not_logged_in",
            Self::PluginMissing => "plugin_missing",
            Self::StoreLocked => "store_locked",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The identity a login yielded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// The provider's stable identifier.
    pub subject: String,
    /// What a person recognises.
    pub display_name: Option<String>,
    /// Tenant or host, where one provider has many.
    pub host: Option<String>,
}

/// What may be shown of one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialView {
    /// The target, as [`crate::model::Target`] displays it.
    pub target: String,
    /// When the token dies, if it says.
    #[serde(with = "rfc3339")]
    pub expires_at: Option<UnixMillis>,
    /// 8 hex digits of SHA-256.
    #[serde(default)]
    pub fingerprint: String,
}

/// The last attempt to renew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRefresh {
    /// When, RFC 3339.
    pub at: String,
    /// `ok` or the code of the failure.
    pub result: String,
}

impl LastRefresh {
    /// An attempt that ended at `at`.
    pub fn new(at: UnixMillis, result: &str) -> Self {
        Self { at: at.rfc3339(), result: result.to_owned() }
    }

    /// When, unless somebody wrote what is no time.
    pub fn time(&self) -> Option<UnixMillis> {
        self.at.parse::<jiff::Timestamp>().ok().map(|at| UnixMillis(at.as_millisecond()))
    }
}

/// What stands in the way, in the words of the taxonomy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A code of [`crate::fault::Code`].
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to type.
    pub hint: Option<String>,
}

impl From<&Fault> for Problem {
    fn from(fault: &Fault) -> Self {
        Self { code: fault.code.to_string(), message: fault.message.clone(), hint: fault.hint.clone() }
    }
}

/// What a plugin says of its record, for those who cannot read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantView {
    /// Who is logged in; what was known stays if absent.
    pub account: Option<Account>,
    /// One entry per target that has a token.
    pub credentials: Vec<CredentialView>,
    /// What was granted, where the provider says.
    pub scopes_granted: Option<Vec<String>>,
    /// Whether it can be renewed without a person.
    pub refreshable: bool,
}

/// A plugin's record: JSON text kept verbatim, wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Payload(Box<RawValue>);

impl Payload {
    /// Takes one JSON value. White space around it is not part of it.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).map(Self)
    }

    /// No record.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// Whether there is a record at all.
    pub fn is_null(&self) -> bool {
        self.0.get() == "null"
    }

    /// The bytes as the plugin wrote them.
    pub fn expose(&self) -> &[u8] {
        self.0.get().as_bytes()
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let text: Box<str> = std::mem::replace(&mut self.0, RawValue::NULL.to_owned()).into();
        String::from(text).zeroize();
    }
}

/// Why stored bytes are not a record we read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not ours, or damaged. The text has no content of the file: that may be a token.
    Corrupt(String),
    /// Of a schema that another version of ccproxy wrote.
    Newer(String),
}

impl Envelope {
    /// A record of `provider` without payload, the ground on which the first one is written.
    pub(super) fn blank(provider: Name, plugin: String, generation: u64) -> Self {
        Self {
            schema: SCHEMA.into(),
            provider,
            plugin,
            generation,
            state: State::LoginPending,
            account: None,
            credentials: Vec::new(),
            scopes_requested: Vec::new(),
            scopes_granted: None,
            refreshable: false,
            last_refresh: None,
            problem: None,
            payload: Payload::null(),
        }
    }

    /// Reads stored bytes. The schema is looked at first: a newer one is refused, not damaged.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        // serde_json's own text may quote a value of the file; where it stopped says enough.
        let corrupt = |error: serde_json::Error| {
            Unreadable::Corrupt(format!("not a record at line {}, column {}", error.line(), error.column()))
        };
        let head: Head = serde_json::from_slice(bytes).map_err(corrupt)?;
        match head.schema.as_str() {
            SCHEMA => serde_json::from_slice(bytes).map_err(corrupt),
            other if other.starts_with(SCHEMA_FAMILY) => Err(Unreadable::Newer(head.schema)),
            _ => Err(Unreadable::Corrupt("not of our schema".into())),
        }
    }

    /// The bytes to store.
    pub(super) fn render(&self) -> Zeroizing<Vec<u8>> {
        // Room for all of it at once: a growing buffer would leave copies of tokens behind.
        let mut bytes = Vec::with_capacity(self.payload.expose().len() + 4096);
        serde_json::to_writer_pretty(&mut bytes, self).expect("an envelope is always valid JSON");
        bytes.push(b'\n');
        Zeroizing::new(bytes)
    }

    /// How the record looks at `now`: what is persisted, or `expired` when every token is past its end.
    pub fn state_at(&self, now: UnixMillis) -> State {
        let dead = |view: &CredentialView| view.expires_at.is_some_and(|at| at <= now);
        match self.state {
            State::Ok | State::Expiring
                if !self.credentials.is_empty() && self.credentials.iter().all(dead) =>
            {
                State::Expired
            }
            state => state,
        }
    }
}

/// Times as every document of ours writes them.
mod rfc3339 {
    use super::UnixMillis;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Option<UnixMillis>, out: S) -> Result<S::Ok, S::Error> {
        time.map(UnixMillis::rfc3339).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<UnixMillis>, D::Error> {
        let text: Option<String> = Option::deserialize(input)?;
        text.map(|text| text.parse::<jiff::Timestamp>().map(|at| UnixMillis(at.as_millisecond())))
            .transpose()
            .map_err(|_| D::Error::custom("not an RFC 3339 time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn envelope(payload: &str) -> Envelope {
        let mut envelope = Envelope::blank("github".parse().unwrap(), "github 1.0.0".into(), 7);
        envelope.payload = Payload::parse(payload.as_bytes()).unwrap();
        envelope.state = State::Ok;
        envelope
    }

    #[test]
    fn a_payload_comes_back_byte_for_byte() {
        let odd = "{\"b\": 1e3,   \"a\":\"\\u00e9\",\n \"n\": 12345678901234567890123}";
        let again = Envelope::parse(&envelope(odd).render()).ok().unwrap();
        assert_eq!(std::str::from_utf8(again.payload.expose()).unwrap(), odd);
        assert_eq!((again.generation, again.state), (7, State::Ok));
    }

    #[test]
    fn a_newer_schema_is_told_from_damage() {
        let newer = br#"{"schema":"ccproxy.credential/2","anything":true}"#;
        assert_eq!(Envelope::parse(newer).err(), Some(Unreadable::Newer("ccproxy.credential/2".into())));
        for damaged in [&b""[..], b"{", b"[]", br#"{"schema":"other/1"}"#, &envelope("1").render()[..90]] {
            assert!(matches!(Envelope::parse(damaged), Err(Unreadable::Corrupt(_))));
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_quoting_it() {
        let wrong = br#"{"schema":"ccproxy.credential/1","provider":"hunter2-secret!"}"#;
        let Err(Unreadable::Corrupt(why)) = Envelope::parse(wrong) else { panic!("it was read") };
        assert!(!why.contains("hunter2"), "{why}");
    }

    #[test]
    fn a_record_is_expired_when_every_token_is() {
        let token = |at| CredentialView {
            target: "default".into(),
            expires_at: Some(UnixMillis(at)),
            fingerprint: String::new(),
        };
        let mut record = envelope("{}");
        record.credentials = vec![token(1_000), token(9_000)];
        assert_eq!(record.state_at(UnixMillis(5_000)), State::Ok);
        assert_eq!(record.state_at(UnixMillis(9_000)), State::Expired);
        record.state = State::ReauthRequired;
        assert_eq!(record.state_at(UnixMillis(9_000)), State::ReauthRequired);
    }

    #[test]
    fn times_are_rfc3339_and_may_be_absent() {
        let mut record = envelope("{}");
        record.credentials = vec![CredentialView {
            target: "default".into(),
            expires_at: Some(UnixMillis(1_795_233_187_000)),
            fingerprint: "ba7816bf".into(),
        }];
        let text = String::from_utf8(record.render().to_vec()).unwrap();
        assert!(text.contains(r#""expires_at": "2026-11-21T03:53:07Z""#), "{text}");
        assert_eq!(Envelope::parse(text.as_bytes()).ok().unwrap().credentials, record.credentials);
        let none = text.replace(r#""2026-11-21T03:53:07Z""#, "null");
        assert_eq!(Envelope::parse(none.as_bytes()).ok().unwrap().credentials[0].expires_at, None);
    }
}
