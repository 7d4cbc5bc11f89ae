//! The session's actor: owns the queue, the running turn and the process, and is the only one that touches them.
//! [`super::turn`] decides what a turn does next; here it is done, every step durable before it acts.
//!
//! It lives as long as the session has a turn or a process, and is made again from the store by the next message.

mod ask;
mod change;
mod clock;
mod job;
mod progress;
mod record;
mod recovery;
mod seat;
mod steer;
mod terminal;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::job::Job;
use self::seat::{Seat, Step};
pub(super) use self::terminal::Wanted;
use super::registry::{Published, Shared};
use super::turn::{Ending, Input, State, Turn};
use super::{Begun, Change, ChangeError, LiveSession, Prompt, SessionStatus, SubmitError};
use crate::chat::{SessionId, SessionKey, Target, Tone, TurnId, now};
use crate::config::{Scope, WhileRunning};
use crate::driver::{Failure, Offers};
use crate::store::{AskRow, Decision, SessionRow, TurnKind, TurnRow, TurnState};

/// What the registry says to an actor. A message whose `reply` is dropped was not read.
pub(super) enum SessionMsg {
    Submit {
        prompt: Box<Prompt>,
        reply: oneshot::Sender<Result<TurnId, SubmitError>>,
    },
    Restore {
        turn: Box<TurnRow>,
        reply: oneshot::Sender<()>,
    },
    Stop {
        reply: oneshot::Sender<bool>,
    },
    StopTurn {
        turn: TurnId,
        reply: oneshot::Sender<bool>,
    },
    EndBackground {
        reply: oneshot::Sender<bool>,
    },
    Amend {
        turn: TurnId,
        text: String,
        reply: oneshot::Sender<bool>,
    },
    Withdraw {
        turn: TurnId,
        words: String,
        reply: oneshot::Sender<bool>,
    },
    Decide {
        ask: Box<AskRow>,
        decision: Decision,
        reply: oneshot::Sender<()>,
    },
    Reset {
        reply: oneshot::Sender<Begun>,
    },
    Change {
        change: Change,
        reply: oneshot::Sender<Result<(), ChangeError>>,
    },
    Delete {
        id: SessionId,
        who: String,
        reply: oneshot::Sender<Result<Vec<String>, ChangeError>>,
    },
    Attach(Wanted),
    Returned {
        id: SessionId,
        reply: oneshot::Sender<()>,
    },
    Status {
        reply: oneshot::Sender<SessionStatus>,
    },
}

pub(super) struct SessionActor {
    shared: Arc<Shared>,
    /// Of this actor in the registry.
    id: u64,
    key: SessionKey,
    inbox: mpsc::Receiver<SessionMsg>,
    published: Published,
    row: SessionRow,
    /// `row.cli_session` is not yet claimed in the store.
    unclaimed: bool,
    /// The process was started with what is not chosen any more: the next turn gets another.
    outdated: bool,
    /// The CLI was given something under `row.cli_session` and may have kept it.
    handed: bool,
    /// The agent has nothing of what was said here; true: it had it before.
    lost: Option<bool>,
    /// The conversation that an agent could not go on with, until one has begun another.
    former: Option<String>,
    /// It could not go on with this one, once.
    refused: bool,
    queue: VecDeque<Job>,
    current: Option<Job>,
    seat: Seat,
    /// The process takes no commands: it is as good as dead.
    jammed: Option<Failure>,
    /// Where the agent speaks when it speaks first, and to whom.
    last: Option<(TurnId, Target, String)>,
    /// Why its last turn was given up, which it is told with the next prompt.
    cut: Option<String>,
    model: Option<String>,
    /// What the agent said of itself since its process began.
    offers: Offers,
    /// The store failed when a turn was to begin; none is tried before this.
    retry_at: Option<Instant>,
    /// The session that is in a terminal, or back from one and not in the log.
    away: Option<SessionId>,
    /// Sessions of which nobody tells when they are back from a terminal, or what was said there could not be stored.
    unsettled: Vec<SessionId>,
    /// When those are looked at again; there is a time if there are some. Turns of the current session do not wait for it,
    /// unless it is one of them, and so `away`.
    look_at: Option<Instant>,
    /// Whoever wants to take it there after this turn.
    wanted: Option<Wanted>,
    /// No message was read yet.
    new: bool,
    draining: bool,
}

