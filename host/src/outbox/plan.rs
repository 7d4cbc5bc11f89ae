//! What one conversation is still to be shown, and what is next. Pure: no I/O, the time is given.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Pace, Place, ViewSource};
use crate::chat::{CallError, Conversation, Target, TurnId, View, ViewState, random};
use crate::store::OutboxState;

/// Tries of one settled view before it is a dead letter: with the pauses below, about an hour.
pub(super) const ATTEMPTS: u32 = 20;
/// Tries when the adapter itself fails: the same view will most likely make it fail again.
pub(super) const TRAPS: u32 = 3;
/// The pause after the first failed try; each further one is twice as long.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two tries of a settled view.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The longest pause between two tries of a stream update: it is worth little, but the person looks at it.
const LONGEST_UPDATE_PAUSE: Duration = Duration::from_secs(30);
/// A vendor (or an adapter) that asks for a longer wait than this is asked again after it.
pub(super) const HOLD_AT_MOST: Duration = Duration::from_secs(3600);
/// When a vendor says "too fast" and not for how long.
const HOLD_UNSAID: Duration = Duration::from_secs(1);

/// What the adapter saved last for a turn.
///
/// Only the adapter writes it, only while it shows a view of that turn, and that is always in one lane, one call at
/// a time: what was read after a call is still true at the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Memory {
    /// To be read from the store.
    Unknown,
    Known(Option<Vec<u8>>),
}

/// A view that must be delivered.
#[derive(Debug)]
pub(super) struct Settled {
    view: Arc<View>,
    attempts: u32,
    traps: u32,
    not_before: Option<Instant>,
    /// Its place among the others; given by the plan.
    order: u64,
    _counted: Counted,
}

/// Counts while it lives.
struct Counted(watch::Sender<usize>);

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Settled {
    pub(super) fn new(view: View, attempts: u32, not_before: Option<Instant>, count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self {
            view: Arc::new(view),
            attempts,
            traps: 0,
            not_before,
            order: 0,
            _counted: Counted(count.clone()),
        }
    }

    fn replaces(&self, other: &Self) -> bool {
        match (self.view.state.is_final(), other.view.state.is_final()) {
            (true, false) => true,
            (false, true) => false,
            _ => self.view.revision > other.view.revision,
        }
    }
}

pub(super) enum Change {
    /// Shown first at that time, or once there is something in it.
    Follow(Arc<dyn ViewSource>, Instant),
    Settle(Settled, Memory),
}

/// One turn's part.
struct Entry {
    target: Target,
    source: Option<Arc<dyn ViewSource>>,
    settled: Option<Settled>,
    memory: Memory,
    /// The source has something that was not shown.
    dirty: bool,
    /// The message is gone: no updates until something settles.
    muted: bool,
    /// The memory was read once.
    recalled: bool,
    /// The revision that stands in the chat, if we know.
    shown: Option<u32>,
    /// Views shown: the first makes the message, each further one is an update of it.
    shows: u32,
    /// Updates that failed in a row.
    failures: u32,
    next_update: Option<Instant>,
    refresh_at: Option<Instant>,
    /// A first view with nothing in it waits until then: a fast turn is one message and no update.
    held: Option<Instant>,
    /// When the update that is due may be shown for the sake of the others.
    place: Option<Place>,
}

impl Entry {
    fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            source: None,
            settled: None,
            memory: Memory::Unknown,
            dirty: false,
            muted: false,
            recalled: false,
            shown: None,
            shows: 0,
            failures: 0,
            next_update: None,
            refresh_at: None,
            held: None,
            place: None,
        }
    }

    const fn is_idle(&self) -> bool {
        self.source.is_none() && self.settled.is_none()
    }

    /// When an update may be shown. None: not as things are.
    fn update_due(&self, pace: &Pace, now: Instant) -> Option<Instant> {
        let room = pace.updates_max.is_none_or(|most| self.shows < most);
        if self.source.is_none() || self.settled.is_some() || self.muted || !pace.can_update || !room {
            return None;
        }
        let wanted = if self.dirty { Some(now) } else { self.refresh_at }?;
        let place = self.place.as_ref().map(|place| place.at);
        [self.next_update, self.held, place]
            .into_iter()
            .flatten()
            .chain([wanted])
            .max()
    }

    /// A view was shown (or may have been).
    fn showed(&mut self, again_after: Option<Duration>, pace: &Pace, now: Instant) {
        let pause = again_after
            .unwrap_or_default()
            .min(HOLD_AT_MOST)
            .max(pace.update_interval);
        self.shows = self.shows.saturating_add(1);
        self.held = None;
        self.next_update = Some(now + pause);
        self.refresh_at = pace.refresh.map(|refresh| now + refresh);
    }
}

