//! Is this request for us? The defence against DNS rebinding (RFC 9110 sections 7.2 and 7.4).

use std::net::SocketAddr;
use std::str::FromStr;

use crate::message::{Known, Local, RequestHead, Via};
use crate::refusal::Refusal;

/// A host of `server.allowed_hosts`: `name` (with our port or none) or `name:port` (exactly).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    host: String,
    port: Option<String>,
}

/// A text that is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host name: write `name` or `name:port`")]
pub struct InvalidHost(pub String);

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let invalid = || InvalidHost(text.to_owned());
        let (host, port) = split_port(text.as_bytes()).ok_or_else(invalid)?;
        let host = std::str::from_utf8(host).map_err(|_| invalid())?.to_ascii_lowercase();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(invalid());
        }
        Ok(Self { host, port: port.map(|port| String::from_utf8_lossy(port).into_owned()) })
    }
}

/// Which of our names a request used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee<'a> {
    /// A name of the host as a whole: routes are path segments.
    Host,
    /// `<label>.localhost`: the route of that name is mounted at `/`. As sent: any case.
    Route(&'a str),
    /// Any other name, on a Unix socket that one route has to itself: the client believes that it talks to the
    /// upstream, and calls us by its name.
    Upstream,
}

/// The one authority of a request: exactly one `Host`, and no second opinion in `:authority` or in
/// an absolute-form target.
pub(super) fn of<'a>(head: &RequestHead<'a>, in_target: Option<&'a [u8]>) -> Result<&'a [u8], Refusal> {
    let mut hosts = head.fields.values(Known::Host);
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(Refusal::Malformed("more than one Host")),
        (host, None) => host,
    };
    // RFC 9113 section 8.3.1: HTTP/2 may say it in `:authority` alone.
    let named = match (host, head.authority) {
        (None, None) => return Err(Refusal::Malformed("no Host")),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(host), Some(authority)) => agreed(host, authority)?,
    };
    match in_target {
        None => Ok(named),
        Some(authority) => agreed(named, authority),
    }
}

fn agreed<'a>(one: &'a [u8], other: &'a [u8]) -> Result<&'a [u8], Refusal> {
    if one.eq_ignore_ascii_case(other) { Ok(one) } else { Err(Refusal::HostNotAllowed) }
}

/// Whether `authority` is a name of ours on the listener the request came through.
///
/// A client that is pointed at a Unix socket still sends the name that it was going to call, and on a socket
/// that leads to one upstream only, any name means that upstream. Nothing is given up by it: what this check
/// is for, a page in the user's browser whose host name was rebound to us, cannot open a Unix socket.
pub(super) fn own<'a>(
    authority: &'a [u8],
    via: &Via,
    allowed: &[AllowedHost],
) -> Result<Addressee<'a>, Refusal> {
    let (host, port) = split_port(authority).ok_or(Refusal::Malformed("Host is not an authority"))?;
    // Compared as text: `127.1`, `[0::1]` or `localhost.` are spellings only an attacker needs.
    let our_port = match (via.local, port) {
        (Local::Tcp(local), Some(port)) => is_decimal(port, local.port()),
        (Local::Tcp(local), None) => local.port() == 80,
        // A socket has no port that could be wrong.
        (Local::Unix, _) => true,
    };
    let same = |name: &str| host.eq_ignore_ascii_case(name.as_bytes());
    if our_port {
        let is_address = || matches!(via.local, Local::Tcp(local) if same(&address(local)));
        if same("127.0.0.1") || same("localhost") || same("[::1]") || is_address() {
            return Ok(Addressee::Host);
        }
        if let Some(label) = std::str::from_utf8(host).ok().and_then(route_label) {
            return Ok(Addressee::Route(label));
        }
    }
    let is_allowed = |entry: &AllowedHost| {
        same(&entry.host)
            && match &entry.port {
                Some(wanted) => port == Some(wanted.as_bytes()),
                None => port.is_none() || our_port,
            }
    };
    match (via.local, &via.dedicated) {
        _ if allowed.iter().any(is_allowed) => Ok(Addressee::Host),
        (Local::Unix, Some(_)) => Ok(Addressee::Upstream),
        _ => Err(Refusal::HostNotAllowed),
    }
}

/// Whether a text is this number as everybody writes it: no zero in front.
fn is_decimal(text: &[u8], number: u16) -> bool {
    let value = text.iter().try_fold(0_u32, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    });
    value == Some(u32::from(number)) && (text == b"0" || !text.starts_with(b"0")) && !text.is_empty()
}

/// The listener's own address as an authority spells it.
fn address(local: SocketAddr) -> String {
    match local {
        SocketAddr::V4(local) => local.ip().to_string(),
        SocketAddr::V6(local) => format!("[{}]", local.ip()),
    }
}

/// `graph` of `graph.localhost`: one label that could be a route's name.
fn route_label(host: &str) -> Option<&str> {
    let (label, rest) = host.split_once('.')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (rest.eq_ignore_ascii_case("localhost") && !label.is_empty() && label.bytes().all(plain)).then_some(label)
}

/// Host and port of an authority; `None` if it has user information or is no authority at all.
fn split_port(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let bracketed = authority.starts_with(b"[");
    let end = if bracketed {
        authority.iter().position(|byte| *byte == b']')? + 1
    } else {
        authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(end);
    let port = match rest {
        [] => None,
        [b':', port @ ..] if (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit) => {
            Some(port)
        }
        _ => return None,
    };
    let forbidden = |byte: &u8| !byte.is_ascii_graphic() || b"@/?#\\".contains(byte);
    (!host.is_empty() && !host.iter().any(forbidden)).then_some((host, port))
}
