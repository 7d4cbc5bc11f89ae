//! A component that componentize-py made from the WIT alone: loaded, asked, and answered like any other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use botyard::chat::{
    Block, BotName, CallError, Conversation, Event, Part, Target, TurnId, Verdict, View, ViewState, What,
};
use botyard::config::SecretText;
use botyard::egress::{Egress, EgressSettings, Grant};
use botyard::plugin::{Adapter, BotServices, CallLimits, Component, Offers, Runtime};
use botyard::store::{Journal, OutboxRow, OutboxState};
use tempfile::TempDir;

/// The method, path, authorization and body of each request.
type Heard = Arc<Mutex<Vec<(String, String, String, String)>>>;

async fn vendor(State(heard): State<Heard>, request: Request) -> (StatusCode, &'static str) {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let authorization = parts
        .headers
        .get("authorization")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    heard.lock().expect("no panic").push((
        parts.method.to_string(),
        parts.uri.path().to_owned(),
        authorization.to_owned(),
        String::from_utf8_lossy(&body).into_owned(),
    ));
    (StatusCode::OK, r#"{"id":"m1"}"#)
}

fn guest() -> Vec<u8> {
    let path = std::env::var_os("BOTYARD_TEST_PYTHON_GUEST").map(PathBuf::from);
    let path = path.expect("BOTYARD_TEST_PYTHON_GUEST names the component that tests/guests/python/build made");
    std::fs::read(path).expect("the component is there")
}

fn target() -> Target {
    Target {
        conversation: Conversation {
            tenant: None,
            channel: "general".to_owned(),
            thread: None,
            direct: false,
        },
        reply_to: Vec::new(),
        private_to: None,
    }
}

fn view(turn: &TurnId, revision: u32, text: &str) -> View {
    View {
        turn: turn.clone(),
        revision,
        state: ViewState::Running,
        blocks: vec![Block {
            id: 1,
            parent: None,
            revision,
            part: Part::Text(text.to_owned()),
            complete: true,
        }],
        stop_token: None,
        footer: None,
        extra: Vec::new(),
    }
}

fn event(payload: &str) -> Event {
    Event {
        transport: "webhook".to_owned(),
        name: String::new(),
        method: "POST".to_owned(),
        query: String::new(),
        headers: Vec::new(),
        payload: payload.as_bytes().to_vec(),
        received: 1_700_000_000_000,
    }
}

fn bind(runtime: &Runtime, component: &Component, journal: &Journal, folder: &TempDir, api_base: &str) -> Adapter {
    let secrets = BTreeMap::from([("token".to_owned(), SecretText::new("s3cret-of-the-operator"))]);
    let outlet = Egress::new(&EgressSettings::default())
        .expect("egress")
        .outlet(Grant {
            bot: "python".to_owned(),
            api_base: api_base.to_owned(),
            api_base_by_operator: true,
            about: Arc::clone(component.about()),
            secrets: secrets.clone(),
            hosts: Vec::new(),
        })
        .expect("the grant can be");
    let services = BotServices {
        bot: BotName::from("python"),
        mode: "webhook".to_owned(),
        api_base: api_base.to_owned(),
        settings: BTreeMap::new(),
        secrets,
        hook_base: None,
        outlet,
        journal: journal.clone(),
        files_dir: folder.path().join("files"),
        limits: CallLimits {
            memory_bytes: 64 * 1024 * 1024,
            deadline: Duration::from_secs(2),
            output_bytes: 1024 * 1024,
            file_bytes: 1 << 20,
        },
    };
    Adapter::bind(runtime, component, services)
}

#[tokio::test]
async fn a_python_guest_translates_and_shows() {
    let heard = Heard::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let api_base = format!("http://{}/", listener.local_addr().expect("bound"));
    let app = Router::new().fallback(vendor).with_state(Arc::clone(&heard));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });

    let folder = TempDir::new().expect("a folder");
    let runtime = Runtime::new(&folder.path().join("cache")).expect("a runtime");
    let component = runtime.load("python", &guest()).await.expect("it loads");
    assert_eq!(component.about().platform, "python");
    let nothing_more = Offers {
        interaction: false,
        attachments: false,
        account: false,
        history: false,
        link: false,
    };
    assert_eq!(component.offers(), nothing_more);

    let journal = Journal::open(&folder.path().join("store.db")).expect("a store");
    let adapter = bind(&runtime, &component, &journal, &folder, &api_base);

    let translated = adapter
        .translate(&event(r#"{"id":"7","channel":"general","from":"ann","text":"hello"}"#))
        .await
        .expect("it is translated");
    let item = &translated.items[0];
    let What::Message(message) = &item.what else {
        panic!("it is a message")
    };
    assert_eq!(
        (item.origin.key.as_str(), message.text.as_str(), item.origin.sent),
        ("7", "hello", Some(1_700_000_000_000))
    );
    let malformed = adapter.translate(&event("{}")).await;
    assert_eq!(malformed, Err(CallError::Malformed("KeyError('id')".to_owned())));
    let missing = adapter.respond(&item.origin, &Verdict::Taken(String::new())).await;
    assert_eq!(missing, Err(CallError::Missing("interaction")));

    let turn = TurnId::random();
    let row = OutboxRow {
        turn: turn.clone(),
        bot: BotName::from("python"),
        target: target(),
        view: None,
        state: OutboxState::Pending,
        memory: None,
        attempts: 0,
        next_try: 0,
        last_error: None,
        updated: 0,
    };
    journal
        .write(move |store| store.outbox_put(&row))
        .await
        .expect("stored");
    adapter
        .show(&view(&turn, 1, "thinking"), &target(), "n1", None)
        .await
        .expect("it is shown");
    let key = turn.clone();
    let row = journal
        .read(move |store| store.outbox_get(&key))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(row.memory.as_deref(), Some(b"m1".as_slice()));
    adapter
        .show(&view(&turn, 2, "42"), &target(), "n1", row.memory)
        .await
        .expect("it is changed");

    let request = |method: &str, path: &str, text: &str| {
        (
            method.to_owned(),
            path.to_owned(),
            "Bearer s3cret-of-the-operator".to_owned(),
            format!(r#"{{"channel": "general", "text": "{text}", "nonce": "n1"}}"#),
        )
    };
    assert_eq!(
        *heard.lock().expect("no panic"),
        [
            request("POST", "/messages", "thinking"),
            request("PUT", "/messages/m1", "42")
        ]
    );
    assert_eq!(adapter.failures(), (0, None));
    serving.abort();
}
