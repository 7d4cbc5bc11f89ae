//! The Agent Client Protocol, version 1 (<https://agentclientprotocol.com>): JSON-RPC, a line each, over the agent's
//! pipes. Many agents speak it, each a little differently ([`quirk`]).
//!
//! Of our own rather than with the crate `agent-client-protocol`: the half of it that a client needs is small, its majors
//! come every few months (1 to 5 within a year), and what is said beside the protocol must get through.

mod client;
mod failure;
mod launch;
mod message;
mod opening;
mod quirk;
mod reply;
pub(super) mod terminal;
mod tool;

use super::process::inherited_env;
use super::{Agent, Launch, stdio};
use crate::config::{AgentProfile, KnownAgent, Login};
use client::Client;
use opening::Opening;
use quirk::Quirk;

/// The profile's mode that stands for what the agent begins with.
const MODE_OF_ITS_OWN: &str = "default";

pub(super) fn start(profile: &AgentProfile, launch: Launch) -> Agent {
    let known = KnownAgent::of_command(&profile.command);
    let (program, before) = launch::program(profile, &launch, known, inherited_env());
    let quirk = Quirk::of(known);
    let client = Client::new(launch.workspace.clone(), quirk, opening(profile, &launch));
    stdio::start(program, launch, before, profile.start_timeout, client)
}

fn opening(profile: &AgentProfile, launch: &Launch) -> Opening {
    Opening {
        resume: launch.resume.then(|| launch.cli_session.clone()),
        fork: launch.fork.clone(),
        model: launch.model.clone().or_else(|| profile.model.clone()),
        chosen: launch.model.is_some(),
        chosen_mode: launch.mode.clone(),
        mode: Some(profile.permission_mode.clone()).filter(|mode| mode != MODE_OF_ITS_OWN),
        instructions: launch.instructions(profile),
        has_key: matches!(profile.login, Login::ApiKey(_)),
        ..Opening::default()
    }
}
