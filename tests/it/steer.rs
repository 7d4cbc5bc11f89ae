//! What is said to an agent that works reaches it while it works.

use crate::room::Room;

/// An agent in the middle of a step.
async fn working(room: &Room) -> serde_json::Value {
    room.say("m1", "work").await;
    room.vendor
        .until("a turn that runs", |view| {
            view["state"] == "running" && !view["stop"].is_null()
        })
        .await["turn"]
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn message_becomes_a_part_of_the_turn_that_runs_by_a_word_and_by_the_bots_setting() {
    for (more, said) in [
        ("", "/steer in red please"),
        ("while_running = \"steer\"", "in red please"),
    ] {
        let room = Room::open(more).await;
        let turn = working(&room).await;
        room.say("m2", said).await;
        let view = room.vendor.done_with("worked, and heard: in red please").await;
        assert_eq!(view["turn"], turn, "no other turn was made");
        assert!(view.to_string().contains("Told while it works: "), "{view}");
        // And the next message is a turn of its own again, in the same conversation.
        room.say("m3", "recall").await;
        let recalled = room.vendor.done_with("recall").await.to_string();
        assert!(
            recalled.contains("work") && recalled.contains("in red please"),
            "{recalled}"
        );
        room.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn message_for_later_waits_although_the_bot_steers_and_a_stop_takes_both() {
    let room = Room::open("while_running = \"steer\"").await;
    let turn = working(&room).await;
    room.say("m2", "/later and then this").await;
    room.vendor.until("a place", |view| view["state"] == "waiting").await;
    room.say("m3", "/stop").await;
    room.vendor
        .until("its end", |view| view["turn"] == turn && view["state"] == "stopped")
        .await;
    room.vendor.done_with("echo: Ann: and then this").await;
    room.stop().await;
}
