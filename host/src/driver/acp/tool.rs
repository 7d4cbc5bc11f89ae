//! A tool call as the agent tells it, piece by piece, and how it reads to a person.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::message::{list, text};
use crate::driver::words::{
    ASK_LIMIT, STEP_LIMIT, cut, cut_fenced, diff, fenced, inline, one_line, pretty, shorten_path,
};

/// What is known of a call. Each update says what is new.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Call {
    title: String,
    kind: String,
    status: String,
    content: Vec<Value>,
    input: Value,
    output: Value,
    /// What it printed so far, where the agent tells it as a terminal's; not much more than a step shows.
    printed: String,
    paths: Vec<String>,
    /// The agent's own name of the tool, where it says it.
    name: Option<String>,
    /// A person denied it.
    pub(super) denied: bool,
    /// Its end was told.
    pub(super) ended: bool,
}

impl Call {
    /// Takes what a `tool_call`, a `tool_call_update` or a request says.
    pub(super) fn learn(&mut self, told: &Value) {
        let take = |name: &str, to: &mut String| {
            if let Some(word) = told.get(name).and_then(Value::as_str).filter(|word| !word.is_empty()) {
                word.clone_into(to);
            }
        };
        take("title", &mut self.title);
        take("kind", &mut self.kind);
        take("status", &mut self.status);
        let content = list(told, "content").cloned().collect::<Vec<_>>();
        if !content.is_empty() {
            self.content = content;
        }
        let some = |name: &str| told.get(name).filter(|value| !is_nothing(value)).cloned();
        if let Some(input) = some("rawInput") {
            self.input = input;
        }
        if let Some(output) = some("rawOutput") {
            self.output = output;
        }
        let piece = told
            .pointer("/_meta/terminal_output_delta/data")
            .and_then(Value::as_str);
        if let Some(piece) = piece.filter(|_| self.printed.len() <= STEP_LIMIT) {
            self.printed.push_str(piece);
        }
        let paths = list(told, "locations").map(|place| text(place, "path").to_owned());
        let paths = paths.filter(|path| !path.is_empty()).collect::<Vec<_>>();
        if !paths.is_empty() {
            self.paths = paths;
        }
        let name = told.pointer("/_meta/claudeCode/toolName").and_then(Value::as_str);
        self.name = name.map(str::to_owned).or_else(|| self.name.take());
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed")
    }

    pub(super) fn has_failed(&self) -> bool {
        self.status == "failed"
    }

