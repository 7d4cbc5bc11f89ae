//! What every store must do, whatever database is behind it. `suite!` makes one test of each promise.

mod ahead;
mod moved;
mod run;
pub(crate) mod sample;
mod session;

use self::sample::{ask_row, bot, conversation, event, item, outbox_row, session_row, token_row, turn_row, view};
use super::{
    AskRow, AskState, AuditRow, Counts, InboxState, OutboxRow, OutboxState, Outcome, SessionRow, Store, StoreError,
    TurnRow, TurnState,
};
use crate::chat::{BotName, Conversation, InboxId, SessionId, SessionKey, Token, TurnId, ViewState};

/// Opens the same data again at each call.
pub(super) type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

/// `suite!(a_function(test: fn(Open)))`: a test of each promise.
macro_rules! suite {
    ($with:path: $($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            $with(&crate::store::conformance::$name);
        })+
    };
    ($with:path) => {
        $crate::store::conformance::suite!($with:
            an_item_is_stored_once_by_bot_and_key, new_items_come_in_order_and_in_pages, rows_come_back_whole,
            a_failed_job_is_undone_alone, a_rollback_keeps_nothing, everything_is_there_after_opening_again,
            forgetting_keeps_what_is_not_done, a_key_is_known_as_long_as_its_row, forgetting_goes_in_steps,
            values_expire, what_an_adapter_keeps_is_counted, tokens_and_asks_come_back, asks_expire_when_open,
            web_rows_rise_when_replaced, a_cli_session_has_one_owner, one_session_of_a_key_is_current, a_log_is_read_in_pages_that_nothing_shifts, pending_rows_come_by_next_try,
            an_outcome_is_of_one_revision, the_adapters_memory_is_not_taken_away, credentials_reopen_what_waited,
            a_message_tells_its_turn, threads_are_known_once_joined, timers_come_when_due,
            what_was_set_aside_is_counted_and_listed, counts_tell_what_is_to_be_done,
            runs_come_back_until_they_are_over, words_of_which_nothing_was_made_are_not_kept,
            a_run_is_forgotten_with_the_sessions_that_took_part, a_turn_that_moved_stays_there, what_was_private_leads_nowhere_else, what_was_said_is_found_and_amended,
            a_forgotten_session_leaves_the_others_whole, a_copy_has_the_log_and_answers_no_message,
            turns_are_found_by_what_they_may_hold, sessions_are_paged_whatever_is_used_meanwhile,
            ends_of_pages_are_told_and_turns_counted, what_came_ahead_of_its_message_is_kept_until_it_comes,
            what_came_ahead_is_bounded_and_goes_in_time, of_what_came_ahead_the_newest_stands_and_a_deletion_is_the_last,
            edits_that_came_ahead_push_no_deletion_away,
        );
    };
}
pub(super) use ahead::{
    edits_that_came_ahead_push_no_deletion_away, of_what_came_ahead_the_newest_stands_and_a_deletion_is_the_last,
    what_came_ahead_is_bounded_and_goes_in_time, what_came_ahead_of_its_message_is_kept_until_it_comes,
};
pub(super) use moved::{
    a_turn_that_moved_stays_there, what_was_private_leads_nowhere_else, what_was_said_is_found_and_amended,
};
pub(super) use run::runs_come_back_until_they_are_over;
pub(super) use session::{
    a_copy_has_the_log_and_answers_no_message, a_forgotten_session_leaves_the_others_whole,
    a_run_is_forgotten_with_the_sessions_that_took_part, ends_of_pages_are_told_and_turns_counted,
    sessions_are_paged_whatever_is_used_meanwhile, turns_are_found_by_what_they_may_hold,
    words_of_which_nothing_was_made_are_not_kept,
};
pub(super) use suite;

/// One committed transaction.
fn commit<T>(store: &mut dyn Store, work: impl FnOnce(&mut dyn Store) -> T) -> T {
    store.begin().unwrap();
    let made = work(store);
    store.commit().unwrap();
    made
}

