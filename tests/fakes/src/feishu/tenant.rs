//! One company in memory: chats, people, messages, cards, what was called, and how it is to misbehave.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::MutexGuard;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::hold::Hold;
use crate::rate::Meter;
use crate::shared::Shared;

use super::card::{self, Card};
use super::line::Lines;

/// An emoji on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    pub id: String,
    pub emoji: String,
    pub by: String,
}

/// A button that a person sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Button {
    pub label: String,
    pub value: Value,
    /// It sends the form that it stands in.
    pub submits: bool,
}

/// A message as it now stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: String,
    pub chat: String,
    pub root: Option<String>,
    pub parent: Option<String>,
    pub thread: Option<String>,
    /// An open id; of the bot's own messages the app's id.
    pub sender: String,
    pub kind: String,
    /// Of a card that is an entity: the card.
    pub content: Value,
    /// The entity that it shows.
    pub card: Option<String>,
    pub created_ms: u64,
    pub edits: u32,
    pub recalled: bool,
    pub reactions: Vec<Reaction>,
    pub mentions: Vec<Value>,
}

impl Message {
    pub fn is_bot(&self) -> bool {
        self.sender == super::APP_ID
    }

    /// What a person reads, a line for each element; buttons as `[Label]`.
    pub fn read(&self) -> String {
        match self.kind.as_str() {
            "text" => self.content["text"].as_str().unwrap_or_default().to_owned(),
            "interactive" => card::read(&self.content),
            "post" => {
                let post = self.content.get("zh_cn").unwrap_or(&self.content);
                let paragraphs = post["content"].as_array().into_iter().flatten();
                let line = |nodes: &Value| -> String {
                    let nodes = nodes.as_array().into_iter().flatten();
                    nodes.filter_map(|node| node["text"].as_str()).collect()
                };
                paragraphs.map(line).collect::<Vec<_>>().join("\n")
            }
            kind => format!("({kind})"),
        }
    }

    pub fn buttons(&self) -> Vec<Button> {
        card::buttons(&self.content)
    }
}

/// A call as it came, with what was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    pub body: Value,
    pub status: u16,
    pub answer: Value,
    pub at: Instant,
}

/// What goes wrong with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It goes well: for the calls before one that does not.
    Nothing,
    /// 429 with `x-ogw-ratelimit-reset`; nothing is done.
    RateLimited { seconds: u32 },
    /// This status without a body of the vendor's; nothing is done.
    Status(u16),
    /// It is done, then this status is answered.
    StatusAfter(u16),
    /// HTTP 400 with this code; nothing is done.
    Code(i64),
    /// It is done, and answered this late.
    Slow(Duration),
    /// It is done, and the connection is cut without an answer.
    Cut,
    /// The connection is cut; nothing is done.
    CutBefore,
}

/// A place to talk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chat {
    /// Who has this direct chat with the bot.
    pub(crate) direct: Option<String>,
    pub(crate) without_bot: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) image: bool,
    /// The message of a person's that it came with.
    pub(crate) message: Option<String>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) url: String,
    pub(crate) secret: String,
    /// Tokens and when they end.
    pub(crate) tokens: BTreeMap<String, Instant>,
    pub(crate) scopes: BTreeSet<String>,
    /// Events and callbacks.
    pub(crate) subscribed: BTreeSet<String>,
    pub(crate) people: BTreeMap<String, String>,
    /// People who are outside of the app's availability.
    pub(crate) unreachable: BTreeSet<String>,
    pub(crate) chats: BTreeMap<String, Chat>,
    pub(crate) messages: Vec<Message>,
    pub(crate) cards: BTreeMap<String, Card>,
    pub(crate) uploads: BTreeMap<String, Upload>,
    /// Of each `uuid` of a send, the message.
    pub(crate) uuids: BTreeMap<String, String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) troubles: VecDeque<(Option<String>, Trouble)>,
    pub(crate) meter: Meter,
    pub(crate) lines: Lines,
    pub(crate) serial: u64,
    pub(crate) last_ms: u64,
}

/// A handle on the company; clones are the same company.
#[derive(Debug, Clone)]
pub struct Tenant {
    shared: Shared<State>,
    pub(crate) hold: Hold<String>,
}

impl Default for Tenant {
    fn default() -> Self {
        Self::new()
    }
}

