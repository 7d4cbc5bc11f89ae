//! What the reply of one turn looks like: a pure fold of agent events into blocks. No I/O, no clock of its own, no
//! journal. [`SharedView`] is the one place where it is locked, and never across an await.

mod fold;
mod words;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::chat::{Ask, Block, Conversation, FileRef, Notice, Part, StepState, Token, Tone, TurnId, View, ViewState};
use crate::driver::AgentEvent;
use crate::outbox::ViewSource;

pub(super) use words::{duration, shorten};

/// What a step keeps of a tool's output, in bytes; the interface promises at most 4 KiB.
const OUTPUT_MAX_BYTES: usize = 4096;

/// The block that says which agent speaks. The agent's own begin behind it.
pub const HEADING: u32 = 0;

/// Revisions of one attempt; the next attempt begins above all of them.
const ATTEMPT_BITS: u32 = 20;

/// A view of a turn that is still being written. A text delta costs what the delta is long; the whole is copied
/// only when a snapshot is asked for.
#[derive(Debug)]
pub struct TurnView {
    turn: TurnId,
    revision: u32,
    /// Something differs from the last snapshot.
    changed: bool,
    state: ViewState,
    slots: Vec<Slot>,
    next_id: u32,
    /// Blocks whose text may still be withdrawn, by the driver's number and whether they are thinking.
    uncertain: HashMap<(u64, bool), usize>,
    /// Steps by the agent's id of the call.
    calls: HashMap<String, usize>,
    /// When the running steps began.
    began: HashMap<usize, Instant>,
    /// Asks by our id, with the step that waits for them.
    asks: HashMap<String, (usize, Option<usize>)>,
    plan: Option<usize>,
    /// A notice that the next sign of life takes away: a retry, a compaction.
    passing: Option<usize>,
    /// A notice that stays until the turn ends: how long it takes.
    long: Option<usize>,
    show_thinking: bool,
    show_usage: bool,
    stop_token: Option<Token>,
    model: Option<String>,
    usage: Option<String>,
}

/// A block, or the place of one that was withdrawn.
#[derive(Debug)]
struct Slot {
    id: u32,
    parent: Option<u32>,
    revision: u32,
    dirty: bool,
    complete: bool,
    part: Option<Part>,
}

impl TurnView {
    /// An empty view; its revisions are above those of all earlier attempts.
    pub fn new(turn: TurnId, attempt: u32, show_thinking: bool) -> Self {
        Self {
            turn,
            revision: base(attempt),
            changed: true,
            state: ViewState::Running,
            slots: Vec::new(),
            next_id: 1,
            uncertain: HashMap::new(),
            calls: HashMap::new(),
            began: HashMap::new(),
            asks: HashMap::new(),
            plan: None,
            passing: None,
            long: None,
            show_thinking,
            show_usage: true,
            stop_token: None,
            model: None,
            usage: None,
        }
    }

    /// The same, with the agent's name above all that it says.
    #[must_use]
    pub fn headed(mut self, name: &str) -> Self {
        self.slots.push(Slot {
            id: HEADING,
            parent: None,
            revision: self.revision,
            dirty: true,
            complete: true,
            part: Some(Part::Text(format!("**{name}**"))),
        });
        self
    }

    /// The same, with a footer or without one.
    #[must_use]
    pub const fn with_usage(mut self, shown: bool) -> Self {
        self.show_usage = shown;
        self
    }

    /// Goes on from a stored view. `asks` tells which of its blocks are which open ask.
    pub fn resume(view: View, show_thinking: bool, asks: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut resumed = Self::new(view.turn, 0, show_thinking);
        resumed.revision = view.revision;
        resumed.state = view.state;
        resumed.stop_token = view.stop_token;
        resumed.usage = view.footer;
        resumed.changed = false;
        for block in view.blocks {
            resumed.next_id = resumed.next_id.max(block.id.saturating_add(1));
            if matches!(block.part, Part::Plan(_)) {
                resumed.plan = Some(resumed.slots.len());
            }
            resumed.slots.push(Slot {
                id: block.id,
                parent: block.parent,
                revision: block.revision,
                dirty: false,
                complete: block.complete,
                part: Some(block.part),
            });
        }
        for (ask, id) in asks {
            if let Some(at) = resumed.slots.iter().position(|slot| slot.id == id) {
                let waiting = resumed.slots[..at]
                    .iter()
                    .rposition(|slot| matches!(&slot.part, Some(Part::Step(step)) if step.state == StepState::Waiting));
                resumed.asks.insert(ask, (at, waiting));
            }
        }
        resumed
    }

