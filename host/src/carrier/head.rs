//! Heads as the views that decisions read, and plans back into heads: bytes for HTTP/1.1, hyper's types for HTTP/2.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use ccproxy_h1::{Fields, write};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request};
use httpdate::HttpDate;

use super::own::BufferedReply;
use super::request_id::RequestId;
use crate::credential::Prepared;
use crate::message::{
    CLIENT_CREDENTIAL, CONNECTION_SPECIFIC, Field, Known, Lines, NameSet, RequestHead, Version,
};
use crate::refusal::Refusal;
use crate::respond::{REQUEST_ID_FIELD, Relay};
use crate::route::Destination;
use crate::upstream::Outgoing;

/// Views every field of `headers`, in the order in which [`HeaderMap`] yields them: an index in a plan counts that way.
pub(crate) fn fields(headers: &HeaderMap) -> Fields<'_> {
    let view = |(name, value): (_, _)| -> Field<'_> {
        let (name, value): (&HeaderName, &HeaderValue) = (name, value);
        Field::new(name.as_str().as_bytes(), value.as_bytes())
    };
    // Where it stays: collected, it would be moved, and it is large.
    let mut all = Fields::new();
    all.extend(headers.iter().map(view));
    all
}

/// The request target as a head shows it that hyper has read: a `:path`, or on the admin API's port a target. Of an absolute-form target the text is
/// put together again.
pub(crate) fn target(parts: &request::Parts) -> Cow<'_, [u8]> {
    let uri = &parts.uri;
    let is_form_of_http1 = parts.version < http::Version::HTTP_2 && uri.authority().is_some();
    match uri.path_and_query() {
        Some(path) if !is_form_of_http1 => Cow::Borrowed(path.as_str().as_bytes()),
        _ => Cow::Owned(uri.to_string().into_bytes()),
    }
}

/// The view of a head that hyper has read.
pub(crate) fn view<'a>(
    parts: &'a request::Parts,
    target: &'a [u8],
    fields: &'a Fields<'_>,
) -> RequestHead<'a> {
    let version = match parts.version {
        http::Version::HTTP_10 => Version::Http10,
        http::Version::HTTP_2 => Version::Http2,
        _ => Version::Http11,
    };
    let pseudo = (version == Version::Http2).then(|| parts.uri.authority()).flatten();
    RequestHead {
        method: parts.method.as_str().as_bytes(),
        target,
        version,
        authority: pseudo.map(|authority| authority.as_str().as_bytes()),
        fields: Lines::of(fields),
    }
}

/// What an upstream request is made of: the surviving client fields, ours, the credential's last.
pub(super) struct UpstreamRequest<'a> {
    pub(super) head: &'a RequestHead<'a>,
    pub(super) outgoing: Outgoing<'a>,
    pub(super) to: &'a Destination,
    pub(super) credential: &'a Prepared,
    pub(super) websocket: bool,
    pub(super) te_trailers: bool,
    /// Whether the response must come without a content coding.
    pub(super) uncompressed: bool,
}

impl UpstreamRequest<'_> {
    /// For HTTP/1.1, but for what frames the body and the end.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write::request_line(out, self.head.method, |out| self.outgoing.target.write(out));
        write::field(out, b"host", self.to.host.as_bytes());
        let passing = self.outgoing.fields;
        self.head.fields.write(|index| passing.contains(index), out);
        if self.websocket {
            write::field(out, b"connection", b"Upgrade");
            write::field(out, b"upgrade", b"websocket");
        }
        if self.uncompressed {
            write::field(out, b"accept-encoding", b"identity");
        }
        for (name, value) in &self.credential.fields {
            write::field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }

    /// For HTTP/2.
    pub(super) fn build<B>(self, body: B) -> Result<http::Request<B>, Refusal> {
        let malformed = Refusal::Malformed("the request is none in HTTP/2");
        let path = PathAndQuery::try_from(self.outgoing.target.to_vec());
        let path = path.map_err(|_| Refusal::Malformed("the request target is not a path"))?;
        let mut headers = HeaderMap::with_capacity(self.head.fields.len() + self.credential.fields.len() + 2);
        for (_, field) in self.outgoing.fields.of(self.head.fields.all()) {
            match (HeaderName::from_bytes(field.name), HeaderValue::from_bytes(field.value)) {
                (Ok(name), Ok(value)) => drop(headers.append(name, value)),
                _ => return Err(malformed),
            }
        }
        // The one TE that HTTP/2 knows (RFC 9113 section 8.2.2); gRPC servers insist on it.
        if self.te_trailers {
            headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
        }
        if self.uncompressed {
            headers.insert(http::header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        for (name, value) in &self.credential.fields {
            headers.insert(name.clone(), value.clone());
        }
        let mut request = http::Request::new(body);
        *request.method_mut() = Method::from_bytes(self.head.method).map_err(|_| malformed)?;
        *request.uri_mut() = absolute(self.to, path)?;
        *request.headers_mut() = headers;
        *request.version_mut() = http::Version::HTTP_2;
        Ok(request)
    }
}

/// HTTP/2 carries scheme and authority in the request; both come from configuration.
fn absolute(to: &Destination, path: PathAndQuery) -> Result<Uri, Refusal> {
    let scheme = match to.base.origin().scheme() {
        crate::upstream::Scheme::Http => UriScheme::HTTP,
        crate::upstream::Scheme::Https => UriScheme::HTTPS,
    };
    let authority = Authority::try_from(to.host.as_bytes()).map_err(|_| Refusal::Internal)?;
    let mut parts = http::uri::Parts::default();
    (parts.scheme, parts.authority, parts.path_and_query) = (Some(scheme), Some(authority), Some(path));
    Uri::from_parts(parts).map_err(|_| Refusal::Internal)
}

/// How much follows a head that we write for HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// As the fields say that are relayed, or nothing.
    AsSaid,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunks,
    /// Whatever comes until the connection ends.
    UntilClose,
}

