//! The ACP driver with a scripted agent as a real process under the real guard.

use std::path::Path;
use std::time::Duration;

use botyard::chat::{PlanItem, PlanState};
use botyard::config::DriverKind;
use botyard::driver::{
    Abilities, AgentEvent, Answer, Command, Failure, FailureKind, Image, Offers, Outcome, Permission,
};
use botyard_fakes::acp;

use crate::yard::{LIMIT, Running, Yard, outcome, text};

fn fake() -> Yard {
    Yard::new(&[&acp::program().display().to_string()]).driver(DriverKind::Acp)
}

fn with(ways: &str) -> Yard {
    fake().env("FAKE_ACP", ways)
}

async fn asked(agent: &mut Running, words: &str) -> (Vec<AgentEvent>, Permission) {
    agent.prompt(words).await;
    let events = agent.until(|event| matches!(event, AgentEvent::Permission(_))).await;
    match events.last() {
        Some(AgentEvent::Permission(asked)) => (events.clone(), (**asked).clone()),
        _ => panic!("{events:?}"),
    }
}

async fn decide(agent: &mut Running, asked: &Permission, allow: bool) -> Vec<AgentEvent> {
    agent.decide(&asked.request, allow).await;
    agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await
}

/// The id of the agent's own that these events tell.
fn session(events: &[AgentEvent]) -> String {
    let id = events.iter().find_map(|event| match event {
        AgentEvent::Session { id, .. } => Some(id.clone()),
        _ => None,
    });
    id.unwrap_or_else(|| panic!("{events:?}"))
}

fn failure(events: &[AgentEvent]) -> &Failure {
    match outcome(events) {
        Some(Outcome::Failed(failure)) => failure,
        _ => panic!("{events:?}"),
    }
}

#[tokio::test]
async fn an_answer_comes_in_order_and_ends_idle() {
    let yard = fake();
    let mut agent = yard.start(false);
    let id = agent.prompt("think hello").await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    let AgentEvent::Ready { pid, .. } = events[1] else {
        panic!("{events:?}")
    };
    let (thought, said) = ("let me see".to_owned(), "hello".to_owned());
    let abilities = Abilities {
        resume: true,
        fork: true,
        images: true,
        approvals: true,
        steer: false,
    };
    let expected = vec![
        AgentEvent::Offers(Offers {
            abilities: Some(abilities),
            ..Offers::default()
        }),
        AgentEvent::Ready {
            pid,
            version: Some(acp::VERSION.to_owned()),
        },
        AgentEvent::Session {
            id: session(&events),
            model: Some("small".to_owned()),
        },
        AgentEvent::Offers(Offers {
            models: Some(vec!["small".to_owned(), "large".to_owned()]),
            modes: Some(["ask", "plan", "workspace-write"].map(str::to_owned).to_vec()),
            ..Offers::default()
        }),
        AgentEvent::Started { id },
        AgentEvent::ThinkingDelta {
            block: 1,
            text: thought.clone(),
        },
        AgentEvent::Thinking {
            block: 1,
            text: thought,
            parent: None,
        },
        AgentEvent::TextDelta {
            block: 2,
            text: said.clone(),
        },
        AgentEvent::Text {
            block: 2,
            text: said,
            parent: None,
        },
        AgentEvent::Usage {
            input_tokens: 10,
            output_tokens: 5,
            cost_usd: None,
        },
        AgentEvent::Result { outcome: Outcome::Ok },
        AgentEvent::Idle { background: 0 },
    ];
    assert_eq!(events, expected);
    agent.send(Command::Close).await;
    assert_eq!(agent.exit().await, None);
}

#[tokio::test]
async fn images_are_shown_to_an_agent_that_takes_them() {
    let mut agent = fake().start(false);
    let image = Image {
        media_type: "image/png",
        bytes: vec![1, 2, 3],
    };
    let prompt = Command::Prompt {
        id: uuid::Uuid::new_v4().to_string(),
        text: "images".to_owned(),
        images: vec![image.clone(), image],
    };
    agent.send(prompt).await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    assert_eq!(text(&events), "2 images");
}

