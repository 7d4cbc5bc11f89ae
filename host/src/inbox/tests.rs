use super::*;
use crate::chat::Conversation;
use crate::store::sqlite::SqliteStore;
use crate::store::{InboxState, StoreError};

fn inbox() -> (Inbox, Journal) {
    let journal = Journal::over(Box::new(SqliteStore::in_memory().unwrap()));
    (Inbox::new(journal.clone()), journal)
}

fn bot() -> BotName {
    BotName::from("team")
}

fn item(key: &str, text: &str) -> Item {
    let sender = crate::chat::Person {
        id: "U1".into(),
        name: None,
        handle: None,
        tenant: None,
        groups: Vec::new(),
        locale: None,
        bot: false,
    };
    let conversation = Conversation {
        tenant: None,
        channel: "C1".into(),
        thread: None,
        direct: true,
    };
    Item {
        origin: crate::chat::Origin {
            key: key.into(),
            conversation,
            sender,
            sent: None,
            reply_to: Vec::new(),
        },
        what: crate::chat::What::Deleted(text.into()),
    }
}

#[tokio::test]
async fn a_duplicate_is_told_apart_also_within_one_event() {
    let (inbox, journal) = inbox();
    let first = inbox
        .accept(&bot(), vec![item("a", ""), item("b", ""), item("a", "")])
        .await
        .unwrap();
    assert_eq!(
        first.iter().map(|one| one.fresh).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(first[0].id, first[2].id);
    let again = inbox.accept(&bot(), vec![item("b", ""), item("c", "")]).await.unwrap();
    assert_eq!(again.iter().map(|one| one.fresh).collect::<Vec<_>>(), [false, true]);
    assert_eq!(again[0].id, first[1].id);
    assert_eq!(inbox.accept(&bot(), Vec::new()).await.unwrap(), []);
    let rows = journal
        .read(|store| store.inbox_new(&bot(), InboxId(0), 9))
        .await
        .unwrap();
    let stored: Vec<_> = rows.into_iter().map(|row| (row.id, row.item, row.state)).collect();
    let expected: Vec<_> = [&first[0], &first[1], &again[1]]
        .map(|one| (one.id, one.item.clone(), InboxState::New))
        .into();
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn a_long_key_is_hashed_and_still_a_key() {
    let (inbox, _journal) = inbox();
    let fits = "k".repeat(200);
    let long = "é".repeat(5000);
    let accepted = inbox
        .accept(
            &bot(),
            vec![
                item(&fits, ""),
                item(&long, ""),
                item(&long, ""),
                item(&format!("{long}2"), ""),
            ],
        )
        .await;
    let accepted = accepted.unwrap();
    assert_eq!(
        accepted.iter().map(|one| one.fresh).collect::<Vec<_>>(),
        [true, true, false, true]
    );
    assert_eq!(accepted[0].item.origin.key, fits);
    assert!(accepted[1].item.origin.key.starts_with("sha256:") && accepted[1].item.origin.key.len() == 71);
}

#[tokio::test]
async fn without_a_key_only_the_same_item_is_a_duplicate() {
    let (inbox, _journal) = inbox();
    let accepted = inbox
        .accept(&bot(), vec![item("", "one"), item("", "other"), item("", "one")])
        .await
        .unwrap();
    assert_eq!(
        accepted.iter().map(|one| one.fresh).collect::<Vec<_>>(),
        [true, true, false]
    );
}

#[tokio::test]
async fn an_event_is_stored_whole_or_not_at_all() {
    let (inbox, journal) = inbox();
    journal.close().await;
    let refused = inbox.accept(&bot(), vec![item("a", "")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
}

fn message(key: &str, id: &str, text: &str) -> Item {
    let mut item = item(key, id);
    item.what = What::Message(words(id, text));
    item
}

fn edit(key: &str, id: &str, text: &str) -> Item {
    let mut item = item(key, id);
    item.what = What::Edited(words(id, text));
    item
}

fn words(id: &str, text: &str) -> Message {
    Message {
        id: id.into(),
        text: text.into(),
        mentions: Vec::new(),
        addressed: true,
        quotes: None,
        new_thread: None,
        attachments: Vec::new(),
        group: None,
    }
}

async fn state(journal: &Journal, id: InboxId) -> (InboxState, What) {
    let row = journal.read(move |store| store.inbox_get(id)).await.unwrap().unwrap();
    (row.state, row.item.what)
}

#[tokio::test]
async fn deletion_that_comes_first_takes_its_message_with_it_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("botyard.db");
    let journal = Journal::open(&file).unwrap();
    let gone = Inbox::new(journal.clone())
        .accept(&bot(), vec![item("gone", "m1")])
        .await;
    assert!(gone.unwrap()[0].fresh, "whoever works on it looks again");
    journal.close().await;
    let journal = Journal::open(&file).unwrap();
    let inbox = Inbox::new(journal.clone());
    let came = inbox
        .accept(
            &bot(),
            vec![message("k1", "m1", "forget it"), message("k2", "m2", "hi")],
        )
        .await
        .unwrap();
    assert_eq!(came.iter().map(|one| one.fresh).collect::<Vec<_>>(), [false, true]);
    let (at, what) = state(&journal, came[0].id).await;
    assert_eq!(at, InboxState::Done);
    assert!(!format!("{what:?}").contains("forget it"), "its words are not kept");
    assert_eq!(state(&journal, came[1].id).await.0, InboxState::New);
    // Its key is known: a second delivery is none, though the deletion was used up.
    let again = inbox
        .accept(&bot(), vec![message("k1", "m1", "forget it")])
        .await
        .unwrap();
    assert!(!again[0].fresh);
    journal.close().await;
}

#[tokio::test]
async fn edit_that_comes_first_is_what_its_message_says() {
    let (inbox, journal) = inbox();
    let mut elsewhere = edit("e3", "m1", "elsewhere");
    elsewhere.origin.conversation.channel = "C2".into();
    inbox
        .accept(
            &bot(),
            vec![edit("e1", "m1", "second"), edit("e2", "m1", "third"), elsewhere],
        )
        .await
        .unwrap();
    let came = inbox.accept(&bot(), vec![message("k1", "m1", "first")]).await.unwrap();
    assert!(came[0].fresh);
    assert_eq!(came[0].item.what, What::Message(words("m1", "third")));
    assert_eq!(
        state(&journal, came[0].id).await,
        (InboxState::New, What::Message(words("m1", "third")))
    );
    // Of an album every part would have to be known.
    let mut part = words("m2", "a photo");
    part.group = Some(("g1".into(), std::time::Duration::from_secs(1)));
    let album = Item {
        what: What::Message(part),
        ..message("k2", "m2", "")
    };
    let came = inbox
        .accept(&bot(), vec![edit("e4", "m2", "a dog"), album.clone()])
        .await
        .unwrap();
    assert_eq!((came[1].fresh, &came[1].item), (true, &album));
}

#[tokio::test]
async fn change_of_a_message_that_is_here_waits_for_no_other() {
    let (inbox, journal) = inbox();
    let all = vec![message("k1", "m1", "hi"), item("gone", "m1"), edit("e1", "m1", "ho")];
    let came = inbox.accept(&bot(), all).await.unwrap();
    assert_eq!(came.iter().map(|one| one.fresh).collect::<Vec<_>>(), [true; 3]);
    let kept = journal
        .write(|store| store.ahead_take(&bot(), "C1", "m1", 0))
        .await
        .unwrap();
    assert_eq!(kept, None);
    // Nor does it wait for ever.
    inbox.accept(&bot(), vec![item("gone2", "m2")]).await.unwrap();
    let kept = journal
        .write(|store| store.ahead_take(&bot(), "C1", "m2", now() + AHEAD_MS))
        .await;
    assert_eq!(kept.unwrap(), None);
}

#[tokio::test]
async fn what_is_set_aside_is_kept_with_its_reason() {
    let (inbox, journal) = inbox();
    let event = Event {
        transport: "webhook".into(),
        name: String::new(),
        method: "POST".into(),
        query: String::new(),
        headers: Vec::new(),
        payload: vec![0, 159],
        received: 5,
    };
    let id = inbox.aside(&bot(), &event, "late", true).await.unwrap();
    let rows = journal.read(|store| store.aside_list(None, true, 9)).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].id, &rows[0].event, rows[0].reason.as_str()),
        (id, &event, "late")
    );
}
