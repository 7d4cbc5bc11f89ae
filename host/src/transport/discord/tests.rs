//! The pure parts; connections are tested with the strict fake in tests/it/gateway.rs.

use serde_json::json;

use super::facts::Facts;
use super::*;

#[test]
fn directions_are_read_and_a_missing_address_is_told() {
    let answer = json!({
        "url": "wss://gateway.discord.gg", "shards": 2,
        "session_start_limit": { "total": 1000, "remaining": 7, "reset_after": 1500, "max_concurrency": 1 },
    });
    let read = directions(&answer).expect("an address");
    let wanted = Directions {
        url: "wss://gateway.discord.gg".to_owned(),
        shards: 2,
        left: 7,
        reset: Duration::from_millis(1500),
    };
    assert_eq!(read, wanted);
    assert!(matches!(
        directions(&json!({ "shards": 1 })),
        Err(CallError::Unavailable(_))
    ));
}

#[test]
fn close_codes_that_no_other_try_can_change_are_known() {
    let known: Vec<u16> = (4000..=4020).filter(|code| fatal(*code).is_some()).collect();
    assert_eq!(known, [4004, 4010, 4011, 4012, 4013, 4014]);
    assert_eq!((fatal(1000), fatal(1006)), (None, None));
}

#[test]
fn late_word_fits_the_interaction() {
    let of = |kind: u64, message: bool| {
        let mut data = json!({ "id": "1", "token": "aW50.x-_=", "type": kind, "data": { "name": "status", "type": 1 } });
        if message {
            data["message"] = json!({});
        }
        word::Due::of(&data).map(|due| due.default)
    };
    assert_eq!(of(1, false), None);
    let private = Some(json!({ "type": 5, "data": { "flags": 64 } }));
    assert_eq!(of(2, false), private, "a command's answer may be for one person alone");
    assert_eq!(of(3, true), Some(json!({ "type": 6 })));
    assert_eq!(of(4, false), Some(json!({ "type": 8, "data": { "choices": [] } })));
    assert_eq!(of(5, true), Some(json!({ "type": 6 })));
    assert_eq!(of(5, false), private);
    for command in [json!({ "name": "ask", "type": 1 }), json!({ "name": "Ask about this", "type": 3 })] {
        let data = json!({ "id": "1", "token": "t", "type": 2, "data": command });
        let public = Some(json!({ "type": 5 }));
        assert_eq!(word::Due::of(&data).map(|due| due.default), public, "a question's is for all");
    }
    let forged = json!({ "id": "1/../2", "token": "t", "type": 2 });
    assert_eq!(word::Due::of(&forged), None, "it goes into a path");
}

#[test]
fn threads_and_the_own_role_are_learnt_from_dispatches() {
    let facts = Facts::new(Some("9".to_owned()));
    let guild = json!({
        "id": "1",
        "channels": [{ "id": "10", "type": 0, "parent_id": "5" }],
        "threads": [{ "id": "11", "type": 11, "parent_id": "10" }],
        "roles": [{ "id": "20", "tags": { "bot_id": "8" } }, { "id": "21", "tags": { "bot_id": "9" } }],
    });
    facts.learn("GUILD_CREATE", &guild);
    facts.learn("THREAD_CREATE", &json!({ "id": "12", "type": 12, "parent_id": "10" }));
    let parent = |id: &str| facts.place(id).map(|place| (place.kind, place.parent));
    assert_eq!(parent("10"), Some((Some(0), None)), "a category is no parent");
    assert_eq!(parent("11"), Some((Some(11), Some("10".to_owned()))));
    assert_eq!(parent("12"), Some((Some(12), Some("10".to_owned()))));
    assert_eq!(facts.role("1"), Some(Some("21".to_owned())));
    facts.learn("THREAD_DELETE", &json!({ "id": "12" }));
    assert_eq!(parent("12"), None);
}
