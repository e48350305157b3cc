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

/// What becomes of the faulty plugin when its bytes are changed: its entry, after an attempt to load.
async fn entry_after(change: impl FnOnce(&std::path::Path)) -> (PluginState, String, String) {
    let bench = Bench::new();
    let file = bench.file("libccproxy_provider_faulty.so");
    fs::copy(faulty_so(), &file).unwrap();
    change(&file);
    let registry = bench.registry();
    let refused = registry.load(&faulty()).await.err().unwrap();
    assert_eq!(refused.code, Code::PluginFailed);
    let entry = registry.entries().remove(0);
    assert_eq!(refused.message, format!("plugin `faulty` is refused: {}", entry.reason.clone().unwrap()));
    assert_eq!(refused.hint, entry.hint);
    (entry.state, entry.reason.unwrap(), entry.hint.unwrap_or_default())
}

#[tokio::test]
async fn what_cannot_be_a_plugin_of_this_host_is_one_line_with_its_cure() {
    let (state, reason, hint) = entry_after(|file| fs::write(file, "#!/bin/sh\n").unwrap()).await;
    assert_eq!((state, hint.as_str()), (PluginState::Refused, "copy the file again"));
    assert!(reason.starts_with("not a shared object: "), "{reason}");

    let halve = |file: &std::path::Path| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    };
    let (_, reason, _) = entry_after(halve).await;
    assert!(reason.starts_with("not a shared object: "), "{reason}");

    let (_, reason, _) = entry_after(|file| patch(file, "ccproxy_manifest", "another__section")).await;
    assert_eq!(reason, "no ccproxy plugin: it has no `ccproxy_manifest` section");

    let (_, reason, hint) = entry_after(|file| patch(file, r#""abi":"1."#, r#""abi":"9."#)).await;
    assert!(reason.starts_with("it speaks plugin ABI 9.") && hint.starts_with("update ccproxy"), "{reason}");

    let foreign = format!("{}xxx", &TARGET[..TARGET.len() - 3]);
    let (_, reason, _) = entry_after(|file| patch(file, TARGET, &foreign)).await;
    assert_eq!(reason, format!("it was built for {foreign}, this host for {TARGET}"));

    let abort = |file: &std::path::Path| patch(file, r#""panic":"unwind""#, r#""panic": "abort""#);
    let (_, reason, _) = entry_after(abort).await;
    assert!(reason.starts_with("it was built with panic=abort"), "{reason}");
}

#[tokio::test]
async fn what_the_manifest_hid_is_found_out_when_it_is_mapped() {
    let no_symbol = |file: &std::path::Path| patch(file, "ccproxy_plugin_root_v1", "ccproxy_plugin_root_vX");
    let (_, reason, _) = entry_after(no_symbol).await;
    assert_eq!(reason, "it exports no `ccproxy_plugin_root_v1`");

    // A field of another name is another type, as far as the layout check can tell.
    let other_field = |file: &std::path::Path| patch(file, "expires_at_unix_ms", "expires_at_unix_us");
    let (_, reason, hint) = entry_after(other_field).await;
    assert!(reason.starts_with("its plugin ABI differs from this host's"), "{reason}");
    assert!(reason.contains("expires_at_unix") && reason.len() < 600 && !reason.contains('\n'), "{reason}");
    assert!(hint.contains("rebuild the plugin"), "{hint}");

    // They stay mapped. Were their paths free again, the linker would take the next image for them.
    assert!(Bench::with_faulty().registry().load(&faulty()).await.is_ok());
}

#[tokio::test]
async fn what_others_could_change_is_not_loaded() {
    let bench = Bench::with_faulty();
    let open = |mode| fs::set_permissions(bench.dir(), Permissions::from_mode(mode)).unwrap();
    open(0o777);
    let refused = bench.registry().load(&faulty()).await.err().unwrap();
    assert!(refused.message.contains("can be written by everybody (mode 0777)"), "{refused}");
    assert_eq!(refused.hint, Some(format!("chmod go-w {}", bench.dir().display())));
    open(0o755);
    assert!(bench.registry().load(&faulty()).await.is_ok());

    let elsewhere = bench.home.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(bench.file("faulty.so"), elsewhere.join("faulty.so")).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("faulty.so"), bench.file("faulty.so")).unwrap();
    assert!(bench.registry().load(&faulty()).await.is_ok(), "a link into a safe directory");
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o777)).unwrap();
    let refused = bench.registry().load(&faulty()).await.err().unwrap();
    assert!(refused.message.contains("elsewhere"), "{refused}");
}

#[tokio::test]
async fn what_is_not_pinned_waits_for_a_person() {
    let bench = Bench { trust: Trust::Pinned, ..Bench::with_faulty() };
    let registry = bench.registry();
    let refused = registry.load(&faulty()).await.err().unwrap();
    assert!(refused.message.contains("is not pinned"), "{refused}");
    registry.trust_and_load(&bench.file("faulty.so")).await.unwrap();
    assert!(registry.load(&faulty()).await.is_ok());
}

#[tokio::test]
async fn a_second_file_is_shadowed_and_a_disabled_plugin_says_so() {
    let mut bench = Bench::with_faulty();
    let second = bench.home.path().join("second");
    fs::create_dir(&second).unwrap();
    fs::copy(faulty_so(), second.join("again.so")).unwrap();
    let registry = bench.registry_of(vec![bench.dir(), second.clone(), bench.dir()]);
    let states: Vec<_> = registry.entries().into_iter().map(|entry| (entry.path, entry.state)).collect();
    assert_eq!(
        states,
        [(bench.file("faulty.so"), PluginState::Available), (second.join("again.so"), PluginState::Shadowed),]
    );

    bench.disabled = vec![faulty()];
    let registry = bench.registry();
    assert_eq!(registry.entries()[0].state, PluginState::Disabled);
    let refused = registry.load(&faulty()).await.err().unwrap();
    assert_eq!(refused.hint.as_deref(), Some("remove `faulty` from plugins.disabled"));
}

#[tokio::test]
async fn a_missing_plugin_names_where_it_was_searched_and_the_nearest() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    let missing = registry.load(&"fautly".parse().unwrap()).await.err().unwrap();
    assert_eq!(missing.code, Code::PluginMissing);
    let dir = bench.dir();
    assert!(missing.message.starts_with("no plugin has the provider `fautly`; searched "), "{missing}");
    assert!(missing.message.contains(dir.to_str().unwrap()), "{missing}");
    assert_eq!(missing.hint.as_deref(), Some("did you mean `faulty`?"));
    assert!(registry.issuer(&"other".parse().unwrap()).is_err());
}

#[tokio::test]
async fn at_the_end_every_plugin_gets_its_last_call() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    registry.load_all().await;
    registry.shutdown(PATIENCE).await;
    assert!(registry.get(&faulty()).is_none());
    assert_eq!(bench.heard.kinds(), ["plugin.loaded", "plugin.unloaded"]);
}
