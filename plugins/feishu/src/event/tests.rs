//! Events as the fake makes them, and whole items.

use std::cell::RefCell;
use std::collections::BTreeMap;

use botyard_fakes::feishu::Message as Said;
use botyard_fakes::feishu::{ANN, APP_ID, BEN, BOT, Button, DIRECT, GROUP, Sender, TENANT, Tenant};
use botyard_fakes::mutation::mutated;
use botyard_sdk::interaction::Verdict;
use botyard_sdk::serde_json::json;
use botyard_sdk::types::{Attachment, Field, FieldKind, Form};
use proptest::prelude::*;

use super::*;
use crate::tests::{Secrets, direct, fake, group};

#[derive(Debug, Default)]
struct Chats(RefCell<BTreeMap<String, String>>);

impl Book for Chats {
    fn chat_of(&self, person: &str) -> Option<String> {
        self.0.borrow().get(person).cloned()
    }

    fn note(&self, person: &str, chat: &str) {
        self.0.borrow_mut().insert(person.into(), chat.into());
    }
}

fn read_with(book: &Chats, body: &Value) -> Option<Item> {
    let reader = Reader {
        me: Some(BOT.into()),
        vault: &Secrets::default(),
        book,
    };
    let event = Event {
        transport: "link".into(),
        name: "event".into(),
        method: String::new(),
        query: String::new(),
        headers: Vec::new(),
        payload: body.to_string().into_bytes(),
        received: 0,
    };
    let mut translated = reader.translate(&event).expect("it can be read");
    assert!(translated.items.len() <= 1 && translated.answer.is_none());
    translated.items.pop()
}

fn read(body: &Value) -> Option<Item> {
    read_with(&Chats::default(), body)
}

fn ann() -> Person {
    person(ANN, Some(TENANT))
}

#[test]
fn a_direct_message_is_for_the_bot() {
    let tenant = Tenant::new();
    let said = tenant.write(DIRECT, ANN, "hello there");
    assert_eq!(
        read(&tenant.message_event(&said)),
        Some(Item {
            origin: Origin {
                key: format!("message:{}", said.id),
                conversation: direct(),
                sender: ann(),
                sent: u32::try_from(said.created_ms / 1000).ok(),
                reply_to: format!("{{\"direct\":{{\"message\":\"{}\",\"person\":\"{ANN}\"}}}}", said.id).into_bytes(),
                extra: Vec::new(),
            },
            what: What::Message(Message {
                id: said.id.clone(),
                text: "hello there".into(),
                mentions: Vec::new(),
                addressed: true,
                quotes: None,
                new_thread: Some(said.id),
                attachments: Vec::new(),
                group: None,
            }),
        })
    );
}

fn message(item: Option<Item>) -> (Conversation, Message) {
    match item {
        Some(Item {
            origin,
            what: What::Message(message),
        }) => (origin.conversation, message),
        other => panic!("no message: {other:?}"),
    }
}

#[test]
fn in_a_group_the_bot_is_addressed_by_its_mention_which_is_cut_out() {
    let tenant = Tenant::new();
    let said = tenant.write(GROUP, ANN, "@_user_1 ask @_user_3 about it");
    let (conversation, found) = message(read(&tenant.message_event(&said)));
    assert_eq!(conversation, group(None));
    assert_eq!(found.text, format!("ask <@{BEN}> about it"));
    assert!(found.addressed);
    let mut ben = person(BEN, None);
    ben.name = Some("Ben".into());
    assert_eq!(found.mentions, [ben]);
    let said = tenant.write(GROUP, ANN, "just talk");
    assert!(!message(read(&tenant.message_event(&said))).1.addressed);
    let said = tenant.write(GROUP, ANN, "@_user_1");
    let (_, found) = message(read(&tenant.message_event(&said)));
    assert_eq!(
        (found.text.as_str(), found.addressed),
        ("", true),
        "a mention alone still calls the bot"
    );
}

