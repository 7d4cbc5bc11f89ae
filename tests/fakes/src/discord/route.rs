//! What each address of the API does. Paths: docs.discord.com/developers/resources.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::check::{self, Wrong, invalid, wrong};
use super::interaction;
use super::request::Asked;
use super::world::{Channel, Message, State, named};

/// Files of 10 MiB, requests of 25 MiB: /reference#uploading-files.
const FILE: usize = 10 << 20;
/// "The past few minutes".
const NONCE: Duration = Duration::from_secs(300);

/// Null: 204.
pub(crate) fn route(state: &mut State, asked: &Asked<'_>) -> Result<Value, Wrong> {
    match (asked.method, asked.path.as_slice()) {
        ("GET", ["gateway"]) => Ok(json!({ "url": state.gateway_url() })),
        ("GET", ["gateway", "bot"]) => Ok(json!({
            "url": state.gateway_url(),
            "shards": state.gateway.shards,
            "session_start_limit": {
                "total": 1000, "remaining": state.gateway.identifies_left, "reset_after": 60_000, "max_concurrency": 1,
            },
        })),
        ("GET", ["users", "@me"]) => Ok(state.users[super::BOT].clone()),
        ("GET", ["users", "@me", "guilds"]) => {
            if !state.in_guild {
                return Ok(json!([]));
            }
            let permissions = state.permissions.to_string();
            Ok(
                json!([{ "id": super::GUILD, "name": "Fake", "owner": false, "permissions": permissions, "features": [] }]),
            )
        }
        ("GET", ["users", id]) => state
            .users
            .get(*id)
            .cloned()
            .ok_or_else(|| wrong(404, 10013, "Unknown User")),
        ("POST", ["users", "@me", "channels"]) => direct(state, &asked.body),
        ("GET", ["applications", "@me"]) => {
            let mut flags = 0u64;
            if state.content_intent {
                flags |= 1 << 19;
            }
            Ok(json!({
                "id": super::BOT, "name": "botyard", "flags": flags, "bot": state.users[super::BOT],
                "interactions_endpoint_url": state.endpoint,
            }))
        }
        ("GET", ["applications", app, "commands"]) if *app == super::BOT => Ok(state.commands.clone().into()),
        ("PUT", ["applications", app, "commands"]) if *app == super::BOT => commands(state, &asked.body),
        ("GET", ["guilds", guild, "members", user]) => {
            if *guild != super::GUILD || !state.users.contains_key(*user) {
                return Err(wrong(404, 10007, "Unknown Member"));
            }
            Ok(state.member_json(user))
        }
        ("GET", ["channels", id]) => {
            seen(state, id)?;
            Ok(state.channel_json(id).unwrap_or_default())
        }
        ("PATCH", ["channels", id]) => {
            let channel = seen(state, id)?;
            if channel.kind != 11 {
                return Err(wrong(403, 50013, "Missing Permissions"));
            }
            if let Some(archived) = asked.body["archived"].as_bool()
                && let Some(channel) = state.channels.get_mut(*id)
            {
                channel.archived = archived;
            }
            let told = state.channel_json(id).unwrap_or_default();
            state.dispatch("THREAD_UPDATE", &told);
            Ok(told)
        }
        ("POST", ["channels", id, "typing"]) => {
            writable(state, id)?;
            state.typing.push((*id).to_owned());
            Ok(Value::Null)
        }
        ("GET", ["channels", id, "messages"]) => history(state, id, asked),
        ("POST", ["channels", id, "messages"]) => post(state, id, asked),
        ("GET", ["channels", id, "messages", message]) => one(state, id, message),
        ("PATCH", ["channels", id, "messages", message]) => edit(state, id, message, &asked.body),
        ("DELETE", ["channels", id, "messages", message]) => delete(state, id, message),
        ("POST", ["channels", id, "messages", message, "threads"]) => thread(state, id, message, &asked.body),
        (_, ["interactions", ..] | ["webhooks", ..]) => interaction::route(state, asked),
        _ => Err(wrong(404, 0, "404: Not Found")),
    }
}

fn seen(state: &State, id: &str) -> Result<Channel, Wrong> {
    let channel = state
        .channels
        .get(id)
        .cloned()
        .ok_or_else(|| wrong(404, 10003, "Unknown Channel"))?;
    if channel.hidden {
        return Err(wrong(403, 50001, "Missing Access"));
    }
    Ok(channel)
}

