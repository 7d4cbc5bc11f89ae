use botyard_fakes::discord::{ANN, BEN, DIRECT, GENERAL, GUILD, World};
use botyard_sdk::types::{Field, FieldKind, Form, OptionItem};

use super::*;
use crate::describe::commands;
use crate::event::tests::{EMBEDS, embeds};

const NOW: u32 = 1_800_000_000;

fn world() -> World {
    let world = World::new();
    let body = Value::from(commands(&[])).to_string().into_bytes();
    let reply = world.request(&botyard_fakes::discord::Request {
        method: "PUT".into(),
        target: format!("/api/v10/applications/{}/commands", botyard_fakes::discord::BOT),
        authorization: Some(format!("Bot {}", botyard_fakes::discord::TOKEN)),
        content_type: Some("application/json".into()),
        body,
    });
    assert_eq!(reply.status, 200);
    world
}

fn body(answer: Option<Answer>) -> Value {
    serde_json::from_slice(&answer.expect("an answer").body).expect("JSON")
}

fn only(translated: &Translated) -> &Item {
    assert_eq!(translated.items.len(), 1);
    &translated.items[0]
}

fn form() -> Form {
    let option = |label: &str| OptionItem {
        label: label.into(),
        description: String::new(),
        value: label.to_lowercase(),
    };
    Form {
        token: "formtoken".into(),
        title: "Why".into(),
        fields: vec![
            Field {
                name: "why".into(),
                label: "A label that is much longer than the forty-five characters".into(),
                kind: FieldKind::Paragraph,
                value: "because".into(),
                placeholder: "…".into(),
                required: true,
            },
            Field {
                name: "sizes".into(),
                label: "Sizes".into(),
                kind: FieldKind::SomeOf(vec![option("Small"), option("Large")]),
                value: "large".into(),
                placeholder: String::new(),
                required: false,
            },
        ],
        submit: "Send".into(),
    }
}

#[test]
fn a_ping_is_answered_and_nothing_else_comes_of_it() {
    let read = translate(&json!({ "type": 1, "id": "1", "token": "t" }), NOW);
    assert_eq!((read.items.len(), body(read.answer)), (0, json!({ "type": 1 })));
    assert_eq!(
        body(translate(&json!({ "type": 4 }), NOW).answer),
        json!({ "type": 8, "data": { "choices": [] } })
    );
    assert_eq!(translate(&json!({ "type": 99 }), NOW), nothing());
}

#[test]
fn a_question_by_command_is_a_message_deferred_for_all() {
    let told = world().slash(GENERAL, ANN, "ask", &[("question", "what is <@5> up to")]);
    let read = translate(&told, NOW);
    assert_eq!(body(read.answer.clone()), json!({ "type": 5 }));
    let item = only(&read);
    let conversation = Conversation {
        tenant: Some(GUILD.into()),
        channel: GENERAL.into(),
        thread: None,
        direct: false,
    };
    assert_eq!(item.origin.conversation, conversation);
    assert_eq!(
        (item.origin.sender.id.as_str(), item.origin.sender.locale.as_deref()),
        (ANN, Some("en-GB"))
    );
    let What::Message(message) = &item.what else {
        panic!("{item:?}")
    };
    assert_eq!((message.text.as_str(), message.addressed), ("what is <@5> up to", true));
    let reply: ReplyTo = serde_json::from_slice(&item.origin.reply_to).expect("ours");
    let ticket = reply.interaction.expect("a ticket");
    assert_eq!(
        (ticket.kind, ticket.at, ticket.token.as_str()),
        (Kind::Ask, NOW, told["token"].as_str().expect("one"))
    );
}

