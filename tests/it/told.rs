//! What people are told: what went wrong, how it stands, what was said.

use serde_json::{Value, json};

use crate::room::{Room, but, said};

#[tokio::test(flavor = "multi_thread")]
async fn failure_of_the_model_is_a_sentence_and_the_next_message_is_answered() {
    let room = Room::open("").await;
    room.say("m1", "fail 429 slow down").await;
    let failed = room.vendor.until("a failure", |view| view["state"] == "failed").await;
    assert_eq!(failed["text"], "", "{failed}");
    room.tell(but(said("m2", "and here"), json!({ "channel": "C2" }))).await;
    let other = room.vendor.done_with("echo: Ann: and here").await;
    assert_eq!(other["channel"], "C2");
    room.say("m3", "/history").await;
    let history = room.vendor.done_with("> failed: ").await;
    let text = history["text"].as_str().unwrap_or_default();
    assert!(
        text.ends_with("\n> failed: The agent's model refuses more requests for now; try again in a while.\n"),
        "{text}"
    );
    // The process is the one that failed.
    room.say("m4", "recall").await;
    room.vendor.done_with("fail 429 slow down | Ann: recall").await;
    let failures = room
        .vendor
        .standing()
        .into_iter()
        .filter(|view| view["state"] == "failed");
    assert_eq!(failures.count(), 1, "once is enough");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_for_how_long_it_works() {
    let room = Room::open("").await;
    room.say("m1", "hang").await;
    let runs = |view: &Value| view["state"] == "running" && !view["stop"].is_null();
    room.vendor.until("a turn that runs", runs).await;
    room.say("m2", "/status").await;
    let status = room.vendor.done_with("It is working").await;
    let text = status["text"].as_str().unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let rest = line
        .strip_prefix("It is working, for ")
        .unwrap_or_else(|| panic!("{text}"));
    let (turn, rest) = rest.split_once(" s by now, and said something last ").expect(line);
    let silence = rest.strip_suffix(" s ago; 0 waiting.").expect(line);
    let seconds = [turn, silence].map(|told| told.parse::<u64>().expect(line));
    assert!(seconds[1] <= seconds[0] && seconds[0] < 60, "{line}");
    room.say("m3", "/stop").await;
    room.vendor.until("the end", |view| view["state"] == "stopped").await;
    room.say("m4", "/status").await;
    room.vendor.done_with("It is idle; 0 waiting.").await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_the_newest_in_their_order() {
    let room = Room::open("").await;
    room.say("m0", "/history").await;
    room.vendor.done_with("Nothing was said yet.").await;
    for n in 1..=6 {
        room.say(&format!("m{n}"), &format!("word {n}")).await;
        room.vendor.done_with(&format!("echo: Ann: word {n}")).await;
    }
    room.say("m7", "/history").await;
    let history = room.vendor.done_with("# Session ").await;
    let text = history["text"].as_str().unwrap_or_default();
    let turn = |n| format!("\n**ann:** Ann: word {n}\n\necho: Ann: word {n}\n");
    let newest = (2..=6).map(turn).collect::<String>();
    let (head, rest) = text.split_once('\n').unwrap_or_default();
    assert!(head.starts_with("# Session "), "{text}");
    assert_eq!(rest, newest);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_of_a_megabyte_is_answered_or_refused_in_words() {
    let room = Room::open("").await;
    let long = format!("say {}", "ü ".repeat(340_000));
    assert!(long.len() > 1_000_000);
    room.say("m1", &long).await;
    let whole = format!("echo: Ann: {}", long.trim_end());
    let answered =
        |view: &Value| view["state"] == "done" && view["text"].as_str().is_some_and(|text| text.trim_end() == whole);
    room.vendor.until("the whole of it", answered).await;
    // What the platform does not hand over is refused there, and what comes next is right.
    let (status, _) = room
        .post(&json!({ "items": [said("m2", &"x".repeat(2_000_000))] }))
        .await;
    assert_eq!(status, 413);
    room.say("m3", "and now").await;
    room.vendor.done_with("echo: Ann: and now").await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_in_the_background_is_told_and_is_ended_by_a_stop() {
    let room = Room::open("").await;
    let answered = async |id: &str, said: &str, text: &str| {
        let before = room.vendor.standing();
        room.say(id, said).await;
        let is = |view: &Value| {
            view["state"] == "done"
                && view.to_string().contains(text)
                && before.iter().all(|other| other["turn"] != view["turn"])
        };
        room.vendor.until(&format!("`{text}` to `{said}`"), is).await
    };
    answered("m1", "remember red", "echo: Ann: remember red").await;
    answered(
        "m2",
        "/new",
        "A new conversation begins with your next message. The last one is in `/list`.",
    )
    .await;
    answered("m3", "linger", "it runs on").await;
    let idle = "It is idle but for a task in the background, which `/stop` ends; 0 waiting.";
    answered("m4", "/status", idle).await;
    let refused = "A task of the agent runs on in the background. Wait for it, or say `/stop` to end it.";
    answered("m5", "/resume", refused).await;
    answered("m6", "/stop", "Ending what runs in the background.").await;
    answered("m7", "/stop", "Nothing is running.").await;
    answered("m8", "/status", "It is idle; 0 waiting.").await;
    // The conversation is what it was, in another process.
    answered("m9", "recall", "linger | Ann: recall").await;
    answered("m10", "linger", "it runs on").await;
    let ended = "A new conversation begins with your next message. What the agent ran in the background is ended. The last \
                 one is in `/list`.";
    answered("m11", "/new", ended).await;
    room.say("m12", "hang").await;
    let runs = |view: &Value| view["state"] == "running" && !view["stop"].is_null();
    room.vendor.until("a turn that runs", runs).await;
    for (id, text) in [("m13", "remember blue"), ("m14", "recall it")] {
        room.say(id, text).await;
        let waits = |view: &Value| view["state"] == "waiting";
        room.vendor.until("a message that waits", waits).await;
    }
    answered("m15", "/queue", "2. <@ann>: Ann: recall it").await;
    room.say("m16", "/new").await;
    room.vendor
        .done_with("A new conversation begins, with the 2 messages that wait.")
        .await;
    room.vendor.done_with("Ann: remember blue | Ann: recall it").await;
    room.stop().await;
}
