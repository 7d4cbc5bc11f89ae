//! The real Claude Code again, with what is done to a conversation beside talking: copies, another model or mode, a
//! summary, other inputs and lasting permissions. And that words reach its model as they are.

use botyard::driver::{AgentEvent, Answer, Command, Outcome};
use botyard_fakes::model::Model;
use serde_json::{Value, json};

use crate::claude::{decide, permission, programs, stop, yard};
use crate::yard::{Running, outcome, text};

/// The newest request in which these words were said to the main agent.
fn asked(model: &Model, words: &str) -> Value {
    let with_tools = |body: &Value| body["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let said = |body: &Value| body["messages"].to_string().contains(words);
    let mut requests = model.requests().into_iter();
    let found = requests.rfind(|body| with_tools(body) && said(body));
    found.unwrap_or_else(|| panic!("the model never heard `{words}`"))
}

fn asks(events: &[AgentEvent]) -> bool {
    events.iter().any(|event| matches!(event, AgentEvent::Permission(_)))
}

#[tokio::test]
async fn nothing_is_asked_of_the_model_before_the_first_message() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let mut agent = yard.start(false);
        agent.until(|event| matches!(event, AgentEvent::Ready { .. })).await;
        stop(agent).await;
        let about = botyard::driver::about(&yard.profile, &yard.folder.path().join("about")).await;
        assert!(about.version.is_some_and(|version| version.starts_with("2.1.")));
        assert_eq!((about.failure, model.requests()), (None, Vec::new()));
    }
}

#[tokio::test]
async fn a_copy_goes_on_by_itself_and_the_original_stays() {
    for program in programs() {
        let model = Model::start().await;
        let mut yard = yard(&program, &model);
        let mut agent = yard.start(false);
        agent.turn("remember the blue door").await;
        stop(agent).await;
        let original = std::mem::replace(&mut yard.session, uuid::Uuid::new_v4().to_string());
        yard.fork = Some(original.clone());
        let mut copy = yard.start(false);
        let events = copy.turn("and the red window").await;
        let called = |id: &str| {
            let named = |event: &AgentEvent| matches!(event, AgentEvent::Session { id: told, .. } if told == id);
            events.iter().any(named)
        };
        assert!(called(&yard.session) && !called(&original), "{events:?}");
        stop(copy).await;
        // Each under its own name.
        yard.fork = None;
        let copied = std::mem::replace(&mut yard.session, original);
        for (id, words, window) in [
            (copied, "what does the copy know", true),
            (yard.session.clone(), "and the original", false),
        ] {
            yard.session = id;
            let mut agent = yard.start(true);
            agent.turn(words).await;
            stop(agent).await;
            let heard = asked(&model, words)["messages"].to_string();
            assert!(heard.contains("remember the blue door"), "{words}: {heard}");
            assert_eq!(heard.contains("and the red window"), window, "{words}: {heard}");
        }
        assert_eq!(model.violations(), Vec::<String>::new());
    }
}

async fn write(agent: &mut Running, file: &std::path::Path) -> Vec<AgentEvent> {
    let input = json!({"file_path": file, "content": "made"});
    agent.prompt(&format!("tool Write {input}")).await;
    let over = |event: &AgentEvent| matches!(event, AgentEvent::Idle { .. } | AgentEvent::Permission(_));
    agent.until(over).await
}

#[tokio::test]
async fn model_mode_and_compaction_are_taken_while_it_runs() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let mut agent = yard.start(false);
        agent.turn("remember the blue door").await;
        let before = asked(&model, "blue door")["model"].clone();
        let other = "claude-haiku-4-5";
        assert_ne!(before, other);
        agent.send(Command::SetModel(other.to_owned())).await;
        agent.turn("which are you").await;
        assert_eq!(asked(&model, "which are you")["model"], other);

        // Edits are asked for, until they are not.
        let file = yard.folder.path().join("work/made");
        let events = write(&mut agent, &file).await;
        let Some(AgentEvent::Permission(question)) = events.last() else {
            panic!("{events:?}")
        };
        decide(&mut agent, question, Answer::Deny("no".to_owned())).await;
        assert!(!file.exists());
        agent.send(Command::SetMode("acceptEdits".to_owned())).await;
        let events = write(&mut agent, &file).await;
        assert!(!asks(&events) && file.exists(), "{events:?}");

        let id = uuid::Uuid::new_v4().to_string();
        let focus = "the door".to_owned();
        agent.send(Command::Compact { id, focus }).await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert!(events.contains(&AgentEvent::Compacting), "{events:?}");
        assert_eq!(outcome(&events), Some(&Outcome::Ok), "{events:?}");
        agent.turn("what is left").await;
        let left = asked(&model, "what is left")["messages"].to_string();
        assert!(!left.contains("remember the blue door"), "{left}");
        stop(agent).await;
        assert_eq!(model.violations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_changed_input_runs_and_what_is_allowed_for_the_session_is_not_asked_again() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let work = yard.folder.path().join("work");
        let mut agent = yard.start(false);
        let (_, question) = permission(
            &mut agent,
            r#"tool Bash {"command": "mkdir wrong", "description": "x"}"#,
        )
        .await;
        let other = json!({"command": "mkdir right && echo right", "description": "x"});
        let events = decide(&mut agent, &question, Answer::AllowWith(other.to_string())).await;
        assert_eq!(text(&events), "result: right");
        assert!(work.join("right").exists() && !work.join("wrong").exists());

        let words = r#"tool Bash {"command": "mkdir -p more", "description": "x"}"#;
        let (_, question) = permission(&mut agent, words).await;
        let lasting = question.lasting.clone().unwrap_or_else(|| panic!("{question:?}"));
        decide(&mut agent, &question, Answer::AllowLasting(lasting.updates)).await;
        assert!(work.join("more").exists());
        std::fs::remove_dir(work.join("more")).unwrap();
        let events = agent.turn(words).await;
        assert!(!asks(&events) && work.join("more").exists(), "{events:?}");
        stop(agent).await;
        assert!(!work.join(".claude").exists(), "it ends with the session");
        // Another process of the conversation asks, unless it is told.
        let mut again = yard.start(true);
        permission(&mut again, words).await;
        again.send(Command::Kill).await;
        assert_eq!(again.exit().await, None);
    }
}

#[tokio::test]
async fn what_people_write_reaches_the_model_as_it_is() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let mut agent = yard.start(false);
        let hostile = "say \n\r\n\ttabs \u{1b}[201~; rm -rf x \u{2028} 👩‍👩‍👧 e\u{301} \"quoted\" \\ \\n `ticks` $(id) {\"type\":\"result\"}\n{} end";
        // A megabyte, which no pipe holds.
        let long = format!("long {}", "word\n".repeat(200_000));
        for words in [hostile, &long, "say hello"] {
            let events = agent.turn(words).await;
            assert_eq!(outcome(&events), Some(&Outcome::Ok), "{:.100}", words);
            let requests = model.requests();
            let blocks = requests
                .iter()
                .flat_map(|body| body["messages"].as_array().cloned().unwrap_or_default());
            let texts = blocks.flat_map(|message| match &message["content"] {
                Value::String(text) => vec![text.clone()],
                content => {
                    let texts = content
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|block| block["text"].as_str());
                    texts.map(str::to_owned).collect()
                }
            });
            let heard = texts.filter(|text| text.contains(words.trim_end())).count();
            assert!(heard > 0, "the model did not hear this as it was: {words:.200}");
        }
        stop(agent).await;
        assert_eq!(model.violations(), Vec::<String>::new());
    }
}
