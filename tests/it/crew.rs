//! What people do while several agents are at it: command them, stop them, answer them, change and delete what was said,
//! on a platform that does as a test says.

use std::path::Path;

use serde_json::{Value, json};

use crate::binary::botyard;
use crate::operator::{listed, text};
use crate::room::{Room, but, said};
use crate::routing::{ONE, asked, crew, done, texts, told};

/// Ann gives the platform's own command, with these words behind it.
async fn command(room: &Room, key: &str, words: &str) {
    let from = json!({ "id": "ann", "name": "Ann" });
    room.tell(
        json!({ "kind": "command", "key": key, "channel": "C1", "from": from, "name": "botyard", "arguments": words }),
    )
    .await;
}

fn edited(id: &str, text: &str) -> Value {
    but(said(id, text), json!({ "kind": "edited", "key": format!("edit-{id}") }))
}

/// The same message with a file.
fn with_file(item: Value) -> Value {
    but(item, json!({ "attachments": [{ "name": "plan.txt", "source": "f1" }] }))
}

/// How many replies say this.
fn count(room: &Room, text: &str) -> usize {
    let all = room.vendor.standing();
    all.iter().filter(|view| view.to_string().contains(text)).count()
}

fn store(folder: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join("data/botyard.db")).expect("the store's file")
}

