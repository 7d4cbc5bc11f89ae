//! Gemini's `generateContent` and `streamGenerateContent`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::{Asked, Inner, Reply, play, words};

/// `call` is `MODEL:METHOD`.
pub(super) async fn call(
    State(inner): State<Arc<Inner>>,
    Path(call): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return error(StatusCode::BAD_REQUEST, "no JSON");
    };
    let method = call.rsplit(':').next().unwrap_or_default();
    if method == "countTokens" {
        return axum::Json(json!({"totalTokens": 10})).into_response();
    }
    let asked = Asked {
        text: last_words(&body),
        result: last_result(&body),
        problem: problem(&body),
    };
    let (reply, _) = match inner.hear(&headers, &body, asked) {
        Ok(heard) => heard,
        Err(problem) => return error(StatusCode::BAD_REQUEST, &problem),
    };
    if let Reply::Status { code, .. } = reply {
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return error(code, "told to fail");
    }
    match method {
        "streamGenerateContent" => streamed(&reply),
        "generateContent" => whole(&body, &reply).await,
        _ => error(StatusCode::NOT_FOUND, "no such method"),
    }
}

fn error(status: StatusCode, text: &str) -> Response {
    let word = match status.as_u16() {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        429 => "RESOURCE_EXHAUSTED",
        _ => "INTERNAL",
    };
    let body = json!({"error": {"code": status.as_u16(), "message": text, "status": word}});
    (status, axum::Json(body)).into_response()
}

fn parts(reply: &Reply) -> Vec<Value> {
    match reply {
        Reply::Text(text) | Reply::Slow { text, .. } | Reply::Broken(text) => {
            words(text).map(|word| json!({"text": word})).collect()
        }
        Reply::Thinking(thought, text) => {
            let thinking = json!({"text": thought, "thought": true});
            let words = words(text).map(|word| json!({"text": word}));
            [thinking].into_iter().chain(words).collect()
        }
        Reply::Tool { text, name, input } => {
            let call = json!({"functionCall": {"name": name, "args": input}});
            let before = (!text.is_empty()).then(|| json!({"text": text}));
            before.into_iter().chain([call]).collect()
        }
        Reply::Hang | Reply::Status { .. } => Vec::new(),
    }
}

fn chunk(parts: &[Value], last: bool) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if last {
        candidate["finishReason"] = "STOP".into();
    }
    json!({"candidates": [candidate],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}})
}

async fn whole(body: &Value, reply: &Reply) -> Response {
    if *reply == Reply::Hang {
        std::future::pending::<()>().await;
    }
    // A question beside the conversation whose answer must be JSON.
    let json = body["generationConfig"]["responseMimeType"] == "application/json";
    let parts = if json {
        vec![json!({"text": "{}"})]
    } else {
        parts(reply)
    };
    axum::Json(chunk(&parts, true)).into_response()
}

fn streamed(reply: &Reply) -> Response {
    let mut chunks = vec![chunk(&[], false)];
    chunks.extend(parts(reply).into_iter().map(|part| chunk(&[part], false)));
    chunks.push(chunk(&[json!({"text": ""})], true));
    let pieces = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
    play(pieces, reply)
}

fn contents(body: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    body["contents"].as_array().into_iter().flatten()
}

fn parts_of(content: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    content["parts"].as_array().into_iter().flatten()
}

fn last_words(body: &Value) -> String {
    for content in contents(body).rev().filter(|content| content["role"] == "user") {
        let texts = parts_of(content).rev().filter_map(|part| part["text"].as_str());
        if let Some(text) = texts.map(str::trim).find(|text| !text.is_empty()) {
            return text.to_owned();
        }
    }
    String::new()
}

fn last_result(body: &Value) -> Option<(String, bool)> {
    let last = contents(body).next_back()?;
    let response = &parts_of(last).next_back()?["functionResponse"]["response"];
    let text = |name: &str| response[name].as_str().map(str::to_owned);
    match (text("output"), text("error")) {
        (_, Some(error)) => Some((error, true)),
        (Some(output), None) => Some((output, false)),
        (None, None) => None,
    }
}

/// Why the real API would refuse this conversation.
fn problem(body: &Value) -> Option<String> {
    let count = |content: &Value, name: &str| parts_of(content).filter(|part| part.get(name).is_some()).count();
    let mut open = 0;
    for (at, content) in contents(body).enumerate() {
        let answers = count(content, "functionResponse");
        if answers != open {
            return Some(format!(
                "contents.{at}: the number of function response parts must equal the number of function call parts"
            ));
        }
        open = count(content, "functionCall");
    }
    (open > 0).then(|| "a function call has no response".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_with_a_lost_response_is_refused() {
        let user = json!({"role": "user", "parts": [{"text": "hello"}]});
        let call = json!({"role": "model", "parts": [{"functionCall": {"name": "x", "args": {}}}]});
        let answer =
            json!({"role": "user", "parts": [{"functionResponse": {"name": "x", "response": {"output": "ok"}}}]});
        let check = |contents: &[&Value]| problem(&json!({"contents": contents}));
        assert_eq!(check(&[&user, &call, &answer]), None);
        assert!(check(&[&user, &call, &user]).is_some());
        assert!(check(&[&user, &answer]).is_some());
        let body = json!({"contents": [user, call, answer]});
        assert_eq!(last_result(&body), Some(("ok".to_owned(), false)));
        assert_eq!(last_words(&body), "hello");
    }
}
