//! A running turn in a thread: a status line while there is nothing to read, then a stream. Whatever a stream cannot
//! show, take back or be sure of ends it, and the turn goes on as messages that are edited.

use botyard_sdk::delivery::{State, View};
use botyard_sdk::serde_json::{self, Value};
use botyard_sdk::types::Error;

use super::{Pending, Stage, Stream, digest};
use crate::api::{Failure, Progress, Shown, Wire};
use crate::interactive::ReplyTo;
use crate::stream::{self, Script};
use crate::view::{self, BUDGET, render};

/// What a workspace cannot do is not tried again for so many seconds.
const OFF: u32 = 3600;
/// A status goes away after two minutes; it is said again after so many seconds.
const AGAIN: u32 = 50;
/// A turn that cannot be stopped beside its status has it for so many seconds at most.
const BARE: u32 = 20;
/// Slack puts the bot's name before it.
const WORKING: &str = "is working…";

/// Errors that say that this workspace, or this token, will not take such calls.
const NEVER: [&str; 8] = [
    "missing_scope",
    "unknown_method",
    "feature_disabled",
    "method_deprecated",
    "deprecated_endpoint",
    "not_allowed_token_type",
    "access_denied",
    "no_permission",
];

impl<W: Wire> Stage<'_, W> {
    /// Shows the view as a status or in a stream; false: it is for messages that are edited.
    pub(super) fn flow(&mut self, view: &View, over: bool) -> Result<bool, Error> {
        if let Some(open) = self.memory.stream.clone() {
            return self.go_on(view, &open, stream::script(view, over), over);
        }
        let target = self.target;
        let Some(thread) = target.conversation.thread.as_deref() else {
            return Ok(false);
        };
        let begun = self.memory.edits || !self.memory.posted.is_empty();
        if view.state != State::Running || begun {
            return Ok(false);
        }
        let progress = self.api.wire.progress();
        let (Some(script), false) = (stream::script(view, over), progress == Progress::Edit) else {
            return Ok(false);
        };
        let stoppable = self.session(thread)?;
        if script.is_empty() {
            return self.status(thread, stoppable);
        }
        if stoppable || progress == Progress::Stream {
            self.start(&script)
        } else {
            Ok(false)
        }
    }

    fn off(&self, what: &str, failure: &Failure) {
        if failure.is(&NEVER) {
            self.api.wire.keep(&format!("off:{what}"), OFF);
        }
    }

    fn is_off(&self, what: &str) -> bool {
        self.api.wire.is_kept(&format!("off:{what}"))
    }

    /// Slack is told that the agent works, once; whether people have Slack's own stop control now.
    fn session(&mut self, thread: &str) -> Result<bool, Error> {
        if let Some(known) = self.memory.session {
            return Ok(known);
        }
        let told = !self.is_off("session")
            && self
                .api
                .set_session(&self.target.conversation.channel, thread, "processing")
                .inspect_err(|failure| self.off("session", failure))
                .is_ok();
        self.memory.session = Some(told);
        self.save()?;
        Ok(told)
    }

    /// The turn is over: the status and Slack's stop control go away. Best effort: Slack forgets both by itself.
    pub(super) fn rest(&mut self) -> Result<(), Error> {
        let (channel, thread) = (&self.target.conversation.channel, &self.target.conversation.thread);
        let Some(thread) = thread else { return Ok(()) };
        if self.memory.status.is_none() && self.memory.session != Some(true) {
            return Ok(());
        }
        if self.memory.status.is_some() {
            drop(self.api.set_status(channel, thread, ""));
        }
        if self.memory.session == Some(true) {
            drop(self.api.set_session(channel, thread, "active"));
        }
        self.memory.status = None;
        self.memory.session = Some(false);
        self.save()
    }

    /// Nothing is to be read yet. Without Slack's own stop control only for a while: a message has a button.
    fn status(&mut self, thread: &str, stoppable: bool) -> Result<bool, Error> {
        let now = self.api.wire.now();
        if let Some(since) = self.memory.status {
            let age = now.saturating_sub(since);
            if !stoppable && age >= BARE {
                return Ok(false);
            }
            if age < AGAIN {
                return Ok(true);
            }
        }
        if self.is_off("status") {
            return Ok(false);
        }
        match self.api.set_status(&self.target.conversation.channel, thread, WORKING) {
            Ok(()) => {
                self.memory.status = Some(now);
                self.save()?;
                Ok(true)
            }
            Err(failure) => {
                self.off("status", &failure);
                // One that is there already is enough; else a message says that the bot works.
                let passing = matches!(failure.error, Error::RateLimited(_) | Error::Unavailable(_));
                Ok(passing && self.memory.status.is_some())
            }
        }
    }

    fn start(&mut self, script: &Script) -> Result<bool, Error> {
        let reader = serde_json::from_slice::<ReplyTo>(&self.target.reply_to)
            .ok()
            .and_then(|reply| reply.reader);
        let begun = script.after(&stream::Progress::default());
        let (Some((user, team)), Some((chunks, progress)), false) = (reader, begun, self.is_off("stream")) else {
            return Ok(false);
        };
        self.memory.pending = Some(Pending {
            index: 0,
            id: format!("{}-{}", self.target.nonce, self.memory.count),
            at: self.api.wire.now(),
            stream: true,
        });
        self.save()?;
        match self.api.start_stream(self.place(), (&user, &team), &chunks) {
            Ok(ts) => {
                self.memory.stream = Some(Stream {
                    ts: ts.clone(),
                    progress,
                    unsure: false,
                });
                self.stands(0, &ts, String::new())?;
                Ok(true)
            }
            Err(failure) if failure.unclear => {
                // The intent stays: it is looked for first.
                Err(Error::Unavailable("slack did not say whether a stream began".into()))
            }
            Err(failure) => {
                self.off("stream", &failure);
                self.memory.pending = None;
                self.memory.edits = true;
                self.save()?;
                Ok(false)
            }
        }
    }

    fn go_on(&mut self, view: &View, open: &Stream, script: Option<Script>, over: bool) -> Result<bool, Error> {
        let streams = over || matches!(view.state, State::Running);
        let cut = script.as_ref().is_some_and(Script::is_cut);
        let next = script
            .filter(|_| streams && !open.unsure)
            .and_then(|script| script.after(&open.progress));
        match next {
            // It took something back, asks something, or became too long.
            None => {
                self.finish(open, &[], &[], over)?;
                Ok(false)
            }
            // Not every step went into the stream: the end shows the whole.
            Some(_) if over && cut => {
                self.finish(open, &[], &[], over)?;
                Ok(false)
            }
            Some((chunks, _)) if over => {
                let shown = render(view, self.memory.budget.unwrap_or(BUDGET), self.memory.dress);
                let whole = self.finish(open, &chunks, &view::tail(view).blocks, over)?;
                if let (true, [only]) = (whole, shown.as_slice()) {
                    self.memory.posted[0].1 = digest(only);
                    self.save()?;
                }
                Ok(whole)
            }
            Some((chunks, _)) if chunks.is_empty() => Ok(true),
            Some((chunks, progress)) => self.append(open, &chunks, &progress, over),
        }
    }

    fn append(
        &mut self,
        open: &Stream,
        chunks: &[Value],
        progress: &stream::Progress,
        over: bool,
    ) -> Result<bool, Error> {
        let stream = |progress: &stream::Progress, unsure| {
            Some(Stream {
                ts: open.ts.clone(),
                progress: progress.clone(),
                unsure,
            })
        };
        self.memory.stream = stream(&open.progress, true);
        self.save()?;
        match self
            .api
            .append_stream(&self.target.conversation.channel, &open.ts, chunks)
        {
            Ok(()) => {
                self.memory.stream = stream(progress, false);
                self.save()?;
                Ok(true)
            }
            Err(failure) if matches!(failure.error, Error::RateLimited(_)) => {
                self.memory.stream = stream(&open.progress, false);
                self.save()?;
                Err(failure.error)
            }
            // Nobody knows what stands there, or Slack takes no more: it is written anew.
            Err(_) => {
                self.finish(open, &[], &[], over)?;
                Ok(false)
            }
        }
    }

    /// Ends the stream; true: with everything that it was given.
    fn finish(&mut self, open: &Stream, chunks: &[Value], blocks: &[Value], over: bool) -> Result<bool, Error> {
        let id = format!("{}-0", self.target.nonce);
        let session = match (self.memory.session, over) {
            (Some(true), true) => Some("active"),
            (Some(true), false) => Some("processing"),
            _ => None,
        };
        let channel = &self.target.conversation.channel;
        match self.api.stop_stream(channel, &open.ts, chunks, blocks, &id, session) {
            Ok(()) => {
                if over && session.is_some() {
                    self.memory.session = Some(false);
                }
                self.ended()?;
                Ok(true)
            }
            Err(failure) if failure.unclear => {
                // Once more without the text; if it is ended then, the whole is written anew.
                if let Some(stream) = &mut self.memory.stream {
                    stream.unsure = true;
                }
                self.save()?;
                Err(Error::Unavailable("slack did not say whether a stream ended".into()))
            }
            Err(failure) if matches!(failure.error, Error::RateLimited(_)) => Err(failure.error),
            Err(_) => {
                self.ended()?;
                Ok(false)
            }
        }
    }

    /// Slack says that the message still grows, though nothing more is said in it: once more an end; where Slack refuses
    /// that by name, a message beside it.
    pub(super) fn conflict(&mut self, index: usize, ts: &str, shown: &Shown, digest: String) -> Result<(), Failure> {
        let (channel, id) = (&self.target.conversation.channel, format!("{}-0", self.target.nonce));
        let ended = self.api.stop_stream(channel, ts, &[], &[], &id, None);
        match ended.and_then(|()| self.api.update(channel, ts, shown)) {
            Ok(()) => {
                self.memory.posted[index].1 = digest;
                self.save().map_err(super::host)
            }
            // Both may be said again.
            Err(failure) if failure.unclear => {
                let error = Error::Unavailable("slack did not say whether a stream ended".into());
                Err(Failure { error, ..failure })
            }
            Err(failure) if failure.name.is_none() => Err(failure),
            Err(failure) if matches!(failure.error, Error::RateLimited(_) | Error::Unavailable(_)) => Err(failure),
            Err(_) => self.post(index, shown, digest),
        }
    }

    fn ended(&mut self) -> Result<(), Error> {
        self.memory.stream = None;
        self.memory.edits = true;
        self.save()
    }
}

#[cfg(test)]
mod tests;
