//! Turns in a thread as people see them grow, against the strict fake.

use botyard_fakes::slack::{Message, Trouble};
use botyard_sdk::delivery::{Part, StepState, Target};

use super::*;
use crate::api::Api;
use crate::interactive::Kind;
use crate::show::{Memory, show};
use crate::tests::{Fake, channel, fake};
use crate::view::tests::{ask, step, text, view};

/// Shows go through the host's memory, as after a crash.
struct Turn {
    api: Api<Fake>,
    thread: String,
}

fn turn() -> Turn {
    let api = fake();
    let thread = api.wire.team.say("C1", "U1", "go", None);
    Turn { api, thread }
}

impl Turn {
    fn show(&self, view: &View) -> Result<(), Error> {
        let reply = ReplyTo {
            kind: Kind::Message,
            trigger: None,
            response_url: None,
            field: None,
            reader: Some(("U1".into(), botyard_fakes::slack::TEAM.into())),
        };
        let target = Target {
            conversation: channel(Some(&self.thread)),
            reply_to: reply.bytes(),
            private_to: None,
            nonce: "n1".into(),
            memory: self.api.wire.saved.borrow().clone(),
        };
        show(&self.api, view, &target)
    }

    fn memory(&self) -> Memory {
        serde_json::from_slice(self.api.wire.saved.borrow().as_ref().expect("saved")).expect("a memory")
    }

    fn replies(&self) -> Vec<Message> {
        self.api.wire.team.replies("C1")
    }

    /// The one message there is, and whether it still grows.
    fn only(&self) -> (String, bool) {
        let replies = self.replies();
        assert_eq!(replies.len(), 1, "{replies:?}");
        (replies[0].read(), replies[0].streaming)
    }

    fn called(&self) -> Vec<String> {
        self.api.wire.team.called()
    }

    fn trouble(&self, method: &str, trouble: Trouble) {
        self.api.wire.team.trouble(Some(method), trouble);
    }

    fn status(&self) -> Option<String> {
        self.api.wire.team.status("C1", &self.thread)
    }

    fn session(&self) -> Option<String> {
        self.api.wire.team.session("C1", &self.thread)
    }

    fn later(&self, seconds: u32) {
        let clock = &self.api.wire.clock;
        clock.set(clock.get() + seconds);
    }
}

fn running(parts: Vec<Part>) -> View {
    let mut view = view(State::Running, parts);
    if let Some(last) = view.blocks.last_mut() {
        last.complete = false;
    }
    view
}

fn done(words: &str) -> View {
    view(State::Done, vec![text(words)])
}

#[test]
fn fast_turn_costs_one_post() {
    let turn = turn();
    turn.show(&running(vec![])).expect("shown");
    assert_eq!((turn.status().as_deref(), turn.replies().len()), (Some(WORKING), 0));
    turn.show(&done("That was quick.")).expect("shown");
    assert_eq!(turn.only(), ("That was quick.".to_owned(), false));
    assert_eq!(
        turn.called(),
        [
            "agents.sessions.setStatus",
            "assistant.threads.setStatus",
            "chat.postMessage",
            "agents.sessions.setStatus"
        ]
    );
    assert_eq!((turn.status(), turn.session().as_deref()), (None, Some("active")));
}

#[test]
fn long_turn_grows_in_one_message_with_its_steps() {
    let turn = turn();
    turn.show(&running(vec![text("First I lo")])).expect("shown");
    assert_eq!(
        (turn.only(), turn.session().as_deref()),
        (("First I".to_owned(), true), Some("processing"))
    );
    let looked = |state| vec![text("First I look."), step("Read it", "a.rs", state)];
    turn.show(&running(looked(StepState::Running))).expect("shown");
    assert_eq!(turn.only(), ("First I look.\n(in_progress) Read it".to_owned(), true));
    turn.show(&running(looked(StepState::Done))).expect("shown");
    let mut end = looked(StepState::Done);
    end.push(text("All is well."));
    let mut end = view(State::Done, end);
    end.footer = Some("5 s".into());
    turn.show(&end).expect("shown");
    let whole = "First I look.\n(complete) Read it\n\n\nAll is well.\n5 s".to_owned();
    assert_eq!(turn.only(), (whole, false));
    assert_eq!(turn.session().as_deref(), Some("active"));
    // It is whole: shown again, nothing is called.
    let calls = turn.called().len();
    turn.show(&end).expect("shown");
    assert_eq!(turn.called().len(), calls);
    assert!(
        !turn
            .called()
            .iter()
            .any(|method| method == "chat.update" || method == "chat.postMessage")
    );
}

#[test]
fn status_is_renewed_before_it_goes_away() {
    let turn = turn();
    for after in [0, 25, 25, 25, 25] {
        turn.later(after);
        turn.show(&running(vec![])).expect("shown");
    }
    let said = turn
        .called()
        .iter()
        .filter(|method| *method == "assistant.threads.setStatus")
        .count();
    assert_eq!((said, turn.replies().len()), (3, 0));
}

