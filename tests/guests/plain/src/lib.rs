//! The smallest adapter with a vendor of its own: signed webhooks in, one call out, no limits of pace. The benchmark
//! measures the host with it, and not a vendor's rate limits.

use botyard_sdk::manifest::*;
use botyard_sdk::serde_json::{Value, from_slice, json};
use botyard_sdk::types::{Answer, Conversation, Error, Event, Origin, Person};
use botyard_sdk::{Adapter, delivery, http, ingress, memory};

/// The adapter.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

fn person(id: &str, bot: bool) -> Person {
    Person {
        id: id.into(),
        name: None,
        handle: None,
        tenant: None,
        groups: Vec::new(),
        locale: None,
        bot,
    }
}

impl Adapter for Plain {
    fn describe() -> About {
        About {
            platform: "plain".into(),
            title: "Plain".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            api_base: None,
            modes: vec![Mode {
                name: "webhook".into(),
                purpose: "Signed webhooks".into(),
                transports: vec![Transport::Webhook(vec![Route {
                    name: String::new(),
                    methods: vec!["POST".into()],
                    verification: Verification::Signature(Signature {
                        key: Some("signing_secret".into()),
                        digest: Digest::Sha256,
                        encoding: Encoding::Hex,
                        header: "X-Slack-Signature".into(),
                        prefix: "v0=".into(),
                        signed: vec![
                            Piece::Literal("v0:".into()),
                            Piece::Header("X-Slack-Request-Timestamp".into()),
                            Piece::Literal(":".into()),
                            Piece::Body,
                        ],
                        timestamp_header: Some("X-Slack-Request-Timestamp".into()),
                        tolerance_seconds: 300,
                    }),
                    max_body_bytes: 1 << 20,
                    deadline_ms: 2500,
                    fallback: Answer {
                        status: 200,
                        headers: Vec::new(),
                        body: Vec::new(),
                    },
                }])],
                secrets: vec!["signing_secret".into()],
            }],
            settings: Vec::new(),
            secrets: vec![
                Secret {
                    name: "signing_secret".into(),
                    purpose: "Signs webhooks".into(),
                    targets: Vec::new(),
                    slots: Vec::new(),
                    crypto: false,
                },
                Secret {
                    name: "bot_token".into(),
                    purpose: "Opens the API".into(),
                    targets: vec!["/".into()],
                    slots: vec![Slot::Header(("Authorization".into(), "Bearer ".into()))],
                    crypto: false,
                },
            ],
            minted: Vec::new(),
            egress: Vec::new(),
            limits: Limits {
                update_interval_ms: 100,
                updates_max: None,
                refresh_ms: None,
                upload_max_bytes: 0,
                rates: Vec::new(),
            },
            abilities: Abilities::UPDATE | Abilities::BUTTONS,
            extra: Vec::new(),
        }
    }

    fn translate(event: Event) -> Result<ingress::Translated, Error> {
        let body: Value = from_slice(&event.payload).map_err(|error| Error::Malformed(error.to_string()))?;
        let said = &body["event"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let item = ingress::Item {
            origin: Origin {
                key: text(&said["ts"]),
                conversation: Conversation {
                    tenant: None,
                    channel: text(&said["channel"]),
                    thread: None,
                    direct: true,
                },
                sender: person(&text(&said["user"]), false),
                sent: None,
                reply_to: Vec::new(),
                extra: Vec::new(),
            },
            what: ingress::What::Message(ingress::Message {
                id: text(&said["ts"]),
                text: text(&said["text"]),
                mentions: Vec::new(),
                addressed: true,
                quotes: None,
                new_thread: None,
                attachments: Vec::new(),
                group: None,
            }),
        };
        Ok(ingress::Translated {
            items: vec![item],
            answer: None,
        })
    }

    fn show(view: delivery::View, target: delivery::Target) -> Result<Option<u32>, Error> {
        let mut text = String::new();
        for block in &view.blocks {
            if let delivery::Part::Text(words) = &block.part {
                text.push_str(words);
            }
        }
        let open = view.stop_token.map(|_| "Stop");
        let method = if target.memory.is_some() {
            "/chat.update"
        } else {
            "/chat.postMessage"
        };
        let body =
            json!({ "channel": target.conversation.channel, "text": text, "button": open, "nonce": target.nonce });
        let answer = http::call("POST", method)
            .bearer("bot_token")
            .json(&body)
            .repeatable()
            .send()?;
        if answer.status != 200 {
            return Err(http::error_of(&answer));
        }
        if target.memory.is_none() {
            memory::save(&answer.body)?;
        }
        Ok(None)
    }

    fn me() -> Result<Person, Error> {
        Ok(person("PLAIN", true))
    }
}

botyard_sdk::export!(Plain);
