//! The provider as the host sees it, against a mock Google that has its wire quirks.

mod advice;
mod device;
mod domain;
mod errors;
mod google;
mod login;
mod logout;
mod record;
mod refresh;
