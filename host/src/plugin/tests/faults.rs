//! A plugin that panics in any call, and one that blocks, cost only their own routes.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use pretty_assertions::assert_eq;
use serde_json::json;

use super::bench::*;
use crate::fault::{Code, Fault};
use crate::hook::Kind;
use crate::login::Flow;
use crate::login::step::{Input, Request, Step};
use crate::plugin::{Condition, Deadlines, Limits, Message, Plugin, PluginState};
use crate::secret::Secret;
use crate::vault::Purpose;

fn patient() -> Limits {
    Limits { panics: usize::MAX, ..Limits::default() }
}

fn quick() -> Limits {
    Limits { beat: Duration::from_millis(20), stall: Duration::from_millis(300), ..patient() }
}

fn request() -> Request {
    Request {
        flow: Flow::Token,
        redirect_uri: String::new(),
        state: "s".into(),
        scopes: Vec::new(),
        force: false,
    }
}

/// Every call that can be made to panic, made to.
async fn panic_everywhere(bench: &Bench, plugin: &Plugin) -> Vec<(&'static str, Fault)> {
    let failing = |call: &str| connection("work", json!({ call: "panic" }));
    let record = Secret::new(br#"{"schema_version":1,"token":"panic"}"#.to_vec());
    let lease = bench.vault.begin(&failing("logout").id, owner(), Purpose::Login).await.unwrap();
    let hook = Message {
        method: http::Method::POST,
        path_and_query: "panic".into(),
        headers: http::HeaderMap::new(),
        body: Vec::new(),
    };
    let mut faults = vec![
        ("describe", plugin.describe(&failing("describe")).await.map(drop)),
        ("login", plugin.login_begin(&failing("login"), request()).await.map(drop)),
        ("snapshot", plugin.snapshot(&failing("describe"), &record).await.map(drop)),
        ("probe", plugin.probe(&failing("probe"), None).await.map(drop)),
        ("logout", plugin.logout(&failing("logout"), lease.transaction(), true).await.map(drop)),
        ("handle", plugin.handle(hook).await.map(drop)),
        ("command", plugin.command(vec!["panic".into()]).await.map(drop)),
        ("on_event", plugin.on_event(r#"{"event":"connection.expiring"}"#).await),
    ];
    drop(lease);
    for act in ["panic", "panic_later", "panic_in_drop"] {
        let panics = connection("work", json!({ "acquire": act }));
        faults.push((act, bench.acquire(plugin, &panics).await.map(drop)));
    }
    faults.into_iter().map(|(call, outcome)| (call, outcome.expect_err(call))).collect()
}

#[tokio::test]
async fn a_panic_in_any_call_is_that_calls_failure_and_quotes_nothing() {
    let bench = Bench { limits: patient(), ..Bench::with_faulty() };
    let plugin = bench.plugin().await;
    for (call, fault) in panic_everywhere(&bench, &plugin).await {
        assert_eq!(fault.code, Code::PluginFailed, "{call}: {fault}");
        assert!(
            fault.message.contains("panicked at") && fault.message.contains("plugin.rs:"),
            "{call}: {fault}"
        );
        assert!(!fault.message.contains("canary"), "{call}: {fault}");
    }
    let work = connection("work", json!({}));
    bench.store(&work, "abc").await;
    assert_eq!(field(&bench.acquire(&plugin, &work).await.unwrap()), "Bearer abc");
    let event = bench.heard.of(Kind::PluginError).remove(0);
    assert_eq!(
        (event.provider.as_deref(), event.fields["call"].as_str()),
        (Some("faulty"), Some("describe"))
    );
}

#[tokio::test]
async fn a_task_that_panics_harms_nobody() {
    let bench = Bench::with_faulty();
    let plugin = bench.plugin().await;
    let work = connection("work", json!({ "acquire": "spawn_panic" }));
    bench.store(&work, "abc").await;
    for _ in 0..5 {
        assert!(bench.acquire(&plugin, &work).await.is_ok());
    }
    assert_eq!(plugin.condition(), Condition::Serving);
}

#[tokio::test]
async fn three_panics_put_a_plugin_into_quarantine_and_the_list_says_so() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    let plugin = registry.load(&faulty()).await.unwrap();
    let panics = connection("work", json!({ "describe": "panic" }));
    for _ in 0..3 {
        assert!(plugin.describe(&panics).await.unwrap_err().message.contains("panicked at"));
    }
    let fault = plugin.describe(&panics).await.unwrap_err();
    assert!(fault.message.contains("quarantine") && fault.retry_after.is_some(), "{fault:?}");
    assert_eq!(registry.entries()[0].state, PluginState::Quarantined);
}

#[tokio::test]
async fn a_plugin_that_blocks_stalls_itself_only_and_comes_back() {
    let bench = Bench { limits: quick(), ..Bench::with_faulty() };
    // Another plugin, as far as the host can tell.
    fs::copy(faulty_so(), bench.file("second.so")).unwrap();
    patch(&bench.file("second.so"), r#""id":"faulty""#, r#""id":"second""#);
    let registry = bench.registry();
    let blocked = registry.load(&faulty()).await.unwrap();
    let other = registry.load(&"second".parse().unwrap()).await.unwrap();

    let release = bench.home.path().join("release");
    let blocks = connection("work", json!({ "describe": { "block_until": release } }));
    let work = connection("work", json!({}));
    let (stalled, served) = tokio::join!(blocked.describe(&blocks), other.describe(&work));
    assert_eq!(stalled.unwrap_err().code, Code::PluginFailed);
    assert!(served.is_ok());
    let at_once = tokio::time::Instant::now();
    assert!(blocked.describe(&work).await.unwrap_err().message.contains("does not answer since"));
    assert!(at_once.elapsed() < quick().stall);
    assert_eq!(registry.entries()[0].state, PluginState::Stalled);
    assert!(other.describe(&work).await.is_ok());

    fs::write(release, "").unwrap();
    let back = async {
        while blocked.describe(&work).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.unwrap();
}

#[tokio::test]
async fn a_plugin_that_stays_stuck_is_replaced_by_a_new_image() {
    let limits = Limits { replace: Duration::ZERO, ..quick() };
    let bench = Bench { limits, ..Bench::with_faulty() };
    let registry = bench.registry();
    let stuck = registry.load(&faulty()).await.unwrap();
    let release = bench.home.path().join("release");
    let blocks = connection("work", json!({ "describe": { "block_until": release } }));
    assert!(stuck.describe(&blocks).await.is_err());

    let replacement = registry.load(&faulty()).await.unwrap();
    assert!(!Arc::ptr_eq(&stuck, &replacement));
    assert!(replacement.describe(&connection("work", json!({}))).await.is_ok());
    fs::write(release, "").unwrap();
}

#[tokio::test]
async fn a_call_that_never_ends_ends_at_its_deadline() {
    let call = Duration::from_millis(50);
    let deadlines = Deadlines { call, ..Deadlines::default() };
    let bench = Bench { deadlines, ..Bench::with_faulty() };
    let plugin = bench.plugin().await;
    let hangs = connection("work", json!({ "acquire": "hang" }));
    let fault = bench.acquire(&plugin, &hangs).await.err().unwrap();
    assert_eq!(
        (fault.code, fault.message.as_str()),
        (Code::Timeout, "plugin `faulty` did not finish `acquire` within 0.05 s")
    );
    assert!(plugin.describe(&hangs).await.is_ok());
}

#[tokio::test]
async fn what_a_plugin_wants_injected_is_checked_and_what_it_says_is_passed_on() {
    let bench = Bench::with_faulty();
    let plugin = bench.plugin().await;
    let injects = connection("work", json!({ "acquire": "inject" }));
    let fault = bench.acquire(&plugin, &injects).await.err().unwrap();
    assert_eq!(fault.code, Code::InvalidResponse);
    let refuses = connection("work", json!({ "acquire": "refuse" }));
    let fault = bench.acquire(&plugin, &refuses).await.err().unwrap();
    assert_eq!(fault, Fault::new(Code::ReauthRequired, "the grant is gone"));
    let odd = connection("work", json!({ "acquire": 3 }));
    let fault = plugin.describe(&odd).await.unwrap_err();
    assert_eq!(fault.code, Code::InvalidConfig);
    assert!(fault.message.starts_with("setting `acquire` of `work`"), "{fault}");
}

#[tokio::test]
async fn a_login_goes_step_by_step_and_yields_what_to_store() {
    let bench = Bench::with_faulty();
    let plugin = bench.plugin().await;
    let work = connection("work", json!({}));
    let Ok(Step::Ask { prompt, secret: true, state }) = plugin.login_begin(&work, request()).await else {
        panic!("it asks for a token")
    };
    assert_eq!(prompt, "token");
    let answer = Input::Answer("abc".to_owned().into());
    let Ok(Step::Done(grant)) = plugin.login_continue(&work, state, answer.clone()).await else {
        panic!("one answer is enough")
    };
    let account = plugin.probe(&work, Some(&grant.record)).await.unwrap();
    assert_eq!(account.subject, "ann");
    let lease = bench.vault.begin(&work.id, owner(), Purpose::Login).await.unwrap();
    lease.transaction().put(grant.record.expose(), grant.view).unwrap();
    lease.close();
    assert_eq!(field(&bench.acquire(&plugin, &work).await.unwrap()), "Bearer abc");

    let foreign = plugin.login_continue(&work, Secret::new(b"forged".to_vec()), answer).await;
    assert_eq!(foreign.err().unwrap().code, Code::InvalidResponse);

    let lease = bench.vault.begin(&work.id, owner(), Purpose::Login).await.unwrap();
    assert!(plugin.logout(&work, lease.transaction(), true).await.unwrap().revoked);
    lease.close();
    assert!(bench.vault.read(&work.id).unwrap().is_none());
}
