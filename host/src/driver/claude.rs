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

use std::path::{Path, PathBuf};

use super::process::inherited_env;
use super::{Agent, Launch, stdio};
use crate::config::AgentProfile;
use translate::Translator;

pub(super) fn start(profile: &AgentProfile, launch: Launch) -> Agent {
    let program = launch::program(profile, &launch, inherited_env());
    let translator = Translator::new(launch.workspace.clone());
    stdio::start(
        program,
        launch,
        stdio::Before::default(),
        profile.start_timeout,
        translator,
    )
}

pub(super) fn kept(profile: &AgentProfile, config: Option<&Path>, cli_session: &str) -> Vec<PathBuf> {
    let home = transcript::home(&launch::home_env(profile, config, inherited_env()));
    home.map(|home| transcript::kept(&home, cli_session))
        .unwrap_or_default()
}

#[cfg(test)]
pub(super) use launch::tests;
