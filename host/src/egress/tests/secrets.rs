//! Secrets go where the manifest lists them, nowhere else, and do not come back.

use super::server::{Reply, Server, ok};
use super::*;

#[tokio::test]
async fn every_slot_is_filled() {
    let server = Server::new(|_, _| ok("{}")).await;
    let slots = vec![
        bearer(),
        Slot::Query("t".to_owned()),
        Slot::PathSegment(0, "bot".to_owned()),
        Slot::JsonPointer("/auth/token".to_owned(), String::new()),
        Slot::FormField("client_secret".to_owned()),
        Slot::BasicUser,
        Slot::BasicPassword,
    ];
    let out = with_slots(&(server.base() + "v1/"), slots.clone());
    let form = |body: &str| Request {
        headers: headers(&[("content-type", "application/x-www-form-urlencoded")]),
        ..post("/form", body)
    };
    let requests = vec![
        get("/plain"),
        get("/q?a=%41&t=guest"),
        get("/_/send"),
        post("/json", r#"{"auth":{},"a":1}"#),
        form("a=b+c&client_secret=guest"),
        get("/user"),
        get("/password"),
    ];
    for (request, slot) in requests.into_iter().zip(slots) {
        assert_eq!(out.send(with(request, "token", slot)).await.unwrap().status, 200);
    }
    let seen = server.seen();
    assert_eq!(
        seen[0].header("authorization"),
        Some(format!("Bearer {TOKEN}").as_str())
    );
    assert_eq!(seen[1].target, format!("/v1/q?a=%41&t={TOKEN}"));
    assert_eq!(seen[2].target, format!("/v1/bot{TOKEN}/send"));
    assert_eq!(seen[3].text(), format!(r#"{{"a":1,"auth":{{"token":"{TOKEN}"}}}}"#));
    assert_eq!(seen[4].text(), format!("a=b+c&client_secret={TOKEN}"));
    assert_eq!(
        seen[5].header("authorization"),
        Some("Basic eG94Yi0xMjM0NS1zZWNyZXQtdG9rZW46")
    );
    assert_eq!(
        seen[6].header("authorization"),
        Some("Basic OnhveGItMTIzNDUtc2VjcmV0LXRva2Vu")
    );
}

#[tokio::test]
async fn a_form_of_parts_takes_a_secret_and_files() {
    let server = Server::new(|_, _| ok("{}")).await;
    let out = with_slots(&server.base(), vec![Slot::FormField("token".to_owned())]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, "from the file").unwrap();
    let file = |name: &str, content| FormPart {
        name: name.to_owned(),
        filename: Some("grün.txt".to_owned()),
        media_type: Some("text/plain".to_owned()),
        content,
    };
    let parts = vec![
        file("a", Content::File(path.clone())),
        file("b", Content::Bytes(b"from memory".to_vec())),
    ];
    let request = Request {
        body: Body::Multipart(parts),
        ..post("/up", "")
    };
    out.send(with(request, "token", Slot::FormField("token".to_owned())))
        .await
        .unwrap();
    out.send(Request {
        body: Body::File(path),
        method: "PUT".to_owned(),
        ..get("/raw")
    })
    .await
    .unwrap();
    let seen = server.seen();
    let body = seen[0].text();
    for part in [
        "name=\"a\"; filename=\"grün.txt\"\r\nContent-Type: text/plain\r\n\r\nfrom the file\r\n",
        "name=\"b\"; filename=\"grün.txt\"\r\nContent-Type: text/plain\r\n\r\nfrom memory\r\n",
        &format!("name=\"token\"\r\n\r\n{TOKEN}\r\n"),
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert_eq!(
        (seen[1].header("content-length"), seen[1].text().as_str()),
        (Some("13"), "from the file")
    );
}

/// What a hostile guest tries; nothing of it is sent.
#[tokio::test]
async fn a_secret_goes_nowhere_else() {
    let server = Server::new(|_, _| ok("{}")).await;
    let base = server.base();
    let about = About {
        secrets: vec![
            spec("token", &["/api/chat/"], vec![bearer(), Slot::Query("t".to_owned())]),
            spec("hosts_own", &["/"], Vec::new()),
            spec("unset", &["/"], vec![bearer()]),
        ],
        ..about()
    };
    let mut grant = grant(&base, about);
    grant
        .secrets
        .insert("hosts_own".to_owned(), SecretText::new("hosts-own-secret"));
    let out = Egress::new(&EgressSettings::default()).unwrap().outlet(grant).unwrap();
    let tries = vec![
        with(get("/api/other"), "token", bearer()),
        with(get("/api/chat"), "token", bearer()),
        with(get("/api/chat/../other"), "token", bearer()),
        with(get("/api/chat/%2e%2e/other"), "token", bearer()),
        with(get("/api/chat/..%2fother"), "token", bearer()),
        with(get("//evil.example/api/chat/x"), "token", bearer()),
        with(get("https://evil.example/api/chat/x"), "token", bearer()),
        with(
            get("/api/chat/x"),
            "token",
            Slot::Header("X-Other".to_owned(), "Bearer ".to_owned()),
        ),
        with(
            get("/api/chat/x"),
            "token",
            Slot::Header("Authorization".to_owned(), String::new()),
        ),
        with(get("/api/chat/x"), "token", Slot::Query("text".to_owned())),
        with(
            post("/api/chat/x", "{}"),
            "token",
            Slot::JsonPointer("/text".to_owned(), String::new()),
        ),
        with(
            post("/api/chat/x", "{}"),
            "token",
            Slot::JsonPointer("/auth/token".to_owned(), "other ".to_owned()),
        ),
        with(post("/api/chat/x", ""), "token", Slot::Frame("PASS ".to_owned())),
        with(get("/api/chat/x"), "hosts_own", bearer()),
        with(get("/api/chat/x"), "nothing", bearer()),
        Request {
            headers: headers(&[("authorization", "Bearer guest")]),
            ..with(get("/api/chat/x"), "token", bearer())
        },
        Request {
            headers: headers(&[("Host", "evil.example")]),
            ..get("/api/chat/x")
        },
        Request {
            headers: headers(&[("Transfer-Encoding", "chunked")]),
            ..get("/api/chat/x")
        },
        Request {
            method: "CONNECT".to_owned(),
            ..get("/api/chat/x")
        },
        Request {
            method: "GET / HTTP/1.1\r\nX".to_owned(),
            ..get("/api/chat/x")
        },
    ];
    for request in tries {
        let told = format!("{request:?}");
        let refused = out.send(request).await;
        assert!(matches!(refused, Err(CallError::Rejected(_))), "{told}: {refused:?}");
        assert!(!format!("{refused:?}").contains(TOKEN));
    }
    let unset = out.send(with(get("/x"), "unset", bearer())).await;
    assert_eq!(
        unset,
        Err(CallError::Unauthorized(
            "the secret `unset` is not configured".to_owned()
        ))
    );
    assert_eq!(server.seen().len(), 0);
    out.send(with(get("/api/chat/x"), "token", bearer())).await.unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn what_comes_back_is_redacted() {
    let encoded = hex::encode(TOKEN);
    let server = Server::new(move |_, seen| {
        let body = format!("{} {encoded} {}", seen.header("authorization").unwrap(), seen.target);
        Reply::Answer(200, vec![("x-echo", format!("got {TOKEN}"))], body.into_bytes())
    })
    .await;
    let out = with_slots(&server.base(), vec![bearer()]);
    let stars = "*".repeat(TOKEN.len());
    let response = out.send(with(get("/x"), "token", bearer())).await.unwrap();
    assert_eq!(
        text(&response),
        format!("Bearer {stars} {} /x", "*".repeat(2 * TOKEN.len()))
    );
    assert!(
        response
            .headers
            .contains(&("x-echo".to_owned(), format!("got {stars}")))
    );

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let size = out
        .download(with(get("/x"), "token", bearer()), path.clone())
        .await
        .unwrap()
        .unwrap();
    let file = std::fs::read_to_string(path).unwrap();
    assert!(
        file.starts_with(&format!("Bearer {stars} ")) && file.len() == size as usize,
        "{file}"
    );
    assert_eq!(out.redact(&format!("a {TOKEN} b")), format!("a {stars} b"));
}

#[tokio::test]
async fn errors_carry_no_secret() {
    let server = Server::new(|_, _| Reply::Hangup).await;
    let out = with_slots(
        &server.base(),
        vec![Slot::Query("t".to_owned()), Slot::PathSegment(0, String::new())],
    );
    for slot in [Slot::Query("t".to_owned()), Slot::PathSegment(0, String::new())] {
        let error = out.send(with(post("/_/x", ""), "token", slot)).await.unwrap_err();
        assert!(matches!(error, CallError::Ambiguous(_)), "{error}");
        assert!(!error.to_string().contains("xoxb"), "{error}");
    }
    assert!(!format!("{out:?}").contains("xoxb"));
}

#[tokio::test]
async fn a_redirect_to_another_origin_drops_every_secret() {
    let other = Server::new(|_, _| ok("theirs")).await;
    let there = format!("{}file", other.base());
    let server = Server::new(move |_, seen| match seen.target.as_str() {
        "/same" => server::status(302, &[("location", "/landed")]),
        "/leave" => server::status(307, &[("location", &there)]),
        "/carry" => server::status(302, &[("location", &format!("{there}?back={TOKEN}"))]),
        "/outside" => server::status(302, &[("location", "https://evil.example/")]),
        "/round" => server::status(302, &[("location", "/round")]),
        _ => ok("ours"),
    })
    .await;
    let mut grant = grant(
        &server.base(),
        About {
            secrets: vec![spec("token", &["/"], vec![bearer()])],
            ..about()
        },
    );
    grant.hosts = vec![other.base()];
    let out = Egress::new(&EgressSettings::default()).unwrap().outlet(grant).unwrap();
    let go = async |path: &str| {
        let request = Request {
            headers: headers(&[("Cookie", "a=b"), ("X-Mine", "1")]),
            ..get(path)
        };
        out.send(with(request, "token", bearer())).await.unwrap()
    };
    assert_eq!(text(&go("/same").await), "ours");
    assert_eq!(
        server.seen()[1].header("authorization"),
        Some(format!("Bearer {TOKEN}").as_str())
    );

    assert_eq!(text(&go("/leave").await), "theirs");
    let seen = &other.seen()[0];
    assert_eq!(
        (
            seen.header("authorization"),
            seen.header("cookie"),
            seen.header("x-mine")
        ),
        (None, None, Some("1"))
    );

    for path in ["/carry", "/outside"] {
        assert_eq!(go(path).await.status, 302, "{path}");
    }
    assert_eq!(other.seen().len(), 1);
    let before = server.seen().len();
    assert_eq!(go("/round").await.status, 302);
    assert_eq!(server.seen().len() - before, 6);
    // A POST is never sent on.
    assert_eq!(
        out.send(with(post("/same", ""), "token", bearer()))
            .await
            .unwrap()
            .status,
        302
    );
}

#[tokio::test]
async fn a_same_origin_redirect_out_of_the_target_drops_the_secret() {
    let server = Server::new(|_, seen| match seen.target.as_str() {
        "/api/a" => server::status(302, &[("location", "/public/b")]),
        _ => ok("ours"),
    })
    .await;
    let out = outlet(
        &server.base(),
        About {
            secrets: vec![spec("token", &["/api/"], vec![bearer()])],
            ..about()
        },
    );
    out.send(with(get("/api/a"), "token", bearer())).await.unwrap();
    let seen = server.seen();
    assert!(seen[0].header("authorization").is_some() && seen[1].header("authorization").is_none());
}

#[tokio::test]
async fn a_grant_that_cannot_be_says_all_reasons() {
    let egress = Egress::new(&EgressSettings::default()).unwrap();
    let about = About {
        secrets: vec![
            spec("token", &[], vec![bearer()]),
            spec("far", &["https://elsewhere.example/"], vec![bearer()]),
            spec("broken", &["/../"], Vec::new()),
        ],
        ..about()
    };
    let mut grant = grant("https://api.example.com/", about);
    grant.secrets.insert("far".to_owned(), SecretText::new("abc"));
    let problems = egress.outlet(grant).unwrap_err();
    let about = [
        "`token` may be placed",
        "`far` may be placed",
        "`broken`: target",
        "`far` has fewer",
    ];
    assert_eq!(problems.len(), about.len(), "{problems:#?}");
    for words in about {
        assert!(problems.iter().any(|p| p.contains(words)), "{words}: {problems:#?}");
    }
}
