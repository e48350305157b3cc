//! What a host that serves makes of files that come, change and go.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pretty_assertions::{assert_eq, assert_ne};
use serde_json::json;

use super::bench::*;
use crate::fault::Code;
use crate::hook::Kind;
use crate::plugin::{Changed, Condition, Limits, PluginState, PluginWatch, Registry, Trust};

/// Other bytes that are the same plugin.
fn another() -> Vec<u8> {
    let mut bytes = fs::read(faulty_so()).unwrap();
    bytes.push(0);
    bytes
}

async fn changed(watch: &mut PluginWatch) -> Changed {
    tokio::time::timeout(PATIENCE, watch.changed()).await.unwrap()
}

/// Waits until the plugin serves from these bytes, or none does.
async fn serves(registry: &Registry, watch: &mut PluginWatch, wanted: Option<&[u8]>) {
    let wanted = wanted.map(crate::digest::Digest::of);
    while registry.get(&faulty()).map(|plugin| plugin.sha256()) != wanted {
        changed(watch).await;
    }
}

#[tokio::test]
async fn a_changed_file_is_refused_until_it_is_trusted_and_the_old_one_serves_on() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    let old = registry.load(&faulty()).await.unwrap();

    let file = bench.file("faulty.so");
    let mut bytes = fs::read(&file).unwrap();
    bytes.push(0);
    fs::write(&file, bytes).unwrap();
    assert_eq!(registry.rescan().await, Changed::new());
    assert!(Arc::ptr_eq(&registry.get(&faulty()).unwrap(), &old));
    let entry = registry.entries().remove(0);
    assert_eq!(entry.state, PluginState::Refused);
    let reason = entry.reason.unwrap();
    assert!(
        reason.starts_with("`faulty` changed: ") && reason.ends_with("; version 0.1.0 serves on"),
        "{reason}"
    );
    assert_eq!(entry.hint, Some(format!("ccproxy plugin trust {}", file.display())));

    let (entry, changed) = registry.trust_and_load(&file).await.unwrap();
    assert_eq!((entry.state, changed), (PluginState::Loaded, Changed::from([faulty()])));
    let new = registry.get(&faulty()).unwrap();
    assert_ne!(new.sha256(), old.sha256());
    let work = connection("work", json!({}));
    assert!(new.describe(&work).await.is_ok());
    assert!(old.describe(&work).await.is_ok(), "calls under way end on the old image");
    assert!(bench.heard.of(Kind::PluginUnloaded).is_empty());
    drop(old);
    assert_eq!(bench.heard.of(Kind::PluginUnloaded).len(), 1);
    assert_eq!(registry.entries()[0].state, PluginState::Loaded);
}

#[tokio::test]
async fn a_running_host_notices_what_another_process_trusted() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    let old = registry.load(&faulty()).await.unwrap();
    let mut watch = registry.watch();
    let file = bench.file("faulty.so");
    let mut bytes = fs::read(&file).unwrap();
    bytes.push(0);
    fs::write(&file, bytes).unwrap();
    assert_eq!(changed(&mut watch).await, Changed::new());
    assert_eq!(registry.entries()[0].state, PluginState::Refused);

    bench.registry().trust(&file).unwrap();
    assert_eq!(changed(&mut watch).await, Changed::from([faulty()]));
    assert_ne!(registry.get(&faulty()).unwrap().sha256(), old.sha256());
    assert_eq!(registry.entries()[0].state, PluginState::Loaded);
}

#[tokio::test]
async fn a_plugin_that_comes_later_is_loaded_also_in_a_directory_that_was_not_there() {
    let bench = Bench::new();
    let later = bench.home.path().join("made/later");
    let registry = bench.registry_of(vec![bench.dir(), later.clone()]);
    let mut watch = registry.watch();
    fs::create_dir_all(&later).unwrap();
    fs::copy(faulty_so(), later.join("faulty.so")).unwrap();
    serves(&registry, &mut watch, Some(&fs::read(faulty_so()).unwrap())).await;
    assert_eq!(registry.entries()[0].state, PluginState::Loaded);
}

