use proptest::prelude::*;

use super::*;
use crate::chat::{Editable, Subject};

fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        sentence: "It failed.".to_owned(),
        cause: "cause".to_owned(),
    }
}

fn text() -> AgentEvent {
    AgentEvent::TextDelta {
        block: 1,
        text: "hello".to_owned(),
    }
}

fn permission(request: &str) -> Box<Permission> {
    Box::new(Permission {
        request: request.to_owned(),
        call: "call".to_owned(),
        tool: "Bash".to_owned(),
        input: "{}".to_owned(),
        title: "Bash".to_owned(),
        detail: String::new(),
        subject: Subject::Tool,
        editable: Editable::No,
        lasting: None,
        hears: true,
    })
}

fn result(outcome: Outcome) -> AgentEvent {
    AgentEvent::Result { outcome }
}

const IDLE: AgentEvent = AgentEvent::Idle { background: 0 };

fn died() -> AgentEvent {
    AgentEvent::Exited {
        failure: Some(failure(FailureKind::Died)),
    }
}

/// A turn whose prompt went out.
fn running(alone: bool) -> Turn {
    let mut turn = Turn::new();
    assert_eq!(turn.handle(&Input::Begin), [Action::Start { fresh: false }]);
    assert_eq!(turn.handle(&Input::Ready), [Action::Hand]);
    assert_eq!(turn.handle(&Input::Handed { id: "p", alone }), []);
    turn
}

#[test]
fn turn_ends_when_the_agent_is_idle_and_not_at_the_first_result() {
    let mut turn = running(true);
    assert_eq!(
        turn.handle(&Input::Agent(&IDLE)),
        [],
        "idle before any result is of an earlier turn"
    );
    assert_eq!(turn.handle(&Input::Agent(&result(Outcome::Ok))), []);
    assert_eq!(turn.handle(&Input::Agent(&text())), []);
    assert_eq!(turn.handle(&Input::Agent(&result(Outcome::Ok))), []);
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), [Action::Finish(Ending::Done)]);
    assert_eq!(turn.state(), State::Done);
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), [], "only once");
}

#[test]
fn result_that_failed_ends_the_turn_with_its_sentence() {
    for kind in [FailureKind::RateLimited, FailureKind::NotLoggedIn, FailureKind::Limit] {
        let mut turn = running(true);
        turn.handle(&Input::Agent(&text()));
        let failed = result(Outcome::Failed(failure(kind)));
        assert_eq!(turn.handle(&Input::Agent(&failed)), []);
        assert_eq!(
            turn.handle(&Input::Agent(&IDLE)),
            [Action::Finish(Ending::Failed(failure(kind)))]
        );
    }
}

#[test]
fn result_before_the_prompt_was_taken_up_belongs_to_background_work() {
    let mut turn = running(false);
    turn.handle(&Input::Agent(&result(Outcome::Ok)));
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), []);
    turn.handle(&Input::Agent(&AgentEvent::Started { id: "other".to_owned() }));
    turn.handle(&Input::Agent(&result(Outcome::Ok)));
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), []);
    turn.handle(&Input::Agent(&AgentEvent::Started { id: "p".to_owned() }));
    turn.handle(&Input::Agent(&result(Outcome::Ok)));
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), [Action::Finish(Ending::Done)]);
}

#[test]
fn agent_that_is_idle_after_it_took_the_prompt_up_will_not_answer() {
    let started = AgentEvent::Started { id: "p".to_owned() };
    let mut turn = running(true);
    turn.handle(&Input::Agent(&started));
    let actions = turn.handle(&Input::Agent(&IDLE));
    assert!(
        matches!(actions.as_slice(), [Action::Finish(Ending::Failed(_))]),
        "{actions:?}"
    );

    let mut turn = running(true);
    turn.handle(&Input::Agent(&started));
    turn.handle(&Input::Stop);
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), [Action::Finish(Ending::Stopped)]);
}

#[test]
fn death_before_anything_was_shown_is_repeated_once_in_silence() {
    let mut turn = running(true);
    assert_eq!(turn.handle(&Input::Agent(&died())), [Action::Start { fresh: false }]);
    assert_eq!(turn.handle(&Input::Ready), [Action::Hand]);
    assert_eq!(
        turn.handle(&Input::Agent(&died())),
        [Action::Finish(Ending::Failed(failure(FailureKind::Died)))]
    );
}

