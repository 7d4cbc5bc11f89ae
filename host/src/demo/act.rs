//! What the demo agent does with a message.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::speech::{self, Topic};
use super::{Demo, Stop};

/// Between two words.
const WORD: Duration = Duration::from_millis(25);
/// What a tool takes.
const WORK: Duration = Duration::from_millis(600);
/// What the permission is for.
const FILE: &str = "hello-from-botyard.md";
/// Files that a listing shows.
const LISTED: usize = 30;

impl Demo {
    /// One turn's work, up to its result.
    pub(super) fn act(&mut self, text: &str) -> Result<(), Stop> {
        let topic = speech::topic(text);
        if topic == Topic::Error {
            self.complain("This is how it looks when a turn fails. Nothing is broken: you asked for it.");
            return Ok(());
        }
        if self.memory.texts().len() == 1 {
            self.tell(speech::INTRODUCTION)?;
        }
        let last = match topic {
            Topic::Plan => self.plan()?,
            Topic::Tool => self.list()?,
            Topic::Write => self.write_file()?,
            Topic::Long => speech::LONG.join("\n\n"),
            Topic::Markdown => speech::MARKDOWN.to_owned(),
            Topic::Help => speech::HELP.to_owned(),
            // An error was told above.
            Topic::Echo | Topic::Error => self.echo(text),
        };
        self.tell(&last)?;
        self.result(json!({"subtype": "success", "is_error": false, "result": last, "terminal_reason": "completed"}));
        Ok(())
    }

    fn echo(&self, text: &str) -> String {
        let mut said = format!("You said: {}\n\n", quoted(text));
        let before = self
            .memory
            .texts()
            .rev()
            .skip(1)
            .take(3)
            .map(quoted)
            .collect::<Vec<_>>();
        if !before.is_empty() {
            let _ = write!(said, "And before that, the newest first: {}.\n\n", before.join(", "));
        }
        said.push_str(speech::HELP);
        said
    }

    fn plan(&mut self) -> Result<String, Stop> {
        self.think("A plan of three steps should do: look, count, report.")?;
        let steps = ["Look into the working folder", "Count what is there", "Report"];
        let mut count = 0;
        for active in 0..=steps.len() {
            let todos = steps.iter().enumerate().map(|(at, step)| {
                let state = match at.cmp(&active) {
                    std::cmp::Ordering::Less => "completed",
                    std::cmp::Ordering::Equal => "in_progress",
                    std::cmp::Ordering::Greater => "pending",
                };
                json!({"content": step, "status": state, "activeForm": step})
            });
            let input = json!({"todos": todos.collect::<Vec<_>>()});
            let call = self.call("TodoWrite", &input);
            self.tool_result(&call, "Todos have been modified successfully", false);
            if active == 1 {
                count = self.files().len();
            }
            self.pause(WORK)?;
        }
        Ok(format!(
            "The plan is done. There are {count} files and folders in my working folder."
        ))
    }

    fn list(&mut self) -> Result<String, Stop> {
        self.tell("I look into my working folder.")?;
        let call = self.call("LS", &json!({"path": self.folder}));
        self.pause(WORK)?;
        let files = self.files();
        let shown = files.iter().take(LISTED).cloned().collect::<Vec<_>>().join("\n");
        self.tool_result(&call, &shown, false);
        if files.is_empty() {
            return Ok("It is empty. Say `write` and I put a file there, if you allow it.".to_owned());
        }
        let mut said = format!("There are {} files and folders:\n\n", files.len());
        for file in files.iter().take(LISTED) {
            let _ = writeln!(said, "- {}", quoted(file));
        }
        if files.len() > LISTED {
            let _ = writeln!(said, "- and {} more", files.len() - LISTED);
        }
        Ok(said)
    }

