//! The demo agent: `botyard demo-agent` speaks the stream-json protocol on stdin and stdout, without a model. It is what
//! a newcomer talks to before a real agent is connected: it streams, uses tools, makes a plan and asks permission, and
//! says in plain words what it is and how to connect a real one.
//!
//! What it does is real: it reads the workspace, and writes there once that is allowed. It remembers a conversation in
//! a small file, so that a resumed one goes on.

mod act;
mod memory;
mod speech;

use std::collections::VecDeque;
use std::io::{self, BufRead as _, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use memory::Memory;

/// Switches the pauses off.
const FAST: &str = "--fast";

/// Lines that wait to be looked at.
const LINES: usize = 64;

/// What ends a turn early.
enum Stop {
    Interrupted,
    /// Nobody is there any more.
    Gone,
}

/// Runs the demo agent with the command line of a Claude Code process (`--session-id=`, `--resume=`; what else there is
/// means nothing to it) and `--fast`. Stdin's end ends it after the running turn.
pub fn run(args: Vec<String>) -> ExitCode {
    let mut session = None;
    let mut resume = false;
    let mut fast = false;
    for arg in args {
        if arg == FAST {
            fast = true;
        } else if let Some(id) = arg.strip_prefix("--session-id=") {
            session = Some(id.to_owned());
        } else if let Some(id) = arg.strip_prefix("--resume=") {
            session = Some(id.to_owned());
            resume = true;
        }
    }
    let session = session.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let Ok(folder) = std::env::current_dir() else {
        return ExitCode::FAILURE;
    };
    let memory = match Memory::open(&folder, &session, resume) {
        Ok(memory) => memory,
        Err(text) => {
            let _ = writeln!(io::stderr(), "{text}");
            return ExitCode::FAILURE;
        }
    };
    let (sender, lines) = sync_channel(LINES);
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut agent = Demo {
        out: io::stdout(),
        lines,
        queue: VecDeque::new(),
        folder,
        session,
        memory,
        fast,
        numbers: 0,
        failed: false,
    };
    agent.serve();
    if agent.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

struct Demo {
    out: io::Stdout,
    lines: Receiver<String>,
    /// Messages that came while a turn ran.
    queue: VecDeque<Value>,
    folder: std::path::PathBuf,
    session: String,
    memory: Memory,
    fast: bool,
    numbers: u64,
    /// The last result was an error.
    failed: bool,
}

impl Demo {
    fn serve(&mut self) {
        loop {
            while let Some(message) = self.queue.pop_front() {
                if matches!(self.turn(&message), Err(Stop::Gone)) {
                    return;
                }
            }
            let Ok(line) = self.lines.recv() else {
                return;
            };
            // No permission is open here: an answer to one is late, an interrupt ends nothing.
            let _ = self.hear(&line);
        }
    }

    /// A whole turn, from the message to `idle`.
    fn turn(&mut self, message: &Value) -> Result<(), Stop> {
        let content = &message["message"]["content"];
        let text = content
            .as_str()
            .or_else(|| content[0]["text"].as_str())
            .unwrap_or_default()
            .to_owned();
        let id = message["uuid"].as_str().unwrap_or_default().to_owned();
        self.state("running");
        self.say(
            &json!({"type": "system", "subtype": "init", "model": "demo", "tools": ["List", "Write", "TodoWrite"],
            "cwd": self.folder, "permissionMode": "default", "mcp_servers": [],
            "claude_code_version": env!("CARGO_PKG_VERSION")}),
        );
        self.lifecycle(&id, "started");
        let mut replay = message.clone();
        replay["isReplay"] = json!(true);
        self.say(&replay);
        // The same id twice is the same message: it was answered.
        let done = if self.memory.knows(&id) {
            Ok(())
        } else {
            self.memory.keep(&id, &text);
            self.act(&text)
        };
        if let Err(Stop::Interrupted) = done {
            self.result(json!({"subtype": "error_during_execution", "is_error": true,
                "terminal_reason": "aborted_streaming", "errors": ["interrupted"], "user_message_uuid": &id}));
        }
        self.lifecycle(&id, "completed");
        if self.queue.is_empty() {
            self.state("idle");
        }
        match done {
            Err(Stop::Gone) => Err(Stop::Gone),
            _ => Ok(()),
        }
    }

    // ---- what it hears ----------------------------------------------------------------------------------------

    /// Takes one line. `Ok(Some)`: an answer to a question of ours.
    fn hear(&mut self, line: &str) -> Result<Option<Value>, Stop> {
        let Ok(mut line) = serde_json::from_str::<Value>(line) else {
            return Ok(None);
        };
        match line["type"].as_str() {
            Some("user") => self.queue.push_back(line),
            Some("control_response") => return Ok(Some(line["response"].take())),
            Some("control_request") => {
                let request = &line["request"];
                let subtype = request["subtype"].as_str().unwrap_or_default().to_owned();
                let answer = match subtype.as_str() {
                    "initialize" => json!({"commands": [], "agents": [], "output_style": "default", "models": [],
                        "available_output_styles": ["default"], "account": {}, "pid": std::process::id()}),
                    // It takes no commands and reads no `@path`, as the newest of the CLIs it stands for.
                    "get_binary_version" => json!({"version": "2.1.329"}),
                    "interrupt" => json!({"still_queued": []}),
                    "cancel_async_message" => {
                        let before = self.queue.len();
                        let id = request["message_uuid"].clone();
                        self.queue.retain(|message| message["uuid"] != id);
                        json!({"cancelled": self.queue.len() < before})
                    }
                    _ => Value::Null,
                };
                let id = line["request_id"].clone();
                let response = if answer.is_null() {
                    let error = format!("Unsupported control request subtype: {subtype}");
                    json!({"subtype": "error", "request_id": id, "error": error})
                } else {
                    json!({"subtype": "success", "request_id": id, "response": answer})
                };
                self.say(&json!({"type": "control_response", "response": response}));
                if subtype == "interrupt" {
                    return Err(Stop::Interrupted);
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// Lets time pass and hears what comes meanwhile.
    fn pause(&mut self, time: Duration) -> Result<(), Stop> {
        let end = Instant::now() + if self.fast { Duration::ZERO } else { time };
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => drop(self.hear(&line)?),
                // What was begun is finished, also when nobody will say anything more.
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => return Ok(()),
            }
        }
    }

    /// Waits for the answer to this request.
    fn answer_to(&mut self, request: &str) -> Result<Value, Stop> {
        loop {
            let Ok(line) = self.lines.recv() else {
                return Err(Stop::Gone);
            };
            match self.hear(&line) {
                Ok(Some(mut answer)) if answer["request_id"] == request => return Ok(answer["response"].take()),
                Ok(_) => {}
                Err(stop) => {
                    self.say(&json!({"type": "control_cancel_request", "request_id": request}));
                    return Err(stop);
                }
            }
        }
    }

    // ---- what it says -----------------------------------------------------------------------------------------

    fn say(&mut self, line: &Value) {
        let mut line = line.clone();
        if line["type"] != "control_response" && line["type"] != "control_request" {
            line["session_id"] = json!(self.session);
        }
        // If nobody reads, the end of stdin comes next.
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }

    fn state(&mut self, state: &str) {
        self.say(&json!({"type": "system", "subtype": "session_state_changed", "state": state}));
    }

    fn lifecycle(&mut self, id: &str, state: &str) {
        self.say(&json!({"type": "command_lifecycle", "command_uuid": id, "state": state}));
    }

    fn result(&mut self, mut result: Value) {
        self.failed = result["is_error"] == true;
        result["type"] = json!("result");
        result["num_turns"] = json!(1);
        result["duration_ms"] = json!(0);
        result["duration_api_ms"] = json!(0);
        result["usage"] = json!({"input_tokens": 0, "output_tokens": 0});
        self.say(&result);
    }

    fn number(&mut self, prefix: &str) -> String {
        self.numbers += 1;
        format!("{prefix}_{}_{}", std::process::id(), self.numbers)
    }
}
