//! References to secrets: the configuration says where a secret is, never what it is.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use super::environment::Env;
use crate::fault::{Code, Fault};
use crate::secret::Secret;

/// The members that a reference may have; exactly one of them.
pub(super) const KINDS: [&str; 6] = ["env", "file", "command", "keyring", "vault", "keyvault"];

/// How to write a secret in a configuration file.
pub(super) const CURE: &str = "write where it is instead: `{ env = \"NAME\" }`, `{ file = \"path\" }` or `{ command = [\"program\", \"argument\"] }`";

/// A command that asks a person (an agent with a prompt) answers in this time or not at all.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// Larger than any key or certificate chain in use; keeps a runaway command or file out of memory.
const LARGEST: usize = 64 * 1024;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file; one trailing newline is not part of the secret.
    File(PathBuf),
    /// A program and its arguments, run without a shell; what it prints, trimmed.
    Command(Vec<String>),
    /// A store that is not built yet, by the name of its member.
    NotBuilt(&'static str),
}

impl SecretRef {
    /// Reads the reference `{ env = "X" }` and its like. The error says what is wrong, lower case.
    pub fn parse(value: &Json) -> Result<Self, String> {
        let one_of = || format!("a secret reference has exactly one of {}", listed(&KINDS));
        let members = value.as_object().ok_or_else(one_of)?;
        let mut each = members.iter();
        let (Some((kind, value)), None) = (each.next(), each.next()) else { return Err(one_of()) };
        let text = || match value.as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(format!("`{kind}` of a secret reference is text")),
        };
        match kind.as_str() {
            "env" => match text()? {
                name if is_variable(&name) => Ok(Self::Env(name)),
                // Not repeated: some write the secret where its variable should be.
                _ => Err("`env` of a secret reference is the name of a variable".into()),
            },
            "file" => text().map(|path| Self::File(path.into())),
            "command" => {
                let words: Option<Vec<String>> = value
                    .as_array()
                    .and_then(|words| words.iter().map(|word| word.as_str().map(Into::into)).collect());
                match words {
                    Some(words) if words.first().is_some_and(|program| !program.is_empty()) => {
                        Ok(Self::Command(words))
                    }
                    _ => Err("`command` of a secret reference is a list: program, then arguments".into()),
                }
            }
            "keyring" => text().map(|_| Self::NotBuilt("keyring")),
            "vault" => Ok(Self::NotBuilt("vault")),
            "keyvault" => Ok(Self::NotBuilt("keyvault")),
            other => {
                Err(format!("`{other}` is not a kind of secret reference: use one of {}", listed(&KINDS)))
            }
        }
    }

    /// Reads the secret, now. It is never kept by the configuration.
    pub async fn resolve(&self, env: &Env) -> Result<Secret, Fault> {
        match self {
            Self::Env(name) => match env.text(name) {
                Some(value) => Ok(Secret::from(value.to_owned())),
                None => Err(invalid(format!("the environment variable {name} is not set"))
                    .hint(format!("export {name} in the environment of ccproxy"))),
            },
            Self::File(path) => read_file(path).await,
            Self::Command(words) => run(words, COMMAND_TIMEOUT).await,
            Self::NotBuilt(kind) => Err(Fault::new(
                Code::Unsupported,
                format!("secret references of the kind `{kind}` are not built yet in this version"),
            )
            .hint("use `{ env = ... }`, `{ file = ... }` or `{ command = ... }`")),
        }
    }
}

/// Whether a setting of this name holds a secret, so that a literal in a file is refused.
pub fn is_secret_name(name: &str) -> bool {
    // A slip of the pen in these is more likely than another meaning.
    const LONG: [&str; 5] = ["client_secret", "password", "passphrase", "private_key", "api_key"];
    const NAMES: [&str; 8] =
        ["key", "secret", "password", "passphrase", "token", "credential", "client_assertion", "apikey"];
    const ENDS: [&str; 6] = ["_secret", "_password", "_passphrase", "_token", "api_key", "private_key"];
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAMES.contains(&name.as_str())
        || ENDS.iter().any(|end| name.ends_with(end))
        || LONG.iter().any(|long| strsim::jaro_winkler(long, &name) > 0.93)
}

