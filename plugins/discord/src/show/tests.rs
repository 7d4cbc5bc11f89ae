use botyard_fakes::discord::{ANN, DIRECT, GENERAL, Message, RANDOM, Trouble, VOICE};
use botyard_sdk::account::CommandSpec;
use botyard_sdk::delivery::StepState;
use botyard_sdk::manifest::Transport;
use botyard_sdk::serde_json::Value;
use botyard_sdk::types::FileRef;

use super::*;
use crate::interactive;
use crate::tests::{Fake, channel, direct, fake, now};
use crate::view::tests::{step, view};

fn target(conversation: Conversation, reply: &ReplyTo) -> Target {
    Target {
        conversation,
        reply_to: reply.bytes(),
        private_to: None,
        nonce: "turn1abcdefghijklmno".into(),
        memory: None,
    }
}

/// Shows a view with the memory that is newest, as the host does it.
fn bring(api: &Api<Fake>, view: &View, target: &Target) -> Result<(), Error> {
    let target = Target {
        memory: api.wire.saved.borrow().last().cloned(),
        ..target.clone()
    };
    show(api, view, &target)
}

fn text(state: State, words: &str) -> View {
    view(state, vec![Part::Text(words.into())])
}

fn read(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::read).collect()
}

fn asked(api: &Api<Fake>) -> (Target, String) {
    let question = api.wire.world.mention(GENERAL, ANN, "fix it");
    let reply = ReplyTo {
        message: Some(question.clone()),
        title: Some("fix it".into()),
        interaction: None,
    };
    (target(channel(Some(&question)), &reply), question)
}

/// A question by command, as the adapter reads it, with the callback given.
fn interaction(api: &Api<Fake>, private: bool) -> Target {
    let (target, told, answer) = slash(api, "ask", private);
    callback(api, &told, &answer);
    target
}

/// A command as the adapter reads it: where its answer goes, what Discord told, and the callback that is to be given.
fn slash(api: &Api<Fake>, name: &str, private: bool) -> (Target, Value, Value) {
    let status = CommandSpec {
        name: "status".into(),
        description: "How it is".into(),
        argument: None,
    };
    crate::describe::announce(api, &[status]).expect("commands");
    let told = api.wire.world.slash(GENERAL, ANN, name, &[]);
    let read = interactive::translate(&told, now());
    let origin = &read.items[0].origin;
    let answer = serde_json::from_slice(&read.answer.expect("deferred").body).expect("JSON");
    let target = Target {
        private_to: private.then(|| ANN.to_owned()),
        ..target(
            origin.conversation.clone(),
            &serde_json::from_slice(&origin.reply_to).expect("ours"),
        )
    };
    (target, told, answer)
}

fn callback(api: &Api<Fake>, told: &Value, answer: &Value) {
    let part = |name: &str| told[name].as_str().expect("a text").to_owned();
    let reply = api.wire.world.request(&botyard_fakes::discord::Request {
        method: "POST".into(),
        target: format!("/api/v10/interactions/{}/{}/callback", part("id"), part("token")),
        content_type: Some("application/json".into()),
        body: answer.to_string().into_bytes(),
        ..Default::default()
    });
    assert_eq!(reply.status, 204, "{}", String::from_utf8_lossy(&reply.body));
}

#[test]
fn an_answer_opens_a_thread_streams_and_ends() {
    let api = fake();
    let (target, question) = asked(&api);
    bring(&api, &view(State::Running, Vec::new()), &target).expect("shown");
    assert_eq!(
        api.wire.world.typing(),
        std::slice::from_ref(&question),
        "at first it types"
    );
    assert_eq!(api.wire.world.threads(GENERAL)[0].1.name, "fix it");
    bring(&api, &text(State::Running, "I"), &target).expect("shown");
    bring(&api, &text(State::Running, "I see"), &target).expect("shown");
    bring(&api, &text(State::Done, "I see it"), &target).expect("shown");
    bring(&api, &text(State::Done, "I see it"), &target).expect("shown");
    let replies = api.wire.world.replies(&question);
    assert_eq!(read(&replies), ["I see it"]);
    assert_eq!(
        (replies[0].edits, replies[0].nonce.as_deref()),
        (2, Some("turn1abcdefghijklmno-0"))
    );
    assert_eq!(api.wire.posted.borrow().clone(), [replies[0].id.clone()]);
    assert_eq!(api.wire.world.replies(GENERAL), [], "the channel stays clean");
}

