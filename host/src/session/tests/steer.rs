//! What is said while the agent works, to an agent that listens.

use super::*;
use crate::driver::{Abilities, Offers};
use crate::store::InboxState;

/// A message for the turn that runs.
async fn steer(host: &Host, text: &str) -> TurnId {
    host.send_as(WhileRunning::Steer, "ann", text).await
}

/// The agent says that it can listen while it works, and the session has heard it.
async fn listens(host: &Host, cli: &Cli) {
    cli.say(AgentEvent::Offers(Offers {
        abilities: Some(Abilities {
            resume: true,
            fork: true,
            images: true,
            approvals: true,
            steer: true,
        }),
        ..Offers::default()
    }))
    .await;
    let heard = async {
        while host
            .registry
            .status(&key(host, "ann"))
            .await
            .is_none_or(|status| status.offers.abilities.is_none())
        {}
    };
    soon(heard).await;
}

#[tokio::test]
async fn message_is_told_to_the_agent_that_works_and_answered_in_the_same_turn() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "build it").await;
    listens(&host, &cli).await;
    cli.text("I begin").await;
    host.chat.until(&turn, |view| seen(view) == ["I begin"]).await;
    assert_eq!(steer(&host, "in red").await, turn);
    let Command::Steer { id, text, .. } = cli.command().await else {
        panic!("it was not told")
    };
    assert_eq!(text, "in red");
    // On disk as a part of the question: nothing of it is lost with the process or the host.
    let row = host.row(&turn).await;
    assert_eq!(row.prompt, "build it\n\nin red");
    // The first words had a result of their own: the turn goes on until the agent has answered the others too.
    cli.say(AgentEvent::Result { outcome: Outcome::Ok }).await;
    cli.say(AgentEvent::Started { id }).await;
    cli.say(AgentEvent::Text {
        block: 2,
        text: "It is red".to_owned(),
        parent: None,
    })
    .await;
    cli.result(Outcome::Ok).await;
    let view = host.chat.ended(&turn).await;
    assert_eq!(seen(&view), ["I begin", "! Told while it works: in red", "It is red"]);
    let told = host.journal.read(|store| {
        let id = store.inbox_find(&BotName::from("team"), "ann-in red")?;
        store.inbox_get(id.expect("it is there"))
    });
    assert_eq!(told.await.unwrap().unwrap().state, InboxState::Done);
}

#[tokio::test]
async fn what_the_agent_was_told_while_it_worked_is_told_again_when_its_process_died() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "build it").await;
    listens(&host, &cli).await;
    assert_eq!(steer(&host, "in red").await, turn);
    assert!(matches!(cli.command().await, Command::Steer { .. }));
    cli.exits(Some(FailureKind::Died)).await;
    let mut next = host.spawned().await;
    next.ready().await;
    let prompt = next.prompt().await;
    assert!(prompt.ends_with("build it\n\nin red"), "{prompt}");
    next.answer("It is red").await;
    assert_eq!(host.chat.ended(&turn).await.state, ViewState::Done);
}

#[tokio::test]
async fn agent_that_cannot_listen_gets_the_message_as_its_next() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "build it").await;
    let next = steer(&host, "in red").await;
    assert_ne!(next, turn);
    host.chat.until(&next, |view| view.state == ViewState::Waiting(1)).await;
    cli.answer("built").await;
    assert_eq!(cli.prompt().await, "in red");
    cli.answer("It is red").await;
    assert_eq!(seen(&host.chat.ended(&next).await), ["It is red"]);
}

#[tokio::test]
async fn word_never_overtakes_one_that_came_before_the_agent_could_listen() {
    let mut host = Setup::new().start().await;
    let turn = host.send("ann", "build it").await;
    let mut cli = host.spawned().await;
    let red = steer(&host, "in red").await;
    cli.ready().await;
    assert_eq!(cli.prompt().await, "build it");
    listens(&host, &cli).await;
    let blue = steer(&host, "no, in blue").await;
    assert!(blue != turn && blue != red, "it waits behind it");
    cli.answer("built").await;
    asked_in_order(&host, &mut cli, [("in red", red), ("no, in blue", blue)]).await;
}

