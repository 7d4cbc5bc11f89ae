//! `botyard sessions adopt`: a conversation that a person began with the agent's own program goes on in a chat.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::desk::{Desk, at_desk};
use super::failure::Failure;
use super::sessions::named;
use super::{output, owner};
use crate::chat::SessionId;
use crate::config::Config;
use crate::control::talk;
use crate::driver;
use crate::session::copy;
use crate::store::SessionRow;

/// `what`: a file of the agent's, or the agent's id of a conversation of whoever is at this terminal.
pub(super) fn adopt(
    file: &Path,
    what: &str,
    id: &SessionId,
    name: Option<String>,
    current: bool,
    json: bool,
) -> Result<(), Failure> {
    let name = named(name)?;
    let adopted = at_desk(file, async |desk, config| {
        let session = match desk {
            Desk::Host(client) => client.session(id).await?,
            Desk::Store { journal, .. } => talk::get(journal, id).await?,
        };
        let found = conversation(config, &session, what)?;
        match desk {
            Desk::Host(client) => Ok(client.adopt(id, found, name, current).await?),
            Desk::Store { journal, .. } => {
                // The copy is a file of whoever makes it.
                owner::own(&config.host.data_dir, owner::user())?;
                Ok(talk::adopt(journal, config, id, found, name, current).await?)
            }
        }
    })?;
    if let Some(why) = &adopted.aside {
        output::note(&format!("it is not the current one, because {why}"));
    }
    if let Some(rest) = copy::left_out(adopted.session.turns) {
        output::note(&rest);
    }
    if let Some(before) = adopted.worked_in.as_ref().filter(|before| **before != adopted.works_in) {
        output::note(&format!(
            "it was spoken to in `{}`; in the chat its agent works in `{}`",
            before.display(),
            adopted.works_in.display()
        ));
    }
    if json {
        return output::json(&adopted.session);
    }
    output::data(adopted.session.id.as_str())
}

/// The file of it.
fn conversation(config: &Config, session: &SessionRow, what: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(what);
    if path.is_file() {
        return std::fs::canonicalize(path).map_err(|error| Failure::user(format!("`{what}`: {error}")));
    }
    let own = config
        .agents
        .get(&session.agent)
        .and_then(|agent| driver::kept(agent, None, &std::env::temp_dir(), what));
    let written = |path: &PathBuf| {
        path.metadata()
            .and_then(|found| found.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    };
    own.into_iter()
        .flatten()
        .filter(|path| path.is_file())
        .max_by_key(written)
        .ok_or_else(|| {
            Failure::user(format!("`{what}` is no file, and no conversation of yours has this id")).hint(
                "the agent tells the id, as Claude Code does with `/status`; or give the file in which it keeps the conversation",
            )
        })
}
