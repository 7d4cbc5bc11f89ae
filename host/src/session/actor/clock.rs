//! The turn's clocks: the chat is told that it is still being worked on; what takes too long is given up.

use tokio::time::Instant;

use super::SessionActor;
use super::job::Work;
use crate::config::DriverKind;
use crate::driver::{Failure, FailureKind};
use crate::session::turn::{Input, State};
use crate::session::watch::{Clock, Due, reason};
use crate::store::{TurnKind, TurnRow, TurnState};

/// How the sentence of a turn begins that was given up.
const CUT: &str = "The agent was interrupted: ";

/// Turns of a session that are looked at for the one that was worked on last: it is among the newest, unless many wait; then
/// more than may wait.
const LOOKED_AT: [u32; 2] = [8, 1000];

impl SessionActor {
    /// Does what the clocks of the running turn say.
    pub(super) async fn clocks(&mut self, now: Instant) {
        let Some(job) = &mut self.current else { return };
        if job.turn.state() != State::Running {
            return;
        }
        match job.watch.due(now) {
            None => {}
            Some(Due::Tell(clock, time)) => {
                let words = job.watch.told(clock, time);
                let job = self.current.as_ref().expect("just there");
                self.show(job, |view| view.still(clock == Clock::Turn, words));
            }
            Some(Due::End(clock, time)) => {
                let why = reason(clock, time);
                tracing::warn!(bot = %job.row.bot, session = %self.key, turn = %job.row.id, %why, "a turn is given up");
                // A command that is run again begins from nothing, and what takes too long would do so again.
                let again = clock != Clock::Turn
                    && job.row.kind == TurnKind::Message
                    && self.shared.rules.agent.driver != DriverKind::Exec;
                job.work = Work::Cut;
                job.cut = Some(why.clone());
                // It was told of them and may have used them: they allow nothing once more.
                job.decided.clear();
                let failure = Failure {
                    kind: FailureKind::Limit,
                    sentence: sentence(&why),
                    cause: why,
                };
                let failure = &failure;
                self.input(&Input::Overdue { failure, again }).await;
            }
        }
    }

    /// What an agent is to know with the first prompt of a process that goes on with a conversation: that the last turn
    /// was given up.
    pub(super) async fn read_cut(&mut self) -> Option<String> {
        let (session, now) = (self.row.id.clone(), self.current.as_ref().map(|job| job.row.id.clone()));
        // What waits behind it is newer, and was never begun.
        let worked_on = move |turn: &TurnRow| Some(&turn.id) != now.as_ref() && turn.attempt > 0;
        let last = self.shared.journal.read(move |store| {
            for most in LOOKED_AT {
                let turns = store.turns_of(&session, most)?;
                let all = turns.len() < most as usize;
                let found = turns.into_iter().find(&worked_on);
                if found.is_some() || all {
                    return Ok(found);
                }
            }
            Ok(None)
        });
        cut(&last.await.ok()??)
    }
}

fn sentence(why: &str) -> String {
    format!("{CUT}{why}.")
}

/// The turn failed because it was given up, for this reason.
pub(super) fn is_cut(failure: &Failure, why: &str) -> bool {
    failure.kind == FailureKind::Limit && failure.sentence == sentence(why)
}

/// Why this turn was given up, if it was.
fn cut(turn: &TurnRow) -> Option<String> {
    let view = turn.view.as_ref().filter(|_| turn.state == TurnState::Done)?;
    match &view.state {
        crate::chat::ViewState::Failed(sentence) => Some(sentence.strip_prefix(CUT)?.trim_end_matches('.').to_owned()),
        _ => None,
    }
}

/// What stands before the next prompt.
pub(super) fn word(why: &str) -> String {
    format!(
        "[A word from botyard, which carries this chat: your last turn was interrupted, because {why}. What it was doing \
         may be half done.]\n\n"
    )
}
