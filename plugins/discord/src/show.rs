//! Makes the chat look like the view: posts what is not there, changes what is, and remembers after each step.
//!
//! A post carries a nonce that Discord honours for some minutes, so it may be repeated; for later the intent is saved
//! first, and the message is looked for before anything is posted again. One that has neither words nor a button (steps
//! alone) cannot be told from others: it is posted once more, and may then stand there twice. An interaction is answered
//! by its ticket while that is good (15 minutes), then by ordinary messages.

mod give;

use botyard_sdk::delivery::{Part, State, Target, View};
use botyard_sdk::digest::Digest;
use botyard_sdk::json::{array_at, str_at};
use botyard_sdk::serde_json::{self, Value};
use botyard_sdk::types::{Conversation, Error};
use serde::{Deserialize, Serialize};

use crate::api::{
    Api, EDITS_USED_UP, EXPIRED, Failure, MISSING_ACCESS, MISSING_PERMISSIONS, Shown, THREAD_ARCHIVED, Ticket,
    UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, Wire,
};
use crate::event::{Interaction, Kind, ReplyTo};
use crate::view::{WHOLE, render};

/// A ticket is good for 15 minutes (docs.discord.com/developers/interactions/receiving-and-responding); the last of
/// them is left for clocks that differ.
const TICKET: u32 = 14 * 60;
/// So many seconds after it was told, an interaction may still be without its callback, which goes its own way: until
/// then Discord does not know the ticket.
const EARLY: u32 = 5;
/// Then it is asked again after so many milliseconds.
const NOT_YET: u32 = 500;
/// Discord says that a nonce is honoured for "the past few minutes"; after this long we look instead.
const NONCE: u32 = 90;
/// Why a channel may have no thread: no right to make one, a kind of channel without them, too many of them, and the
/// question is gone.
const NO_THREAD: [u64; 5] = [MISSING_ACCESS, MISSING_PERMISSIONS, 50024, 160_006, UNKNOWN_MESSAGE];

/// What stands in the chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The messages in order.
    #[serde(default)]
    pub posted: Vec<Posted>,
    /// A post that was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// Posts so far: makes the nonces of one turn differ.
    #[serde(default)]
    pub count: u32,
    /// Some: whether the question's own thread could be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<bool>,
    /// It was shown that somebody works, without a message.
    #[serde(default)]
    pub typing: bool,
    /// The ticket was refused, or its deferred answer is not ours to fill.
    #[serde(default)]
    pub spent: bool,
    /// The direct channel, where nothing else is private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<String>,
    /// Files that stand in the chat, or may, by the host's id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// A file whose posting was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub giving: Option<Giving>,
    /// The file of the whole answer stands there.
    #[serde(default)]
    pub whole: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    pub id: String,
    /// Of what it shows.
    pub digest: String,
    /// It was sent with the ticket.
    #[serde(default)]
    pub ticket: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Which message of the turn it is.
    pub index: usize,
    pub at: u32,
    /// Of its words alone, for finding it.
    pub words: String,
    /// The token of its first button, which no other message has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Giving {
    /// Which post of the turn it is, as `Memory::count` says.
    pub count: u32,
    pub at: u32,
}

/// Shows the view.
///
/// # Errors
/// As the vendor's errors say; everything that was done is remembered.
pub fn show<W: Wire>(api: &Api<W>, view: &View, target: &Target) -> Result<(), Error> {
    let memory = match &target.memory {
        None => Memory::default(),
        Some(bytes) => serde_json::from_slice(bytes)
            .map_err(|error| Error::Rejected(format!("the memory of this turn cannot be read: {error}")))?,
    };
    let reply = serde_json::from_slice(&target.reply_to).unwrap_or_default();
    let mut stage = Stage {
        api,
        target,
        reply,
        memory,
        private: target.private_to.is_some() && !target.conversation.direct,
    };
    stage.show(view).map_err(Error::from)
}

struct Stage<'a, W> {
    api: &'a Api<W>,
    target: &'a Target,
    reply: ReplyTo,
    memory: Memory,
    /// One person alone may read it, and the channel is no direct one.
    private: bool,
}

const fn host(error: Error) -> Failure {
    Failure {
        code: None,
        unclear: false,
        error,
    }
}

