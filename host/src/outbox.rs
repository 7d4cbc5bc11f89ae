//! The only way into a chat: shows the newest view of every turn through the bot's adapter, one call at a time
//! for a conversation, final views and questions before stream updates, stream updates coalesced to the
//! platform's budget. Final views and questions are stored before they are shown and shown until the vendor has
//! them, or an operator is told.

mod lane;
mod plan;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use self::lane::Lane;
use self::plan::{Change, Memory};
use crate::chat::{BotName, CallError, Conversation, Target, TurnId, UnixMillis, View, now};
use crate::store::{Journal, OutboxRow, OutboxState, Result as StoreResult};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What shows a view on a platform: the bot's adapter, or a test.
pub trait Presenter: Send + Sync + 'static {
    /// As `delivery.show` of the interface. What the adapter saves reaches the store before this returns; `memory`
    /// is what was saved last. Ok(Some(d)): an unfinished view need not come again before `d`.
    fn show<'a>(
        &'a self,
        view: View,
        target: Target,
        nonce: String,
        memory: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Option<Duration>, CallError>>;

    /// How long the vendor's rate limits still hold this conversation back: asked before an instance is started.
    fn ready_in(&self, conversation: &Conversation) -> Duration;

    /// The moment for the next update of what stands in this conversation, so that the platform's budget lasts for
    /// all who stream. None: nothing holds it back.
    fn place(&self, _conversation: &Conversation) -> Option<Place> {
        None
    }
}

/// A place in the line of those who stream. Dropped before its moment, it is given back.
pub struct Place {
    pub at: Instant,
    pub kept: Box<dyn Send>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("at", &self.at).finish_non_exhaustive()
    }
}

/// The newest view of a turn that goes on. Called when it is about to be sent, never under a lock of the outbox.
pub trait ViewSource: Send + Sync + 'static {
    fn view(&self) -> View;

    /// There is nothing in it yet but that it runs.
    fn is_bare(&self) -> bool {
        false
    }

    /// The turn was seen to live elsewhere now: its adapter moved it.
    fn moved(&self, _to: &Conversation) {}
}

/// The platform's pace, from the manifest.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Least time between two updates of one message.
    pub update_interval: Duration,
    /// How many updates one message takes; the final one is kept in reserve.
    pub updates_max: Option<u32>,
    /// Show an unchanged running view again after this long.
    pub refresh: Option<Duration>,
    /// The platform can change what stands there; if not, only final views and questions are shown.
    pub can_update: bool,
    /// How many conversations may be shown at the same time.
    pub parallel: usize,
    /// How long the first view of a turn waits while there is nothing in it but that it runs.
    pub bare_hold: Duration,
}

/// One bot's outbox. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

/// How much an outbox has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Conversations with a task.
    pub lanes: usize,
    /// Turns that are followed or have something to be delivered.
    pub turns: usize,
    /// Questions and final views that the vendor does not have yet.
    pub pending: usize,
}

/// What all lanes of a bot share. Locks are taken in the order lanes, plan, turns, and none across an await.
struct Inner {
    bot: BotName,
    journal: Journal,
    presenter: Arc<dyn Presenter>,
    pace: Pace,
    lanes: DashMap<Conversation, Arc<Lane>>,
    /// Where a turn is shown; as long as its lane has something of it.
    turns: DashMap<TurnId, Arc<Lane>>,
    permits: Semaphore,
    /// Settled views that wait.
    pending: watch::Sender<usize>,
    tasks: TaskTracker,
    /// Nothing new is shown.
    stop: CancellationToken,
    /// What is being shown is broken off.
    force: CancellationToken,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("bot", &self.inner.bot)
            .field("load", &self.load())
            .finish_non_exhaustive()
    }
}

impl Outbox {
    pub fn new(bot: BotName, journal: Journal, presenter: Arc<dyn Presenter>, pace: Pace) -> Self {
        let permits = Semaphore::new(pace.parallel.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            inner: Arc::new(Inner {
                bot,
                journal,
                presenter,
                pace,
                lanes: DashMap::new(),
                turns: DashMap::new(),
                permits,
                pending: watch::Sender::new(0),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
                force: CancellationToken::new(),
            }),
        }
    }

    /// A turn that goes on is to be seen: its view is fetched from `source` whenever the budget allows, until
    /// `settle` or `unfollow`. An [`OutboxRow`] for the turn must be stored already.
    pub fn follow(&self, turn: &TurnId, target: &Target, source: Arc<dyn ViewSource>) {
        let until = Instant::now() + self.inner.pace.bare_hold;
        self.inner.change(turn, target, Change::Follow(source, until));
    }

    /// The view of a followed turn changed. Cheap, any number of times.
    pub fn touch(&self, turn: &TurnId) {
        // The map's guard is gone before the plan is locked.
        let lane = self.inner.turns.get(turn).map(|lane| Arc::clone(&lane));
        if let Some(lane) = lane
            && lane.plan().touch(turn)
        {
            lane.wake();
        }
    }

    /// The turn goes on without being seen, or is left for the next start. What was settled is still delivered.
    pub fn unfollow(&self, turn: &TurnId) {
        let lane = self.inner.turns.get(turn).map(|lane| Arc::clone(&lane));
        if let Some(lane) = lane {
            self.inner.forget(&mut lane.plan(), turn);
            lane.wake();
        }
    }

    /// This view was stored in the turn's outbox row (state `Pending`) and must be delivered: a question, or the
    /// end. A newer one takes the place of an older one that still waits. A final view ends the following.
    pub fn settle(&self, target: &Target, view: View) {
        self.inner.settle(target, view, Memory::Unknown, 0, None);
    }

