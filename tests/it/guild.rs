//! A Discord server with a host that serves it, as scenarios speak of it.

use botyard_fakes::discord::{Discord, Heard, Hook, Message, World};
use serde_json::Value;

use crate::host::{PATIENCE, Setup, TestHost};

/// The server, and the host that serves it.
pub(crate) struct Guild {
    pub(crate) world: World,
    discord: Discord,
    pub(crate) host: TestHost,
}

impl Guild {
    /// Discord calls the host: commands and buttons alone.
    pub(crate) async fn called(adjust: impl FnOnce(Setup) -> Setup) -> Self {
        let world = World::new();
        // Where it calls is known when the host runs; nothing is told by the gateway from now on.
        world.application(true, Some("https://bots.example.com/hook/team"));
        Self::with(&world.clone(), |base| {
            adjust(Setup::discord(base, world.public_key()).with("mode = \"interactions\""))
        })
        .await
    }

    async fn with(world: &World, setup: impl FnOnce(&str) -> Setup) -> Self {
        let discord = Discord::serve(world.clone()).await;
        let host = TestHost::start(&setup(&discord.api_base())).await;
        let guild = Self {
            world: world.clone(),
            discord,
            host,
        };
        guild
            .world
            .wait_for(PATIENCE, "commands", |world| {
                (!world.commands().is_empty()).then_some(())
            })
            .await;
        guild
    }

    pub(crate) async fn stop(self) {
        self.host.stop().await;
        self.discord.stop().await;
    }

    /// Discord calls the host with it.
    pub(crate) async fn call(&self, interaction: &Value) -> Heard {
        let hook = Hook::new(self.world.clone(), self.host.hook());
        let heard = hook.send(interaction).await.expect("an answer in time");
        assert_eq!(heard.status, 200, "{}", heard.body);
        heard
    }

    /// Waits until one of the bot's messages is as it should be.
    pub(crate) async fn reply(&self, channel: &str, what: &str, like: impl Fn(&Message) -> bool) -> Message {
        self.world
            .wait_for(PATIENCE, what, |world| {
                world.replies(channel).into_iter().find(|message| like(message))
            })
            .await
    }

    /// A reply that is whole, with these words in it.
    pub(crate) async fn final_with(&self, channel: &str, text: &str) -> Message {
        self.reply(channel, text, |message| {
            message.read().contains(text) && message.buttons().is_empty()
        })
        .await
    }
}

/// It has this button.
pub(crate) fn has(label: &'static str) -> impl Fn(&Message) -> bool {
    move |message| message.buttons().iter().any(|(text, _)| text == label)
}
