//! One agent's memory under one key. [`Registry`] finds the session (a cheap handle); behind it an actor owns
//! everything and runs one turn at a time. Knows agents and the outbox; does not know adapters.

mod actor;
pub mod adopt;
pub mod copy;
pub mod damage;
mod ended;
mod folder;
pub mod process;
pub mod question;
mod registry;
pub mod removal;
pub mod search;
mod spare;
pub mod tail;
pub mod takeover;
pub mod transcript;
mod tray;
pub mod turn;
pub mod view;
pub mod watch;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::chat::{BotName, InboxId, SessionId, Target, TurnId};
use crate::config::{AgentProfile, Scope, WhileRunning};
use crate::driver::Offers;
use crate::store::{InFile, SessionRow, TurnKind};

pub use ended::Ended;
pub use folder::Ground;
pub use process::{Bounds as ProcessBounds, Gauge, Processes};
pub use registry::{Registry, Start};

/// Who asks or does something at the terminal, as logs and the audit have it.
pub const OPERATOR: &str = "operator";

/// What sessions of one bot share.
#[derive(Debug, Clone)]
pub struct SessionRules {
    pub bot: BotName,
    pub scope: Scope,
    /// Who is asked where nobody is named.
    pub agent: Arc<AgentProfile>,
    /// Each has sessions of its own, under keys with its name in them, and its replies say it.
    pub further: Vec<Arc<AgentProfile>>,
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
    pub show_usage: bool,
    /// Where the host keeps the bot's files.
    pub files_dir: PathBuf,
    /// What may go from the agent into the chat.
    pub bounds: Bounds,
    /// Told of turns that came to an end.
    pub ended: Option<Ended>,
}

impl SessionRules {
    /// What of them says where sessions live.
    pub fn ground(&self) -> Ground<'_> {
        Ground {
            bot: &self.bot,
            agent: &self.agent,
            workspace: &self.workspace,
            shared: self.workspace_shared,
            data_dir: &self.data_dir,
        }
    }
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
    /// What becomes of it while a turn runs.
    pub way: WhileRunning,
    pub kind: TurnKind,
    pub inbox: Option<InboxId>,
    /// Further rows of the inbox that are part of it: an album's.
    pub also: Vec<InboxId>,
    /// The row whose place it has among what waits, where that is not its own: of the message that it is a part of.
    pub place: Option<InboxId>,
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
    /// Of the turn that runs; none: no agent has it yet.
    pub spent: Option<watch::Spent>,
    /// The one that the agent said it uses.
    pub model: Option<String>,
    pub agent: String,
    pub cli_session: Option<String>,
    pub row: SessionRow,
    /// What the agent said of itself since its process began.
    pub offers: Offers,
    /// It is in a terminal.
    pub away: bool,
    /// What waits, in its order.
    pub queue: Vec<Waiting>,
    /// Tasks that its agent runs in the background.
    pub background: u32,
}

/// A session that has a process or a turn, as whoever lists sessions sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    pub row: SessionRow,
    /// Tasks that its agent runs in the background.
    pub background: u32,
}

/// What became of what was under way when a new conversation was begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Begun {
    /// Messages that wait and go on in the new one.
    pub waiting: usize,
    /// Tasks in the background that ended with the old one's process.
    pub background: u32,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub asker: String,
    pub prompt: String,
}

/// A session's name has at most so many characters.
pub const NAME_MAX: usize = 80;

/// The modes that people may choose: of those that the agent has, or, before it has told them, may have.
pub fn modes(agent: &AgentProfile, offers: &Offers) -> Vec<String> {
    let has = |mode: &&&str| {
        offers
            .modes
            .as_ref()
            .is_none_or(|all| all.iter().any(|one| one == **mode))
    };
    let modes = agent.chat_modes().iter().filter(has);
    modes.map(|mode| (*mode).to_owned()).collect()
}

/// What people change about a session between turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This one, of the same key, is current from now on.
    Switch(SessionId),
    Rename(String),
    /// A copy of the current one is current from now on.
    Fork,
    /// None: the agent's own.
    Model(Option<String>),
    /// None: the agent's own.
    Mode(Option<String>),
    /// Takes what waits at this place, from 1, out of the queue. `of`: only if this person said it.
    Drop {
        place: usize,
        of: Option<String>,
    },
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("there is no such session or place")]
    Unknown,
    #[error("a turn runs or waits")]
    Busy,
    /// Nothing else runs. What would be done ends the agent's process, and that task with it.
    #[error("a task of the agent runs on in the background")]
    Background,
    #[error("nothing was said yet")]
    Nothing,
    #[error("it is open in a terminal")]
    Away,
    #[error("the agent cannot do that")]
    Unable,
    #[error("this is no name")]
    NotTaken,
    #[error("no model is called so")]
    NoModel,
    #[error("the agent does not offer it")]
    NotOffered(Vec<String>),
    #[error("somebody else said it")]
    NotTheirs,
    #[error("it could not be done now: {0}")]
    Unavailable(String),
}
