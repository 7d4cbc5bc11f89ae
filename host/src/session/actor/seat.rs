//! The place of the session's one process: empty, waiting for a permit, or taken.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SessionActor;
use super::job::Work;
use crate::driver::{Agent, AgentEvent, Command, Failure, FailureKind, Launch};
use crate::session::folder::Folders;
use crate::session::process::{LEAVE, Permit, Waited, Waiting, exited};
use crate::session::spare::{self, Warm};
use crate::session::tray;
use crate::session::turn::{Input, State};

pub(super) enum Seat {
    Empty,
    Waiting(Waiting),
    Live(Box<Live>),
}

/// What a seat has to say.
pub(super) enum Step {
    Permit(Permit),
    /// It waits at another place.
    Moved,
    /// Another session needs the permit more.
    GiveWay,
    Event(AgentEvent),
}

pub(super) struct Live {
    agent: Agent,
    permit: Permit,
    /// It answers.
    ready: bool,
    /// Its process lasts as long as a turn.
    passing: bool,
    /// It has shown something of its work.
    works: bool,
    /// It goes on with a conversation, rather than to begin one.
    resumed: bool,
    /// Tasks of it that run though it is idle: with some it is never closed for being idle, nor for another's sake.
    background: u32,
    rest: Option<Rest>,
    /// It is leaving; nothing it says is heard. Until then it may take its time.
    leaving: Option<Instant>,
    killed: bool,
}

struct Rest {
    give_way: CancellationToken,
    until: Option<Instant>,
    /// Then it may be asked to give way; else it leaves then.
    held: bool,
}

impl Seat {
    /// Pends for ever where nothing can come. Cancel safe.
    pub(super) async fn next(&mut self) -> Step {
        match self {
            Self::Empty => std::future::pending().await,
            Self::Waiting(waiting) => match waiting.next().await {
                Waited::Permit(permit) => Step::Permit(permit),
                Waited::Moved => Step::Moved,
            },
            Self::Live(live) => {
                let give_way = live.rest.as_ref().map(|rest| &rest.give_way);
                tokio::select! {
                    biased;
                    event = live.agent.events.recv() => Step::Event(event.unwrap_or_else(gone)),
                    () = async { give_way.expect("guarded").cancelled().await }, if give_way.is_some() => Step::GiveWay,
                }
            }
        }
    }

    /// A process answers and can take a prompt.
    pub(super) fn is_free(&self) -> bool {
        matches!(self, Self::Live(live) if live.ready && live.leaving.is_none())
    }

    /// It is on its way out.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self, Self::Live(live) if live.leaving.is_some())
    }

    /// How many are before it, if it waits.
    pub(super) fn before(&self) -> Option<u32> {
        match self {
            Self::Waiting(waiting) => Some(waiting.before()),
            Self::Empty | Self::Live(_) => None,
        }
    }

    pub(super) fn set_ready(&mut self, pid: u32) {
        if let Self::Live(live) = self {
            live.ready = true;
            live.passing = pid == 0;
            live.permit.started(pid);
        }
    }

    pub(super) fn set_works(&mut self) {
        if let Self::Live(live) = self
            && !live.works
        {
            live.works = true;
            live.permit.works();
        }
    }

    pub(super) fn resumed(&self) -> bool {
        matches!(self, Self::Live(live) if live.resumed)
    }

    /// Tasks that run in the background, and are not on their way out with their process.
    pub(super) fn background(&self) -> u32 {
        match self {
            Self::Live(live) if live.leaving.is_none() => live.background,
            Self::Empty | Self::Waiting(_) | Self::Live(_) => 0,
        }
    }

    pub(super) fn set_background(&mut self, tasks: u32) {
        if let Self::Live(live) = self
            && live.background != tasks
        {
            live.background = tasks;
            live.rest = None;
            live.permit.busy();
            live.permit.keep(tasks > 0);
        }
    }

    /// Nothing to do: from now on it may be asked to give way, and after `timeout` it leaves; unless something of it runs in
    /// the background.
    pub(super) fn rest(&mut self, timeout: Duration) {
        if let Self::Live(live) = self
            && live.ready
            && live.leaving.is_none()
            && live.background == 0
            && live.rest.as_ref().is_none_or(|rest| rest.held)
        {
            // Nothing is kept by keeping it, and its next process needs a place like any other.
            let timeout = if live.passing { Duration::ZERO } else { timeout };
            live.rest = Some(Rest {
                give_way: live.permit.idle(),
                until: Some(Instant::now() + timeout),
                held: false,
            });
        }
    }

    /// A person has to decide: after `time` it may be asked to give way, unless something of it runs all the same.
    pub(super) fn hold(&mut self, time: Duration) {
        if let Self::Live(live) = self
            && live.leaving.is_none()
            && live.rest.is_none()
            && live.background == 0
        {
            live.rest = Some(Rest {
                give_way: CancellationToken::new(),
                until: Some(Instant::now() + time),
                held: true,
            });
        }
    }

    pub(super) fn wake(&mut self) {
        if let Self::Live(live) = self
            && live.rest.take().is_some()
        {
            live.permit.busy();
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Live(live) => live.leaving.or_else(|| live.rest.as_ref()?.until),
            Self::Empty | Self::Waiting(_) => None,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|at| at <= now)
    }
}

