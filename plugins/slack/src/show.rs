//! Makes the chat look like the view: posts what is not there, changes what is, and remembers after each step.
//!
//! `chat.postMessage` knows no idempotency key, so the intent is saved before it, the message carries an id in its
//! metadata, and when an outcome was unclear the message is looked for before anything is posted again. In a thread a
//! running turn is a status line first, then perhaps a stream ([`flow`]); everything else is messages that are edited.

use botyard_sdk::delivery::{Part, State, Target, View};
use botyard_sdk::digest::Digest;
use botyard_sdk::serde_json;
use botyard_sdk::types::{Error, FileRef};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Failure, Place, Shown, Wire};
use crate::stream;
use crate::view::{BUDGET, Dress, SMALLEST, render};

mod flow;

/// How long after an unclear call Slack may still be about to do it, in seconds.
const SETTLE: u32 = 3;
/// How far Slack's clock and ours may be apart, in seconds.
const SKEW: u32 = 120;

/// Slack does not take the blocks of a message.
const BLOCKS: [&str; 2] = ["invalid_blocks", "invalid_blocks_format"];
/// Nothing can be said in the thread.
const NO_THREAD: [&str; 2] = ["thread_not_found", "cannot_reply_to_message"];

/// What stands in the chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// `ts` of each message in order, and a digest of what it shows.
    #[serde(default)]
    pub posted: Vec<(String, String)>,
    /// A post that was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// Posts so far: makes the ids of one turn differ.
    #[serde(default)]
    pub count: u32,
    /// Smaller than usual, after Slack said too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<usize>,
    /// Plainer than usual, after Slack refused the blocks.
    #[serde(default, skip_serializing_if = "Dress::is_rich")]
    pub dress: Dress,
    /// The thread is not there any more: it is said beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loose: bool,
    /// The digest of what was whispered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whispered: Option<String>,
    /// Files that stand in the chat, or may, by the host's id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The first message still grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    /// This turn goes on by edits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edits: bool,
    /// Since when the thread has its status line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u32>,
    /// Slack shows its own stop control; none: not asked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<bool>,
}

/// A message that grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    pub ts: String,
    pub progress: stream::Progress,
    /// What was appended last may be there or not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsure: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Which message of the turn it is.
    pub index: usize,
    pub id: String,
    pub at: u32,
    /// A stream was begun, which carries no id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
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
    let mut stage = Stage { api, target, memory };
    match &target.private_to {
        // A direct channel is private already.
        Some(user) if !target.conversation.direct => stage.whisper(view, user),
        _ => stage.show(view),
    }
}

struct Stage<'a, W> {
    api: &'a Api<W>,
    target: &'a Target,
    memory: Memory,
}

