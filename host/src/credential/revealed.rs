//! A credential for somebody who asks to see it: the command that prints a token, and the API where it may.

use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;
use serde_json::json;
use zeroize::Zeroizing;

use super::Prepared;
use crate::model::{ConnectionId, UnixMillis};

/// The secret itself, if there is one: what is sent, without the scheme before it (RFC 9110 section 11.4).
pub fn token(prepared: &Prepared) -> Option<Zeroizing<Vec<u8>>> {
    if let Some((_, value)) = prepared.fields.iter().find(|(name, _)| *name == AUTHORIZATION) {
        let value = value.as_bytes();
        let scheme = value.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1);
        return Some(Zeroizing::new(value[scheme..].trim_ascii().to_vec()));
    }
    if let Some((_, value)) = prepared.fields.first() {
        return Some(Zeroizing::new(value.as_bytes().to_vec()));
    }
    // Encoded for the URL it goes into; the key itself is not.
    let parameter = prepared.query.first().map(|(_, value)| percent_decode_str(value).collect());
    parameter.map(Zeroizing::new)
}

/// The document with the token and its end. Wiped when dropped, though what sent it may keep a copy.
pub fn revealed(id: &ConnectionId, prepared: &Prepared) -> Option<Zeroizing<Vec<u8>>> {
    let token = token(prepared)?;
    let document = json!({
        "schema": "ccproxy.auth-token/1",
        "connection": id,
        "token": String::from_utf8_lossy(&token),
        "expires_at": prepared.expires_at.map(UnixMillis::rfc3339),
    });
    Some(Zeroizing::new(document.to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn the_document_has_the_token_and_its_end() {
        let prepared = Prepared {
            fields: vec![(AUTHORIZATION, HeaderValue::from_static("Bearer abc"))],
            query: Vec::new(),
            expires_at: Some(UnixMillis(1_795_233_187_000)),
            generation: 1,
            acquired_at: UnixMillis(0),
        };
        let document = revealed(&"github".parse().unwrap(), &prepared).unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&document).unwrap(),
            json!({
                "schema": "ccproxy.auth-token/1",
                "connection": "github",
                "token": "abc",
                "expires_at": "2026-11-21T03:53:07Z",
            })
        );
        let nothing = Prepared { fields: Vec::new(), ..prepared };
        assert!(revealed(&"github".parse().unwrap(), &nothing).is_none());
    }
}