fn writable(state: &State, id: &str) -> Result<Channel, Wrong> {
    let channel = seen(state, id)?;
    if channel.silent {
        return Err(wrong(403, 50013, "Missing Permissions"));
    }
    if channel.locked {
        return Err(wrong(400, 160_005, "Thread is locked"));
    }
    Ok(channel)
}

fn direct(state: &mut State, body: &Value) -> Result<Value, Wrong> {
    let user = body["recipient_id"].as_str().unwrap_or_default().to_owned();
    if !state.users.contains_key(&user) {
        return Err(wrong(404, 10013, "Unknown User"));
    }
    let id = if user == super::ANN {
        super::DIRECT.to_owned()
    } else {
        format!("3{}", &user[1..])
    };
    let channel = Channel {
        kind: 1,
        ..Channel::default()
    };
    state.channels.entry(id.clone()).or_insert(channel);
    Ok(state.channel_json(&id).unwrap_or_default())
}

fn commands(state: &mut State, body: &Value) -> Result<Value, Wrong> {
    let all = body
        .as_array()
        .ok_or_else(|| invalid("commands", "LIST_TYPE_CONVERT", "Only iterables may be used"))?;
    let mut names = BTreeSet::new();
    for (at, command) in all.iter().enumerate() {
        check::command(command, at)?;
        let kind = command["type"].as_u64().unwrap_or(1);
        if !names.insert((kind, command["name"].as_str().unwrap_or_default())) {
            let message = "Application command names must be unique";
            return Err(invalid(&at.to_string(), "APPLICATION_COMMANDS_DUPLICATE_NAME", message));
        }
    }
    // /interactions/application-commands#registering-a-command: 100 global ones by slash, 15 in a message's menu.
    if all.len() > 115 {
        return Err(wrong(
            400,
            30032,
            "Maximum number of application commands reached (100)",
        ));
    }
    let mut kept = all.clone();
    for command in &mut kept {
        command["id"] = state.snowflake().into();
        command["application_id"] = super::BOT.into();
        command["version"] = state.snowflake().into();
        command["default_member_permissions"] = Value::Null;
        command["nsfw"] = false.into();
        if command.get("type").is_none() {
            command["type"] = 1.into();
        }
    }
    state.commands = kept;
    Ok(state.commands.clone().into())
}

fn one(state: &State, id: &str, message: &str) -> Result<Value, Wrong> {
    seen(state, id)?;
    let found = state.messages.iter().find(|one| one.channel == id && one.id == message);
    found
        .map(|found| state.message_json(found))
        .ok_or_else(|| wrong(404, 10008, "Unknown Message"))
}

fn history(state: &State, id: &str, asked: &Asked<'_>) -> Result<Value, Wrong> {
    seen(state, id)?;
    let limit = asked
        .query("limit")
        .and_then(|text| text.parse().ok())
        .unwrap_or(50usize);
    if !(1..=100).contains(&limit) {
        return Err(invalid(
            "limit",
            "NUMBER_TYPE_MAX",
            "int value should be between 1 and 100.",
        ));
    }
    let number = |name: &str| asked.query(name).and_then(|text| text.parse::<u64>().ok());
    let (before, after) = (number("before"), number("after"));
    let mut found: Vec<Value> = Vec::new();
    for message in state.messages.iter().rev() {
        let at: u64 = message.id.parse().unwrap_or(0);
        let inside = before.is_none_or(|before| at < before) && after.is_none_or(|after| at > after);
        if message.channel == id && message.ephemeral_to.is_none() && inside {
            found.push(state.message_json(message));
        }
    }
    // With `after` these are the ones next to it.
    if after.is_some() && found.len() > limit {
        found.drain(..found.len() - limit);
    }
    found.truncate(limit);
    // A thread begins with a message that points to the one it was made from.
    if state.channels.get(id).is_some_and(|channel| channel.kind == 11)
        && found.len() < limit
        && let Some(first) = state.messages.iter().find(|message| message.id == id)
    {
        let mut starter = state.message_json(first);
        starter["referenced_message"] = starter.clone();
        starter["type"] = 21.into();
        starter["content"] = "".into();
        starter["channel_id"] = id.into();
        found.push(starter);
    }
    Ok(found.into())
}

