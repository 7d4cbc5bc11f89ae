//! Brings a bot up: adapter bound, who it is asked, what a former run left taken up; only then are its events taken.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::album::Albums;
use super::connection::Line;
use super::gather::Queues;
use super::lanes::Lanes;
use super::people::People;
use super::presenter::AdapterPresenter;
use super::{Bot, Inner, intake};
use crate::access::{PerUserPace, RefusalPace};
use crate::chat::{CallError, Health, Severity, now};
use crate::config::{AgentProfile, BotConfig, SecretText};
use crate::egress::Outlet;
use crate::inbox::Inbox;
use crate::manifest::{Ability, Transport};
use crate::outbox::{Outbox, Pace};
use crate::plugin::Adapter;
use crate::session::question::Shows;
use crate::session::{Bounds, Ended, Processes, Registry, SessionRules, damage};
use crate::store::{Journal, StoreError};
use crate::transport::{self, Managed};

/// Conversations of one bot that are shown at the same time.
const SHOWN_IN_PARALLEL: usize = 64;
/// A turn that ends within this is one message on the platform and no update of it.
const BARE_HOLD: Duration = Duration::from_millis(700);
/// A link that ended is started again after this long at first, and this long at last.
const LINK_BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// A link that is told to stop may take this long.
const LINK_GRACE: Duration = Duration::from_secs(3);

/// Why a bot could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Config(String),
}

/// What a bot is made of.
#[derive(Debug)]
pub struct Parts {
    pub config: BotConfig,
    pub agent: Arc<AgentProfile>,
    /// The others, as the config names them.
    pub further: Vec<Arc<AgentProfile>>,
    pub adapter: Adapter,
    pub outlet: Outlet,
    pub journal: Journal,
    pub processes: Processes,
    pub data_dir: PathBuf,
    /// The transports of the mode that the operator picked.
    pub transports: Vec<Transport>,
    /// For the managed ones.
    pub secrets: BTreeMap<String, SecretText>,
    /// The vendor's API, ending in `/`.
    pub api_base: String,
    /// Rises when the connection is in another state.
    pub lines: watch::Sender<u64>,
}

