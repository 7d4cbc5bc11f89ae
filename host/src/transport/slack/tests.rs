//! Socket Mode over connections in memory, under paused time: a Slack that does what each test says.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::open::{Dial, Wire};
use super::*;
use crate::chat::{Answer, Event};
use crate::transport::{Accepted, Inlet};

type Socket = WebSocketStream<DuplexStream>;

/// What Slack answers when it is asked for an address: status, headers, body.
type Answers = Arc<Mutex<VecDeque<(u16, &'static str, Value)>>>;

struct Dialler {
    answers: Answers,
    sockets: mpsc::Sender<Socket>,
}

impl Dial for Dialler {
    fn dial<'a>(&'a self, url: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Wire>>> {
        Box::pin(async move {
            let (ours, theirs) = duplex(1 << 16);
            if url.starts_with("wss://") {
                let sockets = self.sockets.clone();
                tokio::spawn(async move {
                    let _ = sockets.send(accept_async(theirs).await.expect("a handshake")).await;
                });
            } else {
                assert_eq!(url, "https://slack.test/");
                let answer = self.answers.lock().expect("alone").pop_front();
                let good = json!({ "ok": true, "url": "wss://wss-primary.slack.test/link/?ticket=1" });
                tokio::spawn(serve(theirs, answer.unwrap_or((200, "", good))));
            }
            let wire: Box<dyn Wire> = Box::new(ours);
            Ok(wire)
        })
    }
}

async fn serve(mut stream: DuplexStream, (status, headers, body): (u16, &'static str, Value)) {
    let mut request = Vec::new();
    while !String::from_utf8_lossy(&request).contains("\r\n\r\n") {
        if stream.read_buf(&mut request).await.expect("a request") == 0 {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request).to_ascii_lowercase();
    assert!(request.starts_with("post /api/apps.connections.open"), "{request}");
    assert!(request.contains("authorization: bearer xapp-1"), "{request}");
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

struct Bot {
    reports: mpsc::Sender<Health>,
    events: mpsc::Sender<(Event, oneshot::Sender<Accepted>)>,
}

impl Bot {
    async fn line_up(&self, event: Event) -> BoxFuture<'static, Accepted> {
        let (tell, told) = oneshot::channel();
        let _ = self.events.send((event, tell)).await;
        Box::pin(async move { told.await.unwrap_or(Accepted::Unavailable) })
    }
}

impl Inlet for Bot {
    fn accept<'a>(&'a self, _: Event, _: Duration) -> BoxFuture<'a, Accepted> {
        Box::pin(async { panic!("a connection lines its events up") })
    }
}

impl Connected for Bot {
    fn enqueue<'a>(&'a self, event: Event, within: Duration) -> BoxFuture<'a, BoxFuture<'static, Accepted>> {
        assert_eq!(within, line::WITHIN);
        Box::pin(self.line_up(event))
    }

    fn report(&self, health: Health) {
        self.reports.try_send(health).expect("there is room");
    }

    fn heard(&self) {}
}

