//! Which session belongs to whom: a map of handles. Finds, makes and forgets actors; never awaits a member's inbox.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::actor::{SessionActor, SessionMsg, Wanted};
use super::spare::{self, Spare};
use super::tail::Tail;
use super::takeover::{self, Held};
use super::view::TurnView;
use super::{
    Begun, Change, ChangeError, LiveSession, Processes, Prompt, SessionRules, SessionStatus, SubmitError, copy, folder,
};
use crate::chat::{Conversation, SessionId, SessionKey, TurnId};
use crate::config::AgentProfile;
use crate::driver::{self, Agent, Launch, Offers};
use crate::outbox::Outbox;
use crate::store::{AskRow, Decision, Journal, SessionRow, TurnRow};

/// How often a message is given again to a session that was just ending.
const TRIES: usize = 16;

/// What starts an agent: [`driver::start`], or a script of a test.
pub type Start = Arc<dyn Fn(&AgentProfile, Launch) -> Agent + Send + Sync>;

/// All live sessions of one bot, of all its agents: a key says whose session it is. Never awaits a member's inbox. Cheap
/// to clone; [`Registry::close`] ends it.
#[derive(Clone)]
pub struct Registry {
    /// Of the agent that is asked where nobody is named.
    shared: Arc<Shared>,
    /// Of the others, by their names.
    further: Arc<BTreeMap<String, Arc<Shared>>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("bot", &self.shared.rules.bot)
            .field("live", &self.all().map(|shared| shared.sessions.len()).sum::<usize>())
            .finish_non_exhaustive()
    }
}

/// What all actors of an agent of a bot have in common.
pub(super) struct Shared {
    /// Its `agent` is this one.
    pub(super) rules: SessionRules,
    /// It is not the bot's first: its replies say who it is.
    pub(super) named: bool,
    pub(super) journal: Journal,
    pub(super) outbox: Outbox,
    pub(super) processes: Processes,
    pub(super) start: Start,
    pub(super) spare: Spare,
    pub(super) tail: Tail,
    /// Sessions in a terminal that are waited for.
    pub(super) awaited: Mutex<HashSet<SessionId>>,
    /// No new turns; what runs may finish.
    pub(super) drain: CancellationToken,
    /// Nothing may finish any more.
    pub(super) halt: CancellationToken,
    sessions: DashMap<SessionKey, Session>,
    tasks: TaskTracker,
    next: AtomicU64,
}

/// A handle on one session.
#[derive(Clone)]
struct Session {
    /// Tells an actor from the one that takes its place.
    id: u64,
    inbox: mpsc::Sender<SessionMsg>,
    now: Published,
}

/// How the session of an actor is now, for whoever lists sessions.
pub(super) type Published = Arc<Mutex<Option<LiveSession>>>;

/// Why a session gave no answer.
enum NoAnswer {
    NoSession,
    Full,
    Closed,
}

impl Registry {
    /// `processes`: permits for live CLI processes, shared by all bots. Within a runtime: it may keep a process warm.
    pub fn new(rules: SessionRules, journal: Journal, outbox: Outbox, processes: Processes) -> Self {
        Self::with_start(rules, journal, outbox, processes, Arc::new(driver::start))
    }

