//! Any command that reads a prompt and prints an answer: a process for each turn. The prompt is its stdin, or the
//! argument `{prompt}`; what it prints is the answer, as it comes; an exit code other than 0 is a failure. Stopping ends
//! it with all that it started.
//!
//! It finds the conversation's id in `BOTYARD_SESSION`; with `history = true` the prompt begins with what was said
//! before ([`history`]).

mod escape;
mod history;
mod text;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::environment::environment;
use super::process::{Ended, Process, Program, inherited_env};
use super::stdio::{Before, COMMANDS, EVENTS, LAST_TIME, make_folders};
use super::{Abilities, Agent, AgentEvent, Command, Failure, FailureKind, Launch, Offers, Outcome, failure};
use crate::config::{AgentProfile, PROMPT_PLACE};
use history::History;
use text::Text;

/// Linux takes no longer argument: `MAX_ARG_STRLEN`, 32 pages, less its end.
const ARGUMENT_LIMIT: usize = 128 * 1024 - 1;

/// Where a conversation is kept, if it is.
pub(super) fn kept(folder: &Path, cli_session: &str) -> Vec<PathBuf> {
    vec![history::file(folder, cli_session)]
}

pub(super) fn start(profile: &AgentProfile, launch: Launch) -> Agent {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (outbox, events) = mpsc::channel(EVENTS);
    let needs = vec![
        ("NO_COLOR", "1".into()),
        ("BOTYARD_SESSION", launch.cli_session.clone().into()),
    ];
    let task = Task {
        command: profile.command.clone(),
        env: environment(inherited_env(), &launch, needs, profile),
        keeps: profile.history,
        launch,
        commands: Some(inbox),
        events: outbox,
        waiting: VecDeque::new(),
        stopped: false,
        blocks: 0,
        over: false,
    };
    tokio::spawn(task.run());
    Agent { commands, events }
}

struct Task {
    command: Vec<String>,
    env: Vec<(OsString, OsString)>,
    /// It is given what was said before.
    keeps: bool,
    launch: Launch,
    /// None: the session has let go of it.
    commands: Option<mpsc::Receiver<Command>>,
    events: mpsc::Sender<AgentEvent>,
    /// Prompts that wait for the turn that runs.
    waiting: VecDeque<Waiting>,
    /// The turn that runs was stopped, or the last one was.
    stopped: bool,
    blocks: u64,
    /// Nothing more is begun.
    over: bool,
}

#[derive(Debug)]
struct Waiting {
    id: String,
    text: String,
    /// It is taken back: it was not begun when the stop came.
    stopped: bool,
}

/// How a turn's process ended.
struct Answered {
    text: String,
    outcome: Outcome,
}

impl Task {
    async fn run(mut self) {
        let mut history = match self.prepare().await {
            Ok(history) => history,
            Err(failure) => {
                let _ = self.events.send(AgentEvent::Exited { failure: Some(failure) }).await;
                return;
            }
        };
        let abilities = Abilities {
            resume: self.keeps,
            fork: false,
            images: false,
            approvals: false,
            steer: false,
        };
        let offers = Offers {
            abilities: Some(abilities),
            ..Offers::default()
        };
        if !self.tell(AgentEvent::Offers(offers)).await || !self.tell(AgentEvent::Ready { pid: 0, version: None }).await
        {
            return;
        }
        while !self.over {
            let Some(Waiting { id, text, stopped }) = self.waiting.pop_front() else {
                let command = match &mut self.commands {
                    Some(commands) => commands.recv().await,
                    None => None,
                };
                self.command(command);
                continue;
            };
            self.stopped = stopped;
            if !self.tell(AgentEvent::Started { id }).await {
                return;
            }
            let prompt = history
                .as_ref()
                .map_or_else(|| text.clone(), |history| history.prompt(&text));
            let Some(answered) = self.turn(&prompt).await else {
                return;
            };
            if answered.outcome == Outcome::Ok
                && let Some(history) = &mut history
                && let Err(error) = history.add(&text, &answered.text).await
            {
                tracing::warn!(%error, "what was said is not remembered");
            }
            let outcome = answered.outcome;
            let idle = self.waiting.is_empty();
            if !self.tell(AgentEvent::Result { outcome }).await
                || idle && !self.tell(AgentEvent::Idle { background: 0 }).await
            {
                return;
            }
        }
        self.commands = None;
        let _ = self.events.send(AgentEvent::Exited { failure: None }).await;
    }

    /// The folders, and what was said before.
    async fn prepare(&self) -> Result<Option<History>, Failure> {
        let failed = |cause: String| {
            let sentence = "The agent could not be started: its folder could not be made.";
            failure::failure(FailureKind::Start, sentence, cause)
        };
        make_folders(&self.launch, Before::default())
            .await
            .map_err(|(folder, error)| failed(format!("{}: {error}", folder.display())))?;
        if !self.keeps {
            return Ok(None);
        }
        let folder = self.launch.config_dir.as_ref().unwrap_or(&self.launch.temp_dir);
        match History::open(folder, &self.launch.cli_session, !self.launch.resume).await {
            Ok(Some(history)) => Ok(Some(history)),
            Ok(None) => Err(failure::failure(
                FailureKind::NoConversation,
                failure::NO_CONVERSATION,
                "its history is gone".to_owned(),
            )),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// What a command means; the process that runs is ended elsewhere.
    fn command(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Prompt { id, text, images: _ }) => self.waiting.push_back(Waiting {
                id,
                text,
                stopped: false,
            }),
            Some(Command::Interrupt) => {
                self.stopped = true;
                self.waiting.iter_mut().for_each(|prompt| prompt.stopped = true);
            }
            Some(Command::Close | Command::Kill) => self.over = true,
            None => {
                self.commands = None;
                self.over = true;
            }
            Some(
                Command::Decide { .. }
                | Command::Steer { .. }
                | Command::Compact { .. }
                | Command::SetModel(_)
                | Command::SetMode(_),
            ) => {}
        }
    }

