//! The engines: how code is compiled, where instances are made, the clock that interrupts them, and the linker that every
//! component shares.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::LoadError;
use super::sandbox::{State, TABLE_ELEMENTS};
use super::v1;

/// How often a guest that works is looked at.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Instances that the pool holds at the same time. Whoever comes when all are taken gets a place of its own.
const PLACES: u32 = 64;
/// A component that is made of more than this gets no place in the pool.
const MODULES: u32 = 16;
const TABLES: u32 = 4;
/// Of what wasmtime itself notes of an instance: taken as it is needed, and a few KiB for ours.
const INSTANCE_BYTES: usize = 16 << 20;
/// What a place keeps of the memory that its last instance wrote to, cleaned. Ours write to about 100 KiB in a call.
const KEPT_BYTES: usize = 256 * 1024;
/// The same where the kernel cannot say what was written to (PAGEMAP_SCAN, Linux 6.7): then as much is cleaned each time.
const KEPT_BYTES_UNSEEN: usize = 64 * 1024;

/// Where instances are made.
pub(super) struct Site {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
}

/// Instances in places that were mapped before and are only cleaned: 40 µs less for each call, most of them the kernel's.
pub(super) struct Pool {
    pub(super) site: Site,
    places: Semaphore,
}

impl Pool {
    /// None: all are taken.
    pub(super) fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }
}

/// Compiles, links, ticks.
pub(super) struct Machine {
    /// Each instance gets what it needs as it comes, and gives it back: as many as there are, of any size.
    pub(super) site: Site,
    /// None: this process may not hold that much address space.
    pub(super) pool: Option<Pool>,
    /// The ticker ends when this is dropped.
    _ticking: SyncSender<()>,
}

/// What both engines have in common: code that one compiled runs in the other.
fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.concurrency_support(false);
    config.memory_init_cow(true);
    config
}

fn pooling() -> PoolingAllocationConfig {
    let seen = PoolingAllocationConfig::is_pagemap_scan_available();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(PLACES)
        .total_core_instances(PLACES * MODULES)
        .total_memories(PLACES)
        .total_tables(PLACES * TABLES)
        .total_stacks(PLACES)
        .max_core_instances_per_component(MODULES)
        .max_memories_per_component(1)
        .max_tables_per_component(TABLES)
        // All that 32 bits reach: what an instance may have of it is the limiter's to say.
        .max_memory_size(1 << 32)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(if seen { KEPT_BYTES } else { KEPT_BYTES_UNSEEN })
        .table_keep_resident(KEPT_BYTES_UNSEEN)
        .pagemap_scan(if seen { Enabled::Yes } else { Enabled::No });
    pool
}

impl Site {
    fn new(config: &Config) -> wasmtime::Result<Self> {
        let engine = Engine::new(config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        v1::add_to_linker(&mut linker)?;
        Ok(Self { engine, linker })
    }
}

impl Machine {
    pub(super) fn new() -> Result<Self, LoadError> {
        let failed = |error: wasmtime::Error| LoadError(format!("the sandbox cannot be set up: {error:#}"));
        let site = Site::new(&config()).map_err(failed)?;
        let mut pooled = config();
        pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling()));
        let pool = match Site::new(&pooled) {
            Ok(site) => Some(Pool {
                site,
                places: Semaphore::new(PLACES as usize),
            }),
            Err(error) => {
                tracing::debug!(%error, "no pool of instances: each is made as it comes");
                None
            }
        };

        let (ticking, ended) = sync_channel::<()>(0);
        let engines = [Some(&site), pool.as_ref().map(|pool| &pool.site)];
        let weak: Vec<_> = engines.iter().flatten().map(|site| site.engine.weak()).collect();
        std::thread::Builder::new()
            .name("botyard-ticker".to_owned())
            .spawn(move || {
                while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    for engine in &weak {
                        let Some(engine) = engine.upgrade() else { return };
                        engine.increment_epoch();
                    }
                }
            })
            .map_err(|error| LoadError(format!("the sandbox's clock cannot be started: {error}")))?;
        Ok(Self {
            site,
            pool,
            _ticking: ticking,
        })
    }
}
