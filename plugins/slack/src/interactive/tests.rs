//! Presses and forms, there and back, with the fake.

use botyard_fakes::slack::{Sender, Workspace};
use botyard_sdk::types::{Field, FieldKind, Form, OptionItem};

use super::*;
use crate::tests::fake;

const TOKEN: &str = "tok-1234567890abcdefghij";

fn sender(team: &Workspace) -> Sender {
    Sender::new(team.clone(), "http://127.0.0.1:1/")
}

/// A press on a button in the fake's chat, translated.
fn pressed(api: &Api<crate::tests::Fake>) -> Item {
    let button = json!({ "type": "button", "text": { "type": "plain_text", "text": "Allow" }, "action_id": format!("{BUTTON}{TOKEN}"), "value": TOKEN });
    let shown = crate::api::Shown {
        text: "Allow?".into(),
        blocks: vec![json!({ "type": "actions", "elements": [button] })],
    };
    let parent = api.wire.team.say("C1", "U1", "go", None);
    api.post(
        crate::api::Place {
            channel: "C1",
            thread: Some(&parent),
        },
        &shown,
        "n-0",
    )
    .expect("posted");
    let message = api.wire.team.replies("C1").pop().expect("the question");
    let payload = sender(&api.wire.team)
        .press_payload(&message, "U1", TOKEN)
        .expect("a button");
    let mut items = translate(&payload).items;
    assert_eq!(items.len(), 1);
    let item = items.remove(0);
    assert_eq!(item.origin.conversation, crate::tests::channel(Some(&parent)));
    item
}

#[test]
fn a_press_carries_its_token() {
    let item = pressed(&fake());
    assert_eq!(
        item.what,
        What::Press(Press {
            token: TOKEN.into(),
            values: None
        })
    );
    assert_eq!(
        (item.origin.sender.id.as_str(), item.origin.sender.handle.as_deref()),
        ("U1", Some("u1"))
    );
}

#[test]
fn shortcut_of_slacks_own_menu_opens_the_hosts_form_at_home_in_the_direct_channel() {
    let api = fake();
    let ask = |api: &Api<crate::tests::Fake>| {
        let payload = sender(&api.wire.team).global_shortcut_payload("U1");
        let item = translate(&payload).items.remove(0);
        let bare = Command {
            name: "ask".into(),
            arguments: String::new(),
            attachments: Vec::new(),
        };
        assert_eq!(item.what, What::Command(bare));
        assert_eq!(
            (item.origin.sender.id.as_str(), item.origin.conversation.direct),
            ("U1", true)
        );
        let form = Form {
            token: TOKEN.into(),
            title: "Ask".into(),
            fields: Vec::new(),
            submit: "Ask".into(),
        };
        let answer = respond(api, &item.origin, Verdict::Open(form)).expect("opened");
        assert_eq!(answer, Some(taken()));
        let view = api.wire.team.views().pop().expect("a view");
        serde_json::from_str::<Home>(view["private_metadata"].as_str().expect("a text")).expect("a home")
    };
    let home = |channel: &str| Home {
        channel: channel.into(),
        thread: None,
        response_url: None,
    };
    assert_eq!(ask(&api), home("D1"));
    // Without the scope the person stands for the channel.
    api.wire.team.set_scopes(&["commands"]);
    assert_eq!(ask(&api), home("U1"));
}

#[test]
fn shortcut_that_is_refused_says_why() {
    let api = fake();
    let payload = sender(&api.wire.team).global_shortcut_payload("U1");
    let item = translate(&payload).items.remove(0);
    let verdict = Verdict::Refused("That could not be stored just now.".into());
    assert_eq!(respond(&api, &item.origin, verdict).expect("said"), Some(taken()));
    let view = api.wire.team.views().pop().expect("a view");
    let said = json!([{ "type": "section", "text": {
        "type": "plain_text", "text": "That could not be stored just now.", "emoji": false } }]);
    assert_eq!(view["blocks"], said);
    assert_eq!(view.get("submit"), None, "there is nothing to send");
}

