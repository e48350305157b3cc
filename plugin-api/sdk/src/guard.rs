//! Turns panics of a plugin into errors.
//!
//! The catch must be inside the plugin's image: a panic that crosses an `extern "C"` frame aborts
//! the process, and a host-side `catch_unwind` around a foreign panic does too.

#![expect(unsafe_code, reason = "pin projection: the inner future is dropped in place under a catch")]

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use ccproxy_plugin_abi::ApiResult;
use ccproxy_plugin_abi::abi_stable::std_types::RResult::{RErr, ROk};

use crate::error::{Error, ErrorCode};

thread_local! {
    /// Where the last panic of this thread happened; the hook knows it, the catch does not.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs this image's panic hook: it keeps the location and prints nothing, because a panic
/// message may quote a secret. The image has its own copy of std, so the host's hook is not touched.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(|at| format!("{}:{}", at.file(), at.line()));
        let _ = LOCATION.try_with(|slot| *slot.borrow_mut() = location);
    }));
}

/// Runs a synchronous call.
pub(crate) fn guard_sync<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| Err(panicked(payload)))
}

/// A future whose panics, in poll and in drop, become errors.
pub(crate) struct Guarded<F> {
    inner: Option<F>,
}

pub(crate) fn guard_future<T, F>(future: F) -> Guarded<F>
where
    F: Future<Output = Result<T, Error>> + Send,
{
    Guarded { inner: Some(future) }
}

impl<T, F: Future<Output = Result<T, Error>>> Future for Guarded<F> {
    type Output = ApiResult<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `inner` is structurally pinned: it is never moved out, only dropped in place.
        let inner = unsafe { self.as_mut().map_unchecked_mut(|guarded| &mut guarded.inner) };
        let polled = match inner.as_pin_mut() {
            Some(future) => catch_unwind(AssertUnwindSafe(|| future.poll(context))),
            None => {
                return Poll::Ready(RErr(Error::new(ErrorCode::Internal, "polled after completion").into()));
            }
        };
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result,
            Err(payload) => Err(panicked(payload)),
        };
        let dropped = self.drop_inner();
        Poll::Ready(match (result, dropped) {
            (Ok(value), Ok(())) => ROk(value),
            (Err(error), _) | (Ok(_), Err(error)) => RErr(error.into()),
        })
    }
}

impl<F> Guarded<F> {
    fn drop_inner(self: Pin<&mut Self>) -> Result<(), Error> {
        // SAFETY: nothing is moved: the assignment drops the pinned future in place and writes
        // `None` over it, on the unwind path too. (`Option::take` would move it.)
        let this = unsafe { self.get_unchecked_mut() };
        guard_sync(|| {
            this.inner = None;
            Ok(())
        })
    }
}

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        // SAFETY: `self` is not used again; a dropped value may be pinned for the last time.
        let this = unsafe { Pin::new_unchecked(self) };
        // A future dropped before it was done may panic, too; there is nobody left to tell.
        let _ = this.drop_inner();
    }
}

/// The payload itself is not shown: it may quote a secret. The place is what an author needs.
fn panicked(payload: Box<dyn Any + Send>) -> Error {
    if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        // A payload whose drop panics must not get a second chance.
        std::mem::forget(second);
    }
    let location = LOCATION.try_with(|slot| slot.borrow_mut().take()).ok().flatten();
    let at = location.unwrap_or_else(|| "an unknown place".into());
    Error::new(ErrorCode::PluginFailed, format!("plugin panicked at {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }

    fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = Box::pin(future);
        match future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_panic_in_a_call_in_a_poll_and_in_a_drop_is_an_error() {
        let error = guard_sync::<()>(|| panic!("canary")).unwrap_err();
        assert_eq!(error.code, ErrorCode::PluginFailed);
        assert!(!error.message.contains("canary"), "{error}");

        let polled = poll_once(guard_future::<(), _>(async { panic!("canary") }));
        assert!(polled.is_some_and(|result| result.is_err()));

        let finished = poll_once(guard_future(std::future::poll_fn({
            let bomb = Bomb;
            move |_| {
                let _held = &bomb;
                Poll::Ready(Ok(()))
            }
        })));
        assert!(finished.is_some_and(|result| result.is_err()), "the drop of a finished future is guarded");
    }

    #[test]
    fn dropping_an_unfinished_future_that_panics_in_drop_is_survived() {
        let pending = guard_future::<(), _>(async {
            let _bomb = Bomb;
            std::future::pending().await
        });
        assert!(poll_once(pending).is_none());
    }
}
