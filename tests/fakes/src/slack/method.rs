//! The methods of the Web API: arguments in, answer out. Error names: docs.slack.dev/reference/methods, as copied in
//! slack-ruby/slack-api-ref (2026-08-20).
//!
//! Confirmed by no page of the vendor's that we hold: that a post to a thread that is not there is
//! `thread_not_found`, that metadata over 8,000 characters is `metadata_too_large` (the name is documented, the
//! number is not), which of two errors wins when a call has both, and the wording of sentences beside error names.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::block::{self, Surface};
use super::stream;
use super::workspace::{Channel, Message, State, Upload};

/// `text` over this is cut by chat.postMessage (docs.slack.dev/reference/methods/chat.postMessage, "Truncating content").
const TEXT: usize = 40_000;
/// `text` over this is refused by chat.update (its error `msg_too_long`: "cannot exceed 4,000 characters").
const UPDATE_TEXT: usize = 4_000;
/// docs.slack.dev/reference/methods/chat.postMessage, `markdown_text`.
const MARKDOWN_TEXT: usize = 12_000;
const METADATA: usize = 8_000;

pub(crate) type Outcome = Result<Value, Wrong>;

/// `ok: false`.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) error: String,
    pub(crate) messages: Vec<String>,
}

pub(crate) fn wrong(error: &str) -> Wrong {
    Wrong {
        error: error.into(),
        messages: Vec::new(),
    }
}

/// Methods that take their arguments from a query or a form only.
pub(crate) fn reads(method: &str) -> bool {
    matches!(
        method,
        "conversations.info"
            | "conversations.replies"
            | "conversations.history"
            | "users.info"
            | "files.info"
            | "files.getUploadURLExternal"
    )
}

/// The scope that a method needs.
pub(crate) fn scope(method: &str, channel: &str) -> Option<&'static str> {
    Some(match method {
        "chat.postMessage" | "chat.update" | "chat.postEphemeral" | "chat.delete" => "chat:write",
        "chat.startStream" | "chat.appendStream" | "chat.stopStream" => "chat:write",
        "assistant.threads.setStatus" | "agents.sessions.setStatus" => "chat:write",
        "conversations.replies" | "conversations.history" if channel.starts_with('D') => "im:history",
        "conversations.replies" | "conversations.history" => "channels:history",
        "conversations.info" if channel.starts_with('D') => "im:read",
        "conversations.info" => "channels:read",
        "conversations.open" => "im:write",
        "users.info" => "users:read",
        "reactions.add" => "reactions:write",
        "files.info" => "files:read",
        "files.getUploadURLExternal" | "files.completeUploadExternal" => "files:write",
        _ => return None,
    })
}

pub(crate) fn call(state: &mut State, method: &str, arguments: &Map<String, Value>) -> Outcome {
    let call = Call { arguments };
    match method {
        "api.test" => Ok(json!({ "args": arguments })),
        "auth.test" => Ok(json!({
            "url": "https://fake.slack.com/", "team": "Fake", "user": "botyard",
            "team_id": super::TEAM, "user_id": super::BOT_USER, "bot_id": super::BOT, "is_enterprise_install": false,
        })),
        "chat.postMessage" => call.post(state, None),
        "chat.postEphemeral" => {
            let user = call.text("user");
            if user.is_empty() || !state.users.contains_key(user) {
                return Err(wrong("user_not_in_channel"));
            }
            call.post(state, Some(user.to_owned()))
        }
        "chat.update" => call.update(state),
        "chat.delete" => {
            let at = call.own_message(state, "cant_delete_message")?;
            let gone = state.messages.remove(at);
            Ok(json!({ "channel": gone.channel, "ts": gone.ts }))
        }
        "chat.startStream" => stream::start(&call, state),
        "chat.appendStream" => stream::append(&call, state),
        "chat.stopStream" => stream::stop(&call, state),
        "assistant.threads.setStatus" => stream::status(&call, state),
        "agents.sessions.setStatus" => stream::session(&call, state),
        "conversations.info" => {
            let id = call.channel(state, true)?;
            let channel = &state.channels[id];
            Ok(json!({ "channel": {
                "id": id, "name": if channel.direct { "directmessage" } else { id }, "is_im": channel.direct,
                "is_channel": !channel.direct, "is_archived": channel.archived, "is_member": !channel.without_bot,
            }}))
        }
        "conversations.open" => {
            let user = call.text("users");
            if !state.users.contains_key(user) {
                return Err(wrong("user_not_found"));
            }
            let id = user.replacen('U', "D", 1);
            let direct = Channel {
                direct: true,
                ..Channel::default()
            };
            state.channels.entry(id.clone()).or_insert(direct);
            Ok(json!({ "channel": { "id": id } }))
        }
        "conversations.replies" => call.thread(state),
        "conversations.history" => call.history(state),
        "users.info" => call.user(state),
        "reactions.add" => call.react(state),
        "views.open" => call.open(state),
        "files.getUploadURLExternal" => call.upload(state),
        "files.completeUploadExternal" => call.share(state),
        "files.info" => {
            let file = state
                .uploads
                .get(call.text("file"))
                .ok_or_else(|| wrong("file_not_found"))?;
            let url = format!("{}/api/files/{}", state.url, call.text("file"));
            let file =
                json!({ "id": call.text("file"), "name": file.name, "size": file.length, "url_private_download": url });
            Ok(json!({ "file": file }))
        }
        _ => Err(wrong("unknown_method")),
    }
}