#[test]
fn the_menu_of_a_message_asks_about_it() {
    let world = world();
    let id = world.say(DIRECT, ANN, "the build is red");
    let read = translate(&world.menu(&id, ANN, ASK_ABOUT), NOW);
    let item = only(&read);
    assert!(item.origin.conversation.direct);
    let What::Message(message) = &item.what else {
        panic!("{item:?}")
    };
    let quoted = message.quotes.as_ref().expect("it is about one");
    let sender = quoted.sender.as_ref().map(|who| who.id.as_str());
    assert_eq!(
        (quoted.id.as_str(), sender, quoted.text.as_str()),
        (id.as_str(), Some(ANN), "the build is red")
    );
    // An alert that is nothing but an embed is not about nothing.
    let id = world.say(DIRECT, ANN, "");
    let mut told = world.menu(&id, ANN, ASK_ABOUT);
    let alert = &mut told["data"]["resolved"]["messages"][&id];
    alert["embeds"] = embeds();
    alert["author"]["bot"] = true.into();
    let read = translate(&told, NOW);
    let What::Message(message) = &only(&read).what else {
        panic!("{read:?}")
    };
    assert_eq!(message.text, "Have a look at this message.");
    let quoted = message
        .quotes
        .as_ref()
        .map(|quoted| (quoted.id.as_str(), quoted.text.as_str()));
    assert_eq!(quoted, Some((id.as_str(), EMBEDS)));
}

#[test]
fn a_command_in_a_thread_is_at_home_in_its_channel() {
    let mut told = world().slash(GENERAL, BEN, "ask", &[("question", "x")]);
    told["data"] = json!({ "name": "stop", "type": 1, "options": [{ "name": "a", "type": 4, "value": 3 }, { "name": "b", "type": 11, "value": "7" }],
        "resolved": { "attachments": { "7": { "id": "7", "filename": "a.txt", "url": "https://cdn/a" } } } });
    told["channel"] = json!({ "id": GENERAL, "type": 11, "parent_id": "5" });
    let read = translate(&told, NOW);
    let item = only(&read);
    assert_eq!(
        (
            item.origin.conversation.channel.as_str(),
            item.origin.conversation.thread.as_deref()
        ),
        ("5", Some(GENERAL))
    );
    let What::Command(command) = &item.what else {
        panic!("{item:?}")
    };
    assert_eq!(
        (
            command.name.as_str(),
            command.arguments.as_str(),
            command.attachments.len()
        ),
        ("stop", "3", 1)
    );
    let private = json!({ "type": 5, "data": { "flags": 64 } });
    assert_eq!(body(respond(&item.origin, Verdict::Later(true))), private);
    assert_eq!(
        body(read.answer.clone()),
        private,
        "and so it is without a word in time"
    );
    assert_eq!(body(respond(&item.origin, Verdict::Later(false))), json!({ "type": 5 }));
    let refused = json!({ "type": 4, "data": { "content": "No.", "flags": 64, "allowed_mentions": { "parse": [] } } });
    assert_eq!(body(respond(&item.origin, Verdict::Refused("No.".into()))), refused);
}

fn pressed(data: &Value) -> Translated {
    let mut told = world().slash(GENERAL, ANN, "ask", &[("question", "x")]);
    told["type"] = 3.into();
    told["data"] = data.clone();
    told["message"] = json!({ "id": "1" });
    translate(&told, NOW)
}

