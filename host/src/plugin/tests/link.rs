//! A long connection of the adapter's own: held, asked, stopped, contained.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{Bench, Plan, trapped};
use crate::chat::Health;
use crate::chat::{CallError, Event, What};
use crate::outbox::BoxFuture;
use crate::plugin::link::{UNDER_WAY_MAX, UNTOLD_MAX};
use crate::plugin::{Emitted, LinkHost};

/// Nothing here takes so long.
const SOON: Duration = Duration::from_secs(20);

/// What a link told its host.
#[derive(Debug, PartialEq)]
enum Told {
    Event(Event),
    Health(Health),
}

struct Ears {
    told: mpsc::Sender<Told>,
    /// Outcomes of events with the payload `slow` wait for one of these.
    slow: Arc<Semaphore>,
}

impl Ears {
    async fn hear(&self, event: Event) -> BoxFuture<'static, Emitted> {
        let held = (event.payload == b"slow").then(|| Arc::clone(&self.slow));
        self.told.send(Told::Event(event)).await.expect("the test listens");
        Box::pin(async move {
            if let Some(held) = held {
                held.acquire().await.expect("the test lets go").forget();
            }
            Ok(None)
        })
    }
}

impl LinkHost for Ears {
    fn emit<'a>(&'a self, event: Event, _within: Duration) -> BoxFuture<'a, BoxFuture<'static, Emitted>> {
        Box::pin(self.hear(event))
    }

    fn report(&self, health: Health) {
        self.told.try_send(Told::Health(health)).expect("the test listens");
    }

    fn heard(&self) {}
}

struct Link {
    told: mpsc::Receiver<Told>,
    slow: Arc<Semaphore>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), CallError>>,
}

impl Link {
    fn start(bench: &Bench, grace: Duration) -> Self {
        let (sender, told) = mpsc::channel(64);
        let slow = Arc::new(Semaphore::new(0));
        let ears = Ears {
            told: sender,
            slow: Arc::clone(&slow),
        };
        let stop = CancellationToken::new();
        let (adapter, stopped) = (bench.adapter.clone(), stop.clone());
        let running = tokio::spawn(async move { adapter.run_link(Arc::new(ears), stopped, grace).await });
        Self {
            told,
            slow,
            stop,
            running,
        }
    }

    async fn next(&mut self) -> Told {
        tokio::time::timeout(SOON, self.told.recv())
            .await
            .expect("in time")
            .expect("the link runs")
    }

    async fn payload(&mut self) -> Vec<u8> {
        match self.next().await {
            Told::Event(event) => event.payload,
            Told::Health(health) => panic!("no event but {health:?}"),
        }
    }

    async fn said(&mut self) -> String {
        match self.next().await {
            Told::Health(Health::Degraded { why, .. }) => why,
            other => panic!("no word but {other:?}"),
        }
    }

    async fn ended(self) -> Result<(), CallError> {
        tokio::time::timeout(SOON, self.running)
            .await
            .expect("in time")
            .expect("no panic")
    }
}

async fn hostile(how: &str) -> Bench {
    Plan::hostile().setting("link", how).ready().await
}

#[tokio::test]
async fn a_socket_is_held_its_frames_are_events_and_views_go_out_on_it() {
    holds_a_socket(Plan::echo()).await;
}

/// The whole of it, with an adapter that does as `echo`.
pub(super) async fn holds_a_socket(plan: Plan) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let vendor = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio_tungstenite::accept_async(stream).await.expect("a websocket")
    };
    let mut plan = plan.setting("url", format!("ws://127.0.0.1:{port}/socket"));
    plan.api_base = format!("http://127.0.0.1:{port}/");
    let bench = plan.ready().await;
    let mut link = Link::start(&bench, SOON);
    let mut socket = tokio::time::timeout(SOON, vendor).await.expect("in time");
    assert_eq!(link.next().await, Told::Health(Health::Connecting));
    assert_eq!(link.next().await, Told::Health(Health::Live));

    let frame = r#"{"id":"7","channel":"c","from":"ann","text":"hello"}"#;
    socket.send(Message::text(frame)).await.expect("sent");
    let Told::Event(event) = link.next().await else {
        panic!("an event comes")
    };
    assert_eq!(
        (event.transport.as_str(), event.payload.as_slice()),
        ("link", frame.as_bytes())
    );
    let translated = bench.adapter.translate(&event).await.expect("it is translated");
    let What::Message(message) = &translated.items[0].what else {
        panic!("it is a message")
    };
    assert_eq!(
        (message.text.as_str(), translated.items[0].origin.key.as_str()),
        ("hello", "frame:7")
    );

    socket.send(Message::binary(vec![1, 2, 3])).await.expect("sent");
    let back = socket.next().await.expect("a frame").expect("whole");
    assert_eq!(back, Message::binary(vec![1, 2, 3]));

    let turn = bench.turn().await;
    assert_eq!(bench.show(&turn, "the answer").await, Ok(None));
    let shown = socket.next().await.expect("a frame").expect("whole");
    assert_eq!(
        shown,
        Message::text(r#"{"channel":"c","revision":7,"text":"the answer"}"#)
    );
    assert_eq!(bench.row(&turn).await.memory.as_deref(), Some(b"7".as_slice()));

    link.stop.cancel();
    assert_eq!(link.ended().await, Ok(()));
    let after = bench.show(&turn, "too late").await;
    assert_eq!(after, Err(CallError::Unavailable("no link runs".to_owned())));
}

