//! An adapter bound to a fake vendor, with everything between them that a bot has.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use botyard_fakes::platform::{Act, Acted, Actor, Place, Platform, Seen};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{ConformanceError, Outcome, Plan, Wrong, failed};
use crate::chat::{
    Block, BotName, CallError, Event, Form, Health, Item, Message, Part, Press, Target, Token, TurnId, Verdict, View,
    ViewState, What,
};
use crate::config::SecretText;
use crate::egress::{Egress, EgressSettings, Grant, Outlet};
use crate::http::{BotLine, Bots, HookTarget, Readiness, Server, ServerSettings, WebTarget};
use crate::inbox::{Accepted as Stored, Inbox};
use crate::manifest::{Ability, Mode, Transport};
use crate::outbox::BoxFuture;
use crate::plugin::{Adapter, BotServices, CallLimits, Emitted, LinkHost};
use crate::store::{Journal, OutboxRow, OutboxState};
use crate::transport::{self, Accepted, Connected, Inlet, Managed};

/// For what must happen; a run that is fine never waits it out.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before what failed is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// What a bot's call may cost, as in bots.toml.
const LIMITS: CallLimits = CallLimits {
    memory_bytes: 64 << 20,
    deadline: Duration::from_secs(10),
    output_bytes: 8 << 20,
    file_bytes: 32 << 20,
};
const BOT: &str = "bot";
/// More than any scenario leaves unheard.
const ITEMS: usize = 4096;

/// One adapter and one vendor.
pub(super) struct Bench {
    pub(super) adapter: Adapter,
    pub(super) platform: Arc<dyn Platform>,
    journal: Journal,
    ears: Ears,
    heard: Mutex<mpsc::Receiver<Item>>,
    serial: AtomicU32,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Takes events as a bot does: translates them, and gives presses and commands their immediate word.
#[derive(Clone)]
struct Ears {
    adapter: Adapter,
    items: mpsc::Sender<Item>,
    /// What a press of a token is answered with; without an entry it is taken.
    words: Arc<Mutex<BTreeMap<Token, Verdict>>>,
    health: tokio::sync::watch::Sender<Health>,
    /// Events of a connection, in their order.
    order: Arc<tokio::sync::Mutex<()>>,
}

impl Ears {
    async fn take(&self, event: Event) -> Accepted {
        let translated = match self.adapter.translate(&event).await {
            Ok(translated) => translated,
            Err(CallError::Unauthorized(_)) => return Accepted::Forged,
            // The host sets it aside and acknowledges it.
            Err(_) => return Accepted::Stored(None),
        };
        let mut answer = translated.answer;
        for item in translated.items {
            let verdict = match &item.what {
                What::Press(press) => Some(self.word(press)),
                What::Command(_) => Some(Verdict::Later(true)),
                _ => None,
            };
            if let Some(verdict) = verdict.filter(|_| self.adapter.offers().interaction)
                && let Ok(Some(said)) = self.adapter.respond(&item.origin, &verdict).await
            {
                answer = Some(said);
            }
            // The bench outlives its transports.
            let _ = self.items.send(item).await;
        }
        Accepted::Stored(answer)
    }

    async fn line_up(&self, event: Event) -> BoxFuture<'static, Accepted> {
        let turn = Arc::clone(&self.order).lock_owned().await;
        let ears = self.clone();
        let task = tokio::spawn(async move {
            let taken = ears.take(event).await;
            drop(turn);
            taken
        });
        Box::pin(async move { task.await.unwrap_or(Accepted::Unavailable) })
    }

    async fn emitted(&self, event: Event) -> BoxFuture<'static, Emitted> {
        let accepted = self.line_up(event).await;
        Box::pin(async move {
            match accepted.await {
                Accepted::Stored(answer) => Ok(answer),
                Accepted::Forged => Err(CallError::Unauthorized("the event is forged".to_owned())),
                Accepted::Unavailable => Err(CallError::Unavailable("it could not be stored".to_owned())),
            }
        })
    }

    fn word(&self, press: &Press) -> Verdict {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let opens = press.values.is_none();
        let planned = words.get(&press.token).filter(|_| opens).cloned();
        planned.unwrap_or_else(|| Verdict::Taken("Done".to_owned()))
    }
}

