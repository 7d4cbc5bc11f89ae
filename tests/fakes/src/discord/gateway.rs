//! The gateway: sessions that can be resumed, dispatches in order, heartbeats, and what goes wrong with connections.
//! docs.discord.com/developers/events/gateway; close codes of /topics/opcodes-and-status-codes.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::world::{State, World};
use crate::hold::Hold;

/// What is sent to a connection.
#[derive(Debug)]
pub(crate) enum Out {
    Text(String),
    Close(u16),
    /// The connection ends without a word.
    Cut,
}

/// Frames that wait for one connection.
const QUEUE: usize = 16_384;
/// Identifies of one bot: one in five seconds (max_concurrency 1).
const IDENTIFY: Duration = Duration::from_secs(5);
/// /events/gateway#rate-limiting: 120 frames in 60 seconds; #sending-events: 4,096 bytes.
const FRAMES: (usize, Duration) = (120, Duration::from_secs(60));
const FRAME: usize = 4096;
/// What Discord asks for: /events/gateway#heartbeat-interval has 45 s, servers say 41.25 s.
const HEARTBEAT: Duration = Duration::from_millis(41_250);
const MESSAGE_CONTENT: u64 = 1 << 15;

#[derive(Debug)]
pub(crate) struct Session {
    seq: u64,
    /// Everything that was told, for a resume.
    log: Vec<(u64, String)>,
    to: Option<mpsc::Sender<Out>>,
    intents: u64,
    shard: (u64, u64),
}

#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) shards: u32,
    pub(crate) identifies_left: u32,
    heartbeat: Duration,
    sessions: BTreeMap<String, Session>,
    /// Heartbeats are not answered.
    deaf: bool,
    /// The next resume finds its session gone.
    forgetful: bool,
    last_identify: Option<Instant>,
    log: Vec<String>,
    hold: Hold<(String, Value)>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            shards: 1,
            identifies_left: 1000,
            heartbeat: HEARTBEAT,
            sessions: BTreeMap::new(),
            deaf: false,
            forgetful: false,
            last_identify: None,
            log: Vec::new(),
            hold: Hold::default(),
        }
    }
}

impl Gateway {
    /// How much shorter than Discord's a heartbeat is here: what is counted by time is, too.
    fn haste(&self) -> f64 {
        (self.heartbeat.as_secs_f64() / HEARTBEAT.as_secs_f64()).min(1.0)
    }
}

impl World {
    /// How often clients must send a heartbeat, from the next connection on; shorter than Discord's, all limits of the
    /// gateway by time are shortened with it.
    pub fn heartbeat(&self, every: Duration) {
        self.lock().gateway.heartbeat = every;
    }

    /// What `/gateway/bot` says of shards and of sessions that may still be started.
    pub fn sharding(&self, shards: u32, identifies_left: u32) {
        let mut state = self.lock();
        state.gateway.shards = shards;
        state.gateway.identifies_left = identifies_left;
    }

    /// From now on heartbeats are answered, or not.
    pub fn deaf(&self, deaf: bool) {
        self.lock().gateway.deaf = deaf;
    }

    /// The next resume finds its session gone.
    pub fn forget_session(&self) {
        self.lock().gateway.forgetful = true;
    }

    /// All connections end without a word, as networks do it.
    pub fn cut_gateway(&self) {
        self.lock().each(|_| Out::Cut, true);
    }

    /// All connections are closed with this code.
    pub fn close_gateway(&self, code: u16) {
        self.lock().each(|_| Out::Close(code), true);
    }

    /// Discord asks all clients to connect again and to resume.
    pub fn ask_to_reconnect(&self) {
        self.lock()
            .each(|_| Out::Text(json!({ "op": 7, "d": null }).to_string()), false);
    }

    /// Discord asks all clients for a heartbeat now.
    pub fn ask_for_heartbeat(&self) {
        self.lock()
            .each(|_| Out::Text(json!({ "op": 1, "d": null }).to_string()), false);
    }

    /// The newest dispatch of each session comes once more, as it may after a resume.
    pub fn tell_again(&self) {
        let again =
            |session: &Session| Out::Text(session.log.last().map_or_else(String::new, |(_, text)| text.clone()));
        self.lock().each(again, false);
    }

    /// The newest dispatch of each session comes once more under another number, as for a client that was ended before it
    /// had remembered the first.
    pub fn tell_anew(&self) {
        for session in self.lock().gateway.sessions.values_mut() {
            let last = session
                .log
                .last()
                .and_then(|(_, text)| serde_json::from_str::<Value>(text).ok());
            if let Some(last) = last {
                session.tell(last["t"].as_str().unwrap_or_default(), &last["d"]);
            }
        }
    }

