//! Which client fields may go upstream.
//!
//! What is removed here is removed before the credential is attached, so nothing a client sends can
//! collide with it, strip it (`Connection: authorization`, CVE-2025-48865) or shadow it (`X_Api_Key`).

use crate::keys::looks_like_key;
use crate::message::{
    Field, FieldSet, RequestHead, Version, canonical, folded_eq, has_prefix, is_client_credential,
    is_connection_specific, is_one_of, token_list,
};
use crate::refusal::Refusal;

/// What is left of the client's fields, and what they asked of this hop.
pub(super) struct Survivors {
    pub(super) fields: FieldSet,
    pub(super) websocket: bool,
    pub(super) te_trailers: bool,
}

/// Statements about the hop before us. No upstream may believe a client's, and ours are nobody's business.
const FORWARDING: [&[u8]; 2] = [b"forwarded", b"x-real-ip"];
const FORWARDING_PREFIXES: [&[u8]; 4] = [b"x-forwarded-", b"x-original-", b"x-rewrite-", b"proxy-"];

/// What a browser says about the page behind a request. The page is ours or allowed; the upstream would
/// only see a foreign site and refuse.
const PAGE: [&[u8]; 2] = [b"origin", b"referer"];

/// Refuses expectations that nobody meets (RFC 9110 section 10.1.1). How the body is framed is the carrier's to read.
pub(super) fn check_expectation(head: &RequestHead<'_>) -> Result<(), Refusal> {
    let junk = |value: &[u8]| !value.eq_ignore_ascii_case(b"100-continue");
    if head.values("expect").any(junk) { Err(Refusal::ExpectationFailed) } else { Ok(()) }
}

/// Sorts the client's fields.
pub(super) fn survivors(head: &RequestHead<'_>) -> Result<Survivors, Refusal> {
    let from_page =
        head.fields.iter().any(|field| field.is("origin") || has_prefix(field.name, b"sec-fetch-"));
    let mut fields = FieldSet::default();
    for (index, field) in head.fields.iter().enumerate() {
        let gone = is_connection_specific(field.name)
            || is_client_credential(field.name)
            || looks_like_key(field.value)
            || is_forwarding(field.name)
            || from_page && (is_one_of(field.name, &PAGE) || has_prefix(field.name, b"sec-fetch-"));
        if !gone {
            fields.insert(index);
        }
    }
    remove_nominated(head.fields, &mut fields);
    let websocket = is_websocket(head);
    if websocket && has_body(head) {
        return Err(Refusal::Malformed("a WebSocket handshake has no body"));
    }
    let te_trailers = head.values("te").flat_map(token_list).any(|te| te.eq_ignore_ascii_case(b"trailers"));
    Ok(Survivors { fields, websocket, te_trailers })
}

/// Takes out what `Connection` nominates.
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

/// RFC 6455 section 4.1, and nothing else: `h2c` would let a client talk past every check here.
fn is_websocket(head: &RequestHead<'_>) -> bool {
    let mut upgrades = head.values("upgrade");
    let only_websocket = match (upgrades.next(), upgrades.next()) {
        (Some(upgrade), None) => upgrade.eq_ignore_ascii_case(b"websocket"),
        _ => false,
    };
    let nominated =
        || head.values("connection").flat_map(token_list).any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    head.version == Version::Http11 && head.method == b"GET" && only_websocket && nominated()
}

fn has_body(head: &RequestHead<'_>) -> bool {
    head.values("transfer-encoding").next().is_some()
        || head.values("content-length").any(|length| length != b"0")
}

fn is_forwarding(name: &[u8]) -> bool {
    is_one_of(name, &FORWARDING) || FORWARDING_PREFIXES.iter().any(|prefix| has_prefix(name, prefix))
}
