//! Links in JSON bodies, rewritten as the body goes by.
//!
//! OData puts the URL of the next page into the body (`@odata.nextLink`): a client that follows it would
//! leave the proxy. A route names such members in `rewrite_json`; the value of each, at any depth, is
//! rewritten like a `Location` if it is a string. Everything else passes byte for byte and at once: only
//! the value of a named member is held back, and no more of it than [`LONGEST_LINK`].

use std::sync::Arc;

use super::relay::Client;
use super::rewrite::Links;
use crate::message::{Known, NameSet, ResponseHead, token_list};
use crate::route::{Mount, Policy};
use crate::upstream::Base;

/// A longer value is no link that a client could follow: request targets end at 8 KiB in most servers.
const LONGEST_LINK: usize = 16 * 1024;

/// Statements about the bytes of a body, untrue once one of them has changed.
pub(super) const ABOUT_THE_BYTES: NameSet = NameSet::of(&[
    Known::ContentLength,
    Known::ContentMd5,
    Known::Digest,
    Known::ContentDigest,
    Known::ReprDigest,
    Known::AcceptRanges,
]);

/// Whether the body of this response is rewritten: whole JSON that is not compressed.
pub(super) fn applies(head: &ResponseHead<'_>, policy: &Policy) -> bool {
    let plain = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
    !policy.rewrite_json.is_empty()
        // A part of a document (206) begins anywhere.
        && head.status != 206
        && head.fields.values(Known::ContentType).any(is_json)
        && head.fields.values(Known::ContentEncoding).flat_map(token_list).all(plain)
}

/// `application/json`, or a type with the suffix `+json` (RFC 6839 section 3.1).
fn is_json(content_type: &[u8]) -> bool {
    let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let ends = |suffix: &[u8]| {
        media.len() >= suffix.len() && media[media.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
    };
    ends(b"/json") || ends(b"+json")
}

/// Rewrites one body. Not a validator: what is no JSON passes as it is.
#[derive(Debug)]
pub struct JsonLinks {
    names: Arc<[String]>,
    authority: Vec<u8>,
    path: String,
    mount: Mount,
    base: Base,
    at: Place,
    /// The string under way: its text so far, both quotes included.
    token: Vec<u8>,
    escaped: bool,
}

/// Where in the text a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between strings.
    Between,
    /// In a string that has passed already; it may turn out to be a named member's name.
    InString,
    /// Behind a string that is a wanted name, if a colon follows.
    AfterName,
    /// Behind the colon of a wanted name.
    BeforeValue,
    /// In the value of a wanted name: held back.
    InValue,
}

impl JsonLinks {
    /// For one response to this client.
    pub fn new(client: &Client<'_>, base: &Base, policy: &Policy) -> Self {
        Self {
            names: Arc::clone(&policy.rewrite_json),
            authority: client.authority.to_vec(),
            path: client.path.to_owned(),
            mount: client.mount,
            base: base.clone(),
            at: Place::Between,
            token: Vec::new(),
            escaped: false,
        }
    }