    /// The next dispatch is held back until the one after it went.
    pub fn hold_next(&self) {
        self.lock().gateway.hold.next();
    }

    /// A frame of any text to all sessions; what breaks off, say.
    pub fn send_raw(&self, text: &str) {
        self.lock().each(|_| Out::Text(text.to_owned()), false);
    }

    /// Any dispatch to all sessions that may hear of it.
    pub fn dispatch(&self, name: &str, data: &Value) {
        self.lock().dispatch(name, data);
        self.touched();
    }

    /// What clients did: `identify 0/1 /gateway`, `resume 17 /resume/...`, `heartbeat 17`, `closed 4000`, and `fault ...`
    /// for what no good client does.
    pub fn gateway_log(&self) -> Vec<String> {
        self.lock().gateway.log.clone()
    }

    /// Connections that have a session now.
    pub fn connected(&self) -> usize {
        let state = self.lock();
        state
            .gateway
            .sessions
            .values()
            .filter(|session| session.to.is_some())
            .count()
    }
}

impl State {
    pub(crate) fn gateway_url(&self) -> String {
        format!("{}/gateway", self.url.replacen("http", "ws", 1))
    }

    fn each(&mut self, out: impl Fn(&Session) -> Out, gone: bool) {
        for session in self.gateway.sessions.values_mut() {
            let told = out(session);
            if let Some(to) = &session.to {
                let _ = to.try_send(told);
            }
            if gone {
                session.to = None;
            }
        }
    }

    /// Tells all sessions that may hear of it.
    pub(crate) fn dispatch(&mut self, name: &str, data: &Value) {
        for (name, data) in self.gateway.hold.pass((name.to_owned(), data.clone())) {
            self.tell_sessions(&name, &data);
        }
    }

    fn tell_sessions(&mut self, name: &str, data: &Value) {
        let guild = data["guild_id"]
            .as_str()
            .or(data["id"].as_str().filter(|_| name.starts_with("GUILD_")));
        let number = guild.and_then(|id| id.parse::<u64>().ok());
        for session in self.gateway.sessions.values_mut() {
            let shard = number.map_or(0, |id| (id >> 22) % session.shard.1);
            if shard == session.shard.0 && wants(session.intents, name, number.is_some()) {
                session.tell(name, &readable(session.intents, name, data));
            }
        }
    }
}

/// /events/gateway#list-of-intents
fn wants(intents: u64, name: &str, in_guild: bool) -> bool {
    let bit = match (name, in_guild) {
        ("MESSAGE_CREATE" | "MESSAGE_UPDATE" | "MESSAGE_DELETE" | "MESSAGE_DELETE_BULK", true) => 9,
        ("MESSAGE_CREATE" | "MESSAGE_UPDATE" | "MESSAGE_DELETE", false) => 12,
        ("MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE", true) => 10,
        ("MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE", false) => 13,
        ("GUILD_CREATE" | "THREAD_CREATE" | "THREAD_UPDATE" | "CHANNEL_CREATE" | "CHANNEL_DELETE", _) => 0,
        _ => return true,
    };
    intents & (1 << bit) != 0
}

