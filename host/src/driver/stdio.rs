//! The task between a process that speaks in lines and the state machine of its protocol: it moves lines and events,
//! and watches the clock. One task per process.

use std::collections::VecDeque;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::process::{Ended, Process, Program, SpawnError};
use super::{Agent, AgentEvent, Command, Failure, Launch, failure};

/// Commands that wait for the task; it takes them at once.
pub(super) const COMMANDS: usize = 16;
/// Events that wait for the session.
pub(super) const EVENTS: usize = 64;
/// What may wait to be written before commands wait too.
const OUT_LIMIT: usize = 8 * 1024 * 1024;
/// From closed stdin, or the end of the turn that ran then, to the exit. Measured: 30 to 130 ms.
const CLOSE_TIME: Duration = Duration::from_secs(10);
/// From the end of stdout to the exit, and from the exit to the end of stdout.
pub(super) const LAST_TIME: Duration = Duration::from_secs(2);

/// What waits to be told to the session and to be written to the CLI, in order.
#[derive(Debug, Default)]
pub(super) struct Queues {
    pub(super) events: VecDeque<AgentEvent>,
    /// Lines with their ends.
    pub(super) out: VecDeque<u8>,
}

impl Queues {
    pub(super) fn line(&mut self, line: &serde_json::Value) {
        self.out.extend(line.to_string().as_bytes());
        self.out.push_back(b'\n');
    }
}

/// A CLI's protocol as a state machine without I/O: lines of the CLI and commands of the session go in, events and
/// lines for the CLI come out.
pub(super) trait Protocol: Send + 'static {
    fn queues(&mut self) -> &mut Queues;

    fn started(&mut self, pid: u32);

    /// It told `Ready`.
    fn is_ready(&self) -> bool;

    /// Nothing runs, as far as is known.
    fn is_idle(&self) -> bool;

    /// It waits for something that may never come: how long, from when this was first so. Then [`Self::overdue`].
    fn patience(&self) -> Option<Duration>;

    fn overdue(&mut self);

    /// A command that is about the conversation; `Close` and `Kill` are about the process and mean nothing here.
    fn command(&mut self, command: Command);

    /// One line of stdout.
    fn receive(&mut self, line: &[u8]);

    /// It cannot begin: end the process, and tell this.
    fn refused(&mut self) -> Option<Failure>;

    /// Lines that were none of this protocol.
    fn garbage(&self) -> u64;

    /// The process is gone, and nobody had asked for that.
    fn died(&mut self, ended: Ended, stderr: &str) -> Failure;

    /// The last event is to be told.
    fn gone(&mut self, failure: Option<Failure>);
}

