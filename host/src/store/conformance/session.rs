//! Sessions that are copied, forgotten, searched.

use super::sample::{ask_row, bot, item, outbox_row, session_row, turn_row, view};
use super::{Open, commit};
use crate::chat::{BotName, InboxId, SessionId, SessionKey, TurnId, ViewState, What};
use crate::store::{AskRow, AskState, InboxState, OutboxRow, OutboxState, SessionRow, Store, TurnRow, TurnState};

fn turn(id: &str, session: &str, inbox: Option<InboxId>, state: TurnState) -> TurnRow {
    TurnRow {
        session_id: SessionId::from(session),
        inbox,
        prompt: format!("prompt of {id}"),
        ..turn_row(id, state, 5)
    }
}

fn under(id: &str, key: &str, updated: i64) -> SessionRow {
    SessionRow {
        id: SessionId::from(id),
        cli_session: Some(format!("cli-{id}")),
        ..session_row(key, updated)
    }
}

fn delivered(turn: &str, state: OutboxState) -> OutboxRow {
    OutboxRow {
        state,
        ..outbox_row(turn, Some(view(turn, 1, ViewState::Done)))
    }
}

/// What a message of the inbox says.
fn said(store: &mut dyn Store, id: InboxId) -> String {
    match store.inbox_get(id).unwrap().unwrap().item.what {
        What::Message(message) => message.text,
        other => panic!("not a message: {other:?}"),
    }
}

pub(crate) fn a_forgotten_session_leaves_the_others_whole(open: Open<'_>) {
    let mut store = open();
    let ids = commit(store.as_mut(), |s| {
        for (row, turn) in [(under("a", "s1", 1), "ta"), (under("b", "s1", 2), "tb")] {
            assert!(
                s.cli_session_claim(row.cli_session.as_deref().unwrap(), &row.key)
                    .unwrap()
            );
            s.session_put(&row).unwrap();
            let ask = AskRow {
                turn: TurnId::from(turn),
                ..ask_row(&format!("ask-{turn}"), AskState::Closed, 1)
            };
            s.ask_put(&ask).unwrap();
            s.outbox_put(&delivered(turn, OutboxState::Sent)).unwrap();
        }
        let ids = ["ka", "kb"].map(|key| s.inbox_put(&bot(), &item(key), 1).unwrap().unwrap());
        s.turn_put(&turn("ta", "a", Some(ids[0]), TurnState::Done)).unwrap();
        s.turn_put(&turn("tb", "b", Some(ids[1]), TurnState::Done)).unwrap();
        // Not seen by anybody yet, and not begun yet.
        s.turn_put(&turn("late", "a", None, TurnState::Done)).unwrap();
        s.outbox_put(&delivered("late", OutboxState::Pending)).unwrap();
        s.turn_put(&turn("waits", "a", None, TurnState::Queued)).unwrap();
        ids
    });
    let before = said(store.as_mut(), ids[0]);
    assert!(!before.is_empty() && said(store.as_mut(), ids[1]) == before);
    let removed = commit(store.as_mut(), |s| {
        let first = s.session_remove(&SessionId::from("a")).unwrap();
        (first, s.session_remove(&SessionId::from("a")).unwrap())
    });
    assert_eq!(removed, (true, false));
    assert_eq!(store.session_by_id(&SessionId::from("a")).unwrap(), None);
    let turns = |s: &mut dyn Store, id: &str| s.turns_of(&SessionId::from(id), 9).unwrap().len();
    assert_eq!((turns(store.as_mut(), "a"), turns(store.as_mut(), "b")), (1, 1));
    let there = |s: &mut dyn Store, turn: &str| {
        let turn = TurnId::from(turn);
        (
            s.asks_of(&turn).unwrap().len(),
            s.outbox_get(&turn).unwrap().map(|row| row.state),
        )
    };
    assert_eq!(there(store.as_mut(), "ta"), (0, None));
    assert_eq!(there(store.as_mut(), "tb"), (1, Some(OutboxState::Sent)));
    assert_eq!(there(store.as_mut(), "late"), (0, Some(OutboxState::Pending)));
    assert_eq!(said(store.as_mut(), ids[0]), "");
    assert_eq!(said(store.as_mut(), ids[1]), before);
    // The same event is still no new one, and the agent's own id is anybody's.
    commit(store.as_mut(), |s| {
        s.inbox_state(ids[0], InboxState::Done).unwrap();
        assert_eq!(s.inbox_put(&bot(), &item("ka"), 9).unwrap(), None);
        let other = SessionKey::from("s9");
        assert!(s.cli_session_claim("cli-a", &other).unwrap());
        assert!(!s.cli_session_claim("cli-b", &other).unwrap());
    });
}

