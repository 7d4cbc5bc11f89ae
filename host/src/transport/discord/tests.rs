//! The pure parts, and what others test with; connections are tested with the strict fake in tests/it/gateway.rs.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::facts::Facts;
use super::*;
use crate::chat::{BotName, Event};
use crate::config::SecretText;
use crate::egress::{Egress, EgressSettings, Grant};
use crate::manifest::{About, Limits, SecretSpec};
use crate::outbox::BoxFuture;
use crate::store::Journal;
use crate::store::sqlite::SqliteStore;
use crate::transport::{Accepted, Connected, Inlet};

/// Discord's REST on loopback, which answers as a test says, and a bot that takes what it is given.
pub(super) struct Yard {
    pub(super) gateway: Arc<Gateway>,
    pub(super) events: mpsc::Receiver<(Event, oneshot::Sender<Accepted>)>,
    pub(super) reports: mpsc::Receiver<Health>,
    /// Requests that wait for their answer: method and path, body, and where the answer goes.
    pub(super) asked: mpsc::Receiver<Asked>,
}

pub(super) struct Asked {
    pub(super) what: String,
    pub(super) body: Value,
    pub(super) answer: oneshot::Sender<(u16, String)>,
}

struct Bot {
    events: mpsc::Sender<(Event, oneshot::Sender<Accepted>)>,
    reports: mpsc::Sender<Health>,
}

impl Bot {
    async fn line_up(&self, event: Event) -> BoxFuture<'static, Accepted> {
        let (tell, told) = oneshot::channel();
        let _ = self.events.send((event, tell)).await;
        Box::pin(async move { told.await.unwrap_or(Accepted::Unavailable) })
    }
}

impl Inlet for Bot {
    fn accept<'a>(&'a self, _: Event, _: Duration) -> BoxFuture<'a, Accepted> {
        Box::pin(async { panic!("a connection lines its events up") })
    }
}

impl Connected for Bot {
    fn enqueue<'a>(&'a self, event: Event, _: Duration) -> BoxFuture<'a, BoxFuture<'static, Accepted>> {
        Box::pin(self.line_up(event))
    }

    fn report(&self, health: Health) {
        self.reports.try_send(health).expect("there is room");
    }

    fn heard(&self) {}
}

fn about() -> About {
    About {
        platform: "discord".to_owned(),
        title: "Discord".to_owned(),
        version: "1".to_owned(),
        api_base: None,
        modes: Vec::new(),
        settings: Vec::new(),
        secrets: vec![SecretSpec {
            name: "token".to_owned(),
            purpose: String::new(),
            targets: vec!["/".to_owned()],
            slots: vec![Slot::Header("Authorization".to_owned(), "Bot ".to_owned())],
            crypto: false,
        }],
        minted: Vec::new(),
        egress: Vec::new(),
        limits: Limits {
            update_interval: Duration::ZERO,
            updates_max: None,
            refresh: None,
            upload_max_bytes: 0,
            rates: Vec::new(),
        },
        abilities: Vec::new(),
        extra: Vec::new(),
    }
}

pub(super) async fn yard() -> Yard {
    let (ask, asked) = mpsc::channel(16);
    let route = move |method: Method, uri: Uri, body: String| {
        let ask = ask.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            let asked = Asked {
                what: format!("{method} {}", uri.path()),
                body: serde_json::from_str(&body).unwrap_or_default(),
                answer,
            };
            let _ = ask.send(asked).await;
            let (status, body) = answered.await.unwrap_or((503, String::new()));
            (StatusCode::from_u16(status).expect("a status"), body)
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let api_base = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(route)).await });
    let token = SecretText::new("a-token-of-the-bot");
    let secrets = BTreeMap::from([("token".to_owned(), token)]);
    let grant = Grant {
        bot: "team".to_owned(),
        api_base: api_base.clone(),
        api_base_by_operator: true,
        about: Arc::new(about()),
        secrets: secrets.clone(),
        hosts: Vec::new(),
    };
    let egress = Egress::new(&EgressSettings::default()).expect("a client");
    let (events_in, events) = mpsc::channel(16);
    let (reports_in, reports) = mpsc::channel(64);
    let managed = Managed {
        bot: BotName("team".to_owned()),
        me: None,
        options: BTreeMap::new(),
        secrets,
        api_base,
        journal: Journal::over(Box::new(SqliteStore::in_memory().expect("a store"))),
        outlet: egress.outlet(grant).expect("granted"),
        inlet: Arc::new(Bot {
            events: events_in,
            reports: reports_in,
        }),
        stop: CancellationToken::new(),
    };
    let gateway = Arc::new(Gateway {
        events: ["MESSAGE_CREATE", "INTERACTION_CREATE"].map(str::to_owned).into(),
        intents: 0,
        healths: Mutex::new(vec![Health::Connecting]),
        identify: Arc::new(Semaphore::new(1)),
        identified: Mutex::default(),
        facts: Facts::new(None),
        managed,
    });
    Yard {
        gateway,
        events,
        reports,
        asked,
    }
}

