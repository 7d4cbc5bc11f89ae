//! The log, on stderr.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Starts it. Our own events from `level` on; of other crates only warnings, since theirs may hold what ours never do
/// (headers, addresses of vendors).
pub(super) fn start(level: LevelFilter) {
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("botyard", level);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(level > LevelFilter::INFO)
        .with_filter(targets);
    // Fails only where a test has set one already.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}
