//! One shard's dispatches in their order: handed over, and remembered as heard only when they are stored.
//!
//! What Discord must be asked about an event holds up the events behind it, but no interaction: those have three seconds,
//! are handed over as they come, and may be stored before what came before them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::facts::Facts;
use super::session::Session;
use super::{Gateway, word};
use crate::chat::{Answer, Event, now};
use crate::outbox::BoxFuture;
use crate::transport::Accepted;

/// What the relay may tell ahead of the line.
pub(super) const QUEUE: usize = 16;
/// Dispatches that wait between the connection and the bot's own line. With so many Discord is not listened to: only
/// then an interaction waits too.
const LINE: usize = 1_024;
/// Of those that the bot has, so many may be without an outcome.
const OPEN: usize = 256;
/// What has no deadline of the vendor's.
const PLAIN: Duration = Duration::from_secs(30);
const INTERACTION: &str = "INTERACTION_CREATE";
/// An interaction gets at least so long, however long it waited here.
const LEAST: Duration = Duration::from_millis(200);

/// What the relay tells.
#[derive(Debug)]
pub(super) enum Told {
    /// A new session, and the connection that it began on: everything after this belongs to it.
    Begun(u64, Session),
    /// There is none any more.
    Lost,
    Dispatch(Dispatch),
}

#[derive(Debug)]
pub(super) struct Dispatch {
    /// Counts the connections of this shard: after a failure the rest of its events is told again.
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) name: String,
    /// The frame as it came.
    pub(super) frame: String,
    pub(super) came: Instant,
}

/// How far the events are stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    pub(super) session: Option<Session>,
    /// The connection on which it began; what came before says nothing of it.
    pub(super) begun: u64,
    /// Events of this connection could not be stored: it must be resumed.
    pub(super) failed: Option<u64>,
}

pub(super) struct Story {
    pub(super) gateway: Arc<Gateway>,
    pub(super) shard: u32,
    pub(super) shards: u32,
    pub(super) progress: watch::Sender<Progress>,
    /// Words to interactions, which outlive the order of events.
    pub(super) words: TaskTracker,
    /// The event that was the last to be handed over.
    pub(super) last: Option<Turn>,
    /// Told, or dropped, when the last interaction is in the line: they are not asked about, but keep their order too.
    pub(super) pressed: Option<oneshot::Receiver<()>>,
}

/// An event's turn to be handed over: the connection that it came on, and what is told once it was. Not told: it comes
/// again.
pub(super) type Turn = (u64, oneshot::Receiver<()>);

type Outcome = BoxFuture<'static, (u64, u64, Accepted)>;

/// One place in the line.
enum Place {
    Told(Told),
    /// An interaction that the bot has: what it comes to counts only after what came before it.
    Given(Outcome),
}

