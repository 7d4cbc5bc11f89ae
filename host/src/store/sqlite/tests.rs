use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::super::conformance::sample::{bot, item};
use super::super::conformance::{self, sample};
use super::*;
use crate::chat::Quote;
use crate::store::TurnState;

fn with_file(promise: &dyn Fn(conformance::Open<'_>)) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    promise(&|| Box::new(SqliteStore::open(&path).unwrap()));
}

conformance::suite!(with_file);

fn pragma(store: &SqliteStore, name: &str) -> String {
    store
        .conn
        .pragma_query_value(None, name, |row| {
            Ok(match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                other => other.as_str()?.to_owned(),
            })
        })
        .unwrap()
}

#[test]
fn commits_are_synced_and_the_file_is_private() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(
        (pragma(&store, "journal_mode"), pragma(&store, "synchronous")),
        ("wal".into(), "2".into())
    );
    store.begin().unwrap();
    store.inbox_put(&bot(), &item("k"), 1).unwrap();
    store.commit().unwrap();
    for name in ["botyard.db", "botyard.db-wal"] {
        let mode = std::fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn an_older_file_is_copied_before_it_is_changed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    let mut old = SqliteStore::open(&path).unwrap();
    old.begin().unwrap();
    old.kv_put(&bot(), "k", b"v", None).unwrap();
    old.commit().unwrap();
    drop(old);

    let mut next = schema::MIGRATIONS.to_vec();
    next.push("ALTER TABLE kv ADD COLUMN note TEXT");
    let mut new = SqliteStore::open_as(&path, &next).unwrap();
    assert_eq!(pragma(&new, "user_version"), next.len().to_string());
    assert_eq!(new.kv_get(&bot(), "k", 0).unwrap().as_deref(), Some(b"v".as_slice()));
    drop(new);

    let before = schema::MIGRATIONS.len();
    let copy = folder.path().join(format!("botyard.db.v{before}.bak"));
    let mut copy = SqliteStore::open(&copy).unwrap();
    assert_eq!(copy.kv_get(&bot(), "k", 0).unwrap().as_deref(), Some(b"v".as_slice()));

    // The older program refuses the newer file, says why, and leaves it as it is.
    match SqliteStore::open(&path) {
        Err(StoreError::Unusable(why)) => {
            let newer = format!("version {}", next.len());
            assert!(why.contains(&newer) && why.contains("hint:"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    SqliteStore::open_as(&path, &next).unwrap();
}

#[test]
fn sessions_of_the_first_version_are_each_the_current_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    let old = SqliteStore::open_as(&path, &schema::MIGRATIONS[..1]).unwrap();
    old.conn
        .execute_batch(
            r#"INSERT INTO sessions VALUES ('k', 'team', 'claude',
                 '{"tenant":null,"channel":"C","thread":null,"direct":true}', NULL, 'cli', 1, 3, 77);
               INSERT INTO sessions VALUES ('j', 'team', 'claude',
                 '{"tenant":null,"channel":"D","thread":null,"direct":true}', 'U1', NULL, 0, 0, 78);
               INSERT INTO turns VALUES ('t', 'team', 'k', NULL, 3, 1,
                 '{"conversation":{"tenant":null,"channel":"C","thread":null,"direct":true},"reply_to":[],"private_to":null}',
                 'U1', 'hi', 5, NULL);"#,
        )
        .unwrap();
    drop(old);
    let mut new = SqliteStore::open(&path).unwrap();
    let session = new.session_get(&SessionKey::from("k")).unwrap().unwrap();
    assert_eq!((session.cli_session.as_deref(), session.resumable), (Some("cli"), true));
    assert_eq!((session.epoch, session.updated), (3, 77));
    assert_eq!(session.conversation.channel, "C");
    assert_eq!(new.session_by_id(&session.id).unwrap(), Some(session.clone()));
    let turns = new.turns_of(&session.id, 9).unwrap();
    assert_eq!((turns.len(), turns[0].kind), (1, super::super::TurnKind::Message));
    let other = new.session_get(&SessionKey::from("j")).unwrap().unwrap();
    assert_ne!(other.id, session.id);
    assert_eq!(new.session_counts(&session.key).unwrap(), (1, 3));
}

#[test]
fn a_file_of_version_1_tells_still_which_turn_a_message_shows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    let mut old = SqliteStore::open_as(&path, &schema::MIGRATIONS[..1]).unwrap();
    let row = sample::outbox_row("t1", None);
    old.begin().unwrap();
    old.outbox_put(&row).unwrap();
    old.run(
        "INSERT INTO posted VALUES ('team', '1.5', 't1'), ('team', '1.6', 'none')",
        [],
    )
    .unwrap();
    old.commit().unwrap();
    drop(old);
    let mut new = SqliteStore::open(&path).unwrap();
    let channel = row.target.conversation.channel.as_str();
    for place in [Some(channel), None] {
        assert_eq!(
            new.turn_of_message(&bot(), place, "1.5").unwrap(),
            Some(row.turn.clone())
        );
    }
    // Whose turn is gone is forgotten with it, then and now.
    assert_eq!(new.turn_of_message(&bot(), None, "1.6").unwrap(), None);
    new.run("DELETE FROM outbox", []).unwrap();
    assert_eq!(new.turn_of_message(&bot(), None, "1.5").unwrap(), None);
}

#[test]
fn homes_of_version_4_are_known_also_where_their_session_is_damaged_later() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    let old = SqliteStore::open_as(&path, &schema::MIGRATIONS[..4]).unwrap();
    let with = SessionRow {
        home: Some("w1".to_owned()),
        ..sample::session_row("with", 1)
    };
    let without = sample::session_row("without", 2);
    let damaged = sample::session_row("damaged", 3);
    for row in [&with, &without, &damaged] {
        let sql = "INSERT INTO sessions (id, key, current, bot, epoch, updated, session) VALUES (?, ?, 1, ?, ?, ?, ?)";
        let session = to_json(row).unwrap();
        let session = if row == &damaged { "{" } else { &session };
        let of = (
            row.id.as_str(),
            row.key.as_str(),
            row.bot.as_str(),
            row.epoch,
            row.updated,
            session,
        );
        old.run(sql, of).unwrap();
    }
    drop(old);
    let mut new = SqliteStore::open(&path).unwrap();
    assert_eq!(new.session_get(&with.key).unwrap(), Some(with.clone()));
    new.begin().unwrap();
    new.run("UPDATE sessions SET session = '{'", []).unwrap();
    for row in [with, without, damaged] {
        let aside = new.session_set_aside(&row.key).unwrap();
        assert_eq!(aside, Some((row.id, row.epoch, row.home)));
    }
}

