//! Slack: events by webhook or Socket Mode, answers by the Web API.
//!
//! This file joins the pure parts to the host: [`event`] and [`interactive`] read, [`view`] draws, [`show`] brings the
//! drawing into the chat, [`api`] calls.

pub mod api;
mod ask;
mod beside;
pub mod describe;
pub mod event;
pub mod form;
pub mod interactive;
pub mod show;
pub mod stream;
pub mod text;
pub mod view;

use botyard_sdk::json::{array_at, str_at};
use botyard_sdk::raw_http::{Downloaded, Request, Response};
use botyard_sdk::serde_json::Value;
use botyard_sdk::types::{Answer, Attachment, Conversation, Error, Event, FileRef, Origin, Person};
use botyard_sdk::{Adapter, account, delivery, history, host, ingress, interaction, manifest, memory, raw_http, store};

use crate::api::{Api, Place, Progress, Wire};

/// The adapter.
#[derive(Debug, Clone, Copy)]
pub struct Slack;

/// The real host.
#[derive(Debug, Clone, Copy)]
pub struct Host;

impl Wire for Host {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        raw_http::send(request)
    }

    fn download(&self, request: &Request, name: &str) -> Result<Downloaded, Error> {
        raw_http::download(request, name)
    }

    fn save(&self, bytes: &[u8]) -> Result<(), Error> {
        memory::save(bytes)
    }

    fn posted(&self, ts: &str) -> Result<(), Error> {
        memory::posted(ts)
    }

    fn now(&self) -> u32 {
        host::now()
    }

    fn is_kept(&self, key: &str) -> bool {
        store::get(key).is_ok_and(|value| value.is_some())
    }

    fn keep(&self, key: &str, seconds: u32) {
        // Not known the next time costs one call.
        drop(store::put(key, b"1", Some(seconds)));
    }

    fn me(&self) -> Option<String> {
        host::me().map(|me| me.id)
    }

    fn progress(&self) -> Progress {
        match host::setting("progress").as_deref() {
            Some("stream") => Progress::Stream,
            Some("edit") => Progress::Edit,
            _ => Progress::Auto,
        }
    }
}

const API: Api<Host> = Api { wire: Host };

impl Adapter for Slack {
    fn describe() -> manifest::About {
        describe::about()
    }

    fn translate(event: Event) -> Result<ingress::Translated, Error> {
        let reader = event::Reader {
            me: host::me().map(|me| me.id),
            command: || host::setting("command").unwrap_or_else(|| describe::COMMAND.to_owned()),
        };
        reader.translate(&event)
    }

    fn show(view: delivery::View, target: delivery::Target) -> Result<Option<u32>, Error> {
        show::show(&API, &view, &target).map(|()| None)
    }

    fn respond(to: Origin, verdict: interaction::Verdict) -> Result<Option<Answer>, Error> {
        interactive::respond(&API, &to, verdict)
    }

    fn fetch(attachment: Attachment) -> Result<FileRef, Error> {
        fetch(&API, &attachment)
    }

    fn me() -> Result<Person, Error> {
        me(&API)
    }

    fn check() -> Result<Vec<account::Finding>, Error> {
        describe::check(&API, host::mode() == "socket")
    }

    fn who(id: String, _conversation: Conversation) -> Result<Person, Error> {
        who(&API, &id)
    }

    fn before(conversation: Conversation, message: Option<String>, at_most: u32) -> Result<Vec<history::Said>, Error> {
        before(&API, &conversation, message.as_deref(), at_most)
    }
}

/// Who the bot is: `auth.test`.
///
/// # Errors
/// As the vendor's error says.
pub fn me<W: Wire>(api: &Api<W>) -> Result<Person, Error> {
    let (answer, _) = api.auth_test()?;
    let id =
        str_at(&answer, "/user_id").ok_or_else(|| Error::Unavailable("slack did not say who the bot is".into()))?;
    let mut me = event::person(id, str_at(&answer, "/team_id"));
    me.name = str_at(&answer, "/user").map(str::to_owned);
    me.handle = me.name.clone();
    me.bot = true;
    Ok(me)
}

/// A person's name: `users.info`.
///
/// # Errors
/// As the vendor's error says.
pub fn who<W: Wire>(api: &Api<W>, id: &str) -> Result<Person, Error> {
    let answer = api.user(id)?;
    let user = answer.get("user").unwrap_or(&Value::Null);
    let mut person = event::person(id, str_at(user, "/team_id"));
    person.name = str_at(user, "/profile/display_name")
        .or(str_at(user, "/profile/real_name"))
        .or(str_at(user, "/real_name"))
        .or(str_at(user, "/name"))
        .map(str::to_owned);
    person.handle = str_at(user, "/name").map(str::to_owned);
    person.locale = str_at(user, "/locale").map(str::to_owned);
    person.bot = user.get("is_bot").and_then(Value::as_bool).unwrap_or(false);
    Ok(person)
}

