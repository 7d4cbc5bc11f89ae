//! Sessions for the operator: which there are, and what was said. Works on the journal, whether the host runs or not;
//! what runs just now only the host knows.

use serde::{Deserialize, Serialize};

use crate::chat::{BotName, SessionId};
use crate::store::{Journal, Result as StoreResult, SessionRow, StoreError, TurnRow};

/// Listed at most.
pub const LISTED_MAX: u32 = 500;
/// Turns that are told of one session, the newest.
pub const TURNS_MAX: u32 = 2000;

/// One session in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    #[serde(flatten)]
    pub session: SessionRow,
    /// It has a process just now; none: no host runs that could tell.
    pub live: Option<bool>,
}

/// A session with what was said, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalkLog {
    pub session: SessionRow,
    pub turns: Vec<TurnRow>,
}

/// Why a session cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    #[error("there is no session `{0}`")]
    Unknown(SessionId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Newest first, at most [`LISTED_MAX`].
pub async fn list(journal: &Journal, bot: Option<BotName>) -> StoreResult<Vec<Talk>> {
    let rows = journal
        .read(move |store| store.sessions(bot.as_ref(), LISTED_MAX))
        .await?;
    let talk = |session| Talk { session, live: None };
    Ok(rows.into_iter().map(talk).collect())
}

pub async fn log(journal: &Journal, id: &SessionId) -> Result<TalkLog, TalkError> {
    let wanted = id.clone();
    let found = journal.read(move |store| {
        let Some(session) = store.session_by_id(&wanted)? else {
            return Ok(None);
        };
        let mut turns = store.turns_of(&wanted, TURNS_MAX)?;
        turns.reverse();
        Ok(Some(TalkLog { session, turns }))
    });
    found.await?.ok_or_else(|| TalkError::Unknown(id.clone()))
}
