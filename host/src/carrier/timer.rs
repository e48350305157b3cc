//! One timer per connection for all that it waits for in turn.
//!
//! Setting a deadline costs a comparison: what is armed with the runtime is seldom moved. It fires early rather than
//! late, and is then armed again for what is wanted by then.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The furthest ahead that anything is armed: a shorter wait than this seldom follows a longer one.
const AHEAD: Duration = Duration::from_secs(30);

/// A deadline that moves.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready once `deadline` has passed.
    pub(super) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let armed = || deadline.min(Instant::now() + AHEAD);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(armed())));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(armed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn it_fires_at_the_deadline_that_was_asked_for_last() {
        let start = Instant::now();
        let mut timer = Timer::default();
        let after = |seconds| start + Duration::from_secs(seconds);
        let early =
            tokio::time::timeout(Duration::from_secs(50), poll_fn(|cx| timer.poll(after(75), cx))).await;
        assert!(early.is_err());
        poll_fn(|cx| timer.poll(after(60), cx)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
        poll_fn(|cx| timer.poll(after(300), cx)).await;
        assert_eq!(start.elapsed().as_secs(), 300);
    }
}
