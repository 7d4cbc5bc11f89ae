//! Sessions with a scripted agent, a real store and a real outbox.

mod ask;
mod background;
mod choose;
mod clock;
mod damaged;
mod failed;
mod life;
mod queue;
mod restart;
mod spare;
mod steer;
mod tail;
mod terminal;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::*;
use crate::chat::{
    Block, CallError, Conversation, Editable, Item, Lasting, Message, Origin, Part, Person, SessionKey, Subject, View,
    ViewState, What,
};
use crate::config::{DriverKind, Limits, Login, WhileRunning};
use crate::driver::{Agent, AgentEvent, Answer, Command, Failure, FailureKind, Launch, Offers, Outcome, Permission};
use crate::outbox::{BoxFuture, Outbox, Pace, Presenter};
use crate::store::{Journal, TurnKind, TurnRow};

/// Nothing here takes long; what takes longer never comes.
const LIMIT: Duration = Duration::from_secs(30);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(LIMIT, what).await.expect("it comes in time")
}

/// A chat: remembers the newest view of every turn, in the order in which the turns came.
#[derive(Clone)]
struct Chat(watch::Sender<Vec<(Target, View)>>);

impl Presenter for Chat {
    fn show<'a>(
        &'a self,
        view: View,
        target: Target,
        _nonce: String,
        _memory: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Option<Duration>, CallError>> {
        self.0
            .send_modify(|views| match views.iter_mut().find(|(_, old)| old.turn == view.turn) {
                Some(old) => *old = (target, view),
                None => views.push((target, view)),
            });
        Box::pin(async { Ok(None) })
    }

    fn ready_in(&self, _conversation: &Conversation) -> Duration {
        Duration::ZERO
    }
}

impl Chat {
    /// Waits until the turn looks like this.
    async fn until(&self, turn: &TurnId, mut like: impl FnMut(&View) -> bool) -> View {
        let mut views = self.0.subscribe();
        let seen = timeout(
            LIMIT,
            views.wait_for(|views| views.iter().any(|(_, view)| view.turn == *turn && like(view))),
        )
        .await;
        if seen.is_err() {
            panic!("it never looked like that: {:#?}", self.0.borrow());
        }
        self.view(turn).expect("it was seen")
    }

    fn view(&self, turn: &TurnId) -> Option<View> {
        self.0
            .borrow()
            .iter()
            .find(|(_, view)| view.turn == *turn)
            .map(|(_, view)| view.clone())
    }

    async fn ended(&self, turn: &TurnId) -> View {
        self.until(turn, |view| view.state.is_final()).await
    }
}

/// What people read, in short.
fn seen(view: &View) -> Vec<String> {
    view.blocks
        .iter()
        .map(|block| match &block.part {
            Part::Text(text) => text.clone(),
            Part::Step(step) => format!("{}: {:?}", step.title, step.state),
            Part::Ask(ask) => format!("{}? {}", ask.title, ask.settled.as_deref().unwrap_or("open")),
            Part::Notice(notice) => format!("! {}", notice.text),
            other => format!("{other:?}"),
        })
        .collect()
}

/// One started process, as its CLI would see it.
struct Cli {
    launch: Launch,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<AgentEvent>,
}

impl Cli {
    async fn say(&self, event: AgentEvent) {
        let _ = self.events.send(event).await;
    }

    async fn ready(&self) {
        self.say(AgentEvent::Ready { pid: 1, version: None }).await;
        let id = self.launch.cli_session.clone();
        self.say(AgentEvent::Session {
            id,
            model: Some("fake".to_owned()),
        })
        .await;
    }

    async fn command(&mut self) -> Command {
        soon(self.commands.recv())
            .await
            .expect("the session still holds the process")
    }

    /// The next prompt, taken up.
    async fn prompt(&mut self) -> String {
        match self.command().await {
            Command::Prompt { id, text, .. } => {
                self.say(AgentEvent::Started { id }).await;
                text
            }
            other => panic!("not a prompt: {other:?}"),
        }
    }

