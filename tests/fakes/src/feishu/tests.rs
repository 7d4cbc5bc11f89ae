//! What the fake takes and refuses.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

struct Client {
    tenant: Tenant,
    token: String,
}

fn client() -> Client {
    let tenant = Tenant::new();
    let mut client = Client {
        tenant,
        token: String::new(),
    };
    client.token = client.mint(APP_SECRET)["tenant_access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    client
}

impl Client {
    fn call(&self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let reply = self.tenant.request(&Request {
            method: method.into(),
            target: format!("/open-apis/{target}"),
            authorization: Some(format!("Bearer {}", self.token)),
            content_type: Some("application/json".into()),
            body: if body.is_null() {
                Vec::new()
            } else {
                body.to_string().into_bytes()
            },
        });
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    fn code(&self, method: &str, target: &str, body: &Value) -> i64 {
        self.call(method, target, body).1["code"].as_i64().expect("a code")
    }

    fn mint(&self, secret: &str) -> Value {
        let body = json!({ "app_id": APP_ID, "app_secret": secret });
        self.call("POST", "auth/v3/tenant_access_token/internal", &body).1
    }

    fn send(&self, kind: &str, content: &Value, uuid: &str) -> Value {
        let body = json!({ "receive_id": GROUP, "msg_type": kind, "content": content.to_string(), "uuid": uuid });
        self.call("POST", "im/v1/messages?receive_id_type=chat_id", &body).1
    }

    fn card(&self, card: &Value) -> Value {
        let body = json!({ "type": "card_json", "data": card.to_string() });
        self.call("POST", "cardkit/v1/cards", &body).1
    }
}

fn card_of(elements: &Value, streaming: bool) -> Value {
    json!({
        "schema": "2.0", "config": { "update_multi": true, "streaming_mode": streaming },
        "body": { "elements": elements },
    })
}

fn markdown(id: &str, text: &str) -> Value {
    json!({ "tag": "markdown", "element_id": id, "content": text })
}

#[test]
fn tokens_are_needed_given_again_and_end() {
    let client = client();
    let info = |client: &Client| client.code("GET", "bot/v3/info", &Value::Null);
    assert_eq!(info(&client), 0);
    assert_eq!(client.mint(APP_SECRET)["tenant_access_token"], client.token.as_str());
    assert_eq!(client.mint("guessed")["code"], 10_014);
    client.tenant.expire_tokens();
    assert_eq!(info(&client), 99_991_663);
    assert_ne!(client.mint(APP_SECRET)["tenant_access_token"], client.token.as_str());
    client.tenant.change_secret();
    assert_eq!(client.mint(APP_SECRET)["code"], 10_014);
}

#[test]
fn a_send_with_the_same_uuid_stands_there_once() {
    let client = client();
    let first = client.send("text", &json!({ "text": "hi" }), "u1");
    let again = client.send("text", &json!({ "text": "hi" }), "u1");
    assert_eq!(first["data"]["message_id"], again["data"]["message_id"]);
    client.send("text", &json!({ "text": "hi" }), "u2");
    assert_eq!(client.tenant.replies(GROUP).len(), 2);
}

#[test]
fn contents_have_their_kinds_and_sizes() {
    let client = client();
    // Much is tried in no time.
    client.tenant.unpaced();
    let code = |kind: &str, content: &Value| client.send(kind, content, "")["code"].as_i64();
    assert_eq!(code("text", &json!({ "text": "x".repeat(150 << 10) })), Some(230_025));
    assert_eq!(code("text", &json!({ "words": "x" })), Some(230_001));
    assert_eq!(code("image", &json!({ "image_key": "img_unknown" })), Some(230_001));
    assert_eq!(
        code(
            "post",
            &json!({ "zh_cn": { "content": [[{ "tag": "md", "text": "x" }]] } })
        ),
        Some(0)
    );
    let long = card_of(&json!([markdown("a", &"x".repeat(31 << 10))]), false);
    assert_eq!(code("interactive", &long), Some(230_025));
    assert_eq!(
        code("interactive", &card_of(&json!([markdown("a", "x")]), false)),
        Some(0)
    );
}

#[test]
fn cards_are_checked() {
    let client = client();
    let code = |elements: Value| {
        client.card(&card_of(&elements, false))["code"]
            .as_i64()
            .expect("a code")
    };
    assert_eq!(code(json!([markdown("a", "x")])), 0);
    assert_eq!(code(json!([markdown("a", "")])), 300_301, "empty");
    assert_eq!(
        code(json!([markdown("a", "x"), markdown("a", "y")])),
        300_301,
        "an id twice"
    );
    assert_eq!(
        code(json!([markdown("1a", "x")])),
        300_301,
        "an id begins with a letter"
    );
    assert_eq!(code(json!([{ "tag": "blink" }])), 300_301);
    assert_eq!(code(json!([markdown("a", "![x](https://x/y.png)")])), 300_302);
    assert_eq!(code(json!([markdown("a", "`![x](https://x/y.png)`")])), 0, "code");
    let table = "| a |\n| - |\n| 1 |\n\n";
    assert_eq!(code(json!([markdown("a", &table.repeat(5))])), 0);
    assert_eq!(code(json!([markdown("a", &table.repeat(6))])), 230_099);
    let many: Vec<Value> = (0..201).map(|n| markdown(&format!("a{n}"), "x")).collect();
    assert_eq!(code(many.into()), 300_305);
    let input = json!({ "tag": "input", "name": "why" });
    let form = |elements: Value| json!([{ "tag": "form", "name": "f", "elements": elements }]);
    let submit = json!({
        "tag": "button", "name": "s", "form_action_type": "submit", "text": { "tag": "plain_text", "content": "Send" },
        "behaviors": [{ "type": "callback", "value": {} }],
    });
    assert_eq!(code(form(json!([input, submit]))), 0);
    assert_eq!(code(form(json!([input]))), 300_301, "nothing sends it");
    assert_eq!(code(form(json!([input, input, submit]))), 300_301, "a name twice");
    assert_eq!(code(json!([submit])), 300_301, "it sends no form");
}

#[test]
fn an_entity_streams_in_rising_order_until_it_is_closed() {
    let client = client();
    let made = client.card(&card_of(&json!([markdown("a", "x")]), true));
    let id = made["data"]["card_id"].as_str().expect("an id").to_owned();
    let stream = |text: &str, sequence: i64, uuid: &str| {
        let body = json!({ "content": text, "sequence": sequence, "uuid": uuid });
        client.code("PUT", &format!("cardkit/v1/cards/{id}/elements/a/content"), &body)
    };
    let text = || client.tenant.card(&id).expect("it is there").0["body"]["elements"][0]["content"].clone();
    assert_eq!(stream("xy", 5, "1"), 0);
    assert_eq!(stream("xyz", 5, "2"), 300_317);
    assert_eq!(stream("xyz", 4, "3"), 300_317);
    assert_eq!(stream("other", 6, "1"), 0, "it was done already");
    assert_eq!(text(), "xy");
    let sent = json!({ "type": "card", "data": { "card_id": id } });
    let message = client.send("interactive", &sent, "")["data"]["message_id"].clone();
    assert_eq!(
        client.send("interactive", &sent, "")["code"],
        230_099,
        "an entity is sent once"
    );
    let shown = client
        .tenant
        .message(message.as_str().expect("an id"))
        .expect("it is there");
    assert_eq!(shown.read(), "xy");
    let settings = json!({ "settings": "{\"config\":{\"streaming_mode\":false}}", "sequence": 7, "uuid": "4" });
    assert_eq!(
        client.code("PATCH", &format!("cardkit/v1/cards/{id}/settings"), &settings),
        0
    );
    assert_eq!(stream("more", 8, "5"), 300_309);
}

#[test]
fn recalled_messages_take_no_answers() {
    let client = client();
    let said = client.tenant.write(GROUP, ANN, "hi");
    let body = json!({ "msg_type": "text", "content": "{\"text\":\"x\"}", "reply_in_thread": true });
    let target = format!("im/v1/messages/{}/reply", said.id);
    let answer = client.call("POST", &target, &body).1;
    assert_eq!(answer["data"]["root_id"], said.id.as_str());
    assert_eq!(
        client.tenant.message(&said.id).expect("it is there").thread.as_deref(),
        answer["data"]["thread_id"].as_str()
    );
    client.tenant.recall(&said.id);
    assert_eq!(client.code("POST", &target, &body), 230_011);
    client.tenant.remove_bot(GROUP);
    assert_eq!(client.send("text", &json!({ "text": "x" }), "")["code"], 230_002);
}

#[test]
fn what_the_app_may_not_do_is_refused_by_the_scopes_name() {
    let client = client();
    client.tenant.revoke("cardkit:card:write");
    let (status, answer) = client.call("POST", "cardkit/v1/cards", &json!({}));
    assert_eq!((status, answer["code"].as_i64()), (400, Some(99_991_672)));
    assert!(
        answer["msg"]
            .as_str()
            .is_some_and(|msg| msg.contains("[cardkit:card:write]"))
    );
}

#[test]
fn troubles_come_once_and_for_the_call_that_is_meant() {
    let client = client();
    client.tenant.trouble(Some("GET /open-apis/contact"), Trouble::Code(1));
    assert_eq!(client.code("GET", "bot/v3/info", &Value::Null), 0);
    let user = format!("contact/v3/users/{ANN}");
    assert_eq!(client.code("GET", &user, &Value::Null), 1);
    assert_eq!(client.code("GET", &user, &Value::Null), 0);
    client.tenant.trouble(None, Trouble::RateLimited { seconds: 3 });
    let reply = client.tenant.request(&Request {
        method: "GET".into(),
        target: "/open-apis/bot/v3/info".into(),
        ..Request::default()
    });
    assert_eq!(reply.status, 429);
    assert!(reply.headers.contains(&("x-ogw-ratelimit-reset".into(), "3".into())));
}

#[test]
fn a_chat_takes_five_messages_in_a_second() {
    let client = client();
    let send = |_| client.send("text", &json!({ "text": "x" }), "");
    let codes: Vec<i64> = (0..6).map(|at| send(at)["code"].as_i64().expect("a code")).collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 230_020]);
    let said = client.tenant.write(GROUP, ANN, "hi");
    let body = json!({ "msg_type": "text", "content": "{\"text\":\"x\"}" });
    let reply = client.call("POST", &format!("im/v1/messages/{}/reply", said.id), &body);
    assert_eq!(
        (reply.0, reply.1["code"].as_i64()),
        (400, Some(230_020)),
        "answers count too"
    );
    let elsewhere = json!({ "receive_id": DIRECT, "msg_type": "text", "content": "{\"text\":\"x\"}" });
    assert_eq!(
        client.code("POST", "im/v1/messages?receive_id_type=chat_id", &elsewhere),
        0
    );
    assert_eq!(client.tenant.replies(GROUP).len(), 5);
}

