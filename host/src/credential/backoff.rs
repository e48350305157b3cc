//! How long a failing provider is left alone.

use std::time::Duration;

use tokio::time::Instant;

use crate::fault::Fault;

/// From this many failures in a row on, one call in [`CIRCUIT`] at most.
const REPEATED: u32 = 3;
const CIRCUIT: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_millis(100);
/// A provider that asks for more than this is asked again all the same.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// Failures in a row, and until when nobody tries again.
#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
    last: Option<(Fault, Instant)>,
}

impl Backoff {
    /// Counts a failure. `chance` in 0..1: full jitter, so that many hosts do not come back together.
    pub(super) fn fail(&mut self, fault: &Fault, now: Instant, chance: f64) {
        self.failures = self.failures.saturating_add(1);
        let most = Duration::from_secs(1 << (self.failures - 1).min(6)).min(LONGEST);
        let floor = if self.failures >= REPEATED { CIRCUIT } else { Duration::ZERO };
        let asked = fault.retry_after.unwrap_or_default().min(LONGEST_ASKED);
        let drawn = floor + most.max(floor).saturating_sub(floor).mul_f64(chance);
        self.last = Some((fault.clone(), now + drawn.max(asked).max(SHORTEST)));
    }

    /// The failure to answer with while nobody tries, saying when it is worth asking again.
    pub(super) fn blocked(&self, now: Instant) -> Option<Fault> {
        let (fault, until) = self.last.as_ref()?;
        let left = until.saturating_duration_since(now);
        (!left.is_zero()).then(|| fault.clone().retry_after(Some(left)))
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn fault(&self) -> Option<&Fault> {
        self.last.as_ref().map(|(fault, _)| fault)
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Code;
    use pretty_assertions::assert_eq;

    fn delays(chance: f64, count: usize) -> Vec<u128> {
        let (now, fault) = (Instant::now(), Fault::new(Code::Network, "no route"));
        let mut backoff = Backoff::default();
        let delay = |_| {
            backoff.fail(&fault, now, chance);
            backoff.blocked(now).unwrap().retry_after.unwrap().as_millis()
        };
        (0..count).map(delay).collect()
    }

    #[tokio::test]
    async fn it_grows_from_a_second_to_a_minute_and_opens_the_circuit_at_the_third() {
        assert_eq!(delays(1.0, 8), [1_000, 2_000, 30_000, 30_000, 30_000, 32_000, 60_000, 60_000]);
        assert_eq!(delays(0.0, 5), [100, 100, 30_000, 30_000, 30_000]);
    }

    #[tokio::test]
    async fn what_the_provider_asks_for_is_honoured_up_to_ten_minutes() {
        let now = Instant::now();
        for (asked, waited) in [(90, 90), (3600, 600)] {
            let mut backoff = Backoff::default();
            let fault =
                Fault::new(Code::RateLimited, "slow down").retry_after(Some(Duration::from_secs(asked)));
            backoff.fail(&fault, now, 1.0);
            assert_eq!(backoff.blocked(now).unwrap().retry_after, Some(Duration::from_secs(waited)));
            assert_eq!(backoff.blocked(now + Duration::from_secs(waited)), None);
        }
    }
}
