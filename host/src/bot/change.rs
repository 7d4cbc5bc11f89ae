//! What people do to what was said: edits, deletions, reactions. Edits and deletions follow a message as long as it
//! waits; what an agent has already is not taken from it. Those that come before their message are the inbox's.

use tracing::{debug, warn};

use super::Bot;
use super::gather::MISSING;
use super::lanes::Work;
use crate::access;
use crate::chat::{InboxId, Item, Message, Origin, Reaction, What};
use crate::command;
use crate::store::{
    AuditRow, InboxRow, InboxState, Result as StoreResult, RunRow, Store, StoreError, TurnRow, TurnState,
};

/// What stops a turn when it is put on its message: as platforms call it, or as they write it.
const STOPS: [&str; 9] = [
    "-1",
    "thumbsdown",
    "thumbs_down",
    "stop_button",
    "octagonal_sign",
    "stop_sign",
    "👎",
    "⏹",
    "🛑",
];

/// What was said, and what it became.
struct Said {
    row: InboxRow,
    became: Became,
}

/// A turn, or a run of several; neither: it is not taken up yet, or nothing was made of it.
struct Became {
    turn: Option<TurnRow>,
    run: Option<RunRow>,
}

impl Became {
    fn read(store: &mut dyn Store, said: InboxId) -> StoreResult<Self> {
        let turn = store.turn_of_inbox(said)?;
        let run = match turn {
            Some(_) => None,
            None => match store.run_get(said) {
                // Whoever began it is told that it ended.
                Err(StoreError::Damaged(_)) => None,
                run => run?,
            },
        };
        Ok(Self { turn, run })
    }
}

impl Bot {
    /// The message stands differently now.
    pub(super) async fn edited(&self, id: InboxId, origin: &Origin, message: Message) -> Work {
        let Some(said) = self.said(origin, &message.id).await else {
            return self.done(id).await;
        };
        let (row, turn) = (said.row, said.became.turn);
        let What::Message(before) = &row.item.what else {
            return self.done(id).await;
        };
        if !self.admitted(&row.item.origin).await {
            return self.done(id).await;
        }
        // Platforms also call it an edit when a link was unfolded. A command is given by a message of its own, and of
        // an album every part would have to be known.
        let command = matches!(self.read(&message.text).said, command::Said::Command(..));
        if before.text == message.text || command || before.group.is_some() {
            return self.done(id).await;
        }
        let now = Message {
            text: message.text,
            mentions: message.mentions,
            ..before.clone()
        };
        // The turn first: stopped in between, the edit comes again and is still one.
        let mut followed = match &turn {
            Some(turn) => self.follow_edit(&row.item.origin, turn, before, &now).await,
            None => false,
        };
        let item = Item {
            origin: row.item.origin.clone(),
            what: What::Message(now.clone()),
        };
        let said = row.id;
        let amended = self.inner.journal.write(move |s| {
            let became = Became::read(s, said)?;
            let over = s.inbox_get(said)?.is_none_or(|row| row.state == InboxState::Done);
            if over && became.turn.is_none() && became.run.is_none() {
                // Nobody will read it, and its words are not kept.
                return Ok(None);
            }
            s.inbox_amend(said, &item)?;
            Ok(Some(became))
        });
        let after = match amended.await {
            Ok(Some(after)) => after,
            Ok(None) => return self.done(id).await,
            Err(error) => {
                warn!(bot = %self.inner.config.name, %error, "an edit could not be kept; it is tried again");
                return Work::Again;
            }
        };
        // Without a turn it goes its way with the new words, unless it went while this was looked up.
        if let (Some(turn), None) = (&after.turn, &turn) {
            followed = self.follow_edit(&row.item.origin, turn, before, &now).await;
        }
        // Bots edit their messages as they write; they press nothing.
        let person = !access::is_bot(&self.inner.config, &row.item.origin.sender);
        match (after.turn, after.run) {
            (Some(turn), _) if !followed && person => self.offer_again(said, &turn).await,
            // Several agents may be anywhere with it.
            (None, Some(run)) if person => self.say_send_again(run.target).await,
            _ => {}
        }
        self.done(id).await
    }

    /// A turn that waits is asked what the message says now; what was brought for it stays. False: it does not wait.
    async fn follow_edit(&self, origin: &Origin, turn: &TurnRow, before: &Message, now: &Message) -> bool {
        if !waits(turn) {
            return false;
        }
        // What it answers stays as well, or stays away.
        let alone = |message: &Message| Message {
            quotes: None,
            ..message.clone()
        };
        let (old, new) = (
            self.compose_again(origin, &alone(before)).await,
            self.compose_again(origin, &alone(now)).await,
        );
        let prompt = match in_place(&turn.prompt, &old, &new) {
            Some(prompt) => prompt,
            // It was amended already, or a name in it was learned since.
            None => self.compose_again(origin, now).await,
        };
        self.inner.registry.amend(&turn.session, &turn.id, prompt).await
    }

    /// The message is gone.
    pub(super) async fn deleted(&self, id: InboxId, origin: &Origin, message: &str) -> Work {
        let Some(said) = self.said(origin, message).await else {
            return self.done(id).await;
        };
        let Became { turn, run } = &said.became;
        let words = "Withdrawn: the message was deleted.";
        let taken_up = turn.is_some() || run.is_some();
        match turn {
            // Of an album the other parts are still said.
            _ if taken_up && matches!(&said.row.item.what, What::Message(message) if message.group.is_some()) => {}
            Some(turn) if waits(turn) => {
                let withdrawn = self.inner.registry.withdraw(&turn.session, &turn.id, words).await;
                if !withdrawn {
                    debug!(bot = %self.inner.config.name, turn = %turn.id, "a deleted message was taken up already");
                }
            }
            Some(turn) if turn.state != TurnState::Done => {
                debug!(bot = %self.inner.config.name, turn = %turn.id, "the message of a running turn was deleted");
            }
            Some(_) => {}
            None if run.is_some() => {
                if let Err(error) = self.withdraw_run(said.row.id, words).await {
                    warn!(bot = %self.inner.config.name, %error, "a deletion could not be stored; it is tried again");
                    return Work::Again;
                }
            }
            // It was not taken up yet; whoever gathers for it looks again.
            None => {
                let new = said.row.state == InboxState::New;
                if new && self.done(said.row.id).await != Work::Done {
                    return Work::Again;
                }
            }
        }
        self.done(id).await
    }

