//! bots.toml and the environment: the only module that reads either. The text becomes typed keys with their lines
//! in [`raw`] (unknown keys refused with the nearest known one), and those become [`Config`] in [`check`]. Both
//! go on after a mistake, so that every problem is told at once, each with its key path and line.

pub mod adapter;
pub mod check;
pub mod environment;
mod known;
mod limit;
mod nearest;
mod problem;
mod program;
pub mod raw;
mod secret;
mod section;
mod unit;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::chat::{BotName, RouteStep};

pub use adapter::check_against;
pub use environment::{Environment, environment, variable};
pub use known::KnownAgent;
pub use limit::{Limit, Limits};
pub use problem::{Problem, locate, render};

/// Adapters that are part of the binary; any other is a path to a component.
pub const BUILT_IN_ADAPTERS: [&str; 4] = ["discord", "feishu", "slack", "web"];

/// Words of `allow` and `approvers` that stand for more than one person begin so; `*` is everybody.
const ALLOW_KINDS: [&str; 2] = ["group:", "tenant:"];

/// The agent of a bot that names none: `claude` if it is on PATH, else the demo agent.
pub const AUTO_AGENT: &str = "auto";

/// The demo agent by its name: always there, needs no login.
pub const DEMO_AGENT: &str = "demo";

/// A secret's value. Neither printed nor serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The value: only `egress`, `crypto`, webhook verification and managed transports call this.
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
    /// By name: those of the file, and `auto` and `demo` where a bot uses them.
    pub agents: BTreeMap<String, AgentProfile>,
    /// In the order of the file; at least one.
    pub bots: Vec<BotConfig>,
}

impl Config {
    /// Reads and checks bots.toml with the process's environment. Paths in it are relative to its folder. Answers
    /// the config and the warnings, or every problem (with the warnings), in the order of the lines.
    pub fn load(path: &Path) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Self::load_with(path, &environment())
    }

    /// Only the agents of the file, also where something else in it is wrong, with the problems that each of them has. The
    /// problems of the whole if it is no TOML.
    pub fn agents(path: &Path, environment: &Environment) -> Result<Vec<(AgentProfile, Vec<Problem>)>, Vec<Problem>> {
        let (text, folder) = read(path)?;
        let (raw, mut problems) = raw::read(&text);
        let Some(raw) = raw else { return Err(problems) };
        let config = check::check(&raw, &folder, environment, &mut problems);
        let agents = raw
            .agents
            .iter()
            .filter_map(|raw| config.agents.get(&raw.name))
            .cloned();
        let with_its_own = |agent: AgentProfile| {
            let key = section::join("agent", &agent.name);
            let own = |problem: &&Problem| {
                let below = problem.key.strip_prefix(&key);
                !problem.warning && below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let problems = problems.iter().filter(own).cloned().collect();
            (agent, problems)
        };
        Ok(agents.map(with_its_own).collect())
    }

    /// The same with another environment.
    pub fn load_with(path: &Path, environment: &Environment) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let (text, folder) = read(path)?;
        Self::parse(&text, &folder, environment)
    }

    /// The same with a text; paths in it are relative to `folder`.
    pub fn parse(text: &str, folder: &Path, environment: &Environment) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let (raw, mut problems) = raw::read(text);
        // A text that is not TOML has no keys to check: what a parser guesses after an error would mislead.
        let checked = raw.map(|raw| check::check(&raw, folder, environment, &mut problems));
        problem::sort(&mut problems);
        match checked {
            Some(config) if problems.iter().all(|problem| problem.warning) => Ok((config, problems)),
            _ => Err(problems),
        }
    }
}

/// The file, and the folder that its paths are relative to.
fn read(path: &Path) -> Result<(String, PathBuf), Vec<Problem>> {
    let text = std::fs::read_to_string(path).map_err(|error| vec![problem::unreadable(&error)])?;
    // An absolute folder: agents run in other working folders.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Ok((text, absolute.parent().unwrap_or(Path::new("/")).to_owned()))
}