    /// The turn is handed to an agent (again): revisions go on above those of the attempts before.
    pub fn begin_attempt(&mut self, attempt: u32) {
        self.revision = self.revision.max(base(attempt));
        self.changed = true;
    }

    /// Folds one event in. True: the view changed.
    pub fn apply(&mut self, event: &AgentEvent, now: Instant) -> bool {
        if self.state.is_final() {
            return false;
        }
        self.watch(|view| view.fold(event, now))
    }

    /// Whether `change` changes anything, apart from what changed before.
    pub fn watch(&mut self, change: impl FnOnce(&mut Self)) -> bool {
        let before = std::mem::take(&mut self.changed);
        change(self);
        let changed = self.changed;
        self.changed |= before;
        changed
    }

    /// It waits at this place of the queue, from 1.
    pub fn waiting(&mut self, place: u32) {
        self.enter(ViewState::Waiting(place));
        self.alive();
    }

    /// It waits at this place for the session to come back from a terminal.
    pub fn away(&mut self, place: u32) {
        self.enter(ViewState::Waiting(place));
        if !self.state.is_final() {
            self.pass(Tone::Info, words::AWAY.to_owned());
        }
    }

    /// There is no place for a process; so many are before it.
    pub fn seatless(&mut self, before: u32) {
        self.enter(ViewState::Waiting(before.saturating_add(1)));
        if !self.state.is_final() {
            self.pass(Tone::Info, words::no_place(before));
        }
    }

    /// There is a place for it.
    pub fn seated(&mut self) {
        self.running();
        self.alive();
    }

    /// The agent works on it.
    pub fn running(&mut self) {
        self.enter(ViewState::Running);
    }

    fn enter(&mut self, state: ViewState) {
        if !self.state.is_final() && self.state != state {
            self.state = state;
            self.changed = true;
        }
    }

    /// A person is asked. The step of `call` waits; the view is a question now.
    pub fn ask(&mut self, id: &str, call: &str, ask: Ask) {
        if self.state.is_final() || self.asks.contains_key(id) {
            return;
        }
        self.alive();
        let step = self.calls.get(call).copied();
        if let Some(at) = step {
            self.step_state(at, StepState::Waiting);
        }
        let at = self.push(None, Part::Ask(ask), false);
        self.asks.insert(id.to_owned(), (at, step));
        self.enter(ViewState::Asking);
    }

    /// What became of an ask: nothing of it can be pressed any more. With the last one the view goes on running.
    pub fn settle(&mut self, id: &str, words: &str, denied: bool) {
        let Some((at, step)) = self.asks.remove(id) else {
            return;
        };
        if let Some(Part::Ask(ask)) = &mut self.slots[at].part {
            ask.settled = Some(words.to_owned());
            ask.choices.clear();
            ask.selection = None;
        }
        self.slots[at].complete = true;
        self.mark(at);
        if let Some(step) = step {
            self.step_state(step, if denied { StepState::Denied } else { StepState::Running });
        }
        if self.asks.is_empty() && self.state == ViewState::Asking {
            self.enter(ViewState::Running);
        }
    }

    fn step_state(&mut self, at: usize, state: StepState) {
        if let Some(Part::Step(step)) = &mut self.slots[at].part
            && step.state != state
        {
            step.state = state;
            self.mark(at);
        }
    }

    /// Something the host itself has to say.
    pub fn notice(&mut self, tone: Tone, text: &str) {
        if !self.state.is_final() {
            self.push(
                None,
                Part::Notice(Notice {
                    tone,
                    text: text.to_owned(),
                }),
                true,
            );
        }
    }

    /// It is still being worked on. `whole`: said of the whole turn, until it ends; else the next sign of life takes it away.
    pub fn still(&mut self, whole: bool, text: String) {
        if self.state.is_final() {
            return;
        }
        if !whole {
            return self.pass(Tone::Info, text);
        }
        let part = Part::Notice(Notice { tone: Tone::Info, text });
        match self.long {
            Some(at) => {
                self.slots[at].part = Some(part);
                self.mark(at);
            }
            None => self.long = Some(self.push(None, part, true)),
        }
    }

    /// The button that ends the turn.
    pub fn stop_token(&mut self, token: Option<Token>) {
        if self.stop_token != token {
            self.stop_token = token;
            self.changed = true;
        }
    }

    /// The process that spoke is gone and another goes on: its numbers and calls mean nothing any more.
    pub fn process_lost(&mut self) {
        self.withdraw();
        self.alive();
        self.close_steps();
        self.calls.clear();
    }