#[tokio::test]
async fn a_plugin_that_comes_before_the_watch_begins_is_not_overlooked() {
    let bench = Bench::new();
    let registry = bench.registry();
    registry.load_all().await;
    fs::copy(faulty_so(), bench.dir().join("faulty.so")).unwrap();
    let mut watch = registry.watch();
    assert_eq!(changed(&mut watch).await, Changed::from([faulty()]));
    assert_eq!(registry.entries()[0].state, PluginState::Loaded);
}

#[tokio::test]
async fn a_plugin_whose_file_is_gone_ends_and_one_put_back_serves_again() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    registry.load_all().await;
    let mut watch = registry.watch();
    let under_way = registry.get(&faulty()).unwrap();
    fs::remove_file(bench.file("faulty.so")).unwrap();
    serves(&registry, &mut watch, None).await;
    let missing = registry.load(&faulty()).await.err().unwrap();
    assert_eq!(missing.code, Code::PluginMissing);
    assert!(registry.entries().is_empty());
    assert!(under_way.describe(&connection("work", json!({}))).await.is_ok());
    drop(under_way);
    assert_eq!(bench.heard.kinds(), ["plugin.loaded", "plugin.unloaded"]);

    fs::copy(faulty_so(), bench.file("faulty.so")).unwrap();
    serves(&registry, &mut watch, Some(&fs::read(faulty_so()).unwrap())).await;
    assert_eq!(bench.heard.kinds(), ["plugin.loaded", "plugin.unloaded", "plugin.loaded"]);
}

#[tokio::test]
async fn a_file_that_is_being_written_is_not_touched_and_costs_nothing() {
    let bench = Bench { trust: Trust::Any, ..Bench::with_faulty() };
    let file = bench.file("nameless.so");
    fs::rename(bench.file("faulty.so"), &file).unwrap();
    let registry = bench.registry();
    registry.load_all().await;
    let mut watch = registry.watch();
    let before = registry.get(&faulty()).unwrap().sha256();

    // Complete to whoever reads it, but the writer is not done.
    let mut writer = fs::File::create(&file).unwrap();
    writer.write_all(&fs::read(faulty_so()).unwrap()).unwrap();
    writer.write_all(b"and more").unwrap();
    // Another file is news, so there is a look.
    fs::write(bench.file("libother.so"), "").unwrap();
    assert_eq!(changed(&mut watch).await, Changed::new());
    assert_eq!(registry.get(&faulty()).unwrap().sha256(), before);
    writer.write_all(b" still").unwrap();
    drop(writer);
    serves(&registry, &mut watch, Some(&fs::read(&file).unwrap())).await;
    assert_eq!(bench.heard.of(Kind::PluginError).len(), 0);
}

#[tokio::test]
async fn half_a_file_costs_nothing_as_long_as_it_lies_there() {
    let bench = Bench { trust: Trust::Any, ..Bench::new() };
    let file = bench.file("nameless.so");
    fs::copy(faulty_so(), &file).unwrap();
    let registry = bench.registry();
    registry.load_all().await;
    for rest in [&b""[..], b"no object at all", &another()[..100_000]] {
        fs::write(&file, rest).unwrap();
        assert_eq!(registry.rescan().await, Changed::new());
        assert!(registry.get(&faulty()).is_some());
        let entry = registry.entries().remove(0);
        assert_eq!((entry.state, entry.id), (PluginState::Refused, Some(faulty())));
        assert!(entry.reason.unwrap().ends_with("; version 0.1.0 serves on"));
    }
    fs::write(&file, another()).unwrap();
    assert_eq!(registry.rescan().await, Changed::from([faulty()]));
}