pub(super) fn an_item_is_stored_once_by_bot_and_key(open: Open<'_>) {
    let mut store = open();
    let put = commit(store.as_mut(), |s| {
        [
            s.inbox_put(&bot(), &item("k1"), 1).unwrap(),
            s.inbox_put(&bot(), &item("k1"), 2).unwrap(),
            s.inbox_put(&bot(), &item("k2"), 3).unwrap(),
            s.inbox_put(&BotName::from("other"), &item("k1"), 4).unwrap(),
        ]
    });
    let ids: Vec<bool> = put.iter().map(Option::is_some).collect();
    assert_eq!(ids, [true, false, true, true]);
    assert!(put[0] < put[2] && put[2] < put[3], "{put:?}");
    assert_eq!(store.inbox_find(&bot(), "k1").unwrap(), put[0]);
    assert_eq!(store.inbox_find(&bot(), "k3").unwrap(), None);
    assert_eq!(
        store.inbox_get(put[0].unwrap()).unwrap().map(|row| row.received),
        Some(1)
    );
}

pub(super) fn new_items_come_in_order_and_in_pages(open: Open<'_>) {
    let mut store = open();
    let keys = |rows: Vec<super::InboxRow>| rows.into_iter().map(|row| row.item.origin.key).collect::<Vec<_>>();
    let ids = commit(store.as_mut(), |s| {
        let ids: Vec<InboxId> = (0..5)
            .map(|n| s.inbox_put(&bot(), &item(&format!("k{n}")), 10 - n).unwrap().unwrap())
            .collect();
        s.inbox_put(&BotName::from("other"), &item("theirs"), 1).unwrap();
        s.inbox_state(ids[1], InboxState::Taken).unwrap();
        s.inbox_state(ids[3], InboxState::Done).unwrap();
        ids
    });
    assert_eq!(keys(store.inbox_new(&bot(), InboxId(0), 2).unwrap()), ["k0", "k2"]);
    assert_eq!(keys(store.inbox_new(&bot(), ids[2], 2).unwrap()), ["k4"]);
}

pub(super) fn rows_come_back_whole(open: Open<'_>) {
    let mut store = open();
    let turn = turn_row("t1", TurnState::Asking, 5);
    let session = session_row("s1", 9);
    let row = OutboxRow {
        memory: Some(vec![0, 1, 255]),
        last_error: Some("late".into()),
        ..outbox_row("t1", Some(view("t1", 4, ViewState::Failed("no".into()))))
    };
    let id = commit(store.as_mut(), |s| {
        s.turn_put(&turn_row("t1", TurnState::Queued, 1)).unwrap();
        s.turn_put(&turn).unwrap();
        s.session_put(&session).unwrap();
        s.outbox_put(&row).unwrap();
        s.audit(&AuditRow {
            at: 1,
            bot: bot(),
            who: "U1".into(),
            what: "allowed".into(),
        })
        .unwrap();
        s.inbox_put(&bot(), &item("k"), 1).unwrap().unwrap()
    });
    assert_eq!(store.turn_get(&turn.id).unwrap(), Some(turn));
    assert_eq!(store.turn_get(&TurnId::from("none")).unwrap(), None);
    assert_eq!(store.session_get(&session.key).unwrap(), Some(session));
    assert_eq!(store.outbox_get(&row.turn).unwrap(), Some(row));
    assert_eq!(store.inbox_get(id).unwrap().map(|row| row.item), Some(item("k")));
    commit(store.as_mut(), |s| {
        s.session_put(&session_row("s2", 20)).unwrap();
        s.session_put(&session_row("s0", 15)).unwrap();
    });
    let mut page = |bot: Option<&BotName>, skip, limit| {
        let page = store.sessions(bot, skip, limit).unwrap();
        let keys: Vec<String> = page.sessions.into_iter().map(|row| row.key.0).collect();
        (keys.join(" "), page.more)
    };
    let (own, other) = (bot(), BotName::from("else"));
    for bot in [Some(&own), None] {
        assert_eq!(page(bot, 0, 2), ("s2 s0".to_owned(), true));
        assert_eq!(page(bot, 1, 2), ("s0 s1".to_owned(), false));
        assert_eq!(page(bot, 0, 9), ("s2 s0 s1".to_owned(), false));
        assert_eq!(page(bot, u32::MAX, u32::MAX), (String::new(), false));
    }
    assert_eq!(page(Some(&other), 0, 2), (String::new(), false));
    let open_turns = commit(store.as_mut(), |s| {
        s.turn_put(&turn_row("t0", TurnState::Queued, 1)).unwrap();
        s.turn_put(&turn_row("t2", TurnState::Done, 2)).unwrap();
        s.turns_open(&bot())
            .unwrap()
            .into_iter()
            .map(|row| row.id.0)
            .collect::<Vec<_>>()
    });
    assert_eq!(open_turns, ["t0", "t1"]);
}

