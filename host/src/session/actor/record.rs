//! What the actor writes. Each step of a turn is one write, so that after a crash either all of it is there or
//! nothing; what the agent or a chat is told comes after.

use std::time::Duration;

use super::SessionActor;
use super::job::Job;
use crate::chat::{InboxId, UnixMillis, View, now};
use crate::session::damage;
use crate::store::{
    AskRow, AskState, Decision, InboxState, OutboxRow, Result, SessionRow, Store, StoreError, TokenRow, TurnRow,
};

/// How long a stop button is good for, at most: milliseconds of 30 days.
pub(super) const STOP_LASTS: UnixMillis = 30 * 24 * 3600 * 1000;

/// What a turn's outbox row is to hold.
enum Show {
    /// It exists; nothing must be delivered, also nothing that an earlier question left.
    Nothing,
    /// A question or the end.
    This(Box<View>),
}

/// The adapter's memory of what stands in the chat stays as it is.
fn put_outbox(store: &mut dyn Store, turn: &TurnRow, show: Show, now: UnixMillis) -> Result<()> {
    let view = match show {
        Show::Nothing => None,
        Show::This(view) => Some(*view),
    };
    let (id, bot, target) = (turn.id.clone(), turn.bot.clone(), turn.target.clone());
    store.outbox_put(&OutboxRow::pending(id, bot, target, view, now))
}

fn put_inbox(store: &mut dyn Store, inbox: Option<InboxId>, state: InboxState) -> Result<()> {
    inbox.map_or(Ok(()), |id| store.inbox_state(id, state))
}

/// The other parts of the message went into the turn: nothing more is done for them.
fn put_also(store: &mut dyn Store, also: &[InboxId]) -> Result<()> {
    also.iter().try_for_each(|id| store.inbox_state(*id, InboxState::Done))
}

/// The session row, and the ownership of the CLI's conversation where it is new.
fn put_session(store: &mut dyn Store, row: &SessionRow, claim: bool) -> Result<()> {
    if claim
        && let Some(cli_session) = &row.cli_session
        && !store.cli_session_claim(cli_session, &row.key)?
    {
        return Err(StoreError::Damaged(format!(
            "`{cli_session}` belongs to another session"
        )));
    }
    store.session_put(row)
}

impl SessionActor {
    /// What the store knows of this session. False: it cannot be read.
    pub(super) async fn load(&mut self) -> bool {
        let key = self.key.clone();
        let found = self.shared.journal.read(move |store| {
            let row = store.session_get(&key)?;
            // Where the current one was deleted.
            let other = match row {
                Some(_) => None,
                None => store.sessions_of(&key, 0, 1)?.pop(),
            };
            let epoch = if other.is_some() {
                store.session_counts(&key)?.1
            } else {
                0
            };
            Ok((row, other.map(|other| (epoch, other.home))))
        });
        match found.await {
            Ok((Some(row), _)) => {
                self.row = row;
                if self.row.agent != self.shared.rules.agent.name {
                    // Another agent's memory is of no use to this one; what was said is.
                    self.lost = Some(self.row.resumable);
                    self.row.agent.clone_from(&self.shared.rules.agent.name);
                    self.forget_conversation();
                }
                let id = self.row.id.clone();
                self.look_at_terminal(&id).await;
                true
            }
            Ok((None, others)) => {
                if let Some((highest, home)) = others {
                    // A working folder that none of the others has, and what the agent learnt of its own.
                    self.row.epoch = highest.saturating_add(1);
                    self.row.home = home;
                }
                true
            }
            Err(StoreError::Damaged(why)) => self.begin_again(why).await,
            Err(error) => {
                tracing::error!(bot = %self.row.bot, session = %self.key, %error, "a session could not be read");
                false
            }
        }
    }

    /// Its row is damaged, and would be at every try: it goes on with what the log has. False: that could not be stored.
    async fn begin_again(&mut self, why: String) -> bool {
        tracing::error!(bot = %self.row.bot, session = %self.key, %why, "a session is damaged and begins again");
        let (fresh, scope) = (self.row.clone(), self.shared.rules.scope);
        let begin = move |store: &mut dyn Store| damage::begin_again(store, fresh, scope, &why);
        match self.shared.journal.write(begin).await {
            Ok(row) => {
                self.row = row;
                self.lost = Some(true);
                true
            }
            Err(error) => {
                tracing::error!(bot = %self.row.bot, session = %self.key, %error, "it could not begin again");
                false
            }
        }
    }

    fn session_now(&mut self) -> (SessionRow, bool) {
        self.row.updated = now();
        if self.row.created == 0 {
            self.row.created = self.row.updated;
        }
        (self.row.clone(), self.unclaimed)
    }

    fn stored(&mut self, result: Result<()>) -> Result<()> {
        match &result {
            Ok(()) => self.unclaimed = false,
            // Another name, then: the next try begins with that.
            Err(StoreError::Damaged(_)) if self.unclaimed => self.forget_conversation(),
            Err(_) => {}
        }
        result
    }

    /// A turn waits: it, its message, its place in the outbox and the session.
    pub(super) async fn store_open(&mut self, turn: &TurnRow, also: &[InboxId]) -> Result<()> {
        let (session, claim) = self.session_now();
        let (turn, also) = (turn.clone(), also.to_vec());
        let result = self.shared.journal.write(move |store| {
            store.turn_put(&turn)?;
            put_inbox(store, turn.inbox, InboxState::Taken)?;
            put_also(store, &also)?;
            put_session(store, &session, claim)?;
            put_outbox(store, &turn, Show::Nothing, session.updated)
        });
        let result = result.await;
        self.stored(result)
    }

