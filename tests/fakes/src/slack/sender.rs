//! Speaks to a hook as Slack does: signed, with the retry headers, within a time. Or the same over Socket Mode.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::workspace::{Message, Workspace};
use crate::hook::{self, Heard};

/// Sends to one URL, `http://127.0.0.1:PORT/...`, or over the app's sockets.
#[derive(Debug, Clone)]
pub struct Sender {
    pub workspace: Workspace,
    /// Empty: Socket Mode.
    pub url: String,
    pub secret: String,
}

/// Slack waits three seconds (docs.slack.dev/apis/events-api): over that, this is no answer.
const PATIENCE: Duration = Duration::from_secs(3);

impl Sender {
    pub fn new(workspace: Workspace, url: impl Into<String>) -> Self {
        Self {
            workspace,
            url: url.into(),
            secret: super::SIGNING_SECRET.into(),
        }
    }

    /// Over Socket Mode.
    pub fn socket(workspace: Workspace) -> Self {
        Self::new(workspace, "")
    }

    /// An Events API callback around `event`, which is given the same `event_id` when it is sent again.
    pub fn callback(event: &Value, event_id: &str) -> Value {
        json!({
            "token": "legacy", "team_id": super::TEAM, "api_app_id": super::APP, "event": event,
            "type": "event_callback", "event_id": event_id, "event_time": now(),
            "authorizations": [{ "team_id": super::TEAM, "user_id": super::BOT_USER, "is_bot": true }],
            "is_ext_shared_channel": false, "event_context": "4-x",
        })
    }

    /// The event of a message that stands in the team.
    pub fn message_event(&self, message: &Message) -> Value {
        let kind = if message.channel.starts_with('D') {
            "im"
        } else {
            "channel"
        };
        let mut event = message.json(false);
        event["channel"] = message.channel.clone().into();
        event["channel_type"] = kind.into();
        event["event_ts"] = message.ts.clone().into();
        event
    }

    /// A person writes: the message stands in the team and its event is sent. Its `ts` and the answer.
    ///
    /// # Errors
    /// No answer within three seconds, or no connection.
    pub async fn write(
        &self,
        channel: &str,
        user: &str,
        text: &str,
        thread: Option<&str>,
    ) -> std::io::Result<(String, Heard)> {
        let ts = self.workspace.say(channel, user, text, thread);
        let said = self
            .workspace
            .messages(channel)
            .into_iter()
            .find(|message| message.ts == ts);
        let event = said.map(|message| self.message_event(&message)).unwrap_or_default();
        let heard = self
            .json(&Self::callback(&event, &format!("Ev{}", ts.replace('.', ""))), &[])
            .await?;
        Ok((ts, heard))
    }

    /// A person mentions the bot: Slack tells it twice, with two event ids.
    ///
    /// # Errors
    /// No answer within three seconds, or no connection.
    pub async fn mention(
        &self,
        channel: &str,
        user: &str,
        text: &str,
        thread: Option<&str>,
    ) -> std::io::Result<(String, Heard)> {
        let text = format!("<@{}> {text}", super::BOT_USER);
        let (ts, _) = self.write(channel, user, &text, thread).await?;
        let said = self
            .workspace
            .messages(channel)
            .into_iter()
            .find(|message| message.ts == ts);
        let mut event = said.map(|message| self.message_event(&message)).unwrap_or_default();
        event["type"] = "app_mention".into();
        if let Some(fields) = event.as_object_mut() {
            fields.remove("channel_type");
        }
        let heard = self
            .json(&Self::callback(&event, &format!("EvM{}", ts.replace('.', ""))), &[])
            .await?;
        Ok((ts, heard))
    }

    /// Somebody uses Slack's own stop control on a thread whose agent works.
    ///
    /// # Errors
    /// No answer in time, or no connection.
    pub async fn stop_session(&self, channel: &str, thread: &str, user: &str) -> std::io::Result<Heard> {
        let event = json!({
            "type": "agent_session_stopped", "channel": channel, "thread_ts": thread, "user": user,
            "event_ts": format!("{}.000000", now()),
        });
        let id = format!("EvS{}", self.workspace.calls().len());
        self.json(&Self::callback(&event, &id), &[]).await
    }

