//! Where the proxy listens: Unix sockets, sockets handed over, a route's own port, a route's own name.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

use ccproxy_tests::clients::{environment, program};
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::parts::{self, is_root};
use ccproxy_tests::program::{Finished, Host, Program, ccproxy};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

async fn curl(home: &Home, args: &[&str]) -> Finished {
    program(home, "curl", &[&["-sS", "-m", "20"], args].concat(), &[]).await
}

/// A machine whose connection `api` has a second route, `own`, that listens here.
async fn with_own_listener(listen: &str) -> KeyedApi {
    KeyedApi::with_config(false, |_| format!("[routes.own]\nconnection = \"api\"\nlisten = \"{listen}\"\n\n"))
        .await
}

fn socket_in(home: &Home) -> PathBuf {
    home.runtime_dir().join("proxy.sock")
}

#[tokio::test]
async fn a_unix_socket_is_ours_alone_and_gone_at_the_end() {
    let api = KeyedApi::new().await;
    let socket = socket_in(&api.home);
    let listen = format!("unix:{}", socket.display());
    let mut serve = api.home.spawn_ccproxy(&["serve", "--listen", &listen]);
    serve.stderr_line(|line| line == format!("listening on {listen}")).await;
    serve.stderr_line(|line| line == "ready").await;
    let made = fs::symlink_metadata(&socket).unwrap();
    assert!(made.file_type().is_socket());
    assert_eq!(made.mode() & 0o777, 0o600);

    let path = socket.to_str().unwrap();
    let by_path = curl(&api.home, &["--unix-socket", path, "http://localhost/api/x"]).await.expect_success();
    assert_eq!(by_path.json()["path"], json!("/x"));
    let by_name = curl(&api.home, &["--unix-socket", path, "http://api.localhost/x"]).await.expect_success();
    assert_eq!(by_name.json()["path"], json!("/x"));
    let routes = api.home.ccproxy(&["routes"]).await.expect_success();
    assert!(routes.stdout.contains("http://localhost/api/ "), "{routes}");
    assert!(routes.stderr.contains(&format!("curl --unix-socket {path} URL")), "{routes}");
    // Any other name could be a mistake, and here it could mean any route.
    let other = curl(&api.home, &["--unix-socket", path, "http://api.example.com/x"]).await.expect_success();
    assert_eq!(other.json()["code"], json!("host_not_allowed"));
    api.assert_only_our_key("authorization");

    serve.stop().await.expect_success();
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_one_in_use_names_who_has_it() {
    let api = KeyedApi::new().await;
    let socket = socket_in(&api.home);
    let listen = format!("unix:{}", socket.display());
    let first = api.home.serve_with(&["--listen", &listen]).await;
    first.kill().await;
    assert!(socket.exists(), "nobody tidied up");
    let second = api.home.serve_with(&["--listen", &listen]).await;

    let other = Home::new();
    let told = other.ccproxy(&["serve", "--listen", &listen]).await.expect_code(1);
    let owner = format!("error: {listen} is in use by ccproxy (pid {})", second.pid);
    assert!(told.stderr.contains(&owner), "{told}");
    let path = socket.to_str().unwrap();
    let served = curl(&api.home, &["--unix-socket", path, "http://localhost/api/x"]).await.expect_success();
    assert_eq!(served.json()["path"], json!("/x"));
}

#[tokio::test]
async fn a_place_for_a_socket_that_will_not_do_is_told_with_the_cure() {
    let home = Home::new();
    let file = home.user_dir().join("notes");
    home.write(&file, "of value");
    let long = home.user_dir().join("x".repeat(120));
    for (path, problem, hint) in [
        (file.clone(), "something else of that name", "hint: choose another path"),
        (long, "and a socket's may have 107", "hint: use a shorter path"),
        (home.user_dir().join("a/b/c.sock"), "there is no directory", "hint: mkdir -p -m 700 "),
    ] {
        let listen = format!("unix:{}", path.display());
        let told = home.ccproxy(&["serve", "--listen", &listen]).await.expect_code(1);
        assert!(told.stderr.contains(&format!("error: cannot listen on {listen}: ")), "{told}");
        assert!(told.stderr.contains(problem) && told.stderr.contains(hint), "{told}");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "of value");
}

#[tokio::test]
async fn a_route_with_a_port_of_its_own_is_at_its_root() {
    let api = with_own_listener("127.0.0.1:0").await;
    let host = api.home.serve().await;
    let own = &host.own["own"];
    let answer = Call::get(&format!("{own}/links?location=absolute")).send().await;
    assert_eq!(answer.header("location"), format!("{own}/made/1?x=1#part"));
    let next = format!("<{own}/links?page=2>; rel=\"next\"");
    let links: Vec<_> = answer.headers.get_all("link").iter().filter_map(|link| link.to_str().ok()).collect();
    assert!(links.iter().any(|link| link.starts_with(&next)), "{links:?}");
    assert_eq!(Call::get(&format!("{own}/links?page=2")).send().await.json(), json!({ "value": [2] }));
    // The paths of the other routes, and ours, are the upstream's here.
    assert_eq!(Call::get(&format!("{own}/api/x")).send().await.json()["path"], json!("/api/x"));
    assert_eq!(
        Call::get(&format!("{own}/_ccproxy/livez")).send().await.json()["path"],
        json!("/_ccproxy/livez")
    );
    // By its path and by its name it is reached as before.
    assert_eq!(Call::get(&host.url("/own/x")).send().await.json()["path"], json!("/x"));
    let (_, port) = host.authority().rsplit_once(':').unwrap();
    let named = format!("own.localhost:{port}");
    let by_name = curl(&api.home, &["-H", &format!("Host: {named}"), &host.url("/x")]).await.expect_success();
    assert_eq!(by_name.json()["path"], json!("/x"));
    // A page whose name was rebound to us gets no further than on any port.
    let rebound = curl(&api.home, &["-H", "Host: evil.example", &format!("{own}/x")]).await.expect_success();
    assert_eq!(rebound.json()["code"], json!("host_not_allowed"));
    api.assert_only_our_key("authorization");
}

#[tokio::test]
async fn a_routes_own_listener_is_shown_wherever_routes_are() {
    let api = with_own_listener("127.0.0.1:0").await;
    let mut serve = api.home.spawn_ccproxy(&["serve", "--listen", "127.0.0.1:0"]);
    // That of everybody first, then those of routes.
    serve.stderr_line(|line| line.starts_with("listening on ")).await;
    let line = serve.stderr_line(|line| line.starts_with("listening on ")).await;
    let own = line.trim_start_matches("listening on ").to_owned();
    serve.stderr_line(|line| line == "ready").await;
    let routes = api.home.ccproxy(&["routes"]).await.expect_success();
    assert!(routes.stdout.contains(&format!("{own}/ ")), "{routes}");
    let listed = api.home.ccproxy(&["routes", "--json"]).await.expect_success().json();
    let listens: Vec<&Value> =
        listed["routes"].as_array().unwrap().iter().map(|route| &route["listen"]).collect();
    assert_eq!(listens, [&Value::Null, &json!(own)]);
}

#[tokio::test]
async fn the_variables_of_a_tool_lead_to_the_routes_own_port() {
    let api = KeyedApi::vendor("openai", "openai").await;
    let route = "[routes.own]\nconnection = \"openai\"\nlisten = \"127.0.0.1:0\"\n";
    api.home.add_config("own.toml", route);
    let host = api.home.serve().await;
    let variables = environment(&api.home, "own").await;
    let base = variables.iter().find(|(name, _)| name == "OPENAI_BASE_URL").map(|(_, value)| value.as_str());
    assert_eq!(base, Some(format!("{}/v1", host.own["own"]).as_str()));
}

#[tokio::test]
async fn a_routes_own_socket_is_called_by_the_upstreams_name() {
    let home = Home::new();
    let socket = socket_in(&home);
    let api = with_own_listener(&format!("unix:{}", socket.display())).await;
    let host = api.home.serve().await;
    assert_eq!(host.own["own"], format!("unix:{}", socket.display()));
    let path = socket.to_str().unwrap();
    let called = curl(&api.home, &["--unix-socket", path, "-i", "http://api.example.com/links"]).await;
    // The link is the upstream's own: a client that calls every name through the socket calls that one, too.
    let upstream = api.sandbox.upstream();
    assert!(called.stdout.contains(&format!("link: <{upstream}/links?page=2>; rel=\"next\"")), "{called}");
    // One that knows better is led back to where it was.
    let called = curl(&api.home, &["--unix-socket", path, "-i", "http://localhost/links"]).await;
    assert!(called.stdout.contains("link: <http://localhost/links?page=2>; rel=\"next\""), "{called}");
    api.assert_only_our_key("authorization");
}

#[tokio::test]
async fn two_on_one_listener_are_refused_with_both_places() {
    let api = KeyedApi::with_config(false, |_| {
        "[routes.a]\nconnection = \"api\"\nlisten = \"127.0.0.1:8471\"\n\
         [routes.b]\nconnection = \"api\"\nlisten = \"127.0.0.1:8471\"\n\n"
            .into()
    })
    .await;
    let told = api.home.ccproxy(&["serve", "--listen", "127.0.0.1:0"]).await.expect_code(2);
    let both = "`routes.a.listen` and `routes.b.listen` both want `127.0.0.1:8471`";
    assert!(told.stderr.contains(both), "{told}");
    assert!(told.stderr.contains("config.toml:3:1") && told.stderr.contains("config.toml:6:1"), "{told}");
}

/// Starts `ccproxy serve` as a service manager does: with a socket as descriptor 3.
fn activate(home: &Home, socket: &str, args: &[&str]) -> Program {
    let launcher = format!(
        "import os, socket, sys\n\
         s = {socket}\n\
         os.dup2(s.fileno(), 3)\n\
         os.set_inheritable(3, True)\n\
         os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
         os.execv(sys.argv[1], sys.argv[1:])\n"
    );
    let mut command = home.command(parts::system_program("python3"));
    command.args(["-c", &launcher]).arg(ccproxy()).args(["serve", "--json"]).args(args);
    Program::spawn(command)
}

#[tokio::test]
async fn a_socket_that_was_handed_over_is_served() {
    let api = KeyedApi::new().await;
    let tcp = "socket.create_server(('127.0.0.1', 0))";
    let mut serve = activate(&api.home, tcp, &["--listen", "fd:3"]);
    let line = serve.json_line_with("schema", "ccproxy.serve/1").await;
    let url = line["listen"][0].as_str().unwrap().to_owned();
    assert_eq!(Call::get(&format!("{url}/api/x")).send().await.json()["path"], json!("/x"));
    let flags = fs::read_to_string(format!("/proc/{}/fdinfo/3", serve.pid())).unwrap();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
    let cloexec = u32::from_str_radix(&flags, 8).unwrap() & 0o2_000_000;
    assert_ne!(cloexec, 0, "the programs that the host starts do not get the socket");
    serve.stop().await.expect_success();

    let socket = socket_in(&api.home);
    let unix = format!("socket.socket(socket.AF_UNIX); s.bind('{}'); s.listen()", socket.display());
    let host = activate(&api.home, &unix, &["--listen", "fd:3"]);
    let mut host = host;
    let line = host.json_line_with("schema", "ccproxy.serve/1").await;
    assert_eq!(line["listen"], json!([format!("unix:{}", socket.display())]));
    let path = socket.to_str().unwrap();
    let served = curl(&api.home, &["--unix-socket", path, "http://localhost/api/x"]).await.expect_success();
    assert_eq!(served.json()["path"], json!("/x"));
    host.stop().await.expect_success();
    assert!(socket.exists(), "the service manager keeps its socket");
}

/// What a service manager opens may let everybody in; that alone makes nobody a user of our logins.
#[tokio::test]
async fn another_user_on_a_socket_that_lets_everybody_in_needs_a_key() {
    if !is_root("curl as another user") {
        return;
    }
    let api = KeyedApi::new().await;
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = open.path().join("proxy.sock");
    let made = format!(
        "socket.socket(socket.AF_UNIX); s.bind('{0}'); os.chmod('{0}', 0o777); s.listen()",
        socket.display()
    );
    let mut host = activate(&api.home, &made, &["--listen", "fd:3"]);
    host.json_line_with("schema", "ccproxy.serve/1").await;
    let ask =
        ["curl", "-sS", "-m", "20", "--unix-socket", socket.to_str().unwrap(), "http://localhost/api/x"];
    let mut other = api.home.command("setpriv");
    other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).args(ask).current_dir("/");
    let told = Program::spawn(other).finish().await.expect_success();
    assert_eq!(told.json()["code"], json!("key_required"));
    assert_eq!(api.sandbox.requests().total, 0);
    assert_eq!(curl(&api.home, &ask[4..]).await.expect_success().json()["path"], json!("/x"));
}