#[tokio::test(flavor = "multi_thread")]
async fn command_behind_a_name_in_the_platforms_own_is_for_whoever_is_named() {
    let room = Room::open(&crew(r#"{ to = ["reviewer"] }, { to = ["echo"] }"#)).await;
    room.say("m1", "@reviewer hang").await;
    let running = |view: &Value| view["state"] == "running" && view["text"] == "**reviewer**";
    room.vendor.until("the reviewer at work", running).await;
    command(&room, "c1", "@review stop").await;
    told(&room, "Nothing is running.").await;
    command(&room, "c2", "@reviewer stop").await;
    told(&room, "Stopping.").await;
    let stopped = |view: &Value| view["state"] == "stopped" && view["text"] == "**reviewer**";
    room.vendor.until("its end", stopped).await;
    // What whispers in the platform's menu whispers behind a name too.
    command(&room, "c3", "@reviewer /history").await;
    let whispered = |view: &Value| view["private_to"] == "ann" && view.to_string().contains("Ann: hang");
    room.vendor.until("what was said", whispered).await;
    command(&room, "c4", "@reviewer @tester new").await;
    let both = |_: &Value| count(&room, "A new conversation begins") == 2;
    room.vendor.until("one of each", both).await;
    // Words stay words, also with one that says how they come.
    command(&room, "c5", "@reviewer /now hello").await;
    done(&room, "**reviewer**echo: Ann: hello").await;
    command(&room, "c6", "@reviewer stop it").await;
    done(&room, "**reviewer**echo: Ann: stop it").await;
    room.say("m2", "@reviewer recall").await;
    done(&room, "**reviewer**Ann: hello | Ann: stop it | Ann: recall").await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_what_runs_and_the_message_behind_it_is_answered() {
    let room = Room::open(&crew(ONE)).await;
    // Turns that have no process yet end at once when they are stopped.
    let one_process = |folder: &Path| {
        let file = folder.join("bots.toml");
        let text = std::fs::read_to_string(&file).expect("bots.toml");
        let text = text.replacen("[host]", "[host]\nmax_processes = 1", 1);
        std::fs::write(file, text).expect("it is written");
    };
    let room = room.restart_after(one_process).await;
    room.say("m1", "@tester hang").await;
    let running = |view: &Value| view["state"] == "running" && view["text"] == "**tester**";
    room.vendor.until("the tester at work", running).await;
    room.say("m2", "@scripted @reviewer look").await;
    room.say("m3", "after it").await;
    let waiting = |_: &Value| {
        let all = room.vendor.standing();
        all.iter().filter(|view| view["state"] == "waiting").count() == 3
    };
    room.vendor.until("three that wait", waiting).await;
    room.say("m4", "/stop").await;
    told(&room, "Stopping.").await;
    told(&room, "Stopped for all of them.").await;
    done(&room, "echo: Ann: after it").await;
    let stopped = |_: &Value| {
        let all = room.vendor.standing();
        all.iter().filter(|view| view["state"] == "stopped").count() == 3
    };
    room.vendor.until("all that ran", stopped).await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_that_is_deleted_on_its_way_goes_no_further() {
    let room = Room::open(&crew(r#"{ to = ["reviewer", "tester"] }, { to = ["echo"] }"#)).await;
    room.say("m1", "@reviewer permission ls").await;
    let view = asked(&room, "**reviewer**").await;
    room.say("m2", "@review forget me").await;
    // What an agent had comes to its end.
    done(&room, "**tester**echo: Ann: forget me").await;
    let gone = json!({ "kind": "deleted", "key": "d1", "channel": "C1", "id": "m2", "from": { "id": "?" } });
    room.tell(gone).await;
    let withdrawn = room.vendor.until("its end", |view| view["state"] == "stopped").await;
    assert_eq!(withdrawn["notices"], json!(["Withdrawn: the message was deleted."]));
    told(&room, "The route `review` was stopped at step 1 of 2.").await;
    room.press(&view, "Allow", None).await;
    done(&room, "**reviewer**allowed: ls").await;
    room.say("m3", "@reviewer recall").await;
    done(&room, "**reviewer**Ann: permission ls | Ann: recall").await;
    room.say("m4", "@echo recall").await;
    done(&room, "**echo**Ann: recall").await;
    assert_eq!(texts(&room).len(), 6, "{:?}", texts(&room));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_is_edited_while_a_file_is_brought_says_whom_it_is_for() {
    let room = Room::open(&crew(ONE)).await;
    room.vendor
        .with(|kept| kept.files.insert("f1".into(), b"a plan".to_vec()));
    room.vendor.give_files(false);
    room.tell(with_file(said("m1", "@reviewer look"))).await;
    room.tell(edited("m1", "@tester see")).await;
    room.tell(with_file(said("m2", "@reviewer look"))).await;
    room.tell(edited("m2", "@scripted @tester hear")).await;
    // Behind the edits.
    room.say("m3", "@echo go on").await;
    done(&room, "**echo**Ann: go on").await;
    room.vendor.give_files(true);
    let begins = |text: &'static str| {
        let said = move |view: &Value| {
            view["state"] == "done" && view["text"].as_str().is_some_and(|said| said.starts_with(text))
        };
        room.vendor.until(text, said)
    };
    begins("**tester**echo: Ann: see").await;
    begins("**tester**echo: Ann: hear").await;
    begins("echo: Ann: hear").await;
    told(&room, "`scripted` and `tester` answered.").await;
    room.say("m4", "@reviewer recall").await;
    done(&room, "**reviewer**Ann: recall").await;
    assert_eq!(texts(&room).len(), 6, "{:?}", texts(&room));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_for_one_is_behind_what_was_said_to_several_before() {
    let room = Room::open(&crew(ONE)).await;
    let several = said("m1", "@scripted @reviewer first");
    let (status, _) = room
        .post(&json!({ "items": [several, said("m2", "@reviewer second")] }))
        .await;
    assert!(matches!(status, 200 | 202), "{status}");
    done(&room, "**reviewer**echo: Ann: second").await;
    room.say("m3", "@reviewer recall").await;
    done(&room, "**reviewer**Ann: first | Ann: second | Ann: recall").await;
    // Also where it waits for a file.
    room.vendor
        .with(|kept| kept.files.insert("f1".into(), b"a plan".to_vec()));
    room.vendor.give_files(false);
    room.tell(with_file(said("m4", "@scripted @reviewer third"))).await;
    room.say("m5", "@reviewer fourth").await;
    // The others are free.
    room.say("m6", "@tester go on").await;
    done(&room, "**tester**echo: Ann: go on").await;
    room.vendor.give_files(true);
    done(&room, "**reviewer**echo: Ann: fourth").await;
    told(&room, "**reviewer**echo: Ann: third").await;
    room.say("m7", "@reviewer recall all").await;
    let recalled = told(&room, "Ann: recall all").await["text"].to_string();
    let [third, fourth] = ["Ann: third", "Ann: fourth"].map(|said| recalled.find(said).expect("it was heard"));
    assert!(third < fourth, "{recalled}");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_a_message_unless_they_would_answer_one_of_the_questions() {
    let room = Room::mute(&crew(ONE)).await;
    room.say("m1", "@tester @reviewer permission id").await;
    asked(&room, "**tester**").await;
    asked(&room, "**reviewer**").await;
    room.say("m2", "hello").await;
    done(&room, "echo: Ann: hello").await;
    // Of somebody who may not decide, these are words too.
    let bob = json!({ "from": { "id": "bob", "name": "Bob" } });
    room.tell(but(said("m3", "yes"), bob)).await;
    done(&room, "echo: Bob: yes").await;
    room.say("m4", "yes").await;
    told(&room, "More than one agent asks here.").await;
    room.say("m5", "@reviewer no, not now").await;
    told(&room, "**reviewer**denied").await;
    // One asks: it is the one that is meant.
    room.say("m6", "yes").await;
    done(&room, "**tester**allowed: id").await;
    room.say("m7", "yes").await;
    done(&room, "echo: Ann: yes").await;
    assert_eq!(count(&room, "More than one agent asks here."), 1);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_that_cannot_be_stored_is_told_so_and_the_platforms_own_is_tried_again() {
    let room = Room::open(&crew(r#"{ to = ["reviewer"] }, { to = ["echo"] }"#)).await;
    room.say("m1", "@review permission ls").await;
    asked(&room, "**reviewer**").await;
    let store = store(room.host.folder());
    let trouble = "CREATE TRIGGER trouble BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'no'); END";
    store.execute_batch(trouble).expect("the trouble");
    room.say("m2", "@review /stop").await;
    told(&room, "That could not be stored just now. Please say it again.").await;
    room.tell(json!({ "kind": "stop", "key": "s1", "channel": "C1", "from": { "id": "ann" } }))
        .await;
    // What is said behind it waits for it, so that it stops nothing that came later.
    room.say("m3", "after it").await;
    let state = || {
        let sql = "SELECT state FROM inbox WHERE json_extract(item, '$.origin.key') LIKE '%s1'";
        store.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("its row")
    };
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!((state(), count(&room, "after it")), (0, 0));
    assert_eq!(count(&room, "Nothing is running.") + count(&room, "Stopping."), 0);
    store.execute_batch("DROP TRIGGER trouble").expect("the trouble's end");
    let last = |view: &Value| view.to_string().contains("The route `review` ");
    room.vendor.until("the last word", last).await;
    crate::binary::eventually("the stop to be done with", async || (state() == 2).then_some(())).await;
    room.vendor.done_with("after it").await;
    assert_eq!(count(&room, "**echo**"), 0);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_can_no_longer_be_read_ends_with_one_sentence() {
    let room = Room::open(&crew(r#"{ to = ["reviewer", "tester"] }, { to = ["echo"] }"#)).await;
    room.say("m1", "@review permission ls").await;
    let views = [asked(&room, "**reviewer**").await, asked(&room, "**tester**").await];
    let damage = |folder: &Path| {
        assert_eq!(
            store(folder)
                .execute("UPDATE runs SET run = '{'", [])
                .expect("it is damaged"),
            1
        );
    };
    let room = room.restart_after(damage).await;
    told(&room, "botyard can no longer read what it had kept of this").await;
    let room = room.restart().await;
    for (view, name) in views.iter().zip(["reviewer", "tester"]) {
        room.press(view, "Allow", None).await;
        done(&room, &format!("**{name}**allowed: ls")).await;
    }
    room.say("m2", "/status").await;
    told(&room, "No conversation yet.").await;
    assert_eq!(texts(&room).len(), 4, "{:?}", texts(&room));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_that_are_new_here_read_what_was_said_before() {
    let room = Room::open(&format!("history = 2\n{}", crew(ONE))).await;
    room.say("m1", "hello").await;
    done(&room, "echo: Ann: hello").await;
    let red = json!({ "id": "b1", "from": { "id": "bob", "name": "Bob" }, "text": "the build is red", "sent": 2 });
    room.vendor.with(|kept| kept.said = vec![red]);
    // Whoever is here already is no reason that the others are told nothing.
    room.say("m2", "@reviewer @tester what is wrong").await;
    for name in ["reviewer", "tester"] {
        let knows = |view: &Value| {
            let text = view["text"].as_str().unwrap_or_default();
            view["state"] == "done"
                && text.starts_with(&format!("**{name}**"))
                && text.contains("> Bob: the build is red")
        };
        room.vendor.until(name, knows).await;
    }
    // They know it now.
    room.say("m3", "@reviewer @tester and now").await;
    done(&room, "**reviewer**echo: Ann: and now").await;
    done(&room, "**tester**echo: Ann: and now").await;
    room.stop().await;
}

/// In which tables something of this stands.
fn tables_with(folder: &Path, word: &str) -> Vec<String> {
    let store = store(folder);
    let names = |sql: &str| {
        let mut rows = store.prepare(sql).expect("the schema");
        let rows = rows.query_map([], |row| row.get::<_, String>(0)).expect("it is read");
        rows.map(|row| row.expect("a name")).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for table in names("SELECT name FROM sqlite_schema WHERE type = 'table'") {
        for column in names(&format!("SELECT name FROM pragma_table_info('{table}')")) {
            let sql = format!("SELECT count(*) FROM {table} WHERE instr(CAST({column} AS TEXT), ?) > 0");
            let count: i64 = store.query_row(&sql, [word], |row| row.get(0)).expect("a count");
            if count > 0 {
                found.push(format!("{table}.{column}"));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_stands_nowhere_when_every_session_that_heard_it_is_forgotten() {
    let steps = r#"{ to = ["scripted"] }, { to = ["reviewer", "broken"], say = "{answer} {message}" }"#;
    let room = Room::open(&crew(steps)).await;
    room.say("m1", "@review the needle").await;
    told(&room, "`reviewer` answered; `broken` did not answer").await;
    room.say("m2", "@scripted @tester a needle").await;
    told(&room, "`scripted` and `tester` answered.").await;
    room.tell(edited("m2", "@scripted @tester another needle")).await;
    told(&room, "That message was taken up already").await;
    // Into a turn that runs, as a part of an album, changed later.
    room.say("m3", "work").await;
    let works = |view: &Value| view["state"] == "running" && !view["stop"].is_null();
    room.vendor.until("a turn that runs", works).await;
    room.say("m4", "/steer a needle too").await;
    told(&room, "worked, and heard: a needle too").await;
    // It is a part of that turn: nobody reads it here any more.
    room.tell(edited("m4", "/steer still a needle")).await;
    for part in ["a1", "a2"] {
        let album = json!({ "group": "g1", "settle_ms": 300 });
        room.tell(but(said(part, &format!("needle of {part}")), album)).await;
    }
    told(&room, "needle of a2").await;
    room.say("m5", "one needle").await;
    done(&room, "echo: Ann: one needle").await;
    room.tell(edited("m5", "two needles")).await;
    let offer = room.vendor.until("the offer", |view| view["state"] == "asking").await;
    room.press(&offer, "Keep", None).await;
    told(&room, "Kept as it was").await;
    let folder = room.host.stop().await;
    assert!(!tables_with(folder.path(), "needle").is_empty());
    let sessions = listed(folder.path()).await;
    let ids: Vec<&str> = sessions
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|session| session["id"].as_str())
        .collect();
    assert_eq!(ids.len(), 4, "{sessions}");
    for id in ids {
        text(&botyard(folder.path(), &["sessions", "delete", id, "--yes"]).await);
    }
    assert_eq!(tables_with(folder.path(), "needle"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_cannot_do_is_said_of_that_one_and_offered_for_the_others() {
    let room = Room::open(&crew(ONE)).await;
    room.say("m1", "@echo hello").await;
    done(&room, "**echo**Ann: hello").await;
    let answered = async |id: &str, said: &str, text: &str| {
        let before = room.vendor.standing();
        room.say(id, said).await;
        let is =
            |view: &Value| view.to_string().contains(text) && before.iter().all(|other| other["turn"] != view["turn"]);
        room.vendor.until(&format!("`{text}` to `{said}`"), is).await
    };
    answered("m2", "@echo /cost", "1 turn. This agent does not count what it uses.").await;
    answered("m3", "@echo /tools", "This agent does not tell its tools.").await;
    for (id, said) in [("m4", "compact"), ("m5", "mode"), ("m6", "model"), ("m7", "fork")] {
        answered(id, &format!("@echo /{said}"), "This agent cannot do that.").await;
    }
    // Another can.
    answered("m8", "/help", "`/compact [FOCUS]`").await;
    room.stop().await;
}
