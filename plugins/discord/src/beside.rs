//! What stands beside a message's own words: messages that were forwarded with it, and what programs say in embeds and
//! components. Source: docs.discord.com/developers/resources/message and /components/reference (2026-08).

use botyard_sdk::json::{array_at, at, str_at};
use botyard_sdk::serde_json::Value;
use botyard_sdk::split::clip;
use botyard_sdk::types::Attachment;

use crate::event::attachment;
use crate::text::hear;

/// How long all that one message says in embeds or components is, in UTF-16 units.
const LENGTH: usize = 8_000;
/// How deep components are read: a container, a section, a text.
const DEPTH: usize = 4;
/// The kind of components that are text.
const TEXT: u64 = 10;

fn words(value: &Value, pointer: &str) -> String {
    hear(str_at(value, pointer).unwrap_or_default(), None, None).text
}

/// Everything that a message says: its own words, what a program put beside them, and what was forwarded with it.
pub(crate) fn told(message: &Value) -> String {
    let own = [words(message, "/content"), shown(message)];
    let forwarded = snapshots(message).map(|inner| quoted(&told(inner)));
    joined(own.into_iter().chain(forwarded))
}

/// A message's own words as they were heard, and behind them the rest, as quotes.
pub(crate) fn behind(heard: String, message: &Value) -> String {
    let forwarded = snapshots(message).map(|inner| quoted(&told(inner)));
    joined([heard, quoted(&shown(message))].into_iter().chain(forwarded))
}

/// The files of a message, and of what was forwarded with it.
pub(crate) fn files(message: &Value) -> Vec<Attachment> {
    let all = [message].into_iter().chain(snapshots(message));
    all.flat_map(|message| array_at(message, "/attachments"))
        .filter_map(attachment)
        .collect()
}

fn snapshots(message: &Value) -> impl Iterator<Item = &Value> {
    array_at(message, "/message_snapshots")
        .iter()
        .filter_map(|snapshot| at(snapshot, "/message"))
}

fn joined(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.filter(|text| !text.is_empty()).collect();
    all.join("\n\n")
}

fn quoted(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("> {line}")).collect();
    lines.join("\n")
}

/// What a program says in embeds and components; not what Discord shows of links.
fn shown(message: &Value) -> String {
    let embeds = array_at(message, "/embeds").iter().filter(|one| is_said(message, one));
    let mut texts = Vec::new();
    for component in array_at(message, "/components") {
        collect(component, &mut texts, DEPTH);
    }
    clip(&joined(embeds.map(embed).chain(texts)), LENGTH)
}

/// Previews of links have other types, but for those of some sites; only programs send embeds of their own. Of what was
/// forwarded Discord does not tell who said it: there a preview is known by its address.
fn is_said(message: &Value, embed: &Value) -> bool {
    if str_at(embed, "/type").is_some_and(|kind| kind != "rich") {
        return false;
    }
    match message.get("author") {
        Some(author) => {
            author.get("bot").and_then(Value::as_bool) == Some(true)
                || message.get("webhook_id").is_some_and(|id| !id.is_null())
        }
        None => {
            let content = str_at(message, "/content").unwrap_or_default();
            str_at(embed, "/url").is_none_or(|url| !content.contains(url))
        }
    }
}

fn embed(embed: &Value) -> String {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(str_at(embed, "/author/name").map(|name| format!("{name}:")));
    lines.push(match (words(embed, "/title"), str_at(embed, "/url")) {
        (title, Some(url)) if !title.is_empty() => format!("[{title}]({url})"),
        (title, _) => title,
    });
    lines.push(words(embed, "/description"));
    for field in array_at(embed, "/fields") {
        lines.push(format!("{}: {}", words(field, "/name"), words(field, "/value")));
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn collect(component: &Value, texts: &mut Vec<String>, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if component.get("type").and_then(Value::as_u64) == Some(TEXT) {
        texts.push(words(component, "/content"));
    }
    for inner in array_at(component, "/components") {
        collect(inner, texts, depth);
    }
}
