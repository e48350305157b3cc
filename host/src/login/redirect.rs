//! Where a browser comes back to: a loopback listener of the login (RFC 8252 section 7.3), or the callback of
//! the host.
//!
//! The listener is bound before the browser opens; one path, GET only, one answer. The page is written after the
//! token exchange, so that it tells the truth.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::secret::Secret;

use super::callback::Place;
use super::page;

/// Connections served at once. A browser opens a few; a page that floods us must not grow.
const MAX_CONNECTIONS: usize = 16;

/// The redirect of one login.
pub struct Redirect {
    uri: Url,
    /// The same as the authorization server gets it.
    sent: String,
    arrivals: mpsc::Receiver<Arrival>,
    served: Served,
}

/// Who answers the browser.
enum Served {
    /// A listener, for as long as this lives.
    Here(#[expect(dead_code, reason = "dropping it ends the listener")] JoinSet<()>),
    /// The host.
    AtCallback(Place),
}

/// A browser came back.
pub struct Arrival {
    /// The query, `code` and `state` included.
    pub query: Secret,
    /// The tab that waits for the truth.
    pub tab: Tab,
}

/// A browser tab that waits to be told how the login ended.
pub struct Tab {
    outcome: oneshot::Sender<page::Outcome>,
    /// Fails when the connection has ended: the page is out, or nobody is there any more.
    served: oneshot::Receiver<()>,
}

/// A page is a few hundred bytes on loopback; a browser that does not take them is gone.
const PAGE_PATIENCE: Duration = Duration::from_secs(2);

impl Tab {
    /// A tab that the host answers, which does not end with the login.
    pub(super) fn of_the_host(outcome: oneshot::Sender<page::Outcome>) -> Self {
        let (_, served) = oneshot::channel();
        Self { outcome, served }
    }

    /// Shows the outcome, and waits until it is out: the process may end right after the login.
    pub async fn show(self, outcome: page::Outcome) {
        if self.outcome.send(outcome).is_ok() {
            // Either way there is nothing more to do for it.
            let _ = timeout(PAGE_PATIENCE, self.served).await;
        }
    }
}

/// Why no listener could be made.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// The setting is not a loopback URL that we can listen on.
    #[error("redirect_uri `{0}` is not an http URL of this machine (127.0.0.1, [::1] or localhost)")]
    NotLoopback(String),
    /// The port is taken, most likely.
    #[error("cannot listen for the redirect on {address}")]
    Bind {
        /// What was tried.
        address: String,
        /// Why not.
        source: io::Error,
    },
}

