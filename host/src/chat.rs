//! The vocabulary that every module shares: bots, conversations, items, views.
//!
//! Owns the words and nothing else: no wasm, no tokio, no SQL. Values here are what is stored and what crosses
//! between adapter and session, so they serialise; nothing in a signature is a vendor's payload but the bytes of
//! an [`Event`].

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Defines an id that is a string: a newtype, so that a turn is never mistaken for a token.
macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);
        impl $name {
            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

id!(
    /// The name of a bot in bots.toml: `[a-z0-9][a-z0-9-]*`, at most 40 characters.
    BotName
);
id!(
    /// A turn: 16 characters of a-z 0-9, made by the host.
    TurnId
);
id!(
    /// What a button carries: 24 characters of A-Z a-z 0-9 - _, from 18 random bytes.
    Token
);
id!(
    /// Names one agent's memory: bot, scope and whose it is. Opaque outside [`crate::session`].
    SessionKey
);

id!(
    /// One conversation with an agent, as people name it: made by the host, of letters and digits.
    SessionId
);

impl TurnId {
    /// A new one: 80 random bits.
    pub fn random() -> Self {
        Self(letters::<16>())
    }
}

impl SessionId {
    /// A new one: 50 random bits. It is no secret: whose a session is, its key says.
    pub fn random() -> Self {
        Self(letters::<10>())
    }
}

/// So many of a-z 2-7, 5 random bits each.
fn letters<const N: usize>() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    random::<N>()
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect()
}

impl Token {
    /// A new one: 144 random bits, 24 characters.
    pub fn random() -> Self {
        use base64::Engine as _;
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random::<18>()))
    }
}

/// Bytes that nobody can guess.
///
/// # Panics
/// The operating system has no randomness to give: nothing the host does would be safe.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Now, as the wall clock has it.
pub fn now() -> UnixMillis {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            UnixMillis::try_from(since.as_millis()).unwrap_or(UnixMillis::MAX)
        })
}

impl Person {
    /// What to call them: name, handle or id.
    pub fn label(&self) -> &str {
        self.name.as_deref().or(self.handle.as_deref()).unwrap_or(&self.id)
    }
}

impl View {
    /// A finished view that says one thing: the answer to a command, a refusal.
    pub fn single(part: Part) -> Self {
        Self {
            turn: TurnId::random(),
            revision: 1,
            state: ViewState::Done,
            blocks: vec![Block {
                id: 1,
                parent: None,
                revision: 1,
                part,
                complete: true,
            }],
            stop_token: None,
            footer: None,
            extra: Vec::new(),
        }
    }
}

/// One step of a route: who is asked, all at the same time, and what they are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStep {
    /// Names of agents.
    pub to: Vec<String>,
    /// With `{message}` and `{answer}` in it. None: the host's own words.
    pub say: Option<String>,
}

/// The place of an item in the inbox: rises, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InboxId(pub i64);

/// Milliseconds since 1970 UTC.
pub type UnixMillis = i64;

/// HTTP-like headers, in order, names as they came.
pub type Headers = Vec<(String, String)>;

/// The state of a bot's connection to its platform, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    Connecting,
    Live,
    /// It does not work now and is tried again; when, where that is known.
    Degraded {
        why: String,
        retry_at: Option<UnixMillis>,
    },
    /// It will not get better by itself: one sentence with what to do.
    Refused {
        why: String,
    },
}

/// Where something was said. All ids are the vendor's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Conversation {
    /// Workspace, guild or tenant.
    pub tenant: Option<String>,
    pub channel: String,
    pub thread: Option<String>,
    /// Nobody but one person and the bot reads it.
    pub direct: bool,
}

impl Conversation {
    /// None: the event did not tell (`?`); then a message's id must be enough.
    pub fn told_channel(&self) -> Option<&str> {
        Some(self.channel.as_str()).filter(|channel| *channel != "?")
    }
}

/// Somebody on a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub id: String,
    pub name: Option<String>,
    /// What people type after `@` to name them, where that is not the id.
    pub handle: Option<String>,
    pub tenant: Option<String>,
    /// Roles or groups; access rules may name them.
    pub groups: Vec<String>,
    /// BCP 47.
    pub locale: Option<String>,
    pub bot: bool,
}

/// A file that the host keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    pub id: String,
    pub name: String,
    pub media_type: String,
    pub size_bytes: u32,
}

/// The media type that a file's name speaks of.
pub fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    match extension.as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("pdf") => "application/pdf",
        Some("json") => "application/json",
        Some("csv") => "text/csv",
        Some("md") => "text/markdown",
        Some("html" | "htm") => "text/html",
        Some("txt" | "log" | "rs" | "py" | "js" | "ts" | "toml" | "yaml" | "yml" | "diff" | "patch") => "text/plain",
        Some("zip") => "application/zip",
        Some("mp4") => "video/mp4",
        Some("mp3") => "audio/mpeg",
        Some("ogg") => "audio/ogg",
        _ => "application/octet-stream",
    }
}

