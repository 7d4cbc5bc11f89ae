mod fake;
mod place;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::fake::{INTERVAL, Said, Source, Test, lock, pace, pass, revisions, source, target, unavailable, view};
use super::*;
use crate::chat::ViewState;

#[tokio::test(start_paused = true)]
async fn updates_are_coalesced_to_the_pace() {
    let test = Test::new(pace());
    let source = test.follow("t1", "C1").await;
    test.calls(1).await;
    for _ in 0..100 {
        test.change(&source);
        pass(Duration::from_millis(25)).await;
    }
    let calls = test.idle().await;
    assert!((3..=5).contains(&calls.len()), "{calls:?}");
    assert!(
        calls.windows(2).all(|pair| pair[1].at - pair[0].at >= INTERVAL),
        "{calls:?}"
    );
    assert_eq!(
        calls.last().map(|call| call.revision),
        Some(101),
        "the newest comes at last"
    );
    assert_eq!(
        source.fetched.load(Ordering::SeqCst),
        calls.len(),
        "a view is made when it is sent"
    );
    assert!(
        calls[1..]
            .iter()
            .zip(&calls)
            .all(|(call, before)| { call.memory == Some(format!("shown {}", before.revision)) })
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_view_with_nothing_in_it_waits_a_moment() {
    let begin = async |turn: &str| {
        let test = Test::new(pace());
        let source = source(turn);
        source.bare.store(true, Ordering::SeqCst);
        test.put(turn, "C1", None).await;
        test.outbox
            .follow(&TurnId::from(turn), &target("C1"), Arc::clone(&source) as _);
        test.change(&source);
        pass(Duration::from_millis(300)).await;
        (test, source)
    };
    let (test, _) = begin("fast").await;
    test.settle("fast", "C1", 5, ViewState::Done).await;
    let calls = test.idle().await;
    assert_eq!((calls.len(), &calls[0].state), (1, &ViewState::Done), "{calls:?}");

    let (test, source) = begin("speaks").await;
    source.bare.store(false, Ordering::SeqCst);
    test.change(&source);
    let calls = test.calls(1).await;
    assert!(calls[0].at < Duration::from_millis(350), "{calls:?}");

    let (test, _) = begin("thinks").await;
    assert_eq!(lock(&test.fake.calls).len(), 0);
    let calls = test.calls(1).await;
    assert!(
        (700..750).contains(&calls[0].at.as_millis()),
        "it is seen that it runs: {calls:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_view_is_not_shown_again() {
    let test = Test::new(pace());
    test.follow("t1", "C1").await;
    test.calls(1).await;
    test.outbox.touch(&TurnId::from("t1"));
    pass(INTERVAL * 10).await;
    assert_eq!(test.idle().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_running_turn_is_refreshed() {
    let test = Test::new(Pace {
        refresh: Some(Duration::from_secs(4)),
        ..pace()
    });
    test.follow("t1", "C1").await;
    let calls = test.calls(4).await;
    assert_eq!(revisions(&calls), [1, 1, 1, 1]);
    let pauses: Vec<u64> = calls
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).as_secs())
        .collect();
    assert_eq!(pauses, [4, 4, 4]);
}

#[tokio::test(start_paused = true)]
async fn the_adapter_may_slow_the_updates_but_not_the_end() {
    let test = Test::new(pace());
    test.answer([Ok(Some(Duration::from_secs(30)))]);
    let source = test.follow("t1", "C1").await;
    test.calls(1).await;
    test.change(&source);
    let calls = test.calls(2).await;
    assert!(calls[1].at - calls[0].at >= Duration::from_secs(30), "{calls:?}");
    test.change(&source);
    test.settle("t1", "C1", 9, ViewState::Done).await;
    let calls = test.idle().await;
    assert_eq!(revisions(&calls), [1, 2, 9]);
    assert!(calls[2].at - calls[1].at < INTERVAL, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_is_delivered_and_stored_and_leaves_nothing_behind() {
    let test = Test::new(pace());
    let source = test.follow("t1", "C1").await;
    test.calls(1).await;
    test.change(&source);
    test.settle("t1", "C1", 7, ViewState::Done).await;
    // Whoever is late with a touch changes nothing.
    test.change(&source);
    let calls = test.idle().await;
    assert_eq!(
        calls.last().map(|call| (call.revision, call.state.clone())),
        Some((7, ViewState::Done))
    );
    let row = test.row("t1").await;
    assert_eq!(
        (row.state, row.attempts, row.memory),
        (OutboxState::Sent, 1, Some(b"shown 7".to_vec()))
    );
    assert_eq!(
        test.outbox.load(),
        Load {
            lanes: 0,
            turns: 0,
            pending: 0
        }
    );
    assert_eq!(Arc::strong_count(&source), 1, "the source is let go");
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_overtakes_updates() {
    let test = Test::new(pace());
    let closed = test.fake.gate.write().await;
    test.follow("t1", "C1").await;
    test.calls(1).await;
    let two = test.follow("t2", "C1").await;
    test.change(&two);
    test.settle("t3", "C1", 3, ViewState::Asking).await;
    test.settle("t4", "C1", 4, ViewState::Done).await;
    drop(closed);
    let calls = test.calls(4).await;
    let turns: Vec<&str> = calls.iter().map(|call| call.turn.as_str()).collect();
    assert_eq!(turns, ["t1", "t3", "t4", "t2"]);
    assert_eq!(
        test.fake.most_inside.load(Ordering::SeqCst),
        1,
        "one call at a time in a conversation"
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_takes_the_place_of_a_question_that_waits() {
    let test = Test::new(pace());
    let closed = test.fake.gate.write().await;
    test.follow("t1", "C1").await;
    test.calls(1).await;
    test.settle("t1", "C1", 3, ViewState::Asking).await;
    test.settle("t1", "C1", 5, ViewState::Asking).await;
    test.settle("t1", "C1", 4, ViewState::Asking).await;
    test.settle("t1", "C1", 6, ViewState::Stopped).await;
    assert_eq!(test.outbox.load().pending, 1);
    drop(closed);
    assert_eq!(revisions(&test.idle().await), [1, 6]);
    assert_eq!(test.row("t1").await.state, OutboxState::Sent);
}

#[tokio::test(start_paused = true)]
async fn nothing_takes_the_place_of_an_end_that_waits() {
    let test = Test::new(pace());
    let closed = test.fake.gate.write().await;
    test.follow("t1", "C1").await;
    test.calls(1).await;
    test.settle("t1", "C1", 6, ViewState::Done).await;
    // A question that is late, whatever its revision, and an older end.
    for (revision, state) in [(5, ViewState::Asking), (7, ViewState::Asking), (4, ViewState::Stopped)] {
        test.outbox.settle(&target("C1"), view("t1", revision, state));
    }
    drop(closed);
    let calls = test.idle().await;
    assert_eq!(revisions(&calls), [1, 6]);
    assert_eq!(calls[1].state, ViewState::Done);
    assert_eq!(test.row("t1").await.state, OutboxState::Sent);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_comes_while_a_question_is_shown_is_shown_after_it() {
    let test = Test::new(pace());
    let closed = test.fake.gate.write().await;
    test.settle("t1", "C1", 3, ViewState::Asking).await;
    test.calls(1).await;
    test.settle("t1", "C1", 6, ViewState::Done).await;
    drop(closed);
    let calls = test.idle().await;
    assert_eq!(revisions(&calls), [3, 6]);
    assert_eq!(calls[1].memory.as_deref(), Some("shown 3"));
    assert_eq!(test.row("t1").await.state, OutboxState::Sent);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_an_update_showed_is_not_shown_again() {
    let test = Test::new(pace());
    let closed = test.fake.gate.write().await;
    let source = test.follow("t1", "C1").await;
    source.revision.store(8, Ordering::SeqCst);
    test.calls(1).await;
    test.settle("t1", "C1", 8, ViewState::Asking).await;
    drop(closed);
    assert_eq!(revisions(&test.idle().await), [8]);
    assert_eq!(test.row("t1").await.state, OutboxState::Sent);
    test.settle("t1", "C1", 9, ViewState::Done).await;
    assert_eq!(revisions(&test.idle().await), [8, 9]);
}

#[tokio::test(start_paused = true)]
async fn updates_that_are_counted_leave_one_for_the_end() {
    let test = Test::new(Pace {
        updates_max: Some(3),
        ..pace()
    });
    let source = test.follow("t1", "C1").await;
    for _ in 0..20 {
        test.change(&source);
        pass(INTERVAL * 2).await;
    }
    // The message, two updates; the third is the end's.
    assert_eq!(test.idle().await.len(), 3);
    test.settle("t1", "C1", 99, ViewState::Done).await;
    assert_eq!(test.idle().await.last().map(|call| call.revision), Some(99));
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_cannot_update_sees_only_questions_and_ends() {
    let test = Test::new(Pace {
        can_update: false,
        refresh: Some(INTERVAL),
        ..pace()
    });
    let source = test.follow("t1", "C1").await;
    test.change(&source);
    test.settle("t1", "C1", 5, ViewState::Asking).await;
    test.idle().await;
    test.change(&source);
    test.settle("t1", "C1", 9, ViewState::Done).await;
    assert_eq!(revisions(&test.idle().await), [5, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_holds_the_conversation_and_then_the_newest_comes() {
    let test = Test::new(pace());
    test.answer([Err(CallError::RateLimited(Some(Duration::from_secs(20))))]);
    test.settle("t1", "C1", 3, ViewState::Asking).await;
    let held = test.calls(1).await[0].at;
    test.settle("t1", "C1", 4, ViewState::Done).await;
    test.settle("t2", "C2", 1, ViewState::Done).await;
    let calls = test.idle().await;
    let seen: Vec<(&str, u32)> = calls.iter().map(|call| (call.turn.as_str(), call.revision)).collect();
    assert_eq!(seen, [("t1", 3), ("t2", 1), ("t1", 4)]);
    assert!(
        calls[2].at - held >= Duration::from_secs(20) && calls[1].at - held < Duration::from_secs(1),
        "{calls:?}"
    );
    assert_eq!(test.row("t1").await.attempts, 1, "waiting is no attempt");
}

#[tokio::test(start_paused = true)]
async fn the_hosts_own_limits_are_asked_before_the_view_is_made() {
    let test = Test::new(pace());
    *lock(&test.fake.ready) = Duration::from_secs(3);
    let source = test.follow("t1", "C1").await;
    pass(Duration::from_secs(2)).await;
    assert_eq!(source.fetched.load(Ordering::SeqCst), 0);
    *lock(&test.fake.ready) = Duration::ZERO;
    test.change(&source);
    let calls = test.calls(1).await;
    assert_eq!(calls[0].revision, 2);
    assert!(calls[0].at >= Duration::from_secs(3), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn an_end_is_tried_again_with_growing_pauses_and_then_delivered() {
    let test = Test::new(pace());
    test.answer((0..12).map(|_| unavailable()));
    test.settle("t1", "C1", 3, ViewState::Done).await;
    let calls = test.idle().await;
    assert_eq!(calls.len(), 13);
    let pauses: Vec<f64> = calls
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).as_secs_f64())
        .collect();
    for (n, pause) in pauses.iter().enumerate() {
        let expected = 2f64.powi(i32::try_from(n).unwrap()).min(300.0);
        assert!(
            (expected * 0.74..=expected * 1.27).contains(pause),
            "{n}: {pause} of {expected}"
        );
    }
    let row = test.row("t1").await;
    assert_eq!((row.state, row.attempts, row.last_error), (OutboxState::Sent, 13, None));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_delivered_becomes_a_dead_letter_with_its_reason() {
    let cases: [(CallError, OutboxState, usize); 9] = [
        (
            CallError::Unavailable("down".into()),
            OutboxState::Dead,
            plan::ATTEMPTS as usize,
        ),
        (
            CallError::Trapped("oops".into()),
            OutboxState::Dead,
            plan::TRAPS as usize,
        ),
        (CallError::Ambiguous("cut off".into()), OutboxState::Ambiguous, 1),
        (CallError::Unauthorized("revoked".into()), OutboxState::Unauthorized, 1),
        (CallError::Gone("channel".into()), OutboxState::Dead, 1),
        (CallError::Rejected("no".into()), OutboxState::Dead, 1),
        (CallError::TooLarge(5), OutboxState::Dead, 1),
        (CallError::Malformed("json".into()), OutboxState::Dead, 1),
        (CallError::Missing("delivery"), OutboxState::Dead, 1),
    ];
    for (error, state, tries) in cases {
        let test = Test::new(pace());
        *lock(&test.fake.always) = Err(error.clone());
        test.settle("t1", "C1", 3, ViewState::Done).await;
        assert_eq!(test.idle().await.len(), tries, "{error}");
        let row = test.row("t1").await;
        assert_eq!((row.state, row.last_error), (state, Some(error.to_string())));
        assert_eq!(
            test.outbox.load(),
            Load {
                lanes: 0,
                turns: 0,
                pending: 0
            }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_update_does_no_harm() {
    let test = Test::new(pace());
    test.answer([
        Err(CallError::Trapped("oops".into())),
        Err(CallError::Ambiguous("cut off".into())),
        Err(CallError::Rejected("no".into())),
        unavailable(),
    ]);
    let source = test.follow("t1", "C1").await;
    for count in 1..4 {
        test.calls(count).await;
        test.change(&source);
    }
    // What was not available is tried again by itself.
    let calls = test.calls(5).await;
    assert_eq!(revisions(&calls), [1, 2, 3, 4, 4]);
    let row = test.row("t1").await;
    assert_eq!(
        (row.state, row.attempts, row.last_error),
        (OutboxState::Pending, 0, None)
    );
    test.answer([Err(CallError::Gone("deleted".into()))]);
    test.change(&source);
    test.calls(6).await;
    test.change(&source);
    pass(Duration::from_secs(600)).await;
    assert_eq!(test.idle().await.len(), 6, "a message that is gone is left alone");
    test.settle("t1", "C1", 50, ViewState::Done).await;
    assert_eq!(test.idle().await.last().map(|call| call.revision), Some(50));
    assert_eq!(test.row("t1").await.state, OutboxState::Sent);
}

#[tokio::test(start_paused = true)]
async fn mended_credentials_deliver_what_waited() {
    let test = Test::new(pace());
    test.answer([Err(CallError::Unauthorized("revoked".into()))]);
    test.settle("t1", "C1", 3, ViewState::Done).await;
    test.idle().await;
    assert_eq!(test.row("t1").await.state, OutboxState::Unauthorized);
    test.outbox.authorized();
    assert_eq!(revisions(&test.calls(2).await), [3, 3]);
    test.idle().await;
    assert_eq!(test.row("t1").await.state, OutboxState::Sent);
    test.outbox.authorized();
    assert_eq!(test.idle().await.len(), 2, "nothing waits any more");
}

#[tokio::test(start_paused = true)]
async fn an_operator_may_send_a_dead_letter_again() {
    let test = Test::new(pace());
    test.answer([Err(CallError::Ambiguous("cut off".into()))]);
    test.settle("t1", "C1", 3, ViewState::Done).await;
    test.idle().await;
    assert!(test.outbox.retry(&TurnId::from("t1")).await.unwrap());
    assert_eq!(revisions(&test.idle().await), [3, 3]);
    assert_eq!(test.row("t1").await.state, OutboxState::Sent);
    assert!(!test.outbox.retry(&TurnId::from("t1")).await.unwrap(), "it is sent");
    assert!(
        !test.outbox.retry(&TurnId::from("t2")).await.unwrap(),
        "it is not known"
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_delivers_what_was_left_with_its_memory() {
    let first = Test::new(pace());
    let source = first.follow("t1", "C1").await;
    first.calls(1).await;
    // The former run was killed between storing the end and showing it.
    first.put("t1", "C1", Some(view("t1", 7, ViewState::Done))).await;
    first.put("t2", "C2", Some(view("t2", 3, ViewState::Asking))).await;
    first.put("t3", "C3", None).await;
    drop(source);
    let second = Test::over(first.journal.clone(), pace());
    assert_eq!(second.outbox.recover().await.unwrap(), 2);
    let calls = second.idle().await;
    let mut seen: Vec<_> = calls
        .iter()
        .map(|call| (call.turn.as_str(), call.revision, call.memory.as_deref()))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [("t1", 7, Some("shown 1")), ("t2", 3, None)]);
    assert_eq!(second.row("t1").await.state, OutboxState::Sent);
    assert_eq!(
        Test::over(first.journal.clone(), pace())
            .outbox
            .recover()
            .await
            .unwrap(),
        0
    );
    // The turn that asks is taken up by its session, and followed in the same conversation.
    let again = source_from(&second, "t2", "C2", 5).await;
    assert_eq!(
        second
            .idle()
            .await
            .last()
            .map(|call| (call.revision, call.memory.clone())),
        Some((5, Some("shown 3".into())))
    );
    drop(again);
}

async fn source_from(test: &Test, turn: &str, channel: &str, revision: u32) -> Arc<Source> {
    let source = source(turn);
    source.revision.store(revision, Ordering::SeqCst);
    test.outbox
        .follow(&TurnId::from(turn), &target(channel), Arc::clone(&source) as _);
    source
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_counting_attempts() {
    let first = Test::new(pace());
    first.put("t1", "C1", Some(view("t1", 7, ViewState::Done))).await;
    let almost = crate::store::Outcome {
        revision: 7,
        state: OutboxState::Pending,
        attempts: plan::ATTEMPTS - 1,
        next_try: now() + 60_000,
        last_error: None,
        updated: now(),
    };
    first
        .journal
        .write(move |store| store.outbox_outcome(&TurnId::from("t1"), &almost))
        .await
        .unwrap();
    let second = Test::over(first.journal.clone(), pace());
    *lock(&second.fake.always) = unavailable();
    second.outbox.recover().await.unwrap();
    let calls = second.idle().await;
    assert_eq!(calls.len(), 1);
    assert!(calls[0].at > Duration::from_secs(50), "{calls:?}");
    assert_eq!(second.row("t1").await.state, OutboxState::Dead);
}

#[tokio::test(start_paused = true)]
async fn a_post_is_on_disk_when_it_returns_and_is_shown() {
    let test = Test::new(pace());
    let closed = test.fake.gate.write().await;
    test.outbox
        .post(target("C1"), view("t1", 1, ViewState::Done))
        .await
        .unwrap();
    assert_eq!(test.row("t1").await.state, OutboxState::Pending);
    drop(closed);
    assert_eq!(test.idle().await.len(), 1);
    assert_eq!(test.row("t1").await.state, OutboxState::Sent);
    test.journal.close().await;
    assert!(
        test.outbox
            .post(target("C1"), view("t2", 1, ViewState::Done))
            .await
            .is_err()
    );
    assert_eq!(test.outbox.load().pending, 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_turns_leave_no_lane_behind() {
    let test = Test::new(Pace { parallel: 3, ..pace() });
    let mut sources = HashMap::new();
    for n in 0..1000 {
        let (turn, channel) = (format!("t{n}"), format!("C{}", n % 100));
        sources.insert(turn.clone(), test.follow(&turn, &channel).await);
    }
    for (turn, source) in &sources {
        test.change(source);
        let n: usize = turn[1..].parse().unwrap();
        test.settle(turn, &format!("C{}", n % 100), 50, ViewState::Done).await;
    }
    let calls = test.idle().await;
    let ends = calls.iter().filter(|call| call.revision == 50).count();
    assert_eq!(ends, 1000);
    assert_eq!(
        test.outbox.load(),
        Load {
            lanes: 0,
            turns: 0,
            pending: 0
        }
    );
    assert!(
        test.outbox.inner.lanes.is_empty() && test.outbox.inner.tasks.is_empty(),
        "no task is left"
    );
    let most = test.fake.most_inside.load(Ordering::SeqCst);
    assert!((2..=3).contains(&most), "{most} at the same time");
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_panics_is_a_failure_of_one_call() {
    struct Panics(AtomicUsize);
    impl Presenter for Panics {
        fn show<'a>(&'a self, _: View, _: Target, _: String, _: Option<Vec<u8>>) -> BoxFuture<'a, Said> {
            assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "on purpose");
            Box::pin(async { Ok(None) })
        }
        fn ready_in(&self, _: &Conversation) -> Duration {
            Duration::ZERO
        }
    }
    let test = Test::new(pace());
    let panics = Arc::new(Panics(AtomicUsize::new(0)));
    let outbox = Outbox::new(
        BotName::from("team"),
        test.journal.clone(),
        Arc::clone(&panics) as _,
        pace(),
    );
    outbox.post(target("C1"), view("t1", 1, ViewState::Done)).await.unwrap();
    outbox.close(Duration::from_secs(60)).await;
    assert_eq!(
        (test.row("t1").await.state, panics.0.load(Ordering::SeqCst)),
        (OutboxState::Sent, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_what_must_be_delivered_and_no_longer_than_it_may() {
    let test = Test::new(pace());
    test.answer([unavailable(), unavailable()]);
    test.follow("t1", "C1").await;
    test.settle("t2", "C2", 3, ViewState::Done).await;
    test.outbox.close(Duration::from_secs(60)).await;
    assert_eq!(test.row("t2").await.state, OutboxState::Sent);
    assert_eq!(
        test.outbox.load(),
        Load {
            lanes: 0,
            turns: 0,
            pending: 0
        }
    );
    // Nothing is begun any more; it is in the store for the next run.
    test.settle("t3", "C3", 1, ViewState::Done).await;
    assert_eq!(
        test.outbox.load(),
        Load {
            lanes: 0,
            turns: 0,
            pending: 0
        }
    );

    let stuck = Test::new(pace());
    let _closed = stuck.fake.gate.write().await;
    stuck.settle("t1", "C1", 3, ViewState::Done).await;
    stuck.calls(1).await;
    let begun = Instant::now();
    stuck.outbox.close(Duration::from_secs(60)).await;
    assert_eq!(begun.elapsed().as_secs(), 60);
    assert_eq!(stuck.row("t1").await.state, OutboxState::Pending);
}
