//! One agent's memory under one key. [`Registry`] finds the [`Session`] (a cheap handle); behind it an actor owns
//! everything and runs one turn at a time. Knows agents and the outbox; does not know adapters.

pub mod actor;
pub mod turn;
pub mod view;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::chat::{BotName, Conversation, InboxId, SessionKey, Target, TurnId};
use crate::config::{AgentProfile, Scope};
use crate::outbox::Outbox;
use crate::store::{AskRow, Decision, Journal, SessionRow, TurnRow};

/// What sessions of one bot share.
#[derive(Debug, Clone)]
pub struct SessionRules {
    pub bot: BotName,
    pub scope: Scope,
    pub agent: Arc<AgentProfile>,
    /// The bot's workspace; sessions get folders below it unless it is shared.
    pub workspace: PathBuf,
    pub workspace_shared: bool,
    /// Where per-user config folders and per-session temporary folders go.
    pub data_dir: PathBuf,
    pub queue_limit: usize,
    pub ask_timeout: Duration,
    pub show_thinking: bool,
}

/// A message for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub inbox: Option<InboxId>,
    /// The vendor's id of who asks.
    pub asker: String,
    pub text: String,
    pub target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("{0} messages wait already")]
    Full(usize),
    #[error("the session is closing")]
    Closed,
}

/// How a session is, for `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    pub live: bool,
    pub running: Option<TurnId>,
    pub waiting: usize,
    pub asking: bool,
    pub model: Option<String>,
    pub agent: String,
    pub cli_session: Option<String>,
}

/// All live sessions of one bot. Never awaits a member's inbox.
#[derive(Debug, Clone)]
pub struct Registry {}

impl Registry {
    /// `processes`: permits for live CLI processes, shared by all bots.
    pub fn new(
        _rules: SessionRules,
        _journal: Journal,
        _outbox: Outbox,
        _processes: Arc<tokio::sync::Semaphore>,
    ) -> Self {
        todo!()
    }

    /// Whose session a message belongs to.
    pub fn key(&self, _conversation: &Conversation, _person: &str) -> SessionKey {
        todo!()
    }

    /// Queues a message; the session and its process are made when they are needed. Returns once the turn is on
    /// disk. `Full`: nothing was kept, tell the person.
    pub async fn submit(&self, _key: &SessionKey, _prompt: Prompt) -> Result<TurnId, SubmitError> {
        todo!()
    }

    /// Goes on with a turn of a former run: queued ones wait again, running ones are done again with a notice that
    /// steps may have run twice, asking ones wait for their decision.
    pub async fn restore(&self, _turn: TurnRow) {
        todo!()
    }

    /// Ends the running turn (keeps the queue). False: nothing ran.
    pub async fn stop(&self, _key: &SessionKey) -> bool {
        todo!()
    }

    /// A person decided; the decision is stored already. The agent is told, by way of a resumed process if need be.
    pub async fn decide(&self, _ask: &AskRow, _decision: Decision) {
        todo!()
    }

    /// Forgets the agent's memory: the next message begins a fresh conversation. Ends a running turn.
    pub async fn reset(&self, _key: &SessionKey) {
        todo!()
    }

    pub async fn status(&self, _key: &SessionKey) -> Option<SessionStatus> {
        todo!()
    }

    /// Live handles, for the operator.
    pub fn live(&self) -> BTreeMap<SessionKey, SessionRow> {
        todo!()
    }

    /// No new messages; running turns may finish within `within`, then are left for the next start. Ends all
    /// processes.
    pub async fn close(&self, _within: Duration) {
        todo!()
    }
}
