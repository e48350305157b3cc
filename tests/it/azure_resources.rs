//! One login serves many resources: each route has a token of its own, all by one refresh token.

use std::collections::BTreeMap;
use std::time::Duration;

use ccproxy_tests::contoso::{Contoso, RESOURCES};
use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::{BrowserLogin, status};
use ccproxy_tests::program::Host;
use ccproxy_tests::sandbox::{Entry, Fingerprint};
use pretty_assertions::assert_eq;
use serde_json::json;
use tokio::task::JoinSet;

/// Four requests to every route, all at once: which tokens arrived, by route.
async fn requests(contoso: &Contoso, host: &Host) -> BTreeMap<&'static str, Vec<Entry>> {
    let mut answers = JoinSet::new();
    for (route, _) in RESOURCES {
        for _ in 0..4 {
            let url = host.url(&format!("/{route}/strict/things"));
            answers.spawn(async move { (route, Call::get(&url).send().await) });
        }
    }
    let mut tokens: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
    while let Some(answer) = answers.join_next().await {
        let (route, answer) = answer.unwrap();
        assert_eq!(answer.status, 200, "{route}: {}", answer.text());
        let echo = answer.json();
        assert_eq!(echo["token_state"], "valid", "{route}");
        let field = echo["headers"]["authorization"].as_str().unwrap();
        let token = Fingerprint::of(field.strip_prefix("Bearer ").unwrap());
        let log = contoso.sandbox.log();
        let entry = log.into_iter().find(|entry| entry.issued_access_token.as_ref() == Some(&token)).unwrap();
        tokens.entry(route).or_default().push(entry);
    }
    tokens
}

/// The refreshes so far, in order.
fn refreshes(contoso: &Contoso) -> Vec<Entry> {
    let log = contoso.sandbox.log();
    log.into_iter().filter(|entry| entry.grant_type.as_deref() == Some("refresh_token")).collect()
}

#[tokio::test]
async fn one_login_serves_three_resources_at_once() {
    let contoso = Contoso::fresh_machine().await;
    contoso.configure_routes();
    let host = contoso.home.serve().await;
    contoso.login("alice", &[]).await.expect_success();

    let first = requests(&contoso, &host).await;
    for (route, resource) in RESOURCES {
        let audiences: Vec<_> = first[route].iter().map(|entry| entry.audience.as_deref()).collect();
        assert_eq!(audiences, [Some(resource); 4], "{route}");
    }
    // The login's own token is Graph's; the two others came by the refresh token, once each.
    assert_eq!(refreshes(&contoso).len(), 2);

    // A token that is refused within five seconds of its birth is not renewed: the resource does not want it.
    tokio::time::sleep(Duration::from_secs(6)).await;
    // All three die at once, and are renewed at once: one token at a time spends the refresh token.
    contoso.sandbox.expire_access_tokens(None);
    let second = requests(&contoso, &host).await;
    let log = refreshes(&contoso);
    assert_eq!(log.len(), 5, "one refresh for each resource, however many wait");
    for (route, resource) in RESOURCES {
        assert!(second[route].iter().all(|entry| entry.audience.as_deref() == Some(resource)), "{route}");
        assert!(second[route].iter().all(|entry| entry.id > first[route][0].id), "{route} has a new token");
    }
    // Every answer's refresh token replaced the one before, and all hang on one login.
    for pair in log.windows(2) {
        assert_eq!(pair[1].refresh_token, pair[0].issued_refresh_token, "the newest is presented");
    }
    let families: Vec<_> = log.iter().map(|entry| entry.family).collect();
    assert_eq!(families, [families[0]; 5]);
    assert_eq!(contoso.sandbox.counts().most_concurrent_token_requests, 1);
    for entry in &log {
        let scope = entry.scope.as_deref().unwrap();
        assert!(scope.starts_with("openid profile offline_access https://"), "{scope}");
    }

    let told = status(&contoso.home, "azure").await;
    assert_eq!(told["state"], "ok", "{told:#}");
    assert_eq!(told["credentials"].as_array().unwrap().len(), 3, "{told:#}");
}