impl SessionActor {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: u64,
        key: SessionKey,
        inbox: mpsc::Receiver<SessionMsg>,
        published: Published,
    ) -> Self {
        let nowhere = crate::chat::Conversation {
            tenant: None,
            channel: String::new(),
            thread: None,
            direct: false,
        };
        let rules = &shared.rules;
        let row = SessionRow::begin(key.clone(), rules.bot.clone(), rules.agent.name.clone(), nowhere);
        Self {
            shared,
            id,
            key,
            inbox,
            published,
            row,
            unclaimed: false,
            outdated: false,
            handed: false,
            lost: None,
            former: None,
            refused: false,
            queue: VecDeque::new(),
            current: None,
            seat: Seat::Empty,
            jammed: None,
            last: None,
            cut: None,
            model: None,
            offers: Offers::default(),
            retry_at: None,
            away: None,
            unsettled: Vec::new(),
            look_at: None,
            wanted: None,
            new: true,
            draining: false,
        }
    }

    /// Works until there is nothing to do.
    pub(super) async fn run(mut self) {
        if self.load().await {
            self.work().await;
        }
        // Whoever waits for an answer learns that nobody read the message, and goes to the next actor.
        self.inbox.close();
        self.shared.forget(&self.key, self.id);
    }

    async fn work(&mut self) {
        let (drain, halt) = (self.shared.drain.clone(), self.shared.halt.clone());
        let mut orphaned = false;
        loop {
            if let Some(failure) = self.jammed.take() {
                self.lost(failure).await;
            }
            self.pump().await;
            self.publish();
            if self.is_over() {
                return;
            }
            let deadline = self.deadline();
            // Endings first, so that nothing keeps the host from closing. Then what is due: rare, and a flood must
            // not delay it. People before the agent: they are slow and few, and a stop must get through however
            // much the agent says; what the agent says waits in its bounded channel meanwhile and nothing is lost.
            tokio::select! {
                biased;
                () = halt.cancelled() => return self.halt().await,
                () = drain.cancelled(), if !self.draining => self.draining = true,
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.due().await;
                }
                message = self.inbox.recv(), if !orphaned => match message {
                    Some(message) => {
                        self.new = false;
                        self.read(message).await;
                    }
                    None => {
                        orphaned = true;
                        self.draining = true;
                    }
                },
                step = self.seat.next() => match step {
                    Step::Permit(permit) => self.launch(permit).await,
                    // What is shown is looked at anew each time.
                    Step::Moved => {}
                    Step::GiveWay => self.give_way(),
                    Step::Event(event) => self.hear(event).await,
                },
            }
        }
    }

    fn is_over(&self) -> bool {
        let waits = !self.queue.is_empty() || !self.unsettled.is_empty();
        let nothing_to_do = self.current.is_none() && (!waits || self.draining);
        nothing_to_do && matches!(self.seat, Seat::Empty) && (!self.new || self.draining)
    }

    async fn read(&mut self, message: SessionMsg) {
        match message {
            SessionMsg::Submit { prompt, reply } => self.submit(*prompt, reply).await,
            SessionMsg::Restore { turn, reply } => {
                self.restore(*turn).await;
                let _ = reply.send(());
            }
            SessionMsg::Stop { reply } => {
                let ran = self.current.is_some();
                self.input(&Input::Stop).await;
                let _ = reply.send(ran);
            }
            SessionMsg::StopTurn { turn, reply } => {
                let runs = self.current.as_ref().is_some_and(|job| job.row.id == turn);
                if runs {
                    self.input(&Input::Stop).await;
                }
                let _ = reply.send(runs || self.withdraw(&turn, None).await);
            }
            SessionMsg::EndBackground { reply } => {
                let _ = reply.send(self.end_background());
            }
            SessionMsg::Amend { turn, text, reply } => {
                let _ = reply.send(self.amend(&turn, text).await);
            }
            SessionMsg::Withdraw { turn, words, reply } => {
                let _ = reply.send(self.withdraw(&turn, Some(&words)).await);
            }
            SessionMsg::Decide { ask, decision, reply } => {
                self.decide(*ask, decision).await;
                let _ = reply.send(());
            }
            SessionMsg::Reset { reply } => {
                let _ = reply.send(self.reset().await);
            }
            SessionMsg::Change { change, reply } => {
                let _ = reply.send(self.change(change).await);
            }
            SessionMsg::Delete { id, who, reply } => {
                let _ = reply.send(self.delete(&id, who).await);
            }
            SessionMsg::Attach(wanted) => self.attach(wanted).await,
            SessionMsg::Returned { id, reply } => {
                self.look_at_terminal(&id).await;
                let _ = reply.send(());
            }
            SessionMsg::Status { reply } => {
                let _ = reply.send(self.status());
            }
        }
    }

    async fn submit(&mut self, prompt: Prompt, reply: oneshot::Sender<Result<TurnId, SubmitError>>) {
        if self.draining {
            let _ = reply.send(Err(SubmitError::Closed));
            return;
        }
        if prompt.way == WhileRunning::Steer && self.can_steer(&prompt) {
            let told = self.steer(prompt).await;
            let _ = reply.send(told);
            return;
        }
        let alone = self.current.is_none() && self.queue.is_empty();
        if !alone && self.queue.len() >= self.shared.rules.queue_limit {
            let _ = reply.send(Err(SubmitError::Full(self.queue.len())));
            return;
        }
        let way = if alone { WhileRunning::Queue } else { prompt.way };
        self.row.conversation.clone_from(&prompt.target.conversation);
        if self.shared.rules.scope == Scope::User {
            self.row.owner = Some(prompt.asker.clone());
        }
        let row = TurnRow {
            id: TurnId::random(),
            bot: self.row.bot.clone(),
            session: self.key.clone(),
            session_id: self.row.id.clone(),
            kind: prompt.kind,
            inbox: prompt.inbox,
            state: TurnState::Queued,
            attempt: 0,
            target: prompt.target,
            asker: prompt.asker,
            prompt: prompt.text,
            opened: now(),
            view: None,
            files: prompt.files,
        };
        let mut job = Job::new(row, &self.shared);
        job.also = prompt.also;
        job.place = prompt.place;
        job.way = way;
        if alone && self.seat.is_free() && !self.is_away() {
            // The agent waits for it: opened and begun in one write, see `hand`.
            job.reply = Some(reply);
            self.queue.push_back(job);
            return;
        }
        self.name_conversation();
        match self.store_open(&job.row, &job.also).await {
            Ok(()) => {
                let _ = reply.send(Ok(job.row.id.clone()));
                self.follow(&job);
                self.enqueue(job);
                if way == WhileRunning::Interrupt {
                    self.input(&Input::Stop).await;
                }
            }
            Err(error) => {
                let _ = reply.send(Err(SubmitError::Unavailable(error.to_string())));
            }
        }
    }

    /// In the order of the inbox, whatever order they came in; begun ones before all.
    fn enqueue(&mut self, job: Job) {
        let at = self.queue.partition_point(|other| other.order() <= job.order());
        self.queue.insert(at, job);
    }

    /// Does whatever can be done next. Looks at the state alone, so calling it once more changes nothing.
    async fn pump(&mut self) {
        if self.draining {
            self.drain();
            return;
        }
        self.attach_waiting().await;
        if self.is_away() {
            return self.show_places();
        }
        if self.current.is_none() && std::mem::take(&mut self.outdated) {
            self.close_process();
        }
        if self.current.is_none()
            && self.retry_at.is_none()
            && let Some(job) = self.queue.pop_front()
        {
            self.current = Some(job);
            self.input(&Input::Begin).await;
        }
        let starting = self
            .current
            .as_ref()
            .is_some_and(|job| job.turn.state() == State::Starting);
        if starting {
            if let Seat::Empty = self.seat
                && !self.take_spare().await
            {
                match self.shared.processes.try_acquire(&self.shared.rules.agent.name) {
                    Some(permit) => self.launch(permit).await,
                    None => self.seat = Seat::Waiting(self.wait_for_place()),
                }
            }
            if self.seat.is_free() {
                self.input(&Input::Ready).await;
            }
        } else if let Seat::Waiting(_) = self.seat {
            self.seat = Seat::Empty;
        } else {
            let agent = &self.shared.rules.agent;
            match self.current.as_ref().map(|job| job.turn.state()) {
                None if self.queue.is_empty() => self.seat.rest(agent.idle_timeout),
                None => {}
                // Whoever waits behind a question waits for it too.
                Some(State::Asking) => self.seat.hold(agent.limits.asked),
                Some(_) => self.seat.wake(),
            }
        }
        self.show_places();
    }

    /// Tells everybody who waits how long the queue before them is.
    fn show_places(&self) {
        let mut place = 0;
        if let Some(job) = &self.current
            && job.turn.state() == State::Starting
        {
            let before = self.seat.before();
            place = u32::from(before.is_some());
            self.show(job, |view| match before {
                Some(before) => view.seatless(before),
                None => view.seated(),
            });
        }
        let away = self.is_away();
        for job in &self.queue {
            place += 1;
            self.show(job, |view| if away { view.away(place) } else { view.waiting(place) });
        }
    }

    /// No more turns: what waits or asks is in the store, and what runs may finish.
    fn drain(&mut self) {
        if self
            .current
            .as_ref()
            .is_some_and(|job| matches!(job.turn.state(), State::Running | State::Stopping))
        {
            return;
        }
        if let Some(job) = self.current.take() {
            // A question stays as it is in the chat; whoever presses after the next start is heard.
            tracing::debug!(session = %self.key, turn = %job.row.id, "left for the next start");
            self.shared.outbox.unfollow(&job.row.id);
            self.shared.tail.unfollow(&job.row.id);
            self.kill_process();
        }
        self.refuse_waiting();
        for job in &mut self.queue {
            if let Some(reply) = job.reply.take() {
                let _ = reply.send(Err(SubmitError::Closed));
            }
        }
        if let Seat::Waiting(_) = self.seat {
            self.seat = Seat::Empty;
        }
        self.close_process();
    }

    /// Where a turn that nobody was given yet waits.
    fn waiting(&self, turn: &TurnId) -> Option<usize> {
        let waits = |job: &Job| job.row.id == *turn && job.row.attempt == 0 && job.reply.is_none();
        self.queue.iter().position(waits)
    }

    async fn amend(&mut self, turn: &TurnId, text: String) -> bool {
        let Some(at) = self.waiting(turn) else { return false };
        let row = TurnRow {
            prompt: text,
            ..self.queue[at].row.clone()
        };
        let stored = row.clone();
        match self.shared.journal.write(move |store| store.turn_put(&stored)).await {
            Ok(()) => {
                let job = &mut self.queue[at];
                job.row = row;
                self.shared.tail.follow(&job.row, &job.view);
            }
            Err(error) => {
                tracing::warn!(bot = %self.row.bot, session = %self.key, %turn, %error, "an edit could not be stored");
                return false;
            }
        }
        true
    }

    /// It ends without having begun.
    async fn withdraw(&mut self, turn: &TurnId, words: Option<&str>) -> bool {
        let Some(at) = self.waiting(turn) else { return false };
        if let (Some(words), Some(job)) = (words, self.queue.get(at)) {
            job.view.with(|view| view.notice(Tone::Info, words));
        }
        self.end_waiting(at).await
    }

    /// Ends a turn of the queue; what runs and who spoke last stay what they were. False: there is none at this place.
    async fn end_waiting(&mut self, at: usize) -> bool {
        let Some(job) = self.queue.remove(at) else { return false };
        let (current, last) = (self.current.replace(job), self.last.clone());
        self.finish(Ending::Stopped).await;
        (self.current, self.last) = (current, last);
        true
    }

    /// What is remembered of the last session under this key is nothing to the next.
    fn forget_last(&mut self) {
        self.model = None;
        self.cut = None;
        self.lost = None;
        self.former = None;
        self.refused = false;
    }

    /// Forgets the agent's memory. What waits is no part of it yet, and goes on in the new conversation.
    async fn reset(&mut self) -> Begun {
        let begun = Begun {
            waiting: self.queue.len(),
            background: self.seat.background(),
        };
        if self.row.updated == 0 && self.current.is_none() {
            // Nobody ever said anything here.
            return begun;
        }
        if self.current.is_some() {
            self.finish(Ending::Stopped).await;
        }
        self.kill_process();
        self.forget_conversation();
        self.forget_last();
        let key = self.key.clone();
        let counts = self.shared.journal.read(move |store| store.session_counts(&key)).await;
        let epoch = counts.map_or(self.row.epoch, |(_, epoch)| epoch.max(self.row.epoch));
        let SessionRow {
            bot,
            agent,
            conversation,
            owner,
            home,
            ..
        } = self.row.clone();
        self.row = SessionRow {
            owner,
            // What the agent learnt of its own stays with the key.
            home,
            // A working folder that no session under this key has had.
            epoch: epoch.saturating_add(1),
            ..SessionRow::begin(self.key.clone(), bot, agent, conversation)
        };
        self.store_session().await;
        begun
    }

    fn forget_conversation(&mut self) {
        self.row.cli_session = None;
        self.row.resumable = false;
        self.row.fork = None;
        self.unclaimed = false;
        self.handed = false;
    }

    /// Every conversation has its id before a process is started for it.
    fn name_conversation(&mut self) {
        if self.row.cli_session.is_none() {
            self.row.cli_session = Some(uuid::Uuid::new_v4().to_string());
            self.row.resumable = false;
            self.handed = false;
            self.unclaimed = true;
        }
    }

    /// When something is due next.
    fn deadline(&self) -> Option<Instant> {
        let turn = self.current.as_ref().and_then(Job::deadline);
        [turn, self.seat.deadline(), self.retry_at, self.look_at]
            .into_iter()
            .flatten()
            .min()
    }

    async fn due(&mut self) {
        let now = Instant::now();
        self.retry_at = self.retry_at.filter(|at| *at > now);
        if self.look_at.take_if(|at| *at <= now).is_some() {
            self.look_at_unsettled().await;
        }
        if self.seat.is_due(now) {
            self.close_process_further();
        }
        let grace_over = self
            .current
            .as_mut()
            .is_some_and(|job| job.grace.take_if(|at| *at <= now).is_some());
        if grace_over {
            self.input(&Input::GraceOver).await;
        }
        self.clocks(now).await;
        self.expire(now).await;
    }

    fn status(&self) -> SessionStatus {
        let state = self.current.as_ref().map(|job| job.turn.state());
        SessionStatus {
            live: matches!(self.seat, Seat::Live(_)),
            running: self.current.as_ref().map(|job| job.row.id.clone()),
            waiting: self.queue.len(),
            asking: state == Some(State::Asking),
            spent: self.current.as_ref().and_then(|job| job.watch.spent(Instant::now())),
            model: self.model.clone(),
            agent: self.row.agent.clone(),
            cli_session: self.row.cli_session.clone(),
            row: self.row.clone(),
            offers: self.offers.clone(),
            away: self.is_away(),
            queue: self.queued(),
            background: self.seat.background(),
        }
    }

    fn publish(&self) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let background = self.seat.background();
        let same = |now: &LiveSession| now.row == self.row && now.background == background;
        if !published.as_ref().is_some_and(same) {
            *published = Some(LiveSession {
                row: self.row.clone(),
                background,
            });
        }
    }

    /// A turn that the agent began by itself, or that has none yet.
    fn unsolicited(&self) -> Job {
        let last = self.last.clone().map(|(_, target, asker)| (target, asker));
        let (target, asker) = last.unwrap_or_else(|| {
            let target = Target {
                conversation: self.row.conversation.clone(),
                reply_to: Vec::new(),
                private_to: None,
            };
            (target, self.row.owner.clone().unwrap_or_default())
        });
        let row = TurnRow {
            id: TurnId::random(),
            bot: self.row.bot.clone(),
            session: self.key.clone(),
            session_id: self.row.id.clone(),
            kind: TurnKind::Message,
            inbox: None,
            state: TurnState::Running,
            attempt: 1,
            target: Target {
                reply_to: Vec::new(),
                ..target
            },
            asker,
            prompt: String::new(),
            opened: now(),
            view: None,
            files: Vec::new(),
        };
        let mut job = Job::new(row, &self.shared);
        job.turn = Turn::unsolicited();
        job
    }
}
