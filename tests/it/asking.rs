//! What a person can answer to what an agent asks, on a platform that does as a test says: every way of allowing and
//! denying, with buttons, forms and words.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::room::{Room, but, button, said};

/// The question that stands open.
async fn open(room: &Room) -> Value {
    room.vendor
        .until("an open question", |view| view["state"] == "asking")
        .await
}

/// Somebody presses something, with what a form holds; `key` tells one press from the other.
async fn press(room: &Room, who: &str, token: &Value, values: Value, key: &str) -> String {
    let from = json!({ "id": who });
    let item = json!({ "kind": "press", "key": key, "channel": "C1", "from": from, "token": token, "values": values });
    room.tell(item).await
}

/// Opens the form behind a button.
async fn form(room: &Room, view: &Value, label: &str, key: &str) -> Value {
    let word = press(room, "ann", &button(view, label), Value::Null, key).await;
    serde_json::from_str(&word).unwrap_or_else(|_| panic!("no form: {word}"))
}

/// What the host keeps, by its own file.
fn store(room: &Room) -> rusqlite::Connection {
    rusqlite::Connection::open(room.host.folder().join("data/botyard.db")).expect("the store's file")
}

/// Who did what, oldest first.
fn audited(room: &Room) -> Vec<(String, String)> {
    let store = store(room);
    let mut rows = store
        .prepare("SELECT who, what FROM audit ORDER BY rowid")
        .expect("the audit is there");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let rows = rows.expect("it is read");
    rows.map(|row| row.expect("two texts")).collect()
}

fn by(who: &str, what: &str) -> (String, String) {
    (who.to_owned(), what.to_owned())
}

