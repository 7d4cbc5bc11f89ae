//! Where turns live, and what was said under which vendor's id.

use super::sample::{bot, conversation, item, outbox_row, session_row, target, turn_row, view};
use super::{Open, commit};
use crate::chat::{BotName, Conversation, InboxId, Item, SessionKey, TurnId, ViewState, What};
use crate::store::{OutboxRow, Recall, SessionRow, Store, TurnRow, TurnState};

fn thread(name: &str) -> Conversation {
    Conversation {
        thread: Some(name.into()),
        direct: false,
        ..conversation("C1")
    }
}

/// A turn of the session `s1`, whose conversation is this.
fn turn(s: &mut dyn Store, id: &str, at: &Conversation) -> (TurnRow, OutboxRow, SessionRow) {
    let turn = turn_row(id, TurnState::Running, 1);
    let row = outbox_row(id, None);
    let session = SessionRow {
        conversation: at.clone(),
        ..session_row("s1", 1)
    };
    s.turn_put(&turn).unwrap();
    s.outbox_put(&row).unwrap();
    s.session_put(&session).unwrap();
    (turn, row, session)
}

pub(in crate::store) fn a_turn_that_moved_stays_there(open: Open<'_>) {
    let mut store = open();
    let to = thread("new");
    commit(store.as_mut(), |s| {
        let (turn, row, _) = turn(s, "t1", &thread("old"));
        s.turn_moved(&bot(), &turn.id, &to).unwrap();
        // Whoever still has the old target in mind does not take it back.
        s.turn_put(&turn).unwrap();
        s.outbox_put(&OutboxRow {
            view: Some(view("t1", 9, ViewState::Done)),
            ..row
        })
        .unwrap();
    });
    let id = TurnId::from("t1");
    assert_eq!(store.turn_get(&id).unwrap().unwrap().target.conversation, to);
    let row = store.outbox_get(&id).unwrap().unwrap();
    assert_eq!(
        (row.target.reply_to, row.target.conversation),
        (target("C1").reply_to, to.clone())
    );
    assert_eq!(
        store.outbox_recall(&id).unwrap(),
        Some(Recall {
            memory: None,
            conversation: to.clone()
        })
    );
    let session = SessionKey::from("s1");
    assert_eq!(store.session_get(&session).unwrap().unwrap().conversation, to);
    assert!(store.thread_known(&bot(), &to).unwrap());
    assert_eq!(store.session_at(&bot(), &to).unwrap(), Some(session));
    assert_eq!(store.session_at(&bot(), &thread("other")).unwrap(), None);
    assert_eq!(store.session_at(&BotName::from("other"), &to).unwrap(), None);
    // A turn that is nowhere moves nothing but the thread.
    commit(store.as_mut(), |s| {
        s.turn_moved(&bot(), &TurnId::from("none"), &thread("third")).unwrap();
    });
    assert!(store.thread_known(&bot(), &thread("third")).unwrap());
    assert_eq!(store.session_at(&bot(), &thread("third")).unwrap(), None);
}

pub(in crate::store) fn what_was_private_leads_nowhere_else(open: Open<'_>) {
    let mut store = open();
    let private = Conversation {
        direct: true,
        ..conversation("D1")
    };
    let to = thread("new");
    commit(store.as_mut(), |s| {
        let (turn, _, _) = turn(s, "t1", &private);
        s.turn_moved(&bot(), &turn.id, &to).unwrap();
    });
    let session = store.session_get(&SessionKey::from("s1")).unwrap().unwrap();
    assert_eq!(session.conversation, private);
    assert_eq!(store.session_at(&bot(), &to).unwrap(), None);
}

fn said(key: &str, channel: &str, id: &str) -> Item {
    let mut item = item(key);
    item.origin.conversation = conversation(channel);
    if let What::Message(message) = &mut item.what {
        message.id = id.into();
    }
    item
}

pub(in crate::store) fn what_was_said_is_found_and_amended(open: Open<'_>) {
    let mut store = open();
    let ids = commit(store.as_mut(), |s| {
        [("k1", "C1", "m1"), ("k2", "C2", "m1"), ("k3", "C1", "m2")]
            .map(|(key, channel, id)| s.inbox_put(&bot(), &said(key, channel, id), 1).unwrap().unwrap())
    });
    let found = |store: &mut dyn Store, channel: &str, id: &str| {
        let row = store.inbox_said(&bot(), Some(channel), id).unwrap();
        row.map(|row| (row.id, row.item))
    };
    assert_eq!(
        found(store.as_mut(), "C1", "m1"),
        Some((ids[0], said("k1", "C1", "m1")))
    );
    assert_eq!(
        found(store.as_mut(), "C2", "m1"),
        Some((ids[1], said("k2", "C2", "m1")))
    );
    assert_eq!(found(store.as_mut(), "C3", "m1"), None);
    let mut amended = said("k1", "C1", "m1");
    if let What::Message(message) = &mut amended.what {
        message.text = "otherwise".into();
    }
    commit(store.as_mut(), |s| {
        s.inbox_amend(ids[0], &amended).unwrap();
        for (id, inbox) in [("old", 1), ("new", 1), ("other", 2)] {
            s.turn_put(&TurnRow {
                inbox: Some(ids[inbox - 1]),
                ..turn_row(id, TurnState::Queued, 1)
            })
            .unwrap();
        }
    });
    assert_eq!(found(store.as_mut(), "C1", "m1"), Some((ids[0], amended)));
    let anywhere = store.inbox_said(&bot(), None, "m1").unwrap().map(|row| row.id);
    assert_eq!(anywhere, Some(ids[1]));
    let turn = store.turn_of_inbox(ids[0]).unwrap().map(|turn| turn.id);
    assert_eq!(turn, Some(TurnId::from("new")));
    assert_eq!(store.turn_of_inbox(InboxId(999)).unwrap(), None);
}
