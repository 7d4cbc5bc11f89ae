//! Turns of a former run of the host, taken up where the store says they were.

use std::sync::Arc;

use tokio::time::Instant;

use super::SessionActor;
use super::ask::until;
use super::job::{Job, OpenAsk, Work};
use super::steer::is_steered;
use crate::chat::{Ask, Part, Token, Tone, TurnId, View};
use crate::driver::{AgentEvent, Failure, FailureKind};
use crate::session::question;
use crate::session::transcript::{self, Recalled};
use crate::session::turn::{Ending, Turn};
use crate::session::view::{SharedView, TurnView};
use crate::store::{AskRow, AskState, Result, Store, TurnKind, TurnRow, TurnState};

/// The words for a turn that is done a second time.
const AGAIN: &str =
    "botyard was restarted while this was being worked on; it is done again, so some steps may have run twice";

/// The agent had lost what was said, and has it again: all of it, or as much as it is given.
const GIVEN: &str = "The agent had lost what was said here before; it was given it again, from botyard's log.";
const GIVEN_NEWEST: &str =
    "The agent had lost what was said here before; it was given the newest part of it again, from botyard's log.";

/// It has not.
const AFRESH: &str = "The agent no longer has what was said here before; it begins afresh.";

/// What the store tells of a turn's questions.
struct Asked {
    asks: Vec<AskRow>,
    /// Which block of the stored view is which ask.
    blocks: Vec<(String, u32)>,
}

fn a_token(ask: &Ask) -> Option<&Token> {
    let choice = ask.choices.first().map(|choice| &choice.token);
    let selection = ask.selection.as_ref().map(|selection| &selection.token);
    choice.or(selection)
}

fn read_asked(store: &mut dyn Store, turn: &TurnId, view: Option<&View>) -> Result<Asked> {
    let asks = store.asks_of(turn)?;
    let mut blocks = Vec::new();
    for block in view.map(|view| view.blocks.as_slice()).unwrap_or_default() {
        if let Part::Ask(ask) = &block.part
            && ask.settled.is_none()
            && let Some(token) = a_token(ask)
            && let Some(ask) = store.token_get(token)?.and_then(|token| token.ask)
        {
            blocks.push((ask, block.id));
        }
    }
    Ok(Asked { asks, blocks })
}

/// What an agent is given of what was said here, at most, in bytes.
const RECALL_MAX_BYTES: usize = 48 * 1024;

/// And of how many turns.
const RECALL_TURNS: u32 = 200;

impl SessionActor {
    /// The agent could not go on with its conversation: it ended at once. The first time it may have been for any reason,
    /// and it is tried again; then it is as if it did not have it. Should another one end at once too, that was not the
    /// reason ([`Self::take_back_conversation`]).
    pub(super) fn excuse(&mut self, event: &mut AgentEvent) {
        if let AgentEvent::Exited { failure: Some(failure) } = event
            && failure.kind == FailureKind::Unready
            && self.seat.resumed()
            && !self.seat.is_leaving()
        {
            if std::mem::replace(&mut self.refused, true) {
                failure.kind = FailureKind::NoConversation;
                self.former.clone_from(&self.row.cli_session);
                self.refused = false;
            } else {
                failure.kind = FailureKind::Died;
            }
        }
    }

    /// A new conversation could not be begun either: the old one is still the one to go on with.
    pub(super) fn take_back_conversation(&mut self) {
        if !self.seat.resumed()
            && let Some(former) = self.former.take()
        {
            self.row.cli_session = Some(former);
            self.row.resumable = true;
            self.unclaimed = false;
            self.handed = false;
            self.lost = None;
        }
    }

    /// What an agent that has nothing of what was said here is told before a prompt, and the chat's line about it.
    pub(super) async fn recall(&mut self, job: &Job) -> Option<(String, &'static str)> {
        let known = self.lost.take()?;
        let session = self.row.id.clone();
        let turns = self
            .shared
            .journal
            .read(move |store| store.turns_of(&session, RECALL_TURNS + 1))
            .await
            .unwrap_or_else(|error| {
                tracing::error!(session = %self.key, %error, "what was said was not read");
                Vec::new()
            });
        let older = turns.len() > RECALL_TURNS as usize;
        let over = |turn: &TurnRow| turn.id != job.row.id && turn.state == TurnState::Done && turn.attempt > 0;
        let turns = turns.into_iter().take(RECALL_TURNS as usize);
        let turns: Vec<TurnRow> = turns.filter(over).collect();
        // What was forgotten, being older than `retention`, is counted all the same.
        let said = turns.iter().filter(|turn| turn.kind == TurnKind::Message).count();
        let older = older || self.row.turns as usize > said;
        match transcript::recall(&turns, older, RECALL_MAX_BYTES) {
            Some(Recalled { log, whole }) => {
                let told = format!(
                    "[A word from botyard, which carries this chat: you have nothing of what was said here before. Its log \
                     follows, for you to know; nothing in it is a new request.]\n\n{log}\n[The log ends here. What you are to \
                     answer now follows.]\n\n"
                );
                Some((told, if whole { GIVEN } else { GIVEN_NEWEST }))
            }
            None => known.then(|| (String::new(), AFRESH)),
        }
    }

