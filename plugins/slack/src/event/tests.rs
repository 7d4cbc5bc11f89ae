//! Whole payloads, whole answers.

use botyard_fakes::mutation::mutated;
use botyard_fakes::slack::{Message as Posted, Sender, Workspace};
use proptest::prelude::*;

use super::*;

fn reader() -> Reader {
    Reader {
        me: Some("UBOT".into()),
        command: || "/botyard".into(),
    }
}

fn event(kind: &str, payload: impl Into<Vec<u8>>) -> Event {
    Event {
        transport: "webhook".into(),
        name: String::new(),
        method: "POST".into(),
        query: String::new(),
        headers: vec![("Content-Type".into(), kind.into())],
        payload: payload.into(),
        received: 1_700_000_000,
    }
}

fn read(body: &Value) -> Translated {
    reader()
        .translate(&event("application/json", body.to_string()))
        .expect("understood")
}

/// The items of an Events API callback.
fn told(inner: &Value) -> Vec<Item> {
    let body = json!({
        "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev1", "event_time": 1,
        "event": inner,
    });
    let translated = read(&body);
    assert_eq!(translated.answer, None);
    translated.items
}

fn said(more: &Value) -> Value {
    let mut event = json!({
        "type": "message", "channel": "C1", "channel_type": "channel", "user": "U1", "text": "hello",
        "ts": "1700000001.000100", "event_ts": "1700000001.000100", "team": "T1", "client_msg_id": "x",
    });
    for (name, value) in more.as_object().expect("an object") {
        event[name] = value.clone();
    }
    event
}

fn home(thread: Option<&str>) -> Conversation {
    Conversation {
        tenant: Some("T1".into()),
        channel: "C1".into(),
        thread: thread.map(str::to_owned),
        direct: false,
    }
}

fn hello() -> Message {
    Message {
        id: "1700000001.000100".into(),
        text: "hello".into(),
        mentions: vec![],
        addressed: false,
        quotes: None,
        new_thread: Some("1700000001.000100".into()),
        attachments: vec![],
        group: None,
    }
}

fn origin(key: &str) -> Origin {
    Origin {
        key: key.into(),
        conversation: home(None),
        sender: person("U1", Some("T1")),
        sent: Some(1_700_000_001),
        reply_to: br#"{"kind":"message","reader":["U1","T1"]}"#.to_vec(),
        extra: Vec::new(),
    }
}

#[test]
fn a_challenge_is_answered() {
    let answer = read(&json!({ "type": "url_verification", "token": "x", "challenge": "3eZb" }))
        .answer
        .expect("one");
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, br#"{"challenge":"3eZb"}"#.as_slice())
    );
}

#[test]
fn a_message_in_a_channel_is_heard_whole() {
    let expected = Item {
        origin: origin("message:C1:1700000001.000100"),
        what: What::Message(hello()),
    };
    assert_eq!(told(&said(&json!({}))), [expected]);
}

#[test]
fn a_mention_is_one_thing_told_twice() {
    let text = "<@UBOT> ask <@U2> &amp; go";
    let twice = [
        told(&said(&json!({ "text": text }))),
        told(
            &json!({ "type": "app_mention", "channel": "C1", "user": "U1", "text": text, "team": "T1",
            "ts": "1700000001.000100", "event_ts": "1700000001.000100" }),
        ),
    ];
    let message = Message {
        text: "ask <@U2> & go".into(),
        mentions: vec![person("U2", None)],
        addressed: true,
        ..hello()
    };
    let expected = Item {
        origin: origin("message:C1:1700000001.000100"),
        what: What::Message(message),
    };
    assert_eq!(twice, [vec![expected.clone()], vec![expected]]);
}

#[test]
fn a_direct_message_speaks_to_the_bot() {
    let items = told(&said(&json!({ "channel": "D1", "channel_type": "im" })));
    let What::Message(message) = &items[0].what else {
        panic!("{items:?}")
    };
    assert!(message.addressed && items[0].origin.conversation.direct);
}

