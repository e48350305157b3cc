//! What the vault promises, told on real files.

mod damage;
mod locking;
mod processes;
mod records;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
