use super::*;
use crate::store::{AskState, Decision, TurnState};

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
    assert_eq!(cli.decision().await, ("r1".to_owned(), Answer::Allow));
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
    assert!(matches!(cli.decision().await.1, Answer::Deny(why) if !why.is_empty()));
    cli.answer("then not").await;
    assert_eq!(
        seen(&host.chat.ended(&turn).await),
        ["Bash: rm: Denied", "Bash: rm? Denied by <@U9>", "then not"]
    );
}

#[tokio::test]
async fn what_is_allowed_for_the_session_is_told_to_every_later_process() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (turn, mut cli) = host.talking("ann", "do it").await;
    assert!(cli.launch.allowed.is_empty());
    cli.asks("r1", "{}").await;
    host.press(&turn, "Allow for this session").await;
    let updates = "[\"rm\"]".to_owned();
    assert_eq!(cli.decision().await.1, Answer::AllowLasting(updates.clone()));
    cli.answer("done").await;
    let view = host.chat.ended(&turn).await;
    assert_eq!(seen(&view)[1], "Bash: rm? Allowed for this session by <@U9>");
    host.crash(cli).await;

    let mut host = setup.start().await;
    let again = host.send("ann", "again").await;
    let cli = host.spawned().await;
    assert_eq!(cli.launch.allowed, [updates]);
    cli.ready().await;
    cli.answer("done").await;
    host.chat.ended(&again).await;
    // A new conversation has none of it.
    let key = key(&host, "ann");
    soon(host.registry.reset(&key)).await;
    host.send("ann", "afresh").await;
    cli.exits(None).await;
    assert!(host.spawned().await.launch.allowed.is_empty());
}

#[tokio::test]
async fn changed_input_and_reasons_and_answers_reach_the_agent() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "do it").await;
    let changed = r#"{"command":"ls"}"#.to_owned();
    cli.asks("r1", r#"{"command":"rm"}"#).await;
    host.decide(&turn, Decision::AllowWith(changed.clone())).await;
    assert_eq!(cli.decision().await.1, Answer::AllowWith(changed));
    cli.asks("r2", "{}").await;
    host.decide(&turn, Decision::DenyBecause("not on a Friday".to_owned()))
        .await;
    let told = cli.decision().await.1;
    assert!(
        matches!(&told, Answer::Deny(why) if why.ends_with("says: not on a Friday")),
        "{told:?}"
    );
    let answers = vec![("Which?".to_owned(), "Blue".to_owned())];
    cli.asks("r3", "{}").await;
    host.decide(&turn, Decision::Answer(answers.clone())).await;
    assert_eq!(cli.decision().await.1, Answer::Answers(answers));
    cli.answer("done").await;
    let words: Vec<String> = seen(&host.chat.ended(&turn).await);
    assert_eq!(words[1], "Bash: rm? Allowed with changes by <@U9>: `ls`");
    assert_eq!(words[3], "Bash: rm? Denied by <@U9>: not on a Friday");
    assert_eq!(words[5], "Bash: rm? Answered by <@U9>: Blue");
}

