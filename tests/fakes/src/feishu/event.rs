//! Events of what happens in the company, version 2 of the schema: the same body on the long connection and in a hook.
//!
//! Source: open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/event-format and
//! the pages of each event.

use serde_json::{Value, json};

use super::tenant::{Button, Message, Tenant};

impl Tenant {
    fn event(&self, kind: &str, event: &Value) -> Value {
        let (id, now) = {
            let mut state = self.lock();
            (state.name("event"), state.stamp())
        };
        json!({
            "schema": "2.0",
            "header": {
                "event_id": id, "token": super::VERIFICATION_TOKEN, "create_time": now.to_string(),
                "event_type": kind, "tenant_key": super::TENANT, "app_id": super::APP_ID,
            },
            "event": event,
        })
    }

    /// `im.message.receive_v1`.
    pub fn message_event(&self, message: &Message) -> Value {
        let direct = self
            .lock()
            .chats
            .get(&message.chat)
            .is_some_and(|chat| chat.direct.is_some());
        let mut said = json!({
            "message_id": message.id, "chat_id": message.chat, "chat_type": if direct { "p2p" } else { "group" },
            "message_type": message.kind, "content": message.content.to_string(),
            "create_time": message.created_ms.to_string(), "update_time": message.created_ms.to_string(),
        });
        let ids = [
            ("root_id", &message.root),
            ("parent_id", &message.parent),
            ("thread_id", &message.thread),
        ];
        for (name, id) in ids {
            if let Some(id) = id {
                said[name] = id.clone().into();
            }
        }
        if !message.mentions.is_empty() {
            said["mentions"] = message.mentions.clone().into();
        }
        let sender = json!({
            "sender_id": person(&message.sender),
            "sender_type": if message.is_bot() { "app" } else { "user" }, "tenant_key": super::TENANT,
        });
        self.event("im.message.receive_v1", &json!({ "sender": sender, "message": said }))
    }

    /// `im.message.recalled_v1`.
    pub fn recall_event(&self, message: &Message) -> Value {
        let now = self.lock().stamp();
        let event = json!({
            "message_id": message.id, "chat_id": message.chat, "recall_time": now.to_string(),
            "recall_type": "message_owner",
        });
        self.event("im.message.recalled_v1", &event)
    }

    /// `im.message.reaction.created_v1`, or `deleted_v1`.
    pub fn reaction_event(&self, message: &Message, who: &str, emoji: &str, created: bool) -> Value {
        let now = self.lock().stamp();
        let event = json!({
            "message_id": message.id, "reaction_type": { "emoji_type": emoji }, "operator_type": "user",
            "user_id": person(who), "action_time": now.to_string(),
        });
        let what = if created { "created" } else { "deleted" };
        self.event(&format!("im.message.reaction.{what}_v1"), &event)
    }

    /// `application.bot.menu_v6`: a person chose an entry of the bot's menu.
    pub fn menu_event(&self, who: &str, key: &str) -> Value {
        let name = self.lock().people.get(who).cloned().unwrap_or_default();
        let operator = json!({ "operator_name": name, "operator_id": person(who) });
        let event = json!({ "operator": operator, "event_key": key, "timestamp": 1_700_000_000_000_u64 });
        self.event("application.bot.menu_v6", &event)
    }

    /// `card.action.trigger`: a person pressed a button, or sent the form that it stands in.
    pub fn press_event(&self, message: &Message, who: &str, button: &Button, form: Option<&Value>) -> Value {
        let mut action = json!({ "tag": "button", "value": button.value, "timezone": "Asia/Shanghai" });
        if let Some(form) = form {
            action["form_value"] = form.clone();
            action["name"] = "submit".into();
        }
        let token = self.lock().name("c");
        let mut operator = person(who);
        operator["tenant_key"] = super::TENANT.into();
        let event = json!({
            "operator": operator, "token": token, "action": action, "host": "im_message",
            "context": { "open_message_id": message.id, "open_chat_id": message.chat },
        });
        self.event("card.action.trigger", &event)
    }

    /// What was answered to a press of this message: a toast, and a card in the place of its own, both if at all.
    /// open.feishu.cn/document/feishu-cards/card-callback-communication.
    ///
    /// # Errors
    /// Feishu would show a person that the press failed.
    pub fn answered(&self, message: &str, answer: &Value) -> Result<(), String> {
        let fields = answer.as_object().ok_or("no object")?;
        if let Some(other) = fields.keys().find(|name| !["toast", "card"].contains(&name.as_str())) {
            return Err(format!("unknown property `{other}`"));
        }
        if let Some(toast) = fields.get("toast") {
            let kind = toast["type"].as_str().unwrap_or_default();
            let said = toast["content"].as_str().unwrap_or_default();
            if !["info", "success", "error", "warning"].contains(&kind) || said.is_empty() {
                return Err(format!("a wrong toast: {toast}"));
            }
        }
        if let Some(card) = fields.get("card") {
            if card["type"] != "raw" {
                return Err(format!("a wrong card: {card}"));
            }
            self.lock().replace(message, &card["data"])?;
            self.touched();
        }
        Ok(())
    }

    /// `im.chat.member.bot.added_v1`.
    pub fn added_event(&self, chat: &str, who: &str) -> Value {
        let event = json!({
            "chat_id": chat, "operator_id": person(who), "external": false,
            "operator_tenant_key": super::TENANT, "name": "a group",
        });
        self.event("im.chat.member.bot.added_v1", &event)
    }
}

fn person(id: &str) -> Value {
    json!({ "open_id": id, "union_id": format!("on_{id}"), "user_id": "" })
}
