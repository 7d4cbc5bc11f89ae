//! A link adapter for tests: it holds one websocket, named by its setting `url`. Every text frame is an event; what is
//! shown goes out as a frame on the same socket, which only the link can reach.

use botyard_sdk::manifest::{About, Limits, Mode, Setting, SettingKind, Transport};
use botyard_sdk::serde_json::{Value, from_slice, json};
use botyard_sdk::types::{Conversation, Error, Event, Origin, Person};
use botyard_sdk::{Adapter, Link, delivery, events, host, ingress, link_call, memory, socket};

/// Exported as the component.
#[derive(Debug)]
pub struct Echo;

fn person(id: &str, bot: bool) -> Person {
    Person {
        id: id.to_owned(),
        name: None,
        handle: None,
        tenant: None,
        groups: Vec::new(),
        locale: None,
        bot,
    }
}

fn text_of(value: &Value, key: &str) -> Result<String, Error> {
    value[key]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::Malformed(format!("`{key}` is missing")))
}

impl Adapter for Echo {
    fn describe() -> About {
        About {
            platform: "echo".into(),
            title: "Echo".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            api_base: None,
            modes: vec![Mode {
                name: "link".into(),
                purpose: "Holds a websocket to the echo server.".into(),
                transports: vec![Transport::Link],
                secrets: Vec::new(),
            }],
            settings: vec![Setting {
                name: "url".into(),
                kind: SettingKind::Text,
                choices: Vec::new(),
                default: Some("/".into()),
                purpose: "The websocket.".into(),
            }],
            secrets: Vec::new(),
            minted: Vec::new(),
            egress: Vec::new(),
            limits: Limits {
                update_interval_ms: 0,
                updates_max: None,
                refresh_ms: None,
                upload_max_bytes: 0,
                rates: Vec::new(),
            },
            abilities: botyard_sdk::manifest::Abilities::UPDATE,
            extra: Vec::new(),
        }
    }

    fn translate(event: Event) -> Result<ingress::Translated, Error> {
        let frame: Value = from_slice(&event.payload).map_err(|e| Error::Malformed(e.to_string()))?;
        let id = text_of(&frame, "id")?;
        let origin = Origin {
            key: format!("frame:{id}"),
            conversation: Conversation {
                tenant: None,
                channel: text_of(&frame, "channel")?,
                thread: None,
                direct: true,
            },
            sender: person(&text_of(&frame, "from")?, false),
            sent: None,
            reply_to: Vec::new(),
            extra: Vec::new(),
        };
        let what = ingress::What::Message(ingress::Message {
            id,
            text: text_of(&frame, "text")?,
            mentions: Vec::new(),
            addressed: true,
            quotes: None,
            new_thread: None,
            attachments: Vec::new(),
            group: None,
        });
        Ok(ingress::Translated {
            items: vec![ingress::Item { origin, what }],
            answer: None,
        })
    }

    fn show(view: delivery::View, target: delivery::Target) -> Result<Option<u32>, Error> {
        let text: Vec<&str> = view
            .blocks
            .iter()
            .filter_map(|block| match &block.part {
                delivery::Part::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let frame = json!({
            "channel": target.conversation.channel,
            "revision": view.revision,
            "text": text.join("\n"),
        });
        link_call::call(frame.to_string().as_bytes(), 5_000)?;
        memory::save(view.revision.to_string().as_bytes())?;
        Ok(None)
    }

    fn me() -> Result<Person, Error> {
        Ok(person("echo", true))
    }
}

impl Link for Echo {
    fn run() -> Result<(), Error> {
        events::report(events::Health::Connecting, "", None);
        let url = host::setting("url").unwrap_or_default();
        let opened = socket::open(&socket::Opening {
            url,
            headers: Vec::new(),
            protocols: Vec::new(),
            secrets: Vec::new(),
            ping_every_ms: None,
        });
        let id = match opened {
            Ok(id) => id,
            Err(socket::OpenError::Refused(handshake)) => {
                events::report(events::Health::Refused, &format!("status {}", handshake.status), None);
                return Err(Error::Unavailable(format!("status {}", handshake.status)));
            }
            Err(socket::OpenError::Failed(error)) => return Err(error),
        };
        events::report(events::Health::Live, "", None);
        loop {
            match events::next(30_000) {
                events::Happening::Frame((_, socket::Frame::Text(text))) => {
                    let event = Event {
                        transport: String::new(),
                        name: "frame".into(),
                        method: String::new(),
                        query: String::new(),
                        headers: Vec::new(),
                        payload: text.into_bytes(),
                        received: 0,
                    };
                    events::emit(&event, 1_000)?;
                }
                events::Happening::Frame((from, frame)) => socket::send(from, &frame, &[])?,
                events::Happening::Closed((_, closed)) => {
                    return Err(Error::Unavailable(format!("the socket closed with {}", closed.code)));
                }
                events::Happening::Call(call) => {
                    let text = String::from_utf8_lossy(&call.payload).into_owned();
                    let sent = socket::send(id, &socket::Frame::Text(text), &[]);
                    events::reply(call.id, sent.as_ref().map(|()| &[][..]));
                }
                // The server of the echo acknowledges nothing: what was not stored must end the link, so that it is seen.
                events::Happening::Emitted((_, emitted)) => {
                    emitted?;
                }
                events::Happening::Stop => {
                    socket::close(id, 1000, "bye");
                    return Ok(());
                }
                events::Happening::Quiet => {}
            }
        }
    }
}

botyard_sdk::export_link!(Echo);
