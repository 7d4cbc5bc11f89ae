//! Starts bots, keeps them apart, stops them; and the housekeeping of the whole host.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bot::{Bot, BotError, Parts};
use crate::chat::{BotName, now};
use crate::config::{BotConfig, Config, Problem, SecretText, check_against};
use crate::egress::{Egress, EgressSettings, Grant};
use crate::http::{BotLine, Bots, Door, HookTarget, HttpError, Readiness, Server, ServerSettings, WebTarget};
use crate::manifest::{About, Mode, Transport};
use crate::plugin::{Adapter, BotServices, CallLimits, Component, LoadError, Runtime};
use crate::session::{ProcessBounds, Processes};
use crate::store::{Journal, StoreError};
use crate::transport::web::{WebChat, WebCommand};

/// The adapters inside the binary.
pub const BUILT_IN: &[(&str, &[u8])] = &[
    ("web", include_bytes!(env!("GUEST_WEB"))),
    ("slack", include_bytes!(env!("GUEST_SLACK"))),
    ("discord", include_bytes!(env!("GUEST_DISCORD"))),
    ("feishu", include_bytes!(env!("GUEST_FEISHU"))),
];

/// What one guest call may hand over to the host.
const CALL_OUTPUT_BYTES: usize = 8 << 20;
/// Between two rounds of housekeeping.
const HOUSEKEEPING: Duration = Duration::from_secs(30);
/// Of so many rounds, one forgets what is old.
const FORGET_EVERY: u32 = 120;
/// Running turns may finish for so long when the host stops.
const DRAIN: Duration = Duration::from_secs(20);

