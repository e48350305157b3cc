//! The sandbox: an authorization server and a recording upstream on loopback.
//!
//! At the issuer lives a generic OpenID provider; under `/github`, `/google` and `/azure` the same grants speak
//! those dialects. It is scripted under `/_sandbox/` (JSON) or through the methods of [`Sandbox`]. Secrets it hands
//! out begin with `sbxat_`, `sbxrt_`, `sbxac_`, `sbxdc_` (GitHub's with `gho_`, `ghu_`, `ghr_`, Google's with `ya29.`,
//! `1//`), so a test can search for leaks.
//!
//! It is never the only proof of a flow: the flows run against a certified server as well.

pub(crate) mod authority;
mod authorize;
mod azure;
mod clients;
mod control;
mod device;
mod dialects;
mod discovery;
mod endpoint;
mod faults;
mod github;
mod google;
mod id_token;
mod inspect;
mod keys;
mod log;
mod page;
mod private_ca;
mod reply;
mod settings;
mod store;
mod token;

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use url::Url;

pub use endpoint::Endpoint;
pub use faults::{Fault, FaultRule};
pub use id_token::Mutation;
pub use log::{Counts, Entry};
pub use settings::{Change, Lifetimes, Settings};
pub use store::{Fingerprint, TokenState};

use crate::http_client::Call;
use crate::server::{Bound, Running};
use crate::upstream::{self, Recorder, Requests};
use authority::Authority;
use private_ca::PrivateCa;

/// Where the sandbox listens and how it starts out.
#[derive(Clone, Debug, Default)]
pub struct SandboxConfig {
    /// Port of the authorization server; 0 picks a free one.
    pub port: u16,
    /// Port of the upstream; 0 picks a free one.
    pub upstream_port: u16,
    /// Serves both over TLS, too, on free ports, with a CA that nobody knows.
    pub tls: bool,
    pub settings: Settings,
}

/// A running sandbox. Dropping it closes its servers.
pub struct Sandbox {
    authority: Arc<Authority>,
    recorder: Arc<Recorder>,
    plain: Pair,
    tls: Option<(Pair, PrivateCa)>,
}

/// An authorization server and an upstream.
struct Pair {
    issuer: Arc<str>,
    upstream: Arc<str>,
    _servers: [Running; 2],
}

impl Sandbox {
    pub async fn start(config: SandboxConfig) -> io::Result<Self> {
        let authority = Arc::new(Authority::new(config.settings));
        let recorder = Arc::new(Recorder::new(Arc::clone(&authority)));
        let plain = Pair::start(&authority, &recorder, None, [config.port, config.upstream_port]).await?;
        let tls = match config.tls {
            true => {
                let ca = PrivateCa::create()?;
                Some((Pair::start(&authority, &recorder, Some(&ca), [0, 0]).await?, ca))
            }
            false => None,
        };
        Ok(Self { authority, recorder, plain, tls })
    }

    /// A sandbox with the settings of a fresh one.
    pub async fn start_default() -> io::Result<Self> {
        Self::start(SandboxConfig::default()).await
    }

    // === addresses ===

    pub fn issuer(&self) -> &str {
        &self.plain.issuer
    }

    /// Base of GitHub's web pages (`web_url`).
    pub fn github(&self) -> String {
        format!("{}/github", self.issuer())
    }

    /// Base of GitHub's API (`api_url`).
    pub fn github_api(&self) -> String {
        format!("{}/github/api/v3", self.issuer())
    }

    /// Base of all of Google's endpoints (`authority`), and the issuer of its ID tokens.
    pub fn google(&self) -> String {
        format!("{}{}", self.issuer(), google::BASE)
    }

    /// Base of Entra's login pages (`authority`).
    pub fn azure(&self) -> String {
        format!("{}/azure", self.issuer())
    }

    /// Base of the recording upstream.
    pub fn upstream(&self) -> &str {
        &self.plain.upstream
    }

    /// The same authorization server over TLS, an issuer of its own; panics unless started with `tls`.
    pub fn issuer_tls(&self) -> &str {
        &self.tls().0.issuer
    }

    /// The same upstream over TLS; panics unless started with `tls`.
    pub fn upstream_tls(&self) -> &str {
        &self.tls().0.upstream
    }

    /// The certificate of the CA behind the TLS addresses, as PEM; panics unless started with `tls`.
    pub fn ca_file(&self) -> &Path {
        self.tls().1.file()
    }

    fn tls(&self) -> &(Pair, PrivateCa) {
        self.tls.as_ref().expect("the sandbox was started with `tls`")
    }

    // === scripting ===

    /// Lets the next `times` requests to an endpoint meet a fault.
    pub fn fault(&self, endpoint: Endpoint, times: u32, fault: Fault) {
        self.add_fault(FaultRule { endpoint, times, grant_type: None, client: None, fault });
    }

