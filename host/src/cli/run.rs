//! `botyard run`.

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::failure::Failure;
use super::live::Live;
use super::{load, output, wrong};
use crate::config::{Config, environment, locate};
use crate::control::{ControlHandler, Listener, Lock};
use crate::supervisor::{self, Host, Ready, RunError};

pub(super) fn run(file: &Path) -> Result<(), Failure> {
    let config = load(file)?;
    let _lock = Lock::take(&config.host.data_dir)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::ours(format!("the runtime cannot start: {error}")))?
        .block_on(serve(file, config))
}

async fn serve(file: &Path, config: Config) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    // Before anything starts: a signal that comes meanwhile must not end the process half-way.
    let signals = Signals::new().map_err(|error| Failure::ours(format!("signals cannot be taken: {error}")))?;
    let watcher = tokio::spawn(signals.watch(stop.clone()));
    let control = Control::new(&config);
    let served = control.clone();
    let result = supervisor::run(config, move |ready, host| served.begin(&ready, host), stop).await;
    control.stop.cancel();
    control.tasks.close();
    control.tasks.wait().await;
    watcher.abort();
    match result {
        Ok(()) => {
            info!("stopped");
            Ok(())
        }
        // The adapters' manifests found more: told with the lines of the file.
        Err(RunError::Config(mut problems)) => {
            if let Ok(text) = std::fs::read_to_string(file) {
                locate(&text, &mut problems);
            }
            Err(wrong(file, &problems))
        }
        Err(error) => Err(error.into()),
    }
}

/// The control socket of this run.
#[derive(Debug, Clone)]
struct Control {
    folder: std::path::PathBuf,
    stop: CancellationToken,
    tasks: tokio_util::task::TaskTracker,
}

impl Control {
    fn new(config: &Config) -> Self {
        Self {
            folder: config.host.data_dir.clone(),
            stop: CancellationToken::new(),
            tasks: tokio_util::task::TaskTracker::new(),
        }
    }

    /// The host is up: takes control connections, until the run is over, and says where people find it.
    fn begin(&self, ready: &Ready, host: &Host) {
        match Listener::bind(&self.folder, &environment().temp_dir) {
            Ok(listener) => {
                let handler: Arc<dyn ControlHandler> = Arc::new(Live::new(host.clone()));
                self.tasks.spawn(listener.serve(handler, self.stop.clone()));
            }
            // Chats are served all the same.
            Err(error) => warn!(%error, "`status` and `outbox` cannot reach this host"),
        }
        output::note(&welcome(ready));
    }
}

/// What a person reads when the host is up.
pub(super) fn welcome(ready: &Ready) -> String {
    let mut text = format!("\nbotyard listens on http://{}\n", ready.listen);
    for (bot, url) in &ready.page {
        text.push_str(&format!("\n  {bot}: open {url}\n"));
    }
    if !ready.page.is_empty() {
        text.push_str("  (the link works once, for one browser; it is as good as a password)\n");
    }
    if ready.demo {
        text.push_str(
            "\nThe demo agent answers: it only shows what a chat can do. To connect a real one:\n  \
             1. npm install -g @anthropic-ai/claude-code\n  \
             2. claude, then /login; or set a login under [agent.claude] in bots.toml\n  \
             3. start botyard again: `agent = \"auto\"` takes `claude` when it is on PATH\n",
        );
    }
    text.push_str("\nCtrl-C stops it after running turns; twice, at once.");
    text
}

/// What ends the host.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// The first drains, the second ends the process: agents end with it, and what was accepted is in the store.
    async fn watch(mut self, stop: CancellationToken) {
        self.next().await;
        stop.cancel();
        self.next().await;
        warn!("ended without waiting for running turns");
        std::process::exit(1);
    }
}
