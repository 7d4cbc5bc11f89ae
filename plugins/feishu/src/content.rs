//! What a message of Feishu's says: text, rich text, files, and everything else as the best text that there is.
//!
//! Source of the shapes: open.feishu.cn/document/server-docs/im-v1/message-content-description/message_content.

use botyard_sdk::json::str_at;
use botyard_sdk::serde_json::{self, Value};
use botyard_sdk::types::{Attachment, Person};

use crate::event::person;

/// A message's content in our words.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// Markdown; persons as `<@ID>`, mentions of the bot cut out.
    pub text: String,
    pub attachments: Vec<Attachment>,
    /// The persons named, each once.
    pub mentions: Vec<Person>,
    /// The bot itself was named.
    pub addressed: bool,
}

/// Who is meant by a placeholder such as `@_user_1`.
struct Named<'a> {
    key: &'a str,
    id: &'a str,
    name: Option<&'a str>,
}

/// Reads `message.content`, a JSON text, of the type `kind`. `mentions` stands beside it; `me` is the bot's open id.
pub fn read(message: &str, kind: &str, content: &str, mentions: &Value, me: Option<&str>) -> Content {
    let body: Value = serde_json::from_str(content).unwrap_or_default();
    let mut read = Content::default();
    let named = named(mentions);
    for one in &named {
        if Some(one.id) == me {
            read.addressed = true;
        } else if !read.mentions.iter().any(|person| person.id == one.id) {
            let mut found = person(one.id, None);
            found.name = one.name.map(str::to_owned);
            read.mentions.push(found);
        }
    }
    let names = |text: &str| replace(text, &named, me);
    let field = |name: &str| str_at(&body, &format!("/{name}")).unwrap_or_default();
    let file = |key: &str, kind: &str, name: &str, media: Option<&str>| Attachment {
        name: name.to_owned(),
        media_type: media.map(str::to_owned),
        size_bytes: None,
        source: format!("{kind}:{message}:{key}"),
    };
    match kind {
        "text" => read.text = names(field("text")),
        "post" => post(&body, &named, me, &mut read, &|key, kind, name| {
            file(key, kind, name, None)
        }),
        "image" => read
            .attachments
            .push(file(field("image_key"), "image", "image.png", None)),
        "file" => read
            .attachments
            .push(file(field("file_key"), "file", or(field("file_name"), "file"), None)),
        "audio" => read
            .attachments
            .push(file(field("file_key"), "file", "audio.opus", Some("audio/ogg"))),
        "media" => read.attachments.push(file(
            field("file_key"),
            "file",
            or(field("file_name"), "video.mp4"),
            Some("video/mp4"),
        )),
        // Stickers cannot be fetched.
        "sticker" => read.text = "(a sticker)".into(),
        "folder" => read.text = format!("(a folder: {})", field("file_name")),
        "merge_forward" => {
            read.text = "(forwarded messages)".into();
            read.attachments.push(Attachment {
                name: "forwarded.md".into(),
                media_type: Some("text/markdown".into()),
                size_bytes: None,
                source: format!("forward:{message}:"),
            });
        }
        "share_chat" => read.text = format!("(a shared group: {})", or(field("chat_name"), field("chat_id"))),
        "share_user" => read.text = format!("(a shared contact: <@{}>)", field("user_id")),
        "location" => {
            read.text = format!(
                "(a place: {} {}, {})",
                field("name"),
                field("latitude"),
                field("longitude")
            );
        }
        "interactive" => read.text = card_text(&body),
        "todo" => {
            let mut inner = Content::default();
            if let Some(summary) = body.get("summary") {
                post(summary, &named, me, &mut inner, &|key, kind, name| {
                    file(key, kind, name, None)
                });
            }
            read.text = format!("(a task: {})", inner.text);
        }
        "vote" => {
            let options = body.get("options").and_then(Value::as_array);
            let options: Vec<&str> = options.into_iter().flatten().filter_map(Value::as_str).collect();
            read.text = format!("(a vote: {} – {})", field("topic"), options.join(" / "));
        }
        "share_calendar_event" | "calendar" | "general_calendar" => {
            read.text = format!("(a calendar entry: {})", field("summary"));
        }
        "video_chat" => read.text = format!("(a video call: {})", field("topic")),
        "hongbao" => read.text = "(a red packet)".into(),
        "system" => read.text = String::new(),
        other => read.text = format!("(a message of the kind `{other}`)"),
    }
    read.text = read.text.trim().to_owned();
    read
}

/// A message that another one answers, to be brought as a file: its event does not have it. `app`: the bot's own.
pub fn quote(message: &str, app: Option<&str>) -> Attachment {
    Attachment {
        name: "quoted-message.md".into(),
        media_type: None,
        size_bytes: None,
        source: format!("quote:{message}:{}", app.unwrap_or_default()),
    }
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

fn named(mentions: &Value) -> Vec<Named<'_>> {
    let mut all: Vec<Named<'_>> = mentions
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|mention| {
            Some(Named {
                key: str_at(mention, "/key")?,
                // Events have an object, histories a text.
                id: str_at(mention, "/id/open_id").or(str_at(mention, "/id"))?,
                name: str_at(mention, "/name"),
            })
        })
        .collect();
    // `@_user_1` is the beginning of `@_user_10`.
    all.sort_by_key(|one| std::cmp::Reverse(one.key.len()));
    all
}

