//! The driver with a scripted CLI as a real process under the real guard.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use botyard::driver::{Abilities, AgentEvent, Answer, Command, FailureKind, Offers, Outcome};
use botyard_fakes::cli;

use crate::yard::{LIMIT, Yard, outcome, text};

/// A yard with the scripted CLI.
fn fake() -> Yard {
    Yard::new(&[&cli::program().display().to_string()])
}

#[tokio::test]
async fn an_answer_comes_in_order_and_ends_idle() {
    let yard = fake();
    let mut agent = yard.start(false);
    let id = agent.prompt("hello").await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    let AgentEvent::Ready { pid, .. } = events[0] else {
        panic!("{events:?}")
    };
    let block = 1;
    let text = "echo: hello".to_owned();
    let expected = vec![
        AgentEvent::Ready {
            pid,
            version: Some(cli::VERSION.to_owned()),
        },
        AgentEvent::Session {
            id: yard.session.clone(),
            model: Some("fake".to_owned()),
        },
        AgentEvent::Started { id },
        AgentEvent::TextDelta {
            block,
            text: text.clone(),
        },
        AgentEvent::Text {
            block,
            text,
            parent: None,
        },
        AgentEvent::Usage {
            input_tokens: 10,
            output_tokens: 5,
            cost_usd: Some(0.001),
        },
        AgentEvent::Result { outcome: Outcome::Ok },
        AgentEvent::Idle { background: 0 },
    ];
    let (offers, events): (Vec<_>, Vec<_>) = events
        .into_iter()
        .partition(|event| matches!(event, AgentEvent::Offers(_)));
    assert_eq!(events, expected);
    let offered = Offers {
        models: Some(vec!["fake".to_owned(), "other".to_owned()]),
        modes: Some(["default", "acceptEdits", "plan"].map(str::to_owned).to_vec()),
        abilities: Some(Abilities {
            resume: true,
            fork: true,
            images: true,
            approvals: true,
            steer: true,
        }),
        ..Offers::default()
    };
    let found = Offers {
        tools: Some(vec!["Bash".to_owned(), "Read".to_owned()]),
        mode: Some("default".to_owned()),
        ..Offers::default()
    };
    assert_eq!(offers, [AgentEvent::Offers(offered), AgentEvent::Offers(found)]);
    agent.send(Command::Close).await;
    assert_eq!(agent.exit().await, None);
}

#[tokio::test]
async fn garbage_and_big_lines_are_passed_over() {
    let mut agent = fake().start(false);
    assert_eq!(text(&agent.turn("garbage").await), "after the garbage");
    assert_eq!(text(&agent.turn("big 5000000").await), "after the big line");
    assert_eq!(text(&agent.turn("big 40000000").await), "after the big line");
}

#[tokio::test]
async fn a_broken_stream_is_withdrawn() {
    let mut agent = fake().start(false);
    let events = agent.turn("break").await;
    let restart = events.iter().position(|event| *event == AgentEvent::Restart).unwrap();
    assert!(matches!(&events[restart - 1], AgentEvent::TextDelta { text, .. } if text == "this is never said"));
    assert!(
        matches!(&events[restart + 1], AgentEvent::Retrying { attempt: 1, of: 3, after, .. } if after.as_millis() == 5)
    );
    assert_eq!(text(&events), "but this");
}

#[tokio::test]
async fn permission_is_asked_and_the_answer_is_kept_to() {
    let mut agent = fake().start(false);
    let deny = Answer::Deny("not today".to_owned());
    for (answer, said) in [(Answer::Allow, "allowed: rm x"), (deny, "denied: not today")] {
        let allow = answer == Answer::Allow;
        agent.prompt("permission rm x").await;
        let events = agent.until(|event| matches!(event, AgentEvent::Permission(_))).await;
        let Some(AgentEvent::Permission(asked)) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!(
            (asked.title.as_str(), asked.detail.as_str()),
            ("Bash: rm x", "```sh\nrm x\n```")
        );
        let decide = Command::Decide {
            request: asked.request.clone(),
            answer,
        };
        agent.send(decide).await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert_eq!(text(&events), said);
        let denied = events
            .iter()
            .any(|event| matches!(event, AgentEvent::ToolEnded { denied: true, .. }));
        assert_eq!(denied, !allow);
    }
}

