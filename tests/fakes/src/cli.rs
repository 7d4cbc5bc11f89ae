//! A scripted CLI for speed: it speaks Claude Code's stream-json protocol and answers at once, without a model.
//! [`program`] builds it and says where it is; what a message makes it do stands in its words, after the
//! name of who speaks, if there is one:
//!
//! | first word | what happens |
//! | --- | --- |
//! | `slow MS TEXT` | half of the text, a pause that an interrupt ends, the rest |
//! | `hang` | takes the message up and says nothing more; an interrupt ends it |
//! | `deaf` | says nothing more, whatever comes, and reads no more |
//! | `exit N` | a line on stderr, then exit code N, in the middle of an answer |
//! | `crash` | ends itself with SIGKILL, in the middle of an answer |
//! | `garbage` | lines that are no JSON, unknown types and unknown fields, then an answer |
//! | `big N` | a line of N bytes, then an answer |
//! | `permission TEXT` | asks for `Bash` with the text as command, unless a rule allows it; says what was decided; what it may run, it adds to the file `ran` in its working folder |
//! | a word of the host's that `Bash` was granted | the same, as a model does that is told so |
//! | `question`, alone | `AskUserQuestion`: Blue or Red; says what was answered |
//! | `questions`, alone | the same, and it may be both |
//! | `propose`, alone | `ExitPlanMode`; says what was decided |
//! | `/compact TEXT` | sums up, unless the message is only words (`client_composed`) |
//! | `model`, `mode` | says which it has |
//! | `tool TEXT` | a tool call and its result, then an answer |
//! | `work`, alone | a tool call that lasts until a message comes that need not wait for its turn: that is merged, and said in the answer |
//! | `plan` | `TodoWrite`, then an answer |
//! | `think TEXT` | thinks, then answers |
//! | `break` | a stream that breaks and is tried again |
//! | `fail STATUS TEXT` | a result with `is_error` |
//! | `words N` | N words, a delta each |
//! | `background` | a result, then a turn that nobody asked for |
//! | `linger` | a result, and a task that runs on in the background until the process ends |
//! | `spawn` | leaves a process in a session of its own; says its id |
//! | `look` | how large each file is that the host says it laid, and which images came with the message |
//! | `give NAME TEXT` | a file of this name and text in `outbox`, then an answer |
//! | `recall` | the messages that this conversation had, also before a `--resume` |
//! | anything else | `echo: TEXT` |
//!
//! Rules come with `--settings` and with `updatedPermissions`; `set_model`, `set_permission_mode` and `--fork-session`
//! do what they do in the real one.
//!
//! What it keeps is where the real one keeps it, and looks as there: `projects/FOLDER/ID.jsonl` of its settings' folder. A
//! transcript that begins with no line of its own ends it at once, when it is to go on with that.
//!
//! Without `-p` it is for a person at a terminal, see [`talk`].
//!
//! Environment, for what happens before a message: `FAKE_CLI_START=silent` never answers `initialize`; `exit` writes to
//! stderr and exits with code 4; `mute` never says its version.
//!
//! It is strict: a message without uuid, a broken line, or an unexpected flag ends it with code 2 and says why.

mod start;
mod talk;
mod transcript;
mod work;

use std::collections::{HashSet, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use transcript::Transcript;

/// What it says its version is.
pub const VERSION: &str = "2.1.329";

/// Where the program is.
///
/// # Panics
/// If it cannot be built.
pub fn program() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT.get_or_init(|| crate::build("fake-cli")).clone()
}

struct Cli {
    out: io::BufWriter<io::StdoutLock<'static>>,
    lines: Receiver<String>,
    /// Of the message that is worked on: type and bytes.
    images: Vec<String>,
    /// Messages that came while a turn ran.
    queue: VecDeque<Value>,
    session: String,
    transcript: Transcript,
    history: Vec<String>,
    seen: HashSet<String>,
    numbers: u64,
    /// The message's block was begun.
    block_open: bool,
    failed: bool,
    model: String,
    mode: String,
    rules: Vec<String>,
}

/// Why a turn stops early.
enum Stop {
    Interrupted,
    Eof,
}