    /// The words of [`crate::chat::Step`]'s kind.
    pub(super) fn kind(&self) -> &'static str {
        match self.kind.as_str() {
            "read" => "read",
            "edit" | "delete" | "move" => "edit",
            "search" => "search",
            "execute" => "execute",
            "think" | "switch_mode" => "think",
            "fetch" => "fetch",
            _ => "other",
        }
    }

    /// What it is called where a name is needed: the agent's, or the kind.
    pub(super) fn tool(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None if self.kind.is_empty() => "other".to_owned(),
            None => self.kind.clone(),
        }
    }

    /// The input, canonical JSON; what stands for it where the agent keeps it to itself.
    pub(super) fn input(&self) -> String {
        if is_nothing(&self.input) {
            json!({"title": self.title, "content": self.content}).to_string()
        } else {
            self.input.to_string()
        }
    }

    /// One line. Paths in the workspace are relative to it.
    pub(super) fn title(&self, workspace: &Path) -> String {
        let title = match (self.title.as_str(), &self.name) {
            ("", Some(name)) => name.clone(),
            ("", None) => self.tool(),
            (title, _) => shorten_path(title, workspace),
        };
        one_line(&title)
    }

    /// What the step shows besides its title; empty where the title says it all.
    pub(super) fn detail(&self) -> String {
        if let Some(command) = self.command() {
            return cut_fenced(fenced("sh", &command), STEP_LIMIT);
        }
        cut_fenced(self.diffs(), STEP_LIMIT)
    }

    /// What a person needs to decide, as markdown. Whatever the agent says of it: what is not seen is allowed unseen.
    pub(super) fn question(&self) -> String {
        let mut parts = Vec::new();
        if let Some(command) = self.command() {
            parts.push(fenced("sh", &command));
        } else if self.kind == "execute" {
            // Where the input is kept from us the title is the command.
            parts.push(fenced("sh", &self.title));
        }
        parts.push(self.diffs());
        let texts = self.texts();
        if !texts.is_empty() {
            parts.push(texts);
        }
        let shown = self.command().is_some() || !self.diffs().is_empty();
        if !shown && !is_nothing(&self.input) {
            parts.push(fenced("json", &pretty(&self.input)));
        }
        if parts.iter().all(String::is_empty) {
            let paths = self.paths.iter().map(|path| inline(path)).collect::<Vec<_>>();
            parts.push(if paths.is_empty() {
                inline(&self.title)
            } else {
                paths.join("\n")
            });
        }
        parts.retain(|part| !part.is_empty());
        cut_fenced(parts.join("\n\n"), ASK_LIMIT)
    }

    /// What came of it.
    pub(super) fn output(&self) -> String {
        let texts = self.texts();
        let output = if texts.is_empty() {
            match &self.output {
                Value::String(output) => output.clone(),
                Value::Null => self.printed.clone(),
                other => [text(other, "output"), text(other, "error")].concat(),
            }
        } else {
            unfenced(&texts)
        };
        cut(output, STEP_LIMIT)
    }

    fn command(&self) -> Option<String> {
        match self.input.get("command")? {
            Value::String(command) => Some(command.clone()),
            Value::Array(words) => {
                let words = words.iter().map(|word| match word.as_str() {
                    Some(word) => word.to_owned(),
                    None => word.to_string(),
                });
                Some(words.collect::<Vec<_>>().join(" "))
            }
            _ => None,
        }
    }

    fn diffs(&self) -> String {
        let mut out = String::new();
        for change in self.content.iter().filter(|part| text(part, "type") == "diff") {
            let both = diff(text(change, "oldText"), text(change, "newText"));
            let _ = write!(out, "{}\n\n{both}\n\n", inline(text(change, "path")));
        }
        out.trim_end().to_owned()
    }

    fn texts(&self) -> String {
        let parts = self.content.iter().filter(|part| text(part, "type") == "content");
        let texts = parts.map(|part| match part.get("content") {
            Some(content) if text(content, "type") == "text" => text(content, "text").to_owned(),
            Some(content) => format!("[{}]", text(content, "type")),
            None => String::new(),
        });
        texts.collect::<Vec<_>>().join("\n").trim().to_owned()
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Without the code block that some agents put around an output.
fn unfenced(text: &str) -> String {
    let inside = || {
        let rest = text.strip_prefix("```")?.strip_suffix("```")?;
        let (language, inside) = rest.split_once('\n')?;
        (language.chars().all(char::is_alphanumeric) && !inside.contains("```")).then(|| inside.trim_end().to_owned())
    };
    inside().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(told: &[Value]) -> Call {
        let mut call = Call::default();
        told.iter().for_each(|told| call.learn(told));
        call
    }

    #[test]
    fn what_a_call_says_piece_by_piece_is_put_together() {
        // opencode
        let call = call(&[
            json!({"title": "bash", "kind": "execute", "status": "pending", "rawInput": {"cwd": "/w"}}),
            json!({"status": "in_progress", "title": "touch made", "rawInput": {"command": "touch made", "cwd": "/w"}}),
            json!({"status": "completed", "content": [{"type": "content", "content": {"type": "text", "text": "ok\n"}}]}),
        ]);
        assert_eq!(call.title(Path::new("/w")), "touch made");
        assert_eq!(
            (call.kind(), call.is_over(), call.has_failed()),
            ("execute", true, false)
        );
        assert_eq!(call.detail(), "```sh\ntouch made\n```");
        assert_eq!(call.output(), "ok");
    }

    #[test]
    fn a_request_shows_the_command_wherever_it_stands() {
        let gemini = call(&[json!({"title": "rm -rf x", "kind": "execute", "content":
            [{"type": "content", "content": {"type": "text", "text": "[current working directory /w] (clean)"}}]})]);
        assert_eq!(
            gemini.question(),
            "```sh\nrm -rf x\n```\n\n[current working directory /w] (clean)"
        );
        let codex = call(&[json!({"title": "run", "kind": "execute", "rawInput": {"command": ["rm", "x"]}})]);
        assert_eq!(codex.question(), "```sh\nrm x\n```");
        assert_eq!(codex.input(), r#"{"command":["rm","x"]}"#);
        let edit = call(&[json!({"title": "Write f", "kind": "edit", "content":
            [{"type": "diff", "path": "/w/f", "oldText": null, "newText": "one"}]})]);
        assert_eq!(edit.question(), "`/w/f`\n\n```diff\n+ one\n```");
        let unknown = call(&[json!({"title": "Go on?", "kind": "later", "rawInput": {"a": 1}})]);
        assert_eq!(unknown.question(), "```json\n{\n  \"a\": 1\n}\n```");
        assert_eq!((unknown.kind(), unknown.tool().as_str()), ("other", "later"));
        let bare = call(&[json!({"title": "Go on?"})]);
        assert_eq!((bare.question().as_str(), bare.tool().as_str()), ("`Go on?`", "other"));
    }

    #[test]
    fn an_output_is_freed_of_its_code_block() {
        let output = |text: &str| {
            call(&[json!({"content": [{"type": "content", "content": {"type": "text", "text": text}}]})]).output()
        };
        assert_eq!(output("```console\nit is made\n```"), "it is made");
        assert_eq!(output("``` x\n```"), "``` x\n```");
        let raw = call(&[json!({"rawOutput": {"error": "Tool execution aborted"}})]);
        assert_eq!(raw.output(), "Tool execution aborted");
    }

    #[test]
    fn an_output_that_comes_as_a_terminals_is_put_together() {
        let piece = |data: &str| json!({"_meta": {"terminal_output_delta": {"data": data, "terminal_id": "1"}}});
        let codex = call(&[
            json!({"status": "in_progress", "content": [{"type": "terminal", "terminalId": "1"}]}),
            piece("one\n"),
            piece("two\n"),
        ]);
        assert_eq!(codex.output(), "one\ntwo\n");
        let long = call(&vec![piece(&"x".repeat(1000)); 100]);
        assert!(long.printed.len() <= STEP_LIMIT + 1000);
    }
}
