//! What `auth login X` means: a connection, a provider, or a preset.

use crate::model::{ConnectionId, Name};

/// What there is to name.
pub struct Known<'a> {
    /// Configured and stored connections with their providers.
    pub connections: Vec<(&'a ConnectionId, &'a Name)>,
    /// Providers and the presets their manifests declare.
    pub providers: Vec<(&'a Name, &'a [String])>,
}

/// What was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A connection that exists.
    Existing(ConnectionId),
    /// A new connection of a provider.
    New {
        /// Its name.
        id: ConnectionId,
        /// Its provider.
        provider: Name,
        /// The preset that was named.
        preset: Option<String>,
    },
}

/// What was named leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a connection, provider or preset.
    #[error("no connection or provider is named `{name}`")]
    Unknown {
        /// What was typed.
        name: String,
        /// The nearest thing there is.
        nearest: Option<String>,
        /// Which providers there are.
        providers: Vec<String>,
    },
    /// `--connection` names one of another provider.
    #[error("the connection `{id}` exists and is of the provider `{is}`, not `{wanted}`")]
    OtherProvider {
        /// The connection.
        id: ConnectionId,
        /// Its provider.
        is: Name,
        /// The one asked for.
        wanted: Name,
    },
}

/// Resolves what was typed. With `--connection` the word names the provider or preset.
pub fn resolve(
    typed: &str,
    connection: Option<&ConnectionId>,
    known: &Known<'_>,
) -> Result<Target, TargetError> {
    let existing = |id: &ConnectionId| known.connections.iter().find(|(other, _)| *other == id);
    let typed_id = typed.parse::<ConnectionId>().ok();
    if (connection.is_none() || connection == typed_id.as_ref())
        && let Some((id, _)) = typed_id.as_ref().and_then(existing)
    {
        return Ok(Target::Existing((*id).clone()));
    }
    let Some((provider, preset)) = provider_of(typed, known) else {
        return Err(unknown(typed, known));
    };
    let id = match (connection, typed_id) {
        (Some(id), _) => id.clone(),
        (None, Some(id)) => id,
        (None, None) => return Err(unknown(typed, known)),
    };
    match existing(&id) {
        Some((id, is)) if *is == provider => Ok(Target::Existing((*id).clone())),
        Some((id, is)) => {
            Err(TargetError::OtherProvider { id: (*id).clone(), is: (*is).clone(), wanted: provider.clone() })
        }
        None => Ok(Target::New { id, provider: provider.clone(), preset }),
    }
}

/// `acme/github` is the provider `github` for the organisation `acme`.
fn provider_of<'a>(typed: &str, known: &Known<'a>) -> Option<(&'a Name, Option<String>)> {
    let name = typed.rsplit('/').next().unwrap_or(typed);
    let by_id = known.providers.iter().find(|(id, _)| id.as_str() == name).map(|(id, _)| (*id, None));
    by_id.or_else(|| {
        let has = |presets: &[String]| presets.iter().any(|preset| preset == name);
        known.providers.iter().find(|(_, presets)| has(presets)).map(|(id, _)| (*id, Some(name.to_owned())))
    })
}

fn unknown(typed: &str, known: &Known<'_>) -> TargetError {
    let connections = known.connections.iter().map(|(id, _)| id.to_string());
    let providers = known.providers.iter().map(|(id, _)| id.to_string());
    let presets = known.providers.iter().flat_map(|(_, presets)| presets.iter().cloned());
    let names: Vec<String> = connections.chain(providers.clone()).chain(presets).collect();
    TargetError::Unknown {
        name: typed.to_owned(),
        nearest: nearest(typed, names.iter().map(String::as_str)).map(str::to_owned),
        providers: providers.collect(),
    }
}

/// The name most like what was typed, if any is like it at all.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().max(typed.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn id(text: &str) -> ConnectionId {
        text.parse().unwrap()
    }

    fn with_known<T>(test: impl FnOnce(&Known<'_>) -> T) -> T {
        let (corp, github) = (id("corp"), id("github"));
        let (oidc, gh, key) = (name("oidc"), name("github"), name("api-key"));
        let presets = vec!["openai".to_owned()];
        test(&Known {
            connections: vec![(&corp, &oidc), (&github, &gh)],
            providers: vec![(&oidc, &[]), (&gh, &[]), (&key, &presets)],
        })
    }

    fn resolved(typed: &str, connection: Option<&str>) -> Result<Target, TargetError> {
        let connection = connection.map(id);
        with_known(|known| resolve(typed, connection.as_ref(), known))
    }

    fn new(id_text: &str, provider: &str, preset: Option<&str>) -> Target {
        Target::New { id: id(id_text), provider: name(provider), preset: preset.map(str::to_owned) }
    }

    #[test]
    fn a_connection_comes_first_then_a_provider_then_a_preset() {
        assert_eq!(resolved("corp", None), Ok(Target::Existing(id("corp"))));
        assert_eq!(resolved("github", None), Ok(Target::Existing(id("github"))));
        assert_eq!(resolved("oidc", None), Ok(new("oidc", "oidc", None)));
        assert_eq!(resolved("openai", None), Ok(new("openai", "api-key", Some("openai"))));
        assert_eq!(resolved("acme/github", None), Ok(new("acme/github", "github", None)));
    }

    #[test]
    fn connection_makes_another_account_of_a_provider() {
        assert_eq!(resolved("github", Some("github-work")), Ok(new("github-work", "github", None)));
        assert_eq!(resolved("github", Some("github")), Ok(Target::Existing(id("github"))));
        assert!(matches!(resolved("github", Some("corp")), Err(TargetError::OtherProvider { .. })));
    }

    #[test]
    fn a_typo_gets_the_nearest_name() {
        let Err(TargetError::Unknown { nearest, .. }) = resolved("githb", None) else { panic!("found") };
        assert_eq!(nearest.as_deref(), Some("github"));
        let Err(TargetError::Unknown { nearest, .. }) = resolved("zzz", None) else { panic!("found") };
        assert_eq!(nearest, None);
    }
}
