//! A CLI in the operator's own terminal: it has the terminal itself as its stdin, stdout and stderr, and is of the process
//! group that the terminal listens to, so that keys, signals and the window's size reach it as from a shell. Under a guard
//! as any other: it ends with whoever started it.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::process::{Pid, Signal};
use rustix::termios::{OptionalActions, Termios};
use tokio::signal::unix::{SignalKind, signal};

use super::{Control, Ended, Program, SpawnError};

/// A CLI that a person speaks with. Dropping it ends the CLI and all its descendants.
#[derive(Debug)]
pub struct Terminal {
    control: Control,
    /// How the terminal was set, where there is one.
    modes: Option<Termios>,
}

impl Terminal {
    /// Starts the program. `held` stays open for as long as anything of the program lives, also when this process is
    /// killed. Returns when the program runs.
    pub async fn start(program: Program, held: BorrowedFd<'_>) -> Result<Self, SpawnError> {
        let failed = SpawnError::Guard;
        let modes = io::stdin()
            .is_terminal()
            .then(|| rustix::termios::tcgetattr(io::stdin()).ok())
            .flatten();
        let copies: [OwnedFd; 4] = [
            io::stdin().as_fd().try_clone_to_owned().map_err(failed)?,
            io::stdout().as_fd().try_clone_to_owned().map_err(failed)?,
            io::stderr().as_fd().try_clone_to_owned().map_err(failed)?,
            held.try_clone_to_owned().map_err(failed)?,
        ];
        let (control, _) = Control::start(&program, copies, Some(rustix::process::getpgrp())).await?;
        Ok(Self { control, modes })
    }

    /// Waits for the end of the CLI and of all that it started. What would end us is for the CLI: a key's signal it
    /// gets from the terminal itself, SIGTERM and SIGHUP end it. The terminal is set as it was.
    pub async fn ended(&mut self) -> io::Result<Ended> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let ended = loop {
            tokio::select! {
                ended = self.control.ended_or_stopped() => match ended {
                    Some(ended) => break ended,
                    None => self.stopped(),
                },
                _ = interrupt.recv() => {}
                _ = quit.recv() => {}
                _ = terminate.recv() => self.control.kill(),
                _ = hangup.recv() => self.control.kill(),
            }
        };
        if let Some(modes) = &self.modes {
            // The terminal may be gone.
            let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Drain, modes);
        }
        Ok(ended)
    }

    /// The CLI suspended itself: so do we, for the shell to take over; `fg` wakes both. Where there is no shell, it goes on.
    fn stopped(&self) {
        let own = rustix::process::getpid();
        let leads = rustix::process::getsid(None).is_ok_and(|leader| leader == own);
        if leads {
            let cli = self
                .control
                .cli
                .and_then(|cli| Pid::from_raw(cli.as_raw_nonzero().get()));
            let _ = cli.map(|cli| rustix::process::kill_process(cli, Signal::CONT));
        } else {
            let _ = rustix::process::kill_process(own, Signal::STOP);
        }
    }
}
