//! One server in memory: channels, people, messages, what was called, and how it is to misbehave.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::rate::Meter;
use crate::shared::Shared;

use super::gateway::Gateway;

/// What a message is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: String,
    pub channel: String,
    pub author: String,
    pub content: String,
    pub embeds: Vec<Value>,
    pub components: Vec<Value>,
    /// Names and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// The message that it answers.
    pub answers: Option<String>,
    /// Only this person sees it.
    pub ephemeral_to: Option<String>,
    pub nonce: Option<String>,
    /// How often it was changed.
    pub edits: u32,
    /// A deferred answer that nobody filled yet.
    pub thinking: bool,
    /// Whom it pinged.
    pub pinged: Vec<String>,
    /// Emoji and who.
    pub reactions: BTreeSet<(String, String)>,
    pub(crate) posted: Instant,
}

impl Message {
    /// What a person reads: content, embeds, `[Button]`s; a line for each.
    pub fn read(&self) -> String {
        let mut lines = vec![self.content.clone()];
        for embed in &self.embeds {
            for part in ["title", "description"] {
                lines.extend(embed[part].as_str().map(str::to_owned));
            }
        }
        let buttons: Vec<String> = self
            .buttons()
            .into_iter()
            .map(|(label, _)| format!("[{label}]"))
            .collect();
        if !buttons.is_empty() {
            lines.push(buttons.join(" "));
        }
        lines.join("\n").trim().to_owned()
    }

    fn parts(&self) -> impl Iterator<Item = &Value> {
        self.components
            .iter()
            .filter_map(|row| row["components"].as_array())
            .flatten()
    }

    /// Labels and ids of the buttons.
    pub fn buttons(&self) -> Vec<(String, String)> {
        self.parts()
            .filter(|part| part["type"] == 2)
            .map(|part| {
                let text = |name: &str| part[name].as_str().unwrap_or_default().to_owned();
                (text("label"), text("custom_id"))
            })
            .collect()
    }

    /// The lists that one can choose from.
    pub fn lists(&self) -> Vec<Value> {
        self.parts().filter(|part| part["type"] == 3).cloned().collect()
    }
}

/// A call as it came, with what was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// `POST /channels/ID/messages`.
    pub name: String,
    pub body: Value,
    pub status: u16,
    pub answer: Value,
    pub at: Instant,
}

impl Call {
    /// By it a connection is held or an interaction acknowledged, beside what an adapter shows.
    pub(crate) fn is_beside(name: &str) -> bool {
        let channel_alone = |rest: &str| rest.strip_prefix("/channels/").is_some_and(|id| !id.contains('/'));
        name.starts_with("POST /interactions/")
            || name.starts_with("GET /gateway")
            || name.strip_prefix("GET ").is_some_and(channel_alone)
    }
}

/// What goes wrong with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// None: the next trouble is for a later call.
    Nothing,
    /// 429 with `Retry-After`; nothing is done.
    RateLimited { millis: u32 },
    /// This status; nothing is done.
    Status(u16),
    /// It is done, then this status is answered.
    StatusAfter(u16),
    /// This status and code; nothing is done.
    Code(u16, u64),
    /// It is done, and answered this late.
    Slow(Duration),
    /// It is done, and the connection is cut without an answer.
    Cut,
    /// The connection is cut; nothing is done.
    CutBefore,
}

/// A place to talk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// 0 text, 1 direct, 2 voice, 5 announcements, 11 thread.
    pub kind: u8,
    pub guild: Option<String>,
    pub parent: Option<String>,
    pub name: String,
    pub archived: bool,
    pub locked: bool,
    /// The bot may not look into it.
    pub hidden: bool,
    /// The bot may not write.
    pub silent: bool,
    /// The bot may make no threads.
    pub no_threads: bool,
}