/// What a lane does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Something may be shown now.
    Due,
    /// Nothing before this, unless something changes; none: nothing at all.
    Wait(Option<Instant>),
    /// There is no turn left.
    End,
}

/// One view to be shown.
pub(super) struct Work {
    pub(super) turn: TurnId,
    pub(super) target: Target,
    pub(super) memory: Memory,
    pub(super) what: What,
}

pub(super) enum What {
    Settled {
        view: Arc<View>,
        /// An update that was no older was shown already: it had the question in it.
        stands: bool,
    },
    Update {
        source: Arc<dyn ViewSource>,
        /// What stands there: need not be shown again.
        shown: Option<u32>,
        /// Unless it is time to show that the turn still runs.
        refresh: bool,
    },
}

/// What is to be stored of a settled view's try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) state: OutboxState,
    pub(super) attempts: u32,
    /// Before the next try.
    pub(super) pause: Duration,
    pub(super) error: Option<String>,
}

/// A try of a settled view.
pub(super) struct Tried {
    pub(super) revision: u32,
    /// None: there was nothing to be stored.
    pub(super) verdict: Option<Verdict>,
    /// The adapter's wish for the next update.
    pub(super) again_after: Option<Duration>,
}

#[derive(Default)]
pub(super) struct Plan {
    entries: HashMap<TurnId, Entry>,
    orders: u64,
    /// Nothing is shown here before this.
    hold: Option<Instant>,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The change comes back if the turn is not here.
    pub(super) fn change_known(&mut self, turn: &TurnId, target: &Target, change: Change) -> Result<(), Change> {
        if !self.entries.contains_key(turn) {
            return Err(change);
        }
        self.change(turn, target, change);
        Ok(())
    }

    pub(super) fn change(&mut self, turn: &TurnId, target: &Target, change: Change) {
        self.orders += 1;
        let order = self.orders;
        let entry = self.entries.entry(turn.clone()).or_insert_with(|| Entry::new(target));
        match change {
            Change::Follow(source, until) => {
                entry.held = (entry.shows == 0 && source.is_bare()).then_some(until);
                entry.source = Some(source);
                entry.dirty = true;
            }
            Change::Settle(mut settled, memory) => {
                if entry.settled.as_ref().is_some_and(|waits| !settled.replaces(waits)) {
                    return;
                }
                if entry.memory == Memory::Unknown && entry.shows == 0 {
                    entry.memory = memory;
                }
                if settled.view.state.is_final() {
                    entry.source = None;
                    entry.dirty = false;
                }
                entry.muted = false;
                entry.place = None;
                // It keeps its place: the chat waited for this turn already.
                settled.order = entry.settled.as_ref().map_or(order, |waits| waits.order);
                entry.settled = Some(settled);
            }
        }
    }

    /// True: the lane should look.
    pub(super) fn touch(&mut self, turn: &TurnId) -> bool {
        match self.entries.get_mut(turn) {
            Some(entry) => match &entry.source {
                Some(source) => {
                    let released = entry.held.take_if(|_| !source.is_bare()).is_some();
                    !std::mem::replace(&mut entry.dirty, true) || released
                }
                None => false,
            },
            None => false,
        }
    }

    /// True: nothing of the turn is left here.
    pub(super) fn unfollow(&mut self, turn: &TurnId) -> bool {
        if let Some(entry) = self.entries.get_mut(turn) {
            entry.source = None;
            entry.dirty = false;
            entry.place = None;
        }
        self.drop_idle(turn)
    }

    fn drop_idle(&mut self, turn: &TurnId) -> bool {
        let idle = self.entries.get(turn).is_some_and(Entry::is_idle);
        if idle {
            self.entries.remove(turn);
        }
        idle
    }

    pub(super) fn hold(&mut self, now: Instant, pause: Duration) {
        let until = now + pause.min(HOLD_AT_MOST);
        self.hold = Some(self.hold.map_or(until, |hold| hold.max(until)));
    }

