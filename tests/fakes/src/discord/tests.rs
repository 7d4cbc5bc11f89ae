//! What the fake takes and refuses: limits, nonces, buckets, and the gateway's sessions and close codes.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::*;

/// For what must come.
const LIMIT: Duration = Duration::from_secs(20);
const POSTS: &str = "/api/v10/channels/200000000000000001/messages";

fn request(method: &str, target: &str, kind: &str, body: Vec<u8>) -> Request {
    Request {
        method: method.into(),
        target: target.into(),
        authorization: Some(format!("Bot {TOKEN}")),
        content_type: Some(kind.into()),
        body,
    }
}

fn answer(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

fn post(world: &World, target: &str, body: &Value) -> Reply {
    world.request(&request(
        "POST",
        target,
        "application/json",
        body.to_string().into_bytes(),
    ))
}

/// Much is tried in no time.
fn unpaced() -> World {
    let world = World::new();
    world.unpaced();
    world
}

#[test]
fn limits_are_refused_by_code_and_field() {
    let world = unpaced();
    // The status and the code, and the field if one is named.
    let refused = |body: &Value| {
        let reply = post(&world, POSTS, body);
        let answer = answer(&reply);
        let field = answer["errors"]
            .as_object()
            .and_then(|fields| fields.keys().next().cloned());
        (reply.status, answer["code"].as_u64(), field.unwrap_or_default())
    };
    let fine = (200, None, String::new());
    let wrong = |field: &str| (400, Some(50_035), field.to_owned());
    let text = |count: usize| "\u{1f600}".repeat(count);
    assert_eq!(refused(&json!({ "content": text(2000) })), fine);
    assert_eq!(refused(&json!({ "content": text(2001) })), wrong("content"));
    assert_eq!(refused(&json!({ "content": 7 })), wrong("content"));
    assert_eq!(refused(&json!({ "content": " " })), (400, Some(50_006), String::new()));
    let embeds = |counts: &[usize]| {
        let all = counts.iter().map(|count| json!({ "description": text(*count) }));
        json!({ "embeds": all.collect::<Vec<_>>() })
    };
    assert_eq!(refused(&embeds(&[4096, 1904])), fine);
    assert_eq!(refused(&embeds(&[4097])), wrong("embeds"));
    assert_eq!(refused(&embeds(&[4096, 1905])), wrong("embeds"));
    assert_eq!(refused(&embeds(&[1; 11])), wrong("embeds"));
    let button = |id: usize| json!({ "type": 2, "style": 1, "label": "x", "custom_id": id.to_string() });
    let rows = |ids: &[&[usize]]| {
        let row =
            |ids: &&[usize]| json!({ "type": 1, "components": ids.iter().map(|id| button(*id)).collect::<Vec<_>>() });
        json!({ "components": ids.iter().map(row).collect::<Vec<_>>() })
    };
    assert_eq!(refused(&rows(&[&[1, 2, 3, 4, 5], &[6], &[7], &[8], &[9]])), fine);
    assert_eq!(refused(&rows(&[&[1, 2, 3, 4, 5, 6]])), wrong("components"));
    assert_eq!(
        refused(&rows(&[&[1], &[2], &[3], &[4], &[5], &[6]])),
        wrong("components")
    );
    assert_eq!(refused(&rows(&[&[1], &[1]])), wrong("components"));
    assert_eq!(refused(&json!({ "content": "x", "nonce": "n".repeat(25) })), fine);
    assert_eq!(
        refused(&json!({ "content": "x", "nonce": "n".repeat(26) })),
        wrong("nonce")
    );
    let other = post(&world, "/api/v10/channels/1/messages", &json!({ "content": "x" }));
    assert_eq!((other.status, answer(&other)["code"].clone()), (404, 10_003.into()));
}

#[test]
fn tokens_bodies_and_files_are_checked() {
    let world = unpaced();
    let status = |request: &Request| {
        let reply = world.request(request);
        (reply.status, answer(&reply)["code"].as_u64().unwrap_or(0))
    };
    let good = request("POST", POSTS, "application/json", br#"{"content":"x"}"#.to_vec());
    for token in [None, Some(format!("Bearer {TOKEN}")), Some("Bot other".to_owned())] {
        let asked = Request {
            authorization: token,
            ..good.clone()
        };
        assert_eq!(status(&asked), (401, 0));
    }
    assert_eq!(
        status(&request("POST", POSTS, "application/json", b"{".to_vec())),
        (400, 50_109)
    );
    let file = |bytes: usize| {
        let head = "--b\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a.csv\"\r\n\r\n";
        let body = [head.as_bytes(), &vec![b'x'; bytes], b"\r\n--b--\r\n"].concat();
        request("POST", POSTS, "multipart/form-data; boundary=b", body)
    };
    assert_eq!(status(&file(10 << 20)), (200, 0));
    assert_eq!(status(&file((10 << 20) + 1)), (413, 40_005));
    let files: Vec<_> = world
        .messages(GENERAL)
        .into_iter()
        .flat_map(|message| message.files)
        .collect();
    assert_eq!(files, [("a.csv".to_owned(), vec![b'x'; 10 << 20])]);
}

#[test]
fn enforced_nonce_makes_one_message_of_two_posts() {
    let world = unpaced();
    let posted = |body: Value| answer(&post(&world, POSTS, &body))["id"].clone();
    let first = posted(json!({ "content": "one", "nonce": "n", "enforce_nonce": true }));
    assert_eq!(
        posted(json!({ "content": "again", "nonce": "n", "enforce_nonce": true })),
        first
    );
    assert_ne!(
        posted(json!({ "content": "two", "nonce": "m", "enforce_nonce": true })),
        first
    );
    // Without the word for it a nonce does nothing.
    assert_ne!(posted(json!({ "content": "three", "nonce": "n" })), first);
    let said: Vec<String> = world.replies(GENERAL).iter().map(Message::read).collect();
    assert_eq!(said, ["one", "two", "three"]);
}

#[test]
fn bucket_of_a_channel_takes_five_calls_and_says_how_long_to_wait() {
    let world = World::new();
    let header = |reply: &Reply, name: &str| {
        let mut all = reply.headers.iter();
        all.find(|(found, _)| found == name).map(|(_, value)| value.clone())
    };
    let say = || post(&world, POSTS, &json!({ "content": "x" }));
    for left in (0..5).rev() {
        let reply = say();
        assert_eq!(reply.status, 200);
        assert_eq!(header(&reply, "x-ratelimit-remaining"), Some(left.to_string()));
    }
    let reply = say();
    assert_eq!(reply.status, 429);
    let pause = answer(&reply)["retry_after"].as_f64().expect("a pause");
    assert!((0.0..=5.0).contains(&pause), "{pause}");
    assert!(header(&reply, "retry-after").is_some());
    // An edit is in the same bucket, another channel is not.
    let there = world.replies(GENERAL)[0].id.clone();
    let edit = request("PATCH", &format!("{POSTS}/{there}"), "application/json", b"{}".to_vec());
    assert_eq!(world.request(&edit).status, 429);
    let elsewhere = format!("/api/v10/channels/{RANDOM}/messages");
    assert_eq!(post(&world, &elsewhere, &json!({ "content": "x" })).status, 200);
    assert_eq!(world.replies(GENERAL).len(), 5);
}

#[test]
fn everything_together_takes_fifty_calls_in_a_second() {
    let world = World::new();
    let me = request("GET", "/api/v10/users/@me", "application/json", Vec::new());
    for _ in 0..50 {
        assert_eq!(world.request(&me).status, 200);
    }
    let refused = world.request(&me);
    assert_eq!((refused.status, answer(&refused)["global"].clone()), (429, true.into()));
    let pause = answer(&refused)["retry_after"].as_f64().expect("a pause");
    assert!((0.0..=1.0).contains(&pause), "{pause}");
    let told: Vec<_> = refused
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    for header in [
        ("retry-after", "1"),
        ("x-ratelimit-global", "true"),
        ("x-ratelimit-scope", "global"),
    ] {
        assert!(told.contains(&header), "{told:?}");
    }
    assert_eq!(post(&world, POSTS, &json!({ "content": "x" })).status, 429);
    // What has a ticket is outside of it: there is none of this name, which is another refusal.
    let ticketed = post(&world, "/api/v10/interactions/1/t/callback", &json!({ "type": 5 }));
    assert_eq!(ticketed.status, 404);
}

/// A connection with the gateway.
struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn open(url: &str) -> Self {
        Self(tokio_tungstenite::connect_async(url).await.expect("a socket").0)
    }

    /// A good one, which has heard the hello.
    async fn greeted(discord: &Discord, path: &str) -> Self {
        let base = discord.url().replacen("http", "ws", 1);
        let mut client = Self::open(&format!("{base}{path}?v=10&encoding=json")).await;
        assert_eq!(client.next().await.expect("a hello")["op"], 10);
        client
    }

    async fn say(&mut self, text: String) {
        self.0.send(Frame::text(text)).await.expect("it is sent");
    }

    /// What comes next, or the code that it is closed with.
    async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let frame = tokio::time::timeout(LIMIT, self.0.next())
                .await
                .expect("a frame in time");
            match frame.expect("the connection goes on").expect("a frame") {
                Frame::Text(text) => return Ok(serde_json::from_str(text.as_str()).expect("JSON")),
                Frame::Close(frame) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                _ => {}
            }
        }
    }

    /// The dispatch that comes next: number, name and data.
    async fn dispatch(&mut self) -> (u64, String, Value) {
        let frame = self.next().await.expect("a dispatch");
        assert_eq!(frame["op"], 0, "{frame}");
        let text = frame["t"].as_str().unwrap_or_default().to_owned();
        (frame["s"].as_u64().unwrap_or(0), text, frame["d"].clone())
    }

    /// The session's id and where it is resumed.
    async fn ready(&mut self) -> (String, String) {
        self.say(identify(&json!({}))).await;
        let (seq, name, ready) = self.dispatch().await;
        assert_eq!((seq, name.as_str()), (1, "READY"));
        assert_eq!(self.dispatch().await.1, "GUILD_CREATE");
        let text = |name: &str| ready[name].as_str().expect("it is told").to_owned();
        (text("session_id"), text("resume_gateway_url"))
    }
}

