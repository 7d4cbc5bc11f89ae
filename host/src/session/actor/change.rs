//! What people change about a session between turns: which one is current, its name, model and mode, what waits.

use std::sync::Arc;

use super::SessionActor;
use super::seat::Seat;
use crate::chat::SessionId;
use crate::config::DriverKind;
use crate::driver::{Command, Offers};
use crate::session::{Change, ChangeError, Waiting, copy, modes, removal};
use crate::store::{Result as StoreResult, SessionRow};

impl SessionActor {
    pub(super) async fn change(&mut self, change: Change) -> Result<(), ChangeError> {
        match change {
            Change::Switch(id) => self.switch(&id).await?,
            Change::Rename(name) => {
                self.row.name = Some(copy::name(&name).ok_or(ChangeError::NotTaken)?);
            }
            Change::Fork => self.fork().await?,
            Change::Model(model) => self.set_model(model)?,
            Change::Mode(mode) => self.set_mode(mode)?,
            Change::Drop { place, of } => return self.drop_waiting(place, of.as_deref()).await,
        }
        self.store_session().await;
        Ok(())
    }

    /// Nothing runs, also not in the background.
    pub(super) fn at_rest(&self) -> Result<(), ChangeError> {
        if self.current.is_some() || !self.queue.is_empty() {
            return Err(ChangeError::Busy);
        }
        if self.seat.background() > 0 {
            return Err(ChangeError::Background);
        }
        Ok(())
    }

    /// Ends what runs in the background with its process, where no turn runs: nothing else can. The next message resumes
    /// the conversation. False: nothing does, or a turn runs.
    pub(super) fn end_background(&mut self) -> bool {
        let ends = self.current.is_none() && self.seat.background() > 0;
        if ends {
            tracing::info!(bot = %self.row.bot, session = %self.key, "what an agent ran in the background is ended");
            self.close_process();
        }
        ends
    }

    /// A session of this key; another key's is as if it did not exist.
    pub(super) async fn find(&mut self, id: &SessionId) -> StoreResult<Option<SessionRow>> {
        let wanted = id.clone();
        let found = self
            .shared
            .journal
            .read(move |store| store.session_by_id(&wanted))
            .await?;
        Ok(found.filter(|row| row.key == self.key))
    }

    /// The same, for whoever asked for it.
    pub(super) async fn own(&mut self, id: &SessionId) -> Result<SessionRow, ChangeError> {
        let found = self.find(id).await;
        let found = found.map_err(|error| ChangeError::Unavailable(error.to_string()))?;
        found.ok_or(ChangeError::Unknown)
    }

    async fn switch(&mut self, id: &SessionId) -> Result<(), ChangeError> {
        if *id == self.row.id {
            return Ok(());
        }
        self.own(id).await?;
        if self.look_at_terminal(id).await {
            return Err(ChangeError::Away);
        }
        // As it came back.
        let found = self.own(id).await?;
        self.at_rest()?;
        self.take_up(found).await;
        Ok(())
    }

    /// The current conversation goes on in a copy; what was said so far is in both.
    async fn fork(&mut self) -> Result<(), ChangeError> {
        let copy = copy::of(&self.row, self.shared.rules.agent.driver)?;
        self.at_rest()?;
        if self.is_away() {
            return Err(ChangeError::Away);
        }
        copy::keep(&self.shared.journal, &self.row, &copy, false).await?;
        self.take_up(copy).await;
        Ok(())
    }

