//! Interactions: their callbacks and the messages that their tickets allow.
//! docs.discord.com/developers/interactions/receiving-and-responding

use std::time::Duration;

use serde_json::{Value, json};

use super::check::{self, Wrong, wrong};
use super::request::Asked;
use super::route;
use super::world::{Interaction, Message, State};

/// For the first answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// For everything else.
const TICKET: Duration = Duration::from_secs(900);
const EPHEMERAL: u64 = 64;

pub(crate) fn route(state: &mut State, asked: &Asked<'_>) -> Result<Value, Wrong> {
    match (asked.method, asked.path.as_slice()) {
        ("POST", ["interactions", id, token, "callback"]) => callback(state, id, token, &asked.body),
        ("PATCH", ["webhooks", app, token, "messages", "@original"]) => {
            let at = original(state, app, token)?;
            route::changed(state, at, &asked.body)
        }
        ("GET", ["webhooks", app, token, "messages", "@original"]) => {
            let at = original(state, app, token)?;
            Ok(state.message_json(&state.messages[at]))
        }
        ("DELETE", ["webhooks", app, token, "messages", "@original"]) => {
            let at = original(state, app, token)?;
            state.messages.remove(at);
            Ok(Value::Null)
        }
        ("POST", ["webhooks", app, token]) => followup(state, app, token, asked),
        ("PATCH", ["webhooks", app, token, "messages", id]) => {
            let at = sent(state, app, token, id)?;
            route::changed(state, at, &asked.body)
        }
        ("DELETE", ["webhooks", app, token, "messages", id]) => {
            let at = sent(state, app, token, id)?;
            state.messages.remove(at);
            Ok(Value::Null)
        }
        _ => Err(wrong(404, 0, "404: Not Found")),
    }
}

/// The interaction of a ticket that is still good.
fn good(state: &State, app: &str, token: &str) -> Result<usize, Wrong> {
    let at = state
        .interactions
        .iter()
        .position(|one| one.token == token)
        .filter(|_| app == super::BOT)
        .ok_or_else(|| wrong(404, 10015, "Unknown Webhook"))?;
    let one = &state.interactions[at];
    if one.expired || one.at.elapsed() > TICKET {
        return Err(wrong(401, 50027, "Invalid Webhook Token"));
    }
    if one.answered.is_none() {
        return Err(wrong(404, 10015, "Unknown Webhook"));
    }
    Ok(at)
}

fn original(state: &State, app: &str, token: &str) -> Result<usize, Wrong> {
    let one = &state.interactions[good(state, app, token)?];
    let id = one.original.as_ref().or(one.message.as_ref());
    state
        .messages
        .iter()
        .position(|message| Some(&message.id) == id)
        .ok_or_else(|| wrong(404, 10008, "Unknown Message"))
}

fn sent(state: &State, app: &str, token: &str, id: &str) -> Result<usize, Wrong> {
    good(state, app, token)?;
    state
        .messages
        .iter()
        .position(|message| message.id == id && message.author == super::BOT)
        .ok_or_else(|| wrong(404, 10008, "Unknown Message"))
}

fn followup(state: &mut State, app: &str, token: &str, asked: &Asked<'_>) -> Result<Value, Wrong> {
    let at = good(state, app, token)?;
    check::message(&asked.body, !asked.files.is_empty())?;
    let one = state.interactions[at].clone();
    let message = state.new_message(&one.channel, &asked.body);
    let hidden = asked.body["flags"].as_u64().unwrap_or(0) & EPHEMERAL != 0;
    let message = Message {
        ephemeral_to: hidden.then_some(one.user),
        files: asked
            .files
            .iter()
            .map(|file| (file.filename.clone().unwrap_or_default(), file.bytes.clone()))
            .collect(),
        ..message
    };
    let told = state.put(&message);
    Ok(
        if asked.query("wait") == Some("true") || asked.path.first() == Some(&"webhooks") {
            told
        } else {
            Value::Null
        },
    )
}

