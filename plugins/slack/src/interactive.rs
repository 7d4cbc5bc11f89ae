//! Presses and forms: what `block_actions` and `view_submission` mean, and the immediate word to whoever did it.

use botyard_sdk::ingress::{Command, Item, Message, Press, Quote, Translated, What};
use botyard_sdk::interaction::Verdict;
use botyard_sdk::json::{array_at, at, str_at};
use botyard_sdk::serde_json::{self, Value, json};
use botyard_sdk::types::{Answer, Conversation, Error, Origin};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Wire};
use crate::beside::Beside;
use crate::event::{answer_json, attachments, items, nothing, person, seconds, taken};
use crate::{form, text};

/// The first part of an `action_id`: a button that is a decision by itself.
pub const BUTTON: &str = "by:";
/// A button that sends what was chosen beside it.
pub const SUBMIT: &str = "submit:";
/// What is chosen; by itself it says nothing yet.
pub const SELECT: &str = "select:";

/// How Slack delivered what is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Button,
    Slash,
    Form,
    /// The app's shortcut, from anywhere in Slack.
    Shortcut,
    /// Nobody waits for a word.
    Message,
}

/// What an answer needs; it stands in `origin.reply-to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    pub kind: Kind,
    /// Opens a form within three seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trigger: Option<String>,
    /// Five answers within 30 minutes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub response_url: Option<String>,
    /// The form's first field: where a word about the whole form is shown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    /// Who asked, and their team: streams are for somebody.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reader: Option<(String, String)>,
}