#[test]
fn directions_are_read_and_a_missing_address_is_told() {
    let answer = json!({
        "url": "wss://gateway.discord.gg", "shards": 2,
        "session_start_limit": { "total": 1000, "remaining": 7, "reset_after": 1500, "max_concurrency": 1 },
    });
    let read = directions(&answer).expect("an address");
    let wanted = Directions {
        url: "wss://gateway.discord.gg".to_owned(),
        shards: 2,
        left: 7,
        reset: Duration::from_millis(1500),
    };
    assert_eq!(read, wanted);
    assert!(matches!(
        directions(&json!({ "shards": 1 })),
        Err(CallError::Unavailable(_))
    ));
}

#[test]
fn close_codes_that_no_other_try_can_change_are_known() {
    let known: Vec<u16> = (4000..=4020).filter(|code| fatal(*code).is_some()).collect();
    assert_eq!(known, [4004, 4010, 4011, 4012, 4013, 4014]);
    assert_eq!((fatal(1000), fatal(1006)), (None, None));
}

#[test]
fn late_word_fits_the_interaction() {
    let of = |kind: u64, message: bool| {
        let mut data =
            json!({ "id": "1", "token": "aW50.x-_=", "type": kind, "data": { "name": "status", "type": 1 } });
        if message {
            data["message"] = json!({});
        }
        word::Due::of(&data).map(|due| due.default)
    };
    assert_eq!(of(1, false), None);
    let private = Some(json!({ "type": 5, "data": { "flags": 64 } }));
    assert_eq!(of(2, false), private, "a command's answer may be for one person alone");
    assert_eq!(of(3, true), Some(json!({ "type": 6 })));
    assert_eq!(of(4, false), Some(json!({ "type": 8, "data": { "choices": [] } })));
    assert_eq!(of(5, true), Some(json!({ "type": 6 })));
    assert_eq!(of(5, false), private);
    for command in [
        json!({ "name": "ask", "type": 1 }),
        json!({ "name": "Ask about this", "type": 3 }),
    ] {
        let data = json!({ "id": "1", "token": "t", "type": 2, "data": command });
        let public = Some(json!({ "type": 5 }));
        assert_eq!(
            word::Due::of(&data).map(|due| due.default),
            public,
            "a question's is for all"
        );
    }
    let forged = json!({ "id": "1/../2", "token": "t", "type": 2 });
    assert_eq!(word::Due::of(&forged), None, "it goes into a path");
}

#[test]
fn threads_and_the_own_role_are_learnt_from_dispatches() {
    let facts = Facts::new(Some("9".to_owned()));
    let guild = json!({
        "id": "1",
        "channels": [{ "id": "10", "type": 0, "parent_id": "5" }],
        "threads": [{ "id": "11", "type": 11, "parent_id": "10" }],
        "roles": [{ "id": "20", "tags": { "bot_id": "8" } }, { "id": "21", "tags": { "bot_id": "9" } }],
    });
    facts.learn("GUILD_CREATE", &guild);
    facts.learn("THREAD_CREATE", &json!({ "id": "12", "type": 12, "parent_id": "10" }));
    let parent = |id: &str| facts.place(id).map(|place| (place.kind, place.parent));
    assert_eq!(parent("10"), Some((Some(0), None)), "a category is no parent");
    assert_eq!(parent("11"), Some((Some(11), Some("10".to_owned()))));
    assert_eq!(parent("12"), Some((Some(12), Some("10".to_owned()))));
    assert_eq!(facts.role("1"), Some(Some("21".to_owned())));
    facts.learn("THREAD_DELETE", &json!({ "id": "12" }));
    assert_eq!(parent("12"), None);
}

#[tokio::test(start_paused = true)]
async fn shards_identify_one_at_a_time_and_five_seconds_after_the_last_was_answered() {
    let yard = yard().await;
    let first = yard.gateway.may_identify().await;
    let mut next = Box::pin(yard.gateway.may_identify());
    // However long Discord needs for its answer.
    assert!(tokio::time::timeout(CALL, &mut next).await.is_err());
    let answered = Instant::now();
    drop(first);
    drop(next.await);
    let waited = answered.elapsed();
    assert!(
        waited >= BETWEEN_IDENTIFIES && waited < 2 * BETWEEN_IDENTIFIES,
        "{waited:?}"
    );
}