/// Without the privileged intent the words of others are empty, but for direct messages and those that name the bot.
fn readable(intents: u64, name: &str, data: &Value) -> Value {
    let mut data = data.clone();
    let ours = data["author"]["id"] == super::BOT;
    let named = data["mentions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|who| who["id"] == super::BOT));
    let hidden = intents & MESSAGE_CONTENT == 0 && data.get("guild_id").is_some() && !ours && !named;
    if hidden && matches!(name, "MESSAGE_CREATE" | "MESSAGE_UPDATE") {
        data["content"] = "".into();
        for list in ["embeds", "attachments", "components"] {
            data[list] = json!([]);
        }
    }
    data
}

impl Session {
    fn tell(&mut self, name: &str, data: &Value) {
        self.seq += 1;
        let text = json!({ "op": 0, "s": self.seq, "t": name, "d": data }).to_string();
        self.log.push((self.seq, text.clone()));
        if let Some(to) = &self.to
            && to.try_send(Out::Text(text)).is_err()
        {
            self.to = None;
        }
    }
}

/// One connection, until either side ends it.
pub(crate) async fn serve<S>(world: World, mut socket: WebSocketStream<S>, path: String, version: Option<String>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (to, mut from) = mpsc::channel(QUEUE);
    let heartbeat = world.lock().gateway.heartbeat;
    let hello = json!({ "op": 10, "d": { "heartbeat_interval": heartbeat.as_millis() as u64, "_trace": [] } });
    let mut connection = Connection {
        world: world.clone(),
        path,
        to,
        session: None,
        compress: false,
        frames: Vec::new(),
    };
    let first = if version.as_deref() == Some("10") {
        Out::Text(hello.to_string())
    } else {
        Out::Close(4012)
    };
    let mut next = Some(first);
    loop {
        let out = match next.take() {
            Some(out) => out,
            None => tokio::select! {
                out = from.recv() => out.unwrap_or(Out::Cut),
                frame = socket.next() => match frame {
                    Some(Ok(Frame::Text(text))) => match connection.hear(text.as_str()) {
                        Ok(answer) => { next = answer.map(|value| Out::Text(value.to_string())); continue }
                        Err(code) => Out::Close(code),
                    },
                    Some(Ok(Frame::Close(frame))) => {
                        let code = frame.map_or(1005, |frame| frame.code.into());
                        connection.closed(code);
                        while let Some(Ok(_)) = socket.next().await {}
                        break;
                    }
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => { connection.closed(1006); break }
                },
            },
        };
        match out {
            Out::Text(text) => {
                if socket.send(connection.frame(text)).await.is_err() {
                    break;
                }
            }
            Out::Cut => break,
            Out::Close(code) => {
                let frame = CloseFrame {
                    code: code.into(),
                    reason: "".into(),
                };
                let _ = socket.close(Some(frame)).await;
                let rest = async { while let Some(Ok(_)) = socket.next().await {} };
                let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
                break;
            }
        }
    }
    connection.gone();
    world.touched();
}

struct Connection {
    world: World,
    path: String,
    to: mpsc::Sender<Out>,
    session: Option<String>,
    compress: bool,
    frames: Vec<Instant>,
}

impl Connection {
    fn frame(&self, text: String) -> Frame {
        if !self.compress {
            return Frame::text(text);
        }
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).expect("memory takes it");
        Frame::binary(packed.finish().expect("memory takes it"))
    }

    /// What the client says; the answer, or the code to close with.
    fn hear(&mut self, text: &str) -> Result<Option<Value>, u16> {
        let now = Instant::now();
        let mut state = self.world.lock();
        let span = FRAMES.1.mul_f64(state.gateway.haste());
        self.frames.retain(|at| now - *at < span);
        self.frames.push(now);
        if self.frames.len() > FRAMES.0 {
            state.gateway.log.push("fault too many frames".into());
            return Err(4008);
        }
        let value: Value = serde_json::from_str(text).map_err(|_| 4002u16)?;
        if text.len() > FRAME {
            state.gateway.log.push("fault a frame too long".into());
            return Err(4002);
        }
        let answer = match (value["op"].as_u64(), &self.session) {
            (Some(1), _) => {
                state.gateway.log.push(format!("heartbeat {}", value["d"]));
                Ok((!state.gateway.deaf).then(|| json!({ "op": 11 })))
            }
            (Some(2), None) => {
                let begun = identify(&mut state, &value["d"], &self.path, &self.to)?;
                self.session = begun.0;
                self.compress = value["d"]["compress"] == true;
                Ok(begun.1)
            }
            (Some(6), None) => {
                let (session, answer) = resume(&mut state, &value["d"], &self.path, &self.to)?;
                self.session = session;
                Ok(answer)
            }
            (Some(2 | 6), Some(_)) => Err(4005),
            (Some(3 | 4 | 8 | 31), Some(_)) => Ok(None),
            (Some(3 | 4 | 8 | 31), None) => Err(4003),
            _ => Err(4001),
        };
        drop(state);
        self.world.touched();
        answer
    }

    /// The client closed: with 1000 and 1001 its session is over (/events/gateway#disconnecting).
    fn closed(&self, code: u16) {
        let mut state = self.world.lock();
        state.gateway.log.push(format!("closed {code}"));
        if matches!(code, 1000 | 1001)
            && let Some(session) = &self.session
        {
            state.gateway.sessions.remove(session);
        }
    }

    fn gone(&self) {
        let mut state = self.world.lock();
        if let Some(session) = self.session.as_ref().and_then(|id| state.gateway.sessions.get_mut(id))
            && session.to.as_ref().is_some_and(|to| to.same_channel(&self.to))
        {
            session.to = None;
        }
    }
}

type Begun = (Option<String>, Option<Value>);

