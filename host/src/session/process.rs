//! Live CLI processes are few: all sessions of all bots share places, as many as the memory budget has room for. When
//! there is none, the idle process that was used longest ago is asked to give way, and who waits is served in turn:
//! people one after the other, what one person wants in its order.
//!
//! Memory is measured on a slow clock ([`Processes::watch`]) and when a place is asked for and there seems to be none.

mod pool;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::pool::{Grant, Pool};
use crate::config::HostConfig;
use crate::driver::AgentEvent;
use crate::driver::process::memory;

/// How long a process may take to leave when it was asked to, then when it was told to.
pub(super) const LEAVE: Duration = Duration::from_secs(5);

/// How often memory is measured, when somebody waits and when nobody does.
const OFTEN: Duration = Duration::from_secs(2);
const SELDOM: Duration = Duration::from_secs(15);

/// What live processes may be and take, over all bots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// One process is always allowed.
    pub max: usize,
    /// The same: one may be larger than this.
    pub budget_bytes: u64,
}

impl Bounds {
    /// By the operator's word; else half of the memory.
    pub fn of(host: &HostConfig) -> Self {
        let half = || memory::limit().map_or(u64::MAX, |bytes| bytes / 2);
        Self {
            max: host.max_processes,
            budget_bytes: host.memory_budget_bytes.unwrap_or_else(half),
        }
    }
}

/// Measures these processes, each with its descendants, in bytes; may block. [`memory::of_trees`], or a test's numbers.
pub type Gauge = Arc<dyn Fn(&[u32]) -> HashMap<u32, u64> + Send + Sync>;

/// The places. Cheap to clone.
#[derive(Clone)]
pub struct Processes {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Mutex<Pool>,
    gauge: Gauge,
    measuring: AtomicBool,
    /// Somebody waits.
    wanted: Notify,
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes")
            .field("pool", &self.inner.pool)
            .finish_non_exhaustive()
    }
}

/// Somebody who waits for a place. Dropped, it waits no more.
pub(super) struct Waiting {
    permit: Pin<Box<dyn Future<Output = Permit> + Send>>,
    before: watch::Receiver<u32>,
}

/// What becomes of waiting.
pub(super) enum Waited {
    Permit(Permit),
    /// How many are before it has changed.
    Moved,
}

impl Waiting {
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Waited {
        tokio::select! {
            biased;
            permit = &mut self.permit => Waited::Permit(permit),
            // The sender is gone when the permit is on its way.
            Ok(()) = self.before.changed() => Waited::Moved,
        }
    }

    pub(super) fn before(&self) -> u32 {
        *self.before.borrow()
    }
}

impl Processes {
    pub fn new(bounds: Bounds) -> Self {
        Self::with_gauge(bounds, Arc::new(memory::of_trees))
    }

    /// As `new`, with something else that measures.
    pub fn with_gauge(bounds: Bounds, gauge: Gauge) -> Self {
        Self {
            inner: Arc::new(Inner {
                pool: Mutex::new(Pool::new(bounds)),
                gauge,
                measuring: AtomicBool::new(false),
                wanted: Notify::new(),
            }),
        }
    }