    /// Forgets a session of this key. The current one only when nothing runs or waits; then the next message begins
    /// another. What of it stays on disk, a sentence each.
    pub(super) async fn delete(&mut self, id: &SessionId, who: String) -> Result<Vec<String>, ChangeError> {
        let row = self.own(id).await?;
        if self.look_at_terminal(id).await {
            return Err(ChangeError::Away);
        }
        if row.id == self.row.id {
            self.at_rest()?;
            // It may still write what is to go.
            self.halt().await;
        }
        let wanted = row.id.clone();
        let forgotten = self
            .shared
            .journal
            .write(move |store| removal::forget(store, &wanted, &who, false))
            .await
            .map_err(|error| ChangeError::Unavailable(error.to_string()))?
            .map_err(|_| ChangeError::Unknown)?;
        if row.id == self.row.id {
            let (epoch, home) = forgotten.next();
            self.row = SessionRow {
                owner: row.owner,
                home,
                epoch,
                ..SessionRow::begin(row.key, row.bot, row.agent, row.conversation)
            };
            self.unclaimed = false;
            self.handed = false;
            self.forget_last();
            self.offers = Offers::default();
            self.last = None;
        }
        let shared = Arc::clone(&self.shared);
        let cleared = tokio::task::spawn_blocking(move || forgotten.clear(&shared.rules.ground())).await;
        Ok(cleared.unwrap_or_default())
    }

    /// Another session is the current one from now on.
    async fn take_up(&mut self, row: SessionRow) {
        self.store_session().await;
        self.close_process();
        self.row = row;
        self.unclaimed = false;
        self.handed = false;
        self.forget_last();
        self.offers = Offers::default();
        self.last = None;
        if self.row.agent != self.shared.rules.agent.name {
            self.row.agent.clone_from(&self.shared.rules.agent.name);
            self.forget_conversation();
        }
    }

    fn set_model(&mut self, model: Option<String>) -> Result<(), ChangeError> {
        let agent = self.shared.rules.agent.clone();
        if agent.driver == DriverKind::Exec {
            return Err(ChangeError::Unable);
        }
        if let Some(model) = &model {
            if !is_word(model) {
                return Err(ChangeError::NoModel);
            }
            if let Some(models) = &self.offers.models
                && !models.contains(model)
            {
                return Err(ChangeError::NotOffered(models.clone()));
            }
        }
        self.row.model.clone_from(&model);
        // Which one it is, it tells when it uses it.
        self.model = None;
        if agent.driver == DriverKind::Claude {
            let model = model.or_else(|| agent.model.clone());
            self.tell_live(Command::SetModel(model.unwrap_or_else(|| "default".to_owned())));
        } else {
            // It goes on with that in its next process.
            self.outdated = true;
        }
        Ok(())
    }

    fn set_mode(&mut self, mode: Option<String>) -> Result<(), ChangeError> {
        let agent = self.shared.rules.agent.clone();
        let modes = modes(&agent, &self.offers);
        if modes.is_empty() {
            return Err(ChangeError::Unable);
        }
        if let Some(mode) = &mode
            && !modes.contains(mode)
        {
            return Err(ChangeError::NotOffered(modes));
        }
        self.row.mode.clone_from(&mode);
        if agent.driver == DriverKind::Claude {
            let mode = mode.unwrap_or_else(|| agent.permission_mode.clone());
            if !mode.is_empty() {
                self.tell_live(Command::SetMode(mode));
            }
        } else {
            self.outdated = true;
        }
        Ok(())
    }

    /// A process that is there hears it now; a later one is started with it.
    fn tell_live(&mut self, command: Command) {
        if matches!(self.seat, Seat::Live(_)) && !self.seat.is_leaving() {
            self.tell(command);
        }
    }

    /// Ends a turn that waits. `of`: only this person's.
    async fn drop_waiting(&mut self, place: usize, of: Option<&str>) -> Result<(), ChangeError> {
        let at = place.checked_sub(1).filter(|at| *at < self.queue.len());
        let at = at.ok_or(ChangeError::Unknown)?;
        if self.queue[at].reply.is_some() {
            return Err(ChangeError::Unknown);
        }
        if of.is_some_and(|of| self.queue[at].row.asker != of) {
            return Err(ChangeError::NotTheirs);
        }
        self.end_waiting(at).await;
        Ok(())
    }

    /// What waits, in its order.
    pub(super) fn queued(&self) -> Vec<Waiting> {
        let of = |job: &super::job::Job| Waiting {
            asker: job.row.asker.clone(),
            prompt: job.row.prompt.clone(),
        };
        self.queue.iter().map(of).collect()
    }
}

/// A name that a command line and a protocol take as it is.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/@[]-+".contains(c);
    text.len() <= 100 && text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}
