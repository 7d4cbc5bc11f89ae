//! What Discord tells: dispatches of the gateway by name, and interactions by webhook, read into items.
//!
//! Pure: what must be known of the bot comes in as arguments. What Discord may add later is skipped, never an error.
//! Source: docs.discord.com/developers/events/gateway-events and /resources/message (discord-api-docs, 2026-08).

use botyard_sdk::http::header;
use botyard_sdk::ingress::{Item, Message, Quote, Reaction, Translated, What};
use botyard_sdk::json::{array_at, read_without, str_at};
use botyard_sdk::serde_json::{self, Value};
use botyard_sdk::types::{Attachment, Conversation, Error, Event, Origin, Person};
use serde::{Deserialize, Serialize};

use crate::beside::{behind, files, told};
use crate::interactive;
use crate::text::{self, hear, is_id, person};

/// What reading an event needs to know of the bot.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The bot's own user id.
    pub me: Option<String>,
    /// Whether a question in a channel opens a thread. Asked for where there is one.
    pub threads: fn() -> bool,
}

/// What an answer needs to know of the question; it stands in `origin.reply-to`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    /// The message that is answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    /// What a thread made from it is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// The interaction that is answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interaction: Option<Interaction>,
}

/// An interaction's own ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    pub app: String,
    pub token: String,
    /// When it came, in seconds: it is good for 15 minutes.
    pub at: u32,
    pub kind: Kind,
}

/// What kind of interaction it is, for what may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One of the host's commands: deferred as the verdict says.
    Command,
    /// A question by slash command or message menu: deferred for all to see.
    Ask,
    Press,
    /// A form that was opened from a message.
    Form,
}

impl ReplyTo {
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// An id of Discord's; anything else is none, and what it stands in is skipped.
pub(crate) fn id_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    str_at(value, pointer).filter(|id| is_id(id))
}

/// The server that it was in. `Some(None)`: in none, so it is direct; None: that cannot be told.
pub(crate) fn tenant_of(data: &Value) -> Option<Option<&str>> {
    match data.get("guild_id") {
        None | Some(Value::Null) => Some(None),
        Some(_) => id_at(data, "/guild_id").map(Some),
    }
}

pub(crate) const fn nothing() -> Translated {
    Translated {
        items: Vec::new(),
        answer: None,
    }
}

/// Milliseconds from Discord's epoch, in the upper 42 bits of every id.
pub(crate) fn seconds_of(id: &str) -> Option<u32> {
    let id: u64 = id.parse().ok()?;
    u32::try_from(((id >> 22) + 1_420_070_400_000) / 1000).ok()
}

/// What a message with words of its own says in no other way: buttons and lists.
const UNREAD: [&str; 1] = ["components"];

/// Bytes of a name or a stamp that goes into a key, far more than Discord's own have: a key has at most 200.
const NAME: usize = 100;
/// Messages that persons write: plain ones and replies. The others tell of joins, pins, boosts.
const SPOKEN: [u64; 2] = [0, 19];
/// Channels in which a message can have a thread: text and announcements.
const THREADED: [&str; 2] = ["0", "5"];

impl Reader {
    /// Reads one event, whichever way it came. A signature was checked by the host.
    ///
    /// # Errors
    /// `malformed` for what is no JSON object of Discord's.
    pub fn translate(&self, event: &Event) -> Result<Translated, Error> {
        let unread: &[&str] = match event.name.as_str() {
            "MESSAGE_CREATE" | "MESSAGE_UPDATE" => &UNREAD,
            _ => &[],
        };
        let read = |unread: &[&str]| {
            read_without(&event.payload, unread)
                .map_err(|error| Error::Malformed(format!("the payload is no JSON: {error}")))
        };
        let mut body = read(unread)?;
        if !unread.is_empty() && str_at(&body, "/d/content").is_none() {
            body = read(&[])?;
        }
        if event.transport == "webhook" {
            return Ok(interactive::translate(&body, event.received));
        }
        let Some(data) = body.get("d").filter(|data| data.is_object()) else {
            return Err(Error::Malformed("a dispatch without `d`".into()));
        };
        let facts = Facts::of(event);
        let items = match event.name.as_str() {
            "MESSAGE_CREATE" => self.message(data, &facts).into_iter().collect(),
            "MESSAGE_UPDATE" => self.edited(data, &facts).into_iter().collect(),
            "MESSAGE_DELETE" => deleted(data, &facts, id_at(data, "/id")).into_iter().collect(),
            "MESSAGE_DELETE_BULK" => array_at(data, "/ids")
                .iter()
                .filter_map(|id| deleted(data, &facts, id.as_str().filter(|id| is_id(id))))
                .collect(),
            "MESSAGE_REACTION_ADD" => self.reaction(data, &facts, true).into_iter().collect(),
            "MESSAGE_REACTION_REMOVE" => self.reaction(data, &facts, false).into_iter().collect(),
            "INTERACTION_CREATE" => return Ok(interactive::translate(data, event.received)),
            _ => Vec::new(),
        };
        Ok(Translated { items, answer: None })
    }

