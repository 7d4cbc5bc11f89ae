//! The session in the operator's terminal: the actor lets go of it, waits until it is back, and takes in what was said.

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::SessionActor;
use super::progress::RETRY;
use super::seat::Seat;
use crate::chat::{SessionId, SessionKey};
use crate::session::ChangeError;
use crate::session::process::LEAVE;
use crate::session::registry::{Registry, Shared};
use crate::session::takeover::{self, Held, Left};
use crate::store::{SessionRow, StoreError};

/// Somebody wants to take a session over; they hold its lock already.
pub(in crate::session) struct Wanted {
    pub(in crate::session) id: SessionId,
    /// After the turn that runs.
    pub(in crate::session) wait: bool,
    pub(in crate::session) reply: oneshot::Sender<Result<SessionRow, ChangeError>>,
}

impl SessionActor {
    /// The current session is in a terminal: no turn begins.
    pub(super) fn is_away(&self) -> bool {
        self.away.as_ref() == Some(&self.row.id)
    }

    pub(super) async fn attach(&mut self, wanted: Wanted) {
        if wanted.id != self.row.id {
            // Nobody here speaks with it.
            let row = self.own(&wanted.id).await;
            let _ = wanted
                .reply
                .send(row.and_then(|row| takeover::ready(&row).map(|()| row)));
            return;
        }
        if let Err(error) = takeover::ready(&self.row) {
            let _ = wanted.reply.send(Err(error));
            return;
        }
        match self.at_rest() {
            Err(busy) if !self.is_away() => {
                if !wanted.wait {
                    let _ = wanted.reply.send(Err(busy));
                } else if let Some(before) = self.wanted.replace(wanted) {
                    let _ = before.reply.send(Err(ChangeError::Busy));
                }
            }
            _ => self.let_go(wanted).await,
        }
    }

    /// Whoever waits for the session gets it, between two turns and when nothing runs in the background.
    pub(super) async fn attach_waiting(&mut self) {
        if self.current.is_some() || self.seat.background() > 0 {
            return;
        }
        match self.wanted.take().filter(|wanted| !wanted.reply.is_closed()) {
            Some(wanted) if wanted.id == self.row.id => self.let_go(wanted).await,
            // Another is the current one by now.
            Some(wanted) => self.attach(wanted).await,
            None => {}
        }
    }

    pub(super) fn refuse_waiting(&mut self) {
        if let Some(wanted) = self.wanted.take() {
            let _ = wanted.reply.send(Err(ChangeError::Busy));
        }
    }

    /// Ends the process, which may write what it has to, and gives the session away.
    async fn let_go(&mut self, wanted: Wanted) {
        if let Seat::Waiting(_) = self.seat {
            self.seat = Seat::Empty;
        }
        self.close_process();
        if let Seat::Live(live) = &mut self.seat
            && tokio::time::timeout(LEAVE, live.exited()).await.is_err()
        {
            self.halt().await;
        }
        self.seat = Seat::Empty;
        self.away = Some(wanted.id.clone());
        if !wait_for(&self.shared, &self.key, &wanted.id) {
            self.look_again(&wanted.id);
        }
        tracing::info!(bot = %self.row.bot, session = %wanted.id, "the session is taken over in a terminal");
        // Whoever asked may be gone: then nobody holds the lock either.
        let _ = wanted.reply.send(Ok(self.row.clone()));
    }

    /// Looks whether this session is in a terminal, or was left by one. True: it is there, or what was said there is not in
    /// the log yet; it is looked at again when it is back, or in a while.
    pub(super) async fn look_at_terminal(&mut self, id: &SessionId) -> bool {
        let (shared, looked_at) = (Arc::clone(&self.shared), id.clone());
        let held = spawn_blocking(move || takeover::held(&shared.rules.data_dir, &looked_at));
        let held = held.await.unwrap_or_else(|error| Held::Unknown(error.into()));
        let (away, told) = match held {
            Held::Free => (false, true),
            Held::Yes => (true, wait_for(&self.shared, &self.key, id)),
            Held::Left(left) => {
                let taken_in = self.take_in(left, id).await;
                (!taken_in, taken_in)
            }
            Held::Unknown(error) => {
                tracing::error!(bot = %self.row.bot, session = %id, %error, "it is not known whether a session is in a terminal");
                (true, false)
            }
        };
        if !told {
            self.look_again(id);
        }
        if !away {
            self.away = self.away.take().filter(|away| away != id);
        } else if *id == self.row.id {
            self.away = Some(id.clone());
        }
        away
    }

    fn look_again(&mut self, id: &SessionId) {
        if !self.unsettled.contains(id) {
            self.unsettled.push(id.clone());
        }
        self.look_at.get_or_insert_with(|| Instant::now() + RETRY);
    }

    /// It is time to look at those again of which it was not known, or not stored, how they are.
    pub(super) async fn look_at_unsettled(&mut self) {
        for id in std::mem::take(&mut self.unsettled) {
            self.look_at_terminal(&id).await;
        }
    }

    /// False: it is not stored yet. True also where it never will be.
    async fn take_in(&mut self, left: Left, id: &SessionId) -> bool {
        let shared = Arc::clone(&self.shared);
        let Ok(returned) = spawn_blocking(move || left.look(&shared.rules.ground())).await else {
            return false;
        };
        let found = if *id == self.row.id {
            Ok(Some(self.row.clone()))
        } else {
            self.find(id).await
        };
        let returned = Arc::new(returned);
        let stored = match found {
            Ok(Some(mut row)) => {
                let taken_in = Arc::clone(&returned);
                let stored = self.shared.journal.write(move |store| {
                    let turns = taken_in.take_in(store, &mut row)?;
                    store.session_keep(&row)?;
                    Ok((row, turns))
                });
                stored.await
            }
            // It was forgotten meanwhile: nobody misses it.
            Ok(None) => return true,
            Err(error) => Err(error),
        };
        match stored {
            Ok((row, turns)) => {
                tracing::info!(bot = %row.bot, session = %row.id, turns, "the session is back from a terminal");
                if row.id == self.row.id {
                    self.row = row;
                    self.unclaimed = false;
                    self.handed = false;
                }
            }
            // Neither its row nor what was to be written will become better.
            Err(error @ StoreError::Damaged(_)) => {
                tracing::error!(bot = %self.row.bot, session = %id, %error, "what was said in a terminal is not in the log");
            }
            Err(error) => {
                tracing::error!(bot = %self.row.bot, session = %id, %error, "what was said in a terminal is not in the log yet");
                return false;
            }
        }
        let _ = spawn_blocking(move || returned.done()).await;
        true
    }
}

fn awaited(shared: &Shared) -> MutexGuard<'_, HashSet<SessionId>> {
    shared.awaited.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the session when nobody has it any more. A thread, because nothing else can wait for a file's lock; there is one
/// for each session in a terminal. False: nobody will tell.
fn wait_for(shared: &Arc<Shared>, key: &SessionKey, id: &SessionId) -> bool {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return false;
    };
    if !awaited(shared).insert(id.clone()) {
        return true;
    }
    let (owned, key, waited_for) = (Arc::clone(shared), key.clone(), id.clone());
    let waits = move || {
        let id = waited_for;
        takeover::wait(&owned.rules.data_dir, &id);
        awaited(&owned).remove(&id);
        let registry = Registry::of(&owned);
        runtime.spawn(async move { registry.returned(&key, &id).await });
    };
    if let Err(error) = thread::Builder::new().name("terminal".to_owned()).spawn(waits) {
        tracing::error!(%error, "a session in a terminal is not waited for");
        awaited(shared).remove(id);
        return false;
    }
    true
}
