//! A new window of the operator's tmux.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};

#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    #[error("`tmux` was not found")]
    NotFound,
    #[error("tmux did not open a window: {0}")]
    Refused(String),
}

/// Keeps what went wrong readable: a window closes with its program.
const THEN: &str = r#""$@" || { printf '\n(press Enter to close this window)'; read -r _; }"#;

/// Opens a window with this program in it, and waits until it is over. Blocks.
pub fn window(program: &Path, words: &[OsString], name: &str) -> Result<(), WindowError> {
    let opened = Command::new("tmux")
        .args([
            "new-window",
            "-P",
            "-F",
            "#{pane_pid}",
            "-n",
            name,
            "--",
            "sh",
            "-c",
            THEN,
            "sh",
        ])
        .arg(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => WindowError::NotFound,
            _ => WindowError::Refused(error.to_string()),
        })?;
    let said = String::from_utf8_lossy(&opened.stdout).trim().to_owned();
    if !opened.status.success() {
        let why = String::from_utf8_lossy(&opened.stderr).trim().to_owned();
        return Err(WindowError::Refused(why));
    }
    let pid = said.parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| WindowError::Refused(format!("it said `{said}`")))?;
    // Gone already, if there is no such process.
    if let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        let mut ends = [PollFd::new(&process, PollFlags::IN)];
        while matches!(rustix::event::poll(&mut ends, None), Err(rustix::io::Errno::INTR)) {}
    }
    Ok(())
}
