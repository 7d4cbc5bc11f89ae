//! Makes the chat look like the view: sends what is not there, changes what is, and remembers after each step.
//!
//! A message is a card entity (CardKit), which takes any number of updates and types out what grows; where the app may
//! not make those, a card in the message, changed whole; where the card itself is refused, rich text. Every send has a
//! `uuid` that stays the same, every change of an entity a sequence that was saved before it: both can be repeated.

use botyard_sdk::delivery::{Part, State, Target, View};
use botyard_sdk::serde_json::{self, Value, json};
use botyard_sdk::types::{Error, FileRef};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Failure, To, Wire};
use crate::code;
use crate::event::ReplyTo;
use crate::markdown::quiet;
use crate::view::{BUDGET, Page, SMALLEST, is_bare, render};

/// The sign that the question was heard: Feishu's own bots use this emoji so.
const TYPING: &str = "Typing";
/// Seconds that the sign is enough; then a card says so, with a stop button.
const SIGN_ENOUGH: u32 = 8;
/// Seconds before a stream is opened anew: Feishu closes it after ten minutes.
const STREAM_ENDS: u32 = 9 * 60;
/// Sequences that are saved as used before an update uses them.
const RESERVE: u32 = 8;
/// Tries of one card when Feishu has seen a higher sequence.
const LEAPS: u32 = 3;
/// Changed texts that are typed out one by one; with more, the card is changed whole.
const TYPED: usize = 2;
/// Images and files: open.feishu.cn/document/server-docs/im-v1/image/create and file/create.
const IMAGE_MAX: u32 = 10 << 20;
pub const FILE_MAX: u32 = 30 << 20;

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
        Some(ReplyTo::Message(id)) => Some(id),
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

