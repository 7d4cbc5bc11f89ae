//! A message on its way from agent to agent: what of it must survive.

use serde::{Deserialize, Serialize};

use super::InFile;
use crate::chat::{BotName, InboxId, Origin, RouteStep, SessionKey, Target, TurnId};

/// What became of the part of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Came {
    Answered(String),
    /// Why, as a sentence for people.
    Failed(String),
    /// By a person.
    Stopped,
}

/// One agent of the step that is worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPart {
    pub agent: String,
    /// What it has to do, as an item of the inbox.
    pub item: InboxId,
    /// None: it has not ended.
    pub came: Option<Came>,
}

/// A message that goes to several agents, or from one to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// The message that began it.
    pub id: InboxId,
    pub bot: BotName,
    /// As the bot's first agent has it there.
    pub session: SessionKey,
    /// None: it was said to several agents at once.
    pub route: Option<String>,
    /// As they were when it began.
    pub steps: Vec<RouteStep>,
    /// The one that is worked on, from 0.
    pub step: usize,
    /// What its agents are told.
    pub text: String,
    pub parts: Vec<RunPart>,
    /// Who did not answer in the steps before, and why.
    pub missed: Vec<(String, Came)>,
    /// A person ended it: no further step begins.
    pub stopped: bool,
    pub open: bool,
    /// Who said it, and where.
    pub origin: Origin,
    pub target: Target,
    /// The turn whose conversation `target` has: it may move once more.
    #[serde(default)]
    pub via: Option<TurnId>,
    /// What was said, as it was composed.
    pub message: String,
    pub files: Vec<InFile>,
    /// The agents of the first step are to stop what they do.
    pub now: bool,
}

impl RunRow {
    /// What its last word is called in the outbox.
    pub fn last_word(id: InboxId) -> TurnId {
        TurnId(format!("run{}", id.0))
    }

    /// It is over: what was said and answered is in the agents' sessions, and no second time here.
    pub fn close(&mut self) {
        self.open = false;
        self.text.clear();
        self.message.clear();
        self.files.clear();
        self.missed.clear();
        for part in &mut self.parts {
            if let Some(Came::Answered(text) | Came::Failed(text)) = &mut part.came {
                text.clear();
            }
        }
    }
}
