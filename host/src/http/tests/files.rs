//! Files of the web chat over real sockets, and how the bots are connected.

use super::*;

/// How much lies in a folder that may not be there.
fn entries(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_file_is_kept_and_given_back_as_something_to_save() {
    let bench = Bench::start(|_| {}).await;
    let cookie = bench.log_in().await;
    let cookie = ("cookie", cookie.as_str());
    let bytes = [cookie, ("content-type", "application/octet-stream")];
    let sent = bench
        .call(
            "POST",
            "/chat/local/files?name=..%2Fpl%C3%A4n.html",
            &bytes,
            b"<script>",
        )
        .await;
    let file = sent.json();
    assert_eq!(
        (sent.status, &file["name"], &file["media_type"], &file["size_bytes"]),
        (200, &json!("plän.html"), &json!("text/html"), &json!(8))
    );
    let id = file["id"].as_str().unwrap();
    for (name, kind) in [
        ("pl%C3%A4n.html", "application/octet-stream"),
        ("a.svg", "application/octet-stream"),
        ("a.png", "image/png"),
    ] {
        let path = format!("/chat/local/files/{id}?name={name}");
        let got = bench.call("GET", &path, &[cookie], b"").await;
        assert_eq!((got.status, got.body.as_str()), (200, "<script>"));
        assert_eq!(got.header("content-type"), Some(kind));
        let saved = format!("attachment; filename*=UTF-8''{name}");
        assert_eq!(got.header("content-disposition"), Some(saved.as_str()));
        assert_eq!(
            got.header("content-security-policy"),
            Some("default-src 'none'; sandbox")
        );
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
    }
    // What the page says of it counts for nothing but the name.
    let said = json!({ "id": "x1", "text": "", "files": [{ "id": id, "name": "b.png", "size_bytes": 1 }] });
    let got = bench.post("/chat/local/channels/c1/messages", &[cookie], &said).await;
    assert_eq!(got.status, 200, "{got:?}");
    let event: Value = serde_json::from_slice(&bench.inlet.events.lock().unwrap()[0].payload).unwrap();
    let expected = json!([{ "id": id, "name": "b.png", "media_type": "image/png", "size_bytes": 8 }]);
    assert_eq!(event["files"], expected);
    bench.stop().await;
}

#[tokio::test]
async fn files_have_the_same_guards_as_the_page_and_what_is_not_whole_is_not_kept() {
    let bench = Bench::start(|_| {}).await;
    let cookie = bench.log_in().await;
    let cookie = ("cookie", cookie.as_str());
    let kind = ("content-type", "application/octet-stream");
    let files = "/chat/local/files?name=a";
    let large = [0; 1001];
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a [u8], u16);
    let cases: Vec<Case<'_>> = vec![
        (files, vec![kind], b"x", 401),
        (files, vec![cookie, kind, ("origin", "https://evil.example")], b"x", 403),
        (files, vec![cookie, kind, ("sec-fetch-site", "cross-site")], b"x", 403),
        (files, vec![cookie, kind, ("host", "rebound.example")], b"x", 403),
        (files, vec![cookie, ("content-type", "text/plain")], b"x", 415),
        (files, vec![cookie, kind], &large, 413),
        ("/chat/nobody/files?name=a", vec![cookie, kind], b"x", 404),
    ];
    for (path, headers, body, expected) in cases {
        let got = bench.call("POST", path, &headers, body).await;
        assert_eq!(got.status, expected, "{path} {headers:?}: {got:?}");
    }
    let folder = bench._folder.path().join("local");
    assert_eq!(entries(&folder), 0);
    let kept = bench.call("POST", files, &[cookie, kind], b"x").await.json();
    let id = kept["id"].as_str().unwrap();
    let file = format!("/chat/local/files/{id}?name=a");
    for (path, headers, expected) in [
        (file.as_str(), vec![], 401),
        (file.as_str(), vec![cookie, ("host", "rebound.example")], 403),
        ("/chat/local/files/..%2F..%2Fstore.sqlite?name=a", vec![cookie], 404),
        (
            "/chat/local/files/0123456789abcdef0123456789abcdef?name=a",
            vec![cookie],
            404,
        ),
    ] {
        let got = bench.call("GET", path, &headers, b"").await;
        assert_eq!(got.status, expected, "{path} {headers:?}: {got:?}");
    }
    let say = async |files: Value| {
        let said = json!({ "id": "x1", "text": "look", "files": files });
        let path = "/chat/local/channels/c1/messages";
        bench.post(path, &[cookie], &said).await.status
    };
    let one = json!({ "id": id, "name": "a" });
    assert_eq!(say(json!([one, one, one])).await, 422, "two are the most");
    assert_eq!(say(json!([{ "id": "../store.sqlite", "name": "a" }])).await, 422);
    assert_eq!(bench.inlet.events.lock().unwrap().len(), 0);
    // Whoever hangs up in the middle leaves nothing behind.
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let head = format!(
        "POST {files} HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\n{}: {}\r\ncontent-length: 900\r\n\r\nhalf",
        bench.address, cookie.1, kind.0, kind.1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let wait = async |count: usize| {
        while entries(&folder) != count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let limit = Duration::from_secs(10);
    tokio::time::timeout(limit, wait(2)).await.expect("it is begun");
    drop(stream);
    tokio::time::timeout(limit, wait(1)).await.expect("it is taken away");
    bench.stop().await;
}

#[tokio::test]
async fn a_page_is_told_how_the_bots_are_connected() {
    let bench = Bench::start(|_| {}).await;
    let cookie = bench.log_in().await;
    let mut stream = bench
        .open("GET", "/chat/local/events?channel=c1", &[("cookie", &cookie)], b"")
        .await;
    let words = ["event: lines", r#""bot":"team""#, r#""state":"live""#, "event: ready"];
    read_until(&mut stream, &words).await;
    bench.stop().await;
}
