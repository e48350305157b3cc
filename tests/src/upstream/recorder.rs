//! What reached the upstream, and with which token. Tokens are kept as fingerprints only.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};
use serde::{Deserialize, Serialize};

use crate::params::Params;
use crate::sandbox::authority::Authority;
use crate::sandbox::{Fingerprint, TokenState};
use crate::time::epoch_ms;

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Milliseconds since the epoch, at arrival.
    pub at_ms: u64,
    pub method: String,
    pub path: String,
    pub version: String,
    pub token: Option<Fingerprint>,
    pub token_state: TokenState,
    /// The fields that carried a credential, in alphabetical order; one that came twice is named twice.
    pub credential_fields: Vec<String>,
}

/// Everything since the last reset.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Requests {
    pub total: u64,
    pub by_token_state: BTreeMap<TokenState, u64>,
    /// How many different tokens came.
    pub distinct_tokens: usize,
    /// The first requests; the counts go on after the list is full.
    pub requests: Vec<Seen>,
}

impl Requests {
    pub fn with_state(&self, state: TokenState) -> u64 {
        self.by_token_state.get(&state).copied().unwrap_or_default()
    }
}

/// A benchmark must not fill the memory.
const MAX_LISTED: usize = 20_000;

pub(crate) struct Recorder {
    authority: Arc<Authority>,
    record: Mutex<Record>,
    git_root: OnceLock<PathBuf>,
}

#[derive(Default)]
struct Record {
    requests: Requests,
    tokens: HashSet<Fingerprint>,
    challenged: HashSet<String>,
}

impl Recorder {
    pub(crate) fn new(authority: Arc<Authority>) -> Self {
        Self { authority, record: Mutex::default(), git_root: OnceLock::new() }
    }

    /// Serves the repositories below a directory under `/git/`; the first directory stays.
    pub(crate) fn serve_git(&self, root: &Path) {
        _ = self.git_root.set(root.to_owned());
    }

    pub(crate) fn git_root(&self) -> Option<&Path> {
        self.git_root.get().map(PathBuf::as_path)
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request and says what its token is worth now.
    pub(crate) fn record<B>(&self, request: &Request<B>) -> TokenState {
        let token = presented(request.headers(), request.uri().query());
        let token_state = self.authority.token_state(token.as_deref());
        let token = token.as_deref().map(Fingerprint::of);
        let mut record = self.lock();
        record.tokens.extend(token.clone());
        let distinct_tokens = record.tokens.len();
        let requests = &mut record.requests;
        requests.total += 1;
        requests.distinct_tokens = distinct_tokens;
        *requests.by_token_state.entry(token_state).or_default() += 1;
        if requests.requests.len() < MAX_LISTED {
            requests.requests.push(Seen {
                at_ms: epoch_ms(SystemTime::now()),
                method: request.method().to_string(),
                path: request.uri().path().to_owned(),
                version: format!("{:?}", request.version()),
                token,
                token_state,
                credential_fields: credential_fields(request.headers()),
            });
        }
        token_state
    }

    /// Whether an id of `/once-401/` comes for the first time.
    pub(crate) fn is_first(&self, id: &str) -> bool {
        self.lock().challenged.insert(id.to_owned())
    }

    pub(crate) fn requests(&self) -> Requests {
        self.lock().requests.clone()
    }

    pub(crate) fn reset(&self) {
        *self.lock() = Record::default();
    }
}

/// Every field in which clients send a credential of their own.
const CREDENTIAL_FIELDS: [&str; 7] = [
    "api-key",
    "authorization",
    "cookie",
    "private-token",
    "proxy-authorization",
    "x-api-key",
    "x-goog-api-key",
];

fn credential_fields(headers: &HeaderMap) -> Vec<String> {
    let times = |name: &&str| headers.get_all(*name).iter().count();
    CREDENTIAL_FIELDS.iter().flat_map(|name| std::iter::repeat_n((*name).to_owned(), times(name))).collect()
}

/// The credential of a request, wherever clients and providers put one.
fn presented(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let from_field = authorization.and_then(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Some(rest.trim().to_owned());
        }
        let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        pair.split_once(':').map(|(_, password)| password.to_owned())
    });
    let key_fields = ["x-api-key", "api-key", "x-goog-api-key"];
    let from_key = || key_fields.iter().find_map(|name| headers.get(*name)?.to_str().ok().map(str::to_owned));
    let from_query = || {
        let query = Params::parse(query.unwrap_or_default().as_bytes());
        ["access_token", "key", "api_key"].iter().find_map(|name| query.get(name).map(str::to_owned))
    };
    from_field.or_else(from_key).or_else(from_query)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn a_credential_is_found_where_clients_put_it() {
        let in_field = |name: &'static str, value: &'static str| {
            presented(&HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]), None)
        };
        assert_eq!(in_field("authorization", "Bearer t"), Some("t".to_owned()));
        assert_eq!(in_field("authorization", "token t"), Some("t".to_owned()));
        assert_eq!(in_field("authorization", "Basic eC1hY2Nlc3MtdG9rZW46dA=="), Some("t".to_owned()));
        assert_eq!(in_field("x-api-key", "t"), Some("t".to_owned()));
        assert_eq!(presented(&HeaderMap::new(), Some("a=b&key=t")), Some("t".to_owned()));
        assert_eq!(presented(&HeaderMap::new(), Some("a=b")), None);
    }
}
