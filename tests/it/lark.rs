//! Feishu's webhook: the real host, the strict fake as the caller, the scripted CLI.

use botyard_fakes::feishu::{ANN, DIRECT, GROUP, Heard, Sender, Tenant};
use serde_json::{Value, json};

use crate::company::{Company, button, has};

async fn start(encrypted: bool) -> Company {
    Company::start_with(Tenant::new(), |setup| setup.over_webhook(encrypted)).await
}

fn said(heard: &Heard) -> Value {
    assert_eq!(heard.status, 200, "{}", heard.body);
    serde_json::from_str(&heard.body).expect("the answer is JSON")
}

fn sender(company: &Company, encrypted: bool) -> Sender {
    let sender = company.sender();
    if encrypted { sender } else { sender.plain() }
}

#[tokio::test(flavor = "multi_thread")]
async fn address_is_tried_and_events_are_answered_with_a_key_and_without() {
    for encrypted in [true, false] {
        let company = start(encrypted).await;
        let sender = sender(&company, encrypted);
        // What is slow the first time is not measured.
        let _ = sender.challenge("first").await;
        let heard = sender.challenge("a word").await.expect("within a second");
        assert_eq!(said(&heard), json!({ "challenge": "a word" }));
        let message = company.tenant.write(DIRECT, ANN, "hello there");
        let event = company.tenant.message_event(&message);
        for _ in 0..2 {
            let heard = sender.event(&event).await.expect("in time");
            assert_eq!(said(&heard), json!({}));
        }
        company.final_with(DIRECT, "echo: hello there").await;
        let message = company.tenant.write(DIRECT, ANN, "the next");
        sender
            .event(&company.tenant.message_event(&message))
            .await
            .expect("in time");
        company.final_with(DIRECT, "echo: the next").await;
        assert_eq!(company.tenant.replies(DIRECT).len(), 2);
        assert_eq!(company.tenant.opened(), 0, "there is no long connection in this mode");
        company.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_calls_are_refused_and_nothing_comes_of_them() {
    let company = start(true).await;
    let message = company.tenant.write(DIRECT, ANN, "let me in");
    let event = company.tenant.message_event(&message);
    let right = company.sender().call(&event);
    let mut unsigned = right.clone();
    unsigned.headers.retain(|(name, _)| name != "X-Lark-Signature");
    let mut altered = right;
    altered.body.push(' ');
    let mut stranger = company.sender().plain();
    stranger.token = "guessed".into();
    let plain = company.sender().plain().call(&event);
    for call in [unsigned, altered, stranger.call(&event), plain] {
        let heard = company
            .sender()
            .send(&call, std::time::Duration::from_secs(3))
            .await
            .expect("an answer");
        assert_eq!(heard.status, 401, "{call:?}");
    }
    let honest = company.tenant.write(DIRECT, ANN, "honest");
    let heard = company.sender().event(&company.tenant.message_event(&honest)).await;
    assert_eq!(heard.expect("in time").status, 200);
    company.final_with(DIRECT, "echo: honest").await;
    assert_eq!(company.tenant.replies(DIRECT).len(), 1);
    company.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presses_of_both_kinds_get_their_toast_in_the_answer() {
    let company = start(true).await;
    let sender = company.sender();
    let ask = async |number: u32| {
        let text = format!("@_user_1 permission rm -rf build-{number}");
        let message = company.tenant.write(GROUP, ANN, &text);
        let heard = sender.event(&company.tenant.message_event(&message)).await;
        assert_eq!(heard.expect("in time").status, 200);
        let number = format!("build-{number}");
        company
            .reply(GROUP, "the question", |message| {
                has("Allow")(message) && message.read().contains(&number)
            })
            .await
    };
    let asked = ask(1).await;
    let event = company.tenant.press_event(&asked, ANN, &button(&asked, "Allow"), None);
    let word = said(&sender.event(&event).await.expect("in time"));
    assert_eq!(word["toast"]["type"], "success", "{word}");
    company.final_with(GROUP, "llowed").await;

    // A card request URL of the old kind: plain, and signed with the token.
    let asked = ask(2).await;
    let body = json!({
        "open_id": ANN, "open_message_id": asked.id, "open_chat_id": GROUP, "token": "c-1",
        "tenant_key": botyard_fakes::feishu::TENANT,
        "action": { "tag": "button", "value": button(&asked, "Deny").value },
    });
    let word = said(&sender.old_card(&body).await.expect("in time"));
    assert_eq!(word["toast"]["type"], "success", "{word}");
    company.final_with(GROUP, "enied").await;
    company.stop().await;
}
