//! The long connection: found, opened, kept alive, and opened again, as the server says.
//!
//! Each event is acknowledged with what became of it: stored, or to be sent again. Semantics are those of the official
//! SDKs (@larksuiteoapi/node-sdk 1.74.0, lark-oapi 1.7.5), but for two things that they lack: a connection that has
//! died in silence is found by the pong that does not come, and acknowledgements wait for the disk.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use botyard_sdk::events::{self, Happening, Health};
use botyard_sdk::json::{at, str_at};
use botyard_sdk::raw_http::Response;
use botyard_sdk::serde_json::{self, Value, json};
use botyard_sdk::socket::{self, OpenError, Opening};
use botyard_sdk::types::{Answer, Error, Event, Headers};
use botyard_sdk::{crypto, http};

use crate::api::endpoint;
use crate::frame::{self, Fragments, Frame};

/// Feishu waits three seconds for an acknowledgement, and sends the event again.
const ANSWER_WITHIN_MS: u32 = 2_500;
/// The longest wait for a pong; a server that pings more often than that waits as long as its interval.
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Pings of the websocket itself, beside the server's own.
const SOCKET_PING_MS: u32 = 30_000;
/// When told to stop: what is under way may still be acknowledged.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Fifty connections of one app are the limit: another must end first.
const CROWDED: Duration = Duration::from_secs(60);

/// What the server says of itself, at first and in each pong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How often to try; below 0: for ever.
    pub tries: i64,
    pub pause: Duration,
    /// Up to so long before the first try, so that not all clients come at once.
    pub spread: Duration,
    pub ping: Duration,
}

impl Default for Config {
    /// As the official SDKs have them before the server spoke.
    fn default() -> Self {
        Self {
            tries: -1,
            pause: Duration::from_secs(120),
            spread: Duration::from_secs(30),
            ping: Duration::from_secs(120),
        }
    }
}

impl Config {
    /// What is said; what is not stays.
    pub fn read(self, said: &Value) -> Self {
        let seconds = |name: &str, least: u64| {
            let found = said.get(name).and_then(Value::as_u64)?;
            Some(Duration::from_secs(found.clamp(least, 86_400)))
        };
        Self {
            tries: said.get("ReconnectCount").and_then(Value::as_i64).unwrap_or(self.tries),
            pause: seconds("ReconnectInterval", 1).unwrap_or(self.pause),
            spread: seconds("ReconnectNonce", 0).unwrap_or(self.spread),
            ping: seconds("PingInterval", 1).unwrap_or(self.ping),
        }
    }

    fn pong_within(&self) -> Duration {
        self.ping.min(PONG_WITHIN)
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq)]
pub enum NoLine {
    /// The server, or the network: again, after the server's pause.
    Later(String),
    /// Too many connections: much later.
    Crowded,
    /// The operator must act.
    Refused(String),
}

const CROWD: &str = "this app has its 50 connections already: end other programs that use its App ID";

/// What a code of the endpoint, or of a failed handshake, means.
fn no_line(code: i64, message: &str) -> NoLine {
    match code {
        403 => NoLine::Refused(
            "feishu forbids the long connection: choose it under Events & Callbacks, Mode of event subscription, and \
             publish a version; an app of the store must use the mode `webhook`"
                .into(),
        ),
        514 | 1_000_040_344 | 10_003 | 10_014 => NoLine::Refused(
            "feishu refuses App ID and App Secret: copy both again from Credentials & Basic Info".into(),
        ),
        1_000_040_350 => NoLine::Crowded,
        _ => NoLine::Later(format!("feishu says {code} {message}").trim_end().to_owned()),
    }
}

/// Where to connect to, from what the endpoint answered.
///
/// # Errors
/// There is no connection for now, or for long.
pub fn found(response: &Response) -> Result<(String, Config), NoLine> {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let code = body.get("code").and_then(Value::as_i64);
    match (response.status, code) {
        (200, Some(0)) => {
            let url = str_at(&body, "/data/URL").ok_or_else(|| NoLine::Later("feishu named no address".into()))?;
            let said = at(&body, "/data/ClientConfig").unwrap_or(&Value::Null);
            Ok((url.to_owned(), Config::default().read(said)))
        }
        (_, Some(code)) if code != 0 => Err(no_line(code, str_at(&body, "/msg").unwrap_or_default())),
        (status, _) => Err(NoLine::Later(format!("status {status}"))),
    }
}

