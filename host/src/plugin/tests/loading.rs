//! From a file to a provider that serves, and every reason why not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use pretty_assertions::assert_eq;
use serde_json::json;

use super::bench::*;
use crate::fault::Code;
use crate::hook::Kind;
use crate::login::Flow;
use crate::plugin::manifest::TARGET;
use crate::plugin::{PluginState, Trust};

#[tokio::test]
async fn a_plugin_is_found_loaded_at_first_need_and_yields_a_credential() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    assert!(registry.get(&faulty()).is_none(), "nothing runs before it is needed");
    assert_eq!(registry.entries()[0].state, PluginState::Available);

    let plugin = registry.load(&faulty()).await.unwrap();
    assert_eq!(plugin.settings_schema()["type"], "object");
    let work = connection("work", json!({ "upstream": "https://api.example" }));
    let described = plugin.describe(&work).await.unwrap();
    assert_eq!(described.routes[0].upstream.as_deref(), Some("https://api.example"));
    assert_eq!((described.flows, described.needs_login), (vec![Flow::Token], true));

    let missing = bench.acquire(&plugin, &work).await.err().unwrap();
    assert_eq!(missing.code, Code::NotLoggedIn);
    assert_eq!(missing.hint.as_deref(), Some("ccproxy auth login work"));
    bench.store(&work, "abc").await;
    assert_eq!(field(&bench.acquire(&plugin, &work).await.unwrap()), "Bearer abc");

    let entry = registry.entries().remove(0);
    assert_eq!((entry.state, entry.reason), (PluginState::Loaded, None));
    assert_eq!(entry.pin.unwrap().sha256, entry.sha256.unwrap());
    assert_eq!(bench.heard.of(Kind::PluginLoaded).len(), 1);
}

#[tokio::test]
async fn callers_at_once_load_it_once() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    let id = faulty();
    let (one, two) = tokio::join!(registry.load(&id), registry.load(&id));
    assert!(std::sync::Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
    assert_eq!(bench.heard.of(Kind::PluginLoaded).len(), 1);
}
