//! Stories: what people do with ccproxy, told with real programs. One file a story.

#![allow(clippy::unwrap_used, reason = "a story fails where it is surprised")]

mod access_log;
mod admin_connections;
mod admin_events;
mod admin_logins;
mod admin_metrics;
mod admin_openapi;
mod admin_port;
mod auth_status;
mod azure_errors;
mod azure_login;
mod azure_resources;
mod bad_heads;
mod bad_input;
mod bad_place;
mod bad_server;
mod bench;
mod cli_config;
mod cli_create;
mod cli_json;
mod cli_rename;
mod cli_run;
mod cli_shell;
mod client_anthropic;
mod client_curl;
mod client_gh;
mod client_git;
mod client_github;
mod client_http2;
mod client_huggingface;
mod client_node;
mod client_openai;
mod client_pages;
mod client_python_tools;
mod client_websocket;
mod deleted_credential;
mod docs;
mod doctor;
mod explain;
mod github_quirks;
mod google_quirks;
mod harness;
mod hello_plugin;
mod hooks;
mod hot_path;
mod invariants;
mod listeners;
mod local_keys;
mod login_browser;
mod login_device;
mod login_machine;
mod no_terminal;
mod plugin_dropin;
mod plugin_faults;
mod plugin_settings;
mod plugin_test;
mod provider_down;
mod reload;
mod rotation_on_disk;
mod steady;
mod storm;
mod third_party_plugin;
mod wrong_plugins;

/// A file that is not named above would never run.
#[test]
fn every_story_is_told() {
    let directory = ccproxy_tests::parts::repository().join("tests/it");
    let this = std::fs::read_to_string(directory.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(name == "main" || this.contains(&format!("\nmod {name};\n")), "{name} is not in main.rs");
    }
}
