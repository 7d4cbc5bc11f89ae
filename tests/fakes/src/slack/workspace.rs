//! One Slack team in memory: channels, people, messages, what was called, and how it is to misbehave.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::MutexGuard;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::hold::Hold;
use crate::rate::Meter;
use crate::shared::Shared;

/// What a message of the team is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub channel: String,
    pub ts: String,
    pub thread_ts: Option<String>,
    pub user: String,
    pub text: String,
    pub blocks: Vec<Value>,
    pub metadata: Option<Value>,
    /// Only this person sees it.
    pub ephemeral_to: Option<String>,
    /// How often it was changed.
    pub edits: u32,
    pub reactions: BTreeSet<(String, String)>,
    /// It still grows.
    pub streaming: bool,
}

impl Message {
    /// An empty one of the bot's.
    pub(crate) fn of_bot(channel: &str, ts: &str) -> Self {
        Self {
            channel: channel.into(),
            ts: ts.into(),
            thread_ts: None,
            user: super::BOT_USER.into(),
            text: String::new(),
            blocks: Vec::new(),
            metadata: None,
            ephemeral_to: None,
            edits: 0,
            reactions: BTreeSet::new(),
            streaming: false,
        }
    }

    pub(crate) fn json(&self, with_metadata: bool) -> Value {
        let mut value =
            json!({ "type": "message", "ts": self.ts, "user": self.user, "text": self.text, "team": super::TEAM });
        if self.user == super::BOT_USER {
            value["bot_id"] = super::BOT.into();
            value["app_id"] = super::APP.into();
        }
        if !self.blocks.is_empty() {
            value["blocks"] = self.blocks.clone().into();
        }
        if let Some(thread) = &self.thread_ts {
            value["thread_ts"] = thread.clone().into();
        }
        if let (true, Some(metadata)) = (with_metadata, &self.metadata) {
            value["metadata"] = metadata.clone();
        }
        value
    }

    /// What a person reads: `markdown` blocks, text objects, `[Button]`s; a line for each block.
    pub fn read(&self) -> String {
        if self.blocks.is_empty() {
            return self.text.clone();
        }
        self.blocks.iter().map(read_block).collect::<Vec<_>>().join("\n")
    }

    /// Labels and values of the buttons.
    pub fn buttons(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for element in self
            .blocks
            .iter()
            .filter_map(|block| block.get("elements")?.as_array())
            .flatten()
        {
            if element["type"] == "button" {
                let text = |pointer: &str| element.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                found.push((text("/text/text").to_owned(), text("/value").to_owned()));
            }
        }
        found
    }
}

fn read_block(block: &Value) -> String {
    let text = |value: &Value| -> String {
        match value["type"].as_str() {
            Some("button") => format!("[{}]", value["text"]["text"].as_str().unwrap_or_default()),
            Some("checkboxes" | "static_select" | "multi_static_select") => "(choices)".into(),
            _ => value["text"].as_str().unwrap_or_default().to_owned(),
        }
    };
    match block["type"].as_str() {
        Some("markdown") => text(block),
        Some("task_card") => format!(
            "({}) {}",
            block["status"].as_str().unwrap_or_default(),
            block["title"].as_str().unwrap_or_default()
        ),
        Some("section" | "header") => text(&block["text"]),
        Some("context" | "actions") => block["elements"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

/// A call as it came, with what was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: String,
    pub arguments: Value,
    pub status: u16,
    pub answer: Value,
    pub at: Instant,
}

/// What goes wrong with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// None: the next trouble is for a later call.
    Nothing,
    /// 429 with `Retry-After`; nothing is done.
    RateLimited { seconds: u32 },
    /// This status; nothing is done.
    Status(u16),
    /// It is done, then this status is answered.
    StatusAfter(u16),
    /// `ok: false` with this name; nothing is done.
    Error(String),
    /// It is done, and answered this late.
    Slow(Duration),
    /// It is done, and the connection is cut without an answer.
    Cut,
    /// The connection is cut; nothing is done.
    CutBefore,
}

#[derive(Debug)]
pub(crate) struct Trigger {
    pub(crate) made: Instant,
    pub(crate) used: bool,
}

#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) length: u64,
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) shared: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) revoked: bool,
    pub(crate) scopes: Vec<String>,
    pub(crate) channels: BTreeMap<String, Channel>,
    pub(crate) users: BTreeMap<String, Value>,
    pub(crate) messages: Vec<Message>,
    pub(crate) calls: Vec<Call>,
    pub(crate) troubles: VecDeque<(Option<String>, Trouble)>,
    pub(crate) meter: Meter,
    pub(crate) triggers: BTreeMap<String, Trigger>,
    /// Of each `response_url`: channel, user and uses so far.
    pub(crate) responses: BTreeMap<String, (String, String, u32)>,
    pub(crate) views: Vec<Value>,
    pub(crate) uploads: BTreeMap<String, Upload>,
    pub(crate) sockets: super::socket::Sockets,
    /// By channel and thread.
    pub(crate) statuses: BTreeMap<(String, String), String>,
    pub(crate) sessions: BTreeMap<(String, String), String>,
    pub(crate) agent_sessions: bool,
    pub(crate) last: u64,
    pub(crate) serial: u64,
}

