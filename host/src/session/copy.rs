//! A copy of a session, of the same key: the host's log of it at once, the agent's own when the copy is first spoken to.

use super::{ChangeError, NAME_MAX};
use crate::config::DriverKind;
use crate::store::{Journal, SessionRow};

/// Turns of the log that are copied, the newest.
pub(super) const COPIED_TURNS: u32 = 1000;

/// What the log of a copy lacks, for whoever made it; the agent itself lacks nothing. None: nothing. `turns`: of the original.
pub fn left_out(turns: u32) -> Option<String> {
    (turns > COPIED_TURNS)
        .then(|| format!("its log begins with the newest {COPIED_TURNS} of {turns} turns; the agent has all of them"))
}

/// What a session may be called: one line, not too long, without the spaces around it. None: it is no name.
pub fn name(text: &str) -> Option<String> {
    let plain = text.trim();
    let fits = (1..=NAME_MAX).contains(&plain.chars().count());
    (fits && !plain.chars().any(char::is_control)).then(|| plain.to_owned())
}

/// The row of a copy; it is not stored.
///
/// # Errors
/// The agent keeps no conversation, or nothing was said that it could copy. One that keeps them and cannot copy says so when
/// the copy is first spoken to: that begins anew with the host's log.
pub fn of(row: &SessionRow, driver: DriverKind) -> Result<SessionRow, ChangeError> {
    if driver == DriverKind::Exec {
        return Err(ChangeError::Unable);
    }
    let kept = row.cli_session.clone().filter(|_| row.resumable);
    // A copy that was never spoken to is a copy of the same.
    let from = kept.or_else(|| row.fork.clone()).ok_or(ChangeError::Nothing)?;
    let old = row.clone();
    Ok(SessionRow {
        owner: old.owner,
        fork: Some(from),
        // The CLI finds the original only in the folder that it worked in.
        epoch: old.epoch,
        home: old.home,
        first: old.first,
        last: old.last,
        turns: old.turns,
        model: old.model,
        mode: old.mode,
        ..SessionRow::begin(old.key, old.bot, old.agent, old.conversation)
    })
}

/// Stores a copy with its log. `current`: it is the current one of its key; only where no actor holds another.
pub async fn keep(journal: &Journal, from: &SessionRow, copy: &SessionRow, current: bool) -> Result<(), ChangeError> {
    let (from, mut copy) = (from.id.clone(), copy.clone());
    copy.updated = crate::chat::now();
    copy.created = copy.updated;
    let kept = journal.write(move |store| {
        if current {
            store.session_put(&copy)?;
        } else {
            store.session_keep(&copy)?;
        }
        store.turns_copy(&from, &copy, COPIED_TURNS)
    });
    kept.await.map_err(|error| ChangeError::Unavailable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_copys_log_lacks_is_told_where_it_lacks_something() {
        let told = "its log begins with the newest 1000 of 1001 turns; the agent has all of them";
        assert_eq!(left_out(1001).as_deref(), Some(told));
        assert_eq!(left_out(1000), None);
    }
}
