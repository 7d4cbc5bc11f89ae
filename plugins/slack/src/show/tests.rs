//! Whole conversations against the strict fake, with everything that can go wrong on the way.

use botyard_fakes::slack::Trouble;

use botyard_sdk::serde_json::{Value, json};

use super::*;
use crate::api::Progress;
use crate::tests::{Fake, channel, fake};
use crate::view::tests::{ask, text, view};

/// A target in a thread under a person's message; shows go through the host's memory, as after a crash.
struct Turn {
    api: Api<Fake>,
    thread: String,
    private_to: Option<String>,
}

fn turn() -> Turn {
    let api = fake();
    api.wire.progress.set(Progress::Edit);
    let thread = api.wire.team.say("C1", "U1", "go", None);
    Turn {
        api,
        thread,
        private_to: None,
    }
}

impl Turn {
    fn show(&self, view: &View) -> Result<(), Error> {
        let target = Target {
            conversation: channel(Some(&self.thread)),
            reply_to: vec![],
            private_to: self.private_to.clone(),
            nonce: "n1".into(),
            memory: self.api.wire.saved.borrow().clone(),
        };
        show(&self.api, view, &target)
    }

    fn memory(&self) -> Memory {
        serde_json::from_slice(self.api.wire.saved.borrow().as_ref().expect("saved")).expect("a memory")
    }

    fn reads(&self) -> Vec<String> {
        self.api
            .wire
            .team
            .replies("C1")
            .iter()
            .map(botyard_fakes::slack::Message::read)
            .collect()
    }

    fn called(&self) -> Vec<String> {
        self.api.wire.team.called()
    }

    fn trouble(&self, method: &str, trouble: Trouble) {
        self.api.wire.team.trouble(Some(method), trouble);
    }
}

fn running(words: &str) -> View {
    view(State::Running, vec![text(words)])
}

fn done(words: &str) -> View {
    view(State::Done, vec![text(words)])
}

#[test]
fn a_stream_is_one_message_that_is_changed() {
    let turn = turn();
    for view in [running("Hel"), running("Hello"), running("Hello"), done("Hello!")] {
        turn.show(&view).expect("shown");
    }
    assert_eq!(turn.reads(), ["Hello!"]);
    assert_eq!(turn.called(), ["chat.postMessage", "chat.update", "chat.update"]);
    let message = &turn.api.wire.team.replies("C1")[0];
    assert_eq!((message.thread_ts.as_ref(), message.edits), (Some(&turn.thread), 2));
    assert_eq!(turn.api.wire.posted.borrow().as_slice(), [message.ts.as_str()]);
}

#[test]
fn a_question_is_settled_in_place() {
    let turn = turn();
    turn.show(&view(State::Asking, vec![ask(None)])).expect("shown");
    let buttons = |turn: &Turn| turn.api.wire.team.replies("C1")[0].buttons();
    assert_eq!(
        buttons(&turn),
        [("Allow".into(), "t-allow".into()), ("Deny".into(), "t-deny".into())]
    );
    turn.show(&view(State::Done, vec![ask(Some("Allowed by ann"))]))
        .expect("shown");
    assert_eq!((buttons(&turn), turn.reads().len()), (vec![], 1));
}

#[test]
fn a_long_answer_becomes_messages_and_a_shorter_one_takes_them_back() {
    let turn = turn();
    let long: String = (0..400)
        .map(|n| format!("line {n} of a very long answer that goes on and on\n"))
        .collect();
    turn.show(&running(&long)).expect("shown");
    assert_eq!(turn.reads().concat(), long);
    assert_eq!(turn.reads().len(), 3);
    let longer = format!("{long}the end");
    turn.show(&running(&longer)).expect("shown");
    assert_eq!(turn.reads().concat(), longer);
    // Only the last message changed.
    assert_eq!(
        turn.called().iter().filter(|method| *method == "chat.update").count(),
        1
    );
    turn.show(&done("short")).expect("shown");
    assert_eq!(turn.reads(), ["short"]);
}

