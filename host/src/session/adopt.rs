//! A conversation that was begun with an agent's own program in a terminal: a copy of it goes on in a chat.

use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::copy::COPIED_TURNS;
use super::folder::{Folders, Ground};
use super::{takeover, transcript};
use crate::chat::now;
use crate::driver::{self, BringError, Brought};
use crate::store::{Result, SessionRow, Store};

/// A session that is on disk, and not yet in the store.
#[derive(Debug)]
pub struct Adopted {
    row: SessionRow,
    brought: Brought,
    works_in: PathBuf,
}

/// Copies the conversation in `file` to where the agent of `beside` works: it has the same key and folders. May block.
///
/// # Errors
/// There is no copy.
pub fn bring(
    ground: &Ground<'_>,
    beside: &SessionRow,
    file: &Path,
    name: Option<String>,
) -> std::result::Result<Adopted, BringError> {
    let folders = Folders::at(ground, beside);
    let kept = beside
        .cli_session
        .as_deref()
        .and_then(|id| driver::kept(ground.agent, folders.config.as_deref(), &folders.temp, id));
    let id = Uuid::new_v4().to_string();
    let brought = driver::bring(ground.agent, file, &kept.unwrap_or_default(), &id)?;
    let old = beside.clone();
    let mut row = SessionRow {
        owner: old.owner,
        cli_session: Some(id),
        resumable: true,
        epoch: old.epoch,
        home: old.home,
        name,
        created: now(),
        updated: now(),
        ..SessionRow::begin(old.key, old.bot, old.agent, old.conversation)
    };
    for exchange in &brought.said {
        transcript::sum_up(&mut row, &exchange.prompt, exchange.parts.iter());
    }
    Ok(Adopted {
        row,
        brought,
        works_in: folders.workspace,
    })
}

impl Adopted {
    /// Stores it with its log, in one job. `current`: it is the current one of its key; only where no actor holds another.
    pub fn keep(&self, store: &mut dyn Store, current: bool) -> Result<SessionRow> {
        if current {
            store.session_put(&self.row)?;
        } else {
            store.session_keep(&self.row)?;
        }
        if let Some(id) = &self.row.cli_session {
            store.cli_session_claim(id, &self.row.key)?;
        }
        let all = (0_u32..).zip(&self.brought.said);
        let newest = self.brought.said.len().saturating_sub(COPIED_TURNS as usize);
        for (number, exchange) in all.skip(newest) {
            store.turn_put(&takeover::turn(&self.row, exchange, self.row.created, number))?;
        }
        Ok(self.row.clone())
    }

    /// It could not be stored: nothing of it stays. May block.
    pub fn discard(&self) {
        if let Err(error) = fs::remove_file(&self.brought.file) {
            tracing::warn!(file = %self.brought.file.display(), %error, "a conversation that was not brought is left over");
        }
    }

    /// Where it was spoken to, and where the agent works now.
    pub fn folders(&self) -> (Option<PathBuf>, PathBuf) {
        (self.brought.worked_in.clone(), self.works_in.clone())
    }
}
