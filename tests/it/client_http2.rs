//! Cleartext HTTP/2 from clients: curl with prior knowledge, and gRPC, which has no path prefixes.

use ccproxy_tests::clients::{program, python};
use ccproxy_tests::home::Home;
use ccproxy_tests::keyed::{KEY, KeyedApi};
use ccproxy_tests::parts;
use ccproxy_tests::program::Program;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

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
    let service = GrpcService::start().await;
    let api = service.behind(&format!("{HTTP2_IN}{}", service.route(""))).await;
    let host = api.home.serve().await;
    let (_, listens_on) = host.authority().rsplit_once(':').unwrap();
    let authority = format!("echo.localhost:{listens_on}");
    assert_eq!(calls(&api, host.authority(), Some(&authority)).await, every_kind_of_call());
}

/// No name and no prefix to think of: the address is all the client needs. The listener takes HTTP/2 because the
/// route is HTTP/2; the others do not.
#[tokio::test]
async fn grpc_calls_reach_a_route_by_a_port_of_its_own() {
    let service = GrpcService::start().await;
    let api = service.behind(&service.route("listen = \"127.0.0.1:0\"\n")).await;
    let host = api.home.serve().await;
    let own = host.own["echo"].trim_start_matches("http://");
    assert_eq!(calls(&api, own, None).await, every_kind_of_call());
    let url = host.url("/api/echo");
    let told = program(&api.home, "curl", &["-sS", "-m", "20", "--http2-prior-knowledge", &url], &[]).await;
    assert!(told.code() != 0 && told.code() != 28, "{told}");
}

/// gRPC's own way to name a Unix socket. Left to itself the client would call the server by the escaped path,
/// which is no authority to this side's HTTP/2.
#[tokio::test]
async fn grpc_calls_reach_a_route_by_a_socket_of_its_own() {
    let service = GrpcService::start().await;
    let socket = service.machine.runtime_dir().join("echo.sock");
    let api = service.behind(&service.route(&format!("listen = \"unix:{}\"\n", socket.display()))).await;
    let _host = api.home.serve().await;
    let proxy = format!("unix:{}", socket.display());
    assert_eq!(calls(&api, &proxy, Some("localhost")).await, every_kind_of_call());
}

/// The service of `grpc_server.py`, on a machine of its own.
struct GrpcService {
    machine: Home,
    _program: Program,
    port: Value,
}

impl GrpcService {
    async fn start() -> Self {
        let machine = Home::new();
        let mut command = machine.command(parts::python());
        command.args(["-c", include_str!("../parts/clients/grpc_server.py")]);
        let mut program = Program::spawn(command);
        let port = program.json_line_with("ready", true).await["port"].clone();
        Self { machine, _program: program, port }
    }

    /// The route `echo` to it.
    fn route(&self, more: &str) -> String {
        format!(
            "[routes.echo]\nupstream = \"http://127.0.0.1:{}\"\nconnection = \"api\"\nhttp2 = true\n{more}\n",
            self.port
        )
    }

    async fn behind(&self, config: &str) -> KeyedApi {
        KeyedApi::with_config(false, |_| config.to_owned()).await
    }
}

async fn calls(api: &KeyedApi, proxy: &str, authority: Option<&str>) -> Value {
    let authority = authority.map(|authority| ("AUTHORITY", authority));
    let env: Vec<_> = [("PROXY", proxy)].into_iter().chain(authority).collect();
    let call = include_str!("../parts/clients/grpc_call.py");
    python(&api.home, &["grpcio"], call, &env).await.expect_success().json()
}

fn every_kind_of_call() -> Value {
    json!({
        "answer": { "request": "hi", "authorization": [format!("Bearer {KEY}")] },
        "trailer": "t1",
        "count": ["0", "1", "2"],
        "total": "42",
        "shouted": ["A", "B", "C", "said all"],
        "failed": ["FAILED_PRECONDITION", "as you wish", "asked"],
    })
}
