//! What is kept, what of it is shown, and whose it is.

use pretty_assertions::assert_eq;

use super::*;

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
async fn a_grant_moves_to_another_name_but_never_over_another() {
    let (_state, vault) = file_vault();
    store(&vault, "a", r#"{"is":"a"}"#).await;
    store(&vault, "b", r#"{"is":"b"}"#).await;
    assert!(vault.relocate(&id("a"), &id("b")).await.is_err());
    assert!(vault.relocate(&id("a"), &id("a")).await.is_err());
    vault.relocate(&id("a"), &id("acme/c")).await.unwrap().carry().unwrap();
    assert!(payload(&vault, "a").is_none());
    assert_eq!(payload(&vault, "acme/c").unwrap(), r#"{"is":"a"}"#);
}

#[tokio::test]
async fn a_move_can_be_taken_back_and_holds_both_locks_until_then() {
    let (_state, vault) = file_vault();
    store(&vault, "a", r#"{"is":"a"}"#).await;
    let moving = vault.relocate(&id("a"), &id("b")).await.unwrap();
    for name in ["a", "b"] {
        let begun = vault.begin_within(&id(name), owner("github"), Purpose::Acquire, Duration::ZERO).await;
        assert!(begun.is_err(), "{name} is free");
    }
    moving.carry().unwrap();
    moving.undo().unwrap();
    drop(moving);
    assert_eq!(payload(&vault, "a").unwrap(), r#"{"is":"a"}"#);
    assert!(payload(&vault, "b").is_none());
    vault.relocate(&id("nothing"), &id("b")).await.unwrap().carry().unwrap();
    assert!(payload(&vault, "b").is_none());
}
