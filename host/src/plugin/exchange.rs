//! One request of a plugin and its whole answer. A connection per call: token calls are rare, and a
//! kept one would mean a login's traffic on a socket that another login opened.

use std::time::Duration;

use abi_stable::std_types::RVec;
use bytes::Bytes;
use ccproxy_plugin_abi as abi;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use url::Url;

use super::credential::is_framing;
use crate::credential::Prepared;
use crate::fault::{Code, Fault};
use crate::upstream::Origin;
use crate::upstream::connect::{Connector, Offer};

/// Bodies of token calls are some KiB; discovery documents and key sets some 10.
const MAX_BODY: usize = 1 << 20;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
const USER_AGENT: &str = concat!("ccproxy/", env!("CARGO_PKG_VERSION"));

/// A request, parsed and checked.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) url: Url,
    pub(super) origin: Origin,
    pub(super) method: Method,
    pub(super) headers: http::HeaderMap,
    body: Bytes,
    timeout: Duration,
}

impl Outgoing {
    /// `permit` decides whether the URL may be reached.
    pub(super) fn parse(
        request: abi::HttpRequest,
        permit: impl FnOnce(&Url) -> Result<Origin, Fault>,
    ) -> Result<Self, Fault> {
        let refuse = |why: String| Fault::new(Code::InvalidConfig, why);
        let url = Url::parse(&request.url)
            .map_err(|error| refuse(format!("a plugin's request has no usable URL: {error}")))?;
        let origin = permit(&url)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| refuse("a plugin's request has no usable method".into()))?;
        let mut headers = http::HeaderMap::new();
        for field in request.headers {
            let (name, value) = header_field(&field).map_err(refuse)?;
            headers.append(name, value);
        }
        // GitHub, for one, refuses requests without it.
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let timeout = match request.timeout_ms {
            0 => DEFAULT_TIMEOUT,
            wanted => Duration::from_millis(wanted),
        };
        Ok(Self { url, origin, method, headers, body: Bytes::from(request.body.into_vec()), timeout })
    }

    /// The request with a credential in the place of whatever fields and parameters of these names are there.
    #[must_use]
    pub(super) fn with(mut self, credential: &Prepared) -> Self {
        for (name, _) in &credential.fields {
            self.headers.remove(name);
        }
        for (name, value) in &credential.fields {
            self.headers.append(name, value.clone());
        }
        if credential.query.is_empty() {
            return self;
        }
        let ours =
            |pair: &&str| credential.query.iter().any(|(name, _)| pair.split('=').next() == Some(name));
        let kept = self.url.query().unwrap_or_default();
        let kept = kept.split('&').filter(|pair| !pair.is_empty() && !ours(pair)).map(str::to_owned);
        let added = credential.query.iter().map(|(name, value)| format!("{name}={value}"));
        let query: Vec<_> = kept.chain(added).collect();
        self.url.set_query(Some(&query.join("&")));
        self
    }

    /// Sends it and reads the answer, `longest` at most. Redirects are answers: following one would replay secrets
    /// elsewhere (RFC 9700 section 4.12).
    pub(super) async fn send(
        self,
        connector: &Connector,
        longest: Duration,
    ) -> Result<abi::HttpResponse, Fault> {
        let (host, limit) = (self.origin.host().to_string(), self.timeout.min(longest));
        match tokio::time::timeout(limit, self.exchange(connector)).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::new(
                Code::Timeout,
                format!("{host} did not answer within {} s", limit.as_secs_f32()),
            )),
        }
    }

    async fn exchange(self, connector: &Connector) -> Result<abi::HttpResponse, Fault> {
        let host = self.origin.host().to_string();
        let opened = connector.connect(&self.origin, Offer::Http1).await;
        let connection = opened.map_err(|error| Fault::new(Code::Network, with_causes(&error)))?;
        let broke = |error: hyper::Error| {
            Fault::new(Code::Network, format!("the exchange with {host} broke: {}", with_causes(&error)))
        };
        let (mut sender, driver) = http1::handshake(TokioIo::new(connection.io)).await.map_err(broke)?;
        let _driver = Driver(tokio::spawn(async move {
            // What goes wrong reaches the sender as well.
            let _ = driver.await;
        }));
        let answer = sender.send_request(self.into_request()?).await.map_err(broke)?;
        whole(&host, answer).await
    }

    fn into_request(self) -> Result<Request<Full<Bytes>>, Fault> {
        let path = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder()
            .method(self.method)
            .uri(path)
            .header(header::HOST, self.origin.authority())
            .body(Full::new(self.body))
            .map_err(|error| {
                Fault::new(Code::InvalidConfig, format!("a plugin's request cannot be sent: {error}"))
            })?;
        request.headers_mut().extend(self.headers);
        Ok(request)
    }
}

/// The connection's task; ends with the exchange.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn whole(host: &str, answer: Response<Incoming>) -> Result<abi::HttpResponse, Fault> {
    let (head, body) = answer.into_parts();
    let lies = |why: String| Fault::new(Code::InvalidResponse, format!("the answer of {host} {why}"));
    if let Some(coding) = head.headers.get(header::CONTENT_ENCODING)
        && coding != "identity"
    {
        let coding = coding.to_str().unwrap_or("unknown");
        return Err(lies(format!(
            "is encoded as {}, which was not asked for",
            super::codes::one_line(coding)
        )));
    }
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            lies(format!("is larger than {} MiB", MAX_BODY >> 20))
        } else {
            Fault::new(Code::Network, format!("the answer of {host} broke off: {error}"))
        }
    })?;
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| abi::Field { name: name.as_str().into(), value: RVec::from(value.as_bytes()) });
    Ok(abi::HttpResponse {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: RVec::from(&*body.to_bytes()),
        ext: RVec::new(),
    })
}

fn header_field(field: &abi::Field) -> Result<(HeaderName, HeaderValue), String> {
    let shown = super::codes::one_line(&field.name);
    let name = HeaderName::from_bytes(field.name.as_bytes())
        .map_err(|_| format!("a plugin's request names the field `{shown}`"))?;
    if is_framing(&name) {
        return Err(format!("a plugin's request sets the field `{name}`, which is the host's"));
    }
    let mut value = HeaderValue::from_bytes(&field.value)
        .map_err(|_| format!("a plugin's request has a value for `{name}` that cannot be sent"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// An error with what is behind it, in one line.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
