//! The one handle on the store: groups writes into commits, answers when they are on disk.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::sqlite::SqliteStore;
use super::{Result, Store, StoreError};
use crate::chat::UnixMillis;

/// Jobs that may wait. Those who would add one more wait until there is room.
const WAITING_AT_MOST: usize = 4096;
/// Jobs of one commit: so that the first of a long queue does not wait for the last.
const COMMITTED_AT_ONCE: usize = 512;

/// A cheap handle. All jobs run in the order in which they were given, on one thread; jobs that wait together
/// are committed together. A job that fails is undone alone. The thread ends with [`Journal::close`], or when the
/// last handle is gone.
#[derive(Clone)]
pub struct Journal {
    jobs: mpsc::Sender<Box<dyn Job>>,
    ended: CancellationToken,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("closed", &self.jobs.is_closed())
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens (or makes) the SQLite file and starts the thread.
    pub fn open(path: &Path) -> Result<Self> {
        Self::start(Box::new(SqliteStore::open(path)?))
    }

    /// Over any store; the conformance suite and tests use it.
    ///
    /// # Panics
    /// The operating system gives no thread.
    pub fn over(store: Box<dyn Store>) -> Self {
        Self::start(store).expect("the operating system gives a thread")
    }

    fn start(store: Box<dyn Store>) -> Result<Self> {
        let (jobs, queue) = mpsc::channel(WAITING_AT_MOST);
        let ended = CancellationToken::new();
        // Also when the thread panics.
        let guard = ended.clone().drop_guard();
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                let _guard = guard;
                write_until_closed(store, queue);
            })
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { jobs, ended })
    }

    /// Runs `job` and returns its answer once it is on disk. `Unavailable`: nothing of it was kept. Cancel safe: a
    /// job that was given is done.
    pub async fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Store) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.give(
            Box::new(Write {
                job: Some(job),
                result: None,
                answer: Some(answer),
            }),
            answered,
        )
        .await
    }

    /// As `write`, for what may be lost by a power failure: does not wait for the commit. An error is logged, and
    /// so is a queue that is full: then the job is not done.
    pub fn write_later<F>(&self, job: F)
    where
        F: FnOnce(&mut dyn Store) -> Result<()> + Send + 'static,
    {
        if let Err(refused) = self.jobs.try_send(Box::new(Write {
            job: Some(job),
            result: None,
            answer: None,
        })) {
            let reason = if matches!(refused, mpsc::error::TrySendError::Full(_)) {
                "full"
            } else {
                "closed"
            };
            error!(%reason, "the journal takes no more; a write is lost");
        }
    }

    /// Runs `job`, which must not write, and answers at once; it sees all that was given before it, also what is
    /// not on disk yet.
    pub async fn read<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Store) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.give(
            Box::new(Read {
                job: Some((job, answer)),
            }),
            answered,
        )
        .await
    }

    async fn give<T>(&self, job: Box<dyn Job>, answered: oneshot::Receiver<Result<T>>) -> Result<T> {
        // A test's paused clock must not run on while the store's thread works.
        #[cfg(test)]
        let _held = clock::hold();
        self.jobs.send(job).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Forgets all that [`Store::forget_before`] may, in steps that let others in between. Rows forgotten.
    pub async fn forget_before(&self, before: UnixMillis) -> Result<u64> {
        let mut all = 0;
        loop {
            match self.write(move |store| store.forget_before(before)).await? {
                0 => return Ok(all),
                some => all += some,
            }
        }
    }

    /// Waits until everything given is on disk, then ends the thread. Later jobs are refused.
    pub async fn close(&self) {
        #[cfg(test)]
        let _held = clock::hold();
        // If the send fails, somebody closed it before.
        let _ = self.jobs.send(Box::new(Close)).await;
        self.ended.cancelled().await;
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}

/// What a job needs of the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Close,
}

trait Job: Send {
    fn kind(&self) -> Kind;
    /// False: it failed, and what it wrote must be undone. A read answers here.
    fn run(&mut self, store: &mut dyn Store) -> bool;
    /// `group`: what became of the commit, or why the job could not be run. Called once, after `run`.
    fn answer(self: Box<Self>, group: &Result<()>);
}

