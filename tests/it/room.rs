//! A platform of plain JSON, with a host that serves it: what people do is posted to the bot's webhook, what the bot
//! shows is kept here. See `tests/guests/room`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::host::{PATIENCE, Setup, TestHost};

/// What the vendor knows and was shown.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Every view that was shown, oldest first.
    pub(crate) shown: Vec<Value>,
    /// Names and bytes of what was uploaded.
    pub(crate) uploads: Vec<(String, Vec<u8>)>,
    /// What attachments hold, by their source.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) people: BTreeMap<String, Value>,
    /// Ids of people that were asked for.
    pub(crate) asked: Vec<String>,
    /// What was said before, oldest first.
    pub(crate) said: Vec<Value>,
    /// What the account lacks.
    pub(crate) findings: Value,
    /// The next message of a conversation without a thread opens this one.
    pub(crate) opens: Option<String>,
}

/// The vendor. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Vendor {
    kept: Arc<Mutex<Kept>>,
    changed: watch::Sender<usize>,
    /// What attachments hold is given while this is so.
    gives: watch::Sender<bool>,
}

impl Vendor {
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        change(&mut self.kept.lock().expect("no panic"))
    }

    /// Files are given, or whoever asks for one waits.
    pub(crate) fn give_files(&self, gives: bool) {
        self.gives.send_replace(gives);
    }

    /// Waits until one of the views that stand now, one a message, is as it should be.
    pub(crate) async fn until(&self, what: &str, like: impl Fn(&Value) -> bool) -> Value {
        let mut changed = self.changed.subscribe();
        let seen = async {
            loop {
                let found = self.standing().into_iter().find(|view| like(view));
                if let Some(found) = found {
                    return found;
                }
                changed.changed().await.expect("the vendor is there");
            }
        };
        match tokio::time::timeout(PATIENCE, seen).await {
            Ok(found) => found,
            Err(_) => panic!("timed out waiting for {what}: {:#?}", self.standing()),
        }
    }

    /// A reply that is done and has this in it.
    pub(crate) async fn done_with(&self, text: &str) -> Value {
        self.until(text, |view| view["state"] == "done" && view.to_string().contains(text))
            .await
    }

    /// The newest view of each turn, in the order in which the turns were first shown.
    pub(crate) fn standing(&self) -> Vec<Value> {
        let mut standing: Vec<Value> = Vec::new();
        for view in self.with(|kept| kept.shown.clone()) {
            match standing.iter_mut().find(|other| other["turn"] == view["turn"]) {
                Some(other) => *other = view,
                None => standing.push(view),
            }
        }
        standing
    }
}

async fn show(State(vendor): State<Vendor>, Json(mut view): Json<Value>) -> Json<Value> {
    let answer = vendor.with(|kept| {
        let id = match view["message"].as_str() {
            Some(id) => id.to_owned(),
            None => format!("b-{}", view["turn"].as_str().unwrap_or_default()),
        };
        let new = view["message"].is_null();
        view["message"] = json!(id);
        let thread = (new && view["thread"].is_null()).then(|| kept.opens.take()).flatten();
        kept.shown.push(view);
        json!({ "id": id, "thread": thread })
    });
    vendor.changed.send_modify(|count| *count += 1);
    Json(answer)
}

async fn upload(State(vendor): State<Vendor>, Path(name): Path<String>, body: Bytes) -> Json<Value> {
    vendor.with(|kept| kept.uploads.push((name, body.to_vec())));
    Json(json!({}))
}

