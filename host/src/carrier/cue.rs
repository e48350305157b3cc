//! Waiting for something rare beside something frequent: the rare one is polled only once it has called.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future that costs a load while it has nothing to say.
pub(super) struct Cue<F> {
    future: F,
    bell: Option<Arc<Bell>>,
    has_come: bool,
}

struct Bell {
    has_rung: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<F: Future<Output = ()> + Unpin> Cue<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future, bell: None, has_come: false }
    }

    /// Whether it has come by now. If not, the task is woken when it does.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.has_come {
            return true;
        }
        if let Some(bell) = &self.bell
            && bell.task.will_wake(cx.waker())
            && !bell.has_rung.load(Ordering::Acquire)
        {
            return false;
        }
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(false), task: cx.waker().clone() });
        let waker = Waker::from(bell.clone());
        self.bell = Some(bell);
        self.has_come = Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker)) == Poll::Ready(());
        self.has_come
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::cell::Cell;
    use std::future::poll_fn;

    #[tokio::test]
    async fn it_is_polled_when_it_calls_and_no_more_often() {
        let polls = Cell::new(0);
        let (tell, mut told) = tokio::sync::oneshot::channel::<()>();
        let counted = poll_fn(|cx| {
            polls.set(polls.get() + 1);
            Pin::new(&mut told).poll(cx).map(drop)
        });
        let mut cue = Cue::new(counted);
        for _ in 0..100 {
            assert!(!poll_fn(|cx| Poll::Ready(cue.poll(cx))).await);
        }
        assert_eq!(polls.get(), 1);
        tell.send(()).unwrap();
        poll_fn(|cx| if cue.poll(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        assert_eq!(polls.get(), 2);
    }
}
