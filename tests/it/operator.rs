//! What the operator sees and does with sessions at the terminal, of the real binary: while it runs and when it does not.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::binary::{RealHost, botyard, eventually};
use crate::web::{Page, write};

pub(crate) fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The bot's messages that are done.
async fn done(page: &Page, channel: &str) -> Vec<Value> {
    let views = page.views(channel).await;
    views.into_iter().filter(|view| view["state"] == "done").collect()
}

pub(crate) async fn listed(folder: &Path) -> Value {
    serde_json::from_str(&text(&botyard(folder, &["sessions", "list", "--json"]).await)).expect("the list is JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_shown_exported_and_interrupted_at_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "");
    let host = RealHost::start(folder.path()).await;
    let page = Page::open(&host, folder.path()).await;
    page.say("c1", "m1", "hello there").await;
    page.view_in("c1", "done").await;
    let list = listed(folder.path()).await;
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        (&list[0]["live"], &list[0]["turns"]),
        (&Value::Bool(true), &Value::from(1))
    );
    assert!(
        list[0]["last"]
            .as_str()
            .is_some_and(|last| last.contains("hello there")),
        "{list}"
    );
    let shown = text(&botyard(folder.path(), &["sessions", "show", &id]).await);
    assert!(shown.contains("hello there\n\necho: "), "{shown}");

    page.say("c1", "m2", "hang").await;
    page.view_in("c1", "running").await;
    let stopped = text(&botyard(folder.path(), &["sessions", "interrupt", &id, "--json"]).await);
    assert_eq!(stopped, "true\n");
    page.view_in("c1", "stopped").await;
    host.terminate().await;

    // Nobody runs: the store itself tells, and nothing can be interrupted.
    assert_eq!(listed(folder.path()).await[0]["live"], Value::Null);
    let exported = text(&botyard(folder.path(), &["sessions", "export", &id, "--json"]).await);
    let lines: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .collect();
    assert_eq!(lines.len(), 3, "{exported}");
    assert_eq!(lines[2]["answer"], "> stopped");
    assert_eq!(
        text(&botyard(folder.path(), &["sessions", "interrupt", &id, "--json"]).await),
        "false\n"
    );
    // What is no session is the user's to mend.
    let unknown = botyard(folder.path(), &["sessions", "show", "../../etc"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("there is no session"),
        "{unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_in_the_background_is_told_and_is_ended_at_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "");
    let host = RealHost::start(folder).await;
    let page = Page::open(&host, folder).await;
    page.say("c1", "m1", "linger").await;
    page.view_in("c1", "done").await;
    let told = async || {
        let status = text(&botyard(folder, &["status", "--json"]).await);
        let status: Value = serde_json::from_str(&status).expect("the status is JSON");
        (
            listed(folder).await[0]["background"].clone(),
            status["bots"][0]["sessions_background"].clone(),
        )
    };
    assert_eq!(told().await, (Value::from(1), Value::from(1)));
    let table = text(&botyard(folder, &["sessions", "list"]).await);
    assert!(table.contains(" background (1) "), "{table}");
    let id = listed(folder).await[0]["id"].as_str().expect("an id").to_owned();
    let stopped = text(&botyard(folder, &["sessions", "interrupt", &id, "--json"]).await);
    assert_eq!(stopped, "true\n");
    let ended = async || (told().await == (Value::from(0), Value::from(0))).then_some(());
    eventually("the end of what runs in the background", ended).await;
    host.terminate().await;
}

/// Says something and waits for its answer.
pub(crate) async fn asked(page: &Page, id: &str, text: &str) {
    page.say("c1", id, text).await;
    let answered = async || {
        let all = done(page, "c1").await;
        all.into_iter().find(|view| view.to_string().contains(text))
    };
    eventually(text, answered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_searched_copied_and_deleted_at_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "");
    let run = async |words: &[&str]| botyard(folder.path(), words).await;
    let host = RealHost::start(folder.path()).await;
    let page = Page::open(&host, folder.path()).await;
    asked(&page, "m1", "the Übersee needle").await;
    let id = listed(folder.path()).await[0]["id"].as_str().expect("an id").to_owned();
    let found = async |words: &str| {
        let list: Value = serde_json::from_str(&text(&run(&["sessions", "list", "--search", words, "--json"]).await))
            .expect("the list is JSON");
        let ids = list.as_array().expect("a list").iter().map(|one| one["id"].clone());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(found("NEEDLE übersee").await, [id.as_str()]);
    assert_eq!(found("needle hay").await, Vec::<Value>::new());

    // A copy beside it, and one that the chat goes on with.
    let beside = text(&run(&["sessions", "fork", &id, "--name", "beside"]).await)
        .trim()
        .to_owned();
    asked(&page, "m2", "recall original").await;
    let current = text(&run(&["sessions", "fork", &id, "--current"]).await)
        .trim()
        .to_owned();
    asked(&page, "m3", "recall copy").await;
    let shown = async |id: &str| text(&run(&["sessions", "show", id]).await);
    let copied = shown(&current).await;
    assert!(
        copied.contains("the Übersee needle | recall original | recall copy") && copied.contains("recall copy\n"),
        "{copied}"
    );
    assert!(!shown(&id).await.contains("recall copy"));
    let beside_text = shown(&beside).await;
    assert!(
        beside_text.starts_with("# beside\n") && beside_text.contains("needle"),
        "{beside_text}"
    );
    assert!(!beside_text.contains("recall"), "{beside_text}");
    let none = run(&["sessions", "fork", &id, "--name", "a\nb"]).await;
    assert_eq!(none.status.code(), Some(1));

    // Nobody is asked where there is no terminal; what runs is not deleted.
    let refused = run(&["sessions", "delete", &current]).await;
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("`--yes` deletes"),
        "{refused:?}"
    );
    page.say("c1", "m4", "hang").await;
    page.view_in("c1", "running").await;
    let refused = run(&["sessions", "delete", &current, "--yes"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("sessions interrupt"),
        "{refused:?}"
    );
    text(&run(&["sessions", "interrupt", &current]).await);
    page.view_in("c1", "stopped").await;
    let transcripts = || {
        let mut found = Vec::new();
        crate::sessions::transcripts(&folder.path().join("data"), &mut found);
        found.len()
    };
    assert_eq!(transcripts(), 2);
    let deleted = run(&["sessions", "delete", &current, "--yes"]).await;
    assert!(deleted.status.success(), "{deleted:?}");
    let said = String::from_utf8_lossy(&deleted.stderr).into_owned();
    assert!(
        said.contains("kept: the workspace `") && said.contains("other sessions"),
        "{said}"
    );
    assert_eq!(transcripts(), 1);
    assert_eq!(run(&["sessions", "show", &current]).await.status.code(), Some(1));
    // The chat begins another.
    asked(&page, "m5", "recall nothing").await;
    let all = done(&page, "c1").await;
    assert!(
        !all.iter().any(|view| view.to_string().contains("| recall nothing")),
        "{all:#?}"
    );
    host.terminate().await;

    // Without a host: at the store, down to the last.
    let list = listed(folder.path()).await;
    assert_eq!(list.as_array().map(Vec::len), Some(3), "{list}");
    let offline = text(&run(&["sessions", "fork", &id]).await).trim().to_owned();
    assert!(shown(&offline).await.contains("needle"));
    for one in list
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["id"].as_str())
        .chain([&*offline])
    {
        let deleted = run(&["sessions", "delete", one, "--yes"]).await;
        assert!(deleted.status.success(), "{deleted:?}");
    }
    assert_eq!(listed(folder.path()).await, Value::Array(Vec::new()));
    assert_eq!(transcripts(), 0);
    let users = folder.path().join("data/users/local");
    let left: Vec<_> = std::fs::read_dir(&users).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let store = std::fs::read(folder.path().join("data/botyard.db")).expect("the store");
    let log = std::fs::read(folder.path().join("data/botyard.db-wal")).unwrap_or_default();
    let audited = |text: &str| {
        [&store, &log]
            .iter()
            .any(|all| all.windows(text.len()).any(|at| at == text.as_bytes()))
    };
    assert!(audited(&format!("deleted session {id}")));
}
