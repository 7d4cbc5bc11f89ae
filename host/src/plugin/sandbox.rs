//! What one instance is held in: its empty WASI, its limits, what it may use, and how long it has worked.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::CallLimits;
use super::adapter::Bound;
use super::engine::TICK;
use super::link::LinkState;
use super::v1::types::Error;
use crate::chat::{Conversation, TurnId};

/// What is kept of a guest's stderr: the text of a panic.
const STDERR_BYTES: usize = 64 * 1024;
/// Python needs 5,678 elements, StarlingMonkey 7,695 (measured).
pub(super) const TABLE_ELEMENTS: usize = 100_000;
/// Component handles at the same time.
const HANDLES: usize = 1024;

/// Which export a call is in: what it may use depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Export {
    Describe,
    Ingress,
    Interaction,
    Delivery,
    Attachments,
    Account,
    History,
    Link,
}

/// A service of the host's, as it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Host,
    Http,
    Files,
    Store,
    Crypto,
    Memory,
    Socket,
    Events,
    LinkCall,
}

impl Export {
    /// What this export may use.
    pub(super) const fn may(self, service: Service) -> bool {
        use Service as S;
        match self {
            Self::Describe => false,
            Self::Ingress => matches!(service, S::Host | S::Files | S::Store | S::Crypto),
            Self::Interaction | Self::Attachments | Self::Account | Self::History => {
                matches!(
                    service,
                    S::Host | S::Http | S::Files | S::Store | S::Crypto | S::LinkCall
                )
            }
            Self::Delivery => !matches!(service, S::Socket | S::Events),
            Self::Link => !matches!(service, S::Memory | S::LinkCall),
        }
    }

    /// The most that a call may take, its waiting for the host included: a guest that sleeps is ended too.
    pub(super) const fn waiting(self) -> Option<Duration> {
        match self {
            Self::Describe => Some(Duration::from_secs(5)),
            Self::Ingress => Some(Duration::from_secs(30)),
            Self::Interaction | Self::History => Some(Duration::from_secs(60)),
            Self::Account => Some(Duration::from_secs(180)),
            // Files of a gigabyte go through these.
            Self::Delivery | Self::Attachments => Some(Duration::from_secs(900)),
            Self::Link => None,
        }
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Describe => "describe",
            Self::Ingress => "ingress",
            Self::Interaction => "interaction",
            Self::Delivery => "delivery",
            Self::Attachments => "attachments",
            Self::Account => "account",
            Self::History => "history",
            Self::Link => "link",
        })
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Http => "http",
            Self::Files => "files",
            Self::Store => "store",
            Self::Crypto => "crypto",
            Self::Memory => "memory",
            Self::Socket => "socket",
            Self::Events => "events",
            Self::LinkCall => "link-call",
        })
    }
}

/// A guest's own work. Waiting for the host does not count; nor does waiting for a processor, beyond two ticks.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Duration,
    spent: Duration,
    since: Instant,
    /// The guest was interrupted because of this.
    pub(super) over: bool,
}

impl Budget {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            spent: Duration::ZERO,
            since: Instant::now(),
            over: false,
        }
    }

    /// The guest waits for the host now.
    pub(super) fn pause(&mut self) {
        self.spent += self.since.elapsed().min(TICK * 2);
    }

    /// The guest works again.
    pub(super) fn resume(&mut self) {
        self.since = Instant::now();
    }

    /// A long-lived guest came to wait for its mailbox: it may work as long again.
    pub(super) const fn renew(&mut self) {
        self.spent = Duration::ZERO;
    }

    /// Called at each tick in which the guest works. True: it has worked for too long.
    fn tick(&mut self) -> bool {
        self.pause();
        self.resume();
        self.over = self.spent >= self.limit;
        self.over
    }
}

/// Memory and tables of one instance, all its memories together.
#[derive(Debug)]
pub(super) struct Limiter {
    memory_bytes: usize,
    used: usize,
    /// Something was refused.
    pub(super) denied: bool,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.memory_bytes {
            self.denied = true;
            return Ok(false);
        }
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS && maximum.is_none_or(|most| desired <= most))
    }

    // A component's core modules: one for most, a few for those that were composed.
    fn instances(&self) -> usize {
        64
    }
    fn tables(&self) -> usize {
        64
    }
    fn memories(&self) -> usize {
        8
    }
}

