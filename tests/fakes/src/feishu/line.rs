//! The long connection: where to connect to, pings, events in frames and their acknowledgements.
//!
//! Semantics are those that both official SDKs speak. An event goes to one of the connections, and again when it was not
//! acknowledged or with another code than 200. Confirmed by no page of the vendor's that we hold: the pauses between
//! these tries (a webhook's are documented; here it is tried again at once after a refusal or a lost connection), and
//! the code of a wrong secret (514 is what the SDKs call a failed authentication).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::Message as Sent;

use super::frame::{Frame, Header};
use super::request::Asked;
use super::tenant::{State, Tenant};

/// What stands in the address and in each ping.
const SERVICE: i32 = 33_554_678;
/// An event is to be acknowledged within this.
const PATIENCE: Duration = Duration::from_secs(3);
/// Without any word it is sent again after this: a webhook's first pause.
const AGAIN: Duration = Duration::from_secs(15);
/// Frames to one client that wait.
const QUEUE: usize = 4096;
/// Connections of one app.
const CONNECTIONS: usize = 50;

/// What became of an event, as the client says.
#[derive(Debug, Clone, PartialEq)]
pub struct Ack {
    pub code: i64,
    /// What the client answers.
    pub data: Option<Value>,
    pub took_ms: u64,
}

/// What the server wants of its clients, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    pub tries: i64,
    pub interval: u64,
    pub nonce: u64,
    pub ping: u64,
}

impl Config {
    fn json(self) -> Value {
        json!({
            "ReconnectCount": self.tries, "ReconnectInterval": self.interval, "ReconnectNonce": self.nonce,
            "PingInterval": self.ping,
        })
    }
}

#[derive(Debug)]
enum Out {
    Frame(Frame),
    Cut,
}

#[derive(Debug)]
struct Waiting {
    line: u64,
    /// The acknowledgement has the same.
    headers: Vec<Header>,
    done: oneshot::Sender<Ack>,
}

#[derive(Debug)]
pub(crate) struct Lines {
    open: BTreeMap<u64, mpsc::Sender<Out>>,
    /// Connections so far.
    opened: u64,
    tickets: BTreeSet<String>,
    /// What the next handshakes are refused with: `Handshake-Status` and `Handshake-Autherrcode`.
    refused: VecDeque<(i64, i64)>,
    config: Config,
    mute: bool,
    pings: u64,
    waiting: BTreeMap<String, Waiting>,
    complaints: Vec<String>,
    /// Sendings that were not acknowledged well and in time.
    missed: u64,
    turn: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            opened: 0,
            tickets: BTreeSet::new(),
            refused: VecDeque::new(),
            config: Config {
                tries: -1,
                interval: 1,
                nonce: 0,
                ping: 120,
            },
            mute: false,
            pings: 0,
            waiting: BTreeMap::new(),
            complaints: Vec::new(),
            missed: 0,
            turn: 0,
        }
    }
}

/// `POST /callback/ws/endpoint`.
pub(crate) fn endpoint(state: &mut State, asked: &Asked<'_>) -> Value {
    let (id, secret) = (asked.text("AppID"), asked.text("AppSecret"));
    if id.is_empty() || secret.is_empty() {
        return json!({ "code": 1_000_040_344, "msg": "no credential" });
    }
    if id != super::APP_ID || secret != state.secret {
        return json!({ "code": 514, "msg": "auth failed" });
    }
    let ticket = state.name("ticket");
    state.lines.tickets.insert(ticket.clone());
    let base = state.url.replacen("http", "ws", 1);
    // The node SDK takes the first parameter's name for a part of the path.
    let url =
        format!("{base}/ws/v2?fpid=493&aid=552564&device_id=7355&access_key=fake&service_id={SERVICE}&ticket={ticket}");
    json!({ "code": 0, "msg": "", "data": { "URL": url, "ClientConfig": state.lines.config.json() } })
}

impl Tenant {
    /// What clients are told from now on, by the endpoint and in each pong.
    pub fn configure(&self, config: Config) {
        self.lock().lines.config = config;
    }

    /// The next handshake is refused so.
    pub fn refuse_handshake(&self, status: i64, reason: i64) {
        self.lock().lines.refused.push_back((status, reason));
    }

    /// A client asked where to connect to.
    pub fn has_clients(&self) -> bool {
        let state = self.lock();
        state.calls.iter().any(|call| call.path == "/callback/ws/endpoint")
    }

    /// Connections that are open now.
    pub fn lines(&self) -> usize {
        self.lock().lines.open.len()
    }

    /// Connections that were opened so far.
    pub fn opened(&self) -> u64 {
        self.lock().lines.opened
    }

    pub fn pings(&self) -> u64 {
        self.lock().lines.pings
    }

    /// What clients did wrong on their connections.
    pub fn complaints(&self) -> Vec<String> {
        self.lock().lines.complaints.clone()
    }

