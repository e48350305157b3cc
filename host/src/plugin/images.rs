//! How many plugin images are mapped: none is ever unmapped, so a host that replaces its plugins again
//! and again must say in time that it wants to be restarted.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::refusal::Refusal;

/// The images of this process.
#[derive(Debug)]
pub struct Images {
    limit: usize,
    mapped: AtomicUsize,
}

impl Images {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, mapped: AtomicUsize::new(0) }
    }

    /// So many are mapped, those that were replaced or refused among them.
    pub fn mapped(&self) -> usize {
        self.mapped.load(Ordering::Relaxed)
    }

    /// With so many, no more is mapped: what serves then, serves on.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether it is time to restart the host: three quarters are used up.
    pub fn is_alarming(&self) -> bool {
        self.mapped() >= self.limit - self.limit / 4
    }

    /// Takes room for one more, for ever.
    pub(super) fn take(&self) -> Result<(), Refusal> {
        let room = |mapped| (mapped < self.limit).then_some(mapped + 1);
        self.mapped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).map_err(Refusal::TooMany)?;
        if self.is_alarming() {
            tracing::warn!(
                mapped = self.mapped(),
                limit = self.limit,
                "plugin images stay mapped for the life of the host: restart it before no plugin can be replaced any more"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn the_alarm_comes_before_the_end_and_the_end_takes_no_more() {
        let images = Images::new(8);
        let alarms: Vec<bool> = (0..8)
            .map(|_| {
                images.take().unwrap();
                images.is_alarming()
            })
            .collect();
        assert_eq!(alarms, [false, false, false, false, false, true, true, true]);
        for _ in 0..2 {
            assert!(matches!(images.take(), Err(Refusal::TooMany(8))));
        }
        assert_eq!(images.mapped(), 8);
    }
}
