//! Whole conversations against the strict fake, with everything that can go wrong on the way.

use botyard_fakes::feishu::{ANN, DIRECT, GROUP, Message, Trouble};
use botyard_sdk::serde_json::Value;
use botyard_sdk::types::Conversation;

use super::message::STREAM_ENDS;
use super::*;
use crate::tests::{Fake, direct, fake, file, group};
use crate::view::tests::{ask, text, view};

/// A target under a person's message; shows go through the host's memory, as after a crash.
struct Turn {
    api: Api<Fake>,
    question: Message,
    conversation: Conversation,
    private_to: Option<String>,
}

/// In a thread of the group.
fn turn() -> Turn {
    let api = fake();
    let question = api.wire.tenant.write(GROUP, ANN, "@_user_1 go");
    Turn {
        conversation: group(Some(&question.id)),
        api,
        question,
        private_to: None,
    }
}

impl Turn {
    fn show(&self, view: &View) -> Result<(), Error> {
        let target = Target {
            conversation: self.conversation.clone(),
            reply_to: ReplyTo::Message(self.question.id.clone()).bytes(),
            private_to: self.private_to.clone(),
            nonce: "n1".into(),
            memory: self.api.wire.saved.borrow().clone(),
        };
        show(&self.api, view, &target)
    }

    fn shown(&self, state: State, parts: Vec<Part>) {
        self.show(&view(state, parts)).expect("it is shown");
    }

    fn memory(&self) -> Memory {
        serde_json::from_slice(self.api.wire.saved.borrow().as_ref().expect("saved")).expect("a memory")
    }

    fn replies(&self) -> Vec<Message> {
        self.api.wire.tenant.replies(&self.conversation.channel)
    }

    fn reads(&self) -> Vec<String> {
        self.replies().iter().map(Message::read).collect()
    }

    /// Calls since the last time, ids as `*`.
    fn called(&self, since: usize) -> Vec<String> {
        let star = |part: &str| {
            let id = part.contains('_') || part.bytes().all(|byte| byte.is_ascii_digit());
            if id && part != "tenant_access_token" {
                "*".to_owned()
            } else {
                part.to_owned()
            }
        };
        let all = self.api.wire.tenant.called().into_iter().skip(since);
        all.filter(|call| !call.contains("/auth/"))
            .map(|call| call.split('/').map(star).collect::<Vec<_>>().join("/"))
            .collect()
    }

    fn count(&self) -> usize {
        self.api.wire.tenant.called().len()
    }

    fn trouble(&self, what: &str, trouble: Trouble) {
        self.api.wire.tenant.trouble(Some(what), trouble);
    }
}

const REPLY: &str = "POST /open-apis/im/v1/messages/om";
const CARDS: &str = "POST /open-apis/cardkit/v1/cards";
const PUT_CARD: &str = "PUT /open-apis/cardkit/v1/cards/";
const SEE: &str = "GET /open-apis/im/v1/messages/";

#[test]
fn a_turn_is_one_card_that_is_typed_out_and_closed() {
    let turn = turn();
    turn.shown(State::Running, vec![]);
    let sign = |turn: &Turn| {
        turn.api
            .wire
            .tenant
            .message(&turn.question.id)
            .expect("it is there")
            .reactions
    };
    assert_eq!(sign(&turn)[0].emoji, "Typing");
    assert_eq!(turn.reads(), Vec::<String>::new());

    turn.shown(State::Running, vec![text("Hel")]);
    assert_eq!(sign(&turn), []);
    let reply = turn.replies().remove(0);
    assert_eq!(reply.root.as_deref(), Some(turn.question.id.as_str()));
    assert!(reply.thread.is_some(), "the answer opens the thread");
    assert_eq!(*turn.api.wire.posted.borrow(), [reply.id]);

    let before = turn.count();
    turn.shown(State::Running, vec![text("Hello")]);
    turn.shown(State::Running, vec![text("Hello")]);
    assert_eq!(
        turn.called(before),
        ["PUT /open-apis/cardkit/v1/cards/*/elements/b0/content"],
        "what grew is typed out, what stands there is left alone"
    );
    let before = turn.count();
    turn.shown(State::Done, vec![text("Hello there.")]);
    assert_eq!(
        turn.called(before),
        [
            "PUT /open-apis/cardkit/v1/cards/*/elements/b0/content",
            "PATCH /open-apis/cardkit/v1/cards/*/settings",
            "GET /open-apis/im/v1/messages/*"
        ]
    );
    assert_eq!(turn.reads(), ["Hello there."]);
    let card = turn.replies()[0].card.clone().expect("an entity");
    let (json, streaming) = turn.api.wire.tenant.card(&card).expect("a card");
    assert!(!streaming);
    assert_eq!(json["config"]["summary"]["content"], "Hello there.");
}

