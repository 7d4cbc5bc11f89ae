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

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::chat::{BotName, SessionId, TurnId, UnixMillis};
use crate::outbox::BoxFuture;
use crate::session::tail::Line;
use crate::store::{Counts, SessionRow, TurnPlace};

pub use letter::{Letter, LetterText};
pub use lock::Lock;
pub use socket::{Client, Lines, Listener};
pub use talk::{Adopted, Copied, Listed, Talk, TalkLog};

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
    /// Those of them whose agent runs something in the background.
    #[serde(default)]
    pub sessions_background: u64,
    /// Turns that run or wait for a decision.
    pub running: u64,
    /// Turns that wait in a queue.
    pub waiting: u64,
    /// None: nothing came since the start.
    pub last_event: Option<UnixMillis>,
    /// Events since the start.
    pub events: u64,
    /// Those of them that came to nothing.
    #[serde(default)]
    pub skipped: u64,
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
    /// The sessions, newest first, without the first `skip`; with `words`, those that have them.
    fn talks(&self, bot: Option<BotName>, words: Option<String>, skip: u32) -> BoxFuture<'_, Result<Listed, String>>;
    /// One session without what was said in it.
    fn session(&self, id: SessionId) -> BoxFuture<'_, Result<SessionRow, String>>;
    /// A page of what was said, from its end on, see [`TalkLog::before`].
    fn talk(&self, id: SessionId, before: Option<TurnPlace>) -> BoxFuture<'_, Result<TalkLog, String>>;
    /// Ends the turn that runs in it, or, where there is none, what runs in the background. False: nothing ran.
    fn interrupt(&self, id: SessionId) -> BoxFuture<'_, Result<bool, String>>;
    /// A copy of it; `current`: what is said next goes to that.
    fn fork(&self, id: SessionId, name: Option<String>, current: bool) -> BoxFuture<'_, Result<Copied, String>>;
    /// Brings the conversation in a file to its chat; `current`: what is said next goes to that.
    fn adopt(
        &self,
        id: SessionId,
        file: PathBuf,
        name: Option<String>,
        current: bool,
    ) -> BoxFuture<'_, Result<Adopted, String>>;
    /// Forgets it. What stays, a sentence each.
    fn delete(&self, id: SessionId) -> BoxFuture<'_, Result<Vec<String>, String>>;
    /// What happens from now on, in one session or in all; before that, the newest `since` turns of the one.
    fn tail(&self, id: Option<SessionId>, since: u32) -> BoxFuture<'_, Result<Box<dyn Watching>, String>>;
    /// Gives it to whoever asks and holds its lock; `wait`: after the turn that runs. Dropped, nobody waits.
    fn attach(&self, id: SessionId, wait: bool) -> BoxFuture<'_, Result<SessionRow, String>>;
    /// Takes it back.
    fn returned(&self, id: SessionId) -> BoxFuture<'_, Result<(), String>>;
}

/// What goes on.
pub trait Watching: Send {
    /// What happened since the last call; waits for something. Cancel safe.
    fn next(&mut self) -> BoxFuture<'_, Vec<Line>>;
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
        #[serde(default)]
        skip: u32,
    },
    Session {
        id: SessionId,
    },
    Talk {
        id: SessionId,
        #[serde(default)]
        before: Option<TurnPlace>,
    },
    Interrupt {
        id: SessionId,
    },
    Fork {
        id: SessionId,
        name: Option<String>,
        current: bool,
    },
    Adopt {
        id: SessionId,
        file: PathBuf,
        name: Option<String>,
        current: bool,
    },
    Delete {
        id: SessionId,
    },
    Tail {
        id: Option<SessionId>,
        since: u32,
    },
    Attach {
        id: SessionId,
        wait: bool,
    },
    Returned {
        id: SessionId,
    },
}

