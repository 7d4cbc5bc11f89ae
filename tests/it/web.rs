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

    /// Sends a file ahead of a message; what the host says of it.
    async fn upload(&self, name: &str, bytes: &[u8]) -> Value {
        let request = self.client.post(format!("{}/files?name={name}", self.base));
        let answer = request
            .header(COOKIE, &self.cookie)
            .header("content-type", "application/octet-stream")
            .header("sec-fetch-site", "same-origin")
            .body(bytes.to_vec())
            .send()
            .await
            .expect("the page's API answers");
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.expect("an answer");
        serde_json::from_str(&text).expect("the answer is JSON")
    }

    /// Bytes of a file and the answer's header that says what to do with it.
    pub(crate) async fn download(&self, id: &str, name: &str) -> (Vec<u8>, String) {
        let request = self.client.get(format!("{}/files/{id}?name={name}", self.base));
        let answer = request.header(COOKIE, &self.cookie).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let saved = answer.headers()["content-disposition"]
            .to_str()
            .expect("a text")
            .to_owned();
        (answer.bytes().await.expect("the file").to_vec(), saved)
    }

    /// Reads one event stream until it tells a bot's connection so; how `bot` is then.
    async fn line(&self, bot: &str, like: impl Fn(&Value) -> bool, meanwhile: impl FnOnce()) -> Value {
        let request = self.client.get(format!("{}/events", self.base));
        let read = async {
            let answer = request.header(COOKIE, &self.cookie).send().await.expect("a stream");
            let mut stream = answer.bytes_stream();
            let (mut text, mut meanwhile) = (String::new(), Some(meanwhile));
            loop {
                let piece = stream.next().await.expect("the stream goes on").expect("a piece");
                text.push_str(&String::from_utf8_lossy(&piece));
                while let Some((event, rest)) = text.split_once("\n\n") {
                    let told = event.contains("event: lines");
                    let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                    let data: Value = serde_json::from_str(data.unwrap_or("null")).expect("JSON");
                    text = rest.to_owned();
                    let lines = data["bots"].as_array().cloned().unwrap_or_default();
                    let found = lines.into_iter().find(|line| told && line["bot"] == bot);
                    if let Some(found) = found {
                        if like(&found) {
                            return found;
                        }
                        // What happens now is told on this stream.
                        if found["state"] == "live" {
                            meanwhile.take().into_iter().for_each(|done| done());
                        }
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("it is told in time")
    }

    pub(crate) async fn press(&self, channel: &str, id: &str, token: &str) -> Value {
        self.post(&format!("{channel}/presses"), &json!({"id": id, "token": token}))
            .await
    }

    /// Sends a form, filled in so.
    pub(crate) async fn submit(&self, channel: &str, id: &str, token: &str, values: &Value) -> Value {
        let sent = json!({ "id": id, "token": token, "values": values });
        self.post(&format!("{channel}/presses"), &sent).await
    }

    /// What the bot's messages in a channel show now, oldest first: a page that is opened anew.
    pub(crate) async fn views(&self, channel: &str) -> Vec<Value> {
        loop {
            let messages = self.messages(channel).await;
            // What changed while the page was opened is told as a change: read once more, it is whole.
            if messages.iter().all(|message| message["since"].is_null()) {
                return messages.into_iter().map(|message| message["view"].clone()).collect();
            }
        }
    }

    async fn messages(&self, channel: &str) -> Vec<Value> {
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

#[tokio::test(flavor = "multi_thread")]
async fn page_shows_how_every_bot_is_connected_as_status_does() {
    let slack = botyard_fakes::slack::Slack::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let team = format!(
        r#"
[[bot]]
name = "team"
adapter = "slack"
mode = "socket"
agent = "scripted"
workspace = "team"
allow = ["*"]
api_base = {:?}
secrets = {{ bot_token = "file:token", app_token = "file:app" }}
"#,
        slack.api_base()
    );
    write(folder.path(), &team);
    for (name, secret) in [
        ("token", botyard_fakes::slack::BOT_TOKEN),
        ("app", botyard_fakes::slack::APP_TOKEN),
    ] {
        std::fs::write(folder.path().join(name), secret).expect("a secret");
    }
    let host = RealHost::start(folder.path()).await;
    let page = Page::open(&host, folder.path()).await;
    let refused = page
        .line(
            "team",
            |line| line["state"] == "refused",
            || slack.workspace.set_socket_mode(false),
        )
        .await;
    let why = refused["why"].as_str().unwrap_or_default();
    assert!(why.contains("Socket Mode"), "{refused}");
    assert!(refused["since"].is_i64() && refused["heard"].is_i64(), "{refused}");
    let own = page.line("local", |line| line["state"] == "live", || {}).await;
    assert_eq!(own["platform"], "web");
    let status = crate::binary::botyard(folder.path(), &["status", "--json"]).await;
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let team = status["bots"]
        .as_array()
        .and_then(|bots| bots.iter().find(|bot| bot["name"] == "team"));
    let team = team.expect("the bot is in it");
    assert_eq!(
        (team["connection"].as_str(), team["detail"].as_str()),
        (Some("refused"), Some(why))
    );
    host.terminate().await;
    slack.stop().await;
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nno more of it";

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_page_reach_the_agent_and_its_own_are_there_to_save() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "files_max = \"1KiB\"");
    let file = folder.path().join("bots.toml");
    let text = std::fs::read_to_string(&file).expect("it was written");
    // In a shared workspace the scripted CLI does not know its own outbox.
    std::fs::write(&file, text.replace("workspace_shared = true", "")).expect("it is written");
    let host = RealHost::start(folder.path()).await;
    let page = Page::open(&host, folder.path()).await;
    let files = [
        page.upload("plan.png", PNG).await,
        page.upload("notes.txt", b"some notes").await,
    ];
    page.post("c1/messages", &json!({ "id": "m1", "text": "look", "files": files }))
        .await;
    let done = page.view_in("c1", "done").await.to_string();
    for words in [
        "plan.png has 21 bytes",
        "saw image/png of 21 bytes",
        "notes.txt has 10 bytes",
    ] {
        assert!(done.contains(words), "{words}: {done}");
    }
    page.say("c1", "m2", "give report.csv a,b").await;
    let file = eventually("the agent's file", async || {
        let views = page.views("c1").await;
        views
            .iter()
            .find_map(|view| blocks(view, "file").first().map(|file| (*file).clone()))
    })
    .await;
    assert_eq!((&file["name"], &file["size_bytes"]), (&json!("report.csv"), &json!(3)));
    let (bytes, saved) = page
        .download(file["file"].as_str().expect("its id"), "report.csv")
        .await;
    assert_eq!(
        (bytes.as_slice(), saved.as_str()),
        (b"a,b".as_slice(), "attachment; filename*=UTF-8''report.csv")
    );
    host.terminate().await;
}