#[test]
fn a_long_silence_gets_a_card_with_a_stop_button() {
    let turn = turn();
    let mut waiting = view(State::Running, vec![]);
    waiting.stop_token = Some("t-stop".into());
    turn.show(&waiting).expect("a sign");
    turn.api.wire.clock.set(turn.api.wire.clock.get() + SIGN_ENOUGH);
    turn.show(&waiting).expect("a card");
    assert_eq!(turn.reads(), ["<font color='grey'>⏳ Working…</font>\n[Stop]"]);
}

#[test]
fn a_lost_answer_to_a_send_is_asked_again_and_stands_there_once() {
    for trouble in [Trouble::Cut, Trouble::StatusAfter(502)] {
        let turn = turn();
        turn.trouble(REPLY, trouble);
        // The first call under this name is the reaction, which is not there: the card is sent at once.
        let first = turn.show(&view(State::Done, vec![text("once")]));
        assert!(matches!(first, Err(Error::Unavailable(_))), "{first:?}");
        turn.shown(State::Done, vec![text("once")]);
        assert_eq!(turn.reads(), ["once"]);
    }
}

#[test]
fn a_lost_answer_to_an_update_is_made_up_for_by_a_higher_sequence() {
    let turn = turn();
    turn.shown(State::Running, vec![text("a")]);
    for trouble in [Trouble::Cut, Trouble::StatusAfter(500), Trouble::Status(503)] {
        turn.trouble(PUT_CARD, trouble);
        let first = turn.show(&view(State::Running, vec![text("ab")]));
        assert!(matches!(first, Err(Error::Unavailable(_))), "{first:?}");
        turn.shown(State::Running, vec![text("abc")]);
        assert_eq!(turn.reads(), ["abc"]);
        turn.shown(State::Running, vec![text("a")]);
    }
    // Another process has used higher ones.
    turn.trouble(PUT_CARD, Trouble::Code(300_317));
    turn.shown(State::Done, vec![text("abcd")]);
    assert_eq!(turn.reads(), ["abcd"]);
}

#[test]
fn a_stream_that_feishu_closed_is_opened_again() {
    let turn = turn();
    turn.shown(State::Running, vec![text("a")]);
    turn.api.wire.tenant.end_streams();
    turn.shown(State::Running, vec![text("ab")]);
    assert_eq!(turn.reads(), ["ab"]);
    let card = turn.replies()[0].card.clone().expect("an entity");
    assert!(turn.api.wire.tenant.card(&card).expect("a card").1, "it streams again");
    // Before the ten minutes are over it is renewed.
    turn.api.wire.clock.set(turn.api.wire.clock.get() + STREAM_ENDS);
    let before = turn.count();
    turn.shown(State::Running, vec![text("ab")]);
    assert_eq!(
        turn.called(before),
        [
            "PATCH /open-apis/cardkit/v1/cards/*/settings",
            "PUT /open-apis/cardkit/v1/cards/*"
        ]
    );
    turn.api.wire.tenant.end_streams();
    turn.shown(State::Done, vec![text("abc")]);
    assert_eq!(turn.reads(), ["abc"]);
}

#[test]
fn questions_are_settled_in_place() {
    let turn = turn();
    turn.shown(State::Running, vec![text("Let me see.")]);
    turn.shown(State::Asking, vec![text("Let me see."), ask(None)]);
    let asked = turn.replies().remove(0);
    let labels: Vec<String> = asked.buttons().into_iter().map(|button| button.label).collect();
    assert_eq!(labels, ["Allow", "Deny"]);
    let card = asked.card.clone().expect("an entity");
    assert!(
        !turn.api.wire.tenant.card(&card).expect("a card").1,
        "a card that streams takes no press at once"
    );
    turn.shown(
        State::Running,
        vec![text("Let me see."), ask(Some("Allowed by <@ou_ann>"))],
    );
    turn.shown(
        State::Done,
        vec![text("Let me see."), ask(Some("Allowed by <@ou_ann>")), text("Done.")],
    );
    let done = turn.replies().remove(0);
    assert_eq!(done.id, asked.id);
    assert_eq!(done.buttons(), []);
    assert_eq!(
        done.read(),
        "Let me see.\n**May it run this?**\n`rm -r <old>`\n✔ Allowed by <at id=ou_ann></at>\nDone."
    );
}

#[test]
fn a_long_answer_goes_on_in_further_cards_and_shrinks_again() {
    let turn = turn();
    let long = (0..4000).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
    turn.shown(State::Running, vec![text(&long[..9_000])]);
    turn.shown(State::Done, vec![text(&long)]);
    let all = turn.reads();
    assert!(all.len() > 3, "{}", all.len());
    assert_eq!(
        all.concat().split_whitespace().collect::<String>(),
        long.split_whitespace().collect::<String>()
    );
    turn.shown(State::Done, vec![text("Never mind.")]);
    assert_eq!(turn.reads(), ["Never mind."]);
}

