//! Makes the chat look like the view: sends what is not there, changes what is, and remembers after each step.
//!
//! A message is a card entity (CardKit), which takes any number of updates and types out what grows; where the app may
//! not make those, a card in the message, changed whole; where the card itself is refused, rich text. Every send has a
//! `uuid` that stays the same, every change of an entity a sequence that was saved before it: both can be repeated.

pub(crate) mod give;
mod message;

use botyard_sdk::delivery::{Part, State, Target, View};
use botyard_sdk::serde_json;
use botyard_sdk::types::Error;
use serde::{Deserialize, Serialize};

use crate::api::{Api, Failure, Reply, To, Wire};
use crate::event::ReplyTo;
use crate::view::{BUDGET, Page, SMALLEST, is_bare, render};

/// The sign that the question was heard: Feishu's own bots use this emoji so.
const TYPING: &str = "Typing";
/// Seconds that the sign is enough; then a card says so, with a stop button.
const SIGN_ENOUGH: u32 = 8;
/// What a message is made of, from the best to the plainest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Entity,
    Card,
    Post,
}

impl Kind {
    const fn plainer(self) -> Option<Self> {
        match self {
            Self::Entity => Some(Self::Card),
            Self::Card => Some(Self::Post),
            Self::Post => None,
        }
    }
}

/// One message of the turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// None: it is being sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub uuid: String,
    /// The highest that may have been used.
    pub sequence: u32,
    pub streaming: bool,
    /// When the stream was opened.
    pub since: u32,
    /// Of each element: its id and a digest.
    pub elements: Vec<(String, String)>,
    /// Since it was sent or last changed, Feishu has said that the message stands in the chat.
    #[serde(default)]
    pub asked: bool,
}

/// What stands in the chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// When the first view came.
    pub begun: u32,
    /// The reaction on the question; empty: it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typing: Option<String>,
    #[serde(default)]
    pub posted: Vec<Posted>,
    /// Sends so far: makes the ids of one turn differ.
    #[serde(default)]
    pub count: u32,
    /// What messages are made of from now on.
    #[serde(default)]
    pub kind: Kind,
    /// Smaller than usual, after Feishu said too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<usize>,
    /// What is answered is gone: 1 the question, 2 the thread as well.
    #[serde(default)]
    pub alone: u8,
    /// The person cannot be written to directly.
    #[serde(default)]
    pub in_place: bool,
    /// Files that stand in the chat, by the host's id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// Shows the view.
///
/// # Errors
/// As the vendor's codes say; everything that was done is remembered.
pub fn show<W: Wire>(api: &Api<W>, view: &View, target: &Target) -> Result<(), Error> {
    let memory = match &target.memory {
        None => Memory {
            begun: api.wire.now(),
            ..Memory::default()
        },
        Some(bytes) => serde_json::from_slice(bytes)
            .map_err(|error| Error::Rejected(format!("the memory of this turn cannot be read: {error}")))?,
    };
    let question = match ReplyTo::of(&target.reply_to) {
        Some(ReplyTo::Message(message) | ReplyTo::Direct { message, .. }) => Some(message),
        _ => None,
    };
    let mut stage = Stage {
        api,
        target,
        question,
        memory,
    };
    stage.show(view)
}

struct Stage<'a, W> {
    api: &'a Api<W>,
    target: &'a Target,
    /// The message that is answered.
    question: Option<String>,
    memory: Memory,
}

