//! How often vendors let themselves be called: counted as calls arrive, refused over it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// So many calls in any window of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) calls: usize,
    pub(crate) per: Duration,
}

impl Rate {
    pub(crate) const fn new(calls: usize, per: Duration) -> Self {
        Self { calls, per }
    }

    /// Who keeps to a rate counts by when calls go, and each takes its own time to arrive: a window is a fifth shorter
    /// here, but by no more than a second.
    fn window(self) -> Duration {
        self.per - (self.per / 5).min(Duration::from_secs(1))
    }
}

/// One call counts against this: what the vendor counts together, and how often it may be.
pub(crate) type Count = (String, Rate);

/// What was called lately.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    calls: BTreeMap<String, VecDeque<Instant>>,
    off: bool,
}

impl Meter {
    /// From now on calls are counted and refused, or neither.
    pub(crate) fn enforce(&mut self, on: bool) {
        self.off = !on;
        self.calls.clear();
    }

    /// Counts a call against all of these. The error: against none, for this one of them is used up for so long.
    pub(crate) fn take(&mut self, counts: &[Count]) -> Result<(), (usize, Duration)> {
        if self.off {
            return Ok(());
        }
        let now = Instant::now();
        for (at, (name, rate)) in counts.iter().enumerate() {
            let Some(calls) = self.calls.get_mut(name) else {
                continue;
            };
            let old = calls.partition_point(|call| *call + rate.window() <= now);
            calls.drain(..old);
            if calls.len() >= rate.calls {
                let first = calls[calls.len() - rate.calls];
                return Err((at, (first + rate.per).saturating_duration_since(now)));
            }
        }
        for (name, _) in counts {
            self.calls.entry(name.clone()).or_default().push_back(now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_over_a_rate_is_counted_nowhere_and_told_when_there_is_room() {
        let minute = Duration::from_secs(60);
        let counts = |names: &[(&str, usize)]| -> Vec<Count> {
            let count = |(name, calls): &(&str, usize)| ((*name).to_owned(), Rate::new(*calls, minute));
            names.iter().map(count).collect()
        };
        let mut meter = Meter::default();
        let both = counts(&[("all", 3), ("one", 2)]);
        assert_eq!(meter.take(&both), Ok(()));
        assert_eq!(meter.take(&both), Ok(()));
        let (which, wait) = meter.take(&both).expect_err("two were all");
        assert_eq!(which, 1);
        assert!((59..=60).contains(&wait.as_secs()), "{wait:?}");
        // What was refused took nothing from the other.
        assert_eq!(meter.take(&counts(&[("all", 3)])), Ok(()));
        assert_eq!(meter.take(&counts(&[("all", 3)])).expect_err("three were all").0, 0);
        meter.enforce(false);
        assert_eq!(meter.take(&both), Ok(()));
    }

    #[tokio::test]
    async fn window_slides_and_is_a_little_short() {
        let rate = || vec![("one".to_owned(), Rate::new(2, Duration::from_millis(250)))];
        let mut meter = Meter::default();
        assert_eq!((meter.take(&rate()), meter.take(&rate())), (Ok(()), Ok(())));
        let (_, wait) = meter.take(&rate()).expect_err("two were all");
        tokio::time::sleep(wait).await;
        assert_eq!(meter.take(&rate()), Ok(()));
    }
}
