//! What a guest saves while it shows a view, and what it may reach.

use super::{Plan, target, trapped, view};
use crate::chat::CallError;

#[tokio::test]
async fn what_was_saved_is_on_disk_though_the_guest_panics() {
    let bench = Plan::hostile().ready().await;
    let turn = bench.turn().await;
    trapped(bench.show(&turn, "save-then-panic m17").await);
    assert_eq!(bench.row(&turn).await.memory.as_deref(), Some(b"m17".as_slice()));
}

#[tokio::test]
async fn a_memory_of_33_kib_is_too_large_and_nothing_is_kept() {
    let bench = Plan::hostile().ready().await;
    let turn = bench.turn().await;
    assert_eq!(
        bench.show(&turn, "save-large").await,
        Err(CallError::TooLarge(32 * 1024))
    );
    assert_eq!(bench.row(&turn).await.memory, None);
}

#[tokio::test]
async fn the_newest_memory_is_handed_back() {
    let bench = Plan::hostile().ready().await;
    let turn = bench.turn().await;
    let shown = bench
        .adapter
        .show(&view(&turn, "memory"), &target(), "n", Some(vec![1, 2, 3]))
        .await;
    assert_eq!(shown, Err(CallError::Gone("Some(3)".to_owned())));
}

#[tokio::test]
async fn a_posted_message_finds_its_turn_and_a_moved_turn_its_thread() {
    let bench = Plan::hostile().ready().await;
    let turn = bench.turn().await;
    assert_eq!(bench.show(&turn, "posted 1.5").await, Ok(None));
    assert_eq!(bench.show(&turn, "moved 1.5").await, Ok(None));
    let found = bench
        .journal
        .read(|store| store.turn_of_message(&"bot".into(), None, "1.5"))
        .await;
    assert_eq!(found.expect("it can be read"), Some(turn.clone()));
    assert_eq!(
        bench.row(&turn).await.target.conversation.thread.as_deref(),
        Some("1.5")
    );
}

#[tokio::test]
async fn a_view_may_use_no_socket() {
    let bench = Plan::hostile().ready().await;
    let turn = bench.turn().await;
    assert_eq!(
        bench.show(&turn, "socket").await,
        Err(CallError::Rejected("`socket` may not be used in `delivery`".to_owned()))
    );
}
