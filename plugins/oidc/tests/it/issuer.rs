//! An issuer to play with: discovery, keys, and answers as each test wants them.

use std::collections::HashMap;

use crate::Oidc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ccproxy_plugin_sdk::testing::{Bench, BenchStep};
use ccproxy_plugin_sdk::{Error, Flow};
use httpmock::{Mock, MockServer, When};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

pub const REDIRECT_URI: &str = "http://127.0.0.1:39999/callback";
pub const STATE: &str = "state-of-the-host";

/// A running issuer.
pub struct Issuer {
    pub server: MockServer,
}

impl Issuer {
    /// One that can do everything.
    pub fn start() -> Self {
        Self::start_with(json!({}))
    }

    /// One whose discovery document is changed by `changes`; null removes a member.
    pub fn start_with(changes: Value) -> Self {
        let issuer = Self { server: MockServer::start() };
        let mut document = json!({
            "issuer": issuer.url(""),
            "authorization_endpoint": issuer.url("/auth"),
            "token_endpoint": issuer.url("/token"),
            "device_authorization_endpoint": issuer.url("/device"),
            "revocation_endpoint": issuer.url("/revoke"),
            "introspection_endpoint": issuer.url("/introspect"),
            "userinfo_endpoint": issuer.url("/userinfo"),
            "jwks_uri": issuer.url("/keys"),
            "scopes_supported": ["openid", "offline_access"],
            "code_challenge_methods_supported": ["S256"],
        });
        for (name, value) in changes.as_object().expect("changes are an object") {
            document[name] = value.clone();
        }
        document.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        issuer.serve("/.well-known/openid-configuration", document);
        let jwk = Jwk::from_encoding_key(&key(), Algorithm::ES256).expect("the key is sound");
        issuer.serve("/keys", json!({ "keys": [jwk] }));
        issuer
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.base_url())
    }

    /// The shortest connection.
    pub fn settings(&self) -> Value {
        json!({
            "provider": "oidc",
            "issuer": self.url(""),
            "client_id": "cli",
            "scopes": ["openid", "offline_access"],
            "upstream": "https://api.example.com",
        })
    }

    pub fn bench(&self) -> Bench {
        self.bench_with(json!({}))
    }

    pub fn bench_with(&self, changes: Value) -> Bench {
        let mut settings = self.settings();
        for (name, value) in changes.as_object().expect("changes are an object") {
            settings[name] = value.clone();
        }
        Bench::new::<Oidc>(settings)
    }

    pub fn serve(&self, path: &str, document: Value) -> Mock<'_> {
        let path = path.to_owned();
        self.server.mock(|when, then| {
            when.method("GET").path(path);
            then.status(200).json_body(document);
        })
    }

    /// Answers POSTs to `path` that hold all of `form`.
    pub fn answer(&self, path: &str, form: &[(&str, &str)], status: u16, body: Value) -> Mock<'_> {
        self.answer_if(path, |when| with_form(when, form), status, body)
    }

    pub fn answer_if(
        &self,
        path: &str,
        condition: impl FnOnce(When) -> When,
        status: u16,
        body: Value,
    ) -> Mock<'_> {
        let path = path.to_owned();
        self.server.mock(|when, then| {
            let _ = condition(when.method("POST").path(path));
            let _ = match body {
                Value::String(text) => then.status(status).header("content-type", "text/html").body(text),
                body => then.status(status).json_body(body),
            };
        })
    }

    /// An ID token of now.
    pub fn id_token(&self, bench: &Bench, changes: Value) -> String {
        let now = bench.now().0 / 1000;
        let mut claims = json!({
            "iss": self.url(""), "sub": "alice", "aud": "cli", "iat": now, "exp": now + 300,
            "email": "alice@example.com",
        });
        for (name, value) in changes.as_object().expect("changes are an object") {
            claims[name] = value.clone();
        }
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({"alg": "ES256"})), part(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key(), Algorithm::ES256);
        format!("{signed}.{}", signature.expect("the key signs"))
    }

    /// A browser login up to its end: the answer to its code is `tokens`, with the ID token that
    /// `claims` make, unless they are null.
    pub async fn log_in(&self, bench: &Bench, mut tokens: Value, claims: Value) -> Result<BenchStep, Error> {
        let step = bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await?;
        if let Value::Object(mut claims) = claims {
            let nonce = query(step.data["url"].as_str().expect("a URL")).remove("nonce");
            claims.entry("nonce").or_insert_with(|| nonce.unwrap_or_default().into());
            tokens["id_token"] = self.id_token(bench, Value::Object(claims)).into();
        }
        let mut mock =
            self.answer("/token", &[("grant_type", "authorization_code"), ("code", "c")], 200, tokens);
        let done = bench.login_redirect(&step, &format!("code=c&state={STATE}")).await;
        mock.delete();
        done
    }

    /// A bench that is logged in with a token of a minute.
    pub async fn logged_in(&self, changes: Value) -> Bench {
        let bench = self.bench_with(changes);
        let tokens = json!({"access_token": "at-1", "refresh_token": "rt-1", "expires_in": 60, "token_type": "Bearer"});
        let done = self.log_in(&bench, tokens, json!({})).await.expect("the login succeeds");
        bench.commit(&done);
        bench
    }
}

pub fn with_form(mut when: When, form: &[(&str, &str)]) -> When {
    for (name, value) in form {
        when = when.form_urlencoded_tuple(*name, *value);
    }
    when
}

/// The query of a URL.
pub fn query(url: &str) -> HashMap<String, String> {
    url::Url::parse(url).expect("a URL").query_pairs().into_owned().collect()
}

/// The value of the one field that is injected.
pub fn injected(credential: &ccproxy_plugin_sdk::Credential) -> String {
    assert_eq!(credential.fields.len(), 1);
    assert_eq!(credential.fields[0].0, "authorization");
    String::from_utf8(credential.fields[0].1.clone()).expect("text")
}

fn key() -> EncodingKey {
    EncodingKey::from_ec_der(include_bytes!("p256.der"))
}