/// An interaction that was begun.
#[derive(Debug, Clone)]
pub(crate) struct Interaction {
    pub(crate) id: String,
    pub(crate) token: String,
    /// 2 command, 3 component, 4 completion, 5 modal.
    pub(crate) kind: u64,
    pub(crate) channel: String,
    pub(crate) user: String,
    /// The message whose component was used.
    pub(crate) message: Option<String>,
    /// The callback that came.
    pub(crate) answered: Option<Value>,
    /// The message that the callback made.
    pub(crate) original: Option<String>,
    pub(crate) at: Instant,
    /// 15 minutes are over.
    pub(crate) expired: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) url: String,
    pub(crate) token: String,
    /// Message content is switched on.
    pub(crate) content_intent: bool,
    pub(crate) endpoint: Option<String>,
    pub(crate) permissions: u64,
    pub(crate) in_guild: bool,
    pub(crate) channels: BTreeMap<String, Channel>,
    pub(crate) users: BTreeMap<String, Value>,
    pub(crate) messages: Vec<Message>,
    pub(crate) interactions: Vec<Interaction>,
    pub(crate) modals: Vec<(String, Value)>,
    pub(crate) commands: Vec<Value>,
    pub(crate) calls: Vec<Call>,
    pub(crate) troubles: VecDeque<(Option<String>, Trouble)>,
    /// Of each bucket: when its window ends, and how many were in it.
    pub(crate) buckets: BTreeMap<String, (Instant, u32)>,
    pub(crate) paced: bool,
    pub(crate) meter: Meter,
    pub(crate) typing: Vec<String>,
    pub(crate) cdn: BTreeMap<String, Vec<u8>>,
    pub(crate) gateway: Gateway,
    pub(crate) key: Arc<Ed25519KeyPair>,
    pub(crate) last: u64,
}

