use super::*;
use crate::session::tail::{Happened, Line, Watcher};

/// What is told next, without what it is of.
async fn next(watcher: &mut Watcher) -> Vec<Happened> {
    let lines = soon(watcher.next()).await;
    lines.into_iter().map(|line| line.what).collect()
}

/// All that is told until this comes.
async fn until(watcher: &mut Watcher, last: &Happened) -> Vec<Happened> {
    let mut all = Vec::new();
    while all.last() != Some(last) {
        all.extend(next(watcher).await);
    }
    all
}

fn text(text: &str) -> Happened {
    Happened::Text { text: text.to_owned() }
}

fn ended(state: &str) -> Happened {
    Happened::Ended {
        state: state.to_owned(),
        why: None,
    }
}

fn asked(prompt: &str) -> Happened {
    Happened::Asked {
        asker: "ann".to_owned(),
        prompt: prompt.to_owned(),
    }
}

#[tokio::test]
async fn whoever_watches_is_told_what_is_added_and_how_it_ends() {
    let mut host = Setup::new().start().await;
    let mut watcher = host.registry.tail().watch(None);
    let (turn, mut cli) = host.talking("ann", "one").await;
    let delta = |text: &str| AgentEvent::TextDelta {
        block: 1,
        text: text.to_owned(),
    };
    assert_eq!(next(&mut watcher).await, [asked("one")]);
    cli.say(delta("half")).await;
    assert_eq!(until(&mut watcher, &text("half")).await, [text("half")]);
    // What comes now differs from what was seen; what was said before it stays.
    cli.say(delta(" and more")).await;
    assert_eq!(until(&mut watcher, &text(" and more")).await, [text(" and more")]);
    cli.asks("r1", "{}").await;
    let mut told = Vec::new();
    while !told
        .iter()
        .any(|what| matches!(what, Happened::Question { choices, .. } if !choices.is_empty()))
    {
        told.extend(next(&mut watcher).await);
    }
    let step = |state: &str| Happened::Step {
        title: "Bash: rm".to_owned(),
        state: state.to_owned(),
    };
    assert!(told.contains(&step("waiting")), "{told:?}");
    host.press(&turn, "Allow").await;
    cli.decision().await;
    cli.result(Outcome::Ok).await;
    let told = until(&mut watcher, &ended("done")).await;
    let settled = |what: &Happened| matches!(what, Happened::Settled { .. });
    assert!(told.iter().any(settled), "{told:?}");

    // Of one session, from the middle of a turn on: all of it, and nothing of others.
    let row = soon(host.registry.status(&key(&host, "ann"))).await.unwrap().row;
    host.send("ann", "two").await;
    cli.prompt().await;
    cli.say(delta("second")).await;
    let (_, bob) = host.talking("bob", "hello").await;
    bob.answer("not for ann's").await;
    let mut late = host.registry.tail().watch(Some(row.id.clone()));
    let lines: Vec<Line> = soon(late.next()).await;
    assert!(lines.iter().all(|line| line.session == row.id), "{lines:?}");
    assert_eq!(lines[0].what, asked("two"));
    cli.answer("second and last").await;
    let told = until(&mut late, &ended("done")).await;
    assert!(!format!("{told:?}").contains("not for"), "{told:?}");
}

#[tokio::test]
async fn whoever_is_slow_is_told_so_and_holds_up_nobody() {
    let mut host = Setup::new().start().await;
    let mut watcher = host.registry.tail().watch(None);
    let (mut turn, mut cli) = host.talking("ann", "0").await;
    let turns = 70;
    for number in 1..=turns {
        cli.answer("ok").await;
        host.chat.ended(&turn).await;
        if number < turns {
            turn = host.send("ann", &number.to_string()).await;
            cli.prompt().await;
        }
    }
    let told = next(&mut watcher).await;
    assert_eq!(told[0], Happened::Missed { turns: turns - 64 });
    let ends = told.iter().filter(|what| **what == ended("done")).count();
    assert_eq!(ends, 64);
    assert_eq!(told[1..4], [asked("6"), text("ok"), ended("done")]);
    // From here on it sees everything again.
    host.send("ann", "last").await;
    cli.prompt().await;
    assert_eq!(until(&mut watcher, &asked("last")).await, [asked("last")]);
}

#[tokio::test]
async fn edited_message_is_told_as_it_is() {
    let mut host = Setup::new().start().await;
    let (_, cli) = host.talking("ann", "one").await;
    let two = host.send("ann", "tow").await;
    let anns = key(&host, "ann");
    assert!(soon(host.registry.amend(&anns, &two, "two".to_owned())).await);
    let told = next(&mut host.registry.tail().watch(None)).await;
    assert!(
        told.contains(&asked("two")) && !told.contains(&asked("tow")),
        "{told:?}"
    );
    cli.answer("ok").await;
}

#[tokio::test]
async fn turn_whose_end_cannot_be_stored_is_not_followed_for_ever() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (turn, mut cli) = host.talking("ann", "one").await;
    let store = rusqlite::Connection::open(setup.folder.path().join("store.sqlite")).unwrap();
    store
        .execute_batch("CREATE TRIGGER full BEFORE INSERT ON cli_sessions BEGIN SELECT RAISE(ABORT, 'full'); END")
        .unwrap();
    let (id, model) = ("taken".to_owned(), None);
    cli.say(AgentEvent::Session { id, model }).await;
    cli.text("half").await;
    host.chat.until(&turn, |view| seen(view) == ["half"]).await;
    // Another's by now: what claims it is damaged, and will be.
    let other = "DROP TRIGGER full; INSERT INTO cli_sessions (cli_session, key) VALUES ('taken', 'other')";
    store.execute_batch(other).unwrap();
    cli.result(Outcome::Ok).await;
    let two = host.send("ann", "two").await;
    cli.prompt().await;
    let told = next(&mut host.registry.tail().watch(None)).await;
    assert_eq!(told, [asked("two")]);
    cli.answer("ok").await;
    host.chat.ended(&two).await;
}