#[test]
fn who_thinks_for_long_can_be_stopped() {
    let api = fake();
    let target = target(direct(), &ReplyTo::default());
    bring(&api, &view(State::Running, Vec::new()), &target).expect("shown");
    assert_eq!(api.wire.world.replies(DIRECT), []);
    bring(&api, &view(State::Running, Vec::new()), &target).expect("shown");
    assert_eq!(read(&api.wire.world.replies(DIRECT)), ["-# ⏳ Working…\n[Stop]"]);
}

#[test]
fn without_the_right_to_make_threads_it_replies() {
    for (code, status) in [(50013, 403), (50024, 400), (160_006, 400)] {
        let api = fake();
        let (target, question) = asked(&api);
        api.wire.world.trouble(Some("/threads"), Trouble::Code(status, code));
        bring(&api, &text(State::Done, "here"), &target).expect("shown");
        let replies = api.wire.world.replies(GENERAL);
        assert_eq!(
            (read(&replies), replies[0].answers.clone()),
            (vec!["here".to_owned()], Some(question))
        );
        assert_eq!(
            api.wire.moved.borrow().clone(),
            [channel(None)],
            "the turn lives in the channel"
        );
    }
    // In a voice channel nobody tries; and a thread that is there already is used.
    let api = fake();
    let place = Conversation {
        channel: VOICE.into(),
        ..channel(None)
    };
    bring(&api, &text(State::Done, "x"), &target(place, &ReplyTo::default())).expect("shown");
    let (target, question) = asked(&api);
    api.make_thread(GENERAL, &question, "there").expect("made");
    api.wire.saved.borrow_mut().clear();
    bring(&api, &text(State::Done, "y"), &target).expect("shown");
    assert_eq!(read(&api.wire.world.replies(&question)), ["y"]);
}

#[test]
fn a_lost_answer_never_makes_two_messages() {
    let api = fake();
    let target = target(direct(), &ReplyTo::default());
    for trouble in [Trouble::Cut, Trouble::StatusAfter(502)] {
        api.wire.world.trouble(Some("POST"), trouble);
        assert!(matches!(
            bring(&api, &text(State::Running, "once"), &target),
            Err(Error::Unavailable(_))
        ));
    }
    bring(&api, &text(State::Done, "once and for all"), &target).expect("shown");
    assert_eq!(
        read(&api.wire.world.replies(DIRECT)),
        ["once and for all"],
        "the words of now, in the message of then"
    );
}

#[test]
fn after_the_nonce_is_forgotten_the_message_is_looked_for() {
    for done in [true, false] {
        let api = fake();
        let target = target(direct(), &ReplyTo::default());
        api.wire
            .world
            .trouble(Some("POST"), if done { Trouble::Cut } else { Trouble::CutBefore });
        assert!(bring(&api, &text(State::Running, "once"), &target).is_err());
        api.wire.later.set(600);
        bring(&api, &text(State::Done, "twice"), &target).expect("shown");
        assert_eq!(read(&api.wire.world.replies(DIRECT)), ["twice"]);
        let looked = api
            .wire
            .world
            .called()
            .iter()
            .filter(|name| name.starts_with("GET"))
            .count();
        assert_eq!(looked, 1);
    }
}

#[test]
fn a_crash_between_any_two_calls_costs_nothing() {
    let turn = |state| {
        let words: String = (0..60)
            .map(|n| format!("Line {n} with a few words to fill it.\n\n"))
            .collect();
        text(state, &words)
    };
    let mut whole = 0;
    for crash in 0.. {
        let api = fake();
        let (target, question) = asked(&api);
        bring(&api, &text(State::Running, "first words"), &target).expect("shown");
        // The process ends after so many saves: what was saved later is gone, what was posted is not.
        bring(&api, &turn(State::Running), &target).expect("shown");
        let saves = api.wire.saved.borrow().len();
        if crash >= saves {
            break;
        }
        api.wire.saved.borrow_mut().truncate(saves - crash);
        bring(&api, &turn(State::Done), &target).expect("shown");
        let replies = api.wire.world.replies(&question);
        whole = whole.max(replies.len());
        let all: String = read(&replies).concat();
        for n in 0..60 {
            assert_eq!(
                all.matches(&format!("Line {n} ")).count(),
                1,
                "after {crash} lost saves: {all}"
            );
        }
    }
    assert!(whole > 1);
}

