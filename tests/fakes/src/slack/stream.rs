//! Messages that grow, the status of a thread, and agent sessions. Arguments and error names:
//! docs.slack.dev/reference/methods (chat.startStream, chat.appendStream, chat.stopStream,
//! assistant.threads.setStatus, agents.sessions.setStatus), as copied in slack-ruby/slack-api-ref (2026).
//!
//! Confirmed by no page of the vendor's that we hold: 256 characters of a task's `details` and `output` (from
//! Microsoft's Agents SDK), that `chat.update` of a message that still grows is `streaming_state_conflict`, how a
//! grown message reads in conversations.replies, and that a post of the app's takes its status away at once.

use serde_json::{Value, json};

use super::block::{self, Surface};
use super::method::{Call, Outcome, Wrong, wrong};
use super::workspace::{Message, State, Workspace};

/// docs.slack.dev/reference/methods/chat.appendStream, `markdown_text`.
const MARKDOWN_TEXT: usize = 12_000;
const TASK: usize = 256;

fn arguments(sentence: &str) -> Wrong {
    Wrong {
        error: "invalid_arguments".into(),
        messages: vec![sentence.into()],
    }
}

/// What is to be shown: `chunks`, or `markdown_text` as one.
fn chunks(call: &Call<'_>) -> Result<Vec<Value>, Wrong> {
    let mut all = match call.json("chunks", "invalid_arguments")? {
        None => Vec::new(),
        Some(Value::Array(all)) => all,
        Some(_) => return Err(arguments("chunks is no array")),
    };
    let text = call.text("markdown_text");
    if !text.is_empty() {
        all.insert(0, json!({ "type": "markdown_text", "text": text }));
    }
    for chunk in &all {
        check(chunk)?;
    }
    Ok(all)
}

fn check(chunk: &Value) -> Result<(), Wrong> {
    let text = |name: &str| chunk.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "markdown_text" if text("text").is_empty() => Err(wrong("no_text")),
        "markdown_text" if text("text").chars().count() > MARKDOWN_TEXT => Err(wrong("msg_too_long")),
        "markdown_text" => Ok(()),
        "task_update" => {
            let status = ["pending", "in_progress", "complete", "error"].contains(&text("status"));
            if text("id").is_empty() || text("title").is_empty() || !status {
                return Err(arguments("a task_update needs id, title and a status"));
            }
            if ["details", "output"]
                .iter()
                .any(|name| text(name).chars().count() > TASK)
            {
                return Err(arguments("details and output take 256 characters"));
            }
            Ok(())
        }
        "plan_update" if text("title").is_empty() => Err(arguments("a plan_update needs a title")),
        "plan_update" => Ok(()),
        "blocks" => block::check(&chunk["blocks"], Surface::Message).map_err(|(error, messages)| Wrong {
            error: error.into(),
            messages,
        }),
        other => Err(arguments(&format!("no chunk is a `{other}`"))),
    }
}

/// Adds chunks to what stands there: text grows, a task is replaced where it stands.
fn grow(blocks: &mut Vec<Value>, chunks: Vec<Value>) {
    for chunk in chunks {
        match chunk["type"].as_str() {
            Some("markdown_text") => {
                let more = chunk["text"].as_str().unwrap_or_default();
                match blocks.last_mut().filter(|last| last["type"] == "markdown") {
                    Some(last) => {
                        let text = format!("{}{more}", last["text"].as_str().unwrap_or_default());
                        last["text"] = text.into();
                    }
                    None => blocks.push(json!({ "type": "markdown", "text": more })),
                }
            }
            Some("task_update") => {
                let mut card = chunk.clone();
                card["type"] = "task_card".into();
                card["task_id"] = card["id"].take();
                match blocks.iter_mut().find(|block| block["task_id"] == card["task_id"]) {
                    Some(there) => *there = card,
                    None => blocks.push(card),
                }
            }
            Some("blocks") => blocks.extend(chunk["blocks"].as_array().cloned().unwrap_or_default()),
            _ => {}
        }
    }
}

/// The place of a message of the bot's that still grows.
fn growing(call: &Call<'_>, state: &State) -> Result<usize, Wrong> {
    let at = call.own_message(state, "message_not_found")?;
    if state.messages[at].streaming {
        Ok(at)
    } else {
        Err(wrong("message_not_in_streaming_state"))
    }
}

