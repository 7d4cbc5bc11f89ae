use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use tempfile::TempDir;

use super::super::conformance::sample::{bot, item};
use super::*;
use crate::chat::{BotName, Conversation, Event, InboxId, Item, SessionId, SessionKey, Token, TurnId, What};
use crate::store::{
    AsideRow, AskRow, AuditRow, Counts, InboxRow, InboxState, OutboxRow, Outcome, Recall, RunRow, SessionPage,
    SessionRow, TimerRow, TokenRow, TurnPage, TurnPlace, TurnRow, TurnScrap, WebRow,
};

fn memory() -> Journal {
    Journal::over(Box::new(SqliteStore::in_memory().unwrap()))
}

fn put(key: &str) -> impl FnOnce(&mut dyn Store) -> Result<Option<InboxId>> + Send + 'static {
    let item = item(key);
    move |store| store.inbox_put(&bot(), &item, 1)
}

async fn known(journal: &Journal, key: &'static str) -> bool {
    journal
        .read(move |store| store.inbox_find(&bot(), key))
        .await
        .unwrap()
        .is_some()
}

/// Keeps the store's thread busy until the barrier is met, so that what is given next waits together.
fn block(journal: &Journal) -> Arc<Barrier> {
    let barrier = Arc::new(Barrier::new(2));
    let met = Arc::clone(&barrier);
    journal.write_later(move |_| {
        met.wait();
        Ok(())
    });
    barrier
}

#[tokio::test]
async fn an_answer_comes_after_the_commit() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    let journal = Journal::open(&path).unwrap();
    journal.write(put("k1")).await.unwrap().unwrap();
    // Another connection sees only what is committed.
    let mut other = SqliteStore::open(&path).unwrap();
    assert!(other.inbox_find(&bot(), "k1").unwrap().is_some());
    journal.close().await;
}

#[tokio::test]
async fn a_job_that_fails_or_panics_is_undone_alone() {
    let journal = memory();
    let barrier = block(&journal);
    let failing = journal.write(|store| {
        store.inbox_put(&bot(), &item("failed"), 1)?;
        Err::<(), _>(StoreError::Damaged("on purpose".into()))
    });
    let panicking = journal.write(|store| {
        store.inbox_put(&bot(), &item("panicked"), 1)?;
        if store.inbox_find(&bot(), "panicked")?.is_some() {
            panic!("on purpose");
        }
        Ok(())
    });
    let (first, failed, panicked, last, ()) = tokio::join!(
        journal.write(put("first")),
        failing,
        panicking,
        journal.write(put("last")),
        async {
            barrier.wait();
        }
    );
    assert!(matches!(failed, Err(StoreError::Damaged(_))), "{failed:?}");
    assert!(matches!(panicked, Err(StoreError::Unavailable(_))), "{panicked:?}");
    assert!(first.unwrap().is_some() && last.unwrap().is_some());
    assert!(known(&journal, "first").await && known(&journal, "last").await);
    assert!(!known(&journal, "failed").await && !known(&journal, "panicked").await);
}

/// Counts transactions, and fails commits when told to.
struct Counting {
    store: SqliteStore,
    commits: Arc<AtomicUsize>,
    fail: Arc<AtomicUsize>,
}

macro_rules! delegate {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)+) => {
        $(fn $name(&mut self, $($arg: $type),*) -> $out { self.store.$name($($arg),*) })+
    };
}

