//! Interactions: commands, message menus, presses and forms, and the immediate word to whoever did it.
//!
//! An answer here is an interaction's callback: the HTTP response where Discord calls, a call of the host's where the
//! gateway told. Source: docs.discord.com/developers/interactions/receiving-and-responding.

use botyard_sdk::ingress::{Command, Item, Message, Press, Quote, Translated, What};
use botyard_sdk::interaction::Verdict;
use botyard_sdk::json::{array_at, at, str_at};
use botyard_sdk::serde_json::{self, Value, json};
use botyard_sdk::split::clip;
use botyard_sdk::types::{Answer, Attachment, Conversation, Origin};

use crate::event::{Interaction, Kind, ReplyTo, attachment, id_at, nothing, quote, seconds_of, tenant_of, user};
use crate::form;
use crate::text::hear;

/// The command that takes a question, and the entry of a message's menu.
pub const ASK: &str = "ask";
pub const ASK_ABOUT: &str = "Ask about this";
/// A list whose values are tokens of choices.
pub const PICK: &str = "pick";
/// A list of a selection, by its token: of many options there are several.
pub const SELECT: &str = "select:";

/// Bytes of an id or a value of ours: docs.discord.com/developers/components/reference (100 characters).
const CUSTOM: usize = 400;
/// Bytes of an interaction's token, which have some 200; it stands in `reply-to`.
const TICKET: usize = 1_024;

/// Kinds of callbacks.
const PONG: u64 = 1;
const MESSAGE: u64 = 4;
const DEFERRED: u64 = 5;
const DEFERRED_UPDATE: u64 = 6;
const CHOICES: u64 = 8;
const MODAL: u64 = 9;

fn callback(body: &Value) -> Answer {
    Answer {
        status: 200,
        headers: vec![("Content-Type".into(), "application/json".into())],
        body: body.to_string().into_bytes(),
    }
}

fn of_kind(kind: u64) -> Answer {
    callback(&json!({ "type": kind }))
}

fn deferred(private: bool) -> Answer {
    if private {
        return callback(&json!({ "type": DEFERRED, "data": { "flags": 64 } }));
    }
    of_kind(DEFERRED)
}

/// For this person alone.
fn whisper(word: &str) -> Answer {
    let word = if word.trim().is_empty() { "Done." } else { word };
    let data = json!({ "content": clip(word, 2000), "flags": 64, "allowed_mentions": { "parse": [] } });
    callback(&json!({ "type": MESSAGE, "data": data }))
}

/// An interaction into items, and the answer that stands when nobody says otherwise in time.
pub fn translate(data: &Value, received: u32) -> Translated {
    match data.get("type").and_then(Value::as_u64) {
        Some(1) => Translated {
            items: Vec::new(),
            answer: Some(of_kind(PONG)),
        },
        Some(2) => command(data, received).unwrap_or_else(nothing),
        Some(3) => one(press(data, received), of_kind(DEFERRED_UPDATE)),
        Some(4) => Translated {
            items: Vec::new(),
            answer: Some(callback(&json!({ "type": CHOICES, "data": { "choices": [] } }))),
        },
        Some(5) => {
            // What a form of a command brings is perhaps for one person alone, as the command's own answer.
            let fallback = if data.get("message").is_some() {
                of_kind(DEFERRED_UPDATE)
            } else {
                deferred(true)
            };
            one(submission(data, received), fallback)
        }
        _ => nothing(),
    }
}

fn one(item: Option<Item>, fallback: Answer) -> Translated {
    Translated {
        items: item.into_iter().collect(),
        answer: Some(fallback),
    }
}

/// Where, by whom, and with which ticket.
fn origin(data: &Value, received: u32, kind: Kind) -> Option<Origin> {
    let id = id_at(data, "/id")?;
    let channel = id_at(data, "/channel_id").or(id_at(data, "/channel/id"))?;
    // A thread is a channel of one of these types.
    let thread = matches!(at(data, "/channel/type").and_then(Value::as_u64), Some(10..=12));
    let parent = id_at(data, "/channel/parent_id").filter(|_| thread);
    let tenant = tenant_of(data)?;
    let member = data.get("member");
    let mut sender = user(member.and_then(|m| m.get("user")).or_else(|| data.get("user"))?, member)?;
    sender.tenant = tenant.map(str::to_owned);
    sender.locale = str_at(data, "/locale").map(str::to_owned);
    let reply_to = ReplyTo {
        message: None,
        title: None,
        interaction: Some(Interaction {
            app: id_at(data, "/application_id")?.to_owned(),
            token: str_at(data, "/token").filter(|token| token.len() <= TICKET)?.to_owned(),
            at: received,
            kind,
        }),
    };
    Some(Origin {
        key: format!("interaction:{id}"),
        conversation: Conversation {
            tenant: tenant.map(str::to_owned),
            channel: parent.unwrap_or(channel).to_owned(),
            thread: parent.map(|_| channel.to_owned()),
            direct: tenant.is_none(),
        },
        sender,
        sent: seconds_of(id),
        reply_to: reply_to.bytes(),
        extra: Vec::new(),
    })
}

