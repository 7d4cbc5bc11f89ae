//! Whatever a guest does ends its own call and nothing else.

use std::time::{Duration, Instant};

use super::{Plan, event, trapped};
use crate::chat::CallError;
use crate::plugin::CallLimits;

#[tokio::test]
async fn a_loop_ends_at_the_deadline_and_the_next_event_works() {
    let bench = Plan::hostile().ready().await;
    let began = Instant::now();
    let reason = trapped(bench.wish("loop").await);
    assert_eq!(reason, "ingress: out of time: it worked for longer than 100 ms");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        began.elapsed()
    );
    bench.works().await;
    assert_eq!(bench.adapter.failures(), (1, Some(reason)));
}

#[tokio::test]
async fn other_calls_run_while_one_loops_on_a_single_thread() {
    let mut plan = Plan::hostile();
    plan.limits.deadline = Duration::from_secs(30);
    let bench = plan.ready().await;
    let looping = tokio::spawn({
        let adapter = bench.adapter.clone();
        async move { adapter.translate(&event("loop")).await }
    });
    tokio::task::yield_now().await;
    bench.works().await;
    assert!(!looping.is_finished());
    looping.abort();
    assert!(looping.await.expect_err("it was dropped").is_cancelled());
    bench.works().await;
}

#[tokio::test]
async fn nothing_of_a_call_is_left_in_the_place_where_the_next_is_made() {
    let bench = Plan::hostile().ready().await;
    assert!(
        bench.component.inner.pooled.is_some(),
        "the test guest has a place in the pool"
    );
    for wish in ["stain a little", "stain"] {
        for _ in 0..3 {
            assert_eq!(bench.wish(wish).await, Ok("stained".to_owned()));
            assert_eq!(bench.wish("stains").await, Ok("0".to_owned()), "after {wish}");
        }
    }
    assert_eq!(bench.wish("count").await, Ok("1".to_owned()));
}

#[tokio::test]
async fn calls_for_which_the_pool_has_no_place_are_made_as_they_come() {
    let bench = Plan::hostile().ready().await;
    let seats: Vec<_> = std::iter::repeat_with(|| bench.component.seat())
        .take_while(|seat| seat._place.is_some())
        .collect();
    assert!(!seats.is_empty(), "there is a pool");
    bench.works().await;
    let reason = trapped(bench.wish("loop").await);
    assert_eq!(reason, "ingress: out of time: it worked for longer than 100 ms");
    drop(seats);
    assert!(bench.component.seat()._place.is_some());
    assert!(bench.component.own_seat()._place.is_none());
}

#[tokio::test]
async fn a_panic_is_reported_with_its_text() {
    let bench = Plan::hostile().ready().await;
    let reason = trapped(bench.wish("panic").await);
    assert!(reason.starts_with("ingress: it trapped: "), "{reason}");
    assert!(reason.contains("I was told to"), "{reason}");
    bench.works().await;
}

#[tokio::test]
async fn an_exit_is_a_failure() {
    let bench = Plan::hostile().ready().await;
    assert_eq!(trapped(bench.wish("exit").await), "ingress: it exited with status 1");
    bench.works().await;
}

#[tokio::test]
async fn allocating_without_end_is_out_of_memory() {
    let mut plan = Plan::hostile();
    plan.limits.deadline = Duration::from_secs(30);
    let bench = plan.ready().await;
    let reason = trapped(bench.wish("allocate").await);
    assert!(
        reason.starts_with("ingress: out of memory: it asked for more than 32 MiB"),
        "{reason}"
    );
    bench.works().await;
}

#[tokio::test]
async fn recursion_without_end_traps() {
    let mut plan = Plan::hostile();
    plan.limits.deadline = Duration::from_secs(30);
    let bench = plan.ready().await;
    let reason = trapped(bench.wish("recurse").await);
    assert!(reason.starts_with("ingress: it trapped: "), "{reason}");
    bench.works().await;
}

#[tokio::test]
async fn a_flood_is_out_of_output_in_one_answer_or_in_many_lines() {
    let mut plan = Plan::hostile();
    plan.limits = CallLimits {
        memory_bytes: 64 * 1024 * 1024,
        deadline: Duration::from_secs(30),
        ..plan.limits
    };
    let bench = plan.ready().await;
    for wish in ["answer-flood", "log-flood"] {
        let reason = trapped(bench.wish(wish).await);
        assert!(
            reason.starts_with("ingress: out of output: it handed over more than 1024 KiB"),
            "{wish}: {reason}"
        );
    }
    bench.works().await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_sleeps_is_ended_too() {
    let bench = Plan::hostile().ready().await;
    assert_eq!(
        trapped(bench.wish("sleep").await),
        "ingress: out of time: it did not come back within 30 s"
    );
    bench.works().await;
}

#[tokio::test]
async fn many_log_lines_cost_only_themselves() {
    let mut plan = Plan::hostile();
    plan.limits.deadline = Duration::from_secs(30);
    let bench = plan.ready().await;
    assert_eq!(bench.wish("log-many").await, Ok("logged".to_owned()));
}

#[tokio::test]
async fn an_answer_beyond_the_interfaces_bounds_is_the_adapters_failure() {
    let bench = Plan::hostile().ready().await;
    let mut reasons = Vec::new();
    for wish in ["no-key", "long-key", "many-items", "bad-status"] {
        reasons.push(trapped(bench.wish(wish).await));
    }
    assert_eq!(
        reasons,
        [
            "ingress: its answer is wrong: an item's key must be 1 to 200 bytes and has 0",
            "ingress: its answer is wrong: an item's key must be 1 to 200 bytes and has 201",
            "ingress: its answer is wrong: one event came to 300 items; 256 are the most",
            "ingress: its answer is wrong: an answer's status `9` is none of HTTP's",
        ]
    );
    assert_eq!(bench.adapter.failures().0, 4);
}

#[tokio::test]
async fn a_guests_error_is_no_failure_and_is_cut() {
    let bench = Plan::hostile().ready().await;
    let Err(CallError::Malformed(text)) = bench.wish("malformed").await else {
        panic!("the guest said malformed")
    };
    assert!(text.len() < 1100, "{} bytes", text.len());
    assert_eq!(bench.adapter.failures(), (0, None));
}

#[tokio::test]
async fn every_call_is_a_fresh_instance() {
    let bench = Plan::hostile().ready().await;
    for _ in 0..3 {
        assert_eq!(bench.wish("count").await, Ok("1".to_owned()));
    }
}

#[tokio::test]
async fn the_guests_wasi_is_empty() {
    let bench = Plan::hostile().ready().await;
    assert_eq!(bench.wish("probe environment").await, Ok("0 false false".to_owned()));
}
