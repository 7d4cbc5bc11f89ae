//! The server over real sockets, with bots that note what they get.

mod files;

use std::sync::Mutex;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;
use crate::chat::{Answer, Event};
use crate::manifest::{Digest, Encoding, Piece, Signature, Verification};
use crate::outbox::BoxFuture;
use crate::transport::Accepted;
use crate::transport::web::unix_millis;

const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// Notes events and answers what it is told to.
struct Noting {
    events: Mutex<Vec<Event>>,
    answer: Mutex<Accepted>,
}

impl Inlet for Noting {
    fn accept<'a>(&'a self, event: Event, _within: Duration) -> BoxFuture<'a, Accepted> {
        self.events.lock().unwrap().push(event);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async { answer })
    }
}

/// One bot in the web chat (`local`), one with webhooks (`team`).
struct TwoBots {
    chat: WebChat,
    inlet: Arc<Noting>,
    files: Files,
}

impl Bots for TwoBots {
    fn hook(&self, bot: &BotName) -> Option<HookTarget> {
        let signature = Signature {
            key: Some("signing_secret".into()),
            digest: Digest::Sha256,
            encoding: Encoding::Hex,
            header: "X-Slack-Signature".into(),
            prefix: "v0=".into(),
            signed: vec![
                Piece::Literal("v0:".into()),
                Piece::Header("X-Slack-Request-Timestamp".into()),
                Piece::Literal(":".into()),
                Piece::Body,
            ],
            timestamp_header: Some("X-Slack-Request-Timestamp".into()),
            tolerance: Duration::from_secs(300),
        };
        let route = Route {
            name: "events".into(),
            methods: vec!["POST".into()],
            verification: Verification::Signature(signature),
            max_body_bytes: 1000,
            deadline: Duration::from_secs(3),
            fallback: Answer {
                status: 202,
                headers: Vec::new(),
                body: b"later".to_vec(),
            },
        };
        let secrets = BTreeMap::from([("signing_secret".to_owned(), SecretText::new(SIGNING_SECRET))]);
        (bot.as_str() == "team").then(|| HookTarget {
            routes: Arc::new([route]),
            secrets: Arc::new(secrets),
            inlet: self.inlet.clone(),
        })
    }

    fn web(&self, bot: &BotName) -> Option<WebTarget> {
        (bot == self.chat.bot()).then(|| WebTarget {
            title: "Local".into(),
            chat: self.chat.clone(),
            inlet: self.inlet.clone(),
            files: self.files.clone(),
            files_max_bytes: 1000,
            files_most: 2,
        })
    }

    fn web_bots(&self) -> Vec<BotName> {
        vec!["local".into()]
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            ready: true,
            bots: 2,
            live: 2,
        }
    }

    fn lines(&self) -> Vec<BotLine> {
        vec![BotLine {
            bot: "team".into(),
            platform: "slack".into(),
            health: Health::Live,
            since: 1,
            heard: None,
        }]
    }

    fn lines_changed(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

struct Bench {
    address: SocketAddr,
    door: Door,
    inlet: Arc<Noting>,
    chat: WebChat,
    journal: Journal,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _folder: TempDir,
}

/// What came back.
#[derive(Debug)]
struct Got {
    status: u16,
    head: String,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no json: {self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    /// `name=value` of the cookie that was set.
    fn cookie(&self) -> String {
        self.header("set-cookie")
            .expect("a cookie")
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    }
}

impl Bench {
    async fn start(change: impl FnOnce(&mut ServerSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("store.sqlite")).unwrap();
        Self::over(folder, journal, SocketAddr::from(([127, 0, 0, 1], 0)), change).await
    }

    async fn over(
        folder: TempDir,
        journal: Journal,
        listen: SocketAddr,
        change: impl FnOnce(&mut ServerSettings),
    ) -> Self {
        let mut settings = ServerSettings::at(listen);
        change(&mut settings);
        let chat = WebChat::new("local".into(), journal.clone());
        let answer = Mutex::new(Accepted::Stored(None));
        let inlet = Arc::new(Noting {
            events: Mutex::default(),
            answer,
        });
        let server = Server::bind(settings, journal.clone()).await.unwrap();
        let (address, door, stop) = (server.address(), server.door(), CancellationToken::new());
        let bots = Arc::new(TwoBots {
            chat: chat.clone(),
            inlet: inlet.clone(),
            files: Files::new(folder.path(), &"local".into()),
        });
        let running = tokio::spawn(server.run(bots, stop.clone()));
        Self {
            address,
            door,
            inlet,
            chat,
            journal,
            stop,
            running,
            _folder: folder,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_millis(4_500), self.running)
            .await
            .expect("it stops at once")
            .unwrap();
    }

    async fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|(name, _)| *name == "host") {
            head += &format!("host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        // A server that refuses early may have closed already.
        let _ = stream.write_all(body).await;
        stream
    }

    async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        let mut stream = self.open(method, path, headers, body).await;
        let mut bytes = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes))
            .await
            .expect("in time")
            .unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Got {
            status,
            head: head.replace('\r', ""),
            body: body.to_owned(),
        }
    }

    /// Uses a one-time link.
    async fn log_in(&self) -> String {
        let link = self.door.link();
        let got = self
            .call(
                "GET",
                link.split_once("/?")
                    .map(|(_, query)| format!("/?{query}"))
                    .unwrap()
                    .as_str(),
                &[],
                b"",
            )
            .await;
        assert_eq!(got.status, 200, "{got:?}");
        got.cookie()
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Got {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.call("POST", path, &all, body.to_string().as_bytes()).await
    }

    /// A webhook call with Slack's signature.
    async fn hook(&self, path: &str, body: &str) -> Got {
        let stamp = (unix_millis() / 1000).to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(SIGNING_SECRET.as_bytes()).unwrap();
        mac.update(format!("v0:{stamp}:{body}").as_bytes());
        let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
        let headers = [
            ("x-slack-signature", signature.as_str()),
            ("x-slack-request-timestamp", stamp.as_str()),
        ];
        self.call("POST", path, &headers, body.as_bytes()).await
    }
}

