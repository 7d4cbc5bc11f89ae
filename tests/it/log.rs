//! What the operator has of long conversations and of many, of the real binary: all of it.

use std::path::Path;

use serde_json::Value;

use crate::binary::{RealHost, botyard};
use crate::operator::{asked, listed, text};
use crate::web::{Page, write};

/// Changes what the host keeps, while none runs; how many rows.
fn change(folder: &Path, sql: &str) -> usize {
    let store = rusqlite::Connection::open(folder.join("data/botyard.db")).expect("the store's file");
    store.execute(sql, []).expect("it is changed")
}

/// A folder in which one thing was said, and the id of its session; no host runs.
async fn begun() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "");
    let host = RealHost::start(folder.path()).await;
    let page = Page::open(&host, folder.path()).await;
    asked(&page, "m1", "word 0").await;
    host.terminate().await;
    let id = listed(folder.path()).await[0]["id"].as_str().expect("an id").to_owned();
    (folder, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn export_is_whole_however_long_the_conversation_is_and_a_copy_says_what_its_log_lacks() {
    let (folder, id) = begun().await;
    let folder = folder.path();
    let more = "INSERT INTO turns (id, bot, session, inbox, state, attempt, target, asker, prompt, opened, view, files, session_id, kind)
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2100)
        SELECT id || '-' || i, bot, session, NULL, state, attempt, target, asker, 'word ' || i, opened + i / 3, view, files, session_id, kind
        FROM turns, n";
    assert_eq!(change(folder, more), 2100);
    let counted = "UPDATE sessions SET session = json_set(session, '$.turns', 2101)";
    assert_eq!(change(folder, counted), 1);
    let export = async || {
        let told = botyard(folder, &["sessions", "export", &id, "--json"]).await;
        assert_eq!(String::from_utf8_lossy(&told.stderr), "", "nothing is left out");
        let lines: Vec<Value> = text(&told)
            .lines()
            .map(|line| serde_json::from_str(line).expect("every line is JSON"))
            .collect();
        assert_eq!(
            (&lines[0]["session"], &lines[0]["turns"]),
            (&Value::from(id.as_str()), &Value::from(2101))
        );
        lines[1..]
            .iter()
            .map(|line| line["prompt"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let all: Vec<String> = (0..=2100).map(|number| format!("word {number}")).collect();
    assert_eq!(export().await, all);
    let host = RealHost::start(folder).await;
    assert_eq!(export().await, all, "by the socket");
    host.terminate().await;
    let shown = text(&botyard(folder, &["sessions", "show", &id]).await);
    assert_eq!(shown.matches("\n**").count(), 2101);

    let copied = botyard(folder, &["sessions", "fork", &id]).await;
    assert_eq!(
        String::from_utf8_lossy(&copied.stderr),
        "its log begins with the newest 1000 of 2101 turns; the agent has all of them\n"
    );
    let copy = text(&copied).trim().to_owned();
    let log = text(&botyard(folder, &["sessions", "export", &copy, "--json"]).await);
    assert_eq!(log.lines().count(), 1001, "a line for the session");
    assert!(
        log.lines().nth(1).is_some_and(|line| line.contains("\"word 1101\"")),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_session_can_be_listed_however_many_there_are() {
    let (folder, id) = begun().await;
    let folder = folder.path();
    let more = "INSERT INTO sessions (id, key, current, bot, epoch, home, updated, session)
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 501)
        SELECT 'copy-' || i, key, 0, bot, epoch, home, updated - i,
            json_set(session, '$.id', 'copy-' || i, '$.updated', updated - i)
        FROM sessions, n";
    assert_eq!(change(folder, more), 501);
    let list = async |more: &[&str]| {
        let mut words = vec!["sessions", "list", "--json"];
        words.extend(more);
        let told = botyard(folder, &words).await;
        let rows: Vec<Value> = serde_json::from_str(&text(&told)).expect("the list is JSON");
        let ids: Vec<String> = rows
            .iter()
            .map(|row| row["id"].as_str().unwrap_or_default().to_owned())
            .collect();
        (ids, String::from_utf8_lossy(&told.stderr).into_owned())
    };
    let mut all = vec![id];
    all.extend((1..=501).map(|number| format!("copy-{number}")));
    let more = "there are more: `--skip 500` shows those that come next\n";
    let here = || (all[..500].to_vec(), more.to_owned());
    let rest = || (all[500..].to_vec(), String::new());
    for running in [false, true] {
        let host = match running {
            true => Some(RealHost::start(folder).await),
            false => None,
        };
        assert_eq!(list(&[]).await, here());
        assert_eq!(list(&["--skip", "500"]).await, rest());
        assert_eq!(list(&["--search", "word"]).await, here());
        assert_eq!(list(&["--search", "word", "--skip", "500"]).await, rest());
        let none = botyard(folder, &["sessions", "list", "--skip", "502"]).await;
        assert_eq!(String::from_utf8_lossy(&none.stderr), "there are no more\n");
        if let Some(host) = host {
            host.terminate().await;
        }
    }
    // One that cannot be read is on its page, and hides nothing that comes behind it.
    assert_eq!(
        change(folder, "UPDATE sessions SET session = '{' WHERE id = 'copy-3'"),
        1
    );
    let (page, said) = list(&[]).await;
    assert_eq!((page.len(), page.contains(&"copy-3".to_owned())), (499, false));
    assert!(said.ends_with(more), "{said}");
    assert_eq!(list(&["--skip", "500"]).await, rest());
}
