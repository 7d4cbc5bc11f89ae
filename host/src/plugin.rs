//! The sandbox: loads components, checks what they import, calls them in fresh instances within limits, and
//! answers what they ask of the host. The only module that names wasmtime.

mod adapter;
mod cache;
mod call;
mod describe;
mod engine;
pub mod files;
mod imports;
mod link;
mod sandbox;
mod services;
mod v1;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use wasmtime::component::{Component as WasmComponent, InstancePre};

use crate::chat::{Answer, BotName, CallError, Event, Health};
use crate::config::SecretText;
use crate::egress::Outlet;
use crate::manifest::About;
use crate::outbox::BoxFuture;
use crate::store::Journal;
use cache::Cache;
use engine::{Machine, Site};
use sandbox::{Export, State};

/// Why a component cannot be used, in words for its author or operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// The engine: one for the process. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    machine: Arc<Machine>,
    cache: Cache,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// Limits of `describe`: Python's start takes a while.
const DESCRIBE: CallLimits = CallLimits {
    memory_bytes: 128 * 1024 * 1024,
    deadline: Duration::from_secs(5),
    output_bytes: 1024 * 1024,
    file_bytes: 1 << 20,
};

impl Runtime {
    /// `cache`: compiled code and manifests, keyed by content and engine; made if it is not there.
    ///
    /// # Errors
    /// The folder cannot be used, or the engine cannot be made.
    pub fn new(cache: &Path) -> Result<Self, LoadError> {
        Ok(Self {
            machine: Arc::new(Machine::new()?),
            cache: Cache::open(cache)?,
        })
    }

    /// Checks, compiles (or finds in the cache) and asks `describe`.
    ///
    /// # Errors
    /// In one sentence why it cannot be used: not a component, an import that is refused, an export that is missing,
    /// a manifest that makes no sense.
    pub async fn load(&self, name: &str, wasm: &[u8]) -> Result<Component, LoadError> {
        let failed = |why: String| LoadError(format!("the adapter `{name}` cannot be used: {why}"));
        let this = self.clone();
        let bytes = wasm.to_vec();
        let prepared = tokio::task::spawn_blocking(move || this.prepare(&bytes))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(failed)?;
        let Prepared {
            code,
            key,
            imports,
            offers,
            kept,
            ..
        } = prepared;
        let linked = prepared.linked;
        let about = match kept {
            Some(about) => about,
            None => {
                let about = self.describe(&linked, offers).await.map_err(failed)?;
                let (cache, kept) = (self.cache.clone(), about.clone());
                let written = tokio::task::spawn_blocking(move || cache.keep(&key, &code, &kept)).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(adapter = name, %error, "compiled code cannot be kept: the next start takes longer");
                }
                about
            }
        };
        Ok(Component {
            inner: Arc::new(Loaded {
                machine: Arc::clone(&self.machine),
                linked,
                pooled: prepared.pooled,
                about: Arc::new(about),
                offers,
                imports,
            }),
        })
    }

    /// Everything of `load` that takes a processor.
    fn prepare(&self, wasm: &[u8]) -> Result<Prepared, String> {
        let engine = &self.machine.site.engine;
        let key = Cache::key(engine, wasm);
        let (code, kept) = match self.cache.find(engine, &key) {
            Some((code, about)) => (code, Some(about)),
            None => (compile(engine, wasm)?, None),
        };
        let imports = imports::check(engine, &code)?;
        let offered = imports::exports(engine, &code);
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        let linked = Linked::new(&self.machine.site, &code, &offered)?;
        // Where it does not fit into the pool it works all the same.
        let pooled = self.machine.pool.as_ref().and_then(|pool| {
            let code = self.cache.again(&pool.site.engine, &key, &code, kept.is_some())?;
            Linked::new(&pool.site, &code, &offered).ok()
        });
        let exports = &linked.exports;
        let offers = Offers {
            interaction: exports.interaction.is_some(),
            attachments: exports.attachments.is_some(),
            account: exports.account.is_some(),
            history: exports.history.is_some(),
            link: exports.link.is_some(),
        };
        Ok(Prepared {
            code,
            key,
            linked,
            pooled,
            imports,
            offers,
            kept,
        })
    }

    /// Asks a component what it is, and whether it is of this version altogether.
    async fn describe(&self, linked: &Linked, offers: Offers) -> Result<About, String> {
        let mut store = State::new(Export::Describe, DESCRIBE, None).into_store(&self.machine.site.engine);
        let made = call::within(
            Export::Describe,
            DESCRIBE.deadline,
            linked.pre.instantiate_async(&mut store),
        )
        .await;
        let instance = call::outcome(Export::Describe, &store, made)
            .map_err(|failure| format!("it cannot be started: {failure}"))?;
        linked.exports.compare(&mut store, &instance)?;
        drop(store);
        let mut store = State::new(Export::Describe, DESCRIBE, None).into_store(&self.machine.site.engine);
        let said = call::call!(
            Export::Describe,
            store,
            linked.pre,
            linked.exports.describe,
            call_describe()
        );
        let about = said
            .map_err(|failure| format!("`describe` failed: {failure}"))
            .and_then(v1::manifest::about)?;
        let problems = describe::problems(&about, offers);
        if problems.is_empty() {
            Ok(about)
        } else {
            Err(format!("its manifest: {}", problems.join("; ")))
        }
    }
}