/// Why the host could not start, by who must act.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operator: bots.toml does not fit the adapters.
    #[error("{}", list(.0))]
    Config(Vec<Problem>),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the data folder `{path}` cannot be used: {source}")]
    Data { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Egress(#[from] crate::egress::EgressError),
    #[error(transparent)]
    Bot(#[from] BotError),
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|p| format!("{}: {}", p.key, p.message))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What is told once the port answers.
#[derive(Debug, Clone)]
pub struct Ready {
    pub listen: SocketAddr,
    /// Bots of the web chat, each with a link that logs in once.
    pub page: Vec<(BotName, String)>,
    /// Some bot speaks to the demo agent.
    pub demo: bool,
}

/// A host that runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    journal: Journal,
    door: Door,
    listen: SocketAddr,
    started: i64,
    /// Rises when a bot's connection is in another state.
    lines: watch::Sender<u64>,
    /// Set once all bots are up; before that, webhooks are told to come again.
    bots: OnceLock<Vec<Running>>,
    stop: CancellationToken,
}

#[derive(Debug, Clone)]
struct Running {
    name: BotName,
    bot: Bot,
    hook: Option<HookTarget>,
    web: Option<WebTarget>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Runs the host until `stop`, then drains it. `ready` is called once the port answers and all bots are up.
pub async fn run(
    config: Config,
    ready: impl FnOnce(Ready, &Host) + Send,
    stop: CancellationToken,
) -> Result<(), RunError> {
    prepare(&config.host.data_dir)?;
    let journal = Journal::open(&config.host.data_dir.join("botyard.db"))?;
    let settings = ServerSettings {
        public_url: config.host.public_url.clone(),
        password: config.host.password.clone(),
        ..ServerSettings::at(config.host.listen)
    };
    let server = Server::bind(settings, journal.clone()).await?;
    let host = Host {
        inner: Arc::new(Inner {
            journal: journal.clone(),
            door: server.door(),
            listen: server.address(),
            started: now(),
            lines: watch::Sender::new(0),
            bots: OnceLock::new(),
            stop: stop.clone(),
            config,
        }),
    };
    let bots = match host.start_bots(&server).await {
        Ok(bots) => bots,
        Err(error) => {
            journal.close().await;
            return Err(error);
        }
    };
    let _ = host.inner.bots.set(bots);
    let port = CancellationToken::new();
    let serving = tokio::spawn(server.run(Arc::new(host.clone()), port.clone()));
    let housekeeping = tokio::spawn(host.clone().keep_house());
    ready(host.ready(), &host);
    stop.cancelled().await;
    info!("stopping; running turns may finish");
    // The port stays open while turns finish: adapters of the web chat speak to it.
    let bots = host.running();
    futures_util::future::join_all(bots.iter().map(|running| running.bot.close(DRAIN))).await;
    port.cancel();
    let _ = serving.await;
    housekeeping.abort();
    let _ = housekeeping.await;
    journal.close().await;
    Ok(())
}

/// The data folder is for its owner alone.
fn prepare(folder: &Path) -> Result<(), RunError> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let failed = |source| RunError::Data {
        path: folder.to_path_buf(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed)?;
    let own = std::fs::metadata(folder).map_err(failed)?.permissions().mode() & 0o777;
    if own & 0o077 != 0 {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// The component of a bot: built in by name, or a file.
pub async fn load(runtime: &Runtime, adapter: &str) -> Result<Component, LoadError> {
    if let Some((name, wasm)) = BUILT_IN.iter().find(|(name, _)| *name == adapter) {
        return runtime.load(name, wasm).await;
    }
    let wasm = tokio::fs::read(adapter)
        .await
        .map_err(|error| LoadError(format!("the adapter `{adapter}` cannot be read: {error}")))?;
    runtime.load(adapter, &wasm).await
}

/// The mode that the operator picked, or the adapter's first. `check_against` has seen that it exists.
fn mode_of<'a>(config: &BotConfig, about: &'a About) -> Result<&'a Mode, RunError> {
    let found = match &config.mode {
        Some(name) => about.modes.iter().find(|mode| mode.name == *name),
        None => about.modes.first(),
    };
    found.ok_or_else(|| {
        RunError::Bot(BotError::Config(format!(
            "bot `{}`: the adapter has no such mode",
            config.name
        )))
    })
}

impl Host {
    async fn start_bots(&self, server: &Server) -> Result<Vec<Running>, RunError> {
        let config = &self.inner.config;
        let data = &config.host.data_dir;
        let runtime = Runtime::new(&data.join("cache"))?;
        let egress = Egress::new(&EgressSettings {
            proxy: config.host.proxy.clone(),
            ca_file: config.host.ca_file.clone(),
        })?;
        let processes = Processes::new(ProcessBounds::of(&config.host));
        let mut components: BTreeMap<&str, Component> = BTreeMap::new();
        let mut problems = Vec::new();
        for (index, bot) in config.bots.iter().enumerate() {
            if !components.contains_key(bot.adapter.as_str()) {
                components.insert(&bot.adapter, load(&runtime, &bot.adapter).await?);
            }
            problems.extend(check_against(bot, index, components[bot.adapter.as_str()].about()));
        }
        let (warnings, errors): (Vec<_>, Vec<_>) = problems.into_iter().partition(|problem| problem.warning);
        for warning in warnings {
            warn!(key = %warning.key, "{}", warning.message);
        }
        if !errors.is_empty() {
            return Err(RunError::Config(errors));
        }
        let mut running = Vec::with_capacity(config.bots.len());
        for bot in &config.bots {
            let component = &components[bot.adapter.as_str()];
            running.push(
                self.start_bot(bot, component, &runtime, &egress, &processes, server)
                    .await?,
            );
        }
        tokio::spawn(processes.watch(self.inner.stop.clone()));
        Ok(running)
    }

    async fn start_bot(
        &self,
        bot: &BotConfig,
        component: &Component,
        runtime: &Runtime,
        egress: &Egress,
        processes: &Processes,
        server: &Server,
    ) -> Result<Running, RunError> {
        let host = &self.inner.config.host;
        let about = Arc::clone(component.about());
        let mode = mode_of(bot, &about)?;
        let journal = self.inner.journal.clone();
        let mut secrets = bot.secrets.clone();
        let web = mode
            .transports
            .iter()
            .any(|transport| matches!(transport, Transport::Managed { name, .. } if name == "web"))
            .then(|| WebChat::new(bot.name.clone(), journal.clone()));
        let mut api_base = bot.api_base.clone().or_else(|| about.api_base.clone());
        if let Some(chat) = &web {
            secrets.insert("token".into(), SecretText::new(chat.token().reveal()));
            api_base = Some(server.api_base(&bot.name));
        }
        let api_base = api_base
            .map(|base| if base.ends_with('/') { base } else { base + "/" })
            .unwrap_or_default();
        let grant = Grant {
            bot: bot.name.to_string(),
            api_base: api_base.clone(),
            api_base_by_operator: bot.api_base.is_some() || web.is_some(),
            about: Arc::clone(&about),
            secrets: secrets.clone(),
            hosts: bot.grant_hosts.clone(),
        };
        let outlet = egress
            .outlet(grant)
            .map_err(|reasons| BotError::Config(format!("bot `{}`: {}", bot.name, reasons.join("; "))))?;
        let services = BotServices {
            bot: bot.name.clone(),
            mode: mode.name.clone(),
            api_base: api_base.clone(),
            settings: bot.settings.clone(),
            secrets: secrets.clone(),
            hook_base: host.public_url.as_ref().map(|base| format!("{base}/hook/{}", bot.name)),
            outlet: outlet.clone(),
            journal: journal.clone(),
            files_dir: host.data_dir.join("files"),
            limits: CallLimits {
                memory_bytes: bot.memory_bytes,
                deadline: bot.call_timeout,
                output_bytes: CALL_OUTPUT_BYTES,
                file_bytes: u32::try_from(bot.files_max_bytes).unwrap_or(u32::MAX),
            },
        };
        let adapter = Adapter::bind(runtime, component, services);
        let profile = |name: &String| {
            let found = self.inner.config.agents.get(name).cloned().map(Arc::new);
            found.ok_or_else(|| BotError::Config(format!("bot `{}`: there is no agent `{name}`", bot.name)))
        };
        let agent = profile(&bot.agent)?;
        let further = bot.agents.iter().map(profile).collect::<Result<_, _>>()?;
        let routes: Vec<_> = mode
            .transports
            .iter()
            .filter_map(|transport| match transport {
                Transport::Webhook(routes) => Some(routes.clone()),
                Transport::Managed { .. } | Transport::Link => None,
            })
            .flatten()
            .collect();
        let parts = Parts {
            config: bot.clone(),
            agent,
            further,
            adapter,
            outlet,
            journal,
            processes: processes.clone(),
            data_dir: host.data_dir.clone(),
            transports: mode.transports.clone(),
            secrets: secrets.clone(),
            api_base,
            lines: self.inner.lines.clone(),
        };
        let title = about.title.clone();
        let started = Bot::start(parts).await?;
        let inlet: Arc<dyn crate::transport::Inlet> = Arc::new(started.clone());
        let hook = (!routes.is_empty()).then(|| HookTarget {
            routes: routes.into(),
            secrets: Arc::new(secrets),
            inlet: Arc::clone(&inlet),
        });
        let web = web.map(|chat| {
            let commands = started.commands().into_iter().map(|command| WebCommand {
                name: command.name,
                description: command.description,
                argument: None,
            });
            chat.set_commands(commands.collect());
            WebTarget {
                title: format!("{} · {title}", bot.name),
                chat,
                inlet,
                files: started.files().clone(),
                files_max_bytes: bot.files_max_bytes,
                files_most: crate::bot::FILES,
            }
        });
        info!(bot = %bot.name, adapter = %bot.adapter, mode = %mode.name, "bot started");
        Ok(Running {
            name: bot.name.clone(),
            bot: started,
            hook,
            web,
        })
    }

    fn running(&self) -> &[Running] {
        self.inner.bots.get().map_or(&[], Vec::as_slice)
    }

    fn ready(&self) -> Ready {
        Ready {
            listen: self.inner.listen,
            page: self
                .running()
                .iter()
                .filter(|running| running.web.is_some())
                .map(|running| (running.name.clone(), self.inner.door.link()))
                .collect(),
            demo: self
                .inner
                .config
                .bots
                .iter()
                .any(|bot| self.inner.config.agents.get(&bot.agent).is_some_and(|a| a.demo)),
        }
    }

    /// All running bots.
    pub fn bots(&self) -> impl Iterator<Item = &Bot> {
        self.running().iter().map(|running| &running.bot)
    }

    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    pub fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    pub fn listen(&self) -> SocketAddr {
        self.inner.listen
    }

    /// Milliseconds since 1970.
    pub fn started(&self) -> i64 {
        self.inner.started
    }

    /// Another link that opens the page once.
    pub fn door(&self) -> &Door {
        &self.inner.door
    }

    /// Questions that ran out, and what is old enough to be forgotten.
    async fn keep_house(self) {
        let inner = &self.inner;
        let mut round = 0u32;
        loop {
            tokio::select! {
                () = inner.stop.cancelled() => return,
                () = tokio::time::sleep(HOUSEKEEPING) => {}
            }
            match inner.journal.read(|s| s.asks_expired(now(), 256)).await {
                Ok(asks) => {
                    for ask in asks {
                        if let Some(running) = self.running().iter().find(|running| running.name == ask.bot) {
                            running.bot.expire(&ask).await;
                        }
                    }
                }
                Err(error) => warn!(%error, "expired questions could not be read"),
            }
            if round.is_multiple_of(FORGET_EVERY) {
                let retention = i64::try_from(inner.config.host.retention.as_millis()).unwrap_or(i64::MAX);
                if let Err(error) = inner.journal.forget_before(now() - retention).await {
                    warn!(%error, "what is old could not be forgotten");
                }
                if let Err(error) = inner.journal.write(|s| s.ahead_forget(now())).await {
                    warn!(%error, "changes of messages that never came could not be forgotten");
                }
                for running in self.running() {
                    running.bot.sweep_files(now() - retention).await;
                }
            }
            round = round.wrapping_add(1);
        }
    }
}

impl Bots for Host {
    fn hook(&self, bot: &BotName) -> Option<HookTarget> {
        self.running().iter().find(|running| running.name == *bot)?.hook.clone()
    }

    fn web(&self, bot: &BotName) -> Option<WebTarget> {
        self.running().iter().find(|running| running.name == *bot)?.web.clone()
    }

    fn web_bots(&self) -> Vec<BotName> {
        self.running()
            .iter()
            .filter(|running| running.web.is_some())
            .map(|running| running.name.clone())
            .collect()
    }

    fn readiness(&self) -> Readiness {
        let bots = self.running();
        Readiness {
            ready: self.inner.bots.get().is_some() && !self.inner.stop.is_cancelled(),
            bots: bots.len(),
            live: bots
                .iter()
                .filter(|running| running.bot.summary().connection.is_live())
                .count(),
        }
    }

    fn lines(&self) -> Vec<BotLine> {
        let line = |running: &Running| {
            let summary = running.bot.summary();
            BotLine {
                bot: running.name.clone(),
                platform: summary.adapter,
                health: summary.connection.health,
                since: summary.connection.since,
                heard: summary.connection.heard,
            }
        };
        self.running().iter().map(line).collect()
    }

    fn lines_changed(&self) -> watch::Receiver<u64> {
        self.inner.lines.subscribe()
    }
}
