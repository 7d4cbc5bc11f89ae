//! A scripted agent that speaks the Agent Client Protocol (version 1) and answers at once, without a model. [`program`]
//! builds it and says where it is; what a prompt makes it do stands in its words:
//!
//! | first word | what happens |
//! | --- | --- |
//! | `slow MS TEXT` | half of the text, a pause that a cancel ends, the rest |
//! | `hang` | a first word and nothing more; a cancel ends it |
//! | `deaf` | says nothing more, whatever comes |
//! | `exit N` | a line on stderr, then exit code N, in the middle of an answer |
//! | `garbage` | lines that are none of the protocol, unknown updates, another session's, then an answer |
//! | `big N` | a tool's output of N bytes, in one line, then an answer |
//! | `permission TEXT` | a command that needs permission; says what was decided |
//! | `tool TEXT` | a tool call that ends, with its output, then an answer |
//! | `open` | a tool call whose end is never told |
//! | `plan` | a plan, then an answer |
//! | `think TEXT` | thinks, then answers |
//! | `fail CODE TEXT` | says the text, then the prompt is answered with an error that says it too |
//! | `stop REASON` | the prompt is answered with this stop reason |
//! | `files` | asks for files and a terminal, which nobody offered; says how often that was refused |
//! | `codex-error TEXT` | codex's way: it tries again, then its model has failed, and the text is the answer |
//! | `codex-permission TEXT` | like `permission`, and a denial ends the turn as cancelled |
//! | `late` | an answer, and one more word of it after the end |
//! | `images` | how many images came with the prompt |
//! | `settings` | the model and the mode |
//! | `recall` | the prompts of this conversation, also before it was gone on with |
//! | anything else | `echo: TEXT` |
//!
//! `FAKE_ACP` holds words that change it: `silent` never answers, `exit` ends at the start, `auth` wants to be
//! authenticated, `new` speaks version 2, `load` can only load (and tells the history, also late), `forgetful` can
//! neither. `FAKE_ACP_NAME` is what it says it is.
//!
//! It is strict: a line that is no request, an unknown session, a prompt while one runs, or a missing member ends it with
//! code 2 and says why.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What it says its version is.
pub const VERSION: &str = "1.2.3";

/// Where the program is.
///
/// # Panics
/// If it cannot be built.
pub fn program() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT.get_or_init(|| crate::build("fake-acp")).clone()
}

/// How a prompt ends.
type Answer = Result<&'static str, (i64, String)>;

struct Agent {
    out: io::BufWriter<io::StdoutLock<'static>>,
    lines: Receiver<String>,
    ways: Vec<String>,
    folder: PathBuf,
    session: String,
    history: Vec<String>,
    model: String,
    mode: String,
    authenticated: bool,
    numbers: u64,
    cancelled: bool,
    denied: bool,
}

