//! Web pages in the user's browser: they reach loopback too, and must not get in.
//!
//! Fetch Metadata (`Sec-Fetch-Site`) and `Origin` are set by the browser and out of a page's reach.
//! Neither is sent by the tools we serve, so absence passes.

use crate::message::{Known, RequestHead};
use crate::refusal::Refusal;

/// Who asks, as the browser tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No page, as far as one can tell.
    NotAPage,
    /// A page that we served: the browser says so.
    OwnPage,
    /// A page of `server.allowed_origins`.
    AllowedPage,
}

/// A CORS preflight that we answer ourselves: the upstream never sees a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Preflight<'a> {
    /// The allowed origin.
    pub origin: &'a [u8],
    /// The method it asks for.
    pub method: &'a [u8],
    /// The fields it asks for.
    pub fields: Option<&'a [u8]>,
}

/// Refuses pages that are neither ours nor allowed. The origin of one that is allowed.
pub(super) fn check<'a>(
    head: &RequestHead<'a>,
    authority: &[u8],
    allowed: &[String],
) -> Result<(Caller, Option<&'a [u8]>), Refusal> {
    let mut origins = head.fields.values(Known::Origin);
    let caller = match (origins.next(), origins.next()) {
        (None, _) => Caller::NotAPage,
        (Some(_), Some(_)) => return Err(Refusal::OriginNotAllowed),
        (Some(origin), None) if is_ours(origin, authority) => Caller::OwnPage,
        (Some(origin), None) if allowed.iter().any(|one| one.as_bytes() == origin) => {
            return Ok((Caller::AllowedPage, Some(origin)));
        }
        (Some(_), None) => return Err(Refusal::OriginNotAllowed),
    };
    let mut sites = head.fields.values(Known::SecFetchSite).peekable();
    let tells = sites.peek().is_some();
    let mut ours = tells;
    for site in sites {
        match site {
            b"same-origin" => {}
            // A person typed the address.
            b"none" => ours = false,
            _ => return Err(Refusal::OriginNotAllowed),
        }
    }
    Ok((if ours { Caller::OwnPage } else { caller }, None))
}

/// Whether a browser goes to a page here, in a tab of its own, and does nothing else: no form, no frame, no
/// script. Which page sent it does not matter. What is no browser says nothing, and passes.
pub(super) fn navigates(head: &RequestHead<'_>) -> bool {
    let all = |name: Known, wanted: &[u8]| head.fields.values(name).all(|value| value == wanted);
    head.method == b"GET"
        && !head.fields.has(Known::Origin)
        && all(Known::SecFetchMode, b"navigate")
        && all(Known::SecFetchDest, b"document")
        && !head.fields.values(Known::SecPurpose).any(|purpose| purpose.starts_with(b"prefetch"))
}

/// The preflight that `head` is, if it is one (Fetch standard, CORS-preflight request).
pub(super) fn preflight<'a>(head: &RequestHead<'a>, origin: &'a [u8]) -> Option<Preflight<'a>> {
    if head.method != b"OPTIONS" {
        return None;
    }
    let method = head.fields.values(Known::AccessControlRequestMethod).next()?;
    Some(Preflight { origin, method, fields: head.fields.values(Known::AccessControlRequestHeaders).next() })
}

fn is_ours(origin: &[u8], authority: &[u8]) -> bool {
    origin.strip_prefix(b"http://").is_some_and(|rest| rest.eq_ignore_ascii_case(authority))
}
