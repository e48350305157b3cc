use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::house::Plan;
use super::{House, Upstream, soon};
use crate::upstream::connect::ConnectorOptions;
use pretty_assertions::assert_eq;

type Frames = StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

fn body(data: &[&'static str], trailers: &[(&'static str, &'static str)]) -> Frames {
    let mut frames: Vec<_> =
        data.iter().map(|data| Ok(Frame::data(Bytes::from_static(data.as_bytes())))).collect();
    if !trailers.is_empty() {
        let mut map = HeaderMap::new();
        for (name, value) in trailers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        frames.push(Ok(Frame::trailers(map)));
    }
    StreamBody::new(futures_util::stream::iter(frames))
}

/// What a gRPC server would see, in the response; its status in the trailers.
async fn echo(request: Request<Incoming>) -> Result<Response<Frames>, Infallible> {
    let (parts, incoming) = request.into_parts();
    let collected = incoming.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let mut response = Response::new(if parts.uri.path() == "/trailers-only" {
        body(&[], &[])
    } else {
        body(&["one", "two"], &[("grpc-status", "0"), ("set-cookie", "a=b")])
    });
    let headers = response.headers_mut();
    headers.insert("seen-version", HeaderValue::try_from(format!("{:?}", parts.version)).unwrap());
    headers.insert("seen-uri", HeaderValue::try_from(parts.uri.to_string()).unwrap());
    for name in ["authorization", "te", "host"] {
        if let Some(value) = parts.headers.get(name) {
            let mark = if name == "authorization" { HeaderValue::from_static("yes") } else { value.clone() };
            headers.insert(http::HeaderName::try_from(format!("seen-{name}")).unwrap(), mark);
        }
    }
    let names: Vec<_> = trailers.keys().map(|name| name.as_str()).collect();
    headers.insert("seen-trailers", HeaderValue::try_from(names.join(",")).unwrap());
    headers.insert("seen-body", HeaderValue::from_bytes(&collected.to_bytes()).unwrap());
    if parts.uri.path() == "/trailers-only" {
        headers.insert("grpc-status", HeaderValue::from_static("5"));
    }
    Ok(response)
}

async fn http2_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(echo));
            tokio::spawn(connection);
        }
    });
    address
}

async fn call(house: &House, request: Request<Frames>) -> Response<Incoming> {
    let stream = soon(TcpStream::connect(house.address())).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    soon(sender.send_request(request)).await.unwrap()
}

fn grpc(house: &House, path: &str) -> Request<Frames> {
    Request::post(format!("http://up.localhost:{}{path}", house.address().port()))
        .header("te", "trailers")
        .header("authorization", "Bearer dummy")
        .body(body(&["ask"], &[("x-checksum", "1"), ("authorization", "late")]))
        .unwrap()
}

async fn house() -> House {
    let upstream = http2_upstream().await;
    let mut plan = Plan::to(format!("http://{upstream}"));
    plan.http2 = true;
    plan.policy.http2 = true;
    plan.start()
}

fn seen<'a, B>(response: &'a Response<B>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn grpc_passes_with_its_trailers() {
    let house = house().await;
    let response = call(&house, grpc(&house, "/echo.Echo/Say")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(seen(&response, "seen-version"), Some("HTTP/2.0"));
    assert_eq!(seen(&response, "seen-te"), Some("trailers"));
    assert_eq!(seen(&response, "seen-authorization"), Some("yes"));
    assert_eq!(seen(&response, "seen-host"), None);
    assert_eq!(seen(&response, "seen-body"), Some("ask"));
    assert_eq!(seen(&response, "seen-trailers"), Some("x-checksum"), "a credential in a trailer is one too");
    assert!(seen(&response, "ccproxy-request-id").is_some());
    let collected = soon(response.into_body().collect()).await.unwrap();
    let trailers = collected.trailers().cloned().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), "0");
    assert_eq!(trailers.get("set-cookie"), None);
    assert_eq!(collected.to_bytes(), "onetwo");
}