/// A file of a message's into the host's keeping.
///
/// # Errors
/// `unauthorized` when Slack sends its login page instead, as it does without the scope `files:read`.
pub fn fetch<W: Wire>(api: &Api<W>, attachment: &Attachment) -> Result<FileRef, Error> {
    let url = match attachment.source.strip_prefix("id:") {
        None => attachment.source.clone(),
        Some(id) => {
            let answer = api.file(id)?;
            str_at(&answer, "/file/url_private_download")
                .or(str_at(&answer, "/file/url_private"))
                .ok_or_else(|| Error::Rejected("this file has nothing to download".into()))?
                .to_owned()
        }
    };
    let file = api.download(&url, &attachment.name)?;
    let html = |kind: &str| kind.starts_with("text/html");
    if html(&file.media_type) && !attachment.media_type.as_deref().is_some_and(html) {
        return Err(Error::Unauthorized("the bot token lacks the scope files:read".into()));
    }
    Ok(file)
}

/// Replies in one page: the most that Slack gives (docs.slack.dev/reference/methods/conversations.history).
const REPLIES: u32 = 999;
/// Pages of a thread that are looked through.
const PAGES: usize = 10;
/// A thread's last replies are looked for in this time first: Slack tells its oldest first.
const LATELY_SECONDS: u32 = 3 * 24 * 3600;

/// What was said before, oldest first, by persons and by the bot: the last `at_most` before `message`. Of a thread that
/// is too long to be read to its end, only what was said lately, and what it is about.
///
/// # Errors
/// As the vendor's error says; `unavailable` when a thread is too long and nobody can tell what was said last.
pub fn before<W: Wire>(
    api: &Api<W>,
    conversation: &Conversation,
    message: Option<&str>,
    at_most: u32,
) -> Result<Vec<history::Said>, Error> {
    let place = Place {
        channel: &conversation.channel,
        thread: conversation.thread.as_deref(),
    };
    let too_long = || Error::Unavailable("the thread is too long to be read to its end".into());
    let lately = message
        .and_then(event::seconds)
        .map(|sent| sent.saturating_sub(LATELY_SECONDS));
    let begun = place.thread.and_then(event::seconds);
    let lately = lately.filter(|lately| begun.is_some_and(|begun| begun < *lately));
    let Some(lately) = lately else {
        return said_in(api, place, message, at_most, None)?.ok_or_else(too_long);
    };
    let late = said_in(api, place, message, at_most, Some(lately))?.ok_or_else(too_long)?;
    // A thread's first message comes in any case.
    let replies = late.iter().filter(|said| Some(said.id.as_str()) != place.thread);
    if replies.count() >= at_most as usize {
        return Ok(late);
    }
    Ok(said_in(api, place, message, at_most, None)?.unwrap_or(late))
}

/// The last `at_most` before `message` and after `oldest`, in seconds. None: there is more than is looked through.
fn said_in<W: Wire>(
    api: &Api<W>,
    place: Place<'_>,
    message: Option<&str>,
    at_most: u32,
    oldest: Option<u32>,
) -> Result<Option<Vec<history::Said>>, Error> {
    // A channel's newest come first, a thread's oldest: there the last page is the one.
    let (mut limit, mut pages) = match place.thread {
        Some(_) => (REPLIES, PAGES),
        None => (at_most.clamp(1, 100), 1),
    };
    let oldest = oldest.map(|oldest| format!("{oldest}.000000"));
    let mut said: Vec<history::Said> = Vec::new();
    let mut cursor = String::new();
    loop {
        let asked = limit.to_string();
        let mut query = vec![("limit", asked.as_str())];
        query.extend(message.map(|ts| ("latest", ts)));
        query.extend(oldest.as_deref().map(|ts| ("oldest", ts)));
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let page = match api.messages(place, &query) {
            // More than the host takes in one answer. No page came, so none is used up.
            Err(failure) if matches!(failure.error, Error::TooLarge(_)) && limit > 1 => {
                limit /= 2;
                continue;
            }
            page => page?,
        };
        said.extend(array_at(&page, "/messages").iter().filter_map(said_of));
        // Equal lengths before the point: a `ts` sorts as text. A thread's first message may come with every page.
        said.sort_by(|a, b| a.id.cmp(&b.id));
        said.dedup_by(|a, b| a.id == b.id);
        let surplus = said.len().saturating_sub(at_most as usize);
        said.drain(..surplus);
        pages -= 1;
        match str_at(&page, "/response_metadata/next_cursor") {
            Some(next) if pages > 0 => cursor = next.to_owned(),
            // What comes behind the cursor was said later in a thread, and earlier in a channel.
            Some(_) if place.thread.is_some() => return Ok(None),
            _ => return Ok(Some(said)),
        }
    }
}

/// A message of a channel's, with what stands beside it and the names of its files; none: there is nothing to read.
fn said_of(found: &Value) -> Option<history::Said> {
    let ts = str_at(found, "/ts")?;
    let beside = beside::Beside::of(found);
    let text = beside.quoted_behind(&text::hear(str_at(found, "/text").unwrap_or_default(), None).text);
    let mut attachments = event::attachments(array_at(found, "/files"));
    attachments.extend(beside.files);
    Some(history::Said {
        id: ts.to_owned(),
        sender: event::author(found, None).or_else(|| {
            // Of some old webhooks nothing but the name is told.
            let mut hook = event::person("?", None);
            hook.name = Some(str_at(found, "/username")?.to_owned());
            hook.bot = true;
            Some(hook)
        })?,
        text: text.trim().to_owned(),
        sent: event::seconds(ts)?,
        attachments,
    })
    .filter(|said| !said.text.is_empty() || !said.attachments.is_empty())
}

botyard_sdk::export!(Slack);

#[cfg(test)]
mod tests;
