//! The provider as the host sees it, against a mock Entra that has its wire quirks.

mod account;
mod advice;
mod application;
mod entra;
mod errors;
mod login;
mod logout;
mod record;
mod resources;
