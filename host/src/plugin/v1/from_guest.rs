//! A guest's words for the host. What a guest says is checked here: a value beyond the interface's bounds is the
//! adapter's fault and refused as a whole.

use std::time::Duration;

use super::{account, history, http, ingress, manifest, socket, types};
use crate::chat::{self, CallError};
use crate::egress;

const ITEMS_MAX: usize = 256;
const KEY_MAX: usize = 200;
const REPLY_TO_MAX: usize = 4 * 1024;
/// Ids of conversations, persons, messages.
const ID_MAX: usize = 1024;
/// Longest a group is held back: an album's parts come within seconds.
const SETTLE_MAX_MS: u32 = 60_000;
/// Cut of what a guest writes into an error.
const TEXT_MAX: usize = 1000;

type Checked<T> = Result<T, String>;

/// The text, cut at a character's border.
pub(in crate::plugin) fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push('…');
    }
    text
}

pub(in crate::plugin) fn error(e: types::Error) -> CallError {
    use types::Error as E;
    let short = |text| cut(text, TEXT_MAX);
    match e {
        E::RateLimited(after) => CallError::RateLimited(after.map(|ms| Duration::from_millis(ms.into()))),
        E::Unavailable(text) => CallError::Unavailable(short(text)),
        E::Unauthorized(text) => CallError::Unauthorized(short(text)),
        E::Gone(text) => CallError::Gone(short(text)),
        E::TooLarge(limit) => CallError::TooLarge(limit),
        E::Ambiguous(text) => CallError::Ambiguous(short(text)),
        E::Rejected(text) => CallError::Rejected(short(text)),
        E::Malformed(text) => CallError::Malformed(short(text)),
    }
}

fn id(what: &str, text: String) -> Checked<String> {
    if text.is_empty() || text.len() > ID_MAX {
        return Err(format!("{what} must be 1 to {ID_MAX} bytes and has {}", text.len()));
    }
    Ok(text)
}

pub(in crate::plugin) fn conversation(c: types::Conversation) -> Checked<chat::Conversation> {
    Ok(chat::Conversation {
        tenant: c.tenant.map(|t| id("a tenant", t)).transpose()?,
        channel: id("a channel", c.channel)?,
        thread: c.thread.map(|t| id("a thread", t)).transpose()?,
        direct: c.direct,
    })
}

pub(in crate::plugin) fn person(p: types::Person) -> Checked<chat::Person> {
    Ok(chat::Person {
        id: id("a person's id", p.id)?,
        name: p.name.map(|n| cut(n, ID_MAX)),
        handle: p.handle.map(|n| cut(n, ID_MAX)),
        tenant: p.tenant,
        groups: p.groups,
        locale: p.locale,
        bot: p.bot,
    })
}

pub(in crate::plugin) fn file(f: types::FileRef) -> chat::FileRef {
    chat::FileRef {
        id: f.id,
        name: f.name,
        media_type: f.media_type,
        size_bytes: f.size_bytes,
    }
}

fn attachment(a: types::Attachment) -> chat::Attachment {
    chat::Attachment {
        name: a.name,
        media_type: a.media_type,
        size_bytes: a.size_bytes,
        source: a.source,
    }
}

pub(in crate::plugin) fn answer(a: types::Answer) -> Checked<chat::Answer> {
    if !(100..=599).contains(&a.status) {
        return Err(format!("an answer's status `{}` is none of HTTP's", a.status));
    }
    Ok(chat::Answer {
        status: a.status,
        headers: a.headers,
        body: a.body,
    })
}

fn origin(o: types::Origin) -> Checked<chat::Origin> {
    if o.key.is_empty() || o.key.len() > KEY_MAX {
        return Err(format!(
            "an item's key must be 1 to {KEY_MAX} bytes and has {}",
            o.key.len()
        ));
    }
    if o.reply_to.len() > REPLY_TO_MAX {
        return Err(format!(
            "a reply-to is at most {REPLY_TO_MAX} bytes and has {}",
            o.reply_to.len()
        ));
    }
    Ok(chat::Origin {
        key: o.key,
        conversation: conversation(o.conversation)?,
        sender: person(o.sender)?,
        sent: o.sent.map(|s| i64::from(s) * 1000),
        reply_to: o.reply_to,
    })
}

fn quote(q: ingress::Quote) -> Checked<chat::Quote> {
    Ok(chat::Quote {
        id: id("a message's id", q.id)?,
        sender: q.sender.map(person).transpose()?,
        text: q.text,
        attachments: q.attachments.into_iter().map(attachment).collect(),
    })
}

fn message(m: ingress::Message) -> Checked<chat::Message> {
    let group = match m.group {
        None => None,
        Some(g) if g.settle_ms > SETTLE_MAX_MS => {
            return Err(format!(
                "a group is held back {SETTLE_MAX_MS} ms at most, not {}",
                g.settle_ms
            ));
        }
        Some(g) => Some((id("a group's id", g.id)?, Duration::from_millis(g.settle_ms.into()))),
    };
    Ok(chat::Message {
        id: id("a message's id", m.id)?,
        text: m.text,
        mentions: m.mentions.into_iter().map(person).collect::<Checked<_>>()?,
        addressed: m.addressed,
        quotes: m.quotes.map(quote).transpose()?,
        new_thread: m.new_thread,
        attachments: m.attachments.into_iter().map(attachment).collect(),
        group,
    })
}