fn post(state: &mut State, id: &str, asked: &Asked<'_>) -> Result<Value, Wrong> {
    let channel = writable(state, id)?;
    check::message(&asked.body, !asked.files.is_empty())?;
    let total: usize = asked.files.iter().map(|file| file.bytes.len()).sum();
    if asked.files.iter().any(|file| file.bytes.len() > FILE) || total > 25 << 20 {
        return Err(wrong(413, 40005, "Request entity too large"));
    }
    let nonce = asked.body["nonce"].as_str().map(str::to_owned);
    if asked.body["enforce_nonce"] == true && nonce.is_some() {
        let there = state.messages.iter().find(|message| {
            message.channel == id
                && message.author == super::BOT
                && message.nonce == nonce
                && message.posted.elapsed() < NONCE
        });
        if let Some(there) = there {
            return Ok(state.message_json(there));
        }
    }
    let answers = asked.body["message_reference"]["message_id"]
        .as_str()
        .map(str::to_owned);
    let answers = match answers {
        Some(found) if state.messages.iter().any(|message| message.id == found) => Some(found),
        Some(_) if asked.body["message_reference"]["fail_if_not_exists"] == false => None,
        Some(_) => {
            return Err(invalid(
                "message_reference",
                "REPLIES_UNKNOWN_MESSAGE",
                "Unknown message",
            ));
        }
        None => None,
    };
    if channel.archived
        && let Some(channel) = state.channels.get_mut(id)
    {
        // Posting brings it back: /topics/threads.
        channel.archived = false;
    }
    let message = state.new_message(id, &asked.body);
    let message = Message {
        nonce,
        answers,
        files: asked
            .files
            .iter()
            .map(|file| (file.filename.clone().unwrap_or_default(), file.bytes.clone()))
            .collect(),
        ..message
    };
    Ok(state.put(&message))
}

impl State {
    /// A message of the bot's from a body.
    pub(crate) fn new_message(&mut self, channel: &str, body: &Value) -> Message {
        let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        let content = body["content"].as_str().unwrap_or_default().trim().to_owned();
        Message {
            id: self.snowflake(),
            channel: channel.to_owned(),
            author: super::BOT.into(),
            pinged: pinged(&content, &body["allowed_mentions"]),
            content,
            embeds: list("embeds"),
            components: list("components"),
            files: Vec::new(),
            answers: None,
            ephemeral_to: None,
            nonce: None,
            edits: 0,
            thinking: false,
            reactions: BTreeSet::new(),
            posted: Instant::now(),
        }
    }

    /// Puts a message into its channel and tells everybody; what the API answers.
    pub(crate) fn put(&mut self, message: &Message) -> Value {
        for (at, (name, bytes)) in message.files.iter().enumerate() {
            self.cdn.insert(format!("{}/{at}/{name}", message.id), bytes.clone());
        }
        let told = self.message_json(message);
        let hidden = message.ephemeral_to.is_some();
        self.messages.push(message.clone());
        if !hidden {
            self.tell_message("MESSAGE_CREATE", message);
        }
        told
    }

    /// A dispatch about a message, with what only dispatches have.
    pub(crate) fn tell_message(&mut self, name: &str, message: &Message) {
        let mut told = self.message_json(message);
        let place = self.channels.get(&message.channel).cloned().unwrap_or_default();
        told["channel_type"] = place.kind.into();
        if let Some(guild) = place.guild {
            told["guild_id"] = guild.into();
            let mut member = self.member_json(&message.author);
            if let Some(fields) = member.as_object_mut() {
                fields.remove("user");
            }
            told["member"] = member;
        }
        self.dispatch(name, &told);
    }
}

/// Whom a text pings: /resources/message#allowed-mentions-object. Without the field, everybody it names.
fn pinged(content: &str, allowed: &Value) -> Vec<String> {
    let mut all = named(content);
    let roles = content.split("<@&").skip(1).filter_map(|rest| rest.split_once('>'));
    all.extend(roles.map(|(id, _)| format!("&{id}")));
    all.extend(
        ["@everyone", "@here"]
            .into_iter()
            .filter(|word| content.contains(word))
            .map(str::to_owned),
    );
    match allowed["parse"].as_array() {
        None => all,
        Some(kinds) => {
            let has = |kind: &str| kinds.iter().any(|k| k == kind);
            all.retain(|who| {
                has(match who.as_bytes().first() {
                    Some(b'@') => "everyone",
                    Some(b'&') => "roles",
                    _ => "users",
                })
            });
            all
        }
    }
}

