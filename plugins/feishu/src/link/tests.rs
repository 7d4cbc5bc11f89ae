//! What the server says, and what is said to it.

use super::*;

fn response(body: &Value) -> Response {
    Response {
        status: 200,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    }
}

#[test]
fn the_endpoint_says_where_and_how() {
    let body = json!({ "code": 0, "msg": "", "data": {
        "URL": "wss://x.feishu.cn/ws/v2?fpid=493&service_id=33554678&ticket=t",
        "ClientConfig": { "ReconnectCount": 7, "ReconnectInterval": 0, "ReconnectNonce": 3, "PingInterval": 90 },
    } });
    let (url, config) = found(&response(&body)).expect("a place");
    assert_eq!(service(&url), 33_554_678);
    assert_eq!(
        config,
        Config {
            tries: 7,
            pause: Duration::from_secs(1),
            spread: Duration::from_secs(3),
            ping: Duration::from_secs(90),
        }
    );
    assert_eq!(service("wss://x/ws"), 0);
    // A pong that says one thing leaves the others.
    let later = config.read(&json!({ "PingInterval": 30, "ReconnectCount": "many" }));
    assert_eq!(
        (later.ping, later.tries, later.pause),
        (Duration::from_secs(30), 7, config.pause)
    );
}

#[test]
fn refusals_say_what_the_operator_must_do() {
    let code = |code: i64| found(&response(&json!({ "code": code, "msg": "m" }))).expect_err("refused");
    assert!(matches!(code(514), NoLine::Refused(why) if why.contains("App Secret")));
    assert!(matches!(code(403), NoLine::Refused(why) if why.contains("long connection")));
    assert_eq!(code(1_000_040_350), NoLine::Crowded);
    assert_eq!(code(1), NoLine::Later("feishu says 1 m".into()));
    assert_eq!(code(1_000_040_343), NoLine::Later("feishu says 1000040343 m".into()));
    let body = json!({ "code": 0, "data": {} });
    assert!(matches!(found(&response(&body)), Err(NoLine::Later(_))));
    let mut broken = response(&body);
    broken.body = b"<html>".to_vec();
    broken.status = 502;
    assert_eq!(found(&broken), Err(NoLine::Later("status 502".into())));

    let headers = |status: &str, reason: &str| {
        vec![
            ("Handshake-Status".to_owned(), status.to_owned()),
            ("Handshake-Autherrcode".to_owned(), reason.to_owned()),
        ]
    };
    assert_eq!(handshake(403, &headers("514", "1000040350")), NoLine::Crowded);
    assert!(matches!(
        handshake(403, &headers("514", "1000040344")),
        NoLine::Refused(_)
    ));
    assert!(matches!(handshake(403, &headers("403", "")), NoLine::Refused(_)));
    assert!(matches!(handshake(503, &Vec::new()), NoLine::Later(_)));
}

#[test]
fn an_acknowledgement_is_the_same_frame_with_what_became_of_it() {
    let frame = Frame {
        service: 7,
        method: frame::DATA,
        headers: vec![("type".into(), "event".into()), ("message_id".into(), "m1".into())],
        payload: b"the event".to_vec(),
        ..Frame::default()
    };
    let told = |emitted: Result<Option<Answer>, Error>| {
        let told = acknowledgement(frame.clone(), &emitted, Duration::from_millis(12));
        assert_eq!(
            (told.service, told.method, &told.headers[..2]),
            (7, frame::DATA, &frame.headers[..])
        );
        assert_eq!(told.headers[2], ("biz_rt".to_owned(), "12".to_owned()));
        String::from_utf8(told.payload).expect("text")
    };
    assert_eq!(told(Ok(None)), r#"{"code":200}"#);
    let answer = |body: &[u8]| Answer {
        status: 200,
        headers: Vec::new(),
        body: body.to_vec(),
    };
    assert_eq!(told(Ok(Some(answer(b"{}")))), r#"{"code":200,"data":"e30="}"#);
    assert_eq!(told(Ok(Some(answer(b"")))), r#"{"code":200}"#);
    // Not stored: it must come again.
    assert_eq!(
        told(Err(Error::Unavailable("the store is locked".into()))),
        r#"{"code":500}"#
    );
}
