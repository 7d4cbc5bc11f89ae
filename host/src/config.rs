//! bots.toml and the environment: the only module that reads either. Raw ([`raw`], serde, unknown keys refused)
//! becomes [`Config`] in [`check`], which finds every problem at once, each with its key path and line.

pub mod check;
pub mod raw;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::chat::BotName;

/// A secret's value. Neither printed nor serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The value: only `egress`, webhook verification and `crypto` call this.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// What is in force.
#[derive(Debug, Clone)]
pub struct Config {
    pub host: HostConfig,
    pub agents: BTreeMap<String, AgentProfile>,
    pub bots: Vec<BotConfig>,
}

#[derive(Debug, Clone)]
pub struct HostConfig {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    /// What vendors reach this host by, for `route-url`; no trailing slash.
    pub public_url: Option<String>,
    /// Needed to listen beyond loopback; opens the web page.
    pub password: Option<SecretText>,
    /// How long done things and their keys are kept; at least 8 hours.
    pub retention: Duration,
    /// For calls to vendors.
    pub proxy: Option<String>,
    /// PEM file of a further certificate authority.
    pub ca_file: Option<PathBuf>,
    /// Live CLI processes at the same time, over all bots.
    pub max_processes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    Claude,
}

/// How the CLI logs in.
#[derive(Debug, Clone)]
pub enum Login {
    /// The operator's own login in their home: only for a bot that serves only its operator.
    Operator,
    /// `ANTHROPIC_API_KEY`.
    ApiKey(SecretText),
    /// `CLAUDE_CODE_OAUTH_TOKEN`, from `claude setup-token`.
    Token(SecretText),
    /// Nothing: the command logs in by itself, or needs no login (the demo agent).
    None,
}

/// A configured CLI.
#[derive(Debug, Clone)]
pub struct AgentProfile {
    pub name: String,
    pub driver: DriverKind,
    /// Found already: an absolute program, then its fixed arguments.
    pub command: Vec<String>,
    pub model: Option<String>,
    pub permission_mode: String,
    pub allowed_tools: Vec<String>,
    pub disallowed_tools: Vec<String>,
    /// Appended to the CLI's own system prompt.
    pub instructions: Option<String>,
    pub env: BTreeMap<String, String>,
    pub login: Login,
    /// From spawn to `Ready`.
    pub start_timeout: Duration,
    /// Idle processes are closed after this.
    pub idle_timeout: Duration,
    /// It is the demo agent: the chat and the terminal say how to connect a real one.
    pub demo: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    User,
    Thread,
    Channel,
}

/// What somebody who was not let in gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refuse {
    /// One polite sentence that names how to be let in, at most once an hour for a person.
    Politely,
    Silently,
}

#[derive(Debug, Clone)]
pub struct BotConfig {
    pub name: BotName,
    /// A built-in adapter's name, or a path to a component.
    pub adapter: String,
    /// None: the adapter's first.
    pub mode: Option<String>,
    pub agent: String,
    pub scope: Scope,
    pub workspace: PathBuf,
    /// Concurrent sessions work in the same folder.
    pub workspace_shared: bool,
    /// Person ids, `group:NAME`, or `*`.
    pub allow: Vec<String>,
    /// Who may decide for others besides the asker; same words as `allow`.
    pub approvers: Vec<String>,
    /// The asker may decide what they asked for.
    pub asker_approves: bool,
    pub refuse: Refuse,
    /// How a person asks to be let in: an address or a name, said in the polite refusal.
    pub contact: Option<String>,
    /// In channels: answer only what is addressed to the bot, or everything.
    pub listen_to_all: bool,
    pub api_base: Option<String>,
    pub secrets: BTreeMap<String, SecretText>,
    pub settings: BTreeMap<String, String>,
    /// What the adapter may reach besides the api-base and what its manifest asks for, by the operator's word;
    /// also makes private addresses of exactly these hosts reachable.
    pub grant_hosts: Vec<String>,
    /// Messages that wait in one session's queue.
    pub queue_limit: usize,
    /// Messages a person may send in a minute; none: no limit.
    pub per_user_per_minute: Option<u32>,
    /// How long a question waits for a person.
    pub ask_timeout: Duration,
    /// Memory of one guest call.
    pub memory_bytes: usize,
    /// Time of one guest call, without its waiting for the host.
    pub call_timeout: Duration,
    /// Show the agent's thinking.
    pub show_thinking: bool,
}

/// A mistake in bots.toml, or a warning about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `bot[0].secrets.bot_token`.
    pub key: String,
    /// From 1; none where nothing stands in the file.
    pub line: Option<usize>,
    pub message: String,
    pub hint: Option<String>,
    /// It does not keep the host from running.
    pub warning: bool,
}
