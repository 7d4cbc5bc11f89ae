//! Calls as the fake's sender makes them, and all the ways in which they can be false.

use botyard_fakes::feishu::{ENCRYPT_KEY, HookCall, Sender, VERIFICATION_TOKEN};
use botyard_sdk::serde_json::json;

use super::*;
use crate::tests::Secrets;

fn secrets(encrypted: bool) -> Secrets {
    Secrets {
        encrypt_key: encrypted.then(|| ENCRYPT_KEY.into()),
        verification_token: Some(VERIFICATION_TOKEN.into()),
    }
}

fn event(call: HookCall) -> Event {
    Event {
        transport: "webhook".into(),
        name: String::new(),
        method: "POST".into(),
        query: String::new(),
        headers: call.headers,
        payload: call.body.into_bytes(),
        received: 0,
    }
}

fn sender(encrypted: bool) -> Sender {
    let sender = Sender::new("");
    if encrypted { sender } else { sender.plain() }
}

fn body() -> Value {
    json!({ "schema": "2.0", "header": { "event_id": "e1", "token": VERIFICATION_TOKEN, "event_type": "x" }, "event": {} })
}

fn is_forged(found: &Result<Proven, Error>) -> bool {
    matches!(found, Err(Error::Unauthorized(_)))
}

#[test]
fn the_vendors_own_example_is_decrypted() {
    // open.feishu.cn, encrypt key configuration: `test key` and `hello world`.
    let vault = Secrets {
        encrypt_key: Some("test key".into()),
        verification_token: None,
    };
    let data = STANDARD
        .decode("P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=")
        .expect("base64");
    assert_eq!(vault.decrypt(&data).as_deref(), Ok(&b"hello world"[..]));
}

#[test]
fn challenges_are_answered_in_both_ways_and_strangers_are_not() {
    for encrypted in [true, false] {
        let call = sender(encrypted).call(&Sender::challenge_body("word", VERIFICATION_TOKEN));
        assert_eq!(
            prove(&secrets(encrypted), &event(call)),
            Ok(Proven::Challenge(json!({ "challenge": "word" })))
        );
    }
    let call = sender(false).call(&Sender::challenge_body("word", "guessed"));
    assert!(is_forged(&prove(&secrets(false), &event(call))));
    let mut stranger = sender(true);
    stranger.encrypt_key = Some("guessed".into());
    let call = stranger.call(&Sender::challenge_body("word", VERIFICATION_TOKEN));
    assert!(matches!(prove(&secrets(true), &event(call)), Err(Error::Malformed(_))));
}

#[test]
fn an_encrypted_event_needs_its_signature() {
    let call = sender(true).call(&body());
    assert_eq!(prove(&secrets(true), &event(call.clone())), Ok(Proven::Event(body())));
    for spoil in 0..4 {
        let mut call = event(call.clone());
        match spoil {
            0 => call.headers[1].1 = "1700000001".into(),
            1 => call.headers[2].1 = "other".into(),
            2 => call.headers.truncate(3),
            _ => call.payload.push(b' '),
        }
        assert!(is_forged(&prove(&secrets(true), &call)), "spoilt {spoil}");
    }
    // A plain call with the right token does not get around the key.
    let plain = sender(false).call(&body());
    assert!(is_forged(&prove(&secrets(true), &event(plain))));
}

#[test]
fn without_a_key_the_token_is_what_proves() {
    let call = sender(false).call(&body());
    assert_eq!(prove(&secrets(false), &event(call)), Ok(Proven::Event(body())));
    let mut other = body();
    other["header"]["token"] = "guessed".into();
    assert!(is_forged(&prove(&secrets(false), &event(sender(false).call(&other)))));
    other["header"] = json!({ "event_id": "e1" });
    assert!(is_forged(&prove(&secrets(false), &event(sender(false).call(&other)))));
    // An encrypted call, and no key to read it with.
    assert!(is_forged(&prove(&secrets(false), &event(sender(true).call(&body())))));
}

#[test]
fn an_old_cards_callback_is_signed_with_the_token() {
    let card = json!({ "open_id": "ou_ann", "open_message_id": "om_1", "token": "c", "action": { "value": {} } });
    for encrypted in [true, false] {
        let call = sender(encrypted).old_card_call(&card);
        assert_eq!(
            prove(&secrets(encrypted), &event(call)),
            Ok(Proven::Event(card.clone()))
        );
        let mut stranger = sender(encrypted);
        stranger.token = "guessed".into();
        let call = stranger.old_card_call(&card);
        assert!(is_forged(&prove(&secrets(encrypted), &event(call))));
    }
}

#[test]
fn nonsense_is_malformed() {
    for nonsense in ["", "no json", r#"{"encrypt":"%%"}"#, r#"{"encrypt":"AAAA"}"#] {
        let call = HookCall {
            headers: Vec::new(),
            body: nonsense.into(),
        };
        let found = prove(&secrets(true), &event(call));
        assert!(matches!(found, Err(Error::Malformed(_))), "{nonsense}: {found:?}");
    }
}
