//! The clocks of one turn: how long its agent has said nothing, and how long the whole takes. Pure: the time is given.
//! First the chat is to be told, again and again; much later the turn is given up.
//!
//! What is no silence: a step that runs (it has a longer limit), an allowance that is used up until a known time. While a
//! person has to decide, every clock stands still.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::turn::shows;
use super::view::duration;
use crate::chat::UnixMillis;
use crate::config::{Limit, Limits};
use crate::driver::AgentEvent;

/// Which clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// No sign of life since the prompt.
    First,
    /// None since the last.
    Silence,
    /// None while a step runs.
    Tool,
    /// The whole turn.
    Turn,
}

/// What is due, and after how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The chat is to be told.
    Tell(Clock, Duration),
    /// The turn is given up. The clocks stand still until the next prompt.
    End(Clock, Duration),
}

/// How long an agent has had the prompt, and how long ago it said something. While a person has to decide they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    pub turn: Duration,
    pub silence: Duration,
}

/// The clocks of one turn.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    /// None: no agent has the prompt. Moved by the time in which persons had to decide.
    began: Option<Instant>,
    /// It was given up.
    over: bool,
    heard: Instant,
    first: bool,
    /// Calls that run.
    steps: HashSet<String>,
    /// When the allowance is renewed.
    renewed: Option<Instant>,
    /// Since when a person has to decide.
    asking: Option<Instant>,
    /// How often this silence was told, and the turn.
    told: u32,
    told_turn: u32,
}

impl Watch {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            began: None,
            over: false,
            heard: Instant::now(),
            first: true,
            steps: HashSet::new(),
            renewed: None,
            asking: None,
            told: 0,
            told_turn: 0,
        }
    }

    /// The agent is given the prompt, perhaps again.
    pub fn handed(&mut self, now: Instant) {
        self.began.get_or_insert(now);
        self.over = false;
        self.first = true;
        self.steps.clear();
        self.renewed = None;
        self.asking = None;
        self.alive(now);
    }

    fn alive(&mut self, now: Instant) {
        self.heard = now;
        self.told = 0;
    }

    /// The agent says something. `wall`: the time of day.
    pub fn heard(&mut self, event: &AgentEvent, now: Instant, wall: UnixMillis) {
        match event {
            // Of a process, not of this turn.
            AgentEvent::Ready { .. }
            | AgentEvent::Offers(_)
            | AgentEvent::Background { .. }
            | AgentEvent::Exited { .. } => return,
            AgentEvent::Tool { call, .. } => {
                self.steps.insert(call.clone());
            }
            AgentEvent::ToolEnded { call, .. } => {
                self.steps.remove(call);
            }
            AgentEvent::Limited {
                until: Some(until),
                reached: true,
            } => {
                let left = u64::try_from(until.saturating_sub(wall)).unwrap_or_default();
                self.renewed = now.checked_add(Duration::from_millis(left));
            }
            AgentEvent::Retrying { after, .. } => {
                self.renewed = self.renewed.max(now.checked_add(*after));
            }
            _ => {}
        }
        if shows(event) {
            // It goes on: nothing holds it up.
            self.renewed = None;
        }
        self.first = false;
        self.alive(now);
    }

    /// Whether a person has to decide.
    pub fn asking(&mut self, open: bool, now: Instant) {
        if open {
            self.asking.get_or_insert(now);
        } else if let Some(since) = self.asking.take() {
            let stood = now.saturating_duration_since(since);
            self.began = self.began.map(|began| began + stood);
            self.alive(now);
        }
    }

    fn runs(&self) -> Option<Instant> {
        self.began.filter(|_| !self.over && self.asking.is_none())
    }

    /// None: no agent has the prompt.
    pub fn spent(&self, now: Instant) -> Option<Spent> {
        let now = self.asking.unwrap_or(now);
        Some(Spent {
            turn: now.saturating_duration_since(self.began?),
            silence: now.saturating_duration_since(self.heard),
        })
    }

    /// The clock of the silence, its limit, and since when it runs.
    fn silence(&self) -> (Clock, Limit, Instant) {
        let since = self.renewed.map_or(self.heard, |renewed| renewed.max(self.heard));
        let (clock, limit) = match (self.steps.is_empty(), self.first) {
            (false, _) => (Clock::Tool, self.limits.tool),
            (true, true) => (Clock::First, self.limits.first),
            (true, false) => (Clock::Silence, self.limits.silence),
        };
        (clock, limit, since)
    }

    /// When something is due next.
    pub fn deadline(&self) -> Option<Instant> {
        let began = self.runs()?;
        let (_, limit, since) = self.silence();
        Some(next(limit, since, self.told).min(next(self.limits.turn, began, self.told_turn)))
    }

    /// What is due by now; each is told once.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        let began = self.runs()?;
        let (clock, limit, since) = self.silence();
        let all = [(clock, limit, since), (Clock::Turn, self.limits.turn, began)];
        if let Some((clock, limit, _)) = all.into_iter().find(|(_, limit, since)| *since + limit.end <= now) {
            self.over = true;
            return Some(Due::End(clock, limit.end));
        }
        for (clock, limit, since) in all {
            let told = if clock == Clock::Turn {
                &mut self.told_turn
            } else {
                &mut self.told
            };
            if next(limit, since, *told) <= now {
                let times = now.saturating_duration_since(since).as_nanos() / limit.tell.as_nanos().max(1);
                *told = u32::try_from(times).unwrap_or(u32::MAX);
                return Some(Due::Tell(clock, limit.tell * *told));
            }
        }
        None
    }

    /// What the chat is told, when `due` was `Tell`.
    pub fn told(&self, clock: Clock, time: Duration) -> String {
        let limit = match clock {
            Clock::First => self.limits.first,
            Clock::Silence => self.limits.silence,
            Clock::Tool => self.limits.tool,
            Clock::Turn => self.limits.turn,
        };
        let (time, end) = (told(time), told(limit.end));
        match clock {
            Clock::First | Clock::Silence => {
                format!("Still working, nothing new for {time}. After {end} it is interrupted; Stop ends it now.")
            }
            Clock::Tool => {
                format!("Still working, a step has run for {time} without a word. It may take {end}; Stop ends it now.")
            }
            Clock::Turn => {
                format!("Still working, for {time} by now. It goes on by itself, for {end} at most; Stop ends it now.")
            }
        }
    }
}

/// When the chat is told again, or the end has come.
fn next(limit: Limit, since: Instant, told: u32) -> Instant {
    let tell = limit.tell.saturating_mul(told.saturating_add(1));
    since + tell.min(limit.end)
}

fn told(time: Duration) -> String {
    duration(UnixMillis::try_from(time.as_millis()).unwrap_or(UnixMillis::MAX))
}

/// Why a turn was given up, in words that go behind a colon.
pub fn reason(clock: Clock, time: Duration) -> String {
    let time = told(time);
    match clock {
        Clock::First | Clock::Silence => format!("there was no sign of life for {time}"),
        Clock::Tool => format!("a step ran for {time} without a word"),
        Clock::Turn => format!("it took longer than {time}"),
    }
}

#[cfg(test)]
mod tests;