pub(crate) fn start(call: &Call<'_>, state: &mut State) -> Outcome {
    let channel = call.channel(state, false)?.to_owned();
    let thread = call.text("thread_ts").to_owned();
    if thread.is_empty() {
        return Err(arguments("missing required field: thread_ts"));
    }
    if !state.messages.iter().any(|m| m.channel == channel && m.ts == thread) {
        return Err(wrong("thread_not_found"));
    }
    if !state.channels[&channel].direct {
        if call.text("recipient_user_id").is_empty() {
            return Err(wrong("missing_recipient_user_id"));
        }
        if call.text("recipient_team_id").is_empty() {
            return Err(wrong("missing_recipient_team_id"));
        }
    }
    let user = call.text("recipient_user_id");
    if !user.is_empty() && !state.users.contains_key(user) {
        return Err(wrong("user_not_found"));
    }
    if !["", "timeline", "plan"].contains(&call.text("task_display_mode")) {
        return Err(arguments("task_display_mode is timeline or plan"));
    }
    let mut blocks = Vec::new();
    grow(&mut blocks, chunks(call)?);
    let ts = state.stamp();
    state.statuses.remove(&(channel.clone(), thread.clone()));
    state.messages.push(Message {
        blocks,
        streaming: true,
        thread_ts: Some(thread),
        ..Message::of_bot(&channel, &ts)
    });
    Ok(json!({ "channel": channel, "ts": ts }))
}

pub(crate) fn append(call: &Call<'_>, state: &mut State) -> Outcome {
    let at = growing(call, state)?;
    let more = chunks(call)?;
    if more.is_empty() {
        return Err(wrong("no_text"));
    }
    let message = &mut state.messages[at];
    grow(&mut message.blocks, more);
    message.edits += 1;
    Ok(json!({ "channel": message.channel, "ts": message.ts }))
}

pub(crate) fn stop(call: &Call<'_>, state: &mut State) -> Outcome {
    let at = growing(call, state)?;
    let more = chunks(call)?;
    let blocks = call
        .json("blocks", "invalid_blocks_format")?
        .unwrap_or_else(|| json!([]));
    block::check(&blocks, Surface::Message).map_err(|(error, messages)| Wrong {
        error: error.into(),
        messages,
    })?;
    let metadata = call.metadata()?;
    let session = call.text("session_status");
    if !["", "active", "processing", "suspended", "closed"].contains(&session) {
        return Err(wrong("invalid_status"));
    }
    let message = &mut state.messages[at];
    grow(&mut message.blocks, more);
    message.blocks.extend(blocks.as_array().cloned().unwrap_or_default());
    message.metadata = metadata;
    message.streaming = false;
    let place = (message.channel.clone(), message.thread_ts.clone().unwrap_or_default());
    let answer = json!({ "channel": message.channel, "ts": message.ts, "message": message.json(true) });
    let session = if session.is_empty() { "active" } else { session };
    if let Some(known) = state.sessions.get_mut(&place) {
        session.clone_into(known);
    }
    Ok(answer)
}

pub(crate) fn status(call: &Call<'_>, state: &mut State) -> Outcome {
    let place = thread(call, state, "invalid_thread_ts")?;
    let status = call.text("status");
    if status.is_empty() {
        state.statuses.remove(&place);
    } else {
        state.statuses.insert(place, status.to_owned());
    }
    Ok(json!({}))
}

pub(crate) fn session(call: &Call<'_>, state: &mut State) -> Outcome {
    if !state.agent_sessions {
        return Err(wrong("feature_disabled"));
    }
    if call.text("thread_ts").is_empty() {
        return Err(wrong("thread_ts_required"));
    }
    let place = thread(call, state, "thread_not_found")?;
    let status = call.text("status");
    if !["active", "processing", "suspended", "closed"].contains(&status) {
        return Err(wrong("invalid_status"));
    }
    state.sessions.insert(place, status.to_owned());
    Ok(json!({ "status": status, "agent_status": status }))
}

/// `channel_id` and `thread_ts` of a thread that is there.
fn thread(call: &Call<'_>, state: &State, missing: &str) -> Result<(String, String), Wrong> {
    let (channel, ts) = (call.text("channel_id"), call.text("thread_ts"));
    if !state.channels.contains_key(channel) {
        return Err(wrong("channel_not_found"));
    }
    if !state.messages.iter().any(|m| m.channel == channel && m.ts == ts) {
        return Err(wrong(missing));
    }
    Ok((channel.to_owned(), ts.to_owned()))
}

impl Workspace {
    /// The status that people see under a thread now.
    pub fn status(&self, channel: &str, thread: &str) -> Option<String> {
        self.lock()
            .statuses
            .get(&(channel.to_owned(), thread.to_owned()))
            .cloned()
    }

    /// The agent session of a thread: `processing` has Slack's own stop control.
    pub fn session(&self, channel: &str, thread: &str) -> Option<String> {
        self.lock()
            .sessions
            .get(&(channel.to_owned(), thread.to_owned()))
            .cloned()
    }

    /// Whether this workspace has agent sessions.
    pub fn set_agent_sessions(&self, on: bool) {
        self.lock().agent_sessions = on;
    }
}
