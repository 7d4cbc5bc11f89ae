//! A turn as the actor holds it: its row, its view, its state, and what people were asked.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::chat::{InboxId, Subject, TurnId};
use crate::config::WhileRunning;
use crate::session::SubmitError;
use crate::session::registry::Shared;
use crate::session::turn::{State, Turn};
use crate::session::view::SharedView;
use crate::session::watch::Watch;
use crate::store::{AskRow, Decision, TokenRow, TurnRow};

/// What the agent is to be told when the turn is handed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// The message.
    Message,
    /// The message again: it was being worked on when the host ended.
    Again,
    /// What was decided: it asked when the host ended.
    Decisions,
    /// The message again: it was given up.
    Cut,
}

pub(super) struct Job {
    pub(super) row: TurnRow,
    /// Rows of the inbox that are part of its message.
    pub(super) also: Vec<InboxId>,
    /// See [`crate::session::Prompt::place`].
    pub(super) place: Option<InboxId>,
    /// How it came, while it has waited.
    pub(super) way: WhileRunning,
    pub(super) view: Arc<SharedView>,
    pub(super) turn: Turn,
    pub(super) watch: Watch,
    /// Why it was given up.
    pub(super) cut: Option<String>,
    pub(super) work: Work,
    pub(super) asks: Vec<OpenAsk>,
    /// Decided, and the process that asked is gone: told with the next prompt.
    pub(super) decided: Vec<AskRow>,
    /// Tool and input that may be used once without another question.
    pub(super) allowances: Vec<(String, String)>,
    /// Messages that became a part of it while it ran.
    pub(super) steered: usize,
    pub(super) stop: Option<TokenRow>,
    /// Until then a stopped agent may answer.
    pub(super) grace: Option<Instant>,
    /// Whoever gave the message waits for it to be on disk. None: it is.
    pub(super) reply: Option<oneshot::Sender<Result<TurnId, SubmitError>>>,
}

/// A question that stands in the chat.
pub(super) struct OpenAsk {
    pub(super) row: AskRow,
    pub(super) expires: Instant,
}

impl Job {
    pub(super) fn new(row: TurnRow, shared: &Shared) -> Self {
        let view = shared.view(row.id.clone(), row.attempt);
        Self {
            row,
            also: Vec::new(),
            place: None,
            way: WhileRunning::Queue,
            view: Arc::new(SharedView::new(view)),
            turn: Turn::new(),
            watch: Watch::new(shared.rules.agent.limits),
            cut: None,
            work: Work::Message,
            asks: Vec::new(),
            decided: Vec::new(),
            allowances: Vec::new(),
            steered: 0,
            stop: None,
            grace: None,
            reply: None,
        }
    }

    /// Its place in the queue: begun turns first, then what interrupts, each by the inbox.
    pub(super) fn order(&self) -> (bool, bool, InboxId) {
        let place = self.place.or(self.row.inbox).unwrap_or(InboxId(i64::MAX));
        (self.row.attempt == 0, self.way != WhileRunning::Interrupt, place)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let asks = self.asks.iter().map(|ask| ask.expires);
        let clocks = self.watch.deadline().filter(|_| self.turn.state() == State::Running);
        asks.chain(self.grace).chain(clocks).min()
    }

    /// The one thing that an approval allows: this tool with this input, once.
    pub(super) fn use_allowance(&mut self, tool: &str, input: &str) -> bool {
        let at = self
            .allowances
            .iter()
            .position(|(t, i)| t == tool && same_json(i, input));
        at.map(|at| self.allowances.swap_remove(at)).is_some()
    }

    /// What the agent is told. `remembers`: it goes on with the conversation in which it was asked before.
    pub(super) fn prompt(&self, remembers: bool) -> String {
        if self.work == Work::Message && self.decided.is_empty() {
            return self.row.prompt.clone();
        }
        let why = match &self.cut {
            Some(why) => format!("you were interrupted, because {why}"),
            None => "the connection to you was lost while you worked".to_owned(),
        };
        let mut text = format!(
            "[A word from botyard, which carries this chat: {why}. Check what was done already before you go on, so \
             that nothing is done twice."
        );
        for ask in &self.decided {
            text.push('\n');
            text.push_str(&told_later(ask));
        }
        let repeat = !self.row.prompt.is_empty() && (self.work != Work::Decisions || !remembers);
        if repeat {
            text.push_str("\nThe message that you were working on follows.]\n\n");
            text.push_str(&self.row.prompt);
        } else {
            text.push_str("\nThen finish what you were doing.]");
        }
        text
    }

    /// What `Turn` of an agent that was never heard would have: it may be begun again.
    pub(super) fn requeue(&mut self) {
        self.row.attempt = self.row.attempt.saturating_sub(1);
        if self.turn.state() != State::Queued {
            self.turn = Turn::new();
        }
    }
}

/// A decision, for an agent that goes on in another process than the one that asked.
fn told_later(ask: &AskRow) -> String {
    let (decision, who) = ask.decided.clone().unwrap_or((Decision::Deny, String::new()));
    let asked = match ask.subject {
        Subject::Tool => format!(
            "You had asked for permission to use the tool {} with the input {}.",
            ask.tool, ask.input
        ),
        Subject::Plan => "You had asked whether to go ahead with your plan.".to_owned(),
        Subject::Questions(_) => "You had asked the person a question.".to_owned(),
    };
    let answer = match &decision {
        Decision::Allow if ask.subject == Subject::Plan => "The person approved it: go ahead.".to_owned(),
        Decision::Allow | Decision::AllowSession => "It was granted: if it is not done yet, use the tool with exactly \
                                                     this input now; you will not be asked again this once."
            .to_owned(),
        Decision::AllowWith(input) => format!(
            "It was granted with another input: if it is not done yet, use the tool with exactly the input {input} \
             now; you will not be asked again this once."
        ),
        Decision::Answer(answers) => {
            let answers = answers
                .iter()
                .map(|(question, answer)| format!("- {question}: {answer}"));
            format!("The answers are:\n{}", answers.collect::<Vec<_>>().join("\n"))
        }
        denied => format!(
            "It was not granted: do not do it. {}",
            super::ask::denial(ask, denied, &who)
        ),
    };
    format!("{asked} {answer}")
}

/// The tool and the input that a decision lets through once, in a process that asks again.
pub(super) fn allowance(ask: &AskRow) -> Option<(String, String)> {
    match &ask.decided {
        Some((Decision::Allow | Decision::AllowSession, _)) => Some((ask.tool.clone(), ask.input.clone())),
        Some((Decision::AllowWith(input), _)) => Some((ask.tool.clone(), input.clone())),
        _ => None,
    }
}

/// Key order and spaces mean nothing.
fn same_json(a: &str, b: &str) -> bool {
    let parse = serde_json::from_str::<serde_json::Value>;
    match (parse(a), parse(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
