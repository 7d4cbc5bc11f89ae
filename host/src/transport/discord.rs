//! Discord: the gateway, held by serenity's shards behind a relay of ours.
//!
//! serenity keeps a connection alive (hello, identify, heartbeats, resume, reconnect) but hands over its own idea of an
//! event, from which fields are missing (of a modal's labels even the values), and drops what it cannot read. So each
//! shard speaks to a relay on loopback, which dials Discord through the bot's own way out ([`crate::egress`]: the
//! operator's proxy and authorities), hands every dispatch over as Discord sent it, and shows serenity only what keeps
//! the connection going. The relay owns the session: its id, its own URL to resume at and the sequence up to which
//! events are stored are kept in the store, so a new process resumes where the last one ended, and what comes twice is
//! dropped. serenity has no token and calls no REST; both are the relay's.
//!
//! What is dispatched in other ways: see [`story`] (order, acknowledgement), [`word`] (callbacks within three seconds).

mod facts;
mod relay;
mod session;
mod shard;
mod story;
#[cfg(test)]
mod tests;
mod word;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Managed;
use crate::chat::{CallError, Health, now};
use crate::egress::{Body, Request};
use crate::manifest::{Placement, Slot};

/// What the shards of one bot share.
pub(super) struct Gateway {
    managed: Managed,
    /// Dispatches that the adapter asked for.
    events: HashSet<String>,
    intents: u64,
    /// How each shard is.
    healths: Mutex<Vec<Health>>,
    /// Who may identify now, and when the last one did.
    identify: Arc<Semaphore>,
    identified: Mutex<Option<Instant>>,
    facts: facts::Facts,
}

/// Tried again after this long at first, and this long at last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// One identify in five seconds: docs.discord.com/developers/events/gateway#rate-limiting (max_concurrency; a larger one
/// is for bots in very many servers, which would only start faster).
const BETWEEN_IDENTIFIES: Duration = Duration::from_secs(5);
/// Discord answers an identify in a second or two; a connection that never has its answer may hold others up so long.
const IDENTIFY: Duration = Duration::from_secs(15);
/// Of each REST call of the transport's own.
const CALL: Duration = Duration::from_secs(10);

/// What `/gateway/bot` says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Directions {
    url: String,
    shards: u32,
    /// Sessions that may still be started, and when that is reset.
    left: u64,
    reset: Duration,
}

/// Holds the connection until `managed.stop`.
pub async fn run(managed: Managed) {
    let option = |name: &str| managed.options.get(name).map(String::as_str);
    let Some(intents) = option("intents").and_then(|text| text.parse().ok()) else {
        managed.inlet.report(Health::Refused {
            why: "the adapter's manifest has no intents for the gateway".to_owned(),
        });
        return;
    };
    let events = option("events").unwrap_or_default().split_whitespace();
    let gateway = Arc::new(Gateway {
        events: events.map(str::to_owned).collect(),
        intents,
        healths: Mutex::default(),
        identify: Arc::new(Semaphore::new(1)),
        identified: Mutex::default(),
        facts: facts::Facts::new(managed.me.as_ref().map(|me| me.id.clone())),
        managed,
    });
    let stop = gateway.managed.stop.clone();
    let Some(directions) = stop.run_until_cancelled(gateway.directions()).await else {
        return;
    };
    let shards = (0..directions.shards.max(1)).map(|index| {
        let (gateway, directions) = (Arc::clone(&gateway), directions.clone());
        async move { shard::run(gateway, index, directions).await }
    });
    *gateway.healths.lock().unwrap_or_else(PoisonError::into_inner) =
        vec![Health::Connecting; directions.shards.max(1) as usize];
    futures_util::future::join_all(shards).await;
}

