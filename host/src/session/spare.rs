//! A process that is kept warm for whoever is new: it is started ahead of them, in folders that nobody has, and these
//! become theirs with it. One for each bot's agent, if the agent's `spare` says so.
//!
//! It takes a place only where nobody wants one, and is the first to give way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::folder::{self, Folders};
use super::process::{LEAVE, Permit, exited};
use super::registry::Shared;
use super::{SessionRules, tray};
use crate::chat::random;
use crate::driver::{Agent, AgentEvent, Command, Launch};

/// After one that could not be had, or that ended while it waited; each further time twice as long.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// A process that waits says next to nothing; one that says more is none to wait with.
const SAID_MAX: usize = 64;

/// One that answers.
pub(super) struct Warm {
    pub(super) agent: Agent,
    pub(super) permit: Permit,
    /// The CLI's id of its conversation.
    pub(super) cli_session: String,
    /// What its folders are called.
    pub(super) home: String,
    /// What it has said already.
    pub(super) said: Vec<AgentEvent>,
}

/// Asks for the one that waits.
type Wish = oneshot::Sender<Warm>;

/// Where the spare one is asked for, while there is one.
#[derive(Default)]
pub(super) struct Spare(Mutex<Option<oneshot::Sender<Wish>>>);

impl Spare {
    /// The one that waits, if there is one; another is started in its stead. Not cancel safe: it may be had and be nobody's.
    pub(super) async fn take(&self) -> Option<Warm> {
        let keeper = self.offered().take()?;
        let (wish, given) = oneshot::channel();
        keeper.send(wish).ok()?;
        given.await.ok()
    }

    #[cfg(test)]
    pub(super) fn is_there(&self) -> bool {
        self.offered().as_ref().is_some_and(|keeper| !keeper.is_closed())
    }

    fn offered(&self) -> std::sync::MutexGuard<'_, Option<oneshot::Sender<Wish>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of one that waits.
enum Fate {
    Wanted(Wish),
    /// Somebody else needs its place.
    GivesWay,
    Died,
    /// The registry ends.
    Over,
}

/// Keeps one warm until the registry ends.
pub(super) async fn keep(shared: Arc<Shared>) {
    let marks = marks(&shared.rules);
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
        let trouble = match started {
            Ok(mut warm) => {
                let fate = wait(&shared, &mut warm).await;
                match fate {
                    Fate::Wanted(wish) => {
                        // Whoever wanted it may be gone.
                        if let Err(warm) = wish.send(warm) {
                            end(&shared, warm, &marks).await;
                        }
                        None
                    }
                    Fate::GivesWay | Fate::Over => {
                        end(&shared, warm, &marks).await;
                        None
                    }
                    Fate::Died => {
                        let home = warm.home.clone();
                        drop(warm);
                        remove(&shared.rules, &home, &marks).await;
                        Some("it ended while it waited".to_owned())
                    }
                }
            }
            Err(cause) => Some(cause),
        };
        let Some(cause) = trouble else {
            pause = PAUSE;
            continue;
        };
        let bot = &shared.rules.bot;
        tracing::warn!(%bot, agent = shared.rules.agent.name, cause, "no process could be kept warm");
        tokio::select! {
            biased;
            () = shared.drain.cancelled() => return,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Offers it until something becomes of it.
async fn wait(shared: &Shared, warm: &mut Warm) -> Fate {
    let give_way = warm.permit.spare();
    let (keeper, mut wanted) = oneshot::channel();
    *shared.spare.offered() = Some(keeper);
    loop {
        tokio::select! {
            biased; // Nobody is given one that said its end; who wants it comes before who needs its place.
            () = shared.drain.cancelled() => return Fate::Over,
            event = warm.agent.events.recv() => match event {
                None | Some(AgentEvent::Exited { .. }) => return Fate::Died,
                Some(_) if warm.said.len() >= SAID_MAX => return Fate::GivesWay,
                Some(event) => warm.said.push(event),
            },
            Ok(wish) = &mut wanted => return Fate::Wanted(wish),
            () = give_way.cancelled() => return Fate::GivesWay,
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
        exited(&mut warm.agent.events).await;
    };
    // Dropping both ends of the driver kills it.
    let _ = timeout(LEAVE, left).await;
    let home = warm.home.clone();
    drop(warm);
    remove(&shared.rules, &home, marks).await;
}

/// What a run of the host that was killed left, of any agent that this bot has or had: a home with a mark is nobody's.
pub(super) async fn sweep(rules: &SessionRules) {
    let all = rules.data_dir.join(MARKS);
    let Ok(mut agents) = tokio::fs::read_dir(&all).await else {
        return;
    };
    while let Ok(Some(agent)) = agents.next_entry().await {
        let name = agent.file_name();
        if !name.to_str().is_some_and(|name| folder::is_of_bot(name, &rules.bot)) {
            continue;
        }
        let Ok(mut homes) = tokio::fs::read_dir(agent.path()).await else {
            continue;
        };
        while let Ok(Some(home)) = homes.next_entry().await {
            if let Some(home) = home.file_name().to_str() {
                remove(rules, home, &agent.path()).await;
            }
        }
    }
}

/// A name that no session's folders have: those are of hexadecimal digits, or have a `-`.
fn home() -> String {
    let digits: String = random::<5>().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("w{digits}")
}

/// Where they are, for each agent of each bot: an empty file for each home that is nobody's.
const MARKS: &str = "spare";

fn marks(rules: &SessionRules) -> PathBuf {
    let agent = folder::of_agent(&rules.bot, &rules.agent);
    rules.data_dir.join(MARKS).join(agent)
}

/// A session has it from now on. On disk before that is: a home is rather left over than taken from somebody.
pub(super) async fn unmark(rules: &SessionRules, home: &str) -> std::io::Result<()> {
    let marks = marks(rules);
    match tokio::fs::remove_file(marks.join(home)).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => tokio::fs::File::open(&marks).await?.sync_all().await,
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
