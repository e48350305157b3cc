//! What is served, refused and written down while a provider fails.

use std::time::Duration;

use pretty_assertions::assert_eq;
use tokio::time::{Instant, sleep};

use super::bench::{HOUR, Host, down, id, revoked, scope};
use crate::credential::{Clock, Reason};
use crate::fault::{Code, Fault};
use crate::hook::Kind;
use crate::vault::State;

fn state(host: &Host) -> State {
    host.vault.read(&id("azure")).unwrap().unwrap().state
}

#[tokio::test(start_paused = true)]
async fn while_a_provider_is_down_a_live_token_serves_and_a_dead_one_never() {
    let host = Host::alone();
    let cell = host.cell("azure");
    let generation = host.request(&cell).await.unwrap();
    host.provider.fail(down());
    sleep(Duration::from_secs(3590)).await;
    assert_eq!(host.request(&cell).await, Ok(generation));
    assert_eq!(state(&host), State::Expiring);
    sleep(Duration::from_secs(20)).await;

    host.request(&cell).await.unwrap_err();
    let began = Instant::now();
    let fault = host.request(&cell).await.unwrap_err();
    assert_eq!(fault.code, Code::ProviderUnavailable);
    assert!(fault.retry_after.is_some_and(|after| after <= Duration::from_secs(60)), "{fault:?}");
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits for a provider known to be down");

    host.provider.fail(None);
    sleep(Duration::from_secs(62)).await;
    assert!(cell.live(host.provider.clock.now()).is_some(), "it came back without a request");
    assert_eq!(state(&host), State::Ok);
    assert_eq!(host.told(), [Kind::ConnectionExpiring, Kind::ConnectionRecovered]);
    let live = host.credentials.status(&id("azure"));
    assert_eq!((live.failures, live.problem), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_failing_provider_is_called_twice_a_minute_at_most() {
    let host = Host::alone();
    host.provider.fail(down());
    let cell = host.cell("azure");
    for _ in 0..3600 {
        host.request(&cell).await.unwrap_err();
        sleep(Duration::from_secs(1)).await;
    }
    let calls = host.provider.calls();
    assert!((50..=122).contains(&calls), "{calls} calls in an hour");
    assert_eq!(host.credentials.status(&id("azure")).failures, u32::try_from(calls).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_asks_for_time_gets_it() {
    let host = Host::alone();
    let fault = Fault::new(Code::RateLimited, "429").retry_after(Some(Duration::from_secs(300)));
    host.provider.fail(Some(fault));
    let (a, b) = (host.cell_for("azure", scope("a")), host.cell_for("azure", scope("b")));
    host.request(&a).await.unwrap_err();
    sleep(Duration::from_secs(299)).await;
    assert_eq!(host.request(&b).await.unwrap_err().code, Code::RateLimited, "it is one provider");
    assert_eq!(host.provider.calls(), 1);
    host.provider.fail(None);
    sleep(Duration::from_secs(1)).await;
    assert!(host.request(&b).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_dead_grant_is_not_tried_again_until_somebody_logs_in() {
    let host = Host::alone();
    host.provider.require_login();
    host.log_in("azure").await;
    let cell = host.cell("azure");
    let generation = host.request(&cell).await.unwrap();
    host.provider.fail(revoked());
    sleep(Duration::from_secs(3590)).await;
    assert_eq!(host.request(&cell).await, Ok(generation), "the token outlives the grant");
    assert_eq!(state(&host), State::ReauthRequired);
    let calls = host.credentials.plugin_calls();
    sleep(Duration::from_secs(60)).await;
    for _ in 0..1_000 {
        let fault = host.request(&cell).await.unwrap_err();
        assert_eq!(
            (fault.code, fault.hint.as_deref()),
            (Code::ReauthRequired, Some("ccproxy auth login azure"))
        );
    }
    sleep(HOUR * 3).await;
    assert_eq!(host.credentials.plugin_calls(), calls);
    let record = host.vault.read(&id("azure")).unwrap().unwrap();
    assert_eq!(record.problem.unwrap().message, "invalid_grant");
    assert_eq!(record.last_refresh.unwrap().result, "reauth_required");

    host.provider.fail(None);
    host.log_in("azure").await;
    host.credentials.changed(&id("azure")).await;
    assert!(host.request(&cell).await.is_ok());
    assert_eq!(host.told(), [Kind::ConnectionReauthRequired]);
}

#[tokio::test(start_paused = true)]
async fn a_person_may_insist_on_a_dead_grant() {
    let host = Host::alone();
    host.log_in("azure").await;
    let cell = host.cell("azure");
    host.provider.fail(revoked());
    host.request(&cell).await.unwrap_err();
    host.provider.fail(None);
    assert!(host.request(&cell).await.is_err());
    assert!(host.get(&cell, Reason::Forced).await.is_ok());
    assert_eq!(host.told(), [Kind::ConnectionReauthRequired, Kind::ConnectionRecovered]);
    assert_eq!(state(&host), State::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_refused_leaves_the_others_alone() {
    let host = Host::alone();
    let (good, bad) = (host.cell_for("azure", scope("good")), host.cell_for("azure", scope("bad")));
    host.request(&good).await.unwrap();
    host.request(&bad).await.unwrap();
    host.provider.fail(Some(Fault::new(Code::ConsentRequired, "AADSTS65001")));
    assert_eq!(host.get(&bad, Reason::Forced).await.unwrap_err().code, Code::ConsentRequired);
    host.provider.fail(None);
    assert_eq!(state(&host), State::Ok);
    sleep(HOUR * 2).await;
    assert!(good.live(host.provider.clock.now()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_first_request_that_is_refused_leaves_the_only_target_alone() {
    for code in [Code::ConsentRequired, Code::AccessDenied] {
        let host = Host::alone();
        let (good, bad) = (host.cell_for("azure", scope("good")), host.cell_for("azure", scope("bad")));
        host.log_in("azure").await;
        host.request(&good).await.unwrap();
        host.provider.fail(Some(Fault::new(code, "AADSTS65001")));
        assert_eq!(host.request(&bad).await.unwrap_err().code, code);
        host.provider.fail(None);
        assert_eq!(state(&host), State::Ok);
        sleep(HOUR * 2).await;
        assert!(host.request(&good).await.is_ok());

        // The target that it does serve: nothing is left of it.
        host.provider.fail(Some(Fault::new(code, "AADSTS65001")));
        host.get(&good, Reason::Forced).await.unwrap_err();
        assert_eq!(state(&host), State::ReauthRequired);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_settings_can_cure_stands_until_they_change() {
    let host = Host::alone();
    let cell = host.cell("azure");
    host.log_in("azure").await;
    host.request(&cell).await.unwrap();
    sleep(HOUR * 2).await;
    host.provider.fail(Some(Fault::new(Code::AccessDenied, "not assigned to the application")));
    host.get(&cell, Reason::Forced).await.unwrap_err();
    host.provider.fail(None);
    host.provider.change_settings();
    host.credentials.reset(&id("azure"));
    assert_eq!(host.request(&cell).await.unwrap_err().code, Code::ReauthRequired, "it is written down");
    assert!(host.get(&cell, Reason::Forced).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_a_record_a_missing_login_is_looked_for_every_few_seconds_only() {
    let host = Host::alone();
    host.provider.require_login();
    let cell = host.cell("azure");
    for _ in 0..100 {
        assert_eq!(host.request(&cell).await.unwrap_err().hint.as_deref(), Some("ccproxy auth login azure"));
    }
    assert_eq!(host.credentials.plugin_calls(), 1);
    sleep(Duration::from_secs(6)).await;
    host.request(&cell).await.unwrap_err();
    assert_eq!(host.credentials.plugin_calls(), 2);
    host.log_in("azure").await;
    assert!(host.request(&cell).await.is_ok(), "a login is seen at once");
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_ours_is_noted_and_does_not_hold_up_another_target() {
    let host = Host::alone();
    let (good, bad) = (host.cell_for("azure", scope("good")), host.cell_for("azure", scope("bad")));
    host.request(&good).await.unwrap();
    host.provider.fail(Some(Fault::new(Code::CredentialsRejected, "invalid_client")));
    host.request(&bad).await.unwrap_err();
    host.provider.fail(None);
    assert!(host.get(&good, Reason::Missing).await.is_ok());
    let problem = host.vault.read(&id("azure")).unwrap().unwrap().problem.unwrap();
    assert_eq!(problem.code, "credentials_rejected");
    sleep(Duration::from_secs(1)).await;
    host.request(&bad).await.unwrap();
    assert_eq!(host.vault.read(&id("azure")).unwrap().unwrap().problem, None);
}
