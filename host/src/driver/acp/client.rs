//! Our side of the protocol as a state machine without I/O.
//!
//! One prompt at a time: agents differ in what they do with a second one (gemini cancels the first, codex puts it into
//! the first), so it waits here. A turn ends when its prompt is answered; what an agent says between two turns is no
//! turn's and is dropped.

mod turn;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::failure;
use super::message::{self, Message, Refusal, list, text};
use super::opening::{Offer, Opening};
use super::quirk::Quirk;
use super::reply::{Kind, Reply};
use super::tool::Call;
use crate::chat::{Editable, Lasting, PlanItem, PlanState, Subject};
use crate::config::KnownAgent;
use crate::driver::failure::of_end;
use crate::driver::plain::harmless;
use crate::driver::process::Ended;
use crate::driver::stdio::{Protocol, Queues};
use crate::driver::words::one_line;
use crate::driver::{AgentEvent, Answer, Command, Failure, FailureKind, Image, Offers, Outcome, Permission};

/// How long an agent that tells the history late may be silent before it has told it all.
const SETTLE: Duration = Duration::from_millis(300);
/// Session ids are written into the store and given back; longer ones were never seen (36 characters at most).
const ID_LIMIT: usize = 256;
/// Requests of the agent that wait for a person at the same time; one more is refused.
const ASKED_LIMIT: usize = 64;

/// What one of our requests was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    Initialize,
    Authenticate,
    /// The session: begun, or gone on with.
    Open,
    /// The model or the mode: nothing begins without it.
    Setting {
        what: &'static str,
    },
    Prompt,
}

/// A request for permission that waits.
#[derive(Debug)]
struct Asked {
    id: Value,
    call: String,
    options: Vec<(String, String)>,
    /// The option that allows the like of it until the process ends.
    lasting: Option<String>,
}

/// The prompt that is being worked on.
#[derive(Debug)]
struct Running {
    id: String,
    /// It said something of it.
    started: bool,
    interrupted: bool,
    denied: bool,
    /// It said that its model failed; the words follow as text.
    broken: Option<String>,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) workspace: PathBuf,
    pid: u32,
    pub(super) queues: Queues,
    garbage: u64,
    pub(super) quirk: &'static Quirk,
    next_request: u64,
    sent: HashMap<u64, Sent>,
    pub(super) opening: Opening,
    /// What it offers to choose from.
    pub(super) offer: Offer,
    pub(super) session: Option<String>,
    version: Option<String>,
    ready: bool,
    /// The history may still come; true: something of it came since the clock was set.
    settling: Option<bool>,
    pub(super) refused: Option<Failure>,
    /// Commands that came before `Ready`.
    held: Vec<Command>,
    /// Prompts that wait for the one that runs: id, text and images.
    waiting: VecDeque<(String, String, Vec<Image>)>,
    running: Option<Running>,
    reply: Reply,
    calls: HashMap<String, Call>,
    asked: HashMap<String, Asked>,
    /// Of all turns of this process, as the agent counts it.
    cost: f64,
    told_cost: f64,
}

impl Client {
    pub(super) fn new(workspace: PathBuf, quirk: &'static Quirk, opening: Opening) -> Self {
        let mut new = Self {
            workspace,
            pid: 0,
            queues: Queues::default(),
            garbage: 0,
            quirk,
            next_request: 0,
            sent: HashMap::new(),
            opening,
            offer: Offer::default(),
            session: None,
            version: None,
            ready: false,
            settling: None,
            refused: None,
            held: Vec::new(),
            waiting: VecDeque::new(),
            running: None,
            reply: Reply::default(),
            calls: HashMap::new(),
            asked: HashMap::new(),
            cost: 0.0,
            told_cost: 0.0,
        };
        new.initialize();
        new
    }

    // ---- to the agent -----------------------------------------------------------------------------------------

    pub(super) fn request(&mut self, what: Sent, method: &str, params: &Value) {
        self.next_request += 1;
        self.queues.line(&message::request(self.next_request, method, params));
        self.sent.insert(self.next_request, what);
    }

    fn prompt(&mut self, id: String, text: String, images: Vec<Image>) {
        self.waiting.push_back((id, text, images));
        self.go_on();
    }

    /// Gives it the next prompt, if none runs.
    fn go_on(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some((id, text, images)) = self.waiting.pop_front() else {
            return;
        };
        let words = |text: String| json!({"type": "text", "text": text});
        let mut prompt = Vec::new();
        if let Some(instructions) = self.opening.instructions.take() {
            // The protocol has no other place for them.
            prompt.push(words(instructions));
        }
        // Where it takes none, the text says where they lie.
        for image in images.iter().filter(|_| self.opening.abilities.images) {
            let data = base64::engine::general_purpose::STANDARD.encode(&image.bytes);
            prompt.push(json!({"type": "image", "mimeType": image.media_type, "data": data}));
        }
        prompt.push(words(harmless(&text)));
        self.running = Some(Running {
            id,
            started: false,
            interrupted: false,
            denied: false,
            broken: None,
        });
        let params = json!({"sessionId": self.session, "prompt": prompt});
        self.request(Sent::Prompt, "session/prompt", &params);
    }

