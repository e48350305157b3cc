//! Where the programs are that were built with this test.

use std::path::PathBuf;

/// The directory of the programs that were built with this test.
pub fn build_dir() -> PathBuf {
    let this = std::env::current_exe().expect("a running program has a path");
    let dir = this.parent().expect("a program lies in a directory");
    // Tests lie in `deps/` below it, programs in it.
    if dir.ends_with("deps") { dir.parent().unwrap_or(dir).to_owned() } else { dir.to_owned() }
}

/// The built `ccproxy`.
pub fn ccproxy() -> PathBuf {
    built("ccproxy")
}

/// The built `ccproxy-sandbox`.
pub fn sandbox_program() -> PathBuf {
    built("ccproxy-sandbox")
}

/// The directory of the built plugins.
pub fn plugin_dir() -> PathBuf {
    build_dir()
}

/// The built plugin of an id.
pub fn plugin(id: &str) -> PathBuf {
    built(&format!("libccproxy_provider_{}.so", id.replace('-', "_")))
}

/// A built example that is a plugin: one that no host finds by itself.
pub fn example_plugin(name: &str) -> PathBuf {
    built(&format!("examples/lib{name}.so"))
}

/// The built plugin that breaks on request.
pub fn faulty_plugin() -> PathBuf {
    built("libccproxy_plugin_faulty.so")
}

fn built(name: &str) -> PathBuf {
    let path = build_dir().join(name);
    assert!(
        path.exists(),
        "{} is not built: run ./scripts/test, or cargo build in this profile",
        path.display()
    );
    path
}
