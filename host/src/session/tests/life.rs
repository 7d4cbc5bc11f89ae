use super::*;

#[tokio::test]
async fn death_before_the_first_word_is_mended_in_silence() {
    let mut host = Setup::new().start().await;
    let (turn, first) = host.talking("ann", "one").await;
    first.exits(Some(FailureKind::Died)).await;
    let mut second = host.spawned().await;
    assert_eq!(
        (&second.launch.cli_session, second.launch.resume),
        (&first.launch.cli_session, true)
    );
    second.ready().await;
    assert_eq!(second.prompt().await, "one");
    second.answer("hi").await;
    let view = host.chat.ended(&turn).await;
    assert_eq!((seen(&view), view.state), (vec!["hi".to_owned()], ViewState::Done));
    assert_eq!(host.row(&turn).await.attempt, 2);
}

#[tokio::test]
async fn death_in_the_middle_is_told_and_the_next_message_resumes() {
    let mut host = Setup::new().start().await;
    let (turn, first) = host.talking("ann", "one").await;
    first
        .say(AgentEvent::TextDelta {
            block: 1,
            text: "half".to_owned(),
        })
        .await;
    first.exits(Some(FailureKind::Died)).await;
    let view = host.chat.ended(&turn).await;
    assert_eq!(view.state, ViewState::Failed("Sentence of Died.".to_owned()));
    assert_eq!(seen(&view), ["half"]);
    assert!(
        !format!("{view:?}").contains("stderr"),
        "the cause is for the log alone"
    );
    host.send("ann", "two").await;
    let second = host.spawned().await;
    assert_eq!(
        (&second.launch.cli_session, second.launch.resume),
        (&first.launch.cli_session, true)
    );
}

pub(super) const GIVEN: &str =
    "! The agent had lost what was said here before; it was given it again, from botyard's log.";

#[tokio::test]
async fn lost_memory_is_given_back_from_the_log_and_told() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (one, mut cli) = host.talking("ann", "one").await;
    cli.answer("hi").await;
    host.chat.ended(&one).await;
    soon(host.registry.stop(&key(&host, "ann"))).await;
    let first = cli.launch.cli_session.clone();
    cli.exits(None).await;
    let two = host.send("ann", "two").await;
    cli = host.spawned().await;
    assert!(cli.launch.resume);
    cli.exits(Some(FailureKind::NoConversation)).await;
    cli = host.spawned().await;
    assert!(!cli.launch.resume && cli.launch.cli_session != first);
    cli.ready().await;
    let told = cli.prompt().await;
    assert!(
        told.contains("<ann said>\none\n<you answered>\nhi\n") && told.ends_with("]\n\ntwo"),
        "{told}"
    );
    cli.answer("welcome back").await;
    let view = host.chat.ended(&two).await;
    assert_eq!(seen(&view), [GIVEN, "welcome back"]);
    // Once is enough.
    host.send("ann", "three").await;
    assert_eq!(cli.prompt().await, "three");
}

/// A host with a session that said something, whose process is gone.
async fn spoken(setup: &Setup, person: &str) -> (Host, Launch) {
    let mut host = setup.start().await;
    let (turn, cli) = host.talking(person, "one").await;
    cli.answer("hi").await;
    host.chat.ended(&turn).await;
    cli.exits(None).await;
    (host, cli.launch)
}

#[tokio::test]
async fn conversation_that_an_agent_cannot_read_is_begun_anew_with_the_log() {
    let (mut host, old) = spoken(&Setup::new(), "ann").await;
    let two = host.send("ann", "two").await;
    let torn = host.spawned().await;
    assert_eq!((&torn.launch.cli_session, torn.launch.resume), (&old.cli_session, true));
    torn.exits(Some(FailureKind::Unready)).await;
    // It may have been for another reason: once more.
    let torn = host.spawned().await;
    assert_eq!((&torn.launch.cli_session, torn.launch.resume), (&old.cli_session, true));
    torn.exits(Some(FailureKind::Unready)).await;
    let mut new = host.spawned().await;
    assert!(!new.launch.resume && new.launch.cli_session != old.cli_session);
    new.ready().await;
    assert!(new.prompt().await.contains("<you answered>\nhi\n"));
    new.answer("ok").await;
    assert_eq!(seen(&host.chat.ended(&two).await), [GIVEN, "ok"]);
}

