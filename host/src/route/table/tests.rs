use super::*;
use crate::credential::Cell;
use crate::fault::{Code, Fault};
use crate::guard::{Guard, Verdict};
use crate::message::{Entry, Field, Lines, Local, RequestHead, Version};
use crate::model::{ConnectionId, CredentialKey, Target};
use crate::route::{Destination, Forward, Methods, Policy, Unavailable};
use crate::upstream::connect::{Connector, ConnectorOptions};
use pretty_assertions::assert_eq;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn route(text: &str) -> Route {
    let key = CredentialKey { connection: ConnectionId::global(name(text)), target: Target::default() };
    let connector = Arc::new(Connector::new(&ConnectorOptions::default()).unwrap());
    let base = "https://api.example.com/v1.0".parse().unwrap();
    Route {
        name: name(text),
        path: name(text),
        written_at: None,
        connection: Some(ConnectionId::global(name(text))),
        provider: None,
        policy: Policy::default(),
        forward: Forward::To(Arc::new(Destination::new(base, Arc::new(Cell::new(key)), connector))),
        meter: Default::default(),
    }
}

fn table(routes: Vec<Route>) -> RouteTable {
    RouteTable::build(routes, [""; 0]).unwrap()
}

/// What is found, in words.
fn look_up(table: &RouteTable, method: &str, host: &str, path: &str) -> Result<String, Refusal> {
    look_up_via(table, None, method, host, path)
}

fn look_up_via(
    table: &RouteTable,
    dedicated: Option<Name>,
    method: &str,
    host: &str,
    path: &str,
) -> Result<String, Refusal> {
    let via = Via {
        exposed: false,
        local: Local::Tcp("127.0.0.1:8462".parse().unwrap()),
        dedicated,
        http2: false,
        entry: Entry::SameUser,
    };
    let fields = [Field::new(b"host", host.as_bytes())];
    let head = RequestHead {
        method: method.as_bytes(),
        target: path.as_bytes(),
        version: Version::Http11,
        authority: None,
        fields: Lines::of(&fields),
    };
    let Verdict::Enter(admitted) = Guard::default().admit(&head, &via, |_| false, |_| false).unwrap() else {
        panic!("a preflight");
    };
    match table.find(&admitted, &via)? {
        Found::Route { route, rest, mount } => {
            route.destination(admitted.method)?;
            Ok(format!("{} {mount:?} {}", route.name, String::from_utf8_lossy(rest)))
        }
        Found::MissingSlash { location } => Ok(format!("-> {}", String::from_utf8_lossy(&location))),
        Found::Own(own) => Ok(format!("{own:?}")),
    }
}

const HOST: &str = "127.0.0.1:8462";

#[test]
fn the_first_segment_names_the_route_and_the_rest_is_untouched() {
    let table = table(vec![route("graph"), route("github")]);
    let found = |path| look_up(&table, "GET", HOST, path).unwrap();
    assert_eq!(found("/graph/me?x=%2F"), "graph Path /me");
    assert_eq!(found("/graph/"), "graph Path /");
    assert_eq!(found("/github//a%2Fb/"), "github Path //a%2Fb/");
    assert_eq!(found("/graph?a=b"), "-> /graph/?a=b");
}

#[test]
fn what_no_route_has_is_told_with_the_names_that_exist() {
    let table = table(vec![route("graph"), route("github")]);
    for path in
        ["/graphs/me", "/Graph/me", "/%67raph/me", "//graph/me", "/graph@evil/x", "/_ccproxy", "/_ccproxy/x"]
    {
        let refusal = look_up(&table, "GET", HOST, path).unwrap_err();
        assert_eq!(refusal, Refusal::NoSuchRoute { hint: "the routes are github, graph".into() }, "{path}");
    }
}

#[test]
fn among_thousands_of_routes_each_is_found_and_a_wrong_name_is_told_the_first() {
    let many: Vec<_> = (0..5_000).map(|n| route(&format!("r{n}"))).collect();
    let table = table(many);
    assert_eq!(look_up(&table, "GET", HOST, "/r4321/x").unwrap(), "r4321 Path /x");
    assert_eq!(look_up(&table, "GET", "R4321.localhost:8462", "/x").unwrap(), "r4321 Root /x");
    let Err(Refusal::NoSuchRoute { hint }) = look_up(&table, "GET", HOST, "/zzz/") else {
        panic!("no route")
    };
    assert!(hint.starts_with("the routes are r0, r1, ") && hint.ends_with(" and 4980 more"), "{hint}");
}

