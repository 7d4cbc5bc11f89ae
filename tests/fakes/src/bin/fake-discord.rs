//! Serves the Discord fake and prints where, for clients in other languages. Ends when stdin closes.
//!
//! Each line of stdin is a JSON command, answered with a line of JSON. `{"do": "say" | "mention" | "change" | "delete" |
//! "react" | "slash" | "menu" | "press" | "choose" | "submit", "channel": ID, "user": ID, "text": ..., "id": ...}` makes
//! a person act; a press is on the newest message with a button that carries `text`. `cut`, `reconnect`, `forget` and
//! `again` are what a gateway does, `log` is what its clients did, `read` what the bot said in a channel.

use std::io::BufRead as _;

use botyard_fakes::discord::{Discord, Message};
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "who started it reads the URL and the answers")]
async fn main() {
    let discord = Discord::start().await;
    println!("{}", discord.url());
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
        let answer = act(&discord, &line).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        println!("{answer}");
    }
    if let Ok(Err(error)) = reading.await {
        panic!("stdin: {error}");
    }
    discord.stop().await;
}

fn act(discord: &Discord, line: &str) -> std::io::Result<Value> {
    let command: Value = serde_json::from_str(line)?;
    let field = |name: &str| command[name].as_str().unwrap_or_default();
    let (channel, user, text, id) = (field("channel"), field("user"), field("text"), field("id"));
    let world = &discord.world;
    let newest = |like: &dyn Fn(&Message) -> bool| {
        world
            .replies(channel)
            .into_iter()
            .rfind(like)
            .ok_or_else(|| std::io::Error::other(format!("no message of the bot has `{text}`")))
    };
    Ok(match field("do") {
        "say" => json!({ "id": world.say(channel, user, text) }),
        "mention" => json!({ "id": world.mention(channel, user, text) }),
        "change" => {
            world.change(id, text);
            json!({})
        }
        "delete" => {
            world.take_away(channel, &[id]);
            json!({})
        }
        "react" => {
            world.react(id, user, text, command["added"] != false);
            json!({})
        }
        "slash" => world.slash(channel, user, text, &[("question", field("question"))]),
        "menu" => world.menu(id, user, text),
        "press" => {
            let message = newest(&|message| message.buttons().iter().any(|(label, _)| label == text))?;
            world.press(&message, user, text)
        }
        "choose" => world.choose(&newest(&|message| !message.lists().is_empty())?, user, 0, &[text]),
        "submit" => world.submit(user, &[(field("name"), &[text])]),
        "cut" => {
            world.cut_gateway();
            json!({})
        }
        "reconnect" => {
            world.ask_to_reconnect();
            json!({})
        }
        "forget" => {
            world.forget_session();
            json!({})
        }
        "again" => {
            world.tell_again();
            json!({})
        }
        "log" => json!(world.gateway_log()),
        "read" => world.replies(channel).iter().map(Message::read).collect(),
        other => return Err(std::io::Error::other(format!("`{other}` is not known"))),
    })
}