pub(super) fn a_failed_job_is_undone_alone(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        for (key, fails) in [("k1", false), ("k2", true), ("k3", false)] {
            s.savepoint().unwrap();
            s.inbox_put(&bot(), &item(key), 1).unwrap().unwrap();
            if fails {
                s.rollback_to_savepoint()
            } else {
                s.release().unwrap()
            }
        }
    });
    let found = ["k1", "k2", "k3"].map(|key| store.inbox_find(&bot(), key).unwrap().is_some());
    assert_eq!(found, [true, false, true]);
}

pub(super) fn a_rollback_keeps_nothing(open: Open<'_>) {
    let mut store = open();
    store.begin().unwrap();
    store.savepoint().unwrap();
    store.inbox_put(&bot(), &item("k1"), 1).unwrap();
    store.release().unwrap();
    store.rollback();
    assert_eq!(store.inbox_find(&bot(), "k1").unwrap(), None);
    // Outside a transaction there is nothing to be part of.
    assert!(matches!(store.savepoint(), Err(StoreError::Unavailable(_))));
    assert!(commit(store.as_mut(), |s| s.inbox_put(&bot(), &item("k1"), 1).unwrap()).is_some());
}

pub(super) fn everything_is_there_after_opening_again(open: Open<'_>) {
    let mut store = open();
    let id = commit(store.as_mut(), |s| {
        s.kv_put(&bot(), "k", b"v", None).unwrap();
        s.inbox_put(&bot(), &item("k1"), 1).unwrap().unwrap()
    });
    store.begin().unwrap();
    store.inbox_put(&bot(), &item("lost"), 1).unwrap();
    drop(store);
    let mut store = open();
    assert_eq!(store.inbox_get(id).unwrap().map(|row| row.item), Some(item("k1")));
    assert_eq!(store.inbox_find(&bot(), "lost").unwrap(), None);
    assert_eq!(store.kv_get(&bot(), "k", 0).unwrap().as_deref(), Some(b"v".as_slice()));
    let next = commit(store.as_mut(), |s| {
        s.inbox_put(&bot(), &item("k2"), 1).unwrap().unwrap()
    });
    assert!(next > id);
}

pub(super) fn forgetting_keeps_what_is_not_done(open: Open<'_>) {
    let mut store = open();
    let forgotten = commit(store.as_mut(), |s| {
        for (key, received, state) in [
            ("new", 1, InboxState::New),
            ("taken", 1, InboxState::Taken),
            ("done", 1, InboxState::Done),
            ("late", 100, InboxState::Done),
        ] {
            let id = s.inbox_put(&bot(), &item(key), received).unwrap().unwrap();
            s.inbox_state(id, state).unwrap();
        }
        for (turn, state, updated) in [
            ("pending", OutboxState::Pending, 1),
            ("sent", OutboxState::Sent, 1),
            ("fresh", OutboxState::Sent, 100),
            ("dead", OutboxState::Dead, 1),
            ("ambiguous", OutboxState::Ambiguous, 1),
            ("unauthorized", OutboxState::Unauthorized, 1),
        ] {
            s.turn_put(&turn_row(turn, TurnState::Done, 1)).unwrap();
            let row = outbox_row(turn, Some(view(turn, 1, ViewState::Done)));
            s.outbox_put(&OutboxRow { state, updated, ..row }).unwrap();
            s.outbox_posted(&TurnId::from(turn), &format!("m-{turn}")).unwrap();
        }
        s.turn_put(&turn_row("running", TurnState::Running, 1)).unwrap();
        s.ask_put(&ask_row("open", AskState::Open, 1)).unwrap();
        s.ask_put(&ask_row("closed", AskState::Closed, 1)).unwrap();
        s.token_put(&token_row("old", 1)).unwrap();
        s.token_put(&token_row("valid", 100)).unwrap();
        s.kv_put(&bot(), "old", b"v", Some(1)).unwrap();
        s.kv_put(&bot(), "kept", b"v", None).unwrap();
        s.aside_put(&bot(), &event(b"lost"), "malformed", false).unwrap();
        s.aside_put(&bot(), &event(b"again"), "late", true).unwrap();
        s.forget_before(50).unwrap()
    });
    // One each of inbox, aside, outbox, turns, asks, tokens, kv.
    assert_eq!(forgotten, 7);
    let keys = ["new", "taken", "done", "late"].map(|key| store.inbox_find(&bot(), key).unwrap().is_some());
    assert_eq!(keys, [true, true, false, true]);
    for turn in ["pending", "fresh", "dead", "ambiguous", "unauthorized"] {
        assert!(store.outbox_get(&TurnId::from(turn)).unwrap().is_some(), "{turn}");
        assert!(store.turn_get(&TurnId::from(turn)).unwrap().is_some(), "{turn}");
        assert!(
            store
                .turn_of_message(&bot(), None, &format!("m-{turn}"))
                .unwrap()
                .is_some(),
            "{turn}"
        );
    }
    assert_eq!(store.outbox_get(&TurnId::from("sent")).unwrap(), None);
    assert_eq!(store.turn_get(&TurnId::from("sent")).unwrap(), None);
    assert_eq!(store.turn_of_message(&bot(), None, "m-sent").unwrap(), None);
    assert!(store.turn_get(&TurnId::from("running")).unwrap().is_some());
    assert!(store.ask_get("open").unwrap().is_some() && store.ask_get("closed").unwrap().is_none());
    assert!(store.token_get(&Token::from("valid")).unwrap().is_some());
    assert!(store.token_get(&Token::from("old")).unwrap().is_none());
    assert_eq!(store.aside_list(None, true, 9).unwrap().len(), 1);
    assert_eq!(store.kv_size(&bot()).unwrap(), (1, 5));
}

