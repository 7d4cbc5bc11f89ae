//! A process that is kept warm for whoever is new: it is started ahead of them, in folders that nobody has, and these
//! become theirs with it. One for each bot's agent, if the agent's `spare` says so.
//!
//! It takes a place only where nobody wants one, and is the first to give way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::folder::{self, Folders};
use super::process::Permit;
use super::registry::Shared;
use super::{SessionRules, tray};
use crate::chat::random;
use crate::driver::{Agent, AgentEvent, Command, Launch};

/// How long one may take to leave.
const LEAVE: Duration = Duration::from_secs(5);
/// After one that could not be had; each further time twice as long.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// One that answers.
pub(super) struct Warm {
    pub(super) agent: Agent,
    pub(super) permit: Permit,
    /// The CLI's id of its conversation.
    pub(super) cli_session: String,
    /// What its folders are called.
    pub(super) home: String,
    /// What it has said already, `Ready` last or nearly.
    pub(super) said: Vec<AgentEvent>,
}

/// Where the spare one waits. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Spare {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    warm: Mutex<Option<Warm>>,
    taken: Notify,
}

impl Spare {
    /// The one that waits, if it still lives; another is started in its stead.
    pub(super) fn take(&self) -> Option<Warm> {
        let mut warm = self.lift()?;
        self.inner.taken.notify_one();
        while let Ok(event) = warm.agent.events.try_recv() {
            warm.said.push(event);
        }
        let lives = !warm.said.iter().any(|event| matches!(event, AgentEvent::Exited { .. }));
        lives.then_some(warm)
    }

    #[cfg(test)]
    pub(super) fn is_there(&self) -> bool {
        self.inner.warm.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn lift(&self) -> Option<Warm> {
        self.inner.warm.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, warm: Warm) {
        *self.inner.warm.lock().unwrap_or_else(PoisonError::into_inner) = Some(warm);
    }
}

/// Keeps one warm until the registry ends. What a former run of the host left is removed first.
pub(super) async fn keep(shared: Arc<Shared>) {
    let marks = marks(&shared);
    sweep(&shared, &marks).await;
    let mut pause = PAUSE;
    loop {
        let permit = tokio::select! {
            biased;
            () = shared.drain.cancelled() => return,
            permit = shared.processes.spare(&shared.rules.agent.name) => permit,
        };
        let started = tokio::select! {
            biased;
            () = shared.drain.cancelled() => return,
            started = start(&shared, permit, &marks) => started,
        };
        let warm = match started {
            Ok(warm) => warm,
            Err(cause) => {
                let bot = &shared.rules.bot;
                tracing::warn!(%bot, agent = shared.rules.agent.name, cause, "no process could be kept warm");
                tokio::select! {
                    biased;
                    () = shared.drain.cancelled() => return,
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        };
        pause = PAUSE;
        let give_way = warm.permit.spare();
        shared.spare.put(warm);
        let ends = tokio::select! {
            biased;
            () = shared.drain.cancelled() => true,
            () = shared.spare.inner.taken.notified() => continue,
            () = give_way.cancelled() => false,
        };
        // It may have been taken in this moment.
        if let Some(warm) = shared.spare.lift() {
            end(&shared, warm, &marks).await;
        }
        if ends {
            return;
        }
    }
}

/// A process in folders that nobody has; it comes back when it answers.
async fn start(shared: &Shared, permit: Permit, marks: &Path) -> Result<Warm, String> {
    let home = home();
    let folders = Folders::of_home(&shared.rules, &home, 0);
    let mark = marks.join(&home);
    let made = async {
        tokio::fs::create_dir_all(marks).await?;
        tokio::fs::write(&mark, "").await?;
        folders.make().await
    };
    made.await
        .map_err(|error| format!("its folders could not be made: {error}"))?;
    let cli_session = uuid::Uuid::new_v4().to_string();
    let launch = Launch {
        note: tray::note(&folders.outbox, &folders.workspace, shared.rules.bounds),
        workspace: folders.workspace.clone(),
        config_dir: folders.config.clone(),
        temp_dir: folders.temp.clone(),
        cli_session: cli_session.clone(),
        resume: false,
        fork: None,
        model: None,
        mode: None,
        allowed: Vec::new(),
    };
    let mut warm = Warm {
        agent: (shared.start)(&shared.rules.agent, launch),
        permit,
        cli_session,
        home,
        said: Vec::new(),
    };
    while let Some(event) = warm.agent.events.recv().await {
        let ready = match &event {
            AgentEvent::Ready { pid, .. } => {
                warm.permit.started(*pid);
                true
            }
            AgentEvent::Exited { failure } => {
                let cause = failure.as_ref().map_or("it exited", |failure| failure.cause.as_str());
                let cause = cause.to_owned();
                remove(&shared.rules, &warm.home, marks).await;
                return Err(cause);
            }
            _ => false,
        };
        warm.said.push(event);
        if ready {
            return Ok(warm);
        }
    }
    remove(&shared.rules, &warm.home, marks).await;
    Err("its driver ended without a word".to_owned())
}

/// Nobody needed it: it leaves, and its folders go with it.
async fn end(shared: &Shared, mut warm: Warm, marks: &Path) {
    warm.permit.leaves();
    let left = async {
        let _ = warm.agent.commands.send(Command::Close).await;
        while let Some(event) = warm.agent.events.recv().await {
            if matches!(event, AgentEvent::Exited { .. }) {
                return;
            }
        }
    };
    // Dropping both ends of the driver kills it.
    let _ = timeout(LEAVE, left).await;
    let home = warm.home.clone();
    drop(warm);
    remove(&shared.rules, &home, marks).await;
}

/// What a run of the host that was killed left: a home with a mark is nobody's.
async fn sweep(shared: &Shared, marks: &Path) {
    let Ok(mut entries) = tokio::fs::read_dir(marks).await else {
        return;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        if let Some(home) = entry.file_name().to_str() {
            remove(&shared.rules, home, marks).await;
        }
    }
}

/// A name that no session's folders have: those are of hexadecimal digits, or have a `-`.
fn home() -> String {
    let digits: String = random::<5>().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("w{digits}")
}

/// One empty file for each home that is nobody's.
fn marks(shared: &Shared) -> PathBuf {
    let rules = &shared.rules;
    rules
        .data_dir
        .join("spare")
        .join(folder::of_agent(&rules.bot, &rules.agent))
}

/// A session has it from now on. Before that is on disk: a home is rather left over than taken from somebody.
pub(super) async fn unmark(shared: &Shared, home: &str) -> std::io::Result<()> {
    match tokio::fs::remove_file(marks(shared).join(home)).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn remove(rules: &SessionRules, home: &str, marks: &Path) {
    let folders = Folders::of_home(rules, home, 0);
    let config = folders.config.as_deref().and_then(Path::parent);
    // A workspace of many is not this one's; what it left for the chat in it is.
    let workspace = if rules.workspace_shared {
        &folders.outbox
    } else {
        &folders.workspace
    };
    for folder in [workspace.as_path(), folders.temp.as_path()].into_iter().chain(config) {
        match tokio::fs::remove_dir_all(folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(bot = %rules.bot, folder = %folder.display(), %error, "a spare folder is left over");
            }
            _ => {}
        }
    }
    let _ = tokio::fs::remove_file(marks.join(home)).await;
}
