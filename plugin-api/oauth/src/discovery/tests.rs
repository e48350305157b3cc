//! Discovery against scripted answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ccproxy_plugin_sdk::testing;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::*;

/// Status and body, or no answer at all.
type Page = Result<(u16, String), Error>;

/// An issuer: answers by URL, and what was asked for.
#[derive(Clone, Default)]
struct Web {
    pages: Arc<Mutex<HashMap<String, Page>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn with(self, url: &str, document: Value) -> Self {
        self.pages.lock().unwrap().insert(url.to_owned(), Ok((200, document.to_string())));
        self
    }

    fn failing(&self, url: &str, failure: Result<u16, ErrorCode>) {
        let page = failure.map(|status| (status, String::new())).map_err(|code| Error::new(code, "down"));
        self.pages.lock().unwrap().insert(url.to_owned(), page);
    }

    fn connection(&self) -> Connection<Value> {
        let web = self.clone();
        testing::connection(json!({}), move |request: Request| {
            web.asked.lock().unwrap().push(request.url.clone());
            let page = web.pages.lock().unwrap().get(&request.url).cloned();
            let (status, body) = page.unwrap_or(Ok((404, "<html>".into())))?;
            Ok(Response { status, headers: Vec::new(), body: body.into_bytes() })
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn document(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": "https://id.example.com/auth",
        "token_endpoint": "https://id.example.com/token",
        "jwks_uri": "https://id.example.com/keys",
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    })
}

const ISSUER: &str = "https://id.example.com";
const DOCUMENT: &str = "https://id.example.com/.well-known/openid-configuration";

async fn find(web: &Web, issuer: &str) -> Result<AuthorizationServer, Error> {
    Discovery::default().find(&web.connection(), issuer).await
}

#[tokio::test]
async fn an_issuer_says_where_its_endpoints_are() {
    let web = Web::default().with(DOCUMENT, document(ISSUER));
    let server = find(&web, ISSUER).await.unwrap();
    assert_eq!(server.issuer.as_deref(), Some(ISSUER));
    assert_eq!(server.token_endpoint().unwrap().as_str(), "https://id.example.com/token");
    assert_eq!(server.device_authorization_endpoint, None);
    assert!(server.authorization_response_iss_parameter_supported);
    assert_eq!(server.code_challenge_methods_supported, Some(vec!["S256".to_owned()]));
}

#[tokio::test]
async fn an_issuer_with_a_path_is_joined_as_text() {
    for (issuer, url) in [
        ("https://id.example.com/t/1", "https://id.example.com/t/1/.well-known/openid-configuration"),
        ("https://id.example.com/t/1/", "https://id.example.com/t/1/.well-known/openid-configuration"),
        ("https://id.example.com//t", "https://id.example.com//t/.well-known/openid-configuration"),
        ("https://id.example.com/t//", "https://id.example.com/t//.well-known/openid-configuration"),
    ] {
        let web = Web::default().with(url, document(issuer));
        assert!(find(&web, issuer).await.is_ok(), "{issuer}");
        assert_eq!(web.asked(), [url]);
    }
}

#[tokio::test]
async fn the_place_of_rfc_8414_is_tried_second() {
    let url = "https://id.example.com/.well-known/oauth-authorization-server/t/1";
    let issuer = "https://id.example.com/t/1";
    let web = Web::default().with(url, document(issuer));
    assert!(find(&web, issuer).await.is_ok());
    assert_eq!(web.asked(), ["https://id.example.com/t/1/.well-known/openid-configuration", url]);
}

#[tokio::test]
async fn a_document_of_another_issuer_is_refused_byte_for_byte() {
    for found in ["https://id.example.com/", "https://ID.example.com", "http://id.example.com"] {
        let error = find(&Web::default().with(DOCUMENT, document(found)), ISSUER).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidResponse);
        assert_eq!(error.message, format!("`issuer` is {ISSUER}, but its document says {found}"));
    }
    let mut nameless = document(ISSUER);
    nameless["issuer"] = Value::Null;
    let error = find(&Web::default().with(DOCUMENT, nameless), ISSUER).await.err().unwrap();
    assert_eq!(error.message, "the discovery document names no `issuer`");
}

#[tokio::test]
async fn endpoints_of_a_document_keep_to_the_rules() {
    for (url, why) in [
        (json!("http://id.example.com/token"), "must be https (http only for loopback)"),
        (json!("https://me:pw@id.example.com/"), "must not hold a user name or password"),
        (json!("/token"), "is not an absolute URL"),
        (json!("http://127.0.0.1:6379/token"), "is on this machine"),
        (json!("https://localhost/token"), "is on this machine"),
        (json!(["https://id.example.com/token"]), "is not a text"),
    ] {
        let mut lying = document(ISSUER);
        lying["token_endpoint"] = url;
        let error = find(&Web::default().with(DOCUMENT, lying), ISSUER).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidResponse);
        assert_eq!(error.message, format!("the discovery document's `token_endpoint` {why}"));
    }
}

#[tokio::test]
async fn no_document_names_the_key_and_the_way_out() {
    let error = find(&Web::default(), ISSUER).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert!(error.message.starts_with("`issuer` https://id.example.com has no discovery document"));
    for bad in ["id.example.com", "http://id.example.com", "https://id.example.com/?x=1"] {
        assert_eq!(find(&Web::default(), bad).await.err().unwrap().code, ErrorCode::InvalidConfig, "{bad}");
    }
}

#[tokio::test]
async fn a_document_is_kept_for_an_hour_and_longer_in_an_outage() {
    let web = Web::default().with(DOCUMENT, document(ISSUER));
    let connection = web.connection();
    let discovery = Discovery::default();
    for _ in 0..3 {
        assert!(discovery.find(&connection, ISSUER).await.is_ok());
    }
    assert_eq!(web.asked().len(), 1);

    connection.host.sleep(TTL).await;
    for failure in [Err(ErrorCode::Network), Ok(503), Ok(429)] {
        web.failing(DOCUMENT, failure);
        assert!(discovery.find(&connection, ISSUER).await.is_ok());
    }
    // A refusal is not an outage: then the old document counts no more.
    web.failing(DOCUMENT, Ok(404));
    assert_eq!(discovery.find(&connection, ISSUER).await.err().unwrap().code, ErrorCode::InvalidConfig);
}

#[tokio::test]
async fn an_outage_without_a_kept_document_is_told_as_it_is() {
    let web = Web::default();
    web.failing(DOCUMENT, Ok(503));
    assert_eq!(find(&web, ISSUER).await.err().unwrap().code, ErrorCode::ProviderUnavailable);
    web.failing(DOCUMENT, Err(ErrorCode::Timeout));
    assert_eq!(find(&web, ISSUER).await.err().unwrap().code, ErrorCode::Timeout);
}