#[tokio::test]
async fn changed_input_after_a_restart_allows_exactly_that_once() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (turn, cli) = host.talking("ann", "do it").await;
    cli.asks("r1", r#"{"command":"rm"}"#).await;
    let changed = Decision::AllowWith(r#"{"command":"ls"}"#.to_owned());
    host.judged(&turn, "Allow", Some(changed)).await;
    host.crash(cli).await;

    let mut host = setup.start().await;
    let mut cli = host.spawned().await;
    cli.ready().await;
    let told = cli.prompt().await;
    assert!(
        told.contains("another input") && told.contains(r#"{"command":"ls"}"#),
        "{told}"
    );
    // What it had asked at first was not allowed.
    cli.asks("r2", r#"{"command":"rm"}"#).await;
    host.press(&turn, "Deny").await;
    assert!(matches!(cli.decision().await.1, Answer::Deny(_)));
    cli.asks("r3", r#"{"command":"ls"}"#).await;
    assert_eq!(cli.decision().await, ("r3".to_owned(), Answer::Allow));
    cli.answer("done").await;
    host.chat.ended(&turn).await;
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
    assert!(matches!(cli.decision().await.1, Answer::Deny(_)));
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
    assert!(matches!(cli.decision().await.1, Answer::Deny(_)));
    cli.asks("r3", r#"{ "b":2, "a":1 }"#).await;
    assert_eq!(cli.decision().await, ("r3".to_owned(), Answer::Allow));
    cli.asks("r4", r#"{"a":1,"b":2}"#).await;
    host.press(&turn, "Deny").await;
    assert!(matches!(cli.decision().await.1, Answer::Deny(_)));
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
    assert!(cli.prompt().await.contains("not granted"));
    cli.asks("r2", "{}").await;
    host.press(&turn, "Deny").await;
    assert!(matches!(cli.decision().await.1, Answer::Deny(_)));
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

/// The open question of this turn.
async fn open_ask(host: &Host, turn: &TurnId) -> crate::store::AskRow {
    let turn = turn.clone();
    let asks = host.journal.read(move |store| store.asks_of(&turn)).await.unwrap();
    asks.into_iter()
        .find(|ask| ask.state == AskState::Open)
        .expect("an open question")
}

/// The time of the question is over: by the wall clock, as the host's housekeeping sees it, or by the session's own.
async fn runs_out(host: &Host, turn: &TurnId, by_the_session: bool) {
    assert!(
        soon(host.registry.status(&key(host, "ann")))
            .await
            .is_some_and(|status| status.asking)
    );
    if by_the_session {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(3601)).await;
        tokio::time::resume();
    } else {
        soon(host.registry.expire(&open_ask(host, turn).await)).await;
    }
}

const EXPIRED: &str = "Bash: rm? Expired: nobody decided in time";

/// The agent that goes on is told, and the chat shows it.
async fn is_expired(host: &mut Host, turn: &TurnId) {
    let mut cli = host.spawned().await;
    assert!(cli.launch.resume);
    cli.ready().await;
    let told = cli.prompt().await;
    assert!(
        told.contains("It was not granted") && told.contains("Nobody decided in time"),
        "{told}"
    );
    cli.answer("then not").await;
    assert_eq!(seen(&host.chat.ended(turn).await)[1..], [EXPIRED, "then not"]);
    assert_eq!(asks_of(host, turn).await, [AskState::Closed]);
}

#[tokio::test]
async fn question_that_outlived_the_host_expires_whoever_sees_it_first() {
    for by_the_session in [true, false] {
        let setup = Setup::new();
        let mut host = setup.start().await;
        let (turn, cli) = host.talking("ann", "do it").await;
        cli.asks("r1", "{}").await;
        host.chat.until(&turn, |view| view.state == ViewState::Asking).await;
        host.crash(cli).await;
        let mut host = setup.start().await;
        runs_out(&host, &turn, by_the_session).await;
        is_expired(&mut host, &turn).await;
    }
}

#[tokio::test]
async fn question_whose_process_gave_way_expires_whoever_sees_it_first() {
    for by_the_session in [true, false] {
        let setup = Setup {
            processes: 1,
            ..Setup::new()
        };
        let mut host = setup.start().await;
        let (turn, mut cli) = host.talking("ann", "do it").await;
        cli.asks("r1", "{}").await;
        host.chat.until(&turn, |view| view.state == ViewState::Asking).await;
        host.send("bob", "hello").await;
        tokio::time::pause();
        tokio::time::advance(setup.rules.agent.limits.asked + Duration::from_secs(1)).await;
        tokio::time::resume();
        assert!(matches!(cli.command().await, Command::Kill));
        cli.exits(None).await;
        let mut bob = host.spawned().await;
        bob.ready().await;
        bob.prompt().await;
        bob.answer("hi").await;
        runs_out(&host, &turn, by_the_session).await;
        assert!(matches!(bob.command().await, Command::Close), "who is idle gives way");
        bob.exits(None).await;
        is_expired(&mut host, &turn).await;
    }
}

#[tokio::test]
async fn question_of_a_process_that_lives_expires_whoever_sees_it_first() {
    for by_the_session in [true, false] {
        let mut host = Setup::new().start().await;
        let (turn, mut cli) = host.talking("ann", "do it").await;
        cli.asks("r1", "{}").await;
        host.chat.until(&turn, |view| view.state == ViewState::Asking).await;
        runs_out(&host, &turn, by_the_session).await;
        let told = cli.decision().await.1;
        assert!(
            matches!(&told, Answer::Deny(why) if why.starts_with("Nobody decided in time")),
            "{told:?}"
        );
        cli.answer("then not").await;
        assert_eq!(seen(&host.chat.ended(&turn).await)[1..], [EXPIRED, "then not"]);
    }
}
