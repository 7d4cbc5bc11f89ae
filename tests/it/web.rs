//! The local web chat of the real binary, spoken to as the page does: log in by the printed link, say, read the
//! event stream, press.

use std::path::Path;

use futures_util::StreamExt as _;
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};

use crate::binary::{RealHost, eventually};
use crate::host::PATIENCE;

/// bots.toml with one bot in the web chat, whose agent is the scripted CLI.
pub(crate) fn write(folder: &Path, more: &str) {
    let command = botyard_fakes::cli::program();
    let text = format!(
        r#"
[host]
listen = "127.0.0.1:0"
data_dir = "data"

[agent.scripted]
driver = "claude"
command = [{command:?}]
login = "none"

[[bot]]
name = "local"
adapter = "web"
agent = "scripted"
workspace = "work"
workspace_shared = true
allow = ["*"]
{more}
"#
    );
    std::fs::write(folder.join("bots.toml"), text).expect("bots.toml is written");
}

/// A browser that is logged in.
pub(crate) struct Page {
    client: reqwest::Client,
    base: String,
    cookie: String,
}

impl Page {
    /// With the link that the host printed last.
    pub(crate) async fn open(host: &RealHost, folder: &Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let link = eventually("the page's link", async || {
            let text = std::fs::read_to_string(folder.join("stderr")).ok()?;
            let at = text.rfind("/?token=")?;
            let token = text[at..].split_whitespace().next()?;
            Some(format!("{}{token}", host.base))
        })
        .await;
        let client = reqwest::Client::new();
        let welcome = client.get(link).send().await.expect("the page answers");
        assert_eq!(welcome.status(), 200);
        let cookie = welcome.headers()[SET_COOKIE].to_str().expect("a cookie is text");
        Self {
            cookie: cookie.split(';').next().unwrap_or_default().to_owned(),
            base: format!("{}/chat/local", host.base),
            client,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}/channels/{path}", self.base));
        let answer = request
            .header(COOKIE, &self.cookie)
            .header("content-type", "application/json")
            .header("sec-fetch-site", "same-origin")
            .body(body.to_string())
            .send()
            .await
            .expect("the page's API answers");
        let status = answer.status();
        let text = answer.text().await.expect("an answer");
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("the answer is JSON")
    }

    pub(crate) async fn say(&self, channel: &str, id: &str, text: &str) {
        self.post(&format!("{channel}/messages"), &json!({"id": id, "text": text}))
            .await;
    }

    pub(crate) async fn press(&self, channel: &str, id: &str, token: &str) -> Value {
        self.post(&format!("{channel}/presses"), &json!({"id": id, "token": token}))
            .await
    }

    /// What the bot's messages in a channel show now, oldest first: a page that is opened anew.
    pub(crate) async fn views(&self, channel: &str) -> Vec<Value> {
        let request = self.client.get(format!("{}/events?channel={channel}", self.base));
        let read = async {
            let answer = request.header(COOKIE, &self.cookie).send().await.expect("a stream");
            assert_eq!(answer.status(), 200);
            let mut stream = answer.bytes_stream();
            let mut text = String::new();
            while !text.contains("event: ready") {
                let piece = stream.next().await.expect("the stream goes on").expect("a piece");
                text.push_str(&String::from_utf8_lossy(&piece));
            }
            text
        };
        let text = tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the page is ready in time");
        text.split("\n\n")
            .filter(|event| event.contains("event: message"))
            .filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")))
            .map(|data| serde_json::from_str::<Value>(data).expect("a message is JSON"))
            .filter(|message| message["from"] == "bot")
            .map(|message| message["view"].clone())
            .collect()
    }

    /// The newest view, once it is in this state.
    pub(crate) async fn view_in(&self, channel: &str, state: &str) -> Value {
        eventually(&format!("a view that is {state}"), async || {
            let views = self.views(channel).await;
            views.into_iter().next_back().filter(|view| view["state"] == state)
        })
        .await
    }
}

/// The blocks of one kind in a view.
pub(crate) fn blocks<'a>(view: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = view["blocks"].as_array().expect("a view has blocks");
    all.iter().filter(|block| block["kind"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn question_of_the_page_outlives_a_kill_and_its_answer_runs_the_tool_once() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "");
    let ran = folder.path().join("work/ran");
    let mut host = RealHost::start(folder.path()).await;
    let page = Page::open(&host, folder.path()).await;
    page.say("c1", "m1", "permission make it so").await;
    let asking = page.view_in("c1", "asking").await;
    let token = asking_token(&asking, "Allow");
    host.kill();

    let host = RealHost::start(folder.path()).await;
    let page = Page::open(&host, folder.path()).await;
    // What a page shows that is opened anew: the same question, with the same button.
    assert_eq!(asking_token(&page.view_in("c1", "asking").await, "Allow"), token);
    assert!(!ran.exists(), "it ran before anybody decided");
    let word = page.press("c1", "p1", &token).await;
    assert!(word.to_string().contains("Allowed"), "{word}");
    let done = page.view_in("c1", "done").await;
    let asks = blocks(&done, "ask");
    assert_eq!(asks.len(), 1, "{done}");
    assert!(
        asks[0]["settled"]
            .as_str()
            .is_some_and(|text| text.starts_with("Allowed")),
        "{done}"
    );
    assert_eq!(std::fs::read_to_string(&ran).expect("it ran"), "make it so\n");
    // Pressed again it is too late, and nothing runs a second time.
    let word = page.press("c1", "p2", &token).await;
    assert!(word.to_string().contains("Too late"), "{word}");
    page.say("c1", "m2", "and now").await;
    eventually("the next answer", async || {
        let view = page.view_in("c1", "done").await;
        view.to_string().contains("echo: and now").then_some(())
    })
    .await;
    assert_eq!(std::fs::read_to_string(&ran).expect("it ran"), "make it so\n");
    host.terminate().await;
}

fn asking_token(view: &Value, label: &str) -> String {
    let asks = blocks(view, "ask");
    let choices = asks
        .first()
        .and_then(|ask| ask["choices"].as_array())
        .expect("an open question");
    let choice = choices.iter().find(|choice| choice["label"] == label);
    choice
        .and_then(|choice| choice["token"].as_str())
        .expect("its token")
        .to_owned()
}
