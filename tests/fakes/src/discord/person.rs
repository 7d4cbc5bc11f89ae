//! What people do: they write, change, delete, react, press, choose, fill in forms and give commands. The gateway tells
//! it; where the application has an endpoint, interactions go there instead.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::world::{Message, World, media_type};

impl World {
    /// Somebody writes; the message's id.
    pub fn say(&self, channel: &str, user: &str, text: &str) -> String {
        self.write(channel, user, text, None, &[])
    }

    /// Somebody names the bot.
    pub fn mention(&self, channel: &str, user: &str, text: &str) -> String {
        self.say(channel, user, &format!("<@{}> {text}", super::BOT))
    }

    /// Somebody writes an answer to a message, or with files.
    pub fn write(
        &self,
        channel: &str,
        user: &str,
        text: &str,
        answers: Option<&str>,
        files: &[(&str, &[u8])],
    ) -> String {
        let mut state = self.lock();
        let id = state.snowflake();
        let message = Message {
            id: id.clone(),
            channel: channel.to_owned(),
            author: user.to_owned(),
            content: text.to_owned(),
            embeds: Vec::new(),
            components: Vec::new(),
            files: files
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
                .collect(),
            answers: answers.map(str::to_owned),
            ephemeral_to: None,
            nonce: None,
            edits: 0,
            thinking: false,
            pinged: Vec::new(),
            reactions: BTreeSet::new(),
            posted: Instant::now(),
        };
        state.put(&message);
        drop(state);
        self.touched();
        id
    }

    /// Somebody changes what they wrote.
    pub fn change(&self, id: &str, text: &str) {
        let mut state = self.lock();
        let found = state
            .messages
            .iter_mut()
            .find(|message| message.id == id)
            .map(|message| {
                text.clone_into(&mut message.content);
                message.edits += 1;
                message.clone()
            });
        if let Some(message) = found {
            state.tell_message("MESSAGE_UPDATE", &message);
        }
        drop(state);
        self.touched();
    }

    /// Somebody takes messages of one channel away: one, or several at once.
    pub fn take_away(&self, channel: &str, ids: &[&str]) {
        let mut state = self.lock();
        state.messages.retain(|message| !ids.contains(&message.id.as_str()));
        let guild = state.channels.get(channel).and_then(|place| place.guild.clone());
        let mut told = json!({ "channel_id": channel });
        if let Some(guild) = guild {
            told["guild_id"] = guild.into();
        }
        if let [id] = ids {
            told["id"] = (*id).into();
            state.dispatch("MESSAGE_DELETE", &told);
        } else {
            told["ids"] = ids.iter().copied().collect();
            state.dispatch("MESSAGE_DELETE_BULK", &told);
        }
        drop(state);
        self.touched();
    }

    /// Somebody puts an emoji on a message, or takes it off.
    pub fn react(&self, id: &str, user: &str, emoji: &str, added: bool) {
        let mut state = self.lock();
        let Some(at) = state.messages.iter().position(|message| message.id == id) else {
            return;
        };
        let key = (emoji.to_owned(), user.to_owned());
        let changed = if added {
            state.messages[at].reactions.insert(key)
        } else {
            state.messages[at].reactions.remove(&key)
        };
        if !changed {
            return;
        }
        let message = state.messages[at].clone();
        let mut told = json!({
            "user_id": user, "channel_id": message.channel, "message_id": id, "burst": false, "type": 0,
            "emoji": { "id": null, "name": emoji }, "message_author_id": message.author,
        });
        if let Some(guild) = state
            .channels
            .get(&message.channel)
            .and_then(|place| place.guild.clone())
        {
            told["guild_id"] = guild.into();
            if added {
                told["member"] = state.member_json(user);
            }
        }
        let name = if added {
            "MESSAGE_REACTION_ADD"
        } else {
            "MESSAGE_REACTION_REMOVE"
        };
        state.dispatch(name, &told);
        drop(state);
        self.touched();
    }

    /// Somebody presses the button with this label; what Discord tells of it.
    ///
    /// # Panics
    /// When the message has no such button.
    pub fn press(&self, message: &Message, user: &str, label: &str) -> Value {
        let buttons = message.buttons();
        let found = buttons.iter().find(|(text, _)| text == label);
        let id = &found.unwrap_or_else(|| panic!("no button {label} in {buttons:?}")).1;
        self.component(message, user, &json!({ "custom_id": id, "component_type": 2 }))
    }

    /// Somebody chooses from a list.
    ///
    /// # Panics
    /// When the message has no such list.
    pub fn choose(&self, message: &Message, user: &str, list: usize, values: &[&str]) -> Value {
        let lists = message.lists();
        let id = lists[list]["custom_id"].clone();
        self.component(
            message,
            user,
            &json!({ "custom_id": id, "component_type": 3, "values": values }),
        )
    }

