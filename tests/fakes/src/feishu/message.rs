//! Messages: sent, answered, changed, taken back, read, and the reactions on them.
//!
//! Source: open.feishu.cn/document/server-docs/im-v1/message (create, reply, update, patch, delete, get, list) and
//! .../message-reaction. Confirmed by no page of the vendor's that we hold: that a send with a `uuid` that was used is
//! answered with the message of the first one (that it is sent once within an hour is documented).

use serde_json::{Value, json};

use super::card;
use super::rate;
use super::request::{Asked, Outcome, Wrong, wrong};
use super::tenant::{Message, Reaction, State};

/// A text: 150 KB. Everything else: 30 KB.
const TEXT_BYTES: usize = 150 << 10;
const OTHER_BYTES: usize = 30 << 10;
/// Changes of a text or of rich text.
const EDITS: u32 = 20;

/// One of these is needed.
pub(crate) fn scopes(method: &str, rest: &[&str]) -> &'static [&'static str] {
    match (method, rest) {
        ("POST", [] | [_, "reply"]) => &["im:message:send_as_bot", "im:message"],
        ("POST" | "DELETE", [_, "reactions", ..]) => &["im:message.reactions:write_only", "im:message"],
        ("PUT" | "PATCH", _) => &["im:message:update", "im:message", "im:message:send_as_bot"],
        ("DELETE", _) => &["im:message:recall", "im:message", "im:message:send_as_bot"],
        _ => &["im:message:readonly", "im:message"],
    }
}

pub(crate) fn call(state: &mut State, asked: &Asked<'_>, rest: &[&str]) -> Outcome {
    match (asked.method, rest) {
        ("POST", []) => {
            let chat = place(state, asked)?;
            post(state, asked, &chat, None)
        }
        ("POST", [id, "reply"]) => {
            let parent = &state.messages[there(state, id)?];
            let (chat, id) = (parent.chat.clone(), parent.id.clone());
            let in_thread = asked.body["reply_in_thread"].as_bool() == Some(true);
            let under = in_thread || parent.thread.is_some();
            post(state, asked, &chat, Some((&id, under)))
        }
        ("GET", []) => list(state, asked),
        ("GET", [id]) => {
            let at = there(state, id)?;
            let message = &state.messages[at];
            // Of messages that were forwarded together, the one that holds them comes first.
            let held = message.content["forwarded"].as_array().into_iter().flatten();
            let held = held.filter_map(|id| state.messages.iter().find(|one| Some(one.id.as_str()) == id.as_str()));
            let mut items: Vec<Value> = [message]
                .into_iter()
                .chain(held)
                .map(|one| told(state, asked, one))
                .collect();
            items
                .iter_mut()
                .skip(1)
                .for_each(|one| one["upper_message_id"] = message.id.clone().into());
            Ok(json!({ "items": items }))
        }
        ("PUT", [id]) => edit(state, asked, id),
        ("PATCH", [id]) => patch(state, asked, id),
        ("DELETE", [id]) => {
            let at = own(state, id)?;
            state.messages[at].recalled = true;
            Ok(json!({}))
        }
        ("POST", [id, "reactions"]) => react(state, asked, id),
        ("DELETE", [id, "reactions", reaction]) => {
            let at = there(state, id)?;
            let all = &mut state.messages[at].reactions;
            let found = all
                .iter()
                .position(|one| one.id == *reaction && one.by == super::APP_ID);
            let found = found.ok_or_else(|| wrong(231_010, "no such reaction"))?;
            let gone = all.remove(found);
            Ok(json!({ "reaction_id": gone.id, "reaction_type": { "emoji_type": gone.emoji } }))
        }
        _ => Err(wrong(99_991_404, "no such API")),
    }
}

/// A message that is still there.
fn there(state: &State, id: &str) -> Result<usize, Wrong> {
    let at = state.messages.iter().position(|message| message.id == id);
    let at = at.ok_or_else(|| wrong(230_001, "invalid message_id"))?;
    if state.messages[at].recalled {
        return Err(wrong(230_011, "The message was withdrawn."));
    }
    Ok(at)
}

fn own(state: &State, id: &str) -> Result<usize, Wrong> {
    let at = there(state, id)?;
    if state.messages[at].sender == super::APP_ID {
        Ok(at)
    } else {
        Err(wrong(230_026, "No permission to recall or change this message."))
    }
}

fn place(state: &State, asked: &Asked<'_>) -> Result<String, Wrong> {
    let id = asked.text("receive_id");
    match asked.query("receive_id_type") {
        "chat_id" if state.chats.contains_key(id) => Ok(id.to_owned()),
        "open_id" if state.unreachable.contains(id) => Err(wrong(230_013, "Bot has NO availability to this user.")),
        "open_id" => {
            let mut chats = state.chats.iter();
            let chat = chats.find(|(_, chat)| chat.direct.as_deref() == Some(id));
            let chat = chat.ok_or_else(|| wrong(230_001, "invalid receive_id"))?;
            Ok(chat.0.clone())
        }
        "chat_id" => Err(wrong(230_001, "invalid receive_id")),
        _ => Err(wrong(230_001, "invalid receive_id_type")),
    }
}

