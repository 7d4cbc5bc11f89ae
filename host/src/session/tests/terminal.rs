use super::*;
use crate::session::takeover::{self, Held, Takeover};
use crate::store::SessionRow;

const AWAY: &str = "! This conversation is open in a terminal; the message waits until it is back.";

/// A host whose session of ann's said something, and its row.
async fn said(setup: &Setup) -> (Host, Cli, SessionRow) {
    let mut host = setup.start().await;
    let (turn, cli) = host.talking("ann", "one").await;
    cli.answer("hi").await;
    host.chat.ended(&turn).await;
    let row = soon(host.registry.status(&key(&host, "ann"))).await.unwrap().row;
    (host, cli, row)
}

fn take(setup: &Setup, row: &SessionRow) -> Takeover {
    Takeover::take(&setup.rules.data_dir, &row.id).expect("nobody has it")
}

#[tokio::test]
async fn session_that_is_taken_over_has_no_process_and_begins_no_turn_until_it_is_back() {
    let setup = Setup::new();
    let (mut host, mut cli, row) = said(&setup).await;
    let mut takeover = take(&setup, &row);
    assert!(Takeover::take(&setup.rules.data_dir, &row.id).is_err(), "one at a time");
    let registry = host.registry.clone();
    let (of, id) = (row.key.clone(), row.id.clone());
    let attaching = tokio::spawn(async move { registry.attach(&of, &id, false).await });
    assert!(matches!(cli.command().await, Command::Close));
    tokio::task::yield_now().await;
    assert!(!attaching.is_finished(), "the process still writes");
    cli.exits(None).await;
    let given = soon(attaching).await.unwrap().expect("it is given");
    assert_eq!(given.cli_session.as_deref(), Some(cli.launch.cli_session.as_str()));
    takeover
        .program(&setup.rules.ground(), &given)
        .expect("the agent has a form for it");

    let two = host.send("ann", "two").await;
    let three = host.send("ann", "three").await;
    for (turn, place) in [(&two, 1), (&three, 2)] {
        let waits = |view: &View| view.state == ViewState::Waiting(place) && seen(view) == [AWAY];
        host.chat.until(turn, waits).await;
    }
    assert!(soon(host.registry.status(&row.key)).await.unwrap().away);
    assert!(host.started.try_recv().is_err());
    // It is not to be had by another way either.
    let away = Err(ChangeError::Away);
    assert_eq!(
        soon(host.registry.delete(&row.key, &row.id, "ann")).await,
        away.map(|()| Vec::new())
    );

    drop(takeover);
    let mut again = host.spawned().await;
    assert_eq!(
        (&again.launch.cli_session, again.launch.resume),
        (&cli.launch.cli_session, true)
    );
    again.ready().await;
    for (turn, text) in [(two, "two"), (three, "three")] {
        assert_eq!(again.prompt().await, text);
        again.answer("ok").await;
        assert_eq!(seen(&host.chat.ended(&turn).await), ["ok"]);
    }
    assert!(matches!(takeover::held(&setup.rules.data_dir, &row.id), Held::Free));
}

#[tokio::test]
async fn another_session_of_the_same_person_goes_on_while_one_is_away() {
    let setup = Setup::new();
    let (mut host, cli, row) = said(&setup).await;
    let takeover = take(&setup, &row);
    cli.exits(None).await;
    soon(host.registry.attach(&row.key, &row.id, false))
        .await
        .expect("it is given");
    soon(host.registry.reset(&row.key)).await;
    let turn = host.send("ann", "elsewhere").await;
    let mut other = host.spawned().await;
    other.ready().await;
    assert_eq!(other.prompt().await, "elsewhere");
    other.answer("ok").await;
    host.chat.ended(&turn).await;
    let switch = || host.registry.change(&row.key, Change::Switch(row.id.clone()));
    assert_eq!(soon(switch()).await, Err(ChangeError::Away));
    drop(takeover);
    assert_eq!(soon(switch()).await, Ok(()));
}

#[tokio::test]
async fn turn_that_runs_keeps_the_session_until_it_ends() {
    let setup = Setup::new();
    let (mut host, mut cli, row) = said(&setup).await;
    let two = host.send("ann", "two").await;
    cli.prompt().await;
    let three = host.send("ann", "three").await;
    let takeover = take(&setup, &row);
    let attach = |wait| host.registry.attach(&row.key, &row.id, wait);
    assert_eq!(soon(attach(false)).await, Err(ChangeError::Busy));
    // Whoever waited and is gone is not given it.
    assert!(timeout(Duration::from_millis(20), attach(true)).await.is_err());
    let registry = host.registry.clone();
    let (of, id) = (row.key.clone(), row.id.clone());
    let attaching = tokio::spawn(async move { registry.attach(&of, &id, true).await });
    soon(host.registry.status(&row.key)).await;
    cli.answer("ok").await;
    host.chat.ended(&two).await;
    assert!(matches!(cli.command().await, Command::Close), "before what waits");
    cli.exits(None).await;
    soon(attaching).await.unwrap().expect("it is given");
    host.chat.until(&three, |view| seen(view) == [AWAY]).await;
    drop(takeover);
    let mut again = host.spawned().await;
    again.ready().await;
    assert_eq!(again.prompt().await, "three");
}

#[tokio::test]
async fn nothing_is_given_that_nobody_could_go_on_with() {
    let setup = Setup::new();
    let mut host = setup.start().await;
    let (_, cli) = host.talking("ann", "one").await;
    let row = soon(host.registry.status(&key(&host, "ann"))).await.unwrap().row;
    let _takeover = take(&setup, &row);
    assert_eq!(
        soon(host.registry.attach(&row.key, &row.id, false)).await,
        Err(ChangeError::Nothing)
    );
    let unknown = crate::chat::SessionId::from("nonsense");
    assert_eq!(
        soon(host.registry.attach(&row.key, &unknown, false)).await,
        Err(ChangeError::Unknown)
    );
    let bobs = key(&host, "bob");
    assert_eq!(
        soon(host.registry.attach(&bobs, &row.id, false)).await,
        Err(ChangeError::Unknown)
    );
    cli.answer("still there").await;
}
