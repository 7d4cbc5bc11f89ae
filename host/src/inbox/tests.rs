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
