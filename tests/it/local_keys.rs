//! Local keys: what a tool shows where its socket does not say that it is ours, or where that is not enough.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ccproxy_tests::clients::{environment, program, python};
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::{Answer, Call};
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::parts::is_root;
use ccproxy_tests::program::{Finished, Host, Program};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::cli_json::{document, is_utc, members};

const ACCESS_KEY: &str = "[server]\naccess = \"key\"\n\n";

/// An API behind a host that lets nobody in without a key.
async fn shut() -> KeyedApi {
    KeyedApi::with_config(false, |_| ACCESS_KEY.into()).await
}

/// Makes a key as a script does: it is all that is on stdout.
async fn new_key(home: &Home, args: &[&str]) -> String {
    let told = home.ccproxy(&[&["key", "create"], args].concat()).await.expect_success();
    let key = told.stdout.trim_end().to_owned();
    assert_eq!(told.stdout, format!("{key}\n"));
    assert!(key.len() == 47 && key.starts_with("ccp_"), "{key}");
    assert!(!told.stderr.contains(&key), "{told}");
    key
}

fn verdict(answer: &Answer) -> (u16, &str) {
    let code = answer.headers.get("ccproxy-error").and_then(|code| code.to_str().ok()).unwrap_or_default();
    (answer.status.as_u16(), code)
}

async fn with_key(url: &str, key: &str) -> Answer {
    Call::get(url).bearer(key).send().await
}

async fn curl(home: &Home, args: &[&str]) -> Finished {
    program(home, "curl", &[&["-sS", "-m", "50"], args].concat(), &[]).await.expect_success()
}

/// Asks as another user of this machine.
async fn as_nobody(home: &Home, args: &[&str]) -> Finished {
    let mut command = home.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-sS", "-m", "50"]);
    // Nothing of the home is readable to that user, the working directory included.
    command.args(args).current_dir("/");
    Program::spawn(command).finish().await.expect_success()
}

#[tokio::test]
async fn a_key_is_asked_of_everybody_and_opens_until_it_is_revoked() {
    let api = shut().await;
    let host = api.home.serve().await;
    assert!(host.log().contains("there is no key"), "{}", host.log());
    let url = host.url("/api/echo");
    let refused = Call::get(&url).send().await;
    assert_eq!(verdict(&refused), (401, "key_required"));
    let challenges: Vec<_> = refused.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Bearer realm=\"ccproxy\"", "Basic realm=\"ccproxy\", charset=\"UTF-8\""]);
    for path in ["/", "/api/echo", "/nope", "/_ccproxy/plugins/acme/x", "/_ccproxy/"] {
        assert_eq!(verdict(&Call::get(&host.url(path)).send().await), (401, "key_required"), "{path}");
    }
    for probe in ["/_ccproxy/livez", "/_ccproxy/readyz"] {
        assert_eq!(Call::get(&host.url(probe)).send().await.status, 200, "a probe has no key");
    }

    let explained = api.home.ccproxy(&["explain", "GET", &url]).await.expect_success();
    assert!(explained.stdout.contains("one is needed: ccproxy key create NAME"), "{explained}");

    let key = new_key(&api.home, &["ci"]).await;
    assert_eq!(verdict(&with_key(&url, &key).await), (200, ""), "the running host knows it at once");
    assert_eq!(Call::get(&host.url("/")).bearer(&key).send().await.status, 200);
    for field in ["x-api-key", "x-goog-api-key", "private-token", "x-acme-secret"] {
        let answer = Call::get(&url).header(field, &key).send().await;
        assert_eq!(verdict(&answer), (200, ""), "{field}");
        assert!(!answer.text().contains(&key), "the upstream never sees it: {}", answer.text());
    }
    let basic = curl(&api.home, &["-u", &format!("x-access-token:{key}"), &url]).await;
    assert!(!basic.stdout.contains("error"), "{basic}");
    api.assert_only_our_key("authorization");
    let before = api.sandbox.requests().total;

    let wrong = with_key(&url, "sk-something-else").await;
    assert_eq!(verdict(&wrong), (401, "key_invalid"));
    assert!(!wrong.text().contains("sk-something-else"));
    assert!(wrong.header("www-authenticate").contains("invalid_token"));

    let told = api.home.ccproxy(&["key", "revoke", "ci"]).await.expect_success();
    assert_eq!(told.stdout, "revoked ci\n");
    assert_eq!(verdict(&with_key(&url, &key).await), (401, "key_invalid"), "without a restart");
    assert_eq!(api.sandbox.requests().total, before);
    assert!(!host.log().contains(&key));
}