#[tokio::test]
async fn an_error_in_trailers_alone_arrives() {
    let house = house().await;
    let response = call(&house, grpc(&house, "/trailers-only")).await;
    assert_eq!(seen(&response, "grpc-status"), Some("5"));
    assert_eq!(soon(response.into_body().collect()).await.unwrap().to_bytes(), "");
}

#[tokio::test]
async fn an_http1_client_reaches_an_http2_upstream_without_trailers() {
    let house = house().await;
    let mut client = house.client().await;
    client.send_body("POST", "/up/say", "TE: trailers\r\n", b"ask").await;
    let head = client.wire.read_head().await;
    assert_eq!((head.status(), head.get("seen-version")), (200, Some("HTTP/2.0")));
    assert!(client.wire.read_until("0\r\n\r\n").await.ends_with("two\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn an_http2_client_reaches_an_http1_upstream() {
    let upstream = Upstream::start().await;
    let mut plan = Plan::to(upstream.url("/v1"));
    plan.http2 = true;
    let house = plan.start();
    let serve = async {
        let mut wire = upstream.accept().await;
        let head = wire.read_head().await;
        assert_eq!(head.start, "POST /v1/say HTTP/1.1");
        assert_eq!(head.get("te"), None);
        wire.read_until("0\r\n\r\n").await;
        let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
        wire.write(early.to_owned() + answer).await;
        wire
    };
    let (response, _wire) = tokio::join!(call(&house, grpc(&house, "/say")), serve);
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!((seen(&response, "connection"), seen(&response, "link")), (None, None));
    assert_eq!(soon(response.into_body().collect()).await.unwrap().to_bytes(), "ok");
}

#[tokio::test]
async fn an_http2_authority_is_judged_like_a_host() {
    let house = house().await;
    let request = Request::get("http://evil.example/up/").body(body(&[], &[])).unwrap();
    let response = call(&house, request).await;
    assert_eq!(
        (response.status().as_u16(), seen(&response, "ccproxy-error")),
        (403, Some("host_not_allowed"))
    );

    let target = format!("http://{}/up/", house.address());
    let request = Request::get(target).header("host", "evil.example").body(body(&[], &[])).unwrap();
    let response = call(&house, request).await;
    assert_eq!(seen(&response, "ccproxy-error"), Some("host_not_allowed"));
}

#[tokio::test]
async fn without_the_setting_the_preface_is_not_spoken_to() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.wire.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let answer = client.wire.read_to_end().await;
    assert!(!answer.starts_with('\0'), "{answer:?}");
    assert!(upstream.is_untouched().await);
}

#[tokio::test]
async fn over_tls_the_protocol_is_agreed_and_the_certificate_checked() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    for (alpn, expected) in [(vec![b"h2".to_vec()], "HTTP/2.0"), (vec![], "HTTP/1.1")] {
        let port = tls_upstream(&made, alpn).await;
        for (host, extra_ca, result) in [
            ("localhost", Some(ca.clone()), Ok(expected)),
            // Right machine, wrong name; then the right name without its CA.
            ("127.0.0.1", Some(ca.clone()), Err("upstream_tls")),
            ("localhost", None, Err("upstream_tls")),
        ] {
            let mut plan = Plan::to(format!("https://{host}:{port}"));
            plan.connector = ConnectorOptions { extra_ca, ..plan.connector };
            let house = plan.start();
            let mut client = house.client().await;
            client.send("GET", "/up/", "").await;
            let head = client.wire.read_head().await;
            let answer = head.get("ccproxy-error").map_or(Ok(head.get("seen-version").unwrap_or("?")), Err);
            assert_eq!(answer, result, "{host}");
        }
    }
}

async fn tls_upstream(made: &rcgen::CertifiedKey<rcgen::KeyPair>, alpn: Vec<Vec<u8>>) -> u16 {
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(stream).await else { return };
                let is_h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                if is_h2 {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(tls), service_fn(echo)).await;
                } else {
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = builder.serve_connection(TokioIo::new(tls), service_fn(echo)).await;
                }
            });
        }
    });
    port
}
