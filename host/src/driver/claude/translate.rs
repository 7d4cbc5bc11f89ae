//! The protocol as a state machine without I/O.

mod permission;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::failure::{self, Complaint};
use super::stream::Stream;
use super::text::harmless;
use super::tool::{self, Plan};
use super::wire::{Assistant, ControlResponse, Incoming, Lifecycle, System, TurnResult, User};
use crate::driver::process::Ended;
use crate::driver::stdio::{Protocol, Queues};
use crate::driver::words::{STEP_LIMIT, cut};
use crate::driver::{Abilities, AgentEvent, Command, Failure, Image, Offers, Outcome};

/// The permission modes that may be changed to while it runs. `bypassPermissions` may not.
const MODES: [&str; 3] = ["default", "acceptEdits", "plan"];

/// All that there is.
const ABILITIES: Abilities = Abilities {
    resume: true,
    fork: true,
    images: true,
    approvals: true,
    steer: true,
};

/// From the answer to `initialize` to that about the version. Both were asked at the same time.
const VERSION_TIME: Duration = Duration::from_secs(2);

/// Of so many prompts it is known that they had their result.
const ANSWERED_KEPT: usize = 16;

/// What one of our control requests was about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Initialize,
    Version,
    Interrupt,
    /// Take back this prompt.
    TakeBack(String),
    /// The model or the mode.
    Setting,
    /// What the conversation had cost when the process began.
    Cost,
}

#[derive(Debug)]
struct SentPrompt {
    id: String,
    started: bool,
    /// It may be merged into what runs, and has no result of its own then.
    steered: bool,
}

/// What the CLI said of its state, if it says so at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Busy,
    Idle,
}

#[derive(Debug)]
pub(super) struct Translator {
    workspace: PathBuf,
    pid: u32,
    queues: Queues,
    /// Lines that were no JSON objects.
    garbage: u64,
    initialized: bool,
    version_asked: bool,
    version: Option<String>,
    ready: bool,
    next_request: u64,
    sent: HashMap<String, Sent>,
    /// Commands that came before `Ready`.
    held: Vec<Command>,
    prompts: Vec<SentPrompt>,
    /// Prompts that had their result, the newest last.
    answered: VecDeque<String>,
    waiting: HashMap<String, permission::Waiting>,
    denied: HashSet<String>,
    stream: Stream,
    plan: Plan,
    /// Calls that only keep the plan: tool and input.
    planning: HashMap<String, (String, Value)>,
    state: State,
    /// A turn is open: `Idle` is owed.
    open: bool,
    /// A prompt was given and no result told since: one is owed before `Idle`.
    result_owed: bool,
    interrupted: bool,
    /// The CLI's ids of what runs in the background.
    tasks: HashSet<String>,
    /// How many of them were told last.
    told_tasks: u32,
    session: Option<(String, Option<String>)>,
    cost: f64,
    /// What it said there is to choose from, until it is told.
    models: Option<Vec<String>>,
    /// Tools and mode as they were told last.
    offered: (Option<Vec<String>>, Option<String>),
    /// The CLI spoke itself, and nothing else was said since.
    complaint: Option<Complaint>,
    last_failure: Option<Failure>,
}

impl Translator {
    pub(super) fn new(workspace: PathBuf) -> Self {
        let mut new = Self {
            workspace,
            pid: 0,
            queues: Queues::default(),
            garbage: 0,
            initialized: false,
            version_asked: true,
            version: None,
            ready: false,
            next_request: 0,
            sent: HashMap::new(),
            held: Vec::new(),
            prompts: Vec::new(),
            answered: VecDeque::new(),
            waiting: HashMap::new(),
            denied: HashSet::new(),
            stream: Stream::default(),
            plan: Plan::default(),
            planning: HashMap::new(),
            state: State::Unknown,
            open: false,
            result_owed: false,
            interrupted: false,
            tasks: HashSet::new(),
            told_tasks: 0,
            session: None,
            cost: 0.0,
            models: None,
            offered: (None, None),
            complaint: None,
            last_failure: None,
        };
        new.request(Sent::Initialize, &json!({"subtype": "initialize", "hooks": null}));
        // Which version it is decides how a user's text may be given to it, before the first text is.
        new.request(Sent::Version, &json!({"subtype": "get_binary_version"}));
        new
    }

