//! What the bot's own account knows: who it is, who people are, what was said, what is missing.

use botyard_sdk::account::{Finding, Severity};
use botyard_sdk::history::Said;
use botyard_sdk::json::{at, str_at};
use botyard_sdk::serde_json::Value;
use botyard_sdk::types::{Attachment, Conversation, Error, FileRef, Person};

use crate::api::{Api, Failure, Wire, encode};
use crate::content;
use crate::event::{person, seconds};

/// Who the bot is.
///
/// # Errors
/// As the vendor's code says.
pub fn me<W: Wire>(api: &Api<W>) -> Result<Person, Error> {
    let bot = info(api)?;
    let id = str_at(&bot, "/open_id")
        .ok_or_else(|| Error::Unauthorized("the app has no bot: add the feature Bot and publish a version".into()))?;
    let mut me = person(id, None);
    me.name = str_at(&bot, "/app_name").map(str::to_owned);
    me.bot = true;
    Ok(me)
}

fn info<W: Wire>(api: &Api<W>) -> Result<Value, Failure> {
    let mut answer = api.get("/open-apis/bot/v3/info")?;
    Ok(answer["bot"].take())
}

/// A person's name; from the members of the group where the app may not read contacts.
///
/// # Errors
/// As the vendor's code says.
pub fn who<W: Wire>(api: &Api<W>, id: &str, conversation: &Conversation) -> Result<Person, Error> {
    let url = format!("/open-apis/contact/v3/users/{}?user_id_type=open_id", encode(id));
    let mut found = person(id, conversation.tenant.as_deref());
    match api.get(&url) {
        Ok(answer) => {
            found.name = str_at(&answer, "/data/user/name")
                .or(str_at(&answer, "/data/user/nickname"))
                .or(str_at(&answer, "/data/user/en_name"))
                .map(str::to_owned);
            if found.name.is_some() {
                return Ok(found);
            }
        }
        Err(failure) if matches!(failure.error, Error::RateLimited(_) | Error::Unavailable(_)) => {
            return Err(failure.error);
        }
        Err(_) => {}
    }
    found.name = member(api, id, &conversation.channel)?;
    if found.name.is_none() {
        return Err(Error::Gone("the person is not known".into()));
    }
    Ok(found)
}

/// Pages of a group's members that are looked through.
const PAGES: usize = 5;

fn member<W: Wire>(api: &Api<W>, id: &str, chat: &str) -> Result<Option<String>, Error> {
    if !chat.starts_with("oc_") {
        return Ok(None);
    }
    let mut page = String::new();
    for _ in 0..PAGES {
        let url = format!(
            "/open-apis/im/v1/chats/{}/members?member_id_type=open_id&page_size=100{page}",
            encode(chat)
        );
        let answer = api.get(&url)?;
        let members = at(&answer, "/data/items").and_then(Value::as_array);
        let found = members
            .into_iter()
            .flatten()
            .find(|member| str_at(member, "/member_id") == Some(id));
        if let Some(found) = found {
            return Ok(str_at(found, "/name").map(str::to_owned));
        }
        match str_at(&answer, "/data/page_token") {
            Some(token) => page = format!("&page_token={}", encode(token)),
            None => break,
        }
    }
    Ok(None)
}

/// A file of a person's message, or the words of messages that were forwarded together.
///
/// # Errors
/// As the vendor's code says.
pub fn fetch<W: Wire>(api: &Api<W>, attachment: &Attachment) -> Result<FileRef, Error> {
    let mut parts = attachment.source.splitn(3, ':');
    let (Some(kind), Some(message), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Error::Rejected("this is no file of Feishu's".into()));
    };
    if kind != "forward" {
        return api.resource(message, key, kind, &attachment.name);
    }
    let answer = api.get(&format!(
        "/open-apis/im/v1/messages/{}?user_id_type=open_id",
        encode(message)
    ))?;
    let mut text = String::new();
    let items = at(&answer, "/data/items").and_then(Value::as_array);
    // The first is the message that holds the others.
    for item in items.into_iter().flatten().skip(1) {
        if let Some(said) = said(item) {
            text.push_str(&format!("**{}**: {}\n\n", said.sender.label(), said.text));
        }
    }
    api.wire.keep(&attachment.name, "text/markdown", text.as_bytes())
}