    /// The last word. What still streamed stays as it is; what still ran or was asked is closed. Then the files that the
    /// agent gives, and what is to be said of others.
    pub fn finish(&mut self, state: ViewState, warnings: &[String], files: impl IntoIterator<Item = FileRef>) {
        if self.state.is_final() || !state.is_final() {
            return;
        }
        self.alive();
        if let Some(at) = self.long.take() {
            self.remove(at);
        }
        self.uncertain.clear();
        let open: Vec<String> = self.asks.keys().cloned().collect();
        for id in open {
            self.settle(&id, super::question::WITHDRAWN, true);
        }
        self.close_steps();
        for at in 0..self.slots.len() {
            if !self.slots[at].complete {
                self.slots[at].complete = true;
                self.mark(at);
            }
        }
        for file in files {
            self.push(None, Part::File(file), true);
        }
        for text in warnings {
            self.notice(Tone::Warning, text);
        }
        self.stop_token(None);
        self.enter(state);
    }

    /// A step that runs on without anybody who could tell of its end counts as failed.
    fn close_steps(&mut self) {
        self.began.clear();
        for at in 0..self.slots.len() {
            if let Some(Part::Step(step)) = &mut self.slots[at].part
                && matches!(step.state, StepState::Running | StepState::Waiting)
            {
                step.state = StepState::Failed;
                self.slots[at].complete = true;
                self.mark(at);
            }
        }
    }

    /// It runs, and nothing is in it.
    fn is_bare(&self) -> bool {
        let empty = |slot: &Slot| slot.part.is_none() || slot.id == HEADING;
        self.state == ViewState::Running && self.slots.iter().all(empty)
    }

    /// Everything as it is now. A new revision only if something changed since the last one.
    pub fn snapshot(&mut self) -> View {
        if std::mem::take(&mut self.changed) {
            self.revision = self.revision.saturating_add(1);
            for slot in self.slots.iter_mut().filter(|slot| slot.dirty) {
                slot.dirty = false;
                slot.revision = self.revision;
            }
        }
        let blocks = self.slots.iter().filter_map(|slot| {
            slot.part.clone().map(|part| Block {
                id: slot.id,
                parent: slot.parent,
                revision: slot.revision,
                part,
                complete: slot.complete,
            })
        });
        View {
            turn: self.turn.clone(),
            revision: self.revision,
            state: self.state.clone(),
            blocks: blocks.collect(),
            stop_token: self.stop_token.clone(),
            footer: self.footer(),
            extra: Vec::new(),
        }
    }

    fn footer(&self) -> Option<String> {
        let usage = self.usage.as_ref().filter(|_| self.show_usage)?;
        Some(match &self.model {
            Some(model) => format!("{model} · {usage}"),
            None => usage.clone(),
        })
    }

    fn parent(&self, call: Option<&str>) -> Option<u32> {
        call.and_then(|call| self.calls.get(call)).map(|at| self.slots[*at].id)
    }

    fn push(&mut self, parent: Option<u32>, part: Part, complete: bool) -> usize {
        let id = self.next_id;
        self.next_id = self.next_id.saturating_add(1);
        self.slots.push(Slot {
            id,
            parent,
            revision: self.revision,
            dirty: true,
            complete,
            part: Some(part),
        });
        self.changed = true;
        self.slots.len() - 1
    }

    fn remove(&mut self, at: usize) {
        self.slots[at].part = None;
        self.changed = true;
    }

    fn mark(&mut self, at: usize) {
        self.slots[at].dirty = true;
        self.changed = true;
    }
}

fn base(attempt: u32) -> u32 {
    attempt.min(u32::MAX >> ATTEMPT_BITS) << ATTEMPT_BITS
}

/// The view of a turn that goes on, as session and outbox share it.
#[derive(Debug)]
pub struct SharedView {
    view: Mutex<TurnView>,
    /// Where the turn lives, once its adapter moved it.
    moved: Mutex<Option<Conversation>>,
}

impl SharedView {
    pub fn new(view: TurnView) -> Self {
        Self {
            view: Mutex::new(view),
            moved: Mutex::default(),
        }
    }

    /// Where the turn lives now, if its adapter moved it.
    pub fn home(&self) -> Option<Conversation> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The only way in. `change` must be short: the outbox may wait for it.
    pub fn with<R>(&self, change: impl FnOnce(&mut TurnView) -> R) -> R {
        // A fold that panicked leaves a view that is whole enough to be shown.
        change(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ViewSource for SharedView {
    fn view(&self) -> View {
        self.with(TurnView::snapshot)
    }

    fn is_bare(&self) -> bool {
        self.with(|view| view.is_bare())
    }

    fn moved(&self, to: &Conversation) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(to.clone());
    }
}

#[cfg(test)]
mod tests;
