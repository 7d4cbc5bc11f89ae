//! The life of one turn: a pure state machine, no I/O. It hears what the agent does and what people decide, and
//! says what is to be done. [`super::actor`] does it.
//!
//! ```text
//! queued ─Begin→ starting ─Ready→ running ⇄ asking
//!                   ↑                │  └─Stop→ stopping
//!                   └─ died, nothing │              │
//!                      was shown     └──→ done ←────┘
//! ```
//!
//! A turn that is given up (`Overdue`) is stopping too; from there it goes back to starting, once.

use std::collections::BTreeSet;

use crate::driver::{AgentEvent, Failure, FailureKind, Outcome, Permission};

/// Where a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Queued,
    /// A process is being had.
    Starting,
    /// The agent has the prompt.
    Running,
    /// A person has to decide.
    Asking,
    /// It was told to end; its word is awaited.
    Stopping,
    Done,
}

/// What happens to a turn.
#[derive(Debug, PartialEq)]
pub enum Input<'a> {
    /// It is the first of the queue.
    Begin,
    /// There is a process that answers.
    Ready,
    /// The prompt went out under this id. `alone`: nothing else of this agent was under way, so that all that
    /// follows is this turn's. Otherwise a result counts only after the agent took up `id`.
    Handed {
        id: &'a str,
        alone: bool,
    },
    Agent(&'a AgentEvent),
    /// A further word goes out under this id, for this turn to answer.
    Steered {
        id: &'a str,
    },
    /// A person ends it.
    Stop,
    /// It is given up: interrupted. `again`: what is left of it is put to the agent once more, who is told so.
    Overdue {
        failure: &'a Failure,
        again: bool,
    },
    /// The process went while a person has to decide: the agent is told by another.
    Park,
    /// A person decided this request.
    Decided(&'a str),
    /// The time in which a stopped agent was to answer is over.
    GraceOver,
}

/// What is to be done. In order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Have a process that answers, then say [`Input::Ready`]. `fresh`: with a new conversation, the old one is lost.
    Start {
        fresh: bool,
    },
    /// Give it the prompt, then say [`Input::Handed`].
    Hand,
    Interrupt,
    /// End the process; nothing it still says is heard.
    Kill,
    /// Ask a person.
    Ask(Box<Permission>),
    /// The agent does not wait for this decision any more.
    Withdraw(String),
    Finish(Ending),
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Done,
    Stopped,
    Failed(Failure),
}

/// One turn's state.
#[derive(Debug)]
pub struct Turn {
    state: State,
    /// Open requests.
    open: BTreeSet<String>,
    /// It asks, and the process that asked is gone: decisions are told to another one.
    parked: bool,
    /// Something was shown or done since the prompt went out: it cannot be repeated silently.
    emitted: bool,
    /// The one silent repetition was used.
    repeated: bool,
    /// The one fresh conversation was used.
    refreshed: bool,
    /// Given up, and the agent's word is awaited.
    cut: Option<Cut>,
    /// The one continuation was used.
    continued: bool,
    prompt: Option<String>,
    /// Results are this turn's.
    counting: bool,
    /// The agent said that it works on the prompt.
    taken_up: bool,
    outcome: Option<Outcome>,
    /// Words for this turn that the agent did not take up yet: what it says of an end is older than they are.
    told: BTreeSet<String>,
}

/// Why a turn was given up.
#[derive(Debug)]
struct Cut {
    failure: Failure,
    /// What is left is put to the agent again.
    again: bool,
}

impl Default for Turn {
    fn default() -> Self {
        Self::new()
    }
}

impl Turn {
    pub fn new() -> Self {
        Self {
            state: State::Queued,
            open: BTreeSet::new(),
            parked: false,
            emitted: false,
            repeated: false,
            refreshed: false,
            cut: None,
            continued: false,
            prompt: None,
            counting: false,
            taken_up: false,
            outcome: None,
            told: BTreeSet::new(),
        }
    }

    /// A turn that asked when the host ended.
    pub fn parked(open: impl IntoIterator<Item = String>) -> Self {
        Self {
            state: State::Asking,
            open: open.into_iter().collect(),
            parked: true,
            ..Self::new()
        }
    }

    /// The agent spoke first: it runs already, and all it says is this turn's.
    pub fn unsolicited() -> Self {
        Self {
            state: State::Running,
            counting: true,
            taken_up: true,
            emitted: true,
            ..Self::new()
        }
    }

