//! One connection with Discord and one of serenity's, while they last: what each hears of the other.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tracing::debug;

use super::{End, Ended, Local, Relay, is_wish, op_of, say};
use crate::chat::{Health, random};
use crate::egress::{Frame, Socket};
use crate::manifest::Placement;
use crate::transport::discord::session::Session;
use crate::transport::discord::story::{Dispatch, Progress, Told};
use crate::transport::discord::{BACKOFF, Turn, fatal};

/// Closes a connection whose session goes on.
const RESUMABLE: u16 = 4000;
/// A connection that lived this long was a good one.
pub(super) const GOOD: Duration = Duration::from_secs(60);
/// 120 frames in 60 seconds; some are left for what must go (docs.discord.com/developers/events/gateway#rate-limiting).
const FRAMES: (usize, Duration) = (100, Duration::from_secs(60));
/// After an invalid session Discord wants a pause of one to five seconds.
const INVALID: (u64, u64) = (1_000, 5_000);
/// A session that Discord does not give by then is asked for anew: seldom enough for its thousand a day.
const UNANSWERED: Duration = Duration::from_secs(90);
const FAREWELL: Duration = Duration::from_millis(100);

/// A connection with Discord. Dropped, it is closed with a code that keeps the session.
pub(super) struct Upstream {
    pub(super) send: mpsc::Sender<(Frame, Vec<Placement>)>,
    pub(super) receive: mpsc::Receiver<Result<Frame, (u16, String)>>,
    pub(super) close: Option<oneshot::Sender<(u16, String)>>,
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

/// One connection, while it lasts.
pub(super) struct Talk {
    pub(super) local: Local,
    pub(super) upstream: Upstream,
    pub(super) interval: Duration,
    pub(super) hello: bool,
    /// serenity said that it wants a session.
    pub(super) wants: bool,
    /// When Discord was told.
    pub(super) asked: Option<Instant>,
    /// And it said that the session is there.
    pub(super) answered: bool,
    /// While Discord has not answered it, no other shard identifies; not for ever.
    pub(super) turn: Option<Turn>,
    /// An answer to the last heartbeat is due.
    pub(super) due: Option<Instant>,
    pub(super) since: Instant,
}

impl Relay {
    /// Holds a connection to its end. After that the shard is not live, also where nothing was wrong with it.
    pub(super) async fn hold(&mut self, talk: Talk) -> Ended {
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
            let answer = talk.turn.as_ref().map_or_else(Instant::now, |turn| turn.until);
            let turn = talk.hello && talk.wants && talk.asked.is_none();
            let silent = talk.asked.filter(|_| !talk.answered);
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
                () = sleep_until(answer), if talk.turn.is_some() => talk.turn = None,
                () = sleep_until(silent.unwrap_or(due) + UNANSWERED), if silent.is_some() => {
                    self.lost(talk.since, "discord did not answer when it was asked for a session");
                    return self.again(&mut talk.local).await;
                }
                turn = gateway.may_identify(), if turn && !resumes => {
                    let identify = self.identifies();
                    talk.asked = Some(Instant::now());
                    talk.turn = Some(turn);
                    self.speak(&talk, &identify).await;
                }
                () = std::future::ready(()), if turn && resumes => {
                    if let Some(session) = self.session() {
                        let resume = json!({ "op": 6, "d": {
                            "token": self.gateway.token(), "session_id": session.id, "seq": session.seq } });
                        talk.asked = Some(Instant::now());
                        // What is told again and was on its way is a duplicate, and ends in the inbox.
                        self.seen = session.seq;
                        self.speak(&talk, &resume).await;
                    }
                }
                // Its session is the relay's: Discord need not know.
                newer = &mut self.knock => talk.local = self.let_in(newer).await,
                frame = talk.local.next() => match frame {
                    Some(Ok(Message::Text(text))) => match op_of(text.as_str()) {
                        Some((1, _)) => self.beat(&mut talk).await,
                        Some((op, whole)) => {
                            if self.wanted(op, whole, &mut talk.local).await.is_err() {
                                return Ended::Again;
                            }
                            talk.wants |= is_wish(op);
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
                        talk.answered = true;
                        self.live(talk);
                        self.tell(Told::Begun(self.epoch, session)).await;
                    }
                    "RESUMED" => {
                        talk.answered = true;
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
                if self.hello.replace(text.clone()).is_none() {
                    let _ = talk.local.send(Message::text(text)).await;
                }
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

fn ready_session(data: Option<&RawValue>, seq: u64) -> Option<Session> {
    let data: Value = serde_json::from_str(data?.get()).ok()?;
    Some(Session {
        id: data["session_id"].as_str()?.to_owned(),
        url: data["resume_gateway_url"].as_str()?.to_owned(),
        seq,
    })
}
