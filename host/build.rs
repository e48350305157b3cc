//! Tells the host which target it was built for: plugins of another are refused before they load.

#[path = "../scripts/pack_relocations.rs"]
mod pack_relocations;

fn main() {
    pack_relocations::main();
    println!("cargo:rustc-env=CCPROXY_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo:rerun-if-changed=build.rs");
}
