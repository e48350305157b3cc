//! Plugins as documents: what `plugin list`, `plugin info` and the admin socket tell of them.

use serde_json::{Value, json};

use crate::model::UnixMillis;
use crate::plugin::{Entry, Registry};

/// Every plugin file and what became of it: `ccproxy.plugins/1`.
pub fn plugins_document(registry: &Registry) -> Value {
    let plugins: Vec<Value> = registry.entries().iter().map(plugin_document).collect();
    let images = registry.images();
    json!({
        "schema": "ccproxy.plugins/1",
        "plugins": plugins,
        "images": { "mapped": images.mapped(), "limit": images.limit(), "alarm": images.is_alarming() },
    })
}

/// One plugin file.
pub fn plugin_document(entry: &Entry) -> Value {
    let manifest = entry.manifest.as_deref();
    json!({
        "id": entry.id,
        "name": manifest.map(|manifest| &manifest.name),
        "version": manifest.map(|manifest| &manifest.version),
        "description": manifest.map(|manifest| &manifest.description),
        "state": entry.state.as_str(),
        "trust": trust(entry),
        "abi": manifest.map(|manifest| &manifest.abi),
        "target": manifest.map(|manifest| &manifest.target),
        "rustc": manifest.map(|manifest| &manifest.rustc),
        "flows": manifest.map(|manifest| &manifest.flows),
        "presets": manifest.map(|manifest| &manifest.presets),
        "hosts": manifest.map(|manifest| &manifest.hosts),
        "events": manifest.map(|manifest| &manifest.events),
        "path": entry.path,
        "sha256": entry.sha256,
        "pinned_at": entry.pin.as_ref().map(|pin| &pin.pinned_at),
        "reason": entry.reason,
        "hint": entry.hint,
        "broken_since": entry.trouble.as_ref().map(|trouble| UnixMillis::rfc3339(trouble.since)),
        "tried_again_at": entry.trouble.as_ref().map(|trouble| UnixMillis::rfc3339(trouble.until)),
        "events_dropped": entry.events_dropped,
    })
}

/// `pinned`, `changed` since it was, or `new`.
fn trust(entry: &Entry) -> &'static str {
    match &entry.pin {
        Some(pin) if Some(pin.sha256) == entry.sha256 => "pinned",
        Some(_) => "changed",
        None => "new",
    }
}
