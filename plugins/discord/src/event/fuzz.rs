//! Discord's events with something strange at any place: nothing traps, and every item is one that the host takes.

use botyard_fakes::discord::{ANN, BEN, BOT, DIRECT, GENERAL, GUILD};
use botyard_sdk::bounds::fits;
use botyard_sdk::serde_json::json;
use proptest::prelude::*;

use super::tests::embeds;
use super::*;

/// Every kind of event that is read, as Discord tells it.
fn shapes() -> Vec<(&'static str, Value)> {
    let member = json!({ "nick": "Annie", "roles": ["55"], "user": { "id": ANN, "username": "ann" } });
    let said = json!({
        "id": "1444000000000000000", "channel_id": GENERAL, "guild_id": GUILD, "type": 19, "content": "see <@5> <#6> <:a:7>",
        "author": { "id": ANN, "username": "ann", "global_name": "Ann", "bot": false }, "member": member,
        "edited_timestamp": "2026-11-29T01:02:03.4+00:00", "webhook_id": null, "flags": 0,
        "mentions": [{ "id": BOT, "username": "botyard" }, { "id": BEN, "username": "ben" }],
        "attachments": [{ "id": "1", "filename": "a.png", "size": 7, "content_type": "image/png", "url": "https://cdn/x" }],
        "referenced_message": { "id": "8", "content": "an answer", "author": { "id": BOT } },
        "message_snapshots": [{ "message": { "content": "old\nwords", "attachments": [{ "filename": "b", "url": "u" }], "embeds": embeds() } }],
        "embeds": embeds(),
        "sticker_items": [{ "id": "9", "name": "Wave" }],
    });
    let reacted = json!({
        "user_id": BEN, "channel_id": DIRECT, "message_id": "5", "guild_id": GUILD, "emoji": { "id": null, "name": "👎" },
        "member": { "user": { "id": BEN, "username": "ben" }, "roles": [] },
    });
    let interaction = |kind: u64, data: Value| {
        json!({
            "id": "1444000000000000001", "application_id": BOT, "type": kind, "token": "ticket", "version": 1, "data": data,
            "channel_id": "77", "channel": { "id": "77", "type": 11, "parent_id": GENERAL }, "guild_id": GUILD,
            "member": member, "locale": "en-GB", "message": { "id": "5" },
        })
    };
    let asked = json!({
        "id": "1", "name": "ask", "type": 1,
        "options": [{ "name": "question", "type": 3, "value": "why" }, { "name": "file", "type": 11, "value": "31" }],
        "resolved": { "attachments": { "31": { "filename": "a", "url": "u", "size": 3 } } },
    });
    let about = json!({
        "id": "2", "name": "Ask about this", "type": 3, "target_id": "6",
        "resolved": { "messages": { "6": { "content": "words", "attachments": [] } } },
    });
    let list = |id: &str| json!({ "custom_id": id, "component_type": 3, "values": ["one", "two"] });
    let labels = json!([{ "type": 18, "component": { "type": 4, "custom_id": "why", "value": "so" } }]);
    let rows = json!([{ "type": 1, "components": [{ "type": 3, "custom_id": "which", "values": ["a"] }] }]);
    vec![
        ("MESSAGE_CREATE", said.clone()),
        ("MESSAGE_UPDATE", said),
        (
            "MESSAGE_DELETE",
            json!({ "id": "5", "channel_id": GENERAL, "guild_id": GUILD }),
        ),
        (
            "MESSAGE_DELETE_BULK",
            json!({ "ids": ["5", "6"], "channel_id": DIRECT }),
        ),
        ("MESSAGE_REACTION_ADD", reacted.clone()),
        ("MESSAGE_REACTION_REMOVE", reacted),
        ("INTERACTION_CREATE", interaction(1, Value::Null)),
        ("INTERACTION_CREATE", interaction(2, asked)),
        ("INTERACTION_CREATE", interaction(2, about)),
        (
            "INTERACTION_CREATE",
            interaction(
                2,
                json!({ "name": "model", "options": [{ "name": "n", "type": 4, "value": 3 }] }),
            ),
        ),
        (
            "INTERACTION_CREATE",
            interaction(3, json!({ "custom_id": "token", "component_type": 2 })),
        ),
        ("INTERACTION_CREATE", interaction(3, list("select:token:0"))),
        ("INTERACTION_CREATE", interaction(3, list("pick:0:token"))),
        ("INTERACTION_CREATE", interaction(4, json!({ "name": "ask" }))),
        (
            "INTERACTION_CREATE",
            interaction(5, json!({ "custom_id": "token", "components": labels })),
        ),
        (
            "INTERACTION_CREATE",
            interaction(5, json!({ "custom_id": "token", "components": rows })),
        ),
        ("NEW_IN_2030", json!({ "id": "1", "channel_id": GENERAL })),
    ]
}

