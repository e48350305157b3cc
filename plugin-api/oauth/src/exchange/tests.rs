//! What goes out in an exchange, and what of its answer is shown.

use std::sync::{Arc, Mutex};

use ccproxy_plugin_sdk::{ErrorCode, Response, Secret, testing};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::*;
use crate::{AuthorizationServer, ClientAuth, Refusal, TokenRequest};

/// A server that answers everything alike, and remembers what it was asked.
struct Server {
    connection: Connection<Value>,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn answering(status: u16, body: Value) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let connection = testing::connection(json!({}), move |request| {
            log.lock().unwrap().push(request);
            Ok(Response { status, headers: Vec::new(), body: body.to_string().into_bytes() })
        });
        Self { connection, asked }
    }

    fn granting() -> Self {
        Self::answering(200, json!({"access_token": "at", "token_type": "bearer"}))
    }

    fn only_request(&self) -> Request {
        let mut asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        asked.remove(0)
    }
}

fn client(auth: ClientAuth) -> OAuthClient {
    let endpoint =
        |path: &str| Some(Endpoint::parse(&format!("https://id.example.com//{path}?p=1")).unwrap());
    let server = AuthorizationServer {
        token_endpoint: endpoint("token"),
        revocation_endpoint: endpoint("revoke"),
        introspection_endpoint: endpoint("introspect"),
        ..AuthorizationServer::default()
    };
    OAuthClient::new("cli", Some(Secret::new("s+cret")), auth, server).unwrap()
}

fn form(request: &Request) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn field(request: &Request, name: &str) -> Option<String> {
    let values: Vec<_> = request.headers.iter().filter(|(field, _)| field == name).collect();
    assert!(values.len() <= 1, "{name} twice");
    values.first().map(|(_, value)| String::from_utf8(value.clone()).unwrap())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_refresh_says_what_it_is_and_asks_for_json() {
    let server = Server::granting();
    let ask = TokenRequest::scopes(&["a".into(), "b".into()]).with("resource", "urn:r").with("audience", "");
    client(ClientAuth::Post).refresh(&server.connection, &Secret::new("rt"), &ask).await.unwrap();
    let request = server.only_request();
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://id.example.com//token?p=1")
    );
    assert_eq!(request.purpose, Purpose::Refresh);
    assert_eq!(field(&request, "accept").as_deref(), Some("application/json"));
    assert_eq!(field(&request, "content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    assert_eq!(field(&request, "authorization"), None);
    assert_eq!(
        form(&request),
        pairs(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", "rt"),
            ("scope", "a b"),
            ("client_id", "cli"),
            ("client_secret", "s+cret"),
            ("resource", "urn:r"),
        ])
    );
}

#[tokio::test]
async fn with_basic_the_body_names_no_client() {
    for (auth, credentials) in
        [(ClientAuth::Basic, "Y2xpOnMlMkJjcmV0"), (ClientAuth::BasicRaw, "Y2xpOnMrY3JldA==")]
    {
        let server = Server::granting();
        client(auth).client_credentials(&server.connection, &TokenRequest::default()).await.unwrap();
        let request = server.only_request();
        assert_eq!(request.purpose, Purpose::Token);
        assert_eq!(field(&request, "authorization"), Some(format!("Basic {credentials}")));
        assert_eq!(form(&request), pairs(&[("grant_type", "client_credentials")]));
    }
}

#[tokio::test]
async fn revocation_and_introspection_are_no_token_requests() {
    let server = Server::answering(200, json!({"active": true, "sub": "alice"}));
    let client = client(ClientAuth::None);
    client.revoke(&server.connection, &Secret::new("rt"), "refresh_token").await.unwrap();
    let request = server.only_request();
    assert_eq!(
        (request.purpose, request.url.as_str()),
        (Purpose::General, "https://id.example.com//revoke?p=1")
    );
    let expected = pairs(&[("token", "rt"), ("token_type_hint", "refresh_token"), ("client_id", "cli")]);
    assert_eq!(form(&request), expected);

    let members = client.introspect(&server.connection, &Secret::new("at")).await.unwrap();
    assert_eq!(members["sub"], "alice");
    assert_eq!(server.only_request().purpose, Purpose::General);
}

#[tokio::test]
async fn an_inactive_token_is_told_from_a_senseless_answer() {
    for (body, code) in [
        (json!({"active": false}), ErrorCode::ReauthRequired),
        (json!({"active": "true"}), ErrorCode::InvalidResponse),
        (json!({}), ErrorCode::InvalidResponse),
    ] {
        let server = Server::answering(200, body);
        let looked_up = client(ClientAuth::None).introspect(&server.connection, &Secret::new("at")).await;
        assert_eq!(looked_up.err().unwrap().code, code);
    }
}

#[tokio::test]
async fn secrets_that_a_server_quotes_are_masked() {
    let body = json!({"error": "invalid_grant", "error_description": "token rt-canary of s+cret is dead"});
    let server = Server::answering(400, body);
    let refused = client(ClientAuth::Post)
        .refresh(&server.connection, &Secret::new("rt-canary"), &TokenRequest::default())
        .await;
    assert_eq!(
        refused.err().unwrap().message,
        "the authorization server answered `invalid_grant`: token *** of *** is dead"
    );
}

#[tokio::test]
async fn a_provider_may_read_a_refusal_first() {
    let server = Server::answering(400, json!({"error": "invalid_grant", "suberror": "consent_required"}));
    let entra = |refusal: &Refusal| {
        let consent = refusal.text("suberror") == Some("consent_required");
        consent.then(|| Error::new(ErrorCode::ConsentRequired, "an administrator has to agree"))
    };
    let client = client(ClientAuth::Post).with_refusals(entra);
    let refused = client.refresh(&server.connection, &Secret::new("rt"), &TokenRequest::default()).await;
    assert_eq!(refused.err().unwrap().code, ErrorCode::ConsentRequired);
}

#[tokio::test]
async fn failures_of_the_network_keep_their_kind() {
    for code in [ErrorCode::Network, ErrorCode::Timeout] {
        let connection =
            testing::connection::<Value>(json!({}), move |_| Err(Error::new(code, "no way through")));
        let refused =
            client(ClientAuth::Post).refresh(&connection, &Secret::new("rt"), &TokenRequest::default()).await;
        assert_eq!(refused.err().unwrap().code, code);
    }
}