/// Placeholders become `<@ID>`; the bot's own is cut out.
fn replace(text: &str, named: &[Named<'_>], me: Option<&str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("@_") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("@_all") {
            out.push_str("@all");
            rest = tail;
        } else if let Some(one) = named.iter().find(|one| rest.starts_with(one.key)) {
            rest = &rest[one.key.len()..];
            if Some(one.id) == me {
                // `hello @_user_1 there` keeps one space.
                if out.ends_with(' ') || out.is_empty() {
                    rest = rest.strip_prefix(' ').unwrap_or(rest);
                }
            } else {
                out.push_str(&format!("<@{}>", one.id));
            }
        } else {
            out.push_str("@_");
            rest = &rest[2..];
        }
    }
    out.push_str(rest);
    out
}

/// Rich text as Markdown. It comes bare, or below a locale.
fn post(
    body: &Value,
    named: &[Named<'_>],
    me: Option<&str>,
    read: &mut Content,
    file: &dyn Fn(&str, &str, &str) -> Attachment,
) {
    let body = if body.get("content").is_some() {
        body
    } else {
        match body.as_object().and_then(|locales| locales.values().next()) {
            Some(first) => first,
            None => return,
        }
    };
    if let Some(title) = str_at(body, "/title") {
        read.text.push_str(&format!("**{}**\n\n", replace(title, named, me)));
    }
    for paragraph in body.get("content").and_then(Value::as_array).into_iter().flatten() {
        for node in paragraph.as_array().into_iter().flatten() {
            let text = str_at(node, "/text").unwrap_or_default();
            match str_at(node, "/tag").unwrap_or_default() {
                "text" => read.text.push_str(&styled(&replace(text, named, me), node)),
                "md" => read.text.push_str(&replace(text, named, me)),
                "a" => read
                    .text
                    .push_str(&format!("[{text}]({})", str_at(node, "/href").unwrap_or_default())),
                "at" => {
                    let key = str_at(node, "/user_id").unwrap_or_default();
                    match named.iter().find(|one| one.key == key) {
                        Some(_) => read.text.push_str(&replace(key, named, me)),
                        None if key == "all" || key == "@_all" => read.text.push_str("@all"),
                        None => read
                            .text
                            .push_str(&format!("@{}", str_at(node, "/user_name").unwrap_or(key))),
                    }
                }
                "img" => {
                    if let Some(key) = str_at(node, "/image_key") {
                        read.attachments.push(file(key, "image", "image.png"));
                    }
                }
                "media" => {
                    if let Some(key) = str_at(node, "/file_key") {
                        read.attachments.push(file(key, "file", "video.mp4"));
                    }
                }
                "emotion" => read
                    .text
                    .push_str(&format!(":{}:", str_at(node, "/emoji_type").unwrap_or_default())),
                "hr" => read.text.push_str("\n---\n"),
                "code_block" => {
                    let language = str_at(node, "/language").unwrap_or_default().to_lowercase();
                    read.text
                        .push_str(&format!("```{language}\n{}\n```", text.trim_end_matches('\n')));
                }
                _ => read.text.push_str(text),
            }
        }
        read.text.push('\n');
    }
}

fn styled(text: &str, node: &Value) -> String {
    if text.trim().is_empty() {
        return text.to_owned();
    }
    let styles = node.get("style").and_then(Value::as_array);
    let mut out = text.to_owned();
    for style in styles.into_iter().flatten().filter_map(Value::as_str) {
        out = match style {
            "bold" => format!("**{out}**"),
            "italic" => format!("*{out}*"),
            "lineThrough" => format!("~~{out}~~"),
            "codeInline" => format!("`{out}`"),
            _ => out,
        };
    }
    out
}

/// The words of a card, of whichever version: every `text` and `content` in it, its header's first. Its settings say the
/// same again, for lists of chats.
fn card_text(card: &Value) -> String {
    fn walk(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(text) if (name == "text" || name == "content" || name == "title") && !text.is_empty() => {
                            out.push(text.to_owned());
                        }
                        Some(_) => {}
                        None => walk(value, out),
                    }
                }
            }
            Value::Array(all) => all.iter().for_each(|value| walk(value, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    for name in ["header", "title"] {
        out.extend(str_at(card, &format!("/{name}")).map(str::to_owned));
        walk(card.get(name).unwrap_or(&Value::Null), &mut out);
    }
    let rest = card.as_object().into_iter().flatten();
    for (_, value) in rest.filter(|(name, _)| !matches!(name.as_str(), "header" | "title" | "config")) {
        walk(value, &mut out);
    }
    out.join("\n")
}

#[cfg(test)]
mod tests;
