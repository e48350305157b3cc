//! The differential tests with inputs that libFuzzer makes up, guided by what they reach: see `scripts/fuzz`.

#![no_main]

#[path = "../tests/same/mod.rs"]
mod same;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    same::request(bytes);
    same::response(bytes);
    same::head_in_pieces(bytes);
    same::body_in_pieces(bytes);
});