/// `[host]`.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Where webhooks and the web page are served. Default: `127.0.0.1:8787`.
    pub listen: SocketAddr,
    /// The store, files, caches and the control socket. Default: `data`.
    pub data_dir: PathBuf,
    /// What vendors reach this host by, for `route-url`; no trailing slash. Default: none.
    pub public_url: Option<String>,
    /// Needed to listen beyond loopback; opens the web page. Default: none.
    pub password: Option<SecretText>,
    /// How long done things and their keys are kept; at least 8 hours. Default: 7 days.
    pub retention: Duration,
    /// For calls to vendors. May hold a password. Default: none.
    pub proxy: Option<String>,
    /// PEM file of a further certificate authority. Default: none.
    pub ca_file: Option<PathBuf>,
    /// What live CLI processes may take of the memory, over all bots. None: half of what there is.
    pub memory_budget_bytes: Option<u64>,
    /// Live CLI processes at the same time, over all bots, however small they are. Default: 256.
    pub max_processes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    /// Claude Code's stream-json.
    Claude,
    /// The Agent Client Protocol.
    Acp,
    /// A command that reads a prompt and prints an answer.
    Exec,
}

/// The word of an `exec` agent's command that the prompt takes the place of.
pub const PROMPT_PLACE: &str = "{prompt}";

/// What people said takes the place of this in what a step of a route says.
pub const MESSAGE_PLACE: &str = "{message}";

/// And this is the place of what was answered in the step before.
pub const ANSWER_PLACE: &str = "{answer}";

/// How the CLI logs in.
#[derive(Debug, Clone)]
pub enum Login {
    /// The operator's own login in their home: only for a bot that serves only its operator.
    Operator,
    /// `ANTHROPIC_API_KEY`, or the variable of another agent that we know.
    ApiKey(SecretText),
    /// `CLAUDE_CODE_OAUTH_TOKEN`, from `claude setup-token`.
    Token(SecretText),
    /// Nothing: the command logs in by itself, or needs no login (the demo agent).
    None,
}

/// A configured CLI: `[agent.NAME]`.
#[derive(Clone)]
pub struct AgentProfile {
    pub name: String,
    /// Default: `claude`.
    pub driver: DriverKind,
    /// Found already: an absolute program, then its fixed arguments. Default: `["claude"]`.
    pub command: Vec<String>,
    /// Default: what the CLI takes.
    pub model: Option<String>,
    /// Default: `default`.
    pub permission_mode: String,
    pub allowed_tools: Vec<String>,
    pub disallowed_tools: Vec<String>,
    /// Appended to the CLI's own system prompt; over ACP, which has none, before the first message.
    pub instructions: Option<String>,
    /// References are resolved: may hold secrets, so `Debug` shows the names only.
    pub env: BTreeMap<String, String>,
    /// Default: `Operator` where only the operator's own bots use the agent, else `None`.
    pub login: Login,
    /// From spawn to `Ready`. Default: 60 seconds.
    pub start_timeout: Duration,
    /// Idle processes are closed after this. Default: 10 minutes.
    pub idle_timeout: Duration,
    /// A process is kept ready for whoever is new. Default: false.
    pub spare: bool,
    pub limits: Limits,
    /// `exec`: what was said before stands before each message. Default: false.
    pub history: bool,
    /// It is the demo agent: the chat and the terminal say how to connect a real one.
    pub demo: bool,
}

impl AgentProfile {
    /// The modes that people may choose in a chat, where it has them: in each it asks as much as it must. The others are the
    /// operator's to set. Of an agent that is not known none is known to ask.
    pub fn chat_modes(&self) -> &'static [&'static str] {
        let known = || KnownAgent::of_command(&self.command);
        match self.driver {
            _ if self.demo => &[],
            DriverKind::Claude => &known::CLAUDE_MODES,
            DriverKind::Acp => known().map_or(&[], KnownAgent::asking_modes),
            DriverKind::Exec => &[],
        }
    }
}

impl fmt::Debug for AgentProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentProfile")
            .field("name", &self.name)
            .field("driver", &self.driver)
            .field("command", &self.command)
            .field("model", &self.model)
            .field("permission_mode", &self.permission_mode)
            .field("allowed_tools", &self.allowed_tools)
            .field("disallowed_tools", &self.disallowed_tools)
            .field("instructions", &self.instructions)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("login", &self.login)
            .field("start_timeout", &self.start_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("spare", &self.spare)
            .field("limits", &self.limits)
            .field("history", &self.history)
            .field("demo", &self.demo)
            .finish()
    }
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

