//! What a message needs before an agent can have it: its files brought here, the names of persons, what was said before.
//! All of it waits for a vendor, so it happens beside the lanes; messages of one session keep their order, also those that
//! are for several.

mod queue;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{debug, warn};

pub(super) use self::queue::Queues;
use super::Bot;
use super::address::Read;
use super::dispatch::warning;
use super::lanes::Work;
use super::people::{line, with_names};
use super::route::Course;
use crate::chat::{
    Attachment, CallError, Conversation, InboxId, Message, Origin, Part, Person, SessionKey, Target, UnixMillis, What,
};
use crate::command;
use crate::config::{Scope, WhileRunning};
use crate::session::{Prompt, Registry, SubmitError};
use crate::store::{InFile, InboxState, Result as StoreResult, TurnKind};

/// Files of one message; the rest is said to be left out.
pub const FILES: usize = 10;
/// A file is here by then, or is left out.
const WITHIN: Duration = Duration::from_secs(120);
/// Replies that no platform took: so many of the newest keep their files.
const DEAD: u32 = 10_000;
/// A file's name in the workspace, in characters.
const NAME: usize = 80;

/// A message that goes to an agent.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) id: InboxId,
    /// Further rows of the inbox that are part of it: an album's.
    pub(super) also: Vec<InboxId>,
    pub(super) origin: Origin,
    pub(super) message: Message,
    /// Where the answer goes.
    pub(super) conversation: Conversation,
    pub(super) key: SessionKey,
    /// It is for more than one agent; then `key` is that of the bot's first.
    pub(super) course: Option<Course>,
    /// What becomes of it while a turn runs.
    pub(super) way: WhileRunning,
}

impl Heard {
    /// The sessions that it is for; along a route those of the first step.
    pub(super) fn keys(&self, registry: &Registry) -> Vec<SessionKey> {
        match &self.course {
            Some(course) => {
                let first = course.first().iter();
                first.map(|agent| registry.key_of(&self.key, agent)).collect()
            }
            None => vec![self.key.clone()],
        }
    }
}

/// What was had for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathered {
    pub(super) files: Vec<InFile>,
    /// Names of files that are not here, and why.
    pub(super) missing: Vec<(String, String)>,
    /// By id: those whose name is known.
    pub(super) names: HashMap<String, Person>,
    /// What was said before, as the agent reads it.
    pub(super) before: Option<String>,
}

