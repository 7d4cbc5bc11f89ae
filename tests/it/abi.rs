//! An adapter with every export, as it was released: a whole host on it. The others of `tests/abi` are in
//! `plugin/tests/frozen`.

use serde_json::{Value, json};

use crate::room::{Room, but, button, said};

/// As it lies there.
const ADAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/abi/1.0/adapter.wasm");

#[tokio::test(flavor = "multi_thread")]
async fn adapter_of_the_first_release_does_everything_that_the_interface_has() {
    let room = Room::of(ADAPTER, "history = 1").await;
    room.vendor.with(|kept| {
        kept.files.insert("f1".into(), b"some notes".to_vec());
        kept.people.insert("bob".into(), json!({ "id": "bob", "name": "Bob" }));
        kept.said = vec![json!({ "id": "b1", "from": { "id": "bob" }, "text": "it is red", "sent": 1 })];
    });
    let quotes = json!({ "quotes": { "id": "q1", "from": { "id": "bob" }, "text": "the plan" } });
    room.tell(but(said("m0", "hello <@bob>"), quotes)).await;
    let seen = room.vendor.done_with("hello @Bob").await["text"].to_string();
    assert!(
        seen.contains("> Bob: it is red") && seen.contains("> Bob: the plan"),
        "{seen}"
    );
    let file = json!({ "attachments": [{ "name": "notes.txt", "source": "f1" }] });
    room.tell(but(said("m1", "look"), file)).await;
    room.vendor.done_with("notes.txt has 10 bytes").await;

    // A question, its form, and what was decided.
    room.say("m2", "permission ls").await;
    let asking = room.vendor.until("a question", |view| view["state"] == "asking").await;
    let press = |token: Value, values: Value, key: &str| json!({ "kind": "press", "key": key, "channel": "C1", "from": { "id": "ann" }, "token": token, "values": values });
    let word = room
        .tell(press(button(&asking, "Deny with a reason…"), Value::Null, "p1"))
        .await;
    let form: Value = serde_json::from_str(&word).unwrap_or_else(|_| panic!("no form: {word}"));
    let values = json!([[form["fields"][0]["name"], "not now"]]);
    room.tell(press(form["token"].clone(), values, "p2")).await;
    room.vendor.done_with("not now").await;

    // Files and a command.
    room.say("m3", "give report.csv a,b").await;
    assert_eq!(
        room.vendor.done_with("report.csv").await["files"],
        json!(["report.csv"])
    );
    let at = json!({ "key": "c1", "channel": "C1", "from": { "id": "ann" } });
    room.tell(but(json!({ "kind": "command", "name": "whoami", "arguments": "" }), at))
        .await;
    room.vendor
        .until("who it is", |view| view["text"].to_string().contains("`ann`"))
        .await;

    // Behind a question one message is edited, another deleted; a reaction stops what asks.
    room.say("m4", "permission first").await;
    let asks = |view: &Value| view["state"] == "asking" && view.to_string().contains("first");
    let second = room.vendor.until("the second question", asks).await;
    for (id, text) in [("m5", "a draft"), ("m6", "not wanted")] {
        room.say(id, text).await;
    }
    let places = |view: &Value| view["state"] == "waiting" && view["turn"] != asking["turn"];
    room.vendor.until("a place in the queue", places).await;
    room.tell(but(
        said("m5", "as it now stands"),
        json!({ "kind": "edited", "key": "e1" }),
    ))
    .await;
    let by_ann = |item: Value| but(item, json!({ "channel": "C1", "from": { "id": "ann" } }));
    room.tell(by_ann(json!({ "kind": "deleted", "key": "d1", "id": "m6" })))
        .await;
    room.tell(by_ann(
        json!({ "kind": "reacted", "key": "r1", "id": second["message"], "emoji": "🛑" }),
    ))
    .await;
    room.vendor.done_with("as it now stands").await;
    room.say("m7", "recall").await;
    let recalled = room.vendor.done_with("recall").await["text"].to_string();
    assert!(
        !recalled.contains("a draft") && !recalled.contains("not wanted"),
        "{recalled}"
    );
    room.stop().await;
}