#[tokio::test]
async fn what_is_given_back_of_a_long_conversation_is_said_to_be_its_newest_part() {
    const NEWEST: &str =
        "! The agent had lost what was said here before; it was given the newest part of it again, from botyard's log.";
    // The log is longer than what is given; turns are more than are looked at; the oldest is not in the log any more.
    for case in ["long", "many", "forgotten"] {
        let setup = Setup::new();
        let (host, _) = spoken(&setup, "ann").await;
        let mut host = host;
        let two = host.send("ann", "two").await;
        let mut cli = host.spawned().await;
        cli.ready().await;
        cli.prompt().await;
        let words = if case == "long" {
            "x".repeat(48 * 1024 - 50)
        } else {
            "ok".to_owned()
        };
        cli.answer(&words).await;
        host.chat.ended(&two).await;
        let last = host.row(&two).await;
        let changed = host.journal.write(move |store| {
            match case {
                "many" => {
                    for n in 0..200 {
                        let id = TurnId::from(format!("t{n}").as_str());
                        let view = last.view.clone().map(|view| View {
                            turn: id.clone(),
                            ..view
                        });
                        store.turn_put(&TurnRow {
                            id,
                            inbox: None,
                            prompt: format!("again {n}"),
                            opened: last.opened + 1 + n,
                            view,
                            ..last.clone()
                        })?;
                    }
                }
                "forgotten" => {
                    let first = store.turns_of(&last.session_id, 9)?.pop().expect("the first");
                    assert_eq!(first.prompt, "one");
                    store.turn_put(&TurnRow {
                        session_id: crate::chat::SessionId("other".to_owned()),
                        ..first
                    })?;
                }
                _ => {}
            }
            Ok(())
        });
        changed.await.unwrap();
        cli.exits(None).await;
        let three = host.send("ann", "three").await;
        host.spawned().await.exits(Some(FailureKind::NoConversation)).await;
        let mut new = host.spawned().await;
        new.ready().await;
        let told = new.prompt().await;
        assert!(
            told.contains("(More was said; that is left out.)\n<ann said>\n"),
            "{case}: {told}"
        );
        assert!(
            !told.contains("<ann said>\none\n") && told.ends_with("]\n\nthree"),
            "{case}: {told}"
        );
        new.answer("ok").await;
        assert_eq!(seen(&host.chat.ended(&three).await), [NEWEST, "ok"], "{case}");
    }
}

#[tokio::test]
async fn one_failed_start_of_a_resumed_agent_loses_nothing() {
    let (mut host, old) = spoken(&Setup::new(), "ann").await;
    for (kind, message) in [(FailureKind::Unready, "two"), (FailureKind::Died, "three")] {
        let turn = host.send("ann", message).await;
        host.spawned().await.exits(Some(kind)).await;
        let mut again = host.spawned().await;
        assert_eq!(
            (&again.launch.cli_session, again.launch.resume),
            (&old.cli_session, true)
        );
        again.ready().await;
        assert_eq!(again.prompt().await, message);
        again.answer("ok").await;
        assert_eq!(seen(&host.chat.ended(&turn).await), ["ok"]);
        again.exits(None).await;
    }
}

#[tokio::test]
async fn what_was_lost_before_the_host_ended_is_given_back_by_the_next() {
    let setup = Setup::new();
    let (mut host, _) = spoken(&setup, "ann").await;
    let two = host.send("ann", "two").await;
    host.spawned().await.exits(Some(FailureKind::NoConversation)).await;
    // Another conversation is to be begun, and cannot be.
    host.spawned().await.exits(Some(FailureKind::Start)).await;
    assert!(matches!(host.chat.ended(&two).await.state, ViewState::Failed(_)));
    soon(host.registry.close(Duration::ZERO)).await;
    soon(host.outbox.close(Duration::ZERO)).await;
    soon(host.journal.close()).await;
    let mut host = setup.start().await;
    let three = host.send("ann", "three").await;
    let mut new = host.spawned().await;
    assert!(!new.launch.resume);
    new.ready().await;
    let told = new.prompt().await;
    assert!(
        told.contains("<you answered>\nhi\n") && told.ends_with("]\n\nthree"),
        "{told}"
    );
    new.answer("ok").await;
    assert_eq!(seen(&host.chat.ended(&three).await), [GIVEN, "ok"]);
}

