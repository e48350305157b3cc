//! Programs of others that the stories run against, installed by `scripts/test-deps`. One that is missing
//! fails the story and names that script: a story that is skipped proves nothing.

use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// A file of `tests/parts/`, run by Node with the packages that are installed beside it.
pub(crate) fn script(name: &str) -> PathBuf {
    present(repository().join("tests/parts/node_modules/.package-lock.json"));
    repository().join("tests/parts").join(name)
}

/// The Python interpreter that has the client libraries.
pub fn python() -> PathBuf {
    present(repository().join(".cache/venv/.installed"));
    repository().join(".cache/venv/bin/python")
}

/// A program of the system.
pub fn system_program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: run ./scripts/test-deps"))
}

/// Whether this is root, as in CI. Becoming another user and giving a file away take root: elsewhere a story
/// says that it is left out.
pub fn is_root(story: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("left out, for want of root: {story}");
    }
    root
}

fn present(part: PathBuf) -> PathBuf {
    assert!(part.exists(), "{} is missing: run ./scripts/test-deps", part.display());
    part
}