#[test]
fn death_after_something_was_shown_fails_the_turn() {
    let mut turn = running(true);
    turn.handle(&Input::Agent(&text()));
    assert_eq!(
        turn.handle(&Input::Agent(&died())),
        [Action::Finish(Ending::Failed(failure(FailureKind::Died)))]
    );
}

#[test]
fn lost_conversation_begins_afresh_once() {
    let lost = AgentEvent::Exited {
        failure: Some(failure(FailureKind::NoConversation)),
    };
    let mut turn = Turn::new();
    turn.handle(&Input::Begin);
    assert_eq!(turn.handle(&Input::Agent(&lost)), [Action::Start { fresh: true }]);
    assert_eq!(
        turn.handle(&Input::Agent(&lost)),
        [Action::Finish(Ending::Failed(failure(FailureKind::NoConversation)))]
    );
    // Told by a result rather than by the exit.
    let mut turn = running(true);
    let told = result(Outcome::Failed(failure(FailureKind::NoConversation)));
    assert_eq!(turn.handle(&Input::Agent(&told)), [Action::Start { fresh: true }]);
}

#[test]
fn turn_that_is_being_ended_does_not_begin_afresh() {
    let told = result(Outcome::Failed(failure(FailureKind::NoConversation)));
    let mut turn = running(true);
    turn.handle(&Input::Stop);
    assert_eq!(turn.handle(&Input::Agent(&told)), []);
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), [Action::Finish(Ending::Stopped)]);

    // Given up, it goes on once, and whoever stops that ends it.
    let mut turn = running(true);
    let failure = &failure(FailureKind::Limit);
    turn.handle(&Input::Overdue { failure, again: true });
    assert_eq!(turn.handle(&Input::Agent(&told)), []);
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), [Action::Start { fresh: false }]);
    assert_eq!(turn.handle(&Input::Ready), [Action::Hand]);
    assert_eq!(turn.handle(&Input::Stop), [Action::Interrupt]);
    let ended = [Action::Kill, Action::Finish(Ending::Stopped)];
    assert_eq!(turn.handle(&Input::GraceOver), ended);
}

#[test]
fn stop_interrupts_and_then_kills() {
    let mut turn = running(true);
    assert_eq!(turn.handle(&Input::Stop), [Action::Interrupt]);
    assert_eq!(turn.handle(&Input::Stop), []);
    assert_eq!(
        turn.handle(&Input::GraceOver),
        [Action::Kill, Action::Finish(Ending::Stopped)]
    );

    let mut turn = running(true);
    turn.handle(&Input::Stop);
    turn.handle(&Input::Agent(&result(Outcome::Failed(failure(FailureKind::Other)))));
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), [Action::Finish(Ending::Stopped)]);
    assert_eq!(turn.handle(&Input::GraceOver), []);
}

/// A turn that was given up; it may be put to the agent again.
fn overdue(again: bool) -> Turn {
    let mut turn = running(true);
    turn.handle(&Input::Agent(&text()));
    let failure = &failure(FailureKind::Limit);
    assert_eq!(turn.handle(&Input::Overdue { failure, again }), [Action::Interrupt]);
    turn
}

#[test]
fn turn_that_is_given_up_is_put_to_the_agent_again_once() {
    let stopped = result(Outcome::Stopped);
    let given_up = failure(FailureKind::Limit);
    let again = Input::Overdue {
        failure: &given_up,
        again: true,
    };
    let mut turn = overdue(true);
    assert_eq!(turn.handle(&again), [], "it is stopping already");
    turn.handle(&Input::Agent(&stopped));
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), [Action::Start { fresh: false }]);
    assert_eq!(turn.handle(&Input::Ready), [Action::Hand]);
    turn.handle(&Input::Handed { id: "q", alone: true });
    turn.handle(&again);
    turn.handle(&Input::Agent(&stopped));
    assert_eq!(
        turn.handle(&Input::Agent(&IDLE)),
        [Action::Finish(Ending::Failed(given_up.clone()))]
    );

    // An agent that does not let go of it is ended, and the next goes on.
    let mut turn = overdue(true);
    assert_eq!(
        turn.handle(&Input::GraceOver),
        [Action::Kill, Action::Start { fresh: false }]
    );
    let mut turn = overdue(true);
    assert_eq!(turn.handle(&Input::Agent(&died())), [Action::Start { fresh: false }]);
    let mut turn = overdue(false);
    assert_eq!(
        turn.handle(&Input::GraceOver),
        [Action::Kill, Action::Finish(Ending::Failed(given_up))]
    );
}