#[test]
fn a_thread_is_named_by_its_first_message() {
    let tenant = Tenant::new();
    let first = tenant.write(GROUP, ANN, "@_user_1 go");
    let (_, found) = message(read(&tenant.message_event(&first)));
    assert_eq!(found.new_thread.as_deref(), Some(first.id.as_str()));
    let text = json!({ "text": "and on" });
    let within = tenant.say(GROUP, BEN, "text", &text, Some((&first.id, true)));
    let deeper = tenant.say(GROUP, BEN, "text", &text, Some((&within.id, true)));
    for said in [&within, &deeper] {
        let (conversation, found) = message(read(&tenant.message_event(said)));
        assert_eq!(conversation, group(Some(&first.id)));
        assert_eq!(found.new_thread, None);
    }
    // An answer that opens no thread only quotes.
    let plain = tenant.write(GROUP, ANN, "@_user_1 look");
    let quoting = tenant.say(GROUP, BEN, "text", &text, Some((&plain.id, false)));
    let (conversation, found) = message(read(&tenant.message_event(&quoting)));
    assert_eq!(conversation, group(None));
    let quoted = found.quotes.as_ref().map(|quoted| quoted.id.as_str());
    assert_eq!(quoted, Some(plain.id.as_str()));
    assert_eq!(found.new_thread, Some(quoting.id));
}

#[test]
fn what_is_answered_is_brought_along_also_where_the_bot_answered_before() {
    let tenant = Tenant::new();
    let book = Chats::default();
    let text = json!({ "text": "@_user_1 explain this" });
    let brought = |parent: &str| {
        [Attachment {
            name: "quoted-message.md".into(),
            media_type: None,
            size_bytes: None,
            source: format!("quote:{parent}:{APP_ID}"),
        }]
    };
    let read = |said: &Said| message(read_with(&book, &tenant.message_event(said)));
    let files = |message: Message| message.quotes.map_or_else(Vec::new, |quoted| quoted.attachments);
    // Somebody else's message in the group, which the bot never had.
    let alert = tenant.write(GROUP, BEN, "the disk is full");
    let quoting = tenant.say(GROUP, ANN, "text", &text, Some((&alert.id, false)));
    let (conversation, found) = read(&quoting);
    assert_eq!(conversation, group(None));
    assert_eq!(
        found,
        Message {
            id: quoting.id.clone(),
            text: "explain this".into(),
            mentions: vec![],
            addressed: true,
            quotes: Some(Quote {
                id: alert.id.clone(),
                sender: None,
                text: String::new(),
                attachments: brought(&alert.id).into(),
            }),
            new_thread: Some(quoting.id),
            attachments: vec![],
            group: None,
        }
    );
    // The same in a thread under it. A refusal or the help may have been all that the bot said there.
    let within = tenant.say(GROUP, ANN, "text", &text, Some((&alert.id, true)));
    assert_eq!(files(read(&within).1), brought(&alert.id));
    note(
        &book,
        &Target {
            conversation: group(Some(&alert.id)),
            reply_to: ReplyTo::Message(within.id.clone()).bytes(),
            private_to: None,
            nonce: "n".into(),
            memory: None,
        },
    );
    assert_eq!(files(read(&within).1), brought(&alert.id));
    // One that was chosen within the thread.
    let chosen = tenant.say(GROUP, ANN, "text", &text, Some((&within.id, true)));
    assert_eq!(files(read(&chosen).1), brought(&within.id));
}