    /// False: nobody listens any more.
    async fn tell(&mut self, event: AgentEvent) -> bool {
        let events = self.events.clone();
        // A session that does not listen must still be able to end this.
        loop {
            tokio::select! {
                biased;
                command = next(&mut self.commands) => {
                    let killed = matches!(command, Some(Command::Kill));
                    self.command(command);
                    if killed {
                        return true;
                    }
                }
                permit = events.reserve() => {
                    let Ok(permit) = permit else { return false };
                    permit.send(event);
                    return true;
                }
            }
        }
    }

    fn program(&self, prompt: &str) -> Result<(Program, Vec<u8>), Failure> {
        let as_argument = self.command.iter().any(|word| word == PROMPT_PLACE);
        if as_argument && prompt.len() > ARGUMENT_LIMIT {
            let sentence = "The message is too long for this agent.";
            let cause = format!("{} bytes, and an argument has {ARGUMENT_LIMIT} at most", prompt.len());
            return Err(failure::failure(FailureKind::Limit, sentence, cause));
        }
        let mut words = self.command.iter().map(|word| match word.as_str() {
            PROMPT_PLACE => argument(prompt),
            _ => word.into(),
        });
        let program = Program {
            program: words.next().map(PathBuf::from).unwrap_or_default(),
            args: words.collect(),
            env: self.env.clone(),
            folder: self.launch.workspace.clone(),
        };
        let stdin = if as_argument {
            Vec::new()
        } else {
            prompt.as_bytes().to_vec()
        };
        Ok((program, stdin))
    }

    /// One process, from the prompt to its end. None: nobody listens any more.
    async fn turn(&mut self, prompt: &str) -> Option<Answered> {
        let failed = |failure| {
            Some(Answered {
                text: String::new(),
                outcome: Outcome::Failed(failure),
            })
        };
        if self.stopped {
            return Some(Answered {
                text: String::new(),
                outcome: Outcome::Stopped,
            });
        }
        let (program, stdin) = match self.program(prompt) {
            Ok(program) => program,
            Err(failure) => return failed(failure),
        };
        let mut process = match Process::start(program).await {
            Ok(process) => process,
            Err(error) => return failed(failure::of_spawn(&error)),
        };
        let events = self.events.clone();
        self.blocks += 1;
        let block = self.blocks;
        let (mut out, mut answer, mut pending) = (&stdin[..], Text::default(), None);
        let (mut ended, mut eof, mut last) = (None, false, None);
        while !(ended.is_some() && eof && pending.is_none()) {
            if out.is_empty() {
                process.stdin = None;
            }
            let writable = process.stdin.is_some();
            tokio::select! {
                biased;
                command = next(&mut self.commands) => {
                    if matches!(command, Some(Command::Interrupt | Command::Kill)) {
                        self.stopped = true;
                        process.control.kill();
                    }
                    self.command(command);
                }
                () = events.closed() => return None,
                now = process.control.ended(), if ended.is_none() => {
                    ended = Some(now);
                    last = Some(Instant::now() + LAST_TIME);
                }
                permit = events.reserve(), if pending.is_some() => {
                    let Ok(permit) = permit else { return None };
                    if let Some(text) = pending.take() {
                        permit.send(AgentEvent::TextDelta { block, text });
                    }
                }
                written = write(&mut process.stdin, out), if writable => match written {
                    Ok(count) => out = &out[count..],
                    // It does not want to read it all.
                    Err(_) => out = &[],
                },
                piece = process.stdout.piece(), if !eof && pending.is_none() => match piece {
                    Ok(Some(bytes)) => pending = Some(answer.add(&bytes)).filter(|text| !text.is_empty()),
                    Ok(None) | Err(_) => {
                        eof = true;
                        pending = Some(answer.end()).filter(|text| !text.is_empty());
                    }
                },
                // Somebody else holds its stdout.
                () = sleep_until(last.unwrap_or_else(Instant::now)), if last.is_some() && !eof => eof = true,
            }
        }
        let _ = timeout(LAST_TIME, process.stderr.closed()).await;
        let text = answer.whole.trim_end().to_owned();
        let event = AgentEvent::Text {
            block,
            text: text.clone(),
            parent: None,
        };
        if !self.tell(event).await {
            return None;
        }
        let outcome = match ended.unwrap_or(Ended::GuardLost) {
            _ if self.stopped => Outcome::Stopped,
            Ended::Exited(0) => Outcome::Ok,
            other => Outcome::Failed(failure::failure(
                FailureKind::Other,
                "The agent ended this turn with an error.",
                format!("{}; stderr: {}", failure::how(other), process.stderr.tail()),
            )),
        };
        Some(Answered { text, outcome })
    }
}

/// A prompt as an argument of its own: it never looks like an option.
fn argument(prompt: &str) -> OsString {
    let mut text = prompt.replace('\0', " ");
    if text.starts_with('-') {
        text.insert(0, ' ');
    }
    text.into()
}

async fn next(commands: &mut Option<mpsc::Receiver<Command>>) -> Option<Command> {
    match commands {
        Some(commands) => commands.recv().await,
        // It was told already that the session has let go.
        None => std::future::pending().await,
    }
}

/// Writes a part of it. Cancel safe: nothing was written if it is cancelled.
async fn write(stdin: &mut Option<pipe::Sender>, out: &[u8]) -> io::Result<usize> {
    match stdin {
        Some(stdin) => stdin.write(out).await,
        None => Ok(0),
    }
}
