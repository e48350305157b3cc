//! The proxy as a process.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Command;

use super::{Finished, Program};

/// A running `ccproxy serve`.
pub struct Host {
    program: Program,
    /// What it says it listens on, in order.
    pub listen: Vec<String>,
    /// The listeners that routes have to themselves, by the route's name.
    pub own: BTreeMap<String, String>,
    pub admin: Option<String>,
    pub pid: u32,
}

impl Host {
    /// Starts a command that is `ccproxy serve --json` with something around it, and waits until it serves.
    pub async fn spawn(command: Command) -> Self {
        Self::ready(Program::spawn(command)).await
    }

    pub(crate) async fn ready(mut program: Program) -> Self {
        let line = program.json_line_with("schema", "ccproxy.serve/1").await;
        let listen =
            line["listen"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let own = serde_json::from_value(line["route_listeners"].clone());
        let host = Self {
            listen: listen.collect(),
            own: own.unwrap_or_else(|e| panic!("no listeners of routes in {line}: {e}")),
            admin: line["admin"].as_str().map(str::to_owned),
            pid: program.pid(),
            program,
        };
        assert!(!host.listen.is_empty(), "no listener in {line}");
        assert_eq!(line["pid"], Value::from(host.pid));
        host
    }

    /// A URL at the first listener.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.listen[0].trim_end_matches('/'))
    }

    /// The first listener as `address:port`.
    pub fn authority(&self) -> &str {
        self.listen[0].trim_end_matches('/').trim_start_matches("http://").trim_start_matches("https://")
    }

    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.program.stderr_so_far()
    }

    /// Ends it as a service manager does.
    pub async fn stop(self) -> Finished {
        self.program.stop().await
    }

    /// Waits for its end, which somebody else asked for.
    pub async fn ended(self) -> Finished {
        self.program.finish().await
    }

    /// Ends it as a power failure does.
    pub async fn kill(self) -> Finished {
        self.program.signal(Signal::KILL);
        self.program.finish().await
    }
}