#[test]
fn turn_that_is_given_up_may_be_answered_in_time_or_stopped_by_a_person() {
    let mut turn = overdue(true);
    turn.handle(&Input::Agent(&result(Outcome::Ok)));
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), [Action::Finish(Ending::Done)]);

    let mut turn = overdue(true);
    assert_eq!(turn.handle(&Input::Stop), []);
    turn.handle(&Input::Agent(&result(Outcome::Stopped)));
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), [Action::Finish(Ending::Stopped)]);
}

#[test]
fn turn_that_waits_for_a_process_is_stopped_at_once() {
    let mut turn = Turn::new();
    turn.handle(&Input::Begin);
    assert_eq!(turn.handle(&Input::Stop), [Action::Finish(Ending::Stopped)]);
}

#[test]
fn it_asks_until_the_last_request_is_decided() {
    let mut turn = running(true);
    let (a, b) = (permission("a"), permission("b"));
    assert_eq!(
        turn.handle(&Input::Agent(&AgentEvent::Permission(a.clone()))),
        [Action::Ask(a.clone())]
    );
    assert_eq!(
        turn.handle(&Input::Agent(&AgentEvent::Permission(a))),
        [],
        "asked already"
    );
    assert_eq!(
        turn.handle(&Input::Agent(&AgentEvent::Permission(b.clone()))),
        [Action::Ask(b)]
    );
    turn.handle(&Input::Decided("a"));
    assert_eq!(turn.state(), State::Asking);
    let withdrawn = AgentEvent::PermissionWithdrawn {
        request: "b".to_owned(),
    };
    assert_eq!(
        turn.handle(&Input::Agent(&withdrawn)),
        [Action::Withdraw("b".to_owned())]
    );
    assert_eq!(turn.state(), State::Running);
}

#[test]
fn parked_turn_needs_a_process_only_when_all_is_decided() {
    let mut turn = Turn::parked(["a".to_owned(), "b".to_owned()]);
    assert!(!turn.is_with_agent());
    assert_eq!(turn.handle(&Input::Begin), []);
    assert_eq!(turn.handle(&Input::Decided("a")), []);
    assert_eq!(turn.handle(&Input::Decided("b")), [Action::Start { fresh: false }]);
    assert_eq!(
        Turn::parked(["a".to_owned()]).handle(&Input::Stop),
        [Action::Finish(Ending::Stopped)]
    );
}

#[test]
fn turn_whose_process_went_while_it_asked_goes_on_in_another() {
    let mut turn = running(true);
    turn.handle(&Input::Agent(&AgentEvent::Permission(permission("a"))));
    assert!(turn.is_with_agent());
    assert_eq!(turn.handle(&Input::Park), []);
    assert!(turn.state() == State::Asking && !turn.is_with_agent());
    assert_eq!(turn.handle(&Input::Decided("a")), [Action::Start { fresh: false }]);
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Ok),
        Just(Outcome::Stopped),
        Just(Outcome::Failed(failure(FailureKind::Api))),
        Just(Outcome::Failed(failure(FailureKind::NoConversation))),
    ]
}

fn event() -> impl Strategy<Value = AgentEvent> {
    prop_oneof![
        Just(text()),
        Just(IDLE),
        Just(died()),
        Just(AgentEvent::Exited { failure: None }),
        Just(AgentEvent::Restart),
        "[ps]".prop_map(|id| AgentEvent::Started { id }),
        outcome().prop_map(result),
        "[ab]".prop_map(|request| AgentEvent::Permission(permission(&request))),
        "[ab]".prop_map(|request| AgentEvent::PermissionWithdrawn { request }),
    ]
}