    /// The payload of a press on the button of `message` that carries `value`.
    pub fn press_payload(&self, message: &Message, user: &str, value: &str) -> Option<Value> {
        let (mut found, mut block_id) = (None, String::new());
        for (at, block) in message.blocks.iter().enumerate() {
            for element in block.get("elements").and_then(Value::as_array).into_iter().flatten() {
                if element["type"] == "button" && element["value"] == value {
                    found = Some(element.clone());
                    block_id = block["block_id"]
                        .as_str()
                        .map_or_else(|| format!("b{at}"), str::to_owned);
                }
            }
        }
        let mut action = found?;
        action["block_id"] = block_id.into();
        action["action_ts"] = format!("{}.{:06}", now(), self.workspace.calls().len()).into();
        let (trigger, response_url) = self.workspace.trigger(&message.channel, user);
        let mut container = json!({
            "type": "message", "message_ts": message.ts, "channel_id": message.channel,
            "is_ephemeral": message.ephemeral_to.is_some(),
        });
        if let Some(thread) = &message.thread_ts {
            container["thread_ts"] = thread.clone().into();
        }
        Some(json!({
            "type": "block_actions",
            "user": { "id": user, "username": user.to_lowercase(), "name": user.to_lowercase(), "team_id": super::TEAM },
            "api_app_id": super::APP, "token": "legacy", "container": container, "trigger_id": trigger,
            "team": { "id": super::TEAM, "domain": "fake" }, "enterprise": null, "is_enterprise_install": false,
            "channel": { "id": message.channel, "name": "x" }, "message": message.json(false),
            "state": { "values": {} }, "response_url": response_url, "actions": [action],
        }))
    }

    /// A person writes with a file: the message stands in the team and its event is sent.
    ///
    /// # Errors
    /// No answer within three seconds, or no connection.
    pub async fn share(&self, channel: &str, user: &str, text: &str, file: (&str, &[u8])) -> std::io::Result<Heard> {
        let ts = self.workspace.say(channel, user, text, None);
        let (name, bytes) = file;
        let url = self.workspace.put_file(name, bytes);
        let said = self
            .workspace
            .messages(channel)
            .into_iter()
            .find(|message| message.ts == ts);
        let mut event = said.map(|message| self.message_event(&message)).unwrap_or_default();
        event["subtype"] = "file_share".into();
        event["files"] = json!([{
            "id": url.rsplit('/').next(), "name": name, "title": name, "mimetype": "text/plain", "size": bytes.len(),
            "url_private": url, "url_private_download": url,
        }]);
        self.json(&Self::callback(&event, &format!("EvF{}", ts.replace('.', ""))), &[])
            .await
    }

    /// The payload of the app's shortcut in the menu of `message`.
    pub fn shortcut_payload(message: &Message, user: &str) -> Value {
        json!({
            "type": "message_action", "token": "legacy", "callback_id": "ask", "action_ts": "1700000001.000200",
            "trigger_id": "1.2.x", "response_url": "http://127.0.0.1:1/response/x", "message_ts": message.ts,
            "team": { "id": super::TEAM, "domain": "team" },
            "user": { "id": user, "username": user.to_lowercase(), "team_id": super::TEAM },
            "channel": { "id": message.channel, "name": "general" }, "message": message.json(false),
        })
    }

    /// The payload of the app's shortcut in Slack's own menu: it says neither where nor what.
    pub fn global_shortcut_payload(&self, user: &str) -> Value {
        let (trigger, _) = self.workspace.trigger("", user);
        json!({
            "type": "shortcut", "token": "legacy", "callback_id": "question", "trigger_id": trigger,
            "action_ts": format!("{}.{:06}", now(), self.workspace.calls().len()),
            "team": { "id": super::TEAM, "domain": "fake" }, "enterprise": null, "is_enterprise_install": false,
            "user": { "id": user, "username": user.to_lowercase(), "team_id": super::TEAM },
        })
    }

    /// A person presses the button that carries `value`.
    ///
    /// # Errors
    /// There is no such button, no answer within three seconds, or no connection.
    pub async fn press(&self, message: &Message, user: &str, value: &str) -> std::io::Result<Heard> {
        let payload = self
            .press_payload(message, user, value)
            .ok_or_else(|| std::io::Error::other(format!("no button `{value}` in {:?}", message.read())))?;
        self.interact(&payload).await
    }

    /// Any interactivity payload.
    ///
    /// # Errors
    /// No answer within three seconds, or no connection.
    pub async fn interact(&self, payload: &Value) -> std::io::Result<Heard> {
        self.form(&[("payload", &payload.to_string())]).await
    }