impl Tenant {
    /// A company with a group, two people, and their direct chats with the bot.
    pub fn new() -> Self {
        let direct = |person: &str| Chat {
            direct: Some(person.to_owned()),
            ..Chat::default()
        };
        let state = State {
            url: "http://feishu.invalid".into(),
            secret: super::APP_SECRET.into(),
            tokens: BTreeMap::new(),
            scopes: super::SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            subscribed: super::SUBSCRIBED.iter().map(|name| (*name).to_owned()).collect(),
            people: BTreeMap::from([(super::ANN.into(), "安妮".into()), (super::BEN.into(), "Ben".into())]),
            unreachable: BTreeSet::new(),
            chats: BTreeMap::from([
                (super::GROUP.into(), Chat::default()),
                (super::DIRECT.into(), direct(super::ANN)),
                ("oc_ben".into(), direct(super::BEN)),
            ]),
            messages: Vec::new(),
            cards: BTreeMap::new(),
            uploads: BTreeMap::new(),
            uuids: BTreeMap::new(),
            calls: Vec::new(),
            troubles: VecDeque::new(),
            meter: Meter::default(),
            lines: Lines::default(),
            serial: 0,
            last_ms: 0,
        };
        Self {
            shared: Shared::new(state),
            hold: Hold::default(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// Something happened: who waits looks again.
    pub(crate) fn touched(&self) {
        self.shared.touched();
    }

    /// Rises when something happened.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes()
    }

    pub fn set_scopes(&self, scopes: &[&str]) {
        self.lock().scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    }

    /// Takes one scope away.
    pub fn revoke(&self, scope: &str) {
        self.lock().scopes.remove(scope);
    }

    /// The app is no more told of this event, or called back for this.
    pub fn unsubscribe(&self, name: &str) {
        self.lock().subscribed.remove(name);
    }

    /// The app gets another secret: the one that clients have is refused.
    pub fn change_secret(&self) {
        let mut state = self.lock();
        state.secret = "changed".into();
        state.tokens.clear();
    }

    /// All tokens are refused from now on; new ones can be had.
    pub fn expire_tokens(&self) {
        self.lock().tokens.clear();
    }

    /// One more person, with a direct chat of this id.
    pub fn hire(&self, person: &str, name: &str, chat: &str) {
        let mut state = self.lock();
        state.people.insert(person.to_owned(), name.to_owned());
        let direct = Chat {
            direct: Some(person.to_owned()),
            ..Chat::default()
        };
        state.chats.insert(chat.to_owned(), direct);
    }

    /// Nobody can write to this person directly.
    pub fn hide(&self, person: &str) {
        self.lock().unreachable.insert(person.into());
    }

    /// The bot is no more in this chat.
    pub fn remove_bot(&self, chat: &str) {
        if let Some(chat) = self.lock().chats.get_mut(chat) {
            chat.without_bot = true;
        }
    }

    /// No rates any more: for what is about something else, and asks much in no time.
    pub fn unpaced(&self) {
        self.lock().meter.enforce(false);
    }

    /// Calls over the rates are refused again, as they are from the start.
    pub fn paced(&self) {
        self.lock().meter.enforce(true);
    }

    /// The next event, on the long connection or to a hook, is held back until the one after it was answered.
    pub fn hold_next(&self) {
        self.hold.next();
    }

    /// Ten minutes have gone: all streams are closed.
    pub fn end_streams(&self) {
        for card in self.lock().cards.values_mut() {
            card.end_stream();
        }
    }

    /// One trouble for the next call of this, or for the next call at all. `what`: a method and the beginning of a path,
    /// such as `POST /open-apis/im/v1/messages`; with `$` at its end, a whole path.
    pub fn trouble(&self, what: Option<&str>, trouble: Trouble) {
        self.lock().troubles.push_back((what.map(str::to_owned), trouble));
    }

    /// Troubles that did not come are forgotten. True: there were none.
    pub fn heal(&self) -> bool {
        std::mem::take(&mut self.lock().troubles).is_empty()
    }

    /// A person says something of this kind; the message. `under`: the message that it answers, and whether in its
    /// thread.
    pub fn say(&self, chat: &str, who: &str, kind: &str, content: &Value, under: Option<(&str, bool)>) -> Message {
        let mut state = self.lock();
        let mut message = state.message(chat, who, kind, content.clone(), under);
        // A person's mentions are placeholders in the text, and stand beside it.
        let text = content.to_string();
        let everybody = [(super::BOT, "botyard"), (super::ANN, "安妮"), (super::BEN, "Ben")];
        for (number, (id, name)) in everybody.into_iter().enumerate() {
            let key = format!("@_user_{}", number + 1);
            if text.contains(&key) {
                message.mentions.push(json!({
                    "key": key, "name": name, "tenant_key": super::TENANT,
                    "id": { "open_id": id, "union_id": format!("on_{id}"), "user_id": "" },
                }));
            }
        }
        state.messages.push(message.clone());
        drop(state);
        self.touched();
        message
    }

    /// The same with a text. `@_user_1` is the bot, `@_user_2` Ann, `@_user_3` Ben.
    pub fn write(&self, chat: &str, who: &str, text: &str) -> Message {
        self.say(chat, who, "text", &json!({ "text": text }), None)
    }

    /// A message says something else: for content that names its own message.
    pub fn change(&self, id: &str, content: &Value) {
        let mut state = self.lock();
        if let Some(message) = state.messages.iter_mut().find(|message| message.id == id) {
            message.content = content.clone();
        }
    }

    /// Somebody recalls a message.
    pub fn recall(&self, id: &str) {
        let mut state = self.lock();
        if let Some(message) = state.messages.iter_mut().find(|message| message.id == id) {
            message.recalled = true;
        }
        drop(state);
        self.touched();
    }

    /// A file of a person's, which comes with this message; `image_key` or `file_key`.
    pub fn put_file(&self, message: &str, name: &str, bytes: &[u8], image: bool) -> String {
        let mut state = self.lock();
        let key = state.name(if image { "img_v3" } else { "file_v3" });
        let upload = Upload {
            name: name.into(),
            bytes: bytes.to_vec(),
            image,
            message: Some(message.into()),
        };
        state.uploads.insert(key.clone(), upload);
        key
    }

    /// All messages of a chat, oldest first; without recalled ones.
    pub fn messages(&self, chat: &str) -> Vec<Message> {
        let state = self.lock();
        let there = state.messages.iter().filter(|m| m.chat == chat && !m.recalled);
        there.map(|message| state.resolved(message)).collect()
    }

    /// What the bot said in a chat, oldest first.
    pub fn replies(&self, chat: &str) -> Vec<Message> {
        let mut all = self.messages(chat);
        all.retain(Message::is_bot);
        all
    }

    pub fn message(&self, id: &str) -> Option<Message> {
        let state = self.lock();
        let found = state.messages.iter().find(|message| message.id == id)?;
        Some(state.resolved(found))
    }

    /// The card of an entity, and whether it streams.
    pub fn card(&self, id: &str) -> Option<(Value, bool)> {
        let state = self.lock();
        let card = state.cards.get(id)?;
        Some((card.json.clone(), card.is_streaming()))
    }

    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Calls so far as `METHOD path`.
    pub fn called(&self) -> Vec<String> {
        let state = self.lock();
        let calls = state.calls.iter();
        calls.map(|call| format!("{} {}", call.method, call.path)).collect()
    }

    /// Files of the bot's: name and bytes.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let state = self.lock();
        let own = state.uploads.values().filter(|upload| upload.message.is_none());
        own.map(|upload| (upload.name.clone(), upload.bytes.clone())).collect()
    }

    /// What a message of the bot's gives to whoever reads it: name and bytes.
    pub fn file(&self, message: &Message) -> Option<(String, Vec<u8>)> {
        let key = message.content.get("file_key").or(message.content.get("image_key"))?;
        let state = self.lock();
        let upload = state.uploads.get(key.as_str()?)?;
        Some((upload.name.clone(), upload.bytes.clone()))
    }

    /// Waits until `look` finds something.
    ///
    /// # Panics
    /// After `limit`, with what stands in all chats.
    pub async fn wait_for<T>(&self, limit: Duration, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let stands = || {
            let state = self.lock();
            let shown = state
                .messages
                .iter()
                .map(|m| format!("{} {}: {}", m.chat, m.sender, state.resolved(m).read()));
            let calls = state.calls.iter().rev().take(20);
            let calls = calls.map(|call| format!("{} {} {} {}", call.method, call.path, call.status, call.answer));
            let (shown, calls) = (shown.collect::<Vec<_>>(), calls.collect::<Vec<_>>());
            format!("the chats are {shown:#?}; the last calls {calls:#?}")
        };
        self.shared.wait_for(limit, what, || look(self), stands).await
    }
}

impl State {
    pub(crate) fn name(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{kind}_{:08x}", self.serial)
    }

