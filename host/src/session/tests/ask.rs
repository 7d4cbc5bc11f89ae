use super::*;
use crate::store::{AskState, TurnState};

async fn asks_of(host: &Host, turn: &TurnId) -> Vec<AskState> {
    let turn = turn.clone();
    let asks = host.journal.read(move |store| store.asks_of(&turn)).await.unwrap();
    asks.into_iter().map(|ask| ask.state).collect()
}

#[tokio::test]
async fn allowed_tool_runs_and_the_question_is_settled() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "do it").await;
    cli.asks("r1", "{}").await;
    let view = host.chat.until(&turn, |view| view.state == ViewState::Asking).await;
    assert_eq!(seen(&view), ["Bash: rm: Waiting", "Bash: rm? open"]);
    assert_eq!(host.row(&turn).await.state, TurnState::Asking);
    assert_eq!(asks_of(&host, &turn).await, [AskState::Open]);
    assert!(soon(host.registry.status(&key(&host, "ann"))).await.unwrap().asking);

    host.press(&turn, "Allow").await;
    match cli.command().await {
        Command::Decide { request, allow, .. } => assert_eq!((request.as_str(), allow), ("r1", true)),
        other => panic!("not a decision: {other:?}"),
    }
    assert_eq!(host.row(&turn).await.state, TurnState::Running);
    cli.answer("done").await;
    let view = host.chat.ended(&turn).await;
    assert_eq!(seen(&view)[1..], ["Bash: rm? Allowed by <@U9>", "done"]);
    assert_eq!(asks_of(&host, &turn).await, [AskState::Closed]);
}

#[tokio::test]
async fn denied_tool_is_told_and_the_turn_goes_on() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "do it").await;
    cli.asks("r1", "{}").await;
    host.press(&turn, "Deny").await;
    match cli.command().await {
        Command::Decide { allow, message, .. } => assert!(!allow && !message.is_empty()),
        other => panic!("not a decision: {other:?}"),
    }
    cli.answer("then not").await;
    assert_eq!(
        seen(&host.chat.ended(&turn).await),
        ["Bash: rm: Denied", "Bash: rm? Denied by <@U9>", "then not"]
    );
}

#[tokio::test]
async fn withdrawn_question_cannot_be_answered_any_more() {
    let mut host = Setup::new().start().await;
    let (turn, cli) = host.talking("ann", "do it").await;
    cli.asks("r1", "{}").await;
    host.chat.until(&turn, |view| view.state == ViewState::Asking).await;
    cli.say(AgentEvent::PermissionWithdrawn {
        request: "r1".to_owned(),
    })
    .await;
    let view = host.chat.until(&turn, |view| view.state == ViewState::Running).await;
    assert_eq!(seen(&view)[1], "Bash: rm? No longer needed");
    assert_eq!(asks_of(&host, &turn).await, [AskState::Closed]);
    assert_eq!(host.row(&turn).await.state, TurnState::Running);
}

#[tokio::test]
async fn question_that_nobody_decides_is_denied_in_the_end() {
    let mut setup = Setup::new();
    setup.rules.ask_timeout = Duration::from_millis(50);
    let mut host = setup.start().await;
    let (turn, mut cli) = host.talking("ann", "do it").await;
    cli.asks("r1", "{}").await;
    assert!(matches!(cli.command().await, Command::Decide { allow: false, .. }));
    cli.answer("nobody cared").await;
    assert_eq!(
        seen(&host.chat.ended(&turn).await)[1],
        "Bash: rm? Expired: nobody decided in time"
    );
}

#[tokio::test]
async fn approval_after_a_restart_allows_exactly_that_once() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (turn, cli) = host.talking("ann", "do it").await;
    cli.asks("r1", r#"{"a":1,"b":2}"#).await;
    let asked = host.chat.until(&turn, |view| view.state == ViewState::Asking).await;
    let waiting = host.send("ann", "next").await;
    host.crash(cli).await;

    let mut host = setup.start().await;
    assert_eq!(host.row(&turn).await.state, TurnState::Asking);
    host.chat
        .until(&waiting, |view| view.state == ViewState::Waiting(1))
        .await;
    assert!(host.started.try_recv().is_err(), "no process only to wait");
    // The chat still shows the old question; what can be pressed there is in the stored view.
    let mut views = host.chat.0.borrow().clone();
    if !views.iter().any(|(_, view)| view.turn == turn) {
        views.push((target("ann"), asked.clone()));
        host.chat.0.send_replace(views);
    }
    host.press(&turn, "Allow").await;

    let mut cli = host.spawned().await;
    assert!(cli.launch.resume);
    cli.ready().await;
    let told = cli.prompt().await;
    assert!(
        told.contains("granted") && told.contains(r#"{"a":1,"b":2}"#) && !told.contains("do it"),
        "{told}"
    );
    assert_eq!(host.row(&turn).await.attempt, 2);
    // Another input is asked, the very same is not, and a second time it is asked again.
    cli.asks("r2", r#"{"a":1,"b":3}"#).await;
    host.press(&turn, "Deny").await;
    assert!(matches!(cli.command().await, Command::Decide { allow: false, .. }));
    cli.asks("r3", r#"{ "b":2, "a":1 }"#).await;
    match cli.command().await {
        Command::Decide { request, allow, .. } => assert_eq!((request.as_str(), allow), ("r3", true)),
        other => panic!("not a decision: {other:?}"),
    }
    cli.asks("r4", r#"{"a":1,"b":2}"#).await;
    host.press(&turn, "Deny").await;
    assert!(matches!(cli.command().await, Command::Decide { allow: false, .. }));
    cli.answer("done").await;
    let view = host.chat.ended(&turn).await;
    assert!(view.revision > asked.revision);
    assert_eq!(seen(&view)[1], "Bash: rm? Allowed by <@U9>");
    assert_eq!(cli.prompt().await, "next");
}

#[tokio::test]
async fn decision_that_the_agent_never_heard_is_told_after_the_restart() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (turn, cli) = host.talking("ann", "do it").await;
    cli.asks("r1", "{}").await;
    host.judge(&turn, "Deny").await;
    host.crash(cli).await;

    let mut host = setup.start().await;
    let mut cli = host.spawned().await;
    cli.ready().await;
    assert!(cli.prompt().await.contains("denied"));
    cli.asks("r2", "{}").await;
    host.press(&turn, "Deny").await;
    assert!(matches!(cli.command().await, Command::Decide { allow: false, .. }));
    cli.answer("fine").await;
    let view = host.chat.ended(&turn).await;
    assert_eq!(seen(&view)[..2], ["Bash: rm: Denied", "Bash: rm? Denied by <@U9>"]);
    assert_eq!(asks_of(&host, &turn).await, [AskState::Closed, AskState::Closed]);
}

#[tokio::test]
async fn stop_of_a_question_that_outlived_its_process_ends_it_at_once() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (turn, cli) = host.talking("ann", "do it").await;
    cli.asks("r1", "{}").await;
    host.chat.until(&turn, |view| view.state == ViewState::Asking).await;
    host.crash(cli).await;

    let mut host = setup.start().await;
    assert!(soon(host.registry.stop(&key(&host, "ann"))).await);
    assert_eq!(host.chat.ended(&turn).await.state, ViewState::Stopped);
    assert_eq!(asks_of(&host, &turn).await, [AskState::Closed]);
    assert!(host.started.try_recv().is_err());
}
