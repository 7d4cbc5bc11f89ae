//! Slack, by webhook; over the sockets of Socket Mode while an app holds one.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Act, Acted, Actor, BoxFuture, Fault, Place, Platform, Seen};
use crate::slack::{APP_TOKEN, BOT_TOKEN, BOT_USER, Heard, Message, SIGNING_SECRET, Sender, Slack, Trouble};

const PERSON: &str = "U1";
const OTHER_BOT: &str = "UOTHER";
/// Longer than any adapter waits for an answer.
const NEVER: Duration = Duration::from_secs(600);

/// A team, and where its events go.
#[derive(Debug)]
pub struct SlackPlatform {
    slack: Slack,
    mode: &'static str,
    hook: Mutex<String>,
    last: Mutex<Option<Value>>,
}

impl SlackPlatform {
    /// # Panics
    /// When loopback cannot be listened on.
    pub async fn start() -> Self {
        Self::start_in("webhook").await
    }

    /// For a bot in this mode of the built-in adapter.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    pub async fn start_in(mode: &'static str) -> Self {
        Self {
            slack: Slack::start().await,
            mode,
            hook: Mutex::default(),
            last: Mutex::default(),
        }
    }

    fn sender(&self) -> Sender {
        let workspace = self.slack.workspace.clone();
        if self.slack.workspace.sockets().0 > 0 {
            return Sender::socket(workspace);
        }
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Sender::new(workspace, hook)
    }

    /// Slack takes any 2xx for an acknowledgement; over a socket, one word that it understands, within three seconds.
    fn acted(&self, heard: &Heard) -> Acted {
        let (status, body) = (heard.status, &heard.body);
        let mut refused = (!(200..300).contains(&status)).then(|| format!("status {status}: {body}"));
        let protests = self.slack.workspace.protests();
        if !protests.is_empty() {
            refused = Some(protests.join("; "));
        }
        let mut envelopes = self.slack.workspace.envelopes().into_iter();
        if let Some(late) = envelopes.find(|envelope| envelope.sent > 1) {
            refused = Some(format!("an envelope was sent {} times: {}", late.sent, late.kind));
        }
        Acted {
            refused,
            ..Acted::default()
        }
    }

    fn channel(place: &Place) -> (&'static str, Option<&str>) {
        match place {
            Place::Direct => ("D1", None),
            Place::Channel => ("C1", None),
            Place::Thread(of) => ("C1", Some(of)),
        }
    }

    fn message(&self, place: &Place, id: &str) -> Option<Message> {
        let all = self.slack.workspace.messages(Self::channel(place).0);
        all.into_iter().find(|message| message.ts == id)
    }

    async fn tell(&self, body: Value) -> io::Result<Acted> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(body.clone());
        let heard = self.sender().json(&body, &[]).await?;
        Ok(self.acted(&heard))
    }

    /// An event around `event`, told once.
    async fn event(&self, event: Value) -> io::Result<Acted> {
        let id = self.slack.workspace.say("C-serial", PERSON, "", None).replace('.', "");
        self.tell(Sender::callback(&event, &format!("Ev{id}"))).await
    }

    async fn say(
        &self,
        place: &Place,
        by: Actor,
        text: &str,
        mention: bool,
        files: &[(String, Vec<u8>)],
    ) -> io::Result<Acted> {
        let (channel, thread) = Self::channel(place);
        let user = match by {
            Actor::Person => PERSON,
            Actor::OtherBot => OTHER_BOT,
            Actor::Itself => BOT_USER,
        };
        let text = if mention {
            format!("<@{BOT_USER}> {text}")
        } else {
            text.to_owned()
        };
        let ts = self.slack.workspace.say(channel, user, &text, thread);
        let Some(said) = self.message(place, &ts) else {
            return Ok(Acted::default());
        };
        let mut event = self.sender().message_event(&said);
        if by == Actor::OtherBot {
            event["bot_id"] = "BOTHER".into();
            event["subtype"] = "bot_message".into();
        }
        if !files.is_empty() {
            event["subtype"] = "file_share".into();
            event["files"] = files.iter().map(|(name, bytes)| self.attached(name, bytes)).collect();
        }
        let serial = ts.replace('.', "");
        let mut acted = self.tell(Sender::callback(&event, &format!("Ev{serial}"))).await?;
        if mention && channel.starts_with('C') && acted.refused.is_none() {
            // Slack tells a mention twice, with two event ids.
            let mut twin = event;
            twin["type"] = "app_mention".into();
            if let Some(fields) = twin.as_object_mut() {
                fields.remove("channel_type");
            }
            acted = self.tell(Sender::callback(&twin, &format!("EvM{serial}"))).await?;
        }
        acted.message = Some(ts);
        Ok(acted)
    }

    fn attached(&self, name: &str, bytes: &[u8]) -> Value {
        let url = self.slack.workspace.put_file(name, bytes);
        let id = url.rsplit('/').next().unwrap_or_default().to_owned();
        json!({
            "id": id, "name": name, "title": name, "size": bytes.len(), "mode": "hosted", "user": PERSON,
            "mimetype": "application/octet-stream", "url_private": url, "url_private_download": url,
        })
    }

    async fn press(&self, place: &Place, token: &str) -> io::Result<Acted> {
        let mut found = None;
        for message in self.slack.workspace.replies(Self::channel(place).0) {
            let value = message.buttons().into_iter().find(|(_, value)| value.contains(token));
            if let Some((_, value)) = value {
                found = Some((message, value));
            }
        }
        let (message, value) = found.ok_or_else(|| io::Error::other(format!("nothing carries `{token}`")))?;
        let heard = self.sender().press(&message, PERSON, &value).await?;
        Ok(self.acted(&heard))
    }

    async fn submit(&self, values: &[(String, String)]) -> io::Result<Acted> {
        let view = self.slack.workspace.views().pop();
        let view = view.ok_or_else(|| io::Error::other("no form was opened"))?;
        let mut state = serde_json::Map::new();
        for block in view["blocks"].as_array().into_iter().flatten() {
            let id = block["block_id"].as_str().unwrap_or_default();
            let Some((_, value)) = values.iter().find(|(name, _)| id.contains(name.as_str())) else {
                continue;
            };
            let action = block["element"]["action_id"].as_str().unwrap_or_default();
            let filled = json!({ "type": block["element"]["type"], "value": value });
            state.insert(id.to_owned(), json!({ action: filled }));
        }
        let sender = self.sender();
        let payload = sender.submit_payload(&view, PERSON, &Value::Object(state));
        let heard = sender.interact(&payload).await?;
        Ok(self.acted(&heard))
    }

    async fn noise(&self) -> io::Result<Acted> {
        let sender = self.sender();
        let unknown =
            json!({ "type": "thing_of_tomorrow", "user": PERSON, "channel": "C1", "depth": { "a": [1, null] } });
        let told = self.event(unknown).await?;
        if told.refused.is_some() {
            return Ok(told);
        }
        let whole = Sender::callback(&json!({ "type": "message", "channel": "C1", "text": "x" }), "EvTorn").to_string();
        if sender.url.is_empty() {
            let torn = whole[..whole.len() / 2].into();
            let heard = self.slack.workspace.envelope("events_api", torn).await?;
            return Ok(self.acted(&heard));
        }
        let torn = &whole.as_bytes()[..whole.len() / 2];
        let at = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let heard = sender
            .send("application/json", torn, &sender.sign(torn, at), &[])
            .await?;
        Ok(self.acted(&heard))
    }

    /// What was said in `place`, as its event has it.
    fn said(&self, place: &Place, id: &str) -> Value {
        let said = self.message(place, id);
        said.map(|said| self.sender().message_event(&said)).unwrap_or_default()
    }
}