    /// It goes on with a conversation. 2.1.329 counts on from what it cost when a process was last closed, 2.1.197 does
    /// not, and neither says so with a result.
    pub(super) fn resumes(&mut self) {
        self.request(Sent::Cost, &json!({"subtype": "get_session_cost"}));
    }

    // ---- from the session -------------------------------------------------------------------------------------

    fn prompt(&mut self, id: String, text: &str, images: &[Image]) {
        // Never merged into a running turn: one prompt, one turn, one result.
        self.said(id, text, images, json!({"priority": "later", "client_composed": true}));
    }

    /// Merged behind the next result of a tool, without a result of its own; where none comes, a turn of its own before
    /// the CLI is idle.
    fn steer(&mut self, id: String, text: &str, images: &[Image]) {
        self.said(id, text, images, json!({"client_composed": true}));
        if let Some(prompt) = self.prompts.last_mut() {
            prompt.steered = true;
        }
    }

    fn said(&mut self, id: String, text: &str, images: &[Image], more: Value) {
        let text = harmless(text, self.version.as_deref());
        let images = images.iter().map(|image| {
            let data = base64::engine::general_purpose::STANDARD.encode(&image.bytes);
            json!({"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": data}})
        });
        let content: Vec<Value> = images.chain([json!({"type": "text", "text": text})]).collect();
        self.message(id, &Value::Array(content), more);
    }

    /// The one command that it is to take for a command.
    fn compact(&mut self, id: String, focus: &str) {
        let focus = focus.split_whitespace().collect::<Vec<_>>().join(" ");
        // What an `@` names would be read without asking.
        let text = format!("/compact {}", focus.replace('@', ""));
        let content = json!([{"type": "text", "text": text.trim()}]);
        self.message(id, &content, json!({"priority": "later"}));
    }

    fn message(&mut self, id: String, content: &Value, more: Value) {
        let mut line = json!({
            "type": "user",
            "uuid": &id,
            "session_id": "",
            "parent_tool_use_id": null,
            "message": {"role": "user", "content": content},
        });
        if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
            line.extend(more);
        }
        self.queues.line(&line);
        self.prompts.push(SentPrompt {
            id,
            started: false,
            steered: false,
        });
        self.open = true;
        self.result_owed = true;
    }

    fn interrupt(&mut self) {
        // What it has not taken up would begin right after the interrupted turn.
        let queued = self.prompts.iter().filter(|prompt| !prompt.started);
        for id in queued.map(|prompt| prompt.id.clone()).collect::<Vec<_>>() {
            let request = json!({"subtype": "cancel_async_message", "message_uuid": &id});
            self.request(Sent::TakeBack(id), &request);
        }
        self.interrupted = self.open;
        self.request(Sent::Interrupt, &json!({"subtype": "interrupt"}));
    }

    // ---- to the CLI -------------------------------------------------------------------------------------------

    fn request(&mut self, what: Sent, request: &Value) {
        self.next_request += 1;
        let id = format!("host-{}", self.next_request);
        self.queues
            .line(&json!({"type": "control_request", "request_id": &id, "request": request}));
        self.sent.insert(id, what);
    }

    fn respond(&mut self, request: &str, answer: &Value) {
        self.queues.line(&json!({
            "type": "control_response",
            "response": {"subtype": "success", "request_id": request, "response": answer},
        }));
    }

    // ---- from the CLI -----------------------------------------------------------------------------------------

    fn system(&mut self, system: System) {
        match system.subtype.as_str() {
            "init" => {
                if let Some(version) = system.claude_code_version {
                    self.version = Some(version);
                }
                if let Some(id) = system.session_id {
                    self.session(id, system.model);
                }
                self.offers(system.tools, system.permission_mode);
            }
            "status" if system.permission_mode.is_some() && system.status.is_none() => {
                self.offers(None, system.permission_mode);
            }
            "status" if system.status.as_deref() == Some("compacting") => {
                self.queues.events.push_back(AgentEvent::Compacting);
            }
            "session_state_changed" => match system.state.as_deref() {
                Some("idle") => {
                    self.state = State::Idle;
                    // What it had begun is over, with or without a result (a repeated id has none).
                    self.prompts.retain(|prompt| !prompt.started);
                    self.check_idle(false);
                }
                Some(_) => {
                    self.state = State::Busy;
                    self.open = true;
                }
                None => {}
            },
            "api_retry" => {
                self.stream.withdraw(&mut self.queues.events);
                let reason = match (system.error, system.error_status) {
                    (Some(error), Some(status)) => format!("{error} ({status})"),
                    (Some(error), None) => error,
                    (None, Some(status)) => format!("status {status}"),
                    (None, None) => String::new(),
                };
                self.queues.events.push_back(AgentEvent::Retrying {
                    attempt: system.attempt,
                    of: system.max_retries,
                    after: Duration::try_from_secs_f64(system.retry_delay_ms / 1000.0).unwrap_or_default(),
                    reason,
                });
            }
            "permission_denied" => self.denied.extend(system.tool_use_id),
            // All of them at once (2.1.329), or as they come and go (2.1.197).
            "background_tasks_changed" => {
                let tasks = system.tasks.unwrap_or_default();
                self.tasks = tasks.into_iter().map(|task| task.task_id).collect();
                self.tell_tasks();
            }
            "task_started" if system.is_backgrounded != Some(false) => {
                self.tasks.extend(system.task_id);
                self.tell_tasks();
            }
            "task_notification" => self.task_ended(system.task_id),
            "task_updated"
                if matches!(
                    system.patch.status.as_str(),
                    "completed" | "failed" | "killed" | "stopped"
                ) =>
            {
                self.task_ended(system.task_id);
            }
            _ => {}
        }
    }

    fn task_ended(&mut self, task: Option<String>) {
        self.tasks.remove(&task.unwrap_or_default());
        self.tell_tasks();
    }

    /// Tells how many tasks run in the background, where that is new. One may end without a word of the model's.
    fn tell_tasks(&mut self) {
        let tasks = self.count_tasks();
        if std::mem::replace(&mut self.told_tasks, tasks) != tasks {
            self.queues.events.push_back(AgentEvent::Background { tasks });
        }
    }

    fn count_tasks(&self) -> u32 {
        u32::try_from(self.tasks.len()).unwrap_or(u32::MAX)
    }

    /// Tells what it has to choose from, where that is new.
    fn offers(&mut self, tools: Option<Vec<String>>, mode: Option<String>) {
        let tools = tools.filter(|tools| self.offered.0.as_ref() != Some(tools));
        let mode = mode.filter(|mode| self.offered.1.as_ref() != Some(mode));
        if tools.is_none() && mode.is_none() {
            return;
        }
        if tools.is_some() {
            self.offered.0.clone_from(&tools);
        }
        if mode.is_some() {
            self.offered.1.clone_from(&mode);
        }
        self.queues.events.push_back(AgentEvent::Offers(Offers {
            tools,
            mode,
            ..Offers::default()
        }));
    }

    fn session(&mut self, id: String, model: Option<String>) {
        let newest = Some((id, model));
        if self.session != newest {
            self.session = newest;
            if let Some((id, model)) = self.session.clone() {
                self.queues.events.push_back(AgentEvent::Session { id, model });
            }
        }
    }

    fn assistant(&mut self, assistant: Assistant) {
        self.open = true;
        let parent = assistant.parent_tool_use_id;
        let message = assistant.message;
        if assistant.error.is_some() || message.model == "<synthetic>" {
            // The CLI's own words about a failure: the result says it again, and the person gets our sentence.
            let text = message.content.into_iter().map(|block| block.text).collect::<String>();
            // A sub-agent's failure is told to its agent.
            let error = assistant.error.filter(|_| parent.is_none());
            if error.is_some() || self.complaint.is_none() && !text.is_empty() {
                self.complaint = Some(Complaint { error, text });
            }
            return;
        }
        if parent.is_none() {
            self.complaint = None;
        }
        for block in message.content {
            match block.kind.as_str() {
                "text" => {
                    let number = self
                        .stream
                        .certain(&message.id, "text", parent.is_none(), &mut self.queues.events);
                    self.queues.events.push_back(AgentEvent::Text {
                        block: number,
                        text: block.text,
                        parent: parent.clone(),
                    });
                }
                "thinking" => {
                    let number =
                        self.stream
                            .certain(&message.id, "thinking", parent.is_none(), &mut self.queues.events);
                    self.queues.events.push_back(AgentEvent::Thinking {
                        block: number,
                        text: block.thinking,
                        parent: parent.clone(),
                    });
                }
                "tool_use" => {
                    self.stream
                        .other(&message.id, parent.is_none(), &mut self.queues.events);
                    self.tool(block.id, &block.name, block.input, parent.clone());
                }
                _ => {}
            }
        }
    }

    fn tool(&mut self, call: String, name: &str, input: Value, parent: Option<String>) {
        if Plan::is_planning(name) {
            // A sub-agent's plan is its own.
            if parent.is_none()
                && let Some(items) = self.plan.called(name, &input)
            {
                self.queues.events.push_back(AgentEvent::Plan(items));
            }
            self.planning.insert(call, (name.to_owned(), input));
            return;
        }
        self.queues.events.push_back(AgentEvent::Tool {
            call,
            parent,
            kind: tool::kind(name),
            title: tool::title(name, &input, &self.workspace),
            detail: tool::detail(name, &input),
        });
    }

    fn user(&mut self, user: &User) {
        if user.is_replay {
            if let Some(id) = &user.uuid {
                self.taken_up(id);
            }
            return;
        }
        for block in user.message.content.iter().filter(|block| block.kind == "tool_result") {
            if let Some((name, input)) = self.planning.remove(&block.tool_use_id) {
                let id = &user.tool_use_result.task.id;
                if name == "TaskCreate"
                    && !block.is_error
                    && !id.is_empty()
                    && let Some(items) = self.plan.created(id, &input)
                {
                    self.queues.events.push_back(AgentEvent::Plan(items));
                }
                continue;
            }
            self.queues.events.push_back(AgentEvent::ToolEnded {
                call: block.tool_use_id.clone(),
                failed: block.is_error,
                denied: self.denied.remove(&block.tool_use_id),
                output: cut(block.result_text(), STEP_LIMIT),
            });
        }
    }

    fn taken_up(&mut self, id: &str) {
        let Some(prompt) = self.prompts.iter_mut().find(|prompt| prompt.id == id) else {
            return;
        };
        if !std::mem::replace(&mut prompt.started, true) {
            self.open = true;
            self.queues.events.push_back(AgentEvent::Started { id: id.to_owned() });
        }
    }

    fn lifecycle(&mut self, lifecycle: &Lifecycle) {
        match lifecycle.state.as_str() {
            "started" => self.taken_up(&lifecycle.command_uuid),
            "completed" | "cancelled" => {
                let at = self
                    .prompts
                    .iter()
                    .position(|prompt| prompt.id == lifecycle.command_uuid);
                let Some(prompt) = at.map(|at| self.prompts.remove(at)) else {
                    // It had its result.
                    return;
                };
                match lifecycle.state.as_str() {
                    _ if prompt.started => {}
                    // Taken back: this is told before our request for it is answered.
                    "cancelled" => self.result(Outcome::Stopped),
                    _ if prompt.steered => self.queues.events.push_back(AgentEvent::Started { id: prompt.id }),
                    _ => {}
                }
                self.check_idle(false);
            }
            _ => {}
        }
    }

    fn turn_result(&mut self, result: &TurnResult) {
        let named = result.user_message_uuid.as_deref();
        if !self.prompts.is_empty() && self.answered.iter().any(|id| Some(id.as_str()) == named) {
            // Of a turn that is over: the one that runs now has a result of its own.
            tracing::info!("a result came twice");
            return;
        }
        self.stream.withdraw(&mut self.queues.events);
        let complaint = self.complaint.take();
        let aborted = result
            .terminal_reason
            .as_deref()
            .map(|reason| reason.starts_with("aborted"));
        let stopped_by_us = self.interrupted && result.subtype == "error_during_execution";
        // It need not call itself an error.
        let failed = result.is_error
            || result.subtype.starts_with("error_")
            || complaint.as_ref().is_some_and(|complaint| complaint.error.is_some());
        let outcome = if aborted.unwrap_or(stopped_by_us) {
            Outcome::Stopped
        } else if failed {
            Outcome::Failed(failure::of_result(result, complaint.as_ref()))
        } else {
            Outcome::Ok
        };
        self.last_failure = match &outcome {
            Outcome::Failed(failure) => Some(failure.clone()),
            Outcome::Ok | Outcome::Stopped => None,
        };
        if !self.ready {
            // It could not begin (no such conversation); it exits next, and then this is told.
            return;
        }
        if let (Some(id), Some((_, model))) = (&result.session_id, self.session.clone()) {
            self.session(id.clone(), model);
        }
        let cost = result.total_cost_usd.map(|total| {
            let this = (total - self.cost).max(0.0);
            self.cost = total;
            this
        });
        let usage = &result.usage;
        self.queues.events.push_back(AgentEvent::Usage {
            input_tokens: usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens,
            output_tokens: usage.output_tokens,
            cost_usd: cost,
        });
        if result.origin.as_ref().is_none_or(|origin| origin.kind == "user") {
            let found = self.prompts.iter().position(|prompt| named == Some(&prompt.id));
            let begun = || self.prompts.iter().position(|prompt| prompt.started);
            let first = || (named.is_none() && !self.prompts.is_empty()).then_some(0);
            if let Some(at) = found.or_else(begun).or_else(first) {
                self.answered.push_back(self.prompts.remove(at).id);
                while self.answered.len() > ANSWERED_KEPT {
                    self.answered.pop_front();
                }
            }
        }
        self.result(outcome);
        // Older CLIs, and other programs that speak this protocol, say nothing of their state, nor of what they merged.
        if self.state == State::Unknown {
            let merged = self.prompts.iter().filter(|prompt| prompt.steered && !prompt.started);
            for prompt in merged {
                let id = prompt.id.clone();
                self.queues.events.push_back(AgentEvent::Started { id });
            }
            self.prompts.retain(|prompt| !prompt.steered);
        }
        self.check_idle(self.state == State::Unknown);
    }

    fn result(&mut self, outcome: Outcome) {
        self.interrupted = false;
        self.result_owed = false;
        self.queues.events.push_back(AgentEvent::Result { outcome });
    }

    /// Tells `Idle` if it is owed. `assume`: there is no word of the CLI's to wait for.
    fn check_idle(&mut self, assume: bool) {
        if self.open && self.prompts.is_empty() && (assume || self.state == State::Idle) {
            self.stream.withdraw(&mut self.queues.events);
            if self.result_owed {
                // It swallowed a message whose id it had seen before.
                let outcome = if self.interrupted {
                    Outcome::Stopped
                } else {
                    Outcome::Ok
                };
                self.result(outcome);
            }
            self.open = false;
            self.interrupted = false;
            let background = self.count_tasks();
            self.queues.events.push_back(AgentEvent::Idle { background });
        }
    }

    fn answered(&mut self, response: &ControlResponse) {
        match self.sent.remove(&response.request_id) {
            Some(Sent::Initialize) => {
                self.initialized = true;
                self.models = models(&response.response);
                self.check_ready();
            }
            Some(Sent::Version) => {
                self.version_asked = false;
                let version = response.response.get("version").and_then(Value::as_str);
                self.version = version.map(str::to_owned).or_else(|| self.version.take());
                self.check_ready();
            }
            Some(Sent::TakeBack(id)) => {
                let taken = response.response.get("cancelled").and_then(Value::as_bool) == Some(true);
                let at = self.prompts.iter().position(|prompt| prompt.id == id);
                if let (true, Some(at)) = (taken, at) {
                    self.prompts.remove(at);
                    self.result(Outcome::Stopped);
                    self.check_idle(self.state == State::Unknown);
                }
            }
            // After a result it would count that once more.
            Some(Sent::Cost) if self.cost == 0.0 => self.cost = spent(&response.response).unwrap_or(0.0),
            Some(Sent::Cost) => {}
            Some(Sent::Setting) => {
                if let Some(error) = &response.error {
                    tracing::info!(%error, "a setting was not taken");
                }
            }
            Some(Sent::Interrupt) | None => {}
        }
    }

    fn check_ready(&mut self) {
        if self.ready || !self.initialized || self.version_asked {
            return;
        }
        self.ready = true;
        self.queues.events.push_back(AgentEvent::Ready {
            pid: self.pid,
            version: self.version.clone(),
        });
        self.queues.events.push_back(AgentEvent::Offers(Offers {
            models: self.models.take(),
            modes: Some(MODES.map(str::to_owned).to_vec()),
            abilities: Some(ABILITIES),
            ..Offers::default()
        }));
        for command in std::mem::take(&mut self.held) {
            self.command(command);
        }
    }
}

