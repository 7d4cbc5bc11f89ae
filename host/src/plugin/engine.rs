//! The engine: how code is compiled, the clock that interrupts it, and the linker that every component shares.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use super::LoadError;
use super::sandbox::State;
use super::v1;

/// How often a guest that works is looked at.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Compiles, links, ticks.
pub(super) struct Machine {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    /// The ticker ends when this is dropped.
    _ticking: SyncSender<()>,
}

impl Machine {
    pub(super) fn new() -> Result<Self, LoadError> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        config.concurrency_support(false);
        config.memory_init_cow(true);
        let failed = |error: wasmtime::Error| LoadError(format!("the sandbox cannot be set up: {error:#}"));
        let engine = Engine::new(&config).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
        v1::add_to_linker(&mut linker).map_err(failed)?;

        let (ticking, ended) = sync_channel::<()>(0);
        let weak = engine.weak();
        std::thread::Builder::new()
            .name("botyard-ticker".to_owned())
            .spawn(move || {
                while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    let Some(engine) = weak.upgrade() else { return };
                    engine.increment_epoch();
                }
            })
            .map_err(|error| LoadError(format!("the sandbox's clock cannot be started: {error}")))?;
        Ok(Self {
            engine,
            linker,
            _ticking: ticking,
        })
    }
}
