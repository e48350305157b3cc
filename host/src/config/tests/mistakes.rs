use pretty_assertions::assert_eq;

use super::*;
use crate::fault::{Code, Fault};

/// The transcript that was promised.
#[test]
fn mistakes_are_told_together_with_their_places() {
    let home = Home::with("[connections.github]\nprovider = \"github\"\n\n[routes.github]\nconnection = \"github\"\ntime_out = \"30s\"\n")
        .var("CCPROXY_SERVER__LISTEN", "127.0.0.1:80800");
    let expected = "\
error: unknown key `time_out` in [routes.github]
  ┌ config/config.toml:6:1
 6│ time_out = \"30s\"
  │ ^^^^^^^^ did you mean `timeout`?
error: `server.listen` = \"127.0.0.1:80800\" is not an address with a port from 0 to 65535, such as \"127.0.0.1:8462\"
  ┌ environment CCPROXY_SERVER__LISTEN
2 errors in 2 sources
";
    assert_eq!(home.mistakes(), expected);
}

#[test]
fn a_mistake_is_one_line_for_programs() {
    let home = Home::with("[server]\nworker = 1\n");
    let error = Config::load(&home.sources()).err().unwrap();
    let fault = Fault::from(error);
    assert_eq!(fault.code, Code::InvalidConfig);
    assert_eq!(home.cut(&fault.message), "unknown key `worker` in [server] (config/config.toml:2:1)");
    assert_eq!(fault.hint.as_deref(), Some("did you mean `workers`?"));
}

/// One wrong value each, and what its message must name.
#[test]
fn every_mistake_names_key_value_and_expectation() {
    for (text, place, message) in [
        ("serverr = 1", "1:1", "unknown key `serverr`"),
        ("server = 1", "1:1", "`server` is an integer, not a table"),
        (
            "[server]\nworkers = \"4\"",
            "2:11",
            "`server.workers` = \"4\" is not a whole number from 0 to 1024",
        ),
        ("[server]\nworkers = -1", "2:11", "`server.workers` = -1 is not a whole number from 0 to 1024"),
        ("[server]\nhttp2 = \"on\"", "2:9", "`server.http2` = \"on\" is not true or false"),
        ("[server]\nlisten = \"127.0.0.1:1\"", "2:10", "`server.listen` = \"127.0.0.1:1\" is not a list"),
        (
            "[server]\nlisten = [\"a\",\n \"127.0.0.1:1\"]",
            "2:11",
            "`server.listen` = \"a\" is not an address",
        ),
        ("[server]\naccess = \"opn\"", "2:10", "is not one of \"same-user\", \"key\", \"open\""),
        ("[server]\ndrain_timeout = 30", "2:17", "is not a duration such as"),
        ("[refresh]\nsweep = \"0s\"", "2:9", "is not a duration above 0"),
        ("[refresh]\njitter = \"150%\"", "2:10", "is not a share from"),
        ("[refresh]\nahead = \"soon\"", "2:9", "is not a share such as"),
        ("[admin]\nlisten = \"8462\"", "2:10", "is not \"off\" or an address"),
        ("[connections.A]\nprovider = \"x\"", "1:14", "`A` is not a name"),
        ("[connections.a]\nclient_id = \"x\"", "1:14", "[connections.a] has no `provider`"),
        ("[connections.a]\nprovider = \"x\"\nupstream = \"http://api.example\"", "3:12", "in the clear"),
        (
            "[connections.a]\nprovider = \"x\"\ntoken_endpoint = \"http://id.example/token\"",
            "3:18",
            "in the clear",
        ),
        ("[connections.a]\nprovider = \"x\"\napi_url = \"http://api.example\"", "3:11", "in the clear"),
        ("[routes.r]\nupstream = \"https://a.example\"", "1:9", "[routes.r] has no `connection`"),
        ("[routes.r]\nconnection = \"a\"\nmethods = [\"TRACE\"]", "3:12", "\"TRACE\" is never passed on"),
        ("[routes.r]\nconnection = \"a\"\npath = \"a/b\"", "3:8", "is not one path segment"),
        ("[server]\nworkers = 1\nworkers = 2", "3:1", "not TOML: duplicate key"),
        ("[server", "1:8", "not TOML: "),
    ] {
        let told = Home::with(text).mistakes();
        assert!(told.contains(message), "{text}\n{told}");
        assert!(told.contains(&format!("┌ config/config.toml:{place}\n")), "{text}: {place}\n{told}");
    }
}

