//! A stand-in for Anthropic's Messages API: streaming and not, `count_tokens`, errors, dropped streams. It keeps every
//! request, and is strict: a request whose tool results do not belong to its tool calls is refused as the real API
//! refuses it, and remembered in [`Model::violations`].
//!
//! What it answers is a closure's word ([`Model::scripted`]) or stands in the last user message ([`Model::start`]):
//!
//! | first word | answer |
//! | --- | --- |
//! | `tool NAME JSON` | a call of that tool; then, when its result comes, `result: …` |
//! | `slow MS TEXT` | the words of the text with this pause between them |
//! | `hang` | the stream begins and says nothing more |
//! | `status CODE TIMES TEXT` | this error so many times, then the text |
//! | `drop TEXT` | a stream that breaks in the middle, once, then the text |
//! | `think TEXT` | thinking, then the text |
//! | anything else | `echo: TEXT` |

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the model says next.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Text(String),
    /// Thinking, then text.
    Thinking(String, String),
    /// Text before it may be empty.
    Tool {
        text: String,
        name: String,
        input: Value,
    },
    /// Words with a pause between them.
    Slow {
        text: String,
        pause: Duration,
    },
    /// Begins, and goes no further for as long as the other side waits.
    Hang,
    /// An error of the API, with `retry-after` in seconds.
    Status {
        code: u16,
        retry_after: Option<u32>,
    },
    /// Half of the text, then the connection breaks.
    Broken(String),
}

/// A request as a script sees it.
#[derive(Debug)]
pub struct Request<'a> {
    pub body: &'a Value,
    /// The words of the last user message, without the CLI's reminders; empty if it is a tool's result.
    pub text: &'a str,
    /// The last message is a tool's result: what it says, and whether it is an error.
    pub tool_result: Option<(&'a str, bool)>,
    /// Earlier requests with the same words.
    pub times: usize,
}

