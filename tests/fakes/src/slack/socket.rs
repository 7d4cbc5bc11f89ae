//! Socket Mode as Slack speaks it: tickets, hello, one socket for each envelope, acknowledgements, redelivery.
//!
//! Frames: docs.slack.dev/apis/events-api/using-socket-mode and what @slack/socket-mode 3 reads. Confirmed by no page
//! of the vendor's that we hold: that an unacknowledged envelope comes again after three seconds and three times at
//! most (three seconds are documented for HTTP, `retry_attempt` for sockets), that an acknowledgement on another
//! socket of the same app counts (Slack's own client sends it so after a refresh), that an unknown ticket is answered
//! with 401, and the error's name when Socket Mode is off.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::{StatusCode, Uri};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::method::{Outcome, wrong};
use super::workspace::{State, Workspace};
use crate::hook::Heard;
use crate::served::{Request, Serve, Socket};

/// Slack waits three seconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// Frames that wait to be written; what has no place is lost, and sent again like what was not acknowledged.
const QUEUE: usize = 4096;
/// After the first time.
const AGAIN: u32 = 3;

/// What was sent over sockets.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    pub id: String,
    /// `events_api`, `interactive`, `slash_commands`.
    pub kind: String,
    /// How often it was sent.
    pub sent: u32,
    /// The payload of the acknowledgement, `null` without one; none: it was not acknowledged.
    pub acknowledged: Option<Value>,
    /// From the first sending.
    pub after: Option<Duration>,
    /// How often it was acknowledged.
    pub acknowledgements: u32,
    pub(crate) begun: Option<Instant>,
    pub(crate) payload: Value,
    pub(crate) accepts: bool,
}

#[derive(Debug)]
enum Out {
    Frame(String),
    Close,
    Cut,
}

#[derive(Debug)]
struct Link {
    out: mpsc::Sender<Out>,
    /// Nothing new is sent on it.
    leaving: bool,
}

#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) token: String,
    enabled: bool,
    scoped: bool,
    tickets: BTreeSet<String>,
    links: BTreeMap<u64, Link>,
    opened: u64,
    turn: usize,
    envelopes: BTreeMap<String, Envelope>,
    /// In the order of their first sending.
    order: Vec<String>,
    protests: Vec<String>,
    twice: bool,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            token: super::APP_TOKEN.into(),
            enabled: true,
            scoped: true,
            tickets: BTreeSet::new(),
            links: BTreeMap::new(),
            opened: 0,
            turn: 0,
            envelopes: BTreeMap::new(),
            order: Vec::new(),
            protests: Vec::new(),
            twice: false,
        }
    }
}

/// `apps.connections.open`: docs.slack.dev/reference/methods/apps.connections.open.
pub(crate) fn open(state: &mut State, request: &Request) -> Outcome {
    if request.method != "POST" {
        return Err(wrong("insecure_request"));
    }
    let token = request
        .authorization
        .as_deref()
        .and_then(|value| value.strip_prefix("Bearer "));
    match token {
        None | Some("") => return Err(wrong("not_authed")),
        Some(token) if token == state.token => return Err(wrong("not_allowed_token_type")),
        Some(token) if token != state.sockets.token => return Err(wrong("invalid_auth")),
        Some(_) => {}
    }
    if !state.sockets.scoped {
        return Err(super::method::Wrong {
            error: "missing_scope".into(),
            messages: vec!["connections:write".into()],
        });
    }
    if !state.sockets.enabled {
        return Err(wrong("access_denied"));
    }
    state.serial += 1;
    let ticket = format!("{:08x}-ticket", state.serial);
    state.sockets.tickets.insert(ticket.clone());
    let base = state.url.replacen("http", "ws", 1);
    Ok(json!({ "url": format!("{base}/link/?ticket={ticket}&app_id={}", super::APP) }))
}

impl Workspace {
    /// A socket is wanted here; a ticket is good for one.
    pub(crate) fn socket_at(&self, at: &Uri) -> Result<Serve, StatusCode> {
        if at.path() != "/link/" {
            return Err(StatusCode::NOT_FOUND);
        }
        let ticket = url::form_urlencoded::parse(at.query().unwrap_or_default().as_bytes())
            .find(|(name, _)| name == "ticket")
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default();
        if !self.lock().sockets.tickets.remove(&ticket) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let workspace = self.clone();
        Ok(Box::new(move |socket| Box::pin(workspace.serve_socket(socket))))
    }