    /// When the first thing is due, and which turn's.
    fn first(&self, pace: &Pace, now: Instant) -> Option<(Instant, &TurnId)> {
        // Settled ones that are due, in their order; then updates, the one that waits longest first.
        let due = |entry: &Entry| {
            entry
                .settled
                .as_ref()
                .and_then(|settled| settled.not_before)
                .unwrap_or(now)
                .max(now)
        };
        let settled = self.entries.iter().filter_map(|(turn, entry)| {
            let order = entry.settled.as_ref()?.order;
            Some((due(entry), 0, order, turn))
        });
        let updates = self.entries.iter().filter_map(|(turn, entry)| {
            let at = entry.update_due(pace, now)?;
            let waits = now.saturating_duration_since(entry.next_update.unwrap_or(now));
            Some((
                at.max(now),
                1,
                u64::MAX - u64::try_from(waits.as_millis()).unwrap_or(u64::MAX),
                turn,
            ))
        });
        settled
            .chain(updates)
            .min_by_key(|(at, class, order, _)| (*at, *class, *order))
            .map(|(at, _, _, turn)| (at, turn))
    }

    pub(super) fn next(&self, pace: &Pace, now: Instant) -> Next {
        if self.entries.is_empty() {
            return Next::End;
        }
        let Some((at, _)) = self.first(pace, now) else {
            return Next::Wait(None);
        };
        let at = self.hold.map_or(at, |hold| hold.max(at));
        if at <= now { Next::Due } else { Next::Wait(Some(at)) }
    }

    /// Takes what is due. It stays here until it is told how it went. What only changes what stands there needs a
    /// place first; None: it waits for that.
    pub(super) fn take(
        &mut self,
        pace: &Pace,
        now: Instant,
        place: impl FnOnce(&Conversation) -> Option<Place>,
    ) -> Option<Work> {
        if self.next(pace, now) != Next::Due {
            return None;
        }
        let turn = self.first(pace, now)?.1.clone();
        let entry = self.entries.get_mut(&turn)?;
        let what = match (&entry.settled, &entry.source) {
            (Some(settled), _) => {
                let view = Arc::clone(&settled.view);
                let stands = !view.state.is_final() && entry.shown.is_some_and(|shown| shown >= view.revision);
                What::Settled { view, stands }
            }
            (None, Some(source)) => {
                // A place whose moment has come is used up; the first words of a turn need none.
                if entry.place.take().is_none() && entry.shows > 0 {
                    entry.place = place(&entry.target.conversation);
                    if entry.place.is_some() {
                        return None;
                    }
                }
                entry.dirty = false;
                What::Update {
                    source: Arc::clone(source),
                    shown: entry.shown,
                    refresh: entry.refresh_at.is_some_and(|at| at <= now),
                }
            }
            (None, None) => return None,
        };
        let memory = std::mem::replace(&mut entry.memory, Memory::Unknown);
        Some(Work {
            turn,
            target: entry.target.clone(),
            memory,
            what,
        })
    }

    /// The memory was read, before anything was shown.
    pub(super) fn recalled(&mut self, turn: &TurnId, found: bool, pace: &Pace) {
        // A former run showed this turn: how many updates it took of the message is not known, so that only what
        // must be delivered is shown where they are counted.
        let Some(entry) = self.entries.get_mut(turn) else {
            return;
        };
        let first = !std::mem::replace(&mut entry.recalled, true);
        if let (true, true, Some(most)) = (first, found, pace.updates_max) {
            entry.shows = entry.shows.max(most);
        }
    }

    /// Where the turn lives, by the store: an adapter may have moved it. Whom to tell, if that is news.
    pub(super) fn lives_in(&mut self, turn: &TurnId, conversation: &Conversation) -> Option<Arc<dyn ViewSource>> {
        let entry = self.entries.get_mut(turn)?;
        if entry.target.conversation == *conversation {
            return None;
        }
        entry.target.conversation.clone_from(conversation);
        entry.source.clone()
    }

    /// The source had nothing worth showing.
    pub(super) fn skipped(&mut self, turn: &TurnId, memory: Memory, pace: &Pace, now: Instant) {
        if let Some(entry) = self.entries.get_mut(turn) {
            entry.memory = memory;
            entry.refresh_at = entry.refresh_at.and(pace.refresh).map(|refresh| now + refresh);
        }
    }

    /// The store could not be read, so nothing was shown.
    pub(super) fn postponed(&mut self, turn: &TurnId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(turn) {
            entry.dirty = entry.source.is_some();
        }
        self.hold(now, FIRST_PAUSE);
    }