fn callback(state: &mut State, id: &str, token: &str, body: &Value) -> Result<Value, Wrong> {
    let at = state
        .interactions
        .iter()
        .position(|one| one.id == id && one.token == token)
        .ok_or_else(|| wrong(404, 10062, "Unknown interaction"))?;
    let one = state.interactions[at].clone();
    if one.at.elapsed() > PATIENCE || one.expired {
        return Err(wrong(404, 10062, "Unknown interaction"));
    }
    if one.answered.is_some() {
        return Err(wrong(400, 40060, "Interaction has already been acknowledged."));
    }
    answered(state, at, body)?;
    Ok(Value::Null)
}

/// Takes a callback, whichever way it came.
pub(crate) fn answered(state: &mut State, at: usize, body: &Value) -> Result<(), Wrong> {
    let one = state.interactions[at].clone();
    let kind = body["type"].as_u64().unwrap_or(0);
    let data = &body["data"];
    let fits = match kind {
        4 | 5 => matches!(one.kind, 2 | 3 | 5),
        6 | 7 => one.kind == 3 || (one.kind == 5 && one.message.is_some()),
        8 => one.kind == 4,
        // A modal is no answer to a modal.
        9 => matches!(one.kind, 2 | 3),
        _ => false,
    };
    if !fits {
        return Err(check::invalid(
            "type",
            "BASE_TYPE_CHOICES",
            "This type does not answer this interaction.",
        ));
    }
    let hidden = data["flags"].as_u64().unwrap_or(0) & EPHEMERAL != 0;
    match kind {
        4 | 5 => {
            if kind == 4 {
                check::message(data, false)?;
            }
            let message = state.new_message(&one.channel, data);
            let message = Message {
                thinking: kind == 5,
                ephemeral_to: hidden.then(|| one.user.clone()),
                ..message
            };
            state.interactions[at].original = Some(message.id.clone());
            state.put(&message);
        }
        7 => {
            check::message(data, true)?;
            if let Some(found) = state.messages.iter().position(|m| Some(&m.id) == one.message.as_ref()) {
                route::changed(state, found, data)?;
            }
        }
        9 => {
            check::modal(data)?;
            state.modals.push((one.id, data.clone()));
        }
        _ => {}
    }
    state.interactions[at].answered = Some(body.clone());
    Ok(())
}

impl State {
    /// Begins an interaction; what Discord tells of it.
    pub(crate) fn interact(
        &mut self,
        kind: u64,
        channel: &str,
        user: &str,
        data: &Value,
        message: Option<&Message>,
    ) -> Value {
        let (id, serial) = (self.snowflake(), self.interactions.len());
        let token = format!("aW50ZXJhY3Rpb246{serial:08}{}", "x".repeat(120));
        self.interactions.push(Interaction {
            id: id.clone(),
            token: token.clone(),
            kind,
            channel: channel.to_owned(),
            user: user.to_owned(),
            message: message.map(|message| message.id.clone()),
            answered: None,
            original: None,
            at: std::time::Instant::now(),
            expired: false,
        });
        let place = self.channels.get(channel).cloned().unwrap_or_default();
        let mut told = json!({
            "id": id, "application_id": super::BOT, "type": kind, "token": token, "version": 1, "data": data,
            "channel_id": channel, "channel": self.channel_json(channel), "locale": "en-GB",
            "attachment_size_limit": 10 << 20, "entitlements": [], "authorizing_integration_owners": {},
            "context": if place.guild.is_some() { 0 } else { 1 }, "app_permissions": self.permissions.to_string(),
        });
        match place.guild {
            Some(guild) => {
                told["guild_id"] = guild.into();
                let mut member = self.member_json(user);
                member["permissions"] = "0".into();
                told["member"] = member;
            }
            None => told["user"] = self.users.get(user).cloned().unwrap_or_default(),
        }
        if let Some(message) = message {
            told["message"] = self.message_json(message);
        }
        told
    }
}