impl Bot {
    /// Gives a message to its session: at once if it needs nothing and nobody waits before it, else beside its lane.
    pub(super) async fn hand_over(&self, heard: Heard) -> Work {
        let inner = &self.inner;
        let names = self.names_at_hand(&heard.origin, &heard.message).await;
        let keys = heard.keys(&inner.registry);
        let waits = heard.message.brings_files() || inner.gathering.holds(&keys) || self.wants_history(&heard).await;
        if let Some(names) = names.filter(|_| !waits) {
            let gathered = Gathered {
                names,
                ..Gathered::default()
            };
            return self.submit(heard, gathered).await;
        }
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&inner.gathering.permits).acquire_owned().await else {
            return Work::Again;
        };
        // Taken here and not in the task: tasks begin in any order.
        let mut place = inner.gathering.join(&keys);
        let bot = self.clone();
        inner.tasks.spawn(async move {
            let ids: Vec<InboxId> = heard.also.iter().copied().chain([heard.id]).collect();
            tokio::select! {
                biased; // The end first: what is not handed over by then comes again with the next start.
                () = bot.inner.stop.cancelled() => {}
                () = async {
                    let mut gathered = bot.gather(&heard).await;
                    if place.turn().await && gathered.before.is_some() && !bot.wants_history(&heard).await {
                        // Whoever was before has brought it.
                        gathered.before = None;
                    }
                    bot.bring_in(heard, gathered).await;
                } => {}
            }
            drop(place);
            drop(permit);
            ids.into_iter().for_each(|id| bot.inner.lanes.finish(id));
        });
        Work::Beside
    }

    /// Gives a message to its session when the store can tell of it and keep it; who comes after it waits so long.
    async fn bring_in(&self, heard: Heard, gathered: Gathered) {
        loop {
            match self.still_said(heard.clone()).await {
                Ok(None) => return,
                Ok(Some(heard)) => match self.submit(heard, gathered.clone()).await {
                    Work::Done | Work::Beside => return,
                    Work::Again => {}
                },
                Err(error) => warn!(bot = %self.inner.config.name, %error, "the inbox could not be read"),
            }
            if !self.pause().await {
                return;
            }
        }
    }

    /// The message as it stands now, and for whom. None: it was deleted meanwhile.
    async fn still_said(&self, mut heard: Heard) -> StoreResult<Option<Heard>> {
        let id = heard.id;
        Ok(match self.inner.journal.read(move |s| s.inbox_get(id)).await? {
            Some(row) if row.state == InboxState::New => {
                if let (What::Message(message), true) = (row.item.what, heard.also.is_empty())
                    && let Read {
                        to,
                        said: command::Said::Words(_, words),
                    } = self.read(&message.text)
                {
                    heard.message.text = words.to_owned();
                    let (course, agent) = Course::of(&to);
                    let base = Registry::parts(&heard.key).0;
                    heard.key = agent.map_or_else(|| base.clone(), |agent| self.inner.registry.key_of(&base, agent));
                    heard.course = course;
                }
                Some(heard)
            }
            _ => {
                if !heard.also.is_empty() {
                    // The other parts of an album are still there, and go their way without this one.
                    self.later();
                }
                None
            }
        })
    }

    async fn gather(&self, heard: &Heard) -> Gathered {
        let quoted = heard.message.quotes.iter().flat_map(|quoted| &quoted.attachments);
        let attachments: Vec<&Attachment> = heard.message.attachments.iter().chain(quoted).collect();
        let brought = attachments.iter().copied().take(FILES).map(|file| self.bring(file));
        let (brought, names, before) = tokio::join!(
            futures_util::future::join_all(brought),
            self.names_for(&heard.origin, &heard.message),
            self.said_before(heard),
        );
        let mut gathered = Gathered {
            names,
            before,
            ..Gathered::default()
        };
        for (attachment, brought) in attachments.iter().zip(brought) {
            match brought {
                Ok(file) => {
                    let name = unique(&plain(&file.name), &gathered.files);
                    gathered.files.push(InFile { name, ..file });
                }
                Err(why) => gathered.missing.push((attachment.name.clone(), why)),
            }
        }
        for left in attachments.iter().skip(FILES) {
            let why = format!("a message may bring {FILES} files");
            gathered.missing.push((left.name.clone(), why));
        }
        gathered
    }

    /// One file of the vendor's, into the host's keeping; or why not, for people.
    async fn bring(&self, attachment: &Attachment) -> Result<InFile, String> {
        let inner = &self.inner;
        let most = inner.config.files_max_bytes;
        let too_large = || format!("it is larger than {}", size(most));
        if attachment.size_bytes.is_some_and(|bytes| u64::from(bytes) > most) {
            return Err(too_large());
        }
        let file = match timeout(WITHIN, inner.adapter.fetch(attachment)).await {
            Ok(Ok(file)) => file,
            Ok(Err(error)) => {
                warn!(bot = %inner.config.name, %error, "a file could not be fetched");
                return Err(match error {
                    CallError::TooLarge(_) => too_large(),
                    CallError::Missing(_) => "files cannot be fetched from this platform".to_owned(),
                    CallError::Gone(_) => "it is not there any more".to_owned(),
                    CallError::Unauthorized(_) => "the bot may not read it".to_owned(),
                    _ => "the platform did not give it".to_owned(),
                });
            }
            Err(_) => return Err("it took too long".to_owned()),
        };
        if u64::from(file.size_bytes) > most {
            return Err(too_large());
        }
        Ok(InFile {
            id: file.id,
            name: file.name,
            media_type: file.media_type,
            size_bytes: file.size_bytes,
        })
    }

    /// Removes files of before `before` that nothing refers to any more, and the oldest beyond the operator's bound.
    pub async fn sweep_files(&self, before: UnixMillis) {
        let inner = &self.inner;
        let name = inner.config.name.clone();
        let needed = inner.journal.read(move |store| {
            let turns = store.turns_open(&name)?;
            let mut rows = store.outbox_pending(&name)?;
            rows.extend(store.outbox_dead(Some(&name), DEAD)?);
            let views = rows.into_iter().filter_map(|row| row.view);
            let views = views.chain(turns.iter().filter_map(|turn| turn.view.clone()));
            let shown = views.flat_map(|view| view.blocks).filter_map(|block| match block.part {
                Part::File(file) => Some(file.id),
                _ => None,
            });
            let given = turns.iter().flat_map(|turn| &turn.files);
            let runs = store.runs_open(&name)?;
            let given = given
                .chain(runs.iter().flat_map(|run| &run.files))
                .map(|file| file.id.clone());
            Ok(shown.chain(given).collect())
        });
        let swept = match needed.await {
            Ok(needed) => {
                let files = inner.adapter.files();
                files.sweep(before, inner.config.files_kept_bytes, needed).await
            }
            Err(error) => {
                warn!(bot = %inner.config.name, %error, "what files are needed could not be read");
                return;
            }
        };
        match swept {
            Ok(0) => {}
            Ok(gone) => debug!(bot = %inner.config.name, gone, "old files were removed"),
            Err(error) => warn!(bot = %inner.config.name, %error, "old files could not be removed"),
        }
    }

    /// The message is a turn of its session from here on, or stays in the inbox.
    async fn submit(&self, mut heard: Heard, gathered: Gathered) -> Work {
        let inner = &self.inner;
        if let Some(course) = heard.course.take() {
            return self.set_out(heard, course, gathered).await;
        }
        let prompt = Prompt {
            way: heard.way,
            kind: TurnKind::Message,
            inbox: Some(heard.id),
            also: heard.also.clone(),
            place: None,
            asker: heard.origin.sender.id.clone(),
            text: self.compose(&heard.origin, &heard.message, &gathered),
            target: Target {
                conversation: heard.conversation.clone(),
                reply_to: heard.origin.reply_to.clone(),
                private_to: None,
            },
            files: gathered.files,
        };
        match inner.registry.submit(&heard.key, prompt).await {
            Ok(turn) => {
                debug!(bot = %inner.config.name, session = %heard.key, %turn, "a turn was opened");
                self.tell_missing(&heard.origin, &gathered.missing).await;
                Work::Done
            }
            Err(SubmitError::Full(waiting)) => {
                let text = format!("{waiting} messages wait here already. Please send this one again later.");
                self.say(&heard.origin, warning(&text), false).await;
                self.dealt_with(heard.id, heard.also).await
            }
            // It stays in the inbox.
            Err(SubmitError::Unavailable(error)) => {
                warn!(bot = %inner.config.name, session = %heard.key, %error, "a message could not be queued; it is tried again");
                Work::Again
            }
            // It stays in the inbox and is taken up at the next start.
            Err(SubmitError::Closed) => {
                debug!(bot = %inner.config.name, session = %heard.key, "closing; the message waits");
                Work::Beside
            }
        }
    }

    pub(super) async fn tell_missing(&self, origin: &Origin, missing: &[(String, String)]) {
        for (name, why) in missing {
            let text = format!("`{}` does not reach the agent: {why}.", name.replace('`', "'"));
            self.say(origin, warning(&text), true).await;
        }
    }

    /// Several people speak to one agent here.
    pub(super) fn names_speakers(&self, origin: &Origin) -> bool {
        self.inner.config.scope != Scope::User && !origin.conversation.direct
    }

    /// What the agent is told of a message as it stands now, beside what was brought for it before.
    pub(super) async fn compose_again(&self, origin: &Origin, message: &Message) -> String {
        let gathered = Gathered {
            names: self.names_for(origin, message).await,
            ..Gathered::default()
        };
        match self.read(&message.text).said {
            command::Said::Words(_, words) => {
                let message = Message {
                    text: words.to_owned(),
                    ..message.clone()
                };
                self.compose(origin, &message, &gathered)
            }
            command::Said::Command(..) => self.compose(origin, message, &gathered),
        }
    }

    /// What the agent is told: what was said before, what is quoted, in shared conversations who speaks, the text, and
    /// what could not be had.
    pub(super) fn compose(&self, origin: &Origin, message: &Message, gathered: &Gathered) -> String {
        let mut text = String::with_capacity(message.text.len() + 64);
        if let Some(before) = &gathered.before {
            text.push_str(before);
            text.push('\n');
        }
        if let Some(quoted) = message.quotes.as_ref().filter(|quoted| !quoted.text.is_empty()) {
            let who = quoted
                .sender
                .as_ref()
                .map(|sender| self.who_said(sender, &gathered.names));
            let who = who.map(|who| format!("{who}: ")).unwrap_or_default();
            for line in format!("{who}{}", quoted.text).lines() {
                text.push_str("> ");
                text.push_str(&with_names(line, &gathered.names));
                text.push('\n');
            }
            text.push('\n');
        }
        if self.names_speakers(origin) {
            let sender = gathered.names.get(&origin.sender.id).unwrap_or(&origin.sender);
            text.push_str(&line(sender.label()));
            text.push_str(": ");
        }
        text.push_str(&with_names(&message.text, &gathered.names));
        for (name, why) in &gathered.missing {
            text.push_str(&format!("{MISSING}{name}` came with this and is not here: {why}.)"));
        }
        text
    }
}