impl Redirect {
    /// Listens on a free port, or where the `redirect_uri` setting says.
    pub async fn listen(fixed: Option<&str>, state: &str) -> Result<Self, RedirectError> {
        let mut uri = match fixed {
            Some(text) => loopback(text)?,
            None => Url::parse("http://127.0.0.1/callback").expect("a literal URL parses"),
        };
        let listeners = bind(&uri).await?;
        let port = listeners.port;
        uri.set_port(Some(port)).expect("an http URL takes a port");

        let (sender, arrivals) = mpsc::channel(1);
        let expected = Arc::new(Expected {
            path: uri.path().to_owned(),
            authorities: [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")],
            state: Secret::from(state.to_owned()),
            arrivals: sender,
        });
        let mut serving = JoinSet::new();
        for listener in listeners.sockets {
            serving.spawn(accept(listener, Arc::clone(&expected)));
        }
        // Registered URIs are compared as text, and one without a path has no slash at its end.
        let bare = fixed.is_some_and(|text| !text.ends_with('/')) && uri.path() == "/";
        let sent = if bare { uri.as_str().trim_end_matches('/') } else { uri.as_str() }.to_owned();
        Ok(Self { uri, sent, arrivals, served: Served::Here(serving) })
    }

    /// A redirect that arrives at the host's callback.
    pub(super) fn at_callback(uri: Url, arrivals: mpsc::Receiver<Arrival>, place: Place) -> Self {
        Self { sent: uri.as_str().to_owned(), uri, arrivals, served: Served::AtCallback(place) }
    }

    /// From now on a browser may come back, once. To a listener of the login's own it always may.
    pub(super) fn arm(&self) {
        if let Served::AtCallback(place) = &self.served {
            place.arm();
        }
    }

    /// What to send as `redirect_uri`.
    pub fn uri(&self) -> &str {
        &self.sent
    }

    /// Waits for the browser.
    pub async fn arrival(&mut self) -> Arrival {
        match self.arrivals.recv().await {
            Some(arrival) => arrival,
            // The acceptor never ends while `self` lives; waiting on is what a caller can use.
            None => std::future::pending().await,
        }
    }

    /// The query of a redirect URL that a person pasted, if it belongs to this login.
    pub fn pasted(&self, line: &str) -> Option<Secret> {
        let url = Url::parse(line.trim()).ok()?;
        let ours = url.path() == self.uri.path();
        let query = url.query()?.to_owned();
        (ours && has_state(&query)).then(|| Secret::from(query))
    }
}

/// The sockets of one redirect URI, all of one port.
struct Listeners {
    sockets: Vec<TcpListener>,
    port: u16,
}

/// How often a free port is looked for that is free for both addresses of `localhost`.
const TRIES: usize = 10;

/// Listens where the URI leads. `localhost` is two addresses: whoever held the other one of our port
/// would be sent the code by a browser that tries it first.
async fn bind(uri: &Url) -> Result<Listeners, RedirectError> {
    let host = uri.host_str().unwrap_or("127.0.0.1");
    if host != "localhost" {
        let first = listen_on(host, uri.port().unwrap_or(0)).await?;
        return Ok(Listeners { port: first.1, sockets: vec![first.0] });
    }
    let mut tries = 0;
    loop {
        tries += 1;
        let (four, port) = listen_on("127.0.0.1", uri.port().unwrap_or(0)).await?;
        match listen_on("[::1]", port).await {
            Ok((six, _)) => return Ok(Listeners { sockets: vec![four, six], port }),
            Err(RedirectError::Bind { source, .. }) if source.kind() != io::ErrorKind::AddrInUse => {
                // A machine without IPv6.
                return Ok(Listeners { sockets: vec![four], port });
            }
            Err(_) if uri.port().is_none() && tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

async fn listen_on(host: &str, port: u16) -> Result<(TcpListener, u16), RedirectError> {
    let address = format!("{host}:{port}");
    let failed = |source| RedirectError::Bind { address: address.clone(), source };
    let listener = TcpListener::bind(&address).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}

fn loopback(text: &str) -> Result<Url, RedirectError> {
    let refuse = || RedirectError::NotLoopback(text.to_owned());
    let url = Url::parse(text).map_err(|_| refuse())?;
    let local = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    (local && url.scheme() == "http").then_some(url).ok_or_else(refuse)
}

fn has_state(query: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "state")
}

struct Expected {
    path: String,
    authorities: [String; 3],
    state: Secret,
    arrivals: mpsc::Sender<Arrival>,
}

async fn accept(listener: TcpListener, expected: Arc<Expected>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let expected = Arc::clone(&expected);
                connections.spawn(async move {
                    serve(stream, expected).await;
                    drop(slot);
                });
            }
            // Out of descriptors, most likely: a pause, or this loop would spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, expected: Arc<Expected>) {
    // Dropped at the end of this function, which is when the reply is out.
    let (_serving, served) = oneshot::channel();
    let served = Arc::new(Mutex::new(Some(served)));
    let service = service_fn(move |request| {
        let (expected, served) = (Arc::clone(&expected), Arc::clone(&served));
        async move { Ok::<_, Infallible>(answer(&request, &expected, &served).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "the redirect listener lost a connection");
    }
}

async fn answer(
    request: &Request<Incoming>,
    expected: &Expected,
    served: &Mutex<Option<oneshot::Receiver<()>>>,
) -> Response<Full<Bytes>> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !expected.authorities.iter().any(|ours| ours == host) {
        return page::plain(StatusCode::MISDIRECTED_REQUEST, "this is not the address of this login");
    }
    if request.uri().path() != expected.path {
        return page::plain(StatusCode::NOT_FOUND, "nothing is here");
    }
    // A prefetch or a HEAD would spend the code without anybody having come back.
    let prefetch = request
        .headers()
        .get("sec-purpose")
        .is_some_and(|purpose| purpose.as_bytes().starts_with(b"prefetch"));
    if request.method() != Method::GET || prefetch {
        return page::plain(StatusCode::METHOD_NOT_ALLOWED, "only a browser coming back is answered here");
    }
    let query = request.uri().query().unwrap_or_default();
    if !state_matches(query, &expected.state) {
        return page::plain(
            StatusCode::BAD_REQUEST,
            "this redirect does not belong to the login that is waiting",
        );
    }
    let Some(served) = served.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return page::plain(StatusCode::CONFLICT, "this login has already been answered");
    };
    let (sender, outcome) = oneshot::channel();
    let tab = Tab { outcome: sender, served };
    let arrival = Arrival { query: Secret::from(query.to_owned()), tab };
    // The channel holds one: a second browser window is told so and changes nothing.
    if expected.arrivals.try_send(arrival).is_err() {
        return page::plain(StatusCode::CONFLICT, "this login has already been answered");
    }
    match outcome.await {
        Ok(outcome) => page::result(&outcome),
        Err(_) => page::result(&page::Outcome::Failed { message: "the login was stopped".into() }),
    }
}

/// Compared in constant time: the answer must not tell how much of a guess was right.
pub(super) fn state_matches(query: &str, expected: &Secret) -> bool {
    let mut states = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "state");
    match (states.next(), states.next()) {
        (Some((_, state)), None) => state.as_bytes().ct_eq(expected.expose()).into(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn get(redirect: &Redirect, head: &str) -> String {
        let port = Url::parse(redirect.uri()).unwrap().port().unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let head = head.replace("PORT", &port.to_string());
        stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test]
    async fn a_browser_that_comes_back_sees_how_it_ended() {
        let mut redirect = Redirect::listen(None, "s1").await.unwrap();
        let uri = redirect.uri().to_owned();
        assert!(uri.starts_with("http://127.0.0.1:") && uri.ends_with("/callback"), "{uri}");
        let port = Url::parse(&uri).unwrap().port().unwrap();
        let browser = tokio::spawn(async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let head = format!(
                "GET /callback?code=c&state=s1 HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            reply
        });
        let arrival = redirect.arrival().await;
        assert_eq!(arrival.query.expose(), b"code=c&state=s1");
        let outcome = page::Outcome::LoggedIn { connection: "corp".into(), account: "<alice>".into() };
        arrival.tab.show(outcome).await;
        drop(redirect);
        let reply = browser.await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        assert!(reply.contains("&lt;alice&gt;") && reply.contains("no-store"), "{reply}");
    }

    #[tokio::test]
    async fn a_browser_is_sent_to_the_next_page_and_comes_back_once_more() {
        let mut redirect = Redirect::listen(None, "s1").await.unwrap();
        for page in ["https://id.example/b?x=1", "https://id.example/c"] {
            let port = Url::parse(redirect.uri()).unwrap().port().unwrap();
            let browser = tokio::spawn(async move {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let head = format!("GET /callback?state=s1 HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                let mut reply = String::new();
                stream.read_to_string(&mut reply).await.unwrap();
                reply
            });
            redirect.arrival().await.tab.show(page::Outcome::GoOn { url: page.into() }).await;
            let reply = browser.await.unwrap();
            assert!(reply.starts_with("HTTP/1.1 303"), "{reply}");
            assert!(reply.contains(&format!("location: {page}\r\n")), "{reply}");
        }
    }

    #[tokio::test]
    async fn strangers_are_turned_away_and_the_login_waits_on() {
        let redirect = Redirect::listen(None, "s1").await.unwrap();
        for (head, status) in [
            ("GET /callback?code=c&state=wrong HTTP/1.1\r\nhost: 127.0.0.1:PORT", "400"),
            ("GET /callback?code=c HTTP/1.1\r\nhost: 127.0.0.1:PORT", "400"),
            ("GET /callback?code=c&state=s1&state=s1 HTTP/1.1\r\nhost: 127.0.0.1:PORT", "400"),
            ("GET /callback?code=c&state=s1 HTTP/1.1\r\nhost: evil.example:PORT", "421"),
            ("HEAD /callback?code=c&state=s1 HTTP/1.1\r\nhost: 127.0.0.1:PORT", "405"),
            (
                "GET /callback?code=c&state=s1 HTTP/1.1\r\nhost: 127.0.0.1:PORT\r\nsec-purpose: prefetch",
                "405",
            ),
            ("GET /other?state=s1 HTTP/1.1\r\nhost: 127.0.0.1:PORT", "404"),
        ] {
            let reply = get(&redirect, head).await;
            assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{head}\n{reply}");
        }
    }

    #[tokio::test]
    async fn a_pasted_address_is_taken_if_it_is_a_redirect_of_ours() {
        let redirect = Redirect::listen(None, "s1").await.unwrap();
        let query = redirect.pasted(" http://127.0.0.1:1/callback?code=c&state=s1 \n").unwrap();
        assert_eq!(query.expose(), b"code=c&state=s1");
        assert!(redirect.pasted("http://127.0.0.1:1/other?code=c&state=s1").is_none());
        assert!(redirect.pasted("hello").is_none());
    }

    #[tokio::test]
    async fn only_this_machine_can_be_a_redirect() {
        for bad in ["https://127.0.0.1/cb", "http://example.com/cb", "nonsense", "http://192.168.0.1/"] {
            assert!(Redirect::listen(Some(bad), "s").await.is_err(), "{bad}");
        }
        let redirect = Redirect::listen(Some("http://localhost/auth/done"), "s").await.unwrap();
        assert!(redirect.uri().starts_with("http://localhost:") && redirect.uri().ends_with("/auth/done"));
    }

    #[tokio::test]
    async fn a_redirect_without_a_path_is_sent_without_one_and_answered_at_the_root() {
        let redirect = Redirect::listen(Some("http://localhost"), "s1").await.unwrap();
        let port = redirect.uri().strip_prefix("http://localhost:").unwrap();
        assert!(port.parse::<u16>().is_ok(), "{}", redirect.uri());
        assert!(redirect.pasted("http://localhost:1/?code=c&state=s1").is_some());
        let with_slash = Redirect::listen(Some("http://localhost/"), "s1").await.unwrap();
        assert!(with_slash.uri().ends_with('/'), "{}", with_slash.uri());
    }

    #[tokio::test]
    async fn nobody_else_can_listen_at_the_other_address_of_localhost() {
        let redirect = Redirect::listen(Some("http://localhost"), "s1").await.unwrap();
        let port: u16 = redirect.uri().rsplit(':').next().unwrap().parse().unwrap();
        for address in ["127.0.0.1", "::1"] {
            let taken = TcpListener::bind((address, port)).await.unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "{address}");
        }
    }
}
