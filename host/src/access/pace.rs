//! How often one person is heard, and how often one is refused aloud. Memory has a bound: who floods with made-up
//! names makes the bot forget, never grow.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Persons remembered at the same time.
const PEOPLE: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);
/// A person is refused aloud once in this time.
const HOUR: Duration = Duration::from_secs(3600);

/// At most so many messages of a person in any minute.
#[derive(Debug)]
pub struct PerUserPace {
    per_minute: Option<u32>,
    seen: Mutex<Seen>,
}

impl PerUserPace {
    /// None: no limit.
    pub fn new(per_minute: Option<u32>) -> Self {
        Self {
            per_minute,
            seen: Mutex::default(),
        }
    }

    /// May this person's message be taken now? Counts it if so.
    pub fn allow(&self, person: &str) -> bool {
        let Some(per_minute) = self.per_minute else { return true };
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .allow(person, per_minute as usize, MINUTE)
    }
}

/// At most one refusal for a person in an hour.
#[derive(Debug, Default)]
pub struct RefusalPace {
    seen: Mutex<Seen>,
}

impl RefusalPace {
    pub fn new() -> Self {
        Self::default()
    }

    /// May this person be told now that they are not let in? Counts it if so.
    pub fn allow(&self, person: &str) -> bool {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .allow(person, 1, HOUR)
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).by_person.len()
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// When somebody's last few were counted, oldest first.
    by_person: HashMap<String, VecDeque<Instant>>,
}

impl Seen {
    fn allow(&mut self, person: &str, most: usize, within: Duration) -> bool {
        let now = Instant::now();
        if !self.by_person.contains_key(person) && self.by_person.len() >= PEOPLE {
            self.make_room(now, within);
        }
        let times = self.by_person.entry(person.to_owned()).or_default();
        while times.front().is_some_and(|first| now.duration_since(*first) >= within) {
            times.pop_front();
        }
        let allowed = times.len() < most;
        if allowed {
            times.push_back(now);
        }
        allowed
    }

    /// Forgets whoever counts no more, and if that is nobody, the half that was counted longest ago.
    fn make_room(&mut self, now: Instant, within: Duration) {
        self.by_person
            .retain(|_, times| times.back().is_some_and(|last| now.duration_since(*last) < within));
        if self.by_person.len() < PEOPLE {
            return;
        }
        let mut lasts: Vec<Instant> = self
            .by_person
            .values()
            .filter_map(|times| times.back().copied())
            .collect();
        lasts.sort_unstable();
        let middle = lasts[lasts.len() / 2];
        // Of those counted in that very instant, as many as it takes to make it half.
        let mut ties = lasts.len() / 2 - lasts.partition_point(|last| *last < middle);
        self.by_person.retain(|_, times| {
            let last = times.back().copied().unwrap_or(middle);
            let tie = last == middle && ties > 0;
            ties -= usize::from(tie);
            last >= middle && !tie
        });
    }
}
