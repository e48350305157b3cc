//! The table of attacks on raw heads, and what honest clients send.

use super::*;
use crate::keys::{KeyFile, NewKey};
use crate::message::{Entry, Field, Lines, Local, Version};
use base64::Engine as _;
use pretty_assertions::assert_eq;

/// A request head as text: the request line, then field lines.
struct Raw {
    method: String,
    target: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Raw {
    fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self { method: method.into(), target: target.as_ref().to_vec(), fields: Vec::new() }
    }

    fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target).with("Host", "127.0.0.1:8462")
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    fn without_host(mut self) -> Self {
        self.fields.retain(|(name, _)| name != b"Host");
        self
    }

    fn judge<T>(&self, guard: &Guard, via: &Via, then: impl FnOnce(Result<Verdict<'_>, Refusal>) -> T) -> T {
        let fields: Vec<_> = self.fields.iter().map(|(name, value)| Field::new(name, value)).collect();
        let head = RequestHead {
            method: self.method.as_bytes(),
            target: &self.target,
            version: Version::Http11,
            authority: None,
            fields: Lines::of(&fields),
        };
        let public = |path: &[u8]| path == b"/_ccproxy/plugins/acme/hook";
        then(guard.admit(&head, via, public, |query| query == b"code=c&state=pending"))
    }

    fn refusal(&self) -> Option<Refusal> {
        self.judge(&Guard::default(), &via(), |verdict| verdict.err())
    }

    /// The names of the fields that may go upstream.
    fn survivors(&self) -> Vec<String> {
        self.judge(&Guard::default(), &via(), |verdict| match verdict.unwrap() {
            Verdict::Enter(admitted) => self
                .fields
                .iter()
                .enumerate()
                .filter(|(index, _)| admitted.fields.contains(*index))
                .map(|(_, (name, _))| String::from_utf8(name.clone()).unwrap())
                .collect(),
            Verdict::Preflight(_) => panic!("a preflight"),
        })
    }
}

fn via() -> Via {
    Via {
        local: Local::Tcp("127.0.0.1:8462".parse().unwrap()),
        dedicated: None,
        http2: false,
        exposed: false,
        entry: Entry::SameUser,
    }
}

#[test]
fn our_own_names_with_our_port_are_let_in() {
    for host in ["127.0.0.1:8462", "localhost:8462", "LOCALHOST:8462", "[::1]:8462", "graph.localhost:8462"] {
        let raw = Raw::get("/graph/me").without_host().with("Host", host);
        assert_eq!(raw.refusal(), None, "{host}");
    }
}

#[test]
fn any_other_name_is_a_rebound_one() {
    for host in [
        "evil.example:8462",
        "127.0.0.1",
        "127.0.0.1:80",
        "localhost:84620",
        "localhost.:8462",
        "127.1:8462",
        "0.0.0.0:8462",
        "[::ffff:127.0.0.1]:8462",
        "[0::1]:8462",
        "a.b.localhost:8462",
        "localhost.evil:8462",
        ".localhost:8462",
    ] {
        let raw = Raw::get("/").without_host().with("Host", host);
        assert_eq!(raw.refusal(), Some(Refusal::HostNotAllowed), "{host}");
    }
    for host in
        ["", "user@localhost:8462", "localhost:", "localhost:8462x", "localhost:8462, evil", "[::1", "a b"]
    {
        let raw = Raw::get("/").without_host().with("Host", host);
        assert!(matches!(raw.refusal(), Some(Refusal::Malformed(_))), "{host}");
    }
}

#[test]
fn there_is_one_host_and_no_second_opinion() {
    assert_eq!(Raw::get("/").without_host().refusal(), Some(Refusal::Malformed("no Host")));
    let twice = Raw::get("/").with("host", "127.0.0.1:8462");
    assert_eq!(twice.refusal(), Some(Refusal::Malformed("more than one Host")));
    assert_eq!(Raw::get("http://evil.example/p/x").refusal(), Some(Refusal::HostNotAllowed));
    assert_eq!(Raw::get("http://127.0.0.1:8462@evil.example/p/x").refusal(), Some(Refusal::HostNotAllowed));
    assert_eq!(Raw::get("http://127.0.0.1:8462/p/x").refusal(), None);
}