#[test]
fn shortcut_in_a_messages_menu_asks_about_that_message() {
    let api = fake();
    let ts = api.wire.team.say("C1", "U2", "see &lt;this&gt;", None);
    let said = api.wire.team.messages("C1").remove(0);
    let mut payload = Sender::shortcut_payload(&said, "U1");
    let expected = Item {
        origin: Origin {
            key: format!("about:C1:{ts}:U1:1700000001.000200"),
            conversation: crate::tests::channel(None),
            sender: botyard_sdk::types::Person {
                handle: Some("u1".into()),
                ..person("U1", Some("T1"))
            },
            sent: Some(1_700_000_001),
            reply_to: br#"{"kind":"message","reader":["U1","T1"]}"#.to_vec(),
            extra: Vec::new(),
        },
        what: What::Message(Message {
            id: "1700000001.000200".into(),
            text: "Have a look at this message.".into(),
            mentions: vec![],
            addressed: true,
            quotes: Some(Quote {
                id: ts.clone(),
                sender: Some(person("U2", Some("T1"))),
                text: "see <this>".into(),
                attachments: vec![],
            }),
            new_thread: Some(ts),
            attachments: vec![],
            group: None,
        }),
    };
    assert_eq!(translate(&payload), items(vec![expected]));
    payload["message"]["thread_ts"] = "1.0".into();
    payload["message"]["files"] = json!([{ "id": "F1", "name": "a.txt", "url_private": "https://files.slack.com/a" }]);
    let item = translate(&payload).items.remove(0);
    assert_eq!(item.origin.conversation, crate::tests::channel(Some("1.0")));
    let What::Message(message) = item.what else {
        panic!("{:?}", item.what)
    };
    let files = message.quotes.map(|quoted| quoted.attachments.len());
    assert_eq!((message.new_thread, files), (None, Some(1)));
    payload["type"] = "workflow_step_edit".into();
    assert_eq!(translate(&payload), nothing());
}

#[test]
fn a_refusal_is_whispered_and_a_decision_is_shown_by_the_view() {
    let api = fake();
    let item = pressed(&api);
    let answer = respond(
        &api,
        &item.origin,
        Verdict::Refused("This is <not> yours to decide.".into()),
    );
    assert_eq!(answer, Ok(Some(taken())));
    assert_eq!(
        respond(&api, &item.origin, Verdict::Taken("Allowed".into())),
        Ok(Some(taken()))
    );
    let whispers: Vec<_> = api
        .wire
        .team
        .messages("C1")
        .into_iter()
        .filter_map(|m| Some((m.ephemeral_to?, m.text)))
        .collect();
    assert_eq!(
        whispers,
        [("U1".to_owned(), "This is &lt;not&gt; yours to decide.".to_owned())]
    );
}

#[test]
fn a_chosen_selection_comes_with_its_submit() {
    let payload = json!({
        "type": "block_actions", "user": { "id": "U1" }, "team": { "id": "T1" },
        "container": { "channel_id": "C1", "message_ts": "1.0" },
        "state": { "values": { "b1": { format!("{SELECT}{TOKEN}"): { "type": "checkboxes",
            "selected_options": [{ "value": "red" }, { "value": "blue" }] } } } },
        "actions": [{ "action_id": format!("{SUBMIT}{TOKEN}"), "value": TOKEN, "action_ts": "2.0" }],
    });
    let values = vec![
        ("selection".to_owned(), "red".to_owned()),
        ("selection".to_owned(), "blue".to_owned()),
    ];
    assert_eq!(
        translate(&payload).items[0].what,
        What::Press(Press {
            token: TOKEN.into(),
            values: Some(values)
        })
    );
    // The choosing itself says nothing yet.
    let mut choosing = payload;
    choosing["actions"][0]["action_id"] = format!("{SELECT}{TOKEN}").into();
    assert_eq!(translate(&choosing).items, []);
}

fn form() -> Form {
    let option = |value: &str| OptionItem {
        label: value.to_uppercase(),
        description: String::new(),
        value: value.into(),
    };
    let field = |name: &str, kind| Field {
        name: name.into(),
        label: "A label".into(),
        kind,
        value: String::new(),
        placeholder: "…".into(),
        required: true,
    };
    Form {
        token: TOKEN.into(),
        title: "A title that is longer than twenty-four".into(),
        fields: vec![
            field("why", FieldKind::Paragraph),
            field("a/b", FieldKind::OneOf(vec![option("x"), option("y")])),
        ],
        submit: "Send".into(),
    }
}

