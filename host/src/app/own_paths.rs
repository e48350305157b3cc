//! Paths of ours that others answer, plugins and logins: the carrier's view of a request, theirs, and back.

use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::BodyExt as _;

use crate::fault::Fault;
use crate::login::{Callbacks, Visit};
use crate::plugin::{Answer, Manifest, Message, Registry};
use crate::proxy::{BufferedReply, BufferedRequest, OwnPaths};

/// What plugins answer themselves, and the browsers of logins.
pub(super) struct OurPaths {
    pub(super) plugins: Arc<Registry>,
    pub(super) callbacks: Arc<Callbacks>,
}

impl OwnPaths for OurPaths {
    fn answer(
        &self,
        request: BufferedRequest,
    ) -> Pin<Box<dyn Future<Output = Result<Option<BufferedReply>, Fault>> + Send + '_>> {
        Box::pin(async move {
            if request.plugin.is_none() {
                return Ok(Some(self.returned(&request).await));
            }
            let Some((id, message)) = message(request) else { return Ok(None) };
            Ok(self.plugins.answer(&id, message).await?.map(reply))
        })
    }
}

impl OurPaths {
    /// A browser came back from a login, or somebody else came there.
    async fn returned(&self, request: &BufferedRequest) -> BufferedReply {
        let query = request.query.as_deref().unwrap_or_default();
        let prefetch =
            |(name, value): &(String, Vec<u8>)| name == "sec-purpose" && value.starts_with(b"prefetch");
        let visit = Visit {
            method: &request.method,
            query: std::str::from_utf8(query).unwrap_or_default(),
            prefetch: request.fields.iter().any(prefetch),
        };
        let (parts, body) = self.callbacks.answer(visit).await.into_parts();
        let Ok(body) = body.collect().await;
        BufferedReply { status: parts.status.as_u16(), fields: fields(&parts.headers), body: body.to_bytes() }
    }
}

/// The paths that plugins declare for anybody, as requests write them.
pub(super) fn public<'a>(manifests: impl Iterator<Item = &'a Arc<Manifest>>) -> impl Iterator<Item = String> {
    manifests.flat_map(|manifest| {
        let public = manifest.paths.iter().filter(|handled| handled.public);
        public.map(|handled| format!("/_ccproxy/plugins/{}/{}", manifest.id, handled.path))
    })
}

/// The plugin's id, and the request as a plugin sees it; nothing if it is for no plugin.
fn message(request: BufferedRequest) -> Option<(String, Message)> {
    let id = request.plugin?;
    let mut path_and_query = String::from_utf8(request.rest).ok()?.strip_prefix('/')?.to_owned();
    if let Some(query) = request.query {
        path_and_query.push('?');
        path_and_query.push_str(&String::from_utf8(query).ok()?);
    }
    let field = |(name, value): (String, Vec<u8>)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(&value).ok()?))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in request.fields.into_iter().filter_map(field) {
        headers.append(name, value);
    }
    let method = Method::from_bytes(request.method.as_bytes()).ok()?;
    Some((id, Message { method, path_and_query, headers, body: request.body.to_vec() }))
}

fn reply(answer: Answer) -> BufferedReply {
    BufferedReply {
        status: answer.status.as_u16(),
        fields: fields(&answer.headers),
        body: answer.body.into(),
    }
}

fn fields(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let field =
        |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), value.as_bytes().to_vec());
    map.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn request(plugin: Option<&str>, rest: &str) -> BufferedRequest {
        BufferedRequest {
            plugin: plugin.map(str::to_owned),
            rest: rest.into(),
            query: Some(b"x=1".to_vec()),
            method: "POST".into(),
            fields: vec![("x-a".into(), b"1".to_vec()), ("x-a".into(), b"2".to_vec())],
            body: "payload".into(),
        }
    }

    #[test]
    fn a_plugin_sees_its_own_path_the_query_the_fields_and_the_body() {
        let (id, message) = message(request(Some("faulty"), "/hook")).unwrap();
        assert_eq!((id.as_str(), message.path_and_query.as_str()), ("faulty", "hook?x=1"));
        assert_eq!(message.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((message.method, message.body.as_slice()), (Method::POST, b"payload".as_slice()));
    }

    #[test]
    fn what_is_for_no_plugin_is_nobodys() {
        assert!(message(request(None, "")).is_none());
        assert!(message(request(Some("faulty"), "")).is_none());
    }
}
