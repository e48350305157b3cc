//! The program `ccproxy-sandbox`: found, started, told how to misbehave, asked what it saw.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use url::Url;

use super::call::Caller;
use crate::credential::Prepared;
use crate::fault::{Code, Fault};

/// Its name.
const PROGRAM: &str = "ccproxy-sandbox";
/// Until it is ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// The dialect of a provider that has none of its own.
const COMMON: &str = "oauth";

/// The program is nowhere.
#[derive(Debug, thiserror::Error)]
#[error("there is no program `{PROGRAM}`; searched {}", .searched.join(", "))]
pub struct NoSandbox {
    searched: Vec<String>,
}

/// Finds the program: beside ours, where `scripts/install` puts it, or on `PATH`.
pub fn find(executable: Option<&Path>, path: Option<&OsStr>) -> Result<PathBuf, NoSandbox> {
    let beside = executable.and_then(Path::parent);
    let own = [beside.map(Path::to_owned), beside.map(|dir| dir.join("../lib/ccproxy"))];
    let own = own.into_iter().flatten();
    let on_path = path.map(std::env::split_paths).into_iter().flatten();
    let on_path: Vec<PathBuf> = on_path.filter(|dir| dir.is_absolute()).collect();
    let candidates = own.clone().chain(on_path).map(|dir| dir.join(PROGRAM));
    candidates.into_iter().find(|program| program.is_file()).ok_or_else(|| NoSandbox {
        searched: own.map(|dir| dir.display().to_string()).chain(["PATH".to_owned()]).collect(),
    })
}

/// A running sandbox. It ends when this is dropped, and when this process ends however it does.
pub(super) struct Sandbox {
    keeper: Keeper,
    dialects: Map<String, Value>,
    _program: Child,
}

/// Who may tell it what to do. Cheap to clone.
#[derive(Clone)]
pub(super) struct Keeper {
    caller: Caller,
    issuer: Url,
    upstream: Url,
}

/// What leads a plugin here, with a flow of its own or any.
#[derive(Clone, Debug, Default)]
pub(super) struct Dialect {
    pub(super) settings: Map<String, Value>,
    /// Of the client in them.
    pub(super) secret: Option<String>,
    /// Whether these are the endpoints of a provider that nobody knows: then one base says as much as each of them.
    pub(super) common: bool,
}

/// A request that reached the authorization server.
#[derive(Clone, Debug)]
pub(super) struct Seen(Value);

impl Seen {
    pub(super) fn endpoint(&self) -> &str {
        self.0["endpoint"].as_str().unwrap_or_default()
    }

    pub(super) fn grant_type(&self) -> &str {
        self.0["grant_type"].as_str().unwrap_or_default()
    }

    pub(super) fn issued(&self) -> bool {
        self.0["issued_access_token"].is_string()
    }

    pub(super) fn rotated(&self) -> bool {
        self.0["issued_refresh_token"].is_string()
    }

    pub(super) fn reused(&self) -> bool {
        self.0["reuse_detected"] == true
    }
}

