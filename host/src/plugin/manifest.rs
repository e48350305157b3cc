//! What a plugin says of itself before any of its code runs: JSON in a section of the object file.

use std::collections::BTreeMap;
use std::fs::File;

use ccproxy_plugin_abi as abi;
use object::read::ReadCache;
use object::{Architecture, Object as _, ObjectSection as _, ObjectSegment as _, ReadRef};
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::model::Name;

/// The manifest schema we read.
const SCHEMA: u64 = 1;
/// Manifests are some 1 KiB.
const MAX_MANIFEST: u64 = 256 * 1024;
/// What this host was built for; a plugin shares its process, C library included.
pub(super) const TARGET: &str = env!("CCPROXY_TARGET");

/// The same as the headers of an object file say it.
const ARCHITECTURE: Architecture = if cfg!(target_arch = "x86_64") {
    Architecture::X86_64
} else if cfg!(target_arch = "aarch64") {
    Architecture::Aarch64
} else {
    panic!("name the architecture of this target here")
};

/// A plugin's manifest, checked. Members we do not know are of a later minor and ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the plugin ABI.
    pub abi: String,
    /// Compiler.
    #[serde(default)]
    pub rustc: String,
    /// Target triple.
    pub target: String,
    /// Provider id.
    pub id: Name,
    /// As people write it.
    pub name: String,
    /// Version of the plugin.
    pub version: String,
    /// One line.
    #[serde(default)]
    pub description: String,
    /// Login flows it can offer.
    #[serde(default)]
    pub flows: Vec<String>,
    /// Whether a configured client secret alone means client credentials.
    #[serde(default)]
    pub client_secret_suffices: bool,
    /// Default upstream; empty if none.
    #[serde(default)]
    pub upstream: String,
    /// Where a person registers an application; empty if nowhere.
    #[serde(default)]
    pub registration_url: String,
    /// Where a browser comes back to by default, without a port; empty for the host's own choice.
    #[serde(default)]
    pub redirect_uri: String,
    /// Header fields it injects.
    #[serde(default)]
    pub injected_fields: Vec<String>,
    /// Names that `auth login` accepts for the setting `preset`.
    #[serde(default)]
    pub presets: Vec<String>,
    /// Hosts it may reach: `host`, `*.suffix`, `{setting}`, `*`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Commands of `plugin run`.
    #[serde(default)]
    pub commands: Vec<String>,
    /// Hook events it hears.
    #[serde(default)]
    pub events: Vec<String>,
    /// Paths it answers itself.
    #[serde(default)]
    pub paths: Vec<HandledPath>,
    /// Flag spellings: flag to setting.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
}

/// A path a plugin answers, below `/_ccproxy/plugins/<id>/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandledPath {
    /// Without a leading slash.
    pub path: String,
    /// Whether anybody may call it; else who may use the proxy.
    #[serde(default)]
    pub public: bool,
}

/// What decides whether the rest may be read at all.
#[derive(Deserialize)]
struct Head {
    schema: u64,
    abi: String,
    target: String,
    panic: String,
}

impl Manifest {
    /// Reads and checks the manifest of an object file held in memory.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        Self::parse(&section(bytes)?)
    }

    /// The same of a file, of which only headers and the section are read.
    pub fn of_file(file: File) -> Result<Self, Refusal> {
        Self::parse(&section(&ReadCache::new(file))?)
    }

    /// Name and version, as grant records name their writer: `github 1.2.0`.
    pub fn writer(&self) -> String {
        format!("{} {}", self.id, self.version)
    }

    fn parse(json: &[u8]) -> Result<Self, Refusal> {
        let unreadable = |error: serde_json::Error| Refusal::Manifest(error.to_string());
        let head: Head = serde_json::from_slice(json).map_err(unreadable)?;
        if head.schema != SCHEMA {
            return Err(Refusal::Schema { theirs: head.schema, ours: SCHEMA });
        }
        if major(&head.abi) != major(abi::ABI_VERSION) {
            return Err(Refusal::Abi { theirs: shown(&head.abi), ours: abi::ABI_VERSION });
        }
        if head.target != TARGET {
            return Err(Refusal::Target { theirs: shown(&head.target), ours: TARGET });
        }
        if head.panic != "unwind" {
            return Err(Refusal::Panic(shown(&head.panic)));
        }
        serde_json::from_slice(json).map_err(unreadable)
    }
}

