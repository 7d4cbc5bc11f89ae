//! What only the connection knows of an event: whether its channel is a thread, and of which channel; which role
//! Discord made for the bot. Learnt from dispatches; what they did not tell (after a resume nobody tells it again) is
//! asked for once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::Gateway;
use crate::chat::{CallError, Headers};

/// Channels that are remembered; beyond that the memory begins anew.
const CHANNELS: usize = 100_000;

/// A question that Discord does not answer now is asked so often in all: an event that has no answer costs the connection.
const TRIES: u32 = 3;
/// Between two of them where Discord does not say how long; doubled each time.
const PAUSE: Duration = Duration::from_millis(250);
/// What Discord says is waited for, but not for longer: other events wait too.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// None: Discord does not show it to the bot.
    pub(super) kind: Option<u64>,
    pub(super) parent: Option<String>,
}

#[derive(Debug, Default)]
struct Known {
    places: HashMap<String, Place>,
    /// The bot's own role by server; none: it has none.
    roles: HashMap<String, Option<String>>,
}

#[derive(Debug)]
pub(super) struct Facts {
    me: Option<String>,
    known: Mutex<Known>,
}

/// Kinds of channels that are threads: docs.discord.com/developers/resources/channel#channel-object-channel-types.
const THREADS: [u64; 3] = [10, 11, 12];

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn place(channel: &Value) -> Place {
    let kind = channel.get("type").and_then(Value::as_u64);
    let parent = text(channel, "parent_id").filter(|_| kind.is_some_and(|kind| THREADS.contains(&kind)));
    Place {
        kind,
        parent: parent.map(str::to_owned),
    }
}

impl Known {
    fn learn(&mut self, channel: &Value) {
        if self.places.len() >= CHANNELS {
            self.places.clear();
        }
        if let Some(id) = text(channel, "id") {
            self.places.insert(id.to_owned(), place(channel));
        }
    }
}

impl Facts {
    pub(super) fn new(me: Option<String>) -> Self {
        Self {
            me,
            known: Mutex::default(),
        }
    }

    fn own_role(&self, roles: &[Value]) -> Option<String> {
        let of_bot = |role: &&Value| role.pointer("/tags/bot_id").and_then(Value::as_str) == self.me.as_deref();
        roles
            .iter()
            .find(|role| self.me.is_some() && of_bot(role))
            .and_then(|role| text(role, "id"))
            .map(str::to_owned)
    }

    /// Whether a dispatch of this name tells of channels or roles.
    pub(super) fn teaches(name: &str) -> bool {
        matches!(
            name,
            "GUILD_CREATE"
                | "CHANNEL_CREATE"
                | "CHANNEL_UPDATE"
                | "CHANNEL_DELETE"
                | "THREAD_CREATE"
                | "THREAD_UPDATE"
                | "THREAD_DELETE"
                | "THREAD_LIST_SYNC"
        )
    }

    /// Learns from a dispatch.
    pub(super) fn learn(&self, name: &str, data: &Value) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match name {
            "GUILD_CREATE" | "THREAD_LIST_SYNC" => {
                for channel in list(data, "channels").iter().chain(list(data, "threads")) {
                    known.learn(channel);
                }
                if let (Some(id), Some(_)) = (text(data, "id"), data.get("roles")) {
                    let role = self.own_role(list(data, "roles"));
                    known.roles.insert(id.to_owned(), role);
                }
            }
            "CHANNEL_DELETE" | "THREAD_DELETE" => {
                if let Some(id) = text(data, "id") {
                    known.places.remove(id);
                }
            }
            _ => known.learn(data),
        }
    }

    pub(super) fn place(&self, channel: &str) -> Option<Place> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.places.get(channel).cloned()
    }

    pub(super) fn role(&self, guild: &str) -> Option<Option<String>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.roles.get(guild).cloned()
    }
}

impl Gateway {
    /// The headers that an event of a server gets. Asks Discord where it must, more than once where it is busy.
    ///
    /// # Errors
    /// Discord does not say now.
    pub(super) async fn facts_of(&self, data: &Value) -> Result<Headers, CallError> {
        let mut headers = Headers::new();
        let (Some(guild), Some(channel)) = (text(data, "guild_id"), text(data, "channel_id")) else {
            return Ok(headers);
        };
        let place = match self.facts.place(channel) {
            Some(place) => place,
            None => self.ask_for_place(channel).await?,
        };
        if let Some(kind) = place.kind {
            headers.push(("botyard-channel-type".to_owned(), kind.to_string()));
        }
        if let Some(parent) = place.parent {
            headers.push(("botyard-thread-parent".to_owned(), parent));
        }
        if !list(data, "mention_roles").is_empty() {
            let role = match self.facts.role(guild) {
                Some(role) => role,
                None => self.ask_for_role(guild).await?,
            };
            headers.extend(role.map(|role| ("botyard-own-role".to_owned(), role)));
        }
        Ok(headers)
    }

    /// A GET whose answer others wait for: again where Discord is busy, after the pause that it tells.
    async fn ask(&self, path: &str) -> Result<Value, CallError> {
        let asked = tokio::time::timeout(PATIENCE, self.ask_again(path)).await;
        asked.unwrap_or_else(|_| Err(CallError::Unavailable("discord does not answer in time".to_owned())))
    }

    async fn ask_again(&self, path: &str) -> Result<Value, CallError> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            let wait = match self.get(path).await {
                Err(CallError::RateLimited(told)) => told.unwrap_or(pause),
                Err(CallError::Unavailable(_)) => pause,
                answer => return answer,
            };
            if wait > PATIENCE {
                return Err(CallError::RateLimited(Some(wait)));
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        self.get(path).await
    }

    async fn ask_for_place(&self, channel: &str) -> Result<Place, CallError> {
        let place = match self.ask(&format!("/channels/{channel}")).await {
            Ok(answer) => place(&answer),
            Err(CallError::Gone(_)) => Place::default(),
            Err(error) => return Err(error),
        };
        let mut known = self.facts.known.lock().unwrap_or_else(PoisonError::into_inner);
        // What a dispatch told meanwhile is newer.
        Ok(known.places.entry(channel.to_owned()).or_insert(place).clone())
    }

    async fn ask_for_role(&self, guild: &str) -> Result<Option<String>, CallError> {
        let role = match self.ask(&format!("/guilds/{guild}/roles")).await {
            Ok(answer) => self.facts.own_role(answer.as_array().map_or(&[], Vec::as_slice)),
            Err(CallError::Gone(_)) => None,
            Err(error) => return Err(error),
        };
        let mut known = self.facts.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.roles.entry(guild.to_owned()).or_insert(role).clone())
    }
}
