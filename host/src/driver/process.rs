//! The only place that spawns. A CLI is started under a guard: this binary again (`botyard guard`), a subreaper
//! that ends every descendant when it is told to and when the host's end of its socket closes.
//!
//! How the CLI gets its pipes: the guard has one inherited descriptor, a socket as its stdin, and the three pipe ends
//! follow over that socket. So every descriptor here is close-on-exec from its birth (a spawn at the same moment can
//! inherit nothing), the guard owns what it passes on and can close it, and nothing needs `unsafe`.

pub mod guard;
pub mod lines;
pub mod memory;
pub mod terminal;
pub mod window;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

use lines::Lines;

/// What is kept of stderr.
pub const STDERR_KEPT: usize = 8 * 1024;

static GUARD_PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says which binary has the `guard` subcommand, where that is not the running one (a test). The first call counts.
pub fn set_guard_program(program: PathBuf) {
    let _ = GUARD_PROGRAM.set(program);
}

/// The running binary itself, also when another stands in its place by now.
fn guard_program() -> &'static Path {
    GUARD_PROGRAM
        .get()
        .map_or(Path::new("/proc/self/exe"), PathBuf::as_path)
}

/// What every child process may have of the operator's environment. Everything else is cleared: a CLI that finds the
/// variables of another one (`CLAUDECODE`) behaves as its child.
pub fn inherited_env() -> Vec<(OsString, OsString)> {
    ["PATH", "HOME", "LANG", "TERM"]
        .into_iter()
        .filter_map(|name| Some((OsString::from(name), crate::config::variable(name)?)))
        .collect()
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Program {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Must be there.
    pub folder: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("`{}` was not found", .0.display())]
    NotFound(PathBuf),
    #[error("`{}` may not be executed", .0.display())]
    NotExecutable(PathBuf),
    #[error("`{}` could not be started: {text}", .program.display())]
    Failed { program: PathBuf, text: String },
    #[error("the guard process could not be started")]
    Guard(#[source] io::Error),
}

/// How a CLI ended. By then every descendant of it is gone too, unless its guard was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    Signalled(i32),
    /// Somebody ended the guard itself: the CLI and its process group were killed. What it started elsewhere may live on.
    GuardLost,
}

/// A running CLI. Dropping it ends the CLI and all its descendants.
#[derive(Debug)]
pub struct Process {
    /// The CLI's own id.
    pub pid: u32,
    /// None once it is closed.
    pub stdin: Option<pipe::Sender>,
    pub stdout: Lines<pipe::Receiver>,
    pub stderr: Stderr,
    pub control: Control,
}

impl Process {
    /// Starts the program under a guard. Returns when the program runs. Not cancel safe, but a start that is
    /// cancelled leaves no process behind.
    pub async fn start(program: Program) -> Result<Self, SpawnError> {
        let failed = SpawnError::Guard;
        let (stdin_read, stdin) = pipe_ends().map_err(failed)?;
        let (stdout, stdout_write) = pipe_ends().map_err(failed)?;
        let (stderr, stderr_write) = pipe_ends().map_err(failed)?;
        let stdin = pipe::Sender::from_owned_fd(stdin).map_err(failed)?;
        let stdout = pipe::Receiver::from_owned_fd(stdout).map_err(failed)?;
        let stderr = pipe::Receiver::from_owned_fd(stderr).map_err(failed)?;
        let (control, pid) = Control::start(&program, [stdin_read, stdout_write, stderr_write], None).await?;
        Ok(Self {
            pid,
            stdin: Some(stdin),
            stdout: Lines::new(stdout),
            stderr: Stderr::drain(stderr),
            control,
        })
    }
}

/// The read end, then the write end; both close-on-exec.
fn pipe_ends() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((read.into(), write.into()))
}

