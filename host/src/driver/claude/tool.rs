//! How tool calls read to a person: what kind, one line, and what there is to decide.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::chat::{Editable, PlanItem, PlanState, Question, Subject};
use crate::driver::words::{self, ASK_LIMIT, STEP_LIMIT, cut_fenced, fenced, inline, one_line, pretty, shorten_path};

/// The words of [`crate::chat::Step`]'s kind.
pub(super) fn kind(tool: &str) -> &'static str {
    match tool {
        "Read" | "NotebookRead" | "LS" | "ReadMcpResource" | "ListMcpResources" => "read",
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => "edit",
        "Grep" | "Glob" | "ToolSearch" => "search",
        "Bash" | "BashOutput" | "KillShell" | "KillBash" | "PowerShell" | "TaskOutput" | "TaskStop" => "execute",
        "Task" | "Agent" | "Skill" | "ExitPlanMode" | "EnterPlanMode" => "think",
        "WebFetch" | "WebSearch" => "fetch",
        _ => "other",
    }
}

/// What a request to use it is about.
pub(super) fn subject(tool: &str, input: &Value) -> Subject {
    match tool {
        "ExitPlanMode" => Subject::Plan,
        "AskUserQuestion" => Subject::Questions(questions(input)),
        _ => Subject::Tool,
    }
}

/// What of its input a person may change.
pub(super) fn editable(tool: &str, input: &Value) -> Editable {
    match tool {
        "ExitPlanMode" | "AskUserQuestion" => Editable::No,
        "Bash" | "PowerShell" if input.get("command").is_some_and(Value::is_string) => {
            Editable::Field("command".to_owned())
        }
        _ if input.is_object() => Editable::Json,
        _ => Editable::No,
    }
}

/// One line: `Read src/main.rs`, `Bash: rm -rf build`. Paths in the workspace are relative to it.
pub(super) fn title(tool: &str, input: &Value, workspace: &Path) -> String {
    let text = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
    let path = |name: &str| shorten_path(text(name), workspace);
    let long = match tool {
        "Read" | "Write" | "Edit" | "MultiEdit" => format!("{tool} {}", path("file_path")),
        "NotebookEdit" | "NotebookRead" => format!("{tool} {}", path("notebook_path")),
        "LS" => format!("List {}", path("path")),
        "Bash" | "PowerShell" => format!("{tool}: {}", text("command")),
        "Grep" => match text("path") {
            "" => format!("Search for `{}`", text("pattern")),
            _ => format!("Search for `{}` in {}", text("pattern"), path("path")),
        },
        "Glob" => format!("Find {}", text("pattern")),
        "WebFetch" => format!("Fetch {}", text("url")),
        "WebSearch" => format!("Search the web for `{}`", text("query")),
        "Task" | "Agent" => format!("Sub-agent: {}", text("description")),
        "Skill" => format!("Skill {}", text("skill")),
        "AskUserQuestion" => match questions(input).first() {
            Some(question) => format!("Question: {}", question.text),
            None => "Question".to_owned(),
        },
        "ExitPlanMode" => "Go ahead with this plan?".to_owned(),
        _ => match tool.strip_prefix("mcp__").and_then(|rest| rest.split_once("__")) {
            Some((server, name)) => format!("{server}: {name}"),
            None => tool.to_owned(),
        },
    };
    one_line(&long)
}

/// What the step shows besides its title; empty where the title says it all.
pub(super) fn detail(tool: &str, input: &Value) -> String {
    let text = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
    let whole = match tool {
        "Read" | "LS" | "NotebookRead" | "Glob" | "WebSearch" => String::new(),
        "Bash" | "PowerShell" => fenced("sh", text("command")),
        "AskUserQuestion" | "ExitPlanMode" | "Write" | "Edit" | "MultiEdit" => body(tool, input),
        "WebFetch" | "Task" | "Agent" => text("prompt").to_owned(),
        _ if input.as_object().is_none_or(serde_json::Map::is_empty) => String::new(),
        _ => fenced("json", &pretty(input)),
    };
    cut_fenced(whole, STEP_LIMIT)
}

