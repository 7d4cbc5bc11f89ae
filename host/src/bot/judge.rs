//! Judges a press: is the token ours, at home here, still open, and may this person decide? And what is said to an
//! open question in words. What was decided is stored before anybody is told.

use super::{Bot, shortcut};
use crate::access;
use crate::chat::{Conversation, Form, InboxId, Origin, Person, Press, SessionKey, Verdict, now};
use crate::config::BotConfig;
use crate::manifest::Ability;
use crate::session::question::{self, Corrections};
use crate::store::{AskRow, AskState, AuditRow, Decision, InboxState, Result as StoreResult, Store, TokenRow};

/// What the store says of a press, in one transaction.
enum Judged {
    Taken(Decision),
    /// Nothing is decided yet: a form is to be filled in.
    Open(Form),
    Wrong(Corrections),
    /// Nothing was chosen.
    Nothing,
    Unknown,
    Elsewhere,
    NotTheirs,
    Late(Option<Decision>),
}

/// What became of words said to an open question.
pub(super) enum Said {
    /// Nothing is open here, or the words say nothing to it.
    Nothing,
    NotTheirs,
    /// Not like this.
    Wrong(String),
    Taken(Box<AskRow>, Decision),
}

impl Bot {
    /// Stores the decision if there is one; the verdict is for whoever pressed.
    pub(super) async fn judge(&self, id: InboxId, origin: &Origin, press: &Press) -> Verdict {
        let config = self.inner.config.clone();
        let (origin, press) = (origin.clone(), press.clone());
        let judged = self
            .inner
            .journal
            .write(move |store| {
                let judged = judge_in(store, &press, &origin, &config)?;
                let what = match &judged {
                    // What it does is told where it is carried out.
                    Judged::Taken(Decision::Say(_) | Decision::Ask) => String::new(),
                    Judged::Taken(decision) => format!("{} by press", audited(decision)),
                    Judged::NotTheirs => "press refused: not theirs to decide".into(),
                    Judged::Elsewhere => "press refused: another conversation's token".into(),
                    Judged::Unknown | Judged::Late(_) | Judged::Open(_) | Judged::Wrong(_) | Judged::Nothing => {
                        String::new()
                    }
                };
                if !what.is_empty() {
                    store.audit(&audit(&config, &origin.sender, what))?;
                }
                if !matches!(judged, Judged::Taken(_)) {
                    store.inbox_state(id, InboxState::Done)?;
                }
                Ok(judged)
            })
            .await;
        match judged {
            Ok(Judged::Taken(decision)) => Verdict::Taken(taken(&decision).into()),
            Ok(Judged::Open(form)) => Verdict::Open(form),
            Ok(Judged::Wrong(fields)) => Verdict::Correct(fields),
            Ok(Judged::Nothing) => Verdict::Refused("Choose something first.".into()),
            Ok(Judged::Unknown) => Verdict::Refused("This button is not known any more.".into()),
            Ok(Judged::Elsewhere) => Verdict::Refused("This button belongs to another conversation.".into()),
            Ok(Judged::NotTheirs) => Verdict::Refused("This is not yours to decide.".into()),
            Ok(Judged::Late(decision)) => Verdict::Refused(late(decision.as_ref()).into()),
            Err(error) => {
                tracing::warn!(bot = %self.inner.config.name, %error, "a press could not be judged");
                Verdict::Refused("That could not be stored just now. Please press again.".into())
            }
        }
    }

    /// Takes words for the decision of the question that is open in this session; of several, where nothing can be
    /// pressed, of the oldest. `read` makes a decision of them, or says what is wrong; none: they say nothing to that
    /// question.
    pub(super) async fn judge_words(
        &self,
        id: InboxId,
        key: &SessionKey,
        origin: &Origin,
        read: impl FnOnce(&AskRow) -> Option<Result<Decision, String>> + Send + 'static,
    ) -> StoreResult<Said> {
        let Some(turn) = self.inner.registry.status(key).await.and_then(|status| status.running) else {
            return Ok(Said::Nothing);
        };
        let config = self.inner.config.clone();
        let sender = origin.sender.clone();
        let buttons = self.can(Ability::Buttons);
        self.inner
            .journal
            .write(move |store| {
                let mut open = store.asks_of(&turn)?.into_iter().filter(question::is_open_now);
                let Some(mut ask) = open.next() else {
                    return Ok(Said::Nothing);
                };
                if buttons && open.next().is_some() {
                    let why = "More than one question is open: please answer each by its own buttons.";
                    return Ok(Said::Wrong(why.to_owned()));
                }
                let Some(read) = read(&ask) else {
                    return Ok(Said::Nothing);
                };
                let asker = store.turn_get(&turn)?.map(|turn| turn.asker).unwrap_or_default();
                if !access::may_decide(&config, &asker, &sender) {
                    let what = "answer refused: not theirs to decide".to_owned();
                    store.audit(&audit(&config, &sender, what))?;
                    return Ok(Said::NotTheirs);
                }
                let decision = match read {
                    Ok(decision) => decision,
                    Err(why) => return Ok(Said::Wrong(why)),
                };
                ask.state = AskState::Decided;
                ask.decided = Some((decision.clone(), sender.id.clone()));
                store.ask_put(&ask)?;
                store.inbox_state(id, InboxState::Done)?;
                let what = format!("{} in words", audited(&decision));
                store.audit(&audit(&config, &sender, what))?;
                Ok(Said::Taken(Box::new(ask), decision))
            })
            .await
    }