/// A name that a shell can export (POSIX, XBD 3.231).
pub(super) fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a table is meant as a reference: all of its members are kinds.
pub(super) fn looks_like_reference<'a>(mut members: impl Iterator<Item = &'a str>) -> bool {
    let is_kind = |name: &str| KINDS.contains(&name);
    members.next().is_some_and(is_kind) && members.all(is_kind)
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn invalid(message: String) -> Fault {
    Fault::new(Code::InvalidConfig, message)
}

async fn read_file(path: &Path) -> Result<Secret, Fault> {
    let shown = path.display();
    let fail = |error: std::io::Error| invalid(format!("cannot read the secret file {shown}: {error}"));
    let file = tokio::fs::File::open(path).await.map_err(fail)?;
    let metadata = file.metadata().await.map_err(fail)?;
    let mode = metadata.permissions().mode();
    // Readable by others is how container platforms mount secrets (0444), so it only warns. Writable by others
    // lets them choose what we log in with.
    if metadata.is_file() && mode & 0o002 != 0 {
        return Err(invalid(format!("the secret file {shown} can be written by everybody"))
            .hint(format!("chmod o-w {shown}")));
    }
    if metadata.is_file() && mode & 0o004 != 0 && metadata.uid() == rustix::process::getuid().as_raw() {
        tracing::warn!(file = %shown, "the secret file can be read by everybody");
    }
    let mut bytes = read_all(file).await.map_err(fail)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    not_empty(bytes, || format!("the secret file {shown}"))
}

async fn run(words: &[String], limit: Duration) -> Result<Secret, Fault> {
    let (program, arguments) = words.split_first().ok_or_else(|| invalid("an empty command".into()))?;
    let fail = |error: std::io::Error| invalid(format!("the secret command {program}: {error}"));
    // Its own process group, so that what it started ends with it.
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(fail)?;
    let group = child.id();
    let output = child.stdout.take();
    let answer = async {
        let bytes = match output {
            Some(output) => read_all(output).await?,
            None => Zeroizing::new(Vec::new()),
        };
        Ok((bytes, child.wait().await?))
    };
    let (bytes, status) = match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(fail)?,
        Err(_) => {
            kill_group(group);
            return Err(Fault::new(
                Code::Timeout,
                format!("the secret command {program} took over {limit:?}"),
            ));
        }
    };
    if !status.success() {
        return Err(invalid(format!("the secret command {program} failed: {status}")));
    }
    let trimmed = Zeroizing::new(bytes.trim_ascii().to_vec());
    not_empty(trimmed, || format!("the secret command {program}"))
}

fn kill_group(leader: Option<u32>) {
    let leader = leader.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(leader) = leader {
        // Gone already is as good.
        let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
    }
}

async fn read_all(source: impl tokio::io::AsyncRead + Unpin) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // Allocated once: a growing buffer would leave copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
    source.take(LARGEST as u64 + 1).read_to_end(&mut bytes).await?;
    if bytes.len() > LARGEST {
        return Err(std::io::Error::other("larger than 64 KiB"));
    }
    Ok(bytes)
}