impl Bot {
    /// Makes the bot and takes up what a former run left. Its transports may deliver from now on; its link, if it
    /// has one, is started.
    pub async fn start(parts: Parts) -> Result<Self, BotError> {
        let Parts {
            config,
            agent,
            further,
            adapter,
            outlet,
            journal,
            processes,
            data_dir,
            transports,
            secrets,
            api_base,
            lines,
        } = parts;
        let about = Arc::clone(adapter.about());
        let abilities = about.abilities.clone();
        let can_update = about.abilities.contains(&Ability::Update);
        let pace = Pace {
            update_interval: about.limits.update_interval,
            updates_max: about.limits.updates_max,
            refresh: about.limits.refresh,
            can_update,
            parallel: SHOWN_IN_PARALLEL,
            bare_hold: BARE_HOLD,
        };
        let presenter = Arc::new(AdapterPresenter {
            adapter: adapter.clone(),
            outlet: outlet.clone(),
        });
        let outbox = Outbox::new(config.name.clone(), journal.clone(), presenter, pace);
        let ended = Ended::default();
        let rules = SessionRules {
            bot: config.name.clone(),
            scope: config.scope,
            agent,
            further,
            workspace: config.workspace.clone(),
            workspace_shared: config.workspace_shared,
            data_dir,
            queue_limit: config.queue_limit,
            ask_timeout: config.ask_timeout,
            shows: Shows {
                buttons: abilities.contains(&Ability::Buttons),
                choices: abilities.contains(&Ability::Choices),
                forms: abilities.contains(&Ability::Forms),
            },
            show_thinking: config.show_thinking,
            show_usage: config.show_usage,
            files_dir: adapter.files().folder().to_owned(),
            bounds: Bounds {
                upload_max_bytes: abilities
                    .contains(&Ability::FilesOut)
                    .then(|| about.limits.upload_max_bytes.into()),
                files_max_bytes: config.files_max_bytes,
            },
            ended: Self::ends(&config, &ended),
        };
        let registry = Registry::new(rules, journal.clone(), outbox.clone(), processes);
        let (lanes, ends) = Lanes::new();
        let (intake, line) = intake::line();
        let bot = Self {
            inner: Arc::new(Inner {
                inbox: Inbox::new(journal.clone()),
                people: People::new(&config.name, adapter.clone(), journal.clone()),
                per_user: PerUserPace::new(config.per_user_per_minute),
                refusals: RefusalPace::new(),
                abilities,
                config,
                adapter,
                journal,
                outbox,
                registry,
                lanes,
                ended,
                gathering: Arc::new(Queues::new()),
                albums: Albums::default(),
                set_aside: Notify::new(),
                introduced: AtomicBool::new(false),
                connection: Line::new(lines),
                intake,
                last_event: AtomicI64::new(0),
                events: AtomicU64::new(0),
                malformed: AtomicU64::new(0),
                skipped: AtomicU64::new(0),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        };
        bot.take_up().await?;
        for end in ends {
            bot.inner.tasks.spawn(bot.clone().run_lane(end));
        }
        bot.inner.tasks.spawn(bot.clone().run_intake(line));
        bot.inner.tasks.spawn(bot.clone().sweep());
        bot.inner.tasks.spawn(bot.clone().run_routes());
        bot.inner.tasks.spawn(bot.clone().retry_aside());
        // What is new in the inbox and what was set aside goes its way now.
        bot.inner.lanes.want_all();
        bot.inner.set_aside.notify_one();
        bot.inner
            .tasks
            .spawn(bot.clone().connect(transports, secrets, api_base, outlet));
        Ok(bot)
    }

    /// Views that were not delivered, turns that were not finished.
    async fn take_up(&self) -> Result<(), BotError> {
        let inner = &self.inner;
        let name = inner.config.name.clone();
        let known = inner.adapter.recall_me().await?.is_some() || !inner.adapter.offers().account;
        inner.introduced.store(known, Ordering::Release);
        damage::end_turns(&inner.journal, &name).await?;
        let turns = inner.journal.read(move |s| s.turns_open(&name)).await?;
        let views = inner.outbox.recover().await?;
        if views + turns.len() > 0 {
            info!(bot = %inner.config.name, views, turns = turns.len(), "taking up what the last run left");
        }
        for turn in turns {
            inner.registry.restore(turn).await;
        }
        self.take_up_runs().await?;
        Ok(())
    }

    /// Asks who the bot is until it is known, tells the platform what it must know, then holds its connection.
    async fn connect(
        self,
        transports: Vec<Transport>,
        secrets: BTreeMap<String, SecretText>,
        api_base: String,
        outlet: Outlet,
    ) {
        tokio::select! {
            () = self.inner.stop.cancelled() => return,
            () = self.introduce() => {}
        }
        // A bot that vendors call is as good as the port; one that holds a connection is as good as that.
        let holds = |transport: &Transport| match transport {
            Transport::Webhook(_) => false,
            Transport::Managed { name, .. } => name != "web",
            Transport::Link => true,
        };
        if !transports.iter().any(holds) {
            self.set_health(&Health::Live);
        }
        let connections = transports.into_iter().filter(holds).map(|transport| {
            let (bot, secrets, api_base, outlet) = (self.clone(), secrets.clone(), api_base.clone(), outlet.clone());
            async move {
                match transport {
                    Transport::Managed { name, options } => {
                        bot.run_managed(&name, options, secrets, api_base, outlet).await;
                    }
                    Transport::Link => bot.run_link().await,
                    Transport::Webhook(_) => {}
                }
            }
        });
        futures_util::future::join_all(connections).await;
    }

    async fn run_managed(
        &self,
        name: &str,
        options: Vec<(String, String)>,
        secrets: BTreeMap<String, SecretText>,
        api_base: String,
        outlet: Outlet,
    ) {
        let inner = &self.inner;
        let me = inner.adapter.recall_me().await.ok().flatten();
        let managed = Managed {
            bot: inner.config.name.clone(),
            me,
            options: options.into_iter().collect(),
            secrets,
            api_base,
            journal: inner.journal.clone(),
            outlet,
            inlet: Arc::new(self.clone()),
            stop: inner.stop.clone(),
        };
        transport::run(name, managed).await;
    }

    async fn introduce(&self) {
        let inner = &self.inner;
        let mut pause = LINK_BACKOFF.0;
        if inner.adapter.offers().account {
            loop {
                match inner.adapter.me().await {
                    Ok(me) => {
                        inner.adapter.set_me(me);
                        inner.introduced.store(true, Ordering::Release);
                        break;
                    }
                    Err(CallError::Unauthorized(why)) => self.set_health(&Health::Refused { why }),
                    Err(error) => self.set_health(&retrying(error.to_string(), pause)),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LINK_BACKOFF.1);
            }
        }
        inner.outbox.authorized();
        if inner.adapter.offers().account {
            if let Err(error) = inner.adapter.announce(&self.commands()).await {
                warn!(bot = %inner.config.name, %error, "the commands could not be announced");
            }
            match inner.adapter.check().await {
                Ok(findings) => {
                    for finding in findings.iter().filter(|finding| finding.severity != Severity::Fine) {
                        warn!(bot = %inner.config.name, subject = %finding.subject, advice = %finding.advice, "the account lacks something");
                    }
                }
                Err(error) => warn!(bot = %inner.config.name, %error, "the account could not be checked"),
            }
        }
    }

    /// Keeps the link running, with growing pauses while it fails at once.
    async fn run_link(&self) {
        let inner = &self.inner;
        let mut pause = LINK_BACKOFF.0;
        while !inner.stop.is_cancelled() {
            let begun = tokio::time::Instant::now();
            let ended = inner
                .adapter
                .run_link(Arc::new(self.clone()), inner.stop.clone(), LINK_GRACE)
                .await;
            if inner.stop.is_cancelled() {
                return;
            }
            if begun.elapsed() > LINK_BACKOFF.1 {
                pause = LINK_BACKOFF.0;
            }
            match ended {
                Ok(()) => self.set_health(&Health::Connecting),
                Err(CallError::Unauthorized(why)) => {
                    self.set_health(&Health::Refused { why });
                    pause = LINK_BACKOFF.1;
                }
                Err(CallError::RateLimited(wait)) => {
                    pause = pause.max(wait.unwrap_or_default());
                    self.set_health(&retrying("rate limited".to_owned(), pause));
                }
                Err(error) => self.set_health(&retrying(error.to_string(), pause)),
            }
            tokio::select! {
                () = inner.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LINK_BACKOFF.1);
        }
    }
}

/// It does not work now and is tried again after `pause`.
fn retrying(why: String, pause: Duration) -> Health {
    let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
    Health::Degraded {
        why,
        retry_at: Some(now().saturating_add(pause)),
    }
}
