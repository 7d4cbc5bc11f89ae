//! Between serenity and Discord. Every connection of serenity's gets one of ours; what serenity says is put into
//! Discord's words with what only the relay knows (token, session, sequence), and of Discord's words serenity hears
//! what keeps a connection going. Its address on loopback has a secret path, and the token never passes there.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::debug;

use super::session::Session;
use super::story::{Dispatch, Progress, Told};
use super::{BACKOFF, Directions, Gateway, Turn, degraded, fatal};
use crate::chat::{CallError, Health, random};
use crate::egress::{Frame, OpenError, Opening, Socket};

/// Why a relay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    /// One sentence with what to do.
    Refused(&'static str),
}

/// A connection with Discord. Dropped, it is closed with a code that keeps the session.
struct Upstream {
    send: mpsc::Sender<(Frame, Vec<crate::manifest::Placement>)>,
    receive: mpsc::Receiver<Result<Frame, (u16, String)>>,
    close: Option<tokio::sync::oneshot::Sender<(u16, String)>>,
}

impl From<Socket> for Upstream {
    fn from(socket: Socket) -> Self {
        Self {
            send: socket.send,
            receive: socket.receive,
            close: Some(socket.close),
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(close) = self.close.take() {
            // 1000 and 1001 would end the session: docs.discord.com/developers/events/gateway#disconnecting.
            let _ = close.send((RESUMABLE, String::new()));
        }
    }
}

type Local = WebSocketStream<TcpStream>;

/// Where serenity knocks.
pub(super) struct Door {
    listener: TcpListener,
    path: String,
}

impl Door {
    /// Answers serenity while it ends, which it does well only where its farewell is heard.
    pub(super) async fn part(self, ended: impl Future<Output = ()>) {
        let hears = async {
            loop {
                let mut local = self.accept().await;
                while let Some(Ok(_)) = local.next().await {}
            }
        };
        tokio::select! {
            () = ended => {}
            () = hears => {}
        }
    }

    /// serenity's next connection; whoever does not know the path is refused.
    async fn accept(&self) -> Local {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Too many files are open, say: that does not pass in an instant.
                sleep(BACKOFF.0).await;
                continue;
            };
            let path = self.path.clone();
            #[expect(clippy::result_large_err, reason = "the library's own type")]
            let check = move |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
                if request.uri().path() == path {
                    return Ok(response);
                }
                let mut refusal = ErrorResponse::new(None);
                *refusal.status_mut() = StatusCode::FORBIDDEN;
                Err(refusal)
            };
            let shaken = timeout(HANDSHAKE, tokio_tungstenite::accept_hdr_async(stream, check)).await;
            if let Ok(Ok(local)) = shaken {
                return local;
            }
        }
    }
}

pub(super) struct Relay {
    gateway: Arc<Gateway>,
    shard: u32,
    shards: u32,
    /// Where new sessions begin.
    gateway_url: String,
    door: Door,
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

/// Closes a connection whose session goes on.
const RESUMABLE: u16 = 4000;
/// A connection that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(60);
/// 120 frames in 60 seconds; some are left for what must go (docs.discord.com/developers/events/gateway#rate-limiting).
const FRAMES: (usize, Duration) = (100, Duration::from_secs(60));
/// After an invalid session Discord wants a pause of one to five seconds.
const INVALID: (u64, u64) = (1_000, 5_000);
const HANDSHAKE: Duration = Duration::from_secs(5);
const FAREWELL: Duration = Duration::from_millis(100);

/// A frame of Discord's, as far as it is read here.
#[derive(Deserialize)]
struct Heard<'a> {
    op: u8,
    #[serde(default)]
    s: Option<u64>,
    #[serde(default, borrow)]
    t: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    d: Option<&'a RawValue>,
}

/// How a connection ended.
enum Ended {
    /// serenity connects again.
    Again,
    End(End),
}