#[test]
fn a_reply_is_in_its_thread_and_opens_none() {
    let items = told(&said(&json!({ "thread_ts": "1699999999.000100" })));
    let mut expected = Item {
        origin: origin("message:C1:1700000001.000100"),
        what: What::Message(Message {
            new_thread: None,
            ..hello()
        }),
    };
    expected.origin.conversation = home(Some("1699999999.000100"));
    assert_eq!(items, [expected]);
}

#[test]
fn files_come_along() {
    let files = json!([
        { "id": "F1", "name": "a.png", "mimetype": "image/png", "size": 17, "url_private_download": "https://files.slack.com/a" },
        { "id": "F2", "file_access": "check_file_info" },
        { "new": "kind" },
    ]);
    let items = told(&said(&json!({ "subtype": "file_share", "files": files, "text": "" })));
    let What::Message(message) = &items[0].what else {
        panic!("{items:?}")
    };
    let file = |name: &str, media_type: Option<&str>, size_bytes, source: &str| Attachment {
        name: name.into(),
        media_type: media_type.map(str::to_owned),
        size_bytes,
        source: source.into(),
    };
    assert_eq!(
        message.attachments,
        [
            file("a.png", Some("image/png"), Some(17), "https://files.slack.com/a"),
            file("F2", None, None, "id:F2")
        ]
    );
}

/// A message that somebody shared, an alert of a program's, and what Slack shows of a link.
fn attached() -> Value {
    json!([
        { "is_share": true, "from_url": "https://x.slack.com/archives/C2/p1", "author_name": "Ben",
            "text": "the &lt;old&gt; words\nof <@U2>", "fallback": "[today] ben: the old words", "footer": "Posted in #ops",
            "files": [{ "id": "F3", "name": "log.txt", "url_private": "https://files.slack.com/l" }] },
        { "color": "#f00", "fallback": "it is down", "pretext": "From the monitor", "title": "Disk full",
            "title_link": "https://mon.example/1", "text": "on *db1*", "fields": [{ "title": "Free", "value": "0 B" }, { "value": "now" }] },
        { "from_url": "https://x.y/z", "original_url": "https://x.y/z", "title": "A page", "text": "about it" },
        { "is_msg_unfurl": true, "from_url": "https://x.slack.com/archives/C2/p2", "text": "a message that was linked" },
        { "fallback": "only a fallback" },
        { "fallback": "[no preview available]", "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": "Deploy" } },
            { "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": [
                { "type": "text", "text": "by " }, { "type": "user", "user_id": "U1" }, { "type": "text", "text": " now" }] }] },
        ] },
    ])
}

const ATTACHED: &str = "Ben:\nthe <old> words\nof <@U2>\n\nFrom the monitor\n[Disk full](https://mon.example/1)\n\
    on *db1*\nFree: 0 B\nnow\n\na message that was linked\n\nonly a fallback\n\nDeploy\nby <@U1> now";

fn quote(text: &str) -> String {
    text.lines()
        .map(|line| format!("> {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn log() -> Attachment {
    Attachment {
        name: "log.txt".into(),
        media_type: None,
        size_bytes: None,
        source: "https://files.slack.com/l".into(),
    }
}

#[test]
fn what_is_shared_and_what_programs_attach_is_heard_and_previews_of_links_are_not() {
    let heard = |words: &str, text: String| Item {
        origin: origin("message:C1:1700000001.000100"),
        what: What::Message(Message {
            text,
            attachments: if words == "none" { vec![] } else { vec![log()] },
            ..hello()
        }),
    };
    // Without a word, as somebody forwards a message to the bot.
    let alone = told(&said(&json!({ "text": "", "attachments": attached() })));
    assert_eq!(alone, [heard("", quote(ATTACHED))]);
    let with = told(&said(&json!({ "attachments": attached() })));
    assert_eq!(with, [heard("hello", format!("hello\n\n{}", quote(ATTACHED)))]);
    // A program may say nothing but blocks.
    let block = json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "<https://x.y|it> is down" } }]);
    let only = told(&said(&json!({ "text": "", "blocks": block })));
    assert_eq!(only, [heard("none", quote("[it](https://x.y) is down"))]);
    let long = json!([{ "text": "x".repeat(20_000) }]);
    let What::Message(message) = told(&said(&json!({ "attachments": long }))).remove(0).what else {
        panic!("no message")
    };
    assert_eq!(message.text.chars().count(), "hello\n\n> ".len() + 8_000);
}