/// How a file that could not be had is told behind a message.
pub(super) const MISSING: &str = "\n\n(A file `";

/// A size as people say it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

/// A file's name that is nothing but a name, on every system and in every shell.
fn plain(name: &str) -> String {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain: String = name.chars().map(|c| if good(c) { c } else { '_' }).collect();
    let plain = plain.trim_start_matches(['.', '-', '_']);
    let (stem, extension) = plain
        .rsplit_once('.')
        .filter(|(_, extension)| extension.chars().count() <= 10)
        .map_or((plain, String::new()), |(stem, extension)| {
            (stem, format!(".{extension}"))
        });
    let stem: String = stem.chars().take(NAME - extension.chars().count()).collect();
    match stem.trim_end_matches('.') {
        "" => format!("file{extension}"),
        stem => format!("{stem}{extension}"),
    }
}

/// The name, or with a number, so that no other file of the message has it.
fn unique(name: &str, others: &[InFile]) -> String {
    let taken = |name: &str| others.iter().any(|other| other.name.eq_ignore_ascii_case(name));
    if !taken(name) {
        return name.to_owned();
    }
    let (stem, extension) = name
        .rsplit_once('.')
        .map_or((name, ""), |(stem, _)| (stem, &name[stem.len()..]));
    (2..)
        .map(|number| format!("{stem}-{number}{extension}"))
        .find(|name| !taken(name))
        .unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> InFile {
        InFile {
            id: String::new(),
            name: name.into(),
            media_type: String::new(),
            size_bytes: 0,
        }
    }

    #[test]
    fn a_name_is_nothing_but_a_name() {
        for (name, expected) in [
            ("plan.png", "plan.png"),
            ("../../etc/passwd", "etc_passwd"),
            ("-rf.txt", "rf.txt"),
            (".bashrc", "bashrc"),
            ("мой план (1).pdf", "мой_план__1_.pdf"),
            ("a\0b\n.txt", "a_b_.txt"),
            ("", "file"),
            ("...", "file"),
            ("$(rm -rf).sh", "rm_-rf_.sh"),
        ] {
            assert_eq!(plain(name), expected, "{name:?}");
        }
        let long = plain(&format!("{}.tar", "x".repeat(500)));
        assert_eq!((long.len(), long.ends_with(".tar")), (NAME, true));
    }

    #[test]
    fn two_files_of_one_name_are_told_apart() {
        let others = [file("a.png"), file("A-2.png"), file("b")];
        assert_eq!(unique("a.png", &others), "a-3.png");
        assert_eq!(unique("b", &others), "b-2");
        assert_eq!(unique("c", &others), "c");
    }
}
