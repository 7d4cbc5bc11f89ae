//! What people do to what was said: edits, deletions, reactions. Edits and deletions follow a message as long as it
//! waits; what an agent has already is not taken from it.

use tracing::{debug, warn};

use super::Bot;
use crate::access;
use crate::chat::{InboxId, Item, Message, Origin, Reaction, What};
use crate::store::{AuditRow, InboxRow, InboxState, TurnRow, TurnState};

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

/// What was said, and the turn that it became.
struct Said {
    row: InboxRow,
    turn: Option<TurnRow>,
}

impl Bot {
    /// The message stands differently now.
    pub(super) async fn edited(&self, id: InboxId, origin: &Origin, message: Message) {
        let Some(said) = self.said(origin, &message.id).await else {
            return self.done(id).await;
        };
        let (row, turn) = (said.row, said.turn);
        let What::Message(before) = &row.item.what else {
            return self.done(id).await;
        };
        if !self.admitted(&row.item.origin).await {
            return self.done(id).await;
        }
        let same = before.text == message.text;
        let message = Message {
            text: message.text,
            mentions: message.mentions,
            ..before.clone()
        };
        let text = self.compose_again(&row.item.origin, &message).await;
        let waits = turn.as_ref().is_some_and(waits);
        // Platforms also call it an edit when a link was unfolded.
        if same && !(waits && turn.as_ref().is_some_and(|turn| turn.prompt != text)) {
            return self.done(id).await;
        }
        let item = Item {
            origin: row.item.origin.clone(),
            what: What::Message(message),
        };
        let said = row.id;
        if let Err(error) = self.inner.journal.write(move |s| s.inbox_amend(said, &item)).await {
            warn!(bot = %self.inner.config.name, %error, "an edit could not be kept; it is tried again");
            return self.later();
        }
        // Without a turn it goes its way with the new words.
        if let Some(turn) = &turn {
            let followed = waits && self.inner.registry.amend(&turn.session, &turn.id, text).await;
            if !followed {
                self.offer_again(said, turn).await;
            }
        }
        self.done(id).await;
    }

    /// The message is gone.
    pub(super) async fn deleted(&self, id: InboxId, origin: &Origin, message: &str) {
        let Some(said) = self.said(origin, message).await else {
            return self.done(id).await;
        };
        match &said.turn {
            Some(turn) if waits(turn) => {
                let words = "Withdrawn: the message was deleted.";
                if !self.inner.registry.withdraw(&turn.session, &turn.id, words).await {
                    debug!(bot = %self.inner.config.name, turn = %turn.id, "a deleted message was taken up already");
                }
            }
            Some(turn) if turn.state != TurnState::Done => {
                debug!(bot = %self.inner.config.name, turn = %turn.id, "the message of a running turn was deleted");
            }
            Some(_) => {}
            // It was not taken up yet; whoever gathers for it looks again.
            None if said.row.state == InboxState::New => self.done(said.row.id).await,
            None => {}
        }
        self.done(id).await;
    }

    /// Somebody reacted to a message of the bot's: some reactions stop what it shows.
    pub(super) async fn reacted(&self, id: InboxId, origin: &Origin, reaction: &Reaction) {
        if reaction.added && stops(&reaction.emoji) {
            let (name, message) = (self.inner.config.name.clone(), reaction.id.clone());
            let channel = channel(origin);
            let found = self.inner.journal.read(move |s| {
                let turn = s.turn_of_message(&name, channel.as_deref(), &message)?;
                Ok(turn.map(|turn| s.turn_get(&turn)).transpose()?.flatten())
            });
            match found.await {
                Ok(Some(turn)) if turn.state != TurnState::Done => self.stop_by(origin, &turn).await,
                Ok(_) => {}
                Err(error) => {
                    warn!(bot = %self.inner.config.name, %error, "a reaction could not be looked up; it is tried again");
                    return self.later();
                }
            }
        }
        self.done(id).await;
    }

    /// The asker may stop what they asked for, and whoever decides for others.
    async fn stop_by(&self, origin: &Origin, turn: &TurnRow) {
        let config = &self.inner.config;
        let asker = !origin.sender.bot && !turn.asker.is_empty() && origin.sender.id == turn.asker;
        let may = asker || access::may_decide(config, &turn.asker, &origin.sender);
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
        let (name, channel) = (self.inner.config.name.clone(), channel(origin));
        let message = message.to_owned();
        let found = self.inner.journal.read(move |s| {
            let Some(row) = s.inbox_said(&name, channel.as_deref(), &message)? else {
                return Ok(None);
            };
            let turn = s.turn_of_inbox(row.id)?;
            Ok(Some(Said { row, turn }))
        });
        found.await.unwrap_or_else(|error| {
            warn!(bot = %self.inner.config.name, %error, "what was said could not be looked up");
            None
        })
    }
}

/// Nobody was given it yet.
fn waits(turn: &TurnRow) -> bool {
    turn.state == TurnState::Queued && turn.attempt == 0
}

/// None: the event did not tell (`?`); then the message's id must be enough.
fn channel(origin: &Origin) -> Option<String> {
    let channel = origin.conversation.channel.as_str();
    (channel != "?").then(|| channel.to_owned())
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
    use super::stops;

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
