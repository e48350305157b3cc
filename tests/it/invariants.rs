//! What the house must not contain, read from its source.

use std::fs;
use std::path::{Path, PathBuf};

use ccproxy_tests::parts::repository;
use pretty_assertions::assert_eq;

/// The code of the Rust files below a directory: no tests, no comments.
fn code(directory: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(&repository().join(directory), &mut files);
    assert!(!files.is_empty(), "{directory} has no code");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(repository()).unwrap().display().to_string();
            (name, without_tests_and_comments(&text))
        })
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            collect(&path, files);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}

/// Tests come last in a file, behind one attribute.
fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// Lines of code that contain one of these words, except in files of these rooms.
fn lines_with(directory: &str, words: &[&str], rooms: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in code(directory) {
        if rooms.iter().any(|room| file.starts_with(room)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| has_word(line, word)) {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// A word begins and ends where letters do.
fn has_word(line: &str, word: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic());
    line.match_indices(word).any(|(at, _)| {
        !letter(line[..at].chars().next_back()) && !letter(line[at + word.len()..].chars().next())
    })
}

#[test]
fn words_are_found_as_words() {
    assert!(has_word("if provider == \"github\"", "github") && has_word("GITHUB_TOKEN", "GITHUB"));
    assert!(!has_word("preoccupied", "occupied") && !has_word("googled", "google"));
    assert_eq!(without_tests_and_comments("a\n  // b\nc\n#[cfg(test)]\nmod tests {\nd"), "a\n\nc");
}

#[test]
fn the_host_never_names_a_provider() {
    let names = ["GitHub", "Azure", "Google", "OpenAI", "Anthropic", "HuggingFace", "Entra", "OIDC", "Oidc"];
    let spellings = names.map(|name| [name.to_owned(), name.to_lowercase(), name.to_uppercase()]);
    let words: Vec<&str> = spellings.as_flattened().iter().map(String::as_str).collect();
    assert_eq!(lines_with("host/src", &words, &[]), [""; 0]);
}

#[test]
fn the_host_depends_on_no_plugin_and_on_nothing_that_plugins_see() {
    let manifest = fs::read_to_string(repository().join("host/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
    for crate_name in ["ccproxy-provider-", "ccproxy-plugin-sdk", "ccproxy-plugin-oauth"] {
        assert!(!dependencies.contains(crate_name), "host depends on {crate_name}");
    }
}

#[test]
fn only_the_plugin_room_sees_the_types_of_the_boundary() {
    let words = ["ccproxy_plugin_abi", "abi_stable", "async_ffi", "libloading"];
    assert_eq!(lines_with("host/src", &words, &["host/src/plugin/"]), [""; 0]);
}

#[test]
fn the_boundary_does_no_io() {
    let words = ["std::fs", "std::net", "std::io", "std::process", "std::env", "tokio", "hyper"];
    assert_eq!(lines_with("plugin-api/abi/src", &words, &[]), [""; 0]);
    assert_eq!(
        lines_with(
            "plugin-api/oauth/src",
            &["std::fs", "TcpStream", "UdpSocket", "tokio", "hyper", "reqwest"],
            &[]
        ),
        [""; 0]
    );
}

#[test]
fn only_one_room_chooses_a_status_for_a_failure() {
    // The admin API and the page at the end of a login answer for themselves.
    let rooms = ["host/src/respond/", "host/src/admin/", "host/src/login/", "host/src/cli/"];
    let statuses =
        ["StatusCode::BAD_GATEWAY", "StatusCode::SERVICE_UNAVAILABLE", "StatusCode::GATEWAY_TIMEOUT"];
    assert_eq!(lines_with("host/src", &statuses, &rooms), [""; 0]);
}

#[test]
fn unsafe_code_is_where_it_is_expected() {
    let rooms = ["host/src/plugin/loader.rs"];
    assert_eq!(lines_with("host/src", &["unsafe {", "unsafe impl", "unsafe fn"], &rooms), [""; 0]);
    for plugin in ["plugins/oidc", "plugins/github", "plugins/google", "plugins/api-key"] {
        assert_eq!(lines_with(plugin, &["unsafe {", "unsafe impl", "unsafe fn"], &[]), [""; 0]);
    }
}
