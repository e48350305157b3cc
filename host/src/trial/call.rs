//! Requests of the trial's own: to the sandbox, as its keeper, and as the person who logs in there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use url::{Position, Url};

use crate::fault::{Code, Fault};
use crate::upstream::Origin;
use crate::upstream::connect::{Connector, ConnectorOptions, Offer, OutboundProxy};

/// The log of the sandbox grows with every request.
const MAX_BODY: usize = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends requests, each on a connection of its own. Cheap to clone.
#[derive(Clone)]
pub(super) struct Caller(Arc<Connector>);

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Caller {
    pub(super) fn new() -> Result<Self, Fault> {
        let options = ConnectorOptions { outbound_proxy: OutboundProxy::None, ..ConnectorOptions::default() };
        let connector = Connector::new(&options);
        connector
            .map(|made| Self(Arc::new(made)))
            .map_err(|error| Fault::new(Code::Internal, error.to_string()))
    }

    pub(super) async fn get(&self, url: &Url, fields: &[(HeaderName, HeaderValue)]) -> Result<Answer, Fault> {
        self.send(Method::GET, url, fields, Bytes::new()).await
    }

    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        fields: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, Fault> {
        let host = url.authority().to_owned();
        let late =
            |_| Fault::new(Code::Timeout, format!("{host} did not answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, self.exchange(method, url, fields, body)).await.map_err(late)?
    }

    async fn exchange(
        &self,
        method: Method,
        url: &Url,
        fields: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, Fault> {
        let broke = |error: &dyn std::error::Error| {
            Fault::new(
                Code::Network,
                format!("{} cannot be asked: {}", url.authority(), crate::fault::chain(error)),
            )
        };
        let origin = Origin::of(url).map_err(|error| broke(&error))?;
        let connection = self.0.connect(&origin, Offer::Http1).await.map_err(|error| broke(&error))?;
        let (mut sender, driver) =
            http1::handshake(TokioIo::new(connection.io)).await.map_err(|error| broke(&error))?;
        // It ends with the answer; what goes wrong reaches the sender as well.
        tokio::spawn(driver);
        let mut request = Request::builder()
            .method(method)
            .uri(&url[Position::BeforePath..Position::AfterQuery])
            .header(header::HOST, origin.authority())
            .body(Full::new(body))
            .map_err(|error| broke(&error))?;
        request.headers_mut().extend(fields.iter().cloned());
        let (head, body) = sender.send_request(request).await.map_err(|error| broke(&error))?.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| broke(&*error))?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
}
