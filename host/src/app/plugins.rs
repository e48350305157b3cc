//! Plugins as documents: what `plugin list`, `plugin info` and the admin socket tell of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::App;
use crate::fault::{Code, Fault};
use crate::model::{Name, UnixMillis};
use crate::plugin::{Entry, Registry};

impl App {
    /// Runs a command that a plugin declares, its name first: `ccproxy.plugin-run/1`. What it prints may be
    /// anything: text is `stdout`, other bytes are `stdout_base64`.
    pub async fn run_command(&self, plugin: &Name, arguments: Vec<String>) -> Result<Value, Fault> {
        let loaded = self.registry().load(plugin).await?;
        let command = arguments.first().cloned().unwrap_or_default();
        let known = &loaded.manifest().commands;
        if !known.contains(&command) {
            let what = format!("plugin `{plugin}` has no command `{command}`");
            return Err(
                Fault::new(Code::Unsupported, what).hint(format!("its commands: {}", known.join(", ")))
            );
        }
        let output = loaded.command(arguments).await?;
        let (text, bytes) = match String::from_utf8(output.stdout) {
            Ok(text) => (Some(text), None),
            Err(binary) => (None, Some(STANDARD.encode(binary.into_bytes()))),
        };
        Ok(json!({
            "schema": "ccproxy.plugin-run/1",
            "plugin": plugin,
            "command": command,
            "exit_code": output.exit_code,
            "stdout": text,
            "stdout_base64": bytes,
        }))
    }
}

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
        "commands": manifest.map(|manifest| &manifest.commands),
        "paths": manifest.map(|manifest| &manifest.paths),
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