    /// Takes a turn up again. It waits its turn like any other; begun ones come first.
    pub(super) async fn restore(&mut self, turn: TurnRow) {
        let known = self.current.iter().chain(&self.queue).any(|job| job.row.id == turn.id);
        if known || self.draining || turn.state == TurnState::Done {
            return;
        }
        if turn.attempt > 0 {
            // The CLI was given something; it may have kept it although nobody saw that.
            self.handed = true;
        }
        let (id, view) = (turn.id.clone(), turn.view.clone());
        let asked = self
            .shared
            .journal
            .read(move |store| read_asked(store, &id, view.as_ref()))
            .await;
        let asked = match asked {
            Ok(asked) => {
                // Decided just before the end, and not taken in any more.
                for ask in asked.asks.iter().filter(|ask| ask.state == AskState::Decided) {
                    if let Some((decision, _)) = &ask.decided {
                        self.keep_lasting(ask, decision);
                    }
                }
                asked
            }
            Err(error) => {
                // Without its questions it is done again: nothing is allowed that nobody can show to be decided.
                tracing::error!(bot = %turn.bot, session = %self.key, turn = %turn.id, %error, "questions were not read");
                Asked {
                    asks: Vec::new(),
                    blocks: Vec::new(),
                }
            }
        };
        match turn.state {
            TurnState::Queued => {
                let job = Job::new(turn, &self.shared);
                self.follow(&job);
                self.enqueue(job);
            }
            TurnState::Asking if asked.asks.iter().any(|ask| ask.state != AskState::Closed) => {
                self.restore_asking(turn, asked).await;
            }
            TurnState::Asking | TurnState::Running => self.restore_running(turn, asked).await,
            TurnState::Done => {}
        }
    }

    async fn restore_running(&mut self, turn: TurnRow, asked: Asked) {
        let first = turn.attempt.saturating_add(1);
        let fresh = self.shared.view(turn.id.clone(), first);
        let silent = turn.inbox.is_none() && turn.prompt.is_empty();
        let mut job = Job::new(turn, &self.shared);
        job.view = Arc::new(SharedView::new(fresh));
        if silent {
            // The agent had spoken first; there is no question that could be put again.
            self.follow(&job);
            let waiting = self.current.replace(job);
            self.finish(Ending::Failed(Failure {
                kind: FailureKind::Died,
                sentence: "botyard was restarted while the agent reported this; ask it for what is missing.".to_owned(),
                cause: "the host ended during a turn that the agent had begun".to_owned(),
            }))
            .await;
            self.current = waiting;
            return;
        }
        job.view.with(|view| view.notice(Tone::Warning, AGAIN));
        job.work = Work::Again;
        job.decided = asked
            .asks
            .into_iter()
            .filter(|ask| ask.state == AskState::Decided)
            .collect();
        self.follow(&job);
        self.enqueue(job);
    }

    /// What was asked stays asked, and no process is started for it; what was decided meanwhile is told.
    async fn restore_asking(&mut self, turn: TurnRow, asked: Asked) {
        let mut job = Job::new(turn, &self.shared);
        job.work = if is_steered(&job.row) {
            Work::Again
        } else {
            Work::Decisions
        };
        if let Some(view) = job.row.view.clone() {
            let rules = &self.shared.rules;
            let view = TurnView::resume(view, rules.show_thinking, asked.blocks).with_usage(rules.show_usage);
            job.view = Arc::new(SharedView::new(view));
        }
        let (open, closed): (Vec<AskRow>, Vec<AskRow>) =
            asked.asks.into_iter().partition(|ask| ask.state == AskState::Open);
        job.decided = closed
            .into_iter()
            .filter(|ask| ask.state == AskState::Decided)
            .collect();
        for ask in &job.decided {
            if let Some((decision, who)) = &ask.decided {
                let words = question::words(ask, decision, who);
                job.view.with(|view| view.settle(&ask.id, &words, !decision.allows()));
            }
        }
        if !open.is_empty() {
            job.turn = Turn::parked(open.iter().map(|ask| ask.request.clone()));
        }
        job.asks = open
            .into_iter()
            .map(|row| OpenAsk {
                expires: Instant::now() + until(row.expires),
                row,
            })
            .collect();
        self.follow(&job);
        self.enqueue(job);
    }
}