pub(super) fn a_key_is_known_as_long_as_its_row(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        let id = s.inbox_put(&bot(), &item("k"), 10).unwrap().unwrap();
        s.inbox_state(id, InboxState::Done).unwrap();
        s.forget_before(10).unwrap();
        assert_eq!(
            s.inbox_put(&bot(), &item("k"), 11).unwrap(),
            None,
            "it is not older than 10"
        );
        s.forget_before(11).unwrap();
        let again = s.inbox_put(&bot(), &item("k"), 12).unwrap();
        assert!(again > Some(id), "an id is never given twice");
    });
}

pub(super) fn forgetting_goes_in_steps(open: Open<'_>) {
    let mut store = open();
    let most = u64::from(super::FORGET_AT_ONCE);
    let steps = commit(store.as_mut(), |s| {
        for n in 0..most + 5 {
            s.token_put(&token_row(&format!("token{n}"), 1)).unwrap();
        }
        [
            s.forget_before(50).unwrap(),
            s.forget_before(50).unwrap(),
            s.forget_before(50).unwrap(),
        ]
    });
    assert_eq!(steps, [most, 5, 0]);
}

pub(super) fn values_expire(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        s.kv_put(&bot(), "k", b"one", Some(10)).unwrap();
        assert_eq!(s.kv_get(&bot(), "k", 9).unwrap().as_deref(), Some(b"one".as_slice()));
        assert_eq!(s.kv_get(&bot(), "k", 10).unwrap(), None);
        assert_eq!(s.kv_get(&BotName::from("other"), "k", 9).unwrap(), None);
        assert!(!s.kv_put_if_absent(&bot(), "k", b"two", None, 9).unwrap());
        assert!(s.kv_put_if_absent(&bot(), "k", b"three", Some(20), 10).unwrap());
        assert_eq!(s.kv_get(&bot(), "k", 19).unwrap().as_deref(), Some(b"three".as_slice()));
        s.kv_put(&bot(), "k", b"four", None).unwrap();
        assert_eq!(
            s.kv_get(&bot(), "k", 1000).unwrap().as_deref(),
            Some(b"four".as_slice())
        );
        s.kv_remove(&bot(), "k").unwrap();
        assert_eq!(s.kv_get(&bot(), "k", 0).unwrap(), None);
    });
}

pub(super) fn what_an_adapter_keeps_is_counted(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        assert_eq!(s.kv_size(&bot()).unwrap(), (0, 0));
        s.kv_put(&bot(), "é", &[0; 10], None).unwrap();
        s.kv_put(&bot(), "b", &[0; 5], Some(3)).unwrap();
        assert_eq!(s.kv_size(&bot()).unwrap(), (2, 18), "keys count with their bytes");
        s.kv_put(&bot(), "é", &[0; 1], None).unwrap();
        assert_eq!(s.kv_size(&bot()).unwrap(), (2, 9));
        assert!(s.kv_put_if_absent(&bot(), "c", &[], None, 4).unwrap());
        assert_eq!(s.kv_size(&bot()).unwrap(), (2, 4), "what expired made room");
        s.kv_remove(&bot(), "é").unwrap();
        assert_eq!(s.kv_size(&bot()).unwrap(), (1, 1));
        assert_eq!(s.kv_size(&BotName::from("other")).unwrap(), (0, 0));
    });
}

