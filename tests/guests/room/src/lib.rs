//! An adapter whose vendor is whatever a test says: events come as plain JSON and say which items they are, views go out
//! as plain JSON, and what the vendor answers moves turns, knows people, keeps files and remembers what was said. Built as
//! `botyard-guest-mute` it is the same platform without anything to press.

use botyard_sdk::manifest::*;
use botyard_sdk::raw_http::{Body, Downloaded, Request};
use botyard_sdk::serde_json::{Value, from_slice, json};
use botyard_sdk::types::{
    Answer, Attachment, Conversation, Error, Event, FieldKind, FileRef, Form, OptionItem, Origin, Person,
};
use botyard_sdk::{Adapter, account, delivery, history, http, ingress, interaction, memory, raw_http};

/// What can be pressed.
const PRESSED: Abilities = match env!("CARGO_PKG_NAME").as_bytes() {
    b"botyard-guest-mute" => Abilities::empty(),
    _ => Abilities::BUTTONS.union(Abilities::CHOICES).union(Abilities::FORMS),
};

/// The adapter.
#[derive(Debug, Clone, Copy)]
pub struct Room;

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn some(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn number(value: &Value, key: &str) -> Option<u32> {
    value[key].as_u64().and_then(|number| u32::try_from(number).ok())
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn person(value: &Value) -> Person {
    Person {
        id: text(value, "id"),
        name: some(value, "name"),
        handle: some(value, "handle"),
        tenant: None,
        groups: Vec::new(),
        locale: some(value, "locale"),
        bot: value["bot"] == true,
    }
}

fn attachments(of: &Value) -> Vec<Attachment> {
    let one = |file: &Value| Attachment {
        name: text(file, "name"),
        media_type: some(file, "media_type"),
        size_bytes: number(file, "size"),
        source: text(file, "source"),
    };
    list(of, "attachments").iter().map(one).collect()
}

fn message(item: &Value) -> ingress::Message {
    ingress::Message {
        id: text(item, "id"),
        text: text(item, "text"),
        mentions: list(item, "mentions").iter().map(person).collect(),
        addressed: item["addressed"] != false,
        quotes: item["quotes"].is_object().then(|| ingress::Quote {
            id: text(&item["quotes"], "id"),
            sender: item["quotes"]["from"]
                .is_object()
                .then(|| person(&item["quotes"]["from"])),
            text: text(&item["quotes"], "text"),
            attachments: attachments(&item["quotes"]),
        }),
        new_thread: some(item, "new_thread"),
        attachments: attachments(item),
        group: some(item, "group").map(|id| ingress::Group {
            id,
            settle_ms: number(item, "settle_ms").unwrap_or(200),
        }),
    }
}

fn item(item: &Value) -> Result<ingress::Item, Error> {
    let what = match text(item, "kind").as_str() {
        "message" => ingress::What::Message(message(item)),
        "edited" => ingress::What::Edited(message(item)),
        "deleted" => ingress::What::Deleted(text(item, "id")),
        "command" => ingress::What::Command(ingress::Command {
            name: text(item, "name"),
            arguments: text(item, "arguments"),
            attachments: Vec::new(),
        }),
        "press" => ingress::What::Press(ingress::Press {
            token: text(item, "token"),
            values: item["values"].as_array().map(|pairs| {
                let one = |pair: &Value, at: usize| pair[at].as_str().unwrap_or_default().to_owned();
                pairs.iter().map(|pair| (one(pair, 0), one(pair, 1))).collect()
            }),
        }),
        "reacted" => ingress::What::Reacted(ingress::Reaction {
            id: text(item, "id"),
            emoji: text(item, "emoji"),
            added: item["added"] != false,
        }),
        "stop" => ingress::What::Stop,
        other => return Err(Error::Malformed(format!("there is no `{other}`"))),
    };
    Ok(ingress::Item {
        origin: Origin {
            key: text(item, "key"),
            conversation: Conversation {
                tenant: None,
                channel: text(item, "channel"),
                thread: some(item, "thread"),
                direct: item["direct"] == true,
            },
            sender: person(&item["from"]),
            sent: None,
            reply_to: Vec::new(),
            extra: Vec::new(),
        },
        what,
    })
}

fn said(answer: &raw_http::Response) -> Result<Value, Error> {
    if answer.status != 200 {
        return Err(http::error_of(answer));
    }
    from_slice(&answer.body).map_err(|error| Error::Unavailable(error.to_string()))
}

fn option(option: &OptionItem) -> Value {
    json!({ "label": option.label, "value": option.value })
}

/// A form, with the value that each of its fields begins with.
fn form(form: &Form) -> Value {
    let fields: Vec<Value> = form
        .fields
        .iter()
        .map(|field| {
            let options: Vec<Value> = match &field.kind {
                FieldKind::OneOf(options) | FieldKind::SomeOf(options) => options.iter().map(option).collect(),
                FieldKind::Line | FieldKind::Paragraph => Vec::new(),
            };
            json!({ "name": field.name, "label": field.label, "value": field.value, "options": options })
        })
        .collect();
    json!({ "token": form.token, "title": form.title, "fields": fields, "submit": form.submit })
}

fn ask(ask: &delivery::Ask) -> Value {
    let choices: Vec<Value> = ask
        .choices
        .iter()
        .map(|choice| json!({ "label": choice.label, "token": choice.token }))
        .collect();
    let selection = ask.selection.as_ref().map(|selection| {
        let options: Vec<Value> = selection.options.iter().map(option).collect();
        json!({ "token": selection.token, "options": options, "submit": selection.submit })
    });
    json!({ "title": ask.title, "text": ask.text, "choices": choices, "selection": selection, "settled": ask.settled })
}

fn state(state: &delivery::State) -> &'static str {
    match state {
        delivery::State::Waiting(_) => "waiting",
        delivery::State::Running => "running",
        delivery::State::Asking => "asking",
        delivery::State::Done => "done",
        delivery::State::Stopped => "stopped",
        delivery::State::Failed(_) => "failed",
    }
}

impl Adapter for Room {
    fn describe() -> About {
        About {
            platform: "room".into(),
            title: "Room".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            api_base: None,
            modes: vec![Mode {
                name: "webhook".into(),
                purpose: "A test calls".into(),
                transports: vec![Transport::Webhook(vec![Route {
                    name: String::new(),
                    methods: vec!["POST".into()],
                    verification: Verification::Unverified,
                    max_body_bytes: 1 << 20,
                    deadline_ms: 5000,
                    fallback: Answer {
                        status: 202,
                        headers: Vec::new(),
                        body: Vec::new(),
                    },
                }])],
                secrets: Vec::new(),
            }],
            settings: Vec::new(),
            secrets: Vec::new(),
            minted: Vec::new(),
            egress: Vec::new(),
            limits: Limits {
                update_interval_ms: 10,
                updates_max: None,
                refresh_ms: None,
                upload_max_bytes: 1 << 20,
                rates: Vec::new(),
            },
            abilities: Abilities::UPDATE
                | Abilities::THREADS
                | PRESSED
                | Abilities::FILES_IN
                | Abilities::FILES_OUT
                | Abilities::REACTIONS
                | Abilities::NATIVE_STOP
                | Abilities::WHISPERS,
            extra: Vec::new(),
        }
    }

    fn translate(event: Event) -> Result<ingress::Translated, Error> {
        let body: Value = from_slice(&event.payload).map_err(|error| Error::Malformed(error.to_string()))?;
        if body["loop"] == true {
            // Late for ever: the host ends it.
            loop {
                std::hint::spin_loop();
            }
        }
        Ok(ingress::Translated {
            items: list(&body, "items").iter().map(item).collect::<Result<_, _>>()?,
            answer: None,
        })
    }

    fn show(view: delivery::View, target: delivery::Target) -> Result<Option<u32>, Error> {
        let mut kept: Value = target
            .memory
            .as_deref()
            .and_then(|memory| from_slice(memory).ok())
            .unwrap_or_default();
        let (mut words, mut notices, mut asks, mut files) = (String::new(), Vec::new(), Vec::new(), Vec::new());
        for block in &view.blocks {
            match &block.part {
                delivery::Part::Text(text) => words.push_str(text),
                delivery::Part::Notice(notice) => notices.push(notice.text.clone()),
                delivery::Part::Ask(it) => asks.push(ask(it)),
                delivery::Part::File(file) => files.push(file.clone()),
                _ => {}
            }
        }
        for file in &files {
            if list(&kept, "uploaded").iter().any(|id| *id == file.id.as_str()) {
                continue;
            }
            let mut call = Request {
                method: "POST".into(),
                url: format!("/upload/{}", file.name),
                headers: Vec::new(),
                body: Body::File(file.id.clone()),
                secrets: Vec::new(),
                timeout_ms: None,
                repeatable: false,
                buckets: Vec::new(),
                wait_ms: 0,
                max_bytes: None,
            };
            call.headers.push(("content-type".into(), file.media_type.clone()));
            said(&raw_http::send(&call)?)?;
            let mut uploaded = list(&kept, "uploaded").to_vec();
            uploaded.push(file.id.as_str().into());
            kept["uploaded"] = uploaded.into();
            memory::save(kept.to_string().as_bytes())?;
        }
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let body = json!({
            "turn": view.turn, "revision": view.revision, "state": state(&view.state), "stop": view.stop_token,
            "channel": target.conversation.channel, "thread": target.conversation.thread,
            "private_to": target.private_to, "message": kept["id"], "text": words, "notices": notices, "asks": asks,
            "files": names,
        });
        let answer = said(&http::call("POST", "/show").json(&body).repeatable().send()?)?;
        if kept["id"].is_null() {
            kept["id"] = answer["id"].clone();
            memory::save(kept.to_string().as_bytes())?;
            memory::posted(&text(&answer, "id"))?;
        }
        if let Some(thread) = some(&answer, "thread") {
            memory::moved(&Conversation {
                thread: Some(thread),
                ..target.conversation
            })?;
        }
        Ok(None)
    }

    fn respond(_to: Origin, verdict: interaction::Verdict) -> Result<Option<Answer>, Error> {
        let word = match verdict {
            interaction::Verdict::Taken(word) => format!("taken: {word}"),
            interaction::Verdict::Refused(word) => format!("refused: {word}"),
            interaction::Verdict::Open(it) => form(&it).to_string(),
            interaction::Verdict::Correct(wrong) => format!("correct: {}", json!(wrong)),
            _ => return Ok(None),
        };
        Ok(Some(Answer {
            status: 200,
            headers: Vec::new(),
            body: word.into_bytes(),
        }))
    }

    fn fetch(attachment: Attachment) -> Result<FileRef, Error> {
        let call = Request {
            method: "GET".into(),
            url: format!("/files/{}", attachment.source),
            headers: Vec::new(),
            body: Body::Empty,
            secrets: Vec::new(),
            timeout_ms: None,
            repeatable: true,
            buckets: Vec::new(),
            wait_ms: 0,
            max_bytes: None,
        };
        match raw_http::download(&call, &attachment.name)? {
            Downloaded::File(file) => Ok(file),
            Downloaded::Refused(answer) => Err(http::error_of(&answer)),
        }
    }

    fn me() -> Result<Person, Error> {
        Ok(person(&json!({ "id": "ROOM", "bot": true })))
    }

    fn check() -> Result<Vec<account::Finding>, Error> {
        let answer = said(&http::call("GET", "/check").send()?)?;
        Ok(list(&answer, "findings")
            .iter()
            .map(|finding| account::Finding {
                severity: match text(finding, "severity").as_str() {
                    "fine" => account::Severity::Fine,
                    "warning" => account::Severity::Warning,
                    _ => account::Severity::Error,
                },
                subject: text(finding, "subject"),
                advice: text(finding, "advice"),
            })
            .collect())
    }

    fn who(id: String, _conversation: Conversation) -> Result<Person, Error> {
        Ok(person(&said(&http::call("GET", format!("/people/{id}")).send()?)?))
    }

    fn before(conversation: Conversation, message: Option<String>, at_most: u32) -> Result<Vec<history::Said>, Error> {
        let query = json!({ "channel": conversation.channel, "thread": conversation.thread, "before": message,
            "at_most": at_most });
        let answer = said(&http::call("POST", "/before").json(&query).repeatable().send()?)?;
        Ok(list(&answer, "said")
            .iter()
            .map(|one| history::Said {
                id: text(one, "id"),
                sender: person(&one["from"]),
                text: text(one, "text"),
                sent: number(one, "sent").unwrap_or_default(),
                attachments: attachments(one),
            })
            .collect())
    }
}

botyard_sdk::export!(Room);
