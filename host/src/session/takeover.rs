//! A session in the operator's terminal: who has it, and how it comes back.
//!
//! It is held by a lock on a file, which the kernel ends with the last process that has it open: whoever took the session
//! over, and the guard of the CLI that was started, which outlives it. So however they end, and whether a host runs
//! meanwhile or not, whoever can take the lock knows that nobody speaks with the CLI any more. What is in the file says
//! where the conversation was; it stays until somebody has taken in what was said since.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::folder::{Folders, Ground, hash};
use super::{ChangeError, OPERATOR, transcript};
use crate::chat::{Block, Part, SessionId, Target, TurnId, UnixMillis, View, now};
use crate::driver::process::Program;
use crate::driver::{self, Exchange, Launch, Meanwhile};
use crate::lock::{self, Locked};
use crate::store::{Result as StoreResult, SessionRow, Store, TurnKind, TurnRow, TurnState};

const FOLDER: &str = "terminal";

/// Stands in the log where it is not known what was said.
const UNKNOWN: &str = "(The conversation went on in a terminal; what was said there is not in this log.)";

#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    #[error("session `{id}` is open in a terminal already{}", .pid.map(|pid| format!(", of process {pid}")).unwrap_or_default())]
    Held { id: SessionId, pid: Option<u32> },
    #[error("`{path}`: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// What is there must not be lost.
    #[error("what was said in a terminal before is not in the log of session `{0}` yet")]
    NotTakenIn(SessionId),
    #[error("session `{id}` cannot be opened in a terminal: {why}")]
    Unable { id: SessionId, why: String },
}

/// Where the conversation was when it was taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pid: u32,
    at: UnixMillis,
    /// How long each file of it was.
    marks: Vec<(PathBuf, u64)>,
}

/// The right to speak with one session's CLI, for as long as this is there, and what it was passed on to.
#[derive(Debug)]
pub struct Takeover {
    file: File,
    path: PathBuf,
    id: SessionId,
}

/// Where the lock of this session is. Its id is of our own making: letters and digits.
fn path(data_dir: &Path, id: &SessionId) -> PathBuf {
    data_dir.join(FOLDER).join(id.as_str())
}

/// All that there may be of this session here. The lock is last.
pub(super) fn files(data_dir: &Path, id: &SessionId) -> [PathBuf; 2] {
    let lock = path(data_dir, id);
    [visits(&lock), lock]
}

/// Removes what there is of a session that was forgotten. May block.
pub fn forget(data_dir: &Path, id: &SessionId) {
    for file in files(data_dir, id) {
        if let Err(error) = remove(&file) {
            tracing::warn!(file = %file.display(), %error, "a forgotten session's file stays");
        }
    }
}

/// What is not there is removed already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where the CLI tells to which conversations it goes.
fn visits(path: &Path) -> PathBuf {
    path.with_extension("visits")
}

impl Takeover {
    /// Takes the session, which exists. May block shortly.
    pub fn take(data_dir: &Path, id: &SessionId) -> Result<Self, TakeoverError> {
        let path = path(data_dir, id);
        let id = id.clone();
        match lock::lock(&path) {
            Ok(Locked::Taken(file)) => Ok(Self { file, path, id }),
            Ok(Locked::Held(mut file)) => {
                let pid = record(&mut file).ok().flatten().map(|record| record.pid);
                Err(TakeoverError::Held { id, pid })
            }
            Err(source) => Err(TakeoverError::Io { path, source }),
        }
    }

    /// Keeps the session from being begun with by others, in whatever process this goes to.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// What the one before left, if nobody has taken it in.
    pub fn left(&self) -> Result<Option<Left>, TakeoverError> {
        let left = self.file.try_clone().and_then(|mut file| {
            let path = self.path.clone();
            Ok(record(&mut file)?.map(|record| Left { file, path, record }))
        });
        left.map_err(|source| self.failed(source))
    }

    /// Nothing is to be taken in.
    pub fn settled(&self) -> Result<(), TakeoverError> {
        match self.left()? {
            Some(_) => Err(TakeoverError::NotTakenIn(self.id.clone())),
            None => Ok(()),
        }
    }

