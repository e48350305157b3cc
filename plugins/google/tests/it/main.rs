//! The provider as the host sees it, against a mock Google that has its wire quirks.

#![expect(clippy::unwrap_used, reason = "what unwraps is a test or a part of one")]

mod advice;
mod device;
mod domain;
mod errors;
mod google;
mod login;
mod logout;
mod record;
mod refresh;
