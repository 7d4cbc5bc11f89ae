//! The sandbox as a whole, with the two test guests.

mod contain;
mod frozen;
mod kept;
mod link;
mod loading;
mod manifest;
mod out;
mod services;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{Adapter, BotServices, CallLimits, Component, Runtime};
use crate::chat::{Block, BotName, CallError, Conversation, Event, Part, Target, TurnId, View, ViewState};
use crate::config::SecretText;
use crate::egress::{Egress, EgressSettings, Grant};
use crate::store::{Journal, OutboxRow, OutboxState};

/// A bot with an adapter of its own, on disk in a folder of its own.
pub(super) struct Bench {
    pub(super) adapter: Adapter,
    pub(super) journal: Journal,
    pub(super) component: Component,
    runtime: Runtime,
    folder: TempDir,
    api_base: String,
    settings: BTreeMap<String, String>,
    limits: CallLimits,
}

/// What a bench differs in.
pub(super) struct Plan {
    pub(super) wasm: &'static [u8],
    pub(super) api_base: String,
    pub(super) settings: Vec<(&'static str, String)>,
    pub(super) limits: CallLimits,
}

pub(super) const LIMITS: CallLimits = CallLimits {
    memory_bytes: 32 * 1024 * 1024,
    deadline: Duration::from_millis(100),
    output_bytes: 1024 * 1024,
    file_bytes: 1 << 20,
};

/// Compiled once for all tests.
static COMPILED: OnceCell<(Runtime, Component, Component)> = OnceCell::const_new();

async fn compiled() -> (Runtime, Component, Component) {
    let folder = TempDir::new().expect("a folder");
    let runtime = Runtime::new(folder.path()).expect("a runtime");
    let hostile = runtime
        .load("hostile", botyard_test_guests::HOSTILE)
        .await
        .expect("it loads");
    let echo = runtime.load("echo", botyard_test_guests::ECHO).await.expect("it loads");
    (runtime, hostile, echo)
}

impl Plan {
    pub(super) fn of(wasm: &'static [u8]) -> Self {
        Self {
            wasm,
            api_base: "http://127.0.0.1:9/".to_owned(),
            settings: Vec::new(),
            limits: LIMITS,
        }
    }

    pub(super) fn hostile() -> Self {
        Self::of(botyard_test_guests::HOSTILE)
    }

    pub(super) fn echo() -> Self {
        Self::of(botyard_test_guests::ECHO)
    }

