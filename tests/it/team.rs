//! A Slack team with a host that serves it, as scenarios speak of it.

use botyard_fakes::slack::{Message, Sender, Slack, Workspace};

use crate::host::{PATIENCE, Setup, TestHost};

/// The team, and the host that serves it.
pub(crate) struct Team {
    pub(crate) team: Workspace,
    slack: Slack,
    pub(crate) sender: Sender,
    pub(crate) host: TestHost,
}

impl Team {
    pub(crate) async fn start(adjust: impl FnOnce(Setup) -> Setup) -> Self {
        let team = Workspace::new();
        let slack = Slack::serve(team.clone()).await;
        let setup = adjust(Setup::slack(&slack.api_base()));
        let host = TestHost::start(&setup).await;
        let sender = match setup.mode {
            Some("socket") => Sender::socket(team.clone()),
            _ => Sender::new(team.clone(), host.hook()),
        };
        Self {
            team,
            slack,
            sender,
            host,
        }
    }

    pub(crate) async fn restart(self) -> Self {
        self.restart_after(async |_| {}).await
    }

    /// The same, after something was done in its folder while no host ran.
    pub(crate) async fn restart_after(self, meanwhile: impl AsyncFnOnce(&std::path::Path)) -> Self {
        let folder = self.host.stop().await;
        meanwhile(folder.path()).await;
        let host = TestHost::start_in(folder).await;
        let sender = if self.sender.url.is_empty() {
            self.sender
        } else {
            Sender::new(self.team.clone(), host.hook())
        };
        Self {
            team: self.team,
            slack: self.slack,
            sender,
            host,
        }
    }

    pub(crate) async fn stop(self) {
        self.host.stop().await;
        self.slack.stop().await;
    }

    /// Somebody writes to the bot directly.
    pub(crate) async fn write(&self, user: &str, text: &str) -> String {
        let (ts, heard) = self
            .sender
            .write("D1", user, text, None)
            .await
            .expect("an answer in time");
        assert_eq!(heard.status, 200, "{}", heard.body);
        ts
    }

    /// Waits until one of the bot's messages is as it should be.
    pub(crate) async fn reply(&self, channel: &str, what: &str, like: impl Fn(&Message) -> bool) -> Message {
        self.team
            .wait_for(PATIENCE, what, |team| {
                team.replies(channel).into_iter().find(|message| like(message))
            })
            .await
    }

    pub(crate) async fn final_with(&self, channel: &str, text: &str) -> Message {
        self.reply(channel, text, |message| {
            message.read().contains(text) && message.buttons().is_empty()
        })
        .await
    }

    pub(crate) async fn press(&self, message: &Message, user: &str, label: &str) {
        let token = message
            .buttons()
            .into_iter()
            .find(|(text, _)| text == label)
            .unwrap_or_else(|| panic!("no button {label} in {:?}", message.buttons()))
            .1;
        let heard = self
            .sender
            .press(message, user, &token)
            .await
            .expect("an answer in time");
        assert_eq!(heard.status, 200, "{}", heard.body);
    }
}

/// It has this button.
pub(crate) fn has(label: &'static str) -> impl Fn(&Message) -> bool {
    move |message| message.buttons().iter().any(|(text, _)| text == label)
}