impl Protocol for Translator {
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
        !self.open
    }

    fn patience(&self) -> Option<Duration> {
        (self.initialized && self.version_asked).then_some(VERSION_TIME)
    }

    /// It is not going to say which version it is.
    fn overdue(&mut self) {
        self.version_asked = false;
        self.check_ready();
    }

    fn command(&mut self, command: Command) {
        match command {
            command if !self.ready => self.held.push(command),
            Command::Prompt { id, text, images } => self.prompt(id, &text, &images),
            Command::Steer { id, text, images } => self.steer(id, &text, &images),
            Command::Compact { id, focus } => self.compact(id, &focus),
            Command::Decide { request, answer } => self.decide(&request, answer),
            Command::SetModel(model) => self.request(Sent::Setting, &json!({"subtype": "set_model", "model": model})),
            Command::SetMode(mode) => {
                self.request(Sent::Setting, &json!({"subtype": "set_permission_mode", "mode": mode}));
            }
            Command::Interrupt => self.interrupt(),
            Command::Close | Command::Kill => {}
        }
    }

    fn receive(&mut self, line: &[u8]) {
        let Some(incoming) = Incoming::parse(line) else {
            self.garbage += 1;
            return;
        };
        match incoming {
            Incoming::System(system) => self.system(system),
            Incoming::Stream(event) if event.parent_tool_use_id.is_none() => {
                self.stream.event(event.event, &mut self.queues.events);
            }
            // A sub-agent's text is told when it is certain.
            Incoming::Stream(_) | Incoming::Other => {}
            Incoming::Assistant(assistant) => self.assistant(assistant),
            Incoming::User(user) => self.user(&user),
            Incoming::Result(result) => self.turn_result(&result),
            Incoming::Lifecycle(lifecycle) => self.lifecycle(&lifecycle),
            Incoming::Request(request) => self.asked(&request.request_id, request.request),
            Incoming::Response(response) => self.answered(&response),
            Incoming::Limit(limit) => {
                let info = limit.rate_limit_info;
                if !matches!(info.status.as_str(), "" | "allowed") {
                    self.queues.events.push_back(AgentEvent::Limited {
                        until: info.resets_at.map(|seconds| seconds.saturating_mul(1000)),
                        reached: info.status == "rejected",
                    });
                }
            }
            Incoming::Cancel(cancel) => {
                if self.waiting.remove(&cancel.request_id).is_some() {
                    let request = cancel.request_id;
                    self.queues
                        .events
                        .push_back(AgentEvent::PermissionWithdrawn { request });
                }
            }
        }
    }

    fn refused(&mut self) -> Option<Failure> {
        // It exits by itself where it cannot begin.
        None
    }

    fn garbage(&self) -> u64 {
        self.garbage
    }

    fn died(&mut self, ended: Ended, stderr: &str) -> Failure {
        failure::of_exit(ended, self.ready, stderr, self.last_failure.as_ref())
    }

    fn gone(&mut self, failure: Option<Failure>) {
        self.stream.withdraw(&mut self.queues.events);
        self.queues.events.push_back(AgentEvent::Exited { failure });
    }
}

/// The US dollars in an answer about costs, which is a text: `Estimated cost:        $0.0003`, then more lines.
fn spent(answer: &Value) -> Option<f64> {
    let line = answer.get("text")?.as_str()?.lines().next()?;
    line.split_once('$')?.1.trim().parse().ok()
}

/// The names of the models in an answer to `initialize`.
fn models(answer: &Value) -> Option<Vec<String>> {
    let models = answer.get("models")?.as_array()?;
    let name = |model: &Value| model.get("value").and_then(Value::as_str).map(str::to_owned);
    Some(models.iter().filter_map(name).collect())
}

#[cfg(test)]
mod tests;