#[test]
fn mistakes_in_variables_and_flags_name_them() {
    for (home, message, place) in [
        (
            Home::new().var("CCPROXY_SERVR__LISTEN", "x"),
            "unknown key `servr`",
            "environment CCPROXY_SERVR__LISTEN",
        ),
        (
            Home::new().var("CCPROXY_SERVER__LISTENN", "x"),
            "unknown key `listenn` in [server]",
            "environment CCPROXY_SERVER__LISTENN",
        ),
        (Home::new().var("CCPROXY_SERVER__HTTP2", "maybe"), "is not true or false", "CCPROXY_SERVER__HTTP2"),
        (
            Home::new().var("CCPROXY_SERVER__WORKERS__X", "1"),
            "unknown key `x` in [server.workers]",
            "WORKERS__X",
        ),
        (Home::new().var("CCPROXY_SERVER__", "1"), "unknown key `` in [server]", "CCPROXY_SERVER__"),
        (
            Home::new().var("LOGGING__LEVEL", "loud"),
            "`logging.level` = \"loud\" is not one of",
            "LOGGING__LEVEL",
        ),
        (Home::new().var("CCPROXY_TOKEN___", "t"), "does not name a connection", "CCPROXY_TOKEN___"),
        (Home::new().set("server.workers=x"), "is not a whole number", "flag --set server.workers"),
        (Home::new().set("server=x"), "`server` is a table: name one of its keys", "flag --set server"),
        (Home::new().set("server.workers"), "--set takes key=value", "flag --set"),
    ] {
        let told = home.mistakes();
        assert!(told.contains(message), "{message}\n{told}");
        assert!(told.contains(&format!("{place}\n")), "{place}\n{told}");
    }
}

#[test]
fn two_routes_on_one_path_name_both_places() {
    let home = Home::with("[connections.c]\nprovider = \"x\"\n[routes.a]\nconnection = \"c\"\n")
        .file("config/conf.d/b.toml", "[routes.b]\nconnection = \"c\"\npath = \"a\"\n");
    let told = home.mistakes();
    assert!(told.contains("routes `a` and `b` are both on the path `a`"), "{told}");
    assert!(told.contains("config/config.toml:4:1") && told.contains("config/conf.d/b.toml:2:1"), "{told}");
}

#[test]
fn two_on_one_listener_name_both_places() {
    let two = "[connections.c]\nprovider = \"x\"\n\
               [routes.a]\nconnection = \"c\"\nlisten = \"unix:/run/gh.sock\"\n\
               [routes.b]\nconnection = \"c\"\nlisten = \"unix:/run/gh.sock\"\n";
    let told = Home::with(two).mistakes();
    assert!(
        told.contains("`routes.a.listen` and `routes.b.listen` both want `unix:/run/gh.sock`: the first is at config/config.toml:5:1"),
        "{told}"
    );
    assert!(told.contains("config/config.toml:8:1"), "{told}");
    let own =
        "[connections.c]\nprovider = \"x\"\n[routes.a]\nconnection = \"c\"\nlisten = \"127.0.0.1:8462\"\n";
    let told = Home::with(own).mistakes();
    assert!(told.contains("`server.listen` and `routes.a.listen` both want `127.0.0.1:8462`"), "{told}");
    // A free port is never the same one.
    let free = own.replace("8462", "0");
    Home::with(&free).set("server.listen=127.0.0.1:0,127.0.0.1:0").load();
}

#[test]
fn a_route_to_nowhere_names_the_nearest_connection() {
    let home = Home::with(
        "[connections.azure-prod]\nprovider = \"azure\"\n[routes.r]\nconnection = \"azure-prdo\"\n",
    );
    let error = home.load().check_references().unwrap_err();
    let diagnostic = &error.diagnostics()[0];
    assert_eq!(diagnostic.message, "the route `r` uses the connection `azure-prdo`, which does not exist");
    assert_eq!(diagnostic.hint.as_deref(), Some("did you mean `azure-prod`?"));
    assert_eq!(home.cut(&diagnostic.origin.to_string()), "config/config.toml:4:14");
}

