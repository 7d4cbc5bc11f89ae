//! OpenAI's Chat Completions API, as far as agents with an OpenAI-compatible provider use it.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::{Asked, Inner, Reply, play, words};

pub(super) async fn completions(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return error(StatusCode::BAD_REQUEST, "no JSON", None);
    };
    let asked = Asked {
        text: last_words(&body),
        result: last_result(&body),
        problem: problem(&body),
    };
    let (reply, number) = match inner.hear(&headers, &body, asked) {
        Ok(heard) => heard,
        Err(problem) => return error(StatusCode::BAD_REQUEST, &problem, None),
    };
    if let Reply::Status { code, retry_after } = reply {
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return error(code, "told to fail", retry_after);
    }
    let id = format!("chatcmpl-fake-{number:06}");
    let model = body["model"].as_str().unwrap_or("fake");
    if body["stream"] == true {
        streamed(&id, model, &reply)
    } else {
        whole(&id, model, &reply).await
    }
}

/// As OpenAI's errors are; the Responses API has the same.
pub(super) fn error(status: StatusCode, text: &str, retry_after: Option<u32>) -> Response {
    let kind = match status.as_u16() {
        400 => "invalid_request_error",
        401 => "authentication_error",
        429 => "rate_limit_error",
        _ => "server_error",
    };
    let body = json!({"error": {"message": text, "type": kind, "param": null, "code": null}});
    let mut response = (status, axum::Json(body)).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// What is said, the call, and why it ends.
fn content(id: &str, reply: &Reply) -> (String, Option<Value>, &'static str) {
    match reply {
        Reply::Text(text) | Reply::Slow { text, .. } | Reply::Broken(text) | Reply::Thinking(_, text) => {
            (text.clone(), None, "stop")
        }
        Reply::Tool { text, name, input } => {
            let call = json!({"index": 0, "id": format!("call_{id}"), "type": "function",
                "function": {"name": name, "arguments": input.to_string()}});
            (text.clone(), Some(call), "tool_calls")
        }
        Reply::Hang | Reply::Status { .. } => (String::new(), None, "stop"),
    }
}

async fn whole(id: &str, model: &str, reply: &Reply) -> Response {
    if *reply == Reply::Hang {
        std::future::pending::<()>().await;
    }
    let (text, call, stop) = content(id, reply);
    let message = json!({"role": "assistant", "content": text, "tool_calls": call.map(|call| vec![call])});
    axum::Json(
        json!({"id": id, "object": "chat.completion", "created": 1, "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": stop}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}),
    )
    .into_response()
}

fn streamed(id: &str, model: &str, reply: &Reply) -> Response {
    let mut steps = Vec::new();
    let mut send = |delta: Value, stop: Option<&str>| {
        let chunk = json!({"id": id, "object": "chat.completion.chunk", "created": 1, "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": stop}]});
        steps.push(format!("data: {chunk}\n\n"));
    };
    send(json!({"role": "assistant", "content": ""}), None);
    if let Reply::Thinking(thought, _) = reply {
        send(json!({"reasoning_content": thought}), None);
    }
    let (text, call, stop) = content(id, reply);
    for word in words(&text) {
        send(json!({"content": word}), None);
    }
    if let Some(call) = call {
        send(json!({"tool_calls": [call]}), None);
    }
    send(json!({}), Some(stop));
    let usage = json!({"id": id, "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    steps.push(format!("data: {usage}\n\n"));
    steps.push("data: [DONE]\n\n".to_owned());
    play(steps, reply)
}

fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .next_back()
            .unwrap_or_default()
            .to_owned(),
        _ => String::new(),
    }
}

fn last_words(body: &Value) -> String {
    let messages = body["messages"].as_array().into_iter().flatten();
    let last = messages.rev().find(|message| message["role"] == "user");
    last.map(text_of).unwrap_or_default().trim().to_owned()
}

fn last_result(body: &Value) -> Option<(String, bool)> {
    let last = body["messages"].as_array()?.last()?;
    // This API has no mark for a failed call.
    (last["role"] == "tool").then(|| (text_of(last), false))
}

/// Why the real API would refuse this conversation.
fn problem(body: &Value) -> Option<String> {
    let mut open = HashSet::new();
    for (at, message) in body["messages"].as_array()?.iter().enumerate() {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !open.remove(id) {
                return Some(format!("messages.{at}: `{id}` answers no tool call"));
            }
            continue;
        }
        if let Some(id) = open.iter().next() {
            return Some(format!("messages.{at}: tool call `{id}` has no answer"));
        }
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        open.extend(calls.filter_map(|call| call["id"].as_str()).map(str::to_owned));
    }
    open.iter().next().map(|id| format!("tool call `{id}` has no answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_with_a_lost_answer_is_refused() {
        let call = json!({"role": "assistant", "tool_calls": [{"id": "a", "function": {}}]});
        let answer = json!({"role": "tool", "tool_call_id": "a", "content": "ok"});
        let user = json!({"role": "user", "content": [{"type": "text", "text": "hello"}]});
        let check = |messages: &[&Value]| problem(&json!({"messages": messages}));
        assert_eq!(check(&[&user, &call, &answer]), None);
        assert_eq!(
            check(&[&user, &call, &user]).as_deref(),
            Some("messages.2: tool call `a` has no answer")
        );
        assert_eq!(
            check(&[&user, &answer]).as_deref(),
            Some("messages.1: `a` answers no tool call")
        );
        assert_eq!(last_words(&json!({"messages": [user, call, answer]})), "hello");
    }
}
