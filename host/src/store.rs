//! What survives: inbox, outbox, sessions, turns, asks, keys and values, timers, the local web chat's messages.
//!
//! [`Store`] is the trait that a database implements, synchronously, on a thread of its own. [`Journal`] is the
//! handle that everyone else holds: it groups the writes of all conversations into one commit and answers when
//! that commit is on disk. Nothing outside this module names a database.

pub mod journal;
mod run;
pub mod sqlite;

#[cfg(test)]
pub(crate) mod conformance;

use serde::{Deserialize, Serialize};

use crate::chat::{
    BotName, Conversation, Editable, Event, InboxId, Item, Lasting, SessionId, SessionKey, Subject, Target, Token,
    TurnId, UnixMillis, View, What,
};

pub use journal::Journal;
pub use run::{Came, RunPart, RunRow};

/// What went wrong, by what the caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Disk full, file locked, I/O error: nothing of the write was kept. Try again later; a vendor gets a 503.
    #[error("the store cannot be written: {0}")]
    Unavailable(String),
    /// The file is of a newer botyard, or not ours.
    #[error("the store cannot be used: {0}")]
    Unusable(String),
    /// A value in the store does not parse: that value is lost, the store goes on.
    #[error("a stored value is damaged: {0}")]
    Damaged(String),
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// How far an item of the inbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InboxState {
    /// Stored and acknowledged, nothing was done yet.
    New,
    /// A turn was opened for it; the turn's own state says more.
    Taken,
    /// Nothing more will be done. The row stays until its key may be forgotten.
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    pub id: InboxId,
    pub bot: BotName,
    pub item: Item,
    pub received: UnixMillis,
    pub state: InboxState,
}

/// A raw event that could not be translated (yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsideRow {
    pub id: i64,
    pub bot: BotName,
    pub event: Event,
    /// Why; for the operator.
    pub reason: String,
    /// True: the guest was late or trapped, translating it again may work. False: it never will.
    pub again: bool,
    pub attempts: u32,
    pub received: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnState {
    /// Waits in its session's queue.
    Queued,
    /// Was handed to an agent: after a crash it may have acted.
    Running,
    /// Waits for a person's decision; see the asks.
    Asking,
    /// Its final view is in the outbox.
    Done,
}

/// What an agent is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnKind {
    /// What a person said.
    #[default]
    Message,
    /// To sum the conversation up; the prompt says what matters.
    Compact,
}

/// One question and everything until the agent is idle again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnRow {
    pub id: TurnId,
    pub bot: BotName,
    pub session: SessionKey,
    /// The session that it was opened in; it is worked on in the one that is current then.
    pub session_id: SessionId,
    pub kind: TurnKind,
    /// None: the bot spoke first (an agent's background work).
    pub inbox: Option<InboxId>,
    pub state: TurnState,
    /// How many times it was handed to an agent. The view's revisions begin at `attempt << 20`.
    pub attempt: u32,
    pub target: Target,
    /// Who asked: the vendor's id of the person.
    pub asker: String,
    /// What the agent is told, as it was composed.
    pub prompt: String,
    pub opened: UnixMillis,
    /// The view as it was last kept (at a question, at the end); what a restart goes on from.
    pub view: Option<View>,
    /// What came with the message and lies in the agent's workspace.
    pub files: Vec<InFile>,
}

/// Where a turn stands in the log of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnPlace {
    pub(crate) opened: UnixMillis,
    pub(crate) row: i64,
}

/// A part of the log of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnPage {
    /// Newest first; without those that cannot be read.
    pub turns: Vec<TurnRow>,
    /// Where what comes next begins. None: nothing does.
    pub next: Option<TurnPlace>,
}

/// A part of the list of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPage {
    /// Newest first; without those that cannot be read.
    pub sessions: Vec<SessionRow>,
    /// There is something behind it, if only what cannot be read.
    pub more: bool,
}

/// What is left of a turn that cannot be read: columns that hold no values of our own types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnScrap {
    pub id: TurnId,
    pub inbox: Option<InboxId>,
    pub attempt: u32,
}

/// A file that came with a message, as the agent is handed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFile {
    /// Of the host's files.
    pub id: String,
    /// As it is called in the workspace.
    pub name: String,
    pub media_type: String,
    pub size_bytes: u32,
}

