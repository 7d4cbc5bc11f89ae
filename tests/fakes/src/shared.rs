//! A vendor's state, which its server, its people and a test hold together, and waiting until something is there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Clones are the same state.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    state: Arc<Mutex<S>>,
    changed: Arc<watch::Sender<u64>>,
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            changed: Arc::clone(&self.changed),
        }
    }
}

impl<S> Shared<S> {
    pub(crate) fn new(state: S) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
            changed: Arc::new(watch::channel(0).0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, S> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened: who waits looks again.
    pub(crate) fn touched(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Rises when something happened.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Looks again after each change, until it finds something.
    ///
    /// # Panics
    /// After `limit`, with what `stands` says.
    pub(crate) async fn wait_for<T>(
        &self,
        limit: Duration,
        what: &str,
        mut look: impl FnMut() -> Option<T>,
        stands: impl FnOnce() -> String,
    ) -> T {
        let mut changes = self.changes();
        let waited = async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        match tokio::time::timeout(limit, waited).await {
            Ok(found) => found,
            Err(_) => panic!("no {what} within {limit:?}; {}", stands()),
        }
    }
}