    /// Milliseconds of a message: no two are the same.
    pub(crate) fn stamp(&mut self) -> u64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        self.last_ms = u64::try_from(now).unwrap_or(0).max(self.last_ms + 1);
        self.last_ms
    }

    /// A new message, which is not in its chat yet.
    pub(crate) fn message(
        &mut self,
        chat: &str,
        sender: &str,
        kind: &str,
        content: Value,
        under: Option<(&str, bool)>,
    ) -> Message {
        let id = self.name("om");
        let mut message = Message {
            id,
            chat: chat.into(),
            root: None,
            parent: None,
            thread: None,
            sender: sender.into(),
            kind: kind.into(),
            content,
            card: None,
            created_ms: self.stamp(),
            edits: 0,
            recalled: false,
            reactions: Vec::new(),
            mentions: Vec::new(),
        };
        if let Some((parent, in_thread)) = under
            && let Some(at) = self.messages.iter().position(|message| message.id == parent)
        {
            // A thread is opened by its first answer, and what answers within stays within.
            if in_thread && self.messages[at].thread.is_none() {
                let thread = self.name("omt");
                self.messages[at].thread = Some(thread);
            }
            let parent = &self.messages[at];
            message.thread.clone_from(&parent.thread);
            message.parent = Some(parent.id.clone());
            message.root = Some(parent.root.clone().unwrap_or_else(|| parent.id.clone()));
        }
        message
    }

    /// With the card that it shows.
    pub(crate) fn resolved(&self, message: &Message) -> Message {
        let mut message = message.clone();
        if let Some(card) = message.card.as_ref().and_then(|id| self.cards.get(id)) {
            message.content = card.json.clone();
        }
        message
    }
}
