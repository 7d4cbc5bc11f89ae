//! Tokens minted from secrets.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Reply, Seen, Server, ok};
use super::*;
use crate::manifest::{MintBody, Refusal};

type Does = fn() -> Reply;

fn tenant() -> Minted {
    Minted {
        name: "tenant".to_owned(),
        method: "POST".to_owned(),
        url: "/auth/token".to_owned(),
        headers: Headers::new(),
        body: MintBody::Json(r#"{"app_id":"cli_a"}"#.to_owned()),
        placements: vec![at("token", Slot::JsonPointer("/app_secret".to_owned(), String::new()))],
        token_at: "/data/token".to_owned(),
        lifetime_seconds_at: Some("/data/expire".to_owned()),
        refused: Some(Refusal {
            at: "/code".to_owned(),
            values: strings(&["99991663", "expired"]),
        }),
        targets: strings(&["/api/"]),
        slots: vec![bearer()],
    }
}

fn minting(base: &str, minted: Vec<Minted>) -> Outlet {
    outlet(
        base,
        About {
            secrets: vec![spec("token", &["/auth/"], Vec::new())],
            minted,
            ..about()
        },
    )
}

fn token_answer(number: usize, expire: &str) -> Reply {
    ok(&format!(
        r#"{{"code":0,"data":{{"token":"minted-token-{number}","expire":{expire}}}}}"#
    ))
}

/// A vendor that gives numbered tokens and otherwise does as `api` says, by the number of the token that came.
async fn vendor(expire: &'static str, api: impl Fn(&str, &Seen) -> Reply + Send + Sync + 'static) -> Server {
    let minted = AtomicUsize::new(0);
    Server::new(move |_, seen| {
        if seen.target == "/auth/token" {
            return token_answer(minted.fetch_add(1, Ordering::SeqCst), expire);
        }
        api(
            seen.header("authorization")
                .unwrap_or_default()
                .trim_start_matches("Bearer minted-token-"),
            seen,
        )
    })
    .await
}

fn targets(server: &Server) -> Vec<String> {
    server.seen().into_iter().map(|seen| seen.target).collect()
}

fn call(url: &str) -> Request {
    with(post(url, "{}"), "tenant", bearer())
}

#[tokio::test]
async fn a_token_is_minted_once_kept_and_blanked() {
    let server = vendor("7200", |token, _| ok(&format!("minted-token-{token}"))).await;
    let out = minting(&server.base(), vec![tenant()]);
    for _ in 0..3 {
        assert_eq!(text(&out.send(call("/api/x")).await.unwrap()), "**************");
    }
    assert_eq!(targets(&server), ["/auth/token", "/api/x", "/api/x", "/api/x"]);
    let mint = &server.seen()[0];
    assert_eq!(mint.text(), format!(r#"{{"app_id":"cli_a","app_secret":"{TOKEN}"}}"#));
    assert_eq!(mint.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(out.redact("minted-token-0"), "**************");
    // Like a secret: only to its targets, only in its slots; and what it is made of stays with the host.
    for request in [
        call("/auth/token"),
        with(
            post("/auth/token", "{}"),
            "token",
            Slot::JsonPointer("/x".to_owned(), String::new()),
        ),
    ] {
        assert!(matches!(out.send(request).await, Err(CallError::Rejected(_))));
    }
}

#[tokio::test]
async fn many_calls_at_once_share_one_mint() {
    let server = Server::slow(|_, seen| {
        Box::pin(async move {
            if seen.target == "/auth/token" {
                // Long enough for all to ask.
                for _ in 0..200 {
                    tokio::task::yield_now().await;
                }
                return token_answer(0, "7200");
            }
            ok("")
        })
    })
    .await;
    let out = minting(&server.base(), vec![tenant()]);
    let calls = (0..20).map(|_| out.send(call("/api/x")));
    for came in futures_util::future::join_all(calls).await {
        assert_eq!(came.unwrap().status, 200);
    }
    assert_eq!(targets(&server).iter().filter(|t| *t == "/auth/token").count(), 1);
}

#[tokio::test]
async fn a_refused_token_is_minted_again_and_the_call_repeated_once() {
    let refusals: [(&str, Does); 3] = [
        ("401", || server::status(401, &[])),
        ("number", || {
            Reply::Answer(400, Vec::new(), br#"{"code":99991663}"#.to_vec())
        }),
        ("text", || ok(r#"{"code":"expired"}"#)),
    ];
    for (name, refusal) in refusals {
        let server = vendor("7200", move |token, _| if token == "0" { refusal() } else { ok(token) }).await;
        let out = minting(&server.base(), vec![tenant()]);
        assert_eq!(text(&out.send(call("/api/x")).await.unwrap()), "1", "{name}");
        assert_eq!(
            targets(&server),
            ["/auth/token", "/api/x", "/auth/token", "/api/x"],
            "{name}"
        );

        let server = vendor("7200", move |_, _| refusal()).await;
        let out = minting(&server.base(), vec![tenant()]);
        out.send(call("/api/x")).await.unwrap();
        assert_eq!(targets(&server).len(), 4, "{name}: once, not for ever");
    }
    // The same code elsewhere, or another code, is no refusal.
    for body in [r#"{"code":0,"text":"99991663"}"#, r#"{"code":1}"#, "99991663"] {
        let server = vendor("7200", move |_, _| ok(body)).await;
        minting(&server.base(), vec![tenant()])
            .send(call("/api/x"))
            .await
            .unwrap();
        assert_eq!(targets(&server).len(), 2, "{body}");
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    // 3,000 s of life: renewed after 2,400 s.
    let server = vendor("\"3000\"", |token, _| ok(token)).await;
    let out = minting(&server.base(), vec![tenant()]);
    for (seconds, token) in [(0, "0"), (2_300, "0"), (150, "1")] {
        later(Duration::from_secs(seconds)).await;
        assert_eq!(text(&out.send(call("/api/x")).await.unwrap()), token);
    }
}

#[tokio::test]
async fn while_a_renewal_fails_the_old_token_is_used_to_its_end() {
    let minted = AtomicUsize::new(0);
    let server = Server::new(move |_, seen| match seen.target.as_str() {
        "/auth/token" if minted.fetch_add(1, Ordering::SeqCst) == 0 => token_answer(0, "2000"),
        "/auth/token" => server::status(400, &[]),
        _ => ok("fine"),
    })
    .await;
    let out = minting(&server.base(), vec![tenant()]);
    for seconds in [0, 1_700] {
        later(Duration::from_secs(seconds)).await;
        assert_eq!(text(&out.send(call("/api/x")).await.unwrap()), "fine");
    }
    later(Duration::from_secs(400)).await;
    let error = out.send(call("/api/x")).await.unwrap_err();
    assert!(matches!(error, CallError::Unauthorized(_)), "{error:?}");
    let mints = targets(&server).iter().filter(|t| *t == "/auth/token").count();
    assert_eq!(mints, 3, "one that came, one that failed early, one at the end");
}

#[tokio::test]
async fn a_mint_that_fails_says_why_without_the_secret() {
    let said = format!(r#"{{"code":10003,"msg":"invalid app_secret {TOKEN}"}}"#);
    let server = Server::new(move |_, _| ok(&said)).await;
    let error = minting(&server.base(), vec![tenant()])
        .send(call("/api/x"))
        .await
        .unwrap_err();
    let stars = "*".repeat(TOKEN.len());
    let why = format!("the token `tenant` was not given: it is not in the answer: invalid app_secret {stars}");
    assert_eq!(error, CallError::Unauthorized(why));
    let busy = Server::new(|_, _| server::status(429, &[("retry-after", "3")])).await;
    let error = minting(&busy.base(), vec![tenant()])
        .send(call("/api/x"))
        .await
        .unwrap_err();
    assert_eq!(error, CallError::RateLimited(Some(Duration::from_secs(3))));
}

#[tokio::test]
async fn a_token_may_be_made_of_one_before_it() {
    let server = vendor("7200", |_, seen| match seen.target.as_str() {
        "/auth/second" => ok(&format!(r#"{{"t":"second-{}"}}"#, seen.text().len())),
        _ => ok(seen
            .header("authorization")
            .unwrap_or_default()
            .trim_start_matches("Bearer second")),
    })
    .await;
    let first = Minted {
        targets: strings(&["/auth/second"]),
        slots: Vec::new(),
        ..tenant()
    };
    let second = Minted {
        name: "second".to_owned(),
        url: "/auth/second".to_owned(),
        body: MintBody::Form(vec![("a".to_owned(), "b".to_owned())]),
        placements: vec![at("tenant", Slot::FormField("by".to_owned()))],
        token_at: "/t".to_owned(),
        lifetime_seconds_at: None,
        ..tenant()
    };
    let out = minting(&server.base(), vec![first.clone(), second.clone()]);
    out.send(with(get("/api/x"), "second", bearer())).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[1].text(), "a=b&by=minted-token-0");
    assert_eq!(seen[2].header("authorization"), Some("Bearer second-21"));

    let backwards = About {
        secrets: vec![spec("token", &["/auth/"], Vec::new())],
        minted: vec![second, first],
        ..about()
    };
    let problems = Egress::new(&EgressSettings::default())
        .unwrap()
        .outlet(grant(&server.base(), backwards))
        .unwrap_err();
    assert_eq!(problems, ["token `second`: there is no `tenant` before it"]);
    let elsewhere = Minted {
        url: "/other".to_owned(),
        ..tenant()
    };
    let about = About {
        secrets: vec![spec("token", &["/auth/"], Vec::new())],
        minted: vec![elsewhere],
        ..about()
    };
    let problems = Egress::new(&EgressSettings::default())
        .unwrap()
        .outlet(grant(&server.base(), about))
        .unwrap_err();
    assert!(problems[0].contains("may not go to this url"), "{problems:?}");
}