#[tokio::test]
async fn short_lives_that_are_texts_are_renewed_ahead_of_their_end() {
    let contoso = Contoso::fresh_machine().await;
    contoso.configure_routes();
    contoso.token_life(Duration::from_secs(3));
    let host = contoso.home.serve().await;
    contoso.login("alice", &[]).await.expect_success();
    // Whoever took `ext_expires_in` for the end would send dead tokens for a day.
    for _ in 0..12 {
        let answer = Call::get(&host.url("/graph/me")).send().await;
        assert_eq!(answer.json()["token_state"], "valid");
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert!(!refreshes(&contoso).is_empty());
    assert_eq!(contoso.sandbox.requests().with_state(ccproxy_tests::sandbox::TokenState::Expired), 0);
}

#[tokio::test]
async fn an_administrator_agrees_first_and_the_same_tab_logs_in() {
    let contoso = Contoso::fresh_machine().await;
    contoso.configure(
        "client_id = \"az-public\"\nadmin_consent = true\nscopes = [\"https://graph.microsoft.com/.default\"]",
        &format!(
            "[routes.vault]\nconnection = \"azure\"\nupstream = \"{}\"\n\
             scopes = [\"https://vault.azure.net/.default\"]\n",
            contoso.sandbox.upstream()
        ),
    );
    let host = contoso.home.serve().await;
    let login = BrowserLogin::start(&contoso.home, &["azure"]).await;
    assert!(login.url.contains("/azure/organizations/v2.0/adminconsent?"), "{}", login.url);
    let back = contoso.sandbox.approve(&login.url, "admin").await;
    let next = Call::get(back.as_str()).send().await;
    assert_eq!(next.status, 303, "{}", next.text());
    let page = next.header("location");
    assert!(page.contains("/azure/organizations/oauth2/v2.0/authorize?"), "{page}");
    let back = contoso.sandbox.approve(page, "alice").await;
    assert_eq!(Call::get(back.as_str()).send().await.status, 200);
    login.finish().await.expect_success();
    // Agreed for everybody, so alice was asked for nothing.
    for route in ["azure", "vault"] {
        let served = Call::get(&host.url(&format!("/{route}/things"))).send().await;
        assert_eq!(served.json()["token_state"], json!("valid"), "{route}: {}", served.text());
    }
}

#[tokio::test]
async fn an_administrator_who_declines_is_told_in_the_tab_and_at_the_terminal() {
    let contoso =
        Contoso::new("admin_consent = true\nscopes = [\"https://graph.microsoft.com/.default\"]").await;
    let login = BrowserLogin::start(&contoso.home, &["azure"]).await;
    let answer = Call::get(&format!("{}&sandbox_deny=1", login.url)).send().await;
    let tab = Call::get(answer.header("location")).send().await;
    assert!(tab.text().contains("AADSTS65004: User declined to consent."), "{}", tab.text());
    let error = login.finish().await.expect_code(4).json_error();
    assert_eq!(error["code"], "access_denied");
    assert!(error["hint"].as_str().unwrap().contains("an administrator has to agree"), "{error}");
    assert!(!error.to_string().contains("Trace ID"), "{error}");
    assert!(!contoso.home.credential("azure").exists());
}

#[tokio::test]
async fn a_resource_that_nobody_agreed_to_says_which_login_asks_for_it() {
    let contoso = Contoso::fresh_machine().await;
    let vault = "https://vault.azure.net/.default";
    contoso.configure(
        "client_id = \"az-public\"\nscopes = [\"https://graph.microsoft.com/.default\"]",
        &format!(
            "[routes.vault]\nconnection = \"azure\"\nupstream = \"{}\"\nscopes = [\"{vault}\"]\n",
            contoso.sandbox.upstream()
        ),
    );
    let host = contoso.home.serve().await;
    contoso.login("alice", &[]).await.expect_success();
    let refused = Call::get(&host.url("/vault/secrets")).send().await;
    assert_eq!((refused.status.as_u16(), refused.header("ccproxy-error")), (401, "consent_required"));
    let hint = refused.json()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains(&format!("ccproxy auth login azure --force --scopes {vault}")), "{hint}");
    assert!(hint.contains("/organizations/adminconsent?client_id=az-public"), "{hint}");
    // Graph is another matter: it is asked for now for the first time, and serves.
    assert_eq!(status(&contoso.home, "azure").await["state"], "ok");
    let graph = Call::get(&host.url("/azure/me")).send().await;
    assert_eq!(graph.json()["token_state"], json!("valid"), "{}", graph.text());

    contoso.login("alice", &["--force", "--scopes", vault]).await.expect_success();
    let served = Call::get(&host.url("/vault/secrets")).send().await;
    assert_eq!(served.json()["token_state"], json!("valid"), "{}", served.text());
    assert_eq!(Call::get(&host.url("/azure/me")).send().await.json()["token_state"], json!("valid"));
}