    pub(crate) fn component(&self, message: &Message, user: &str, data: &Value) -> Value {
        self.interact(3, &message.channel, user, data, Some(message))
    }

    /// Somebody fills in the form that was opened last: values by name, in its order.
    ///
    /// # Panics
    /// When no form was opened.
    pub fn submit(&self, user: &str, values: &[(&str, &[&str])]) -> Value {
        let state = self.lock();
        let (opened_by, modal) = state.modals.last().cloned().expect("a form was opened");
        let opener = state
            .interactions
            .iter()
            .find(|one| one.id == opened_by)
            .cloned()
            .expect("it is known");
        let message = state
            .messages
            .iter()
            .find(|m| Some(&m.id) == opener.message.as_ref())
            .cloned();
        drop(state);
        let mut components = Vec::new();
        for part in modal["components"].as_array().into_iter().flatten() {
            let mut inside =
                json!({ "id": 2, "type": part["component"]["type"], "custom_id": part["component"]["custom_id"] });
            let given = values
                .iter()
                .find(|(name, _)| inside["custom_id"] == *name)
                .map_or(&[][..], |(_, v)| v);
            if inside["type"] == 3 {
                inside["values"] = given.iter().copied().collect();
            } else {
                inside["value"] = given.first().copied().unwrap_or_default().into();
            }
            components.push(json!({ "id": 1, "type": 18, "component": inside }));
        }
        let data = json!({ "custom_id": modal["custom_id"], "components": components });
        self.interact(5, &opener.channel, user, &data, message.as_ref())
    }

    /// Somebody gives a slash command: options by name.
    ///
    /// # Panics
    /// When no such command is registered.
    pub fn slash(&self, channel: &str, user: &str, name: &str, options: &[(&str, &str)]) -> Value {
        self.slash_with(channel, user, name, options, None)
    }

    /// The same with a file: its option, its name and its bytes.
    ///
    /// # Panics
    /// When no such command is registered.
    pub fn slash_with(
        &self,
        channel: &str,
        user: &str,
        name: &str,
        options: &[(&str, &str)],
        file: Option<(&str, &str, &[u8])>,
    ) -> Value {
        let known = self
            .commands()
            .into_iter()
            .find(|command| command["name"] == name && command["type"] == 1);
        let command = known.unwrap_or_else(|| panic!("no command {name} is registered"));
        let mut options: Vec<Value> = options
            .iter()
            .map(|(name, value)| json!({ "name": name, "type": 3, "value": value }))
            .collect();
        let mut data = json!({ "id": command["id"], "name": name, "type": 1 });
        if let Some((option, filename, bytes)) = file {
            let mut state = self.lock();
            let id = state.snowflake();
            state.cdn.insert(format!("{id}/0/{filename}"), bytes.to_vec());
            options.push(json!({ "name": option, "type": 11, "value": id }));
            let url = format!("{}/attachments/{id}/0/{filename}?ex=1&is=2&hm=3", state.url);
            let attached = json!({ "id": id, "filename": filename, "size": bytes.len(), "url": url, "ephemeral": true,
                "content_type": media_type(filename) });
            data["resolved"] = json!({ "attachments": { id: attached } });
        }
        data["options"] = options.into();
        self.interact(2, channel, user, &data, None)
    }

    /// Somebody uses the menu of a message.
    ///
    /// # Panics
    /// When no such entry is registered, or there is no such message.
    pub fn menu(&self, message: &str, user: &str, name: &str) -> Value {
        let known = self
            .commands()
            .into_iter()
            .find(|command| command["name"] == name && command["type"] == 3);
        let command = known.unwrap_or_else(|| panic!("no entry {name} is registered"));
        let state = self.lock();
        let found = state
            .messages
            .iter()
            .find(|m| m.id == message)
            .cloned()
            .expect("the message is there");
        let told = state.message_json(&found);
        drop(state);
        let data = json!({
            "id": command["id"], "name": name, "type": 3, "target_id": message,
            "resolved": { "messages": { message: told } },
        });
        self.interact(2, &found.channel, user, &data, None)
    }

    fn interact(&self, kind: u64, channel: &str, user: &str, data: &Value, message: Option<&Message>) -> Value {
        let mut state = self.lock();
        let told = state.interact(kind, channel, user, data, message);
        if state.endpoint.is_none() {
            state.dispatch("INTERACTION_CREATE", &told);
        }
        drop(state);
        self.touched();
        told
    }

    /// The callback that came for an interaction.
    pub fn answer_to(&self, interaction: &Value) -> Option<Value> {
        let state = self.lock();
        state
            .interactions
            .iter()
            .find(|one| interaction["id"] == one.id.as_str())?
            .answered
            .clone()
    }
}