impl Gateway {
    /// Where the gateway is; asked until it is known. A token that is refused is told, and tried again slowly: the
    /// operator may make it good at the vendor's.
    async fn directions(&self) -> Directions {
        let mut pause = BACKOFF.0;
        loop {
            match self.directions_now().await {
                Ok(directions) => return directions,
                Err(CallError::Unauthorized(why)) => {
                    self.managed.inlet.report(Health::Refused { why });
                    pause = BACKOFF.1;
                }
                Err(error) => self.managed.inlet.report(degraded(error.to_string(), pause)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Where the gateway is, asked once.
    async fn directions_now(&self) -> Result<Directions, CallError> {
        self.get("/gateway/bot").await.and_then(|answer| directions(&answer))
    }

    /// A GET below the api-base, with the bot's token.
    async fn get(&self, path: &str) -> Result<Value, CallError> {
        let request = Request {
            method: "GET".to_owned(),
            url: path.to_owned(),
            headers: Vec::new(),
            body: Body::Empty,
            secrets: vec![Placement {
                secret: self.secret().to_owned(),
                slot: Slot::Header("Authorization".to_owned(), "Bot ".to_owned()),
            }],
            timeout: Some(CALL),
            repeatable: true,
            buckets: vec!["global".to_owned()],
            wait: CALL,
            max_bytes: None,
        };
        let response = self.managed.outlet.send(request).await?;
        match response.status {
            200..=299 => serde_json::from_slice(&response.body)
                .map_err(|_| CallError::Unavailable("discord's answer is no JSON".to_owned())),
            401 => Err(CallError::Unauthorized(
                "discord refuses the bot token: copy it anew from the Bot page of your application".to_owned(),
            )),
            429 => Err(CallError::RateLimited(retry_after(&response.body))),
            // Without a code it is not the API that says so, but what stands before it.
            400 | 403 | 404 if code(&response.body).is_some() => Err(CallError::Gone(format!(
                "discord answers {path} with status {}",
                response.status
            ))),
            status => Err(CallError::Unavailable(format!(
                "discord answers {path} with status {status}"
            ))),
        }
    }

    /// The name of the secret that is the token.
    fn secret(&self) -> &str {
        self.managed.options.get("token").map_or("token", String::as_str)
    }

    fn token(&self) -> &str {
        self.managed
            .secrets
            .get(self.secret())
            .map_or("", |secret| secret.reveal())
    }

    /// How one shard is; the bot is as well as the worst of them.
    fn report(&self, shard: u32, health: Health) {
        let worst = {
            let mut all = self.healths.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(there) = all.get_mut(shard as usize) {
                *there = health;
            }
            let rank = |health: &Health| match health {
                Health::Live => 0,
                Health::Connecting => 1,
                Health::Degraded { .. } => 2,
                Health::Refused { .. } => 3,
            };
            all.iter().max_by_key(|health| rank(health)).cloned()
        };
        if let Some(worst) = worst {
            self.managed.inlet.report(worst);
        }
    }

    /// The shard's connection is over, and it was live: another is made. Why it does not work is not talked over.
    fn reconnects(&self, shard: u32) {
        let live = {
            let all = self.healths.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(shard as usize) == Some(&Health::Live)
        };
        if live {
            self.report(shard, Health::Connecting);
        }
    }

    /// Waits for its turn to identify: one shard at a time, five seconds apart. Cancel-safe.
    async fn may_identify(self: &Arc<Self>) -> Turn {
        // Never closed.
        let permit = Arc::clone(&self.identify).acquire_owned().await.ok();
        let last = *self.identified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last {
            tokio::time::sleep_until(last + BETWEEN_IDENTIFIES).await;
        }
        Turn {
            gateway: Arc::clone(self),
            until: Instant::now() + IDENTIFY,
            _permit: permit,
        }
    }
}

/// A shard's turn to identify. Dropped when Discord has answered, or never will: from then on the time counts that must
/// be between two, because what is on its way arrives at any pace.
struct Turn {
    gateway: Arc<Gateway>,
    /// After this it is over, whether Discord answered or not: other shards wait.
    until: Instant,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.gateway.identified.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

fn directions(answer: &Value) -> Result<Directions, CallError> {
    let url = answer["url"].as_str().filter(|url| !url.is_empty());
    let limit = &answer["session_start_limit"];
    Ok(Directions {
        url: url
            .ok_or_else(|| CallError::Unavailable("discord does not say where its gateway is".to_owned()))?
            .to_owned(),
        shards: answer["shards"]
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(1),
        left: limit["remaining"].as_u64().unwrap_or(1),
        reset: Duration::from_millis(limit["reset_after"].as_u64().unwrap_or(0)),
    })
}

/// Discord's own code in the body of an error.
fn code(body: &[u8]) -> Option<u64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.get("code")?.as_u64()
}

/// How long Discord wants to be left alone: docs.discord.com/developers/topics/rate-limits#exceeding-a-rate-limit.
fn retry_after(body: &[u8]) -> Option<Duration> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Duration::try_from_secs_f64(body.get("retry_after")?.as_f64()?).ok()
}

/// It does not work now and is tried again after `pause`.
fn degraded(why: String, pause: Duration) -> Health {
    let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
    Health::Degraded {
        why,
        retry_at: Some(now().saturating_add(pause)),
    }
}

/// What a close code means that no other try can change; docs.discord.com/developers/topics/opcodes-and-status-codes.
fn fatal(code: u16) -> Option<&'static str> {
    Some(match code {
        4004 => "discord refuses the bot token: copy it anew from the Bot page of your application",
        4010 | 4011 => "discord wants another number of shards: restart the host, so that it asks for the number again",
        4012 => "discord does not speak this version of the gateway any more: take a newer botyard",
        4013 => "discord does not know an intent that the adapter asks for: take a newer botyard",
        4014 => {
            "the bot may not read messages: switch on Message Content Intent at discord.com/developers/applications, \
             your application, Bot, Privileged Gateway Intents, or set mode = \"mentions\""
        }
        _ => return None,
    })
}