async fn file(State(vendor): State<Vendor>, Path(source): Path<String>) -> Response {
    let _ = vendor.gives.subscribe().wait_for(|gives| *gives).await;
    match vendor.with(|kept| kept.files.get(&source).cloned()) {
        Some(bytes) => bytes.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn person(State(vendor): State<Vendor>, Path(id): Path<String>) -> Response {
    let person = vendor.with(|kept| {
        kept.asked.push(id.clone());
        kept.people.get(&id).cloned()
    });
    match person {
        Some(person) => Json(person).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn check(State(vendor): State<Vendor>) -> Json<Value> {
    Json(json!({ "findings": vendor.with(|kept| kept.findings.clone()) }))
}

async fn before(State(vendor): State<Vendor>, Json(query): Json<Value>) -> Json<Value> {
    let said = vendor.with(|kept| kept.said.clone());
    let most = usize::try_from(query["at_most"].as_u64().unwrap_or(0)).unwrap_or(0);
    let from = said.len().saturating_sub(most);
    Json(json!({ "said": said[from..] }))
}

/// The platform and the host.
pub(crate) struct Room {
    pub(crate) vendor: Vendor,
    pub(crate) host: TestHost,
    serving: JoinHandle<()>,
    client: reqwest::Client,
}

impl Room {
    /// With these lines in the bot's table.
    pub(crate) async fn open(more: &str) -> Self {
        Self::of("./room.wasm", more).await
    }

    /// The same where nothing can be pressed.
    pub(crate) async fn mute(more: &str) -> Self {
        Self::of("./mute.wasm", more).await
    }

    /// With an adapter that does as `room` does.
    pub(crate) async fn of(adapter: &str, more: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let vendor = Vendor {
            kept: Arc::default(),
            changed: watch::Sender::new(0),
            gives: watch::Sender::new(true),
        };
        let router = Router::new()
            .route("/show", post(show))
            .route("/upload/{name}", post(upload))
            .route("/files/{source}", get(file))
            .route("/people/{id}", get(person))
            .route("/check", get(check))
            .route("/before", post(before))
            .with_state(vendor.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}/", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the vendor serves");
        });
        let setup = Setup {
            adapter: adapter.to_owned(),
            secrets: "{}".to_owned(),
            ..Setup::slack(&base).with(more)
        };
        let host = TestHost::start(&setup).await;
        Self {
            vendor,
            host,
            serving,
            client: reqwest::Client::new(),
        }
    }

    pub(crate) async fn restart(self) -> Self {
        self.restart_after(|_| ()).await
    }

    /// The same, with this done to its folder while it is not there.
    pub(crate) async fn restart_after(self, change: impl FnOnce(&std::path::Path)) -> Self {
        let folder = self.host.stop().await;
        change(folder.path());
        let host = TestHost::start_in(folder).await;
        Self { host, ..self }
    }

    pub(crate) async fn stop(self) {
        self.host.stop().await;
        self.serving.abort();
    }

    /// The vendor tells of something: the status and body of the host's answer.
    pub(crate) async fn post(&self, body: &Value) -> (u16, String) {
        let answer = self.client.post(self.host.hook()).body(body.to_string()).send().await;
        let answer = answer.expect("the host answers");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }

    /// One item, which is acknowledged; the body of the answer.
    pub(crate) async fn tell(&self, item: Value) -> String {
        let (status, body) = self.post(&json!({ "items": [item] })).await;
        assert!(matches!(status, 200 | 202), "{status} {body}");
        body
    }

    /// Ann says something in the channel `C1`.
    pub(crate) async fn say(&self, id: &str, text: &str) {
        self.tell(said(id, text)).await;
    }

    /// Ann presses a button of a view, in this thread.
    pub(crate) async fn press(&self, view: &Value, label: &str, thread: Option<&str>) -> String {
        let token = button(view, label);
        let key = format!("press-{}-{label}", view["turn"]);
        let from = json!({ "id": "ann" });
        self.tell(
            json!({ "kind": "press", "key": key, "channel": "C1", "thread": thread, "from": from, "token": token }),
        )
        .await
    }
}

/// The token of a button.
pub(crate) fn button(view: &Value, label: &str) -> Value {
    view["asks"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|ask| ask["choices"].as_array().cloned().unwrap_or_default())
        .find(|choice| choice["label"] == label)
        .unwrap_or_else(|| panic!("no button {label} in {view}"))["token"]
        .clone()
}

/// A message of Ann's in the channel `C1`, that names the bot.
pub(crate) fn said(id: &str, text: &str) -> Value {
    json!({ "kind": "message", "key": format!("said-{id}"), "id": id, "channel": "C1", "text": text,
        "from": { "id": "ann", "name": "Ann" } })
}

/// The same with something else.
pub(crate) fn but(mut item: Value, changes: Value) -> Value {
    if let (Value::Object(item), Value::Object(changes)) = (&mut item, changes) {
        item.extend(changes);
    }
    item
}