/// What becomes of a message that comes while the agent works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileRunning {
    /// It waits for its turn.
    Queue,
    /// The turn that runs is stopped, and this is next.
    Interrupt,
    /// It becomes a part of the turn that runs, if the agent can listen while it works; else it waits for its turn.
    Steer,
}

/// `[route.NAME]`: a message goes from agent to agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub name: String,
    /// At least one, each with at least one agent of the bot.
    pub steps: Vec<RouteStep>,
}

/// `[[bot]]`.
#[derive(Debug, Clone)]
pub struct BotConfig {
    pub name: BotName,
    /// A built-in adapter's name, or the absolute path of a component.
    pub adapter: String,
    /// None: the adapter's first.
    pub mode: Option<String>,
    /// A name of [`Config::agents`]. Default: `auto`.
    pub agent: String,
    /// Further agents that people name, of [`Config::agents`]. Default: none.
    pub agents: Vec<String>,
    /// Default: none.
    pub routes: Vec<Route>,
    /// Default: `thread`.
    pub scope: Scope,
    /// Absolute. Default: `work`.
    pub workspace: PathBuf,
    /// Concurrent sessions work in the same folder. Default: false.
    pub workspace_shared: bool,
    /// Person ids, `group:NAME`, `tenant:ID`, or `*`. Default: nobody.
    pub allow: Vec<String>,
    /// Other bots that may talk to this one, by their ids on the platform. Default: none.
    pub allow_bots: Vec<String>,
    /// Messages in a row that only other bots said in a conversation and that are answered. Default: 10.
    pub bot_turns: u32,
    /// Who may decide for others besides the asker; same words as `allow`. Default: nobody.
    pub approvers: Vec<String>,
    /// The asker may decide what they asked for. Default: true.
    pub asker_approves: bool,
    /// Default: politely.
    pub refuse: Refuse,
    /// How a person asks to be let in: an address or a name, said in the polite refusal. Default: none.
    pub contact: Option<String>,
    /// In channels: answer only what is addressed to the bot, or everything. Default: false.
    pub listen_to_all: bool,
    /// Always ends with `/`. None: the adapter's own.
    pub api_base: Option<String>,
    pub secrets: BTreeMap<String, SecretText>,
    pub settings: BTreeMap<String, String>,
    /// `https://host[:port]` patterns that the adapter may reach besides the api-base and what its manifest asks
    /// for, by the operator's word; also makes private addresses of exactly these hosts reachable.
    pub grant_hosts: Vec<String>,
    /// Default: queue.
    pub while_running: WhileRunning,
    /// Messages that wait in one session's queue. Default: 20.
    pub queue_limit: usize,
    /// Messages a person may send in a minute; none (the default): no limit.
    pub per_user_per_minute: Option<u32>,
    /// How long a question waits for a person. Default: one day.
    pub ask_timeout: Duration,
    /// Memory of one guest call. Default: 64 MiB.
    pub memory_bytes: usize,
    /// Time of one guest call, without its waiting for the host. Default: 10 seconds.
    pub call_timeout: Duration,
    /// Show the agent's thinking. Default: false.
    pub show_thinking: bool,
    /// Show model, tokens and cost under each reply. Default: true.
    pub show_usage: bool,
    /// The largest file that is taken from, or given to, the chat. Default: 32 MiB.
    pub files_max_bytes: u64,
    /// Messages from before it was called that an agent is given. Default: none.
    pub history: u32,
    /// What the files of the bot may take on disk before old ones go. Default: 1 GiB.
    pub files_kept_bytes: u64,
}

impl BotConfig {
    /// Its agents by name; the first is asked where none is named.
    pub fn every_agent(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.agent).chain(&self.agents).map(String::as_str)
    }

    /// Only its operator is served: the local web chat, or exactly one person who was let in by id and no bot.
    pub fn serves_only_its_operator(&self) -> bool {
        let ([one], []) = (self.allow.as_slice(), self.allow_bots.as_slice()) else {
            return self.adapter == "web";
        };
        self.adapter == "web" || (one != "*" && !ALLOW_KINDS.iter().any(|kind| one.starts_with(kind)))
    }
}
