//! What people have of many conversations and of long ones: lists in pages, and all of one to take along, on a platform
//! that does as a test says.

use serde_json::{Value, json};

use crate::room::{Room, said};

/// Says something and waits for a view that was not there before and is as it should be.
async fn answered(room: &Room, id: &str, text: &str, like: impl Fn(&Value) -> bool) -> Value {
    let before = room.vendor.standing();
    room.say(id, text).await;
    room.vendor
        .until(&format!("the answer to `{text}`"), |view| {
            like(view) && before.iter().all(|other| other["turn"] != view["turn"])
        })
        .await
}

/// The same of an answer that is done and has this in it.
async fn told(room: &Room, id: &str, text: &str, told: &str) -> Value {
    let like = |view: &Value| view["state"] == "done" && view.to_string().contains(told);
    answered(room, id, text, like).await
}

/// A button of a list, and the list that comes of it.
async fn pressed(room: &Room, view: &Value, label: &str, title: &str) -> Value {
    let before = room.vendor.standing();
    room.press(view, label, None).await;
    room.vendor
        .until(title, |view| {
            view.to_string().contains(title) && before.iter().all(|other| other["turn"] != view["turn"])
        })
        .await
}

/// Seven conversations, one a thing, `thing 7` the current one; the words about one of them are a date.
async fn seven(room: &Room) {
    for number in 1..=7 {
        let words = match number {
            4 => "thing 4 of 2026/11".to_owned(),
            number => format!("thing {number}"),
        };
        told(room, &format!("m{number}"), &words, &format!("echo: Ann: {words}")).await;
        if number < 7 {
            told(room, &format!("n{number}"), "/new", "new conversation begins").await;
        }
    }
}

/// Which things a text tells of.
fn things(text: &Value) -> Vec<u32> {
    let text = text.as_str().unwrap_or_default();
    let first = |line: &str| {
        line.split("ago. Ann: thing ")
            .nth(1)
            .and_then(|rest| rest[..1].parse().ok())
    };
    text.lines().filter_map(first).collect()
}