/// Every intent that the fake tells by; `but` changes a field.
fn identify(but: &Value) -> String {
    let mut data = json!({ "token": TOKEN, "intents": (1 << 16) - 1, "properties": {}, "shard": [0, 1] });
    for (name, value) in but.as_object().into_iter().flatten() {
        data[name] = value.clone();
    }
    json!({ "op": 2, "d": data }).to_string()
}

fn resume(session: &str, seq: u64) -> String {
    json!({ "op": 6, "d": { "token": TOKEN, "session_id": session, "seq": seq } }).to_string()
}

#[tokio::test]
async fn session_is_resumed_with_what_was_missed_and_no_more() {
    let discord = Discord::start().await;
    let mut client = Client::greeted(&discord, "/gateway").await;
    let (session, at) = client.ready().await;
    discord.world.say(DIRECT, ANN, "heard");
    let (seq, name, heard) = client.dispatch().await;
    assert_eq!(
        (seq, name.as_str(), &heard["content"]),
        (3, "MESSAGE_CREATE", &"heard".into())
    );
    client.say(json!({ "op": 1, "d": 3 }).to_string()).await;
    assert_eq!(client.next().await.expect("it is answered")["op"], 11);
    discord.world.cut_gateway();
    discord.world.say(DIRECT, ANN, "missed");

    let mut client = Client::open(&format!("{at}?v=10&encoding=json")).await;
    assert_eq!(client.next().await.expect("a hello")["op"], 10);
    client.say(resume(&session, 3)).await;
    let (seq, _, missed) = client.dispatch().await;
    assert_eq!((seq, &missed["content"]), (4, &"missed".into()));
    assert_eq!(client.dispatch().await.1, "RESUMED");
    assert_eq!(discord.world.connected(), 1);
    // It ended well: there is nothing to resume.
    let well = CloseFrame {
        code: 1000.into(),
        reason: "".into(),
    };
    client.0.close(Some(well)).await.expect("it is closed");
    let mut client = Client::open(&format!("{at}?v=10&encoding=json")).await;
    assert_eq!(client.next().await.expect("a hello")["op"], 10);
    discord
        .world
        .wait_for(LIMIT, "the end", |world| (world.connected() == 0).then_some(()))
        .await;
    client.say(resume(&session, 5)).await;
    assert_eq!(client.next().await.expect("a word")["op"], 9);
    let faults: Vec<String> = discord.world.gateway_log();
    assert!(!faults.iter().any(|line| line.starts_with("fault")), "{faults:?}");
    discord.stop().await;
}

