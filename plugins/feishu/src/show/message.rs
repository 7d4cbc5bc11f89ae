//! One message of a turn: sent as the best that Feishu takes, and changed.

use botyard_sdk::digest::Digest;
use botyard_sdk::serde_json::json;

use super::{Kind, Posted, Stage};
use crate::api::{Failure, To, Wire};
use crate::code;
use crate::view::Page;

/// Seconds before a stream is opened anew: Feishu closes it after ten minutes.
pub(super) const STREAM_ENDS: u32 = 9 * 60;
/// Sequences that are saved as used before an update uses them.
const RESERVE: u32 = 8;
/// Tries of one card when Feishu has seen a higher sequence.
const LEAPS: u32 = 3;
/// Changed texts that are typed out one by one; with more, the card is changed whole.
const TYPED: usize = 2;

/// What is left to do when an entity's update failed.
enum Way {
    Done,
    /// The message takes no more updates of this kind.
    Plainer,
    /// The message was taken away.
    Gone,
}

impl<W: Wire> Stage<'_, W> {
    /// Makes a message of the best kind that Feishu takes.
    pub(super) fn send(&mut self, at: usize, page: &Page, streaming: bool, last: bool) -> Result<(), Failure> {
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
                    let one = &mut self.memory.posted[at];
                    one.message = Some(message.clone());
                    one.asked = true;
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
            asked: false,
        });
        self.memory.count += 1;
        Ok(self.save()?)
    }

    pub(super) fn update(
        &mut self,
        at: usize,
        page: &Page,
        streaming: bool,
        (live, last): (bool, bool),
    ) -> Result<(), Failure> {
        let wanted = digests(page, last);
        let one = &self.memory.posted[at];
        let aged = one.streaming && self.api.wire.now().saturating_sub(one.since) >= STREAM_ENDS;
        let entity = one.kind == Kind::Entity;
        if one.elements == wanted && (!entity || (one.streaming == streaming && !aged)) {
            // It was changed, perhaps by a try that ended before it was known whether anybody sees it.
            return if entity && !live {
                self.see(at, page, streaming, last)
            } else {
                Ok(())
            };
        }
        let way = match one.kind {
            Kind::Entity => self.change(at, page, &wanted, streaming, aged)?,
            Kind::Card => self.patch(at, page)?,
            // Twenty edits are all that such a message takes: they are kept for what matters.
            Kind::Post if live => return Ok(()),
            Kind::Post => self.edit(at, page)?,
        };
        match way {
            Way::Done => {
                let one = &mut self.memory.posted[at];
                one.elements = wanted;
                one.asked = false;
                self.save()?;
                // While it runs nobody waits for just this; a question and an end must be seen.
                if entity && !live {
                    return self.see(at, page, streaming, last);
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

    /// An entity says what it is to say: does its message stand in the chat? If not, it is said by another. Asked once
    /// after a change; what the change did is not done again when Feishu does not say.
    fn see(&mut self, at: usize, page: &Page, streaming: bool, last: bool) -> Result<(), Failure> {
        let one = &self.memory.posted[at];
        let Some(message) = one.message.as_ref().filter(|_| !one.asked) else {
            return Ok(());
        };
        if !self.api.stands(message)? {
            return self.again(at, page, streaming, last);
        }
        self.memory.posted[at].asked = true;
        Ok(self.save()?)
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
        .map(|element| (element.id.clone(), Digest::of_json(&element.value).text()));
    if last {
        return each.collect();
    }
    let whole: String = each.map(|(id, digest)| id + &digest).collect();
    vec![("*".into(), Digest::of(whole.as_bytes()).text())]
}