/// What a person needs to decide, as markdown: the command, the change, the path, the plan, the question.
pub(super) fn question(tool: &str, input: &Value, blocked_path: Option<&str>, reason: Option<&str>) -> String {
    let mut out = cut_fenced(body(tool, input), ASK_LIMIT);
    if let Some(path) = blocked_path.filter(|path| !path.is_empty()) {
        let _ = write!(out, "\n\nOutside of what is allowed: {}", inline(path));
    }
    if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
        let _ = write!(out, "\n\n{}", one_line(reason));
    }
    out.trim().to_owned()
}

fn body(tool: &str, input: &Value) -> String {
    let text = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
    match tool {
        "Bash" | "PowerShell" => match text("description") {
            "" => fenced("sh", text("command")),
            why => format!("{}\n\n{}", one_line(why), fenced("sh", text("command"))),
        },
        "Write" => format!("{}\n\n{}", inline(text("file_path")), fenced("", text("content"))),
        "Edit" => format!("{}\n\n{}", inline(text("file_path")), diff(input)),
        "MultiEdit" => {
            let edits = input.get("edits").and_then(Value::as_array).into_iter().flatten();
            let diffs = edits.map(diff).collect::<Vec<_>>();
            format!("{}\n\n{}", inline(text("file_path")), diffs.join("\n\n"))
        }
        "Read" | "LS" => inline([text("file_path"), text("path")].concat().as_str()),
        "WebFetch" => format!("{}\n\n{}", inline(text("url")), text("prompt")),
        "WebSearch" => inline(text("query")),
        "ExitPlanMode" => text("plan").to_owned(),
        "AskUserQuestion" => {
            let all = questions(input).into_iter().map(|question| {
                let options = question
                    .options
                    .iter()
                    .fold(String::new(), |mut list, (label, description)| {
                        let _ = write!(list, "\n- **{label}**");
                        if !description.is_empty() {
                            let _ = write!(list, ": {description}");
                        }
                        list
                    });
                format!("{}\n{options}", question.text)
            });
            all.collect::<Vec<_>>().join("\n\n")
        }
        _ => fenced("json", &pretty(input)),
    }
}

/// The questions of an `AskUserQuestion`.
fn questions(input: &Value) -> Vec<Question> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let all = input.get("questions").and_then(Value::as_array).into_iter().flatten();
    all.map(|question| Question {
        text: text(question, "question"),
        several: question.get("multiSelect").and_then(Value::as_bool).unwrap_or(false),
        options: question
            .get("options")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|option| (text(option, "label"), text(option, "description")))
            .collect(),
    })
    .collect()
}

fn diff(edit: &Value) -> String {
    let side = |name: &str| edit.get(name).and_then(Value::as_str).unwrap_or_default();
    words::diff(side("old_string"), side("new_string"))
}

/// The agent's plan, from the tools that it keeps it with.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// `TaskCreate` and `TaskUpdate`: by the CLI's id of the task; the number first, so that 10 follows 9.
    tasks: BTreeMap<(u64, String), PlanItem>,
}

impl Plan {
    /// Whether a tool only keeps the plan: it is shown as the plan, not as a step.
    pub(super) fn is_planning(tool: &str) -> bool {
        matches!(tool, "TodoWrite" | "TaskCreate" | "TaskUpdate" | "TaskList" | "TaskGet")
    }

    /// The plan after this call, if the call alone tells. `TaskCreate` does not: its id comes with its answer.
    pub(super) fn called(&mut self, tool: &str, input: &Value) -> Option<Vec<PlanItem>> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        match tool {
            "TodoWrite" => {
                let todos = input.get("todos")?.as_array()?;
                let item = |todo: &Value| {
                    Some(PlanItem {
                        text: text(todo, "content")?,
                        state: state(&text(todo, "status")?),
                    })
                };
                Some(todos.iter().filter_map(item).collect())
            }
            "TaskUpdate" => {
                let key = key(&text(input, "taskId")?);
                let status = text(input, "status");
                if status.as_deref() == Some("deleted") {
                    self.tasks.remove(&key)?;
                    return Some(self.items());
                }
                let item = self.tasks.get_mut(&key)?;
                if let Some(status) = status {
                    item.state = state(&status);
                }
                if let Some(subject) = text(input, "subject") {
                    item.text = subject;
                }
                Some(self.items())
            }
            _ => None,
        }
    }

    /// A `TaskCreate` was answered with this id.
    pub(super) fn created(&mut self, id: &str, input: &Value) -> Option<Vec<PlanItem>> {
        let text = input.get("subject")?.as_str()?.to_owned();
        let state = PlanState::Pending;
        self.tasks.insert(key(id), PlanItem { text, state });
        Some(self.items())
    }

    fn items(&self) -> Vec<PlanItem> {
        self.tasks.values().cloned().collect()
    }
}