    /// Measures from time to time, until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        loop {
            let pause = if self.pool().is_waited_for() { OFTEN } else { SELDOM };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => self.measure().await,
                // The pause is another one now.
                () = self.inner.wanted.notified() => {}
            }
        }
    }

    /// Measures what lives and serves who waits, unless that is being done.
    async fn measure(&self) {
        if self.inner.measuring.swap(true, Ordering::AcqRel) {
            return;
        }
        let pids = self.pool().pids();
        if pids.is_empty() {
            self.inner.measuring.store(false, Ordering::Release);
            return;
        }
        let gauge = Arc::clone(&self.inner.gauge);
        let sizes = tokio::task::spawn_blocking(move || gauge(&pids)).await;
        self.inner.measuring.store(false, Ordering::Release);
        self.change(|pool| pool.measured(&sizes.unwrap_or_default()));
    }

    /// A permit at once, if there is one.
    pub(super) fn try_acquire(&self, agent: &str) -> Option<Permit> {
        let seat = self.pool().try_sit(agent)?;
        Some(self.permit(seat))
    }

    /// Waits for a permit for this person.
    pub(super) fn acquire(&self, person: &str, agent: &str) -> Waiting {
        let ((permit, granted), (before, places)) = (oneshot::channel(), watch::channel(0));
        let waiter = self.change(|pool| pool.wait(person, agent, permit, before));
        let waits = Waits {
            pool: self.clone(),
            waiter,
        };
        self.inner.wanted.notify_one();
        // There may be more room than was known. Measured to the end, whoever waits for it.
        let pool = self.clone();
        tokio::spawn(async move { pool.measure().await });
        Waiting {
            permit: Box::pin(async move {
                let _waits = waits;
                granted.await.expect("who waits is not forgotten")
            }),
            before: places,
        }
    }

    /// Waits until nobody wants a place and there is room for one, and for another beside it. Cancel safe.
    pub(super) async fn spare(&self, agent: &str) -> Permit {
        let (permit, granted) = oneshot::channel();
        let waiter = self.change(|pool| pool.wait_spare(agent, permit));
        let _waits = Waits {
            pool: self.clone(),
            waiter,
        };
        granted.await.expect("who waits is not forgotten")
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.inner.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(&self, seat: u64) -> Permit {
        Permit {
            seat,
            pool: self.clone(),
        }
    }

    /// Changes something, and serves who waits. Where only a person can help them, the operator is told, once.
    fn change<T>(&self, change: impl FnOnce(&mut Pool) -> T) -> T {
        let (changed, grants, blocked) = {
            let mut pool = self.pool();
            (change(&mut pool), pool.serve(), pool.blocked())
        };
        if let Some(processes) = blocked {
            tracing::warn!(
                processes,
                "messages wait, and every agent's process runs something in the background, so none is closed for them: \
                 `botyard sessions list` shows which, `botyard sessions interrupt SESSION` ends it"
            );
        }
        for Grant { seat, to } in grants {
            // Who waits no more gives it back by dropping it; here the lock is free.
            drop(to.send(self.permit(seat)));
        }
        changed
    }
}

/// Somebody waits, for as long as this is there.
struct Waits {
    pool: Processes,
    waiter: u64,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.pool.change(|pool| pool.forget(self.waiter));
    }
}

/// Until the process is gone; what it still says is heard by nobody. Cancel safe.
pub(super) async fn exited(events: &mut mpsc::Receiver<AgentEvent>) {
    while let Some(event) = events.recv().await {
        if matches!(event, AgentEvent::Exited { .. }) {
            return;
        }
    }
}

/// The right to one live process.
#[derive(Debug)]
pub(super) struct Permit {
    seat: u64,
    pool: Processes,
}

impl Permit {
    /// Its CLI is this process; 0: there is none that lasts, and it takes nothing while it is idle.
    pub(super) fn started(&self, pid: u32) {
        self.pool.change(|pool| pool.started(self.seat, pid));
    }

    /// The process has shown something of its work: from now on it counts as what it takes.
    pub(super) fn works(&self) {
        self.pool.change(|pool| pool.works(self.seat));
    }

    /// The process has nothing to do. The token is cancelled when somebody else needs the place: close the process
    /// and drop the permit then.
    pub(super) fn idle(&self) -> CancellationToken {
        self.pool.change(|pool| pool.idle(self.seat))
    }

    /// As `idle`, of a process that nobody has: it is the first to give way.
    pub(super) fn spare(&self) -> CancellationToken {
        self.pool.change(|pool| pool.unused(self.seat))
    }

    /// The process works again: nobody asks it to give way.
    pub(super) fn busy(&self) {
        self.pool.change(|pool| pool.busy(self.seat));
    }

    /// Something of the process runs in the background, or no longer: with it nobody else gets the place.
    pub(super) fn keep(&self, background: bool) {
        self.pool.change(|pool| pool.keep(self.seat, background));
    }

    /// The process is on its way out.
    pub(super) fn leaves(&self) {
        self.pool.change(|pool| pool.leaves(self.seat));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pool.change(|pool| pool.stand(self.seat));
    }
}

#[cfg(test)]
mod tests;
