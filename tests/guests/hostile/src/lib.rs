//! An adapter that misbehaves on request: the payload of an event, the first text of a view, or the setting `link`
//! says how. What the host answered comes back in the event's answer, or as the error.

use std::hint::black_box;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use botyard_sdk::crypto::Piece;
use botyard_sdk::manifest::{
    Abilities, About, Digest, Limits, Mode, Route, Secret, Setting, SettingKind, Slot, Transport, Verification,
};
use botyard_sdk::types::{Answer, Attachment, Conversation, Error, Event, FileRef, Origin, Person};
use botyard_sdk::{
    Adapter, Link, crypto, delivery, events, files, host, http, ingress, link_call, memory, socket, store,
};

/// Exported as the component.
#[derive(Debug)]
pub struct Hostile;

static CALLS: AtomicU32 = AtomicU32::new(0);
/// What a call may leave behind: more than the host keeps of an instance's memory.
static STAIN: [AtomicU8; 1 << 20] = [const { AtomicU8::new(0) }; 1 << 20];

fn person(id: &str) -> Person {
    Person {
        id: id.to_owned(),
        name: None,
        handle: None,
        tenant: None,
        groups: Vec::new(),
        locale: None,
        bot: false,
    }
}

fn work_for_ever() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

fn allocate_for_ever() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1_u8; 1 << 20]));
    }
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    here[0] + deeper(black_box(depth + 1))
}

fn item(key: String, text: &str) -> ingress::Item {
    ingress::Item {
        origin: Origin {
            key,
            conversation: Conversation {
                tenant: None,
                channel: "c".into(),
                thread: None,
                direct: true,
            },
            sender: person("u"),
            sent: None,
            reply_to: Vec::new(),
            extra: Vec::new(),
        },
        what: ingress::What::Message(ingress::Message {
            id: "m".into(),
            text: text.to_owned(),
            mentions: Vec::new(),
            addressed: true,
            quotes: None,
            new_thread: None,
            attachments: Vec::new(),
            group: None,
        }),
    }
}

/// The answer is all that this event comes to.
fn said(text: impl Into<String>) -> ingress::Translated {
    ingress::Translated {
        items: Vec::new(),
        answer: Some(Answer {
            status: 200,
            headers: Vec::new(),
            body: text.into().into_bytes(),
        }),
    }
}

fn outcome<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Ok(value) => format!("ok {value:?}"),
        Err(error) => format!("{error:?}"),
    }
}

fn bytes(text: &str) -> Piece {
    Piece::Bytes(text.as_bytes().to_vec())
}

fn secret() -> Piece {
    Piece::Secret("bot_token".into())
}

fn opening(url: &str) -> socket::Opening {
    socket::Opening {
        url: url.to_owned(),
        headers: Vec::new(),
        protocols: Vec::new(),
        secrets: Vec::new(),
        ping_every_ms: None,
    }
}

fn event(payload: &str) -> Event {
    Event {
        transport: String::new(),
        name: "x".into(),
        method: String::new(),
        query: String::new(),
        headers: Vec::new(),
        payload: payload.as_bytes().to_vec(),
        received: 0,
    }
}

/// Twice the same under a key that is its own vector, and the first of them read again.
fn own_vector() -> String {
    let cipher = crypto::Cipher {
        secret: "bot_token".into(),
        derivation: crypto::Derivation::Sha256,
        iv: crypto::IvSource::Key,
        pkcs7_block: 32,
    };
    let twice = [(); 2].map(|()| crypto::aes_256_cbc_encrypt(&cipher, b"hello").unwrap_or_default());
    let read =
        crypto::aes_256_cbc_decrypt(&cipher, &twice[0]).map(|plain| String::from_utf8_lossy(&plain).into_owned());
    format!("{} {}", twice[0][..16] == twice[1][..16], outcome(read))
}

