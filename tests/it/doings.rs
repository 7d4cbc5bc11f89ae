//! What people do besides saying something, and what the host makes of it, on a platform that does as a test says.

use serde_json::json;

use crate::room::{Room, but, said};

#[tokio::test(flavor = "multi_thread")]
async fn thread_that_an_adapter_made_is_the_sessions() {
    let room = Room::open("").await;
    room.vendor.with(|kept| kept.opens = Some("T9".into()));
    room.say("m1", "permission remember the dog").await;
    let asking = room
        .vendor
        .until("the question", |view| view["state"] == "asking")
        .await;
    // What is shown after the move says where it lives, and its button is at home there.
    assert_eq!(room.press(&asking, "Allow", Some("T9")).await, "taken: Allowed");
    let done = room.vendor.done_with("allowed: remember the dog").await;
    assert_eq!(done["thread"], "T9");
    // Nobody needs to name the bot there, and it is the same agent's memory, also after a restart.
    let inside = json!({ "thread": "T9", "addressed": false });
    let room = room.restart().await;
    room.tell(but(said("m2", "recall"), inside.clone())).await;
    let recalled = room.vendor.done_with("recall").await;
    assert!(
        recalled["text"]
            .as_str()
            .unwrap_or_default()
            .contains("remember the dog"),
        "{recalled}"
    );
    assert_eq!(recalled["thread"], "T9");
    // A command in the thread is of that session too.
    room.tell(but(said("m3", "/new"), inside.clone())).await;
    room.vendor
        .until("its answer", |view| view.to_string().contains("new conversation"))
        .await;
    room.tell(but(said("m4", "recall it"), inside)).await;
    let fresh = room
        .vendor
        .until("a fresh conversation", |view| {
            view["state"] == "done" && view["text"].as_str().is_some_and(|text| text.ends_with("recall it"))
        })
        .await;
    assert!(!fresh["text"].as_str().unwrap_or_default().contains("dog"), "{fresh}");
    room.stop().await;
}