#[tokio::test]
async fn a_descriptor_that_will_not_do_is_told() {
    let home = Home::new();
    let told = home.ccproxy(&["serve", "--listen", "fd:3"]).await.expect_code(1);
    assert!(
        told.stderr.contains("error: cannot listen on fd:3: no socket was handed to this process"),
        "{told}"
    );
    assert!(told.stderr.contains("hint: systemd-socket-activate"), "{told}");
    let refused = async |socket: &str, listen: &str| {
        let told = activate(&home, socket, &["--listen", listen]).finish().await;
        let code = told.code();
        let error = told.stderr.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
        let message =
            error.unwrap_or_else(|| panic!("no error\n{told}"))["message"].as_str().unwrap().to_owned();
        (code, message)
    };
    let tcp = "socket.create_server(('127.0.0.1', 0))";
    let (code, message) = refused(tcp, "fd:4").await;
    assert_eq!(
        (code, message.as_str()),
        (1, "cannot listen on fd:4: the sockets handed to this process are fd:3")
    );
    for other in ["socket.socket(type=socket.SOCK_DGRAM)", "socket.socket()", "open('/dev/null')"] {
        let (code, message) = refused(other, "fd:3").await;
        let expected = "cannot listen on fd:3: it is not a listening TCP or Unix socket";
        assert_eq!((code, message.as_str()), (1, expected), "{other}");
    }
    // Whoever opened it: what the whole network reaches needs keys and TLS.
    let (code, message) = refused("socket.create_server(('0.0.0.0', 0))", "fd:3").await;
    assert_eq!(code, 2);
    assert!(message.starts_with("fd:3 is not a loopback address: it is bound to 0.0.0.0:"), "{message}");
}

#[tokio::test]
async fn every_kind_at_once() {
    let api = with_own_listener("127.0.0.1:0").await;
    let unix = format!("unix:{}", socket_in(&api.home).display());
    let host: Host = api.home.serve_with(&["--listen", "127.0.0.1:0", "--listen", &unix]).await;
    assert_eq!((host.listen.len(), host.listen[1].as_str(), host.own.len()), (2, unix.as_str(), 1));
    let socket = api.home.admin_socket();
    let status = ["--unix-socket", socket.to_str().unwrap(), "http://localhost/api/v1/status"];
    let status = curl(&api.home, &status).await.expect_success().json();
    assert_eq!((&status["listen"], &status["route_listeners"]), (&json!(host.listen), &json!(host.own)));
}
