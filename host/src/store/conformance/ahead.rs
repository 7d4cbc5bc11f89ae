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

pub(in crate::store) fn of_what_came_ahead_the_newest_stands_and_a_deletion_is_the_last(open: Open<'_>) {
    let mut store = open();
    let (c1, c2) = (Some("C1"), Some("C2"));
    // What is put, what is kept of it, and what a message in each channel takes.
    let cases = [
        (
            vec![(c1, edit("m", "1")), (c1, edit("m", "2")), (c1, edit("m", "3"))],
            1,
            [Some(edit("m", "3")), None],
        ),
        (
            vec![(c1, edit("m", "1")), (c2, edit("m", "2"))],
            2,
            [Some(edit("m", "1")), Some(edit("m", "2"))],
        ),
        (
            vec![(c1, edit("m", "1")), (c1, deletion("m")), (c1, edit("m", "2"))],
            1,
            [Some(deletion("m")), None],
        ),
        (
            vec![(c1, deletion("m")), (c1, deletion("m"))],
            1,
            [Some(deletion("m")), None],
        ),
        // Without a channel it is of any, and takes the place of each.
        (
            vec![(c1, edit("m", "1")), (c2, edit("m", "2")), (None, deletion("m"))],
            1,
            [Some(deletion("m")), None],
        ),
        (
            vec![(None, deletion("m")), (c1, edit("m", "1")), (None, edit("m", "2"))],
            1,
            [Some(deletion("m")), None],
        ),
        (
            vec![(None, edit("m", "1")), (c1, edit("m", "2"))],
            2,
            // The first to come takes what is of any.
            [Some(edit("m", "2")), None],
        ),
        (
            vec![(c1, deletion("m")), (None, edit("m", "1"))],
            2,
            [Some(deletion("m")), None],
        ),
    ];
    for (changes, kept, taken) in cases {
        commit(store.as_mut(), |s| {
            let put_all = |s: &mut dyn Store| changes.iter().for_each(|(channel, change)| put(s, *channel, change));
            put_all(s);
            // Another message's and another bot's are not touched.
            put(s, c1, &edit("n", "1"));
            s.ahead_put(&BotName::from("other"), c1, &edit("m", "1"), 100).unwrap();
            assert_eq!(s.ahead_forget(100).unwrap(), kept + 2, "{changes:?}");
            put_all(s);
            let came = ["C1", "C2"].map(|channel| s.ahead_take(&bot(), channel, "m", 1).unwrap());
            assert_eq!(came, taken, "{changes:?}");
            s.ahead_forget(100).unwrap();
        });
    }
}

pub(in crate::store) fn edits_that_came_ahead_push_no_deletion_away(open: Open<'_>) {
    let mut store = open();
    commit(store.as_mut(), |s| {
        let take = |s: &mut dyn Store, id: &str| s.ahead_take(&bot(), "C1", id, 1).unwrap();
        // Who says something by editing it again and again.
        put(s, Some("C1"), &edit("first", "hi"));
        for n in 0..=AHEAD_MAX {
            put(s, Some("C1"), &edit("stream", &n.to_string()));
        }
        assert_eq!(take(s, "first"), Some(edit("first", "hi")));
        put(s, Some("C1"), &deletion("gone"));
        for n in 0..=AHEAD_MAX {
            put(s, Some("C1"), &edit(&format!("m{n}"), "hi"));
        }
        assert_eq!(take(s, "m1"), None, "the oldest edits went");
        assert_eq!(take(s, "m2"), Some(edit("m2", "hi")));
        for n in 1..AHEAD_MAX {
            put(s, Some("C1"), &deletion(&format!("d{n}")));
        }
        assert_eq!(
            take(s, &format!("m{AHEAD_MAX}")),
            None,
            "an edit goes before a deletion"
        );
        assert_eq!(s.ahead_forget(100).unwrap(), u64::from(AHEAD_MAX));
        for n in 0..=AHEAD_MAX {
            put(s, Some("C1"), &deletion(&format!("d{n}")));
        }
        put(s, Some("C1"), &edit("late", "hi"));
        assert_eq!((take(s, "d0"), take(s, "late")), (None, None));
        assert_eq!(take(s, "d1"), Some(deletion("d1")));
    });
}
