//! One session's agent as a test holds it: its folders, its profile, and its events by what they wait for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use botyard::config::{AgentProfile, DriverKind, Limits, Login};
use botyard::driver::process::set_guard_program;
use botyard::driver::{self, Agent, AgentEvent, Answer, Command, Launch, Outcome};
use tempfile::TempDir;
use tokio::time::timeout;
use uuid::Uuid;

/// For what must come; never waited out in a run that is fine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A session's folders and the profile of its agent.
pub(crate) struct Yard {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) profile: AgentProfile,
    pub(crate) session: String,
    /// Of which the session begins as a copy.
    pub(crate) fork: Option<String>,
    /// The model that was chosen in the chat.
    pub(crate) chosen: Option<String>,
    /// The mode that was.
    pub(crate) chosen_mode: Option<String>,
}

impl Yard {
    /// With this command, and folders of its own.
    pub(crate) fn new(command: &[&str]) -> Self {
        set_guard_program(PathBuf::from(env!("CARGO_BIN_EXE_botyard")));
        Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
            session: Uuid::new_v4().to_string(),
            fork: None,
            chosen: None,
            chosen_mode: None,
            profile: AgentProfile {
                name: "test".to_owned(),
                driver: DriverKind::Claude,
                command: command.iter().map(|&word| word.to_owned()).collect(),
                model: None,
                permission_mode: "default".to_owned(),
                allowed_tools: vec!["Read".to_owned()],
                disallowed_tools: Vec::new(),
                instructions: Some("Be kind.".to_owned()),
                env: BTreeMap::new(),
                login: Login::None,
                start_timeout: LIMIT,
                idle_timeout: LIMIT,
                limits: Limits::of(DriverKind::Claude),
                history: false,
                spare: false,
                demo: false,
            },
        }
    }

    pub(crate) fn driver(mut self, driver: DriverKind) -> Self {
        self.profile.driver = driver;
        self.profile.allowed_tools.clear();
        self.profile.instructions = None;
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.profile.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn start(&self, resume: bool) -> Running {
        let folder = self.folder.path();
        let launch = Launch {
            workspace: folder.join("work"),
            config_dir: Some(folder.join("config")),
            temp_dir: folder.join("tmp"),
            note: None,
            cli_session: self.session.clone(),
            resume,
            fork: self.fork.clone(),
            model: self.chosen.clone(),
            mode: self.chosen_mode.clone(),
            allowed: Vec::new(),
        };
        Running {
            agent: driver::start(&self.profile, launch),
            folder: Arc::clone(&self.folder),
        }
    }
}

pub(crate) struct Running {
    pub(crate) agent: Agent,
    /// Not removed before the process has let go of it.
    folder: Arc<TempDir>,
}

impl Running {
    pub(crate) async fn send(&self, command: Command) {
        timeout(LIMIT, self.agent.commands.send(command))
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn prompt(&self, text: &str) -> String {
        let id = Uuid::new_v4().to_string();
        let text = text.to_owned();
        let images = Vec::new();
        self.send(Command::Prompt {
            id: id.clone(),
            text,
            images,
        })
        .await;
        id
    }

    pub(crate) async fn decide(&self, request: &str, allow: bool) {
        let answer = if allow {
            Answer::Allow
        } else {
            Answer::Deny(String::new())
        };
        let request = request.to_owned();
        self.send(Command::Decide { request, answer }).await;
    }

    /// A file in the workspace.
    pub(crate) fn touch(&self, name: &str) {
        std::fs::write(self.folder.path().join("work").join(name), "").unwrap();
    }

    pub(crate) async fn event(&mut self) -> AgentEvent {
        timeout(LIMIT, self.agent.events.recv())
            .await
            .expect("an event in time")
            .expect("an event")
    }

    /// All events up to and with the first that is wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&AgentEvent) -> bool) -> Vec<AgentEvent> {
        let mut all = Vec::new();
        loop {
            all.push(self.event().await);
            if all.last().is_some_and(&wanted) {
                return all;
            }
        }
    }

    pub(crate) async fn turn(&mut self, text: &str) -> Vec<AgentEvent> {
        self.prompt(text).await;
        self.until(|event| matches!(event, AgentEvent::Idle { .. })).await
    }

    /// The end of it, after which nothing comes.
    pub(crate) async fn exit(&mut self) -> Option<driver::Failure> {
        let all = self.until(|event| matches!(event, AgentEvent::Exited { .. })).await;
        assert_eq!(timeout(LIMIT, self.agent.events.recv()).await.unwrap(), None);
        match all.into_iter().next_back() {
            Some(AgentEvent::Exited { failure }) => failure,
            _ => None,
        }
    }
}

/// The certain text of these events.
pub(crate) fn text(events: &[AgentEvent]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        AgentEvent::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

pub(crate) fn outcome(events: &[AgentEvent]) -> Option<&Outcome> {
    events.iter().find_map(|event| match event {
        AgentEvent::Result { outcome } => Some(outcome),
        _ => None,
    })
}