/// A file that stays with the vendor until somebody wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub name: String,
    pub media_type: Option<String>,
    pub size_bytes: Option<u32>,
    /// Opaque to the host: where the adapter's `attachments.fetch` finds it.
    pub source: String,
}

/// One thing from a transport, in the vendor's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `webhook`, `link`, or the managed transport's name.
    pub transport: String,
    /// The route, or what the transport calls this event.
    pub name: String,
    /// Empty unless it came by webhook.
    pub method: String,
    pub query: String,
    /// Without what the host compared with a secret.
    pub headers: Headers,
    #[serde(with = "payload")]
    pub payload: Vec<u8>,
    pub received: UnixMillis,
}

mod payload {
    //! Event payloads are almost always text: kept readable where they are, base64 where they are not.
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    enum Stored {
        Text(String),
        Base64(String),
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Stored::Text(text.to_owned()),
            Err(_) => Stored::Base64(STANDARD.encode(bytes)),
        }
        .serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        match Stored::deserialize(d)? {
            Stored::Text(text) => Ok(text.into_bytes()),
            Stored::Base64(text) => STANDARD.decode(text).map_err(serde::de::Error::custom),
        }
    }
}

/// What the vendor is told: an HTTP response, a socket's acknowledgement, an interaction's callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

/// What every item has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The same for every event that tells of the same thing: duplicates stop here.
    pub key: String,
    pub conversation: Conversation,
    pub sender: Person,
    /// The vendor's own time, in milliseconds, where it has one.
    pub sent: Option<UnixMillis>,
    /// Handed back to the adapter for the turn that this opens.
    pub reply_to: Vec<u8>,
}

/// What an event means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub origin: Origin,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    Message(Message),
    /// The message as it now stands.
    Edited(Message),
    /// The vendor's id.
    Deleted(String),
    Command(Command),
    Press(Press),
    Reacted(Reaction),
    /// The platform's own stop control.
    Stop,
    Other(Other),
    /// Of no platform: what an agent has to do for a message that goes from agent to agent.
    Routed(Routed),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// The message that began it.
    pub run: InboxId,
    /// From 0.
    pub step: usize,
    pub agent: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The vendor's id.
    pub id: String,
    /// Markdown; mentions of the bot removed, other persons as `<@id>`.
    pub text: String,
    pub mentions: Vec<Person>,
    /// It speaks to the bot: direct, or mentioned.
    pub addressed: bool,
    /// The message that it answers.
    pub quotes: Option<Quote>,
    /// The thread that a threaded answer to it would be in, when it is in none.
    pub new_thread: Option<String>,
    pub attachments: Vec<Attachment>,
    /// Several events that are one message (an album): id, and how long after the last they are held back.
    pub group: Option<(String, Duration)>,
}

impl Message {
    /// Neither words nor files, and it answers nothing that has some.
    pub fn says_nothing(&self) -> bool {
        let quoted = self
            .quotes
            .as_ref()
            .is_some_and(|quoted| !quoted.text.trim().is_empty());
        self.text.trim().is_empty() && !quoted && !self.brings_files()
    }

    /// It brings files, or answers one that did.
    pub fn brings_files(&self) -> bool {
        let quoted = self.quotes.as_ref();
        !self.attachments.is_empty() || quoted.is_some_and(|quoted| !quoted.attachments.is_empty())
    }
}

/// What a message answers, as far as the event tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The vendor's id.
    pub id: String,
    pub sender: Option<Person>,
    /// Markdown; may be empty.
    pub text: String,
    pub attachments: Vec<Attachment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub name: String,
    pub arguments: String,
    pub attachments: Vec<Attachment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Press {
    pub token: Token,
    /// None: a button. Some: chosen options or the fields of a form, by name.
    pub values: Option<Vec<(String, String)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The vendor's id of the message.
    pub id: String,
    pub emoji: String,
    pub added: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    pub name: String,
    pub fields: Vec<(String, String)>,
}

/// What `ingress.translate` makes of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    pub items: Vec<Item>,
    /// What the vendor is told once the items are stored; none = the route's fallback.
    pub answer: Option<Answer>,
}