impl Inlet for Ears {
    fn accept<'a>(&'a self, event: Event, _within: Duration) -> BoxFuture<'a, Accepted> {
        Box::pin(self.take(event))
    }
}

impl Connected for Ears {
    fn enqueue<'a>(&'a self, event: Event, _within: Duration) -> BoxFuture<'a, BoxFuture<'static, Accepted>> {
        Box::pin(self.line_up(event))
    }

    fn report(&self, health: Health) {
        self.health.send_replace(health);
    }

    fn heard(&self) {}
}

impl LinkHost for Ears {
    fn emit<'a>(&'a self, event: Event, _within: Duration) -> BoxFuture<'a, BoxFuture<'static, Emitted>> {
        Box::pin(self.emitted(event))
    }

    fn report(&self, health: Health) {
        self.health.send_replace(health);
    }

    fn heard(&self) {}
}

/// Serves the adapter's webhooks.
struct Hooks(HookTarget);

impl Bots for Hooks {
    fn hook(&self, bot: &BotName) -> Option<HookTarget> {
        (bot.as_str() == BOT).then(|| self.0.clone())
    }

    fn web(&self, _bot: &BotName) -> Option<WebTarget> {
        None
    }

    fn web_bots(&self) -> Vec<BotName> {
        Vec::new()
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            ready: true,
            bots: 1,
            live: 1,
        }
    }

    fn lines(&self) -> Vec<BotLine> {
        Vec::new()
    }

    fn lines_changed(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

fn setup(error: impl std::fmt::Display) -> ConformanceError {
    ConformanceError::Setup(error.to_string())
}

fn mode<'a>(modes: &'a [Mode], plan: &Plan, platform: &dyn Platform) -> Result<&'a Mode, ConformanceError> {
    let named = |name: &str| modes.iter().find(|mode| mode.name == name);
    match &plan.mode {
        Some(name) => named(name).ok_or_else(|| setup(format!("it has no mode `{name}`"))),
        None => platform
            .mode()
            .and_then(named)
            .or(modes.first())
            .ok_or_else(|| setup("it has no mode")),
    }
}

