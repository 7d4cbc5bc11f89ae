//! How a bot's connection to its platform is, for the operator: never better than it was seen to be.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::Bot;
use crate::chat::{Health, UnixMillis, now};

/// A bot's connection at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub health: Health,
    /// How long it has been so.
    pub since: UnixMillis,
    /// When something last came over it, if only a sign of life; none: nothing yet.
    pub heard: Option<UnixMillis>,
}

impl Connection {
    pub fn is_live(&self) -> bool {
        self.health == Health::Live
    }
}

/// Keeps the newest word on a connection.
#[derive(Debug)]
pub(super) struct Line {
    state: Mutex<(Health, UnixMillis)>,
    heard: AtomicI64,
    /// Rises when it is in another state.
    changed: watch::Sender<u64>,
}

impl Line {
    pub(super) fn new(changed: watch::Sender<u64>) -> Self {
        Self {
            changed,
            state: Mutex::new((Health::Connecting, now())),
            heard: AtomicI64::new(0),
        }
    }

    pub(super) fn now(&self) -> Connection {
        let (health, since) = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let heard = self.heard.load(Ordering::Relaxed);
        Connection {
            health,
            since,
            heard: (heard > 0).then_some(heard),
        }
    }

    pub(super) fn heard(&self) {
        self.heard.store(now(), Ordering::Relaxed);
    }

    /// False: it was so already.
    fn set(&self, health: &Health) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 == *health {
            return false;
        }
        let same_kind = std::mem::discriminant(&state.0) == std::mem::discriminant(health);
        let since = if same_kind { state.1 } else { now() };
        *state = (health.clone(), since);
        drop(state);
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
        true
    }
}

impl Bot {
    pub(super) fn set_health(&self, health: &Health) {
        if !self.inner.connection.set(health) {
            return;
        }
        let name = &self.inner.config.name;
        match health {
            Health::Live => info!(bot = %name, "connected"),
            Health::Connecting => debug!(bot = %name, "connecting"),
            Health::Degraded { why, .. } => warn!(bot = %name, %why, "the connection is degraded"),
            Health::Refused { why } => warn!(bot = %name, %why, "the platform refuses the bot"),
        }
    }
}
