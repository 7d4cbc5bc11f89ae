//! What Slack tells: Events API callbacks, presses, forms and slash commands, read into items.
//!
//! Pure: the bot's own name and one setting come in as arguments. What Slack may add later is skipped, never an error.

use botyard_sdk::bounds::fits;
use botyard_sdk::ingress::{Command, Item, Message, Other, Reaction, Translated, What};
use botyard_sdk::json::{array_at, read_without, str_at};
use botyard_sdk::serde_json::{self, Value, json};
use botyard_sdk::types::{Answer, Attachment, Conversation, Error, Event, Origin, Person};

use crate::beside::{Beside, needs_blocks};
use crate::{interactive, text};

/// What reading an event needs to know of the bot.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The bot's own user id.
    pub me: Option<String>,
    /// The slash command whose first word is the command's name, with its slash. Asked for where one was given.
    pub command: fn() -> String,
}

/// Fields of events that say in other words what is read elsewhere; the first one where that says it ([`needs_blocks`]).
const UNREAD: [&str; 2] = ["blocks", "authorizations"];

/// Nothing to do, and the route's fallback for an answer.
pub(crate) const fn nothing() -> Translated {
    Translated {
        items: Vec::new(),
        answer: None,
    }
}

pub(crate) const fn items(items: Vec<Item>) -> Translated {
    Translated { items, answer: None }
}