    /// Sorted names; folders end in a slash. The agent's own folder is not one of them.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names = entries
            .map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if folder { format!("{name}/") } else { name }
            })
            .filter(|name| name != ".botyard-demo/")
            .collect::<Vec<_>>();
        names.sort();
        names
    }

    fn write_file(&mut self) -> Result<String, Stop> {
        self.tell("I would like to write a file. That is not mine to decide, so I ask.")?;
        let path = self.folder.join(FILE);
        let content = "# Hello from botyard\n\nThe demo agent wrote this, because somebody in a chat allowed it.\n";
        let input = json!({"file_path": path, "content": content});
        let call = self.call("Write", &input);
        let request = self.number("ask");
        self.state("requires_action");
        self.say(
            &json!({"type": "control_request", "request_id": &request, "request": {"subtype": "can_use_tool",
            "tool_name": "Write", "display_name": "Write", "input": &input, "tool_use_id": &call,
            "permission_suggestions": []}}),
        );
        let decision = self.answer_to(&request)?;
        self.state("running");
        if decision["behavior"] != "allow" {
            let why = decision["message"].as_str().unwrap_or("denied");
            self.tool_result(&call, why, true);
            return Ok("All right, I did not write it.".to_owned());
        }
        let input = decision.get("updatedInput").unwrap_or(&input);
        let content = input["content"].as_str().unwrap_or(content);
        match fs::write(&path, content) {
            Ok(()) => {
                self.tool_result(
                    &call,
                    &format!("File created successfully at: {}", path.display()),
                    false,
                );
                Ok(format!(
                    "Thank you. `{FILE}` is now in my working folder; say `tool` to see it there."
                ))
            }
            Err(error) => {
                self.tool_result(&call, &error.to_string(), true);
                Ok(format!("You allowed it, but the file could not be written: {error}."))
            }
        }
    }

    // ---- the protocol's blocks --------------------------------------------------------------------------------

    /// Streams a text word by word, then gives it whole.
    fn tell(&mut self, text: &str) -> Result<(), Stop> {
        self.block("text", "text_delta", "text", text)
    }

    fn think(&mut self, text: &str) -> Result<(), Stop> {
        self.block("thinking", "thinking_delta", "thinking", text)
    }

    fn block(&mut self, kind: &str, delta: &str, field: &str, text: &str) -> Result<(), Stop> {
        let message = self.number("msg");
        self.stream(&json!({"type": "message_start", "message": {"id": &message, "model": "demo", "content": []}}));
        let mut empty = json!({"type": kind});
        empty[field] = json!("");
        self.stream(&json!({"type": "content_block_start", "index": 0, "content_block": empty}));
        let mut said = String::new();
        let mut stopped = Ok(());
        for piece in speech::pieces(text) {
            let mut piece_of = json!({"type": delta});
            piece_of[field] = json!(piece);
            self.stream(&json!({"type": "content_block_delta", "index": 0, "delta": piece_of}));
            said.push_str(piece);
            stopped = self.pause(WORD);
            if stopped.is_err() {
                break;
            }
        }
        // What was said before an interrupt stays said.
        let mut whole = json!({"type": kind});
        whole[field] = json!(said);
        self.assistant(&message, &whole);
        self.stream(&json!({"type": "content_block_stop", "index": 0}));
        self.stream(&json!({"type": "message_stop"}));
        stopped
    }

    /// A tool call; gives its id.
    fn call(&mut self, tool: &str, input: &Value) -> String {
        let (message, call) = (self.number("msg"), self.number("toolu"));
        let block = json!({"type": "tool_use", "id": &call, "name": tool, "input": input});
        self.assistant(&message, &block);
        call
    }

    fn tool_result(&mut self, call: &str, text: &str, failed: bool) {
        let block = json!({"type": "tool_result", "tool_use_id": call, "content": text, "is_error": failed});
        self.say(&json!({"type": "user", "parent_tool_use_id": null,
            "message": {"role": "user", "content": [block]}}));
    }

    fn complain(&mut self, words: &str) {
        let message = json!({"id": self.number("msg"), "model": "<synthetic>", "role": "assistant",
            "content": [{"type": "text", "text": words}]});
        let error = "unknown";
        self.say(&json!({"type": "assistant", "parent_tool_use_id": null, "message": message, "error": error}));
        self.result(
            json!({"subtype": "success", "is_error": true, "result": words, "api_error_status": null,
            "terminal_reason": "completed"}),
        );
    }

    fn assistant(&mut self, message: &str, block: &Value) {
        self.say(
            &json!({"type": "assistant", "parent_tool_use_id": null, "message": {"id": message, "model": "demo",
            "role": "assistant", "content": [block], "stop_reason": null}}),
        );
    }

    fn stream(&mut self, event: &Value) {
        self.say(&json!({"type": "stream_event", "parent_tool_use_id": null, "event": event}));
    }
}

/// As a code span, on one line and not too long.
fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "'");
    let mut short = line.chars().take(200).collect::<String>();
    if short.len() < line.len() {
        short.push('…');
    }
    format!("`{short}`")
}
