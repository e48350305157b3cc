//! Another configuration: what is kept, what is asked for anew, and what must not get about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pretty_assertions::assert_eq;
use tokio::time::sleep;

use super::bench::{HOUR, Host, id};
use crate::credential::{Ahead, Cell, Policy, Reason, Turnover};
use crate::fault::Code;
use crate::model::CredentialKey;

fn fresh(cell: &Arc<Cell>) -> Arc<Cell> {
    Arc::new(Cell::new(cell.key().clone()))
}

fn cells<'a>(cells: impl IntoIterator<Item = &'a Arc<Cell>>) -> BTreeMap<CredentialKey, Arc<Cell>> {
    cells.into_iter().map(|cell| (cell.key().clone(), Arc::clone(cell))).collect()
}

#[tokio::test(start_paused = true)]
async fn what_did_not_change_keeps_its_token_and_changed_settings_get_one_of_their_own() {
    let host = Host::alone();
    let (kept, old) = (host.cell("kept"), host.cell("changed"));
    host.request(&kept).await.unwrap();
    host.request(&old).await.unwrap();
    let new = fresh(&old);
    let stale = [id("changed")].into();
    host.credentials.adopt(Turnover { cells: cells([&kept, &new]), stale, ..Turnover::default() });
    assert!(kept.latest().is_some() && new.latest().is_none());
    assert!(Arc::ptr_eq(&host.cell("changed"), &new), "from now on it is this one");
    assert_eq!(host.provider.calls(), 2, "a reload itself calls nobody");
    host.request(&kept).await.unwrap();
    host.request(&new).await.unwrap();
    assert!(new.latest().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_request_under_old_settings_gets_no_token_of_the_new_ones() {
    let host = Host::alone();
    let old = host.cell("azure");
    let new = fresh(&old);
    host.credentials.adopt(Turnover {
        cells: cells([&new]),
        stale: [id("azure")].into(),
        ..Turnover::default()
    });
    let refused = host.get(&old, Reason::Missing).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.retry_after),
        (Code::ProviderUnavailable, Some(Duration::from_secs(1)))
    );
    assert_eq!(host.provider.calls(), 0);
    assert!(old.latest().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_under_way_answers_those_who_wait_and_nobody_else() {
    let host = Host::alone();
    let old = host.cell("azure");
    let waiting = {
        let (credentials, old) = (host.credentials.clone(), Arc::clone(&old));
        tokio::spawn(
            async move { crate::credential::Acquire::acquire(&credentials, &old, Reason::Missing).await },
        )
    };
    // The provider takes a second.
    sleep(Duration::from_millis(500)).await;
    let new = fresh(&old);
    host.credentials.adopt(Turnover {
        cells: cells([&new]),
        stale: [id("azure")].into(),
        ..Turnover::default()
    });
    assert!(waiting.await.unwrap().is_ok(), "no request fails for a reload");
    assert!(new.latest().is_none() && old.latest().is_none());
    host.credentials.idle().await;
    host.request(&new).await.unwrap();
    assert!(new.latest().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_renewed_no_more() {
    let host = Host::alone();
    let (gone, released) = (host.cell("gone"), host.cell("released"));
    host.request(&gone).await.unwrap();
    host.request(&released).await.unwrap();
    host.credentials.adopt(Turnover {
        stale: [id("gone")].into(),
        released: [released.key().clone()].into(),
        ..Turnover::default()
    });
    let calls = host.provider.calls();
    sleep(HOUR * 3).await;
    assert_eq!(host.provider.calls(), calls);
    assert!(host.credentials.existing(gone.key()).is_none());
    assert_eq!(host.credentials.status(&id("released")).next_refresh_at, None);
}

#[tokio::test(start_paused = true)]
async fn another_policy_plans_the_tokens_that_are_there() {
    let host = Host::alone();
    let cell = host.cell("azure");
    host.request(&cell).await.unwrap();
    let due = |host: &Host| host.credentials.status(&id("azure")).next_refresh_at.unwrap();
    let before = due(&host);
    let ahead = Ahead::Fixed(Duration::from_secs(1200));
    host.credentials.set_policy(Policy { ahead, jitter: 0.0, ..Policy::default() });
    let expires_at = cell.latest().unwrap().expires_at.unwrap();
    assert_eq!(due(&host), expires_at.minus(Duration::from_secs(1200)));
    assert!(due(&host) < before);
    assert_eq!(host.provider.calls(), 1);
}
