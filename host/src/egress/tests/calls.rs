//! Repeating, waiting, and what a failure is called.

use super::server::{Reply, Server, ok, status};
use super::*;

type Does = fn() -> Reply;

fn rated(base: &str, calls: u32, per: Duration) -> Outlet {
    let mut about = about();
    about.limits.rates = vec![Rate {
        bucket: "post".to_owned(),
        calls,
        per,
    }];
    outlet(base, about)
}

fn patient(request: Request, wait: Duration) -> Request {
    Request {
        buckets: strings(&["post:C1"]),
        wait,
        ..request
    }
}

#[tokio::test]
async fn a_plain_call_arrives_as_it_was_asked_for() {
    let server = Server::new(|_, _| Reply::Answer(404, vec![("x-a", "1".to_owned())], b"gone".to_vec())).await;
    let out = outlet(&(server.base() + "api/"), about());
    let request = Request {
        headers: headers(&[("X-Two", "1"), ("x-two", "2")]),
        ..post("/a.b?c=d", "body")
    };
    let response = out.send(request).await.unwrap();
    assert_eq!((response.status, text(&response)), (404, "gone"));
    assert!(response.headers.contains(&("x-a".to_owned(), "1".to_owned())));
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str(), seen.text().as_str()),
        ("POST", "/api/a.b?c=d", "body")
    );
    let two: Vec<_> = seen
        .headers
        .iter()
        .filter(|h| h.0 == "x-two")
        .map(|h| h.1.as_str())
        .collect();
    assert_eq!(two, ["1", "2"]);
    assert!(seen.header("user-agent").unwrap().starts_with("botyard/"));
}

#[tokio::test]
async fn what_may_be_repeated_is_and_nothing_else() {
    // Method, repeatable, what the server does, how often it is asked, what it came to.
    let busy = || status(503, &[]);
    let cases: Vec<(&str, bool, Does, usize, &str)> = vec![
        ("GET", false, || Reply::Hangup, 3, "unavailable"),
        ("PUT", false, || Reply::Hangup, 3, "unavailable"),
        ("DELETE", false, || status(502, &[]), 3, "502"),
        ("POST", true, || Reply::Cut, 3, "unavailable"),
        ("POST", true, || status(504, &[]), 3, "504"),
        ("POST", false, || Reply::Hangup, 1, "ambiguous"),
        ("POST", false, || Reply::Cut, 1, "ambiguous"),
        ("PATCH", false, || status(503, &[]), 1, "503"),
        ("GET", false, || status(500, &[]), 1, "500"),
        ("GET", false, || status(503, &[("retry-after", "60")]), 1, "503"),
    ];
    for (method, repeatable, does, times, expected) in cases {
        let server = Server::new(move |_, _| does()).await;
        let request = Request {
            method: method.to_owned(),
            repeatable,
            ..get("/x")
        };
        let came = match outlet(&server.base(), about()).send(request).await {
            Ok(response) => response.status.to_string(),
            Err(CallError::Unavailable(_)) => "unavailable".to_owned(),
            Err(CallError::Ambiguous(_)) => "ambiguous".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            (came.as_str(), server.seen().len()),
            (expected, times),
            "{method} {repeatable}"
        );
    }
    let server = Server::new(move |number, _| if number < 2 { busy() } else { ok("at last") }).await;
    assert_eq!(
        text(&outlet(&server.base(), about()).send(get("/x")).await.unwrap()),
        "at last"
    );
}

#[tokio::test]
async fn who_cannot_be_reached_is_unavailable_and_silence_is_ambiguous() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let out = outlet(&format!("http://{closed}/"), about());
    let refused = out.send(post("/x", "")).await;
    assert!(matches!(refused, Err(CallError::Unavailable(_))), "{refused:?}");

    let silent = Server::new(|_, _| Reply::Never).await;
    let out = outlet(&silent.base(), about());
    let short = |request| Request {
        timeout: Some(Duration::from_millis(80)),
        ..request
    };
    let posted = out.send(short(post("/x", ""))).await;
    assert!(matches!(posted, Err(CallError::Ambiguous(_))), "{posted:?}");
    let got = out.send(short(get("/x"))).await;
    assert!(matches!(got, Err(CallError::Unavailable(_))), "{got:?}");
}