struct Yard {
    answers: Answers,
    sockets: mpsc::Receiver<Socket>,
    reports: mpsc::Receiver<Health>,
    events: mpsc::Receiver<(Event, oneshot::Sender<Accepted>)>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

fn start(answers: Vec<(u16, &'static str, Value)>) -> Yard {
    let answers: Answers = Arc::new(Mutex::new(answers.into()));
    let (sockets_in, sockets) = mpsc::channel(64);
    let (reports_in, reports) = mpsc::channel(64);
    let (events_in, events) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let dialler = Dialler {
        answers: Arc::clone(&answers),
        sockets: sockets_in,
    };
    let opener = Opener::new("https://slack.test/api/", "xapp-1", Arc::new(dialler));
    let inlet = Arc::new(Bot {
        reports: reports_in,
        events: events_in,
    });
    Yard {
        answers,
        sockets,
        reports,
        events,
        stop: stop.clone(),
        running: tokio::spawn(keep(opener, inlet, stop)),
    }
}

impl Yard {
    /// The next socket, greeted or not.
    async fn socket(&mut self) -> Socket {
        self.sockets.recv().await.expect("a socket")
    }

    async fn greeted(&mut self) -> Socket {
        let mut socket = self.socket().await;
        say(&mut socket, &json!({ "type": "hello", "num_connections": 1 })).await;
        self.health(&Health::Live).await;
        socket
    }

    /// Waits for this report; those before it.
    async fn health(&mut self, wanted: &Health) -> Vec<Health> {
        let mut before = Vec::new();
        loop {
            let health = self.reports.recv().await.expect("a report");
            if health == *wanted {
                return before;
            }
            before.push(health);
        }
    }

    async fn event(&mut self) -> (Event, oneshot::Sender<Accepted>) {
        self.events.recv().await.expect("an event")
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.expect("it ends well");
    }
}

async fn say(socket: &mut Socket, frame: &Value) {
    socket.send(Message::text(frame.to_string())).await.expect("said");
}

/// The next text frame.
async fn hear(socket: &mut Socket) -> Value {
    loop {
        match socket.next().await.expect("a frame").expect("a frame") {
            Message::Text(text) => return serde_json::from_str(text.as_str()).expect("JSON"),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn envelope(id: &str, kind: &str, accepts: bool) -> Value {
    json!({
        "envelope_id": id, "type": kind, "accepts_response_payload": accepts, "retry_attempt": 0, "retry_reason": "",
        "payload": { "unheard_of": [1, 2.50, "é"] },
    })
}

fn stored(body: &str) -> Accepted {
    Accepted::Stored(Some(Answer {
        status: 200,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }))
}

#[tokio::test(start_paused = true)]
async fn frames_reach_the_bot_unchanged_and_are_acknowledged_once_stored() {
    let mut yard = start(vec![]);
    let mut socket = yard.greeted().await;
    let frame = envelope("e1", "events_api", false);
    say(&mut socket, &frame).await;
    let (event, outcome) = yard.event().await;
    assert_eq!((event.transport.as_str(), event.name.as_str()), ("slack", "events_api"));
    assert_eq!(event.payload, frame.to_string().into_bytes());
    outcome.send(stored("{\"no\":\"payload is taken\"}")).expect("awaited");
    assert_eq!(hear(&mut socket).await, json!({ "envelope_id": "e1" }));
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn slow_word_does_not_hold_what_comes_after_it() {
    let mut yard = start(vec![]);
    let mut socket = yard.greeted().await;
    say(&mut socket, &envelope("slow", "slash_commands", true)).await;
    say(&mut socket, &envelope("fast", "events_api", false)).await;
    let (_, slow) = yard.event().await;
    let (_, fast) = yard.event().await;
    fast.send(Accepted::Stored(None)).expect("awaited");
    assert_eq!(hear(&mut socket).await, json!({ "envelope_id": "fast" }));
    slow.send(stored("{\"text\":\"late\"}")).expect("awaited");
    let late = json!({ "envelope_id": "slow", "payload": { "text": "late" } });
    assert_eq!(hear(&mut socket).await, late);
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_stored_is_not_acknowledged() {
    let mut yard = start(vec![]);
    let mut socket = yard.greeted().await;
    say(&mut socket, &envelope("lost", "events_api", false)).await;
    let (_, outcome) = yard.event().await;
    outcome.send(Accepted::Unavailable).expect("awaited");
    say(&mut socket, &envelope("kept", "events_api", false)).await;
    let (_, outcome) = yard.event().await;
    outcome.send(Accepted::Stored(None)).expect("awaited");
    assert_eq!(hear(&mut socket).await, json!({ "envelope_id": "kept" }));
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn refresh_opens_the_new_socket_before_the_old_one_closes() {
    let mut yard = start(vec![]);
    let mut old = yard.greeted().await;
    say(
        &mut old,
        &json!({ "type": "disconnect", "reason": "refresh_requested" }),
    )
    .await;
    let mut new = yard.socket().await;
    // The old one still serves, also when the new one is live.
    for (id, greeted) in [("before", false), ("after", true)] {
        if greeted {
            say(&mut new, &json!({ "type": "hello" })).await;
            yard.health(&Health::Live).await;
        }
        say(&mut old, &envelope(id, "events_api", false)).await;
        let (_, outcome) = yard.event().await;
        outcome.send(Accepted::Stored(None)).expect("awaited");
        assert_eq!(hear(&mut old).await, json!({ "envelope_id": id }));
    }
    // Slack does not close it: it retires by itself, and nothing else happens.
    let begun = Instant::now();
    let retired = async {
        while let Some(Ok(message)) = old.next().await {
            if message.is_close() {
                break;
            }
        }
    };
    // Reading answers the pings of the new one.
    tokio::select! {
        () = retired => {}
        frame = hear(&mut new) => panic!("{frame}"),
    }
    assert!(begun.elapsed() >= Duration::from_secs(29), "{:?}", begun.elapsed());
    say(&mut new, &envelope("new", "events_api", false)).await;
    let (_, outcome) = yard.event().await;
    outcome.send(Accepted::Stored(None)).expect("awaited");
    assert_eq!(hear(&mut new).await, json!({ "envelope_id": "new" }));
    assert!(yard.reports.try_recv().is_err(), "it was live all the time");
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn silent_death_is_found_and_another_socket_is_opened() {
    let mut yard = start(vec![]);
    let begun = Instant::now();
    // Nobody reads here, so no ping is answered.
    let _dead = yard.greeted().await;
    let health = yard.reports.recv().await.expect("a report");
    assert!(
        matches!(&health, Health::Degraded { why, retry_at: Some(_) } if why == "slack does not answer a ping"),
        "{health:?}"
    );
    assert!(begun.elapsed() <= 2 * line::PING, "{:?}", begun.elapsed());
    yard.greeted().await;
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn socket_that_answers_pings_lives() {
    let mut yard = start(vec![]);
    let mut socket = yard.greeted().await;
    let mut pings = 0;
    while pings < 100 {
        if socket.next().await.expect("a ping").expect("a ping").is_ping() {
            pings += 1;
        }
    }
    assert!(yard.reports.try_recv().is_err());
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn socket_without_a_hello_is_given_up() {
    let mut yard = start(vec![]);
    let mut silent = yard.socket().await;
    let heard = silent.next().await.expect("a frame").expect("a frame");
    assert!(heard.is_close() || heard.is_ping(), "{heard:?}");
    yard.greeted().await;
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn limit_of_slack_is_waited_for() {
    let limited = (
        429,
        "Retry-After: 42\r\n",
        json!({ "ok": false, "error": "ratelimited" }),
    );
    let mut yard = start(vec![limited]);
    let begun = Instant::now();
    yard.greeted().await;
    assert!(begun.elapsed() >= Duration::from_secs(42), "{:?}", begun.elapsed());
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn refusals_say_what_to_do_and_are_tried_again() {
    let refusals = [
        (
            "invalid_auth",
            "slack refuses the app token (invalid_auth): make a new one",
        ),
        ("not_allowed_token_type", "the app token begins with `xapp-`"),
        ("missing_scope", "lacks the scope connections:write"),
        ("access_denied", "switch it on on your app's page, Socket Mode"),
    ];
    let answers = refusals.map(|(code, _)| (200, "", json!({ "ok": false, "error": code })));
    let mut yard = start(answers.into());
    let before = {
        let mut socket = yard.socket().await;
        say(&mut socket, &json!({ "type": "hello" })).await;
        yard.health(&Health::Live).await
    };
    let said: Vec<&Health> = before.iter().filter(|health| **health != Health::Connecting).collect();
    assert_eq!(said.len(), refusals.len(), "{said:?}");
    for (health, (_, part)) in said.iter().zip(refusals) {
        assert!(
            matches!(health, Health::Refused { why } if why.contains(part)),
            "{health:?}"
        );
    }
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn socket_mode_that_is_switched_off_is_told_and_heals() {
    let mut yard = start(vec![]);
    let mut socket = yard.greeted().await;
    yard.answers
        .lock()
        .expect("alone")
        .push_back((200, "", json!({ "ok": false, "error": "access_denied" })));
    say(&mut socket, &json!({ "type": "disconnect", "reason": "link_disabled" })).await;
    socket.close(None).await.expect("closed");
    let health = yard.reports.recv().await.expect("a report");
    assert!(
        matches!(&health, Health::Refused { why } if why.contains("switched off")),
        "{health:?}"
    );
    // A minute later it is still off, another minute later it is on again.
    yard.greeted().await;
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn cut_socket_is_opened_again_at_once_if_it_was_a_good_one() {
    let mut yard = start(vec![]);
    let mut socket = yard.greeted().await;
    let begun = Instant::now();
    while begun.elapsed() < GOOD {
        socket.next().await.expect("a ping").expect("a ping");
    }
    drop(socket);
    let cut = Instant::now();
    yard.greeted().await;
    assert!(cut.elapsed() < Duration::from_secs(1), "{:?}", cut.elapsed());
    yard.end().await;
}

#[tokio::test(start_paused = true)]
async fn pause_of_before_is_forgotten_when_a_good_socket_is_refreshed() {
    let trouble = || (500, "", json!({ "ok": false, "error": "internal_error" }));
    let mut yard = start((0..5).map(|_| trouble()).collect());
    let mut socket = yard.greeted().await;
    let begun = Instant::now();
    while begun.elapsed() < GOOD {
        socket.next().await.expect("a ping").expect("a ping");
    }
    yard.answers.lock().expect("alone").push_back(trouble());
    let leaving = Instant::now();
    say(&mut socket, &json!({ "type": "disconnect", "reason": "warning" })).await;
    let mut new = tokio::select! {
        new = yard.socket() => new,
        frame = hear(&mut socket) => panic!("{frame}"),
    };
    assert!(leaving.elapsed() < PAUSES.0 * 2, "{:?}", leaving.elapsed());
    say(&mut new, &json!({ "type": "hello" })).await;
    yard.health(&Health::Live).await;
    yard.end().await;
}
