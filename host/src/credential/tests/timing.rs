//! Ahead of its end, by a clock that may be set.

use std::time::Duration;

use pretty_assertions::assert_eq;
use tokio::time::sleep;

use super::bench::{HOUR, Host, id, log_in, provider};
use crate::credential::{Clock, Policy, Reason};
use crate::fault::Code;
use crate::vault::{MemoryStore, State, Vault};

#[tokio::test(start_paused = true)]
async fn a_token_in_use_is_renewed_ahead_so_that_no_request_waits() {
    let host = Host::alone();
    let cell = host.cell("azure");
    host.request(&cell).await.unwrap();
    let next = host.credentials.status(&id("azure")).next_refresh_at.unwrap();
    let left = host.provider.clock.now().until(next);
    assert!(left >= Duration::from_secs(3600 - 540) && left <= Duration::from_secs(3600 - 360), "{left:?}");
    for _ in 0..24 * 60 {
        sleep(Duration::from_secs(60)).await;
        assert!(cell.live(host.provider.clock.now()).is_some());
    }
    assert!((24..=29).contains(&host.provider.calls()), "{}", host.provider.calls());
}

#[tokio::test(start_paused = true)]
async fn a_short_token_is_renewed_within_the_last_third_of_its_life() {
    let host = Host::alone();
    *host.provider.life.lock().unwrap() = Some(Duration::from_secs(60));
    let cell = host.cell("azure");
    host.request(&cell).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert!(cell.live(host.provider.clock.now()).is_some());
    assert!((11..=16).contains(&host.provider.calls()), "{}", host.provider.calls());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_names_no_end_is_left_alone() {
    let host = Host::alone();
    *host.provider.life.lock().unwrap() = None;
    let cell = host.cell("github");
    host.request(&cell).await.unwrap();
    sleep(HOUR * 48).await;
    assert_eq!((host.provider.calls(), host.credentials.status(&id("github")).next_refresh_at), (1, None));
}

#[tokio::test(start_paused = true)]
async fn an_absurd_lifetime_is_cut_and_a_dead_token_refused() {
    let host = Host::alone();
    *host.provider.life.lock().unwrap() = Some(HOUR * 24 * 36_500);
    let cell = host.cell("azure");
    host.request(&cell).await.unwrap();
    let end = cell.latest().unwrap().expires_at.unwrap();
    assert!(host.provider.clock.now().until(end) <= HOUR * 24 * 3_651);

    *host.provider.life.lock().unwrap() = Some(Duration::ZERO);
    assert_eq!(host.get(&cell, Reason::Forced).await.unwrap_err().code, Code::InvalidResponse);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_or_back_costs_one_more_refresh_at_most() {
    for jump in [3600, -3600, 10 * 365 * 86_400, 86_400, -86_400] {
        let host = Host::alone();
        let cell = host.cell("azure");
        host.request(&cell).await.unwrap();
        sleep(HOUR / 4).await;
        host.provider.clock.jump(jump);
        sleep(HOUR / 4).await;
        host.request(&cell).await.unwrap();
        assert!(host.provider.calls() <= 2, "after {jump} s: {}", host.provider.calls());
        // And from there on as ever: an hour's token an hour, whatever the clock says.
        let before = host.provider.calls();
        for _ in 0..6 * 60 {
            sleep(Duration::from_secs(60)).await;
            host.request(&cell).await.unwrap();
        }
        let more = host.provider.calls() - before;
        assert!((5..=8).contains(&more), "after {jump} s: {more}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_does_not_stretch_a_token() {
    let host = Host::alone();
    let cell = host.cell("azure");
    host.request(&cell).await.unwrap();
    host.provider.clock.jump(-5 * 3600);
    sleep(HOUR).await;
    assert_eq!(host.provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_suspend_what_is_due_is_renewed_within_half_a_minute() {
    let host = Host::alone();
    let cell = host.cell("azure");
    host.request(&cell).await.unwrap();
    host.provider.clock.jump(3500);
    sleep(Duration::from_secs(32)).await;
    assert_eq!(host.provider.calls(), 2);
    assert!(cell.live(host.provider.clock.now()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stored_token_no_request_has_used_yet_is_kept_alive() {
    let (vault, provider) = (Vault::new(MemoryStore::default()), provider());
    let yesterday = Host::on(vault.clone(), provider.clone(), Policy::default());
    let cell = yesterday.cell("azure");
    yesterday.request(&cell).await.unwrap();
    drop((yesterday, cell));

    let host = Host::on(vault, provider, Policy::default());
    let cell = host.cell("azure");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(host.credentials.plugin_calls(), 0, "nothing is due yet");
    sleep(HOUR * 3).await;
    assert!(cell.live(host.provider.clock.now()).is_some());
    assert!((4..=5).contains(&host.provider.calls()), "{}", host.provider.calls());
}

#[tokio::test(start_paused = true)]
async fn the_sweep_looks_again_at_what_nothing_else_brought_up() {
    let host = Host::alone();
    host.provider.require_login();
    let cell = host.cell("azure");
    assert_eq!(host.request(&cell).await.unwrap_err().code, Code::NotLoggedIn);
    // Another process logs in, and no notice of it arrives.
    log_in(&host.vault, "azure").await;
    sleep(HOUR).await;
    assert!(host.request(&cell).await.is_ok());
    // A slot that nobody holds any more is not kept alive.
    drop(cell);
    sleep(HOUR).await;
    let before = host.provider.calls();
    sleep(HOUR * 5).await;
    assert_eq!(host.provider.calls(), before);
    assert_eq!(host.vault.read(&id("azure")).unwrap().unwrap().state, State::Ok);
}