    /// The next piece of the body as the client gets it; may be empty.
    pub fn piece(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len() + 64);
        for &byte in piece {
            self.byte(byte, &mut out);
        }
        out
    }

    /// What was held back when the body ended: it ended within a value.
    pub fn rest(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.at, Place::Between) {
            Place::InValue => std::mem::take(&mut self.token),
            _ => Vec::new(),
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.at {
            Place::InString => {
                out.push(byte);
                if self.token.len() <= self.longest_name() {
                    self.token.push(byte);
                }
                if self.ends(byte) {
                    self.at = if self.is_wanted_name() { Place::AfterName } else { Place::Between };
                }
            }
            Place::InValue => {
                self.token.push(byte);
                if self.ends(byte) {
                    self.value(out);
                    self.at = Place::Between;
                } else if self.token.len() > LONGEST_LINK {
                    // The rest of it passes like any string, and is no name for being too long.
                    out.append(&mut self.token);
                    self.token.resize(self.longest_name() + 1, 0);
                    self.at = Place::InString;
                }
            }
            Place::Between | Place::AfterName | Place::BeforeValue => self.structure(byte, out),
        }
    }

    fn structure(&mut self, byte: u8, out: &mut Vec<u8>) {
        let begins = byte == b'"';
        if begins {
            self.token.clear();
            self.token.push(byte);
            self.escaped = false;
        }
        self.at = match (self.at, byte) {
            (Place::BeforeValue, b'"') => Place::InValue,
            (_, b'"') => Place::InString,
            (Place::AfterName, b':') => Place::BeforeValue,
            (at, b' ' | b'\t' | b'\r' | b'\n') => at,
            _ => Place::Between,
        };
        if self.at != Place::InValue {
            out.push(byte);
        }
    }

    /// Whether this byte is the closing quote of the string under way.
    fn ends(&mut self, byte: u8) -> bool {
        let escaped = self.escaped;
        self.escaped = byte == b'\\' && !escaped;
        byte == b'"' && !escaped
    }

    /// Of the longest wanted name, every character of it escaped (`\u0040`), with its quotes.
    fn longest_name(&self) -> usize {
        self.names.iter().map(String::len).max().unwrap_or_default() * 6 + 2
    }

    fn is_wanted_name(&self) -> bool {
        if self.token.len() > self.longest_name() {
            return false;
        }
        let name = serde_json::from_slice::<std::borrow::Cow<'_, str>>(&self.token);
        name.is_ok_and(|name| self.names.iter().any(|wanted| *wanted == *name))
    }

    fn value(&mut self, out: &mut Vec<u8>) {
        let client = Client {
            authority: &self.authority,
            path: &self.path,
            mount: self.mount,
            cors: None,
            websocket: false,
        };
        let links = Links { client: &client, base: &self.base };
        let link = serde_json::from_slice::<String>(&self.token).ok();
        let rewritten = link.and_then(|link| links.reference(link.as_bytes()));
        match rewritten.and_then(|link| String::from_utf8(link).ok()) {
            Some(link) => out.extend_from_slice(serde_json::Value::from(link).to_string().as_bytes()),
            None => out.append(&mut self.token),
        }
        self.token.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Field, Lines};
    use pretty_assertions::assert_eq;

    fn links() -> JsonLinks {
        let client = Client {
            authority: b"localhost:8462",
            path: "graph",
            mount: Mount::Path,
            cors: None,
            websocket: false,
        };
        let names = ["@odata.nextLink".to_owned(), "next".to_owned()];
        let policy = Policy { rewrite_json: Arc::from(names), ..Policy::default() };
        JsonLinks::new(&client, &"https://graph.example/v1.0".parse().unwrap(), &policy)
    }

    fn whole(body: &str) -> String {
        let mut links = links();
        let mut out = links.piece(body.as_bytes());
        out.extend(links.rest());
        String::from_utf8(out).unwrap()
    }

    const PAGE: &str = r#"{ "value" : [{"id":1, "n":"a\"b\\"}], "@odata.nextLink" : "https://graph.example/v1.0/me/messages?%24skip=1" }"#;
    const REWRITTEN: &str = r#"{ "value" : [{"id":1, "n":"a\"b\\"}], "@odata.nextLink" : "http://localhost:8462/graph/me/messages?%24skip=1" }"#;

    #[test]
    fn the_next_page_is_asked_of_us() {
        assert_eq!(whole(PAGE), REWRITTEN);
    }

    #[test]
    fn it_does_not_matter_where_the_body_is_cut() {
        for at in 0..PAGE.len() {
            let mut links = links();
            let mut out = links.piece(&PAGE.as_bytes()[..at]);
            out.extend(links.piece(&PAGE.as_bytes()[at..]));
            out.extend(links.rest());
            assert_eq!(String::from_utf8(out).unwrap(), REWRITTEN, "cut at {at}");
        }
    }

    #[test]
    fn names_and_links_may_be_escaped_and_lie_deep() {
        let deep =
            r#"[{"a":{"\u0040odata.nextLink":"https:\/\/graph.example\/v1.0\/x"}},{"next":"/v1.0/y"}]"#;
        assert_eq!(
            whole(deep),
            r#"[{"a":{"\u0040odata.nextLink":"http://localhost:8462/graph/x"}},{"next":"http://localhost:8462/graph/y"}]"#
        );
    }

    #[test]
    fn everything_else_passes_byte_for_byte() {
        let long = format!(r#"{{"next":"{}","x":"next","next":null}}"#, "x".repeat(2 * LONGEST_LINK));
        for body in [
            r#"{"nextLink":"https://graph.example/v1.0/x","x":["next","https://graph.example/v1.0/x"]}"#,
            r#"{"next":"https://elsewhere.example/v1.0/x"}"#,
            r#"{"next":{"href":"https://graph.example/v1.0/x"}}"#,
            r#"{"x":"next", "y":"https://graph.example/v1.0/x"}"#,
            r#"{"next":"https://graph.example/v1.0/brok"#,
            r#"{"next":"bad \escape"}"#,
            "no JSON at all: \"next\"",
            "",
            &long,
        ] {
            assert_eq!(whole(body), body);
        }
    }

    #[test]
    fn only_whole_plain_json_is_read() {
        let policy = Policy { rewrite_json: Arc::from(["next".to_owned()]), ..Policy::default() };
        let applies_to = |status: u16, fields: &[(&str, &str)], policy: &Policy| {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes())).collect();
            applies(&ResponseHead { status, fields: Lines::of(&fields) }, policy)
        };
        for media in ["application/json", "Application/JSON; odata.metadata=minimal", "application/hal+json"]
        {
            assert!(applies_to(200, &[("Content-Type", media)], &policy), "{media}");
        }
        let json = ("content-type", "application/json");
        assert!(!applies_to(200, &[json], &Policy::default()));
        assert!(!applies_to(206, &[json], &policy));
        assert!(!applies_to(200, &[json, ("content-encoding", "gzip")], &policy));
        assert!(!applies_to(200, &[("content-type", "text/event-stream")], &policy));
        assert!(!applies_to(200, &[("content-type", "application/jsonlines")], &policy));
    }
}