impl Live {
    const fn new(agent: Agent, permit: Permit, resumed: bool) -> Self {
        Self {
            agent,
            permit,
            ready: false,
            passing: false,
            works: false,
            resumed,
            background: 0,
            rest: None,
            leaving: None,
            killed: false,
        }
    }

    /// Until it is gone. Cancel safe.
    pub(super) async fn exited(&mut self) {
        exited(&mut self.agent.events).await;
    }

    /// It was held long enough. False: it is not held.
    fn offer(&mut self) -> bool {
        let Some(rest) = self.rest.as_mut().filter(|rest| rest.held) else {
            return false;
        };
        rest.until = None;
        rest.give_way = self.permit.idle();
        true
    }
}

fn gone() -> AgentEvent {
    AgentEvent::Exited {
        failure: Some(Failure {
            kind: FailureKind::Died,
            sentence: "The agent ended unexpectedly.".to_owned(),
            cause: "the driver ended without a word".to_owned(),
        }),
    }
}

impl SessionActor {
    /// Starts a process for the conversation of this session.
    pub(super) async fn launch(&mut self, permit: Permit) {
        self.seat = Seat::Empty;
        self.name_conversation();
        let folders = Folders::of(&self.shared.rules, &self.row);
        let made = folders.make().await.map_err(|error| error.to_string());
        let ready = match made {
            Ok(()) => self.claim().await.map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        if let Err(cause) = ready {
            drop(permit);
            let failure = Failure {
                kind: FailureKind::Start,
                sentence: "The agent could not be started: its folder or its name could not be made.".to_owned(),
                cause,
            };
            self.jammed = Some(failure);
            return;
        }
        let resume = self.row.resumable || self.handed;
        if resume && self.cut.is_none() {
            self.cut = self.read_cut().await;
        }
        if !resume && self.row.fork.is_none() && self.row.turns > 0 && self.lost.is_none() {
            // It was lost before this actor was there.
            self.lost = Some(true);
        }
        let launch = Launch {
            workspace: folders.workspace.clone(),
            config_dir: folders.config,
            temp_dir: folders.temp,
            cli_session: self.row.cli_session.clone().unwrap_or_default(),
            resume,
            fork: self.row.fork.clone(),
            model: self.row.model.clone(),
            mode: self.row.mode.clone(),
            allowed: self.row.allowed.clone(),
            note: tray::note(&folders.outbox, &folders.workspace, self.shared.rules.bounds),
        };
        tracing::debug!(bot = %self.row.bot, session = %self.key, resume, "an agent is started");
        let agent = (self.shared.start)(&self.shared.rules.agent, launch);
        self.seat = Seat::Live(Box::new(Live::new(agent, permit, resume)));
    }

    /// Takes the process that is kept warm, if this session is new: its folders and its conversation are the session's
    /// from now on. False: there is none, or it cannot be this one's.
    pub(super) async fn take_spare(&mut self) -> bool {
        let row = &self.row;
        let chosen = row.model.is_some() || row.mode.is_some() || !row.allowed.is_empty();
        let begun = row.turns > 0 || row.resumable || self.handed || self.lost.is_some();
        // Later sessions of a key share with the first what the agent learnt.
        if begun || chosen || row.fork.is_some() || row.home.is_some() || row.epoch > 0 {
            return false;
        }
        let Some(warm) = self.shared.spare.take().await else {
            return false;
        };
        let Warm {
            agent,
            permit,
            cli_session,
            home,
            said,
        } = warm;
        if let Err(error) = spare::unmark(&self.shared.rules, &home).await {
            tracing::warn!(bot = %self.row.bot, %error, "a warm process could not be taken");
            return false;
        }
        let former = (self.row.cli_session.take(), self.unclaimed);
        self.row.home = Some(home);
        self.row.cli_session = Some(cli_session);
        self.unclaimed = true;
        if let Err(error) = self.claim().await {
            // The process goes with `agent`. Its folders are left over.
            tracing::error!(bot = %self.row.bot, session = %self.key, %error, "a warm process was not kept");
            self.row.home = None;
            (self.row.cli_session, self.unclaimed) = former;
            return false;
        }
        permit.busy();
        self.seat = Seat::Live(Box::new(Live::new(agent, permit, false)));
        for event in said {
            self.hear(event).await;
        }
        true
    }

    /// Waits for a place in the name of whoever asks.
    pub(super) fn wait_for_place(&self) -> Waiting {
        let asker = self.current.as_ref().map_or("", |job| job.row.asker.as_str());
        let person = format!("{}/{asker}", self.row.bot);
        self.shared.processes.acquire(&person, &self.shared.rules.agent.name)
    }

    /// Another session needs the place. What was asked stays asked; whoever decides it is answered by another process.
    pub(super) fn give_way(&mut self) {
        let asking = self.current.as_mut().filter(|job| job.turn.state() == State::Asking);
        let Some(job) = asking else {
            return self.close_process();
        };
        tracing::debug!(bot = %job.row.bot, session = %self.key, turn = %job.row.id, "a turn that asks gives way");
        // A word that this process did not hear is a part of the message: the next is told that again.
        let unheard = job.turn.is_unheard();
        job.turn.handle(&Input::Park);
        job.work = if unheard { Work::Again } else { Work::Decisions };
        // This process was told of them and may have used them: they allow nothing once more.
        job.decided.clear();
        // Its stdin closed, it would wait on.
        self.kill_process();
    }

    /// Gives a command. Never waits: an agent that takes none is ended.
    pub(super) fn tell(&mut self, command: Command) {
        let Seat::Live(live) = &mut self.seat else { return };
        match live.agent.commands.try_send(command) {
            // Closed: its last event is on the way.
            Ok(()) | Err(tokio::sync::mpsc::error::TrySendError::Closed(_)) => {}
            Err(tokio::sync::mpsc::error::TrySendError::Full(_)) => {
                self.jammed = Some(Failure {
                    kind: FailureKind::Died,
                    sentence: "The agent no longer reacts and was ended.".to_owned(),
                    cause: "its commands are not taken".to_owned(),
                });
            }
        }
    }

    /// Asks the process to leave; it does so by itself or is ended after a while.
    pub(super) fn close_process(&mut self) {
        if let Seat::Live(live) = &mut self.seat
            && live.leaving.is_none()
        {
            live.leaving = Some(Instant::now() + LEAVE);
            live.rest = None;
            live.permit.leaves();
            self.tell(Command::Close);
        }
    }

    /// Ends the process now. The seat is taken until it is gone: two processes never share a conversation.
    pub(super) fn kill_process(&mut self) {
        if let Seat::Live(live) = &mut self.seat
            && !live.killed
        {
            live.leaving = Some(Instant::now() + LEAVE);
            live.killed = true;
            live.rest = None;
            live.permit.leaves();
            self.tell(Command::Kill);
        }
    }

    /// The seat's deadline has come: rest becomes leaving, leaving becomes force.
    pub(super) fn close_process_further(&mut self) {
        if let Seat::Live(live) = &mut self.seat
            && live.leaving.is_none()
            && live.offer()
        {
            return;
        }
        match &self.seat {
            Seat::Live(live) if live.leaving.is_none() => self.close_process(),
            Seat::Live(live) if !live.killed => self.kill_process(),
            Seat::Live(_) => {
                tracing::error!(bot = %self.row.bot, session = %self.key, "an agent's end was not seen in time");
                // Dropping both ends of the driver kills as well.
                self.seat = Seat::Empty;
            }
            Seat::Empty | Seat::Waiting(_) => {}
        }
    }

    /// The process cannot be used: as if it had died.
    pub(super) async fn lost(&mut self, failure: Failure) {
        self.seat = Seat::Empty;
        self.hear(AgentEvent::Exited { failure: Some(failure) }).await;
    }

    /// Nothing may finish any more: the process is ended, the turn stays as it is in the store.
    pub(super) async fn halt(&mut self) {
        self.kill_process();
        if let Seat::Live(live) = &mut self.seat
            && tokio::time::timeout(LEAVE, live.exited()).await.is_err()
        {
            tracing::error!(bot = %self.row.bot, session = %self.key, "an agent's end was not seen in time");
        }
        self.seat = Seat::Empty;
    }
}