    async fn text(&self, text: &str) {
        let text = text.to_owned();
        self.say(AgentEvent::Text {
            block: 1,
            text,
            parent: None,
        })
        .await;
    }

    async fn result(&self, outcome: Outcome) {
        self.result_with(outcome, 0).await;
    }

    /// As `result`, while so many tasks go on in the background.
    async fn result_with(&self, outcome: Outcome, background: u32) {
        self.say(AgentEvent::Result { outcome }).await;
        self.say(AgentEvent::Idle { background }).await;
    }

    async fn answer(&self, text: &str) {
        self.text(text).await;
        self.result(Outcome::Ok).await;
    }

    async fn asks(&self, request: &str, input: &str) {
        let call = format!("call-{request}");
        self.say(AgentEvent::Tool {
            call: call.clone(),
            parent: None,
            kind: "execute",
            title: "Bash: rm".to_owned(),
            detail: String::new(),
        })
        .await;
        self.say(AgentEvent::Permission(Box::new(Permission {
            request: request.to_owned(),
            call,
            tool: "Bash".to_owned(),
            input: input.to_owned(),
            title: "Bash: rm".to_owned(),
            detail: String::new(),
            subject: Subject::Tool,
            editable: Editable::Field("command".to_owned()),
            lasting: Some(Lasting {
                updates: "[\"rm\"]".to_owned(),
                words: "`rm`".to_owned(),
            }),
            hears: true,
        })))
        .await;
    }

    /// The next decision.
    async fn decision(&mut self) -> (String, Answer) {
        match self.command().await {
            Command::Decide { request, answer } => (request, answer),
            other => panic!("not a decision: {other:?}"),
        }
    }

    async fn exits(&self, kind: Option<FailureKind>) {
        let failure = kind.map(|kind| Failure {
            kind,
            sentence: format!("Sentence of {kind:?}."),
            cause: "stderr says secret things".to_owned(),
        });
        self.say(AgentEvent::Exited { failure }).await;
    }
}

/// A host's sessions, over a folder that outlives it.
struct Host {
    registry: Registry,
    journal: Journal,
    outbox: Outbox,
    chat: Chat,
    started: mpsc::Receiver<Cli>,
}

#[derive(Clone)]
struct Setup {
    rules: SessionRules,
    processes: usize,
    folder: Arc<tempfile::TempDir>,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let agent = AgentProfile {
            name: "fake".to_owned(),
            driver: DriverKind::Claude,
            command: vec!["/nowhere".to_owned()],
            model: None,
            permission_mode: "default".to_owned(),
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            instructions: None,
            env: BTreeMap::new(),
            login: Login::None,
            start_timeout: LIMIT,
            idle_timeout: Duration::from_secs(3600),
            limits: Limits::of(DriverKind::Claude),
            history: false,
            spare: false,
            demo: false,
        };
        let rules = SessionRules {
            bot: BotName::from("team"),
            scope: Scope::User,
            agent: Arc::new(agent),
            further: Vec::new(),
            workspace: folder.path().join("work"),
            workspace_shared: false,
            data_dir: folder.path().join("data"),
            queue_limit: 2,
            ask_timeout: Duration::from_secs(3600),
            shows: question::Shows::ALL,
            show_thinking: false,
            show_usage: true,
            files_dir: folder.path().join("kept"),
            bounds: Bounds {
                upload_max_bytes: Some(100),
                files_max_bytes: 1000,
            },
            ended: None,
        };
        Self {
            rules,
            processes: 4,
            folder: Arc::new(folder),
        }
    }

    /// Starts, and goes on with what the last run left.
    async fn start(&self) -> Host {
        let path: PathBuf = self.folder.path().join("store.sqlite");
        let journal = Journal::open(&path).unwrap();
        let chat = Chat(watch::Sender::new(Vec::new()));
        let pace = Pace {
            update_interval: Duration::ZERO,
            updates_max: None,
            refresh: None,
            can_update: true,
            parallel: 4,
            bare_hold: Duration::ZERO,
        };
        let outbox = Outbox::new(self.rules.bot.clone(), journal.clone(), Arc::new(chat.clone()), pace);
        let (starts, started) = mpsc::channel(16);
        let start: Start = Arc::new(move |_, launch| {
            let (commands, inbox) = mpsc::channel(16);
            let (events, outbox) = mpsc::channel(64);
            starts
                .try_send(Cli {
                    launch,
                    commands: inbox,
                    events,
                })
                .expect("a test starts few processes");
            Agent {
                commands,
                events: outbox,
            }
        });
        let bounds = ProcessBounds {
            max: self.processes,
            budget_bytes: u64::MAX,
        };
        let processes = Processes::with_gauge(bounds, Arc::new(|_| std::collections::HashMap::new()));
        let registry = Registry::with_start(self.rules.clone(), journal.clone(), outbox.clone(), processes, start);
        let bot = self.rules.bot.clone();
        damage::end_turns(&journal, &bot).await.unwrap();
        let turns = journal.read(move |store| store.turns_open(&bot)).await.unwrap();
        outbox.recover().await.unwrap();
        for turn in turns {
            registry.restore(turn).await;
        }
        Host {
            registry,
            journal,
            outbox,
            chat,
            started,
        }
    }
}