    fn message(&self, data: &Value, facts: &Facts<'_>) -> Option<Item> {
        let key = format!("message:{}", id_at(data, "/id")?);
        let (origin, message) = self.said(data, facts, key)?;
        // A mention without a word still calls the bot.
        (!message.text.is_empty() || !message.attachments.is_empty() || message.addressed).then_some(Item {
            origin,
            what: What::Message(message),
        })
    }

    fn edited(&self, data: &Value, facts: &Facts<'_>) -> Option<Item> {
        // Discord adds previews of links by an update that no person made.
        let at = str_at(data, "/edited_timestamp").filter(|at| at.len() <= NAME)?;
        let key = format!("edit:{}:{at}", id_at(data, "/id")?);
        let (origin, message) = self.said(data, facts, key)?;
        Some(Item {
            origin,
            what: What::Edited(message),
        })
    }

    /// The message that `data` is, by whom and where; none for the bot itself.
    fn said(&self, data: &Value, facts: &Facts<'_>, key: String) -> Option<(Origin, Message)> {
        let kind = data.get("type").and_then(Value::as_u64).unwrap_or(0);
        let (id, author) = (id_at(data, "/id")?, id_at(data, "/author/id")?);
        if !SPOKEN.contains(&kind) || Some(author) == self.me.as_deref() {
            return None;
        }
        let conversation = facts.conversation(data)?;
        let mut sender = author_of(data)?;
        sender.bot = sender.bot || data.get("webhook_id").is_some_and(|id| !id.is_null());
        let me = self.me.as_deref();
        let heard = hear(str_at(data, "/content").unwrap_or_default(), me, facts.role);
        let quoted = data.get("referenced_message").filter(|quoted| quoted.is_object());
        let to_me = me.is_some()
            && (array_at(data, "/mentions").iter().any(|who| str_at(who, "/id") == me)
                || quoted.is_some_and(|quoted| str_at(quoted, "/author/id") == me));
        let mut text = behind(heard.text, data);
        for sticker in array_at(data, "/sticker_items") {
            text = format!("{text} (sticker: {})", str_at(sticker, "/name").unwrap_or("?"))
                .trim()
                .to_owned();
        }
        let attachments = files(data);
        let opens = !conversation.direct && conversation.thread.is_none() && facts.can_thread() && (self.threads)();
        let reply_to = ReplyTo {
            message: Some(id.to_owned()),
            title: opens.then(|| title(&text)),
            interaction: None,
        };
        let message = Message {
            id: id.to_owned(),
            mentions: array_at(data, "/mentions")
                .iter()
                .filter(|who| str_at(who, "/id") != me)
                .filter_map(|who| user(who, who.get("member")))
                .collect(),
            addressed: conversation.direct || heard.addressed || to_me,
            quotes: quoted.and_then(|quoted| Some(quote(str_at(quoted, "/id")?, quoted, me))),
            // A thread gets the id of the message that it is made from.
            new_thread: opens.then(|| id.to_owned()),
            text,
            attachments,
            group: None,
        };
        let origin = Origin {
            key,
            conversation,
            sender,
            sent: seconds_of(id),
            reply_to: reply_to.bytes(),
            extra: Vec::new(),
        };
        Some((origin, message))
    }