/// A place to talk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// A direct channel with the bot.
    pub direct: bool,
    pub archived: bool,
    /// The bot is not in it.
    pub without_bot: bool,
}

/// A handle on the team; clones are the same team.
#[derive(Debug, Clone)]
pub struct Workspace {
    shared: Shared<State>,
    pub(crate) hold: Hold<Value>,
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

impl Workspace {
    /// A team with the channel `C1`, the direct channel `D1`, and the people `U1` (ann) and `U2` (ben).
    pub fn new() -> Self {
        let user = |id: &str, name: &str| {
            let profile = json!({ "display_name": name, "real_name": format!("{name} Example") });
            (
                id.to_owned(),
                json!({ "id": id, "team_id": super::TEAM, "name": name, "profile": profile, "is_bot": false, "locale": "en-US" }),
            )
        };
        let mut users = BTreeMap::from([user("U1", "ann"), user("U2", "ben"), user(super::BOT_USER, "botyard")]);
        if let Some(bot) = users.get_mut(super::BOT_USER) {
            bot["is_bot"] = true.into();
        }
        let direct = Channel {
            direct: true,
            ..Channel::default()
        };
        let state = State {
            url: "http://slack.invalid".into(),
            token: super::BOT_TOKEN.into(),
            revoked: false,
            scopes: super::SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            channels: BTreeMap::from([("C1".into(), Channel::default()), ("D1".into(), direct)]),
            users,
            messages: Vec::new(),
            calls: Vec::new(),
            troubles: VecDeque::new(),
            meter: Meter::default(),
            triggers: BTreeMap::new(),
            responses: BTreeMap::new(),
            views: Vec::new(),
            uploads: BTreeMap::new(),
            sockets: super::socket::Sockets::default(),
            statuses: BTreeMap::new(),
            sessions: BTreeMap::new(),
            agent_sessions: true,
            last: 0,
            serial: 0,
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

    pub fn add_channel(&self, id: &str, channel: Channel) {
        self.lock().channels.insert(id.into(), channel);
    }

    pub fn set_scopes(&self, scopes: &[&str]) {
        self.lock().scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    }

    /// From now on the token is refused with `token_revoked`.
    pub fn revoke(&self) {
        self.lock().revoked = true;
    }

    /// One trouble for the next call of this method, or for the next call at all.
    pub fn trouble(&self, method: Option<&str>, trouble: Trouble) {
        self.lock().troubles.push_back((method.map(str::to_owned), trouble));
    }

    /// Troubles that did not come are forgotten. True: there were none.
    pub fn heal(&self) -> bool {
        std::mem::take(&mut self.lock().troubles).is_empty()
    }

    /// Rises when something happened.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes()
    }

    /// No rates any more: for what is about something else, and asks much in no time.
    pub fn unpaced(&self) {
        self.lock().meter.enforce(false);
    }

    /// Calls over the rates are refused again, as they are from the start.
    pub fn paced(&self) {
        self.lock().meter.enforce(true);
    }

    /// The next event is held back until the one after it was answered.
    pub fn hold_next(&self) {
        self.hold.next();
    }

    /// A person says something; the `ts`.
    pub fn say(&self, channel: &str, user: &str, text: &str, thread: Option<&str>) -> String {
        let mut state = self.lock();
        let ts = state.stamp();
        state.said(channel, user, text, thread, &ts);
        drop(state);
        self.touched();
        ts
    }

    /// The same, said at this `ts`: what is in one thread comes in its order.
    pub fn say_at(&self, channel: &str, user: &str, text: &str, thread: Option<&str>, ts: &str) {
        self.lock().said(channel, user, text, thread, ts);
        self.touched();
    }

    /// Somebody deletes a message.
    pub fn delete(&self, channel: &str, ts: &str) {
        self.lock().messages.retain(|m| m.channel != channel || m.ts != ts);
        self.touched();
    }

    /// All messages of a channel, oldest first.
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        self.lock()
            .messages
            .iter()
            .filter(|message| message.channel == channel)
            .cloned()
            .collect()
    }

