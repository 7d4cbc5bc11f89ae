//! The managed transport `web`: it is the vendor of the local web chat.
//!
//! Owns the chat's messages (in the store), the event streams that pages read, and the API that the adapter `web`
//! posts to. It makes an event of what a person types or presses and hands it to an [`Inlet`]; what the bot says
//! comes back through [`WebChat::post`] and [`WebChat::update`], as it would at any vendor. Speaks no HTTP itself:
//! [`crate::http`] does.

mod keep;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::chat::{Answer, BotName, Event, UnixMillis};
use crate::config::SecretText;
use crate::store::{Journal, StoreError};
use crate::transport::{Accepted, Inlet};

use keep::{Index, Keep, Kept};
pub use stream::{Stream, Update};

/// How long a person's message may take until it is stored. The page waits for it.
const ACCEPT_WITHIN: Duration = Duration::from_secs(10);
/// What one person may type at once, in bytes.
const TEXT_MAX_BYTES: usize = 128 * 1024;

/// Why the chat refuses, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("there is no message `{0}`")]
    Unknown(String),
    /// A newer revision stands there already.
    #[error("revision {0} is not newer than what stands there")]
    Stale(u32),
    #[error("{0}")]
    Invalid(&'static str),
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// Try again later: nothing was kept.
    #[error("nothing can be stored now")]
    Unavailable,
    /// The adapter did not take it for the person's.
    #[error("the adapter refused the event")]
    Forged,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who sits in front of the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sitter {
    pub id: String,
    pub name: Option<String>,
}

impl Default for Sitter {
    fn default() -> Self {
        Self {
            id: "operator".to_owned(),
            name: Some("Operator".to_owned()),
        }
    }
}

/// What a person typed.
#[derive(Debug, Clone, Deserialize)]
pub struct Saying {
    /// Made by the page: the same again is the same message.
    pub id: String,
    pub text: String,
    /// Files that the host has already.
    #[serde(default)]
    pub files: Vec<SentFile>,
}

/// A file of a person's, by its id among the bot's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentFile {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub media_type: String,
    #[serde(default)]
    pub size_bytes: u32,
}

/// What a person pressed, chose or filled in.
#[derive(Debug, Clone, Deserialize)]
pub struct Pressing {
    /// Made by the page, one for each press.
    pub id: String,
    pub token: String,
    pub values: Option<Vec<(String, String)>>,
}

/// What the bot's account announced: for the page's menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebCommand {
    pub name: String,
    pub description: String,
    /// The argument's name, where there is one.
    pub argument: Option<String>,
}

/// How far the newest reply of a conversation is: the word that a view carries in `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Waiting,
    Running,
    Asking,
    Done,
    Stopped,
    Failed,
}

/// The part of an adapter's message that the transport itself reads.
#[derive(Debug, Deserialize)]
struct Peek {
    state: Stage,
}

/// One bot's local chat. Cheap to clone.
#[derive(Clone)]
pub struct WebChat {
    inner: Arc<Inner>,
}

struct Inner {
    bot: BotName,
    keep: Keep,
    journal: Journal,
    token: SecretText,
    sitter: Sitter,
    commands: Mutex<Vec<WebCommand>>,
    /// Rises whenever something was stored: streams then read on from their own place.
    changed: watch::Sender<u64>,
    /// What is being written to at the moment: spares a look into the store for every update.
    live: DashMap<String, Index>,
    /// The newest time that was given out; times order messages, so they are never the same.
    clock: AtomicI64,
}

impl fmt::Debug for WebChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebChat")
            .field("bot", &self.inner.bot)
            .finish_non_exhaustive()
    }
}

