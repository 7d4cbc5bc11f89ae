//! What Claude Code says, line by line, as far as we need it. Made to be tolerant: an unknown type is [`Incoming::Other`],
//! an unknown field is ignored, and a field of an unexpected shape is as if it were not there. A line is never lost
//! because one of its fields changed.
//!
//! Measured with Claude Code 2.1.197 and 2.1.329.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One line of stdout.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Incoming {
    System(System),
    Stream(StreamEvent),
    Assistant(Assistant),
    User(User),
    Result(TurnResult),
    Lifecycle(Lifecycle),
    Request(ControlRequest),
    Response(ControlResponse),
    Cancel(CancelRequest),
    Limit(LimitEvent),
    Other,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type", default, deserialize_with = "lenient")]
    kind: String,
}

impl Incoming {
    /// None: not a JSON object.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        // Two passes: the first only looks for the type and builds nothing, so that a tag in the middle of a
        // line of several MiB does not cost a copy of it.
        let head = serde_json::from_slice::<Head>(line).ok()?;
        Some(match head.kind.as_str() {
            "system" => Self::System(read(line)?),
            "stream_event" => Self::Stream(read(line)?),
            "assistant" => Self::Assistant(read(line)?),
            "user" => Self::User(read(line)?),
            "result" => Self::Result(read(line)?),
            "command_lifecycle" => Self::Lifecycle(read(line)?),
            "control_request" => Self::Request(read(line)?),
            "control_response" => Self::Response(read::<ResponseLine>(line)?.response),
            "control_cancel_request" => Self::Cancel(read(line)?),
            "rate_limit_event" => Self::Limit(read(line)?),
            _ => Self::Other,
        })
    }
}

fn read<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

/// The value, or its default if it is missing or of another shape.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// A list without the members that are of another shape.
fn lenient_list<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Array(all) => all
            .into_iter()
            .filter_map(|value| serde_json::from_value(value).ok())
            .collect(),
        _ => Vec::new(),
    })
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct System {
    #[serde(deserialize_with = "lenient")]
    pub(super) subtype: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) session_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) model: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) claude_code_version: Option<String>,
    /// `init`.
    #[serde(deserialize_with = "lenient")]
    pub(super) tools: Option<Vec<String>>,
    /// `init` and `status`.
    #[serde(rename = "permissionMode", deserialize_with = "lenient")]
    pub(super) permission_mode: Option<String>,
    /// `status`: `requesting`, `compacting` or nothing.
    #[serde(deserialize_with = "lenient")]
    pub(super) status: Option<String>,
    /// `session_state_changed`: `running`, `requires_action`, `idle`.
    #[serde(deserialize_with = "lenient")]
    pub(super) state: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) attempt: u32,
    #[serde(deserialize_with = "lenient")]
    pub(super) max_retries: u32,
    #[serde(deserialize_with = "lenient")]
    pub(super) retry_delay_ms: f64,
    #[serde(deserialize_with = "lenient")]
    pub(super) error_status: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    pub(super) error: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_use_id: Option<String>,
    /// `background_tasks_changed`.
    #[serde(deserialize_with = "lenient")]
    pub(super) tasks: Option<Vec<BackgroundTask>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) task_id: Option<String>,
    /// `task_started` of 2.1.329; 2.1.197 does not say.
    #[serde(deserialize_with = "lenient")]
    pub(super) is_backgrounded: Option<bool>,
    /// `task_updated`.
    #[serde(deserialize_with = "lenient")]
    pub(super) patch: TaskPatch,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct BackgroundTask {
    #[serde(deserialize_with = "lenient")]
    pub(super) task_id: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct TaskPatch {
    #[serde(deserialize_with = "lenient")]
    pub(super) status: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct StreamEvent {
    #[serde(deserialize_with = "lenient")]
    pub(super) event: ApiEvent,
    #[serde(deserialize_with = "lenient")]
    pub(super) parent_tool_use_id: Option<String>,
}

/// An event of the model API's own stream.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ApiEvent {
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) index: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) message: Message,
    #[serde(deserialize_with = "lenient")]
    pub(super) content_block: Block,
    #[serde(deserialize_with = "lenient")]
    pub(super) delta: Delta,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) text: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) thinking: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Assistant {
    #[serde(deserialize_with = "lenient")]
    pub(super) message: Message,
    #[serde(deserialize_with = "lenient")]
    pub(super) parent_tool_use_id: Option<String>,
    /// `authentication_failed`, `rate_limit`, `server_error`, …: the text is the CLI's own complaint.
    #[serde(deserialize_with = "lenient")]
    pub(super) error: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) model: String,
    /// A plain string is no list: such a message has no blocks for us.
    #[serde(deserialize_with = "lenient_list")]
    pub(super) content: Vec<Block>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Block {
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) text: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) thinking: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) input: Value,
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_use_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) is_error: bool,
    /// Of a tool result: a string, or a list of blocks.
    #[serde(deserialize_with = "lenient")]
    pub(super) content: Value,
}

