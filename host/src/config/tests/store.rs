use std::os::unix::fs::PermissionsExt;

use pretty_assertions::assert_eq;
use serde_json::{Value as Json, json};

use super::*;
use crate::config::Given;
use crate::fault::Code;

fn stored(name: &str, settings: Json) -> StoredConnection {
    let Json::Object(settings) = settings else { panic!("settings are an object") };
    StoredConnection { id: id(name), provider: "oidc".parse().unwrap(), settings }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_is_stored_is_loaded_again() {
    let home = Home::new();
    let settings = json!({
        "issuer": "https://id.example", "scopes": ["openid", "x y"], "leeway": 5, "sealed": true, "none": null,
        "client_secret": {"command": ["pass", "show"]}, "extra_params": {"a \"b\"": "ü"},
    });
    stored("acme/corp", settings.clone()).write(&home.paths()).unwrap();
    let connection = home.load().resolved.connections[&id("acme/corp")].clone();
    let mut expected = settings;
    expected.as_object_mut().unwrap().remove("none");
    assert_eq!(Json::from(connection.settings), expected);
    assert!(connection.stored);

    stored("acme/corp", json!({"issuer": "https://id2.example"})).write(&home.paths()).unwrap();
    let connection = home.load().resolved.connections[&id("acme/corp")].clone();
    assert_eq!(Json::from(connection.settings), json!({"issuer": "https://id2.example"}));

    assert_eq!(StoredConnection::remove(&home.paths(), &id("acme/corp")), Ok(true));
    assert_eq!(StoredConnection::remove(&home.paths(), &id("acme/corp")), Ok(false));
    assert!(home.load().resolved.connections.is_empty());
}

#[test]
fn nobody_else_can_read_it_and_nothing_else_is_left_behind() {
    let home = Home::new();
    stored("corp", json!({})).write(&home.paths()).unwrap();
    let dir = home.path("config/connections/global");
    assert_eq!(mode(&dir.join("corp.toml")), 0o600);
    assert_eq!((mode(&dir), mode(&home.path("config/connections"))), (0o700, 0o700));
    let names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["corp.toml"]);
}

#[test]
fn a_secret_is_not_stored() {
    let home = Home::new();
    let fault = stored("corp", json!({"client_secret": "s3cr3t-canary"})).write(&home.paths()).unwrap_err();
    assert_eq!(fault.code, Code::InvalidConfig);
    assert!(!fault.message.contains("s3cr3t-canary"), "{}", fault.message);
    assert!(!home.path("config/connections").exists());
}

#[test]
fn a_store_that_cannot_be_written_says_so() {
    let home = Home::new().file("config/connections/global", "a file where a directory should be");
    let fault = stored("corp", json!({})).write(&home.paths()).unwrap_err();
    assert_eq!(fault.code, Code::Storage);
    assert!(fault.message.contains("connections/global"), "{}", fault.message);
}

#[test]
fn mistakes_in_what_was_typed_name_the_flag() {
    let schema = json!({"properties": {"tenant": {"type": "string"}, "leeway": {"type": "integer"}}, "required": ["tenant"]});
    let told = |settings: Json| {
        stored("corp", settings).check(Given::Flags, Some(&schema)).map_err(|error| error.to_string())
    };
    assert_eq!(told(json!({"tenant": "contoso", "client_id": "x"})), Ok(()));
    for (settings, message) in [
        (
            json!({"tenant": "t", "upstream": "http://api.example"}),
            "would send credentials in the clear (flag --upstream)",
        ),
        (
            json!({"tenant": "t", "client_secret": "x"}),
            "`connections.corp.client_secret` is a secret written out (flag --client-secret)",
        ),
        (
            json!({"tenant": "t", "leeway": "x"}),
            "`connections.corp.leeway` = \"x\" is not a whole number (flag --leeway)",
        ),
        (
            json!({"tenannt": "t", "tenant": "t"}),
            "unknown key `tenannt` in [connections.corp] (flag --tenannt)",
        ),
        (json!({}), "[connections.corp] has no `tenant` (flag --tenant)"),
    ] {
        let error = told(settings).unwrap_err();
        assert!(error.ends_with(message), "{error}");
    }
    assert_eq!(setting_of_text(&schema, "leeway", "5"), json!(5));
    assert_eq!(setting_of_text(&schema, "tenant", "5"), json!("5"));
}

#[test]
fn a_relative_path_means_the_directory_it_was_typed_in() {
    let home = Home::new();
    stored("corp", json!({"extra_ca": "ca.pem", "client_secret": {"file": "s.txt"}}))
        .write(&home.paths())
        .unwrap();
    let here = std::env::current_dir().unwrap();
    let connection = home.load().resolved.connections[&id("corp")].clone();
    assert_eq!(connection.extra_ca, Some(here.join("ca.pem")));
    assert_eq!(connection.settings["client_secret"]["file"], here.join("s.txt").to_str().unwrap());
}
