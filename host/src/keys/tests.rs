use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use pretty_assertions::assert_eq;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::fault::{Code, Fault};
use crate::model::Name;

fn home() -> (TempDir, KeyFile) {
    let home = tempdir().unwrap();
    let file = KeyFile::at(home.path().join("state/keys.json"));
    (home, file)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn refused<T>(outcome: Result<T, Fault>) -> Fault {
    outcome.err().unwrap()
}

#[test]
fn a_key_opens_until_it_is_revoked_and_its_text_is_nowhere() {
    let (_home, file) = home();
    let keys = Keys::of(file.clone());
    let first = file.create(name("ci"), None, false).unwrap();
    let second = file.create(name("bot"), Some(vec![name("gh")]), false).unwrap();
    assert!(looks_like_key(first.text.expose()) && first.text.expose() != second.text.expose());
    assert!(keys.now().find(first.text.expose()).is_none(), "nobody has read the file yet");

    assert_eq!(keys.reload().unwrap(), 2);
    let found = |key: &NewKey| keys.now().find(key.text.expose()).map(|found| found.name.clone());
    assert_eq!((found(&first), found(&second)), (Some(name("ci")), Some(name("bot"))));
    assert!(first.kept.opens(&name("gh")) && second.kept.opens(&name("gh")));
    assert!(!second.kept.opens(&name("graph")));
    let mut other = first.text.expose().to_vec();
    *other.last_mut().unwrap() ^= 1;
    assert!(keys.now().find(&other).is_none() && keys.now().find(b"").is_none());

    let written = fs::read_to_string(file.path()).unwrap();
    assert!(!written.contains(std::str::from_utf8(first.text.expose()).unwrap()), "{written}");
    assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);

    assert!(file.revoke(&name("ci")).unwrap().is_ok());
    keys.reload().unwrap();
    assert_eq!((found(&first), found(&second)), (None, Some(name("bot"))));
    assert!(!keys.now().holds(&first.kept) && keys.now().holds(&second.kept));
}

#[test]
fn a_name_is_given_once_and_an_unknown_one_is_told_the_others() {
    let (_home, file) = home();
    file.create(name("ci"), None, false).unwrap();
    let fault = refused(file.create(name("ci"), None, false));
    assert_eq!((fault.code, fault.message.as_str()), (Code::InvalidConfig, "there is a key named `ci`"));
    assert_eq!(file.revoke(&name("cli")).unwrap().err(), Some(vec![name("ci")]));
    assert_eq!(file.read().unwrap().len(), 1);
}

#[test]
fn a_damaged_list_is_named_kept_and_the_keys_in_force_stay() {
    let (_home, file) = home();
    let keys = Keys::of(file.clone());
    let key = file.create(name("ci"), None, false).unwrap();
    keys.reload().unwrap();
    let good = fs::read_to_string(file.path()).unwrap();
    for (text, why) in [
        ("{", "EOF while parsing"),
        (&good.replace("keys-file/1", "keys-file/9"), "its schema `ccproxy.keys-file/9`"),
        (&good.replace("\"admin\"", "\"expires\""), "unknown field `expires`"),
        (&good.replace("\"sha256\": \"", "\"sha256\": \"zz"), "it is not a SHA-256"),
    ] {
        fs::write(file.path(), text).unwrap();
        for fault in [
            refused(file.read()),
            refused(file.create(name("new"), None, false)),
            refused(file.revoke(&name("ci"))),
            refused(keys.reload()),
        ] {
            assert_eq!(fault.code, Code::Storage);
            assert!(fault.message.contains(file.path().to_str().unwrap()), "{fault}");
            assert!(fault.message.contains(why), "{fault}");
        }
        assert_eq!(fs::read_to_string(file.path()).unwrap(), text, "a person can look at it");
        assert!(keys.now().find(key.text.expose()).is_some());
    }
}

#[test]
fn a_list_that_somebody_else_could_have_written_is_not_believed() {
    let (home, file) = home();
    file.create(name("ci"), None, false).unwrap();
    fs::set_permissions(file.path(), Permissions::from_mode(0o666)).unwrap();
    let fault = refused(file.read());
    assert!(fault.message.ends_with("others may write to it (mode 666)"), "{fault}");
    assert!(fault.hint.unwrap().contains("chmod 600"));
    let elsewhere = home.path().join("elsewhere.json");
    fs::rename(file.path(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, file.path()).unwrap();
    assert!(file.read().is_err(), "a link is not followed");
}

#[test]
fn processes_that_make_keys_at_once_lose_none() {
    let (_home, file) = home();
    std::thread::scope(|scope| {
        for at in 0..8 {
            let file = &file;
            scope.spawn(move || file.create(name(&format!("key-{at}")), None, false).map(drop).unwrap());
        }
    });
    assert_eq!(file.read().unwrap().len(), 8);
}

#[test]
fn a_lent_key_is_in_no_file() {
    let (_home, file) = home();
    let (keys, text) = Keys::of(file.clone()).lending(NewKey::draw(name("run"), None, false).unwrap());
    keys.reload().unwrap();
    assert!(keys.now().find(text.expose()).is_some());
    assert!(file.read().unwrap().is_empty() && !file.path().exists());
}
