//! The only way into a chat: shows the newest view of every turn through the bot's adapter, one call at a time
//! for a conversation, final views and questions before stream updates, stream updates coalesced to the
//! platform's budget. Final views and questions are stored before they are shown and shown until the vendor has
//! them, or an operator is told.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::chat::{BotName, CallError, Conversation, Target, TurnId, View};
use crate::store::{Journal, Result as StoreResult};

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
}

/// The newest view of a turn that goes on. Called when it is about to be sent, never under a lock of the outbox.
pub trait ViewSource: Send + Sync + 'static {
    fn view(&self) -> View;
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
}

/// One bot's outbox. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    _inner: Arc<()>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

impl Outbox {
    pub fn new(_bot: BotName, _journal: Journal, _presenter: Arc<dyn Presenter>, _pace: Pace) -> Self {
        todo!()
    }

    /// A turn that goes on is to be seen: its view is fetched from `source` whenever the budget allows, until
    /// `settle`. An [`crate::store::OutboxRow`] for the turn must be stored already.
    pub fn follow(&self, _turn: &TurnId, _target: &Target, _source: Arc<dyn ViewSource>) {
        todo!()
    }

    /// The view of a followed turn changed. Cheap, any number of times.
    pub fn touch(&self, _turn: &TurnId) {
        todo!()
    }

    /// This view was stored in the turn's outbox row (state `Pending`) and must be delivered: a question, or the
    /// end. A final view ends the following.
    pub fn settle(&self, _target: &Target, _view: View) {
        todo!()
    }

    /// Stores and shows a view that has no turn of an agent: the answer to a command, a refusal. Returns when it
    /// is on disk.
    pub async fn post(&self, _target: Target, _view: View) -> StoreResult<()> {
        todo!()
    }

    /// Takes up what a former run left pending. Once, before the bot takes events.
    pub async fn recover(&self) -> StoreResult<usize> {
        todo!()
    }

    /// Credentials were mended: what waits for that is tried again.
    pub fn authorized(&self) {
        todo!()
    }

    /// Waits until nothing is pending, or `within` is over; then ends all lanes. What is left is in the store.
    pub async fn close(&self, _within: Duration) {
        todo!()
    }
}
