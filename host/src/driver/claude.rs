//! Claude Code's stream-json protocol with its control requests. `botyard demo-agent` speaks it too.

use super::{Agent, Launch};
use crate::config::AgentProfile;

pub(super) fn start(_profile: &AgentProfile, _launch: Launch) -> Agent {
    todo!()
}