impl Bench {
    /// Binds the adapter, asks who it is, tells of the commands, and connects it.
    pub(super) async fn start(
        plan: &Plan,
        platform: Arc<dyn Platform>,
        number: usize,
    ) -> Result<Self, ConformanceError> {
        let about = Arc::clone(plan.component.about());
        let mode = mode(&about.modes, plan, &*platform)?.clone();
        let folder = plan.folder.join(number.to_string());
        std::fs::create_dir_all(&folder).map_err(setup)?;
        let journal = Journal::open(&folder.join("store.db")).map_err(setup)?;
        let settings = ServerSettings::at(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = Server::bind(settings, journal.clone()).await.map_err(setup)?;
        let hook = format!("{}/hook/{BOT}", server.local_base());
        let known: BTreeMap<&str, String> = platform.secrets().into_iter().collect();
        let secrets: BTreeMap<String, SecretText> = about
            .secrets
            .iter()
            .filter_map(|secret| {
                let role = plan.secrets.get(&secret.name).unwrap_or(&secret.name);
                let text = known.get(role.as_str())?;
                Some((secret.name.clone(), SecretText::new(text.clone())))
            })
            .collect();
        let mut settings: BTreeMap<String, String> = plan.settings.clone();
        for (name, value) in platform.settings() {
            if about.settings.iter().any(|setting| setting.name == name) {
                settings.entry(name.to_owned()).or_insert(value);
            }
        }
        let egress = Egress::new(&EgressSettings::default()).map_err(setup)?;
        let api_base = platform.api_base();
        let grant = Grant {
            bot: BOT.to_owned(),
            api_base: api_base.clone(),
            api_base_by_operator: true,
            about: Arc::clone(&about),
            secrets: secrets.clone(),
            hosts: platform.hosts(),
        };
        let outlet = egress.outlet(grant).map_err(|reasons| setup(reasons.join("; ")))?;
        let services = BotServices {
            bot: BotName::from(BOT),
            mode: mode.name.clone(),
            api_base: api_base.clone(),
            settings,
            secrets: secrets.clone(),
            hook_base: Some(hook.clone()),
            outlet: outlet.clone(),
            journal: journal.clone(),
            files_dir: folder.join("files"),
            limits: LIMITS,
        };
        let adapter = Adapter::bind(&plan.runtime, &plan.component, services);
        if adapter.offers().account {
            let me = adapter
                .me()
                .await
                .map_err(|error| ConformanceError::Start(error.to_string()))?;
            adapter.set_me(me);
            let announced = adapter.announce(&crate::command::specs(crate::command::TABLE)).await;
            announced.map_err(|error| ConformanceError::Start(format!("the commands are not announced: {error}")))?;
        }
        platform.attach(&hook);
        let (items, heard) = mpsc::channel(ITEMS);
        let ears = Ears {
            adapter: adapter.clone(),
            items,
            words: Arc::default(),
            health: tokio::sync::watch::Sender::new(Health::Connecting),
            order: Arc::default(),
        };
        let mut bench = Self {
            adapter,
            platform,
            journal,
            ears,
            heard: Mutex::new(heard),
            serial: AtomicU32::new(0),
            stop: CancellationToken::new(),
            tasks: Vec::new(),
        };
        match bench.connect(server, &mode, secrets, (api_base, outlet)).await {
            Ok(()) => Ok(bench),
            Err(error) => {
                bench.close().await;
                Err(error)
            }
        }
    }

    async fn connect(
        &mut self,
        server: Server,
        mode: &Mode,
        secrets: BTreeMap<String, SecretText>,
        (api_base, outlet): (String, Outlet),
    ) -> Result<(), ConformanceError> {
        let mut routes = Vec::new();
        let mut holds = false;
        for transport in &mode.transports {
            match transport {
                Transport::Webhook(some) => routes.extend(some.iter().cloned()),
                Transport::Managed { name, options } => {
                    holds = true;
                    let managed = Managed {
                        bot: BotName::from(BOT),
                        me: self.adapter.recall_me().await.ok().flatten(),
                        options: options.iter().cloned().collect(),
                        secrets: secrets.clone(),
                        api_base: api_base.clone(),
                        journal: self.journal.clone(),
                        outlet: outlet.clone(),
                        inlet: Arc::new(self.ears.clone()),
                        stop: self.stop.clone(),
                    };
                    let name = name.clone();
                    self.tasks
                        .push(tokio::spawn(async move { transport::run(&name, managed).await }));
                }
                Transport::Link => {
                    holds = true;
                    let (adapter, ears, stop) = (self.adapter.clone(), self.ears.clone(), self.stop.clone());
                    self.tasks.push(tokio::spawn(async move {
                        let ended = adapter.run_link(Arc::new(ears.clone()), stop, PATIENCE).await;
                        if let Err(error) = ended {
                            ears.health.send_replace(Health::Refused { why: error.to_string() });
                        }
                    }));
                }
            }
        }
        let hooks = Hooks(HookTarget {
            routes: routes.into(),
            secrets: Arc::new(secrets),
            inlet: Arc::new(self.ears.clone()),
        });
        let stop = self.stop.clone();
        self.tasks.push(tokio::spawn(server.run(Arc::new(hooks), stop)));
        if !holds {
            return Ok(());
        }
        let mut health = self.ears.health.subscribe();
        let settled = health.wait_for(|health| matches!(health, Health::Live | Health::Refused { .. }));
        match timeout(PATIENCE, settled).await {
            Ok(Ok(health)) if *health == Health::Live => Ok(()),
            Ok(Ok(health)) => Err(ConformanceError::Start(format!("its connection is {:?}", *health))),
            Ok(Err(_)) | Err(_) => Err(ConformanceError::Start("it does not connect".to_owned())),
        }
    }

    pub(super) async fn close(self) {
        self.platform.heal();
        self.stop.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
        self.journal.close().await;
    }

    pub(super) fn can(&self, ability: Ability) -> bool {
        self.adapter.about().abilities.contains(&ability)
    }

    /// A number that nothing else here has.
    pub(super) fn serial(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) async fn act(&self, act: Act) -> Result<Acted, Wrong> {
        let shown = format!("{act:?}");
        let acted = match timeout(PATIENCE, self.platform.act(act)).await {
            Err(_) => return failed(format!("the vendor got no answer in time: {shown}")),
            Ok(Err(error)) => return failed(format!("{error}: {shown}")),
            Ok(Ok(acted)) => acted,
        };
        match &acted.refused {
            Some(why) => failed(format!("the vendor was not answered as it wants ({why}): {shown}")),
            None => Ok(acted),
        }
    }

    /// Does it, and gives what the adapter made of it; the same key only once. None: the platform has no such thing.
    pub(super) async fn heard(&self, act: Act) -> Result<Option<(Acted, Vec<Item>)>, Wrong> {
        let acted = self.act(act).await?;
        if acted.impossible {
            return Ok(None);
        }
        // What is said now comes after all that the act came to.
        let end = format!("end of scene {}", self.serial());
        self.act(say(Place::Direct, &end)).await?;
        let mut items: Vec<Item> = Vec::new();
        loop {
            let item = self.next_item().await?;
            let ends = matches!(&item.what, What::Message(message) if message.text.contains(&end));
            if ends {
                let mut keys = BTreeSet::new();
                items.retain(|item| keys.insert(item.origin.key.clone()));
                return Ok(Some((acted, items)));
            }
            items.push(item);
        }
    }

    /// Stores items as a bot's host does.
    pub(super) async fn stored(&self, items: Vec<Item>) -> crate::store::Result<Vec<Stored>> {
        let inbox = Inbox::new(self.journal.clone());
        inbox.accept(&BotName::from(BOT), items).await
    }

    async fn next_item(&self) -> Result<Item, Wrong> {
        let next = std::future::poll_fn(|cx| self.heard.lock().unwrap_or_else(PoisonError::into_inner).poll_recv(cx));
        match timeout(PATIENCE, next).await {
            Ok(Some(item)) => Ok(item),
            Ok(None) | Err(_) => failed("a direct message was not heard"),
        }
    }

    /// A press of this token opens the form.
    pub(super) fn opens(&self, form: &Form) {
        let mut words = self.ears.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.insert(form.token.clone(), Verdict::Open(form.clone()));
    }

    /// A person asks something; an answer to it can be shown.
    pub(super) async fn asked(&self, place: Place) -> Result<Reply, Wrong> {
        let text = format!("question {}", self.serial());
        let mention = place != Place::Direct;
        let act = Act::Say {
            place: place.clone(),
            by: Actor::Person,
            text,
            mention,
            files: Vec::new(),
        };
        let Some((_, items)) = self.heard(act).await? else {
            return failed("nobody can speak here");
        };
        let found = items.into_iter().find_map(|item| match item.what {
            What::Message(message) => Some((item.origin, message)),
            _ => None,
        });
        let Some((origin, message)) = found else {
            return failed("a question was not heard");
        };
        let mut conversation = origin.conversation;
        if self.can(Ability::Threads) && conversation.thread.is_none() && !conversation.direct {
            conversation.thread.clone_from(&message.new_thread);
        }
        let place = match place {
            Place::Channel => Place::Thread(message.id),
            other => other,
        };
        let target = Target {
            conversation,
            reply_to: origin.reply_to,
            private_to: None,
        };
        let before = self.platform.seen(&place).into_iter().map(|seen| seen.id).collect();
        let turn = TurnId::random();
        let row = OutboxRow {
            turn: turn.clone(),
            bot: BotName::from(BOT),
            target,
            view: None,
            state: OutboxState::Pending,
            memory: None,
            attempts: 0,
            next_try: 0,
            last_error: None,
            updated: 0,
        };
        let stored = row.clone();
        if let Err(error) = self.journal.write(move |store| store.outbox_put(&stored)).await {
            return failed(format!("our own store: {error}"));
        }
        Ok(Reply {
            turn,
            row,
            place,
            asker: origin.sender.id,
            revision: 0,
            before,
        })
    }

    /// Waits until a look at the vendor finds something.
    pub(super) async fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, Wrong> {
        let mut changes = self.platform.changes();
        let waiting = async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(found) => Ok(found),
            Err(_) => failed(format!("{what}: not within {} s", PATIENCE.as_secs())),
        }
    }
}

