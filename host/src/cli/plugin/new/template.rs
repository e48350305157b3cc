//! The crate that `plugin new` makes: a whole provider called Acme, with the name put in.

use std::path::PathBuf;

use crate::model::Name;

/// Every file, by its name in the new directory.
const FILES: [(&str, &str); 10] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    (".gitignore", include_str!("template/gitignore")),
    ("README.md", include_str!("template/README.md")),
    ("plugin.rs", include_str!("template/plugin.rs")),
    ("login.rs", include_str!("template/login.rs")),
    ("manager.rs", include_str!("template/manager.rs")),
    ("routes.rs", include_str!("template/routes.rs")),
    ("schemas.rs", include_str!("template/schemas.rs")),
    ("storage.rs", include_str!("template/storage.rs")),
    ("tests/acme.rs", include_str!("template/tests/acme.rs")),
];

/// Where the SDK comes from.
pub(super) enum Sdk {
    /// A registry, in the version that goes with this host.
    Released,
    /// A directory, absolute.
    Path(PathBuf),
}

/// The template with a name put in.
pub(super) struct Template {
    id: String,
    words: Vec<(&'static str, String)>,
}

impl Template {
    pub(super) fn new(id: &Name, sdk: Sdk) -> Self {
        let id = id.as_str();
        let capital = |word: &str| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        };
        let parts: Vec<String> = id.split('-').filter_map(capital).collect();
        // A type may not begin with a digit.
        let digit = if id.starts_with(|first: char| first.is_ascii_digit()) { "P" } else { "" };
        let source = match &sdk {
            Sdk::Released => format!("version = \"{}\"", env!("CARGO_PKG_VERSION")),
            Sdk::Path(path) => format!("path = {}", toml::Value::from(path.display().to_string())),
        };
        // In a text the first that fits counts, so the longer stand before the shorter.
        let words = vec![
            ("ccproxy_provider_acme", format!("ccproxy_provider_{}", id.replace('-', "_"))),
            ("AcmeProvider", format!("{digit}{}Provider", parts.concat())),
            ("ACME", id.replace('-', "_").to_ascii_uppercase()),
            ("Acme", parts.join(" ")),
            ("acme", id.to_owned()),
            ("{{sdk}}", format!("{{ {source} }}")),
            ("{{sdk_testing}}", format!("{{ {source}, features = [\"testing\"] }}")),
        ];
        Self { id: id.to_owned(), words }
    }

    /// The crate's name.
    pub(super) fn package(&self) -> String {
        format!("ccproxy-provider-{}", self.id)
    }

    /// The shared object's file name.
    pub(super) fn library(&self) -> String {
        let extension = std::env::consts::DLL_EXTENSION;
        format!("lib{}.{extension}", self.package().replace('-', "_"))
    }

    /// Every file's name and text.
    pub(super) fn files(&self) -> impl Iterator<Item = (String, String)> + '_ {
        FILES.iter().map(|(name, text)| (self.named(name), self.named(text)))
    }

    /// One pass: what was put in is not looked at again.
    fn named(&self, text: &str) -> String {
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if let Some((word, own)) = self.words.iter().find(|(word, _)| rest.starts_with(word)) {
                named.push_str(own);
                rest = &rest[word.len()..];
            } else {
                named.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn file(id: &str, name: &str, sdk: Sdk) -> String {
        let template = Template::new(&id.parse().unwrap(), sdk);
        template.files().find(|(file, _)| file == name).unwrap().1
    }

    #[test]
    fn the_name_is_put_in_once_in_every_spelling() {
        let template = Template::new(&"acme-2".parse().unwrap(), Sdk::Released);
        assert_eq!(
            template.named("AcmeProvider Acme acme ACME_KEY ccproxy_provider_acme id.acme.example"),
            "Acme2Provider Acme 2 acme-2 ACME_2_KEY ccproxy_provider_acme_2 id.acme-2.example"
        );
        assert_eq!(template.library(), "libccproxy_provider_acme_2.so");
        assert!(file("1password", "plugin.rs", Sdk::Released).contains("pub struct P1passwordProvider {"));
        assert!(file("self", "plugin.rs", Sdk::Released).contains("export_provider!(SelfProvider);"));
    }

    #[test]
    fn the_crate_depends_on_the_sdk_and_is_a_workspace_of_its_own() {
        let parsed = |sdk| -> toml::Table { file("my-idp", "Cargo.toml", sdk).parse().unwrap() };
        let released = parsed(Sdk::Released);
        assert_eq!(released["package"]["name"].as_str(), Some("ccproxy-provider-my-idp"));
        assert_eq!(
            released["dependencies"]["ccproxy-plugin-sdk"]["version"].as_str(),
            Some(env!("CARGO_PKG_VERSION"))
        );
        assert!(released["workspace"].as_table().unwrap().is_empty());
        let path = "/a \"b\"/plugin-api/sdk";
        let local = parsed(Sdk::Path(path.into()));
        assert_eq!(local["dev-dependencies"]["ccproxy-plugin-sdk"]["path"].as_str(), Some(path));
    }
}
