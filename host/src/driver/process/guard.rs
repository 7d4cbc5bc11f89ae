//! The guard process: `botyard guard -- PROGRAM ARGS`. It starts the CLI, becomes the reaper of everything the CLI
//! starts, and ends all of it when the CLI is gone, when it is told to, or when the host is gone.
//!
//! No tokio and hardly an allocation: one runs beside every live CLI. It is given one thing, a socket as its stdin:
//! over that come the CLI's three pipe ends (`SCM_RIGHTS`) and later the word `kill`, and over that go its own words,
//! a line each: `started PID`, `failed ERRNO TEXT`, `stopped`, `exited CODE`, `signalled N`. The pipe ends are closed here as
//! soon as the CLI has them: the guard never stands between the host and the CLI.
//!
//! `botyard guard --terminal GROUP -- ...` is for a CLI in a person's terminal: it is put into that process group, to
//! which the terminal speaks, and with its three ends comes one more descriptor, which stays open until all is over.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, Signal, WaitOptions};

/// How long killed descendants may take to vanish (a process in an uninterruptible wait does not).
const KILL_TIME: Duration = Duration::from_secs(5);
/// How long to wait for the reaper before looking for descendants again.
const RESCAN: Duration = Duration::from_millis(20);

/// What the reaping thread has to tell.
enum Reaped {
    /// The CLI itself ended: `exited CODE` or `signalled N`, and our exit code.
    Cli(String, i32),
    /// No child is left.
    Empty,
}

/// Runs `command` (`--`, then the program and its arguments; before that, what makes it one of a terminal) until it exits, the control socket says `kill` or
/// closes; then ends all descendants. Called by `main` before anything else is set up; never returns. Exits with the
/// CLI's code, 128 + N after signal N, 127 if it could not be started.
pub fn run(command: Vec<OsString>) -> ! {
    let mut words = command.into_iter().peekable();
    let mut group = None;
    if words.peek().is_some_and(|word| word == "--terminal") {
        words.next();
        let id = words.next().and_then(|word| word.to_str()?.parse::<i32>().ok());
        let Some(id) = id else { std::process::exit(127) };
        group = Some(id);
    }
    if words.peek().is_some_and(|word| word == "--") {
        words.next();
    }
    let Some(program) = words.next() else {
        std::process::exit(127);
    };
    std::process::exit(guard(&program, words.collect(), group).unwrap_or(127))
}

/// `terminal`: the process group that it speaks to.
fn guard(program: &OsString, args: Vec<OsString>, terminal: Option<i32>) -> io::Result<i32> {
    if terminal.is_none() {
        // A session of our own: a Ctrl-C on the host's terminal is for the host, which then ends us in its order.
        let _ = rustix::process::setsid();
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut fds = receive(&control)?.into_iter();
    let (Some(stdin), Some(stdout), Some(stderr)) = (fds.next(), fds.next(), fds.next()) else {
        return Ok(127);
    };
    // Open until we end, which is after all that the CLI started.
    let _held = fds.next();
    let mut cli = Command::new(program);
    cli.args(args)
        .process_group(terminal.unwrap_or(0))
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr));
    let spawned = cli.spawn();
    // The pipe ends live in the builder: gone from here on, so that the host sees the CLI's own end of file.
    drop(cli);
    let child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let text = error.to_string().replace('\n', " ");
            let _ = writeln!(control, "failed {} {text}", error.raw_os_error().unwrap_or(0));
            return Ok(127);
        }
    };
    let pid = Pid::from_child(&child);
    let (sender, reaped) = channel();
    let ending = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&ending);
    let wake = control.try_clone()?;
    thread::Builder::new()
        .stack_size(64 * 1024)
        .spawn(move || reap(pid, terminal.is_some(), &ends, &sender, &wake))?;
    let _ = writeln!(control, "started {}", pid.as_raw_nonzero());
    wait_for_the_end(&mut control);
    ending.store(true, Ordering::Release);
    let (word, code) = end_descendants(&reaped);
    let _ = writeln!(control, "{word}");
    Ok(code)
}

