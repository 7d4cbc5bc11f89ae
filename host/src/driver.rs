//! What speaks a CLI's protocol. Every driver is a task that takes [`Command`]s and gives [`AgentEvent`]s, in one
//! vocabulary for all CLIs; an agent is always a process, started through [`process`].

mod about;
pub(crate) mod acp;
pub mod claude;
mod environment;
pub(crate) mod exec;
mod failure;
mod plain;
pub mod process;
mod stdio;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::chat::{Editable, Lasting, Part, PlanItem, Subject, UnixMillis};
use crate::config::{AgentProfile, DriverKind};

pub use about::{About, about};

/// How a process of an agent is started for one session.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The CLI's working folder; made if it is not there.
    pub workspace: PathBuf,
    /// The CLI's own folder for its settings and its memory (`CLAUDE_CONFIG_DIR`); none: the operator's own login.
    pub config_dir: Option<PathBuf>,
    /// `TMPDIR` of the process.
    pub temp_dir: PathBuf,
    /// The CLI's id for the conversation: a UUID of ours, until the CLI gives another (`Session`).
    pub cli_session: String,
    /// Go on with `cli_session` rather than begin it.
    pub resume: bool,
    /// Begin `cli_session` as a copy of this conversation.
    pub fork: Option<String>,
    /// What the chat chose, instead of the profile's.
    pub model: Option<String>,
    pub mode: Option<String>,
    /// What people allowed for the whole session: [`Lasting::updates`] of earlier processes.
    pub allowed: Vec<String>,
    /// What the host tells the agent of the chat, behind the profile's instructions.
    pub note: Option<String>,
}

/// An image for the model itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    /// As Anthropic's API names it.
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} bytes", self.media_type, self.bytes.len())
    }
}

impl Launch {
    /// The profile's instructions and the host's note.
    fn instructions(&self, profile: &AgentProfile) -> Option<String> {
        let both: Vec<&str> = [&profile.instructions, &self.note]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        (!both.is_empty()).then(|| both.join("\n\n"))
    }
}

/// What a session tells its agent.
#[derive(Debug)]
pub enum Command {
    /// One user message. `id` is a UUID, the message's idempotency key: a CLI swallows one that it has seen, and an
    /// older one (2.1.197) also where it died before it answered. What is to be done again needs a new id. May be
    /// given before `Ready`. A driver whose protocol takes no images leaves them out: the text says where they lie.
    Prompt {
        id: String,
        text: String,
        images: Vec<Image>,
    },
    /// A user message for the turn that runs: the agent reads it after its next step, or, where none comes, at the end,
    /// and answers it in the same turn. Only for an agent that can ([`Abilities::steer`]), while a prompt is open.
    Steer {
        id: String,
        text: String,
        images: Vec<Image>,
    },
    /// Sum the conversation up to make room; a turn like that of a prompt. `focus`: what matters, may be empty.
    Compact { id: String, focus: String },
    /// The answer to [`AgentEvent::Permission`].
    Decide { request: String, answer: Answer },
    /// From the next request to the model on.
    SetModel(String),
    /// The permission mode, from now on.
    SetMode(String),
    /// End the turn, keep the process.
    Interrupt,
    /// Close stdin: the process finishes and exits. It is killed if it is idle and does not.
    Close,
    /// End the process and all its descendants now.
    Kill,
}

/// What a person decided about a [`Permission`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Lets exactly this request through.
    Allow,
    /// And the like of it until the process ends: [`Lasting::updates`].
    AllowLasting(String),
    /// With this input instead: JSON.
    AllowWith(String),
    /// The answers to its questions, by the question's text.
    Answers(Vec<(String, String)>),
    /// Why not, for the agent.
    Deny(String),
}

/// A tool call that needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The CLI's id of the request, valid in this process only.
    pub request: String,
    /// The tool call that it is about.
    pub call: String,
    pub tool: String,
    /// The input, canonical JSON.
    pub input: String,
    /// One line that says what would be done: `Bash: rm -rf build`.
    pub title: String,
    /// What a person needs to see to decide: the command, the diff, the path. Markdown.
    pub detail: String,
    pub subject: Subject,
    pub editable: Editable,
    /// None: only this once.
    pub lasting: Option<Lasting>,
    /// It is told why something is denied.
    pub hears: bool,
}

