//! The plan for relaying an upstream response: fields gone, fields rewritten, fields added.

use smallvec::SmallVec;

use super::rewrite::{self, Links};
use super::rewrite_json;
use crate::credential::Prepared;
use crate::message::{ACCESS_CONTROL, CONNECTION_SPECIFIC, FieldSet, Known, Lines, NameSet, ResponseHead};
use crate::refusal::Refusal;
use crate::route::{Cookies, Mount, Policy};
use crate::upstream::Base;

/// How the client reached the route: what a link back to us looks like to it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The authority it used.
    pub authority: &'a [u8],
    /// The route's path segment.
    pub path: &'a str,
    /// Where the route sits.
    pub mount: Mount,
    /// The allowed web origin that asked.
    pub cors: Option<&'a [u8]>,
    /// Whether it asked for a WebSocket.
    pub websocket: bool,
}

/// What to do with a response.
#[derive(Debug)]
pub enum ResponsePlan {
    /// Pass it on.
    Relay(Relay),
    /// Pass the 101 on and tunnel.
    Tunnel(Relay),
    /// Answer with an error instead.
    Fail(Refusal),
}

/// Which fields pass, and which are added.
#[derive(Debug, PartialEq, Eq)]
pub struct Relay {
    /// The upstream's fields that pass as they are.
    pub fields: FieldSet,
    /// Fields to add. Empty, and without an allocation, for most responses.
    pub added: Vec<(&'static str, Vec<u8>)>,
    /// Whether links in the body are rewritten: [`super::JsonLinks`].
    pub json_links: bool,
}

/// Statements about an origin, and ours is not the upstream's: HSTS would break every other service on
/// localhost, `Alt-Svc` would lead around us, `ccproxy-*` would speak for us.
const NOT_FOR_OUR_ORIGIN: NameSet = NameSet::of(&[
    Known::AltSvc,
    Known::StrictTransportSecurity,
    Known::ClearSiteData,
    Known::CcproxyError,
    Known::CcproxyRequestId,
]);

/// What stays behind, too, unless a route passes cookies.
const COOKIES: NameSet = NameSet::of(&[Known::SetCookie, Known::SetCookie2]);

/// What stays behind in any spelling.
const NEVER: NameSet = CONNECTION_SPECIFIC.or(ACCESS_CONTROL);

/// Shorter values are words, and words may stand anywhere.
const SHORTEST_SECRET: usize = 8;

/// Decides on a response head.
pub fn relay(
    head: &ResponseHead<'_>,
    client: &Client<'_>,
    base: &Base,
    policy: &Policy,
    credential: &Prepared,
) -> ResponsePlan {
    // A 100 is between us and the upstream.
    if head.fields.len() > FieldSet::CAPACITY || !(101..600).contains(&head.status) {
        return ResponsePlan::Fail(Refusal::UpstreamProtocol);
    }
    let mut plan = Relay {
        fields: FieldSet::default(),
        added: Vec::new(),
        json_links: rewrite_json::applies(head, policy),
    };
    let secrets = secrets(credential);
    let is_framed_by_length = !head.fields.has(Known::TransferEncoding);
    let not_ours = match policy.cookies {
        Cookies::Drop => NOT_FOR_OUR_ORIGIN.or(COOKIES),
        Cookies::Pass => NOT_FOR_OUR_ORIGIN,
    };
    for (index, field) in head.fields.iter().enumerate() {
        let length = is_framed_by_length && field.is(Known::ContentLength);
        let stays_behind = NEVER.contains(field.means()) || field.is_of(not_ours);
        if (length || !stays_behind) && !secrets.iter().any(|secret| contains(field.value, secret)) {
            plan.fields.insert(index);
        }
    }
    if plan.json_links {
        let stale =
            head.fields.iter().enumerate().filter(|(_, field)| field.is_of(rewrite_json::ABOUT_THE_BYTES));
        stale.for_each(|(index, _)| plan.fields.remove(index));
    }
    plan.fields.remove_nominated(head.fields);
    rewrite_links(head.fields, &mut plan, client, base, policy);
    if let Some(origin) = client.cors {
        plan.added.push(("access-control-allow-origin", origin.to_vec()));
        plan.added.push(("vary", b"Origin".to_vec()));
    }
    match head.status {
        101 if client.websocket && agrees_to_websocket(head.fields) => ResponsePlan::Tunnel(plan),
        // Nobody asked (security U3): what follows would be read as something else by the client.
        101 => ResponsePlan::Fail(Refusal::UpstreamProtocol),
        _ => ResponsePlan::Relay(plan),
    }
}

/// What no value may contain: a header that reflects the request would hand the credential to the client.
fn secrets(credential: &Prepared) -> SmallVec<[&[u8]; 2]> {
    let in_fields = credential.fields.iter().filter(|(_, own)| own.is_sensitive()).map(|(_, own)| {
        // `Bearer x`: the scheme is no secret and may be left out of a reflection.
        let own = own.as_bytes();
        &own[memchr::memrchr(b' ', own).map_or(0, |space| space + 1)..]
    });
    let in_query = credential.query.iter().map(|(_, own)| own.as_bytes());
    in_fields.chain(in_query).filter(|secret| secret.len() >= SHORTEST_SECRET).collect()
}

fn contains(value: &[u8], part: &[u8]) -> bool {
    let (Some(first), Some(last)) = (part.first(), value.len().checked_sub(part.len())) else { return false };
    // Where the first byte of a secret is in a value, the rest hardly ever is: no search is worth preparing.
    memchr::memchr_iter(*first, &value[..=last]).any(|at| value[at..].starts_with(part))
}

fn rewrite_links(all: Lines<'_>, plan: &mut Relay, client: &Client<'_>, base: &Base, policy: &Policy) {
    let links = Links { client, base };
    let mut wanted = NameSet::default();
    if policy.rewrite.location {
        wanted = wanted.or(NameSet::of(&[Known::Location, Known::ContentLocation]));
    }
    if policy.rewrite.link {
        wanted.insert(Known::Link);
    }
    if !all.mean(wanted) {
        return;
    }
    for (index, field) in all.iter().enumerate() {
        if !plan.fields.contains(index) || !field.is_of(wanted) {
            continue;
        }
        let rewritten = match field.means() {
            Known::Link => rewrite::link(&links, field.value),
            _ => links.reference(field.value),
        };
        if let Some(value) = rewritten {
            plan.fields.remove(index);
            plan.added.push((field.means().name(), value));
        }
    }
}

fn agrees_to_websocket(fields: Lines<'_>) -> bool {
    let mut upgrades = fields.values(Known::Upgrade);
    match (upgrades.next(), upgrades.next()) {
        (Some(upgrade), None) => upgrade.eq_ignore_ascii_case(b"websocket"),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
