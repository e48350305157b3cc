//! Several hosts on one store, and a store that changes under a host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join_all;
use pretty_assertions::assert_eq;
use rustix::fs::{CWD, RenameFlags};
use tempfile::{TempDir, tempdir};
use tokio::time::sleep;

use super::bench::{HOUR, Host, Provider, id, log_in, provider, revoked, scope};
use crate::credential::{Clock, Policy, Reason};
use crate::fault::Code;
use crate::hook::Kind;
use crate::vault::Vault;

fn state_dir() -> TempDir {
    let state = tempdir().unwrap();
    fs::set_permissions(state.path(), fs::Permissions::from_mode(0o700)).unwrap();
    state
}

/// A host with its own descriptors on the files of `state`, as another process would have.
fn host(state: &TempDir, provider: &Arc<Provider>) -> Host {
    Host::on(Vault::open(state.path()).unwrap(), Arc::clone(provider), Policy::default())
}

#[tokio::test(start_paused = true)]
async fn five_hosts_refresh_once_though_the_provider_takes_its_time() {
    let (state, provider) = (state_dir(), provider());
    *provider.latency.lock().unwrap() = Duration::from_secs(15);
    let hosts: Vec<_> = (0..5).map(|_| host(&state, &provider)).collect();
    let cells: Vec<_> = hosts.iter().map(|host| host.cell("azure")).collect();
    let storms = hosts.iter().zip(&cells).map(|(host, cell)| join_all((0..200).map(|_| host.request(cell))));
    let all: Vec<_> = join_all(storms).await.into_iter().flatten().collect();
    assert!(all.iter().all(|got| got.is_ok() && *got == all[0]));
    assert_eq!((provider.calls(), provider.most_busy.load(SeqCst)), (1, 1));

    // Ahead of the end too: whoever is first renews, the others find it done.
    sleep(HOUR * 24).await;
    assert!((24..=30).contains(&provider.calls()), "{}", provider.calls());
}

#[tokio::test(start_paused = true)]
async fn a_token_found_in_the_store_is_as_old_as_the_refresh_that_put_it_there() {
    let (state, provider) = (state_dir(), provider());
    let one = host(&state, &provider);
    one.request(&one.cell("azure")).await.unwrap();
    let two = host(&state, &provider);
    two.request(&two.cell("azure")).await.unwrap();
    let refreshed = two.vault.read(&id("azure")).unwrap().and_then(|record| record.last_refresh?.time());
    assert_eq!(two.cell("azure").latest().map(|met| met.acquired_at), refreshed);
}