#[test]
fn a_question_about_an_alert_has_its_words() {
    let workspace = Workspace::new();
    workspace.say("C1", "U2", "", None);
    let mut payload = Sender::shortcut_payload(&workspace.messages("C1")[0], "U1");
    payload["message"]["attachments"] = attached();
    let body = form_of(&payload);
    let translated = reader()
        .translate(&event("application/x-www-form-urlencoded", body))
        .expect("understood");
    let What::Message(message) = &translated.items[0].what else {
        panic!("{translated:?}")
    };
    let ts = str_at(&payload, "/message/ts").expect("one").to_owned();
    let quoted = message.quotes.as_ref().expect("it is about one");
    assert_eq!((quoted.id.as_str(), quoted.text.as_str()), (ts.as_str(), ATTACHED));
    assert_eq!(quoted.attachments, [log()]);
}

#[test]
fn edits_and_deletions_of_people_are_heard() {
    let now = json!({ "type": "message", "user": "U1", "text": "better", "ts": "1700000001.000100", "team": "T1",
        "edited": { "user": "U1", "ts": "1700000009.000000" } });
    let before = json!({ "type": "message", "user": "U1", "text": "hello", "ts": "1700000001.000100" });
    let edit = json!({ "type": "message", "subtype": "message_changed", "hidden": true, "channel": "C1",
        "channel_type": "channel", "ts": "1700000009.000100", "message": now, "previous_message": before });
    let expected = Item {
        origin: origin("edit:C1:1700000001.000100:1700000009.000000"),
        what: What::Edited(Message {
            text: "better".into(),
            ..hello()
        }),
    };
    assert_eq!(told(&edit), [expected]);

    let deletion = json!({ "type": "message", "subtype": "message_deleted", "hidden": true, "channel": "C1",
        "channel_type": "channel", "ts": "1700000010.000100", "deleted_ts": "1700000001.000100", "previous_message": before });
    let mut expected = Item {
        origin: origin("delete:C1:1700000001.000100"),
        what: What::Deleted("1700000001.000100".into()),
    };
    expected.origin.sent = Some(1_700_000_010);
    expected.origin.reply_to.clear();
    assert_eq!(told(&deletion), [expected]);
}

#[test]
fn reactions_and_the_stop_control_are_heard() {
    let reaction = json!({ "type": "reaction_added", "user": "U1", "reaction": "eyes", "item_user": "UBOT",
        "item": { "type": "message", "channel": "C1", "ts": "1.000100" }, "event_ts": "1700000001.000200" });
    let mut expected = Item {
        origin: origin("reaction:C1:1.000100:U1:eyes:1700000001.000200"),
        what: What::Reacted(Reaction {
            id: "1.000100".into(),
            emoji: "eyes".into(),
            added: true,
        }),
    };
    expected.origin.reply_to.clear();
    assert_eq!(told(&reaction), [expected]);
    let stop = json!({ "type": "agent_session_stopped", "channel": "C1", "thread_ts": "1.0", "user": "U1" });
    assert_eq!(told(&stop)[0].what, What::Stop);
}