#[tokio::test]
async fn a_socket_that_the_vendor_closes_ends_the_link_with_its_code() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let vendor = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut socket = tokio_tungstenite::accept_async(stream).await.expect("a websocket");
        let close = tokio_tungstenite::tungstenite::protocol::CloseFrame {
            code: 4004.into(),
            reason: "no".into(),
        };
        socket.close(Some(close)).await.expect("closed");
        while let Some(Ok(_)) = socket.next().await {}
    });
    let mut plan = Plan::echo().setting("url", format!("ws://127.0.0.1:{port}/"));
    plan.api_base = format!("http://127.0.0.1:{port}/");
    let bench = plan.ready().await;
    let link = Link::start(&bench, SOON);
    assert_eq!(
        link.ended().await,
        Err(CallError::Unavailable("the socket closed with 4004".to_owned()))
    );
    vendor.await.expect("no panic");
}

#[tokio::test]
async fn a_socket_beyond_the_grant_is_refused() {
    let bench = Plan::echo().setting("url", "wss://evil.example/").ready().await;
    let link = Link::start(&bench, SOON);
    let error = link.ended().await.expect_err("refused");
    assert!(matches!(error, CallError::Rejected(_)), "{error:?}");
}

#[tokio::test]
async fn a_link_may_wait_for_longer_than_it_may_work() {
    let bench = hostile("patient").await;
    let began = std::time::Instant::now();
    assert_eq!(Link::start(&bench, SOON).ended().await, Ok(()));
    assert!(
        began.elapsed() > bench.limits.deadline * 10,
        "it waited {:?}",
        began.elapsed()
    );
    assert_eq!(bench.adapter.failures().0, 0);
}

#[tokio::test]
async fn a_link_that_works_without_waiting_is_ended() {
    for how in ["loop", "spin"] {
        let bench = hostile(how).await;
        let reason = trapped(Link::start(&bench, SOON).ended().await);
        assert_eq!(reason, "link: out of time: it worked for longer than 100 ms", "{how}");
        bench.works().await;
    }
}

#[tokio::test]
async fn a_link_that_does_not_stop_is_dropped_after_its_grace() {
    let bench = hostile("deaf").await;
    let link = Link::start(&bench, Duration::from_millis(50));
    link.stop.cancel();
    let reason = trapped(link.ended().await);
    assert_eq!(reason, "link: it was told to stop and did not within 50 ms");
}

#[tokio::test]
async fn a_slow_word_to_one_event_holds_up_no_other() {
    let bench = hostile("two").await;
    let mut link = Link::start(&bench, SOON);
    assert_eq!(
        [link.payload().await, link.payload().await],
        [b"slow".to_vec(), b"quick".to_vec()]
    );
    assert_eq!(link.said().await, "Happening::Emitted((2, Ok(None)))");
    link.slow.add_permits(1);
    assert_eq!(link.said().await, "Happening::Emitted((1, Ok(None)))");
    assert_eq!(link.ended().await, Ok(()));
}

#[tokio::test]
async fn a_link_that_takes_no_outcome_out_is_refused_in_the_end() {
    let bench = hostile("eager").await;
    let mut link = Link::start(&bench, SOON);
    let most = UNDER_WAY_MAX + UNTOLD_MAX - 1;
    for _ in 0..most {
        assert_eq!(link.payload().await, b"x");
    }
    assert_eq!(link.ended().await, Err(CallError::Gone(format!("{most} events"))));
}

#[tokio::test]
async fn a_link_may_not_remember_for_a_turn() {
    let bench = hostile("memory").await;
    let ended = Link::start(&bench, SOON).ended().await;
    assert_eq!(
        ended,
        Err(CallError::Rejected("`memory` may not be used in `link`".to_owned()))
    );
}

#[tokio::test]
async fn a_question_that_the_link_does_not_answer_may_have_been_done() {
    let bench = hostile("mute").await;
    let link = Link::start(&bench, SOON);
    let turn = bench.turn().await;
    // Until the link's mailbox is there, nobody is asked.
    let shown = loop {
        match bench.show(&turn, "tell-link hello").await {
            Err(CallError::Unavailable(_)) => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_eq!(
        shown,
        Err(CallError::Ambiguous("the link did not answer in time".to_owned()))
    );
    link.stop.cancel();
    assert_eq!(link.ended().await, Ok(()));
}

#[tokio::test]
async fn one_link_runs_at_a_time_and_can_be_started_again() {
    let bench = hostile("mute").await;
    let first = Link::start(&bench, SOON);
    while bench.adapter.bound.running_link().is_none() {
        tokio::task::yield_now().await;
    }
    let second = Link::start(&bench, SOON).ended().await;
    assert_eq!(second, Err(CallError::Unavailable("the link runs already".to_owned())));
    first.stop.cancel();
    assert_eq!(first.ended().await, Ok(()));
    let third = Link::start(&bench, SOON);
    third.stop.cancel();
    assert_eq!(third.ended().await, Ok(()));
}