/// A handle on the server; clones are the same server.
#[derive(Debug, Clone)]
pub struct World {
    shared: Shared<State>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn text_channel(name: &str, kind: u8) -> Channel {
    Channel {
        kind,
        guild: Some(super::GUILD.into()),
        name: name.into(),
        ..Channel::default()
    }
}

impl World {
    /// A server with the text channels [`super::GENERAL`] and [`super::RANDOM`], the voice channel [`super::VOICE`], a
    /// direct channel, the people [`super::ANN`] and [`super::BEN`], and the program [`super::HELPER`].
    pub fn new() -> Self {
        let user = |id: &str, name: &str, bot: bool| {
            let whole = json!({
                "id": id, "username": name, "discriminator": "0", "global_name": if bot { Value::Null } else { capital(name).into() },
                "avatar": null, "bot": bot, "public_flags": 0,
            });
            (id.to_owned(), whole)
        };
        let direct = Channel {
            kind: 1,
            ..Channel::default()
        };
        let state = State {
            url: "http://discord.invalid".into(),
            token: super::TOKEN.into(),
            content_intent: true,
            endpoint: None,
            permissions: (1 << 10) | (1 << 11) | (1 << 38) | (1 << 35) | (1 << 14) | (1 << 15) | (1 << 16),
            in_guild: true,
            channels: BTreeMap::from([
                (super::GENERAL.into(), text_channel("general", 0)),
                (super::RANDOM.into(), text_channel("random", 0)),
                (super::VOICE.into(), text_channel("voice", 2)),
                (super::DIRECT.into(), direct),
            ]),
            users: BTreeMap::from([
                user(super::ANN, "ann", false),
                user(super::BEN, "ben", false),
                user(super::BOT, "botyard", true),
                user(super::HELPER, "helper", true),
            ]),
            messages: Vec::new(),
            interactions: Vec::new(),
            modals: Vec::new(),
            commands: Vec::new(),
            calls: Vec::new(),
            troubles: VecDeque::new(),
            buckets: BTreeMap::new(),
            paced: true,
            meter: Meter::default(),
            typing: Vec::new(),
            cdn: BTreeMap::new(),
            gateway: Gateway::default(),
            key: Arc::new(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed")),
            last: 0,
        };
        Self {
            shared: Shared::new(state),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// Something happened: who waits looks again.
    pub(crate) fn touched(&self) {
        self.shared.touched();
    }

    /// Changes a channel.
    ///
    /// # Panics
    /// When there is no such channel.
    pub fn channel(&self, id: &str, change: impl FnOnce(&mut Channel)) {
        change(self.lock().channels.get_mut(id).expect("the channel is there"));
    }

    /// One more direct channel, of this id.
    pub fn open_direct(&self, id: &str) {
        let direct = Channel {
            kind: 1,
            ..Channel::default()
        };
        self.lock().channels.insert(id.to_owned(), direct);
    }

    /// The threads of a channel.
    pub fn threads(&self, parent: &str) -> Vec<(String, Channel)> {
        let state = self.lock();
        let of_it = |channel: &&Channel| channel.parent.as_deref() == Some(parent);
        let found = state.channels.iter().filter(|(_, channel)| of_it(channel));
        found.map(|(id, channel)| (id.clone(), channel.clone())).collect()
    }

    /// What `/applications/@me` says: whether the privileged intent is on, and where interactions go.
    pub fn application(&self, content_intent: bool, endpoint: Option<&str>) {
        let mut state = self.lock();
        state.content_intent = content_intent;
        state.endpoint = endpoint.map(str::to_owned);
    }

    /// The bot's permissions in the server.
    pub fn permissions(&self, bits: u64) {
        self.lock().permissions = bits;
    }

    /// From now on the token is another.
    pub fn reset_token(&self) {
        self.lock().token = "another-token".into();
    }

    /// No rates any more: for what is about something else, and asks much in no time.
    pub fn unpaced(&self) {
        let mut state = self.lock();
        state.paced = false;
        state.meter.enforce(false);
    }

    /// The 15 minutes of every interaction so far are over.
    pub fn expire_interactions(&self) {
        for interaction in &mut self.lock().interactions {
            interaction.expired = true;
        }
    }

    /// One trouble for the next call whose name contains this; or for the next call of those that show something, or
    /// ask what may be shown.
    pub fn trouble(&self, name: Option<&str>, trouble: Trouble) {
        self.lock().troubles.push_back((name.map(str::to_owned), trouble));
    }

    /// Troubles that did not come are forgotten. True: there were none.
    pub fn heal(&self) -> bool {
        std::mem::take(&mut self.lock().troubles).is_empty()
    }

    /// Rises when something happened.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes()
    }

    /// All messages of a channel, oldest first.
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        let state = self.lock();
        state
            .messages
            .iter()
            .filter(|message| message.channel == channel)
            .cloned()
            .collect()
    }

    /// What the bot said in a channel, oldest first, without what it is still thinking of.
    pub fn replies(&self, channel: &str) -> Vec<Message> {
        let mut all = self.messages(channel);
        all.retain(|message| message.author == super::BOT && !message.thinking);
        all
    }

    /// Files of the bot's messages: name and bytes, oldest first.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let state = self.lock();
        let ours = state.messages.iter().filter(|message| message.author == super::BOT);
        ours.flat_map(|message| message.files.clone()).collect()
    }

    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Names of the calls so far.
    pub fn called(&self) -> Vec<String> {
        self.lock().calls.iter().map(|call| call.name.clone()).collect()
    }

    /// Forms that were opened, with the interaction that opened each.
    pub fn modals(&self) -> Vec<(String, Value)> {
        self.lock().modals.clone()
    }

    pub fn commands(&self) -> Vec<Value> {
        self.lock().commands.clone()
    }

    /// Channels in which the bot was seen typing.
    pub fn typing(&self) -> Vec<String> {
        self.lock().typing.clone()
    }

    /// Hex of the key that interactions are signed with.
    pub fn public_key(&self) -> String {
        use ring::signature::KeyPair as _;
        hex::encode(self.lock().key.public_key().as_ref())
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
                .map(|m| format!("{} {}: {}", m.channel, m.author, m.read()));
            let calls = state
                .calls
                .iter()
                .rev()
                .take(20)
                .map(|c| format!("{} {}", c.name, c.status));
            let (shown, calls) = (shown.collect::<Vec<_>>(), calls.collect::<Vec<_>>());
            format!("the chat is {shown:#?}, the last calls {calls:#?}")
        };
        self.shared.wait_for(limit, what, || look(self), stands).await
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Discord's epoch, in milliseconds.
const EPOCH: u64 = 1_420_070_400_000;

impl State {
    /// An id that was never given, of now.
    pub(crate) fn snowflake(&mut self) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
        self.last = ((now - EPOCH) << 22).max(self.last + 1);
        self.last.to_string()
    }