/// One conversation with an agent. Under a key there may be several, of which one is current: it gets what is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    pub id: SessionId,
    pub key: SessionKey,
    pub bot: BotName,
    pub agent: String,
    pub conversation: Conversation,
    /// The person that it belongs to, where the scope is `user`.
    pub owner: Option<String>,
    /// The CLI's own id for the conversation; none before the first turn and after `clear`.
    pub cli_session: Option<String>,
    /// True once the CLI is known to have kept something under `cli_session`.
    pub resumable: bool,
    /// `cli_session` is to begin as a copy of this conversation of the CLI's.
    pub fork: Option<String>,
    /// Counts `new` under the key: the working folder is of this epoch.
    pub epoch: u32,
    /// What its folders are called, if they were a process's before they were those of this key.
    #[serde(default)]
    pub home: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// The beginning of what was said first, and of what was answered last.
    pub first: String,
    pub last: String,
    /// Turns that came to an end.
    pub turns: u32,
    /// Chosen in the chat, instead of the agent's own.
    pub model: Option<String>,
    pub mode: Option<String>,
    /// What people allowed for the whole session: the driver's [`Lasting::updates`].
    pub allowed: Vec<String>,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Millionths of a US dollar.
    pub cost_micros: u64,
    pub created: UnixMillis,
    pub updated: UnixMillis,
}

impl SessionRow {
    /// One that nobody has said anything in.
    pub fn begin(key: SessionKey, bot: BotName, agent: String, conversation: Conversation) -> Self {
        Self {
            id: SessionId::random(),
            key,
            bot,
            agent,
            conversation,
            owner: None,
            cli_session: None,
            resumable: false,
            fork: None,
            epoch: 0,
            home: None,
            name: None,
            first: String::new(),
            last: String::new(),
            turns: 0,
            model: None,
            mode: None,
            allowed: Vec::new(),
            input_tokens: 0,
            output_tokens: 0,
            cost_micros: 0,
            created: 0,
            updated: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutboxState {
    /// To be shown (again), not before `next_try`.
    Pending,
    Sent,
    /// It may or may not have been shown; never repeated blindly.
    Ambiguous,
    /// The vendor will never take it, or the attempts ran out: a dead letter.
    Dead,
    /// Waits for the operator to mend the bot's credentials.
    Unauthorized,
}

/// What stands, or is to stand, in a chat for one turn. A row exists from the turn's opening; `view` is set
/// when something must be delivered (a question, the end), and not for stream updates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    pub turn: TurnId,
    pub bot: BotName,
    pub target: Target,
    /// The view that must be delivered.
    pub view: Option<View>,
    pub state: OutboxState,
    /// The adapter's own memory of what stands in the chat.
    pub memory: Option<Vec<u8>>,
    pub attempts: u32,
    pub next_try: UnixMillis,
    pub last_error: Option<String>,
    pub updated: UnixMillis,
}

impl OutboxRow {
    /// To be shown from `at` on; nothing was tried yet, and the adapter's memory stays as it is.
    pub const fn pending(turn: TurnId, bot: BotName, target: Target, view: Option<View>, at: UnixMillis) -> Self {
        Self {
            turn,
            bot,
            target,
            view,
            state: OutboxState::Pending,
            memory: None,
            attempts: 0,
            next_try: at,
            last_error: None,
            updated: at,
        }
    }
}

/// What an adapter left with a turn's outbox row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// What it saved last.
    pub memory: Option<Vec<u8>>,
    /// Where the turn lives now.
    pub conversation: Conversation,
}

/// How showing one revision of a turn's view went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Of the view that was shown.
    pub revision: u32,
    pub state: OutboxState,
    pub attempts: u32,
    pub next_try: UnixMillis,
    pub last_error: Option<String>,
    pub updated: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AskState {
    Open,
    /// Decided by a person; the decision was stored but the agent may not have been told yet.
    Decided,
    /// The agent was told, or nobody needs to be told any more.
    Closed,
}

/// One thing only a person can decide. Its tokens are [`TokenRow`]s that name its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskRow {
    pub id: String,
    pub bot: BotName,
    pub session: SessionKey,
    pub turn: TurnId,
    /// Where it is shown, and so where a press is at home.
    pub conversation: Conversation,
    /// The agent's own id of the request; means nothing to another process of the agent.
    pub request: String,
    /// Tool and input, in the driver's words: what an approval allows exactly once.
    pub tool: String,
    pub input: String,
    pub subject: Subject,
    pub editable: Editable,
    pub lasting: Option<Lasting>,
    /// The agent is told why something is denied.
    pub hears: bool,
    /// Who may decide; empty means the asker and whoever the bot names.
    pub approvers: Vec<String>,
    pub expires: UnixMillis,
    pub state: AskState,
    /// The decision and the vendor's id of who took it.
    pub decided: Option<(Decision, String)>,
}

