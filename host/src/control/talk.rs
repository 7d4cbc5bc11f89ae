//! Sessions for the operator: which there are, and what was said. Works on the journal, whether the host runs or not;
//! what runs just now only the host knows.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::{JoinError, spawn_blocking};

use crate::chat::{BotName, SessionId};
use crate::config::{Config, DriverKind};
use crate::driver::BringError;
use crate::session::removal::{self, RemovalError};
use crate::session::tail::{self, Line};
use crate::session::takeover::{self, Held, Left};
use crate::session::{ChangeError, Ground, adopt, copy, search};
use crate::store::{Journal, Result as StoreResult, SessionRow, StoreError, TurnPage, TurnPlace, TurnRow, TurnState};

/// Listed at most.
pub const LISTED_MAX: u32 = 500;
/// Turns that are told of one session before what happens now, the newest.
pub const TURNS_MAX: u32 = 2000;
/// Turns of one page of a log: it has to fit into an answer, with all that an agent may say in each.
const PAGE: u32 = 50;

/// One session in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    #[serde(flatten)]
    pub session: SessionRow,
    /// It has a process just now; none: no host runs that could tell.
    pub live: Option<bool>,
    /// Tasks that its agent runs in the background just now: with some, its process is closed for nobody.
    #[serde(default)]
    pub background: u32,
    /// Somebody speaks with it in a terminal.
    #[serde(default)]
    pub terminal: bool,
}

/// Sessions, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub talks: Vec<Talk>,
    /// There may be more.
    pub bounded: bool,
}

/// A session that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    pub session: SessionRow,
    /// Why it is not the current one, where it was to be.
    pub aside: Option<String>,
}

/// A conversation that was brought to a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    pub session: SessionRow,
    /// Why it is not the current one, where it was to be.
    pub aside: Option<String>,
    /// Where it was spoken to, if it says so.
    pub worked_in: Option<PathBuf>,
    /// Where the agent works now.
    pub works_in: PathBuf,
}

/// A session with what was said, or a page of that, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalkLog {
    pub session: SessionRow,
    pub turns: Vec<TurnRow>,
    /// Where what was said before that is. None: nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<TurnPlace>,
}

impl TalkLog {
    /// All of it: `page` gives the page before a place, or the last one.
    ///
    /// # Errors
    /// Those of `page`.
    pub async fn whole<E>(mut page: impl AsyncFnMut(Option<TurnPlace>) -> Result<Self, E>) -> Result<Self, E> {
        let mut log = page(None).await?;
        let mut pages = vec![std::mem::take(&mut log.turns)];
        while let Some(place) = log.before {
            let before = page(Some(place)).await?;
            log.before = before.before;
            pages.push(before.turns);
        }
        log.turns = pages.into_iter().rev().flatten().collect();
        Ok(log)
    }
}

