//! Where the proxy listens or would: free, ours, or somebody else's.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::check::Check;
use crate::app::{expected_listeners, shared_urls};
use crate::cli::client::Host;
use crate::config::Config;
use crate::proxy::{Address, Owner};

const GROUP: &str = "listeners";
/// Loopback answers at once, or not at all.
const ANSWER: Duration = Duration::from_secs(1);

/// What the configuration asks for.
pub(super) struct Wanted {
    listeners: Vec<Address>,
    shared: Vec<String>,
}

impl Wanted {
    pub(super) fn of(config: &Config) -> Self {
        let expected = expected_listeners(config);
        let shared = shared_urls(&expected);
        Self { listeners: expected.into_iter().map(|listener| listener.at).collect(), shared }
    }
}

pub(super) async fn checks(host: Option<&Host>, wanted: Option<Wanted>) -> Vec<Check> {
    let mut checks = Vec::new();
    match host {
        Some(host) => {
            let own = host.status.route_listeners.values();
            for url in host.status.listen.iter().chain(own) {
                checks.push(served(url).await);
            }
            let missing = wanted.iter().flat_map(|wanted| &wanted.shared);
            // A port of 0 became another one.
            for url in missing.filter(|url| !host.status.listen.contains(url) && !url.ends_with(":0")) {
                checks.push(
                    Check::warn(GROUP, url.as_str(), "configured, but the host does not listen there")
                        .hint("ccproxy reload"),
                );
            }
        }
        None => {
            for at in wanted.iter().flat_map(|wanted| &wanted.listeners) {
                checks.push(match at {
                    Address::Tcp(address) => port(*address),
                    Address::Unix(path) => socket(path).await,
                });
            }
        }
    }
    checks.push(names(
        &std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default(),
        &std::fs::read_to_string("/etc/hosts").unwrap_or_default(),
    ));
    checks
}

/// A listener of the running host takes connections.
async fn served(url: &str) -> Check {
    let answers = if let Some(path) = url.strip_prefix("unix:") {
        timeout(ANSWER, UnixStream::connect(path)).await.is_ok_and(|stream| stream.is_ok())
    } else {
        let address = url.split_once("://").map_or(url, |(_, rest)| rest);
        timeout(ANSWER, TcpStream::connect(address)).await.is_ok_and(|stream| stream.is_ok())
    };
    match answers {
        true => Check::ok(GROUP, url, "takes connections"),
        false => Check::fail(GROUP, url, "takes no connection").hint("ccproxy stop, then ccproxy serve"),
    }
}

fn port(address: SocketAddr) -> Check {
    let url = format!("http://{address}");
    if address.ip() == Ipv6Addr::LOCALHOST && TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return Check::warn(GROUP, url, "this machine has no IPv6 loopback; the host does without");
    }
    match Owner::of(address) {
        None => Check::ok(GROUP, url, "free"),
        Some(owner) => Check::fail(GROUP, url, format!("in use by {owner}"))
            .hint("end that, or let ccproxy listen elsewhere: ccproxy serve --listen 127.0.0.1:0"),
    }
}

async fn socket(path: &Path) -> Check {
    let name = format!("unix:{}", path.display());
    let Ok(meta) = path.symlink_metadata() else {
        return match path.parent().is_some_and(Path::is_dir) {
            true => Check::ok(GROUP, name, "free"),
            false => {
                let parent = path.parent().unwrap_or(path).display().to_string();
                Check::fail(GROUP, name, format!("there is no directory {parent}"))
                    .hint(format!("mkdir -p -m 700 {parent}"))
            }
        };
    };
    if !std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) {
        return Check::fail(GROUP, name, "something else of that name is there").hint("choose another path");
    }
    match timeout(ANSWER, UnixStream::connect(path)).await {
        Ok(Ok(_)) => Check::fail(GROUP, name, "another program listens there").hint("choose another path"),
        _ => Check::ok(GROUP, name, "free; what is there was left behind and will be replaced"),
    }
}

/// Whether `<route>.localhost` leads here. Read and not tried: where it does not, the question would go to a
/// server (RFC 6761 section 6.3 asks resolvers to know it, and the C library does not).
fn names(nsswitch: &str, hosts: &str) -> Check {
    let sources = nsswitch.lines().find_map(|line| line.trim().strip_prefix("hosts:")).unwrap_or_default();
    let knows = sources.split_whitespace().any(|source| matches!(source, "myhostname" | "resolve"));
    let written = hosts
        .lines()
        .filter_map(|line| line.split('#').next())
        .any(|line| line.split_whitespace().skip(1).any(|name| name.ends_with(".localhost")));
    match (knows, written) {
        (true, _) => Check::ok(GROUP, "<route>.localhost", "resolves (/etc/nsswitch.conf)"),
        (false, true) => Check::ok(GROUP, "<route>.localhost", "some are in /etc/hosts"),
        (false, false) => Check::ok(
            GROUP,
            "<route>.localhost",
            "is not resolved here; browsers and curl know it, for others use the path /<route>/",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Finding;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_port_is_free_or_has_an_owner() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let check = port(taken.local_addr().unwrap());
        assert_eq!(check.result, Finding::Fail);
        assert!(check.detail.contains(&format!("pid {}", std::process::id())), "{}", check.detail);
        let address = taken.local_addr().unwrap();
        drop(taken);
        assert_eq!(port(address).result, Finding::Ok);
    }

    #[test]
    fn names_of_routes_are_resolved_where_the_system_says_so() {
        let told = |nsswitch: &str, hosts: &str| names(nsswitch, hosts).detail;
        assert!(told("hosts: files myhostname dns\n", "").starts_with("resolves"));
        assert!(told("hosts: files dns\n", "127.0.0.1 localhost graph.localhost\n").starts_with("some"));
        assert!(
            told("# hosts: resolve\nhosts: files dns\n", "127.0.0.1 localhost # x.localhost\n")
                .starts_with("is not")
        );
    }
}
