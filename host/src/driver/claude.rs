//! Claude Code's stream-json protocol with its control requests. `botyard demo-agent` speaks it too.

mod failure;
mod lasting;
mod launch;
mod stream;
pub(super) mod terminal;
mod text;
mod tool;
pub(super) mod transcript;
mod translate;
mod wire;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::process::inherited_env;
use super::{Agent, Launch, stdio};
use crate::config::{AgentProfile, variable};
use translate::Translator;

pub(super) fn start(profile: &AgentProfile, launch: Launch) -> Agent {
    let program = launch::program(profile, &launch, inherited());
    let mut translator = Translator::new(launch.workspace.clone());
    if launch.resume || launch.fork.is_some() {
        translator.resumes();
    }
    stdio::start(
        program,
        launch,
        stdio::Before::default(),
        profile.start_timeout,
        translator,
    )
}

fn inherited() -> Vec<(OsString, OsString)> {
    let mut inherited = inherited_env();
    // Where the operator's own login is, if they have moved it. Whoever has a folder of their own has another one.
    inherited.extend(variable(launch::FOLDER).map(|folder| (launch::FOLDER.into(), folder)));
    inherited
}

pub(super) fn kept(profile: &AgentProfile, config: Option<&Path>, cli_session: &str) -> Vec<PathBuf> {
    let home = transcript::home(&launch::home_env(profile, config, inherited()));
    home.map(|home| transcript::kept(&home, cli_session))
        .unwrap_or_default()
}

#[cfg(test)]
pub(super) use launch::tests;
