//! Between serenity and Discord. Every connection of serenity's gets one of ours; what serenity says is put into
//! Discord's words with what only the relay knows (token, session, sequence), and of Discord's words serenity hears
//! what keeps a connection going. Its address on loopback has a secret path, and the token never passes there.

mod door;
mod talk;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::session::Session;
use super::story::{Progress, Told};
use super::{BACKOFF, Directions, Gateway, degraded};
use crate::chat::{CallError, random};
use crate::egress::{OpenError, Opening};
use door::Door;
use talk::{GOOD, Talk, Upstream};

/// Why a relay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    /// One sentence with what to do.
    Refused(&'static str),
}

type Local = WebSocketStream<TcpStream>;
type Knock = Pin<Box<dyn Future<Output = Local> + Send + Sync>>;

pub(super) struct Relay {
    gateway: Arc<Gateway>,
    shard: u32,
    shards: u32,
    /// Where new sessions begin.
    gateway_url: String,
    door: Arc<Door>,
    /// serenity's next connection. While one stands it may come all the same: serenity gives up the old one by itself, and
    /// keeps it until the new one is there.
    knock: Knock,
    /// What Discord greets with. From then on the relay does, so that serenity waits for nobody: it resumes without being
    /// greeted, and takes a greeting that comes after its resuming for a mistake.
    hello: Option<String>,
    url: String,
    tell: mpsc::Sender<Told>,
    progress: watch::Receiver<Progress>,
    /// How serenity identifies.
    identify: Option<Value>,
    /// Counts connections with Discord.
    epoch: u64,
    /// Of the session: what came last. Earlier ones are dropped here.
    seen: u64,
    /// Not before this is Discord called again.
    not_before: Instant,
    pause: Duration,
    /// Calls in vain, one after the other.
    failures: u32,
    sent: Vec<Instant>,
}

/// How a connection ended.
enum Ended {
    /// serenity connects again.
    Again,
    End(End),
}

impl Relay {
    /// Listens on a port of the system's choice.
    ///
    /// # Errors
    /// Loopback cannot be listened on.
    pub(super) async fn open(
        gateway: Arc<Gateway>,
        shard: u32,
        directions: &Directions,
        tell: mpsc::Sender<Told>,
        progress: watch::Receiver<Progress>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let path = format!("/{}", hex::encode(random::<16>()));
        let url = format!("ws://{}{path}", listener.local_addr()?);
        let seen = progress.borrow().session.as_ref().map_or(0, |session| session.seq);
        let door = Arc::new(Door { listener, path });
        Ok(Self {
            gateway,
            shard,
            shards: directions.shards.max(1),
            gateway_url: directions.url.clone(),
            knock: door.knock(),
            hello: None,
            door,
            url,
            tell,
            progress,
            identify: None,
            epoch: 0,
            seen,
            not_before: Instant::now(),
            pause: Duration::ZERO,
            failures: 0,
            sent: Vec::new(),
        })
    }

    /// For serenity alone.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Until the bot stops, or Discord refuses it for good. serenity is still there, and knocks.
    pub(super) async fn run(mut self) -> (End, Arc<Door>) {
        let stop = self.gateway.managed.stop.clone();
        let end = loop {
            let local = tokio::select! {
                () = stop.cancelled() => break End::Stopped,
                local = &mut self.knock => self.let_in(local).await,
            };
            match stop.run_until_cancelled(self.serve(local)).await {
                Some(Ended::Again) => {}
                Some(Ended::End(end)) => break end,
                None => break End::Stopped,
            }
        };
        (end, self.door)
    }

    fn session(&self) -> Option<Session> {
        self.progress.borrow().session.clone()
    }

    /// The next call to Discord is made after a pause that grows.
    fn hold_back(&mut self, why: &str) {
        self.not_before = Instant::now() + self.pause;
        self.gateway.report(self.shard, degraded(why.to_owned(), self.pause));
        self.pause = (self.pause * 2).clamp(BACKOFF.0, BACKOFF.1);
    }

    /// The same for a connection that lived since then: after a good one the pause begins anew.
    fn lost(&mut self, since: Instant, why: &str) {
        if since.elapsed() > GOOD {
            self.pause = Duration::ZERO;
        }
        self.hold_back(why);
    }

    /// Greets serenity's next connection; another may knock from then on.
    async fn let_in(&mut self, mut local: Local) -> Local {
        self.knock = self.door.knock();
        if let Some(hello) = &self.hello {
            // One that is closed says so where it is read.
            let _ = local.send(Message::text(hello.clone())).await;
        }
        local
    }