    fn interrupt(&mut self) {
        // What waits here was not begun: it is taken back.
        for (id, ..) in std::mem::take(&mut self.waiting) {
            self.queues.events.push_back(AgentEvent::Started { id });
            let outcome = Outcome::Stopped;
            self.queues.events.push_back(AgentEvent::Result { outcome });
        }
        let Some(running) = &mut self.running else { return };
        running.interrupted = true;
        // Before the requests are answered, as the protocol wants it.
        let params = json!({"sessionId": self.session});
        self.queues.line(&message::notification("session/cancel", &params));
        self.withdraw_requests();
    }

    fn withdraw_requests(&mut self) {
        for (request, asked) in std::mem::take(&mut self.asked) {
            self.select(&asked.id, None);
            self.queues
                .events
                .push_back(AgentEvent::PermissionWithdrawn { request });
        }
    }

    /// The protocol has no place for another input, nor for a reason.
    fn decide(&mut self, request: &str, answer: &Answer) {
        let Some(asked) = self.asked.remove(request) else {
            return;
        };
        let (allow, kinds): (bool, &[&str]) = match answer {
            Answer::Allow | Answer::AllowLasting(_) => (true, &["allow_once"]),
            _ => (false, &["reject_once", "reject_always"]),
        };
        let lasting = match (answer, &asked.lasting) {
            (Answer::AllowLasting(updates), Some(lasting)) if lasting == updates => Some(lasting.as_str()),
            _ => None,
        };
        let of_kind = |kind: &&str| asked.options.iter().find(|(_, of)| of == kind);
        let option = lasting.or_else(|| kinds.iter().find_map(of_kind).map(|(id, _)| id.as_str()));
        if !allow {
            if let Some(running) = &mut self.running {
                running.denied = true;
            }
            self.calls.entry(asked.call).or_default().denied = true;
        }
        self.select(&asked.id, option);
    }

    /// None: cancelled.
    fn select(&mut self, id: &Value, option: Option<&str>) {
        let outcome = match option {
            Some(option) => json!({"outcome": "selected", "optionId": option}),
            None => json!({"outcome": "cancelled"}),
        };
        self.queues.line(&message::answer(id, &json!({"outcome": outcome})));
    }

    // ---- from the agent ---------------------------------------------------------------------------------------

    fn requested(&mut self, id: &Value, method: &str, params: &Value) {
        if method == "session/request_permission" {
            self.permission(id, params);
        } else {
            // Files and terminals are not offered; opencode asks all the same, and goes on without.
            self.queues.line(&message::unknown(id, method));
        }
    }

    fn permission(&mut self, id: &Value, params: &Value) {
        let ours = self.session.as_deref() == Some(text(params, "sessionId"));
        let open = self.running.as_ref().is_some_and(|running| !running.interrupted);
        let options = list(params, "options")
            .map(|option| (text(option, "optionId").to_owned(), text(option, "kind").to_owned()));
        let options = options.collect::<Vec<_>>();
        let once = options.iter().any(|(_, kind)| kind == "allow_once");
        if !ours || !open || !once || self.asked.len() >= ASKED_LIMIT {
            // Nobody is there to decide, or an allow would allow more than this.
            self.select(id, None);
            return;
        }
        self.taken_up();
        self.reply.close(&mut self.queues.events);
        let told = params.get("toolCall").cloned().unwrap_or_default();
        let name = text(&told, "toolCallId").to_owned();
        let lasting = list(params, "options").find_map(|option| {
            let of_process = self.quirk.lasting.contains(&text(option, "optionId"));
            (of_process && text(option, "kind") == "allow_always").then(|| Lasting {
                updates: text(option, "optionId").to_owned(),
                words: one_line(text(option, "name")),
            })
        });
        let call = self.calls.entry(name.clone()).or_default();
        call.learn(&told);
        // As JSON: `1` and `"1"` are two requests.
        let request = id.to_string();
        let events = &mut self.queues.events;
        events.push_back(step(&name, call, &self.workspace));
        events.push_back(AgentEvent::Permission(Box::new(Permission {
            request: request.clone(),
            call: name.clone(),
            tool: call.tool(),
            input: call.input(),
            title: call.title(&self.workspace),
            detail: call.question(),
            subject: Subject::Tool,
            editable: Editable::No,
            lasting: lasting.clone(),
            hears: false,
        })));
        let id = id.clone();
        self.asked.insert(
            request,
            Asked {
                id,
                call: name,
                options,
                lasting: lasting.map(|lasting| lasting.updates),
            },
        );
    }

