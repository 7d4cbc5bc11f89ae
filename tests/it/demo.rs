//! The demo agent, as the driver sees it: a real process under the guard, with its pauses switched off.

use botyard::chat::{PlanItem, PlanState};
use botyard::driver::{AgentEvent, Answer, Command, FailureKind, Outcome};

use crate::yard::{Running, Yard, outcome, text};

fn yard() -> Yard {
    let mut yard = Yard::new(&[env!("CARGO_BIN_EXE_botyard"), "demo-agent", "--fast"]);
    yard.profile.demo = true;
    yard
}

async fn asked(agent: &mut Running) -> String {
    agent.prompt("write it").await;
    let events = agent.until(|event| matches!(event, AgentEvent::Permission(_))).await;
    match events.last() {
        Some(AgentEvent::Permission(asked)) => {
            assert_eq!(asked.title, "Write hello-from-botyard.md");
            assert!(asked.detail.contains("# Hello from botyard"), "{}", asked.detail);
            asked.request.clone()
        }
        _ => panic!("{events:?}"),
    }
}

async fn decided(agent: &mut Running, request: String, allow: bool) -> Vec<AgentEvent> {
    let answer = if allow {
        Answer::Allow
    } else {
        Answer::Deny("no".to_owned())
    };
    agent.send(Command::Decide { request, answer }).await;
    agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await
}

#[tokio::test]
async fn it_says_what_it_is_and_how_to_connect_a_real_agent_once() {
    let mut agent = yard().start(false);
    let events = agent.turn("hello there").await;
    let said = text(&events);
    for word in [
        "demo agent",
        "npm install -g @anthropic-ai/claude-code",
        "bots.toml",
        "You said: `hello there`",
        "| `plan` |",
    ] {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    let deltas = events
        .iter()
        .filter(|event| matches!(event, AgentEvent::TextDelta { .. }))
        .count();
    assert!(deltas > 50, "{deltas}");
    assert!(!text(&agent.turn("again").await).contains("demo agent"));
}

#[tokio::test]
async fn it_writes_only_what_is_allowed() {
    let yard = yard();
    let file = yard.folder.path().join("work/hello-from-botyard.md");
    let mut agent = yard.start(false);
    let request = asked(&mut agent).await;
    let events = decided(&mut agent, request, false).await;
    assert!(text(&events).contains("did not write"));
    assert!(!file.exists());
    let request = asked(&mut agent).await;
    decided(&mut agent, request, true).await;
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .starts_with("# Hello from botyard")
    );
    assert!(text(&agent.turn("list").await).contains("- `hello-from-botyard.md`"));
}

#[tokio::test]
async fn its_plan_gets_done() {
    let mut agent = yard().start(false);
    let events = agent.turn("plan").await;
    let plans = events.iter().filter_map(|event| match event {
        AgentEvent::Plan(items) => Some(items.iter().map(|PlanItem { state, .. }| *state).collect::<Vec<_>>()),
        _ => None,
    });
    let plans = plans.collect::<Vec<_>>();
    assert_eq!(plans.len(), 4);
    assert_eq!(plans[1], [PlanState::Done, PlanState::Active, PlanState::Pending]);
    assert_eq!(plans[3], [PlanState::Done; 3]);
    assert!(events.iter().any(|event| matches!(event, AgentEvent::Thinking { .. })));
}

#[tokio::test]
async fn it_stops_remembers_and_fails_like_a_real_one() {
    let mut yard = yard();
    yard.profile.command.pop();
    let mut agent = yard.start(false);
    agent.prompt("long").await;
    agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
    agent.send(Command::Interrupt).await;
    let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
    assert_eq!(outcome(&events), Some(&Outcome::Stopped));
    agent.send(Command::Close).await;
    assert_eq!(agent.exit().await, None);

    yard.profile.command.push("--fast".to_owned());
    let mut again = yard.start(true);
    assert!(text(&again.turn("back").await).contains("`long`"));
    assert!(matches!(outcome(&again.turn("error").await), Some(Outcome::Failed(_))));
    again.send(Command::Kill).await;
    again.exit().await;
    let mut stranger = self::yard().start(true);
    assert!(matches!(stranger.exit().await, Some(failure) if failure.kind == FailureKind::NoConversation));
}