fn section<'a>(data: impl ReadRef<'a>) -> Result<Vec<u8>, Refusal> {
    let damaged = |error: object::Error| {
        let is_object = object::FileKind::parse(data).is_ok();
        Refusal::NotAnObject(if is_object {
            format!("it is cut off or damaged: {error}")
        } else {
            error.to_string()
        })
    };
    let file = object::File::parse(data).map_err(damaged)?;
    let section = file.section_by_name(abi::MANIFEST_SECTION).ok_or(Refusal::NoManifest)?;
    complete(&file, data)?;
    if file.architecture() != ARCHITECTURE {
        let theirs = format!("{:?}", file.architecture()).to_lowercase();
        return Err(Refusal::Target { theirs, ours: TARGET });
    }
    if section.size() > MAX_MANIFEST {
        return Err(Refusal::Manifest(format!("it has {} bytes", section.size())));
    }
    Ok(section.data().map_err(damaged)?.to_vec())
}

/// Refuses what is cut off behind its headers: the linker would map it, and a page that is not there
/// ends the process.
fn complete<'a>(file: &object::File<'a, impl ReadRef<'a>>, data: impl ReadRef<'a>) -> Result<(), Refusal> {
    let there = data.len().unwrap_or_default();
    let ends = file.segments().map(|segment| segment.file_range()).map(|(at, size)| at.saturating_add(size));
    match ends.max() {
        Some(end) if end > there => {
            Err(Refusal::NotAnObject(format!("it is cut off: it has {there} of at least {end} bytes")))
        }
        _ => Ok(()),
    }
}

fn major(version: &str) -> Option<&str> {
    version.split('.').next()
}

/// Text of an unchecked file, fit for a line.
fn shown(text: &str) -> String {
    super::codes::one_line(text).chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::{Value, json};

    fn manifest(change: impl FnOnce(&mut Value)) -> Result<Manifest, Refusal> {
        let mut value = json!({
            "schema": 1, "abi": abi::ABI_VERSION, "rustc": "rustc 1.95.0", "target": TARGET, "panic": "unwind",
            "id": "acme", "name": "Acme", "version": "1.2.3", "hosts": ["*.acme.example"],
            "paths": [{ "path": "hook", "public": true }], "aliases": { "tenant-id": "tenant" },
        });
        change(&mut value);
        Manifest::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_manifest_is_read_and_unknown_members_are_of_a_later_minor() {
        let read = manifest(|value| value["novelty"] = json!(true)).unwrap();
        assert_eq!(read.id.as_str(), "acme");
        assert_eq!(read.writer(), "acme 1.2.3");
        assert_eq!(read.paths, [HandledPath { path: "hook".into(), public: true }]);
        assert_eq!(read.aliases["tenant-id"], "tenant");
    }

    #[test]
    fn every_refusal_names_both_sides_and_the_cure() {
        let refused = |change: fn(&mut Value)| {
            let refusal = manifest(change).unwrap_err();
            (refusal.to_string(), refusal.hint().unwrap_or_default())
        };
        assert_eq!(
            refused(|value| value["schema"] = json!(2)),
            ("its manifest has schema 2, this host reads 1".into(), "update ccproxy".into())
        );
        assert_eq!(
            refused(|value| value["abi"] = json!("2.0.0")),
            (
                format!("it speaks plugin ABI 2.0.0, this host speaks {}", abi::ABI_VERSION),
                "update ccproxy, or use an older version of the plugin".into()
            )
        );
        assert_eq!(
            refused(|value| value["target"] = json!("aarch64-apple-darwin")),
            (
                format!("it was built for aarch64-apple-darwin, this host for {TARGET}"),
                format!("use a build for {TARGET}")
            )
        );
        let (text, hint) = refused(|value| value["panic"] = json!("abort"));
        assert!(text.contains("panic=abort") && text.contains("panic=unwind"), "{text}");
        assert_eq!(hint, "rebuild it with panic = \"unwind\" in its profile");
    }

    #[test]
    fn an_id_that_is_not_a_name_is_refused() {
        for id in ["../../x", "Acme", "", "a/b"] {
            let refusal = manifest(|value| value["id"] = json!(id)).unwrap_err();
            assert!(matches!(refusal, Refusal::Manifest(_)), "{id}: {refusal}");
        }
    }

    #[test]
    fn what_is_not_an_object_file_is_said_to_be_none() {
        assert!(matches!(Manifest::of_bytes(b"#!/bin/sh\n"), Err(Refusal::NotAnObject(_))));
        assert!(matches!(Manifest::of_bytes(b""), Err(Refusal::NotAnObject(_))));
        let this_test = File::open(std::env::current_exe().unwrap()).unwrap();
        assert!(matches!(Manifest::of_file(this_test), Err(Refusal::NoManifest)));
    }
}