#[test]
fn without_the_scope_for_entities_the_card_is_changed_whole() {
    let turn = turn();
    turn.api.wire.tenant.revoke("cardkit:card:write");
    turn.shown(State::Running, vec![text("a")]);
    turn.shown(State::Asking, vec![text("ab"), ask(None)]);
    assert_eq!(turn.replies()[0].buttons().len(), 2);
    turn.shown(State::Done, vec![text("abc")]);
    assert_eq!(turn.reads(), ["abc"]);
    assert!(turn.replies()[0].card.is_none());
}

#[test]
fn a_card_that_is_refused_becomes_rich_text() {
    let turn = turn();
    turn.trouble(CARDS, Trouble::Code(300_301));
    turn.trouble(REPLY, Trouble::Code(230_099));
    turn.shown(State::Done, vec![text("plain **words**")]);
    assert_eq!(turn.replies()[0].kind, "post");
    assert_eq!(turn.reads(), ["plain **words**"]);
    // It is changed at the end alone, so that its twenty edits are enough.
    let turn = self::turn();
    turn.trouble(CARDS, Trouble::Code(300_301));
    turn.trouble(REPLY, Trouble::Code(230_099));
    for length in 1..30 {
        turn.shown(State::Running, vec![text(&"a".repeat(length))]);
    }
    turn.shown(State::Done, vec![text("the end")]);
    assert_eq!(turn.reads(), ["the end"]);
    assert_eq!(turn.replies()[0].edits, 1);
}

#[test]
fn an_entity_that_takes_no_more_is_replaced_in_its_message() {
    let turn = turn();
    turn.shown(State::Running, vec![text("a")]);
    turn.trouble(PUT_CARD, Trouble::Code(200_740));
    turn.shown(State::Done, vec![text("ab")]);
    assert_eq!(turn.reads(), ["ab"]);
    assert!(turn.replies()[0].card.is_none());
}

#[test]
fn too_large_is_split_smaller() {
    let turn = turn();
    let long = "word ".repeat(1_500);
    turn.trouble(CARDS, Trouble::Code(300_305));
    turn.shown(State::Done, vec![text(&long)]);
    assert_eq!(turn.memory().budget, Some(BUDGET / 2));
    assert_eq!(turn.reads().concat().matches("word").count(), 1_500);
}

#[test]
fn an_answer_to_a_question_that_was_recalled_stands_alone() {
    let turn = turn();
    turn.api.wire.tenant.recall(&turn.question.id);
    turn.shown(State::Done, vec![text("to nobody")]);
    let reply = turn.replies().remove(0);
    assert_eq!((reply.root, reply.thread), (None, None));
    let mut quoting = self::turn();
    quoting.conversation = group(None);
    quoting.shown(State::Done, vec![text("to the group")]);
    let reply = quoting.replies().remove(0);
    assert_eq!(
        (reply.root, reply.thread),
        (Some(quoting.question.id), None),
        "no thread is opened"
    );
}

#[test]
fn what_was_taken_away_while_it_ran_is_said_again_and_a_question_asked_again() {
    // An entity, a card of a message's own, rich text.
    for refused in [vec![], vec![CARDS], vec![CARDS, REPLY]] {
        let turn = turn();
        refused
            .iter()
            .for_each(|what| turn.trouble(what, Trouble::Code(230_099)));
        let take_away = || {
            let message = turn.replies().pop().expect("it stands there");
            turn.api.wire.tenant.recall(&message.id);
        };
        turn.shown(State::Running, vec![text("Half of")]);
        take_away();
        turn.shown(State::Asking, vec![text("Half of"), ask(None)]);
        assert_eq!(turn.replies().len(), 1, "{refused:?}");
        assert!(turn.reads()[0].contains("[Allow]"), "{refused:?} {:?}", turn.reads());
        take_away();
        turn.shown(State::Done, vec![text("Half of it.")]);
        assert_eq!(turn.reads(), ["Half of it."], "{refused:?}");
        // Whoever takes the end away wants it to be away.
        take_away();
        turn.shown(State::Done, vec![text("Half of it.")]);
        assert_eq!(turn.reads(), Vec::<String>::new());
    }
}

#[test]
fn whether_it_stands_is_asked_until_feishu_says_and_what_was_done_is_not_done_again() {
    for trouble in [Trouble::RateLimited { seconds: 2 }, Trouble::Status(503), Trouble::Cut] {
        let turn = turn();
        turn.shown(State::Running, vec![text("Half of")]);
        turn.api.wire.tenant.recall(&turn.replies()[0].id);
        turn.trouble(SEE, trouble.clone());
        let asking = || view(State::Asking, vec![text("Half of"), ask(None)]);
        let first = turn.show(&asking());
        assert!(
            matches!(first, Err(Error::RateLimited(_) | Error::Unavailable(_))),
            "{trouble:?} {first:?}"
        );
        let before = turn.count();
        turn.show(&asking()).expect("shown");
        assert_eq!(
            turn.called(before),
            [
                "GET /open-apis/im/v1/messages/*",
                "POST /open-apis/im/v1/messages/*/reply"
            ],
            "{trouble:?}"
        );
        assert!(turn.reads()[0].contains("[Allow]"), "{:?}", turn.reads());
    }
}

