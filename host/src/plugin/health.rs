//! When a cell counts as broken: it does not answer, or it panics again and again.
//!
//! A quarantine ends by itself, on probation: the first call that ends well clears the past, a panic
//! before that is a new quarantine.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::UnixMillis;

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
    /// Images that may be mapped in one life: none is ever unmapped.
    pub images: usize,
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
            // Each is about 1 MB. So many replacements in one life are a loop.
            images: 128,
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

/// What is wrong with a cell, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What happened.
    pub why: String,
    /// Since when it is not called.
    pub since: UnixMillis,
    /// When it is tried again by itself.
    pub until: UnixMillis,
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
    /// Its quarantine is over, and no call has ended well since.
    on_probation: bool,
    trouble: Option<(String, UnixMillis)>,
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
            state.on_probation = true;
        }
        match (state.quarantined_until, state.stalled_since) {
            (Some(until), _) => Condition::Quarantined { left: until - now },
            (None, Some(since)) => Condition::Stalled { since: now - since },
            (None, None) => Condition::Serving,
        }
    }

    /// Why it is not called, if it is not.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let until = match self.condition() {
            Condition::Serving => return None,
            Condition::Quarantined { left } => left,
            Condition::Stalled { since } => self.limits.replace.saturating_sub(since),
        };
        let (why, since) = self.state().trouble.clone()?;
        Some(Trouble { why, since, until: UnixMillis::now().plus(until) })
    }

    /// A call ended well.
    pub(super) fn worked(&self) {
        self.state().on_probation = false;
    }

    pub(super) fn answered(&self) {
        self.state().stalled_since = None;
    }

    pub(super) fn stalled(&self, during: &str) {
        let mut state = self.state();
        if state.stalled_since.is_none() {
            state.stalled_since = Some(Instant::now());
            state.trouble =
                Some((format!("its thread does not answer (during `{during}`)"), UnixMillis::now()));
        }
    }

    /// It panicked, with these words of the guard.
    pub(super) fn panicked(&self, words: &str) {
        let (mut state, now) = (self.state(), Instant::now());
        state.panics.push_back(now);
        while state.panics.front().is_some_and(|at| now - *at > self.limits.within) {
            state.panics.pop_front();
        }
        let times = state.panics.len();
        let again = state.on_probation;
        if times >= self.limits.panics || again {
            state.quarantined_until = Some(now + self.limits.quarantine);
            let often = match again {
                true => "it panicked again".to_owned(),
                false => format!("it panicked {times} times within {} s", self.limits.within.as_secs()),
            };
            state.trouble = Some((format!("{often}, last: {words}"), UnixMillis::now()));
        }
    }
}
