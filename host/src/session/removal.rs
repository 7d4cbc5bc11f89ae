//! A session that is forgotten: its rows, and what of the disk is of it alone.

use std::io;
use std::path::Path;

use super::folder::{Folders, Ground};
use super::takeover;
use crate::chat::{SessionId, now};
use crate::driver;
use crate::store::{AuditRow, Result, SessionRow, Store};

/// Of one session, the turns that are looked at for files that came with them.
const LOOKED_AT: u32 = 500;

/// Why a session is not forgotten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemovalError {
    #[error("there is no session `{0}`")]
    Unknown(SessionId),
    #[error("a turn runs or waits in session `{0}`")]
    Busy(SessionId),
}

/// What was forgotten, and the sessions that its key still has.
#[derive(Debug)]
pub struct Forgotten {
    row: SessionRow,
    others: Vec<SessionRow>,
    /// Something came with what was said.
    files: bool,
}

/// The part in the store: one job. `look`: whether a turn runs or waits; whoever holds the session knows already.
pub fn forget(
    store: &mut dyn Store,
    id: &SessionId,
    who: &str,
    look: bool,
) -> Result<std::result::Result<Forgotten, RemovalError>> {
    let Some(row) = store.session_by_id(id)? else {
        return Ok(Err(RemovalError::Unknown(id.clone())));
    };
    if look && store.session_busy(id)? {
        return Ok(Err(RemovalError::Busy(id.clone())));
    }
    let turns = store.turns_of(id, LOOKED_AT)?;
    store.session_remove(id)?;
    store.audit(&AuditRow {
        at: now(),
        bot: row.bot.clone(),
        who: who.to_owned(),
        what: format!("deleted session {id}"),
    })?;
    Ok(Ok(Forgotten {
        others: store.sessions_of(&row.key, 0, u32::MAX)?,
        files: turns.iter().any(|turn| !turn.files.is_empty()),
        row,
    }))
}

impl Forgotten {
    /// The epoch and the home of the next session under the key: no working folder that another has, and what the agent
    /// learnt of its own.
    pub(super) fn next(&self) -> (u32, Option<String>) {
        let highest = self.others.iter().map(|other| other.epoch).max();
        let home = self.others.first().and_then(|other| other.home.clone());
        (highest.map_or(0, |epoch| epoch.saturating_add(1)), home)
    }

    /// Removes what is on disk of this session alone. What stays, a sentence each. May block.
    pub fn clear(&self, ground: &Ground<'_>) -> Vec<String> {
        let folders = Folders::at(ground, &self.row);
        let mut kept = Vec::new();
        let mut remove = |path: &Path| match remove(path) {
            Ok(()) => {}
            Err(error) => kept.push(format!("`{}` could not be removed: {error}", path.display())),
        };
        let mut same_home = self.others.iter().filter(|other| other.home == self.row.home);
        let alone = same_home.clone().next().is_none();
        let same_folder = same_home.any(|other| other.epoch == self.row.epoch);
        if !same_folder {
            remove(if ground.shared {
                &folders.outbox
            } else {
                &folders.workspace
            });
        }
        let copied = |id: &str| self.others.iter().any(|other| other.fork.as_deref() == Some(id));
        let id = self.row.cli_session.as_deref();
        let transcripts = id.map(|id| driver::kept(ground.agent, folders.config.as_deref(), &folders.temp, id));
        let to_be_copied = id.is_some_and(copied);
        for path in transcripts.iter().flatten().flatten().filter(|_| !to_be_copied) {
            remove(path);
        }
        if alone {
            for folder in folders.config.iter().chain([&folders.temp]) {
                remove(folder);
            }
            // Its own folder, unless another agent's is there too.
            let person = folders.config.as_deref().and_then(Path::parent);
            let _ = person.map(std::fs::remove_dir);
        }
        for file in takeover::files(ground.data_dir, &self.row.id) {
            remove(&file);
        }
        if ground.shared {
            kept.push(format!(
                "the workspace `{}`: other sessions work there too",
                folders.workspace.display()
            ));
        } else if same_folder {
            kept.push(format!(
                "the workspace `{}`: a copy of the session works there too",
                folders.workspace.display()
            ));
        }
        if to_be_copied {
            kept.push("the agent's own file of it: a copy begins with that".to_owned());
        }
        if let Some(config) = &folders.config {
            if !alone {
                let rest = match transcripts {
                    Some(None) => ", and whatever the agent keeps of it there",
                    _ => "",
                };
                kept.push(format!(
                    "the agent's settings in `{}`: other sessions of the same person or place use them{rest}",
                    config.display()
                ));
            }
        } else if let Some(None) = transcripts {
            kept.push("whatever the agent keeps of it under your own login".to_owned());
        }
        if self.files {
            kept.push("files that came with its messages: they go after `host.retention`".to_owned());
        }
        kept
    }
}

/// A file or a folder with all that is in it. What is not there is removed already.
fn remove(path: &Path) -> io::Result<()> {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if found.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
}