/// Reads a stream until it says all of `words`, in this order.
async fn read_until(stream: &mut TcpStream, words: &[&str]) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let reading = async {
        loop {
            let mut rest = text.as_str();
            let all = words.iter().all(|word| match rest.split_once(word) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            });
            if all {
                return;
            }
            let count = stream.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "the stream ended after {text:?}");
            text += &String::from_utf8_lossy(&buffer[..count]);
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), reading).await;
    assert!(ended.is_ok(), "{words:?} did not come, but {text:?}");
    text
}

#[tokio::test]
async fn a_one_time_link_opens_the_page_once() {
    let bench = Bench::start(|_| {}).await;
    let link = bench.door.link();
    assert!(link.starts_with(&format!("http://{}/?token=", bench.address)), "{link}");
    let path = &link[link.find("/?").unwrap()..];
    // A browser that looks ahead, or asks for the head alone, does not use it up.
    assert_eq!(
        bench
            .call("GET", path, &[("sec-purpose", "prefetch;prerender")], b"")
            .await
            .status,
        503
    );
    assert_eq!(bench.call("HEAD", path, &[], b"").await.status, 503);
    let got = bench.call("GET", path, &[], b"").await;
    assert_eq!(got.status, 200);
    let cookie = got.header("set-cookie").unwrap();
    for word in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert_eq!(bench.call("GET", path, &[], b"").await.status, 401);
    let page = bench.call("GET", "/", &[("cookie", &got.cookie())], b"").await;
    assert_eq!((page.status, page.header("location")), (303, Some("/chat/local/")));
    let chat = bench
        .call("GET", "/chat/local/", &[("cookie", &got.cookie())], b"")
        .await;
    assert_eq!(chat.status, 200);
    assert!(chat.body.contains("<title>botyard</title>"));
    bench.stop().await;
}

#[tokio::test]
async fn a_login_outlives_a_restart_and_ends_with_logging_out() {
    let mut bench = Bench::start(|_| {}).await;
    let cookie = bench.log_in().await;
    let (address, journal) = (bench.address, bench.journal.clone());
    let folder = std::mem::replace(&mut bench._folder, tempfile::tempdir().unwrap());
    bench.stop().await;
    let bench = Bench::over(folder, journal, address, |_| {}).await;
    let about = bench
        .call("GET", "/chat/local/about", &[("cookie", &cookie)], b"")
        .await;
    assert_eq!((about.status, &about.json()["title"]), (200, &json!("Local")));
    assert_eq!(
        bench.call("POST", "/logout", &[("cookie", &cookie)], b"").await.status,
        204
    );
    assert_eq!(
        bench
            .call("GET", "/chat/local/about", &[("cookie", &cookie)], b"")
            .await
            .status,
        401
    );
    bench.stop().await;
}