/// The immediate word to whoever pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done; a word for a toast.
    Taken(String),
    /// Not theirs to decide, too late, already decided: for this person alone.
    Refused(String),
    /// Open this form now.
    Open(Form),
    /// The answer follows as a view; true: for this person alone.
    Later(bool),
    /// The form is wrong: field and what to say of it.
    Correct(Vec<(String, String)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepState {
    Waiting,
    Running,
    Done,
    Failed,
    Denied,
}

/// A tool call, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `read`, `edit`, `delete`, `move`, `search`, `execute`, `think`, `fetch`; anything else is `other`.
    pub kind: String,
    pub title: String,
    pub detail: String,
    /// At most 4 KiB.
    pub output: String,
    pub state: StepState,
    pub elapsed: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlanState {
    Pending,
    Active,
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanItem {
    pub text: String,
    pub state: PlanState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Style {
    Plain,
    Primary,
    Danger,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub label: String,
    pub description: String,
    pub token: Token,
    pub style: Style,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionItem {
    pub label: String,
    pub description: String,
    pub value: String,
}

/// Several may be chosen; the values come back with the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    pub token: Token,
    pub options: Vec<OptionItem>,
    pub submit: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldKind {
    Line,
    Paragraph,
    OneOf(Vec<OptionItem>),
    SomeOf(Vec<OptionItem>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    pub label: String,
    pub kind: FieldKind,
    pub value: String,
    pub placeholder: String,
    pub required: bool,
}

/// Several answers at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    pub token: Token,
    pub title: String,
    pub fields: Vec<Field>,
    pub submit: String,
}

/// Something only a person can decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub title: String,
    pub text: String,
    pub choices: Vec<Choice>,
    pub selection: Option<Selection>,
    /// What was decided and by whom: nothing can be pressed any more.
    pub settled: Option<String>,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    Tool,
    /// Whether to go ahead with a plan.
    Plan,
    /// The agent wants to know something.
    Questions(Vec<Question>),
}

/// A question of the agent to the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub text: String,
    /// Label and description.
    pub options: Vec<(String, String)>,
    /// More than one may be chosen.
    pub several: bool,
}

/// What of a tool's input a person may change before they allow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Editable {
    No,
    /// The whole of it.
    Json,
    /// This member of it, a text.
    Field(String),
}

/// What "allow for this session" would allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    /// In the driver's own form; given back when it is allowed, and to every later process of the session, where the agent
    /// can be told that.
    pub updates: String,
    /// For the person: `Bash(git log *)`.
    pub words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tone {
    Info,
    Warning,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub tone: Tone,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Markdown (CommonMark with tables).
    Text(String),
    Thinking(String),
    Step(Step),
    Plan(Vec<PlanItem>),
    Ask(Ask),
    File(FileRef),
    Notice(Notice),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub id: u32,
    /// The block of the sub-agent that it belongs to.
    pub parent: Option<u32>,
    /// The view's revision that last changed it.
    pub revision: u32,
    pub part: Part,
    pub complete: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewState {
    /// Its place in the queue, from 1.
    Waiting(u32),
    Running,
    Asking,
    Done,
    Stopped,
    /// One sentence for the person.
    Failed(String),
}

impl ViewState {
    /// Nothing more will come.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Done | Self::Stopped | Self::Failed(_))
    }
}

/// What the reply looks like now. Always whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub turn: TurnId,
    /// Rises, also over a restart of the host; the same view again has the same.
    pub revision: u32,
    pub state: ViewState,
    pub blocks: Vec<Block>,
    /// Pressing it ends the turn.
    pub stop_token: Option<Token>,
    pub footer: Option<String>,
    pub extra: Vec<(String, String)>,
}

/// Where a view is to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub conversation: Conversation,
    /// Of the item that opened the turn; empty when the bot speaks first.
    pub reply_to: Vec<u8>,
    /// Only this person may read it.
    pub private_to: Option<String>,
}

/// What the bot's own account must be told of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSpec {
    pub name: String,
    pub description: String,
    pub argument: Option<CommandArgument>,
}

/// What may follow a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandArgument {
    pub name: String,
    pub description: String,
    pub required: bool,
    /// All that it can be; empty: anything.
    pub choices: Vec<String>,
}

/// A message that was said before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub id: String,
    pub sender: Person,
    pub text: String,
    pub attachments: Vec<Attachment>,
}

/// How bad it is that something is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Fine,
    /// Something does not work without it.
    Warning,
    /// The bot is of no use without it.
    Error,
}

/// Whether something an account needs is there, and what to do if not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub subject: String,
    pub advice: String,
}

/// What an adapter's call came to, by what the caller can do about it. The same cases as the interface's
/// `error`, and what only the host can say of a guest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("rate limited")]
    RateLimited(Option<Duration>),
    #[error("unavailable: {0}")]
    Unavailable(String),
    #[error("unauthorized: {0}")]
    Unauthorized(String),
    #[error("gone: {0}")]
    Gone(String),
    #[error("too large: the limit is {0}")]
    TooLarge(u32),
    /// It may have been done: never repeated blindly.
    #[error("it may have been done: {0}")]
    Ambiguous(String),
    #[error("rejected: {0}")]
    Rejected(String),
    #[error("malformed: {0}")]
    Malformed(String),
    /// The guest trapped, ran out of time, memory or output: one call is lost, the next works.
    #[error("the adapter failed: {0}")]
    Trapped(String),
    /// The component does not export that interface.
    #[error("the adapter does not offer `{0}`")]
    Missing(&'static str),
}
