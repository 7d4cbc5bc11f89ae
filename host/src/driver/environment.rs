//! The environment of an agent's process.

use std::ffi::OsString;

use super::Launch;
use crate::config::AgentProfile;

/// Later ones win: what is inherited, the session's temporary folder, what the driver needs, and last the operator's own
/// words.
pub(super) fn environment(
    inherited: Vec<(OsString, OsString)>,
    launch: &Launch,
    needs: Vec<(&str, OsString)>,
    profile: &AgentProfile,
) -> Vec<(OsString, OsString)> {
    let mut env = inherited;
    let own = profile.env.iter().map(|(name, value)| (name.as_str(), value.into()));
    for (name, value) in [("TMPDIR", launch.temp_dir.clone().into())]
        .into_iter()
        .chain(needs)
        .chain(own)
    {
        env.retain(|(known, _)| known != name);
        env.push((name.into(), value));
    }
    env
}
