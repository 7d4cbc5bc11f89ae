//! How a connection ends, without one: Discord's half is a channel.

use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, connect_async};

use super::super::IDENTIFY;
use super::super::tests::{Yard, yard};
use super::*;
use crate::chat::Health;
use crate::egress::Frame;
use crate::manifest::Placement;

const HELLO: &str = r#"{"op":10,"d":{"heartbeat_interval":41250}}"#;

type Heard = mpsc::Sender<Result<Frame, (u16, String)>>;

struct Wired {
    yard: Yard,
    relay: Relay,
    talk: Talk,
    /// Discord says it here.
    upstream: Heard,
    /// What Discord is told.
    said: mpsc::Receiver<(Frame, Vec<Placement>)>,
    /// What serenity's half would be.
    serenity: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

async fn wired() -> Wired {
    let yard = yard().await;
    let directions = Directions {
        url: "ws://127.0.0.1:9".to_owned(),
        shards: 1,
        left: 1,
        reset: Duration::ZERO,
    };
    let (tell, _) = mpsc::channel(16);
    let (_, progress) = watch::channel(Progress::default());
    let relay = Relay::open(Arc::clone(&yard.gateway), 0, &directions, tell, progress)
        .await
        .expect("loopback");
    let url = relay.url().to_owned();
    let (local, serenity) = tokio::join!(relay.door.accept(), connect_async(url));
    let (send, said) = mpsc::channel(16);
    let (upstream, receive) = mpsc::channel(16);
    let talk = Talk {
        local,
        upstream: Upstream {
            send,
            receive,
            close: None,
        },
        interval: Duration::from_secs(41),
        hello: true,
        wants: true,
        asked: Some(Instant::now()),
        answered: true,
        turn: None,
        due: None,
        since: Instant::now(),
    };
    yard.gateway.report(0, Health::Live);
    Wired {
        yard,
        relay,
        talk,
        upstream,
        said,
        serenity: serenity.expect("a connection").0,
    }
}

/// So long after the connection began.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// What was told last.
fn told(yard: &mut Yard) -> Health {
    let mut last = Health::Live;
    while let Ok(health) = yard.reports.try_recv() {
        last = health;
    }
    last
}

#[tokio::test]
async fn shard_that_is_asked_to_reconnect_is_not_live() {
    let mut wired = wired().await;
    let frame = Frame::Text(r#"{"op":7,"d":null}"#.to_owned());
    wired.upstream.send(Ok(frame)).await.expect("heard");
    wired.relay.hold(wired.talk).await;
    assert_eq!(told(&mut wired.yard), Health::Connecting);
}

#[tokio::test]
async fn good_connection_that_died_in_silence_is_opened_again_at_once() {
    for (age, pause) in [(GOOD * 2, Duration::ZERO), (GOOD / 2, Duration::from_secs(32))] {
        let mut wired = wired().await;
        // Of a time long ago, when Discord could not be reached.
        wired.relay.pause = Duration::from_secs(32);
        later(age).await;
        wired.talk.due = Some(Instant::now());
        let now = Instant::now();
        wired.relay.hold(wired.talk).await;
        let health = told(&mut wired.yard);
        assert!(
            matches!(&health, Health::Degraded { why, .. } if why.contains("in silence")),
            "{health:?}"
        );
        let waits = wired.relay.not_before.duration_since(now);
        assert!(
            waits >= pause && waits < pause + Duration::from_secs(5),
            "{waits:?} after {age:?}"
        );
    }
}

#[tokio::test]
async fn answer_that_was_not_read_yet_is_no_silence() {
    let mut wired = wired().await;
    wired.talk.due = Some(Instant::now());
    let answer = Frame::Text(r#"{"op":11}"#.to_owned());
    wired.upstream.send(Ok(answer)).await.expect("heard");
    wired.upstream.send(Err((4000, String::new()))).await.expect("heard");
    later(Duration::from_secs(1)).await;
    wired.relay.hold(wired.talk).await;
    let health = told(&mut wired.yard);
    assert!(
        matches!(&health, Health::Degraded { why, .. } if why.contains("closed the connection")),
        "{health:?}"
    );
}

#[tokio::test]
async fn identify_that_discord_never_answers_does_not_hold_up_other_shards_for_ever() {
    let mut wired = wired().await;
    let gateway = Arc::clone(&wired.yard.gateway);
    wired.talk.turn = Some(gateway.may_identify().await);
    later(IDENTIFY).await;
    let others = tokio::time::timeout(Duration::from_secs(5), gateway.identify.acquire());
    tokio::select! {
        _ = wired.relay.hold(wired.talk) => panic!("the connection goes on"),
        turn = others => drop(turn.expect("the turn is over").expect("never closed")),
    }
}

/// What Discord is told next.
async fn told_discord(said: &mut mpsc::Receiver<(Frame, Vec<Placement>)>) -> Value {
    match said.recv().await {
        Some((Frame::Text(text), _)) => serde_json::from_str(&text).expect("JSON"),
        other => panic!("no text: {other:?}"),
    }
}

#[tokio::test]
async fn serenity_that_connects_anew_speaks_on_over_the_same_connection_with_discord() {
    let mut wired = wired().await;
    wired.relay.hello = Some(HELLO.to_owned());
    let url = wired.relay.url().to_owned();
    let (mut old, mut said) = (wired.serenity, wired.said);
    let beats = async {
        let beat = || Message::text(r#"{"op":1,"d":null}"#);
        let (mut newer, _) = connect_async(url)
            .await
            .expect("the new connection stands beside the old one");
        let greeting = tokio::time::timeout(Duration::from_secs(5), newer.next()).await;
        assert_eq!(
            greeting.expect("a greeting").expect("more").expect("a frame"),
            Message::text(HELLO)
        );
        newer.send(beat()).await.expect("it stands");
        assert_eq!(told_discord(&mut said).await["op"], 1);
        // The old one is over.
        let _ = old.send(beat()).await;
        while let Some(Ok(_)) = old.next().await {}
    };
    tokio::select! {
        _ = wired.relay.hold(wired.talk) => panic!("the connection goes on"),
        () = beats => {}
    }
    let reports = std::iter::from_fn(|| wired.yard.reports.try_recv().ok());
    assert_eq!(
        reports.filter(|health| *health != Health::Live).count(),
        0,
        "Discord was not lost"
    );
}

#[tokio::test]
async fn stranger_that_says_nothing_does_not_hold_serenity_up() {
    let mut wired = wired().await;
    let url = wired.relay.url().to_owned();
    let host = url
        .trim_start_matches("ws://")
        .split('/')
        .next()
        .expect("a host")
        .to_owned();
    let visits = async {
        let _silent = TcpStream::connect(host).await.expect("it is taken");
        let came = tokio::time::timeout(door::HANDSHAKE / 2, connect_async(url)).await;
        came.expect("in time").expect("it stands");
    };
    tokio::select! {
        _ = wired.relay.hold(wired.talk) => panic!("the connection goes on"),
        () = visits => {}
    }
}

#[tokio::test]
async fn stranger_that_knocks_ends_nothing() {
    let mut wired = wired().await;
    let strange = connect_async(format!("{}x", wired.relay.url()));
    tokio::select! {
        _ = wired.relay.hold(wired.talk) => panic!("the connection goes on"),
        refused = strange => assert!(refused.is_err()),
    }
}

#[tokio::test]
async fn hello_of_discords_is_handed_on_once_and_said_by_the_relay_from_then_on() {
    for (known, comes) in [(false, true), (true, false)] {
        let mut wired = wired().await;
        wired.relay.hello = known.then(|| HELLO.to_owned());
        wired
            .upstream
            .send(Ok(Frame::Text(HELLO.to_owned())))
            .await
            .expect("heard");
        wired.upstream.send(Err((4000, String::new()))).await.expect("heard");
        wired.relay.hold(wired.talk).await;
        let mut heard = Vec::new();
        while let Some(Ok(message)) = wired.serenity.next().await {
            heard.push(message);
        }
        assert_eq!(heard.contains(&Message::text(HELLO)), comes, "{heard:?}");
        assert_eq!(wired.relay.hello.as_deref(), Some(HELLO));
    }
}

#[tokio::test]
async fn session_that_discord_never_gives_is_asked_for_anew() {
    let mut wired = wired().await;
    wired.talk.asked = Some(Instant::now());
    wired.talk.answered = false;
    later(Duration::from_secs(120)).await;
    let ended = tokio::time::timeout(Duration::from_secs(5), wired.relay.hold(wired.talk)).await;
    ended.expect("it is noticed");
    let health = told(&mut wired.yard);
    assert!(
        matches!(&health, Health::Degraded { why, .. } if why.contains("did not answer")),
        "{health:?}"
    );
}

#[tokio::test]
async fn call_to_discord_goes_on_while_serenity_comes_and_goes() {
    let Wired {
        mut yard,
        mut relay,
        talk,
        serenity,
        ..
    } = wired().await;
    drop((talk, serenity));
    // It takes the call and says nothing.
    relay.gateway_url = yard.gateway.managed.api_base.replace("http", "ws");
    let url = relay.url().to_owned();
    let visits = async {
        let mut calls = Vec::new();
        for visit in 0..3 {
            let (mut serenity, _) = connect_async(&url).await.expect("it stands");
            let beat = Message::text(r#"{"op":1,"d":null}"#);
            serenity.send(beat).await.expect("heard");
            let answer = serenity.next().await.expect("an answer").expect("a frame");
            assert_eq!(answer, Message::text(r#"{"op":11}"#));
            if visit == 0 {
                calls.push(yard.asked.recv().await.expect("a call"));
            }
        }
        let again = tokio::time::timeout(Duration::from_millis(300), yard.asked.recv()).await;
        assert!(again.is_err(), "it is called once");
    };
    tokio::select! {
        _ = relay.run() => panic!("nothing ended it"),
        () = visits => {}
    }
}
