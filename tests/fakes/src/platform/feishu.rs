//! Feishu, by webhook; over the long connection if the adapter asked for one.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{Act, Acted, Actor, BoxFuture, Fault, Place, Platform, Seen};
use crate::feishu::{
    ANN, APP_ID, APP_SECRET, DIRECT, ENCRYPT_KEY, Feishu, GROUP, Message, Sender, Tenant, Trouble, VERIFICATION_TOKEN,
};

/// An app of the same company.
const OTHER_BOT: &str = "cli_another";
/// Longer than any adapter waits for an answer.
const NEVER: Duration = Duration::from_secs(600);
/// Feishu waits this long.
const PATIENCE: Duration = Duration::from_secs(3);

/// A company, and where its events go.
#[derive(Debug)]
pub struct FeishuPlatform {
    feishu: Feishu,
    mode: &'static str,
    hook: Mutex<String>,
    last: Mutex<String>,
}

impl FeishuPlatform {
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
            feishu: Feishu::start().await,
            mode,
            hook: Mutex::default(),
            last: Mutex::default(),
        }
    }

    fn tenant(&self) -> &Tenant {
        &self.feishu.tenant
    }

    fn sender(&self) -> Sender {
        Sender::new(self.hook.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn chat(place: &Place) -> &'static str {
        match place {
            Place::Direct => DIRECT,
            Place::Channel | Place::Thread(_) => GROUP,
        }
    }

    /// What the bot said there.
    fn replies(&self, place: &Place) -> Vec<Message> {
        let mut all = self.tenant().replies(Self::chat(place));
        if let Place::Thread(of) = place {
            all.retain(|message| message.root.as_deref() == Some(of));
        }
        all
    }

    async fn tell(&self, event: &Value) -> io::Result<Acted> {
        Ok(self.tell_text(&event.to_string()).await?.0)
    }

    /// Tells of a press of this message, which may be answered with another card.
    async fn tell_press(&self, message: &Message, event: &Value) -> io::Result<Acted> {
        let (mut acted, answer) = self.tell_text(&event.to_string()).await?;
        if acted.refused.is_none() {
            acted.refused = self.tenant().answered(&message.id, &answer).err();
        }
        Ok(acted)
    }

    /// Tells this, and gives what was answered: Feishu wants 200 and an object, on its connection the code 200.
    async fn tell_text(&self, text: &str) -> io::Result<(Acted, Value)> {
        text.clone_into(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
        let (refused, answer) = if self.tenant().has_clients() {
            let complaints = self.tenant().complaints();
            match self.tenant().push_text(text, 1).await {
                None => (Some("no acknowledgement within 3 s".to_owned()), Value::Null),
                Some(ack) if ack.code != 200 => (Some(format!("code {}", ack.code)), Value::Null),
                Some(ack) => (
                    (!complaints.is_empty()).then(|| complaints.join("; ")),
                    ack.data.unwrap_or_else(|| json!({})),
                ),
            }
        } else {
            let (sender, mut refused, mut answer) = (self.sender(), None, json!({}));
            for text in self.tenant().hold.pass(text.to_owned()) {
                let heard = sender.send(&sender.call_of(&text), PATIENCE).await?;
                answer = serde_json::from_str(&heard.body).unwrap_or_default();
                let fine = heard.status == 200 && answer.is_object();
                let why = (!fine).then(|| format!("status {}: {}", heard.status, heard.body));
                refused = refused.or(why);
            }
            (refused, answer)
        };
        let acted = Acted {
            refused,
            ..Acted::default()
        };
        Ok((acted, answer))
    }

    async fn say(
        &self,
        place: &Place,
        by: Actor,
        text: &str,
        mention: bool,
        files: &[(String, Vec<u8>)],
    ) -> io::Result<Acted> {
        let who = match by {
            Actor::Person => ANN,
            Actor::OtherBot => OTHER_BOT,
            Actor::Itself => APP_ID,
        };
        let text = if mention {
            format!("@_user_1 {text}")
        } else {
            text.to_owned()
        };
        let under = match place {
            Place::Thread(of) => Some((of.as_str(), true)),
            Place::Direct | Place::Channel => None,
        };
        let chat = Self::chat(place);
        let said = self.tenant().say(chat, who, "text", &json!({ "text": text }), under);
        let mut event = self.tenant().message_event(&said);
        if by == Actor::OtherBot {
            event["event"]["sender"]["sender_type"] = "app".into();
        }
        let mut acted = self.tell(&event).await?;
        // A file is a message of its own.
        for (name, bytes) in files {
            let mut file = self.tenant().say(chat, who, "file", &json!({}), under);
            let key = self.tenant().put_file(&file.id, name, bytes, false);
            file.content = json!({ "file_key": key, "file_name": name });
            let told = self.tell(&self.tenant().message_event(&file)).await?;
            acted.refused = acted.refused.or(told.refused);
        }
        acted.message = Some(said.id);
        Ok(acted)
    }

    async fn press(&self, place: &Place, token: &str) -> io::Result<Acted> {
        let carries = |message: Message| {
            let button = message
                .buttons()
                .into_iter()
                .find(|button| button.value["token"] == token)?;
            Some((message, button))
        };
        let found = self.replies(place).into_iter().rev().find_map(carries);
        let (message, button) = found.ok_or_else(|| io::Error::other(format!("nothing carries `{token}`")))?;
        let event = self.tenant().press_event(&message, ANN, &button, None);
        self.tell_press(&message, &event).await
    }

    /// The newest form, and the message that it stands in.
    fn newest_form(&self) -> Option<(Message, Value)> {
        let all = [GROUP, DIRECT].map(|chat| self.tenant().replies(chat)).concat();
        let newest = all.into_iter().filter_map(|message| {
            let form = form_in(&message.content)?.clone();
            Some((message, form))
        });
        newest.max_by_key(|(message, _)| message.created_ms)
    }

    async fn submit(&self, values: &[(String, String)]) -> io::Result<Acted> {
        let (message, form) = self.newest_form().ok_or_else(|| io::Error::other("there is no form"))?;
        let button = message.buttons().into_iter().find(|button| button.submits);
        let button = button.ok_or_else(|| io::Error::other("nothing sends the form"))?;
        let mut filled = Map::new();
        for name in names(&form) {
            if let Some((_, value)) = values.iter().find(|(wanted, _)| name.contains(wanted)) {
                filled.insert(name, value.clone().into());
            }
        }
        let filled = Value::Object(filled);
        let event = self.tenant().press_event(&message, ANN, &button, Some(&filled));
        self.tell_press(&message, &event).await
    }

    async fn noise(&self) -> io::Result<Acted> {
        let mut unknown = self.tenant().added_event(GROUP, ANN);
        unknown["header"]["event_type"] = "thing.of.tomorrow_v9".into();
        unknown["event"] = json!({ "depth": { "a": [1, null] } });
        let told = self.tell(&unknown).await?;
        if told.refused.is_some() {
            return Ok(told);
        }
        let said = self.tenant().write(DIRECT, ANN, "x");
        let whole = self.tenant().message_event(&said).to_string();
        Ok(self.tell_text(&whole[..whole.len() / 2]).await?.0)
    }
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    let inner = [&value["body"]["elements"], &value["elements"], &value["columns"]];
    inner.into_iter().filter_map(Value::as_array).flatten()
}

fn form_in(value: &Value) -> Option<&Value> {
    if value["tag"] == "form" {
        return Some(value);
    }
    elements(value).find_map(form_in)
}

/// Of what can be filled in.
fn names(form: &Value) -> Vec<String> {
    let fields = elements(form).filter(|element| element["tag"] != "button");
    fields
        .filter_map(|field| field["name"].as_str().map(str::to_owned))
        .collect()
}

/// Whom a message calls: its tags that name people, and `@_all`, in any of its texts.
fn pings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => {
            let mut found = Vec::new();
            for opening in ["<at ", "<person "] {
                for (at, _) in text.match_indices(opening) {
                    let tag = text[at..].split('>').next().unwrap_or_default();
                    found.extend(
                        tag.split_once("id=")
                            .map(|(_, id)| id.trim_matches(['"', '\'', ' ']).to_owned()),
                    );
                }
            }
            found.extend(text.contains("@_all").then(|| "all".to_owned()));
            found
        }
        Value::Array(all) => all.iter().flat_map(pings).collect(),
        Value::Object(fields) => fields.values().flat_map(pings).collect(),
        _ => Vec::new(),
    }
}