/// A file that must be there before a program starts; one that is there already is left as it is.
pub(super) type File = (PathBuf, &'static str);

/// The error is of this file or folder.
pub(super) type Made = Result<(), (PathBuf, io::Error)>;

/// What is done before a program starts, after its folders are made.
#[derive(Default)]
pub(super) struct Before {
    pub(super) files: Vec<File>,
    pub(super) mend: Option<fn(&Launch) -> Made>,
}

/// Starts the program and speaks this protocol with it.
pub(super) fn start(
    program: Program,
    launch: Launch,
    before: Before,
    start_timeout: Duration,
    protocol: impl Protocol,
) -> Agent {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (outbox, events) = mpsc::channel(EVENTS);
    tokio::spawn(run(program, launch, before, start_timeout, protocol, inbox, outbox));
    Agent { commands, events }
}

async fn run(
    program: Program,
    launch: Launch,
    before: Before,
    start_timeout: Duration,
    mut protocol: impl Protocol,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<AgentEvent>,
) {
    let deadline = Instant::now() + start_timeout;
    let started = async {
        make_folders(&launch, before)
            .await
            .map_err(|(place, error)| SpawnError::Failed {
                program: place,
                text: format!("it could not be made: {error}"),
            })?;
        Process::start(program).await
    };
    let failure = match timeout(start_timeout, started).await {
        Ok(Ok(process)) => {
            protocol.started(process.pid);
            let task = Task {
                stdin_open: true,
                commands: Some(commands),
                events,
                process,
                protocol,
                start: Some(deadline),
                patience: None,
                closing: None,
                last: None,
                asked: false,
                silent: false,
                refused: None,
            };
            return task.run().await;
        }
        Ok(Err(error)) => failure::of_spawn(&error),
        Err(_) => failure::silent("it did not even start"),
    };
    let _ = events.send(AgentEvent::Exited { failure: Some(failure) }).await;
}

/// Makes what is not there.
pub(super) async fn make_folders(launch: &Launch, before: Before) -> Made {
    let launch = launch.clone();
    let made = tokio::task::spawn_blocking(move || {
        let make = |folder: &Path, mode: u32| {
            let made = DirBuilder::new().recursive(true).mode(mode).create(folder);
            made.map_err(|error| (folder.to_owned(), error))
        };
        make(&launch.workspace, 0o755)?;
        for private in launch.config_dir.iter().chain([&launch.temp_dir]) {
            make(private, 0o700)?;
        }
        for (path, content) in before.files {
            make(path.parent().unwrap_or(Path::new("/")), 0o700)?;
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            match file.and_then(|mut file| file.write_all(content.as_bytes())) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err((path, error)),
                _ => {}
            }
        }
        before.mend.map_or(Ok(()), |mend| mend(&launch))
    });
    made.await
        .unwrap_or_else(|error| Err((PathBuf::new(), io::Error::other(error))))
}

struct Task<P> {
    /// Stdin is to be closed once everything is written.
    stdin_open: bool,
    /// None: the session has let go of it.
    commands: Option<mpsc::Receiver<Command>>,
    events: mpsc::Sender<AgentEvent>,
    process: Process,
    protocol: P,
    /// Ready by then.
    start: Option<Instant>,
    /// The protocol waits no longer than this.
    patience: Option<Instant>,
    /// Closed and idle since; gone by then.
    closing: Option<Instant>,
    /// One of stdin, stdout and process is gone; the process by then, or its stdout.
    last: Option<Instant>,
    /// We closed or killed it.
    asked: bool,
    /// It did not become ready in time.
    silent: bool,
    /// It is ended because of this.
    refused: Option<Failure>,
}

impl<P: Protocol> Task<P> {
    async fn run(mut self) {
        let mut ended: Option<Ended> = None;
        let mut eof = false;
        let events = self.events.clone();
        while !(ended.is_some() && eof) {
            self.watch();
            let deadline = [self.start, self.patience, self.closing, self.last]
                .into_iter()
                .flatten()
                .min();
            let pending = !self.protocol.queues().events.is_empty();
            let writable = self.process.stdin.is_some() && !self.protocol.queues().out.is_empty();
            let open = self.commands.is_some() && self.protocol.queues().out.len() < OUT_LIMIT;
            // A session that is not listening must still be able to end the process: so its commands come first, and
            // nothing here is awaited alone. Lines are read last: only when what they gave before was taken.
            tokio::select! {
                biased;
                command = next(&mut self.commands), if open => self.command(command),
                () = events.closed() => return,
                now = self.process.control.ended(), if ended.is_none() => {
                    ended = Some(now);
                    self.last = Some(Instant::now() + LAST_TIME);
                }
                permit = events.reserve(), if pending => {
                    let Ok(permit) = permit else { return };
                    if let Some(event) = self.protocol.queues().events.pop_front() {
                        permit.send(event);
                    }
                }
                written = write(&mut self.process.stdin, &self.protocol.queues().out), if writable => match written {
                    Ok(count) => drop(self.protocol.queues().out.drain(..count)),
                    Err(error) => self.deaf(&error),
                },
                line = self.process.stdout.next(), if !pending && !eof => match line {
                    Ok(Some(line)) => self.protocol.receive(&line),
                    Ok(None) | Err(_) => {
                        eof = true;
                        self.last = Some(Instant::now() + LAST_TIME);
                    }
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    eof |= self.overdue(ended.is_some());
                }
            }
        }
        self.finish(ended.unwrap_or(Ended::GuardLost)).await;
    }

