//! Discord: events by the gateway or by the interactions endpoint, answers by the REST API.
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
pub mod text;
pub mod view;

use botyard_sdk::json::{array_at, str_at};
use botyard_sdk::raw_http::{Downloaded, Request, Response};
use botyard_sdk::serde_json::Value;
use botyard_sdk::types::{Answer, Attachment, Conversation, Error, Event, FileRef, Origin, Person};
use botyard_sdk::{Adapter, account, delivery, files, history, host, ingress, interaction, manifest, memory, raw_http};

use crate::api::{Api, Wire};
use crate::event::seconds_of;

/// The adapter.
#[derive(Debug, Clone, Copy)]
pub struct Discord;

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

    fn keep(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<FileRef, Error> {
        files::keep(name, media_type, bytes)
    }

    fn save(&self, bytes: &[u8]) -> Result<(), Error> {
        memory::save(bytes)
    }

    fn posted(&self, message: &str) -> Result<(), Error> {
        memory::posted(message)
    }

    fn moved(&self, to: &Conversation) -> Result<(), Error> {
        memory::moved(to)
    }

    fn now(&self) -> u32 {
        host::now()
    }

    fn me(&self) -> Option<String> {
        host::me().map(|me| me.id)
    }
}

const API: Api<Host> = Api { wire: Host };

impl Adapter for Discord {
    fn describe() -> manifest::About {
        describe::about()
    }

    fn translate(event: Event) -> Result<ingress::Translated, Error> {
        let reader = event::Reader {
            me: host::me().map(|me| me.id),
            threads: || host::setting("threads").as_deref() != Some("false"),
        };
        reader.translate(&event)
    }

    fn show(view: delivery::View, target: delivery::Target) -> Result<Option<u32>, Error> {
        show::show(&API, &view, &target).map(|()| None)
    }

    fn respond(to: Origin, verdict: interaction::Verdict) -> Result<Option<Answer>, Error> {
        Ok(interactive::respond(&to, verdict))
    }

    fn fetch(attachment: Attachment) -> Result<FileRef, Error> {
        API.download(&attachment.source, &attachment.name)
    }

    fn me() -> Result<Person, Error> {
        me(&API)
    }

    fn check() -> Result<Vec<account::Finding>, Error> {
        describe::check(&API, &host::mode())
    }

    fn announce(commands: Vec<account::CommandSpec>) -> Result<(), Error> {
        describe::announce(&API, &commands)
    }

    fn who(id: String, conversation: Conversation) -> Result<Person, Error> {
        who(&API, &id, &conversation)
    }

    fn before(conversation: Conversation, message: Option<String>, at_most: u32) -> Result<Vec<history::Said>, Error> {
        before(&API, &conversation, message.as_deref(), at_most)
    }
}

/// Who the bot is.
///
/// # Errors
/// As the vendor's error says.
pub fn me<W: Wire>(api: &Api<W>) -> Result<Person, Error> {
    let answer = api.get("/users/@me")?;
    let mut me =
        event::user(&answer, None).ok_or_else(|| Error::Unavailable("discord did not say who the bot is".into()))?;
    me.bot = true;
    Ok(me)
}

/// A person's name, as the server knows them if it was said in one.
///
/// # Errors
/// As the vendor's error says.
pub fn who<W: Wire>(api: &Api<W>, id: &str, conversation: &Conversation) -> Result<Person, Error> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Gone(format!("`{id}` is no person of Discord's")));
    }
    if let Some(guild) = &conversation.tenant {
        match api.get(&format!("/guilds/{guild}/members/{id}")) {
            Ok(member) => {
                if let Some(mut person) = member.get("user").and_then(|user| event::user(user, Some(&member))) {
                    person.tenant = Some(guild.clone());
                    return Ok(person);
                }
            }
            // Not a member any more, or the bot is not one.
            Err(failure) if matches!(failure.error, Error::Gone(_) | Error::Rejected(_)) => {}
            Err(failure) => return Err(failure.error),
        }
    }
    let user = api.get(&format!("/users/{id}"))?;
    event::user(&user, None).ok_or_else(|| Error::Gone(format!("`{id}` is not known")))
}

/// What was said before, oldest first, by persons and by the bot.
///
/// # Errors
/// As the vendor's error says.
pub fn before<W: Wire>(
    api: &Api<W>,
    conversation: &Conversation,
    message: Option<&str>,
    at_most: u32,
) -> Result<Vec<history::Said>, Error> {
    let channel = conversation.thread.as_ref().unwrap_or(&conversation.channel);
    // The question that a thread is to be made from stands in the channel, and the thread is not there yet.
    let channel = if message == Some(channel.as_str()) {
        &conversation.channel
    } else {
        channel
    };
    let limit = at_most.clamp(1, 100);
    let until = message
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|id| format!("&before={id}"))
        .unwrap_or_default();
    let page = api.get(&format!("/channels/{channel}/messages?limit={limit}{until}"))?;
    let mut said: Vec<history::Said> = array_at(&page, "").iter().filter_map(said_of).collect();
    said.reverse();
    let surplus = said.len().saturating_sub(at_most as usize);
    said.drain(..surplus);
    Ok(said)
}

fn said_of(message: &Value) -> Option<history::Said> {
    // A thread begins with a message that only points to the one it was made from.
    let message = match (
        message.get("type").and_then(Value::as_u64),
        message.get("referenced_message"),
    ) {
        (Some(21), Some(first)) if first.is_object() => first,
        (None | Some(0 | 19 | 20 | 23), _) => message,
        _ => return None,
    };
    let id = str_at(message, "/id")?;
    let (text, attachments) = (beside::told(message), beside::files(message));
    Some(history::Said {
        id: id.to_owned(),
        sender: event::user(message.get("author")?, message.get("member"))?,
        text: text.trim().to_owned(),
        sent: seconds_of(id)?,
        attachments,
    })
    .filter(|said| !said.text.is_empty() || !said.attachments.is_empty())
}

botyard_sdk::export!(Discord);

#[cfg(test)]
mod tests;