#[test]
fn itself_and_what_is_unknown_are_passed_over_and_bots_are_marked() {
    let tenant = Tenant::new();
    let said = tenant.write(GROUP, ANN, "hi");
    let mut event = tenant.message_event(&said);
    for kind in ["app", "bot", "invented"] {
        event["event"]["sender"]["sender_type"] = kind.into();
        assert!(read(&event).expect("it is told").origin.sender.bot, "{kind}");
    }
    event["event"]["sender"]["sender_id"]["open_id"] = event["header"]["app_id"].clone();
    assert_eq!(read(&event), None);
    let mut event = tenant.message_event(&said);
    event["header"]["event_type"] = "im.something.new_v9".into();
    assert_eq!(read(&event), None);
    for pointer in [
        "/event/message/message_id",
        "/event/sender/sender_id/open_id",
        "/event/message",
    ] {
        let mut event = tenant.message_event(&said);
        *event.pointer_mut(pointer).expect("it is there") = Value::Null;
        assert_eq!(read(&event), None, "{pointer}");
    }
    assert_eq!(read(&json!([1])), None);
}

#[test]
fn a_recall_is_a_deletion_by_somebody_untold() {
    let tenant = Tenant::new();
    let said = tenant.write(GROUP, ANN, "hi");
    let item = read(&tenant.recall_event(&said)).expect("an item");
    assert_eq!(item.what, What::Deleted(said.id.clone()));
    assert_eq!(item.origin.key, format!("recall:{}", said.id));
    assert_eq!(
        (item.origin.conversation, item.origin.sender.id.as_str()),
        (group(None), UNTOLD)
    );
}

#[test]
fn reactions_come_and_go() {
    let tenant = Tenant::new();
    let said = tenant.write(GROUP, ANN, "hi");
    for added in [true, false] {
        let item = read(&tenant.reaction_event(&said, ANN, "THUMBSUP", added)).expect("an item");
        assert_eq!(
            item.what,
            What::Reacted(Reaction {
                id: said.id.clone(),
                emoji: "THUMBSUP".into(),
                added,
            })
        );
        assert_eq!(item.origin.sender.id, ANN);
    }
    let mut own = tenant.reaction_event(&said, BOT, "Typing", true);
    assert_eq!(read(&own), None);
    own["event"]["operator_type"] = "app".into();
    assert_eq!(read(&own), None);
}

#[test]
fn the_menu_is_a_command_in_the_chat_that_the_person_has_with_the_bot() {
    let tenant = Tenant::new();
    let book = Chats::default();
    let command = |item: Option<Item>| match item {
        Some(Item {
            origin,
            what: What::Command(command),
        }) => (origin.conversation, command.name),
        other => panic!("no command: {other:?}"),
    };
    let (conversation, name) = command(read_with(&book, &tenant.menu_event(ANN, "/new")));
    assert_eq!((conversation.channel.as_str(), name.as_str()), (ANN, "new"));
    assert!(conversation.direct);
    let asked = read_with(&book, &tenant.message_event(&tenant.write(DIRECT, ANN, "hi"))).expect("a message");
    assert_eq!(*book.0.borrow(), BTreeMap::new(), "reading looks nothing up");
    let target = |memory| Target {
        conversation: asked.origin.conversation.clone(),
        reply_to: asked.origin.reply_to.clone(),
        private_to: None,
        nonce: "n".into(),
        memory,
    };
    // With the first view of the answer, and no other.
    note(&book, &target(Some(Vec::new())));
    assert_eq!(*book.0.borrow(), BTreeMap::new());
    note(&book, &target(None));
    assert_eq!(
        command(read_with(&book, &tenant.menu_event(ANN, "new"))),
        (direct(), "new".into())
    );
}

#[test]
fn the_bot_hears_that_it_came_into_a_group() {
    let tenant = Tenant::new();
    let item = read(&tenant.added_event(GROUP, ANN)).expect("an item");
    assert_eq!(
        item.what,
        What::Other(Other {
            name: "joined".into(),
            fields: vec![("name".into(), "a group".into())],
        })
    );
    assert_eq!((item.origin.conversation, item.origin.sender), (group(None), ann()));
}

fn button(value: Value) -> Button {
    Button {
        label: "Allow".into(),
        value,
        submits: false,
    }
}

