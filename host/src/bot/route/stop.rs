//! Messages that go from agent to agent are ended by people: what runs or waits of them, and every step to come.

use tracing::warn;

use super::super::Bot;
use super::super::dispatch::{info, warning};
use crate::chat::{InboxId, Origin, Part, SessionKey, TurnId, now};
use crate::command::{Action, Row};
use crate::store::{Came, InboxState, Result as StoreResult, RunRow, Store, StoreError};

/// What somebody reads whose word could not be kept.
pub(in crate::bot) const NOT_STORED: &str = "That could not be stored just now. Please say it again.";

/// What was ended in the store, for whoever tells the sessions.
#[derive(Debug, Default)]
struct Stopped {
    /// A run was ended.
    some: bool,
    turns: Vec<(SessionKey, TurnId)>,
    /// The parts that were not over.
    items: Vec<InboxId>,
}

/// No further step of this run begins, and no part of it that was not taken up.
fn stop_in(store: &mut dyn Store, mut run: RunRow, stopped: &mut Stopped) -> StoreResult<()> {
    run.stopped = true;
    stopped.some = true;
    for part in run.parts.iter_mut().filter(|part| part.came.is_none()) {
        stopped.items.push(part.item);
        match store.turn_of_inbox(part.item) {
            Ok(Some(turn)) => stopped.turns.push((turn.session, turn.id)),
            Ok(None) => {
                part.came = Some(Came::Stopped);
                store.inbox_state(part.item, InboxState::Done)?;
            }
            // It is ended where it is looked at.
            Err(StoreError::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
    }
    store.run_put(&run, now())
}

impl Bot {
    /// Ends the runs of this route here, or of all: what runs of them is stopped and no further step begins. False: there
    /// is none.
    ///
    /// # Errors
    /// The store's; nothing was ended.
    pub(in crate::bot) async fn stop_runs(&self, base: &SessionKey, route: Option<&str>) -> StoreResult<bool> {
        let inner = &self.inner;
        let (name, base) = (inner.config.name.clone(), base.clone());
        let route = route.map(str::to_owned);
        let stop = inner.journal.write(move |store| {
            let mut stopped = Stopped::default();
            for run in store.runs_open(&name)? {
                let meant = route.is_none() || run.route == route;
                if run.session == base && meant && !run.stopped {
                    stop_in(store, run, &mut stopped)?;
                }
            }
            Ok(stopped)
        });
        let stopped = stop.await?;
        for (session, turn) in &stopped.turns {
            inner.registry.stop_turn(session, turn).await;
        }
        stopped.items.into_iter().for_each(|item| inner.ended.tell(item));
        Ok(stopped.some)
    }

    /// The message that began this run is gone: what waits of it is taken back and no further step begins; what an agent
    /// has already comes to its end.
    ///
    /// # Errors
    /// The store's; nothing was changed.
    pub(in crate::bot) async fn withdraw_run(&self, run: InboxId, words: &str) -> StoreResult<()> {
        let inner = &self.inner;
        let stop = inner.journal.write(move |store| {
            let mut stopped = Stopped::default();
            if let Some(run) = store.run_get(run)?.filter(|run| run.open && !run.stopped) {
                stop_in(store, run, &mut stopped)?;
            }
            Ok(stopped)
        });
        let stopped = stop.await?;
        for (session, turn) in &stopped.turns {
            inner.registry.withdraw(session, turn, words).await;
        }
        stopped.items.into_iter().for_each(|item| inner.ended.tell(item));
        Ok(())
    }

    /// A command behind the name of a route.
    pub(in crate::bot) async fn command_route(&self, origin: &Origin, route: &str, row: &Row) {
        let part = match row.action {
            Action::Stop => self.stop_route(origin, route).await,
            _ => warning(&format!(
                "`{route}` is a route: of the commands it knows `/stop` alone. The others are an agent's."
            )),
        };
        self.say(origin, part, false).await;
    }

    async fn stop_route(&self, origin: &Origin, route: &str) -> Part {
        let Some(key) = self.session_of(&origin.conversation, &origin.sender.id, None).await else {
            return warning("That could not be looked up just now. Please try again.");
        };
        match self.stop_runs(&key, Some(route)).await {
            Ok(true) => info("Stopping."),
            Ok(false) => info("Nothing is running."),
            Err(error) => {
                warn!(bot = %self.inner.config.name, %error, "a route could not be stopped");
                warning(NOT_STORED)
            }
        }
    }
}
