//! The ways from the inbox to the sessions. What is said in one conversation goes along one lane, in the order in which it
//! was stored. What a lane has no room for stays in the store, and so does all that comes for this lane after it, until the
//! sweeper has fetched what was before.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tracing::warn;

use super::Bot;
use crate::chat::{Conversation, InboxId, Item};
use crate::store::InboxRow;

/// Conversations are spread over so many lanes; those of one lane wait for each other's look-ups, not for turns.
const LANES: usize = 32;
/// Items that wait in one lane before the rest stays in the store.
const LANE_DEPTH: usize = 64;
/// Rows that the sweeper reads at a time.
const PAGE: u32 = 256;

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
    items: mpsc::Sender<(InboxId, Item)>,
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
    /// Something in the store waits for room in its lane, or is to be tried again.
    wanted: Notify,
}

/// Where items come out.
#[derive(Debug)]
pub(super) struct LaneEnd {
    lane: usize,
    items: mpsc::Receiver<(InboxId, Item)>,
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            wanted: Notify::new(),
        };
        (lanes, ends)
    }

    fn of(conversation: &Conversation) -> usize {
        let mut hasher = DefaultHasher::new();
        (&conversation.tenant, &conversation.channel).hash(&mut hasher);
        usize::try_from(hasher.finish() % (LANES as u64)).unwrap_or(0)
    }

    /// What the store has is fetched.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// False: the item is held already.
    pub(super) fn begin(&self, id: InboxId) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    pub(super) fn finish(&self, id: InboxId) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Hands an item that was just stored to its lane, or leaves it to the sweeper. Never waits.
    pub(super) fn offer(&self, id: InboxId, item: Item) {
        let lane = &self.lanes[Self::of(&item.origin.conversation)];
        let mut state = lane.state();
        match *state {
            State::Behind { .. } => *state = State::Behind { more: true },
            State::Open if !self.begin(id) => {}
            State::Open => {
                if lane.items.try_send((id, item)).is_err() {
                    self.finish(id);
                    *state = State::Behind { more: true };
                    self.want();
                }
            }
        }
    }

    /// The next item of a lane. Cancel safe.
    async fn next(&self, end: &mut LaneEnd) -> Option<(InboxId, Item)> {
        let next = end.items.recv().await?;
        let waiting = end.items.len();
        let roomy = waiting == LANE_DEPTH / 2 || waiting == 0;
        if roomy && *self.lanes[end.lane].state() != State::Open {
            self.want();
        }
        Some(next)
    }

    /// Until something is to be fetched. Cancel safe.
    async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// All that is new in the store goes into its lane, or stays if that is full. `read`: rows behind this one, in their
    /// order. True: more came meanwhile for a lane that is behind and has room.
    async fn fetch<E, F>(&self, mut read: impl FnMut(InboxId) -> F) -> Result<bool, E>
    where
        F: Future<Output = Result<Vec<InboxRow>, E>>,
    {
        for lane in &self.lanes {
            let mut state = lane.state();
            if *state != State::Open {
                *state = State::Behind { more: false };
            }
        }
        let mut full = [false; LANES];
        let mut after = InboxId(0);
        loop {
            let rows = read(after).await?;
            let Some(last) = rows.last().map(|row| row.id) else {
                break;
            };
            after = last;
            for row in rows {
                let at = Self::of(&row.item.origin.conversation);
                if full[at] || !self.begin(row.id) {
                    continue;
                }
                let mut state = self.lanes[at].state();
                if let Err(TrySendError::Full((id, _)) | TrySendError::Closed((id, _))) =
                    self.lanes[at].items.try_send((row.id, row.item))
                {
                    self.finish(id);
                    full[at] = true;
                    *state = State::Behind { more: true };
                }
            }
        }
        let mut more = false;
        for (lane, _) in self.lanes.iter().zip(full).filter(|(_, full)| !full) {
            let mut state = lane.state();
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
        let lanes = &self.inner.lanes;
        loop {
            // Stop first: what waits here is in the store and comes again with the next start.
            let (id, item) = tokio::select! {
                biased;
                () = self.inner.stop.cancelled() => return,
                next = lanes.next(&mut end) => match next {
                    Some(next) => next,
                    None => return,
                },
            };
            if self.work(id, item).await {
                lanes.finish(id);
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
        ids.for_each(|id| lanes.offer(InboxId(id), row(id).item));
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
            let (id, _) = lanes.next(end).await.expect("the lane is there");
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
}
