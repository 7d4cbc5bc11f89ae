//! The ways from the inbox to the sessions. What is said in one conversation goes along one lane, in the order in which it
//! was stored. What a lane has no room for stays in the store, and so does all that comes for this lane after it, until the
//! sweeper has fetched what was before. What cannot be done now, as the store is in trouble, holds its lane while it is tried
//! again, for a minute at most.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::warn;

use super::Bot;
use crate::chat::{Conversation, InboxId};
use crate::store::InboxRow;

/// Conversations are spread over so many lanes; those of one lane wait for each other's look-ups, not for turns.
const LANES: usize = 32;
/// Items that wait in one lane before the rest stays in the store.
const LANE_DEPTH: usize = 64;
/// Rows that the sweeper reads at a time.
const PAGE: u32 = 256;
/// What is tried again so often holds its lane no longer: it may be this item's own trouble.
const TRIES: u32 = 12;

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Work {
    Done,
    /// It is held until something that goes on beside the lane is done with it.
    Beside,
    /// Not now: it is tried again.
    Again,
}

/// Where what comes for a lane goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Along the lane at once.
    Open,
    /// Nowhere: the store has what is before it. `more`: something came since the sweeper began to read.
    Behind { more: bool },
}

#[derive(Debug)]
struct Lane {
    items: mpsc::Sender<InboxId>,
    /// Held while an item is put into the lane: what came first is in it first.
    state: Mutex<State>,
}

/// Since the start all lanes are behind: the store may have what a former run left.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Items that are in a lane, or held by what goes on beside it: they are still new in the store and must not be taken up
    /// twice.
    held: Mutex<HashSet<InboxId>>,
    /// Items that are not worked on before somebody was given a word to them.
    words: Mutex<HashMap<InboxId, oneshot::Receiver<()>>>,
    /// The sweeper has something to do.
    wanted: Notify,
    /// Nothing before this was left in the store for want of room.
    from: Mutex<InboxId>,
}

/// Where items come out.
#[derive(Debug)]
pub(super) struct LaneEnd {
    lane: usize,
    items: mpsc::Receiver<InboxId>,
}