    pub(super) fn setting(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    pub(super) async fn ready(self) -> Bench {
        let (runtime, hostile, echo) = COMPILED.get_or_init(compiled).await.clone();
        let component = match self.wasm {
            wasm if wasm == botyard_test_guests::ECHO => echo,
            wasm if wasm == botyard_test_guests::HOSTILE => hostile,
            other => runtime.load("other", other).await.expect("it loads"),
        };
        self.with(runtime, component)
    }

    /// With a component that was loaded for this.
    pub(super) fn with(self, runtime: Runtime, component: Component) -> Bench {
        let folder = TempDir::new().expect("a folder");
        let journal = Journal::open(&folder.path().join("store.db")).expect("a store");
        let settings = self
            .settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Bench {
            adapter: bound(
                "bot",
                &runtime,
                &component,
                &folder,
                &journal,
                &self.api_base,
                &settings,
                &self.limits,
            ),
            journal,
            component,
            runtime,
            folder,
            api_base: self.api_base,
            settings,
            limits: self.limits,
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "everything a bot has, in one place")]
fn bound(
    bot: &str,
    runtime: &Runtime,
    component: &Component,
    folder: &TempDir,
    journal: &Journal,
    api_base: &str,
    settings: &BTreeMap<String, String>,
    limits: &CallLimits,
) -> Adapter {
    let secrets: BTreeMap<String, SecretText> = component
        .about()
        .secrets
        .iter()
        .map(|secret| {
            (
                secret.name.clone(),
                SecretText::new(format!("{}-value-of-a-secret", secret.name)),
            )
        })
        .collect();
    let egress = Egress::new(&EgressSettings::default()).expect("egress");
    let outlet = egress
        .outlet(Grant {
            bot: bot.to_owned(),
            api_base: api_base.to_owned(),
            api_base_by_operator: true,
            about: Arc::clone(component.about()),
            secrets: secrets.clone(),
            hosts: Vec::new(),
        })
        .expect("the grant can be");
    let services = BotServices {
        bot: BotName::from(bot),
        mode: component.about().modes[0].name.clone(),
        api_base: api_base.to_owned(),
        settings: settings.clone(),
        secrets,
        hook_base: Some("https://bots.example/hook/bot".to_owned()),
        outlet,
        journal: journal.clone(),
        files_dir: folder.path().join("files"),
        limits: limits.clone(),
    };
    Adapter::bind(runtime, component, services)
}

impl Bench {
    /// Another bot with the same component and the same store.
    pub(super) fn neighbour(&self) -> Adapter {
        bound(
            "neighbour",
            &self.runtime,
            &self.component,
            &self.folder,
            &self.journal,
            &self.api_base,
            &self.settings,
            &self.limits,
        )
    }

    pub(super) fn files(&self) -> std::path::PathBuf {
        self.folder.path().join("files")
    }

    /// What an event with this wish comes to: the answer's text, or the error.
    pub(super) async fn wish(&self, wish: &str) -> Result<String, CallError> {
        wished(&self.adapter, wish).await
    }

    /// An event and a view work as if nothing had been.
    pub(super) async fn works(&self) {
        let translated = self
            .adapter
            .translate(&event("hello"))
            .await
            .expect("the next event works");
        assert_eq!(translated.items.len(), 1);
    }

    /// A turn's row in the outbox, as the host has it before it shows.
    pub(super) async fn turn(&self) -> TurnId {
        let turn = TurnId::random();
        let row = OutboxRow {
            turn: turn.clone(),
            bot: BotName::from("bot"),
            target: target(),
            view: None,
            state: OutboxState::Pending,
            memory: None,
            attempts: 0,
            next_try: 0,
            last_error: None,
            updated: 0,
        };
        self.journal
            .write(move |store| store.outbox_put(&row))
            .await
            .expect("it is stored");
        turn
    }

    pub(super) async fn row(&self, turn: &TurnId) -> OutboxRow {
        let turn = turn.clone();
        let row = self
            .journal
            .read(move |store| store.outbox_get(&turn))
            .await
            .expect("it can be read");
        row.expect("the row is there")
    }

    pub(super) async fn show(&self, turn: &TurnId, text: &str) -> Result<Option<Duration>, CallError> {
        self.adapter.show(&view(turn, text), &target(), "nonce", None).await
    }

    /// As the outbox does once something stands there.
    pub(super) async fn change(&self, turn: &TurnId, text: &str) -> Result<Option<Duration>, CallError> {
        let memory = self.row(turn).await.memory;
        self.adapter.show(&view(turn, text), &target(), "nonce", memory).await
    }
}

pub(super) async fn wished(adapter: &Adapter, wish: &str) -> Result<String, CallError> {
    let translated = adapter.translate(&event(wish)).await?;
    Ok(String::from_utf8(translated.answer.expect("an answer").body).expect("text"))
}

pub(super) fn event(payload: &str) -> Event {
    Event {
        transport: "webhook".to_owned(),
        name: String::new(),
        method: "POST".to_owned(),
        query: String::new(),
        headers: Vec::new(),
        payload: payload.as_bytes().to_vec(),
        received: 1_700_000_000_000,
    }
}

pub(super) fn target() -> Target {
    Target {
        conversation: Conversation {
            tenant: None,
            channel: "c".to_owned(),
            thread: None,
            direct: true,
        },
        reply_to: Vec::new(),
        private_to: None,
    }
}

pub(super) fn view(turn: &TurnId, text: &str) -> View {
    View {
        turn: turn.clone(),
        revision: 7,
        state: ViewState::Running,
        blocks: vec![Block {
            id: 1,
            parent: None,
            revision: 7,
            part: Part::Text(text.to_owned()),
            complete: true,
        }],
        stop_token: None,
        footer: None,
        extra: Vec::new(),
    }
}

/// The reason of a call that was ended.
pub(super) fn trapped<T: std::fmt::Debug>(result: Result<T, CallError>) -> String {
    match result {
        Err(CallError::Trapped(reason)) => reason,
        other => panic!("the call was to be ended, but it came to {other:?}"),
    }
}