/// Uses of services that `ingress` may not use, and tricks with those that it may.
#[expect(
    clippy::disallowed_methods,
    reason = "it looks whether the sandbox has an environment"
)]
fn probe(what: &str) -> String {
    let (name, rest) = what.split_once(' ').unwrap_or((what, ""));
    match name {
        "http" => outcome(http::call("GET", "/").send()),
        "memory" => outcome(memory::save(b"x")),
        "socket" => format!("{:?}", socket::open(&opening("/"))),
        "emit" => outcome(events::emit(&event("x"), 0)),
        "next" => format!("{:?}", events::next(1)),
        "link-call" => outcome(link_call::call(b"x", 10)),
        "digest-of-secret" => outcome(crypto::hash(Digest::Sha256, &[secret()], false)),
        "digest-with-little" => outcome(crypto::hash(Digest::Sha256, &[secret(), bytes("x")], false)),
        "hmac-under-own-key" => outcome(crypto::hmac(&bytes("k"), Digest::Sha256, &[secret()])),
        "hmac-of-secrets" => outcome(crypto::hmac(&secret(), Digest::Sha256, &[secret()])),
        "hmac-of-nothing" => outcome(crypto::hmac(&secret(), Digest::Sha256, &[])),
        "hmac" => outcome(crypto::hmac(&secret(), Digest::Sha256, &[bytes(rest)])),
        "secret-not-for-crypto" => outcome(crypto::matches("other", "x")),
        "own-vector" => own_vector(),
        "guess" => {
            let results: Vec<String> = (0..9)
                .map(|n| outcome(crypto::matches("bot_token", &n.to_string())))
                .collect();
            results[8].clone()
        }
        "put-large" => outcome(store::put("k", &vec![0; 256 * 1024 + 1], None)),
        "put" => outcome(store::put("k", rest.as_bytes(), None)),
        "get" => outcome(store::get("k").map(|v| v.map(|v| String::from_utf8_lossy(&v).into_owned()))),
        "keep" => outcome(files::keep("../../etc/passwd", "text/plain", rest.as_bytes()).map(|f| f.id)),
        "read" => outcome(files::read(rest, 0, 100)),
        "environment" => format!(
            "{} {} {}",
            std::env::vars().count(),
            std::fs::read_dir("/").is_ok(),
            std::net::TcpStream::connect("127.0.0.1:1").is_ok()
        ),
        _ => "?".to_owned(),
    }
}

impl Adapter for Hostile {
    fn describe() -> About {
        About {
            platform: "hostile".into(),
            title: "Hostile".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            api_base: None,
            modes: vec![
                Mode {
                    name: "webhook".into(),
                    purpose: "Misbehaves on request.".into(),
                    transports: vec![Transport::Webhook(vec![Route {
                        name: String::new(),
                        methods: vec!["POST".into()],
                        verification: Verification::Unverified,
                        max_body_bytes: 1024 * 1024,
                        deadline_ms: 3_000,
                        fallback: Answer {
                            status: 200,
                            headers: Vec::new(),
                            body: Vec::new(),
                        },
                    }])],
                    secrets: Vec::new(),
                },
                Mode {
                    name: "link".into(),
                    purpose: "Misbehaves for longer.".into(),
                    transports: vec![Transport::Link],
                    secrets: Vec::new(),
                },
            ],
            settings: vec![Setting {
                name: "link".into(),
                kind: SettingKind::Text,
                choices: Vec::new(),
                default: None,
                purpose: "How the link misbehaves.".into(),
            }],
            secrets: vec![
                Secret {
                    name: "bot_token".into(),
                    purpose: "What it wants to steal.".into(),
                    targets: vec!["/api/".into()],
                    slots: vec![Slot::Header(("Authorization".into(), "Bearer ".into()))],
                    crypto: true,
                },
                Secret {
                    name: "other".into(),
                    purpose: "Only for the host.".into(),
                    targets: Vec::new(),
                    slots: Vec::new(),
                    crypto: false,
                },
            ],
            minted: Vec::new(),
            egress: Vec::new(),
            limits: Limits {
                update_interval_ms: 0,
                updates_max: None,
                refresh_ms: None,
                upload_max_bytes: 0,
                rates: Vec::new(),
            },
            abilities: Abilities::UPDATE,
            extra: Vec::new(),
        }
    }

    fn translate(event: Event) -> Result<ingress::Translated, Error> {
        let wish = String::from_utf8_lossy(&event.payload).into_owned();
        match wish.as_str() {
            "loop" => work_for_ever(),
            "panic" => panic!("I was told to"),
            "exit" => std::process::exit(3),
            "allocate" => allocate_for_ever(),
            "recurse" => Ok(said(deeper(0).to_string())),
            "sleep" => {
                // The host's own functions do not wait; WASI's clock would.
                #[expect(clippy::disallowed_methods, reason = "that is the point")]
                std::thread::sleep(std::time::Duration::from_secs(86_400));
                Ok(said("slept"))
            }
            "answer-flood" => Ok(said("x".repeat(16 * 1024 * 1024))),
            "log-flood" => loop {
                host::log(host::Level::Info, &"x".repeat(64 * 1024));
            },
            "log-many" => {
                for n in 0..10_000 {
                    host::log(host::Level::Info, &n.to_string());
                }
                Ok(said("logged"))
            }
            "no-key" => Ok(ingress::Translated {
                items: vec![item(String::new(), "x")],
                answer: None,
            }),
            "long-key" => Ok(ingress::Translated {
                items: vec![item("k".repeat(201), "x")],
                answer: None,
            }),
            "many-items" => Ok(ingress::Translated {
                items: (0..300).map(|n| item(n.to_string(), "x")).collect(),
                answer: None,
            }),
            "bad-status" => Ok(ingress::Translated {
                items: Vec::new(),
                answer: Some(Answer {
                    status: 9,
                    headers: Vec::new(),
                    body: Vec::new(),
                }),
            }),
            "malformed" => Err(Error::Malformed("x".repeat(100_000))),
            "count" => Ok(said((CALLS.fetch_add(1, Ordering::Relaxed) + 1).to_string())),
            "stain" | "stain a little" => {
                let all = if wish == "stain" { STAIN.len() } else { STAIN.len() / 20 };
                STAIN[..all].iter().for_each(|byte| byte.store(1, Ordering::Relaxed));
                Ok(said("stained"))
            }
            "stains" => {
                let left = STAIN.iter().filter(|byte| byte.load(Ordering::Relaxed) != 0);
                Ok(said(left.count().to_string()))
            }
            "me" => Ok(said(format!("{:?}", host::me().map(|me| me.id)))),
            wish => match wish.strip_prefix("probe ") {
                Some(what) => Ok(said(probe(what))),
                None => Ok(ingress::Translated {
                    items: vec![item("k".into(), wish)],
                    answer: None,
                }),
            },
        }
    }