    pub const fn state(&self) -> State {
        self.state
    }

    /// An agent works on it, or may: it is not merely waiting for one.
    pub const fn is_with_agent(&self) -> bool {
        matches!(self.state, State::Running | State::Stopping) || matches!(self.state, State::Asking) && !self.parked
    }

    /// Takes one input. Inputs that mean nothing in this state are ignored.
    pub fn handle(&mut self, input: &Input<'_>) -> Vec<Action> {
        match (self.state, input) {
            (State::Queued, Input::Begin) => {
                self.state = State::Starting;
                vec![Action::Start { fresh: false }]
            }
            (State::Starting, Input::Ready) => {
                self.state = State::Running;
                vec![Action::Hand]
            }
            (State::Running | State::Stopping, Input::Handed { id, alone }) => {
                self.prompt = Some((*id).to_owned());
                self.counting = *alone;
                Vec::new()
            }
            (State::Running, Input::Steered { id }) => {
                self.told.insert((*id).to_owned());
                Vec::new()
            }
            (_, Input::Stop) => self.stop(),
            (State::Running, Input::Overdue { failure, again }) => {
                self.state = State::Stopping;
                self.cut = Some(Cut {
                    failure: (*failure).clone(),
                    again: *again && !std::mem::replace(&mut self.continued, true),
                });
                vec![Action::Interrupt]
            }
            (State::Asking, Input::Park) => {
                self.parked = true;
                // Another process is told, or told of, all of it.
                self.told.clear();
                self.prompt = None;
                self.counting = false;
                self.taken_up = false;
                self.outcome = None;
                Vec::new()
            }
            (State::Asking, Input::Decided(request)) => self.decided(request),
            (State::Stopping, Input::GraceOver) => {
                let mut actions = vec![Action::Kill];
                // It may have answered and not become idle.
                actions.extend(match self.outcome.take() {
                    Some(outcome) => self.answered(outcome),
                    None => self.stopped(),
                });
                actions
            }
            (State::Starting | State::Running | State::Asking | State::Stopping, Input::Agent(event)) => {
                self.agent(event)
            }
            _ => Vec::new(),
        }
    }

    /// The agent was told something that it did not take up yet.
    pub fn is_unheard(&self) -> bool {
        !self.told.is_empty()
    }

    fn stop(&mut self) -> Vec<Action> {
        match self.state {
            State::Queued | State::Starting => self.finish(Ending::Stopped),
            State::Asking if self.parked => self.finish(Ending::Stopped),
            State::Running | State::Asking => {
                self.state = State::Stopping;
                vec![Action::Interrupt]
            }
            State::Stopping => {
                // Whoever stops it wants no more of it.
                self.cut = None;
                Vec::new()
            }
            State::Done => Vec::new(),
        }
    }

    fn decided(&mut self, request: &str) -> Vec<Action> {
        if !self.open.remove(request) || !self.open.is_empty() {
            return Vec::new();
        }
        if std::mem::take(&mut self.parked) {
            self.state = State::Starting;
            return vec![Action::Start { fresh: false }];
        }
        self.state = State::Running;
        Vec::new()
    }

    fn agent(&mut self, event: &AgentEvent) -> Vec<Action> {
        match event {
            AgentEvent::Exited { failure } => return self.exited(failure.as_ref()),
            // A process that is being had says nothing that belongs to a turn.
            _ if self.state == State::Starting => {}
            AgentEvent::Started { id } => {
                if self.prompt.as_deref() == Some(id) {
                    self.counting = true;
                    self.taken_up = true;
                }
                self.told.remove(id);
            }
            AgentEvent::Permission(permission) => {
                self.emitted = true;
                // A stopped agent withdraws what it asks by itself.
                if self.state != State::Stopping && self.open.insert(permission.request.clone()) {
                    self.state = State::Asking;
                    return vec![Action::Ask(permission.clone())];
                }
            }
            AgentEvent::PermissionWithdrawn { request } => {
                if self.open.remove(request) {
                    if self.open.is_empty() && self.state == State::Asking {
                        self.state = State::Running;
                    }
                    return vec![Action::Withdraw(request.clone())];
                }
            }
            AgentEvent::Result { outcome } => {
                if let Outcome::Failed(failure) = outcome
                    && failure.kind == FailureKind::NoConversation
                    && self.state != State::Stopping
                    && let Some(actions) = self.refresh()
                {
                    return actions;
                }
                if *outcome == Outcome::Stopped {
                    // What it had not taken up was taken back.
                    self.told.clear();
                }
                if self.counting {
                    self.outcome = Some(outcome.clone());
                }
            }
            AgentEvent::Idle { .. } if self.state == State::Running && !self.told.is_empty() => {}
            AgentEvent::Idle { .. } => {
                if let Some(outcome) = self.outcome.take() {
                    return self.answered(outcome);
                }
                if self.taken_up {
                    // Nothing runs and nothing waits: no result will come (a CLI that dropped the message).
                    return self.unanswered();
                }
            }
            _ => self.emitted |= shows(event),
        }
        Vec::new()
    }

