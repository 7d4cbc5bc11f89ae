//! A word into the turn that runs: the agent reads it when it has done what it is doing.

use super::SessionActor;
use super::job::Job;
use crate::chat::{Part, Tone, TurnId};
use crate::config::WhileRunning;
use crate::driver::Command;
use crate::session::folder::Folders;
use crate::session::transcript::one_line;
use crate::session::turn::{Input, State};
use crate::session::view::shorten;
use crate::session::{Prompt, SubmitError, tray};
use crate::store::{InFile, InboxState, TurnKind, TurnRow};

/// What the view shows of it, in bytes.
const SHOWN_MAX: usize = 200;

/// Before it.
const TOLD: &str = "Told while it works: ";

/// The turn has words that its agent may not have heard: it is not kept whether it did.
pub(super) fn is_steered(turn: &TurnRow) -> bool {
    let told = |part: &Part| matches!(part, Part::Notice(notice) if notice.text.starts_with(TOLD));
    turn.view
        .as_ref()
        .is_some_and(|view| view.blocks.iter().any(|block| told(&block.part)))
}

impl SessionActor {
    /// The agent listens while it works, and it works on what somebody said. Else the message waits for its turn.
    pub(super) fn can_steer(&self, prompt: &Prompt) -> bool {
        let job = self.current.as_ref();
        let runs = job.is_some_and(|job| {
            job.turn.state() == State::Running
                && job.row.kind == TurnKind::Message
                && job.row.inbox.is_some()
                && job.steered < self.shared.rules.queue_limit
        });
        // What was to be told before and waits is heard before.
        let waits = |job: &Job| job.way == WhileRunning::Steer;
        runs && prompt.kind == TurnKind::Message
            && !self.queue.iter().any(waits)
            && self.offers.abilities.is_some_and(|abilities| abilities.steer)
            && self.seat.is_free()
    }

    /// On disk first, as a part of the turn's question: if the turn must be done again, so is this. Then it is told to
    /// the agent, and shown.
    pub(super) async fn steer(&mut self, prompt: Prompt) -> Result<TurnId, SubmitError> {
        let Some(job) = &self.current else {
            return Err(SubmitError::Closed);
        };
        let files = apart(&job.row.files, prompt.files);
        let mut row = job.row.clone();
        row.prompt = format!("{}\n\n{}", row.prompt, prompt.text);
        row.files.extend(files.iter().cloned());
        let (kept, inbox) = (row.clone(), prompt.also.into_iter().chain(prompt.inbox));
        let write = self.shared.journal.write(move |store| {
            store.turn_put(&kept)?;
            inbox
                .into_iter()
                .try_for_each(|id| store.inbox_state(id, InboxState::Done))
        });
        write
            .await
            .map_err(|error| SubmitError::Unavailable(error.to_string()))?;
        let turn = row.id.clone();
        let folders = Folders::of(&self.shared.rules, &self.row);
        let kept = self.shared.rules.files_dir.clone();
        let laid = tray::lay(kept, folders.workspace, turn.clone(), files).await;
        if let Some(job) = &mut self.current {
            job.row.prompt = row.prompt;
            job.row.files = row.files;
            job.steered += 1;
        }
        if let Some(job) = &self.current {
            let words = format!("{TOLD}{}", shorten(&one_line(&prompt.text), SHOWN_MAX));
            self.show(job, |view| view.notice(Tone::Info, &words));
        }
        let id = uuid::Uuid::new_v4().to_string();
        // What waits to be heard of the agent's is older than this word: no end in it is the turn's.
        self.input(&Input::Steered { id: &id }).await;
        self.tell(Command::Steer {
            id,
            text: prompt.text + &laid.told,
            images: laid.images,
        });
        Ok(turn)
    }
}

/// Names that no file of the turn has: they lie in one folder.
fn apart(there: &[InFile], files: Vec<InFile>) -> Vec<InFile> {
    let mut new: Vec<InFile> = Vec::with_capacity(files.len());
    for mut file in files {
        let name = file.name.clone();
        let taken = |name: &str| there.iter().chain(&new).any(|other| other.name == name);
        let mut number = 2;
        while taken(&file.name) {
            file.name = format!("{number}-{name}");
            number += 1;
        }
        new.push(file);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_turn_do_not_overwrite_each_other() {
        let file = |name: &str| InFile {
            id: "f".into(),
            name: name.into(),
            media_type: "image/png".into(),
            size_bytes: 1,
        };
        let there = [file("image.png"), file("2-image.png")];
        let named: Vec<String> = apart(&there, vec![file("image.png"), file("image.png"), file("else.png")])
            .into_iter()
            .map(|file| file.name)
            .collect();
        assert_eq!(named, ["3-image.png", "4-image.png", "else.png"]);
    }
}