/// What the scripted agent ran, a line each.
fn ran(room: &Room) -> String {
    fn find(folder: PathBuf) -> Option<String> {
        let entries = std::fs::read_dir(folder).ok()?;
        entries.flatten().find_map(|entry| {
            if entry.file_name() == "ran" {
                return std::fs::read_to_string(entry.path()).ok();
            }
            entry.path().is_dir().then(|| find(entry.path())).flatten()
        })
    }
    find(room.host.folder().to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_is_allowed_for_the_session_and_is_not_asked_for_again_also_after_a_restart() {
    let room = Room::open("").await;
    room.say("m1", "permission ls").await;
    let view = open(&room).await;
    let word = press(
        &room,
        "ann",
        &button(&view, "Allow for this session"),
        Value::Null,
        "p1",
    )
    .await;
    assert_eq!(word, "taken: Allowed for this session");
    room.vendor.done_with("allowed: ls").await;
    // A late press says so, whatever it would have decided.
    let late = press(&room, "ann", &button(&view, "Deny"), Value::Null, "p2").await;
    assert_eq!(late, "refused: Too late: it was allowed already.");
    let room = room.restart().await;
    room.say("m2", "permission ls").await;
    let again = |view: &Value| view["state"] == "done" && view["asks"] == json!([]);
    let done = room.vendor.until("an answer without a question", again).await;
    assert_eq!(done["text"], "allowed: ls");
    // A new conversation has none of it.
    room.say("m3", "/new").await;
    room.vendor
        .until("a new conversation", |view| {
            view.to_string().contains("new conversation")
        })
        .await;
    room.say("m4", "permission ls").await;
    press(&room, "ann", &button(&open(&room).await, "Deny"), Value::Null, "p3").await;
    room.vendor.done_with("denied").await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn command_is_changed_before_it_is_allowed() {
    let room = Room::open("").await;
    room.say("m1", "permission rm -rf build").await;
    let view = open(&room).await;
    let form = form(&room, &view, "Edit…", "p1").await;
    assert_eq!(form["fields"][0]["value"], "rm -rf build");
    let empty = press(&room, "ann", &form["token"], json!([["input", " "]]), "p2").await;
    assert_eq!(empty, r#"correct: [["input","There is nothing to allow."]]"#);
    let sent = press(&room, "ann", &form["token"], json!([["input", "ls build"]]), "p3").await;
    assert_eq!(sent, "taken: Allowed with changes");
    let done = room.vendor.done_with("allowed: ls build").await;
    assert_eq!(done["asks"][0]["settled"], "Allowed with changes by <@ann>: `ls build`");
    assert_eq!(ran(&room), "ls build\n");
    // Sent twice, it is decided once.
    let again = press(&room, "ann", &form["token"], json!([["input", "rm x"]]), "p4").await;
    assert_eq!(again, "refused: Too late: it was allowed already.");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_is_denied_with_a_reason_that_the_agent_reads() {
    let room = Room::open("").await;
    room.say("m1", "permission rm x").await;
    let view = open(&room).await;
    let form = form(&room, &view, "Deny with a reason…", "p1").await;
    let none = press(&room, "ann", &form["token"], json!([]), "p2").await;
    assert!(none.starts_with("correct: "), "{none}");
    let values = json!([["reason", "not on a Friday"]]);
    // A form is its question's: the wrong person is refused with it as with a button.
    let wrong = press(&room, "bob", &form["token"], values.clone(), "p3").await;
    assert_eq!(wrong, "refused: This is not yours to decide.");
    assert_eq!(press(&room, "ann", &form["token"], values, "p4").await, "taken: Denied");
    let kept = [
        by("bob", "press refused: not theirs to decide"),
        by("ann", "DenyBecause by press"),
    ];
    assert_eq!(audited(&room), kept);
    let done = room.vendor.done_with("not on a Friday").await;
    assert!(
        done["text"].as_str().is_some_and(|text| text.starts_with("denied: ")),
        "{done}"
    );
    assert_eq!(ran(&room), "");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_is_approved_or_sent_back_with_what_is_missing() {
    let room = Room::open("").await;
    room.say("m1", "propose").await;
    let view = open(&room).await;
    let form = form(&room, &view, "Say what is missing…", "p1").await;
    press(&room, "ann", &form["token"], json!([["reason", "the tests"]]), "p2").await;
    let done = room.vendor.done_with("again: ").await;
    assert!(done.to_string().contains("says: the tests"), "{done}");
    room.say("m2", "propose").await;
    let approve = button(&open(&room).await, "Go ahead");
    press(&room, "ann", &approve, Value::Null, "p3").await;
    let done = room.vendor.done_with("approved").await;
    assert_eq!(done["asks"][0]["settled"], "Approved by <@ann>");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn question_is_answered_by_a_button_a_form_or_in_words() {
    let room = Room::open("").await;
    room.say("m1", "question").await;
    let red = button(&open(&room).await, "Red");
    assert_eq!(press(&room, "ann", &red, Value::Null, "p1").await, "taken: Answered");
    room.vendor.done_with("answered: Red").await;

    room.say("m2", "question").await;
    let form = form(&room, &open(&room).await, "Something else…", "p2").await;
    press(&room, "ann", &form["token"], json!([["own0", "Green"]]), "p3").await;
    room.vendor.done_with("answered: Green").await;

    room.say("m3", "question").await;
    open(&room).await;
    // Whoever else is in the room cannot answer it.
    let bob = json!({ "from": { "id": "bob" } });
    room.tell(but(said("m4", "/answer Black"), bob)).await;
    room.vendor
        .until("a refusal", |view| view.to_string().contains("not yours to decide"))
        .await;
    room.say("m5", "/answer 1").await;
    room.vendor.done_with("answered: Blue").await;
    let kept = [
        by("ann", "Answer by press"),
        by("ann", "Answer by press"),
        by("bob", "answer refused: not theirs to decide"),
        by("ann", "Answer in words"),
    ];
    assert_eq!(audited(&room), kept);
    // Once it is answered there is nothing left to answer.
    room.say("m6", "/answer 2").await;
    room.vendor
        .until("that it is over", |view| {
            view.to_string().contains("nothing here that this answers")
        })
        .await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_decide_where_a_button_would_and_say_what_is_wrong_with_them() {
    let room = Room::open("").await;
    room.say("m1", "permission rm x").await;
    open(&room).await;
    room.say("m2", "/edit").await;
    room.vendor
        .until("how it is said", |view| view.to_string().contains("`/edit INPUT`"))
        .await;
    room.say("m3", "/edit ls y").await;
    room.vendor.done_with("allowed: ls y").await;
    room.say("m4", "permission rm z").await;
    open(&room).await;
    room.say("m5", "!deny it is needed").await;
    room.vendor.done_with("says: it is needed").await;
    assert_eq!(ran(&room), "ls y\n");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_while_the_host_was_away_holds_for_exactly_that_once() {
    let room = Room::open("").await;
    room.say("m1", "permission rm x").await;
    let view = open(&room).await;
    let form = form(&room, &view, "Edit…", "p1").await;
    // The process that asked is gone; the question and its form are not.
    let room = room.restart().await;
    let sent = press(&room, "ann", &form["token"], json!([["input", "ls x"]]), "p2").await;
    assert_eq!(sent, "taken: Allowed with changes");
    room.vendor.done_with("ls x").await;
    assert_eq!(ran(&room), "ls x\n");
    // The next time it is asked for again.
    room.say("m2", "permission ls x").await;
    let deny = button(&open(&room).await, "Deny");
    press(&room, "ann", &deny, Value::Null, "p3").await;
    room.vendor.done_with("denied").await;
    assert_eq!(ran(&room), "ls x\n");
    room.stop().await;
}

/// Somebody presses something elsewhere.
async fn press_in(room: &Room, channel: &str, token: &Value, key: &str) -> String {
    let from = json!({ "id": "ann" });
    let item = json!({ "kind": "press", "key": key, "channel": channel, "from": from, "token": token });
    room.tell(item).await
}

#[tokio::test(flavor = "multi_thread")]
async fn token_that_is_forged_anothers_replayed_or_over_its_time_decides_nothing_and_says_why() {
    let room = Room::open("").await;
    room.say("m1", "permission ls").await;
    let view = open(&room).await;
    let allow = button(&view, "Allow");
    let unknown = "refused: This button is not known any more.";
    for (number, forged) in [json!("x".repeat(32)), json!("../../etc/passwd")].iter().enumerate() {
        let key = format!("forged{number}");
        assert_eq!(
            press(&room, "ann", forged, Value::Null, &key).await,
            unknown,
            "{forged}"
        );
    }
    let elsewhere = press_in(&room, "C2", &allow, "elsewhere").await;
    assert_eq!(elsewhere, "refused: This button belongs to another conversation.");
    // None of it did anything: the question is as open as before, and the right press decides it, once.
    assert_eq!(ran(&room), "");
    assert_eq!(press(&room, "ann", &allow, Value::Null, "p1").await, "taken: Allowed");
    room.vendor.done_with("allowed: ls").await;
    let replayed = press(&room, "ann", &allow, Value::Null, "p2").await;
    assert_eq!(replayed, "refused: Too late: it was allowed already.");
    assert_eq!(ran(&room), "ls\n");

    // Over its time, although nobody has closed it yet.
    room.say("m2", "permission rm x").await;
    let allow = button(&open(&room).await, "Allow");
    let over = "UPDATE asks SET expires = 1, ask = json_set(ask, '$.expires', 1) WHERE state = 0";
    assert_eq!(store(&room).execute(over, []).expect("it is over"), 1);
    let late = press(&room, "ann", &allow, Value::Null, "p3").await;
    assert_eq!(late, "refused: Too late: this is over.");
    assert_eq!(ran(&room), "ls\n");
    let kept = [
        by("ann", "press refused: another conversation's token"),
        by("ann", "Allow by press"),
    ];
    assert_eq!(audited(&room), kept);
    room.say("m3", "/stop").await;
    room.vendor.until("its end", |view| view["state"] == "stopped").await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn press_after_nobody_decided_in_time_is_too_late_and_nothing_ran() {
    let room = Room::open("ask_timeout = \"10s\"").await;
    room.say("m1", "permission ls").await;
    let allow = button(&open(&room).await, "Allow");
    let done = room.vendor.done_with("Expired: nobody decided in time").await;
    assert!(
        done["text"].as_str().is_some_and(|text| text.starts_with("denied")),
        "{done}"
    );
    let late = press(&room, "ann", &allow, Value::Null, "p1").await;
    assert_eq!(late, "refused: Too late: it was denied already.");
    assert_eq!((ran(&room), audited(&room)), (String::new(), Vec::new()));
    room.stop().await;
}