#[test]
fn a_form_of_many_options_has_all_of_them() {
    let api = fake();
    let item = pressed(&api);
    let option = |n: usize| OptionItem {
        label: format!("o{n}"),
        description: String::new(),
        value: format!("v{n}"),
    };
    let all: Vec<OptionItem> = (1..=150).map(option).collect();
    let mut form = form();
    form.fields[0].kind = FieldKind::SomeOf(all.clone());
    form.fields[1].kind = FieldKind::OneOf(all);
    form.fields[1].value = "v150".into();
    respond(&api, &item.origin, Verdict::Open(form)).expect("opened");
    let view = api.wire.team.views().pop().expect("opened");
    for (at, kind) in [(0, "multi_static_select"), (1, "static_select")] {
        let element = &view["blocks"][at]["element"];
        assert_eq!((element["type"].as_str(), element.get("options")), (Some(kind), None));
        let groups = element["option_groups"].as_array().expect("groups");
        let all: Vec<&str> = groups
            .iter()
            .flat_map(|group| group["options"].as_array().expect("options"))
            .filter_map(|option| option["value"].as_str())
            .collect();
        assert_eq!((groups.len(), all.len(), all[0], all[149]), (2, 150, "v1", "v150"));
    }
    assert_eq!(view["blocks"][1]["element"]["initial_option"]["value"], "v150");
}

#[test]
fn a_form_is_opened_sent_corrected_and_closed() {
    let api = fake();
    let item = pressed(&api);
    assert_eq!(respond(&api, &item.origin, Verdict::Open(form())), Ok(Some(taken())));
    let view = api.wire.team.views().pop().expect("opened");
    let state = json!({
        "why": { "value": { "type": "plain_text_input", "value": "because" } },
        "a/b": { "value": { "type": "static_select", "selected_option": { "value": "y" } } },
    });
    let mut items = translate(&sender(&api.wire.team).submit_payload(&view, "U2", &state)).items;
    let sent = items.remove(0);
    let values = vec![
        ("why".to_owned(), "because".to_owned()),
        ("a/b".to_owned(), "y".to_owned()),
    ];
    assert_eq!(
        sent.what,
        What::Press(Press {
            token: TOKEN.into(),
            values: Some(values)
        })
    );
    assert_eq!(sent.origin.conversation, item.origin.conversation);

    let said = |verdict| {
        let answer = respond(&api, &sent.origin, verdict)
            .expect("a word")
            .expect("an answer");
        serde_json::from_slice::<Value>(&answer.body).expect("JSON")
    };
    let errors = json!({ "response_action": "errors", "errors": { "a/b": "not y" } });
    assert_eq!(said(Verdict::Correct(vec![("a/b".into(), "not y".into())])), errors);
    let refused = json!({ "response_action": "errors", "errors": { "why": "too late" } });
    assert_eq!(said(Verdict::Refused("too late".into())), refused);
    assert_eq!(
        said(Verdict::Taken(String::new())),
        json!({ "response_action": "clear" })
    );
    assert_eq!(said(Verdict::Open(form()))["view"]["type"], "modal");
}

#[test]
fn a_form_opened_too_late_is_an_error() {
    let api = fake();
    let item = pressed(&api);
    api.wire.team.trouble(
        Some("views.open"),
        botyard_fakes::slack::Trouble::Error("expired_trigger_id".into()),
    );
    let late = respond(&api, &item.origin, Verdict::Open(form()));
    assert_eq!(late, Err(Error::Rejected("slack says expired_trigger_id".into())));
}

#[test]
fn the_future_is_skipped() {
    for payload in [
        json!({ "type": "shortcut" }),
        json!({ "type": "block_actions", "actions": [] }),
        json!(null),
        json!({ "type": "block_actions", "actions": [{ "action_id": "somebody-elses", "value": "x" }], "user": { "id": "U1" } }),
        json!({ "type": "view_submission", "view": { "callback_id": "by:x", "private_metadata": "{" } }),
    ] {
        assert_eq!(translate(&payload), nothing(), "{payload}");
    }
}