fn pressed(item: Option<Item>) -> botyard_sdk::ingress::Press {
    match item {
        Some(Item {
            what: What::Press(press),
            ..
        }) => press,
        other => panic!("no press: {other:?}"),
    }
}

#[test]
fn a_press_brings_its_token_and_a_form_its_fields() {
    let tenant = Tenant::new();
    let said = tenant.write(GROUP, ANN, "any message");
    let event = tenant.press_event(&said, ANN, &button(press::value("t-allow")), None);
    let item = read(&event).expect("an item");
    assert_eq!((&item.origin.conversation, &item.origin.sender), (&group(None), &ann()));
    let press = pressed(Some(item));
    assert_eq!((press.token.as_str(), press.values), ("t-allow", None));

    let filled = json!({ "b1f_why": "because", "b1f_which": ["a", "b"], "other_x": "no", "b1f_none": null });
    let event = tenant.press_event(&said, ANN, &button(press::form_value("t-form", "b1f_")), Some(&filled));
    let press = pressed(read(&event));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut values = press.values.expect("a form");
    values.sort();
    assert_eq!(values, [pair("which", "a"), pair("which", "b"), pair("why", "because")]);

    let mut select = tenant.press_event(&said, ANN, &button(press::value("t-list")), None);
    select["event"]["action"]["option"] = "blue".into();
    assert_eq!(pressed(read(&select)).values, Some(vec![pair("selection", "blue")]));

    // A button of another program's.
    let event = tenant.press_event(&said, ANN, &button(json!({ "key": "value" })), None);
    assert_eq!(read(&event), None);
}

#[test]
fn a_press_of_an_old_card_is_one_too() {
    let body = json!({
        "open_id": ANN, "open_message_id": "om_1", "open_chat_id": GROUP, "tenant_key": TENANT, "token": "c-1",
        "action": { "tag": "button", "value": { "token": "t-allow" } },
    });
    let item = read(&body).expect("an item");
    assert_eq!(item.origin.key, format!("press:om_1:{ANN}:t-allow:c-1"));
    assert_eq!(item.origin.conversation, group(None));
    assert_eq!(pressed(Some(item)).token, "t-allow");
}

#[test]
fn the_immediate_word_is_a_toast() {
    let tenant = Tenant::new();
    let said = tenant.write(GROUP, ANN, "any message");
    let item = read(&tenant.press_event(&said, ANN, &button(press::value("t")), None)).expect("an item");
    let api = fake();
    let word = |verdict: &Verdict| -> Value {
        let answer = press::respond(&api, &item.origin, verdict).expect("an answer");
        serde_json::from_slice(&answer.body).expect("JSON")
    };
    let toast = |kind: &str, word: &str| json!({ "toast": { "type": kind, "content": word } });
    assert_eq!(word(&Verdict::Taken("Allowed".into())), toast("success", "Allowed"));
    assert_eq!(word(&Verdict::Taken(String::new())), json!({}));
    assert_eq!(word(&Verdict::Later(true)), json!({}));
    assert_eq!(word(&Verdict::Refused("Too late".into())), toast("warning", "Too late"));
    let wrong = Verdict::Correct(vec![
        ("why".into(), "Say why.".into()),
        ("n".into(), "A number.".into()),
    ]);
    assert_eq!(word(&wrong), toast("error", "Say why. A number."));
    // Nothing waits for a word to a message.
    let said = read(&tenant.message_event(&said)).expect("an item");
    assert_eq!(press::respond(&api, &said.origin, &Verdict::Taken("x".into())), None);
}

