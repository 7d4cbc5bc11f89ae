//! How an operator's commands reach the one running host of a data folder: a Unix socket there (mode 0600, the same
//! user only), one JSON line each way. And the lock that keeps it the one.
//!
//! What a running host does when it is asked is a [`ControlHandler`]; the dead letters of a host that does not run are
//! reached through [`letter`] directly.

pub mod letter;
mod lock;
mod socket;
pub mod talk;
#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::chat::{BotName, SessionId, TurnId, UnixMillis};
use crate::outbox::BoxFuture;
use crate::store::Counts;

pub use letter::{Letter, LetterText};
pub use lock::Lock;
pub use socket::{Client, Listener};
pub use talk::{Copied, Listed, Talk, TalkLog};

/// Why an operator's command did not reach the host, or was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ControlError {
    /// Another host runs on this data folder. The process id, where it is known.
    #[error("a host runs already in `{folder}`{}", .pid.map(|pid| format!(", process {pid}")).unwrap_or_default())]
    Running { folder: String, pid: Option<u32> },
    /// No host runs on this data folder.
    #[error("no host runs in `{0}`")]
    NotRunning(String),
    /// A file or the socket.
    #[error("`{path}`: {reason}")]
    Io { path: String, reason: String },
    /// The host answered something else than this version expects.
    #[error("the host's answer was not understood: {0}")]
    Protocol(String),
    /// The host refused, in its words.
    #[error("{0}")]
    Refused(String),
}

/// How the host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Of the host that runs, which may be another than the one that asks.
    pub version: String,
    pub pid: u32,
    pub started: UnixMillis,
    /// Address and port.
    pub listen: String,
    pub bots: Vec<BotStatus>,
    /// What the store holds, over all bots.
    pub counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotStatus {
    pub name: BotName,
    pub adapter: String,
    /// `connecting`, `live`, `degraded` or `refused`.
    pub connection: String,
    /// Since when it is so.
    #[serde(default)]
    pub since: Option<UnixMillis>,
    /// When something last came over it, if only a sign of life; none: nothing since the start.
    #[serde(default)]
    pub heard: Option<UnixMillis>,
    /// Why, where it is degraded or refused.
    pub detail: Option<String>,
    /// When it is tried again.
    #[serde(default)]
    pub retry_at: Option<UnixMillis>,
    pub agent: String,
    /// Sessions with a live process.
    pub sessions_live: u64,
    /// Turns that run or wait for a decision.
    pub running: u64,
    /// Turns that wait in a queue.
    pub waiting: u64,
    /// None: nothing came since the start.
    pub last_event: Option<UnixMillis>,
    /// Events since the start.
    pub events: u64,
    /// Calls into the adapter that failed since the start, and why the last did.
    pub failures: u64,
    pub last_failure: Option<String>,
}

/// What a running host answers. Implemented where the host is put together.
pub trait ControlHandler: Send + Sync + 'static {
    fn status(&self) -> BoxFuture<'_, Result<StatusReport, String>>;
    /// The dead letters, newest first.
    fn letters(&self) -> BoxFuture<'_, Result<Vec<Letter>, String>>;
    fn letter(&self, turn: TurnId) -> BoxFuture<'_, Result<LetterText, String>>;
    /// To be delivered again, from the beginning.
    fn retry(&self, turn: TurnId) -> BoxFuture<'_, Result<Letter, String>>;
    /// Never to be delivered.
    fn discard(&self, turn: TurnId) -> BoxFuture<'_, Result<Letter, String>>;
    /// The sessions, newest first; with `words`, those that have them.
    fn talks(&self, bot: Option<BotName>, words: Option<String>) -> BoxFuture<'_, Result<Listed, String>>;
    fn talk(&self, id: SessionId) -> BoxFuture<'_, Result<TalkLog, String>>;
    /// Ends the turn that runs in it. False: nothing ran.
    fn interrupt(&self, id: SessionId) -> BoxFuture<'_, Result<bool, String>>;
    /// A copy of it; `current`: what is said next goes to that.
    fn fork(&self, id: SessionId, name: Option<String>, current: bool) -> BoxFuture<'_, Result<Copied, String>>;
    /// Forgets it. What stays, a sentence each.
    fn delete(&self, id: SessionId) -> BoxFuture<'_, Result<Vec<String>, String>>;
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Request {
    Status,
    Letters,
    Letter {
        turn: TurnId,
    },
    Retry {
        turn: TurnId,
    },
    Discard {
        turn: TurnId,
    },
    Talks {
        bot: Option<BotName>,
        words: Option<String>,
    },
    Talk {
        id: SessionId,
    },
    Interrupt {
        id: SessionId,
    },
    Fork {
        id: SessionId,
        name: Option<String>,
        current: bool,
    },
    Delete {
        id: SessionId,
    },
}

