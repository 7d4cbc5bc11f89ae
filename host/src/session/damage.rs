//! Rows that cannot be read: of a bad disk, or of a newer botyard that ran here. What can be read of them is enough to go
//! on with, or to tell whom it concerns; else what people said would wait for ever, and nobody would hear of it.

use super::view::TurnView;
use crate::chat::{BotName, Target, ViewState, now};
use crate::config::Scope;
use crate::store::{
    AskRow, AskState, AuditRow, Decision, InboxState, Journal, OutboxRow, Result, SessionRow, Store, StoreError,
    TurnScrap,
};

/// The words for a turn that nobody had begun.
const UNREAD: &str = "botyard can no longer read what it had kept of this; please say it again.";

/// And for one that was begun.
const HALF_DONE: &str = "botyard can no longer read what it had kept of this, and some of it may have been done; please \
                         say it again if it is still wanted.";

/// Who did it, in the operator's records.
const WHO: &str = "botyard";

/// Takes the damaged row of a session away. What stands in its place has the same id, so its turns are its own, and the
/// same working folder; it has no conversation of an agent's. `fresh`: of this key.
pub(super) fn begin_again(store: &mut dyn Store, fresh: SessionRow, scope: Scope, why: &str) -> Result<SessionRow> {
    let Some((id, epoch, home)) = store.session_set_aside(&fresh.key)? else {
        return Ok(fresh);
    };
    let now = now();
    let last = store.turns_of(&id, 1)?.pop();
    let owner = last.as_ref().map(|turn| turn.asker.clone());
    let row = SessionRow {
        id,
        epoch,
        home,
        owner: owner.filter(|_| scope == Scope::User),
        conversation: last.map_or(fresh.conversation, |turn| turn.target.conversation),
        created: now,
        updated: now,
        ..fresh
    };
    store.session_put(&row)?;
    store.audit(&AuditRow {
        at: now,
        bot: row.bot.clone(),
        who: WHO.to_owned(),
        what: format!(
            "session {}: its row was damaged ({why}) and is set aside; it begins again",
            row.id
        ),
    })?;
    Ok(row)
}

/// Ends every open turn of this bot whose row is damaged, with a sentence where it was to be answered. To be called before
/// the outbox goes on with what it has.
///
/// # Errors
/// The store's; nothing is changed then.
pub async fn end_turns(journal: &Journal, bot: &BotName) -> Result<()> {
    let bot = bot.clone();
    let end = move |store: &mut dyn Store| {
        let turns = store.turns_damaged(&bot)?;
        turns.iter().try_for_each(|turn| end_turn(store, &bot, turn))
    };
    journal.write(end).await
}

fn end_turn(store: &mut dyn Store, bot: &BotName, turn: &TurnScrap) -> Result<()> {
    let now = now();
    let words = if turn.attempt > 0 { HALF_DONE } else { UNREAD };
    let mut view = TurnView::new(turn.id.clone(), turn.attempt.saturating_add(1), false);
    view.finish(ViewState::Failed(words.to_owned()), &[], []);
    match store.outbox_recall(&turn.id) {
        Ok(Some(recall)) => {
            // The one that stands there stays.
            let target = Target {
                conversation: recall.conversation,
                reply_to: Vec::new(),
                private_to: None,
            };
            let view = Some(view.snapshot());
            store.outbox_put(&OutboxRow::pending(turn.id.clone(), bot.clone(), target, view, now))?;
        }
        Ok(None) | Err(StoreError::Damaged(_)) => {
            tracing::error!(%bot, turn = %turn.id, "a damaged turn has no place any more where it could be told");
        }
        Err(error) => return Err(error),
    }
    for ask in store.asks_of(&turn.id)? {
        let decided = ask.decided.clone().or(Some((Decision::Withdrawn, String::new())));
        store.ask_put(&AskRow {
            state: AskState::Closed,
            decided,
            ..ask
        })?;
    }
    if let Some(inbox) = turn.inbox {
        store.inbox_state(inbox, InboxState::Done)?;
    }
    store.turn_end(&turn.id)?;
    store.audit(&AuditRow {
        at: now,
        bot: bot.clone(),
        who: WHO.to_owned(),
        what: format!("turn {}: its row was damaged; it was ended with a word", turn.id),
    })
}
