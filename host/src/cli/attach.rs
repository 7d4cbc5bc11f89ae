//! `botyard sessions attach`: the session in this terminal, by its agent's own program, and back to the chat.

use std::ffi::OsString;
use std::path::Path;

use super::desk::Desk;
use super::failure::Failure;
use super::{block_on, load, output, owner};
use crate::chat::SessionId;
use crate::config::Config;
use crate::control::{ControlError, talk};
use crate::driver::process::window::{WindowError, window};
use crate::driver::process::{Ended, Program, terminal::Terminal};
use crate::session::takeover::{self, Held, Takeover, TakeoverError};
use crate::session::{ChangeError, removal::RemovalError};

/// `wait`: after the turn that runs, if one does.
pub(super) fn attach(file: &Path, id: &SessionId, wait: bool) -> Result<(), Failure> {
    let config = load(file)?;
    block_on(here(&config, id, wait, owner::user()))
}

/// The same in a new window of tmux.
pub(super) fn attach_in_tmux(file: &Path, id: &SessionId, wait: bool) -> Result<(), Failure> {
    if !output::in_tmux() {
        return Err(
            Failure::user("this is no tmux: `TMUX` is not set").hint("start it within tmux, or leave out `--tmux`")
        );
    }
    let failed = |error: std::io::Error| Failure::ours(error.to_string());
    let config = std::path::absolute(file).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let mut words: Vec<OsString> = vec!["--config".into(), config.into(), "sessions".into(), "attach".into()];
    words.push(id.as_str().into());
    words.extend(wait.then(|| "--wait".into()));
    window(&program, &words, &format!("botyard {id}")).map_err(|error| match error {
        WindowError::NotFound => Failure::user(error.to_string()).hint("install tmux, or leave out `--tmux`"),
        WindowError::Refused(_) => Failure::user(error.to_string()),
    })
}

/// `user`: who this is. The session's lock is a file of its own, which the host has to open.
pub(super) async fn here(config: &Config, id: &SessionId, wait: bool, user: u32) -> Result<(), Failure> {
    owner::own(&config.host.data_dir, user)?;
    let desk = Desk::open(&config.host.data_dir).await?;
    let taken = taken(config, &desk, id, wait).await;
    // The session's own lock keeps it from here on: a host may begin while somebody sits there.
    desk.close().await;
    let (takeover, program) = taken?;
    let ended = spoken(takeover, program).await?;
    // The lock is free by now: what was said is taken in, whatever became of it.
    back(config, id).await?;
    output::note("the session is back with the chat");
    match ended {
        Ended::Exited(0) => Ok(()),
        Ended::Exited(code) => Err(Failure::user(format!("the agent's program ended with code {code}"))),
        Ended::Signalled(signal) => Err(Failure::user(format!(
            "the agent's program was ended by signal {signal}"
        ))),
        Ended::GuardLost => Err(Failure::ours("the agent's program was left alone and ended")),
    }
}

/// Somebody speaks with it. Returns when the lock is free again.
async fn spoken(mut takeover: Takeover, program: Program) -> Result<Ended, Failure> {
    let mut terminal = match Terminal::start(program, takeover.lock()).await {
        Ok(terminal) => terminal,
        Err(error) => {
            takeover.nothing();
            return Err(Failure::user(error.to_string()));
        }
    };
    let ended = terminal.ended().await;
    // In this order: the guard is gone when the lock is.
    drop(terminal);
    drop(takeover);
    ended.map_err(|error| Failure::ours(error.to_string()))
}

/// Gives it to whoever has the store by now: the host that there was, one that began meanwhile, or none.
async fn back(config: &Config, id: &SessionId) -> Result<(), Failure> {
    // A host that ends just now has the store, and answers nobody.
    for _ in 0..2 {
        match Desk::open(&config.host.data_dir).await? {
            Desk::Host(client) => match client.returned(id).await {
                Err(ControlError::NotRunning(_)) => {}
                other => return Ok(other?),
            },
            store @ Desk::Store { .. } => {
                let taken_in = take_in(config, &store, id).await;
                store.close().await;
                return taken_in;
            }
        }
    }
    // One that begins looks by itself, and so does the one after it.
    Ok(())
}

/// Where no host runs: what a terminal left of this session.
async fn take_in(config: &Config, desk: &Desk, id: &SessionId) -> Result<(), Failure> {
    let Desk::Store { journal, .. } = desk else {
        return Ok(());
    };
    match takeover::held(&config.host.data_dir, id) {
        Held::Left(left) => Ok(talk::returned(journal, config, id, left).await?),
        Held::Free | Held::Yes => Ok(()),
        Held::Unknown(error) => Err(Failure::user(error.to_string())),
    }
}

/// Takes the session over: the lock, and what to start.
async fn taken(config: &Config, desk: &Desk, id: &SessionId, wait: bool) -> Result<(Takeover, Program), Failure> {
    let row = match desk {
        Desk::Host(client) => client.session(id).await?,
        Desk::Store { journal, .. } => talk::get(journal, id).await?,
    };
    let unknown = || talk::TalkError::Homeless {
        bot: row.bot.clone(),
        agent: row.agent.clone(),
    };
    takeover::possible(&talk::ground(config, &row).ok_or_else(unknown)?, &row)?;
    let mut takeover = Takeover::take(&config.host.data_dir, id)?;
    if let Some(left) = takeover.left()? {
        // A terminal that was killed left it, and nobody took in what was said.
        match desk {
            Desk::Host(client) => {
                drop((left, takeover));
                client.returned(id).await?;
                takeover = Takeover::take(&config.host.data_dir, id)?;
            }
            Desk::Store { journal, .. } => {
                talk::returned(journal, config, id, left).await?;
            }
        }
        // The host could not store it, perhaps.
        takeover.settled()?;
    }
    let row = match desk {
        Desk::Host(client) => client.attach(id, wait).await.map_err(refused)?,
        Desk::Store { journal, .. } => {
            let row = talk::get(journal, id).await?;
            let wanted = id.clone();
            if journal.read(move |store| store.session_busy(&wanted)).await? {
                return Err(talk::TalkError::from(RemovalError::Busy(id.clone())).into());
            }
            takeover::ready(&row).map_err(talk::TalkError::from)?;
            row
        }
    };
    let ground = talk::ground(config, &row).ok_or_else(unknown)?;
    let program = takeover.program(&ground, &row)?;
    Ok((takeover, program))
}

/// Why the host does not give it away, and what to do.
fn refused(error: ControlError) -> Failure {
    let said = |what: ChangeError| matches!(&error, ControlError::Refused(why) if *why == what.to_string());
    let busy = said(ChangeError::Busy) || said(ChangeError::Background);
    let nothing = said(ChangeError::Nothing);
    let failure = Failure::from(error);
    if busy {
        return failure.hint("`--wait` waits for its end, `botyard sessions interrupt` stops it");
    }
    if nothing {
        return failure.hint("say something in the chat first");
    }
    failure
}

impl From<TakeoverError> for Failure {
    fn from(error: TakeoverError) -> Self {
        Self::user(error.to_string())
    }
}