/// An empty 200: what Slack wants to hear of most things.
pub(crate) const fn taken() -> Answer {
    Answer {
        status: 200,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

pub(crate) fn answer_json(body: &Value) -> Answer {
    Answer {
        status: 200,
        headers: vec![("Content-Type".into(), "application/json; charset=utf-8".into())],
        body: body.to_string().into_bytes(),
    }
}

/// The event's message says part of what it says in blocks alone.
fn is_terse(callback: &Value) -> bool {
    let event = callback.get("event").unwrap_or(&Value::Null);
    matches!(str_at(event, "/type"), Some("message" | "app_mention"))
        && needs_blocks(event.get("message").unwrap_or(event))
}

impl Reader {
    /// Reads one request of Slack's, whichever of its three kinds it is: JSON events, forms with a `payload`, slash
    /// commands; or one frame of Socket Mode. The signature was checked by the host.
    ///
    /// # Errors
    /// `malformed` for what is neither JSON nor a form of Slack's.
    pub fn translate(&self, event: &Event) -> Result<Translated, Error> {
        let mut read = self.read(event)?;
        read.items.retain(fits);
        Ok(read)
    }

    fn read(&self, event: &Event) -> Result<Translated, Error> {
        if event.transport == "slack" {
            return self.envelope(&event.payload, &event.name);
        }
        let form = botyard_sdk::http::header(&event.headers, "content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if form {
            let fields = parse_form(&event.payload);
            let field = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
            if let Some(payload) = field("payload") {
                let payload = serde_json::from_str(payload)
                    .map_err(|error| Error::Malformed(format!("the payload is no JSON: {error}")))?;
                return Ok(interactive::translate(&payload));
            }
            if field("command").is_some() {
                return Ok(self.slash(&|name| field(name).filter(|text| !text.is_empty())));
            }
            if field("ssl_check").is_some() {
                return Ok(nothing());
            }
            return Err(Error::Malformed("a form without `payload` or `command`".into()));
        }
        let read = |unread: &[&str]| {
            read_without(&event.payload, unread)
                .map_err(|error| Error::Malformed(format!("the body is no JSON: {error}")))
        };
        let mut body = read(&UNREAD)?;
        if is_terse(&body) {
            body = read(&UNREAD[1..])?;
        }
        match str_at(&body, "/type") {
            Some("url_verification") => Ok(Translated {
                items: Vec::new(),
                answer: Some(answer_json(&json!({ "challenge": str_at(&body, "/challenge") }))),
            }),
            Some("event_callback") => Ok(items(self.callback(&body).into_iter().collect())),
            _ => Ok(nothing()),
        }
    }

    /// A frame of Socket Mode: its payload is what a webhook's body would be.
    fn envelope(&self, frame: &[u8], kind: &str) -> Result<Translated, Error> {
        let read = |unread: &[&str]| {
            read_without(frame, unread).map_err(|error| Error::Malformed(format!("the frame is no JSON: {error}")))
        };
        let is_event = |frame: &Value| str_at(frame, "/type") == Some("events_api");
        // A form's fields stand in its blocks; and what it is, the frame says.
        let short = if kind == "events_api" {
            Some(read(&UNREAD)?).filter(is_event)
        } else {
            None
        };
        let frame = match short {
            Some(frame) if frame.get("payload").is_some_and(is_terse) => read(&UNREAD[1..])?,
            Some(frame) => frame,
            None => read(&[])?,
        };
        let payload = frame.get("payload").unwrap_or(&Value::Null);
        Ok(match str_at(&frame, "/type") {
            Some("events_api") => items(self.callback(payload).into_iter().collect()),
            Some("interactive") => interactive::translate(payload),
            Some("slash_commands") => self.slash(&|name| payload.get(name)?.as_str().filter(|text| !text.is_empty())),
            _ => nothing(),
        })
    }

    fn callback(&self, body: &Value) -> Option<Item> {
        let event = body.get("event")?;
        match str_at(event, "/type")? {
            "message" => self.message_event(body, event),
            "app_mention" => self.message(body, event),
            "reaction_added" => self.reaction(body, event, true),
            "reaction_removed" => self.reaction(body, event, false),
            "agent_session_stopped" => {
                let origin = Origin {
                    key: format!("stop:{}", str_at(body, "/event_id")?),
                    conversation: conversation(body, event)?,
                    sender: person(str_at(event, "/user")?, str_at(body, "/team_id")),
                    sent: None,
                    reply_to: Vec::new(),
                    extra: Vec::new(),
                };
                Some(Item {
                    origin,
                    what: What::Stop,
                })
            }
            "member_joined_channel" => self.other(body, event, "joined"),
            "member_left_channel" => self.other(body, event, "left"),
            "app_home_opened" => self.other(body, event, "opened"),
            _ => None,
        }
    }

    fn message_event(&self, body: &Value, event: &Value) -> Option<Item> {
        match str_at(event, "/subtype") {
            None | Some("file_share" | "me_message" | "thread_broadcast" | "bot_message") => self.message(body, event),
            Some("message_changed") => self.changed(body, event),
            Some("message_deleted") => self.deleted(body, event),
            // Joins, topics, and what is not invented yet.
            Some(_) => None,
        }
    }

    /// A message of a person's or of another bot's; none for the bot itself.
    fn message(&self, body: &Value, event: &Value) -> Option<Item> {
        let ts = str_at(event, "/ts")?;
        let conversation = conversation(body, event)?;
        let key = format!("message:{}:{ts}", conversation.channel);
        let (origin, message) = self.said(body, event, conversation, key)?;
        // A mention without a word still calls the bot.
        (!message.text.is_empty() || !message.attachments.is_empty() || message.addressed).then_some(Item {
            origin,
            what: What::Message(message),
        })
    }

    fn changed(&self, body: &Value, event: &Value) -> Option<Item> {
        let message = event.get("message")?;
        let ts = str_at(message, "/ts")?;
        let mut conversation = conversation(body, event)?;
        conversation.thread = str_at(message, "/thread_ts").map(str::to_owned);
        if str_at(message, "/subtype") == Some("tombstone") {
            // Deleted, but its thread goes on.
            return self.removed(body, event, conversation, ts);
        }
        // Slack unfurls links by an edit that changes no word.
        let edited = str_at(message, "/edited/ts")?;
        if str_at(event, "/previous_message/edited/ts") == Some(edited) {
            return None;
        }
        let key = format!("edit:{}:{ts}:{edited}", conversation.channel);
        let (origin, message) = self.said(body, message, conversation, key)?;
        Some(Item {
            origin,
            what: What::Edited(message),
        })
    }

    fn deleted(&self, body: &Value, event: &Value) -> Option<Item> {
        let ts = str_at(event, "/deleted_ts")?;
        let mut conversation = conversation(body, event)?;
        conversation.thread = str_at(event, "/previous_message/thread_ts").map(str::to_owned);
        self.removed(body, event, conversation, ts)
    }

    fn removed(&self, body: &Value, event: &Value, conversation: Conversation, ts: &str) -> Option<Item> {
        let previous = event.get("previous_message")?;
        let origin = Origin {
            key: format!("delete:{}:{ts}", conversation.channel),
            conversation,
            sender: self.speaker(body, previous)?,
            sent: seconds(str_at(event, "/ts").unwrap_or(ts)),
            reply_to: Vec::new(),
            extra: Vec::new(),
        };
        Some(Item {
            origin,
            what: What::Deleted(ts.to_owned()),
        })
    }

    /// The message that `said` is, by whom and where.
    fn said(&self, body: &Value, said: &Value, conversation: Conversation, key: String) -> Option<(Origin, Message)> {
        let sender = self.speaker(body, said)?;
        let ts = str_at(said, "/ts")?;
        let heard = text::hear(str_at(said, "/text").unwrap_or_default(), self.me.as_deref());
        let beside = Beside::of(said);
        let mut files = attachments(array_at(said, "/files"));
        files.extend(beside.files.iter().cloned());
        let message = Message {
            id: ts.to_owned(),
            text: beside.quoted_behind(&heard.text),
            mentions: heard.mentions,
            addressed: conversation.direct || heard.addressed || str_at(said, "/type") == Some("app_mention"),
            quotes: None,
            new_thread: conversation.thread.is_none().then(|| ts.to_owned()),
            attachments: files,
            group: None,
        };
        let reply_to = interactive::ReplyTo {
            kind: interactive::Kind::Message,
            trigger: None,
            response_url: None,
            field: None,
            // A stream is for a person.
            reader: sender
                .tenant
                .clone()
                .filter(|_| !sender.bot)
                .map(|team| (sender.id.clone(), team)),
        };
        let origin = Origin {
            key,
            conversation,
            sender,
            sent: seconds(ts),
            reply_to: reply_to.bytes(),
            extra: Vec::new(),
        };
        Some((origin, message))
    }

    /// Who said it; none: the bot itself, by whichever of its names.
    fn speaker(&self, body: &Value, said: &Value) -> Option<Person> {
        let sender = author(said, str_at(body, "/team_id"))?;
        let app = str_at(said, "/app_id").or(str_at(said, "/bot_profile/app_id"));
        let by_own_app = sender.bot && app.is_some() && app == str_at(body, "/api_app_id");
        (!by_own_app && Some(&sender.id) != self.me.as_ref()).then_some(sender)
    }

    fn reaction(&self, body: &Value, event: &Value, added: bool) -> Option<Item> {
        let user = str_at(event, "/user")?;
        if Some(user) == self.me.as_deref() || str_at(event, "/item/type") != Some("message") {
            return None;
        }
        let (channel, ts) = (str_at(event, "/item/channel")?, str_at(event, "/item/ts")?);
        let (emoji, at) = (str_at(event, "/reaction")?, str_at(event, "/event_ts")?);
        let origin = Origin {
            key: format!("reaction:{channel}:{ts}:{user}:{emoji}:{at}"),
            conversation: Conversation {
                tenant: str_at(body, "/team_id").map(str::to_owned),
                channel: channel.to_owned(),
                thread: None,
                direct: channel.starts_with('D'),
            },
            sender: person(user, str_at(body, "/team_id")),
            sent: seconds(at),
            reply_to: Vec::new(),
            extra: Vec::new(),
        };
        let reaction = Reaction {
            id: ts.to_owned(),
            emoji: emoji.to_owned(),
            added,
        };
        Some(Item {
            origin,
            what: What::Reacted(reaction),
        })
    }

    fn other(&self, body: &Value, event: &Value, name: &str) -> Option<Item> {
        let user = str_at(event, "/user")?;
        let origin = Origin {
            key: format!("{name}:{}", str_at(body, "/event_id")?),
            conversation: conversation(body, event)?,
            sender: person(user, str_at(event, "/team").or(str_at(body, "/team_id"))),
            sent: str_at(event, "/event_ts").and_then(seconds),
            reply_to: Vec::new(),
            extra: Vec::new(),
        };
        let myself = Some(user) == self.me.as_deref();
        let fields = vec![("self".to_owned(), myself.to_string())];
        Some(Item {
            origin,
            what: What::Other(Other {
                name: name.to_owned(),
                fields,
            }),
        })
    }

    /// `/botyard stop` is the command `stop`; any other slash command is a command by its own name.
    fn slash<'a>(&self, field: &dyn Fn(&str) -> Option<&'a str>) -> Translated {
        let (Some(command), Some(channel), Some(user), Some(trigger)) = (
            field("command"),
            field("channel_id"),
            field("user_id"),
            field("trigger_id"),
        ) else {
            return nothing();
        };
        let said = text::hear(field("text").unwrap_or_default(), None).text;
        let (name, arguments) = if command == (self.command)() {
            match said.split_once(char::is_whitespace) {
                Some((name, rest)) => (name.to_owned(), rest.trim().to_owned()),
                None if said.is_empty() => ("help".to_owned(), String::new()),
                None => (said, String::new()),
            }
        } else {
            (command.trim_start_matches('/').to_owned(), said)
        };
        let mut sender = person(user, field("user_team_id").or(field("team_id")));
        sender.handle = field("user_name").map(str::to_owned);
        let reply_to = interactive::ReplyTo {
            kind: interactive::Kind::Slash,
            trigger: Some(trigger.to_owned()),
            response_url: field("response_url").map(str::to_owned),
            field: None,
            reader: None,
        };
        let origin = Origin {
            key: format!("command:{trigger}"),
            conversation: Conversation {
                tenant: field("team_id").map(str::to_owned),
                channel: channel.to_owned(),
                thread: field("thread_ts").map(str::to_owned),
                direct: channel.starts_with('D'),
            },
            sender,
            sent: None,
            reply_to: reply_to.bytes(),
            extra: Vec::new(),
        };
        let what = What::Command(Command {
            name,
            arguments,
            attachments: Vec::new(),
        });
        items(vec![Item { origin, what }])
    }
}

/// Who said it, as the message itself tells. A bot has the id of its user or, without one (a webhook, a workflow), its
/// `bot_id`. `team`: theirs where the message names none.
pub(crate) fn author(said: &Value, team: Option<&str>) -> Option<Person> {
    let user = str_at(said, "/user");
    let profile = said.get("bot_profile").filter(|profile| profile.is_object());
    let bot_id = str_at(said, "/bot_id").or_else(|| str_at(profile?, "/id"));
    let bot = bot_id.is_some()
        || profile.is_some()
        || str_at(said, "/subtype") == Some("bot_message")
        || user == Some("USLACKBOT");
    let team = str_at(said, "/user_team").or(str_at(said, "/team")).or(team);
    let mut sender = person(user.or(bot_id)?, team);
    if bot {
        let name = profile.and_then(|profile| str_at(profile, "/name"));
        sender.name = str_at(said, "/username").or(name).map(str::to_owned);
        sender.bot = true;
    }
    Some(sender)
}

/// Where an event is from; ids of direct channels begin with `D`, for events that do not tell the channel's type.
fn conversation(body: &Value, event: &Value) -> Option<Conversation> {
    let channel = str_at(event, "/channel")?;
    Some(Conversation {
        tenant: str_at(body, "/team_id").map(str::to_owned),
        channel: channel.to_owned(),
        thread: str_at(event, "/thread_ts").map(str::to_owned),
        direct: str_at(event, "/channel_type").map_or(channel.starts_with('D'), |kind| kind == "im"),
    })
}

pub(crate) fn person(id: &str, tenant: Option<&str>) -> Person {
    Person {
        id: id.to_owned(),
        name: None,
        handle: None,
        tenant: tenant.map(str::to_owned),
        groups: Vec::new(),
        locale: None,
        bot: false,
    }
}

/// Slack's `ts` is `seconds.micros`.
pub(crate) fn seconds(ts: &str) -> Option<u32> {
    ts.split('.').next()?.parse().ok()
}

pub(crate) fn attachments(files: &[Value]) -> Vec<Attachment> {
    files
        .iter()
        .filter_map(|file| {
            // In shared channels Slack tells the id alone, and `files.info` the rest.
            let url = str_at(file, "/url_private_download").or(str_at(file, "/url_private"));
            let id = str_at(file, "/id");
            let source = url.map(str::to_owned).or_else(|| id.map(|id| format!("id:{id}")))?;
            Some(Attachment {
                name: str_at(file, "/name")
                    .or(str_at(file, "/title"))
                    .or(id)
                    .unwrap_or("file")
                    .to_owned(),
                media_type: str_at(file, "/mimetype").map(str::to_owned),
                size_bytes: file
                    .get("size")
                    .and_then(Value::as_u64)
                    .and_then(|size| u32::try_from(size).ok()),
                source,
            })
        })
        .collect()
}

/// `application/x-www-form-urlencoded`; bytes that are no UTF-8 become the replacement character.
pub(crate) fn parse_form(body: &[u8]) -> Vec<(String, String)> {
    body.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let cut = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            (decode(&pair[..cut]), decode(pair.get(cut + 1..).unwrap_or_default()))
        })
        .collect()
}

fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let hex = |offset: usize| text.get(at + offset).and_then(|b| char::from(*b).to_digit(16));
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
                continue;
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