fn command(data: &Value, received: u32) -> Option<Translated> {
    let name = str_at(data, "/data/name")?;
    let about_message = at(data, "/data/type").and_then(Value::as_u64) == Some(3);
    if about_message || name == ASK {
        let (text, quotes, attachments) = if about_message { about(data)? } else { asked(data) };
        let origin = origin(data, received, Kind::Ask)?;
        let message = Message {
            id: id_at(data, "/id")?.to_owned(),
            text,
            mentions: Vec::new(),
            addressed: true,
            quotes,
            new_thread: None,
            attachments,
            group: None,
        };
        return Some(Translated {
            items: vec![Item {
                origin,
                what: What::Message(message),
            }],
            answer: Some(deferred(false)),
        });
    }
    let (arguments, attachments) = options(data);
    let item = Item {
        origin: origin(data, received, Kind::Command)?,
        what: What::Command(Command {
            name: name.to_owned(),
            arguments,
            attachments,
        }),
    };
    // Which of both it is, the host knows; without its word in time nobody else may see it.
    Some(one(Some(item), deferred(true)))
}

/// The options of a command, in their order: texts joined, files.
fn options(data: &Value) -> (String, Vec<Attachment>) {
    let (mut words, mut files) = (Vec::new(), Vec::new());
    for option in array_at(data, "/data/options") {
        // Type 11 is an attachment; its value is an id among the resolved ones.
        match (option.get("type").and_then(Value::as_u64), option.get("value")) {
            (Some(11), Some(Value::String(id))) => {
                files.extend(at(data, &format!("/data/resolved/attachments/{id}")).and_then(attachment));
            }
            (_, Some(Value::String(text))) => words.push(text.clone()),
            (_, Some(value)) if !value.is_null() => words.push(value.to_string()),
            _ => {}
        }
    }
    (words.join(" "), files)
}

type Asked = (String, Option<Quote>, Vec<Attachment>);

fn asked(data: &Value) -> Asked {
    let (text, files) = options(data);
    (hear(&text, None, None).text, None, files)
}

/// `Ask about this` in the menu of a message.
fn about(data: &Value) -> Option<Asked> {
    let id = id_at(data, "/data/target_id")?;
    let message = at(data, &format!("/data/resolved/messages/{id}"))?;
    let quoted = quote(id, message, None);
    let text = if quoted.text.is_empty() {
        "Have a look at what is attached to this message.".to_owned()
    } else {
        "Have a look at this message.".to_owned()
    };
    Some((text, Some(quoted), Vec::new()))
}

/// A button, or a list from which something was chosen: Discord has no button to send a list with.
fn press(data: &Value, received: u32) -> Option<Item> {
    let id = custom_id(data)?;
    let chosen: Vec<&str> = array_at(data, "/data/values")
        .iter()
        .filter_map(Value::as_str)
        .filter(|value| !value.is_empty() && value.len() <= CUSTOM)
        .collect();
    let (token, values) = match at(data, "/data/component_type").and_then(Value::as_u64) {
        Some(3) if id.starts_with(PICK) => ((*chosen.first()?).to_owned(), None),
        Some(3) => {
            let token = id
                .strip_prefix(SELECT)?
                .split(':')
                .next()
                .filter(|token| !token.is_empty())?;
            let values = chosen
                .iter()
                .map(|value| ("selection".to_owned(), (*value).to_owned()))
                .collect();
            (token.to_owned(), Some(values))
        }
        _ => (id.to_owned(), None),
    };
    Some(Item {
        origin: origin(data, received, Kind::Press)?,
        what: What::Press(Press { token, values }),
    })
}

/// What a component of ours carries; what is longer is none of ours.
fn custom_id(data: &Value) -> Option<&str> {
    str_at(data, "/data/custom_id").filter(|id| id.len() <= CUSTOM)
}

fn submission(data: &Value, received: u32) -> Option<Item> {
    let token = custom_id(data)?.to_owned();
    let values = form::values(array_at(data, "/data/components"));
    let kind = if data.get("message").is_some() {
        Kind::Form
    } else {
        Kind::Command
    };
    Some(Item {
        origin: origin(data, received, kind)?,
        what: What::Press(Press {
            token,
            values: Some(values),
        }),
    })
}

/// The word to whoever pressed, sent a form or gave a command. What was decided is shown by the view itself, so that
/// a press that was taken gets no word of its own. Pure: the answer is the callback.
pub fn respond(to: &Origin, verdict: Verdict) -> Option<Answer> {
    let reply: ReplyTo = serde_json::from_slice(&to.reply_to).ok()?;
    let kind = reply.interaction?.kind;
    Some(match (kind, verdict) {
        (Kind::Press | Kind::Form, Verdict::Taken(_) | Verdict::Later(_)) => of_kind(DEFERRED_UPDATE),
        (_, Verdict::Taken(word) | Verdict::Refused(word)) => whisper(&word),
        (Kind::Ask, Verdict::Later(_)) => deferred(false),
        (_, Verdict::Later(private)) => deferred(private),
        (_, Verdict::Correct(problems)) => {
            let words: Vec<&str> = problems.iter().map(|(_, word)| word.as_str()).collect();
            whisper(&words.join("\n"))
        }
        // A form cannot be answered by a form.
        (Kind::Form, Verdict::Open(_)) => whisper("Please press the button of the form again."),
        (_, Verdict::Open(opened)) => match form::modal(&opened) {
            Ok(modal) => callback(&json!({ "type": MODAL, "data": modal })),
            Err(why) => whisper(&why),
        },
    })
}

#[cfg(test)]
mod tests;