/// What a session with an agent can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Go on with a conversation in another process.
    pub resume: bool,
    /// Go on with a copy of it.
    pub fork: bool,
    /// Show images to its model.
    pub images: bool,
    /// Ask a person before it does something.
    pub approvals: bool,
    /// Listen while it works.
    pub steer: bool,
}

/// What an agent has to choose from, and what it can do. None: it says nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    pub tools: Option<Vec<String>>,
    pub models: Option<Vec<String>>,
    pub modes: Option<Vec<String>>,
    /// The mode it is in.
    pub mode: Option<String>,
    pub abilities: Option<Abilities>,
}

/// Why a turn failed, in words for the person, and the cause for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// One plain sentence.
    pub sentence: String,
    /// For the log: exit code, the end of stderr, the CLI's own text.
    pub cause: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Not found, not executable, not answering; it refused to begin.
    Start,
    /// It ran, and ended before it was ready.
    Unready,
    NotLoggedIn,
    RateLimited,
    /// The model's API failed.
    Api,
    /// `max_turns`, `max_budget`.
    Limit,
    /// The process died.
    Died,
    /// The CLI has no such conversation to resume: begin a fresh one.
    NoConversation,
    Other,
}

/// What an agent does, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// The process answers; comes once, before everything else but `Offers`.
    Ready {
        /// 0: there is one only while a turn runs.
        pid: u32,
        version: Option<String>,
    },
    /// The CLI's id for the conversation; may change (`/clear`). Always keep the newest.
    Session {
        id: String,
        model: Option<String>,
    },
    /// Where that is known or has changed.
    Offers(Offers),
    /// It took this message up: it now stands in the CLI's transcript.
    Started {
        id: String,
    },
    /// It works, and there is nothing to show of it: it writes a tool's input.
    Alive,
    /// Text as it comes. `block` names it until `Text`/`Thinking` with the same number makes it certain. A new
    /// `Restart` withdraws what is not certain.
    TextDelta {
        block: u64,
        text: String,
    },
    ThinkingDelta {
        block: u64,
        text: String,
    },
    /// The whole, certain text of a block. `parent`: the tool call of the sub-agent that said it.
    Text {
        block: u64,
        text: String,
        parent: Option<String>,
    },
    Thinking {
        block: u64,
        text: String,
        parent: Option<String>,
    },
    /// The stream broke and is tried again: uncertain text is withdrawn.
    Restart,
    Tool {
        call: String,
        parent: Option<String>,
        kind: &'static str,
        title: String,
        detail: String,
    },
    ToolEnded {
        call: String,
        failed: bool,
        denied: bool,
        output: String,
    },
    Plan(Vec<PlanItem>),
    Permission(Box<Permission>),
    /// The CLI no longer waits for this answer.
    PermissionWithdrawn {
        request: String,
    },
    /// It is going to try again after this long.
    Retrying {
        attempt: u32,
        of: u32,
        after: Duration,
        reason: String,
    },
    /// The account's limit is reached, or nearly. `until`: when it is lifted.
    Limited {
        until: Option<UnixMillis>,
        reached: bool,
    },
    Compacting,
    Usage {
        input_tokens: u64,
        output_tokens: u64,
        cost_usd: Option<f64>,
    },
    /// One result; the turn is over only when `Idle` comes.
    Result {
        outcome: Outcome,
    },
    /// Nothing runs and nothing is queued: the turn is over. After a prompt there is always a `Result` before it; also
    /// work that nobody asked for just now (a background task reports) ends with one. `background`: tasks that go on.
    Idle {
        background: u32,
    },
    /// So many tasks run in the background now; told where that changes between two `Idle`, with or without a turn.
    Background {
        tasks: u32,
    },
    /// The process is gone; always the last event. None: it exited as asked, code 0.
    Exited {
        failure: Option<Failure>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// Interrupted.
    Stopped,
    Failed(Failure),
}