/// What a press means, and, the first six, what was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    Allow,
    /// And the like of it for the rest of the session.
    AllowSession,
    /// With this input instead: JSON.
    AllowWith(String),
    /// The answers to the agent's questions, by the question's text.
    Answer(Vec<(String, String)>),
    Deny,
    /// In the words of who denied.
    DenyBecause(String),
    /// Not of an ask: ends the turn.
    Stop,
    /// Expired, the turn ended, or the agent withdrew it.
    Withdrawn,
    /// Not of an ask: what was said there was edited after it was taken up; it is run as it stands now.
    Again(InboxId),
    /// The same, and it stays as it was.
    Keep(InboxId),
    /// Opens this form; what is sent with it decides.
    Form(FormKind),
    /// What was chosen beside the button decides.
    Choose,
    /// Not of an ask: what is sent with it is a question to the agent.
    Ask,
    /// Not of an ask: as if whoever presses had typed this command, without its slash.
    Say(String),
}

impl Decision {
    /// The agent may go on as it asked, or with what it was told.
    pub const fn allows(&self) -> bool {
        matches!(
            self,
            Self::Allow | Self::AllowSession | Self::AllowWith(_) | Self::Answer(_)
        )
    }
}

/// What a form asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FormKind {
    /// The input, to be changed before it is allowed.
    Input,
    /// Why it is denied, or what the plan lacks.
    Reason,
    /// The answers to the agent's questions.
    Answers,
}

/// What a token stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    pub token: Token,
    pub bot: BotName,
    pub conversation: Conversation,
    pub session: SessionKey,
    pub turn: TurnId,
    /// The ask, or none for a stop button.
    pub ask: Option<String>,
    pub decision: Decision,
    pub expires: UnixMillis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerRow {
    pub id: i64,
    pub bot: BotName,
    pub kind: String,
    pub payload: Vec<u8>,
    pub at: UnixMillis,
}

/// One message of the local web chat, as the transport keeps it. The transport is the vendor here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebRow {
    /// Rises: also the cursor of the event stream.
    pub seq: i64,
    pub bot: BotName,
    pub channel: String,
    pub message: String,
    /// JSON of the message as the page takes it.
    pub body: String,
}

/// Something that an operator may want to know was done, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    pub at: UnixMillis,
    pub bot: BotName,
    pub who: String,
    pub what: String,
}

/// Counts for `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub inbox_new: u64,
    pub aside: u64,
    pub sessions: u64,
    pub turns_open: u64,
    pub outbox_pending: u64,
    pub outbox_dead: u64,
}

/// What a database must do. Called on one thread; every method works inside the transaction that
/// [`Journal`] has open, and leaves nothing behind when it fails.
pub trait Store: Send {
    // Transactions: the journal's, nobody else calls these.
    fn begin(&mut self) -> Result<()>;
    /// On disk when it returns.
    fn commit(&mut self) -> Result<()>;
    fn rollback(&mut self);
    /// Nested: one job of a group fails alone.
    fn savepoint(&mut self) -> Result<()>;
    fn release(&mut self) -> Result<()>;
    fn rollback_to_savepoint(&mut self);