    /// An update of this revision was tried.
    pub(super) fn updated(
        &mut self,
        turn: &TurnId,
        revision: u32,
        result: &Result<Option<Duration>, CallError>,
        memory: Memory,
        pace: &Pace,
        now: Instant,
    ) {
        if let Err(CallError::RateLimited(pause)) = result {
            self.hold(now, pause.unwrap_or(HOLD_UNSAID));
        }
        let Some(entry) = self.entries.get_mut(turn) else {
            return;
        };
        entry.memory = memory;
        let failures = match result {
            Ok(again_after) => {
                entry.shown = Some(revision);
                entry.failures = 0;
                return entry.showed(*again_after, pace, now);
            }
            Err(CallError::RateLimited(_)) => {
                entry.dirty = entry.source.is_some();
                return;
            }
            Err(_) => entry.failures.saturating_add(1),
        };
        entry.failures = failures;
        match result {
            Err(CallError::Gone(_)) => entry.muted = true,
            Err(CallError::Unavailable(_)) => entry.dirty = entry.source.is_some(),
            // It may stand there: it counts, and the next one tells.
            Err(CallError::Ambiguous(_)) => entry.shows = entry.shows.saturating_add(1),
            _ => {}
        }
        let pause = pause_after(failures, LONGEST_UPDATE_PAUSE).max(pace.update_interval);
        entry.next_update = Some(now + pause);
    }

    /// A settled view was tried: what is to be stored of it. None: the vendor is to be asked again, nothing changed.
    pub(super) fn judge(
        &mut self,
        turn: &TurnId,
        revision: u32,
        result: &Result<Option<Duration>, CallError>,
        now: Instant,
    ) -> Option<Verdict> {
        if let Err(CallError::RateLimited(pause)) = result {
            self.hold(now, pause.unwrap_or(HOLD_UNSAID));
            return None;
        }
        let waits = self.entries.get_mut(turn).and_then(|entry| entry.settled.as_mut());
        // If a newer one took its place meanwhile, the store ignores what is said of this one.
        let (attempts, traps) = match waits.filter(|waits| waits.view.revision == revision) {
            Some(waits) => {
                waits.attempts = waits.attempts.saturating_add(1);
                waits.traps += u32::from(matches!(result, Err(CallError::Trapped(_))));
                (waits.attempts, waits.traps)
            }
            None => (1, 0),
        };
        let state = match result {
            Ok(_) => OutboxState::Sent,
            Err(CallError::Unavailable(_)) if attempts < ATTEMPTS => OutboxState::Pending,
            Err(CallError::Trapped(_)) if traps < TRAPS && attempts < ATTEMPTS => OutboxState::Pending,
            Err(CallError::Ambiguous(_)) => OutboxState::Ambiguous,
            Err(CallError::Unauthorized(_)) => OutboxState::Unauthorized,
            Err(_) => OutboxState::Dead,
        };
        let pause = match state {
            OutboxState::Pending => pause_after(attempts, LONGEST_PAUSE),
            _ => Duration::ZERO,
        };
        Some(Verdict {
            state,
            attempts,
            pause,
            error: result.as_ref().err().map(ToString::to_string),
        })
    }

    /// What was judged is stored (none: nothing was to be). True: nothing of the turn is left here.
    pub(super) fn settled(&mut self, turn: &TurnId, tried: &Tried, memory: Memory, pace: &Pace, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(turn) else {
            return false;
        };
        entry.memory = memory;
        let Some(verdict) = &tried.verdict else {
            return false;
        };
        match verdict.state {
            OutboxState::Sent => {
                entry.shown = Some(tried.revision);
                entry.showed(tried.again_after, pace, now);
            }
            OutboxState::Ambiguous => entry.showed(None, pace, now),
            _ => {}
        }
        let same = entry
            .settled
            .as_mut()
            .filter(|waits| waits.view.revision == tried.revision);
        match (same, verdict.state) {
            (Some(waits), OutboxState::Pending) => waits.not_before = Some(now + verdict.pause),
            (Some(_), _) => entry.settled = None,
            (None, _) => {}
        }
        self.drop_idle(turn)
    }
}

/// An unfinished turn that is shown again although nothing changed, so that it is seen to be alive.
pub(super) const fn runs(state: &ViewState) -> bool {
    matches!(state, ViewState::Running)
}

/// The pause after so many failures in a row, a quarter more or less so that not all come back at once.
fn pause_after(failures: u32, longest: Duration) -> Duration {
    let pause = FIRST_PAUSE
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(longest);
    let [byte] = random::<1>();
    pause.mul_f64(0.75 + f64::from(byte) / 510.0)
}
