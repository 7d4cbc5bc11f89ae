//! Presses of cards: what was pressed, chosen and filled in, and the toast that is its immediate word.

use botyard_sdk::ingress::{Item, Press, What};
use botyard_sdk::interaction::Verdict;
use botyard_sdk::json::{at, str_at};
use botyard_sdk::serde_json::{Map, Value, json};
use botyard_sdk::types::{Answer, Conversation, Form, Origin};

use crate::api::{Api, Reply, To, Wire};
use crate::ask;
use crate::event::{Pressed, ReplyTo, UNTOLD, answer_json, person, seconds};

/// The value object of a button: the token of a decision.
pub fn value(token: &str) -> Value {
    json!({ "token": token })
}

/// The value object of a form's button: the token, and what the names of its fields begin with.
pub fn form_value(token: &str, prefix: &str) -> Value {
    json!({ "token": token, "form": prefix })
}

/// The same of a form that stands alone: when it is sent, its message says what came of it.
pub fn opened_value(token: &str, prefix: &str) -> Value {
    json!({ "token": token, "form": prefix, "opened": true })
}

/// `card.action.trigger`.
pub(crate) fn new(body: &Value) -> Option<Item> {
    let event = body.get("event")?;
    let who = str_at(event, "/operator/open_id")?;
    let tenant = str_at(event, "/operator/tenant_key").or(str_at(body, "/header/tenant_key"));
    let origin = Origin {
        key: format!("press:{}", str_at(body, "/header/event_id")?),
        conversation: Conversation {
            tenant: str_at(body, "/header/tenant_key").map(str::to_owned),
            channel: str_at(event, "/context/open_chat_id").unwrap_or(UNTOLD).to_owned(),
            thread: None,
            direct: false,
        },
        sender: person(who, tenant),
        sent: seconds(body, "/header/create_time"),
        reply_to: ReplyTo::Press(Pressed {
            message: str_at(event, "/context/open_message_id").map(str::to_owned),
            opened: at(event, "/action/value/opened") == Some(&Value::Bool(true)),
        })
        .bytes(),
        extra: Vec::new(),
    };
    Some(Item {
        origin,
        what: What::Press(read(event.get("action")?)?),
    })
}

/// A callback of the old kind: of cards whose app has a card request URL.
pub(crate) fn old(body: &Value) -> Option<Item> {
    let (who, message) = (str_at(body, "/open_id")?, str_at(body, "/open_message_id")?);
    let press = read(body.get("action")?)?;
    let tenant = str_at(body, "/tenant_key");
    let origin = Origin {
        // The callback's own token is another each time.
        key: format!(
            "press:{message}:{who}:{}:{}",
            press.token,
            str_at(body, "/token").unwrap_or_default()
        ),
        conversation: Conversation {
            tenant: tenant.map(str::to_owned),
            channel: str_at(body, "/open_chat_id").unwrap_or(UNTOLD).to_owned(),
            thread: None,
            direct: false,
        },
        sender: person(who, tenant),
        sent: None,
        reply_to: ReplyTo::Press(Pressed {
            message: Some(message.to_owned()),
            // An answer to such a callback cannot change the message beside its toast.
            opened: false,
        })
        .bytes(),
        extra: Vec::new(),
    };
    Some(Item {
        origin,
        what: What::Press(press),
    })
}

fn read(action: &Value) -> Option<Press> {
    let token = str_at(action, "/value/token")?.to_owned();
    if let Some(prefix) = at(action, "/value/form").and_then(Value::as_str) {
        let none = Map::new();
        let filled = action.get("form_value").and_then(Value::as_object).unwrap_or(&none);
        let values = filled
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)))
            .flat_map(|(name, value)| texts(value).into_iter().map(|text| (name.to_owned(), text)))
            .collect();
        return Some(Press {
            token,
            values: Some(values),
        });
    }
    // A select outside of a form speaks at once.
    let chosen = action.get("option").or(action.get("options"));
    let values = chosen.map(|value| {
        let all = texts(value).into_iter();
        all.map(|text| ("selection".to_owned(), text)).collect()
    });
    Some(Press { token, values })
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
        Value::Null | Value::Object(_) => Vec::new(),
    }
}

/// The immediate word. The card itself follows by `show`: while it streams, an answer could not change it. A form that
/// was opened is a message of its own, which this answer ends.
pub fn respond<W: Wire>(api: &Api<W>, to: &Origin, verdict: &Verdict) -> Option<Answer> {
    let Some(ReplyTo::Press(pressed)) = ReplyTo::of(&to.reply_to) else {
        return None;
    };
    let end = |word: &str| {
        let mut said = toast("success", word);
        if pressed.opened && !word.is_empty() {
            said["card"] = json!({ "type": "raw", "data": ask::ended(&format!("✔ {word}")) });
        }
        answer_json(&said)
    };
    Some(match verdict {
        Verdict::Taken(word) => end(word),
        // The form stays: who was refused may be the wrong person, or may send it again. It stays as well where it is
        // over, which a refusal does not say: whoever sends it then reads so.
        Verdict::Refused(word) => answer_json(&toast("warning", word)),
        Verdict::Later(_) => answer_json(&json!({})),
        Verdict::Open(form) => {
            let reply = pressed.message.as_deref().map(|message| Reply {
                message,
                in_thread: false,
                chat: Some(to.conversation.channel.as_str()).filter(|chat| *chat != UNTOLD),
            });
            let (kind, word) = open(api, form, reply);
            answer_json(&toast(kind, &word))
        }
        Verdict::Correct(problems) => {
            let words: Vec<&str> = problems.iter().map(|(_, word)| word.as_str()).collect();
            answer_json(&toast("error", &words.join(" ")))
        }
    })
}

fn toast(kind: &str, word: &str) -> Value {
    if word.is_empty() {
        return json!({});
    }
    // What a toast shows in full is not documented; short it must be.
    let word: String = word.chars().take(200).collect();
    json!({ "toast": { "type": kind, "content": word } })
}

/// Feishu has no modals: the form answers the message whose button opens it, once within an hour.
fn open<W: Wire>(api: &Api<W>, form: &Form, reply: Option<Reply<'_>>) -> (&'static str, String) {
    if !ask::fits(form) {
        let word = "This is longer than a form of Feishu's takes (1,000 characters): say it in words.";
        return ("warning", word.to_owned());
    }
    let uuid: String = format!("form-{}", form.token).chars().take(50).collect();
    let posted = reply.map(|reply| api.post(To::Reply(reply), "interactive", &ask::opened(form), &uuid));
    match posted {
        Some(Ok(_)) => ("info", format!("Fill in “{}” below and send it.", form.title)),
        Some(Err(_)) | None => (
            "error",
            "The form cannot be shown now: try again, or say it in words.".to_owned(),
        ),
    }
}