    pub fn add_fault(&self, rule: FaultRule) {
        self.authority.lock().faults.add(rule);
    }

    /// Takes back every fault that has not been met yet.
    pub fn clear_faults(&self) {
        self.authority.lock().faults.clear();
    }

    pub fn change_settings(&self, change: Change) {
        self.authority.lock().settings.apply(change);
    }

    /// Expires every access token, or those of one client, now; says how many were live.
    pub fn expire_access_tokens(&self, client: Option<&str>) -> usize {
        self.authority.lock().store.expire_access(client)
    }

    /// Kills every refresh token, or those of one client; says how many were live.
    pub fn revoke_refresh_tokens(&self, client: Option<&str>) -> usize {
        self.authority.lock().store.revoke_refresh(client)
    }

    /// Publishes and signs with new key ids, as a provider that rotates its keys.
    pub fn rotate_keys(&self) {
        self.authority.lock().keys.rotate();
    }

    /// Lets the upstream accept a static API key.
    pub fn accept_key(&self, key: &str) {
        self.authority.lock().store.accept_key(key);
    }

    /// Serves the git repositories below a directory at the upstream's `/git/`; the first directory stays.
    pub fn serve_git(&self, root: &Path) {
        self.recorder.serve_git(root);
    }

    /// Forgets every grant, fault and log entry and returns to the settings it was started with.
    pub fn reset(&self) {
        self.authority.reset();
        self.recorder.reset();
    }

    // === what a person would do ===

    /// Approves an authorization request as `user`, as a browser would, and returns where it was redirected.
    pub async fn approve(&self, authorize_url: &str, user: &str) -> Url {
        let mut url = Url::parse(authorize_url).expect("an authorize URL is a URL");
        url.query_pairs_mut().append_pair("sandbox_approve", user);
        let answer = Call::get(url.as_str()).send().await;
        assert!(answer.status.is_redirection(), "not approved: {} {}", answer.status, answer.text());
        Url::parse(answer.header("location")).expect("the redirect goes to a URL")
    }

    /// Approves a device login; false where no such user code is pending.
    pub fn approve_device(&self, user_code: &str, user: &str) -> bool {
        self.authority.lock().store.decide_device(user_code, Some(user))
    }

    /// Denies a device login; false where no such user code is pending.
    pub fn deny_device(&self, user_code: &str) -> bool {
        self.authority.lock().store.decide_device(user_code, None)
    }

    // === what was seen ===

    pub fn counts(&self) -> Counts {
        self.authority.lock().log.counts()
    }

    pub fn log(&self) -> Vec<Entry> {
        self.authority.lock().log.entries().to_vec()
    }

    /// What an access token is worth now.
    pub fn token_state(&self, token: &str) -> TokenState {
        self.authority.token_state(Some(token))
    }

    pub fn requests(&self) -> Requests {
        self.recorder.requests()
    }

    /// The addresses as one JSON object, which the program prints when it is ready, and what leads a plugin here.
    pub fn ready_line(&self) -> Value {
        let mut line = serde_json::json!({
            "ready": true,
            "issuer": self.issuer(),
            "github": self.github(),
            "github_api": self.github_api(),
            "google": self.google(),
            "azure": self.azure(),
            "upstream": self.upstream(),
            "dialects": dialects::dialects(self),
        });
        if self.tls.is_some() {
            line["issuer_tls"] = self.issuer_tls().into();
            line["upstream_tls"] = self.upstream_tls().into();
            line["ca_file"] = self.ca_file().to_string_lossy().into();
        }
        line
    }
}

impl Pair {
    async fn start(
        authority: &Arc<Authority>,
        recorder: &Arc<Recorder>,
        ca: Option<&PrivateCa>,
        ports: [u16; 2],
    ) -> io::Result<Self> {
        let address = |bound: &Bound| match ca {
            None => Arc::from(format!("http://{}", bound.address)),
            Some(_) => Arc::from(format!("https://localhost:{}", bound.address.port())),
        };
        let acceptor = || ca.map(PrivateCa::acceptor);
        let bound = Bound::on_port(ports[0]).await?;
        let issuer = address(&bound);
        let serve_authority = {
            let (authority, issuer) = (Arc::clone(authority), Arc::clone(&issuer));
            move |request| endpoint::answer(Arc::clone(&authority), Arc::clone(&issuer), request)
        };
        let authority_server = bound.serve("authority", acceptor(), serve_authority)?;
        let bound = Bound::on_port(ports[1]).await?;
        let upstream = address(&bound);
        let serve_upstream = {
            let (recorder, base) = (Arc::clone(recorder), Arc::clone(&upstream));
            move |request| upstream::answer(Arc::clone(&recorder), Arc::clone(&base), request)
        };
        let upstream_server = bound.serve("upstream", acceptor(), serve_upstream)?;
        Ok(Self { issuer, upstream, _servers: [authority_server, upstream_server] })
    }
}

#[cfg(test)]
mod tests;