/// Compiles; an operator who gives something else is told what it is.
fn compile(engine: &wasmtime::Engine, wasm: &[u8]) -> Result<WasmComponent, String> {
    // A module and a component differ in the bytes that follow the magic and the version.
    if wasm.get(..8) == Some(b"\0asm\x01\0\0\0") {
        return Err("it is a core module, not a component; build it for wasm32-wasip2".to_owned());
    }
    if wasm.get(..4) != Some(b"\0asm") {
        return Err("it is not WebAssembly".to_owned());
    }
    WasmComponent::from_binary(engine, wasm).map_err(|error| format!("it does not compile: {error:#}"))
}

/// A component that was checked and linked.
struct Prepared {
    code: WasmComponent,
    key: String,
    linked: Linked,
    pooled: Option<Linked>,
    imports: Vec<String>,
    offers: Offers,
    /// From the cache.
    kept: Option<About>,
}

/// Which optional interfaces a component exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offers {
    pub interaction: bool,
    pub attachments: bool,
    pub account: bool,
    pub history: bool,
    pub link: bool,
}

/// A component whose imports were found, and where its exports are.
struct Linked {
    pre: InstancePre<State>,
    exports: v1::Exports,
}

impl Linked {
    fn new(site: &Site, code: &WasmComponent, offered: &[&str]) -> Result<Self, String> {
        let pre = site
            .linker
            .instantiate_pre(code)
            .map_err(|error| format!("its imports do not fit: {error:#}"))?;
        let exports = v1::Exports::find(&pre, offered)?;
        Ok(Self { pre, exports })
    }
}

struct Loaded {
    machine: Arc<Machine>,
    linked: Linked,
    /// None: it is too large for the pool, or there is none.
    pooled: Option<Linked>,
    about: Arc<About>,
    offers: Offers,
    imports: Vec<String>,
}

/// A loaded component. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    inner: Arc<Loaded>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("platform", &self.inner.about.platform)
            .finish_non_exhaustive()
    }
}

impl Component {
    pub fn about(&self) -> &Arc<About> {
        &self.inner.about
    }
    pub fn offers(&self) -> Offers {
        self.inner.offers
    }
    /// Names of everything it imports, for `adapter inspect`.
    pub fn imports(&self) -> Vec<String> {
        self.inner.imports.clone()
    }

    /// For one call: in the pool, if there is a place.
    fn seat(&self) -> Seat<'_> {
        let machine = &self.inner.machine;
        let pooled = machine.pool.as_ref().zip(self.inner.pooled.as_ref());
        match pooled.and_then(|(pool, linked)| Some((pool, linked, pool.place()?))) {
            Some((pool, linked, place)) => Seat {
                engine: &pool.site.engine,
                linked,
                _place: Some(place),
            },
            None => self.own_seat(),
        }
    }

    /// For an instance that lives long: it takes no place from the calls.
    fn own_seat(&self) -> Seat<'_> {
        Seat {
            engine: &self.inner.machine.site.engine,
            linked: &self.inner.linked,
            _place: None,
        }
    }
}

/// Where one instance is made. It must outlive the store.
struct Seat<'c> {
    engine: &'c wasmtime::Engine,
    linked: &'c Linked,
    _place: Option<SemaphorePermit<'c>>,
}

/// Limits of one call.
#[derive(Debug, Clone)]
pub struct CallLimits {
    pub memory_bytes: usize,
    /// The guest's own work; waiting for the host does not count.
    pub deadline: Duration,
    /// What one call may hand over to the host.
    pub output_bytes: usize,
    /// Of one file that it brings into the host's keeping.
    pub file_bytes: u32,
}

/// What an adapter is given for one bot.
#[derive(Debug)]
pub struct BotServices {
    pub bot: BotName,
    pub mode: String,
    pub api_base: String,
    pub settings: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, SecretText>,
    /// `https://host/hook/BOT`, if vendors can reach this host.
    pub hook_base: Option<String>,
    pub outlet: Outlet,
    pub journal: Journal,
    /// Where the host keeps files.
    pub files_dir: std::path::PathBuf,
    pub limits: CallLimits,
}

/// What became of a link's event: stored, with what to tell the vendor; or not.
pub type Emitted = Result<Option<Answer>, CallError>;

/// Where a link's events go, and how it says how it is. Implemented by `bot`.
pub trait LinkHost: Send + Sync + 'static {
    /// Events are stored in the order of these calls. Waits only for a place in a bounded line; the future that comes
    /// back is done when the event is stored, with the vendor's answer within `within`.
    fn emit<'a>(&'a self, event: Event, within: Duration) -> BoxFuture<'a, BoxFuture<'static, Emitted>>;
    fn report(&self, health: Health);
    /// A socket of the link's brought something, if only a sign of life.
    fn heard(&self);
}

/// A component bound to a bot. Every call but `run_link` is a fresh instance. Cheap to clone; calls run side by
/// side. Cancel safe: dropping a call's future drops its instance.
#[derive(Clone)]
pub struct Adapter {
    component: Component,
    bound: Arc<adapter::Bound>,
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter")
            .field("bot", &self.bound.bot)
            .field("component", &self.component)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