    /// The payload of a form that `user` sends; the values are the view's `state.values`.
    pub fn submit_payload(&self, view: &Value, user: &str, values: &Value) -> Value {
        let (trigger, _) = self.workspace.trigger("", user);
        let mut view = view.clone();
        view["state"] = json!({ "values": values });
        json!({
            "type": "view_submission", "team": { "id": super::TEAM, "domain": "fake" },
            "user": { "id": user, "username": user.to_lowercase(), "team_id": super::TEAM },
            "api_app_id": super::APP, "token": "legacy", "trigger_id": trigger, "view": view, "response_urls": [],
        })
    }

    /// A slash command.
    ///
    /// # Errors
    /// No answer within three seconds, or no connection.
    pub async fn slash(&self, channel: &str, user: &str, command: &str, text: &str) -> std::io::Result<Heard> {
        let (trigger, response_url) = self.workspace.trigger(channel, user);
        let name = if channel.starts_with('D') {
            "directmessage"
        } else {
            "general"
        };
        self.form(&[
            ("token", "legacy"),
            ("team_id", super::TEAM),
            ("team_domain", "fake"),
            ("channel_id", channel),
            ("channel_name", name),
            ("user_id", user),
            ("user_name", &user.to_lowercase()),
            ("command", command),
            ("text", text),
            ("api_app_id", super::APP),
            ("is_enterprise_install", "false"),
            ("response_url", &response_url),
            ("trigger_id", &trigger),
        ])
        .await
    }

    /// A JSON body, signed. With `retry`, as the n-th time: `x-slack-retry-num` and `x-slack-retry-reason`. One that is
    /// held back ([`Workspace::hold_next`]) counts as taken, and the next one answers for both.
    ///
    /// # Errors
    /// No answer within three seconds, or no connection.
    pub async fn json(&self, body: &Value, retry: &[(&str, String)]) -> std::io::Result<Heard> {
        let mut heard = Heard {
            status: 200,
            body: String::new(),
        };
        for body in self.workspace.hold.pass(body.clone()) {
            let one = self.tell(&body, retry).await?;
            // Of two events that were answered, the one that was not taken counts.
            if (200..300).contains(&heard.status) {
                heard = one;
            }
        }
        Ok(heard)
    }

    async fn tell(&self, body: &Value, retry: &[(&str, String)]) -> std::io::Result<Heard> {
        if self.url.is_empty() {
            return self.workspace.envelope("events_api", body.clone()).await;
        }
        let signed = self.sign(body.to_string().as_bytes(), now());
        self.send("application/json", body.to_string().as_bytes(), &signed, retry)
            .await
    }

    /// The headers that Slack sends when it sends an event again.
    pub fn retry(number: u32) -> [(&'static str, String); 2] {
        [
            ("X-Slack-Retry-Num", number.to_string()),
            ("X-Slack-Retry-Reason", "http_timeout".into()),
        ]
    }

    /// A form, signed.
    ///
    /// # Errors
    /// No answer within three seconds, or no connection.
    pub async fn form(&self, fields: &[(&str, &str)]) -> std::io::Result<Heard> {
        if self.url.is_empty() {
            let all: serde_json::Map<String, Value> = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).into()))
                .collect();
            return match all.get("payload").and_then(Value::as_str) {
                Some(payload) => {
                    let payload = serde_json::from_str(payload)?;
                    self.workspace.envelope("interactive", payload).await
                }
                None => self.workspace.envelope("slash_commands", Value::Object(all)).await,
            };
        }
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let signed = self.sign(body.as_bytes(), now());
        self.send("application/x-www-form-urlencoded", body.as_bytes(), &signed, &[])
            .await
    }

    /// Timestamp and signature of a body: docs.slack.dev/authentication/verifying-requests-from-slack.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn sign(&self, body: &[u8], at: u64) -> [(&'static str, String); 2] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any length");
        mac.update(format!("v0:{at}:").as_bytes());
        mac.update(body);
        let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
        [
            ("X-Slack-Request-Timestamp", at.to_string()),
            ("X-Slack-Signature", signature),
        ]
    }

    /// The request itself, with any headers: for what must be refused too.
    ///
    /// # Errors
    /// No answer within three seconds, or no connection.
    pub async fn send(
        &self,
        content_type: &str,
        body: &[u8],
        signed: &[(&str, String)],
        more: &[(&str, String)],
    ) -> std::io::Result<Heard> {
        let mut headers = vec![
            ("Content-Type", content_type),
            ("User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)"),
            ("Accept", "*/*"),
        ];
        headers.extend(signed.iter().chain(more).map(|(name, value)| (*name, value.as_str())));
        hook::post(&self.url, &headers, body, PATIENCE).await
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
