//! When a token is renewed ahead of its end. Section 3 of the interface, `[refresh]`.

use std::time::Duration;

/// How long before expiry a token is renewed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ahead {
    /// A share of the lifetime, at least 60 s and at most [`Policy::max_ahead`].
    Share(f64),
    /// A duration, taken as written.
    Fixed(Duration),
}

/// The `[refresh]` table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How long before expiry.
    pub ahead: Ahead,
    /// Upper bound of a share.
    pub max_ahead: Duration,
    /// Share of `ahead` by which a timer may fire earlier, at random: replicas and tokens spread out.
    pub jitter: f64,
    /// Full re-check besides the timers.
    pub sweep: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ahead: Ahead::Share(0.10),
            max_ahead: Duration::from_secs(15 * 60),
            jitter: 0.5,
            sweep: Duration::from_secs(30 * 60),
        }
    }
}

impl Policy {
    /// How long before its end a token of this lifetime is renewed, without jitter.
    ///
    /// Never more than a third of the life: a 60 s token would otherwise be renewed all the time.
    pub fn ahead_of(&self, lifetime: Duration) -> Duration {
        let wanted = match self.ahead {
            Ahead::Share(share) => {
                lifetime.mul_f64(share.clamp(0.0, 1.0)).max(Duration::from_secs(60)).min(self.max_ahead)
            }
            Ahead::Fixed(fixed) => fixed,
        };
        wanted.min(lifetime / 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_share_is_bounded_below_and_above_and_by_a_third_of_the_life() {
        let policy = Policy::default();
        let seconds = Duration::from_secs;
        assert_eq!(policy.ahead_of(seconds(60)), seconds(20));
        assert_eq!(policy.ahead_of(seconds(300)), seconds(60));
        assert_eq!(policy.ahead_of(seconds(3600)), seconds(360));
        assert_eq!(policy.ahead_of(seconds(86_400)), seconds(900));
    }

    #[test]
    fn a_duration_is_taken_as_written_but_for_a_third_of_the_life() {
        let policy = Policy { ahead: Ahead::Fixed(Duration::from_secs(4 * 3600)), ..Policy::default() };
        assert_eq!(policy.ahead_of(Duration::from_secs(86_400)), Duration::from_secs(4 * 3600));
        assert_eq!(policy.ahead_of(Duration::from_secs(3600)), Duration::from_secs(1200));
    }
}