#[test]
fn a_memory_that_does_not_say_whether_it_was_asked_is_read_and_it_is_asked() {
    let turn = turn();
    turn.shown(State::Done, vec![text("the end")]);
    let before = turn.count();
    turn.shown(State::Done, vec![text("the end")]);
    assert!(turn.called(before).is_empty(), "it has just been posted");
    let mut memory: Value =
        serde_json::from_slice(turn.api.wire.saved.borrow().as_ref().expect("saved")).expect("JSON");
    let one = memory["posted"][0].as_object_mut().expect("a message");
    assert_eq!(one.remove("asked"), Some(Value::Bool(true)));
    turn.api.wire.saved.replace(Some(memory.to_string().into_bytes()));
    let before = turn.count();
    turn.shown(State::Done, vec![text("the end")]);
    turn.shown(State::Done, vec![text("the end")]);
    assert_eq!(turn.called(before), ["GET /open-apis/im/v1/messages/*"], "once");
}

#[test]
fn a_word_for_one_person_goes_to_them_directly() {
    let mut turn = turn();
    turn.private_to = Some(ANN.into());
    turn.shown(State::Done, vec![text("for you alone")]);
    assert_eq!(turn.reads(), Vec::<String>::new());
    let told = turn.api.wire.tenant.replies(DIRECT);
    assert_eq!(told.iter().map(Message::read).collect::<Vec<_>>(), ["for you alone"]);
    // Who cannot be written to hears it where they asked.
    let mut turn = self::turn();
    turn.private_to = Some(ANN.into());
    turn.api.wire.tenant.hide(ANN);
    turn.shown(State::Done, vec![text("for you")]);
    assert_eq!(turn.reads(), ["for you"]);
}

#[test]
fn a_chat_without_the_bot_is_gone_and_a_busy_one_waits() {
    let mut turn = turn();
    turn.conversation = direct();
    turn.trouble("POST /open-apis/im/v1/messages", Trouble::RateLimited { seconds: 2 });
    let busy = turn.show(&view(State::Done, vec![text("x")]));
    assert_eq!(busy, Err(Error::RateLimited(Some(2_000))));
    turn.shown(State::Done, vec![text("x")]);
    assert_eq!(turn.reads(), ["x"]);
    turn.api.wire.tenant.remove_bot(GROUP);
    let outside = Turn {
        conversation: group(None),
        ..self::turn()
    };
    outside.api.wire.tenant.remove_bot(GROUP);
    assert!(matches!(
        outside.show(&view(State::Done, vec![text("x")])),
        Err(Error::Gone(_))
    ));
}

#[test]
fn files_follow_the_answer_once_and_what_is_not_taken_is_said() {
    let turn = turn();
    let of = |name: &str, media: &str, size: u32| {
        let mut file = file(name, media, b"");
        file.size_bytes = size;
        Part::File(file)
    };
    let parts = || {
        vec![
            of("a.png", "image/png", 14),
            of("a.pdf", "application/pdf", 14),
            of("empty", "text/plain", 0),
            of("big.zip", "application/zip", 31 << 20),
        ]
    };
    turn.shown(State::Running, parts());
    assert_eq!(turn.replies().len(), 1, "files come when the answer is whole");
    turn.trouble("POST /open-apis/im/v1/files", Trouble::Status(503));
    assert!(matches!(
        turn.show(&view(State::Done, parts())),
        Err(Error::Unavailable(_))
    ));
    turn.shown(State::Done, parts());
    turn.shown(State::Done, parts());
    let kinds: Vec<String> = turn.replies().iter().map(|message| message.kind.clone()).collect();
    assert_eq!(kinds, ["interactive", "image", "file", "text", "text"]);
    assert_eq!(
        turn.reads()[3..],
        [
            "📎 empty: empty, and Feishu takes no empty files",
            "📎 big.zip: 31 MB, and Feishu takes 30 MB at most"
        ]
    );
}

#[test]
fn a_memory_of_a_long_turn_stays_small() {
    let turn = turn();
    let long = "word ".repeat(60_000);
    turn.shown(State::Done, vec![text(&long)]);
    assert!(turn.replies().len() > 30);
    assert!(
        turn.api
            .wire
            .saved
            .borrow()
            .as_ref()
            .is_some_and(|memory| memory.len() < 16 << 10)
    );
}