/// The word is given when this is dropped.
#[derive(Debug)]
pub(super) struct Word {
    _given: oneshot::Sender<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics between two halves of a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lanes {
    pub(super) fn new() -> (Self, Vec<LaneEnd>) {
        let (lanes, ends) = (0..LANES)
            .map(|lane| {
                let (sender, items) = mpsc::channel(LANE_DEPTH);
                let state = Mutex::new(State::Behind { more: false });
                (Lane { items: sender, state }, LaneEnd { lane, items })
            })
            .unzip();
        let lanes = Self {
            lanes,
            held: Mutex::default(),
            words: Mutex::default(),
            wanted: Notify::new(),
            from: Mutex::new(InboxId(1)),
        };
        (lanes, ends)
    }

    fn of(conversation: &Conversation) -> usize {
        let mut hasher = DefaultHasher::new();
        (&conversation.tenant, &conversation.channel).hash(&mut hasher);
        usize::try_from(hasher.finish() % (LANES as u64)).unwrap_or(0)
    }

    fn want(&self) {
        self.wanted.notify_one();
    }

    /// All that is new in the store is fetched, also what was not left there for want of room.
    pub(super) fn want_all(&self) {
        self.left(InboxId(1));
        self.want();
    }

    /// The store has this.
    fn left(&self, id: InboxId) {
        let mut from = lock(&self.from);
        *from = id.min(*from);
    }

    /// False: the item is held already.
    pub(super) fn begin(&self, id: InboxId) -> bool {
        lock(&self.held).insert(id)
    }

    pub(super) fn finish(&self, id: InboxId) {
        lock(&self.held).remove(&id);
    }

    /// This item, which was just stored and not offered yet, is worked on when that was dropped.
    pub(super) fn word_first(&self, id: InboxId) -> Word {
        let (given, word) = oneshot::channel();
        lock(&self.words).insert(id, word);
        Word { _given: given }
    }

    /// Its lane may have it already, by way of the store, or not yet.
    pub(super) fn give_word(&self, id: InboxId, word: Word) {
        lock(&self.words).remove(&id);
        drop(word);
    }

    /// Hands an item that was just stored to its lane, or leaves it to the sweeper. Never waits.
    pub(super) fn offer(&self, id: InboxId, conversation: &Conversation) {
        let lane = &self.lanes[Self::of(conversation)];
        let mut state = lock(&lane.state);
        match *state {
            State::Behind { .. } => {
                self.left(id);
                *state = State::Behind { more: true };
            }
            State::Open if !self.begin(id) => {}
            State::Open => {
                if lane.items.try_send(id).is_err() {
                    self.finish(id);
                    self.left(id);
                    *state = State::Behind { more: true };
                    self.want();
                }
            }
        }
    }

    /// The next item of a lane. Cancel safe.
    async fn next(&self, end: &mut LaneEnd) -> Option<InboxId> {
        let next = end.items.recv().await?;
        let waiting = end.items.len();
        let roomy = waiting == LANE_DEPTH / 2 || waiting == 0;
        if roomy && *lock(&self.lanes[end.lane].state) != State::Open {
            self.want();
        }
        Some(next)
    }

    /// Until the word to this item was given, if there is to be one.
    async fn word_given(&self, id: InboxId) {
        let word = lock(&self.words).remove(&id);
        if let Some(word) = word {
            // An error: that is how it is told.
            let _ = word.await;
        }
    }

    /// Until something is to be fetched. Cancel safe.
    async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// What is new in the store goes into its lane, or stays if that is full. `read`: rows behind this one, in their order.
    /// True: more came meanwhile for a lane that is behind and has room.
    async fn fetch<E, F>(&self, mut read: impl FnMut(InboxId) -> F) -> Result<bool, E>
    where
        F: Future<Output = Result<Vec<InboxRow>, E>>,
    {
        let mut full = [false; LANES];
        for lane in &self.lanes {
            let mut state = lock(&lane.state);
            if *state != State::Open {
                *state = State::Behind { more: false };
            }
        }
        // What is left from now on is told anew.
        let from = std::mem::replace(&mut *lock(&self.from), InboxId(i64::MAX));
        let mut after = InboxId(from.0.saturating_sub(1));
        loop {
            let rows = match read(after).await {
                Ok(rows) => rows,
                Err(error) => {
                    self.left(from);
                    return Err(error);
                }
            };
            let Some(last) = rows.last().map(|row| row.id) else {
                break;
            };
            after = last;
            for row in rows {
                let at = Self::of(&row.item.origin.conversation);
                if full[at] {
                    continue;
                }
                let lane = &self.lanes[at];
                let mut state = lock(&lane.state);
                if !self.begin(row.id) {
                    continue;
                }
                if let Err(TrySendError::Full(id) | TrySendError::Closed(id)) = lane.items.try_send(row.id) {
                    self.finish(id);
                    self.left(id);
                    full[at] = true;
                    *state = State::Behind { more: true };
                }
            }
            // Nobody has room for what is behind this; and what was not left for want of room is looked for from the start.
            let waits = |(at, lane): (usize, &Lane)| !full[at] && *lock(&lane.state) != State::Open;
            if from.0 > 1 && !self.lanes.iter().enumerate().any(waits) {
                return Ok(false);
            }
        }
        let mut more = false;
        for (lane, _) in self.lanes.iter().zip(full).filter(|(_, full)| !full) {
            let mut state = lock(&lane.state);
            match *state {
                State::Behind { more: true } => more = true,
                State::Behind { more: false } | State::Open => *state = State::Open,
            }
        }
        Ok(more)
    }
}

impl Bot {
    /// One lane, until the bot stops.
    pub(super) async fn run_lane(self, mut end: LaneEnd) {
        let (lanes, stop) = (&self.inner.lanes, &self.inner.stop);
        loop {
            // Stop first: what waits here is in the store and comes again with the next start.
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                next = lanes.next(&mut end) => next,
            };
            let Some(id) = next else { return };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = lanes.word_given(id) => {}
            }
            let mut tries = 0;
            loop {
                match self.work(id, tries > 0).await {
                    Work::Done => lanes.finish(id),
                    Work::Beside => {}
                    Work::Again if tries < TRIES => {
                        tries += 1;
                        if self.pause().await {
                            continue;
                        }
                        return;
                    }
                    Work::Again => {
                        warn!(bot = %self.inner.config.name, item = id.0, "an item holds up its lane no longer; it is tried again");
                        let bot = self.clone();
                        self.in_a_while(move || {
                            bot.inner.lanes.finish(id);
                            bot.inner.lanes.want_all();
                        });
                    }
                }
                break;
            }
        }
    }

    /// Fetches from the store what the lanes had no room for, and what is to be tried again, until the bot stops.
    pub(super) async fn sweep(self) {
        let inner = &self.inner;
        loop {
            tokio::select! {
                () = inner.stop.cancelled() => return,
                () = inner.lanes.wanted() => {}
            }
            let fetched = inner.lanes.fetch(|after| {
                let (journal, name) = (inner.journal.clone(), inner.config.name.clone());
                async move { journal.read(move |s| s.inbox_new(&name, after, PAGE)).await }
            });
            match fetched.await {
                Ok(true) => inner.lanes.want(),
                Ok(false) => {}
                Err(error) => {
                    warn!(bot = %inner.config.name, %error, "the inbox could not be read; it is tried again");
                    self.later();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::ready;
    use std::ops::RangeInclusive;

    use super::*;
    use crate::store::InboxState;
    use crate::store::conformance::sample;

    const DEPTH: i64 = LANE_DEPTH as i64;

    fn row(id: i64) -> InboxRow {
        InboxRow {
            id: InboxId(id),
            bot: sample::bot(),
            item: sample::item("k"),
            received: 1,
            state: InboxState::New,
        }
    }

    fn offer(lanes: &Lanes, ids: RangeInclusive<i64>) {
        ids.for_each(|id| lanes.offer(InboxId(id), &sample::conversation("C1")));
    }

    /// Fetches from a store with these new rows in it.
    async fn fetch(lanes: &Lanes, stored: RangeInclusive<i64>) -> bool {
        let read = |after: InboxId| {
            let rows = stored.clone().filter(|id| *id > after.0).take(50).map(row);
            ready(Ok::<_, Infallible>(rows.collect()))
        };
        let Ok(more) = lanes.fetch(read).await;
        more
    }

    fn lanes() -> (Lanes, LaneEnd) {
        let (lanes, ends) = Lanes::new();
        let at = Lanes::of(&row(1).item.origin.conversation);
        let end = ends.into_iter().nth(at);
        (lanes, end.expect("each lane has an end"))
    }

    /// What comes along the lane now.
    async fn taken(lanes: &Lanes, end: &mut LaneEnd, most: usize) -> Vec<i64> {
        let mut ids = Vec::new();
        while ids.len() < most && !end.items.is_empty() {
            let id = lanes.next(end).await.expect("the lane is there");
            lanes.finish(id);
            ids.push(id.0);
        }
        ids
    }

    #[tokio::test]
    async fn what_a_former_run_left_is_before_what_comes() {
        let (lanes, mut end) = lanes();
        offer(&lanes, 3..=3);
        assert!(taken(&lanes, &mut end, 9).await.is_empty());
        assert!(!fetch(&lanes, 1..=3).await);
        offer(&lanes, 4..=4);
        assert_eq!(taken(&lanes, &mut end, 9).await, [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn what_comes_while_the_store_is_read_is_read_next() {
        let (lanes, mut end) = lanes();
        let read = |after: InboxId| {
            if after.0 == 0 {
                return ready(Ok::<_, Infallible>(vec![row(1)]));
            }
            // Stored behind what was read.
            offer(&lanes, 2..=2);
            ready(Ok(Vec::new()))
        };
        assert!(lanes.fetch(read).await.expect("it is read"));
        offer(&lanes, 3..=3);
        assert_eq!(taken(&lanes, &mut end, 9).await, [1]);
        assert!(!fetch(&lanes, 2..=3).await);
        assert_eq!(taken(&lanes, &mut end, 9).await, [2, 3]);
    }

    #[tokio::test]
    async fn what_comes_never_overtakes_what_a_full_lane_left_in_the_store() {
        let (lanes, mut end) = lanes();
        fetch(&lanes, 0..=0).await;
        offer(&lanes, 1..=DEPTH + 2);
        lanes.wanted().await;
        let mut all = taken(&lanes, &mut end, 1).await;
        // There is room; what is before it comes first.
        offer(&lanes, DEPTH + 3..=DEPTH + 3);
        all.extend(taken(&lanes, &mut end, LANE_DEPTH / 2).await);
        // The lane has room enough that fetching is worth it.
        lanes.wanted().await;
        assert!(!fetch(&lanes, all.len() as i64 + 1..=DEPTH + 3).await);
        offer(&lanes, DEPTH + 4..=DEPTH + 4);
        all.extend(taken(&lanes, &mut end, 999).await);
        assert_eq!(all, (1..=DEPTH + 4).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn full_lane_keeps_nothing_from_the_others_and_is_fetched_for_again() {
        let (lanes, mut ends) = Lanes::new();
        let at = Lanes::of(&row(1).item.origin.conversation);
        let elsewhere = (0..99)
            .map(|n| sample::conversation(&format!("D{n}")))
            .find(|conversation| Lanes::of(conversation) != at);
        let elsewhere = elsewhere.expect("there is more than one lane");
        let mut last = row(DEPTH + 9);
        last.item.origin.conversation = elsewhere.clone();
        let read = |after: InboxId| {
            let mut rows: Vec<InboxRow> = (1..=DEPTH + 8).map(row).collect();
            rows.push(last.clone());
            rows.retain(|row| row.id > after);
            ready(Ok::<_, Infallible>(rows))
        };
        assert!(
            !lanes.fetch(read).await.expect("it is read"),
            "what is full has to be emptied first"
        );
        assert_eq!(taken(&lanes, &mut ends[Lanes::of(&elsewhere)], 9).await, [DEPTH + 9]);
        let mut all = taken(&lanes, &mut ends[at], 999).await;
        lanes.wanted().await;
        assert!(!fetch(&lanes, DEPTH + 1..=DEPTH + 8).await);
        all.extend(taken(&lanes, &mut ends[at], 999).await);
        assert_eq!(all, (1..=DEPTH + 8).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn item_is_not_worked_on_before_the_word_to_it_is_given() {
        let (lanes, _end) = lanes();
        lanes.word_given(InboxId(1)).await;
        let word = lanes.word_first(InboxId(2));
        let mut given = Box::pin(lanes.word_given(InboxId(2)));
        assert!(futures_util::poll!(&mut given).is_pending());
        lanes.give_word(InboxId(2), word);
        given.await;
        // Where it is given before the lane has the item, nothing is kept of it.
        let word = lanes.word_first(InboxId(3));
        lanes.give_word(InboxId(3), word);
        assert!(lock(&lanes.words).is_empty());
        lanes.word_given(InboxId(3)).await;
    }

    #[tokio::test]
    async fn long_backlog_of_one_lane_is_read_in_parts() {
        let (lanes, mut end) = lanes();
        fetch(&lanes, 0..=0).await;
        offer(&lanes, 1..=4 * DEPTH);
        let mut all = Vec::new();
        let mut read = 0;
        while all.len() < 4 * LANE_DEPTH {
            let left = all.len() as i64 + 1;
            let rows = |after: InboxId| {
                let page: Vec<InboxRow> = (left.max(after.0 + 1)..=4 * DEPTH).take(LANE_DEPTH).map(row).collect();
                read += page.len();
                ready(Ok::<_, Infallible>(page))
            };
            assert!(!lanes.fetch(rows).await.expect("it is read"));
            all.extend(taken(&lanes, &mut end, LANE_DEPTH / 2).await);
        }
        assert_eq!(all, (1..=4 * DEPTH).collect::<Vec<_>>());
        assert!(read <= 10 * LANE_DEPTH, "{read} rows were read for {}", all.len());
    }
}