impl Story {
    /// Until the relay ends or the bot stops.
    pub(super) async fn run(mut self, mut told: mpsc::Receiver<Told>) {
        let stop = self.gateway.managed.stop.clone();
        let mut line = VecDeque::new();
        let mut open: FuturesOrdered<Outcome> = FuturesOrdered::new();
        loop {
            while open.len() < OPEN
                && let Some(place) = line.pop_front()
            {
                match place {
                    Place::Told(Told::Begun(epoch, session)) => self.begun(epoch, Some(session)).await,
                    Place::Told(Told::Lost) => self.begun(0, None).await,
                    Place::Told(Told::Dispatch(dispatch)) => self.hand_over(dispatch, &mut open),
                    Place::Given(outcome) => open.push_back(outcome),
                }
            }
            // Outcomes first: they make room, and move the point from which a resume begins.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some((epoch, seq, accepted)) = open.next(), if !open.is_empty() => {
                    self.outcome(&mut open, epoch, seq, accepted).await;
                }
                next = told.recv(), if line.len() < LINE => match next {
                    None => return,
                    Some(told) => line.push_back(self.place(told)),
                },
            }
        }
    }

    /// What the relay told takes its place; an interaction does not wait there.
    fn place(&mut self, told: Told) -> Place {
        match told {
            Told::Dispatch(dispatch) if dispatch.name == INTERACTION => match self.interact(dispatch) {
                Ok(outcome) => Place::Given(outcome),
                Err(dispatch) => Place::Told(Told::Dispatch(dispatch)),
            },
            told => Place::Told(told),
        }
    }

    async fn begun(&self, epoch: u64, session: Option<Session>) {
        self.gateway.keep(self.shard, self.shards, session.as_ref()).await;
        self.progress.send_modify(|progress| {
            progress.session = session;
            progress.begun = epoch;
        });
    }

    fn has_failed(&self, epoch: u64) -> bool {
        self.progress.borrow().failed.is_some_and(|failed| epoch <= failed)
    }

    /// One event has its outcome, and perhaps those behind it: the newest is what is kept.
    async fn outcome(&self, open: &mut FuturesOrdered<Outcome>, epoch: u64, seq: u64, accepted: Accepted) {
        let mut reached = None;
        let mut one = Some((epoch, seq, accepted));
        while let Some((epoch, seq, accepted)) = one.take() {
            if epoch < self.progress.borrow().begun {
                // It was another session's.
            } else if self.has_failed(epoch) {
                // What came after the event that was not stored comes again.
            } else if accepted == Accepted::Unavailable {
                self.progress.send_modify(|progress| progress.failed = Some(epoch));
            } else {
                reached = Some(seq);
            }
            one = futures_util::FutureExt::now_or_never(open.next()).flatten();
        }
        let Some(reached) = reached else { return };
        let Some(mut session) = self.progress.borrow().session.clone() else {
            return;
        };
        if reached <= session.seq {
            return;
        }
        session.seq = reached;
        self.gateway.keep(self.shard, self.shards, Some(&session)).await;
        self.progress.send_modify(|progress| progress.session = Some(session));
    }

    fn hand_over(&mut self, dispatch: Dispatch, open: &mut FuturesOrdered<Outcome>) {
        let (epoch, seq) = (dispatch.epoch, dispatch.seq);
        if self.has_failed(epoch) {
            return;
        }
        let teaches = Facts::teaches(&dispatch.name);
        let wanted = self.gateway.events.contains(&dispatch.name);
        let data = if teaches || wanted {
            dispatch.data()
        } else {
            Value::Null
        };
        if teaches {
            self.gateway.facts.learn(&dispatch.name, &data);
        }
        if !wanted {
            open.push_back(Box::pin(async move { (epoch, seq, Accepted::Stored(None)) }));
            return;
        }
        let (gateway, event) = (Arc::clone(&self.gateway), self.event(dispatch));
        let (done, turn) = oneshot::channel();
        let before = self.last.replace((epoch, turn));
        open.push_back(Box::pin(async move {
            if let Some((of, before)) = before
                && before.await.is_err()
                && of == epoch
            {
                return (epoch, seq, Accepted::Unavailable);
            }
            (epoch, seq, gateway.in_turn(event, &data, done).await)
        }));
    }

    /// Hands an interaction over. It tells everything itself, and has no time for questions. Err: it is none that can be
    /// answered, or comes again.
    fn interact(&mut self, dispatch: Dispatch) -> Result<Outcome, Dispatch> {
        let (epoch, seq, came) = (dispatch.epoch, dispatch.seq, dispatch.came);
        if self.has_failed(epoch) || !self.gateway.events.contains(INTERACTION) {
            return Err(dispatch);
        }
        let Some(due) = word::Due::of(&dispatch.data()) else {
            return Err(dispatch);
        };
        let (gateway, event) = (Arc::clone(&self.gateway), self.event(dispatch));
        let (tell, told) = oneshot::channel();
        let until = came + word::PATIENCE;
        self.words.spawn(word::give(Arc::clone(&gateway), due, told, until));
        let (queued, turn) = oneshot::channel();
        let before = self.pressed.replace(turn);
        let given = self.words.spawn(async move {
            if let Some(before) = before {
                // Queued or not: it is this one's turn.
                let _ = before.await;
            }
            let within = until.saturating_duration_since(Instant::now()).max(LEAST);
            let outcome = gateway.managed.inlet.enqueue(event, within).await;
            let _ = queued.send(());
            let accepted = outcome.await;
            let _ = tell.send(word_of(&accepted));
            accepted
        });
        Ok(Box::pin(async move {
            (epoch, seq, given.await.unwrap_or(Accepted::Unavailable))
        }))
    }

    fn event(&self, dispatch: Dispatch) -> Event {
        let progress = self.progress.borrow();
        let session = progress.session.as_ref().map_or("", |session| session.id.as_str());
        Event {
            transport: "discord".to_owned(),
            name: dispatch.name,
            method: String::new(),
            query: String::new(),
            headers: vec![("botyard-sequence".to_owned(), format!("{session}:{}", dispatch.seq))],
            payload: dispatch.frame.into_bytes(),
            received: now(),
        }
    }
}

impl Dispatch {
    /// Its `d`, read.
    fn data(&self) -> Value {
        let whole = serde_json::from_str::<Value>(&self.frame).ok();
        whole
            .and_then(|mut whole| whole.get_mut("d").map(Value::take))
            .unwrap_or_default()
    }
}

impl Gateway {
    /// Hands an event over with its facts, and then says so. Without them it would go to a wrong place: it is told again.
    async fn in_turn(&self, mut event: Event, data: &Value, done: oneshot::Sender<()>) -> Accepted {
        match self.facts_of(data).await {
            Ok(facts) => event.headers.extend(facts),
            Err(error) => {
                warn!(bot = %self.managed.bot, %error, "discord does not say where an event belongs");
                return Accepted::Unavailable;
            }
        }
        let outcome = self.managed.inlet.enqueue(event, PLAIN).await;
        let _ = done.send(());
        outcome.await
    }
}

fn word_of(accepted: &Accepted) -> Option<Answer> {
    match accepted {
        Accepted::Stored(answer) => answer.clone(),
        Accepted::Forged | Accepted::Unavailable => None,
    }
}

#[cfg(test)]
mod tests;