    /// Stores and shows a view that has no turn of an agent: the answer to a command, a refusal. Returns when it
    /// is on disk.
    pub async fn post(&self, target: Target, view: View) -> StoreResult<()> {
        let bot = self.inner.bot.clone();
        let row = OutboxRow::pending(view.turn.clone(), bot, target.clone(), Some(view.clone()), now());
        let before = self
            .inner
            .journal
            .write(move |store| {
                let before = store.outbox_recall(&row.turn)?;
                store.outbox_put(&row)?;
                Ok(before.and_then(|before| before.memory))
            })
            .await?;
        self.inner.settle(&target, view, Memory::Known(before), 0, None);
        Ok(())
    }

    /// Takes up what a former run left pending. Once, before the bot takes events. How many views.
    pub async fn recover(&self) -> StoreResult<usize> {
        let bot = self.inner.bot.clone();
        let mut rows = self.inner.journal.read(move |store| store.outbox_pending(&bot)).await?;
        rows.sort_by_key(|row| row.updated);
        Ok(self.inner.take_up(rows))
    }

    /// Credentials were mended: what waits for that is tried again.
    pub fn authorized(&self) {
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn(async move {
            let bot = inner.bot.clone();
            match inner.journal.write(move |store| store.outbox_reopen(&bot)).await {
                Ok(mut rows) => {
                    rows.sort_by_key(|row| row.updated);
                    inner.take_up(rows);
                }
                Err(error) => error!(bot = %inner.bot, %error, "what waits for credentials could not be taken up"),
            }
        });
    }

    /// Shows a dead letter again: the operator's decision, also where it may have been shown before. False: this
    /// turn is no dead letter of this bot.
    pub async fn retry(&self, turn: &TurnId) -> StoreResult<bool> {
        let (bot, turn) = (self.inner.bot.clone(), turn.clone());
        let row = self
            .inner
            .journal
            .write(move |store| {
                let dead = |row: &OutboxRow| {
                    row.bot == bot
                        && row.view.is_some()
                        && !matches!(row.state, OutboxState::Pending | OutboxState::Sent)
                };
                let Some(mut row) = store.outbox_get(&turn)?.filter(dead) else {
                    return Ok(None);
                };
                row.state = OutboxState::Pending;
                row.attempts = 0;
                row.next_try = 0;
                store.outbox_put(&row)?;
                Ok(Some(row))
            })
            .await?;
        Ok(self.inner.take_up(row.into_iter().collect()) > 0)
    }

    pub fn load(&self) -> Load {
        Load {
            lanes: self.inner.lanes.len(),
            turns: self.inner.turns.len(),
            pending: *self.inner.pending.borrow(),
        }
    }

    /// Waits until nothing is pending, or `within` is over; then ends all lanes. What is left is in the store.
    pub async fn close(&self, within: Duration) {
        let inner = &self.inner;
        let end = Instant::now() + within;
        let mut pending = inner.pending.subscribe();
        // Late is no error: the store has it.
        let _ = timeout_at(end, pending.wait_for(|left| *left == 0)).await;
        inner.stop.cancel();
        inner.tasks.close();
        if timeout_at(end, inner.tasks.wait()).await.is_err() {
            inner.force.cancel();
            inner.tasks.wait().await;
        }
        inner.turns.clear();
        inner.lanes.clear();
    }
}

impl Inner {
    fn take_up(self: &Arc<Self>, rows: Vec<OutboxRow>) -> usize {
        let mut taken = 0;
        for row in rows {
            let Some(view) = row.view else { continue };
            self.settle(
                &row.target,
                view,
                Memory::Known(row.memory),
                row.attempts,
                at(row.next_try),
            );
            taken += 1;
        }
        taken
    }

    fn settle(
        self: &Arc<Self>,
        target: &Target,
        view: View,
        memory: Memory,
        attempts: u32,
        not_before: Option<Instant>,
    ) {
        let turn = view.turn.clone();
        let waits = plan::Settled::new(view, attempts, not_before, &self.pending);
        self.change(&turn, target, Change::Settle(waits, memory));
    }

    /// Changes what is to be shown of a turn, in its lane, which is made if it is not there.
    fn change(self: &Arc<Self>, turn: &TurnId, target: &Target, change: Change) {
        if self.stop.is_cancelled() {
            return;
        }
        let mut change = change;
        // Where it is shown already: an adapter may have moved it, the target says where it was asked.
        let known = self.turns.get(turn).map(|lane| Arc::clone(&lane));
        if let Some(lane) = known {
            match lane.plan().change_known(turn, target, change) {
                Ok(()) => return lane.wake(),
                Err(back) => change = back,
            }
        }
        // A lane ends only under the same guard, and only without a turn: this one cannot end in between.
        let lane = self.lanes.entry(target.conversation.clone()).or_insert_with(|| {
            let lane = Arc::new(Lane::new(target.conversation.clone()));
            self.tasks.spawn(Arc::clone(&lane).run(Arc::clone(self)));
            lane
        });
        let mut plan = lane.plan();
        plan.change(turn, target, change);
        self.turns.insert(turn.clone(), Arc::clone(&lane));
        drop(plan);
        lane.wake();
    }

    /// Ends the following of a turn in its plan.
    fn forget(&self, plan: &mut plan::Plan, turn: &TurnId) {
        if plan.unfollow(turn) {
            self.turns.remove(turn);
        }
    }
}

/// A time of the wall clock as one of ours; none if it is over.
fn at(time: UnixMillis) -> Option<Instant> {
    let left = u64::try_from(time.saturating_sub(now()))
        .ok()
        .filter(|left| *left > 0)?;
    Some(Instant::now() + Duration::from_millis(left).min(plan::HOLD_AT_MOST))
}

#[cfg(test)]
mod tests;