#[test]
fn an_allowed_host_is_let_in_on_our_port_or_the_one_it_names() {
    let guard = Guard {
        allowed_hosts: vec!["ccproxy.lan".parse().unwrap(), "front.lan:8080".parse().unwrap()],
        ..Guard::default()
    };
    let admitted = |host: &str| {
        Raw::get("/").without_host().with("Host", host).judge(&guard, &via(), |verdict| verdict.is_ok())
    };
    assert!(admitted("ccproxy.lan") && admitted("CCPROXY.lan:8462") && admitted("front.lan:8080"));
    assert!(!admitted("ccproxy.lan:81") && !admitted("front.lan") && !admitted("front.lan:8462"));
}

#[test]
fn a_page_must_be_ours_or_allowed() {
    let guard = Guard { allowed_origins: vec!["https://app.example".into()], ..Guard::default() };
    let enters = |raw: Raw| raw.judge(&guard, &via(), |verdict| verdict.map(|_| ()));
    let refused = Err(Refusal::OriginNotAllowed);

    assert_eq!(enters(Raw::get("/").with("Origin", "http://127.0.0.1:8462")), Ok(()));
    assert_eq!(
        enters(Raw::get("/").with("Origin", "https://app.example").with("Sec-Fetch-Site", "cross-site")),
        Ok(())
    );
    assert_eq!(enters(Raw::get("/").with("Sec-Fetch-Site", "none")), Ok(()));
    assert_eq!(enters(Raw::get("/").with("Sec-Fetch-Site", "same-origin")), Ok(()));
    for origin in [
        "null",
        "https://evil.example",
        "http://localhost:8462",
        "https://app.example.evil",
        "http://app.example",
    ] {
        assert_eq!(enters(Raw::get("/").with("Origin", origin)), refused, "{origin}");
    }
    for site in ["cross-site", "same-site", "whatever"] {
        assert_eq!(enters(Raw::get("/").with("Sec-Fetch-Site", site)), refused, "{site}");
    }
    let twice = Raw::get("/").with("Origin", "https://app.example").with("Origin", "https://evil.example");
    assert_eq!(enters(twice), refused);
}

#[test]
fn a_preflight_of_an_allowed_origin_is_ours_to_answer() {
    let guard = Guard { allowed_origins: vec!["https://app.example".into()], ..Guard::default() };
    let raw = Raw::new("OPTIONS", "/graph/me")
        .with("Host", "127.0.0.1:8462")
        .with("Origin", "https://app.example")
        .with("Access-Control-Request-Method", "PUT");
    raw.judge(&guard, &via(), |verdict| match verdict.unwrap() {
        Verdict::Preflight(preflight) => {
            assert_eq!(preflight, Preflight { origin: b"https://app.example", method: b"PUT", fields: None });
        }
        Verdict::Enter(_) => panic!("it was let through"),
    });
}

#[test]
fn a_stranger_needs_a_key_unless_the_door_is_open() {
    let stranger = Via { entry: Entry::Stranger, ..via() };
    let refusal = |access| {
        let guard = Guard { access, ..Guard::default() };
        Raw::get("/").judge(&guard, &stranger, |verdict| verdict.err())
    };
    assert_eq!(refusal(Access::SameUser), Some(Refusal::KeyRequired));
    assert_eq!(refusal(Access::Open), None);
}

/// A guard with two keys in force: for everything, and for the route `gh` only.
struct Keyed {
    _home: tempfile::TempDir,
    guard: Guard,
    full: String,
    limited: String,
}