#[test]
fn a_post_whose_answer_was_lost_is_found_and_not_repeated() {
    for trouble in [Trouble::Cut, Trouble::StatusAfter(502)] {
        let turn = turn();
        turn.trouble("chat.postMessage", trouble);
        assert!(matches!(turn.show(&running("Hel")), Err(Error::Unavailable(_))));
        assert_eq!(turn.memory().pending.map(|pending| pending.id), Some("n1-0".into()));
        turn.show(&done("Hello")).expect("shown");
        assert_eq!(turn.reads(), ["Hello"]);
        assert_eq!(
            turn.called(),
            ["chat.postMessage", "conversations.replies", "chat.update"]
        );
        assert_eq!(turn.api.wire.posted.borrow().len(), 1);
    }
}

#[test]
fn a_post_that_never_arrived_is_repeated_when_it_can_no_longer_arrive() {
    let turn = turn();
    turn.trouble("chat.postMessage", Trouble::CutBefore);
    turn.show(&running("Hel")).expect_err("unclear");
    // Slack may still be at it.
    assert_eq!(turn.show(&running("Hel")), Err(Error::RateLimited(Some(3000))));
    turn.api.wire.clock.set(turn.api.wire.clock.get() + 3);
    turn.show(&done("Hello")).expect("shown");
    assert_eq!(turn.reads(), ["Hello"]);
}

#[test]
fn a_host_that_died_in_the_middle_of_a_post_finds_it() {
    let turn = turn();
    turn.show(&running("Hel")).expect("shown");
    // What was saved before the post is all that is left.
    let memory = Memory {
        pending: Some(Pending {
            index: 0,
            id: "n1-0".into(),
            at: turn.api.wire.clock.get(),
            stream: false,
        }),
        ..Memory::default()
    };
    turn.api
        .wire
        .saved
        .replace(Some(serde_json::to_vec(&memory).expect("JSON")));
    turn.show(&done("Hello")).expect("shown");
    assert_eq!(turn.reads(), ["Hello"]);
}

#[test]
fn when_nobody_can_look_it_is_ambiguous() {
    let turn = turn();
    turn.trouble("chat.postMessage", Trouble::Cut);
    turn.show(&running("Hel")).expect_err("unclear");
    turn.api.wire.team.set_scopes(&["chat:write"]);
    assert!(matches!(turn.show(&running("Hello")), Err(Error::Ambiguous(_))));
    assert_eq!(turn.reads(), ["Hel"]);
}

#[test]
fn a_refused_post_leaves_no_intent() {
    let turn = turn();
    turn.trouble("chat.postMessage", Trouble::RateLimited { seconds: 7 });
    assert_eq!(turn.show(&running("Hel")), Err(Error::RateLimited(Some(7000))));
    assert_eq!(turn.memory().pending, None);
    turn.show(&done("Hello")).expect("shown");
    assert_eq!(turn.called(), ["chat.postMessage", "chat.postMessage"]);
    assert_eq!(turn.reads(), ["Hello"]);
}

#[test]
fn too_long_is_split_smaller_and_stays_so() {
    let turn = turn();
    let long = "some words in a line\n".repeat(400);
    turn.trouble("chat.postMessage", Trouble::Error("msg_blocks_too_long".into()));
    turn.show(&done(&long)).expect("shown");
    assert_eq!(
        (turn.memory().budget, turn.reads().concat()),
        (Some(5_500), long.clone())
    );
    let messages = turn.reads().len();
    turn.show(&done(&format!("{long}."))).expect("shown");
    assert_eq!(turn.reads().len(), messages);
}

/// The arguments of the last call.
fn last(turn: &Turn, method: &str) -> Value {
    let calls = turn.api.wire.team.calls();
    let call = calls.last().expect("a call");
    assert_eq!(call.method, method);
    call.arguments.clone()
}

