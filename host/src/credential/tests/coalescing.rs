//! However many ask, one calls.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join_all;
use pretty_assertions::assert_eq;
use tokio::time::{Instant, sleep, timeout};

use super::bench::{HOUR, Host, id, scope};
use crate::credential::Reason;
use crate::fault::Code;

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_at_once_make_one_call() {
    let host = Host::alone();
    *host.provider.latency.lock().unwrap() = Duration::from_secs(5);
    let cell = host.cell("azure");
    let all = join_all((0..1_000).map(|_| host.request(&cell))).await;
    let first = all[0].clone().unwrap();
    assert!(all.iter().all(|got| *got == Ok(first)));
    assert_eq!((host.provider.calls(), host.credentials.plugin_calls()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_fresh_credential_costs_no_call() {
    let host = Host::alone();
    let cell = host.cell("azure");
    for _ in 0..10_000 {
        host.request(&cell).await.unwrap();
        host.get(&cell, Reason::Missing).await.unwrap();
    }
    assert_eq!(host.credentials.plugin_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_outlives_the_request_that_asked_for_it() {
    let host = Host::alone();
    let cell = host.cell("azure");
    let left = timeout(Duration::from_millis(1), host.request(&cell)).await;
    assert!(left.is_err());
    assert!(host.credentials.status(&id("azure")).refreshing);
    host.credentials.idle().await;
    assert!(cell.latest().is_some());
    assert!(host.vault.read(&id("azure")).unwrap().is_some());
    assert_eq!(host.provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_targets_of_one_login_go_one_after_the_other_and_two_logins_side_by_side() {
    let host = Host::alone();
    let cells = ["a", "b", "c"].map(|name| host.cell_for("azure", scope(name)));
    let all = join_all(cells.iter().map(|cell| host.request(cell))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!((host.provider.calls(), host.provider.most_busy.load(SeqCst)), (3, 1));

    let cells = ["one", "two", "three"].map(|name| host.cell(name));
    join_all(cells.iter().map(|cell| host.request(cell))).await;
    assert_eq!(host.provider.most_busy.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_renewed_once_for_all_who_had_it() {
    let host = Host::alone();
    let cell = host.cell("azure");
    let generation = host.request(&cell).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let all = join_all((0..100).map(|_| host.get(&cell, Reason::Rejected { generation }))).await;
    assert!(all.iter().all(|got| *got == Ok(generation + 1)));
    // One who comes late with the old token gets the new one without a call.
    assert_eq!(host.get(&cell, Reason::Rejected { generation }).await, Ok(generation + 1));
    assert_eq!(host.provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_does_not_renew_what_was_just_issued_nor_twice_in_half_a_minute() {
    let host = Host::alone();
    let cell = host.cell("azure");
    let generation = host.request(&cell).await.unwrap();
    let young = host.get(&cell, Reason::Rejected { generation }).await;
    assert_eq!(young.unwrap_err().code, Code::CredentialsRejected);
    sleep(Duration::from_secs(6)).await;
    let next = host.get(&cell, Reason::Rejected { generation }).await.unwrap();
    sleep(Duration::from_secs(6)).await;
    assert!(host.get(&cell, Reason::Rejected { generation: next }).await.is_err());
    assert_eq!(host.provider.calls(), 2);
    sleep(Duration::from_secs(30)).await;
    host.get(&cell, Reason::Rejected { generation: next }).await.unwrap();
    assert_eq!(host.provider.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_asks_for_a_new_token_gets_one() {
    let host = Host::alone();
    let cell = host.cell("azure");
    let first = host.request(&cell).await.unwrap();
    assert_eq!(host.get(&cell, Reason::Forced).await, Ok(first + 1));
    let half = host.credentials.acquire_lasting(&cell, Reason::Missing, HOUR / 2).await.unwrap();
    assert_eq!(half.generation, first + 1, "it lasts long enough");
    sleep(HOUR / 3 * 2).await;
    let longer = host.credentials.acquire_lasting(&cell, Reason::Missing, HOUR / 2).await.unwrap();
    assert_eq!(longer.generation, first + 2);
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_too_long_is_told_so_and_the_answer_is_kept_when_it_comes() {
    let host = Host::alone();
    *host.provider.latency.lock().unwrap() = Duration::from_secs(100);
    let (cell, began) = (host.cell("azure"), Instant::now());
    assert_eq!(host.request(&cell).await.unwrap_err().code, Code::Timeout);
    assert_eq!(began.elapsed().as_secs(), 45);
    host.credentials.idle().await;
    assert!(cell.latest().is_some());
    assert_eq!(host.provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_never_answers_gives_the_lock_back() {
    let host = Host::alone();
    *host.provider.latency.lock().unwrap() = Duration::from_secs(100_000);
    let cell = host.cell("azure");
    assert!(host.request(&cell).await.is_err());
    *host.provider.latency.lock().unwrap() = Duration::ZERO;
    host.credentials.idle().await;
    let other = host.cell_for("azure", scope("other"));
    sleep(Duration::from_secs(60)).await;
    assert!(host.request(&other).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_breaks_is_an_answer_too() {
    let host = Host::alone();
    let cell = host.cell("azure");
    host.provider.panicking.store(true, SeqCst);
    assert_eq!(host.request(&cell).await.unwrap_err().code, Code::Internal);
    host.provider.panicking.store(false, SeqCst);
    assert!(host.request(&cell).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_missing_plugin_is_answered_and_asked_for_again() {
    let host = Host::alone();
    let cell = host.cell("lost");
    for _ in 0..3 {
        assert_eq!(host.request(&cell).await.unwrap_err().code, Code::PluginMissing);
    }
    assert_eq!(host.credentials.plugin_calls(), 0);
}

#[test]
fn workers_with_runtimes_of_their_own_share_one_call() {
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = control.enter();
    let host = Arc::new(Host::alone());
    *host.provider.latency.lock().unwrap() = Duration::from_millis(50);
    let cell = host.cell("azure");
    let work = || {
        let (host, cell) = (Arc::clone(&host), Arc::clone(&cell));
        std::thread::spawn(move || {
            let worker = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            worker.block_on(join_all((0..100).map(|_| host.request(&cell))))
        })
    };
    let workers: Vec<_> = (0..4).map(|_| work()).collect();
    let done =
        tokio::task::spawn_blocking(|| workers.into_iter().map(|worker| worker.join().unwrap()).collect());
    let all: Vec<Vec<_>> = control.block_on(done).unwrap();
    assert!(all.iter().flatten().all(Result::is_ok));
    assert_eq!(host.provider.calls(), 1);
}
