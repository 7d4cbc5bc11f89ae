//! A company on Feishu with a host that serves it, as scenarios speak of it.

use botyard_fakes::feishu::{Ack, Button, Feishu, Message, Sender, Tenant};
use serde_json::{Value, json};

use crate::host::{PATIENCE, Setup, TestHost};

/// The company, and the host that serves it.
pub(crate) struct Company {
    pub(crate) tenant: Tenant,
    feishu: Feishu,
    pub(crate) host: TestHost,
}

impl Company {
    /// Over the long connection.
    pub(crate) async fn start() -> Self {
        Self::start_with(Tenant::new(), |setup| setup).await
    }

    pub(crate) async fn start_with(tenant: Tenant, adjust: impl FnOnce(Setup) -> Setup) -> Self {
        let feishu = Feishu::serve(tenant.clone()).await;
        let setup = adjust(Setup::feishu(feishu.url()));
        Self {
            tenant,
            host: TestHost::start(&setup).await,
            feishu,
        }
    }

    pub(crate) async fn restart(self) -> Self {
        let folder = self.host.stop().await;
        Self {
            host: TestHost::start_in(folder).await,
            ..self
        }
    }

    /// Ends the host. Whatever it did on its long connections was right, and every event was acknowledged in time.
    pub(crate) async fn stop(self) {
        assert_eq!(self.tenant.missed(), 0, "sent again");
        self.stop_troubled().await;
    }

    /// The same where Feishu had reason to send something again.
    pub(crate) async fn stop_troubled(self) {
        assert_eq!(self.tenant.complaints(), Vec::<String>::new());
        self.host.stop().await;
        drop(self.feishu);
    }

    /// Who speaks to the host's hook.
    pub(crate) fn sender(&self) -> Sender {
        Sender::new(self.host.hook())
    }

    /// Sends an event until it is taken.
    pub(crate) async fn deliver(&self, event: &Value) -> Ack {
        tokio::time::timeout(PATIENCE, self.tenant.deliver(event))
            .await
            .expect("the event is taken in time")
    }

    /// Somebody writes in a chat.
    pub(crate) async fn write(&self, chat: &str, who: &str, text: &str) -> Message {
        let said = self.tenant.write(chat, who, text);
        self.deliver(&self.tenant.message_event(&said)).await;
        said
    }

    /// Somebody presses a button; what is said at once.
    pub(crate) async fn press(&self, message: &Message, who: &str, label: &str) -> Value {
        self.send(message, who, label, None).await
    }

    /// The same of a button that sends the form around it, filled in so.
    pub(crate) async fn send(&self, message: &Message, who: &str, label: &str, form: Option<&Value>) -> Value {
        let event = self.tenant.press_event(message, who, &button(message, label), form);
        let answer = self.deliver(&event).await.data.unwrap_or_else(|| json!({}));
        self.tenant
            .answered(&message.id, &answer)
            .expect("Feishu takes the answer");
        answer
    }

    /// Waits until one of the bot's messages is as it should be.
    pub(crate) async fn reply(&self, chat: &str, what: &str, like: impl Fn(&Message) -> bool) -> Message {
        self.tenant
            .wait_for(PATIENCE, what, |tenant| {
                tenant.replies(chat).into_iter().find(|message| like(message))
            })
            .await
    }

    pub(crate) async fn final_with(&self, chat: &str, text: &str) -> Message {
        self.reply(chat, text, |message| {
            message.read().contains(text) && message.buttons().is_empty()
        })
        .await
    }

    /// What the bot's messages in a chat say.
    pub(crate) fn reads(&self, chat: &str) -> Vec<String> {
        self.tenant.replies(chat).iter().map(Message::read).collect()
    }
}

/// It has this button.
pub(crate) fn has(label: &'static str) -> impl Fn(&Message) -> bool {
    move |message| message.buttons().iter().any(|button| button.label == label)
}

pub(crate) fn button(message: &Message, label: &str) -> Button {
    let all = message.buttons();
    let found = all.iter().find(|button| button.label == label).cloned();
    found.unwrap_or_else(|| panic!("no button {label} in {all:?}"))
}
