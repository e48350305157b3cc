//! What the vault promises, told on real files; a second process is this test binary run again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use pretty_assertions::assert_eq;
use tempfile::{TempDir, tempdir};

use super::*;

fn id(text: &str) -> ConnectionId {
    text.parse().unwrap()
}

fn owner(provider: &str) -> Owner {
    Owner { provider: provider.parse().unwrap(), plugin: format!("{provider} 1.0.0") }
}

fn view(target: &str) -> GrantView {
    GrantView {
        account: Some(Account { subject: "42".into(), display_name: Some("Ada".into()), host: None }),
        credentials: vec![CredentialView {
            target: target.into(),
            expires_at: None,
            fingerprint: "ba7816bf".into(),
        }],
        scopes_granted: None,
        refreshable: true,
    }
}

async fn store(vault: &Vault, connection: &str, payload: &str) -> u64 {
    let lease = vault.begin(&id(connection), owner("github"), Purpose::Login).await.unwrap();
    lease.transaction().put(payload.as_bytes(), view("default")).unwrap()
}

fn payload(vault: &Vault, connection: &str) -> Option<String> {
    let envelope = vault.read(&id(connection)).unwrap()?;
    Some(String::from_utf8(envelope.payload.expose().to_vec()).unwrap())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn file_vault() -> (TempDir, Vault) {
    let state = tempdir().unwrap();
    fs::set_permissions(state.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let vault = Vault::open(state.path()).unwrap();
    (state, vault)
}

#[tokio::test]
async fn a_grant_is_kept_and_read_back_with_what_may_be_shown_of_it() {
    for vault in [Vault::new(MemoryStore::default()), file_vault().1] {
        let first = store(&vault, "acme/github", r#"{"v":1,  "rt":"a"}"#).await;
        let second = store(&vault, "acme/github", r#"{"v":1,  "rt":"b"}"#).await;
        assert_eq!(second, first + 1);
        let envelope = vault.read(&id("acme/github")).unwrap().unwrap();
        assert_eq!(envelope.payload.expose(), br#"{"v":1,  "rt":"b"}"#);
        assert_eq!((envelope.state, envelope.generation), (State::Ok, second));
        assert_eq!(envelope.account, view("").account);
        let listed = vault.list().unwrap();
        assert_eq!(listed.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), ["acme/github"]);
    }
}

#[tokio::test]
async fn nothing_is_made_before_the_first_grant() {
    let home = tempdir().unwrap();
    let vault = Vault::open(&home.path().join("state")).unwrap();
    assert_eq!(vault.list().unwrap().len(), 0);
    assert!(vault.read(&id("github")).unwrap().is_none());
    assert_eq!(names(home.path()), [""; 0]);
}

#[tokio::test]
async fn a_closed_transaction_writes_nothing() {
    let (_state, vault) = file_vault();
    let before = store(&vault, "github", "{}").await;
    let lease = vault.begin(&id("github"), owner("github"), Purpose::Acquire).await.unwrap();
    let late = lease.transaction();
    lease.close();
    assert_eq!(late.put(b"{\"late\":1}", view("default")).unwrap_err().code, Code::PluginFailed);
    assert!(late.delete().is_err());
    assert!(late.note(State::ReauthRequired, None, None).is_err());
    assert_eq!(vault.read(&id("github")).unwrap().unwrap().generation, before);
    // And the lock is free again.
    store(&vault, "github", "{}").await;
}

#[tokio::test]
async fn the_next_generation_is_a_promise() {
    let (_state, vault) = file_vault();
    let lease = vault.begin(&id("github"), owner("github"), Purpose::Acquire).await.unwrap();
    let txn = lease.transaction();
    for _ in 0..2 {
        let promised = txn.next_generation();
        tokio::time::sleep(Duration::from_millis(3)).await; // the clock it comes from goes on
        assert_eq!(txn.put(b"{}", view("default")).unwrap(), promised);
    }
    txn.delete().unwrap();
    let promised = txn.next_generation();
    assert_eq!(txn.put(b"{}", view("default")).unwrap(), promised);
}

#[tokio::test]
async fn a_record_that_is_not_json_is_refused() {
    let (_state, vault) = file_vault();
    let lease = vault.begin(&id("github"), owner("github"), Purpose::Acquire).await.unwrap();
    for bad in [&b""[..], b"null", b"{", b"\xff", b"{} {}"] {
        assert_eq!(lease.transaction().put(bad, view("default")).unwrap_err().code, Code::PluginFailed);
    }
}

#[tokio::test]
async fn a_note_of_the_host_leaves_record_and_generation_alone() {
    let (_state, vault) = file_vault();
    let generation = store(&vault, "github", r#"{ "rt" : 1 }"#).await;
    let lease = vault.begin(&id("github"), owner("github"), Purpose::Acquire).await.unwrap();
    let problem = Problem { code: "reauth_required".into(), message: "invalid_grant".into(), hint: None };
    lease.transaction().note(State::ReauthRequired, Some(problem.clone()), None).unwrap();
    assert_eq!(lease.transaction().transition(), (State::Ok, State::ReauthRequired));
    let envelope = vault.read(&id("github")).unwrap().unwrap();
    assert_eq!((envelope.generation, envelope.state), (generation, State::ReauthRequired));
    assert_eq!(envelope.problem, Some(problem));
    assert_eq!(envelope.payload.expose(), br#"{ "rt" : 1 }"#);
}

#[tokio::test]
async fn what_a_killed_writer_left_is_swept_by_the_next() {
    let (state, vault) = file_vault();
    store(&vault, "github", "{}").await;
    let org = state.path().join("credentials/global");
    fs::write(org.join(".github.json.tmp-1-00"), "{\"half").unwrap();
    fs::write(org.join(".github-work.json.tmp-1-00"), "another's").unwrap();
    store(&vault, "github", "{}").await;
    assert_eq!(names(&org), [".github-work.json.tmp-1-00", "github.json", "github.lock"]);
}

#[tokio::test]
async fn a_corrupt_record_is_set_aside_and_stops_no_other() {
    let (state, vault) = file_vault();
    store(&vault, "good", "{}").await;
    let org = state.path().join("credentials/global");
    for (name, damage) in [("empty", ""), ("half", "{\"schema\":\"ccproxy.cred"), ("zeros", "\0\0\0\0")] {
        fs::write(org.join(format!("{name}.json")), damage).unwrap();
        fs::set_permissions(org.join(format!("{name}.json")), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(vault.read(&id(name)).unwrap().is_none());
        assert!(!org.join(format!("{name}.json")).exists());
        assert!(names(&org).iter().any(|file| file.starts_with(&format!("{name}.json.corrupt-"))), "{name}");
        store(&vault, name, "{}").await;
    }
    assert_eq!(vault.list().unwrap().iter().filter(|(_, read)| read.is_ok()).count(), 4);
}

#[tokio::test]
async fn a_record_under_lock_is_not_set_aside_behind_the_writers_back() {
    let (state, vault) = file_vault();
    store(&vault, "github", "{}").await;
    let lease = vault.begin(&id("github"), owner("github"), Purpose::Login).await.unwrap();
    let path = state.path().join("credentials/global/github.json");
    fs::write(&path, "{").unwrap();
    assert!(vault.read(&id("github")).unwrap().is_none());
    assert!(path.exists());
    drop(lease);
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_refused_and_left_alone() {
    let (state, vault) = file_vault();
    store(&vault, "github", "{}").await;
    let path = state.path().join("credentials/global/github.json");
    let newer = r#"{"schema":"ccproxy.credential/2","payload":{}}"#;
    fs::write(&path, newer).unwrap();
    let fault = vault.read(&id("github")).err().unwrap();
    assert_eq!(fault.code, Code::Storage);
    assert!(fault.message.contains("ccproxy.credential/2"), "{fault}");
    assert!(vault.begin(&id("github"), owner("github"), Purpose::Login).await.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}

#[tokio::test]
async fn another_providers_record_is_not_shown_and_is_kept_aside() {
    let (state, vault) = file_vault();
    let old = store(&vault, "work", r#"{"rt":"github's"}"#).await;
    let lease = vault.begin(&id("work"), owner("azure"), Purpose::Login).await.unwrap();
    let txn = lease.transaction();
    assert!(txn.record().is_none());
    txn.delete().unwrap();
    txn.note(State::ReauthRequired, None, None).unwrap();
    assert_eq!(payload(&vault, "work").unwrap(), r#"{"rt":"github's"}"#);

    assert_eq!(txn.put(br#"{"rt":"azure's"}"#, view("default")).unwrap(), old + 1);
    assert_eq!(payload(&vault, "work").unwrap(), r#"{"rt":"azure's"}"#);
    let aside = fs::read_to_string(state.path().join("credentials/global/work.json.github.aside")).unwrap();
    assert!(aside.contains("github's"));
}

#[tokio::test]
async fn a_file_deleted_by_hand_is_not_brought_back_by_a_write_under_way() {
    let (state, vault) = file_vault();
    let old = store(&vault, "github", "{}").await;
    let lease = vault.begin(&id("github"), owner("github"), Purpose::Acquire).await.unwrap();
    fs::remove_file(state.path().join("credentials/global/github.json")).unwrap();
    assert_eq!(lease.transaction().put(b"{}", view("default")).unwrap_err().code, Code::Storage);
    assert!(vault.read(&id("github")).unwrap().is_none());
    drop(lease);
    assert!(store(&vault, "github", "{}").await > old, "a generation was given twice");
}

#[tokio::test]
async fn when_the_medium_fails_a_refreshed_grant_is_kept_and_saved_later() {
    let (state, vault) = file_vault();
    store(&vault, "github", r#"{"rt":"old"}"#).await;
    let (org, away) = (state.path().join("credentials/global"), state.path().join("credentials/away"));

    let lease = vault.begin(&id("github"), owner("github"), Purpose::Acquire).await.unwrap();
    fs::rename(&org, &away).unwrap();
    fs::write(&org, "in the way").unwrap();
    let generation = lease.transaction().put(br#"{"rt":"new"}"#, view("default")).unwrap();
    drop(lease);
    assert_eq!(payload(&vault, "github").unwrap(), r#"{"rt":"new"}"#, "what was obtained is served");
    assert!(fs::read_to_string(away.join("github.json")).unwrap().contains("old"), "the old file is whole");
    assert_eq!(vault.flush(), 1);

    fs::remove_file(&org).unwrap();
    fs::rename(&away, &org).unwrap();
    assert_eq!(vault.flush(), 0);
    let other = Vault::open(state.path()).unwrap();
    assert_eq!(payload(&other, "github").unwrap(), r#"{"rt":"new"}"#);
    assert_eq!(other.read(&id("github")).unwrap().unwrap().generation, generation);
}

#[tokio::test]
async fn what_another_process_wrote_meanwhile_beats_what_is_kept_in_memory() {
    let (state, vault) = file_vault();
    store(&vault, "github", r#"{"rt":"old"}"#).await;
    let (org, away) = (state.path().join("credentials/global"), state.path().join("credentials/away"));
    let lease = vault.begin(&id("github"), owner("github"), Purpose::Acquire).await.unwrap();
    fs::rename(&org, &away).unwrap();
    fs::write(&org, "in the way").unwrap();
    lease.transaction().put(br#"{"rt":"kept"}"#, view("default")).unwrap();
    drop(lease);
    fs::remove_file(&org).unwrap();
    fs::rename(&away, &org).unwrap();
    store(&Vault::open(state.path()).unwrap(), "github", r#"{"rt":"theirs"}"#).await;
    assert_eq!(payload(&vault, "github").unwrap(), r#"{"rt":"theirs"}"#);
    assert_eq!((vault.flush(), vault.has_unsaved()), (0, false));
}

#[tokio::test]
async fn a_login_that_cannot_be_saved_has_failed() {
    let (state, vault) = file_vault();
    fs::write(state.path().join("credentials"), "in the way").unwrap();
    let fault = vault.begin(&id("github"), owner("github"), Purpose::Login).await.err().unwrap();
    assert_eq!(fault.code, Code::Storage);
    assert!(fault.message.contains(&state.path().join("credentials").display().to_string()), "{fault}");
}

#[tokio::test]
async fn a_grant_is_renamed_but_never_over_another() {
    let (_state, vault) = file_vault();
    store(&vault, "a", r#"{"is":"a"}"#).await;
    store(&vault, "b", r#"{"is":"b"}"#).await;
    assert!(vault.rename(&id("a"), &id("b")).await.is_err());
    vault.rename(&id("a"), &id("acme/c")).await.unwrap();
    assert!(payload(&vault, "a").is_none());
    assert_eq!(payload(&vault, "acme/c").unwrap(), r#"{"is":"a"}"#);
    assert_eq!(vault.rename(&id("a"), &id("d")).await.unwrap_err().code, Code::NotLoggedIn);
}

#[tokio::test]
async fn a_lock_is_waited_for_only_so_long_and_names_no_secret() {
    let (state, vault) = file_vault();
    let other = Vault::open(state.path()).unwrap();
    let held = vault.begin(&id("github"), owner("github"), Purpose::Login).await.unwrap();
    for waiting in [&vault, &other] {
        let brief = Duration::from_millis(30);
        let refused = waiting.begin_within(&id("github"), owner("github"), Purpose::Login, brief).await;
        assert_eq!(refused.err().unwrap().message, "the grant of `github` is in use by another process");
    }
    // Another connection's is free meanwhile.
    store(&other, "azure", "{}").await;
    drop(held);
    store(&other, "github", "{}").await;
}

#[tokio::test]
async fn a_lock_on_a_directory_that_was_removed_is_no_lock() {
    let (state, vault) = file_vault();
    let other = Vault::open(state.path()).unwrap();
    let held = vault.begin(&id("github"), owner("github"), Purpose::Login).await.unwrap();
    let waiting = tokio::spawn({
        let other = other.clone();
        async move { other.begin(&id("github"), owner("github"), Purpose::Login).await.map(|_| ()) }
    });
    // It waits for the old file; then that goes, and the file in its place is what counts.
    let lock = state.path().join("credentials/global/github.lock");
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().flatten().map(|entry| entry.path());
    while descriptors().filter(|fd| fs::read_link(fd).is_ok_and(|path| path == lock)).count() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fs::remove_dir_all(state.path().join("credentials")).unwrap();
    let third = Vault::open(state.path()).unwrap();
    let newer = third.begin(&id("github"), owner("github"), Purpose::Login).await.unwrap();
    drop(held);
    let brief = tokio::time::timeout(Duration::from_millis(100), waiting).await;
    assert!(brief.is_err(), "two hold the lock");
    drop(newer);
}

#[test]
fn changes_by_others_are_noticed_and_reading_is_none() {
    let (state, vault) = file_vault();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (seen, changes) = std::sync::mpsc::channel();
    let _watch = vault.watch(move |id| seen.send(id.to_string()).unwrap()).unwrap();
    let next = || changes.recv_timeout(Duration::from_secs(20)).unwrap();

    let other = Vault::open(state.path()).unwrap();
    runtime.block_on(store(&other, "acme/github", "{}"));
    assert_eq!(next(), "acme/github", "in a directory that was not there before");
    vault.read(&id("acme/github")).unwrap();
    runtime.block_on(store(&other, "azure", "{}"));
    assert_eq!(next(), "azure");
    fs::remove_file(state.path().join("credentials/acme/github.json")).unwrap();
    assert_eq!(next(), "acme/github");
    fs::remove_dir_all(state.path().join("credentials")).unwrap();
    assert_eq!(next(), "azure");
    runtime.block_on(store(&other, "azure", "{}"));
    assert_eq!(next(), "azure", "after the directory itself was gone");
}

// A second process: this test binary, told by the environment which part to play.

const PART: &str = "CCPROXY_TEST_PART";
const STATE: &str = "CCPROXY_TEST_STATE";

fn second_process(part: &str, state: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "vault::tests::the_part_of_a_second_process", "--nocapture"])
        .env(PART, part)
        .env(STATE, state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn the_part_of_a_second_process() {
    let Ok(part) = std::env::var(PART) else { return };
    let vault = Vault::open(Path::new(&std::env::var_os(STATE).unwrap())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match part.as_str() {
            "count" => count(&vault, 50).await,
            "hold" => {
                let _lease = vault.begin(&id("github"), owner("github"), Purpose::Login).await.unwrap();
                println!("holding");
                std::future::pending::<()>().await;
            }
            umask => {
                let bits = u32::from_str_radix(umask, 8).unwrap();
                rustix::process::umask(rustix::fs::Mode::from_bits_retain(bits));
                store(&vault, "github", "{}").await;
            }
        }
    });
}

/// Adds one to the number that is the record, each time in a transaction of its own.
async fn count(vault: &Vault, times: u32) {
    for _ in 0..times {
        let lease = vault.begin(&id("counter"), owner("github"), Purpose::Acquire).await.unwrap();
        let record = lease.transaction().record();
        let number = record.map_or(0, |bytes| std::str::from_utf8(bytes.expose()).unwrap().parse().unwrap());
        lease.transaction().put((number + 1_u32).to_string().as_bytes(), view("default")).unwrap();
    }
}

#[tokio::test]
async fn no_update_is_lost_between_processes() {
    let (state, vault) = file_vault();
    let others: Vec<_> = (0..3).map(|_| second_process("count", state.path())).collect();
    count(&vault, 50).await;
    for mut other in others {
        assert!(other.wait().unwrap().success());
    }
    assert_eq!(payload(&vault, "counter").unwrap(), "200");
    assert_eq!(names(&state.path().join("credentials/global")), ["counter.json", "counter.lock"]);
}

#[tokio::test]
async fn the_lock_of_a_killed_process_is_free_at_once() {
    use std::io::{BufRead, BufReader};
    let (state, vault) = file_vault();
    let mut other = second_process("hold", state.path());
    let output = BufReader::new(other.stdout.take().unwrap());
    output.lines().find(|line| line.as_ref().is_ok_and(|line| line.ends_with("holding"))).unwrap().unwrap();
    let brief = Duration::from_millis(30);
    let refused = vault.begin_within(&id("github"), owner("github"), Purpose::Login, brief).await;
    assert_eq!(refused.err().unwrap().code, Code::Storage);
    other.kill().unwrap();
    other.wait().unwrap();
    store(&vault, "github", "{}").await;
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    for umask in ["000", "022", "077", "777"] {
        let (state, _vault) = file_vault();
        assert!(second_process(umask, state.path()).wait().unwrap().success());
        let mode = |path: &str| fs::metadata(state.path().join(path)).unwrap().mode() & 0o7777;
        assert_eq!(
            (mode("credentials"), mode("credentials/global"), mode("credentials/global/github.json")),
            (0o700, 0o700, 0o600),
            "under umask {umask}"
        );
    }
}
