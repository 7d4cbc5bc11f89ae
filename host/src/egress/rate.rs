//! Buckets: how often a bot may call, by the manifest's rates and by what the vendor's answers teach.
//!
//! A call is given its moment when it asks: the earliest at which every one of its buckets has room, and nobody who
//! asked before has to give way. It then sleeps until that moment; nobody polls, and no lock is held meanwhile. When
//! a bucket is held, those who wait for it get new moments, in the order in which they asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::manifest::Rate;

/// No vendor means more, and clocks cannot count for ever.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);
/// Buckets are looked through for forgotten ones when there are twice as many as after the last look.
const FIRST_SWEEP: usize = 256;

#[derive(Debug, Default)]
struct Bucket {
    /// Calls in a window, and the window; none: only holds.
    rate: Option<(usize, Duration)>,
    /// When calls went or will go, in order. No more are kept than count.
    moments: Vec<Instant>,
    held_until: Option<Instant>,
}

impl Bucket {
    /// Forgets what no window reaches any more.
    fn forget(&mut self, now: Instant) {
        let Some((_, per)) = self.rate else {
            self.moments.clear();
            return;
        };
        let old = self.moments.partition_point(|m| *m + per <= now);
        self.moments.drain(..old);
        self.held_until = self.held_until.filter(|held| *held > now);
    }

    /// The earliest moment from `from` on at which one more call is within the rate.
    fn earliest(&self, from: Instant) -> Instant {
        let mut at = self.held_until.map_or(from, |held| held.max(from));
        let Some((calls, per)) = self.rate else { return at };
        if calls == 0 {
            return at + LONGEST_HOLD;
        }
        loop {
            // With one more at `at`, no `calls + 1` neighbours may lie within `per`.
            let index = self.moments.partition_point(|m| *m <= at);
            let crowded = (index.saturating_sub(calls)..=index).find_map(|first| {
                // The window's first and last, counted with the new one in its place.
                let last = first + calls;
                if last > self.moments.len() {
                    return None;
                }
                let begin = if first == index { at } else { self.moments[first] };
                let end = if last == index { at } else { self.moments[last - 1] };
                // Past that window's first; if that is the new one itself, past the next that is in the way.
                let blocking = if first == index { self.moments[first] } else { begin };
                (end.saturating_duration_since(begin) < per).then_some(blocking)
            });
            let Some(blocking) = crowded else { return at };
            at = blocking + per;
        }
    }

    fn add(&mut self, at: Instant) {
        if self.rate.is_some() {
            let index = self.moments.partition_point(|m| *m <= at);
            self.moments.insert(index, at);
        }
    }

    fn remove(&mut self, at: Instant) {
        if let Ok(index) = self.moments.binary_search(&at) {
            self.moments.remove(index);
        }
    }
}

#[derive(Debug)]
struct Waiting {
    buckets: Vec<String>,
    at: Instant,
}

#[derive(Debug, Default)]
struct State {
    buckets: HashMap<String, Bucket>,
    /// Those who sleep, in the order in which they asked.
    waiting: BTreeMap<u64, Waiting>,
    next_ticket: u64,
    sweep_at: usize,
}

/// All buckets of one bot.
#[derive(Debug)]
pub(crate) struct Buckets {
    rates: Vec<Rate>,
    state: Mutex<State>,
}

impl State {
    fn bucket(&mut self, rates: &[Rate], name: &str) -> &mut Bucket {
        if !self.buckets.contains_key(name) {
            let rate = of(rates, name).map(|rate| (rate.calls as usize, rate.per.min(LONGEST_HOLD)));
            self.buckets.insert(
                name.to_owned(),
                Bucket {
                    rate,
                    ..Bucket::default()
                },
            );
        }
        // Put there a line above if it was not.
        self.buckets.entry(name.to_owned()).or_default()
    }

    fn earliest(&mut self, rates: &[Rate], buckets: &[String], now: Instant) -> Instant {
        let mut at = now;
        loop {
            let before = at;
            for name in buckets {
                at = self.bucket(rates, name).earliest(at);
            }
            // Once more: a later moment may be crowded in an earlier bucket.
            if at == before {
                return at;
            }
        }
    }

    fn give_back(&mut self, waiting: &Waiting) {
        for name in &waiting.buckets {
            if let Some(bucket) = self.buckets.get_mut(name) {
                bucket.remove(waiting.at);
            }
        }
    }

    fn sweep(&mut self, now: Instant) {
        if self.buckets.len() < self.sweep_at.max(FIRST_SWEEP) {
            return;
        }
        self.buckets.retain(|_, bucket| {
            bucket.forget(now);
            !bucket.moments.is_empty() || bucket.held_until.is_some_and(|held| held > now)
        });
        self.sweep_at = self.buckets.len() * 2;
    }
}

/// Gives the moment back when the call is dropped while it sleeps.
struct Ticket<'a> {
    buckets: &'a Buckets,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.buckets.state();
        if let Some(waiting) = state.waiting.remove(&self.number) {
            state.give_back(&waiting);
        }
    }
}