    async fn serve_socket(self, mut socket: Socket) {
        let (out, mut says) = mpsc::channel(QUEUE);
        let (id, connections) = {
            let mut state = self.lock();
            state.sockets.opened += 1;
            let id = state.sockets.opened;
            state.sockets.links.insert(id, Link { out, leaving: false });
            (id, state.sockets.links.len())
        };
        let hello = json!({
            "type": "hello", "num_connections": connections, "connection_info": { "app_id": super::APP },
            "debug_info": { "host": "applink-1", "build_number": 1, "approximate_connection_time": 18060 },
        });
        let greeted = socket.send(Message::text(hello.to_string())).await.is_ok();
        self.touched();
        if greeted {
            self.converse(&mut socket, &mut says).await;
        }
        self.lock().sockets.links.remove(&id);
        self.touched();
    }

    /// Until the socket is closed, by whichever side.
    async fn converse(&self, socket: &mut Socket, says: &mut mpsc::Receiver<Out>) {
        loop {
            tokio::select! {
                said = says.recv() => match said {
                    Some(Out::Frame(frame)) => {
                        if socket.send(Message::text(frame)).await.is_err() {
                            break;
                        }
                    }
                    Some(Out::Close) => {
                        let _ = socket.close(None).await;
                        break;
                    }
                    Some(Out::Cut) | None => break,
                },
                heard = socket.next() => match heard {
                    Some(Ok(Message::Text(frame))) => self.acknowledged(frame.as_str()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    fn acknowledged(&self, frame: &str) {
        let mut state = self.lock();
        let sockets = &mut state.sockets;
        let said: Value = serde_json::from_str(frame).unwrap_or_default();
        let envelope = said["envelope_id"]
            .as_str()
            .and_then(|id| sockets.envelopes.get_mut(id));
        match envelope {
            None => sockets.protests.push(format!("no acknowledgement of ours: {frame}")),
            Some(envelope) => {
                envelope.acknowledgements += 1;
                let payload = said.get("payload").cloned().unwrap_or_default();
                let empty = payload.is_null() || payload.as_object().is_some_and(serde_json::Map::is_empty);
                if !empty && !envelope.accepts {
                    sockets.protests.push(format!("a payload where none is taken: {frame}"));
                } else if envelope.acknowledgements > envelope.sent {
                    sockets
                        .protests
                        .push(format!("acknowledged more often than it was sent: {frame}"));
                }
                if envelope.acknowledged.is_none() {
                    envelope.after = envelope.begun.map(|begun| begun.elapsed());
                    envelope.acknowledged = Some(if empty { Value::Null } else { payload });
                }
            }
        }
        drop(state);
        self.touched();
    }

    /// Sends an envelope over one of the sockets, again while it is not acknowledged; what the app said.
    ///
    /// # Errors
    /// It was never acknowledged.
    pub async fn envelope(&self, kind: &str, payload: Value) -> io::Result<Heard> {
        let id = {
            let mut state = self.lock();
            state.serial += 1;
            let id = format!("00000000-0000-4000-8000-{:012x}", state.serial);
            let form = payload["type"] == "view_submission" || payload["type"] == "block_suggestion";
            let envelope = Envelope {
                id: id.clone(),
                kind: kind.into(),
                sent: 0,
                acknowledged: None,
                after: None,
                begun: None,
                payload,
                accepts: kind == "slash_commands" || form,
                acknowledgements: 0,
            };
            state.sockets.order.push(id.clone());
            state.sockets.envelopes.insert(id.clone(), envelope);
            id
        };
        for attempt in 0..=AGAIN {
            self.until(PATIENCE * 10, |team| team.post_envelope(&id, attempt).then_some(()))
                .await
                .ok_or(io::ErrorKind::NotConnected)?;
            let said = self.until(PATIENCE, |team| team.answer_of(&id)).await;
            if let Some(said) = said {
                let body = if said.is_null() {
                    String::new()
                } else {
                    said.to_string()
                };
                return Ok(Heard { status: 200, body });
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn answer_of(&self, id: &str) -> Option<Value> {
        self.lock().sockets.envelopes.get(id)?.acknowledged.clone()
    }

    /// False: there is no socket to send it on.
    fn post_envelope(&self, id: &str, attempt: u32) -> bool {
        let mut state = self.lock();
        let sockets = &mut state.sockets;
        let open: Vec<u64> = sockets
            .links
            .iter()
            .filter(|(_, link)| !link.leaving)
            .map(|(id, _)| *id)
            .collect();
        let Some(envelope) = sockets.envelopes.get_mut(id) else {
            return false;
        };
        if open.is_empty() {
            return false;
        }
        let reason = if attempt == 0 { "" } else { "timeout" };
        let frame = json!({
            "envelope_id": envelope.id, "type": envelope.kind, "payload": envelope.payload,
            "accepts_response_payload": envelope.accepts, "retry_attempt": attempt, "retry_reason": reason,
        });
        envelope.begun.get_or_insert_with(Instant::now);
        let times = if std::mem::take(&mut sockets.twice) { 2 } else { 1 };
        for _ in 0..times {
            envelope.sent += 1;
            sockets.turn += 1;
            let link = &sockets.links[&open[sockets.turn % open.len()]];
            let _ = link.out.try_send(Out::Frame(frame.to_string()));
        }
        drop(state);
        self.touched();
        true
    }

    /// Waits until `look` finds something; none after `limit`.
    async fn until<T>(&self, limit: Duration, mut look: impl FnMut(&Self) -> Option<T>) -> Option<T> {
        let mut changes = self.changes();
        let waited = async {
            loop {
                if let Some(found) = look(self) {
                    return found;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(limit, waited).await.ok()
    }

    /// Everything that was sent over sockets, in order.
    pub fn envelopes(&self) -> Vec<Envelope> {
        let state = self.lock();
        let sockets = &state.sockets;
        sockets.order.iter().map(|id| sockets.envelopes[id].clone()).collect()
    }

    /// Sockets that take envelopes, and how many were ever opened.
    pub fn sockets(&self) -> (usize, u64) {
        let state = self.lock();
        let open = state.sockets.links.values().filter(|link| !link.leaving).count();
        (open, state.sockets.opened)
    }

    /// What the app said on sockets that Slack would not have understood.
    pub fn protests(&self) -> Vec<String> {
        self.lock().sockets.protests.clone()
    }

    /// Tells all sockets that they end soon (`warning`, `refresh_requested`), and closes them after this long.
    pub fn refresh_sockets(&self, reason: &str, close_after: Duration) {
        let closing = self.tell_sockets(reason);
        tokio::spawn(async move {
            tokio::time::sleep(close_after).await;
            for out in closing {
                let _ = out.try_send(Out::Close);
            }
        });
    }

    fn tell_sockets(&self, reason: &str) -> Vec<mpsc::Sender<Out>> {
        let frame = json!({ "type": "disconnect", "reason": reason, "debug_info": { "host": "applink-1" } });
        let mut state = self.lock();
        let links = state.sockets.links.values_mut().filter(|link| !link.leaving);
        links
            .map(|link| {
                link.leaving = true;
                let _ = link.out.try_send(Out::Frame(frame.to_string()));
                link.out.clone()
            })
            .collect()
    }

    /// Cuts all sockets without a word.
    pub fn cut_sockets(&self) {
        for link in self.lock().sockets.links.values() {
            let _ = link.out.try_send(Out::Cut);
        }
    }

    /// Somebody switches Socket Mode off, or on again.
    pub fn set_socket_mode(&self, on: bool) {
        self.lock().sockets.enabled = on;
        if !on {
            for out in self.tell_sockets("link_disabled") {
                let _ = out.try_send(Out::Close);
            }
        }
    }

    /// Whether the app token has the scope `connections:write`.
    pub fn set_app_scope(&self, has: bool) {
        self.lock().sockets.scoped = has;
    }

    /// The next envelope is sent twice.
    pub fn send_twice(&self) {
        self.lock().sockets.twice = true;
    }
}