#[test]
fn a_field_that_every_connection_names_is_looked_for_once() {
    let said = ["x-api-key", "Authorization", "x_api_key", "authorization"];
    let table = RouteTable::build(vec![], said).unwrap();
    let fields: Vec<_> = table.credential_fields().collect();
    assert_eq!(fields, [&b"authorization"[..], b"x-api-key"]);
}

#[test]
fn a_host_of_its_own_or_a_listener_of_its_own_mounts_a_route_at_the_root() {
    let table = table(vec![route("graph")]);
    assert_eq!(look_up(&table, "GET", "graph.localhost:8462", "/me").unwrap(), "graph Root /me");
    assert_eq!(look_up(&table, "GET", "GRAPH.localhost:8462", "/").unwrap(), "graph Root /");
    assert!(look_up(&table, "GET", "other.localhost:8462", "/graph/me").is_err());
    let dedicated = look_up_via(&table, Some(name("graph")), "GET", HOST, "/_ccproxy/livez");
    assert_eq!(dedicated.unwrap(), "graph Root /_ccproxy/livez");
}

#[test]
fn some_paths_are_our_own() {
    let table = table(vec![]);
    let found = |path| look_up(&table, "GET", HOST, path).unwrap();
    assert_eq!(found("/"), "Index");
    assert_eq!(found("/_ccproxy/livez"), "Live");
    assert_eq!(found("/_ccproxy/readyz"), "Ready");
    assert_eq!(found("/_ccproxy/callback?state=x"), "Callback");
    assert_eq!(
        found("/_ccproxy/plugins/acme/hook"),
        "Plugin { id: \"acme\", rest: [47, 104, 111, 111, 107] }"
    );
    assert!(matches!(look_up(&table, "POST", HOST, "/"), Err(Refusal::MethodNotAllowed { .. })));
}

#[test]
fn a_route_may_allow_few_methods() {
    let mut only_get = route("graph");
    only_get.policy.methods = Methods::new(["GET"]).unwrap();
    let table = table(vec![only_get]);
    assert!(look_up(&table, "GET", HOST, "/graph/").is_ok());
    let refusal = look_up(&table, "POST", HOST, "/graph/").unwrap_err();
    assert_eq!(refusal, Refusal::MethodNotAllowed { allow: "GET".into() });
}

#[test]
fn a_route_that_leads_nowhere_says_why() {
    let mut broken = route("acme");
    let fault = Fault::new(Code::PluginMissing, "no plugin has the provider acme");
    broken.forward = Forward::Nowhere(Unavailable::Fault(fault.clone()));
    let mut bare = route("corp");
    bare.forward = Forward::Nowhere(Unavailable::NoUpstream { key: "connections.corp.upstream".into() });
    let table = table(vec![broken, bare]);
    assert_eq!(look_up(&table, "GET", HOST, "/acme/").unwrap_err(), Refusal::Credential(fault));
    let hint = "corp has no upstream: set `connections.corp.upstream`".into();
    assert_eq!(look_up(&table, "GET", HOST, "/corp/").unwrap_err(), Refusal::NoSuchRoute { hint });
}

#[test]
fn a_written_route_beats_an_automatic_one_and_two_written_ones_conflict() {
    let written = |text: &str, path: &str, at: &str| {
        let mut route = route(text);
        route.path = name(path);
        route.written_at = Some(at.into());
        route
    };
    let table = table(vec![route("github"), written("work", "github", "config.toml:3")]);
    assert_eq!(look_up(&table, "GET", HOST, "/github/x").unwrap(), "work Path /x");
    assert_eq!(look_up(&table, "GET", "github.localhost:8462", "/x").unwrap(), "github Root /x");

    let both = vec![written("a", "x", "config.toml:3"), written("b", "x", "conf.d/b.toml:1")];
    let conflict = RouteTable::build(both, [""; 0]).err().unwrap();
    assert_eq!(conflict.to_string(), "two routes have the path `x`: config.toml:3 and conf.d/b.toml:1");
}
