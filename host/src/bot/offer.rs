//! Offers of the host's own: a message was edited after an agent had it, so whoever may decide can have it run again. A
//! view of its own with two buttons, kept over restarts; a press opens one turn only.

use tracing::warn;

use super::Bot;
use super::dispatch::info;
use super::lanes::Work;
use crate::chat::{
    Ask, Choice, InboxId, Origin, Part, Style, Target, Token, TurnId, UnixMillis, View, ViewState, What, now,
};
use crate::config::WhileRunning;
use crate::manifest::Ability;
use crate::session::{Prompt, SubmitError};
use crate::store::{Decision, Result as StoreResult, Store, TokenRow, TurnKind, TurnRow};

const TITLE: &str = "The message was edited after it was taken up";

/// The one offer of a message: edited again, it is the same.
fn offer_of(said: InboxId) -> TurnId {
    TurnId(format!("again{}", said.0))
}

impl Bot {
    /// Offers to run what the message says now. Nothing new happens while an offer stands.
    pub(super) async fn offer_again(&self, said: InboxId, turn: &TurnRow) {
        let inner = &self.inner;
        if !self.can(Ability::Buttons) {
            return self.say_send_again(turn.target.clone()).await;
        }
        let lasts = UnixMillis::try_from(inner.config.ask_timeout.as_millis()).unwrap_or(UnixMillis::MAX);
        let token = |decision| TokenRow {
            token: Token::random(),
            bot: turn.bot.clone(),
            conversation: turn.target.conversation.clone(),
            session: turn.session.clone(),
            turn: turn.id.clone(),
            ask: None,
            decision,
            expires: now().saturating_add(lasts),
        };
        let tokens = [token(Decision::Again(said)), token(Decision::Keep(said))];
        let question = Ask {
            title: TITLE.to_owned(),
            text: "What was answered is what it said before.".to_owned(),
            choices: vec![
                choice("Run again", &tokens[0], Style::Primary),
                choice("Keep", &tokens[1], Style::Plain),
            ],
            selection: None,
            settled: None,
        };
        let offer = offer_of(said);
        let stored = inner.journal.write(move |store| {
            let stands = store.outbox_get(&offer)?.and_then(|row| row.view);
            if stands.is_some_and(|view| view.state == ViewState::Asking) {
                return Ok(None);
            }
            for token in &tokens {
                store.token_put(token)?;
            }
            next_revision(store, &offer).map(Some)
        });
        match stored.await {
            Ok(Some(revision)) => self.show_offer(turn.target.clone(), said, revision, question).await,
            Ok(None) => {}
            Err(error) => warn!(bot = %inner.config.name, %error, "an offer could not be stored"),
        }
    }

    /// What was edited cannot be run again from here.
    pub(super) async fn say_send_again(&self, target: Target) {
        let text = "That message was taken up already: to have it done as it stands now, please send it again.";
        if let Err(error) = self.inner.outbox.post(target, View::single(info(text))).await {
            warn!(bot = %self.inner.config.name, %error, "a word could not be shown");
        }
    }

    /// A press of an offer's button, judged: `id` is the press's row.
    pub(super) async fn carry_out_offer(&self, id: InboxId, origin: &Origin, token: &TokenRow) -> Work {
        let inner = &self.inner;
        let (Decision::Again(said) | Decision::Keep(said)) = token.decision else {
            return self.done(id).await;
        };
        let turn = token.turn.clone();
        let read = inner
            .journal
            .read(move |store| Ok((store.inbox_get(said)?, store.turn_get(&turn)?)));
        let (said_row, turn) = match read.await {
            Ok(read) => read,
            Err(error) => {
                warn!(bot = %inner.config.name, %error, "an offer could not be read; it is tried again");
                return Work::Again;
            }
        };
        let who = &origin.sender.id;
        let mut work = Work::Done;
        let words = match (&token.decision, said_row.map(|row| row.item), turn) {
            (Decision::Keep(_), ..) => {
                work = self.done(id).await;
                format!("Kept as it was by <@{who}>")
            }
            (_, Some(item), Some(turn)) => {
                let What::Message(message) = &item.what else {
                    return self.done(id).await;
                };
                let prompt = Prompt {
                    way: WhileRunning::Queue,
                    kind: TurnKind::Message,
                    // The turn takes the press's row: pressed is run, once.
                    inbox: Some(id),
                    also: Vec::new(),
                    place: None,
                    asker: turn.asker.clone(),
                    text: self.compose_again(&item.origin, message).await,
                    target: turn.target.clone(),
                    files: turn.files.clone(),
                };
                match inner.registry.submit(&turn.session, prompt).await {
                    Ok(_) => format!("Run again by <@{who}>"),
                    Err(SubmitError::Closed) => return Work::Beside,
                    Err(SubmitError::Unavailable(_)) => return Work::Again,
                    Err(error @ SubmitError::Full(_)) => {
                        work = self.done(id).await;
                        format!("It could not be run again: {error}")
                    }
                }
            }
            _ => {
                work = self.done(id).await;
                "The message is not known any more".to_owned()
            }
        };
        self.settle_offer(said, words).await;
        work
    }

    /// Nothing of it can be pressed any more.
    async fn settle_offer(&self, said: InboxId, words: String) {
        let offer = offer_of(said);
        let used = self.inner.journal.write(move |store| {
            let Some(row) = store.outbox_get(&offer)? else {
                return Ok(None);
            };
            let blocks = row.view.iter().flat_map(|view| &view.blocks);
            let choices = blocks.filter_map(|block| match &block.part {
                Part::Ask(ask) => Some(&ask.choices),
                _ => None,
            });
            for choice in choices.flatten() {
                if let Some(token) = store.token_get(&choice.token)? {
                    store.token_put(&TokenRow { expires: 0, ..token })?;
                }
            }
            Ok(Some((row.target, next_revision(store, &offer)?)))
        });
        let question = Ask {
            title: TITLE.to_owned(),
            text: String::new(),
            choices: Vec::new(),
            selection: None,
            settled: Some(words),
        };
        match used.await {
            Ok(Some((target, revision))) => self.show_offer(target, said, revision, question).await,
            Ok(None) => {}
            Err(error) => warn!(bot = %self.inner.config.name, %error, "an offer could not be closed"),
        }
    }

    async fn show_offer(&self, target: Target, said: InboxId, revision: u32, question: Ask) {
        let state = match question.settled {
            Some(_) => ViewState::Done,
            None => ViewState::Asking,
        };
        let mut view = View::single(Part::Ask(question));
        view.turn = offer_of(said);
        view.revision = revision;
        view.state = state;
        for block in &mut view.blocks {
            block.revision = revision;
        }
        if let Err(error) = self.inner.outbox.post(target, view).await {
            warn!(bot = %self.inner.config.name, %error, "an offer could not be shown");
        }
    }
}

/// Above all that was shown of it.
fn next_revision(store: &mut dyn Store, view: &TurnId) -> StoreResult<u32> {
    let stands = store.outbox_get(view)?.and_then(|row| row.view);
    Ok(stands.map_or(1, |view| view.revision.saturating_add(1)))
}

fn choice(label: &str, token: &TokenRow, style: Style) -> Choice {
    Choice {
        label: label.to_owned(),
        description: String::new(),
        token: token.token.clone(),
        style,
    }
}
