//! hyper's heads as the views that decisions read, and plans back into hyper's heads.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request};
use smallvec::SmallVec;

use crate::credential::Prepared;
use crate::message::{Field, FieldSet, RequestHead, Version, is_client_credential, is_connection_specific};
use crate::refusal::Refusal;
use crate::respond::{Relay, Reply};
use crate::route::Destination;
use crate::upstream::Outgoing;
use crate::upstream::connect::Protocol;

/// The fields of a head, in the order in which [`HeaderMap`] yields them: an index in a plan counts that way.
pub(crate) type Fields<'a> = SmallVec<[Field<'a>; 32]>;

/// Views every field of `headers`.
pub(crate) fn fields(headers: &HeaderMap) -> Fields<'_> {
    let view = |(name, value): (_, _)| -> Field<'_> {
        let (name, value): (&HeaderName, &HeaderValue) = (name, value);
        Field { name: name.as_str().as_bytes(), value: value.as_bytes() }
    };
    headers.iter().map(view).collect()
}

/// The request target as a head shows it. hyper has parsed it; of an absolute-form target the text is
/// put together again.
pub(crate) fn target(parts: &request::Parts) -> Cow<'_, [u8]> {
    let uri = &parts.uri;
    let is_form_of_http1 = parts.version < http::Version::HTTP_2 && uri.authority().is_some();
    match uri.path_and_query() {
        Some(path) if !is_form_of_http1 => Cow::Borrowed(path.as_str().as_bytes()),
        _ => Cow::Owned(uri.to_string().into_bytes()),
    }
}

/// The view of a request head.
pub(crate) fn view<'a>(
    parts: &'a request::Parts,
    target: &'a [u8],
    fields: &'a [Field<'a>],
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
        fields,
    }
}

/// The upstream request's head: the surviving client fields, ours, the credential's last.
pub(super) fn upstream_request<B>(
    method: &Method,
    client: &HeaderMap,
    outgoing: Outgoing,
    to: &Destination,
    credential: &Prepared,
    hop: Hop,
    body: B,
) -> Result<http::Request<B>, Refusal> {
    let malformed = |_| Refusal::Malformed("the request target is not a path");
    let path = PathAndQuery::from_maybe_shared(Bytes::from(outgoing.target)).map_err(malformed)?;
    let mut headers = HeaderMap::with_capacity(client.len() + credential.fields.len() + 3);
    let uri = match hop.protocol {
        Protocol::Http1 => {
            headers.insert(HOST, to.host.clone());
            Uri::from(path)
        }
        Protocol::Http2 => absolute(to, path)?,
    };
    copy(client, outgoing.fields, &mut headers);
    match hop.protocol {
        Protocol::Http1 if hop.websocket => {
            headers.insert(http::header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(http::header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        // The one TE that HTTP/2 knows (RFC 9113 section 8.2.2); gRPC servers insist on it.
        Protocol::Http2 if hop.te_trailers => {
            headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
        }
        Protocol::Http1 | Protocol::Http2 => {}
    }
    if hop.uncompressed {
        headers.insert(http::header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    for (name, value) in &credential.fields {
        headers.insert(name.clone(), value.clone());
    }
    let mut request = http::Request::new(body);
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    *request.version_mut() = match hop.protocol {
        Protocol::Http1 => http::Version::HTTP_11,
        Protocol::Http2 => http::Version::HTTP_2,
    };
    Ok(request)
}

/// What the next hop is spoken to with.
#[derive(Clone, Copy)]
pub(super) struct Hop {
    pub(super) protocol: Protocol,
    pub(super) websocket: bool,
    pub(super) te_trailers: bool,
    /// Whether the response must come without a content coding.
    pub(super) uncompressed: bool,
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

/// The fields of a relayed response.
pub(super) fn relayed(upstream: &HeaderMap, plan: Relay) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(upstream.len() + plan.added.len() + 1);
    copy(upstream, plan.fields, &mut headers);
    add(plan.added, &mut headers);
    headers
}

/// The head of a reply of ours.
pub(super) fn own<B>(reply: Reply, body: impl FnOnce(Bytes) -> B) -> http::Response<B> {
    let mut response = http::Response::new(body(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    add(reply.fields, response.headers_mut());
    response
}

/// A trailer section must not say what the head was not allowed to say, in either direction.
pub(super) fn clean_trailers(trailers: HeaderMap) -> HeaderMap {
    let gone = |name: &HeaderName| {
        let name = name.as_str().as_bytes();
        is_connection_specific(name) || is_client_credential(name) || name.starts_with(b"set-cookie")
    };
    let pairs = trailers.iter().filter(|(name, _)| !gone(name));
    pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn copy(from: &HeaderMap, chosen: FieldSet, to: &mut HeaderMap) {
    for (index, (name, value)) in from.iter().enumerate() {
        if chosen.contains(index) {
            to.append(name.clone(), value.clone());
        }
    }
}

fn add(fields: Vec<(&'static str, Vec<u8>)>, to: &mut HeaderMap) {
    for (name, value) in fields {
        // What we write is made of values that were field values before, or of our own words.
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
            to.append(HeaderName::from_static(name), value);
        }
    }
}