fn edit(state: &mut State, channel: &str, id: &str, body: &Value) -> Result<Value, Wrong> {
    let place = seen(state, channel)?;
    let at = state
        .messages
        .iter()
        .position(|message| message.channel == channel && message.id == id && message.ephemeral_to.is_none())
        .ok_or_else(|| wrong(404, 10008, "Unknown Message"))?;
    if state.messages[at].author != super::BOT {
        return Err(wrong(403, 50005, "Cannot edit a message authored by another user"));
    }
    if place.archived {
        return Err(wrong(400, 50083, "Thread is archived"));
    }
    changed(state, at, body)
}

/// The message with what the body names changed.
pub(crate) fn changed(state: &mut State, at: usize, body: &Value) -> Result<Value, Wrong> {
    let mut whole = body.clone();
    let there = &state.messages[at];
    for (name, value) in [
        ("content", Value::from(there.content.clone())),
        ("embeds", there.embeds.clone().into()),
        ("components", there.components.clone().into()),
    ] {
        if body.get(name).is_none() {
            whole[name] = value;
        }
    }
    check::message(&whole, !there.files.is_empty())?;
    let list = |name: &str| whole[name].as_array().cloned().unwrap_or_default();
    let (embeds, components) = (list("embeds"), list("components"));
    let message = &mut state.messages[at];
    message.content = whole["content"].as_str().unwrap_or_default().trim().to_owned();
    message.embeds = embeds;
    message.components = components;
    message.thinking = false;
    message.edits += 1;
    let message = message.clone();
    if message.ephemeral_to.is_none() {
        state.tell_message("MESSAGE_UPDATE", &message);
    }
    Ok(state.message_json(&message))
}

fn delete(state: &mut State, channel: &str, id: &str) -> Result<Value, Wrong> {
    seen(state, channel)?;
    let before = state.messages.len();
    state
        .messages
        .retain(|message| message.channel != channel || message.id != id);
    if state.messages.len() == before {
        return Err(wrong(404, 10008, "Unknown Message"));
    }
    let mut told = json!({ "id": id, "channel_id": channel });
    if let Some(guild) = state.channels.get(channel).and_then(|channel| channel.guild.clone()) {
        told["guild_id"] = guild.into();
    }
    state.dispatch("MESSAGE_DELETE", &told);
    Ok(Value::Null)
}

/// /resources/channel#start-thread-from-message: the thread gets the message's id.
fn thread(state: &mut State, channel: &str, message: &str, body: &Value) -> Result<Value, Wrong> {
    let parent = seen(state, channel)?;
    if parent.no_threads {
        return Err(wrong(403, 50013, "Missing Permissions"));
    }
    if !matches!(parent.kind, 0 | 5) {
        return Err(wrong(400, 50024, "Cannot execute action on this channel type"));
    }
    if !state.messages.iter().any(|m| m.id == message && m.channel == channel) {
        return Err(wrong(404, 10008, "Unknown Message"));
    }
    if state.channels.contains_key(message) {
        return Err(wrong(
            400,
            160_004,
            "A thread has already been created for this message",
        ));
    }
    let name = body["name"].as_str().unwrap_or_default();
    if !(1..=100).contains(&name.chars().count()) {
        return Err(invalid(
            "name",
            "BASE_TYPE_BAD_LENGTH",
            "Must be between 1 and 100 in length.",
        ));
    }
    if ![60, 1440, 4320, 10080].contains(&body["auto_archive_duration"].as_u64().unwrap_or(1440)) {
        let message = "Value must be one of {60, 1440, 4320, 10080}.";
        return Err(invalid("auto_archive_duration", "BASE_TYPE_CHOICES", message));
    }
    let made = Channel {
        kind: 11,
        guild: parent.guild,
        parent: Some(channel.to_owned()),
        name: name.to_owned(),
        ..Channel::default()
    };
    state.channels.insert(message.to_owned(), made);
    let mut told = state.channel_json(message).unwrap_or_default();
    told["newly_created"] = true.into();
    state.dispatch("THREAD_CREATE", &told);
    Ok(told)
}
