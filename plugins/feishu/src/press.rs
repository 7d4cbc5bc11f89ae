//! Presses of cards: what was pressed, chosen and filled in, and the toast that is its immediate word.

use botyard_sdk::ingress::{Item, Press, What};
use botyard_sdk::interaction::Verdict;
use botyard_sdk::serde_json::{Map, Value, json};
use botyard_sdk::types::{Answer, Conversation, Origin};

use crate::event::{ReplyTo, UNTOLD, answer_json, person, seconds, str_at};

/// The value object of a button: the token of a decision.
pub fn value(token: &str) -> Value {
    json!({ "token": token })
}

/// The value object of a form's button: the token, and what the names of its fields begin with.
pub fn form_value(token: &str, prefix: &str) -> Value {
    json!({ "token": token, "form": prefix })
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
        reply_to: ReplyTo::Press.bytes(),
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
        reply_to: ReplyTo::Press.bytes(),
    };
    Some(Item {
        origin,
        what: What::Press(press),
    })
}

fn read(action: &Value) -> Option<Press> {
    let token = str_at(action, "/value/token")?.to_owned();
    if let Some(prefix) = action.pointer("/value/form").and_then(Value::as_str) {
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

/// The immediate word. The card itself follows by `show`: while it streams, an answer could not change it.
pub fn respond(to: &Origin, verdict: &Verdict) -> Option<Answer> {
    if ReplyTo::of(&to.reply_to) != Some(ReplyTo::Press) {
        return None;
    }
    let toast = |kind: &str, word: &str| {
        // What a toast shows in full is not documented; short it must be.
        let word: String = word.chars().take(200).collect();
        answer_json(&json!({ "toast": { "type": kind, "content": word } }))
    };
    Some(match verdict {
        Verdict::Taken(word) if word.is_empty() => answer_json(&json!({})),
        Verdict::Taken(word) => toast("success", word),
        Verdict::Refused(word) => toast("warning", word),
        Verdict::Later(_) => answer_json(&json!({})),
        // The form stands in the card already.
        Verdict::Open(form) => toast("info", &format!("Fill in “{}” in the card and send it.", form.title)),
        Verdict::Correct(problems) => {
            let words: Vec<&str> = problems.iter().map(|(_, word)| word.as_str()).collect();
            toast("error", &words.join(" "))
        }
    })
}
