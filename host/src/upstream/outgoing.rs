//! The upstream request, credential attached: what is sent besides the client's surviving fields.
//!
//! Built from parts. The client's bytes end up in the path below the base and in the query, never in
//! front of them: `/p@evil/`, `/p:80`, `//evil` are paths like any other (LiteLLM CVE-2024-6587).

use super::Base;
use crate::credential::Prepared;
use crate::message::{FieldSet, Lines};

/// Target and fields of an upstream request, with the credential in both.
pub struct Outgoing<'a> {
    /// Path and query.
    pub target: Target<'a>,
    /// The client's fields that go along: none has the name of a credential's field.
    pub fields: FieldSet,
}

/// The target of an upstream request, written where it is needed. Not to be logged: the query may hold the credential.
pub struct Target<'a> {
    base: &'a str,
    rest: &'a [u8],
    query: Option<&'a [u8]>,
    credential: &'a [(String, String)],
}

/// Puts `rest` (beginning with `/`) below `base` and attaches the query part of `credential`; its
/// field part is for the carrier to add, `client_fields` without those names.
pub fn outgoing<'a>(
    base: &'a Base,
    rest: &'a [u8],
    query: Option<&'a [u8]>,
    client_fields: (Lines<'_>, FieldSet),
    credential: &'a Prepared,
) -> Outgoing<'a> {
    let (all, mut fields) = client_fields;
    for (name, _) in &credential.fields {
        fields.remove_named(&all, name.as_str().as_bytes());
    }
    Outgoing { target: Target { base: base.path(), rest, query, credential: &credential.query }, fields }
}

impl Target<'_> {
    /// Adds it to what is there.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.base.as_bytes());
        out.extend_from_slice(self.rest);
        if !self.credential.is_empty() {
            self.write_query(out);
        } else if let Some(query) = self.query {
            // Byte for byte, an empty one included.
            out.push(b'?');
            out.extend_from_slice(query);
        }
    }

    /// By itself.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut alone = Vec::new();
        self.write(&mut alone);
        alone
    }

    /// The client's parameters but for those of the credential's names, and the credential's.
    fn write_query(&self, out: &mut Vec<u8>) {
        let is_credential = |pair: &&[u8]| {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            self.credential.iter().any(|(own, _)| same_parameter(name, own))
        };
        let mut separator = b'?';
        let mut push = |parts: [&[u8]; 3]| {
            out.push(separator);
            separator = b'&';
            parts.into_iter().for_each(|part| out.extend_from_slice(part));
        };
        let kept = self.query.into_iter().flat_map(|query| query.split(|byte| *byte == b'&'));
        kept.filter(|pair| !is_credential(pair)).for_each(|pair| push([pair, b"", b""]));
        self.credential.iter().for_each(|(name, value)| push([name.as_bytes(), b"=", value.as_bytes()]));
    }
}

/// Whether a client's parameter name means `own`, percent-encoding and case aside.
fn same_parameter(name: &[u8], own: &str) -> bool {
    let decoded = |text| percent_encoding::percent_decode(text).map(|byte| byte.to_ascii_lowercase());
    decoded(name).eq(decoded(own.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Field;
    use crate::model::UnixMillis;
    use http::{HeaderName, HeaderValue};
    use pretty_assertions::assert_eq;

    fn credential(fields: &[&'static str], query: &[(&str, &str)]) -> Prepared {
        let value = HeaderValue::from_static("secret");
        Prepared {
            fields: fields.iter().map(|name| (HeaderName::from_static(name), value.clone())).collect(),
            query: query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            expires_at: None,
            generation: 1,
            acquired_at: UnixMillis(0),
        }
    }

    fn target(base: &str, rest: &str, query: Option<&str>, credential: &Prepared) -> String {
        let none = (Lines::of(&[]), FieldSet::default());
        let base = base.parse().unwrap();
        let built = outgoing(&base, rest.as_bytes(), query.map(str::as_bytes), none, credential);
        String::from_utf8(built.target.to_vec()).unwrap()
    }

    #[test]
    fn the_path_goes_below_the_base_byte_for_byte() {
        let none = credential(&[], &[]);
        let to = |rest, query| target("https://up.example/v1.0", rest, query, &none);
        assert_eq!(to("/me", None), "/v1.0/me");
        assert_eq!(to("/", None), "/v1.0/");
        assert_eq!(to("//a%2Fb/@evil:80", Some("x=%20&y")), "/v1.0//a%2Fb/@evil:80?x=%20&y");
        assert_eq!(to("/me", Some("")), "/v1.0/me?");
        assert_eq!(target("https://up.example", "/me", None, &none), "/me");
    }

    #[test]
    fn a_key_in_the_query_replaces_the_clients() {
        let key = credential(&[], &[("key", "s%20t")]);
        let to = |query| target("https://up.example", "/x", query, &key);
        assert_eq!(to(None), "/x?key=s%20t");
        assert_eq!(to(Some("a=1&key=dummy&b&KEY=2&%6bey=3&key")), "/x?a=1&b&key=s%20t");
    }

    #[test]
    fn a_client_field_never_meets_the_credentials() {
        let sent = [b"X-Token".as_slice(), b"x_token", b"accept", b"X-Tokens"];
        let fields: Vec<_> = sent.iter().map(|name| Field::new(name, b"")).collect();
        let mut all = FieldSet::default();
        (0..fields.len()).for_each(|index| all.insert(index));
        let base = "https://up.example".parse().unwrap();
        let token = credential(&["x-token"], &[]);
        let built = outgoing(&base, b"/", None, (Lines::of(&fields), all), &token);
        let kept: Vec<_> = built.fields.of(&fields).map(|(_, field)| field.name).collect();
        assert_eq!(kept, [b"accept".as_slice(), b"X-Tokens"]);
    }
}