impl ReplyTo {
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Where a form was opened from: its `private_metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    pub channel: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub thread: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub response_url: Option<String>,
}

/// An interactivity payload into items; other types are skipped.
pub fn translate(payload: &Value) -> Translated {
    let item = match str_at(payload, "/type") {
        Some("block_actions") => press(payload),
        Some("view_submission") => submission(payload),
        Some("message_action") => about(payload),
        Some("shortcut") => shortcut(payload),
        _ => None,
    };
    item.map_or_else(nothing, |item| items(vec![item]))
}

/// The app's shortcut in the menu of a message: a question about that message, whoever wrote it.
fn about(payload: &Value) -> Option<Item> {
    let (channel, user) = (str_at(payload, "/channel/id")?, str_at(payload, "/user/id")?);
    let message = payload.get("message")?;
    let ts = str_at(message, "/ts")?;
    let at = str_at(payload, "/action_ts")?;
    let team = str_at(payload, "/user/team_id").or(str_at(payload, "/team/id"));
    let said = text::hear(str_at(message, "/text").unwrap_or_default(), None).text;
    let beside = Beside::of(message);
    let mut files = attachments(array_at(message, "/files"));
    files.extend(beside.files);
    let thread = str_at(message, "/thread_ts");
    let mut sender = person(user, team);
    sender.handle = str_at(payload, "/user/username").map(str::to_owned);
    let reply_to = ReplyTo {
        kind: Kind::Message,
        trigger: None,
        response_url: None,
        field: None,
        reader: team.map(|team| (user.to_owned(), team.to_owned())),
    };
    let origin = Origin {
        key: format!("about:{channel}:{ts}:{user}:{at}"),
        conversation: Conversation {
            tenant: tenant(payload),
            channel: channel.to_owned(),
            thread: thread.map(str::to_owned),
            direct: channel.starts_with('D'),
        },
        sender,
        sent: seconds(at),
        reply_to: reply_to.bytes(),
        extra: Vec::new(),
    };
    let message = Message {
        // Its own: an edit of the message it is about does not change it.
        id: at.to_owned(),
        text: "Have a look at this message.".to_owned(),
        mentions: Vec::new(),
        addressed: true,
        quotes: Some(Quote {
            id: ts.to_owned(),
            sender: str_at(message, "/user").map(|wrote| person(wrote, str_at(message, "/team"))),
            text: format!("{said}\n\n{}", beside.text).trim().to_owned(),
            attachments: files,
        }),
        new_thread: thread.is_none().then(|| ts.to_owned()),
        attachments: Vec::new(),
        group: None,
    };
    Some(Item {
        origin,
        what: What::Message(message),
    })
}

/// The app's shortcut in Slack's own menu: a question whose words are still to be asked for. It has no place; until the
/// form is opened, the person stands for their direct channel.
fn shortcut(payload: &Value) -> Option<Item> {
    let user = str_at(payload, "/user/id")?;
    let at = str_at(payload, "/action_ts")?;
    let mut sender = person(user, str_at(payload, "/user/team_id").or(str_at(payload, "/team/id")));
    sender.handle = str_at(payload, "/user/username").map(str::to_owned);
    let reply_to = ReplyTo {
        kind: Kind::Shortcut,
        trigger: str_at(payload, "/trigger_id").map(str::to_owned),
        response_url: None,
        field: None,
        reader: None,
    };
    let origin = Origin {
        key: format!("shortcut:{user}:{at}"),
        conversation: Conversation {
            tenant: tenant(payload),
            channel: user.to_owned(),
            thread: None,
            direct: true,
        },
        sender,
        sent: seconds(at),
        reply_to: reply_to.bytes(),
        extra: Vec::new(),
    };
    let what = What::Command(Command {
        name: "ask".to_owned(),
        arguments: String::new(),
        attachments: Vec::new(),
    });
    Some(Item { origin, what })
}

fn tenant(payload: &Value) -> Option<String> {
    str_at(payload, "/team/id")
        .or(str_at(payload, "/user/team_id"))
        .map(str::to_owned)
}

fn press(payload: &Value) -> Option<Item> {
    let action = at(payload, "/actions/0")?;
    let id = str_at(action, "/action_id")?;
    let (submits, token) = match id.strip_prefix(SUBMIT) {
        Some(token) => (true, token),
        None => (false, id.strip_prefix(BUTTON)?),
    };
    let token = str_at(action, "/value").unwrap_or(token).to_owned();
    let values = submits.then(|| chosen(payload, &token));
    let channel = str_at(payload, "/container/channel_id").or(str_at(payload, "/channel/id"))?;
    let user = str_at(payload, "/user/id")?;
    let message = str_at(payload, "/container/message_ts")
        .or(str_at(payload, "/message/ts"))
        .unwrap_or_default();
    let at = str_at(action, "/action_ts").unwrap_or_default();
    let mut sender = person(user, str_at(payload, "/user/team_id"));
    sender.handle = str_at(payload, "/user/username").map(str::to_owned);
    let reply_to = ReplyTo {
        kind: Kind::Button,
        trigger: str_at(payload, "/trigger_id").map(str::to_owned),
        response_url: str_at(payload, "/response_url").map(str::to_owned),
        field: None,
        reader: None,
    };
    let origin = Origin {
        key: format!("press:{channel}:{message}:{user}:{token}:{at}"),
        conversation: Conversation {
            tenant: tenant(payload),
            channel: channel.to_owned(),
            thread: str_at(payload, "/container/thread_ts")
                .or(str_at(payload, "/message/thread_ts"))
                .map(str::to_owned),
            direct: channel.starts_with('D'),
        },
        sender,
        sent: seconds(at),
        reply_to: reply_to.bytes(),
        extra: Vec::new(),
    };
    Some(Item {
        origin,
        what: What::Press(Press { token, values }),
    })
}

/// What stands chosen beside a submit button, as (`selection`, value).
fn chosen(payload: &Value, token: &str) -> Vec<(String, String)> {
    let wanted = format!("{SELECT}{token}");
    let mut values = Vec::new();
    let blocks = at(payload, "/state/values").and_then(Value::as_object);
    for (_, actions) in blocks.into_iter().flatten() {
        if let Some(element) = actions.get(&wanted) {
            values.extend(
                form::values(element)
                    .into_iter()
                    .map(|value| ("selection".to_owned(), value)),
            );
        }
    }
    values
}

fn submission(payload: &Value) -> Option<Item> {
    let view = payload.get("view")?;
    let token = str_at(view, "/callback_id")?.strip_prefix(BUTTON)?.to_owned();
    let home: Home = serde_json::from_str(str_at(view, "/private_metadata")?).ok()?;
    let user = str_at(payload, "/user/id")?;
    let mut sender = person(user, str_at(payload, "/user/team_id"));
    sender.handle = str_at(payload, "/user/username").map(str::to_owned);
    // The order of the fields is the view's; Slack's state is a map.
    let mut values = Vec::new();
    let mut first = None;
    for block in view.get("blocks").and_then(Value::as_array)? {
        let Some(name) = str_at(block, "/block_id") else {
            continue;
        };
        let Some(element) = at(view, &format!("/state/values/{}/{}", pointer(name), form::ELEMENT)) else {
            continue;
        };
        first.get_or_insert_with(|| name.to_owned());
        values.extend(form::values(element).into_iter().map(|value| (name.to_owned(), value)));
    }
    let submitted = str_at(payload, "/trigger_id")
        .or(str_at(view, "/hash"))
        .unwrap_or_default();
    let reply_to = ReplyTo {
        kind: Kind::Form,
        trigger: str_at(payload, "/trigger_id").map(str::to_owned),
        response_url: home.response_url,
        field: first,
        reader: None,
    };
    let origin = Origin {
        key: format!("form:{}:{submitted}", str_at(view, "/id").unwrap_or_default()),
        conversation: Conversation {
            tenant: tenant(payload),
            direct: home.channel.starts_with(['D', 'U', 'W']),
            channel: home.channel,
            thread: home.thread,
        },
        sender,
        sent: None,
        reply_to: reply_to.bytes(),
        extra: Vec::new(),
    };
    Some(Item {
        origin,
        what: What::Press(Press {
            token,
            values: Some(values),
        }),
    })
}

/// A name as a part of an RFC 6901 pointer.
fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The word to whoever pressed, sent a form or gave a command. What was decided is shown by the view itself, so that
/// a press that was taken gets no word of its own.
///
/// # Errors
/// A form that could not be opened. A refusal that could not be delivered is no error: the view shows the truth.
pub fn respond<W: Wire>(api: &Api<W>, to: &Origin, verdict: Verdict) -> Result<Option<Answer>, Error> {
    let Ok(reply) = serde_json::from_slice::<ReplyTo>(&to.reply_to) else {
        return Ok(None);
    };
    let answer = match (reply.kind, verdict) {
        (Kind::Message, _) => return Ok(None),
        (Kind::Shortcut, Verdict::Open(opened)) => {
            let mut home = home(to, &reply);
            // The direct channel is where the conversation goes on. Without it Slack takes the person for it.
            if let Ok(channel) = api.direct_channel(&to.sender.id) {
                home.channel = channel;
            }
            api.open_view(
                reply.trigger.as_deref().unwrap_or_default(),
                &form::modal(&opened, &home),
            )?;
            taken()
        }
        // There is nothing yet that could be answered beside it.
        (Kind::Shortcut, Verdict::Refused(word)) if !word.is_empty() => {
            let trigger = reply.trigger.as_deref().unwrap_or_default();
            api.open_view(trigger, &form::word(&word))?;
            taken()
        }
        (Kind::Shortcut, _) => taken(),
        (Kind::Button, Verdict::Taken(_)) | (_, Verdict::Later(_)) => taken(),
        (Kind::Slash, Verdict::Taken(word) | Verdict::Refused(word)) => whisper(&word),
        (Kind::Button, Verdict::Refused(word)) => {
            tell(api, &reply, &word);
            taken()
        }
        (Kind::Form, Verdict::Taken(_)) => answer_json(&json!({ "response_action": "clear" })),
        (Kind::Form, Verdict::Refused(word)) => {
            let field = reply.field.clone().unwrap_or_default();
            problems(api, &reply, vec![(field, word)])
        }
        (Kind::Form, Verdict::Correct(problems_)) => problems(api, &reply, problems_),
        (Kind::Slash, Verdict::Correct(problems_)) => whisper(&sentence(&problems_)),
        (Kind::Button, Verdict::Correct(problems_)) => {
            tell(api, &reply, &sentence(&problems_));
            taken()
        }
        (Kind::Form, Verdict::Open(opened)) => {
            answer_json(&json!({ "response_action": "update", "view": form::modal(&opened, &home(to, &reply)) }))
        }
        (_, Verdict::Open(opened)) => {
            let trigger = reply.trigger.as_deref().unwrap_or_default();
            api.open_view(trigger, &form::modal(&opened, &home(to, &reply)))?;
            taken()
        }
    };
    Ok(Some(answer))
}

fn home(to: &Origin, reply: &ReplyTo) -> Home {
    Home {
        channel: to.conversation.channel.clone(),
        thread: to.conversation.thread.clone(),
        response_url: reply.response_url.clone(),
    }
}

/// Slack shows problems under fields only: without a field it is said in the chat, and the form closes.
fn problems<W: Wire>(api: &Api<W>, reply: &ReplyTo, problems: Vec<(String, String)>) -> Answer {
    if problems.is_empty() || problems.iter().any(|(field, _)| field.is_empty()) {
        tell(api, reply, &sentence(&problems));
        return answer_json(&json!({ "response_action": "clear" }));
    }
    let errors: serde_json::Map<String, Value> = problems
        .into_iter()
        .map(|(field, word)| (field, Value::String(word)))
        .collect();
    answer_json(&json!({ "response_action": "errors", "errors": errors }))
}

fn sentence(problems: &[(String, String)]) -> String {
    let words: Vec<&str> = problems.iter().map(|(_, word)| word.as_str()).collect();
    words.join(" ")
}

fn whisper(word: &str) -> Answer {
    if word.is_empty() {
        return taken();
    }
    answer_json(&json!({ "response_type": "ephemeral", "text": text::escape_clip(word, 3000) }))
}

/// For this person alone, by the press's own URL.
fn tell<W: Wire>(api: &Api<W>, reply: &ReplyTo, word: &str) {
    if let (Some(url), false) = (&reply.response_url, word.is_empty()) {
        api.whisper(url, &text::escape_clip(word, 3000));
    }
}

#[cfg(test)]
mod tests;
