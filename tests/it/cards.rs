//! What people see of a turn on Feishu and do with it: forms, lists, files, reactions, recalls, long answers.

use botyard_fakes::feishu::{ANN, BEN, DIRECT, GROUP, Message};
use serde_json::json;

use crate::company::{Company, has};

/// The form that a button opened.
async fn opened(company: &Company, chat: &str, submit: &'static str) -> Message {
    company.reply(chat, "the form", has(submit)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reason_of_a_denial_is_filled_into_a_form_and_reaches_the_agent() {
    let company = Company::start().await;
    company.write(GROUP, ANN, "@_user_1 permission rm -rf build").await;
    let asked = company.reply(GROUP, "the question", has("Deny with a reason…")).await;
    let word = company.press(&asked, ANN, "Deny with a reason…").await;
    assert_eq!(word["toast"]["type"], "info", "{word}");
    let form = opened(&company, GROUP, "Send").await;
    assert_eq!(
        (form.parent.as_ref(), form.thread.as_ref()),
        (Some(&asked.id), asked.thread.as_ref())
    );
    // Without a word it stays open; somebody else cannot send it.
    let word = company
        .send(&form, ANN, "Send", Some(&json!({ "of_reason": " " })))
        .await;
    assert_eq!(word["toast"]["type"], "error", "{word}");
    let reason = json!({ "of_reason": "not on a Friday" });
    let word = company.send(&form, ANN, "Send", Some(&reason)).await;
    assert_eq!(word["toast"]["type"], "success", "{word}");
    company.final_with(GROUP, "denied: ").await;
    let told = company.final_with(GROUP, "not on a Friday").await;
    assert_eq!(told.id, asked.id);
    let ended = company.tenant.message(&form.id).expect("it stands there");
    assert!(
        ended.buttons().is_empty() && ended.read().contains("Denied"),
        "{}",
        ended.read()
    );
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn command_is_changed_in_a_form_and_a_question_answered_in_own_words() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "permission rm -rf build").await;
    let asked = company.reply(DIRECT, "the question", has("Edit…")).await;
    company.press(&asked, ANN, "Edit…").await;
    let form = opened(&company, DIRECT, "Allow this").await;
    let stands = &form.content["body"]["elements"][0]["elements"][1]["default_value"];
    assert_eq!(stands, "rm -rf build");
    company
        .send(&form, ANN, "Allow this", Some(&json!({ "of_input": "ls build" })))
        .await;
    company.final_with(DIRECT, "allowed: ls build").await;

    company.write(DIRECT, ANN, "question").await;
    let asked = company.reply(DIRECT, "the question", has("Something else…")).await;
    company.press(&asked, ANN, "Something else…").await;
    let form = opened(&company, DIRECT, "Send").await;
    company
        .send(&form, ANN, "Send", Some(&json!({ "of_own0": "Green" })))
        .await;
    company.final_with(DIRECT, "answered: Green").await;
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_are_chosen_in_a_list_of_the_card() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "questions").await;
    let asked = company.reply(DIRECT, "the list", has("Answer")).await;
    let elements = asked.content["body"]["elements"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let form = elements
        .iter()
        .find(|element| element["tag"] == "form")
        .expect("a form");
    let name = form["elements"][0]["name"].as_str().expect("a list").to_owned();
    company
        .send(&asked, ANN, "Answer", Some(&json!({ name: ["0", "1"] })))
        .await;
    company.final_with(DIRECT, "answered: Blue, Red").await;
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn image_reaches_the_agent_as_an_image_and_files_come_back() {
    let company = Company::start().await;
    let png = b"\x89PNG\r\n\x1a\nno more of it";
    let mut said = company.tenant.say(DIRECT, ANN, "post", &json!({}), None);
    let key = company.tenant.put_file(&said.id, "", png, true);
    said.content = json!({ "content": [[{ "tag": "text", "text": "look" }, { "tag": "img", "image_key": key }]] });
    company.deliver(&company.tenant.message_event(&said)).await;
    company.final_with(DIRECT, "saw image/png of 21 bytes").await;

    // What only calls itself a picture comes as a file.
    for (name, bytes) in [("report.csv", "a,b"), ("plan.png", "no picture")] {
        company.write(DIRECT, ANN, &format!("give {name} {bytes}")).await;
        let given = company.reply(DIRECT, name, |message| {
            message.kind == "file" && company.tenant.file(message) == Some((name.into(), bytes.into()))
        });
        given.await;
    }
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recalled_message_that_waits_is_never_asked() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "permission first").await;
    let asked = company.reply(DIRECT, "the question", has("Allow")).await;
    let waits = company.write(DIRECT, ANN, "forget me").await;
    company
        .reply(DIRECT, "its place in the queue", |message| {
            message.read().contains("Waiting: number")
        })
        .await;
    company.tenant.recall(&waits.id);
    company.deliver(&company.tenant.recall_event(&waits)).await;
    company.final_with(DIRECT, "Withdrawn").await;
    company.press(&asked, ANN, "Allow").await;
    company.write(DIRECT, ANN, "recall").await;
    let recalled = company.final_with(DIRECT, "permission first | ").await;
    assert!(!recalled.read().contains("forget me"), "{}", recalled.read());
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reaction_of_the_asker_stops_the_answer_that_it_is_put_on() {
    let company = Company::start().await;
    company.write(GROUP, ANN, "@_user_1 slow 60000 never mind").await;
    let running = company.reply(GROUP, "a stop button", has("Stop")).await;
    for (who, emoji) in [(BEN, "ThumbsDown"), (ANN, "OK"), (ANN, "ThumbsDown")] {
        let still = company.tenant.message(&running.id).expect("it stands there");
        assert!(has("Stop")(&still), "{who} {emoji}");
        company
            .deliver(&company.tenant.reaction_event(&running, who, emoji, true))
            .await;
    }
    let stopped = company.final_with(GROUP, "Stopped").await;
    assert_eq!(stopped.id, running.id);
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn question_in_a_group_of_topics_is_answered_in_its_topic() {
    let company = Company::start().await;
    // There each message opens a thread, or is in one.
    let first = company.write(GROUP, BEN, "a topic").await;
    let text = json!({ "text": "@_user_1 what is it about" });
    let said = company.tenant.say(GROUP, ANN, "text", &text, Some((&first.id, true)));
    company.deliver(&company.tenant.message_event(&said)).await;
    let reply = company.final_with(GROUP, "what is it about").await;
    assert_eq!((reply.root.as_ref(), &reply.thread), (Some(&first.id), &said.thread));
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answer_rolls_over_to_new_cards_and_nothing_is_cut() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "words 3000").await;
    company.final_with(DIRECT, "word2999").await;
    let cards = company.tenant.replies(DIRECT);
    assert!(cards.len() > 2, "{} cards", cards.len());
    let read: Vec<String> = cards.iter().map(Message::read).collect();
    let words: Vec<String> = read
        .join(" ")
        .split_whitespace()
        .filter(|word| word.starts_with("word"))
        .map(str::to_owned)
        .collect();
    let all: Vec<String> = (0..3000).map(|n| format!("word{n}")).collect();
    assert_eq!(words, all);
    for card in cards {
        let entity = card.card.expect("an entity");
        company
            .tenant
            .wait_for(crate::host::PATIENCE, "the end of its stream", |tenant| {
                tenant.card(&entity).filter(|(_, streaming)| !streaming)
            })
            .await;
    }
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn card_that_streamed_goes_on_after_a_restart_with_higher_numbers() {
    let company = Company::start().await;
    company.write(DIRECT, ANN, "slow 3000 before and after").await;
    let begun = company.reply(DIRECT, "the first half", has("Stop")).await;
    let company = company.restart().await;
    let done = company.final_with(DIRECT, "before and after").await;
    assert_eq!((done.id, done.card), (begun.id, begun.card));
    assert_eq!(company.tenant.replies(DIRECT).len(), 1, "{:?}", company.reads(DIRECT));
    let low: Vec<_> = company
        .tenant
        .calls()
        .into_iter()
        .filter(|call| call.answer["code"] == 300_317)
        .collect();
    assert_eq!(low, []);
    company.stop().await;
}
