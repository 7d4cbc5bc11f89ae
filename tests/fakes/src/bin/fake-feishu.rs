//! Serves the Feishu fake and prints where, for clients in other languages. Ends when stdin closes.
//!
//! Each line of stdin is a JSON command, answered with a line of JSON. `{"do": "write", "chat": ID, "user": ID, "text":
//! ...}` makes a person write, `{"do": "press", ...}` press the newest button that is labelled `text`: the event goes over
//! the long connection in `parts` frames, or with `"hook": URL` to a hook, encrypted or, with `"plain": true`, not.
//! `challenge` tries a hook, `cut` cuts the long connections, `read` tells what the bot's messages in `chat` say, `state`
//! how the connections are, and `rates` lifts the rates, or with `"on": true` enforces them again.

use std::io::{BufRead as _, Error};

use botyard_fakes::feishu::{Feishu, Message, Sender};
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "who started it reads the URL and the answers")]
async fn main() {
    let feishu = Feishu::start().await;
    println!("{}", feishu.url());
    let (sender, mut lines) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lock().lines() {
            if sender.blocking_send(line?).is_err() {
                break;
            }
        }
        Ok::<_, Error>(())
    });
    while let Some(line) = lines.recv().await {
        let answer = match act(&feishu, &line).await {
            Ok(answer) => answer,
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{answer}");
    }
    if let Ok(Err(error)) = reading.await {
        panic!("stdin: {error}");
    }
}

async fn act(feishu: &Feishu, line: &str) -> std::io::Result<Value> {
    let command: Value = serde_json::from_str(line)?;
    let field = |name: &str| command[name].as_str().unwrap_or_default();
    let (chat, user, text) = (field("chat"), field("user"), field("text"));
    let tenant = &feishu.tenant;
    let event = match field("do") {
        "write" => tenant.message_event(&tenant.write(chat, user, text)),
        "press" => {
            let of = |message: &Message| message.buttons().into_iter().find(|button| button.label == text);
            let newest = tenant.replies(chat).into_iter().rfind(|message| of(message).is_some());
            let newest = newest.ok_or_else(|| Error::other(format!("no message has a button `{text}`")))?;
            let button = of(&newest).ok_or_else(|| Error::other("it is gone"))?;
            tenant.press_event(&newest, user, &button, None)
        }
        "challenge" => Value::Null,
        "rates" => {
            if command["on"] == true {
                tenant.paced();
            } else {
                tenant.unpaced();
            }
            return Ok(json!({}));
        }
        "cut" => {
            tenant.cut_lines();
            return Ok(json!({}));
        }
        "read" => {
            let all: Vec<String> = tenant.replies(chat).iter().map(Message::read).collect();
            return Ok(json!({ "messages": all }));
        }
        "state" => {
            return Ok(json!({
                "lines": tenant.lines(), "opened": tenant.opened(), "pings": tenant.pings(),
                "complaints": tenant.complaints(),
            }));
        }
        other => return Err(Error::other(format!("`{other}` is not known"))),
    };
    if field("hook").is_empty() {
        let parts = command["parts"].as_u64().and_then(|parts| usize::try_from(parts).ok());
        let ack = tenant.push(&event, parts.unwrap_or(1)).await;
        return Ok(ack.map_or(Value::Null, |ack| json!({ "code": ack.code, "data": ack.data })));
    }
    let mut sender = Sender::new(field("hook"));
    if command["plain"] == true {
        sender = sender.plain();
    }
    let heard = if event.is_null() {
        sender.challenge(text).await?
    } else {
        sender.event(&event).await?
    };
    Ok(json!({ "status": heard.status, "body": heard.body }))
}