/// The turn that a `delivery` call is for.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) turn: TurnId,
    pub(super) conversation: Conversation,
    /// Something stands there, and this can wait.
    pub(super) update: bool,
}

/// One instance's state: wasmtime's store data.
pub(super) struct State {
    /// Made when it is first asked for something: most guests never do, and what is random in it costs time.
    wasi: Option<WasiCtx>,
    table: ResourceTable,
    stderr: MemoryOutputPipe,
    pub(super) limiter: Limiter,
    pub(super) budget: Budget,
    pub(super) limits: CallLimits,
    pub(super) export: Export,
    /// None in `describe`.
    pub(super) bound: Option<Arc<Bound>>,
    pub(super) shown: Option<Shown>,
    pub(super) link: Option<Box<LinkState>>,
    /// What may still be handed over to the host.
    pub(super) output_left: usize,
    pub(super) flooded: bool,
    pub(super) log_lines: u32,
    /// Comparisons with secrets, which must stay few.
    pub(super) comparisons: u32,
    /// Rate-limit buckets that this call drew from, and how often.
    pub(super) buckets: BTreeMap<String, u32>,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let stderr = &self.stderr;
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(|| empty(stderr.clone())),
            table: &mut self.table,
        }
    }
}

/// A WASI with nothing behind it but stderr.
fn empty(stderr: MemoryOutputPipe) -> WasiCtx {
    WasiCtxBuilder::new()
        .stderr(stderr)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// What the guest did that no error can tell it: it ends.
#[derive(Debug, thiserror::Error)]
#[error("it handed over more than a call may")]
struct Flood;

impl State {
    pub(super) fn new(export: Export, limits: CallLimits, bound: Option<Arc<Bound>>) -> Self {
        Self {
            wasi: None,
            table: ResourceTable::new(),
            stderr: MemoryOutputPipe::new(STDERR_BYTES),
            limiter: Limiter {
                memory_bytes: limits.memory_bytes,
                used: 0,
                denied: false,
            },
            budget: Budget::new(limits.deadline),
            output_left: limits.output_bytes,
            limits,
            export,
            bound,
            shown: None,
            link: None,
            flooded: false,
            log_lines: 0,
            comparisons: 0,
            buckets: BTreeMap::new(),
        }
    }

    /// The store for one instance, with every limit in force.
    pub(super) fn into_store(self, engine: &wasmtime::Engine) -> Store<Self> {
        let output = self.limits.output_bytes;
        let mut store = Store::new(engine, self);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(output);
        store.set_max_component_handles(HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            Ok(if context.data_mut().budget.tick() {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::Yield(1)
            })
        });
        store
    }

    /// The last of what it wrote to stderr, for the operator.
    pub(super) fn last_words(&self) -> String {
        let bytes = self.stderr.contents();
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        let from = text.ceil_char_boundary(text.len().saturating_sub(600));
        text[from..].to_owned()
    }

    /// Waits for the host's own work: it does not count as the guest's.
    pub(super) async fn waiting<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.budget.pause();
        let done = work.await;
        self.budget.resume();
        done
    }

    /// What the guest is bound to, if this export may use that service. A refused use is counted.
    pub(super) fn granted(&self, service: Service) -> Result<Arc<Bound>, Error> {
        let refused = || Error::Rejected(format!("`{service}` may not be used in `{}`", self.export));
        let Some(bound) = &self.bound else {
            return Err(refused());
        };
        if !self.export.may(service) {
            bound.refused(self.export, service);
            return Err(refused());
        }
        Ok(Arc::clone(bound))
    }

    /// So many bytes were handed over to the host. An error ends the guest.
    pub(super) fn spend(&mut self, bytes: usize) -> wasmtime::Result<()> {
        match self.output_left.checked_sub(bytes) {
            Some(left) => {
                self.output_left = left;
                Ok(())
            }
            None => {
                self.flooded = true;
                Err(wasmtime::Error::new(Flood))
            }
        }
    }
}
