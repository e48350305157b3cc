//! Damaged records, newer ones, and media that fail.

use pretty_assertions::assert_eq;

use super::*;

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
async fn a_command_spends_nothing_that_it_could_not_write_down() {
    let (state, vault) = file_vault();
    vault.set_brief(true);
    store(&vault, "github", r#"{"rt":"old"}"#).await;
    let (org, away) = (state.path().join("credentials/global"), state.path().join("credentials/away"));
    let lease = vault.begin(&id("github"), owner("github"), Purpose::Acquire).await.unwrap();
    assert_eq!(lease.transaction().rehearse(), Ok(()));
    fs::rename(&org, &away).unwrap();
    fs::write(&org, "in the way").unwrap();
    assert_eq!(lease.transaction().rehearse().unwrap_err().code, Code::Storage);
    let put = lease.transaction().put(br#"{"rt":"new"}"#, view("default"));
    assert_eq!(put.unwrap_err().code, Code::Storage);
    assert!(!vault.has_unsaved(), "it would end with the process");
}

#[tokio::test]
async fn a_login_that_cannot_be_saved_has_failed() {
    let (state, vault) = file_vault();
    fs::write(state.path().join("credentials"), "in the way").unwrap();
    let fault = vault.begin(&id("github"), owner("github"), Purpose::Login).await.err().unwrap();
    assert_eq!(fault.code, Code::Storage);
    assert!(fault.message.contains(&state.path().join("credentials").display().to_string()), "{fault}");
}