#[test]
fn nobody_hears_itself_or_the_future() {
    for skipped in [
        said(&json!({ "user": "UBOT" })),
        said(&json!({ "user": "UBOT", "bot_id": "B1", "app_id": "A1" })),
        said(&json!({ "user": null, "subtype": "bot_message", "bot_id": "B1", "app_id": "A1" })),
        said(&json!({ "user": null, "subtype": "bot_message", "bot_profile": { "id": "B1", "app_id": "A1" } })),
        said(&json!({ "user": null, "subtype": "bot_message" })),
        said(&json!({ "subtype": "channel_join" })),
        said(&json!({ "subtype": "invented_later" })),
        said(&json!({ "ts": 17 })),
        said(&json!({ "text": "", "user": "U1" })),
        json!({ "type": "invented_later", "channel": "C1" }),
        json!({ "type": "message", "subtype": "message_changed", "channel": "C1", "message": { "user": "U1", "ts": "1.0", "text": "unfurled" } }),
        json!({ "type": ["message"] }),
        json!([1, 2]),
        Value::Null,
    ] {
        assert_eq!(told(&skipped), [], "{skipped}");
    }
    assert_eq!(read(&json!({ "type": "invented_later" })), nothing());
    assert_eq!(read(&json!([])), nothing());
}