    fn show(view: delivery::View, target: delivery::Target) -> Result<Option<u32>, Error> {
        let wish = view.blocks.iter().find_map(|block| match &block.part {
            delivery::Part::Text(text) => Some(text.clone()),
            _ => None,
        });
        let wish = wish.unwrap_or_default();
        let (name, rest) = wish.split_once(' ').unwrap_or((&wish, ""));
        match name {
            "foreign" => http::call("GET", rest).send().map(|_| None),
            "steal" => http::call("GET", rest).bearer("bot_token").send().map(|_| None),
            "wrong-slot" => {
                let request = http::call("GET", "/api/x").secret("bot_token", Slot::Query("token".into()));
                request.send().map(|_| None)
            }
            "post" => {
                let answer = http::call("POST", "/api/post")
                    .bearer("bot_token")
                    .bucket(rest)
                    .send()?;
                memory::save(&answer.body)?;
                Ok(Some(250))
            }
            "save-large" => memory::save(&vec![0; 33 * 1024]).map(|()| None),
            "save-then-panic" => {
                memory::save(rest.as_bytes())?;
                panic!("after it was saved")
            }
            "posted" => memory::posted(rest).map(|()| None),
            "moved" => {
                let to = Conversation {
                    thread: Some(rest.to_owned()),
                    ..target.conversation
                };
                memory::moved(&to).map(|()| None)
            }
            "socket" => match socket::open(&opening("/")) {
                Err(socket::OpenError::Failed(error)) => Err(error),
                other => Err(Error::Gone(format!("{other:?}"))),
            },
            "memory" => Err(Error::Gone(format!("{:?}", target.memory.map(|m| m.len())))),
            "tell-link" => link_call::call(rest.as_bytes(), 200).map(|_| None),
            "loop" => work_for_ever(),
            _ => Ok(None),
        }
    }

    /// Names a file that is not there.
    fn fetch(attachment: Attachment) -> Result<FileRef, Error> {
        Ok(FileRef {
            id: attachment.source,
            name: attachment.name,
            media_type: "text/plain".into(),
            size_bytes: 1,
        })
    }

    fn me() -> Result<Person, Error> {
        Ok(person(""))
    }
}

impl Link for Hostile {
    fn run() -> Result<(), Error> {
        match host::setting("link").unwrap_or_default().as_str() {
            "loop" => work_for_ever(),
            "spin" => loop {
                // Waits for nothing: that is work too.
                events::next(0);
            },
            "deaf" => loop {
                events::next(1_000);
            },
            "patient" => {
                // Waits, and works, for far longer than its deadline, but never for long at once.
                for _ in 0..20 {
                    events::next(100);
                    let began = std::time::Instant::now();
                    while began.elapsed() < std::time::Duration::from_millis(15) {
                        black_box(began);
                    }
                }
                Ok(())
            }
            "memory" => memory::save(b"x"),
            "eager" => {
                // Takes no outcome out of its mailbox before it is refused.
                let mut taken = 0;
                while events::emit(&event("x"), 1_000).is_ok() {
                    taken += 1;
                }
                Err(Error::Gone(format!("{taken} events")))
            }
            "two" => {
                for payload in ["slow", "quick"] {
                    events::emit(&event(payload), 1_000)?;
                }
                for _ in 0..2 {
                    let told = format!("{:?}", events::next(60_000));
                    events::report(events::Health::Degraded, &told, None);
                }
                Ok(())
            }
            "mute" => loop {
                if events::next(1_000) == events::Happening::Stop {
                    return Ok(());
                }
            },
            _ => Ok(()),
        }
    }
}

botyard_sdk::export_link!(Hostile);
