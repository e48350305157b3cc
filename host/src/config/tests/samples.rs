//! The files in `config/` are documentation that runs.

use pretty_assertions::assert_eq;

use super::super::schema::{Key, ROOT, Shape};
use super::*;

fn sample(name: &str) -> Home {
    let path = repository().join("config").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Home::with(&text)
}

#[test]
fn every_sample_loads_and_works_in_this_version() {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("config")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".toml") {
            let config = sample(&name).load();
            assert_eq!(config.check_supported(), Ok(()), "{name}");
            assert_eq!(config.check_references(), Ok(()), "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen} samples");
}

#[test]
fn the_annotated_file_says_the_defaults() {
    assert_eq!(sample("ccproxy.toml").load().resolved, Home::new().load().resolved);
}

#[test]
fn the_annotated_file_names_every_key() {
    let text = std::fs::read_to_string(repository().join("config/ccproxy.toml")).unwrap();
    // Commented examples count: they are what a reader would switch on.
    let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches("# ").trim()).collect();
    let mut section = String::new();
    let mut named = std::collections::BTreeSet::new();
    for line in lines {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = header
                .split('.')
                .next()
                .map(|first| match first {
                    "connections" | "routes" => first.to_owned(),
                    _ => header.to_owned(),
                })
                .unwrap();
        } else if let Some((key, _)) = line.split_once(" = ") {
            named.insert(format!("{section}.{key}"));
        }
    }
    let mut missing = Vec::new();
    collect(&ROOT, "", &mut |key| {
        if !named.contains(key) {
            missing.push(key.to_owned())
        }
    });
    assert_eq!(missing, Vec::<String>::new());
}

/// The values of a key in a systemd unit of `config/`.
fn unit(name: &str, key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join("config").join(name)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned())).collect()
}

#[test]
fn the_units_listen_where_the_program_would() {
    let streams = unit("ccproxy.socket", "ListenStream");
    let defaults = &Home::new().load().resolved.server.listen;
    assert_eq!(streams, defaults.iter().map(ToString::to_string).collect::<Vec<_>>());
    // Each is handed over as the descriptor of its place, from 3 on (sd_listen_fds(3)).
    let start = &unit("ccproxy.service", "ExecStart")[0];
    let listens = start.split(" --listen ").skip(1).map(str::to_owned).collect();
    let home = Home { listen: listens, ..Home::new() };
    let handed_over = (3..).take(streams.len()).map(ListenAddress::Fd);
    let config = home.load();
    assert_eq!(config.resolved.server.listen, handed_over.collect::<Vec<_>>());
    assert_eq!(config.check_supported(), Ok(()));
    assert_eq!(unit("ccproxy.service", "Type"), ["notify"]);
}

fn collect(keys: &'static [Key], path: &str, found: &mut dyn FnMut(&str)) {
    for key in keys {
        let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        match &key.shape {
            Shape::Value(_) => found(&path),
            Shape::Table(keys) | Shape::Named { keys, .. } => collect(keys, &path, found),
        }
    }
}
