//! Websockets against a real server.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Asked, Response as Given};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, http};

use super::*;

/// Accepts one connection after the other. Echoes; `close` makes it close, `deaf` makes it read no more. A wrong
/// password is refused. Its first frame is what the handshake said.
async fn echo() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut said = String::new();
                #[expect(clippy::result_large_err, reason = "the callback's signature")]
                let check = |asked: &Asked, mut given: Given| -> Result<Given, ErrorResponse> {
                    let of = |name: &str| {
                        asked
                            .headers()
                            .get(name)
                            .and_then(|v| v.to_str().ok())
                            .unwrap_or_default()
                    };
                    if of("x-refuse") == "1" {
                        let answer = http::Response::builder()
                            .status(403)
                            .header("x-echo", of("authorization"));
                        return Err(answer.body(None).unwrap());
                    }
                    said = format!(
                        "{} {} {}",
                        asked.uri(),
                        of("authorization"),
                        of("sec-websocket-protocol")
                    );
                    if let Some(protocol) = asked.headers().get("sec-websocket-protocol") {
                        given.headers_mut().insert("sec-websocket-protocol", protocol.clone());
                    }
                    Ok(given)
                };
                let mut socket = tokio_tungstenite::accept_hdr_async(stream, check).await.ok()?;
                // The length too: what comes back is redacted.
                said = format!("{} {said}", said.len());
                socket.send(Message::text(said)).await.ok()?;
                while let Some(Ok(message)) = socket.next().await {
                    match message {
                        Message::Text(text) if text == "close" => {
                            let frame = CloseFrame {
                                code: 4004.into(),
                                reason: TOKEN.into(),
                            };
                            socket.close(Some(frame)).await.ok()?;
                        }
                        Message::Text(text) if text == "deaf" => std::future::pending().await,
                        Message::Text(text) if text == "large" => {
                            socket.send(Message::binary(vec![0; (8 << 20) + 1])).await.ok()?;
                        }
                        Message::Text(_) | Message::Binary(_) => socket.send(message).await.ok()?,
                        Message::Close(frame) => return frame,
                        _ => {}
                    }
                }
                None
            });
        }
    });
    (address, task)
}

fn opening(url: &str) -> Opening {
    Opening {
        url: url.to_owned(),
        headers: Headers::new(),
        protocols: Vec::new(),
        secrets: Vec::new(),
        ping_every: None,
    }
}

async fn next(socket: &mut Socket) -> Result<Frame, (u16, String)> {
    tokio::time::timeout(Duration::from_secs(10), socket.receive.recv())
        .await
        .unwrap()
        .unwrap()
}

async fn say(socket: &Socket, text: &str) {
    socket
        .send
        .send((Frame::Text(text.to_owned()), Vec::new()))
        .await
        .unwrap();
}

fn words(text: &str) -> Result<Frame, (u16, String)> {
    Ok(Frame::Text(text.to_owned()))
}

fn allowed(address: SocketAddr) -> Outlet {
    with_slots(
        &format!("http://{address}/v4/"),
        vec![
            bearer(),
            Slot::JsonPointer("/token".to_owned(), String::new()),
            Slot::JsonPointer("/d/token".to_owned(), "QQBot ".to_owned()),
            Slot::Frame("PASS ".to_owned()),
        ],
    )
}