/// What is left to do when an entity's update failed.
enum Way {
    Done,
    /// The message takes no more updates of this kind.
    Plainer,
    /// The message was taken away.
    Gone,
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
        match (&conversation.thread, question) {
            (Some(_), Some(question)) => return To::Reply(question, true),
            (Some(root), None) if self.memory.alone < 2 => return To::Reply(root, true),
            (None, Some(question)) if !conversation.direct => return To::Reply(question, false),
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

    /// Makes a message of the best kind that Feishu takes.
    fn send(&mut self, at: usize, page: &Page, streaming: bool, last: bool) -> Result<(), Failure> {
        loop {
            if self.memory.posted.len() <= at {
                self.prepare(page, streaming, last)?;
            }
            let one = &self.memory.posted[at];
            let (kind, content) = match (one.kind, &one.card) {
                (Kind::Entity, Some(card)) => ("interactive", json!({ "type": "card", "data": { "card_id": card } })),
                (Kind::Entity | Kind::Card, _) => ("interactive", page.card(false)),
                (Kind::Post, _) => ("post", page.post()),
            };
            let to = self.place();
            match self.api.post(to, kind, &content, &one.uuid) {
                Ok(message) => {
                    self.memory.posted[at].message = Some(message.clone());
                    self.save()?;
                    return Ok(self.api.wire.posted(&message)?);
                }
                Err(failure) if failure.is(&code::WITHDRAWN) && matches!(to, To::Reply(..)) => {
                    self.memory.alone += 1;
                    self.save()?;
                }
                Err(failure)
                    if failure.is(&code::NOT_DIRECT) && self.target.private_to.is_some() && !self.memory.in_place =>
                {
                    self.memory.in_place = true;
                    self.save()?;
                }
                Err(failure) if code::of_card(failure.code) && one.kind.plainer().is_some() => {
                    self.memory.kind = one.kind.plainer().unwrap_or_default();
                    self.memory.posted.truncate(at);
                    self.save()?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Remembers a message that is about to be sent; of an entity, makes the card.
    fn prepare(&mut self, page: &Page, streaming: bool, last: bool) -> Result<(), Failure> {
        let mut card = None;
        if self.memory.kind == Kind::Entity {
            match self.api.create_card(&page.card(streaming)) {
                Ok(made) => card = Some(made),
                Err(failure) if failure.is(&code::SCOPE) || code::of_card(failure.code) => {
                    self.memory.kind = Kind::Card
                }
                Err(failure) => return Err(failure),
            }
        }
        let kind = self.memory.kind;
        self.memory.posted.push(Posted {
            kind,
            card,
            message: None,
            uuid: format!("{}-{}", self.target.nonce, self.memory.count),
            sequence: 0,
            streaming: streaming && kind == Kind::Entity,
            since: self.api.wire.now(),
            elements: digests(page, last),
        });
        self.memory.count += 1;
        Ok(self.save()?)
    }

    fn update(&mut self, at: usize, page: &Page, streaming: bool, (live, last): (bool, bool)) -> Result<(), Failure> {
        let wanted = digests(page, last);
        let one = &self.memory.posted[at];
        let aged = one.streaming && self.api.wire.now().saturating_sub(one.since) >= STREAM_ENDS;
        if one.elements == wanted && (one.kind != Kind::Entity || (one.streaming == streaming && !aged)) {
            return Ok(());
        }
        let entity = one.kind == Kind::Entity;
        let way = match one.kind {
            Kind::Entity => self.change(at, page, &wanted, streaming, aged)?,
            Kind::Card => self.patch(at, page)?,
            // Twenty edits are all that such a message takes: they are kept for what matters.
            Kind::Post if live => return Ok(()),
            Kind::Post => self.edit(at, page)?,
        };
        match way {
            Way::Done => {
                self.memory.posted[at].elements = wanted;
                self.save()?;
                // While it runs nobody waits for just this; a question and an end must be seen.
                if entity && !live && !self.stands(at) {
                    return self.again(at, page, streaming, last);
                }
                Ok(())
            }
            Way::Plainer => self.replace(at, page, streaming, (live, last)),
            Way::Gone => self.again(at, page, streaming, last),
        }
    }

    /// The message was taken away: what it said is said again, by another. A card entity can be sent only once.
    fn again(&mut self, at: usize, page: &Page, streaming: bool, last: bool) -> Result<(), Failure> {
        let uuid = format!("{}-{}", self.target.nonce, self.memory.count);
        self.memory.count += 1;
        let one = &mut self.memory.posted[at];
        *one = Posted {
            kind: one.kind.max(Kind::Card),
            uuid,
            elements: digests(page, last),
            ..Posted::default()
        };
        self.save()?;
        self.send(at, page, streaming, last)
    }

    fn stands(&self, at: usize) -> bool {
        let message = self.memory.posted[at].message.as_ref();
        message.is_none_or(|message| self.api.stands(message))
    }

    /// Changes an entity.
    fn change(
        &mut self,
        at: usize,
        page: &Page,
        wanted: &[(String, String)],
        streaming: bool,
        aged: bool,
    ) -> Result<Way, Failure> {
        let Some(card) = self.memory.posted[at].card.clone() else {
            return Ok(Way::Plainer);
        };
        for leap in 0..=LEAPS {
            let one = &mut self.memory.posted[at];
            let mut sequence = one.sequence;
            // Saved before it is used: Feishu refuses what is not higher than all it saw.
            one.sequence = sequence + RESERVE;
            let typed = typed(one, page, wanted).filter(|_| !aged);
            let (was, uuid) = (one.streaming, one.uuid.clone());
            self.save()?;
            let mut next = || {
                sequence += 1;
                (sequence, format!("{uuid}-{sequence}"))
            };
            let changed = self.operate(&card, page, typed.as_deref(), (was && !aged, streaming), &mut next);
            match changed {
                Ok(()) => {
                    let now = self.api.wire.now();
                    let one = &mut self.memory.posted[at];
                    if streaming && (!was || aged) {
                        one.since = now;
                    }
                    one.streaming = streaming;
                    return Ok(Way::Done);
                }
                Err(failure) if failure.code == code::SEQUENCE && leap < LEAPS => {
                    self.memory.posted[at].sequence += 1_000;
                }
                Err(failure) if failure.is(&code::STREAM_CLOSED) && leap < LEAPS => {
                    self.memory.posted[at].streaming = false;
                }
                Err(failure) if code::of_card(failure.code) || failure.is(&code::SCOPE) => return Ok(Way::Plainer),
                Err(failure) => return Err(failure),
            }
        }
        Ok(Way::Plainer)
    }

    /// The calls of one change: the stream is opened first and closed last.
    fn operate(
        &self,
        card: &str,
        page: &Page,
        typed: Option<&[usize]>,
        (was, streaming): (bool, bool),
        next: &mut dyn FnMut() -> (u32, String),
    ) -> Result<(), Failure> {
        if streaming && !was {
            let (sequence, uuid) = next();
            self.api.settings(card, true, &page.summary, sequence, &uuid)?;
        }
        match typed {
            Some(typed) if was => {
                for &index in typed {
                    let element = &page.elements[index];
                    let (sequence, uuid) = next();
                    let text = element.text().unwrap_or_default();
                    self.api.stream(card, &element.id, text, sequence, &uuid)?;
                }
            }
            _ => {
                let (sequence, uuid) = next();
                self.api.update_card(card, &page.card(streaming), sequence, &uuid)?;
            }
        }
        if was && !streaming {
            let (sequence, uuid) = next();
            self.api.settings(card, false, &page.summary, sequence, &uuid)?;
        }
        Ok(())
    }

    /// Changes a card that is a message's own.
    fn patch(&self, at: usize, page: &Page) -> Result<Way, Failure> {
        let Some(message) = &self.memory.posted[at].message else {
            return Ok(Way::Plainer);
        };
        match self.api.patch(message, &page.card(false)) {
            Ok(()) => Ok(Way::Done),
            Err(failure) if code::of_card(failure.code) || failure.is(&code::UNCHANGEABLE) => Ok(Way::Plainer),
            Err(failure) if failure.is(&code::WITHDRAWN) => Ok(Way::Gone),
            Err(failure) => Err(failure),
        }
    }

    fn edit(&self, at: usize, page: &Page) -> Result<Way, Failure> {
        let Some(message) = &self.memory.posted[at].message else {
            return Ok(Way::Plainer);
        };
        match self.api.edit(message, &page.post()) {
            Ok(()) => Ok(Way::Done),
            Err(failure) if failure.is(&code::UNCHANGEABLE) => Ok(Way::Plainer),
            Err(failure) if failure.is(&code::WITHDRAWN) => Ok(Way::Gone),
            Err(failure) => Err(failure),
        }
    }

    /// The message takes no more of its kind: a plainer one in its place, or else another message.
    fn replace(&mut self, at: usize, page: &Page, streaming: bool, (live, last): (bool, bool)) -> Result<(), Failure> {
        let one = &mut self.memory.posted[at];
        if one.kind == Kind::Entity {
            // The message stays, and is changed whole.
            one.kind = Kind::Card;
            one.streaming = false;
            self.memory.kind = Kind::Card;
            self.save()?;
            return self.update(at, page, streaming, (live, last));
        }
        self.memory.kind = Kind::Post;
        *one = Posted {
            kind: Kind::Post,
            uuid: format!("{}-{}", self.target.nonce, self.memory.count),
            elements: digests(page, last),
            ..Posted::default()
        };
        self.memory.count += 1;
        self.save()?;
        self.send(at, page, streaming, last)
    }

    /// Puts a file into the chat, once. What Feishu does not take is said.
    fn file(&mut self, file: &FileRef) -> Result<(), Error> {
        if self.memory.files.contains(&file.id) {
            return Ok(());
        }
        let uuid = format!("{}-f{}", self.target.nonce, self.memory.files.len());
        let (kind, content) = self.uploaded(file)?;
        loop {
            let to = self.place();
            match self.api.post(to, kind, &content, &uuid) {
                Ok(_) => break,
                Err(failure) if failure.is(&code::WITHDRAWN) && matches!(to, To::Reply(..)) => {
                    self.memory.alone += 1;
                }
                Err(failure) => return Err(failure.error),
            }
        }
        self.memory.files.push(file.id.clone());
        self.save()
    }

    fn uploaded(&self, file: &FileRef) -> Result<(&'static str, Value), Error> {
        let say = |why: String| Ok(("text", json!({ "text": quiet(&why) })));
        if file.size_bytes == 0 {
            return say(format!("📎 {}: empty, and Feishu takes no empty files", file.name));
        }
        if file.size_bytes > FILE_MAX {
            return say(format!(
                "📎 {}: {} MB, and Feishu takes 30 MB at most",
                file.name,
                file.size_bytes >> 20
            ));
        }
        let image = ["image/png", "image/jpeg", "image/gif", "image/webp"].contains(&file.media_type.as_str());
        if image && file.size_bytes <= IMAGE_MAX {
            match self.api.upload_image(file) {
                Ok(key) => return Ok(("image", json!({ "image_key": key }))),
                // An image that Feishu cannot read is a file.
                Err(failure) if matches!(failure.error, Error::Rejected(_)) => {}
                Err(failure) => return Err(failure.error),
            }
        }
        let key = self.api.upload_file(file)?;
        Ok(("file", json!({ "file_key": key })))
    }
}

/// Which elements to type out: all that changed, if they are few and texts, and nothing else changed.
fn typed(one: &Posted, page: &Page, wanted: &[(String, String)]) -> Option<Vec<usize>> {
    let same_shape = one.streaming
        && one.elements.len() == wanted.len()
        && wanted.len() == page.elements.len()
        && one.elements.iter().zip(wanted).all(|((a, _), (b, _))| a == b);
    if !same_shape {
        return None;
    }
    let changed: Vec<usize> = (0..wanted.len())
        .filter(|at| one.elements[*at].1 != wanted[*at].1)
        .collect();
    let all_texts = changed.iter().all(|at| page.elements[*at].text().is_some());
    (changed.len() <= TYPED && all_texts).then_some(changed)
}

/// Of each element, its id and a digest; of a card that is full, one for all: a turn's memory is small.
fn digests(page: &Page, last: bool) -> Vec<(String, String)> {
    let each = page
        .elements
        .iter()
        .map(|element| (element.id.clone(), digest(&element.value.to_string())));
    if last {
        return each.collect();
    }
    let whole: String = each.map(|(id, digest)| id + &digest).collect();
    vec![("*".into(), digest(&whole))]
}

/// In 16 characters (FNV-1a).
fn digest(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests;