fn mrkdwn_section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

#[test]
fn blocks_that_slack_refuses_become_sections_and_then_text() {
    let turn = turn();
    let refuse = |method: &str, name: &str| turn.trouble(method, Trouble::Error(name.into()));
    refuse("chat.postMessage", "invalid_blocks");
    turn.show(&running("**a** & <b>")).expect("shown");
    assert_eq!(
        last(&turn, "chat.postMessage"),
        json!({
            "channel": "C1", "thread_ts": turn.thread, "text": "**a** &amp; &lt;b&gt;",
            "blocks": [mrkdwn_section("**a** &amp; &lt;b&gt;")],
            "unfurl_links": false, "unfurl_media": false,
            "metadata": { "event_type": "botyard", "event_payload": { "id": "n1-0" } },
        })
    );
    // It is not tried again, and the end is shown in the same way.
    turn.show(&done("**a** & <b>!")).expect("shown");
    assert_eq!(turn.called(), ["chat.postMessage", "chat.postMessage", "chat.update"]);
    let ts = turn.memory().posted[0].0.clone();
    assert_eq!(
        last(&turn, "chat.update"),
        json!({
            "channel": "C1", "ts": ts, "text": "**a** &amp; &lt;b&gt;!",
            "blocks": [mrkdwn_section("**a** &amp; &lt;b&gt;!")],
        })
    );
    refuse("chat.update", "invalid_blocks");
    turn.show(&view(State::Asking, vec![text("**a**"), ask(None)]))
        .expect("shown");
    let asked = "**a**\n*May it run this?*\n`rm -r &lt;old&gt;`\n• *Allow*\n• *Deny*\nButtons cannot be shown here. Say \
                 `!allow` or `!deny` to what it wants to do; to a question `!answer` and an option, its number, or your \
                 own words.";
    assert_eq!(
        last(&turn, "chat.update"),
        json!({ "channel": "C1", "ts": ts, "blocks": [], "text": asked })
    );
    // There is nothing plainer.
    refuse("chat.update", "invalid_blocks");
    let refused = Error::Rejected("slack says invalid_blocks".into());
    assert_eq!(turn.show(&done("x")), Err(refused));
}

#[test]
fn an_edit_whose_blocks_are_refused_is_made_again_without_loss() {
    let turn = turn();
    turn.show(&running("Hel")).expect("shown");
    turn.trouble("chat.update", Trouble::Error("invalid_blocks_format".into()));
    // Each of these characters is five when it is escaped.
    let long = "a & b\n".repeat(2_000);
    turn.show(&done(&long)).expect("shown");
    assert_eq!(turn.memory().dress, Dress::Sections);
    let escaped = turn.reads().join("\n");
    assert_eq!(escaped.replace("&amp;", "&"), long.trim_end());
    // And the same in words alone.
    turn.trouble("chat.update", Trouble::Error("invalid_blocks".into()));
    let longer = format!("{long}end");
    turn.show(&done(&longer)).expect("shown");
    assert_eq!(turn.memory().dress, Dress::Text);
    assert_eq!(turn.reads().join("\n").replace("&amp;", "&"), longer);
    assert!(
        turn.api
            .wire
            .team
            .replies("C1")
            .iter()
            .all(|message| message.blocks.is_empty())
    );
}

#[test]
fn a_whisper_whose_blocks_are_refused_is_said_plainly() {
    let turn = Turn {
        private_to: Some("U2".into()),
        ..turn()
    };
    turn.trouble("chat.postEphemeral", Trouble::Error("invalid_blocks".into()));
    turn.show(&done("**a**")).expect("shown");
    assert_eq!(
        last(&turn, "chat.postEphemeral"),
        json!({
            "channel": "C1", "thread_ts": turn.thread, "user": "U2", "text": "**a**",
            "blocks": [mrkdwn_section("**a**")], "unfurl_links": false, "unfurl_media": false,
        })
    );
}