#[test]
fn a_form_is_opened_as_an_answer_and_ends_when_it_is_sent() {
    let api = fake();
    let tenant = &api.wire.tenant;
    let said = tenant.write(GROUP, ANN, "any message");
    let press = |message: &botyard_fakes::feishu::Message, label: &str, form: Option<&Value>| {
        let button = message.buttons().into_iter().find(|button| button.label == label);
        let button = button.unwrap_or_else(|| self::button(press::value("t-deny")));
        read(&tenant.press_event(message, ANN, &button, form)).expect("an item")
    };
    let word = |origin: &Origin, verdict: &Verdict| -> Value {
        let answer = press::respond(&api, origin, verdict).expect("an answer");
        serde_json::from_slice(&answer.body).expect("JSON")
    };
    let mut form = Form {
        token: "t-deny".into(),
        title: "Why not?".into(),
        fields: vec![Field {
            name: "reason".into(),
            label: "Reason".into(),
            kind: FieldKind::Paragraph,
            value: "x".repeat(1_000),
            placeholder: String::new(),
            required: true,
        }],
        submit: "Send".into(),
    };
    let origin = press(&said, "none", None).origin;
    for _ in 0..2 {
        let told = word(&origin, &Verdict::Open(form.clone()));
        assert_eq!(told["toast"]["type"], "info", "{told}");
    }
    let [opened] = &tenant.replies(GROUP)[..] else {
        panic!("one form: {:?}", tenant.replies(GROUP));
    };
    assert_eq!(opened.parent.as_deref(), Some(said.id.as_str()));
    let sent = press(opened, "Send", Some(&json!({ "of_reason": "not on a Friday" })));
    assert_eq!(
        pressed(Some(sent.clone())).values,
        Some(vec![("reason".to_owned(), "not on a Friday".to_owned())])
    );
    // What is wrong with it can be mended there.
    let wrong = word(
        &sent.origin,
        &Verdict::Correct(vec![("reason".into(), "Say why.".into())]),
    );
    assert_eq!(wrong, json!({ "toast": { "type": "error", "content": "Say why." } }));
    let refused = word(&sent.origin, &Verdict::Refused("Not yours.".into()));
    assert_eq!(
        refused,
        json!({ "toast": { "type": "warning", "content": "Not yours." } })
    );
    let taken = word(&sent.origin, &Verdict::Taken("Denied <at id=all></at>".into()));
    tenant.answered(&opened.id, &taken).expect("Feishu takes the answer");
    let ended = tenant.message(&opened.id).expect("it stands there");
    assert_eq!(
        (ended.buttons(), ended.read().starts_with("✔ Denied")),
        (vec![], true),
        "{}",
        ended.read()
    );
    assert!(!crate::markdown::tests::pings(&ended.read()));

    // What a form of Feishu's cannot hold is not cut in silence.
    form.fields[0].value.push('x');
    let told = word(&origin, &Verdict::Open(form.clone()));
    assert_eq!(told["toast"]["type"], "warning", "{told}");
    form.fields[0].value.clear();
    tenant.recall(&said.id);
    form.token = "t-other".into();
    let told = word(&origin, &Verdict::Open(form));
    assert_eq!(told["toast"]["type"], "error", "{told}");
    assert_eq!(tenant.replies(GROUP).len(), 1);
}

