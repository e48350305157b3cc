//! The plan for relaying an upstream response: fields gone, fields rewritten, fields added.

use super::rewrite::{self, Links};
use super::rewrite_json;
use super::{ERROR_FIELD, REQUEST_ID_FIELD};
use crate::credential::Prepared;
use crate::message::{
    Field, FieldSet, ResponseHead, canonical, folded_eq, has_prefix, is_connection_specific, token_list,
};
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
const NOT_FOR_OUR_ORIGIN: [&str; 5] =
    ["alt-svc", "strict-transport-security", "clear-site-data", ERROR_FIELD, REQUEST_ID_FIELD];

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
    if head.fields.len() > FieldSet::CAPACITY || !(200..600).contains(&head.status) && head.status != 101 {
        return ResponsePlan::Fail(Refusal::UpstreamProtocol);
    }
    let mut plan = Relay {
        fields: FieldSet::default(),
        added: Vec::new(),
        json_links: rewrite_json::applies(head, policy),
    };
    let reframed = head.fields.iter().any(|field| field.is("transfer-encoding"));
    for (index, field) in head.fields.iter().enumerate() {
        let length = !reframed && field.is("content-length");
        if (length || !stays_behind(field, policy)) && !reveals(field.value, credential) {
            plan.fields.insert(index);
        }
    }
    if plan.json_links {
        let stale =
            head.fields.iter().enumerate().filter(|(_, field)| rewrite_json::is_about_the_bytes(field));
        stale.for_each(|(index, _)| plan.fields.remove(index));
    }
    remove_nominated(head.fields, &mut plan.fields);
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

/// Whether a field stays behind, whatever its value.
fn stays_behind(field: &Field<'_>, policy: &Policy) -> bool {
    let is_cookie = || field.is("set-cookie") || field.is("set-cookie2");
    is_connection_specific(field.name)
        || NOT_FOR_OUR_ORIGIN.iter().any(|gone| field.is(gone))
        || policy.cookies == Cookies::Drop && is_cookie()
        || has_prefix(field.name, b"access-control-")
}

/// Whether a value contains the credential: a header that reflects the request would hand it to the client.
fn reveals(value: &[u8], credential: &Prepared) -> bool {
    let secrets = credential.fields.iter().filter(|(_, own)| own.is_sensitive()).map(|(_, own)| {
        // `Bearer x`: the scheme is no secret and may be left out of a reflection.
        own.as_bytes().rsplit(|byte| *byte == b' ').next().unwrap_or_default()
    });
    let in_query = credential.query.iter().map(|(_, own)| own.as_bytes());
    secrets.chain(in_query).any(|secret| secret.len() >= SHORTEST_SECRET && contains(value, secret))
}

fn contains(value: &[u8], part: &[u8]) -> bool {
    value.len() >= part.len() && value.windows(part.len()).any(|window| window == part)
}

fn remove_nominated(all: &[Field<'_>], kept: &mut FieldSet) {
    let connection = all.iter().filter(|field| field.is("connection"));
    for nominated in connection.flat_map(|field| token_list(field.value)) {
        let nominated = canonical(nominated);
        for (index, field) in all.iter().enumerate() {
            if folded_eq(field.name, &nominated) {
                kept.remove(index);
            }
        }
    }
}

fn rewrite_links(all: &[Field<'_>], plan: &mut Relay, client: &Client<'_>, base: &Base, policy: &Policy) {
    let links = Links { client, base };
    for (index, field) in all.iter().enumerate() {
        if !plan.fields.contains(index) {
            continue;
        }
        let (name, rewritten) = match () {
            () if policy.rewrite.location && field.is("location") => {
                ("location", links.reference(field.value))
            }
            () if policy.rewrite.location && field.is("content-location") => {
                ("content-location", links.reference(field.value))
            }
            () if policy.rewrite.link && field.is("link") => ("link", rewrite::link(&links, field.value)),
            () => continue,
        };
        if let Some(value) = rewritten {
            plan.fields.remove(index);
            plan.added.push((name, value));
        }
    }
}

fn agrees_to_websocket(fields: &[Field<'_>]) -> bool {
    let mut upgrades = fields.iter().filter(|field| field.is("upgrade"));
    match (upgrades.next(), upgrades.next()) {
        (Some(upgrade), None) => upgrade.value.eq_ignore_ascii_case(b"websocket"),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