/// What is answered: a value that the request tells, or a sentence.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Ok(serde_json::Value),
    Refused(String),
}

impl Answer {
    fn of<T: Serialize>(result: Result<T, String>) -> Self {
        match result.and_then(|value| serde_json::to_value(value).map_err(|error| error.to_string())) {
            Ok(value) => Self::Ok(value),
            Err(sentence) => Self::Refused(sentence),
        }
    }
}

async fn answer(handler: &dyn ControlHandler, line: &[u8]) -> Answer {
    match serde_json::from_slice::<Request>(line) {
        Ok(Request::Status) => Answer::of(handler.status().await),
        Ok(Request::Letters) => Answer::of(handler.letters().await),
        Ok(Request::Letter { turn }) => Answer::of(handler.letter(turn).await),
        Ok(Request::Retry { turn }) => Answer::of(handler.retry(turn).await),
        Ok(Request::Discard { turn }) => Answer::of(handler.discard(turn).await),
        Ok(Request::Talks { bot, words }) => Answer::of(handler.talks(bot, words).await),
        Ok(Request::Talk { id }) => Answer::of(handler.talk(id).await),
        Ok(Request::Interrupt { id }) => Answer::of(handler.interrupt(id).await),
        Ok(Request::Fork { id, name, current }) => Answer::of(handler.fork(id, name, current).await),
        Ok(Request::Delete { id }) => Answer::of(handler.delete(id).await),
        Err(error) => Answer::Refused(format!(
            "the host (version {}) does not understand the request: {error}",
            env!("CARGO_PKG_VERSION")
        )),
    }
}

impl Client {
    pub async fn status(&self) -> Result<StatusReport, ControlError> {
        self.ask(&Request::Status).await
    }

    pub async fn letters(&self) -> Result<Vec<Letter>, ControlError> {
        self.ask(&Request::Letters).await
    }

    pub async fn letter(&self, turn: &TurnId) -> Result<LetterText, ControlError> {
        self.ask(&Request::Letter { turn: turn.clone() }).await
    }

    pub async fn retry(&self, turn: &TurnId) -> Result<Letter, ControlError> {
        self.ask(&Request::Retry { turn: turn.clone() }).await
    }

    pub async fn discard(&self, turn: &TurnId) -> Result<Letter, ControlError> {
        self.ask(&Request::Discard { turn: turn.clone() }).await
    }

    pub async fn talks(&self, bot: Option<BotName>, words: Option<String>) -> Result<Listed, ControlError> {
        self.ask(&Request::Talks { bot, words }).await
    }

    pub async fn talk(&self, id: &SessionId) -> Result<TalkLog, ControlError> {
        self.ask(&Request::Talk { id: id.clone() }).await
    }

    pub async fn interrupt(&self, id: &SessionId) -> Result<bool, ControlError> {
        self.ask(&Request::Interrupt { id: id.clone() }).await
    }

    pub async fn fork(&self, id: &SessionId, name: Option<String>, current: bool) -> Result<Copied, ControlError> {
        let id = id.clone();
        self.ask(&Request::Fork { id, name, current }).await
    }

    pub async fn delete(&self, id: &SessionId) -> Result<Vec<String>, ControlError> {
        self.ask(&Request::Delete { id: id.clone() }).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ControlError> {
        let line = serde_json::to_vec(request).map_err(|error| ControlError::Protocol(error.to_string()))?;
        let answered = self.exchange(line).await?;
        let understood = |error: serde_json::Error| ControlError::Protocol(error.to_string());
        match serde_json::from_slice(&answered).map_err(understood)? {
            Answer::Ok(value) => serde_json::from_value(value).map_err(understood),
            Answer::Refused(sentence) => Err(ControlError::Refused(sentence)),
        }
    }
}
