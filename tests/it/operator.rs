//! What the operator sees and does with sessions at the terminal, of the real binary: while it runs and when it does not.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::binary::{RealHost, botyard};
use crate::web::{Page, write};

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn listed(folder: &Path) -> Value {
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