    /// As `new`, with something else than the drivers to start agents.
    pub fn with_start(
        rules: SessionRules,
        journal: Journal,
        outbox: Outbox,
        processes: Processes,
        start: Start,
    ) -> Self {
        // Whoever watches the bot watches all of its agents.
        let tail = Tail::new();
        let further = rules.further.iter().map(|agent| {
            let its = SessionRules {
                agent: Arc::clone(agent),
                ..rules.clone()
            };
            let (journal, outbox, processes) = (journal.clone(), outbox.clone(), processes.clone());
            let shared = Shared::new(its, true, journal, outbox, processes, Arc::clone(&start), tail.clone());
            (agent.name.clone(), Arc::new(shared))
        });
        let further = Arc::new(further.collect());
        let registry = Self {
            shared: Arc::new(Shared::new(rules, false, journal, outbox, processes, start, tail)),
            further,
        };
        let kept: Vec<_> = registry
            .all()
            .filter(|shared| shared.rules.agent.spare)
            .cloned()
            .collect();
        let (rules, tasks) = (registry.shared.rules.clone(), registry.shared.tasks.clone());
        registry.shared.tasks.spawn(async move {
            spare::sweep(&rules).await;
            for shared in kept {
                tasks.spawn(spare::keep(shared));
            }
        });
        registry
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Shared>> {
        std::iter::once(&self.shared).chain(self.further.values())
    }

    /// Whose session it is. An agent that the bot had once and has no more: its first goes on with it.
    fn shared_of(&self, key: &SessionKey) -> &Arc<Shared> {
        let further = folder::parts(key).1.and_then(|agent| self.further.get(agent));
        further.unwrap_or(&self.shared)
    }

    /// The key of this agent's session, where the bot's first has `base`.
    pub fn key_of(&self, base: &SessionKey, agent: &str) -> SessionKey {
        match self.further.contains_key(agent) {
            true => folder::key_of_agent(base, agent),
            false => base.clone(),
        }
    }

    /// The key that the bot's first agent has where another has this one, and the other's name.
    pub fn parts(key: &SessionKey) -> (SessionKey, Option<&str>) {
        let (base, agent) = folder::parts(key);
        (SessionKey::from(base), agent)
    }

    /// Whose session a message belongs to that names no agent. Under scope `thread` the conversation must name the thread that the
    /// answer will be in, where there is one.
    pub fn key(&self, conversation: &Conversation, person: &str) -> SessionKey {
        folder::key(&self.shared.rules.bot, self.shared.rules.scope, conversation, person)
    }

    /// Queues a message; the session and its process are made when they are needed. Returns once the turn is on
    /// disk and the inbox row is `Taken`. On an error nothing was kept. `Full`: tell the person. Cancel safe: the
    /// message may have been kept.
    pub async fn submit(&self, key: &SessionKey, prompt: Prompt) -> Result<TurnId, SubmitError> {
        let make = |reply| SessionMsg::Submit {
            prompt: Box::new(prompt.clone()),
            reply,
        };
        match self.call(key, true, make).await {
            Ok(answer) => answer,
            Err(NoAnswer::Full) => Err(SubmitError::Full(self.shared.rules.queue_limit)),
            Err(NoAnswer::Closed) if !self.shared.drain.is_cancelled() => {
                Err(SubmitError::Unavailable("the session could not be read".to_owned()))
            }
            Err(NoAnswer::Closed | NoAnswer::NoSession) => Err(SubmitError::Closed),
        }
    }

    /// Goes on with a turn of a former run: queued ones wait again, running ones are done again with a notice that
    /// steps may have run twice, asking ones wait for their decision. Oldest first, before new messages.
    pub async fn restore(&self, turn: TurnRow) {
        let key = turn.session.clone();
        let make = |reply| SessionMsg::Restore {
            turn: Box::new(turn.clone()),
            reply,
        };
        if self.call(&key, true, make).await.is_err() {
            tracing::error!(bot = %turn.bot, session = %key, turn = %turn.id, "a turn was not taken up again");
        }
    }

    /// Ends the running turn (keeps the queue). False: nothing ran.
    pub async fn stop(&self, key: &SessionKey) -> bool {
        self.call(key, false, |reply| SessionMsg::Stop { reply })
            .await
            .unwrap_or(false)
    }

    /// Ends this turn, if it runs; takes it back, if it waits. False: it does neither.
    pub async fn stop_turn(&self, key: &SessionKey, turn: &TurnId) -> bool {
        let make = |reply| SessionMsg::StopTurn {
            turn: turn.clone(),
            reply,
        };
        self.call(key, false, make).await.unwrap_or(false)
    }

    /// Ends what the agent runs in the background, and its process with it, where no turn runs. False: nothing does.
    pub async fn end_background(&self, key: &SessionKey) -> bool {
        self.call(key, false, |reply| SessionMsg::EndBackground { reply })
            .await
            .unwrap_or(false)
    }

    /// Gives a turn that waits another text. False: it does not wait any more, or this could not be stored.
    pub async fn amend(&self, key: &SessionKey, turn: &TurnId, text: String) -> bool {
        let make = |reply| SessionMsg::Amend {
            turn: turn.clone(),
            text: text.clone(),
            reply,
        };
        self.call(key, false, make).await.unwrap_or(false)
    }

    /// Takes back a turn that waits; `words` say why. False: it does not wait any more.
    pub async fn withdraw(&self, key: &SessionKey, turn: &TurnId, words: &str) -> bool {
        let make = |reply| SessionMsg::Withdraw {
            turn: turn.clone(),
            words: words.to_owned(),
            reply,
        };
        self.call(key, false, make).await.unwrap_or(false)
    }

    /// A person decided; the decision is stored already. The agent is told, by way of a resumed process if need be.
    /// Returns when the session has taken it up; if the session does not, it is told after the next start.
    pub async fn decide(&self, ask: &AskRow, decision: Decision) {
        let make = |reply| SessionMsg::Decide {
            ask: Box::new(ask.clone()),
            decision: decision.clone(),
            reply,
        };
        if self.call(&ask.session, true, make).await.is_err() {
            tracing::warn!(bot = %ask.bot, session = %ask.session, turn = %ask.turn, "a decision waits for the next start");
        }
    }

    /// Nobody decided in time: the question is marked as expired, and the agent is told that it is denied.
    pub async fn expire(&self, ask: &AskRow) {
        self.decide(ask, Decision::Deny).await;
    }

    /// Forgets the agent's memory: what waits, or the next message, begins a fresh conversation. Ends a running turn, and
    /// what runs in the background.
    pub async fn reset(&self, key: &SessionKey) -> Begun {
        let begun = self.call(key, true, |reply| SessionMsg::Reset { reply }).await;
        begun.unwrap_or_else(|_| {
            tracing::warn!(bot = %self.shared.rules.bot, session = %key, "a session was not reset");
            Begun::default()
        })
    }

    /// Changes something about the session between turns.
    ///
    /// # Errors
    /// It was not done; nothing was changed.
    pub async fn change(&self, key: &SessionKey, change: Change) -> Result<(), ChangeError> {
        let make = |reply| SessionMsg::Change {
            change: change.clone(),
            reply,
        };
        let busy = || ChangeError::Unavailable("the session is closing".to_owned());
        self.call(key, true, make).await.unwrap_or_else(|_| Err(busy()))
    }

    /// Forgets a session of this key, and what of the disk is of it alone; `who` does it, for the audit. What stays, a
    /// sentence each.
    ///
    /// # Errors
    /// `Busy`, `Background`: it is the current one and something runs or waits. `Unknown`: it is none of this key's. Nothing
    /// was changed.
    pub async fn delete(&self, key: &SessionKey, id: &SessionId, who: &str) -> Result<Vec<String>, ChangeError> {
        let make = |reply| SessionMsg::Delete {
            id: id.clone(),
            who: who.to_owned(),
            reply,
        };
        let busy = || ChangeError::Unavailable("the session is closing".to_owned());
        self.call(key, true, make).await.unwrap_or_else(|_| Err(busy()))
    }

    /// Keeps a copy of a session beside the current one.
    ///
    /// # Errors
    /// The agent cannot copy, nothing was said, or it is in a terminal; nothing was changed.
    pub async fn copy(&self, row: &SessionRow, name: Option<String>) -> Result<SessionRow, ChangeError> {
        let row = &self.at_home(row).await?;
        let copy = SessionRow {
            name,
            ..copy::of(row, self.shared_of(&row.key).rules.agent.driver)?
        };
        copy::keep(&self.shared.journal, row, &copy, false).await?;
        Ok(copy)
    }

    /// The session as it is, with all that was said in a terminal.
    async fn at_home(&self, row: &SessionRow) -> Result<SessionRow, ChangeError> {
        let free = || {
            let (folder, id) = (self.shared.rules.data_dir.clone(), row.id.clone());
            tokio::task::spawn_blocking(move || matches!(takeover::held(&folder, &id), Held::Free))
        };
        let unknown = |error: String| ChangeError::Unavailable(error);
        if free().await.map_err(|error| unknown(error.to_string()))? {
            return Ok(row.clone());
        }
        // Its actor alone takes in what was left.
        self.returned(&row.key, &row.id).await;
        if !free().await.map_err(|error| unknown(error.to_string()))? {
            return Err(ChangeError::Away);
        }
        let wanted = row.id.clone();
        let found = self
            .shared
            .journal
            .read(move |store| store.session_by_id(&wanted))
            .await;
        found
            .map_err(|error| unknown(error.to_string()))?
            .ok_or(ChangeError::Unknown)
    }

    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            further: Arc::default(),
        }
    }

    /// Gives a session of this key to whoever holds its [`super::takeover::Takeover`]: its process is closed, and no turn
    /// begins in it until the lock is free. `wait`: after what runs.
    ///
    /// # Errors
    /// `Busy`, `Background`: something runs or waits. `Nothing`: nothing was said that could be gone on with. `Unknown`: it is none of
    /// this key's.
    pub async fn attach(&self, key: &SessionKey, id: &SessionId, wait: bool) -> Result<SessionRow, ChangeError> {
        let make = |reply| {
            SessionMsg::Attach(Wanted {
                id: id.clone(),
                wait,
                reply,
            })
        };
        let busy = || ChangeError::Unavailable("the session is closing".to_owned());
        self.call(key, true, make).await.unwrap_or_else(|_| Err(busy()))
    }

    /// Takes in what was said in a terminal that has ended. Returns when it is in the log, or could not be stored yet: the
    /// session tries it again.
    pub async fn returned(&self, key: &SessionKey, id: &SessionId) {
        let make = |reply| SessionMsg::Returned { id: id.clone(), reply };
        if self.call(key, true, make).await.is_err() {
            tracing::warn!(bot = %self.shared.rules.bot, session = %id, "a session comes back with its next message");
        }
    }

    /// What happens in the sessions.
    pub fn tail(&self) -> &Tail {
        &self.shared.tail
    }

    /// Where a session works.
    pub fn workspace(&self, session: &SessionRow) -> PathBuf {
        folder::Folders::of(&self.shared_of(&session.key).rules, session).workspace
    }

    /// A process is kept ready for whoever is new.
    #[cfg(test)]
    pub(super) fn has_spare(&self) -> bool {
        self.shared.spare.is_there()
    }

    /// All agents; the first is asked where nobody is named.
    pub fn agents(&self) -> impl Iterator<Item = &AgentProfile> {
        self.all().map(|shared| &*shared.rules.agent)
    }

    /// The agent whose session this is.
    pub fn agent_of(&self, key: &SessionKey) -> &AgentProfile {
        &self.shared_of(key).rules.agent
    }

    /// What this session does, from whoever holds it; the store is not asked. None: nobody does, so nothing runs or waits.
    pub async fn at_work(&self, key: &SessionKey) -> Option<SessionStatus> {
        self.call(key, false, |reply| SessionMsg::Status { reply }).await.ok()
    }

    /// None: there is no such session.
    pub async fn status(&self, key: &SessionKey) -> Option<SessionStatus> {
        if let Some(status) = self.at_work(key).await {
            return Some(status);
        }
        let wanted = key.clone();
        let row = self
            .shared
            .journal
            .read(move |store| store.session_get(&wanted))
            .await
            .ok()??;
        Some(SessionStatus {
            live: false,
            running: None,
            waiting: 0,
            asking: false,
            spent: None,
            model: None,
            agent: row.agent.clone(),
            cli_session: row.cli_session.clone(),
            row,
            offers: Offers::default(),
            away: false,
            queue: Vec::new(),
            background: 0,
        })
    }

    /// Sessions that have a process or a turn, for the operator.
    pub fn live(&self) -> BTreeMap<SessionKey, LiveSession> {
        let now = |session: &Session| session.now.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.all()
            .flat_map(|shared| shared.sessions.iter())
            .filter_map(|entry| Some((entry.key().clone(), now(entry.value())?)))
            .collect()
    }

    /// No new messages; running turns may finish within `within`, then are left for the next start. Ends all
    /// processes and returns when they are gone.
    pub async fn close(&self, within: Duration) {
        for shared in self.all() {
            shared.drain.cancel();
            shared.tasks.close();
        }
        let ended = || futures_util::future::join_all(self.all().map(|shared| shared.tasks.wait()));
        if tokio::time::timeout(within, ended()).await.is_err() {
            self.all().for_each(|shared| shared.halt.cancel());
            ended().await;
        }
    }

    /// Gives a message to a session and awaits its answer. A session that was just ending drops the message
    /// unread; then it is given to the next actor.
    async fn call<T>(
        &self,
        key: &SessionKey,
        make_session: bool,
        message: impl Fn(oneshot::Sender<T>) -> SessionMsg,
    ) -> Result<T, NoAnswer> {
        for _ in 0..TRIES {
            let Some(session) = self.find(key, make_session) else {
                return Err(if make_session {
                    NoAnswer::Closed
                } else {
                    NoAnswer::NoSession
                });
            };
            let (reply, answer) = oneshot::channel();
            match session.inbox.try_send(message(reply)) {
                Ok(()) => {
                    if let Ok(answer) = answer.await {
                        return Ok(answer);
                    }
                }
                Err(mpsc::error::TrySendError::Full(_)) => return Err(NoAnswer::Full),
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
            self.shared_of(key).forget(key, session.id);
        }
        Err(NoAnswer::Closed)
    }

    fn find(&self, key: &SessionKey, make: bool) -> Option<Session> {
        let shared = self.shared_of(key);
        if let Some(session) = shared.sessions.get(key) {
            return Some(session.clone());
        }
        if !make || shared.drain.is_cancelled() {
            return None;
        }
        let entry = shared.sessions.entry(key.clone()).or_insert_with(|| {
            let id = shared.next.fetch_add(1, Ordering::Relaxed);
            let now = Published::default();
            let (inbox, messages) = mpsc::channel(shared.rules.queue_limit.clamp(16, 1024));
            let actor = SessionActor::new(Arc::clone(shared), id, key.clone(), messages, Arc::clone(&now));
            shared.tasks.spawn(actor.run());
            Session { id, inbox, now }
        });
        Some(entry.clone())
    }
}

impl Shared {
    fn new(
        rules: SessionRules,
        named: bool,
        journal: Journal,
        outbox: Outbox,
        processes: Processes,
        start: Start,
        tail: Tail,
    ) -> Self {
        Self {
            rules,
            named,
            journal,
            outbox,
            processes,
            start,
            spare: Spare::default(),
            tail,
            awaited: Mutex::default(),
            drain: CancellationToken::new(),
            halt: CancellationToken::new(),
            sessions: DashMap::new(),
            tasks: TaskTracker::new(),
            next: AtomicU64::new(0),
        }
    }

    /// The view of a turn that nothing was said in yet.
    pub(super) fn view(&self, turn: TurnId, attempt: u32) -> TurnView {
        let view = TurnView::new(turn, attempt, self.rules.show_thinking).with_usage(self.rules.show_usage);
        match self.named {
            true => view.headed(&self.rules.agent.name),
            false => view,
        }
    }

    /// This actor takes no messages any more.
    pub(super) fn forget(&self, key: &SessionKey, id: u64) {
        self.sessions.remove_if(key, |_, session| session.id == id);
    }
}