pub(super) fn tokens_and_asks_come_back(open: Open<'_>) {
    let mut store = open();
    let (ask, token) = (ask_row("a1", AskState::Decided, 9), token_row("secret", 9));
    commit(store.as_mut(), |s| {
        s.ask_put(&ask_row("a1", AskState::Open, 5)).unwrap();
        s.ask_put(&ask_row("a2", AskState::Closed, 5)).unwrap();
        s.ask_put(&ask).unwrap();
        s.token_put(&token).unwrap();
    });
    let ids: Vec<String> = store
        .asks_of(&TurnId::from("t1"))
        .unwrap()
        .into_iter()
        .map(|row| row.id)
        .collect();
    assert_eq!(ids, ["a1", "a2"]);
    assert_eq!(store.ask_get("a1").unwrap(), Some(ask));
    assert_eq!(store.token_get(&token.token).unwrap(), Some(token));
    assert_eq!(store.token_get(&Token::from("guess")).unwrap(), None);
}

pub(super) fn asks_expire_when_open(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        s.ask_put(&ask_row("later", AskState::Open, 20)).unwrap();
        s.ask_put(&ask_row("second", AskState::Open, 10)).unwrap();
        s.ask_put(&ask_row("first", AskState::Open, 5)).unwrap();
        s.ask_put(&ask_row("decided", AskState::Decided, 5)).unwrap();
    });
    let expired = |rows: Vec<AskRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(expired(store.asks_expired(10, 9).unwrap()), ["first", "second"]);
    assert_eq!(expired(store.asks_expired(10, 1).unwrap()), ["first"]);
}

pub(super) fn web_rows_rise_when_replaced(open: Open<'_>) {
    let mut store = open();
    let seqs = commit(store.as_mut(), |s| {
        [
            ("c1", "m1", "a"),
            ("c1", "m2", "b"),
            ("c2", "m1", "c"),
            ("c1", "m1", "d"),
        ]
        .map(|(channel, message, body)| s.web_put(&bot(), channel, message, body).unwrap())
    });
    assert!(seqs.is_sorted_by(|one, other| one < other), "{seqs:?}");
    let list = |store: &mut dyn Store, after, limit| {
        let rows = store.web_list(&bot(), "c1", after, limit).unwrap();
        rows.into_iter().map(|row| (row.seq, row.body)).collect::<Vec<_>>()
    };
    assert_eq!(
        list(store.as_mut(), 0, 9),
        [(seqs[1], "b".to_owned()), (seqs[3], "d".to_owned())]
    );
    assert_eq!(list(store.as_mut(), seqs[1], 9), [(seqs[3], "d".to_owned())]);
    assert_eq!(list(store.as_mut(), 0, 1), [(seqs[1], "b".to_owned())]);
}