    fn answered(&mut self, outcome: Outcome) -> Vec<Action> {
        match outcome {
            // Also where it was given up: it was in time after all.
            Outcome::Ok => self.finish(Ending::Done),
            Outcome::Stopped => self.stopped(),
            // What an interrupted agent complains of is the interruption.
            Outcome::Failed(_) if self.state == State::Stopping => self.stopped(),
            Outcome::Failed(failure) => self.finish(Ending::Failed(failure)),
        }
    }

    fn unanswered(&mut self) -> Vec<Action> {
        match (self.state, self.emitted) {
            (State::Stopping, _) => self.stopped(),
            (_, true) => self.finish(Ending::Done),
            (_, false) => self.finish(Ending::Failed(Failure {
                kind: FailureKind::Other,
                sentence: "The agent gave no answer.".to_owned(),
                cause: "it became idle without a result".to_owned(),
            })),
        }
    }

    /// The agent let go of it, or was made to.
    fn stopped(&mut self) -> Vec<Action> {
        match self.cut.take() {
            Some(cut) if cut.again => self.start_over(false),
            Some(cut) => self.finish(Ending::Failed(cut.failure)),
            None => self.finish(Ending::Stopped),
        }
    }

    fn exited(&mut self, failure: Option<&Failure>) -> Vec<Action> {
        let unheard = self.state == State::Running && !std::mem::take(&mut self.told).is_empty();
        if let Some(outcome) = self.outcome.take().filter(|_| !unheard) {
            return self.answered(outcome);
        }
        if self.state == State::Stopping {
            return self.stopped();
        }
        if failure.is_some_and(|failure| failure.kind == FailureKind::NoConversation)
            && let Some(actions) = self.refresh()
        {
            return actions;
        }
        let died = failure.is_none_or(|failure| failure.kind == FailureKind::Died);
        if died && !self.emitted && !std::mem::replace(&mut self.repeated, true) {
            return self.start_over(false);
        }
        self.finish(Ending::Failed(failure.cloned().unwrap_or_else(|| Failure {
            kind: FailureKind::Died,
            sentence: "The agent ended before it had answered.".to_owned(),
            cause: "it exited with code 0 in the middle of a turn".to_owned(),
        })))
    }

    fn refresh(&mut self) -> Option<Vec<Action>> {
        (!self.emitted && !std::mem::replace(&mut self.refreshed, true)).then(|| self.start_over(true))
    }

    fn start_over(&mut self, fresh: bool) -> Vec<Action> {
        self.state = State::Starting;
        self.prompt = None;
        self.counting = false;
        self.taken_up = false;
        self.outcome = None;
        self.told.clear();
        let mut actions: Vec<Action> = std::mem::take(&mut self.open)
            .into_iter()
            .map(Action::Withdraw)
            .collect();
        actions.push(Action::Start { fresh });
        actions
    }

    fn finish(&mut self, ending: Ending) -> Vec<Action> {
        self.state = State::Done;
        self.open.clear();
        vec![Action::Finish(ending)]
    }
}

/// Whether a person has seen something of the agent, or it has done something.
pub(super) const fn shows(event: &AgentEvent) -> bool {
    matches!(
        event,
        AgentEvent::TextDelta { .. }
            | AgentEvent::Text { .. }
            | AgentEvent::ThinkingDelta { .. }
            | AgentEvent::Thinking { .. }
            | AgentEvent::Tool { .. }
            | AgentEvent::Plan(_)
            | AgentEvent::Permission(_)
    )
}

#[cfg(test)]
mod tests;
