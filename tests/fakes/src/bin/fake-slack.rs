//! Serves the Slack fake and prints where, for clients in other languages. Ends when stdin closes.
//!
//! Each line of stdin is a JSON command, answered with a line of JSON: `{"do": "write" | "mention" | "slash" | "press",
//! "hook": URL, "channel": ID, "user": ID, "text": ...}` makes a person act and sends Slack's request to the hook,
//! or over a socket of Socket Mode where no hook is named. A press is on the newest message with a button that carries
//! `text`. `{"do": "refresh"}` makes the sockets change, `{"do": "sockets"}` tells how many are open, how many there
//! were, and what was said on them that Slack would not understand; `{"do": "read"}` what stands in the channel;
//! `{"do": "rates", "on": false}` lifts the rates, and `true` enforces them again.

use std::io::BufRead as _;
use std::time::Duration;

use botyard_fakes::slack::{Message, Sender, Slack};
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "who started it reads the URL and the answers")]
async fn main() {
    let slack = Slack::start().await;
    println!("{}", slack.url());
    let (sender, mut lines) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lock().lines() {
            if sender.blocking_send(line?).is_err() {
                break;
            }
        }
        Ok::<_, std::io::Error>(())
    });
    while let Some(line) = lines.recv().await {
        let answer = match act(&slack, &line).await {
            Ok(answer) => answer,
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{answer}");
    }
    if let Ok(Err(error)) = reading.await {
        panic!("stdin: {error}");
    }
    slack.stop().await;
}

async fn act(slack: &Slack, line: &str) -> std::io::Result<Value> {
    let command: Value = serde_json::from_str(line)?;
    let field = |name: &str| command[name].as_str().unwrap_or_default();
    let (channel, user, text) = (field("channel"), field("user"), field("text"));
    let team = &slack.workspace;
    match field("do") {
        "refresh" => {
            team.refresh_sockets("refresh_requested", Duration::from_millis(200));
            return Ok(json!({}));
        }
        "sockets" => {
            let (open, opened) = team.sockets();
            return Ok(json!({ "open": open, "opened": opened, "protests": team.protests() }));
        }
        "rates" => {
            if command["on"] == true {
                team.paced();
            } else {
                team.unpaced();
            }
            return Ok(json!({}));
        }
        "read" => {
            let read: Vec<String> = team.replies(channel).iter().map(Message::read).collect();
            return Ok(json!(read));
        }
        _ => {}
    }
    let sender = match field("hook") {
        "" => Sender::socket(team.clone()),
        hook => Sender::new(team.clone(), hook),
    };
    let heard = match field("do") {
        "write" => sender.write(channel, user, text, None).await?.1,
        "mention" => sender.mention(channel, user, text, None).await?.1,
        "slash" => sender.slash(channel, user, field("command"), text).await?,
        "press" => {
            let has = |message: &Message| message.buttons().iter().any(|(_, value)| value == text);
            let newest = team.replies(channel).into_iter().rfind(has);
            let newest = newest.ok_or_else(|| std::io::Error::other(format!("no message has a button `{text}`")))?;
            sender.press(&newest, user, text).await?
        }
        other => return Err(std::io::Error::other(format!("`{other}` is not known"))),
    };
    Ok(json!({ "status": heard.status, "body": heard.body }))
}
