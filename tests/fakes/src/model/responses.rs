//! OpenAI's Responses API, as Codex uses it: always streaming.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::chat::error;
use super::{Asked, Inner, Reply, play, words};

pub(super) async fn create(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
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
    streamed(number, &reply)
}

fn streamed(number: u64, reply: &Reply) -> Response {
    let id = format!("resp_fake_{number:06}");
    let mut steps = Vec::new();
    let mut send = |event: &Value| {
        let name = event["type"].as_str().unwrap_or_default();
        steps.push(format!("event: {name}\ndata: {event}\n\n"));
    };
    send(&json!({"type": "response.created", "response": {"id": id, "status": "in_progress"}}));
    let (text, call) = match reply {
        Reply::Text(text) | Reply::Slow { text, .. } | Reply::Broken(text) | Reply::Thinking(_, text) => {
            (text.as_str(), None)
        }
        Reply::Tool { text, name, input } => {
            let call = json!({"type": "function_call", "id": format!("fc_{number}"), "call_id": format!("call_{number}"),
                "name": name, "arguments": input.to_string()});
            (text.as_str(), Some(call))
        }
        Reply::Hang | Reply::Status { .. } => ("", None),
    };
    if let Reply::Thinking(thought, _) = reply {
        let item = json!({"type": "reasoning", "id": format!("rs_{number}"),
            "summary": [{"type": "summary_text", "text": thought}], "encrypted_content": null});
        let empty = json!({"type": "reasoning", "id": item["id"], "summary": []});
        send(&json!({"type": "response.output_item.added", "output_index": 0, "item": empty}));
        send(
            &json!({"type": "response.reasoning_summary_text.delta", "item_id": item["id"], "output_index": 0,
            "summary_index": 0, "delta": thought}),
        );
        send(&json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    }
    if !text.is_empty() {
        let item = format!("msg_{number}");
        let message = |content: Value| json!({"type": "message", "id": item, "role": "assistant", "content": content});
        send(&json!({"type": "response.output_item.added", "output_index": 1, "item": message(json!([]))}));
        for word in words(text) {
            send(
                &json!({"type": "response.output_text.delta", "item_id": item, "output_index": 1,
                "content_index": 0, "delta": word}),
            );
        }
        let whole = message(json!([{"type": "output_text", "text": text, "annotations": []}]));
        send(&json!({"type": "response.output_item.done", "output_index": 1, "item": whole}));
    }
    if let Some(call) = call {
        send(&json!({"type": "response.output_item.done", "output_index": 2, "item": call}));
    }
    send(
        &json!({"type": "response.completed", "response": {"id": id, "status": "completed",
        "usage": {"input_tokens": 10, "input_tokens_details": null, "output_tokens": 5,
            "output_tokens_details": null, "total_tokens": 15}}}),
    );
    play(steps, reply)
}

fn items(body: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    body["input"].as_array().into_iter().flatten()
}

/// The last text of the last user message that is not Codex's own description of where it runs.
fn last_words(body: &Value) -> String {
    for item in items(body).rev().filter(|item| item["role"] == "user") {
        let parts = item["content"].as_array().into_iter().flatten().rev();
        for text in parts.filter_map(|part| part["text"].as_str()).map(str::trim) {
            if !text.is_empty() && !text.starts_with('<') && !text.starts_with("# AGENTS.md") {
                return text.to_owned();
            }
        }
    }
    String::new()
}

fn is_output(item: &Value) -> bool {
    matches!(
        item["type"].as_str(),
        Some("function_call_output" | "custom_tool_call_output")
    )
}

fn last_result(body: &Value) -> Option<(String, bool)> {
    let last = items(body).next_back().filter(|item| is_output(item))?;
    let text = match &last["output"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        other => other["content"].as_str().unwrap_or_default().to_owned(),
    };
    // This API has no mark for a failed call.
    Some((text, false))
}

/// Why the real API would refuse this conversation.
fn problem(body: &Value) -> Option<String> {
    let mut open = HashSet::new();
    for (at, item) in items(body).enumerate() {
        let id = item["call_id"].as_str().unwrap_or_default().to_owned();
        match item["type"].as_str() {
            Some("function_call" | "custom_tool_call") => {
                open.insert(id);
            }
            _ if is_output(item) && !open.remove(&id) => {
                return Some(format!(
                    "input.{at}: No tool call found for function call output `{id}`"
                ));
            }
            _ => {}
        }
    }
    open.iter()
        .next()
        .map(|id| format!("No tool output found for function call `{id}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_with_a_lost_output_is_refused() {
        let call = json!({"type": "function_call", "call_id": "a"});
        let output = json!({"type": "function_call_output", "call_id": "a", "output": "ok"});
        let check = |input: &[&Value]| problem(&json!({"input": input}));
        assert_eq!(check(&[&call, &output]), None);
        assert_eq!(
            check(&[&call]).as_deref(),
            Some("No tool output found for function call `a`")
        );
        assert_eq!(
            check(&[&output]).as_deref(),
            Some("input.0: No tool call found for function call output `a`")
        );
    }

    #[test]
    fn the_users_words_are_found_behind_the_description_of_the_place() {
        let user = |text: &str| json!({"role": "user", "content": [{"type": "input_text", "text": text}]});
        let body = json!({"input": [user("hello"), user("<environment_context>x</environment_context>")]});
        assert_eq!(last_words(&body), "hello");
    }
}
