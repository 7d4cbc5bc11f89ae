//! Does what the turn's state machine says, and folds what the agent says into the view.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::SessionActor;
use super::clock::{is_cut, word};
use super::job::{Job, Work, allowance};
use super::record::STOP_LASTS;
use super::seat::Seat;
use crate::chat::{Token, Tone, View, ViewState, now};
use crate::driver::{AgentEvent, Command, FailureKind, Offers, Outcome};
use crate::outbox::ViewSource;
use crate::session::folder::Folders;
use crate::session::transcript::sum_up;
use crate::session::turn::{Action, Ending, Input, State, shows};
use crate::session::view::{HEADING, TurnView};
use crate::session::{SubmitError, tray};
use crate::store::{Decision, TokenRow, TurnKind, TurnState};

/// How long an interrupted agent may take to end its turn.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Before the store is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

impl SessionActor {
    /// What the process says.
    pub(super) async fn hear(&mut self, mut event: AgentEvent) {
        if self.seat.is_leaving() {
            // A given-up process: only its end counts, and it is no turn's.
            if matches!(event, AgentEvent::Exited { .. }) {
                self.seat = Seat::Empty;
            }
            return;
        }
        self.excuse(&mut event);
        match &event {
            AgentEvent::Ready { version, pid } => {
                tracing::debug!(bot = %self.row.bot, session = %self.key, ?version, "an agent is ready");
                self.seat.set_ready(*pid);
                self.former = None;
                self.refused = false;
            }
            AgentEvent::Session { id, model } => self.adopt(id, model.as_deref()).await,
            AgentEvent::Offers(offers) => self.learn(offers),
            AgentEvent::Usage {
                input_tokens,
                output_tokens,
                cost_usd,
            } => self.count(*input_tokens, *output_tokens, *cost_usd),
            AgentEvent::Result { outcome } => {
                let unknown =
                    matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::NoConversation);
                self.row.resumable |= !unknown;
            }
            AgentEvent::Idle { background: tasks } | AgentEvent::Background { tasks } => {
                self.seat.set_background(*tasks);
            }
            AgentEvent::Exited { failure } => {
                self.take_back_conversation();
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
        if shows(&event) {
            self.seat.set_works();
        } else if self.current.is_none() {
            return;
        }
        if self.current.is_none() {
            self.open_unsolicited().await;
        }
        if let Some(job) = &self.current
            && job.turn.state() != State::Starting
            && job.view.with(|view| view.apply(&event, Instant::now()))
        {
            self.shared.outbox.touch(&job.row.id);
            self.shared.tail.moved();
        }
        if let Some(job) = &mut self.current {
            job.watch.heard(&event, Instant::now(), now());
        }
        self.input(&Input::Agent(&event)).await;
    }

    /// What the agent has to choose from; what it says nothing of stays.
    fn learn(&mut self, offers: &Offers) {
        let Offers {
            tools,
            models,
            modes,
            mode,
            abilities,
        } = offers.clone();
        let known = &mut self.offers;
        known.tools = tools.or(known.tools.take());
        known.models = models.or(known.models.take());
        known.modes = modes.or(known.modes.take());
        known.mode = mode.or(known.mode.take());
        known.abilities = abilities.or(known.abilities);
    }

    /// What the session has used so far.
    fn count(&mut self, input: u64, output: u64, cost_usd: Option<f64>) {
        let row = &mut self.row;
        row.input_tokens = row.input_tokens.saturating_add(input);
        row.output_tokens = row.output_tokens.saturating_add(output);
        let micros = cost_usd.map(|cost| format!("{:.0}", cost * 1e6));
        let micros = micros.and_then(|micros| micros.parse::<u64>().ok());
        row.cost_micros = row.cost_micros.saturating_add(micros.unwrap_or_default());
    }

    /// What lists show of the session.
    fn sum_up(&mut self, job: &Job, view: &View) {
        if job.row.kind != TurnKind::Message || job.row.attempt == 0 {
            return;
        }
        let said = view.blocks.iter().filter(|block| block.id != HEADING);
        sum_up(&mut self.row, &job.row.prompt, said.map(|block| &block.part));
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
            if self.row.cli_session.is_none() {
                // It is another session's: nobody goes on with it here.
                self.outdated = true;
                self.lost = Some(true);
            }
        }
    }

