use std::time::Duration;

use super::*;
use crate::chat::Answer;
use crate::manifest::{Digest, Placement, Slot};

const NOW: UnixMillis = 1_531_420_618_000;
const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
/// The key and the signature of Slack's own documentation, "Verifying requests from Slack".
const SLACK_KEY: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const SLACK_SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

fn route(verification: Verification) -> Route {
    Route {
        name: "events".to_owned(),
        methods: vec!["POST".to_owned()],
        verification,
        max_body_bytes: 1 << 20,
        deadline: Duration::from_secs(3),
        fallback: Answer {
            status: 200,
            headers: Headers::new(),
            body: Vec::new(),
        },
    }
}

fn secrets(all: &[(&str, &str)]) -> Secrets {
    all.iter()
        .map(|(name, text)| ((*name).to_owned(), SecretText::new(*text)))
        .collect()
}

fn headers(all: &[(&str, &str)]) -> Headers {
    all.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn call<'a>(headers: &'a Headers, query: &'a str, body: &'a [u8]) -> Call<'a> {
    Call {
        method: "POST",
        url: "https://bots.example/hook/team/events",
        query,
        headers,
        body,
        received: NOW,
    }
}

fn slack() -> Route {
    route(Verification::Signature(Signature {
        key: Some("signing_secret".to_owned()),
        digest: Digest::Sha256,
        encoding: Encoding::Hex,
        header: "X-Slack-Signature".to_owned(),
        prefix: "v0=".to_owned(),
        signed: vec![
            Piece::Literal("v0:".to_owned()),
            Piece::Header("X-Slack-Request-Timestamp".to_owned()),
            Piece::Literal(":".to_owned()),
            Piece::Body,
        ],
        timestamp_header: Some("X-Slack-Request-Timestamp".to_owned()),
        tolerance: Duration::from_secs(300),
    }))
}

fn slack_call(all: &[(&str, &str)], body: &[u8], received: UnixMillis) -> Result<Event, Refused> {
    let headers = headers(all);
    verify(
        &slack(),
        &secrets(&[("signing_secret", SLACK_KEY)]),
        &Call {
            received,
            ..call(&headers, "", body)
        },
    )
}

const STAMP: (&str, &str) = ("x-slack-request-timestamp", "1531420618");
const SIGNED: (&str, &str) = ("x-slack-signature", SLACK_SIGNATURE);

#[test]
fn slacks_own_example_is_taken_whole() {
    let event = slack_call(&[STAMP, SIGNED], BODY.as_bytes(), NOW).unwrap();
    let expected = Event {
        transport: "webhook".to_owned(),
        name: "events".to_owned(),
        method: "POST".to_owned(),
        query: String::new(),
        headers: headers(&[STAMP, SIGNED]),
        payload: BODY.as_bytes().to_vec(),
        received: NOW,
    };
    assert_eq!(event, expected);
}

#[test]
fn a_changed_call_is_refused() {
    let body = BODY.as_bytes();
    let upper = SLACK_SIGNATURE.to_uppercase();
    type Sent<'a> = (&'a [(&'a str, &'a str)], &'a [u8]);
    let refused: &[Sent<'_>] = &[
        (&[STAMP], body),
        (&[STAMP, ("x-slack-signature", "")], body),
        (&[STAMP, ("x-slack-signature", "v0=")], body),
        (&[STAMP, ("x-slack-signature", &SLACK_SIGNATURE[3..])], body),
        (&[STAMP, ("x-slack-signature", &SLACK_SIGNATURE[..60])], body),
        (&[STAMP, ("x-slack-signature", &upper)], body),
        (&[STAMP, SIGNED], &body[1..]),
        (&[STAMP, SIGNED], b""),
        (&[("x-slack-request-timestamp", "1531420619"), SIGNED], body),
    ];
    for (headers, body) in refused {
        assert_eq!(slack_call(headers, body, NOW), Err(Refused::Signature), "{headers:?}");
    }
}

#[test]
fn stale_stamps_are_refused_in_both_directions() {
    let body = BODY.as_bytes();
    for received in [NOW - 300_000, NOW, NOW + 300_000] {
        assert!(slack_call(&[STAMP, SIGNED], body, received).is_ok(), "{received}");
    }
    for received in [NOW - 300_001, NOW + 300_001, 0, i64::MAX] {
        assert_eq!(
            slack_call(&[STAMP, SIGNED], body, received),
            Err(Refused::Stale),
            "{received}"
        );
    }
    for stamp in [
        "",
        "now",
        "-1531420618",
        "+1531420618",
        "1531420618.5",
        "99999999999999999999999",
    ] {
        let all = [("x-slack-request-timestamp", stamp), SIGNED];
        assert_eq!(slack_call(&all, body, NOW), Err(Refused::Stale), "{stamp}");
    }
    assert_eq!(slack_call(&[SIGNED], body, NOW), Err(Refused::Stale));
    assert_eq!(
        slack_call(&[STAMP, STAMP, SIGNED], body, NOW),
        Err(Refused::Stale),
        "which one is meant?"
    );
}