pub(super) fn one_session_of_a_key_is_current(open: Open<'_>) {
    let mut store = open();
    let row = |id: &str, epoch, updated| SessionRow {
        id: SessionId::from(id),
        epoch,
        ..session_row("s1", updated)
    };
    commit(store.as_mut(), |s| {
        s.session_put(&row("a", 0, 1)).unwrap();
        s.session_put(&row("b", 5, 3)).unwrap();
        s.session_put(&row("c", 2, 2)).unwrap();
        s.session_put(&session_row("s2", 9)).unwrap();
        s.turn_put(&TurnRow {
            session_id: SessionId::from("a"),
            ..turn_row("t1", TurnState::Done, 1)
        })
        .unwrap();
        s.turn_put(&TurnRow {
            session_id: SessionId::from("a"),
            ..turn_row("t2", TurnState::Queued, 2)
        })
        .unwrap();
        s.turn_put(&turn_row("t3", TurnState::Done, 3)).unwrap();
    });
    let key = SessionKey::from("s1");
    let id = |row: Option<SessionRow>| row.map(|row| row.id.0);
    assert_eq!(id(store.session_get(&key).unwrap()).as_deref(), Some("c"));
    commit(store.as_mut(), |s| s.session_put(&row("a", 0, 4)).unwrap());
    assert_eq!(id(store.session_get(&key).unwrap()).as_deref(), Some("a"));
    assert_eq!(
        id(store.session_by_id(&SessionId::from("b")).unwrap()).as_deref(),
        Some("b")
    );
    assert_eq!(store.session_by_id(&SessionId::from("zzz")).unwrap(), None);
    assert_eq!(store.session_counts(&key).unwrap(), (3, 5));
    assert_eq!(store.session_counts(&SessionKey::from("s9")).unwrap(), (0, 0));
    let ids = |rows: Vec<SessionRow>| rows.into_iter().map(|row| row.id.0).collect::<Vec<_>>();
    assert_eq!(ids(store.sessions_of(&key, 0, 2).unwrap()), ["a", "b"]);
    assert_eq!(ids(store.sessions_of(&key, 2, 2).unwrap()), ["c"]);
    assert_eq!(store.sessions(None, 0, 9).unwrap().sessions.len(), 4);
    let turns = |limit| -> Vec<String> {
        let rows = store.turns_of(&SessionId::from("a"), limit).unwrap();
        rows.into_iter().map(|row| row.id.0).collect()
    };
    let mut turns = turns;
    assert_eq!(turns(9), ["t2", "t1"]);
    assert_eq!(turns(1), ["t2"]);
}

pub(super) fn a_log_is_read_in_pages_that_nothing_shifts(open: Open<'_>) {
    let mut store = open();
    let turn = |id: &str, opened| TurnRow {
        session_id: SessionId::from("a"),
        ..turn_row(id, TurnState::Done, opened)
    };
    commit(store.as_mut(), |s| {
        // Three of one millisecond, across the end of a page.
        for (id, opened) in [("t1", 1), ("t2", 2), ("t3", 2), ("t4", 2), ("t5", 3)] {
            s.turn_put(&turn(id, opened)).unwrap();
        }
        s.turn_put(&turn_row("another's", TurnState::Done, 2)).unwrap();
    });
    let (mut pages, mut place) = (Vec::new(), None);
    loop {
        let page = store.turns_page(&SessionId::from("a"), place, 2).unwrap();
        pages.push(page.turns.into_iter().map(|row| row.id.0).collect::<Vec<_>>());
        // What is opened meanwhile, and what is written again, moves nothing.
        commit(store.as_mut(), |s| {
            s.turn_put(&turn(&format!("new{}", pages.len()), 9)).unwrap();
            s.turn_put(&turn("t2", 2)).unwrap();
        });
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec!["t5", "t4"], vec!["t3", "t2"], vec!["t1"]]);
    let none = store.turns_page(&SessionId::from("z"), None, 2).unwrap();
    assert_eq!((none.turns, none.next), (Vec::new(), None));
}

pub(super) fn a_cli_session_has_one_owner(open: Open<'_>) {
    let mut store = open();
    let claims = commit(store.as_mut(), |s| {
        ["s1", "s2", "s1"].map(|key| s.cli_session_claim("uuid", &SessionKey::from(key)).unwrap())
    });
    assert_eq!(claims, [true, false, true]);
    drop(store);
    let mut store = open();
    assert!(!commit(store.as_mut(), |s| s
        .cli_session_claim("uuid", &SessionKey::from("s2"))
        .unwrap()));
}

pub(super) fn pending_rows_come_by_next_try(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        for (turn, next_try, seen) in [("t2", 20, true), ("t1", 10, true), ("stream", 5, false)] {
            let view = seen.then(|| view(turn, 1, ViewState::Done));
            s.outbox_put(&OutboxRow {
                next_try,
                ..outbox_row(turn, view)
            })
            .unwrap();
        }
        let row = outbox_row("sent", Some(view("sent", 1, ViewState::Done)));
        s.outbox_put(&OutboxRow {
            state: OutboxState::Sent,
            ..row.clone()
        })
        .unwrap();
        s.outbox_put(&OutboxRow {
            bot: BotName::from("other"),
            turn: TurnId::from("theirs"),
            ..row
        })
        .unwrap();
    });
    let turns: Vec<String> = store
        .outbox_pending(&bot())
        .unwrap()
        .into_iter()
        .map(|row| row.turn.0)
        .collect();
    assert_eq!(turns, ["t1", "t2"]);
}

