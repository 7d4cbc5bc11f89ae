use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Time passes at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// The agent's last word was heard.
async fn heard(host: &Host, cli: &Cli) {
    soon(async {
        while cli.events.capacity() < cli.events.max_capacity() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Whoever answers this is done with that word.
    soon(host.registry.status(&key(host, "ann"))).await;
}

fn notices(view: &View) -> Vec<String> {
    seen(view).into_iter().filter(|line| line.starts_with('!')).collect()
}

const STILL: &str = "! Still working, nothing new for 5 min. After 30 min it is interrupted; Stop ends it now.";
const CUT: &str =
    "! The agent was interrupted, because there was no sign of life for 30 min. It is told so and goes on.";

#[tokio::test]
async fn silent_agent_is_told_of_then_interrupted_and_goes_on_where_it_was() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "one").await;
    cli.text("half").await;
    host.chat.until(&turn, |view| seen(view) == ["half"]).await;
    pass(5 * MINUTE).await;
    host.chat.until(&turn, |view| seen(view) == ["half", STILL]).await;
    cli.say(AgentEvent::Alive).await;
    cli.say(AgentEvent::TextDelta {
        block: 2,
        text: "more".to_owned(),
    })
    .await;
    host.chat.until(&turn, |view| seen(view) == ["half", "more"]).await;

    pass(30 * MINUTE).await;
    assert!(matches!(cli.command().await, Command::Interrupt));
    cli.result(Outcome::Stopped).await;
    let told = cli.prompt().await;
    assert!(
        told.contains("you were interrupted, because there was no sign of life for 30 min.")
            && told.ends_with("\n\none"),
        "{told}"
    );
    cli.text("done").await;
    cli.result(Outcome::Ok).await;
    let view = host.chat.ended(&turn).await;
    assert_eq!(
        (seen(&view), view.state),
        (["half", CUT, "done"].map(str::to_owned).to_vec(), ViewState::Done)
    );
    assert_eq!(host.row(&turn).await.attempt, 2);
    // What was told once is not told again.
    host.send("ann", "two").await;
    assert_eq!(cli.prompt().await, "two");
}

#[tokio::test]
async fn agent_that_does_not_let_go_is_ended_and_nothing_of_it_is_heard_any_more() {
    let mut host = Setup::new().start().await;
    let (turn, mut old) = host.talking("ann", "one").await;
    heard(&host, &old).await;
    pass(31 * MINUTE).await;
    assert!(matches!(old.command().await, Command::Interrupt));
    pass(Duration::from_secs(6)).await;
    assert!(matches!(old.command().await, Command::Kill));
    old.answer("much too late").await;
    assert!(
        host.started.try_recv().is_err(),
        "two processes never share a conversation"
    );
    old.exits(None).await;
    let mut new = host.spawned().await;
    assert_eq!(
        (&new.launch.cli_session, new.launch.resume),
        (&old.launch.cli_session, true)
    );
    new.ready().await;
    let told = new.prompt().await;
    assert!(
        told.contains("no sign of life for 30 min") && told.ends_with("\n\none"),
        "{told}"
    );
    new.answer("done").await;
    assert_eq!(seen(&host.chat.ended(&turn).await), [CUT, "done"]);
    assert_eq!(host.chat.0.borrow().len(), 1, "no turn of its own for what came late");
}

#[tokio::test]
async fn agent_that_is_silent_again_is_given_up_and_the_next_message_tells_it() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "one").await;
    for times in 1..=2 {
        heard(&host, &cli).await;
        pass(31 * MINUTE).await;
        assert!(matches!(cli.command().await, Command::Interrupt));
        cli.result(Outcome::Stopped).await;
        if times == 1 {
            cli.prompt().await;
        }
    }
    let why = "there was no sign of life for 30 min";
    assert_eq!(
        host.chat.ended(&turn).await.state,
        ViewState::Failed(format!("The agent was interrupted: {why}."))
    );
    host.send("ann", "two").await;
    let told = cli.prompt().await;
    assert!(
        told.contains(&format!("your last turn was interrupted, because {why}")),
        "{told}"
    );
    assert!(told.ends_with("]\n\ntwo"), "{told}");
}

#[tokio::test]
async fn next_message_is_told_of_no_cut_where_the_turn_failed_of_something_else() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "one").await;
    heard(&host, &cli).await;
    pass(31 * MINUTE).await;
    assert!(matches!(cli.command().await, Command::Interrupt));
    cli.result(Outcome::Stopped).await;
    cli.prompt().await;
    let failure = Failure {
        kind: FailureKind::Api,
        sentence: "The model failed.".to_owned(),
        cause: String::new(),
    };
    cli.result(Outcome::Failed(failure)).await;
    let failed = ViewState::Failed("The model failed.".to_owned());
    assert_eq!(host.chat.ended(&turn).await.state, failed);
    host.send("ann", "two").await;
    assert_eq!(cli.prompt().await, "two");
}

