//! Where an operator's commands work: at the running host, or, where none runs, at the store itself.

use std::path::Path;

use super::failure::Failure;
use super::{block_on, load};
use crate::config::Config;
use crate::control::{Client, ControlError, Lock};
use crate::store::Journal;

/// The store, in the data folder.
pub(super) const STORE: &str = "botyard.db";

/// What reaches the letters and the sessions.
pub(super) enum Desk {
    Host(Client),
    Store { journal: Journal, _lock: Lock },
}

impl Desk {
    pub(super) async fn open(folder: &Path) -> Result<Self, Failure> {
        let store = folder.join(STORE);
        if !store.exists() {
            return Err(Failure::user(format!("there is no store in `{}`", folder.display()))
                .hint("`botyard run` makes it; is `--config` the right file?"));
        }
        match Lock::take(folder) {
            Ok(lock) => Ok(Self::Store {
                journal: Journal::open(&store)?,
                _lock: lock,
            }),
            Err(ControlError::Running { .. }) => Ok(Self::Host(Client::new(folder))),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn close(self) {
        if let Self::Store { journal, .. } = self {
            journal.close().await;
        }
    }
}

/// Opens the desk, does one thing at it, closes it.
pub(super) fn at_desk<T>(
    file: &Path,
    task: impl AsyncFnOnce(&Desk, &Config) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let config = load(file)?;
    block_on(async {
        let desk = Desk::open(&config.host.data_dir).await?;
        let done = task(&desk, &config).await;
        desk.close().await;
        done
    })
}