fn target(person: &str) -> Target {
    Target {
        conversation: Conversation {
            tenant: None,
            channel: format!("D-{person}"),
            thread: None,
            direct: true,
        },
        reply_to: b"m".to_vec(),
        private_to: None,
    }
}

fn key(host: &Host, person: &str) -> SessionKey {
    host.registry.key(&target(person).conversation, person)
}

/// These messages are asked one after the other, and each is answered in its turn.
async fn asked_in_order<const N: usize>(host: &Host, cli: &mut Cli, turns: [(&str, TurnId); N]) {
    for (text, turn) in turns {
        assert_eq!(cli.prompt().await, text);
        cli.answer(text).await;
        host.chat.ended(&turn).await;
    }
}

/// A message that waits its turn.
fn prompt(inbox: InboxId, person: &str, text: &str) -> Prompt {
    Prompt {
        way: WhileRunning::Queue,
        kind: TurnKind::Message,
        also: Vec::new(),
        place: None,
        inbox: Some(inbox),
        asker: person.to_owned(),
        text: text.to_owned(),
        target: target(person),
        files: Vec::new(),
    }
}

impl Host {
    /// The next process that is started.
    async fn spawned(&mut self) -> Cli {
        soon(self.started.recv()).await.expect("the registry lives")
    }

    async fn arrive(&self, person: &str, text: &str) -> InboxId {
        let item = Item {
            origin: Origin {
                key: format!("{person}-{text}"),
                conversation: target(person).conversation,
                sender: Person {
                    id: person.to_owned(),
                    name: None,
                    handle: None,
                    tenant: None,
                    groups: Vec::new(),
                    locale: None,
                    bot: false,
                },
                sent: None,
                reply_to: Vec::new(),
            },
            what: What::Message(Message {
                id: text.to_owned(),
                text: text.to_owned(),
                mentions: Vec::new(),
                addressed: true,
                quotes: None,
                new_thread: None,
                attachments: Vec::new(),
                group: None,
            }),
        };
        let put = self
            .journal
            .write(move |store| store.inbox_put(&BotName::from("team"), &item, 1));
        put.await.unwrap().expect("it is new")
    }

    async fn try_send(&self, person: &str, text: &str) -> Result<TurnId, SubmitError> {
        let prompt = prompt(self.arrive(person, text).await, person, text);
        soon(self.registry.submit(&key(self, person), prompt)).await
    }

    async fn send_as(&self, way: WhileRunning, person: &str, text: &str) -> TurnId {
        let said = prompt(self.arrive(person, text).await, person, text);
        let prompt = Prompt { way, ..said };
        soon(self.registry.submit(&key(self, person), prompt)).await.unwrap()
    }