impl Keyed {
    fn new(access: Access) -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = KeyFile::at(home.path().join("keys.json"));
        let text = |key: NewKey| String::from_utf8(key.text.expose().to_vec()).unwrap();
        let full = text(file.create("full".parse().unwrap(), None, false).unwrap());
        let gh = vec!["gh".parse().unwrap()];
        let limited = text(file.create("limited".parse().unwrap(), Some(gh), false).unwrap());
        let keys = Keys::of(file);
        keys.reload().unwrap();
        let guard = Guard { access, keys: Arc::new(keys), ..Guard::default() };
        Self { _home: home, guard, full, limited }
    }

    /// The name of the key that a request of these fields enters with.
    fn entered(&self, via: &Via, fields: &[(&str, &str)]) -> Result<Option<String>, Refusal> {
        let raw = fields.iter().fold(Raw::get("/gh/x"), |raw, (name, value)| raw.with(name, value));
        raw.judge(&self.guard, via, |verdict| match verdict? {
            Verdict::Enter(admitted) => Ok(admitted.key.map(|key| key.name.to_string())),
            Verdict::Preflight(_) => panic!("a preflight"),
        })
    }
}

fn basic(user: &str, password: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

#[test]
fn a_key_is_found_wherever_tools_put_the_key_of_their_api() {
    let house = Keyed::new(Access::Key);
    let full = house.full.as_str();
    let mut bad = full.to_owned();
    bad.replace_range(10..11, if &full[10..11] == "x" { "y" } else { "x" });
    for field in [
        ("Authorization", format!("Bearer {full}")),
        ("authorization", format!("bearer {full}")),
        ("Authorization", format!("token {full}")),
        ("Authorization", full.to_owned()),
        ("Authorization", basic("x-access-token", full)),
        ("Authorization", basic(full, "")),
        ("x-api-key", full.to_owned()),
        ("X_Api_Key", full.to_owned()),
        ("x-goog-api-key", full.to_owned()),
        ("x-a-name-that-only-this-provider-has", full.to_owned()),
    ] {
        let fields = [(field.0, field.1.as_str())];
        assert_eq!(house.entered(&via(), &fields), Ok(Some("full".into())), "{fields:?}");
        let wrong = [(field.0, bad.as_str())];
        assert_eq!(house.entered(&via(), &wrong), Err(Refusal::KeyInvalid), "{wrong:?}");
    }
    let beside = [("authorization", "Bearer sk-real"), ("x-api-key", house.limited.as_str())];
    assert_eq!(house.entered(&via(), &beside), Ok(Some("limited".into())));
}

#[test]
fn who_sends_no_key_is_told_so_and_who_sends_another_credential_too() {
    let house = Keyed::new(Access::Key);
    let placeholder = basic("x", PLACEHOLDER);
    let none = ["", "Bearer ", "Bearer ccproxy-local", &placeholder];
    assert_eq!(house.entered(&via(), &[]), Err(Refusal::KeyRequired));
    for value in none {
        let fields = [("authorization", value)];
        assert_eq!(house.entered(&via(), &fields), Err(Refusal::KeyRequired), "{value}");
    }
    let elsewhere = format!("Bearer {}", house.full);
    let fields = [("proxy-authorization", elsewhere.as_str())];
    assert_eq!(house.entered(&via(), &fields), Err(Refusal::KeyRequired));
    for value in ["Bearer sk-real", "Bearer ccp_short", "Basic !", "Basic eDp5"] {
        let fields = [("authorization", value)];
        assert_eq!(house.entered(&via(), &fields), Err(Refusal::KeyInvalid), "{value}");
    }
}

#[test]
fn who_needs_a_key_depends_on_the_access_and_on_the_peer() {
    let stranger = Via { entry: Entry::Stranger, ..via() };
    let exposed = Via { exposed: true, ..via() };
    for (access, via, asked) in [
        (Access::SameUser, via(), false),
        (Access::SameUser, stranger.clone(), true),
        (Access::Key, via(), true),
        (Access::Key, stranger.clone(), true),
        (Access::Open, via(), false),
        (Access::Open, stranger, false),
        // While a listener is about to be closed by a reload.
        (Access::Open, exposed.clone(), true),
        (Access::SameUser, exposed, true),
    ] {
        let house = Keyed::new(access);
        let without = if asked { Err(Refusal::KeyRequired) } else { Ok(None) };
        assert_eq!(house.entered(&via, &[]), without, "{access:?} {via:?}");
        let with = asked.then(|| "full".to_owned());
        let fields = [("x-api-key", house.full.as_str())];
        assert_eq!(house.entered(&via, &fields), Ok(with), "{access:?} {via:?}");
    }
}

#[test]
fn a_limited_key_says_which_routes_it_opens() {
    let house = Keyed::new(Access::Key);
    let raw = Raw::get("/").with("x-api-key", &house.limited);
    raw.judge(&house.guard, &via(), |verdict| match verdict.unwrap() {
        Verdict::Enter(admitted) => {
            let gh = "gh".parse().unwrap();
            assert!(admitted.is_limited() && admitted.may_use(&gh));
            assert!(!admitted.may_use(&"graph".parse().unwrap()));
        }
        Verdict::Preflight(_) => panic!("a preflight"),
    });
}

#[test]
fn a_key_goes_no_further_whether_it_was_needed_or_not() {
    for access in [Access::SameUser, Access::Key] {
        let house = Keyed::new(access);
        let raw = Raw::get("/gh/x").with("x-own", &house.full).with("accept", "*/*");
        raw.judge(&house.guard, &via(), |verdict| match verdict.unwrap() {
            Verdict::Enter(admitted) => {
                let kept: Vec<bool> = (0..3).map(|index| admitted.fields.contains(index)).collect();
                assert_eq!(kept, [false, false, true], "host, key, accept");
            }
            Verdict::Preflight(_) => panic!("a preflight"),
        });
    }
}

#[test]
fn a_stranger_may_ask_for_a_public_path_as_it_is_written_and_for_nothing_near_it() {
    let stranger = Via { entry: Entry::Stranger, ..via() };
    let refusal = |raw: Raw, via: &Via| raw.judge(&Guard::default(), via, |verdict| verdict.err());
    assert_eq!(refusal(Raw::get("/_ccproxy/plugins/acme/hook?x=1"), &stranger), None);
    for path in [
        "/_ccproxy/plugins/acme/hook/",
        "/_ccproxy/plugins/acme/./hook",
        "/_ccproxy/plugins/acme/%68ook",
        "/_ccproxy/plugins/acme/hook/../status",
        "//_ccproxy/plugins/acme/hook",
    ] {
        assert_eq!(refusal(Raw::get(path), &stranger), Some(Refusal::KeyRequired), "{path}");
    }
    // At a route's own listener or name the same path is the route's.
    let dedicated = Via { dedicated: Some("graph".parse().unwrap()), ..stranger.clone() };
    assert_eq!(refusal(Raw::get("/_ccproxy/plugins/acme/hook"), &dedicated), Some(Refusal::KeyRequired));
    let named = Raw::new("GET", "/_ccproxy/plugins/acme/hook").with("Host", "graph.localhost:8462");
    assert_eq!(refusal(named, &stranger), Some(Refusal::KeyRequired));
    // A web page and a foreign name are refused here as anywhere.
    let page = Raw::get("/_ccproxy/plugins/acme/hook").with("Origin", "https://evil.example");
    assert_eq!(refusal(page, &stranger), Some(Refusal::OriginNotAllowed));
}

#[test]
fn a_browser_that_comes_back_from_a_login_that_waits_enters_and_nothing_like_it() {
    let back = |method: &str, target: &str| {
        let head = Raw::new(method, target).with("Host", "127.0.0.1:8462");
        head.with("Sec-Fetch-Site", "cross-site").with("Sec-Fetch-Mode", "navigate")
    };
    let callback = "/_ccproxy/callback?code=c&state=pending";
    let browser = || back("GET", callback).with("Sec-Fetch-Dest", "document");
    assert_eq!(browser().refusal(), None);
    // It has no key to send, whatever `server.access` says and whosever browser it is.
    let stranger = Via { entry: Entry::Stranger, ..via() };
    assert_eq!(browser().judge(&Guard::default(), &stranger, |verdict| verdict.err()), None);

    let own = Via { dedicated: Some("acme".parse().unwrap()), ..via() };
    let at_a_route = browser().judge(&Guard::default(), &own, |verdict| verdict.err());
    assert_eq!(at_a_route, Some(Refusal::OriginNotAllowed));
    for (what, raw) in [
        ("another state", back("GET", "/_ccproxy/callback?code=c&state=other")),
        ("no state", back("GET", "/_ccproxy/callback")),
        ("another path", back("GET", "/_ccproxy/callback/?code=c&state=pending")),
        ("a route", back("GET", "/acme/?code=c&state=pending")),
        ("a form", back("POST", callback)),
        ("a form with its origin", browser().with("Origin", "https://id.example")),
        ("a frame", back("GET", callback).with("Sec-Fetch-Dest", "iframe")),
        ("a script", back("GET", callback).with("Sec-Fetch-Mode", "no-cors")),
        ("a prefetch", browser().with("Sec-Purpose", "prefetch;prerender")),
    ] {
        assert_eq!(raw.refusal(), Some(Refusal::OriginNotAllowed), "{what}");
    }
    let rebound = Raw::new("GET", callback).with("Host", "evil.example:8462");
    assert_eq!(rebound.refusal(), Some(Refusal::HostNotAllowed));
}

#[test]
fn the_authority_is_judged_first_then_the_page_then_the_peer() {
    let stranger = Via { entry: Entry::Stranger, ..via() };
    let refusal = |raw: Raw| raw.judge(&Guard::default(), &stranger, |verdict| verdict.err()).unwrap();
    let worst = || Raw::new("TRACE", "/../x").with("Expect", "junk");
    let host = |raw: Raw, host: &str| raw.with("Host", host);
    assert_eq!(refusal(host(worst(), "evil").with("Origin", "null")), Refusal::HostNotAllowed);
    assert_eq!(refusal(host(worst(), "localhost:8462").with("Origin", "null")), Refusal::OriginNotAllowed);
    assert_eq!(refusal(host(worst(), "localhost:8462")), Refusal::KeyRequired);
}

#[test]
fn trace_and_connect_are_not_offered() {
    for method in ["TRACE", "CONNECT"] {
        let raw = Raw::new(method, "/graph/me").with("Host", "127.0.0.1:8462");
        assert!(matches!(raw.refusal(), Some(Refusal::MethodNotAllowed { .. })), "{method}");
    }
}

#[test]
fn a_target_that_two_servers_might_read_in_two_ways_is_refused() {
    for target in [
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/..%2fb",
        "/..;/b",
        "/a#b",
        "/a\\b",
        "/a b",
        "/a\0",
        "/a\x7f",
        "/caf\u{e9}",
        "*",
        "a/b",
        "",
        "/a?q=\u{e9}",
    ] {
        assert!(matches!(Raw::get(target).refusal(), Some(Refusal::Malformed(_))), "{target:?}");
    }
    for target in ["/p@evil/x", "/p:80@evil", "//evil/x", "/p//x", "/a%20b?q=%2e%2e/../x", "/v1.0/me"] {
        assert_eq!(Raw::get(target).refusal(), None, "{target:?}");
    }
}

#[test]
fn limits_are_limits() {
    assert_eq!(Raw::get("/".repeat(MAX_TARGET + 1)).refusal(), Some(Refusal::TargetTooLong));
    let many = (0..MAX_FIELDS).fold(Raw::get("/"), |raw, n| raw.with(&format!("x-{n}"), ""));
    assert_eq!(many.refusal(), Some(Refusal::HeadTooLarge));
    assert_eq!(Raw::get("/").with("x", &"y".repeat(MAX_FIELD_BYTES)).refusal(), Some(Refusal::HeadTooLarge));
}

#[test]
fn nobody_expects_but_to_go_on() {
    assert_eq!(Raw::get("/").with("Expect", "100-Continue").refusal(), None);
    assert_eq!(Raw::get("/").with("Expect", "junk").refusal(), Some(Refusal::ExpectationFailed));
}

#[test]
fn hop_by_hop_fields_and_client_credentials_are_gone() {
    let raw = Raw::get("/")
        .with("Accept", "*/*")
        .with("Connection", "keep-alive, X-Nominated, accept-language")
        .with("Connection", "")
        .with("Keep-Alive", "timeout=5")
        .with("TE", "gzip")
        .with("Trailer", "x")
        .with("Upgrade", "h2c")
        .with("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
        .with("Proxy-Authorization", "Basic x")
        .with("Proxy-Connection", "keep-alive")
        .with("X-Nominated", "1")
        .with("Accept-Language", "en")
        .with("Authorization", "Bearer dummy")
        .with("aUTHORIZATION", "Bearer second")
        .with("X_Api_Key", "dummy")
        .with("x-api-key", "dummy")
        .with("Api-Key", "dummy")
        .with("X-Goog-Api-Key", "dummy")
        .with("Private-Token", "dummy")
        .with("X-Forwarded-For", "10.0.0.1")
        .with("X_Forwarded_Prefix", "/x")
        .with("Forwarded", "for=x")
        .with("X-Original-URL", "/admin")
        .with("Content-Type", "text/plain")
        .with("Referer", "https://docs.example");
    assert_eq!(raw.survivors(), ["Accept", "Content-Type", "Referer"]);
}

#[test]
fn what_a_browser_says_about_our_own_page_stays_here() {
    let raw = Raw::get("/")
        .with("Origin", "http://127.0.0.1:8462")
        .with("Referer", "http://127.0.0.1:8462/")
        .with("Sec-Fetch-Site", "same-origin")
        .with("Sec-Fetch-Mode", "cors")
        .with("Accept", "*/*");
    assert_eq!(raw.survivors(), ["Accept"]);
}

#[test]
fn only_a_plain_websocket_handshake_is_one() {
    let websocket = |raw: Raw| {
        raw.judge(&Guard::default(), &via(), |verdict| match verdict {
            Ok(Verdict::Enter(admitted)) => admitted.websocket,
            _ => false,
        })
    };
    let upgrade = |to: &str| Raw::get("/ws").with("Connection", "keep-alive, Upgrade").with("Upgrade", to);
    assert!(websocket(upgrade("WebSocket")));
    assert!(!websocket(upgrade("h2c")));
    assert!(!websocket(upgrade("websocket, h2c")));
    assert!(!websocket(upgrade("websocket").with("Upgrade", "h2c")));
    assert!(!websocket(Raw::get("/ws").with("Upgrade", "websocket")));
    let with_body = upgrade("websocket").with("Content-Length", "5");
    assert!(matches!(with_body.refusal(), Some(Refusal::Malformed(_))));
}

/// What a request to `host` gets over a Unix socket, its own route's or everybody's.
fn over_unix(host: &str, dedicated: Option<&str>) -> Result<String, Refusal> {
    let dedicated = dedicated.map(|route| route.parse().unwrap());
    let via = Via { local: Local::Unix, dedicated, http2: false, exposed: false, entry: Entry::SameUser };
    let raw = Raw::get("/user").without_host().with("Host", host);
    raw.judge(&Guard::default(), &via, |verdict| match verdict? {
        Verdict::Enter(admitted) => Ok(format!("{:?}", admitted.addressee)),
        Verdict::Preflight(_) => panic!("a preflight"),
    })
}

#[test]
fn a_socket_of_one_route_is_called_by_any_name() {
    assert_eq!(over_unix("api.github.com", Some("gh")), Ok("Upstream".into()));
    assert_eq!(over_unix("127.0.0.1:9000", Some("gh")), Ok("Host".into()));
    assert_eq!(over_unix("localhost", Some("gh")), Ok("Host".into()));
    assert!(matches!(over_unix("a@b", Some("gh")), Err(Refusal::Malformed(_))));
}

#[test]
fn a_socket_of_all_routes_has_no_port_but_our_names_only() {
    assert_eq!(over_unix("localhost", None), Ok("Host".into()));
    assert_eq!(over_unix("localhost:8462", None), Ok("Host".into()));
    assert_eq!(over_unix("graph.localhost", None), Ok("Route(\"graph\")".into()));
    assert_eq!(over_unix("api.github.com", None), Err(Refusal::HostNotAllowed));
}

#[test]
fn a_port_of_one_route_is_called_by_our_names_only() {
    let via = Via { dedicated: Some("gh".parse().unwrap()), ..via() };
    let raw = Raw::get("/user").without_host().with("Host", "api.github.com");
    let refused = raw.judge(&Guard::default(), &via, |verdict| verdict.err());
    assert_eq!(refused, Some(Refusal::HostNotAllowed), "a page whose name was rebound reaches a port");
}
