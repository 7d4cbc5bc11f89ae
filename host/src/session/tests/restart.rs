use super::*;
use crate::store::TurnState;

#[tokio::test]
async fn running_turn_is_done_again_with_a_warning_and_the_queue_follows() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (one, cli) = host.talking("ann", "one").await;
    let two = host.send("ann", "two").await;
    let three = host.send("ann", "three").await;
    cli.text("half").await;
    let before = host.chat.until(&one, |view| !view.blocks.is_empty()).await;
    let launch = host.crash(cli).await;

    let mut host = setup.start().await;
    let mut again = host.spawned().await;
    assert_eq!(
        (&again.launch.cli_session, again.launch.resume),
        (&launch.cli_session, true)
    );
    again.ready().await;
    let told = again.prompt().await;
    assert!(
        told.contains("connection to you was lost") && told.ends_with("\n\none"),
        "{told}"
    );
    again.answer("whole").await;
    let view = host.chat.ended(&one).await;
    assert!(view.revision > before.revision);
    assert_eq!(
        seen(&view),
        [
            "! botyard was restarted while this was being worked on; it is done again, so some steps may have run twice",
            "whole"
        ]
    );
    assert_eq!(host.row(&one).await.attempt, 2);
    for (turn, text) in [(two, "two"), (three, "three")] {
        assert_eq!(again.prompt().await, text);
        again.answer("done").await;
        assert_eq!(seen(&host.chat.ended(&turn).await), ["done"]);
    }
}

#[tokio::test]
async fn conversation_that_the_cli_never_kept_is_begun_anew_without_alarm() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (turn, cli) = host.talking("ann", "one").await;
    host.crash(cli).await;
    let mut host = setup.start().await;
    let first = host.spawned().await;
    assert!(first.launch.resume);
    first.exits(Some(FailureKind::NoConversation)).await;
    let mut second = host.spawned().await;
    assert!(!second.launch.resume && second.launch.cli_session != first.launch.cli_session);
    second.ready().await;
    second.prompt().await;
    second.answer("done").await;
    let view = host.chat.ended(&turn).await;
    assert!(
        !seen(&view).iter().any(|line| line.contains("begins afresh")),
        "nothing was lost: {view:?}"
    );
}

#[tokio::test]
async fn turn_that_the_agent_had_begun_itself_ends_with_a_word() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (one, cli) = host.talking("ann", "one").await;
    cli.answer("started").await;
    host.chat.ended(&one).await;
    cli.text("background").await;
    let mut views = host.chat.0.subscribe();
    soon(views.wait_for(|views| views.len() == 2)).await.unwrap();
    let own = host.chat.0.borrow()[1].1.turn.clone();
    host.crash(cli).await;
    let host = setup.start().await;
    assert!(matches!(host.chat.ended(&own).await.state, ViewState::Failed(_)));
    assert_eq!(host.row(&own).await.state, TurnState::Done);
}

#[tokio::test]
async fn close_lets_the_running_turn_finish_and_keeps_what_waits() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (one, mut cli) = host.talking("ann", "one").await;
    let two = host.send("ann", "two").await;
    let registry = host.registry.clone();
    let closing = tokio::spawn(async move { registry.close(LIMIT).await });
    // It runs until it waits, so from here on the sessions close.
    tokio::task::yield_now().await;
    assert_eq!(host.try_send("ann", "three").await, Err(SubmitError::Closed));
    assert_eq!(host.try_send("bob", "one").await, Err(SubmitError::Closed));
    cli.answer("done").await;
    assert_eq!(seen(&host.chat.ended(&one).await), ["done"]);
    let next = cli.command().await;
    assert!(matches!(next, Command::Close), "no new turn begins: {next:?}");
    cli.exits(None).await;
    soon(closing).await.unwrap();
    assert_eq!(host.row(&two).await.state, TurnState::Queued);
    assert!(host.registry.live().is_empty());
}
