//! Is the sandbox honest? A story is worth no more than the server that it runs against.

mod clients;
mod device;
mod faults;
mod github;
mod google;
mod openid;
mod rotation;

use serde_json::Value;
use url::Url;

use super::{Change, Sandbox, SandboxConfig, Settings};
use crate::http_client::{Answer, Call};

const REDIRECT: &str = "http://127.0.0.1:5555/callback";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn rotating() -> Sandbox {
    let settings = Settings { rotate: true, reuse_detection: true, ..Settings::default() };
    Sandbox::start(SandboxConfig { settings, ..SandboxConfig::default() }).await.unwrap()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member} in {answer}"))
}

fn authorize_url(sandbox: &Sandbox, scope: &str) -> String {
    let mut url = Url::parse(&format!("{}/authorize", sandbox.issuer())).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", "native"),
        ("redirect_uri", REDIRECT),
        ("scope", scope),
        ("state", "s1"),
        ("nonce", "n1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    url.into()
}

async fn token(sandbox: &Sandbox, fields: &[(&str, &str)]) -> Answer {
    Call::form(&format!("{}/token", sandbox.issuer()), fields).send().await
}

async fn redeem(sandbox: &Sandbox, code: &str, verifier: &str) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "native"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", verifier),
    ];
    token(sandbox, &fields).await
}

async fn code(sandbox: &Sandbox, scope: &str) -> String {
    let back = sandbox.approve(&authorize_url(sandbox, scope), "alice").await;
    parameter(&back, "code").expect("an approval yields a code")
}

/// A whole login of alice by code and PKCE.
async fn login(sandbox: &Sandbox) -> Value {
    let code = code(sandbox, "openid offline_access email api:read").await;
    redeem(sandbox, &code, VERIFIER).await.json()
}

async fn refresh(sandbox: &Sandbox, refresh_token: &str) -> Answer {
    let fields = [("grant_type", "refresh_token"), ("client_id", "native"), ("refresh_token", refresh_token)];
    token(sandbox, &fields).await
}