    /// What to start, when the host has let go of the session. Notes where the conversation is. May block.
    pub fn program(&mut self, ground: &Ground<'_>, row: &SessionRow) -> Result<Program, TakeoverError> {
        self.settled()?;
        let launch = launch(ground, row);
        let program =
            driver::in_terminal(ground.agent, &launch, &visits(&self.path)).map_err(|why| self.unable(why))?;
        for folder in [
            Some(&launch.workspace),
            launch.config_dir.as_ref(),
            Some(&launch.temp_dir),
        ] {
            let made = folder.map_or(Ok(()), fs::create_dir_all);
            made.map_err(|source| self.failed(source))?;
        }
        driver::before_terminal(ground.agent, &launch).map_err(|source| self.failed(source))?;
        let kept = driver::kept(
            ground.agent,
            launch.config_dir.as_deref(),
            &launch.temp_dir,
            &launch.cli_session,
        );
        let files = kept.unwrap_or_default().into_iter().filter(|path| path.is_file());
        let marks = files.map(|path| {
            let size = fs::metadata(&path).map_or(0, |found| found.len());
            (path, size)
        });
        let record = Record {
            pid: std::process::id(),
            at: now(),
            marks: marks.collect(),
        };
        let text = serde_json::to_vec(&record).map_err(|error| self.failed(error.into()))?;
        // Of one before, taken in.
        let written = remove(&visits(&self.path)).and_then(|()| lock::write(&mut self.file, &text));
        written.map_err(|source| self.failed(source))?;
        Ok(program)
    }

    /// The program could not be started: nothing was said.
    pub fn nothing(&mut self) {
        if let Err(error) = self.file.set_len(0).and_then(|()| remove(&visits(&self.path))) {
            tracing::error!(file = %self.path.display(), %error, "a terminal that was never there is taken in");
        }
    }

    fn failed(&self, source: io::Error) -> TakeoverError {
        let path = self.path.clone();
        TakeoverError::Io { path, source }
    }

    fn unable(&self, why: String) -> TakeoverError {
        let id = self.id.clone();
        TakeoverError::Unable { id, why }
    }
}

/// Whether the agent of this session has a form for a terminal.
pub fn possible(ground: &Ground<'_>, row: &SessionRow) -> Result<(), TakeoverError> {
    let tried = driver::in_terminal(ground.agent, &launch(ground, row), Path::new(""));
    tried.map(drop).map_err(|why| TakeoverError::Unable {
        id: row.id.clone(),
        why,
    })
}

fn launch(ground: &Ground<'_>, row: &SessionRow) -> Launch {
    let folders = Folders::at(ground, row);
    Launch {
        workspace: folders.workspace,
        config_dir: folders.config,
        temp_dir: folders.temp,
        cli_session: row.cli_session.clone().unwrap_or_default(),
        resume: true,
        fork: None,
        model: row.model.clone(),
        mode: row.mode.clone(),
        allowed: row.allowed.clone(),
        note: None,
    }
}

/// None: nothing is to be taken in. What is torn was never begun with: it is written before the CLI is started.
fn record(file: &mut File) -> io::Result<Option<Record>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).ok())
}

/// How it is with a session's terminal.
#[derive(Debug)]
pub enum Held {
    /// Nobody has it, and nothing is to be taken in.
    Free,
    /// Somebody speaks with the CLI.
    Yes,
    /// Nobody has it any more, and nobody else can take it while this is there.
    Left(Left),
    /// It is not known: the file cannot be read.
    Unknown(io::Error),
}

/// A session that comes back.
#[derive(Debug)]
pub struct Left {
    file: File,
    path: PathBuf,
    record: Record,
}

/// Looks who has it. May block shortly.
pub fn held(data_dir: &Path, id: &SessionId) -> Held {
    let path = path(data_dir, id);
    let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Held::Free,
        Err(error) => return Held::Unknown(error),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => match record(&mut file) {
            Ok(Some(record)) => Held::Left(Left { file, path, record }),
            Ok(None) => Held::Free,
            Err(error) => Held::Unknown(error),
        },
        Err(rustix::io::Errno::WOULDBLOCK) => Held::Yes,
        Err(error) => Held::Unknown(error.into()),
    }
}

/// Somebody speaks with it, for a list. May block shortly.
pub fn is_open(data_dir: &Path, id: &SessionId) -> bool {
    // A look takes the lock for a moment, and who takes the session then fails. Nobody speaks with it before there is a record.
    let written = fs::metadata(path(data_dir, id)).is_ok_and(|found| found.len() > 0);
    written && matches!(held(data_dir, id), Held::Yes)
}

