//! Discord, by the gateway; where nobody holds a connection with it, by the interactions endpoint: then a person speaks
//! by `/ask`.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Act, Acted, Actor, BoxFuture, Fault, Place, Platform, Seen};
use crate::discord::{ANN, BOT, Call, DIRECT, Discord, GENERAL, HELPER, Hook, Message, TOKEN, Trouble, World};

/// Longer than any adapter waits for an answer.
const NEVER: Duration = Duration::from_secs(600);
/// For a callback. Later than Discord takes one, so that one that is late is told as such.
const PATIENCE: Duration = Duration::from_secs(4);

/// A server, and where its interactions go.
#[derive(Debug)]
pub struct DiscordPlatform {
    discord: Discord,
    hook: Mutex<String>,
    /// The last interaction that went to the endpoint.
    last: Mutex<Option<Value>>,
}

impl DiscordPlatform {
    /// # Panics
    /// When loopback cannot be listened on.
    pub async fn start() -> Self {
        Self {
            discord: Discord::start().await,
            hook: Mutex::default(),
            last: Mutex::default(),
        }
    }

    const fn world(&self) -> &World {
        &self.discord.world
    }

    /// Somebody holds a connection with the gateway.
    fn held(&self) -> bool {
        self.world().connected() > 0
    }

    /// A thread has the id of the message that it was made from.
    fn channel(&self, place: &Place) -> String {
        match place {
            Place::Direct => DIRECT.to_owned(),
            Place::Channel => GENERAL.to_owned(),
            Place::Thread(of) => {
                let made = self.world().threads(GENERAL).into_iter().any(|(id, _)| id == *of);
                if made { of.clone() } else { GENERAL.to_owned() }
            }
        }
    }

    async fn say(
        &self,
        place: &Place,
        by: Actor,
        text: &str,
        mention: bool,
        files: &[(String, Vec<u8>)],
    ) -> io::Result<Acted> {
        let channel = self.channel(place);
        if !self.held() {
            let heard = by == Actor::Person && files.len() < 2 && (mention || *place == Place::Direct);
            if !heard {
                return Ok(impossible());
            }
            return self.command(&channel, "ask", text, files.first()).await;
        }
        let user = match by {
            Actor::Person => ANN,
            Actor::OtherBot => HELPER,
            Actor::Itself => BOT,
        };
        let text = if mention {
            format!("<@{BOT}> {text}")
        } else {
            text.to_owned()
        };
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
        let id = self.world().write(&channel, user, &text, None, &files);
        Ok(Acted {
            message: Some(id),
            ..Acted::default()
        })
    }

    /// A command that is registered: words in its first option, a file in the one for files.
    async fn command(
        &self,
        channel: &str,
        name: &str,
        words: &str,
        file: Option<&(String, Vec<u8>)>,
    ) -> io::Result<Acted> {
        let commands = self.world().commands();
        let known = commands
            .iter()
            .find(|command| command["name"] == name && command["type"] == 1);
        let known = known.ok_or_else(|| io::Error::other(format!("no command `{name}` is registered")))?;
        let named = |kind: u64| {
            let mut options = known["options"].as_array().into_iter().flatten();
            options.find(|option| option["type"] == kind)?["name"].as_str()
        };
        let words = named(3).filter(|_| !words.is_empty()).map(|option| (option, words));
        if file.is_some() && named(11).is_none() {
            return Ok(impossible());
        }
        let file = named(11).zip(file);
        let file = file.map(|(option, (name, bytes))| (option, &**name, &**bytes));
        let words: Vec<(&str, &str)> = words.into_iter().collect();
        let told = self.world().slash_with(channel, ANN, name, &words, file);
        self.interact(told).await
    }