#[test]
fn without_slacks_own_stop_control_a_button_comes() {
    let turn = turn();
    turn.api.wire.team.set_agent_sessions(false);
    let stoppable = |parts| {
        let mut view = running(parts);
        view.stop_token = Some("t-stop".into());
        view
    };
    turn.show(&stoppable(vec![])).expect("shown");
    assert_eq!((turn.status().as_deref(), turn.replies().len()), (Some(WORKING), 0));
    turn.later(25);
    turn.show(&stoppable(vec![])).expect("shown");
    let stop = vec![("Stop".to_owned(), "t-stop".to_owned())];
    assert_eq!((turn.replies()[0].buttons(), turn.status()), (stop.clone(), None));
    turn.show(&stoppable(vec![text("Hm")])).expect("shown");
    assert_eq!((turn.replies()[0].buttons(), turn.replies().len()), (stop, 1));
    turn.show(&done("Hm!")).expect("shown");
    assert_eq!(turn.only(), ("Hm!".to_owned(), false));
    // What the workspace does not have is asked once, not by every turn.
    let asked = turn
        .called()
        .iter()
        .filter(|method| *method == "agents.sessions.setStatus")
        .count();
    turn.api.wire.saved.replace(None);
    turn.show(&running(vec![])).expect("shown");
    assert_eq!(
        (
            asked,
            turn.called()
                .iter()
                .filter(|method| *method == "agents.sessions.setStatus")
                .count()
        ),
        (1, 1)
    );
}

#[test]
fn question_ends_the_stream_and_stands_in_the_same_message() {
    let turn = turn();
    turn.show(&running(vec![text("May I")])).expect("shown");
    turn.show(&running(vec![text("May I do it?")])).expect("shown");
    turn.show(&view(State::Asking, vec![text("May I do it?"), ask(None)]))
        .expect("shown");
    assert_eq!(turn.replies()[0].buttons().len(), 2);
    assert!(!turn.replies()[0].streaming);
    assert_eq!(turn.session().as_deref(), Some("processing"));
    turn.show(&view(
        State::Done,
        vec![text("May I do it?"), ask(Some("Allowed")), text("Done.")],
    ))
    .expect("shown");
    assert_eq!(turn.replies().len(), 1);
    assert!(turn.only().0.ends_with("Done."), "{:?}", turn.only());
    assert_eq!(turn.session().as_deref(), Some("active"));
}

#[test]
fn what_a_cli_took_back_is_mended() {
    let turn = turn();
    turn.show(&running(vec![text("It is seven, I think")])).expect("shown");
    assert_eq!(turn.only().0, "It is seven, I");
    turn.show(&running(vec![text("It is eight of them")])).expect("shown");
    assert_eq!(turn.only(), ("It is eight of them".to_owned(), false));
    turn.show(&done("It is eight of them.")).expect("shown");
    assert_eq!(turn.only(), ("It is eight of them.".to_owned(), false));
}

#[test]
fn answer_that_outgrows_the_stream_becomes_messages() {
    let turn = turn();
    turn.show(&running(vec![text("one two three")])).expect("shown");
    let long = format!("one two three {}", "line of a very long answer\n".repeat(600));
    turn.show(&done(&long)).expect("shown");
    let all: String = turn.replies().iter().map(Message::read).collect();
    assert_eq!(
        all.split_whitespace().collect::<Vec<_>>(),
        long.split_whitespace().collect::<Vec<_>>()
    );
    assert!(turn.replies().len() > 1 && turn.replies().iter().all(|message| !message.streaming));
}

#[test]
fn whatever_goes_wrong_the_answer_stands_there_once() {
    let calls = ["chat.startStream", "chat.appendStream", "chat.stopStream"];
    let troubles = [
        Trouble::Cut,
        Trouble::CutBefore,
        Trouble::StatusAfter(502),
        Trouble::Status(500),
        Trouble::RateLimited { seconds: 1 },
        Trouble::Error("missing_scope".into()),
        Trouble::Error("message_not_in_streaming_state".into()),
        Trouble::Error("internal_error".into()),
    ];
    for method in calls {
        for trouble in &troubles {
            let turn = turn();
            turn.trouble(method, trouble.clone());
            let views = [
                running(vec![text("one two")]),
                running(vec![text("one two three four")]),
                done("one two three four five"),
            ];
            for view in views {
                for attempt in 0.. {
                    // The host comes again; by then Slack has done what it was about to do.
                    if turn.show(&view).is_ok() {
                        break;
                    }
                    assert!(attempt < 5, "{method} {trouble:?}");
                    turn.later(5);
                }
            }
            let what = format!("{method} {trouble:?}");
            assert_eq!(turn.only(), ("one two three four five".to_owned(), false), "{what}");
            assert_eq!(turn.memory().stream, None, "{what}");
            assert!(turn.called().iter().any(|called| called == method), "{what}");
        }
    }
}

