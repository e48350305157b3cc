//! Local keys: who needs one, and where requests carry it.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Access;
use crate::keys::{Keys, LocalKey, looks_like_key};
use crate::message::{CLIENT_CREDENTIAL, Entry, Field, Known, RequestHead, Via};
use crate::refusal::Refusal;

/// What tools are given where no key is needed, because they insist on one. It says that there is none.
pub const PLACEHOLDER: &str = "ccproxy-local";

impl Access {
    /// Whether a peer needs a key. Where other machines come in, everybody does, whatever the configuration: it
    /// may be about to change.
    pub(super) fn asks(self, via: &Via) -> bool {
        if via.exposed {
            return true;
        }
        match (self, via.entry) {
            (Self::Open, _) | (Self::SameUser, Entry::SameUser) => false,
            (Self::SameUser, Entry::Stranger) | (Self::Key, _) => true,
        }
    }
}

/// The key that a request carries. It is looked for wherever tools put the key of their API, and in any other
/// field whose value looks like one of ours: a provider may want its own under a name of its own.
pub(crate) fn key_of(head: &RequestHead<'_>, keys: &Keys) -> Result<Arc<LocalKey>, Refusal> {
    let ring = keys.now();
    let mut refusal = Refusal::KeyRequired;
    for presented in head.fields.iter().filter_map(presented) {
        match ring.find(&presented) {
            Some(key) => return Ok(Arc::clone(key)),
            None if presented.is_empty() || *presented == *PLACEHOLDER.as_bytes() => {}
            None => refusal = Refusal::KeyInvalid,
        }
    }
    Err(refusal)
}

/// What a field presents as a key, if it is one that could.
fn presented<'a>(field: &Field<'a>) -> Option<Cow<'a, [u8]>> {
    match field.means() {
        Known::Authorization => Some(authorization(field.value)),
        // Meant for another proxy.
        Known::ProxyAuthorization => None,
        name => {
            (CLIENT_CREDENTIAL.contains(name) || looks_like_key(field.value)).then_some(field.value.into())
        }
    }
}

/// The credential of `Bearer KEY`, of `token KEY` as GitHub's tools have it, or the password of `Basic`.
fn authorization(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(space) = value.iter().position(|byte| *byte == b' ') else { return value.into() };
    let (scheme, rest) = (&value[..space], value[space..].trim_ascii());
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return rest.into();
    }
    // RFC 7617: user and password, the first colon between them.
    let Ok(pair) = STANDARD.decode(rest) else { return rest.into() };
    match pair.iter().position(|byte| *byte == b':') {
        // `http://KEY@127.0.0.1:8462/` in a URL is a user without a password.
        Some(colon) if colon + 1 == pair.len() => pair[..colon].to_vec().into(),
        Some(colon) => pair[colon + 1..].to_vec().into(),
        None => pair.into(),
    }
}