#[tokio::test]
async fn agent_that_cannot_begin_either_has_lost_nothing() {
    let (mut host, old) = spoken(&Setup::new(), "ann").await;
    let two = host.send("ann", "two").await;
    for resume in [true, true, false] {
        let broken = host.spawned().await;
        assert_eq!(broken.launch.resume, resume);
        broken.exits(Some(FailureKind::Unready)).await;
    }
    let failed = ViewState::Failed("Sentence of Unready.".to_owned());
    assert_eq!(host.chat.ended(&two).await.state, failed);
    // Whoever runs it has mended it: the conversation goes on.
    let three = host.send("ann", "three").await;
    let mut cli = host.spawned().await;
    assert_eq!((&cli.launch.cli_session, cli.launch.resume), (&old.cli_session, true));
    cli.ready().await;
    assert_eq!(cli.prompt().await, "three");
    cli.answer("ok").await;
    assert_eq!(seen(&host.chat.ended(&three).await), ["ok"]);
}

#[tokio::test]
async fn conversation_of_another_session_is_not_gone_on_with() {
    let (mut host, of_ann) = spoken(&Setup::new(), "ann").await;
    let (one, cli) = host.talking("bob", "one").await;
    cli.say(AgentEvent::Session {
        id: of_ann.cli_session.clone(),
        model: None,
    })
    .await;
    cli.answer("hi bob").await;
    host.chat.ended(&one).await;
    let two = host.send("bob", "two").await;
    let mut cli = cli;
    assert!(matches!(cli.command().await, Command::Close));
    cli.exits(None).await;
    let mut new = host.spawned().await;
    assert!(!new.launch.resume, "a conversation of his own");
    assert!(![&of_ann.cli_session, &cli.launch.cli_session].contains(&&new.launch.cli_session));
    new.ready().await;
    let told = new.prompt().await;
    assert!(
        told.contains("<you answered>\nhi bob\n") && told.ends_with("]\n\ntwo"),
        "{told}"
    );
    new.answer("ok").await;
    assert_eq!(seen(&host.chat.ended(&two).await), [GIVEN, "ok"]);
    // Ann's goes on as it was.
    host.send("ann", "two").await;
    let again = host.spawned().await;
    assert_eq!(
        (&again.launch.cli_session, again.launch.resume),
        (&of_ann.cli_session, true)
    );
}

#[tokio::test]
async fn another_agent_is_given_what_was_said_to_the_one_before() {
    let mut setup = Setup::new();
    let (host, old) = spoken(&setup, "ann").await;
    soon(host.registry.close(Duration::ZERO)).await;
    soon(host.outbox.close(Duration::ZERO)).await;
    soon(host.journal.close()).await;
    let mut agent = AgentProfile::clone(&setup.rules.agent);
    agent.name = "other".to_owned();
    setup.rules.agent = Arc::new(agent);
    let mut host = setup.start().await;
    host.send("ann", "two").await;
    let mut new = host.spawned().await;
    assert!(!new.launch.resume && new.launch.cli_session != old.cli_session);
    new.ready().await;
    let told = new.prompt().await;
    assert!(
        told.contains("<ann said>\none\n<you answered>\nhi\n") && told.ends_with("]\n\ntwo"),
        "{told}"
    );
}

#[tokio::test]
async fn agent_that_cannot_start_says_so_in_one_sentence() {
    let mut host = Setup::new().start().await;
    let turn = host.send("ann", "one").await;
    host.spawned().await.exits(Some(FailureKind::Start)).await;
    assert_eq!(
        host.chat.ended(&turn).await.state,
        ViewState::Failed("Sentence of Start.".to_owned())
    );
}