/// One connection, while it lasts.
struct Talk {
    local: Local,
    upstream: Upstream,
    interval: Duration,
    hello: bool,
    /// serenity said that it wants a session.
    wants: bool,
    /// And Discord was told.
    asked: bool,
    /// While Discord has not answered it, no other shard identifies.
    turn: Option<Turn>,
    /// An answer to the last heartbeat is due.
    due: Option<Instant>,
    since: Instant,
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
        Ok(Self {
            gateway,
            shard,
            shards: directions.shards.max(1),
            gateway_url: directions.url.clone(),
            door: Door { listener, path },
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
    pub(super) async fn run(mut self) -> (End, Door) {
        let stop = self.gateway.managed.stop.clone();
        let end = loop {
            let local = tokio::select! {
                () = stop.cancelled() => break End::Stopped,
                local = self.door.accept() => local,
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

    /// One connection of serenity's, with one of ours.
    async fn serve(&mut self, mut local: Local) -> Ended {
        let mut wants = false;
        let mut call = Box::pin(self.call());
        let upstream = loop {
            let frame = tokio::select! {
                called = &mut call => match called {
                    Ok(upstream) => break upstream,
                    Err(why) => {
                        self.failures += 1;
                        self.hold_back(&why);
                        call.set(self.call());
                        continue;
                    }
                },
                frame = local.next() => frame,
            };
            // While nobody is there to answer, the relay does: serenity must not think that it is alone.
            let said = match frame {
                Some(Ok(Message::Text(text))) => match op_of(text.as_str()) {
                    Some((1, _)) => say(&mut local, &json!({ "op": 11 })).await,
                    Some((op, whole)) => {
                        wants = true;
                        self.wanted(op, whole, &mut local).await
                    }
                    None => Ok(()),
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                _ => return Ended::Again,
            };
            if said.is_err() {
                return Ended::Again;
            }
        };
        self.failures = 0;
        self.epoch += 1;
        let talk = Talk {
            local,
            upstream,
            interval: Duration::from_secs(41),
            hello: false,
            wants,
            asked: false,
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

    /// Holds a connection to its end. After that the shard is not live, also where nothing was wrong with it.
    async fn hold(&mut self, talk: Talk) -> Ended {
        let ended = self.talk(talk).await;
        if let Ended::Again = ended {
            self.gateway.reconnects(self.shard);
        }
        ended
    }

    /// The conversation of both sides, until one of them ends it.
    async fn talk(&mut self, mut talk: Talk) -> Ended {
        let gateway = Arc::clone(&self.gateway);
        let mut progress = self.progress.clone();
        loop {
            let due = talk.due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            let turn = talk.hello && talk.wants && !talk.asked;
            let resumes = self.session().is_some();
            // Failures first; then Discord, before anything is concluded from its silence; serenity's heartbeats can wait a moment.
            tokio::select! {
                biased;
                () = failed(&mut progress, self.epoch) => {
                    if talk.since.elapsed() > GOOD { self.pause = Duration::ZERO; }
                    self.pause = self.pause.max(BACKOFF.0);
                    self.hold_back("events could not be stored; discord is asked to tell them again");
                    return self.again(&mut talk.local).await;
                }
                frame = talk.upstream.receive.recv() => match frame {
                    Some(Ok(Frame::Text(text))) => {
                        if let Some(ended) = self.hear(text, &mut talk).await {
                            return ended;
                        }
                    }
                    Some(Ok(Frame::Binary(_))) => {}
                    Some(Err((code, reason))) => return self.closed(code, &reason, &mut talk).await,
                    None => return self.closed(1006, "", &mut talk).await,
                },
                // The answer may be what was read just now.
                () = sleep_until(due), if talk.due.is_some() => {
                    self.lost(talk.since, "the connection died in silence: a heartbeat was not answered");
                    return self.again(&mut talk.local).await;
                }
                turn = gateway.may_identify(), if turn && !resumes => {
                    let identify = self.identifies();
                    talk.asked = true;
                    talk.turn = Some(turn);
                    self.speak(&talk, &identify).await;
                }
                () = std::future::ready(()), if turn && resumes => {
                    if let Some(session) = self.session() {
                        let resume = json!({ "op": 6, "d": {
                            "token": self.gateway.token(), "session_id": session.id, "seq": session.seq } });
                        talk.asked = true;
                        // What is told again and was on its way is a duplicate, and ends in the inbox.
                        self.seen = session.seq;
                        self.speak(&talk, &resume).await;
                    }
                }
                frame = talk.local.next() => match frame {
                    Some(Ok(Message::Text(text))) => match op_of(text.as_str()) {
                        Some((1, _)) => self.beat(&mut talk).await,
                        Some((op, whole)) => {
                            if self.wanted(op, whole, &mut talk.local).await.is_err() {
                                return Ended::Again;
                            }
                            talk.wants |= matches!(op, 2 | 6);
                        }
                        None => {}
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    // serenity ends it: it was asked to reconnect, or stops.
                    _ => return Ended::Again,
                },
            }
        }
    }

    fn identifies(&self) -> Value {
        let mut identify = self.identify.clone().unwrap_or_else(
            || json!({ "op": 2, "d": { "shard": [self.shard, self.shards], "intents": self.gateway.intents } }),
        );
        let data = &mut identify["d"];
        data["token"] = self.gateway.token().into();
        data["compress"] = false.into();
        data["properties"] = json!({ "os": std::env::consts::OS, "browser": "botyard", "device": "botyard" });
        identify
    }

    async fn speak(&self, talk: &Talk, value: &Value) {
        // A closed socket says so where it is read.
        let _ = talk
            .upstream
            .send
            .send((Frame::Text(value.to_string()), Vec::new()))
            .await;
    }

    /// A heartbeat of serenity's, with the sequence that the relay knows.
    async fn beat(&mut self, talk: &mut Talk) {
        let now = Instant::now();
        self.sent.retain(|at| now.duration_since(*at) < FRAMES.1);
        if self.sent.len() >= FRAMES.0 {
            let _ = say(&mut talk.local, &json!({ "op": 11 })).await;
            return;
        }
        self.sent.push(now);
        let seq = if self.seen == 0 { Value::Null } else { self.seen.into() };
        self.speak(talk, &json!({ "op": 1, "d": seq })).await;
        talk.due.get_or_insert(now + talk.interval.mul_f64(0.9));
    }

    /// One frame of Discord's. Some: the connection is over.
    async fn hear(&mut self, text: String, talk: &mut Talk) -> Option<Ended> {
        self.gateway.managed.inlet.heard();
        let Ok(heard) = serde_json::from_str::<Heard<'_>>(&text) else {
            debug!(bot = %self.gateway.managed.bot, "a frame of the gateway's is no JSON object");
            return None;
        };
        match heard.op {
            0 => {
                let (seq, name) = (heard.s?, heard.t?.into_owned());
                match name.as_str() {
                    "READY" => {
                        talk.turn = None;
                        let session = ready_session(heard.d, seq)?;
                        self.seen = seq;
                        self.live(talk);
                        self.tell(Told::Begun(self.epoch, session)).await;
                    }
                    "RESUMED" => {
                        self.live(talk);
                        self.dispatched(seq, name, text).await;
                    }
                    _ => self.dispatched(seq, name, text).await,
                }
            }
            9 => {
                if heard.d.map(RawValue::get) != Some("true") {
                    self.seen = 0;
                    self.tell(Told::Lost).await;
                    // The next connection must know that there is none.
                    let _ = self.progress.wait_for(|progress| progress.session.is_none()).await;
                }
                let spread = u64::from_le_bytes(random::<8>()) % (INVALID.1 - INVALID.0);
                self.not_before = Instant::now() + Duration::from_millis(INVALID.0 + spread);
                self.gateway.report(self.shard, Health::Connecting);
                return Some(self.again(&mut talk.local).await);
            }
            10 => {
                let interval = heard.d.and_then(|d| serde_json::from_str::<Value>(d.get()).ok());
                let millis = interval
                    .and_then(|d| d["heartbeat_interval"].as_u64())
                    .unwrap_or(41_250);
                talk.interval = Duration::from_millis(millis.max(50));
                talk.hello = true;
                let _ = talk.local.send(Message::text(text)).await;
            }
            11 => {
                talk.due = None;
                let _ = talk.local.send(Message::text(text)).await;
            }
            // A heartbeat is wanted.
            1 => {
                let _ = talk.local.send(Message::text(text)).await;
            }
            7 => return Some(self.again(&mut talk.local).await),
            _ => {}
        }
        None
    }

    fn live(&mut self, talk: &Talk) {
        self.gateway.report(self.shard, Health::Live);
        // What was a pause before is over; the first call after this one is made at once.
        if talk.since.elapsed() > GOOD || self.pause <= BACKOFF.0 {
            self.pause = Duration::ZERO;
        }
    }

    async fn tell(&self, told: Told) {
        // Waits for room: Discord is slowed down rather than anything lost.
        let _ = self.tell.send(told).await;
    }

    async fn dispatched(&mut self, seq: u64, name: String, frame: String) {
        if seq <= self.seen {
            return;
        }
        self.seen = seq;
        let dispatch = Dispatch {
            epoch: self.epoch,
            seq,
            name,
            frame,
            came: Instant::now(),
        };
        self.tell(Told::Dispatch(dispatch)).await;
    }

    /// Discord ended the connection.
    async fn closed(&mut self, code: u16, reason: &str, talk: &mut Talk) -> Ended {
        if let Some(why) = fatal(code) {
            if code == 4004 {
                self.tell(Told::Lost).await;
            }
            return Ended::End(End::Refused(why));
        }
        // An invalid sequence, and a session that timed out.
        if matches!(code, 4007 | 4009) {
            self.seen = 0;
            self.tell(Told::Lost).await;
            let _ = self.progress.wait_for(|progress| progress.session.is_none()).await;
        }
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!(" {reason}")
        };
        self.lost(
            talk.since,
            &format!("discord closed the connection with {code}{reason}"),
        );
        self.again(&mut talk.local).await
    }

    /// Tells serenity to connect again and to resume. It keeps its old connection until the new one stands, so the old one
    /// is ended here, whatever the reason.
    async fn again(&mut self, local: &mut Local) -> Ended {
        let frame = CloseFrame {
            code: RESUMABLE.into(),
            reason: "".into(),
        };
        let _ = local.close(Some(frame)).await;
        // What serenity said before it knew is read, so that the close frame is not lost with it.
        let rest = async { while let Some(Ok(_)) = local.next().await {} };
        let _ = timeout(FAREWELL, rest).await;
        Ended::Again
    }
}

/// Until events of this connection could not be stored.
async fn failed(progress: &mut watch::Receiver<Progress>, epoch: u64) {
    if progress
        .wait_for(|progress| progress.failed == Some(epoch))
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}

async fn say(local: &mut Local, value: &Value) -> Result<(), Error> {
    local.send(Message::text(value.to_string())).await
}

/// What serenity says, and what it is.
fn op_of(text: &str) -> Option<(u64, Value)> {
    let whole: Value = serde_json::from_str(text).ok()?;
    Some((whole.get("op")?.as_u64()?, whole))
}

fn ready_session(data: Option<&RawValue>, seq: u64) -> Option<Session> {
    let data: Value = serde_json::from_str(data?.get()).ok()?;
    Some(Session {
        id: data["session_id"].as_str()?.to_owned(),
        url: data["resume_gateway_url"].as_str()?.to_owned(),
        seq,
    })
}

#[cfg(test)]
mod tests;
