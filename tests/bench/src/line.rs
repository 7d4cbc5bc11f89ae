//! Every way in which a platform's events reach the host: a fake platform, how it speaks to a bot, and what the bot's
//! messages say there.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use botyard_fakes::discord::{ANN, Discord, Hook, TOKEN, World};
use botyard_fakes::feishu::{self, Feishu, Tenant};
use botyard_fakes::slack::{self, Channel, Slack, Workspace};
use serde_json::Value;

pub(crate) type Sent<'a> = Pin<Box<dyn Future<Output = Result<Option<Duration>>> + Send + 'a>>;

/// Slack, Discord and Feishu wait for three seconds; what comes later is none to them.
const ACKNOWLEDGED: Duration = Duration::from_secs(3);

/// How long it took, if that was in time: over a socket an event comes again otherwise, and is acknowledged then.
fn in_time(begun: Instant) -> Result<Duration> {
    let took = begun.elapsed();
    ensure!(took <= ACKNOWLEDGED, "acknowledged after {took:?}");
    Ok(took)
}

/// A call that the adapter made: when, with what, and the status that it got.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) at: Instant,
    pub(crate) said: String,
    pub(crate) status: u16,
}

/// A platform and one way to it. Its conversations are direct ones, by number.
pub(crate) trait Line: Send + Sync {
    /// The bot's name.
    fn name(&self) -> &'static str;
    fn adapter(&self) -> &'static str;
    fn mode(&self) -> &'static str;
    fn api_base(&self) -> String;
    fn secrets(&self) -> Vec<(&'static str, String)>;
    /// Where this bot's webhooks are taken.
    fn attach(&mut self, hook: &str);
    /// A person says this; how long it took until the platform had its acknowledgement, where it wants one.
    fn say(&self, place: usize, words: String) -> Sent<'_>;
    /// What stands there of the bot's.
    fn reads(&self, place: usize) -> Vec<String>;
    fn called(&self) -> Vec<Called>;
    /// Ends every connection, as networks do.
    fn cut(&self);
}

/// A table of bots.toml; its secrets are written into the folder.
pub(crate) fn table(line: &dyn Line, folder: &std::path::Path) -> Result<String> {
    let mut secrets = Vec::new();
    for (name, value) in line.secrets() {
        let file = format!("{}-{name}", line.name());
        std::fs::write(folder.join(&file), value)?;
        secrets.push(format!("{name} = \"file:{file}\""));
    }
    Ok(format!(
        "\n[[bot]]\nname = {:?}\nadapter = {:?}\nmode = {:?}\nagent = \"scripted\"\nscope = \"channel\"\n\
         workspace = \"work-{}\"\nallow = [\"*\"]\nqueue_limit = 64\napi_base = {:?}\nsecrets = {{ {} }}\n",
        line.name(),
        line.adapter(),
        line.mode(),
        line.name(),
        line.api_base(),
        secrets.join(", "),
    ))
}

pub(crate) struct SlackLine {
    slack: Slack,
    sender: slack::Sender,
    socket: bool,
}

impl SlackLine {
    pub(crate) async fn start(socket: bool, places: usize) -> Self {
        let team = Workspace::new();
        for place in 0..places {
            let direct = Channel {
                direct: true,
                ..Channel::default()
            };
            team.add_channel(&format!("D{place}"), direct);
        }
        let slack = Slack::serve(team.clone()).await;
        Self {
            slack,
            sender: slack::Sender::socket(team),
            socket,
        }
    }

    /// Every socket is asked to leave, as Slack does every few hours.
    pub(crate) fn refresh(&self) {
        self.slack
            .workspace
            .refresh_sockets("refresh_requested", Duration::from_millis(100));
    }

    pub(crate) fn sockets(&self) -> u64 {
        self.slack.workspace.sockets().1
    }
}

impl Line for SlackLine {
    fn name(&self) -> &'static str {
        if self.socket { "slack-socket" } else { "slack-hook" }
    }