    fn notified(&mut self, method: &str, params: &Value) {
        if method != "session/update" || self.session.as_deref() != Some(text(params, "sessionId")) {
            return;
        }
        let Some(update) = params.get("update") else { return };
        if let Some(stirred) = &mut self.settling {
            *stirred = true;
        }
        match text(update, "sessionUpdate") {
            "current_mode_update" | "config_option_update" => self.offer.update(update),
            "available_commands_update" => {}
            _ if self.running.is_none() => {}
            "agent_message_chunk" => self.piece(Kind::Text, update),
            "agent_thought_chunk" => self.piece(Kind::Thinking, update),
            "tool_call" | "tool_call_update" => self.called(update),
            "plan" => {
                self.taken_up();
                let items = list(update, "entries").map(|entry| PlanItem {
                    text: text(entry, "content").to_owned(),
                    state: match text(entry, "status") {
                        "completed" => PlanState::Done,
                        "in_progress" => PlanState::Active,
                        _ => PlanState::Pending,
                    },
                });
                self.queues.events.push_back(AgentEvent::Plan(items.collect()));
            }
            "usage_update" => {
                let cost = update.pointer("/cost/amount").and_then(Value::as_f64);
                if let Some(cost) = cost.filter(|_| update.pointer("/cost/currency").is_some_and(|name| name == "USD"))
                {
                    self.cost = cost;
                }
            }
            "session_info_update" if self.quirk.errors_are_text => self.codex(&update["_meta"]["codex"]),
            _ => {}
        }
    }

    fn piece(&mut self, kind: Kind, update: &Value) {
        self.taken_up();
        let message = text(update, "messageId");
        let content = update.get("content").cloned().unwrap_or_default();
        let words = match text(&content, "type") {
            "text" => text(&content, "text").to_owned(),
            "" => return,
            other => format!("[{other}]"),
        };
        let broken = self.running.as_mut().and_then(|running| running.broken.as_mut());
        match broken {
            // Of the agent itself, not of its model: that has an id.
            Some(complaint) if kind == Kind::Text && message.is_empty() => complaint.push_str(&words),
            _ => self.reply.piece(kind, message, &words, &mut self.queues.events),
        }
    }

    /// What codex says beside the protocol: that its model failed, and that it tries again.
    fn codex(&mut self, told: &Value) {
        let Some(running) = &mut self.running else { return };
        if told
            .pointer("/threadStatus/type")
            .is_some_and(|status| status == "systemError")
        {
            running.broken = Some(String::new());
        }
        let Some(error) = told.get("error") else { return };
        if error.get("willRetry") != Some(&Value::Bool(true)) {
            return;
        }
        // `Reconnecting... 2/5`
        let words = text(error, "message");
        let numbers = words.rsplit(' ').next().and_then(|last| last.split_once('/'));
        let (attempt, of) = numbers.map_or((1, 1), |(a, b)| (a.parse().unwrap_or(1), b.parse().unwrap_or(1)));
        self.reply.withdraw(&mut self.queues.events);
        self.queues.events.push_back(AgentEvent::Retrying {
            attempt,
            of,
            after: Duration::ZERO,
            reason: text(error, "additionalDetails").to_owned(),
        });
    }

    fn called(&mut self, update: &Value) {
        self.taken_up();
        self.reply.close(&mut self.queues.events);
        let name = text(update, "toolCallId").to_owned();
        let call = self.calls.entry(name.clone()).or_default();
        if call.ended {
            return;
        }
        call.learn(update);
        self.queues.events.push_back(step(&name, call, &self.workspace));
        if call.is_over() {
            call.ended = true;
            let (failed, denied, output) = (call.has_failed(), call.denied, call.output());
            self.queues.events.push_back(AgentEvent::ToolEnded {
                call: name,
                failed,
                denied,
                output,
            });
        }
    }

    /// It works on the prompt.
    fn taken_up(&mut self) {
        if let Some(running) = &mut self.running
            && !std::mem::replace(&mut running.started, true)
        {
            let id = running.id.clone();
            self.queues.events.push_back(AgentEvent::Started { id });
        }
    }