    /// How often an event was sent and not acknowledged with 200 within three seconds: Feishu sends such a one again.
    pub fn missed(&self) -> u64 {
        self.lock().lines.missed
    }

    /// Cuts all connections, without a word.
    pub fn cut_lines(&self) {
        for line in self.lock().lines.open.values() {
            // A full queue belongs to a client that reads nothing any more.
            let _ = line.try_send(Out::Cut);
        }
    }

    /// All connections are dead from now on, but stay open: nothing is answered and nothing sent.
    pub fn mute(&self, mute: bool) {
        self.lock().lines.mute = mute;
    }

    /// Sends an event until a client has taken it.
    pub async fn deliver(&self, event: &Value) -> Ack {
        loop {
            match self.try_once(&event.to_string(), 1, AGAIN).await {
                Some(ack) if ack.code == 200 => return ack,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Sends an event once, in so many frames, when there is a connection. None: it was not acknowledged in time. One that
    /// is held back ([`Tenant::hold_next`]) counts as acknowledged, and the next one's outcome is that of both.
    pub async fn push(&self, event: &Value, parts: usize) -> Option<Ack> {
        self.push_text(&event.to_string(), parts).await
    }

    /// The same with a text that may be no event.
    pub async fn push_text(&self, text: &str, parts: usize) -> Option<Ack> {
        let mut outcome = Ack {
            code: 200,
            data: None,
            took_ms: 0,
        };
        for text in self.hold.pass(text.to_owned()) {
            let ack = self.try_once(&text, parts, PATIENCE).await?;
            if outcome.code == 200 {
                outcome = ack;
            }
        }
        Some(outcome)
    }

    async fn try_once(&self, event: &str, parts: usize, limit: Duration) -> Option<Ack> {
        let mut changes = self.changes();
        let acknowledged = loop {
            if let Some(acknowledged) = self.send(event, parts) {
                break acknowledged;
            }
            changes.changed().await.ok()?;
        };
        let begun = Instant::now();
        let ack = tokio::time::timeout(limit, acknowledged)
            .await
            .ok()
            .and_then(Result::ok);
        let well = ack.as_ref().is_some_and(|ack| ack.code == 200) && begun.elapsed() <= PATIENCE;
        if !well {
            self.lock().lines.missed += 1;
        }
        ack
    }

    /// Sends only these of an event's frames, of which nothing is to be acknowledged.
    pub fn push_some(&self, event: &Value, parts: usize, these: &[usize]) {
        let mut state = self.lock();
        let message = state.name("frame");
        let Some((_, line)) = state.lines.pick() else { return };
        for (at, frame) in frames(&event.to_string(), parts, &message).into_iter().enumerate() {
            if these.contains(&at) {
                let _ = line.try_send(Out::Frame(frame));
            }
        }
    }

    fn send(&self, event: &str, parts: usize) -> Option<oneshot::Receiver<Ack>> {
        let mut state = self.lock();
        let message = state.name("frame");
        let lines = &mut state.lines;
        let (id, line) = lines.pick()?;
        let frames = frames(event, parts, &message);
        let headers = frames.last().map(|frame| frame.headers.clone()).unwrap_or_default();
        let (done, acknowledged) = oneshot::channel();
        let waiting = Waiting {
            line: id,
            headers,
            done,
        };
        lines.waiting.insert(message, waiting);
        if !lines.mute {
            for frame in frames {
                let _ = line.try_send(Out::Frame(frame));
            }
        }
        Some(acknowledged)
    }

    /// Serves one connection of a client until it ends.
    pub(crate) async fn line(self, stream: TcpStream) {
        let tenant = self.clone();
        #[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
        let greet = |request: &Request, response: Response| tenant.greet(request, response);
        let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, greet).await else {
            return;
        };
        let (sender, mut outgoing) = mpsc::channel(QUEUE);
        let id = {
            let mut state = self.lock();
            state.lines.opened += 1;
            let id = state.lines.opened;
            state.lines.open.insert(id, sender);
            id
        };
        self.touched();
        let (mut out, mut into) = socket.split();
        loop {
            let answer = tokio::select! {
                told = outgoing.recv() => match told {
                    Some(Out::Frame(frame)) => Some(frame),
                    Some(Out::Cut) | None => break,
                },
                came = into.next() => match came {
                    Some(Ok(Sent::Binary(bytes))) => self.heard(id, &bytes),
                    Some(Ok(Sent::Close(_)) | Err(_)) | None => break,
                    Some(Ok(_)) => None,
                },
            };
            if let Some(frame) = answer
                && out.send(Sent::Binary(frame.encode_to_vec().into())).await.is_err()
            {
                break;
            }
        }
        let mut state = self.lock();
        state.lines.open.remove(&id);
        // Whoever waits for one of these hears that nothing comes.
        state.lines.waiting.retain(|_, waiting| waiting.line != id);
        drop(state);
        self.touched();
    }

    #[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
    fn greet(&self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        let query = request.uri().query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let ticket = pairs
            .find(|(name, _)| name == "ticket")
            .map(|(_, value)| value.into_owned());
        let mut state = self.lock();
        let known = ticket.is_some_and(|ticket| state.lines.tickets.remove(&ticket));
        let crowded = state.lines.open.len() >= CONNECTIONS;
        let refused = match state.lines.refused.pop_front() {
            Some(refused) => Some(refused),
            None if !known => Some((514, 1_000_040_344)),
            None if crowded => Some((514, 1_000_040_350)),
            None => None,
        };
        let Some((status, reason)) = refused else {
            return Ok(response);
        };
        let refusal = tungstenite::http::Response::builder()
            .status(403)
            .header("Handshake-Status", status)
            .header("Handshake-Msg", "refused")
            .header("Handshake-Autherrcode", reason)
            .body(None);
        Err(refusal.expect("headers of ours are valid"))
    }

    fn heard(&self, id: u64, bytes: &[u8]) -> Option<Frame> {
        let mut state = self.lock();
        let lines = &mut state.lines;
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                lines.complaints.push(format!("no frame: {error}"));
                return None;
            }
        };
        if frame.service != SERVICE {
            lines.complaints.push(format!("service {}", frame.service));
        }
        if lines.mute {
            return None;
        }
        let answer = match (frame.method, frame.header("type")) {
            (0, "ping") => {
                lines.pings += 1;
                let payload = lines.config.json().to_string().into_bytes();
                Some(Frame::new(SERVICE, 0, &[("type", "pong")], payload))
            }
            (1, _) => {
                if let Err(why) = lines.acknowledged(id, &frame) {
                    lines.complaints.push(why);
                }
                None
            }
            (method, kind) => {
                lines
                    .complaints
                    .push(format!("a frame of method {method}, type `{kind}`"));
                None
            }
        };
        drop(state);
        self.touched();
        answer
    }
}

