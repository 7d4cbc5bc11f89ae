//! What people do on Discord besides saying something, and what they are given: files, forms, edits, reactions, answers
//! longer than a message.

use botyard_fakes::discord::{ANN, BEN, DIRECT, GENERAL, Message, Trouble};
use serde_json::json;

use crate::guild::{Guild, has};
use crate::host::PATIENCE;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nno more of it";
/// docs.discord.com/developers/resources/message#create-message
const LONGEST: usize = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn files_come_from_discord_and_go_there() {
    let guild = Guild::connected(|setup| setup).await;
    let files: [(&str, &[u8]); 2] = [("plan.png", PNG), ("notes.txt", b"some notes")];
    guild.world.write(DIRECT, ANN, "look", None, &files);
    let seen = guild.final_with(DIRECT, "saw image/png of 21 bytes").await;
    for name in ["plan.png has 21 bytes", "notes.txt has 10 bytes"] {
        assert!(seen.read().contains(name), "{}", seen.read());
    }
    // An image alone, without a word.
    guild.world.write(DIRECT, ANN, "", None, &[("alone.png", PNG)]);
    guild.final_with(DIRECT, "alone.png").await;
    guild.world.say(DIRECT, ANN, "give report.csv a,b");
    guild
        .world
        .wait_for(PATIENCE, "the file", |world| {
            (world.files() == [("report.csv".to_owned(), b"a,b".to_vec())]).then_some(())
        })
        .await;
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_this_server_does_not_take_is_told_with_its_size() {
    let guild = Guild::connected(|setup| setup).await;
    // The words go out first, then the file.
    let posts = Some("POST /channels/300000000000000001/messages");
    guild.world.trouble(posts, Trouble::Nothing);
    guild.world.trouble(posts, Trouble::Code(413, 40_005));
    guild.world.say(DIRECT, ANN, "give report.csv a,b");
    let told = guild.final_with(DIRECT, "too large").await;
    assert!(
        told.read().contains("`report.csv`") && told.read().contains("3 bytes"),
        "{}",
        told.read()
    );
    assert_eq!(guild.world.files(), []);
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_with_a_reason_is_a_form_and_the_agent_reads_it() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.say(DIRECT, ANN, "permission rm x");
    let question = guild.reply(DIRECT, "the question", has("Deny with a reason…")).await;
    for reason in [" ", "not on a Friday"] {
        let opened = guild.world.modals().len();
        guild.world.press(&question, ANN, "Deny with a reason…");
        guild
            .world
            .wait_for(PATIENCE, "the form", |world| {
                (world.modals().len() > opened).then_some(())
            })
            .await;
        let sent = guild.world.submit(ANN, &[("reason", &[reason])]);
        let word = guild
            .world
            .wait_for(PATIENCE, "a word", |world| world.answer_to(&sent))
            .await;
        // What is wrong with it, this person alone is told.
        let expected = if reason == " " { json!(64) } else { json!(null) };
        assert_eq!(word["data"]["flags"], expected, "{word}");
    }
    let denied = guild.final_with(DIRECT, "not on a Friday").await;
    assert!(denied.read().contains("denied: "), "{}", denied.read());
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn question_is_answered_by_a_button_a_list_or_a_form() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.say(DIRECT, ANN, "question");
    let asked = guild.reply(DIRECT, "the question", has("Red")).await;
    guild.world.press(&asked, ANN, "Red");
    guild.final_with(DIRECT, "answered: Red").await;

    guild.world.say(DIRECT, ANN, "question");
    let asked = guild.reply(DIRECT, "the question", has("Something else…")).await;
    guild.world.press(&asked, ANN, "Something else…");
    guild
        .world
        .wait_for(PATIENCE, "the form", |world| (!world.modals().is_empty()).then_some(()))
        .await;
    guild.world.submit(ANN, &[("own0", &["Green"])]);
    guild.final_with(DIRECT, "answered: Green").await;

    // Several of them at once: a list.
    guild.world.say(DIRECT, ANN, "questions");
    let listed = |message: &Message| !message.lists().is_empty();
    let asked = guild.reply(DIRECT, "a list", listed).await;
    let values: Vec<String> = asked.lists()[0]["options"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|option| option["value"].as_str().map(str::to_owned))
        .collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    assert_eq!(values.len(), 2);
    guild.world.choose(&asked, ANN, 0, &values);
    guild.final_with(DIRECT, "answered: Blue, Red").await;
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edited_question_is_asked_again_if_its_writer_wants_it() {
    let guild = Guild::connected(|setup| setup).await;
    let asked = guild.world.say(DIRECT, ANN, "before");
    guild.final_with(DIRECT, "echo: before").await;
    guild.world.change(&asked, "after");
    let offer = guild.reply(DIRECT, "the offer", has("Run again")).await;
    guild.world.press(&offer, ANN, "Run again");
    guild.final_with(DIRECT, "echo: after").await;
    let settled = guild.final_with(DIRECT, "Run again by").await;
    assert_eq!((settled.id, guild.world.replies(DIRECT).len()), (offer.id, 3));
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_message_that_waits_is_never_asked() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.say(DIRECT, ANN, "permission rm -rf build");
    let question = guild.reply(DIRECT, "the question", has("Allow")).await;
    let one = guild.world.say(DIRECT, ANN, "forget me");
    let waits = |message: &Message| message.read().contains("in the queue");
    let place = guild.reply(DIRECT, "its place in the queue", waits).await;
    guild.world.take_away(DIRECT, &[&one]);
    let withdrawn = guild.final_with(DIRECT, "the message was deleted").await;
    assert_eq!(withdrawn.id, place.id);
    guild.world.press(&question, ANN, "Allow");
    guild.world.say(DIRECT, ANN, "recall");
    let recalled = guild.final_with(DIRECT, "recall").await.read();
    assert!(
        recalled.contains("permission rm -rf build") && !recalled.contains("forget me"),
        "{recalled}"
    );
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reaction_of_the_asker_stops_what_it_is_put_on() {
    let guild = Guild::connected(|setup| setup).await;
    for emoji in ["👎", "⏹️"] {
        let thread = guild.world.mention(GENERAL, ANN, "slow 60000 never");
        let running = guild.reply(&thread, "a stop button", has("Stop")).await;
        // Neither somebody else nor another emoji.
        guild.world.react(&running.id, BEN, emoji, true);
        guild.world.react(&running.id, ANN, "👍", true);
        // Behind both.
        guild.world.say(&thread, ANN, "next");
        let waits = |message: &Message| message.read().contains("in the queue");
        guild.reply(&thread, "its place in the queue", waits).await;
        let still = guild
            .reply(&thread, "the running answer", |message| message.id == running.id)
            .await;
        assert!(has("Stop")(&still), "{}", still.read());
        guild.world.react(&running.id, ANN, emoji, true);
        let stopped = guild.final_with(&thread, "Stopped").await;
        assert_eq!(stopped.id, running.id);
        guild.final_with(&thread, "next").await;
    }
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_of_somebody_is_asked_about_with_what_is_attached_to_it() {
    let guild = Guild::called(|setup| setup).await;
    let said = guild.world.write(GENERAL, BEN, "my plan", None, &[("plan.png", PNG)]);
    let asked = guild.world.menu(&said, ANN, "Ask about this");
    assert_eq!(guild.call(&asked).await.body, json!({ "type": 5 }));
    let answer = guild.final_with(GENERAL, "my plan").await;
    assert!(answer.read().contains("plan.png"), "{}", answer.read());
    assert_eq!(guild.world.replies(GENERAL).len(), 1, "the deferred answer, filled");
    guild.stop().await;
}

/// The lines of code that stand within a fence.
fn code(message: &Message) -> Vec<String> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in message.content.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside {
            lines.push(line.to_owned());
        }
    }
    assert!(!inside, "a fence is left open: {}", message.content);
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn long_code_is_several_messages_with_a_fence_each() {
    let guild = Guild::connected(|setup| setup).await;
    let lines: Vec<String> = (0..150)
        .map(|number| format!("let line_{number} = {number};"))
        .collect();
    let text = format!("here\n```rust\n{}\n```\nthe end", lines.join("\n"));
    guild.world.say(DIRECT, ANN, &text);
    guild.final_with(DIRECT, "the end").await;
    let parts = guild.world.replies(DIRECT);
    assert!(parts.len() > 1 && parts.iter().all(|part| part.content.chars().count() <= LONGEST));
    assert_eq!(parts.iter().flat_map(code).collect::<Vec<_>>(), lines);
    let reopened = |part: &Message| part.content.starts_with("```rust");
    assert!(parts[1..].iter().all(reopened), "{parts:#?}");
    assert_eq!(guild.world.files(), []);
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn very_long_answer_is_its_beginning_and_a_file() {
    let guild = Guild::connected(|setup| setup).await;
    guild.world.say(DIRECT, ANN, "words 5000");
    let whole = guild
        .world
        .wait_for(PATIENCE, "the file", |world| world.files().pop())
        .await;
    assert_eq!(whole.0, "answer.md");
    let words: Vec<String> = (0..5000).map(|number| format!("word{number}")).collect();
    let given = String::from_utf8(whole.1).expect("text");
    assert!(given.split_whitespace().eq(words.iter().map(String::as_str)), "{given}");
    let parts = guild.world.replies(DIRECT);
    assert!(parts.len() <= 8, "{} messages", parts.len());
    assert!(parts[0].content.starts_with("word0 word1 "), "{}", parts[0].content);
    assert!(
        parts.iter().any(|part| part.content.contains("`answer.md`")),
        "{parts:#?}"
    );
    guild.stop().await;
}