    /// Until its callback came, over the gateway or as the endpoint's answer.
    async fn interact(&self, told: Value) -> io::Result<Acted> {
        if !self.held() {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(told.clone());
            return self.call(&told).await;
        }
        let mut changes = self.world().changes();
        let answered = async {
            while self.world().answer_to(&told).is_none() {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let refused = timeout(PATIENCE, answered).await.err();
        Ok(Acted {
            refused: refused.map(|_| "no callback came in time".to_owned()),
            ..Acted::default()
        })
    }

    async fn call(&self, told: &Value) -> io::Result<Acted> {
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let heard = Hook::new(self.world().clone(), hook).send(told).await?;
        Ok(Acted {
            refused: (heard.status != 200).then(|| format!("status {}: {}", heard.status, heard.body)),
            ..Acted::default()
        })
    }

    async fn press(&self, place: &Place, token: &str) -> io::Result<Acted> {
        let all = self.world().replies(&self.channel(place));
        let carrier = all.iter().rev().find_map(|message| {
            let mut all = carried(message).into_iter();
            all.find(|(_, value, _)| value.contains(token))
                .map(|found| (message, found.2))
        });
        let (message, data) = carrier.ok_or_else(|| io::Error::other(format!("nothing carries `{token}`")))?;
        let told = self.world().component(message, ANN, &data);
        self.interact(told).await
    }

    async fn submit(&self, values: &[(String, String)]) -> io::Result<Acted> {
        let fields = self.form().ok_or_else(|| io::Error::other("no form was opened"))?;
        let of = |field: &String| values.iter().find(|(name, _)| field.contains(name.as_str()));
        let given: Vec<(&str, [&str; 1])> = fields
            .iter()
            .filter_map(|field| of(field).map(|(_, value)| (field.as_str(), [value.as_str()])))
            .collect();
        let given: Vec<(&str, &[&str])> = given.iter().map(|(name, value)| (*name, &value[..])).collect();
        let told = self.world().submit(ANN, &given);
        self.interact(told).await
    }

    async fn noise(&self) -> io::Result<Acted> {
        if self.held() {
            let world = self.world();
            world.dispatch(
                "THING_OF_TOMORROW",
                &json!({ "channel_id": DIRECT, "depth": { "a": [1, null] } }),
            );
            world.dispatch(
                "MESSAGE_CREATE",
                &json!({ "channel_id": DIRECT, "id": 7, "author": [] }),
            );
            world.dispatch(
                "INTERACTION_CREATE",
                &json!({ "id": "1", "type": 99, "token": "x", "data": null }),
            );
            world.send_raw(r#"{"op":0,"s":9,"t":"MESSAGE_CREATE","d":{"cont"#);
            return Ok(Acted::default());
        }
        self.call(&json!({ "id": "1", "type": 99, "token": "x", "data": null }))
            .await
    }
}

fn impossible() -> Acted {
    Acted {
        impossible: true,
        ..Acted::default()
    }
}

/// What can be pressed: its label, what it carries, and what Discord tells of a press.
fn carried(message: &Message) -> Vec<(String, String, Value)> {
    let buttons = message.buttons().into_iter().map(|(label, id)| {
        let data = json!({ "custom_id": id, "component_type": 2 });
        (label, id, data)
    });
    let mut all: Vec<(String, String, Value)> = buttons.collect();
    for list in message.lists() {
        for option in list["options"].as_array().into_iter().flatten() {
            let text = |name: &str| option[name].as_str().unwrap_or_default().to_owned();
            let data = json!({ "custom_id": list["custom_id"], "component_type": 3, "values": [option["value"]] });
            all.push((text("label"), text("value"), data));
        }
    }
    all
}

/// What a person sees of Discord's Markdown, as far as it hides something: escapes, and the marks of small print.
fn visible(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    let mut fence = false;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            fence = !fence;
        }
        if fence {
            seen.push_str(line);
            continue;
        }
        let mut code = false;
        let mut rest = line.strip_prefix("-# ").unwrap_or(line).chars().peekable();
        while let Some(c) = rest.next() {
            code ^= c == '`';
            let escapes = c == '\\' && !code && rest.peek().is_some_and(char::is_ascii_punctuation);
            seen.extend(if escapes { rest.next() } else { Some(c) });
        }
    }
    seen
}

impl Platform for DiscordPlatform {
    fn api_base(&self) -> String {
        self.discord.api_base()
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![("token", TOKEN.to_owned()), ("public_key", self.world().public_key())]
    }

    fn hosts(&self) -> Vec<String> {
        vec![self.discord.url().to_owned()]
    }

