//! The build script of the host and of each plugin: has the linker pack their relocations.
//!
//! A program that may lie anywhere corrects its tables of pointers when it is loaded. The usual list of their places
//! has 24 bytes for each and becomes resident by being read: half a MiB in the host, 100 to 200 KiB in a plugin.
//! Packed, it has a few bits for each.

#![allow(clippy::print_stdout, reason = "how a build script talks to cargo")]

use std::process::Command;

/// The first glibc that reads the packed list.
const READS_PACKED: (u32, u32) = (2, 36);

pub fn main() {
    println!("cargo::rerun-if-changed=Cargo.toml");
    // What is built on a machine has to run there: on an older one the list stays as it is.
    if is_for_this_machine() && glibc().is_some_and(|version| version >= READS_PACKED) {
        println!("cargo::rustc-link-arg=-Wl,-z,pack-relative-relocs");
    }
}

fn is_for_this_machine() -> bool {
    let variable = |name| std::env::var(name).unwrap_or_default();
    variable("TARGET") == variable("HOST")
        && variable("CARGO_CFG_TARGET_OS") == "linux"
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
}

fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
