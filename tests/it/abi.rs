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
    let brings = json!({
        "attachments": [{ "name": "notes.txt", "source": "f1" }],
        "quotes": { "id": "q1", "from": { "id": "bob" }, "text": "the plan" },
    });
    room.tell(but(said("m1", "look <@bob>"), brings)).await;
    let seen = room.vendor.done_with("notes.txt has 10 bytes").await["text"].to_string();
    for words in ["> Bob: it is red", "> Bob: the plan", "look @Bob"] {
        assert!(seen.contains(words), "{words}: {seen}");
    }

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

    // Files, a command, an edit, a deletion, a reaction.
    room.say("m3", "give report.csv a,b").await;
    assert_eq!(
        room.vendor.done_with("report.csv").await["files"],
        json!(["report.csv"])
    );
    let at = json!({ "key": "c1", "channel": "C1", "from": { "id": "ann" } });
    room.tell(but(json!({ "kind": "command", "name": "whoami", "arguments": "" }), at))
        .await;
    room.vendor
        .until("who it is", |view| view.to_string().contains("ann"))
        .await;
    room.tell(but(
        said("m3", "say it again"),
        json!({ "kind": "edited", "key": "e1" }),
    ))
    .await;
    room.vendor
        .until("an offer", |view| !view["asks"].as_array().is_none_or(Vec::is_empty))
        .await;
    for item in [
        json!({ "kind": "deleted", "key": "d1", "id": "m3" }),
        json!({ "kind": "reacted", "key": "r1", "id": "m1", "emoji": "+1" }),
    ] {
        room.tell(but(item, json!({ "channel": "C1", "from": { "id": "ann" } })))
            .await;
    }
    room.stop().await;
}
