//! What the bot's own account knows: who it is, who people are, what was said, what is missing.

use botyard_sdk::account::{Finding, Severity};
use botyard_sdk::history::Said;
use botyard_sdk::json::{at, str_at};
use botyard_sdk::serde_json::Value;
use botyard_sdk::types::{Attachment, Conversation, Error, FileRef, Person};

use crate::api::{Api, Failure, Wire, encode};
use crate::content::{self, Content};
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

/// How a message is asked for: cards as they were sent, which Feishu otherwise tells in a few words
/// (open.feishu.cn/document/server-docs/im-v1/message/get).
const WHOLE: &str = "card_msg_content_type=user_card_content";

/// A message, and what it holds if it is of several that were forwarded.
fn message<W: Wire>(api: &Api<W>, id: &str) -> Result<Vec<Value>, Failure> {
    let url = format!("/open-apis/im/v1/messages/{}?user_id_type=open_id&{WHOLE}", encode(id));
    let mut answer = api.get(&url)?;
    match answer["data"]["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// A file of a person's message, the words of messages that were forwarded together, or the message that is answered.
///
/// # Errors
/// As the vendor's code says.
pub fn fetch<W: Wire>(api: &Api<W>, attachment: &Attachment) -> Result<FileRef, Error> {
    let mut parts = attachment.source.splitn(3, ':');
    let (Some(kind), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Error::Rejected("this is no file of Feishu's".into()));
    };
    match kind {
        "forward" => {
            let text = forwarded(&message(api, id)?);
            api.wire.keep(&attachment.name, "text/markdown", text.as_bytes())
        }
        "quote" => quoted(api, attachment, &message(api, id)?, key),
        _ => api.resource(id, key, kind, &attachment.name),
    }
}

/// The first is the message that holds the others.
fn forwarded(items: &[Value]) -> String {
    let all = items.iter().skip(1).filter_map(said);
    all.map(|said| format!("**{}**: {}\n\n", said.sender.label(), said.text))
        .collect()
}

/// A message that is nothing but a file is that file; of any other its words are kept, and who said them.
fn quoted<W: Wire>(api: &Api<W>, attachment: &Attachment, items: &[Value], own: &str) -> Result<FileRef, Error> {
    let gone = || Error::Gone("the message that is answered is not there any more".into());
    let item = items.first().ok_or_else(gone)?;
    let found = said(item).ok_or_else(gone)?;
    let content = content_of(item);
    if let (true, [file]) = (content.text.is_empty(), content.attachments.as_slice()) {
        return fetch(api, file);
    }
    let mut sender = found.sender;
    let text = if items.len() > 1 { forwarded(items) } else { found.text };
    if sender.bot {
        let name = if sender.id == own { "you" } else { "a program" };
        sender.name = Some(name.into());
    } else {
        let chat = Conversation {
            tenant: sender.tenant.clone(),
            channel: str_at(item, "/chat_id").unwrap_or_default().to_owned(),
            thread: None,
            direct: false,
        };
        // Without the name the id tells who it was.
        sender.name = who(api, &sender.id, &chat).ok().and_then(|person| person.name);
    }
    let text = format!("**{}**: {}\n", sender.label(), text.trim());
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

fn content_of(item: &Value) -> Content {
    content::read(
        str_at(item, "/message_id").unwrap_or_default(),
        str_at(item, "/msg_type").unwrap_or_default(),
        str_at(item, "/body/content").unwrap_or_default(),
        item.get("mentions").unwrap_or(&Value::Null),
        None,
    )
}

fn said(item: &Value) -> Option<Said> {
    if item.get("deleted").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let id = str_at(item, "/message_id")?;
    let read = content_of(item);
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
            let items = self::message(api, root)?;
            match items.first().and_then(|first| str_at(first, "/thread_id")) {
                Some(thread) => ("thread", thread.to_owned()),
                // Nothing was answered yet: the message itself is the thread.
                None => {
                    let all = items.iter().filter_map(said);
                    return Ok(all.filter(|said| Some(said.id.as_str()) != message).collect());
                }
            }
        }
    };
    let url = format!(
        "/open-apis/im/v1/messages?container_id_type={kind}&container_id={}&sort_type=ByCreateTimeDesc&page_size={wanted}&{WHOLE}",
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
pub const SCOPES: [(&str, &str); 12] = [
    ("im:message:send_as_bot", "the bot cannot answer"),
    ("im:message.p2p_msg:readonly", "the bot does not hear direct messages"),
    (
        "im:message.group_at_msg:readonly",
        "the bot does not hear mentions in groups",
    ),
    ("im:message:update", "the bot cannot change what it wrote"),
    (
        "im:message:readonly",
        "the bot cannot read what was said before, nor messages that are forwarded or answered",
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
    (
        "application:application:self_manage",
        "nobody can look up which events and callbacks are subscribed",
    ),
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

/// A call that asks about the app itself; none: the app may not ask, and a finding says what to do instead.
fn asked<W: Wire>(
    api: &Api<W>,
    url: &str,
    subject: &str,
    instead: &str,
    findings: &mut Vec<Finding>,
) -> Result<Option<Value>, Error> {
    match api.get(url) {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if matches!(failure.error, Error::RateLimited(_) | Error::Unavailable(_)) => Err(failure.error),
        Err(failure) => {
            findings.push(Finding {
                severity: Severity::Warning,
                subject: subject.to_owned(),
                advice: format!("could not be looked up (feishu says {}): {instead}", failure.code),
            });
            Ok(None)
        }
    }
}

fn scopes<W: Wire>(api: &Api<W>, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let instead = "compare what stands under Permissions & Scopes with the list in the README";
    let Some(answer) = asked(api, "/open-apis/application/v6/scopes", "scopes", instead, findings)? else {
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
    let url = "/open-apis/application/v6/applications/me?lang=en_us";
    let instead = "add the scope application:application:self_manage and publish a version, or look under Events & \
                   Callbacks yourself";
    let Some(answer) = asked(api, url, "events and callbacks", instead, findings)? else {
        return Ok(());
    };
    let app = at(&answer, "/data/app").unwrap_or(&Value::Null);
    let events = at(app, "/event/subscribed_events").and_then(Value::as_array);
    let callbacks = ["/callback_info/subscribed_callbacks", "/callback/subscribed_callbacks"];
    let callbacks = callbacks.iter().find_map(|pointer| at(app, pointer)?.as_array());
    let mut look = |kind: &str, listed: Option<&Vec<Value>>, name: &str, lack: String| {
        let fine = listed.map(|all| all.iter().any(|one| one.as_str() == Some(name)));
        findings.push(Finding {
            severity: match fine {
                Some(fine) => severity(fine, name),
                None => Severity::Warning,
            },
            subject: format!("{kind} {name}"),
            advice: match fine {
                Some(true) => String::new(),
                Some(false) => lack,
                None => "could not be looked up: see under Events & Callbacks that it is there".into(),
            },
        });
    };
    for (event, lack) in EVENTS {
        let lack = format!("{lack}: add it under Events & Callbacks and publish a version");
        look("event", events, event, lack);
    }
    let lack = "buttons do nothing: add it under Events & Callbacks, Callbacks, and publish a version";
    look("callback", callbacks, "card.action.trigger", lack.into());
    Ok(())
}