impl<W: Wire> Stage<'_, W> {
    fn save(&self) -> Result<(), Error> {
        let bytes = serde_json::to_vec(&self.memory).map_err(|error| Error::Rejected(error.to_string()))?;
        self.api.wire.save(&bytes)
    }

    /// Where the next message goes, and whether there is another place if that one is gone.
    fn place(&self) -> To<'_> {
        let conversation = &self.target.conversation;
        if let Some(person) = &self.target.private_to
            && !conversation.direct
            && !self.memory.in_place
        {
            return To::Person(person);
        }
        let question = self.question.as_deref().filter(|_| self.memory.alone == 0);
        let reply = |message, in_thread| {
            To::Reply(Reply {
                message,
                in_thread,
                chat: Some(&conversation.channel),
            })
        };
        match (&conversation.thread, question) {
            (Some(_), Some(question)) => return reply(question, true),
            (Some(root), None) if self.memory.alone < 2 => return reply(root, true),
            (None, Some(question)) if !conversation.direct => return reply(question, false),
            _ => {}
        }
        if conversation.channel.starts_with("ou_") {
            To::Person(&conversation.channel)
        } else {
            To::Chat(&conversation.channel)
        }
    }

    fn show(&mut self, view: &View) -> Result<(), Error> {
        if self.memory.posted.is_empty() && is_bare(view) && self.sign()? {
            return Ok(());
        }
        let live = matches!(view.state, State::Running);
        loop {
            let budget = self.memory.budget.unwrap_or(BUDGET);
            match self.bring(&render(view, budget), live) {
                Err(failure) if matches!(failure.error, Error::TooLarge(_)) && budget > SMALLEST => {
                    self.memory.budget = Some((budget / 2).max(SMALLEST));
                    self.save()?;
                }
                Err(failure) => return Err(failure.error),
                Ok(()) => break,
            }
        }
        self.unsign()?;
        if matches!(view.state, State::Done | State::Stopped | State::Failed(_)) {
            for block in &view.blocks {
                if let Part::File(file) = &block.part {
                    self.file(file)?;
                }
            }
        }
        Ok(())
    }

    /// Puts the sign on the question. False: a card is needed.
    fn sign(&mut self) -> Result<bool, Error> {
        let Some(question) = self.question.clone() else {
            return Ok(false);
        };
        if self.api.wire.now().saturating_sub(self.memory.begun) >= SIGN_ENOUGH {
            return Ok(false);
        }
        if self.memory.typing.is_none() {
            // Without the scope for it, or on a message that is gone, there is no sign: the answer comes all the same.
            let reaction = match self.api.react(&question, TYPING) {
                Ok(reaction) => reaction,
                Err(failure) if matches!(failure.error, Error::RateLimited(_)) => return Err(failure.error),
                Err(_) => String::new(),
            };
            self.memory.typing = Some(reaction);
            self.save()?;
        }
        Ok(self.memory.typing.as_ref().is_some_and(|reaction| !reaction.is_empty()))
    }

    fn unsign(&mut self) -> Result<(), Error> {
        if let (Some(question), Some(reaction)) = (&self.question, &self.memory.typing)
            && !reaction.is_empty()
        {
            match self.api.unreact(question, reaction) {
                Err(failure) if matches!(failure.error, Error::RateLimited(_) | Error::Unavailable(_)) => {
                    return Err(failure.error);
                }
                _ => {}
            }
            self.memory.typing = Some(String::new());
            self.save()?;
        }
        Ok(())
    }

    fn bring(&mut self, pages: &[Page], live: bool) -> Result<(), Failure> {
        for (at, page) in pages.iter().enumerate() {
            let last = at + 1 == pages.len();
            let streaming = live && last;
            let sent_before = self.memory.posted.get(at).is_some_and(|one| one.message.is_none());
            if self.memory.posted.get(at).is_none_or(|one| one.message.is_none()) {
                self.send(at, page, streaming, last)?;
            }
            if sent_before {
                // It may be what an earlier try sent.
                self.memory.posted[at].elements.clear();
            }
            self.update(at, page, streaming, (live, last))?;
        }
        // The text became shorter: a CLI took something back.
        while self.memory.posted.len() > pages.len() {
            if let Some(message) = self.memory.posted.last().and_then(|one| one.message.clone()) {
                self.api.delete(&message)?;
            }
            self.memory.posted.pop();
            self.save()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