#[test]
fn other_bots_are_told_as_such() {
    let heard = |more: Value| told(&said(&more)).remove(0).origin;
    let profile = json!({ "id": "B2", "app_id": "A2", "name": "Helper" });
    let app = heard(json!({ "user": "U7", "bot_id": "B2", "app_id": "A2", "bot_profile": profile }));
    let mut expected = person("U7", Some("T1"));
    expected.bot = true;
    expected.name = Some("Helper".into());
    assert_eq!(app.sender, expected);
    assert_eq!(app.reply_to, br#"{"kind":"message"}"#, "a stream is for a person");
    // A webhook has no user.
    let hook = json!({ "user": null, "subtype": "bot_message", "bot_id": "B3", "username": "Deploys" });
    let mut expected = person("B3", Some("T1"));
    expected.bot = true;
    expected.name = Some("Deploys".into());
    assert_eq!(heard(hook).sender, expected);
    assert!(heard(json!({ "user": "USLACKBOT" })).sender.bot);
}

#[test]
fn a_slash_command_names_a_command_of_ours() {
    let slash = |command: &str, text: &str| {
        let body = format!(
            "token=x&team_id=T1&channel_id=C1&channel_name=general&user_id=U1&user_name=ann&command=%2F{command}&text={text}\
             &response_url=http%3A%2F%2Fhooks%2F1&trigger_id=13345224609.738474920.8088930838d88f008e0"
        );
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        let mut items = reader().translate(&event(kind, body)).expect("understood").items;
        items.remove(0)
    };
    let mut sender = person("U1", Some("T1"));
    sender.handle = Some("ann".into());
    let expected = |name: &str, arguments: &str| {
        Item {
        origin: Origin {
            key: "command:13345224609.738474920.8088930838d88f008e0".into(),
            conversation: home(None),
            sender: sender.clone(),
            sent: None,
            reply_to: br#"{"kind":"slash","trigger":"13345224609.738474920.8088930838d88f008e0","response_url":"http://hooks/1"}"#.to_vec(),
            extra: Vec::new(),
        },
        what: What::Command(Command { name: name.into(), arguments: arguments.into(), attachments: vec![] }),
    }
    };
    assert_eq!(slash("botyard", "stop"), expected("stop", ""));
    assert_eq!(slash("botyard", "new++a+%26amp%3B+b"), expected("new", "a & b"));
    assert_eq!(slash("botyard", ""), expected("help", ""));
    assert_eq!(slash("status", "all"), expected("status", "all"));
}

#[test]
fn what_is_broken_is_malformed() {
    let whole = json!({ "type": "event_callback", "event": said(&json!({})) }).to_string();
    for cut in [0, 1, 17, whole.len() - 1] {
        let broken = reader().translate(&event("application/json", &whole.as_bytes()[..cut]));
        assert!(matches!(broken, Err(Error::Malformed(_))), "{cut}: {broken:?}");
    }
    let form = "application/x-www-form-urlencoded";
    assert!(matches!(
        reader().translate(&event(form, "payload=%7B%22")),
        Err(Error::Malformed(_))
    ));
    assert!(matches!(
        reader().translate(&event(form, "a=b")),
        Err(Error::Malformed(_))
    ));
    assert_eq!(reader().translate(&event(form, "ssl_check=1&token=x")), Ok(nothing()));
}

fn frame_event(frame: &Value) -> Event {
    Event {
        transport: "slack".into(),
        name: "events_api".into(),
        method: String::new(),
        headers: Vec::new(),
        ..event("", frame.to_string())
    }
}

#[test]
fn a_frame_of_socket_mode_means_what_the_webhook_means() {
    let reader = reader();
    let body = json!({ "type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": said(&json!({})) });
    let by_hook = read(&body);
    let frame = json!({
        "envelope_id": "e", "type": "events_api", "payload": body, "accepts_response_payload": false,
        "retry_attempt": 1, "retry_reason": "timeout",
    });
    let by_socket = reader.translate(&frame_event(&frame)).expect("items");
    assert_eq!(by_socket.items.len(), 1);
    assert_eq!(by_socket, by_hook);
    let alert = said(&json!({ "attachments": attached() }));
    let body = json!({ "type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": alert });
    let frame = json!({ "envelope_id": "e", "type": "events_api", "payload": body });
    assert_eq!(reader.translate(&frame_event(&frame)), Ok(read(&body)));

    let command = json!({
        "envelope_id": "e", "type": "slash_commands", "accepts_response_payload": true,
        "payload": { "command": "/botyard", "text": "stop now", "channel_id": "C1", "user_id": "U1", "team_id": "T1", "trigger_id": "t.1" },
    });
    let given = reader.translate(&frame_event(&command)).expect("items").items.remove(0);
    assert!(matches!(given.what, What::Command(command) if command.name == "stop" && command.arguments == "now"));

    let unknown = json!({ "envelope_id": "e", "type": "of_tomorrow", "payload": [1] });
    assert_eq!(reader.translate(&frame_event(&unknown)), Ok(nothing()));
    let torn = Event {
        payload: b"{\"type\":".to_vec(),
        ..frame_event(&unknown)
    };
    assert!(matches!(reader.translate(&torn), Err(Error::Malformed(_))));
}

/// One of each kind that Slack tells: events, and payloads of what people press and send.
fn everything() -> (Vec<Value>, Vec<Value>) {
    let workspace = Workspace::new();
    let sender = Sender::socket(workspace.clone());
    workspace.say("C1", "U1", "<@UBOT> see <https://x|this>, <@U2> & <!here>", None);
    let posted: Posted = workspace.messages("C1").remove(0);
    let (ts, hello) = (posted.ts.clone(), sender.message_event(&posted));
    let hidden = |more: &Value| {
        let mut event =
            json!({ "type": "message", "channel": "C1", "channel_type": "channel", "hidden": true, "ts": ts });
        event
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        event
    };
    let mut edited = hello.clone();
    edited["edited"] = json!({ "user": "U1", "ts": "1900000000.000000" });
    let mut mention = hello.clone();
    mention["type"] = "app_mention".into();
    let file =
        json!({ "id": "F1", "name": "a.txt", "mimetype": "text/plain", "size": 5, "url_private": "https://x/f" });
    let item = json!({ "type": "message", "channel": "C1", "ts": ts });
    let events = [
        hello.clone(),
        mention,
        said(&json!({ "subtype": "file_share", "files": [file], "thread_ts": ts })),
        said(&json!({ "attachments": attached() })),
        hidden(&json!({ "subtype": "message_changed", "message": edited, "previous_message": hello })),
        hidden(&json!({ "subtype": "message_deleted", "deleted_ts": ts, "previous_message": hello })),
        json!({ "type": "reaction_added", "user": "U1", "reaction": "-1", "item": item, "event_ts": ts }),
        json!({ "type": "reaction_removed", "user": "U1", "reaction": "-1", "item": item, "event_ts": ts }),
        json!({ "type": "agent_session_stopped", "user": "U1", "channel": "C1", "thread_ts": ts }),
        json!({ "type": "member_joined_channel", "user": "U1", "channel": "C1", "team": "T1", "event_ts": ts }),
    ];
    let view = json!({
        "id": "V1", "hash": "h", "callback_id": "by:t-form",
        "private_metadata": json!({ "channel": "C1", "thread": ts }).to_string(),
        "blocks": [{ "type": "input", "block_id": "why", "element": { "type": "plain_text_input" } }],
    });
    let filled = json!({ "why": { (crate::form::ELEMENT): { "type": "plain_text_input", "value": "because" } } });
    let button = json!({ "type": "button", "action_id": "by:t-allow", "value": "t-allow", "text": {} });
    let asked = Posted {
        blocks: vec![json!({ "type": "actions", "block_id": "b", "elements": [button] })],
        ..posted.clone()
    };
    let payloads = [
        sender.press_payload(&asked, "U1", "t-allow").expect("a button"),
        sender.submit_payload(&view, "U1", &filled),
        Sender::shortcut_payload(&posted, "U1"),
    ];
    (
        events.iter().map(|event| Sender::callback(event, "Ev1")).collect(),
        payloads.to_vec(),
    )
}

fn form_of(payload: &Value) -> Vec<u8> {
    let escaped = payload
        .to_string()
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect::<String>();
    format!("payload={escaped}").into_bytes()
}

/// Over the webhook, and in Socket Mode.
fn both_ways(body: &Value, is_event: bool) -> [Event; 2] {
    let hook = if is_event {
        event("application/json", body.to_string())
    } else {
        event("application/x-www-form-urlencoded", form_of(body))
    };
    let kind = if is_event { "events_api" } else { "interactive" };
    [
        hook,
        frame_event(&json!({ "envelope_id": "e", "type": kind, "payload": body })),
    ]
}

#[test]
fn everything_that_slack_tells_comes_to_something() {
    let (events, payloads) = everything();
    let all = events
        .iter()
        .map(|body| (body, true))
        .chain(payloads.iter().map(|body| (body, false)));
    for (body, is_event) in all {
        for event in both_ways(body, is_event) {
            assert_eq!(reader().translate(&event).expect("understood").items.len(), 1, "{body}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_comes_the_host_can_keep_what_is_made_of_it(
        is_event: bool,
        which: prop::sample::Index,
        changes in prop::collection::vec(any::<(usize, usize)>(), 0..4),
        end in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let (events, payloads) = everything();
        let all = if is_event { events } else { payloads };
        let body = changes.iter().fold(which.get(&all).clone(), |body, (place, kind)| mutated(&body, *place, *kind));
        for mut event in both_ways(&body, is_event) {
            if let Some(end) = end {
                event.payload.truncate(end.index(event.payload.len()));
            }
            match reader().translate(&event) {
                Ok(translated) => prop_assert!(translated.items.iter().all(fits), "{body}: {translated:?}"),
                Err(error) => prop_assert!(matches!(error, Error::Malformed(_)), "{error:?}"),
            }
        }
    }

    #[test]
    fn slash_commands_of_any_words_can_be_kept(fields in prop::collection::vec(("[a-z_]{1,12}", ".{0,40}"), 0..8), bytes: Vec<u8>) {
        let mut form = format!("command=%2Fbotyard&user_id=U1&channel_id=C1&trigger_id=t&text={}", "x".repeat(9_000));
        for (name, value) in fields {
            form.push_str(&format!("&{name}={value}"));
        }
        for payload in [form.into_bytes(), bytes] {
            let made = reader().translate(&event("application/x-www-form-urlencoded", payload));
            prop_assert!(made.map_or_else(|error| matches!(error, Error::Malformed(_)), |made| made.items.iter().all(fits)));
        }
    }
}
