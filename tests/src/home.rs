//! A machine of one's own: empty directories for everything that ccproxy keeps, and an environment without
//! anything of the person who runs the tests.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Duration, Instant, sleep};

use crate::http_client::Call;
use crate::program::{self, Finished, Host, Program};

/// The directories of a fresh machine. Deleted when dropped.
pub struct Home {
    root: TempDir,
    environment: Vec<(String, String)>,
}

impl Home {
    pub fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("ccproxy-")
            .tempdir()
            .expect("the temporary directory is writable");
        let home = Self { root, environment: Vec::new() };
        for dir in [home.config_dir(), home.state_dir(), home.data_dir(), home.runtime_dir(), home.user_dir()]
        {
            fs::DirBuilder::new().mode(0o700).create(&dir).expect("a fresh directory takes another");
        }
        home
    }

    /// A fresh machine with this `config.toml`.
    pub fn with_config(toml: &str) -> Self {
        let home = Self::new();
        home.write_config(toml);
        home
    }

    pub fn config_dir(&self) -> PathBuf {
        self.root.path().join("config")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.root.path().join("state")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub fn runtime_dir(&self) -> PathBuf {
        self.root.path().join("run")
    }

    /// `$HOME`.
    pub fn user_dir(&self) -> PathBuf {
        self.root.path().join("user")
    }

    /// Where the grant of a connection of the org `global` is kept.
    pub fn credential(&self, connection: &str) -> PathBuf {
        self.state_dir().join("credentials/global").join(format!("{connection}.json"))
    }

    pub fn admin_socket(&self) -> PathBuf {
        self.runtime_dir().join("admin.sock")
    }

    pub fn write_config(&self, toml: &str) {
        self.write(&self.config_dir().join("config.toml"), toml);
    }

    /// Writes a file of `conf.d/`, which adds to `config.toml`.
    pub fn add_config(&self, name: &str, toml: &str) {
        let directory = self.config_dir().join("conf.d");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).expect("the directory is ours");
        self.write(&directory.join(name), toml);
    }

    /// Writes a file that only its owner reads, as ccproxy asks for.
    pub fn write(&self, path: &Path, text: &str) {
        fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    }

    /// Puts a plugin where a user puts one.
    pub fn add_plugin(&self, file: &Path) {
        let directory = self.data_dir().join("plugins");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).expect("the directory is ours");
        let name = file.file_name().expect("a plugin is a file");
        fs::copy(file, directory.join(name)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }

    /// Sets a variable for every program that is started from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.retain(|(n, _)| n != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// A command on this machine: its directories, a terminal-less environment, nothing else.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.user_dir());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.user_dir()).env("LANG", "C.UTF-8").env("TMPDIR", std::env::temp_dir());
        command.env("CCPROXY_CONFIG_DIR", self.config_dir());
        command.env("CCPROXY_STATE_DIR", self.state_dir());
        command.env("CCPROXY_DATA_DIR", self.data_dir());
        command.env("CCPROXY_RUNTIME_DIR", self.runtime_dir());
        command.env("CCPROXY_PLUGIN_DIR", program::plugin_dir());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `ccproxy` to its end.
    pub async fn ccproxy(&self, args: &[&str]) -> Finished {
        self.spawn_ccproxy(args).finish().await
    }

    /// Starts `ccproxy` and lets it run.
    pub fn spawn_ccproxy(&self, args: &[&str]) -> Program {
        let mut command = self.command(program::ccproxy());
        command.args(args);
        Program::spawn(command)
    }

    /// Starts a host on a free port and waits until it serves.
    pub async fn serve(&self) -> Host {
        self.serve_with(&["--listen", "127.0.0.1:0"]).await
    }

    /// Starts a host that sees the file system as a shell script leaves it.
    pub async fn serve_after(&self, setup: &str) -> Host {
        Host::ready(self.spawn_after(setup, &["serve", "--json", "--listen", "127.0.0.1:0"])).await
    }

    /// Runs `ccproxy` to its end on the file system as a shell script leaves it.
    pub async fn ccproxy_after(&self, setup: &str, args: &[&str]) -> Finished {
        self.spawn_after(setup, args).finish().await
    }

    /// What the script mounts ends with the program: both are in a mount namespace of their own, which takes a
    /// user namespace, too, for who is not root.
    fn spawn_after(&self, setup: &str, args: &[&str]) -> Program {
        let mut command = self.command("unshare");
        let script = format!("{setup}\nexec \"$0\" \"$@\"");
        let namespaces = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
        command.args([namespaces, "sh", "-ec", &script]).arg(program::ccproxy()).args(args);
        Program::spawn(command)
    }

    /// Starts `hooks tail --json`, and requests until it tells of one: from then on it misses nothing.
    pub async fn tail_events(&self, host: &Host) -> Program {
        let tail = self.spawn_ccproxy(&["hooks", "tail", "--json"]);
        let deadline = Instant::now() + Duration::from_secs(30);
        while tail.stdout_so_far().is_empty() {
            assert!(Instant::now() < deadline, "the tail is silent: {}", tail.stderr_so_far());
            Call::get(&host.url("/no-such-route")).send().await;
            sleep(Duration::from_millis(20)).await;
        }
        tail
    }

    /// Starts a host with arguments of the caller's.
    pub async fn serve_with(&self, args: &[&str]) -> Host {
        Host::ready(self.spawn_ccproxy(&[&["serve", "--json"], args].concat())).await
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}