fn identify(state: &mut State, data: &Value, path: &str, to: &mpsc::Sender<Out>) -> Result<Begun, u16> {
    let shard = (
        data["shard"][0].as_u64().unwrap_or(0),
        data["shard"][1].as_u64().unwrap_or(1),
    );
    state
        .gateway
        .log
        .push(format!("identify {}/{} {path}", shard.0, shard.1));
    if data["token"] != state.token.as_str() {
        return Err(4004);
    }
    if shard.0 >= shard.1 {
        return Err(4010);
    }
    if shard.1 < u64::from(state.gateway.shards) {
        return Err(4011);
    }
    let intents = data["intents"].as_u64().filter(|bits| *bits < 1 << 27).ok_or(4013u16)?;
    if intents & MESSAGE_CONTENT != 0 && !state.content_intent {
        return Err(4014);
    }
    let pause = IDENTIFY.mul_f64(state.gateway.haste());
    if state.gateway.last_identify.is_some_and(|at| at.elapsed() < pause) {
        state.gateway.log.push("fault identified too soon".into());
        return Ok((None, Some(json!({ "op": 9, "d": false }))));
    }
    state.gateway.last_identify = Some(Instant::now());
    state.gateway.identifies_left = state.gateway.identifies_left.saturating_sub(1);
    let id = format!(
        "{:032x}",
        0x00c0_ffee_u64 + state.gateway.sessions.len() as u64 * 7 + state.last
    );
    let mut session = Session {
        seq: 0,
        log: Vec::new(),
        to: Some(to.clone()),
        intents,
        shard,
    };
    let resume = format!("{}/resume/{}", state.url.replacen("http", "ws", 1), &id[24..]);
    session.tell(
        "READY",
        &json!({
            "v": 10, "user": state.users[super::BOT], "session_id": id, "resume_gateway_url": resume,
            "shard": [shard.0, shard.1], "guilds": [{ "id": super::GUILD, "unavailable": true }],
            "application": { "id": super::BOT, "flags": 0 }, "session_type": "normal", "private_channels": [],
            "relationships": [], "presences": [], "user_settings": {}, "guild_join_requests": [],
            "geo_ordered_rtc_regions": [], "auth": {}, "_trace": [],
        }),
    );
    let number: u64 = super::GUILD.parse().unwrap_or(0);
    if state.in_guild && (number >> 22) % shard.1 == shard.0 {
        session.tell("GUILD_CREATE", &guild(state));
    }
    state.gateway.sessions.insert(id.clone(), session);
    Ok((Some(id), None))
}

fn guild(state: &State) -> Value {
    let (threads, channels): (Vec<Value>, Vec<Value>) = state
        .channels
        .iter()
        .filter(|(_, channel)| channel.guild.is_some() && !channel.archived)
        .filter_map(|(id, _)| state.channel_json(id))
        .partition(|channel| channel["type"] == 11);
    let role = |id: &str, name: &str, tags: Value| {
        json!({
            "id": id, "name": name, "color": 0, "colors": { "primary_color": 0 }, "hoist": false, "position": 0,
            "permissions": "0", "managed": !tags.is_null(), "mentionable": false, "flags": 0, "tags": tags,
        })
    };
    json!({
        "id": super::GUILD, "name": "Fake", "owner_id": super::ANN, "joined_at": "2026-01-01T00:00:00+00:00",
        "large": false, "unavailable": false, "member_count": 3, "members": [state.member_json(super::BOT)],
        "channels": channels, "threads": threads, "presences": [], "voice_states": [], "stage_instances": [],
        "guild_scheduled_events": [], "soundboard_sounds": [], "emojis": [], "stickers": [], "features": [],
        "roles": [role(super::GUILD, "@everyone", Value::Null), role(super::BOT_ROLE, "botyard", json!({ "bot_id": super::BOT }))],
        "afk_timeout": 300, "verification_level": 0, "default_message_notifications": 0, "explicit_content_filter": 0,
        "mfa_level": 0, "premium_tier": 0, "preferred_locale": "en-US", "nsfw_level": 0, "system_channel_flags": 0,
        "premium_progress_bar_enabled": false,
    })
}

fn resume(state: &mut State, data: &Value, path: &str, to: &mpsc::Sender<Out>) -> Result<Begun, u16> {
    state.gateway.log.push(format!("resume {} {path}", data["seq"]));
    if data["token"] != state.token.as_str() {
        return Err(4004);
    }
    let id = data["session_id"].as_str().unwrap_or_default().to_owned();
    if std::mem::take(&mut state.gateway.forgetful) {
        state.gateway.sessions.remove(&id);
    }
    if !path.starts_with("/resume/") {
        state.gateway.log.push("fault resumed elsewhere than told".into());
    }
    let Some(session) = state.gateway.sessions.get_mut(&id) else {
        return Ok((None, Some(json!({ "op": 9, "d": false }))));
    };
    let seq = data["seq"].as_u64().unwrap_or(0);
    if seq > session.seq {
        return Err(4007);
    }
    for (_, text) in session.log.iter().filter(|(at, _)| *at > seq) {
        let _ = to.try_send(Out::Text(text.clone()));
    }
    session.to = Some(to.clone());
    session.tell("RESUMED", &json!({ "_trace": [] }));
    Ok((Some(id), None))
}
