//! The chat over a real store, with an inlet that notes what it gets.

use std::sync::Mutex;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::outbox::BoxFuture;

/// Notes events and answers what it is told to.
struct Noting {
    events: Mutex<Vec<Value>>,
    answer: Accepted,
}

impl Noting {
    fn new(answer: Accepted) -> Self {
        Self {
            events: Mutex::default(),
            answer,
        }
    }

    fn names(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }
}

impl Inlet for Noting {
    fn accept<'a>(&'a self, event: Event, _within: Duration) -> BoxFuture<'a, Accepted> {
        let mut payload: Value = serde_json::from_slice(&event.payload).unwrap();
        payload.as_object_mut().unwrap().remove("sent");
        self.events
            .lock()
            .unwrap()
            .push(json!([event.transport, event.name, payload]));
        Box::pin(async { self.answer.clone() })
    }
}

struct Bench {
    chat: WebChat,
    path: std::path::PathBuf,
    _folder: TempDir,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let journal = Journal::open(&path).unwrap();
    Bench {
        chat: WebChat::new("local".into(), journal),
        path,
        _folder: folder,
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn view(state: &str, blocks: &Value) -> Box<RawValue> {
    raw(&json!({ "state": state, "blocks": blocks }))
}

fn saying(id: &str, text: &str) -> Saying {
    Saying {
        id: id.to_owned(),
        text: text.to_owned(),
        files: Vec::new(),
    }
}

/// Everything up to `ready`.
async fn all(stream: &mut Stream) -> Vec<(&'static str, Value)> {
    let mut found = Vec::new();
    loop {
        for update in next(stream).await {
            if update.name == "ready" {
                return found;
            }
            found.push((update.name, serde_json::from_str(&update.data).unwrap()));
        }
    }
}

async fn next(stream: &mut Stream) -> Vec<Update> {
    tokio::time::timeout(Duration::from_secs(10), stream.next())
        .await
        .expect("in time")
        .unwrap()
        .expect("goes on")
}

/// The messages among updates, without their times.
fn messages(updates: &[(&'static str, Value)]) -> Vec<Value> {
    let mut found: Vec<_> = updates
        .iter()
        .filter(|(name, _)| *name == "message")
        .map(|(_, data)| data.clone())
        .collect();
    for message in &mut found {
        message.as_object_mut().unwrap().remove("at");
    }
    found
}

#[tokio::test]
async fn what_a_person_says_reaches_the_bot_and_is_kept_once() {
    let bench = bench();
    let inlet = Noting::new(Accepted::Stored(None));
    for _ in 0..2 {
        bench
            .chat
            .say(&inlet, "c1", saying("x1", "hello\nthere"))
            .await
            .unwrap();
    }
    let person = json!({ "id": "operator", "name": "Operator" });
    let event = json!(["web", "message", { "id": "x1", "channel": "c1", "text": "hello\nthere", "files": [], "person": person }]);
    // The bot hears both: its inbox knows that they are one. The chat shows one.
    assert_eq!(inlet.names(), [event.clone(), event]);
    let updates = all(&mut bench.chat.stream(Some("c1".into()), 0)).await;
    assert_eq!(
        messages(&updates),
        [json!({ "id": "px1", "from": "person", "revision": 0, "text": "hello\nthere", "person": person })]
    );
    let listed = updates.iter().find(|(name, _)| *name == "channel").unwrap();
    assert_eq!((&listed.1["id"], &listed.1["title"]), (&json!("c1"), &json!("hello")));
}

#[tokio::test]
async fn what_the_bot_could_not_store_is_refused_and_not_shown() {
    let bench = bench();
    let refused = bench
        .chat
        .say(&Noting::new(Accepted::Unavailable), "c1", saying("x1", "hello"))
        .await;
    assert!(matches!(refused, Err(WebError::Unavailable)), "{refused:?}");
    assert_eq!(all(&mut bench.chat.stream(Some("c1".into()), 0)).await, []);
}

#[tokio::test]
async fn a_press_brings_back_the_bots_word() {
    let bench = bench();
    let word = Answer {
        status: 200,
        headers: Vec::new(),
        body: b"{}".to_vec(),
    };
    let inlet = Noting::new(Accepted::Stored(Some(word.clone())));
    let pressing = Pressing {
        id: "y1".into(),
        token: "tok".into(),
        values: Some(vec![("a".into(), "b".into())]),
    };
    assert_eq!(
        bench.chat.press(&inlet, "c1", &pressing).await.unwrap(),
        Some(word.clone())
    );
    assert_eq!(bench.chat.stop(&inlet, "c1", "y2").await.unwrap(), Some(word));
    let person = json!({ "id": "operator", "name": "Operator" });
    assert_eq!(
        inlet.names(),
        [
            json!(["web", "press", { "id": "y1", "channel": "c1", "token": "tok", "values": [["a", "b"]],
                "person": person }]),
            json!(["web", "stop", { "id": "y2", "channel": "c1", "person": person }]),
        ]
    );
}

#[tokio::test]
async fn the_same_key_is_one_message_also_over_a_restart() {
    let bench = bench();
    let (first, fresh) = bench
        .chat
        .post("c1", "turn1", 1, view("running", &json!([])))
        .await
        .unwrap();
    let again = bench
        .chat
        .post("c1", "turn1", 9, view("done", &json!([])))
        .await
        .unwrap();
    let (other, _) = bench
        .chat
        .post("c1", "turn2", 1, view("running", &json!([])))
        .await
        .unwrap();
    assert!(fresh);
    assert_eq!(again, (first.clone(), false));
    assert_ne!(first, other);
    bench.chat.inner.journal.close().await;
    let chat = WebChat::new("local".into(), Journal::open(&bench.path).unwrap());
    assert_eq!(
        chat.post("c1", "turn1", 3, view("running", &json!([]))).await.unwrap(),
        (first.clone(), false)
    );
    chat.update(&first, 5, view("done", &json!([]))).await.unwrap();
    let shown = messages(&all(&mut chat.stream(Some("c1".into()), 0)).await);
    let shown: Vec<_> = shown
        .iter()
        .map(|m| (&m["id"], &m["revision"], &m["view"]["state"]))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!(other), &json!(1), &json!("running")),
            (&json!(first), &json!(5), &json!("done"))
        ]
    );
}

#[tokio::test]
async fn an_older_revision_never_replaces_a_newer_one() {
    let bench = bench();
    let (id, _) = bench
        .chat
        .post("c1", "turn1", 4, view("running", &json!([])))
        .await
        .unwrap();
    bench.chat.update(&id, 6, view("running", &json!([]))).await.unwrap();
    for stale in [4, 5, 6] {
        let refused = bench.chat.update(&id, stale, view("done", &json!([]))).await;
        assert!(matches!(refused, Err(WebError::Stale(_))), "{refused:?}");
    }
    bench.chat.update(&id, 7, view("done", &json!([]))).await.unwrap();
    let refused = bench.chat.update(&id, 7, view("running", &json!([]))).await;
    assert!(matches!(refused, Err(WebError::Stale(7))), "{refused:?}");
    let unknown = bench.chat.update("m00", 1, view("done", &json!([]))).await;
    assert!(matches!(unknown, Err(WebError::Unknown(_))), "{unknown:?}");
}

#[tokio::test]
async fn a_stream_sends_only_what_changed_and_goes_on_from_where_it_was() {
    let bench = bench();
    let text = |revision: u32, text: &str| json!({ "id": 1, "revision": revision, "kind": "text", "text": text });
    let step = json!({ "id": 2, "revision": 1, "kind": "step" });
    let (id, _) = bench
        .chat
        .post("c1", "turn1", 1, view("running", &json!([text(1, "a"), step])))
        .await
        .unwrap();
    let mut stream = bench.chat.stream(Some("c1".into()), 0);
    let begun = all(&mut stream).await;
    assert_eq!(messages(&begun)[0]["view"]["blocks"], json!([text(1, "a"), step]));

    bench
        .chat
        .update(&id, 2, view("running", &json!([text(2, "ab"), step])))
        .await
        .unwrap();
    let update = next(&mut stream).await.remove(0);
    let data: Value = serde_json::from_str(&update.data).unwrap();
    assert_eq!(data["since"], json!(1));
    assert_eq!(
        data["view"],
        json!({ "state": "running", "blocks": [text(2, "ab")], "ids": [1, 2] })
    );

    // A new stream from that place gets only what came after, and whole, for nobody knows what its page has.
    let place = update.seq.unwrap();
    assert_eq!(all(&mut bench.chat.stream(Some("c1".into()), place)).await, []);
    bench
        .chat
        .update(&id, 3, view("done", &json!([text(3, "abc"), step])))
        .await
        .unwrap();
    let resumed = messages(&all(&mut bench.chat.stream(Some("c1".into()), place)).await);
    assert_eq!(
        resumed,
        [json!({ "id": id, "from": "bot", "revision": 3,
            "view": { "state": "done", "blocks": [text(3, "abc"), step] } })]
    );
}

#[tokio::test]
async fn a_long_history_comes_whole_and_in_order() {
    let bench = bench();
    let inlet = Noting::new(Accepted::Stored(None));
    let count = 450;
    for n in 0..count {
        // Another conversation in between: the list changes as often as the messages do.
        let channel = if n % 3 == 0 { "c2" } else { "c1" };
        bench
            .chat
            .say(&inlet, channel, saying(&format!("x{n}"), &n.to_string()))
            .await
            .unwrap();
    }
    let updates = all(&mut bench.chat.stream(Some("c1".into()), 0)).await;
    let texts: Vec<_> = messages(&updates)
        .iter()
        .map(|m| m["text"].as_str().unwrap().to_owned())
        .collect();
    let expected: Vec<_> = (0..count).filter(|n| n % 3 != 0).map(|n| n.to_string()).collect();
    assert_eq!(texts, expected);
    let times: Vec<_> = updates
        .iter()
        .filter(|u| u.0 == "message")
        .map(|(_, data)| data["at"].as_i64().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a < b), "no two messages have the same time");
}