#[tokio::test]
async fn other_pages_and_other_names_are_kept_out() {
    let bench = Bench::start(|settings| settings.public_url = Some("https://bots.example.org".into())).await;
    let cookie = bench.log_in().await;
    let cookie = ("cookie", cookie.as_str());
    let port = bench.address.port();
    let (local, own) = (format!("localhost:{port}"), format!("http://{}", bench.address));
    let said = "/chat/local/channels/c1/messages";
    type Case<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, u16);
    let cases: Vec<Case<'_>> = vec![
        ("GET", "/chat/local/about", vec![cookie], 200),
        ("GET", "/chat/local/about", vec![cookie, ("host", &local)], 200),
        (
            "GET",
            "/chat/local/about",
            vec![cookie, ("host", "bots.example.org")],
            200,
        ),
        (
            "GET",
            "/chat/local/about",
            vec![cookie, ("host", "rebound.example")],
            403,
        ),
        ("GET", "/", vec![cookie, ("host", "rebound.example")], 403),
        ("GET", "/page/app.js", vec![("host", "rebound.example")], 403),
        ("GET", "/chat/local/about", vec![], 401),
        ("GET", "/chat/local/events", vec![], 401),
        ("GET", "/chat/local/", vec![("accept", "text/html")], 401),
        (
            "GET",
            "/chat/local/about",
            vec![("cookie", "botyard-1=x; other=y")],
            401,
        ),
        ("GET", "/chat/nobody/about", vec![cookie], 404),
        ("POST", said, vec![], 401),
        ("POST", said, vec![cookie], 200),
        ("POST", said, vec![cookie, ("origin", &own)], 200),
        ("POST", said, vec![cookie, ("origin", "https://bots.example.org")], 200),
        ("POST", said, vec![cookie, ("origin", "https://evil.example")], 403),
        ("POST", said, vec![cookie, ("origin", "null")], 403),
        ("POST", said, vec![cookie, ("sec-fetch-site", "cross-site")], 403),
        ("POST", said, vec![cookie, ("sec-fetch-site", "same-site")], 403),
        ("POST", said, vec![cookie, ("sec-fetch-site", "same-origin")], 200),
        ("GET", "/nothing", vec![cookie], 404),
        ("GET", "/healthz", vec![("host", "10.0.0.1:80")], 200),
    ];
    for (method, path, headers, expected) in cases {
        let body = json!({ "id": "x1", "text": "hello" });
        let got = if method == "POST" {
            bench.post(path, &headers, &body).await
        } else {
            bench.call(method, path, &headers, b"").await
        };
        assert_eq!(got.status, expected, "{method} {path} {headers:?}: {got:?}");
        if path != "/healthz" {
            let policy = got.header("content-security-policy").unwrap();
            assert!(
                policy.contains("default-src 'none'") && !policy.contains("unsafe"),
                "{policy}"
            );
        }
        assert_eq!(got.header("x-frame-options"), Some("DENY"));
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(got.header("access-control-allow-origin"), None);
    }
    // A form or plain text needs no preflight of another page, so it is not taken.
    let plain = [cookie, ("content-type", "text/plain")];
    assert_eq!(
        bench
            .call("POST", said, &plain, br#"{"id":"x","text":"y"}"#)
            .await
            .status,
        415
    );
    bench.stop().await;
}

#[tokio::test]
async fn beyond_this_machine_a_password_is_needed_and_cannot_be_guessed_fast() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("store.sqlite")).unwrap();
    let everywhere = ServerSettings::at(SocketAddr::from(([0, 0, 0, 0], 0)));
    let refused = Server::bind(everywhere, journal).await;
    assert!(matches!(refused, Err(HttpError::NeedsPassword(_))), "{refused:?}");

    let bench = Bench::start(|settings| settings.password = Some(SecretText::new("correct horse"))).await;
    let right = b"password=correct+horse";
    let got = bench.call("POST", "/login", &[], right).await;
    assert_eq!(got.status, 200, "{got:?}");
    let cookie = got.cookie();
    assert_eq!(
        bench
            .call("GET", "/chat/local/about", &[("cookie", &cookie)], b"")
            .await
            .status,
        200
    );
    for _ in 0..5 {
        assert_eq!(bench.call("POST", "/login", &[], b"password=guess").await.status, 401);
    }
    let got = bench.call("POST", "/login", &[], right).await;
    assert_eq!((got.status, got.header("set-cookie")), (429, None));
    // Who is in stays in.
    assert_eq!(
        bench
            .call("GET", "/chat/local/about", &[("cookie", &cookie)], b"")
            .await
            .status,
        200
    );
    bench.stop().await;
}

