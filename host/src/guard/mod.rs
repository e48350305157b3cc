//! The guard: may this message enter? Authority, browser origin, access, method, target, fields.
//!
//! On every path, before routing. Whatever enters is [`Admitted`], and of its fields only those that
//! may go upstream are left: hop-by-hop fields and client credentials are gone for good.

mod access;
mod authority;
mod browser;
mod fields;
mod target;

use std::sync::Arc;

use crate::keys::{Keys, LocalKey};
use crate::login::CALLBACK_PATH;
use crate::message::{FieldSet, RequestHead, Via};
use crate::model::Name;
use crate::refusal::Refusal;
pub use access::PLACEHOLDER;
pub(crate) use access::key_of;
pub use authority::{Addressee, AllowedHost, InvalidHost};
pub use browser::{Caller, Preflight};
use target::Target;

/// The longest request target. Larger than any API's, small enough to scan.
pub const MAX_TARGET: usize = 16 * 1024;
/// The most fields of a request.
pub const MAX_FIELDS: usize = 100;
/// The most bytes in all fields of a request.
pub const MAX_FIELD_BYTES: usize = 64 * 1024;

/// Who enters without a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Processes of our own user.
    #[default]
    SameUser,
    /// Nobody.
    Key,
    /// Everybody on this machine.
    Open,
}

/// The rules of entry. Built once from the configuration.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Who enters without a key.
    pub access: Access,
    /// The keys that the others need.
    pub keys: Arc<Keys>,
    /// Names besides our own loopback names.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Web origins (`https://app.example`) whose pages may call us.
    pub allowed_origins: Vec<String>,
}

/// A request that may enter. Only the guard makes one.
#[derive(Debug)]
#[expect(
    clippy::manual_non_exhaustive,
    reason = "the point is that other modules of this crate cannot make one"
)]
pub struct Admitted<'a> {
    /// The method; never TRACE or CONNECT.
    pub method: &'a [u8],
    /// The path, byte for byte, beginning with `/`, free of dot segments in any spelling.
    pub path: &'a [u8],
    /// The query without its `?`.
    pub query: Option<&'a [u8]>,
    /// The authority the client used for us, for links back to us.
    pub authority: &'a [u8],
    /// Which of our names that is.
    pub addressee: Addressee<'a>,
    /// The key it came with, if it needed one.
    pub key: Option<Arc<LocalKey>>,
    /// The allowed web origin that asks, to be named in the answer.
    pub cors: Option<&'a [u8]>,
    /// The fields that may go upstream.
    pub fields: FieldSet,
    /// Whether this opens a WebSocket (RFC 6455 section 4.1).
    pub websocket: bool,
    /// Whether the client reads trailers: gRPC servers insist that somebody does.
    pub te_trailers: bool,
    _made_by_the_guard: (),
}

/// What becomes of a request that is not refused.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// It goes on to routing.
    Enter(Admitted<'a>),
    /// A CORS preflight of an allowed origin, answered by us.
    Preflight(Preflight<'a>),
}

impl Admitted<'_> {
    /// Whether it may take this route.
    pub fn may_use(&self, route: &Name) -> bool {
        self.key.as_ref().is_none_or(|key| key.opens(route))
    }

    /// Whether its key is for some routes only, and so for nothing besides.
    pub fn is_limited(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.routes.is_some())
    }
}

impl Guard {
    /// Decides on a request head. The order is part of the interface: authority, origin, access, and
    /// only then anything that depends on the path. `public` names the paths that need no access: asked
    /// about strangers only, by the path as written, at our own names. `expected` tells by the query whether a
    /// login waits for the browser that comes back to [`CALLBACK_PATH`]: whichever page sent it, and whatever
    /// it cannot send, it enters.
    pub fn admit<'a>(
        &self,
        head: &RequestHead<'a>,
        via: &Via,
        public: impl Fn(&[u8]) -> bool,
        expected: impl Fn(&[u8]) -> bool,
    ) -> Result<Verdict<'a>, Refusal> {
        let Addressed { target, authority, addressee } = addressed(head, via, &self.allowed_hosts)?;
        // Elsewhere the same paths would be a route's.
        let own = addressee == Addressee::Host && via.dedicated.is_none();
        let returns = own
            && target.path == CALLBACK_PATH.as_bytes()
            && browser::navigates(head)
            && expected(target.query.unwrap_or_default());
        let cors = match browser::check(head, authority, &self.allowed_origins) {
            Ok((_, cors)) => cors,
            Err(_) if returns => None,
            Err(refusal) => return Err(refusal),
        };
        if let Some(preflight) = cors.and_then(|origin| browser::preflight(head, origin)) {
            return Ok(Verdict::Preflight(preflight));
        }
        let key = match self.access.asks(via) {
            true if !(returns || own && public(target.path)) => Some(key_of(head, &self.keys)?),
            true | false => None,
        };
        // Methods are case-sensitive, but not to every server behind us.
        if [b"TRACE".as_slice(), b"CONNECT"].iter().any(|method| head.method.eq_ignore_ascii_case(method)) {
            return Err(Refusal::MethodNotAllowed {
                allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".into(),
            });
        }
        target.check()?;
        fields::check_expectation(head)?;
        let kept = fields::survivors(head)?;
        Ok(Verdict::Enter(Admitted {
            method: head.method,
            path: target.path,
            query: target.query,
            authority,
            addressee,
            key,
            cors,
            fields: kept.fields,
            websocket: kept.websocket,
            te_trailers: kept.te_trailers,
            _made_by_the_guard: (),
        }))
    }
}

/// For whom a message is.
struct Addressed<'a> {
    target: Target<'a>,
    authority: &'a [u8],
    addressee: Addressee<'a>,
}

fn addressed<'a>(
    head: &RequestHead<'a>,
    via: &Via,
    allowed_hosts: &[AllowedHost],
) -> Result<Addressed<'a>, Refusal> {
    check_size(head)?;
    let target = target::split(head.target)?;
    let authority = authority::of(head, target.authority)?;
    let addressee = authority::own(authority, via, allowed_hosts)?;
    Ok(Addressed { target, authority, addressee })
}

/// Refuses what is not for the host as a whole, or is the doing of any page but our own: the admin API has the same
/// first checks as the proxy, and no exceptions from them.
pub(crate) fn check_source(
    head: &RequestHead<'_>,
    via: &Via,
    allowed_hosts: &[AllowedHost],
) -> Result<Caller, Refusal> {
    let Addressed { authority, addressee, .. } = addressed(head, via, allowed_hosts)?;
    match addressee {
        Addressee::Host => browser::check(head, authority, &[]).map(|(caller, _)| caller),
        Addressee::Route(_) | Addressee::Upstream => Err(Refusal::HostNotAllowed),
    }
}

fn check_size(head: &RequestHead<'_>) -> Result<(), Refusal> {
    if head.target.len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    let bytes: usize = head.fields.iter().map(|field| field.name.len() + field.value.len()).sum();
    if head.fields.len() > MAX_FIELDS || bytes > MAX_FIELD_BYTES {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