    /// Somebody reacted to a message of the bot's: some reactions stop what it shows.
    pub(super) async fn reacted(&self, id: InboxId, origin: &Origin, reaction: &Reaction) -> Work {
        if reaction.added && stops(&reaction.emoji) {
            let (name, message) = (self.inner.config.name.clone(), reaction.id.clone());
            let place = origin.conversation.clone();
            let found = self.inner.journal.read(move |s| {
                let turn = s.turn_of_message(&name, place.told_channel(), &message)?;
                Ok(turn.map(|turn| s.turn_get(&turn)).transpose()?.flatten())
            });
            match found.await {
                Ok(Some(turn)) if turn.state != TurnState::Done => self.stop_by(origin, &turn).await,
                Ok(_) => {}
                Err(error) => {
                    warn!(bot = %self.inner.config.name, %error, "a reaction could not be looked up; it is tried again");
                    return Work::Again;
                }
            }
        }
        self.done(id).await
    }

    /// The asker may stop what they asked for, and whoever decides for others.
    async fn stop_by(&self, origin: &Origin, turn: &TurnRow) {
        let config = &self.inner.config;
        let bot = access::is_bot(config, &origin.sender);
        let asker = !turn.asker.is_empty() && origin.sender.id == turn.asker;
        let may = !bot && (asker || access::may_decide(config, &turn.asker, &origin.sender));
        if !may || !self.admitted(origin).await {
            debug!(bot = %config.name, turn = %turn.id, "a reaction of somebody who may not stop this");
            return;
        }
        let row = AuditRow {
            at: crate::chat::now(),
            bot: config.name.clone(),
            who: origin.sender.id.clone(),
            what: "stopped by reaction".to_owned(),
        };
        self.inner.journal.write_later(move |s| s.audit(&row));
        self.inner.registry.stop_turn(&turn.session, &turn.id).await;
    }

    /// None: nothing is known of it, or the store cannot tell; an edit or a deletion is not worth a second try then.
    async fn said(&self, origin: &Origin, message: &str) -> Option<Said> {
        let (name, place) = (self.inner.config.name.clone(), origin.conversation.clone());
        let message = message.to_owned();
        let found = self.inner.journal.read(move |s| {
            let Some(row) = s.inbox_said(&name, place.told_channel(), &message)? else {
                return Ok(None);
            };
            let became = Became::read(s, row.id)?;
            Ok(Some(Said { row, became }))
        });
        found.await.unwrap_or_else(|error| {
            warn!(bot = %self.inner.config.name, %error, "what was said could not be looked up");
            None
        })
    }
}

/// The prompt with its message replaced: what was brought stands in lines before it, what is missing behind it.
fn in_place(prompt: &str, old: &str, new: &str) -> Option<String> {
    let whole = |&(at, _): &(usize, &str)| {
        let (before, behind) = (&prompt[..at], &prompt[at + old.len()..]);
        let alone = behind.is_empty() || behind.starts_with(MISSING);
        (before.is_empty() || before.ends_with('\n')) && alone
    };
    let (at, _) = prompt.rmatch_indices(old).find(whole)?;
    Some([&prompt[..at], new, &prompt[at + old.len()..]].concat())
}

/// Nobody was given it yet.
fn waits(turn: &TurnRow) -> bool {
    turn.state == TurnState::Queued && turn.attempt == 0
}

/// An emoji by its name or its sign, in any skin.
fn stops(emoji: &str) -> bool {
    let name = emoji.trim_matches(':').to_lowercase();
    let name = name.split("::").next().unwrap_or_default();
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '\u{fe0e}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}'))
        .collect();
    STOPS.contains(&plain.as_str())
}

#[cfg(test)]
mod tests {
    use super::{in_place, stops};

    #[test]
    fn a_message_is_replaced_and_what_was_brought_for_it_stays() {
        let placed = |prompt, old, new| in_place(prompt, old, new);
        let brought = "before:\n> fix it\n\nfix it\n\n(A file `a` came with this and is not here: x.)";
        let expected = brought.replacen("\n\nfix it\n", "\n\nmend it\n", 1);
        assert_eq!(placed(brought, "fix it", "mend it"), Some(expected));
        assert_eq!(placed("do a, b", "do a, b", "b"), Some("b".to_owned()));
        // Amended already: it is not done twice.
        assert_eq!(placed("fix it now", "fix it", "fix it now"), None);
        assert_eq!(placed("fix this", "fix it", "mend it"), None);
    }

    #[test]
    fn signs_of_displeasure_stop_and_others_do_not() {
        for emoji in [
            "-1",
            "+1::x",
            "-1::skin-tone-3",
            ":thumbsdown:",
            "ThumbsDown",
            "👎🏽",
            "⏹\u{fe0f}",
            "🛑",
            "octagonal_sign",
        ] {
            assert_eq!(stops(emoji), !emoji.starts_with('+'), "{emoji}");
        }
        for emoji in ["+1", "👍", "eyes", "", "⏹x"] {
            assert!(!stops(emoji), "{emoji}");
        }
    }
}