    fn mode(&self) -> Option<&'static str> {
        Some("gateway")
    }

    fn attach(&self, hook: &str) {
        hook.clone_into(&mut self.hook.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn hold_next(&self) {
        self.world().hold_next();
    }

    fn act<'a>(&'a self, act: Act) -> BoxFuture<'a, io::Result<Acted>> {
        Box::pin(async move {
            match act {
                Act::Say {
                    place,
                    by,
                    text,
                    mention,
                    files,
                } => self.say(&place, by, &text, mention, &files).await,
                Act::Again if self.held() => {
                    self.world().tell_again();
                    self.world().tell_anew();
                    Ok(Acted::default())
                }
                Act::Again => {
                    let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    self.call(&last.unwrap_or_default()).await
                }
                Act::Press { place, token } => self.press(&place, &token).await,
                Act::Submit { values, .. } => self.submit(&values).await,
                Act::Command { place, name, arguments } => {
                    self.command(&self.channel(&place), &name, &arguments, None).await
                }
                Act::Noise => self.noise().await,
                Act::Edit { .. } | Act::Delete { .. } | Act::React { .. } if !self.held() => Ok(impossible()),
                Act::Edit { message, text, .. } => {
                    self.world().change(&message, &text);
                    Ok(Acted::default())
                }
                Act::Delete { place, message } => {
                    self.world().take_away(&self.channel(&place), &[&message]);
                    Ok(Acted::default())
                }
                Act::React { message, .. } => {
                    self.world().react(&message, ANN, "👎", true);
                    Ok(Acted::default())
                }
            }
        })
    }

    fn seen(&self, place: &Place) -> Vec<Seen> {
        let seen = |message: Message| {
            // Buttons are told apart from words.
            let words = Message {
                components: Vec::new(),
                ..message.clone()
            };
            Seen {
                text: visible(&words.read()),
                buttons: carried(&message)
                    .into_iter()
                    .map(|(label, value, _)| (label, value))
                    .collect(),
                pings: message
                    .pinged
                    .iter()
                    .map(|who| who.trim_start_matches('@').to_owned())
                    .collect(),
                whispered: message.ephemeral_to.is_some(),
                id: message.id,
            }
        };
        self.world()
            .replies(&self.channel(place))
            .into_iter()
            .map(seen)
            .collect()
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.world().files()
    }

    fn form(&self) -> Option<Vec<String>> {
        let (_, modal) = self.world().modals().pop()?;
        let parts = modal["components"].as_array()?;
        let names = parts.iter().filter_map(|part| part["component"]["custom_id"].as_str());
        Some(names.map(str::to_owned).collect())
    }

    fn calls(&self) -> usize {
        let calls = self.world().called();
        calls.iter().filter(|name| !Call::is_beside(name)).count()
    }

    fn fault(&self, nth: usize, fault: Fault) {
        let world = self.world();
        for _ in 1..nth {
            world.trouble(None, Trouble::Nothing);
        }
        let trouble = match fault {
            Fault::RateLimited(wait) => Trouble::RateLimited {
                millis: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
            },
            Fault::Failing => Trouble::Status(500),
            Fault::FailingAfter => Trouble::StatusAfter(500),
            Fault::CutBefore => Trouble::CutBefore,
            Fault::CutAfter => Trouble::Cut,
            Fault::Hanging => Trouble::Slow(NEVER),
        };
        world.trouble(None, trouble);
    }

    fn heal(&self) -> bool {
        self.world().heal()
    }

    /// Tickets are credentials too.
    fn revoke(&self) {
        self.world().reset_token();
        self.world().expire_interactions();
    }

    fn remove(&self, place: &Place, message: &str) {
        self.world().take_away(&self.channel(place), &[message]);
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.world().changes()
    }
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn a_person_sees_what_markdown_leaves() {
        let written = "-# a\\_b \\# `c\\_d`\n```\n-# e\\_f\n```\nC:\\\\x \\n";
        assert_eq!(visible(written), "a_b # `c\\_d`\n```\n-# e\\_f\n```\nC:\\x \\n");
    }
}
