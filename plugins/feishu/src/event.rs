//! What Feishu tells: messages, recalls, reactions, the bot's menu and presses of cards, read into items.
//!
//! Pure: what it must know comes in as [`Reader`]. What Feishu may add later is skipped, never an error. Feishu does not
//! tell of edits, and it names no sender of what was recalled.

use botyard_sdk::bounds::fits;
use botyard_sdk::delivery::Target;
use botyard_sdk::ingress::{Command, Item, Message, Other, Quote, Reaction, Translated, What};
use botyard_sdk::json::{at, str_at};
use botyard_sdk::serde_json::{self, Value};
use botyard_sdk::types::{Answer, Conversation, Error, Event, Origin, Person};
use serde::{Deserialize, Serialize};

use crate::verify::{self, Proven, Vault};
use crate::{content, press};

/// What is not told: an id must have a character.
pub const UNTOLD: &str = "?";

/// What events do not say. All of it is best effort: it is told again with each answer.
pub trait Book {
    /// Which direct chat a person has with the bot: the menu's event does not say.
    fn chat_of(&self, person: &str) -> Option<String>;
    fn note(&self, person: &str, chat: &str);
}

/// Notes a direct chat with its first answer: whoever only reads events need not look anything up.
pub fn note(book: &impl Book, target: &Target) {
    let chat = &target.conversation;
    if let (None, true) = (&target.memory, chat.direct)
        && let Some(ReplyTo::Direct { person, .. }) = ReplyTo::of(&target.reply_to)
    {
        book.note(&person, &chat.channel);
    }
}

/// What reading an event needs.
#[derive(Debug)]
pub struct Reader<'a, V, B> {
    /// The bot's own open id.
    pub me: Option<String>,
    pub vault: &'a V,
    pub book: &'a B,
}

/// What an answer needs to know of what it answers; it stands in `origin.reply-to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyTo {
    /// To this message, by its id.
    Message(String),
    /// The same in a direct chat, and who wrote it.
    Direct { message: String, person: String },
    /// A press waits for a toast.
    Press(Pressed),
    /// Nothing waits.
    Menu,
}

/// What was pressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressed {
    /// The message that it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// That message is a form that a button opened, and nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opened: bool,
}

