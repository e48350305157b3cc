//! Who may write, and who hears of it.

use pretty_assertions::assert_eq;

use super::*;

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
async fn a_lock_is_waited_for_only_so_long_and_names_no_secret() {
    let (state, vault) = file_vault();
    let other = Vault::open(state.path()).unwrap();
    let held = vault.begin(&id("github"), owner("github"), Purpose::Login).await.unwrap();
    for waiting in [&vault, &other] {
        let brief = Duration::from_millis(30);
        let refused = waiting.begin_within(&id("github"), owner("github"), Purpose::Login, brief).await;
        let fault = refused.err().unwrap();
        assert!(fault.retry_after.is_some());
        assert_eq!(fault.message, "the grant of `github` is in use by another process");
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