/// Takes the CLI's stdin, stdout and stderr, and what is to be held, from the host. Empty: the host is gone.
fn receive(control: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8; 1];
    loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(control, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect())
}

/// Reaps the CLI and every orphan that falls to us, for as long as there are any.
/// `stops`: that the CLI suspends itself is told, unless that is done to it because all ends.
fn reap(cli: Pid, stops: bool, ending: &AtomicBool, sender: &Sender<Reaped>, mut wake: &UnixStream) {
    let how = if stops {
        WaitOptions::UNTRACED
    } else {
        WaitOptions::empty()
    };
    loop {
        match rustix::process::wait(how) {
            Ok(Some((pid, status))) if status.stopped() => {
                if pid == cli && !ending.load(Ordering::Acquire) {
                    let _ = wake.write_all(b"stopped\n");
                }
            }
            Ok(Some((pid, status))) if pid == cli => {
                let (word, code) = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => (format!("exited {code}"), code),
                    (None, Some(signal)) => (format!("signalled {signal}"), 128 + signal),
                    (None, None) => continue,
                };
                let _ = sender.send(Reaped::Cli(word, code));
                // Wakes the reader of the control socket as if the host had closed it.
                let _ = wake.shutdown(Shutdown::Read);
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => {
                let _ = sender.send(Reaped::Empty);
                return;
            }
        }
    }
}

/// Returns when the host says `kill`, when its end is closed, or when the reaper shut our reading side.
fn wait_for_the_end(control: &mut UnixStream) {
    let mut buffer = [0_u8; 16];
    loop {
        match control.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // There is only one word to say.
            Ok(_) | Err(_) => return,
        }
    }
}

/// Ends everything below us and says how the CLI itself ended.
fn end_descendants(reaped: &Receiver<Reaped>) -> (String, i32) {
    let mut end = None;
    let deadline = Instant::now() + KILL_TIME;
    loop {
        let mut empty = false;
        for told in reaped.try_iter() {
            match told {
                Reaped::Cli(word, code) => end = Some((word, code)),
                Reaped::Empty => empty = true,
            }
        }
        if empty || Instant::now() > deadline {
            break;
        }
        kill_all();
        match reaped.recv_timeout(RESCAN) {
            Ok(Reaped::Cli(word, code)) => end = Some((word, code)),
            Ok(Reaped::Empty) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    end.unwrap_or_else(|| ("signalled 9".to_owned(), 137))
}

/// Stops all descendants first, so that nobody can fork away from the list, then kills them.
fn kill_all() {
    let mut stopped = HashSet::new();
    loop {
        let fresh = descendants()
            .into_iter()
            .filter(|pid| stopped.insert(*pid))
            .collect::<Vec<_>>();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh {
            let _ = rustix::process::kill_process(pid, Signal::STOP);
        }
    }
    for pid in stopped {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Every living process whose chain of parents leads to us, whatever group or session it put itself into.
fn descendants() -> Vec<Pid> {
    let mut children = children();
    let mut found = Vec::new();
    let mut below = vec![rustix::process::getpid().as_raw_nonzero().get()];
    while let Some(parent) = below.pop() {
        for pid in children.remove(&parent).unwrap_or_default() {
            found.extend(Pid::from_raw(pid));
            below.push(pid);
        }
    }
    found
}

/// The children of every process that has some, by their ids; without zombies.
pub(super) fn children() -> HashMap<i32, Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else {
        return children;
    };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if let Ok(stat) = fs::read_to_string(entry.path().join("stat"))
            && let Some(parent) = living_parent(&stat)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

/// The parent's id in a line of `/proc/PID/stat`; none for a zombie. The name in it may hold spaces and parentheses.
fn living_parent(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::living_parent;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(living_parent("12 (a) S 7 (b c) R 34 12 12 0"), Some(34));
        assert_eq!(living_parent("12 (sh) S 1 12 12 0"), Some(1));
        assert_eq!(living_parent("12 (sh) Z 1 12 12 0"), None);
        assert_eq!(living_parent("nothing"), None);
    }
}
