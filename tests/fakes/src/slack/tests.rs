//! The fake itself: limits by name, troubles, cut connections, signatures.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn call(workspace: &Workspace, method: &str, body: &Value) -> (u16, Value) {
    let reply = workspace.request(&Request {
        method: "POST".into(),
        target: format!("/api/{method}"),
        authorization: Some(format!("Bearer {BOT_TOKEN}")),
        content_type: Some("application/json; charset=utf-8".into()),
        body: body.to_string().into_bytes(),
    });
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
}

/// Much is tried in no time.
fn unpaced() -> Workspace {
    let team = Workspace::new();
    team.unpaced();
    team
}

fn error(workspace: &Workspace, method: &str, body: &Value) -> String {
    call(workspace, method, body).1["error"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}

#[test]
fn limits_are_refused_by_name() {
    let team = unpaced();
    let post = |body: Value| error(&team, "chat.postMessage", &body);
    let markdown = |count: usize| json!({ "type": "markdown", "text": "x".repeat(count) });
    assert_eq!(post(json!({ "channel": "C9", "text": "x" })), "channel_not_found");
    assert_eq!(post(json!({ "channel": "C1" })), "no_text");
    assert_eq!(post(json!({ "channel": "C1", "blocks": [markdown(12_000)] })), "none");
    assert_eq!(
        post(json!({ "channel": "C1", "blocks": [markdown(12_001)] })),
        "invalid_blocks"
    );
    assert_eq!(
        post(json!({ "channel": "C1", "blocks": [markdown(6_500), markdown(6_672)] })),
        "none"
    );
    assert_eq!(
        post(json!({ "channel": "C1", "blocks": [markdown(6_500), markdown(6_673)] })),
        "msg_blocks_too_long"
    );
    assert_eq!(
        post(json!({ "channel": "C1", "blocks": vec![json!({ "type": "divider" }); 51] })),
        "invalid_blocks"
    );
    assert_eq!(post(json!({ "channel": "C1", "blocks": "x" })), "invalid_blocks_format");
    assert_eq!(
        post(json!({ "channel": "C1", "text": "x", "metadata": { "event_type": "a" } })),
        "invalid_metadata_format"
    );
    assert_eq!(
        post(json!({ "channel": "C1", "text": "x", "thread_ts": "1.000001" })),
        "thread_not_found"
    );
    assert_eq!(
        error(
            &team,
            "chat.update",
            &json!({ "channel": "C1", "ts": "1.000001", "text": "x" })
        ),
        "message_not_found"
    );
    assert_eq!(error(&team, "chat.shout", &json!({})), "unknown_method");
}

#[test]
fn a_wrong_block_is_named_with_its_place() {
    let team = Workspace::new();
    let button = json!({ "type": "button", "text": { "type": "mrkdwn", "text": "x" }, "style": "loud" });
    let blocks = json!([{ "type": "actions", "elements": [button] }, { "type": "input" }]);
    let (_, answer) = call(&team, "chat.postMessage", &json!({ "channel": "C1", "blocks": blocks }));
    assert_eq!(
        answer,
        json!({
            "ok": false, "error": "invalid_blocks",
            "response_metadata": { "messages": [
                "[ERROR] unsupported type: mrkdwn [json-pointer:/blocks/0/elements/0/text/type]",
                "[ERROR] must be one of: primary, danger [json-pointer:/blocks/0/elements/0/style]",
                "[ERROR] unsupported type: input [json-pointer:/blocks/1/type]",
            ]},
        })
    );
}

#[test]
fn tokens_and_bodies_are_checked() {
    let team = Workspace::new();
    let ask = |authorization: Option<&str>, kind: Option<&str>, body: &str| {
        let reply = team.request(&Request {
            method: "POST".into(),
            target: "/api/chat.postMessage".into(),
            authorization: authorization.map(str::to_owned),
            content_type: kind.map(str::to_owned),
            body: body.into(),
        });
        serde_json::from_slice::<Value>(&reply.body).expect("JSON")["error"]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    };
    let good = format!("Bearer {BOT_TOKEN}");
    let json = Some("application/json");
    assert_eq!(ask(None, json, "{}"), "not_authed");
    assert_eq!(ask(Some("Bearer xoxb-other"), json, "{}"), "invalid_auth");
    assert_eq!(ask(Some(&good), json, "{"), "invalid_json");
    assert_eq!(ask(Some(&good), None, "{}"), "missing_post_type");
    assert_eq!(ask(Some(&good), Some("text/html"), "{}"), "invalid_post_type");
    assert_eq!(
        ask(
            Some(&good),
            Some("application/x-www-form-urlencoded"),
            "channel=C1&text=hi"
        ),
        "none"
    );
    team.set_scopes(&["users:read"]);
    assert_eq!(ask(Some(&good), json, "{}"), "missing_scope");
    team.revoke();
    assert_eq!(ask(Some(&good), json, "{}"), "token_revoked");
}

/// How often a call is taken before one is refused, and how long to wait then, in seconds.
fn taken(workspace: &Workspace, method: &str, body: &Value) -> (usize, u64) {
    for taken in 0..=2_000 {
        let reply = workspace.request(&Request {
            method: "POST".into(),
            target: format!("/api/{method}"),
            authorization: Some(format!("Bearer {BOT_TOKEN}")),
            content_type: Some("application/json".into()),
            body: body.to_string().into_bytes(),
        });
        if reply.status != 200 {
            assert_eq!(reply.status, 429);
            assert_eq!(reply.body, br#"{"error":"ratelimited","ok":false}"#);
            let mut headers = reply.headers.iter();
            let wait = headers.find(|(name, _)| name == "retry-after").expect("a pause");
            return (taken, wait.1.parse().expect("whole seconds"));
        }
    }
    unreachable!("some call is refused")
}

#[test]
fn each_method_is_taken_as_often_as_its_tier_says() {
    let team = Workspace::new();
    for (method, calls) in [
        ("chat.startStream", 20),
        ("chat.stopStream", 20),
        ("chat.update", 50),
        ("chat.delete", 50),
        ("reactions.add", 50),
        ("conversations.info", 50),
        ("conversations.replies", 50),
        ("conversations.history", 50),
        ("conversations.open", 50),
        ("assistant.threads.setStatus", 50),
        ("agents.sessions.setStatus", 50),
        ("chat.appendStream", 100),
        ("chat.postEphemeral", 100),
        ("users.info", 100),
        ("views.open", 100),
        ("files.info", 100),
        ("files.getUploadURLExternal", 100),
        ("files.completeUploadExternal", 100),
    ] {
        // What a call is refused for otherwise does not count less.
        let (taken, wait) = taken(&team, method, &json!({}));
        assert_eq!(taken, calls, "{method}");
        assert!((59..=60).contains(&wait), "{method}: {wait}");
    }
    team.unpaced();
    assert_eq!(error(&team, "chat.update", &json!({})), "channel_not_found");
}

#[test]
fn posts_are_paced_per_channel() {
    let team = Workspace::new();
    for channel in ["C1", "D1"] {
        let (taken, wait) = taken(&team, "chat.postMessage", &json!({ "channel": channel, "text": "x" }));
        assert_eq!((taken, wait), (3, 3), "{channel}");
        assert_eq!(team.replies(channel).len(), 3, "what is refused is not done");
    }
}

#[test]
fn threads_and_histories_are_read_as_slack_reads_them() {
    let team = Workspace::new();
    let parent = team.say("C1", "U1", "parent", None);
    call(
        &team,
        "chat.postMessage",
        &json!({
            "channel": "C1", "text": "reply", "thread_ts": parent,
            "metadata": { "event_type": "botyard", "event_payload": { "id": "n" } },
        }),
    );
    let get = |target: String| {
        let authorization = Some(format!("Bearer {BOT_TOKEN}"));
        let reply = team.request(&Request {
            method: "GET".into(),
            target,
            authorization,
            ..Request::default()
        });
        let answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
        let read = |m: &Value| {
            (
                m["text"].as_str().unwrap_or_default().to_owned(),
                m["metadata"]["event_payload"]["id"].clone(),
            )
        };
        answer["messages"]
            .as_array()
            .expect("messages")
            .iter()
            .map(read)
            .collect::<Vec<_>>()
    };
    let replies = format!("/api/conversations.replies?channel=C1&ts={parent}");
    assert_eq!(
        get(replies.clone()),
        [("parent".into(), Value::Null), ("reply".into(), Value::Null)]
    );
    assert_eq!(
        get(format!("{replies}&include_all_metadata=true"))[1],
        ("reply".into(), "n".into())
    );
    assert_eq!(
        get("/api/conversations.history?channel=C1".into()),
        [("parent".into(), Value::Null)]
    );
}

/// One request over a socket of its own; what came back.
async fn over_http(slack: &Slack, text: &str) -> String {
    let address = slack.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await.expect("loopback");
    let body = json!({ "channel": "C1", "text": text }).to_string();
    let head = format!(
        "POST /api/chat.postMessage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BOT_TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = String::new();
    // A reset is an answer too: none.
    drop(stream.read_to_string(&mut answer).await);
    answer
}

#[tokio::test]
async fn a_cut_connection_says_nothing_although_it_was_done() {
    let slack = Slack::start().await;
    slack.workspace.trouble(Some("chat.postMessage"), Trouble::Cut);
    assert_eq!(over_http(&slack, "one").await, "");
    slack.workspace.trouble(None, Trouble::CutBefore);
    assert_eq!(over_http(&slack, "two").await, "");
    slack.workspace.trouble(None, Trouble::RateLimited { seconds: 7 });
    let limited = over_http(&slack, "three").await.to_ascii_lowercase();
    assert!(
        limited.starts_with("http/1.1 429") && limited.contains("retry-after: 7"),
        "{limited}"
    );
    assert!(over_http(&slack, "four").await.contains(r#""ok":true"#));
    let said: Vec<String> = slack.workspace.replies("C1").iter().map(Message::read).collect();
    assert_eq!(said, ["one", "four"]);
    slack.stop().await;
}

#[tokio::test]
async fn events_are_signed_as_slack_signs() {
    // The example of docs.slack.dev/authentication/verifying-requests-from-slack.
    let sender = Sender::new(Workspace::new(), "http://127.0.0.1:1/");
    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signed = Sender {
        secret: "8f742231b10e8888abcd99yyyzzz85a5".into(),
        ..sender
    }
    .sign(body, 1_531_420_618);
    assert_eq!(
        signed[1].1,
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    );
}

#[tokio::test]
async fn a_hook_hears_what_slack_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("http://{}/hook/team", listener.local_addr().expect("bound"));
    let hook = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a request");
        let mut request = Vec::new();
        let mut part = [0; 4096];
        loop {
            let count = stream.read(&mut part).await.expect("read");
            request.extend_from_slice(&part[..count]);
            if request.ends_with(b"}") {
                break;
            }
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .expect("written");
        String::from_utf8(request).expect("text")
    });
    let sender = Sender::new(Workspace::new(), url);
    let heard = sender
        .json(&json!({ "type": "x" }), &Sender::retry(1))
        .await
        .expect("an answer");
    assert_eq!(
        heard,
        Heard {
            status: 200,
            body: "ok".into()
        }
    );
    let request = hook.await.expect("the hook");
    for part in [
        "POST /hook/team HTTP/1.1",
        "X-Slack-Signature: v0=",
        "X-Slack-Retry-Num: 1",
        "X-Slack-Retry-Reason: http_timeout",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}
