//! The exec driver: shell scripts as agents, each turn a real process under the real guard.

use std::path::PathBuf;

use botyard::config::DriverKind;
use botyard::driver::{AgentEvent, Command, FailureKind, Outcome};

use crate::yard::{Yard, outcome, text};

fn script(lines: &str) -> Yard {
    Yard::new(&["/bin/sh", "-c", lines]).driver(DriverKind::Exec)
}

#[tokio::test]
async fn a_script_answers_on_stdout_as_it_prints() {
    let yard = script("read -r line; printf 'you said: '; printf '%s\\n' \"$line\"; touch here");
    let mut agent = yard.start(false);
    let id = agent.prompt("hello").await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    assert!(matches!(events[0], AgentEvent::Offers(_)), "{events:?}");
    assert_eq!(events[1], AgentEvent::Ready { pid: 0, version: None });
    assert_eq!(events[2], AgentEvent::Started { id });
    let deltas = events.iter().filter_map(|event| match event {
        AgentEvent::TextDelta { block: 1, text } => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(deltas.collect::<String>(), "you said: hello\n");
    assert_eq!(
        (text(&events).as_str(), outcome(&events)),
        ("you said: hello", Some(&Outcome::Ok))
    );
    assert!(
        yard.folder.path().join("work/here").exists(),
        "it works in the workspace"
    );
    assert_eq!(text(&agent.turn("again").await), "you said: again");
    agent.send(Command::Close).await;
    assert_eq!(agent.exit().await, None);
}

#[tokio::test]
async fn text_comes_before_the_script_has_ended() {
    let mut agent = script("printf 'one '; while [ ! -e go ]; do sleep 0.02; done; printf two").start(false);
    agent.prompt("x").await;
    let events = agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
    assert!(!events.iter().any(|event| matches!(event, AgentEvent::Text { .. })));
    agent.touch("go");
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    assert_eq!(text(&events), "one two");
}

#[tokio::test]
async fn the_prompt_is_an_argument_where_the_command_has_a_place_for_it() {
    let mut yard = Yard::new(&["/bin/echo", "--", "{prompt}"]).driver(DriverKind::Exec);
    let mut agent = yard.start(false);
    assert_eq!(text(&agent.turn("$(id); `id`").await), "-- $(id); `id`");
    // Never an option of the command.
    assert_eq!(text(&agent.turn("-n x").await), "--  -n x");
    let events = agent.turn(&"x".repeat(200_000)).await;
    assert!(
        matches!(outcome(&events), Some(Outcome::Failed(failure)) if failure.kind == FailureKind::Limit),
        "{:?}",
        outcome(&events)
    );
    yard.profile.command = vec!["/bin/wc".to_owned(), "-c".to_owned()];
    assert_eq!(text(&yard.start(false).turn(&"x".repeat(1_000_000)).await), "1000000");
}

#[tokio::test]
async fn a_failure_is_told_with_the_end_of_stderr_and_what_was_printed() {
    let mut agent = script("echo half; echo it broke >&2; exit 3").start(false);
    let events = agent.turn("x").await;
    let Some(Outcome::Failed(failure)) = outcome(&events) else {
        panic!("{events:?}")
    };
    assert_eq!(
        (failure.kind, failure.cause.as_str(), text(&events).as_str()),
        (FailureKind::Other, "exit code 3; stderr: it broke", "half")
    );
    // The next turn has a process of its own.
    assert!(matches!(outcome(&agent.turn("y").await), Some(Outcome::Failed(_))));
    let mut missing = Yard::new(&["/no/such/script"]).driver(DriverKind::Exec).start(false);
    let events = missing.turn("x").await;
    assert!(
        matches!(outcome(&events), Some(Outcome::Failed(failure)) if failure.kind == FailureKind::Start),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_stop_ends_the_script_and_all_that_it_started() {
    let yard = script("setsid sleep 1000 & echo $!; wait");
    let mut agent = yard.start(false);
    agent.prompt("x").await;
    let events = agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
    let Some(AgentEvent::TextDelta { text: pid, .. }) = events.last() else {
        panic!("{events:?}")
    };
    let child = PathBuf::from("/proc").join(pid.trim());
    assert!(child.exists());
    agent.prompt("never begun").await;
    agent.send(Command::Interrupt).await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    let stopped = events.iter().filter(|event| {
        **event
            == AgentEvent::Result {
                outcome: Outcome::Stopped,
            }
    });
    assert_eq!(stopped.count(), 2, "{events:?}");
    assert!(!child.exists());
    agent.prompt("x").await;
    agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
    agent.send(Command::Kill).await;
    assert_eq!(agent.exit().await, None);
}

#[tokio::test]
async fn a_stop_right_behind_its_message_is_not_lost() {
    let mut agent = script("read -r line; [ \"$line\" = x ] && sleep 1000; echo \"$line\"").start(false);
    agent.prompt("x").await;
    agent.send(Command::Interrupt).await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    assert_eq!(outcome(&events), Some(&Outcome::Stopped));
    assert_eq!(text(&agent.turn("y").await), "y");
}

#[tokio::test]
async fn a_flood_is_cut_and_garbage_is_made_text() {
    let mut agent = script("head -c 3000000 /dev/zero | tr '\\0' x; printf '\\377'").start(false);
    let events = agent.turn("x").await;
    let text = text(&events);
    assert!(
        text.len() < 1_100_000 && text.contains("more than is shown"),
        "{}",
        text.len()
    );
    assert_eq!(outcome(&events), Some(&Outcome::Ok));
}

#[tokio::test]
async fn what_was_said_is_given_again_also_to_a_new_process() {
    let mut yard = script("cat");
    yard.profile.history = true;
    let mut agent = yard.start(false);
    assert_eq!(text(&agent.turn("one").await), "one");
    agent.send(Command::Close).await;
    agent.exit().await;
    let mut again = yard.start(true);
    let said = text(&again.turn("two").await);
    assert!(
        said.contains("User: one\n\nYou: one") && said.ends_with("two"),
        "{said}"
    );
    let mut other = script("cat");
    other.profile.history = true;
    let failure = other.start(true).exit().await;
    assert!(failure.is_some_and(|failure| failure.kind == FailureKind::NoConversation));
}

#[tokio::test]
async fn the_script_knows_the_conversation_and_little_of_the_operators_environment() {
    let yard = script("echo $BOTYARD_SESSION; env | grep -c CARGO");
    let mut agent = yard.start(false);
    assert_eq!(text(&agent.turn("x").await), format!("{}\n0", yard.session));
}

#[tokio::test]
async fn an_answer_that_speaks_of_errors_is_an_answer() {
    let prose = "unauthorized: please log in; 429 rate limit; No conversation found";
    let mut agent = script(&format!("echo '{prose}'; echo 'API Error: 401' >&2")).start(false);
    let events = agent.turn("x").await;
    assert_eq!((text(&events).as_str(), outcome(&events)), (prose, Some(&Outcome::Ok)));
}
