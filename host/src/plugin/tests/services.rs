//! What the host lends, seen through a real plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use pretty_assertions::assert_eq;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::bench::*;
use crate::credential::Prepared;
use crate::fault::{Code, Fault};
use crate::hook::Kind;
use crate::model::{ConnectionId, Target, UnixMillis};
use crate::plugin::{Answer, Authenticated, CommandOutput, Message};
use crate::upstream::Base;

/// A server that gives this answer to everybody. Tells what it received.
async fn server(answer: impl Into<Vec<u8>>) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, received) = tokio::sync::mpsc::unbounded_channel();
    let answer = answer.into();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = vec![0; 16 * 1024];
            let mut length = 0;
            while !String::from_utf8_lossy(&request[..length]).contains("\r\n\r\n") {
                length += client.read(&mut request[length..]).await.unwrap();
            }
            let _ = told.send(String::from_utf8_lossy(&request[..length]).into_owned());
            // The client may have seen enough.
            let _ = client.write_all(&answer).await;
        }
    });
    (url, received)
}

fn http(status: &str, head: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{head}\r\n{body}", body.len())
}

#[tokio::test]
async fn a_token_call_goes_out_is_stored_and_becomes_events_without_a_secret() {
    let (url, mut received) = server(http("200 OK", "", "canary-token")).await;
    let bench = Bench::with_faulty();
    let plugin = bench.plugin().await;
    let work = connection("work", json!({ "token_url": format!("{url}/token?canary=1") }));
    assert_eq!(field(&bench.acquire(&plugin, &work).await.unwrap()), "Bearer canary-token");
    assert!(bench.vault.read(&work.id).unwrap().is_some(), "and it is stored");

    let request = received.recv().await.unwrap();
    assert!(request.starts_with("POST /token?canary=1 HTTP/1.1\r\n"), "{request}");
    for line in ["accept-encoding: identity\r\n", "user-agent: ccproxy/"] {
        assert!(request.contains(line), "{request}");
    }
    assert_eq!(
        bench.heard.kinds(),
        ["plugin.loaded", "http.request", "oauth.token.request", "http.response", "oauth.token.response"]
    );
    let event = bench.heard.of(Kind::OauthTokenResponse).remove(0);
    let shown = |name: &str| event.fields[name].clone();
    assert_eq!(
        [shown("method"), shown("path"), shown("status")],
        [json!("POST"), json!("/token"), json!(200)]
    );
    assert_eq!((event.connection, event.provider.as_deref()), (Some(work.id), Some("faulty")));
    let everything = format!("{:?}", bench.heard.of(Kind::HttpRequest)) + &format!("{:?}", event.fields);
    assert!(!everything.contains("canary"), "{everything}");
}

