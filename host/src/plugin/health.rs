//! When a cell counts as broken: it does not answer, or it panics again and again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When a cell counts as broken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How often a caller that waits looks whether the thread still answers.
    pub beat: Duration,
    /// How long the thread may take to answer that.
    pub stall: Duration,
    /// This many panics ...
    pub panics: usize,
    /// ... within this time ...
    pub within: Duration,
    /// ... keep the plugin from being called for this long.
    pub quarantine: Duration,
    /// A thread that has not answered for so long gets a new image beside it.
    pub replace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            beat: seconds(1),
            stall: seconds(2),
            panics: 3,
            within: seconds(60),
            quarantine: seconds(300),
            replace: seconds(30),
        }
    }
}

/// How a cell is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It takes calls.
    Serving,
    /// Its thread does not answer.
    Stalled {
        /// For how long.
        since: Duration,
    },
    /// It panicked too often.
    Quarantined {
        /// When it gets another try.
        left: Duration,
    },
}

pub(super) struct Health {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stalled_since: Option<Instant>,
    panics: VecDeque<Instant>,
    quarantined_until: Option<Instant>,
}

impl Health {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn condition(&self) -> Condition {
        let (mut state, now) = (self.state(), Instant::now());
        if state.quarantined_until.is_some_and(|until| until <= now) {
            (state.quarantined_until, state.panics) = (None, VecDeque::new());
        }
        match (state.quarantined_until, state.stalled_since) {
            (Some(until), _) => Condition::Quarantined { left: until - now },
            (None, Some(since)) => Condition::Stalled { since: now - since },
            (None, None) => Condition::Serving,
        }
    }

    pub(super) fn answered(&self) {
        self.state().stalled_since = None;
    }

    pub(super) fn stalled(&self) {
        self.state().stalled_since.get_or_insert_with(Instant::now);
    }

    pub(super) fn panicked(&self) {
        let (mut state, now) = (self.state(), Instant::now());
        state.panics.push_back(now);
        while state.panics.front().is_some_and(|at| now - *at > self.limits.within) {
            state.panics.pop_front();
        }
        if state.panics.len() >= self.limits.panics {
            state.quarantined_until = Some(now + self.limits.quarantine);
        }
    }
}