impl ReplyTo {
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub fn of(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

pub(crate) const fn person_of(id: String, tenant: Option<String>) -> Person {
    Person {
        id,
        name: None,
        handle: None,
        tenant,
        groups: Vec::new(),
        locale: None,
        bot: false,
    }
}

pub(crate) fn person(id: &str, tenant: Option<&str>) -> Person {
    person_of(id.to_owned(), tenant.map(str::to_owned))
}

/// Seconds of a number of milliseconds (or, in some events, seconds or microseconds) in a text.
pub(crate) fn seconds(value: &Value, pointer: &str) -> Option<u32> {
    let found = at(value, pointer)?;
    let number = found
        .as_u64()
        .or_else(|| found.as_str().and_then(|text| text.parse().ok()))?;
    let seconds = match number {
        0..100_000_000_000 => number,
        100_000_000_000..100_000_000_000_000 => number / 1_000,
        _ => number / 1_000_000,
    };
    u32::try_from(seconds).ok()
}

pub(crate) fn answer_json(body: &Value) -> Answer {
    Answer {
        status: 200,
        headers: vec![("Content-Type".into(), "application/json; charset=utf-8".into())],
        body: body.to_string().into_bytes(),
    }
}

const fn items(items: Vec<Item>) -> Translated {
    Translated { items, answer: None }
}

impl<V: Vault, B: Book> Reader<'_, V, B> {
    /// Reads one event of the long connection, or one call of a webhook, which is checked first.
    ///
    /// # Errors
    /// `unauthorized`: it is forged; `malformed`: it is no JSON, or cannot be decrypted.
    pub fn translate(&self, event: &Event) -> Result<Translated, Error> {
        let body = if event.transport == "link" {
            // The connection itself was opened with the app's credentials.
            serde_json::from_slice(&event.payload)
                .map_err(|error| Error::Malformed(format!("the event is no JSON: {error}")))?
        } else {
            match verify::prove(self.vault, event)? {
                Proven::Challenge(answer) => {
                    return Ok(Translated {
                        items: Vec::new(),
                        answer: Some(answer_json(&answer)),
                    });
                }
                Proven::Event(body) => body,
            }
        };
        Ok(items(self.item(&body).into_iter().filter(fits).collect()))
    }

    fn item(&self, body: &Value) -> Option<Item> {
        let Some(kind) = str_at(body, "/header/event_type") else {
            // A card's callback of the old kind has neither a header nor a type.
            return press::old(body);
        };
        match kind {
            "im.message.receive_v1" => self.message(body),
            "im.message.recalled_v1" => recalled(body),
            "im.message.reaction.created_v1" => self.reaction(body, true),
            "im.message.reaction.deleted_v1" => self.reaction(body, false),
            "application.bot.menu_v6" => self.menu(body),
            "card.action.trigger" => press::new(body),
            "im.chat.member.bot.added_v1" => other(body, "joined"),
            "im.chat.member.bot.deleted_v1" => other(body, "left"),
            "im.chat.access_event.bot_p2p_chat_entered_v1" => other(body, "opened"),
            _ => None,
        }
    }

    fn message(&self, body: &Value) -> Option<Item> {
        let message = at(body, "/event/message")?;
        let sender = at(body, "/event/sender")?;
        let tenant = str_at(body, "/header/tenant_key");
        let who = str_at(sender, "/sender_id/open_id")?;
        if Some(who) == self.me.as_deref() || Some(who) == str_at(body, "/header/app_id") {
            return None;
        }
        let mut speaker = person(who, str_at(sender, "/tenant_key"));
        // Other bots are `app`, and what is not invented yet is no person either.
        speaker.bot = str_at(sender, "/sender_type") != Some("user");
        let (id, chat) = (str_at(message, "/message_id")?, str_at(message, "/chat_id")?);
        let direct = str_at(message, "/chat_type") == Some("p2p");
        let kind = str_at(message, "/message_type")?;
        let null = Value::Null;
        let read = content::read(
            id,
            kind,
            str_at(message, "/content").unwrap_or_default(),
            message.get("mentions").unwrap_or(&null),
            self.me.as_deref(),
        );
        let addressed = direct || read.addressed;
        // A mention without a word still calls the bot.
        if read.text.is_empty() && read.attachments.is_empty() && !read.addressed {
            return None;
        }
        // A thread is named by its first message: that id is known before there is a thread.
        let root = str_at(message, "/root_id");
        let thread = message
            .get("thread_id")
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(|_| root.unwrap_or(id).to_owned());
        let message_id = id.to_owned();
        let reply_to = match direct {
            true => ReplyTo::Direct {
                message: message_id,
                person: who.to_owned(),
            },
            false => ReplyTo::Message(message_id),
        };
        let origin = Origin {
            key: format!("message:{id}"),
            conversation: Conversation {
                tenant: tenant.map(str::to_owned),
                channel: chat.to_owned(),
                thread: thread.clone(),
                direct,
            },
            sender: speaker,
            sent: seconds(message, "/create_time"),
            reply_to: reply_to.bytes(),
            extra: Vec::new(),
        };
        // The event has only the id of what is answered. Within a thread that is the thread's first message, unless
        // another was chosen: the host knows who has it already.
        let quotes = str_at(message, "/parent_id").map(|parent| Quote {
            id: parent.to_owned(),
            sender: None,
            text: String::new(),
            attachments: vec![content::quote(parent, str_at(body, "/header/app_id"))],
        });
        let message = Message {
            id: id.to_owned(),
            text: read.text,
            mentions: read.mentions,
            addressed,
            quotes,
            new_thread: thread.is_none().then(|| id.to_owned()),
            attachments: read.attachments,
            group: None,
        };
        Some(Item {
            origin,
            what: What::Message(message),
        })
    }

    fn reaction(&self, body: &Value, added: bool) -> Option<Item> {
        let event = body.get("event")?;
        if str_at(event, "/operator_type") != Some("user") {
            return None;
        }
        let who = str_at(event, "/user_id/open_id")?;
        if Some(who) == self.me.as_deref() {
            return None;
        }
        let reaction = Reaction {
            id: str_at(event, "/message_id")?.to_owned(),
            emoji: str_at(event, "/reaction_type/emoji_type")?.to_owned(),
            added,
        };
        Some(Item {
            origin: origin(body, UNTOLD, who)?,
            what: What::Reacted(reaction),
        })
    }

    fn menu(&self, body: &Value) -> Option<Item> {
        let event = body.get("event")?;
        let who = str_at(event, "/operator/operator_id/open_id")?;
        // Without a message so far, the person stands for their chat: it can be written to in the same way.
        let chat = self.book.chat_of(who).unwrap_or_else(|| who.to_owned());
        let mut origin = origin(body, &chat, who)?;
        origin.conversation.direct = true;
        origin.sender.name = str_at(event, "/operator/operator_name").map(str::to_owned);
        origin.reply_to = ReplyTo::Menu.bytes();
        let command = Command {
            name: str_at(event, "/event_key")?.trim_start_matches('/').to_owned(),
            arguments: String::new(),
            attachments: Vec::new(),
        };
        Some(Item {
            origin,
            what: What::Command(command),
        })
    }
}

/// Of an event that has no message of a person's.
fn origin(body: &Value, chat: &str, who: &str) -> Option<Origin> {
    let tenant = str_at(body, "/header/tenant_key");
    Some(Origin {
        key: format!("event:{}", str_at(body, "/header/event_id")?),
        conversation: Conversation {
            tenant: tenant.map(str::to_owned),
            channel: chat.to_owned(),
            thread: None,
            direct: false,
        },
        sender: person(who, tenant),
        sent: seconds(body, "/header/create_time"),
        reply_to: Vec::new(),
        extra: Vec::new(),
    })
}

fn recalled(body: &Value) -> Option<Item> {
    let id = str_at(body, "/event/message_id")?;
    let mut origin = origin(body, str_at(body, "/event/chat_id")?, UNTOLD)?;
    origin.key = format!("recall:{id}");
    Some(Item {
        origin,
        what: What::Deleted(id.to_owned()),
    })
}

fn other(body: &Value, name: &str) -> Option<Item> {
    let event = body.get("event")?;
    let who = str_at(event, "/operator_id/open_id").unwrap_or(UNTOLD);
    let mut origin = origin(body, str_at(event, "/chat_id")?, who)?;
    origin.conversation.direct = name == "opened";
    let fields = str_at(event, "/name").map(|name| ("name".to_owned(), name.to_owned()));
    Some(Item {
        origin,
        what: What::Other(Other {
            name: name.to_owned(),
            fields: fields.into_iter().collect(),
        }),
    })
}

#[cfg(test)]
mod tests;
