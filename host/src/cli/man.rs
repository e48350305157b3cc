//! `ccproxy man`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::Man;
use serde_json::json;

use super::Cli;
use super::context::Context;
use super::error::{CliError, Exit};

/// Write the manual pages into a directory
///
/// One page for each command: ccproxy.1, ccproxy-auth-login.1 and so on. Pages that are there are replaced.
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// Where to; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// A page by its file name.
type Page = (String, Vec<u8>);

pub(super) fn run(args: ManArgs, context: Context) -> Result<Exit, CliError> {
    let directory = &args.directory;
    let pages = pages().map_err(|error| CliError::failed(format!("cannot render the pages: {error}")))?;
    std::fs::create_dir_all(directory)
        .map_err(|error| CliError::failed(format!("cannot make {}: {error}", directory.display())))?;
    for (name, text) in &pages {
        let path = directory.join(name);
        replace(&path, text)
            .map_err(|error| CliError::failed(format!("cannot write {}: {error}", path.display())))?;
    }
    if context.out.json {
        let names: Vec<&String> = pages.iter().map(|(name, _)| name).collect();
        context.out.document(&json!({
            "schema": "ccproxy.man/1",
            "directory": std::path::absolute(directory).unwrap_or_else(|_| directory.clone()),
            "pages": names,
        }))?;
    } else {
        context.out.line(&format!("wrote {} pages into {}", pages.len(), directory.display()))?;
    }
    Ok(Exit::OK)
}

/// Every page, rendered before the first is written.
fn pages() -> io::Result<Vec<Page>> {
    fn walk(command: &clap::Command, pages: &mut Vec<Page>) -> io::Result<()> {
        let man = Man::new(command.clone());
        let mut text = Vec::new();
        man.render(&mut text)?;
        pages.push((man.get_filename(), text));
        command.get_subcommands().try_for_each(|below| walk(below, pages))
    }
    let mut root = Cli::command();
    root.build();
    let mut pages = Vec::new();
    walk(&root, &mut pages)?;
    Ok(pages)
}

/// A page is the old one or the new one, never a part of it.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("1.{}.tmp", std::process::id()));
    let written = std::fs::File::create_new(&temporary)
        .and_then(|mut file| file.write_all(text))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The error that matters is the first one.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