type Script = dyn Fn(&Request<'_>) -> Reply + Send + Sync;

struct Inner {
    script: Box<Script>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    requests: Vec<Value>,
    keys: Vec<String>,
    violations: Vec<String>,
    times: HashMap<String, usize>,
    messages: u64,
}

/// A running model. Dropping it stops it.
pub struct Model {
    address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Model {
    /// Answers by the words of the last user message.
    pub async fn start() -> Self {
        Self::scripted(by_words).await
    }

    /// Answers by a closure.
    ///
    /// # Panics
    /// If there is no free port on loopback.
    pub async fn scripted(script: impl Fn(&Request<'_>) -> Reply + Send + Sync + 'static) -> Self {
        let inner = Arc::new(Inner {
            script: Box::new(script),
            kept: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let router = Router::new()
            .route("/v1/messages", post(messages))
            .route("/v1/messages/count_tokens", post(count_tokens))
            .fallback(any(|| async {
                error(StatusCode::NOT_FOUND, "not_found_error", "no such route", None)
            }))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move {
            // Ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Self { address, inner, task }
    }

    /// For `ANTHROPIC_BASE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bodies of all requests for a message, the CLI's side calls (without tools) among them.
    pub fn requests(&self) -> Vec<Value> {
        self.kept().requests.clone()
    }

    /// The API keys or tokens that came.
    pub fn keys(&self) -> Vec<String> {
        self.kept().keys.clone()
    }

    /// What the real API would have refused.
    pub fn violations(&self) -> Vec<String> {
        self.kept().violations.clone()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The table of this module's description.
pub fn by_words(request: &Request<'_>) -> Reply {
    if let Some((result, failed)) = request.tool_result {
        let word = if failed { "failed" } else { "result" };
        return Reply::Text(format!("{word}: {result}"));
    }
    let (word, rest) = request.text.split_once(' ').unwrap_or((request.text, ""));
    let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        "tool" => match serde_json::from_str(after) {
            Ok(input) => Reply::Tool {
                text: String::new(),
                name: first.to_owned(),
                input,
            },
            Err(error) => Reply::Text(format!("no JSON: {error}")),
        },
        "slow" => Reply::Slow {
            text: after.to_owned(),
            pause: Duration::from_millis(first.parse().unwrap_or(100)),
        },
        "hang" => Reply::Hang,
        "status" => {
            let (times, text) = after.split_once(' ').unwrap_or((after, ""));
            if request.times < times.parse().unwrap_or(1) {
                let code = first.parse().unwrap_or(500);
                Reply::Status {
                    code,
                    retry_after: (code == 429).then_some(1),
                }
            } else {
                Reply::Text(text.to_owned())
            }
        }
        "drop" if request.times == 0 => Reply::Broken(rest.to_owned()),
        "drop" => Reply::Text(rest.to_owned()),
        "think" => Reply::Thinking("let me see".to_owned(), rest.to_owned()),
        _ => Reply::Text(format!("echo: {}", request.text)),
    }
}

async fn count_tokens(body: Bytes) -> Response {
    axum::Json(json!({"input_tokens": body.len() / 4})).into_response()
}

async fn messages(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return error(StatusCode::BAD_REQUEST, "invalid_request_error", "no JSON", None);
    };
    let key = ["x-api-key", "authorization"]
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok());
    let text = last_words(&body);
    let result = last_result(&body);
    let problem = problem(&body);
    let (times, number) = {
        let mut kept = inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests.push(body.clone());
        kept.keys.extend(key.map(str::to_owned));
        kept.violations.extend(problem.clone());
        kept.messages += 1;
        let number = kept.messages;
        let times = kept.times.entry(text.clone()).or_default();
        *times += 1;
        (*times - 1, number)
    };
    if let Some(problem) = problem {
        return error(StatusCode::BAD_REQUEST, "invalid_request_error", &problem, None);
    }
    let request = Request {
        body: &body,
        text: &text,
        tool_result: result.as_ref().map(|(text, failed)| (text.as_str(), *failed)),
        times,
    };
    let reply = (inner.script)(&request);
    if let Reply::Status { code, retry_after } = reply {
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = match code.as_u16() {
            401 => "authentication_error",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            _ => "api_error",
        };
        return error(code, kind, "told to fail", retry_after);
    }
    let id = format!("msg_fake_{number:06}");
    let model = body["model"].as_str().unwrap_or("fake").to_owned();
    if body["stream"] == true {
        streamed(&id, &model, &reply)
    } else {
        whole(&id, &model, &reply).await
    }
}

fn error(status: StatusCode, kind: &str, text: &str, retry_after: Option<u32>) -> Response {
    let body = json!({"type": "error", "error": {"type": kind, "message": text}});
    let mut response = (status, axum::Json(body)).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The blocks of a reply and why it stops.
fn blocks(id: &str, reply: &Reply) -> (Vec<Value>, &'static str) {
    let text = |text: &str| json!({"type": "text", "text": text});
    match reply {
        Reply::Text(words) | Reply::Slow { text: words, .. } | Reply::Broken(words) => (vec![text(words)], "end_turn"),
        Reply::Thinking(thought, words) => {
            let thinking = json!({"type": "thinking", "thinking": thought, "signature": "c2ln"});
            (vec![thinking, text(words)], "end_turn")
        }
        Reply::Tool {
            text: words,
            name,
            input,
        } => {
            let call = id.replace("msg_", "toolu_");
            let call = json!({"type": "tool_use", "id": call, "name": name, "input": input});
            let before = (!words.is_empty()).then(|| text(words));
            (before.into_iter().chain([call]).collect(), "tool_use")
        }
        Reply::Hang | Reply::Status { .. } => (Vec::new(), "end_turn"),
    }
}

async fn whole(id: &str, model: &str, reply: &Reply) -> Response {
    match reply {
        Reply::Hang => std::future::pending().await,
        Reply::Slow { pause, .. } => tokio::time::sleep(*pause).await,
        _ => {}
    }
    let (content, stop) = blocks(id, reply);
    axum::Json(
        json!({"id": id, "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop, "stop_sequence": null, "usage": {"input_tokens": 10, "output_tokens": 5}}),
    )
    .into_response()
}

/// One step of a stream.
enum Step {
    Send(String),
    Pause(Duration),
    Break,
    Hang,
}

fn streamed(id: &str, model: &str, reply: &Reply) -> Response {
    let mut steps = Vec::new();
    let mut send = |event: &Value| {
        let name = event["type"].as_str().unwrap_or_default();
        steps.push(Step::Send(format!("event: {name}\ndata: {event}\n\n")));
    };
    send(
        &json!({"type": "message_start", "message": {"id": id, "type": "message", "role": "assistant",
        "model": model, "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 10, "output_tokens": 1}}}),
    );
    let (content, stop) = blocks(id, reply);
    for (index, block) in content.iter().enumerate() {
        let (empty, deltas) = pieces(block);
        send(&json!({"type": "content_block_start", "index": index, "content_block": empty}));
        for delta in deltas {
            send(&json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        send(&json!({"type": "content_block_stop", "index": index}));
    }
    send(
        &json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
        "usage": {"output_tokens": 5}}),
    );
    send(&json!({"type": "message_stop"}));
    match reply {
        Reply::Slow { pause, .. } => {
            steps = steps.into_iter().flat_map(|step| [step, Step::Pause(*pause)]).collect();
        }
        Reply::Hang => {
            steps.truncate(1);
            steps.push(Step::Hang);
        }
        Reply::Broken(_) => {
            steps.truncate(steps.len() / 2 + 1);
            // So that what was sent is read before the connection breaks.
            steps.extend([Step::Pause(Duration::from_millis(50)), Step::Break]);
        }
        _ => {}
    }
    let steps = stream::unfold(steps.into_iter(), |mut steps| async move {
        loop {
            match steps.next()? {
                Step::Send(text) => return Some((Ok::<_, std::io::Error>(text), steps)),
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Hang => std::future::pending::<()>().await,
                Step::Break => return Some((Err(std::io::ErrorKind::ConnectionReset.into()), steps)),
            }
        }
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream")];
    (headers, Body::from_stream(steps)).into_response()
}

/// A block as it begins, and the pieces that follow.
fn pieces(block: &Value) -> (Value, Vec<Value>) {
    let words = |text: &Value, kind: &str, field: &str| {
        let words = text.as_str().unwrap_or_default().split_inclusive(' ');
        words.map(|word| json!({"type": kind, field: word})).collect::<Vec<_>>()
    };
    match block["type"].as_str() {
        Some("thinking") => {
            let mut deltas = words(&block["thinking"], "thinking_delta", "thinking");
            deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
        }
        Some("tool_use") => {
            let input = block["input"].to_string();
            let half = input.floor_char_boundary(input.len() / 2);
            let deltas = [&input[..half], &input[half..]];
            let deltas = deltas.map(|part| json!({"type": "input_json_delta", "partial_json": part}));
            (
                json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}),
                deltas.to_vec(),
            )
        }
        _ => (
            json!({"type": "text", "text": ""}),
            words(&block["text"], "text_delta", "text"),
        ),
    }
}

// ---- what a request says --------------------------------------------------------------------------------------

fn parts(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        Value::Array(parts) => parts.clone(),
        _ => Vec::new(),
    }
}

/// Words of the CLI's own; what it tells of a task in the background is a message all the same.
fn is_reminder(text: &str) -> bool {
    text.trim().starts_with("<system-reminder>") && !text.contains("<task-notification>")
}

/// The last text of the last user message that has one.
fn last_words(body: &Value) -> String {
    let messages = body["messages"].as_array().into_iter().flatten().rev();
    for message in messages.filter(|message| message["role"] == "user") {
        let parts = parts(message);
        let texts = parts.iter().rev().filter_map(|part| part["text"].as_str());
        for text in texts.map(str::trim) {
            if !text.is_empty() && !is_reminder(text) {
                return text.to_owned();
            }
        }
    }
    String::new()
}

/// The tool result of the last user message: its text and whether it is an error.
fn last_result(body: &Value) -> Option<(String, bool)> {
    let message = body["messages"]
        .as_array()?
        .iter()
        .rfind(|message| message["role"] == "user")?;
    let parts = parts(message);
    // Words behind it are a new message of the user's.
    let words = |part: &&Value| part["text"].as_str().is_some_and(|text| !is_reminder(text));
    if parts
        .iter()
        .rev()
        .take_while(|part| part["type"] != "tool_result")
        .any(|part| words(&part))
    {
        return None;
    }
    let result = parts.iter().rfind(|part| part["type"] == "tool_result")?;
    let text = match &result["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    };
    Some((text, result["is_error"] == true))
}

/// Why the real API would refuse this conversation.
fn problem(body: &Value) -> Option<String> {
    let messages = body["messages"].as_array().filter(|messages| !messages.is_empty())?;
    let ids = |message: &Value, kind: &str, field: &str| {
        let parts = parts(message).into_iter().filter(|part| part["type"] == kind);
        parts
            .filter_map(|part| part[field].as_str().map(str::to_owned))
            .collect::<HashSet<_>>()
    };
    let mut open = HashSet::new();
    for (at, message) in messages.iter().enumerate() {
        match message["role"].as_str() {
            Some("assistant") => {
                if let Some(call) = open.iter().next() {
                    return Some(format!("messages.{at}: tool_use `{call}` has no tool_result"));
                }
                open = ids(message, "tool_use", "id");
            }
            Some("user") => {
                for result in ids(message, "tool_result", "tool_use_id") {
                    if !open.remove(&result) {
                        return Some(format!("messages.{at}: tool_result `{result}` has no tool_use"));
                    }
                }
                if let Some(call) = open.iter().next() {
                    return Some(format!("messages.{at}: tool_use `{call}` has no tool_result"));
                }
            }
            Some("system") => {}
            other => return Some(format!("messages.{at}: role {other:?}")),
        }
    }
    open.iter()
        .next()
        .map(|call| format!("tool_use `{call}` has no tool_result"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_with_a_lost_result_is_refused() {
        let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "x", "input": {}}]});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "ok"}]});
        let user = json!({"role": "user", "content": "hello"});
        let check = |messages: &[&Value]| problem(&json!({"messages": messages}));
        assert_eq!(check(&[&user, &call, &result]), None);
        assert_eq!(
            check(&[&user, &call, &user]).as_deref(),
            Some("messages.2: tool_use `a` has no tool_result")
        );
        assert_eq!(
            check(&[&user, &result]).as_deref(),
            Some("messages.1: tool_result `a` has no tool_use")
        );
        assert_eq!(
            check(&[&user, &call]).as_deref(),
            Some("tool_use `a` has no tool_result")
        );
    }

    #[test]
    fn the_users_words_are_found_behind_reminders() {
        let body = json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "<system-reminder>x</system-reminder>"}, {"type": "text", "text": "tool A {}"},
            {"type": "text", "text": "<system-reminder>y</system-reminder>"}]}]});
        assert_eq!(last_words(&body), "tool A {}");
        assert_eq!(last_result(&body), None);
    }
}
