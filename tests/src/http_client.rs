//! A plain HTTP client for tests: cleartext, no redirects followed, every answer whole.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; panics with the body where it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("answer {} is not JSON ({e}): {}", self.status, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A field's value; panics where the field is absent or not text.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers));
        value.to_str().unwrap_or_else(|_| panic!("{name} is not text: {value:?}"))
    }
}

/// A request under construction.
pub struct Call {
    request: http::request::Builder,
    body: Bytes,
    version: Version,
}

impl Call {
    pub fn new(method: Method, url: &str) -> Self {
        Self {
            request: Request::builder().method(method).uri(url),
            body: Bytes::new(),
            version: Version::HTTP_11,
        }
    }

    pub fn get(url: &str) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST of a form, as every OAuth endpoint takes it.
    pub fn form(url: &str, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self::new(Method::POST, url)
            .header(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")
            .body(body)
    }

    pub fn json(url: &str, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("test data serializes");
        Self::new(Method::POST, url).header(CONTENT_TYPE.as_str(), "application/json").body(body)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub fn accept_json(self) -> Self {
        self.header(ACCEPT.as_str(), "application/json")
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Speaks HTTP/2 with prior knowledge.
    pub fn http2(mut self) -> Self {
        self.version = Version::HTTP_2;
        self
    }

    /// Sends the request; an error is a connection that was refused, cut or broken.
    pub async fn try_send(self) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let request = self.request.version(self.version).body(Full::new(self.body))?;
        let response = client(self.version).request(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status, version: parts.version, headers: parts.headers, body })
    }

    /// Sends the request and panics where no whole answer came.
    pub async fn send(self) -> Answer {
        self.try_send().await.unwrap_or_else(|e| panic!("no answer: {e} ({:?})", e.source()))
    }
}

type Client =
    hyper_util::client::legacy::Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>;

/// Connections are not kept: they belong to the runtime of the test that made them, and each test has its own.
fn client(version: Version) -> Client {
    static PROTOCOLS: OnceLock<[Client; 2]> = OnceLock::new();
    let [http1, http2] = PROTOCOLS.get_or_init(|| {
        [false, true].map(|http2_only| {
            hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .http2_only(http2_only)
                .build_http()
        })
    });
    if version == Version::HTTP_2 { http2.clone() } else { http1.clone() }
}
