//! git through the proxy: one login at GitHub serves the API as Bearer and git as Basic.

use std::fs;
use std::path::Path;

use ccproxy_tests::clients::program;
use ccproxy_tests::home::Home;
use ccproxy_tests::octo::Octo;
use ccproxy_tests::program::Finished;
use ccproxy_tests::sandbox::TokenState;
use pretty_assertions::assert_eq;

const PUSHED: usize = 3 << 20;

async fn git(home: &Home, args: &[&str]) -> Finished {
    // Without a terminal git would fail, not ask; said all the same.
    program(home, "git", args, &[("GIT_TERMINAL_PROMPT", "0")]).await
}

#[tokio::test]
async fn git_clones_and_pushes_three_megabytes_and_knows_no_password() {
    let octo = Octo::new("gh-oauth-app", "scopes = [\"repo\"]").await;
    let route = format!(
        "[routes.git]\nupstream = \"{}/git\"\nconnection = \"github\"\ninject = \"basic\"\n",
        octo.sandbox.upstream()
    );
    let config = octo.home.config_dir().join("config.toml");
    let connection = fs::read_to_string(&config).unwrap();
    octo.home.write_config(&format!("{connection}{route}"));
    let host = octo.home.serve().await;
    octo.login_by_device().await;

    let served = octo.home.user_dir().join("served");
    fs::create_dir(&served).unwrap();
    octo.sandbox.serve_git(&served);
    let origin = served.join("r.git");
    git(&octo.home, &["init", "-q", "--bare", "-b", "main", origin.to_str().unwrap()]).await.expect_success();

    // As the manual says: nothing but another base URL, for every repository.
    let instead = format!("url.{}.insteadOf", host.url("/git/"));
    git(&octo.home, &["config", "--global", &instead, "https://github.com/"]).await.expect_success();
    let url = "https://github.com/r.git";
    git(&octo.home, &["clone", "-q", url, "work"]).await.expect_success();
    let pushed = commit_random_bytes(&octo.home, "work").await;
    git(&octo.home, &["-C", "work", "push", "-q", "origin", "HEAD:main"]).await.expect_success();
    git(&octo.home, &["clone", "-q", url, "again"]).await.expect_success();
    let came_back = fs::read(octo.home.user_dir().join("again/big")).unwrap();
    assert!(came_back == pushed, "what came back is what was pushed");

    let seen = octo.sandbox.requests();
    let refused: Vec<_> =
        seen.requests.iter().filter(|request| request.token_state != TokenState::Valid).collect();
    assert!(refused.is_empty(), "requests without a good token: {refused:#?}");
    assert_eq!(seen.distinct_tokens, 1);
}

/// A commit that does not compress, so that git sends it in chunks.
async fn commit_random_bytes(home: &Home, work: &str) -> Vec<u8> {
    let mut bytes = vec![0; PUSHED];
    getrandom::fill(&mut bytes).unwrap();
    fs::write(home.user_dir().join(Path::new(work)).join("big"), &bytes).unwrap();
    git(home, &["-C", work, "add", "big"]).await.expect_success();
    let who = ["-c", "user.name=octo", "-c", "user.email=octo@example.test"];
    git(home, &[&["-C", work], &who[..], &["commit", "-qm", "big"]].concat()).await.expect_success();
    bytes
}