fn not_empty(mut bytes: Zeroizing<Vec<u8>>, what: impl Fn() -> String) -> Result<Secret, Fault> {
    if bytes.is_empty() {
        return Err(invalid(format!("{} holds nothing", what())));
    }
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::json;

    fn resolve(reference: &Json, env: &Env) -> Result<String, Fault> {
        let reference = SecretRef::parse(reference).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime
            .block_on(reference.resolve(env))
            .map(|secret| String::from_utf8(secret.expose().to_vec()).unwrap())
    }

    #[test]
    fn a_reference_has_one_member_of_the_right_type() {
        assert_eq!(SecretRef::parse(&json!({"env": "X"})), Ok(SecretRef::Env("X".into())));
        assert_eq!(SecretRef::parse(&json!({"file": "p"})), Ok(SecretRef::File("p".into())));
        let command = SecretRef::Command(vec!["pass".into(), "show".into()]);
        assert_eq!(SecretRef::parse(&json!({"command": ["pass", "show"]})), Ok(command));
        for bad in [
            json!("literal"),
            json!({}),
            json!({"env": "X", "file": "p"}),
            json!({"env": 1}),
            json!({"env": ""}),
            json!({"env": "sk-live-1"}),
            json!({"command": "pass show"}),
            json!({"command": []}),
            json!({"environment": "X"}),
        ] {
            assert!(SecretRef::parse(&bad).is_err(), "{bad} passed");
        }
    }

    #[test]
    fn an_environment_variable_is_read_and_named_when_missing() {
        let env = Env::from_vars([("X", "s3cret")]);
        assert_eq!(resolve(&json!({"env": "X"}), &env).unwrap(), "s3cret");
        let fault = resolve(&json!({"env": "Y"}), &env).unwrap_err();
        assert_eq!(
            (fault.code, fault.message.as_str()),
            (Code::InvalidConfig, "the environment variable Y is not set")
        );
    }

    #[test]
    fn a_file_loses_one_newline_and_must_not_be_writable_by_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "s3cret \n\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let reference = json!({"file": path});
        assert_eq!(resolve(&reference, &Env::default()).unwrap(), "s3cret \n");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o602)).unwrap();
        let fault = resolve(&reference, &Env::default()).unwrap_err();
        assert!(fault.message.ends_with("can be written by everybody"), "{}", fault.message);
        let fault = resolve(&json!({"file": dir.path().join("none")}), &Env::default()).unwrap_err();
        assert_eq!(fault.code, Code::InvalidConfig);
    }

    #[test]
    fn a_command_runs_without_a_shell_and_its_output_is_trimmed() {
        let env = Env::default();
        assert_eq!(resolve(&json!({"command": ["echo", "a $HOME", "b"]}), &env).unwrap(), "a $HOME b");
        let fault = resolve(&json!({"command": ["sh", "-c", "echo s3cret; exit 3"]}), &env).unwrap_err();
        assert_eq!(fault.message, "the secret command sh failed: exit status: 3");
        let fault = resolve(&json!({"command": ["true"]}), &env).unwrap_err();
        assert_eq!(fault.message, "the secret command true holds nothing");
        assert!(resolve(&json!({"command": ["/no/such/program"]}), &env).is_err());
        let fault = resolve(&json!({"command": ["head", "-c", "70000", "/dev/zero"]}), &env).unwrap_err();
        assert!(fault.message.ends_with("larger than 64 KiB"), "{}", fault.message);
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_given_up() {
        let words = ["sleep".to_owned(), "60".to_owned()];
        let Err(fault) = run(&words, Duration::from_millis(50)).await else {
            panic!("sleep printed a secret")
        };
        let told = (fault.code, fault.message.as_str());
        assert_eq!(told, (Code::Timeout, "the secret command sleep took over 50ms"));
    }

    #[test]
    fn a_kind_that_is_not_built_says_so() {
        for kind in ["keyring", "vault", "keyvault"] {
            let fault = resolve(&json!({kind: "ref"}), &Env::default()).unwrap_err();
            assert_eq!(fault.code, Code::Unsupported, "{kind}");
            assert!(fault.message.contains(kind), "{}", fault.message);
        }
    }

    #[test]
    fn names_of_secrets_are_known() {
        for secret in [
            "client_secret",
            "key",
            "password",
            "token",
            "api-key",
            "refresh_token",
            "private_key",
            "client_secrt",
            "pasword",
        ] {
            assert!(is_secret_name(secret), "{secret}");
        }
        for plain in
            ["client_id", "token_endpoint", "keyring", "workspace_id", "jwks_uri", "scopes", "api_url"]
        {
            assert!(!is_secret_name(plain), "{plain}");
        }
    }
}