impl Block {
    /// The text of a tool result.
    pub(super) fn result_text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(blocks) => {
                let texts = blocks
                    .iter()
                    .map(|block| match block.get("text").and_then(Value::as_str) {
                        Some(text) => text.to_owned(),
                        None => format!("[{}]", block.get("type").and_then(Value::as_str).unwrap_or("something")),
                    });
                texts.collect::<Vec<_>>().join("\n")
            }
            _ => String::new(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct User {
    #[serde(deserialize_with = "lenient")]
    pub(super) message: Message,
    #[serde(deserialize_with = "lenient")]
    pub(super) uuid: Option<String>,
    #[serde(rename = "isReplay", deserialize_with = "lenient")]
    pub(super) is_replay: bool,
    /// The tool's own structured answer. `Value::Null` where it is large text: it is never read in whole.
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_use_result: ToolUseResult,
}

/// What we want of a tool's structured answer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ToolUseResult {
    /// `TaskCreate`: the task as it was made.
    #[serde(deserialize_with = "lenient")]
    pub(super) task: CreatedTask,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct CreatedTask {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct TurnResult {
    #[serde(deserialize_with = "lenient")]
    pub(super) subtype: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) is_error: bool,
    #[serde(deserialize_with = "lenient")]
    pub(super) api_error_status: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    pub(super) result: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) errors: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) terminal_reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) session_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) usage: Usage,
    /// Adds up over the life of the process.
    #[serde(deserialize_with = "lenient")]
    pub(super) total_cost_usd: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) user_message_uuid: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) origin: Option<Origin>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Origin {
    #[serde(deserialize_with = "lenient")]
    pub(super) kind: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    #[serde(deserialize_with = "lenient")]
    pub(super) input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) cache_creation_input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) cache_read_input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) output_tokens: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Lifecycle {
    #[serde(deserialize_with = "lenient")]
    pub(super) command_uuid: String,
    /// `queued`, `started`, `completed`, `cancelled`.
    #[serde(deserialize_with = "lenient")]
    pub(super) state: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ControlRequest {
    #[serde(deserialize_with = "lenient")]
    pub(super) request_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) request: Asked,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    #[serde(deserialize_with = "lenient")]
    pub(super) subtype: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_name: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) input: Value,
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_use_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) blocked_path: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) decision_reason: Option<String>,
    /// What could be allowed for longer, in the CLI's own form.
    #[serde(deserialize_with = "lenient")]
    pub(super) permission_suggestions: Vec<Value>,
}

/// Only with a subscription's login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct LimitEvent {
    #[serde(deserialize_with = "lenient")]
    pub(super) rate_limit_info: LimitInfo,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct LimitInfo {
    /// `allowed`, `allowed_warning`, `rejected`.
    #[serde(deserialize_with = "lenient")]
    pub(super) status: String,
    /// Seconds since 1970.
    #[serde(rename = "resetsAt", deserialize_with = "lenient")]
    pub(super) resets_at: Option<i64>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct ResponseLine {
    #[serde(deserialize_with = "lenient")]
    response: ControlResponse,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ControlResponse {
    #[serde(deserialize_with = "lenient")]
    pub(super) subtype: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) request_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) error: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) response: Value,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct CancelRequest {
    #[serde(deserialize_with = "lenient")]
    pub(super) request_id: String,
}
