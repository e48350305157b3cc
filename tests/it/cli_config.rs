//! Somebody starts a configuration, and edits it with an editor that knows what may stand in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ccproxy_tests::home::Home;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

#[tokio::test]
async fn a_new_file_changes_nothing_and_an_old_one_is_left_alone() {
    let home = Home::new();
    let file = home.config_dir().join("config.toml");
    let values = async || {
        let shown = home.ccproxy(&["config", "show", "--json"]).await.expect_success().json();
        let value = |value: &Value| (value["key"].clone(), value["value"].clone());
        shown["values"].as_array().unwrap().iter().map(value).collect::<Vec<_>>()
    };
    let before = values().await;
    let told = home.ccproxy(&["config", "init", "--json"]).await.expect_success().json();
    assert_eq!(told, json!({ "schema": "ccproxy.config-init/1", "path": file }));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    home.ccproxy(&["config", "check"]).await.expect_success();
    assert_eq!(values().await, before);

    home.write_config("[server]\nworkers = 2\n");
    let told = home.ccproxy(&["config", "init"]).await.expect_code(2);
    let named = format!("error: {} is there already and is left alone\n", file.display());
    assert!(told.stderr.starts_with(&named) && told.stderr.contains("hint: "), "{told}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "[server]\nworkers = 2\n");
}

#[tokio::test]
async fn the_schema_knows_the_settings_of_every_plugin() {
    let home = Home::new();
    let schema = home.ccproxy(&["config", "schema"]).await.expect_success().json();
    assert_eq!(schema["properties"]["server"]["properties"]["http2"]["type"], "boolean");
    let connections = &schema["properties"]["connections"]["additionalProperties"];
    let providers = connections["allOf"].as_array().unwrap();
    for (id, setting) in [("azure", "tenant"), ("google", "hosted_domain"), ("github", "web_url")] {
        let own = providers.iter().find(|own| own["if"]["properties"]["provider"]["const"] == id);
        assert!(own.unwrap()["then"]["properties"][setting].is_object(), "{id}: {setting}");
    }
}
