//! What the process was started with: proxies, displays, limits, a service manager, the clock.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};

use super::check::Check;
use crate::cli::time::roughly;
use crate::config::{Env, Paths};

const GROUP: &str = "environment";
/// Fewer open files than this a proxy uses up: two for each request.
const FEW_FILES: u64 = 1024;
/// Clocks of one machine and its file systems agree better than this.
const SLACK: Duration = Duration::from_secs(60);

pub(super) fn checks(env: &Env, paths: &Paths) -> Vec<Check> {
    let mut checks = vec![outbound(env), tools(env), login(env)];
    checks.extend(root(env));
    checks.push(clock(&paths.state_dir, SystemTime::now()));
    checks.push(open_files());
    checks.extend(umask(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()));
    checks.push(service(env));
    checks
}

/// A variable in either spelling.
fn either<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.text(name).or_else(|| env.text(&name.to_ascii_uppercase()))
}

/// How token calls and upstream connections leave.
fn outbound(env: &Env) -> Check {
    match either(env, "https_proxy").or_else(|| either(env, "all_proxy")) {
        None => Check::ok(GROUP, "outbound proxy", "none is set"),
        Some(proxy) => Check::ok(
            GROUP,
            "outbound proxy",
            format!("{}, unless `upstream.outbound_proxy` says otherwise", without_password(proxy)),
        ),
    }
}

/// Scheme, host and port of a URL that may hold a password.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

/// Whether tools started from here would look for us behind a proxy.
fn tools(env: &Env) -> Check {
    let proxied = either(env, "http_proxy").or_else(|| either(env, "all_proxy"));
    let direct = either(env, "no_proxy").unwrap_or_default();
    let covers = |name: &str| direct.split(',').map(str::trim).any(|entry| entry == name || entry == "*");
    match proxied {
        Some(_) if !(covers("127.0.0.1") && covers("localhost")) => {
            Check::warn(GROUP, "tools", "send what is for this machine to a proxy: NO_PROXY does not name it")
                .hint("export NO_PROXY=localhost,127.0.0.1,::1")
        }
        _ => Check::ok(GROUP, "tools", "reach this machine without a proxy"),
    }
}

/// What a login without `--flow` goes by.
fn login(env: &Env) -> Check {
    let display = ["WAYLAND_DISPLAY", "DISPLAY", "BROWSER"].into_iter().find(|name| env.os(name).is_some());
    let how = match (env.os("SSH_CONNECTION").is_some(), display) {
        (true, _) => "over SSH: by a code for another device, or by paste".to_owned(),
        (false, Some(name)) => format!("in a browser here ({name} is set)"),
        (false, None) => "no display: by a code for another device, or by paste".to_owned(),
    };
    Check::ok(GROUP, "login", how)
}

/// `sudo ccproxy` sees other directories than the person does.
fn root(env: &Env) -> Option<Check> {
    let person = env.text("SUDO_USER").filter(|person| *person != "root")?;
    rustix::process::geteuid().is_root().then(|| {
        Check::warn(
            GROUP,
            "user",
            format!("root by sudo: connections and plugins are root's, not those of {person}"),
        )
        .hint("ccproxy doctor, without sudo")
    })
}

/// Without asking anybody: what was written here was not written later than now.
fn clock(state: &Path, now: SystemTime) -> Check {
    let written = newest(state, 3);
    match written.and_then(|at| at.duration_since(now).ok()).filter(|ahead| *ahead > SLACK) {
        Some(ahead) => Check::warn(
            GROUP,
            "clock",
            format!(
                "is behind files in {} by {}: tokens would seem to live longer",
                state.display(),
                roughly(ahead)
            ),
        )
        .hint("timedatectl"),
        None => Check::ok(GROUP, "clock", "not behind what was written here; nobody else was asked"),
    }
}

fn newest(path: &Path, depth: u8) -> Option<SystemTime> {
    let own = path.symlink_metadata().ok().and_then(|meta| meta.modified().ok());
    let below = match depth {
        0 => None,
        _ => std::fs::read_dir(path)
            .ok()
            .and_then(|entries| entries.flatten().filter_map(|entry| newest(&entry.path(), depth - 1)).max()),
    };
    own.max(below)
}

fn open_files() -> Check {
    let limit = getrlimit(Resource::Nofile);
    match limit.current {
        Some(current) if current < FEW_FILES => {
            Check::warn(GROUP, "open files", format!("{current} at most")).hint("ulimit -n 4096")
        }
        Some(current) => Check::ok(GROUP, "open files", format!("{current} at most")),
        None => Check::ok(GROUP, "open files", "no limit"),
    }
}

