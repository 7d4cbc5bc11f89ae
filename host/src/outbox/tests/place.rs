//! Updates stand in one line with those of other conversations; what cannot wait does not.

use super::*;

const LONG: Duration = Duration::from_secs(30);

/// A turn that was shown once, and a new word of it that waits for its place.
async fn waiting(test: &Test) -> Arc<Source> {
    let source = test.follow("t1", "C1").await;
    test.calls(1).await;
    test.fake.places.lock().unwrap().push_back(LONG);
    test.change(&source);
    pass(LONG / 2).await;
    assert_eq!(lock(&test.fake.calls).len(), 1, "it waits");
    assert_eq!(Arc::strong_count(&test.fake.kept), 2, "its place is kept");
    source
}

#[tokio::test(start_paused = true)]
async fn an_update_waits_for_its_place_and_is_made_when_that_has_come() {
    let test = Test::new(pace());
    let source = waiting(&test).await;
    test.change(&source);
    assert_eq!(source.fetched.load(Ordering::SeqCst), 1);
    let calls = test.calls(2).await;
    assert_eq!(revisions(&calls), [1, 3]);
    assert!(calls[1].at - calls[0].at >= LONG, "{calls:?}");
    assert_eq!(Arc::strong_count(&test.fake.kept), 1);
}

#[tokio::test(start_paused = true)]
async fn an_end_and_a_question_do_not_wait_for_an_updates_place_and_give_it_back() {
    for state in [ViewState::Done, ViewState::Asking] {
        let test = Test::new(pace());
        let _source = waiting(&test).await;
        test.settle("t1", "C1", 9, state).await;
        let calls = test.calls(2).await;
        assert_eq!(revisions(&calls), [1, 9]);
        assert!(calls[1].at - calls[0].at < LONG, "{calls:?}");
        assert_eq!(Arc::strong_count(&test.fake.kept), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_words_of_a_turn_do_not_wait_for_a_place() {
    let test = Test::new(pace());
    lock(&test.fake.places).push_back(LONG);
    let _source = test.follow("t1", "C1").await;
    assert!(test.calls(1).await[0].at < LONG);
    assert_eq!(lock(&test.fake.places).len(), 1, "none was asked for");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_not_followed_any_more_gives_its_place_back() {
    let test = Test::new(pace());
    let _source = waiting(&test).await;
    test.outbox.unfollow(&TurnId::from("t1"));
    assert_eq!(Arc::strong_count(&test.fake.kept), 1);
}