    fn reaction(&self, data: &Value, facts: &Facts<'_>, added: bool) -> Option<Item> {
        let user_id = id_at(data, "/user_id")?;
        if Some(user_id) == self.me.as_deref() {
            return None;
        }
        let id = id_at(data, "/message_id")?;
        // Emoji of a server have an id too; their name is what people know.
        let emoji = str_at(data, "/emoji/name").filter(|emoji| emoji.len() <= NAME)?;
        let mut sender = data
            .get("member")
            .and_then(|member| user(member.get("user")?, Some(member)));
        if sender.is_none() {
            sender = Some(person(user_id));
        }
        let origin = Origin {
            // The same person may put it there, take it off and put it there again.
            key: format!("reaction:{id}:{user_id}:{emoji}:{added}:{}", facts.sequence),
            conversation: facts.conversation(data)?,
            sender: sender?,
            sent: None,
            reply_to: Vec::new(),
            extra: Vec::new(),
        };
        Some(Item {
            origin,
            what: What::Reacted(Reaction {
                id: id.to_owned(),
                emoji: emoji.to_owned(),
                added,
            }),
        })
    }
}

/// What only the gateway's connection knows.
struct Facts<'a> {
    parent: Option<&'a str>,
    kind: Option<&'a str>,
    role: Option<&'a str>,
    sequence: &'a str,
}

impl<'a> Facts<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            parent: header(&event.headers, "botyard-thread-parent").filter(|id| is_id(id)),
            kind: header(&event.headers, "botyard-channel-type"),
            role: header(&event.headers, "botyard-own-role"),
            sequence: header(&event.headers, "botyard-sequence").unwrap_or_default(),
        }
    }

    /// Where it was: a thread is a channel whose parent the gateway told.
    fn conversation(&self, data: &Value) -> Option<Conversation> {
        let channel = id_at(data, "/channel_id")?;
        let tenant = tenant_of(data)?.map(str::to_owned);
        Some(Conversation {
            direct: tenant.is_none(),
            tenant,
            channel: self.parent.unwrap_or(channel).to_owned(),
            thread: self.parent.map(|_| channel.to_owned()),
        })
    }

    fn can_thread(&self) -> bool {
        self.kind.is_none_or(|kind| THREADED.contains(&kind))
    }
}

/// Discord does not say who took a message away.
fn deleted(data: &Value, facts: &Facts<'_>, id: Option<&str>) -> Option<Item> {
    let id = id?;
    let origin = Origin {
        key: format!("delete:{id}"),
        conversation: facts.conversation(data)?,
        sender: person("0"),
        sent: None,
        reply_to: Vec::new(),
        extra: Vec::new(),
    };
    Some(Item {
        origin,
        what: What::Deleted(id.to_owned()),
    })
}

fn author_of(data: &Value) -> Option<Person> {
    let mut sender = user(data.get("author")?, data.get("member"))?;
    sender.tenant = tenant_of(data)?.map(str::to_owned);
    Some(sender)
}

/// A person by Discord's user, and the member that this user is in a server.
pub(crate) fn user(user: &Value, member: Option<&Value>) -> Option<Person> {
    let mut person = text::person(id_at(user, "/id")?);
    person.name = member
        .and_then(|member| str_at(member, "/nick"))
        .or(str_at(user, "/global_name"))
        .or(str_at(user, "/username"))
        .map(str::to_owned);
    person.handle = str_at(user, "/username").map(str::to_owned);
    person.groups = member.map_or_else(Vec::new, |member| {
        array_at(member, "/roles")
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    });
    person.bot = user.get("bot").and_then(Value::as_bool).unwrap_or(false);
    Some(person)
}

/// A message that another one answers or is about. A picture that is answered is what the answer is about; those of the bot's
/// own (`me`) the agent has.
pub(crate) fn quote(id: &str, message: &Value, me: Option<&str>) -> Quote {
    let own = me.is_some() && str_at(message, "/author/id") == me;
    Quote {
        id: id.to_owned(),
        sender: message.get("author").and_then(|who| user(who, message.get("member"))),
        text: told(message),
        attachments: if own { Vec::new() } else { files(message) },
    }
}

pub(crate) fn attachment(file: &Value) -> Option<Attachment> {
    Some(Attachment {
        name: str_at(file, "/filename").unwrap_or("file").to_owned(),
        media_type: str_at(file, "/content_type").map(str::to_owned),
        size_bytes: file
            .get("size")
            .and_then(Value::as_u64)
            .and_then(|size| u32::try_from(size).ok()),
        source: str_at(file, "/url")?.to_owned(),
    })
}

/// A thread's name: the first line of the question, 100 characters at most.
fn title(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let line = line.trim_matches(|c: char| matches!(c, '#' | '*' | '>' | '`' | ' '));
    if line.is_empty() {
        return "Conversation".to_owned();
    }
    botyard_sdk::split::clip(line, 90)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
pub(crate) mod tests;