    /// These words would decide the question that is open in this session, if they were said to it.
    pub(super) async fn would_answer(&self, key: &SessionKey, origin: &Origin, text: &str) -> bool {
        let Some(turn) = self.inner.registry.at_work(key).await.and_then(|status| status.running) else {
            return false;
        };
        let (config, sender, text) = (self.inner.config.clone(), origin.sender.clone(), text.to_owned());
        let read = self.inner.journal.read(move |store| {
            let mut open = store.asks_of(&turn)?.into_iter().filter(question::is_open_now);
            if !open.any(|ask| question::said(&ask, &text).is_some()) {
                return Ok(false);
            }
            let asker = store.turn_get(&turn)?.map(|turn| turn.asker).unwrap_or_default();
            Ok(access::may_decide(&config, &asker, &sender))
        });
        read.await.unwrap_or_else(|error| {
            tracing::warn!(bot = %self.inner.config.name, %error, "a question could not be read");
            false
        })
    }
}

fn audit(config: &BotConfig, who: &Person, what: String) -> AuditRow {
    AuditRow {
        at: now(),
        bot: config.name.clone(),
        who: who.id.clone(),
        what,
    }
}

/// What the audit keeps of a decision: what it was, and nothing of what was written.
const fn audited(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "Allow",
        Decision::AllowSession => "AllowSession",
        Decision::AllowWith(_) => "AllowWith",
        Decision::Answer(_) => "Answer",
        Decision::Deny => "Deny",
        Decision::DenyBecause(_) => "DenyBecause",
        Decision::Stop => "Stop",
        Decision::Say(_) => "Command",
        Decision::Ask => "Ask",
        Decision::Again(_) => "Again",
        Decision::Keep(_) => "Keep",
        Decision::Withdrawn | Decision::Form(_) | Decision::Choose => "Nothing",
    }
}

const fn taken(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "Allowed",
        Decision::AllowSession => "Allowed for this session",
        Decision::AllowWith(_) => "Allowed with changes",
        Decision::Answer(_) => "Answered",
        Decision::Deny | Decision::DenyBecause(_) => "Denied",
        Decision::Stop => "Stopping",
        Decision::Again(_) => "Running it again",
        Decision::Keep(_) => "Kept",
        Decision::Ask | Decision::Say(_) | Decision::Withdrawn | Decision::Form(_) | Decision::Choose => "",
    }
}

const fn late(decision: Option<&Decision>) -> &'static str {
    match decision {
        Some(Decision::Answer(_)) => "Too late: it was answered already.",
        Some(decision) if decision.allows() => "Too late: it was allowed already.",
        Some(Decision::Deny | Decision::DenyBecause(_)) => "Too late: it was denied already.",
        _ => "Too late: this is over.",
    }
}

fn judge_in(store: &mut dyn Store, press: &Press, origin: &Origin, config: &BotConfig) -> StoreResult<Judged> {
    let Some(row) = store.token_get(&press.token)?.filter(|row| row.bot == config.name) else {
        return Ok(Judged::Unknown);
    };
    if access::is_bot(config, &origin.sender) {
        return Ok(Judged::NotTheirs);
    }
    if row.decision == Decision::Ask {
        // Nothing is decided, so it has no home; whoever sends it is let in, or not, as with any message.
        return Ok(match shortcut::asked(press) {
            Some(_) => in_time(&row),
            None => Judged::Wrong(shortcut::missing()),
        });
    }
    let turn = store.turn_get(&row.turn)?;
    // Where it was made, or where its turn lives now: an adapter may have moved it.
    let moved = turn.as_ref().map(|turn| &turn.target.conversation);
    let home = |place: &Conversation| at_home(place, &origin.conversation);
    if !home(&row.conversation) && !moved.is_some_and(home) {
        return Ok(Judged::Elsewhere);
    }
    if let Decision::Say(_) = row.decision {
        // A command is whoever gives it: what it may do is judged when it is carried out.
        return Ok(in_time(&row));
    }
    let asker = turn.map(|turn| turn.asker).unwrap_or_default();
    if !access::may_decide(config, &asker, &origin.sender) {
        return Ok(Judged::NotTheirs);
    }
    let Some(ask) = &row.ask else {
        return Ok(in_time(&row));
    };
    let Some(mut ask) = store.ask_get(ask)? else {
        return Ok(Judged::Unknown);
    };
    if !question::is_open_now(&ask) {
        return Ok(Judged::Late(ask.decided.map(|(decision, _)| decision)));
    }
    let decision = match (&row.decision, &press.values) {
        (Decision::Form(kind), None) => return Ok(Judged::Open(question::form(*kind, &ask, &row.token))),
        (Decision::Form(kind), Some(values)) => match question::sent(*kind, &ask, values) {
            Ok(decision) => decision,
            Err(wrong) => return Ok(Judged::Wrong(wrong)),
        },
        (Decision::Choose, values) => match question::chosen(&ask, values.as_deref().unwrap_or_default()) {
            Some(decision) => decision,
            None => return Ok(Judged::Nothing),
        },
        (decision, _) => decision.clone(),
    };
    ask.state = AskState::Decided;
    ask.decided = Some((decision.clone(), origin.sender.id.clone()));
    store.ask_put(&ask)?;
    Ok(Judged::Taken(decision))
}

fn in_time(row: &TokenRow) -> Judged {
    if row.expires > now() {
        Judged::Taken(row.decision.clone())
    } else {
        Judged::Late(None)
    }
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
