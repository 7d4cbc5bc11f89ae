//! Turns that came to an end, for whoever waits for them: what they were opened for, each once, in any order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::chat::InboxId;

/// Cheap to clone; whoever listens is one. What nobody fetched yet is held once, so it is bounded by what was said.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    due: Mutex<BTreeSet<InboxId>>,
    some: Notify,
}

impl Ended {
    /// The turn that was opened for this item is over, on disk.
    pub fn tell(&self, item: InboxId) {
        self.due().insert(item);
        self.shared.some.notify_one();
    }

    /// Waits for some. Cancel safe.
    pub async fn next(&self) -> BTreeSet<InboxId> {
        loop {
            let due = std::mem::take(&mut *self.due());
            if !due.is_empty() {
                return due;
            }
            self.shared.some.notified().await;
        }
    }

    fn due(&self) -> std::sync::MutexGuard<'_, BTreeSet<InboxId>> {
        self.shared.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
