//! Sessions that are copied, forgotten, searched.

use super::sample::{ask_row, bot, item, outbox_row, run_row, session_row, turn_row, view};
use super::{Open, commit};
use crate::chat::{
    Attachment, BotName, Command, InboxId, Item, Message, Press, Quote, Routed, SessionId, SessionKey, Token, TurnId,
    ViewState, What,
};
use crate::store::{
    AskRow, AskState, InboxState, OutboxRow, OutboxState, RunRow, SessionRow, Store, TurnRow, TurnState,
};

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

/// A message with a word, a quote and a file.
fn full(key: &str) -> Message {
    let What::Message(message) = item(key).what else {
        panic!("not a message")
    };
    Message {
        text: "needle".into(),
        quotes: Some(Quote {
            id: "m0".into(),
            sender: None,
            text: "a needle".into(),
            attachments: Vec::new(),
        }),
        attachments: vec![Attachment {
            name: "needle.txt".into(),
            media_type: None,
            size_bytes: None,
            source: "needle".into(),
        }],
        ..message
    }
}

pub(crate) fn words_of_which_nothing_was_made_are_not_kept(open: Open<'_>) {
    let mut store = open();
    let whats = [
        What::Message(full("k0")),
        What::Edited(full("k1")),
        What::Command(Command {
            name: "deny".into(),
            arguments: "needle".into(),
            attachments: full("k2").attachments,
        }),
        What::Press(Press {
            token: Token::from("t"),
            values: Some(vec![("reason".into(), "needle".into())]),
        }),
    ];
    let items = whats.into_iter().zip(0..).map(|(what, number)| Item {
        what,
        ..item(&format!("k{number}"))
    });
    let items: Vec<Item> = items.collect();
    let put = |s: &mut dyn Store, item: &Item| s.inbox_put(&bot(), item, 1).unwrap().unwrap();
    let has = |s: &mut dyn Store, id: InboxId| {
        let row = s.inbox_get(id).unwrap().unwrap();
        format!("{:?}", row.item).contains("needle")
    };
    // Said into a turn, or answered: nobody reads it any more.
    let alone: Vec<InboxId> = commit(store.as_mut(), |s| items.iter().map(|item| put(s, item)).collect());
    let kept = commit(store.as_mut(), |s| {
        let [turn, run] = ["of a turn", "of a run"].map(|key| {
            let what = What::Message(full(key));
            put(s, &Item { what, ..item(key) })
        });
        s.turn_put(&turn_of("t1", turn)).unwrap();
        s.run_put(&run_row(run.0), 1).unwrap();
        [turn, run]
    });
    for &id in alone.iter().chain(&kept) {
        commit(store.as_mut(), |s| {
            s.inbox_state(id, InboxState::Taken).unwrap();
            assert!(has(s, id), "{id:?} is not done yet");
            s.inbox_state(id, InboxState::Done).unwrap();
        });
        assert_eq!(has(store.as_mut(), id), kept.contains(&id), "{id:?}");
    }
    commit(store.as_mut(), |s| {
        assert_eq!(s.inbox_put(&bot(), &items[0], 9).unwrap(), None)
    });
}

fn turn_of(id: &str, inbox: InboxId) -> TurnRow {
    turn(id, "a", Some(inbox), TurnState::Done)
}

pub(crate) fn a_run_is_forgotten_with_the_sessions_that_took_part(open: Open<'_>) {
    let mut store = open();
    // One that is over and one that is not, of both an agent of this session had a part.
    let [over, goes_on] = commit(store.as_mut(), |s| {
        s.session_put(&under("a", "s1", 1)).unwrap();
        s.session_put(&under("b", "s2", 1)).unwrap();
        ["over", "goes on"].map(|key| {
            let id = s.inbox_put(&bot(), &item(key), 1).unwrap().unwrap();
            let row = RunRow {
                open: key == "goes on",
                ..run_row(id.0)
            };
            s.run_put(&row, 1).unwrap();
            let routed = Routed {
                run: id,
                step: 0,
                agent: "reviewer".into(),
            };
            let part = Item {
                what: What::Routed(routed),
                ..item(&format!("part of {key}"))
            };
            let part = s.inbox_put(&bot(), &part, 1).unwrap().unwrap();
            s.turn_put(&turn_of(&format!("turn of {key}"), part)).unwrap();
            s.outbox_put(&delivered(RunRow::last_word(id).as_str(), OutboxState::Sent))
                .unwrap();
            id
        })
    });
    let there = |s: &mut dyn Store, id: InboxId| {
        let word = s.outbox_get(&RunRow::last_word(id)).unwrap();
        (s.run_get(id).unwrap().is_some(), word.is_some(), said(s, id).is_empty())
    };
    let before = (true, true, false);
    commit(store.as_mut(), |s| s.session_remove(&SessionId::from("b")).unwrap());
    assert_eq!(there(store.as_mut(), over), before, "it had no part in it");
    commit(store.as_mut(), |s| s.session_remove(&SessionId::from("a")).unwrap());
    assert_eq!(there(store.as_mut(), over), (false, false, true));
    assert_eq!(there(store.as_mut(), goes_on), (true, false, true));
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

pub(crate) fn ends_of_pages_are_told_and_turns_counted(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        for (id, key, updated) in [("a", "k1", 3), ("b", "k1", 3), ("c", "k2", 2), ("d", "k1", 1)] {
            s.session_keep(&under(id, key, updated)).unwrap();
        }
        s.turn_put(&turn("t1", "a", None, TurnState::Done)).unwrap();
        s.turn_put(&turn("t2", "a", None, TurnState::Running)).unwrap();
        s.turn_put(&turn("t3", "b", None, TurnState::Done)).unwrap();
    });
    let (own, key, b, d) = (
        bot(),
        SessionKey::from("k1"),
        SessionId::from("b"),
        SessionId::from("d"),
    );
    let mut end = |bot, key, behind, limit| {
        let end = store.sessions_end(bot, key, behind, limit).unwrap();
        end.map(|(updated, id)| (updated, id.0))
    };
    let at = |updated: i64, id: &str| Some((updated, id.to_owned()));
    assert_eq!(end(None, None, None, 2), at(3, "a"));
    assert_eq!(end(Some(&own), None, None, 3), at(2, "c"));
    assert_eq!(end(None, Some(&key), Some((3, &b)), 2), at(1, "d"));
    assert_eq!(end(None, None, Some((3, &b)), 99), at(1, "d"));
    assert_eq!(end(None, None, Some((1, &d)), 99), None);
    assert_eq!(end(Some(&BotName::from("else")), None, None, 9), None);
    let counts = [("a", 9), ("a", 1), ("b", 9), ("none", 9)];
    let counts = counts.map(|(id, limit)| store.turns_count(&SessionId::from(id), limit).unwrap());
    assert_eq!(counts, [2, 1, 1, 0]);
}