    /// The message as the API tells it.
    pub(crate) fn message_json(&self, message: &Message) -> Value {
        let user = self.users.get(&message.author).cloned().unwrap_or(Value::Null);
        let mut files = Vec::new();
        for (at, (name, bytes)) in message.files.iter().enumerate() {
            let id = format!("{}{at}", message.id);
            files.push(json!({
                "id": id, "filename": name, "size": bytes.len(), "content_type": media_type(name),
                "url": format!("{}/attachments/{}/{at}/{name}?ex=1&is=2&hm=3", self.url, message.id),
                "proxy_url": format!("{}/attachments/{}/{at}/{name}", self.url, message.id),
            }));
        }
        let mentions: Vec<Value> = named(&message.content)
            .iter()
            .filter_map(|id| self.users.get(id).cloned())
            .collect();
        let mut value = json!({
            "id": message.id, "channel_id": message.channel, "author": user, "content": message.content,
            "timestamp": stamp(&message.id), "edited_timestamp": null, "tts": false, "mention_everyone": false,
            "mentions": mentions, "mention_roles": [], "attachments": files, "embeds": message.embeds,
            "components": message.components, "pinned": false, "type": 0, "flags": 0,
        });
        if message.edits > 0 {
            value["edited_timestamp"] = format!("2026-11-29T00:00:00.{:06}+00:00", message.edits).into();
        }
        if message.ephemeral_to.is_some() {
            value["flags"] = 64.into();
        }
        if let Some(nonce) = &message.nonce {
            value["nonce"] = nonce.clone().into();
        }
        if let Some(answered) = &message.answers {
            value["type"] = 19.into();
            value["message_reference"] = json!({ "type": 0, "message_id": answered, "channel_id": message.channel });
            if let Some(found) = self.messages.iter().find(|m| m.id == *answered) {
                value["referenced_message"] = self.message_json(found);
            }
        }
        value
    }

    /// The channel as the API tells it.
    pub(crate) fn channel_json(&self, id: &str) -> Option<Value> {
        let channel = self.channels.get(id)?;
        let mut value = json!({ "id": id, "type": channel.kind });
        if channel.kind == 1 {
            value["recipients"] = self.users.get(super::ANN).cloned().into_iter().collect();
            return Some(value);
        }
        value["guild_id"] = channel.guild.clone().into();
        value["name"] = channel.name.clone().into();
        value["parent_id"] = channel.parent.clone().into();
        value["position"] = 0.into();
        value["permission_overwrites"] = json!([]);
        if channel.kind == 11 {
            value["owner_id"] = super::BOT.into();
            value["thread_metadata"] = json!({
                "archived": channel.archived, "locked": channel.locked, "auto_archive_duration": 1440,
                "archive_timestamp": "2026-11-29T00:00:00+00:00",
            });
            value["member_count"] = 1.into();
            value["message_count"] = 0.into();
        }
        Some(value)
    }

    pub(crate) fn member_json(&self, user: &str) -> Value {
        json!({
            "user": self.users.get(user), "nick": null, "roles": [], "joined_at": "2026-01-01T00:00:00+00:00",
            "deaf": false, "mute": false, "flags": 0,
        })
    }
}

pub(crate) fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("png") => "image/png",
        Some("csv") => "text/csv; charset=utf-8",
        Some("md" | "txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The persons that a text names.
pub(crate) fn named(content: &str) -> Vec<String> {
    content
        .split("<@")
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .map(|(id, _)| id.trim_start_matches('!').to_owned())
        .filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
        .collect()
}

/// ISO 8601 of an id, to the second, as far as tests need it.
fn stamp(id: &str) -> String {
    let millis = id.parse::<u64>().map_or(0, |id| (id >> 22) + EPOCH);
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    // Civil from days, for years after 2000.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}000+00:00",
        rest % 1000
    )
}