fn post(state: &mut State, asked: &Asked<'_>, chat: &str, under: Option<(&str, bool)>) -> Outcome {
    let uuid = asked.text("uuid").to_owned();
    if uuid.len() > 50 {
        return Err(wrong(230_001, "uuid is longer than 50"));
    }
    if let Some(message) = state.uuids.get(&uuid).filter(|_| !uuid.is_empty()) {
        let found = state.messages.iter().find(|m| m.id == *message);
        return found.map(json).ok_or_else(|| wrong(230_001, "invalid uuid"));
    }
    if state.chats.get(chat).is_some_and(|place| place.without_bot) {
        return Err(wrong(230_002, "Bot can NOT be out of the chat."));
    }
    if state.meter.take(&[(format!("chat {chat}"), rate::CHAT)]).is_err() {
        return Err(wrong(
            230_020,
            "The operation triggers the frequency limit of the chat.",
        ));
    }
    let kind = asked.text("msg_type");
    let (content, card) = content(state, kind, asked.text("content"))?;
    let mut message = state.message(chat, super::APP_ID, kind, content, under);
    if let Some(id) = &card
        && let Some(entity) = state.cards.get_mut(id)
    {
        entity.sent = Some(message.id.clone());
    }
    message.card = card;
    let answer = json(&message);
    if !uuid.is_empty() {
        state.uuids.insert(uuid, message.id.clone());
    }
    state.messages.push(message);
    Ok(answer)
}

/// What a message of this kind shows, and the entity if it is one.
fn content(state: &State, kind: &str, text: &str) -> Result<(Value, Option<String>), Wrong> {
    let most = if kind == "text" { TEXT_BYTES } else { OTHER_BYTES };
    if text.len() > most {
        return Err(wrong(230_025, "The length of the message content reaches its limit."));
    }
    let content: Value = serde_json::from_str(text).unwrap_or_default();
    if !content.is_object() {
        return Err(wrong(230_001, "content is not a string in json format"));
    }
    let has = |name: &str| content[name].as_str().is_some_and(|value| !value.is_empty());
    let uploaded = |name: &str, image: bool| {
        let key = content[name].as_str().unwrap_or_default();
        state.uploads.get(key).is_some_and(|upload| upload.image == image)
    };
    match kind {
        "text" if has("text") => Ok((content, None)),
        "post" => {
            let fine = content.as_object().is_some_and(|locales| {
                locales.values().all(|post| {
                    let all = post["content"].as_array();
                    all.is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_array))
                })
            });
            if fine {
                Ok((content, None))
            } else {
                Err(wrong(230_001, "invalid post content"))
            }
        }
        "image" if uploaded("image_key", true) => Ok((content, None)),
        "file" if uploaded("file_key", false) => Ok((content, None)),
        "interactive" if content["type"] == "card" => {
            let id = content
                .pointer("/data/card_id")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let entity = state
                .cards
                .get(id)
                .ok_or_else(|| wrong(230_099, "no such card; ErrCode: 200740"))?;
            if entity.sent.is_some() {
                return Err(wrong(230_099, "the card was sent already"));
            }
            Ok((content.clone(), Some(id.to_owned())))
        }
        "interactive" => {
            card::parse(text).map_err(|found| wrong(230_099, format!("{}; ErrCode: {}", found.msg, found.code)))?;
            Ok((content, None))
        }
        _ => Err(wrong(230_001, "invalid msg_type or content")),
    }
}

fn edit(state: &mut State, asked: &Asked<'_>, id: &str) -> Outcome {
    let at = own(state, id)?;
    let kind = asked.text("msg_type");
    if !["text", "post"].contains(&kind) || !["text", "post"].contains(&state.messages[at].kind.as_str()) {
        return Err(wrong(230_054, "This operation is not supported for this message type."));
    }
    if state.messages[at].edits >= EDITS {
        return Err(wrong(
            230_072,
            "The message has reached the number of times it can be edited.",
        ));
    }
    let (content, _) = content(state, kind, asked.text("content"))?;
    let message = &mut state.messages[at];
    message.kind = kind.into();
    message.content = content;
    message.edits += 1;
    Ok(json(message))
}

/// For 14 days; both cards must have `update_multi`.
fn patch(state: &mut State, asked: &Asked<'_>, id: &str) -> Outcome {
    let at = own(state, id)?;
    if state.messages[at].kind != "interactive" {
        return Err(wrong(230_054, "This operation is not supported for this message type."));
    }
    let (content, card) = content(state, "interactive", asked.text("content"))?;
    let now = state.resolved(&state.messages[at]).content;
    let shared = |card: &Value| card.pointer("/config/update_multi") == Some(&Value::Bool(true));
    if card.is_some() || !shared(&content) || !shared(&now) {
        return Err(wrong(230_099, "the card has no update_multi; ErrCode: 300010"));
    }
    let message = &mut state.messages[at];
    message.content = content;
    message.card = None;
    message.edits += 1;
    Ok(json!({}))
}

