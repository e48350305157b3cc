//! Requests that end here: probes, the index, and what others answer on our own paths.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::body::ReplyBody;
use super::head;
use super::worker::Worker;
use crate::fault::Fault;
use crate::message::RequestHead;
use crate::proxy::Own;
use crate::refusal::Refusal;
use crate::respond::{self, ERROR_FIELD, REQUEST_ID_FIELD, Reply};
use crate::route::OwnPath;

/// What a path of ours takes and gives: 1 MiB (interface, section 2).
const BODY_LIMIT: usize = 1024 * 1024;

/// Who answers `/_ccproxy/callback` and `/_ccproxy/plugins/...`.
pub trait OwnPaths: Send + Sync {
    /// Answers a request, or `None` if there is nothing at this path. A fault is answered by its code.
    fn answer(
        &self,
        request: BufferedRequest,
    ) -> Pin<Box<dyn Future<Output = Result<Option<BufferedReply>, Fault>> + Send + '_>>;
}

/// A request on a path of ours, read whole.
pub struct BufferedRequest {
    /// The plugin it is for; `None` for the login callback.
    pub plugin: Option<String>,
    /// What follows the plugin's id, beginning with `/`, or nothing.
    pub rest: Vec<u8>,
    /// The query without its `?`.
    pub query: Option<Vec<u8>>,
    /// The method.
    pub method: String,
    /// The fields, those that may go further than this hop.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// The answer to it.
pub struct BufferedReply {
    /// The status code.
    pub status: u16,
    /// The fields.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// Answers a request that never goes upstream.
pub(super) async fn answer(
    worker: &Rc<Worker>,
    head: &RequestHead<'_>,
    own: Own<'_>,
    body: Incoming,
) -> Result<Response<ReplyBody>, Refusal> {
    let reply = match own {
        Own::Preflight(preflight) => respond::preflight(&preflight),
        Own::MissingSlash(location) => respond::missing_slash(location),
        Own::Path(admitted, path) => {
            let (plugin, rest) = match path {
                OwnPath::Index => {
                    let rules = worker.shared.rules.load();
                    let routes = rules.routes.routes().filter(|route| admitted.may_use(&route.name));
                    let routes: Vec<_> = routes.collect();
                    return Ok(ours(respond::index(head, admitted.authority, &routes)));
                }
                OwnPath::Live => return Ok(ours(respond::live())),
                OwnPath::Ready => return Ok(ours(respond::ready(!worker.is_draining()))),
                OwnPath::Callback => (None, b"".as_slice()),
                OwnPath::Plugin { id, rest } => (Some(id.to_owned()), rest),
            };
            let kept = admitted
                .fields
                .of(head.fields)
                .map(|(_, field)| (String::from_utf8_lossy(field.name).into_owned(), field.value.to_vec()));
            let request = BufferedRequest {
                plugin,
                rest: rest.to_vec(),
                query: admitted.query.map(<[u8]>::to_vec),
                method: String::from_utf8_lossy(head.method).into_owned(),
                fields: kept.collect(),
                body: collect(body).await?,
            };
            return delegate(worker, request).await;
        }
    };
    Ok(ours(reply))
}

async fn delegate(worker: &Worker, request: BufferedRequest) -> Result<Response<ReplyBody>, Refusal> {
    let nothing_here = || Refusal::NoSuchRoute { hint: "nothing answers at this path".into() };
    let own = worker.shared.own.as_ref().ok_or_else(nothing_here)?;
    let reply = own.answer(request).await.map_err(Refusal::Credential)?.ok_or_else(nothing_here)?;
    let mut response = Response::builder().status(reply.status);
    // Those two are ours to say.
    let ours = |name: &str| name == ERROR_FIELD || name == REQUEST_ID_FIELD;
    for (name, value) in reply.fields.into_iter().filter(|(name, _)| !ours(name)) {
        response = response.header(name, value);
    }
    response.body(ReplyBody::Own(reply.body)).map_err(|_| Refusal::Internal)
}

fn ours(reply: Reply) -> Response<ReplyBody> {
    head::own(reply, ReplyBody::Own)
}

async fn collect(body: Incoming) -> Result<Bytes, Refusal> {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Err(_) => Err(Refusal::Malformed("the body broke off")),
    }
}
