//! What the service manager is told, where there is one (systemd, `Type=notify-reload`).

use sd_notify::NotifyState;

/// The host serves.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The host is about to end.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// A reload, from its beginning until it is dropped.
pub(super) struct Reloading(());

impl Reloading {
    pub(super) fn begin() -> Self {
        match NotifyState::monotonic_usec_now() {
            Ok(since) => notify(&[NotifyState::Reloading, since]),
            Err(error) => tracing::debug!(%error, "no monotonic clock: a reload is not announced"),
        }
        Self(())
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        ready();
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