impl State {
    /// Puts a card into the place of a message's own, which is no entity.
    pub(crate) fn replace(&mut self, id: &str, card: &Value) -> Result<(), String> {
        card::check(card).map_err(|wrong| wrong.msg)?;
        let message = self.messages.iter_mut().find(|message| message.id == id);
        let message = message.filter(|message| message.kind == "interactive" && message.card.is_none());
        message.ok_or("no card that an answer changes")?.content = card.clone();
        Ok(())
    }
}

fn react(state: &mut State, asked: &Asked<'_>, id: &str) -> Outcome {
    let at = there(state, id)?;
    let emoji = asked.body.pointer("/reaction_type/emoji_type").and_then(Value::as_str);
    let emoji = emoji.filter(|emoji| ["Typing", "OK", "DONE", "THUMBSUP", "THINKING"].contains(emoji));
    let emoji = emoji.ok_or_else(|| wrong(231_001, "reaction type is invalid"))?;
    let id = state.name("reaction");
    let all = &mut state.messages[at].reactions;
    if let Some(found) = all.iter().find(|one| one.emoji == emoji && one.by == super::APP_ID) {
        return Ok(json!({ "reaction_id": found.id, "reaction_type": { "emoji_type": emoji } }));
    }
    all.push(Reaction {
        id: id.clone(),
        emoji: emoji.into(),
        by: super::APP_ID.into(),
    });
    Ok(json!({
        "reaction_id": id, "operator": { "operator_id": super::APP_ID, "operator_type": "app" },
        "reaction_type": { "emoji_type": emoji },
    }))
}

fn list(state: &State, asked: &Asked<'_>) -> Outcome {
    let id = asked.query("container_id");
    let within = |message: &&Message| match asked.query("container_id_type") {
        // What stands in a thread is not in the chat's list, but for its first message.
        "chat" => message.chat == id && (message.thread.is_none() || message.root.is_none()),
        "thread" => message.thread.as_deref() == Some(id),
        _ => false,
    };
    let size = asked.query("page_size").parse::<usize>().unwrap_or(20);
    if !(1..=50).contains(&size) {
        return Err(wrong(230_001, "page_size is 1 to 50"));
    }
    let mut found: Vec<&Message> = state.messages.iter().filter(within).collect();
    if asked.query("sort_type") == "ByCreateTimeDesc" {
        found.reverse();
    }
    let more = found.len() > size;
    let items: Vec<Value> = found
        .into_iter()
        .take(size)
        .map(|one| told(state, asked, one))
        .collect();
    Ok(json!({ "items": items, "has_more": more, "page_token": if more { "more" } else { "" } }))
}

/// A message as whoever reads it has it. A card of the second version is told only to those who ask for it as it was
/// sent (openclaw/openclaw#78289).
fn told(state: &State, asked: &Asked<'_>, message: &Message) -> Value {
    let mut value = json(message);
    if message.kind == "merge_forward" {
        value["body"]["content"] = "Merged and Forwarded Message".into();
    }
    if message.kind == "interactive" {
        let mut card = state.resolved(message).content;
        if card["schema"] == "2.0" && asked.query("card_msg_content_type") != "user_card_content" {
            card =
                json!({ "title": "", "elements": [[{ "tag": "text", "text": "请升级至最新版本客户端，以查看内容" }]] });
        }
        value["body"]["content"] = card.to_string().into();
    }
    value
}

/// As lists and answers have it.
pub(crate) fn json(message: &Message) -> Value {
    let app = message.is_bot();
    let mentions: Vec<Value> = message
        .mentions
        .iter()
        .map(|mention| {
            json!({
                "key": mention["key"], "id": mention["id"]["open_id"], "id_type": "open_id", "name": mention["name"],
                "tenant_key": super::TENANT,
            })
        })
        .collect();
    let mut value = json!({
        "message_id": message.id, "msg_type": message.kind, "chat_id": message.chat,
        "create_time": message.created_ms.to_string(), "update_time": message.created_ms.to_string(),
        "deleted": message.recalled, "updated": message.edits > 0, "mentions": mentions,
        "sender": {
            "id": message.sender, "id_type": if app { "app_id" } else { "open_id" },
            "sender_type": if app { "app" } else { "user" }, "tenant_key": super::TENANT,
        },
        "body": { "content": message.content.to_string() },
    });
    let ids = [
        ("root_id", &message.root),
        ("parent_id", &message.parent),
        ("thread_id", &message.thread),
    ];
    for (name, id) in ids {
        if let Some(id) = id {
            value[name] = id.clone().into();
        }
    }
    value
}
