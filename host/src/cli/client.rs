//! The client of the running host: HTTP over its Unix socket.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::error::CliError;
use crate::app::ConnectionStatus;
use crate::config::Paths;
use crate::fault::{Code, Fault};
use crate::model::{ConnectionId, Name};

/// A host that is alive says who it is within this time. Interface section 4.
const HELLO: Duration = Duration::from_secs(5);
/// What it does for us may have to wait for a provider: 30 s is what a request waits for a credential.
const WORK: Duration = Duration::from_secs(35);
/// How often to see whether a host that was asked to end has ended.
const LOOK: Duration = Duration::from_millis(50);
/// A command of a plugin's own may take as long as any call of it: 65 s.
const COMMAND: Duration = Duration::from_secs(70);
/// More than a thousand connections' status; a socket that sends more is not our host.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A host that runs on our directories.
#[derive(Debug)]
pub(super) struct Host {
    socket: PathBuf,
    /// What it said of itself.
    pub(super) status: HostStatus,
}

/// What a host says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct HostStatus {
    /// Its process.
    pub(super) pid: u32,
    state_dir: PathBuf,
    config_dir: PathBuf,
    /// Its `server.access`.
    #[serde(default)]
    pub(super) access: Option<String>,
    /// URLs of its listeners.
    pub(super) listen: Vec<String>,
    /// URLs of the listeners that routes have to themselves.
    #[serde(default)]
    pub(super) route_listeners: BTreeMap<Name, String>,
}

impl Host {
    /// The host that runs on these directories, if one does. One that runs on others is not ours to
    /// command, one that does not answer may hold a grant's lock.
    pub(super) async fn find(paths: &Paths) -> Result<Option<Self>, CliError> {
        Ok(Self::answering(paths).await?.filter(|host| host.runs_on(paths)))
    }

    /// The directories of a host that answers where ours would, and runs on others.
    pub(super) async fn elsewhere(paths: &Paths) -> Option<String> {
        let host = Self::answering(paths).await.ok().flatten().filter(|host| !host.runs_on(paths))?;
        Some(format!("{}, {}", host.status.state_dir.display(), host.status.config_dir.display()))
    }

    fn runs_on(&self, paths: &Paths) -> bool {
        same(&self.status.state_dir, &paths.state_dir) && same(&self.status.config_dir, &paths.config_dir)
    }