fn what(w: ingress::What) -> Checked<chat::What> {
    use ingress::What as W;
    Ok(match w {
        W::Message(m) => chat::What::Message(message(m)?),
        W::Edited(m) => chat::What::Edited(message(m)?),
        W::Deleted(message) => chat::What::Deleted(message),
        W::Command(c) => chat::What::Command(chat::Command {
            name: c.name,
            arguments: c.arguments,
            attachments: c.attachments.into_iter().map(attachment).collect(),
        }),
        W::Press(p) => chat::What::Press(chat::Press {
            token: chat::Token(id("a token", p.token)?),
            values: p.values,
        }),
        W::Reacted(r) => chat::What::Reacted(chat::Reaction {
            id: r.id,
            emoji: r.emoji,
            added: r.added,
        }),
        W::Stop => chat::What::Stop,
        W::Other(o) => chat::What::Other(chat::Other {
            name: o.name,
            fields: o.fields,
        }),
    })
}

pub(in crate::plugin) fn translated(t: ingress::Translated) -> Checked<chat::Translated> {
    if t.items.len() > ITEMS_MAX {
        return Err(format!(
            "one event came to {} items; {ITEMS_MAX} are the most",
            t.items.len()
        ));
    }
    Ok(chat::Translated {
        items: t
            .items
            .into_iter()
            .map(|item| {
                Ok(chat::Item {
                    origin: origin(item.origin)?,
                    what: what(item.what)?,
                })
            })
            .collect::<Checked<_>>()?,
        answer: t.answer.map(answer).transpose()?,
    })
}

pub(in crate::plugin) fn finding(f: account::Finding) -> chat::Finding {
    chat::Finding {
        severity: match f.severity {
            account::Severity::Fine => chat::Severity::Fine,
            account::Severity::Warning => chat::Severity::Warning,
            account::Severity::Error => chat::Severity::Error,
        },
        subject: cut(f.subject, TEXT_MAX),
        advice: cut(f.advice, TEXT_MAX),
    }
}

pub(in crate::plugin) fn said(s: history::Said) -> Checked<chat::Said> {
    Ok(chat::Said {
        id: id("a message's id", s.id)?,
        sender: person(s.sender)?,
        text: s.text,
        attachments: s.attachments.into_iter().map(attachment).collect(),
    })
}

/// An event that a link hands over.
pub(in crate::plugin) fn event(e: types::Event, received: chat::UnixMillis) -> chat::Event {
    chat::Event {
        transport: "link".to_owned(),
        name: e.name,
        method: String::new(),
        query: e.query,
        headers: e.headers,
        payload: e.payload,
        received,
    }
}

/// A request, without its files: those are found by `file`.
pub(in crate::plugin) fn request(
    r: http::Request,
    file: impl Fn(&str) -> Result<std::path::PathBuf, CallError>,
) -> Result<egress::Request, CallError> {
    Ok(egress::Request {
        method: r.method,
        url: r.url,
        headers: r.headers,
        body: match r.body {
            http::Body::Empty => egress::Body::Empty,
            http::Body::Bytes(bytes) => egress::Body::Bytes(bytes),
            http::Body::File(id) => egress::Body::File(file(&id)?),
            http::Body::Multipart(parts) => egress::Body::Multipart(
                parts
                    .into_iter()
                    .map(|part| {
                        Ok(egress::FormPart {
                            name: part.name,
                            filename: part.filename,
                            media_type: part.media_type,
                            content: match part.content {
                                http::Content::Bytes(bytes) => egress::Content::Bytes(bytes),
                                http::Content::File(id) => egress::Content::File(file(&id)?),
                            },
                        })
                    })
                    .collect::<Result<_, CallError>>()?,
            ),
        },
        secrets: r.secrets.into_iter().map(manifest::placement).collect(),
        timeout: r.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
        repeatable: r.repeatable,
        buckets: r.buckets,
        wait: Duration::from_millis(r.wait_ms.into()),
        max_bytes: r.max_bytes,
    })
}

pub(in crate::plugin) fn opening(o: socket::Opening) -> egress::Opening {
    egress::Opening {
        url: o.url,
        headers: o.headers,
        protocols: o.protocols,
        secrets: o.secrets.into_iter().map(manifest::placement).collect(),
        ping_every: o.ping_every_ms.map(|ms| Duration::from_millis(ms.into())),
    }
}

pub(in crate::plugin) fn frame(f: socket::Frame) -> egress::Frame {
    match f {
        socket::Frame::Text(text) => egress::Frame::Text(text),
        socket::Frame::Binary(bytes) => egress::Frame::Binary(bytes),
    }
}
