//! Classes of names against comparisons one by one, as they are written down in RFCs and in the manual.

use super::*;
use crate::message::{Field, same_name};
use pretty_assertions::assert_eq;

/// Names in a simpler form: those of a group, and what others begin with.
struct Group(NameSet, &'static [&'static str], &'static [&'static str]);

const GROUPS: [Group; 6] = [
    Group(
        CONNECTION_SPECIFIC,
        &[
            "connection",
            "content-length",
            "expect",
            "host",
            "http2-settings",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ],
        &["proxy-"],
    ),
    Group(
        CLIENT_CREDENTIAL,
        &["authorization", "x-api-key", "api-key", "x-goog-api-key", "private-token", "proxy-authorization"],
        &[],
    ),
    Group(FORWARDING, &["forwarded", "x-real-ip"], &["x-forwarded-", "x-original-", "x-rewrite-"]),
    Group(FETCH_METADATA, &[], &["sec-fetch-"]),
    Group(ACCESS_CONTROL, &[], &["access-control-"]),
    Group(NameSet::of(&[Origin, Referer]), &["origin", "referer"], &[]),
];

/// What `_` and case are to servers that take a field for another.
fn folded(name: &[u8]) -> Vec<u8> {
    name.iter().map(|byte| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect()
}

/// Everything that is said of a name, compared with what the words say.
fn check(name: &[u8]) {
    let shown = name.escape_ascii();
    let (folded, known, field) = (folded(name), Known::of(name), Field::new(name, b""));
    assert_eq!(field.means(), known);
    let named = Known::ALL.iter().filter(|one| !one.is_family());
    match named.clone().find(|one| one.name().as_bytes() == folded) {
        Some(meant) => assert_eq!(known, *meant, "{shown}"),
        None => {
            let family = Known::ALL.iter().filter(|one| one.is_family());
            let found = family.clone().find(|one| folded.starts_with(one.name().as_bytes()));
            assert_eq!(known, found.copied().unwrap_or(Other), "{shown}");
        }
    }
    for one in named {
        let is = name.eq_ignore_ascii_case(one.name().as_bytes());
        assert_eq!(field.is(*one), is, "{shown} is {}", one.name());
        assert_eq!(field.is_of(NameSet::of(&[*one])), is, "{shown} is of {}", one.name());
        assert_eq!(same_name(name, one.name().as_bytes()), folded == one.name().as_bytes(), "{shown}");
    }
    for Group(set, names, starts) in &GROUPS {
        let meant = names.iter().any(|one| one.as_bytes() == folded)
            || starts.iter().any(|start| folded.starts_with(start.as_bytes()));
        assert_eq!(set.contains(known), meant, "{shown} in {names:?} {starts:?}");
    }
}

/// Numbers that look random and are the same every time (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn a_name_is_in_the_groups_that_name_it_in_any_case_and_with_underscores() {
    for known in Known::ALL {
        let name = known.name();
        for form in [name.to_owned(), name.to_uppercase(), name.replace('-', "_"), name.replacen('-', "_", 1)]
        {
            check(form.as_bytes());
            check(format!("{form}x").as_bytes());
            check(format!("x{form}").as_bytes());
            check(format!("{form}-").as_bytes());
            (0..form.len()).for_each(|end| check(&form.as_bytes()[..end]));
            (1..form.len()).for_each(|start| check(&form.as_bytes()[start..]));
        }
    }
}

#[test]
fn mutants_of_names_are_what_their_bytes_say() {
    let mut random = Random(0x5eed);
    for _ in 0..200_000 {
        let mut name = Known::ALL[random.below(Known::ALL.len())].name().as_bytes().to_vec();
        for _ in 0..random.below(4) {
            let at = random.below(name.len().max(1));
            match random.below(6) {
                0 if !name.is_empty() => drop(name.remove(at)),
                1 => name.insert(at, b"-_aAxyz2\0\r\x7f\xff"[random.below(12)]),
                2 if !name.is_empty() => name[at] = random.below(256) as u8,
                3 if !name.is_empty() => name[at] ^= 0x20,
                4 => {
                    let other = Known::ALL[random.below(Known::ALL.len())].name().as_bytes();
                    name.truncate(at);
                    name.extend_from_slice(&other[random.below(other.len())..]);
                }
                _ => name.iter_mut().filter(|byte| **byte == b'-').for_each(|byte| *byte = b'_'),
            }
        }
        check(&name);
    }
}

#[test]
fn names_that_only_look_alike_are_different() {
    for other in ["x-api-keys", "xapikey", "x.api.key", "x-api\rkey", "content\u{d}length", ""] {
        assert_eq!(Known::of(other.as_bytes()), Other, "{other:?}");
    }
}