#[tokio::test]
async fn answers_have_a_cap_also_when_they_are_unpacked() {
    // 1 MiB of zeros, gzip: 1,051 bytes. Made by `head -c 1048576 /dev/zero | gzip -9n`.
    let bomb = include_bytes!("zeros.gz").to_vec();
    let server = Server::new(move |_, seen| match seen.target.as_str() {
        "/bomb" => Reply::Answer(200, vec![("content-encoding", "gzip".to_owned())], bomb.clone()),
        _ => Reply::Answer(200, Vec::new(), vec![b'x'; 1000]),
    })
    .await;
    let out = outlet(&server.base(), about());
    let capped = |url: &str, max: u32| Request {
        max_bytes: Some(max),
        ..get(url)
    };
    assert_eq!(out.send(capped("/x", 1000)).await.unwrap().body.len(), 1000);
    assert_eq!(out.send(capped("/x", 999)).await, Err(CallError::TooLarge(999)));
    assert_eq!(out.send(capped("/bomb", 1 << 20)).await.unwrap().body, vec![0; 1 << 20]);
    assert_eq!(
        out.send(capped("/bomb", (1 << 20) - 1)).await,
        Err(CallError::TooLarge((1 << 20) - 1))
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    assert_eq!(
        out.download(capped("/bomb", 5000), path.clone()).await.unwrap_err(),
        CallError::TooLarge(5000)
    );
    assert_eq!(
        out.download(capped("/x", 5000), path.clone()).await.unwrap().unwrap(),
        1000
    );
    assert_eq!(std::fs::read(path).unwrap().len(), 1000);
}

#[tokio::test]
async fn a_download_that_is_refused_is_a_response() {
    let server = Server::new(|_, _| Reply::Answer(403, Vec::new(), b"no".to_vec())).await;
    let dir = tempfile::tempdir().unwrap();
    let refused = outlet(&server.base(), about())
        .download(get("/x"), dir.path().join("f"))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!((refused.status, text(&refused)), (403, "no"));
}

#[tokio::test]
async fn calls_wait_for_their_bucket_or_are_told_how_long() {
    let server = Server::new(|_, _| ok("")).await;
    let out = rated(&server.base(), 1, Duration::from_secs(60));
    assert!(out.send(patient(post("/x", ""), Duration::ZERO)).await.is_ok());
    let told = out.send(patient(post("/x", ""), Duration::from_secs(5))).await;
    let Err(CallError::RateLimited(Some(longer))) = told else {
        panic!("{told:?}")
    };
    assert!(
        longer > Duration::from_secs(50) && longer <= Duration::from_secs(60),
        "{longer:?}"
    );
    let other = Request {
        buckets: strings(&["post:C2"]),
        ..post("/x", "")
    };
    assert!(out.send(other).await.is_ok());
    assert_eq!(server.seen().len(), 2);

    let out = rated(&server.base(), 1, Duration::from_millis(200));
    let start = tokio::time::Instant::now();
    for _ in 0..3 {
        out.send(patient(post("/x", ""), Duration::from_secs(5))).await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_429_holds_the_bucket_and_is_tried_again_within_its_patience() {
    let server = Server::new(|number, _| match number {
        0 => status(429, &[("retry-after", "0.2")]),
        1 => ok("done"),
        _ => status(429, &[("Retry-After", "30")]),
    })
    .await;
    let out = outlet(&server.base(), about());
    let start = tokio::time::Instant::now();
    let done = out.send(patient(post("/x", ""), Duration::from_secs(5))).await.unwrap();
    assert_eq!(text(&done), "done");
    assert!(start.elapsed() >= Duration::from_millis(200));

    assert_eq!(
        out.send(patient(post("/x", ""), Duration::from_secs(5)))
            .await
            .unwrap()
            .status,
        429
    );
    let left = out.ready_in(&strings(&["post:C1"]));
    assert!(left > Duration::from_secs(25), "{left:?}");
    let told = out.send(patient(post("/x", ""), Duration::from_secs(5))).await;
    assert!(matches!(told, Err(CallError::RateLimited(Some(_)))), "{told:?}");
    assert_eq!(server.seen().len(), 3, "the last was not sent");
}

#[tokio::test]
async fn answers_teach_the_narrow_bucket_or_all() {
    let server = Server::new(|_, seen| match seen.target.as_str() {
        "/empty" => status(
            200,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "40")],
        ),
        "/shared" => status(429, &[("retry-after", "50"), ("x-ratelimit-scope", "shared")]),
        _ => status(
            429,
            &[
                ("retry-after", "60"),
                ("x-ratelimit-global", "true"),
                ("x-ratelimit-scope", "global"),
            ],
        ),
    })
    .await;
    let out = outlet(&server.base(), about());
    let ready = |name: &str| out.ready_in(&strings(&[name])).as_secs_f64().ceil() as u64;
    for (path, narrow, expected) in [
        ("/empty", "a", (0, 40)),
        ("/shared", "b", (0, 50)),
        ("/global", "c", (60, 60)),
    ] {
        out.send(Request {
            buckets: strings(&["all", narrow]),
            ..post(path, "")
        })
        .await
        .unwrap();
        assert_eq!((ready("all"), ready(narrow)), expected, "{path}");
    }
    out.hold("mine", Duration::from_secs(9));
    assert_eq!(ready("mine"), 9);
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_is_never_sent() {
    let server = Server::new(|_, _| ok("")).await;
    let out = rated(&server.base(), 1, Duration::from_secs(60));
    out.send(patient(post("/first", ""), Duration::ZERO)).await.unwrap();
    let wait = Duration::from_secs(120);
    let dropped = tokio::time::timeout(Duration::from_millis(20), out.send(patient(post("/dropped", ""), wait))).await;
    assert!(dropped.is_err());
    later(Duration::from_secs(60)).await;
    out.send(patient(post("/last", ""), wait)).await.unwrap();
    let targets: Vec<String> = server.seen().into_iter().map(|s| s.target).collect();
    assert_eq!(targets, ["/first", "/last"]);
}