    /// serenity's connections, one after the other, with one of ours: that it loses patience does not end a call to Discord.
    async fn serve(&mut self, mut local: Local) -> Ended {
        let (mut wants, mut there) = (false, true);
        let mut call = Box::pin(self.call());
        let mut found = None;
        let upstream = loop {
            if there && let Some(upstream) = found.take() {
                break upstream;
            }
            let frame = tokio::select! {
                called = &mut call, if found.is_none() => {
                    match called {
                        Ok(upstream) => found = Some(upstream),
                        Err(why) => {
                            self.failures += 1;
                            self.hold_back(&why);
                            call.set(self.call());
                        }
                    }
                    continue;
                },
                newer = &mut self.knock => {
                    local = self.let_in(newer).await;
                    (wants, there) = (false, true);
                    continue;
                }
                frame = local.next(), if there => frame,
            };
            // While nobody is there to answer, the relay does: serenity must not think that it is alone.
            let said = match frame {
                Some(Ok(Message::Text(text))) => match op_of(text.as_str()) {
                    Some((1, _)) => say(&mut local, &json!({ "op": 11 })).await,
                    Some((op, whole)) => {
                        wants |= is_wish(op);
                        self.wanted(op, whole, &mut local).await
                    }
                    None => Ok(()),
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                _ => {
                    there = false;
                    continue;
                }
            };
            there = said.is_ok();
        };
        self.failures = 0;
        self.epoch += 1;
        let talk = Talk {
            local,
            upstream,
            interval: Duration::from_secs(41),
            hello: false,
            wants,
            asked: None,
            answered: false,
            turn: None,
            due: None,
            since: Instant::now(),
        };
        self.hold(talk).await
    }

    /// Calls Discord, not before the pause is over: where the session wants to be resumed, else at the front door.
    fn call(&self) -> impl Future<Output = Result<Upstream, String>> + Send + use<> {
        let (gateway, not_before) = (Arc::clone(&self.gateway), self.not_before);
        let session = self.session().filter(|_| self.failures < 2);
        let base = session.map_or_else(|| self.gateway_url.clone(), |session| session.url);
        async move {
            sleep_until(not_before).await;
            let opening = Opening {
                url: format!("{}/?v=10&encoding=json", base.trim_end_matches('/')),
                headers: Vec::new(),
                protocols: Vec::new(),
                secrets: Vec::new(),
                ping_every: None,
            };
            match gateway.managed.outlet.open(opening).await {
                Ok(socket) => Ok(socket.into()),
                Err(OpenError::Refused { status, .. }) => Err(format!("the gateway answers with status {status}")),
                Err(OpenError::Failed(CallError::Rejected(why))) => {
                    Err(format!("the gateway may not be called: {why}"))
                }
                Err(OpenError::Failed(error)) => Err(format!("the gateway cannot be reached: {error}")),
            }
        }
    }

    /// serenity identifies or resumes; it is told at once that this went well, because its session is the relay's.
    async fn wanted(&mut self, op: u64, whole: Value, local: &mut Local) -> Result<(), Error> {
        match op {
            2 => {
                self.identify = Some(whole);
                say(local, &self.ready()).await
            }
            6 => say(local, &json!({ "op": 0, "s": 1, "t": "RESUMED", "d": {} })).await,
            _ => Ok(()),
        }
    }

    fn ready(&self) -> Value {
        let me = self.gateway.managed.me.as_ref().map_or("1", |me| me.id.as_str());
        json!({ "op": 0, "s": 1, "t": "READY", "d": {
            "v": 10, "session_id": "relay", "resume_gateway_url": self.url, "guilds": [],
            "user": { "id": me, "username": "botyard", "discriminator": "0", "avatar": null, "bot": true },
            "shard": [self.shard, self.shards], "application": { "id": me, "flags": 0 },
        } })
    }
}

async fn say(local: &mut Local, value: &Value) -> Result<(), Error> {
    local.send(Message::text(value.to_string())).await
}

/// It wants a session: a new one, or to go on with one.
const fn is_wish(op: u64) -> bool {
    matches!(op, 2 | 6)
}

/// What serenity says, and what it is.
fn op_of(text: &str) -> Option<(u64, Value)> {
    let whole: Value = serde_json::from_str(text).ok()?;
    Some((whole.get("op")?.as_u64()?, whole))
}

#[cfg(test)]
mod tests;