impl Lines {
    /// One of the connections, each in its turn.
    fn pick(&mut self) -> Option<(u64, mpsc::Sender<Out>)> {
        self.turn += 1;
        let count = self.open.len() as u64;
        let at = usize::try_from(self.turn.checked_rem(count)?).ok()?;
        let (id, line) = self.open.iter().nth(at)?;
        Some((*id, line.clone()))
    }

    fn acknowledged(&mut self, line: u64, frame: &Frame) -> Result<(), String> {
        let message = frame.header("message_id").to_owned();
        // The node SDK says it with the wrong sign.
        let took = frame.header("biz_rt").parse::<i64>();
        let took = took.map_err(|_| format!("the acknowledgement of {message} has no biz_rt"))?;
        let waiting = self.waiting.remove(&message);
        let waiting = waiting.ok_or_else(|| format!("{message} is acknowledged twice, or was never sent"))?;
        if waiting.line != line {
            return Err(format!("{message} is acknowledged on another connection"));
        }
        if let Some(lacks) = waiting
            .headers
            .iter()
            .find(|header| frame.header(&header.key) != header.value)
        {
            return Err(format!("the acknowledgement of {message} lacks `{}`", lacks.key));
        }
        let payload: Value = serde_json::from_slice(frame.payload.as_deref().unwrap_or_default())
            .map_err(|error| format!("the acknowledgement of {message}: {error}"))?;
        let data = match payload.get("data").and_then(Value::as_str) {
            None => None,
            Some(data) => {
                let bytes = STANDARD
                    .decode(data)
                    .map_err(|error| format!("data of {message}: {error}"))?;
                Some(serde_json::from_slice(&bytes).map_err(|error| format!("data of {message}: {error}"))?)
            }
        };
        let ack = Ack {
            code: payload["code"]
                .as_i64()
                .ok_or_else(|| format!("{message} without a code"))?,
            data,
            took_ms: took.unsigned_abs(),
        };
        // Nobody waits any more: it came too late.
        let _ = waiting.done.send(ack);
        Ok(())
    }
}

fn frames(event: &str, parts: usize, message: &str) -> Vec<Frame> {
    let whole = event.as_bytes();
    let size = whole.len().div_ceil(parts.max(1)).max(1);
    let pieces: Vec<&[u8]> = whole.chunks(size).collect();
    let sum = pieces.len().to_string();
    pieces
        .iter()
        .enumerate()
        .map(|(seq, piece)| {
            let seq = seq.to_string();
            let headers = [
                ("type", "event"),
                ("message_id", message),
                ("trace_id", message),
                ("sum", &sum),
                ("seq", &seq),
                ("timestamp", "1700000000000"),
            ];
            Frame::new(SERVICE, 1, &headers, piece.to_vec())
        })
        .collect()
}
