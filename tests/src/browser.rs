//! A person in front of Chromium, who goes through login, consent and device pages to the end.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;
use url::Url;

use crate::home::Home;
use crate::parts;
use crate::program::Program;

/// What the person does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Person<'a> {
    /// Signs in as this user; `alice` where none is named.
    pub user: Option<&'a str>,
    /// Types this code where a page asks for one.
    pub user_code: Option<&'a str>,
    /// Says no where a page asks for consent.
    pub denies: bool,
}

/// Where the person ended up.
#[derive(Debug)]
pub struct LastPage {
    pub url: Url,
    pub text: String,
}

/// A program for `$BROWSER`: opens the page it is given, as alice, who consents to everything.
pub fn install(home: &Home) -> PathBuf {
    let path = home.user_dir().join("browser");
    let (chromium, node) = (parts::system_program("chromium"), parts::system_program("node"));
    let script = parts::script("browser.mjs");
    let [chromium, node, script] = [&chromium, &node, &script].map(|path| path.display());
    home.write(&path, &format!("#!/bin/sh\nCHROMIUM='{chromium}' exec '{node}' '{script}' \"$1\"\n"));
    fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("the file is ours");
    path
}

/// Opens a page as alice, who consents to everything.
pub async fn approve(url: &str) -> LastPage {
    visit(url, Person::default()).await
}

/// Opens a page and answers what it and the pages after it ask.
pub async fn visit(url: &str, person: Person<'_>) -> LastPage {
    let mut command = Command::new(parts::system_program("node"));
    command.arg(parts::script("browser.mjs")).arg(url).env("CHROMIUM", parts::system_program("chromium"));
    if let Some(user) = person.user {
        command.args(["--user", user]);
    }
    if let Some(code) = person.user_code {
        command.args(["--user-code", code]);
    }
    if person.denies {
        command.arg("--deny");
    }
    let finished = Program::spawn(command).finish().await;
    let told: Value = finished.json();
    eprintln!("chromium {}", told["version"]);
    assert_eq!(told["ok"], true, "the person got stuck: {told}");
    let url = told["url"].as_str().and_then(|url| Url::parse(url).ok()).expect("a page has a URL");
    LastPage { url, text: told["text"].as_str().unwrap_or_default().to_owned() }
}