struct Write<T, F> {
    job: Option<F>,
    result: Option<Result<T>>,
    /// None: nobody waits.
    answer: Option<oneshot::Sender<Result<T>>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnOnce(&mut dyn Store) -> Result<T> + Send,
{
    fn kind(&self) -> Kind {
        Kind::Write
    }

    fn run(&mut self, store: &mut dyn Store) -> bool {
        let result = self.job.take().map(|job| contained(job, store));
        let fine = matches!(result, Some(Ok(_)));
        self.result = result;
        fine
    }

    fn answer(self: Box<Self>, group: &Result<()>) {
        let result = match (self.result, group) {
            (Some(Err(own)), _) => Err(own),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error.clone()),
            (None, Ok(())) => Err(StoreError::Unavailable("the job was not run".into())),
        };
        match self.answer {
            // Nobody listens any more: fine, the job is done.
            Some(answer) => drop(answer.send(result)),
            None => {
                if let Err(error) = result {
                    error!(%error, "a write that nobody waits for failed");
                }
            }
        }
    }
}

struct Read<T, F> {
    job: Option<(F, oneshot::Sender<Result<T>>)>,
}

impl<T, F> Job for Read<T, F>
where
    T: Send,
    F: FnOnce(&mut dyn Store) -> Result<T> + Send,
{
    fn kind(&self) -> Kind {
        Kind::Read
    }

    fn run(&mut self, store: &mut dyn Store) -> bool {
        if let Some((job, answer)) = self.job.take() {
            let _ = answer.send(contained(job, store));
        }
        true
    }

    fn answer(self: Box<Self>, _group: &Result<()>) {}
}

struct Close;

impl Job for Close {
    fn kind(&self) -> Kind {
        Kind::Close
    }
    fn run(&mut self, _store: &mut dyn Store) -> bool {
        true
    }
    fn answer(self: Box<Self>, _group: &Result<()>) {}
}

/// A job that panics takes neither the thread nor the others' work with it.
fn contained<T>(job: impl FnOnce(&mut dyn Store) -> Result<T>, store: &mut dyn Store) -> Result<T> {
    catch_unwind(AssertUnwindSafe(|| job(store))).unwrap_or_else(|panic| {
        let why = message(panic.as_ref());
        error!(%why, "a job of the store panicked");
        Err(StoreError::Unavailable(format!("the job failed: {why}")))
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".into())
}

fn write_until_closed(mut store: Box<dyn Store>, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = queue.blocking_recv() {
        if group(store.as_mut(), first, &mut queue) {
            // What was given before others heard of it is done; then `recv` says that there is no more.
            queue.close();
        }
    }
}

/// Runs what waits as one transaction, and answers. True: it is time to close.
fn group(store: &mut dyn Store, first: Box<dyn Job>, queue: &mut mpsc::Receiver<Box<dyn Job>>) -> bool {
    let mut next = Some(first);
    let mut written: Vec<Box<dyn Job>> = Vec::new();
    let mut begun = None;
    let mut close = false;
    while let Some(mut job) = next.take() {
        match job.kind() {
            Kind::Close => close = true,
            Kind::Read => {
                job.run(store);
            }
            Kind::Write => {
                // Only now: a read alone needs no lock on the file.
                let state = begun.get_or_insert_with(|| store.begin());
                if state.is_ok() {
                    *state = in_savepoint(store, job.as_mut());
                }
                written.push(job);
            }
        }
        if written.len() < COMMITTED_AT_ONCE {
            next = queue.try_recv().ok();
        }
    }
    let Some(state) = begun else { return close };
    let ended = state.and_then(|()| store.commit());
    if let Err(error) = &ended {
        store.rollback();
        warn!(%error, jobs = written.len(), "a commit failed; nothing of it was kept");
    }
    for job in written {
        job.answer(&ended);
    }
    close
}

/// Err: the transaction is broken, for all its jobs.
fn in_savepoint(store: &mut dyn Store, job: &mut dyn Job) -> Result<()> {
    store.savepoint()?;
    if job.run(store) {
        return store.release();
    }
    store.rollback_to_savepoint();
    Ok(())
}

#[cfg(test)]
mod clock {
    //! tokio moves a paused clock on as soon as no task can run, and knows nothing of the store's thread. It does
    //! know of blocking tasks: one is kept while somebody waits for an answer.

    pub(super) struct Held {
        _release: std::sync::mpsc::Sender<()>,
    }

    pub(super) fn hold() -> Held {
        let (release, released) = std::sync::mpsc::channel::<()>();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || {
                // An error is what it waits for: the sender is gone.
                let _ = released.recv();
            });
        }
        Held { _release: release }
    }
}

#[cfg(test)]
mod tests;