fn send_fds<const N: usize>(socket: &StdUnixStream, fds: [BorrowedFd<'_>; N]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("no space for the descriptors"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(b"f")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The host's end of the guard's socket.
#[derive(Debug)]
pub struct Control {
    socket: BufReader<UnixStream>,
    line: Vec<u8>,
    /// Kept so that it is reaped.
    guard: tokio::process::Child,
    cli: Option<Pid>,
    ended: Option<Ended>,
}

impl Control {
    /// Starts the program under a guard and gives it its ends; one more stays open until all is over. `terminal`: the process
    /// group that a terminal speaks to. Returns when the program runs: its id.
    async fn start<const N: usize>(
        program: &Program,
        ends: [OwnedFd; N],
        terminal: Option<Pid>,
    ) -> Result<(Self, u32), SpawnError> {
        let failed = SpawnError::Guard;
        let (ours, theirs) = StdUnixStream::pair().map_err(failed)?;
        send_fds(&ours, ends.each_ref().map(|fd| fd.as_fd())).map_err(failed)?;
        drop(ends);
        let mut guard = tokio::process::Command::new(guard_program());
        guard
            .arg0("botyard")
            .arg("guard")
            .env_clear()
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&program.folder)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(group) = terminal {
            guard.arg("--terminal").arg(group.as_raw_nonzero().to_string());
            // Of no group that the terminal speaks to: it outlives what ends the CLI.
            guard.process_group(0);
        }
        guard.arg("--").arg(&program.program).args(&program.args);
        let guard = guard.spawn().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut control = Self {
            socket: BufReader::with_capacity(256, UnixStream::from_std(ours).map_err(failed)?),
            line: Vec::new(),
            guard,
            cli: None,
            ended: None,
        };
        let pid = control.started(&program.program).await?;
        Ok((control, pid))
    }

    async fn started(&mut self, program: &Path) -> Result<u32, SpawnError> {
        let failed = |text: &str| SpawnError::Failed {
            program: program.to_owned(),
            text: text.to_owned(),
        };
        let line = self.word().await.map_err(SpawnError::Guard)?;
        match line.split_once(' ') {
            Some(("started", pid)) => {
                self.cli = pid.parse().ok().and_then(Pid::from_raw);
                pid.parse().map_err(|_| failed(&line))
            }
            Some(("failed", cause)) => {
                let (errno, text) = cause.split_once(' ').unwrap_or((cause, ""));
                let kind = io::Error::from_raw_os_error(errno.parse().unwrap_or(0)).kind();
                Err(match kind {
                    io::ErrorKind::NotFound => SpawnError::NotFound(program.to_owned()),
                    io::ErrorKind::PermissionDenied => SpawnError::NotExecutable(program.to_owned()),
                    _ => failed(text),
                })
            }
            _ => Err(failed("the guard ended at once")),
        }
    }

    /// One line from the guard; empty at its end. Cancel safe.
    async fn word(&mut self) -> io::Result<String> {
        self.socket.read_until(b'\n', &mut self.line).await?;
        let line = std::mem::take(&mut self.line);
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Waits for the end of the CLI and of all that it started. Cancel safe, and may be asked again.
    pub async fn ended(&mut self) -> Ended {
        loop {
            if let Some(ended) = self.ended_or_stopped().await {
                return ended;
            }
        }
    }

    /// The same; none: it suspended itself.
    async fn ended_or_stopped(&mut self) -> Option<Ended> {
        if let Some(ended) = self.ended {
            return Some(ended);
        }
        let word = self.word().await.unwrap_or_default();
        if word == "stopped" {
            return None;
        }
        let ended = match word.split_once(' ').map(|(how, code)| (how, code.parse())) {
            Some(("exited", Ok(code))) => Ended::Exited(code),
            Some(("signalled", Ok(signal))) => Ended::Signalled(signal),
            _ => {
                if let Some(cli) = self.cli {
                    // In a terminal it is of that one's group, and leads none.
                    let _ = rustix::process::kill_process_group(cli, Signal::KILL);
                    let _ = rustix::process::kill_process(cli, Signal::KILL);
                }
                Ended::GuardLost
            }
        };
        self.ended = Some(ended);
        // It exits right after that word; this reaps it.
        let _ = self.guard.wait().await;
        Some(ended)
    }

    /// Ends the CLI and all its descendants now; [`Self::ended`] tells when that is done.
    pub fn kill(&self) {
        // The socket's buffer is empty: one short word always goes in. If the guard is gone there is nothing to kill.
        let _ = self.socket.get_ref().try_write(b"kill\n");
    }
}

/// Drains stderr for as long as it is open and keeps the end of it.
#[derive(Debug)]
pub struct Stderr {
    tail: Arc<Mutex<VecDeque<u8>>>,
    task: JoinHandle<()>,
}

impl Stderr {
    fn drain(mut from: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&tail);
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 2048];
            while let Ok(read @ 1..) = from.read(&mut buffer).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&buffer[..read]);
                let over = kept.len().saturating_sub(STDERR_KEPT);
                kept.drain(..over);
            }
        });
        Self { tail, task }
    }

    /// Waits until it is closed. Cancel safe.
    pub async fn closed(&mut self) {
        if !self.task.is_finished() {
            let _ = (&mut self.task).await;
        }
    }

    /// The end of what was written so far, at most [`STDERR_KEPT`] bytes.
    pub fn tail(&self) -> String {
        let mut kept = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).trim().to_owned()
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        self.task.abort();
    }
}
