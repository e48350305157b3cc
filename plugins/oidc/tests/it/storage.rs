//! Records of other versions.

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{Account, ErrorCode, Secret, TokenSnapshot, TokenView, UnixMillis, fingerprint};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::issuer::injected;
use crate::Oidc;

fn bench() -> Bench {
    Bench::new::<Oidc>(json!({
        "issuer": "https://id.example.com", "client_id": "cli", "token_endpoint": "https://id.example.com/token",
        "authorization_endpoint": "https://id.example.com/auth", "jwks_uri": "https://id.example.com/keys",
    }))
}

#[tokio::test]
async fn a_record_of_version_1_is_brought_forward() {
    let bench = bench();
    bench.set_record(include_bytes!("../golden/v1.json"));
    let scopes = vec!["openid".to_owned(), "offline_access".to_owned()];
    assert_eq!(
        bench.snapshot().unwrap(),
        TokenSnapshot {
            account: Some(Account {
                subject: "alice".into(),
                display_name: "alice@example.com".into(),
                host: String::new(),
            }),
            tokens: vec![TokenView {
                target: "default".into(),
                expires_at: Some(UnixMillis(1_767_229_200_000)),
                fingerprint: fingerprint(&Secret::new("at-of-version-1")),
            }],
            scopes_requested: scopes.clone(),
            scopes_granted: Some(scopes),
            refreshable: true,
        }
    );
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-of-version-1");
}

#[tokio::test]
async fn a_record_of_version_1_is_refreshed_into_version_2() {
    let bench = bench().with_http(|request| {
        assert!(String::from_utf8_lossy(&request.body).contains("refresh_token=rt-of-version-1"));
        let body = br#"{"access_token":"at-2","token_type":"bearer"}"#.to_vec();
        Ok(ccproxy_plugin_sdk::Response { status: 200, headers: Vec::new(), body })
    });
    bench.set_record(include_bytes!("../golden/v1.json"));
    bench.advance(std::time::Duration::from_secs(3600));
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-2");
    assert_eq!(
        bench.record().unwrap(),
        json!({
            "schema_version": 2,
            "grant_type": "authorization_code",
            "issuer": "https://id.example.com",
            "client_id": "cli",
            "refresh_token": "rt-of-version-1",
            "tokens": {"default": {
                "access_token": "at-2", "expires_at": null, "generation": 2, "scopes": null, "token_type": "bearer",
            }},
            "account": {"subject": "alice", "display_name": "alice@example.com", "host": ""},
            "id_token_sub": "alice",
            "scopes_requested": ["openid", "offline_access"],
            "scopes_granted": ["openid", "offline_access"],
        })
    );
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_refused_and_its_bytes_stay() {
    let bench = bench();
    let newer = include_bytes!("../golden/v3.json");
    bench.set_record(newer);
    for error in [bench.acquire().await.err().unwrap(), bench.snapshot().err().unwrap()] {
        assert_eq!(error.code, ErrorCode::Storage);
        assert_eq!(error.message, "the stored record has schema 3, this plugin knows up to 2");
    }
    assert_eq!(bench.record_bytes().unwrap(), newer);
}
