//! Cleartext HTTP/2 from clients: curl with prior knowledge, and gRPC, which has no path prefixes.

use ccproxy_tests::clients::{program, python};
use ccproxy_tests::home::Home;
use ccproxy_tests::keyed::{KEY, KeyedApi};
use ccproxy_tests::parts;
use ccproxy_tests::program::Program;
use pretty_assertions::assert_eq;
use serde_json::json;

const HTTP2_IN: &str = "[server]\nhttp2 = true\n\n";

/// A trailer needs HTTP/2 on both sides; a client of HTTP/1.1 would have to know what to do with it.
#[tokio::test]
async fn curl_speaks_http2_with_prior_knowledge_and_gets_trailers() {
    let api = KeyedApi::with_config(false, |api| {
        let upstream = api.sandbox.upstream();
        format!("{HTTP2_IN}[routes.h2]\nupstream = \"{upstream}\"\nconnection = \"api\"\nhttp2 = true\n\n")
    })
    .await;
    let host = api.home.serve().await;
    let curl = async |args: &[&str]| {
        let all = [&["-sS", "-m", "20", "--http2-prior-knowledge"], args].concat();
        program(&api.home, "curl", &all, &[]).await.expect_success()
    };
    let by_http1 = curl(&[&host.url("/api/echo")]).await.json();
    assert_eq!((&by_http1["path"], &by_http1["version"]), (&json!("/echo"), &json!("HTTP/1.1")));
    let by_http2 = curl(&[&host.url("/h2/echo")]).await.json();
    assert_eq!((&by_http2["path"], &by_http2["version"]), (&json!("/echo"), &json!("HTTP/2.0")));

    let told = curl(&["-v", "-w", " over HTTP/%{http_version}", &host.url("/h2/trailers")]).await;
    assert_eq!(told.stdout, "before the trailers over HTTP/2");
    assert!(told.stderr.contains("< x-trail: t1"), "no trailer\n{told}");
    api.assert_only_our_key("authorization");
}

#[tokio::test]
async fn without_the_setting_http2_is_not_spoken() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let url = host.url("/api/echo");
    let told = program(&api.home, "curl", &["-sS", "-m", "20", "--http2-prior-knowledge", &url], &[]).await;
    assert!(told.code() != 0 && told.code() != 28, "{told}");
    assert_eq!(api.sandbox.requests().total, 0);
}

/// Unary, streaming and failing calls: messages, status and metadata, which are trailers.
#[tokio::test]
async fn grpc_calls_reach_a_route_by_its_name() {
    let machine = Home::new();
    let mut command = machine.command(parts::python());
    command.args(["-c", include_str!("../parts/clients/grpc_server.py")]);
    let mut service = Program::spawn(command);
    let port = service.json_line_with("ready", true).await["port"].clone();
    let api = KeyedApi::with_config(false, |_| {
        format!(
            "{HTTP2_IN}[routes.echo]\nupstream = \"http://127.0.0.1:{port}\"\nconnection = \"api\"\nhttp2 = true\n\n"
        )
    })
    .await;
    let host = api.home.serve().await;
    let (_, listens_on) = host.authority().rsplit_once(':').unwrap();
    let env = [("PROXY", host.authority().to_owned()), ("AUTHORITY", format!("echo.localhost:{listens_on}"))];
    let call = include_str!("../parts/clients/grpc_call.py");
    let told = python(&api.home, &["grpcio"], call, &env).await.expect_success().json();
    assert_eq!(
        told,
        json!({
            "answer": { "request": "hi", "authorization": [format!("Bearer {KEY}")] },
            "trailer": "t1",
            "count": ["0", "1", "2"],
            "failed": ["FAILED_PRECONDITION", "as you wish", "asked"],
        })
    );
}