    /// It reads no more. Mostly it is ending; one that lives on would never hear anything again, and is ended.
    fn deaf(&mut self, error: &io::Error) {
        tracing::info!(pid = self.process.pid, %error, "an agent's process reads no more");
        self.process.stdin = None;
        if !self.asked {
            self.last.get_or_insert(Instant::now() + LAST_TIME);
        }
    }

    /// Starts and stops clocks, and closes stdin when that is due.
    fn watch(&mut self) {
        if self.protocol.is_ready() {
            self.start = None;
        }
        match self.protocol.patience() {
            Some(time) => {
                self.patience.get_or_insert_with(|| Instant::now() + time);
            }
            None => self.patience = None,
        }
        if self.refused.is_none()
            && let Some(failure) = self.protocol.refused()
        {
            self.refused = Some(failure);
            self.start = None;
            self.process.control.kill();
        }
        if !self.stdin_open && self.protocol.queues().out.is_empty() {
            self.process.stdin = None;
        }
        if self.process.stdin.is_none() && self.protocol.is_idle() {
            self.closing.get_or_insert_with(|| Instant::now() + CLOSE_TIME);
        } else {
            self.closing = None;
        }
    }

    fn command(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Kill) => {
                self.asked = true;
                self.process.control.kill();
            }
            Some(Command::Close) => {
                self.asked = true;
                self.stdin_open = false;
            }
            Some(command) => self.protocol.command(command),
            None => {
                // Nobody can say anything any more.
                self.commands = None;
                self.asked = true;
                self.stdin_open = false;
            }
        }
    }

    /// A time limit has passed. True: stdout is not waited for any longer.
    fn overdue(&mut self, ended: bool) -> bool {
        let now = Instant::now();
        let past = |limit: Option<Instant>| limit.is_some_and(|limit| limit <= now);
        if past(self.patience) {
            self.patience = None;
            self.protocol.overdue();
        }
        if past(self.start) {
            self.start = None;
            self.silent = true;
            self.process.control.kill();
        }
        if past(self.closing) {
            self.closing = Some(now + CLOSE_TIME);
            self.process.control.kill();
        }
        if past(self.last) {
            self.last = None;
            if ended {
                return true;
            }
            self.process.control.kill();
        }
        false
    }

    async fn finish(mut self, ended: Ended) {
        let _ = timeout(LAST_TIME, self.process.stderr.closed()).await;
        let stderr = self.process.stderr.tail();
        let (garbage, long) = (self.protocol.garbage(), self.process.stdout.skipped());
        tracing::debug!(pid = self.process.pid, ?ended, garbage, long, "agent process ended");
        let failure = match self.refused.take() {
            Some(failure) => Some(failure),
            None if self.asked => None,
            None if self.silent => Some(failure::silent(&stderr)),
            None => Some(self.protocol.died(ended, &stderr)),
        };
        self.protocol.gone(failure);
        // From here on nobody is answered: a command that comes now finds the inbox closed.
        self.commands = None;
        for event in std::mem::take(&mut self.protocol.queues().events) {
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }
}

async fn next(commands: &mut Option<mpsc::Receiver<Command>>) -> Option<Command> {
    match commands {
        Some(commands) => commands.recv().await,
        None => None,
    }
}

/// Writes a part of it. Cancel safe: nothing was written if it is cancelled.
async fn write(stdin: &mut Option<pipe::Sender>, out: &VecDeque<u8>) -> io::Result<usize> {
    match stdin {
        Some(stdin) => stdin.write(out.as_slices().0).await,
        None => Ok(0),
    }
}