/// What a response says of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Nothing: it stays.
    Stays,
    /// It stays, which this client has to be told (HTTP/1.0).
    KeepAlive,
    /// It ends with this response.
    Close,
    /// It becomes a WebSocket.
    Upgrade,
}

/// Writes the head of a relayed response.
pub(super) fn write_relayed(
    out: &mut Vec<u8>,
    (status, reason): (u16, &[u8]),
    fields: Lines<'_>,
    plan: &Relay,
    ending: (RequestId, Follows, Persistence),
) {
    write::status_line(out, status, reason);
    // Whoever passes on a response without a date gives it that of its arrival (RFC 9110 section 6.6.1).
    if !fields.has(Known::Date) {
        date(out);
    }
    relayed_fields(out, fields, plan);
    end(out, ending);
}

/// Writes a relayed interim response, which nothing follows.
pub(super) fn write_interim(
    out: &mut Vec<u8>,
    (status, reason): (u16, &[u8]),
    fields: Lines<'_>,
    plan: &Relay,
) {
    write::status_line(out, status, reason);
    relayed_fields(out, fields, plan);
    write::end(out);
}

fn relayed_fields(out: &mut Vec<u8>, fields: Lines<'_>, plan: &Relay) {
    fields.write(|index| plan.fields.contains(index), out);
    for (name, value) in &plan.added {
        // What we write is made of values that were field values before.
        write::checked_field(out, name.as_bytes(), value);
    }
}

/// Writes a reply of ours: head and body.
pub(super) fn write_own(
    out: &mut Vec<u8>,
    reply: &BufferedReply,
    is_head: bool,
    id: RequestId,
    persistence: Persistence,
) {
    let reason = StatusCode::from_u16(reply.status).ok().and_then(|status| status.canonical_reason());
    write::status_line(out, reply.status, reason.unwrap_or_default().as_bytes());
    date(out);
    for (name, value) in &reply.fields {
        write::checked_field(out, name.as_bytes(), value);
    }
    let follows = match reply.status {
        204 | 304 => Follows::AsSaid,
        _ => Follows::Length(reply.body.len() as u64),
    };
    end(out, (id, follows, persistence));
    if !is_head && follows != Follows::AsSaid {
        out.extend_from_slice(&reply.body);
    }
}

/// Says that it is now.
fn date(out: &mut Vec<u8>) {
    let now = HttpDate::from(SystemTime::now());
    // Nothing that is written to memory fails.
    let _ = write!(out, "date: {now}\r\n");
}

fn end(out: &mut Vec<u8>, (id, follows, persistence): (RequestId, Follows, Persistence)) {
    write::field(out, REQUEST_ID_FIELD.as_bytes(), &id.digits());
    match follows {
        Follows::AsSaid | Follows::UntilClose => {}
        Follows::Length(length) => write::content_length(out, length),
        Follows::Chunks => write::field(out, b"transfer-encoding", b"chunked"),
    }
    match persistence {
        Persistence::Stays => {}
        Persistence::KeepAlive => write::field(out, b"connection", b"keep-alive"),
        Persistence::Close => write::field(out, b"connection", b"close"),
        Persistence::Upgrade => {
            write::field(out, b"connection", b"Upgrade");
            write::field(out, b"upgrade", b"websocket");
        }
    }
    write::end(out);
}

/// The fields of a relayed response for HTTP/2.
pub(super) fn relayed(fields: Lines<'_>, plan: Relay) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(fields.len() + plan.added.len() + 1);
    // The values share one buffer: each by itself would be an allocation.
    let size = plan.fields.of(fields.all()).map(|(_, field)| field.value.len()).sum();
    let mut values = BytesMut::with_capacity(size);
    plan.fields.of(fields.all()).for_each(|(_, field)| values.extend_from_slice(field.value));
    let mut values = values.freeze();
    for (_, field) in plan.fields.of(fields.all()) {
        let value = values.split_to(field.value.len());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(field.name), HeaderValue::from_maybe_shared(value))
        {
            headers.append(name, value);
        }
    }
    for (name, value) in plan.added {
        // What we write is made of values that were field values before, or of our own words.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// A reply of ours for HTTP/2.
pub(super) fn own<B>(reply: BufferedReply, body: impl FnOnce(Bytes) -> B) -> http::Response<B> {
    let mut response = http::Response::new(body(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.fields {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// What no trailer section may have, among others.
const NEVER_BEHIND: NameSet = CONNECTION_SPECIFIC.or(CLIENT_CREDENTIAL);

/// A trailer section must not say what the head was not allowed to say, in either direction.
pub(super) fn clean_trailers(trailers: HeaderMap) -> HeaderMap {
    let gone = |name: &HeaderName| {
        let name = name.as_str().as_bytes();
        NEVER_BEHIND.contains(Known::of(name)) || name.starts_with(b"set-cookie")
    };
    let pairs = trailers.iter().filter(|(name, _)| !gone(name));
    pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
}
