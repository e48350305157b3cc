//! What people get wrong: a name, a key, a value. Each mistake says where it is and what was near, and costs
//! nothing but the try.

use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::keyed::KeyedApi;
use pretty_assertions::assert_eq;
use serde_json::json;

const CORP: &str = "[connections.corp]\nprovider = \"oidc\"\nissuer = \"http://127.0.0.1:9\"\n\
                    client_id = \"cli\"\nupstream = \"http://127.0.0.1:9\"\n";

#[tokio::test]
async fn a_misspelt_name_finds_the_nearest() {
    let home = Home::with_config(CORP);
    for (line, code, near) in [
        ("auth login githb", 3, "did you mean `github`?"),
        ("auth login opena", 3, "did you mean `openai`?"),
        ("auth login crop", 3, "did you mean `corp`?"),
        ("auth status crop", 3, "did you mean `corp`?"),
        ("auth refresh crop", 3, "did you mean `corp`?"),
        ("auth logout crop", 3, "did you mean `corp`?"),
        ("auth test crop", 3, "did you mean `corp`?"),
        ("auth token crop", 3, "did you mean `corp`?"),
        ("env crop", 3, "did you mean `corp`?"),
        ("env acme/corp", 3, "ccproxy env ROUTE, of a route with `connection = \"acme/corp\"`"),
        ("plugin info githb", 3, "did you mean `github`?"),
        ("auth status --provider oidcc", 3, "did you mean `oidc`?"),
        ("auth lgin corp", 2, "did you mean `login`?"),
        ("rotes", 2, "did you mean `routes`?"),
        ("auth login corp --isuer x", 2, "did you mean `--issuer`?"),
        ("auth login corp --flow devise", 2, "did you mean `device`?"),
        ("auth login oidc --set isuer=x", 2, "did you mean `issuer`?"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let told = home.ccproxy(&words).await.expect_code(code);
        let (error, hint) = told.stderr.split_once('\n').unwrap_or_default();
        assert!(error.starts_with("error: "), "{line}: {told}");
        assert_eq!(hint, format!("hint: {near}\n"), "{line}: {told}");
        assert_eq!(told.stdout, "", "{line}");
    }
}

#[tokio::test]
async fn a_name_that_is_near_nothing_shows_what_there_is() {
    let home = Home::with_config(CORP);
    let error = home.ccproxy(&["auth", "login", "zzz", "--json"]).await.expect_code(3).json_error();
    assert_eq!((&error["schema"], &error["code"]), (&json!("ccproxy.error/1"), &json!("not_found")));
    for id in ["api-key", "github", "google", "oidc"] {
        assert!(error["hint"].as_str().unwrap().contains(id), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_another_provider_has_is_left_alone() {
    let home = Home::with_config(CORP);
    let told = home.ccproxy(&["auth", "login", "github", "--connection", "corp"]).await.expect_code(2);
    assert!(told.stderr.contains("corp") && told.stderr.contains("oidc"), "{told}");
}

#[tokio::test]
async fn an_unknown_route_is_answered_with_those_there_are() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let answer = Call::get(&host.url("/apy/echo")).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("ccproxy-error")), (404, "no_such_route"));
    assert!(answer.json()["hint"].as_str().unwrap().contains("api"), "{}", answer.text());
}

/// A mistake in the file, the line it is in, and what is said of it.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("[server\n", "config.toml:1:8", "]"),
    ("a = 1\n[server]\n", "config.toml:1:1", "unknown key `a`"),
    ("[server]\n\nworker = 1\n", "config.toml:3:1", "did you mean `workers`?"),
    ("[server]\nhttp2 = \"on\"\n", "config.toml:2:9", "is not true or false"),
    ("[server]\nlisten = [\"127.0.0.1:80800\"]\n", "config.toml:2:11", "is not an address"),
    ("[connections.corp]\nissuer = \"https://id.example\"\n", "config.toml:1:14", "has no `provider`"),
    (
        "[connections.corp]\nprovider = \"oidc\"\nisuer = \"https://id.example\"\n",
        "config.toml:3:1",
        "did you mean `issuer`?",
    ),
    ("[connections.corp]\nprovider = \"oidc\"\nissuer = 7\n", "config.toml:3:10", "issuer"),
    (
        "[connections.corp]\nprovider = \"oidc\"\nissuer = \"http://id.example\"\n",
        "config.toml:3:10",
        "in the clear",
    ),
    ("[routes.a]\nupstream = \"https://a.example\"\nconnection = \"nope\"\n", "config.toml:3:14", "nope"),
    ("[routes.a]\nupstream = \"ftp://a.example\"\nconnection = \"x\"\n", "config.toml:2:12", "ftp"),
    ("[refresh]\nahead = \"soon\"\n", "config.toml:2:9", "such as"),
];

