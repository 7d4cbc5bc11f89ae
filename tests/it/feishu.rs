//! Feishu over the long connection: the real host, the strict fake, the scripted CLI.

use botyard::chat::Health;
use botyard_fakes::feishu::{ANN, BEN, Config, DIRECT, GROUP, Tenant, Trouble};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::company::{Company, has};
use crate::host::{AT_ONCE, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn question_over_the_long_connection_is_answered_once() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "hello there").await;
    let reply = company.final_with(DIRECT, "echo: hello there").await;
    assert_eq!(reply.thread, None);
    assert_eq!(company.tenant.replies(DIRECT).len(), 1);
    assert_eq!((company.tenant.lines(), company.tenant.opened()), (1, 1));
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mention_in_a_group_is_answered_in_a_thread_that_goes_on() {
    let company = Company::start().await;
    let asked = company.write(GROUP, ANN, "@_user_1 what is up").await;
    let reply = company.final_with(GROUP, "what is up").await;
    assert_eq!(reply.root.as_deref(), Some(asked.id.as_str()));
    assert!(reply.thread.is_some(), "the answer opens a thread");
    // In that thread the bot need not be mentioned again; outside of it, it must.
    let content = json!({ "text": "and you" });
    let said = company
        .tenant
        .say(GROUP, BEN, "text", &content, Some((&reply.id, true)));
    company.write(GROUP, BEN, "nobody is asked").await;
    company.deliver(&company.tenant.message_event(&said)).await;
    let second = company.final_with(GROUP, "and you").await;
    assert_eq!(second.thread, reply.thread);
    assert_eq!(company.tenant.replies(GROUP).len(), 2);
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_of_the_menu_and_a_typed_command_are_commands() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "remember the sea").await;
    company.final_with(DIRECT, "echo: remember the sea").await;
    company.deliver(&company.tenant.menu_event(ANN, "new")).await;
    company.final_with(DIRECT, "A new conversation begins").await;
    company.write(DIRECT, ANN, "recall").await;
    let recalled = company
        .reply(DIRECT, "an empty memory", |message| {
            let text = message.read();
            text.contains("recall") || text.contains("nothing")
        })
        .await;
    assert!(!recalled.read().contains("the sea"), "{}", recalled.read());
    company.write(DIRECT, ANN, "/status").await;
    company.final_with(DIRECT, "It is idle").await;
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approval_by_card_reaches_the_agent_and_the_word_is_a_toast() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "permission rm -rf build").await;
    let asked = company.reply(DIRECT, "the question", has("Allow")).await;
    assert!(asked.read().contains("rm -rf build"), "{}", asked.read());
    let word = company.press(&asked, ANN, "Allow").await;
    assert_eq!(word["toast"]["type"], "success", "{word}");
    let settled = company.final_with(DIRECT, "llowed").await;
    assert_eq!(settled.id, asked.id, "the card itself is settled");
    // A second press is late, and changes nothing.
    let word = company.press(&asked, ANN, "Deny").await;
    assert_eq!(word["toast"]["type"], "warning", "{word}");
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_cannot_decide_and_hears_so() {
    let company = Company::start().await;
    company.write(GROUP, ANN, "@_user_1 permission rm -rf build").await;
    let asked = company.reply(GROUP, "the question", has("Deny")).await;
    let word = company.press(&asked, BEN, "Allow").await;
    assert_eq!(word["toast"]["type"], "warning", "{word}");
    let still = company.reply(GROUP, "the question still open", has("Deny")).await;
    company.press(&still, ANN, "Deny").await;
    company.final_with(GROUP, "enied").await;
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decision_after_a_restart_reaches_the_resumed_agent() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "permission rm -rf build").await;
    let asked = company.reply(DIRECT, "the question", has("Allow")).await;
    let company = company.restart().await;
    company.press(&asked, ANN, "Allow").await;
    company.final_with(DIRECT, "llowed").await;
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_button_ends_the_turn_and_the_next_message_is_answered() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "slow 60000 never").await;
    let running = company.reply(DIRECT, "a stop button", has("Stop")).await;
    company.press(&running, ANN, "Stop").await;
    company
        .reply(DIRECT, "the stopped view", |message| {
            message.id == running.id && message.buttons().is_empty()
        })
        .await;
    company.write(DIRECT, ANN, "go on").await;
    company.final_with(DIRECT, "echo: go on").await;
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_that_comes_again_or_in_parts_is_one_question() {
    let company = Company::start().await;
    let said = company.tenant.write(DIRECT, ANN, "only once");
    let event = company.tenant.message_event(&said);
    for parts in [1, 3, 7] {
        let ack = company.tenant.push(&event, parts).await.expect("acknowledged in time");
        assert_eq!(ack.code, 200);
    }
    company.final_with(DIRECT, "echo: only once").await;
    // Of an event that never becomes whole nothing is acknowledged.
    let lost = company.tenant.write(DIRECT, ANN, "in pieces");
    company
        .tenant
        .push_some(&company.tenant.message_event(&lost), 3, &[2, 0]);
    company.write(DIRECT, ANN, "the next").await;
    company.final_with(DIRECT, "echo: the next").await;
    assert_eq!(company.tenant.replies(DIRECT).len(), 2);
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_is_cut_is_opened_again_and_nothing_is_lost_or_doubled() {
    let company = Company::start().await;
    for round in 1..=3 {
        // There must be something to cut.
        company
            .tenant
            .wait_for(PATIENCE, "a connection", |tenant| (tenant.lines() > 0).then_some(()))
            .await;
        let said = company.tenant.write(DIRECT, ANN, &format!("number {round}"));
        let event = company.tenant.message_event(&said);
        // Nobody knows whether the first try was stored: it is sent again on the next connection.
        let tenant = company.tenant.clone();
        let first = tokio::spawn({
            let event = event.clone();
            async move { tenant.push(&event, 1).await }
        });
        company.tenant.cut_lines();
        company.deliver(&event).await;
        first.await.expect("the first try ends");
        company.final_with(DIRECT, &format!("number {round}")).await;
    }
    assert!(company.tenant.opened() >= 4, "{} connections", company.tenant.opened());
    assert_eq!(company.tenant.replies(DIRECT).len(), 3);
    company.stop_troubled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_died_in_silence_is_found_by_its_pings() {
    let tenant = Tenant::new();
    tenant.configure(Config {
        tries: -1,
        interval: 1,
        nonce: 0,
        ping: 1,
    });
    let company = Company::start_with(tenant, |setup| setup).await;
    company.tenant.mute(true);
    company
        .tenant
        .wait_for(PATIENCE, "the second connection", |tenant| {
            (tenant.opened() > 1).then_some(())
        })
        .await;
    company.tenant.mute(false);
    company.write(DIRECT, ANN, "still there?").await;
    company.final_with(DIRECT, "echo: still there?").await;
    company
        .tenant
        .wait_for(PATIENCE, "a ping", |tenant| (tenant.pings() > 0).then_some(()))
        .await;
    company.stop_troubled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_store_makes_feishu_come_again() {
    let company = Company::start().await;
    let other = rusqlite::Connection::open(company.host.folder().join("data/botyard.db")).expect("the store's file");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let said = company.tenant.write(DIRECT, ANN, "while locked");
    let event = company.tenant.message_event(&said);
    // No word in time is as good as a no: both make Feishu come again.
    let ack = company.tenant.push(&event, 1).await;
    assert!(ack.as_ref().is_none_or(|ack| ack.code == 500), "{ack:?}");
    other.execute_batch("ROLLBACK").expect("the lock is given back");
    company.deliver(&event).await;
    company.final_with(DIRECT, "echo: while locked").await;
    assert_eq!(company.tenant.replies(DIRECT).len(), 1);
    company.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn token_that_ends_in_the_middle_of_a_turn_is_minted_anew() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "permission to the end").await;
    let asked = company.reply(DIRECT, "the question", has("Allow")).await;
    company.tenant.expire_tokens();
    company.press(&asked, ANN, "Allow").await;
    company.final_with(DIRECT, "allowed: to the end").await;
    assert_eq!(company.tenant.replies(DIRECT).len(), 1);
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feishu_in_trouble_gets_the_final_view_in_the_end() {
    let company = Company::start().await;
    let send = Some("POST /open-apis/im/v1/messages$");
    let cards = Some("POST /open-apis/cardkit/v1/cards");
    company.tenant.trouble(cards, Trouble::RateLimited { seconds: 1 });
    company.tenant.trouble(cards, Trouble::Code(99_991_400));
    company.tenant.trouble(send, Trouble::Status(503));
    company.write(DIRECT, ANN, "through the storm").await;
    company.final_with(DIRECT, "echo: through the storm").await;
    // It is done, but the answer is lost: it must not stand there twice.
    company.tenant.trouble(send, Trouble::Cut);
    company.tenant.trouble(Some("PUT /open-apis/cardkit"), Trouble::Cut);
    company.write(DIRECT, ANN, "slow 1500 cut off").await;
    company.final_with(DIRECT, "cut off").await;
    assert_eq!(company.tenant.replies(DIRECT).len(), 2, "{:?}", company.reads(DIRECT));
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_handshakes_wait_and_refused_credentials_are_told() {
    let company = Company::start().await;
    company.tenant.refuse_handshake(1, 0);
    company.tenant.cut_lines();
    company
        .tenant
        .wait_for(PATIENCE, "the second connection", |tenant| {
            (tenant.opened() > 1).then_some(())
        })
        .await;
    company.tenant.change_secret();
    company.tenant.cut_lines();
    let refused = |health: &Health| matches!(health, Health::Refused { why } if why.contains("App Secret"));
    company
        .host
        .until("the operator is told", |host| {
            host.bots().any(|bot| refused(&bot.summary().connection.health))
        })
        .await;
    company.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn burst_of_a_thousand_events_is_acknowledged_and_each_question_answered_once() {
    let company = Company::start().await;
    let mut events = Vec::new();
    for number in 0..1_000 {
        let asked = number % 125 == 0;
        let text = if asked {
            format!("@_user_1 question {number}.")
        } else {
            format!("chatter {number}")
        };
        let said = company.tenant.write(GROUP, ANN, &text);
        events.push(company.tenant.message_event(&said));
    }
    let sent = events.into_iter().map(|event| {
        let tenant = company.tenant.clone();
        async move { tenant.deliver(&event).await }
    });
    let all = stream::iter(sent).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
    let all = tokio::time::timeout(PATIENCE, all).await.expect("all are taken");
    assert_eq!(all.len(), 1_000);
    // Each at its first sending.
    assert!(all.iter().all(|ack| ack.code == 200));
    assert_eq!(company.tenant.missed(), 0);
    for number in (0..1_000).step_by(125) {
        company.final_with(GROUP, &format!("question {number}.")).await;
    }
    assert_eq!(company.tenant.replies(GROUP).len(), 8);
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recall_of_what_runs_changes_nothing_and_no_event_of_feishus_is_left_unacknowledged() {
    let company = Company::start().await;
    let said = company.write(DIRECT, ANN, "slow 4000 taken back").await;
    company.reply(DIRECT, "the first half", has("Stop")).await;
    company.tenant.recall(&said.id);
    for event in [
        company.tenant.recall_event(&said),
        company.tenant.reaction_event(&said, ANN, "THUMBSUP", true),
        company.tenant.added_event(GROUP, ANN),
        json!({ "schema": "2.0", "header": { "event_id": "e", "event_type": "contact.user.new_v9" }, "event": {} }),
    ] {
        let ack = company.deliver(&event).await;
        assert_eq!((ack.code, ack.data), (200, None));
    }
    company.final_with(DIRECT, "taken back").await;
    company.write(DIRECT, ANN, "the next").await;
    company.final_with(DIRECT, "echo: the next").await;
    assert_eq!(company.tenant.replies(DIRECT).len(), 2, "{:?}", company.reads(DIRECT));
    assert_eq!(company.tenant.replies(GROUP), []);
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_from_feishu_reaches_the_agent() {
    let company = Company::start().await;
    let mut said = company.tenant.say(DIRECT, ANN, "post", &json!({}), None);
    let key = company.tenant.put_file(&said.id, "notes.mp4", b"some notes", false);
    said.content = json!({ "content": [[{ "tag": "text", "text": "look" }, { "tag": "media", "file_key": key }]] });
    company.deliver(&company.tenant.message_event(&said)).await;
    let reply = company.final_with(DIRECT, " has 10 bytes").await;
    assert!(reply.read().contains("inbox/"), "{}", reply.read());
    assert_eq!(company.tenant.replies(DIRECT).len(), 1);
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told_their_own_id() {
    let company = Company::start_with(Tenant::new(), |setup| {
        let allow = format!("[{ANN:?}]");
        crate::host::Setup { allow, ..setup }.with("contact = \"ops@example.com\"")
    })
    .await;
    company.write("oc_ben", BEN, "hello").await;
    let refusal = company.final_with("oc_ben", "ops@example.com").await;
    assert!(refusal.read().contains(BEN), "{}", refusal.read());
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_pause_is_no_reason_to_answer_twice() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "slow 3000 half and half").await;
    company.reply(DIRECT, "the first half", has("Stop")).await;
    let card = company.tenant.replies(DIRECT)[0].card.clone().expect("an entity");
    company.tenant.end_streams();
    let done = company.final_with(DIRECT, "half and half").await;
    assert_eq!(done.card, Some(card.clone()));
    company
        .tenant
        .wait_for(PATIENCE, "the end of the stream", |tenant| {
            tenant.card(&card).filter(|(_, streaming)| !streaming)
        })
        .await;
    let summary = company
        .tenant
        .card(&card)
        .map_or(Value::Null, |(card, _)| card["config"]["summary"].clone());
    assert!(summary.to_string().contains("half"), "{summary}");
    company.stop().await;
}
