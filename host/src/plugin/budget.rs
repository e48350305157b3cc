//! How much of something a plugin may do: a burst, then a rate. What is over is counted.

use std::time::Instant;

/// A token bucket.
pub(super) struct Budget {
    burst: f64,
    per_second: f64,
    left: f64,
    at: Instant,
    dropped: u64,
}

impl Budget {
    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        let burst = f64::from(burst);
        Self { burst, per_second: f64::from(per_second), left: burst, at: Instant::now(), dropped: 0 }
    }

    /// Spends one. `None` if there is nothing left, else how many were refused since the last success.
    pub(super) fn spend(&mut self) -> Option<u64> {
        self.spend_at(Instant::now())
    }

    fn spend_at(&mut self, now: Instant) -> Option<u64> {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        (self.left, self.at) = ((self.left + earned).min(self.burst), now);
        if self.left < 1.0 {
            self.dropped += 1;
            return None;
        }
        self.left -= 1.0;
        Some(std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::time::Duration;

    #[test]
    fn a_burst_then_a_rate_and_the_rest_is_counted() {
        let mut budget = Budget::new(2, 10);
        let start = budget.at;
        let spent: Vec<_> = (0..4).map(|_| budget.spend_at(start)).collect();
        assert_eq!(spent, [Some(0), Some(0), None, None]);
        assert_eq!(budget.spend_at(start + Duration::from_millis(100)), Some(2));
        assert_eq!(budget.spend_at(start + Duration::from_millis(100)), None);
    }
}
