//! The ACP driver with the real agents, whose models are our fake. `BOTYARD_TEST_ACP` is the folder of their programs
//! (npm's `node_modules/.bin`). Each has a whole conversation: an answer, a step allowed, a step denied, a stop, and
//! another process that goes on with it.

use std::path::Path;

use botyard::config::{DriverKind, Login, SecretText};
use botyard::driver::{AgentEvent, Answer, Command, FailureKind, Outcome, Permission};
use botyard_fakes::model::Model;
use serde_json::{Value, json};

use crate::yard::{Running, Yard, outcome, text};

/// One agent: how it is started, where its model is, and how its model calls a command.
struct Peer {
    yard: Yard,
    model: Model,
    /// The words that make the model run this in a shell.
    shell: fn(&str) -> String,
    /// It tells what a step printed.
    tells_output: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test is told by its runner where the real programs are"
)]
fn program(name: &str) -> String {
    let folder = std::env::var("BOTYARD_TEST_ACP").expect("BOTYARD_TEST_ACP is the agents' folder; see .ci/run");
    format!("{folder}/{name}")
}

fn tool(name: &str, input: &Value) -> String {
    format!("tool {name} {input}")
}

/// What an agent can do.
struct Can {
    /// Its turn goes on after a step was denied, with a word.
    go_on: bool,
    copy: bool,
    lasting: bool,
}

/// With a home of its own, and no way out but to the model: what is sent elsewhere goes to a closed port.
async fn peer(command: &[&str], shell: fn(&str) -> String) -> Peer {
    let path = program(command[0]);
    let words: Vec<&str> = [path.as_str()]
        .into_iter()
        .chain(command[1..].iter().copied())
        .collect();
    let yard = Yard::new(&words).driver(DriverKind::Acp);
    let home = yard.folder.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let mut yard = yard.env("HOME", &home.display().to_string());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        yard = yard.env(name, "http://127.0.0.1:9");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        yard = yard.env(name, "127.0.0.1,localhost");
    }
    Peer {
        yard,
        model: Model::start().await,
        shell,
        tells_output: true,
    }
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn said(events: &[AgentEvent]) -> String {
    format!("{:?}: {:?}", outcome(events), text(events))
}

async fn asked(peer: &Peer, agent: &mut Running, command: &str) -> Permission {
    agent.prompt(&(peer.shell)(command)).await;
    let seen = |event: &AgentEvent| matches!(event, AgentEvent::Permission(_) | AgentEvent::Idle { .. });
    let events = agent.until(seen).await;
    match events.last() {
        Some(AgentEvent::Permission(asked)) => (**asked).clone(),
        _ => panic!("it was not asked: {}; {events:?}", said(&events)),
    }
}

async fn over(agent: &mut Running) -> Vec<AgentEvent> {
    agent.until(|event| matches!(event, AgentEvent::Idle { .. })).await
}

impl Peer {
    /// A copy of the conversation, in another process.
    async fn copies(&mut self, able: bool) {
        let original = self.yard.session.clone();
        self.yard.fork = Some(original.clone());
        let before = self.model.requests().len();
        let mut copy = self.yard.start(false);
        if able {
            let events = copy.turn("six seven").await;
            assert_eq!(outcome(&events), Some(&Outcome::Ok), "{events:?}");
            assert!(!text(&events).contains("one two three"), "{events:?}");
            let own = events
                .iter()
                .any(|event| matches!(event, AgentEvent::Session { id, .. } if *id != original));
            assert!(own, "it is another: {events:?}");
            let asked = Value::from(self.model.requests()[before..].to_vec()).to_string();
            assert!(asked.contains("one two three"), "it remembers: {asked}");
            copy.send(Command::Close).await;
            assert_eq!(copy.exit().await, None);
        } else {
            let ended = copy.exit().await.map(|failure| failure.kind);
            assert_eq!(ended, Some(FailureKind::NoConversation));
        }
        self.yard.fork = None;
    }

    /// What is allowed until the process ends is not asked again in it.
    async fn allows_the_like(&mut self, able: bool) {
        let work = self.yard.folder.path().join("work");
        let mut agent = self.yard.start(false);
        let first = asked(self, &mut agent, "touch once").await;
        assert_eq!(first.lasting.is_some(), able, "{first:?}");
        if let Some(lasting) = first.lasting {
            let answer = Answer::AllowLasting(lasting.updates);
            let request = first.request;
            agent.send(Command::Decide { request, answer }).await;
            over(&mut agent).await;
            agent.prompt(&(self.shell)("touch once")).await;
            let events = over(&mut agent).await;
            let asked = |event: &AgentEvent| matches!(event, AgentEvent::Permission(_));
            assert!(!events.iter().any(asked), "{events:?}");
            assert!(work.join("once").exists());
        }
        agent.send(Command::Kill).await;
        agent.exit().await;
    }

