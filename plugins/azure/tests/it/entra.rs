//! An Entra to play with: a tenant's endpoints below one authority, and answers as each test wants them.

use std::collections::BTreeMap;

use crate::Azure;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ccproxy_plugin_sdk::testing::{Bench, BenchStep};
use ccproxy_plugin_sdk::{Credential, Error, Flow, Target};
use httpmock::{Mock, MockServer, When};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

pub const REDIRECT: &str = "http://localhost:41999";
pub const STATE: &str = "state-of-the-host";
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub const OBJECT_ID: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
pub const GRAPH: &str = "https://graph.microsoft.com/.default";
pub const ARM: &str = "https://management.azure.com/.default";
pub const SECRET: &str = "az~s3cr+t/& %";
/// What a login asks for besides the resource.
pub const OPENID: &str = "openid profile offline_access";

/// A running Entra, as the tenant that `tenant` of its settings names.
pub struct Entra {
    server: MockServer,
    tenant: &'static str,
}

impl Entra {
    pub fn start() -> Self {
        Self::of("organizations")
    }

    pub fn of(tenant: &'static str) -> Self {
        let entra = Self { server: MockServer::start(), tenant };
        let jwk = Jwk::from_encoding_key(&key(), Algorithm::ES256).unwrap();
        entra.server.mock(|when, then| {
            when.method("GET").path(format!("/login/{tenant}/discovery/v2.0/keys"));
            then.status(200).json_body(json!({ "keys": [jwk] }));
        });
        entra
    }

    pub fn authority(&self) -> String {
        format!("{}/login", self.server.base_url())
    }

    pub fn bench(&self) -> Bench {
        self.bench_with(json!({}))
    }

    pub fn bench_with(&self, changes: Value) -> Bench {
        let mut settings =
            json!({ "client_id": "app", "authority": self.authority(), "tenant": self.tenant });
        settings.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Bench::new::<Azure>(settings).with_secret("client_secret", SECRET)
    }

    /// Answers token requests that hold all of `form`.
    pub fn tokens(&self, form: &[(&str, &str)], status: u16, body: Value) -> Mock<'_> {
        self.answer("oauth2/v2.0/token", |when| with_form(when, form), status, body)
    }

    pub fn answer(
        &self,
        path: &str,
        request: impl FnOnce(When) -> When,
        status: u16,
        body: Value,
    ) -> Mock<'_> {
        let path = format!("/login/{}/{path}", self.tenant);
        self.server.mock(|when, then| {
            request(when.method("POST").path(path));
            then.status(status).json_body(body);
        })
    }

    /// An answer with tokens as Entra writes it: numbers as text, one more lifetime, no rotation notice.
    pub fn granted(&self, token: &str) -> Value {
        json!({
            "token_type": "Bearer",
            "scope": GRAPH,
            "expires_in": "3599",
            "ext_expires_in": 86_400,
            "access_token": token,
            "refresh_token": format!("rt-of-{token}"),
        })
    }

    /// The claims of alice's ID token.
    pub fn claims(&self, bench: &Bench) -> Value {
        let now = bench.now().0 / 1000;
        json!({
            "iss": format!("{}/{TENANT}/v2.0", self.authority()), "tid": TENANT, "aud": "app", "sub": "pairwise",
            "oid": OBJECT_ID, "iat": now, "nbf": now, "exp": now + 3600, "ver": "2.0",
            "preferred_username": "alice@contoso.com", "name": "Alice",
        })
    }

    /// A browser login whose code yields this ID token, unless it is null.
    pub async fn log_in(&self, bench: &Bench, claims: Value) -> Result<BenchStep, Error> {
        let open = bench.login_begin(Flow::Browser, REDIRECT, STATE).await?;
        let mut answer = self.granted("at-1");
        if let Value::Object(mut claims) = claims {
            let nonce = parameters(open.data["url"].as_str().unwrap()).remove("nonce").unwrap();
            claims.entry("nonce").or_insert_with(|| nonce.into());
            answer["id_token"] = id_token(&Value::Object(claims)).into();
        }
        let mut mock = self.tokens(&[("grant_type", "authorization_code")], 200, answer);
        let done = bench.login_redirect(&open, &format!("code=c&state={STATE}&session_state=x")).await;
        mock.delete();
        done
    }

    /// A bench on which alice is logged in.
    pub async fn logged_in(&self) -> Bench {
        let bench = self.bench();
        let done = self.log_in(&bench, self.claims(&bench)).await.unwrap();
        bench.commit(&done);
        bench
    }

    pub fn device_code(&self) -> Mock<'_> {
        let scope = format!("{OPENID} {GRAPH}");
        self.answer(
            "oauth2/v2.0/devicecode",
            |when| with_form(when, &[("client_id", "app"), ("scope", &scope)]),
            200,
            json!({
                "user_code": "GTHK4QPD",
                "device_code": "GAQABAAEAAAD-long-and-secret",
                "verification_uri": "https://www.microsoft.com/link",
                "expires_in": "900",
                "interval": "5",
                "message": "Use um navegador para abrir a página e digite o código.",
            }),
        )
    }
}

/// An error answer as Entra writes one, with an AADSTS line and what follows it.
pub fn refusal(error: &str, suberror: &str, line: &str) -> Value {
    let mut body = json!({
        "error": error,
        "error_description": format!(
            "{line}\r\nTrace ID: 0a-trace\r\nCorrelation ID: 0b-correlation\r\nTimestamp: 2026-01-01 00:00:00Z"
        ),
        "error_codes": [70_000],
        "timestamp": "2026-01-01 00:00:00Z",
        "trace_id": "0a-trace",
        "correlation_id": "0b-correlation",
        "error_uri": "https://login.microsoftonline.com/error?code=70000",
    });
    if !suberror.is_empty() {
        body["suberror"] = suberror.into();
    }
    body
}

pub fn id_token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "ES256", "typ": "JWT" })), part(claims));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key(), Algorithm::ES256).unwrap();
    format!("{signed}.{signature}")
}

pub fn with_form(mut when: When, form: &[(&str, &str)]) -> When {
    for (name, value) in form {
        when = when.form_urlencoded_tuple(*name, *value);
    }
    when
}

pub fn parameters(url: &str) -> BTreeMap<String, String> {
    url::Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

pub fn scopes(scopes: &[&str]) -> Target {
    Target { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..Target::default() }
}

/// The token that is injected.
pub fn bearer(credential: &Credential) -> String {
    let [(name, value)] = credential.fields.as_slice() else { panic!("one field") };
    assert_eq!(name, "authorization");
    String::from_utf8_lossy(value).strip_prefix("Bearer ").unwrap().to_owned()
}

fn key() -> EncodingKey {
    EncodingKey::from_ec_der(include_bytes!("p256.der"))
}