#[tokio::test]
async fn the_next_file_of_an_id_takes_over_where_the_first_is_removed() {
    let bench = Bench { trust: Trust::Any, ..Bench::with_faulty() };
    let second = bench.home.path().join("second");
    fs::create_dir(&second).unwrap();
    fs::write(second.join("other.so"), another()).unwrap();
    let registry = bench.registry_of(vec![bench.dir(), second.clone()]);
    registry.load_all().await;
    let states = || registry.entries().into_iter().map(|entry| entry.state).collect::<Vec<_>>();
    assert_eq!(states(), [PluginState::Loaded, PluginState::Shadowed]);
    let shadowed = registry.entries().remove(1);
    let first = bench.file("faulty.so");
    assert_eq!(shadowed.reason, Some(format!("{} has the same id and comes first", first.display())));

    fs::remove_file(first).unwrap();
    assert_eq!(registry.rescan().await, Changed::from([faulty()]));
    assert_eq!(registry.get(&faulty()).unwrap().path(), second.join("other.so").canonicalize().unwrap());
    assert_eq!(states(), [PluginState::Loaded]);
}

#[tokio::test]
async fn one_that_nobody_trusted_does_not_take_over() {
    let bench = Bench::with_faulty();
    let second = bench.home.path().join("second");
    fs::create_dir(&second).unwrap();
    fs::write(second.join("other.so"), another()).unwrap();
    let registry = bench.registry_of(vec![second.clone(), bench.dir()]);
    registry.trust(&bench.file("faulty.so")).unwrap();
    registry.load_all().await;
    assert!(registry.get(&faulty()).is_none(), "the first file counts, and is not the pinned one");
    fs::rename(second.join("other.so"), second.join("other.bak")).unwrap();
    assert_eq!(registry.rescan().await, Changed::from([faulty()]));

    fs::rename(second.join("other.bak"), second.join("other.so")).unwrap();
    assert_eq!(registry.rescan().await, Changed::new());
    let states: Vec<_> = registry.entries().into_iter().map(|entry| entry.state).collect();
    assert_eq!(states, [PluginState::Refused, PluginState::Loaded], "what serves, serves on");
    fs::remove_file(bench.file("faulty.so")).unwrap();
    assert_eq!(registry.rescan().await, Changed::from([faulty()]));
    assert!(registry.get(&faulty()).is_none());
}

#[tokio::test]
async fn a_file_that_is_moved_serves_on_from_its_new_place() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    registry.load_all().await;
    let old = registry.get(&faulty()).unwrap();
    fs::rename(bench.file("faulty.so"), bench.file("renamed.so")).unwrap();
    assert_eq!(registry.rescan().await, Changed::new());
    fs::write(bench.file("renamed.so"), "half").unwrap();
    assert_eq!(registry.rescan().await, Changed::new());
    assert!(Arc::ptr_eq(&registry.get(&faulty()).unwrap(), &old));
}

/// A plugin that has panicked once too often.
async fn quarantined(bench: &Bench) -> Arc<Registry> {
    let registry = bench.registry();
    let plugin = registry.load(&faulty()).await.unwrap();
    let panics = connection("work", json!({ "describe": "panic" }));
    while plugin.condition() == Condition::Serving {
        plugin.describe(&panics).await.unwrap_err();
    }
    registry
}

