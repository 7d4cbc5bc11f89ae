//! A message's whole journey through Slack: the real host in this process, the strict fake, the scripted CLI.

use std::time::Duration;

use botyard_fakes::slack::{Message, Sender, Trouble};

use crate::host::Setup;
use crate::team::{Team, has};

#[tokio::test(flavor = "multi_thread")]
async fn question_is_answered_once_in_the_same_place() {
    let yard = Team::start(|setup| setup).await;
    yard.write("U1", "hello there").await;
    let reply = yard.final_with("D1", "echo: hello there").await;
    assert_eq!(reply.thread_ts, None);
    assert_eq!(yard.team.replies("D1").len(), 1);
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_and_mention_of_the_same_thing_are_one_question() {
    let yard = Team::start(|setup| setup).await;
    let (ts, _) = yard
        .sender
        .mention("C1", "U1", "what is up", None)
        .await
        .expect("an answer in time");
    let reply = yard.final_with("C1", "echo:").await;
    assert_eq!(
        reply.thread_ts.as_deref(),
        Some(ts.as_str()),
        "the answer opens a thread"
    );
    assert!(reply.read().contains("what is up"), "{}", reply.read());
    // In that thread it need not be mentioned again.
    let (_, heard) = yard
        .sender
        .write("C1", "U2", "and you", Some(&ts))
        .await
        .expect("an answer in time");
    assert_eq!(heard.status, 200);
    yard.final_with("C1", "and you").await;
    assert_eq!(yard.team.replies("C1").len(), 2);
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_delivery_is_acknowledged_and_not_repeated() {
    let yard = Team::start(|setup| setup).await;
    let ts = yard.write("U1", "only once").await;
    yard.final_with("D1", "echo: only once").await;
    let said = yard
        .team
        .messages("D1")
        .into_iter()
        .find(|message| message.ts == ts)
        .expect("it stands there");
    let body = Sender::callback(&yard.sender.message_event(&said), "EvOther");
    let heard = yard
        .sender
        .json(&body, &Sender::retry(1))
        .await
        .expect("an answer in time");
    assert_eq!(heard.status, 200);
    yard.write("U1", "the next").await;
    yard.final_with("D1", "echo: the next").await;
    assert_eq!(yard.team.replies("D1").len(), 2);
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_stale_calls_are_refused_and_nothing_is_stored() {
    let yard = Team::start(|setup| setup).await;
    let mut forger = yard.sender.clone();
    forger.secret = "guessed".into();
    let (_, heard) = forger.write("D1", "U1", "let me in", None).await.expect("an answer");
    assert_eq!(heard.status, 401);
    let counts = yard
        .host
        .host
        .journal()
        .read(|store| store.counts())
        .await
        .expect("counts");
    assert_eq!((counts.inbox_new, counts.turns_open), (0, 0));
    yard.write("U1", "honest").await;
    yard.final_with("D1", "echo: honest").await;
    assert_eq!(yard.team.replies("D1").len(), 1);
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_conversation_are_answered_in_order() {
    let yard = Team::start(|setup| setup).await;
    for number in 1..=5 {
        yard.write("U1", &format!("slow 50 number {number}")).await;
    }
    yard.final_with("D1", "number 5").await;
    let texts: Vec<String> = yard.team.replies("D1").iter().map(Message::read).collect();
    for number in 1..=5 {
        yard.final_with("D1", &format!("number {number}")).await;
    }
    assert_eq!(texts.len(), 5, "{texts:?}");
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_is_asked_and_an_allow_reaches_the_agent() {
    let yard = Team::start(|setup| setup).await;
    yard.write("U1", "permission rm -rf build").await;
    let asked = yard.reply("D1", "the question", has("Allow")).await;
    assert!(asked.read().contains("rm -rf build"), "{}", asked.read());
    yard.press(&asked, "U1", "Allow").await;
    let settled = yard.final_with("D1", "llowed").await;
    assert!(settled.buttons().is_empty());
    // A second press is late and changes nothing.
    let heard = yard
        .sender
        .press(&asked, "U1", &asked.buttons()[0].1)
        .await
        .expect("an answer");
    assert_eq!(heard.status, 200);
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_can_be_denied() {
    let yard = Team::start(|setup| setup).await;
    yard.write("U1", "permission rm -rf build").await;
    let asked = yard.reply("D1", "the question", has("Deny")).await;
    yard.press(&asked, "U1", "Deny").await;
    yard.final_with("D1", "enied").await;
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_cannot_decide() {
    let yard = Team::start(|setup| setup).await;
    yard.write("U1", "permission rm -rf build").await;
    let asked = yard.reply("D1", "the question", has("Allow")).await;
    yard.press(&asked, "U2", "Allow").await;
    let still = yard.reply("D1", "the question still open", has("Allow")).await;
    yard.press(&still, "U1", "Deny").await;
    yard.final_with("D1", "enied").await;
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decision_after_a_restart_reaches_the_resumed_agent() {
    let yard = Team::start(|setup| setup).await;
    yard.write("U1", "permission rm -rf build").await;
    let asked = yard.reply("D1", "the question", has("Allow")).await;
    let yard = yard.restart().await;
    yard.press(&asked, "U1", "Allow").await;
    let settled = yard
        .reply("D1", "the settled question", |message| message.buttons().is_empty())
        .await;
    assert!(settled.read().contains("llowed"), "{}", settled.read());
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_button_ends_the_turn_and_the_next_message_is_answered() {
    let yard = Team::start(|setup| setup).await;
    yard.write("U1", "slow 60000 never").await;
    let running = yard.reply("D1", "a stop button", has("Stop")).await;
    yard.press(&running, "U1", "Stop").await;
    yard.reply("D1", "the stopped view", |message| {
        message.ts == running.ts && message.buttons().is_empty()
    })
    .await;
    yard.write("U1", "go on").await;
    yard.final_with("D1", "echo: go on").await;
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn death_of_the_agent_is_told_and_the_next_message_resumes() {
    let yard = Team::start(|setup| setup).await;
    yard.write("U1", "remember me").await;
    yard.final_with("D1", "echo: remember me").await;
    yard.write("U1", "crash").await;
    yard.reply("D1", "the sentence about the death", |message| {
        message.buttons().is_empty() && !message.read().contains("echo: remember me") && !message.read().is_empty()
    })
    .await;
    yard.write("U1", "recall").await;
    yard.final_with("D1", "| recall").await;
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversation_goes_on_after_a_restart_of_the_host() {
    let yard = Team::start(|setup| setup).await;
    yard.write("U1", "my number is 42").await;
    yard.final_with("D1", "echo: my number is 42").await;
    let yard = yard.restart().await;
    yard.write("U1", "recall").await;
    yard.reply("D1", "what was said before", |message| {
        message.read().contains("my number is 42") && message.read().contains("recall")
            || message.read().matches("my number is 42").count() >= 1 && !message.read().starts_with("echo")
    })
    .await;
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told_once_how_to_be_let_in() {
    let yard = Team::start(|setup| {
        Setup {
            allow: r#"["U1"]"#.into(),
            ..setup
        }
        .with("contact = \"ops@example.com\"")
    })
    .await;
    yard.write("U2", "hello").await;
    let refusal = yard.final_with("D1", "ops@example.com").await;
    assert!(refusal.read().contains("U2"), "{}", refusal.read());
    yard.write("U2", "hello?").await;
    yard.write("U1", "hello").await;
    yard.final_with("D1", "echo: hello").await;
    assert_eq!(yard.team.replies("D1").len(), 2, "one refusal, one answer");
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vendor_in_trouble_gets_the_final_view_in_the_end() {
    let yard = Team::start(|setup| setup).await;
    yard.team
        .trouble(Some("chat.postMessage"), Trouble::RateLimited { seconds: 1 });
    yard.team.trouble(Some("chat.postMessage"), Trouble::Status(503));
    yard.write("U1", "through the storm").await;
    yard.final_with("D1", "echo: through the storm").await;
    assert_eq!(yard.team.replies("D1").len(), 1);
    // It is done, but the answer is lost: it must not stand there twice.
    yard.team.trouble(Some("chat.postMessage"), Trouble::Cut);
    yard.write("U1", "cut off").await;
    yard.final_with("D1", "echo: cut off").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let twice = yard
        .team
        .replies("D1")
        .into_iter()
        .filter(|message| message.read().contains("cut off"))
        .count();
    assert_eq!(twice, 1);
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_answered_by_the_host() {
    let yard = Team::start(|setup| setup).await;
    yard.write("U1", "!help").await;
    yard.final_with("D1", "Begin a new conversation").await;
    yard.write("U1", "remember the sea").await;
    yard.final_with("D1", "echo: remember the sea").await;
    yard.write("U1", "!status").await;
    yard.final_with("D1", "It is idle").await;
    yard.write("U1", "!new").await;
    yard.final_with("D1", "A new conversation begins").await;
    yard.write("U1", "recall").await;
    let recalled = yard
        .reply("D1", "an empty memory", |message| {
            let text = message.read();
            text.contains("recall") || text.contains("nothing")
        })
        .await;
    assert!(!recalled.read().contains("the sea"), "{}", recalled.read());
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_work_side_by_side_in_folders_of_their_own() {
    let team = Team::start(|setup| setup).await;
    team.write("U1", "slow 300 one").await;
    let (_, heard) = team
        .sender
        .mention("C1", "U2", "slow 300 two", None)
        .await
        .expect("an answer in time");
    assert_eq!(heard.status, 200);
    team.final_with("D1", "one").await;
    team.final_with("C1", "two").await;
    let folders = std::fs::read_dir(team.host.folder().join("work"))
        .expect("a workspace")
        .count();
    assert_eq!(folders, 2);
    team.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_store_makes_the_vendor_come_again() {
    let team = Team::start(|setup| setup).await;
    let other = rusqlite::Connection::open(team.host.folder().join("data/botyard.db")).expect("the store's file");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let said = team.team.say("D1", "U1", "while locked", None);
    let said = team
        .team
        .messages("D1")
        .into_iter()
        .find(|message| message.ts == said)
        .expect("it stands there");
    let body = Sender::callback(&team.sender.message_event(&said), "EvLocked");
    // As impatient as Slack, which sends it again after no answer as after a 503.
    match team.sender.json(&body, &[]).await {
        Ok(heard) => assert_eq!(heard.status, 503, "{}", heard.body),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}"),
    }
    other.execute_batch("ROLLBACK").expect("the lock is given back");
    let heard = team
        .sender
        .json(&body, &Sender::retry(1))
        .await
        .expect("an answer in time");
    assert_eq!(heard.status, 200);
    team.final_with("D1", "echo: while locked").await;
    assert_eq!(team.team.replies("D1").len(), 1);
    team.stop().await;
}