pub(crate) struct Call<'a> {
    arguments: &'a Map<String, Value>,
}

impl Call<'_> {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.arguments.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        match self.arguments.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => matches!(text.as_str(), "true" | "1"),
            _ => false,
        }
    }

    /// A channel that is there; for posting, one that takes posts.
    pub(crate) fn channel<'s>(&'s self, state: &State, reading: bool) -> Result<&'s str, Wrong> {
        let id = self.text("channel");
        let channel = state.channels.get(id).ok_or_else(|| wrong("channel_not_found"))?;
        if channel.without_bot {
            return Err(wrong("not_in_channel"));
        }
        if channel.archived && !reading {
            return Err(wrong("is_archived"));
        }
        Ok(id)
    }

    /// JSON that came as itself, or in a form as text.
    pub(crate) fn json(&self, name: &str, problem: &str) -> Result<Option<Value>, Wrong> {
        match self.arguments.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text).map(Some).map_err(|_| wrong(problem)),
            Some(value) => Ok(Some(value.clone())),
        }
    }

    /// Text and blocks as they are to be shown.
    fn content(&self) -> Result<(String, Vec<Value>), Wrong> {
        let blocks = self.json("blocks", "invalid_blocks_format")?;
        let text = self.text("text");
        let markdown = self.text("markdown_text");
        if !markdown.is_empty() {
            if !text.is_empty() || blocks.is_some() {
                return Err(wrong("markdown_text_conflict"));
            }
            if markdown.chars().count() > MARKDOWN_TEXT {
                return Err(wrong("msg_too_long"));
            }
            return Ok((String::new(), vec![json!({ "type": "markdown", "text": markdown })]));
        }
        let blocks = blocks.unwrap_or_else(|| json!([]));
        block::check(&blocks, Surface::Message).map_err(|(error, messages)| Wrong {
            error: error.into(),
            messages,
        })?;
        let blocks = blocks.as_array().cloned().unwrap_or_default();
        if text.is_empty() && blocks.is_empty() {
            return Err(wrong("no_text"));
        }
        Ok((text.to_owned(), blocks))
    }

    pub(crate) fn metadata(&self) -> Result<Option<Value>, Wrong> {
        let Some(metadata) = self.json("metadata", "invalid_metadata_format")? else {
            return Ok(None);
        };
        let kind = metadata
            .get("event_type")
            .and_then(Value::as_str)
            .is_some_and(|kind| !kind.is_empty());
        let empty = metadata.as_object().is_some_and(Map::is_empty);
        if !empty && (!kind || !metadata.get("event_payload").is_some_and(Value::is_object)) {
            return Err(wrong("invalid_metadata_format"));
        }
        if metadata.to_string().len() > METADATA {
            return Err(wrong("metadata_too_large"));
        }
        Ok(Some(metadata).filter(|_| !empty))
    }

    fn post(&self, state: &mut State, ephemeral_to: Option<String>) -> Outcome {
        let channel = self.channel(state, false)?.to_owned();
        let (text, blocks) = self.content()?;
        let metadata = self.metadata()?;
        let thread = Some(self.text("thread_ts")).filter(|ts| !ts.is_empty());
        if let Some(thread) = thread {
            let parent = state.messages.iter().find(|m| m.channel == channel && m.ts == thread);
            if parent.is_none_or(|parent| parent.ephemeral_to.is_some()) {
                return Err(wrong("thread_not_found"));
            }
        }
        let message = Message {
            thread_ts: thread.map(str::to_owned),
            text: text.chars().take(TEXT).collect(),
            blocks,
            metadata,
            ephemeral_to,
            ..Message::of_bot(&channel, &state.stamp())
        };
        if let (Some(thread), None) = (thread, &message.ephemeral_to) {
            state.statuses.remove(&(channel, thread.to_owned()));
        }
        let answer = if message.ephemeral_to.is_some() {
            json!({ "message_ts": message.ts })
        } else {
            json!({ "channel": message.channel, "ts": message.ts, "message": message.json(true) })
        };
        state.messages.push(message);
        Ok(answer)
    }

    /// The place of a message of the bot's own.
    pub(crate) fn own_message(&self, state: &State, not_ours: &str) -> Result<usize, Wrong> {
        let (channel, ts) = (self.channel(state, true)?, self.text("ts"));
        let at = state
            .messages
            .iter()
            .position(|m| m.channel == channel && m.ts == ts && m.ephemeral_to.is_none())
            .ok_or_else(|| wrong("message_not_found"))?;
        if state.messages[at].user == super::BOT_USER {
            Ok(at)
        } else {
            Err(wrong(not_ours))
        }
    }

    fn update(&self, state: &mut State) -> Outcome {
        let at = self.own_message(state, "cant_update_message")?;
        if state.messages[at].streaming {
            return Err(wrong("streaming_state_conflict"));
        }
        if self.text("text").chars().count() > UPDATE_TEXT {
            return Err(wrong("msg_too_long"));
        }
        let (text, blocks) = self.content()?;
        let metadata = self.metadata()?;
        let message = &mut state.messages[at];
        // Text without blocks takes the blocks away; blocks without text keep the text.
        if self.arguments.contains_key("text") {
            message.text = text;
        }
        message.blocks = blocks;
        if self.arguments.contains_key("metadata") {
            message.metadata = metadata;
        }
        message.edits += 1;
        Ok(json!({
            "channel": message.channel, "ts": message.ts, "text": message.text, "message": message.json(true),
        }))
    }

    fn page(&self, found: &[&Message]) -> Outcome {
        // Between 1 and 1000, 100 by itself (docs.slack.dev/reference/methods/conversations.history).
        let limit = self.text("limit").parse::<usize>().unwrap_or(100).clamp(1, 999);
        let from = match self.text("cursor") {
            "" => 0,
            cursor => cursor
                .strip_prefix("at:")
                .and_then(|at| at.parse().ok())
                .ok_or_else(|| wrong("invalid_cursor"))?,
        };
        let all = self.flag("include_all_metadata");
        let messages: Vec<Value> = found.iter().skip(from).take(limit).map(|m| m.json(all)).collect();
        let more = found.len() > from + limit;
        let next = if more {
            format!("at:{}", from + limit)
        } else {
            String::new()
        };
        Ok(json!({ "messages": messages, "has_more": more, "response_metadata": { "next_cursor": next } }))
    }

    fn within(&self, message: &Message) -> bool {
        let (oldest, latest, inclusive) = (self.text("oldest"), self.text("latest"), self.flag("inclusive"));
        let ts = message.ts.as_str();
        let after = oldest.is_empty() || ts > oldest || (inclusive && ts == oldest);
        let before = latest.is_empty() || ts < latest || (inclusive && ts == latest);
        message.ephemeral_to.is_none() && after && before
    }

    fn thread(&self, state: &State) -> Outcome {
        let (channel, ts) = (self.channel(state, true)?, self.text("ts"));
        let all: Vec<&Message> = state.messages.iter().filter(|m| m.channel == channel).collect();
        if !all.iter().any(|m| m.ts == ts) {
            return Err(wrong("thread_not_found"));
        }
        // The thread's first message always comes with it.
        let of = |m: &&Message| m.ts == ts || (m.thread_ts.as_deref() == Some(ts) && self.within(m));
        self.page(&all.into_iter().filter(of).collect::<Vec<_>>())
    }

    fn history(&self, state: &State) -> Outcome {
        let channel = self.channel(state, true)?;
        let of = |m: &&Message| {
            let top = m.thread_ts.is_none() || m.thread_ts.as_ref() == Some(&m.ts);
            m.channel == channel && top && self.within(m)
        };
        // The newest first.
        self.page(&state.messages.iter().rev().filter(of).collect::<Vec<_>>())
    }

    fn user(&self, state: &State) -> Outcome {
        let mut user = state
            .users
            .get(self.text("user"))
            .cloned()
            .ok_or_else(|| wrong("user_not_found"))?;
        if !self.flag("include_locale")
            && let Some(fields) = user.as_object_mut()
        {
            fields.remove("locale");
        }
        Ok(json!({ "user": user }))
    }

    fn react(&self, state: &mut State) -> Outcome {
        let (channel, ts, name) = (self.channel(state, false)?, self.text("timestamp"), self.text("name"));
        if name.is_empty() || name.contains(':') {
            return Err(wrong("invalid_name"));
        }
        let message = state.messages.iter_mut().find(|m| m.channel == channel && m.ts == ts);
        let message = message.ok_or_else(|| wrong("message_not_found"))?;
        if message.reactions.insert((super::BOT_USER.into(), name.into())) {
            Ok(json!({}))
        } else {
            Err(wrong("already_reacted"))
        }
    }

    fn open(&self, state: &mut State) -> Outcome {
        let trigger = self.text("trigger_id");
        let known = state
            .triggers
            .get_mut(trigger)
            .ok_or_else(|| wrong("invalid_trigger_id"))?;
        if known.used {
            return Err(wrong("exchanged_trigger_id"));
        }
        // docs.slack.dev/interactivity/handling-user-interaction: three seconds.
        if known.made.elapsed() > Duration::from_secs(3) {
            return Err(wrong("expired_trigger_id"));
        }
        let view = self
            .json("view", "invalid_arguments")?
            .ok_or_else(|| wrong("invalid_arguments"))?;
        block::check_view(&view).map_err(|messages| Wrong {
            error: "invalid_arguments".into(),
            messages,
        })?;
        known.used = true;
        state.serial += 1;
        let mut opened = view;
        opened["id"] = format!("V{}", state.serial).into();
        opened["hash"] = format!("{}.x", state.serial).into();
        opened["team_id"] = super::TEAM.into();
        state.views.push(opened.clone());
        Ok(json!({ "view": opened }))
    }

    fn upload(&self, state: &mut State) -> Outcome {
        let length = match self.arguments.get("length") {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        let (Some(length), false) = (length.filter(|length| *length > 0), self.text("filename").is_empty()) else {
            return Err(Wrong {
                error: "invalid_arguments".into(),
                messages: vec!["[ERROR] missing required field: length or filename".into()],
            });
        };
        state.serial += 1;
        let id = format!("F{}", state.serial);
        let name = self.text("filename").to_owned();
        state.uploads.insert(
            id.clone(),
            Upload {
                name,
                length,
                bytes: None,
                shared: false,
            },
        );
        Ok(json!({ "upload_url": format!("{}/upload/v1/{id}", state.url), "file_id": id }))
    }

    fn share(&self, state: &mut State) -> Outcome {
        let files = self.json("files", "invalid_arguments")?.unwrap_or_default();
        let channel = self.text("channel_id");
        if !channel.is_empty() && !state.channels.contains_key(channel) {
            return Err(wrong("channel_not_found"));
        }
        let ids: Vec<String> = files
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|f| Some(f.get("id")?.as_str()?.to_owned()))
            .collect();
        if ids.is_empty() {
            return Err(wrong("invalid_arguments"));
        }
        let mut shared = Vec::new();
        for id in ids {
            let file = state
                .uploads
                .get_mut(&id)
                .filter(|file| file.bytes.is_some() && !file.shared);
            let file = file.ok_or_else(|| wrong("file_not_found"))?;
            file.shared = true;
            shared.push(json!({ "id": id, "title": file.name }));
        }
        Ok(json!({ "files": shared }))
    }
}