/// Why a handshake failed: the vendor puts it into headers.
pub fn handshake(status: u16, headers: &Headers) -> NoLine {
    let of = |name: &str| http::header(headers, name);
    let code = of("Handshake-Status").and_then(|text| text.parse().ok());
    // What was refused in particular.
    let inner = of("Handshake-Autherrcode").and_then(|text| text.parse().ok());
    let code = match (code, inner) {
        (Some(514), Some(inner)) => inner,
        (code, _) => code.unwrap_or_else(|| i64::from(status)),
    };
    no_line(code, of("Handshake-Msg").unwrap_or_default())
}

/// The number of this connection's service: it stands in the address, and in each ping.
pub fn service(url: &str) -> i32 {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(name, _)| *name == "service_id")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

/// The acknowledgement of `event`: the same frame with what became of it, and how long that took.
pub fn acknowledgement(mut event: Frame, emitted: &Result<Option<Answer>, Error>, took: Duration) -> Frame {
    event.headers.push(("biz_rt".into(), took.as_millis().to_string()));
    let payload = match emitted {
        Ok(Some(answer)) if !answer.body.is_empty() => json!({ "code": 200, "data": STANDARD.encode(&answer.body) }),
        Ok(_) => json!({ "code": 200 }),
        Err(_) => json!({ "code": 500 }),
    };
    event.payload = payload.to_string().into_bytes();
    event
}

/// Why a connection ended.
enum End {
    Stop,
    Lost(String),
}

/// One connection.
struct Line {
    socket: u32,
    service: i32,
    config: Config,
    fragments: Fragments,
    /// Events that are under way: what is to be acknowledged, and since when.
    under_way: BTreeMap<u32, (Frame, Instant)>,
    ping_at: Instant,
    /// A ping was sent, and nothing came since.
    pong_until: Option<Instant>,
    begun: Instant,
}

/// Holds the connection until the host says stop.
///
/// # Errors
/// `unauthorized`: the operator must act; `unavailable`: the server wants no more tries.
pub fn run() -> Result<(), Error> {
    let mut config = Config::default();
    let mut tries = 0;
    loop {
        events::report(Health::Connecting, "", None);
        let lost = match connect() {
            Ok(mut line) => {
                tries = 0;
                events::report(Health::Live, "", None);
                let end = line.talk();
                config = line.config;
                match end {
                    End::Stop => return Ok(()),
                    End::Lost(why) => (why, spread(config.spread)),
                }
            }
            Err(NoLine::Refused(why)) => return Err(Error::Unauthorized(why)),
            Err(NoLine::Crowded) => (CROWD.to_owned(), CROWDED.max(config.pause)),
            Err(NoLine::Later(why)) => {
                tries += 1;
                if config.tries >= 0 && tries > config.tries {
                    return Err(Error::Unavailable(why));
                }
                (why, config.pause)
            }
        };
        let (why, pause) = lost;
        events::report(Health::Degraded, &why, Some(millis(pause)));
        if !rest(pause) {
            return Ok(());
        }
    }
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

/// A random part of it.
fn spread(most: Duration) -> Duration {
    let random = crypto::random(4);
    let number = random.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    most.mul_f64(f64::from(number) / f64::from(u32::MAX))
}

/// Waits without a connection. False: the host wants to stop.
fn rest(pause: Duration) -> bool {
    let until = Instant::now() + pause;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match events::next(millis(left)) {
            Happening::Stop => return false,
            Happening::Call(call) => nobody(call.id),
            Happening::Quiet if left.is_zero() => return true,
            _ => {}
        }
        if Instant::now() >= until {
            return true;
        }
    }
}

/// Nothing of this adapter's asks its link.
fn nobody(call: u32) {
    events::reply(call, Err(&Error::Rejected("this link answers no calls".into())));
}

fn connect() -> Result<Line, NoLine> {
    let response = endpoint().send().map_err(|error| match error {
        Error::Unauthorized(why) => NoLine::Refused(why),
        Error::Rejected(why) => NoLine::Refused(why),
        error => NoLine::Later(format!("feishu could not be asked for the address: {}", words(&error))),
    })?;
    let (url, said) = found(&response)?;
    let opened = socket::open(&Opening {
        url: url.clone(),
        headers: Vec::new(),
        protocols: Vec::new(),
        secrets: Vec::new(),
        ping_every_ms: Some(SOCKET_PING_MS),
    });
    match opened {
        Ok(socket) => Ok(Line {
            socket,
            service: service(&url),
            config: said,
            fragments: Fragments::default(),
            under_way: BTreeMap::new(),
            ping_at: Instant::now(),
            pong_until: None,
            begun: Instant::now(),
        }),
        Err(OpenError::Refused(refused)) => Err(handshake(refused.status, &refused.headers)),
        Err(OpenError::Failed(Error::Rejected(why))) => Err(NoLine::Refused(why)),
        Err(OpenError::Failed(error)) => Err(NoLine::Later(words(&error))),
    }
}