#[test]
fn the_other_programs_file_gets_one_answer_and_is_left_alone() {
    let text = "enable_plugins = true\n\n[plugins.access_log]\nenabled = true\n";
    let home = Home::with(text);
    let expected = "\
error: this is the configuration of another program called ccproxy: it has `enable_plugins`
  ┌ config/config.toml:1:1
 1│ enable_plugins = true
  │ ^^^^^^^^^^^^^^ set CCPROXY_CONFIG_DIR to a directory of its own for this program
";
    assert_eq!(home.mistakes(), expected);
    assert_eq!(std::fs::read_to_string(home.path("config/config.toml")).unwrap(), text);
}

#[test]
fn what_is_not_built_is_refused_as_unsupported() {
    let routes = "[connections.c]\nprovider = \"x\"\n[routes.r]\nconnection = \"c\"\n";
    for (text, what) in [
        ("[server]\nlisten = [\"https://127.0.0.1:8462\"]", "an https listener"),
        ("[server.tls]\nlocal_ca = true", "[server.tls]"),
        ("[storage]\nbackend = \"keyring\"", "`storage.backend` = keyring"),
        ("[storage]\nbackend = \"postgres\"", "`storage.backend` = postgres"),
        (
            &format!("{routes}listen = \"https://127.0.0.1:8471\""),
            "an https listener (`https://127.0.0.1:8471` for the route `r`)",
        ),
    ] {
        let error = Home::with(text).load().check_supported().unwrap_err();
        assert_eq!(Fault::from(error.clone()).code, Code::Unsupported, "{text}");
        let message = format!("{what} ");
        let told = &error.diagnostics()[0].message;
        assert!(
            told.starts_with(message.trim_end()) && told.ends_with("is not built yet in this version"),
            "{told}"
        );
    }
    for text in
        ["", "[server]\naccess = \"open\"", "[server]\naccess = \"key\"", "[storage]\nbackend = \"memory\""]
    {
        assert_eq!(Home::with(text).load().check_supported(), Ok(()), "{text}");
    }
}

#[test]
fn a_listener_that_others_reach_takes_keys_and_a_word_for_the_clear() {
    let listen = "listen = [\"127.0.0.1:8462\", \"0.0.0.0:8462\"]";
    for (server, what, cure) in [
        (
            String::new(),
            "`0.0.0.0:8462` is not a loopback address, and `server.access` is \"same-user\"",
            "key create",
        ),
        (
            "access = \"open\"".into(),
            "`0.0.0.0:8462` is not a loopback address, and `server.access` is \"open\"",
            "key create",
        ),
        (
            "access = \"open\"\ninsecure_cleartext = true".into(),
            "`0.0.0.0:8462` is not a loopback address",
            "key create",
        ),
        (
            "access = \"key\"".into(),
            "keys and answers would be sent in the clear to `0.0.0.0:8462`",
            "insecure_cleartext",
        ),
    ] {
        let home = Home::with(&format!("[server]\n{listen}\n{server}\n"));
        let error = home.load().check_exposure().unwrap_err();
        let diagnostic = &error.diagnostics()[0];
        assert!(diagnostic.message.starts_with(what), "{diagnostic}");
        assert!(diagnostic.hint.as_ref().unwrap().contains(cure), "{diagnostic}");
        assert_eq!(home.cut(&diagnostic.origin.to_string()), "config/config.toml:2:10");
    }
    let route = "[connections.c]\nprovider = \"x\"\n[routes.r]\nconnection = \"c\"\nlisten = \"[::]:8471\"\n";
    let error = Home::with(route).load().check_exposure().unwrap_err();
    assert!(error.diagnostics()[0].message.starts_with("`[::]:8471` is not a loopback"), "{error}");
    for text in [
        format!("[server]\n{listen}\naccess = \"key\"\ninsecure_cleartext = true\n"),
        "[server]\nlisten = [\"127.0.0.1:1\", \"unix:/run/x\", \"fd:3\"]\n".into(),
    ] {
        assert_eq!(Home::with(&text).load().check_exposure(), Ok(()), "{text}");
    }
}

#[test]
fn an_unreadable_file_is_named() {
    let home = Home::new().file("config/config.toml/inside", "a directory where a file should be");
    let told = home.mistakes();
    assert!(told.starts_with("error: cannot read config/config.toml: "), "{told}");
}

#[test]
fn a_stored_connection_without_a_provider_is_a_mistake() {
    for (text, place) in [("", "corp.toml:1:1"), ("# note\nclient_id = \"x\"\n", "corp.toml:1:1")] {
        let told = Home::new().file("config/connections/global/corp.toml", text).mistakes();
        assert!(told.contains("provider") && told.contains(place), "{told}");
    }
}
