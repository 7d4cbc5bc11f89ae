//! One socket: its frames in order to the bot, acknowledgements back, and whether it is still there.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::open::Opened;
use crate::chat::{Answer, Event, Headers, now};
use crate::transport::{Accepted, Connected};

/// Slack waits three seconds for an acknowledgement (docs.slack.dev/apis/events-api/using-socket-mode); the rest is
/// for the way.
pub(super) const WITHIN: Duration = Duration::from_millis(2500);
/// Slack greets at once.
const HELLO: Duration = Duration::from_secs(10);
/// A socket on which nothing comes between two pings is dead. Slack pings by itself too.
pub(super) const PING: Duration = Duration::from_secs(10);
const WRITE: Duration = Duration::from_secs(10);
/// A socket whose follower is live may still bring what was on its way, and take acknowledgements; Slack closes it in
/// about ten seconds.
const LINGER: Duration = Duration::from_secs(30);
/// Acknowledgements that wait to be written.
const QUEUE: usize = 64;

/// What happens to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    Hello,
    /// Slack will close it soon.
    Leaving,
    /// Somebody switched Socket Mode off.
    SwitchedOff,
    /// The last that is heard of it, and why.
    Ended(String),
}

/// What a frame says of itself; the rest is the adapter's.
#[derive(Debug, Default, Deserialize)]
struct Head {
    #[serde(default, rename = "type")]
    kind: String,
    envelope_id: Option<String>,
    #[serde(default)]
    accepts_response_payload: bool,
    reason: Option<String>,
}

pub(super) struct Line {
    pub(super) id: u64,
    pub(super) inlet: Arc<dyn Connected>,
    pub(super) tell: mpsc::Sender<(u64, News)>,
    pub(super) retire: CancellationToken,
    pub(super) stop: CancellationToken,
}

impl Line {
    /// Until one side closes it, it is dead, or it has retired.
    pub(super) async fn run(self, socket: Opened) {
        let (sink, stream) = socket.split();
        let (out, queue) = mpsc::channel(QUEUE);
        let writing = tokio::spawn(write(sink, queue));
        let why = self.read(stream, &out).await;
        let _ = out.try_send(Message::Close(None));
        drop(out);
        // Acknowledgements of events that are stored later hold the queue open: the writer ends with the goodbye.
        let _ = timeout(WRITE, writing).await;
        self.say(News::Ended(why)).await;
    }

    async fn say(&self, news: News) {
        let _ = self.tell.send((self.id, news)).await;
    }

    async fn read(&self, mut stream: SplitStream<Opened>, out: &mpsc::Sender<Message>) -> String {
        let mut ticks = interval(PING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let begun = Instant::now();
        let (mut heard, mut pinged) = (begun, None::<Instant>);
        let (mut greeted, mut retires) = (false, None::<Instant>);
        loop {
            // The end comes first; then what Slack says, so that a busy socket is never taken for a dead one.
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return "the host stops".to_owned(),
                () = self.retire.cancelled(), if retires.is_none() => retires = Some(Instant::now() + LINGER),
                () = sleep_until(retires.unwrap_or(begun)), if retires.is_some() => return "another took its place".to_owned(),
                message = stream.next() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(frame))) => {
                            self.inlet.heard();
                            greeted |= self.frame(frame.as_str(), out).await;
                        }
                        Some(Ok(Message::Close(_))) | None => return "slack closed the socket".to_owned(),
                        Some(Ok(_)) => self.inlet.heard(),
                        Some(Err(error)) => return format!("the socket broke: {error}"),
                    }
                }
                () = sleep_until(begun + HELLO), if !greeted => return "slack did not say hello".to_owned(),
                _ = ticks.tick() => {
                    if pinged.is_some_and(|pinged| heard < pinged) {
                        return "slack does not answer a ping".to_owned();
                    }
                    pinged = Some(Instant::now());
                    if out.try_send(Message::Ping(bytes::Bytes::new())).is_err() {
                        return "nothing can be written to the socket".to_owned();
                    }
                }
            }
        }
    }

    /// True: it was the hello.
    async fn frame(&self, frame: &str, out: &mpsc::Sender<Message>) -> bool {
        // What is no JSON goes to the adapter too: it is set aside there, and seen.
        let head: Head = serde_json::from_str(frame).unwrap_or_default();
        match (head.kind.as_str(), head.envelope_id) {
            ("hello", _) => {
                self.say(News::Hello).await;
                return true;
            }
            ("disconnect", _) => {
                let news = match head.reason.as_deref() {
                    Some("link_disabled") => News::SwitchedOff,
                    _ => News::Leaving,
                };
                self.say(news).await;
            }
            (_, id) => {
                let event = Event {
                    transport: "slack".to_owned(),
                    name: head.kind,
                    method: String::new(),
                    query: String::new(),
                    headers: Headers::new(),
                    payload: frame.as_bytes().to_vec(),
                    received: now(),
                };
                let outcome = self.inlet.enqueue(event, WITHIN).await;
                let Some(id) = id else { return false };
                let (out, payload) = (out.clone(), head.accepts_response_payload);
                // Bounded by the bot's line. A socket that is gone by then takes nothing, and Slack sends it again.
                tokio::spawn(async move {
                    if let Some(frame) = acknowledgement(&id, payload, outcome.await) {
                        let _ = out.send(Message::text(frame)).await;
                    }
                });
            }
        }
        false
    }
}

#[derive(serde::Serialize)]
struct Acknowledgement<'a> {
    envelope_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
}

/// What is written back; none: Slack must send it again.
fn acknowledgement(id: &str, takes_payload: bool, outcome: Accepted) -> Option<String> {
    let answer = match outcome {
        Accepted::Unavailable => return None,
        Accepted::Stored(answer) => answer,
        // It came over an authenticated socket; sent again it would be the same.
        Accepted::Forged => None,
    };
    let payload = answer
        .as_ref()
        .filter(|answer| takes_payload && !answer.body.is_empty())
        .and_then(|answer: &Answer| serde_json::from_slice::<&RawValue>(&answer.body).ok());
    let acknowledgement = Acknowledgement {
        envelope_id: id,
        payload,
    };
    serde_json::to_string(&acknowledgement)
        .inspect_err(|error| warn!(%error, "an acknowledgement cannot be written"))
        .ok()
}

/// Writes until the goodbye, or until nothing can be written.
async fn write(mut sink: SplitSink<Opened, Message>, mut queue: mpsc::Receiver<Message>) {
    while let Some(message) = queue.recv().await {
        let last = message.is_close();
        match timeout(WRITE, sink.send(message)).await {
            Ok(Ok(())) if !last => {}
            _ => break,
        }
    }
    // Who still has an acknowledgement to write learns that there is no socket.
    queue.close();
}