    // Inbox.
    /// None: the key was there already.
    fn inbox_put(&mut self, bot: &BotName, item: &Item, received: UnixMillis) -> Result<Option<InboxId>>;
    /// `Done`, and neither a turn nor a run was made of it: nobody will read its words any more, and they are not kept.
    fn inbox_state(&mut self, id: InboxId, state: InboxState) -> Result<()>;
    fn inbox_get(&mut self, id: InboxId) -> Result<Option<InboxRow>>;
    /// The row that has this key.
    fn inbox_find(&mut self, bot: &BotName, key: &str) -> Result<Option<InboxId>>;
    /// The newest message with this id of the vendor's in this channel, because some vendors' ids are unique only
    /// there; None: wherever it is.
    fn inbox_said(&mut self, bot: &BotName, channel: Option<&str>, message: &str) -> Result<Option<InboxRow>>;
    /// What was said stands differently now. Its key stays.
    fn inbox_amend(&mut self, id: InboxId, item: &Item) -> Result<()>;
    /// An edit or a deletion of a message that is not here yet is kept until `expires`; no other item is. It takes the
    /// place of what was kept for the same message, but an edit is not kept beside a deletion. At most [`AHEAD_MAX`] of a
    /// bot: the oldest edits go, and the oldest deletions once there are no edits. `channel`: as for
    /// [`Store::inbox_said`].
    fn ahead_put(&mut self, bot: &BotName, channel: Option<&str>, change: &What, expires: UnixMillis) -> Result<()>;
    /// What came ahead of this message, which is here now, and is kept no longer: a deletion if there was one, else the
    /// newest edit.
    fn ahead_take(&mut self, bot: &BotName, channel: &str, message: &str, now: UnixMillis) -> Result<Option<What>>;
    /// Of all bots: what is kept only until now goes. Rows forgotten.
    fn ahead_forget(&mut self, now: UnixMillis) -> Result<u64>;
    /// State `New`, oldest first; at most `limit`, ids above `after`.
    fn inbox_new(&mut self, bot: &BotName, after: InboxId, limit: u32) -> Result<Vec<InboxRow>>;
    fn aside_put(&mut self, bot: &BotName, event: &Event, reason: &str, again: bool) -> Result<i64>;
    /// Oldest first.
    fn aside_list(&mut self, bot: Option<&BotName>, again: bool, limit: u32) -> Result<Vec<AsideRow>>;
    /// Another try failed: counts it.
    fn aside_failed(&mut self, id: i64, reason: &str, again: bool) -> Result<()>;
    fn aside_remove(&mut self, id: i64) -> Result<()>;