#[test]
fn an_archived_thread_is_brought_back_and_a_locked_one_is_told() {
    let api = fake();
    let (target, question) = asked(&api);
    bring(&api, &text(State::Running, "a"), &target).expect("shown");
    api.wire.world.channel(&question, |thread| thread.archived = true);
    bring(&api, &text(State::Done, "ab"), &target).expect("shown");
    assert_eq!(read(&api.wire.world.replies(&question)), ["ab"]);
    let (target, question) = asked(&api);
    api.wire.saved.borrow_mut().clear();
    api.make_thread(GENERAL, &question, "x").expect("made");
    api.wire.world.channel(&question, |thread| thread.locked = true);
    let told = bring(&api, &text(State::Done, "c"), &target);
    assert_eq!(
        told,
        Err(Error::Rejected(
            "this thread is locked: only moderators may write in it".into()
        ))
    );
}

#[test]
fn lost_rights_and_deleted_places_are_one_clear_line() {
    let api = fake();
    let random = Conversation {
        channel: RANDOM.into(),
        ..channel(None)
    };
    let target = target(random, &ReplyTo::default());
    let told = |change: fn(&mut botyard_fakes::discord::Channel)| {
        api.wire.saved.borrow_mut().clear();
        api.wire.world.channel(RANDOM, change);
        bring(&api, &text(State::Done, "x"), &target).expect_err("refused")
    };
    assert!(matches!(told(|c| c.silent = true), Error::Rejected(why) if why.contains("Send Messages")));
    assert!(matches!(told(|c| c.hidden = true), Error::Rejected(why) if why.contains("View Channel")));
    let gone = Target {
        conversation: Conversation {
            channel: "209".into(),
            ..channel(None)
        },
        ..target.clone()
    };
    api.wire.saved.borrow_mut().clear();
    let told = bring(&api, &text(State::Done, "x"), &gone);
    assert_eq!(told, Err(Error::Gone("the channel is not there any more".into())));
}

#[test]
fn limits_and_trouble_of_the_vendor_are_passed_on() {
    let api = fake();
    let target = target(direct(), &ReplyTo::default());
    let told = |trouble: Trouble| {
        api.wire.saved.borrow_mut().clear();
        api.wire.world.trouble(Some("POST"), trouble);
        bring(&api, &text(State::Done, "x"), &target).expect_err("refused")
    };
    assert_eq!(
        told(Trouble::RateLimited { millis: 1234 }),
        Error::RateLimited(Some(1234))
    );
    assert!(matches!(told(Trouble::Status(503)), Error::Unavailable(_)));
    assert!(matches!(told(Trouble::Code(401, 0)), Error::Unauthorized(_)));
    assert!(matches!(told(Trouble::Code(400, 20016)), Error::RateLimited(None)));
    assert!(matches!(told(Trouble::Code(403, 50007)), Error::Gone(_)));
    assert!(matches!(told(Trouble::Code(400, 99999)), Error::Rejected(_)));
    // A message that takes no more edits: the answer comes as a new one.
    api.wire.saved.borrow_mut().clear();
    let fresh = Target {
        nonce: "turn2".into(),
        ..target.clone()
    };
    bring(&api, &text(State::Running, "old"), &fresh).expect("shown");
    api.wire.world.trouble(Some("PATCH"), Trouble::Code(400, 30046));
    bring(&api, &text(State::Done, "old and new"), &fresh).expect("shown");
    assert!(read(&api.wire.world.replies(DIRECT)).contains(&"old and new".to_owned()));
}

