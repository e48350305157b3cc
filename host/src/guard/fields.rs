//! Which client fields may go upstream.
//!
//! What is removed here is removed before the credential is attached, so nothing a client sends can
//! collide with it, strip it (`Connection: authorization`, CVE-2025-48865) or shadow it (`X_Api_Key`).

use crate::keys::looks_like_key;
use crate::message::{
    CLIENT_CREDENTIAL, CONNECTION_SPECIFIC, FETCH_METADATA, FORWARDING, FieldSet, Known, NameSet,
    RequestHead, Version, token_list,
};
use crate::refusal::Refusal;

/// What is left of the client's fields, and what they asked of this hop.
pub(super) struct Survivors {
    pub(super) fields: FieldSet,
    pub(super) websocket: bool,
    pub(super) te_trailers: bool,
}

/// What goes no further, whoever sent it.
const NEVER: NameSet = CONNECTION_SPECIFIC.or(CLIENT_CREDENTIAL).or(FORWARDING);

/// What a browser says about the page behind a request. The page is ours or allowed; the upstream would
/// only see a foreign site and refuse.
const PAGE: NameSet = NameSet::of(&[Known::Origin, Known::Referer]).or(FETCH_METADATA);

/// Refuses expectations that nobody meets (RFC 9110 section 10.1.1). How the body is framed is the carrier's to read.
pub(super) fn check_expectation(head: &RequestHead<'_>) -> Result<(), Refusal> {
    let junk = |value: &[u8]| !value.eq_ignore_ascii_case(b"100-continue");
    if head.fields.values(Known::Expect).any(junk) { Err(Refusal::ExpectationFailed) } else { Ok(()) }
}

/// Sorts the client's fields.
pub(super) fn survivors(head: &RequestHead<'_>) -> Result<Survivors, Refusal> {
    let from_page = head.fields.has(Known::Origin) || head.fields.mean(FETCH_METADATA);
    let gone = if from_page { NEVER.or(PAGE) } else { NEVER };
    let mut fields = FieldSet::default();
    for (index, field) in head.fields.iter().enumerate() {
        if !gone.contains(field.means()) && !looks_like_key(field.value) {
            fields.insert(index);
        }
    }
    fields.remove_nominated(head.fields);
    let websocket = is_websocket(head);
    if websocket && has_body(head) {
        return Err(Refusal::Malformed("a WebSocket handshake has no body"));
    }
    let te_trailers =
        head.fields.values(Known::Te).flat_map(token_list).any(|te| te.eq_ignore_ascii_case(b"trailers"));
    Ok(Survivors { fields, websocket, te_trailers })
}

/// RFC 6455 section 4.1, and nothing else: `h2c` would let a client talk past every check here.
fn is_websocket(head: &RequestHead<'_>) -> bool {
    let mut upgrades = head.fields.values(Known::Upgrade);
    let only_websocket = match (upgrades.next(), upgrades.next()) {
        (Some(upgrade), None) => upgrade.eq_ignore_ascii_case(b"websocket"),
        _ => false,
    };
    let nominated = || {
        head.fields
            .values(Known::Connection)
            .flat_map(token_list)
            .any(|token| token.eq_ignore_ascii_case(b"upgrade"))
    };
    head.version == Version::Http11 && head.method == b"GET" && only_websocket && nominated()
}

fn has_body(head: &RequestHead<'_>) -> bool {
    head.fields.has(Known::TransferEncoding)
        || head.fields.values(Known::ContentLength).any(|length| length != b"0")
}