#[tokio::test]
async fn what_nobody_understands_is_passed_over() {
    let mut agent = fake().start(false);
    assert_eq!(text(&agent.turn("garbage").await), "after the garbage");
    let events = agent.turn("big 10000000").await;
    assert_eq!(text(&events), "after the big line");
    let output = events.iter().find_map(|event| match event {
        AgentEvent::ToolEnded { output, .. } => Some(output.len()),
        _ => None,
    });
    assert!(output.is_some_and(|size| size <= 4096), "{output:?}");
    // Longer than any line may be: the tool's end is missing, the turn's is not.
    let events = agent.turn("big 40000000").await;
    assert_eq!(
        (text(&events).as_str(), outcome(&events)),
        ("after the big line", Some(&Outcome::Ok))
    );
    assert!(
        events.iter().any(|event| matches!(event, AgentEvent::ToolEnded { .. })),
        "{events:?}"
    );
}

#[tokio::test]
async fn files_and_terminals_are_refused_and_the_turn_goes_on() {
    let mut agent = fake().start(false);
    assert_eq!(text(&agent.turn("files").await), "refused 4 times");
}

#[tokio::test]
async fn permission_is_asked_and_the_answer_is_kept_to() {
    let mut agent = fake().start(false);
    for (allow, said) in [(true, "allowed: rm x"), (false, "denied: rm x")] {
        let (events, asked) = asked(&mut agent, "permission rm x").await;
        assert!(matches!(&events[events.len() - 2], AgentEvent::Tool { title, .. } if title == "rm x"));
        assert_eq!(
            (
                asked.tool.as_str(),
                asked.title.as_str(),
                asked.detail.as_str(),
                asked.input.as_str()
            ),
            ("execute", "rm x", "```sh\nrm x\n```", r#"{"command":"rm x"}"#)
        );
        let events = decide(&mut agent, &asked, allow).await;
        assert_eq!(text(&events), said);
        let denied = events
            .iter()
            .any(|event| matches!(event, AgentEvent::ToolEnded { denied: true, .. }));
        assert_eq!(denied, !allow, "{events:?}");
        assert_eq!(outcome(&events), Some(&Outcome::Ok));
    }
}

#[tokio::test]
async fn an_interrupt_ends_the_turn_and_keeps_the_process() {
    let mut agent = fake().start(false);
    let (_, asked) = asked(&mut agent, "permission rm x").await;
    agent.send(Command::Interrupt).await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    let withdrawn = AgentEvent::PermissionWithdrawn { request: asked.request };
    assert!(events.contains(&withdrawn), "{events:?}");
    assert_eq!(outcome(&events), Some(&Outcome::Stopped));
    for words in ["hang", "slow 100000 more"] {
        agent.prompt(words).await;
        agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
        agent.send(Command::Interrupt).await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert_eq!(outcome(&events), Some(&Outcome::Stopped), "{words}");
    }
    assert_eq!(text(&agent.turn("hello").await), "echo: hello");
}

#[tokio::test]
async fn a_second_prompt_waits_and_is_taken_back_by_an_interrupt() {
    // The agent ends itself if a second prompt comes while one runs.
    let mut agent = fake().start(false);
    agent.prompt("slow 50 first").await;
    agent.prompt("second").await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    assert_eq!(text(&events), "half, first\necho: second");
    agent.prompt("hang").await;
    agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
    agent.prompt("never done").await;
    agent.send(Command::Interrupt).await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    let stopped = AgentEvent::Result {
        outcome: Outcome::Stopped,
    };
    assert_eq!(events.iter().filter(|event| **event == stopped).count(), 2);
    assert_eq!(text(&agent.turn("recall").await), "slow 50 first | second | hang");
}

#[tokio::test]
async fn a_turn_that_fails_is_told_in_a_sentence_and_the_process_goes_on() {
    let mut agent = fake().start(false);
    for (words, kind) in [
        ("fail 401 no", FailureKind::NotLoggedIn),
        ("fail -32603 Rate limit reached", FailureKind::RateLimited),
        ("fail 500 told to fail", FailureKind::Api),
        ("fail -32603 something", FailureKind::Other),
        ("stop refusal", FailureKind::Other),
        ("stop max_tokens", FailureKind::Limit),
        ("stop max_turn_requests", FailureKind::Limit),
    ] {
        let events = agent.turn(words).await;
        assert_eq!(failure(&events).kind, kind, "{events:?}");
        // A complaint that the error repeats is not an answer.
        let said = if words.starts_with("fail") { "" } else { "that is it" };
        assert_eq!(text(&events), said, "{words}");
    }
    assert_eq!(text(&agent.turn("hello").await), "echo: hello");
}

#[tokio::test]
async fn errors_that_codex_tells_as_text_and_its_cancelled_turns_are_understood() {
    let mut agent = fake()
        .env("FAKE_ACP_NAME", "@agentclientprotocol/codex-acp")
        .start(false);
    let events = agent
        .turn("codex-error exceeded retry limit, last status: 429 Too Many Requests")
        .await;
    assert!(
        events
            .iter()
            .any(|event| matches!(event, AgentEvent::Retrying { attempt: 2, of: 5, .. })),
        "{events:?}"
    );
    assert_eq!(
        (failure(&events).kind, text(&events).as_str()),
        (FailureKind::RateLimited, "")
    );
    let (_, asked) = asked(&mut agent, "codex-permission rm x").await;
    let events = decide(&mut agent, &asked, false).await;
    assert_eq!(outcome(&events), Some(&Outcome::Ok), "{events:?}");
}

#[tokio::test]
async fn the_end_of_the_process_is_told_at_once_with_its_cause() {
    let mut agent = fake().start(false);
    agent.prompt("exit 7").await;
    let events = agent.until(|event| matches!(event, AgentEvent::Exited { .. })).await;
    let [.., AgentEvent::Restart, AgentEvent::Exited { failure: Some(failure) }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (failure.kind, failure.cause.as_str()),
        (FailureKind::Died, "exit code 7; stderr: fake-acp: told to exit")
    );
    let mut agent = fake().start(false);
    agent.prompt("deaf").await;
    agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
    agent.send(Command::Interrupt).await;
    agent.send(Command::Kill).await;
    assert_eq!(agent.exit().await, None);
}

#[tokio::test]
async fn a_conversation_is_gone_on_with_by_a_new_process_and_its_history_is_not_told_again() {
    for ways in ["", "load"] {
        let mut yard = with(ways);
        if ways == "load" {
            // Of all that can only load, gemini tells it late.
            yard = yard.env("FAKE_ACP_NAME", "gemini-cli");
        }
        let mut agent = yard.start(false);
        yard.session = session(&agent.turn("hello").await);
        agent.send(Command::Kill).await;
        assert_eq!(agent.exit().await, None);
        let mut again = yard.start(true);
        let events = again.turn("recall").await;
        assert_eq!(text(&events), "hello", "{ways}");
        let deltas = events
            .iter()
            .filter(|event| matches!(event, AgentEvent::TextDelta { .. }));
        assert_eq!(deltas.count(), 1, "{events:?}");
        assert_eq!(session(&events), yard.session);
    }
}

#[tokio::test]
async fn a_copy_of_a_conversation_goes_on_by_itself_and_the_original_stays() {
    let mut yard = fake();
    let mut agent = yard.start(false);
    let original = session(&agent.turn("hello").await);
    agent.send(Command::Kill).await;
    assert_eq!(agent.exit().await, None);
    yard.fork = Some(original.clone());
    let mut copy = yard.start(false);
    let events = copy.turn("in the copy").await;
    let able =
        |event: &AgentEvent| matches!(event, AgentEvent::Offers(Offers { abilities: Some(able), .. }) if able.fork);
    assert!(events.iter().any(able), "{events:?}");
    let id = session(&events);
    assert_ne!(id, original);
    assert_eq!(text(&copy.turn("recall").await), "hello | in the copy");
    (yard.fork, yard.session) = (None, original);
    let mut again = yard.start(true);
    assert_eq!(text(&again.turn("recall").await), "hello");
}

#[tokio::test]
async fn what_an_agent_allows_until_it_ends_is_offered_where_it_is_known_to_be_no_longer() {
    for (name, offered) in [("somebody's", false), ("@agentclientprotocol/codex-acp", true)] {
        let mut agent = fake().env("FAKE_ACP_NAME", name).start(false);
        let (_, asked) = asked(&mut agent, "permission rm x").await;
        let lasting = asked.lasting.clone();
        let words = lasting.as_ref().map(|lasting| lasting.words.as_str());
        assert_eq!(words, offered.then_some("For this session"));
        let updates = lasting.map_or_else(|| "ever".to_owned(), |lasting| lasting.updates);
        agent
            .send(Command::Decide {
                request: asked.request.clone(),
                answer: Answer::AllowLasting(updates),
            })
            .await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        let said = if offered {
            "allowed for the session: rm x"
        } else {
            "allowed: rm x"
        };
        assert_eq!(text(&events), said, "{name}");
    }
}

#[tokio::test]
async fn a_conversation_that_is_not_there_is_told_as_that() {
    for ways in ["", "load", "forgetful"] {
        for copy in [false, true] {
            let mut yard = with(ways);
            yard.fork = copy.then(|| "not-there".to_owned());
            let mut agent = yard.start(!copy);
            agent.prompt("hello").await;
            let failure = agent.exit().await;
            assert!(
                failure
                    .as_ref()
                    .is_some_and(|failure| failure.kind == FailureKind::NoConversation),
                "{ways} {copy}: {failure:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_start_says_so() {
    let failure = with("exit").start(false).exit().await.unwrap();
    assert_eq!(
        (failure.kind, failure.cause.as_str()),
        (
            FailureKind::Unready,
            "exit code 4; stderr: fake-acp: told to exit at the start"
        )
    );
    let mut silent = with("silent");
    silent.profile.start_timeout = Duration::from_millis(300);
    let failure = silent.start(false).exit().await.unwrap();
    assert!(
        failure.kind == FailureKind::Start && failure.cause.contains("no answer"),
        "{failure:?}"
    );
    let failure = with("new").start(false).exit().await.unwrap();
    assert!(
        failure.kind == FailureKind::Start && failure.cause.contains("version Some(2)"),
        "{failure:?}"
    );
    let failure = with("auth").start(false).exit().await.unwrap();
    assert_eq!(failure.kind, FailureKind::NotLoggedIn);
    let mut unknown = fake();
    unknown.profile.permission_mode = "yolo".to_owned();
    let failure = unknown.start(false).exit().await.unwrap();
    assert!(
        failure.kind == FailureKind::Start && failure.cause.contains("there is no `yolo`"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_key_is_used_when_the_agent_wants_to_be_authenticated() {
    let mut yard = with("auth").env("FAKE_ACP_NAME", "@agentclientprotocol/codex-acp");
    yard.profile.login = botyard::config::Login::ApiKey(botyard::config::SecretText::new("k"));
    assert_eq!(text(&yard.start(false).turn("hello").await), "echo: hello");
}

#[tokio::test]
async fn model_mode_and_instructions_reach_the_agent() {
    let mut yard = fake();
    yard.profile.model = Some("large".to_owned());
    yard.profile.permission_mode = "plan".to_owned();
    yard.profile.instructions = Some("Be kind.".to_owned());
    let mut agent = yard.start(false);
    assert_eq!(text(&agent.turn("settings").await), "large plan");
    // Once, before the first message.
    assert_eq!(text(&agent.turn("recall").await), "Be kind. / settings");
}

#[tokio::test]
async fn model_that_a_chat_chose_and_that_is_not_there_keeps_nobody_from_the_agent() {
    let mut yard = fake();
    yard.chosen = Some("nonsense".to_owned());
    assert!(text(&yard.start(false).turn("settings").await).starts_with("small "));
    yard.chosen = Some("large".to_owned());
    assert!(text(&yard.start(false).turn("settings").await).starts_with("large "));
    // The operator's word must fit.
    yard.chosen = None;
    yard.profile.model = Some("nonsense".to_owned());
    let failure = yard.start(false).exit().await.expect("it does not begin");
    assert!(
        failure.sentence.contains("model") || failure.cause.contains("nonsense"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn mode_that_a_chat_chose_counts_where_it_is_there() {
    let mut yard = fake();
    let codex = || fake().env("FAKE_ACP_NAME", "@agentclientprotocol/codex-acp");
    yard.chosen_mode = Some("plan".to_owned());
    assert_eq!(text(&yard.start(false).turn("settings").await), "small plan");
    // Before the operator's; where it is not there, that counts, or what makes it ask.
    yard.profile.permission_mode = "workspace-write".to_owned();
    assert_eq!(text(&yard.start(false).turn("settings").await), "small plan");
    for (mut yard, mode) in [(yard, "workspace-write"), (codex(), "workspace-write"), (fake(), "ask")] {
        yard.chosen_mode = Some("nonsense".to_owned());
        assert_eq!(text(&yard.start(false).turn("settings").await), format!("small {mode}"));
    }
}

#[tokio::test]
async fn codex_is_told_to_ask_a_person_unless_a_mode_is_set() {
    let mut yard = fake().env("FAKE_ACP_NAME", "@agentclientprotocol/codex-acp");
    assert_eq!(text(&yard.start(false).turn("settings").await), "small workspace-write");
    yard.profile.permission_mode = "plan".to_owned();
    assert_eq!(text(&yard.start(false).turn("settings").await), "small plan");
}

#[tokio::test]
async fn tools_and_plans_are_shown_and_every_tool_ends() {
    let mut agent = fake().start(false);
    let events = agent.turn("tool ls").await;
    let ended = AgentEvent::ToolEnded {
        call: "call-1".to_owned(),
        failed: false,
        denied: false,
        output: "done".to_owned(),
    };
    assert_eq!(events.iter().filter(|event| **event == ended).count(), 1, "{events:?}");
    let events = agent.turn("open ls").await;
    let ended = events
        .iter()
        .filter(|event| matches!(event, AgentEvent::ToolEnded { failed: false, .. }));
    assert_eq!(ended.count(), 1, "{events:?}");
    let events = agent.turn("plan").await;
    let item = |text: &str, state| PlanItem {
        text: text.to_owned(),
        state,
    };
    let plan = AgentEvent::Plan(vec![
        item("one", PlanState::Done),
        item("two", PlanState::Active),
        item("three", PlanState::Pending),
    ]);
    assert!(events.contains(&plan), "{events:?}");
}

#[tokio::test]
async fn what_comes_after_the_end_is_no_turns() {
    let mut agent = fake().start(false);
    assert_eq!(text(&agent.turn("late").await), "echo: late");
    agent.send(Command::Close).await;
    let events = agent.until(|event| matches!(event, AgentEvent::Exited { .. })).await;
    assert_eq!(events, [AgentEvent::Exited { failure: None }]);
}

#[tokio::test]
async fn what_people_write_is_no_command_to_the_agent() {
    let mut agent = fake().start(false);
    assert_eq!(
        text(&agent.turn("/logout @/etc/passwd").await),
        "echo: > /logout @ /etc/passwd"
    );
}

#[tokio::test]
async fn the_agent_keeps_its_things_in_the_folder_that_it_was_given() {
    let yard = fake();
    yard.start(false).turn("hello").await;
    let kept = yard.folder.path().join("config/fake-acp");
    assert_eq!(entries(&kept), 1);
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test]
async fn letting_go_of_an_agent_ends_it() {
    let mut agent = fake().start(false);
    let events = agent.until(|event| matches!(event, AgentEvent::Ready { .. })).await;
    let Some(AgentEvent::Ready { pid, .. }) = events.last() else {
        panic!("{events:?}")
    };
    let pid = *pid;
    agent.prompt("hang").await;
    agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
    drop(agent);
    let begin = std::time::Instant::now();
    while Path::new(&format!("/proc/{pid}")).exists() {
        assert!(begin.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