impl Buckets {
    pub(crate) fn new(rates: &[Rate]) -> Self {
        Self {
            rates: rates.to_vec(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two halves of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place in all of these, at most until `wait` has passed; `Err` says how long it would have been.
    /// First asked, first served, within a bucket. Cancel safe: who goes away gives the place back.
    pub(crate) async fn acquire(&self, buckets: &[String], wait: Duration) -> Result<(), Duration> {
        if buckets.is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let deadline = asked + wait.min(LONGEST_HOLD);
        let (ticket, mut at) = {
            let mut state = self.state();
            for name in buckets {
                state.bucket(&self.rates, name).forget(asked);
            }
            let at = state.earliest(&self.rates, buckets, asked);
            if at > deadline {
                return Err(at - asked);
            }
            for name in buckets {
                state.bucket(&self.rates, name).add(at);
            }
            if at <= asked {
                state.sweep(asked);
                return Ok(());
            }
            let number = state.next_ticket;
            state.next_ticket += 1;
            state.waiting.insert(
                number,
                Waiting {
                    buckets: buckets.to_vec(),
                    at,
                },
            );
            (Ticket { buckets: self, number }, at)
        };
        loop {
            tokio::time::sleep_until(at).await;
            let now = Instant::now();
            let mut state = self.state();
            let Some(waiting) = state.waiting.get(&ticket.number) else {
                return Ok(());
            };
            at = waiting.at;
            if at > deadline {
                // Dropping the ticket gives the place back.
                drop(state);
                return Err(at.saturating_duration_since(now));
            }
            if at <= now {
                state.waiting.remove(&ticket.number);
                return Ok(());
            }
        }
    }

    /// This bucket is empty for so long. Those who wait for it wait on, in their order.
    pub(crate) fn hold(&self, name: &str, pause: Duration) {
        let now = Instant::now();
        let until = now + pause.min(LONGEST_HOLD);
        let mut state = self.state();
        let bucket = state.bucket(&self.rates, name);
        if bucket.held_until.is_some_and(|held| held >= until) {
            return;
        }
        bucket.held_until = Some(until);
        let moved: Vec<u64> = state
            .waiting
            .iter()
            .filter(|(_, w)| w.at < until && w.buckets.iter().any(|b| b == name))
            .map(|(number, _)| *number)
            .collect();
        let mut taken = Vec::with_capacity(moved.len());
        for number in moved {
            if let Some(waiting) = state.waiting.remove(&number) {
                state.give_back(&waiting);
                taken.push((number, waiting));
            }
        }
        for (number, mut waiting) in taken {
            waiting.at = state.earliest(&self.rates, &waiting.buckets, now);
            for name in &waiting.buckets {
                state.bucket(&self.rates, name).add(waiting.at);
            }
            state.waiting.insert(number, waiting);
        }
    }

    /// How long a call that asked now would wait.
    pub(crate) fn ready_in(&self, buckets: &[String]) -> Duration {
        let now = Instant::now();
        self.state()
            .earliest(&self.rates, buckets, now)
            .saturating_duration_since(now)
    }
}

/// The rate of a bucket: that of the longest name that stands for it, `post:C1` before `post`.
pub(super) fn of<'a>(rates: &'a [Rate], bucket: &str) -> Option<&'a Rate> {
    let fits = |rate: &&Rate| {
        bucket
            .strip_prefix(rate.bucket.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    };
    rates.iter().filter(fits).max_by_key(|rate| rate.bucket.len())
}

/// What an answer says of how long to pause. `now`: seconds since 1970, for dates.
pub(crate) fn pause(status: u16, header: impl Fn(&str) -> Option<String>, now: u64) -> Option<Duration> {
    let seconds = |name: &str| {
        header(name)
            .and_then(|v| v.trim().parse::<f64>().ok())
            .filter(|s| s.is_finite())
    };
    let duration = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_HOLD.as_secs_f64()));
    if status == 429 || status == 503 {
        if let Some(text) = header("retry-after") {
            let from_date = || http_date(text.trim()).map(|at| at.saturating_sub(now) as f64);
            if let Some(pause) = text
                .trim()
                .parse::<f64>()
                .ok()
                .filter(|s| s.is_finite())
                .or_else(from_date)
            {
                return Some(duration(pause));
            }
        }
        if status == 503 {
            return None;
        }
        // Discord; Feishu; Mattermost and GitHub (seconds left, or the time itself).
        let named = ["x-ratelimit-reset-after", "x-ogw-ratelimit-reset", "x-ratelimit-reset"];
        let left = named
            .into_iter()
            .find_map(seconds)
            .map(|s| if s > 1e9 { s - now as f64 } else { s });
        return Some(duration(left.unwrap_or(1.0)));
    }
    let empty = seconds("x-ratelimit-remaining") == Some(0.0);
    empty
        .then(|| seconds("x-ratelimit-reset-after"))
        .flatten()
        .map(duration)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as seconds since 1970: the one form that RFC 9110 lets servers send.
fn http_date(text: &str) -> Option<u64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let names = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = words.next().and_then(|name| names.iter().position(|n| *n == name))? as u64 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|y| (1970..10_000).contains(y))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next() != Some("GMT") || !(1..=31).contains(&day) || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    // Days since 1970 in the Gregorian calendar, by Howard Hinnant's `days_from_civil`.
    let year = if month <= 2 { year - 1 } else { year };
    let era_year = year % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year / 400 * 146_097 + era_year * 365 + era_year / 4 - era_year / 100 + day_of_year;
    Some(days.checked_sub(719_468)? * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests;