impl<W: Wire> Stage<'_, W> {
    fn save(&self) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(&self.memory).map_err(|error| host(Error::Rejected(error.to_string())))?;
        self.api.wire.save(&bytes).map_err(host)
    }

    /// The ticket, while it is good.
    fn interaction(&self) -> Option<&Interaction> {
        self.reply
            .interaction
            .as_ref()
            .filter(|ticket| !self.memory.spent && self.api.wire.now() < ticket.at.saturating_add(TICKET))
    }

    fn show(&mut self, view: &View) -> Result<(), Failure> {
        let rendered = render(view);
        let channel = self.channel()?;
        self.settle(&channel)?;
        if rendered.idle && self.memory.posted.is_empty() && !self.memory.typing {
            // At first the platform's own sign is enough: a fast answer is one message.
            self.memory.typing = true;
            if self.interaction().is_none() {
                self.api.typing(&channel)?;
            }
            return self.save();
        }
        self.bring(&channel, &rendered.messages)?;
        if matches!(view.state, State::Done | State::Stopped | State::Failed(_)) {
            for block in &view.blocks {
                if let Part::File(file) = &block.part {
                    self.file(&channel, file)?;
                }
            }
            if let Some(text) = rendered.file.filter(|_| !self.memory.whole) {
                let file = self
                    .api
                    .wire
                    .keep(WHOLE, "text/markdown", text.as_bytes())
                    .map_err(host)?;
                self.file(&channel, &file)?;
                self.memory.whole = true;
                self.save()?;
            }
        }
        Ok(())
    }

    /// Where messages go: the direct channel, the thread (made now, if it is the question's own), or the channel.
    fn channel(&mut self) -> Result<String, Failure> {
        if self.private && self.interaction().is_none() {
            return self.direct();
        }
        let conversation = &self.target.conversation;
        let Some(thread) = &conversation.thread else {
            return Ok(conversation.channel.clone());
        };
        let own = self
            .reply
            .title
            .as_ref()
            .filter(|_| self.reply.message.as_ref() == Some(thread));
        let Some(title) = own else {
            return Ok(thread.clone());
        };
        let made = match self.memory.thread {
            Some(made) => made,
            None => {
                let made = match self.api.make_thread(&conversation.channel, thread, title) {
                    Ok(()) => true,
                    Err(failure) if failure.is(&NO_THREAD) => false,
                    Err(failure) => return Err(failure),
                };
                self.memory.thread = Some(made);
                self.save()?;
                made
            }
        };
        if made {
            return Ok(thread.clone());
        }
        let flat = Conversation {
            thread: None,
            ..conversation.clone()
        };
        self.api.wire.moved(&flat).map_err(host)?;
        Ok(conversation.channel.clone())
    }

    fn direct(&mut self) -> Result<String, Failure> {
        if let Some(channel) = &self.memory.direct {
            return Ok(channel.clone());
        }
        let user = self.target.private_to.as_deref().unwrap_or_default();
        let channel = self.api.direct(user)?;
        // What was whispered by a ticket stands where it stands, and cannot be changed any more.
        self.memory.posted.clear();
        self.memory.direct = Some(channel.clone());
        self.save()?;
        Ok(channel)
    }

    /// A post that was begun so long ago that its nonce may be forgotten: was it posted?
    fn settle(&mut self, channel: &str) -> Result<(), Failure> {
        let Some(pending) = self.memory.pending.clone() else {
            return Ok(());
        };
        if self.api.wire.now() < pending.at.saturating_add(NONCE) {
            return Ok(());
        }
        let me = self.api.wire.me();
        let after = snowflake(pending.at.saturating_sub(60));
        match self
            .api
            .get(&format!("/channels/{channel}/messages?after={after}&limit=100"))
        {
            Ok(page) => {
                let (words, token) = (&pending.words, pending.token.as_deref());
                let is_it = |message: &Value| match token {
                    Some(_) => token_in(array_at(message, "/components")) == token,
                    // Without words it may as well be a file's, or another turn's: it is said once more.
                    None if *words == digest_text("") => false,
                    None => digest_text(str_at(message, "/content").unwrap_or_default()) == *words,
                };
                let found = array_at(&page, "").iter().find(|message| {
                    str_at(message, "/author/id") == me.as_deref()
                        && is_it(message)
                        && str_at(message, "/id").is_some_and(|id| !self.memory.posted.iter().any(|p| p.id == id))
                });
                match found.and_then(|message| str_at(message, "/id")) {
                    Some(id) => self.stands(pending.index, id, String::new(), false),
                    None => {
                        self.memory.pending = None;
                        self.memory.count += 1;
                        self.save()
                    }
                }
            }
            // Nobody will ever know: the host decides, and may tell the person.
            Err(failure) if matches!(failure.error, Error::Rejected(_)) => Err(host(Error::Ambiguous(
                "a message may have been posted, and the bot may not read the channel to see it".into(),
            ))),
            Err(failure) => Err(failure),
        }
    }

    /// A message is in the chat: remembered before anything else happens.
    fn stands(&mut self, index: usize, id: &str, digest: String, ticket: bool) -> Result<(), Failure> {
        self.memory.pending = None;
        self.memory.count += 1;
        let entry = Posted {
            id: id.to_owned(),
            digest,
            ticket,
        };
        match self.memory.posted.get_mut(index) {
            Some(there) => *there = entry,
            None => self.memory.posted.push(entry),
        }
        self.save()?;
        self.api.wire.posted(id).map_err(host)
    }

    fn bring(&mut self, channel: &str, wanted: &[Shown]) -> Result<(), Failure> {
        for (index, shown) in wanted.iter().enumerate() {
            let digest = digest(shown);
            match self.memory.posted.get(index).cloned() {
                Some(there) if there.digest == digest => {}
                Some(there) => {
                    if self.change(channel, &there, shown)? {
                        self.memory.posted[index].digest = digest;
                        self.save()?;
                    } else {
                        // Not ours to change any more, but the answer must be seen: again, as a new message.
                        self.post(channel, index, shown, digest)?;
                    }
                }
                None => self.post(channel, index, shown, digest)?,
            }
        }
        // The text became shorter: a CLI took something back.
        while self.memory.posted.len() > wanted.len() {
            if let Some(last) = self.memory.posted.last().cloned() {
                match self.interaction().filter(|_| last.ticket).cloned() {
                    Some(ticket) => self.api.delete_whisper(Ticket::of(&ticket), &last.id)?,
                    None => self.api.delete(channel, &last.id)?,
                }
            }
            self.memory.posted.pop();
            self.save()?;
        }
        Ok(())
    }

    /// Changes a message that stands there; false: it cannot be changed any more.
    fn change(&mut self, channel: &str, there: &Posted, shown: &Shown) -> Result<bool, Failure> {
        if there.ticket
            && let Some(ticket) = self.interaction().cloned()
        {
            match self.api.edit_whisper(Ticket::of(&ticket), &there.id, shown) {
                Ok(()) => return Ok(true),
                Err(failure) if failure.is(&EXPIRED) => self.spend(&ticket, &failure)?,
                Err(failure) => return Err(failure),
            }
        }
        let mut changed = self.api.edit(channel, &there.id, shown);
        if let Err(failure) = &changed
            && failure.is(&[THREAD_ARCHIVED])
        {
            self.api.reopen_thread(channel)?;
            changed = self.api.edit(channel, &there.id, shown);
        }
        match changed {
            Ok(()) => Ok(true),
            Err(failure) if failure.is(&[EDITS_USED_UP]) => Ok(false),
            // The answer to an interaction, where the bot is not in the channel.
            Err(failure) if there.ticket && failure.is(&[UNKNOWN_MESSAGE, MISSING_ACCESS, MISSING_PERMISSIONS]) => {
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    fn post(&mut self, channel: &str, index: usize, shown: &Shown, digest: String) -> Result<(), Failure> {
        if let Some(ticket) = self.interaction().cloned()
            && (index == 0 || self.private)
        {
            match self.by_ticket(&ticket, index, shown) {
                Ok(Some(id)) => return self.stands(index, &id, digest, true),
                Ok(None) => {}
                Err(failure) if failure.is(&EXPIRED) => self.spend(&ticket, &failure)?,
                Err(failure) => return Err(failure),
            }
        }
        let again = self.memory.pending.is_some();
        if !again {
            self.memory.pending = Some(Pending {
                index,
                at: self.api.wire.now(),
                words: digest_text(&shown.content),
                token: token_in(&shown.components).map(str::to_owned),
            });
            self.save()?;
        }
        let nonce = self.nonce("");
        // In a thread, and between two, it is plain what is answered.
        let in_channel = !self.target.conversation.direct
            && !self.private
            && (self.target.conversation.thread.is_none() || self.memory.thread == Some(false));
        let answers = self.reply.message.as_deref().filter(|_| index == 0 && in_channel);
        match self.api.post(channel, shown, &nonce, answers) {
            Ok((id, content)) => {
                // An earlier try may have been taken, which shows what was to be shown then.
                if !again && digest_text(&content) == digest_text(&shown.content) {
                    return self.stands(index, &id, digest, false);
                }
                self.stands(index, &id, String::new(), false)?;
                let there = self.memory.posted[index].clone();
                if self.change(channel, &there, shown)? {
                    self.memory.posted[index].digest = digest;
                    self.save()?;
                }
                Ok(())
            }
            Err(failure) if failure.unclear => {
                // The intent stays, and so does the nonce: it may be sent again at once.
                let error = Error::Unavailable("discord did not say whether a message was posted".into());
                Err(Failure { error, ..failure })
            }
            // What was begun before and not answered may still stand there.
            Err(failure) if again => Err(failure),
            Err(failure) => {
                self.memory.pending = None;
                self.save()?;
                Err(failure)
            }
        }
    }

    /// Discord refuses the ticket, for good or only yet. What was private by it must not become an ordinary message.
    fn spend(&mut self, ticket: &Interaction, failure: &Failure) -> Result<(), Failure> {
        if failure.is(&[UNKNOWN_WEBHOOK]) && self.api.wire.now() <= ticket.at.saturating_add(EARLY) {
            return Err(host(Error::RateLimited(Some(NOT_YET))));
        }
        self.memory.spent = true;
        self.save()?;
        if self.private {
            // It goes to the direct channel with the next call.
            return Err(host(Error::RateLimited(Some(0))));
        }
        Ok(())
    }

    /// For one person alone. It has no nonce: what may have been said is not said again.
    fn whisper(&self, ticket: Ticket<'_>, shown: &Shown) -> Result<String, Failure> {
        self.api.whisper(ticket, shown).map_err(|failure| {
            if failure.unclear {
                return host(Error::Ambiguous("a message may have been whispered".into()));
            }
            failure
        })
    }

    /// What the ticket can show. None: it is an ordinary message's turn.
    fn by_ticket(&mut self, ticket: &Interaction, index: usize, shown: &Shown) -> Result<Option<String>, Failure> {
        let good = Ticket::of(ticket);
        match (ticket.kind, self.private) {
            // The deferred answer is the first message.
            (Kind::Command | Kind::Ask, false) if index == 0 => self.api.edit_original(good, shown).map(Some),
            // A command that came by webhook may have been deferred by the route's fixed word, which is for all: Discord
            // knows.
            (Kind::Command, true) if index == 0 && self.api.original_is_private(good)? => {
                self.api.edit_original(good, shown).map(Some)
            }
            (Kind::Command | Kind::Ask, true) if index == 0 => {
                // Deferred for all to see; what comes now is not for all.
                self.api.delete_original(good)?;
                self.whisper(good, shown).map(Some)
            }
            (_, true) => self.whisper(good, shown).map(Some),
            _ => Ok(None),
        }
    }

    /// At most 25 characters: the host's are at most 20.
    fn nonce(&self, kind: &str) -> String {
        format!("{}-{kind}{}", self.target.nonce, self.memory.count % 1_000)
    }
}

/// The smallest id of this second.
fn snowflake(seconds: u32) -> u64 {
    (u64::from(seconds) * 1000).saturating_sub(1_420_070_400_000) << 22
}

/// What a message shows, in 16 characters.
fn digest(shown: &Shown) -> String {
    Digest::of_json(&(&shown.content, &shown.embeds, &shown.components)).text()
}

/// The token of the first button or list.
fn token_in(rows: &[Value]) -> Option<&str> {
    let mut parts = rows.iter().flat_map(|row| array_at(row, "/components"));
    parts.find_map(|part| str_at(part, "/custom_id"))
}

/// Of words. Discord cuts white space off both ends of a message.
fn digest_text(text: &str) -> String {
    Digest::of(text.trim().as_bytes()).text()
}

impl<'a> Ticket<'a> {
    const fn of(interaction: &'a Interaction) -> Self {
        Self {
            app: interaction.app.as_str(),
            token: interaction.token.as_str(),
        }
    }
}

#[cfg(test)]
mod tests;
