//! What people choose, of agents that each have their own.

use super::*;

fn agent(setup: &mut Setup, driver: DriverKind, program: &str, demo: bool) {
    let agent = AgentProfile {
        driver,
        command: vec![program.to_owned()],
        demo,
        ..AgentProfile::clone(&setup.rules.agent)
    };
    setup.rules.agent = Arc::new(agent);
}

/// Chooses a mode, before or after the agent has said which it has.
async fn choose(host: &Host, mode: &str) -> Result<(), ChangeError> {
    let mode = Some(mode.to_owned()).filter(|mode| mode != "own");
    soon(host.registry.change(&key(host, "ann"), Change::Mode(mode))).await
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[tokio::test]
async fn mode_of_an_agent_that_speaks_acp_is_one_that_asks_and_counts_from_its_next_process_on() {
    let mut setup = Setup::new();
    agent(&mut setup, DriverKind::Acp, "/bin/codex-acp", false);
    let mut host = setup.start().await;
    let (one, mut cli) = host.talking("ann", "one").await;
    let offers = Offers {
        modes: Some(words(&["read-only", "workspace-write", "agent", "agent-full-access"])),
        ..Offers::default()
    };
    cli.say(AgentEvent::Offers(offers)).await;
    cli.answer("hi").await;
    host.chat.ended(&one).await;
    // One of them asks nobody, one asks a model.
    let asking = Err(ChangeError::NotOffered(words(&["read-only", "workspace-write"])));
    for mode in ["agent-full-access", "agent", "yolo", "nonsense"] {
        assert_eq!(choose(&host, mode).await, asking, "{mode}");
    }
    assert!(cli.commands.try_recv().is_err(), "nothing was changed");
    assert_eq!(choose(&host, "read-only").await, Ok(()));
    assert!(matches!(cli.command().await, Command::Close));
    cli.exits(None).await;
    let two = host.send("ann", "two").await;
    let mut next = host.spawned().await;
    assert_eq!(
        (next.launch.mode.as_deref(), next.launch.resume),
        (Some("read-only"), true)
    );
    next.ready().await;
    next.prompt().await;
    next.answer("ok").await;
    host.chat.ended(&two).await;
    assert_eq!(choose(&host, "own").await, Ok(()));
    assert!(matches!(next.command().await, Command::Close));
    next.exits(None).await;
    host.send("ann", "three").await;
    assert_eq!(host.spawned().await.launch.mode, None);
}

#[tokio::test]
async fn mode_is_nothing_to_choose_where_none_is_known_to_ask() {
    for (driver, program, demo) in [
        (DriverKind::Acp, "/bin/strange", false),
        (DriverKind::Exec, "/bin/cat", false),
        (DriverKind::Claude, "/bin/botyard", true),
    ] {
        let mut setup = Setup::new();
        agent(&mut setup, driver, program, demo);
        let host = setup.start().await;
        for mode in ["default", "plan", "own"] {
            assert_eq!(choose(&host, mode).await, Err(ChangeError::Unable), "{program} {mode}");
        }
    }
    // One that has told what it has, and has none of those.
    let mut setup = Setup::new();
    agent(&mut setup, DriverKind::Acp, "/bin/gemini", false);
    let mut host = setup.start().await;
    let (one, cli) = host.talking("ann", "one").await;
    assert_eq!(choose(&host, "plan").await, Ok(()), "it may have it");
    let offers = Offers {
        modes: Some(words(&["yolo"])),
        ..Offers::default()
    };
    cli.say(AgentEvent::Offers(offers)).await;
    cli.answer("hi").await;
    host.chat.ended(&one).await;
    assert_eq!(choose(&host, "plan").await, Err(ChangeError::Unable));
}