#[tokio::test]
async fn git_sends_its_key_when_it_is_asked_for_a_password() {
    let api = shut().await;
    let host = api.home.serve().await;
    let key = new_key(&api.home, &["git", "--routes", "api"]).await;
    let url = format!("http://git:{key}@{}/api/r.git", host.authority());
    // There is no repository, but something that answers: the question went through.
    let asked = program(&api.home, "git", &["ls-remote", &url], &[("GIT_TERMINAL_PROMPT", "0")]).await;
    asked.expect_success();
    api.assert_only_our_key("authorization");
}

#[tokio::test]
async fn a_key_is_listed_without_being_told_and_has_a_name_of_its_own() {
    let api = KeyedApi::new().await;
    let home = &api.home;
    let empty = home.ccproxy(&["key", "list"]).await.expect_success();
    assert_eq!((empty.stdout.as_str(), empty.stderr.contains("ccproxy key create NAME")), ("", true));

    let made = home.ccproxy(&["key", "create", "bot", "--routes", "api", "--json"]).await.expect_success();
    let made = made.json();
    assert_eq!(members(&made), ["admin", "created_at", "fingerprint", "key", "name", "routes", "schema"]);
    assert_eq!((&made["schema"], &made["routes"]), (&json!("ccproxy.key-create/1"), &json!(["api"])));
    let key = made["key"].as_str().unwrap();
    new_key(home, &["all"]).await;

    let listed = document(home, &["key", "list"]).await;
    assert_eq!(listed["schema"], json!("ccproxy.keys/1"));
    let [bot, all] = &listed["keys"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!(members(bot), ["admin", "created_at", "fingerprint", "name", "routes"]);
    assert_eq!(
        (&bot["name"], &bot["routes"], &bot["admin"]),
        (&json!("bot"), &json!(["api"]), &json!(false))
    );
    assert_eq!((&all["name"], &all["routes"]), (&json!("all"), &Value::Null));
    assert!(is_utc(&bot["created_at"]), "{bot}");
    let hashed = format!("printf %s {key} | sha256sum | cut -c1-8");
    let fingerprint = program(home, "sh", &["-c", &hashed], &[]).await.stdout;
    assert_eq!(bot["fingerprint"].as_str(), Some(fingerprint.trim()), "as the help says");
    let prose = home.ccproxy(&["key", "list"]).await.expect_success().stdout;
    assert!(prose.starts_with("NAME  OPENS       CREATED"), "{prose}");
    assert!(!prose.contains(key) && !listed.to_string().contains(key));

    let file = home.state_dir().join("keys.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&file).unwrap().contains(key));

    let again = home.ccproxy(&["key", "create", "bot"]).await.expect_code(2);
    assert!(again.stderr.contains("error: there is a key named `bot`") && again.stdout.is_empty(), "{again}");
    let nowhere = home.ccproxy(&["key", "create", "x", "--routes", "apu"]).await.expect_code(3);
    assert!(nowhere.stderr.contains("did you mean `api`?"), "{nowhere}");
    let unknown = home.ccproxy(&["key", "revoke", "bto", "--json"]).await.expect_code(3);
    assert_eq!(unknown.json_error()["hint"], json!("did you mean `bot`?"));
    let revoked = document(home, &["key", "revoke", "bot"]).await;
    assert_eq!(revoked, json!({ "schema": "ccproxy.key-revoke/1", "name": "bot" }));
}

#[tokio::test]
async fn a_key_for_one_route_opens_no_other_for_curl_and_for_the_openai_sdk() {
    let mut vendor = KeyedApi::vendor("openai", "openai").await;
    let upstream = vendor.sandbox.upstream().to_owned();
    vendor
        .home
        .add_config("more.toml", &format!("{ACCESS_KEY}{}", vendor.connection("other", &upstream, "")));
    let host = vendor.home.serve().await;
    let key = new_key(&vendor.home, &["sdk", "--routes", "openai"]).await;

    let without = vendor.home.ccproxy(&["env", "openai"]).await.expect_code(2);
    assert!(without.stdout.is_empty() && without.stderr.contains("ccproxy key create NAME --routes openai"));
    vendor.home.set_env("CCPROXY_KEY", &key);
    let variables = environment(&vendor.home, "openai").await;
    assert!(variables.contains(&("OPENAI_API_KEY".into(), key.clone())), "{variables:?}");
    let script = "import openai, json; print(json.dumps([m.id for m in openai.OpenAI().models.list()]))";
    let told = python(&vendor.home, &["openai"], script, &variables).await.expect_success();
    assert_eq!(told.json(), json!(["m"]));
    vendor.assert_only_our_key("authorization");
    let before = vendor.sandbox.requests().total;

    let bearer = format!("Authorization: Bearer {key}");
    let plugin = with_key(&host.url("/_ccproxy/plugins/api-key/x"), &key).await;
    assert_eq!(verdict(&plugin), (403, "route_not_allowed"), "what a plugin answers is no route");
    let told = curl(&vendor.home, &["-H", &bearer, &host.url("/other/echo")]).await.json();
    assert_eq!((&told["code"], &told["status"]), (&json!("route_not_allowed"), &json!(403)));
    assert_eq!((&told["route"], told["hint"].as_str().unwrap().contains("`sdk`")), (&json!("other"), true));
    let index = curl(&vendor.home, &["-H", &bearer, "-H", "Accept: application/json", &host.url("/")]).await;
    let named: Vec<_> =
        index.json()["routes"].as_array().unwrap().iter().map(|r| r["name"].clone()).collect();
    assert_eq!(named, [json!("openai")], "and it is told of no other");
    assert_eq!(vendor.sandbox.requests().total, before);
    let told = vendor.home.ccproxy(&["env", "other"]).await;
    assert_ne!(told.code(), 0, "{told}");
}

#[tokio::test]
async fn another_user_of_this_machine_gets_in_with_a_key() {
    if !is_root("curl as another user") {
        return;
    }
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let key = new_key(&api.home, &["nobody"]).await;
    let (url, bearer) = (host.url("/api/echo"), format!("Authorization: Bearer {key}"));
    let format = ["-o", "/dev/null", "-w", "%{http_code} %header{ccproxy-error}"];
    assert_eq!(as_nobody(&api.home, &[&format[..], &[&url]].concat()).await.stdout, "401 key_required");
    let ask = [&format[..], &["-H", &bearer, &url]].concat();
    assert_eq!(as_nobody(&api.home, &ask).await.stdout, "200 ");
    // We need none, and one that is wrong is in nobody's way.
    assert_eq!(verdict(&Call::get(&url).send().await), (200, ""));
    assert_eq!(verdict(&with_key(&url, "ccproxy-local").await), (200, ""));
    api.home.ccproxy(&["key", "revoke", "nobody"]).await.expect_success();
    assert_eq!(as_nobody(&api.home, &ask).await.stdout, "401 key_invalid");
    api.assert_only_our_key("authorization");
}

#[tokio::test]
async fn run_hands_over_the_key_that_it_is_given_or_one_that_ends_with_its_own_host() {
    let mut vendor = KeyedApi::vendor("openai", "openai").await;
    vendor.home.add_config("access.toml", ACCESS_KEY);
    let ask = "curl -sS $OPENAI_BASE_URL/models -H \"Authorization: Bearer $OPENAI_API_KEY\"; echo; echo $OPENAI_API_KEY";
    let line = ["run", "-q", "openai", "--", "sh", "-c", ask];
    // Nobody else comes to a host of its own: it has a key of its own.
    let told = vendor.home.ccproxy(&line).await.expect_success();
    let (answer, lent) = told.stdout.split_once('\n').unwrap();
    assert!(answer.contains("\"data\"") && lent.starts_with("ccp_"), "{told}");
    assert!(!vendor.home.state_dir().join("keys.json").exists(), "and nothing was made silently");

    let host = vendor.home.serve().await;
    assert_eq!(verdict(&with_key(&host.url("/openai/v1/models"), lent.trim()).await), (401, "key_invalid"));
    let told = vendor.home.ccproxy(&line).await.expect_code(2);
    assert!(told.stderr.contains("there is no key in the variable `CCPROXY_KEY`"), "{told}");
    let key = new_key(&vendor.home, &["mine"]).await;
    vendor.home.set_env("MY_KEY", &key);
    let told = vendor.home.ccproxy(&[&line[..2], &["--key-env", "MY_KEY"], &line[2..]].concat()).await;
    assert!(told.expect_success().stdout.ends_with(&format!("{key}\n")));

    for (variable, value, why) in [
        ("EMPTY", "", "there is no key in the variable `EMPTY`"),
        ("OTHER", "sk-real-key", "what the variable `OTHER` holds is not a local key"),
        ("OLD", lent.trim(), "the key in the variable `OLD` is not valid (any more)"),
    ] {
        vendor.home.set_env(variable, value);
        let told = vendor.home.ccproxy(&["env", "openai", "--key-env", variable]).await.expect_code(2);
        assert!(told.stderr.contains(why) && !told.stderr.contains("sk-real-key"), "{told}");
    }
    drop(host);
}

#[tokio::test]
async fn what_another_process_wrote_is_noticed_and_damage_opens_and_shuts_nothing() {
    let api = shut().await;
    let mut host = api.home.serve().await;
    let key = new_key(&api.home, &["ci"]).await;
    let (file, url) = (api.home.state_dir().join("keys.json"), host.url("/api/echo"));
    let good = fs::read_to_string(&file).unwrap();

    api.home.write(&file, "{ \"schema\": ");
    host.program().stderr_line(|line| line.contains("the local keys stay as they were")).await;
    assert!(host.log().contains("keys.json cannot be used"), "{}", host.log());
    assert_eq!(verdict(&with_key(&url, &key).await), (200, ""));
    for line in [&["key", "create", "new"][..], &["key", "list"], &["key", "revoke", "ci"]] {
        let told = api.home.ccproxy(line).await.expect_code(7);
        assert!(told.stderr.contains(file.to_str().unwrap()) && told.stdout.is_empty(), "{told}");
    }
    let doctor = api.home.ccproxy(&["doctor"]).await;
    assert!(doctor.stdout.contains("the list of local keys in"), "{doctor}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "{ \"schema\": ", "nothing is lost");
    let second = api.home.ccproxy(&["serve", "--listen", "127.0.0.1:0"]).await.expect_code(7);
    assert!(second.stderr.contains("keys.json cannot be used"), "{second}");

    // Mended with an editor, and then taken away: no command told the host.
    api.home.write(&file, &good);
    fs::rename(&file, api.home.state_dir().join("aside.json")).unwrap();
    let shut = async || verdict(&with_key(&url, &key).await) == (401, "key_invalid");
    until(shut).await;
}

/// Asks again until it is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it never was");
}

#[tokio::test]
async fn a_listener_for_other_machines_takes_keys_and_a_word_for_the_clear() {
    let api = KeyedApi::new().await;
    let everywhere = ["serve", "--listen", "0.0.0.0:0"];
    let refused =
        async |more: &[&str]| api.home.ccproxy(&[&everywhere[..], more].concat()).await.expect_code(2);
    let told = refused(&[]).await;
    assert!(told.stderr.contains("`0.0.0.0:0` is not a loopback address"), "{told}");
    assert!(told.stderr.contains("`server.access = \"key\"`"), "{told}");
    let told = refused(&["--set", "server.access=open"]).await;
    assert!(told.stderr.contains("`server.access` is \"open\""), "{told}");
    let told = refused(&["--set", "server.access=key"]).await;
    assert!(told.stderr.contains("in the clear") && told.stderr.contains("insecure_cleartext"), "{told}");

    let key = new_key(&api.home, &["lan"]).await;
    api.home.add_config("access.toml", "[server]\naccess = \"key\"\ninsecure_cleartext = true\n");
    let host = api.home.serve_with(&everywhere[1..]).await;
    let port = host.listen[0].rsplit(':').next().unwrap().to_owned();
    let url = format!("http://127.0.0.1:{port}/api/echo");
    assert_eq!(verdict(&Call::get(&url).send().await), (401, "key_required"));
    assert_eq!(verdict(&with_key(&url, &key).await), (200, ""));
    assert_eq!(
        verdict(&with_key(&url.replace("127.0.0.1", "0.0.0.0"), &key).await),
        (403, "host_not_allowed")
    );

    // Half of it is not taken back while that listener is open.
    api.home.add_config("access.toml", "[server]\naccess = \"same-user\"\ninsecure_cleartext = true\n");
    let told = api.home.ccproxy(&["reload"]).await.expect_code(2);
    assert!(told.stderr.contains("is not a loopback address"), "{told}");
    assert_eq!(verdict(&Call::get(&url).send().await), (401, "key_required"));
    drop::<Host>(host);
}
