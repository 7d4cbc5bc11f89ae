use super::*;
use crate::chat::{Conversation, Part, Target, TurnId, View};
use crate::store::sqlite::SqliteStore;
use crate::store::{TurnKind, TurnRow, TurnState};

fn place() -> Conversation {
    Conversation {
        tenant: None,
        channel: "C".to_owned(),
        thread: None,
        direct: false,
    }
}

fn session(id: &str, key: &str, updated: i64) -> SessionRow {
    SessionRow {
        id: SessionId::from(id),
        updated,
        ..SessionRow::begin(
            SessionKey::from(key),
            BotName::from("team"),
            "claude".to_owned(),
            place(),
        )
    }
}

fn turn(id: String, session: &SessionRow, prompt: &str, answer: &str) -> TurnRow {
    TurnRow {
        id: TurnId(id),
        bot: session.bot.clone(),
        session: session.key.clone(),
        session_id: session.id.clone(),
        kind: TurnKind::Message,
        inbox: None,
        state: TurnState::Done,
        attempt: 1,
        target: Target {
            conversation: place(),
            reply_to: Vec::new(),
            private_to: None,
        },
        asker: "U1".to_owned(),
        prompt: prompt.to_owned(),
        opened: 5,
        view: Some(View::single(Part::Text(answer.to_owned()))),
        files: Vec::new(),
    }
}

async fn ids(journal: &Journal, within: Within, words: &str) -> (Vec<String>, bool) {
    let found = search_for(journal, within, words, 2, Duration::MAX).await.unwrap();
    (found.rows.into_iter().map(|row| row.id.0).collect(), found.bounded)
}

#[tokio::test]
async fn words_are_found_wherever_they_were_said_and_what_was_not_looked_at_is_told() {
    let journal = Journal::over(Box::new(SqliteStore::in_memory().unwrap()));
    let named = SessionRow {
        name: Some("Die Übersicht".to_owned()),
        ..session("aa1", "k1", 4)
    };
    let spoken = session("bb2", "k1", 3);
    let other = SessionRow {
        last: "a \"quoted\" word".to_owned(),
        ..session("cc3", "k2", 2)
    };
    let long = SessionRow {
        turns: TURNS + 1,
        ..session("dd4", "k2", 1)
    };
    let rows = [named.clone(), spoken.clone(), other.clone(), long.clone()];
    let turns = [
        turn(
            "t1".to_owned(),
            &spoken,
            "Fix the C:\\build of Zoë",
            "It says \"Done\"\nin Größe 3, Привет 你好吗",
        ),
        turn("t2".to_owned(), &long, "zebra", ""),
    ];
    let put = journal.write(move |store| {
        rows.iter().try_for_each(|row| store.session_keep(row))?;
        turns.iter().try_for_each(|turn| store.turn_put(turn))
    });
    put.await.unwrap();
    let all = || Within::Bot(None);
    let only = |id: &str, bounded| (vec![id.to_owned()], bounded);
    for (words, id) in [
        ("übersicht die", "aa1"),
        ("AA1", "aa1"),
        ("c:\\BUILD fix", "bb2"),
        ("GRÖSSE", ""),
        ("größe", "bb2"),
        ("\"done\" zoë", "bb2"),
        ("ZOË", "bb2"),
        ("\"quoted\"", "cc3"),
        ("ПРИВЕТ 你好", "bb2"),
        ("再见", ""),
        ("blocks", ""),
        ("zebra fix", ""),
    ] {
        let expected = if id.is_empty() { (vec![], true) } else { only(id, true) };
        assert_eq!(ids(&journal, all(), words).await, expected, "{words}");
    }
    // Only of this key, and everything there was looked at.
    let own = |key: &str| Within::Key(SessionKey::from(key));
    assert_eq!(ids(&journal, own("k1"), "zoë").await, only("bb2", false));
    assert_eq!(ids(&journal, own("k2"), "zoë").await, (vec![], true));
    assert_eq!(
        ids(&journal, Within::Bot(Some(BotName::from("else"))), "zoë").await,
        (vec![], false)
    );
    // No more are wanted.
    assert_eq!(
        ids(&journal, all(), "").await,
        (vec!["aa1".to_owned(), "bb2".to_owned()], true)
    );
    journal.close().await;
}

#[tokio::test]
async fn ten_thousand_sessions_are_searched_to_the_last() {
    let journal = Journal::over(Box::new(SqliteStore::in_memory().unwrap()));
    let put = journal.write(|store| {
        for number in 0..10_000 {
            let row = session(&format!("id{number}"), "k", number);
            store.session_keep(&row)?;
            let words = if number == 0 { "the needle" } else { "hay and straw" };
            store.turn_put(&turn(format!("t{number}"), &row, "what is here?", words))?;
        }
        Ok(())
    });
    put.await.unwrap();
    assert_eq!(
        ids(&journal, Within::Bot(None), "needle").await,
        (vec!["id0".to_owned()], false)
    );
    // Not for ever.
    let none = search_for(&journal, Within::Bot(None), "needle", 2, Duration::ZERO).await;
    assert_eq!(
        none.unwrap(),
        Found {
            rows: vec![],
            bounded: true
        }
    );
    journal.close().await;
}