fn outcome(revision: u32, state: OutboxState) -> Outcome {
    Outcome {
        revision,
        state,
        attempts: 3,
        next_try: 77,
        last_error: Some("why".into()),
        updated: 88,
    }
}

pub(super) fn an_outcome_is_of_one_revision(open: Open<'_>) {
    let mut store = open();
    let row = outbox_row("t1", Some(view("t1", 5, ViewState::Asking)));
    let newer = view("t1", 6, ViewState::Done);
    commit(store.as_mut(), |s| {
        s.outbox_put(&row).unwrap();
        assert!(s.outbox_outcome(&row.turn, &outcome(5, OutboxState::Pending)).unwrap());
        let stored = s.outbox_get(&row.turn).unwrap().unwrap();
        let told = (
            stored.state,
            stored.attempts,
            stored.next_try,
            stored.last_error,
            stored.updated,
        );
        assert_eq!(told, (OutboxState::Pending, 3, 77, Some("why".into()), 88));
        s.outbox_put(&OutboxRow {
            view: Some(newer.clone()),
            ..row.clone()
        })
        .unwrap();
        assert!(!s.outbox_outcome(&row.turn, &outcome(5, OutboxState::Sent)).unwrap());
        assert_eq!(
            s.outbox_get(&row.turn).unwrap().map(|row| row.state),
            Some(OutboxState::Pending)
        );
        assert!(s.outbox_outcome(&row.turn, &outcome(6, OutboxState::Sent)).unwrap());
        assert!(
            !s.outbox_outcome(&TurnId::from("none"), &outcome(6, OutboxState::Sent))
                .unwrap()
        );
    });
}

pub(super) fn the_adapters_memory_is_not_taken_away(open: Open<'_>) {
    let mut store = open();
    let row = outbox_row("t1", None);
    let memory = |s: &mut dyn Store| s.outbox_recall(&row.turn).unwrap().map(|recall| recall.memory);
    commit(store.as_mut(), |s| {
        assert_eq!(memory(s), None);
        assert!(s.outbox_memory(&row.turn, b"m").is_err(), "the row must be there");
        s.outbox_put(&row).unwrap();
        assert_eq!(memory(s), Some(None));
        s.outbox_memory(&row.turn, b"stands").unwrap();
        s.outbox_put(&outbox_row("t1", Some(view("t1", 1, ViewState::Done))))
            .unwrap();
        assert_eq!(memory(s), Some(Some(b"stands".to_vec())));
    });
}

pub(super) fn credentials_reopen_what_waited(open: Open<'_>) {
    let mut store = open();
    let reopened = commit(store.as_mut(), |s| {
        for (turn, state) in [
            ("waits", OutboxState::Unauthorized),
            ("dead", OutboxState::Dead),
            ("sent", OutboxState::Sent),
        ] {
            let row = outbox_row(turn, Some(view(turn, 1, ViewState::Done)));
            s.outbox_put(&OutboxRow {
                state,
                attempts: 4,
                ..row
            })
            .unwrap();
        }
        assert_eq!(s.outbox_dead(Some(&bot()), 9).unwrap().len(), 2);
        assert_eq!(s.outbox_dead(None, 1).unwrap().len(), 1);
        assert_eq!(s.outbox_reopen(&BotName::from("other")).unwrap(), []);
        s.outbox_reopen(&bot()).unwrap()
    });
    let row = outbox_row("waits", Some(view("waits", 1, ViewState::Done)));
    assert_eq!(reopened, [OutboxRow { next_try: 0, ..row }]);
    assert_eq!(store.outbox_pending(&bot()).unwrap(), reopened);
}

pub(super) fn a_message_tells_its_turn(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        assert!(
            s.outbox_posted(&TurnId::from("t1"), "m1").is_err(),
            "the row must be there"
        );
        for (turn, channel) in [("t1", "C1"), ("t2", "C2")] {
            let mut row = outbox_row(turn, None);
            row.target.conversation.channel = channel.into();
            s.outbox_put(&row).unwrap();
            s.outbox_posted(&row.turn, "m1").unwrap();
            s.outbox_posted(&row.turn, "m1").unwrap();
        }
        s.outbox_posted(&TurnId::from("t2"), "m2").unwrap();
    });
    let mut found = |bot: &BotName, channel, message| store.turn_of_message(bot, channel, message).unwrap();
    let (one, two) = (Some(TurnId::from("t1")), Some(TurnId::from("t2")));
    assert_eq!(found(&bot(), Some("C1"), "m1"), one);
    assert_eq!(found(&bot(), Some("C2"), "m1"), two);
    assert_eq!(found(&bot(), Some("C1"), "m2"), None);
    assert_eq!(found(&bot(), None, "m2"), two);
    // Which of the two, nobody can say.
    assert_eq!(found(&bot(), None, "m1"), None);
    assert_eq!(found(&BotName::from("other"), Some("C1"), "m1"), None);
}