    async fn send(&self, person: &str, text: &str) -> TurnId {
        self.try_send(person, text).await.expect("there is room")
    }

    /// A person sends the first message and the agent has it.
    async fn talking(&mut self, person: &str, text: &str) -> (TurnId, Cli) {
        let turn = self.send(person, text).await;
        let mut cli = self.spawned().await;
        cli.ready().await;
        assert_eq!(cli.prompt().await, text);
        (turn, cli)
    }

    async fn row(&self, turn: &TurnId) -> TurnRow {
        let turn = turn.clone();
        self.journal
            .read(move |store| store.turn_get(&turn))
            .await
            .unwrap()
            .expect("the turn is stored")
    }

    /// As good as `kill -9`: nothing may finish.
    async fn crash(self, cli: Cli) -> Launch {
        let Cli {
            launch,
            mut commands,
            events,
        } = cli;
        let process = async move {
            while !matches!(commands.recv().await, Some(Command::Kill) | None) {}
            drop(events);
        };
        soon(async { tokio::join!(self.registry.close(Duration::ZERO), process) }).await;
        soon(self.outbox.close(Duration::ZERO)).await;
        soon(self.journal.close()).await;
        launch
    }

    /// Presses a button of the open question: stores the decision as the bot does, and tells the session.
    async fn press(&self, turn: &TurnId, label: &str) {
        let ask = self.judge(turn, label).await;
        let decision = ask.decided.clone().expect("just decided").0;
        let before = self.chat.until(turn, |view| view.state == ViewState::Asking).await;
        let open = |view: &View| {
            let asks = view
                .blocks
                .iter()
                .filter(|block| matches!(&block.part, Part::Ask(ask) if ask.settled.is_none()));
            asks.map(|block| block.id).collect::<Vec<_>>()
        };
        let pressed = open(&before).pop().expect("an open ask");
        soon(self.registry.decide(&ask, decision)).await;
        // Until the chat shows it, the next press would find the same button.
        self.chat.until(turn, |view| !open(view).contains(&pressed)).await;
    }

    /// As `press` of a button whose form, or whose choice, comes to this.
    async fn decide(&self, turn: &TurnId, decision: crate::store::Decision) {
        let ask = self.judged(turn, "Deny", Some(decision)).await;
        let decision = ask.decided.clone().expect("just decided").0;
        soon(self.registry.decide(&ask, decision)).await;
        // What is asked next must not be taken for this one.
        let open = |block: &Block| matches!(&block.part, Part::Ask(ask) if ask.settled.is_none());
        self.chat.until(turn, |view| !view.blocks.iter().any(open)).await;
    }

    /// As `press`, but the host ends before the session hears of it.
    async fn judge(&self, turn: &TurnId, label: &str) -> crate::store::AskRow {
        self.judged(turn, label, None).await
    }

    async fn judged(
        &self,
        turn: &TurnId,
        label: &str,
        decision: Option<crate::store::Decision>,
    ) -> crate::store::AskRow {
        let view = self.chat.until(turn, |view| view.state == ViewState::Asking).await;
        let ask = view.blocks.iter().rev().find_map(|block| match &block.part {
            Part::Ask(ask) if ask.settled.is_none() => Some(ask.clone()),
            _ => None,
        });
        let choice = ask
            .expect("an open ask")
            .choices
            .into_iter()
            .find(|choice| choice.label == label);
        let token = choice.expect("that button").token;
        let write = self.journal.write(move |store| {
            let token = store.token_get(&token)?.expect("the token is stored");
            let mut ask = store
                .ask_get(&token.ask.expect("of an ask"))?
                .expect("the ask is stored");
            ask.state = crate::store::AskState::Decided;
            ask.decided = Some((decision.unwrap_or(token.decision), "U9".to_owned()));
            store.ask_put(&ask)?;
            Ok(ask)
        });
        write.await.unwrap()
    }
}