impl Store for Counting {
    fn commit(&mut self) -> Result<()> {
        if self.fail.load(Ordering::SeqCst) > 0 {
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.store.commit()
    }
    delegate! {
        begin() -> Result<()>;
        rollback() -> ();
        savepoint() -> Result<()>;
        release() -> Result<()>;
        rollback_to_savepoint() -> ();
        inbox_put(bot: &BotName, item: &Item, received: UnixMillis) -> Result<Option<InboxId>>;
        inbox_state(id: InboxId, state: InboxState) -> Result<()>;
        inbox_get(id: InboxId) -> Result<Option<InboxRow>>;
        inbox_find(bot: &BotName, key: &str) -> Result<Option<InboxId>>;
        inbox_said(bot: &BotName, channel: Option<&str>, message: &str) -> Result<Option<InboxRow>>;
        inbox_amend(id: InboxId, item: &Item) -> Result<()>;
        ahead_put(bot: &BotName, channel: Option<&str>, change: &What, expires: UnixMillis) -> Result<()>;
        ahead_take(bot: &BotName, channel: &str, message: &str, now: UnixMillis) -> Result<Option<What>>;
        ahead_forget(now: UnixMillis) -> Result<u64>;
        inbox_new(bot: &BotName, after: InboxId, limit: u32) -> Result<Vec<InboxRow>>;
        aside_put(bot: &BotName, event: &Event, reason: &str, again: bool) -> Result<i64>;
        aside_list(bot: Option<&BotName>, again: bool, limit: u32) -> Result<Vec<AsideRow>>;
        aside_failed(id: i64, reason: &str, again: bool) -> Result<()>;
        aside_remove(id: i64) -> Result<()>;
        turn_put(row: &TurnRow) -> Result<()>;
        turn_of_inbox(id: InboxId) -> Result<Option<TurnRow>>;
        turn_moved(bot: &BotName, turn: &TurnId, to: &Conversation) -> Result<()>;
        session_at(bot: &BotName, conversation: &Conversation) -> Result<Option<SessionKey>>;
        turn_get(id: &TurnId) -> Result<Option<TurnRow>>;
        turns_open(bot: &BotName) -> Result<Vec<TurnRow>>;
        turns_damaged(bot: &BotName) -> Result<Vec<TurnScrap>>;
        turn_end(id: &TurnId) -> Result<()>;
        turns_of(session: &SessionId, limit: u32) -> Result<Vec<TurnRow>>;
        turns_page(session: &SessionId, behind: Option<TurnPlace>, limit: u32) -> Result<TurnPage>;
        session_put(row: &SessionRow) -> Result<()>;
        session_get(key: &SessionKey) -> Result<Option<SessionRow>>;
        session_set_aside(key: &SessionKey) -> Result<Option<(SessionId, u32, Option<String>)>>;
        session_by_id(id: &SessionId) -> Result<Option<SessionRow>>;
        session_busy(session: &SessionId) -> Result<bool>;
        sessions_of(key: &SessionKey, skip: u32, limit: u32) -> Result<Vec<SessionRow>>;
        session_counts(key: &SessionKey) -> Result<(u32, u32)>;
        sessions(bot: Option<&BotName>, skip: u32, limit: u32) -> Result<SessionPage>;
        session_keep(row: &SessionRow) -> Result<()>;
        session_remove(id: &SessionId) -> Result<bool>;
        turns_copy(from: &SessionId, to: &SessionRow, limit: u32) -> Result<()>;
        sessions_behind(bot: Option<&BotName>, key: Option<&SessionKey>, behind: Option<(UnixMillis, &SessionId)>, limit: u32) -> Result<Vec<SessionRow>>;
        sessions_end(bot: Option<&BotName>, key: Option<&SessionKey>, behind: Option<(UnixMillis, &SessionId)>, limit: u32) -> Result<Option<(UnixMillis, SessionId)>>;
        turns_like(session: &SessionId, words: &[String], among: u32) -> Result<Vec<TurnRow>>;
        turns_count(session: &SessionId, limit: u32) -> Result<u32>;
        said_by_others(session: &SessionId, asker: &str) -> Result<bool>;
        run_put(row: &RunRow, updated: UnixMillis) -> Result<()>;
        run_get(id: InboxId) -> Result<Option<RunRow>>;
        runs_open(bot: &BotName) -> Result<Vec<RunRow>>;
        runs_damaged(bot: &BotName) -> Result<Vec<InboxId>>;
        run_end(id: InboxId) -> Result<bool>;
        cli_session_claim(cli_session: &str, key: &SessionKey) -> Result<bool>;
        outbox_put(row: &OutboxRow) -> Result<()>;
        outbox_get(turn: &TurnId) -> Result<Option<OutboxRow>>;
        outbox_memory(turn: &TurnId, memory: &[u8]) -> Result<()>;
        outbox_recall(turn: &TurnId) -> Result<Option<Recall>>;
        outbox_outcome(turn: &TurnId, outcome: &Outcome) -> Result<bool>;
        outbox_reopen(bot: &BotName) -> Result<Vec<OutboxRow>>;
        outbox_posted(turn: &TurnId, message: &str) -> Result<()>;
        turn_of_message(bot: &BotName, channel: Option<&str>, message: &str) -> Result<Option<TurnId>>;
        outbox_pending(bot: &BotName) -> Result<Vec<OutboxRow>>;
        outbox_dead(bot: Option<&BotName>, limit: u32) -> Result<Vec<OutboxRow>>;
        thread_joined(bot: &BotName, conversation: &Conversation) -> Result<()>;
        thread_known(bot: &BotName, conversation: &Conversation) -> Result<bool>;
        ask_put(row: &AskRow) -> Result<()>;
        ask_get(id: &str) -> Result<Option<AskRow>>;
        asks_of(turn: &TurnId) -> Result<Vec<AskRow>>;
        asks_expired(now: UnixMillis, limit: u32) -> Result<Vec<AskRow>>;
        token_put(row: &TokenRow) -> Result<()>;
        token_get(token: &Token) -> Result<Option<TokenRow>>;
        kv_get(bot: &BotName, key: &str, now: UnixMillis) -> Result<Option<Vec<u8>>>;
        kv_put(bot: &BotName, key: &str, value: &[u8], expires: Option<UnixMillis>) -> Result<()>;
        kv_put_if_absent(bot: &BotName, key: &str, value: &[u8], expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool>;
        kv_remove(bot: &BotName, key: &str) -> Result<()>;
        kv_size(bot: &BotName) -> Result<(u64, u64)>;
        timer_put(bot: &BotName, kind: &str, payload: &[u8], at: UnixMillis) -> Result<i64>;
        timers_due(now: UnixMillis, limit: u32) -> Result<Vec<TimerRow>>;
        timer_remove(id: i64) -> Result<()>;
        web_put(bot: &BotName, channel: &str, message: &str, body: &str) -> Result<i64>;
        web_list(bot: &BotName, channel: &str, after: i64, limit: u32) -> Result<Vec<WebRow>>;
        audit(row: &AuditRow) -> Result<()>;
        counts() -> Result<Counts>;
        forget_before(before: UnixMillis) -> Result<u64>;
    }
}

fn counting() -> (Journal, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (commits, fail) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let store = SqliteStore::in_memory().unwrap();
    let store = Counting {
        store,
        commits: Arc::clone(&commits),
        fail: Arc::clone(&fail),
    };
    (Journal::over(Box::new(store)), commits, fail)
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let (journal, commits, _) = counting();
    let barrier = block(&journal);
    let jobs = (0..20).map(|n| {
        let journal = journal.clone();
        async move { journal.write(put(&format!("k{n}"))).await.unwrap() }
    });
    let (ids, ()) = tokio::join!(futures_util::future::join_all(jobs), async {
        barrier.wait();
    });
    // The jobs ran in the order in which they were given.
    assert!(ids.iter().all(Option::is_some) && ids.is_sorted(), "{ids:?}");
    // One group: the blocking job had begun it already.
    assert_eq!(commits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failed_commit_is_everybodys_failure_and_keeps_nothing() {
    let (journal, _, fail) = counting();
    fail.store(1, Ordering::SeqCst);
    let barrier = block(&journal);
    let (one, other, ()) = tokio::join!(journal.write(put("k1")), journal.write(put("k2")), async {
        barrier.wait();
    });
    assert!(matches!(one, Err(StoreError::Unavailable(_))) && matches!(other, Err(StoreError::Unavailable(_))));
    assert!(!known(&journal, "k1").await && !known(&journal, "k2").await);
    fail.store(0, Ordering::SeqCst);
    assert!(journal.write(put("k1")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_transaction_that_the_database_ended_keeps_nothing() {
    let (journal, _, _) = counting();
    let barrier = block(&journal);
    // As SQLite does when the disk is full in the middle of a write.
    let ended = journal.write(|store| {
        store.rollback();
        Ok(())
    });
    let (before, ended, after, ()) = tokio::join!(journal.write(put("k1")), ended, journal.write(put("k2")), async {
        barrier.wait();
    });
    assert!(before.is_err() && ended.is_err() && after.is_err());
    assert!(!known(&journal, "k1").await && !known(&journal, "k2").await);
    assert!(journal.write(put("k3")).await.is_ok());
}

#[tokio::test]
async fn a_read_sees_what_was_given_before_and_waits_for_no_commit() {
    let (journal, commits, _) = counting();
    let barrier = block(&journal);
    // Not polled to its end: nobody waits for this write.
    let write = journal.clone();
    let write = tokio::spawn(async move { write.write(put("k1")).await });
    tokio::task::yield_now().await;
    let late = Arc::clone(&commits);
    let read = journal.read(move |store| Ok((store.inbox_find(&bot(), "k1")?.is_some(), late.load(Ordering::SeqCst))));
    let (seen, ()) = tokio::join!(read, async {
        barrier.wait();
    });
    assert_eq!(seen.unwrap(), (true, 0));
    assert!(write.await.unwrap().unwrap().is_some());
}

#[tokio::test]
async fn a_job_that_was_given_is_done_though_nobody_waits() {
    let journal = memory();
    let barrier = block(&journal);
    {
        let mut write = Box::pin(journal.write(put("k1")));
        assert!(futures_util::poll!(&mut write).is_pending());
    }
    barrier.wait();
    assert!(known(&journal, "k1").await);
}

#[tokio::test]
async fn closing_keeps_what_was_given_and_refuses_the_rest() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("botyard.db");
    let journal = Journal::open(&path).unwrap();
    journal.write_later(|store| store.inbox_put(&bot(), &item("k1"), 1).map(drop));
    journal.close().await;
    journal.close().await;
    assert!(matches!(
        journal.write(put("k2")).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        journal.read(|store| store.counts()).await,
        Err(StoreError::Unavailable(_))
    ));
    journal.write_later(|_| panic!("it is closed"));
    let mut store = SqliteStore::open(&path).unwrap();
    assert!(store.inbox_find(&bot(), "k1").unwrap().is_some() && store.inbox_find(&bot(), "k2").unwrap().is_none());
}

#[tokio::test]
async fn forgetting_goes_on_until_nothing_is_left() {
    let journal = memory();
    let more = super::super::FORGET_AT_ONCE + 5;
    journal
        .write(move |store| (0..more).try_for_each(|n| store.kv_put(&bot(), &n.to_string(), b"v", Some(1))))
        .await
        .unwrap();
    assert_eq!(journal.forget_before(2).await.unwrap(), u64::from(more));
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_stands_still_while_the_store_works() {
    let journal = memory();
    let barrier = block(&journal);
    let begun = tokio::time::Instant::now();
    let meet = std::thread::spawn(move || barrier.wait());
    let write = journal.write(put("k1"));
    let late = tokio::time::timeout(Duration::from_secs(1), write).await;
    assert!(late.is_ok() && begun.elapsed() < Duration::from_secs(1));
    meet.join().unwrap();
}