#[test]
fn any_value_of_the_signature_header_may_be_the_right_one() {
    let wrong = ("x-slack-signature", "v0=00");
    assert!(slack_call(&[STAMP, wrong, SIGNED], BODY.as_bytes(), NOW).is_ok());
    let list = format!("v0=00,{SLACK_SIGNATURE}");
    assert!(slack_call(&[STAMP, ("X-SLACK-SIGNATURE", &list)], BODY.as_bytes(), NOW).is_ok());
    let many = "v0=00,".repeat(CANDIDATES) + SLACK_SIGNATURE;
    assert!(
        slack_call(&[STAMP, ("x-slack-signature", &many)], BODY.as_bytes(), NOW).is_err(),
        "not without end"
    );
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let headers = headers(&[STAMP, SIGNED]);
    for secrets in [secrets(&[]), secrets(&[("signing_secret", "")])] {
        let refused = verify(&slack(), &secrets, &call(&headers, "", BODY.as_bytes()));
        assert_eq!(refused, Err(Refused::NoSecret("signing_secret".to_owned())));
    }
}

/// Feishu: hex SHA-256 of timestamp, nonce, key and body, without HMAC. Query and URL pieces as Twilio and WeCom
/// have them.
#[test]
fn digests_with_a_secret_and_every_piece_are_understood() {
    let pieces = vec![
        Piece::Header("X-Lark-Request-Timestamp".to_owned()),
        Piece::Query("nonce".to_owned()),
        Piece::Secret("encrypt_key".to_owned()),
        Piece::Url,
        Piece::Body,
    ];
    let message = "1531420618a bkeyhttps://bots.example/hook/team/events{}";
    let right = crypto::encode(Encoding::Base64, &crypto::digest(Digest::Sha1, &[message.as_bytes()]));
    let mut signature = Signature {
        key: None,
        digest: Digest::Sha1,
        encoding: Encoding::Base64,
        header: "X-Lark-Signature".to_owned(),
        prefix: String::new(),
        signed: pieces,
        timestamp_header: None,
        tolerance: Duration::ZERO,
    };
    let headers = headers(&[("X-Lark-Request-Timestamp", "1531420618"), ("x-lark-signature", &right)]);
    let secrets = secrets(&[("encrypt_key", "key")]);
    let run = |signature: &Signature, query: &str| {
        verify(
            &route(Verification::Signature(signature.clone())),
            &secrets,
            &call(&headers, query, b"{}"),
        )
    };
    assert!(run(&signature, "nonce=a%20b").is_ok());
    assert_eq!(run(&signature, "nonce=a%20c"), Err(Refused::Signature));
    assert_eq!(run(&signature, ""), Err(Refused::Signature));
    assert_eq!(run(&signature, "nonce=a%20b&nonce=a%20b"), Err(Refused::Signature));
    signature.signed = vec![Piece::Body];
    let anybodys = crypto::encode(Encoding::Base64, &crypto::digest(Digest::Sha1, &[b"{}"]));
    let headers = self::headers(&[("x-lark-signature", &anybodys)]);
    let route = route(Verification::Signature(signature));
    assert_eq!(
        verify(&route, &secrets, &call(&headers, "", b"{}")),
        Err(Refused::Signature),
        "no secret in it"
    );
}

/// RFC 8032, 7.1, test 2; Discord signs the stamp and the body.
#[test]
fn ed25519_takes_a_literal_key_and_one_by_name() {
    const KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = concat!(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    );
    let headers = headers(&[("X-Signature-Timestamp", ""), ("X-Signature-Ed25519", SIGNATURE)]);
    let run = |key: &str, body: &[u8]| {
        let signed = vec![Piece::Header("x-signature-timestamp".to_owned()), Piece::Body];
        let header = "x-signature-ed25519".to_owned();
        let verification = Verification::Ed25519 {
            public_key: key.to_owned(),
            header,
            signed,
        };
        verify(
            &route(verification),
            &secrets(&[("public_key", KEY)]),
            &call(&headers, "", body),
        )
        .map(|e| e.payload)
    };
    assert_eq!(run(KEY, b"r"), Ok(b"r".to_vec()));
    assert_eq!(run("public_key", b"r"), Ok(b"r".to_vec()));
    assert_eq!(run("public_key", b"s"), Err(Refused::Signature));
    assert_eq!(run("unknown", b"r"), Err(Refused::NoSecret("unknown".to_owned())));
}

fn shared(slot: Slot, all: &[(&str, &str)], query: &str, body: &str) -> Result<Event, Refused> {
    let headers = headers(all);
    let verification = Verification::Shared(Placement {
        secret: "word".to_owned(),
        slot,
    });
    let call = Call {
        url: "https://b.example/hook/s3cret+word/x",
        ..call(&headers, query, body.as_bytes())
    };
    verify(&route(verification), &secrets(&[("word", "s3cret+word")]), &call)
}