fn labels(view: &Value) -> Vec<String> {
    let choices = view["asks"][0]["choices"].as_array().cloned().unwrap_or_default();
    choices
        .iter()
        .map(|choice| choice["label"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn list_goes_on_by_a_press_and_a_number_that_is_no_page_is_looked_for() {
    let room = Room::open("").await;
    seven(&room).await;
    let list = told(&room, "l1", "/list", "Sessions (7)").await;
    assert_eq!(things(&list["asks"][0]["text"]), [7, 6, 5, 4, 3]);
    assert_eq!((labels(&list).len(), labels(&list)[4].as_str()), (5, "More"));
    let rest = pressed(&room, &list, "More", "Sessions (7)").await;
    assert_eq!(things(&rest["asks"][0]["text"]), [2, 1]);
    assert_eq!(labels(&rest).len(), 2, "there is no more: {rest}");
    // What is behind can be gone on with.
    let oldest = labels(&rest)[1].clone();
    pressed(&room, &rest, &oldest, &format!("This is {oldest} now.")).await;
    let recalled = told(&room, "r1", "recall", "Ann: recall").await;
    assert!(recalled["text"].to_string().contains("Ann: thing 1 | "), "{recalled}");

    // With words, as well.
    let list = told(&room, "l2", "/list thing", "Sessions (7)").await;
    assert_eq!(things(&list["asks"][0]["text"]), [1, 7, 6, 5, 4]);
    let rest = pressed(&room, &list, "More", "Sessions (7)").await;
    assert_eq!((things(&rest["asks"][0]["text"]), labels(&rest).len()), (vec![3, 2], 2));
    let same = told(&room, "l3", "/list 2/thing", "Sessions (7)").await;
    assert_eq!(things(&same["asks"][0]["text"]), [3, 2]);
    told(&room, "l4", "/list 3/thing", "There are no more.").await;
    told(&room, "l5", "/list 3", "There are no more.").await;
    told(&room, "l6", "/list nothing", "No conversation here has these words.").await;
    for (id, text) in [("l7", "/list 2026"), ("l8", "/list 2026/11")] {
        let found = told(&room, id, text, "Sessions (1)").await;
        assert_eq!(things(&found["asks"][0]["text"]), [4], "{text}");
    }
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn list_says_how_it_goes_on_where_nothing_can_be_pressed() {
    let room = Room::mute("").await;
    seven(&room).await;
    let list = told(&room, "l1", "/list", "Sessions (7)").await;
    assert_eq!(things(&list["text"]), [7, 6, 5, 4, 3]);
    let text = list["text"].as_str().unwrap_or_default();
    assert!(
        text.ends_with("\n`/switch ID` goes on with one.\n\n`/list 2` shows more."),
        "{text}"
    );
    let rest = told(&room, "l2", "/list 2", "Sessions (7)").await;
    assert_eq!(things(&rest["text"]), [2, 1]);
    assert!(!rest["text"].to_string().contains("shows more"), "{rest}");
    let found = told(&room, "l3", "/list thing", "Sessions (7)").await;
    assert!(
        found["text"].to_string().contains("`/list 2/thing` shows more."),
        "{found}"
    );
    room.stop().await;
}

/// What was uploaded last.
async fn uploaded(room: &Room, count: usize) -> (String, String) {
    room.vendor
        .until("a file", |_| room.vendor.with(|kept| kept.uploads.len()) == count)
        .await;
    let last = room.vendor.with(|kept| kept.uploads.last().cloned());
    let (name, bytes) = last.expect("a file");
    (name, String::from_utf8(bytes).expect("a text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn conversation_is_taken_along_as_a_file_whole_and_a_whisper_is_in_words() {
    let room = Room::open("").await;
    told(&room, "m0", "/export", "Nothing was said yet.").await;
    let fenced = "say ```rust\nfn main() {}\n```";
    told(&room, "m1", fenced, "echo: Ann: say").await;
    // More than was ever told in words.
    let long = "ü".repeat(120_000);
    told(&room, "m2", &long, "echo: Ann: ü").await;
    room.say("e1", "/export").await;
    let (name, text) = uploaded(&room, 1).await;
    let id = name
        .strip_prefix("session-")
        .and_then(|name| name.strip_suffix(".md"))
        .expect("its name")
        .to_owned();
    assert_eq!(
        text,
        format!(
            "# Session {id}\n\n**ann:** Ann: {fenced}\n\necho: Ann: {fenced}\n\n**ann:** Ann: {long}\n\necho: Ann: {long}\n"
        )
    );
    room.say("e2", "/export jsonl").await;
    let (name, text) = uploaded(&room, 2).await;
    assert_eq!(name, format!("session-{id}.jsonl"));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[1]["prompt"], format!("Ann: {fenced}"));
    // A whisper holds what words can, from its end on, and says what it lacks.
    let command = |key: &str, arguments: &str| {
        json!({ "kind": "command", "key": key, "channel": "C1", "from": { "id": "ann" }, "name": "export",
            "arguments": arguments })
    };
    told(&room, "m3", "short", "echo: Ann: short").await;
    room.tell(command("c1", "jsonl")).await;
    let whispered = |text: &str| {
        let text = text.to_owned();
        move |view: &Value| view["private_to"] == "ann" && view.to_string().contains(&text)
    };
    let lacks =
        "What was said before that is left out: it is more than a chat takes. The operator can export all of it.";
    room.vendor.until("what is lacking", whispered(lacks)).await;
    let view = room.vendor.until("words", whispered("opened_ms")).await;
    assert_eq!(view["files"], json!([]));
    let text = view["text"].as_str().unwrap_or_default();
    let lines: Vec<Value> = text
        .trim_start_matches("```\n")
        .trim_end_matches("```")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!((lines.len(), &lines[1]["prompt"]), (2, &json!("Ann: short")));
    // And alters nothing of what it holds.
    told(&room, "m4", "/new", "new conversation begins").await;
    told(&room, "m5", fenced, "echo: Ann: say").await;
    room.tell(command("c2", "jsonl")).await;
    let view = room.vendor.until("words", whispered("fn main")).await;
    let text = view["text"].as_str().unwrap_or_default();
    let line = text.lines().nth(2).expect("a turn");
    let turn: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(turn["prompt"], format!("Ann: {fenced}"));
    assert!(!line.contains("```"), "{line}");
    // Not even the last turn.
    told(&room, "m6", &long, "echo: Ann: ü").await;
    room.tell(command("c3", "")).await;
    room.vendor
        .until(
            "a refusal",
            whispered("This is too long for a chat; the operator can export it."),
        )
        .await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_of_a_conversation_is_as_large_as_the_platform_takes_and_says_what_it_lacks() {
    let room = Room::open("").await;
    // The platform takes a megabyte.
    for number in 1..=4 {
        let words = format!("{number} {}", "x".repeat(200_000));
        told(&room, &format!("m{number}"), &words, &format!("echo: Ann: {number} x")).await;
    }
    room.say("e1", "/export").await;
    let (_, text) = uploaded(&room, 1).await;
    let beginnings: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("**ann:**"))
        .map(|line| &line[..15])
        .collect();
    assert_eq!(beginnings, ["**ann:** Ann: 3", "**ann:** Ann: 4"]);
    room.vendor.done_with("What was said before that is left out").await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_conversation_is_exported_whole_and_its_copy_says_what_its_log_lacks() {
    let room = Room::open("").await;
    told(&room, "m1", "one", "echo: Ann: one").await;
    let room = room
        .restart_after(|folder| {
            let store = rusqlite::Connection::open(folder.join("data/botyard.db")).expect("the store's file");
            let long = "UPDATE sessions SET session = json_set(session, '$.turns', 1500)";
            assert_eq!(store.execute(long, []).expect("it is long"), 1);
            let more = "INSERT INTO turns (id, bot, session, inbox, state, attempt, target, asker, prompt, opened, view, files, session_id, kind)
                WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1499)
                SELECT id || '-' || i, bot, session, NULL, state, attempt, target, asker, 'word ' || i, opened + i, NULL, files, session_id, kind
                FROM turns, n";
            assert_eq!(store.execute(more, []).expect("it is there"), 1499);
        })
        .await;
    room.say("e1", "/export").await;
    let (_, text) = uploaded(&room, 1).await;
    let said: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("**ann:** ")).collect();
    let mut all = vec!["Ann: one".to_owned()];
    all.extend((1..=1499).map(|number| format!("word {number}")));
    assert_eq!(said, all);
    room.say("m2", "/fork").await;
    room.vendor
        .done_with(
            "This is a copy now; the original is in `/list`. Here its log begins with the newest 1000 of 1500 turns; the agent \
             has all of them.",
        )
        .await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn help_tells_how_large_a_file_may_be() {
    let room = Room::open("files_max = \"2MiB\"").await;
    room.tell(said("m1", "/help")).await;
    room.vendor
        .done_with("Files go along with a message, each of at most 2 MiB.")
        .await;
    room.stop().await;
}
