//! The scripted CLI: answers at once in the stream-json protocol and notes when lines came and went. `stream-P-N-MS` in a
//! message is answered with N words, this many milliseconds apart, each of which says P and when it was said; `mark-hang-N` begins
//! an answer and says no more, until it is stopped.

use std::fs::OpenOptions;
use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::vendor::now_nanos;

/// The file in which each turn leaves `MARK RECEIVED LAST`, nanoseconds of the wall clock; of what hangs, and of what sleeps in
/// between, the last is the process's id.
pub(crate) const LOG: &str = "BENCH_LOG";

pub(crate) fn run() -> Result<()> {
    let mut log = std::env::var_os(LOG)
        .map(|path| OpenOptions::new().create(true).append(true).open(path))
        .transpose()?;
    let mut session = flag("--session-id")
        .or_else(|| flag("--resume"))
        .unwrap_or_else(|| "bench".into());
    for (name, value) in
        std::env::args().filter_map(|arg| arg.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())))
    {
        if name == "--resume" || name == "--session-id" {
            session = value;
        }
    }
    let mut hanging = None;
    for line in std::io::stdin().lock().lines() {
        let received = now_nanos();
        let Ok(message) = serde_json::from_str::<Value>(&line?) else {
            continue;
        };
        let mut out = String::new();
        match message["type"].as_str() {
            Some("control_request") => {
                say(
                    &mut out,
                    &json!({"type": "control_response", "response": {
                    "subtype": "success", "request_id": message["request_id"], "response": {"commands": []}}}),
                );
                if message["request"]["subtype"] == "initialize" {
                    note(&mut log, "ready", received, std::process::id().into())?;
                }
                if let Some(mark) = hanging.take_if(|_| message["request"]["subtype"] == "interrupt") {
                    note(
                        &mut log,
                        &format!("stopped-{mark}"),
                        received,
                        std::process::id().into(),
                    )?;
                    say(
                        &mut out,
                        &json!({"type": "result", "subtype": "error_during_execution", "is_error": true, "num_turns": 1,
                        "duration_ms": 1, "duration_api_ms": 1, "session_id": session, "terminal_reason": "aborted_streaming",
                        "usage": {"input_tokens": 1, "output_tokens": 1}, "total_cost_usd": 0.0}),
                    );
                    say(
                        &mut out,
                        &json!({"type": "system", "subtype": "session_state_changed", "state": "idle", "session_id": session}),
                    );
                }
            }
            Some("user") => {
                let text = match &message["message"]["content"] {
                    Value::String(text) => text.clone(),
                    blocks => blocks[0]["text"].as_str().unwrap_or_default().to_owned(),
                };
                let mark = text
                    .split_whitespace()
                    .find(|word| word.starts_with("mark-"))
                    .unwrap_or("mark-none")
                    .to_owned();
                let stream = text.split_whitespace().find_map(streamed);
                let answer = match stream {
                    Some((place, ..)) => format!("w{place}over"),
                    None => format!("answer {mark} over"),
                };
                say(
                    &mut out,
                    &json!({"type": "system", "subtype": "init", "session_id": session, "model": "scripted",
                    "claude_code_version": "2.1.329", "tools": [], "permissionMode": "default"}),
                );
                say(
                    &mut out,
                    &json!({"type": "system", "subtype": "session_state_changed", "state": "running", "session_id": session}),
                );
                let event = |event: Value| json!({"type": "stream_event", "event": event, "session_id": session, "uuid": "u", "parent_tool_use_id": null});
                say(
                    &mut out,
                    &event(
                        json!({"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": []}}),
                    ),
                );
                say(
                    &mut out,
                    &event(
                        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                    ),
                );
                if mark.starts_with("mark-hang-") {
                    say(
                        &mut out,
                        &event(
                            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": format!("begun {mark} ")}}),
                        ),
                    );
                    flush(&mut out)?;
                    note(&mut log, &mark, received, std::process::id().into())?;
                    hanging = Some(mark);
                    continue;
                }
                let mut whole = String::new();
                if let Some((place, words, pause)) = stream {
                    for _ in 0..words {
                        let word = format!("w{place}t{} ", now_nanos() / 1_000_000);
                        whole.push_str(&word);
                        say(
                            &mut out,
                            &event(
                                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}),
                            ),
                        );
                        flush(&mut out)?;
                        std::thread::sleep(pause);
                    }
                }
                let answer = whole + &answer;
                say(
                    &mut out,
                    &event(
                        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": answer}}),
                    ),
                );
                say(&mut out, &event(json!({"type": "content_block_stop", "index": 0})));
                say(
                    &mut out,
                    &json!({"type": "assistant", "session_id": session, "uuid": "a", "parent_tool_use_id": null, "message": {
                    "id": "msg_1", "role": "assistant", "model": "scripted", "stop_reason": null,
                    "content": [{"type": "text", "text": answer}]}}),
                );
                say(&mut out, &event(json!({"type": "message_stop"})));
                say(
                    &mut out,
                    &json!({"type": "result", "subtype": "success", "is_error": false, "num_turns": 1, "result": answer,
                    "duration_ms": 1, "duration_api_ms": 1, "session_id": session, "terminal_reason": "completed",
                    "usage": {"input_tokens": 1, "output_tokens": 1}, "total_cost_usd": 0.0}),
                );
                say(
                    &mut out,
                    &json!({"type": "system", "subtype": "session_state_changed", "state": "idle", "session_id": session}),
                );
                let last = match mark.starts_with("mark-wake-") {
                    true => std::process::id().into(),
                    false => now_nanos(),
                };
                note(&mut log, &mark, received, last)?;
            }
            _ => {}
        }
        flush(&mut out)?;
    }
    Ok(())
}

fn note(log: &mut Option<std::fs::File>, mark: &str, received: u128, last: u128) -> Result<()> {
    if let Some(log) = log {
        log.write_all(format!("{mark} {received} {last}\n").as_bytes())?;
    }
    Ok(())
}

fn say(out: &mut String, line: &Value) {
    out.push_str(&line.to_string());
    out.push('\n');
}

fn flush(out: &mut String) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(out.as_bytes())?;
    stdout.flush()?;
    out.clear();
    Ok(())
}

/// Where, how many words, and the pause after each.
fn streamed(word: &str) -> Option<(usize, usize, Duration)> {
    let mut numbers = word.strip_prefix("stream-")?.split('-');
    let (place, words) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some((place, words, Duration::from_millis(numbers.next()?.parse().ok()?)))
}

fn flag(name: &str) -> Option<String> {
    let mut args = std::env::args();
    args.find(|arg| arg == name)?;
    args.next()
}