#[test]
fn a_shared_secret_is_compared_and_taken_out() {
    let header = || Slot::Header("X-Token".to_owned(), "Bearer ".to_owned());
    let event = shared(header(), &[("a", "1"), ("x-token", "Bearer s3cret+word")], "", "{}").unwrap();
    assert_eq!(event.headers, headers(&[("a", "1")]));

    let basic = [("Authorization", "Basic dXNlcjpzM2NyZXQrd29yZA==")];
    assert_eq!(
        shared(Slot::BasicPassword, &basic, "", "").unwrap().headers,
        Headers::new()
    );
    assert_eq!(shared(Slot::BasicUser, &basic, "", ""), Err(Refused::Signature));

    let query = "a=%20&token=s3cret%2Bword&b=c+d";
    assert_eq!(
        shared(Slot::Query("token".to_owned()), &[], query, "").unwrap().query,
        "a=%20&b=c+d"
    );
    let form = shared(Slot::FormField("token".to_owned()), &[], "", query).unwrap();
    assert_eq!(form.payload, b"a=%20&b=c+d");

    let json = r#"{ "n": 12345678901234567890123, "header":{"token" : "s3cret\u002bword","x":[1.50]}}"#;
    let event = shared(
        Slot::JsonPointer("/header/token".to_owned(), String::new()),
        &[],
        "",
        json,
    )
    .unwrap();
    let rest = r#"{ "n": 12345678901234567890123, "header":{"token" : "","x":[1.50]}}"#;
    assert_eq!(
        String::from_utf8(event.payload).unwrap(),
        rest,
        "nothing else is touched"
    );
    let list = shared(
        Slot::JsonPointer("/a~1b/1".to_owned(), String::new()),
        &[],
        "",
        r#"{"a/b":[0,"s3cret+word"]}"#,
    )
    .unwrap();
    assert_eq!(list.payload, br#"{"a/b":[0,""]}"#);

    let after = |prefix: &str| {
        shared(
            Slot::JsonPointer("/t".to_owned(), prefix.to_owned()),
            &[],
            "",
            r#"{"t":"Bot s3cret+word"}"#,
        )
    };
    assert_eq!(after("Bot ").unwrap().payload, br#"{"t":""}"#);
    assert_eq!(after(""), Err(Refused::Signature));

    assert!(shared(Slot::PathSegment(1, String::new()), &[], "", "").is_ok());
    assert!(shared(Slot::PathSegment(2, String::new()), &[], "", "").is_err());
}

#[test]
fn a_wrong_or_missing_shared_secret_is_refused() {
    let pointer = || Slot::JsonPointer("/token".to_owned(), String::new());
    for body in [
        "",
        "{}",
        "[]",
        r#"{"token":7}"#,
        r#"{"token":"other"}"#,
        r#"{"token":"s3cret+wor"}"#,
        "{\"token\":",
    ] {
        assert_eq!(shared(pointer(), &[], "", body), Err(Refused::Signature), "{body}");
    }
    let header = || Slot::Header("X-Token".to_owned(), "Bearer ".to_owned());
    for value in [
        "",
        "s3cret+word",
        "Bearer ",
        "Bearer s3cret+word2",
        "bearer s3cret+word",
    ] {
        assert_eq!(
            shared(header(), &[("x-token", value)], "", ""),
            Err(Refused::Signature),
            "{value}"
        );
    }
    for query in ["", "token", "token=", "token=s3cret+word", "Token=s3cret%2Bword"] {
        assert_eq!(
            shared(Slot::Query("token".to_owned()), &[], query, ""),
            Err(Refused::Signature),
            "{query}"
        );
    }
}

#[test]
fn a_second_copy_of_the_shared_secret_does_not_reach_the_guest() {
    let body = r#"{"token":"s3cret+word","token":"s3cret+word","url":"https://x/?t=s3cret%2Bword"}"#;
    let all = [("x-copy", "s3cret+word")];
    let event = shared(
        Slot::JsonPointer("/token".to_owned(), String::new()),
        &all,
        "t=s3cret%2Bword",
        body,
    )
    .unwrap();
    let shown = format!(
        "{:?} {} {}",
        event.headers,
        event.query,
        String::from_utf8(event.payload).unwrap()
    );
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn unverified_routes_and_those_of_the_guest_pass_unchanged() {
    for verification in [Verification::Unverified, Verification::Guest] {
        let headers = headers(&[("a", "1"), ("a", "2")]);
        let event = verify(&route(verification), &secrets(&[]), &call(&headers, "q=1", b"\xff")).unwrap();
        assert_eq!(
            (event.headers, event.query, event.payload),
            (headers, "q=1".to_owned(), vec![0xff])
        );
    }
}
