//! When a token is due: wall clock and monotonic clock, whichever comes first.
//!
//! Expiry is a wall-clock time, and only the wall clock counts a suspend. But it can be set back, and
//! then the monotonic clock still knows how long a token has been in use.

use std::time::Duration;

use tokio::time::Instant;

use super::{Policy, Prepared};
use crate::model::UnixMillis;

/// Lifetimes beyond this are taken for a mistake and cut.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: UnixMillis,
    pub(super) mono: Instant,
}

impl Moment {
    pub(super) fn after(self, delay: Duration) -> Due {
        Due(Self { wall: self.wall.plus(delay), mono: self.mono + delay })
    }
}

/// When something is to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due(Moment);

impl Due {
    pub(super) fn at(self) -> UnixMillis {
        self.0.wall
    }

    pub(super) fn is_reached(self, now: Moment) -> bool {
        now.wall >= self.0.wall || now.mono >= self.0.mono
    }

    pub(super) fn left(self, now: Moment) -> Duration {
        now.wall.until(self.0.wall).min(self.0.mono.saturating_duration_since(now.mono))
    }
}

/// When a token that dies at `expires_at` is renewed. `chance` in 0..1 spreads tokens and replicas.
pub(super) fn renewal(policy: &Policy, now: Moment, expires_at: UnixMillis, chance: f64) -> Due {
    let life = now.wall.until(expires_at).min(LONGEST_LIFE);
    now.after(life.saturating_sub(ahead(policy, life, chance)).max(Duration::from_secs(1)))
}

/// When a token that is in use already is renewed, by a policy that was not in force when it came.
pub(super) fn replanned(policy: &Policy, now: Moment, prepared: &Prepared, chance: f64) -> Option<Due> {
    let expires_at = prepared.expires_at?;
    let left = now.wall.until(expires_at);
    // Of one whose beginning is not known (0), what is left is all of it.
    let life = match prepared.acquired_at {
        UnixMillis(0) => left,
        acquired_at => acquired_at.until(expires_at),
    };
    let pause = left.saturating_sub(ahead(policy, life.min(LONGEST_LIFE), chance));
    Some(now.after(pause.max(Duration::from_secs(1))))
}

/// The time before the end, between `ahead` and `ahead` plus jitter. A token too short for that is
/// spread below its third instead of beyond it.
fn ahead(policy: &Policy, life: Duration, chance: f64) -> Duration {
    let spread = 1.0 + policy.jitter.clamp(0.0, 1.0);
    let most = policy.ahead_of(life).mul_f64(spread).min(life / 3);
    let least = most.div_f64(spread);
    least + (most - least).mul_f64(chance)
}

/// A lifetime nobody can mean is cut, so that no arithmetic on it has to be feared.
pub(super) fn capped(mut prepared: Prepared, now: UnixMillis) -> Prepared {
    prepared.expires_at = prepared.expires_at.map(|at| at.min(now.plus(LONGEST_LIFE)));
    prepared
}

/// A number in 0..1, different each time.
pub(super) fn chance() -> f64 {
    // Without entropy everything falls on one moment, and nothing worse.
    f64::from(getrandom::u32().unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[tokio::test]
    async fn a_token_is_renewed_between_ahead_and_half_as_much_again() {
        let now = Moment { wall: UnixMillis(1_000_000), mono: Instant::now() };
        let due = |life: u64, chance: f64| {
            renewal(&Policy::default(), now, now.wall.plus(seconds(life)), chance)
                .left(now)
                .as_secs_f64()
                .round()
        };
        for (life, last, first) in
            [(60, 47., 40.), (300, 240., 210.), (3600, 3240., 3060.), (86_400, 85_500., 85_050.)]
        {
            assert_eq!((due(life, 0.0), due(life, 1.0)), (last, first), "of a life of {life} s");
        }
    }

    #[tokio::test]
    async fn a_thousand_tokens_of_one_moment_are_not_renewed_in_one() {
        let now = Moment { wall: UnixMillis(0), mono: Instant::now() };
        let mut bins = std::collections::HashMap::new();
        for _ in 0..1_000 {
            let due = renewal(&Policy::default(), now, now.wall.plus(seconds(3600)), chance());
            *bins.entry(due.left(now).as_secs()).or_insert(0) += 1;
        }
        assert!(bins.values().all(|count| *count <= 50), "{bins:?}");
    }

    #[tokio::test]
    async fn an_absurd_lifetime_is_cut_and_a_past_one_is_due_in_a_second() {
        let now = Moment { wall: UnixMillis::now(), mono: Instant::now() };
        let far = renewal(&Policy::default(), now, UnixMillis(i64::MAX), 0.0);
        assert!(far.left(now) < LONGEST_LIFE);
        assert_eq!(renewal(&Policy::default(), now, UnixMillis(0), 0.0).left(now), seconds(1));
    }

    #[tokio::test]
    async fn either_clock_makes_it_due() {
        let now = Moment { wall: UnixMillis(0), mono: Instant::now() };
        let due = now.after(seconds(100));
        let at =
            |wall: i64, mono: u64| Moment { wall: UnixMillis(wall * 1000), mono: now.mono + seconds(mono) };
        assert!(!due.is_reached(at(99, 99)));
        assert!(due.is_reached(at(3600, 0)), "suspended, or set forward");
        assert!(due.is_reached(at(-3600, 100)), "set back");
    }
}