    /// Gives the turn an input and does what it says.
    pub(super) async fn input(&mut self, input: &Input<'_>) {
        let Some(job) = &mut self.current else { return };
        let actions = job.turn.handle(input);
        job.watch.asking(job.turn.state() == State::Asking, Instant::now());
        for action in actions {
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
        let Some(job) = &mut self.current else { return };
        job.grace = None;
        let remembered = self.row.resumable;
        let cut = job.cut.as_ref().filter(|_| job.work == Work::Cut);
        let cut = cut.map(|why| format!("The agent was interrupted, because {why}. It is told so and goes on."));
        if job.work == Work::Cut {
            // It is told once.
            job.work = Work::Again;
        }
        let Some(job) = &self.current else { return };
        if job.row.attempt > 0 {
            self.show(job, |view| {
                view.process_lost();
                if let Some(cut) = &cut {
                    view.notice(Tone::Warning, cut);
                }
            });
        }
        if fresh {
            self.lost = Some(remembered);
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
        job.row.session_id.clone_from(&self.row.id);
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
        if job.row.kind == TurnKind::Message
            && let Some(why) = self.cut.take()
        {
            text.insert_str(0, &word(&why));
        }
        if job.row.kind == TurnKind::Message
            && let Some((log, line)) = self.recall(&job).await
        {
            text.insert_str(0, &log);
            job.view.with(|view| view.notice(Tone::Warning, line));
        }
        let laid = self.lay(&job).await;
        text.push_str(&laid.told);
        self.tell(match job.row.kind {
            TurnKind::Message => Command::Prompt {
                id: prompt.clone(),
                text,
                images: laid.images,
            },
            TurnKind::Compact => Command::Compact {
                id: prompt.clone(),
                focus: job.row.prompt.clone(),
            },
        });
        job.turn.handle(&Input::Handed { id: &prompt, alone });
        job.watch.handed(Instant::now());
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
            None => {
                self.shared.outbox.touch(&job.row.id);
                self.shared.tail.follow(&job.row, &job.view);
            }
        }
        self.last = Some((job.row.id.clone(), job.row.target.clone(), job.row.asker.clone()));
        self.current = Some(job);
    }

    /// The agent speaks first: background work reports.
    async fn open_unsolicited(&mut self) {
        self.find_last().await;
        let mut job = self.unsolicited();
        job.watch.handed(Instant::now());
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
        let folders = Folders::of(&self.shared.rules, &self.row);
        let (kept, turn) = (self.shared.rules.files_dir.clone(), job.row.id.clone());
        tray::lay(kept, folders.workspace, turn, job.row.files.clone()).await
    }

    /// Takes what the agent left for the chat.
    async fn collect(&mut self) -> tray::Left {
        let folders = Folders::of(&self.shared.rules, &self.row);
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
            Ending::Done => {
                if job.row.kind == TurnKind::Compact {
                    self.show(&job, |view| view.notice(Tone::Info, "The conversation is summed up."));
                }
                ViewState::Done
            }
            Ending::Stopped => ViewState::Stopped,
            Ending::Failed(failure) => {
                tracing::warn!(
                    bot = %job.row.bot, session = %self.key, turn = %job.row.id, kind = ?failure.kind,
                    cause = %failure.cause, "a turn failed"
                );
                // What was given up once may have failed for another reason after that.
                if let Some(why) = job.cut.take().filter(|why| is_cut(&failure, why)) {
                    self.cut = Some(why);
                }
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
        self.sum_up(&job, &view);
        job.row.view = Some(view.clone());
        if self.store_end(&job, &view).await {
            if let Some(reply) = job.reply.take() {
                // It ended before it began; it is on disk with its end.
                let _ = reply.send(Ok(job.row.id.clone()));
            }
            self.shared.tail.ended(&job.row, &view);
            self.shared.outbox.settle(&job.row.target, view);
            tray::clear(left).await;
            if let (Some(ended), Some(item)) = (&self.shared.rules.ended, job.row.inbox) {
                ended.tell(item);
            }
        } else {
            self.shared.tail.unfollow(&job.row.id);
        }
        tracing::debug!(bot = %job.row.bot, session = %self.key, turn = %job.row.id, "a turn ended");
        self.last = Some((job.row.id, job.row.target, job.row.asker));
    }

    /// The chat shows this turn from now on.
    pub(super) fn follow(&self, job: &Job) {
        let source: Arc<dyn ViewSource> = Arc::<crate::session::view::SharedView>::clone(&job.view);
        self.shared.outbox.follow(&job.row.id, &job.row.target, source);
        self.shared.tail.follow(&job.row, &job.view);
    }

    /// Changes a view that may be shown already.
    pub(super) fn show(&self, job: &Job, change: impl FnOnce(&mut TurnView)) {
        let changed = job.view.with(|view| view.watch(change));
        if changed && job.reply.is_none() {
            self.shared.outbox.touch(&job.row.id);
            self.shared.tail.moved();
        }
    }
}