#[tokio::test]
async fn word_that_comes_when_the_agent_has_just_ended_is_answered_in_its_turn_and_not_in_the_next() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "build it").await;
    listens(&host, &cli).await;
    let next = host.send("ann", "something else").await;
    // The session looks at what people say first.
    let said = prompt(host.arrive("ann", "in red").await, "ann", "in red");
    let (registry, key) = (host.registry.clone(), key(&host, "ann"));
    let said = Prompt {
        way: WhileRunning::Steer,
        ..said
    };
    let (told, ()) = soon(async { tokio::join!(registry.submit(&key, said), cli.answer("built")) }).await;
    assert_eq!(told.unwrap(), turn);
    let Command::Steer { id, .. } = cli.command().await else {
        panic!("it was not told")
    };
    cli.say(AgentEvent::Started { id }).await;
    cli.say(AgentEvent::Text {
        block: 2,
        text: "It is red".to_owned(),
        parent: None,
    })
    .await;
    cli.result(Outcome::Ok).await;
    let view = host.chat.ended(&turn).await;
    assert_eq!(seen(&view).last().map(String::as_str), Some("It is red"));
    assert_eq!(cli.prompt().await, "something else");
    cli.answer("else").await;
    assert_eq!(seen(&host.chat.ended(&next).await), ["else"]);
}

/// A turn of ann's that asks, and was told something that its agent did not take up.
async fn told_and_asking(host: &mut Host) -> (TurnId, Cli) {
    let (turn, mut cli) = host.talking("ann", "build it").await;
    listens(host, &cli).await;
    assert_eq!(steer(host, "in red").await, turn);
    assert!(matches!(cli.command().await, Command::Steer { .. }));
    cli.asks("r1", "{}").await;
    host.chat.until(&turn, |view| view.state == ViewState::Asking).await;
    (turn, cli)
}

/// The next process is told all of it, with what was decided, and its answer ends the turn.
async fn told_again(host: &mut Host, turn: &TurnId) {
    let mut next = host.spawned().await;
    next.ready().await;
    let told = next.prompt().await;
    assert!(
        told.contains("granted") && told.ends_with("build it\n\nin red"),
        "{told}"
    );
    next.answer("It is red").await;
    assert_eq!(host.chat.ended(turn).await.state, ViewState::Done);
}

#[tokio::test]
async fn word_that_was_not_heard_before_a_question_is_told_to_the_process_that_goes_on() {
    let mut setup = Setup {
        processes: 1,
        ..Setup::new()
    };
    let mut agent = AgentProfile::clone(&setup.rules.agent);
    agent.limits.asked = Duration::from_secs(600);
    setup.rules.agent = Arc::new(agent);
    let mut host = setup.start().await;
    let (turn, mut cli) = told_and_asking(&mut host).await;
    let bob = host.send("bob", "hello").await;
    host.chat.until(&bob, |view| view.state == ViewState::Waiting(1)).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    tokio::time::resume();
    assert!(matches!(cli.command().await, Command::Kill));
    cli.exits(None).await;
    let mut bobs = host.spawned().await;
    bobs.ready().await;
    assert_eq!(bobs.prompt().await, "hello");
    host.press(&turn, "Allow").await;
    host.chat.until(&turn, |view| view.state == ViewState::Waiting(1)).await;
    bobs.answer("hi").await;
    assert!(matches!(bobs.command().await, Command::Close));
    bobs.exits(None).await;
    told_again(&mut host, &turn).await;
}

#[tokio::test]
async fn word_that_was_not_heard_before_a_question_outlives_the_host() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (turn, cli) = told_and_asking(&mut host).await;
    host.crash(cli).await;
    let mut host = setup.start().await;
    host.press(&turn, "Allow").await;
    told_again(&mut host, &turn).await;
}
