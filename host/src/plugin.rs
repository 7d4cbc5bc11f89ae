//! The sandbox: loads components, checks what they import, calls them in fresh instances within limits, and
//! answers what they ask of the host. The only module that names wasmtime.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::chat::{
    Answer, Attachment, BotName, CallError, CommandSpec, Conversation, Event, FileRef, Finding, Origin, Person, Target,
    Translated, TurnId, Verdict, View,
};
use crate::config::SecretText;
use crate::egress::Outlet;
use crate::manifest::About;
use crate::outbox::BoxFuture;
use crate::store::Journal;

/// Why a component cannot be used, in words for its author or operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// The engine: one for the process.
#[derive(Debug, Clone)]
pub struct Runtime {}

impl Runtime {
    /// `cache`: compiled code and manifests, keyed by content and engine; made if it is not there.
    pub fn new(_cache: &Path) -> Result<Self, LoadError> {
        todo!()
    }

    /// Checks, compiles (or finds in the cache) and asks `describe`.
    pub async fn load(&self, _name: &str, _wasm: &[u8]) -> Result<Component, LoadError> {
        todo!()
    }
}

/// Which optional interfaces a component exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offers {
    pub interaction: bool,
    pub attachments: bool,
    pub account: bool,
    pub history: bool,
    pub link: bool,
}

/// A loaded component. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Component {}

impl Component {
    pub fn about(&self) -> &Arc<About> {
        todo!()
    }
    pub fn offers(&self) -> Offers {
        todo!()
    }
    /// Names of everything it imports, for `adapter inspect`.
    pub fn imports(&self) -> Vec<String> {
        todo!()
    }
}

/// Limits of one call.
#[derive(Debug, Clone)]
pub struct CallLimits {
    pub memory_bytes: usize,
    /// The guest's own work; waiting for the host does not count.
    pub deadline: Duration,
    /// What one call may hand over to the host.
    pub output_bytes: usize,
}

/// What an adapter is given for one bot.
#[derive(Debug)]
pub struct BotServices {
    pub bot: BotName,
    pub mode: String,
    pub api_base: String,
    pub settings: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, SecretText>,
    /// `https://host/hook/BOT`, if vendors can reach this host.
    pub hook_base: Option<String>,
    pub outlet: Outlet,
    pub journal: Journal,
    /// Where the host keeps files.
    pub files_dir: std::path::PathBuf,
    pub limits: CallLimits,
}

/// The state of a bot's connection, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Connecting,
    Live,
    Degraded(String),
    Refused(String),
}

/// Where a link's events go, and how it says how it is. Implemented by `bot`.
pub trait LinkHost: Send + Sync + 'static {
    /// Comes back when the event is stored; the vendor's answer within `within`.
    fn emit<'a>(&'a self, event: Event, within: Duration) -> BoxFuture<'a, Result<Option<Answer>, CallError>>;
    fn report(&self, health: Health);
}

/// A component bound to a bot. Every call but `run_link` is a fresh instance. Cheap to clone; calls run side by
/// side. Cancel safe: dropping a call's future drops its instance.
#[derive(Debug, Clone)]
pub struct Adapter {}

impl Adapter {
    pub fn bind(_runtime: &Runtime, _component: &Component, _services: BotServices) -> Self {
        todo!()
    }
    pub fn about(&self) -> &Arc<About> {
        todo!()
    }
    pub fn offers(&self) -> Offers {
        todo!()
    }
    /// Who the bot is: kept in the store; guests read it as `host.me`.
    pub fn set_me(&self, _me: Person) {
        todo!()
    }
    pub async fn translate(&self, _event: &Event) -> Result<Translated, CallError> {
        todo!()
    }
    pub async fn respond(&self, _to: &Origin, _verdict: &Verdict) -> Result<Option<Answer>, CallError> {
        todo!()
    }
    /// `memory.save`, `posted` and `moved` go to the journal as they come, for `turn`.
    pub async fn show(
        &self,
        _view: &View,
        _target: &Target,
        _nonce: &str,
        _memory: Option<Vec<u8>>,
    ) -> Result<Option<Duration>, CallError> {
        todo!()
    }
    pub async fn fetch(&self, _attachment: &Attachment) -> Result<FileRef, CallError> {
        todo!()
    }
    pub async fn me(&self) -> Result<Person, CallError> {
        todo!()
    }
    pub async fn check(&self) -> Result<Vec<Finding>, CallError> {
        todo!()
    }
    pub async fn announce(&self, _commands: &[CommandSpec]) -> Result<(), CallError> {
        todo!()
    }
    pub async fn who(&self, _id: &str, _conversation: &Conversation) -> Result<Person, CallError> {
        todo!()
    }
    /// Runs `link.run` in one long-lived instance until it returns, traps, or `stop` is cancelled (then it is
    /// told to stop and given `grace`).
    pub async fn run_link(
        &self,
        _host: Arc<dyn LinkHost>,
        _stop: tokio_util::sync::CancellationToken,
        _grace: Duration,
    ) -> Result<(), CallError> {
        todo!()
    }
    /// Buckets that the last show in this conversation drew from: what to ask the outlet before the next.
    pub fn buckets_of(&self, _conversation: &Conversation) -> Vec<String> {
        todo!()
    }
    /// Calls that trapped, ran out of time or memory, since the start; the last reason.
    pub fn failures(&self) -> (u64, Option<String>) {
        todo!()
    }
    /// Nothing refers to this turn's files and scratch any more.
    pub fn forget_turn(&self, _turn: &TurnId) {}
}