#[tokio::test]
async fn frames_go_both_ways_with_secrets_put_in_and_blanked() {
    let (address, _task) = echo().await;
    let out = allowed(address);
    let mut socket = out
        .open(Opening {
            secrets: vec![at("token", bearer())],
            protocols: strings(&["v1"]),
            ..opening("/ws?a=b")
        })
        .await
        .unwrap();
    let stars = "*".repeat(TOKEN.len());
    let length = format!("/v4/ws?a=b Bearer {TOKEN} v1").len();
    assert_eq!(
        next(&mut socket).await,
        words(&format!("{length} /v4/ws?a=b Bearer {stars} v1"))
    );
    say(&socket, "hello").await;
    assert_eq!(next(&mut socket).await, words("hello"));
    socket
        .send
        .send((Frame::Binary(vec![0, 255]), Vec::new()))
        .await
        .unwrap();
    assert_eq!(next(&mut socket).await, Ok(Frame::Binary(vec![0, 255])));
    let hello = Frame::Text(r#"{"op":2}"#.to_owned());
    socket
        .send
        .send((
            hello,
            vec![at("token", Slot::JsonPointer("/token".to_owned(), String::new()))],
        ))
        .await
        .unwrap();
    assert_eq!(
        next(&mut socket).await,
        words(&format!(r#"{{"op":2,"token":"{stars}"}}"#))
    );

    // With a word before it, and as a frame of its own.
    let identify = Frame::Text(r#"{"d":{"token":""}}"#.to_owned());
    let pointer = Slot::JsonPointer("/d/token".to_owned(), "QQBot ".to_owned());
    socket.send.send((identify, vec![at("token", pointer)])).await.unwrap();
    assert_eq!(
        next(&mut socket).await,
        words(&format!(r#"{{"d":{{"token":"QQBot {stars}"}}}}"#))
    );
    let pass = Frame::Text("what is here does not matter".to_owned());
    let whole = Slot::Frame("PASS ".to_owned());
    socket.send.send((pass, vec![at("token", whole)])).await.unwrap();
    assert_eq!(next(&mut socket).await, words(&format!("PASS {stars}")));

    say(&socket, "close").await;
    assert_eq!(next(&mut socket).await, Err((4004, stars)));
    assert!(socket.receive.recv().await.is_none());
    assert!(socket.send.send((Frame::Binary(Vec::new()), Vec::new())).await.is_err());
}

#[tokio::test]
async fn a_refused_handshake_is_told_without_secrets() {
    let (address, _task) = echo().await;
    let refused = allowed(address)
        .open(Opening {
            secrets: vec![at("token", bearer())],
            headers: headers(&[("x-refuse", "1")]),
            ..opening("/ws")
        })
        .await;
    let Err(OpenError::Refused { status, headers }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(status, 403);
    assert!(
        headers.contains(&("x-echo".to_owned(), format!("Bearer {}", "*".repeat(TOKEN.len())))),
        "{headers:?}"
    );
}

#[tokio::test]
async fn what_is_not_allowed_is_never_opened() {
    let (address, _task) = echo().await;
    let out = allowed(address);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rejected = vec![
        opening("wss://evil.example/"),
        opening(&format!("wss://{address}/")),
        opening(&format!("ws://{closed}/")),
        opening("/../ws"),
        opening(&format!("file://{address}/")),
        Opening {
            secrets: vec![at("token", Slot::Query("t".to_owned()))],
            ..opening("/ws")
        },
        Opening {
            secrets: vec![at("token", bearer())],
            ..opening(&format!("ws://{address}/v5/ws"))
        },
        Opening {
            headers: headers(&[("Host", "evil.example")]),
            ..opening("/ws")
        },
        Opening {
            headers: headers(&[("Sec-WebSocket-Key", "x")]),
            ..opening("/ws")
        },
        Opening {
            protocols: strings(&["a\r\nb: c"]),
            ..opening("/ws")
        },
    ];
    for opening in rejected {
        let told = format!("{opening:?}");
        let refused = out.open(opening).await;
        assert!(
            matches!(refused, Err(OpenError::Failed(CallError::Rejected(_)))),
            "{told}: {refused:?}"
        );
    }
    let nobody = with_slots(&format!("http://{closed}/"), Vec::new())
        .open(opening("/"))
        .await;
    assert!(
        matches!(nobody, Err(OpenError::Failed(CallError::Unavailable(_)))),
        "{nobody:?}"
    );
}

#[tokio::test]
async fn a_frame_with_a_secret_in_a_wrong_place_closes_the_socket() {
    let (address, _task) = echo().await;
    let out = allowed(address);
    for (url, frame, slot) in [
        (
            "/ws".to_owned(),
            Frame::Text("no json".to_owned()),
            Slot::JsonPointer("/token".to_owned(), String::new()),
        ),
        (
            "/ws".to_owned(),
            Frame::Binary(b"{}".to_vec()),
            Slot::JsonPointer("/token".to_owned(), String::new()),
        ),
        (
            "/ws".to_owned(),
            Frame::Text("{}".to_owned()),
            Slot::JsonPointer("/text".to_owned(), String::new()),
        ),
        ("/ws".to_owned(), Frame::Text("{}".to_owned()), bearer()),
        (
            "/ws".to_owned(),
            Frame::Binary(Vec::new()),
            Slot::Frame("PASS ".to_owned()),
        ),
        (
            "/ws".to_owned(),
            Frame::Text(String::new()),
            Slot::Frame("PRIVMSG #all :".to_owned()),
        ),
        (
            format!("ws://{address}/v5"),
            Frame::Text("{}".to_owned()),
            Slot::JsonPointer("/token".to_owned(), String::new()),
        ),
    ] {
        let mut socket = out.open(opening(&url)).await.unwrap();
        next(&mut socket).await.unwrap();
        socket.send.send((frame, vec![at("token", slot)])).await.unwrap();
        let end = next(&mut socket).await.unwrap_err();
        assert_eq!(end.0, 1008, "{end:?}");
    }
}

#[tokio::test]
async fn we_may_close_with_a_code_or_by_letting_go() {
    let (address, _task) = echo().await;
    let out = allowed(address);
    let mut socket = out.open(opening("/ws")).await.unwrap();
    next(&mut socket).await.unwrap();
    socket.close.send((4000, "resume".to_owned())).unwrap();
    let end = tokio::time::timeout(Duration::from_secs(10), socket.receive.recv())
        .await
        .unwrap();
    assert_eq!(end, Some(Err((4000, "resume".to_owned()))));

    let Socket {
        send,
        mut receive,
        close,
    } = out.open(opening("/ws")).await.unwrap();
    drop(close);
    send.send((Frame::Text("last".to_owned()), Vec::new())).await.unwrap();
    drop(send);
    let mut came = Vec::new();
    while let Some(frame) = tokio::time::timeout(Duration::from_secs(10), receive.recv())
        .await
        .unwrap()
    {
        came.push(frame);
    }
    // What was sent before is sent; the echo may come too late.
    assert_eq!(came.last(), Some(&Err((1000, String::new()))), "{came:?}");

    let Socket { send, receive, close } = out.open(opening("/ws")).await.unwrap();
    drop(receive);
    tokio::time::timeout(Duration::from_secs(10), send.closed())
        .await
        .unwrap();
    drop(close);
}

#[tokio::test]
async fn a_side_that_answers_no_ping_is_given_up() {
    let (address, _task) = echo().await;
    let every = Some(Duration::from_secs(1));
    let mut socket = allowed(address)
        .open(Opening {
            ping_every: every,
            ..opening("/ws")
        })
        .await
        .unwrap();
    next(&mut socket).await.unwrap();
    // Alive over many pings.
    let quiet = tokio::time::timeout(Duration::from_secs(4), socket.receive.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    say(&socket, "deaf").await;
    assert_eq!(next(&mut socket).await, Err((1006, "no answer to a ping".to_owned())));
}

#[tokio::test]
async fn frames_have_a_cap_and_a_guest_that_does_not_read_loses_nothing() {
    let (address, _task) = echo().await;
    let out = allowed(address);
    let mut socket = out.open(opening("/ws")).await.unwrap();
    next(&mut socket).await.unwrap();
    for number in 0..200 {
        say(&socket, &number.to_string()).await;
    }
    for number in 0..200 {
        assert_eq!(next(&mut socket).await, words(&number.to_string()));
    }
    say(&socket, "large").await;
    assert_eq!(next(&mut socket).await.unwrap_err().0, 1009);
    let mut socket = out.open(opening("/ws")).await.unwrap();
    next(&mut socket).await.unwrap();
    socket
        .send
        .send((Frame::Binary(vec![0; (8 << 20) + 1]), Vec::new()))
        .await
        .unwrap();
    assert_eq!(next(&mut socket).await.unwrap_err().0, 1008);
}

/// A proxy that takes one `CONNECT` and leads it there, or refuses it; what it was asked.
async fn tunnel(to: Option<SocketAddr>) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        match to {
            Some(to) => {
                client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
                let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
            None => client.write_all(b"HTTP/1.1 407 No\r\n\r\n").await.unwrap(),
        }
        String::from_utf8(head).unwrap()
    });
    (address, task)
}

fn behind(proxy: SocketAddr) -> Outlet {
    let settings = EgressSettings {
        proxy: Some(format!("http://us%20er:pass@{proxy}")),
        ..EgressSettings::default()
    };
    let lookup = super::door::table(&[("far.example", &["1.1.1.1"])]);
    let mut grant = grant("http://127.0.0.1:9/", about());
    grant.hosts = strings(&["http://far.example"]);
    let egress = Egress::with_lookup(&settings, &lookup).unwrap();
    egress.outlet(grant).unwrap()
}

#[tokio::test]
async fn sockets_go_through_the_operators_proxy_with_its_password() {
    let (address, _task) = echo().await;
    let (proxy, asked) = tunnel(Some(address)).await;
    let mut socket = behind(proxy).open(opening("ws://far.example/ws")).await.unwrap();
    assert_eq!(next(&mut socket).await, words("5 /ws  "));
    say(&socket, "hello").await;
    assert_eq!(next(&mut socket).await, words("hello"));
    drop(socket);
    assert_eq!(
        asked.await.unwrap(),
        "CONNECT far.example:80 HTTP/1.1\r\nHost: far.example:80\r\nProxy-Authorization: Basic dXMgZXI6cGFzcw==\r\n\r\n"
    );
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_with_its_status() {
    let (proxy, asked) = tunnel(None).await;
    let opened = behind(proxy).open(opening("ws://far.example/ws")).await;
    let why = format!("{:?}", opened.err());
    assert!(why.contains("the proxy refused with status 407"), "{why}");
    asked.await.unwrap();
}