#[tokio::test]
async fn nonsense_is_refused_before_the_bot_hears_of_it() {
    let bench = bench();
    let inlet = Noting::new(Accepted::Stored(None));
    for (channel, id, text) in [
        ("~", "x", "hi"),
        ("c/1", "x", "hi"),
        ("", "x", "hi"),
        ("c", "", "hi"),
        ("c", "x", " "),
    ] {
        let refused = bench.chat.say(&inlet, channel, saying(id, text)).await;
        assert!(
            matches!(refused, Err(WebError::Invalid(_))),
            "{channel:?} {id:?} {text:?}: {refused:?}"
        );
    }
    let long = bench
        .chat
        .say(&inlet, "c", saying("x", &"x".repeat(TEXT_MAX_BYTES + 1)))
        .await;
    assert!(matches!(long, Err(WebError::TooLarge(_))), "{long:?}");
    let stateless = bench.chat.post("c", "k", 1, raw(&json!({ "blocks": [] }))).await;
    assert!(matches!(stateless, Err(WebError::Invalid(_))), "{stateless:?}");
    assert_eq!(inlet.names(), Vec::<Value>::new());
}

#[test]
fn times_rise_even_when_the_clock_stands() {
    let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
    rt.block_on(async {
        let bench = bench();
        let times: Vec<_> = (0..1000).map(|_| bench.chat.tick()).collect();
        assert!(times.is_sorted_by(|a, b| a < b));
    });
}