/// Runs it; called by the `fake-cli` binary.
pub fn main(args: Vec<String>) -> ExitCode {
    if args.iter().any(|arg| arg == "--version" || arg == "-v") {
        let _ = writeln!(io::stdout(), "{VERSION} (Claude Code)");
        return ExitCode::SUCCESS;
    }
    match run(args) {
        Ok(code) => code,
        Err(text) => {
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::from(2)
        }
    }
}

fn run(args: Vec<String>) -> Result<ExitCode, String> {
    let start::Started {
        session,
        resume,
        fork,
        model,
        mode,
        rules,
        hooks,
        prints,
    } = start::read(args)?;
    let start = std::env::var_os("FAKE_CLI_START").unwrap_or_default();
    if start == "exit" {
        let _ = writeln!(io::stderr(), "fake-cli: told to exit at the start");
        return Ok(ExitCode::from(4));
    }
    let transcript = Transcript::of(&session)?;
    if !prints {
        return talk::talk(transcript, resume, &hooks);
    }
    let (sender, lines) = sync_channel(64);
    let mut cli = Cli {
        out: io::BufWriter::with_capacity(1 << 16, io::stdout().lock()),
        lines,
        images: Vec::new(),
        queue: VecDeque::new(),
        history: Vec::new(),
        seen: HashSet::new(),
        numbers: 0,
        block_open: false,
        failed: false,
        transcript,
        session,
        model,
        mode,
        rules,
    };
    if resume {
        let Ok(text) = cli.transcript.read() else {
            let words = format!("No conversation found with session ID: {}", cli.session);
            let session = cli.session.clone();
            cli.say(
                &json!({"type": "result", "subtype": "error_during_execution", "is_error": true, "errors": [words],
                "session_id": session, "num_turns": 0, "duration_ms": 0, "duration_api_ms": 0}),
            );
            let _ = writeln!(io::stderr(), "{words}");
            return Ok(ExitCode::FAILURE);
        };
        if !text.starts_with('{') {
            let _ = writeln!(io::stderr(), "SyntaxError: the transcript cannot be read");
            return Ok(ExitCode::FAILURE);
        }
        cli.history = transcript::remembered(&text);
    } else if cli.transcript.exists() {
        let _ = writeln!(io::stderr(), "Error: Session ID {} is already in use.", cli.session);
        return Ok(ExitCode::FAILURE);
    }
    if let Some(from) = fork {
        let unknown = |_| format!("No conversation found with session ID: {from}");
        let text = Transcript::of(&from)?.read().map_err(unknown)?;
        cli.transcript.write(&text).map_err(|error| error.to_string())?;
        cli.history = transcript::remembered(&text);
    }
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    if start == "silent" {
        while cli.lines.recv().is_ok() {}
        return Ok(ExitCode::SUCCESS);
    }
    cli.serve(start == "mute")?;
    Ok(if cli.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

impl Cli {
    fn serve(&mut self, mute: bool) -> Result<(), String> {
        loop {
            if let Some(message) = self.queue.pop_front() {
                match self.turn(&message)? {
                    Some(Stop::Eof) => return Ok(()),
                    Some(Stop::Interrupted) | None => continue,
                }
            }
            let Ok(line) = self.lines.recv() else {
                return Ok(());
            };
            let line = parse(&line)?;
            match line["type"].as_str() {
                Some("user") => self.queue.push_back(line),
                Some("control_request") if mute && line["request"]["subtype"] == "get_binary_version" => {}
                Some("control_request") => {
                    self.control(&line);
                }
                _ => {}
            }
        }
    }

    fn say(&mut self, line: &Value) {
        // Nobody listens any more: the reader's end of file ends us.
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }

    fn number(&mut self) -> String {
        self.numbers += 1;
        format!("{:06}", self.numbers)
    }

    /// Answers a control request; true: it was an interrupt.
    fn control(&mut self, line: &Value) -> bool {
        let subtype = line["request"]["subtype"].as_str().unwrap_or_default();
        let answer = match subtype {
            "initialize" => {
                json!({"commands": [], "agents": [], "output_style": "default", "models": [{"value": "fake"}, {"value": "other"}],
                    "account": {}})
            }
            "set_model" => {
                self.model = line["request"]["model"].as_str().unwrap_or("fake").to_owned();
                json!({"model": self.model})
            }
            "set_permission_mode" => {
                self.mode = line["request"]["mode"].as_str().unwrap_or("default").to_owned();
                json!({"mode": self.mode})
            }
            "get_binary_version" => json!({"version": VERSION}),
            "interrupt" => json!({"still_queued": []}),
            "cancel_async_message" => {
                let before = self.queue.len();
                self.queue
                    .retain(|message| message["uuid"] != line["request"]["message_uuid"]);
                json!({"cancelled": self.queue.len() < before})
            }
            _ => {
                let error = format!("Unsupported control request subtype: {subtype}");
                self.say(&json!({"type": "control_response", "response":
                    {"subtype": "error", "request_id": line["request_id"], "error": error}}));
                return false;
            }
        };
        self.say(&json!({"type": "control_response", "response":
            {"subtype": "success", "request_id": line["request_id"], "response": answer}}));
        subtype == "interrupt"
    }

    /// Handles what comes in the middle of a turn: `Ok(Some(response))` is an answer to a question of ours.
    fn during(&mut self, line: &str) -> Result<Result<Option<Value>, Stop>, String> {
        let line = parse(line)?;
        Ok(match line["type"].as_str() {
            Some("user") => {
                self.queue.push_back(line);
                Ok(None)
            }
            Some("control_request") => {
                if self.control(&line) {
                    Err(Stop::Interrupted)
                } else {
                    Ok(None)
                }
            }
            Some("control_response") => Ok(Some(line["response"].clone())),
            _ => Ok(None),
        })
    }

    /// Waits this long (none: for ever) for an answer; what else comes is handled.
    fn wait(&mut self, time: Option<Duration>) -> Result<Result<Option<Value>, Stop>, String> {
        let end = time.map(|time| Instant::now() + time);
        loop {
            let line = match end {
                Some(end) => self.lines.recv_timeout(end.saturating_duration_since(Instant::now())),
                None => self.lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match line {
                Ok(line) => match self.during(&line)? {
                    Ok(None) => {}
                    other => return Ok(other),
                },
                Err(RecvTimeoutError::Timeout) => return Ok(Ok(None)),
                // The real one finishes what it began.
                Err(RecvTimeoutError::Disconnected) if time.is_some() => return Ok(Ok(None)),
                Err(RecvTimeoutError::Disconnected) => return Ok(Err(Stop::Eof)),
            }
        }
    }

    fn turn(&mut self, message: &Value) -> Result<Option<Stop>, String> {
        let id = message["uuid"]
            .as_str()
            .ok_or("a user message without uuid")?
            .to_owned();
        let content = &message["message"]["content"];
        let text = content
            .as_str()
            .or_else(|| {
                let parts = content.as_array()?;
                parts.iter().find_map(|part| part["text"].as_str())
            })
            .unwrap_or_default()
            .to_owned();
        self.images = images(content)?;
        if !self.seen.insert(id.clone()) {
            self.say(&json!({"type": "command_lifecycle", "command_uuid": id, "state": "completed"}));
            return Ok(None);
        }
        self.history.push(text.clone());
        let _ = self.transcript.add("user", &json!(text));
        self.begin();
        self.say(&json!({"type": "command_lifecycle", "command_uuid": id, "state": "started"}));
        let mut replay = message.clone();
        replay["isReplay"] = json!(true);
        self.say(&replay);
        let stop = if text.starts_with("/compact") && message["client_composed"] != true {
            self.say(&json!({"type": "system", "subtype": "status", "status": "compacting"}));
            self.history = vec![format!("summary of {}", self.history.len() - 1)];
            self.say(&json!({"type": "system", "subtype": "compact_boundary"}));
            self.done("");
            None
        } else {
            self.act(&text)?
        };
        if let Some(Stop::Interrupted) = stop {
            self.failed = true;
            self.result(json!({"subtype": "error_during_execution", "is_error": true,
                "terminal_reason": "aborted_streaming", "errors": ["[ede_diagnostic]"], "user_message_uuid": id}));
        }
        if !matches!(stop, Some(Stop::Eof)) {
            self.say(&json!({"type": "command_lifecycle", "command_uuid": id, "state": "completed"}));
        }
        if self.queue.is_empty() {
            self.say(&json!({"type": "system", "subtype": "session_state_changed", "state": "idle"}));
        }
        Ok(stop)
    }

    fn begin(&mut self) {
        let (session, model, mode) = (self.session.clone(), self.model.clone(), self.mode.clone());
        self.say(&json!({"type": "system", "subtype": "session_state_changed", "state": "running"}));
        self.say(
            &json!({"type": "system", "subtype": "init", "session_id": session, "model": model,
            "tools": ["Bash", "Read"], "mcp_servers": [], "permissionMode": mode, "claude_code_version": VERSION}),
        );
    }

    fn act(&mut self, text: &str) -> Result<Option<Stop>, String> {
        let said = spoken(text);
        let (word, rest) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
        match word {
            "slow" => {
                let (ms, rest) = rest.split_once(' ').unwrap_or((rest, "done"));
                let half = rest.floor_char_boundary(rest.len() / 2);
                let message = self.start_message();
                self.delta("text", &rest[..half]);
                let pause = Duration::from_millis(ms.parse().unwrap_or(100));
                if let Err(stop) = self.wait(Some(pause))? {
                    self.assistant(&message, &json!({"type": "text", "text": &rest[..half]}));
                    return Ok(Some(stop));
                }
                self.delta("text", &rest[half..]);
                self.assistant(&message, &json!({"type": "text", "text": rest}));
                self.done(rest);
            }
            "hang" => loop {
                if let Err(stop) = self.wait(None)? {
                    return Ok(Some(stop));
                }
            },
            "deaf" => loop {
                thread::park();
            },
            "exit" => {
                self.start_message();
                self.delta("text", "half of");
                let _ = writeln!(io::stderr(), "fake-cli: told to exit");
                std::process::exit(rest.parse().unwrap_or(1));
            }
            "crash" => {
                self.start_message();
                self.delta("text", "half of");
                let pid = std::process::id().to_string();
                let _ = Command::new("kill").args(["-9", &pid]).status();
                thread::park();
            }
            "garbage" => {
                let _ = self
                    .out
                    .write_all(b"no json\n\n   \n{\"type\":\n[1,2]\n\"text\"\n\xff\xfe\n{}\n{\"type\":7}\n");
                self.say(&json!({"type": "brand_new", "data": [1]}));
                self.say(&json!({"type": "system", "subtype": "brand_new"}));
                self.say(&json!({"type": "assistant", "message": "a string", "extra": {}}));
                self.say(&json!({"type": "result_of_something"}));
                self.answer("after the garbage");
            }
            "big" => {
                let size = rest.trim().parse::<usize>().unwrap_or(1 << 20);
                let line = format!("{{\"type\":\"user\",\"tool_use_result\":\"{}\"}}\n", "x".repeat(size));
                let _ = self.out.write_all(line.as_bytes());
                self.answer("after the big line");
            }
            "permission" => return self.permission(rest),
            "question" | "questions" if rest.is_empty() => {
                let options =
                    json!([{"label": "Blue", "description": "calm"}, {"label": "Red", "description": "loud"}]);
                let questions = json!([{"question": "Which color?", "header": "Color", "multiSelect": word == "questions",
                    "options": options}]);
                let asked = self.ask("AskUserQuestion", &json!({"questions": questions}), &json!([]))?;
                let Ok(answer) = asked else { return Ok(asked.err()) };
                let said = match answer["updatedInput"]["answers"]["Which color?"].as_str() {
                    Some(color) => format!("answered: {color}"),
                    None => format!("not answered: {}", answer["message"].as_str().unwrap_or_default()),
                };
                self.answer(&said);
            }
            "propose" if rest.is_empty() => {
                let asked = self.ask("ExitPlanMode", &json!({"plan": "1. build\n2. test"}), &json!([]))?;
                let Ok(answer) = asked else { return Ok(asked.err()) };
                let said = if answer["behavior"] == "allow" {
                    "approved".to_owned()
                } else {
                    format!("again: {}", answer["message"].as_str().unwrap_or_default())
                };
                self.answer(&said);
            }
            "model" => self.answer(&format!("model: {}", self.model)),
            "mode" => self.answer(&format!("mode: {}", self.mode)),
            "tool" => {
                let (message, call) = (self.start_message(), self.number());
                let input = json!({"file_path": rest});
                self.assistant(
                    &message,
                    &json!({"type": "tool_use", "id": call, "name": "Read", "input": input}),
                );
                self.tool_result(&call, "the content", false);
                self.answer(&format!("I read {rest}"));
            }
            "work" if rest.is_empty() => return self.work(),
            "plan" => {
                let (message, call) = (self.start_message(), self.number());
                let todos = json!([{"content": "first", "status": "completed", "activeForm": "x"},
                    {"content": "second", "status": "in_progress", "activeForm": "x"}]);
                let block = json!({"type": "tool_use", "id": call, "name": "TodoWrite", "input": {"todos": todos}});
                self.assistant(&message, &block);
                self.tool_result(&call, "Todos have been modified", false);
                self.answer("planned");
            }
            "think" => {
                let message = self.start_message();
                self.delta("thinking", rest);
                self.assistant(
                    &message,
                    &json!({"type": "thinking", "thinking": rest, "signature": "s"}),
                );
                self.stream(&json!({"type": "content_block_stop", "index": 0}));
                self.answer(&format!("echo: {rest}"));
            }
            "break" => {
                self.start_message();
                self.delta("text", "this is never said");
                self.stream(&json!({"type": "content_block_stop", "index": 0}));
                self.stream(&json!({"type": "message_stop"}));
                self.say(
                    &json!({"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 3,
                    "retry_delay_ms": 5.0, "error_status": null, "error": "unknown"}),
                );
                self.answer("but this");
            }
            "fail" => {
                let (status, words) = rest.split_once(' ').unwrap_or((rest, "failed"));
                let message = json!({"id": "m", "model": "<synthetic>", "content": [{"type": "text", "text": words}]});
                self.say(&json!({"type": "assistant", "message": message, "error": "server_error"}));
                self.failed = true;
                self.result(json!({"subtype": "success", "is_error": true, "result": words,
                    "api_error_status": status.parse::<u32>().ok(), "terminal_reason": "api_error"}));
            }
            "words" => {
                let count = rest.trim().parse::<usize>().unwrap_or(100);
                let message = self.start_message();
                let mut whole = String::new();
                for n in 0..count {
                    let word = format!("word{n} ");
                    self.delta("text", &word);
                    whole.push_str(&word);
                }
                self.assistant(&message, &json!({"type": "text", "text": whole}));
                self.done(&whole);
            }
            "background" => {
                self.say(
                    &json!({"type": "system", "subtype": "background_tasks_changed", "tasks": [{"task_id": "b1"}]}),
                );
                self.answer("started it");
                self.say(&json!({"type": "system", "subtype": "session_state_changed", "state": "idle"}));
                self.say(&json!({"type": "system", "subtype": "background_tasks_changed", "tasks": []}));
                self.begin();
                let message = self.start_message();
                self.assistant(&message, &json!({"type": "text", "text": "it is finished"}));
                self.result(
                    json!({"subtype": "success", "is_error": false, "result": "it is finished",
                    "terminal_reason": "completed", "origin": {"kind": "task-notification"}}),
                );
            }
            "linger" => {
                self.say(
                    &json!({"type": "system", "subtype": "background_tasks_changed", "tasks": [{"task_id": "b1"}]}),
                );
                self.answer("it runs on");
            }
            "spawn" => {
                let child = Command::new("setsid").args(["sleep", "1000"]).spawn();
                let id = child.map_or(0, |child| child.id());
                self.answer(&format!("pid {id}"));
            }
            "look" => {
                let laid = text.split("(A file came with this message: `").skip(1);
                let mut seen: Vec<String> = laid
                    .filter_map(|rest| rest.split('`').next())
                    .map(|path| match fs::metadata(path) {
                        Ok(meta) => format!("{path} has {} bytes", meta.len()),
                        Err(error) => format!("{path}: {error}"),
                    })
                    .collect();
                seen.extend(self.images.iter().map(|image| format!("saw {image}")));
                self.answer(&seen.join("; "));
            }
            "give" => {
                let (name, words) = rest.split_once(' ').unwrap_or((rest, "empty"));
                fs::create_dir_all("outbox")
                    .and_then(|()| fs::write(PathBuf::from("outbox").join(name), words))
                    .map_err(|error| format!("`{name}` cannot be written: {error}"))?;
                self.answer(&format!("gave {name}"));
            }
            "recall" => {
                let all = self.history.join(" | ");
                self.answer(&all);
            }
            _ => {
                if let Some(command) = granted(text) {
                    return self.permission(&command);
                }
                self.answer(&format!("echo: {text}"));
            }
        }
        Ok(None)
    }

    fn permission(&mut self, command: &str) -> Result<Option<Stop>, String> {
        if self.rules.iter().any(|rule| rule == command) {
            self.answer(&format!("allowed: {command}"));
            return Ok(None);
        }
        let input = json!({"command": command});
        let rules = json!([{"toolName": "Bash", "ruleContent": command}]);
        let suggestions = json!([{"type": "addRules", "rules": rules, "behavior": "allow",
            "destination": "localSettings"}]);
        let decision = match self.ask("Bash", &input, &suggestions)? {
            Ok(decision) => decision,
            Err(stop) => return Ok(Some(stop)),
        };
        let said = if decision["behavior"] == "allow" {
            let command = decision["updatedInput"]["command"]
                .as_str()
                .ok_or_else(|| format!("allowed without the input: {decision}"))?
                .to_owned();
            for update in decision["updatedPermissions"].as_array().cloned().unwrap_or_default() {
                if update["destination"] != "session" {
                    return Err(format!("a rule for longer than the session: {update}"));
                }
                let rules = update["rules"].as_array().cloned().unwrap_or_default();
                let content = |rule: &Value| rule["ruleContent"].as_str().map(str::to_owned);
                self.rules.extend(rules.iter().filter_map(content));
            }
            let ran = OpenOptions::new().create(true).append(true).open("ran");
            ran.and_then(|mut ran| writeln!(ran, "{command}"))
                .map_err(|error| format!("`ran` cannot be written: {error}"))?;
            format!("allowed: {command}")
        } else {
            format!("denied: {}", decision["message"].as_str().unwrap_or_default())
        };
        self.answer(&said);
        Ok(None)
    }

    /// A tool call that needs a person: the answer, with the call's own result told.
    fn ask(&mut self, tool: &str, input: &Value, suggestions: &Value) -> Result<Result<Value, Stop>, String> {
        let (message, call, request) = (self.start_message(), self.number(), self.number());
        self.assistant(
            &message,
            &json!({"type": "tool_use", "id": call, "name": tool, "input": input}),
        );
        self.say(&json!({"type": "system", "subtype": "session_state_changed", "state": "requires_action"}));
        self.say(
            &json!({"type": "control_request", "request_id": request, "request": {"subtype": "can_use_tool",
            "tool_name": tool, "input": input, "tool_use_id": call, "permission_suggestions": suggestions}}),
        );
        loop {
            match self.wait(None)? {
                Err(stop) => {
                    self.say(&json!({"type": "control_cancel_request", "request_id": request}));
                    return Ok(Err(stop));
                }
                Ok(Some(answer)) if answer["request_id"] == request => {
                    let decision = answer["response"].clone();
                    if decision["behavior"] == "allow" {
                        if !decision["updatedInput"].is_object() {
                            return Err(format!("allowed without the input: {answer}"));
                        }
                        self.tool_result(&call, &format!("ran {tool}"), false);
                    } else {
                        let why = decision["message"].as_str().ok_or("denied without a message")?;
                        self.tool_result(&call, why, true);
                    }
                    return Ok(Ok(decision));
                }
                Ok(_) => {}
            }
        }
    }

    fn stream(&mut self, event: &Value) {
        let (session, uuid) = (self.session.clone(), self.number());
        self.say(
            &json!({"type": "stream_event", "event": event, "parent_tool_use_id": null, "uuid": uuid,
            "session_id": session}),
        );
    }

    fn start_message(&mut self) -> String {
        self.block_open = false;
        let id = format!("msg_{}", self.number());
        self.stream(&json!({"type": "message_start", "message": {"id": id, "model": "fake", "content": []}}));
        id
    }

    /// A piece of the message's only block.
    fn delta(&mut self, kind: &str, text: &str) {
        if !std::mem::replace(&mut self.block_open, true) {
            let block = json!({"type": kind, "text": ""});
            self.stream(&json!({"type": "content_block_start", "index": 0, "content_block": block}));
        }
        let field = if kind == "text" { "text" } else { "thinking" };
        let mut delta = json!({"type": format!("{kind}_delta")});
        delta[field] = json!(text);
        self.stream(&json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    }

    fn assistant(&mut self, message: &str, block: &Value) {
        let _ = self.transcript.add("assistant", &json!([block]));
        let session = self.session.clone();
        self.say(
            &json!({"type": "assistant", "parent_tool_use_id": null, "session_id": session, "message":
            {"id": message, "role": "assistant", "model": "fake", "content": [block], "stop_reason": null}}),
        );
    }

    fn tool_result(&mut self, call: &str, text: &str, failed: bool) {
        self.say(
            &json!({"type": "user", "parent_tool_use_id": null, "message": {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call, "content": text, "is_error": failed}]}}),
        );
    }

    fn answer(&mut self, text: &str) {
        let message = self.start_message();
        self.delta("text", text);
        self.assistant(&message, &json!({"type": "text", "text": text}));
        self.stream(&json!({"type": "content_block_stop", "index": 0}));
        self.stream(&json!({"type": "message_stop"}));
        self.done(text);
    }

    fn done(&mut self, text: &str) {
        self.failed = false;
        self.result(json!({"subtype": "success", "is_error": false, "result": text, "terminal_reason": "completed"}));
    }

    fn result(&mut self, mut result: Value) {
        result["type"] = json!("result");
        result["session_id"] = json!(self.session);
        result["num_turns"] = json!(1);
        result["duration_ms"] = json!(1);
        result["duration_api_ms"] = json!(1);
        result["usage"] = json!({"input_tokens": 10, "output_tokens": 5});
        result["total_cost_usd"] = json!(0.001);
        self.say(&result);
    }
}

fn parse(line: &str) -> Result<Value, String> {
    serde_json::from_str(line).map_err(|error| format!("Error parsing streaming input line: {error}"))
}

/// The images of a message, each as its type and size.
fn images(content: &Value) -> Result<Vec<String>, String> {
    let parts = content.as_array().map(Vec::as_slice).unwrap_or_default();
    let images = parts.iter().filter(|part| part["type"] == "image");
    images
        .map(|part| {
            let source = &part["source"];
            let data = source["data"].as_str().unwrap_or_default();
            if source["type"] != "base64" || data.is_empty() || data.len() % 4 != 0 {
                return Err(format!("no image that an API would take: {part}"));
            }
            let bytes = data.len() / 4 * 3 - data.bytes().rev().take_while(|byte| *byte == b'=').count();
            Ok(format!(
                "{} of {bytes} bytes",
                source["media_type"].as_str().unwrap_or_default()
            ))
        })
        .collect()
}

/// Without the name of who speaks, which stands before what is said in a channel.
fn spoken(text: &str) -> &str {
    match text.split_once(": ") {
        Some((name, said)) if !name.contains(char::is_whitespace) => said,
        _ => text,
    }
}

/// The command of a tool call that was granted while no process was there to be told.
fn granted(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("to use the tool Bash with the input ")?;
    let (input, rest) = rest.split_once(". It was granted")?;
    let other = rest.strip_prefix(" with another input").and_then(|rest| {
        let (_, input) = rest.split_once("with exactly the input ")?;
        Some(input.split_once(" now;")?.0)
    });
    let input = other.unwrap_or(input);
    let input: Value = serde_json::from_str(input).ok()?;
    input["command"].as_str().map(str::to_owned)
}
