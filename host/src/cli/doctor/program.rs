//! This program, and others of its name.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::check::Check;
use crate::plugin::ABI_VERSION;

const GROUP: &str = "program";

pub(super) fn checks() -> Vec<Check> {
    let this = std::env::current_exe().ok();
    let place = this.as_ref().map_or_else(|| "an unknown place".into(), |path| path.display().to_string());
    let version = format!(
        "ccproxy {} for {}, plugin ABI {ABI_VERSION}, at {place}",
        env!("CARGO_PKG_VERSION"),
        env!("CCPROXY_TARGET")
    );
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = others(std::env::split_paths(&path));
    vec![Check::ok(GROUP, "version", version), on_path(this.as_deref(), &found)]
}

/// Programs called ccproxy, in the order of `PATH`.
fn others(directories: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for file in directories.filter(|dir| dir.is_absolute()).map(|dir| dir.join("ccproxy")) {
        let runs = file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        if runs && !found.contains(&file) {
            found.push(file);
        }
    }
    found
}

fn on_path(this: Option<&Path>, found: &[PathBuf]) -> Check {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let ours = this.map(real);
    let is_ours = |path: &PathBuf| ours.as_ref() == Some(&real(path));
    let what = |path: &PathBuf| match is_python(path) {
        true => format!("{} (a Python program)", path.display()),
        false => path.display().to_string(),
    };
    match (found.iter().position(is_ours), found.iter().find(|path| !is_ours(path))) {
        (_, None) if found.is_empty() => Check::ok(GROUP, "PATH", "has no `ccproxy`: this one is called by its path"),
        (_, None) => Check::ok(GROUP, "PATH", "`ccproxy` is this program"),
        (Some(0), Some(other)) if is_python(other) => Check::warn(
            GROUP,
            "PATH",
            format!("`ccproxy` is this program; another of that name is {}", what(other)),
        )
        .hint("both read ~/.config/ccproxy/config.toml: set CCPROXY_CONFIG_DIR to a directory of its own for this one"),
        (Some(0), Some(other)) => {
            Check::ok(GROUP, "PATH", format!("`ccproxy` is this program, and not {}", what(other)))
        }
        (_, Some(other)) => {
            let this = this.map(|path| path.display().to_string()).unwrap_or_default();
            Check::warn(GROUP, "PATH", format!("`ccproxy` is another program: {}", what(other)))
                .hint(format!("this one is {this}: reorder PATH, or call it by its path"))
        }
    }
}

/// Whether a program is a script for Python, as pip installs them.
fn is_python(path: &Path) -> bool {
    let mut start = [0; 128];
    let read = File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    let first = start[..read].split(|byte| *byte == b'\n').next().unwrap_or_default();
    first.starts_with(b"#!") && String::from_utf8_lossy(first).contains("python")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Finding;
    use pretty_assertions::assert_eq;

    fn program(directory: &Path, text: &str) -> PathBuf {
        std::fs::create_dir_all(directory).unwrap();
        let path = directory.join("ccproxy");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_program_of_the_same_name_is_told_by_where_it_stands() {
        let home = tempfile::tempdir().unwrap();
        let (ours, python) = (home.path().join("ours"), home.path().join("python"));
        let this = program(&ours, "ELF");
        program(&python, "#!/usr/bin/env python3\n");
        let look = |directories: &[&PathBuf]| {
            let check = on_path(Some(&this), &others(directories.iter().map(|dir| (*dir).clone())));
            (check.result, check.detail.contains("a Python program"))
        };
        assert_eq!(look(&[]), (Finding::Ok, false));
        assert_eq!(look(&[&ours]), (Finding::Ok, false));
        assert_eq!(look(&[&ours, &python]), (Finding::Warn, true));
        assert_eq!(look(&[&python, &ours]), (Finding::Warn, true));
        assert_eq!(look(&[&python]), (Finding::Warn, true));
    }
}
