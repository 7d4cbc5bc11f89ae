//! One agent's memory under one key. [`Registry`] finds the session (a cheap handle); behind it an actor owns
//! everything and runs one turn at a time. Knows agents and the outbox; does not know adapters.

mod actor;
mod folder;
pub mod process;
pub mod question;
mod registry;
mod tray;
pub mod turn;
pub mod view;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::chat::{BotName, InboxId, Target, TurnId};
use crate::config::{AgentProfile, Scope};
use crate::store::InFile;

pub use process::Processes;
pub use registry::{Registry, Start};

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
    /// Messages that may wait behind the one that is worked on.
    pub queue_limit: usize,
    pub ask_timeout: Duration,
    /// What the platform can show of a question.
    pub shows: question::Shows,
    pub show_thinking: bool,
    /// Where the host keeps the bot's files.
    pub files_dir: PathBuf,
    /// What may go from the agent into the chat.
    pub bounds: Bounds,
}

/// Files that may go into the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// None: the platform takes no files.
    pub upload_max_bytes: Option<u64>,
    /// The operator's.
    pub files_max_bytes: u64,
}

/// A message for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub inbox: Option<InboxId>,
    /// Further rows of the inbox that are part of it: an album's.
    pub also: Vec<InboxId>,
    /// The vendor's id of who asks.
    pub asker: String,
    pub text: String,
    pub target: Target,
    /// What came with it.
    pub files: Vec<InFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("{0} messages wait already")]
    Full(usize),
    #[error("the session is closing")]
    Closed,
    /// Nothing was kept: try again later.
    #[error("the message could not be stored: {0}")]
    Unavailable(String),
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
