//! The kinds of event and the document each becomes.

use std::fmt;

use serde_json::{Map, Value};

use crate::model::{ConnectionId, UnixMillis};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// Every kind of event, section 8 of the interface. The discriminant is its bit in a subscription.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// All kinds, in the order of the interface.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name as written in documents and subscriptions.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

kinds! {
    /// The host starts; nothing is served yet.
    AppStartup = "app.startup",
    /// All listeners accept.
    AppReady = "app.ready",
    /// The host drains and ends.
    AppShutdown = "app.shutdown",
    /// A client request was admitted.
    RequestStarted = "request.started",
    /// Its response was relayed to the end.
    RequestCompleted = "request.completed",
    /// It ended in an error reply of ours or broke off.
    RequestFailed = "request.failed",
    /// The upstream request is complete, credential attached.
    ProviderRequestPrepared = "provider.request.prepared",
    /// Its head is on the way upstream.
    ProviderRequestSent = "provider.request.sent",
    /// The upstream's response head arrived.
    ProviderResponseReceived = "provider.response.received",
    /// The upstream could not be reached or broke the protocol.
    ProviderError = "provider.error",
    /// A streamed response (SSE, upgrade) begins.
    ProviderStreamStart = "provider.stream.start",
    /// It ended.
    ProviderStreamEnd = "provider.stream.end",
    /// A plugin serves.
    PluginLoaded = "plugin.loaded",
    /// A plugin stopped serving.
    PluginUnloaded = "plugin.unloaded",
    /// A plugin was refused, panicked or stalled.
    PluginError = "plugin.error",
    /// A plugin calls out through the host.
    HttpRequest = "http.request",
    /// The answer to such a call.
    HttpResponse = "http.response",
    /// Such a call failed.
    HttpError = "http.error",
    /// A token request other than a refresh goes out.
    OauthTokenRequest = "oauth.token.request",
    /// Its answer.
    OauthTokenResponse = "oauth.token.response",
    /// A refresh goes out.
    OauthRefreshRequest = "oauth.refresh.request",
    /// Its answer.
    OauthRefreshResponse = "oauth.refresh.response",
    /// An authorization server said no, or nothing usable.
    OauthError = "oauth.error",
    /// A credential nears its end.
    ConnectionExpiring = "connection.expiring",
    /// A person must log in again.
    ConnectionReauthRequired = "connection.reauth_required",
    /// A connection works again.
    ConnectionRecovered = "connection.recovered",
    /// A plugin's own event.
    CustomEvent = "custom.event",
}

impl Kind {
    /// The kind of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    /// This kind's bit in a subscription mask.
    pub fn bit(self) -> u64 {
        1 << (self as u64)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One event. Built only when somebody listens; never holds a secret (no field takes one).
#[derive(Clone, Debug)]
pub struct Event {
    /// Which fact.
    pub kind: Kind,
    /// When it became one.
    pub time: UnixMillis,
    /// The request it belongs to.
    pub request_id: Option<String>,
    /// The login it belongs to.
    pub login_id: Option<String>,
    /// The connection it is about.
    pub connection: Option<ConnectionId>,
    /// The provider of that connection.
    pub provider: Option<String>,
    /// Fields of its kind, listed in `docs/events.md`.
    pub fields: Map<String, Value>,
}

impl Event {
    /// An event of now, about nothing yet.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            time: UnixMillis::now(),
            request_id: None,
            login_id: None,
            connection: None,
            provider: None,
            fields: Map::new(),
        }
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }

    /// The same about a connection.
    #[must_use]
    pub fn about(mut self, connection: &ConnectionId, provider: &str) -> Self {
        self.connection = Some(connection.clone());
        self.provider = Some(provider.to_owned());
        self
    }

    /// The same as part of a request.
    #[must_use]
    pub fn of_request(mut self, request_id: &str) -> Self {
        self.request_id = Some(request_id.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_fits_the_subscription_mask_and_is_found_by_its_name() {
        assert!(Kind::ALL.len() <= 64);
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
    }
}
