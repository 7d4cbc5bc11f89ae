//! Spreads what can wait over the whole of a bucket's window: a budget of a minute is not gone in its first seconds,
//! and something of it is left for what cannot wait. First asked, first served; nobody sleeps here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::rate;
use crate::manifest::Rate;

/// The part of a rate that is given to what can wait; the rest is for final views, questions and first words.
const SHARE: f64 = 0.8;
/// The part of a window whose calls may go at once.
const AT_ONCE: u32 = 10;
/// A window that is shorter is over before anybody misses what was spent of it.
const SHORTEST: Duration = Duration::from_secs(10);
/// Buckets are looked through for forgotten ones when there are twice as many as after the last look.
const FIRST_SWEEP: usize = 256;

/// The lines of one bot, one for each bucket.
#[derive(Debug)]
pub(crate) struct Spread {
    rates: Vec<Rate>,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    /// When the calls that have a moment would be over if they went evenly.
    busy_until: HashMap<String, Instant>,
    sweep_at: usize,
}

/// A moment that is kept for somebody. Dropped before it has come, it is given back.
#[derive(Debug)]
pub(crate) struct Moment {
    at: Instant,
    taken: Vec<(String, Duration)>,
    spread: Arc<Spread>,
}

impl Moment {
    pub(crate) const fn at(&self) -> Instant {
        self.at
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        if Instant::now() >= self.at {
            return;
        }
        let mut lines = self.spread.lines();
        for (bucket, time) in &self.taken {
            if let Some(until) = lines.busy_until.get_mut(bucket) {
                *until = until.checked_sub(*time).unwrap_or(*until);
            }
        }
    }
}

impl Spread {
    pub(crate) fn new(rates: &[Rate]) -> Arc<Self> {
        Arc::new(Self {
            rates: rates.to_vec(),
            lines: Mutex::default(),
        })
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // Nothing panics between two halves of a change.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment at which so many calls in these buckets are due.
    pub(crate) fn moment(self: &Arc<Self>, calls: &[(String, u32)]) -> Moment {
        let now = Instant::now();
        let mut at = now;
        let mut taken = Vec::with_capacity(calls.len());
        let mut lines = self.lines();
        for (bucket, count) in calls {
            let lasts = |rate: &&Rate| rate.calls > 0 && rate.per >= SHORTEST;
            let Some(rate) = rate::of(&self.rates, bucket).filter(lasts) else {
                continue;
            };
            let time = rate.per.div_f64(f64::from(rate.calls) * SHARE) * *count;
            if let Some(until) = lines.busy_until.get(bucket) {
                at = at.max(until.checked_sub(rate.per / AT_ONCE).unwrap_or(now));
            }
            taken.push((bucket.clone(), time));
        }
        for (bucket, time) in &taken {
            // A bucket that many share is not held up by what one of them waits for elsewhere.
            let until = lines.busy_until.entry(bucket.clone()).or_insert(now);
            *until = now.max(*until) + *time;
        }
        if lines.busy_until.len() >= lines.sweep_at.max(FIRST_SWEEP) {
            lines.busy_until.retain(|_, until| *until > now);
            lines.sweep_at = lines.busy_until.len() * 2;
        }
        drop(lines);
        Moment {
            at,
            taken,
            spread: Arc::clone(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(calls: u32, per: Duration) -> Arc<Spread> {
        Spread::new(&[Rate {
            bucket: "update".into(),
            calls,
            per,
        }])
    }

    fn update() -> [(String, u32); 1] {
        [("update".to_owned(), 1)]
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_of_a_minute_is_spread_over_it_and_a_fifth_is_left() {
        let (spread, begun) = (spread(100, Duration::from_secs(60)), Instant::now());
        let moments: Vec<Moment> = (0..80).map(|_| spread.moment(&update())).collect();
        let within = |from: u64, to: u64| {
            let range = Duration::from_secs(from)..Duration::from_secs(to);
            moments
                .iter()
                .filter(|moment| range.contains(&(moment.at() - begun)))
                .count()
        };
        // Six seconds' worth at once, and from then on one after the other, in their order.
        assert_eq!((within(0, 1), within(1, 30), within(30, 60)), (10, 38, 32));
        assert!(moments.is_sorted_by_key(Moment::at));
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_that_nobody_needs_is_given_back_and_one_that_has_come_is_not() {
        let (spread, begun) = (spread(10, Duration::from_secs(10)), Instant::now());
        let first = spread.moment(&update());
        let second = spread.moment(&update());
        assert_eq!((first.at(), second.at()), (begun, begun + Duration::from_millis(250)));
        drop((first, second));
        assert_eq!(spread.moment(&update()).at(), begun + Duration::from_millis(250));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_without_a_rate_holds_nobody_and_the_slowest_decides() {
        let rate = |bucket: &str, calls| Rate {
            bucket: bucket.into(),
            calls,
            per: Duration::from_secs(10),
        };
        let (spread, begun) = (Spread::new(&[rate("wide", 1000), rate("card", 1)]), Instant::now());
        let calls = [("wide".to_owned(), 2), ("card:1".to_owned(), 1), ("else".to_owned(), 9)];
        assert_eq!(spread.moment(&calls).at(), begun);
        assert_eq!(spread.moment(&calls).at(), begun + Duration::from_millis(11_500));
        assert_eq!(spread.moment(&calls[2..]).at(), begun);
        let another = [("wide".to_owned(), 2), ("card:2".to_owned(), 1)];
        assert_eq!(spread.moment(&another).at(), begun, "what they share is hardly used");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_window_holds_nobody() {
        let (spread, begun) = (spread(1, Duration::from_secs(5)), Instant::now());
        assert!(
            (0..9)
                .map(|_| spread.moment(&update()))
                .all(|moment| moment.at() == begun)
        );
    }
}