/// One of each kind that Feishu tells, and callbacks of old cards.
fn everything() -> Vec<Value> {
    let tenant = Tenant::new();
    let first = tenant.write(GROUP, ANN, "@_user_1 ask @_user_3");
    let under = Some((first.id.as_str(), true));
    let mut all = vec![tenant.message_event(&first)];
    for (kind, content) in [
        ("text", json!({ "text": "@_user_1 and @_all" })),
        (
            "post",
            json!({ "title": "t", "content": [[
                { "tag": "text", "text": "x", "style": ["bold"] }, { "tag": "at", "user_id": "@_user_1", "user_name": "b" },
                { "tag": "a", "text": "l", "href": "https://x" }, { "tag": "img", "image_key": "img_1" },
            ], [{ "tag": "code_block", "language": "GO", "text": "go" }, { "tag": "media", "file_key": "file_1" }]] }),
        ),
        ("image", json!({ "image_key": "img_1" })),
        ("file", json!({ "file_key": "file_1", "file_name": "a.txt" })),
        (
            "media",
            json!({ "file_key": "file_1", "file_name": "a.mp4", "image_key": "img_1", "duration": 3 }),
        ),
        ("merge_forward", json!({ "content": "Merged and Forwarded Message" })),
        ("share_user", json!({ "user_id": BEN })),
        (
            "location",
            json!({ "name": "here", "longitude": "1.0", "latitude": "2.0" }),
        ),
        (
            "todo",
            json!({ "task_id": "t", "summary": { "title": "", "content": [[{ "tag": "text", "text": "x" }]] } }),
        ),
        ("vote", json!({ "topic": "x", "options": ["a", "b"] })),
        (
            "interactive",
            json!({ "title": "c", "elements": [[{ "tag": "text", "text": "x" }]] }),
        ),
    ] {
        all.push(tenant.message_event(&tenant.say(GROUP, BEN, kind, &content, under)));
        all.push(tenant.message_event(&tenant.say(DIRECT, ANN, kind, &content, None)));
    }
    let button = Button {
        label: "Allow".into(),
        value: json!({ "token": "t-allow", "form": "b0f_" }),
        submits: true,
    };
    let filled = json!({ "b0f_why": "because", "b0f_which": ["a", "b"], "b0f_sure": true });
    all.extend([
        tenant.recall_event(&first),
        tenant.reaction_event(&first, ANN, "OK", true),
        tenant.reaction_event(&first, ANN, "OK", false),
        tenant.menu_event(ANN, "/new"),
        tenant.added_event(GROUP, ANN),
        tenant.press_event(&first, ANN, &button, None),
        tenant.press_event(&first, ANN, &button, Some(&filled)),
        json!({
            "open_id": ANN, "open_message_id": first.id, "open_chat_id": GROUP, "token": "c-1", "tenant_key": TENANT,
            "action": { "tag": "select_static", "option": "a", "value": { "token": "t-some" } },
        }),
        Sender::challenge_body("word", "token"),
    ]);
    all
}

fn translate(transport: &str, payload: Vec<u8>) -> Result<Translated, Error> {
    let reader = Reader {
        me: Some(BOT.into()),
        vault: &Secrets::default(),
        book: &Chats::default(),
    };
    reader.translate(&Event {
        transport: transport.into(),
        name: "event".into(),
        method: "POST".into(),
        query: String::new(),
        headers: Vec::new(),
        payload,
        received: 0,
    })
}

#[test]
fn everything_that_feishu_tells_comes_to_something() {
    for event in everything() {
        let items = translate("link", event.to_string().into_bytes())
            .expect("it can be read")
            .items;
        let is_challenge = event["type"] == "url_verification";
        assert_eq!(items.len(), usize::from(!is_challenge), "{event}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_the_host_can_keep_what_is_made_of_it(
        which: prop::sample::Index,
        changes in prop::collection::vec(any::<(usize, usize)>(), 0..4),
        end in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let all = everything();
        let event = changes.iter().fold(which.get(&all).clone(), |event, (place, kind)| mutated(&event, *place, *kind));
        let mut payload = event.to_string().into_bytes();
        if let Some(end) = end {
            payload.truncate(end.index(payload.len()));
        }
        for transport in ["link", "webhook"] {
            match translate(transport, payload.clone()) {
                Ok(translated) => prop_assert!(translated.items.iter().all(fits), "{event}: {translated:?}"),
                Err(Error::Malformed(_)) => {}
                Err(error) => prop_assert!(transport == "webhook" && matches!(error, Error::Unauthorized(_)), "{error:?}"),
            }
        }
    }

    #[test]
    fn no_bytes_are_an_event(payload: Vec<u8>) {
        for transport in ["link", "webhook"] {
            let made = translate(transport, payload.clone());
            prop_assert!(made.map_or_else(|error| matches!(error, Error::Malformed(_) | Error::Unauthorized(_)), |made| made.items.is_empty()));
        }
    }
}