    fn adapter(&self) -> &'static str {
        "slack"
    }

    fn mode(&self) -> &'static str {
        if self.socket { "socket" } else { "webhook" }
    }

    fn api_base(&self) -> String {
        self.slack.api_base()
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        let other = if self.socket {
            ("app_token", slack::APP_TOKEN.to_owned())
        } else {
            ("signing_secret", slack::SIGNING_SECRET.to_owned())
        };
        vec![("bot_token", slack::BOT_TOKEN.to_owned()), other]
    }

    fn attach(&mut self, hook: &str) {
        if !self.socket {
            self.sender = slack::Sender::new(self.slack.workspace.clone(), hook);
        }
    }

    fn say(&self, place: usize, words: String) -> Sent<'_> {
        Box::pin(async move {
            let begun = Instant::now();
            let (_, heard) = self.sender.write(&format!("D{place}"), "U1", &words, None).await?;
            ensure!(heard.status == 200, "the host answered {}", heard.status);
            in_time(begun).map(Some)
        })
    }

    fn reads(&self, place: usize) -> Vec<String> {
        let replies = self.slack.workspace.replies(&format!("D{place}"));
        replies.iter().map(slack::Message::read).collect()
    }

    fn called(&self) -> Vec<Called> {
        let calls = self.slack.workspace.calls().into_iter();
        calls
            .map(|call| Called {
                at: call.at,
                said: call.arguments.to_string(),
                status: call.status,
            })
            .collect()
    }

    fn cut(&self) {
        self.slack.workspace.cut_sockets();
    }
}

pub(crate) struct DiscordLine {
    discord: Discord,
    hook: Option<Hook>,
    called: bool,
}

fn channel(place: usize) -> String {
    format!("3100000000000{place:05}")
}

impl DiscordLine {
    /// `called`: Discord calls the host for commands; else it holds a connection with the gateway.
    pub(crate) async fn start(called: bool, places: usize) -> Self {
        let world = World::new();
        for place in 0..places {
            world.open_direct(&channel(place));
        }
        if called {
            world.application(true, Some("https://bots.example.com/hook"));
        }
        Self {
            discord: Discord::serve(world).await,
            hook: None,
            called,
        }
    }

    pub(crate) fn heartbeat(&self, every: Duration) {
        self.discord.world.heartbeat(every);
    }

    /// The last that clients did.
    pub(crate) fn log_end(&self) -> Vec<String> {
        let log = self.discord.world.gateway_log();
        log[log.len().saturating_sub(12)..].to_vec()
    }

    /// Heartbeats so far, and what clients did that Discord closes a connection for.
    pub(crate) fn heartbeats(&self) -> (usize, usize) {
        let log = self.discord.world.gateway_log();
        let of = |begin: &str| log.iter().filter(|line| line.starts_with(begin)).count();
        (of("heartbeat"), of("fault"))
    }
}

impl Line for DiscordLine {
    fn name(&self) -> &'static str {
        if self.called { "discord-hook" } else { "discord-gateway" }
    }

    fn adapter(&self) -> &'static str {
        "discord"
    }

    fn mode(&self) -> &'static str {
        if self.called { "interactions" } else { "gateway" }
    }

    fn api_base(&self) -> String {
        self.discord.api_base()
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        let mut secrets = vec![("token", TOKEN.to_owned())];
        if self.called {
            secrets.push(("public_key", self.discord.world.public_key()));
        }
        secrets
    }

    fn attach(&mut self, hook: &str) {
        if self.called {
            self.hook = Some(Hook::new(self.discord.world.clone(), hook));
        }
    }

    fn say(&self, place: usize, words: String) -> Sent<'_> {
        Box::pin(async move {
            let Some(hook) = &self.hook else {
                self.discord.world.say(&channel(place), ANN, &words);
                return Ok(None);
            };
            let asked = self
                .discord
                .world
                .slash(&channel(place), ANN, "ask", &[("question", &words)]);
            let begun = Instant::now();
            let heard = hook.send(&asked).await?;
            ensure!(
                heard.status == 200,
                "the host answered {}: {}",
                heard.status,
                heard.body
            );
            in_time(begun).map(Some)
        })
    }

    fn reads(&self, place: usize) -> Vec<String> {
        let replies = self.discord.world.replies(&channel(place));
        replies.iter().map(botyard_fakes::discord::Message::read).collect()
    }

    fn called(&self) -> Vec<Called> {
        let calls = self.discord.world.calls().into_iter();
        calls
            .map(|call| Called {
                at: call.at,
                said: call.body.to_string(),
                status: call.status,
            })
            .collect()
    }

    fn cut(&self) {
        self.discord.world.cut_gateway();
    }
}