/// What `/proc/self/status` says: the call that tells it would change it.
fn umask(status: &str) -> Option<Check> {
    let text = status.lines().find_map(|line| line.strip_prefix("Umask:"))?.trim();
    let mask = u32::from_str_radix(text, 8).ok()?;
    Some(if mask & 0o022 == 0o022 {
        Check::ok(GROUP, "umask", text)
    } else {
        Check::warn(
            GROUP,
            "umask",
            format!("{text}: plugins copied now could be written by others, and are refused"),
        )
        .hint("umask 022")
    })
}

/// Sockets that a service manager handed over (sd_listen_fds(3)).
fn service(env: &Env) -> Check {
    match (env.text("LISTEN_FDS"), env.text("LISTEN_PID")) {
        (None, _) => Check::ok(GROUP, "service manager", "handed over no socket"),
        (Some(count), Some(pid)) if pid == std::process::id().to_string() => {
            Check::ok(GROUP, "service manager", format!("handed over {count} sockets: fd:3 and up"))
        }
        (Some(_), pid) => {
            let whom =
                pid.map_or_else(|| "nobody (LISTEN_PID is not set)".into(), |pid| format!("process {pid}"));
            Check::warn(GROUP, "service manager", format!("LISTEN_FDS is set, but meant for {whom}"))
                .hint("unset LISTEN_FDS LISTEN_PID")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Finding;
    use pretty_assertions::assert_eq;

    fn env(vars: &[(&str, &str)]) -> Env {
        Env::from_vars(vars.iter().copied())
    }

    #[test]
    fn a_proxy_is_named_without_its_password() {
        let told = outbound(&env(&[("HTTPS_PROXY", "http://me:hunter2@corp.example:3128/x")])).detail;
        assert!(told.starts_with("http://corp.example:3128, "), "{told}");
        assert!(!told.contains("hunter2"));
        assert_eq!(without_password("me:hunter2@corp:3128"), "corp:3128");
    }

    #[test]
    fn a_proxy_for_everything_hides_this_machine_unless_it_is_excepted() {
        let told = |vars: &[(&str, &str)]| tools(&env(vars)).result;
        assert_eq!(told(&[]), Finding::Ok);
        assert_eq!(told(&[("http_proxy", "http://p")]), Finding::Warn);
        assert_eq!(told(&[("ALL_PROXY", "http://p"), ("NO_PROXY", "localhost")]), Finding::Warn);
        assert_eq!(told(&[("HTTP_PROXY", "http://p"), ("no_proxy", "localhost, 127.0.0.1")]), Finding::Ok);
        assert_eq!(told(&[("HTTPS_PROXY", "http://p")]), Finding::Ok);
    }

    #[test]
    fn the_way_to_log_in_is_told_as_it_would_be_chosen() {
        let told = |vars: &[(&str, &str)]| login(&env(vars)).detail;
        assert!(told(&[("DISPLAY", ":0")]).starts_with("in a browser here (DISPLAY"));
        assert!(told(&[("DISPLAY", ":0"), ("SSH_CONNECTION", "x")]).starts_with("over SSH"));
        assert!(told(&[]).starts_with("no display"));
    }

    #[test]
    fn a_clock_behind_its_own_files_is_noticed() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("x"), "").unwrap();
        assert_eq!(clock(state.path(), SystemTime::now()).result, Finding::Ok);
        let earlier = SystemTime::now() - Duration::from_secs(7200);
        let told = clock(state.path(), earlier);
        assert_eq!(told.result, Finding::Warn, "{}", told.detail);
    }

    #[test]
    fn a_mask_that_leaves_files_open_is_told() {
        let told = |mask: &str| umask(&format!("Name:\tx\nUmask:\t{mask}\n")).map(|check| check.result);
        assert_eq!(
            (told("0022"), told("0077"), told("0002")),
            (Some(Finding::Ok), Some(Finding::Ok), Some(Finding::Warn))
        );
        assert_eq!(umask("Name:\tx\n"), None);
    }

    #[test]
    fn sockets_for_another_process_are_told() {
        let us = std::process::id().to_string();
        assert_eq!(service(&env(&[("LISTEN_FDS", "1"), ("LISTEN_PID", &us)])).result, Finding::Ok);
        assert_eq!(service(&env(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")])).result, Finding::Warn);
        assert_eq!(service(&env(&[])).result, Finding::Ok);
    }
}