#[tokio::test]
async fn session_that_is_not_known_is_invalid_and_one_from_the_future_is_closed() {
    let discord = Discord::start().await;
    let mut client = Client::greeted(&discord, "/gateway").await;
    let (session, _) = client.ready().await;
    let mut other = Client::greeted(&discord, "/resume/x").await;
    other.say(resume("nobody's", 1)).await;
    let invalid = other.next().await.expect("a word");
    assert_eq!((&invalid["op"], &invalid["d"]), (&9.into(), &false.into()));
    other.say(resume(&session, 99)).await;
    assert_eq!(other.next().await, Err(4007));
    discord.world.forget_session();
    let mut other = Client::greeted(&discord, "/resume/x").await;
    other.say(resume(&session, 1)).await;
    assert_eq!(other.next().await.expect("a word")["op"], 9);
    // A second identify within five seconds is refused, and said to be a fault.
    other.say(identify(&json!({}))).await;
    assert_eq!(other.next().await.expect("a word")["op"], 9);
    assert!(
        discord
            .world
            .gateway_log()
            .contains(&"fault identified too soon".to_owned())
    );
    discord.stop().await;
}

#[tokio::test]
async fn connections_are_closed_with_the_code_of_what_is_wrong() {
    let discord = Discord::start().await;
    discord.world.application(false, None);
    let frame = |op: u64| json!({ "op": op, "d": {} }).to_string();
    let wrong = [
        (frame(99), 4001),
        ("{".to_owned(), 4002),
        (json!({ "op": 1, "d": "x".repeat(4096) }).to_string(), 4002),
        (frame(3), 4003),
        (identify(&json!({ "token": "other" })), 4004),
        (identify(&json!({ "shard": [1, 1] })), 4010),
        (identify(&json!({ "intents": 1_u64 << 27 })), 4013),
        (identify(&json!({})), 4014),
    ];
    for (text, code) in wrong {
        let mut client = Client::greeted(&discord, "/gateway").await;
        client.say(text.clone()).await;
        assert_eq!(client.next().await, Err(code), "{text}");
    }
    let base = discord.url().replacen("http", "ws", 1);
    let mut old = Client::open(&format!("{base}/gateway?v=9")).await;
    assert_eq!(old.next().await, Err(4012));
    discord.world.sharding(2, 1000);
    let mut alone = Client::greeted(&discord, "/gateway").await;
    alone.say(identify(&json!({}))).await;
    assert_eq!(alone.next().await, Err(4011));

    discord.world.sharding(1, 1000);
    discord.world.application(true, None);
    let mut client = Client::greeted(&discord, "/gateway").await;
    client.ready().await;
    client.say(identify(&json!({}))).await;
    assert_eq!(client.next().await, Err(4005));
    let mut client = Client::greeted(&discord, "/gateway").await;
    for _ in 0..120 {
        client.say(json!({ "op": 1, "d": null }).to_string()).await;
        assert_eq!(client.next().await.expect("it is answered")["op"], 11);
    }
    client.say(json!({ "op": 1, "d": null }).to_string()).await;
    assert_eq!(client.next().await, Err(4008));
    discord.stop().await;
}