fn key(id: &str) -> (u64, String) {
    (id.parse().unwrap_or(u64::MAX), id.to_owned())
}

fn state(word: &str) -> PlanState {
    match word {
        "completed" => PlanState::Done,
        "in_progress" => PlanState::Active,
        _ => PlanState::Pending,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::driver::words::TITLE_LIMIT;

    #[test]
    fn titles_are_short_and_relative() {
        let workspace = Path::new("/w");
        let shown = |tool, input| title(tool, &input, workspace);
        assert_eq!(
            shown("Read", json!({"file_path": "/w/src/main.rs"})),
            "Read src/main.rs"
        );
        assert_eq!(shown("Read", json!({"file_path": "/etc/hosts"})), "Read /etc/hosts");
        assert_eq!(
            shown("Bash", json!({"command": "rm -rf\n  build"})),
            "Bash: rm -rf build"
        );
        assert_eq!(shown("mcp__files__open", json!({})), "files: open");
        assert_eq!(shown("Later", json!(null)), "Later");
        let long = shown("Bash", json!({"command": "ü".repeat(500)}));
        assert_eq!(long.chars().count(), TITLE_LIMIT);
    }

    #[test]
    fn a_request_shows_what_would_be_done() {
        let edit = json!({"file_path": "/w/a.rs", "old_string": "one\ntwo", "new_string": "three"});
        assert_eq!(
            question("Edit", &edit, None, None),
            "`/w/a.rs`\n\n```diff\n- one\n- two\n+ three\n```"
        );
        let bash = json!({"command": "touch made", "description": "make it"});
        assert_eq!(
            question("Bash", &bash, Some("/w/made"), None),
            "make it\n\n```sh\ntouch made\n```\n\nOutside of what is allowed: `/w/made`"
        );
        let ask = json!({"questions": [{"question": "Which color?", "options": [{"label": "Blue", "description": "calm"}, {"label": "Red"}]}]});
        assert_eq!(
            question("AskUserQuestion", &ask, None, None),
            "Which color?\n\n- **Blue**: calm\n- **Red**"
        );
        assert_eq!(title("AskUserQuestion", &ask, Path::new("/")), "Question: Which color?");
    }

    #[test]
    fn what_is_shown_cannot_leave_its_code_block() {
        let bash = json!({"command": "echo '```'\n````\n**allowed already**"});
        let shown = question("Bash", &bash, None, None);
        assert!(shown.starts_with("`````sh\n") && shown.ends_with("\n`````"), "{shown}");
        let long = json!({"command": "ü".repeat(20_000)});
        let shown = question("Bash", &long, None, None);
        assert!(
            shown.len() <= ASK_LIMIT && shown.contains("more bytes") && shown.ends_with("\n```"),
            "{}",
            shown.len()
        );
    }

    #[test]
    fn a_plan_is_kept_by_either_set_of_tools() {
        let mut plan = Plan::default();
        let item = |text: &str, state| PlanItem {
            text: text.to_owned(),
            state,
        };
        let todos = json!({"todos": [{"content": "a", "status": "completed"}, {"content": "b", "status": "in_progress"}, {"content": "c"}]});
        assert_eq!(
            plan.called("TodoWrite", &todos),
            Some(vec![item("a", PlanState::Done), item("b", PlanState::Active)])
        );
        assert_eq!(plan.called("TaskCreate", &json!({"subject": "x"})), None);
        plan.created("10", &json!({"subject": "ten"}));
        plan.created("9", &json!({"subject": "nine"}));
        assert_eq!(
            plan.called("TaskUpdate", &json!({"taskId": "9", "status": "completed"})),
            Some(vec![item("nine", PlanState::Done), item("ten", PlanState::Pending)])
        );
        assert_eq!(
            plan.called("TaskUpdate", &json!({"taskId": "9", "status": "deleted"})),
            Some(vec![item("ten", PlanState::Pending)])
        );
        assert_eq!(
            plan.called("TaskUpdate", &json!({"taskId": "77", "status": "completed"})),
            None
        );
    }
}