impl<W: Wire> Stage<'_, W> {
    fn place(&self) -> Place<'_> {
        Place {
            channel: &self.target.conversation.channel,
            thread: self.thread(),
        }
    }

    fn thread(&self) -> Option<&str> {
        let thread = self.target.conversation.thread.as_deref();
        thread.filter(|_| !self.memory.loose)
    }

    fn save(&self) -> Result<(), Error> {
        let bytes = serde_json::to_vec(&self.memory).map_err(|error| Error::Rejected(error.to_string()))?;
        self.api.wire.save(&bytes)
    }

    fn show(&mut self, view: &View) -> Result<(), Error> {
        self.settle()?;
        let over = matches!(view.state, State::Done | State::Stopped | State::Failed(_));
        if !self.flow(view, over)? {
            self.edit(view)?;
        }
        if over {
            for block in &view.blocks {
                if let Part::File(file) = &block.part {
                    self.file(file)?;
                }
            }
            self.rest()?;
        }
        Ok(())
    }

    /// Messages that look like the view.
    fn edit(&mut self, view: &View) -> Result<(), Error> {
        loop {
            let budget = self.memory.budget.unwrap_or(BUDGET);
            match self.bring(&render(view, budget, self.memory.dress)) {
                Err(failure) if matches!(failure.error, Error::TooLarge(_)) && budget > SMALLEST => {
                    self.memory.budget = Some((budget / 2).max(SMALLEST));
                    self.save()?;
                }
                Err(failure) if self.eases(&failure)? => {}
                Err(failure) => return Err(failure.error),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Whether it may be taken when it is said in another way, which is remembered then: without the thread that somebody
    /// deleted, or in plainer blocks.
    fn eases(&mut self, failure: &Failure) -> Result<bool, Error> {
        if failure.is(&NO_THREAD) && self.thread().is_some() {
            self.memory.loose = true;
        } else if let (true, Some(plainer)) = (failure.is(&BLOCKS), self.memory.dress.plainer()) {
            self.memory.dress = plainer;
        } else {
            return Ok(false);
        }
        self.save()?;
        Ok(true)
    }

    /// A post that was begun and whose end nobody saw: was it posted?
    fn settle(&mut self) -> Result<(), Error> {
        let Some(pending) = self.memory.pending.clone() else {
            return Ok(());
        };
        let oldest = pending.at.saturating_sub(SKEW);
        let found = match (pending.stream, self.api.wire.me()) {
            (false, _) => self.api.find(self.place(), &pending.id, oldest),
            (true, Some(me)) => self.api.find_stream(self.place(), &me, oldest),
            (true, None) => Ok(None),
        };
        match found {
            Ok(Some(ts)) if pending.stream => {
                self.memory.stream = Some(Stream {
                    ts: ts.clone(),
                    progress: stream::Progress::default(),
                    unsure: true,
                });
                self.stands(pending.index, &ts, String::new())
            }
            Ok(Some(ts)) => self.stands(pending.index, &ts, String::new()),
            Ok(None) if self.api.wire.now() < pending.at.saturating_add(SETTLE) => {
                Err(Error::RateLimited(Some(SETTLE * 1000)))
            }
            Ok(None) => {
                self.memory.pending = None;
                self.save()
            }
            // Where there is no thread, nothing was posted into it.
            Err(failure) if self.eases(&failure)? => {
                self.memory.pending = None;
                self.save()
            }
            Err(failure) => match failure.error {
                // Nobody will ever know: the host decides, and may tell the person.
                Error::Unauthorized(why) | Error::Rejected(why) => Err(Error::Ambiguous(format!(
                    "a message may have been posted, and looking for it failed: {why}"
                ))),
                error => Err(error),
            },
        }
    }

    /// A message is in the chat: remembered before anything else happens.
    fn stands(&mut self, index: usize, ts: &str, digest: String) -> Result<(), Error> {
        self.memory.pending = None;
        // Slack takes it away when something is posted.
        self.memory.status = None;
        self.memory.count += 1;
        let entry = (ts.to_owned(), digest);
        match self.memory.posted.get_mut(index) {
            Some(there) => *there = entry,
            None => self.memory.posted.push(entry),
        }
        self.save()?;
        self.api.wire.posted(ts)
    }

    fn bring(&mut self, wanted: &[Shown]) -> Result<(), Failure> {
        for (index, shown) in wanted.iter().enumerate() {
            let digest = digest(shown);
            match self.memory.posted.get(index).cloned() {
                Some((_, there)) if there == digest => {}
                Some((ts, _)) => match self.api.update(&self.target.conversation.channel, &ts, shown) {
                    Ok(()) => {
                        self.memory.posted[index].1 = digest;
                        self.save().map_err(host)?;
                    }
                    // Not ours to change any more, but the answer must be seen: again, as a new message.
                    Err(failure) if failure.is(&["edit_window_closed", "cant_update_message"]) => {
                        self.post(index, shown, digest)?;
                    }
                    Err(failure) if failure.is(&["streaming_state_conflict"]) => {
                        self.conflict(index, &ts, shown, digest)?;
                    }
                    Err(failure) => return Err(failure),
                },
                None => self.post(index, shown, digest)?,
            }
        }
        // The text became shorter: a CLI took something back.
        while self.memory.posted.len() > wanted.len() {
            if let Some((ts, _)) = self.memory.posted.last() {
                self.api.delete(&self.target.conversation.channel, ts)?;
            }
            self.memory.posted.pop();
            self.save().map_err(host)?;
        }
        Ok(())
    }

    fn post(&mut self, index: usize, shown: &Shown, digest: String) -> Result<(), Failure> {
        let id = format!("{}-{}", self.target.nonce, self.memory.count);
        self.memory.pending = Some(Pending {
            index,
            id: id.clone(),
            at: self.api.wire.now(),
            stream: false,
        });
        self.save().map_err(host)?;
        match self.api.post(self.place(), shown, &id) {
            Ok(ts) => self.stands(index, &ts, digest).map_err(host),
            Err(failure) if failure.unclear => {
                // The intent stays: the next call looks for it first, so it may be called again at once.
                let error = Error::Unavailable("slack did not say whether a message was posted".into());
                Err(Failure { error, ..failure })
            }
            Err(failure) => {
                self.memory.pending = None;
                self.save().map_err(host)?;
                Err(failure)
            }
        }
    }

    /// Ephemeral messages cannot be changed: only what lasts, and what asks, is whispered, each once.
    fn whisper(&mut self, view: &View, user: &str) -> Result<(), Error> {
        if matches!(view.state, State::Waiting(_) | State::Running) {
            return Ok(());
        }
        loop {
            let wanted = render(view, BUDGET, self.memory.dress);
            let digests: Vec<String> = wanted.iter().map(digest).collect();
            let whole = digests.join(" ");
            if self.memory.whispered.as_ref() == Some(&whole) {
                return Ok(());
            }
            let mut again = false;
            for (at, shown) in wanted.iter().enumerate() {
                if let Err(failure) = self.api.post_ephemeral(self.place(), user, shown) {
                    // What was whispered already cannot be taken back: only the first may be said in another way.
                    again = at == 0 && self.eases(&failure)?;
                    if again {
                        break;
                    }
                    return Err(failure.error);
                }
            }
            if !again {
                self.memory.whispered = Some(whole);
                return self.save();
            }
        }
    }

    /// Puts a file into the chat, once: it is remembered before the step that makes it appear, because Slack does
    /// not recognise that step when it comes again.
    fn file(&mut self, file: &FileRef) -> Result<(), Error> {
        if self.memory.files.contains(&file.id) {
            return Ok(());
        }
        let (url, id) = self.api.upload_url(&file.name, file.size_bytes)?;
        self.api.upload(&url, &file.id)?;
        self.memory.files.push(file.id.clone());
        self.save()?;
        match self.api.complete_upload(self.place(), &id, &file.name) {
            Ok(()) => Ok(()),
            Err(failure) if failure.unclear => {
                Err(Error::Ambiguous(format!("the file `{}` may be in the chat", file.name)))
            }
            Err(failure) => {
                self.memory.files.retain(|sent| *sent != file.id);
                self.save()?;
                Err(failure.error)
            }
        }
    }
}

const fn host(error: Error) -> Failure {
    Failure {
        name: None,
        unclear: false,
        error,
    }
}

/// What a message shows, in 16 characters.
fn digest(shown: &Shown) -> String {
    let mut digest = Digest::of(shown.text.as_bytes());
    digest.add(b"\0");
    digest.add_json(&shown.blocks);
    digest.text()
}

#[cfg(test)]
mod tests;
