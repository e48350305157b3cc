//! The provider as the host sees it, against a mock Entra that has its wire quirks.

#![expect(clippy::unwrap_used, reason = "what unwraps is a test or a part of one")]

mod account;
mod advice;
mod application;
mod entra;
mod errors;
mod login;
mod logout;
mod record;
mod resources;
