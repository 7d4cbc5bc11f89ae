//! Edits and deletions of messages that are not here yet.

use super::sample::{bot, item};
use super::{Open, commit};
use crate::chat::{BotName, Message, What};
use crate::store::{AHEAD_MAX, Store};

fn edit(id: &str, text: &str) -> What {
    let What::Message(message) = item("k").what else {
        unreachable!("it is a message")
    };
    What::Edited(Message {
        id: id.into(),
        text: text.into(),
        ..message
    })
}

fn deletion(id: &str) -> What {
    What::Deleted(id.into())
}

fn put(store: &mut dyn Store, channel: Option<&str>, change: &What) {
    store.ahead_put(&bot(), channel, change, 100).unwrap();
}

pub(in crate::store) fn what_came_ahead_of_its_message_is_kept_until_it_comes(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        put(s, Some("C1"), &edit("m1", "first"));
        put(s, Some("C1"), &edit("m1", "second"));
        put(s, Some("C1"), &deletion("m2"));
        put(s, Some("C1"), &edit("m2", "late"));
        // An event that does not tell its channel is of any.
        put(s, None, &deletion("m3"));
        // Nothing else changes a message.
        put(s, Some("C1"), &item("k").what);
        put(s, Some("C1"), &What::Stop);
    });
    drop(store);
    let mut store = open();
    let mut take = |bot: &BotName, channel: &str, id: &str| {
        commit(store.as_mut(), |s| s.ahead_take(bot, channel, id, 99).unwrap())
    };
    assert_eq!(take(&bot(), "C2", "m1"), None);
    assert_eq!(take(&BotName::from("other"), "C1", "m1"), None);
    assert_eq!(take(&bot(), "C1", "m1"), Some(edit("m1", "second")));
    assert_eq!(take(&bot(), "C1", "m1"), None, "it was taken");
    assert_eq!(take(&bot(), "C1", "m2"), Some(deletion("m2")));
    assert_eq!(take(&bot(), "C9", "m3"), Some(deletion("m3")));
}

pub(in crate::store) fn what_came_ahead_is_bounded_and_goes_in_time(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        for n in 0..=AHEAD_MAX {
            put(s, Some("C1"), &deletion(&format!("m{n}")));
        }
        let other = BotName::from("other");
        s.ahead_put(&other, Some("C1"), &deletion("m0"), 200).unwrap();
        assert_eq!(s.ahead_take(&bot(), "C1", "m0", 1).unwrap(), None, "the oldest went");
        assert_eq!(s.ahead_take(&bot(), "C1", "m1", 1).unwrap(), Some(deletion("m1")));
        assert_eq!(s.ahead_take(&bot(), "C1", "m2", 100).unwrap(), None, "its time is over");
        assert_eq!(s.ahead_forget(100).unwrap(), u64::from(AHEAD_MAX) - 1);
        assert_eq!(s.ahead_take(&other, "C1", "m0", 100).unwrap(), Some(deletion("m0")));
    });
}