fn press_of(read: &Translated) -> (String, Option<Vec<(String, String)>>) {
    match &only(read).what {
        What::Press(press) => (press.token.clone(), press.values.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn buttons_lists_and_their_words() {
    let read = pressed(&json!({ "custom_id": "tok-1_A", "component_type": 2 }));
    assert_eq!(press_of(&read), ("tok-1_A".into(), None));
    assert_eq!(body(read.answer.clone()), json!({ "type": 6 }));
    let origin = &only(&read).origin;
    assert_eq!(
        body(respond(origin, Verdict::Taken("Allowed".into()))),
        json!({ "type": 6 })
    );
    let late = body(respond(origin, Verdict::Refused("Too late.".into())));
    assert_eq!(
        (late["type"].as_u64(), late["data"]["flags"].as_u64()),
        (Some(4), Some(64))
    );
    let wrong = body(respond(
        origin,
        Verdict::Correct(vec![("a".into(), "No A.".into()), ("b".into(), "No B.".into())]),
    ));
    assert_eq!(wrong["data"]["content"], "No A.\nNo B.");
    let read = pressed(&json!({ "custom_id": "select:tok:0", "component_type": 3, "values": ["x", "y"] }));
    let both = vec![
        ("selection".to_owned(), "x".to_owned()),
        ("selection".to_owned(), "y".to_owned()),
    ];
    assert_eq!(press_of(&read), ("tok".into(), Some(both)));
    let read = pressed(&json!({ "custom_id": "pick:0:t0", "component_type": 3, "values": ["t7"] }));
    assert_eq!(press_of(&read), ("t7".into(), None));
}

#[test]
fn a_form_is_a_modal_that_comes_back_with_its_values() {
    let world = world();
    let read = pressed(&json!({ "custom_id": "formtoken", "component_type": 2 }));
    let opened = body(respond(&only(&read).origin, Verdict::Open(form())));
    assert_eq!(
        opened,
        json!({ "type": 9, "data": {
            "custom_id": "formtoken", "title": "Why", "components": [
                { "type": 18, "label": "A label that is much longer than the forty-f…",
                  "description": "A label that is much longer than the forty-five characters",
                  "component": { "type": 4, "style": 2, "max_length": 4000, "value": "because", "placeholder": "…",
                                 "custom_id": "why", "required": true } },
                { "type": 18, "label": "Sizes",
                  "component": { "type": 3, "min_values": 0, "max_values": 2, "custom_id": "sizes", "required": false,
                                 "options": [{ "label": "Small", "value": "small" },
                                             { "label": "Large", "value": "large", "default": true }] } } ] } })
    );
    // The fake takes it as Discord would, and sends what stands in it.
    let told = world.slash(GENERAL, ANN, "ask", &[("question", "x")]);
    let reply = world.request(&botyard_fakes::discord::Request {
        method: "POST".into(),
        target: format!(
            "/api/v10/interactions/{}/{}/callback",
            told["id"].as_str().expect("one"),
            told["token"].as_str().expect("one")
        ),
        content_type: Some("application/json".into()),
        body: opened.to_string().into_bytes(),
        ..Default::default()
    });
    assert_eq!(reply.status, 204, "{}", String::from_utf8_lossy(&reply.body));
    let read = translate(
        &world.submit(ANN, &[("why", &["so"]), ("sizes", &["small", "large"])]),
        NOW,
    );
    let value = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        press_of(&read),
        (
            "formtoken".into(),
            Some(vec![
                value("why", "so"),
                value("sizes", "small"),
                value("sizes", "large")
            ])
        )
    );
    // Rows of old are read too.
    let rows = [json!({ "type": 1, "components": [{ "type": 4, "custom_id": "a", "value": "b" }] })];
    assert_eq!(form::values(&rows), [value("a", "b")]);
}

#[test]
fn a_form_that_does_not_fit_is_told() {
    let mut large = form();
    large.fields = (0..7)
        .map(|at| Field {
            name: format!("f{at}"),
            ..large.fields[0].clone()
        })
        .collect();
    let read = pressed(&json!({ "custom_id": "formtoken", "component_type": 2 }));
    let told = body(respond(&only(&read).origin, Verdict::Open(large)));
    assert_eq!(told["type"], 4);
    let again = pressed(&json!({ "custom_id": "formtoken", "component_type": 2 }));
    let mut origin = only(&again).origin.clone();
    let mut reply: ReplyTo = serde_json::from_slice(&origin.reply_to).expect("ours");
    reply.interaction.as_mut().expect("a ticket").kind = Kind::Form;
    origin.reply_to = reply.bytes();
    assert_eq!(
        body(respond(&origin, Verdict::Open(form())))["type"],
        4,
        "no modal answers a modal"
    );
}