#[test]
fn a_deferred_answer_is_filled_then_changed_by_ordinary_means() {
    let api = fake();
    let target = interaction(&api, false);
    bring(&api, &view(State::Running, Vec::new()), &target).expect("shown");
    assert_eq!(
        api.wire.world.typing(),
        Vec::<String>::new(),
        "Discord shows that it thinks"
    );
    bring(&api, &text(State::Running, "I"), &target).expect("shown");
    assert_eq!(read(&api.wire.world.replies(GENERAL)), ["I\n[Stop]"]);
    api.wire.world.expire_interactions();
    bring(&api, &text(State::Running, "I see"), &target).expect("shown");
    bring(&api, &text(State::Done, "I see it"), &target).expect("shown");
    let replies = api.wire.world.replies(GENERAL);
    assert_eq!((read(&replies), replies[0].edits), (vec!["I see it".to_owned()], 3));
}

#[test]
fn an_expired_ticket_falls_back_to_a_message() {
    let api = fake();
    let target = interaction(&api, false);
    api.wire.world.expire_interactions();
    bring(&api, &text(State::Done, "late"), &target).expect("shown");
    let found: Vec<Message> = api
        .wire
        .world
        .replies(GENERAL)
        .into_iter()
        .filter(|message| message.read() == "late")
        .collect();
    assert_eq!(found.len(), 1);
    // By the clock alone: no call with a ticket that must be over.
    let api = fake();
    let target = interaction(&api, false);
    api.wire.later.set(15 * 60);
    bring(&api, &text(State::Done, "late"), &target).expect("shown");
    assert!(!api.wire.world.called().iter().any(|name| name.contains("/webhooks/")));
}

#[test]
fn a_whisper_is_for_one_person_alone() {
    let api = fake();
    let target = interaction(&api, true);
    bring(&api, &text(State::Done, "for you"), &target).expect("shown");
    let all = api.wire.world.messages(GENERAL);
    let seen: Vec<(String, Option<String>)> = all.iter().map(|m| (m.read(), m.ephemeral_to.clone())).collect();
    assert_eq!(
        seen,
        [("for you".to_owned(), Some(ANN.to_owned()))],
        "the public answer was taken away"
    );
    // Without an interaction it is said directly.
    let api = fake();
    let target = Target {
        private_to: Some(ANN.into()),
        ..self::target(channel(None), &ReplyTo::default())
    };
    bring(&api, &text(State::Done, "for you"), &target).expect("shown");
    assert_eq!(read(&api.wire.world.replies(DIRECT)), ["for you"]);
    assert_eq!(api.wire.world.replies(GENERAL), []);
}

#[test]
fn a_private_answer_never_stands_in_a_public_deferral() {
    // By the adapter's word, and by the fixed word of a webhook, which knows no command.
    let fixed: Value = match &crate::describe::about().modes[2].transports[0] {
        Transport::Webhook(routes) => serde_json::from_slice(&routes[0].fallback.body).expect("JSON"),
        other => panic!("{other:?}"),
    };
    for (by_host, calls) in [(false, "PATCH"), (true, "DELETE POST")] {
        let api = fake();
        let (target, told, answer) = slash(&api, "status", true);
        callback(&api, &told, if by_host { &fixed } else { &answer });
        let before = api.wire.world.called().len();
        bring(&api, &text(State::Done, "for you"), &target).expect("shown");
        let all = api.wire.world.messages(GENERAL);
        let seen: Vec<(String, Option<String>)> = all.iter().map(|m| (m.read(), m.ephemeral_to.clone())).collect();
        assert_eq!(seen, [("for you".to_owned(), Some(ANN.to_owned()))]);
        let called = api.wire.world.called()[before..].to_vec();
        let methods: Vec<&str> = called.iter().filter_map(|name| name.split(' ').next()).collect();
        assert_eq!(methods.join(" "), format!("GET {calls}"));
    }
}

#[test]
fn a_show_that_comes_before_the_callback_waits_for_it() {
    for private in [false, true] {
        let api = fake();
        let (target, told, answer) = slash(&api, "ask", private);
        let early = bring(&api, &text(State::Done, "here"), &target);
        assert_eq!(early, Err(Error::RateLimited(Some(500))));
        callback(&api, &told, &answer);
        bring(&api, &text(State::Done, "here"), &target).expect("shown");
        let all = api.wire.world.messages(GENERAL);
        let seen: Vec<(String, bool)> = all.iter().map(|m| (m.read(), m.ephemeral_to.is_some())).collect();
        assert_eq!(seen, [("here".to_owned(), private)]);
    }
    // A callback that never comes is not waited for.
    let api = fake();
    let (target, ..) = slash(&api, "ask", false);
    api.wire.later.set(EARLY + 2);
    bring(&api, &text(State::Done, "late"), &target).expect("shown");
    assert_eq!(read(&api.wire.world.replies(GENERAL)), ["late"]);
}