pub(crate) struct FeishuLine {
    feishu: Feishu,
    hook: Option<feishu::Sender>,
    called: bool,
}

impl FeishuLine {
    pub(crate) async fn start(called: bool, places: usize) -> Self {
        let tenant = Tenant::new();
        for place in 0..places {
            tenant.hire(&format!("ou_p{place}"), &format!("P{place}"), &format!("oc_p{place}"));
        }
        Self {
            feishu: Feishu::serve(tenant).await,
            hook: None,
            called,
        }
    }

    /// Seconds between pings; the shortest that Feishu can ask for is one.
    pub(crate) fn ping(&self, seconds: u64) {
        self.feishu.tenant.configure(feishu::Config {
            tries: -1,
            interval: 1,
            nonce: 0,
            ping: seconds,
        });
    }

    /// Pings and connections so far.
    pub(crate) fn pings(&self) -> (u64, u64) {
        (self.feishu.tenant.pings(), self.feishu.tenant.opened())
    }
}

impl Line for FeishuLine {
    fn name(&self) -> &'static str {
        if self.called { "feishu-hook" } else { "feishu-link" }
    }

    fn adapter(&self) -> &'static str {
        "feishu"
    }

    fn mode(&self) -> &'static str {
        if self.called { "webhook" } else { "connection" }
    }

    fn api_base(&self) -> String {
        self.feishu.url().to_owned()
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        let mut secrets = vec![
            ("app_id", feishu::APP_ID.to_owned()),
            ("app_secret", feishu::APP_SECRET.to_owned()),
        ];
        if self.called {
            secrets.push(("verification_token", feishu::VERIFICATION_TOKEN.to_owned()));
            secrets.push(("encrypt_key", feishu::ENCRYPT_KEY.to_owned()));
        }
        secrets
    }

    fn attach(&mut self, hook: &str) {
        if self.called {
            self.hook = Some(feishu::Sender::new(hook));
        }
    }

    fn say(&self, place: usize, words: String) -> Sent<'_> {
        Box::pin(async move {
            let tenant = &self.feishu.tenant;
            let said = tenant.write(&format!("oc_p{place}"), &format!("ou_p{place}"), &words);
            let event = tenant.message_event(&said);
            let begun = Instant::now();
            match &self.hook {
                Some(hook) => {
                    let heard = hook.event(&event).await?;
                    ensure!(heard.status == 200, "the host answered {}", heard.status);
                }
                None => {
                    let ack = tenant.push(&event, 1).await.context("no acknowledgement in time")?;
                    ensure!(ack.code == 200, "it was acknowledged with {}", ack.code);
                }
            }
            in_time(begun).map(Some)
        })
    }

    fn reads(&self, place: usize) -> Vec<String> {
        let replies = self.feishu.tenant.replies(&format!("oc_p{place}"));
        replies.iter().map(feishu::Message::read).collect()
    }

    fn called(&self) -> Vec<Called> {
        let calls = self.feishu.tenant.calls().into_iter();
        calls
            .map(|call| Called {
                at: call.at,
                said: call.body.to_string(),
                status: call.status,
            })
            .collect()
    }

    fn cut(&self) {
        self.feishu.tenant.cut_lines();
    }
}

/// The answer that a host's `status` is read from.
pub(crate) fn live(report: &Value) -> usize {
    let bots = report["bots"].as_array().into_iter().flatten();
    bots.filter(|bot| bot["connection"] == "live").count()
}