#[tokio::test]
async fn damaged_session_ends_no_search() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let journal = Journal::open(&path).unwrap();
    let put = journal.write(|store| {
        (0..50).try_for_each(|number| store.session_keep(&session(&format!("id{number}"), "k", number)))
    });
    put.await.unwrap();
    journal.close().await;
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute("UPDATE sessions SET session = '{' WHERE id IN ('id45', 'id20')", [])
        .unwrap();
    drop(conn);
    let journal = Journal::open(&path).unwrap();
    let found = search_for(&journal, Within::Bot(None), "id", 99, Duration::MAX).await;
    assert_eq!(found.unwrap().rows.len(), 48);
    journal.close().await;
}

#[tokio::test]
async fn whole_page_of_damaged_sessions_ends_no_search() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let journal = Journal::open(&path).unwrap();
    let last = i64::from(STEP) * 3;
    let put = journal.write(move |store| {
        (0..last).try_for_each(|number| store.session_keep(&session(&format!("id{number}"), "k", number)))
    });
    put.await.unwrap();
    journal.close().await;
    // The first page of all; then the last.
    for (damaged, left) in [(STEP * 2, STEP * 2), (0, STEP)] {
        let conn = rusqlite::Connection::open(&path).unwrap();
        let sql = "UPDATE sessions SET session = '{' WHERE updated BETWEEN ?1 AND ?1 + ?2 - 1";
        assert_eq!(conn.execute(sql, [damaged, STEP]).unwrap(), STEP as usize);
        drop(conn);
        let journal = Journal::open(&path).unwrap();
        let all = [
            Within::Bot(None),
            Within::Bot(Some(BotName::from("team"))),
            Within::Key(SessionKey::from("k")),
        ];
        for within in all {
            let found = search_for(&journal, within, "id", 99, Duration::MAX).await.unwrap();
            assert_eq!((found.rows.len(), found.bounded), (left as usize, false));
        }
        journal.close().await;
    }
}

/// What each step of a search found, and the sessions that it got past.
fn steps(store: &mut SqliteStore, words: &[&str]) -> Vec<(usize, Option<Place>)> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut seen = Vec::new();
    let mut from = Some(Cursor::default());
    while let Some(cursor) = from {
        let step = step(store, &Within::Bot(None), &words, cursor).unwrap();
        seen.push((step.rows.len(), step.next.as_ref().and_then(|next| next.behind.clone())));
        from = step.next;
    }
    seen
}

#[test]
fn step_looks_at_no_more_than_its_bound_though_nothing_is_found() {
    const EACH: u32 = 60;
    let mut store = SqliteStore::in_memory().unwrap();
    store.begin().unwrap();
    for number in 0..10 {
        let row = session(&format!("id{number}"), "k", number);
        store.session_keep(&row).unwrap();
        for turn_of in 0..EACH {
            let words = ["red", "green", "blue", "white"][turn_of as usize % 4];
            store
                .turn_put(&turn(format!("t{number}-{turn_of}"), &row, "hay", words))
                .unwrap();
        }
    }
    store.commit().unwrap();
    let passed = |seen: &[(usize, Option<Place>)]| -> Vec<i64> {
        let places = seen
            .iter()
            .map(|(_, place)| place.as_ref().map(|(updated, _)| *updated));
        places.map(|updated| updated.unwrap_or(-1)).collect()
    };
    // Three sessions are a step's turns: of the first word that is not found, the others are not looked for.
    let per_step = i64::from(READ / EACH);
    let none = steps(&mut store, &["needle", "red", "green"]);
    assert!(none.iter().all(|(found, _)| *found == 0));
    assert_eq!(
        passed(&none),
        [10 - per_step, 10 - 2 * per_step, 10 - 3 * per_step, 0, -1]
    );
    // What has every word takes a look for each: the step goes on where the one before ended, also within a session.
    let all = steps(&mut store, &["green", "white", "blue", "red"]);
    assert_eq!(all.iter().map(|(found, _)| found).sum::<usize>(), 10);
    let looks = 10 * 4_usize;
    assert_eq!(all.len(), looks.div_ceil((READ / EACH) as usize) + 1);
    // Found together, they are looked for together.
    let together = steps(&mut store, &["green", "hay"]);
    assert_eq!(passed(&together), passed(&none));
    assert_eq!(together.iter().map(|(found, _)| found).sum::<usize>(), 10);
}

#[tokio::test]
async fn each_session_is_found_once_while_others_end_turns() {
    let journal = Journal::over(Box::new(SqliteStore::in_memory().unwrap()));
    let put = journal.write(|store| {
        for number in 0..100 {
            let row = session(&format!("id{number}"), "k", number);
            store.session_keep(&row)?;
            // Much is read: many steps.
            for turn_of in 0..20 {
                store.turn_put(&turn(format!("t{number}-{turn_of}"), &row, "a word", ""))?;
            }
        }
        Ok(())
    });
    put.await.unwrap();
    let others = async {
        for number in 100..200 {
            let newer = journal.write(move |store| store.session_keep(&session(&format!("new{number}"), "k", number)));
            newer.await.unwrap();
        }
    };
    let (found, ()) = tokio::join!(
        search_for(&journal, Within::Bot(None), "word", 999, Duration::MAX),
        others
    );
    let mut ids: Vec<String> = found.unwrap().rows.into_iter().map(|row| row.id.0).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((count, ids.len()), (100, 100));
    journal.close().await;
}
