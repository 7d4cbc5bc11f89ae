//! Slack in Socket Mode: the real host, the strict fake, the scripted CLI.

use std::time::Duration;

use botyard::chat::Health;
use botyard_fakes::slack::{Envelope, Message, Sender, Workspace};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::host::{AT_ONCE, PATIENCE};
use crate::team::{Team, has};

async fn start() -> Team {
    let team = Team::start(|setup| setup.over_socket()).await;
    assert_eq!(team.team.sockets(), (1, 1));
    team
}

/// Ends it; nothing was said on a socket that Slack would not understand, and all was acknowledged in time.
async fn stop(team: Team) {
    for envelope in team.team.envelopes() {
        assert_eq!((envelope.sent, envelope.acknowledgements), (1, 1), "{envelope:?}");
    }
    stop_troubled(team).await;
}

/// The same where Slack had reason to send something again.
async fn stop_troubled(team: Team) {
    acknowledged(&team);
    assert_eq!(team.team.protests(), Vec::<String>::new());
    team.stop().await;
}

fn acknowledged(team: &Team) -> Vec<Envelope> {
    let all = team.team.envelopes();
    for envelope in &all {
        assert!(envelope.acknowledged.is_some(), "{envelope:?}");
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn question_over_a_socket_is_answered_once() {
    let team = start().await;
    team.write("U1", "hello there").await;
    team.final_with("D1", "echo: hello there").await;
    assert_eq!(team.team.replies("D1").len(), 1);
    let (ts, _) = team
        .sender
        .mention("C1", "U1", "what is up", None)
        .await
        .expect("acknowledged");
    let reply = team.final_with("C1", "what is up").await;
    assert_eq!(
        reply.thread_ts,
        Some(ts),
        "the pair of message and mention is one question"
    );
    assert_eq!(team.team.replies("C1").len(), 1);
    for envelope in acknowledged(&team) {
        assert_eq!(envelope.acknowledged, Some(Value::Null));
    }
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approval_and_stop_come_over_the_socket() {
    let team = start().await;
    team.write("U1", "permission rm -rf build").await;
    let asked = team.reply("D1", "the question", has("Allow")).await;
    team.press(&asked, "U1", "Allow").await;
    team.final_with("D1", "llowed").await;
    team.write("U1", "slow 60000 never").await;
    let running = team.reply("D1", "a stop button", has("Stop")).await;
    team.press(&running, "U1", "Stop").await;
    team.reply("D1", "the stopped view", |message| {
        message.ts == running.ts && message.buttons().is_empty()
    })
    .await;
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_answer_is_slacks_own_stream_and_slacks_own_control_stops_it() {
    let team = start().await;
    let say = team.sender.mention("C1", "U1", "slow 60000 one two three", None);
    let (thread, _) = say.await.expect("acknowledged");
    let growing = |message: &Message| message.streaming && message.read().contains("one");
    let grown = team.reply("C1", "a message that grows", growing).await;
    assert_eq!(team.team.session("C1", &thread).as_deref(), Some("processing"));
    let heard = team
        .sender
        .stop_session("C1", &thread, "U1")
        .await
        .expect("acknowledged");
    assert_eq!(heard.status, 200);
    let stopped = |message: &Message| message.ts == grown.ts && message.read().contains("Stopped");
    let stopped = team.reply("C1", "the stopped answer", stopped).await;
    assert!(!stopped.streaming);
    team.team
        .wait_for(PATIENCE, "the session rests", |team| {
            (team.session("C1", &thread).as_deref() == Some("active")).then_some(())
        })
        .await;
    assert_eq!(team.team.replies("C1").len(), 1);
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_slacks_own_control_a_button_stops_the_answer() {
    let team = start().await;
    team.team.set_agent_sessions(false);
    let say = team.sender.mention("C1", "U1", "slow 60000 one two three", None);
    say.await.expect("acknowledged");
    let running = team.reply("C1", "a stop button", has("Stop")).await;
    assert!(!running.streaming, "{running:?}");
    team.press(&running, "U1", "Stop").await;
    let stopped = team.final_with("C1", "Stopped").await;
    assert_eq!(stopped.ts, running.ts);
    assert_eq!(team.team.replies("C1").len(), 1);
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_from_slack_and_go_there() {
    let team = start().await;
    let heard = team
        .sender
        .share("D1", "U1", "look", ("notes.txt", b"some notes"))
        .await;
    assert_eq!(heard.expect("acknowledged").status, 200);
    team.final_with("D1", "notes.txt has 10 bytes").await;
    team.write("U1", "give report.csv a,b").await;
    team.team
        .wait_for(PATIENCE, "the file", |team| {
            team.files()
                .contains(&("report.csv".to_owned(), b"a,b".to_vec()))
                .then_some(())
        })
        .await;
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shortcut_of_a_message_is_answered_in_its_thread() {
    let team = start().await;
    let ts = team.team.say("C1", "U2", "what is this about", None);
    let said = team.team.messages("C1").remove(0);
    let heard = team.sender.interact(&Sender::shortcut_payload(&said, "U1")).await;
    assert_eq!(heard.expect("acknowledged").status, 200);
    let reply = team.final_with("C1", "Have a look at this message.").await;
    assert!(reply.read().contains("what is this about"), "{}", reply.read());
    assert_eq!(reply.thread_ts, Some(ts));
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shortcut_asks_for_the_question_and_the_answer_is_in_the_direct_conversation() {
    let team = start().await;
    let sent = async |payload: &Value| {
        let heard = team.sender.interact(payload).await.expect("acknowledged");
        assert_eq!(heard.status, 200);
        heard.body
    };
    sent(&team.sender.global_shortcut_payload("U1")).await;
    let view = team.team.views().pop().expect("a form");
    let filled = |text: &str| {
        let values = json!({ "question": { "value": { "type": "plain_text_input", "value": text } } });
        team.sender.submit_payload(&view, "U1", &values)
    };
    let wrong: Value = serde_json::from_str(&sent(&filled(" ")).await).expect("an answer");
    assert_eq!(wrong["errors"]["question"], "Write your question.");
    let done: Value = serde_json::from_str(&sent(&filled("what is a heron")).await).expect("an answer");
    assert_eq!(done["response_action"], "clear");
    team.final_with("D1", "echo: what is a heron").await;
    let quoted = |message: &Message| message.read() == "> what is a heron";
    team.reply("D1", "the question", quoted).await;
    assert_eq!(team.team.replies("D1").len(), 2);
    // It goes on where it began.
    team.write("U1", "recall").await;
    let recalled = |message: &Message| message.read().matches("heron").count() > 0 && message.read().contains("recall");
    team.reply("D1", "the same conversation", recalled).await;
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn command_is_acknowledged_at_once_and_its_word_is_for_that_person_alone() {
    let team = start().await;
    let heard = team
        .sender
        .slash("C1", "U1", "/botyard", "status")
        .await
        .expect("acknowledged");
    // The word comes when the command is carried out, and would come twice if it stood here too.
    assert_eq!((heard.status, heard.body.as_str()), (200, ""));
    let word = team.reply("C1", "a word", |message| {
        message.read().contains("No conversation yet.")
    });
    assert_eq!(word.await.ephemeral_to.as_deref(), Some("U1"));
    assert_eq!(team.team.replies("C1").len(), 1);
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_refreshes_and_cuts() {
    let team = start().await;
    for round in 0..3 {
        let before = team.team.sockets().1;
        match round {
            0 => team.team.refresh_sockets("warning", Duration::from_millis(300)),
            1 => team.team.refresh_sockets("refresh_requested", Duration::ZERO),
            _ => team.team.cut_sockets(),
        }
        team.write("U1", &format!("question {round}")).await;
        team.final_with("D1", &format!("echo: question {round}")).await;
        team.team
            .wait_for(PATIENCE, "another socket", |team| {
                (team.sockets().1 > before).then_some(())
            })
            .await;
    }
    assert_eq!(team.team.replies("D1").len(), 3);
    stop_troubled(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envelope_that_comes_twice_is_acknowledged_twice_and_answered_once() {
    let team = start().await;
    team.team.send_twice();
    team.write("U1", "only once").await;
    team.final_with("D1", "echo: only once").await;
    team.write("U1", "the next").await;
    team.final_with("D1", "echo: the next").await;
    assert_eq!(team.team.replies("D1").len(), 2);
    let counts = |team: &Workspace| {
        let count = |envelope: Envelope| (envelope.sent, envelope.acknowledgements);
        team.envelopes().into_iter().map(count).collect::<Vec<_>>()
    };
    team.team
        .wait_for(PATIENCE, "every acknowledgement", |team| {
            (counts(team) == [(2, 2), (1, 1)]).then_some(())
        })
        .await;
    stop_troubled(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_store_makes_slack_send_the_envelope_again() {
    let team = start().await;
    let other = rusqlite::Connection::open(team.host.folder().join("data/botyard.db")).expect("the store's file");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let release = async {
        team.team
            .wait_for(PATIENCE, "a second sending", |team| {
                team.envelopes().iter().any(|envelope| envelope.sent == 2).then_some(())
            })
            .await;
        other.execute_batch("ROLLBACK").expect("the lock is given back");
    };
    let (ts, ()) = tokio::join!(team.write("U1", "while locked"), release);
    assert!(!ts.is_empty());
    team.final_with("D1", "echo: while locked").await;
    assert_eq!(team.team.replies("D1").len(), 1);
    stop_troubled(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversation_goes_on_over_a_new_socket_after_a_restart() {
    let team = start().await;
    team.write("U1", "permission rm -rf build").await;
    let asked = team.reply("D1", "the question", has("Allow")).await;
    let team = team.restart().await;
    team.press(&asked, "U1", "Allow").await;
    let settled = team
        .reply("D1", "the settled question", |message| message.buttons().is_empty())
        .await;
    assert!(settled.read().contains("llowed"), "{}", settled.read());
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn socket_mode_that_is_switched_off_is_told_to_the_operator() {
    let team = start().await;
    team.team.set_socket_mode(false);
    let refused = |health: &Health| matches!(health, Health::Refused { why } if why.contains("Socket Mode"));
    team.host
        .until("the bot is refused", |host| {
            host.bots().any(|bot| refused(&bot.summary().connection.health))
        })
        .await;
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn burst_of_a_thousand_events_is_acknowledged_and_answered_once() {
    let team = start().await;
    let people = 50;
    let sent = (0..1000).map(|number| {
        let team = &team;
        async move {
            // Most of a busy channel is not for the bot; every 50th is.
            if number % people == 0 {
                let (ts, heard) = team
                    .sender
                    .write(
                        &format!("D{}", 1 + number / people),
                        "U1",
                        &format!("number {number}."),
                        None,
                    )
                    .await
                    .expect("acknowledged");
                assert_eq!(heard.status, 200);
                Some((number, ts))
            } else {
                let text = format!("chat {number}");
                team.sender.write("C1", "U2", &text, None).await.expect("acknowledged");
                None
            }
        }
    });
    for channel in 1..=20 {
        team.team.add_channel(
            &format!("D{channel}"),
            botyard_fakes::slack::Channel {
                direct: true,
                ..Default::default()
            },
        );
    }
    let asked: Vec<_> = stream::iter(sent).buffer_unordered(AT_ONCE).collect().await;
    let asked: Vec<_> = asked.into_iter().flatten().collect();
    assert_eq!(asked.len(), 20);
    for (number, _) in asked {
        let channel = format!("D{}", 1 + number / people);
        team.final_with(&channel, &format!("echo: number {number}.")).await;
        assert_eq!(team.team.replies(&channel).len(), 1, "{channel}");
    }
    assert_eq!(team.team.replies("C1"), Vec::<Message>::new());
    // Each at its first sending, as `stop` sees.
    assert_eq!(acknowledged(&team).len(), 1000);
    stop(team).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_tomorrow_harm_nobody() {
    let team = start().await;
    for (kind, payload) in [
        (
            "events_api",
            json!({ "type": "event_callback", "event": { "type": "invented", "x": [1] } }),
        ),
        ("events_api", json!("no object")),
        ("interactive", json!({ "type": "block_actions", "actions": [] })),
        ("slash_commands", json!({})),
        ("of_tomorrow", json!([1, 2, 3])),
    ] {
        let heard = team.team.envelope(kind, payload).await.expect("acknowledged");
        assert_eq!(heard.body, "");
    }
    team.write("U1", "still there").await;
    team.final_with("D1", "echo: still there").await;
    stop(team).await;
}