    async fn answering(paths: &Paths) -> Result<Option<Self>, CliError> {
        let socket = paths.admin_socket();
        let stream = match UnixStream::connect(&socket).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            // A path too long for a socket, or a parent that is no directory: no host can be there.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(unreachable(&socket, &error.to_string())),
        };
        let status = within(HELLO, &socket, async {
            let answer = exchange(stream, &socket, request(Method::GET, "status", None)).await?;
            read(answer, &socket).await
        })
        .await?;
        let status: HostStatus = serde_json::from_value(status)
            .map_err(|error| unreachable(&socket, &format!("its status makes no sense: {error}")))?;
        Ok(Some(Self { socket, status }))
    }

    /// Asks.
    pub(super) async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.call(Method::GET, path, None, WORK).await
    }

    /// Has something done.
    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Value, CliError> {
        self.call(Method::POST, path, Some(body), WORK).await
    }

    /// Has a plugin run a command of its own: its name, then its arguments.
    pub(super) async fn run(&self, plugin: &Name, arguments: &[String]) -> Result<Value, CliError> {
        let body = json!({ "arguments": arguments });
        self.call(Method::POST, &format!("plugins/{plugin}/run"), Some(body), COMMAND).await
    }

    /// How all connections stand.
    pub(super) async fn connections(&self) -> Result<Vec<ConnectionStatus>, CliError> {
        let mut document = self.get("connections").await?;
        serde_json::from_value(document["connections"].take())
            .map_err(|error| unreachable(&self.socket, &format!("its answer makes no sense: {error}")))
    }

    /// How one connection stands.
    pub(super) async fn connection(&self, id: &ConnectionId) -> Result<ConnectionStatus, CliError> {
        let mut document = self.get(&format!("connections/{}/{}", id.org, id.name)).await?;
        serde_json::from_value(document["connection"].take())
            .map_err(|error| unreachable(&self.socket, &format!("its answer makes no sense: {error}")))
    }

    /// Has something done with a connection.
    pub(super) async fn post_to(
        &self,
        id: &ConnectionId,
        action: &str,
        body: Value,
    ) -> Result<Value, CliError> {
        self.post(&format!("connections/{}/{}/{action}", id.org, id.name), body).await
    }

    /// Hook events from now on.
    pub(super) async fn events(&self) -> Result<Events, CliError> {
        let answer = within(HELLO, &self.socket, async {
            exchange(self.connect().await?, &self.socket, request(Method::GET, "events", None)).await
        })
        .await?;
        if answer.status().is_success() {
            Ok(Events { body: answer.into_body(), buffer: Vec::new() })
        } else {
            let why = read(answer, &self.socket).await.err();
            Err(why.unwrap_or_else(|| unreachable(&self.socket, "it has no events")))
        }
    }

    /// Resolves when the host's process has ended. Begun before it is asked to: then its number is still its own.
    pub(super) fn end(&self) -> impl Future<Output = ()> + use<> {
        let (socket, process) = (self.socket.clone(), process(self.status.pid));
        async move {
            // Its socket goes before its process does; where that cannot be watched, this has to do.
            while UnixStream::connect(&socket).await.is_ok() {
                tokio::time::sleep(LOOK).await;
            }
            while process.as_ref().is_some_and(is_alive) {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        limit: Duration,
    ) -> Result<Value, CliError> {
        within(limit, &self.socket, async {
            let answer = exchange(self.connect().await?, &self.socket, request(method, path, body)).await?;
            read(answer, &self.socket).await
        })
        .await
    }

    async fn connect(&self) -> Result<UnixStream, CliError> {
        let connected = UnixStream::connect(&self.socket).await;
        connected.map_err(|error| unreachable(&self.socket, &error.to_string()))
    }
}

/// A handle on a process that no other process inherits with its number.
#[cfg(target_os = "linux")]
fn process(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn process(_pid: u32) -> Option<OwnedFd> {
    None
}

/// Readable is how the kernel says that a process has ended, whether or not somebody has waited for it.
fn is_alive(process: &OwnedFd) -> bool {
    let mut asked = [PollFd::new(process, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut asked, Some(&at_once)), Ok(0))
}

/// Event documents as they arrive.
pub(super) struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Events {
    /// The next document; `None` once the host has stopped.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(block) = take_block(&mut self.buffer) {
                if let Some(document) = document_of(&block) {
                    return Some(document);
                }
            }
            let frame = self.body.frame().await?.ok()?;
            self.buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            if self.buffer.len() > MAX_ANSWER {
                return None;
            }
        }
    }
}

/// A whole event off the front of a `text/event-stream`.
fn take_block(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
    let rest = buffer.split_off(end + 2);
    Some(std::mem::replace(buffer, rest))
}

fn document_of(block: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(block).ok()?;
    let data: String = text.lines().filter_map(|line| line.strip_prefix("data:")).collect();
    serde_json::from_str(&data).ok()
}

fn request(method: Method, path: &str, body: Option<Value>) -> Request<Full<Bytes>> {
    let builder = Request::builder()
        .method(method)
        .uri(format!("/api/v1/{path}"))
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    builder.body(Full::new(body.into())).expect("names and our own words make valid paths")
}

