//! Rows that cannot be read any more: whom it concerns is told, and what comes next is right.

use super::life::GIVEN;
use super::*;
use crate::store::{AskState, InboxState, SessionRow};

const UNREAD: &str = "botyard can no longer read what it had kept of this; please say it again.";
const HALF_DONE: &str = "botyard can no longer read what it had kept of this, and some of it may have been done; please \
                         say it again if it is still wanted.";

/// Does this to the file of a host that is stopped; so many rows are another now.
pub(super) fn spoil(setup: &Setup, sql: &str, rows: usize) {
    let file = rusqlite::Connection::open(setup.folder.path().join("store.sqlite")).unwrap();
    assert_eq!(file.execute(sql, []).unwrap(), rows, "{sql}");
}

async fn session(host: &Host, person: &str) -> SessionRow {
    let key = key(host, person);
    let read = host.journal.read(move |store| store.session_get(&key));
    read.await.unwrap().expect("there is one")
}

#[tokio::test]
async fn session_whose_row_is_damaged_begins_again_with_the_log() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (mut turn, mut cli) = host.talking("ann", "one").await;
    cli.answer("hi").await;
    host.chat.ended(&turn).await;
    let before = session(&host, "ann").await;
    let mut old = host.crash(cli).await;
    // The second time it is told, too.
    for text in ["two", "three"] {
        spoil(&setup, "UPDATE sessions SET session = '{' WHERE current = 1", 1);
        host = setup.start().await;
        turn = host.send("ann", text).await;
        cli = host.spawned().await;
        assert!(!cli.launch.resume && cli.launch.cli_session != old.cli_session);
        assert_eq!(cli.launch.workspace, old.workspace, "what lies there is still its own");
        cli.ready().await;
        let told = cli.prompt().await;
        assert!(
            told.contains("<ann said>\none\n<you answered>\nhi\n") && told.ends_with(&format!("]\n\n{text}")),
            "{told}"
        );
        cli.answer("welcome back").await;
        assert_eq!(seen(&host.chat.ended(&turn).await), [GIVEN, "welcome back"]);
        let now = session(&host, "ann").await;
        assert_eq!(
            (&now.id, now.epoch, &now.owner, &now.conversation),
            (&before.id, before.epoch, &before.owner, &before.conversation)
        );
        old = host.crash(cli).await;
    }
    // It can be put by, before anything is said.
    spoil(&setup, "UPDATE sessions SET session = '{' WHERE current = 1", 1);
    let mut host = setup.start().await;
    soon(host.registry.reset(&key(&host, "ann"))).await;
    let now = session(&host, "ann").await;
    assert!(now.id != before.id && now.epoch == before.epoch + 1);
    host.send("ann", "four").await;
    let mut new = host.spawned().await;
    new.ready().await;
    assert_eq!(new.prompt().await, "four");
}

#[tokio::test]
async fn turn_whose_row_is_damaged_ends_with_a_sentence() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (one, cli) = host.talking("ann", "one").await;
    let two = host.send("ann", "two").await;
    let inboxes = [host.row(&one).await.inbox, host.row(&two).await.inbox].map(|inbox| inbox.expect("a message's"));
    host.crash(cli).await;
    // What a newer botyard may have written, and what a bad disk may have.
    spoil(&setup, &format!("UPDATE turns SET kind = 9 WHERE id = '{one}'"), 1);
    spoil(&setup, &format!("UPDATE turns SET target = '{{' WHERE id = '{two}'"), 1);

    let mut host = setup.start().await;
    for (turn, words) in [(&one, HALF_DONE), (&two, UNREAD)] {
        assert_eq!(host.chat.ended(turn).await.state, ViewState::Failed(words.to_owned()));
    }
    let places = host
        .chat
        .0
        .borrow()
        .iter()
        .map(|(place, _)| place.clone())
        .collect::<Vec<_>>();
    assert_eq!(places, [target("ann"), target("ann")]);
    let read = host.journal.read(move |store| {
        let states = inboxes.map(|inbox| store.inbox_get(inbox).map(|row| row.map(|row| row.state)));
        Ok((states, store.counts()?.turns_open))
    });
    let (states, open) = read.await.unwrap();
    assert_eq!(states.map(Result::unwrap), [Some(InboxState::Done); 2]);
    assert_eq!(open, 0);
    assert!(host.started.try_recv().is_err(), "nothing is done again");
    // The conversation goes on.
    let three = host.send("ann", "three").await;
    let mut cli = host.spawned().await;
    cli.ready().await;
    assert!(cli.prompt().await.ends_with("three"));
    cli.answer("fine").await;
    assert_eq!(host.chat.ended(&three).await.state, ViewState::Done);
}

#[tokio::test]
async fn question_of_a_turn_whose_row_is_damaged_can_be_pressed_no_more() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (turn, cli) = host.talking("ann", "one").await;
    cli.asks("r1", "{}").await;
    host.chat.until(&turn, |view| view.state == ViewState::Asking).await;
    host.crash(cli).await;
    // The view stands in two places, in the words of one botyard.
    spoil(&setup, "UPDATE turns SET view = '{\"state\": \"New\"}'", 1);
    spoil(&setup, "UPDATE outbox SET view = '{\"state\": \"New\"}'", 1);

    let host = setup.start().await;
    let view = host.chat.ended(&turn).await;
    assert_eq!(view.state, ViewState::Failed(HALF_DONE.to_owned()));
    let read = host.journal.read(move |store| store.asks_of(&turn));
    let asks = read.await.unwrap();
    assert_eq!(asks.iter().map(|ask| ask.state).collect::<Vec<_>>(), [AskState::Closed]);
}