#[tokio::test(start_paused = true)]
async fn a_token_rejected_in_two_hosts_is_renewed_by_one() {
    let (state, provider) = (state_dir(), provider());
    let (one, two) = (host(&state, &provider), host(&state, &provider));
    let (here, there) = (one.cell("azure"), two.cell("azure"));
    let generation = one.request(&here).await.unwrap();
    assert_eq!(two.request(&there).await, Ok(generation));
    sleep(Duration::from_secs(60)).await;
    let rejected = Reason::Rejected { generation };
    assert_eq!(one.get(&here, rejected).await, two.get(&there, rejected).await);
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_insists_on_a_new_token_is_content_with_one_that_another_host_gets_meanwhile() {
    let (state, provider) = (state_dir(), provider());
    let (one, two) = (host(&state, &provider), host(&state, &provider));
    let (here, there) = (one.cell("azure"), two.cell("azure"));
    let (asked, insisted) = tokio::join!(one.request(&here), two.get(&there, Reason::Forced));
    assert!(asked.is_ok() && asked == insisted, "{asked:?}, {insisted:?}");
    assert_eq!(provider.calls(), 1);
    // Nobody is under way: then it is a call of its own.
    two.get(&there, Reason::Forced).await.unwrap();
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_not_satisfied_by_a_call_that_was_for_less() {
    let (state, provider) = (state_dir(), provider());
    let (one, two) = (host(&state, &provider), host(&state, &provider));
    let (here, there) = (one.cell("azure"), two.cell_for("azure", scope("other")));
    let generation = one.request(&here).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    // The other host has the lock, a mere look at the store waits for it, and the rejection joins that.
    let (other, look, renewed) = tokio::join!(
        two.request(&there),
        async {
            sleep(Duration::from_millis(100)).await;
            one.get(&here, Reason::Scheduled).await
        },
        async {
            sleep(Duration::from_millis(200)).await;
            one.get(&here, Reason::Rejected { generation }).await
        },
    );
    assert_eq!((other.is_ok(), look), (true, Ok(generation)));
    assert!(renewed.unwrap() > generation);
    assert_eq!(provider.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_told_by_the_host_that_took_it() {
    let (state, provider) = (state_dir(), provider());
    let hosts = [host(&state, &provider), host(&state, &provider)];
    let cells: Vec<_> = hosts.iter().map(|host| host.cell("azure")).collect();
    log_in(&hosts[0].vault, "azure").await;
    provider.fail(revoked());
    let both = join_all(hosts.iter().zip(&cells).map(|(host, cell)| host.request(cell))).await;
    assert!(both.iter().all(|got| got.as_ref().is_err_and(|fault| fault.code == Code::ReauthRequired)));
    assert_eq!([hosts[0].told(), hosts[1].told()].concat(), [Kind::ConnectionReauthRequired]);
    assert_eq!(provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_grant_is_not_served_any_longer() {
    let (state, provider) = (state_dir(), provider());
    provider.require_login();
    let host = host(&state, &provider);
    log_in(&host.vault, "azure").await;
    let cells = [host.cell("azure"), host.cell_for("azure", scope("more"))];
    for cell in &cells {
        host.request(cell).await.unwrap();
    }
    fs::remove_file(state.path().join("credentials/global/azure.json")).unwrap();
    host.credentials.changed(&id("azure")).await;
    for cell in &cells {
        let fault = host.request(cell).await.unwrap_err();
        assert_eq!(
            (fault.code, fault.hint.as_deref()),
            (Code::NotLoggedIn, Some("ccproxy auth login azure"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_by_another_process_replaces_what_is_served() {
    let (state, provider) = (state_dir(), provider());
    let host = host(&state, &provider);
    let cell = host.cell("azure");
    let old = host.request(&cell).await.unwrap();
    log_in(&Vault::open(state.path()).unwrap(), "azure").await;
    host.credentials.changed(&id("azure")).await;
    assert!(cell.latest().is_none());
    assert!(host.request(&cell).await.unwrap() > old);
}

#[tokio::test(start_paused = true)]
async fn a_login_nobody_gave_notice_of_is_noticed_by_the_next_call() {
    let (state, provider) = (state_dir(), provider());
    let host = host(&state, &provider);
    let cells = [host.cell("azure"), host.cell_for("azure", scope("more"))];
    host.request(&cells[0]).await.unwrap();
    log_in(&Vault::open(state.path()).unwrap(), "azure").await;
    host.request(&cells[1]).await.unwrap();
    assert!(cells[0].latest().is_none(), "another account's token would be served on");
}

#[tokio::test(start_paused = true)]
async fn our_own_writes_are_no_news() {
    let (state, provider) = (state_dir(), provider());
    let host = host(&state, &provider);
    let cells = [host.cell("azure"), host.cell_for("azure", scope("more"))];
    for cell in &cells {
        host.request(cell).await.unwrap();
        host.credentials.changed(&id("azure")).await;
    }
    assert!(cells.iter().all(|cell| cell.latest().is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_call_is_looked_at_when_it_ends() {
    let (state, provider) = (state_dir(), provider());
    provider.require_login();
    let host = host(&state, &provider);
    log_in(&host.vault, "azure").await;
    let cells = [host.cell("azure"), host.cell_for("azure", scope("more"))];
    host.request(&cells[0]).await.unwrap();
    let (asked, ()) = tokio::join!(host.request(&cells[1]), async {
        sleep(Duration::from_millis(100)).await;
        fs::remove_file(state.path().join("credentials/global/azure.json")).unwrap();
        host.credentials.changed(&id("azure")).await;
    });
    assert_eq!(asked.unwrap_err().code, Code::Storage, "what was deleted is not written back");
    sleep(Duration::from_millis(10)).await;
    assert!(cells.iter().all(|cell| cell.latest().is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_costs_neither_service_nor_grant() {
    let (state, provider) = (state_dir(), provider());
    let host = host(&state, &provider);
    let cell = host.cell("azure");
    host.request(&cell).await.unwrap();
    let (org, away) = (state.path().join("credentials/global"), state.path().join("credentials/away"));
    fs::write(&away, "in the way").unwrap();
    // At once: the host tries to write at any moment, and would make a directory that is missing.
    let exchange = || rustix::fs::renameat_with(CWD, &org, CWD, &away, RenameFlags::EXCHANGE).unwrap();
    *provider.latency.lock().unwrap() = Duration::from_secs(10);
    sleep(Duration::from_secs(60)).await;
    let (got, ()) = tokio::join!(host.get(&cell, Reason::Forced), async {
        sleep(Duration::from_secs(5)).await;
        exchange();
    });
    let generation = got.unwrap();
    assert!(host.credentials.status(&id("azure")).unsaved);
    assert_eq!(cell.live(provider.clock.now()).unwrap().generation, generation);

    exchange();
    sleep(Duration::from_secs(30)).await;
    assert!(!host.credentials.status(&id("azure")).unsaved);
    let stored = Vault::open(state.path()).unwrap().read(&id("azure")).unwrap().unwrap();
    assert_eq!((stored.generation, provider.calls()), (generation, 2));
}
