//! Stories with a real plugin: `tests/plugins/faulty`, which breaks on request.

mod bench;
mod faults;
mod following;
mod loading;
mod services;