/// A person says this.
pub(super) fn say(place: Place, text: &str) -> Act {
    Act::Say {
        place,
        by: Actor::Person,
        text: text.to_owned(),
        mention: false,
        files: Vec::new(),
    }
}

/// An answer that is being shown.
pub(super) struct Reply {
    turn: TurnId,
    row: OutboxRow,
    /// Where people read it.
    pub(super) place: Place,
    pub(super) asker: String,
    revision: u32,
    /// What the bot said there before.
    before: BTreeSet<String>,
}

impl Reply {
    /// Only the asker may read it.
    pub(super) fn whispered(&mut self) {
        self.row.target.private_to = Some(self.asker.clone());
    }

    /// The next view, with these parts.
    pub(super) fn view(&mut self, state: ViewState, parts: Vec<Part>, stop_token: Option<Token>) -> View {
        self.revision += 1;
        let complete = state.is_final();
        let blocks = parts.into_iter().zip(1..).map(|(part, id)| Block {
            id,
            parent: None,
            revision: self.revision,
            part,
            complete,
        });
        View {
            turn: self.turn.clone(),
            revision: self.revision,
            state,
            blocks: blocks.collect(),
            stop_token,
            footer: None,
            extra: Vec::new(),
        }
    }

    /// One call of the adapter, with what it remembers.
    pub(super) async fn show_once(&mut self, bench: &Bench, view: &View) -> Result<(), CallError> {
        let turn = self.turn.clone();
        let row = bench.journal.read(move |store| store.outbox_get(&turn)).await;
        let row = row.map_err(|error| CallError::Unavailable(format!("our own store: {error}")))?;
        if let Some(row) = row {
            self.row = OutboxRow {
                target: Target {
                    private_to: self.row.target.private_to.clone(),
                    ..row.target.clone()
                },
                ..row
            };
        }
        let shown = bench
            .adapter
            .show(view, &self.row.target, self.turn.as_str(), self.row.memory.clone())
            .await;
        shown.map(|_| ())
    }

