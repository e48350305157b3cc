use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::*;
use crate::fault::Code;

const NOW: UnixMillis = UnixMillis(1_795_233_187_000);

fn connection(change: impl FnOnce(&mut Value)) -> ConnectionStatus {
    let mut document = json!({
        "org": "global",
        "name": "github",
        "provider": "github",
        "state": "ok",
        "account": {"subject": "583231", "display_name": "octocat", "host": "github.com"},
        "storage": "file",
        "scopes_requested": ["repo", "read:org"],
        "scopes_granted": null,
        "refreshable": true,
        "credentials": [
            {"target": "default", "expires_at": "2026-11-21T09:05:07Z", "fingerprint": "ba7816bf"},
        ],
        "last_refresh": {"at": "2026-11-21T01:53:07Z", "result": "ok"},
        "next_refresh_at": null,
        "problem": null,
    });
    change(&mut document);
    serde_json::from_value(document).unwrap()
}

fn not_logged_in(name: &str) -> ConnectionStatus {
    connection(|value| {
        value["name"] = json!(name);
        value["state"] = json!("not_logged_in");
        value["account"] = Value::Null;
        value["credentials"] = json!([]);
        value["scopes_requested"] = json!([]);
        value["last_refresh"] = Value::Null;
        value["problem"] = json!({
            "code": "not_logged_in", "message": "it is not", "hint": format!("ccproxy auth login {name}"),
        });
    })
}

fn rendered(connections: &[ConnectionStatus], proxy: &str) -> String {
    render(connections, proxy, NOW, |tone| tone.sign().to_owned())
}

#[test]
fn a_status_tells_life_scopes_storage_and_what_to_type() {
    let text = rendered(
        &[connection(|_| ()), not_logged_in("openai")],
        "proxy running (pid 4121, http://127.0.0.1:8462)",
    );
    insta::assert_snapshot!(text, @r"
    ✓ github  octocat@github.com  expires in 5 h 12 m · refreshes automatically
              scopes repo, read:org · file · last refresh 2 h ago, ok
    ✗ openai  —                   not logged in
              hint: ccproxy auth login openai
    proxy running (pid 4121, http://127.0.0.1:8462) · 1 of 2 usable
    ");
}

#[test]
fn an_expired_token_that_can_be_refreshed_is_only_a_warning() {
    let expired = |refreshable: bool| {
        connection(|value| {
            value["state"] = json!("expired");
            value["refreshable"] = json!(refreshable);
            value["last_refresh"] = Value::Null;
            value["scopes_requested"] = json!([]);
        })
    };
    insta::assert_snapshot!(rendered(&[expired(true)], "proxy not running"), @r"
    ! github  octocat@github.com  expired · refreshes automatically
              file
    proxy not running · 1 of 1 usable
    ");
    insta::assert_snapshot!(rendered(&[expired(false)], "proxy not running"), @r"
    ✗ github  octocat@github.com  expired · cannot refresh: log in again
              file
    proxy not running · 0 of 1 usable
    ");
}

#[test]
fn a_refused_grant_says_why() {
    let refused = connection(|value| {
        value["state"] = json!("reauth_required");
        value["problem"] = json!({
            "code": "reauth_required", "message": "invalid_grant", "hint": "ccproxy auth login github",
        });
    });
    insta::assert_snapshot!(rendered(&[refused], "proxy not running"), @r"
    ✗ github  octocat@github.com  refused: log in again
              scopes repo, read:org · file · last refresh 2 h ago, ok
              reauth_required: invalid_grant
              hint: ccproxy auth login github
    proxy not running · 0 of 1 usable
    ");
}

#[test]
fn nothing_configured_is_no_failure() {
    assert_eq!(
        rendered(&[], "proxy not running"),
        "no connections yet: `ccproxy auth login PROVIDER` makes one\n"
    );
    assert_eq!(StatusDocument::new(Vec::new()).exit(), Exit::OK);
}

#[test]
fn the_document_has_every_member_of_the_interface() {
    let document = serde_json::to_value(StatusDocument::new(vec![connection(|_| ())])).unwrap();
    assert_eq!(
        document,
        json!({
            "schema": "ccproxy.auth-status/1",
            "connections": [{
                "org": "global",
                "name": "github",
                "provider": "github",
                "state": "ok",
                "account": {"subject": "583231", "display_name": "octocat", "host": "github.com"},
                "storage": "file",
                "scopes_requested": ["repo", "read:org"],
                "scopes_granted": null,
                "refreshable": true,
                "credentials": [
                    {"target": "default", "expires_at": "2026-11-21T09:05:07Z", "fingerprint": "ba7816bf"},
                ],
                "last_refresh": {"at": "2026-11-21T01:53:07Z", "result": "ok"},
                "next_refresh_at": null,
                "problem": null,
            }],
        })
    );
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    let state = |state: &str| connection(|value| value["state"] = json!(state));
    let exit = |states: &[&str]| StatusDocument::new(states.iter().map(|one| state(one)).collect()).exit();
    assert_eq!(exit(&["ok", "expiring", "expired", "refreshing"]), Exit::OK);
    assert_eq!(exit(&["ok", "reauth_required"]), Exit::LOGIN);
    assert_eq!(exit(&["not_logged_in"]), Exit::LOGIN);
    assert_eq!(exit(&["plugin_missing"]), Exit::LOGIN);
    assert_eq!(exit(&["reauth_required", "store_locked"]), Exit::STORE);
    let dead = connection(|value| {
        value["state"] = json!("expired");
        value["refreshable"] = json!(false);
    });
    assert_eq!(StatusDocument::new(vec![dead]).exit(), Exit::LOGIN);
}

#[test]
fn a_check_that_fails_counts_against_the_grant_only_if_the_provider_says_no() {
    let checked = |error: CliError| {
        let mut status = connection(|_| ());
        refused(&mut status, &error);
        (status.state, status.problem.unwrap().code)
    };
    let fault = |code| CliError::from(crate::fault::Fault::new(code, "no"));
    assert_eq!(checked(fault(Code::Network)), (State::Ok, "network".into()));
    assert_eq!(checked(fault(Code::AccessDenied)), (State::ReauthRequired, "access_denied".into()));
}

#[test]
fn a_token_of_the_environment_is_told_although_nothing_is_stored() {
    let overridden = connection(|value| {
        value["account"] = Value::Null;
        value["credentials"] = json!([]);
        value["scopes_requested"] = json!([]);
        value["last_refresh"] = Value::Null;
        value["refreshable"] = json!(false);
        value["storage"] = json!("environment (CCPROXY_TOKEN__GITHUB)");
    });
    let text = rendered(&[overridden], "proxy not running");
    assert!(text.contains("environment (CCPROXY_TOKEN__GITHUB)"), "{text}");
}
