//! What a person did at the page, as items.

use botyard_sdk::ingress::{Command, Item, Message, Press, Translated, What};
use botyard_sdk::serde_json;
use botyard_sdk::types::{Attachment, Conversation, Error, Event, Origin, Person};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Sitter {
    id: String,
    name: Option<String>,
}

/// A file that the host keeps already.
#[derive(Debug, Deserialize)]
struct Sent {
    id: String,
    name: String,
    media_type: String,
    size_bytes: u32,
}

/// What every event has, and what some have besides.
#[derive(Debug, Deserialize)]
struct Payload {
    /// Made by the page: the same for every try to send the same.
    id: String,
    channel: String,
    person: Sitter,
    /// Milliseconds since 1970.
    sent: Option<u64>,
    text: Option<String>,
    #[serde(default)]
    files: Vec<Sent>,
    token: Option<String>,
    values: Option<Vec<(String, String)>>,
}

/// One event of the transport `web`: `message`, `press` or `stop`.
///
/// # Errors
/// `malformed`: it is none of these, or lacks what it must have.
pub fn translate(event: &Event) -> Result<Translated, Error> {
    let payload: Payload = serde_json::from_slice(&event.payload)
        .map_err(|error| Error::Malformed(format!("the page's event cannot be read: {error}")))?;
    let lacks = |field: &str| Error::Malformed(format!("a `{}` without `{field}`", event.name));
    let what = match event.name.as_str() {
        "message" => said(
            &payload.id,
            payload.text.ok_or_else(|| lacks("text"))?,
            payload.files.into_iter().map(attachment).collect(),
        ),
        "press" => What::Press(Press {
            token: payload.token.ok_or_else(|| lacks("token"))?,
            values: payload.values,
        }),
        "stop" => What::Stop,
        other => return Err(Error::Malformed(format!("the page has no event `{other}`"))),
    };
    let origin = Origin {
        key: format!("{}:{}:{}", event.name, payload.channel, payload.id),
        conversation: Conversation {
            tenant: None,
            channel: payload.channel,
            thread: None,
            direct: true,
        },
        sender: Person {
            id: payload.person.id,
            name: payload.person.name,
            handle: None,
            tenant: None,
            groups: Vec::new(),
            locale: None,
            bot: false,
        },
        sent: payload.sent.and_then(|ms| u32::try_from(ms / 1000).ok()),
        reply_to: Vec::new(),
        extra: Vec::new(),
    };
    Ok(Translated {
        items: vec![Item { origin, what }],
        answer: None,
    })
}

fn attachment(file: Sent) -> Attachment {
    Attachment {
        name: file.name,
        media_type: Some(file.media_type),
        size_bytes: Some(file.size_bytes),
        source: file.id,
    }
}

fn said(id: &str, text: String, attachments: Vec<Attachment>) -> What {
    if let Some((name, arguments)) = command(&text) {
        return What::Command(Command {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            attachments,
        });
    }
    What::Message(Message {
        // The page's own id of it.
        id: format!("p{id}"),
        text,
        mentions: Vec::new(),
        addressed: true,
        quotes: None,
        new_thread: None,
        attachments,
        group: None,
    })
}

/// `/name arguments`, where the name is one of a command: a path is a message.
fn command(text: &str) -> Option<(&str, &str)> {
    let rest = text.trim().strip_prefix('/')?;
    let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let named = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    named.then_some((name, arguments.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use botyard_sdk::serde_json::{Value, json};

    fn event(name: &str, payload: &Value) -> Event {
        Event {
            transport: "web".into(),
            name: name.into(),
            method: String::new(),
            query: String::new(),
            headers: Vec::new(),
            payload: payload.to_string().into_bytes(),
            received: 0,
        }
    }

    fn origin(key: &str) -> Origin {
        Origin {
            key: key.into(),
            conversation: Conversation {
                tenant: None,
                channel: "c1".into(),
                thread: None,
                direct: true,
            },
            sender: Person {
                id: "operator".into(),
                name: Some("Operator".into()),
                handle: None,
                tenant: None,
                groups: Vec::new(),
                locale: None,
                bot: false,
            },
            sent: Some(1_790_000_000),
            reply_to: Vec::new(),
            extra: Vec::new(),
        }
    }

    fn payload(more: &Value) -> Value {
        let mut payload = json!({ "id": "x1", "channel": "c1", "sent": 1_790_000_000_123_u64,
            "person": { "id": "operator", "name": "Operator" } });
        payload
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        payload
    }

    fn only(name: &str, more: &Value) -> Item {
        let translated = translate(&event(name, &payload(more))).unwrap();
        assert_eq!(translated.answer, None);
        let [item] = <[Item; 1]>::try_from(translated.items).unwrap();
        item
    }

    #[test]
    fn a_text_is_a_message_to_the_bot() {
        let expected = Message {
            id: "px1".into(),
            text: "hello *there*".into(),
            mentions: Vec::new(),
            addressed: true,
            quotes: None,
            new_thread: None,
            attachments: Vec::new(),
            group: None,
        };
        assert_eq!(
            only("message", &json!({ "text": "hello *there*" })),
            Item {
                origin: origin("message:c1:x1"),
                what: What::Message(expected)
            }
        );
    }

    #[test]
    fn a_file_is_an_attachment_by_the_hosts_own_id() {
        let sent = json!({ "text": "", "files": [{ "id": "f1", "name": "a.png", "media_type": "image/png", "size_bytes": 7 }] });
        let What::Message(message) = only("message", &sent).what else {
            panic!("no message")
        };
        let expected = Attachment {
            name: "a.png".into(),
            media_type: Some("image/png".into()),
            size_bytes: Some(7),
            source: "f1".into(),
        };
        assert_eq!((message.text.as_str(), message.attachments), ("", vec![expected]));
    }

    #[test]
    fn a_word_after_a_slash_is_a_command_and_a_path_is_not() {
        assert_eq!(command("/stop"), Some(("stop", "")));
        assert_eq!(command("  /model  opus 4 \n"), Some(("model", "opus 4")));
        for text in ["/etc/hosts is what?", "/", "/ stop", "stop", "//x", "/Stop", "/-x", ""] {
            assert_eq!(command(text), None, "{text:?}");
        }
        let item = only("message", &json!({ "text": "/new" }));
        assert!(
            matches!(item.what, What::Command(Command { ref name, .. }) if name == "new"),
            "{item:?}"
        );
    }

    #[test]
    fn a_press_carries_its_token_and_values() {
        let press = |values| {
            What::Press(Press {
                token: "tok".into(),
                values,
            })
        };
        assert_eq!(
            only("press", &json!({ "token": "tok", "values": null })),
            Item {
                origin: origin("press:c1:x1"),
                what: press(None)
            }
        );
        assert_eq!(
            only("press", &json!({ "token": "tok", "values": [["choice", "a"]] })).what,
            press(Some(vec![("choice".into(), "a".into())]))
        );
    }

    #[test]
    fn the_stop_button_is_a_stop() {
        assert_eq!(
            only("stop", &json!({})),
            Item {
                origin: origin("stop:c1:x1"),
                what: What::Stop
            }
        );
    }

    #[test]
    fn what_is_none_of_these_is_malformed() {
        for (name, payload) in [
            ("message", payload(&json!({}))),
            ("press", payload(&json!({}))),
            ("other", payload(&json!({}))),
            ("message", json!([])),
        ] {
            let refused = translate(&event(name, &payload));
            assert!(matches!(refused, Err(Error::Malformed(_))), "{name}: {refused:?}");
        }
    }
}
