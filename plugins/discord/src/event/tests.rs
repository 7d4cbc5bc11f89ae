use botyard_fakes::discord::{ANN, BEN, BOT, DIRECT, GENERAL, GUILD};
use botyard_sdk::serde_json::json;

use super::*;

const ROLE: &str = "100000000000000099";

fn reader() -> Reader {
    Reader {
        me: Some(BOT.into()),
        threads: || true,
    }
}

fn event(name: &str, data: &Value, facts: &[(&str, &str)]) -> Event {
    Event {
        transport: "discord".into(),
        name: name.into(),
        method: String::new(),
        query: String::new(),
        headers: facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        payload: json!({ "op": 0, "s": 5, "t": name, "d": data })
            .to_string()
            .into_bytes(),
        received: 1_800_000_000,
    }
}

fn items(name: &str, data: &Value, facts: &[(&str, &str)]) -> Vec<Item> {
    reader().translate(&event(name, data, facts)).expect("read").items
}

fn said(content: &str, more: &Value) -> Value {
    let mut data = json!({
        "id": "1444000000000000000", "channel_id": GENERAL, "guild_id": GUILD, "type": 0, "content": content,
        "author": { "id": ANN, "username": "ann", "global_name": "Ann" }, "member": { "nick": "Annie", "roles": ["55"] },
        "mentions": [], "attachments": [], "future_field": { "deep": [1] },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        data[name] = value.clone();
    }
    data
}

fn only(mut items: Vec<Item>) -> Item {
    assert_eq!(items.len(), 1, "{items:?}");
    items.remove(0)
}

fn message(item: &Item) -> &Message {
    match &item.what {
        What::Message(message) | What::Edited(message) => message,
        other => panic!("no message: {other:?}"),
    }
}

#[test]
fn a_mention_in_a_channel_is_a_question_that_opens_a_thread() {
    let data = said(
        &format!("<@{BOT}> fix **it**"),
        &json!({ "mentions": [{ "id": BOT, "username": "botyard" }] }),
    );
    let item = only(items("MESSAGE_CREATE", &data, &[("botyard-channel-type", "0")]));
    let reply_to = ReplyTo {
        message: Some("1444000000000000000".into()),
        title: Some("fix **it".into()),
        interaction: None,
    };
    let expected = Item {
        origin: Origin {
            key: "message:1444000000000000000".into(),
            conversation: Conversation {
                tenant: Some(GUILD.into()),
                channel: GENERAL.into(),
                thread: None,
                direct: false,
            },
            sender: Person {
                id: ANN.into(),
                name: Some("Annie".into()),
                handle: Some("ann".into()),
                tenant: Some(GUILD.into()),
                groups: vec!["55".into()],
                locale: None,
                bot: false,
            },
            sent: Some(1_764_347_922),
            reply_to: reply_to.bytes(),
            extra: Vec::new(),
        },
        what: What::Message(Message {
            id: "1444000000000000000".into(),
            text: "fix **it**".into(),
            mentions: Vec::new(),
            addressed: true,
            quotes: None,
            new_thread: Some("1444000000000000000".into()),
            attachments: Vec::new(),
            group: None,
        }),
    };
    let mut item = item;
    // The id's own time, to the second.
    assert_eq!(item.origin.sent, seconds_of("1444000000000000000"));
    item.origin.sent = expected.origin.sent;
    assert_eq!(item, expected);
}

#[test]
fn threads_voice_and_direct_channels_open_none() {
    let item = only(items(
        "MESSAGE_CREATE",
        &said("on", &json!({})),
        &[("botyard-thread-parent", "77")],
    ));
    assert_eq!(
        (
            item.origin.conversation.channel.as_str(),
            item.origin.conversation.thread.as_deref()
        ),
        ("77", Some(GENERAL))
    );
    assert_eq!(
        (message(&item).new_thread.as_deref(), message(&item).addressed),
        (None, false)
    );
    let voice = only(items(
        "MESSAGE_CREATE",
        &said("on", &json!({})),
        &[("botyard-channel-type", "2")],
    ));
    assert_eq!(message(&voice).new_thread, None);
    let data = said("hi", &json!({ "guild_id": null, "channel_id": DIRECT }));
    let direct = only(items("MESSAGE_CREATE", &data, &[]));
    assert_eq!(
        (direct.origin.conversation.direct, message(&direct).addressed),
        (true, true)
    );
    assert_eq!(message(&direct).new_thread, None);
    let flat = Reader {
        threads: || false,
        ..reader()
    };
    let read = flat
        .translate(&event("MESSAGE_CREATE", &said("on", &json!({})), &[]))
        .expect("read");
    assert_eq!(message(&read.items[0]).new_thread, None);
}

#[test]
fn replies_roles_forwards_and_files_are_understood() {
    let answered = json!({ "id": "8", "content": "the <@9> answer", "author": { "id": BOT },
        "attachments": [{ "id": "7", "filename": "seen.png", "size": 5, "url": "https://cdn/seen.png" }] });
    let data = said("why", &json!({ "type": 19, "referenced_message": answered }));
    let item = only(items("MESSAGE_CREATE", &data, &[]));
    let quoted = message(&item).quotes.as_ref().expect("it answers one");
    let sender = quoted.sender.as_ref().map(|who| who.id.as_str());
    assert_eq!(
        (
            quoted.id.as_str(),
            sender,
            quoted.text.as_str(),
            quoted.attachments.len()
        ),
        ("8", Some(BOT), "the <@9> answer", 0)
    );
    assert!(message(&item).addressed, "an answer to the bot speaks to it");
    let role = only(items(
        "MESSAGE_CREATE",
        &said(&format!("<@&{ROLE}> go"), &json!({})),
        &[("botyard-own-role", ROLE)],
    ));
    assert!(message(&role).addressed);
    let data = said(
        "see",
        &json!({
            "message_snapshots": [{ "message": { "content": "old\nwords", "attachments": [{ "filename": "b", "url": "u2" }] } }],
            "attachments": [{ "id": "1", "filename": "a.png", "size": 7, "content_type": "image/png", "url": "https://cdn/x?ex=1" }],
            "sticker_items": [{ "name": "Wave" }],
        }),
    );
    let item = only(items("MESSAGE_CREATE", &data, &[]));
    assert_eq!(message(&item).text, "see\n\n> old\n> words (sticker: Wave)");
    assert_eq!(
        message(&item).attachments,
        [
            Attachment {
                name: "a.png".into(),
                media_type: Some("image/png".into()),
                size_bytes: Some(7),
                source: "https://cdn/x?ex=1".into()
            },
            Attachment {
                name: "b".into(),
                media_type: None,
                size_bytes: None,
                source: "u2".into()
            }
        ]
    );
}

/// What a program says beside its words, and what Discord shows of a link.
pub(crate) fn embeds() -> Value {
    json!([
        { "type": "rich", "author": { "name": "Monitor" }, "title": "Disk <:full:7>", "url": "https://mon.example/1",
            "description": "on **db1**\nof <@5>", "color": 1, "fields": [{ "name": "Free", "value": "0 B", "inline": true }] },
        { "title": "Second" },
        { "type": "article", "url": "https://x.y/z", "title": "A page", "description": "about it" },
    ])
}

pub(crate) const EMBEDS: &str =
    "Monitor:\n[Disk :full:](https://mon.example/1)\non **db1**\nof <@5>\nFree: 0 B\n\nSecond";

fn quote(text: &str) -> String {
    text.lines()
        .map(|line| format!("> {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn what_programs_say_in_embeds_and_components_is_heard_and_previews_of_links_are_not() {
    let of_bot = json!({ "id": "5", "username": "monitor", "bot": true });
    let whole = |content: &str, more: &Value| only(items("MESSAGE_CREATE", &said(content, more), &[]));
    let alert = whole("", &json!({ "author": of_bot, "member": null, "embeds": embeds() }));
    let mut sender = person("5");
    (sender.name, sender.handle) = (Some("monitor".into()), Some("monitor".into()));
    (sender.tenant, sender.bot) = (Some(GUILD.into()), true);
    let id = "1444000000000000000";
    let expected = Item {
        origin: Origin {
            key: format!("message:{id}"),
            conversation: Conversation {
                tenant: Some(GUILD.into()),
                channel: GENERAL.into(),
                thread: None,
                direct: false,
            },
            sender,
            sent: seconds_of(id),
            reply_to: ReplyTo {
                message: Some(id.into()),
                title: Some("Monitor:".into()),
                interaction: None,
            }
            .bytes(),
            extra: Vec::new(),
        },
        what: What::Message(Message {
            id: id.into(),
            text: quote(EMBEDS),
            mentions: vec![],
            addressed: false,
            quotes: None,
            new_thread: Some(id.into()),
            attachments: vec![],
            group: None,
        }),
    };
    assert_eq!(alert, expected);
    let hook = whole("red", &json!({ "webhook_id": "3", "embeds": embeds() }));
    assert_eq!(message(&hook).text, format!("red\n\n{}", quote(EMBEDS)));
    let person = whole("https://x.y/z", &json!({ "embeds": embeds() }));
    assert_eq!(
        message(&person).text,
        "https://x.y/z",
        "a person's own links need no words of theirs again"
    );
    let components =
        json!([{ "type": 17, "components": [{ "type": 9, "components": [{ "type": 10, "content": "# Deployed" }] }] }]);
    let only_components = whole("", &json!({ "author": of_bot, "components": components }));
    assert_eq!(message(&only_components).text, "> # Deployed");
    let long = json!({ "webhook_id": "3", "embeds": [{ "description": "x".repeat(9_000) }] });
    assert_eq!(message(&whole("", &long)).text.chars().count(), "> ".len() + 8_000);
}

#[test]
fn an_answer_to_an_alert_or_a_picture_brings_it_along() {
    let picture = json!([{ "filename": "a.png", "url": "https://cdn/a" }]);
    let alert = json!({ "id": "8", "content": "", "author": { "id": "5", "bot": true }, "embeds": embeds(), "attachments": picture });
    let data = said(
        &format!("<@{BOT}> explain"),
        &json!({ "type": 19, "referenced_message": alert }),
    );
    let item = only(items("MESSAGE_CREATE", &data, &[]));
    let quoted = message(&item).quotes.as_ref().expect("it answers one");
    assert_eq!((quoted.id.as_str(), quoted.text.as_str()), ("8", EMBEDS));
    let names: Vec<&str> = quoted.attachments.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["a.png"]);
    let own = json!({ "id": "8", "content": "see", "author": { "id": BOT, "bot": true }, "attachments": picture });
    let item = only(items(
        "MESSAGE_CREATE",
        &said("and?", &json!({ "type": 19, "referenced_message": own })),
        &[],
    ));
    assert_eq!(message(&item).attachments, [], "the bot has its own files");
    // What was forwarded has no author: its previews are known by their address.
    let forwarded = json!({ "content": "see https://mon.example/1", "embeds": embeds() });
    let item = only(items(
        "MESSAGE_CREATE",
        &said("", &json!({ "message_snapshots": [{ "message": forwarded }] })),
        &[],
    ));
    assert_eq!(message(&item).text, "> see https://mon.example/1\n> \n> Second");
}

#[test]
fn itself_joins_and_previews_are_passed_over_and_bots_are_marked() {
    let own = json!({ "author": { "id": BOT, "bot": true } });
    assert_eq!(items("MESSAGE_CREATE", &said("x", &own), &[]), []);
    assert_eq!(items("MESSAGE_CREATE", &said("x", &json!({ "type": 7 })), &[]), []);
    assert_eq!(
        items("MESSAGE_UPDATE", &said("x", &json!({ "edited_timestamp": null })), &[]),
        []
    );
    let other = only(items(
        "MESSAGE_CREATE",
        &said("x", &json!({ "author": { "id": "5", "bot": true } })),
        &[],
    ));
    assert!(other.origin.sender.bot);
    let hook = only(items("MESSAGE_CREATE", &said("x", &json!({ "webhook_id": "3" })), &[]));
    assert!(hook.origin.sender.bot);
    assert_eq!(
        items("MESSAGE_CREATE", &said("", &json!({})), &[]),
        [],
        "without the intent nothing is to be read"
    );
}

#[test]
fn edits_deletions_and_reactions() {
    let data = said("new", &json!({ "edited_timestamp": "2026-11-29T01:02:03.4+00:00" }));
    let item = only(items("MESSAGE_UPDATE", &data, &[]));
    assert_eq!(item.origin.key, "edit:1444000000000000000:2026-11-29T01:02:03.4+00:00");
    assert!(matches!(item.what, What::Edited(_)));
    let gone = items(
        "MESSAGE_DELETE",
        &json!({ "id": "5", "channel_id": GENERAL, "guild_id": GUILD }),
        &[],
    );
    assert_eq!(only(gone).what, What::Deleted("5".into()));
    let bulk = json!({ "ids": ["5", "6"], "channel_id": GENERAL, "guild_id": GUILD });
    let keys: Vec<String> = items("MESSAGE_DELETE_BULK", &bulk, &[])
        .into_iter()
        .map(|item| item.origin.key)
        .collect();
    assert_eq!(keys, ["delete:5", "delete:6"]);
    let data = json!({
        "user_id": BEN, "channel_id": "88", "message_id": "5", "guild_id": GUILD, "emoji": { "id": null, "name": "👎" },
        "member": { "user": { "id": BEN, "username": "ben" }, "roles": [] },
    });
    let item = only(items(
        "MESSAGE_REACTION_ADD",
        &data,
        &[("botyard-thread-parent", "77"), ("botyard-sequence", "s:4")],
    ));
    assert_eq!(item.origin.key, format!("reaction:5:{BEN}:👎:true:s:4"));
    assert_eq!(
        (
            item.origin.conversation.channel.as_str(),
            item.origin.sender.name.as_deref()
        ),
        ("77", Some("ben"))
    );
    let expected = Reaction {
        id: "5".into(),
        emoji: "👎".into(),
        added: true,
    };
    assert_eq!(item.what, What::Reacted(expected));
    let own = json!({ "user_id": BOT, "channel_id": "88", "message_id": "5", "emoji": { "name": "x" } });
    assert_eq!(items("MESSAGE_REACTION_REMOVE", &own, &[]), []);
}

#[test]
fn what_cannot_be_read_is_skipped_or_malformed_and_never_a_trap() {
    for name in [
        "MESSAGE_CREATE",
        "MESSAGE_UPDATE",
        "MESSAGE_DELETE",
        "MESSAGE_REACTION_ADD",
        "NEW_IN_2030",
    ] {
        for data in [
            json!({}),
            json!({ "id": 5 }),
            json!({ "id": "x", "author": 7, "channel_id": [] }),
        ] {
            assert_eq!(items(name, &data, &[]), [], "{name} {data}");
        }
    }
    let mut broken = event("MESSAGE_CREATE", &json!({}), &[]);
    broken.payload = b"{\"op\":0,".to_vec();
    assert!(matches!(reader().translate(&broken), Err(Error::Malformed(_))));
    broken.payload = b"[]".to_vec();
    assert!(matches!(reader().translate(&broken), Err(Error::Malformed(_))));
}

#[test]
fn a_title_is_one_line() {
    assert_eq!(title("\n  ## Fix `it`\nmore"), "Fix `it");
    assert_eq!(title(" \n"), "Conversation");
    assert_eq!(title(&"ä".repeat(200)).chars().count(), 90);
}
