//! The driver with the real Claude Code, whose model is our fake. `BOTYARD_TEST_CLAUDE` names one or more programs,
//! separated by colons: every test runs with each of them.

use std::path::Path;
use std::time::{Duration, Instant};

use botyard::chat::PlanState;
use botyard::config::{Login, SecretText};
use botyard::driver::{self, AgentEvent, Answer, Command, FailureKind, Outcome, Permission};
use botyard_fakes::model::{Model, Reply, by_words};

use crate::yard::{LIMIT, Running, Yard, outcome, text};

#[expect(
    clippy::disallowed_methods,
    reason = "a test is told by its runner where the real program is"
)]
pub(super) fn programs() -> Vec<String> {
    let all = std::env::var("BOTYARD_TEST_CLAUDE").expect("BOTYARD_TEST_CLAUDE names the real claude; see .ci/run");
    all.split(':').map(str::to_owned).collect()
}

pub(super) fn yard(program: &str, model: &Model) -> Yard {
    let mut yard = Yard::new(&[program]);
    yard.profile.login = Login::ApiKey(SecretText::new("sk-ant-dummy-key"));
    let home = yard.folder.path().join("home").display().to_string();
    yard.env("ANTHROPIC_BASE_URL", &model.url()).env("HOME", &home)
}

pub(super) async fn permission(agent: &mut Running, words: &str) -> (Vec<AgentEvent>, Permission) {
    agent.prompt(words).await;
    let mut events = agent.until(|event| matches!(event, AgentEvent::Permission(_))).await;
    match events.pop() {
        Some(AgentEvent::Permission(asked)) => (events, *asked),
        _ => panic!("{events:?}"),
    }
}

pub(super) async fn decide(agent: &mut Running, asked: &Permission, answer: Answer) -> Vec<AgentEvent> {
    let decide = Command::Decide {
        request: asked.request.clone(),
        answer,
    };
    agent.send(decide).await;
    agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await
}

pub(super) async fn stop(mut agent: Running) {
    agent.send(Command::Close).await;
    assert_eq!(agent.exit().await, None);
}

/// Everything that any user message of any request says.
fn said_to(model: &Model) -> String {
    serde_json::Value::from(model.requests()).to_string()
}

#[tokio::test]
async fn a_question_is_answered_in_pieces_and_then_in_whole() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let mut agent = yard.start(false);
        let id = agent.prompt("think one two three").await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert!(
            matches!(&events[0], AgentEvent::Ready { version: Some(version), .. } if version.starts_with("2.1.")),
            "{events:?}"
        );
        assert!(events.contains(&AgentEvent::Started { id }), "{events:?}");
        assert!(
            events
                .iter()
                .any(|event| matches!(event, AgentEvent::Session { id, .. } if *id == yard.session)),
            "{events:?}"
        );
        let deltas = events.iter().filter_map(|event| match event {
            AgentEvent::TextDelta { text, .. } => Some(text.as_str()),
            _ => None,
        });
        assert_eq!(deltas.collect::<String>(), "one two three");
        let Some(AgentEvent::Text { block, .. }) = events.iter().find(|event| matches!(event, AgentEvent::Text { .. }))
        else {
            panic!("{events:?}")
        };
        assert!(
            events
                .iter()
                .any(|event| matches!(event, AgentEvent::TextDelta { block: of, .. } if of == block))
        );
        assert!(
            events
                .iter()
                .any(|event| matches!(event, AgentEvent::Thinking { text, .. } if text == "let me see"))
        );
        assert_eq!(text(&events), "one two three");
        assert_eq!(outcome(&events), Some(&Outcome::Ok));
        assert!(!events.contains(&AgentEvent::Restart), "{events:?}");
        stop(agent).await;
        assert_eq!(model.violations(), Vec::<String>::new());
        assert!(
            model.keys().iter().all(|key| key.contains("sk-ant-dummy-key")),
            "{:?}",
            model.keys()
        );
    }
}