    /// What the bot said in a channel, oldest first.
    pub fn replies(&self, channel: &str) -> Vec<Message> {
        let mut all = self.messages(channel);
        all.retain(|message| message.user == super::BOT_USER);
        all
    }

    /// The whole conversation as (user, what is read).
    pub fn transcript(&self, channel: &str) -> Vec<(String, String)> {
        self.messages(channel)
            .iter()
            .map(|message| (message.user.clone(), message.read()))
            .collect()
    }

    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Names of the methods called so far.
    pub fn called(&self) -> Vec<String> {
        self.lock().calls.iter().map(|call| call.method.clone()).collect()
    }

    /// Views that were opened.
    pub fn views(&self) -> Vec<Value> {
        self.lock().views.clone()
    }

    /// Files that were shared: name and bytes.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let state = self.lock();
        let shared = state.uploads.values().filter(|upload| upload.shared);
        shared
            .map(|upload| (upload.name.clone(), upload.bytes.clone().unwrap_or_default()))
            .collect()
    }

    /// Waits until `look` finds something.
    ///
    /// # Panics
    /// After `limit`, with what stands in all channels.
    pub async fn wait_for<T>(&self, limit: Duration, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let stands = || {
            let state = self.lock();
            let shown = state
                .messages
                .iter()
                .map(|m| format!("{} {}: {}", m.channel, m.user, m.read()));
            format!("the chat is {:#?}", shown.collect::<Vec<_>>())
        };
        self.shared.wait_for(limit, what, || look(self), stands).await
    }

    /// A new trigger and `response_url` for a press of `user` in `channel`.
    pub(crate) fn trigger(&self, channel: &str, user: &str) -> (String, String) {
        let mut state = self.lock();
        state.serial += 1;
        let serial = state.serial;
        let trigger = format!("{serial}.7890123.{serial:032x}");
        state.triggers.insert(
            trigger.clone(),
            Trigger {
                made: Instant::now(),
                used: false,
            },
        );
        let path = format!("/response/{}/{serial}/{serial:024x}", super::TEAM);
        state
            .responses
            .insert(path.clone(), (channel.to_owned(), user.to_owned(), 0));
        (trigger, format!("{}{path}", state.url))
    }
}

impl State {
    fn said(&mut self, channel: &str, user: &str, text: &str, thread: Option<&str>, ts: &str) {
        self.messages.push(Message {
            channel: channel.into(),
            ts: ts.into(),
            thread_ts: thread.map(str::to_owned),
            user: user.into(),
            text: text.into(),
            blocks: Vec::new(),
            metadata: None,
            ephemeral_to: None,
            edits: 0,
            reactions: BTreeSet::new(),
            streaming: false,
        });
    }

    /// A `ts` that was never given.
    pub(crate) fn stamp(&mut self) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros());
        self.last = u64::try_from(now).unwrap_or(0).max(self.last + 1);
        format!("{}.{:06}", self.last / 1_000_000, self.last % 1_000_000)
    }
}
