//! `ccproxy plugin new`

mod template;

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::model::Name;
use template::{Sdk, Template};

/// Start a provider plugin of your own
///
/// Makes the directory NAME with a crate that builds, has tests and a README, and shows each thing that a
/// plugin can do: a login, a token that renews itself, own paths and commands, events.
#[derive(Args, Debug)]
pub(in crate::cli) struct NewArgs {
    /// The id of the provider, as in `ccproxy auth login NAME`
    #[arg(value_name = "NAME")]
    name: String,
    /// Build against the SDK in this directory instead of a released one: `plugin-api/sdk` of a checkout
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

pub(super) fn run(args: NewArgs, context: Context) -> Result<Exit, CliError> {
    let id: Name = args.name.parse().map_err(|_| no_id(&args.name))?;
    let sdk = match &args.sdk {
        Some(path) => Sdk::Path(sdk_at(path)?),
        None => Sdk::Released,
    };
    let template = Template::new(&id, sdk);
    let directory = Path::new(id.as_str());
    write(directory, &template)
        .map_err(|error| CliError::failed(format!("cannot make {}: {error}", directory.display())))?;
    let library = format!("target/debug/{}", template.library());
    let next = [
        format!("cd {id}"),
        "cargo test".to_owned(),
        "cargo build".to_owned(),
        format!("ccproxy plugin test {library}"),
        format!("ccproxy --plugin-dir target/debug auth login {id}"),
    ];
    if context.out.json {
        context.out.document(&json!({
            "schema": "ccproxy.plugin-new/1",
            "id": id,
            "directory": std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()),
            "crate": template.package(),
            "library": library,
            "next": next,
        }))?;
    } else {
        context.out.line(&format!("made {id}/: the crate {}", template.package()))?;
        context.out.line("next:")?;
        for command in next {
            context.out.line(&format!("  {command}"))?;
        }
    }
    Ok(Exit::OK)
}

/// Nothing that is there is overwritten.
fn write(directory: &Path, template: &Template) -> io::Result<()> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there and not empty"));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    for (name, text) in template.files() {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(directory))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// A name that is no id, with the nearest that is.
fn no_id(name: &str) -> CliError {
    let error = CliError::usage(format!(
        "`{name}` cannot be the id of a provider: it has lower-case letters, digits and `-`, and 40 at most"
    ));
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let near: String = name.chars().map(plain).collect();
    let words: Vec<&str> = near.split('-').filter(|word| !word.is_empty()).collect();
    let near: String = words.join("-").chars().take(40).collect();
    match near.trim_end_matches('-').parse::<Name>() {
        Ok(near) => error.hint(format!("ccproxy plugin new {near}")),
        Err(_) => error.hint("ccproxy plugin new acme"),
    }
}

/// The SDK's directory, absolute: the crate may be moved.
fn sdk_at(path: &Path) -> Result<PathBuf, CliError> {
    let is_sdk = |directory: &Path| {
        std::fs::read_to_string(directory.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.contains("\"ccproxy-plugin-sdk\""))
    };
    if is_sdk(path) {
        return path
            .canonicalize()
            .map_err(|error| CliError::failed(format!("cannot look at {}: {error}", path.display())));
    }
    let error = CliError::usage(format!("{} is not the crate ccproxy-plugin-sdk", path.display()));
    let below = path.join("plugin-api/sdk");
    if is_sdk(&below) {
        return Err(error.hint(format!("--sdk {}", below.display())));
    }
    Err(error.hint("name the directory `plugin-api/sdk` of a checkout of ccproxy"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_name_that_is_no_id_is_answered_with_the_nearest_that_is() {
        let hint = |name: &str| no_id(name).hint.unwrap();
        assert_eq!(hint("Acme Corp"), "ccproxy plugin new acme-corp");
        assert_eq!(hint("_my.idp_"), "ccproxy plugin new my-idp");
        assert_eq!(hint("../../etc"), "ccproxy plugin new etc");
        assert_eq!(hint("ü"), "ccproxy plugin new acme");
        assert_eq!(hint(&"x".repeat(50)), format!("ccproxy plugin new {}", "x".repeat(40)));
    }

    #[test]
    fn what_is_there_is_not_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("acme");
        let template = Template::new(&"acme".parse().unwrap(), Sdk::Released);
        write(&directory, &template).unwrap();
        std::fs::write(directory.join("plugin.rs"), "mine").unwrap();
        let refused = write(&directory, &template).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(directory.join("plugin.rs")).unwrap(), "mine");
    }

    #[test]
    fn the_directory_above_the_sdk_is_answered_with_the_sdk() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert!(sdk_at(&repository.join("plugin-api/sdk")).unwrap().is_absolute());
        let refused = sdk_at(&repository).unwrap_err();
        assert!(refused.hint.unwrap().ends_with("plugin-api/sdk"));
        assert_eq!(refused.exit, Exit::USAGE);
    }
}
