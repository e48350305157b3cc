//! A Google to play with: keys, and answers as each test wants them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ccproxy_plugin_sdk::testing::{Bench, BenchStep};
use ccproxy_plugin_sdk::{Error, Flow};
use httpmock::{Mock, MockServer, When};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

pub const REDIRECT_URI: &str = "http://127.0.0.1:39999/callback";
pub const SECRET: &str = "GOCSPX-s3cr+t/& %";
pub const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
pub const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";

/// All of Google below one base.
pub struct Google {
    pub server: MockServer,
}

impl Google {
    pub fn start() -> Self {
        let google = Self { server: MockServer::start() };
        let jwk = Jwk::from_encoding_key(&key(), Algorithm::ES256).unwrap();
        google.server.mock(|when, then| {
            when.method("GET").path("/oauth2/v3/certs");
            then.status(200).json_body(json!({ "keys": [jwk] }));
        });
        google
    }

    pub fn bench(&self) -> Bench {
        self.bench_with(json!({}))
    }

    /// A connection of a client with its secret, and further settings.
    pub fn bench_with(&self, more: Value) -> Bench {
        let mut settings = json!({
            "client_id": "app.test",
            "client_secret": { "env": "GOOGLE_CLIENT_SECRET" },
            "scopes": [DRIVE],
            "authority": self.server.base_url(),
        });
        for (name, value) in more.as_object().unwrap() {
            settings[name] = value.clone();
        }
        Bench::new::<crate::Google>(settings).with_secret("client_secret", SECRET)
    }

    /// Answers POSTs to `path` that hold all of `form`.
    pub fn answer(&self, path: &str, form: &[(&str, &str)], status: u16, body: Value) -> Mock<'_> {
        let path = path.to_owned();
        self.server.mock(|when, then| {
            let mut when: When = when.method("POST").path(path);
            for (name, value) in form {
                when = when.form_urlencoded_tuple(*name, *value);
            }
            then.status(status).json_body(body);
        })
    }

    /// Who the token belongs to, as userinfo says it.
    pub fn knows(&self, token: &str, claims: Value) -> Mock<'_> {
        let bearer = format!("Bearer {token}");
        self.server.mock(|when, then| {
            when.method("GET").path("/oauth2/v3/userinfo").header("authorization", bearer);
            then.status(200).json_body(claims);
        })
    }

    /// An ID token of now.
    pub fn id_token(&self, bench: &Bench, changes: Value) -> String {
        let now = bench.now().0 / 1000;
        let mut claims = json!({
            "iss": self.server.base_url(), "azp": "app.test", "aud": "app.test", "sub": "10769150350006150715113082367",
            "iat": now, "exp": now + 3600, "email": "ann@gmail.com", "email_verified": true,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({ "alg": "ES256" })), part(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key(), Algorithm::ES256).unwrap();
        format!("{signed}.{signature}")
    }

    /// A browser login up to its end: `tokens` answer the code, with the ID token of `claims`.
    pub async fn log_in(&self, bench: &Bench, mut tokens: Value, claims: Value) -> Result<BenchStep, Error> {
        let step = bench.login_begin(Flow::Browser, REDIRECT_URI, "s").await?;
        let mut claims = claims;
        if claims.get("nonce").is_none() {
            claims["nonce"] = asked(&step)["nonce"].clone().into();
        }
        tokens["id_token"] = self.id_token(bench, claims).into();
        let form = [("grant_type", "authorization_code"), ("code", "c"), ("redirect_uri", REDIRECT_URI)];
        let mut mock = self.answer("/token", &form, 200, tokens);
        let done = bench.login_redirect(&step, "code=c&state=s").await;
        mock.delete();
        done
    }

    /// A bench whose login of an hour is stored.
    pub async fn logged_in(&self, more: Value) -> Bench {
        let bench = self.bench_with(more);
        let done = self.log_in(&bench, tokens(), json!({})).await.unwrap();
        bench.commit(&done);
        bench
    }
}

/// What Google answers to a code.
pub fn tokens() -> Value {
    json!({
        "access_token": "ya29.1", "expires_in": 3599, "refresh_token": "1//r",
        "scope": format!("{DRIVE} openid {EMAIL}"), "token_type": "Bearer",
    })
}

/// The query of the page that a step opens.
pub fn asked(step: &BenchStep) -> BTreeMap<String, String> {
    url::Url::parse(step.data["url"].as_str().unwrap()).unwrap().query_pairs().into_owned().collect()
}

pub fn bearer(token: &str) -> Vec<(String, Vec<u8>)> {
    vec![("authorization".to_owned(), format!("Bearer {token}").into_bytes())]
}

fn key() -> EncodingKey {
    EncodingKey::from_ec_der(include_bytes!("p256.der"))
}