#[test]
fn host_that_died_in_the_middle_of_a_start_finds_the_stream() {
    let turn = turn();
    turn.show(&running(vec![text("one two")])).expect("shown");
    // What was saved before the start is all that is left.
    let memory = Memory {
        pending: Some(Pending {
            index: 0,
            id: "n1-0".into(),
            at: turn.api.wire.clock.get(),
            stream: true,
        }),
        ..Memory::default()
    };
    turn.api
        .wire
        .saved
        .replace(Some(serde_json::to_vec(&memory).expect("JSON")));
    turn.show(&running(vec![text("one two three")])).expect("shown");
    turn.show(&done("one two three")).expect("shown");
    assert_eq!(turn.only(), ("one two three".to_owned(), false));
}

#[test]
fn of_two_streams_none_is_taken_for_the_lost_one() {
    let turn = turn();
    turn.show(&running(vec![text("one two")])).expect("shown");
    let other = Memory::default();
    turn.api
        .wire
        .saved
        .replace(Some(serde_json::to_vec(&other).expect("JSON")));
    turn.show(&running(vec![text("three four")])).expect("shown");
    let memory = Memory {
        pending: Some(Pending {
            index: 0,
            id: "n1-0".into(),
            at: turn.api.wire.clock.get(),
            stream: true,
        }),
        ..Memory::default()
    };
    turn.api
        .wire
        .saved
        .replace(Some(serde_json::to_vec(&memory).expect("JSON")));
    let told = turn.show(&done("one two three"));
    assert!(matches!(told, Err(Error::Ambiguous(_))), "{told:?}");
    assert!(turn.replies().iter().all(|message| message.streaming), "none was ended");
}

/// A turn that goes on by edits, while Slack still holds its message for a stream.
fn in_conflict() -> Turn {
    let turn = turn();
    turn.show(&running(vec![text("one two")])).expect("shown");
    let memory = Memory {
        stream: None,
        edits: true,
        ..turn.memory()
    };
    turn.api
        .wire
        .saved
        .replace(Some(serde_json::to_vec(&memory).expect("JSON")));
    turn
}

#[test]
fn message_that_still_grows_is_ended_and_only_a_refusal_makes_another() {
    let passing = [
        Trouble::RateLimited { seconds: 1 },
        Trouble::Status(503),
        Trouble::StatusAfter(502),
        Trouble::Cut,
        Trouble::CutBefore,
        Trouble::Error("internal_error".into()),
    ];
    for trouble in passing {
        let turn = in_conflict();
        turn.trouble("chat.stopStream", trouble.clone());
        let told = turn.show(&done("one two three"));
        assert!(
            matches!(told, Err(Error::RateLimited(_) | Error::Unavailable(_))),
            "{trouble:?}: {told:?}"
        );
        turn.show(&done("one two three")).expect("shown");
        assert_eq!(turn.only(), ("one two three".to_owned(), false), "{trouble:?}");
    }
    let turn = in_conflict();
    turn.trouble("chat.stopStream", Trouble::Error("no_permission".into()));
    turn.show(&done("one two three")).expect("shown");
    assert_eq!(turn.replies().len(), 2, "it must be seen");
}

#[test]
fn steps_that_a_stream_does_not_take_are_in_the_final_view() {
    let turn = turn();
    let mut parts: Vec<Part> = (0..70)
        .map(|n| step(&format!("Step {n}"), "a.rs", StepState::Done))
        .collect();
    turn.show(&running(parts.clone())).expect("shown");
    assert!(turn.only().1, "it streams");
    parts.push(text("Done."));
    turn.show(&view(State::Done, parts)).expect("shown");
    let (words, grows) = turn.only();
    assert!(
        !grows && words.contains("Step 69") && words.contains("Done."),
        "{words}"
    );
}

#[test]
fn operator_who_wants_edits_gets_nothing_else() {
    let turn = turn();
    turn.api.wire.progress.set(Progress::Edit);
    for view in [running(vec![]), running(vec![text("one two")]), done("one two three")] {
        turn.show(&view).expect("shown");
    }
    assert_eq!(turn.called(), ["chat.postMessage", "chat.update", "chat.update"]);
}

#[test]
fn operator_who_wants_streams_gets_them_without_agent_sessions_too() {
    let turn = turn();
    turn.api.wire.progress.set(Progress::Stream);
    turn.api.wire.team.set_agent_sessions(false);
    turn.show(&running(vec![text("one two")])).expect("shown");
    assert_eq!(turn.only(), ("one".to_owned(), true));
    turn.show(&view(State::Stopped, vec![text("one two")])).expect("shown");
    assert_eq!(turn.only(), ("one two\n⏹ Stopped".to_owned(), false));
}