    /// The whole conversation.
    async fn converses(mut self, can: Can) {
        let work = self.yard.folder.path().join("work");
        let mut agent = self.yard.start(false);
        let events = agent.turn("one two three").await;
        assert_eq!(outcome(&events), Some(&Outcome::Ok), "{events:?}");
        assert!(text(&events).contains("one two three"), "{events:?}");
        let session = events.iter().find_map(|event| match event {
            AgentEvent::Session { id, .. } => Some(id.clone()),
            _ => None,
        });

        let allowed = asked(&self, &mut agent, "touch allowed && echo it-is-made").await;
        assert!(
            format!("{} {}", allowed.title, allowed.detail).contains("touch allowed"),
            "a person sees what is asked: {allowed:?}"
        );
        assert!(!work.join("allowed").exists());
        agent.decide(&allowed.request, true).await;
        let events = over(&mut agent).await;
        assert!(work.join("allowed").exists(), "{}", said(&events));
        assert_eq!(outcome(&events), Some(&Outcome::Ok), "{events:?}");
        let ended = events.iter().any(|event| {
            let shown = |output: &str| output.contains("it-is-made") == self.tells_output;
            matches!(event, AgentEvent::ToolEnded { failed: false, output, .. } if shown(output))
        });
        assert!(ended, "its end, and its output: {events:?}");

        let denied = asked(&self, &mut agent, "touch denied && echo it-is-made").await;
        agent.decide(&denied.request, false).await;
        let events = over(&mut agent).await;
        assert!(!work.join("denied").exists());
        assert_eq!(outcome(&events), Some(&Outcome::Ok), "{events:?}");
        let refused = |event: &AgentEvent| matches!(event, AgentEvent::ToolEnded { denied: true, .. });
        assert!(events.iter().any(refused), "{events:?}");
        assert_eq!(!text(&events).is_empty(), can.go_on, "{events:?}");

        agent
            .prompt("slow 400 a b c d e f g h i j k l m n o p q r s t u v w x y z")
            .await;
        agent.until(|event| matches!(event, AgentEvent::TextDelta { .. })).await;
        agent.send(Command::Interrupt).await;
        let events = over(&mut agent).await;
        assert_eq!(outcome(&events), Some(&Outcome::Stopped), "{events:?}");
        let events = agent.turn("still here").await;
        assert!(text(&events).contains("still here"), "{events:?}");
        agent.send(Command::Close).await;
        assert_eq!(agent.exit().await, None);

        self.yard.session = session.expect("it told its session");
        let before = self.model.requests().len();
        let mut again = self.yard.start(true);
        let events = again.turn("four five").await;
        assert_eq!(outcome(&events), Some(&Outcome::Ok), "{events:?}");
        assert!(text(&events).contains("four five"), "{events:?}");
        assert!(
            !text(&events).contains("one two three"),
            "what was said is not said again: {events:?}"
        );
        let later = Value::from(self.model.requests()[before..].to_vec()).to_string();
        assert!(later.contains("one two three"), "it remembers: {later}");
        again.send(Command::Close).await;
        assert_eq!(again.exit().await, None);
        self.copies(can.copy).await;
        self.allows_the_like(can.lasting).await;
        assert_eq!(self.model.violations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn gemini_converses() {
    let mut peer = peer(&["gemini", "--acp"], |command| {
        tool(
            "run_shell_command",
            &json!({"command": command, "description": "make it"}),
        )
    })
    .await;
    peer.yard.profile.login = Login::ApiKey(SecretText::new("dummy-key"));
    peer.yard.profile.model = Some("gemini-2.5-flash".to_owned());
    peer.yard = peer.yard.env("GOOGLE_GEMINI_BASE_URL", &peer.model.url());
    peer.tells_output = false;
    peer.converses(Can {
        go_on: true,
        copy: false,
        lasting: true,
    })
    .await;
}

#[tokio::test]
async fn opencode_converses() {
    let mut peer = peer(&["opencode", "acp"], |command| {
        tool("bash", &json!({"command": command, "description": "make it"}))
    })
    .await;
    let config = json!({
        "model": "fake/small", "small_model": "fake/small", "share": "disabled", "autoupdate": false,
        "permission": {"bash": "ask", "edit": "ask"}, "enabled_providers": ["fake"],
        "provider": {"fake": {
            "npm": "@ai-sdk/openai-compatible", "name": "Fake",
            "options": {"baseURL": format!("{}/v1", peer.model.url()), "apiKey": "dummy-key"},
            "models": {"small": {"name": "Small", "limit": {"context": 100_000, "output": 8_000}}},
        }},
    });
    let file = peer.yard.folder.path().join("opencode.json");
    write(&file, &config.to_string());
    peer.yard = peer.yard.env("OPENCODE_CONFIG", &file.display().to_string());
    peer.converses(Can {
        go_on: false,
        copy: true,
        lasting: true,
    })
    .await;
}

#[tokio::test]
async fn codex_converses() {
    let peer = peer(&["codex-acp"], |command| {
        tool(
            "exec_command",
            &json!({"cmd": command, "sandbox_permissions": "require_escalated", "justification": "make it"}),
        )
    })
    .await;
    let config = format!(
        "model = \"small\"\nmodel_provider = \"fake\"\n\n[model_providers.fake]\nname = \"Fake\"\nbase_url = \"{}/v1\"\n\
         wire_api = \"responses\"\nenv_key = \"FAKE_KEY\"\n",
        peer.model.url()
    );
    write(&peer.yard.folder.path().join("config/config.toml"), &config);
    let yard = peer.yard.env("FAKE_KEY", "dummy-key");
    Peer { yard, ..peer }
        .converses(Can {
            go_on: false,
            copy: true,
            // Of commands it offers only a rule for all sessions.
            lasting: false,
        })
        .await;
}

#[tokio::test]
async fn claude_converses() {
    let mut peer = peer(&["claude-agent-acp"], |command| {
        tool("Bash", &json!({"command": command, "description": "make it"}))
    })
    .await;
    peer.yard.profile.login = Login::ApiKey(SecretText::new("sk-ant-dummy-key"));
    peer.yard = peer.yard.env("ANTHROPIC_BASE_URL", &peer.model.url());
    peer.converses(Can {
        go_on: true,
        copy: true,
        lasting: false,
    })
    .await;
}