impl Sandbox {
    pub(super) async fn start(program: &Path) -> Result<Self, Fault> {
        let failed = |why: String| Fault::new(Code::Internal, format!("`{}` {why}", program.display()));
        let arguments =
            ["--access-token-ttl", "1h", "--device-interval", "1s", "--max-life", "10m", "--exit-with-stdin"];
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("does not start: {error}")))?;
        let stdout = child.stdout.take().ok_or_else(|| failed("has no output".into()))?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let line = line.map_err(|_| failed(format!("is not ready after {} s", PATIENCE.as_secs())))?;
        let line = line.ok().flatten().ok_or_else(|| failed("ended before it was ready".into()))?;
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let url = |member: &str| ready[member].as_str().and_then(|text| Url::parse(text).ok());
        let (Some(issuer), Some(upstream), Value::Object(dialects)) =
            (url("issuer"), url("upstream"), &ready["dialects"])
        else {
            return Err(failed("is of another version".into()).hint("install both anew with scripts/install"));
        };
        let keeper = Keeper { caller: Caller::new()?, issuer, upstream };
        Ok(Self { keeper, dialects: dialects.clone(), _program: child })
    }

    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// What leads a plugin of this id here, by a flow.
    pub(super) fn dialect(&self, provider: &str, flow: Option<&str>) -> Dialect {
        let own = self.dialects.get(provider);
        let common = own.is_none();
        let all = own.or_else(|| self.dialects.get(COMMON)).cloned().unwrap_or_default();
        let of_flow = flow.map(|flow| all["flows"][flow].clone()).unwrap_or_default();
        let mut settings = all["settings"].as_object().cloned().unwrap_or_default();
        settings.extend(of_flow["settings"].as_object().cloned().unwrap_or_default());
        let secret = of_flow["secret"].as_str().or(all["secret"].as_str()).map(str::to_owned);
        Dialect { settings, secret, common }
    }

    /// Every secret that it handed out.
    pub(super) async fn secrets(&self) -> Result<Vec<String>, Fault> {
        let told = self.keeper.tell(Method::GET, "secrets", Value::Null).await?;
        let secrets = told.as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(secrets.map(str::to_owned).collect())
    }

    /// The requests that arrived after the first `known`.
    pub(super) async fn seen_after(&self, known: usize) -> Result<Vec<Seen>, Fault> {
        let told = self.keeper.tell(Method::GET, "log", Value::Null).await?;
        Ok(told.as_array().into_iter().flatten().skip(known).cloned().map(Seen).collect())
    }

    /// How many requests arrived.
    pub(super) async fn seen(&self) -> Result<usize, Fault> {
        Ok(self.seen_after(0).await?.len())
    }

    /// Has the next requests of a grant type meet a fault.
    pub(super) async fn fault(&self, endpoint: &str, grant_type: &str, fault: &Value) -> Result<(), Fault> {
        let rule = json!({ "endpoint": endpoint, "times": 100, "grant_type": grant_type, "fault": fault });
        self.keeper.tell(Method::POST, "faults", rule).await.map(drop)
    }

    /// Behaves again.
    pub(super) async fn behave(&self) -> Result<(), Fault> {
        self.keeper.tell(Method::DELETE, "faults", Value::Null).await.map(drop)
    }

    /// Answers every refresh with another refresh token, and revokes the grant of a spent one that comes back.
    pub(super) async fn rotate(&self) -> Result<(), Fault> {
        let change = json!({ "rotate": true, "reuse_detection": true });
        self.keeper.tell(Method::POST, "config", change).await.map(drop)
    }

    /// Kills every refresh token.
    pub(super) async fn revoke_refresh_tokens(&self) -> Result<(), Fault> {
        self.keeper.tell(Method::POST, "revoke-refresh", json!({})).await.map(drop)
    }

    /// Whether the upstream takes a credential.
    pub(super) async fn accepts(&self, credential: &Prepared) -> Result<bool, Fault> {
        let mut url = self.keeper.at(&self.keeper.upstream, "strict/trial");
        let query: Vec<String> =
            credential.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        url.set_query((!query.is_empty()).then(|| query.join("&")).as_deref());
        Ok(self.keeper.caller.get(&url, &credential.fields).await?.status.is_success())
    }
}

impl Keeper {
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// A token that a person made on a web page.
    pub(super) async fn personal_token(&self) -> Result<String, Fault> {
        let told = self.tell(Method::POST, "token", json!({ "user": "alice" })).await?;
        told["token"].as_str().map(str::to_owned).ok_or_else(|| puzzling("token"))
    }

    /// Lets a person enter a code.
    pub(super) async fn approve_device(&self, user_code: &str, user: &str) -> Result<(), Fault> {
        let decision = json!({ "user_code": user_code, "user": user });
        self.tell(Method::POST, "device", decision).await.map(drop)
    }

    async fn tell(&self, method: Method, resource: &str, body: Value) -> Result<Value, Fault> {
        let url = self.at(&self.issuer, &format!("_sandbox/{resource}"));
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let (fields, body): (&[(HeaderName, HeaderValue)], Bytes) = match body {
            Value::Null => (&[], Bytes::new()),
            body => (&json, body.to_string().into()),
        };
        let answer = self.caller.send(method, &url, fields, body).await?;
        if answer.status.is_success() {
            return Ok(answer.json());
        }
        let why = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        Err(Fault::new(Code::Internal, format!("the sandbox refused `{resource}`: {} {why}", answer.status)))
    }

    fn at(&self, base: &Url, path: &str) -> Url {
        let mut url = base.clone();
        url.set_path(path);
        url
    }
}

fn puzzling(resource: &str) -> Fault {
    Fault::new(Code::Internal, format!("the sandbox's answer to `{resource}` makes no sense"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn it_is_beside_the_program_or_in_its_library_or_on_the_path() {
        let root = tempfile::tempdir().unwrap();
        let at = |dir: &str| root.path().join(dir);
        for dir in ["bin", "lib/ccproxy", "tools"] {
            std::fs::create_dir_all(at(dir)).unwrap();
        }
        let (ours, path) = (at("bin/ccproxy"), at("tools").into_os_string());
        let found = || find(Some(&ours), Some(&path)).map(|found| found.canonicalize().unwrap());
        let why = found().unwrap_err().to_string();
        assert!(why.contains("`ccproxy-sandbox`") && why.ends_with("lib/ccproxy, PATH"), "{why}");
        for dir in ["tools", "lib/ccproxy", "bin"] {
            std::fs::write(at(dir).join(PROGRAM), "").unwrap();
            assert_eq!(found().unwrap(), at(dir).join(PROGRAM).canonicalize().unwrap());
        }
    }
}
