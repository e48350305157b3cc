//! What the authorization server saw: one entry a request, and counts. No secret is in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde::{Deserialize, Serialize};

use super::authority::Authority;
use super::endpoint::{Call, Endpoint};
use super::store::{Family, Fingerprint};
use crate::time::epoch_ms;

/// One request, from its arrival.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub id: u64,
    /// Milliseconds since the epoch, at arrival.
    pub at_ms: u64,
    /// None while the request is being answered.
    pub took_ms: Option<u64>,
    pub endpoint: Endpoint,
    pub grant_type: Option<String>,
    /// The client that the request names; whether it proved it is in `outcome`.
    pub client: Option<String>,
    pub client_auth: Option<String>,
    pub subject: Option<String>,
    pub scope: Option<String>,
    pub audience: Option<String>,
    /// The number of the grant that the presented or issued tokens hang on.
    pub family: Option<u64>,
    /// Which refresh token was presented.
    pub refresh_token: Option<Fingerprint>,
    /// Which tokens were issued.
    pub issued_access_token: Option<Fingerprint>,
    pub issued_refresh_token: Option<Fingerprint>,
    pub reuse_detected: bool,
    /// The kind of the scripted fault that it met.
    pub fault: Option<String>,
    pub status: Option<u16>,
    /// `ok`, an error code, `fault`, `cut`, or `client_gone` for a client that did not wait.
    pub outcome: String,
}

impl Entry {
    pub(crate) fn new(endpoint: Endpoint, call: &Call) -> Self {
        let parameter = |name: &str| call.form.get(name).or_else(|| call.query.get(name)).map(str::to_owned);
        let grant_type = parameter("grant_type").filter(|_| endpoint.is_token());
        Self {
            id: 0,
            at_ms: epoch_ms(SystemTime::now()),
            took_ms: None,
            endpoint,
            // GitHub takes a code without a grant type.
            grant_type: grant_type.or_else(|| endpoint.is_token().then(|| "authorization_code".to_owned())),
            client: parameter("client_id").or_else(|| basic_client(call)),
            client_auth: None,
            subject: None,
            scope: parameter("scope"),
            audience: parameter("audience").or_else(|| parameter("resource")),
            family: None,
            refresh_token: call.form.get("refresh_token").map(Fingerprint::of),
            issued_access_token: None,
            issued_refresh_token: None,
            reuse_detected: false,
            fault: None,
            status: None,
            outcome: "pending".to_owned(),
        }
    }

    pub(crate) fn on_family(&mut self, family: Family) {
        self.family = Some(family.number());
    }
}

fn basic_client(call: &Call) -> Option<String> {
    let value = call.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?.trim()).ok()?;
    Some(String::from_utf8_lossy(decoded.split(|&byte| byte == b':').next()?).into_owned())
}

/// How often things happened since the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests to the token endpoint that arrived, by grant type.
    pub token: BTreeMap<String, u64>,
    /// The same for GitHub's token endpoint.
    pub github_token: BTreeMap<String, u64>,
    /// The same for Google's token endpoint.
    pub google_token: BTreeMap<String, u64>,
    /// Requests that arrived, by endpoint.
    pub requests: BTreeMap<Endpoint, u64>,
    /// Spent refresh tokens that came back.
    pub reuse_detected: u64,
    /// The most token requests that were under way at one time.
    pub most_concurrent_token_requests: u64,
}

impl Counts {
    /// Token requests of one grant type at the generic server.
    pub fn token_requests(&self, grant_type: &str) -> u64 {
        self.token.get(grant_type).copied().unwrap_or_default()
    }

    /// Refreshes that arrived, at any of the servers.
    pub fn refreshes(&self) -> u64 {
        let of = |counts: &BTreeMap<String, u64>| counts.get("refresh_token").copied().unwrap_or_default();
        of(&self.token) + of(&self.github_token) + of(&self.google_token)
    }
}

/// A long test must not fill the memory; the counts go on.
const MAX_ENTRIES: usize = 100_000;

#[derive(Default)]
pub(crate) struct Log {
    entries: Vec<Entry>,
    counts: Counts,
    tokens_under_way: u64,
    life: u64,
}

impl Log {
    /// Notes the arrival of a request; what is returned notes its end.
    pub(crate) fn open(&mut self, authority: Arc<Authority>, mut entry: Entry) -> Open {
        *self.counts.requests.entry(entry.endpoint).or_default() += 1;
        if entry.endpoint.is_token() {
            let by_grant = match entry.endpoint {
                Endpoint::GithubToken => &mut self.counts.github_token,
                Endpoint::GoogleToken => &mut self.counts.google_token,
                _ => &mut self.counts.token,
            };
            *by_grant.entry(entry.grant_type.clone().unwrap_or_default()).or_default() += 1;
            self.tokens_under_way += 1;
            let most = &mut self.counts.most_concurrent_token_requests;
            *most = self.tokens_under_way.max(*most);
        }
        entry.id = self.entries.len() as u64;
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry.clone());
        }
        Open { authority, entry, life: self.life, started: Instant::now(), finished: false }
    }

    fn close(&mut self, entry: &Entry, life: u64) {
        if life != self.life {
            return;
        }
        if entry.endpoint.is_token() {
            self.tokens_under_way -= 1;
        }
        self.counts.reuse_detected += u64::from(entry.reuse_detected);
        if let Some(open) = usize::try_from(entry.id).ok().and_then(|at| self.entries.get_mut(at)) {
            *open = entry.clone();
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// An empty log that ignores the end of requests which began in this one.
    pub(crate) fn next_life(&self) -> Self {
        Self { life: self.life + 1, ..Self::default() }
    }
}

/// A request that is being answered. Dropped unfinished, it was its client that did not wait.
pub(crate) struct Open {
    authority: Arc<Authority>,
    pub(crate) entry: Entry,
    life: u64,
    started: Instant,
    finished: bool,
}

impl Open {
    pub(crate) fn finish(&mut self, status: Option<StatusCode>, outcome: &str) {
        self.finished = true;
        self.entry.status = status.map(|status| status.as_u16());
        self.entry.outcome = outcome.to_owned();
        self.entry.took_ms = u64::try_from(self.started.elapsed().as_millis()).ok();
        self.authority.lock().log.close(&self.entry, self.life);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.finished {
            self.finish(None, "client_gone");
        }
    }
}