impl Request {
    /// The connection stays for as long as it takes, or as whoever asks likes.
    const fn lasts(&self) -> bool {
        matches!(
            self,
            Self::Tail { .. } | Self::Attach { .. } | Self::Adopt { .. } | Self::Delete { .. }
        )
    }
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

fn understood(line: &[u8]) -> Result<Request, Answer> {
    serde_json::from_slice(line).map_err(|error| {
        Answer::Refused(format!(
            "the host (version {}) does not understand the request: {error}",
            env!("CARGO_PKG_VERSION")
        ))
    })
}

/// To a request that lasts: the answer, and what follows it.
async fn answer_lasting(handler: &dyn ControlHandler, request: Request) -> (Answer, Option<Box<dyn Watching>>) {
    match request {
        Request::Tail { id, since } => match handler.tail(id, since).await {
            Ok(lines) => (Answer::of(Ok(())), Some(lines)),
            Err(sentence) => (Answer::Refused(sentence), None),
        },
        Request::Attach { id, wait } => (Answer::of(handler.attach(id, wait).await), None),
        other => (answer(handler, other).await, None),
    }
}

async fn answer(handler: &dyn ControlHandler, request: Request) -> Answer {
    match request {
        Request::Status => Answer::of(handler.status().await),
        Request::Letters => Answer::of(handler.letters().await),
        Request::Letter { turn } => Answer::of(handler.letter(turn).await),
        Request::Retry { turn } => Answer::of(handler.retry(turn).await),
        Request::Discard { turn } => Answer::of(handler.discard(turn).await),
        Request::Talks { bot, words, skip } => Answer::of(handler.talks(bot, words, skip).await),
        Request::Session { id } => Answer::of(handler.session(id).await),
        Request::Talk { id, before } => Answer::of(handler.talk(id, before).await),
        Request::Interrupt { id } => Answer::of(handler.interrupt(id).await),
        Request::Fork { id, name, current } => Answer::of(handler.fork(id, name, current).await),
        Request::Adopt {
            id,
            file,
            name,
            current,
        } => Answer::of(handler.adopt(id, file, name, current).await),
        Request::Delete { id } => Answer::of(handler.delete(id).await),
        Request::Returned { id } => Answer::of(handler.returned(id).await),
        Request::Tail { .. } | Request::Attach { .. } => Answer::Refused("this lasts".to_owned()),
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

    pub async fn talks(&self, bot: Option<BotName>, words: Option<String>, skip: u32) -> Result<Listed, ControlError> {
        self.ask(&Request::Talks { bot, words, skip }).await
    }

    pub async fn session(&self, id: &SessionId) -> Result<SessionRow, ControlError> {
        self.ask(&Request::Session { id: id.clone() }).await
    }

    /// A page of what was said, from its end on, see [`TalkLog::before`].
    pub async fn talk(&self, id: &SessionId, before: Option<TurnPlace>) -> Result<TalkLog, ControlError> {
        let id = id.clone();
        self.ask(&Request::Talk { id, before }).await
    }

    pub async fn interrupt(&self, id: &SessionId) -> Result<bool, ControlError> {
        self.ask(&Request::Interrupt { id: id.clone() }).await
    }

    pub async fn fork(&self, id: &SessionId, name: Option<String>, current: bool) -> Result<Copied, ControlError> {
        let id = id.clone();
        self.ask(&Request::Fork { id, name, current }).await
    }

    /// May take long: as long as it takes to read the file. `file`: absolute, and the host's user can read it.
    pub async fn adopt(
        &self,
        id: &SessionId,
        file: PathBuf,
        name: Option<String>,
        current: bool,
    ) -> Result<Adopted, ControlError> {
        let id = id.clone();
        let request = Request::Adopt {
            id,
            file,
            name,
            current,
        };
        Ok(self.ask_lasting(&request).await?.0)
    }

    /// May take long: as long as it takes to remove a folder with all that is in it.
    pub async fn delete(&self, id: &SessionId) -> Result<Vec<String>, ControlError> {
        Ok(self.ask_lasting(&Request::Delete { id: id.clone() }).await?.0)
    }

    /// What happens from now on, see [`ControlHandler::tail`].
    pub async fn tail(&self, id: Option<SessionId>, since: u32) -> Result<Following, ControlError> {
        let ((), lines) = self.ask_lasting(&Request::Tail { id, since }).await?;
        Ok(Following { lines })
    }

    /// May take as long as the turn that runs. Dropped, it is not wanted any more.
    pub async fn attach(&self, id: &SessionId, wait: bool) -> Result<SessionRow, ControlError> {
        let id = id.clone();
        Ok(self.ask_lasting(&Request::Attach { id, wait }).await?.0)
    }

    pub async fn returned(&self, id: &SessionId) -> Result<(), ControlError> {
        self.ask(&Request::Returned { id: id.clone() }).await
    }

    async fn ask_lasting<T: DeserializeOwned>(&self, request: &Request) -> Result<(T, Lines), ControlError> {
        let mut lines = self.lines(line_of(request)?).await?;
        let gone = || ControlError::Protocol("the host ended".to_owned());
        let answered = lines.next().await?.ok_or_else(gone)?;
        Ok((read_answer(&answered)?, lines))
    }

    async fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ControlError> {
        let answered = self.exchange(line_of(request)?).await?;
        read_answer(&answered)
    }
}

fn line_of(request: &Request) -> Result<Vec<u8>, ControlError> {
    serde_json::to_vec(request).map_err(|error| ControlError::Protocol(error.to_string()))
}

fn read_answer<T: DeserializeOwned>(answered: &[u8]) -> Result<T, ControlError> {
    let understood = |error: serde_json::Error| ControlError::Protocol(error.to_string());
    match serde_json::from_slice(answered).map_err(understood)? {
        Answer::Ok(value) => serde_json::from_value(value).map_err(understood),
        Answer::Refused(sentence) => Err(ControlError::Refused(sentence)),
    }
}

/// What the host tells of sessions while it happens.
#[derive(Debug)]
pub struct Following {
    lines: Lines,
}

impl Following {
    /// The next thing that happened; none: the host ended. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Line>, ControlError> {
        let Some(line) = self.lines.next().await? else {
            return Ok(None);
        };
        let parsed = serde_json::from_slice(&line).map_err(|error| ControlError::Protocol(error.to_string()))?;
        Ok(Some(parsed))
    }
}