#[tokio::test]
async fn idle_process_leaves_and_the_next_message_resumes_it() {
    let mut setup = Setup::new();
    let agent = AgentProfile {
        idle_timeout: Duration::from_millis(20),
        ..AgentProfile::clone(&setup.rules.agent)
    };
    setup.rules.agent = Arc::new(agent);
    let mut host = setup.start().await;
    let (turn, mut cli) = host.talking("ann", "one").await;
    cli.answer("hi").await;
    host.chat.ended(&turn).await;
    assert!(matches!(cli.command().await, Command::Close));
    // Before it is gone a message comes: it waits for the end of the old process.
    let two = host.send("ann", "two").await;
    assert!(host.started.try_recv().is_err());
    cli.exits(None).await;
    let mut again = host.spawned().await;
    assert_eq!(
        (&again.launch.cli_session, again.launch.resume),
        (&cli.launch.cli_session, true)
    );
    again.ready().await;
    assert_eq!(again.prompt().await, "two");
    again.answer("back").await;
    assert_eq!(seen(&host.chat.ended(&two).await), ["back"]);
    assert!(matches!(again.command().await, Command::Close));
    again.exits(None).await;
    soon(async {
        while !host.registry.live().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let status = soon(host.registry.status(&key(&host, "ann"))).await.unwrap();
    assert_eq!(
        (status.live, status.cli_session),
        (false, Some(cli.launch.cli_session.clone()))
    );
}

#[tokio::test]
async fn idle_process_gives_way_to_another_session() {
    let setup = Setup {
        processes: 1,
        ..Setup::new()
    };
    let mut host = setup.start().await;
    let (ann, mut first) = host.talking("ann", "one").await;
    let bob = host.send("bob", "hello").await;
    host.chat.until(&bob, |view| view.state == ViewState::Waiting(1)).await;
    first.answer("hi").await;
    host.chat.ended(&ann).await;
    assert!(matches!(first.command().await, Command::Close));
    first.exits(None).await;
    let mut second = host.spawned().await;
    second.ready().await;
    assert_eq!(second.prompt().await, "hello");
    second.answer("hi bob").await;
    assert_eq!(seen(&host.chat.ended(&bob).await), ["hi bob"]);
}

#[tokio::test]
async fn reset_ends_the_turn_and_forgets_the_conversation() {
    let mut host = Setup::new().start().await;
    let (turn, mut first) = host.talking("ann", "one").await;
    soon(host.registry.reset(&key(&host, "ann"))).await;
    assert!(matches!(first.command().await, Command::Kill));
    assert_eq!(host.chat.ended(&turn).await.state, ViewState::Stopped);
    first.exits(None).await;
    host.send("ann", "two").await;
    let mut second = host.spawned().await;
    assert!(!second.launch.resume);
    assert_ne!(second.launch.cli_session, first.launch.cli_session);
    assert_ne!(second.launch.workspace, first.launch.workspace);
    second.ready().await;
    assert_eq!(second.prompt().await, "two");
}

#[tokio::test]
async fn newest_id_of_the_conversation_is_the_one_that_is_resumed() {
    let mut host = Setup::new().start().await;
    let (turn, cli) = host.talking("ann", "one").await;
    cli.say(AgentEvent::Session {
        id: "newer".to_owned(),
        model: None,
    })
    .await;
    cli.answer("hi").await;
    host.chat.ended(&turn).await;
    cli.exits(None).await;
    host.send("ann", "two").await;
    let again = host.spawned().await;
    assert_eq!(
        (again.launch.cli_session.as_str(), again.launch.resume),
        ("newer", true)
    );
}

#[tokio::test]
async fn places_go_round_among_people_and_each_sees_how_many_are_before() {
    let setup = Setup {
        processes: 1,
        ..Setup::new()
    };
    let mut host = setup.start().await;
    let (_, mut cli) = host.talking("ann", "one").await;
    let mut turns = Vec::new();
    for (before, person) in [(0, "bob"), (1, "eve")] {
        let turn = host.send(person, "hello").await;
        let words = match before {
            0 => "! Waiting for a free place; this is next.".to_owned(),
            before => format!("! Waiting for a free place ({before} before you)."),
        };
        let waits = |view: &View| view.state == ViewState::Waiting(before + 1) && seen(view) == [words.clone()];
        host.chat.until(&turn, waits).await;
        turns.push((person, turn));
    }
    for (person, turn) in turns {
        cli.answer("done").await;
        assert!(matches!(cli.command().await, Command::Close), "who is idle gives way");
        if person == "bob" {
            // Who had a turn comes after those that wait: eve is before her.
            let again = host.send("ann", "two").await;
            cli.exits(None).await;
            host.chat
                .until(&again, |view| view.state == ViewState::Waiting(2))
                .await;
        } else {
            cli.exits(None).await;
        }
        cli = host.spawned().await;
        cli.ready().await;
        assert_eq!(cli.prompt().await, "hello");
        let view = host.chat.until(&turn, |view| view.state == ViewState::Running).await;
        assert_eq!(seen(&view), Vec::<String>::new(), "it waits no more");
    }
    cli.answer("done").await;
    assert!(matches!(cli.command().await, Command::Close));
    cli.exits(None).await;
    let mut last = host.spawned().await;
    last.ready().await;
    assert_eq!(last.prompt().await, "two");
}

#[tokio::test]
async fn process_gives_way_while_a_question_waits_but_only_after_a_while() {
    let mut setup = Setup {
        processes: 1,
        ..Setup::new()
    };
    let mut agent = AgentProfile::clone(&setup.rules.agent);
    agent.limits.asked = Duration::from_secs(600);
    setup.rules.agent = Arc::new(agent);
    let mut host = setup.start().await;
    let (ann, mut first) = host.talking("ann", "do it").await;
    first.asks("r1", "{}").await;
    host.chat.until(&ann, |view| view.state == ViewState::Asking).await;
    let bob = host.send("bob", "hello").await;
    host.chat.until(&bob, |view| view.state == ViewState::Waiting(1)).await;
    assert!(first.commands.try_recv().is_err(), "not yet");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    tokio::time::resume();
    assert!(matches!(first.command().await, Command::Kill));
    first.exits(None).await;
    let mut second = host.spawned().await;
    second.ready().await;
    assert_eq!(second.prompt().await, "hello");
    // The question stands as it was, and is answered by another process, once there is a place.
    assert_eq!(host.chat.view(&ann).map(|view| view.state), Some(ViewState::Asking));
    host.press(&ann, "Allow").await;
    host.chat.until(&ann, |view| view.state == ViewState::Waiting(1)).await;
    second.answer("hi bob").await;
    assert!(matches!(second.command().await, Command::Close));
    second.exits(None).await;
    let mut third = host.spawned().await;
    assert_eq!(
        (&third.launch.cli_session, third.launch.resume),
        (&first.launch.cli_session, true)
    );
    third.ready().await;
    let told = third.prompt().await;
    assert!(
        told.contains("the tool Bash with the input {}") && told.contains("granted"),
        "{told}"
    );
    // It asks again, and exactly that is let through without a person.
    third.asks("r2", "{}").await;
    assert_eq!(third.decision().await, ("r2".to_owned(), Answer::Allow));
    // What was allowed once is not allowed once more when the turn gives way again; who waits behind it holds nothing.
    third.asks("r3", r#"{"b":1}"#).await;
    host.chat.until(&ann, |view| view.state == ViewState::Asking).await;
    host.send("ann", "hello?").await;
    host.send("bob", "and now").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    tokio::time::resume();
    assert!(matches!(third.command().await, Command::Kill));
    third.exits(None).await;
    let mut fourth = host.spawned().await;
    fourth.ready().await;
    assert_eq!(fourth.prompt().await, "and now");
    host.press(&ann, "Allow").await;
    fourth.answer("hi again").await;
    assert!(matches!(fourth.command().await, Command::Close));
    fourth.exits(None).await;
    let mut fifth = host.spawned().await;
    fifth.ready().await;
    let told = fifth.prompt().await;
    assert!(
        told.contains(r#"the input {"b":1}"#) && !told.contains("the input {}"),
        "{told}"
    );
    fifth.asks("r4", "{}").await;
    host.chat.until(&ann, |view| view.state == ViewState::Asking).await;
    assert!(fifth.commands.try_recv().is_err(), "a person decides");
    host.press(&ann, "Deny").await;
    fifth.decision().await;
    fifth.answer("done").await;
    assert_eq!(host.chat.ended(&ann).await.state, ViewState::Done);
}
