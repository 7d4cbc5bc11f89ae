//! The one handle on the store: groups writes into commits, answers when they are on disk.

use std::path::Path;

use super::{Result, Store};

/// A cheap handle. All jobs run in the order in which they were given, on one thread; jobs that wait together
/// are committed together. A job that fails is undone alone.
#[derive(Debug, Clone)]
pub struct Journal {}

impl Journal {
    /// Opens (or makes) the SQLite file and starts the thread.
    pub fn open(_path: &Path) -> Result<Self> {
        todo!()
    }

    /// Over any store; the conformance suite and tests use it.
    pub fn over(_store: Box<dyn Store>) -> Self {
        todo!()
    }

    /// Runs `job` and returns its answer once it is on disk. Cancel safe: a job that was given is done.
    pub async fn write<T, F>(&self, _job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Store) -> Result<T> + Send + 'static,
    {
        todo!()
    }

    /// As `write`, for what may be lost by a power failure: does not wait for the commit. An error is logged.
    pub fn write_later<F>(&self, _job: F)
    where
        F: FnOnce(&mut dyn Store) -> Result<()> + Send + 'static,
    {
        todo!()
    }

    /// Runs `job`, which must not write, and answers at once; it sees all that was given before it.
    pub async fn read<T, F>(&self, _job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Store) -> Result<T> + Send + 'static,
    {
        todo!()
    }

    /// Waits until everything given is on disk, then ends the thread. Later jobs are refused.
    pub async fn close(&self) {
        todo!()
    }
}
