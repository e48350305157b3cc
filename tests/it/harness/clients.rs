//! The upstream, and the real clients that talk to it.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ccproxy_tests::clients::{program, python};
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::program::{Program, sandbox_program};
use ccproxy_tests::sandbox::{Sandbox, SandboxConfig};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

const KEY: &str = "sk-test";

async fn sandbox_with_key() -> Sandbox {
    let sandbox = Sandbox::start_default().await.unwrap();
    sandbox.accept_key(KEY);
    sandbox
}

async fn post(url: &str, fields: &[(&str, &str)]) -> Value {
    Call::form(url, fields).send().await.json()
}

#[tokio::test]
async fn the_sandbox_program_says_where_it_is_and_ends_with_its_stdin() {
    let home = Home::new();
    let mut command = home.command(sandbox_program());
    command.args(["--exit-with-stdin", "--access-token-ttl", "7s"]);
    let mut program = Program::spawn(command);
    let ready = program.json_line_with("ready", true).await;
    let fields =
        [("grant_type", "client_credentials"), ("client_id", "webpost"), ("client_secret", "webpost-secret")];
    let tokens = post(&format!("{}/token", ready["issuer"].as_str().unwrap()), &fields).await;
    assert_eq!(tokens["expires_in"], json!(7));
    let echo =
        Call::get(ready["upstream"].as_str().unwrap()).bearer(tokens["access_token"].as_str().unwrap());
    assert_eq!(echo.send().await.json()["authorization_ok"], json!(true));
    program.finish().await.expect_success();
}

#[tokio::test]
async fn curl_trusts_the_private_ca_only_when_told() {
    let home = Home::new();
    let config = SandboxConfig { tls: true, ..SandboxConfig::default() };
    let sandbox = Sandbox::start(config).await.unwrap();
    let url = format!("{}/.well-known/openid-configuration", sandbox.issuer_tls());
    let untrusting = program(&home, "curl", &["-sS", &url], &[]).await;
    assert_eq!(untrusting.code(), 60, "{untrusting}");
    let ca_file = sandbox.ca_file().to_str().unwrap();
    let trusting = program(&home, "curl", &["-sS", "--cacert", ca_file, &url], &[]).await.expect_success();
    assert_eq!(trusting.json()["issuer"], json!(sandbox.issuer_tls()));
    let url = format!("{}/echo", sandbox.upstream_tls());
    let echo = program(&home, "curl", &["-sS", "--cacert", ca_file, &url], &[]).await.expect_success();
    assert_eq!(echo.json()["version"], json!("HTTP/2.0"));
}

#[tokio::test]
async fn the_openai_and_anthropic_sdks_stream_from_the_upstream() {
    let home = Home::new();
    let sandbox = sandbox_with_key().await;
    let script = r#"
import anthropic, openai, time
asked = [{"role": "user", "content": "hi"}]
client = openai.OpenAI()
print(client.chat.completions.create(model="m", messages=asked).choices[0].message.content)
began, times = time.monotonic(), []
for chunk in client.chat.completions.create(model="m", messages=asked, stream=True):
    times.append(time.monotonic() - began)
print(len(times), times[-1] - times[0] > 0.15)
client = anthropic.Anthropic()
print(client.messages.create(model="m", max_tokens=9, messages=asked).content[0].text)
with client.messages.stream(model="m", max_tokens=9, messages=asked) as stream:
    print("".join(stream.text_stream))
"#;
    let (openai, anthropic) =
        (format!("{}/openai/v1", sandbox.upstream()), format!("{}/anthropic", sandbox.upstream()));
    let env = [
        ("OPENAI_BASE_URL", openai.as_str()),
        ("OPENAI_API_KEY", KEY),
        ("ANTHROPIC_BASE_URL", &anthropic),
        ("ANTHROPIC_API_KEY", KEY),
    ];
    let ran = python(&home, &["openai", "anthropic"], script, &env).await.expect_success();
    assert_eq!(ran.stdout, "Hello!\n3 True\nHello!\nHello!\n");
}

#[tokio::test]
async fn hugging_face_and_pygithub_know_who_they_are() {
    let home = Home::new();
    let sandbox = sandbox_with_key().await;
    let github_token = github_token(&sandbox).await;
    let script = r#"
import os
from github import Auth, Github
from huggingface_hub import HfApi
print(HfApi().whoami()["name"])
user = Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"]), base_url=os.environ["GITHUB"], per_page=3).get_user()
print(user.login, len(list(user.get_repos())))
"#;
    let (hub, github) = (format!("{}/hf", sandbox.upstream()), sandbox.github_api());
    let env = [
        ("HF_ENDPOINT", hub.as_str()),
        ("HF_TOKEN", KEY),
        ("GITHUB", &github),
        ("GITHUB_TOKEN", &github_token),
    ];
    let ran = python(&home, &["huggingface_hub", "PyGithub"], script, &env).await.expect_success();
    assert_eq!(ran.stdout, "alice\nocto 7\n");
}

async fn github_token(sandbox: &Sandbox) -> String {
    let url = format!("{}/login/oauth/authorize?client_id=gh-oauth-app", sandbox.github());
    let back = sandbox.approve(&url, "octo").await;
    let (_, code) = back.query_pairs().find(|(name, _)| name == "code").unwrap();
    let fields = [("client_id", "gh-oauth-app"), ("client_secret", "gh-secret"), ("code", &code)];
    let url = format!("{}/login/oauth/access_token", sandbox.github());
    let tokens = Call::form(&url, &fields).accept_json().send().await.json();
    tokens["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn git_clones_and_pushes_three_megabytes() {
    let home = Home::new();
    let sandbox = sandbox_with_key().await;
    let root = home.user_dir().join("served");
    fs::create_dir(&root).unwrap();
    sandbox.serve_git(&root);
    let git = async |args: &[&str]| program(&home, "git", args, &[]).await;
    let origin = root.join("r.git").to_str().unwrap().to_owned();
    git(&["init", "-q", "--bare", "-b", "main", &origin]).await.expect_success();

    let url = format!("{}/git/r.git", sandbox.upstream());
    let header =
        format!("http.extraHeader=Authorization: Basic {}", STANDARD.encode(format!("x-access-token:{KEY}")));
    let refused = git(&["clone", "-q", &url, "refused"]).await;
    assert!(
        refused.stderr.contains("Authentication failed") || refused.stderr.contains("could not read"),
        "{refused}"
    );
    git(&["-c", &header, "clone", "-q", &url, "work"]).await.expect_success();

    let mut bytes = vec![0; 3 << 20];
    getrandom::fill(&mut bytes).unwrap();
    fs::write(home.user_dir().join("work/big"), &bytes).unwrap();
    git(&["-C", "work", "add", "big"]).await.expect_success();
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.test"];
    git(&[&["-C", "work"], &who[..], &["commit", "-qm", "big"]].concat()).await.expect_success();
    git(&["-C", "work", "-c", &header, "push", "-q", "origin", "HEAD:main"]).await.expect_success();
    git(&["-c", &header, "clone", "-q", &url, "again"]).await.expect_success();
    assert!(
        fs::read(home.user_dir().join("again/big")).unwrap() == bytes,
        "what came back is what was pushed"
    );
}