#[tokio::test]
async fn process_that_resumes_is_told_of_the_cut_also_while_others_wait() {
    let mut setup = Setup::new();
    setup.rules.queue_limit = 12;
    setup.processes = 1;
    let mut host = setup.start().await;
    let (turn, mut cli) = host.talking("ann", "one").await;
    for times in 1..=2 {
        heard(&host, &cli).await;
        pass(31 * MINUTE).await;
        assert!(matches!(cli.command().await, Command::Interrupt));
        cli.result(Outcome::Stopped).await;
        if times == 1 {
            cli.prompt().await;
        }
    }
    host.chat.ended(&turn).await;
    cli.exits(None).await;
    soon(async {
        while !host.registry.live().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The only place is bob's, so that many of hers wait when a process is started.
    let (_, mut bob) = host.talking("bob", "hello").await;
    host.send("ann", "two").await;
    for more in 0..10 {
        host.send("ann", &format!("more {more}")).await;
    }
    bob.answer("hi").await;
    assert!(matches!(bob.command().await, Command::Close));
    bob.exits(None).await;
    let mut new = host.spawned().await;
    new.ready().await;
    let told = new.prompt().await;
    assert!(
        told.contains("your last turn was interrupted") && told.ends_with("]\n\ntwo"),
        "{told}"
    );
}

#[tokio::test]
async fn turn_that_takes_too_long_ends_and_a_process_that_resumes_is_told() {
    let mut host = Setup::new().start().await;
    let (turn, mut old) = host.talking("ann", "one").await;
    heard(&host, &old).await;
    for part in 1..=49_u32 {
        pass(if part == 49 { MINUTE } else { 30 * MINUTE - MINUTE / 2 }).await;
        let text = part.to_string();
        old.say(AgentEvent::TextDelta { block: 1, text }).await;
        heard(&host, &old).await;
        if part == 5 {
            let long = "! Still working, for 2 h by now. It goes on by itself, for 24 h at most; Stop ends it now.";
            host.chat.until(&turn, |view| notices(view) == [long]).await;
        }
    }
    pass(25 * MINUTE).await;
    assert!(matches!(old.command().await, Command::Interrupt));
    pass(Duration::from_secs(6)).await;
    assert!(matches!(old.command().await, Command::Kill));
    let view = host.chat.ended(&turn).await;
    assert_eq!(
        view.state,
        ViewState::Failed("The agent was interrupted: it took longer than 24 h.".to_owned())
    );
    assert_eq!(notices(&view), Vec::<String>::new(), "nobody works any more");
    old.exits(None).await;
    soon(async {
        while !host.registry.live().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    host.send("ann", "two").await;
    let mut new = host.spawned().await;
    new.ready().await;
    let told = new.prompt().await;
    assert!(
        told.contains("was interrupted, because it took longer than 24 h") && told.ends_with("]\n\ntwo"),
        "{told}"
    );
}

#[tokio::test]
async fn step_that_runs_and_a_question_that_waits_are_no_silence() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "one").await;
    cli.say(AgentEvent::Tool {
        call: "c".to_owned(),
        parent: None,
        kind: "execute",
        title: "make".to_owned(),
        detail: String::new(),
    })
    .await;
    host.chat.until(&turn, |view| seen(view) == ["make: Running"]).await;
    pass(29 * MINUTE).await;
    cli.asks("r1", "{}").await;
    host.chat.until(&turn, |view| view.state == ViewState::Asking).await;
    pass(50 * MINUTE).await;
    host.press(&turn, "Allow").await;
    // The first that the agent hears of all this.
    assert_eq!(cli.decision().await, ("r1".to_owned(), Answer::Allow));
    let view = host.chat.until(&turn, |view| view.state == ViewState::Running).await;
    assert_eq!(notices(&view), Vec::<String>::new());
    pass(30 * MINUTE).await;
    let told = "! Still working, a step has run for 30 min without a word. It may take 4 h; Stop ends it now.";
    host.chat.until(&turn, |view| notices(view) == [told]).await;
    cli.answer("done").await;
    let view = host.chat.ended(&turn).await;
    assert_eq!((notices(&view), view.state), (Vec::new(), ViewState::Done));
}

#[tokio::test]
async fn stop_of_a_turn_that_is_being_given_up_ends_it() {
    let mut host = Setup::new().start().await;
    let (turn, mut cli) = host.talking("ann", "one").await;
    heard(&host, &cli).await;
    pass(31 * MINUTE).await;
    assert!(matches!(cli.command().await, Command::Interrupt));
    assert!(soon(host.registry.stop(&key(&host, "ann"))).await);
    cli.result(Outcome::Stopped).await;
    assert_eq!(host.chat.ended(&turn).await.state, ViewState::Stopped);
}