#[tokio::test]
async fn an_error_of_the_server_is_known_by_its_code() {
    let (url, _received) =
        server(http("400 Bad Request", "", r#"{"error":"invalid_grant","x":"canary"}"#)).await;
    let bench = Bench::with_faulty();
    let plugin = bench.plugin().await;
    let work = connection("work", json!({ "token_url": url }));
    assert_eq!(bench.acquire(&plugin, &work).await.err().unwrap().code, Code::CredentialsRejected);
    let event = bench.heard.of(Kind::OauthError).remove(0);
    assert_eq!((&event.fields["error"], &event.fields["status"]), (&json!("invalid_grant"), &json!(400)));
}

#[tokio::test]
async fn no_redirect_is_followed_and_no_endless_or_encoded_body_read() {
    let bench = Bench::with_faulty();
    let plugin = bench.plugin().await;
    let (elsewhere, mut never) = server(http("200 OK", "", "stolen")).await;
    let (url, _received) =
        server(http("307 Temporary Redirect", &format!("location: {elsewhere}\r\n"), "")).await;
    let work = connection("work", json!({ "token_url": url }));
    assert_eq!(bench.acquire(&plugin, &work).await.err().unwrap().message, "status 307");
    assert!(never.try_recv().is_err());

    let (url, _received) = server(http("200 OK", "", &"x".repeat((1 << 20) + 1))).await;
    let work = connection("large", json!({ "token_url": url }));
    let fault = bench.acquire(&plugin, &work).await.err().unwrap();
    assert_eq!(
        (fault.code, fault.message.as_str()),
        (Code::InvalidResponse, "the answer of 127.0.0.1 is larger than 1 MiB")
    );

    let (url, _received) = server(http("200 OK", "content-encoding: gzip\r\n", "x")).await;
    let work = connection("encoded", json!({ "token_url": url }));
    assert_eq!(bench.acquire(&plugin, &work).await.err().unwrap().code, Code::InvalidResponse);
}

#[tokio::test]
async fn a_host_that_is_not_declared_is_not_reached() {
    let (url, mut never) = server(http("200 OK", "", "secret")).await;
    let bench = Bench::with_faulty();
    let fault = bench.plugin().await.command(vec!["fetch".into(), url]).await.unwrap_err();
    assert_eq!(fault.message, "plugin `faulty` may not reach 127.0.0.1: its manifest declares {token_url}");
    assert!(never.try_recv().is_err());
}

#[tokio::test]
async fn nobody_there_is_a_network_fault_that_says_where() {
    // A port that was free a moment ago may be another test's by now; this one is nobody's.
    let address = "127.0.0.1:1";
    let bench = Bench::with_faulty();
    let plugin = bench.plugin().await;
    let work = connection("work", json!({ "token_url": format!("http://{address}/") }));
    let fault = bench.acquire(&plugin, &work).await.err().unwrap();
    assert_eq!(fault.code, Code::Network);
    assert!(fault.message.starts_with(&format!("cannot connect to {address}: ")), "{fault}");
    assert_eq!(bench.heard.of(Kind::HttpError).len(), 1);
}

#[tokio::test]
async fn a_secret_is_resolved_at_use_and_a_token_can_stand_for_the_stored_one() {
    let mut bench = Bench::with_faulty();
    bench.known = [("key", "k-1"), ("ci", "from-environment")].into();
    let plugin = bench.plugin().await;
    let keyed = connection("work", json!({ "key": { "env": "KEY" } }));
    assert_eq!(field(&bench.acquire(&plugin, &keyed).await.unwrap()), "Bearer k-1");
    let ci = connection("ci", json!({}));
    assert_eq!(field(&bench.acquire(&plugin, &ci).await.unwrap()), "Bearer from-environment");
}

/// A credential for one upstream.
struct Mine(Base);

impl Authenticated for Mine {
    fn upstreams(&self, _: &ConnectionId) -> Vec<Base> {
        vec![self.0.clone()]
    }

    fn credential(
        &self,
        _: &ConnectionId,
        _: &Target,
        rejected: Option<u64>,
    ) -> BoxFuture<'static, Result<Arc<Prepared>, Fault>> {
        let token = if rejected == Some(1) { "Bearer the next" } else { "Bearer the hosts" };
        let prepared = Prepared {
            fields: vec![(http::header::AUTHORIZATION, http::HeaderValue::from_static(token))],
            query: vec![("key".into(), "a%26b".into())],
            expires_at: None,
            generation: 1,
            acquired_at: UnixMillis(0),
        };
        Box::pin(std::future::ready(Ok(Arc::new(prepared))))
    }
}

#[tokio::test]
async fn an_authenticated_request_goes_to_the_upstream_with_the_hosts_credential_only() {
    let (url, mut received) = server(http("200 OK", "", "ann")).await;
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    let plugin = registry.load(&faulty()).await.unwrap();
    let me = connection("work", json!({ "me_url": format!("{url}/me?key=mine&page=2") }));
    assert_eq!(plugin.probe(&me, None).await.unwrap_err().code, Code::Unsupported, "no host runs");

    let mine: Arc<dyn Authenticated> = Arc::new(Mine(url.parse().unwrap()));
    registry.services().authenticated.set(Arc::downgrade(&mine)).ok().unwrap();
    assert_eq!(plugin.probe(&me, None).await.unwrap().subject, "ann");
    let request = received.recv().await.unwrap();
    assert!(request.starts_with("GET /me?page=2&key=a%26b HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("authorization: Bearer the hosts\r\n") && !request.contains("my own"),
        "{request}"
    );

    let (elsewhere, mut never) = server(http("200 OK", "", "stolen")).await;
    let thief = connection("work", json!({ "me_url": elsewhere }));
    let fault = plugin.probe(&thief, None).await.unwrap_err();
    assert!(fault.message.contains("its credential does not go there"), "{fault}");
    assert!(never.try_recv().is_err());
}

#[tokio::test]
async fn an_authenticated_request_that_is_rejected_is_sent_again_with_another_credential_once() {
    let (url, mut received) = server(http("401 Unauthorized", "", "")).await;
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    let plugin = registry.load(&faulty()).await.unwrap();
    let mine: Arc<dyn Authenticated> = Arc::new(Mine(url.parse().unwrap()));
    registry.services().authenticated.set(Arc::downgrade(&mine)).ok().unwrap();
    let me = connection("work", json!({ "me_url": format!("{url}/me") }));
    // The test plugin takes any answer for its account.
    plugin.probe(&me, None).await.unwrap();
    for token in ["Bearer the hosts", "Bearer the next"] {
        let request = received.recv().await.unwrap();
        assert!(request.contains(&format!("authorization: {token}\r\n")), "{request}");
    }
    assert!(received.try_recv().is_err(), "once");
}

#[tokio::test]
async fn a_plugin_hears_what_it_declared_and_its_own_events_are_bounded_and_masked() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    let wanted = Arc::new(AtomicU64::new(u64::MAX));
    let told = Arc::clone(&wanted);
    registry.tune(move |kinds| told.store(kinds, Ordering::Relaxed));
    assert_eq!(wanted.load(Ordering::Relaxed), 0, "nobody serves, nobody listens");
    registry.load(&faulty()).await.unwrap();
    let declared = Kind::AppReady.bit() | Kind::ConnectionExpiring.bit();
    assert_eq!(wanted.load(Ordering::Relaxed), declared);
    let document: Arc<str> = r#"{"event":"app.ready"}"#.into();
    registry.deliver(Kind::AppShutdown, None, &document);
    registry.deliver(Kind::AppReady, Some("faulty"), &document);
    registry.deliver(Kind::AppReady, None, &document);
    let echo = bench.heard.first(Kind::CustomEvent).await;
    assert_eq!(
        (&echo.fields["name"], &echo.fields["fields"]),
        (&json!("echo"), &json!({ "heard": "app.ready" }))
    );

    let plugin = registry.load(&faulty()).await.unwrap();
    let emits = connection("work", json!({ "acquire": "emit" }));
    bench.store(&emits, "abc").await;
    assert!(bench.acquire(&plugin, &emits).await.is_ok());
    let seen = bench.heard.of(Kind::CustomEvent);
    assert!((90..200).contains(&seen.len()), "{} of 1000", seen.len());
    assert_eq!(seen[1].fields["fields"], json!({ "at": 1, "access_token": "***" }));
}

#[tokio::test]
async fn a_flood_of_records_does_not_hold_a_call_up() {
    let bench = Bench::with_faulty();
    let plugin = bench.plugin().await;
    let floods = connection("work", json!({ "acquire": "flood" }));
    bench.store(&floods, "abc").await;
    assert!(bench.acquire(&plugin, &floods).await.is_ok());
}

#[tokio::test]
async fn commands_and_paths_of_its_own_are_answered() {
    let bench = Bench::with_faulty();
    let plugin = bench.plugin().await;
    let said = plugin.command(vec!["echo".into(), "a".into()]).await.unwrap();
    assert_eq!(said, CommandOutput { stdout: b"echo a".to_vec(), exit_code: 3 });

    let hook = Message {
        method: http::Method::POST,
        path_and_query: "hook?x=1".into(),
        headers: http::HeaderMap::new(),
        body: b"payload".to_vec(),
    };
    let Answer { status, headers, body } = plugin.handle(hook).await.unwrap();
    assert_eq!((status.as_u16(), body.as_slice()), (200, &b"payload"[..]));
    assert_eq!(headers["x-path"], "hook?x=1");
    assert!(!headers.contains_key("connection"), "framing is the host's");
}

#[tokio::test]
async fn only_a_declared_path_of_a_plugin_that_serves_is_answered() {
    let bench = Bench::with_faulty();
    let registry = bench.registry();
    let ask = |path: &str| Message {
        method: http::Method::GET,
        path_and_query: path.into(),
        headers: http::HeaderMap::new(),
        body: Vec::new(),
    };
    let unloaded = registry.answer("faulty", ask("hook")).await.unwrap_err();
    assert_eq!(unloaded.code, Code::PluginMissing);
    registry.load(&faulty()).await.unwrap();
    let answered = registry.answer("faulty", ask("hook?x=1")).await.unwrap().unwrap();
    assert_eq!(answered.status, 200);
    for (id, path) in [("faulty", "other"), ("faulty", "hook/below"), ("nobody", "hook"), ("No Name", "hook")]
    {
        assert!(registry.answer(id, ask(path)).await.unwrap().is_none(), "{id} {path}");
    }
}