#[test]
fn messages_of_version_5_that_answer_one_are_read_whole() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    let old = SqliteStore::open_as(&path, &schema::MIGRATIONS[..5]).unwrap();
    let put = |key: &str, item: &str| {
        let sql = "INSERT INTO inbox (bot, key, item, received, state, message) VALUES ('team', ?, ?, 1, 0, 'm1')";
        old.run(sql, [key, item]).unwrap();
    };
    let words = "she said \"no\"\n\u{0}ünd 🦀 [1]";
    let quote = |id: &str, text: &str| Quote {
        id: id.into(),
        sender: None,
        text: text.into(),
        attachments: Vec::new(),
    };
    // What each answers, and whether it is an edit.
    let kinds = [
        ("plain", None, false),
        ("answer", Some(quote("m0", words)), false),
        ("answer without words", Some(quote("m\"0", "")), false),
        ("edit", Some(quote("m0", words)), true),
        ("plain edit", None, true),
    ];
    let mut expected = Vec::new();
    for (key, quotes, edited) in kinds {
        let mut now = item(key);
        let What::Message(mut message) = now.what else {
            unreachable!("it is a message")
        };
        message.quotes = quotes.clone();
        let kind = if edited { "Edited" } else { "Message" };
        now.what = if edited {
            What::Edited(message)
        } else {
            What::Message(message)
        };
        let mut then = serde_json::to_value(&now).unwrap();
        then["what"][kind]["quotes"] = serde_json::json!(quotes.map(|quoted| (quoted.id, quoted.text)));
        put(key, &then.to_string());
        expected.push(now);
    }
    let stop = Item {
        what: What::Stop,
        ..item("stop")
    };
    put("stop", &to_json(&stop).unwrap());
    expected.push(stop);
    put("damaged", "{");
    drop(old);
    let mut new = SqliteStore::open(&path).unwrap();
    let items: Vec<_> = new.inbox_new(&bot(), InboxId(0), 9).unwrap();
    assert_eq!(items.into_iter().map(|row| row.item).collect::<Vec<_>>(), expected);
    let left = new.one("SELECT item FROM inbox WHERE key = 'damaged'", [], |row| {
        row.get::<_, String>(0)
    });
    assert_eq!(left.unwrap().as_deref(), Some("{"));
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    drop(SqliteStore::open(&path).unwrap());
    let mut next = schema::MIGRATIONS.to_vec();
    next.push("ALTER TABLE kv ADD COLUMN note TEXT; ALTER TABLE nowhere ADD COLUMN note TEXT");
    assert!(SqliteStore::open_as(&path, &next).is_err());
    let store = SqliteStore::open(&path).unwrap();
    assert!(store.run("SELECT note FROM kv", []).is_err());
}

