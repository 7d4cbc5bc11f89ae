//! What people do with the conversations that they have: list, switch, name, copy, choose, sum up, on a platform that
//! does as a test says.

use serde_json::{Value, json};

use crate::room::{Room, but, button, said};

/// The answer to a command: a view that has this in it.
async fn told(room: &Room, text: &str) -> Value {
    room.vendor
        .until(&format!("`{text}`"), |view| view.to_string().contains(text))
        .await
}

/// The newest view that has a button or a notice of a list.
async fn list(room: &Room, id: &str) -> Value {
    let before = room.vendor.standing();
    room.say(id, "/list").await;
    room.vendor
        .until("a list with what is there", |view| {
            let title = view["asks"][0]["title"].as_str().unwrap_or_default();
            title.starts_with("Sessions") && before.iter().all(|other| other["turn"] != view["turn"])
        })
        .await
}

async fn press(room: &Room, view: &Value, label: &str, key: &str) -> String {
    let from = json!({ "id": "ann" });
    let token = button(view, label);
    room.tell(json!({ "kind": "press", "key": key, "channel": "C1", "from": from, "token": token }))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn conversation_is_put_by_listed_by_its_name_and_gone_on_with() {
    let room = Room::open("").await;
    room.say("m1", "remember red").await;
    room.vendor.done_with("echo: Ann: remember red").await;
    room.say("m2", "/rename my colors").await;
    told(&room, "Renamed.").await;
    room.say("m3", "/new").await;
    told(&room, "new conversation begins").await;
    room.say("m4", "only blue here").await;
    room.vendor.done_with("echo: Ann: only blue here").await;

    let room = room.restart().await;
    let view = list(&room, "m5").await;
    let ask = &view["asks"][0];
    assert_eq!(ask["title"], "Sessions (2)");
    let text = ask["text"].as_str().unwrap_or_default();
    assert!(
        text.contains("**my colors**") && text.contains("remember red") && text.contains("(current)"),
        "{text}"
    );
    // Only what is not current can be pressed.
    assert_eq!(ask["choices"].as_array().map(Vec::len), Some(1));
    press(&room, &view, "my colors", "p1").await;
    told(&room, "This is my colors now.").await;
    room.say("m6", "recall").await;
    let recalled = room.vendor.done_with("recall").await;
    let text = recalled["text"].as_str().unwrap_or_default();
    assert!(text.contains("remember red") && !text.contains("blue"), "{text}");
    // And back, without a name: the one before.
    let switched = room.vendor.standing();
    room.say("m7", "/resume").await;
    room.vendor
        .until("the switch back", |view| {
            view.to_string().contains(" now.") && switched.iter().all(|other| other["turn"] != view["turn"])
        })
        .await;
    room.say("m8", "recall blue").await;
    let back = |view: &Value| {
        view["text"]
            .as_str()
            .is_some_and(|text| text.contains("only blue here | Ann: recall blue"))
    };
    room.vendor.until("the other memory", back).await;
    room.stop().await;
}

/// The files in which the scripted CLI keeps its conversations.
pub(crate) fn transcripts(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "jsonl") {
            found.push(path);
            continue;
        }
        transcripts(&path, found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conversation_outlives_the_folder_of_the_cli_a_torn_transcript_and_a_damaged_row() {
    let mut room = Room::open("").await;
    room.say("m1", "remember red").await;
    room.vendor.done_with("echo: Ann: remember red").await;
    let given = "The agent had lost what was said here before; it was given it again, from botyard's log.";
    for (id, broken) in [("m2", "folder"), ("m3", "transcript"), ("m4", "row")] {
        let break_it = |folder: &std::path::Path| {
            if broken == "row" {
                let store = rusqlite::Connection::open(folder.join("data/botyard.db")).expect("the store's file");
                let damage = "UPDATE sessions SET session = '{' WHERE current = 1";
                assert_eq!(store.execute(damage, []).expect("it is damaged"), 1);
                return;
            }
            let mut files = Vec::new();
            transcripts(&folder.join("data"), &mut files);
            assert_eq!(files.len(), 1, "{files:?}");
            if broken == "transcript" {
                let text = std::fs::read(&files[0]).expect("it is there");
                std::fs::write(&files[0], &text[1..]).expect("it is torn");
            } else {
                let all = files[0].ancestors().nth(3).expect("a folder");
                std::fs::remove_dir_all(all).expect("it goes");
            }
        };
        room = room.restart_after(break_it).await;
        room.say(id, &format!("recall {id}")).await;
        let recalled = |view: &Value| {
            let text = view["text"].as_str().unwrap_or_default();
            view["state"] == "done" && text.contains("remember red") && text.contains(&format!("recall {id}"))
        };
        let view = room.vendor.until("what was said", recalled).await;
        assert!(view["notices"].to_string().contains(given), "{view}");
    }
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_of_another_place_and_hostile_words_find_nothing() {
    let room = Room::open("").await;
    room.say("m1", "a secret").await;
    room.vendor.done_with("echo: Ann: a secret").await;
    room.say("m2", "/whoami").await;
    let who = told(&room, "This is ").await;
    let text = who["text"].as_str().unwrap_or_default();
    let id = text
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned();
    assert!(text.starts_with("You are `ann` (Ann). You may decide"), "{text}");
    // The same id, said elsewhere, is as if it did not exist.
    let elsewhere = json!({ "channel": "C2" });
    let hostile = [
        format!("/switch {id}"),
        "/switch ../../etc/passwd".to_owned(),
        format!("/switch {}", "x".repeat(10_000)),
        "/switch a\u{0}b".to_owned(),
        "/switch ' OR 1=1 --".to_owned(),
        format!("/rename {}", "y".repeat(10_000)),
        "/rename a\u{0}b".to_owned(),
        "/model --dangerously-skip-permissions".to_owned(),
        "/mode bypassPermissions".to_owned(),
        "/queue drop 99999999999999999999999".to_owned(),
        "/list -1".to_owned(),
    ];
    for (number, text) in hostile.iter().enumerate() {
        room.tell(but(said(&format!("h{number}"), text), elsewhere.clone()))
            .await;
    }
    let answers = |room: &Room| {
        let standing = room.vendor.standing();
        let mine = standing
            .into_iter()
            .filter(|view| view["channel"] == "C2" && view["state"] == "done");
        mine.map(|view| view["notices"][0].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    room.vendor
        .until("every answer", |_| answers(&room).len() == hostile.len())
        .await;
    let mut answers = answers(&room);
    answers.sort();
    let of = |text: &str| answers.iter().filter(|answer| answer.starts_with(text)).count();
    assert_eq!(of("There is nothing like that here."), 5, "{answers:?}");
    assert_eq!(of("That is no name"), 2, "{answers:?}");
    assert_eq!(of("That is no model"), 1, "{answers:?}");
    assert_eq!(of("There is no such one. There are: `default`"), 1, "{answers:?}");
    assert_eq!(of("Say it like this"), 1, "{answers:?}");
    assert_eq!(of("No conversation yet."), 1, "{answers:?}");
    // The next turn is right.
    room.tell(but(said("m3", "and now"), elsewhere)).await;
    room.vendor.done_with("echo: Ann: and now").await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fork_goes_on_in_a_copy_and_the_original_stays_as_it_was() {
    let room = Room::open("").await;
    room.say("m1", "/fork").await;
    told(&room, "Nothing was said here yet.").await;
    room.say("m2", "one").await;
    room.vendor.done_with("echo: Ann: one").await;
    room.say("m3", "/rename first").await;
    told(&room, "Renamed.").await;
    room.say("m4", "/fork").await;
    told(&room, "This is a copy now").await;
    room.say("m5", "two").await;
    room.vendor.done_with("echo: Ann: two").await;
    room.say("m6", "recall copy").await;
    let copy = |view: &Value| {
        let text = view["text"].as_str().unwrap_or_default();
        view["state"] == "done" && text.contains("one | Ann: two | Ann: recall copy")
    };
    room.vendor.until("both memories in the copy", copy).await;
    room.say("m7", "/switch FIRST").await;
    told(&room, "This is first now.").await;
    room.say("m8", "recall original").await;
    let original = |view: &Value| {
        view["text"]
            .as_str()
            .is_some_and(|text| text.contains("one | Ann: recall original"))
    };
    room.vendor.until("the original's memory", original).await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn model_and_mode_are_chosen_and_kept_over_a_restart() {
    let room = Room::open("approvers = [\"ann\"]\nasker_approves = false").await;
    room.say("m1", "model").await;
    room.vendor.done_with("model: fake").await;
    room.say("m2", "/model").await;
    told(&room, "There are: `fake`, `other`.").await;
    room.say("m3", "/model nonsense").await;
    told(&room, "There is no such one. There are: `fake`, `other`.").await;
    room.say("m4", "/model other").await;
    told(&room, "From now on").await;
    room.say("m5", "model").await;
    room.vendor.done_with("model: other").await;
    // Who may not decide what it does may not choose how much it asks.
    let bob = json!({ "from": { "id": "bob" } });
    room.tell(but(said("m6", "/mode acceptEdits"), bob)).await;
    told(&room, "This is not yours to decide.").await;
    room.say("m7", "/mode plan").await;
    room.vendor
        .until("the second such word", |_| {
            room.vendor
                .standing()
                .iter()
                .filter(|view| view.to_string().contains("From now on"))
                .count()
                == 2
        })
        .await;
    room.say("m8", "mode").await;
    room.vendor.done_with("mode: plan").await;
    let room = room.restart().await;
    room.vendor.with(|kept| kept.shown.clear());
    room.say("m9", "mode").await;
    room.vendor.done_with("mode: plan").await;
    room.say("m10", "model").await;
    room.vendor.done_with("model: other").await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversation_is_summed_up_and_counted() {
    let room = Room::open("").await;
    room.say("m0", "/compact").await;
    told(&room, "Nothing was said here yet.").await;
    room.say("m1", "one").await;
    room.vendor.done_with("echo: Ann: one").await;
    room.say("m2", "two").await;
    room.vendor.done_with("echo: Ann: two").await;
    room.say("m3", "/compact the numbers").await;
    told(&room, "The conversation is summed up.").await;
    room.say("m4", "recall").await;
    room.vendor.done_with("summary of").await;
    room.say("m5", "/cost").await;
    let cost = told(&room, " turns, ").await;
    assert!(
        cost["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("3 turns, ") && text.contains("dollars")),
        "{cost}"
    );
    room.say("m8", "/tools").await;
    told(&room, "It can use: `Bash`, `Read`.").await;
    room.say("m9", "/workspace").await;
    told(&room, "It works in `").await;
    room.stop().await;
}

/// Begins a turn that takes until it is stopped, and waits until it runs.
async fn busy(room: &Room, id: &str) {
    room.say(id, "hang").await;
    room.vendor
        .until("a turn that runs", |view| {
            view["state"] == "running" && !view["stop"].is_null()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_interrupts_where_the_bot_says_so_and_where_a_word_does() {
    let room = Room::open("while_running = \"interrupt\"").await;
    busy(&room, "m1").await;
    room.say("m2", "this instead").await;
    room.vendor.done_with("echo: Ann: this instead").await;
    let stopped = |view: &Value| view["state"] == "stopped";
    room.vendor.until("the first one's end", stopped).await;
    room.stop().await;

    let room = Room::open("").await;
    busy(&room, "m1").await;
    room.say("m2", "afterwards").await;
    room.vendor.until("a place", |view| view["state"] == "waiting").await;
    room.say("m3", "/now this first").await;
    let (first, second) = (
        room.vendor.done_with("echo: Ann: this first").await,
        room.vendor.done_with("echo: Ann: afterwards").await,
    );
    assert_ne!(first["turn"], second["turn"]);
    let shown = room.vendor.with(|kept| kept.shown.clone());
    let done = |turn: &Value| {
        shown
            .iter()
            .position(|view| view["turn"] == *turn && view["state"] == "done")
    };
    assert!(done(&first["turn"]) < done(&second["turn"]), "{shown:#?}");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queue_is_shown_what_waits_is_dropped_and_the_rest_survives_a_stop() {
    let room = Room::open("").await;
    busy(&room, "m1").await;
    room.say("m2", "second").await;
    room.say("m3", "third").await;
    let places = |room: &Room| {
        let standing = room.vendor.standing();
        standing.iter().filter(|view| view["state"] == "waiting").count()
    };
    room.vendor.until("two that wait", |_| places(&room) == 2).await;
    room.say("m4", "/queue").await;
    let queue = told(&room, "1. <@ann>").await;
    let text = queue["text"].as_str().unwrap_or_default();
    assert!(text.contains("1. <@ann>: Ann: second\n2. <@ann>: Ann: third"), "{text}");
    // Somebody else's words are not for everybody to drop.
    let bob = json!({ "from": { "id": "bob" } });
    room.tell(but(said("m5", "/queue drop 1"), bob)).await;
    told(&room, "This is not yours.").await;
    room.say("m6", "/queue drop 1").await;
    told(&room, "It waits no longer.").await;
    room.say("m7", "/stop").await;
    room.vendor.done_with("echo: Ann: third").await;
    let standing = room.vendor.standing();
    assert!(
        !standing
            .iter()
            .any(|view| view.to_string().contains("echo: Ann: second")),
        "{standing:#?}"
    );
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn list_finds_words_and_what_is_deleted_is_only_what_is_ones_own() {
    let room = Room::open("asker_approves = true").await;
    let id = async |room: &Room, from: &str, message: &str| {
        let before = room.vendor.standing();
        let bob = json!({ "from": { "id": from } });
        room.tell(but(said(message, "/whoami"), bob)).await;
        let who = room
            .vendor
            .until("an id", |view| {
                view.to_string().contains("This is ") && before.iter().all(|other| other["turn"] != view["turn"])
            })
            .await;
        let text = who["text"]
            .as_str()
            .unwrap_or_default()
            .trim_end_matches('.')
            .to_owned();
        text.rsplit(' ').next().unwrap_or_default().to_owned()
    };
    let answers = async |room: &Room, message: &str, from: &str, command: &str, text: &str| {
        let before = room.vendor.standing();
        room.tell(but(said(message, command), json!({ "from": { "id": from } })))
            .await;
        room.vendor
            .until(&format!("`{text}` to `{command}`"), |view| {
                view.to_string().contains(text) && before.iter().all(|other| other["turn"] != view["turn"])
            })
            .await
    };
    room.say("m1", "red things").await;
    room.vendor.done_with("echo: Ann: red things").await;
    let red = id(&room, "ann", "w1").await;
    answers(&room, "m2", "ann", "/new", "new conversation begins").await;
    room.say("m3", "blue things").await;
    room.vendor.done_with("echo: Ann: blue things").await;
    let blue = id(&room, "ann", "w2").await;
    assert_ne!(red, blue);

    let list = answers(&room, "m4", "ann", "/list RED", "Sessions (1)").await;
    let text = list["asks"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains(&red) && !text.contains(&blue), "{text}");
    answers(&room, "m5", "ann", "/list things", "Sessions (2)").await;
    answers(
        &room,
        "m6",
        "ann",
        "/list green",
        "No conversation here has these words.",
    )
    .await;

    // Elsewhere it is as if it did not exist; somebody else's is not to be deleted; nothing is, while the agent works.
    let elsewhere = json!({ "channel": "C2" });
    room.tell(but(said("m7", &format!("/delete {red}")), elsewhere)).await;
    room.vendor
        .until("the refusal elsewhere", |view| {
            view["channel"] == "C2" && view.to_string().contains("There is nothing like that here.")
        })
        .await;
    answers(&room, "m8", "bob", &format!("/delete {blue}"), "This is not yours.").await;
    answers(
        &room,
        "m9",
        "ann",
        "/delete nonsense",
        "There is nothing like that here.",
    )
    .await;
    busy(&room, "m10").await;
    answers(&room, "m11", "ann", &format!("/delete {blue}"), "The agent is working.").await;
    answers(&room, "m12", "ann", "/stop", "Stopping.").await;
    room.vendor.until("its end", |view| view["state"] == "stopped").await;
    answers(&room, "m13", "ann", &format!("/delete {red}"), "It is deleted.").await;
    answers(
        &room,
        "m14",
        "ann",
        &format!("/switch {red}"),
        "There is nothing like that here.",
    )
    .await;
    answers(&room, "m15", "ann", &format!("/delete {blue}"), "It is deleted.").await;
    answers(&room, "m16", "ann", "/list", "No conversation yet.").await;
    room.say("m17", "recall green").await;
    let fresh = room.vendor.done_with("recall green").await;
    assert!(!fresh["text"].to_string().contains("blue"), "{fresh}");
    room.stop().await;
}