impl Platform for FeishuPlatform {
    fn api_base(&self) -> String {
        self.feishu.url().to_owned()
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![
            ("app_id", APP_ID.to_owned()),
            ("app_secret", APP_SECRET.to_owned()),
            ("verification_token", VERIFICATION_TOKEN.to_owned()),
            ("encrypt_key", ENCRYPT_KEY.to_owned()),
        ]
    }

    fn hosts(&self) -> Vec<String> {
        vec![self.feishu.url().replacen("http", "ws", 1)]
    }

    fn mode(&self) -> Option<&'static str> {
        Some(self.mode)
    }

    fn attach(&self, hook: &str) {
        hook.clone_into(&mut self.hook.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn hold_next(&self) {
        self.tenant().hold_next();
    }

    fn act<'a>(&'a self, act: Act) -> BoxFuture<'a, io::Result<Acted>> {
        let impossible = || Acted {
            impossible: true,
            ..Acted::default()
        };
        let known = |id: &str| {
            let message = self.tenant().message(id);
            message.ok_or_else(|| io::Error::other(format!("no message `{id}`")))
        };
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
                    Ok(self.tell_text(&last).await?.0)
                }
                // Feishu tells of none.
                Act::Edit { .. } => Ok(impossible()),
                Act::Delete { message, .. } => {
                    let message = known(&message)?;
                    self.tenant().recall(&message.id);
                    self.tell(&self.tenant().recall_event(&message)).await
                }
                Act::React { message, .. } => {
                    let event = self.tenant().reaction_event(&known(&message)?, ANN, "ThumbsDown", true);
                    self.tell(&event).await
                }
                Act::Press { place, token } => self.press(&place, &token).await,
                Act::Submit { values, .. } => self.submit(&values).await,
                // An entry of the bot's menu, which takes no arguments.
                Act::Command { name, .. } => self.tell(&self.tenant().menu_event(ANN, &name)).await,
                Act::Noise => self.noise().await,
            }
        })
    }

    fn seen(&self, place: &Place) -> Vec<Seen> {
        let replies = self.replies(place).into_iter();
        replies
            .map(|message| Seen {
                text: message.read(),
                // What sends a form stands in it.
                buttons: message
                    .buttons()
                    .into_iter()
                    .filter(|button| !button.submits)
                    .map(|button| {
                        let token = button.value["token"].as_str().unwrap_or_default().to_owned();
                        (button.label, token)
                    })
                    .collect(),
                pings: pings(&message.content),
                whispered: false,
                id: message.id,
            })
            .collect()
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = [DIRECT, GROUP].map(|chat| self.tenant().replies(chat)).concat();
        all.sort_by_key(|message| message.created_ms);
        all.iter().filter_map(|message| self.tenant().file(message)).collect()
    }

    fn form(&self) -> Option<Vec<String>> {
        self.newest_form().map(|(_, form)| names(&form))
    }

    fn calls(&self) -> usize {
        self.tenant().calls().len()
    }

    fn fault(&self, nth: usize, fault: Fault) {
        for _ in 1..nth {
            self.tenant().trouble(None, Trouble::Nothing);
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
        self.tenant().trouble(None, trouble);
    }

    fn heal(&self) -> bool {
        self.tenant().heal()
    }

    fn revoke(&self) {
        self.tenant().change_secret();
    }

    fn remove(&self, _place: &Place, message: &str) {
        self.tenant().recall(message);
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.tenant().changes()
    }
}