#[test]
fn what_may_have_been_whispered_is_not_whispered_again() {
    let api = fake();
    let target = interaction(&api, true);
    api.wire.world.trouble(Some("POST"), Trouble::StatusAfter(502));
    let told = bring(&api, &text(State::Done, "for you"), &target);
    assert!(matches!(told, Err(Error::Ambiguous(_))), "{told:?}");
}

#[test]
fn a_message_without_words_is_never_taken_for_another_and_ends_no_turn() {
    let steps = |state| View {
        stop_token: None,
        ..view(state, vec![Part::Step(step("Read it", StepState::Running))])
    };
    for others in [true, false] {
        let api = fake();
        let target = target(direct(), &ReplyTo::default());
        api.wire.world.trouble(Some("POST"), Trouble::CutBefore);
        assert!(bring(&api, &steps(State::Running), &target).is_err());
        if others {
            let file = FileRef {
                id: "f1".into(),
                name: "t.csv".into(),
                media_type: "text/csv".into(),
                size_bytes: 8,
            };
            api.upload(DIRECT, &file, "another").expect("a message without words");
        }
        api.wire.later.set(600);
        bring(&api, &steps(State::Done), &target).expect("the end is shown");
        let files: Vec<usize> = api.wire.world.replies(DIRECT).iter().map(|m| m.files.len()).collect();
        assert_eq!(files.last(), Some(&0), "its own message");
        assert_eq!(
            files.len(),
            1 + usize::from(others),
            "and that of another is left alone"
        );
    }
}

#[test]
fn a_message_without_words_is_found_by_its_button() {
    let steps = |state| View {
        stop_token: Some("stop-1".into()),
        ..view(state, vec![Part::Step(step("Read it", StepState::Running))])
    };
    let api = fake();
    let target = target(direct(), &ReplyTo::default());
    api.wire.world.trouble(Some("POST"), Trouble::Cut);
    assert!(bring(&api, &steps(State::Running), &target).is_err());
    api.wire.later.set(600);
    bring(&api, &steps(State::Done), &target).expect("shown");
    assert_eq!(api.wire.world.replies(DIRECT).len(), 1, "it stood there");
}

#[test]
fn a_clear_refusal_of_a_later_try_does_not_forget_the_first() {
    let api = fake();
    let target = target(direct(), &ReplyTo::default());
    api.wire.world.trouble(Some("POST"), Trouble::Cut);
    assert!(bring(&api, &text(State::Running, "once"), &target).is_err());
    api.wire.world.trouble(Some("POST"), Trouble::Status(403));
    assert!(bring(&api, &text(State::Running, "once"), &target).is_err());
    api.wire.later.set(600);
    bring(&api, &text(State::Done, "once and for all"), &target).expect("shown");
    assert_eq!(read(&api.wire.world.replies(DIRECT)), ["once and for all"]);
    let called = api.wire.world.called();
    assert!(
        called.iter().any(|name| name.starts_with("GET")),
        "it is looked for: {called:?}"
    );
}