/// How often this is taken before a call is refused, and the headers that say so.
fn taken(client: &Client, method: &str, target: &str, body: &Value) -> (usize, Vec<(String, String)>) {
    for taken in 0..=2_000 {
        let reply = client.tenant.request(&Request {
            method: method.into(),
            target: format!("/open-apis/{target}"),
            authorization: Some(format!("Bearer {}", client.token)),
            content_type: Some("application/json".into()),
            body: body.to_string().into_bytes(),
        });
        let answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
        if reply.status == 429 {
            assert_eq!(answer["code"], 99_991_400);
            let mut headers = reply.headers;
            headers.retain(|(name, _)| name.starts_with("x-ogw-ratelimit-"));
            return (taken, headers);
        }
    }
    unreachable!("some call is refused")
}

#[test]
fn each_api_card_and_patched_message_has_its_rate() {
    let client = client();
    let told = |calls: usize, seconds: u32| {
        let header = |name: &str, value: String| (format!("x-ogw-ratelimit-{name}"), value);
        (
            calls,
            vec![header("limit", calls.to_string()), header("reset", seconds.to_string())],
        )
    };
    let call = |method: &str, target: &str| taken(&client, method, target, &json!({}));
    assert_eq!(call("GET", "bot/v3/info"), told(50, 1));
    // Ids are no part of an API.
    let mut people = (0..51).map(|n| client.call("GET", &format!("contact/v3/users/u{n}"), &Value::Null).0);
    assert_eq!(people.by_ref().take(50).max(), Some(400));
    assert_eq!(people.next(), Some(429));
    assert_eq!(call("PUT", "cardkit/v1/cards/c1"), told(10, 1));
    assert_eq!(
        (0, told(10, 1).1),
        call("PATCH", "cardkit/v1/cards/c1/settings"),
        "of one card"
    );
    assert_eq!(call("PUT", "cardkit/v1/cards/c2/elements/e/content"), told(10, 1));
    assert_eq!(call("PATCH", "im/v1/messages/m1"), told(5, 1));
    assert_eq!(call("PATCH", "im/v1/messages/m2"), told(5, 1));
    // A minute's worth that went slowly.
    let slowly = |count: usize| {
        let mut state = client.tenant.lock();
        let minute = crate::rate::Rate::new(1_000, Duration::from_secs(60));
        (0..count).all(|_| {
            state
                .meter
                .take(&[("GET im/v1/chats/:id/members minute".to_owned(), minute)])
                .is_ok()
        })
    };
    assert!(slowly(999));
    let (before, headers) = call("GET", &format!("im/v1/chats/{GROUP}/members"));
    assert_eq!((before, headers[0].1.as_str()), (1, "1000"));
    client.tenant.unpaced();
    assert_eq!(client.code("GET", "bot/v3/info", &Value::Null), 0);
}

#[tokio::test]
async fn an_event_waits_for_a_connection_and_nobody_acknowledges_it() {
    let tenant = Tenant::new();
    let event = tenant.menu_event(ANN, "new");
    let waited = tokio::time::timeout(Duration::from_millis(50), tenant.push(&event, 1)).await;
    assert!(waited.is_err(), "there is no connection");
}