#[derive(Debug, Clone)]
enum Any {
    Begin,
    Ready,
    Handed(bool),
    Agent(AgentEvent),
    Stop,
    Decided(String),
    GraceOver,
    Overdue(bool),
    Park,
    Steered,
}

fn any_input() -> impl Strategy<Value = Any> {
    prop_oneof![
        1 => Just(Any::Begin),
        2 => Just(Any::Ready),
        2 => any::<bool>().prop_map(Any::Handed),
        8 => event().prop_map(Any::Agent),
        1 => Just(Any::Stop),
        1 => "[ab]".prop_map(Any::Decided),
        1 => Just(Any::GraceOver),
        1 => any::<bool>().prop_map(Any::Overdue),
        1 => Just(Any::Park),
        1 => Just(Any::Steered),
    ]
}

proptest! {
    #[test]
    fn any_order_ends_exactly_once_and_stays_ended(
        inputs in proptest::collection::vec(any_input(), 0..60),
        parked in any::<bool>(),
    ) {
        let mut turn = if parked { Turn::parked(["a".to_owned()]) } else { Turn::new() };
        let mut finished = 0;
        let failure = &failure(FailureKind::Limit);
        // Whatever came before: this ends every turn.
        let end = [Any::Begin, Any::Stop, Any::GraceOver];
        for input in inputs.iter().chain(&end) {
            let input = match input {
                Any::Begin => Input::Begin,
                Any::Ready => Input::Ready,
                Any::Handed(alone) => Input::Handed { id: "p", alone: *alone },
                Any::Agent(event) => Input::Agent(event),
                Any::Stop => Input::Stop,
                Any::Decided(request) => Input::Decided(request),
                Any::GraceOver => Input::GraceOver,
                Any::Park => Input::Park,
                Any::Steered => Input::Steered { id: "s" },
                Any::Overdue(again) => Input::Overdue { failure, again: *again },
            };
            let was_done = turn.state() == State::Done;
            let actions = turn.handle(&input);
            prop_assert!(!was_done || actions.is_empty());
            finished += actions.iter().filter(|action| matches!(action, Action::Finish(_))).count();
        }
        prop_assert_eq!(finished, 1);
        prop_assert_eq!(turn.state(), State::Done);
    }
}

#[test]
fn turn_does_not_end_before_the_agent_took_up_what_it_was_told_meanwhile() {
    let done = [Action::Finish(Ending::Done)];
    let mut turn = running(true);
    turn.handle(&Input::Agent(&text()));
    // The agent had ended already, and nobody had heard of it.
    turn.handle(&Input::Steered { id: "s" });
    turn.handle(&Input::Agent(&result(Outcome::Ok)));
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), []);
    turn.handle(&Input::Agent(&AgentEvent::Started { id: "s".to_owned() }));
    turn.handle(&Input::Agent(&result(Outcome::Ok)));
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), done);

    // It died before: the word was not answered.
    let mut turn = running(true);
    turn.handle(&Input::Agent(&text()));
    turn.handle(&Input::Steered { id: "s" });
    turn.handle(&Input::Agent(&result(Outcome::Ok)));
    let ended = turn.handle(&Input::Agent(&died()));
    assert_eq!(ended, [Action::Finish(Ending::Failed(failure(FailureKind::Died)))]);

    // It merged the word, and says so only with its end.
    let mut turn = running(true);
    turn.handle(&Input::Steered { id: "s" });
    turn.handle(&Input::Agent(&result(Outcome::Ok)));
    turn.handle(&Input::Agent(&AgentEvent::Started { id: "s".to_owned() }));
    assert_eq!(turn.handle(&Input::Agent(&IDLE)), done);

    // It was taken back with the turn, whoever stopped that.
    for ours in [true, false] {
        let mut turn = running(true);
        turn.handle(&Input::Steered { id: "s" });
        if ours {
            turn.handle(&Input::Stop);
        }
        turn.handle(&Input::Agent(&result(Outcome::Stopped)));
        assert_eq!(turn.handle(&Input::Agent(&IDLE)), [Action::Finish(Ending::Stopped)]);
    }
}
