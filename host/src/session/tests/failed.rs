//! Turns that fail while their process lives, and processes that end, or do not end, between turns.

use super::*;

fn failed(kind: FailureKind) -> Outcome {
    Outcome::Failed(Failure {
        kind,
        sentence: format!("Sentence of {kind:?}."),
        cause: "stderr says secret things".to_owned(),
    })
}

#[tokio::test]
async fn turn_that_the_agent_calls_failed_is_told_and_not_repeated() {
    let mut host = Setup::new().start().await;
    let (mut turn, mut cli) = host.talking("ann", "0").await;
    for (at, kind) in [FailureKind::RateLimited, FailureKind::NotLoggedIn, FailureKind::Api]
        .into_iter()
        .enumerate()
    {
        cli.result(failed(kind)).await;
        let view = host.chat.ended(&turn).await;
        assert_eq!(view.state, ViewState::Failed(format!("Sentence of {kind:?}.")));
        assert!(
            !format!("{view:?}").contains("secret"),
            "the cause is for the log alone"
        );
        assert_eq!(host.row(&turn).await.attempt, 1);
        // The same process goes on, and has heard nothing meanwhile.
        let text = (at + 1).to_string();
        turn = host.send("ann", &text).await;
        assert_eq!(cli.prompt().await, text);
    }
    cli.answer("at last").await;
    let view = host.chat.ended(&turn).await;
    assert_eq!((seen(&view), view.state), (vec!["at last".to_owned()], ViewState::Done));
    assert!(cli.commands.try_recv().is_err() && host.started.try_recv().is_err());
}

#[tokio::test]
async fn idle_process_that_died_is_no_turn_and_the_next_message_resumes() {
    let mut host = Setup::new().start().await;
    let (turn, cli) = host.talking("ann", "one").await;
    cli.answer("hi").await;
    host.chat.ended(&turn).await;
    cli.exits(Some(FailureKind::Died)).await;
    soon(async {
        while !host.registry.live().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(host.chat.0.borrow().len(), 1, "nobody is told of it");
    let two = host.send("ann", "two").await;
    let mut again = host.spawned().await;
    assert_eq!(
        (&again.launch.cli_session, again.launch.resume),
        (&cli.launch.cli_session, true)
    );
    again.ready().await;
    assert_eq!(again.prompt().await, "two");
    again.answer("back").await;
    assert_eq!(seen(&host.chat.ended(&two).await), ["back"]);
}

/// Moves the clock on.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn process_that_does_not_leave_is_ended_and_the_next_message_waits_for_that() {
    let mut setup = Setup::new();
    let agent = AgentProfile {
        idle_timeout: Duration::from_millis(20),
        ..AgentProfile::clone(&setup.rules.agent)
    };
    setup.rules.agent = Arc::new(agent);
    let mut host = setup.start().await;
    let (one, mut cli) = host.talking("ann", "one").await;
    cli.answer("hi").await;
    host.chat.ended(&one).await;
    assert!(matches!(cli.command().await, Command::Close));
    let two = host.send("ann", "two").await;
    pass(Duration::from_secs(6)).await;
    assert!(matches!(cli.command().await, Command::Kill));
    assert!(
        host.started.try_recv().is_err(),
        "two processes never share a conversation"
    );
    cli.exits(None).await;
    let mut again = host.spawned().await;
    assert_eq!(
        (&again.launch.cli_session, again.launch.resume),
        (&cli.launch.cli_session, true)
    );
    again.ready().await;
    assert_eq!(again.prompt().await, "two");
    again.answer("back").await;
    host.chat.ended(&two).await;
    // One whose end is never told is let go of, which ends it as well.
    assert!(matches!(again.command().await, Command::Close));
    host.send("ann", "three").await;
    pass(Duration::from_secs(6)).await;
    assert!(matches!(again.command().await, Command::Kill));
    assert!(host.started.try_recv().is_err());
    pass(Duration::from_secs(6)).await;
    let mut third = host.spawned().await;
    assert_eq!(again.commands.recv().await.map(|command| format!("{command:?}")), None);
    third.ready().await;
    assert_eq!(third.prompt().await, "three");
}