#[tokio::test]
async fn an_interrupt_ends_the_turn_and_keeps_the_process() {
    let mut agent = fake().start(false);
    agent.prompt("permission rm x").await;
    agent.until(|event| matches!(event, AgentEvent::Permission(_))).await;
    agent.send(Command::Interrupt).await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    assert!(
        matches!(events[0], AgentEvent::PermissionWithdrawn { .. }),
        "{events:?}"
    );
    assert_eq!(outcome(&events), Some(&Outcome::Stopped));
    assert_eq!(text(&agent.turn("hello").await), "echo: hello");
    agent.send(Command::Close).await;
    assert_eq!(agent.exit().await, None);
}

#[tokio::test]
async fn a_failed_turn_is_told_in_a_sentence_and_the_process_goes_on() {
    let mut agent = fake().start(false);
    let events = agent.turn("fail 429 API Error: slow down").await;
    let Some(Outcome::Failed(failure)) = outcome(&events) else {
        panic!("{events:?}")
    };
    assert_eq!(failure.kind, FailureKind::RateLimited);
    assert!(failure.cause.contains("slow down"), "{}", failure.cause);
    assert_eq!(text(&events), "");
    // It exits with code 1 after that: still as asked.
    agent.send(Command::Close).await;
    assert_eq!(agent.exit().await, None);
}

#[tokio::test]
async fn the_end_of_the_process_is_told_at_once_with_its_cause() {
    for (words, cause) in [
        ("exit 7", "exit code 7; stderr: fake-cli: told to exit"),
        ("crash", "signal 9; stderr: "),
    ] {
        let mut agent = fake().start(false);
        agent.prompt(words).await;
        let events = agent.until(|event| matches!(event, AgentEvent::Exited { .. })).await;
        let [.., AgentEvent::Restart, AgentEvent::Exited { failure: Some(failure) }] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((failure.kind, failure.cause.as_str()), (FailureKind::Died, cause));
    }
}

#[tokio::test]
async fn a_conversation_is_resumed_by_a_new_process() {
    let yard = fake();
    let mut agent = yard.start(false);
    agent.turn("hello").await;
    agent.send(Command::Kill).await;
    assert_eq!(agent.exit().await, None);
    let mut again = yard.start(true);
    assert_eq!(text(&again.turn("recall").await), "hello | recall");
    let mut taken = yard.start(false);
    let failure = taken.exit().await.unwrap();
    assert_eq!(failure.kind, FailureKind::Unready);
    assert!(failure.cause.contains("already in use"), "{}", failure.cause);
}

#[tokio::test]
async fn a_conversation_that_is_not_there_is_told_as_that() {
    let mut agent = fake().start(true);
    agent.prompt("hello").await;
    assert!(matches!(agent.exit().await, Some(failure) if failure.kind == FailureKind::NoConversation));
}

#[tokio::test]
async fn what_cannot_start_says_so() {
    let exits = fake().env("FAKE_CLI_START", "exit");
    let failure = exits.start(false).exit().await.unwrap();
    assert_eq!(failure.kind, FailureKind::Unready);
    assert_eq!(
        failure.cause,
        "exit code 4; stderr: fake-cli: told to exit at the start"
    );

    let mut silent = fake().env("FAKE_CLI_START", "silent");
    silent.profile.start_timeout = Duration::from_millis(300);
    let failure = silent.start(false).exit().await.unwrap();
    assert_eq!(failure.kind, FailureKind::Start);
    assert!(failure.cause.contains("no answer"), "{}", failure.cause);

    let mut missing = fake();
    missing.profile.command = vec!["/no/such/cli".to_owned()];
    let failure = missing.start(false).exit().await.unwrap();
    assert_eq!(
        (failure.kind, failure.cause.as_str()),
        (FailureKind::Start, "`/no/such/cli` was not found")
    );
}

#[tokio::test]
async fn a_cli_that_never_says_its_version_counts_as_an_old_one() {
    let mut agent = fake().env("FAKE_CLI_START", "mute").start(false);
    let events = agent.turn("/clear @/etc/passwd").await;
    assert!(matches!(events[0], AgentEvent::Ready { version: None, .. }));
    assert_eq!(text(&events), "echo: > /clear @ /etc/passwd");
}

#[tokio::test]
async fn a_session_that_does_not_listen_can_still_end_the_process() {
    let mut agent = fake().start(false);
    agent.prompt("words 5000").await;
    agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
    // More commands than the inbox holds, while thousands of events wait.
    for _ in 0..50 {
        agent.send(Command::Interrupt).await;
    }
    agent.send(Command::Kill).await;
    assert_eq!(agent.exit().await, None);
}

