use super::*;
use crate::message::Field;
use crate::model::UnixMillis;
use http::{HeaderName, HeaderValue};
use pretty_assertions::assert_eq;

fn credential() -> Prepared {
    let mut token = HeaderValue::from_static("Bearer tok-0123456789");
    token.set_sensitive(true);
    Prepared {
        fields: vec![
            (HeaderName::from_static("authorization"), token),
            (HeaderName::from_static("openai-organization"), HeaderValue::from_static("org-0123456789")),
        ],
        query: vec![],
        expires_at: None,
        generation: 1,
        acquired_at: UnixMillis(0),
    }
}

fn client() -> Client<'static> {
    Client { authority: b"localhost:8462", path: "up", mount: Mount::Path, cors: None, websocket: false }
}

fn plan(status: u16, fields: &[(&str, &str)], client: &Client<'_>, policy: &Policy) -> ResponsePlan {
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes())).collect();
    let head = ResponseHead { status, fields: Lines::of(&fields) };
    relay(&head, client, &"https://up.example".parse().unwrap(), policy, &credential())
}

/// The names that pass, and what is added.
fn passed(fields: &[(&str, &str)], client: &Client<'_>, policy: &Policy) -> (Vec<String>, Vec<String>) {
    let ResponsePlan::Relay(plan) = plan(200, fields, client, policy) else { panic!("not relayed") };
    let names = (0..fields.len()).filter(|at| plan.fields.contains(*at)).map(|at| fields[at].0.to_owned());
    let added = plan.added.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)));
    (names.collect(), added.collect())
}

#[test]
fn a_body_that_is_rewritten_comes_without_statements_about_its_bytes() {
    let fields = [
        ("Content-Type", "application/json"),
        ("Content-Length", "3"),
        ("Content-MD5", "x"),
        ("ETag", "\"x\""),
    ];
    let policy = Policy { rewrite_json: std::sync::Arc::from(["next".to_owned()]), ..Policy::default() };
    assert_eq!(passed(&fields, &client(), &policy).0, ["Content-Type", "ETag"]);
    assert_eq!(passed(&fields, &client(), &Policy::default()).0.len(), fields.len());
}

#[test]
fn what_concerns_this_hop_or_this_origin_stays_behind() {
    let fields = [
        ("Content-Type", "text/plain"),
        ("Content-Length", "3"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Upgrade", "h2c"),
        ("Trailer", "x"),
        ("Set-Cookie", "a=b"),
        ("Alt-Svc", "h3=\":443\""),
        ("Strict-Transport-Security", "max-age=1"),
        ("Clear-Site-Data", "\"cookies\""),
        ("Access-Control-Allow-Origin", "*"),
        ("ccproxy-error", "internal"),
        ("CCProxy-Request-Id", "forged"),
        ("WWW-Authenticate", "Bearer"),
        ("ETag", "\"x\""),
    ];
    let (names, added) = passed(&fields, &client(), &Policy::default());
    assert_eq!(names, ["Content-Type", "Content-Length", "WWW-Authenticate", "ETag"]);
    assert_eq!(added, [""; 0]);
}

#[test]
fn a_length_beside_chunks_is_dropped() {
    let fields = [("Content-Length", "3"), ("Transfer-Encoding", "chunked")];
    assert_eq!(passed(&fields, &client(), &Policy::default()).0, [""; 0]);
}

#[test]
fn cookies_pass_where_the_route_says_so() {
    let policy = Policy { cookies: Cookies::Pass, ..Policy::default() };
    assert_eq!(passed(&[("set-cookie", "a=b")], &client(), &policy).0, ["set-cookie"]);
}

#[test]
fn a_field_that_reflects_the_token_is_dropped_and_one_that_reflects_a_name_is_not() {
    let fields = [
        ("x-debug", "authorization=Bearer tok-0123456789;"),
        ("x-raw", "tok-0123456789"),
        ("openai-organization", "org-0123456789"),
    ];
    assert_eq!(passed(&fields, &client(), &Policy::default()).0, ["openai-organization"]);
}

#[test]
fn links_lead_back_to_us_where_the_route_wants_that() {
    let fields =
        [("Location", "https://up.example/a"), ("Link", "</b>; rel=next"), ("Content-Location", "c")];
    let (names, added) = passed(&fields, &client(), &Policy::default());
    assert_eq!(names, ["Content-Location"]);
    assert_eq!(
        added,
        ["location: http://localhost:8462/up/a", "link: <http://localhost:8462/up/b>; rel=next"]
    );

    let mut plain = Policy::default();
    plain.rewrite.location = false;
    plain.rewrite.link = false;
    assert_eq!(passed(&fields, &client(), &plain).0, ["Location", "Link", "Content-Location"]);
}

#[test]
fn an_allowed_page_may_read_the_answer() {
    let page = Client { cors: Some(b"https://app.example"), ..client() };
    let (_, added) = passed(&[("access-control-allow-origin", "*")], &page, &Policy::default());
    assert_eq!(added, ["access-control-allow-origin: https://app.example", "vary: Origin"]);
}

#[test]
fn a_101_is_passed_on_only_to_who_asked_for_a_websocket() {
    let agreed = [("upgrade", "WebSocket"), ("connection", "Upgrade")];
    let asked = Client { websocket: true, ..client() };
    let plan = |fields: &[(&str, &str)], client| plan(101, fields, client, &Policy::default());
    assert!(matches!(plan(&agreed, &asked), ResponsePlan::Tunnel(_)));
    for (fields, client) in [(&agreed[..], &client()), (&[("upgrade", "h2c")][..], &asked), (&[][..], &asked)]
    {
        assert!(matches!(plan(fields, client), ResponsePlan::Fail(Refusal::UpstreamProtocol)));
    }
}

#[test]
fn a_status_that_is_none_is_a_broken_upstream() {
    for status in [0, 100, 600, 999] {
        let plan = plan(status, &[], &client(), &Policy::default());
        assert!(matches!(plan, ResponsePlan::Fail(Refusal::UpstreamProtocol)), "{status}");
    }
}