/// Runs it; called by the `fake-acp` binary.
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(text) => {
            let _ = writeln!(io::stderr(), "fake-acp: {text}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<u8, String> {
    let ways = variable("FAKE_ACP")
        .split_whitespace()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    if ways.iter().any(|way| way == "exit") {
        let _ = writeln!(io::stderr(), "fake-acp: told to exit at the start");
        return Ok(4);
    }
    let folder = PathBuf::from(variable("HOME")).join("fake-acp");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let (sender, lines) = sync_channel(64);
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut agent = Agent {
        out: io::BufWriter::with_capacity(1 << 16, io::stdout().lock()),
        lines,
        ways,
        folder,
        session: String::new(),
        history: Vec::new(),
        model: "small".to_owned(),
        mode: "ask".to_owned(),
        authenticated: false,
        numbers: 0,
        cancelled: false,
        denied: false,
    };
    loop {
        let Ok(line) = agent.lines.recv() else { return Ok(0) };
        if agent.is("silent") {
            continue;
        }
        agent.line(&line)?;
    }
}

/// Empty if it is not set.
fn variable(name: &str) -> String {
    let value = std::env::var_os(name).unwrap_or_default();
    value.to_string_lossy().into_owned()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

impl Agent {
    fn is(&self, way: &str) -> bool {
        self.ways.iter().any(|have| have == way)
    }

    fn say(&mut self, line: &Value) {
        // Nobody listens any more: the reader's end of file ends us.
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }

    fn update(&mut self, update: &Value) {
        let params = json!({"sessionId": self.session, "update": update});
        self.say(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}));
    }

    fn chunk(&mut self, words: &str) {
        self.update(&json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": words}}));
    }

    fn answer(&mut self, id: &Value, result: Result<Value, (i64, String)>) {
        let line = match result {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err((code, message)) => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
            }
        };
        self.say(&line);
    }

    /// A line between two prompts.
    fn line(&mut self, line: &str) -> Result<(), String> {
        let line = serde_json::from_str::<Value>(line).map_err(|error| format!("no JSON: {error}"))?;
        let (id, params) = (line["id"].clone(), line["params"].clone());
        let result = match text(&line, "method") {
            "initialize" => self.initialize(&params)?,
            "authenticate" => {
                self.authenticated = text(&params, "methodId") == "api-key";
                Ok(json!({}))
            }
            "session/new" | "session/load" | "session/resume" | "session/fork" => {
                self.open(text(&line, "method"), &params)?
            }
            "session/set_model" => self.setting(&params, "modelId", &["small", "large"])?,
            "session/set_mode" => self.setting(&params, "modeId", &["ask", "plan", "workspace-write"])?,
            "session/prompt" => return self.prompt(&id, &params),
            // Too late to be of use.
            "session/cancel" => return Ok(()),
            "" => return Err(format!("an answer that was not asked for: {line}")),
            other => Err((-32601, format!("Method not found: {other}"))),
        };
        self.answer(&id, result);
        if self.is("load") && text(&line, "method") == "session/load" {
            // As gemini does: the rest of the history comes late.
            self.chunk("said before, told late");
        }
        Ok(())
    }

    fn initialize(&self, params: &Value) -> Result<Result<Value, (i64, String)>, String> {
        if params["protocolVersion"] != 1 || params["clientCapabilities"]["terminal"] != false {
            return Err(format!("initialize: {params}"));
        }
        let session = match () {
            () if self.is("load") || self.is("forgetful") => json!({}),
            () => json!({"resume": {}, "fork": {}}),
        };
        let name = Some(variable("FAKE_ACP_NAME")).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| "fake-acp".to_owned());
        Ok(Ok(json!({
            "protocolVersion": if self.is("new") { 2 } else { 1 },
            "agentInfo": {"name": name, "version": VERSION},
            "authMethods": [{"id": "api-key", "name": "Key"}],
            "agentCapabilities": {"loadSession": !self.is("forgetful"), "promptCapabilities": {"image": true},
                "sessionCapabilities": session},
        })))
    }

    fn open(&mut self, method: &str, params: &Value) -> Result<Result<Value, (i64, String)>, String> {
        if !PathBuf::from(text(params, "cwd")).is_absolute() || !params["mcpServers"].is_array() {
            return Err(format!("{method}: {params}"));
        }
        if self.is("auth") && !self.authenticated {
            return Ok(Err((-32000, "Authentication required".to_owned())));
        }
        let asked = text(params, "sessionId").to_owned();
        self.session = match method {
            "session/new" | "session/fork" => format!("fake-{}", uuid::Uuid::new_v4()),
            _ => asked.clone(),
        };
        if method != "session/new" {
            let Ok(kept) = fs::read_to_string(self.folder.join(&asked)) else {
                return Ok(Err((-32002, format!("Resource not found: {asked}"))));
            };
            let lines = kept.lines().filter_map(|line| serde_json::from_str(line).ok());
            self.history = lines.collect();
        }
        if method == "session/fork" {
            self.keep()?;
        }
        if method == "session/load" {
            self.update(&json!({"sessionUpdate": "user_message_chunk", "content": {"type": "text", "text": "before"}}));
            self.chunk("said before");
        }
        let model = |id: &str| json!({"modelId": id, "name": id});
        let mode = |id: &str| json!({"id": id, "name": id});
        let mut answer = json!({
            "models": {"availableModels": [model("small"), model("large")], "currentModelId": self.model},
            "modes": {"availableModes": [mode("ask"), mode("plan"), mode("workspace-write")], "currentModeId": self.mode},
        });
        if method == "session/new" || method == "session/fork" {
            answer["sessionId"] = self.session.clone().into();
        }
        Ok(Ok(answer))
    }

    fn keep(&self) -> Result<(), String> {
        let lines = self
            .history
            .iter()
            .map(|said| format!("{}\n", Value::from(said.as_str())));
        let file = self.folder.join(&self.session);
        fs::write(file, lines.collect::<String>()).map_err(|error| error.to_string())
    }

    fn setting(&mut self, params: &Value, name: &str, known: &[&str]) -> Result<Result<Value, (i64, String)>, String> {
        if text(params, "sessionId") != self.session {
            return Err(format!("an unknown session: {params}"));
        }
        let wanted = text(params, name).to_owned();
        if !known.contains(&wanted.as_str()) {
            return Ok(Err((-32602, format!("there is no `{wanted}`"))));
        }
        if name == "modelId" {
            self.model = wanted;
        } else {
            self.mode = wanted;
        }
        Ok(Ok(json!({})))
    }

    fn prompt(&mut self, id: &Value, params: &Value) -> Result<(), String> {
        if text(params, "sessionId") != self.session || self.session.is_empty() {
            return Err(format!("an unknown session: {params}"));
        }
        let parts = params["prompt"].as_array().ok_or("a prompt without parts")?;
        let texts = parts.iter().filter_map(|part| part["text"].as_str()).map(str::to_owned);
        let texts = texts.collect::<Vec<_>>();
        let images = parts.iter().filter(|part| part["type"] == "image").count();
        let said = texts.last().cloned().unwrap_or_default();
        self.cancelled = false;
        self.history.push(texts.join(" / "));
        self.keep()?;
        let answer = self.act(&said, images)?;
        let usage = json!({"inputTokens": 10, "outputTokens": 5, "totalTokens": 15});
        let result = match answer {
            Err(_) | Ok(_) if self.cancelled => Ok(json!({"stopReason": "cancelled"})),
            Ok(reason) => Ok(json!({"stopReason": reason, "usage": usage})),
            Err(error) => Err(error),
        };
        self.answer(id, result);
        if said == "late" {
            self.chunk("too late");
        }
        Ok(())
    }

    /// Waits this long (none: for ever) for an answer to a request of ours; a cancel ends it.
    fn wait(&mut self, time: Option<Duration>) -> Result<Option<Value>, String> {
        let end = time.map(|time| Instant::now() + time);
        loop {
            let line = match end {
                Some(end) => self.lines.recv_timeout(end.saturating_duration_since(Instant::now())),
                None => self.lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let line = match line {
                Ok(line) => serde_json::from_str::<Value>(&line).map_err(|error| format!("no JSON: {error}"))?,
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => std::process::exit(0),
            };
            match text(&line, "method") {
                "session/cancel" => {
                    self.cancelled = true;
                    if time.is_some() {
                        return Ok(None);
                    }
                    // What was asked is answered as well.
                    if !self.ways.iter().any(|way| way == "asked") {
                        return Ok(None);
                    }
                }
                "session/prompt" => return Err("a second prompt while one runs".to_owned()),
                "" => return Ok(Some(line)),
                method => {
                    let refusal = (-32601, format!("Method not found: {method}"));
                    self.answer(&line["id"].clone(), Err(refusal));
                }
            }
        }
    }

    fn ask(&mut self, method: &str, params: &Value) -> Result<Option<Value>, String> {
        self.numbers += 1;
        let id = format!("ask-{}", self.numbers);
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        self.ways.push("asked".to_owned());
        let answer = self.wait(None);
        self.ways.pop();
        let answer = answer?;
        if let Some(answer) = &answer
            && answer["id"] != id.as_str()
        {
            return Err(format!("an answer to something else: {answer}"));
        }
        Ok(answer)
    }

    fn act(&mut self, said: &str, images: usize) -> Result<Answer, String> {
        let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
        let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let tool = |status: &str, more: Value| {
            let mut update = json!({"sessionUpdate": "tool_call", "toolCallId": "call-1", "title": rest,
                "kind": "execute", "status": status, "rawInput": {"command": rest}});
            if let (Value::Object(update), Value::Object(more)) = (&mut update, more) {
                update.extend(more);
            }
            update
        };
        let output = |text: &str| {
            json!({"sessionUpdate": "tool_call_update", "toolCallId": "call-1", "status": "completed",
                "content": [{"type": "content", "content": {"type": "text", "text": text}}]})
        };
        match word {
            "slow" => {
                self.chunk("half, ");
                self.wait(Some(Duration::from_millis(first.parse().unwrap_or(100))))?;
                if !self.cancelled {
                    self.chunk(after);
                }
            }
            "hang" => {
                self.chunk("well ");
                self.wait(None)?;
            }
            "deaf" => {
                self.chunk("well ");
                loop {
                    thread::park();
                }
            }
            "exit" => {
                self.chunk("this is never");
                let _ = writeln!(io::stderr(), "fake-acp: told to exit");
                std::process::exit(first.parse().unwrap_or(1));
            }
            "garbage" => {
                let _ = self.out.write_all(
                    b"Loading...\n[1,2]\n{\"id\":99,\"result\":{}}\n{\"method\":\"_later/thing\"}\n\xff\xfe\n",
                );
                self.update(&json!({"sessionUpdate": "later_update", "what": [1, {"a": null}]}));
                self.update(&json!({"sessionUpdate": "agent_message_chunk", "content": 7}));
                self.update(
                    &json!({"sessionUpdate": "tool_call", "toolCallId": null, "content": "x", "locations": {}}),
                );
                self.update(&json!(null));
                self.say(&json!({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "another",
                    "update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "foreign"}}}}));
                self.chunk("after the garbage");
            }
            "big" => {
                let size = first.parse().unwrap_or(1000);
                self.update(&tool("in_progress", json!({})));
                self.update(&output(&"x".repeat(size)));
                self.chunk("after the big line");
            }
            "permission" => return self.permission(rest, &tool("pending", json!({}))),
            "tool" => {
                self.update(&tool("in_progress", json!({})));
                self.update(&output("done"));
                self.chunk("used it");
            }
            "open" => {
                self.update(&tool("in_progress", json!({})));
                self.chunk("began it");
            }
            "plan" => {
                let entry = |text: &str, status: &str| json!({"content": text, "priority": "high", "status": status});
                let entries = [
                    entry("one", "completed"),
                    entry("two", "in_progress"),
                    entry("three", "pending"),
                ];
                self.update(&json!({"sessionUpdate": "plan", "entries": entries}));
                self.chunk("planned");
            }
            "think" => {
                self.update(&json!({"sessionUpdate": "agent_thought_chunk",
                    "content": {"type": "text", "text": "let me see"}}));
                self.chunk(rest);
            }
            "fail" => {
                self.chunk(after);
                return Ok(Err((
                    first.parse().unwrap_or(-32603),
                    format!("Internal error: {after}"),
                )));
            }
            "stop" => {
                let reasons = ["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"];
                self.chunk("that is it");
                return Ok(Ok(reasons
                    .into_iter()
                    .find(|reason| *reason == first)
                    .unwrap_or("end_turn")));
            }
            "files" => {
                let file = json!({"sessionId": self.session, "path": "/etc/passwd", "content": "x"});
                let mut refused = 0;
                for method in [
                    "fs/read_text_file",
                    "fs/write_text_file",
                    "terminal/create",
                    "elicitation/create",
                ] {
                    let answer = self.ask(method, &file)?.unwrap_or_default();
                    refused += usize::from(answer["error"]["code"] == -32601);
                }
                self.chunk(&format!("refused {refused} times"));
            }
            "codex-error" => {
                let codex = |what: Value| json!({"sessionUpdate": "session_info_update", "_meta": {"codex": what}});
                self.update(&codex(
                    json!({"error": {"message": "Reconnecting... 2/5", "willRetry": true,
                    "additionalDetails": rest}}),
                ));
                self.update(&codex(json!({"threadStatus": {"type": "systemError"}})));
                self.chunk(rest);
            }
            "codex-permission" => {
                let answer = self.permission(rest, &tool("pending", json!({})))?;
                return Ok(if self.denied { Ok("cancelled") } else { answer });
            }
            "images" => self.chunk(&format!("{images} images")),
            "settings" => {
                let words = format!("{} {}", self.model, self.mode);
                self.chunk(&words);
            }
            "recall" => {
                let before = self.history[..self.history.len() - 1].join(" | ");
                self.chunk(&before);
            }
            _ => {
                self.chunk("echo: ");
                self.chunk(said);
            }
        }
        Ok(Ok("end_turn"))
    }

    fn permission(&mut self, command: &str, call: &Value) -> Result<Answer, String> {
        let options = json!([{"optionId": "ever", "kind": "allow_always", "name": "For all future sessions"},
            {"optionId": "allow_for_session", "kind": "allow_always", "name": "For this session"},
            {"optionId": "o", "kind": "allow_once", "name": "Once"},
            {"optionId": "r", "kind": "reject_once", "name": "No"}]);
        let mut call = call.clone();
        call["sessionUpdate"] = Value::Null;
        let params = json!({"sessionId": self.session, "toolCall": call, "options": options});
        let answer = self.ask("session/request_permission", &params)?.unwrap_or_default();
        let outcome = &answer["result"]["outcome"];
        let (status, words) = match (text(outcome, "outcome"), text(outcome, "optionId")) {
            ("selected", "o") => ("completed", "allowed"),
            ("selected", "allow_for_session") => ("completed", "allowed for the session"),
            ("selected", "ever") => ("completed", "allowed for good"),
            ("selected", "r") => ("failed", "denied"),
            ("cancelled", _) => ("failed", "cancelled"),
            _ => return Err(format!("no decision: {answer}")),
        };
        self.denied = words == "denied";
        self.update(&json!({"sessionUpdate": "tool_call_update", "toolCallId": "call-1", "status": status}));
        self.chunk(&format!("{words}: {command}"));
        Ok(Ok("end_turn"))
    }
}