    // Turns and sessions.
    /// Inserts or replaces, but never the target: only [`Store::turn_moved`] changes where a turn lives.
    fn turn_put(&mut self, row: &TurnRow) -> Result<()>;
    fn turn_get(&mut self, id: &TurnId) -> Result<Option<TurnRow>>;
    /// The newest turn that was opened for this item.
    fn turn_of_inbox(&mut self, id: InboxId) -> Result<Option<TurnRow>>;
    /// Not `Done`, oldest first.
    fn turns_open(&mut self, bot: &BotName) -> Result<Vec<TurnRow>>;
    /// Those that [`Store::turns_open`] leaves out because they cannot be read, oldest first.
    fn turns_damaged(&mut self, bot: &BotName) -> Result<Vec<TurnScrap>>;
    /// A turn that cannot be read is `Done`.
    fn turn_end(&mut self, id: &TurnId) -> Result<()>;
    /// A turn of this session runs or waits.
    fn session_busy(&mut self, session: &SessionId) -> Result<bool>;
    /// The turns of one session, newest first.
    fn turns_of(&mut self, session: &SessionId, limit: u32) -> Result<Vec<TurnRow>>;
    /// The same in pages, each behind the place that the one before it tells: what is opened meanwhile shifts nothing.
    fn turns_page(&mut self, session: &SessionId, behind: Option<TurnPlace>, limit: u32) -> Result<TurnPage>;
    /// Inserts or replaces by id, and makes it the current one of its key.
    fn session_put(&mut self, row: &SessionRow) -> Result<()>;
    /// The current one of this key.
    fn session_get(&mut self, key: &SessionKey) -> Result<Option<SessionRow>>;
    /// The current one of this key cannot be read: it goes under an id and a key that nobody else has, for the operator.
    /// The id, the epoch and the home that it had.
    fn session_set_aside(&mut self, key: &SessionKey) -> Result<Option<(SessionId, u32, Option<String>)>>;
    fn session_by_id(&mut self, id: &SessionId) -> Result<Option<SessionRow>>;
    /// All of this key, newest first, without the first `skip`.
    fn sessions_of(&mut self, key: &SessionKey, skip: u32, limit: u32) -> Result<Vec<SessionRow>>;
    /// How many sessions this key has, and their highest epoch.
    fn session_counts(&mut self, key: &SessionKey) -> Result<(u32, u32)>;
    /// Of all keys, newest first, the `limit` that come after the first `skip`; in both numbers what cannot be read is counted.
    fn sessions(&mut self, bot: Option<&BotName>, skip: u32, limit: u32) -> Result<SessionPage>;
    /// Of this bot, of this key, or of all, newest first: those that come behind this one, which may be gone or be newer by
    /// now. In pages of this, a session that ends a turn meanwhile shifts no other.
    fn sessions_behind(
        &mut self,
        bot: Option<&BotName>,
        key: Option<&SessionKey>,
        behind: Option<(UnixMillis, &SessionId)>,
        limit: u32,
    ) -> Result<Vec<SessionRow>>;
    /// Where such a page ends, damaged sessions counted, which are not in it: those behind this place are in none of the
    /// pages before. None: no more.
    fn sessions_end(
        &mut self,
        bot: Option<&BotName>,
        key: Option<&SessionKey>,
        behind: Option<(UnixMillis, &SessionId)>,
        limit: u32,
    ) -> Result<Option<(UnixMillis, SessionId)>>;
    /// Inserts or replaces by id; which one is current under its key stays as it is.
    fn session_keep(&mut self, row: &SessionRow) -> Result<()>;
    /// Forgets a session and what was said in it: its turns that ended, their questions, what of them is delivered; the
    /// text of the messages, whose keys stay; the runs that its turns were parts of, where they are over. False: there is
    /// none.
    fn session_remove(&mut self, id: &SessionId) -> Result<bool>;
    /// The newest turns of one session that ended are another's too; as its log alone, they answer no message.
    fn turns_copy(&mut self, from: &SessionId, to: &SessionRow, limit: u32) -> Result<()>;
    /// Those of the newest `among` turns of one session that may hold one of these words, in any order. The words are in
    /// small letters, the turns in any. What has one is among them; what is among them need not have it.
    fn turns_like(&mut self, session: &SessionId, words: &[String], among: u32) -> Result<Vec<TurnRow>>;
    /// How many turns are opened in one session, at most `limit`.
    fn turns_count(&mut self, session: &SessionId, limit: u32) -> Result<u32>;
    /// Somebody else than this person said something in it.
    fn said_by_others(&mut self, session: &SessionId, asker: &str) -> Result<bool>;
    /// The turn lives here now, a thread that had no name when it was opened; its session's conversation is this one,
    /// the bot is part of the thread, and what is said here belongs to that session. What was private never leads to
    /// where others read.
    fn turn_moved(&mut self, bot: &BotName, turn: &TurnId, to: &Conversation) -> Result<()>;
    /// The session of a turn that moved here.
    fn session_at(&mut self, bot: &BotName, conversation: &Conversation) -> Result<Option<SessionKey>>;
    /// Claims a CLI session id for a key. False: another key owns it.
    fn cli_session_claim(&mut self, cli_session: &str, key: &SessionKey) -> Result<bool>;

    // Messages that go from agent to agent.
    /// Inserts or replaces.
    fn run_put(&mut self, row: &RunRow, updated: UnixMillis) -> Result<()>;
    fn run_get(&mut self, id: InboxId) -> Result<Option<RunRow>>;
    /// Those that are not over, oldest first.
    fn runs_open(&mut self, bot: &BotName) -> Result<Vec<RunRow>>;
    /// Those that [`Store::runs_open`] leaves out because they cannot be read, oldest first.
    fn runs_damaged(&mut self, bot: &BotName) -> Result<Vec<InboxId>>;
    /// A run that cannot be read is over. False: it was already, or there is none.
    fn run_end(&mut self, id: InboxId) -> Result<bool>;

