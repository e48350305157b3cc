//! Requests that end here: probes, the index, and what others answer on our own paths.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;

use super::serve::CLIENT_IDLE;
use super::source::Source;
use super::worker::Worker;
use crate::fault::Fault;
use crate::message::{CONNECTION_SPECIFIC, Known, RequestHead};
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

/// The answer to it, and any other that is given here.
pub struct BufferedReply {
    /// The status code.
    pub status: u16,
    /// The fields.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

impl From<Reply> for BufferedReply {
    fn from(reply: Reply) -> Self {
        let fields = reply.fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Self { status: reply.status, fields: fields.collect(), body: reply.body }
    }
}

/// Answers a request that never goes upstream.
pub(super) async fn answer(
    worker: &Rc<Worker>,
    head: &RequestHead<'_>,
    own: &Own<'_>,
    body: &Source,
) -> Result<BufferedReply, Refusal> {
    let reply = match own {
        Own::Preflight(preflight) => respond::preflight(preflight),
        Own::MissingSlash(location) => respond::missing_slash(location.clone()),
        Own::Path(admitted, path) => {
            let (plugin, rest) = match path {
                OwnPath::Index => {
                    let rules = worker.shared.rules.load();
                    let routes = rules.routes.routes().filter(|route| admitted.may_use(&route.name));
                    let routes: Vec<_> = routes.collect();
                    return Ok(respond::index(head, admitted.authority, &routes).into());
                }
                OwnPath::Live => return Ok(respond::live().into()),
                OwnPath::Ready => return Ok(respond::ready(!worker.is_draining()).into()),
                OwnPath::Callback => (None, b"".as_slice()),
                OwnPath::Plugin { id, rest } => (Some((*id).to_owned()), *rest),
            };
            let kept = admitted
                .fields
                .of(head.fields.all())
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
    Ok(reply.into())
}

async fn delegate(worker: &Worker, request: BufferedRequest) -> Result<BufferedReply, Refusal> {
    let nothing_here = || Refusal::NoSuchRoute { hint: "nothing answers at this path".into() };
    let own = worker.shared.own.as_ref().ok_or_else(nothing_here)?;
    let reply = own.answer(request).await.map_err(Refusal::Credential)?.ok_or_else(nothing_here)?;
    // Those two are ours to say, and how the body is framed is its carrier's.
    let ours =
        |name: &str| name.eq_ignore_ascii_case(ERROR_FIELD) || name.eq_ignore_ascii_case(REQUEST_ID_FIELD);
    let passes = |(name, _): &(String, Vec<u8>)| {
        !ours(name) && !CONNECTION_SPECIFIC.contains(Known::of(name.as_bytes()))
    };
    let BufferedReply { status, fields, body } = reply;
    Ok(BufferedReply { status, fields: fields.into_iter().filter(passes).collect(), body })
}

async fn collect(body: &Source) -> Result<Bytes, Refusal> {
    let mut attempt = body.attempt();
    let mut whole = Vec::new();
    loop {
        match tokio::time::timeout(CLIENT_IDLE, poll_fn(|cx| attempt.poll_piece(cx))).await {
            Ok(None) => return Ok(whole.into()),
            Ok(Some(Err(_))) => return Err(Refusal::Malformed("the body broke off")),
            Ok(Some(Ok(()))) => {}
            Err(_) => return Err(Refusal::RequestTimeout),
        }
        let count = attempt.with_piece(|piece| {
            whole.extend_from_slice(piece);
            piece.len()
        });
        attempt.consume(count);
        if whole.len() > BODY_LIMIT {
            return Err(Refusal::BodyTooLarge);
        }
    }
}
