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
        Self::start(world, |setup| {
            adjust(Setup {
                mode: Some("interactions"),
                ..setup
            })
        })
        .await
    }

    /// The host holds a connection with the gateway.
    pub(crate) async fn connected(adjust: impl FnOnce(Setup) -> Setup) -> Self {
        let guild = Self::start(World::new(), adjust).await;
        guild.listens().await;
        guild
    }

    /// A host in this world; its commands are told.
    pub(crate) async fn start(world: World, adjust: impl FnOnce(Setup) -> Setup) -> Self {
        let discord = Discord::serve(world.clone()).await;
        let setup = adjust(Setup::discord(&discord.api_base(), world.public_key()));
        let host = TestHost::start(&setup).await;
        let guild = Self { world, discord, host };
        guild
            .world
            .wait_for(PATIENCE, "commands", |world| {
                (!world.commands().is_empty()).then_some(())
            })
            .await;
        guild
    }

    /// Waits until the gateway has a session to tell.
    pub(crate) async fn listens(&self) {
        self.world
            .wait_for(PATIENCE, "a session", |world| (world.connected() == 1).then_some(()))
            .await;
    }

    /// Another host takes up what the last one left; in between `meanwhile` happens.
    pub(crate) async fn restart(self, meanwhile: impl FnOnce(&World)) -> Self {
        let folder = self.host.stop().await;
        meanwhile(&self.world);
        let host = TestHost::start_in(folder).await;
        Self { host, ..self }
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