#[tokio::test]
async fn the_adapters_api_takes_only_its_token_and_a_key_once() {
    let bench = Bench::start(|_| {}).await;
    let right = format!("Bearer {}", bench.chat.token().reveal());
    let cookie = bench.log_in().await;
    let new = json!({ "channel": "c1", "key": "turn1", "revision": 1, "body": { "state": "running", "blocks": [] } });
    for headers in [
        vec![],
        vec![("authorization", "Bearer wrong")],
        vec![("cookie", cookie.as_str())],
        vec![("authorization", right.as_str()), ("origin", "http://127.0.0.1")],
    ] {
        let got = bench.post("/web-api/local/messages", &headers, &new).await;
        assert!([401, 403].contains(&got.status), "{headers:?}: {got:?}");
    }
    let right = [("authorization", right.as_str())];
    assert_eq!(bench.post("/web-api/team/messages", &right, &new).await.status, 401);
    let first = bench.post("/web-api/local/messages", &right, &new).await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = bench.post("/web-api/local/messages", &right, &new).await;
    assert_eq!(again.json(), json!({ "id": first.json()["id"], "fresh": false }));

    let path = format!("/web-api/local/messages/{}", first.json()["id"].as_str().unwrap());
    let json = [right[0], ("content-type", "application/json")];
    let next = json!({ "revision": 2, "body": { "state": "done", "blocks": [] } }).to_string();
    assert_eq!(bench.call("PUT", &path, &json, next.as_bytes()).await.status, 200);
    assert_eq!(bench.call("PUT", &path, &json, next.as_bytes()).await.status, 409);
    assert_eq!(
        bench
            .call("PUT", "/web-api/local/messages/m0", &json, next.as_bytes())
            .await
            .status,
        404
    );
    assert_eq!(bench.call("PUT", &path, &json, b"{").await.status, 400);
    bench.stop().await;
}

