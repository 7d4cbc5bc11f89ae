//! Does what the turn's state machine says, and folds what the agent says into the view.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::SessionActor;
use super::job::{Job, allowance};
use super::record::STOP_LASTS;
use super::seat::Seat;
use crate::chat::{Token, Tone, ViewState, now};
use crate::driver::{AgentEvent, Command, FailureKind, Outcome};
use crate::outbox::ViewSource;
use crate::session::folder::Folders;
use crate::session::turn::{Action, Ending, Input, State, shows};
use crate::session::view::TurnView;
use crate::session::{SubmitError, tray};
use crate::store::{Decision, TokenRow, TurnState};

/// How long an interrupted agent may take to end its turn.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Before the store is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl SessionActor {
    /// What the process says.
    pub(super) async fn hear(&mut self, event: AgentEvent) {
        if self.seat.is_leaving() {
            // A given-up process: only its end counts, and it is no turn's.
            if matches!(event, AgentEvent::Exited { .. }) {
                self.seat = Seat::Empty;
            }
            return;
        }
        match &event {
            AgentEvent::Ready { version, .. } => {
                tracing::debug!(bot = %self.row.bot, session = %self.key, ?version, "an agent is ready");
                self.seat.set_ready();
            }
            AgentEvent::Session { id, model } => self.adopt(id, model.as_deref()).await,
            AgentEvent::Result { outcome } => {
                let unknown =
                    matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::NoConversation);
                self.row.resumable |= !unknown;
            }
            AgentEvent::Idle { background } => self.seat.set_background(*background),
            AgentEvent::Exited { failure } => {
                self.seat = Seat::Empty;
                if let Some(failure) = failure {
                    tracing::warn!(
                        bot = %self.row.bot, session = %self.key, kind = ?failure.kind, cause = %failure.cause,
                        "an agent ended"
                    );
                }
            }
            _ => {}
        }
        if self.current.is_none() {
            if !shows(&event) {
                return;
            }
            self.open_unsolicited().await;
        }
        if let Some(job) = &self.current
            && job.turn.state() != State::Starting
            && job.view.with(|view| view.apply(&event, Instant::now()))
        {
            self.shared.outbox.touch(&job.row.id);
        }
        self.input(&Input::Agent(&event)).await;
    }

    /// The CLI's newest id for the conversation.
    async fn adopt(&mut self, cli_session: &str, model: Option<&str>) {
        if let Some(model) = model {
            self.model = Some(model.to_owned());
        }
        if self.row.cli_session.as_deref() == Some(cli_session) {
            return;
        }
        self.row.cli_session = Some(cli_session.to_owned());
        self.unclaimed = true;
        if let Err(error) = self.claim().await {
            // `unclaimed` stays: the next write claims it.
            tracing::error!(bot = %self.row.bot, session = %self.key, %error, "a conversation's new id was not kept");
        }
    }

    /// Gives the turn an input and does what it says.
    pub(super) async fn input(&mut self, input: &Input<'_>) {
        let Some(job) = &mut self.current else { return };
        for action in job.turn.handle(input) {
            self.act(action).await;
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Start { fresh } => self.start(fresh),
            Action::Hand => self.hand().await,
            Action::Interrupt => {
                if let Some(job) = &mut self.current {
                    job.grace = Some(Instant::now() + STOP_GRACE);
                }
                self.tell(Command::Interrupt);
            }
            Action::Kill => self.kill_process(),
            Action::Ask(permission) => self.ask(*permission).await,
            Action::Withdraw(request) => self.withdrawn(&request).await,
            Action::Finish(ending) => self.finish(ending).await,
        }
    }

    /// The process itself is had by `pump`; here only what was is put in order.
    fn start(&mut self, fresh: bool) {
        let Some(job) = &self.current else { return };
        let remembered = self.row.resumable;
        if job.row.attempt > 0 {
            self.show(job, TurnView::process_lost);
        }
        if fresh {
            if remembered {
                self.show(job, |view| {
                    view.notice(
                        Tone::Warning,
                        "The agent no longer has what was said here before; it begins afresh.",
                    );
                });
            }
            self.forget_conversation();
            self.kill_process();
        }
    }

    /// Marks the turn as begun, on disk; then gives the agent its prompt.
    async fn hand(&mut self) {
        let Some(mut job) = self.current.take() else { return };
        self.seat.wake();
        let now = now();
        job.row.attempt = job.row.attempt.saturating_add(1);
        job.row.state = TurnState::Running;
        job.row.view = None;
        let stop = TokenRow {
            token: Token::random(),
            bot: job.row.bot.clone(),
            conversation: job.row.target.conversation.clone(),
            session: self.key.clone(),
            turn: job.row.id.clone(),
            ask: None,
            decision: Decision::Stop,
            expires: now.saturating_add(STOP_LASTS),
        };
        if let Err(error) = self.store_begin(&job.row, &job.also, &stop).await {
            tracing::error!(bot = %job.row.bot, session = %self.key, turn = %job.row.id, %error, "a turn was not begun");
            match job.reply.take() {
                Some(reply) => {
                    let _ = reply.send(Err(SubmitError::Unavailable(error.to_string())));
                }
                None => {
                    job.requeue();
                    self.queue.push_front(job);
                    self.retry_at = Some(Instant::now() + RETRY);
                }
            }
            return;
        }
        let remembers = self.seat.resumed() || self.row.resumable;
        let (prompt, alone) = (uuid::Uuid::new_v4().to_string(), self.seat.background() == 0);
        self.handed = true;
        let mut text = job.prompt(remembers);
        let laid = self.lay(&job).await;
        text.push_str(&laid.told);
        self.tell(Command::Prompt {
            id: prompt.clone(),
            text,
            images: laid.images,
        });
        job.turn.handle(&Input::Handed { id: &prompt, alone });
        job.allowances = job.decided.iter().filter_map(allowance).collect();
        for ask in &job.decided {
            self.close_ask(ask);
        }
        job.view.with(|view| {
            view.begin_attempt(job.row.attempt);
            view.running();
            view.stop_token(Some(stop.token.clone()));
        });
        job.stop = Some(stop);
        match job.reply.take() {
            Some(reply) => {
                let _ = reply.send(Ok(job.row.id.clone()));
                self.follow(&job);
            }
            None => self.shared.outbox.touch(&job.row.id),
        }
        self.last = Some((job.row.id.clone(), job.row.target.clone(), job.row.asker.clone()));
        self.current = Some(job);
    }

    /// The agent speaks first: background work reports.
    async fn open_unsolicited(&mut self) {
        self.find_last().await;
        let mut job = self.unsolicited();
        self.seat.wake();
        let stop = TokenRow {
            token: Token::random(),
            bot: job.row.bot.clone(),
            conversation: job.row.target.conversation.clone(),
            session: self.key.clone(),
            turn: job.row.id.clone(),
            ask: None,
            decision: Decision::Stop,
            expires: now().saturating_add(STOP_LASTS),
        };
        if let Err(error) = self.store_begin(&job.row, &job.also, &stop).await {
            // It is followed all the same; its end is stored when the store can.
            tracing::error!(bot = %job.row.bot, session = %self.key, turn = %job.row.id, %error, "a turn was not stored");
        }
        job.view.with(|view| view.stop_token(Some(stop.token.clone())));
        job.stop = Some(stop);
        self.follow(&job);
        self.current = Some(job);
    }

    /// Lays what came with the message into the workspace.
    async fn lay(&mut self, job: &Job) -> tray::Laid {
        let folders = Folders::of(&self.shared.rules, &self.key, self.row.epoch);
        let (kept, turn) = (self.shared.rules.files_dir.clone(), job.row.id.clone());
        tray::lay(kept, folders.workspace, turn, job.row.files.clone()).await
    }

    /// Takes what the agent left for the chat.
    async fn collect(&mut self) -> tray::Left {
        let folders = Folders::of(&self.shared.rules, &self.key, self.row.epoch);
        let rules = &self.shared.rules;
        tray::collect(folders.outbox, rules.files_dir.clone(), rules.bounds).await
    }

    /// Where the turn lives now: its adapter may have given it a thread of its own.
    pub(super) fn follow_home(&mut self, job: &mut Job) {
        if let Some(home) = job.view.home() {
            job.row.target.conversation.clone_from(&home);
            self.row.conversation = home;
        }
    }

    /// The last turn may have moved when its end was shown.
    async fn find_last(&mut self) {
        let Some((turn, target, _)) = &mut self.last else {
            return;
        };
        let wanted = turn.clone();
        if let Ok(Some(row)) = self.shared.journal.read(move |store| store.turn_get(&wanted)).await {
            target.conversation.clone_from(&row.target.conversation);
            self.row.conversation = row.target.conversation;
        }
    }

    /// The end: one write, then the chat.
    pub(super) async fn finish(&mut self, ending: Ending) {
        let Some(mut job) = self.current.take() else { return };
        self.follow_home(&mut job);
        let state = match ending {
            Ending::Done => ViewState::Done,
            Ending::Stopped => ViewState::Stopped,
            Ending::Failed(failure) => {
                tracing::warn!(
                    bot = %job.row.bot, session = %self.key, turn = %job.row.id, kind = ?failure.kind,
                    cause = %failure.cause, "a turn failed"
                );
                ViewState::Failed(failure.sentence)
            }
        };
        // A turn that never began leaves nothing: what lies there is another's.
        let left = match job.row.attempt {
            0 => tray::Left::default(),
            _ => self.collect().await,
        };
        let view = job.view.with(|view| {
            view.finish(state, &left.notices(), left.files());
            view.snapshot()
        });
        job.row.state = TurnState::Done;
        job.row.view = Some(view.clone());
        if self.store_end(&job, &view).await {
            if let Some(reply) = job.reply.take() {
                // It ended before it began; it is on disk with its end.
                let _ = reply.send(Ok(job.row.id.clone()));
            }
            self.shared.outbox.settle(&job.row.target, view);
            tray::clear(left).await;
        }
        tracing::debug!(bot = %job.row.bot, session = %self.key, turn = %job.row.id, "a turn ended");
        self.last = Some((job.row.id, job.row.target, job.row.asker));
    }

    /// The chat shows this turn from now on.
    pub(super) fn follow(&self, job: &Job) {
        let source: Arc<dyn ViewSource> = Arc::<crate::session::view::SharedView>::clone(&job.view);
        self.shared.outbox.follow(&job.row.id, &job.row.target, source);
    }

    /// Changes a view that may be shown already.
    pub(super) fn show(&self, job: &Job, change: impl FnOnce(&mut TurnView)) {
        let changed = job.view.with(|view| view.watch(change));
        if changed && job.reply.is_none() {
            self.shared.outbox.touch(&job.row.id);
        }
    }
}