    fn answered(&mut self, id: u64, result: Result<Value, Refusal>) {
        match (self.sent.remove(&id), result) {
            (Some(Sent::Prompt), result) => self.turn_over(&result),
            (Some(_), _) if self.refused.is_some() => {}
            (Some(Sent::Initialize), Ok(answer)) => {
                let info = answer.get("agentInfo").cloned().unwrap_or_default();
                if let Some(known) = KnownAgent::of_name(text(&info, "name")) {
                    self.quirk = Quirk::of(Some(known));
                }
                let version = Some(text(&info, "version")).filter(|version| !version.is_empty());
                self.version = version.map(str::to_owned);
                self.initialized(&answer);
            }
            (Some(Sent::Initialize), Err(refusal)) => self.refuse(failure::of_start("initialize", &refusal)),
            (Some(Sent::Authenticate), Ok(_)) => self.open(),
            (Some(Sent::Authenticate), Err(refusal)) => {
                let mut failure = failure::of_start("authenticate", &refusal);
                failure.kind = FailureKind::NotLoggedIn;
                self.refuse(failure);
            }
            (Some(Sent::Open), result) => self.opened(result),
            (Some(Sent::Setting { what }), Err(refusal)) => self.refuse(failure::of_start(what, &refusal)),
            (Some(Sent::Setting { .. }), Ok(_)) => self.check_ready(),
            (None, _) => {}
        }
    }

    pub(super) fn refuse(&mut self, failure: Failure) {
        self.refused.get_or_insert(failure);
    }

    /// The session is there. `history`: it tells what was said before, some a while after it said that it has.
    pub(super) fn settle(&mut self, id: &str, history: bool) {
        if id.is_empty() || id.len() > ID_LIMIT || id.chars().any(char::is_control) {
            let refusal = Refusal::ours("it gave no usable session id".to_owned());
            self.refuse(failure::of_start("session", &refusal));
            return;
        }
        self.session = Some(id.to_owned());
        self.settling = (history && self.quirk.history_is_late).then_some(false);
    }

    pub(super) fn check_ready(&mut self) {
        let waits = self.sent.values().any(|sent| matches!(sent, Sent::Setting { .. }));
        let Some(id) = self.session.clone() else { return };
        if self.ready || waits || self.settling.is_some() || self.refused.is_some() {
            return;
        }
        self.ready = true;
        self.queues.events.push_back(AgentEvent::Ready {
            pid: self.pid,
            version: self.version.clone(),
        });
        let model = self.offer.model.now.clone();
        self.queues.events.push_back(AgentEvent::Session { id, model });
        let some = |choices: &Vec<String>| Some(choices.clone()).filter(|choices| !choices.is_empty());
        let (models, modes) = (some(&self.offer.model.choices), some(&self.offer.mode.choices));
        if models.is_some() || modes.is_some() {
            self.queues.events.push_back(AgentEvent::Offers(Offers {
                models,
                modes,
                ..Offers::default()
            }));
        }
        for command in std::mem::take(&mut self.held) {
            self.command(command);
        }
    }
}

fn step(name: &str, call: &Call, workspace: &std::path::Path) -> AgentEvent {
    AgentEvent::Tool {
        call: name.to_owned(),
        parent: None,
        kind: call.kind(),
        title: call.title(workspace),
        detail: call.detail(),
    }
}

impl Protocol for Client {
    fn queues(&mut self) -> &mut Queues {
        &mut self.queues
    }

    fn started(&mut self, pid: u32) {
        self.pid = pid;
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    fn patience(&self) -> Option<Duration> {
        self.settling.map(|_| SETTLE)
    }

    fn overdue(&mut self) {
        // Silent for so long: it has told all. Otherwise the clock is set again.
        self.settling = self.settling.filter(|stirred| *stirred).map(|_| false);
        self.check_ready();
    }

    fn command(&mut self, command: Command) {
        match command {
            command if !self.ready => self.held.push(command),
            Command::Prompt { id, text, images } => self.prompt(id, text, images),
            Command::Decide { request, answer } => self.decide(&request, &answer),
            Command::Steer { .. } | Command::Compact { .. } | Command::SetModel(_) | Command::SetMode(_) => {}
            Command::Interrupt => self.interrupt(),
            Command::Close | Command::Kill => {}
        }
    }

    fn receive(&mut self, line: &[u8]) {
        match Message::parse(line) {
            Some(Message::Request { id, method, params }) => self.requested(&id, &method, &params),
            Some(Message::Notification { method, params }) => self.notified(&method, &params),
            Some(Message::Answer { id, result }) => self.answered(id, result),
            None => self.garbage += 1,
        }
    }

    fn refused(&mut self) -> Option<Failure> {
        self.refused.clone()
    }

    fn garbage(&self) -> u64 {
        self.garbage
    }

    fn died(&mut self, ended: Ended, stderr: &str) -> Failure {
        of_end(ended, self.ready, stderr, None)
    }

    fn gone(&mut self, failure: Option<Failure>) {
        self.reply.withdraw(&mut self.queues.events);
        self.queues.events.push_back(AgentEvent::Exited { failure });
    }
}