trait Label {
    fn label(&self) -> &str;
}

impl Label for Person {
    fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

fn said(item: &Value) -> Option<Said> {
    if item.get("deleted").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let id = str_at(item, "/message_id")?;
    let null = Value::Null;
    let read = content::read(
        id,
        str_at(item, "/msg_type")?,
        str_at(item, "/body/content").unwrap_or_default(),
        item.get("mentions").unwrap_or(&null),
        None,
    );
    if read.text.trim().is_empty() && read.attachments.is_empty() {
        return None;
    }
    let mut sender = person(str_at(item, "/sender/id")?, str_at(item, "/sender/tenant_key"));
    sender.bot = str_at(item, "/sender/sender_type") == Some("app");
    Some(Said {
        id: id.to_owned(),
        sender,
        text: read.text.trim().to_owned(),
        sent: seconds(item, "/create_time")?,
        attachments: read.attachments,
    })
}

/// What was said before, oldest first, by persons and by the bot.
///
/// # Errors
/// As the vendor's code says.
pub fn before<W: Wire>(
    api: &Api<W>,
    conversation: &Conversation,
    message: Option<&str>,
    at_most: u32,
) -> Result<Vec<Said>, Error> {
    let wanted = at_most.clamp(1, 50);
    let (kind, id) = match &conversation.thread {
        None => ("chat", conversation.channel.clone()),
        Some(root) => {
            let answer = api.get(&format!("/open-apis/im/v1/messages/{}", encode(root)))?;
            match str_at(&answer, "/data/items/0/thread_id") {
                Some(thread) => ("thread", thread.to_owned()),
                // Nothing was answered yet: the message itself is the thread.
                None => {
                    let items = at(&answer, "/data/items").and_then(Value::as_array);
                    let all = items.into_iter().flatten().filter_map(said);
                    return Ok(all.filter(|said| Some(said.id.as_str()) != message).collect());
                }
            }
        }
    };
    let url = format!(
        "/open-apis/im/v1/messages?container_id_type={kind}&container_id={}&sort_type=ByCreateTimeDesc&page_size={wanted}",
        encode(&id)
    );
    let answer = api.get(&url)?;
    let items = at(&answer, "/data/items").and_then(Value::as_array);
    let mut all: Vec<Said> = items.into_iter().flatten().filter_map(said).collect();
    // Newest first: what came after the message, and itself, is not before it.
    if let Some(at) = message.and_then(|id| all.iter().position(|said| said.id == id)) {
        all.drain(..=at);
    }
    all.reverse();
    Ok(all)
}

/// A scope, and what is missing without it.
pub const SCOPES: [(&str, &str); 11] = [
    ("im:message:send_as_bot", "the bot cannot answer"),
    ("im:message.p2p_msg:readonly", "the bot does not hear direct messages"),
    (
        "im:message.group_at_msg:readonly",
        "the bot does not hear mentions in groups",
    ),
    ("im:message:update", "the bot cannot change what it wrote"),
    (
        "im:message:readonly",
        "the bot cannot read what was said before, nor forwarded messages",
    ),
    (
        "im:message.reactions:write_only",
        "the bot cannot show that it heard a question",
    ),
    ("im:message.reactions:read", "the bot does not see reactions"),
    ("im:resource", "the bot can neither read nor send files"),
    (
        "im:chat:readonly",
        "the bot does not know the names of a group's members",
    ),
    ("contact:user.base:readonly", "the bot does not know people's names"),
    ("cardkit:card:write", "answers are not typed out but appear in steps"),
];

/// Without one of these the bot is of no use.
const NEEDED: [&str; 5] = [
    "im:message:send_as_bot",
    "im:message.p2p_msg:readonly",
    "im:message.group_at_msg:readonly",
    "im.message.receive_v1",
    "card.action.trigger",
];

fn severity(fine: bool, name: &str) -> Severity {
    match fine {
        true => Severity::Fine,
        false if NEEDED.contains(&name) => Severity::Error,
        false => Severity::Warning,
    }
}

/// One sentence for each thing that is missing.
///
/// # Errors
/// Feishu could not be asked; credentials that are refused are a finding.
pub fn check<W: Wire>(api: &Api<W>) -> Result<Vec<Finding>, Error> {
    let finding = |fine: bool, subject: &str, advice: String| Finding {
        severity: if fine { Severity::Fine } else { Severity::Error },
        subject: subject.to_owned(),
        advice,
    };
    let bot = match info(api) {
        Ok(bot) => bot,
        Err(failure) => match failure.error {
            Error::Unauthorized(why) => return Ok(vec![finding(false, "app_id, app_secret", why)]),
            error => return Err(error),
        },
    };
    let name = str_at(&bot, "/app_name").unwrap_or("?");
    let mut findings = vec![finding(true, "app_id, app_secret", format!("it is {name}"))];
    // 2: enabled by the tenant. open.feishu.cn/document/server-docs/bot-v3/bot-overview.
    let active = bot.get("activate_status").and_then(Value::as_i64);
    findings.push(match active {
        Some(2) | None => finding(true, "bot", String::new()),
        Some(_) => finding(
            false,
            "bot",
            "the bot is not enabled: publish a version under Version Management, and have an administrator release it"
                .into(),
        ),
    });
    scopes(api, &mut findings)?;
    subscriptions(api, &mut findings)?;
    Ok(findings)
}

/// A call that asks about the app itself: none when the app may not ask.
fn asked<W: Wire>(api: &Api<W>, url: &str) -> Result<Option<Value>, Error> {
    match api.get(url) {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if matches!(failure.error, Error::RateLimited(_) | Error::Unavailable(_)) => Err(failure.error),
        Err(_) => Ok(None),
    }
}

fn scopes<W: Wire>(api: &Api<W>, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let Some(answer) = asked(api, "/open-apis/application/v6/scopes")? else {
        return Ok(());
    };
    let granted: Vec<&str> = at(&answer, "/data/scopes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|scope| scope.get("grant_status").and_then(Value::as_i64) == Some(1))
        .filter_map(|scope| str_at(scope, "/scope_name"))
        .collect();
    for (scope, lack) in SCOPES {
        let fine = granted.contains(&scope) || (scope.starts_with("im:message") && granted.contains(&"im:message"));
        findings.push(Finding {
            severity: severity(fine, scope),
            subject: format!("scope {scope}"),
            advice: if fine {
                String::new()
            } else {
                format!("{lack}: add it under Permissions & Scopes and publish a version")
            },
        });
    }
    Ok(())
}

/// Events without which the bot is deaf to something.
const EVENTS: [(&str, &str); 2] = [
    ("im.message.receive_v1", "the bot hears no messages"),
    ("im.message.recalled_v1", "a recalled question is answered all the same"),
];

fn subscriptions<W: Wire>(api: &Api<W>, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let Some(answer) = asked(api, "/open-apis/application/v6/applications/me?lang=en_us")? else {
        return Ok(());
    };
    let listed = |pointer: &str, name: &str| -> Option<bool> {
        let all = at(&answer, pointer)?.as_array()?;
        Some(all.iter().any(|one| one.as_str() == Some(name)))
    };
    for (event, lack) in EVENTS {
        if let Some(fine) = listed("/data/app/event/subscribed_events", event) {
            findings.push(Finding {
                severity: severity(fine, event),
                subject: format!("event {event}"),
                advice: if fine {
                    String::new()
                } else {
                    format!("{lack}: add it under Events & Callbacks and publish a version")
                },
            });
        }
    }
    if let Some(fine) = listed("/data/app/callback/subscribed_callbacks", "card.action.trigger") {
        findings.push(Finding {
            severity: severity(fine, "card.action.trigger"),
            subject: "callback card.action.trigger".into(),
            advice: if fine {
                String::new()
            } else {
                "buttons do nothing: add it under Events & Callbacks, Callbacks, and publish a version".into()
            },
        });
    }
    Ok(())
}
