//! Tells the host which target it was built for: plugins of another are refused before they load.

fn main() {
    println!("cargo:rustc-env=CCPROXY_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo:rerun-if-changed=build.rs");
}