pub(crate) fn a_copy_has_the_log_and_answers_no_message(open: Open<'_>) {
    let mut store = open();
    let copy = under("b", "s1", 9);
    let id = commit(store.as_mut(), |s| {
        s.session_put(&under("a", "s1", 1)).unwrap();
        let id = s.inbox_put(&bot(), &item("k"), 1).unwrap().unwrap();
        s.turn_put(&turn("t0", "a", None, TurnState::Done)).unwrap();
        s.turn_put(&turn("t1", "a", Some(id), TurnState::Done)).unwrap();
        s.turn_put(&turn("t2", "a", None, TurnState::Done)).unwrap();
        s.turn_put(&turn("t3", "a", None, TurnState::Running)).unwrap();
        s.session_keep(&copy).unwrap();
        s.turns_copy(&SessionId::from("a"), &copy, 2).unwrap();
        id
    });
    let current = store.session_get(&copy.key).unwrap().map(|row| row.id.0);
    assert_eq!(current.as_deref(), Some("a"), "it is kept beside the current one");
    let turns = store.turns_of(&copy.id, 9).unwrap();
    let seen: Vec<_> = turns
        .iter()
        .map(|turn| (turn.prompt.as_str(), turn.inbox, turn.view.is_some(), turn.state))
        .collect();
    let done = TurnState::Done;
    assert_eq!(
        seen,
        [("prompt of t2", None, true, done), ("prompt of t1", None, true, done)]
    );
    assert_eq!(
        store.turn_of_inbox(id).unwrap().map(|turn| turn.id.0).as_deref(),
        Some("t1")
    );
    assert_eq!(store.turns_of(&SessionId::from("a"), 9).unwrap().len(), 4);
    assert!(store.session_busy(&SessionId::from("a")).unwrap());
    assert!(!store.session_busy(&copy.id).unwrap(), "what runs is not copied");
    // Kept again, the current one stays current.
    let renamed = SessionRow {
        name: Some("other".into()),
        ..under("a", "s1", 1)
    };
    commit(store.as_mut(), |s| s.session_keep(&renamed).unwrap());
    assert_eq!(store.session_get(&copy.key).unwrap(), Some(renamed));
}

pub(crate) fn turns_are_found_by_what_they_may_hold(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        s.turn_put(&turn("t1", "a", None, TurnState::Done)).unwrap();
        s.turn_put(&turn("t2", "a", None, TurnState::Done)).unwrap();
        s.turn_put(&turn("t3", "b", None, TurnState::Done)).unwrap();
        let written = TurnRow {
            prompt: "ПРИВЕТ, die Größe: 你好吗 [*] \"\\".to_owned(),
            view: None,
            opened: 1,
            ..turn("t5", "a", None, TurnState::Done)
        };
        s.turn_put(&written).unwrap();
    });
    let a = SessionId::from("a");
    let mut found = |words: &str, among| {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let turns = store.turns_like(&a, &words, among).unwrap();
        let mut ids: Vec<String> = turns.into_iter().map(|turn| turn.id.0).collect();
        ids.sort();
        ids
    };
    assert_eq!(found("of", 9), ["t1", "t2"]);
    assert_eq!(found("t1", 9), ["t1"]);
    assert_eq!(found("nothing t1 t3", 9), ["t1"], "any of the words");
    assert_eq!(found("t1", 1), Vec::<String>::new(), "only among the newest");
    assert_eq!(found("footer", 9), ["t1", "t2"], "in the view");
    assert_eq!(found("t3", 9), Vec::<String>::new());
    assert_eq!(found("", 9), Vec::<String>::new());
    // In any writing, in any alphabet, and nothing else.
    assert_eq!(found("привет", 9), ["t5"]);
    assert_eq!(found("größe", 9), ["t5"]);
    assert_eq!(found("你好", 9), ["t5"]);
    assert_eq!(found("[*]", 9), ["t5"]);
    for (word, of) in [("\"", "t5"), ("\\", "t5"), ("再见", ""), ("пока", ""), ("[?]", "")] {
        assert_eq!(found(word, 9).concat(), of, "{word}");
    }
    assert!(!store.said_by_others(&a, "U1").unwrap());
    assert!(store.said_by_others(&a, "U2").unwrap());
}

pub(crate) fn sessions_are_paged_whatever_is_used_meanwhile(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        for (id, key, updated) in [("a", "k1", 3), ("b", "k1", 3), ("c", "k2", 2), ("d", "k1", 1)] {
            s.session_keep(&under(id, key, updated)).unwrap();
        }
    });
    let all = |store: &mut dyn Store, bot: Option<&BotName>, key: Option<&SessionKey>| {
        let mut ids = String::new();
        let mut behind: Option<(i64, SessionId)> = None;
        loop {
            let from = behind.as_ref().map(|(updated, id)| (*updated, id));
            let page = store.sessions_behind(bot, key, from, 1).unwrap();
            let Some(row) = page.last() else { return ids };
            ids.push_str(row.id.as_str());
            behind = Some((row.updated, row.id.clone()));
        }
    };
    let (own, key) = (bot(), SessionKey::from("k1"));
    assert_eq!(all(store.as_mut(), None, None), "bacd");
    assert_eq!(all(store.as_mut(), Some(&own), None), "bacd");
    assert_eq!(all(store.as_mut(), None, Some(&key)), "bad");
    assert_eq!(all(store.as_mut(), Some(&BotName::from("else")), None), "");
    // What came before it, and is newer now, shifts nothing.
    commit(store.as_mut(), |s| s.session_keep(&under("d", "k1", 9)).unwrap());
    let (b, a) = (SessionId::from("b"), SessionId::from("a"));
    let next = store.sessions_behind(None, None, Some((3, &b)), 1).unwrap();
    assert_eq!(next.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["a"]);
    commit(store.as_mut(), |s| assert!(s.session_remove(&a).unwrap()));
    let next = store.sessions_behind(None, None, Some((3, &a)), 9).unwrap();
    assert_eq!(next.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["c"]);
}