#[test]
fn somebody_elses_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, and long enough to be read as one: ".repeat(40)).unwrap();
    let theirs = folder.path().join("theirs.db");
    Connection::open(&theirs)
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    for path in [&text, &theirs] {
        match SqliteStore::open(path) {
            Err(StoreError::Unusable(why)) => assert!(why.contains("is not a file of botyard's"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let folder_missing = folder.path().join("none").join("botyard.db");
    assert!(matches!(
        SqliteStore::open(&folder_missing),
        Err(StoreError::Unavailable(_))
    ));
}

#[test]
fn a_locked_file_leaves_nothing_half_done() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(store.begin(), Err(StoreError::Unavailable(_))));
    store.rollback();
    other.execute_batch("ROLLBACK").unwrap();
    store.begin().unwrap();
    assert!(store.inbox_put(&bot(), &item("k"), 1).unwrap().is_some());
    store.commit().unwrap();
}

#[test]
fn a_full_disk_leaves_nothing_half_done() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let pages: i64 = pragma(&store, "page_count").parse().unwrap();
    store
        .conn
        .pragma_update_and_check(None, "max_page_count", pages + 8, |_| Ok(()))
        .unwrap();
    store.begin().unwrap();
    let mut failed = None;
    for n in 0..1000 {
        store.savepoint().unwrap();
        if let Err(error) = store.kv_put(&bot(), &format!("k{n}"), &[7; 2000], None) {
            failed = Some(error);
            break;
        }
        store.release().unwrap();
    }
    assert!(matches!(failed, Some(StoreError::Unavailable(_))), "{failed:?}");
    store.rollback();
    assert_eq!(store.kv_size(&bot()).unwrap(), (0, 0));
    store
        .conn
        .pragma_update_and_check(None, "max_page_count", pages + 1000, |_| Ok(()))
        .unwrap();
    store.begin().unwrap();
    store.kv_put(&bot(), "k", b"v", None).unwrap();
    store.commit().unwrap();
}

#[test]
fn a_damaged_row_is_left_out_and_the_others_come() {
    let mut store = SqliteStore::in_memory().unwrap();
    store.begin().unwrap();
    let id = store.inbox_put(&bot(), &item("k1"), 1).unwrap().unwrap();
    store.inbox_put(&bot(), &item("k2"), 1).unwrap().unwrap();
    store.run("UPDATE inbox SET item = '{' WHERE id = ?", [id.0]).unwrap();
    store.commit().unwrap();
    assert!(matches!(store.inbox_get(id), Err(StoreError::Damaged(_))));
    let keys: Vec<_> = store
        .inbox_new(&bot(), InboxId(0), 9)
        .unwrap()
        .into_iter()
        .map(|row| row.item.origin.key)
        .collect();
    assert_eq!(keys, ["k2"]);
}

#[test]
fn a_damaged_turn_ends_no_log() {
    let mut store = SqliteStore::in_memory().unwrap();
    store.begin().unwrap();
    for (turn, opened) in [("t1", 1), ("t2", 2), ("t3", 3)] {
        let row = sample::turn_row(turn, TurnState::Done, opened);
        store.turn_put(&row).unwrap();
    }
    store.run("UPDATE turns SET target = '{' WHERE id > 't1'", []).unwrap();
    let session = sample::turn_row("t1", TurnState::Done, 1).session_id;
    let first = store.turns_page(&session, None, 2).unwrap();
    assert!(first.turns.is_empty() && first.next.is_some(), "{first:?}");
    let second = store.turns_page(&session, first.next, 2).unwrap();
    assert_eq!((second.turns.len(), second.next), (1, None));
}