/// An error of the host's in words.
fn words(error: &Error) -> String {
    match error {
        Error::Unavailable(why) | Error::Gone(why) | Error::Ambiguous(why) | Error::Rejected(why) => why.clone(),
        other => format!("{other:?}"),
    }
}

impl Line {
    fn talk(&mut self) -> End {
        let mut stop_by: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if stop_by.is_some_and(|by| now >= by || self.under_way.is_empty()) {
                socket::close(self.socket, 1000, "");
                return End::Stop;
            }
            if self.pong_until.is_some_and(|until| now >= until) {
                socket::close(self.socket, 1000, "");
                return End::Lost("the connection was dead: no answer to a ping".into());
            }
            if now >= self.ping_at {
                self.ping_at = now + self.config.ping;
                self.pong_until.get_or_insert(now + self.config.pong_within());
                if !self.send(&Frame::ping(self.service)) {
                    return End::Lost("the connection ended".into());
                }
            }
            let deadlines = [Some(self.ping_at), self.pong_until, stop_by];
            let wake = deadlines.into_iter().flatten().min().unwrap_or(now);
            match events::next(millis(wake.saturating_duration_since(now)).max(1)) {
                Happening::Frame((socket, socket::Frame::Binary(bytes))) if socket == self.socket => {
                    self.pong_until = None;
                    if stop_by.is_none() {
                        self.frame(&bytes);
                    }
                }
                Happening::Closed((socket, closed)) if socket == self.socket => {
                    let why = format!("the connection ended with {} {}", closed.code, closed.reason);
                    return End::Lost(why.trim_end().to_owned());
                }
                Happening::Emitted((number, emitted)) => self.acknowledge(number, &emitted),
                Happening::Call(call) => nobody(call.id),
                Happening::Stop => stop_by = Some(Instant::now() + LAST_WORDS),
                Happening::Frame(_) | Happening::Closed(_) | Happening::Quiet => {}
            }
        }
    }

    fn send(&self, frame: &Frame) -> bool {
        socket::send(self.socket, &socket::Frame::Binary(frame.encode()), &[]).is_ok()
    }

    fn frame(&mut self, bytes: &[u8]) {
        // What cannot be read cannot be acknowledged: it comes again, or is of a later kind.
        let Ok(frame) = Frame::decode(bytes) else {
            return;
        };
        match (frame.method, frame.header("type")) {
            (frame::CONTROL, Some("pong")) => {
                if let Ok(said) = serde_json::from_slice::<Value>(&frame.payload) {
                    let before = self.config.ping;
                    self.config = self.config.read(&said);
                    if self.config.ping < before {
                        self.ping_at = self.ping_at.min(Instant::now() + self.config.ping);
                    }
                }
            }
            // Frames of the type `card` are ignored by the official clients too: presses come as events.
            (frame::DATA, Some("event")) => self.event(frame),
            _ => {}
        }
    }

    fn event(&mut self, frame: Frame) {
        let now = self.begun.elapsed().as_millis() as u64;
        let Some(payload) = self.fragments.join(&frame, now) else {
            return;
        };
        let event = Event {
            transport: String::new(),
            name: "event".into(),
            method: String::new(),
            query: String::new(),
            headers: Vec::new(),
            payload,
            received: 0,
        };
        match events::emit(&event, ANSWER_WITHIN_MS) {
            Ok(number) => {
                self.under_way.insert(number, (frame, Instant::now()));
            }
            Err(error) => {
                self.send(&acknowledgement(frame, &Err(error), Duration::ZERO));
            }
        }
    }

    fn acknowledge(&mut self, number: u32, emitted: &Result<Option<Answer>, Error>) {
        // What another connection brought comes again there, and is known then.
        if let Some((frame, since)) = self.under_way.remove(&number) {
            self.send(&acknowledgement(frame, emitted, since.elapsed()));
        }
    }
}

#[cfg(test)]
mod tests;