/// A running agent. Dropping both ends kills the process.
#[derive(Debug)]
pub struct Agent {
    /// Bounded.
    pub commands: mpsc::Sender<Command>,
    /// Bounded: an agent that is not listened to waits.
    pub events: mpsc::Receiver<AgentEvent>,
}

/// The files in which an agent itself keeps one conversation, with the session's folders; they may be gone. None: it is not
/// known where it does. May block.
pub fn kept(profile: &AgentProfile, config: Option<&Path>, temp: &Path, cli_session: &str) -> Option<Vec<PathBuf>> {
    match profile.driver {
        DriverKind::Claude => Some(claude::kept(profile, config, cli_session)),
        DriverKind::Exec => Some(exec::kept(config.unwrap_or(temp), cli_session)),
        DriverKind::Acp => None,
    }
}

/// An agent in a person's own terminal, going on with the conversation of `launch`, and what is to be done before. `visits`:
/// a file in which it tells to which conversations it went.
///
/// # Errors
/// It has no such form; why.
pub fn in_terminal(profile: &AgentProfile, launch: &Launch, visits: &Path) -> Result<process::Program, String> {
    match profile.driver {
        DriverKind::Claude => Ok(claude::terminal::program(profile, launch, visits)),
        DriverKind::Acp => acp::terminal::program(profile, launch),
        DriverKind::Exec => {
            Err("an `exec` agent is a process only while it answers, nobody can speak with it".to_owned())
        }
    }
}

/// What must be there before [`in_terminal`] is started. May block.
pub fn before_terminal(profile: &AgentProfile, launch: &Launch) -> std::io::Result<()> {
    match profile.driver {
        DriverKind::Claude => claude::terminal::prepare(profile, launch),
        DriverKind::Acp | DriverKind::Exec => Ok(()),
    }
}

/// What was said in a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meanwhile {
    /// The conversations that it went to after the one that it began with, oldest first: the newest is the one to go on
    /// with.
    pub went_to: Vec<String>,
    /// None: it is not known what was said.
    pub said: Option<Vec<Exchange>>,
}

/// What a person said, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    pub prompt: String,
    pub parts: Vec<Part>,
}

/// What was said since the conversation was as long as `marks` says, by what stands in `visits`. May block.
pub fn meanwhile(profile: &AgentProfile, marks: &[(PathBuf, u64)], visits: &str) -> Meanwhile {
    match profile.driver {
        DriverKind::Claude => claude::transcript::meanwhile(marks, visits),
        DriverKind::Acp | DriverKind::Exec => Meanwhile::default(),
    }
}

/// A conversation that was begun with an agent's own program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The folder in which it was spoken to; none: it does not say.
    pub worked_in: Option<PathBuf>,
    /// At least one.
    pub said: Vec<Exchange>,
    /// Where its copy is.
    pub file: PathBuf,
}

/// Why a conversation is not brought.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    #[error("conversations of this agent cannot be brought: where it keeps them is its own affair")]
    Unable,
    #[error(
        "nothing was said to the agent in this session yet, so it is not known where it keeps its \
             conversations: say something in the chat first"
    )]
    NoPlace,
    #[error("`{path}` is no conversation of this agent's: {why}")]
    NotOne { path: PathBuf, why: String },
    #[error("`{path}`: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

/// Copies the conversation in `file` to where the agent resumes it as `id`, in the working folder of one of which it keeps
/// `beside`. `file` stays as it is. May block.
///
/// # Errors
/// There is no copy.
pub fn bring(profile: &AgentProfile, file: &Path, beside: &[PathBuf], id: &str) -> Result<Brought, BringError> {
    match profile.driver {
        DriverKind::Claude => claude::transcript::bring(file, beside, id),
        DriverKind::Acp | DriverKind::Exec => Err(BringError::Unable),
    }
}

/// Starts a process of this profile. Returns at once; whether it lives is told by the first event: `Ready`, or
/// `Exited` with the reason.
pub fn start(profile: &AgentProfile, launch: Launch) -> Agent {
    match profile.driver {
        DriverKind::Claude => claude::start(profile, launch),
        DriverKind::Acp => acp::start(profile, launch),
        DriverKind::Exec => exec::start(profile, launch),
    }
}
