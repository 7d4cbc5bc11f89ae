//! A word into the turn that runs.

use super::SessionActor;
use crate::chat::{Tone, TurnId};
use crate::config::DriverKind;
use crate::driver::Command;
use crate::session::transcript::one_line;
use crate::session::turn::State;
use crate::session::view::shorten;
use crate::session::{Prompt, SubmitError};
use crate::store::{InboxState, Store};

/// What the view shows of it, in bytes.
const SHOWN_MAX: usize = 200;

impl SessionActor {
    /// The agent listens while it works, and it works.
    pub(super) fn can_steer(&self, prompt: &Prompt) -> bool {
        let runs = self
            .current
            .as_ref()
            .is_some_and(|job| job.turn.state() == State::Running);
        runs && prompt.files.is_empty() && self.shared.rules.agent.driver == DriverKind::Claude && self.seat.is_free()
    }

    /// On disk first, as a part of the turn's question: if the turn must be done again, so is this.
    pub(super) async fn steer(&mut self, prompt: Prompt) -> Result<TurnId, SubmitError> {
        let Some(mut row) = self.current.as_ref().map(|job| job.row.clone()) else {
            return Err(SubmitError::Closed);
        };
        row.prompt = format!("{}\n\n{}", row.prompt, prompt.text);
        let (kept, inbox) = (row.clone(), prompt.also.into_iter().chain(prompt.inbox));
        let write = self.shared.journal.write(move |store: &mut dyn Store| {
            store.turn_put(&kept)?;
            inbox.into_iter().try_for_each(|id| store.inbox_state(id, InboxState::Done))
        });
        write
            .await
            .map_err(|error| SubmitError::Unavailable(error.to_string()))?;
        let turn = row.id.clone();
        if let Some(job) = &mut self.current {
            job.row.prompt = row.prompt;
        }
        if let Some(job) = &self.current {
            let words = format!("Told while it works: {}", shorten(&one_line(&prompt.text), SHOWN_MAX));
            self.show(job, |view| view.notice(Tone::Info, &words));
        }
        self.tell(Command::Steer {
            id: uuid::Uuid::new_v4().to_string(),
            text: prompt.text,
        });
        Ok(turn)
    }
}
