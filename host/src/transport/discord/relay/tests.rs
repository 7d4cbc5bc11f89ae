//! How a connection ends, without one: Discord's half is a channel.

use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, connect_async};

use super::super::IDENTIFY;
use super::super::tests::{Yard, yard};
use super::*;
use crate::chat::Health;
use crate::egress::Frame;

type Heard = mpsc::Sender<Result<Frame, (u16, String)>>;

struct Wired {
    yard: Yard,
    relay: Relay,
    talk: Talk,
    /// Discord says it here.
    upstream: Heard,
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
    let (send, _) = mpsc::channel(16);
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
        asked: true,
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

#[tokio::test]
async fn serenity_that_knocks_again_is_let_in_though_its_old_connection_stands() {
    let mut wired = wired().await;
    let again = tokio::spawn(connect_async(wired.relay.url().to_owned()));
    let ended = tokio::time::timeout(Duration::from_secs(5), wired.relay.hold(wired.talk)).await;
    assert!(matches!(ended.expect("it is noticed"), Ended::Knocked(_)));
    again.await.expect("no panic").expect("the new connection stands");
    assert_eq!(told(&mut wired.yard), Health::Connecting);
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
async fn hello_comes_to_serenity_before_it_has_a_session_and_never_after() {
    for (wants, comes) in [(false, true), (true, false)] {
        let mut wired = wired().await;
        (wired.talk.hello, wired.talk.wants) = (false, wants);
        let hello = Frame::Text(r#"{"op":10,"d":{"heartbeat_interval":41250}}"#.to_owned());
        wired.upstream.send(Ok(hello)).await.expect("heard");
        wired.upstream.send(Err((4000, String::new()))).await.expect("heard");
        wired.relay.hold(wired.talk).await;
        let mut heard = Vec::new();
        while let Some(Ok(message)) = wired.serenity.next().await {
            heard.push(message);
        }
        let told = heard
            .iter()
            .any(|message| matches!(message, Message::Text(text) if text.contains("\"op\":10")));
        assert_eq!(told, comes, "{heard:?}");
    }
}
