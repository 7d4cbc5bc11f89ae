//! The guard process: no tokio, no allocation to speak of, one job.

use std::ffi::OsString;

/// Runs `command` as a subreaper until it exits, the control pipe says so or closes; then ends all descendants.
/// Called by `main` before anything else is set up; never returns.
pub fn run(_command: Vec<OsString>) -> ! {
    todo!()
}
