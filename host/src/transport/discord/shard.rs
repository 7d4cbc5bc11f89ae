//! One shard: serenity on one side, the relay on the other, started and ended together.

use std::sync::Arc;
use std::time::Duration;

use serenity::gateway::{ShardManager, ShardManagerOptions};
use serenity::http::HttpBuilder;
use serenity::model::gateway::GatewayIntents;
use serenity::prelude::{Mutex, RwLock, TypeMap};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::relay::{End, Relay};
use super::story::{Progress, QUEUE, Story};
use super::{BACKOFF, Directions, Gateway, degraded};
use crate::chat::Health;

/// A refusal is tried again after this long: the operator may have switched something on. Discord allows 1,000 sessions
/// a day (docs.discord.com/developers/events/gateway#identifying).
const REFUSED: Duration = Duration::from_secs(300);
/// serenity looks for messages of ours twice a second.
const FAREWELL: Duration = Duration::from_millis(1_500);
/// What interactions still need to be told when the bot stops.
const WORDS: Duration = Duration::from_secs(2);

/// Holds one shard until the bot stops.
pub(super) async fn run(gateway: Arc<Gateway>, shard: u32, mut directions: Directions) {
    let stop = gateway.managed.stop.clone();
    let shards = directions.shards.max(1);
    let words = TaskTracker::new();
    loop {
        let session = gateway.recall(shard, shards).await;
        if session.is_none() && directions.left == 0 {
            gateway.report(
                shard,
                degraded(
                    "discord lets this bot start no more sessions today".to_owned(),
                    directions.reset,
                ),
            );
            if !pause(&gateway, directions.reset, &mut directions).await {
                return;
            }
        }
        let (progress, heard) = watch::channel(Progress {
            session,
            ..Progress::default()
        });
        let (tell, told) = mpsc::channel(QUEUE);
        let story = Story {
            gateway: Arc::clone(&gateway),
            shard,
            shards,
            progress,
            words: words.clone(),
            last: None,
            pressed: None,
        };
        let relay = match Relay::open(Arc::clone(&gateway), shard, &directions, tell, heard).await {
            Ok(relay) => relay,
            Err(error) => {
                gateway.report(
                    shard,
                    degraded(format!("loopback cannot be listened on: {error}"), BACKOFF.1),
                );
                if stop.run_until_cancelled(tokio::time::sleep(BACKOFF.1)).await.is_none() {
                    return;
                }
                continue;
            }
        };
        let serenity = start(&gateway, relay.url().to_owned(), shard, shards);
        let ((end, door), ()) = tokio::join!(relay.run(), story.run(told));
        door.part(end_of(serenity)).await;
        match end {
            End::Stopped => break,
            End::Refused(why) => {
                gateway.report(shard, Health::Refused { why: why.to_owned() });
                if !pause(&gateway, REFUSED, &mut directions).await {
                    break;
                }
            }
        }
    }
    words.close();
    let _ = tokio::time::timeout(WORDS, words.wait()).await;
}

/// Waits, and asks for the directions again: what Discord allowed then says nothing of now. False: the bot stops.
async fn pause(gateway: &Gateway, time: Duration, directions: &mut Directions) -> bool {
    let ask = async {
        tokio::time::sleep(time).await;
        gateway.directions_now().await
    };
    match gateway.managed.stop.run_until_cancelled(ask).await {
        // How many shards there are is agreed on with the others.
        Some(Ok(new)) => {
            *directions = Directions {
                shards: directions.shards,
                ..new
            };
        }
        // Discord says it where it is called, then.
        Some(Err(_)) => directions.left = directions.left.max(1),
        None => return false,
    }
    true
}

/// serenity's half. Its REST would go to the relay, which answers nothing: it needs none.
fn start(gateway: &Gateway, url: String, shard: u32, shards: u32) -> Arc<ShardManager> {
    let http = HttpBuilder::new("of-the-relay")
        .proxy(url.replacen("ws://", "http://", 1))
        .ratelimiter_disabled(true)
        .build();
    let (manager, _) = ShardManager::new(ShardManagerOptions {
        data: Arc::new(RwLock::new(TypeMap::new())),
        event_handlers: Vec::new(),
        raw_event_handlers: Vec::new(),
        shard_index: shard,
        shard_init: 1,
        shard_total: shards,
        ws_url: Arc::new(Mutex::new(url)),
        http: Arc::new(http),
        intents: GatewayIntents::from_bits_retain(gateway.intents),
        presence: None,
    });
    // Never an error in this version.
    let _ = manager.initialize();
    manager
}

/// Ends serenity's tasks. They may be in the middle of a pause of ten seconds: then they end by themselves after it.
async fn end_of(manager: Arc<ShardManager>) {
    let ending = tokio::spawn(async move {
        manager.shutdown_all().await;
    });
    let _ = tokio::time::timeout(FAREWELL, ending).await;
}

#[cfg(test)]
mod tests {
    use super::super::tests::yard;
    use super::*;

    #[tokio::test]
    async fn after_a_pause_what_discord_allows_is_asked_again_and_the_shards_stay() {
        let mut yard = yard().await;
        let told = |shards: u32, left: u64| Directions {
            url: "ws://127.0.0.1:1".to_owned(),
            shards,
            left,
            reset: Duration::from_millis(7),
        };
        let body = r#"{"url":"ws://127.0.0.1:1","shards":9,"session_start_limit":{"remaining":5,"reset_after":7}}"#;
        for (status, left) in [(200, 5), (403, 1)] {
            let gateway = Arc::clone(&yard.gateway);
            let mut directions = told(2, 0);
            let answers = async {
                let asked = yard.asked.recv().await.expect("a request");
                assert_eq!(asked.what, "GET /gateway/bot");
                asked.answer.send((status, body.to_owned())).expect("awaited");
            };
            let paused = pause(&gateway, Duration::ZERO, &mut directions);
            assert!(tokio::join!(paused, answers).0);
            assert_eq!(directions, told(2, left), "{status}");
        }
    }
}
