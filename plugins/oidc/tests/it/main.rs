//! The plugin on the bench: a real HTTP server plays the issuer, the bench plays the host.

mod device;
mod issuer;
mod login;
mod logout;
mod own_name;
mod settings;
mod storage;
mod tokens;