    // Outbox.
    /// Inserts or replaces, but never the target. A `memory` of None keeps what the adapter saved before: nobody else
    /// can take it away.
    fn outbox_put(&mut self, row: &OutboxRow) -> Result<()>;
    fn outbox_get(&mut self, turn: &TurnId) -> Result<Option<OutboxRow>>;
    /// The adapter's memory alone; the row must be there.
    fn outbox_memory(&mut self, turn: &TurnId, memory: &[u8]) -> Result<()>;
    /// None: there is no such row.
    fn outbox_recall(&mut self, turn: &TurnId) -> Result<Option<Recall>>;
    /// How showing the stored view went. False, and nothing changes: the row now holds another revision.
    fn outbox_outcome(&mut self, turn: &TurnId, outcome: &Outcome) -> Result<bool>;
    /// Makes every `Unauthorized` row of the bot `Pending` again, without its attempts; these rows.
    fn outbox_reopen(&mut self, bot: &BotName) -> Result<Vec<OutboxRow>>;
    /// A message of the vendor's shows this turn; the row must be there.
    fn outbox_posted(&mut self, turn: &TurnId, message: &str) -> Result<()>;
    /// What a message of the vendor's in this channel shows; no channel: wherever it is, if only one has the id.
    fn turn_of_message(&mut self, bot: &BotName, channel: Option<&str>, message: &str) -> Result<Option<TurnId>>;
    /// Pending with a view, by `next_try`.
    fn outbox_pending(&mut self, bot: &BotName) -> Result<Vec<OutboxRow>>;
    /// Everything that is neither pending nor sent, newest first.
    fn outbox_dead(&mut self, bot: Option<&BotName>, limit: u32) -> Result<Vec<OutboxRow>>;
    /// The bot has been, or is now, part of this thread.
    fn thread_joined(&mut self, bot: &BotName, conversation: &Conversation) -> Result<()>;
    fn thread_known(&mut self, bot: &BotName, conversation: &Conversation) -> Result<bool>;

    // Asks and tokens.
    fn ask_put(&mut self, row: &AskRow) -> Result<()>;
    fn ask_get(&mut self, id: &str) -> Result<Option<AskRow>>;
    fn asks_of(&mut self, turn: &TurnId) -> Result<Vec<AskRow>>;
    fn asks_expired(&mut self, now: UnixMillis, limit: u32) -> Result<Vec<AskRow>>;
    fn token_put(&mut self, row: &TokenRow) -> Result<()>;
    fn token_get(&mut self, token: &Token) -> Result<Option<TokenRow>>;

    // An adapter's own.
    fn kv_get(&mut self, bot: &BotName, key: &str, now: UnixMillis) -> Result<Option<Vec<u8>>>;
    fn kv_put(&mut self, bot: &BotName, key: &str, value: &[u8], expires: Option<UnixMillis>) -> Result<()>;
    /// True: it was absent, or expired.
    fn kv_put_if_absent(
        &mut self,
        bot: &BotName,
        key: &str,
        value: &[u8],
        expires: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<bool>;
    fn kv_remove(&mut self, bot: &BotName, key: &str) -> Result<()>;
    /// Entries and bytes that a bot's adapter keeps.
    fn kv_size(&mut self, bot: &BotName) -> Result<(u64, u64)>;

    // Timers.
    fn timer_put(&mut self, bot: &BotName, kind: &str, payload: &[u8], at: UnixMillis) -> Result<i64>;
    fn timers_due(&mut self, now: UnixMillis, limit: u32) -> Result<Vec<TimerRow>>;
    fn timer_remove(&mut self, id: i64) -> Result<()>;

    // The local web chat.
    /// Inserts or replaces by (bot, channel, message); the row gets a new `seq`, which comes back.
    fn web_put(&mut self, bot: &BotName, channel: &str, message: &str, body: &str) -> Result<i64>;
    /// Above `after`, by `seq`.
    fn web_list(&mut self, bot: &BotName, channel: &str, after: i64, limit: u32) -> Result<Vec<WebRow>>;

    // For the operator.
    fn audit(&mut self, row: &AuditRow) -> Result<()>;
    fn counts(&mut self) -> Result<Counts>;
    /// Forgets what is done and older than this: inbox rows (and with them their keys), sent outbox rows, turns
    /// that are nowhere in the outbox, runs that are over, closed asks, tokens, expired values, events that can never be translated. At
    /// most [`FORGET_AT_ONCE`] rows of a kind, so that nobody waits long: to be called again while it forgets
    /// something. Rows forgotten.
    fn forget_before(&mut self, before: UnixMillis) -> Result<u64>;
}

/// Edits and deletions of messages that are not here yet, for each bot: more than a vendor has on their way at once.
pub const AHEAD_MAX: u32 = 1000;
/// Rows of one kind that one [`Store::forget_before`] removes at most.
pub const FORGET_AT_ONCE: u32 = 1000;