    /// Shows the view as the outbox does: again while the adapter says that it may go better.
    pub(super) async fn show(&mut self, bench: &Bench, view: &View) -> Result<(), CallError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let (pause, why) = match self.show_once(bench, view).await {
                Err(CallError::RateLimited(wait)) => (wait.unwrap_or(AGAIN), "it is rate-limited".to_owned()),
                Err(CallError::Unavailable(why)) => (AGAIN, why),
                other => return other,
            };
            if Instant::now() + pause > end {
                return Err(CallError::Unavailable(format!("it did not go better in time: {why}")));
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The next view with these parts, shown.
    pub(super) async fn parts(&mut self, bench: &Bench, state: ViewState, parts: Vec<Part>) -> Outcome {
        let view = self.view(state, parts, None);
        self.show(bench, &view)
            .await
            .map_err(|error| Wrong::Failed(format!("the view was not shown: {error}")))
    }

    /// All that people read of it, in order, files that are text included.
    pub(super) fn read(&self, bench: &Bench) -> String {
        let mut text = String::new();
        let of_it = |seen: &Seen| !self.before.contains(&seen.id);
        for seen in bench.platform.seen(&self.place).into_iter().filter(of_it) {
            text.push_str(&seen.text);
            text.push('\n');
        }
        for (_, bytes) in bench.platform.files() {
            text.push_str(&String::from_utf8_lossy(&bytes));
            text.push('\n');
        }
        text
    }

    /// How often people read this.
    pub(super) fn count(&self, bench: &Bench, words: &str) -> usize {
        self.read(bench).matches(words).count()
    }

    /// Shows it, and is ended as by a kill when the vendor has done the `nth` call from now. True: it was.
    pub(super) async fn show_killed(&mut self, bench: &Bench, view: &View, nth: usize) -> Result<bool, CallError> {
        let before = bench.platform.calls();
        let mut changes = bench.platform.changes();
        let done = async {
            while bench.platform.calls() < before + nth {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        killed(self.show(bench, view), done).await
    }
}

/// What comes first: the end of the work, or its kill.
async fn killed(
    work: impl Future<Output = Result<(), CallError>>,
    kill: impl Future<Output = ()>,
) -> Result<bool, CallError> {
    tokio::select! {
        biased;
        ended = work => ended.map(|()| false),
        () = kill => Ok(true),
    }
}

/// Whether a message says exactly that, but for space around it.
pub(super) fn says(message: &Message, text: &str) -> bool {
    message.text.trim() == text
}