#[tokio::test]
async fn a_tool_runs_when_it_is_allowed_and_not_when_it_is_denied() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let made = yard.folder.path().join("work/made");
        let mut agent = yard.start(false);
        let words = r#"tool Bash {"command": "touch made && echo it is made", "description": "make it"}"#;
        let (_, asked) = permission(&mut agent, words).await;
        assert_eq!(
            (asked.tool.as_str(), asked.title.as_str()),
            ("Bash", "Bash: touch made && echo it is made")
        );
        assert!(
            asked.detail.contains("```sh\ntouch made && echo it is made\n```"),
            "{}",
            asked.detail
        );
        let events = decide(&mut agent, &asked, Answer::Deny("the owner said no".to_owned())).await;
        let ended = events.iter().find_map(|event| match event {
            AgentEvent::ToolEnded {
                failed, denied, output, ..
            } => Some((*failed, *denied, output.as_str())),
            _ => None,
        });
        assert_eq!(ended, Some((true, true, "the owner said no")));
        assert_eq!(
            (text(&events).as_str(), outcome(&events)),
            ("failed: the owner said no", Some(&Outcome::Ok))
        );
        assert!(!made.exists());

        let (before, asked) = permission(&mut agent, words).await;
        assert!(
            before
                .iter()
                .any(|event| matches!(event, AgentEvent::Tool { kind: "execute", call, .. } if *call == asked.call))
        );
        let events = decide(&mut agent, &asked, Answer::Allow).await;
        assert_eq!(text(&events), "result: it is made");
        assert!(events.iter().any(|event| matches!(
            event,
            AgentEvent::ToolEnded {
                failed: false,
                denied: false,
                ..
            }
        )));
        assert!(made.exists());

        // Allowed by the profile: not asked.
        std::fs::write(yard.folder.path().join("work/note"), "a word\n").unwrap();
        let file = yard.folder.path().join("work/note");
        let events = agent
            .turn(&format!(r#"tool Read {{"file_path": "{}"}}"#, file.display()))
            .await;
        assert!(
            events
                .iter()
                .any(|event| matches!(event, AgentEvent::Tool { kind: "read", title, .. } if title == "Read note")),
            "{events:?}"
        );
        assert!(text(&events).contains("a word"), "{events:?}");
        stop(agent).await;
        assert_eq!(model.violations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_interrupt_ends_a_stream_a_silence_a_question_and_a_tool() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let mut agent = yard.start(false);
        for words in ["slow 200 a b c d e f g h i j k l m n", "hang zebra"] {
            agent.prompt(words).await;
            if words == "hang zebra" {
                // 2.1.197 says that it took a message up only with the first word of the answer.
                wait_for_words(&model, words).await;
            } else {
                agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
            }
            agent.send(Command::Interrupt).await;
            let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
            assert_eq!(outcome(&events), Some(&Outcome::Stopped), "{words}: {events:?}");
        }
        // At once: it is taken back, or begun and ended; either way it is told as stopped, once.
        agent.prompt("hang okapi").await;
        agent.send(Command::Interrupt).await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert_eq!(outcome(&events), Some(&Outcome::Stopped), "{events:?}");

        let (_, asked) = permission(&mut agent, r#"tool Bash {"command": "touch x"}"#).await;
        agent.send(Command::Interrupt).await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert!(
            events.contains(&AgentEvent::PermissionWithdrawn { request: asked.request }),
            "{events:?}"
        );
        assert_eq!(outcome(&events), Some(&Outcome::Stopped), "{events:?}");

        let (_, asked) = permission(&mut agent, r#"tool Bash {"command": "touch begun; sleep 1000"}"#).await;
        let allow = Command::Decide {
            request: asked.request,
            answer: Answer::Allow,
        };
        agent.send(allow).await;
        wait_for(&yard.folder.path().join("work/begun")).await;
        agent.send(Command::Interrupt).await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert_eq!(outcome(&events), Some(&Outcome::Stopped), "{events:?}");
        assert_eq!(text(&agent.turn("still here").await), "echo: still here");
        stop(agent).await;
        assert_eq!(model.violations(), Vec::<String>::new());
    }
}

async fn wait_for(file: &Path) {
    let begin = Instant::now();
    while !file.exists() {
        assert!(begin.elapsed() < LIMIT, "{} never came", file.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn wait_for_words(model: &Model, words: &str) {
    let begin = Instant::now();
    while !said_to(model).contains(words) {
        assert!(begin.elapsed() < LIMIT, "the model never heard `{words}`");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What the CLI says that this turn cost.
fn cost(events: &[AgentEvent]) -> f64 {
    let costs = events.iter().filter_map(|event| match event {
        AgentEvent::Usage { cost_usd, .. } => *cost_usd,
        _ => None,
    });
    costs.sum()
}

#[tokio::test]
async fn a_conversation_goes_on_in_a_new_process() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let mut agent = yard.start(false);
        let first = cost(&agent.turn("remember the blue door").await);
        stop(agent).await;
        let mut agent = yard.start(true);
        let second = cost(&agent.turn("what was it").await);
        // What was counted once is not counted again (what it had cost is told with four digits alone).
        assert!(0.0 < second && second < 1.5 * first, "{first} and {second}");
        let last = model
            .requests()
            .into_iter()
            .rfind(|body| body["messages"].to_string().contains("what was it"));
        assert!(last.unwrap()["messages"].to_string().contains("remember the blue door"));
        stop(agent).await;

        let strange = self::yard(&program, &model);
        let mut agent = strange.start(true);
        agent.prompt("hello").await;
        let failure = agent.exit().await.unwrap();
        assert_eq!(failure.kind, FailureKind::NoConversation, "{failure:?}");
        let mut agent = yard.start(false);
        let failure = agent.exit().await.unwrap();
        assert!(
            failure.kind == FailureKind::Unready && failure.cause.contains("already in use"),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn a_conversation_of_another_folder_is_brought_and_goes_on_while_its_own_stays() {
    for program in programs() {
        let model = Model::start().await;
        let (theirs, mut chat) = (yard(&program, &model), yard(&program, &model));
        let kept = |yard: &Yard| {
            let folder = yard.folder.path();
            let (config, temp) = (folder.join("config"), folder.join("tmp"));
            driver::kept(&yard.profile, Some(&config), &temp, &yard.session).expect("it is known where")
        };
        for (yard, words) in [(&theirs, "one two three"), (&chat, "hello")] {
            let mut agent = yard.start(false);
            agent.turn(words).await;
            stop(agent).await;
        }
        let file = kept(&theirs).into_iter().find(|path| path.is_file()).expect("its file");
        let before = std::fs::read(&file).unwrap();
        let id = uuid::Uuid::new_v4().to_string();
        let brought = driver::bring(&chat.profile, &file, &kept(&chat), &id).unwrap();
        assert_eq!(brought.said.len(), 1, "{brought:?}");
        assert!(brought.worked_in.is_some_and(|folder| folder.ends_with("work")));
        chat.session = id;
        let asked = model.requests().len();
        let mut agent = chat.start(true);
        let events = agent.turn("four five").await;
        assert_eq!(outcome(&events), Some(&Outcome::Ok), "{events:?}");
        let told = serde_json::Value::from(model.requests()[asked..].to_vec()).to_string();
        assert!(told.contains("one two three"), "it remembers: {told}");
        stop(agent).await;
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_tool_leaves_nothing_and_the_conversation_goes_on() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let mut agent = yard.start(false);
        agent.turn("remember the blue door").await;
        let words = r#"tool Bash {"command": "(setsid sleep 1000 & echo $! > pid.new; mv pid.new pid); sleep 1000"}"#;
        let (_, asked) = permission(&mut agent, words).await;
        let allow = Command::Decide {
            request: asked.request,
            answer: Answer::Allow,
        };
        agent.send(allow).await;
        let file = yard.folder.path().join("work/pid");
        wait_for(&file).await;
        let tool = Path::new("/proc").join(std::fs::read_to_string(file).unwrap().trim());
        assert!(tool.exists());
        agent.send(Command::Kill).await;
        assert_eq!(agent.exit().await, None);
        assert!(!tool.exists());

        let mut agent = yard.start(true);
        let events = agent.turn("are you there").await;
        assert_eq!(text(&events), "echo: are you there");
        stop(agent).await;
        assert_eq!(model.violations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_a_person_writes_never_runs_a_command_or_reads_a_file() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let work = yard.folder.path().join("work");
        std::fs::create_dir_all(&work).unwrap();
        std::fs::write(work.join("inside.txt"), "SECRET-INSIDE").unwrap();
        let outside = yard.folder.path().join("outside.txt");
        std::fs::write(&outside, "SECRET-OUTSIDE").unwrap();
        let outside = outside.display();
        let mut agent = yard.start(false);
        agent.turn("the first").await;
        let tries = [
            "/clear".to_owned(),
            "/cost".to_owned(),
            " \n /model other".to_owned(),
            "\u{feff}/clear".to_owned(),
            "!echo SECRET-$((40+2))".to_owned(),
            "# remember SECRET".to_owned(),
            format!("@{outside}"),
            format!("look at @{outside} and at @inside.txt"),
            format!("(@{outside})"),
            format!("x@{outside}"),
            format!("@\"{outside}\""),
            format!("\n@{outside}\n"),
            "@./inside.txt".to_owned(),
        ];
        for words in tries {
            let events = agent.turn(&words).await;
            assert!(
                text(&events).starts_with("echo: "),
                "{words:?} became a command: {events:?}"
            );
            let session = events.iter().any(|event| matches!(event, AgentEvent::Session { .. }));
            assert!(!session, "{words:?} changed the session: {events:?}");
            assert!(
                !events.iter().any(|event| matches!(event, AgentEvent::Tool { .. })),
                "{events:?}"
            );
            let last = model
                .requests()
                .into_iter()
                .rfind(|body| body["tools"].as_array().is_some_and(|tools| !tools.is_empty()));
            let last = last.unwrap()["messages"].to_string();
            for secret in ["SECRET-INSIDE", "SECRET-OUTSIDE", "SECRET-42"] {
                assert!(!last.contains(secret), "{words:?} read a file: {last}");
            }
            assert!(last.contains("the first"), "{words:?} cleared the conversation");
        }
        stop(agent).await;
    }
}

#[tokio::test]
async fn failures_of_the_model_are_told_and_the_process_goes_on() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model).env("CLAUDE_CODE_MAX_RETRIES", "1");
        let mut agent = yard.start(false);
        let cases = [
            ("status 429 9 x", FailureKind::RateLimited),
            ("status 500 9 x", FailureKind::Api),
            ("status 400 9 x", FailureKind::Api),
            ("status 401 9 x", FailureKind::NotLoggedIn),
        ];
        for (words, kind) in cases {
            let events = agent.turn(words).await;
            let Some(Outcome::Failed(failure)) = outcome(&events) else {
                panic!("{words}: {events:?}")
            };
            assert_eq!(failure.kind, kind, "{words}: {failure:?}");
            assert_eq!(text(&events), "", "{words}: {events:?}");
        }
        let events = agent.turn("status 500 1 mended").await;
        assert_eq!(text(&events), "mended");
        assert!(
            events
                .iter()
                .any(|event| matches!(event, AgentEvent::Retrying { attempt: 1, of: 1, .. })),
            "{events:?}"
        );
        let events = agent.turn("drop one two three four five six").await;
        assert_eq!(text(&events), "one two three four five six", "{events:?}");
        assert!(events.contains(&AgentEvent::Restart), "{events:?}");
        stop(agent).await;
    }
}

#[tokio::test]
async fn without_a_login_it_says_so() {
    for program in programs() {
        let model = Model::start().await;
        let mut yard = yard(&program, &model);
        yard.profile.login = Login::None;
        let mut agent = yard.start(false);
        let events = agent.turn("hello").await;
        assert!(
            matches!(outcome(&events), Some(Outcome::Failed(failure)) if failure.kind == FailureKind::NotLoggedIn),
            "{events:?}"
        );
        stop(agent).await;
        assert_eq!(model.requests().len(), 0);
    }
}

#[tokio::test]
async fn its_plan_and_its_questions_are_understood() {
    for program in programs() {
        let model = Model::scripted(|request| match request.text {
            "plan" if request.tool_result.is_none() => {
                let tools = request.body["tools"].as_array().into_iter().flatten();
                let todo = tools.into_iter().any(|tool| tool["name"] == "TodoWrite");
                let (name, input) = if todo {
                    let todos =
                        serde_json::json!([{"content": "one", "status": "in_progress", "activeForm": "doing one"}]);
                    ("TodoWrite", serde_json::json!({"todos": todos}))
                } else {
                    (
                        "TaskCreate",
                        serde_json::json!({"subject": "one", "description": "do one"}),
                    )
                };
                Reply::Tool {
                    text: String::new(),
                    name: name.to_owned(),
                    input,
                }
            }
            _ => by_words(request),
        })
        .await;
        // 2.1.329 keeps these tools from the newest models unless it is told to.
        let yard = yard(&program, &model).env("CLAUDE_CODE_ENABLE_TODO_TOOLS", "1");
        let mut agent = yard.start(false);
        let events = agent.turn("plan").await;
        let plan = events.iter().find_map(|event| match event {
            AgentEvent::Plan(items) => Some(items.clone()),
            _ => None,
        });
        let plan = plan.unwrap_or_else(|| panic!("{events:?}"));
        assert_eq!((plan.len(), plan[0].text.as_str()), (1, "one"));
        assert_ne!(plan[0].state, PlanState::Done);

        let words = r#"tool AskUserQuestion {"questions": [{"question": "Which color?", "header": "Color", "multiSelect": false, "options": [{"label": "Blue", "description": "calm"}, {"label": "Red", "description": "loud"}]}]}"#;
        let (_, asked) = permission(&mut agent, words).await;
        assert_eq!(asked.title, "Question: Which color?");
        assert!(asked.detail.contains("- **Blue**: calm"), "{}", asked.detail);
        let answers = vec![("Which color?".to_owned(), "Blue".to_owned())];
        let events = decide(&mut agent, &asked, Answer::Answers(answers)).await;
        assert!(text(&events).contains("Blue"), "{events:?}");
        stop(agent).await;
    }
}

#[tokio::test]
async fn a_message_that_comes_again_is_not_done_again() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let mut agent = yard.start(false);
        let id = agent.prompt("only once").await;
        agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        let before = model.requests().len();
        let text = "only once".to_owned();
        agent
            .send(Command::Prompt {
                id,
                text,
                images: Vec::new(),
            })
            .await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert_eq!(outcome(&events), Some(&Outcome::Ok), "{events:?}");
        assert_eq!(model.requests().len(), before);
        stop(agent).await;
    }
}

#[tokio::test]
async fn work_in_the_background_is_counted_and_reported_later() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let mut agent = yard.start(false);
        let words = r#"tool Bash {"command": "touch begun; while [ ! -e go ]; do sleep 0.05; done; echo done", "run_in_background": true, "description": "wait"}"#;
        let (_, asked) = permission(&mut agent, words).await;
        let events = decide(&mut agent, &asked, Answer::Allow).await;
        assert_eq!(events.last(), Some(&AgentEvent::Idle { background: 1 }), "{events:?}");
        wait_for(&yard.folder.path().join("work/begun")).await;
        std::fs::write(yard.folder.path().join("work/go"), "").unwrap();
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert_eq!(events.last(), Some(&AgentEvent::Idle { background: 0 }), "{events:?}");
        assert!(!text(&events).is_empty(), "{events:?}");
        stop(agent).await;
    }
}

async fn steer(agent: &Running, text: &str) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let text = text.to_owned();
    let steer = Command::Steer {
        id: id.clone(),
        text,
        images: Vec::new(),
    };
    agent.send(steer).await;
    id
}

#[tokio::test]
async fn what_is_said_while_it_works_is_heard_in_the_same_turn() {
    for program in programs() {
        let model = Model::start().await;
        let yard = yard(&program, &model);
        let mut agent = yard.start(false);
        // In a step: behind its result.
        let words = r#"tool Bash {"command": "touch begun; while [ ! -e go ]; do sleep 0.05; done; echo it is made"}"#;
        let (_, asked) = permission(&mut agent, words).await;
        let allow = Command::Decide {
            request: asked.request,
            answer: Answer::Allow,
        };
        agent.send(allow).await;
        wait_for(&yard.folder.path().join("work/begun")).await;
        let id = steer(&agent, "and in red please").await;
        // It reads its pipe before the step is over.
        tokio::time::sleep(Duration::from_secs(2)).await;
        agent.touch("go");
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert!(events.contains(&AgentEvent::Started { id }), "{program}: {events:?}");
        assert_eq!(outcome(&events), Some(&Outcome::Ok), "{program}: {events:?}");
        assert!(said_to(&model).contains("and in red please"), "{program}");

        // In an answer without steps: behind it, before it is idle.
        agent.prompt("slow 200 a b c d e f g h").await;
        agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
        let id = steer(&agent, "what of the zebra").await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert!(events.contains(&AgentEvent::Started { id }), "{program}: {events:?}");
        assert!(
            text(&events).contains("echo: what of the zebra"),
            "{program}: {events:?}"
        );

        // What was not heard goes with a stop.
        agent.prompt("hang okapi").await;
        wait_for_words(&model, "hang okapi").await;
        steer(&agent, "what of the gnu").await;
        agent.send(Command::Interrupt).await;
        let events = agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await;
        assert_eq!(outcome(&events), Some(&Outcome::Stopped), "{program}: {events:?}");
        assert_eq!(text(&agent.turn("still here").await), "echo: still here");
        assert!(!said_to(&model).contains("gnu"), "{program}");
        stop(agent).await;
        assert_eq!(model.violations(), Vec::<String>::new(), "{program}");
    }
}
