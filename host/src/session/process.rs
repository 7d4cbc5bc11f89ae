//! Live CLI processes are few: a pool of permits that all sessions of all bots share. When all are taken, the idle
//! process that was used longest ago is asked to give way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The pool. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Processes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    permits: Arc<Semaphore>,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    /// Idle ones that may be asked to give way, by permit.
    idle: HashMap<u64, Idle>,
    clock: u64,
    /// Who waits for a permit.
    waiting: usize,
    /// Who was asked to give way and has not yet done so.
    yielding: usize,
}

#[derive(Debug)]
struct Idle {
    since: u64,
    give_way: CancellationToken,
    asked: bool,
}

impl Processes {
    /// At most `max` live processes; at least one.
    pub fn new(max: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                permits: Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS))),
                members: Mutex::default(),
            }),
        }
    }

    /// A permit at once, if there is one.
    pub(super) fn try_acquire(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.inner.permits).try_acquire_owned().ok()?;
        Some(self.permit(permit))
    }

    /// Waits for a permit, in the order of asking. Cancel safe.
    pub(super) async fn acquire(&self) -> Permit {
        if let Some(permit) = self.try_acquire() {
            return permit;
        }
        let waiting = Waiting::new(self);
        let permit = Arc::clone(&self.inner.permits)
            .acquire_owned()
            .await
            .expect("the pool's semaphore is never closed");
        drop(waiting);
        self.permit(permit)
    }

    fn permit(&self, permit: OwnedSemaphorePermit) -> Permit {
        let id = {
            let mut members = self.members();
            members.clock += 1;
            members.clock
        };
        Permit {
            id,
            pool: self.clone(),
            _permit: permit,
        }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.inner.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    /// As many are asked to give way as wait, the longest idle first.
    fn balance(&mut self) {
        while self.yielding < self.waiting {
            let oldest = self
                .idle
                .values_mut()
                .filter(|idle| !idle.asked)
                .min_by_key(|idle| idle.since);
            let Some(idle) = oldest else { return };
            idle.asked = true;
            idle.give_way.cancel();
            self.yielding += 1;
        }
    }

    fn leave(&mut self, id: u64) {
        if self.idle.remove(&id).is_some_and(|idle| idle.asked) {
            self.yielding = self.yielding.saturating_sub(1);
        }
    }
}

/// Counts a waiter for as long as it waits, also when its future is dropped.
struct Waiting<'a>(&'a Processes);

impl<'a> Waiting<'a> {
    fn new(pool: &'a Processes) -> Self {
        let mut members = pool.members();
        members.waiting += 1;
        members.balance();
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.members().waiting -= 1;
    }
}

/// The right to one live process.
#[derive(Debug)]
pub(super) struct Permit {
    id: u64,
    pool: Processes,
    _permit: OwnedSemaphorePermit,
}

impl Permit {
    /// The process has nothing to do. The token is cancelled when somebody else needs the place: close the process
    /// and drop the permit then.
    pub(super) fn idle(&self) -> CancellationToken {
        let mut members = self.pool.members();
        members.leave(self.id);
        members.clock += 1;
        let idle = Idle {
            since: members.clock,
            give_way: CancellationToken::new(),
            asked: false,
        };
        let token = idle.give_way.clone();
        members.idle.insert(self.id, idle);
        members.balance();
        token
    }

    /// The process works again: nobody asks it to give way.
    pub(super) fn busy(&self) {
        let mut members = self.pool.members();
        members.leave(self.id);
        members.balance();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pool.members().leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_idle_process_gives_way() {
        let pool = Processes::new(2);
        let (first, second) = (pool.acquire().await, pool.acquire().await);
        let (second_gives, first_gives) = (second.idle(), first.idle());
        let third = tokio::spawn({
            let pool = pool.clone();
            async move { pool.acquire().await }
        });
        second_gives.cancelled().await;
        assert!(!first_gives.is_cancelled(), "one waits, so one gives way");
        drop(second);
        let third = third.await.unwrap();
        assert!(pool.try_acquire().is_none());
        drop((first, third));
        assert!(pool.try_acquire().is_some());
    }

    #[tokio::test]
    async fn whoever_becomes_idle_while_others_wait_gives_way_at_once() {
        let pool = Processes::new(1);
        let only = pool.acquire().await;
        let mut waits = Box::pin(pool.acquire());
        assert!(futures_util::poll!(&mut waits).is_pending());
        let gives = only.idle();
        assert!(gives.is_cancelled());
        only.busy();
        drop(waits);
        assert!(!only.idle().is_cancelled(), "nobody waits any more");
    }
}