#[tokio::test]
async fn a_quarantined_plugin_says_why_and_the_ways_out_lead_out() {
    let bench = Bench::with_faulty();
    let file = bench.file("faulty.so");
    let registry = quarantined(&bench).await;
    let entry = registry.entries().remove(0);
    assert_eq!(entry.state, PluginState::Quarantined);
    let (reason, hint) = (entry.reason.unwrap(), entry.hint.unwrap());
    assert!(reason.starts_with("left alone since 20"), "{reason}");
    assert!(
        reason.contains("it panicked 3 times within 60 s, last: plugin `faulty`: plugin panicked at"),
        "{reason}"
    );
    assert!(hint.contains(&format!("`ccproxy plugin trust {}`", file.display())), "{hint}");
    assert!(entry.trouble.is_some());

    // Not by a look at files that did not change.
    assert_eq!(registry.rescan_changed(&BTreeSet::new()).await, Changed::new());
    registry.trust_and_load(&file).await.unwrap();
    assert_eq!(registry.entries()[0].state, PluginState::Loaded);

    let registry = quarantined(&bench).await;
    assert_eq!(registry.rescan().await, Changed::from([faulty()]), "a reload");
    assert_eq!(registry.get(&faulty()).unwrap().condition(), Condition::Serving);

    let registry = quarantined(&bench).await;
    fs::write(&file, another()).unwrap();
    bench.registry().trust(&file).unwrap();
    assert_eq!(registry.rescan_changed(&BTreeSet::new()).await, Changed::from([faulty()]));
    assert_eq!(registry.get(&faulty()).unwrap().condition(), Condition::Serving);
}

#[tokio::test]
async fn after_its_quarantine_a_plugin_is_on_probation() {
    let limits = Limits { quarantine: Duration::from_millis(50), ..Limits::default() };
    let bench = Bench { limits, ..Bench::with_faulty() };
    let registry = quarantined(&bench).await;
    let plugin = registry.get(&faulty()).unwrap();
    let over = async || {
        while plugin.condition() != Condition::Serving {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let panics = connection("work", json!({ "describe": "panic" }));
    over().await;
    plugin.describe(&panics).await.unwrap_err();
    assert!(matches!(plugin.condition(), Condition::Quarantined { .. }), "one panic is enough");
    assert!(plugin.trouble().is_none_or(|trouble| trouble.why.starts_with("it panicked again, last: ")));
    over().await;
    plugin.describe(&connection("work", json!({}))).await.unwrap();
    plugin.describe(&panics).await.unwrap_err();
    assert_eq!(plugin.condition(), Condition::Serving, "a call that ended well has cleared it");
}

#[tokio::test]
async fn what_a_connection_was_described_as_outlives_a_plugin_that_cannot_say_it() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    let plugin = registry.load(&faulty()).await.unwrap();
    let good = connection("work", json!({ "upstream": "https://api.example" }));
    let said = registry.describe(&plugin, &good).await.unwrap();
    let bad = connection("bad", json!({ "describe": "panic" }));
    while plugin.condition() == Condition::Serving {
        registry.describe(&plugin, &bad).await.unwrap_err();
    }
    assert_eq!(registry.describe(&plugin, &good).await.unwrap().routes, said.routes);
    let other = connection("work", json!({ "upstream": "https://other.example" }));
    assert!(registry.describe(&plugin, &other).await.is_err(), "of other settings nothing was said");
}

#[tokio::test]
async fn with_as_many_images_as_may_be_what_serves_serves_on() {
    let limits = Limits { images: 2, ..Limits::default() };
    let bench = Bench { limits, trust: Trust::Any, ..Bench::with_faulty() };
    let registry = bench.registry();
    registry.load_all().await;
    let file = bench.file("faulty.so");
    let replace = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes.push(0);
        fs::write(path, bytes).unwrap();
    };
    replace(&file);
    assert_eq!(registry.rescan().await, Changed::from([faulty()]));
    assert!(registry.images().is_alarming());
    let serving = registry.get(&faulty()).unwrap();
    replace(&file);
    assert_eq!(registry.rescan().await, Changed::new());
    assert!(Arc::ptr_eq(&registry.get(&faulty()).unwrap(), &serving));
    let entry = registry.entries().remove(0);
    let reason = "2 plugin images are mapped already, and none can be unmapped; version 0.1.0 serves on";
    assert_eq!((entry.reason.as_deref(), entry.hint.as_deref()), (Some(reason), Some("restart the host")));
    assert_eq!(registry.images().mapped(), 2);
}