#[test]
fn files_are_sent_once_and_one_that_is_too_large_is_told() {
    let api = fake();
    let target = target(direct(), &ReplyTo::default());
    let file = FileRef {
        id: "f1".into(),
        name: "t.csv".into(),
        media_type: "text/csv".into(),
        size_bytes: 8,
    };
    let turn = view(State::Done, vec![Part::Text("here".into()), Part::File(file.clone())]);
    api.wire
        .world
        .trouble(Some("POST"), Trouble::Slow(std::time::Duration::ZERO));
    api.wire.world.trouble(Some("POST"), Trouble::StatusAfter(500));
    assert!(bring(&api, &turn, &target).is_err(), "the answer to the upload is lost");
    bring(&api, &turn, &target).expect("shown");
    bring(&api, &turn, &target).expect("shown");
    let files: Vec<(String, Vec<u8>)> = api
        .wire
        .world
        .replies(DIRECT)
        .into_iter()
        .flat_map(|m| m.files)
        .collect();
    assert_eq!(files, [("t.csv".to_owned(), b"a,b\n1,2\n".to_vec())]);
    let large = view(
        State::Done,
        vec![Part::File(FileRef {
            id: "f2".into(),
            ..file
        })],
    );
    api.wire.files.borrow_mut().insert("f2".into(), vec![0; (10 << 20) + 1]);
    api.wire.saved.borrow_mut().clear();
    let fresh = Target {
        nonce: "turn2".into(),
        ..target
    };
    bring(&api, &large, &fresh).expect("shown");
    let last = api.wire.world.replies(DIRECT).pop().expect("a word");
    assert_eq!(last.read(), "⚠️ The file `t.csv` is too large for Discord (8 bytes).");
}

#[test]
fn after_the_nonce_is_forgotten_the_file_is_looked_for() {
    for done in [true, false] {
        let api = fake();
        let target = target(direct(), &ReplyTo::default());
        let file = FileRef {
            id: "f1".into(),
            name: "my t.csv".into(),
            media_type: "text/csv".into(),
            size_bytes: 8,
        };
        let turn = view(State::Done, vec![Part::Text("here".into()), Part::File(file)]);
        let posts = Some("POST");
        api.wire.world.trouble(posts, Trouble::Nothing);
        api.wire
            .world
            .trouble(posts, if done { Trouble::Cut } else { Trouble::CutBefore });
        assert!(matches!(bring(&api, &turn, &target), Err(Error::Unavailable(_))));
        api.wire.later.set(600);
        let before = api.wire.world.called().len();
        bring(&api, &turn, &target).expect("shown");
        bring(&api, &turn, &target).expect("shown");
        let called = api.wire.world.called().split_off(before);
        let methods: Vec<&str> = called.iter().filter_map(|name| name.split(' ').next()).collect();
        assert_eq!(methods, if done { vec!["GET"] } else { vec!["GET", "POST"] });
        assert_eq!(api.wire.world.files().len(), 1);
        assert_eq!(api.wire.posted.borrow().len(), 2);
    }
}

#[test]
fn a_very_long_answer_comes_as_a_file_once() {
    let api = fake();
    let target = target(direct(), &ReplyTo::default());
    let words: String = (0..400)
        .map(|n| format!("Line {n} of a very long answer with some words in it.\n\n"))
        .collect();
    bring(&api, &text(State::Running, &words), &target).expect("shown");
    bring(&api, &text(State::Done, &words), &target).expect("shown");
    bring(&api, &text(State::Done, &words), &target).expect("shown");
    let files: Vec<(String, Vec<u8>)> = api
        .wire
        .world
        .replies(DIRECT)
        .into_iter()
        .flat_map(|m| m.files)
        .collect();
    assert_eq!(
        files,
        [(WHOLE.to_owned(), (words.trim_end().to_owned() + "\n").into_bytes())]
    );
}

#[test]
fn nobody_is_pinged_whatever_the_agent_writes() {
    let api = fake();
    let target = target(channel(None), &ReplyTo::default());
    bring(&api, &text(State::Done, &format!("@everyone <@{ANN}> @here")), &target).expect("shown");
    let reply = api.wire.world.replies(GENERAL).pop().expect("a reply");
    assert_eq!(
        (reply.read(), reply.pinged),
        (format!("@everyone <@{ANN}> @here"), Vec::new())
    );
}

#[test]
fn what_became_shorter_is_taken_back() {
    let api = fake();
    let target = target(direct(), &ReplyTo::default());
    let words: String = (0..60)
        .map(|n| format!("Line {n} with a few words to fill it.\n\n"))
        .collect();
    bring(&api, &text(State::Running, &words), &target).expect("shown");
    assert!(api.wire.world.replies(DIRECT).len() > 1);
    bring(&api, &text(State::Done, "short"), &target).expect("shown");
    assert_eq!(read(&api.wire.world.replies(DIRECT)), ["short"]);
}