fn kind(channel: &str) -> &'static str {
    if channel.starts_with('D') { "im" } else { "channel" }
}

impl Platform for SlackPlatform {
    fn api_base(&self) -> String {
        self.slack.api_base()
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![
            ("bot_token", BOT_TOKEN.to_owned()),
            ("app_token", APP_TOKEN.to_owned()),
            ("signing_secret", SIGNING_SECRET.to_owned()),
        ]
    }

    fn hosts(&self) -> Vec<String> {
        vec![self.slack.url().to_owned()]
    }

    fn mode(&self) -> Option<&'static str> {
        Some(self.mode)
    }

    fn attach(&self, hook: &str) {
        hook.clone_into(&mut self.hook.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn hold_next(&self) {
        self.slack.workspace.hold_next();
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
                Act::Again => {
                    let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    let heard = self.sender().json(&last.unwrap_or_default(), &Sender::retry(1)).await?;
                    Ok(self.acted(&heard))
                }
                Act::Edit { place, message, text } => {
                    let (channel, _) = Self::channel(&place);
                    let before = self.said(&place, &message);
                    let mut now = before.clone();
                    now["text"] = text.into();
                    now["edited"] = json!({ "user": PERSON, "ts": "1900000000.000000" });
                    self.event(json!({
                        "type": "message", "subtype": "message_changed", "channel": channel, "hidden": true,
                        "channel_type": kind(channel), "message": now, "previous_message": before,
                        "ts": "1900000000.000100", "event_ts": "1900000000.000100",
                    }))
                    .await
                }
                Act::Delete { place, message } => {
                    let (channel, _) = Self::channel(&place);
                    let before = self.said(&place, &message);
                    self.slack.workspace.delete(channel, &message);
                    self.event(json!({
                        "type": "message", "subtype": "message_deleted", "channel": channel, "hidden": true,
                        "channel_type": kind(channel), "deleted_ts": message, "previous_message": before,
                        "ts": "1900000000.000200", "event_ts": "1900000000.000200",
                    }))
                    .await
                }
                Act::React { place, message } => {
                    let (channel, _) = Self::channel(&place);
                    self.event(json!({
                        "type": "reaction_added", "user": PERSON, "reaction": "-1", "item_user": BOT_USER,
                        "item": { "type": "message", "channel": channel, "ts": message },
                        "event_ts": "1900000000.000300",
                    }))
                    .await
                }
                Act::Press { place, token } => self.press(&place, &token).await,
                Act::Submit { values, .. } => self.submit(&values).await,
                Act::Command { place, name, arguments } => {
                    let (channel, _) = Self::channel(&place);
                    let text = format!("{name} {arguments}");
                    let heard = self.sender().slash(channel, PERSON, "/botyard", text.trim()).await?;
                    Ok(self.acted(&heard))
                }
                Act::Noise => self.noise().await,
            }
        })
    }

    fn seen(&self, place: &Place) -> Vec<Seen> {
        let (channel, thread) = Self::channel(place);
        let here = |message: &Message| thread.is_none_or(|of| message.thread_ts.as_deref() == Some(of));
        let replies = self.slack.workspace.replies(channel).into_iter().filter(here);
        replies
            .map(|message| Seen {
                id: message.ts.clone(),
                text: message.read(),
                buttons: message.buttons(),
                pings: pings(&message),
                whispered: message.ephemeral_to.is_some(),
            })
            .collect()
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.slack.workspace.files()
    }

    fn form(&self) -> Option<Vec<String>> {
        let view = self.slack.workspace.views().pop()?;
        let blocks = view["blocks"].as_array()?;
        let names = blocks.iter().filter_map(|block| block["block_id"].as_str());
        Some(names.map(str::to_owned).collect())
    }

    fn calls(&self) -> usize {
        self.slack.workspace.calls().len()
    }

    fn fault(&self, nth: usize, fault: Fault) {
        let workspace = &self.slack.workspace;
        for _ in 1..nth {
            workspace.trouble(None, Trouble::Nothing);
        }
        let trouble = match fault {
            Fault::RateLimited(wait) => Trouble::RateLimited {
                seconds: u32::try_from(wait.as_secs().max(1)).unwrap_or(1),
            },
            Fault::Failing => Trouble::Status(500),
            Fault::FailingAfter => Trouble::StatusAfter(500),
            Fault::CutBefore => Trouble::CutBefore,
            Fault::CutAfter => Trouble::Cut,
            Fault::Hanging => Trouble::Slow(NEVER),
        };
        workspace.trouble(None, trouble);
    }

    fn heal(&self) -> bool {
        self.slack.workspace.heal()
    }

    fn revoke(&self) {
        self.slack.workspace.revoke();
    }

    fn remove(&self, place: &Place, message: &str) {
        self.slack.workspace.delete(Self::channel(place).0, message);
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.slack.workspace.changes()
    }
}

/// Whom a message calls: `<!channel>` and `<@U…>` in anything that Slack reads as its own markup.
fn pings(message: &Message) -> Vec<String> {
    let whole = format!("{}{}", message.text, Value::Array(message.blocks.clone()));
    let mut found = Vec::new();
    for (opening, kind) in [("<!", "group "), ("<@", "")] {
        for (at, _) in whole.match_indices(opening) {
            let name: String = whole[at + 2..].chars().take_while(|c| c.is_alphanumeric()).collect();
            if !name.is_empty() {
                found.push(format!("{kind}{name}"));
            }
        }
    }
    found
}
