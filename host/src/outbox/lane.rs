//! The task of one conversation: shows what its plan says, one call at a time, and ends when there is nothing left.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, error, warn};

use super::Inner;
use super::plan::{FIRST_PAUSE, Memory, Next, Plan, Tried, Verdict, What, Work, runs};
use crate::chat::{CallError, Conversation, Target, TurnId, UnixMillis, View, now};
use crate::store::{OutboxState, Outcome, Recall};

type Shown = Result<Option<Duration>, CallError>;

pub(super) struct Lane {
    conversation: Conversation,
    plan: Mutex<Plan>,
    woken: Notify,
}

impl Lane {
    pub(super) fn new(conversation: Conversation) -> Self {
        Self {
            conversation,
            plan: Mutex::default(),
            woken: Notify::new(),
        }
    }

    pub(super) fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// The task. A mistake of ours in one view does not silence the conversation.
    pub(super) async fn run(self: Arc<Self>, inner: Arc<Inner>) {
        while let Err(panic) = AssertUnwindSafe(self.show_all(&inner)).catch_unwind().await {
            error!(bot = %inner.bot, why = %reason(panic.as_ref()), "a lane of the outbox panicked");
            sleep(FIRST_PAUSE).await;
        }
    }

    async fn show_all(self: &Arc<Self>, inner: &Arc<Inner>) {
        while !inner.stop.is_cancelled() {
            let next = self.plan().next(&inner.pace, Instant::now());
            match next {
                Next::End => {
                    // Under the map's guard: who adds a turn holds the same.
                    if inner
                        .lanes
                        .remove_if(&self.conversation, |_, lane| lane.plan().is_empty())
                        .is_some()
                    {
                        return;
                    }
                }
                Next::Wait(until) => {
                    let over = async {
                        match until {
                            Some(until) => sleep_until(until).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        // The order does not matter: each only leads to another look.
                        () = inner.stop.cancelled() => {}
                        () = self.woken.notified() => {}
                        () = over => {}
                    }
                }
                Next::Due => self.show_next(inner).await,
            }
        }
    }

    /// Shows what is due, when there is a place and the vendor takes it.
    async fn show_next(&self, inner: &Inner) {
        let permit = tokio::select! {
            biased; // The end first: nothing new is begun then.
            () = inner.stop.cancelled() => return,
            permit = inner.permits.acquire() => permit,
        };
        // The semaphore is never closed.
        let Ok(_permit) = permit else { return };
        let wait = inner.presenter.ready_in(&self.conversation);
        if wait > Duration::ZERO {
            self.plan().hold(Instant::now(), wait);
            return;
        }
        // Only now it is decided what: a question may have come while a place was waited for.
        let work = self
            .plan()
            .take(&inner.pace, Instant::now(), |here| inner.presenter.place(here));
        let Some(Work {
            turn,
            mut target,
            memory,
            what,
        }) = work
        else {
            return;
        };
        let Some(memory) = self.recall(inner, &turn, memory, &mut target).await else {
            return;
        };
        match what {
            What::Settled { view, stands } => {
                let result = match stands {
                    true => Some(Ok(None)),
                    false => show(inner, View::clone(&view), target, memory).await,
                };
                if let Some(result) = result {
                    self.conclude(inner, turn, view.revision, result).await;
                }
            }
            What::Update { source, shown, refresh } => {
                let view = source.view();
                drop(source);
                let unchanged = shown == Some(view.revision) && !(refresh && runs(&view.state));
                if unchanged || view.state.is_final() {
                    // A final view comes by `settle`, when it is stored.
                    let memory = Memory::Known(memory);
                    return self.plan().skipped(&turn, memory, &inner.pace, Instant::now());
                }
                self.show_update(inner, turn, target, view, memory).await;
            }
        }
    }

    /// The newest memory. None: the store cannot be read now, so nothing may be shown.
    async fn recall(
        &self,
        inner: &Inner,
        turn: &TurnId,
        memory: Memory,
        target: &mut Target,
    ) -> Option<Option<Vec<u8>>> {
        if let Memory::Known(memory) = memory {
            self.plan().recalled(turn, memory.is_some(), &inner.pace);
            return Some(memory);
        }
        let wanted = turn.clone();
        match inner.journal.read(move |store| store.outbox_recall(&wanted)).await {
            Ok(found) => {
                if found.is_none() {
                    warn!(bot = %inner.bot, %turn, "a turn is to be shown that has no row in the outbox");
                }
                let memory = found.and_then(|recall| {
                    target.conversation.clone_from(&recall.conversation);
                    self.remembered(turn, recall)
                });
                self.plan().recalled(turn, memory.is_some(), &inner.pace);
                Some(memory)
            }
            Err(error) => {
                warn!(bot = %inner.bot, %turn, %error, "the adapter's memory could not be read; the view waits");
                self.plan().postponed(turn, Instant::now());
                None
            }
        }
    }

    async fn show_update(&self, inner: &Inner, turn: TurnId, target: Target, view: View, memory: Option<Vec<u8>>) {
        let revision = view.revision;
        let Some(result) = show(inner, view, target, memory).await else {
            return;
        };
        if let Err(error) = &result {
            debug!(bot = %inner.bot, %turn, %error, "an update was not shown");
        }
        let wanted = turn.clone();
        let memory = match inner.journal.read(move |store| store.outbox_recall(&wanted)).await {
            Ok(found) => Memory::Known(found.and_then(|recall| self.remembered(&turn, recall))),
            Err(_) => Memory::Unknown,
        };
        self.plan()
            .updated(&turn, revision, &result, memory, &inner.pace, Instant::now());
    }

    /// Takes what an adapter left with the turn: its memory comes back, and whoever writes the view learns where it
    /// lives.
    fn remembered(&self, turn: &TurnId, recall: Recall) -> Option<Vec<u8>> {
        let news = self.plan().lives_in(turn, &recall.conversation);
        if let Some(source) = news {
            source.moved(&recall.conversation);
        }
        recall.memory
    }

    /// A settled view was shown, or not.
    async fn conclude(&self, inner: &Inner, turn: TurnId, revision: u32, result: Shown) {
        let verdict = self.plan().judge(&turn, revision, &result, Instant::now());
        log(inner, &turn, &result, verdict.as_ref());
        // Shown and not recorded would be shown again: nothing else goes on here before it is.
        let Some(recall) = record(inner, &turn, revision, verdict.as_ref()).await else {
            return;
        };
        let memory = match recall {
            Some(recall) => Memory::Known(self.remembered(&turn, recall)),
            None => Memory::Unknown,
        };
        let tried = Tried {
            revision,
            verdict,
            again_after: result.ok().flatten(),
        };
        let mut plan = self.plan();
        let gone = plan.settled(&turn, &tried, memory, &inner.pace, Instant::now());
        if gone {
            inner.turns.remove(&turn);
        }
    }
}

/// None: broken off at the end.
async fn show(inner: &Inner, view: View, target: Target, memory: Option<Vec<u8>>) -> Option<Shown> {
    let nonce = view.turn.to_string();
    let call = AssertUnwindSafe(async { inner.presenter.show(view, target, nonce, memory).await }).catch_unwind();
    tokio::select! {
        biased; // An answer that is there counts, also at the end.
        shown = call => Some(shown.unwrap_or_else(|panic| Err(CallError::Trapped(reason(panic.as_ref()))))),
        () = inner.force.cancelled() => None,
    }
}

/// Stores how it went and reads anew what the adapter left. The outer None: the outbox ends before the store takes it.
async fn record(inner: &Inner, turn: &TurnId, revision: u32, verdict: Option<&Verdict>) -> Option<Option<Recall>> {
    loop {
        let wanted = turn.clone();
        let stored = match verdict {
            // Nothing to store: only the memory, and that can be read at the next try as well.
            None => inner
                .journal
                .read(move |store| store.outbox_recall(&wanted))
                .await
                .or(Ok(None)),
            Some(verdict) => {
                let at = now();
                let outcome = Outcome {
                    revision,
                    state: verdict.state,
                    attempts: verdict.attempts,
                    next_try: at.saturating_add(UnixMillis::try_from(verdict.pause.as_millis()).unwrap_or(0)),
                    last_error: verdict.error.clone(),
                    updated: at,
                };
                let write = inner.journal.write(move |store| {
                    store.outbox_outcome(&wanted, &outcome)?;
                    store.outbox_recall(&wanted)
                });
                write.await
            }
        };
        match stored {
            Ok(recall) => return Some(recall),
            Err(error) => {
                error!(bot = %inner.bot, %turn, %error, "how a view was shown could not be stored; trying again")
            }
        }
        tokio::select! {
            biased; // The end first: the next run shows it again, with the adapter's memory.
            () = inner.stop.cancelled() => return None,
            () = sleep(FIRST_PAUSE) => {}
        }
    }
}

fn log(inner: &Inner, turn: &TurnId, result: &Shown, verdict: Option<&Verdict>) {
    let Err(error) = result else { return };
    match verdict.map(|verdict| (verdict.state, verdict.attempts)) {
        None => debug!(bot = %inner.bot, %turn, %error, "a view waits for the vendor"),
        Some((OutboxState::Pending, attempts)) => {
            warn!(bot = %inner.bot, %turn, attempts, %error, "a view could not be shown; it is tried again");
        }
        Some((state, attempts)) => {
            error!(bot = %inner.bot, %turn, ?state, attempts, %error, "a view could not be shown; see `botyard outbox`");
        }
    }
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked".into())
}
