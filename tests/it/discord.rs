//! A message's whole journey through Discord: the real host in this process, the strict fake, the scripted CLI.

mod doings;

use botyard_fakes::discord::{ANN, BEN, DIRECT, GENERAL, Hook};
use serde_json::json;

use crate::guild::{Guild, has};

#[tokio::test(flavor = "multi_thread")]
async fn command_is_deferred_and_answered_in_its_own_place() {
    let guild = Guild::called(|setup| setup).await;
    let asked = guild.world.slash(GENERAL, ANN, "ask", &[("question", "hello there")]);
    let heard = guild.call(&asked).await;
    assert_eq!(heard.body, json!({ "type": 5 }));
    guild.final_with(GENERAL, "echo: Ann: hello there").await;
    assert_eq!(guild.world.replies(GENERAL).len(), 1, "the deferred answer, filled");
    // Discord tells it again: nothing is asked again.
    let hook = Hook::new(guild.world.clone(), guild.host.hook());
    hook.send(&asked).await.expect("an answer in time");
    let next = guild.world.slash(GENERAL, ANN, "ask", &[("question", "the next")]);
    guild.call(&next).await;
    guild.final_with(GENERAL, "echo: Ann: the next").await;
    assert_eq!(guild.world.replies(GENERAL).len(), 2);
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_interactions_are_refused_and_ask_nobody_and_a_ping_is_answered() {
    let guild = Guild::called(|setup| setup).await;
    let hook = Hook::new(guild.world.clone(), guild.host.hook());
    let (honest, forged) = hook.probe().await.expect("an answer in time");
    assert_eq!((honest.status, honest.body), (200, json!({ "type": 1 })));
    assert_eq!(forged.status, 401);
    let asked = guild.world.slash(GENERAL, ANN, "ask", &[("question", "let me in")]);
    let refused = hook.forge(&asked).await.expect("an answer in time");
    assert_eq!(refused.status, 401);
    // What Discord has signed is the only question.
    let honest = guild
        .world
        .slash(GENERAL, ANN, "ask", &[("question", "the honest one")]);
    guild.call(&honest).await;
    guild.final_with(GENERAL, "echo: Ann: the honest one").await;
    assert_eq!(guild.world.replies(GENERAL).len(), 1);
    assert_eq!(guild.world.answer_to(&asked), None);
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_is_asked_and_only_the_asker_decides() {
    let guild = Guild::called(|setup| setup).await;
    let asked = guild
        .world
        .slash(DIRECT, ANN, "ask", &[("question", "permission rm -rf build")]);
    guild.call(&asked).await;
    let question = guild.reply(DIRECT, "the question", has("Allow")).await;
    assert!(question.read().contains("rm -rf build"), "{}", question.read());
    let other = guild.call(&guild.world.press(&question, BEN, "Allow")).await;
    assert_eq!(
        other.body["data"]["flags"], 64,
        "a word for this person alone: {}",
        other.body
    );
    let taken = guild.call(&guild.world.press(&question, ANN, "Allow")).await;
    assert_eq!(taken.body, json!({ "type": 6 }));
    let settled = guild.final_with(DIRECT, "llowed").await;
    assert_eq!(settled.id, question.id);
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_outlives_its_ticket_goes_on_as_a_message() {
    let guild = Guild::called(|setup| setup).await;
    let asked = guild
        .world
        .slash(DIRECT, ANN, "ask", &[("question", "permission rm -rf build")]);
    guild.call(&asked).await;
    let question = guild.reply(DIRECT, "the question", has("Allow")).await;
    guild.world.expire_interactions();
    guild.call(&guild.world.press(&question, ANN, "Allow")).await;
    let settled = guild.final_with(DIRECT, "llowed").await;
    assert_eq!(settled.id, question.id, "its own message is changed without the ticket");
    guild.stop().await;
}
