//! Logging in with the command line, with somebody else in front of the browser.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::home::Home;
use crate::program::{Finished, Program};

/// A `ccproxy auth login` that waits for a browser to come back.
pub struct BrowserLogin {
    program: Program,
    /// Where it asks a browser to be sent.
    pub url: String,
}

impl BrowserLogin {
    /// Starts a login by the browser flow that opens no browser.
    pub async fn start(home: &Home, args: &[&str]) -> Self {
        let flow = ["--flow", "browser", "--no-browser", "--json"];
        let mut program = home.spawn_ccproxy(&[&["auth", "login"], args, &flow].concat());
        let step = program.json_line_with("step", "open_url").await;
        assert_eq!(step["schema"], "ccproxy.login/1");
        let url = step["url"].as_str().unwrap_or_else(|| panic!("no URL in {step}")).to_owned();
        Self { program, url }
    }

    /// The running command, to type into.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Waits for the end.
    pub async fn finish(self) -> Finished {
        self.program.finish().await
    }

    /// Waits for the end, which must be good, and returns the last step.
    pub async fn succeed(self) -> Value {
        let finished = self.finish().await.expect_success();
        let last = finished.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("the last line is not JSON: {e}\n{finished}"))
    }
}

/// What `ccproxy auth status --json` says of one connection.
pub async fn status(home: &Home, connection: &str) -> Value {
    let told = home.ccproxy(&["auth", "status", connection, "--json"]).await;
    let document: Value =
        serde_json::from_str(&told.stdout).unwrap_or_else(|e| panic!("not JSON: {e}\n{told}"));
    assert_eq!(document["schema"], "ccproxy.auth-status/1");
    document["connections"][0].clone()
}

/// Waits until `auth status` says so of a connection: a minute, which is the life of the shortest tokens.
pub async fn wait_for_state(home: &Home, connection: &str, state: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let now = status(home, connection).await;
        if now["state"] == state {
            return;
        }
        assert!(Instant::now() < deadline, "still not {state}: {now:#}");
        sleep(Duration::from_millis(100)).await;
    }
}