#[tokio::test]
async fn a_bad_configuration_names_file_line_and_cure_and_starts_nothing() {
    for (text, place, said) in MISTAKES {
        let home = Home::with_config(text);
        for command in [&["config", "check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let told = home.ccproxy(command).await.expect_code(2);
            assert!(told.stderr.contains(place) && told.stderr.contains(said), "{text}\n{told}");
        }
        let told = home.ccproxy(&["config", "check", "--json"]).await.expect_code(2);
        let error = told.json_error();
        assert_eq!(error["code"], json!("invalid_config"), "{error}");
        assert!(error["message"].as_str().unwrap().contains(place), "{error}");
    }
}

#[tokio::test]
async fn a_mistake_outside_the_file_is_named_by_its_place_too() {
    let mut home = Home::new();
    let told = home.ccproxy(&["serve", "--set", "server.worker=1"]).await.expect_code(2);
    assert!(told.stderr.contains("--set") && told.stderr.contains("`workers`"), "{told}");
    home.set_env("CCPROXY_SERVER__WORKERS", "many");
    let told = home.ccproxy(&["config", "check"]).await.expect_code(2);
    assert!(told.stderr.contains("CCPROXY_SERVER__WORKERS") && told.stderr.contains("many"), "{told}");
}

#[tokio::test]
async fn two_routes_on_one_path_are_both_named() {
    let route = |name: &str| {
        format!("[routes.{name}]\npath = \"x\"\nupstream = \"https://a.example\"\nconnection = \"corp\"\n\n")
    };
    let home = Home::with_config(&format!("{CORP}{}{}", route("a"), route("b")));
    let told = home.ccproxy(&["config", "check"]).await.expect_code(2);
    assert!(told.stderr.contains("config.toml:9") && told.stderr.contains("config.toml:14"), "{told}");
}

#[tokio::test]
async fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let home = Home::with_config(&format!("{CORP}client_secret = \"canary-5f3a\"\n"));
    for command in [&["config", "check"][..], &["config", "check", "--json"], &["serve"], &["auth", "list"]] {
        let told = home.ccproxy(command).await.expect_code(2);
        assert!(told.stderr.contains("config.toml:6"), "{told}");
        assert!(!format!("{}{}", told.stdout, told.stderr).contains("canary"), "{told}");
    }
}

#[tokio::test]
async fn a_file_of_the_other_program_of_this_name_is_recognised_and_left_alone() {
    let text = "default_provider = \"x\"\n[auth]\nbackend = \"keyring\"\n[claude]\nmodel = \"m\"\n";
    let home = Home::with_config(text);
    let told = home.ccproxy(&["serve"]).await.expect_code(2);
    assert!(told.stderr.contains("another program called ccproxy"), "{told}");
    assert!(told.stderr.contains("CCPROXY_CONFIG_DIR"), "{told}");
    assert_eq!(std::fs::read_to_string(home.config_dir().join("config.toml")).unwrap(), text);
}

#[tokio::test]
async fn what_is_not_built_yet_says_so_plainly() {
    for text in ["[server]\nlisten = [\"https://127.0.0.1:0\"]\n", "[storage]\nbackend = \"keyring\"\n"] {
        let home = Home::with_config(text);
        for command in ["check", "serve"] {
            let line: &[&str] =
                if command == "check" { &["config", "check", "--json"] } else { &["serve", "--json"] };
            let error = home.ccproxy(line).await.expect_code(2).json_error();
            assert_eq!(error["code"], json!("unsupported"), "{text} {error}");
            assert!(error["message"].as_str().unwrap().contains("config.toml:2"), "{text} {error}");
        }
    }
}

#[tokio::test]
async fn a_keyring_reference_is_understood_and_refused_when_it_is_read() {
    let home = Home::with_config(
        "[connections.api]\nprovider = \"api-key\"\nupstream = \"http://127.0.0.1:9\"\n\
         key = { keyring = \"api\" }\n",
    );
    let error = home.ccproxy(&["auth", "token", "api", "--json"]).await.expect_code(2).json_error();
    assert_eq!(error["code"], json!("unsupported"), "{error}");
    let host = home.serve().await;
    let answer = Call::get(&host.url("/api/x")).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("ccproxy-error")), (501, "unsupported"));
}

#[tokio::test]
async fn a_command_of_a_plugin_is_found_where_it_is() {
    let home = Home::new();
    let told = home.ccproxy(&["fetch"]).await.expect_code(2);
    assert_eq!(
        told.stderr,
        "error: unrecognized subcommand 'fetch'\nhint: ccproxy plugin run faulty fetch\n"
    );
    let told = home.ccproxy(&["auth", "fetch"]).await.expect_code(2);
    assert!(told.stderr.ends_with("hint: ccproxy auth --help\n"), "{told}");
}
