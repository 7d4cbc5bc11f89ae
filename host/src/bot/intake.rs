//! Where the events of a connection stand in line: translated side by side, stored in the order in which they came.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Bot;
use crate::chat::{CallError, Event};
use crate::outbox::BoxFuture;
use crate::plugin::Emitted;
use crate::transport::Accepted as Taken;

/// Events that wait in line before whoever brings more has to wait.
const LINE: usize = 256;
/// Events that are translated at the same time.
const AT_ONCE: usize = 16;

/// An event in line.
#[derive(Debug)]
pub(super) struct Waiting {
    event: Event,
    begun: Instant,
    within: Duration,
    /// Dropped: nothing was stored.
    outcome: oneshot::Sender<Taken>,
}

pub(super) fn line() -> (mpsc::Sender<Waiting>, mpsc::Receiver<Waiting>) {
    mpsc::channel(LINE)
}

impl Bot {
    /// Takes a place in the line; the outcome comes later.
    pub(super) async fn line_up(&self, event: Event, within: Duration) -> BoxFuture<'static, Taken> {
        let (outcome, told) = oneshot::channel();
        let waiting = Waiting {
            event,
            begun: Instant::now(),
            within,
            outcome,
        };
        // A closed line drops it, and that is its outcome.
        let _ = self.inner.intake.send(waiting).await;
        Box::pin(async move { told.await.unwrap_or(Taken::Unavailable) })
    }

    /// The same for a link.
    pub(super) async fn line_up_link(&self, event: Event, within: Duration) -> BoxFuture<'static, Emitted> {
        let outcome = self.line_up(event, within).await;
        Box::pin(async move {
            match outcome.await {
                Taken::Stored(answer) => Ok(answer),
                Taken::Forged => Err(CallError::Unauthorized("the event is forged".into())),
                Taken::Unavailable => Err(CallError::Unavailable("the event could not be stored".into())),
            }
        })
    }

    /// Works through the line until the bot stops. What is in it then was not acknowledged, so it comes again.
    pub(super) async fn run_intake(self, mut line: mpsc::Receiver<Waiting>) {
        let mut translating = FuturesOrdered::new();
        loop {
            tokio::select! {
                biased;
                () = self.inner.stop.cancelled() => return,
                Some(translated) = translating.next(), if !translating.is_empty() => {
                    // A task that was cancelled has no outcome, which says so.
                    if let Ok((waiting, translated)) = translated {
                        self.take_in_turn(waiting, translated).await;
                    }
                }
                waiting = line.recv(), if translating.len() < AT_ONCE => {
                    let Some(waiting) = waiting else { return };
                    let bot = self.clone();
                    translating.push_back(self.inner.tasks.spawn(async move {
                        let translated = bot.translated(&waiting.event, waiting.begun, waiting.within).await;
                        (waiting, translated)
                    }));
                }
            }
        }
    }

    async fn take_in_turn(&self, waiting: Waiting, translated: Result<crate::chat::Translated, super::Untranslated>) {
        let deadline = waiting.begun + waiting.within;
        match self.stored(&waiting.event, translated).await {
            Err(taken) => {
                let _ = waiting.outcome.send(taken);
            }
            Ok((accepted, answer)) => {
                let spoken = self.hand_in(accepted);
                if spoken.is_empty() {
                    let _ = waiting.outcome.send(Taken::Stored(answer));
                    return;
                }
                let bot = self.clone();
                self.inner.tasks.spawn(async move {
                    let taken = bot.answered(spoken, answer, deadline).await;
                    let _ = waiting.outcome.send(taken);
                });
            }
        }
    }
}