    /// A turn is about to be handed to the agent: from here on it may have acted.
    pub(super) async fn store_begin(&mut self, turn: &TurnRow, also: &[InboxId], stop: &TokenRow) -> Result<()> {
        let (session, claim) = self.session_now();
        let (turn, also, stop) = (turn.clone(), also.to_vec(), stop.clone());
        let result = self.shared.journal.write(move |store| {
            store.turn_put(&turn)?;
            put_inbox(store, turn.inbox, InboxState::Taken)?;
            put_also(store, &also)?;
            put_session(store, &session, claim)?;
            put_outbox(store, &turn, Show::Nothing, session.updated)?;
            store.token_put(&stop)
        });
        let result = result.await;
        self.stored(result)
    }

    /// A question: the ask, its buttons, and the view that must be delivered. False: the host ends.
    pub(super) async fn store_ask(&mut self, turn: &TurnRow, ask: &AskRow, tokens: &[TokenRow], view: &View) -> bool {
        let (session, claim) = self.session_now();
        let (turn, ask, tokens, view) = (turn.clone(), ask.clone(), tokens.to_vec(), view.clone());
        self.keep(move || {
            let (session, turn, ask, tokens, view) =
                (session.clone(), turn.clone(), ask.clone(), tokens.clone(), view.clone());
            move |store: &mut dyn Store| {
                store.ask_put(&ask)?;
                for token in &tokens {
                    store.token_put(token)?;
                }
                store.turn_put(&turn)?;
                put_session(store, &session, claim)?;
                put_outbox(store, &turn, Show::This(Box::new(view)), session.updated)
            }
        })
        .await
    }

    /// A decision is about to be told to the agent. False: the host ends.
    pub(super) async fn store_decided(&mut self, turn: &TurnRow, ask: &AskRow) -> bool {
        let (session, claim) = self.session_now();
        let (turn, ask) = (turn.clone(), ask.clone());
        self.keep(move || {
            let (session, turn, ask) = (session.clone(), turn.clone(), ask.clone());
            move |store: &mut dyn Store| {
                store.ask_put(&ask)?;
                store.turn_put(&turn)?;
                put_session(store, &session, claim)?;
                put_outbox(store, &turn, Show::Nothing, session.updated)
            }
        })
        .await
    }

    /// The end of a turn: all that anybody must know of it. False: the host ends, and the turn is done again.
    pub(super) async fn store_end(&mut self, job: &Job, view: &View) -> bool {
        // A CLI refuses to begin a conversation twice; going on with one that it did not keep is mended.
        self.row.resumable |= self.handed;
        if self.row.resumable {
            self.row.fork = None;
        }
        let (session, claim) = self.session_now();
        let now = session.updated;
        let turn = job.row.clone();
        let stop = job.stop.clone().map(|stop| TokenRow { expires: now, ..stop });
        let open = job.asks.iter().map(|ask| AskRow {
            state: AskState::Closed,
            decided: ask.row.decided.clone().or(Some((Decision::Withdrawn, String::new()))),
            ..ask.row.clone()
        });
        let told = job.decided.iter().map(|ask| AskRow {
            state: AskState::Closed,
            ..ask.clone()
        });
        let asks: Vec<AskRow> = open.chain(told).collect();
        let view = view.clone();
        self.keep(move || {
            let (session, turn, stop, asks, view) =
                (session.clone(), turn.clone(), stop.clone(), asks.clone(), view.clone());
            move |store: &mut dyn Store| {
                put_outbox(store, &turn, Show::This(Box::new(view)), now)?;
                store.turn_put(&turn)?;
                put_inbox(store, turn.inbox, InboxState::Done)?;
                put_session(store, &session, claim)?;
                for ask in &asks {
                    store.ask_put(ask)?;
                }
                stop.as_ref().map_or(Ok(()), |stop| store.token_put(stop))
            }
        })
        .await
    }

    /// The session's row alone.
    pub(super) async fn store_session(&mut self) {
        let (session, claim) = self.session_now();
        self.keep(move || {
            let session = session.clone();
            move |store: &mut dyn Store| put_session(store, &session, claim)
        })
        .await;
    }

    /// Makes sure that the conversation is this session's before a process goes on with it.
    pub(super) async fn claim(&mut self) -> Result<()> {
        if !self.unclaimed {
            return Ok(());
        }
        let (session, claim) = self.session_now();
        let result = self
            .shared
            .journal
            .write(move |store| put_session(store, &session, claim))
            .await;
        self.stored(result)
    }

    /// The agent knows of this decision, or nobody needs to be told any more.
    pub(super) fn close_ask(&self, ask: &AskRow) {
        let ask = AskRow {
            state: AskState::Closed,
            ..ask.clone()
        };
        self.shared.journal.write_later(move |store| store.ask_put(&ask));
    }

    /// Writes until it is written: what has happened cannot be refused. The agent waits meanwhile. False: the host
    /// ends first. A value that the store calls damaged will not become better, and is given up.
    async fn keep<J>(&mut self, job: impl Fn() -> J) -> bool
    where
        J: FnOnce(&mut dyn Store) -> Result<()> + Send + 'static,
    {
        let mut pause = Duration::from_millis(100);
        loop {
            let result = self.shared.journal.write(job()).await;
            let error = match self.stored(result) {
                Ok(()) => return true,
                Err(error) => error,
            };
            tracing::error!(bot = %self.row.bot, session = %self.key, %error, "a step of a turn could not be stored");
            if matches!(error, StoreError::Damaged(_)) {
                return false;
            }
            tokio::select! {
                () = self.shared.halt.cancelled() => return false,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
            }
        }
    }
}