/// Text of `bytes` random bytes, URL-safe.
pub(crate) fn random_text(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).expect("the system gives random bytes");
    URL_SAFE_NO_PAD.encode(buffer)
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Ids that the page or the adapter makes: 1 to 64 characters of A-Z a-z 0-9 - _
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl WebChat {
    pub fn new(bot: BotName, journal: Journal) -> Self {
        let inner = Inner {
            keep: Keep::new(&bot),
            bot,
            journal,
            token: SecretText::new(random_text(32)),
            sitter: Sitter::default(),
            commands: Mutex::default(),
            changed: watch::Sender::new(0),
            live: DashMap::new(),
            clock: AtomicI64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    pub fn bot(&self) -> &BotName {
        &self.inner.bot
    }

    /// What the adapter must show to the API: made anew at each start, so it is nowhere on disk.
    pub fn token(&self) -> &SecretText {
        &self.inner.token
    }

    /// Whether a bearer token is this start's. Takes the same time for every wrong one.
    pub fn authorized(&self, bearer: &str) -> bool {
        let (given, kept) = (Sha256::digest(bearer), Sha256::digest(self.inner.token.reveal()));
        given.ct_eq(&kept).into()
    }

    /// For the page's menu.
    pub fn commands(&self) -> Vec<WebCommand> {
        self.inner
            .commands
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// The adapter announced these.
    pub fn set_commands(&self, commands: Vec<WebCommand>) {
        *self
            .inner
            .commands
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = commands;
    }

    /// The bot says something new: its id, once it is on disk, and whether it is new. The same `key` again changes
    /// nothing and gets the same id.
    pub async fn post(
        &self,
        channel: &str,
        key: &str,
        revision: u32,
        body: Box<RawValue>,
    ) -> Result<(String, bool), WebError> {
        if !is_id(channel) || key.is_empty() {
            return Err(WebError::Invalid("channel and key must be given"));
        }
        let stage = stage_of(&body)?;
        let hash = Sha256::digest(format!("{}\0{channel}\0{key}", self.inner.bot));
        let id = format!("m{}", hex::encode(&hash[..12]));
        let index = Index {
            channel: channel.to_owned(),
            at: self.tick(),
            revision,
            stage: Some(stage),
        };
        let (keep, kept) = (self.inner.keep.clone(), Kept::of_bot(&id, &index, body));
        let fresh = {
            let (id, index) = (id.clone(), index.clone());
            self.inner
                .journal
                .write(move |store| keep.insert(store, &id, &index, &kept))
                .await?
        };
        if fresh && !stage.is_final() {
            self.inner.live.insert(id.clone(), index);
        }
        self.wake();
        Ok((id, fresh))
    }

    /// The message now looks like this. A final or asking one is on disk when this returns; of one that still runs
    /// a power failure may lose the newest states, and the bot shows it again then.
    pub async fn update(&self, id: &str, revision: u32, body: Box<RawValue>) -> Result<(), WebError> {
        let stage = stage_of(&body)?;
        let known = self.inner.live.get(id).map(|entry| entry.value().clone());
        let known = match known {
            Some(known) => known,
            None => {
                let (keep, wanted) = (self.inner.keep.clone(), id.to_owned());
                let found = self.inner.journal.read(move |store| keep.index(store, &wanted)).await?;
                found
                    .filter(|index| index.stage.is_some())
                    .ok_or_else(|| WebError::Unknown(id.to_owned()))?
            }
        };
        if revision <= known.revision {
            return Err(WebError::Stale(revision));
        }
        let index = Index {
            revision,
            stage: Some(stage),
            ..known.clone()
        };
        let kept = Kept::of_bot(id, &index, body);
        let (keep, message) = (self.inner.keep.clone(), id.to_owned());
        if stage.is_moving() && known.stage == Some(stage) {
            self.inner.live.insert(id.to_owned(), index.clone());
            let changed = self.inner.changed.clone();
            self.inner.journal.write_later(move |store| {
                keep.show(store, &message, &index, &kept)?;
                changed.send_modify(|count| *count += 1);
                Ok(())
            });
            return Ok(());
        }
        let written = index.clone();
        self.inner
            .journal
            .write(move |store| keep.replace(store, &message, &written, &kept))
            .await?;
        if stage.is_final() {
            self.inner.live.remove(id);
        } else {
            self.inner.live.insert(id.to_owned(), index);
        }
        self.wake();
        Ok(())
    }

    /// A person said something: the bot's immediate word, if it has one. Comes back once the bot has it on disk and the
    /// page may show it as sent.
    pub async fn say(&self, inlet: &dyn Inlet, channel: &str, saying: Saying) -> Result<Option<Answer>, WebError> {
        if !is_id(channel) || !is_id(&saying.id) {
            return Err(WebError::Invalid("an id is 1 to 64 characters of A-Z a-z 0-9 - _"));
        }
        if saying.text.trim().is_empty() && saying.files.is_empty() {
            return Err(WebError::Invalid("there is nothing to say"));
        }
        if saying.text.len() > TEXT_MAX_BYTES {
            return Err(WebError::TooLarge(TEXT_MAX_BYTES));
        }
        // The time is taken before the bot can answer, so that question and answer stand in their order.
        let at = self.tick();
        let payload = serde_json::json!({
            "id": saying.id, "channel": channel, "text": saying.text, "files": saying.files,
            "person": self.inner.sitter, "sent": at,
        });
        let word = self.hand_over(inlet, "message", &payload).await?;
        let id = format!("p{}", saying.id);
        let index = Index {
            channel: channel.to_owned(),
            at,
            revision: 0,
            stage: None,
        };
        let kept = Kept::of_person(&id, &index, &self.inner.sitter, saying.text, saying.files);
        let keep = self.inner.keep.clone();
        self.inner
            .journal
            .write(move |store| keep.insert(store, &id, &index, &kept))
            .await?;
        self.wake();
        Ok(word)
    }

    /// A person pressed something: the bot's immediate word, if it has one.
    pub async fn press(
        &self,
        inlet: &dyn Inlet,
        channel: &str,
        pressing: &Pressing,
    ) -> Result<Option<Answer>, WebError> {
        if !is_id(channel) || !is_id(&pressing.id) || !is_id(&pressing.token) {
            return Err(WebError::Invalid("an id is 1 to 64 characters of A-Z a-z 0-9 - _"));
        }
        let payload = serde_json::json!({
            "id": pressing.id, "channel": channel, "token": pressing.token, "values": pressing.values,
            "person": self.inner.sitter, "sent": unix_millis(),
        });
        self.hand_over(inlet, "press", &payload).await
    }

    /// A person wants the conversation's turn to end.
    pub async fn stop(&self, inlet: &dyn Inlet, channel: &str, id: &str) -> Result<Option<Answer>, WebError> {
        if !is_id(channel) || !is_id(id) {
            return Err(WebError::Invalid("an id is 1 to 64 characters of A-Z a-z 0-9 - _"));
        }
        let payload = serde_json::json!({
            "id": id, "channel": channel, "person": self.inner.sitter, "sent": unix_millis(),
        });
        self.hand_over(inlet, "stop", &payload).await
    }

    /// Everything of one conversation (none: of no one), and of the list of conversations, that is newer than
    /// `after`; then what comes.
    pub fn stream(&self, channel: Option<String>, after: i64) -> Stream {
        let (keep, journal) = (self.inner.keep.clone(), self.inner.journal.clone());
        Stream::new(keep, journal, self.inner.changed.subscribe(), channel, after)
    }

    async fn hand_over(
        &self,
        inlet: &dyn Inlet,
        name: &str,
        payload: &serde_json::Value,
    ) -> Result<Option<Answer>, WebError> {
        let event = Event {
            transport: "web".to_owned(),
            name: name.to_owned(),
            method: String::new(),
            query: String::new(),
            headers: Vec::new(),
            payload: payload.to_string().into_bytes(),
            received: unix_millis(),
        };
        match inlet.accept(event, ACCEPT_WITHIN).await {
            Accepted::Stored(answer) => Ok(answer),
            Accepted::Forged => Err(WebError::Forged),
            Accepted::Unavailable => Err(WebError::Unavailable),
        }
    }

    /// Now, and later than every time before.
    fn tick(&self) -> UnixMillis {
        let now = unix_millis();
        let next = |last: i64| now.max(last + 1);
        let last = self
            .inner
            .clock
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        next(last.unwrap_or(now))
    }

    fn wake(&self) {
        self.inner.changed.send_modify(|count| *count += 1);
    }
}

fn stage_of(body: &RawValue) -> Result<Stage, WebError> {
    let peek: Peek =
        serde_json::from_str(body.get()).map_err(|_| WebError::Invalid("the body has no `state` that is known"))?;
    Ok(peek.state)
}

impl Stage {
    /// Nothing more will come.
    const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Stopped | Self::Failed)
    }

    /// The next state will come soon by itself.
    const fn is_moving(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }
}
