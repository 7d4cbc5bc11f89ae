//! Anthropic's Messages API.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::{Asked, Inner, Reply, play};

pub(super) async fn count_tokens(body: Bytes) -> Response {
    axum::Json(json!({"input_tokens": body.len() / 4})).into_response()
}

pub(super) async fn messages(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return error(StatusCode::BAD_REQUEST, "invalid_request_error", "no JSON", None);
    };
    let asked = Asked {
        text: last_words(&body),
        result: last_result(&body),
        problem: problem(&body),
    };
    let (reply, number) = match inner.hear(&headers, &body, asked) {
        Ok(heard) => heard,
        Err(problem) => return error(StatusCode::BAD_REQUEST, "invalid_request_error", &problem, None),
    };
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

pub(super) fn error(status: StatusCode, kind: &str, text: &str, retry_after: Option<u32>) -> Response {
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

fn streamed(id: &str, model: &str, reply: &Reply) -> Response {
    let mut steps = Vec::new();
    let mut send = |event: &Value| {
        let name = event["type"].as_str().unwrap_or_default();
        steps.push(format!("event: {name}\ndata: {event}\n\n"));
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
    play(steps, reply)
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
