//! The smallest adapter that there can be, made from the interface alone: three exports, without the SDK.

wit_bindgen::generate!({ path: "../../../wit/v1", world: "basic-adapter", generate_all });

use botyard::adapter::types::{Conversation, Error, Event, Origin, Person};
use botyard::adapter::{http, manifest, memory};
use exports::botyard::adapter::{delivery, describe, ingress};

struct Basic;

impl describe::Guest for Basic {
    fn describe() -> manifest::About {
        manifest::About {
            platform: "basic".into(),
            title: "Basic".into(),
            version: "1".into(),
            api_base: None,
            modes: vec![manifest::Mode {
                name: "webhook".into(),
                purpose: "Takes text by POST.".into(),
                transports: vec![manifest::Transport::Webhook(vec![manifest::Route {
                    name: String::new(),
                    methods: vec!["POST".into()],
                    verification: manifest::Verification::Unverified,
                    max_body_bytes: 65_536,
                    deadline_ms: 3_000,
                    fallback: manifest::Answer { status: 200, headers: Vec::new(), body: Vec::new() },
                }])],
                secrets: vec!["token".into()],
            }],
            settings: Vec::new(),
            secrets: vec![manifest::Secret {
                name: "token".into(),
                purpose: "Opens the API.".into(),
                targets: vec!["/".into()],
                slots: vec![manifest::Slot::Header(("Authorization".into(), "Bearer ".into()))],
                crypto: false,
            }],
            minted: Vec::new(),
            egress: Vec::new(),
            limits: manifest::Limits {
                update_interval_ms: 1_000,
                updates_max: None,
                refresh_ms: None,
                upload_max_bytes: 0,
                rates: Vec::new(),
            },
            abilities: manifest::Abilities::UPDATE,
            extra: Vec::new(),
        }
    }
}

impl ingress::Guest for Basic {
    fn translate(event: Event) -> Result<ingress::Translated, Error> {
        let text = String::from_utf8(event.payload).map_err(|error| Error::Malformed(error.to_string()))?;
        let sender = Person {
            id: "ann".into(),
            name: None,
            handle: None,
            tenant: None,
            groups: Vec::new(),
            locale: None,
            bot: false,
        };
        let origin = Origin {
            key: text.clone(),
            conversation: Conversation { tenant: None, channel: "c".into(), thread: None, direct: true },
            sender,
            sent: None,
            reply_to: Vec::new(),
            extra: Vec::new(),
        };
        let message = ingress::Message {
            id: text.clone(),
            text,
            mentions: Vec::new(),
            addressed: true,
            quotes: None,
            new_thread: None,
            attachments: Vec::new(),
            group: None,
        };
        Ok(ingress::Translated {
            items: vec![ingress::Item { origin, what: ingress::What::Message(message) }],
            answer: None,
        })
    }
}

impl delivery::Guest for Basic {
    fn show(view: delivery::View, target: delivery::Target) -> Result<Option<u32>, Error> {
        let texts = view.blocks.into_iter().filter_map(|block| match block.part {
            delivery::Part::Text(text) => Some(text),
            _ => None,
        });
        let method = if target.memory.is_some() { "PUT" } else { "POST" };
        let answer = http::send(&http::Request {
            method: method.into(),
            url: "/message".into(),
            headers: Vec::new(),
            body: http::Body::Bytes(texts.collect::<String>().into_bytes()),
            secrets: vec![manifest::Placement {
                secret: "token".into(),
                slot: manifest::Slot::Header(("Authorization".into(), "Bearer ".into())),
            }],
            timeout_ms: None,
            repeatable: true,
            buckets: Vec::new(),
            wait_ms: 1_000,
            max_bytes: None,
        })?;
        match answer.status {
            200 => memory::save(&answer.body).map(|()| None),
            status => Err(Error::Unavailable(format!("status {status}"))),
        }
    }
}

export!(Basic);