pub(super) fn threads_are_known_once_joined(open: Open<'_>) {
    let mut store = open();
    let thread = Conversation {
        thread: Some("1.2".into()),
        ..conversation("C1")
    };
    commit(store.as_mut(), |s| {
        assert!(!s.thread_known(&bot(), &thread).unwrap());
        s.thread_joined(&bot(), &thread).unwrap();
        s.thread_joined(&bot(), &thread).unwrap();
    });
    assert!(store.thread_known(&bot(), &thread).unwrap());
    assert!(!store.thread_known(&bot(), &conversation("C1")).unwrap());
    assert!(!store.thread_known(&BotName::from("other"), &thread).unwrap());
}

pub(super) fn timers_come_when_due(open: Open<'_>) {
    let mut store = open();
    let ids = commit(store.as_mut(), |s| {
        [(20, "b"), (10, "a"), (20, "c"), (21, "d")].map(|(at, kind)| s.timer_put(&bot(), kind, b"p", at).unwrap())
    });
    let kinds = |store: &mut dyn Store, limit| {
        store
            .timers_due(20, limit)
            .unwrap()
            .into_iter()
            .map(|row| row.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(store.as_mut(), 9), ["a", "b", "c"]);
    assert_eq!(kinds(store.as_mut(), 1), ["a"]);
    commit(store.as_mut(), |s| s.timer_remove(ids[0]).unwrap());
    assert_eq!(kinds(store.as_mut(), 9), ["a", "c"]);
}

pub(super) fn what_was_set_aside_is_counted_and_listed(open: Open<'_>) {
    let mut store = open();
    let ids = commit(store.as_mut(), |s| {
        let ids = [true, true, false].map(|again| s.aside_put(&bot(), &event(&[0, 255]), "late", again).unwrap());
        s.aside_failed(ids[0], "late again", true).unwrap();
        s.aside_failed(ids[1], "gave up", false).unwrap();
        ids
    });
    let again = store.aside_list(Some(&bot()), true, 9).unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(
        (again[0].id, again[0].attempts, again[0].reason.as_str()),
        (ids[0], 1, "late again")
    );
    assert_eq!(again[0].event, event(&[0, 255]));
    assert_eq!(store.aside_list(Some(&BotName::from("other")), true, 9).unwrap(), []);
    assert_eq!(store.aside_list(None, false, 9).unwrap().len(), 2);
    commit(store.as_mut(), |s| s.aside_remove(ids[0]).unwrap());
    assert_eq!(store.aside_list(None, true, 9).unwrap(), []);
}

pub(super) fn counts_tell_what_is_to_be_done(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        s.inbox_put(&bot(), &item("k1"), 1).unwrap();
        let done = s.inbox_put(&bot(), &item("k2"), 1).unwrap().unwrap();
        s.inbox_state(done, InboxState::Done).unwrap();
        s.aside_put(&bot(), &event(b"x"), "late", true).unwrap();
        s.session_put(&session_row("s1", 1)).unwrap();
        s.turn_put(&turn_row("t1", TurnState::Running, 1)).unwrap();
        s.turn_put(&turn_row("t2", TurnState::Done, 1)).unwrap();
        s.outbox_put(&outbox_row("t1", None)).unwrap();
        s.outbox_put(&outbox_row("t2", Some(view("t2", 1, ViewState::Done))))
            .unwrap();
        let dead = outbox_row("t3", Some(view("t3", 1, ViewState::Done)));
        s.outbox_put(&OutboxRow {
            state: OutboxState::Dead,
            ..dead
        })
        .unwrap();
    });
    let told = Counts {
        inbox_new: 1,
        aside: 1,
        sessions: 1,
        turns_open: 1,
        outbox_pending: 1,
        outbox_dead: 1,
    };
    assert_eq!(store.counts().unwrap(), told);
}
