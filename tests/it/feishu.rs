//! Feishu through the real host: the strict fake, the scripted CLI, the long connection and the webhook.

use std::path::Path;

use botyard_fakes::feishu::{ANN, APP_ID, APP_SECRET, Ack, BEN, DIRECT, Feishu, GROUP, Message, Tenant};
use serde_json::{Value, json};

use crate::host::{PATIENCE, TestHost};

/// bots.toml with one Feishu bot whose agent is the scripted CLI, and its secrets.
fn write(folder: &Path, api_base: &str, more: &str) {
    let command = botyard_fakes::cli::program();
    let text = format!(
        r#"
[host]
listen = "127.0.0.1:0"
data_dir = "data"

[agent.scripted]
driver = "claude"
command = [{command:?}]
login = "none"

[[bot]]
name = "team"
adapter = "feishu"
agent = "scripted"
scope = "thread"
workspace = "work"
allow = ["*"]
api_base = {api_base:?}
{more}
"#
    );
    std::fs::write(folder.join("bots.toml"), text).expect("bots.toml is written");
    for (name, secret) in [
        ("id", APP_ID),
        ("secret", APP_SECRET),
        ("token", botyard_fakes::feishu::VERIFICATION_TOKEN),
        ("key", botyard_fakes::feishu::ENCRYPT_KEY),
    ] {
        std::fs::write(folder.join(name), secret).expect("the secret is written");
    }
}

const CONNECTION: &str = r#"secrets = { app_id = "file:id", app_secret = "file:secret" }"#;

/// The company, and the host that serves it.
struct Company {
    tenant: Tenant,
    feishu: Feishu,
    host: TestHost,
}

impl Company {
    /// With the long connection.
    async fn start() -> Self {
        Self::start_with(CONNECTION).await
    }

    async fn start_with(more: &str) -> Self {
        let feishu = Feishu::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), feishu.url(), more);
        Self {
            tenant: feishu.tenant.clone(),
            host: TestHost::start_in(folder).await,
            feishu,
        }
    }

    /// Ends the host. Whatever the clients of the long connection did was right.
    async fn stop(self) {
        assert_eq!(self.tenant.complaints(), Vec::<String>::new());
        self.host.stop().await;
        drop(self.feishu);
    }

    async fn deliver(&self, event: &Value) -> Ack {
        tokio::time::timeout(PATIENCE, self.tenant.deliver(event))
            .await
            .expect("the event is taken in time")
    }

    /// Somebody writes in a chat.
    async fn write(&self, chat: &str, who: &str, text: &str) -> Message {
        let said = self.tenant.write(chat, who, text);
        self.deliver(&self.tenant.message_event(&said)).await;
        said
    }

    /// Waits until one of the bot's messages is as it should be.
    async fn reply(&self, chat: &str, what: &str, like: impl Fn(&Message) -> bool) -> Message {
        self.tenant
            .wait_for(PATIENCE, what, |tenant| {
                tenant.replies(chat).into_iter().find(|message| like(message))
            })
            .await
    }

    async fn final_with(&self, chat: &str, text: &str) -> Message {
        self.reply(chat, text, |message| {
            message.read().contains(text) && message.buttons().is_empty()
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn question_is_answered_once_over_the_long_connection() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "hello there").await;
    let reply = company.final_with(DIRECT, "echo: hello there").await;
    assert_eq!(reply.thread, None);
    assert_eq!(company.tenant.replies(DIRECT).len(), 1);
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mention_in_a_group_is_answered_in_a_thread_that_goes_on() {
    let company = Company::start().await;
    let asked = company.write(GROUP, ANN, "@_user_1 what is up").await;
    let reply = company.final_with(GROUP, "what is up").await;
    assert_eq!(reply.root.as_deref(), Some(asked.id.as_str()));
    assert!(reply.thread.is_some(), "the answer opens a thread");
    // In that thread the bot need not be mentioned again; outside of it, it must.
    let content = json!({ "text": "and you" });
    let said = company
        .tenant
        .say(GROUP, BEN, "text", &content, Some((&reply.id, true)));
    company.write(GROUP, BEN, "nobody is asked").await;
    company.deliver(&company.tenant.message_event(&said)).await;
    let second = company.final_with(GROUP, "and you").await;
    assert_eq!(second.thread, reply.thread);
    assert_eq!(company.tenant.replies(GROUP).len(), 2);
    company.stop().await;
}