#[test]
fn a_damaged_session_ends_no_list() {
    let mut store = SqliteStore::in_memory().unwrap();
    store.begin().unwrap();
    for (key, updated) in [("s1", 1), ("s2", 2), ("s3", 3), ("s4", 4)] {
        store.session_put(&sample::session_row(key, updated)).unwrap();
    }
    store
        .run("UPDATE sessions SET session = '{' WHERE updated IN (1, 3)", [])
        .unwrap();
    for bot in [Some(&bot()), None] {
        let pages = [0, 2, 3, 4].map(|skip| store.sessions(bot, skip, 2).unwrap());
        let told = pages.map(|page| (page.sessions.len(), page.more));
        assert_eq!(told, [(1, true), (1, false), (0, false), (0, false)]);
        assert!(
            store.sessions(bot, 1, 1).unwrap().more,
            "behind one that cannot be read"
        );
        assert!(
            store.sessions(bot, 2, 1).unwrap().more,
            "before one that cannot be read"
        );
    }
}

#[test]
fn a_damaged_turn_is_a_scrap_until_it_is_ended_and_a_damaged_session_goes_aside() {
    let mut store = SqliteStore::in_memory().unwrap();
    store.begin().unwrap();
    for (turn, opened) in [("t1", 1), ("t2", 2), ("t3", 3)] {
        let row = sample::turn_row(turn, TurnState::Running, opened);
        store.turn_put(&row).unwrap();
    }
    store.run("UPDATE turns SET kind = 9 WHERE id = 't2'", []).unwrap();
    store.run("UPDATE turns SET target = '{' WHERE id = 't3'", []).unwrap();
    let scraps = ["t2", "t3"].map(|id| TurnScrap {
        id: TurnId::from(id),
        inbox: Some(InboxId(7)),
        attempt: 1,
    });
    assert_eq!(store.turns_damaged(&bot()).unwrap(), scraps);
    assert_eq!(store.turns_damaged(&BotName::from("other")).unwrap(), []);
    store.turn_end(&scraps[0].id).unwrap();
    assert_eq!(store.turns_damaged(&bot()).unwrap(), scraps[1..]);
    assert_eq!(store.turns_open(&bot()).unwrap().len(), 1);

    let row = SessionRow {
        home: Some("w1".to_owned()),
        ..sample::session_row("s", 1)
    };
    for _ in 0..2 {
        store.session_put(&row).unwrap();
        store
            .run("UPDATE sessions SET session = '{' WHERE id = ?", [row.id.as_str()])
            .unwrap();
        assert!(matches!(store.session_get(&row.key), Err(StoreError::Damaged(_))));
        let aside = store.session_set_aside(&row.key).unwrap();
        assert_eq!(aside, Some((row.id.clone(), row.epoch, row.home.clone())));
        assert_eq!(store.session_get(&row.key).unwrap(), None);
    }
    assert_eq!(store.session_set_aside(&row.key).unwrap(), None);
    // Both stand there still.
    assert_eq!(store.counts().unwrap().sessions, 2);
    assert_eq!(store.session_counts(&row.key).unwrap(), (0, 0));
}

#[test]
fn a_damaged_run_is_named_until_it_is_ended() {
    let mut store = SqliteStore::in_memory().unwrap();
    store.begin().unwrap();
    for id in [7, 8, 9] {
        store.run_put(&sample::run_row(id), 1).unwrap();
    }
    store.run("UPDATE runs SET run = '{' WHERE id < 9", []).unwrap();
    let open = |store: &mut SqliteStore| {
        let open: Vec<_> = store
            .runs_open(&bot())
            .unwrap()
            .into_iter()
            .map(|run| run.id.0)
            .collect();
        (open, store.runs_damaged(&bot()).unwrap())
    };
    assert_eq!(open(&mut store), (vec![9], vec![InboxId(7), InboxId(8)]));
    assert_eq!(store.runs_damaged(&BotName::from("other")).unwrap(), []);
    assert!(store.run_end(InboxId(7)).unwrap());
    assert!(!store.run_end(InboxId(7)).unwrap());
    assert_eq!(open(&mut store), (vec![9], vec![InboxId(8)]));
}