#[test]
fn an_answer_whose_thread_was_deleted_stands_in_the_channel() {
    let turn = turn();
    turn.api.wire.team.delete("C1", &turn.thread);
    turn.show(&running("Hel")).expect("shown");
    turn.show(&done("Hello")).expect("shown");
    assert_eq!(turn.called(), ["chat.postMessage", "chat.postMessage", "chat.update"]);
    let reply = turn.api.wire.team.replies("C1").remove(0);
    assert_eq!((reply.thread_ts.as_ref(), reply.read().as_str()), (None, "Hello"));
    // It is found again where it is.
    turn.trouble("chat.postMessage", Trouble::Cut);
    let long = "some words in a line\n".repeat(1_000);
    turn.show(&done(&long)).expect_err("unclear");
    turn.show(&done(&long)).expect("shown");
    assert_eq!(turn.reads().concat(), long);
    // Whether an unclear one was posted cannot be looked up there: it was not.
    let other = self::turn();
    other.trouble("chat.postMessage", Trouble::CutBefore);
    other.show(&running("Hel")).expect_err("unclear");
    other.api.wire.team.delete("C1", &other.thread);
    other.show(&done("Hello")).expect("shown");
    assert_eq!(other.reads(), ["Hello"]);
    // A whisper is said beside it too.
    turn.api.wire.saved.replace(None);
    let whisper = Turn {
        private_to: Some("U2".into()),
        ..turn
    };
    whisper.show(&done("psst")).expect("shown");
    assert_eq!(whisper.reads().last().map(String::as_str), Some("psst"));
}

#[test]
fn a_deleted_answer_is_given_up_and_a_closed_one_is_posted_anew() {
    let turn = turn();
    turn.show(&running("Hel")).expect("shown");
    turn.trouble("chat.update", Trouble::Error("edit_window_closed".into()));
    turn.show(&running("Hello")).expect("shown");
    assert_eq!(turn.reads(), ["Hel", "Hello"]);
    let ts = turn.memory().posted[0].0.clone();
    turn.api.wire.team.delete("C1", &ts);
    let gone = Error::Gone("somebody deleted the message that shows the answer".into());
    assert_eq!(turn.show(&done("Hello!")), Err(gone));
}

#[test]
fn a_private_view_is_whispered_once_when_it_is_whole() {
    let turn = Turn {
        private_to: Some("U2".into()),
        ..turn()
    };
    turn.show(&running("Hel")).expect("shown");
    assert_eq!(turn.reads(), Vec::<String>::new());
    turn.show(&done("Hello")).expect("shown");
    turn.show(&done("Hello")).expect("shown");
    let whispers: Vec<_> = turn
        .api
        .wire
        .team
        .replies("C1")
        .into_iter()
        .map(|m| (m.ephemeral_to.clone(), m.read()))
        .collect();
    assert_eq!(whispers, [(Some("U2".into()), "Hello".into())]);
}

#[test]
fn a_file_is_put_into_the_chat_once() {
    let turn = turn();
    let file = FileRef {
        id: "host-1".into(),
        name: "a.csv".into(),
        media_type: "text/csv".into(),
        size_bytes: 8,
    };
    let view = view(State::Done, vec![text("Here."), Part::File(file)]);
    turn.show(&view).expect("shown");
    turn.show(&view).expect("shown");
    assert_eq!(
        turn.api.wire.team.files(),
        [("a.csv".to_owned(), b"a,b\n1,2\n".to_vec())]
    );
}

#[test]
fn a_channel_that_is_archived_is_given_up() {
    let turn = turn();
    let archived = botyard_fakes::slack::Channel {
        archived: true,
        ..Default::default()
    };
    turn.api.wire.team.add_channel("C1", archived);
    assert_eq!(
        turn.show(&done("x")),
        Err(Error::Gone("the channel is archived".into()))
    );
}
