//! Messages that go from agent to agent.

use super::sample::{bot, item, run_row};
use super::{Open, commit};
use crate::chat::{BotName, InboxId};
use crate::store::{Came, RunRow};

pub(in crate::store) fn runs_come_back_until_they_are_over(open: Open<'_>) {
    let mut store = open();
    let mut first = run_row(7);
    commit(store.as_mut(), |s| {
        s.run_put(&run_row(9), 1).unwrap();
        s.run_put(&first, 1).unwrap();
        let other = RunRow {
            bot: BotName::from("other"),
            ..run_row(8)
        };
        s.run_put(&other, 1).unwrap();
    });
    first.parts[0].came = Some(Came::Answered("fine".into()));
    first.missed.push(("tester".into(), Came::Failed("It died.".into())));
    commit(store.as_mut(), |s| s.run_put(&first, 2).unwrap());
    let mut store = open();
    assert_eq!(store.run_get(first.id).unwrap(), Some(first.clone()));
    assert_eq!(store.run_get(InboxId(1)).unwrap(), None);
    let of = |rows: Vec<RunRow>| rows.into_iter().map(|row| row.id.0).collect::<Vec<_>>();
    assert_eq!(of(store.runs_open(&bot()).unwrap()), [7, 9]);
    first.open = false;
    assert_eq!(store.runs_damaged(&bot()).unwrap(), []);
    commit(store.as_mut(), |s| {
        s.run_put(&first, 3).unwrap();
        s.inbox_put(&bot(), &item("k"), 9).unwrap();
        assert_eq!(s.forget_before(3).unwrap(), 0);
    });
    assert_eq!(of(store.runs_open(&bot()).unwrap()), [9]);
    commit(store.as_mut(), |s| assert_eq!(s.forget_before(4).unwrap(), 1));
    assert_eq!(store.run_get(first.id).unwrap(), None);
    assert_eq!(of(store.runs_open(&bot()).unwrap()), [9]);
    let ended = commit(store.as_mut(), |s| [9, 9, 7].map(|id| s.run_end(InboxId(id)).unwrap()));
    assert_eq!(ended, [true, false, false]);
    assert_eq!(of(store.runs_open(&bot()).unwrap()), [0; 0]);
}
