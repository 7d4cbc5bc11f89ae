//! What stands beside a message's own words: messages that were shared with it, and what programs attach to theirs.
//! Source of the shapes: docs.slack.dev/messaging/formatting-message-text and /reference/block-kit.

use botyard_sdk::json::{array_at, str_at};
use botyard_sdk::serde_json::Value;
use botyard_sdk::split::clip;
use botyard_sdk::types::Attachment;

use crate::event::attachments;
use crate::text::hear;

/// Attachments of one message that are read.
const MOST: usize = 20;
/// How long all that is read of them is, in UTF-16 units.
const LENGTH: usize = 8_000;
/// How deep blocks are read.
const DEPTH: usize = 8;

/// What was read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Beside {
    /// Markdown; empty: there is nothing.
    pub(crate) text: String,
    pub(crate) files: Vec<Attachment>,
}

impl Beside {
    /// Of a message. Previews of links that stand in its own words are none of it.
    pub(crate) fn of(message: &Value) -> Self {
        let mut beside = Self::default();
        let mut all = Vec::new();
        if str_at(message, "/text").is_none() {
            all.push(blocks(array_at(message, "/blocks")));
        }
        let attached = array_at(message, "/attachments").iter().filter(|one| !is_preview(one));
        for one in attached.take(MOST) {
            all.push(read(one));
            beside.files.extend(attachments(array_at(one, "/files")));
        }
        all.retain(|text| !text.is_empty());
        beside.text = clip(&all.join("\n\n"), LENGTH);
        beside
    }

    /// Words with what stands beside them, as a quote.
    pub(crate) fn quoted_behind(&self, words: &str) -> String {
        let lines: Vec<String> = self.text.lines().map(|line| format!("> {line}")).collect();
        format!("{words}\n\n{}", lines.join("\n")).trim().to_owned()
    }
}

/// Whether `blocks` of a message say what nothing else in it says, or may.
pub(crate) fn needs_blocks(message: &Value) -> bool {
    str_at(message, "/text").is_none() || !array_at(message, "/attachments").is_empty()
}

/// What Slack or an app shows of a link; shared messages have an address too.
fn is_preview(attachment: &Value) -> bool {
    let is = |name: &str| attachment.get(name).and_then(Value::as_bool) == Some(true);
    let of_link = ["/from_url", "/original_url", "/app_unfurl_url"]
        .iter()
        .any(|name| str_at(attachment, name).is_some());
    of_link && !is("is_share") && !is("is_msg_unfurl")
}

fn read(attachment: &Value) -> String {
    let heard = |name: &str| hear(str_at(attachment, name).unwrap_or_default(), None).text;
    let mut lines = vec![heard("/pretext")];
    lines.extend(str_at(attachment, "/author_name").map(|name| format!("{name}:")));
    lines.push(match (heard("/title"), str_at(attachment, "/title_link")) {
        (title, Some(link)) if !title.is_empty() => format!("[{title}]({link})"),
        (title, _) => title,
    });
    let head = lines.len();
    lines.push(heard("/text"));
    for field in array_at(attachment, "/fields") {
        let part = |name: &str| hear(str_at(field, name).unwrap_or_default(), None).text;
        let (title, value) = (part("/title"), part("/value"));
        lines.push(if title.is_empty() {
            value
        } else {
            format!("{title}: {value}")
        });
    }
    if lines[head..].iter().all(String::is_empty) {
        lines.push(blocks(array_at(attachment, "/blocks")));
        for shared in array_at(attachment, "/message_blocks") {
            lines.push(blocks(array_at(shared, "/message/blocks")));
        }
    }
    lines.retain(|line| !line.is_empty());
    if lines.is_empty() {
        return heard("/fallback");
    }
    lines.join("\n")
}

fn blocks(all: &[Value]) -> String {
    let mut text = String::new();
    all.iter().for_each(|block| words(block, &mut text, DEPTH));
    text.trim().to_owned()
}

/// The words of a block, an element or a text object, and of what stands in it. What is no part of a line ends one.
fn words(value: &Value, text: &mut String, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let kind = str_at(value, "/type").unwrap_or_default();
    match kind {
        "mrkdwn" => text.push_str(&hear(str_at(value, "/text").unwrap_or_default(), None).text),
        "user" => text.push_str(&format!("<@{}>", str_at(value, "/user_id").unwrap_or_default())),
        "emoji" => text.push_str(&format!(":{}:", str_at(value, "/name").unwrap_or_default())),
        _ => text.push_str(str_at(value, "/text").or(str_at(value, "/url")).unwrap_or_default()),
    }
    for name in ["title", "text", "fields", "elements"] {
        match value.get(name) {
            Some(Value::Array(all)) => all.iter().for_each(|one| words(one, text, depth)),
            Some(inner @ Value::Object(_)) => words(inner, text, depth),
            _ => {}
        }
    }
    let within = matches!(kind, "text" | "link" | "user" | "emoji" | "channel" | "usergroup");
    if !within && !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}
