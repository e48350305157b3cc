//! What the host may know before any code of a plugin runs: a JSON document in an object-file
//! section, written at compile time.

/// A plugin's manifest. Fill what applies: `Manifest { flows: &[..], ..Manifest::new("acme", "Acme") }`.
#[derive(Clone, Copy)]
pub struct Manifest {
    /// The provider's id: `[a-z0-9][a-z0-9-]{0,39}`.
    pub id: &'static str,
    /// Its name as people write it.
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    /// Flows it can offer.
    pub flows: &'static [crate::Flow],
    /// Whether a configured client secret alone means client credentials.
    pub client_secret_suffices: bool,
    /// Default upstream; empty if none.
    pub upstream: &'static str,
    /// Header fields it injects. Clients' fields of these names never go upstream.
    pub injected_fields: &'static [&'static str],
    /// Names that `ccproxy auth login NAME` accepts for a connection with the setting `preset = NAME`.
    pub presets: &'static [&'static str],
    /// Hosts it may reach: `host`, `*.suffix`, `{setting}` for the host of that setting, or `*`.
    pub hosts: &'static [&'static str],
    /// Commands of `ccproxy plugin run`.
    pub commands: &'static [&'static str],
    /// Paths below `/_ccproxy/plugins/<id>/` it answers.
    pub paths: &'static [HandledPath],
    /// Hook events it hears.
    pub events: &'static [&'static str],
    /// Flag spellings besides the setting's own name: (flag, setting).
    pub aliases: &'static [(&'static str, &'static str)],
    /// Where a person registers an application, for the hint when a client id is missing.
    pub registration_url: &'static str,
    /// Where a browser comes back to unless the `redirect_uri` setting says otherwise, without its
    /// port; empty for `http://127.0.0.1/callback`.
    pub redirect_uri: &'static str,
}

/// A path a plugin answers itself.
#[derive(Clone, Copy)]
pub struct HandledPath {
    /// Below `/_ccproxy/plugins/<id>/`, without a leading slash.
    pub path: &'static str,
    /// Whether anybody may call it; else who may use the proxy.
    pub public: bool,
}

impl Manifest {
    /// A manifest that offers nothing yet.
    pub const fn new(id: &'static str, name: &'static str) -> Self {
        Self {
            id,
            name,
            description: "",
            flows: &[],
            client_secret_suffices: false,
            upstream: "",
            injected_fields: &["authorization"],
            presets: &[],
            hosts: &[],
            commands: &[],
            paths: &[],
            events: &[],
            aliases: &[],
            registration_url: "",
            redirect_uri: "",
        }
    }
}

/// How a plugin was built; filled in by `export_provider!`.
#[doc(hidden)]
pub struct Build {
    pub version: &'static str,
    pub panic: &'static str,
}

/// The length of the manifest's JSON.
#[doc(hidden)]
pub const fn json_len(manifest: &Manifest, build: &Build) -> usize {
    render(manifest, build, Json::<0> { bytes: [], len: 0 }).len
}

/// The manifest's JSON, `LEN` being [`json_len`].
#[doc(hidden)]
pub const fn json_bytes<const LEN: usize>(manifest: &Manifest, build: &Build) -> [u8; LEN] {
    render(manifest, build, Json::<LEN> { bytes: [0; LEN], len: 0 }).bytes
}

/// A writer that runs at compile time. Past its capacity it only counts, so the same code measures
/// and writes.
struct Json<const CAPACITY: usize> {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl<const CAPACITY: usize> Json<CAPACITY> {
    const fn byte(mut self, byte: u8) -> Self {
        if self.len < CAPACITY {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
        self
    }

    const fn raw(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            self = self.byte(bytes[at]);
            at += 1;
        }
        self
    }

    const fn string(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        self = self.byte(b'"');
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at] >= 0x20, "a manifest text holds no control characters");
            if matches!(bytes[at], b'"' | b'\\') {
                self = self.byte(b'\\');
            }
            self = self.byte(bytes[at]);
            at += 1;
        }
        self.byte(b'"')
    }

    const fn member(self, name: &str, text: &str) -> Self {
        self.raw(",").string(name).raw(":").string(text)
    }

    const fn flag(self, name: &str, value: bool) -> Self {
        self.raw(",").string(name).raw(if value { ":true" } else { ":false" })
    }

    const fn strings(mut self, name: &str, texts: &[&str]) -> Self {
        self = self.raw(",").string(name).raw(":[");
        let mut at = 0;
        while at < texts.len() {
            if at > 0 {
                self = self.raw(",");
            }
            self = self.string(texts[at]);
            at += 1;
        }
        self.raw("]")
    }
}

const fn render<const CAPACITY: usize>(m: &Manifest, build: &Build, json: Json<CAPACITY>) -> Json<CAPACITY> {
    let mut json = json
        .raw("{\"schema\":1")
        .member("abi", ccproxy_plugin_abi::ABI_VERSION)
        .member("rustc", env!("CCPROXY_RUSTC"))
        .member("target", env!("CCPROXY_TARGET"))
        .member("panic", build.panic)
        .member("id", m.id)
        .member("name", m.name)
        .member("version", build.version)
        .member("description", m.description)
        .flag("client_secret_suffices", m.client_secret_suffices)
        .member("upstream", m.upstream)
        .member("registration_url", m.registration_url)
        .member("redirect_uri", m.redirect_uri)
        .strings("injected_fields", m.injected_fields)
        .strings("presets", m.presets)
        .strings("hosts", m.hosts)
        .strings("commands", m.commands)
        .strings("events", m.events)
        .raw(",\"flows\":[");
    let mut at = 0;
    while at < m.flows.len() {
        json = json.raw(if at > 0 { "," } else { "" }).string(m.flows[at].as_str());
        at += 1;
    }
    json = json.raw("],\"paths\":[");
    at = 0;
    while at < m.paths.len() {
        json = json.raw(if at > 0 { "," } else { "" }).raw("{\"path\":").string(m.paths[at].path);
        json = json.flag("public", m.paths[at].public).raw("}");
        at += 1;
    }
    json = json.raw("],\"aliases\":{");
    at = 0;
    while at < m.aliases.len() {
        json =
            json.raw(if at > 0 { "," } else { "" }).string(m.aliases[at].0).raw(":").string(m.aliases[at].1);
        at += 1;
    }
    json.raw("}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    const MANIFEST: Manifest = Manifest {
        description: "says \"hello\"",
        flows: &[crate::Flow::Device, crate::Flow::Token],
        paths: &[HandledPath { path: "hook", public: true }],
        aliases: &[("tenant-id", "tenant")],
        ..Manifest::new("hello", "Hello")
    };
    const BUILD: Build = Build { version: "1.2.3", panic: "unwind" };
    static BYTES: [u8; json_len(&MANIFEST, &BUILD)] = json_bytes(&MANIFEST, &BUILD);

    #[test]
    fn the_manifest_is_json_written_at_compile_time() {
        let manifest: serde_json::Value = serde_json::from_slice(&BYTES).unwrap();
        assert_eq!(manifest["id"], "hello");
        assert_eq!(manifest["description"], "says \"hello\"");
        assert_eq!(manifest["flows"], serde_json::json!(["device", "token"]));
        assert_eq!(manifest["paths"], serde_json::json!([{"path": "hook", "public": true}]));
        assert_eq!(manifest["aliases"]["tenant-id"], "tenant");
        assert_eq!(manifest["abi"], ccproxy_plugin_abi::ABI_VERSION);
        assert_eq!(manifest["panic"], "unwind");
    }
}