async fn exchange(
    stream: UnixStream,
    socket: &Path,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, CliError> {
    let broken = |error: hyper::Error| unreachable(socket, &error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with the connection, which ends with the sender and the answer.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(broken)
}

async fn read(answer: Response<Incoming>, socket: &Path) -> Result<Value, CliError> {
    let good = answer.status().is_success();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let bytes = body.map_err(|error| unreachable(socket, &error.to_string()))?.to_bytes();
    let document: Value = serde_json::from_slice(&bytes)
        .map_err(|error| unreachable(socket, &format!("its answer makes no sense: {error}")))?;
    if good { Ok(document) } else { Err(problem(&document)) }
}

/// The failure that a problem document tells of.
fn problem(document: &Value) -> CliError {
    let text = |member: &str| document[member].as_str().map(str::to_owned);
    if document["code"] == "not_found" {
        let hint = text("hint");
        let error = CliError::not_found(text("title").unwrap_or_default());
        return match hint {
            Some(hint) => error.hint(hint),
            None => error,
        };
    }
    let code = document["code"].as_str().and_then(Code::parse).unwrap_or(Code::Internal);
    let message = text("title").unwrap_or_else(|| "the host failed without a reason".into());
    let fault = Fault { hint: text("hint"), transcript: text("detail"), ..Fault::new(code, message) };
    fault.into()
}

async fn within<T>(
    limit: Duration,
    socket: &Path,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    timeout(limit, work).await.unwrap_or_else(|_| {
        let seconds = limit.as_secs();
        Err(CliError::try_again(format!(
            "the host at {} did not answer within {seconds} s",
            socket.display()
        ))
        .hint("try again; end the host if it hangs"))
    })
}

fn unreachable(socket: &Path, why: &str) -> CliError {
    CliError::try_again(format!("cannot talk to the host at {}: {why}", socket.display()))
}

/// One directory under two names (a symbolic link, `/private` on macOS) is one directory.
fn same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    a == b || real(a) == real(b)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::service::service_fn;
    use pretty_assertions::assert_eq;
    use serde_json::json;
    use tokio::net::UnixListener;

    use super::*;
    use crate::cli::error::Exit;
    use crate::config::Env;

    struct Home {
        directory: tempfile::TempDir,
        paths: Paths,
    }

    impl Home {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let home = directory.path().to_str().unwrap();
            let paths = Paths::from_env(&Env::from_vars([("HOME", home), ("CCPROXY_RUNTIME_DIR", home)]));
            Self { paths: paths.unwrap(), directory }
        }

        /// Answers every request the same way, as a host that says it runs on our directories.
        fn host(&self, status: u16, answer: Value) {
            let (state_dir, config_dir) = (self.paths.state_dir.clone(), self.paths.config_dir.clone());
            let hello = json!({
                "pid": 7, "state_dir": state_dir, "config_dir": config_dir, "listen": ["http://127.0.0.1:1"],
            });
            self.answering(move |path| match path {
                "/api/v1/status" => (200, hello.clone()),
                _ => (status, answer.clone()),
            });
        }

        fn answering(&self, answer: impl Fn(&str) -> (u16, Value) + Clone + Send + Sync + 'static) {
            let listener = UnixListener::bind(self.paths.admin_socket()).unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let answer = answer.clone();
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (status, body) = answer(request.uri().path());
                        let response =
                            Response::builder().status(status).body(Full::new(Bytes::from(body.to_string())));
                        async move { Ok::<_, Infallible>(response.unwrap()) }
                    });
                    let server = hyper::server::conn::http1::Builder::new();
                    tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
                }
            });
        }
    }

    #[tokio::test]
    async fn no_socket_and_a_stale_one_mean_that_no_host_runs() {
        let home = Home::new();
        assert!(Host::find(&home.paths).await.unwrap().is_none());
        drop(UnixListener::bind(home.paths.admin_socket()).unwrap());
        assert!(Host::find(&home.paths).await.unwrap().is_none());
        assert!(home.directory.path().join("admin.sock").exists());
    }

    #[tokio::test]
    async fn a_host_on_other_directories_is_not_ours() {
        let home = Home::new();
        home.answering(|_| (200, json!({"pid": 7, "state_dir": "/a", "config_dir": "/b", "listen": []})));
        assert!(Host::find(&home.paths).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_problem_of_the_host_is_the_failure_of_the_command() {
        let home = Home::new();
        let problem = json!({"title": "the grant is gone", "code": "reauth_required", "hint": "log in"});
        home.host(401, problem);
        let host = Host::find(&home.paths).await.unwrap().unwrap();
        assert_eq!(host.status.pid, 7);
        let error = host.post_to(&"github".parse().unwrap(), "refresh", json!({})).await.unwrap_err();
        assert_eq!((error.exit, error.code), (Exit::LOGIN, "reauth_required"));
        assert_eq!((error.message.as_str(), error.hint.as_deref()), ("the grant is gone", Some("log in")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_does_not_answer_is_worth_another_try() {
        let home = Home::new();
        let _listener = UnixListener::bind(home.paths.admin_socket()).unwrap();
        let error = Host::find(&home.paths).await.unwrap_err();
        assert_eq!((error.exit, error.code), (Exit::TRY_AGAIN, "try_again"));
    }

    #[test]
    fn events_are_cut_out_of_the_stream_however_it_is_cut() {
        let mut buffer = b"data: {\"event\":\"app.ready\"}\n\n: keep-alive\n\ndata: {\"ev".to_vec();
        let first = take_block(&mut buffer).unwrap();
        assert_eq!(document_of(&first), Some(json!({"event": "app.ready"})));
        let comment = take_block(&mut buffer).unwrap();
        assert_eq!(document_of(&comment), None);
        assert_eq!(take_block(&mut buffer), None);
        buffer.extend_from_slice(b"ent\":1}\n\n");
        assert_eq!(document_of(&take_block(&mut buffer).unwrap()), Some(json!({"event": 1})));
    }
}
