//! Judges a press: is the token ours, at home here, still open, and may this person decide? What was decided is
//! stored before anybody is told.

use super::Bot;
use crate::access;
use crate::chat::{Conversation, InboxId, Origin, Press, Token, Verdict, now};
use crate::store::{AskState, AuditRow, Decision, InboxState, Result as StoreResult, Store};

/// What the store says of a press, in one transaction.
enum Judged {
    Taken(Decision),
    Unknown,
    Elsewhere,
    NotTheirs,
    Late(Option<Decision>),
}

impl Bot {
    /// Stores the decision if there is one; the verdict is for whoever pressed.
    pub(super) async fn judge(&self, id: InboxId, origin: &Origin, press: &Press) -> Verdict {
        let config = self.inner.config.clone();
        let origin = origin.clone();
        let token = press.token.clone();
        let judged = self
            .inner
            .journal
            .write(move |store| {
                let judged = judge_in(store, &token, &origin, &config)?;
                let what = match &judged {
                    Judged::Taken(decision) => format!("{decision:?} by press"),
                    Judged::NotTheirs => "press refused: not theirs to decide".into(),
                    Judged::Elsewhere => "press refused: another conversation's token".into(),
                    Judged::Unknown | Judged::Late(_) => String::new(),
                };
                if !what.is_empty() {
                    let row = AuditRow {
                        at: now(),
                        bot: config.name,
                        who: origin.sender.id,
                        what,
                    };
                    store.audit(&row)?;
                }
                if !matches!(judged, Judged::Taken(_)) {
                    store.inbox_state(id, InboxState::Done)?;
                }
                Ok(judged)
            })
            .await;
        match judged {
            Ok(Judged::Taken(Decision::Allow)) => Verdict::Taken("Allowed".into()),
            Ok(Judged::Taken(Decision::Deny)) => Verdict::Taken("Denied".into()),
            Ok(Judged::Taken(Decision::Again(_))) => Verdict::Taken("Running it again".into()),
            Ok(Judged::Taken(Decision::Keep(_))) => Verdict::Taken("Kept".into()),
            Ok(Judged::Taken(_)) => Verdict::Taken("Stopping".into()),
            Ok(Judged::Unknown) => Verdict::Refused("This button is not known any more.".into()),
            Ok(Judged::Elsewhere) => Verdict::Refused("This button belongs to another conversation.".into()),
            Ok(Judged::NotTheirs) => Verdict::Refused("This is not yours to decide.".into()),
            Ok(Judged::Late(Some(Decision::Allow))) => Verdict::Refused("Too late: it was allowed already.".into()),
            Ok(Judged::Late(Some(Decision::Deny))) => Verdict::Refused("Too late: it was denied already.".into()),
            Ok(Judged::Late(_)) => Verdict::Refused("Too late: this is over.".into()),
            Err(error) => {
                tracing::warn!(bot = %self.inner.config.name, %error, "a press could not be judged");
                Verdict::Refused("That could not be stored just now. Please press again.".into())
            }
        }
    }
}

fn judge_in(
    store: &mut dyn Store,
    token: &Token,
    origin: &Origin,
    config: &crate::config::BotConfig,
) -> StoreResult<Judged> {
    let Some(row) = store.token_get(token)?.filter(|row| row.bot == config.name) else {
        return Ok(Judged::Unknown);
    };
    let turn = store.turn_get(&row.turn)?;
    // Where it was made, or where its turn lives now: an adapter may have moved it.
    let moved = turn.as_ref().map(|turn| &turn.target.conversation);
    let home = |place: &Conversation| at_home(place, &origin.conversation);
    if !home(&row.conversation) && !moved.is_some_and(home) {
        return Ok(Judged::Elsewhere);
    }
    let asker = turn.map(|turn| turn.asker).unwrap_or_default();
    if !access::may_decide(config, &asker, &origin.sender) {
        return Ok(Judged::NotTheirs);
    }
    let Some(ask) = &row.ask else {
        return Ok(if row.expires > now() {
            Judged::Taken(row.decision)
        } else {
            Judged::Late(None)
        });
    };
    let Some(mut ask) = store.ask_get(ask)? else {
        return Ok(Judged::Unknown);
    };
    if ask.state != AskState::Open || ask.expires <= now() {
        return Ok(Judged::Late(ask.decided.map(|(decision, _)| decision)));
    }
    ask.state = AskState::Decided;
    ask.decided = Some((row.decision.clone(), origin.sender.id.clone()));
    store.ask_put(&ask)?;
    Ok(Judged::Taken(row.decision))
}

/// A press counts only where its question was shown: the same tenant and channel. A platform may leave out the
/// thread of a press, and a question that opened a thread was asked before the thread had a name.
fn at_home(asked: &Conversation, pressed: &Conversation) -> bool {
    let tenant = match (&asked.tenant, &pressed.tenant) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    tenant && asked.channel == pressed.channel
}