#[tokio::test]
async fn a_stream_goes_on_from_the_last_event_and_ends_with_the_server() {
    let bench = Bench::start(|_| {}).await;
    let cookie = bench.log_in().await;
    let cookie = ("cookie", cookie.as_str());
    let body = |n: u32| json!({ "id": format!("x{n}"), "text": format!("word-{n}") });
    for n in 1..=2 {
        assert_eq!(
            bench
                .post("/chat/local/channels/c1/messages", &[cookie], &body(n))
                .await
                .status,
            200
        );
    }
    let path = "/chat/local/events?channel=c1";
    let mut stream = bench.open("GET", path, &[cookie], b"").await;
    let text = read_until(&mut stream, &["text/event-stream", "word-1", "word-2", "event: ready"]).await;
    let last = text
        .rsplit("id: ")
        .next()
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .trim()
        .to_owned();
    drop(stream);

    assert_eq!(
        bench
            .post("/chat/local/channels/c1/messages", &[cookie], &body(3))
            .await
            .status,
        200
    );
    let mut stream = bench.open("GET", path, &[cookie, ("last-event-id", &last)], b"").await;
    let text = read_until(&mut stream, &["word-3", "event: ready"]).await;
    // (The list of conversations has a title of the first words.)
    assert!(
        !text.contains(r#""text":"word-1""#) && !text.contains("word-2"),
        "{text}"
    );
    // What is said while the page listens comes by itself.
    assert_eq!(
        bench
            .post("/chat/local/channels/c1/messages", &[cookie], &body(4))
            .await
            .status,
        200
    );
    read_until(&mut stream, &["word-4"]).await;
    bench.stop().await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_stored_is_503_for_the_page_and_for_vendors() {
    let bench = Bench::start(|_| {}).await;
    let cookie = bench.log_in().await;
    *bench.inlet.answer.lock().unwrap() = Accepted::Unavailable;
    let body = json!({ "id": "x1", "text": "hello" });
    let got = bench
        .post("/chat/local/channels/c1/messages", &[("cookie", &cookie)], &body)
        .await;
    assert_eq!((got.status, got.header("retry-after")), (503, Some("1")));
    let got = bench.hook("/hook/team/events", "{}").await;
    assert_eq!((got.status, got.header("retry-after")), (503, Some("5")));
    *bench.inlet.answer.lock().unwrap() = Accepted::Forged;
    assert_eq!(bench.hook("/hook/team/events", "{}").await.status, 401);
    bench.stop().await;
}

#[tokio::test]
async fn a_press_gets_the_adapters_word() {
    let bench = Bench::start(|_| {}).await;
    let cookie = bench.log_in().await;
    let word = json!({ "toast": { "tone": "info", "text": "Allowed" } });
    let answer = Answer {
        status: 200,
        headers: Vec::new(),
        body: word.to_string().into_bytes(),
    };
    *bench.inlet.answer.lock().unwrap() = Accepted::Stored(Some(answer));
    let press = json!({ "id": "y1", "token": "tok", "values": null });
    let got = bench
        .post("/chat/local/channels/c1/presses", &[("cookie", &cookie)], &press)
        .await;
    assert_eq!((got.status, got.json()), (200, word));
    bench.stop().await;
}

#[tokio::test]
async fn a_webhook_is_taken_with_its_signature_only() {
    let bench = Bench::start(|_| {}).await;
    let body = r#"{"type":"event_callback"}"#;
    let got = bench.hook("/hook/team/events?x=1", body).await;
    assert_eq!((got.status, got.body.as_str()), (202, "later"), "{got:?}");
    {
        let events = bench.inlet.events.lock().unwrap();
        let event = &events[0];
        assert_eq!(
            (
                event.transport.as_str(),
                event.name.as_str(),
                event.method.as_str(),
                event.query.as_str()
            ),
            ("webhook", "events", "POST", "x=1")
        );
        assert_eq!(event.payload, body.as_bytes());
    }
    // Vendors come by the names of tunnels.
    let stamp = (unix_millis() / 1000).to_string();
    let forged = [
        ("x-slack-signature", "v0=00"),
        ("x-slack-request-timestamp", stamp.as_str()),
        ("host", "t.example"),
    ];
    assert_eq!(
        bench
            .call("POST", "/hook/team/events", &forged, body.as_bytes())
            .await
            .status,
        401
    );
    assert_eq!(
        bench
            .call("POST", "/hook/team/events", &[], body.as_bytes())
            .await
            .status,
        401
    );
    assert_eq!(bench.hook("/hook/team/events", &"x".repeat(1001)).await.status, 413);
    assert_eq!(bench.hook("/hook/team", body).await.status, 404);
    assert_eq!(bench.hook("/hook/team/other", body).await.status, 404);
    assert_eq!(bench.hook("/hook/nobody/events", body).await.status, 404);
    let wrong = bench.call("GET", "/hook/team/events", &[], b"").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert_eq!(bench.inlet.events.lock().unwrap().len(), 1);
    let answer = Answer {
        status: 200,
        headers: vec![("Content-Type".into(), "text/plain".into())],
        body: b"c".to_vec(),
    };
    *bench.inlet.answer.lock().unwrap() = Accepted::Stored(Some(answer));
    let got = bench.hook("/hook/team/events", body).await;
    assert_eq!(
        (got.status, got.body.as_str(), got.header("content-type")),
        (200, "c", Some("text/plain"))
    );
    bench.stop().await;
}

#[tokio::test]
async fn health_says_whether_the_host_is_ready() {
    let bench = Bench::start(|_| {}).await;
    let got = bench.call("GET", "/healthz", &[], b"").await;
    assert_eq!(
        (got.status, got.json()),
        (200, json!({ "ready": true, "bots": 2, "live": 2 }))
    );
    bench.stop().await;
}

#[tokio::test]
async fn connections_of_a_burst_wait_to_be_taken_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("store.sqlite")).unwrap();
    let here = ServerSettings::at(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = Server::bind(here, journal).await.unwrap();
    // Nobody takes them.
    let burst = (0..400).map(|_| TcpStream::connect(server.address()));
    let came = tokio::time::timeout(Duration::from_secs(10), futures_util::future::try_join_all(burst)).await;
    assert_eq!(came.expect("all have a place").unwrap().len(), 400);
}