/// The places of a value, itself first.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, inside) in fields {
                places(inside, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(all) => {
            for (number, inside) in all.iter().enumerate() {
                places(inside, &format!("{at}/{number}"), found);
            }
        }
        _ => {}
    }
}

fn deep(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inside, level| {
        if level % 2 == 0 {
            json!([inside])
        } else {
            json!({ "components": [inside], "component": inside })
        }
    })
}

/// What Discord never says there.
fn strange() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        // Ids beyond every number, names beyond every key, and words that mean something here.
        "[0-9]{15,2000}".prop_map(Value::from),
        "\\PC{100,1500}".prop_map(Value::from),
        "(select:|pick|<@|<@&9>|```|::|-)[:0-9<>]{0,9}".prop_map(Value::from),
        (0usize..12).prop_map(deep),
        Just(json!({})),
        Just(json!([])),
        Just(json!([[], {}, null, "x", 7])),
        proptest::collection::vec("[0-9]{1,20}", 0..200).prop_map(Value::from),
    ]
}

fn event(transport: &str, name: &str, payload: Vec<u8>) -> Event {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Event {
        transport: transport.into(),
        name: name.into(),
        method: String::new(),
        query: String::new(),
        headers: vec![
            header("botyard-sequence", "0123456789abcdef0123456789abcdef:7"),
            header("botyard-channel-type", "0"),
        ],
        payload,
        received: 1_800_000_000,
    }
}

/// Reads it; what comes is within the interface's bounds.
fn read(event: &Event) -> Result<(), TestCaseError> {
    let reader = Reader {
        me: Some(BOT.into()),
        threads: || true,
    };
    let Ok(translated) = reader.translate(event) else {
        return Ok(());
    };
    for item in translated.items {
        prop_assert!(fits(&item), "{item:?}");
        let place = &item.origin.conversation;
        prop_assert_eq!(place.direct, place.tenant.is_none());
    }
    Ok(())
}

#[test]
fn every_shape_is_read() {
    for (name, data) in shapes() {
        let whole = json!({ "op": 0, "s": 5, "t": name, "d": data })
            .to_string()
            .into_bytes();
        let reader = Reader {
            me: Some(BOT.into()),
            threads: || true,
        };
        let translated = reader.translate(&event("discord", name, whole)).expect("read");
        // Of a ping, a completion and what is new nothing comes.
        let silent = data["type"] == 1 || data["type"] == 4 || name == "NEW_IN_2030";
        assert_eq!(translated.items.is_empty(), silent, "{name} {data}");
    }
}

#[test]
fn deepest_nesting_is_malformed_and_no_trap() {
    for opening in ["[", "{\"d\":", "{\"op\":0,\"d\":{\"components\":["] {
        let payload = opening.repeat(100_000).into_bytes();
        for transport in ["discord", "webhook"] {
            let reader = Reader {
                me: None,
                threads: || true,
            };
            let read = reader.translate(&event(transport, "INTERACTION_CREATE", payload.clone()));
            assert!(matches!(read, Err(Error::Malformed(_))), "{read:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_event_traps_and_every_item_can_be_taken(
        shape in 0usize..17,
        // Where, as a part of all places, and what stands there then; none: it is left out.
        changes in proptest::collection::vec((any::<prop::sample::Index>(), proptest::option::of(strange())), 0..4),
        cut in any::<prop::sample::Index>(),
        other in "(MESSAGE_CREATE|MESSAGE_UPDATE|MESSAGE_DELETE_BULK|MESSAGE_REACTION_ADD|INTERACTION_CREATE|[A-Z_]{0,20})",
    ) {
        let (name, mut data) = shapes().swap_remove(shape);
        for (at, value) in changes {
            let mut all = Vec::new();
            places(&data, "", &mut all);
            let place = at.get(&all).clone();
            match value {
                Some(value) => {
                    if let Some(there) = data.pointer_mut(&place) {
                        *there = value;
                    }
                }
                None => {
                    let (around, name) = place.rsplit_once('/').unwrap_or_default();
                    if let Some(fields) = data.pointer_mut(around).and_then(Value::as_object_mut) {
                        fields.remove(name);
                    }
                }
            }
        }
        let whole = json!({ "op": 0, "s": 5, "t": name, "d": data }).to_string().into_bytes();
        read(&event("discord", name, whole.clone()))?;
        read(&event("discord", &other, whole.clone()))?;
        read(&event("webhook", "", data.to_string().into_bytes()))?;
        let cut = cut.index(whole.len());
        read(&event("discord", name, whole[..cut].to_vec()))?;
    }
}
