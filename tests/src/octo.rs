//! A GitHub with the person `octo`, and a machine whose connection `github` leads there.

use std::time::Duration;

use serde_json::Value;

use crate::home::Home;
use crate::http_client::Call;
use crate::program::{Finished, Program};
use crate::sandbox::{Change, Sandbox};

pub struct Octo {
    pub sandbox: Sandbox,
    pub home: Home,
}

impl Octo {
    /// With the client id of a registered app in `config.toml`, and more settings of the connection.
    pub async fn new(client_id: &str, settings: &str) -> Self {
        let octo = Self::fresh_machine().await;
        octo.home.write_config(&format!(
            "[connections.github]\nprovider = \"github\"\nclient_id = \"{client_id}\"\n\
             web_url = \"{}\"\napi_url = \"{}\"\n{settings}\n",
            octo.sandbox.github(),
            octo.sandbox.github_api(),
        ));
        octo
    }

    /// Without any configuration.
    pub async fn fresh_machine() -> Self {
        let sandbox = Sandbox::start_default().await.expect("loopback has free ports");
        // GitHub asks for 5 s between polls; a second is as good to see that it is kept.
        let change = Change { device_interval: Some(Duration::from_secs(1)), ..Change::default() };
        sandbox.change_settings(change);
        Self { sandbox, home: Home::new() }
    }

    /// The settings that lead to this GitHub, as flags of `auth login`.
    pub fn flags(&self) -> [String; 4] {
        ["--web-url".into(), self.sandbox.github(), "--api-url".into(), self.sandbox.github_api()]
    }

    /// Octo logs in by the device flow.
    pub async fn login_by_device(&self) -> Finished {
        let mut login = DeviceLogin::start(&self.home, &["github"]).await;
        assert!(self.sandbox.approve_device(&login.user_code, "octo"), "{} is pending", login.user_code);
        _ = login.program().json_line_with("step", "done").await;
        login.finish().await.expect_success()
    }

    /// A token that octo made on the web pages.
    pub async fn personal_token(&self) -> String {
        let url =
            format!("{}/login/oauth/authorize?client_id=gh-oauth-app&scope=repo", self.sandbox.github());
        let back = self.sandbox.approve(&url, "octo").await;
        let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a redirect has a code");
        let fields = [("client_id", "gh-oauth-app"), ("client_secret", "gh-secret"), ("code", &code)];
        let url = format!("{}/login/oauth/access_token", self.sandbox.github());
        let tokens = Call::form(&url, &fields).accept_json().send().await.json();
        tokens["access_token"].as_str().unwrap_or_else(|| panic!("no token in {tokens}")).to_owned()
    }
}

/// A `ccproxy auth login` that waits for somebody to enter a code.
pub struct DeviceLogin {
    program: Program,
    pub user_code: String,
}

impl DeviceLogin {
    pub async fn start(home: &Home, args: &[&str]) -> Self {
        let flow = ["--flow", "device", "--json"];
        let mut program = home.spawn_ccproxy(&[&["auth", "login"], args, &flow].concat());
        let step = program.json_line_with("step", "user_code").await;
        let user_code = step["user_code"].as_str().unwrap_or_else(|| panic!("no code in {step}")).to_owned();
        Self { program, user_code }
    }

    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Waits for the end.
    pub async fn finish(self) -> Finished {
        self.program.finish().await
    }
}

/// What `ccproxy auth status --json` says of the connection `github`.
pub async fn github_status(home: &Home) -> Value {
    let told = home.ccproxy(&["auth", "status", "github", "--json"]).await;
    told.json()["connections"][0].clone()
}