/// No statement of the store reads a whole table, so that what is known already does not slow what comes.
#[test]
fn every_statement_finds_its_rows_by_an_index() {
    let store = SqliteStore::in_memory().unwrap();
    let source = include_str!("../sqlite.rs");
    let implementation = source.split("impl Store for SqliteStore").nth(1).unwrap();
    let mut seen = 0;
    for (columns, statement) in statements(implementation) {
        let sql = columns
            .iter()
            .fold(statement.clone(), |sql, (from, to)| sql.replace(from, to));
        let mut plan = store
            .conn
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        let count = plan.parameter_count();
        let details: Vec<String> = plan
            .query_map(rusqlite::params_from_iter(vec![1; count]), |row| row.get(3))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        for detail in details {
            assert!(
                !detail.starts_with("SCAN") || detail.contains("INDEX"),
                "{sql}\n{detail}"
            );
            assert!(!detail.contains("TEMP B-TREE"), "{sql}\n{detail}");
        }
        seen += 1;
    }
    assert!(seen > 40, "only {seen} statements were found");
}

/// The SQL texts of the source, with what stands for their columns.
fn statements(source: &str) -> Vec<(Vec<(&'static str, &'static str)>, String)> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices('"') {
        let rest = &source[at + 1..];
        if !["SELECT", "INSERT", "UPDATE", "DELETE"]
            .iter()
            .any(|word| rest.starts_with(word))
        {
            continue;
        }
        let text = &rest[..rest.find('"').unwrap()];
        let sql: String = text.split("\\\n").map(str::trim_start).collect();
        // Counting for `status` may look at all, and the deletions of `forget_before` are made from parts.
        if sql.starts_with("SELECT count(*)") || sql.contains("{table}") {
            continue;
        }
        let table = ["inbox", "aside", "turns", "outbox", "timers", "web"]
            .into_iter()
            .zip([
                rows::INBOX,
                rows::ASIDE,
                rows::TURN,
                rows::OUTBOX,
                rows::TIMER,
                rows::WEB,
            ])
            .find(|(table, _)| sql.contains(&format!("FROM {table} ")) || sql.contains(&format!("UPDATE {table} ")));
        let columns = table.map_or("", |(_, columns)| columns);
        found.push((vec![("{columns}", columns), ("{}", columns)], sql));
    }
    found
}

#[test]
fn ten_thousand_sessions_do_not_slow_one() {
    let mut store = SqliteStore::in_memory().unwrap();
    let fill = |store: &mut SqliteStore, from: u32, to: u32| {
        store.begin().unwrap();
        for n in from..to {
            let turn = sample::turn_row(&format!("turn{n}"), super::super::TurnState::Done, i64::from(n));
            store.turn_put(&turn).unwrap();
            let row = sample::outbox_row(turn.id.as_str(), turn.view.clone());
            store
                .outbox_put(&OutboxRow {
                    state: super::super::OutboxState::Sent,
                    ..row
                })
                .unwrap();
            let id = store.inbox_put(&bot(), &item(&format!("k{n}")), 1).unwrap().unwrap();
            store.inbox_state(id, InboxState::Done).unwrap();
        }
        store.commit().unwrap();
    };
    // Steps of SQLite's own machine instead of time: the same on every computer.
    let steps = |store: &mut SqliteStore, sql: &str| -> i32 {
        let mut statement = store.conn.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        statement.get_status(rusqlite::StatementStatus::VmStep)
    };
    let looks = [
        "SELECT * FROM inbox WHERE bot = 'team' AND state = 0 AND id > 0 ORDER BY id LIMIT 256",
        "SELECT * FROM turns WHERE bot = 'team' AND state < 3 ORDER BY opened, rowid",
        "SELECT * FROM outbox WHERE bot = 'team' AND state = 0 AND view IS NOT NULL ORDER BY next_try, rowid",
        "SELECT * FROM outbox WHERE turn = 'turn5'",
    ];
    fill(&mut store, 0, 10);
    let few = looks.map(|sql| steps(&mut store, sql));
    fill(&mut store, 10, 10_000);
    assert_eq!(looks.map(|sql| steps(&mut store, sql)), few);
}