/// Waits until nobody has it. Blocks, for as long as a person works there.
pub fn wait(data_dir: &Path, id: &SessionId) {
    if let Ok(file) = File::open(path(data_dir, id)) {
        while matches!(flock(&file, FlockOperation::LockShared), Err(rustix::io::Errno::INTR)) {}
    }
}

/// What a session was left with.
#[derive(Debug)]
pub struct Returned {
    left: Left,
    meanwhile: Meanwhile,
    /// The CLI has something of the conversation.
    kept: bool,
}

impl Left {
    /// Finds out what happened there. May block.
    pub fn look(self, ground: &Ground<'_>) -> Returned {
        let visits = fs::read_to_string(visits(&self.path)).unwrap_or_default();
        let meanwhile = driver::meanwhile(ground.agent, &self.record.marks, &visits);
        let id = meanwhile.went_to.last();
        let kept = id.is_none_or(|id| {
            let folders = self.record.marks.first().and_then(|(path, _)| path.parent());
            folders.is_none_or(|folder| folder.join(format!("{id}.jsonl")).exists())
        });
        Returned {
            left: self,
            meanwhile,
            kept,
        }
    }
}

impl Returned {
    /// Takes it in, in one job: the log, and which conversation the session goes on with. `row` is what whoever holds the
    /// session has; it is to be stored with that. How many turns there were that the log did not have: a host that is
    /// killed after this is stored takes it in once more.
    pub fn take_in(&self, store: &mut dyn Store, row: &mut SessionRow) -> StoreResult<u32> {
        if let Some(id) = self.meanwhile.went_to.last()
            && row.cli_session.as_ref() != Some(id)
        {
            // Another session's is not gone on with here.
            if store.cli_session_claim(id, &row.key)? {
                row.cli_session = Some(id.clone());
                row.resumable = self.kept;
            } else {
                tracing::warn!(session = %row.id, "a terminal went to another session's conversation; this one stays with its own");
            }
        }
        let unknown = [Exchange {
            prompt: String::new(),
            parts: vec![Part::Text(UNKNOWN.to_owned())],
        }];
        let said = self.meanwhile.said.as_deref().unwrap_or(&unknown);
        let mut new = 0;
        for (number, exchange) in (0_u32..).zip(said) {
            let turn = turn(row, exchange, self.left.record.at, number);
            if store.turn_get(&turn.id)?.is_some() {
                continue;
            }
            store.turn_put(&turn)?;
            new += 1;
            if self.meanwhile.said.is_none() {
                continue;
            }
            transcript::sum_up(row, &exchange.prompt, exchange.parts.iter());
        }
        row.updated = now();
        Ok(new)
    }

    /// It is in the store: nobody needs to look again.
    pub fn done(&self) {
        let path = &self.left.path;
        // In this order: without its record nobody reads the other.
        if let Err(error) = self.left.file.set_len(0).and_then(|()| remove(&visits(path))) {
            tracing::error!(file = %path.display(), %error, "what was said in a terminal is looked at twice");
        }
    }
}

/// `number`: its place in what was said since `at`. The same has the same id, however often it is taken in.
pub(super) fn turn(row: &SessionRow, exchange: &Exchange, at: UnixMillis, number: u32) -> TurnRow {
    let id = TurnId(hash(&[row.id.as_str(), &at.to_string(), &number.to_string()], 10));
    let mut view = View::single(Part::Text(String::new()));
    view.turn = id.clone();
    let block = |(id, part): (u32, &Part)| Block {
        id,
        parent: None,
        revision: 1,
        part: part.clone(),
        complete: true,
    };
    view.blocks = (1..).zip(&exchange.parts).map(block).collect();
    TurnRow {
        id,
        bot: row.bot.clone(),
        session: row.key.clone(),
        session_id: row.id.clone(),
        kind: TurnKind::Message,
        inbox: None,
        state: TurnState::Done,
        attempt: 1,
        target: Target {
            conversation: row.conversation.clone(),
            reply_to: Vec::new(),
            private_to: None,
        },
        asker: OPERATOR.to_owned(),
        prompt: exchange.prompt.clone(),
        opened: at,
        view: Some(view),
        files: Vec::new(),
    }
}

/// Nothing was said that an agent could go on with.
pub fn ready(row: &SessionRow) -> Result<(), ChangeError> {
    (row.resumable && row.cli_session.is_some())
        .then_some(())
        .ok_or(ChangeError::Nothing)
}