/// Why a session cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    #[error("there is no session `{0}`")]
    Unknown(SessionId),
    #[error(transparent)]
    Removal(#[from] RemovalError),
    /// It is as it was.
    #[error("the session was not changed: {0}")]
    Change(#[from] ChangeError),
    /// Nothing was brought.
    #[error(transparent)]
    Bring(#[from] BringError),
    /// It cannot be gone on with.
    #[error("bots.toml has no bot `{bot}` with an agent `{agent}`")]
    Homeless { bot: BotName, agent: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Newest first, at most [`LISTED_MAX`] after the first `skip`, fewer where some cannot be read; with `words`, those that
/// have them all.
pub async fn list(
    journal: &Journal,
    config: &Config,
    bot: Option<BotName>,
    words: Option<&str>,
    skip: u32,
) -> StoreResult<Listed> {
    let found = match words {
        Some(words) => {
            let wanted = skip.saturating_add(LISTED_MAX) as usize;
            let mut found = search::search(journal, search::Within::Bot(bot), words, wanted).await?;
            found.rows.drain(..found.rows.len().min(skip as usize));
            found
        }
        None => {
            let page = journal
                .read(move |store| store.sessions(bot.as_ref(), skip, LISTED_MAX))
                .await?;
            search::Found {
                rows: page.sessions,
                bounded: page.more,
            }
        }
    };
    let folder = config.host.data_dir.clone();
    let talk = move |session: SessionRow| Talk {
        terminal: takeover::is_open(&folder, &session.id),
        session,
        live: None,
        background: 0,
    };
    let talks = spawn_blocking(move || found.rows.into_iter().map(talk).collect());
    Ok(Listed {
        talks: talks
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?,
        bounded: found.bounded,
    })
}

/// The session of this id.
pub async fn get(journal: &Journal, id: &SessionId) -> Result<SessionRow, TalkError> {
    let wanted = id.clone();
    let found = journal.read(move |store| store.session_by_id(&wanted)).await?;
    found.ok_or_else(|| TalkError::Unknown(id.clone()))
}

/// Nobody speaks with it in a terminal, and what was said in one is in its log: what is done to the session now is done to
/// all of it. Where no host runs, or none that has its bot.
async fn at_home(journal: &Journal, config: &Config, id: &SessionId) -> Result<(), TalkError> {
    let (folder, looked_at) = (config.host.data_dir.clone(), id.clone());
    let held = spawn_blocking(move || takeover::held(&folder, &looked_at)).await;
    match held? {
        Held::Free => Ok(()),
        Held::Yes => Err(ChangeError::Away.into()),
        Held::Left(left) => returned(journal, config, id, left).await,
        Held::Unknown(error) => Err(ChangeError::Unavailable(error.to_string()).into()),
    }
}

/// Copies a session where no host runs.
pub async fn fork(
    journal: &Journal,
    config: &Config,
    id: &SessionId,
    name: Option<String>,
    current: bool,
) -> Result<Copied, TalkError> {
    at_home(journal, config, id).await?;
    let row = get(journal, id).await?;
    let driver = config
        .agents
        .get(&row.agent)
        .map_or(DriverKind::Exec, |agent| agent.driver);
    let session = SessionRow {
        name,
        ..copy::of(&row, driver)?
    };
    copy::keep(journal, &row, &session, current).await?;
    Ok(Copied { session, aside: None })
}

/// Brings the conversation in `file` to the chat of this session, as one of its own; whether a host runs or not. `current`:
/// what is said next goes to it; only where none runs. Cancel safe: once begun it comes to its end, whoever waits for it.
pub async fn adopt(
    journal: &Journal,
    config: &Config,
    id: &SessionId,
    file: PathBuf,
    name: Option<String>,
    current: bool,
) -> Result<Adopted, TalkError> {
    let beside = get(journal, id).await?;
    let (journal, config) = (journal.clone(), config.clone());
    let adopting = tokio::spawn(async move {
        let bring = move || match ground(&config, &beside) {
            Some(ground) => Ok(adopt::bring(&ground, &beside, &file, name)?),
            None => Err(TalkError::Homeless {
                bot: beside.bot,
                agent: beside.agent,
            }),
        };
        let adopted = Arc::new(spawn_blocking(bring).await??);
        let keep = Arc::clone(&adopted);
        match journal.write(move |store| keep.keep(store, current)).await {
            Ok(session) => {
                let (worked_in, works_in) = adopted.folders();
                Ok(Adopted {
                    session,
                    aside: None,
                    worked_in,
                    works_in,
                })
            }
            Err(error) => {
                let _ = spawn_blocking(move || adopted.discard()).await;
                Err(error.into())
            }
        }
    });
    adopting.await?
}

/// Of a task that does not tell what came of it.
impl From<JoinError> for TalkError {
    fn from(error: JoinError) -> Self {
        ChangeError::Unavailable(error.to_string()).into()
    }
}

/// Forgets a session where no host runs, or none that has its bot. What stays of it, a sentence each.
pub async fn delete(journal: &Journal, config: &Config, id: &SessionId, who: &str) -> Result<Vec<String>, TalkError> {
    at_home(journal, config, id).await?;
    let row = get(journal, id).await?;
    let (wanted, who) = (id.clone(), who.to_owned());
    let forgotten = journal
        .write(move |store| removal::forget(store, &wanted, &who, true))
        .await??;
    let config = config.clone();
    let clear = move || match ground(&config, &row) {
        Some(ground) => forgotten.clear(&ground),
        None => {
            takeover::forget(&config.host.data_dir, &row.id);
            vec![format!(
                "its folders: bots.toml has no bot `{}` with an agent `{}`",
                row.bot, row.agent
            )]
        }
    };
    Ok(spawn_blocking(clear).await.unwrap_or_default())
}

/// Where a session lives, by bots.toml. None: its bot or its agent is not there any more.
pub fn ground<'a>(config: &'a Config, row: &'a SessionRow) -> Option<Ground<'a>> {
    let bot = config.bots.iter().find(|bot| bot.name == row.bot)?;
    Some(Ground {
        bot: &bot.name,
        agent: config.agents.get(&row.agent)?,
        workspace: &bot.workspace,
        shared: bot.workspace_shared,
        data_dir: &config.host.data_dir,
    })
}

/// Takes in what was said in a terminal that left its session, where no host runs.
pub async fn returned(journal: &Journal, config: &Config, id: &SessionId, left: Left) -> Result<(), TalkError> {
    let row = get(journal, id).await?;
    let config = config.clone();
    let look = move || ground(&config, &row).map(|ground| (left.look(&ground), row.clone()));
    let Some((returned, mut row)) = spawn_blocking(look).await? else {
        return Ok(());
    };
    let stored = journal.write(move |store| {
        returned.take_in(store, &mut row)?;
        store.session_keep(&row)?;
        Ok(returned)
    });
    stored.await?.done();
    Ok(())
}

/// The newest turns of it that are over, oldest first, as whoever watches is told of them.
pub async fn ended(journal: &Journal, id: &SessionId, turns: u32) -> StoreResult<Vec<Line>> {
    let wanted = id.clone();
    let mut rows = journal
        .read(move |store| store.turns_of(&wanted, turns.min(TURNS_MAX)))
        .await?;
    rows.retain(|turn| turn.state == TurnState::Done);
    rows.reverse();
    Ok(rows.iter().flat_map(tail::told).collect())
}

/// A page of what was said: the last one, or the one before this place.
pub async fn log(journal: &Journal, id: &SessionId, before: Option<TurnPlace>) -> Result<TalkLog, TalkError> {
    let wanted = id.clone();
    let found = journal.read(move |store| {
        let Some(session) = store.session_by_id(&wanted)? else {
            return Ok(None);
        };
        let TurnPage { mut turns, next } = store.turns_page(&wanted, before, PAGE)?;
        turns.reverse();
        Ok(Some(TalkLog {
            session,
            turns,
            before: next,
        }))
    });
    found.await?.ok_or_else(|| TalkError::Unknown(id.clone()))
}