#[tokio::test]
async fn a_deaf_process_is_killed_with_all_that_it_started() {
    let mut agent = fake().start(false);
    let events = agent.turn("spawn").await;
    let pid = text(&events).strip_prefix("pid ").unwrap().to_owned();
    let folder = PathBuf::from("/proc").join(pid);
    assert!(folder.exists());
    agent.prompt("deaf").await;
    agent.until(|event| matches!(event, AgentEvent::Started { .. })).await;
    agent.send(Command::Kill).await;
    assert_eq!(agent.exit().await, None);
    assert!(!folder.exists());
}

/// Says what Claude Code says at its start, in answer to the two requests, once its stdin is closed; then lives on.
const SHUT: &str = r#"
read a; read b; exec 0<&-
for id in host-1 host-2; do
  echo '{"type":"control_response","response":{"subtype":"success","request_id":"'$id'","response":{"version":"2.1.329"}}}'
done
exec sleep 1000
"#;

#[tokio::test]
async fn a_process_that_closed_its_stdin_is_ended_and_told() {
    let mut agent = Yard::new(&["/bin/sh", "-c", SHUT]).start(false);
    agent.until(|event| matches!(event, AgentEvent::Ready { .. })).await;
    agent.prompt("hello").await;
    let failure = agent.exit().await.expect("nobody had asked for it");
    assert_eq!(
        (failure.kind, failure.cause.as_str()),
        (FailureKind::Died, "signal 9; stderr: ")
    );
}

#[tokio::test]
async fn death_of_an_idle_process_is_told_at_once() {
    let mut agent = fake().start(false);
    let events = agent.turn("hello").await;
    let AgentEvent::Ready { pid, .. } = events[0] else {
        panic!("{events:?}")
    };
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let failure = agent.exit().await.expect("nobody had asked for it");
    assert_eq!(
        (failure.kind, failure.cause.as_str()),
        (FailureKind::Died, "signal 9; stderr: ")
    );
}

#[tokio::test]
async fn what_people_write_reaches_the_agent_as_it_is() {
    let mut agent = fake().start(false);
    let hostile = "say \n\r\n\ttabs \u{1b}[201~; rm -rf x\r \0 \u{2028}\u{2029}\u{85}\u{202e}\u{feff} 👩‍👩‍👧 e\u{301} \
                   \"quoted\" \\ \\n 'single' `ticks` $(id) {\"type\":\"result\"}\n{\"type\":\"result\"}\u{7f}\u{9b} end \n";
    // More than a pipe holds, so it is written in parts.
    let long = format!("say {}", "ü\n".repeat(350_000));
    assert!(long.len() > 1_000_000);
    for words in [hostile, &long, "say hello"] {
        let events = agent.turn(words).await;
        assert_eq!(outcome(&events), Some(&Outcome::Ok));
        let said = text(&events);
        assert!(said == format!("echo: {words}"), "{} bytes: {:.200}", said.len(), said);
    }
    agent.send(Command::Close).await;
    assert_eq!(agent.exit().await, None);
}

#[tokio::test]
async fn letting_go_of_an_agent_ends_it() {
    let mut agent = fake().start(false);
    let AgentEvent::Ready { pid, .. } = agent.event().await else {
        panic!("ready comes first")
    };
    agent.prompt("hang").await;
    agent.until(|event| matches!(event, AgentEvent::Started { .. })).await;
    drop(agent);
    let begin = Instant::now();
    while PathBuf::from(format!("/proc/{pid}")).exists() {
        assert!(begin.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn work_that_ends_later_is_a_turn_of_its_own() {
    let mut agent = fake().start(false);
    let events = agent.turn("background").await;
    assert_eq!(
        (text(&events).as_str(), events.last()),
        ("started it", Some(&AgentEvent::Idle { background: 1 }))
    );
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    assert_eq!(
        (text(&events).as_str(), events.last()),
        ("it is finished", Some(&AgentEvent::Idle { background: 0 }))
    );
}

#[tokio::test]
async fn a_prompt_that_was_not_taken_up_is_taken_back_by_an_interrupt() {
    let mut agent = fake().start(false);
    agent.prompt("hang").await;
    agent.until(|event| matches!(event, AgentEvent::Started { .. })).await;
    agent.prompt("never done").await;
    agent.send(Command::Interrupt).await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    let stopped = AgentEvent::Result {
        outcome: Outcome::Stopped,
    };
    assert_eq!(events.iter().filter(|event| **event == stopped).count(), 2);
    assert_eq!(text(&agent.turn("recall").await), "hang | recall");
}
